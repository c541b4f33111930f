"""Inference: move a network to its device (channels_last, folded or compiled) and run it in
batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import torch

from ..errors import full_gpu
from ..media.reading_ahead import ahead


def channels_last(model: torch.nn.Module) -> torch.nn.Module:
    """The network with its 3-D convolutions in channels_last layout on a GPU; unchanged elsewhere.

    On a CPU this layout was six times slower in training.
    """
    for weight in model.parameters():
        if weight.is_cuda and weight.ndim == 5:
            weight.data = weight.data.to(memory_format=torch.channels_last_3d)
    return model


def ready(
    model: torch.nn.Module, precision: str = "auto", compiled: bool = False
) -> torch.nn.Module:
    """The network in its fastest form for prediction; outputs are the same up to rounding (not with
    precision "bfloat16").
    """
    network = model.folded(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    return torch.compile(network) if compiled else network


@torch.inference_mode()
def predict(
    model: torch.nn.Module, recipe, windows: pd.DataFrame, device: torch.device, batch_size: int = 0
) -> dict[str, np.ndarray]:
    """Outputs of all windows, in order: name -> (N, …) float32; shorter windows are padded with
    zeros.
    """
    model.eval()
    size, rows = batch_size or recipe.params.batch_size, list(windows.itertuples(index=False))
    pieces = (rows[start : start + size] for start in range(0, len(rows), size))
    batches = ((piece, _gathered(recipe, piece, device)) for piece in pieces)
    every = []
    for piece, batch in ahead(batches):
        outputs = _fitting(model, recipe, piece, device, batch)
        # kept on the device: copying them would wait for it
        every.append({name: values.float() for name, values in outputs.items()})
    return joined(every)


def joined(
    pieces: Iterable[Mapping[str, torch.Tensor | np.ndarray]],
) -> dict[str, np.ndarray]:
    """Outputs of some windows and of those that follow, name -> (n, …) float32, as those of all;
    shorter windows are padded with zeros.
    """
    by_name: dict[str, list[torch.Tensor]] = {}
    for outputs in pieces:
        for name, values in outputs.items():
            by_name.setdefault(name, []).append(torch.as_tensor(values))
    return {
        name: torch.cat(_equally_long(values)).cpu().numpy() for name, values in by_name.items()
    }


def _gathered(recipe, windows: list, device: torch.device) -> dict:
    """A batch on the device; {} if it does not have enough memory."""
    try:
        return recipe.gather(windows, device)
    except torch.OutOfMemoryError:
        return {}


def _fitting(
    model: torch.nn.Module, recipe, windows: list, device: torch.device, batch: dict
) -> dict[str, torch.Tensor]:
    """Outputs of a batch; if the GPU's memory runs out, computed in halves. Raises `full_gpu`."""
    try:
        if batch:
            return model(batch)
    except torch.OutOfMemoryError as error:
        message = str(error)
    else:
        message = "a batch did not fit"
    if len(windows) < 2:
        raise full_gpu(message)
    batch.clear()
    torch.cuda.empty_cache()
    halves = []
    for part in (windows[: len(windows) // 2], windows[len(windows) // 2 :]):
        gathered = _gathered(recipe, part, device)
        halves.append(_fitting(model, recipe, part, device, gathered))
    return {name: torch.cat(_equally_long([half[name] for half in halves])) for name in halves[0]}


def _equally_long(pieces: list[torch.Tensor]) -> list[torch.Tensor]:
    """Pieces (N, L, …) filled up with zeros to the longest L."""
    longest = max(piece.shape[1] if piece.ndim > 1 else 0 for piece in pieces)
    filled = []
    for piece in pieces:
        if piece.ndim > 1 and piece.shape[1] < longest:
            missing = [0, 0] * (piece.ndim - 2) + [0, longest - piece.shape[1]]
            piece = torch.nn.functional.pad(piece, missing)
        filled.append(piece)
    return filled
