"""What the store holds of pretrained encoders: rows of faces (`encoder_faces`), of short clips of
faces (`encoder_clips`) or of sound (`encoder_sound`).

There is one row per video frame, or with a `rate` as many per second: row k stands for the k-th
span of 1/rate s from the first frame on (`moments`, `rows_at`).

A network is named as the Hugging Face hub names it, or by a folder as transformers writes it, or by
a file of weights for a network of timm. `encoder_files` finds its files; `encoders` computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import InputError
from ..files import resolve as path_of
from ..media import stretches
from ..media.sound import SPEECH_RATE
from ..store import Maker, Request, Store, request
from . import encoder_files
from .encoder_files import CONFIG, PREPROCESSOR, WEIGHTS, fetch, files, folder, is_local, read

FACES, CLIPS, SOUND = NAMES = "encoder_faces", "encoder_clips", "encoder_sound"
OF_A_FACE = (FACES, CLIPS)
OWNER, VERSION = {FACES: "trial", CLIPS: "trial", SOUND: "video"}, dict.fromkeys(NAMES, 1)
# Keys in config.json that only networks for waveforms, for clips, and for pictures have.
OF_SOUND = ("conv_stride",)
OF_CLIPS = ("num_frames",)
OF_FACES = ("image_size", "vision_config", "num_channels", "pretrained_cfg")
# Default rows per second for a network of clips; with one row per frame each picture would be shown
# to it a hundred times.
CLIP_RATE = 4.0
USUAL_FPS = 30.0  # frame rate assumed while no video is known
SLACK = 1e-6  # spans: a frame on the edge of one belongs to the later, however it was rounded


# ---- requests
def wanted(settings: Mapping, face_size: int, may_fetch: bool = True) -> Request:
    """The request for an encoder's rows, by its settings (``Encoder`` of the recipe `features`).

    face_size : px of the faces that it looks at. may_fetch : whether its config.json may be
    downloaded, which tells whether it hears or sees if `of` does not.
    """
    model, name = settings["model"], kind(settings, may_fetch)
    usual = {"layers": [], "pooling": "auto", "architecture": "", "kept": "float16"}
    parameters = {key: settings[key] for key, value in usual.items() if settings[key] != value}
    rate = settings["rate"] or (CLIP_RATE if name == CLIPS else 0)
    parameters |= {"rate": rate} if rate else {}
    if name == SOUND:
        parameters["seconds"] = settings["seconds"]
        parameters.pop("pooling", None)
    else:
        parameters["size"] = face_size
        parameters |= {"span": settings["span"]} if name == CLIPS else {}
    local = is_local(model)
    present = files(model) if local or encoder_files.complete(files(model)) else {}
    return request(name, present, model=path_of(model).name if local else model, **parameters)


def kind(settings: Mapping, may_fetch: bool = True) -> str:
    """`FACES`, `CLIPS` or `SOUND`. Raises InputError if neither `of` nor config.json tells."""
    if settings["of"] == "sound":
        return SOUND
    if settings["of"] == "clips":
        return CLIPS
    if settings["of"] == "faces" or settings["architecture"]:
        return FACES
    model = settings["model"]
    file = folder(model) / CONFIG
    if not file.is_file() and not is_local(model):
        fetch(model, may_fetch, (CONFIG, PREPROCESSOR))
        file = folder(model) / CONFIG
    config = read(file)
    if any(key in config for key in OF_SOUND):
        return SOUND
    if any(key in config for key in OF_CLIPS):
        return CLIPS
    if any(key in config for key in OF_FACES):
        return FACES
    raise InputError(
        f"what {model} hears or sees is not known",
        where=file,
        expected="an encoder of waveforms (wavlm, …), of pictures (dinov2, …) or clips (videomae)",
        todo="say it: `of: faces`, `of: clips` or `of: sound`",
    )


def refuse_layers(layers, last: int) -> None:
    """Raise InputError for a layer that a network does not have; 0 is the input of the first
    layer.
    """
    wrong = [layer for layer in layers if layer > last]
    if wrong:
        raise InputError(
            f"the encoder has no layer {wrong[0]}",
            where="setting layers",
            expected=f"0 to {last}" if last else "none: of timm the last layer is taken",
            todo="correct the setting `layers`",
        )


def resolve(trial: Mapping, asked: Request, store: Store) -> Request:
    """The request with the network's files, which may have been downloaded in the meantime."""
    if asked.files:
        return asked
    return request(asked.name, files(asked.parameters["model"]), **asked.parameters)


def prepare(trial: Mapping, asked: Request, store: Store) -> None:
    """Download the network when it is first needed, not for an existing array."""
    resolved, name = resolve(trial, asked, store), asked.name
    shelf = store.shelf(OWNER[name], trial[OWNER[name]])
    made = shelf.find(name, resolved.parameters, VERSION[name])
    if made or encoder_files.complete(resolved.files):
        return
    model = asked.parameters["model"]
    if asked.files:
        absent = next(part for part in asked.files.values() if not part.is_file())
        raise InputError(
            f"the encoder {model} has no {absent.name}",
            where=absent,
            expected=f"{CONFIG} and {' or '.join(WEIGHTS)}",
            todo="correct the setting `model`, or copy the file there",
        )
    fetch(model, store.fetch, (CONFIG, PREPROCESSOR, "model*.safetensors*"))
    if not encoder_files.complete(files(model)):
        fetch(model, store.fetch, ("pytorch_model*.bin*",))


def bytes_a_frame(asked: Request) -> int:
    """Bytes on disk per video frame, 0 if the network's files are not known yet; for rows at a
    rate, their share per frame at 30 frames per second.
    """
    file = asked.files.get("config")
    config = read(file) if file is not None and file.is_file() else {}
    config = config.get("vision_config", config)
    width = config.get("hidden_size") or (config.get("hidden_sizes") or [0])[-1]
    layers = len(asked.parameters.get("layers", ())) or 1
    row_bytes = width * layers * (4 if asked.parameters.get("kept") == "float32" else 2)
    rate = asked.parameters.get("rate") or USUAL_FPS
    return round(row_bytes * min(1.0, rate / USUAL_FPS))


# ---- rows at a rate of their own
def moments(times: np.ndarray, rate: float) -> np.ndarray:
    """(M,) s: the middle of each span of 1/rate s, from the first of the frames' `times` (T,) s
    until the last frame lies in one.
    """
    return times[0] + (np.arange(rows_at(times, rate)[-1] + 1) + 0.5) / rate


def rows_at(times: np.ndarray, rate: float) -> np.ndarray:
    """(T,) which row each frame belongs to: that of the span in which its time lies."""
    times = np.maximum.accumulate(np.asarray(times, np.float64))
    return np.floor((times - times[0]) * rate + SLACK).astype(int)


def rows_of(asked: Request, times: np.ndarray, frames) -> np.ndarray | slice:
    """Which rows of an encoder's array are those of some video frames. times : (T,) s, of all."""
    rate = asked.parameters.get("rate")
    return rows_at(times, rate)[frames] if rate else frames


def rows_in(stretch: slice, times: np.ndarray, rate: float) -> slice:
    """Rows that begin in a stretch of frames; ``slice(None)`` for all frames."""
    if stretch == slice(None):
        return stretch
    rows = rows_at(times, rate)
    first, stop, _ = stretch.indices(len(rows))
    return slice(*np.append(rows, rows[-1] + 1)[[first, stop]].tolist())


# ---- what they are made from
def sources_of_faces(trial: Mapping, asked: Request) -> dict:
    face = request("face", size=asked.parameters["size"])  # opened with `face_valid`: made after
    timed = {"time": request("time")} if "rate" in asked.parameters else {}
    return {"face_valid": request("face_valid"), "face": face, **timed, **asked.files}


def sources_of_sound(trial: Mapping, asked: Request) -> dict:
    sound = request("audio_16k", rate=SPEECH_RATE)
    return {"sound": sound, "time": request("time"), **asked.files}


def make_faces(inputs, parameters, create, device, *stretch) -> None:
    """(T, k), a row per face, zeros where there is none; at a rate (M, k), of the face nearest to
    the middle of each span.
    """
    from . import encoder_faces  # torch is needed for this array only

    encoder_faces.make(inputs, parameters, create, device, *stretch)


def make_clips(inputs, parameters, create, device, *stretch) -> None:
    """(M, k), a row per clip of faces, zeros where there is none in it."""
    from . import encoder_faces  # torch is needed for this array only

    encoder_faces.make_clips(inputs, parameters, create, device, *stretch)


def make_sound(inputs, parameters, create, device, *stretch) -> None:
    """(T, k), the mean of the network's rows in each frame's span, or (M, k), of the rate's."""
    from . import encoder_sound  # torch is needed for this array only

    encoder_sound.make(inputs, parameters, create, device, *stretch)


def _maker(name: str, step: str, sources: Callable, make: Callable) -> Maker:
    arguments = (name, step, OWNER[name], VERSION[name], sources, make, resolve, prepare)
    return Maker(*arguments, network=True, by_stretch=stretches.by_rows(make))


MAKERS = [
    _maker(FACES, "visual", sources_of_faces, make_faces),
    _maker(CLIPS, "visual", sources_of_faces, make_clips),
    _maker(SOUND, "audio", sources_of_sound, make_sound),
]
