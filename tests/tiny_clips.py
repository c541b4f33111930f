"""A few clips of two people as a clip maker writes them (avclip/1): a patch that opens with the
voice of who speaks.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path

import cv2
import numpy as np

RATE, FPS, WIDTH, HEIGHT = 16_000, 25, 96, 64
BOXES = {"1": (8, 12, 40, 44), "2": (56, 12, 88, 44)}  # x1, y1, x2, y2
ABSENT = (3, 6)  # frames of each clip in which person 2 is not visible


def make(
    root: Path, videos: dict[str, str], clips: int = 2, length: int = 20, fps: int = FPS
) -> Path:
    """Write the tree for `videos` (name -> split): in even seconds person 1 speaks, in odd ones
    person 2.
    """
    rows: dict[str, list] = {}
    for number, (video, split) in enumerate(videos.items()):
        generator = np.random.default_rng(number)
        for start in range(0, clips * length, length):
            rows.setdefault(split, []).extend(
                _clip(root, video, split, start, length, fps, generator)
            )
    for split, lines in rows.items():
        (root / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def speaks(frames: np.ndarray, fps: int = FPS) -> dict[str, np.ndarray]:
    turn = (np.asarray(frames) * 2 // fps) % 2
    return {"1": turn == 0, "2": turn == 1}


def _clip(root, video, split, start, length, fps, generator) -> list[dict]:
    folder = root / split / video / f"clip_f{start:06d}"
    (folder / "frames").mkdir(parents=True)
    frames = np.arange(start, start + length)
    loud = (generator.random(length) > 0.4) * 8000.0
    own = speaks(frames, fps)
    for row, frame in enumerate(frames):
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for person, (x1, y1, x2, y2) in BOXES.items():
            if not (person == "2" and ABSENT[0] <= row < ABSENT[1]):
                picture[y1:y2, x1:x2] = 160
                opening = int(10 * (loud[row] > 0) * own[person][row])
                picture[y2 - 12 : y2 - 12 + opening, x1 + 8 : x2 - 8] = 20
        cv2.imwrite(str(folder / "frames" / f"img_{frame:05d}.jpg"), picture)
    edges = (np.arange(length + 1) * RATE) // fps
    sound = np.concatenate(
        [loud[k] * np.sin(0.3 * np.arange(edges[k], edges[k + 1])) for k in range(length)]
    )
    name = f"audio_f{start:06d}_f{start + length - 1:06d}.wav"
    with wave.open(str(folder / name), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(sound).astype(np.int16).tobytes())
    persons = [_person(person, box, own[person], length) for person, box in BOXES.items()]
    told = {
        "schema": "avclip/1",
        "dataset": "tiny",
        "split": split,
        "video_id": video,
        "clip_id": f"{video}/clip_f{start:06d}",
        "start_frame": start,
        "end_frame": start + length - 1,
        "n_frames": length,
        "clip_len": length,
        "fps": [fps, 1],
        "start_sec": start / fps,
        "image_size": [WIDTH, HEIGHT],
        "frames": {
            "dir": "frames",
            "pattern": "img_%05d.jpg",
            "first": start,
            "numbering": "global",
            "base": 0,
        },
        "audio": {"path": name, "sr": RATE, "n_samples": len(sound), "valid_samples": len(sound)},
        "face_visible": [1] * length,
        "speech": {"rle": [[1, length]]},
        "persons": persons,
        "source": {},
    }
    (folder / "clip.json").write_text(json.dumps(told))
    place = (folder / "clip.json").relative_to(root).as_posix()
    return [
        {
            "clip_id": told["clip_id"],
            "person_id": each["person_id"],
            "n_frames": length,
            "n_visible": int(sum(each["visible"])),
            "n_speaking": int(sum(v == 1 for v in each["asd"])),
            "path": place,
        }
        for each in persons
    ]


def _person(person: str, box: tuple, own: np.ndarray, length: int) -> dict:
    visible = np.ones(length, int)
    if person == "2":
        visible[slice(*ABSENT)] = 0
    asd = np.where(visible == 1, own.astype(int), -1)
    return {
        "person_id": person,
        "track_ids": [f"track_{person}"],
        "visible": visible.tolist(),
        "boxes": [[int(k), *box, "gt"] for k in np.flatnonzero(visible)],
        "speech": own.astype(int).tolist(),
        "asd": asd.tolist(),
    }
