"""Run folders: the records and results of notebooks, by which a run can be repeated or skipped.

``runs/<run>/``: executed notebooks, ``params.yaml``, ``environment.json``, results,
``failures.csv`` and ``steps/<notebook>.json``, the record of what each notebook was made from.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import yaml

from . import code_digest, files, grammar, store
from .errors import InputError, keep_frames
from .media import documents, open_files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHIPPED = files.ROOT / "notebooks"
# Parameters of group `place` without which a table is not made: it matters whether they are set,
# not to which path.
OPTIONAL_PLACES = ("segments_path",)
# The beginning of a formula in a spreadsheet, perhaps after apostrophes that `quoted` added.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")
# Columns of our tables that hold text: persons, class names, notes.
TEXT_COLUMNS = ("person", "face", "expression", "note")
NETWORK_MODULES = f"{__package__}.models."  # prefix of the networks' modules
FAILURE_COLUMNS = ("step", "item", "what", "where", "expected", "todo", "traceback")


class Run:
    """A run folder, opened by one notebook (`step`) with checked parameters `p`; see `start`."""

    def __init__(
        self, folder: Path, step: str = "", p: Mapping | None = None, notebooks: Path = SHIPPED
    ):
        self.folder, self.step, self.p, self.notebooks = Path(folder), step, p or {}, notebooks
        self.started = time.monotonic()
        # Computed at the start: code that is edited while the notebook runs is not what it ran.
        self.code = code_digest.digests(step, folder=notebooks) if step and self.p else {}

    def __repr__(self) -> str:
        done = ", ".join(path.stem for path in sorted(self.folder.glob("steps/*.json")))
        return f"run {self.folder.name} in {self.folder} (done: {done or 'nothing yet'})"

    @property
    def name(self) -> str:
        return self.folder.name

    def path(self, *parts: str) -> Path:
        """Path of a file in the folder; its parent folder is created."""
        path = self.folder.joinpath(*parts)
        files.create_folder(path.parent)
        return path

    def write_text(self, name: str, text: str) -> Path:
        """Write a file atomically."""
        return files.write_text(self.folder.joinpath(name), text)

    def write_json(self, name: str, value: object) -> Path:
        """Write JSON; numbers of numpy are turned into Python's, NaN into null."""
        text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
        return self.write_text(name, text + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write a table for people as CSV; no text in it can act as a formula in a spreadsheet."""
        shown = table.map(quoted).rename(columns=quoted)
        return self.write_text(name, shown.to_csv(index=False))

    def read_json(self, name: str, default: object = None) -> object:
        """Read a JSON object; returns `default` if the file is absent. Raises InputError if it is
        damaged.
        """
        path = self.folder / name
        return files.read_mapping(path) if path.is_file() else default

    def record(
        self,
        inputs: Iterable[Path] = (),
        outputs: Iterable[Path] = (),
        lost: Iterable = (),
        unfinished: str = "",
    ) -> dict:
        """Record the notebook's inputs and outputs; its last cell calls this.

        Arguments
        ---------
        inputs : files and folders it read. An array of the store counts by the JSON beside it.
        outputs : files and folders it wrote: if one is gone, the notebook is executed again.
        lost : failed outcomes of `mapping.map`, or (item, error) pairs; they become rows of
            failures.csv.
        unfinished : why it stopped before its end (a time limit); the runner then ends with status
            75.
        """
        failures = [
            _failure(self.step, *(x if isinstance(x, tuple) else (x.item, x.error))) for x in lost
        ]
        facts = {
            "step": self.step,
            "finished": _now(),
            "unfinished": unfinished,
            "lost": len(failures),
            "seconds": round(time.monotonic() - self.started, 1),
            "parameters": counted(self.step, self.p, self.notebooks),
            **self._code(),
            "inputs": {self.place(path): fingerprint(path) for path in map(Path, inputs)},
            "outputs": [self.place(path) for path in map(Path, outputs)],
        }
        self._replace_failures(failures)
        self.write_json(f"steps/{self.step}.json", facts)
        return facts

    def _code(self) -> dict:
        """Digests of the code that this notebook ran, by its imports and by modules loaded by
        name.
        """
        modules = code_digest.used()
        if self.step in files.NOTEBOOKS[:4]:
            # Networks compute missing arrays, some in other processes, and a record must not depend
            # on that. The version of an array stands for the code of its network.
            modules = {
                name: module_digests
                for name, module_digests in modules.items()
                if not name.startswith(NETWORK_MODULES)
            }
        digests = code_digest.digests(self.step, modules, self.notebooks)
        for earlier in (*modules.values(), self.code):
            digests |= {file: digest for file, digest in earlier.items() if file in digests}
        return {"code": digests, "modules": sorted(modules)}

    def _replace_failures(self, failures: list[dict]) -> None:
        rows = [row for row in self.failures() if row["step"] != self.step] + failures
        if rows or (self.folder / "failures.csv").is_file():
            text = io.StringIO()
            writer = csv.DictWriter(text, FAILURE_COLUMNS)
            writer.writeheader()
            writer.writerows({name: quoted(value) for name, value in row.items()} for row in rows)
            self.write_text("failures.csv", text.getvalue())

    def stopped(self, error: Exception) -> None:
        """Write the error that stops this notebook, with its traceback, into failures.csv; the next
        record of the notebook removes the row.
        """
        if self.folder.is_dir():
            self._replace_failures([_failure(self.step, "the notebook stopped", error)])

    def failures(self) -> list[dict]:
        """The rows of failures.csv: what was lost, in which notebook, and what to do."""
        path = self.folder / "failures.csv"
        if not path.is_file():
            return []
        try:
            rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, csv.Error) as error:
            raise files.damaged(path, error) from error
        if any(set(row) != set(FAILURE_COLUMNS) for row in rows):
            raise files.damaged(path, f"its columns are not {', '.join(FAILURE_COLUMNS)}")
        return [{name: unquoted(value) for name, value in row.items()} for row in rows]

    def place(self, path: Path) -> str:
        """A path as records keep it: ``<run>/…``, ``<data_root>/…`` and the like, else relative to
        the repository.

        So a record does not depend on where data lie; changed data count as changed inputs by their
        fingerprints.
        """
        path = Path(path).absolute()
        inside = {name: root for name, root in self._roots().items() if path.is_relative_to(root)}
        if inside:
            name, root = max(inside.items(), key=lambda item: len(item[1].parts))
            return str(Path(f"<{name}>", path.relative_to(root)))
        return str(path.relative_to(files.ROOT) if path.is_relative_to(files.ROOT) else path)

    def found(self, text: str) -> Path:
        """The absolute path of a text that `place` made, by this run's parameters."""
        match = re.match(r"<(\w+)>(?:/|$)", text)
        root = self._roots().get(match[1]) if match else None
        return files.ROOT / text if root is None else root / text[match.end() :]

    def _roots(self) -> dict[str, Path]:
        paths = {
            name: self.p.get(name)
            for name in grammar.of_groups(grammar.all_declared(), ["place"])
            if name.endswith("_root")
        }
        roots = {name: files.resolve(value).absolute() for name, value in paths.items() if value}
        return {**roots, "run": self.folder.absolute()}


def quoted(value: object) -> object:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; other values are
    unchanged. `unquoted` removes it.
    """
    if not isinstance(value, str) or not FORMULA.match(value) or NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def unquoted(value: object) -> object:
    """The original text of `quoted`."""
    is_quoted = isinstance(value, str) and value[:1] == "'" and FORMULA.match(value[1:])
    return value[1:] if is_quoted else value


def counted(step: str, values: Mapping, notebooks: Path = SHIPPED) -> dict:
    """The `values` that a notebook reads and that change its results."""
    read = grammar.read_by(step, notebooks)
    optional = [name for name in OPTIONAL_PLACES if name in read and values.get(name)]
    return {
        name: as_text(values[name])
        for name, declaration in read.items()
        if declaration.group not in grammar.WITHOUT_EFFECT
    } | dict.fromkeys(optional, "given")


def start(step: str, p: Mapping, notebooks: Path = SHIPPED) -> Run:
    """Open the run folder of checked parameters; the check cell calls ``run =
    runs.start("05_train", p)``.

    The folder's ``params.yaml`` and ``environment.json`` are written unless the runner has done so.
    If the folder was made with another parameter file, a line says so. Raises InputError when the
    folder holds a run of another recipe or data set.
    """
    open_files.require()  # raises the soft limit of open files, also in JupyterLab
    run = Run(Path(p["runs_root"]) / p["run"], step, p, notebooks)
    values = {name: as_text(value) for name, value in p.items()}
    if not values.get("params_file"):
        values.pop("params_file", None)  # the runner has written params.yaml, which names its file
    earlier = parameters(run.folder).get("params_file")
    if earlier and values.get("params_file", earlier) != earlier:
        sys.stdout.write(
            f"{run.folder} was made with {earlier}, this notebook reads {values['params_file']}\n"
        )
    remember(run, values, getattr(p, "elsewhere", {}))
    keep_frames(run.stopped)
    return run


def remember(run: Run, values: Mapping, elsewhere: Mapping | None = None) -> None:
    """Merge parameters into the folder's ``params.yaml``; write ``environment.json`` if absent.

    elsewhere : values of other notebooks, which do not replace those in the folder.
    """
    before = parameters(run.folder)
    refuse_other(run.folder, values)
    rest = {name: as_text(value) for name, value in (elsewhere or {}).items()}
    values = {**{name: rest[name] for name in rest if name not in before}, **values}
    if any(name not in before or before[name] != value for name, value in values.items()):
        text = yaml.safe_dump({**before, **values}, sort_keys=False, allow_unicode=True)
        run.write_text("params.yaml", text)
    if not (run.folder / "environment.json").is_file():
        run.write_json("environment.json", environment(run.p.get("device", ""), **_facts(values)))


def _facts(values: Mapping) -> dict:
    return {name: values[name] for name in ("dataset", "recipe", "rules") if name in values}


def parameters(folder: Path) -> dict:
    """The parameters that a run folder was made with; empty without params.yaml.

    Raises InputError for a params.yaml that is damaged.
    """
    path = Path(folder) / "params.yaml"
    return _copied(_parameters(path, files.version(path))) if path.is_file() else {}


def recorded(folder: Path, names: Mapping[str, grammar.Declaration]) -> dict:
    """The values of `names` that notebooks 01 to 04 recorded in a run folder; empty if none has
    ended.

    If several notebooks read a name, the value of the one that ended last counts. Folders and files
    are taken from ``params.yaml``, and only if they exist: a run folder may have come from another
    machine.
    """
    run = Run(folder)
    steps = [f"steps/{step}.json" for step in files.NOTEBOOKS[:4]]
    records = {step: record for step in steps if (record := run.read_json(step, {}))}
    if not records:
        return {}
    kept = parameters(folder)
    places = grammar.of_groups(names, ["place"]) & kept.keys()
    values = {name: kept[name] for name in places if _is_place(kept[name])}
    by_end = sorted(records, key=lambda step: str(records[step].get("finished", "")))
    for step in by_end:
        settings = records[step].get("parameters")
        if not isinstance(settings, dict):
            raise files.damaged(run.folder / step, "it has no parameters")
        values |= settings
    return {name: values[name] for name in names if name in values}


def _is_place(value: object) -> bool:
    return isinstance(value, str) and (not value or files.resolve(value).exists())


@lru_cache(maxsize=4096)
def _parameters(path: Path, _changed: tuple) -> dict:
    values = documents.read_yaml(path)
    if not isinstance(values, dict | None):
        raise InputError(
            "no `name: value` lines",
            where=path,
            expected="the parameters of this run, as it was written",
            todo="copy it back, or give this experiment another name with `run`",
        )
    return values or {}


def _copied(value: object) -> object:
    """A deep copy, so that a caller cannot change the cached values."""
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def read_numbers(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Column -> (T,) float64 for those of `columns` that a CSV file of ours has; NaN where empty.

    For many small files this is several times as fast as `read_table`, to which it leaves files
    that are not plain or are damaged.
    """
    import numpy as np

    try:
        with Path(path).open(encoding="utf-8") as stream:
            header = stream.readline().rstrip("\n").split(",")
            places = [header.index(name) for name in columns]
            first = next((line for line in stream if line.strip()), "")
            if not first:  # NumPy would warn
                return {name: np.empty(0) for name in columns}
            lines = itertools.chain([first], stream)
            how = {"delimiter": ",", "quotechar": '"', "ndmin": 2, "converters": _number}
            rows = np.loadtxt(lines, usecols=places, **how)
        return dict(zip(columns, rows.reshape(-1, len(columns)).T, strict=True))
    except (OSError, ValueError):
        table = read_table(path)
    return {name: table[name].to_numpy(float) for name in columns if name in table}


def _number(text: str) -> float:
    return float(text) if text else math.nan


def read_table(path: Path | TextIO, **how) -> pd.DataFrame:
    """Read a CSV file of ours, such as a history or predictions, or the text of one; `how` :
    further arguments of `pandas.read_csv`.

    All columns but those of `TEXT_COLUMNS` are numbers. Raises InputError with file, reason and
    remedy for a damaged file.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, **how)
    except (OSError, ValueError, OverflowError, MemoryError, csv.Error) as error:
        raise files.damaged(path, error) from error
    if len(table.columns) == 1 and ";" in table.columns[0]:
        raise files.damaged(path, "semicolons separate its columns, as a spreadsheet writes them")
    for name in table:
        if name not in TEXT_COLUMNS and table[name].dtype.kind not in "biuf":
            raise files.damaged(path, f"the column {str(name)[:40]} holds more than numbers")
    return table


def require_columns(path: Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError for the table of a file that lacks one of `columns`."""
    for name in columns:
        if name not in table:
            raise files.damaged(path, f"there is no column {name}")


def refuse_other(folder: Path, values: Mapping) -> None:
    """Raise InputError when `folder` holds a run of another recipe or data set than `values`."""
    before = parameters(folder)
    for name, label in (("dataset", "data set"), ("recipe", "recipe")):
        if name in before and name in values and before[name] != values[name]:
            raise InputError(
                f"this run folder belongs to the {label} {before[name]}, not to {values[name]}",
                where=folder,
                todo="give this run another name (`run: …`), or move that folder",
            )


def folder_of_video(run: Run, video: Path) -> Path:
    """Folder of the results of a person's own recording: ``<run>/videos/<name>/``.

    A different file of the same name (by its content) gets ``<its folder>-<name>``, then ``-2``, …;
    the folder records which file it belongs to.
    """
    video = Path(video)
    stem = files.safe_name(video.stem)
    beside = files.safe_name(f"{video.absolute().parent.name}-{video.stem}")
    further = (f"{beside}-{number}" for number in itertools.count(2))
    mine = fingerprint(video)
    for name in itertools.chain([stem, beside], further):
        file = f"videos/{name}/recording.json"
        before = run.read_json(file, {})
        if not before:
            run.write_json(file, mine)
        if before in ({}, mine):
            return run.path("videos", name)
    raise AssertionError("names do not end")


def fingerprint(path: Path) -> dict:
    """`store.fingerprint`; for an array of the store that of its JSON, which names its sources."""
    sidecar = Path(path).with_suffix(".json")
    if path.suffix == ".npy" and sidecar.is_file():
        return store.sidecar_fingerprint(sidecar)
    return store.fingerprint(path) if path.exists() else {"missing": True}


def as_text(value: object) -> object:
    """A parameter in the form for YAML: a path as text, relative if it lies in the repository."""
    if isinstance(value, Path):
        inside = value.is_relative_to(files.ROOT)
        return str(value.relative_to(files.ROOT) if inside else value)
    return value


def _failure(step: str, item: object, error: Exception) -> dict:
    details = {name: getattr(error, name, "") for name in FAILURE_COLUMNS[2:]}
    details["what"] = details["what"] or str(error)
    if error.__traceback__ and not details["traceback"]:
        details["traceback"] = "".join(traceback.format_exception(error))
    return {"step": step, "item": str(getattr(item, "trial", item)), **details}


def _plain(value: object) -> object:
    """The value as Python's own numbers, texts, lists and mappings; NaN and infinity, which JSON
    lacks, become None.
    """
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        return _plain(value.tolist())
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return str(value) if isinstance(value, Path) else value


def environment(device: str = "", **facts) -> dict:
    """The environment of a computation: versions, machine, git commit, `device`."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "device": device,
        **facts,
        "git": _git(),
        "versions": _versions(),
        "written": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    """Versions of the packages that requirements.txt names, from metadata: nothing is imported."""
    # Installing a package changes the folder that it is installed in.
    folders = [Path(folder) for folder in sys.path if Path(folder).is_dir()]
    required = files.ROOT / "requirements.txt"
    state = tuple(files.version(path) for path in (required, *folders))
    return dict(_read_versions(required, state))


@lru_cache(maxsize=1)
def _read_versions(required: Path, _state: tuple) -> dict[str, str]:
    """Reading the metadata of forty packages takes as long as a small step of an experiment, and a
    runner writes the environment at each step.
    """
    text = required.read_text(encoding="utf-8")
    versions = {}
    for name in re.findall(r"^([A-Za-z][\w.-]*)", text, re.MULTILINE):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _git() -> dict:
    """The commit of this checkout, and whether its files differ from it; empty without git."""
    ask = ["git", "status", "--porcelain=v2", "--branch"]
    try:
        answer = subprocess.run(ask, cwd=files.ROOT, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {"commit": "", "changed": False}
    head = re.search(r"^# branch\.oid ([0-9a-f]+)$", answer.stdout, re.MULTILINE)
    changed = any(not line.startswith("#") for line in answer.stdout.splitlines())
    return {"commit": head[1] if head else "", "changed": changed}
