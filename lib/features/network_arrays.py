"""What the store holds of trained networks: features of faces and sound, and maps of an unfrozen
face network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..store import Maker, Request, request
from . import sound_arrays


def of_faces(trial: Mapping, wanted: Request) -> dict:
    """Faces in the size that the network sees, whether there is one, and the network's file."""
    return {
        "face": request("face", size=wanted.parameters["size"]),
        "face_valid": request("face_valid"),
        "time": request("time"),
        **wanted.files,
    }


def of_sound(trial: Mapping, wanted: Request) -> dict:
    """The spectrogram, or under published rules the waveform."""
    published = wanted.parameters["anchor"] == "published"
    heard = sound_arrays.of_sound(trial, wanted) if published else {"mel": request("mel")}
    return {**heard, "time": request("time"), **wanted.files}


def of_blank(trial: Mapping, wanted: Request) -> dict:
    return dict(wanted.files)


def of_silence(trial: Mapping, wanted: Request) -> dict:
    return {"time": request("time"), **wanted.files}


def _backbone(part: str) -> Callable:
    def make_features(inputs, parameters, create, device):
        from . import backbone  # torch is needed for these arrays only

        getattr(backbone, part)(inputs, parameters, create, device)

    return make_features


def make_face_map(inputs, parameters, create, device) -> None:
    """(T, C, H, W) float16, see `lib.features.face_maps`."""
    from . import face_maps

    face_maps.make(inputs, parameters, create, device)


MAKERS = [
    Maker("face_map", "visual", "trial", 1, of_faces, make_face_map),
    Maker("backbone_visual", "visual", "trial", 1, of_faces, _backbone("visual")),
    Maker("backbone_audio", "audio", "video", 1, of_sound, _backbone("sound")),
    Maker("backbone_blank", "visual", "video", 1, of_blank, _backbone("blank_visual")),
    Maker("backbone_silence", "audio", "video", 1, of_silence, _backbone("blank_sound")),
]
