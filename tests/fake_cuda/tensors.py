"""Tensors that say they lie on a GPU and are computed on the CPU.

For C++ a `CudaTensor` is a CPU tensor, so that autograd runs in the thread that asks for it; for
Python it lies on "cuda:0". What it holds is a plain CPU tensor, and every operation is computed
with that, so that values are real.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import return_and_correct_aliasing

aten = torch.ops.aten
GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
COUNTS = Counter()  # "wait": a value was fetched; "pinned"; "fetched": tensors copied to the CPU
BEGUN: list[int] = []  # the process in which the GPU was used first
PROCESS: list[int] = []  # this process; asking for its number in every operation takes time
LIMIT = {"bytes": 0}  # of one tensor on the GPU, 0 for none

INDEXED = {  # their indices may lie on the CPU; never the other way round
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
    aten._unsafe_index_put.default,
}
WAITING = (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default)
BETWEEN = {aten.copy_.default, aten._to_copy.default, aten.copy.default}  # from device to device
# The lengths of packed sequences lie on the CPU with cuDNN, too; collectives name both.
MIXED = ("_pack_padded_sequence", "_pad_packed_sequence", "lstm.data", "gru.data", "c10d.")
# CUDA's autocast computes these in float32; that of the CPU has another list (PyTorch's manual).
IN_FULL = {
    *("cross_entropy", "cumprod", "cumsum", "exp", "group_norm", "l1_loss", "layer_norm", "log"),
    *("log_softmax", "mse_loss", "nll_loss", "norm", "normalize", "pow", "prod", "reciprocal"),
    *("rsqrt", "smooth_l1_loss", "softmax", "softplus", "sum", "cosine_similarity"),
}


class CudaTensor(torch.Tensor):
    """A tensor on the pretended GPU around the CPU tensor `inner`."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=inner.device,
        )
        made.inner = inner
        return made

    def __repr__(self):
        return f"CudaTensor({self.inner!r})"

    def __reduce_ex__(self, protocol):
        return self.detach().inner.__reduce_ex__(protocol)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in ANSWERS:
            return ANSWERS[func]
        if func in SPECIAL and isinstance(args[0], CudaTensor):
            handled, value = SPECIAL[func](args, kwargs)
            if handled:
                return value
        name = getattr(func, "__name__", "")
        with torch._C.DisableTorchFunctionSubclass():  # what lies on the CPU stays a plain tensor
            if name in IN_FULL and torch.is_autocast_enabled("cpu"):
                args = _mapped(_full, args)
            value = func(*args, **kwargs)
            # C++ makes this result where it takes its input to lie: on the CPU.
            if name == "_pad_packed_sequence":
                value = (value[0].to(GPU), value[1])
            return value

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


ANSWERS = {
    torch.Tensor.device.__get__: GPU,
    torch.Tensor.is_cuda.__get__: True,
    torch.Tensor.is_cpu.__get__: False,
}


def _numpy(args, kwargs):
    raise TypeError(
        "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
        "host memory first."
    )


def _moved(args, kwargs):
    """`.to` and `.cpu`: C++ would find that the tensor lies on the CPU already."""
    given = [*args[1:], *kwargs.values()]
    devices = [torch.device(item) for item in given if isinstance(item, str | torch.device)]
    devices += [item.device for item in given if isinstance(item, torch.Tensor)]
    dtypes = [item for item in given if isinstance(item, torch.dtype)]
    if devices and devices[0].type != "cpu":
        return False, None
    if not devices and given:  # `.to(dtype)`
        return False, None
    with torch._C.DisableTorchFunctionSubclass():
        dtype = dtypes[0] if dtypes else None
        return True, aten._to_copy.default(args[0], dtype=dtype, device=CPU)


def _listed(args, kwargs):
    COUNTS["wait"] += 1
    return True, args[0].detach().inner.tolist()


def _new_tensor(args, kwargs):
    with torch._C.DisableTorchFunctionSubclass():
        return True, torch.tensor(*args[1:], **{"dtype": args[0].dtype, "device": GPU, **kwargs})


SPECIAL = {
    torch.Tensor.numpy: _numpy,
    torch.Tensor.__array__: _numpy,
    torch.Tensor.to: _moved,
    torch.Tensor.cpu: _moved,
    torch.Tensor.cuda: lambda args, kwargs: (True, args[0]),
    torch.Tensor.tolist: _listed,
    torch.Tensor.new_tensor: _new_tensor,
}


class Kind(NamedTuple):
    """What of an operation does not depend on its arguments."""

    asks_for_type: bool
    of_one_device: bool
    packs: bool


@cache
def _kind(func) -> Kind:
    name = str(func)
    mixed = func in BETWEEN or any(part in name for part in MIXED)
    packs = "_pack_padded_sequence.default" in name
    return Kind("has_compatible_shallow_copy_type" in name, not mixed, packs)


def run(func, args: tuple, kwargs: dict):
    """One operation of PyTorch: refused where a GPU refuses it, else computed on the CPU."""
    tensors = _tensors((*args, *kwargs.values()))
    inside = any(type(item) is CudaTensor for item in tensors)
    args, kwargs, on_gpu = _place(func, args, kwargs, inside)
    if not on_gpu and not inside:
        return func(*args, **kwargs)
    begin()
    kind = _kind(func)
    if kind.asks_for_type:
        return False
    if inside:
        if kind.of_one_device:
            _same_device(func, args, tensors)
        _count(func, args, on_gpu)
    out = func(*_mapped(_unwrapped, args), **_mapped(_unwrapped, kwargs))
    if not on_gpu:
        return out
    _fits(out)
    if kind.packs:
        return CudaTensor(out[0]), out[1]
    out = _mapped(_wrapped, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if inside else out


def _tensors(items) -> list[torch.Tensor]:
    """All tensors in arguments: in lists and tuples, too."""
    found = []
    for item in items:
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, list | tuple):
            found += _tensors(item)
    return found


def _mapped(change, items):
    """Arguments or results with their tensors changed. PyTorch's own walk took half the time."""
    if isinstance(items, torch.Tensor):
        return change(items)
    kind = type(items)
    if kind is tuple or kind is list:
        return kind([_mapped(change, item) for item in items])
    if kind is dict:
        return {name: _mapped(change, item) for name, item in items.items()}
    return items


def _full(item: torch.Tensor) -> torch.Tensor:
    return item.float() if item.dtype in (torch.half, torch.bfloat16) else item


def _unwrapped(item: torch.Tensor) -> torch.Tensor:
    return item.inner if isinstance(item, CudaTensor) else item


def _here() -> None:
    PROCESS[:] = [os.getpid()]


_here()
os.register_at_fork(after_in_child=_here)


def begin() -> None:
    """The GPU is used. Raises what CUDA raises in a process that was forked after it had begun."""
    if not BEGUN:
        BEGUN[:] = PROCESS
    if BEGUN != PROCESS:
        raise RuntimeError(
            "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you "
            "must use the 'spawn' start method"
        )


def _place(func, args: tuple, kwargs: dict, inside: bool) -> tuple[tuple, dict, bool]:
    """The arguments with the CPU in the GPU's place; whether the result lies on the GPU."""
    on_gpu, asked = inside, kwargs.get("device")
    if asked is not None:
        # In a backward pass C++ asks for the device of a tensor, which to it is the CPU.
        on_gpu = torch.device(asked).type == "cuda" or torch._C._current_graph_task_id() != -1
        kwargs = {**kwargs, "device": CPU}
    if func in (aten.copy_.default, aten.set_.source_Tensor):
        on_gpu = isinstance(args[0], CudaTensor)
    if torch.device in map(type, args):
        on_gpu = any(type(item) is torch.device and item.type == "cuda" for item in args)
        args = tuple(CPU if type(item) is torch.device else item for item in args)
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    return args, kwargs, on_gpu


def _same_device(func, args: tuple, tensors: list) -> None:
    outside = [item for item in tensors if not isinstance(item, CudaTensor)]
    if func in INDEXED:
        if not isinstance(args[0], CudaTensor):
            raise RuntimeError(
                "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
            )
        outside = [args[2]] if len(args) > 2 and not isinstance(args[2], CudaTensor) else []
    if any(item.dim() for item in outside):  # a single number may lie on the CPU
        shapes = [(type(item).__name__, tuple(item.shape)) for item in tensors]
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, but found at least two "
            f"devices, cuda:0 and cpu! {shapes}"
        )


def _count(func, args: tuple, on_gpu: bool) -> None:
    fetched = func is aten._to_copy.default and not on_gpu
    # How many rows a mask chooses is only known on the GPU.
    chosen = func in INDEXED and any(
        isinstance(item, torch.Tensor) and item.dtype == torch.bool for item in (args[1] or ())
    )
    COUNTS["fetched"] += fetched
    COUNTS["wait"] += fetched or chosen or func in WAITING


def _fits(out) -> None:
    if not LIMIT["bytes"]:
        return
    sizes = [item.numel() * item.element_size() for item in _tensors([out])]
    if max(sizes, default=0) > LIMIT["bytes"]:
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {max(sizes)} bytes.")


def _wrapped(item: torch.Tensor) -> CudaTensor:
    return item if isinstance(item, CudaTensor) else CudaTensor(item)
