"""Light-ASD's published weights on the shared recordings, and how fast faces are followed and scored.

`python benchmarks/speakers.py` (about four minutes on two idle cores), `--short` for two recordings and 20 s of
video. AP is AVA-style. Real against muted: positives are the frames of a real recording whose level (RMS) is within
40 dB of the sound's largest sample, negatives all frames of the same recording muted. The same with 40 dB below the
loudest frame's level stands beside it: that takes in the noise before and after the sentence, where nobody speaks.
Mismatched: the same recording with the sound of the next one. Needs ../shared/media and ../shared/weights.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from faces import CLIP, SHARED, _anonymous, film  # noqa: E402
from report import publish  # noqa: E402

from lib import arrays, media, speakers, weights  # noqa: E402
from lib.features import mfcc, speaking  # noqa: E402
from lib.metrics.speaking import ava_ap  # noqa: E402
from lib.store import Store, request  # noqa: E402

WEIGHTS = ("light_asd_ava", "light_asd_talkset")
LOUD = 40.0     # dB
PACKAGES = ("torch", "numpy", "opencv-python-headless", "av")


def prepared(name: str, detector, place: Path) -> dict:
    """Crops, times and sound of the face that is seen longest in a shared recording."""
    store = Store(place, "media", SHARED / "media", "detect", SHARED / "weights")
    row = speakers.video_row(SHARED / "media" / name, media.probe(SHARED / "media" / name))
    crops = request("track_crops", crop=detector.crop, size=detector.size)
    sound = request("audio_16k", rate=mfcc.RATE)
    arrays.make_all(row, [request("time"), request("tracks"), crops, sound], store)
    tracks = np.asarray(arrays.read(row, request("tracks"), store))
    longest = np.bincount(tracks[:, 1].astype(int)).argmax()
    rows = np.flatnonzero(tracks[:, 1] == longest)
    times = np.asarray(arrays.read(row, request("time"), store))[tracks[rows, 0].astype(int)]
    return {"crops": np.asarray(arrays.read(row, crops, store))[rows], "times": times,
            "sound": np.asarray(arrays.read(row, sound, store)), "t0": arrays.facts(row, sound, store)["t0"]}


def scored(one: dict, sound: np.ndarray, detector) -> np.ndarray:
    when, shown = speaking.grid(one["times"], detector.fps)
    logits = speaking.score(detector, lambda start, stop: one["crops"][shown[start:stop]], sound,
                            mfcc.at_times(when, one["t0"], detector.fps))
    values = speaking.on_frames(logits, when, one["times"])
    return values[:, 1] - values[:, 0]


def loud(one: dict) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool each: frames whose level is within 40 dB of the largest sample, and of the loudest frame."""
    step = round(mfcc.RATE * float(np.median(np.diff(one["times"]))))
    first = np.round((one["times"] - one["t0"]) * mfcc.RATE).astype(int)
    power = np.array([np.mean(np.square(one["sound"][max(n, 0):max(n, 0) + step].astype(float))) if n >= 0 else 0.0
                      for n in np.minimum(first, len(one["sound"]) - step)])
    peak = float(np.abs(one["sound"].astype(float)).max()) ** 2
    return power >= peak * 10 ** (-LOUD / 10), power >= power.max() * 10 ** (-LOUD / 10)


def recordings(names: list[str], detector, place: Path) -> list[float]:
    """AP of real against muted (two ways to say what is positive), and of real against mismatched sound."""
    ones = [prepared(name, detector, place) for name in names]
    real, noisy, muted, wrong = [], [], [], []
    for number, one in enumerate(ones):
        other = np.resize(ones[(number + 1) % len(ones)]["sound"], len(one["sound"]))
        values, (speech, within) = scored(one, one["sound"], detector), loud(one)
        real.append(values[speech])
        noisy.append(values[within])
        muted.append(scored(one, np.zeros_like(one["sound"]), detector))
        wrong.append(scored(one, other, detector))
    return [ava_ap(np.concatenate([*good, *bad]), np.r_[np.ones(sum(map(len, good))), np.zeros(sum(map(len, bad)))])
            for good, bad in ((real, muted), (noisy, muted), (real, wrong))]


def dialogue(network: Path, place: Path) -> float:
    video = SHARED / "media" / "grid_dialogue_2faces.mp4"
    found = speakers.find(video, network, {"weights_root": SHARED / "weights", "device": "cpu"}, place)
    values = speakers.table(found)
    truth = pd.read_csv(video.with_name(f"{video.stem}_frames.csv"))
    heard = [truth[f"{face}_audible"].iloc[frame - 1] for face, frame in zip(values["face"], values["frame"],
                                                                              strict=True)]
    return ava_ap(values["logit"], np.array(heard))


def speed(video: Path, seconds: float, place: Path) -> tuple:
    """Times real time of faces and scores, by the clock and by processor time on two cores; memory in MiB."""
    sound = video.with_suffix(".wav")
    noise = np.random.default_rng(0).normal(0, 500, round(seconds * mfcc.RATE)).astype(np.int16)
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(mfcc.RATE)
        file.writeframes(noise.tobytes())
    store = Store(place / "arrays", "films", video.parent, "detect", SHARED / "weights")
    row = {**speakers.video_row(video, media.probe(video)), "audio_path": sound.name}
    wanted = request("track_speaking", {"network": weights.path(WEIGHTS[0], SHARED / "weights")}, crop="box", size=112)
    started, worked = time.perf_counter(), time.process_time()
    rows = arrays.make_all(row, [request("time"), request("tracks"), wanted], store)
    clock, work = time.perf_counter() - started, time.process_time() - worked
    tracks = np.asarray(arrays.read(row, request("tracks"), store))
    return (f"{len(np.unique(tracks[:, 1]))} tracks, {len(tracks)} boxes", f"{seconds / clock:.2f}",
            f"{2 * seconds / work:.2f}", f"{rows[1]['seconds']:.1f} s", f"{rows[2]['seconds']:.1f} s",
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}", f"{_anonymous():.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="two recordings, 20 s of video")
    parser.add_argument("--only", choices=("ap", "speed"), help="one of the two tables")
    options = parser.parse_args()
    torch.set_num_threads(2)
    names = sorted(path.name for path in (SHARED / "media").glob("grid_*.mpg"))[:2 if options.short else None]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.only != "speed":
            rows = []
            for name in WEIGHTS:
                network = weights.find(name, SHARED / "weights")
                detector = speaking.load(network)
                values = recordings(names, detector, place / name)
                rows.append([name, detector.crop, len(names), *(f"{value:.3f}" for value in values),
                             f"{dialogue(network, place / name):.3f}"])
            publish("speakers_ap", ("weights", "crop", "recordings", "AP, real against muted (AVA: at least 0.95)",
                                    "the same, positives by the loudest frame (reported)",
                                    "AP, real against mismatched sound (reported)",
                                    "AP, grid_dialogue_2faces (AVA: at least 0.95)"), rows, PACKAGES)
        if options.only != "ap":
            rows = []
            for seconds in (20.0,) if options.short else (20.0, 60.0, 600.0):
                video = film(place, 640, 360, seconds)
                rows.append(["640×360", f"{seconds:.0f} s", *speed(video, media.probe(video).duration, place)])
            rows.append(["grid_dialogue 720×288", "12 s", *_two_faces(place)])
            publish("speakers_speed", ("video", "length", "faces", "times real time (at least 1.5 for one face)",
                                       "the same by processor time of two cores", "follow faces", "crop and score",
                                       "most memory so far MiB", "without mapped files MiB"), rows, PACKAGES,
                    [f"One process after the other lengths; faces of {CLIP.name}; noise as sound."])


def _two_faces(place: Path) -> tuple:
    video = place / "two.mp4"
    video.write_bytes((SHARED / "media" / "grid_dialogue_2faces.mp4").read_bytes())
    return speed(video, 12.0, place)


if __name__ == "__main__":
    main()
