"""What the store holds of pretrained encoders: one row per video frame, of faces (`encoder_faces`)
or of sound (`encoder_sound`).

A network is named as the Hugging Face hub names it, or by a folder as transformers writes it, or by
a file of weights for a network of timm. `encoder_files` finds its files; `encoders` computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import InputError
from ..files import resolve as path_of
from ..media.sound import SPEECH_RATE
from ..store import Maker, Request, Store, request
from . import encoder_files
from .encoder_files import CONFIG, PREPROCESSOR, WEIGHTS, fetch, files, folder, is_local, read

FACES, SOUND = "encoder_faces", "encoder_sound"
OWNER, VERSION = {FACES: "trial", SOUND: "video"}, {FACES: 1, SOUND: 1}
# What only a network for waveforms, and only one for pictures, has in its config.json.
OF_SOUND = ("conv_stride",)
OF_FACES = ("image_size", "vision_config", "num_channels", "pretrained_cfg")


# ---- requests
def wanted(settings: Mapping, face_size: int, may_fetch: bool = True) -> Request:
    """The request for an encoder's rows, by its settings (``class Encoder`` of the recipe
    `features`).

    face_size : px of the faces that it looks at. may_fetch : whether its config.json may be
    fetched, which tells where `of` does not whether it hears or sees.
    """
    model, name = settings["model"], kind(settings, may_fetch)
    usual = {"layers": [], "pooling": "auto", "architecture": "", "kept": "float16"}
    own = {key: settings[key] for key, value in usual.items() if settings[key] != value}
    if name == FACES:
        own["size"] = face_size
    else:
        own["seconds"] = settings["seconds"]
        own.pop("pooling", None)
    local = is_local(model)
    present = files(model) if local or encoder_files.complete(files(model)) else {}
    return request(name, present, model=path_of(model).name if local else model, **own)


def kind(settings: Mapping, may_fetch: bool = True) -> str:
    """`FACES` or `SOUND`. Raises InputError where neither `of` nor config.json tells."""
    if settings["of"] != "auto" or settings["architecture"]:
        return SOUND if settings["of"] == "sound" else FACES
    model = settings["model"]
    file = folder(model) / CONFIG
    if not file.is_file() and not is_local(model):
        fetch(model, may_fetch, (CONFIG, PREPROCESSOR))
        file = folder(model) / CONFIG
    config = read(file)
    if any(key in config for key in OF_SOUND):
        return SOUND
    if any(key in config for key in OF_FACES):
        return FACES
    raise InputError(
        f"what {model} hears or sees is not known",
        where=file,
        expected="an encoder of waveforms (wavlm, …) or of pictures (dinov2, …)",
        todo="say it: `of: faces` or `of: sound`",
    )


def refuse_layers(layers, last: int) -> None:
    """Raise InputError for a layer that a network does not have; 0 is what goes into the first."""
    wrong = [layer for layer in layers if layer > last]
    if wrong:
        raise InputError(
            f"the encoder has no layer {wrong[0]}",
            where="setting layers",
            expected=f"0 to {last}" if last else "none: of timm the last layer is taken",
            todo="correct the setting `layers`",
        )


def resolve(trial: Mapping, asked: Request, place: Store) -> Request:
    """The same request with the network's files, which may have been fetched in the meantime."""
    if asked.files:
        return asked
    return request(asked.name, files(asked.parameters["model"]), **asked.parameters)


def prepare(trial: Mapping, asked: Request, place: Store) -> None:
    """Fetch the network where it is needed for the first time: not for an array that is there."""
    resolved, name = resolve(trial, asked, place), asked.name
    shelf = place.shelf(OWNER[name], trial[OWNER[name]])
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
    fetch(model, place.fetch, (CONFIG, PREPROCESSOR, "model*.safetensors*"))
    if not encoder_files.complete(files(model)):
        fetch(model, place.fetch, ("pytorch_model*.bin*",))


def bytes_a_frame(asked: Request) -> int:
    """Bytes on disk that a frame's row will take, 0 where the network's files do not tell yet."""
    file = asked.files.get("config")
    config = read(file) if file is not None and file.is_file() else {}
    config = config.get("vision_config", config)
    width = config.get("hidden_size") or (config.get("hidden_sizes") or [0])[-1]
    layers = len(asked.parameters.get("layers", ())) or 1
    return width * layers * (4 if asked.parameters.get("kept") == "float32" else 2)


# ---- what they are made from
def sources_of_faces(trial: Mapping, asked: Request) -> dict:
    face = request("face", size=asked.parameters["size"])  # opened with `face_valid`: made after
    return {"face_valid": request("face_valid"), "face": face, **asked.files}


def sources_of_sound(trial: Mapping, asked: Request) -> dict:
    sound = request("audio_16k", rate=SPEECH_RATE)
    return {"sound": sound, "time": request("time"), **asked.files}


def make_faces(inputs, parameters, create, device) -> None:
    """(T, k), a row per face, zeros where there is none."""
    from . import encoder_faces  # torch is needed for this array only

    encoder_faces.make(inputs, parameters, create, device)


def make_sound(inputs, parameters, create, device) -> None:
    """(T, k), the mean of the network's rows within each frame's span."""
    from . import encoder_sound  # torch is needed for this array only

    encoder_sound.make(inputs, parameters, create, device)


def _maker(name: str, step: str, sources: Callable, make: Callable) -> Maker:
    given = (name, step, OWNER[name], VERSION[name], sources, make, resolve, prepare)
    return Maker(*given, network=True)


MAKERS = [
    _maker(FACES, "visual", sources_of_faces, make_faces),
    _maker(SOUND, "audio", sources_of_sound, make_sound),
]
