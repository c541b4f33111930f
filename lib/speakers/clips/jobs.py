"""Clips of a whole data set, video by video: for notebook 04 and ``python -m lib clips``."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ... import datasets, trials
from ... import parallel as cluster
from ...datasets import ego4d
from ...errors import InputError
from ...parallel.locks import beside, held
from . import (
    Settings,
    checks,
    index,
    make,
    numbering,
    plan,
    root_of,
    settings_of,
    sources,
    talknet,
    verify,
)
from .disk import Disk
from .make import Made
from .sources import Source
from .video import folder_of

MAKE, RENUMBER, INDEX = "make", "renumber", "index"
STEPS = (MAKE, RENUMBER, INDEX)


@dataclass(frozen=True)
class Job:
    """Which videos are cut how, and where to."""

    root: Path
    dataset: str
    settings: Settings
    sources: tuple[Source, ...]
    layout: ego4d.Layout | None = None
    for_published: bool = False
    without: Mapping[str, int] = field(default_factory=dict)  # split that gets no clips -> videos

    def __repr__(self) -> str:
        return f"{len(self.sources)} videos, clips of {self.settings.length} frames, in {self.root}"


def opened(p: Mapping) -> Job | None:
    """The clips that an experiment's parameters ask for; None if they ask for none (`cut_clips`).

    Raises InputError where there are no lists, or (but for Ego4D) no trial table.
    """
    if p["cut_clips"] == "never" or (
        p["cut_clips"] == "auto" and p["dataset"] not in datasets.SPEAKING
    ):
        return None
    settings, (name, root) = settings_of(p), datasets.locate(p)
    store = datasets.store(p)
    layout, without = None, {}
    if p["dataset"] in datasets.SPEAKING:
        videos, layout = sources.of_ego4d(root, name, settings, datasets.expected(p))
        if p["trials"]:
            videos = [source for source in videos if _is_of_trials(source.video, p["trials"])]
    else:
        table = trials.select(trials.read(store.trials_path), p["trials"])
        videos = sources.of_trials(table, store, p["label_mismatch"])
        without = sources.without_clips(table)
    root = root_of(p, store.folder)
    return Job(root, name, settings, tuple(videos), layout, p["clip_published"], without)


def _is_of_trials(video: str, names: Iterable[str]) -> bool:
    return any(f"{name}_".startswith(f"{video}_") for name in names)


def frames_of(p: Mapping, seconds: float) -> int:
    """Frames of a clip of so many seconds, at the frame rate of the data set.

    Raises InputError for videos of several rates: clips of one root are equally long in frames.
    """
    rates = {float(ego4d.FPS)}
    if p["dataset"] not in datasets.SPEAKING:
        table = trials.select(trials.read(datasets.store(p).trials_path), p["trials"])
        rates = set(table["fps"].round(3))
    if len(rates) > 1:
        raise InputError(
            f"videos of {', '.join(f'{rate:g}' for rate in sorted(rates))} frames per second",
            expected="one rate",
            todo="set clip_length in frames, or choose `trials` of one rate",
        )
    return max(1, round(seconds * rates.pop()))


def run(
    job: Job,
    steps: Iterable[str] = STEPS,
    workers: int = 1,
    progress: Callable | None = None,
    force: bool = False,
    disk: Disk | None = None,
    parallel: object = "processes",
) -> list[cluster.Outcome]:
    """Make, renumber and describe clips, or some of these steps; one outcome per video, whose value
    is (`Made`, index lines).

    Arguments
    ---------
    steps : of `STEPS`. force : do not check the free space.
    parallel : what the workers are, see `lib.parallel.mapping.map`.
    disk : one counter of operations for everything; then all is done in this process (tests).

    A video that fails is named in its outcome, and the others are finished. Raises InputError when
    the root holds clips of other settings, when there is no room, or when the disk is full. If
    another command works on the same clips, this one waits.
    """
    with _alone(job):
        return _run(job, tuple(steps), workers, progress, force, disk, parallel)


def _alone(job: Job) -> contextlib.AbstractContextManager:
    """Lock: two commands would remove each other's unfinished files."""
    return held(beside(job.root), math.inf, remove=True)


def _run(job, steps, workers, progress, force, disk, parallel) -> list[cluster.Outcome]:
    own = disk or Disk()
    if MAKE in steps:
        if not force:
            plan.refuse(needs(job), job.root)
        index.begin(job.root, job.dataset, job.settings, own)
    else:
        _same_settings(job)
    work = partial(_one, job.root, job.settings, steps, disk)
    name = lambda source: source.video  # noqa: E731
    workers = 1 if disk else workers
    outcomes = cluster.map(work, job.sources, workers, progress, name=name, parallel=parallel)
    if INDEX in steps:
        _finish(job, outcomes, own)
    make.tidy(job.root, own)
    return outcomes


def _same_settings(job: Job) -> None:
    index.read_dataset(job.root)
    index.begin(job.root, job.dataset, job.settings, Disk())


def _one(
    root: Path, settings: Settings, steps: tuple[str, ...], disk: Disk | None, source: Source
) -> tuple[Made, list[dict]]:
    """All steps of one video."""
    disk, lines = disk or Disk(), []
    made = Made(source.video, source.split)
    if MAKE in steps:
        # If they are renumbered anyway, pictures get their final names at once.
        made = make.make_video(
            source, root, settings, disk, settings.numbering if RENUMBER in steps else make.SOURCE
        )
    if RENUMBER in steps:
        for frames in _frames_of(root, source):
            numbering.renumber(frames, settings.numbering, disk)
    if INDEX in steps:
        lines, made.faults = index.describe(source, root, settings, disk)
    return made, lines


def _frames_of(root: Path, source: Source) -> list[str]:
    folder = folder_of(root, source)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    frames = [os.path.join(folder, name, "frames") for name in names if name.startswith("clip_f")]
    return [path for path in frames if os.path.isdir(path)]


def _finish(job: Job, outcomes: list[cluster.Outcome], disk: Disk) -> None:
    lines: dict[str, list[dict]] = {}
    counts: Counter = Counter()
    for outcome in (outcome for outcome in outcomes if outcome.ok):
        made, new_lines = outcome.value
        lines.setdefault(made.split, []).extend(new_lines)
        counts.update({"videos": 1, "units": sum(line["n_visible"] > 0 for line in new_lines)})
    origins = filter(None, (source.made_from for source in job.sources))
    annotations = {origin["annotation"]: origin["sha256"] for origin in origins}
    rates = sorted({str(source.fps) for source in job.sources})
    about = {"fps": rates, "sources": sorted(annotations.items()), "counts": dict(counts)}
    index.finish(job.root, lines, about, disk)
    if job.for_published:
        talknet.write(job.root, lines, disk)


def undo(job: Job) -> int:
    """Give pictures the numbers of their sources back; returns how many. Index afterwards."""
    with _alone(job):
        folders = [frames for source in job.sources for frames in _frames_of(job.root, source)]
        return sum(map(numbering.undo, folders))


# ---- tables for people
def needs(job: Job | None) -> pd.DataFrame:
    """Disk space and time for making the clips, see `plan.needs`; empty without a job."""
    if job is None:
        return pd.DataFrame()
    return plan.needs(plan.plan(job.sources, job.root, job.settings), job.root, job.settings)


def faults(outcomes: list[cluster.Outcome], job: Job) -> pd.DataFrame:
    """Columns video, what: videos not done, boxes and voices left out, tails dropped; in a row of
    their own, how many videos are of a split that gets no clips.
    """
    rows = [
        [f"{count} of {split or 'no split'}", "no clips: they are cut of train and val only"]
        for split, count in job.without.items()
    ]
    for outcome in outcomes:
        if not outcome.ok:
            rows.append([outcome.item.video, f"not done: {outcome.error}"])
            continue
        made, _ = outcome.value
        rows += [[made.video, fault] for fault in made.faults]
        if made.dropped:
            rows.append(
                [made.video, f"{made.dropped} frames at the end are in no clip (clip_tail)"]
            )
    return pd.DataFrame(rows, columns=["video", "what"])


def failures(outcomes: list[cluster.Outcome]) -> list[tuple[str, Exception]]:
    """(video, error) pairs, for ``run.record(lost=…)``."""
    return [(outcome.item.video, outcome.error) for outcome in outcomes if not outcome.ok]


def make_all(
    job: Job | None,
    workers: int = 1,
    progress: Callable | None = None,
    parallel: object = "processes",
) -> list[cluster.Outcome]:
    """`run` with all steps; nothing without a job."""
    if job is None:
        return []
    return run(job, STEPS, workers, progress, parallel=parallel)


def check(job: Job | None) -> checks.Checks:
    """`verify` of a job; no checks without one."""
    if job is None:
        return checks.Checks()
    return verify.verify(job.root, job.sources, job.settings, job.layout)


def paths(job: Job | None) -> list[Path]:
    """Files that say that the clips are there, for ``run.record(outputs=…)``."""
    if job is None:
        return []
    return [job.root / name for name in (index.DATASET, "train.jsonl", "val.jsonl")]


def inputs(job: Job | None) -> list[Path]:
    """Annotation files and lists that clips depend on."""
    if job is None or job.layout is None:
        return []
    paths = [annotations.path for annotations in job.layout.annotations.values()]
    for folder in job.layout.folders["split"]:
        paths += sorted(folder.glob("*.list"))
    return paths


def clip_names(job: Job | None, most: int = 200) -> list[str]:
    """Names of clips to look at, ``<split>/<video>/clip_f000000``."""
    if job is None:
        return []
    names = sorted(
        path.parent.relative_to(job.root).as_posix()
        for path in job.root.glob("*/*/clip_f*/clip.json")
    )
    return names[:: max(1, len(names) // most)]


def distribution(job: Job) -> pd.DataFrame:
    """A row per clip: split, frames, faces (mean per frame), speaking (share), voice (share)."""
    from . import schema

    rows = []
    for name in clip_names(job, 2000):
        clip = schema.read(job.root / name / "clip.json")
        seen = sum(int(person["visible"].sum()) for person in clip["persons"])
        speaking = sum(int((person["asd"] == 1).sum()) for person in clip["persons"])
        rows.append(
            {
                "split": clip["split"],
                "frames": clip["n_frames"],
                "faces a frame": seen / clip["n_frames"],
                "speaking": speaking / seen if seen else np.nan,
                "voice": float(clip["speech"].mean()) if "speech" in clip else np.nan,
            }
        )
    return pd.DataFrame(rows)


def refuse_none(job: Job | None) -> Job:
    """The job, or an InputError that says how to want one."""
    if job is None:
        raise InputError(
            "these parameters want no clips",
            expected="cut_clips: always, or a data set with voices",
            todo="-p cut_clips always",
        )
    return job
