"""The device on which networks run, and its precision."""

from __future__ import annotations

import os

import torch
from torch import nn

from ..errors import InputError


def pick(name: str = "auto") -> torch.device:
    """The device of that name; "auto" means a GPU if there is one, else the CPU.

    On a GPU this also switches TF32 off: by PyTorch's default cuDNN's convolutions would round
    their float32 inputs to 10 bits of mantissa.

    Raises InputError if the named device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"device {name} is asked for, but PyTorch sees no CUDA GPU",
            todo="set device: cpu or auto, or install a PyTorch build that fits the driver",
        )
    if name.startswith("cuda"):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device(name)


class ExactConv3d(nn.Conv3d):
    """A convolution of three dimensions that is computed outside autocast.

    On a CPU the gradient of a kernel (3, 1, 1) in bfloat16 is what lay in the memory before, where
    two pictures follow each other (PyTorch 2.11 with oneDNN), and float32 takes no longer.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


def convolve_exactly(model: nn.Module) -> None:
    """Make all convolutions of three dimensions in a network `ExactConv3d`."""
    for module in model.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = ExactConv3d


def told(device: torch.device) -> str:
    """``cuda (NVIDIA A100), float32``: the device and how it computes outside autocast."""
    if device.type != "cuda":
        return device.type
    tf32 = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    return f"cuda ({torch.cuda.get_device_name(device)}), {'TF32' if tf32 else 'float32'}"


def repeat(exactly: bool) -> None:
    """Choose whether a GPU must give bitwise reproducible numbers.

    In a training cuDNN always uses deterministic algorithms. Some of PyTorch's own operations have
    none, such as the gradient of 3-D pooling: a warning names each one that a training uses.
    """
    if exactly:  # read by cuBLAS when it is initialised
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(exactly, warn_only=True)
