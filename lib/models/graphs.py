"""Graphs of networks by `torch.export`, for any number of samples and steps.

Networks run inside `whole.whole_sequences`, where no control flow depends on the batch's content;
so `valid`, `pad` and `strength` are no inputs of a graph. A recurrent layer is a *scan* in it
(`blocks.stepwise`).
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ..errors import InputError
from .base import Model
from .blocks.whole import whole_sequences

LEFT_OUT = ("valid", "pad", "strength")  # optional inputs that are no inputs of a graph
TRACED = {"B": 2, "N": 2}  # sizes of the example for tracing; none may be 1
EXAMPLE_SIZE = 6  # size of any other letter, or the network's maximum
# What `torch.export` and the translation to ONNX raise, beside errors of their own, which are
# RuntimeErrors: for control flow that depends on numbers, operators without a translation.
REFUSED = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


def given(net: Model) -> dict[str, list[int | str]]:
    """The inputs of a network's graph: name -> sizes, numbers or letters as in ["B", "4T", 13]."""
    return {name: sizes(net, text) for name, text in net.inputs.items() if name not in LEFT_OUT}


def sizes(net: Model, text: str) -> list[int | str]:
    """Sizes in a declaration such as "(B, 4T, 13) logits"; a letter that has one value is that."""
    limits, shape = net.limits(), []
    for part in text[1 : text.index(")")].split(", "):
        pairs = [re.fullmatch(r"(\d*)([A-Z]?)", factor).groups() for factor in part.split("·")]
        letters = "".join(letter for _, letter in pairs)
        least, most = limits.get(letters, (1, 0))
        number = math.prod(int(count or 1) for count, _ in pairs)
        open_one = letters and least != most
        shape.append(f"{number if number > 1 else ''}{letters}" if open_one else number * least)
    return shape


def letters(net: Model) -> dict[str, tuple[int, int]]:
    """Letters in the inputs of a network's graph -> least and most, 0 for no limit."""
    endings = {str(size)[-1] for shape in given(net).values() for size in shape}
    limits = net.limits()
    return {letter: limits.get(letter, (1, 0)) for letter in sorted(endings) if letter.isalpha()}


def chosen(net: Model, samples: int, steps: int) -> dict[str, int]:
    """A size for each letter: samples for B and N, else steps, within what the network takes, or
    what follows from them (`Model.lengths`).
    """
    by_letter = {}
    for letter, (least, most) in letters(net).items():
        size = samples if letter in TRACED else steps
        by_letter[letter] = max(least, min(size, most) if most else size)
    return by_letter | {
        letter: rows.count(by_letter[rows.of]) for letter, rows in net.lengths().items()
    }


def example(net: Model, samples: int, steps: int, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of a network's graph, in the range that its declaration names."""
    generator, batch = torch.Generator().manual_seed(seed), {}
    for name, shape in given(net).items():
        size = [_size(part, chosen(net, samples, steps)) for part in shape]
        x = torch.randn(size, generator=generator)
        description = net.inputs[name]
        batch[name] = x > -0.5 if "bool" in description else x
        if "0–255" in description:
            batch[name] = (128 + 50 * x).clamp(0, 255)
    return batch


def _size(part: int | str, chosen: Mapping[str, int]) -> int:
    return part if isinstance(part, int) else int(part[:-1] or 1) * chosen[part[-1]]


class Flat(nn.Module):
    """A network from tensors in the order of its inputs to tensors in the order of its outputs."""

    def __init__(self, net: Model):
        super().__init__()
        self.net, self.names = net, list(given(net))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs = self.net(dict(zip(self.names, tensors, strict=True)))
        return tuple(outputs[name] for name in self.net.outputs)


def program(net: Model) -> torch.export.ExportedProgram:
    """The graph of a network in evaluation mode, for any number of samples and steps.

    Raises InputError for a network of which there is none, with the reason.
    """
    net = _plain(net)
    inputs = tuple(example(net, TRACED["B"], EXAMPLE_SIZE).values())
    axes = {name: torch.export.Dim(name, **_range(*ends)) for name, ends in letters(net).items()}
    dynamic = tuple(_axes(shape, axes) for shape in given(net).values())
    with refusing(net, "a graph"), _traceable(), whole_sequences(traced=True), torch.no_grad():
        graph = torch.export.export(
            Flat(net).eval(),
            inputs,
            dynamic_shapes=(dynamic,),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    return _without_assertions(graph)


def _without_assertions(graph: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """A graph without the assertions about sizes that tracing added, such as that a size is not 1
    because it was not in the example. `export.deviation` checks for which sizes the graph is right.
    """
    for module in graph.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in list(module.graph.nodes):
                if node.target is torch.ops.aten._assert_scalar.default:
                    module.graph.erase_node(node)
            module.graph.eliminate_dead_code()
            module.recompile()
    return graph


def _plain(net: Model) -> Model:
    """A copy in evaluation mode on the CPU with contiguous weights: the memory layout of a
    convolution's weights would otherwise require more than one step.
    """
    net = copy.deepcopy(net).cpu().float().eval().requires_grad_(False)
    for weight in net.parameters():
        weight.data = weight.data.clone(memory_format=torch.contiguous_format)
    return net


def _range(least: int, most: int) -> dict[str, int]:
    return {"min": least, **({"max": most} if most else {})}


def _axes(shape: list[int | str], axes: Mapping[str, object]) -> dict[int, object]:
    """Number of an axis -> its size, for those that are open."""
    open_axes = {}
    for number, part in enumerate(shape):
        if isinstance(part, str):
            axis = axes[part[-1]]
            open_axes[number] = int(part[:-1]) * axis if part[:-1] else axis
    return open_axes


@contextlib.contextmanager
def _traceable() -> Iterator[None]:
    """Inside the block PyTorch avoids operations that fix a graph to the sizes of its example:
    kernels chosen by size, an encoder layer as one operator.
    """
    from torch.fx.experimental import _config

    if not hasattr(_config, "backed_size_oblivious"):
        raise InputError(
            f"PyTorch {torch.__version__} cannot make a graph for all sizes",
            where="models.graphs",
            expected="PyTorch 2.11 or newer",
            todo="pip install -e .[export], or take --to safetensors: weights alone",
        )
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.mkldnn.flags(enabled=False), _config.patch(backed_size_oblivious=True):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def refusing(net: Model, what: str) -> Iterator[None]:
    """Raise InputError if `what` cannot be made of a network; other messages are suppressed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except REFUSED as error:
        message = " ".join(str(error).split())[:500] or type(error).__name__
        raise InputError(
            f"the network {net.name} cannot be exported: {message}",
            where=f"model {net.name}",
            expected=f"{what} for all sizes: no branch, index or size that depends on numbers",
            todo="mend its forward (docs/export.md), or take --to safetensors: weights alone",
        ) from error
    finally:
        logger.setLevel(level)
