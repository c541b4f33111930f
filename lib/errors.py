"""The one exception for bad input: what was found, where, what was expected, what to do."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path


class InputError(ValueError):
    """Input that a person can mend: a file, a parameter, a data set.

    Arguments
    ---------
    what : what was found ("no sound track").
    where : file, trial, line or frame.
    expected : what a right input would be.
    todo : the command or edit that mends it.
    """

    def __init__(self, what: str, *, where: object = "", expected: str = "", todo: str = ""):
        self.what, self.where, self.expected, self.todo = what, str(where), expected, todo
        self.traceback = (
            ""  # as text, for failures.csv: `cluster.map` fills it where the error was raised
        )
        self.cause = ""  # "disk" where the machine is at fault and not the input (`full_disk`)
        super().__init__(what)

    def __str__(self) -> str:
        rows = [("where", self.where), ("expected", self.expected), ("what to do", self.todo)]
        return "\n  ".join([self.what, *(f"{name}: {text}" for name, text in rows if text)])

    def __reduce__(self):
        # Exceptions cross process borders by pickling; the default would drop the keyword
        # arguments.
        return _rebuild, (self.what, self.where, self.expected, self.todo), self.__dict__


def _rebuild(what: str, where: str, expected: str, todo: str) -> InputError:
    return InputError(what, where=where, expected=expected, todo=todo)


def full_disk(where: object = "", free: str = "") -> InputError:
    """The error of a full disk, for every place that can meet one: a sweep tries such a point
    again.
    """
    error = InputError(
        f"no space left on the device{free}",
        where=where,
        todo="free some space (`python -m lib store ls` shows what lies in the store) and start "
        "again: "
        "what was finished is kept",
    )
    error.cause = "disk"
    return error


@contextlib.contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """Turn "no space left on device", and a place that may not be written, into an InputError that
    says what to do.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise InputError(
                f"this place cannot be written ({error.strerror})",
                where=path,
                expected="a folder of yours",
                todo="set runs_root, processed_root "
                "and, for the sample set, data_root to folders that you may write, for example "
                "with "
                "-p runs_root /home/me/runs",
            ) from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = next(folder for folder in Path(path).absolute().parents if folder.exists())
        free = shutil.disk_usage(place).free / 1e9
        raise full_disk(path, f" ({free:.1f} GB free)") from error
