"""How fast clips are made, verified, read and scored, and what memory that takes: `python
benchmarks/clips.py`.

`make`: pictures are hard-linked, wav cut, JSON written, all verified; every size in a process of
its own, which reports the most memory that it ever held. `items`: training items from clips against
the published way, which reads the whole wav and whole pictures for every item (speaker
specification §5, E-20). `scores`: AP of a million faces, mAP@0.5 of 50 clips. Needs no data; about
five minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import memory, publish

from lib.media import writing
from lib.speakers import metrics
from lib.speakers.clips import Settings, jobs, plan, schema, sources

FRAMES = 9000  # of a clip of Ego4D
PERSONS = 2


def lay_out(root: Path, videos: int, n_frames: int, picture: bytes) -> Path:
    """A data set in Ego4D's layout. Its pictures are hard links to a few files: only names count
    here.
    """
    (root / "split").mkdir(parents=True)
    names = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(videos)]
    (root / "split" / "train.list").write_text("\n".join(names[:-1]))
    (root / "split" / "val.list").write_text(names[-1])
    origin = root / "picture"
    origin.write_bytes(picture)
    sound = np.random.default_rng(0).integers(-3000, 3000, n_frames * 16_000 // 30).astype("<i2")
    (root / "wav").mkdir()
    for name in names:
        folder = root / "video_imgs" / name
        folder.mkdir(parents=True)
        for frame in range(n_frames):
            if frame % 1000 == 0:  # file systems limit how many names a file has
                origin = root / f"picture-{frame}"
                origin.write_bytes(picture)
            os.link(origin, folder / f"img_{frame + 1:05d}.jpg")
        (root / "wav" / f"{name}.wav").write_bytes(writing.wav(sound, 16_000))
    annotate(root, {"train": names[:-1], "val": names[-1:]}, n_frames)
    return root


def annotate(root: Path, names: dict[str, list[str]], n_frames: int) -> None:
    (root / "json").mkdir()
    track = [
        {
            "x": 20 + frame % 50,
            "y": 30,
            "width": 80,
            "height": 90,
            "frame": frame,
            "video_frame": frame,
            "clip_frame": None,
        }
        for frame in range(n_frames)
        if frame % 700 > 60
    ]
    voices = [
        {"start_frame": start, "end_frame": start + 60} for start in range(0, n_frames - 60, 200)
    ]
    persons = [
        {
            "person_id": str(person + 1),
            "camera_wearer": False,
            "voice_segments": voices,
            "tracking_paths": [{"track_id": f"track_{person}", "track": track}],
        }
        for person in range(PERSONS)
    ]
    for split, some in names.items():
        clips = [
            {
                "clip_uid": name,
                "clip_start_frame": 0,
                "clip_end_frame": n_frames,
                "persons": persons,
                "camera_wearer": {"person_id": "0", "camera_wearer": True, "voice_segments": []},
            }
            for name in some
        ]
        (root / "json" / f"av_{split}.json").write_text(
            json.dumps(
                {
                    "videos": [
                        {"video_uid": one["clip_uid"], "split": split, "clips": [one]}
                        for one in clips
                    ]
                }
            )
        )


def job_of(data: Path, root: Path, **changes) -> jobs.Job:
    settings = Settings(**changes)
    found, layout = sources.of_ego4d(data, "benchmark", settings, {})
    return jobs.Job(root, "benchmark", settings, tuple(found), layout)


def work(data: Path, root: Path, workers: int) -> dict:
    """Make and verify; seconds, and most memory (MB) of this process and of its largest worker.

    Of this one by /proc: getrusage begins with the memory of the process that started it.
    """
    started = time.perf_counter()
    job = job_of(data, root)
    outcomes = jobs.run(job, workers=workers)
    assert all(outcome.ok for outcome in outcomes), jobs.faults(outcomes)
    made = time.perf_counter()
    checks = jobs.check(job)
    assert not checks.failures, checks.failure_table()
    peaks = [memory("VmHWM"), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6]
    return {
        "make": made - started,
        "verify": time.perf_counter() - made,
        "mb": max(peaks),
        "clips": sum(outcome.value[0].clips for outcome in outcomes),
    }


def making(place: Path, sizes: list[int], n_frames: int, workers: int) -> None:
    picture = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    rows = []
    for images in sizes:
        videos = max(2, round(images / n_frames))
        data = lay_out(place / f"data{images}", videos, n_frames, picture)
        command = [
            sys.executable,
            __file__,
            "--work",
            str(data),
            str(place / f"clips{images}"),
            str(workers),
        ]
        told = json.loads(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[
                -1
            ]
        )
        rows.append(
            [
                f"{videos * n_frames:,}",
                told["clips"],
                f"{told['make']:.1f}",
                f"{told['verify']:.1f}",
                f"{told['make'] + told['verify']:.1f}",
                f"{told['mb']:.0f}",
            ]
        )
    needed = plan.needs(plan.scaled(439, FRAMES, Settings()), place, Settings())
    notes = [
        "Wanted: 100 000 pictures in under 6 s, under 200 MB, flat in their number.",
        "",
        "The plan for all of Ego4D's train and val, as `clips check` prints it on this machine:",
        "",
        *(f"* {row.what}: {row.needed:,.10g}" for row in needed.itertuples()),
    ]
    publish(
        "clips_make",
        [
            "pictures",
            "clips",
            "make, renumber, describe (s)",
            "verify (s)",
            "together (s)",
            "most memory of a process (MB)",
        ],
        rows,
        ["numpy", "opencv-python-headless"],
        notes,
    )


# ---- reading items


def reading(place: Path, n_frames: int, size: tuple[int, int], items: int) -> None:
    """Items a second: the published way, clips with pictures, clips whose crops are kept."""
    from lib.faces import speaker_crops  # of the recipe talknet
    from lib.features import mfcc
    from lib.speakers.clips import units as asd_clips

    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (size[1] // 8, size[0] // 8, 3)).astype(np.uint8)
    picture = cv2.imencode(".jpg", cv2.resize(coarse, size), [cv2.IMWRITE_JPEG_QUALITY, 92])[
        1
    ].tobytes()
    data = lay_out(place / "items", 2, n_frames, picture)
    job = job_of(data, place / "item-clips")
    jobs.run(job)
    units = asd_clips.units(asd_clips.read_index(job.root))[:items]

    def heard(sound: np.ndarray, n: int) -> np.ndarray:
        return mfcc.rows(sound, mfcc.starts(n, 30), mfcc.window(30))

    def published(unit):
        source = next(one for one in job.sources if one.video == unit.video)
        told, boxes = schema.read(unit.path), unit.boxes()
        import wave

        with wave.open(str(source.sound)) as file:  # the whole of it, as the public code does
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        start = unit.start * 16_000 // 30
        faces = []
        for row in np.flatnonzero(np.isfinite(boxes[:, 0])):
            grey = cv2.imread(
                str(source.pictures / f"img_{unit.start + row + 1:05d}.jpg"), cv2.IMREAD_GRAYSCALE
            )
            faces.append(speaker_crops.cut(grey, boxes[row], "mouth", 112))
        return heard(sound[start : start + told["audio"]["n_samples"]], unit.n_frames), np.stack(
            faces
        )

    def from_clip(unit, folder=None):
        sound, _ = unit.sound(0, unit.n_frames)
        return (
            heard(sound, unit.n_frames),
            unit.faces(0, unit.n_frames, "mouth", 112, folder),
            unit.labels(),
        )

    kept = place / "kept"
    ways = {
        "published way: whole wav, whole pictures": published,
        "clips, pictures": from_clip,
        "clips, crops kept": lambda unit: from_clip(unit, kept),
    }
    for unit in units:
        from_clip(unit, kept)
    rows = []
    for name, way in ways.items():
        started = time.perf_counter()
        for unit in units:
            way(unit)
        each = (time.perf_counter() - started) / len(units)
        rows.append([name, f"{1 / each:.2f}", f"{1000 * each:.0f}"])
    factor = float(rows[-1][1]) / float(rows[0][1])
    publish(
        "clips_items",
        ["way", "items a second", "ms an item"],
        rows,
        ["numpy", "opencv-python-headless"],
        [
            f"{len(units)} items of {units[0].n_frames} frames out of videos of {n_frames} "
            "frames, pictures of "
            f"{size[0]}×{size[1]}. The last way is {factor:.0f} times as fast as the first "
            "(wanted: 5)."
        ],
    )


# ---- scores


def scoring(n: int, videos: int, frames: int) -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random(n) < 0.25).astype(int)
    scores = generator.random(n) + 0.3 * labels
    started = time.perf_counter()
    metrics.ava_ap(scores, labels)
    ap_seconds = time.perf_counter() - started
    found, truth = {}, {}
    for video in range(videos):
        corner = generator.uniform(0, 400, (frames * 3, 2))
        rows = np.column_stack([np.repeat(np.arange(frames), 3), corner, corner + 90])
        truth[str(video)] = rows[generator.random(len(rows)) < 0.3]
        moved = rows + np.concatenate(
            [np.zeros((len(rows), 1)), generator.normal(0, 6, (len(rows), 4))], axis=1
        )
        found[str(video)] = np.column_stack([moved, generator.random(len(rows))])
    started = time.perf_counter()
    value = metrics.ego4d_map(found, truth)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    publish(
        "clips_scores",
        ["score", "faces", "seconds", "wanted (s)"],
        [
            ["AVA-style AP", f"{n:,}", f"{ap_seconds:.2f}", 2],
            ["Ego4D mAP@0.5", f"{videos * frames * 3:,}", f"{seconds:.1f}", 60],
        ],
        ["numpy"],
        [
            f"Most memory of the process: {peak:.0f} MiB (wanted: under 1 GB). mAP of the random "
            f"boxes: {value:.3f}. "
            "Known answers: tests/speakers/test_metrics.py."
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=["make", "items", "scores"], help="make, items, scores"
    )
    parser.add_argument(
        "--small", action="store_true", help="a hundredth of everything: shows that it runs"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.work:
        print(json.dumps(work(Path(told.work[0]), Path(told.work[1]), int(told.work[2]))))
        return
    with tempfile.TemporaryDirectory() as place:
        if "make" in told.parts:
            making(
                Path(place),
                [1800] if told.small else [25_000, 50_000, 100_000, 200_000],
                900 if told.small else FRAMES,
                told.workers,
            )
        if "items" in told.parts:
            reading(
                Path(place),
                900 if told.small else FRAMES,
                (640, 360) if told.small else (1920, 1080),
                2 if told.small else 8,
            )
        if "scores" in told.parts:
            scoring(
                10_000 if told.small else 1_000_000,
                2 if told.small else 50,
                900 if told.small else FRAMES,
            )


if __name__ == "__main__":
    main()
