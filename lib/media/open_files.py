"""The limit of open files of a process: each memory-mapped array counts as one.

Most systems let a process open 1024 files and raise the limit on request, which is done here.
"""

from __future__ import annotations

from ..errors import InputError

# measured: with 64 a notebook's kernel cannot open its modules, with 96 01–06 run
MIN_OPEN_FILES = 96
RESERVED = 128  # reserve for a kernel's sockets and pipes, modules, files being written
# requested at most; Linux maps no more than 65,530 files (vm.max_map_count)
MAX_OPEN_FILES = 65_536
ARRAYS = (16, 32_768)  # kept open at once: at least, at most


def allowed() -> int:
    """The number of files that this process may have open, after raising the limit as far as the
    system allows; `MAX_OPEN_FILES` on a system without such a limit.
    """
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return MAX_OPEN_FILES
    limit = resource.RLIMIT_NOFILE
    soft, hard = (MAX_OPEN_FILES if value < 0 else value for value in resource.getrlimit(limit))
    asked = min(hard, MAX_OPEN_FILES)
    if soft >= asked:
        return soft
    try:
        resource.setrlimit(limit, (asked, resource.getrlimit(limit)[1]))
    except (ValueError, OSError):  # macOS reports a higher limit than it allows
        return soft
    return asked


def require() -> None:
    """Raise InputError if the limit is too low for any notebook to run."""
    most = allowed()
    if most < MIN_OPEN_FILES:
        raise InputError(
            f"this process may open {most} files at once",
            where="`ulimit -n`",
            expected=f"{MIN_OPEN_FILES} or more, as every system allows by itself",
            todo="begin in another shell, or ask who set the limit (a batch system's file, "
            "/etc/security/limits.conf)",
        )


def arrays_at_once() -> int:
    """How many arrays may be kept open, so that enough files remain for everything else."""
    least, most = ARRAYS
    return min(max(allowed() - RESERVED, least), most)
