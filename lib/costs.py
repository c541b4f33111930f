"""What the next steps will cost on this machine: a short measurement on the shortest trials, scaled to all frames."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lib import arrays
from lib.errors import InputError
from lib.makers import BASELINES
from lib.store import Request, Store, request

# Whatever the recipe: what notebooks 02 to 04 make of every trial. Faces of the published size.
USUAL = (request("time"), request("face_valid"), request("face", size=112), request("mel"),
         request("va", mismatch="fit"), *BASELINES)
STEPS = {"visual": "02_preprocess_visual", "audio": "03_preprocess_audio", "labels": "04_preprocess_labels"}


def measure(table: pd.DataFrame, place: Store, seconds: float, wanted: Iterable[Request] = USUAL,
            pack: bool = True) -> pd.DataFrame:
    """Make arrays of the shortest trials in a temporary folder until the time is up.

    Returns one row an array: step, array, seconds and bytes for a frame, frames measured. What a trial cannot give
    (no sound) is left out. The last array is finished, so that one very long recording can take more time.
    """
    rows, end = [], time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="costs-", dir=_existing(place.folder)) as folder:
        trial_store = Store(Path(folder), place.dataset, place.data_root)
        for trial in table[table["n_frames"] > 0].sort_values("n_frames").to_dict("records"):
            for item in wanted:
                if time.monotonic() >= end:
                    break
                try:
                    row = arrays.make(trial, item, trial_store, pack=pack)
                except InputError:
                    continue  # the check report names it
                path = Path(row["path"])
                size = path.stat().st_size if path.is_file() else 0
                rows.append({"step": STEPS[arrays.maker_of(item).step], "array": str(item), "frames": trial["n_frames"],
                             "seconds": row["seconds"], "bytes": size})
    sums = pd.DataFrame(rows, columns=["step", "array", "frames", "seconds", "bytes"])
    sums = sums.groupby(["step", "array"], sort=False).sum().reset_index()
    return sums.assign(seconds=sums["seconds"] / sums["frames"], bytes=sums["bytes"] / sums["frames"])


def forecast(measured: pd.DataFrame, table: pd.DataFrame, folder: Path, workers: int) -> pd.DataFrame:
    """Columns step, hours (with so many workers), GB needed, GB free, enough: for all frames of the trial table."""
    frames, free = int(table["n_frames"].sum()), shutil.disk_usage(_existing(folder)).free
    rows, together = [], 0.0
    for step, some in measured.groupby("step"):
        needed = frames * some["bytes"].sum()
        together += needed
        rows.append({"step": step, "hours": frames * some["seconds"].sum() / max(1, workers) / 3600,
                     "GB needed": needed / 1e9, "GB free": free / 1e9, "enough": "yes" if together < free else "NO"})
    return pd.DataFrame(rows, columns=["step", "hours", "GB needed", "GB free", "enough"]).round(
        {"hours": 3, "GB needed": 3, "GB free": 1})


def features(recipe, table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """What the features of a trained network will take on disk: array, frames, GB needed, GB free, enough.

    Empty for a recipe that has none. All trials count, also those whose features are there already.
    """
    frames, free = int(table["n_frames"].sum()), shutil.disk_usage(_existing(folder)).free
    rows, together = [], 0
    for name, size in recipe.bytes_a_frame().items():
        together += frames * size
        rows.append([name, frames, frames * size / 1e9, free / 1e9, "yes" if together < free else "NO"])
    return pd.DataFrame(rows, columns=["array", "frames", "GB needed", "GB free", "enough"]).round(3)


def _existing(folder: Path) -> Path:
    return next(path for path in (Path(folder), *Path(folder).parents) if path.is_dir())
