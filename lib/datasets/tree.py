"""Find things in a data set as people store it: folder names without regard to case, videos, lists
of names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import InputError
from ..labels.official import read_text
from ..media.kinds import VIDEO_SUFFIXES
from .report import Report

NAME_SUFFIXES = (*VIDEO_SUFFIXES, ".txt", ".csv")


def subfolders(folder: Path) -> dict[str, list[Path]]:
    """Name in lower case -> the folders of that name (several on a case-sensitive system)."""
    by_name: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir():
            by_name.setdefault(path.name.lower(), []).append(path)
    return by_name


def named(folders: Iterable[Path], names: Iterable[str]) -> list[Path]:
    """Folders inside `folders` with one of the names, in the order of the names."""
    inside = [subfolders(folder) for folder in folders]
    return [path for name in names for by_name in inside for path in by_name.get(name, [])]


def inside(folder: Path, report: Report) -> list[Path]:
    """The entries of a folder, sorted, without hidden files (macOS leaves some beside every file
    that it unpacks).
    """
    usable = []
    for path in sorted(folder.iterdir()):
        try:
            path.name.encode()
        except UnicodeEncodeError:
            report.error(
                ascii(path.name),
                "its name is no UTF-8 and cannot be written into a table",
                "left out",
                where=str(folder),
                expected="a file name in UTF-8",
                todo="rename it",
            )
            continue
        if path.name.startswith("."):
            continue
        usable.append(path)
        known = {row["where"] for row in report.problems}  # the inventory may have reported it
        if path.is_symlink() and not path.exists() and str(path) not in known:
            report.error(
                path.name,
                f"a link to what is not there, or to itself: {path.readlink()}",
                "left out",
                where=str(path),
                expected="a file or folder",
                todo="mend or remove the link",
            )
    return usable


def files(folder: Path, suffixes: tuple[str, ...], report: Report) -> list[Path]:
    """Files of a folder with one of the suffixes, in lower or upper case."""
    return [
        path
        for path in inside(folder, report)
        if path.suffix.lower() in suffixes and path.is_file()
    ]


def videos(
    folders: Iterable[Path], report: Report, suffixes: tuple[str, ...] = VIDEO_SUFFIXES
) -> dict[str, Path]:
    """Stem -> video file in several folders; the first file of a name counts, a second one of
    another size is an error.
    """
    paths: dict[str, Path] = {}
    for path in (path for folder in folders for path in files(folder, suffixes, report)):
        first = paths.setdefault(path.stem, path)
        if first is not path:
            same = path.stat().st_size == first.stat().st_size
            (report.warning if same else report.error)(
                path.stem,
                f"two {'copies of one video' if same else 'videos of one name'}",
                "first one used",
                where=f"{first}, {path}",
                todo="remove or rename one of them",
            )
    return paths


def name_in_list(line: str) -> str:
    """The trial that a line of a list means: ``1-30.mp4``, ``batch1/1-30.mp4`` and ``1-30`` ->
    ``1-30``.

    Raises InputError for a line that would lead out of the data root.
    """
    posix, windows = PurePosixPath(line), PureWindowsPath(line)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise InputError(
            f"a path that leaves the data root: {line[:120]!r}",
            expected="the name of a trial",
            todo="correct or remove that line",
        )
    suffix = windows.suffix
    return windows.name.removesuffix(suffix) if suffix.lower() in NAME_SUFFIXES else windows.name


def names_of_list(path: Path, report: Report) -> set[str]:
    """Trials that a text list names, one per line; an unusable line or file is reported."""
    names = set()
    try:
        lines = read_text(path).split("\n")
    except InputError as error:
        report.error(
            path.name,
            f"the test list cannot be read ({error.what})",
            "left out",
            where=str(path),
            expected="a text file with the name of a trial in every line",
            todo="fetch it again",
        )
        return names
    for number, line in enumerate(map(str.strip, lines), start=1):
        try:
            names |= {name_in_list(line)} if line else set()
        except InputError as error:
            report.error(
                path.name,
                error.what,
                "the line is left out",
                where=f"{path}:{number}",
                expected=error.expected,
                todo=error.todo,
            )
    return names
