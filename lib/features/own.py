"""Features per frame from any source: files that a person computed, statistics of the sound, a
network of torchvision.

A file is ``<data root>/features/<trial>/<name>.npy``: (n, …) numbers, one row per video frame, or
at a rate of its own with a time array (n,) in s on the recording's clock beside it; or a table
(`lib.features.tables`), which may have a column of times. It becomes one row per frame, with
nothing missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..labels import annotators
from ..media.frames import spacing
from ..store import Maker, Request, brought, request
from . import tables

FOLDER = "features"
SUFFIXES = (".npy", *tables.SUFFIXES)
VERSIONS = {"feature": 1, "mel_statistics": 1, "frame_features": 1}
TOLERANCE_FRAMES = 2  # rows that may be too many or too few (decoders differ by that)
BEYOND = 1.0  # s by which features may end before or after the picture
LOUDEST = 1e-10  # floor of the power spectrogram, below any sound
AT_ONCE = 64  # pictures in a batch of `frame_features`

# What torchvision's weights were trained with (its documentation): mean and sd of red, green, blue.
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def sources_of_file(trial: Mapping, wanted: Request) -> dict:
    """The file of the trial, its time array if the request names one, and the frames' times."""
    folder = f"{FOLDER}/{trial['trial']}"
    sources = {"rows": f"{folder}/{wanted.parameters['file']}"}
    if wanted.parameters.get("time"):
        sources["rows_time"] = f"{folder}/{wanted.parameters['time']}"
    return {**sources, "time": request("time")}


def make_from_file(inputs: Mapping, parameters: Mapping, create: Callable, device: str) -> None:
    """Fill (T, k) float32; see `aligned`."""
    table = _read(inputs, parameters)
    values, note = aligned(
        table.rows,
        table.time,
        np.asarray(inputs["time"]),
        parameters.get("align", "auto"),
        parameters.get("rate", 0.0),
        parameters.get("missing", "refuse"),
        inputs["rows"],
    )
    facts = {"columns": table.names} if table.names else {}
    with create(values.shape, np.float32, note=table.note + note, **facts) as out:
        out[...] = values


def is_file(name: str) -> bool:
    """Whether a name in the option `features` is that of a person's file."""
    return name.lower().endswith(SUFFIXES)


def is_table(name: str) -> bool:
    """Whether a person's file is a table with named columns."""
    return name.lower().endswith(tables.SUFFIXES)


def _read(inputs: Mapping, parameters: Mapping) -> tables.Table:
    """The features in a table or, without names of columns, in a .npy file."""
    path = Path(inputs["rows"])
    if not is_table(path.name):
        time = load(inputs["rows_time"]) if "rows_time" in inputs else None
        return tables.Table(load(path), [], time, "")
    table = tables.read(path)
    if table.time is not None and parameters.get("rate"):
        raise InputError(
            "the table has times of its own",
            where=path,
            expected="times or a rate",
            todo="write 0 for this file in the option `rates`",
        )
    return replace(table, note=f"{table.note}; ")


def load(path: Path) -> np.ndarray:
    """Numbers of a .npy file, memory-mapped. Raises InputError for other files; nothing is
    executed.
    """
    rows = brought(path, "a whole .npy file of numbers", "write it again with numpy.save")
    if rows.dtype.kind not in "iufb" or rows.ndim < 1 or not rows.size:
        raise InputError(
            f"an array of shape {rows.shape}, type {rows.dtype}",
            where=path,
            expected="numbers, a row per frame or a moment",
            todo="write it again with numpy.save",
        )
    return rows


def aligned(
    rows: np.ndarray,
    time: np.ndarray | None,
    frames: np.ndarray,
    align: str = "auto",
    rate: float = 0.0,
    missing: str = "refuse",
    where: object = "",
) -> tuple[np.ndarray, str]:
    """Resample rows of any rate to the frames -> ((T, k) float32, how it was done).

    Arguments
    ---------
    rows : (n, …), flattened to (n, k). time : (n,) s, rising; None: one row per frame, or `rate`
        rows per second from the first frame on. frames : (T,) s.
    align : "mean" of the rows around a frame, "linear" between two, "nearest"; "auto": the mean if
        rows are denser than frames.
    missing : what NaN means: "refuse" the trial, or "neighbours" that have a value are taken.

    Raises InputError for NaN, another number of rows, times that go back, or times of another
    recording.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
        rows = np.asarray(rows, np.float32).reshape(len(rows), -1)
    rows, filled = _without_gaps(rows, missing, where)
    if time is None and not rate:
        values, how = _row_by_row(rows, frames, where)
        return values, how + filled
    if time is None:
        time = frames[0] + np.arange(len(rows)) / rate
    time = np.asarray(time, np.float64).reshape(-1)
    _refuse(rows, time, frames, where)
    method = _method(align, time, frames, where)
    annotation = annotators.Annotation("", rows, time, where=str(where))
    values, how = annotators.to_frames(annotation, frames, method)
    beside = int(
        (~np.isfinite(values).all(axis=1)).sum()
    )  # in gaps, before the first, after the last
    note = f"; {beside} frames without a row near them took the nearest" if beside else ""
    return _without_gaps(values, "neighbours", where)[0], how + filled + note


def _method(align: str, time: np.ndarray, frames: np.ndarray, where: object) -> str:
    """How rows come to frames: "auto" is decided, a mean of few rows refused."""
    period = spacing(time, alone=1.0)
    step = spacing(frames, alone=period)
    if align == "auto":
        return "mean" if period < 0.75 * step else "linear"
    if align == "mean" and period > step * 1.01:
        raise InputError(
            f"align: mean, with {1 / period:.3g} rows per second and {1 / step:.3g} frames",
            where=where,
            expected="more rows than frames",
            todo="set the option `align` to linear, or leave it out",
        )
    return align


def _without_gaps(rows: np.ndarray, missing: str, where: object) -> tuple[np.ndarray, str]:
    bad = ~np.isfinite(rows).all(axis=1)
    if not bad.any():
        return rows, ""
    if missing != "neighbours" or bad.all():
        raise InputError(
            f"the features hold what is no number in {bad.sum()} of {len(rows)} rows, the first "
            "is row "
            f"{int(np.argmax(bad)) + 1}",
            where=where,
            expected="finite numbers",
            todo="mend them, or set `missing: neighbours` to take the nearest row in their place",
        )
    known, all_rows = np.flatnonzero(~bad), np.arange(len(rows))
    near = np.clip(np.searchsorted(known, all_rows), 0, len(known) - 1)
    left = np.maximum(near - 1, 0)
    closer = np.where(all_rows - known[left] < known[near] - all_rows, known[left], known[near])
    return rows[closer], f"; {bad.sum()} rows without numbers took their neighbours'"


def _row_by_row(rows: np.ndarray, frames: np.ndarray, where: object) -> tuple[np.ndarray, str]:
    """A row for each frame, and how that came about."""
    n, n_frames = len(rows), len(frames)
    if abs(n - n_frames) > TOLERANCE_FRAMES:
        raise InputError(
            f"{n} rows of features, and the video has {n_frames} frames: of another trial, or at a "
            "rate of "
            "their own",
            where=where,
            expected="one row per frame, or a time array",
            todo="name a time array in the option `times`, or the rate in `rates`",
        )
    how = "one row per frame"
    if n != n_frames:
        what = "the last ones are not used" if n > n_frames else "the last one is repeated"
        how += f": {n} rows for {n_frames} frames, {what}"
    return rows[np.minimum(np.arange(n_frames), n - 1)], how


def _refuse(rows: np.ndarray, time: np.ndarray, frames: np.ndarray, where: object) -> None:
    if len(time) != len(rows):
        raise InputError(
            f"{len(rows)} rows of features and {len(time)} times",
            where=where,
            expected="a time for each row",
            todo="write both again",
        )
    back = np.flatnonzero(~(np.diff(time) > 0))
    if len(back) or not np.isfinite(time).all():
        row = int(back[0]) + 2 if len(back) else int(np.argmin(np.isfinite(time))) + 1
        raise InputError(
            f"the times of the features go back or stand still at row {row}",
            where=where,
            expected="times in s that rise",
            todo="write the time array again",
        )
    if (
        time[0] > frames[0] + BEYOND
        or time[-1] < frames[-1] - BEYOND
        or time[-1] > frames[-1] + BEYOND
    ):
        raise InputError(
            f"the features go from {time[0]:.2f} to {time[-1]:.2f} s, the video from "
            f"{frames[0]:.2f} to "
            f"{frames[-1]:.2f} s: of another trial?",
            where=where,
            expected="features of this recording, times in s on its clock",
            todo="look for the right file, or correct the times",
        )


def sources_of_statistics(trial: Mapping, wanted: Request) -> dict:
    return {"mel": request("mel"), "time": request("time")}


def make_statistics(inputs: Mapping, parameters: Mapping, create: Callable, device: str) -> None:
    """Fill (T, 128) float32: mean and deviation of 64 mel bands (dB) in `seconds` round a frame."""
    power, facts = np.asarray(inputs["mel"], np.float64), inputs["mel_facts"]
    decibels = 10 * np.log10(np.maximum(power, LOUDEST))
    sums = np.concatenate(
        [np.zeros((1, 2 * decibels.shape[1])), np.cumsum(np.c_[decibels, decibels**2], axis=0)]
    )
    middle = (np.asarray(inputs["time"]) - facts["t0"]) * facts["rate"]
    half = max(parameters["seconds"] * facts["rate"] / 2, 0.5)
    first, last = (
        np.clip(np.round(middle + side * half).astype(int), 0, len(power)) for side in (-1, 1)
    )
    last = np.clip(np.maximum(last, first + 1), 0, len(power))
    first = np.minimum(first, last - 1)  # beyond the end of the sound: its last column
    mean, square = np.split((sums[last] - sums[first]) / (last - first)[:, None], 2, axis=1)
    with create((len(middle), 2 * decibels.shape[1]), np.float32) as out:
        out[...] = np.c_[mean, np.sqrt(np.maximum(square - mean**2, 0))]


def sources_of_network(trial: Mapping, wanted: Request) -> dict:
    return {"face": request("face", size=wanted.parameters["size"])}


def make_of_network(
    inputs: Mapping, parameters: Mapping, create: Callable, device_name: str
) -> None:
    """Fill (T, k) float16: the output of a torchvision network for each face, before its head."""
    import torch  # for this array only

    from ..models import device

    torch_device = device.pick(device_name)
    net = (
        _network(parameters["network"], parameters["weights"], parameters["seed"])
        .to(torch_device)
        .eval()
    )
    faces, mean, sd = (
        inputs["face"],
        *(
            torch.tensor(x, device=torch_device)[:, None, None]
            for x in (IMAGENET_MEAN, IMAGENET_SD)
        ),
    )
    rows = []
    with torch.inference_mode():
        for start in range(0, len(faces), AT_ONCE):
            shown = faces.read(np.arange(start, min(start + AT_ONCE, len(faces))))
            x = (
                torch.from_numpy(np.ascontiguousarray(shown))
                .to(torch_device)
                .permute(0, 3, 1, 2)
                .float()
                / 255
            )
            rows.append(net((x - mean) / sd).flatten(1).half().cpu().numpy())
    features = np.concatenate(rows)
    with create(features.shape, np.float16, note=f"{parameters['weights']} weights") as out:
        out[...] = features


def torchvision_networks() -> list[str]:
    """Names of torchvision's networks for pictures; its import takes seconds."""
    from torchvision import models

    return models.list_models(module=models)


def _network(name: str, weights: str, seed: int):
    """A network of torchvision without its last layer; weights from a seed, or published ones."""
    import torch
    from torchvision import models

    from ..models import published

    if name not in torchvision_networks():
        raise InputError(
            f"torchvision has no network {name!r}",
            where="option features",
            expected="resnet18, mobilenet_v3_small, efficientnet_b0, …",
            todo="correct the name",
        )
    torch.manual_seed(seed)
    net = models.get_model(name, weights=None)
    if weights == "published":
        net.load_state_dict(published.fetch(models.get_model_weights(name).DEFAULT))
    last = next(part for part in ("fc", "classifier", "heads", "head") if hasattr(net, part))
    setattr(net, last, torch.nn.Identity())
    return net


MAKERS = [
    Maker("feature", "visual", "trial", VERSIONS["feature"], sources_of_file, make_from_file),
    Maker(
        "mel_statistics",
        "audio",
        "video",
        VERSIONS["mel_statistics"],
        sources_of_statistics,
        make_statistics,
    ),
    Maker(
        "frame_features",
        "visual",
        "trial",
        VERSIONS["frame_features"],
        sources_of_network,
        make_of_network,
    ),
]
