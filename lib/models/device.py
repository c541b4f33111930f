"""Where networks run."""

from __future__ import annotations

import torch

from ..errors import InputError


def pick(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes a GPU where there is one, else the CPU.

    Raises InputError when the named device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"device {name} is asked for, but PyTorch sees no CUDA GPU",
            todo="set device: cpu or auto, or install a PyTorch build that fits the driver",
        )
    return torch.device(name)
