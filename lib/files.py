"""Files: paths of the repository, safe names, atomic writes."""

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
COMMAND = f"python -m {PACKAGE.name}"  # name in a checkout; an installed package has another name
# Environment variable of a notebook that the runner executes: the folder of the executed copy.
EXECUTED_IN = "NOTEBOOK_EXECUTED_IN"
NOTEBOOKS = (
    "01_download_check",
    "02_preprocess_visual",
    "03_preprocess_audio",
    "04_preprocess_labels",
    "05_train",
    "06_inference",
)
YOUR_VIDEO = "your_video"  # besides the six: for a recording that belongs to no data set

# Names that Windows, macOS or Linux forbids for a file or folder (Microsoft, "Naming Files, Paths,
# and Namespaces"): with these characters, a device's name, a dot or space at the end.
ILLEGAL = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)
MAX_NAME_BYTES = 180  # bytes of a name; 255 are allowed, suffixes need the rest
JSON_BYTES = 1 << 28  # bytes of a JSON file of ours: records of a hundred thousand files have 20 MB
NAME_BYTES = 255  # of a file's name, on every file system in use
REPLACED = 1000  # attempts to read a file that is replaced meanwhile
T = TypeVar("T")


def short(path: Path) -> str:
    path = Path(path).absolute()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def resolve(text: str | Path) -> Path:
    """A path as parameters mean it: relative to the repository root, ``~`` is the home folder."""
    return ROOT / expanded(text)


def expanded(text: str | Path) -> Path:
    """A path whose ``~`` and ``~name`` are home folders; a name that only begins with ~, such as
    ``~draft.mp4``, is unchanged (`Path.expanduser` would stop there).
    """
    return Path(os.path.expanduser(text))


def file_in_place_of(folder: Path) -> Path | None:
    """The file that lies where a folder, or one that it is in, would have to be; None for none."""
    return next((place for place in (folder, *folder.parents) if place.is_file()), None)


def weights_file(text: str, runs_root: Path) -> Path:
    """The file that a parameter such as `backbone_run` names: a run's best checkpoint, or a weights
    file.

    A run's name may look like a file (tsav_lr1.5), so both are tried; the run's path is returned
    when neither exists.
    """
    best = Path(runs_root) / text / "checkpoints" / "best.pt"
    file = resolve(text)
    return file if file.is_file() and not best.is_file() else best


def checkpoint(text: str, runs_root: Path, file: str = "") -> Path:
    """Like `weights_file`. Raises InputError when the file does not exist.

    file : the parameter file of the run if known; otherwise one with the run's name is looked for.
    """
    path = weights_file(text, runs_root)
    if not path.is_file():
        file = file or f"params/{text}.yaml"
        command = f"python -m lib run {file}" if (ROOT / file).is_file() else ""
        todo = f"run notebooks/{NOTEBOOKS[4]}.ipynb" + (
            f" first, or `{command}`" if command else " first"
        )
        raise InputError(
            f"there is neither a trained run nor a weights file called {text}",
            where=path,
            todo=f"{todo}; or correct the name",
        )
    return path


def folded(name: str) -> str:
    """A name in a form that is equal on all systems: without capitals, Unicode composed."""
    return unicodedata.normalize("NFC", name).casefold()


def safe_name(text: str) -> str:
    """A safe file name for a text of unknown origin: the name of a person, trial, video, run or
    clip.

    A text that is allowed as a name on every system is unchanged. Otherwise forbidden characters
    become ``_``, and eight hex digits of the text's SHA-256 follow, so that two texts never share a
    name. The name never leads out of its folder, does not begin with a dot, and has at most
    `MAX_NAME_BYTES` bytes.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    most = len(encoded) if len(encoded) <= MAX_NAME_BYTES else MAX_NAME_BYTES - len("_~01234567")
    name = ILLEGAL.sub("_", encoded[:most].decode("utf-8", "ignore")).rstrip(". ")
    if name.startswith(".") or not name or DEVICE.match(name):
        name = f"_{name.lstrip('.')}"
    if name == text:
        return text
    return f"{name}~{hashlib.sha256(encoded).hexdigest()[:8]}"


def named(folder: Path | str, text: str, suffix: str = "") -> Path:
    """``<folder>/<text><suffix>`` for a text of unknown origin; see `safe_name`."""
    return Path(folder) / f"{safe_name(text)}{suffix}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something below a folder: `path` relative to it, with ``/``; `size` in bytes.

    kind : "file"; "folder" for one that was not entered; "link" for one that cannot be followed;
        "other" for anything else (a pipe, a socket, a device) or if it cannot be read.
    why : the reason, if it is no file. target : the file (device and number) behind a link.
    """

    path: str
    size: int = 0
    kind: str = "file"
    why: str = ""
    target: tuple[int, int] | None = None


PROGRAM_OUTPUT = "output of this program"


def is_ours(names: Collection[str]) -> bool:
    """Whether a folder with these entries is a result of this program: a data set's arrays, a run,
    clips, predictions of a single video.
    """
    run = {"environment.json", "metrics.json", "steps", "predictions"}
    return (
        "trials.parquet" in names
        or ("params.yaml" in names and not run.isdisjoint(names))
        or ("dataset.json" in names and "train.jsonl" in names)
        or any(f"{notebook}.ipynb" in names for notebook in (*NOTEBOOKS, YOUR_VIDEO))
    )


def walk(root: Path, closed: Callable[[str], str] = lambda path: "") -> Iterator[Entry]:
    """Everything below a folder. Linked folders are followed, after all others; loops and folders
    that were read already are not.

    closed : function of a folder's relative path that says why it is not entered, "" if it is.
        Results of this program (`is_ours`) are never entered. An unreadable folder is an entry that
        says why.
    """
    root = os.path.realpath(root)
    seen: dict[tuple[int, int], str] = {}
    links: list[tuple[str, str]] = []
    waiting = [(root, "")]
    while waiting or links:
        if not waiting:
            waiting.append(links.pop(0))
        folder, path = waiting.pop()
        try:
            status = os.stat(folder)
        except OSError as error:  # it was removed after its parent folder was read
            yield Entry(path, 0, "other", f"this folder cannot be read ({error.strerror})")
            continue
        first = seen.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            why = f"the same folder as {first or 'the data root'}, which is read already"
            yield Entry(path, 0, "link", why)
        elif path and Path(root).is_relative_to(os.path.realpath(folder)):
            yield Entry(path, 0, "link", "a link to a folder that this one lies in: a loop")
        else:
            yield from _inside(folder, path, closed, waiting, links)


def _inside(
    folder: str, path: str, closed: Callable[[str], str], waiting: list, links: list
) -> Iterator[Entry]:
    """Entries of one folder; its subfolders are added to `waiting`, links to folders to `links`."""
    try:
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Entry(path, 0, "other", f"this folder cannot be read ({error.strerror})")
        return
    if path and is_ours({entry.name for entry in children}):
        yield Entry(path, 0, "folder", PROGRAM_OUTPUT)
        return
    folders = []
    for entry in children:
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
    except OSError:  # a link to itself, or an unmounted disk
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
    """The target of a link; nothing if the link has been removed."""
    try:
        return os.readlink(entry.path)
    except OSError:
        return "(the link itself is gone by now)"


def existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent, which is on the disk where the folder will be."""
    return next(path for path in (Path(folder), *Path(folder).parents) if path.is_dir())


def create_folder(folder: Path) -> None:
    """Create a folder, and those that it lies in, unless it exists. Raises InputError where that is
    not possible.
    """
    with explain_full_disk(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # below /proc, or where an automounter has no disk
            raise InputError(
                "no folder can be created here",
                where=folder,
                expected="a folder on a disk that is there",
                todo="correct the path, or mount the disk",
            ) from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Atomic write: yields a temporary name beside `path`, which replaces `path` if the block ends
    without an error, so that an existing file is always whole.

    The folder is created. Raises InputError when the disk is full.
    """
    create_folder(path.parent)
    with explain_full_disk(path), temporary_name(path) as temporary:
        yield temporary
        temporary.replace(path)


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file atomically (`whole`)."""
    path = Path(path)
    with whole(path) as temporary:
        temporary.write_bytes(content)
    return path


def write_text(path: Path, text: str) -> Path:
    """`write_bytes` of a text as UTF-8 with Unix line ends on every system."""
    return write_bytes(path, text.encode("utf-8"))


def says(path: Path, text: str) -> bool:
    """Whether a file exists and holds exactly this text, as `write_text` writes it."""
    return path.is_file() and path.read_bytes() == text.encode("utf-8")


# Four hex digits for this machine: a process number is valid on one machine only.
MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:4]


@contextlib.contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """Yields a name beside `path` for an unfinished file, which is removed afterwards. No other
    process, thread or machine uses the same name.
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
    """Yields a temporary folder in `parent` (which is created), and removes it afterwards; a folder
    of the same name that a killed process left is removed first.
    """
    create_folder(parent)
    clear_leftovers(parent, f".{name}.*.part", deep=False)
    with temporary_name(parent / name) as folder:
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


LEFTOVER = re.compile(r"\..*\.(\d+)-([0-9a-f]{4})[0-9a-f]{8}\.part")  # the form of `temporary_name`


def clear_leftovers(folder: Path, pattern: str = ".*.part", deep: bool = True) -> None:
    """Remove the unfinished files and folders (`temporary_name`) that killed processes left.

    Files of running processes are kept, and those of other machines that share the folder, since it
    is unknown whether their processes run. pattern : of the names. deep : whether to search
    subfolders, too.
    """
    paths = Path(folder).rglob(pattern) if deep else Path(folder).glob(pattern)
    for path in list(paths):
        match = LEFTOVER.fullmatch(path.name)
        if match and match[2] == MACHINE and not _runs(int(match[1])):
            with contextlib.suppress(OSError):  # removed by another process, or not permitted
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _runs(pid: int) -> bool:
    """Whether a process with this number runs on this machine; True if that cannot be found out."""
    if os.name != "posix":  # on Windows os.kill ends a process, whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def version(path: Path) -> tuple[int, int, int]:
    """What distinguishes a file from another one that replaced it: inode, size, time."""
    status = Path(path).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def while_unchanged(path: Path, read: Callable[[], T]) -> T:
    """Call `read()`, and again if another process replaced the file meanwhile: a reader that opens
    a file twice would mix the old file with the new one. Raises what `read` raises for an unchanged
    file, and InputError for a file that is replaced again and again.
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


# ---- our own files, which may be damaged
REMEDY = "bring back a copy of it, or remove it and type the same command again"


def read_json(path: Path, todo: str = REMEDY, most: int = JSON_BYTES) -> object:
    """The content of a JSON file. Raises InputError with file, reason and remedy (`todo`) for a
    file that is damaged, nested too deeply, or larger than `most` bytes.
    """
    try:
        size = Path(path).stat().st_size
        if size > most:
            raise ValueError(f"{size / 1e6:.0f} MB, at most {most / 1e6:.0f} MB are read")
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error, todo) from error


def read_mapping(path: Path, todo: str = REMEDY, most: int = JSON_BYTES) -> dict:
    """`read_json` for a file that must hold a JSON object."""
    value = read_json(path, todo, most)
    if not isinstance(value, dict):
        raise damaged(path, f"it holds {type(value).__name__}, no object", todo)
    return value


def damaged(path: Path, reason: object, todo: str = REMEDY) -> InputError:
    """The error for a damaged file of ours; if `reason` is that too many files are open, it says
    that instead.
    """
    if input_error := too_many_open(reason, path):
        return input_error
    text = " ".join(str(reason).split()) or type(reason).__name__
    return InputError(
        f"{Path(path).name} is damaged: {text[:200]}",
        where=path,
        expected="the file as it was written",
        todo=todo,
    )
