"""Clusters from files: `params/cluster/*.yaml` → an open Dask cluster here, of SLURM or PBS.

The cluster serves sweeps and, as `parallel=`, everything that goes through
`lib.parallel.mapping.map`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from .. import files, grammar, parameters
from ..errors import InputError
from ..parameters import Params
from . import processes
from . import threads as parallel_threads
from .jobs import PATIENCE, Jobs

T = TypeVar("T")
FOLDER = files.ROOT / "params" / "cluster"

# The names that such a file may set, in the grammar of the notebooks' parameters cells.
DECLARED = """
kind: str = "local"  # what starts the workers; one of local, slurm, pbs
workers: int = 0  # workers at a time, 0: one per GPU (local) or per point (jobs); from 0 to 10000
tries: int = 3  # how often a point may die (killed, memory) before it is abandoned; from 1 to 100
queue: str = ""  # partition or queue, empty for the scheduler's own choice
account: str = ""  # account or project that pays, empty for none
walltime: str = ""  # of one job, for example 04:00:00; empty for none (local)
stop_before: int = 180  # s before the walltime ends, to write the checkpoint; from 1 to 86400
cores: int = 4  # processor cores of a worker; from 1 to 1024
memory: str = "16GB"  # of a worker
gpus: int = 1  # of a worker; from 0 to 16
setup: list[str] = []  # shell lines before the worker starts: module load, source …/activate
directives: list[str] = []  # more lines for the scheduler, without #SBATCH or #PBS
python: str = ""  # Python on the nodes, empty for the one that runs the sweep
container: str = ""  # image file (.sif) to run in, empty for none
container_command: str = "apptainer exec --nv --bind {root}"  # before image and python
interface: str = ""  # network interface that nodes reach each other by (ib0), empty for the default
scratch: str = ""  # folder on the nodes for Dask's own files, empty for the system's temporary one
logs: str = "runs/cluster_logs"  # folder of the jobs' output
"""

# Command that asks a job scheduler about its state; a machine without the command has no scheduler.
COMMANDS = {"slurm": ("sbatch", ["sinfo", "--noheader"]), "pbs": ("qsub", ["qstat", "-B"])}
SIZE_PREFIXES = "KMGT"
SIZE_PATTERN = rf"([0-9]+(?:\.[0-9]+)?)\s*([{SIZE_PREFIXES}])i?B"  # of memory
ONE_WORD = ("queue", "account", "interface")  # what stands in a script as it is

# The clock of a job: `lib.experiments.sweeps.worker` reads it to know when the walltime ends.
JOB_START_COMMAND = "export SWEEP_JOB_STARTED=$(date +%s)"


def read(text: str | Path) -> Params:
    """Checked parameters of a cluster: ``local``, ``slurm``, ``pbs`` (the file of that name) or a
    file.

    Raises InputError that lists everything that is wrong.
    """
    is_file = Path(text).suffix.lower() in (".yaml", ".yml")
    path = Path(text) if is_file else FOLDER / f"{text}.yaml"
    path = path if path.is_absolute() or path.is_file() else files.ROOT / path
    values = parameters.load([path])
    parameters.refuse(problems_of(values), str(path))
    return Params(_complete(values))


def _complete(values: dict) -> dict:
    """All parameters of a cluster in their declared types; without a value, the default."""
    names = grammar.parse(DECLARED, "lib/parallel/clusters.py")
    return {name: one.read(values.get(name, one.default)) for name, one in names.items()}


def problems_of(values: dict) -> list[str]:
    """Everything that is wrong with the content of a cluster file, one sentence each."""
    names = grammar.parse(DECLARED, "lib/parallel/clusters.py")
    if of_others := {"recipe", "dataset"} & values.keys():
        told = ", ".join(sorted(of_others))
        return [f"{told}: this file is of an experiment, and names no cluster: give both files"]
    if problems := parameters.wrong_values(values, names):
        return problems
    if "kind" not in values:  # its default would do the work of an unfinished file on this machine
        return ["kind: is not there: write local, slurm or pbs"]
    values = _complete(values)  # a queue may be called 12, which YAML reads as a number
    wall, stop = values["walltime"], values["stop_before"]
    if wall and seconds(wall) is None:
        return [
            f"walltime: {wall!r} is no time: write hours:minutes:seconds in quotes, for example "
            '"04:00:00"'
        ]
    if wall and seconds(wall) <= stop:
        return [f"walltime: {wall} ends before the {stop} s of stop_before"]
    if values["kind"] != "local" and not wall:
        return ['walltime: a job needs one, for example "04:00:00"']
    size = re.fullmatch(SIZE_PATTERN, values["memory"])
    if not size or not float(size[1]):
        return [f"memory: {values['memory']!r} is no size: write for example 16GB"]
    return _no_words(values)


def _no_words(values: dict) -> list[str]:
    """Texts that would end, or mean something else, in the middle of a job script."""
    problems = [
        f"{name}: {values[name]!r} is more than one word"
        for name in ONE_WORD
        if re.search(r"[\s'\"]", values[name])
    ]
    problems += [
        f"{name}: {values[name]!r} has a quotation mark or a line break in it"
        for name in ("logs", "scratch", "python", "container")
        if re.search(r"[\n\r\"]", values[name])
    ]
    if values["container"]:
        problems += _no_command(values["container_command"])
    return problems + [
        f"directives: {line!r} is no line for the scheduler: write it without #SBATCH or #PBS, for "
        "example --constraint=a100"
        for line in values["directives"]
        if not line.strip() or "\n" in line or line.lstrip().startswith("#")
    ]


def _no_command(text: str) -> list[str]:
    """Why a command cannot stand before an image and its Python."""
    if not text.strip() or "\n" in text:
        return [f"container_command: {text!r} is no line: write for example apptainer exec --nv"]
    return [
        f"container_command: {name} stands for nothing: only {{root}} does, the project's folder"
        for name in re.findall(r"\{[^}]*\}", text)
        if name != "{root}"
    ]


def _word(text: str) -> str:
    """A path as one word of a script; ``~`` is the home folder, ``$TMPDIR`` the node's."""
    text = str(files.expanded(text)) if text.startswith("~") else text
    return f'"{text}"' if "$" in text else shlex.quote(text)


def seconds(text: str) -> int | None:
    """``04:00:00`` → 14400, also ``1-12:00:00`` (SLURM's days); None for anything else."""
    match = re.fullmatch(r"(?:([0-9]+)-)?([0-9]+):([0-5]?[0-9]):([0-5]?[0-9])", text)
    if not match:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def script(spec: Params, items: bool = False) -> str:
    """The job script of one worker (for `items` see `opened`). No scheduler is needed for it; the
    text ADDRESS stands for the address of Dask's scheduler.
    """
    if spec.kind == "local":
        raise InputError(
            "workers of this machine need no job script", expected="--cluster slurm or pbs"
        )
    if file := files.file_in_place_of(files.resolve(spec.logs)):
        raise _no_logs(spec, f"there is a file, {file}")
    start = partial(_class(spec).job_cls, scheduler="tcp://ADDRESS", name="sweep-0")
    return _made(spec, partial(start, **_options(spec, items))).job_script()


def _made(spec: Params, start: Callable[[], T]) -> T:
    """What `start` makes with dask-jobqueue. Raises InputError where this machine lacks the network
    interface that the file names.
    """
    try:
        return start()
    except RuntimeError as error:
        raise InputError(
            str(error),
            where=f"--cluster {spec.kind}, interface: {spec.interface or 'the default one'}",
            expected="an interface by which nodes reach this machine (`ip address` lists them)",
            todo="correct `interface` in the cluster's file",
        ) from error


def _make_logs(spec: Params) -> None:
    """Create the folder of the jobs' output, without which a scheduler starts no job."""
    try:
        files.resolve(spec.logs).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_logs(spec, error.strerror) from error


def _no_logs(spec: Params, why: str) -> InputError:
    return InputError(
        f"the folder of the jobs' output cannot be made ({why})",
        where=files.resolve(spec.logs),
        todo="set `logs` in the cluster's file to a folder where you may write",
    )


def check_there(spec: Params) -> None:
    """Raise InputError when the job scheduler of `spec` is not here, or does not answer."""
    if spec.kind == "local":
        return
    submit, ask = COMMANDS[spec.kind]
    todo = (
        "type this on the cluster's login node; --print-jobs works everywhere, --cluster "
        "local needs no scheduler"
    )
    if shutil.which(submit) is None:
        raise InputError(f"there is no {spec.kind.upper()} here (no command {submit})", todo=todo)
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{spec.kind.upper()} does not answer within {PATIENCE:.0f} s",
            where=" ".join(ask),
            todo="ask its operators, or wait",
        ) from error
    if done.returncode:
        raise InputError(
            f"{spec.kind.upper()} does not answer: {done.stderr.strip()[-300:]}",
            where=" ".join(ask),
            todo="ask its operators, or wait",
        )


@contextlib.contextmanager
def opened(
    spec: Params, workers: int = 0, items: bool = False
) -> Iterator[tuple[object, Jobs | None]]:
    """Open a Dask cluster and, for a job scheduler, the `jobs.Jobs` that starts and replaces its
    jobs. All of it ends with the block.

    workers : at most so many; 0 for what the file says. items : the cluster is for many short
        items, not for trainings: a job has one worker per processor core, or a single one if it has
        a GPU, each with one thread; and there is a dashboard if the package bokeh is installed.
    """
    from . import mapping

    check_there(spec)
    dask_workers = mapping.with_dask("--cluster " + spec.kind)
    if spec.kind == "local":
        one_each = processes.available_processors() if items else max(1, len(gpus()))
        with dask_workers.local(workers or spec.workers or one_each) as cluster:
            yield cluster, None
        return
    _make_logs(spec)
    # Dask serves pages about itself in any case; without an address it would do so to everybody.
    pages = {"dashboard": items and has_dashboard(), "dashboard_address": "127.0.0.1:0"}
    start = partial(
        _class(spec),
        scheduler_options={"allowed_failures": 0, **pages},
        silence_logs="critical",
        **_options(spec, items),
    )
    with _made(spec, start) as cluster:
        yield cluster, Jobs(cluster, spec, workers or spec.workers or 10_000)


def has_dashboard() -> bool:
    """Whether Dask can show its dashboard: it needs the package bokeh."""
    return importlib.util.find_spec("bokeh") is not None


def workers_of_job(spec: Params) -> int:
    """Workers for items in one job: one per processor core, or a single one with a GPU."""
    return 1 if spec.gpus else spec.cores


def gpus() -> list[str]:
    """GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import os

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return [
        str(number) for number, _ in enumerate(re.findall("^GPU ", listed.stdout, re.MULTILINE))
    ]


def _class(spec: Params):
    before = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("dask_jobqueue", "dask", "distributed"):
            raise
        raise InputError(
            f"the package {error.name} is not installed",
            where=f"--cluster {spec.kind}",
            todo='pip install -e ".[cluster]"',
        ) from error
    # The package (0.9) makes Ctrl-C leave the program at once, as soon as it is imported.
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is not before
    ):
        signal.signal(signal.SIGINT, before)
    return dask_jobqueue.SLURMCluster if spec.kind == "slurm" else dask_jobqueue.PBSCluster


def _options(spec: Params, items: bool = False) -> dict:
    """Arguments of dask-jobqueue's job classes; all are set, so that a person's own Dask
    configuration changes none.
    """
    root = shlex.quote(str(files.ROOT))
    python = _word(spec.python or sys.executable)
    if spec.container:
        prefix = spec.container_command.replace("{root}", root)
        python = f"{prefix} {_word(spec.container)} {_word(spec.python or 'python')}"
    logs = str(files.resolve(spec.logs))
    common = {
        "cores": spec.cores,
        "processes": 1,
        "memory": spec.memory,
        "queue": spec.queue or None,
        "account": spec.account or None,
        "walltime": spec.walltime,
        "python": python,
        "job_name": "sweep",
        "interface": spec.interface or None,
        "local_directory": _word(spec.scratch) if spec.scratch else None,
        "job_script_prologue": [f"cd {root}", JOB_START_COMMAND, *spec.setup],
        "nanny": True,
        "death_timeout": 120,
        "shebang": "#!/usr/bin/env bash",
    }
    if items:
        common |= _for_items(spec, common["job_script_prologue"])
    size, (skipped, output) = whole_size(spec.memory), _output(spec.kind, logs)
    common |= {"log_directory": None, "job_directives_skip": skipped}  # it would make the folder
    if spec.kind == "slurm":
        common["job_cpu"] = spec.cores
        gpu = [f"--gres=gpu:{spec.gpus}"] if spec.gpus else []
        return common | {"job_mem": size, "job_extra_directives": [*output, *gpu, *spec.directives]}
    gpu = f":ngpus={spec.gpus}" if spec.gpus else ""
    select = f"select=1:ncpus={spec.cores}{gpu}:mem={size.lower()}b"
    common["walltime"] = _without_days(spec.walltime)
    return common | {"resource_spec": select, "job_extra_directives": [*output, *spec.directives]}


def _output(kind: str, logs: str) -> tuple[list[str], list[str]]:
    """Directives of dask-jobqueue to leave out, and those that name the folder of the jobs' output
    in their place: of a name with blanks a scheduler would take the first word.
    """
    quote = "" if shlex.quote(logs) == logs else '"'
    mark = {"slurm": "#SBATCH", "pbs": "#PBS"}[kind]
    names = (
        {"-e": "sweep-%J.err", "-o": "sweep-%J.out"} if kind == "slurm" else {"-e": "", "-o": ""}
    )
    directives = [f"{letter} {quote}{logs}/{name}{quote}" for letter, name in names.items()]
    return [f"{mark} {letter} " for letter in names], directives


def whole_size(memory: str) -> str:
    """``32GB``, ``32 GiB`` → ``32G``; ``1.5TB`` → ``1536G``: schedulers take whole numbers only,
    and their units are powers of 1024. What is no whole number of KB is rounded up.
    """
    number, letter = re.fullmatch(SIZE_PATTERN, memory).groups()
    if "." not in number:
        return f"{number}{letter}"
    smaller = SIZE_PREFIXES[max(0, SIZE_PREFIXES.index(letter) - 1)]
    return f"{math.ceil(float(number) * (1 if letter == smaller else 1024))}{smaller}"


def _without_days(walltime: str) -> str:
    """``1-12:00:00`` → ``36:00:00``: PBS knows no days."""
    minutes, rest = divmod(seconds(walltime), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def _for_items(spec: Params, prologue: list[str]) -> dict:
    """The entries of `_options` that differ where workers have one thread each (so that sums are
    rounded alike everywhere). A worker whose memory is full is ended; Dask's default would pause
    it.
    """
    count = workers_of_job(spec)
    names = [f"DASK_DISTRIBUTED__WORKER__MEMORY__{name}" for name in ("TARGET", "SPILL", "PAUSE")]
    variables = {
        **parallel_threads.spin(),
        **parallel_threads.limits(1),
        **dict.fromkeys(names, False),
    }
    lines = [f"export {name}={value}" for name, value in variables.items()]
    return {"cores": count, "processes": count, "job_script_prologue": [*prologue, *lines]}


def threads(workers_here: int) -> int:
    """Threads that each of so many workers of this machine should use."""
    return max(1, processes.available_processors() // max(1, workers_here))
