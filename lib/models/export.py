"""Export networks as files that run without this repository: ONNX, `torch.export`, or weights
alone.

The graph (`graphs`) is translated by ``torch.onnx.export(dynamo=True)``. The older exporter
(TorchScript) was tried first: it can neither sort or pack sequences nor index by a mask, and it
fixes the sizes of its example. Packages are imported where they are used, so that other work does
not need them.
"""

from __future__ import annotations

import copy
import io
import math
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from .base import Model
from .graphs import chosen, example, given, program, refusing

FILES = {"onnx": "model.onnx", "export": "model.pt2", "safetensors": "model.safetensors"}
TOLERANCE = 1e-4  # largest difference of outputs, relative to the largest output if that is above 1
TRIED = ((1, 1), (3, 2), (2, 7), (1, 40))  # samples and steps with which a file is checked
WITHOUT = "pip install 'affect-notebooks[export]', or pip install onnx onnxscript onnxruntime"


def write(net: Model, kind: str, folder: Path) -> Path:
    """Write a network into a folder, as `FILES` of `kind` says; returns the file.

    Raises InputError when the network cannot be exported or a package is missing.
    """
    path = Path(folder) / FILES[kind]
    _WRITERS[kind](net, path)
    return path


def _write_onnx(net: Model, path: Path) -> None:
    _package("onnx"), _package("onnxscript")
    graph, outputs = program(net), list(net.outputs)
    inputs = list(given(net))
    twice = {name: f"{name}_out" for name in outputs if name in inputs}
    names = {"input_names": inputs, "output_names": [twice.get(name, name) for name in outputs]}
    with refusing(net, "an ONNX graph"):
        # Without its optimiser some graphs do not run: a missing bias gets a wrong size (PyTorch
        # 2.11). With it an added 1e-8 is dropped (onnxscript 0.7): see `GlobalNorm`.
        made = torch.onnx.export(graph, dynamo=True, verbose=False, optimize=True, **names)
        made.save(str(path), external_data=False)


def _write_program(net: Model, path: Path) -> None:
    made, content = program(net), io.BytesIO()
    with refusing(net, "a file of torch.export"):
        torch.export.save(made, content)
    path.write_bytes(content.getbuffer())  # PyTorch itself would not say that the disk was full


def _write_weights(net: Model, path: Path) -> None:
    """Names as in the network's state dict; a weight with two names is stored twice."""
    save = _package("safetensors.torch").save
    state = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    path.write_bytes(save({name: tensor.contiguous() for name, tensor in state.items()}))


_WRITERS: dict[str, Callable] = {
    "onnx": _write_onnx,
    "export": _write_program,
    "safetensors": _write_weights,
}


def _package(name: str):
    try:
        return import_module(name)
    except ImportError:
        raise InputError(
            f"{name.partition('.')[0]} is not installed", where="models.export", todo=WITHOUT
        ) from None


def deviation(net: Model, path: Path, tried: tuple = TRIED) -> dict[str, float]:
    """Largest difference between a written file's outputs and the network's, by "B × T" (for
    weights alone: "weights"), relative to the largest output if that is above 1.

    The network itself takes its usual path. Raises InputError above `TOLERANCE`.
    """
    net = copy.deepcopy(net).cpu().float().eval()
    if path.suffix == ".safetensors":
        differences = {"weights": _differing_weights(net, path)}
    else:
        run = _runner(path)
        pairs = {tuple(chosen(net, *pair).values()): pair for pair in tried}
        differences = {
            " × ".join(map(str, key)): _differ(net, run, *pair) for key, pair in pairs.items()
        }
    worst = max(differences.values())
    if not worst <= TOLERANCE:
        raise InputError(
            f"the exported {net.name} differs from the network by {worst:.2g}",
            where=path.name,
            expected=f"at most {TOLERANCE:g}",
            todo="report it, with the parameters of the run",
        )
    return differences


def _differ(net: Model, run: Callable, samples: int, steps: int) -> float:
    batch = example(net, samples, steps, seed=samples + steps)
    with torch.inference_mode():
        expected = net(batch)
    worst = 0.0
    for name, values in zip(net.outputs, run(list(batch.values())), strict=True):
        reference = expected[name].float().numpy()
        largest = max(1.0, float(np.abs(reference).max(initial=0)))
        worst = max(worst, float(np.abs(reference - values).max(initial=0)) / largest)
    return worst


def _runner(path: Path) -> Callable:
    """A function from tensors to arrays that runs a file."""
    if path.suffix == ".pt2":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a weight it read cannot be written to
            module = torch.export.load(str(path)).module()
        return lambda tensors: [out.numpy() for out in module(*tensors)]
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3  # errors only
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [graph_input.name for graph_input in session.get_inputs()]
    return lambda tensors: session.run(
        None, {name: x.numpy() for name, x in zip(names, tensors, strict=True)}
    )


def _differing_weights(net: Model, path: Path) -> float:
    state, load = net.state_dict(), _package("safetensors.torch").load_file
    saved = load(str(path))
    if saved.keys() != state.keys():
        return math.inf
    differences = (float((saved[name] - state[name]).abs().max()) for name in state)
    return max(differences)
