"""What the two GPU benchmarks share: timing that waits for the device, the card's own rate, its
name.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable

import torch

if "av" not in sys.modules:
    try:
        import av  # noqa: F401
    except ImportError:  # recordings are read with it, and these benchmarks have none
        sys.modules["av"] = types.ModuleType("av")

PLACE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ON_GPU = PLACE.type == "cuda"


def seconds(run: Callable[[], object], least: float = 1.0) -> float:
    """Mean seconds of a call, after two that do not count, over calls of at least so many seconds
    together.
    """
    for _ in range(2 if ON_GPU else 1):
        run()
    wait()
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < least or not calls:
        run()
        wait()
        calls += 1
    return (time.perf_counter() - began) / calls


def wait() -> None:
    if ON_GPU:
        torch.cuda.synchronize()


def rate() -> float:
    """FLOP/s of a large bfloat16 matrix product on random numbers: what the card gives, not what
    its sheet says.
    """
    size = 8192 if ON_GPU else 1024
    one, other = (torch.randn(size, size, device=PLACE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / seconds(lambda: one @ other)


def where() -> str:
    """A sentence about the device."""
    if not ON_GPU:
        return (
            f"No GPU is here: these are the numbers of the CPU, {torch.get_num_threads()} threads."
        )
    card = torch.cuda.get_device_properties(0)
    return (
        f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}, "
        f"cuDNN {torch.backends.cudnn.version()}."
    )
