"""A pretended GPU: inside ``with fake_cuda.on():`` this machine has GPUs, and what a real one
refuses is refused, in the same words.

Refused are: tensors of two devices in one operation; `.numpy()` of a tensor on the GPU; indices on
the wrong side; pinning a tensor of the GPU; a GPU in a process that was forked after CUDA had
begun; what is larger than `limit`. cuDNN's recurrent layers return float16 under autocast, whatever
its dtype is. Waits for the GPU are counted.

It cannot see kernels that are missing or slow, the sum of the memory, the real rounding of half
precision (autocast is that of the CPU), or NCCL. PyTorch's own FakeTensorMode has no values, and
losses ask for values: whether a frame is labelled.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from unittest import mock

import torch
from torch import distributed
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .tensors import BEGUN, COUNTS, GPU, LIMIT, CudaTensor, begin, run

__all__ = ["BEGUN", "COUNTS", "GPU", "CudaTensor", "on", "without_onednn"]
_autocast, _init_process_group = torch.autocast, distributed.init_process_group
CUDA, TO = torch.Tensor.cuda, torch.Tensor.to
GIBIBYTE = 1 << 30


class _Dispatch(TorchDispatchMode):
    """Operations that make a tensor on the GPU without having one."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled in here: the wrapper against that took a tenth of the time."""
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class _Numbered(TorchFunctionMode):
    """ "cuda" means "cuda:0": C++ would ask a driver for the GPU in use."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is CUDA:
            return args[0].to(GPU)
        if func is TO:
            args = tuple(map(_numbered, args))
        if not kwargs:
            return func(*args)
        return func(*args, **{name: _numbered(item) for name, item in kwargs.items()})


def _numbered(item):
    is_gpu = isinstance(item, str | torch.device) and str(item).startswith("cuda")
    return GPU if is_gpu else item


class _Pool(futures.ThreadPoolExecutor):
    """A mode holds for one thread; the threads of a pool must see the GPU, too."""

    def submit(self, function, /, *args, **kwargs):
        def inside():
            with _Numbered(), _Dispatch():
                return function(*args, **kwargs)

        return super().submit(inside)


class _Autocast(_autocast):
    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        place = "cpu" if device_type == "cuda" else device_type
        super().__init__(place, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class _NoGradient(torch.no_grad):
    """In the place of C++'s inference mode, which wrapped tensors do not know."""

    def __init__(self, mode=True):
        super().__init__()


def _pinned(tensor, device=None):
    begin()
    if isinstance(tensor, CudaTensor):
        raise RuntimeError(
            "cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned"
        )
    COUNTS["pinned"] += 1
    return tensor


def _in_half(function):
    """ATen/cudnn/AutocastRNN.cpp: float16 under autocast, whatever autocast's dtype is."""

    def recurrent(*args):
        if not (isinstance(args[0], CudaTensor) and torch.is_autocast_enabled("cpu")):
            return function(*args)
        with _autocast("cpu", enabled=False):
            return tuple(value.half() for value in function(*map(_full, args)))

    return recurrent


def _full(item):
    if isinstance(item, tuple):
        return tuple(map(_full, item))
    return item.float() if isinstance(item, torch.Tensor) and item.is_floating_point() else item


def _gloo(backend=None, **kwargs):
    return _init_process_group("gloo", **kwargs)


SILENT = ("set_device", "_lazy_init", "synchronize", "empty_cache", "manual_seed")
SILENT += ("manual_seed_all",)


def _nothing():
    """A function of its own each time: torch._dynamo keeps a table of PyTorch's functions."""
    return lambda *args, **kwargs: None


def _patches(gpus: int, bfloat16: bool, free: int) -> list:
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: gpus,
        "current_device": lambda: 0,
        "is_bf16_supported": lambda including_emulation=True: bfloat16,
        "is_initialized": lambda: bool(BEGUN),
        "get_device_name": lambda device=None: "pretended GPU",
        "get_device_capability": lambda device=None: (8, 0) if bfloat16 else (7, 5),
        "mem_get_info": lambda device=None: (free, 2 * free),
        "is_current_stream_capturing": lambda: False,
        **{name: _nothing() for name in SILENT},
    }
    accelerator = {
        "is_available": lambda: True,
        "current_accelerator": lambda check_available=False: GPU,
        "current_device_index": lambda: 0,
        "set_device_index": _nothing(),
    }
    patched = [(torch.cuda, cuda), (torch.accelerator, accelerator)]
    patched += [(torch._VF, {name: _in_half(getattr(torch._VF, name)) for name in ("lstm", "gru")})]
    patched += [(torch, {"autocast": _Autocast}), (torch.amp, {"autocast": _Autocast})]
    patched += [(torch.Tensor, {"pin_memory": _pinned}), (torch._C, {"_InferenceMode": _mode})]
    patched += [(distributed, {"init_process_group": _gloo})]
    pools = {"ThreadPoolExecutor": _Pool}
    importers = ("concurrent.futures", "lib.media.reading_ahead")
    patched += [(sys.modules[name], pools) for name in importers if name in sys.modules]
    return [
        mock.patch.object(place, name, value)
        for place, values in patched
        for name, value in values.items()
    ]


def _mode(mode=True):
    return _NoGradient()


@contextlib.contextmanager
def without_onednn() -> Iterator[None]:
    """PyTorch's own kernels of the CPU inside this block."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


@contextlib.contextmanager
def on(
    gpus: int = 1, bfloat16: bool = True, free: int = 8 * GIBIBYTE, limit: int = 0
) -> Iterator[Counter]:
    """A machine with GPUs, in this thread and in those of its pools.

    gpus : how many. bfloat16 : whether they know it. free : bytes of free memory that they tell.
    limit : bytes of one tensor above which memory is out, 0 for none. Gives the counts: "wait",
    "fetched", "pinned".
    """
    BEGUN.clear()
    COUNTS.clear()
    LIMIT["bytes"] = limit
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(
        True
    )  # parameters change their class
    torch._C._set_only_lift_cpu_tensors(True)
    with contextlib.ExitStack() as stack:
        for patch in _patches(gpus, bfloat16, free):
            stack.enter_context(patch)
        # oneDNN's convolutions in bfloat16 read memory that nobody wrote: of 150 equal steps of
        # TalkNet one had a gradient of 4e27 (torch 2.11, plain CPU).
        stack.enter_context(without_onednn())
        stack.enter_context(_Numbered())
        stack.enter_context(_Dispatch())
        try:
            yield COUNTS
        finally:
            torch._C._set_only_lift_cpu_tensors(False)
            torch.__future__.set_overwrite_module_params_on_conversion(before)
            LIMIT["bytes"] = 0
            BEGUN.clear()
