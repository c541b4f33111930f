"""Ego4D's audio-visual data as they are released and unpacked: layout on disk -> trial table and
check report.

    json/av_train.json  av_val.json  av_test_unannotated.json   (or in annotations/, or in the root)
    split/train.list  val.list  test.list                       one id per line, no final newline
    video_imgs/<id>/img_00001.jpg …  and/or  videos/<id>.mp4    picture n is frame n − 1
    wav/<id>.wav  or  wave/<id>.wav                             16 kHz, mono

Specification: speaker specification §1. A "video" is an Ego4D clip of five minutes; a trial is one
person with a face in it.
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path

import pandas as pd

from .. import trials
from ..errors import InputError
from ..files import version
from ..labels.official import read_text
from ..media import pictures
from . import ego4d_annotation, tree
from .ego4d_annotation import Annotations, Clip, is_safe
from .report import Report

FPS = Fraction(30)  # of the released clips, and of the pictures that are extracted from them
EXPECTED = {"train": (389,), "val": (50,), "test": (133,)}  # speaker specification §1.1
RATE = 16_000  # Hz of the sound that is extracted from them
# s by which lengths of sound and pictures may differ: a packet of AAC is 0.06 s, a picture 0.03 s
ROUNDED = 0.1
FOLDERS_OF_PART = {
    "json": ("json", "annotations"),
    "split": ("split", "splits"),
    "pictures": ("video_imgs",),
    "videos": ("videos", "clips"),
    "sound": ("wav", "wave"),
}
# Columns on the folders' content for each clip.
SUFFIXES = {"pictures": "", "videos": ".mp4", "sound": ".wav"}
ANNOTATIONS = {
    "train": ("av_train.json",),
    "val": ("av_val.json",),
    "test": ("av_test_unannotated.json",),
}


@dataclass
class Layout:
    """Where files are below `root`; `ids` are those of the three lists, without any that is in two
    of them (`twice`).
    """

    root: Path
    folders: dict[str, list[Path]]
    ids: dict[str, list[str]]
    annotations: dict[str, Annotations]
    report: Report = field(default_factory=Report)
    twice: tuple[str, ...] = ()

    def split_of(self, uid: str) -> str:
        return next((split for split, uids in self.ids.items() if uid in uids), "")

    def pictures(self, uid: str) -> Path | None:
        return next(
            (folder / uid for folder in self.folders["pictures"] if (folder / uid).is_dir()), None
        )

    def video(self, uid: str) -> Path | None:
        return _first_file(self.folders["videos"], [f"{uid}.mp4"])

    def sound(self, uid: str) -> Path | None:
        return _first_file(self.folders["sound"], [f"{uid}.wav"])

    def annotation(self, uid: str) -> Clip | None:
        """The annotation of one clip, None without one."""
        file = next((file for file in self.annotations.values() if uid in file.places), None)
        return file.read(uid) if file else None

    def relative(self, path: Path | None) -> str:
        return path.relative_to(self.root).as_posix() if path else ""


def _first_file(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """The first existing file, by names and then folders; None if there is none."""
    for name in names:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    return None


def _in_any_case(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """`_first_file`, else one whose name differs in capitals only."""
    folders, names = list(folders), list(names)
    if path := _first_file(folders, names):
        return path
    folded = {name.lower() for name in names}
    existing = [folder for folder in folders if folder.is_dir()]
    inside = (path for folder in existing for path in sorted(folder.iterdir()))
    return next((path for path in inside if path.name.lower() in folded and path.is_file()), None)


def look(root: Path, expected: dict | None = None) -> Layout:
    """Read lists and annotation files (not the media). Raises InputError if there are no lists.

    expected : item of the report -> right numbers; Ego4D's own if None.
    """
    root = Path(root)
    folders = {
        what: [*tree.named([root], names), *([root] if what in ("json", "split") else [])]
        for what, names in FOLDERS_OF_PART.items()
    }
    layout = Layout(root, folders, {}, {})
    layout.ids = _lists(layout)
    for split, names in ANNOTATIONS.items():
        if path := _in_any_case(folders["json"], names):
            layout.annotations[split] = _scanned(path, version(path))
            _tell_faults(layout.annotations[split], path, layout.report)
    for split, uids in layout.ids.items():
        item = f"{split} ids"
        numbers = EXPECTED[split] if expected is None else expected.get(item, ())
        layout.report.count(item, len(uids), numbers)
    return layout


def _tell_faults(annotations: Annotations, path: Path, report: Report) -> None:
    for item, what in annotations.faults:
        report.error(
            item,
            what,
            "left out",
            where=str(path),
            expected="Ego4D's annotation file, whole",
            todo="download it again",
        )


@lru_cache(maxsize=8)
def _scanned(path: Path, _version: tuple) -> Annotations:
    return ego4d_annotation.scan(path)


def _lists(layout: Layout) -> dict[str, list[str]]:
    """The ids of every list. An id that is in two lists, or that cannot be a name, is reported and
    left out.
    """
    ids: dict[str, list[str]] = {}
    for split in EXPECTED:
        path = _in_any_case(layout.folders["split"], [f"{split}.list"])
        ids[split] = _ids(path, layout.report) if path else []
    if not ids["train"] and not ids["val"]:
        raise InputError(
            "no list of training or validation clips",
            where=layout.root,
            expected="split/train.list and split/val.list, an id a line",
            todo="see data_README.md for Ego4D's layout, and correct data_root",
        )
    often = pd.Series(
        [uid for uids in ids.values() for uid in set(uids)], dtype="str"
    ).value_counts()
    layout.twice = tuple(often.index[often > 1])
    for uid in layout.twice:
        where = " and ".join(f"{split}.list" for split, uids in ids.items() if uid in uids)
        layout.report.error(
            uid,
            f"stands in {where}",
            "left out of all",
            expected="one list",
            todo="correct the lists: a clip in train and in val flatters every score",
        )
    return {
        split: [uid for uid in dict.fromkeys(uids) if often[uid] == 1]
        for split, uids in ids.items()
    }


def _ids(path: Path, report: Report) -> list[str]:
    ids = []
    for number, line in enumerate(map(str.strip, read_text(path).split("\n")), start=1):
        if line and not is_safe(line):
            report.error(
                path.name,
                f"an id that cannot be a folder's name: {line[:60]!r}",
                "the line is left out",
                where=f"{path}:{number}",
                expected="an id as 0b4cacb1-970f-4ef0-85da-371d81f899e0",
                todo="correct or remove that line",
            )
        elif line:
            ids.append(line)
    return ids


def find(
    root: Path,
    dataset: str = "ego4d",
    expected: dict | None = None,
    progress: Callable | None = None,
) -> tuple[pd.DataFrame, Report]:
    """Trial table (paths relative to `root`) and check report.

    Every clip of the lists is looked for: pictures (missing ones by number), video, sound,
    annotation.
    """
    layout = look(root, expected)
    report, rows = layout.report, []
    order = [(split, uid) for split, uids in layout.ids.items() for uid in uids]
    for done, (split, uid) in enumerate(order, start=1):
        rows += _clip_rows(layout, split, uid, dataset)
        if progress:
            progress(done, len(order), uid)
    _count(layout, expected)
    _strangers(layout)
    return trials.table(rows), report


def _clip_rows(layout: Layout, split: str, uid: str, dataset: str) -> list[dict]:
    """A row for every person with a face; for a test clip, and one without a face, a row without a
    person.
    """
    report, folder = layout.report, layout.pictures(uid)
    video, sound = layout.video(uid), layout.sound(uid)
    if not folder and not video:
        if split != "test":  # a test set that was pruned is no error
            report.warning(
                uid,
                f"in {split}.list, but neither pictures nor video",
                "left out",
                where=str(layout.root),
            )
        return []
    clip = _annotation(layout, split, uid)
    n_frames = _n_frames(report, uid, folder, clip) if folder else clip.n_frames
    if not sound:
        _tell_no_sound(layout, uid, has_video=bool(video))
    elif n_frames:
        _sound(report, uid, sound, n_frames)
    row = {
        "video": uid,
        "dataset": dataset,
        "split": split,
        "subject": uid,
        "n_frames": n_frames,
        "fps": float(FPS),
        "duration": n_frames / float(FPS),
        "video_path": layout.relative(video or folder),
        "audio_path": layout.relative(sound or video),
    }
    persons = [person.name for person in clip.persons if person.tracks]
    return [row | {"trial": f"{uid}_{name}", "person": name} for name in persons] or [
        row | {"trial": uid}
    ]


def _tell_no_sound(layout: Layout, uid: str, has_video: bool) -> None:
    layout.report.warning(
        uid,
        "no wav file",
        "the video's sound is used" if has_video else "no sound: no clips can be made",
        where=str(layout.root),
        expected=f"wav/{uid}.wav",
        todo="extract it again",
    )


def _annotation(layout: Layout, split: str, uid: str) -> Clip:
    try:
        clip = layout.annotation(uid)
    except InputError as error:
        layout.report.fault(uid, error, "used without annotation")
        return Clip(uid)
    if clip is None:
        if split != "test":
            layout.report.error(
                uid,
                f"in {split}.list, but in no annotation file",
                "used without labels",
                where=str(layout.root),
                expected=f"a clip of that clip_uid in {ANNOTATIONS[split][0]}",
                todo="download the annotation again",
            )
        return Clip(uid)
    for fault in clip.faults:
        layout.report.warning(uid, fault, "the rest is used", where=str(layout.root))
    return clip


def _n_frames(report: Report, uid: str, folder: Path, clip: Clip) -> int:
    try:
        numbers = pictures.look(folder)
    except InputError as error:
        report.fault(uid, error, "no clips can be made of it")
        return 0
    if numbers.missing:
        shown = ", ".join(map(str, numbers.missing[:12])) + (
            ", …" if len(numbers.missing) > 12 else ""
        )
        report.error(
            uid,
            f"{len(numbers.missing)} pictures are missing: {shown}",
            "no clips can be made of it",
            where=str(folder),
            expected="numbers without a hole",
            todo="extract its pictures again",
        )
    if clip.n_frames > numbers.count:
        report.warning(
            uid,
            f"{numbers.count} pictures for {clip.n_frames} annotated frames: "
            f"{pictures.PATTERN % (numbers.base + numbers.count)} is the first one missing",
            "labels beyond the last picture are not used",
            where=str(folder),
        )
    return numbers.count


def _sound(report: Report, uid: str, path: Path, n_frames: int) -> None:
    """Check whether a wav file is whole, and as long as its pictures."""
    try:
        with wave.open(str(path)) as file:
            rate, channels, n_samples = file.getframerate(), file.getnchannels(), file.getnframes()
    except (wave.Error, EOFError, OSError) as error:
        report.error(
            uid,
            f"the wav file cannot be read ({str(error) or 'it ends in its header'})",
            "no clips can be made",
            where=str(path),
            expected="16 kHz, mono, 16 bits",
            todo="extract it again",
        )
        return
    if (rate, channels) != (RATE, 1):
        report.error(
            uid,
            f"a wav file of {rate} Hz and {channels} channels",
            "no clips can be made",
            where=str(path),
            expected=f"{RATE} Hz, mono",
            todo=f"ffmpeg -i VIDEO -ac 1 -ar {RATE} {path.name}",
        )
    elif what := uneven(n_samples, n_frames, FPS):
        report.warning(
            uid,
            what[0],
            what[1],
            where=str(path),
            expected=f"the sound of {n_frames} pictures",
            todo="if much is missing, extract both again from the same video",
        )


def uneven(n_samples: int, n_frames: int, fps: Fraction) -> tuple[str, str] | None:
    """The message if sound at `RATE` and pictures differ by more than `ROUNDED`, and what is done
    about it.
    """
    seconds = n_samples / RATE - float(n_frames / fps)
    if abs(seconds) <= ROUNDED:
        return None
    if seconds < 0:
        return (
            f"the sound ends {-seconds:.2f} s before its {n_frames} pictures",
            "silence stands where it is missing",
        )
    return (
        f"the sound goes on for {seconds:.2f} s after its {n_frames} pictures",
        "that end is in no clip",
    )


def _count(layout: Layout, expected: dict | None) -> None:
    pictures = chain.from_iterable(folder.iterdir() for folder in layout.folders["pictures"])
    paths_of = {
        "picture folders": [path for path in pictures if path.is_dir()],
        "videos": [f for folder in layout.folders["videos"] for f in folder.glob("*.mp4")],
        "wav files": [f for folder in layout.folders["sound"] for f in folder.glob("*.wav")],
    }
    whole = sum(map(sum, EXPECTED.values()))
    kept = whole - EXPECTED["test"][0]
    for item, paths in paths_of.items():
        numbers = (kept, whole) if expected is None else expected.get(item, ())
        if paths or numbers:
            layout.report.count(item, len(paths), numbers)


def _strangers(layout: Layout) -> None:
    """Report pictures, videos, sound and annotations whose id is in no list."""
    known = {uid for uids in layout.ids.values() for uid in uids} | set(layout.twice)
    for kind, suffix in SUFFIXES.items():
        for folder in layout.folders[kind]:
            for path in tree.inside(folder, layout.report):
                uid = path.name.removesuffix(suffix)
                is_one = path.name.endswith(suffix) if suffix else path.is_dir()
                if is_one and uid not in known:
                    layout.report.warning(uid, "stands in no list", "left out", where=str(path))
    for file in layout.annotations.values():
        for uid in sorted(file.places.keys() - known):
            layout.report.warning(
                uid, "annotated, but stands in no list", "left out", where=str(file.path)
            )
