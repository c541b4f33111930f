"""Verify a tree of clips (speaker specification §2.3): one row per check, failures by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from ...datasets import ego4d
from ...errors import InputError
from ...files import safe_name
from ...media import pictures
from . import SPLITS, Settings, Span, index, schema, spans, verify_clip
from .checks import Checks, numbers, same
from .sources import Source
from .video import FACTS, Facts, folder_of, read_facts

# Check -> what was expected, what was found, as `_video` counts them.
COUNTS = (
    ("clips", "wanted clips", "clips"),
    ("pictures in clips", "wanted pictures", "pictures"),
    ("wav files, 16 kHz, mono, 16 bits, exact length", "wanted clips", "wav files"),
    ("descriptions (clip.json)", "wanted clips", "descriptions"),
)


def verify(
    root: Path,
    sources: Iterable[Source],
    settings: Settings,
    layout: ego4d.Layout | None = None,
    progress: Callable | None = None,
) -> Checks:
    """Check a root of clips against the videos that they were made from, and, of Ego4D's layout,
    lists and folders.

    Nothing is changed, and no failure ends it.
    """
    checks, sources = Checks(str(root)), list(sources)
    if layout:
        _lists(layout, sources, checks)
    counts = Counter()
    for done, source in enumerate(sources, start=1):
        _video(root, source, settings, checks, counts)
        if progress:
            progress(done, len(sources), source.video)
    for split in SPLITS:
        expected = {safe_name(source.video) for source in sources if source.split == split}
        folder = Path(root) / split
        same(checks, f"{split}: folders of videos", expected, _folders(folder), folder)
    for name, expected, actual in COUNTS:
        checks.compare(name, counts[expected], counts[actual], root)
    _index(root, counts["units"], checks)
    return checks


def _lists(layout: ego4d.Layout, sources: list[Source], checks: Checks) -> None:
    for row in layout.report.counts:
        checks.compare(
            row["item"],
            row["found"] if row["expected"] != row["expected"] else row["expected"],
            row["found"],
            layout.root,
        )
    train, val = (set(layout.ids[split]) for split in SPLITS)
    checks.compare("ids in two lists", 0, len(layout.twice), ", ".join(layout.twice))
    for what, kind, suffix in (
        ("folders of pictures", "pictures", ""),
        ("wav files of the data set", "sound", ".wav"),
    ):
        for folder in layout.folders[kind]:
            present = {
                path.name.removesuffix(suffix)
                for path in folder.iterdir()
                if path.name.endswith(suffix) and not path.name.startswith(".")
            }
            tests = present & set(layout.ids["test"])
            # A clip whose film is there needs no folder of pictures.
            expected = {
                uid
                for uid in train | val
                if kind == "sound" or uid in present or not layout.video(uid)
            }
            same(checks, f"{what} = train and val", expected, present - tests, folder)
            if tests and len(tests) < len(layout.ids["test"]):
                checks.fail(
                    f"{what} = train and val",
                    folder,
                    f"{len(tests)} of {len(layout.ids['test'])} test clips "
                    "are left: type the prune command again",
                )


def _folders(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if path.is_dir()}


def _video(root: Path, source: Source, settings: Settings, checks: Checks, counts: Counter) -> None:
    folder = folder_of(root, source)
    try:
        facts = read_facts(os.path.join(folder, FACTS))
    except InputError as error:
        facts = None
        checks.fail("clips", error.where, error.what)
    if facts is None:
        checks.fail("clips", folder, "no clips of this video were made")
        return
    clips, dropped = spans(facts.n_frames, source.fps, settings)
    counts["wanted clips"] += len(clips)
    if source.pictures and settings.frames != "move":
        _source_pictures(source, facts, checks)
    places = {span.name for span in clips}
    _strangers(folder, places, checks)
    covered = seen = 0
    for span in clips:
        clip_folder = os.path.join(folder, span.name)
        if not os.path.isdir(clip_folder):
            checks.fail("clips", clip_folder, "this clip is missing")
            continue
        end = span.start + span.n_frames
        if _clip(source, facts, settings, span, clip_folder, checks, counts):
            covered += max(0, end - max(seen, span.start))
        seen = end
    if settings.step <= settings.length and covered != facts.n_frames - dropped:
        checks.fail(
            "pictures in clips",
            folder,
            f"whole clips hold {covered} of {facts.n_frames - dropped} frames "
            f"({dropped} at the end are dropped)",
        )


def _clip(
    source: Source,
    facts: Facts,
    settings: Settings,
    span: Span,
    folder: str,
    checks: Checks,
    counts: Counter,
) -> bool:
    """Check one clip and count what is right in it; whether it has all of its pictures."""
    present, number = verify_clip.pictures_of(source, facts, settings, span, folder, checks)
    wav_files = verify_clip.sound(source, span, folder, checks)
    right, units = verify_clip.description(
        source, settings, span, folder, facts.size, present, checks
    )
    counts.update({"clips": 1, "wanted pictures": span.n_frames, "pictures": number})
    counts.update({"wav files": wav_files, "descriptions": right, "units": units})
    return number == span.n_frames


def _source_pictures(source: Source, facts: Facts, checks: Checks) -> None:
    """The data set's own pictures: links would otherwise hide that some are gone."""
    expected = set(range(facts.base, facts.base + facts.n_frames))
    numbers(
        expected,
        pictures.numbered(source.pictures),
        source.pictures,
        "the data set's pictures",
        checks,
    )


def _strangers(folder: str, expected: set[str], checks: Checks) -> None:
    for name in sorted(_folders(Path(folder)) - expected):
        checks.fail(
            "clips", os.path.join(folder, name), "no clip of these settings: it should not be there"
        )


def _index(root: Path, units: int, checks: Checks) -> None:
    n_lines, check = 0, "units in train.jsonl and val.jsonl"
    for split in SPLITS:
        try:
            lines = schema.lines(root, split)
            n_lines += len(lines)
            for line in lines:
                if not os.path.isfile(os.path.join(root, line["path"])):
                    checks.fail(
                        check, Path(root) / f"{split}.jsonl", f"{line['path']} is not there"
                    )
        except InputError as error:
            checks.fail(check, error.where, error.what)
    checks.compare(check, units, n_lines, root)
    try:
        index.read_dataset(root)
    except InputError as error:
        checks.fail("dataset.json", error.where, error.what)
