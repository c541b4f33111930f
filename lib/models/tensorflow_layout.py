"""Fill a network with tensors in TensorFlow's names and layout, as `tensor_manifest` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from . import tensor_manifest
from .base import Model

# What a layer's weights are called in a manifest, by the layer's name; "filters" for all others.
LAYERS = {"depthwise": "depthwise_filter", "pointwise": "pointwise_filter", "fc": "weights"}


def fill(net: Model, manifest: Path | str) -> Model:
    """A network with the weights of a manifest, in evaluation mode; returns the network.

    Raises InputError as `tensor_manifest.read` and `state_dict` do; the network is
    then as it was before.
    """
    net.load_state_dict(state_dict(tensor_manifest.read(manifest), net, manifest))
    return net.eval().requires_grad_(False)


def state_dict(
    tensors: Mapping[str, np.ndarray], net: torch.nn.Module, where: object = ""
) -> dict[str, Tensor]:
    """Tensors of a manifest as a network's state dict; its keys are those of `published_name`.

    Kernels are turned from height × width × in × out to out × in × height × width, depth-wise ones
    (height × width × channels × 1) to channels × 1 × height × width, those of a last layer from
    in × out to out × in. where : the manifest, for messages.

    Raises InputError, by name, for tensors that are missing, too many, or of another shape.
    """
    expected = net.state_dict()
    names = {published_name(key): key for key in expected}
    missing, extra = sorted(names.keys() - tensors.keys()), sorted(tensors.keys() - names.keys())
    if missing or extra:
        parts = [f"{len(missing)} missing: {_few(missing)}"] if missing else []
        parts += [f"{len(extra)} too many: {_few(extra)}"] if extra else []
        raise _misfit("; ".join(parts), net, where)
    state = {key: _turned(tensors[name], name) for name, key in names.items()}
    wrong = [name for name, key in names.items() if state[key].shape != expected[key].shape]
    if wrong:
        shapes = [f"{name} {'×'.join(map(str, tensors[name].shape))}" for name in wrong]
        raise _misfit(f"tensors of another shape: {_few(shapes)}", net, where)
    return state


def published_name(key: str) -> str:
    """A state dict's key, ``dense0.conv1.pointwise.weight``, in a manifest's words.

    That is ``dense0/conv1/pointwise_filter``. A separable convolution has one bias, here that of
    its `pointwise` layer, there ``dense0/conv1/bias``.
    """
    *layers, kind = key.split(".")
    inside = layers[:-1] if layers[-1] in ("depthwise", "pointwise") else layers
    return "/".join([*inside, "bias" if kind == "bias" else LAYERS.get(layers[-1], "filters")])


def _turned(numbers: np.ndarray, name: str) -> Tensor:
    if numbers.ndim == 4:
        depthwise = name.endswith("/depthwise_filter")
        numbers = numbers.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    elif numbers.ndim == 2:
        numbers = numbers.T
    return torch.from_numpy(np.ascontiguousarray(numbers))


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _misfit(what: str, net: torch.nn.Module, where: object) -> InputError:
    name = getattr(net, "name", type(net).__name__)
    expected = f"the {len(net.state_dict())} tensors of {name}"
    return InputError(what, where=where, expected=expected, todo="give this network's manifest")
