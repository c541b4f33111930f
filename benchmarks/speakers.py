"""Published weights of Light-ASD and LR-ASD on the shared recordings, and how fast faces are
followed and scored.

`python benchmarks/speakers.py` (minutes), `--short` for two recordings and 20 s of video, `--only
ap | speed`. AP is AVA-style. Real against muted: negatives are all frames of the same recordings
muted; positives the frames of the real ones "whose sound is within 40 dB of its maximum". Three
readings of that: a frame's level (RMS) beside the loudest frame's, like beside like, which is
taken; its largest sample beside the clip's; its level beside the clip's largest sample, which asks
for most. All of them count noise before and after the sentence, where nobody speaks; so the frames
of words stand beside them for the one recording that has an alignment. Mismatched: with the sound
of the next one. Running means of the scores bring back what silence costs: rows of their own. Every
length of video is worked on by a process of its own. Needs the recordings and weights that the
tests use (tests/shared_files.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from faces import CLIP, SHARED, film
from report import Watch, memory, publish

from lib import arrays
from lib.faces import speaker_crops
from lib.features import mfcc, speaker_arrays, speaker_scores
from lib.media import recordings as media_recordings
from lib.models import weights
from lib.speakers import video as speakers_video
from lib.speakers.metrics import ava_ap
from lib.store import Store, request

# published files, and where they lie among the shared ones
WEIGHTS = {
    "light_asd_ava": "light_asd_ava.model",
    "light_asd_talkset": "light_asd_talkset.model",
    "lr_asd_ava": "lr_asd/pretrain_AVA.model",
    "lr_asd_talkset": "lr_asd/finetuning_TalkSet.model",
}
LOUD = 40.0  # dB
ALIGNED, TICK = (
    "grid_swwp2s",
    25_000,
)  # the recording with an alignment of its words, and its unit: 1/25000 s
READINGS = {
    "frame's level by the loudest frame's": ("level", "level"),
    "frame's largest sample by the clip's": ("peak", "peak"),
    "frame's level by the clip's largest sample": ("level", "peak"),
}
DIALOGUE = ("AP", "accuracy at 0", "mean score, speaking", "silent", "muted mouth")
RADII = (2, 12)  # frames to either side: what `speakers.table` does by default, and a second in all
PACKAGES = ("torch", "numpy", "opencv-python-headless", "av")


def prepared(name: str, detector, place: Path) -> dict:
    """Crops, times and sound of the face that is seen longest in a shared recording."""
    store = Store(place, "media", SHARED / "media", "detect", SHARED / "weights")
    row = speakers_video.video_row(
        SHARED / "media" / name, media_recordings.probe(SHARED / "media" / name), name
    )
    crops = request("track_crops", crop=detector.crop, size=detector.size)
    sound = request("audio_16k", rate=mfcc.RATE)
    arrays.make_all(row, [request("time"), request("tracks"), crops, sound], store)
    tracks = np.asarray(arrays.read(row, request("tracks"), store))
    longest = np.bincount(tracks[:, 1].astype(int)).argmax()
    rows = np.flatnonzero(tracks[:, 1] == longest)
    times = np.asarray(arrays.read(row, request("time"), store))[tracks[rows, 0].astype(int)]
    return {
        "crops": np.asarray(arrays.read(row, crops, store))[rows],
        "times": times,
        "sound": np.asarray(arrays.read(row, sound, store)),
        "t0": arrays.facts(row, sound, store)["t0"],
    }


def scored(one: dict, sound: np.ndarray, detector) -> np.ndarray:
    when, shown = speaker_scores.grid(one["times"], detector.fps)
    logits = speaker_scores.score(
        detector,
        lambda start, stop: one["crops"][shown[start:stop]],
        sound,
        mfcc.at_times(when, one["t0"], detector.fps),
    )
    values = speaker_scores.on_frames(logits, when, one["times"])
    return values[:, 1] - values[:, 0]


def loud(one: dict) -> dict[str, np.ndarray]:
    """Reading -> (n,) bool, frames whose sound is within 40 dB of its maximum."""
    step = round(mfcc.RATE * float(np.median(np.diff(one["times"]))))
    first = np.round((one["times"] - one["t0"]) * mfcc.RATE).astype(int)
    sound = np.pad(
        one["sound"].astype(float), (step, 2 * step)
    )  # a frame beside the sound is silent
    heard = sound[np.clip(first + step, 0, len(sound) - step)[:, None] + np.arange(step)]
    values = {"level": np.sqrt(np.square(heard).mean(1)), "peak": np.abs(heard).max(1)}
    return {
        name: values[own] >= values[top].max() * 10 ** (-LOUD / 20)
        for name, (own, top) in READINGS.items()
    }


def ap(good: list[np.ndarray], bad: list[np.ndarray]) -> float:
    """AP of all scores in `good` against all in `bad`."""
    return ava_ap(
        np.concatenate([*good, *bad]), np.repeat([1, 0], [sum(map(len, good)), sum(map(len, bad))])
    )


def recordings(names: list[str], detector, place: Path) -> list[list]:
    """Rows: all together, their mean, each recording. AP of real against muted by each reading and
    by words; of real against mismatched sound.
    """
    ones = [prepared(name, detector, place) for name in names]
    real = [scored(one, one["sound"], detector) for one in ones]
    muted = [scored(one, np.zeros_like(one["sound"]), detector) for one in ones]
    wrong = [
        scored(one, np.resize(other["sound"], len(one["sound"])), detector)
        for one, other in zip(ones, ones[1:] + ones[:1], strict=True)
    ]
    masks = [loud(one) for one in ones]

    def row(name: str, chosen: list[int], words: str = "", radius: int = 0) -> list:
        goods, mutes, wrongs = (
            [speaker_scores.smooth(each[k], radius) for k in chosen]
            for each in (real, muted, wrong)
        )
        found = [
            [good[masks[k][reading]] for good, k in zip(goods, chosen, strict=True)]
            for reading in READINGS
        ]
        return [
            name,
            *(f"{ap(good, mutes):.3f}" for good in found),
            words,
            f"{ap(found[0], wrongs):.3f}",
        ]

    each = [
        row(
            Path(name).stem,
            [k],
            f"{by_words(ones[k], real[k], muted[k]):.3f}" if ALIGNED in name else "",
        )
        for k, name in enumerate(names)
    ]
    mean = [
        "mean of the recordings",
        *(f"{np.mean([float(one[k]) for one in each]):.3f}" for k in range(1, 4)),
        "",
        f"{np.mean([float(one[-1]) for one in each]):.3f}",
    ]
    every = list(range(len(names)))
    smoothed = [
        row(f"all together, running mean of {2 * radius + 1} frames", every, radius=radius)
        for radius in RADII
    ]
    return [row("all together", every), *smoothed, mean, *each]


def by_words(one: dict, real: np.ndarray, muted: np.ndarray) -> float:
    """AP with the frames between the first and the last word as positives."""
    lines = [
        line.split() for line in (SHARED / "media" / f"{ALIGNED}.align").read_text().splitlines()
    ]
    spoken = [
        (int(start) / TICK, int(stop) / TICK)
        for start, stop, word in lines
        if word not in ("sil", "sp")
    ]
    inside = (one["times"] >= spoken[0][0]) & (one["times"] < spoken[-1][1])
    return ap([real[inside]], [muted])


def dialogue(network: Path, crop: str, place: Path) -> list[str]:
    """Columns of `DIALOGUE` for the dialogue of two faces, whole: scores are the difference of the
    logits.
    """
    video = SHARED / "media" / "grid_dialogue_2faces.mp4"
    row = speakers_video.video_row(video, media_recordings.probe(video), video.name)
    store = Store(place, "dialogue", video.parent, "detect", SHARED / "weights")
    logits = speaker_arrays.wanted(network, crop, 112, name="track_speaking")
    arrays.make_all(row, [request("time"), request("tracks"), logits], store)
    tracks = np.asarray(arrays.read(row, request("tracks"), store))
    values = np.asarray(arrays.read(row, logits, store))
    scores = values[:, 1] - values[:, 0]
    truth = pd.read_csv(video.with_name(f"{video.stem}_frames.csv"))
    frames = tracks[:, 0].astype(int)
    left = (tracks[:, 2] + tracks[:, 4] / 2) < 360  # of 720 px
    heard, moves = (
        np.where(left, truth[f"left_{what}"].iloc[frames], truth[f"right_{what}"].iloc[frames]) > 0
        for what in ("audible", "mouth_speaking")
    )
    groups = (heard, ~heard & ~moves, ~heard & moves)
    return [
        f"{ava_ap(scores, heard):.3f}",
        f"{np.mean((scores > 0) == heard):.3f}",
        *(f"{scores[group].mean():.1f} ({group.sum()})" for group in groups),
    ]


def sounding(place: Path, seconds: float) -> Path:
    """A film of the clip with one face, and noise as its sound beside it."""
    video = film(place, 640, 360, seconds)
    noise = np.random.default_rng(0).normal(0, 500, round(seconds * mfcc.RATE)).astype(np.int16)
    with wave.open(str(video.with_suffix(".wav")), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(mfcc.RATE)
        file.writeframes(noise.tobytes())
    return video


def work(video: Path, folder: Path) -> dict:
    """Follow and score the faces of a video: seconds of each step, processor time and memory of
    this process.
    """
    torch.set_num_threads(2)
    sound = video.with_suffix(".wav")
    store = Store(folder, "films", video.parent, "detect", SHARED / "weights")
    row = {
        **speakers_video.video_row(video, media_recordings.probe(video)),
        "audio_path": sound.name if sound.is_file() else video.name,
    }
    wanted = request(
        "track_speaking",
        {"network": SHARED / "weights" / WEIGHTS["light_asd_ava"]},
        crop="box",
        size=112,
    )
    started, worked = time.perf_counter(), time.process_time()
    with Watch() as watch:
        rows = arrays.make_all(row, [request("time"), request("tracks"), wanted], store)
    clock, processor = time.perf_counter() - started, time.process_time() - worked
    tracks = np.asarray(arrays.read(row, request("tracks"), store))
    return {
        "seconds": media_recordings.probe(video).duration,
        "clock": clock,
        "processor": processor,
        "boxes": len(tracks),
        "tracks": len(np.unique(tracks[:, 1])),
        "steps": [rows[1]["seconds"], rows[2]["seconds"]],
        "most": memory("VmHWM"),
        "anonymous": watch.most,
    }


def speed(name: str, video: Path, place: Path) -> list:
    """A row of the table of speeds, from a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(video), str(place / f"{video.stem}_arrays")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENCV_LOG_LEVEL": "ERROR"},
    )
    found = json.loads(done.stdout.splitlines()[-1])
    seconds = found["seconds"]
    return [
        name,
        f"{seconds:.0f} s",
        f"{found['tracks']} tracks, {found['boxes']} boxes",
        f"{seconds / found['clock']:.2f}",
        f"{2 * seconds / found['processor']:.2f}",
        *(f"{each:.1f} s" for each in found["steps"]),
        f"{found['most']:.0f}",
        f"{found['anonymous']:.0f}",
    ]


def table_of_ap(names: list[str], place: Path) -> None:
    """Every published file with either crop, on the muted recordings and on the dialogue."""
    rows, dialogues = [], []
    for name, crop in product(WEIGHTS, speaker_crops.CROPS):
        # the file under the name that it has here: its crop and its network follow from it
        network = place / weights.entry(name).file
        if not network.is_symlink():
            network.symlink_to(SHARED / "weights" / WEIGHTS[name])
        weights.check(name, place)
        detector = speaker_scores.load(network, crop=crop)
        own = speaker_scores.load(network).crop == crop
        head = [name, f"{crop} (its default)" if own else crop]
        rows += [[*head, *row] for row in recordings(names, detector, place / f"{name}_{crop}")]
        dialogues.append([*head, *dialogue(network, crop, place / f"{name}_{crop}")])
    readings = [f"AP, real against muted: {reading}" for reading in READINGS]
    columns = ("the same, frames of words", "AP, real against mismatched sound")
    publish(
        "speakers_muted",
        ("weights", "crop", "recording", *readings, *columns),
        rows,
        PACKAGES,
        [
            "Wanted of light_asd_ava, box, all together, first reading: at least 0.95. The rest is "
            "reported."
        ],
    )
    publish(
        "speakers_dialogue",
        ("weights", "crop", *DIALOGUE),
        dialogues,
        PACKAGES,
        [
            "grid_dialogue_2faces: 12 s, two faces in our own tracks and crops. Scores are the "
            "difference of the logits, with the number of face frames. Muted mouth: it moves and "
            "there is no sound."
        ],
    )


def table_of_speed(lengths: tuple, place: Path) -> None:
    rows = [speed("640×360, one face", sounding(place, seconds), place) for seconds in lengths]
    video = place / "two.mp4"
    video.write_bytes((SHARED / "media" / "grid_dialogue_2faces.mp4").read_bytes())
    rows.append(speed("grid_dialogue 720×288, two faces", video, place))
    publish(
        "speakers_speed",
        (
            "video",
            "length",
            "faces",
            "times real time (at least 1.5 for one face)",
            "the same by processor time of two cores",
            "follow faces",
            "crop and score",
            "most memory MB",
            "most without mapped files MB",
        ),
        rows,
        PACKAGES,
        [
            f"Each row in a process of its own; faces of {CLIP.name} with noise as sound. Memory "
            "of its own should "
            "not grow with the length; pages of mapped files, as of the crops (12.5 kB each), the "
            "system takes back "
            "when it needs them."
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, type=Path, help="(a process of its own) video, folder")
    parser.add_argument("--short", action="store_true", help="two recordings, 20 s of video")
    parser.add_argument("--only", choices=("ap", "speed"), help="one of the two halves")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(work(*options.one)))
        return
    torch.set_num_threads(2)
    names = sorted(path.name for path in (SHARED / "media").glob("grid_*.mpg"))[
        -2 if options.short else None :
    ]
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "speed":
            table_of_ap(names, Path(folder))
        if options.only != "ap":
            table_of_speed((20.0,) if options.short else (20.0, 60.0, 600.0), Path(folder))


if __name__ == "__main__":
    main()
