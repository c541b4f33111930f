"""What the tensors of an exported network are, for people who run it elsewhere: `signature.json`.

Sentences go by the names of tensors, which mean the same in all networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from .. import datasets
from ..features import mel
from ..labels import official
from ..metrics import EMOTIONS
from ..models import graphs
from ..models.affect.face_api import CLASSES
from ..models.affect.tsav import CLIP_MEAN, CLIP_STD
from ..models.base import Model

RGB = "RGB pictures of the face; black where none is seen"
MFCC13 = (
    "cepstral features of sound at 16 kHz on the scale of 16-bit integers, four rows per frame, "
    "row k from sample round(k · 16000 / (4 · fps)): windows of 25 ms · 25 / fps, 26 mel bands, "
    "log energy first"
)
MEL = (
    "decibels of the mel power spectrogram of sound at 44.1 kHz round the frame: 64 HTK bands, "
    "windows of 20 ms every 10 ms, at most 80 dB below the loudest"
)
OBSERVED = "whether a row of stream_{} was observed; nowhere: the stream is off"
# Name of an input -> what it is; behind a blank its last size, where a name has two meanings.
INPUTS = {
    "frame": RGB,
    "clip": f"8 {RGB}, each 6 video frames after the one before, the last one that of the frame",
    "face": "pictures of one face; what the network learnt from is subtracted inside",
    "mel": MEL,
    "mfcc 13": MFCC13,
    "mfcc 39": "13 cepstral coefficients with their first and second slopes, one row per frame",
    "vggish": "VGGish before its last activation, one row per frame",
    "features": "features side by side, in the order of the parameters",
    "audio": "features of the sound, one row per step",
    "visual": "features of the picture, one row per step",
    "time": "seconds of each frame from the beginning",
    "audio_time": "seconds of the middle of the sound that a frame's rows of mfcc are made from",
    "visible": "whether the face is seen in a frame",
    "face_valid": "whether a frame shows a face",
    "reliability": "of each number that gates look at: the number, and 1 where it is known, else 0",
    "gated_fusion: reliability": "of each array in the option `gate_by`: its numbers (0 where one "
    "is not known), then of each 1 where it is known, else 0",
    "stream_spectrum": "64 bands in dB, less the recording's mean: lib.features.voice.prepared",
    "stream_melody": "pitch, voicing, harmonics to noise: lib.features.voice_streams.COLUMNS",
    "stream_loudness": "level and length of a recording: lib.features.voice_streams.COLUMNS",
    "position": "row and column of the face's centre in the picture, each from 0 to 16",
}
OUTPUTS = {
    "va": "valence and arousal, raw: clip them to −1…1",
    "emotion": "valence, arousal or both, raw: clip them to −1…1",
    "logits": "what the network learnt, raw",
    "expression": "logits of classes: softmax gives probabilities",
    "log_variance": "logarithm of the variance of each: its standard deviation is "
    "exp(log_variance / 2), times `sd_factor` where that was fitted",
    "gated_fusion: gates": "weight of each stream, in the order of the inputs, for valence and for "
    "arousal; 0: it is off",
    "gates": "mean weight of each stream in a recording, in the order of the inputs; 0: it is off",
    "action_units": "logits of action units: above 0 is active",
    "speaking": "logits of [not speaking, speaking]: softmax gives probabilities",
    "speaking_audio": "the same by the sound alone",
    "speaking_visual": "the same by the picture alone",
}


def describe(net: Model, params: Mapping, normalisation: Mapping, row: str) -> dict:
    """``inputs``, ``outputs``, ``letters``, ``left_out`` and ``row`` of a signature.

    params : of the training, {} for published weights. normalisation : `Recipe.normalisation`.
    row : what one row over time is.
    """
    shapes = graphs.given(net)
    outputs = {name: graphs.sizes(net, text) for name, text in net.outputs.items()}
    letters = graphs.letters(net)
    return {
        "row": row,
        "letters": {letter: _letter(net, letter, *ends) for letter, ends in letters.items()},
        "inputs": [_input(net, name, shape, normalisation) for name, shape in shapes.items()],
        "outputs": [_output(net, name, shape, params) for name, shape in outputs.items()],
        "left_out": [name for name in net.inputs if name in graphs.LEFT_OUT],
    }


def _letter(net: Model, letter: str, least: int, most: int) -> dict:
    """Least and most of a size; where it follows from another one, how."""
    bounds, rows = {"least": least, "most": most or None}, net.lengths().get(letter)
    return bounds if rows is None else {**bounds, "rule": str(rows), **asdict(rows)}


def _what_goes_in(net: Model, name: str, size: int | str) -> str:
    kind, _, stream = name.partition("_")
    if kind == "seen":
        return OBSERVED.format(stream)
    if kind == "stream" and net.name == "gated_fusion":
        every, first = net.every[list(net.streams).index(stream)], "the first at the first step"
        return f"rows of the feature {stream}, {every} video frames apart, {first}"
    usual = f"the numbers of {stream} in the option `features`" if kind == "stream" else ""
    return _told(net, INPUTS, name) or INPUTS.get(f"{name} {size}", INPUTS.get(name, usual))


def _told(net: Model, texts: Mapping[str, str], name: str) -> str:
    """What a tensor means in this network, where that is not what its name means in others."""
    return texts.get(f"{net.name}: {name}", "")


def _input(net: Model, name: str, shape: list, normalisation: Mapping) -> dict:
    description = net.inputs[name]
    return {
        "name": name,
        "shape": shape,
        "dtype": "bool" if "bool" in description else "float32",
        "what": _what_goes_in(net, name, shape[-1]),
        "unit": description[description.index(")") + 1 :].replace(", optional", "").strip(),
        "range": _range(name, description),
        "normalisation": _normalised(name, shape, normalisation),
    }


def _range(name: str, description: str) -> list[float]:
    """Where its numbers usually lie before they are normalised."""
    if name in ("frame", "clip") or "0–255" in description:
        return [0.0, 255.0]
    return {"mel": [-100.0, 0.0], "position": [0.0, 16.0]}.get(name, [-1.0, 1.0])


def _normalised(name: str, shape: list, normalisation: Mapping) -> dict | None:
    """The input is (x / scale − mean) / std, with mean and std along `axis`; None: x as it is."""
    if name in normalisation:
        return {"scale": 1.0, **normalisation[name], "axis": len(shape) - 1}
    if name == "clip":
        channels = shape[1]
        mean, std = list(CLIP_MEAN[:channels]), list(CLIP_STD[:channels])
        return {"scale": 255.0, "mean": mean, "std": std, "axis": 1}
    if name == "frame":
        return {"scale": 255.0, "mean": [0.5] * 3, "std": [0.5] * 3, "axis": len(shape) - 3}
    if name == "mel":
        return {"scale": 1.0, "mean": [mel.MEAN], "std": [mel.SPREAD], "axis": len(shape) - 1}
    return None


def _output(net: Model, name: str, shape: list, params: Mapping) -> dict:
    return {
        "name": f"{name}_out" if name in graphs.given(net) else name,
        "shape": shape,
        "dtype": "float32",
        "what": _told(net, OUTPUTS, name) or OUTPUTS.get(name, ""),
        "columns": _columns(net, name, shape[-1], params),
    }


def _columns(net: Model, name: str, size: int, params: Mapping) -> list[str] | None:
    """Names of an output's columns; None where they have none, or where it is not known."""
    if name.startswith("speaking"):
        return ["not speaking", "speaking"]
    if name == "emotion" and size == 1:
        return [params["emotion"]] if params.get("emotion") in EMOTIONS else None
    if name in ("va", "log_variance", "emotion") or (name == "logits" and params and size == 2):
        return list(EMOTIONS) if size == 2 else None
    if name in ("expression", "action_units"):
        return _classes(name, size, net, params)
    return None


def _classes(task: str, size: int, net: Model, params: Mapping) -> list[str] | None:
    """Names of classes: those of the data that it learnt from, else nobody knows."""
    dataset = params.get("dataset", "")
    known = [CLASSES] if net.name.startswith("face_api") else []
    if not params or dataset == "affwild2" or datasets.is_synthetic(dataset):
        known += official.HEADERS[task]
    elif task == "expression":
        known.append(datasets.class_names(dataset))
    return next((list(names) for names in known if len(names) == size), None)
