"""The synthetic sample conversations in Ego4D's layout: two faces, three voices, made from a seed.

A test of synchrony (specification of the sample conversations): neither loudness nor mouth movement
alone tells who speaks, only their agreement. `turns` plans who speaks, `talk` makes voices and
mouths, `couple` paints. Real videos and wav files, annotation JSON in Ego4D's schema, lists without
a last newline; pictures of whole frames are made when the clip maker needs them (all of them would
be 700 MB).

It tests plumbing, not science: one photograph, synthetic voices.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ...errors import InputError, explain_full_disk
from ...files import write_bytes, write_text
from ...media import frames, recordings, writing
from ...parallel import processes
from ..ego4d_annotation import written_box
from . import couple as samples_couple
from . import talk as samples_talk
from . import turns
from .affect import PHOTOGRAPH
from .turns import FPS, ON_SCREEN, Plan

VERSION = 1  # raised when the same seed gives other files
SUMMARY = "sample.json"
TRAIN_SHARE = 0.8  # 40 of 50 (§1)
VAL_LONGER = 3  # a validation conversation is three times as long as one for training
TESTS = 2  # conversations of a test set without annotation, to be pruned
# probability with which a face leaves a training conversation; it always leaves a long one
LEAVES = 0.5
MIN_SECONDS = 1.0  # s
KIND = "sample-conversations"


@dataclass(frozen=True)
class Conversation:
    """One recording: its number (which gives its random streams), split, Ego4D-like id and
    length.
    """

    number: int
    split: str
    uid: str
    n_frames: int

    @property
    def wearer_talks(self) -> bool:
        """Whether the voice that is never seen is the camera wearer's, or a third person's."""
        return self.number % 2 == 0


def folder_name(seed: int = 0, trials: int = 50, seconds: float = 15.0) -> str:
    """Name of the folder of these parameters, ``sample-conversations-<8 hex>``."""
    parameters = json.dumps([VERSION, int(seed), int(trials), float(seconds)])
    return f"{KIND}-{hashlib.sha256(parameters.encode()).hexdigest()[:8]}"


def conversations(seed: int = 0, trials: int = 50, seconds: float = 15.0) -> list[Conversation]:
    """All recordings: `trials` for training (four fifths) and validation, and two for test."""
    if trials < 2 or seconds < MIN_SECONDS:
        raise InputError(
            f"{trials} conversations of {seconds} s",
            expected=f"at least 2, of {MIN_SECONDS} s and more",
            todo="correct sample_trials, sample_seconds",
        )
    train, n_frames = min(trials - 1, round(TRAIN_SHARE * trials)), round(seconds * FPS)
    splits = ["train"] * train + ["val"] * (trials - train) + ["test"] * TESTS
    lengths = {"train": n_frames, "val": n_frames * VAL_LONGER, "test": n_frames}
    return [
        Conversation(number, split, _uid(seed, number), lengths[split])
        for number, split in enumerate(splits)
    ]


def _uid(seed: int, number: int) -> str:
    return str(uuid.UUID(bytes=np.random.default_rng([seed, number, 10]).bytes(16), version=4))


def script(seed: int, one: Conversation) -> tuple[Plan, samples_talk.Talk]:
    """What happens in a conversation, and how it sounds and moves."""
    plan = turns.draw(
        np.random.default_rng([seed, one.number, 11]),
        one.n_frames,
        1.0 if one.split == "val" else LEAVES,
    )
    return plan, samples_talk.perform(np.random.default_rng([seed, one.number, 12]), plan)


def make(
    data_root: Path,
    seed: int = 0,
    trials: int = 50,
    seconds: float = 15.0,
    workers: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Make the sample conversations below `data_root`, or what is missing of them; returns their
    folder.

    Arguments
    ---------
    seed : of all random draws.   trials : conversations for training and validation, from 2; 50 are
        40 and 10.
    seconds : length of a training conversation; the others are three times as long.
    workers : processes of this machine.   progress : called with (conversations done, of how many,
        name).

    A set that was finished is left as it is; after a break, the next call keeps the recordings that
    are whole. Raises InputError for parameters out of range, a full disk or a worker that died.
    """
    root = Path(data_root) / folder_name(seed, trials, seconds)
    if (root / SUMMARY).is_file():
        return root
    planned = conversations(seed, trials, seconds)
    with explain_full_disk(root):
        clips = _make_clips(root, seed, planned, workers, progress)
        _write_lists(root, planned)
        _write_annotations(root, planned, clips)
        write_text(root / SUMMARY, json.dumps(_summary(seed, trials, seconds, planned), indent=1))
    return root


def _make_clips(
    root: Path,
    seed: int,
    planned: list[Conversation],
    workers: int,
    progress: Callable[[int, int, str], None] | None,
) -> dict[int, dict]:
    """Number -> annotation of each conversation, whose video and sound are then there."""
    clips = {}
    made = processes.each(partial(_make_one, root, seed), planned, workers)
    for count, (index, clip) in enumerate(made, start=1):
        if isinstance(clip, processes.Death):
            raise InputError(
                f"a process that made sample conversations died: {clip.cause}",
                todo="close other programs or set `workers: 1`, then start again",
            )
        clips[index] = clip
        if progress:
            progress(count, len(planned), planned[index].uid)
    return clips


def _make_one(root: Path, seed: int, one: Conversation) -> dict:
    """Make video and wav of a conversation unless they are there; returns its annotation."""
    cv2.setNumThreads(1)
    plan, talk = script(seed, one)
    couple = samples_couple.draw(np.random.default_rng([seed, one.number, 13]), plan, talk)
    video, sound = root / "videos" / f"{one.uid}.mp4", root / "wave" / f"{one.uid}.wav"
    for path in (video, sound):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not video.is_file():
        writing.write_video(
            video,
            map(couple.paint, range(one.n_frames)),
            np.arange(one.n_frames) / FPS,
            talk.sound,
            samples_talk.RATE,
        )
    if not sound.is_file():
        write_bytes(
            sound, writing.wav(np.round(talk.sound * recordings.FULL_SCALE), samples_talk.RATE)
        )
    return _annotation(one, plan, couple)


# ---- annotation in Ego4D's schema (speaker specification §1.3)
def _annotation(one: Conversation, plan: Plan, couple: samples_couple.Couple) -> dict:
    visible = plan.visible()
    persons = []
    for face in ON_SCREEN:
        tracks = _tracks(face, couple.heads[face].boxes, visible[face])
        persons.append(_person(plan, face, str(face + 1), tracks))
    if not one.wearer_talks:  # whoever is heard and not seen is then somebody else
        persons.append(_person(plan, 2, "3", []))
    wearer = {
        "person_id": "0",
        "camera_wearer": True,
        "voice_segments": _voices(plan, 2, "0") if one.wearer_talks else [],
    }
    return {
        "clip_uid": one.uid,
        "source_clip_uid": one.uid,
        "video_uid": one.uid,
        **_bounds(one.n_frames, ("video", "clip")),
        "valid": True,
        "camera_wearer": wearer,
        "persons": persons,
        "missing_voice_segments": [],
        "transcriptions": [],
        "social_segments_talking": [],
        "social_segments_looking": [],
    }


def _person(plan: Plan, speaker: int, name: str, tracks: list[dict]) -> dict:
    return {
        "person_id": name,
        "camera_wearer": False,
        "tracking_paths": tracks,
        "voice_segments": _voices(plan, speaker, name),
    }


def _bounds(n_frames: int, parts: tuple[str, ...]) -> dict:
    """Start and end of a recording and of the clip in it, in seconds and frames."""
    bounds = {}
    for part in parts:
        bounds |= {f"{part}_start_sec": 0, f"{part}_start_frame": 0}
        bounds |= {f"{part}_end_sec": n_frames / FPS, f"{part}_end_frame": n_frames}
    return bounds


def _tracks(face: int, boxes: np.ndarray, visible: np.ndarray) -> list[dict]:
    """A new track begins after the face has been away."""
    tracks = []
    for number, (start, stop) in enumerate(frames.runs(visible)):
        track = {
            "track_id": f"track_{face + 1}{number}",
            "suspect": False,
            "unmapped_frames_count": 0,
            "unmapped_frames": [],
            "track": [written_box(k, boxes[k].round(2).tolist()) for k in range(start, stop)],
        }
        tracks.append(track)
    return tracks


def _voices(plan: Plan, speaker: int, person: str) -> list[dict]:
    segments = []
    for turn in plan.turns:
        if turn.speaker != speaker:
            continue
        segment = {}
        for prefix in ("", "video_"):
            segment[f"{prefix}start_time"] = turn.start / FPS
            segment[f"{prefix}start_frame"] = turn.start
            segment[f"{prefix}end_time"] = turn.stop / FPS
            segment[f"{prefix}end_frame"] = turn.stop - 1  # inclusive, as Ego4D's
        segments.append(segment | {"person": person})
    return segments


def _write_lists(root: Path, planned: list[Conversation]) -> None:
    for split in ("train", "val", "test"):
        write_text(
            root / "split" / f"{split}.list",
            "\n".join(conversation.uid for conversation in planned if conversation.split == split),
        )
    write_text(
        root / "split" / "full.list", "\n".join(conversation.uid for conversation in planned)
    )


def _write_annotations(root: Path, planned: list[Conversation], clips: dict[int, dict]) -> None:
    for split, name in (("train", "av_train"), ("val", "av_val"), ("test", "av_test_unannotated")):
        videos = []
        for conversation in (
            conversation for conversation in planned if conversation.split == split
        ):
            clip = clips[conversation.number]
            if split == "test":
                clip = _without_labels(clip)
            videos.append({"video_uid": conversation.uid, "split": split, "clips": [clip]})
        top = {
            "date": "",
            "version": f"sample {VERSION}",
            "description": "synthetic sample conversations, not Ego4D",
            "videos": videos,
        }
        write_text(root / "json" / f"{name}.json", json.dumps(top))


def _without_labels(clip: dict) -> dict:
    return {**clip, "persons": [], "camera_wearer": {}}


def _summary(seed: int, trials: int, seconds: float, planned: list[Conversation]) -> dict:
    """What is true of the set: `expected` has the names under which `ego4d.find` counts."""
    count = {
        split: sum(conversation.split == split for conversation in planned)
        for split in ("train", "val", "test")
    }
    expected = {
        "train ids": count["train"],
        "val ids": count["val"],
        "test ids": count["test"],
        "videos": len(planned),
        "wav files": len(planned),
    }
    return {
        "seed": seed,
        "trials": trials,
        "seconds": seconds,
        "version": VERSION,
        "photograph": PHOTOGRAPH,
        "note": "synthetic: values have no meaning",
        "expected": expected,
    }
