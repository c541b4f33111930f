"""Is a tree of clips what it should be? Every row of the table in specs/asd.md §2.3, and each failure by name."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lib import pictures
from lib.clips import RATE, SPLITS, Settings, Span, first_number, index, numbering, schema, spans
from lib.clips.make import FACTS, folder_of, read_facts, sound_of
from lib.clips.sources import Source
from lib.datasets import ego4d
from lib.errors import InputError

SHOWN = 12  # numbers of missing pictures that one message lists


@dataclass
class Checks:
    """Rows (check, expected, found) and failures (check, where, what)."""

    rows: list[dict] = field(default_factory=list)
    failures: list[dict] = field(default_factory=list)

    def compare(self, check: str, expected: object, found: object, where: object = "") -> None:
        self.rows.append({"check": check, "expected": expected, "found": found})
        if expected != found:
            self.fail(check, where, f"{found}, expected {expected}")

    def fail(self, check: str, where: object, what: str) -> None:
        self.failures.append({"check": check, "where": str(where), "what": what})

    def table(self) -> pd.DataFrame:
        """Columns check, expected, found, ok."""
        failed = {one["check"] for one in self.failures}
        return pd.DataFrame([row | {"ok": row["check"] not in failed} for row in self.rows],
                            columns=["check", "expected", "found", "ok"])

    def failure_table(self) -> pd.DataFrame:
        """Columns check, where, what; one row a failure."""
        return pd.DataFrame(self.failures, columns=["check", "where", "what"])

    def errors(self) -> list[tuple[str, InputError]]:
        """(check, error) pairs, for ``run.record(lost=…)``."""
        return [(one["check"], InputError(one["what"], where=one["where"], todo="python -m lib clips all, or mend it"))
                for one in self.failures]


def verify(root: Path, sources: Iterable[Source], settings: Settings, layout: ego4d.Layout | None = None,
           progress: Callable | None = None) -> Checks:
    """Check a root of clips against the videos that they were made from, and, of Ego4D's layout, lists and folders.

    Nothing is changed, and no failure ends it.
    """
    checks, sources = Checks(), list(sources)
    if layout:
        _lists(layout, sources, checks)
    found = dict.fromkeys(("clips", "wanted clips", "pictures", "wanted pictures", "wav files", "descriptions",
                           "units"), 0)
    for done, source in enumerate(sources, start=1):
        _video(root, source, settings, checks, found)
        if progress:
            progress(done, len(sources), source.video)
    for split in SPLITS:
        wanted = {source.video for source in sources if source.split == split}
        _same(checks, f"{split}: folders of videos", wanted, _folders(Path(root) / split), Path(root) / split)
    checks.compare("clips", found["wanted clips"], found["clips"], root)
    checks.compare("pictures in clips", found["wanted pictures"], found["pictures"], root)
    checks.compare("wav files, 16 kHz, mono, 16 bits, exact length", found["wanted clips"], found["wav files"], root)
    checks.compare("descriptions (clip.json)", found["wanted clips"], found["descriptions"], root)
    _index(root, found["units"], checks)
    return checks


def _lists(layout: ego4d.Layout, sources: list[Source], checks: Checks) -> None:
    for row in layout.report.counts:
        checks.compare(row["item"], row["found"] if row["expected"] != row["expected"] else row["expected"],
                       row["found"], layout.root)
    train, val = (set(layout.ids[split]) for split in SPLITS)
    checks.compare("ids in two lists", 0, sum("stands in" in row["what"] for row in layout.report.problems))
    for what, kind, suffix in (("folders of pictures", "pictures", ""), ("wav files of the data set", "sound", ".wav")):
        for folder in layout.folders[kind]:
            found = {path.name.removesuffix(suffix) for path in folder.iterdir()
                     if path.name.endswith(suffix) and not path.name.startswith(".")}
            tests = found & set(layout.ids["test"])
            # A clip whose film is there needs no folder of pictures.
            wanted = {uid for uid in train | val if kind == "sound" or uid in found or not layout.video(uid)}
            _same(checks, f"{what} = train and val", wanted, found - tests, folder)
            if tests and len(tests) < len(layout.ids["test"]):
                checks.fail(f"{what} = train and val", folder, f"{len(tests)} of {len(layout.ids['test'])} test clips "
                                                               "are left: type the prune command again")


def _folders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()


def _same(checks: Checks, check: str, wanted: set[str], found: set[str], where: object) -> None:
    checks.rows.append({"check": check, "expected": len(wanted), "found": len(found)})
    for name in sorted(wanted - found):
        checks.fail(check, where, f"{name} is missing")
    for name in sorted(found - wanted):
        checks.fail(check, where, f"{name} should not be there")


def _video(root: Path, source: Source, settings: Settings, checks: Checks, found: dict) -> None:
    folder = folder_of(root, source)
    try:
        facts = read_facts(os.path.join(folder, FACTS))
    except InputError as error:
        facts = None
        checks.fail("clips", error.where, error.what)
    if facts is None:
        checks.fail("clips", folder, "no clips of this video were made")
        return
    some, dropped = spans(facts.n_frames, source.fps, settings)
    found["wanted clips"] += len(some)
    if source.pictures and settings.frames != "move":
        _source_pictures(source, facts, checks)
    places = {span.name for span in some}
    _strangers(folder, places, checks)
    covered = seen = 0
    for span in some:
        place = os.path.join(folder, span.name)
        if not os.path.isdir(place):
            checks.fail("clips", place, "this clip is missing")
            continue
        found["clips"] += 1
        found["wanted pictures"] += span.n_frames
        there, number = _pictures(source, facts, settings, span, place, checks)
        found["pictures"] += number
        covered += max(0, span.start + span.n_frames - max(seen, span.start)) if number == span.n_frames else 0
        seen = span.start + span.n_frames
        found["wav files"] += _sound(source, span, place, checks)
        units = _description(source, settings, span, place, facts.size, there, checks)
        found["descriptions"] += units is not None
        found["units"] += units or 0
    if settings.step <= settings.length and covered != facts.n_frames - dropped:
        checks.fail("pictures in clips", folder, f"whole clips hold {covered} of {facts.n_frames - dropped} frames "
                                                 f"({dropped} at the end are dropped)")


def _source_pictures(source: Source, facts, checks: Checks) -> None:
    """The data set's own pictures: links would otherwise hide that some are gone."""
    wanted = set(range(facts.base, facts.base + facts.n_frames))
    _numbers(wanted, pictures.numbered(source.pictures), source.pictures, "the data set's pictures", checks)


def _strangers(folder: str, wanted: set[str], checks: Checks) -> None:
    for name in sorted(_folders(Path(folder)) - wanted):
        checks.fail("clips", os.path.join(folder, name), "no clip of these settings: it should not be there")


def _numbers(wanted: set[int], there: set[int], where: object, check: str, checks: Checks) -> None:
    for some, what in ((sorted(wanted - there), "missing"), (sorted(there - wanted), "too many")):
        if some:
            names = ", ".join(pictures.PATTERN % number for number in some[:SHOWN])
            checks.fail(check, where, f"{len(some)} pictures {what}: {names}{', …' if len(some) > SHOWN else ''}")


def _pictures(source: Source, facts, settings: Settings, span: Span, place: str, checks: Checks) -> tuple[set, int]:
    """Numbers of a clip's pictures, and how many of them are right."""
    if settings.frames == "none" and source.pictures:
        return pictures.numbered(source.pictures), span.n_frames
    frames = os.path.join(place, "frames")
    try:
        told = numbering.read(frames)
    except InputError as error:
        checks.fail("pictures in clips", frames, error.what)
        told = {"first": span.start, "scope": "global"}
    if told["scope"] != "source" and told["first"] != first_number(span, told["scope"]):
        checks.fail("pictures in clips", frames, f"the first one is called {pictures.PATTERN % told['first']}")
    wanted = set(range(told["first"], told["first"] + span.n_frames))
    there = pictures.numbered(frames)
    _numbers(wanted, there, frames, "pictures in clips", checks)
    empty = [entry.name for entry in _entries(frames) if _is_hollow(entry)]
    if empty:
        checks.fail("pictures in clips", frames, f"{len(empty)} pictures are empty, or links to nothing: "
                                                 f"{', '.join(sorted(empty)[:SHOWN])}")
    return there, len(wanted & there)


def _entries(folder: str) -> list[os.DirEntry]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.name.endswith(".jpg")]


def _is_hollow(entry: os.DirEntry) -> bool:
    try:
        return entry.stat().st_size == 0
    except FileNotFoundError:
        return True


def _sound(source: Source, span: Span, place: str, checks: Checks) -> bool:
    path = os.path.join(place, span.sound_name)
    first, last = sound_of(span, source.fps)
    try:
        with wave.open(path) as file:
            kind = (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes())
            whole = len(file.readframes(last - first)) == 2 * (last - first)
    except (OSError, wave.Error, EOFError) as error:
        checks.fail("wav files, 16 kHz, mono, 16 bits, exact length", path, f"cannot be read ({error})")
        return False
    if right := (kind == (RATE, 1, 2, last - first) and whole):
        return right
    checks.fail("wav files, 16 kHz, mono, 16 bits, exact length", path,
                f"{kind[0]} Hz, {kind[1]} channels, {8 * kind[2]} bits, {kind[3]} samples"
                f"{'' if whole else ', cut off'}; expected {last - first} samples")
    return False


def _description(source: Source, settings: Settings, span: Span, place: str, size, there: set[int],
                 checks: Checks) -> int | None:
    """How many units with a face a clip has; None when its description is not right."""
    path, check = os.path.join(place, "clip.json"), "descriptions (clip.json)"
    before = len(checks.failures)
    try:
        told = schema.read(Path(path))
    except InputError as error:
        checks.fail(check, path, error.what)
        return None
    except (KeyError, TypeError, ValueError) as error:
        checks.fail(check, path, f"not a whole description ({error!r})")
        return None
    wanted = {"split": source.split, "video_id": source.video, "start_frame": span.start, "n_frames": span.n_frames,
              "clip_len": settings.length, "clip_id": f"{source.video}/{span.name}"}
    for name, value in wanted.items():
        if told.get(name) != value:
            checks.fail(check, path, f"{name} is {told.get(name)!r}, expected {value!r}")
    _frame_paths(told, there, check, path, checks)
    for name in ("face_visible", "speech", "speech_wearer", "speech_visible", "speech_offscreen"):
        if name in told and not set(told[name].tolist()) <= {0, 1}:
            checks.fail(check, path, f"{name} holds other values than 0 and 1")
    for person in told["persons"]:
        _person(person, told["n_frames"], size, path, check, checks)
    return sum(bool(person["visible"].any()) for person in told["persons"]) if len(checks.failures) == before else None


def _frame_paths(told: dict, there: set[int], check: str, path: str, checks: Checks) -> None:
    frames = told["frames"]
    if missing := set(range(frames["first"], frames["first"] + told["n_frames"])) - there:
        checks.fail(check, path, f"{len(missing)} pictures that it names are not there, for example "
                                 f"{os.path.join(frames['dir'], frames['pattern'] % min(missing))}"
                                 " (renumbered since? python -m lib clips index)")


def _person(person: dict, n_frames: int, size, path: str, check: str, checks: Checks) -> None:
    who = f"person {person['person_id']}"
    for name, values in (("visible", {0, 1}), ("speech", {0, 1}), ("asd", {-1, 0, 1})):
        if name in person and not set(person[name].tolist()) <= values:
            checks.fail(check, path, f"{who}: {name} holds other values than {sorted(values)}")
    rows = np.array([row[:5] for row in person["boxes"]], np.float64).reshape(-1, 5)
    good = np.isfinite(rows).all(axis=1) & (rows[:, 3] > rows[:, 1]) & (rows[:, 4] > rows[:, 2]) & \
        (rows[:, 0] >= 0) & (rows[:, 0] < n_frames) & (rows[:, 1:] >= 0).all(axis=1) & \
        (rows[:, 3] <= size[0]) & (rows[:, 4] <= size[1])
    if not good.all():
        checks.fail(check, path, f"{who}: {int((~good).sum())} boxes that are none, or outside the picture")
    if len(rows) and not person["visible"][rows[good, 0].astype(int)].all():
        checks.fail(check, path, f"{who}: boxes where no face is visible")


def _index(root: Path, units: int, checks: Checks) -> None:
    there, check = 0, "units in train.jsonl and val.jsonl"
    for split in SPLITS:
        try:
            lines = schema.lines(root, split)
            there += len(lines)
            for line in lines:
                if not os.path.isfile(os.path.join(root, line["path"])):
                    checks.fail(check, Path(root) / f"{split}.jsonl", f"{line['path']} is not there")
        except InputError as error:
            checks.fail(check, error.where, error.what)
    checks.compare(check, units, there, root)
    try:
        index.read_dataset(root)
    except InputError as error:
        checks.fail("dataset.json", error.where, error.what)
