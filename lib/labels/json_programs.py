"""Stretches in JSON files that hold no plain list of them: words of Google Speech-to-Text and of
Rev, regions of Label Studio, temporal segments of the VGG Image Annotator (VIA 3).

Written from the public documentation of these programs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote

from ..errors import InputError

Rows = tuple[list[tuple], list[str]]
Word = tuple[float, float, str, str]  # start, end (s), speaker, text

_OF_GOOGLE = re.compile(r"(\d+(?:\.\d+)?)s")  # 1.300s
_OF_REV = re.compile(r"(\d+):(\d\d):(\d\d[.,]\d+)")  # 00:00:01,300
_UPLOADED = re.compile(r"(?<=/)[0-9a-f]{8}-(?=[^/]+$)")  # what Label Studio writes before a name
_WHO = ("speaker", "who", "person", "participant")


def read(path: Path, content: object) -> Rows | None:
    """Rows of `transcripts.FIELDS` and notes; None for JSON of another kind. Raises InputError,
    with the place in the file, for a stretch without its times.
    """
    for is_one, reader in _READERS:
        if is_one(content):
            return reader(path, content)
    return None


def plain(value: object) -> str:
    """A value of JSON as a text that any file can hold; several names are parted by commas."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(plain, value)))
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode()  # half of a pair of surrogates is no sign


def _wrong(where: str, what: str, expected: str, todo: str) -> InputError:
    return InputError(what, where=where, expected=expected, todo=todo)


def _dicts(value: object) -> list[Mapping]:
    """The objects in a list; nothing for another value."""
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _numbered(words: Sequence[Word], recording: str = "") -> list[tuple]:
    return [(number, recording, *word) for number, word in enumerate(words, 1)]


# ---- Google Speech-to-Text
def _results(content: object) -> list[Mapping]:
    """Its results, also those of a long recording, which are in a response."""
    content = content.get("response", content) if isinstance(content, Mapping) else {}
    return _dicts(content.get("results")) if isinstance(content, Mapping) else []


def _best(result: Mapping) -> Mapping:
    return next(iter(_dicts(result.get("alternatives"))), {})


def _is_of_google(content: object) -> bool:
    best = [_best(result) for result in _results(content)]
    words = [word for one in best for word in _dicts(one.get("words"))]
    return any("transcript" in one for one in best) or any(map(_times_of_google, words))


def _times_of_google(word: Mapping) -> dict[str, object]:
    """What a word tells of its start and end, by the versions 1 and 2, in either spelling."""
    told = {}
    for what in ("start", "end"):
        for name in (f"{what}Time", f"{what}Offset", f"{what}_time", f"{what}_offset"):
            if name in word:
                told.setdefault(what, word[name])
    return told


def _of_google(path: Path, content: object) -> Rows:
    results = [result for result in _results(content) if _best(result)]
    parts, notes = _parts_of_google(path, results)
    last = parts.pop()
    before = [word for part in parts for word in part]
    if before and [word[3] for word in before] == [word[3] for word in last]:
        note = "the last result repeats all words with their speakers; it alone is read"
        return _numbered(_turns(last)), [*notes, note]
    parts.append(last)
    if any(word[2] for part in parts for word in part):
        turns = [turn for part in parts for turn in _turns(part)]
        return _numbered(turns), [*notes, "words of one speaker in a row are one stretch"]
    rows = []
    for part, result in zip(parts, results, strict=True):
        text = plain(_best(result).get("transcript")).strip()
        rows.append((part[0][0], part[-1][1], "", text or _joined(part)))
    note = "each result is one stretch, from its first word to its last"
    return _numbered(rows), [*notes, note]


def _parts_of_google(path: Path, results: Sequence[Mapping]) -> tuple[list[list[Word]], list[str]]:
    """The words of each result, and a note where the first one tells no start."""
    parts, notes = [], []
    for number, result in enumerate(results, 1):
        words = _dicts(_best(result).get("words"))
        where = f"{path}, result {number}"
        if not words:
            raise _wrong(
                where,
                "a transcript without the times of its words",
                'words with "startTime": "1.300s", as Google writes them',
                "transcribe again with times of words (Google: enableWordTimeOffsets)",
            )
        if number == 1 and "start" not in _times_of_google(words[0]):  # of version 2
            words[0] = {**words[0], "startTime": "0s"}
            notes.append("the first word tells no start, which means 0 s")
        parts.append([_word_of_google(word, where, result) for word in words])
    return parts, notes


def _word_of_google(word: Mapping, where: str, result: Mapping) -> Word:
    told = _times_of_google(word)
    begin, end = (_seconds_of_google(told.get(name)) for name in ("start", "end"))
    text = plain(word.get("word"))
    if not math.isfinite(begin + end):
        raise _wrong(
            f"{where}, word {text!r}",
            f"start {told.get('start')!r}, end {told.get('end')!r}",
            'both as "1.300s"',
            "correct it, or take it out",
        )
    names = ("speakerTag", "speaker_tag", "speakerLabel", "speaker_label")
    who = next((plain(word[name]) for name in names if word.get(name)), "")
    if not who and "channelTag" in result:
        who = f"channel {plain(result['channelTag'])}"
    return begin, end, who, text


def _seconds_of_google(value: object) -> float:
    if isinstance(value, Mapping):  # {"seconds": "1", "nanos": 300000000}
        parts = [str(value.get("seconds", 0)), str(value.get("nanos", 0))]
        are_whole = all(part.isdecimal() for part in parts)
        return int(parts[0]) + int(parts[1]) / 1e9 if are_whole else math.nan
    match = _OF_GOOGLE.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) if match else math.nan


def _turns(words: Sequence[Word]) -> list[Word]:
    """Words of one speaker after another, joined."""
    turns = []
    for who, group in groupby(words, key=lambda word: word[2]):
        said = list(group)
        turns.append((said[0][0], said[-1][1], who, _joined(said)))
    return turns


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word[3] for word in words)


# ---- Rev
def _is_of_rev(content: object) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("monologues"), list)


def _of_rev(path: Path, content: Mapping) -> Rows:
    """Monologues of Rev.ai (ts and end_ts in s) and Rev (timestamp and end_timestamp)."""
    names = {
        plain(one.get("id")): plain(one.get("name")) for one in _dicts(content.get("speakers"))
    }
    rows, silent = [], 0
    for number, monologue in enumerate(_dicts(content["monologues"]), 1):
        elements = _dicts(monologue.get("elements"))
        where = f"{path}, monologue {number}"
        spoken = [one for one in elements if one.get("type") == "text"]
        times = [_times_of_rev(one, where) for one in spoken]
        if not times:
            silent += 1
            continue
        who = plain(monologue.get("speaker"))
        text = "".join(plain(one.get("value")) for one in elements).strip()
        rows.append((number, "", times[0][0], times[-1][1], names.get(who) or who, text))
    notes = [f"{silent} monologues without a word are passed over"] if silent else []
    return rows, notes


def _times_of_rev(element: Mapping, where: str) -> list[float]:
    times = []
    for name, own in (("ts", "timestamp"), ("end_ts", "end_timestamp")):
        value = element.get(name, element.get(own))
        match = _OF_REV.fullmatch(value) if isinstance(value, str) else None
        if match:
            value = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3].replace(",", "."))
        if not is_number(value):
            raise _wrong(
                f"{where}, word {plain(element.get('value'))!r}",
                f"{name} {value!r}",
                '"ts": 0.5 and "end_ts": 2.0, in s',
                "fetch the transcript with the times of its words",
            )
        times.append(float(value))
    return times


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


# ---- Label Studio
def _is_of_label_studio(content: object) -> bool:
    tasks = _dicts(content)
    return bool(tasks) and all("annotations" in task and "data" in task for task in tasks)


def _of_label_studio(path: Path, content: object) -> Rows:
    rows, others, labelled = [], 0, False
    for number, task in enumerate(_dicts(content), 1):
        where, recording = f"{path}, task {number}", _recording_of(task["data"])
        annotations = _dicts(task["annotations"])
        counted = [one for one in annotations if not one.get("was_cancelled")]
        if len(counted) > 1:
            raise _wrong(
                where,
                f"{len(counted)} annotations of one task",
                "one",
                "keep one of them, or write a file for each",
            )
        results = [result for one in counted for result in _dicts(one.get("result"))]
        regions, without = _regions(results, where)
        others += without
        for region in regions:
            labelled |= bool(region[2])
            rows.append((len(rows) + 1, recording, *region))
    notes = []
    if labelled:
        notes.append("labels of Label Studio are taken as who speaks")
    if others:
        notes.append(f"{others} results without a stretch are passed over")
    return rows, notes


def _regions(results: Sequence[Mapping], where: str) -> tuple[list[Word], int]:
    """Its regions, each of the results with its id, and how many results are of none."""
    regions: dict[str, dict[str, list]] = {}
    others = 0
    for index, result in enumerate(results):
        value = _value_of(result, where)
        times = [value.get("start"), value.get("end")]
        if not all(map(is_number, times)):
            others += 1
            continue
        new = {"times": times, "who": [], "text": []}
        region = regions.setdefault(plain(result.get("id", index)), new)
        region["who"] += [plain(value["labels"])] if "labels" in value else []
        region["text"] += [plain(value[name]) for name in ("text", "choices") if name in value]
    rows = []
    for region in regions.values():
        begin, end = map(float, region["times"])
        rows.append((begin, end, ", ".join(region["who"]), " ".join(region["text"])))
    return rows, others


def _value_of(result: Mapping, where: str) -> Mapping:
    """The value of a result. Raises InputError for one that is not in seconds."""
    value = result.get("value")
    value = value if isinstance(value, Mapping) else {}
    if "ranges" in value:
        raise _wrong(
            where,
            "stretches of a video in frames (timelinelabels)",
            "regions with start and end in s",
            "write a table with start and end in s, or as time codes",
        )
    if isinstance(value.get("text"), str):
        raise _wrong(
            where,
            "regions of a text, whose start and end count its signs",
            "regions of a recording, in s",
            "export a project whose data are recordings",
        )
    return value


def _recording_of(data: object) -> str:
    """The file that a task is of, without what was written before its name at upload."""
    values = list(data.values()) if isinstance(data, Mapping) else []
    texts = [unquote(value) for value in values if isinstance(value, str)]
    files = [text for text in texts if re.search(r"\.\w{2,4}$", text)]
    return _UPLOADED.sub("", files[0]) if files else ""


# ---- VIA
def _is_of_via(content: object) -> bool:
    if not isinstance(content, Mapping):
        return False
    return all(isinstance(content.get(name), Mapping) for name in ("metadata", "file", "view"))


def _of_via(path: Path, content: Mapping) -> Rows:
    """Temporal segments; the attribute called speaker says who speaks, the others are the text."""
    rows, others = [], 0
    for name, entry in content["metadata"].items():
        times = entry.get("z") if isinstance(entry, Mapping) else None
        if not isinstance(times, list) or len(times) != 2:
            others += 1
            continue
        if not all(map(is_number, times)):
            raise _wrong(f"{path}, {name}", f"z {times}", "start and end in s", "correct it")
        speaker, text = _attributes(entry, content.get("attribute"))
        file = _file_of(content, entry.get("vid"))
        rows.append((len(rows) + 1, file, float(times[0]), float(times[1]), speaker, text))
    return rows, [f"{others} entries without start and end are passed over"] if others else []


def _attributes(entry: Mapping, known: object) -> tuple[str, str]:
    """(speaker, text) of an entry."""
    known = known if isinstance(known, Mapping) else {}
    values = entry.get("av") if isinstance(entry.get("av"), Mapping) else {}
    speakers, texts = [], []
    for number, value in values.items():
        attribute = known.get(number) if isinstance(known.get(number), Mapping) else {}
        options = attribute.get("options")
        shown = plain(value)
        shown = plain(options.get(shown, shown)) if isinstance(options, Mapping) else shown
        is_speaker = plain(attribute.get("aname")).strip().lower() in _WHO
        if is_speaker:
            speakers.append(shown)
        else:
            texts.append(shown)
    return ", ".join(speakers), ", ".join(texts)


def _file_of(content: Mapping, view: object) -> str:
    """The name of the file that a view shows; "" where it shows several."""
    shown = content["view"].get(plain(view))
    numbers = shown.get("fid_list") if isinstance(shown, Mapping) else None
    if not isinstance(numbers, list) or len(numbers) != 1:
        return ""
    file = content["file"].get(str(numbers[0]))
    return plain(file.get("fname")) if isinstance(file, Mapping) else ""


_READERS: tuple[tuple[Callable, Callable], ...] = (
    (_is_of_google, _of_google),
    (_is_of_rev, _of_rev),
    (_is_of_label_studio, _of_label_studio),
    (_is_of_via, _of_via),
)
