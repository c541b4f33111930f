"""What arrays the store can hold of a trial, what each is made from, and how: one `Maker` each.

To add a feature, write a function and one `Maker` in `MAKERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lib import audio, face_arrays, feature_arrays, label_arrays, media, published_rows, speaking_arrays
from lib.errors import InputError
from lib.store import Request, request

SOUND_RATE = 44_100  # Hz, TSAV and JCA (specs §1.4, §2.2)
SPEECH_RATE = 16_000  # Hz, MFCC, VGGish and eGeMAPS (LFAN specification §1.7)


@dataclass(frozen=True)
class Maker:
    """How one kind of array comes about.

    sources(trial, request) names what it is made from: paths relative to the data root, or other requests.
    make(inputs, parameters, create, device) computes it: `inputs` has the same names, with absolute paths, arrays
    (and `faces.Faces` for faces); ``create(shape, dtype, **facts)`` opens the array to be filled.
    `version` is raised when the numbers change. `owner` is whose array it is: "trial" or "video".
    """

    name: str
    step: str  # visual, audio or labels: notebook 02, 03 or 04
    owner: str
    version: int
    sources: Callable[[Mapping, Request], dict]
    make: Callable


def _from_video(trial, wanted):
    return {"video": trial["video_path"]}


def _from_sound(trial, wanted):
    if not trial["audio_path"]:
        raise InputError("this video has no audio track", where=f"trial {trial['trial']}: {trial['video_path']}",
                         expected="a recording with sound", todo="run with `modality: video`, or leave this trial out")
    return {"video": trial["audio_path"]}


def _of_sound(trial, wanted):
    return {"sound": request("audio_44k", rate=SOUND_RATE)}


def _of_sound_and_time(trial, wanted):
    return {**_of_sound(trial, wanted), "time": request("time")}


def _of_speech_and_time(trial, wanted):
    if "database" in wanted.parameters:
        name = published_rows.FEATURES[wanted.name][0]
        return {**published_rows.sources(trial, name), "time": request("time")}
    return {"sound": request("audio_16k", rate=SPEECH_RATE), "time": request("time"), **wanted.files}


def _for_face_map(trial, wanted):
    return {"face": request("face", size=wanted.parameters["size"]), "face_valid": request("face_valid"),
            "time": request("time"), **wanted.files}


def _time(inputs, parameters, create, device):
    times, claimed = media.frame_times(inputs["video"]), media.probe(inputs["video"]).n_frames
    note = f"the container claims {claimed} frames, {len(times)} decode" if claimed not in (0, len(times)) else ""
    with create(times.shape, np.float64, note=note) as out:
        out[...] = times


def _loudness(inputs, parameters, create, device):
    from lib import baselines
    times, sound = np.asarray(inputs["time"]), inputs["sound"]
    rows = baselines.loudness(audio.as_float(sound), SOUND_RATE, inputs["sound_facts"]["t0"], times)
    with create(rows.shape, np.float32) as out:
        out[...] = rows


def _sound(inputs, parameters, create, device):
    rate = parameters["rate"]  # the array's name says it for people, this says it to the decoder
    samples, t0 = audio.decode(inputs["video"], rate)
    with create(samples.shape, np.int16, t0=t0, rate=rate) as out:
        out[...] = samples


def _mel(inputs, parameters, create, device):
    from lib.features import mel  # torch is needed for this array only
    power = mel.power_mel(inputs["sound"], SOUND_RATE)  # (columns, 64)
    with create(power.shape, np.float32, t0=inputs["sound_facts"]["t0"], rate=SOUND_RATE / mel.HOP) as out:
        out[...] = power


def _or_published(name, compute):
    """The rows of the published LFAN database where the request means those (`published_rows.resolve`)."""
    def make_features(inputs, parameters, create, device):
        if "database" not in parameters:
            return compute(inputs, parameters, create, device)
        rows = published_rows.features(name, inputs["rows"], len(inputs["time"]), inputs.get("annotation"))
        with create(rows.shape, np.float32, note="from the published LFAN database") as out:
            out[...] = rows
    return Maker(name, "audio", "video", published_rows.VERSION, _of_speech_and_time, make_features)


def _mfcc39(inputs, parameters, create, device):
    from lib.features import mfcc39
    rows = mfcc39.on_frames(inputs["sound"], inputs["sound_facts"]["t0"], np.asarray(inputs["time"]))
    with create(rows.shape, rows.dtype) as out:
        out[...] = rows


def _vggish(inputs, parameters, create, device):
    from lib.features import vggish  # torch is needed for this array only
    vggish.make(inputs, parameters, create, device)


def _face_map(inputs, parameters, create, device):
    from lib.features import face_maps  # torch is needed for this array only
    face_maps.make(inputs, parameters, create, device)


def _egemaps(inputs, parameters, create, device):
    from lib.features import egemaps
    egemaps.make(inputs, parameters, create, device)


def _functionals(inputs, parameters, create, device):
    from lib.features import egemaps
    egemaps.make(inputs, {**parameters, "functionals": True}, create, device)


def _backbone(part):
    def make_features(inputs, parameters, create, device):
        from lib.features import backbone  # torch is needed for this array only
        getattr(backbone, part)(inputs, parameters, create, device)
    return make_features


def _for_backbone_visual(trial, wanted):
    return {"face": request("face", size=wanted.parameters["size"]), "face_valid": request("face_valid"),
            "time": request("time"), **wanted.files}


def _for_backbone_audio(trial, wanted):
    published = wanted.parameters["anchor"] == "published"
    heard = _of_sound(trial, wanted) if published else {"mel": request("mel")}
    return {**heard, "time": request("time"), **wanted.files}


def _for_blank(trial, wanted):
    return dict(wanted.files)


def _for_silence(trial, wanted):
    return {"time": request("time"), **wanted.files}


def _visual(name, owner, sources, make):
    return Maker(name, "visual", owner, face_arrays.VERSIONS[name], sources, make)


MAKERS = {maker.name: maker for maker in (
    Maker("time", "visual", "video", 1, _from_video, _time),
    _visual("tracks", "video", face_arrays.sources_of_tracks, face_arrays.make_tracks),
    _visual("face_valid", "trial", face_arrays.sources, face_arrays.make_valid),
    _visual("face", "trial", face_arrays.sources, face_arrays.make_face),
    _visual("pixels", "trial", face_arrays.sources, face_arrays.make_face),
    _visual("landmarks", "trial", face_arrays.sources_of_landmarks, face_arrays.make_landmarks),
    _visual("mask", "trial", face_arrays.sources_of_landmarks, face_arrays.make_mask),
    Maker("audio_44k", "audio", "video", 1, _from_sound, _sound),
    Maker("audio_16k", "audio", "video", 1, _from_sound, _sound),
    Maker("track_crops", "visual", "video", speaking_arrays.VERSIONS["track_crops"], speaking_arrays.sources_of_crops,
          speaking_arrays.make_crops),
    Maker("track_speaking", "audio", "video", speaking_arrays.VERSIONS["track_speaking"],
          speaking_arrays.sources_of_scores, speaking_arrays.make_scores),
    Maker("speaking", "audio", "trial", speaking_arrays.VERSIONS["speaking"], speaking_arrays.sources_of_speaking,
          speaking_arrays.make_speaking),
    Maker("mel", "audio", "video", 1, _of_sound, _mel),
    Maker("loudness", "audio", "video", 1, _of_sound_and_time, _loudness),
    _or_published("mfcc39", _mfcc39),
    _or_published("vggish", _vggish),
    Maker("egemaps", "audio", "video", 1, _of_speech_and_time, _egemaps),
    Maker("egemaps88", "audio", "video", 1, _of_speech_and_time, _functionals),
    Maker("face_map", "visual", "trial", 1, _for_face_map, _face_map),
    *(Maker(kind, "labels", "trial", 1, label_arrays.sources, label_arrays.maker(kind)) for kind in label_arrays.KINDS),
    Maker("feature", "visual", "trial", feature_arrays.VERSIONS["feature"], feature_arrays.sources_of_file,
          feature_arrays.make_from_file),
    Maker("mel_statistics", "audio", "video", feature_arrays.VERSIONS["mel_statistics"],
          feature_arrays.sources_of_statistics, feature_arrays.make_statistics),
    Maker("frame_features", "visual", "trial", feature_arrays.VERSIONS["frame_features"],
          feature_arrays.sources_of_network, feature_arrays.make_of_network),
    Maker("backbone_visual", "visual", "trial", 1, _for_backbone_visual, _backbone("visual")),
    Maker("backbone_audio", "audio", "video", 1, _for_backbone_audio, _backbone("sound")),
    Maker("backbone_blank", "visual", "video", 1, _for_blank, _backbone("blank_visual")),
    Maker("backbone_silence", "audio", "video", 1, _for_silence, _backbone("blank_sound")),
)}


def labels_of(mismatch: str) -> list[Request]:
    """All labels that a data set may have; `mismatch`: see `labels.fit_rows`."""
    return [request(kind, mismatch=mismatch) for kind in ("va", "expression", "action_units")]


# What the trivial predictors of every score table need (`lib.baselines`), whatever the recipe.
BASELINES = (request("pixels"), request("loudness"))
