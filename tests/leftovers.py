"""The unfinished file that a killed process left beside a file, for tests of who clears it away."""

import subprocess
import sys
from pathlib import Path

from lib import files


def pid_of_dead() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def left_beside(path: Path) -> Path:
    """Write half a file under the name that `files.temporary_name` gives; returns its path."""
    name = f".{path.name}.{pid_of_dead()}-{files.MACHINE}01234567.part"
    path.parent.mkdir(parents=True, exist_ok=True)
    left = path.with_name(name)
    left.write_bytes(b"half")
    return left
