"""Forecast of what the next steps cost on this machine: measured briefly, scaled to all frames."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from .. import arrays as arrays_module
from .. import files, parameters, runs
from ..errors import InputError
from ..evaluation.baselines import REQUESTS as BASELINES
from ..faces import arrays
from ..parallel.progress import span
from ..store import Request, Store, request

# Arrays that notebooks 02 to 04 make of every trial, whatever the recipe; faces in the published
# size.
USUAL = (
    request("time"),
    request("face_valid"),
    request("face", size=112),
    request("mel"),
    request("va", mismatch="fit"),
    *BASELINES,
)
BATCH = 2  # samples per batch at first: a published network in batches of 64 would take minutes
MIN_SECONDS = 2.0  # s for a larger batch at least
FIXED_TIME_SHARE = 0.5  # of a sample's time in a measured batch, which a larger batch cannot save
OF_A_NETWORK = (
    "recipe",
    "modality",
    "backbone_run",
    "features",
    "width",
    "face_size",
    "audio_seconds",
    "steps",
    "options",
)


def usual(values: Mapping) -> tuple[Request, ...]:
    """`USUAL` with faces in the size that an experiment's parameters say."""
    face = request("face", size=values.get("face_size", 112))
    return tuple(face if item.name == "face" else item for item in USUAL)


def measure(
    table: pd.DataFrame,
    store: Store,
    seconds: float,
    wanted: Iterable[Request] = USUAL,
    pack: bool = True,
) -> pd.DataFrame:
    """Make arrays of the shortest trials in a temporary folder until the time is up.

    Returns one row per array: step, array, seconds per frame, bytes per frame, frames measured; the
    inputs of an array count with the first array that needs them. Arrays that a trial cannot have
    (no sound) are left out. Nothing is downloaded: if the face detector is missing, the step says
    that its numbers do not include finding faces. The array in hand is finished, so one very long
    recording can take more time.
    """
    rows, end = [], time.monotonic() + seconds
    absent = [file for file in arrays.detector(table, store) if not file.is_file()]
    with files.temporary_folder(files.existing(store.folder), "costs") as folder:
        scratch_store = replace(
            store, processed_root=folder, weights_root=None if absent else store.weights_root
        )
        for trial in table[table["n_frames"] > 0].sort_values("n_frames").to_dict("records"):
            for item in wanted:
                if time.monotonic() >= end:
                    break
                before = _bytes(scratch_store.folder)
                try:
                    row = arrays_module.make(trial, item, scratch_store, pack=pack)
                except InputError:
                    continue  # the check report names the error
                step = arrays_module.NOTEBOOKS[arrays_module.maker_of(item).step]
                if absent and step == arrays_module.NOTEBOOKS["visual"]:
                    step += f" (without finding faces: {absent[0].name} is not there)"
                size = _bytes(scratch_store.folder) - before
                rows.append([step, str(item), trial["n_frames"], row["seconds"], size])
    sums = pd.DataFrame(rows, columns=["step", "array", "frames", "seconds", "bytes"])
    sums = sums.groupby(["step", "array"], sort=False).sum().reset_index()
    return sums.assign(
        seconds=sums["seconds"] / sums["frames"], bytes=sums["bytes"] / sums["frames"]
    )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.npy"))


def measure_networks(table: pd.DataFrame, values: Mapping, seconds: float) -> pd.DataFrame:
    """Forecast for the networks of an experiment: columns step, hours, GB needed; empty without
    time or trials.

    Arguments
    ---------
    values : known parameters of the experiment (``params.yaml`` of its run folder); all others have
        their defaults. For a method on a backbone the backbone's features are included; with
        `predict_run` nothing is trained, and the sizes are those of that run.
    seconds : time to measure; each network makes at least one forward step and one training step.

    The recipe's `sketch` says what a sample is and for how many frames it stands.
    """
    if not seconds or not table["n_frames"].sum():
        return pd.DataFrame(columns=["step", "hours", "GB needed"])
    from .. import recipes  # torch is needed for this table only
    from ..models import device

    p = parameters.placed({**values, **_trained(values)})
    recipe, torch_device, rows = recipes.create(p.recipe, p, None), device.pick(p.device), []
    frames = table.groupby("split")["n_frames"].sum()
    if p.backbone_run and (sketch := recipe.sketch_of_features()):
        cost = _seconds(sketch, torch_device, seconds / 2, ("forward",))
        seconds_of_all = frames.sum() / sketch.frames * cost["forward"]
        step = f"02, 03: features of {p.backbone_run}"
        rows.append((step, seconds_of_all, frames.sum() * sketch.kept))
    sketch = recipe.sketch()
    if sketch is None:
        return _in_hours(rows, torch_device)
    kinds = ("forward",) if p.predict_run else ("forward", "training")
    cost = _seconds(sketch, torch_device, seconds / 2, kinds, p.batch_size)
    if not p.predict_run:
        learnt = frames.get("train", 0) / sketch.learnt * p.epochs
        judged = frames.get("val", 0) / sketch.frames / p.val_every * p.epochs
        weights = sum(4 * weight.numel() for weight in sketch.net.parameters())
        step = frames.get("train", 0) / max(1.0, frames.get("train", 0) / sketch.learnt)
        sampling = f"every {step:.0f}th frame, " if sketch.frames == 1 < step else ""
        rows.append(
            (
                f"05_train: {p.recipe}, width {p.width:g}, {sampling}{p.epochs} epochs",
                learnt * cost["training"] + judged * cost["forward"],
                2 * 3 * weights,
            )
        )  # best and last checkpoint, each with both moments of the optimiser
    predicted = frames.reindex(p.splits).sum() / sketch.frames
    rows.append((f"06_inference: {p.recipe}, width {p.width:g}", predicted * cost["forward"], 0))
    return _in_hours(rows, torch_device)


def _in_hours(rows: list[tuple], torch_device) -> pd.DataFrame:
    return pd.DataFrame(
        [(f"{step} on {torch_device.type}", took / 3600, size / 1e9) for step, took, size in rows],
        columns=["step", "hours", "GB needed"],
    )


def _trained(values: Mapping) -> dict:
    """The parameters that `predict_run` was trained with, if it names a run."""
    folder = Path(values.get("runs_root", "runs")) / (values.get("predict_run") or " ")
    before = runs.parameters(files.ROOT / folder)
    return {name: before[name] for name in OF_A_NETWORK if name in before}


def _seconds(
    sketch, torch_device, seconds: float, kinds: Iterable[str], most: int = BATCH
) -> dict[str, float]:
    """Seconds per sample of a network (`lib.recipes.base.Sketch`): forward, and in training.

    most : batch size of the experiment. A narrow network takes several times as long per sample in
    a batch of two as in such a batch, so two are measured first, then as many as time allows, and
    what a batch costs besides its samples is spread over `most`.
    """
    import torch

    net = sketch.net.to(torch_device)
    by_kind = {}
    for kind in kinds:
        share = seconds * (0.75 if kind == "training" else 0.25)
        end = time.monotonic() + share
        with torch.set_grad_enabled(kind == "training"):
            count = min(BATCH, most)
            took = _a_batch(sketch, net, torch_device, kind == "training", count)
            # However long the first steps took to plan.
            left = max(end - time.monotonic(), MIN_SECONDS)
            larger = min(most, int(left / (2 * took / count)))
            if larger > count:
                other = _a_batch(sketch, net, torch_device, kind == "training", larger)
                by_kind[kind] = _a_sample((count, took), (larger, other), most)
            else:
                by_kind[kind] = took / count
    return by_kind


def _a_sample(small: tuple[int, float], large: tuple[int, float], most: int) -> float:
    """Seconds per sample in a batch of `most`, of two batches (samples, seconds), by a straight
    line through both. A sample counts at least `FIXED_TIME_SHARE` of what it took in the large
    batch: two measurements of a busy machine may lie anywhere.
    """
    (few, quick), (many, slow) = small, large
    per_sample = min(
        max((slow - quick) / (many - few), FIXED_TIME_SHARE * slow / many), slow / many
    )
    return per_sample + (slow - per_sample * many) / most


def _a_batch(sketch, net, torch_device, training: bool, count: int) -> float:
    """Seconds of a batch of that size."""
    import torch

    seen = {
        name: torch.rand(count, *shape, device=torch_device)
        for name, shape in sketch.shapes.items()
    }
    _work(net, seen, training)  # the first step also plans
    start = time.monotonic()
    _work(net, seen, training)
    return max(1e-9, time.monotonic() - start)


def _work(net, seen: Mapping, training: bool) -> None:
    """One forward pass of a batch, and a backward pass in training; waits for a GPU to finish."""
    total = _total(net.train(training)(seen))
    if training:
        total.backward()
    total.item()


def _total(outputs: Mapping):
    return sum(values.float().sum() for values in outputs.values())


def forecast(
    measured: pd.DataFrame,
    table: pd.DataFrame,
    folder: Path,
    workers: int,
    networks: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Columns step, time (with so many workers, as ``1 h 20 min``), GB needed, GB free, enough: for
    all frames of the trial table.

    measured : of `measure`. networks : of `measure_networks`; its hours are those of one device.
    """
    frames, free = int(table["n_frames"].sum()), shutil.disk_usage(files.existing(folder)).free
    rows, steps, free = [], [], free / 1e9
    for step, step_rows in measured.groupby("step"):
        hours = frames * step_rows["seconds"].sum() / max(1, workers) / 3600
        steps.append((step, hours, frames * step_rows["bytes"].sum() / 1e9))
    if networks is not None:
        steps += networks.itertuples(index=False, name=None)
    together = 0.0
    for step, hours, needed in steps:
        together += needed
        enough = "yes" if together < free else "NO"
        rows.append([step, span(3600 * hours), needed, free, enough])
    table = pd.DataFrame(rows, columns=["step", "time", "GB needed", "GB free", "enough"])
    return table.round({"GB needed": 3, "GB free": 1})


def features(recipe, table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Disk space for the features of a trained network: array, frames, GB needed, GB free, enough,
    licence.

    Empty for a recipe without such features. All trials count, also those whose features exist
    already. licence : of published weights.
    """
    frames, free = int(table["n_frames"].sum()), shutil.disk_usage(files.existing(folder)).free
    rows, together = [], 0
    for name, size in recipe.bytes_a_frame().items():
        together += frames * size
        enough, licence = "yes" if together < free else "NO", recipe.licence_of_features()
        rows.append([name, frames, frames * size / 1e9, free / 1e9, enough, licence])
    columns = ["array", "frames", "GB needed", "GB free", "enough", "licence"]
    return pd.DataFrame(rows, columns=columns).round(3)
