"""A tiny set of labelled recordings without media files: a voice, a face's numbers, and files of
one's own. One recording is silent, one has no picture, one shows no face.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lib import parameters, recipes, trials
from lib.features import mfcc_chroma
from lib.store import Store, request
from tests import tiny_set

FPS, CLASSES, SPEED = 24.0, 3, 1.1  # no row lies in the middle between two frames
TRIALS = [f"plain_{number}" for number in range(6)] + ["silent", "blind", "faceless"]
VAL = ("plain_4", "plain_5")
SLOW = {"model": "nobody/slow", "of": "faces", "rate": 5.0}  # an encoder with five rows per second
SMALL = {
    "recipe": "utterance",
    "width": 0.125,
    "face_size": 32,
    "epochs": 2,
    "batch_size": 4,
    "lr": 0.01,
    "workers": 0,
    "device": "cpu",
    "val_every": 4,
    "bootstrap": 20,
}


def store(root: Path) -> Store:
    return Store(root / "processed", "tiny", root / "data")


def frames(trial: str) -> int:
    return 20 + 2 * TRIALS.index(trial)


def label(trial: str) -> int:
    return TRIALS.index(trial) % CLASSES


def recipe(root: Path, features: list[str], **changes):
    """The recipe on the set in `root`; `options` are added to the usual ones."""
    options = {"features": features, "classes": CLASSES, "speeds": [1.0, SPEED], "hidden": 8}
    options |= changes.pop("options", {})
    places = {f"{name}_root": str(root / name) for name in ("data", "processed", "runs")}
    full = parameters.complete({**SMALL, **places, **changes, "options": options})
    values = {name: Path(v) if name.endswith("_root") else v for name, v in full.items()}
    return recipes.create("utterance", parameters.Params(values), store(root))


def table(root: Path):
    return trials.read(store(root).trials_path)


def make(root: Path) -> Path:
    """Write the set; returns `root`."""
    place = store(root)
    rows = [_row(trial) for trial in TRIALS]
    trials.write(trials.table(rows), place.trials_path)
    for number, row in enumerate(rows):
        generator = np.random.default_rng(number)
        _write_labels(place, row["trial"])
        if row["audio_path"]:
            _write_sound(place, row["trial"], generator)
        if row["video_path"]:
            _write_faces(place, row["trial"], generator)
        folder = root / "data" / "features" / row["trial"]
        folder.mkdir(parents=True)
        mine = generator.normal(label(row["trial"]), 1, (round(10 * frames(row["trial"]) / FPS), 2))
        np.save(folder / "mine.npy", mine.astype(np.float32))  # ten rows per second
    return root


def _row(trial: str) -> dict:
    seen, heard = trial != "blind", trial != "silent"
    return {
        "trial": trial,
        "video": trial,
        "split": "val" if trial in VAL else "train",
        "dataset": "tiny",
        "subject": trial,
        "n_frames": frames(trial),
        "fps": FPS,
        "duration": frames(trial) / FPS,
        "video_path": f"{trial}.mp4" if seen else "",
        "audio_path": f"{trial}.mp4" if heard else "",
        "crops_dir": f"crops/{trial}" if seen else "",
        "va_path": f"VA_Set/{trial}.txt",
        "expression_path": f"EXPR_Set/{trial}.txt",
    }


def _write_labels(place: Store, trial: str) -> None:
    count = frames(trial)
    told = np.full((count, 2), label(trial) / 3 - 0.3, np.float32)
    tiny_set.write(place, trial, request("time"), np.arange(count) / FPS)
    tiny_set.write(place, trial, request("va", mismatch="fit"), told, note="")
    classes = np.full(count, label(trial), np.int8)
    tiny_set.write(place, trial, request("expression", mismatch="fit"), classes, note="")


def _write_sound(place: Store, trial: str, generator: np.random.Generator) -> None:
    """A voice from 0.1 s on, with pitch in three of four rows, and what there is per frame, or per
    42.7 ms.
    """
    _write_whole_sound(place, trial, np.random.default_rng(TRIALS.index(trial)))
    for speed in (1.0, SPEED):
        rate = 50.0 / speed
        rows = generator.normal(label(trial), 1, (int((frames(trial) / FPS - 0.2) * rate), 75))
        rows[::4, 64] = np.nan
        asked = request("voice") if speed == 1 else request("voice", speed=speed)
        tiny_set.write(place, trial, asked, rows.astype(np.float32), t0=0.1, rate=rate)
    for name, width in (("mfcc39", 39), ("egemaps", 23)):
        rows = generator.normal(label(trial), 1, (frames(trial), width))
        tiny_set.write(place, trial, request(name), rows.astype(np.float32))


def _write_whole_sound(place: Store, trial: str, generator: np.random.Generator) -> None:
    for speed in (1.0, SPEED):
        rate = 1 / (mfcc_chroma.PERIOD * speed)
        rows = generator.normal(label(trial), 1, (int(frames(trial) / FPS * rate), 46))
        asked = request("mfcc_chroma", **({} if speed == 1 else {"speed": speed}))
        tiny_set.write(place, trial, asked, rows.astype(np.float32), t0=0.01, rate=rate)


def _write_faces(place: Store, trial: str, generator: np.random.Generator) -> None:
    """Three of four faces are found, or none."""
    count = frames(trial)
    found = (np.arange(count) % 4 != 1) & (trial != "faceless")
    rows = generator.normal(label(trial), 1, (count, 256)).astype(np.float32)
    tiny_set.write(place, trial, request("face_valid"), found)
    tiny_set.write(place, trial, request("face_api"), np.where(found[:, None], rows, np.nan))
    slow = generator.normal(0, 1, (int(5 * count / FPS) + 1, 3)).astype(np.float32)
    asked = {"model": SLOW["model"], "rate": SLOW["rate"], "size": SMALL["face_size"]}
    tiny_set.write(place, trial, request("encoder_faces", **asked), slow)
