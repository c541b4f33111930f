"""The published TSAV database: which alignment file belongs to which trial (TSAV/JCA specification
§1.3 and §1.8).

``video_info.txt`` has rows ``video stem, type (AU|EX|VA), split, position``; ``aff2_processed/``
holds ``NNN_AUxx_EXxx_VAxx[_left|_right|_main]_alignment_mask.pkl`` and, where the database was
built, a link to the video and a ``…meta.json`` for each.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import InputError
from ..labels.official import read_text
from . import tree
from .report import Report

FOLDERS = ("aff2_processed", "aff2alignmentdata", "alignment")
ALIGNMENT = "_alignment_mask.pkl"
KIND_OF = {"AU": "action_units", "EX": "expression", "VA": "va"}
SPLIT_OF = {"0_": "", "1_": "train", "1v": "val", "1t": "test"}
_ENTRY = re.compile(
    r"(?P<number>\d+)_AU(?P<AU>..)_EX(?P<EX>..)_VA(?P<VA>..)(?:_(?P<position>left|right|main))?$"
)


def find(
    root: Path, videos: dict[str, Path], report: Report
) -> dict[str, tuple[dict[str, str], Path]]:
    """trial -> ({kind: split}, alignment file) of a TSAV database under `root`; empty where there
    is none.
    """
    folders = [root, *tree.named([root], FOLDERS)]
    alignments = {}
    for folder in folders:
        for path in tree.files(folder, (".pkl",), report):
            if path.name.endswith(ALIGNMENT):
                alignments[path.name.removesuffix(ALIGNMENT)] = path
    if not alignments:
        return {}
    order = _order(_info(folders, report), videos)
    trials = {}
    for name, path in sorted(alignments.items()):
        entry = _ENTRY.match(name)
        video = _video(path.parent, name, report) or (
            order.get(int(entry["number"]), "") if entry else ""
        )
        if not entry or not video:
            report.warning(
                path.name,
                "nobody can tell which video this alignment file belongs to: no link to the "
                "video, no meta.json and no place in video_info.txt",
                "left out",
                where=str(path),
                todo="add video_info.txt and all videos that it names",
            )
            continue
        trial = f"{video}_{entry['position']}" if entry["position"] else video
        trials[trial] = {KIND_OF[kind]: SPLIT_OF.get(entry[kind], "") for kind in KIND_OF}, path
    return trials


def _info(folders: list[Path], report: Report) -> dict[str, list[str]]:
    """Video stem -> its positions, in the order of video_info.txt."""
    positions: dict[str, list[str]] = {}
    lists = [folder / "video_info.txt" for folder in folders]
    for path in filter(Path.is_file, lists):
        try:
            lines = [line for line in read_text(path).split("\n") if line.strip()]
        except InputError as error:
            report.fault(path.name, error, "left out")
            continue
        for number, line in enumerate(lines, start=1):
            row = [part.strip() for part in line.split(",")]
            if len(row) != 4 or row[1] not in KIND_OF or row[2] not in SPLIT_OF.values():
                report.error(
                    path.name,
                    f"not a row `video, AU|EX|VA, train|val|test, position`: {line[:80]!r}",
                    "the line is left out",
                    where=f"{path}:{number}",
                    todo="correct that line",
                )
            elif row[3] not in positions.setdefault(row[0], []):
                positions[row[0]].append(row[3])
    return positions


def _order(positions: dict[str, list[str]], videos: dict[str, Path]) -> dict[int, str]:
    """Running number -> video: videos sorted by path, one number per position (as the database
    counted).
    """
    stems = [path.stem for path in sorted(videos.values(), key=str) if path.stem in positions]
    # If one video is missing every later number would mean another video.
    if set(stems) != set(positions):
        return {}
    entries = [stem for stem in stems for _ in positions[stem]]
    return dict(enumerate(entries, start=1))


def _video(folder: Path, name: str, report: Report) -> str:
    """The video's stem, from meta.json or a link beside the alignment file; "" without both."""
    try:
        for path in folder.glob(f"{name}.*meta.json"):
            return _stem(json.loads(read_text(path))["original_video"])
        for path in folder.glob(f"{name}.*"):
            if path.is_symlink():
                return _stem(path.readlink().name)
    except InputError as error:
        report.fault(name, error, "left out")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        report.error(
            name, f"its meta.json cannot be read ({type(error).__name__}: {error})", "left out"
        )
    return ""


def _stem(text: str) -> str:
    """``1-30-1280x720.mp4_left`` -> ``1-30-1280x720``."""
    for position in ("_left", "_right", "_main"):
        text = str(text).removesuffix(position)
    return tree.name_in_list(text)
