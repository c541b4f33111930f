"""What the next steps will cost on this machine: files and networks, measured for a while, scaled to all frames."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lib import arrays, declarations, params, runs
from lib.errors import InputError
from lib.makers import BASELINES
from lib.store import Request, Store, request

# Whatever the recipe: what notebooks 02 to 04 make of every trial. Faces of the published size.
USUAL = (request("time"), request("face_valid"), request("face", size=112), request("mel"),
         request("va", mismatch="fit"), *BASELINES)
BATCH = 2         # samples at once: enough to measure, and no more memory than a training needs
OF_A_NETWORK = ("recipe", "modality", "backbone_run", "features", "width", "face_size", "audio_seconds", "steps",
                "options")
LOOK_BACK = 1.07  # s: 32 frames at 30 fps, where `audio_seconds` is 0 (tsav_jca.md §2.2)
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


def measure_networks(table: pd.DataFrame, values: Mapping, seconds: float) -> pd.DataFrame:
    """What the networks of an experiment will cost: columns step, hours, GB needed; empty without time or trials.

    Arguments
    ---------
    values : parameters of the experiment, as far as they are known (``params.yaml`` of its run folder); the others
        have their defaults. A method that is built on a backbone has the backbone's features in it; with
        `predict_run` nothing is trained, and the sizes are that run's.
    seconds : time to measure; each network makes one step forward and one of training at least.

    Every frame is computed once; in training as many as `frame_step` leaves, or one step of each sequence.
    """
    if not seconds or not table["n_frames"].sum():
        return pd.DataFrame(columns=["step", "hours", "GB needed"])
    from lib import device, models  # torch is needed for this table only
    p = params.Params(params.complete({**values, **_trained(values)}))
    place, rows, sizes = device.pick(p.device), [], {}
    frames = table.groupby("split")["n_frames"].sum()
    if p.backbone_run:
        net, seen = _network("tsav_backbone", p, {})
        cost = _seconds(net, seen, place, seconds / 2)
        sizes = {"visual_channels": cost["visual"] // _positions(p), "visual_positions": _positions(p),
                 "audio_channels": cost["audio"]}
        rows.append((f"02, 03: features of {p.backbone_run} (width {p.width:g})", frames.sum() * cost["forward"],
                     2 * frames.sum() * (cost["visual"] // (1 if p.features == "positions" else _positions(p))
                                         + cost["audio"])))
    if p.recipe not in models.REGISTRY:  # the sizes of its network are those of arrays that are not there yet
        return _in_hours(rows, place)
    net, seen = _network(p.recipe, p, sizes)
    cost = _seconds(net, seen, place, seconds / 2)
    steps = p.steps if p.backbone_run else 1
    learnt = frames.get("train", 0) / p.options.get("frame_step", 1) / steps * p.epochs
    if not p.predict_run:
        rows.append((f"05_train: {p.recipe}, width {p.width:g}, {p.epochs} epochs", learnt * cost["training"],
                     2 * 3 * cost["weights"]))  # best and last checkpoint, with both moments of the optimiser
    predicted = frames.reindex(p.splits).sum()
    rows.append((f"06_inference: {p.recipe}, width {p.width:g}", predicted / steps * cost["forward"], 0))
    return _in_hours(rows, place)


def _in_hours(rows: list[tuple], place) -> pd.DataFrame:
    return pd.DataFrame([(f"{step} on {place.type}", took / 3600, size / 1e9) for step, took, size in rows],
                        columns=["step", "hours", "GB needed"])


def _trained(values: Mapping) -> dict:
    """What `predict_run` was trained with, where that is a run."""
    folder = Path(values.get("runs_root", "runs")) / (values.get("predict_run") or " ")
    before = runs.parameters(declarations.ROOT / folder)
    return {name: before[name] for name in OF_A_NETWORK if name in before}


def _positions(p: Mapping) -> int:
    """Of the last map of R(2+1)D-18, whose stages halve a face four times."""
    return (-(-p["face_size"] // 16)) ** 2


def _network(name: str, p: Mapping, sizes: Mapping) -> tuple:
    """A network in the sizes of the experiment, and random inputs for two samples."""
    import torch

    from lib import models
    wanted = {**p, **p["options"], **sizes, "audio_seconds": p["audio_seconds"] or LOOK_BACK}
    if p["features"] != "positions" and sizes:
        wanted["visual_positions"] = 1
    net = models.create(name, **{option: wanted[option] for option in models.options(name) if option in wanted})
    letters = {"M": 1 + round(100 * wanted["audio_seconds"]), "L": p["steps"]}  # columns, steps
    shapes = {key: [letters.get(part) or int(part) for part in shape.strip("()").split(", ")[1:]]
              for key, shape in net.inputs.items() if key != "valid"}
    return net, {key: torch.rand(BATCH, *shape) for key, shape in shapes.items()}


def _seconds(net, seen: Mapping, place, seconds: float) -> dict:
    """Seconds a sample, forward and in training; bytes of all weights; columns of each output."""
    net, seen = net.to(place), {name: value.to(place) for name, value in seen.items()}
    sizes: dict = {"weights": sum(4 * weight.numel() for weight in net.parameters())}

    def forward():
        outputs = net(seen)
        sizes.update({name: value.shape[-1] for name, value in outputs.items()})
        return sum(value.float().sum() for value in outputs.values())

    for kind, work in (("forward", lambda: forward().item()), ("training", lambda: forward().backward())):
        work()  # the first one also plans
        start, count = time.monotonic(), 0
        while not count or time.monotonic() < start + seconds / 4:
            work()
            count += 1
        if place.type == "cuda":
            forward().item()  # waits for what is still computed
        sizes[kind] = (time.monotonic() - start) / count / BATCH
    return sizes


def forecast(measured: pd.DataFrame, table: pd.DataFrame, folder: Path, workers: int,
             networks: pd.DataFrame | None = None) -> pd.DataFrame:
    """Columns step, hours (with so many workers), GB needed, GB free, enough: for all frames of the trial table.

    measured : of `measure`. networks : of `measure_networks`; its hours are those of one device.
    """
    frames, free = int(table["n_frames"].sum()), shutil.disk_usage(_existing(folder)).free
    rows, together = [], 0.0
    steps = [(step, frames * some["seconds"].sum() / max(1, workers) / 3600, frames * some["bytes"].sum() / 1e9)
             for step, some in measured.groupby("step")]
    for step, hours, needed in [*steps, *([] if networks is None else networks.itertuples(index=False, name=None))]:
        together += needed
        rows.append({"step": step, "hours": hours, "GB needed": needed, "GB free": free / 1e9,
                     "enough": "yes" if together < free / 1e9 else "NO"})
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
