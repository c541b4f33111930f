"""Parameters: what the notebooks declare, what a YAML file sets, and whether the two fit.

One experiment is one flat YAML file. The notebooks' cells tagged ``parameters`` declare the
parameters (grammar: `lib.grammar`); parameters that only one recipe reads go into ``options``,
which the recipe's file declares.
"""

from __future__ import annotations

import ast
import codecs
import contextlib
import math
import os
import sys
import textwrap
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path

from . import runs
from .errors import InputError, nearest_name
from .files import (
    MAX_NAME_BYTES,
    NAME_BYTES,
    NOTEBOOKS,
    PACKAGE,
    ROOT,
    YOUR_VIDEO,
    file_in_place_of,
    folded,
    resolve,
    short,
)
from .grammar import (
    NOT_OF_A_TRAINING,
    SHIPPED,
    Declaration,
    all_declared,
    declared,
    defaults,
    of_groups,
    once_while_unchanged,
    recipes,
    recorded,
)
from .media import documents

# Parameters that name a person's own input file, which must exist before anything starts.
MUST_EXIST = ("video_path",)

WRITTEN_TO = ("runs_root", "processed_root", "clips_root")  # folders, which are made

# Parameters that name a run or a weights file.
NETWORKS = ("predict_run", "backbone_run", "speaker_run", "voice_run")

# The notebook that reads everything a training decided from the run's params.yaml.
AFTER_TRAINING = NOTEBOOKS[5]

ALIKE_FILES = 0.8  # ratio (`nearest_name`) from which on another file is offered for a missing one
LINE_WIDTH = 96  # characters of an output line that JupyterLab does not break
# from which ratio on (`nearest_name`) a name in a cell is told as a mistyped parameter
MISTYPED_RATIO = 0.8
NO_BREAK = "\N{NO-BREAK SPACE}"

# `make lab PARAMS=params/x.yaml` names a file for all notebooks, in this environment variable.
PARAMS_FILE = "NOTEBOOKS_PARAMS_FILE"


class Params(Mapping):
    """Checked parameters, read-only: ``p.lr`` or ``p["lr"]``; ``dict(p)`` for all of them.

    elsewhere : the complete parameters of the experiment, including those of other notebooks, if a
    parameter file was read; else empty.
    """

    def __init__(self, values: Mapping, elsewhere: Mapping | None = None):
        object.__setattr__(self, "_values", dict(values))
        object.__setattr__(self, "elsewhere", dict(elsewhere or {}))

    def __getattr__(self, name: str):
        # asked for by copy and pickle before __init__
        if name.startswith("__") or name == "_values":
            raise AttributeError(name)
        if name not in self._values:
            raise AttributeError(f"no parameter is called {name}{_nearest(name, self._values)}")
        return self._values[name]

    def __setattr__(self, name: str, value: object):
        raise AttributeError(
            f"parameters are read-only: set {name} in the parameters cell, then check again"
        )

    def __getitem__(self, name: str):
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self):
        return Params, (self._values,)

    def __repr__(self) -> str:
        width = max(map(len, self._values), default=0)
        shown = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in self._values.items()
        }
        return "\n".join(f"{name:<{width}}  {value!r}" for name, value in shown.items())


def _nearest(name: str, known) -> str:
    near = nearest_name(name, known)
    return f"; did you mean {near}?" if near else ""


# ---- files
def load(files: list[Path], overrides: Mapping[str, str] | None = None) -> dict:
    """Raw values of parameter files, later ones winning, then of ``-p name value`` overrides.

    An override is read by its declared type: a text is taken literally (``# 2``, ``@me``, ``no``);
    everything else is YAML.

    ``options`` are merged name by name, so that an overlay can set one; all else is replaced.
    """
    levels = [deepcopy(_raw(Path(path))) for path in files]
    declared = all_declared()
    typed = {
        name: typed_value(text, declared[name].type if name in declared else "", f"-p {name}")
        for name, text in (overrides or {}).items()
    }
    return merged([*levels, typed], ("options",))


@once_while_unchanged
def _raw(path: Path) -> dict:
    if path.is_dir():
        raise InputError("this is a folder", where=path, expected="a parameter file")
    if not path.is_file():
        raise InputError(f"no such parameter file{_offered(path)}", where=path)
    values = documents.read_yaml(path)
    if not isinstance(values, dict | None):
        raise InputError("no `name: value` lines", where=path, expected="one flat YAML mapping")
    return {str(name): value for name, value in (values or {}).items()}


def typed_value(text: str, kind: str, where: str) -> object:
    """What a text of the command line says, as a value of the declared type `kind` ("" for none);
    two quotes with nothing between them are the empty text.
    """
    if kind == "str":
        return "" if text in ('""', "''") else text
    value = documents.yaml_value(text, where)
    if isinstance(value, str) and kind == "float":
        with contextlib.suppress(ValueError):
            return float(value)  # 1e-4 is a number, though YAML 1.1 reads it as text
    return "" if value is None else value


def _offered(path: Path) -> str:
    """The file that a mistyped name probably means: in its own folder, or in params/
    (``sample_tsav``).
    """
    shipped = ROOT / "params" / f"{path.stem}.yaml"
    if shipped.is_file():
        return f"; did you mean params/{shipped.name}?"
    beside = [other.name for other in path.parent.glob("*.y*ml")]
    return _nearest(path.name, beside) or _nearest(
        path.stem, [f"params/{other.stem}" for other in shipped.parent.glob("*.yaml")]
    )


def merged(levels: Iterable[Mapping], mappings: Container[str]) -> dict:
    """Values of several levels, later ones winning; those of `mappings` are merged name by name."""
    values: dict = {}
    for level in levels:
        for name, value in level.items():
            below = values.get(name)
            both = isinstance(below, dict) and isinstance(value, dict) and name in mappings
            values[name] = {**below, **value} if both else value
    return values


# ---- checks
def validate(
    values: Mapping,
    names: Mapping[str, Declaration] | None = None,
    partial: bool = False,
    folder: Path = PACKAGE / "recipes",
) -> list[str]:
    """Everything that is wrong with `values`, one sentence each; an empty list if nothing is.

    Arguments
    ---------
    values : name → raw value.
    names : the declarations; by default those of all notebooks.
    partial : the values are an overlay: if it names no recipe, its options may be those of any
        recipe.
    folder : where the recipes' files are.
    """
    names = all_declared() if names is None else names
    known = recipes(folder)
    outside = _options_outside(values, names, known)
    within = {name: value for name, value in values.items() if name not in outside}
    return [
        *wrong_values(within, names),
        *outside.values(),
        *_wrong_recipe(values, names, partial, known),
        *_warmup_at_odds(values, names, known),
        *no_scale(values.get("label_range", [])),
        *_no_such_fold(values, names),
        *no_names(values, names),
        *_no_folders(values),
        *_missing_files(values),
        *_no_recordings(values),
    ]


def wrong_values(values: Mapping, names: Mapping[str, Declaration]) -> list[str]:
    """A sentence for each of `values` that `names` do not declare, or that has a wrong value."""
    problems = []
    for name, value in values.items():
        problems += _wrong(name, value, names, "no such parameter")
    return problems


def _options_outside(values: Mapping, names: Mapping, known: Mapping) -> dict[str, str]:
    """A sentence for each of `values` that is an option of the recipe and stands beside `options`,
    also as a sweep's grid writes it (``options.dropout``).
    """
    recipe = values.get("recipe")
    usable = known.get(recipe, {}) if isinstance(recipe, str) else {}
    short = {name: name.removeprefix("options.") for name in values if name not in names}
    return {
        name: f"{name}: an option of the recipe {recipe}: write options: {{{option}: …}}"
        for name, option in short.items()
        if option in usable
    }


def _wrong(name: str, value: object, names: Mapping[str, Declaration], unknown: str) -> list[str]:
    if name not in names:
        return [f"{name}: {unknown}{_nearest(name, names)}"]
    try:
        names[name].read(value)
    except InputError as error:
        lacking = _lacking(name, value)
        return [f"{name}: {error.what}" + f"; {lacking}" * bool(lacking)]
    return []


ADDED = {  # parameter -> folder of files that a person may add, what such a file needs
    "dataset": ("datasets", "function find(root, dataset, progress)"),
    "recipe": ("recipes", "class Recipe"),
}


def _lacking(name: str, value: object) -> str:
    """What the file lacks that a person added for this value; "" if there is no such file."""
    if name not in ADDED or not isinstance(value, str) or not value.isidentifier():
        return ""
    folder, needed = ADDED[name]
    file = PACKAGE / folder / f"{value}.py"
    return f"{short(file)} is there, but has no {needed}" if file.is_file() else ""


def _wrong_recipe(values: Mapping, names: Mapping, partial: bool, known: Mapping) -> list[str]:
    recipe = values.get("recipe", names["recipe"].default if "recipe" in names else "")
    given = values.get("options", {})
    if "recipe" in values and isinstance(recipe, str) and recipe not in known:
        available = ", ".join(known)
        if lacking := _lacking("recipe", recipe):
            return [f"recipe: {lacking}"]
        return [
            f"recipe: no file lib/recipes/{recipe}.py{_nearest(recipe, known)} "
            f"(there are: {available})"
        ]
    if not isinstance(given, dict) or not isinstance(recipe, str):
        return []
    usable = known.get(recipe, {})
    if partial and "recipe" not in values:
        usable = {}
        for options in known.values():
            usable |= options
    problems = []
    for name, value in given.items():
        problems += _wrong(name, value, usable, f"the recipe {recipe} has no such option")
    return [f"options, {problem}" for problem in problems]


def _warmup_at_odds(values: Mapping, names: Mapping, known: Mapping) -> list[str]:
    """`second_rise` for readable values, if the recipe uses the shared warm-up in fractions of
    epochs; LFAN's release course has its own.
    """
    options, recipe = values.get("options"), values.get("recipe")
    settings = {name: names[name].default for name in ("schedule", "epochs") if name in names}
    settings |= {name: values[name] for name in settings if name in values}
    warmup = options.get("warmup") if isinstance(options, dict) else None
    usable = known.get(recipe, {}) if isinstance(recipe, str) else {}
    of_all = "warmup" in usable and usable["warmup"].type == "float"
    if not of_all or any(not _is_number(value) for value in (warmup, settings.get("epochs"))):
        return []
    rises = second_rise(settings.get("schedule", ""), warmup, settings["epochs"])
    return [f"options, {problem}" for problem in rises]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def second_rise(schedule: object, warmup: float, epochs: float) -> list[str]:
    """The problem with a warm-up of so many epochs if the schedule has a rise of its own, or if the
    warm-up ends after the training; in the form of `refuse`.
    """
    if warmup and schedule == "onecycle":
        return [
            f"warmup: {warmup:g} with schedule: onecycle, which has a rise of its own: set "
            "schedule: cosine, or leave warmup out"
        ]
    if warmup > epochs:
        return [
            f"warmup: {warmup:g} of {epochs:g} epochs, but a warm-up ends before the training "
            "does: lower warmup, or raise epochs"
        ]
    return []


def no_scale(value: object) -> list[str]:
    """The problem with `label_range`, in the form of `refuse`; wrong types are found by
    `wrong_values`.
    """
    if not isinstance(value, list | tuple) or not all(map(_is_number, value)):
        return []
    if not value or (len(value) == 2 and -math.inf < value[0] < value[1] < math.inf):
        return []
    return [
        f"label_range: {list(value)} is no scale: write its lowest and its highest value, as "
        "[1, 9], or [] for −1…1"
    ]


def _no_such_fold(values: Mapping, names: Mapping) -> list[str]:
    """The problem with a `fold` that `n_folds` in the same experiment does not make. Where it makes
    none, the data set's folder may have a file of folds from an earlier run.
    """
    given = {
        name: values.get(name, names[name].default)
        for name in ("fold", "n_folds", "fold_rule")
        if name in names
    }
    fold, n_folds = given.get("fold"), given.get("n_folds")
    if given.get("fold_rule") != "subject" or not (_is_number(fold) and _is_number(n_folds)):
        return []
    if not 0 < n_folds <= fold:
        return []
    return [
        f"fold: {fold} with n_folds: {n_folds}, which makes the folds 0 to {n_folds - 1}: lower "
        "fold, or raise n_folds"
    ]


def no_names(values: Mapping, names: Mapping[str, Declaration]) -> list[str]:
    """What is wrong with texts that are to be names of files and folders, before a disk is asked
    for them, as `refuse` takes it.
    """
    problems = []
    for name in (*of_groups(names, ["place"]), *NETWORKS, "run"):
        text = values.get(name)
        if isinstance(text, str) and (why := no_name(text, name == "run")):
            problems.append(f"{name}: {text[:60]!r} cannot be the name of a folder{why}")
    return problems


def no_name(text: str, is_run: bool = False) -> str:
    """Why a text cannot be a path, or the name of a run (of which `-1` and `_sweep` are made)."""
    try:
        longest = max(len(part.encode()) for part in text.split("/"))
    except UnicodeEncodeError:
        return " (a character that is none)"
    if "\0" in text or (is_run and any(ord(character) < ord(" ") for character in text)):
        return " (a control character in it)"
    if is_run and ({"/", "\\"} & set(text) or text in (".", "..")):
        return " (a name is needed; where it lies says runs_root)"
    if is_run and text != text.strip():
        return " (a blank at an end)"
    most = MAX_NAME_BYTES if is_run else NAME_BYTES
    return f" ({longest} bytes, at most {most})" if longest > most else ""


def _no_folders(values: Mapping) -> list[str]:
    """Where a file lies in the place of a folder that results are written to."""
    problems = []
    for name in WRITTEN_TO:
        text = values.get(name)
        if not isinstance(text, str) or not text or no_name(text):
            continue
        if file := file_in_place_of(resolve(text)):
            problems.append(f"{name}: {file} is a file, and no folder")
    return problems


def _missing_files(values: Mapping) -> list[str]:
    paths = {name: values.get(name) for name in MUST_EXIST}
    return [
        f"{name}: no such file or folder: {resolve(value)}{_near_file(resolve(value))}"
        for name, value in paths.items()
        if isinstance(value, str) and value and not no_name(value)
        if not resolve(value).exists()
    ]


def _near_file(path: Path) -> str:
    """The file beside a missing one that was probably meant: of the same name but for capitals,
    blanks, quotation marks or the way accents are stored, else the most similar name.
    """
    if path.is_symlink():
        return f" (it is a link to {os.readlink(path)}, which is not there)"
    try:
        names = [name for name in os.listdir(path.parent) if (path.parent / name).exists()]
    except OSError:
        return ""
    meant = folded(path.name).strip(" \t\r\n\"'")
    same = next((name for name in sorted(names) if folded(name).strip() == meant), "")
    near = same or nearest_name(path.name, names, ALIKE_FILES)
    return f"; did you mean {near!r}, which is there?" if near else ""


def _no_recordings(values: Mapping) -> list[str]:
    """Report a text file given as a recording for what it is."""
    paths = {name: values.get(name) for name in MUST_EXIST}
    files = {
        name: resolve(value)
        for name, value in paths.items()
        if isinstance(value, str) and value and not no_name(value)
    }
    return [
        f"{name}: {file} is text ({_first_line(file)!r}), not a recording"
        for name, file in files.items()
        if file.is_file() and _first_line(file)
    ]


def _first_line(file: Path) -> str:
    """The first line of a text file; "" for another kind of file."""
    with file.open("rb") as stream:
        begin = stream.read(400)
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(begin)  # the last sign may be cut
    except UnicodeDecodeError:
        return ""
    readable = all(character.isprintable() or character.isspace() for character in text)
    return text.strip().partition("\n")[0][:40] if readable else ""


def complete(
    values: Mapping,
    names: Mapping[str, Declaration] | None = None,
    folder: Path = PACKAGE / "recipes",
) -> dict:
    """All declared parameters in their types, with defaults, including the recipe's options.

    Raises InputError that lists everything that is wrong.
    """
    names = all_declared() if names is None else names
    refuse(validate(values, names, folder=folder), "the parameters")
    full = {name: d.read(values.get(name, deepcopy(d.default))) for name, d in names.items()}
    if "options" in full:
        usable = recipes(folder).get(full.get("recipe", ""), {})
        options = {
            name: usable[name].read(value)
            for name, value in full["options"].items()
            if name in usable
        }
        full["options"] = {**{name: d.default for name, d in usable.items()}, **options}
    moved = partial(
        _in_weights_root, root=full.get("weights_root"), usual=names.get("weights_root")
    )
    if isinstance(full.get("options", {}).get("start_from"), str):
        full["options"]["start_from"] = moved(full["options"]["start_from"])
    return {**full, **{name: moved(full[name]) for name in NETWORKS if full.get(name)}}


def _in_weights_root(text: str, root: str | None, usual: Declaration | None) -> str:
    """The path of a network written ``weights/<file>``, as in the shipped parameter files: in
    `weights_root` if that is another folder, unless the file exists where it is written.
    """
    if not root or not usual or resolve(root) == resolve(usual.default):
        return text
    path = Path(text)
    if not path.is_relative_to(usual.default) or resolve(text).is_file():
        return text
    return str(Path(root) / path.relative_to(usual.default))


def refuse(problems: list[str], where: object) -> None:
    """Raise one InputError that lists all `problems`; do nothing without problems."""
    if problems:
        count = "1 parameter cannot" if len(problems) == 1 else f"{len(problems)} parameters cannot"
        raise InputError("\n  - ".join([f"{count} be used:", *problems]), where=where)


def run_name(values: Mapping) -> str:
    """Name of the run folder: `run`, or ``<dataset>_<recipe>``, and a single modality."""
    if values.get("run"):
        return values["run"]
    single = str(values.get("modality", "")).replace("audiovisual", "")
    parts = [values.get("dataset", ""), values.get("recipe", ""), single]
    return "_".join(part for part in parts if part)


def check(
    notebook: str,
    namespace: Mapping,
    folder: Path = SHIPPED,
    fetch: Callable[[Mapping], object] | None = None,
) -> Params:
    """What a notebook's check cell calls: ``p = parameters.check("05_train", globals())``.

    fetch : called with the paths before anything is looked for there: on Colab it first copies a
        person's files from Google Drive (`lib.experiments.colab.fetch`).

    Values come from these sources, of which a later one wins: the shipped default, the file that
    `params_file` names, values that earlier notebooks recorded (for names that this one reads and
    does not declare), values of the run's training (only in `AFTER_TRAINING`), values that a person
    set in a cell, values that papermill injected. Mappings are merged name by name. Values that a
    person set are read from the cells that ran since the last run of the parameters cell (IPython's
    ``In``): an annotated line counts if its value differs from the shipped default, a line without
    a type always counts. If papermill injected values, a file is read only if they name one. What
    the file changed and what was set is printed, a line each.

    Returns Params: the parameters that this notebook reads, with `run` filled in (see `run_name`);
    parameters of the group `place` are absolute paths, "" stays "". `Params.elsewhere` holds the
    file's values for all notebooks. Raises InputError that lists everything that is wrong.
    """
    own = declared(notebook, folder)
    names = {**all_declared(folder), **own}
    left = recorded(notebook, folder)
    cells = _Cells(namespace, names, own)
    path = f"notebooks/{notebook}.ipynb"
    file = cells.file()
    from_file = _of_file(file)
    _refuse_other_method(from_file, cells.given, names, path)
    levels = [from_file]
    by_hand = merged([from_file, cells.given], names)
    refuse(no_names(by_hand, names), path)
    if fetch and (lies := _where_things_lie(by_hand, names)):
        fetch(lies)
    before = _recorded(by_hand, names, left)
    trained = _trained(by_hand, names) if notebook == AFTER_TRAINING else {}
    if trained:
        levels.append({name: v for name, v in trained.items() if from_file.get(name) != v})
    values = merged([from_file, before, trained, cells.given], names)
    unset = [f"{name}: not set; run the parameters cell" for name in own if name not in namespace]
    refuse(validate(values, names) + unset, path)
    full = complete(values, names)
    full["run"] = full["run"] if notebook == YOUR_VIDEO else run_name(full)
    cells.tell(levels, file, full, left)
    cells.tell_recorded(bool(before or trained), from_file, file, full, left)
    shown = {**full, **({"params_file": file} if "params_file" in own else {})}
    read = {**own, **left}
    return Params(
        _absolute({name: shown[name] for name in read}, read), elsewhere=full if file else {}
    )


class _Cells:
    """Values that the cells of a notebook set since the last run of the parameters cell.

    given : name -> value that a person set, or that papermill injected, which wins; undeclared
    names are included. `set_here` are the names that a person set.
    """

    def __init__(self, namespace: Mapping, names: Mapping, own: Mapping):
        self.namespace, self.own = namespace, own
        sources = _since_parameters(namespace.get("In", []), own)
        came = (_constants(source, namespace) for source in reversed(sources) if _injected(source))
        self.injected = next(came, None)
        written = [source for source in sources if not _injected(source)]
        typed = dict(pair for source in written for pair in _assignments(source))
        if not written:  # plain Python, or no cell that assigns enough of the parameters
            typed = dict.fromkeys(own, True)
        by_person = {name: namespace[name] for name in typed if name in namespace}
        by_person = {
            name: value
            for name, value in by_person.items()
            if name in names and not (typed[name] and _is_default(value, names[name]))
        }
        unknown = [name for name in _only_assigned(written[:1]) if name not in names]
        by_person |= {name: namespace[name] for name in unknown if name in namespace}
        self.given = merged([by_person, self.injected or {}], names)
        self.set_here = [name for name in by_person if name not in (self.injected or {})]
        self.alike = _alike(written[1:], names)

    def file(self) -> str:
        """The parameter file to read, "" for none."""
        if "params_file" not in self.own:
            return ""
        if self.injected is not None and "params_file" not in self.injected:
            return ""
        shipped = os.environ.get(PARAMS_FILE) or self.own["params_file"].default
        value = self.given.get("params_file", shipped)
        refuse(wrong_values({"params_file": value}, self.own), "the parameters cell")
        return self.own["params_file"].read(value)

    def tell(
        self, levels: list[Mapping], file: str, full: Mapping, left: Mapping[str, Declaration]
    ) -> None:
        """Print which values differ from those that the cell shows, and which were set here, a line
        each.

        left : names that this notebook reads but does not declare.
        """
        names = [name for name in self.own if self._differs(name, full)]
        for number, source in enumerate((file, f"the training of {full['run']}")[: len(levels)]):
            above = {name for level in levels[number + 1 :] for name in level}
            rows = []
            for name in (name for name in names if name in levels[number].keys() - above):
                value = _brief(_of(levels[number][name], full[name]))
                rows.append(f"{name} {value} (cell {_brief(self.namespace[name])})")
            if rows:
                _write_rows(f"from {source}, other than the cell shows", rows)
        read = {*self.own, *left} - {"params_file"}
        names = [name for name in self.set_here if name in read]
        rows = [f"{name} {_brief(_of(self.given[name], full[name]))}" for name in names]
        if rows:
            _write(
                f"set here: {', '.join(rows)}; to keep a value that the cell shows, write it "
                "without its type"
            )
        for name, near in self.alike.items():
            _write(f"not used: {name} is no parameter; did you mean {near}?")

    def tell_recorded(
        self,
        is_recorded: bool,
        from_file: Mapping,
        file: str,
        full: Mapping,
        left: Mapping[str, Declaration],
    ) -> None:
        """Print the values recorded by earlier notebooks, or that nothing is recorded yet."""
        if not left or (self.injected is not None and not file):
            return
        source = file or "the shipped values"
        if not is_recorded and full.get("drive"):
            return  # the run folder may still have to be copied from Drive
        if not is_recorded:
            first = f"notebooks/{NOTEBOOKS[0]}.ipynb"
            _write(
                f"notebooks 01 to 04 have recorded nothing yet in {short(_run_folder(full))}: run "
                f"{first} first; until then {source} says what they would"
            )
            return
        usual = {
            name: from_file.get(name, declaration.default) for name, declaration in left.items()
        }
        rows = [
            f"{name} {_brief(full[name])} ({_brief(usual[name])} there)"
            for name in left
            if name not in self.given and full[name] != usual[name]
        ]
        if rows:
            _write_rows(f"as notebooks 01 to 04 recorded it, other than {source}", rows)

    def _differs(self, name: str, full: Mapping) -> bool:
        """Whether a value that nobody set differs from the one that the cell shows."""
        return name not in self.given and self.namespace.get(name) != full[name]


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")


def _write_rows(head: str, rows: list[str]) -> None:
    """Print ``head: a 1, b 2``; if that is too long, break it between entries, because JupyterLab
    would break it inside a number.
    """
    text = ", ".join(rows)
    if len(head) + len(text) + 2 <= LINE_WIDTH:
        _write(f"{head}: {text}")
        return
    kept = ", ".join(row.replace(" ", NO_BREAK) for row in rows)
    lines = textwrap.wrap(
        kept,
        LINE_WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    _write("\n".join([f"{head}:", *lines]).replace(NO_BREAK, " "))


def _of(given: object, value: object) -> object:
    """The value as it was read; of a mapping only the names that `given` contains."""
    both = isinstance(given, Mapping) and isinstance(value, Mapping)
    if not both:
        return value
    return {name: value[name] for name in given if name in value}


def _brief(value: object) -> str:
    """A value as one line of text: ``0.003``, ``{frame_step: 4}``, ``""``."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_brief(item)}" for name, item in value.items()) + "}"
    return str(value) if value != "" else '""'


def _is_default(value: object, declaration: Declaration) -> bool:
    try:
        return declaration.read(value) == declaration.default
    except InputError:
        return False  # `validate` reports the problem


def _of_file(file: str) -> dict:
    """The values of a parameter file, and the name of its run: the file's stem, as in the
    runner.
    """
    if not file:
        return {}
    values = {name: value for name, value in load([resolve(file)]).items() if name != "params_file"}
    if values.get("run"):
        return values
    return {**values, "run": of_fold(Path(file).stem, values)}


def of_fold(name: str, values: Mapping) -> str:
    """The name of a run for the chosen fold: ``sample_lfan_fold2``."""
    fold = values.get("fold", -1)
    return f"{name}_fold{fold}" if isinstance(fold, int) and fold >= 0 else name


def _refuse_other_method(
    from_file: Mapping, given: Mapping, names: Mapping[str, Declaration], path: str
) -> None:
    """Raise InputError if `recipe` or `dataset` is set to a value other than the file's."""
    for name in ("recipe", "dataset"):
        if name in from_file and given.get(name, from_file[name]) != from_file[name]:
            levels = [defaults(names), from_file, given]
            choices = {key: merged(levels, ()).get(key) for key in ("recipe", "dataset")}
            fits = _files_of(choices)
            todo = f'params_file = "{fits[0]}"' if fits else "write a parameter file for it"
            raise InputError(
                f"{name}: {given[name]} is set here, but `params_file` is made for "
                f"{from_file[name]}",
                where=path,
                expected="a parameter file that fits",
                todo=f"{todo}, or leave {name} as it was",
            )


def _files_of(choices: Mapping) -> list[str]:
    """Parameter files that set all of `choices`, the shortest name first."""
    fits, paths = [], (ROOT / "params").glob("*.yaml")
    for path in sorted(paths, key=lambda path: (len(path.stem), path.stem)):
        values = load([path])
        if all(values.get(name) == value for name, value in choices.items()):
            fits.append(f"params/{path.name}")
    return fits


def _recorded(values: Mapping, names: Mapping, left: Mapping[str, Declaration]) -> dict:
    """The values of `left` that earlier notebooks recorded in the run folder (`runs.recorded`)."""
    plain = {**defaults(names), **values}
    if not left or not _is_of_run_folder(values, plain):
        return {}
    return runs.recorded(_run_folder(plain), left)


def _trained(values: Mapping, names: Mapping[str, Declaration]) -> dict:
    """Data, model and training parameters of the training in the run folder. Empty if nothing is
    trained, if another run predicts, and if the folder holds another experiment (which `runs.start`
    refuses).
    """
    plain = {**defaults(names), **values}
    if plain.get("predict_run") or not _is_of_run_folder(values, plain):
        return {}
    folder = _run_folder(plain)
    if not (folder / "checkpoints" / "best.pt").is_file():
        return {}
    counted = names.keys() - of_groups(names, NOT_OF_A_TRAINING)
    return {name: value for name, value in runs.parameters(folder).items() if name in counted}


def _where_things_lie(values: Mapping, names: Mapping[str, Declaration]) -> dict:
    """All parameters, unchecked, with absolute paths and the run's name; empty if a path or run is
    no text, which is refused later.
    """
    plain = {**defaults(names), **values}
    places = of_groups(names, ["place"])
    words = {*places, *NETWORKS, "run", "drive", "dataset", "recipe", "modality"} & plain.keys()
    options = plain.get("options", {})
    start = options.get("start_from", "") if isinstance(options, Mapping) else None
    if not all(isinstance(value, str) for value in (start, *map(plain.get, words))):
        return {}
    return {
        **plain,
        **_absolute({name: plain[name] for name in places}, names),
        "run": run_name(plain),
    }


def _run_folder(plain: Mapping) -> Path:
    return resolve(plain["runs_root"]) / run_name(plain)


def _is_of_run_folder(values: Mapping, plain: Mapping) -> bool:
    """Whether the run folder of the complete values `plain` belongs to the experiment in `values`:
    recipe and data set are equal where both name them.
    """
    words = [plain.get("runs_root"), plain.get("run")]
    words += [plain.get(name, "") for name in ("dataset", "recipe")]
    if not all(isinstance(word, str) for word in words):
        return False
    before = runs.parameters(_run_folder(plain))
    names = [name for name in ("recipe", "dataset") if name in values]
    return all(values[name] == before.get(name) for name in names)


def placed(values: Mapping, names: Mapping[str, Declaration] | None = None) -> Params:
    """All parameters of an experiment, or those in `names`, for programs outside notebooks: missing
    ones have their defaults, folders and files are absolute paths. Raises InputError for unknown
    names and wrong types.
    """
    names = all_declared() if names is None else names
    return Params(_absolute(complete(values, names), names))


def of_run(folder: Path) -> Params:
    """The complete parameters of a run, `placed`, without those of an earlier version that are gone
    since.
    """
    known = all_declared()
    kept = runs.parameters(folder)
    return placed({name: value for name, value in kept.items() if name in known}, known)


def _absolute(values: Mapping, names: Mapping[str, Declaration]) -> dict:
    """The values, with an absolute path for each parameter of the group `place` that is set."""
    places = {
        name: resolve(values[name]) for name in of_groups(names, ["place"]) if values.get(name)
    }
    return {**values, **places}


def _injected(source: str) -> bool:
    """Whether papermill put this cell in: its first line is this remark and nothing else."""
    return source.lstrip().partition("\n")[0].rstrip() == "# Parameters"


def _since_parameters(sources: Iterable[str], own: Mapping) -> list[str]:
    """The cells that ran since the last run of the parameters cell, which comes first. The
    parameters cell is recognised by assigning at least half of the notebook's parameters.
    """
    sources = list(sources)
    for number in reversed(range(len(sources))):
        if _injected(sources[number]):
            continue
        if 2 * len(set(_only_assigned([sources[number]])) & set(own)) >= len(own):
            return sources[number:]
    return []


def _body(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError:
        return []  # a cell with IPython's magics


def _assignments(source: str) -> list[tuple[str, bool]]:
    """Names that the lines of a cell assign, in order, each with whether the line has a type."""
    pairs = []
    for node in _body(source):
        if not isinstance(node, ast.AnnAssign | ast.Assign | ast.AugAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [part for target in targets for part in ast.walk(target)]
        typed = isinstance(node, ast.AnnAssign)
        pairs += [(name.id, typed) for name in names if isinstance(name, ast.Name)]
    return pairs


def _only_assigned(sources: Iterable[str]) -> list[str]:
    """Names assigned by cells that do nothing but assign."""
    kinds = ast.AnnAssign | ast.Assign | ast.Expr
    names = []
    for source in sources:
        if all(isinstance(node, kinds) for node in _body(source)):
            names += [name for name, _ in _assignments(source)]
    return names


def _alike(sources: Iterable[str], names: Container[str]) -> dict[str, str]:
    """Names that get a constant in cells of assignments, and that nothing declares -> the parameter
    that each is nearly called like; what a notebook computes is no parameter.
    """
    assigned = dict.fromkeys(name for source in sources for name in _set_to_constants(source))
    near = {
        name: nearest_name(name, names, MISTYPED_RATIO) for name in assigned if name not in names
    }
    return {name: parameter for name, parameter in near.items() if parameter}


def _set_to_constants(source: str) -> list[str]:
    body = _body(source)
    if not _only_assigned([source]):
        return []
    lines = [node for node in body if isinstance(node, ast.Assign) and _is_constant(node.value)]
    return [target.id for node in lines for target in node.targets if isinstance(target, ast.Name)]


def _is_constant(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def _constants(source: str, namespace: Mapping) -> dict:
    """Names and values of an injected cell; of an expression, which papermill never writes, what
    it came to.
    """
    values = {}
    for node in _body(source):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            try:
                values[name] = _constant(node.value)
            except (ValueError, TypeError):
                values[name] = namespace.get(name)
    return values


def _constant(node: ast.expr) -> object:
    """The value that papermill's text means: a literal, or ``float('nan')``, ``float('-inf')``."""
    if isinstance(node, ast.Call) and len(node.args) == 1:
        return float(ast.literal_eval(node.args[0]))
    return ast.literal_eval(node)
