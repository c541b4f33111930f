"""Arrays of a recording's sound in the store: waveform, spectrograms, features, on the recording's
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import InputError
from ..labels import lfan_rows
from ..media import readings, separate, stretches, tracks
from ..media import sound as media_sound
from ..media.sound import SOUND_RATE, SPEECH_RATE
from ..store import ByStretch, Maker, Request, Store, give_back, request

BLOCK = 1 << 20  # samples per block: 24 s, 8 MB
SILENCE = 1e-5  # of full scale, −100 dB: below any recorder's noise


# ---- what they are made from
def of_recording(trial: Mapping, wanted: Request) -> dict:
    """The file that has the sound. Raises InputError for a video without sound."""
    if not trial["audio_path"]:
        raise InputError(
            "this video has no audio track",
            where=f"trial {trial['trial']}: {trial['video_path']}",
            expected="a recording with sound",
            todo="run with `modality: video`; or put its sound beside it under its name (.wav) and "
            f"set `{separate.PARAMETER}: true`; or leave this trial out",
        )
    return {"video": trial["audio_path"]}


def of_sound(trial: Mapping, wanted: Request) -> dict:
    return {"sound": request("audio_44k", rate=SOUND_RATE)}


def of_sound_and_time(trial: Mapping, wanted: Request) -> dict:
    return {**of_sound(trial, wanted), "time": request("time")}


def of_speech_and_time(trial: Mapping, wanted: Request) -> dict:
    return {
        "sound": request("audio_16k", rate=SPEECH_RATE),
        "time": request("time"),
        **wanted.files,
    }


def of_speech_or_database(trial: Mapping, wanted: Request) -> dict:
    """The sound, or the rows of the published LFAN database if the request means those."""
    if "database" in wanted.parameters:
        name = lfan_rows.FEATURES[wanted.name][0]
        return {**lfan_rows.sources(trial, name), "time": request("time")}
    return of_speech_and_time(trial, wanted)


def resolve_sound(trial: Mapping, wanted: Request, store: Store) -> Request:
    """A request for a waveform, completed by the reading of the recording's sound
    (`lib.media.readings`).
    """
    return request(
        wanted.name, wanted.files, **{**readings.of_sound(trial, store), **wanted.parameters}
    )


# ---- making them
def make_sound(inputs, parameters, create, device) -> None:
    """(N,) int16 samples at the parameter `rate`; beside it t0 in s."""
    rate = parameters["rate"]  # the parameter names it for people; this selects it in the decoder
    number = parameters.get("track", 1)
    pieces = media_sound.pieces(inputs["video"], rate, number)
    moved = {name: parameters[name] for name in ("offset", "speed") if name in parameters}
    if moved:
        pieces = separate.placed(pieces, rate, **{"offset": 0.0, **moved})
    t0, first = next(pieces)
    said = [*tracks.notes(tracks.of(inputs["video"]), number), readings.words(moved)]
    said = list(filter(None, said))
    note = {"note": "; ".join(said)} if said else {}
    with create((None,), np.int16, t0=t0, rate=rate, **note) as append:
        append(first)
        for _, samples in pieces:
            append(samples)


def make_loudness(inputs, parameters, create, device) -> None:
    """(T, 1) float32, see `loudness`."""
    times, sound = np.asarray(inputs["time"]), inputs["sound"]
    rows = loudness(sound, SOUND_RATE, inputs["sound_facts"]["t0"], times)
    with create(rows.shape, np.float32) as out:
        out[...] = rows


def loudness(waveform: np.ndarray, rate: float, t0: float, times: np.ndarray) -> np.ndarray:
    """Level of the sound in the second around each frame, cut off at the ends of the sound.

    Arguments
    ---------
    waveform : (n,) −1…1, or int16 as the store keeps it; sample i is at t0 + i / rate (s).
    times : (T,) s on the same clock.

    Returns (T, 1) float32, dB of full scale, −100 where there is no sound.
    """
    middle = (np.asarray(times) - t0) * rate
    first, last = (
        np.clip(np.round(middle + half * rate).astype(int), 0, len(waveform))
        for half in (-0.5, 0.5)
    )
    power = _power_up_to(waveform, last) - _power_up_to(waveform, first)
    level = np.sqrt(np.maximum(power, 0) / np.maximum(last - first, 1))
    return (20 * np.log10(np.maximum(level, SILENCE))).astype(np.float32)[:, None]


def _power_up_to(waveform: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Sum of the squares of all samples before each of the places; block by block, in the order in
    which one sum over all would add them.
    """
    power, total = np.zeros(len(places)), 0.0
    for start in range(0, len(waveform), BLOCK):
        block = np.asarray(waveform[start : start + BLOCK])
        block = media_sound.as_float(block) if block.dtype == np.int16 else block
        sums = np.cumsum(np.concatenate([[total], np.square(block, dtype=np.float64)]))
        here = (places > start) & (places <= start + len(block))
        power[here] = sums[places[here] - start]
        total = sums[-1]
        give_back(waveform)
    return power


def make_mel(inputs, parameters, create, device) -> None:
    """(columns, 64) float32 power; beside it t0 in s and rate in columns per s."""
    from . import mel  # torch is needed for this array only

    sound, facts = inputs["sound"], inputs["sound_facts"]
    with create((None, mel.BANDS), np.float32, t0=facts["t0"], rate=SOUND_RATE / mel.HOP) as append:
        for block in mel.power_blocks(sound, SOUND_RATE):
            append(block)
            give_back(sound)


def make_mfcc39(inputs, parameters, create, device) -> None:
    """(T, 39)."""
    from . import mfcc39

    rows = mfcc39.on_frames(
        inputs["sound"], inputs["sound_facts"]["t0"], np.asarray(inputs["time"])
    )
    with create(rows.shape, rows.dtype) as out:
        out[...] = rows


def make_vggish(inputs, parameters, create, device, *stretch) -> None:
    """(T, 128) float32."""
    from . import vggish  # torch is needed for this array only

    vggish.make(inputs, parameters, create, device, *stretch)


def make_egemaps(inputs, parameters, create, device) -> None:
    """(T, 23) float32."""
    from . import egemaps

    egemaps.make(inputs, parameters, create, device)


def of_speech(trial: Mapping, wanted: Request) -> dict:
    return {"sound": request("audio_16k", rate=SPEECH_RATE)}


def make_voice(inputs, parameters, create, device) -> None:
    """(T', 75) float32, a row per 20 ms of the spoken part."""
    from . import voice

    voice.make(inputs, parameters, create, device)


def make_mfcc_chroma(inputs, parameters, create, device) -> None:
    """(T', 46) float32, a row per 42.7 ms of the whole sound."""
    from . import mfcc_chroma

    mfcc_chroma.make(inputs, parameters, create, device)


def make_functionals(inputs, parameters, create, device) -> None:
    """(T, 88) float32."""
    from . import egemaps

    egemaps.make(inputs, {**parameters, "functionals": True}, create, device)


def _is_computed(resolved: Request) -> bool:
    return "database" not in resolved.parameters


def _or_database(
    name: str, compute: Callable, network: bool = False, by_stretch: ByStretch | None = None
) -> Maker:
    """The rows of the published LFAN database if these are meant
    (`lib.labels.lfan_rows.resolve`).
    """

    def make_features(inputs, parameters, create, device):
        if "database" not in parameters:
            return compute(inputs, parameters, create, device)
        rows = lfan_rows.features(
            name, inputs["rows"], len(inputs["time"]), inputs.get("annotation")
        )
        with create(rows.shape, np.float32, note="from the published LFAN database") as out:
            out[...] = rows

    return Maker(
        name,
        "audio",
        "video",
        lfan_rows.VERSION,
        of_speech_or_database,
        make_features,
        lfan_rows.resolve,
        network=network,
        by_stretch=by_stretch,
    )


MAKERS = [
    Maker("audio_44k", "audio", "video", 1, of_recording, make_sound, resolve_sound),
    Maker("audio_16k", "audio", "video", 1, of_recording, make_sound, resolve_sound),
    Maker("mel", "audio", "video", 1, of_sound, make_mel),
    Maker("loudness", "audio", "video", 1, of_sound_and_time, make_loudness),
    _or_database("mfcc39", make_mfcc39),
    _or_database("vggish", make_vggish, True, stretches.by_rows(make_vggish, _is_computed)),
    Maker("egemaps", "audio", "video", 1, of_speech_and_time, make_egemaps),
    Maker("voice", "audio", "video", 1, of_speech, make_voice),
    Maker("mfcc_chroma", "audio", "video", 1, of_speech, make_mfcc_chroma),
    Maker("egemaps88", "audio", "video", 1, of_speech_and_time, make_functionals),
]
