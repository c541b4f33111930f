"""Read and check ``sweep.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ... import files, runs

NAME = "sweep.json"
OF_SWEEP = {
    **{"grid": dict, "runs": dict, "files": list},
    **dict.fromkeys(("cluster", "started", "ended"), str),
}
OF_RUN = {
    **dict.fromkeys(("folder", "state", "host", "why"), str),
    **{"values": dict, "seconds": (int, float), "tries": int},
}
REMEDY = "start the sweep again: what is finished is not repeated"


def read(folder: Path, more: Iterable[str] = ()) -> dict:
    """The content of ``sweep.json`` in a sweep's folder, {} without one: "grid", "runs" (name ->
    mapping with `OF_RUN`) and `more` of `OF_SWEEP`.

    Raises InputError for a damaged file.
    """
    content = runs.Run(folder).read_json(NAME, {})
    if content:
        path = Path(folder) / NAME
        _require(path, content, {name: OF_SWEEP[name] for name in ("grid", "runs", *more)}, "")
        if not content["runs"]:
            raise files.damaged(path, "there is no run in it", REMEDY)
        for name, row in content["runs"].items():
            _require(path, row, OF_RUN, f" of {name}")
    return content


def _require(path: Path, content: object, kinds: Mapping, of: str) -> None:
    """Raise InputError for a value that is missing or of another type."""
    for name, kind in kinds.items():
        if not (isinstance(content, dict) and isinstance(content.get(name), kind)):
            raise files.damaged(path, f"there is no {name}{of}, or another kind of value", REMEDY)
