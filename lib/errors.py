"""The one exception for bad input: what was found, where, what was expected, what to do; and the
exit statuses of commands.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

# Exit status of a command: all done, something failed, wrong parameters and nothing started, done
# but something was lost, to be continued (EX_TEMPFAIL), interrupted (128 + SIGINT).
EXIT_DONE, EXIT_FAILED, EXIT_WRONG, EXIT_LOST, EXIT_CONTINUE, EXIT_INTERRUPTED = 0, 1, 2, 3, 75, 130

ANSI_RED, ANSI_RESET = "\x1b[31m", "\x1b[0m"

# Function that stores the traceback of an error that stops a notebook (`runs.start` writes it to
# failures.csv).
_keep: list[Callable[[InputError], object]] = []


def keep_frames(keep: Callable[[InputError], object]) -> None:
    """Register `keep`, which is called with the InputError that stops a notebook; the last one
    registered counts.
    """
    _keep[:] = [keep]


class InputError(ValueError):
    """Wrong input that a person can correct: a file, a parameter, a data set.

    Arguments
    ---------
    what : what was found ("no sound track").
    where : file, trial, line or frame.
    expected : what correct input looks like.
    todo : the command or edit that corrects it.
    """

    def __init__(self, what: str, *, where: object = "", expected: str = "", todo: str = ""):
        self.what, self.where, self.expected, self.todo = what, str(where), expected, todo
        # as text, for failures.csv; `mapping.map` fills it in the process that raised the error
        self.traceback = ""
        # "disk" or "gpu" if the machine is at fault and not the input (`full_disk`, `full_gpu`).
        self.cause = ""
        super().__init__(what)

    def __str__(self) -> str:
        rows = [("where", self.where), ("expected", self.expected), ("what to do", self.todo)]
        return "\n  ".join([self.what, *(f"{name}: {text}" for name, text in rows if text)])

    def _render_traceback_(self) -> list[str]:
        """What IPython shows, also under papermill: only the message, in red. The traceback does
        not help a person who has to correct a file; it goes to the function of `keep_frames`.
        """
        for keep in _keep:
            with contextlib.suppress(OSError):  # even with a full disk the message is shown
                keep(self)
        return [f"{ANSI_RED}{line}{ANSI_RESET}" for line in str(self).splitlines()]

    def __reduce__(self):
        # Exceptions cross processes by pickling; the default would drop the keyword arguments.
        return _rebuild, (self.what, self.where, self.expected, self.todo), self.__dict__


def _rebuild(what: str, where: str, expected: str, todo: str) -> InputError:
    return InputError(what, where=where, expected=expected, todo=todo)


def full_disk(where: object = "", free: str = "") -> InputError:
    """The error of a full disk, wherever it occurs: a sweep tries such a point again."""
    error = InputError(
        f"no space left on the device{free}",
        where=where,
        todo="free some space (`python -m lib store ls` shows what lies in the store) and start "
        "again: "
        "what was finished is kept",
    )
    error.cause = "disk"
    return error


def full_gpu(message: str = "") -> InputError:
    """The error of a GPU whose memory cannot hold even one item; it ends the work, since no file
    causes it.

    message : what the driver says.
    """
    error = InputError(
        f"the GPU's memory is full ({message.split('. ')[0]})",
        where="the GPU",
        expected="memory for the network and one item (docs/gpu.md)",
        todo="end other programs on that GPU (`nvidia-smi`), choose smaller faces (face_size) or a "
        "narrower network (width), or `device: cpu`; what was finished is kept",
    )
    error.cause = "gpu"
    return error


FULL_DISK = (errno.ENOSPC, errno.EDQUOT)  # of the disk, or of a person's quota
NO_FOLDER = (errno.EEXIST, errno.ENOTDIR)  # of a folder that is to be made
TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)  # of this process, or of the whole system


def too_many_open(error: object, where: object = "") -> InputError | None:
    """The InputError for an error that says only that no further file may be opened; None for any
    other error.
    """
    if not isinstance(error, OSError) or error.errno not in TOO_MANY_OPEN:
        return None
    return InputError(
        f"too many files are open at once ({error.strerror}); nothing is wrong with this one",
        where=where,
        expected="a limit of 1024 or more, as `ulimit -n` tells it",
        todo="type `ulimit -n 4096` (or fewer `workers`), then the same command again: what was "
        "finished is kept",
    )


@contextlib.contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """Turn "no space left on device", a place that may not be written, a file in the place of a
    folder, a file that may not be so large and a limit of open files into an InputError that says
    what to do.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        input_error = _told(_of_the_disk(error), path)
        if input_error is None:
            raise
        raise input_error from error


def _of_the_disk(error: BaseException | None) -> OSError | None:
    """The error itself, or the disk error that caused it: if a disk fills in the middle of a
    checkpoint, PyTorch's clean-up fails, too, with a RuntimeError of another text.
    """
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def _told(error: OSError | None, path: Path) -> InputError | None:
    """The InputError for an error of the disk; None for an unknown one."""
    number = error.errno if error else None
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return InputError(
            f"this place cannot be written ({error.strerror})",
            where=path,
            expected="a folder of yours",
            todo="set runs_root, processed_root and, for the sample set, data_root to folders that "
            "you may write, for example with -p runs_root /home/me/runs",
        )
    if number in NO_FOLDER:
        return InputError(
            f"there is a file where a folder belongs ({error.strerror})",
            where=error.filename or path,
            expected="a folder, or a name that is free",
            todo="name another folder, or rename the file",
        )
    if number == errno.EFBIG:
        return InputError(
            f"a file may not be as large as this one ({error.strerror})",
            where=path,
            expected="a file system for large files (FAT ends at 4 GB), no limit (`ulimit -f`)",
            todo="set the folder to one on another disk, or raise the limit; then type the same "
            "command again: what was finished is kept",
        )
    if number in FULL_DISK:
        parent = next(folder for folder in Path(path).absolute().parents if folder.exists())
        return full_disk(path, f" ({shutil.disk_usage(parent).free / 1e9:.1f} GB free)")
    return too_many_open(error, path)


def some(texts: Sequence[str], most: int) -> str:
    """The first `most` texts for a message, and ``…`` for the others."""
    return ", ".join(texts[:most]) + (", …" if len(texts) > most else "")


def nearest_name(name: object, known: Iterable[object], alike: float = 0.6) -> str:
    """The known name that is most similar to a mistyped one; "" if none is. Capitals do not
    matter: `CCC` means `ccc`.

    alike : ratio (`difflib.SequenceMatcher`, 0…1) from which two names count as similar.
    """
    from difflib import get_close_matches

    written: dict[str, str] = {}  # name in small letters -> as it is written
    for other in map(str, known):
        written.setdefault(other.lower(), other)
    near = get_close_matches(str(name).lower(), list(written), 1, alike)
    return written[near[0]] if near else ""


# Exceptions that reading a stranger's file may raise, whatever it contains: wrong types and
# numbers, missing keys, too deep nesting, too large sizes, text in an unknown encoding.
FOREIGN = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError),
    *(MemoryError, EOFError, AssertionError, OSError, SyntaxError, NotImplementedError),
)


@contextlib.contextmanager
def foreign(
    path: object, what: str, todo: str, expected: str = "", also: tuple = ()
) -> Iterator[None]:
    """Turn whatever goes wrong while a stranger's file is read into an InputError with place and
    reason.

    Arguments
    ---------
    path : the file, with line or entry if known. what : what it should be ("a table"). todo : how
    to correct it. expected : what a correct file contains, default `what`. also : exceptions of the
    format's own reader, besides `FOREIGN`.
    Wrap only the reading of one format: a bug of this program must not look like a damaged file.
    """
    try:
        yield
    except InputError:
        raise
    except (*FOREIGN, *also) as error:
        if input_error := too_many_open(error, path):
            raise input_error from error
        raise InputError(
            f"cannot be read as {what} ({_reason(error)})",
            where=path,
            expected=expected or what,
            todo=todo,
        ) from error


def _reason(error: BaseException) -> str:
    """The reason of an error in one line, for people."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split())[:160]
    names = {KeyError: "there is no", RecursionError: "nested too deeply", MemoryError: "too large"}
    name = next((text for kind, text in names.items() if isinstance(error, kind)), "")
    return " ".join(filter(None, [name, words])) or type(error).__name__
