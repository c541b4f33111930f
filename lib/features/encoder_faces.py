"""Faces through an encoder of pictures: a row for each face, zeros in frames without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional

from ..models import device as models_device
from ..models import memory
from ..store import give_back
from . import encoders
from .encoder_arrays import refuse_layers

AT_MOST, ON_CPU = 256, 16  # faces at once on a GPU and on a CPU


def pixels(faces: np.ndarray, encoder: encoders.Encoder, place: torch.device) -> torch.Tensor:
    """(N, S, S, 3) uint8 RGB → (N, 3, side, side) float32 as the network was trained to see."""
    x = torch.from_numpy(np.ascontiguousarray(faces)).to(place).permute(0, 3, 1, 2).float() / 255
    if x.shape[-1] != encoder.size:
        size = (encoder.size, encoder.size)
        x = functional.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean, sd = (
        torch.tensor(three, device=place)[:, None, None] for three in (encoder.mean, encoder.sd)
    )
    return (x - mean) / sd


def of_pictures(encoder: encoders.Encoder, shown: torch.Tensor, layers=(), pooling: str = "auto"):
    """(N, 3, S, S) → (N, k): the last layer pooled, or several hidden layers side by side.

    pooling : of a layer's tokens: "first", "mean", or "auto": what the network was trained to give,
    else its class token, else the mean.
    """
    if encoder.config is None:  # of timm
        refuse_layers(layers, 0)
        return encoder.see(shown)
    found = encoder.see(pixel_values=shown, output_hidden_states=bool(layers))
    if layers:
        refuse_layers(layers, len(found.hidden_states) - 1)
        return torch.cat([_pooled(encoder, found.hidden_states[k], pooling) for k in layers], 1)
    own = getattr(found, "pooler_output", None)
    if pooling == "auto" and own is not None and encoder.pools:
        return own.flatten(1)
    return _pooled(encoder, found.last_hidden_state, pooling)


def _pooled(encoder: encoders.Encoder, layer: torch.Tensor, pooling: str) -> torch.Tensor:
    if layer.ndim == 4:  # a map of a convolutional network
        return layer.mean((2, 3))
    first = pooling == "first" or (pooling == "auto" and encoder.class_token)
    return layer[:, 0] if first else layer.mean(1)


@torch.inference_mode()
def make(inputs: Mapping, parameters: Mapping, create: Callable, device: str) -> None:
    """Fill (T, k): a row for each face, zeros where there is none. See `lib.store.Maker`."""
    place = models_device.pick(device)
    encoder = encoders.load(inputs, parameters, place)
    layers, pooling = parameters.get("layers", ()), parameters.get("pooling", "auto")
    valid, faces = np.asarray(inputs["face_valid"]), inputs["face"]
    seen, size, dtype = np.flatnonzero(valid), parameters["size"], encoders.kept(parameters)

    def rows_of(pictures: np.ndarray) -> np.ndarray:
        shown = pixels(pictures, encoder, place)
        return of_pictures(encoder, shown, layers, pooling).cpu().numpy()

    def some(start: int, stop: int) -> np.ndarray:
        return rows_of(faces.read(seen[start:stop]))

    width = rows_of(np.zeros((1, size, size, 3), np.uint8)).shape[1]
    with create((len(valid), width), dtype, note=encoders.told(inputs, parameters, encoder)) as out:
        out[...] = 0
        at_once = memory.at_once(place, AT_MOST, on_cpu=ON_CPU)
        for part, values in memory.pieces(some, len(seen), at_once):
            out[seen[part]] = encoders.fitting(values, dtype)
            give_back(out)
