"""Run folders: what notebooks leave behind, so that a run can be repeated or skipped.

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

NOTEBOOKS = files.ROOT / "notebooks"
# Places without which a table is not made: whether they are named counts, not where they lie.
OPTIONAL_PLACES = ("segments_path",)
# How a formula begins in a spreadsheet; apostrophes before it are those of `quoted`.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")
# Columns of our tables that hold words: who it is, what was decided by name, what must be said.
WORDS = ("person", "face", "expression", "note")
NETWORKS = f"{__package__}.models."  # how the modules of networks are called
FAILURE_COLUMNS = ("step", "item", "what", "where", "expected", "todo", "traceback")


class Run:
    """A run folder, opened by one notebook (`step`) with checked parameters `p`; see `start`."""

    def __init__(
        self, folder: Path, step: str = "", p: Mapping | None = None, notebooks: Path = NOTEBOOKS
    ):
        self.folder, self.step, self.p, self.notebooks = Path(folder), step, p or {}, notebooks
        self.started = time.monotonic()
        # Taken now: what is edited while the notebook runs is not what it ran.
        self.code = code_digest.digests(step, folder=notebooks) if step and self.p else {}

    def __repr__(self) -> str:
        done = ", ".join(path.stem for path in sorted(self.folder.glob("steps/*.json")))
        return f"run {self.folder.name} in {self.folder} (done: {done or 'nothing yet'})"

    @property
    def name(self) -> str:
        return self.folder.name

    def path(self, *parts: str) -> Path:
        """Place of a file in the folder; the folder that holds it is made."""
        place = self.folder.joinpath(*parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def write_text(self, name: str, text: str) -> Path:
        """Write a file whole or not at all."""
        return files.write_text(self.folder.joinpath(name), text)

    def write_json(self, name: str, value: object) -> Path:
        """Write JSON; numbers of numpy are turned into Python's, NaN into null."""
        text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
        return self.write_text(name, text + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write a table for people as CSV: no text in it is a formula to a spreadsheet."""
        shown = table.map(quoted).rename(columns=quoted)
        return self.write_text(name, shown.to_csv(index=False))

    def read_json(self, name: str, default: object = None) -> object:
        """Read a JSON object; `default` without the file. Raises InputError if it is damaged."""
        place = self.folder / name
        return files.read_mapping(place) if place.is_file() else default

    def record(
        self,
        inputs: Iterable[Path] = (),
        outputs: Iterable[Path] = (),
        lost: Iterable = (),
        unfinished: str = "",
    ) -> dict:
        """Note what this notebook was made from and what it made; its last cell calls this.

        Arguments
        ---------
        inputs : files and folders it read. An array of the store counts by the JSON beside it.
        outputs : files and folders it wrote: when one is gone, the notebook is executed again.
        lost : outcomes of `cluster.map` that failed, or (item, error) pairs: rows of failures.csv.
        unfinished : why it stopped before its end (a time limit): the runner ends with status 75.
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
        """The code that this notebook ran, as it was then: by its imports, and found by name."""
        modules = code_digest.used()
        if self.step in files.NOTEBOOKS[:4]:
            # Networks compute what is not there yet, some in other processes: a record must not
            # depend on that. The version of an array stands for the code of its network.
            modules = {
                name: each for name, each in modules.items() if not name.startswith(NETWORKS)
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
        """Note in failures.csv the error that stops this notebook, with its frames; the record of
        its next end removes the row.
        """
        if self.folder.is_dir():
            self._replace_failures([_failure(self.step, "the notebook stopped", error)])

    def failures(self) -> list[dict]:
        """Rows of failures.csv: what was lost, in which notebook, and what to do."""
        place = self.folder / "failures.csv"
        if not place.is_file():
            return []
        try:
            rows = list(csv.DictReader(io.StringIO(place.read_text(encoding="utf-8"))))
        except (OSError, ValueError, csv.Error) as error:
            raise files.damaged(place, error) from error
        if any(set(row) != set(FAILURE_COLUMNS) for row in rows):
            raise files.damaged(place, f"its columns are not {', '.join(FAILURE_COLUMNS)}")
        return [{name: unquoted(value) for name, value in row.items()} for row in rows]

    def place(self, path: Path) -> str:
        """A path as records keep it: ``<run>/…``, ``<data_root>/…`` and the like, else relative to
        the repository.

        So a record says what was read, not where: another data root with other data in it counts as
        other inputs.
        """
        path = Path(path).absolute()
        inside = {name: root for name, root in self._roots().items() if path.is_relative_to(root)}
        if inside:
            name, root = max(inside.items(), key=lambda item: len(item[1].parts))
            return str(Path(f"<{name}>", path.relative_to(root)))
        return str(path.relative_to(files.ROOT) if path.is_relative_to(files.ROOT) else path)

    def found(self, place: str) -> Path:
        """The path that `place` kept, under the places of this run's parameters."""
        match = re.match(r"<(\w+)>(?:/|$)", place)
        root = self._roots().get(match[1]) if match else None
        return files.ROOT / place if root is None else root / place[match.end() :]

    def _roots(self) -> dict[str, Path]:
        given = {
            name: self.p.get(name)
            for name in grammar.of_groups(grammar.all_declared(), ["place"])
            if name.endswith("_root")
        }
        roots = {
            name: (files.ROOT / Path(value).expanduser()).absolute()
            for name, value in given.items()
            if value
        }
        return {**roots, "run": self.folder.absolute()}


def quoted(value: object) -> object:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it; everything
    else as it is. `unquoted` takes it away again.
    """
    if not isinstance(value, str) or not FORMULA.match(value) or NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def unquoted(value: object) -> object:
    """The text that `quoted` was given."""
    is_quoted = isinstance(value, str) and value[:1] == "'" and FORMULA.match(value[1:])
    return value[1:] if is_quoted else value


def counted(step: str, values: Mapping, notebooks: Path = NOTEBOOKS) -> dict:
    """Those of `values` that a notebook reads and that change what it makes."""
    read = grammar.read_by(step, notebooks)
    given = [name for name in OPTIONAL_PLACES if name in read and values.get(name)]
    return {
        name: as_text(values[name])
        for name, declaration in read.items()
        if declaration.group not in grammar.WITHOUT_EFFECT
    } | dict.fromkeys(given, "given")


def start(step: str, p: Mapping, notebooks: Path = NOTEBOOKS) -> Run:
    """Open the run folder of checked parameters; the check cell calls ``run =
    runs.start("05_train", p)``.

    The folder's ``params.yaml`` and ``environment.json`` are written when the runner has not done
    so. A folder that was made with another parameter file is named in a line of text. Raises
    InputError when the folder holds a run of another recipe or data set.
    """
    open_files.require()  # also in JupyterLab; raises the soft limit
    run = Run(Path(p["runs_root"]) / p["run"], step, p, notebooks)
    values = {name: as_text(value) for name, value in p.items()}
    if not values.get("params_file"):
        values.pop("params_file", None)  # the runner's: params.yaml names the file it was given
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

    elsewhere : values of other notebooks; of them, what the folder knows stays.
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
    """The parameters that a run folder was made with, empty when there is none.

    Raises InputError for a params.yaml that is damaged.
    """
    place = Path(folder) / "params.yaml"
    return _copied(_parameters(place, files.version(place))) if place.is_file() else {}


def recorded(folder: Path, names: Mapping[str, grammar.Declaration]) -> dict:
    """What notebooks 01 to 04 recorded of `names` in a run folder; empty where none has ended.

    Of a name that several of them read, the value of the one that ended last. A folder or file
    counts as ``params.yaml`` has it, and only if it is (still) there: a run folder may have come
    from another machine.
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
        given = records[step].get("parameters")
        if not isinstance(given, dict):
            raise files.damaged(run.folder / step, "it has no parameters")
        values |= given
    return {name: values[name] for name in names if name in values}


def _is_place(value: object) -> bool:
    return isinstance(value, str) and (not value or files.resolve(value).exists())


@lru_cache(maxsize=4096)
def _parameters(place: Path, _changed: tuple) -> dict:
    values = documents.read_yaml(place)
    if not isinstance(values, dict | None):
        raise InputError(
            "no `name: value` lines",
            where=place,
            expected="the parameters of this run, as it was written",
            todo="copy it back, or give this experiment another name with `run`",
        )
    return values or {}


def _copied(value: object) -> object:
    """A copy whose lists and mappings are its own, so that nobody changes what is kept."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def read_numbers(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Column -> (T,) float64 of those of `columns` that a CSV file of ours has, NaN where empty.

    Many small files are read several times as fast as by `read_table`, which reads what is not
    plain, and says what is damaged.
    """
    import numpy as np

    try:
        with Path(path).open(encoding="utf-8") as stream:
            header = stream.readline().rstrip("\n").split(",")
            places = [header.index(name) for name in columns]
            first = next((line for line in stream if line.strip()), "")
            if not first:  # numpy would warn
                return {name: np.empty(0) for name in columns}
            lines = itertools.chain([first], stream)
            how = {"delimiter": ",", "quotechar": '"', "ndmin": 2, "converters": _number}
            rows = np.loadtxt(lines, usecols=places, **how)
        return dict(zip(columns, rows.reshape(-1, len(columns)).T, strict=True))
    except (OSError, ValueError):
        table = read_table(path, usecols=lambda name: name in columns)
    return {name: table[name].to_numpy(float) for name in table}


def _number(text: str) -> float:
    return float(text) if text else math.nan


def read_table(path: Path | TextIO, **how) -> pd.DataFrame:
    """A CSV file of ours, such as a history or predictions, or the text of one; `how` as
    `pandas.read_csv` takes it.

    All columns but those of `WORDS` are numbers. Raises InputError with the file, the reason and
    the way out for one that is damaged.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, **how)
    except (OSError, ValueError, OverflowError, MemoryError, csv.Error) as error:
        raise files.damaged(path, error) from error
    for name in table:
        if name not in WORDS and table[name].dtype.kind not in "biuf":
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
    """Where all that is found in a recording of one's own is written: ``<run>/videos/<name>/``.

    Another file of that name, by its content, gets ``<its folder>-<name>``, then ``-2``, …; the
    folder keeps which file it is of.
    """
    video = Path(video)
    stem = files.safe_name(video.stem)
    beside = files.safe_name(f"{video.absolute().parent.name}-{video.stem}")
    further = (f"{beside}-{number}" for number in itertools.count(2))
    mine = fingerprint(video)
    for name in itertools.chain([stem, beside], further):
        place = f"videos/{name}/recording.json"
        before = run.read_json(place, {})
        if not before:
            run.write_json(place, mine)
        if before in ({}, mine):
            return run.path("videos", name)
    raise AssertionError("names do not end")


def fingerprint(path: Path) -> dict:
    """`store.fingerprint`; of an array of the store that of its JSON, which says its sources."""
    sidecar = Path(path).with_suffix(".json")
    if path.suffix == ".npy" and sidecar.is_file():
        return store.sidecar_fingerprint(sidecar)
    return store.fingerprint(path) if path.exists() else {"missing": True}


def as_text(value: object) -> object:
    """A parameter as YAML keeps it: a path as text, relative where it lies in the repository."""
    if isinstance(value, Path):
        inside = value.is_relative_to(files.ROOT)
        return str(value.relative_to(files.ROOT) if inside else value)
    return value


def _failure(step: str, item: object, error: Exception) -> dict:
    told = {name: getattr(error, name, "") for name in FAILURE_COLUMNS[2:]}
    told["what"] = told["what"] or str(error)
    if error.__traceback__ and not told["traceback"]:
        told["traceback"] = "".join(traceback.format_exception(error))
    return {"step": step, "item": str(getattr(item, "trial", item)), **told}


def _plain(value: object) -> object:
    """Python's own numbers, texts, lists, mappings; NaN and infinity (not JSON) become null."""
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
    """Where and with what something was computed: versions, machine, git commit, `device`."""
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
    """Versions of the packages that pyproject.toml names, from metadata: nothing is imported."""
    text = (files.ROOT / "requirements.txt").read_text(encoding="utf-8")
    found = {}
    for name in re.findall(r"^([A-Za-z][\w.-]*)", text, re.MULTILINE):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git() -> dict:
    def ask(*words):
        try:
            answer = subprocess.run(
                ["git", *words], cwd=files.ROOT, capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return answer.stdout.strip() if answer.returncode == 0 else ""

    return {"commit": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain"))}
