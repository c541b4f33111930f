"""Files of the repository: where they lie, names for people, writing whole or not at all."""

from __future__ import annotations

import contextlib
import os
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
    afterwards.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
