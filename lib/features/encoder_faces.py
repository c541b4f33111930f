"""Pass faces, or short clips of them, through an encoder: a row per face or clip, zeros where there
is no face.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional

from ..media import stretches
from ..media.frames import nearest
from ..models import device as models_device
from ..models import memory
from ..store import give_back
from . import encoders
from .encoder_arrays import moments, refuse_layers, rows_at, rows_in

AT_MOST, ON_CPU = 256, 16  # faces per batch on a GPU and on a CPU; as many pictures with clips


def pixels(
    faces: np.ndarray, encoder: encoders.Encoder, torch_device: torch.device
) -> torch.Tensor:
    """(N, S, S, 3) uint8 RGB → (N, 3, side, side) float32 as the network was trained to see."""
    x = (
        torch.from_numpy(np.ascontiguousarray(faces)).to(torch_device).permute(0, 3, 1, 2).float()
        / 255
    )
    if x.shape[-1] != encoder.size:
        size = (encoder.size, encoder.size)
        x = functional.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean, sd = (
        torch.tensor(three, device=torch_device)[:, None, None]
        for three in (encoder.mean, encoder.sd)
    )
    return (x - mean) / sd


def of_pictures(encoder: encoders.Encoder, shown: torch.Tensor, layers=(), pooling: str = "auto"):
    """(N, 3, S, S), or clips (N, n, 3, S, S) → (N, k): the last layer pooled, or several hidden
    layers side by side.

    pooling : of a layer's tokens: "first", "mean", or "auto": the network's trained pooling, else
    its class token, else the mean.
    """
    if encoder.config is None:  # of timm
        refuse_layers(layers, 0)
        return encoder.see(shown)
    outputs = encoder.see(pixel_values=shown, output_hidden_states=bool(layers))
    if layers:
        refuse_layers(layers, len(outputs.hidden_states) - 1)
        return torch.cat([_pooled(encoder, outputs.hidden_states[k], pooling) for k in layers], 1)
    pooled = getattr(outputs, "pooler_output", None)
    if pooling == "auto" and pooled is not None and encoder.pools:
        return pooled.flatten(1)
    return _pooled(encoder, outputs.last_hidden_state, pooling)


def _pooled(encoder: encoders.Encoder, layer: torch.Tensor, pooling: str) -> torch.Tensor:
    if layer.ndim == 4:  # a map of a convolutional network
        return layer.mean((2, 3))
    first = pooling == "first" or (pooling == "auto" and encoder.class_token)
    return layer[:, 0] if first else layer.mean(1)


def make(
    inputs: Mapping,
    parameters: Mapping,
    create: Callable,
    device: str,
    stretch: slice = slice(None),
) -> None:
    """Fill (T, k): a row per face, zeros if there is none; at a rate (M, k). stretch : frames, of a
    long recording (`stretches.share`).
    """
    seen, rate = np.flatnonzero(inputs["face_valid"]), parameters.get("rate")
    if not rate:
        chosen, count = seen, len(inputs["face_valid"])
        arguments = inputs, parameters, create, device, stretch
        _fill(*arguments, count, chosen, chosen[:, None])
        return
    times = np.asarray(inputs["time"])
    chosen, frames = _nearest_to_the_middle(times, seen, rate)
    count = len(moments(times, rate))
    note = f"{rate:g} rows per second, each of the face nearest to the middle of its span"
    facts = {"rate": rate, "t0": float(times[0])}
    arguments = inputs, parameters, create, device, rows_in(stretch, times, rate)
    _fill(*arguments, count, chosen, frames[:, None], note, **facts)


def _nearest_to_the_middle(
    times: np.ndarray, seen: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows in whose span a face is seen, and the frame of each that lies nearest to its middle."""
    rows, middles = rows_at(times, rate)[seen], moments(times, rate)
    away = np.abs(times[seen] - middles[rows])
    order = np.lexsort((away, rows))
    chosen, first = np.unique(rows[order], return_index=True)
    return chosen, seen[order][first]


def make_clips(
    inputs: Mapping,
    parameters: Mapping,
    create: Callable,
    device: str,
    stretch: slice = slice(None),
) -> None:
    """Fill (M, k): a row for each clip of `span` s, around the middle of each span of the rate;
    zeros where no face is seen in it. See `lib.store.Maker`, for `stretch` `make`.

    The clip's pictures are spread evenly over it; a picture without a face is replaced by the
    nearest one with a face.
    """
    times, rate, span = np.asarray(inputs["time"]), parameters["rate"], parameters["span"]
    seen, middles = np.flatnonzero(inputs["face_valid"]), moments(times, rate)
    pictures = encoders.pictures_of_a_clip(inputs["config"])
    apart = span / pictures
    places = middles[:, None] + (np.arange(pictures) - (pictures - 1) / 2) * apart
    frames = seen[nearest(times[seen], places)] if len(seen) else np.zeros_like(places, int)
    inside = np.abs(times[frames] - middles[:, None]) <= span / 2
    chosen = np.flatnonzero(inside.any(axis=1) & (len(seen) > 0))
    note = f"{rate:g} rows per second, each of {pictures} pictures over {span:g} s around its span"
    facts = {"rate": rate, "span": span, "t0": float(times[0])}
    arguments = inputs, parameters, create, device, rows_in(stretch, times, rate)
    _fill(*arguments, len(middles), chosen, frames[chosen], note, clips=True, **facts)


@torch.inference_mode()
def _fill(
    inputs: Mapping,
    parameters: Mapping,
    create: Callable,
    device: str,
    rows: slice,
    count: int,
    chosen: np.ndarray,
    frames: np.ndarray,
    remark: str = "",
    clips: bool = False,
    **facts: float,
) -> None:
    """Create (count, k), or of a stretch the share of some `rows` in it, and fill the rows `chosen`
    by the network's view of their `frames` (n, 1), or (n, pictures) of clips.
    """
    torch_device = models_device.pick(device)
    encoder = encoders.load(inputs, parameters, torch_device)
    layers, pooling = parameters.get("layers", ()), parameters.get("pooling", "auto")
    size, dtype, together = parameters["size"], encoders.kept(parameters), frames.shape[1]

    def rows_of(pictures: np.ndarray) -> np.ndarray:
        shown = pixels(pictures, encoder, torch_device)
        shown = shown.unflatten(0, (-1, together)) if clips else shown
        return of_pictures(encoder, shown, layers, pooling).cpu().numpy()

    def some(start: int, stop: int) -> np.ndarray:
        return rows_of(inputs["face"].read(frames[start:stop].ravel()))

    width = rows_of(np.zeros((together, size, size, 3), np.uint8)).shape[1]
    note = "; ".join(filter(None, [encoders.told(inputs, parameters, encoder), remark]))
    most, on_cpu = (max(1, number // together) for number in (AT_MOST, ON_CPU))
    share = stretches.share(rows, chosen, count, on_cpu)
    chosen, frames = chosen[share.items] - share.first, frames[share.items]
    with create((share.stop - share.first, width), dtype, note=note, **facts, **share.told) as out:
        out[...] = 0
        at_once = memory.at_once(torch_device, most, on_cpu=on_cpu)
        for part, values in memory.pieces(some, len(frames), at_once):
            out[chosen[part]] = encoders.fitting(values, dtype)
            give_back(out)
