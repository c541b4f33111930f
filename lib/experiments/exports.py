"""Export one wav per frame, ``<out>/<video>/<frame from 1>.wav``, for other programs that read such
files.

Names, lengths and order are those of JCA's published preprocessing (TSAV/JCA specification §2.2) or
of the corrected rule (§7.2).
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays, files
from ..errors import InputError, explain_full_disk
from ..files import clear_leftovers, temporary_name, write_text
from ..labels import official
from ..media import sound, writing
from ..media.sound import SOUND_RATE
from ..store import Store, request

HEADER = 44  # bytes of a wav file's header
BLOCK = 4096  # bytes that the smallest file takes on most file systems
SOUND_REQUEST = request("audio_44k", rate=SOUND_RATE)
EXPORT_REQUESTS = (request("time"), SOUND_REQUEST)


@dataclass(frozen=True)
class Rule:
    """The sound of a frame: `anchor` and `seconds` as in `lib.media.sound.segments`."""

    anchor: str
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.anchor == "published":
            return "31 frame intervals up to the frame, as published"
        return f"{self.seconds:g} s {'up to' if self.anchor == 'end' else 'round'} the frame"


def rule(rules: str, audio_seconds: float, rates: Iterable[float]) -> Rule:
    """The rule that parameters mean.

    rules : "published" or "corrected".
    audio_seconds : sound round a frame, 0 for a look-back of 32 frames, whose one length comes from
        the lowest of `rates` (frames per second of the videos).
    """
    if rules == "published":
        return Rule("published")
    return (
        Rule("centre", audio_seconds) if audio_seconds else Rule("end", sound.look_back(min(rates)))
    )


def segments(trial: Mapping, store: Store, rule: Rule) -> np.ndarray:
    """(T, 2) samples of a video's frames. Raises InputError if time or sound is not stored."""
    facts = arrays.facts(trial, SOUND_REQUEST, store)
    times = np.asarray(arrays.read(trial, EXPORT_REQUESTS[0], store))
    return sound.segments(
        times, facts["shape"][0], facts["t0"], facts["rate"], rule.anchor, rule.seconds
    )


@dataclass(frozen=True)
class Plan:
    """What remains to be written for one video: `frames`, missing `files`, `size` in bytes on
    disk.
    """

    frames: int
    files: int
    size: int


def plan(trial: Mapping, store: Store, rule: Rule, out: Path) -> Plan:
    """Raises InputError when the folder's files were cut by another rule or from another sound."""
    bounds = segments(trial, store, rule)
    left = bounds[_missing(trial, store, rule, out, len(bounds))]
    content = HEADER + 2 * np.maximum(left[:, 1] - left[:, 0], 0)
    return Plan(len(bounds), len(left), int(np.sum(-(-content // BLOCK) * BLOCK)))


def free(out: Path) -> int:
    """Free bytes where `out` is or will be."""
    return shutil.disk_usage(
        next(path for path in (out, *out.absolute().parents) if path.exists())
    ).free


def check_space(out: Path, needed: int) -> None:
    """Raises InputError when there is less space than `needed` (bytes)."""
    if needed > free(out):
        raise InputError(
            f"one wav per frame needs {needed / 1e9:.1f} GB, {free(out) / 1e9:.1f} GB are free",
            where=out,
            expected="room for all files",
            todo="choose another disk with --out, or fewer `trials`: "
            "networks here cut their segments from one array per video, without these files",
        )


def _missing(trial: Mapping, store: Store, rule: Rule, out: Path, n_frames: int) -> np.ndarray:
    """Frames (from 0) whose file is not there yet."""
    folder, label = files.named(out, trial["video"]), _label(trial, store, rule)
    beside = _beside(folder)
    if beside.is_file() and (recorded := files.read_json(beside, REMEDY)) != label:
        raise InputError(
            f"this folder has files of another kind: {recorded}",
            where=folder,
            expected=str(label),
            todo=REMEDY,
        )
    names = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return np.array([k for k in range(n_frames) if f"{k + 1}.wav" not in names], np.int64)


REMEDY = "remove this folder of sounds with the .json beside it, or give another --out"


def _beside(folder: Path) -> Path:
    """Beside the folder, not in it: some programs take every file in it for a wav."""
    return folder.with_name(f"{folder.name}.json")


def _label(trial: Mapping, store: Store, rule: Rule) -> dict:
    digits = {str(item): arrays.locate(trial, item, store).digits for item in EXPORT_REQUESTS}
    return {"rule": str(rule), "rate": SOUND_RATE, "made_from": digits}


def write(trial: Mapping, store: Store, rule: Rule, out: Path) -> str:
    """Write the missing files of one video; returns how many. Files are written atomically."""
    samples, folder = arrays.read(trial, SOUND_REQUEST, store), files.named(out, trial["video"])
    bounds = segments(trial, store, rule)
    left = _missing(trial, store, rule, out, len(bounds))
    with explain_full_disk(folder):
        files.create_folder(folder)
        clear_leftovers(out, f".{glob.escape(_beside(folder).name)}.*.part", deep=False)
        write_text(_beside(folder), json.dumps(_label(trial, store, rule)))
        clear_leftovers(folder, deep=False)  # of a process that was killed
        with temporary_name(folder / "frame.wav") as part:
            for frame in left:
                part.write_bytes(writing.wav(sound.cut(samples, *bounds[frame]), SOUND_RATE))
                part.replace(folder / f"{frame + 1}.wav")
    return f"{len(left)} files"


LABEL_FOLDER = "preprocessed_VA_annotations"  # the name that programs derived from JCA's use
LABEL_FOLDERS = {
    "va": LABEL_FOLDER,
    "expression": "preprocessed_EX_annotations",
    "action_units": "preprocessed_AU_annotations",
}


def export_labels(
    table: pd.DataFrame,
    store: Store,
    mismatch: str,
    index_column: bool = False,
    folder: Path | None = None,
    kind: str = "va",
) -> list[Path]:
    """Write ``<folder>/{train,val,test}/<trial>.csv``: `img,V,A,frame_id`; a trial without labels
    gets the test form with every frame.

    folder : `preprocessed_VA_annotations` of the data set's processed folder unless it is given.
    kind : "expression" and "action_units" write their own columns to their own folder, of trials
        with such labels.
    """
    folder, written = folder or store.folder / LABEL_FOLDERS[kind], []
    clear_leftovers(folder)  # of a process that was killed
    for trial in table.to_dict("records"):
        name, annotated = trial["trial"], trial[f"{kind}_path"]
        if kind != "va" and not annotated:
            continue
        rows = np.asarray(arrays.read(trial, request(kind, mismatch=mismatch), store))
        if kind != "va":
            shown = official.to_class_table(name, kind, rows, index_column)
        elif annotated:
            shown = official.to_csv_table(name, rows, index_column)
        else:
            shown = official.test_table(name, len(rows), index_column)
        written.append(
            official.write_csv(shown, files.named(folder / trial["split"], name, ".csv"))
        )
    return written
