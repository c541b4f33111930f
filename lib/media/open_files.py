"""How many files a process may have open at once: an array that is mapped into memory is one.

Most systems let a process open 1024 and allow it to ask for more, which it does here.
"""

from __future__ import annotations

from ..errors import InputError

FEWEST = 96  # measured: with 64 a notebook's kernel cannot open its modules, with 96 01–06 run
RESERVED = 128  # of a kernel's sockets and pipes, of modules, of files that are written
MOST = 65_536  # more are not asked for; Linux maps no more than 65,530 files (vm.max_map_count)
ARRAYS = (16, 32_768)  # kept open at once: at least, at most


def allowed() -> int:
    """At most so many files may be open in this process, after the limit was raised as far as the
    system allows. Where a system has no such limit, `MOST`.
    """
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return MOST
    limit = resource.RLIMIT_NOFILE
    soft, hard = (MOST if value < 0 else value for value in resource.getrlimit(limit))
    asked = min(hard, MOST)
    if soft >= asked:
        return soft
    try:
        resource.setrlimit(limit, (asked, resource.getrlimit(limit)[1]))
    except (ValueError, OSError):  # macOS says that it allows more than it does
        return soft
    return asked


def require() -> None:
    """Raise InputError where so few files may be open that no notebook can run."""
    most = allowed()
    if most < FEWEST:
        raise InputError(
            f"this process may open {most} files at once",
            where="`ulimit -n`",
            expected=f"{FEWEST} or more, as every system allows by itself",
            todo="begin in another shell, or ask who set the limit (a batch system's file, "
            "/etc/security/limits.conf)",
        )


def arrays_at_once() -> int:
    """How many arrays are kept open, so that files remain for everything else."""
    least, most = ARRAYS
    return min(max(allowed() - RESERVED, least), most)
