"""The program beside an exported network: at most 40 lines that run its file on random numbers
without this repository. It is the same for every network, as `signature.json` says the rest.
"""

from __future__ import annotations

_RUNS = '''"""Runs {file} on random numbers, without the repository it comes from.

pip install numpy {package}. Your own arrays take the place of `raw`: see signature.json.
"""

import json
from pathlib import Path

import numpy as np
import {package}

FOLDER = Path(__file__).resolve().parent
SIGNATURE = json.loads((FOLDER / "signature.json").read_text(encoding="utf-8"))
LETTERS = SIGNATURE["letters"]
SIZES = {{letter: max(told["least"], 2) for letter, told in LETTERS.items()}}
for letter, told in LETTERS.items():
    if "rule" in told:  # ceil((of - 1) * step_hop / every) + 1
        SIZES[letter] = -(-(SIZES[told["of"]] - 1) * told["step_hop"] // told["every"]) + 1


def prepared(entry, raw):
    """What the network gets: (raw / scale - mean) / std along an axis, where it is normalised."""
    if told := entry["normalisation"]:
        lying = [-1 if axis == told["axis"] else 1 for axis in range(raw.ndim)]
        mean, std = np.reshape(told["mean"], lying), np.reshape(told["std"], lying)
        raw = (raw / told["scale"] - mean) / std
    return np.asarray(raw, entry["dtype"])


inputs = {{}}
for entry in SIGNATURE["inputs"]:
    shape = [n if isinstance(n, int) else int(n[:-1] or 1) * SIZES[n[-1]] for n in entry["shape"]]
    raw = np.random.default_rng(0).uniform(*entry["range"], shape)
    inputs[entry["name"]] = prepared(entry, raw)

{runs}
for entry, values in zip(SIGNATURE["outputs"], outputs, strict=True):
    print(entry["name"], values.shape, entry["columns"] or "", values.flat[:2])
'''
_ONNX = """session = onnxruntime.InferenceSession(str(FOLDER / SIGNATURE["file"]))
outputs = session.run([entry["name"] for entry in SIGNATURE["outputs"]], inputs)"""
_EXPORT = """network = torch.export.load(str(FOLDER / SIGNATURE["file"])).module()
outputs = [values.numpy() for values in network(*map(torch.from_numpy, inputs.values()))]"""
_WEIGHTS_SCRIPT = '''"""Lists the weights in {file}, without the repository it comes from.

pip install numpy safetensors. The network itself is not in it: signature.json has its name,
options, inputs and outputs.
"""

from pathlib import Path

from safetensors.numpy import load_file

for name, weight in load_file(Path(__file__).resolve().parent / "{file}").items():
    print(name, weight.shape, weight.dtype)
'''


def example(kind: str, file: str) -> str:
    """The source of ``example.py`` for a file of a kind, see `lib.models.export.FILES`."""
    if kind == "safetensors":
        return _WEIGHTS_SCRIPT.format(file=file)
    package, runs = ("onnxruntime", _ONNX) if kind == "onnx" else ("torch", _EXPORT)
    return _RUNS.format(file=file, package=package, runs=runs)
