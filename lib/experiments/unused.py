"""Arrays of a processed root that no run would open any more: made by an older version of the code,
from inputs that have changed, of trials that are gone, or for runs that were removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import arrays, datasets, parameters, recipes, runs, trials
from ..errors import InputError
from ..evaluation import baselines
from ..labels import arrays as label_arrays
from ..parameters import Params
from ..speakers import arrays as speaker_arrays
from ..store import Request, Store, listing, request

SHOWN_ARRAYS = (request("mel"),)  # notebook 03 shows it for every recipe
# Notebook 01 already writes these into a params.yaml.
OF_EVERY_RUN = ("dataset", "data_root", "processed_root")


def find(processed_root: Path, runs_root: Path) -> tuple[list[dict], list[str]]:
    """Rows of `store.listing` that no run under `runs_root` asks for by the present rules, and a
    sentence for each owner of arrays (a trial or video) for which this cannot be told: all of its
    arrays are kept.

    Raises InputError for a folder of runs that is not there, and for a run whose parameters cannot
    be read, or do not say where its arrays lie.
    """
    if not Path(runs_root).is_dir():  # a slip of the finger would make every array unused
        raise InputError(
            "there is no folder of runs, so that which arrays they use cannot be told",
            where=runs_root,
            expected="the parameter runs_root",
            todo="--runs-root FOLDER; or name what is to go: `store rm WORDS`",
        )
    used: set[Path] = set()
    doubtful: dict[Path, str] = {}  # folders of owners
    for folder in sorted(filter(_is_run, Path(runs_root).iterdir())):
        try:
            p = _parameters(folder)
            if Path(p.processed_root).resolve() == Path(processed_root).resolve():
                _of_run(p, used, doubtful)
        except InputError as error:
            raise InputError(
                f"which arrays this run uses cannot be told: {error.what}",
                where=folder,
                expected="a run folder of this version or of one before",
                todo="mend or remove the run folder; or name what is to go: `store rm WORDS`",
            ) from error
    # Statistics over many trials are small, and a training looks for them when it starts.
    kept = {*doubtful, *(Path(path.parts[0], "statistics") for path in used)}
    rows = []
    for row in listing(processed_root):
        path = Path(row["path"]).relative_to(processed_root)
        if path not in used and not kept.intersection(path.parents):
            rows.append(row)
    return rows, [f"{owner}: kept whole, as {why}" for owner, why in sorted(doubtful.items())]


def _is_run(folder: Path) -> bool:
    """Whether a folder holds a run, also one whose params.yaml is lost."""
    return (folder / "params.yaml").is_file() or (folder / "checkpoints").is_dir()


def _parameters(folder: Path) -> Params:
    """The parameters of a run. Raises InputError where params.yaml is cut off or lost: the defaults
    in the place of what it lacks would say that the run uses other arrays.
    """
    kept = runs.parameters(folder)
    if lacking := [name for name in OF_EVERY_RUN if name not in kept]:
        raise InputError(f"its params.yaml does not say {', '.join(lacking)}")
    return parameters.placed({**kept, "run": ""})


def _of_run(p: Params, used: set[Path], doubtful: dict[Path, str]) -> None:
    """Add the paths, in the processed root, of all arrays that a run asks for to `used`."""
    data_store = datasets.store(p)
    if not data_store.trials_path.is_file():
        return
    requests, optional = recipes.create(p.recipe, p, data_store).arrays(), list(_optional(p))
    for row in trials.read(data_store.trials_path).to_dict("records"):
        for asked in [*arrays.of_trial(row, requests), *optional]:
            try:
                used.update(_paths(arrays.locate(row, asked, data_store), data_store))
            except InputError as error:
                # Sound of a silent film is asked for where it may be absent: then there is none.
                if asked not in optional or isinstance(error, arrays.AbsentError):
                    owner = arrays.maker_of(asked).owner
                    shelf = data_store.shelf(owner, row[owner]).folder
                    doubtful[shelf.relative_to(data_store.processed_root)] = error.what


def _optional(p: Params) -> Iterator[Request]:
    """Arrays that notebooks 02 to 04 make besides those of the recipe, if a trial allows it."""
    yield from baselines.REQUESTS
    yield from label_arrays.requests(p.label_mismatch)
    yield from speaker_arrays.requests(p)
    yield from SHOWN_ARRAYS


def _paths(located: arrays.Located, store: Store) -> Iterator[Path]:
    """Of an array and of all that it is made from."""
    yield located.path.relative_to(store.processed_root)
    for source in located.sources.values():
        if isinstance(source, arrays.Located):
            yield from _paths(source, store)
