"""Which recordings a processed folder and a run belong to.

Two folders of recordings may have the same name, and a folder may move. So a processed folder
records the files it was made from, and is recognised by these and not by a path.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from ..errors import InputError
from ..files import NOTEBOOKS, safe_name, write_text
from ..runs import Run
from ..store import Store, fingerprint

RECORD = "data.json"  # in a processed folder: root and size of each recording
# share of the recordings that must be present for a folder to be the same study
PRESENT_SHARE = 0.5
LOOKED_INTO = 3  # recordings whose content is compared, too


def name(processed_root: Path, root: Path) -> str:
    """Name of the processed folder of a folder of recordings: ``folder-<its name>``, with ``-2``,
    ``-3``, … where that is of other recordings.
    """
    base = safe_name(f"folder-{Path(root).name}")
    names = (base if number == 1 else f"{base}-{number}" for number in itertools.count(1))
    return next(candidate for candidate in names if is_of(Path(processed_root) / candidate, root))


def is_of(folder: Path, root: Path) -> bool:
    """Whether a processed folder is of the recordings in `root`, or of none yet.

    It is if the root is the recorded one, or if at least half of its recordings are in `root`, all
    of these with the same size, and the first few with the same content.
    """
    record = read(folder)
    if not record or record["root"] == str(Path(root).absolute()):
        return True
    files = record["files"]
    present = {path: entry for path, entry in files.items() if (Path(root) / path).is_file()}
    alike = [path for path, entry in present.items() if _size(Path(root) / path) == entry["size"]]
    if len(alike) < len(present) or len(present) < PRESENT_SHARE * max(1, len(files)):
        return False
    return all(fingerprint(Path(root) / path) == present[path] for path in alike[:LOOKED_INTO])


def read(folder: Path) -> dict:
    """The record of `write`; {} if there is none or it is unreadable: then 01 writes it again."""
    file = Path(folder) / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        files = {str(path): dict(entry) for path, entry in record["files"].items()}
        return {"root": str(record["root"]), "files": files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write(store: Store, table: pd.DataFrame) -> Path:
    """Record beside a trial table which recordings it is of."""
    files = {path: fingerprint(store.data_root / path) for path in _recordings(store, table)}
    record = {"root": str(Path(store.data_root).absolute()), "files": files}
    return write_text(store.folder / RECORD, json.dumps(record, indent=1))


def data_of(run: Run) -> str:
    """Name of the processed folder of a run, "" if 01 has not run."""
    outputs = run.read_json(f"steps/{NOTEBOOKS[0]}.json", {}).get("outputs", {})
    tables = [Path(path) for path in outputs if path.endswith("/trials.parquet")]
    return tables[0].parent.name if tables else ""


def refuse_other(run: Run, now: str, todo: str) -> None:
    """Raise InputError if a run is of other recordings than those of the processed folder `now`.
    todo : what the person should type then.
    """
    before = data_of(run)
    if before not in ("", now):
        raise InputError(
            f"the run {run.name} is of other recordings ({before}, not {now})",
            where=run.folder,
            expected="a run of its own for each folder of recordings",
            todo=todo,
        )


def _recordings(store: Store, table: pd.DataFrame) -> Iterator[str]:
    paths: Iterable[str] = dict.fromkeys([*table["video_path"], *table["audio_path"]])
    return (path for path in paths if path and (store.data_root / path).is_file())


def _size(path: Path) -> int:
    return path.stat().st_size
