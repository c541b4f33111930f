"""What a command left in a folder, in a form that is equal whenever the command computed the same.

Bytes, but for what is another one each time: `VOLATILE` says which. Of a checkpoint the tensors and
numbers count (its file holds seconds, so its check-sum, where other files name it, does not), of an
executed notebook its cells and that all of them ended, of report.html, sweep.html and
data_report.html (which show seconds, what was measured in them, and the free space of the disk)
their headings, of a log and a lock that they are there, of kept digests all but what tells a state
of a source from another one (inode, size and time).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path

import torch

# Names of numbers and texts that are another one each time.
VOLATILE = {
    "seconds": "how long something took (history.csv, sweep.csv, checkpoints, steps, sweep.json)",
    "finished": "when a notebook ended (steps)",
    "started": "when a sweep or point began",
    "ended": "when a sweep ended",
    "earlier": "seconds of a sweep's earlier starts",
    "ran": "seconds of a sweep's run",
    "prepared": "seconds of a sweep's preparation",
    "tries": "how often a sweep began with a run",
    "pid": "the process of a sweep's point",
    "written": "when environment.json was written",
    "git": "the commit, and whether files were edited meanwhile (environment.json)",
}
CHECKPOINTS = ("checkpoints/best.pt", "checkpoints/last.pt")


def snapshot(place: Path) -> dict[str, object]:
    """Path below `place` -> content to be compared, of every file and empty folder."""
    found: dict[str, object] = {}
    for path in sorted(Path(place).rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.is_file():
            found[name] = content(path)
        elif path.is_dir() and not any(path.iterdir()):
            found[f"{name}/"] = "an empty folder"
    return found


def content(path: Path) -> object:
    """What counts of a file."""
    readers = {".pt": _checkpoint, ".json": _json, ".ipynb": _notebook, ".log": _present}
    names = {"history.csv": _history, "report.html": _report}
    names |= {
        "sweep.csv": _history,
        "sweep.html": _report,
        "data_report.html": _report,
        "made_from.txt": _made_from,
        ".lock": _present,
    }
    if path.name.startswith("code_digest.") and path.suffix == ".json":
        return _digests(path)
    reader = names.get(path.name) or readers.get(path.suffix) or _digest
    return reader(path)


def differences(now: dict[str, object], right: dict[str, object]) -> list[str]:
    """A line for each file that only one of two snapshots has, or that differs."""
    lines = []
    for name in sorted({*now, *right}):
        if name not in right:
            lines.append(f"{name}: left over")
        elif name not in now:
            lines.append(f"{name}: not there")
        elif now[name] != right[name]:
            lines.append(f"{name}: differs ({_where(now[name], right[name])})")
    return lines


def _where(now: object, right: object) -> str:
    """The first place at which two contents differ."""
    if isinstance(now, dict) and isinstance(right, dict):
        for key in [*right, *now]:
            if now.get(key) != right.get(key):
                return f"{key}: {_where(now.get(key), right.get(key))}"
    if isinstance(now, list) and isinstance(right, list) and len(now) == len(right):
        number = next(k for k in range(len(now)) if now[k] != right[k])
        return f"{number}: {_where(now[number], right[number])}"
    return f"{str(now)[:80]} instead of {str(right)[:80]}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _present(path: Path) -> str:
    return "there"


def lasting(value: object) -> object:
    """JSON or a checkpoint without what is volatile; tensors as digests."""
    if isinstance(value, dict):
        kept = {str(key): each for key, each in value.items() if key not in VOLATILE}
        return {
            key: "a checkpoint" if key.endswith(CHECKPOINTS) else lasting(each)
            for key, each in kept.items()
        }
    if isinstance(value, list | tuple):
        return [lasting(each) for each in value]
    if isinstance(value, torch.Tensor):
        told = f"{value.dtype} {tuple(value.shape)} ".encode()
        return hashlib.sha256(told + value.contiguous().numpy().tobytes()).hexdigest()
    return value


def _json(path: Path) -> object:
    return lasting(json.loads(path.read_bytes()))


def _digests(path: Path) -> dict:
    """What is kept of the sources: all but what tells one state of a file from another."""
    told = json.loads(path.read_bytes())["files"]
    return {name: found for name, (_, *found) in told.items()}


def _checkpoint(path: Path) -> object:
    return lasting(torch.load(path, map_location="cpu", weights_only=True))


def _history(path: Path) -> list[dict]:
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return [lasting(row) for row in rows]


def _notebook(path: Path) -> list:
    """Cells of an executed notebook, with how each ended; its outputs tell what was there already
    and how long it took.
    """
    told = json.loads(path.read_bytes())
    cells = [
        ["".join(cell["source"]), cell["metadata"].get("papermill", {}).get("status", "")]
        for cell in told["cells"]
    ]
    return [*cells, told["metadata"].get("papermill", {}).get("exception")]


def _report(path: Path) -> list[str]:
    return re.findall(r"<h[12][^>]*>.*?</h[12]>", path.read_text(encoding="utf-8"), re.DOTALL)


def _made_from(path: Path) -> str:
    return re.sub(r"SHA-256 \w+, size \d+", "", path.read_text(encoding="utf-8"))
