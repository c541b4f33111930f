"""Read stretches of speech from RTTM, JSON of whisperX, pyannote and transcription services, SRT,
WebVTT, Praat TextGrid and ELAN.

A reader takes the text of a file and returns rows of `FIELDS`, in the file's order, and notes on
what was skipped.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import errors
from ..errors import InputError
from . import elan, json_programs, sheets

FIELDS = ("row", "recording", "start", "end", "speaker", "text")
Rows = tuple[list[tuple], list[str]]

# Lines of an RTTM file other than a speaker's (NIST, Rich Transcription 2009, appendix A).
_RTTM_OTHERS = {
    *("NOSCORE", "NO_RT_METADATA", "SEGMENT", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT"),
    *("SU", "IP", "CB", "A/P", "SPKR-INFO"),
}
MIN_FIELDS, MAX_FIELDS = 8, 10  # fields of such a line
_STAMP = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}[.,]\d{1,3})"
_ARROW = re.compile(rf"\s*{_STAMP}\s*-->\s*{_STAMP}(\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")  # WebVTT: <v Name>
_MAP = "X-TIMESTAMP-MAP"  # of WebVTT: where a piece of a live stream (HLS) stands in its clock
_BRACKET = re.compile(r"\[([^\[\]]{1,80})\]:\s*(?=\S)")  # whisperX: [SPEAKER_00]: text
_NAME = re.compile(r"([^\W\d_][^:.!?,;]{0,39}):\s+(?=\S)")  # Zoom: Anna Smith: text
NAMED_SHARE = 0.8  # of texts that must begin with a name before a colon
SHOWN_NAMES = 4
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")  # <00:01.500>: of karaoke
_SPEAKERS = ("speaker", "speaker_label", "label", "face", "person")
_LISTS = ("segments", "content", "speech", "diarization", "exclusive_diarization", "chunks")
# Where lists of stretches are below the top: of Deepgram, of AWS Transcribe (new files, and old
# ones, which have no text there), of a job of pyannoteAI.
_DEEPER = (
    ("results", "utterances"),
    ("results", "audio_segments"),
    ("results", "speaker_labels", "segments"),
    ("output", "diarization"),
)
_CPP = "transcription"  # list of whisper.cpp, whose times are ms
_ASSEMBLY = "utterances"  # list of AssemblyAI, whose times are ms; its files name an audio_url
# Praat's manual, "TextGrid file formats": only free-standing numbers, texts and flags count.
_TOKEN = re.compile(
    r'"((?:[^"]|"")*)"|(<exists>|<absent>)|(?<![^\s=])([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?!\S)'
)


def _wrong(where: object, what: str, expected: str) -> InputError:
    return InputError(what, where=where, expected=expected, todo="correct it, or take it out")


# ---- RTTM
def of_rttm(path: Path) -> Rows:
    """Lines ``SPEAKER file channel start duration <NA> <NA> name …``; s."""
    rows, others = [], 0
    for number, line in enumerate(sheets.read_text(path).split("\n"), 1):
        cells = line.split("\t") if line.count("\t") >= MIN_FIELDS - 1 else line.split()
        if not cells or cells[0].startswith(";"):
            continue
        if cells[0] in _RTTM_OTHERS:
            others += 1
            continue
        begin, length = (sheets.number(cell) for cell in (*cells[3:5], "", "")[:2])
        fields = MIN_FIELDS <= len(cells) <= MAX_FIELDS  # more fields: a name that contains a blank
        if fields and math.isfinite(
            sheets.number(cells[5])
        ):  # moved by it: no speaker line has one
            fields = False
        if cells[0] != "SPEAKER" or not fields or not math.isfinite(begin + length):
            expected = "SPEAKER file 1 start duration <NA> <NA> name <NA> <NA>"
            raise _wrong(f"{path}:{number}", f"the line {line[:80]!r}", expected)
        rows.append((number, cells[1], begin, begin + length, _there(cells[7]), ""))
    return rows, _told(others, "lines that are no SPEAKER line are passed over")


def _there(text: str) -> str:
    return "" if text == "<NA>" else text


def _told(count: int, what: str) -> list[str]:
    return [f"{count} {what}"] if count else []


# ---- SRT and WebVTT
def of_subtitles(path: Path) -> Rows:
    """Blocks with a line ``00:00:01,000 --> 00:00:02,500``; a speaker where the text names one."""
    rows, others, mapped = [], 0, False
    is_vtt = path.suffix.lower() == ".vtt"
    for number, lines in _blocks(sheets.read_text(path), blanks_count=is_vtt):
        index = next((k for k, line in enumerate(lines) if "-->" in line), None)
        mapped |= any(line.startswith(_MAP) for line in lines[:index])
        if index is None:
            others += not re.match(r"(WEBVTT|NOTE|STYLE|REGION)\b", lines[0])
            continue
        match = _ARROW.fullmatch(lines[index])
        if match is None:
            where, shown = f"{path}:{number + index}", lines[index][:80]
            raise _wrong(where, f"the times {shown!r}", "00:00:01,000 --> 00:00:02,500")
        speaker, text = _spoken(" ".join(lines[index + 1 :]))
        if is_vtt:  # only there a text is written as HTML is
            speaker, text = html.unescape(speaker), html.unescape(text)
        times = (_seconds(*match.groups()[k : k + 3]) for k in (0, 3))
        rows.append((number + index, "", *times, speaker, text))
    notes = (
        [f"times count from 0, whatever {_MAP} says of the stream's own clock"] if mapped else []
    )
    rows, about = _with_names(rows)
    return rows, _told(others, "blocks without times are passed over") + notes + about


def _with_names(rows: list[tuple]) -> Rows:
    """The rows with the names before a colon, as Zoom writes them (``Anna Smith: text``), as their
    speakers, and a note; unchanged if rows have speakers, or not nearly all begin so.
    """
    matches = [_NAME.match(text) for *_, text in rows]
    count = sum(match is not None for match in matches)
    names = list(dict.fromkeys(match[1] for match in matches if match))
    recur = len(names) <= max(2, count // 2)
    if any(row[4] for row in rows) or count < max(2, NAMED_SHARE * len(rows)) or not recur:
        return rows, []
    named = []
    for row, match in zip(rows, matches, strict=True):
        if match:
            row = (*row[:4], match[1], row[5][match.end() :])
        named.append(row)
    shown = errors.some(names, SHOWN_NAMES)
    note = f"who speaks is taken from before a colon, in {count} of {len(rows)} texts: {shown}"
    return named, [note]


def _blocks(text: str, blanks_count: bool) -> Iterator[tuple[int, list[str]]]:
    """(first line number, lines) of blocks that empty lines separate, or that begin with a line of
    times if the empty line before it is missing.

    blanks_count : whether a line of blanks belongs to its block, as in captions of YouTube.
    """
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if _ARROW.fullmatch(line) and any(map(_ARROW.fullmatch, block)):
            own = 1 if block[-1].strip().isdecimal() else 0  # the number before the times
            whole, block = block[: len(block) - own], block[len(block) - own :]
            yield number - own - len(whole), whole
        if line.strip() or (block and line and blanks_count):
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))


def _spoken(text: str) -> tuple[str, str]:
    """(speaker, text without markup)."""
    voices, bracket = _VOICE.findall(text), _BRACKET.match(text)
    if not voices and bracket:
        return bracket[1].strip(), _MARKUP.sub("", text[bracket.end() :]).strip()
    names = dict.fromkeys(name.strip() for name in voices)
    return ", ".join(names), _MARKUP.sub("", text).strip()


# ---- JSON
def of_json(path: Path) -> Rows:
    """The list of stretches in a JSON file of whisper, whisperX, pyannote, Deepgram, AssemblyAI,
    AWS Transcribe or of who speaks here.
    """
    text = sheets.read_text(path)
    with errors.foreign(path, "JSON", "write the file again"):
        content = json.loads(text)
    if (found := json_programs.read(path, content)) is not None:
        return found
    where, expected = str(path), '{"segments": [{"start": 0.5, "end": 2.0, "speaker": "A"}]}'
    recording, unit = "", 1.0
    if isinstance(content, Mapping):
        recording = json_programs.plain(content.get("uri")) or json_programs.plain(
            content.get("video")
        )
        if not (name := _name_of_list(content)):
            shown = ", ".join(map(str, list(content)[:8]))
            raise InputError(
                f"no list of stretches; the file has {shown or 'nothing'}",
                where=where,
                expected=expected,
                todo="correct it, or save subtitles (.srt, .vtt) or a table with start and end",
            )
        unit = 1e-3 if name == (_ASSEMBLY,) else 1.0
        where, content = f"{path}, {'.'.join(name)}", _below(content, name)
    if not isinstance(content, list):
        raise _wrong(where, "no list of stretches", expected)
    rows, endless = [], []
    for number, entry in enumerate(content, 1):
        if stretch := _of_entry(entry, f"{where}, entry {number}"):
            begin, until, *said = stretch
            rows.append((number, recording, begin * unit, until * unit, *said))
        else:
            endless.append(number)
    notes = _told(len(endless), "stretches without an end are passed over")
    return rows, [f"{note} (first: entry {endless[0]})" for note in notes]


def _name_of_list(content: Mapping) -> tuple[str, ...]:
    """Where the list of stretches is in a file: its name, after those of what it is in; () if
    there is none.
    """
    top = [*_LISTS, _CPP, *[_ASSEMBLY] * ("audio_url" in content)]
    places = (*((name,) for name in top), *_DEEPER)
    return next((place for place in places if isinstance(_below(content, place), list)), ())


def _below(content: object, place: tuple[str, ...]) -> object:
    for name in place:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _of_entry(entry: object, where: str) -> tuple[float, float, str, str] | None:
    """Start, end (s), speaker, text; None where the end is null, as in the last chunk of
    transformers if the sound ends within a word.
    """
    if not isinstance(entry, Mapping):
        raise _wrong(where, "no stretch", '{"start": 0.5, "end": 2.0}')
    times = entry.get("segment", entry)  # pyannote's own form
    if isinstance(entry.get("timestamp"), list) and len(entry["timestamp"]) == 2:  # transformers'
        times = dict(zip(("start", "end"), entry["timestamp"], strict=True))
    if isinstance(of_cpp := entry.get("offsets"), Mapping):
        times = {
            name: _from_ms(of_cpp.get(end)) for name, end in (("start", "from"), ("end", "to"))
        }
    if "start_time" in entry:  # of AWS, as texts
        ends = (("start", "start_time"), ("end", "end_time"))
        times = {name: _from_text(entry.get(own)) for name, own in ends}
    ends = times if isinstance(times, Mapping) else {}
    begin, until = ends.get("start"), ends.get("end", ends.get("stop"))
    if "end" in ends and until is None and isinstance(begin, (int, float)):
        return None
    for value in (begin, until):
        if not json_programs.is_number(value):
            raise _wrong(where, f"start {begin!r}, end {until!r}", "both in s")
    speakers = (entry.get(name) for name in _SPEAKERS)
    speaker = next((name for name in map(json_programs.plain, speakers) if name), "")
    text = json_programs.plain(entry.get("text")) or json_programs.plain(entry.get("transcript"))
    return float(begin), float(until), speaker, text.strip()


def _from_text(value: object) -> object:
    return sheets.number(value) if isinstance(value, str) else value


def _from_ms(value: object) -> object:
    return value / 1000 if isinstance(value, (int, float)) else value


# ---- Praat
def of_textgrid(path: Path) -> Rows:
    """Intervals with a text, of all interval tiers; the tier is the speaker.

    pympi's reader loses signs and exponents of numbers ("1e-05" becomes 5), so the text is parsed
    here.
    """
    content = Path(path).read_bytes()[:12]
    if content == b"ooBinaryFile":
        raise _wrong(path, "a binary TextGrid", "a text file: Praat, Save as text file")
    tokens = _Tokens(path, sheets.read_text(path))
    kind = tokens.text("the type of file").removesuffix(" short")  # as Praat called it before 2007
    if kind != "ooTextFile" or tokens.text("the class") != "TextGrid":
        raise _wrong(path, "no TextGrid", 'File type = "ooTextFile", Object class = "TextGrid"')
    tokens.number("xmin")
    tokens.number("xmax")
    rows, points = [], 0
    for _ in range(tokens.count("tiers") if tokens.flag() != "<absent>" else 0):
        kind, tier = tokens.text("the class of a tier"), tokens.text("the name of a tier")
        tokens.number("xmin")
        tokens.number("xmax")
        for _ in range(tokens.count("intervals")):
            begin = tokens.number("a time")
            if kind == "IntervalTier":
                until, text = tokens.number("a time"), tokens.text("a text").strip()
                rows += [(len(rows) + 1, "", begin, until, tier, text)] if text else []
            else:
                tokens.text("a text")
                points += 1
    notes = _told(points, "points in time are no stretches and are passed over")
    return rows, [*notes, *tokens.told_of_rest()]


class _Tokens:
    """The tokens of a TextGrid, one after the other."""

    def __init__(self, path: Path, text: str):
        self.path = path
        self.matches = _TOKEN.finditer(text)

    def _next(self, group: int, what: str) -> str:
        match = next(self.matches, None)
        if match is None or match[group] is None:
            token = "the end of the file" if match is None else repr(match[0][:40])
            expected = "a TextGrid as Praat saves it"
            raise _wrong(self.path, f"{token} in the place of {what}", expected)
        return match[group]

    def text(self, what: str) -> str:
        return self._next(1, what).replace('""', '"')

    def flag(self) -> str:
        return self._next(2, "<exists>")

    def number(self, what: str) -> float:
        text = self._next(3, what)
        if not math.isfinite(float(text)):
            raise _wrong(self.path, f"{text} in the place of {what}", "a number that is finite")
        return float(text)

    def told_of_rest(self) -> list[str]:
        """A note where more follows than the file announced."""
        rest = sum(1 for _ in self.matches)
        return ["more follows than the number of tiers says, and is not read"] if rest else []

    def count(self, what: str) -> int:
        number = self.number(f"the number of {what}")
        if number % 1 or not 0 <= number < 1e7:
            raise _wrong(self.path, f"{number:g} {what}", "a whole number")
        return int(number)


# ---- ELAN
def of_elan(path: Path) -> Rows:
    """Annotations of all tiers, in the order of time; the participant, else the tier, speaks."""
    eaf, rows, untimed = elan.eaf(path), [], 0
    with errors.foreign(path, "a file of ELAN", "save it again in ELAN"):
        offset = elan.time_origin(eaf, path)
        for tier in eaf.get_tier_names():
            who = eaf.get_parameters_for_tier(tier).get("PARTICIPANT") or tier
            for begin, until, text, *_ in eaf.get_annotation_data_for_tier(tier):
                if begin is None or until is None:  # a subdivision that was not aligned
                    untimed += 1
                    continue
                rows.append(((begin + offset) / 1000, (until + offset) / 1000, who, text or ""))
    rows.sort()
    notes = [f"{offset / 1000:g} s of offset added"] if offset else []
    notes += _told(untimed, "annotations without a time of their own are passed over")
    return [(k, "", *row) for k, row in enumerate(rows, 1)], notes


READERS = {
    ".rttm": of_rttm,
    ".json": of_json,
    ".srt": of_subtitles,
    ".vtt": of_subtitles,
    ".textgrid": of_textgrid,
    ".eaf": of_elan,
}
