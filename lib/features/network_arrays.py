"""Arrays of trained networks in the store: features of faces and sound, maps of face networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..media import stretches
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
    def make_features(inputs, parameters, create, device, *stretch):
        from . import backbone  # torch is needed for these arrays only

        getattr(backbone, part)(inputs, parameters, create, device, *stretch)

    return make_features


def make_face_map(inputs, parameters, create, device, *stretch) -> None:
    """(T, C, H, W) float16, see `lib.features.face_maps`."""
    from . import face_maps

    face_maps.make(inputs, parameters, create, device, *stretch)


def _per_frame(name: str, step: str, owner: str, sources: Callable, make: Callable) -> Maker:
    by = stretches.by_rows(make)
    return Maker(name, step, owner, 1, sources, make, network=True, by_stretch=by)


def _of_one_row(name: str, step: str, sources: Callable, make: Callable) -> Maker:
    return Maker(name, step, "video", 1, sources, make, network=True)


MAKERS = [
    _per_frame("face_map", "visual", "trial", of_faces, make_face_map),
    _per_frame("backbone_visual", "visual", "trial", of_faces, _backbone("visual")),
    _per_frame("backbone_audio", "audio", "video", of_sound, _backbone("sound")),
    _of_one_row("backbone_blank", "visual", of_blank, _backbone("blank_visual")),
    _of_one_row("backbone_silence", "audio", of_silence, _backbone("blank_sound")),
]
