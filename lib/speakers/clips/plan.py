"""Estimate the disk space and time for making clips, and compare with what is free, before anything
is written.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ...datasets import ego4d
from ...errors import InputError
from ...files import existing, temporary_folder
from ...media import pictures, recordings
from . import Settings, sample_of, spans
from .disk import Disk
from .sources import Source
from .video import FACTS, folder_of, read_facts

SPACE_FACTOR = 1.05  # factor on the needed space that must be free
NUMBERS = ("frames", "clips", "dropped", "picture_bytes", "sound_bytes", "files")
EMPTY = {"video": "", "split": "", **dict.fromkeys(NUMBERS, 0), "problem": ""}  # a row of a plan
PERSONS_PER_CLIP = 2.0  # in a clip, about
DESCRIPTION = 45  # bytes of clip.json per frame and person, about: a row of its box
SAMPLED_PICTURES = 40  # pictures per video whose sizes are measured
PROBES = 300  # files that are placed to measure the speed
UNLIMITED = "not limited"  # inodes of some file systems
JPEG_SHARE = 0.35  # bytes per pixel of a picture made from a film (JPEG of quality 92; an estimate)


def plan(sources: Iterable[Source], root: Path, settings: Settings) -> pd.DataFrame:
    """Columns video, split, frames, clips, dropped, picture_bytes, sound_bytes, files, problem.

    Looks at folders and headers only. A video that cannot be used has its reason in `problem`.
    """
    rows = []
    for source in sources:
        row = {**EMPTY, "video": source.video, "split": source.split}
        try:
            row |= _video(source, root, settings)
        except InputError as error:
            row["problem"] = error.what
        rows.append(row)
    return pd.DataFrame(rows, columns=list(EMPTY))


def _video(source: Source, root: Path, settings: Settings) -> dict:
    n_frames, a_picture = _pictures(source, root, settings)
    if source.sound is None and not settings.no_sound:
        raise InputError("no sound")
    clips, dropped = spans(n_frames, source.fps, settings)
    placed = sum(span.n_frames for span in clips)
    linked = settings.frames == "none" and source.pictures
    copied = settings.frames == "copy" or not source.pictures
    samples = sum(
        sample_of(span.stop, source.fps) - sample_of(span.start, source.fps) for span in clips
    )
    # A clip has two folders, sound, description and marker; a picture is a name, and an inode
    # unless it is hard-linked.
    inodes = 0 if linked or (settings.frames in ("hard", "move") and source.pictures) else placed
    return {
        "frames": n_frames,
        "clips": len(clips),
        "dropped": dropped,
        "picture_bytes": placed * a_picture * copied,
        "sound_bytes": 2 * samples + 44 * len(clips),
        "files": inodes + 5 * len(clips) + 2,
    }


def _pictures(source: Source, root: Path, settings: Settings) -> tuple[int, int]:
    """Frames of a video, and bytes of one of its pictures (mean of some)."""
    if source.pictures:
        kept = None
        if settings.frames == "move":
            kept = read_facts(os.path.join(folder_of(root, source), FACTS))
        if kept:
            return kept.n_frames, 0
        series = pictures.whole(source.pictures)
        step = max(1, series.count // SAMPLED_PICTURES)
        numbers = range(series.base, series.base + series.count, step)
        sizes = [(source.pictures / (pictures.PATTERN % n)).stat().st_size for n in numbers]
        return series.count, sum(sizes) // len(sizes)
    info = recordings.probe(source.film)
    n_frames = info.n_frames or round(info.duration * source.fps)
    return n_frames, round(info.width * info.height * JPEG_SHARE)


def measure(folder: Path, how: str) -> float:
    """Seconds to place one picture on the file system of `folder`, by a few small files."""
    existing_folder = existing(folder)
    try:
        with temporary_folder(existing_folder, "clips-probe") as probe:
            disk = Disk()
            source = os.path.join(probe, "source")
            disk.write(source, b"x")
            started = time.perf_counter()
            for number in range(PROBES):
                disk.place(
                    source,
                    os.path.join(probe, str(number)),
                    "hard" if how in ("move", "none") else how,
                )
            return (time.perf_counter() - started) / PROBES
    except (OSError, InputError):
        # A folder that is full, or cannot be written to, is told by the plan and by `make`.
        return float("nan")


def needs(planned: pd.DataFrame, root: Path, settings: Settings) -> pd.DataFrame:
    """Columns what, needed, free, ok: pictures, bytes, inodes, time of a plan, with
    `SPACE_FACTOR`.
    """
    existing_folder = existing(root)
    frames, clips = int(planned["frames"].sum()), int(planned["clips"].sum())
    description_bytes = round(DESCRIPTION * PERSONS_PER_CLIP * frames)
    n_bytes = int(planned["picture_bytes"].sum() + planned["sound_bytes"].sum()) + description_bytes
    n_bytes, inodes = n_bytes * SPACE_FACTOR, int(planned["files"].sum()) * SPACE_FACTOR
    free_inodes = _free_inodes(existing_folder)
    free = shutil.disk_usage(existing_folder).free
    # Linking, renaming and checking a picture take about equally long.
    seconds = 3 * measure(existing_folder, settings.frames) * frames
    rows = [
        ("videos", len(planned), "", True),
        ("clips", clips, "", True),
        ("pictures", frames, "", True),
        ("of it pictures copied (GB)", round(planned["picture_bytes"].sum() / 1e9, 2), "", True),
        ("of it sound (GB)", round(planned["sound_bytes"].sum() / 1e9, 2), "", True),
        ("space (GB)", round(n_bytes / 1e9, 2), round(free / 1e9, 2), n_bytes < free),
        ("inodes", round(inodes), free_inodes, free_inodes == UNLIMITED or inodes < free_inodes),
        ("time (min), files only", round(seconds / 60, 1), "", True),
    ]
    return pd.DataFrame(rows, columns=["what", "needed", "free", "ok"])


def _free_inodes(path: Path) -> int | str:
    """Inodes that are free, or `UNLIMITED`."""
    stat = os.statvfs(path) if hasattr(os, "statvfs") else None
    return stat.f_favail if stat and stat.f_files else UNLIMITED


def scaled(videos: int, frames: int, settings: Settings) -> pd.DataFrame:
    """`plan` for so many videos of so many frames with linked pictures: an estimate for Ego4D."""
    clips, dropped = spans(frames, ego4d.FPS, settings)
    row = {**EMPTY, "frames": frames, "clips": len(clips), "dropped": dropped}
    row["sound_bytes"] = 2 * sample_of(frames, ego4d.FPS) + 44 * len(clips)
    row["files"] = 5 * len(clips) + 2
    return pd.DataFrame([row] * videos)


def refuse(table: pd.DataFrame, root: Path) -> None:
    """Raise InputError when a row of `needs` is not ok."""
    short = table[~table["ok"]]
    if len(short):
        shortages = "; ".join(
            f"{row.what}: {row.needed} needed, {row.free} free" for row in short.itertuples()
        )
        raise InputError(
            f"not enough room: {shortages}",
            where=root,
            todo="free some, choose another clips_root, set clip_frames: hard, or use --force",
        )
