"""Remove the test set from Ego4D's folders, as the clip maker requires: first list it, then remove
it.

Only files with an id that is in ``test.list`` and in no other list are touched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...datasets.ego4d import SUFFIXES, Layout
from .disk import Disk


@dataclass(frozen=True)
class Pruning:
    """What would be removed: folders of pictures, sound, videos; and counts of each before."""

    paths: tuple[Path, ...]
    before: pd.DataFrame


def plan(layout: Layout) -> Pruning:
    """Find what belongs to test clips only. `layout.ids` holds no id that stands in two lists."""
    paths = []
    for uid in layout.ids["test"]:
        for kind, suffix in SUFFIXES.items():
            places = [folder / f"{uid}{suffix}" for folder in layout.folders[kind]]
            paths += [path for path in places if os.path.lexists(path)]
    return Pruning(tuple(paths), counts(layout))


def remove(pruning: Pruning, disk: Disk | None = None) -> int:
    """Remove what `plan` found, file by file; resumable. Returns how many entries."""
    disk = disk or Disk()
    for path in pruning.paths:
        if path.is_dir() and not path.is_symlink():
            disk.remove_folder(str(path))
        else:
            disk.remove(str(path))
    return len(pruning.paths)


def counts(layout: Layout) -> pd.DataFrame:
    """Columns folder, directories, files: what lies directly in each folder of the data set."""
    rows = []
    for folder in (f for kind in SUFFIXES for f in layout.folders[kind]):
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        rows.append(
            {
                "folder": layout.relative(folder),
                "directories": sum(entry.is_dir() for entry in entries),
                "files": sum(entry.is_file() for entry in entries),
            }
        )
    return pd.DataFrame(rows, columns=["folder", "directories", "files"])
