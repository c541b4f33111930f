"""Files of the repository: where they lie, names for people, writing whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .errors import InputError, explain_full_disk, too_many_open

PACKAGE = Path(__file__).resolve().parent  # this package, called lib in a checkout
ROOT = PACKAGE.parent
COMMAND = f"python -m {PACKAGE.name}"  # in a checkout; installed it bears another name
NOTEBOOKS = (
    "01_download_check",
    "02_preprocess_visual",
    "03_preprocess_audio",
    "04_preprocess_labels",
    "05_train",
    "06_inference",
)
YOUR_VIDEO = "your_video"  # beside the six: a recording that belongs to no data set

# What a file or folder may not be called on one of Windows, macOS and Linux (Microsoft, "Naming
# Files, Paths, and Namespaces"): these signs, a device's name, a dot or a blank at the end.
ILLEGAL = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)
LONGEST = 180  # bytes of a name of 255, so that endings and the mark of an unfinished file fit
JSON_BYTES = 1 << 28  # of a JSON file of ours: records of a hundred thousand files have 20 MB
NAME_BYTES = 255  # of a file's name, on every file system in use
REPLACED = 1000  # times that a file may be replaced while it is read
T = TypeVar("T")


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


def checkpoint(text: str, runs_root: Path, file: str = "") -> Path:
    """Like `weights_file`. Raises InputError when the file does not exist.

    file : the parameter file of the run, where it is known; else one of its name is looked for.
    """
    place = weights_file(text, runs_root)
    if not place.is_file():
        file = file or f"params/{text}.yaml"
        named = f"python -m lib run {file}" if (ROOT / file).is_file() else ""
        todo = f"run notebooks/{NOTEBOOKS[4]}.ipynb" + (
            f" first, or `{named}`" if named else " first"
        )
        raise InputError(
            f"there is neither a trained run nor a weights file called {text}",
            where=place,
            todo=f"{todo}; or correct the name",
        )
    return place


def folded(name: str) -> str:
    """A name without what two systems write differently: capitals, decomposed signs."""
    return unicodedata.normalize("NFC", name).casefold()


def safe_name(text: str) -> str:
    """The name of a file or folder that stands for a text of a stranger: a person, trial, video,
    run or clip.

    A text that may be a name everywhere stays as it is. Otherwise what may not stand in a name
    becomes ``_``, and eight hex digits of the text's SHA-256 follow, so that two texts never share
    a name. The name never leads out of its folder, begins with no dot, has at most `LONGEST` bytes.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    most = len(encoded) if len(encoded) <= LONGEST else LONGEST - len("_~01234567")
    name = ILLEGAL.sub("_", encoded[:most].decode("utf-8", "ignore")).rstrip(". ")
    if name.startswith(".") or not name or DEVICE.match(name):
        name = f"_{name.lstrip('.')}"
    if name == text:
        return text
    return f"{name}~{hashlib.sha256(encoded).hexdigest()[:8]}"


def named(folder: Path | str, text: str, suffix: str = "") -> Path:
    """``<folder>/<text><suffix>``, where the text comes from any file; see `safe_name`."""
    return Path(folder) / f"{safe_name(text)}{suffix}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something below a folder: `path` relative to it, with ``/``; `size` in bytes.

    kind : "file"; "folder" for one that was not entered; "link" for one that cannot be followed;
        "other" for what is neither (a pipe, a socket, a device) or cannot be looked at.
    why : the reason, where it is no file. target : the file (device and number) behind a link.
    """

    path: str
    size: int = 0
    kind: str = "file"
    why: str = ""
    target: tuple[int, int] | None = None


OURS = "output of this program"


def is_ours(names: Collection[str]) -> bool:
    """Whether a folder that holds these names is a result of this program: a data set's arrays, a
    run, clips, what was predicted of a single video.
    """
    run = {"environment.json", "metrics.json", "steps", "predictions"}
    return (
        "trials.parquet" in names
        or ("params.yaml" in names and not run.isdisjoint(names))
        or ("dataset.json" in names and "train.jsonl" in names)
        or any(f"{notebook}.ipynb" in names for notebook in (*NOTEBOOKS, YOUR_VIDEO))
    )


def walk(root: Path, closed: Callable[[str], str] = lambda path: "") -> Iterator[Entry]:
    """Everything below a folder. Folders that are links are followed, after all others; loops and
    what was read already are not.

    closed : of a folder's relative path, why it is not entered; "" where it is. Results of this
        program (`is_ours`) are never entered. What cannot be read is an entry that says why.
    """
    root = os.path.realpath(root)
    seen: dict[tuple[int, int], str] = {}
    links: list[tuple[str, str]] = []
    waiting = [(root, "")]
    while waiting or links:
        if not waiting:
            waiting.append(links.pop(0))
        place, path = waiting.pop()
        try:
            status = os.stat(place)
        except OSError as error:  # it is gone since its own folder was read
            yield Entry(path, 0, "other", f"this folder cannot be read ({error.strerror})")
            continue
        first = seen.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            why = f"the same folder as {first or 'the data root'}, which is read already"
            yield Entry(path, 0, "link", why)
        elif path and Path(root).is_relative_to(os.path.realpath(place)):
            yield Entry(path, 0, "link", "a link to a folder that this one lies in: a loop")
        else:
            yield from _inside(place, path, closed, waiting, links)


def _inside(
    place: str, path: str, closed: Callable[[str], str], waiting: list, links: list
) -> Iterator[Entry]:
    """Entries of one folder; folders in it are added to `waiting`, links to them to `links`."""
    try:
        with os.scandir(place) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Entry(path, 0, "other", f"this folder cannot be read ({error.strerror})")
        return
    if path and is_ours({entry.name for entry in found}):
        yield Entry(path, 0, "folder", OURS)
        return
    folders = []
    for entry in found:
        inside = f"{path}/{entry.name}" if path else entry.name
        linked = entry.is_symlink()
        if _is_folder(entry):
            if why := closed(inside):
                yield Entry(inside, 0, "folder", why)
            else:
                (links if linked else folders).append((entry.path, inside))
        else:
            yield _file(entry, inside, linked)
    waiting += reversed(folders)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, a disk that is gone
        return False


def _file(entry: os.DirEntry, path: str, linked: bool) -> Entry:
    try:
        status = entry.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Entry(path, 0, "link", "a link that leads to itself")
        if linked and error.errno == errno.ENOENT:
            return Entry(path, 0, "link", f"a link to what is not there: {_target(entry)}")
        return Entry(path, 0, "other", f"cannot be looked at ({error.strerror})")
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        what = kinds.get(stat.S_IFMT(status.st_mode), "a device")
        return Entry(path, 0, "other", f"{what}, no file")
    target = (status.st_dev, status.st_ino) if linked else None
    return Entry(path, status.st_size, target=target)


def _target(entry: os.DirEntry) -> str:
    """Where a link leads; nothing of one that is gone by now."""
    try:
        return os.readlink(entry.path)
    except OSError:
        return "(the link itself is gone by now)"


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists: on the disk where it will lie."""
    return next(path for path in (Path(folder), *Path(folder).parents) if path.is_dir())


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what was written under it takes the place of `path` when
    nothing went wrong: a file that exists is whole.

    Its folder is made. Raises InputError when the disk is full.
    """
    with explain_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_name(path) as temporary:
            yield temporary
            temporary.replace(path)


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file that is whole as soon as it exists (`whole`)."""
    path = Path(path)
    with whole(path) as temporary:
        temporary.write_bytes(content)
    return path


def write_text(path: Path, text: str) -> Path:
    """`write_bytes` of UTF-8 with Unix line ends on every system."""
    return write_bytes(path, text.encode("utf-8"))


def says(path: Path, text: str) -> bool:
    """Whether a file is there and holds exactly this text, as `write_text` writes it."""
    return path.is_file() and path.read_bytes() == text.encode("utf-8")


# Four digits of this machine's name: a process number means something on one machine only.
MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:4]


@contextlib.contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """A name beside `path` for a file that is not whole yet; nothing of that name is left
    afterwards. No other process, thread or machine has the same one.
    """
    ending = f".{os.getpid()}-{MACHINE}{secrets.token_hex(4)}.part"
    kept = path.name.encode()[: NAME_BYTES - len(ending) - 1].decode(errors="ignore")
    temporary = path.with_name(f".{kept}{ending}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder in `parent`, which is made, that is gone afterwards; one of the same name that a
    killed process left there is removed first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(parent, f".{name}.*.part", deep=False)
    with temporary_name(parent / name) as folder:
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


LEFTOVER = re.compile(r"\..*\.(\d+)-([0-9a-f]{4})[0-9a-f]{8}\.part")  # what `temporary_name` gives


def clear_leftovers(folder: Path, pattern: str = ".*.part", deep: bool = True) -> None:
    """Remove the unfinished files and folders (`temporary_name`) that killed processes left.

    Those of a process that runs stay, and those of other machines that share the folder: whether
    their processes run cannot be asked from here. pattern : of the names. deep : whether the
    folders below are looked through, too.
    """
    paths = Path(folder).rglob(pattern) if deep else Path(folder).glob(pattern)
    for path in list(paths):
        match = LEFTOVER.fullmatch(path.name)
        if match and match[2] == MACHINE and not _runs(int(match[1])):
            with contextlib.suppress(OSError):  # somebody else removes it, or it may not be
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _runs(pid: int) -> bool:
    """Whether a process of this number runs on this machine; True where that cannot be asked."""
    if os.name != "posix":  # elsewhere os.kill ends it, whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def version(path: Path) -> tuple[int, int, int]:
    """What tells a file from another one that took its name: inode, size, time."""
    status = Path(path).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def while_unchanged(path: Path, read: Callable[[], T]) -> T:
    """`read()`, again as long as another process replaces the file meanwhile: who opens a file
    twice would mix the one before with the one after. Raises what `read` raises for a file that
    stayed, InputError for one that is replaced again and again.
    """
    for _ in range(REPLACED):
        before = version(path)
        try:
            value = read()
        except Exception:
            if version(path) == before:
                raise
            continue
        if version(path) == before:
            return value
    raise InputError(
        "the file is replaced by another process, again and again",
        where=path,
        expected="a file that stays while it is read",
        todo="wait for the other process, then type the same command again",
    )


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
    """The error of a file of ours that is not as it was written; where `reason` is that no further
    file may be opened, that is told.
    """
    if told := too_many_open(reason, path):
        return told
    text = " ".join(str(reason).split()) or type(reason).__name__
    return InputError(
        f"{Path(path).name} is damaged: {text[:200]}",
        where=path,
        expected="the file as it was written",
        todo=todo,
    )
