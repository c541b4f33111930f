"""Files of the repository: where they lie, names for people, writing whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError, explain_full_disk

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = (
    "01_download_check",
    "02_preprocess_visual",
    "03_preprocess_audio",
    "04_preprocess_labels",
    "05_train",
    "06_inference",
)
YOUR_VIDEO = "your_video"  # beside the six: a recording that belongs to no data set

JSON_BYTES = 1 << 28  # of a JSON file of ours: records of a hundred thousand files have 20 MB
NAME_BYTES = 255  # of a file's name, on every file system in use


def short(path: Path) -> str:
    path = Path(path).absolute()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def resolve(text: str | Path) -> Path:
    """A path as parameters mean it: relative to the repository root, ``~`` is the home folder."""
    return ROOT / Path(text).expanduser()


def weights_file(text: str, runs_root: Path) -> Path:
    """The file that a parameter such as `backbone_run` names: a run's best checkpoint, or a weights
    file as it is.

    Only what is there can tell which: a run may be called tsav_lr1.5. Where neither is, the place
    of the run's one.
    """
    best = Path(runs_root) / text / "checkpoints" / "best.pt"
    file = ROOT / Path(text).expanduser()
    return file if file.is_file() and not best.is_file() else best


def checkpoint(text: str, runs_root: Path) -> Path:
    """Like `weights_file`. Raises InputError when the file does not exist."""
    place = weights_file(text, runs_root)
    if not place.is_file():
        raise InputError(
            f"there is neither a trained run nor a weights file called {text}",
            where=place,
            todo=f"train it first: `python -m lib run params/{text}.yaml`, or correct the name",
        )
    return place


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file under a temporary name beside it, then rename it: a file that exists is whole.

    Its folder is made. Raises InputError when the disk is full.
    """
    path = Path(path)
    with explain_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_name(path) as temporary:
            temporary.write_bytes(content)
            temporary.replace(path)
    return path


def write_text(path: Path, text: str) -> Path:
    """`write_bytes` of UTF-8 with Unix line ends on every system."""
    return write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """A name beside `path` for a file that is not whole yet; nothing of that name is left
    afterwards. No other process, thread or machine has the same one.
    """
    ending = f".{os.getpid()}-{secrets.token_hex(4)}.part"
    kept = path.name.encode()[: NAME_BYTES - len(ending) - 1].decode(errors="ignore")
    temporary = path.with_name(f".{kept}{ending}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


# ---- our own files, whatever became of them
AGAIN = "bring back a copy of it, or remove it and type the same command again"


def read_json(path: Path, todo: str = AGAIN, most: int = JSON_BYTES) -> object:
    """What a JSON file says. Raises InputError with the file, the reason and the way out (`todo`)
    for one that is damaged, nested without end, or larger than `most` bytes.
    """
    try:
        size = Path(path).stat().st_size
        if size > most:
            raise ValueError(f"{size / 1e6:.0f} MB, at most {most / 1e6:.0f} MB are read")
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error, todo) from error


def read_mapping(path: Path, todo: str = AGAIN, most: int = JSON_BYTES) -> dict:
    """`read_json`, where the file must hold a JSON object."""
    value = read_json(path, todo, most)
    if not isinstance(value, dict):
        raise damaged(path, f"it holds {type(value).__name__}, no object", todo)
    return value


def damaged(path: Path, reason: object, todo: str = AGAIN) -> InputError:
    """The error of a file of ours that is not as it was written."""
    text = " ".join(str(reason).split()) or type(reason).__name__
    return InputError(
        f"{Path(path).name} is damaged: {text[:200]}",
        where=path,
        expected="the file as it was written",
        todo=todo,
    )
