"""Run one point of a sweep on a worker: a child process runs the experiment, and this one watches
it.

The child ends with its parent (the pipe between them is closed), writes its checkpoint when asked
to, and holds a lock on its run folder, so that a second process waits for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from ... import runs
from ...errors import EXIT_CONTINUE, EXIT_DONE, EXIT_INTERRUPTED, EXIT_LOST, InputError
from ...files import ROOT
from ...parallel import threads
from ...parallel.locks import LOCK, lent, locked

POLL_SECONDS = 0.2  # s between two checks of the process
GRACE = 120.0  # s that a run has to write its checkpoint after SIGTERM
LOCK_WAIT = 90.0  # s to wait for a process that still works in the same run folder
LOG_LINES = 3  # last lines of the log that a message quotes
# stop file in the sweep's folder: if present, all points write their checkpoints and end
STOP = "stop"
GOOD_EXITS = (EXIT_DONE, EXIT_LOST)


def work(task: Mapping) -> dict:
    """Run one point; see `lib.parallel.tasks.run` for what is returned.

    task : `name`, `folder` (of the sweep), `experiment` (`lib.experiments.experiment.Experiment`),
        `start` and `stop` (first and last notebook, "" or absent for all), `code` (digest of the
        sweep's own code), `slot` (number of this worker on its machine), `threads`, `walltime` and
        `stop_before` in s (0: none), `lent` (true where whoever gave the task holds the lock of the
        run folder).
    """
    began, host = time.monotonic(), socket.gethostname()
    if task["code"] != code_digest():
        return {
            "end": "died",
            "host": host,
            "seconds": 0.0,
            "why": f"the worker on {host} has another version of the code than the sweep: update "
            f"{ROOT} there",
        }
    if too_late(task):
        return {
            "end": "continue",
            "host": host,
            "seconds": 0.0,
            "why": "the walltime ended",
            "leave": True,
            "not_started": True,
        }
    folder = runs.Run(Path(task["folder"]))
    folder.path("points", f"{task['name']}.end.json").unlink(missing_ok=True)
    folder.write_json(
        f"points/{task['name']}.json",
        {
            "host": host,
            "pid": os.getpid(),
            "started": time.time(),
            "gpu": visible_gpu(task["slot"]),
        },
    )
    log = folder.path("logs", f"{task['name']}.log")
    reason = ""
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} on {host}\n")
        stream.flush()
        with process(task, stream) as child:
            while child.poll() is None:
                reason = reason or why_stop(task)
                if reason and child.stdin and not child.stdin.closed:
                    child.stdin.close()  # it sends itself SIGTERM
                time.sleep(POLL_SECONDS)
    cause = folder.read_json(f"points/{task['name']}.end.json", {}).get("cause", "")
    return {
        **judged(child.returncode, cause, reason, last_lines(log)),
        "host": host,
        "status": child.returncode,
        "seconds": round(time.monotonic() - began, 2),
        "leave": reason == "walltime",
    }


def judged(status: int, cause: str, reason: str, end_of_log: str) -> dict:
    """How a try ended (`end`) and `why`, from the exit status of the run.

    cause : whether the machine was at fault, of `pipeline.carry_out`. reason : why this process
        ended it, "" if it did not.
    """
    if status in GOOD_EXITS:
        return {"end": "finished", "why": "something was lost: failures.csv" if status else ""}
    if reason or status in (EXIT_CONTINUE, EXIT_INTERRUPTED):
        return {
            "end": "continue",
            "why": {"walltime": "the walltime ended", "stop": "stopped"}.get(reason, end_of_log),
        }
    if status < 0 or cause:
        words = {
            "memory": "not enough memory",
            "disk": "no space left on the device",
            "died": "its process died",
        }
        return {"end": "died", "why": words.get(cause, f"killed by signal {-status}")}
    return {"end": "failed", "why": end_of_log}


def why_stop(task: Mapping) -> str:
    """ "stop" if the sweep is being stopped, "walltime" if the job's time is nearly over, else
    "".
    """
    if (Path(task["folder"]) / STOP).exists():
        return "stop"
    return "walltime" if time_left(task) <= 0 else ""


def time_left(task: Mapping) -> float:
    """Seconds until this job's runs must write their checkpoints; infinite without a walltime."""
    started = os.environ.get("SWEEP_JOB_STARTED", "")
    if not task["walltime"] or not started.isdigit():
        return float("inf")
    return int(started) + task["walltime"] - task["stop_before"] - time.time()


def too_late(task: Mapping) -> bool:
    """Whether the job has too little time left to start a point."""
    usable = task["walltime"] - task["stop_before"]
    return time_left(task) < min(task["stop_before"], usable / 4)


def last_lines(log: Path) -> str:
    lines = [
        line.strip()
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    kept = [line for line in lines if not line.startswith(("--- ", "executed notebook"))]
    return " | ".join(kept[-LOG_LINES:])[-500:]


def visible_gpu(slot: int) -> str:
    """The GPU of worker number `slot` on this machine, of those that its job was given; "" without
    any.
    """
    from ...parallel import clusters

    gpus = clusters.gpus()
    return gpus[slot % len(gpus)] if gpus else ""


@contextlib.contextmanager
def process(task: Mapping, stream) -> Iterator[subprocess.Popen]:
    """Start the process of a point, which gets its task through a pipe; the end of the block ends
    it.
    """
    environment = {
        **threads.environment(task["threads"]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    if gpu := visible_gpu(task["slot"]):
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    child = subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import serve; serve()"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=stream,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        with contextlib.suppress(BrokenPipeError):
            text = pickle.dumps(dict(task))
            child.stdin.write(len(text).to_bytes(8, "big") + text)
            child.stdin.flush()
        yield child
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Digest of library and notebooks: workers must run the code that the sweep began with."""
    digest = hashlib.sha256()
    for file in sorted([*(ROOT / "lib").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


# ---- in the process of the point
def serve() -> None:
    """Body of that process: take the task, run it, leave the status."""
    from .. import pipeline

    task = pickle.loads(sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "big")))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    experiment = task["experiment"]
    try:
        with _alone(task):
            status, cause = pipeline.carry_out(
                [experiment], task.get("start", ""), task["stop"], _say
            )
    except InputError as error:
        _say(str(error))
        status, cause = EXIT_CONTINUE, ""
    runs.Run(Path(task["folder"])).write_json(
        f"points/{task['name']}.end.json", {"status": status, "cause": cause}
    )
    sys.stdout.flush()
    os._exit(status)  # at once: papermill's threads may wait for a kernel that was killed


@contextlib.contextmanager
def _alone(task: Mapping) -> Iterator[None]:
    """Wait until no other process works in the point's run folder: one that was taken for lost may
    still run. Raises BusyError after `LOCK_WAIT`.
    """
    run_folder = task["experiment"].run.folder
    if not task.get("lent"):
        with locked(run_folder, LOCK_WAIT):
            yield
        return
    with locked(Path(task["folder"]), LOCK_WAIT), lent(run_folder / LOCK):
        yield


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """End when the pipe closes: the parent closes it to end this process, or has died."""
    # Not through sys.stdin: its lock would be held when this process ends.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
