"""A tiny data set in Ego4D's layout for tests of clips: pictures of a few pixels, sound whose
samples tell their place.

Clip `a` (train) has 23 frames, `b` (val) 20, `t` (test) 4. At 30 fps a frame has 533⅓ samples.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path

import cv2
import numpy as np

from lib.speakers.clips import Settings, sources
from lib.speakers.clips.jobs import Job

FRAMES = {"a": 23, "b": 20, "t": 4}
SPLITS = {"train": ["a"], "val": ["b"], "test": ["t"]}
WIDTH, HEIGHT = 32, 24
RATE = 16_000


def samples(n_frames: int) -> np.ndarray:
    """Sound in which sample i has the value i mod 30000."""
    return (np.arange(n_frames * RATE // 30) % 30000).astype("<i2")


def box(frame: int, x: float = 4, y: float = 5, width: float = 10, height: float = 12) -> dict:
    return {
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "frame": frame,
        "video_frame": frame,
        "clip_frame": None,
    }


def voice(first: int, last: int) -> dict:
    return {
        "start_time": first / 30,
        "end_time": (last + 1) / 30,
        "start_frame": first,
        "end_frame": last,
    }


def clip(uid: str, n_frames: int) -> dict:
    """Person 1: seen in frames 2–11 and 15–19, voiced in 5–9 and 13–16; person 2: never seen,
    voiced in 18–19.

    Frames 12–14 of person 1's track have no box: a gap that is filled.
    """
    seen = [*range(2, 12), *range(15, 20)]
    track = {"track_id": "track_1", "track": [box(f) for f in seen], "suspect": False}
    anchor = {"track_id": "visual_anchor_1", "track": [box(0)]}
    return {
        "clip_uid": uid,
        "clip_start_frame": 0,
        "clip_end_frame": n_frames,
        "valid": True,
        "camera_wearer": {"person_id": "0", "camera_wearer": True, "voice_segments": [voice(0, 0)]},
        "persons": [
            {
                "person_id": "1",
                "camera_wearer": False,
                "tracking_paths": [track, anchor],
                "voice_segments": [voice(5, 9), voice(13, 16)],
            },
            {
                "person_id": "2",
                "camera_wearer": False,
                "tracking_paths": [],
                "voice_segments": [voice(18, 19)],
            },
        ],
    }


def annotation(split: str, clips: list[dict]) -> dict:
    return {
        "version": "1",
        "videos": [
            {"video_uid": f"v-{one['clip_uid']}", "split": split, "clips": [one]} for one in clips
        ],
    }


def write_wav(path: Path, sound: np.ndarray, rate: int = RATE, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.tobytes())


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def make(root: Path, frames: dict[str, int] = FRAMES, base: int = 1) -> Path:
    """Write the set below `root`; picture n shows its own number as its brightness."""
    for uid, n_frames in frames.items():
        folder = root / "video_imgs" / uid
        folder.mkdir(parents=True)
        for frame in range(n_frames):
            picture = np.full((HEIGHT, WIDTH, 3), 10 * (frame % 25), np.uint8)
            cv2.imwrite(str(folder / f"img_{frame + base:05d}.jpg"), picture)
        write_wav(root / "wave" / f"{uid}.wav", samples(n_frames))
    (root / "split").mkdir()
    for split, uids in SPLITS.items():
        (root / "split" / f"{split}.list").write_text(
            "\n".join(uid for uid in uids if uid in frames)
        )
    write_annotations(
        root,
        {
            split: [clip(uid, frames[uid]) for uid in SPLITS[split] if uid in frames]
            for split in ("train", "val")
        },
    )
    return root


def write_annotations(root: Path, clips: dict[str, list[dict]]) -> None:
    (root / "json").mkdir(exist_ok=True)
    for split, some in clips.items():
        (root / "json" / f"av_{split}.json").write_text(json.dumps(annotation(split, some)))


def job(data: Path, root: Path, **changes) -> Job:
    """A job on the set with clips of 10 frames, the tail kept however short (tests change what they
    test).
    """
    settings = Settings(**{"length": 10, "min_tail": 0.05, **changes})
    found, layout = sources.of_ego4d(data, "tiny", settings, {})
    return Job(root, "tiny", settings, tuple(found), layout)


def tree(root: Path) -> dict[str, bytes | str]:
    """Every file below a folder with its content, links with where they point."""
    return {
        path.relative_to(root).as_posix(): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() or path.is_symlink()
    }
