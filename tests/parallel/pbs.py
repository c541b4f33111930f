"""A stand-in for PBS Professional: this file under the names qsub, qstat and qdel.

It lies in a folder that also holds its jobs (`lay` puts it there). A job is a process: it starts in
the home folder with the environment of a fresh login, gets SIGTERM and then SIGKILL when its
walltime ends or qdel asks for it, and what it prints goes where its directives say. Directives are
checked as PBS checks them, by the qsub(1B) page of PBS Professional 2022.1; those that nobody here
uses are unknown. It needs the standard library only, and reads nothing that pytest sets.
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(sys.argv[0]).resolve().parent
KILL_DELAY = 5  # s between SIGTERM and SIGKILL; PBS's own default is 10
QUEUES = ("workq", "gpu")
SIZE, COUNT = r"\d+([kmgtp]?[bw])?", r"\d+"
CHUNK = {"ncpus": COUNT, "ngpus": COUNT, "mpiprocs": COUNT, "mem": SIZE, "host": r"[\w.-]+"}
VALUES = {
    "-A": r"\S+",
    "-N": r"[A-Za-z][^\s/]{0,235}",
    "-P": r"\S+",
    "-e": r"/\S+",
    "-j": "oe|eo|n",
    "-k": "[doe]+|n",
    "-m": "[abej]+|n",
    "-o": r"/\S+",
    "-q": "|".join(QUEUES),
    "-r": "y|n",
}
CLOCK = r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+)"  # [[hours:]minutes:]seconds


def lay(folder: Path, slots: int = 64) -> Path:
    """Make a scheduler that runs at most so many jobs at once; returns its folder."""
    (folder / "jobs").mkdir(parents=True)
    (folder / "slots").write_text(str(slots))
    for name in ("qsub", "qstat", "qdel"):
        (folder / name).write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text()}")
        (folder / name).chmod(0o755)
    return folder


def take_down(folder: Path) -> None:
    """Kill every job of the scheduler in this folder, and what watches over it."""
    for file in [*folder.glob("jobs/*.mom"), *folder.glob("jobs/*.pid")]:
        subprocess.run(["kill", "-9", "--", f"-{file.read_text()}"], stderr=subprocess.DEVNULL)


# ---- what the commands do
def qsub(words: list[str]) -> None:
    text = Path(words[-1]).read_text()
    lines = [line for line in head(text) if line.startswith("#PBS")]
    pairs = [pair(line[4:].strip()) for line in lines]
    resources = {}
    for option, value in pairs:
        resources |= check(option, value)
    with (HERE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        number = len(list(HERE.glob("jobs/*.sh"))) + 1
        (HERE / f"jobs/{number}.sh").write_text(text)
    options = dict(pairs)
    out = place(options.get("-o", ""), f"{number}.here.OU")
    err = place(options.get("-e", ""), f"{number}.here.ER")
    if os.fork() == 0:
        os.setsid()
        watch(number, seconds(resources.get("walltime", "1000000")), out, err)
        os._exit(0)
    print(f"{number}.here")


def qstat(words: list[str]) -> None:
    if words == ["-B"]:
        print("Server             Max   Tot   Que   Run Status")
        print("here                 0     0     0     0 Active")
        return
    for word in words:
        number = known(word, "qstat")
        state = "R" if (HERE / f"jobs/{number}.pid").exists() else "Q"
        print("Job id            Name             User              Time Use S Queue")
        print(f"{number}.here            sweep            nobody           00:00:00 {state} workq")


def qdel(words: list[str]) -> None:
    for word in words:
        number = known(word, "qdel")
        os.kill(int((HERE / f"jobs/{number}.mom").read_text()), signal.SIGTERM)


# ---- directives
def head(text: str) -> list[str]:
    """Lines before the first command: PBS reads directives there only."""
    lines = text.splitlines()
    first = next((k for k, line in enumerate(lines) if line and line[0] != "#"), len(lines))
    return lines[:first]


def pair(directive: str) -> tuple[str, str]:
    option, _, value = directive.partition(" ")
    if option not in VALUES and option not in ("-l", "-V"):
        refuse(f"invalid option -- '{option.lstrip('-')}'", 2)
    return option, value.strip()


def check(option: str, value: str) -> dict:
    """The resources that `-l` asks for, nothing of the other options; refuses what is wrong."""
    if option == "-q" and value not in QUEUES:
        refuse("Unknown queue", 170)
    if option != "-l":
        if not re.fullmatch(VALUES.get(option, ""), value):
            refuse(f"illegal {option} value", 2)
        return {}
    asked = dict(part.partition("=")[::2] for part in value.split(","))
    for name, text in asked.items():
        if name not in ("walltime", "select", "place"):
            refuse(f"Unknown resource Resource_List.{name}", 175)
        if name == "walltime" and not re.fullmatch(CLOCK, text):
            refuse("Illegal attribute or resource value Resource_List.walltime", 171)
        if name == "select":
            check_chunk(text)
    return asked


def check_chunk(text: str) -> None:
    count, *parts = text.split(":")
    if not re.fullmatch(r"[1-9]\d*", count):
        refuse("Illegal attribute or resource value Resource_List.select", 171)
    for name, value in (part.partition("=")[::2] for part in parts):
        if name not in CHUNK:
            refuse(f"Unknown resource: {name}", 175)
        if not re.fullmatch(CHUNK[name], value):
            refuse(f"Illegal attribute or resource value for {name}", 171)


def refuse(why: str, status: int, command: str = "qsub") -> None:
    sys.stderr.write(f"{command}: {why}\n")
    sys.exit(status)


def seconds(clock: str) -> int:
    hours, minutes, rest = re.fullmatch(CLOCK, clock).groups()
    return (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(rest)


def known(word: str, command: str) -> int:
    """The number of a job that waits or runs; refuses as PBS does for all others."""
    number = word.partition(".")[0]
    if not (HERE / f"jobs/{number}.sh").exists():
        refuse(f"Unknown Job Id {word}", 153, command)
    if (HERE / f"jobs/{number}.end").exists():
        refuse(f"{word} Job has finished, use -x or -H to obtain it", 35, command)
    return int(number)


def place(value: str, name: str) -> str:
    """Where a job's output goes: a path that ends with a slash is a folder."""
    return f"{value}{name}" if value.endswith("/") else value or os.devnull


# ---- a job
class Deleted(Exception):
    """Somebody typed qdel."""


def watch(number: int, most: int, out: str, err: str) -> None:
    """Wait for a slot, run the job, end it after `most` seconds or when it is deleted."""
    signal.signal(signal.SIGTERM, delete)
    (HERE / f"jobs/{number}.mom").write_text(str(os.getpid()))
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # whoever called qsub does not wait for the job
        os.dup2(devnull, stream)
    job = None
    try:
        slot = wait_for_slot()
        job = start(number, out, err)
        job.wait(most)
    except (Deleted, subprocess.TimeoutExpired):
        if job:
            end(job)
    (HERE / f"jobs/{number}.end").write_text(str(job.returncode if job else "deleted"))
    del slot


def delete(*_) -> None:
    raise Deleted


def wait_for_slot():
    while True:
        for number in range(int((HERE / "slots").read_text())):
            file = (HERE / f"slot{number}").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except BlockingIOError:
                file.close()
        time.sleep(0.05)


def start(number: int, out: str, err: str) -> subprocess.Popen:
    login = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME") if name in os.environ}
    with open(out, "w") as stdout, open(err, "w") as stderr:
        job = subprocess.Popen(
            ["bash", HERE / f"jobs/{number}.sh"],
            env={**login, "PATH": "/usr/bin:/bin", "PBS_JOBID": f"{number}.here"},
            cwd=login.get("HOME", "/"),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    (HERE / f"jobs/{number}.pid").write_text(str(job.pid))
    return job


def end(job: subprocess.Popen) -> None:
    for number, patience in ((signal.SIGTERM, KILL_DELAY), (signal.SIGKILL, None)):
        try:
            os.killpg(job.pid, number)
            job.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    {"qsub": qsub, "qstat": qstat, "qdel": qdel}[Path(sys.argv[0]).name](sys.argv[1:])
