"""What tests hand to worker processes and jobs. A worker imports the module of its function: here
that costs a tenth of a second, in most test files three seconds and more.
"""

import contextlib
import os
import signal
import subprocess
import time

from lib.errors import InputError


def read_badly(trial):
    raise InputError("unreadable", where=f"{trial}.mp4", todo="remove it")


def half(x):
    return x / 2


def pid_and_variable(name, _):
    """The number of the process, and what `name` is in its environment."""
    return os.getpid(), os.environ.get(name)


def note_and_die(folder, times, x):
    """Be killed at item `x` the first ``times[x]`` times; not at once, as Dask does not always
    replace a worker that is killed while it starts.
    """
    with open(folder / str(x), "a") as stream:
        stream.write("tried\n")
    if (folder / str(x)).read_text().count("tried") <= times.get(x, 0):
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def note_and_end_its_job(jobs, folder, x):
    """End the first of two jobs at item 3, once. jobs : where a file ``pids.1`` has its number."""
    with contextlib.suppress(FileExistsError):
        if x == 3:
            (folder / "killed").touch(exist_ok=False)
            group = (jobs / "pids.1").read_text().strip()
            subprocess.run(["kill", "-9", "--", f"-{group}"])
            time.sleep(60)  # killed here
    return x
