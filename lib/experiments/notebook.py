"""Execute one notebook with papermill: output lines appear while it runs, an error takes a few
lines.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..errors import InputError, explain_full_disk
from ..files import EXECUTED_IN, NOTEBOOKS, PACKAGE, ROOT, create_folder, short
from ..parallel.threads import spin

# What jsonschema, which papermill brings, imports to check addresses in other scripts: it builds a
# grammar for 3 s, and no notebook's schema has such an address. jsonschema does without it.
ADDRESSES = "rfc3987_syntax"

# glibc gives large blocks back to the system after every training step; keeping them took a quarter
# off a step's time (sample set specification, §5). Read when a process starts, so they are set
# before the kernel of 05 is. The others work through recordings of any length and keep little of
# what they do not need (`parallel/memory.py`).
MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "268435456",
}

# After Ctrl-C a kernel has so many seconds to finish its batch and write a checkpoint before it is
# killed.
SHUTDOWN_SECONDS = 30.0


class NotebookFailed(Exception):
    """A notebook stopped at an error; `str` says where, what and which file shows more.

    cause : "memory", "disk" or "died" if the machine was at fault, so that another try (elsewhere)
        may succeed.
    """

    def __init__(self, text: str, cause: str = ""):
        super().__init__(text)
        self.cause = cause


class Terminated(KeyboardInterrupt):
    """A batch system sent SIGTERM: the notebook ended as by Ctrl-C and can be continued."""


class _Lines:
    """A text stream for papermill that passes on whole lines; of a line that is overwritten, the
    last state.
    """

    def __init__(self, say: Callable[[str], None]):
        self.say, self.rest = say, ""

    def write(self, text: str) -> None:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            if line.strip():
                self.say(line.rstrip("\r").rpartition("\r")[2])

    def flush(self) -> None:
        """Do nothing: lines are passed on at once."""


def imported_papermill():
    """The module papermill, imported without `ADDRESSES`."""
    hidden = ADDRESSES not in sys.modules
    if hidden:
        sys.modules[ADDRESSES] = None
    try:
        import papermill
    finally:
        if hidden:
            del sys.modules[ADDRESSES]
    return papermill


@contextlib.contextmanager
def _environment_of(notebook: Path, target: Path) -> Iterator[None]:
    """What a kernel finds beside this process's environment: where its executed notebook will lie,
    and, for a training, `MEMORY`, of which a person's own setting wins.
    """
    settings = MEMORY if notebook.stem == NOTEBOOKS[4] else {}
    added = {name: value for name, value in settings.items() if name not in os.environ}
    added[EXECUTED_IN] = str(target.parent.absolute())
    outer = {name: os.environ[name] for name in added if name in os.environ}  # of a notebook's run
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        os.environ.update(outer)


def execute(notebook: Path, target: Path, values: Mapping, say: Callable[[str], None]) -> None:
    """Execute `notebook` with parameters `values` in the root; the executed copy is `target`.

    say : called with each line that the notebook prints, while it runs.
    Raises NotebookFailed, InputError (kernel cannot start, disk full), Terminated or
    KeyboardInterrupt.
    """
    papermill = imported_papermill()
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    for name, value in spin().items():
        os.environ.setdefault(name, value)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    create_folder(target.parent)
    lines = _Lines(say)
    try:
        with (
            _terminate_as_interrupt(),
            explain_full_disk(target),
            _environment_of(notebook, target),
        ):
            papermill.execute_notebook(
                notebook,
                target,
                dict(values),
                kernel_name="python3",
                cwd=ROOT,
                progress_bar=False,
                stdout_file=lines,
                extra_arguments=["--log-level=CRITICAL"],
                config=Config(KernelManager={"shutdown_wait_time": SHUTDOWN_SECONDS}),
            )
    except papermill.PapermillExecutionError as error:
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt(error.evalue) from error
        raise NotebookFailed(_told(error, notebook, target), _cause(error)) from error
    except DeadKernelError as error:
        text = (
            f"{notebook.stem} stopped: its Python process died (most often: not enough memory)\n"
            f"  what to do: close other programs, smaller batch_size or workers, then run again\n"
            f"  executed notebook: {short(target)}"
        )
        raise NotebookFailed(text, "died") from error
    finally:
        lines.write("\n")  # a last line without a line end


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Inside the block SIGTERM (sent by a batch system) ends the kernel as Ctrl-C does and raises
    Terminated.
    """
    came = []

    def interrupt(*_):
        came.append(True)
        if len(came) == 1:  # a second one must not disturb the kernel while it ends
            raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread, where alone handlers can be set
        yield
        return
    try:
        yield
    except _interrupted_errors() as error:
        if not came:
            raise
        raise Terminated(getattr(error, "evalue", "")) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted_errors() -> tuple[type[BaseException], ...]:
    """Exceptions with which an interrupted kernel may end."""
    papermill = imported_papermill()
    from nbclient.exceptions import DeadKernelError

    return KeyboardInterrupt, papermill.PapermillExecutionError, DeadKernelError


def _cause(error) -> str:
    """The machine's fault if it was one: "memory" (of the machine or the GPU) or "disk"; else
    "".
    """
    if error.ename in ("MemoryError", "OutOfMemoryError"):
        return "memory"
    return "disk" if re.search("no space left on (the )?device", error.evalue.lower()) else ""


def _told(error, notebook: Path, target: Path) -> str:
    """The notebook, the cell, the message, the last place in our code, the executed copy."""
    rows = [f"{notebook.stem} stopped in cell {error.exec_count}"]
    # Also subclasses, such as the error of a damaged array: they say themselves what to do.
    if error.ename == InputError.__name__ or "\n  what to do: " in error.evalue:
        rows += _clean(error.evalue).splitlines()
    else:
        rows += [
            f"{error.ename}: {_clean(error.evalue)}",
            *_last_place(_clean("\n".join(error.traceback))),
        ]
    return "\n  ".join([*rows, f"executed notebook: {short(target)}"])


def _last_place(traceback: str) -> list[str]:
    """The deepest place in lib: IPython has ``File path:12``, a worker ``File "path", line 12``."""
    places = re.findall(r'File "?([^\s":]+\.py)(?::|", line )(\d+)', traceback)
    ours = [
        (path, line)
        for path, line in places
        if Path(path).is_relative_to(PACKAGE)
        and Path(path).name not in ("processes.py", "mapping.py")
    ]
    return [f"in {short(ours[-1][0])}:{ours[-1][1]}"] if ours else []


def _clean(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
