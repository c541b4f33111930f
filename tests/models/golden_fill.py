"""Deterministic weights and inputs under which the outputs of the published networks are known
(spec 6).
"""

import numpy as np
import torch

GAIN_TSAV = 2**0.5
GAIN_FUSION = 3.0


def fill(net: torch.nn.Module, gain: float) -> torch.nn.Module:
    """Fill all entries of the state dict in order by the specification's recipe; evaluation
    mode.
    """
    with torch.no_grad():
        for k, (name, entry) in enumerate(net.state_dict().items()):
            entry.copy_(torch.from_numpy(_values(name, tuple(entry.shape), k, gain)))
    return net.eval()


def sine(*shape: int) -> torch.Tensor:
    """sin(0.001 i), i the flat index."""
    return wave(np.sin, 0.001, *shape)


def cosine(*shape: int) -> torch.Tensor:
    """cos(0.001 i)."""
    return wave(np.cos, 0.001, *shape)


def wave(function, step: float, *shape: int) -> torch.Tensor:
    """function(step · i), computed in float64, as float32."""
    return torch.from_numpy(
        function(step * np.arange(np.prod(shape))).reshape(shape).astype(np.float32)
    )


def _values(name: str, shape: tuple[int, ...], k: int, gain: float) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_mean"):
        return np.zeros(shape, np.float32)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return np.ones(shape, np.float32)
    values = np.sin(0.37 * np.arange(np.prod(shape)) + k).reshape(shape)
    scale = 0.05 if len(shape) == 1 else gain * np.sqrt(1 / np.prod(shape[1:]))
    return (values * scale).astype(np.float32)
