"""What the columns of a label table mean, by their names in any capitals, with any separators.

A unit may stand in brackets or at the end (``Time [s]``, ``time_ms``, ``Begin Time - msec``), and
in brackets the scale of values (``valence (1-9)``, ``Arousal [-1, 1]``). A column that is not
understood is "unknown": the reader of the table reports it, and refuses the table if the column
might be a time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..metrics import EMOTIONS

# Names are compared without separators: "time stamp", "TimeStamp", "time_stamp".
TIME_NAMES = {
    *("time", "times", "timestamp", "timestamps", "timecode", "t", "frametime", "timepoint"),
    *("second", "seconds", "sec", "secs", "s", "mediatime", "videotime", "playbacktime"),
    *("currenttime", "elapsed", "elapsedtime", "timeelapsed", "relativetime", "timeofvideo"),
    *("zeit", "zeitpunkt", "zeitstempel", "sekunde", "sekunden", "temps", "tiempo", "segundos"),
    *("ms", "msec", "millisecond", "milliseconds", "position", "videoposition"),
}
START_NAMES = {
    *("start", "starttime", "begin", "begintime", "onset", "onsettime", "from", "tstart"),
    *("starttimestamp", "tmin", "xmin", "beginn", "anfang", "von", "timestart", "timebegin"),
}
END_NAMES = {
    *("end", "endtime", "stop", "stoptime", "offset", "offsettime", "to", "tend", "until"),
    *("endtimestamp", "tmax", "xmax", "ende", "bis", "timeend", "timestop"),
}
DURATION_NAMES = {"duration", "length", "dauer"}
FRAME_NAMES = {
    *("frame", "frames", "frameid", "framenumber", "frameno", "framenr", "frameindex", "framenum"),
    *("frameidx", "videoframe", "fnum", "bild", "bildnummer"),
}
INDEX_NAMES = {"", "index", "unnamed0", "nr", "no", "row", "rownumber", "id", "sample", "n", "srno"}
# Those that earlier versions knew; rows of several annotators under another name were averaged.
EARLIER_WHO = {"annotator", "rater", "coder", "annotatorid", "raterid", "rateur"}
_PERSONS = (
    *("annotator", "rater", "coder", "labeler", "labeller", "evaluator", "observer", "judge"),
    *("worker", "annotateur", "rateur", "bewerter", "beobachter", "kodierer"),
)
_NUMBERED = ("", "id", "name", "no", "nr", "num", "number", "code", "index")
WHO_NAMES = {person + what for person in _PERSONS for what in _NUMBERED}
EXPRESSION_NAMES = {"expression", "emotion", "emotionmaxvote"}
VALUE_NAMES = {
    **dict.fromkeys(("valence", "v", "val", "pleasure", "valenz", "emoval"), "valence"),
    **dict.fromkeys(
        ("arousal", "a", "aro", "activation", "activity", "erregung", "emoact"), "arousal"
    ),
}
# ratings; the file's name tells of what
RATING_NAMES = {"rating", "ratings", "value", "values", "score"}
# Columns that people write beside their values, which hold no values.
REMARKS = {
    *("name", "liking", "link", "img", "image", "picture", "speaker", "utterance", "note", "notes"),
    *("text", "comment", "comments", "remark", "video", "file", "filename", "trial", "subject"),
    *("person", "participant", "session", "confidence", "dominance", "liked", "button", "faceid"),
    *("dialogueid", "utteranceid", "sentiment", "season", "episode", "label", "transcript"),
    *("landmarks", "success"),
}
# Columns of coded events: a row where a state starts and one where it stops. Of the times
# of The Observer this one is in s, with its fractions.
EVENT_TIMES = ("time", "timerelativesf")
STATUS = ("status", "behaviortype", "behaviourtype", "eventtype")
BEHAVIORS = ("behavior", "behaviour")
UNITS = {
    **dict.fromkeys(
        ("s", "sec", "secs", "second", "seconds", "sek", "sekunden", "ssmsec", "ssms"), 1.0
    ),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "millis"), 1e-3),
    **dict.fromkeys(("us", "\u03bcs", "usec", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "mins", "minutes", "minute"), 60.0),
    **dict.fromkeys(("h", "hours", "hour"), 3600.0),
    **dict.fromkeys(("d", "days", "day"), 86400.0),  # 0:00:01 as a spreadsheet stores it
    **dict.fromkeys(("hhmmss", "hhmmssms", "mmss", "mmssms", "hhmmssmsec", "hms"), 1.0),
    "hhmmssff": 1.0,  # time codes, which count frames
}
DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")  # minus signs, too
MAX_NAME_CHARACTERS = 120  # characters of a column's name; longer texts are no names
FRAME_UNITS = {"frame", "frames", "fr", "bilder"}
# Words that suggest a time; a column with one of them in its name is never ignored.
LIKE_TIME = re.compile(
    r"time|zeit|stamp|sec|clock|uhr|temps|tiempo|minut|hour|frame|millis|(^|\W|_)m?s(\W|_|$)"
)
_BRACKETS = re.compile(r"^(.*?)\s*[\[({<]\s*([^\])}>]*?)\s*[\])}>]\s*$")
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?"
# the scale of values: 1-9, −1…1, 0 to 100, [1, 9], 1..9, scale: 1-9
_SCALE = re.compile(
    r"(?:(?:from|von|de|scale|range|skala)[\s:]*)?"
    rf"({_NUMBER})\s*(?:-|to|bis|à|a|/|:|;|,|\.{{2,3}}|~)\s*({_NUMBER})"
)
_TAIL = re.compile(
    r"^(.+?)(?:\s+-\s+|\s*/\s*|\s*,\s*|\s+in\s+|[\s_.:-]+)([^\s_/]+(?:[.:][a-z]+)*)$"
)


@dataclass(frozen=True)
class Column:
    """What a column is.

    what : "time", "start", "end", "duration", "frame", "index", "who", "valence", "arousal",
        "expression", "rating", "remark" or "unknown". unit : s in one of its units, of times.
    annotator : whose values they are, "" if the name does not tell.
    scale : lowest and highest value that the name of a column of values tells; () if it tells none.
    """

    what: str
    unit: float = 1.0
    annotator: str = ""
    scale: tuple[float, ...] = ()


def meaning(name: str) -> Column:
    """What a column of that name is; see `Column`."""
    if len(name) > MAX_NAME_CHARACTERS:
        return Column("unknown")
    text = plain(name)
    match = _BRACKETS.match(text)
    if match and match[2] and not _squeezed(match[2]) and _of_time(match[1], 1.0):
        return Column("unknown")  # time (%)
    if column := _of_time(text, 1.0):
        return column
    for pattern in (_BRACKETS, _TAIL):
        if match := pattern.match(text):
            unit = _squeezed(match[2])
            if unit in FRAME_UNITS and (_of_time(match[1], 1.0) or Column("")).what == "time":
                return Column("frame")
            if unit in UNITS and (column := _of_time(match[1], UNITS[unit])):
                return column
    if (match := _BRACKETS.match(text)) and (scale := _scale(match[2])):
        return replace(_of_values(match[1]), scale=scale)
    return _of_values(text)


def _scale(text: str) -> tuple[float, ...]:
    """Lowest and highest value of a scale in brackets; () if it is none."""
    if not (match := _SCALE.fullmatch(text)):
        return ()
    low, high = (float(number.replace(",", ".")) for number in match.groups())
    return (low, high) if low < high else ()


def name_events(names: Sequence[str]) -> bool:
    """Whether the cells of a line name the columns of coded events (`lib.labels.events`)."""
    known = set(map(squeezed, names))
    return not any(known.isdisjoint(words) for words in (EVENT_TIMES, STATUS, BEHAVIORS))


def plain(name: str) -> str:
    """A name in lower case, split into words at capitals, without quotation marks."""
    name = unicodedata.normalize("NFKC", name).strip().strip("'\"").strip()
    name = name.translate(DASHES)
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name).lower()


def might_be_time(name: str) -> bool:
    """Whether a name that is not understood suggests a time."""
    return len(name) <= MAX_NAME_CHARACTERS and bool(LIKE_TIME.search(plain(name)))


def squeezed(name: str) -> str:
    """A column's name in small letters without separators, as it is compared."""
    return _squeezed(plain(name))


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _of_time(text: str, unit: float) -> Column | None:
    word = _squeezed(text)
    if word in UNITS and word in TIME_NAMES:
        unit = UNITS[word]
    kinds = {
        "time": TIME_NAMES,
        "start": START_NAMES,
        "end": END_NAMES,
        "duration": DURATION_NAMES,
        "frame": FRAME_NAMES,
    }
    what = next((kind for kind, words in kinds.items() if word in words), "")
    return Column(what, unit) if what else None


def _of_values(text: str) -> Column:
    word = _squeezed(text)
    kinds = {
        "index": INDEX_NAMES,
        "who": WHO_NAMES,
        "expression": EXPRESSION_NAMES,
        "rating": RATING_NAMES,
    }
    if what := next((kind for kind, words in kinds.items() if word in words), ""):
        return Column(what)
    if word in VALUE_NAMES:
        return Column(VALUE_NAMES[word])
    for emotion in EMOTIONS:
        if match := re.fullmatch(rf"{emotion}[\s_.:/@-]+(.+)|(.+?)[\s_.:/@-]+{emotion}", text):
            who = match[1] or match[2]
            return Column(emotion, annotator="" if _squeezed(who) in RATING_NAMES else who)
        if match := re.fullmatch(rf"{emotion}(\d+)", text):
            return Column(emotion, annotator=match[1])
        if match := re.fullmatch(rf"{emotion}\s*[\[(](.+)[\])]", text):
            return Column(emotion)
    return Column("remark" if word in REMARKS else "unknown")
