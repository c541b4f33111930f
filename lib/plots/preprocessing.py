"""Tables and pictures of notebooks 01–05: what was made, what was lost and why, one trial at a
time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays, plots
from ..errors import InputError
from ..files import existing
from ..media import frames, sound
from ..media.sound import SOUND_RATE, START_RATE
from ..metrics import EMOTIONS
from ..parallel import processes
from ..store import Request, Store, request
from ..trials import has_picture, in_people_order
from . import viewer

VIEW_SECONDS = 8.0  # s of sound in a picture; with more the frame ticks merge
STRIP_FACES = 12  # pictures in a strip
_SMALL = request("pixels")
NO_SOUND = "there is no recording with sound to show"
# least power, and share of the loudest, that is drawn: 80 dB
LEAST_POWER, LEAST_SHARE = 1e-10, 1e-8


def show(table: pd.DataFrame, nothing: str = ""):
    """The table without row numbers, or the sentence `nothing` when it has no rows."""
    return viewer.table(table, nothing)


def machine(folder: Path) -> pd.DataFrame:
    """Space on the disk of `folder`, processors, memory, and the device that networks use."""
    from ..models import device  # torch takes seconds to import

    path = existing(folder)
    disk = shutil.disk_usage(path)
    pages = (
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    )
    cores = processes.available_processors()
    rows = [
        ("free disk space", f"{disk.free / 1e9:.0f} of {disk.total / 1e9:.0f} GB", str(path)),
        ("processors", str(cores), platform.processor() or platform.machine()),
        ("memory", f"{pages / 1e9:.0f} GB", ""),
        ("networks run on", str(device.pick()), ""),
    ]
    return pd.DataFrame(rows, columns=["what", "found", "where"])


def row(table: pd.DataFrame, name: str) -> dict:
    """The trial of that name as a mapping."""
    return table[table["trial"] == name].iloc[0].to_dict()


def face_strip(table: pd.DataFrame, store: Store, size: int, note: str, name: str):
    """Faces of the trial `name`, evenly spaced in time; hatched where there is sound only, or where
    no network asks for faces. Where none asks for this size, what trivial predictors see is shown.
    """
    trial, face_request = row(table, name), request("face", size=size)
    seen = has_picture(trial) and arrays.is_there(trial, request("face_valid"), store)
    if not (
        seen
        and any(
            arrays.is_there(trial, array_request, store) for array_request in (face_request, _SMALL)
        )
    ):
        nothing = np.zeros((STRIP_FACES, 1, 1))
        times = np.linspace(0, trial["duration"], STRIP_FACES)
        why = "no network asks for faces" if has_picture(trial) else "sound only"
        title = f"trial {name}: {why}"
        return plots.face_strip(nothing, times, nothing[:, 0, 0], title=title, note=note)
    times = arrays.read(trial, request("time"), store)
    chosen = np.linspace(0, len(times) - 1, STRIP_FACES).round().astype(int)
    title = f"trial {name}"
    if arrays.is_there(trial, face_request, store):
        faces = arrays.opened(trial, face_request, store)
        pictures, valid = faces.read(chosen), faces.valid[chosen]
    else:
        pictures = arrays.read(trial, _SMALL, store)[chosen]
        valid = np.asarray(arrays.read(trial, request("face_valid"), store))[chosen]
        title += f": no network asks for faces of {size} px; {pictures.shape[1]} px of each"
    return plots.face_strip(pictures, times[chosen], valid, title=title, note=note)


def faces_found(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Columns trial, frames, faces, share: how many frames of trials with a picture have a face;
    without trials whose faces no network asks for.
    """
    rows, face_valid = [], request("face_valid")
    for trial in filter(has_picture, table.to_dict("records")):
        if not arrays.is_there(trial, face_valid, store):
            continue
        valid = arrays.read(trial, face_valid, store)
        rows.append([trial["trial"], len(valid), int(valid.sum()), float(valid.mean())])
    return pd.DataFrame(rows, columns=["trial", "frames", "faces", "share"])


def with_sound(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """The trials of a table whose sound is in the store; a network that uses pictures only needs
    none.
    """
    has_sound = []
    for trial in table.to_dict("records"):
        located = None
        with contextlib.suppress(InputError):  # its video has no sound
            located = arrays.locate(trial, request("audio_44k", rate=SOUND_RATE), store)
        has_sound.append(located is not None and located.exists)
    return table[np.array(has_sound, bool)]


def sound_view(table: pd.DataFrame, store: Store, note: str, name: str):
    """Waveform, mel spectrogram and frame grid of the first seconds of the trial `name`."""
    trial = row(table, name)
    audio = request("audio_44k", rate=SOUND_RATE)
    samples, facts = arrays.read(trial, audio, store), arrays.facts(trial, audio, store)
    times = np.asarray(arrays.read(trial, request("time"), store))
    start = min(times[0], facts["t0"])
    stop = min(start + VIEW_SECONDS, max(times[-1], facts["t0"] + len(samples) / SOUND_RATE))
    # Columns, from the first sample on.
    count = max(0, int(np.ceil((stop - facts["t0"]) * START_RATE)))
    return plots.sound_view(
        sound.as_float(samples[: count * SOUND_RATE // START_RATE]),
        SOUND_RATE,
        facts["t0"],
        decibels(trial, store, count),
        times[times <= stop],
        span=(start, stop),
        title=f"trial {name}",
        note=note,
    )


def decibels(trial: dict, store: Store, count: int | None = None) -> np.ndarray:
    """(64, columns) mel spectrogram in dB, 80 dB deep, its first `count` columns or all; computed
    for the picture if the recipe needs none.
    """
    if not arrays.locate(trial, request("mel"), store).exists:
        arrays.make(trial, request("mel"), store)
    power = arrays.read(trial, request("mel"), store)[:count]  # (columns, 64)
    levels = np.maximum(power, power.max(initial=LEAST_POWER) * LEAST_SHARE)
    np.log10(levels, out=levels)  # in place: an hour of columns takes 92 MB
    levels *= 10
    return levels.T


def sound_offsets(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Per video with sound: how much later it starts, and how much later it ends, than the picture,
    in ms; the largest offset first, equal ones in natural order.
    """
    rows: list[dict] = []
    table = with_sound(table, store)
    for trial in table.drop_duplicates("video").to_dict("records"):
        audio = request("audio_44k", rate=SOUND_RATE)
        facts = arrays.facts(trial, audio, store)
        times = arrays.read(trial, request("time"), store)
        end = facts["t0"] + facts["shape"][0] / facts["rate"]
        last_shown = frames.spacing(times)  # s, the last frame's own duration
        rows.append(
            {
                "video": trial["video"],
                "starts_later_ms": round(1000 * (facts["t0"] - times[0])),
                "ends_later_ms": round(1000 * (end - times[-1] - last_shown)),
            }
        )
    columns = ["video", "starts_later_ms", "ends_later_ms"]
    offsets = in_people_order(pd.DataFrame(rows, columns=columns), "video")
    worst_first = np.argsort(-offsets["starts_later_ms"].abs().to_numpy(), kind="stable")
    return offsets.iloc[worst_first].reset_index(drop=True)


def label_summary(table: pd.DataFrame, wanted: Iterable[Request], store: Store) -> pd.DataFrame:
    """A row per split and kind of label: trials, frames, share labelled, mean or classes."""
    rows = []
    for split, of_split in table.groupby("split", sort=False):
        for item in wanted:
            values = [
                np.asarray(arrays.read(row, item, store)) for row in of_split.to_dict("records")
            ]
            known = [
                np.isfinite(v).all(axis=1) if item.name == "va" else (np.c_[v] >= 0).any(axis=1)
                for v in values
            ]
            row = {
                "split": split,
                "labels": item.name,
                "trials": len(values),
                "frames": sum(map(len, values)),
                "labelled": f"{np.concatenate(known).mean():.1%}",
            }
            if item.name == "va" and any(k.any() for k in known):
                every = np.concatenate([v[k] for v, k in zip(values, known, strict=True)])
                row |= dict(
                    zip(("mean valence", "mean arousal"), every.mean(0).round(2), strict=True)
                )
                row |= dict(zip(("sd valence", "sd arousal"), every.std(0).round(2), strict=True))
                row["correlation"] = round(float(np.corrcoef(every.T)[0, 1]), 2)
            elif item.name == "expression" and any(k.any() for k in known):
                every = np.concatenate([v[k] for v, k in zip(values, known, strict=True)])
                row["most frequent"] = Counter(every.tolist()).most_common(1)[0][0]
            rows.append(row)
    return pd.DataFrame(rows)


def agreement(table: pd.DataFrame, store: Store, mismatch: str = "fit") -> pd.DataFrame:
    """Mean pairwise CCC of a trial's annotators: trial, annotators, valence, arousal."""
    rows = []
    for trial in table[table["va_path"] != ""].to_dict("records"):
        facts = arrays.facts(trial, request("va", mismatch=mismatch), store)
        if "annotators" in facts:
            rows.append(
                {
                    "trial": trial["trial"],
                    **{name: facts[name] for name in ("annotators", *EMOTIONS)},
                }
            )
    agreements = pd.DataFrame(rows, columns=["trial", "annotators", *EMOTIONS])
    mean = {
        "trial": "mean of all",
        "annotators": "",
        **{emotion: agreements[emotion].mean() for emotion in EMOTIONS},
    }
    if len(agreements) < 2:
        return agreements
    return pd.concat([agreements, pd.DataFrame([mean])])


def label_traces(table: pd.DataFrame, store: Store, mismatch: str, note: str, name: str):
    """Valence and arousal of the trial `name` over time, unlabelled stretches shaded."""
    trial = row(table, name)
    times = np.asarray(arrays.read(trial, request("time"), store))
    return plots.va_traces(
        times,
        np.asarray(arrays.read(trial, request("va", mismatch=mismatch), store)),
        title=f"trial {name}",
        note=note,
    )
