"""The synthetic sample set: recordings, crops and annotations in Aff-Wild2's layout, made from a
seed.

It tests plumbing, not science: one photograph (NASA, public domain), one synthetic voice. Valence
moves mouth and brows, arousal the voice and the height of the eyes. The sample specification says
what the set must contain; tests and ``benchmarks/sample_floors.py`` measure that a linear model on
pixels or loudness fails on it.

Of 24 trials, two pairs share one recording each, where the persons take turns to speak; a person's
VA rows are −5 while the other one speaks. One recording has a stretch of uneven frame times, in one
the sound starts 80 ms late, some crops are missing and some rows are unlabelled. ``sample.json``
names all of it, for check reports.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ...errors import InputError, explain_full_disk
from ...files import write_text
from ...media import writing
from ...parallel import processes
from . import curves, face, voice
from . import scene as samples_scene
from .plan import SPLITS, Person, Recording, plan

VERSION = 2  # raised when the same seed gives other files
QUALITY = 92  # of the crops' JPEG; 95 would pass 60 MB (sample specification §1)
SPLIT_FOLDERS = {"train": "Train_Set", "val": "Validation_Set"}
HIDDEN_FOLDER = "annotations_test_hidden"
PHOTOGRAPH = "Eileen Collins, NASA, public domain (skimage.data.astronaut)"


def folder_name(seed: int = 0, trials: int = 24, seconds: float = 12.0) -> str:
    """Name of the folder of these parameters, ``sample-<8 hex>``."""
    parameters = json.dumps([VERSION, int(seed), int(trials), float(seconds)])
    return f"sample-{hashlib.sha256(parameters.encode()).hexdigest()[:8]}"


def make(
    data_root: Path,
    seed: int = 0,
    trials: int = 24,
    seconds: float = 12.0,
    workers: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Make the sample set below `data_root`, or its missing parts.

    Arguments
    ---------
    seed : of all random draws; every trial has streams of its own.
    trials : number of trials, from 4; 24 are 14 for training, 8 for validation and 2 for test.
    seconds : mean length, from 1; recordings are 0.71 to 1.29 of it long.
    workers : processes of this machine; 1 works in this one.
    progress : called with (recordings done, recordings, name of the last one).

    Returns ``<data_root>/sample-<8 hex of the parameters>``. A finished set is left unchanged.
    After an interruption, the next call keeps the complete recordings. Raises InputError for
    parameters out of range, a full disk or a worker that died.
    """
    root = Path(data_root) / folder_name(seed, trials, seconds)
    if (root / "sample.json").is_file():
        return root
    recordings = plan(seed, trials, seconds)
    with explain_full_disk(root):
        _make_all(partial(_make_one, root, seed), recordings, workers, progress)
        write_text(root / "test_set_VA.txt", "\n".join([*_persons(recordings, "test"), ""]))
        write_text(
            root / "sample.json", json.dumps(_summary(seed, trials, seconds, recordings), indent=1)
        )
    return root


def _make_all(
    make_one: Callable, recordings: list[Recording], workers: int, progress: Callable | None
) -> None:
    done = (
        _in_processes(make_one, recordings, workers) if workers > 1 else map(make_one, recordings)
    )
    for count, video in enumerate(done, start=1):
        if progress:
            progress(count, len(recordings), video)


def _in_processes(make_one: Callable, recordings: list[Recording], workers: int) -> Iterator[str]:
    for _, video in processes.each(make_one, recordings, workers):
        if isinstance(video, processes.Death):
            raise InputError(
                f"a process that made sample recordings died: {video.cause}",
                todo="close other programs or set `workers: 1`, then start again",
            )
        yield video


def _make_one(root: Path, seed: int, one: Recording) -> str:
    """Make a recording with its crops and annotations, unless it is there. Returns its name."""
    cv2.setNumThreads(1)
    video = root / one.folder / f"{one.video}.mp4"
    crops = {name: root / "cropped_aligned" / name for name in one.persons}
    if video.is_file() and all(folder.is_dir() for folder in crops.values()):
        return one.video
    voices = {name: _voice(seed, one, person) for name, person in one.persons.items()}
    states = {
        name: _states(seed, one, person, voices[name][1]) for name, person in one.persons.items()
    }
    for name, person in one.persons.items():
        _annotate(root, one, name, person, states[name])
    _render(seed, one, states, sum(sound for sound, _ in voices.values()), video, crops)
    return one.video


def _voice(seed: int, one: Recording, person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Sound and mouth opening of one person, both (n,) at the voice's rate."""
    generator = np.random.default_rng([seed, person.number, 3])
    talks = voice.talking(generator, one.seconds, person.turns)
    s, vowels = voice.envelope(generator, talks, person.curves[1])
    return voice.speak(generator, s, vowels, person.curves[1]), s


def _states(seed: int, one: Recording, person: Person, s: np.ndarray) -> np.ndarray:
    """Valence, arousal, mouth opening and blink of each frame, (T, 4)."""
    generator = np.random.default_rng([seed, person.number, 4])
    blinks = np.cumsum(generator.uniform(1.5, 4, size=int(one.seconds / 1.5) + 1))
    since = one.times[:, None] - blinks  # a blink lasts 0.13 s
    blink = np.where((since >= 0) & (since < 0.13), np.sin(np.pi * since / 0.13), 0).max(axis=1)
    heard = np.minimum((one.times * voice.RATE).astype(int), len(s) - 1)
    return np.stack([*(curve(one.times) for curve in person.curves), s[heard], blink], axis=1)


def _annotate(root: Path, one: Recording, name: str, person: Person, states: np.ndarray) -> None:
    v, a, s, _ = states.T
    known = person.labelled[:, None]
    va = np.where(person.own_turn[:, None] & known, states[:, :2], np.nan)
    numbers = np.where(person.labelled, curves.expression(v, a), -1)
    units = np.where(known, curves.action_units(v, s), -1)
    texts = {
        "VA_Set": curves.va_text(va, person.unlabelled),
        "EXPR_Set": curves.expression_text(numbers),
        "AU_Set": curves.action_units_text(units),
    }
    for folder, text in texts.items():
        subfolder = Path(HIDDEN_FOLDER, folder)
        if one.split in SPLIT_FOLDERS:
            subfolder = Path(folder, SPLIT_FOLDERS[one.split])
        write_text(root / subfolder / f"{name}.txt", text)


def _render(
    seed: int, one: Recording, states: dict, sound: np.ndarray, video: Path, crops: dict
) -> None:
    """Write the video and, in the same pass, the crops; all under temporary names first."""
    parts = {name: folder.with_name(f".{name}.part") for name, folder in crops.items()}
    for part in parts.values():
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        part.mkdir(parents=True)
    video.parent.mkdir(parents=True, exist_ok=True)
    # The encoder's priming stands before a late sound: with it, the track starts at `sound_start`.
    start = one.sound_start + writing.AAC_FRAME / voice.RATE if one.sound_start else 0.0
    heard = sound[round(start * voice.RATE) :]
    try:
        writing.write_video(
            video, _frames(seed, one, states, parts), one.times, heard, voice.RATE, start
        )
        for name, part in parts.items():
            shutil.rmtree(crops[name], ignore_errors=True)
            part.rename(crops[name])
    finally:
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)


def _frames(
    seed: int, one: Recording, states: dict, folders: dict[str, Path]
) -> Iterator[np.ndarray]:
    """Yield the frames of a recording and write its crops on the way."""
    width = samples_scene.WIDTH
    scene = samples_scene.draw_scene(
        np.random.default_rng([seed, one.number, 5]), one.times, width * len(one.persons)
    )
    streams = {
        name: np.random.default_rng([seed, person.number, 6])
        for name, person in one.persons.items()
    }
    poses = {
        name: samples_scene.draw_pose(stream, one.times, column * width)
        for column, (name, stream) in enumerate(streams.items())
    }
    faces = {name: scene.relit(face.draw(stream)) for name, stream in streams.items()}
    for frame in range(len(one.times)):
        picture = scene.paint(
            [
                (faces[name], poses[name].head(frame), states[name][frame].tolist())
                for name in one.persons
            ],
            frame,
        )
        for name, person in one.persons.items():
            if person.cropped[frame]:
                _write_crop(folders[name] / f"{frame + 1:05d}.jpg", picture, poses[name].cut(frame))
        yield picture


def _write_crop(path: Path, picture: np.ndarray, matrix: np.ndarray) -> None:
    size = (samples_scene.CROP, samples_scene.CROP)
    crop = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    # cv2.imwrite would answer a full disk with nothing but False.
    path.write_bytes(
        cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    )


def _persons(recordings: list[Recording], split: str) -> list[str]:
    """The people in the recordings of a split."""
    chosen = [recording for recording in recordings if recording.split == split]
    return [name for recording in chosen for name in recording.persons]


def _summary(seed: int, trials: int, seconds: float, recordings: list[Recording]) -> dict:
    """Facts about the set: `expected` has the names under which `affwild2.find` counts."""
    names = {split: _persons(recordings, split) for split in SPLITS}
    expected = {
        "videos": len(recordings),
        "test trials": len(names["test"]),
        "trials with cropped faces": trials,
    }
    for kind in ("VA", "EX", "AU"):
        expected |= {
            f"{kind} train trials": len(names["train"]),
            f"{kind} val trials": len(names["val"]),
        }
    return {
        "seed": seed,
        "trials": trials,
        "seconds": seconds,
        "version": VERSION,
        "photograph": PHOTOGRAPH,
        "note": "synthetic: values have no meaning",
        "expected": expected,
        "splits": names,
        "recordings": {recording.video: _facts(recording) for recording in recordings},
    }


def _facts(one: Recording) -> dict:
    steps = np.diff(one.times) * one.fps
    return {
        "split": one.split,
        "fps": one.fps,
        "n_frames": len(one.times),
        "seconds": round(one.seconds, 6),
        "sound_start": one.sound_start,
        "uneven_frames": int(np.sum(np.abs(steps - 1) > 0.1)),
        "trials": {
            name: {
                "crops_missing": int(np.sum(~person.cropped)),
                "unlabelled_turns": int(np.sum(~person.own_turn)),
                "unlabelled_other": int(np.sum(person.own_turn & ~person.labelled)),
            }
            for name, person in one.persons.items()
        },
    }
