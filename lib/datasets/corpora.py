"""What names of files and folders say in corpora of emotional speech: the emotion, and who speaks.

Written from the corpora's public descriptions. Each source gives `Said` of every recording that it
knows; `lib.datasets.recording_labels` makes labels of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from ..labels import cells, emotions
from . import ravdess, splits
from .contents import Contents
from .names import Recording


class Said(NamedTuple):
    """What is said of a recording. emotion : the word, as it is written. values : valence and
    arousal in −1…1. split : the word, as it is written.
    """

    emotion: str = ""
    speaker: str = ""
    split: str = ""
    values: tuple[float, ...] = ()


# Corpus -> the end of a path without its suffix, and what its codes mean if they are no words.
NAMES: dict[str, tuple[str, Mapping[str, str]]] = {
    "EMO-DB": (
        r"(?P<speaker>\d\d)[a-z]\d\d(?P<emotion>[WLEAFTN])[a-z]?",
        {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy"}
        | {"T": "sad", "N": "neutral"},
    ),
    "CREMA-D": (r"(?P<speaker>1\d{3})_[A-Z]{3}_(?P<emotion>[A-Z]{3})_(LO|MD|HI|XX?)", {}),
    "SAVEE": (
        r"(?P<speaker>DC|JE|JK|KL)[/_](?P<emotion>sa|su|[adfhn])\d\d",
        {"a": "anger", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral"}
        | {"sa": "sad", "su": "surprise"},
    ),
    # one of its files is called OA_bite_neutral, without the F
    "TESS": (r"(?P<speaker>[OY]A)F?_\w+_(?P<emotion>[a-z]+)", {}),
    "RAVDESS": (
        r"\d\d-\d\d-(?P<emotion>\d\d)-\d\d-\d\d-\d\d-(?P<speaker>\d\d)",
        {f"{number:02}": name for number, name in enumerate(ravdess.CLASSES, start=1)},
    ),
}
LEAST_SHARE = 0.5  # of the recordings that are named as a corpus names them
# Ses01F_impro01_M003: session 1. The two people of a session talk with each other, so that it
# counts as one subject, as in the usual evaluation.
IEMOCAP = re.compile(
    r"^\[[\d. -]+\]\s+(?P<name>(?P<session>Ses\d\d)[FM]_\w+)\s+(?P<emotion>\w+)"
    r"\s+\[(?P<valence>[\d.]+), (?P<arousal>[\d.]+), [\d.]+\]",
    re.MULTILINE,
)
IEMOCAP_SCALE = (1.0, 5.0)
IEMOCAP_FOLDER = "emoevaluation"
SPEAKER_FOLDER = re.compile(
    r"(actor|speaker|spk|subject|person|participant)[ _-]?\w+", re.IGNORECASE
)


def of_names(recordings: Mapping[str, Recording]) -> tuple[str, dict[str, Said]]:
    """The corpus whose names most of the recordings have, and what they say; "" if none is."""
    best, known = "", {}
    for corpus, (pattern, meanings) in NAMES.items():
        compiled, said = re.compile(rf"(?:.*/)?{pattern}"), {}
        for name, recording in recordings.items():
            path = PurePosixPath(recording.path).with_suffix("").as_posix()
            if match := compiled.fullmatch(path):
                word = meanings.get(match["emotion"], match["emotion"])
                if emotions.class_of(word) is not None:
                    said[name] = Said(word, match["speaker"])
        if len(said) > len(known):
            best, known = corpus, said
    return (best, known) if len(known) >= LEAST_SHARE * len(recordings) else ("", {})


def of_folders(recordings: Mapping[str, Recording]) -> dict[str, Said]:
    """What folders say that are called as emotions (``angry/``, ``OAF_angry/``); nothing unless
    there are two emotions at least. Other folders beside them (``0001/angry/``) are taken as who
    speaks if there are two at least.
    """
    known = {}
    for name, recording in recordings.items():
        parts = PurePosixPath(recording.path).parts[:-1]
        if words := [word for part in reversed(parts) if (word := _emotion(part))]:
            known[name] = Said(words[0], _speaker(parts))
    if len({emotions.class_of(said.emotion) for said in known.values()}) < 2:
        return {}
    if len({said.speaker for said in known.values()}) > 1:
        return known
    return {name: said._replace(speaker="") for name, said in known.items()}


def _speaker(folders: Sequence[str]) -> str:
    """The folder of a speaker by its name, else all that are neither emotions nor splits."""
    called = [part for part in folders if SPEAKER_FOLDER.fullmatch(part)]
    others = [part for part in folders if not _emotion(part) and not splits.word(part)]
    return called[0] if called else "/".join(others)


def _emotion(folder: str) -> str:
    """The word for an emotion that is a folder's name, or ends it."""
    last = re.split(r"[ _-]", folder)[-1]
    return next((word for word in (folder, last) if emotions.means_one(word)), "")


def of_iemocap(contents: Contents) -> tuple[list[str], dict[str, Said]]:
    """The files of IEMOCAP's folders EmoEvaluation, and what they say of utterances by name."""
    paths, known = [], {}
    for path in contents.files:
        parts = PurePosixPath(path).parts
        if not path.lower().endswith(".txt") or IEMOCAP_FOLDER not in map(str.lower, parts[-2:-1]):
            continue
        text = (contents.root / path).read_text(encoding="utf-8", errors="replace")
        for match in IEMOCAP.finditer(text):
            pair = np.array([float(match["valence"]), float(match["arousal"])])
            values = tuple(cells.scaled(pair, IEMOCAP_SCALE).tolist())
            known[match["name"]] = Said(match["emotion"], match["session"], "", values)
            paths.append(path)
    return list(dict.fromkeys(paths)), known
