"""Join runs into one, whatever they are: folds of a cross-validation, or runs of the same trials.

`python -m lib merge` and notebook 06 with `merge_runs` both come here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib import comparison, datasets, declarations, ensemble, merging_folds, params, runs, trials
from lib.errors import InputError


@dataclass(frozen=True)
class Joined:
    """`table`: a row each run and one for all together; the same as `text` and as `picture`; files in `folder`.

    `problems` : what is wrong with the submission files, [] when they are ready to send.
    """

    folder: Path
    table: pd.DataFrame
    text: str
    picture: Path
    problems: list[str]


def named(p: params.Params) -> list[Path]:
    """The run folders that `merge_runs` of notebook 06 names, or its patterns (``lfan_fold*``), each once, in order.

    Raises InputError for a name that is none, and where a video is asked for as well.
    """
    if p.video_path:
        raise InputError("merge_runs and video_path at once", where="06_inference", expected="one of them",
                         todo="predict the video with one run: `predict_run`")
    found: list[Path] = []
    for text in p.merge_runs:
        matching = sorted(path.parent for path in Path(p.runs_root).glob(f"{text}/params.yaml")
                          if path.parent.name != p.run)
        if not matching:
            raise InputError(f"merge_runs: no run is called {text}", where=p.runs_root,
                             expected="names of run folders, or a pattern as lfan_fold*",
                             todo="correct the name, or make that run first")
        found += matching
    return list(dict.fromkeys(found))


def join(folders: list[Path], target: Path | None = None, rule: str = "mean", clip: str = "late",
         bootstrap: int = 1000, widths: list[int] | None = None, keep_parameters: bool = False) -> Joined:
    """Write predictions/, metrics.json, submission/ and a comparison of the runs with all together into `target`.

    Arguments
    ---------
    folders : evaluated runs. Folds of one cross-validation are joined on the test trials, and scored on each trial
        that a fold held out (`lib.merging_folds`); other runs must have predicted the same trials (`lib.ensemble`).
    target : the new run folder; None, for folds only: beside them, under their common name.
    rule, clip : of folds, see `lib.merging_folds.join`.
    widths : smoothing widths to choose from, for runs that are no folds; by default those of the first run.
    keep_parameters : the folder has its own params.yaml already (notebook 06).

    Raises InputError for runs that do not fit together, or a target that holds a training.
    """
    folders = [Path(folder) for folder in folders]
    if target is not None and (Path(target) / "checkpoints").is_dir():
        raise InputError("this folder holds a training of its own", where=target, expected="a new name",
                         todo="name another folder: `run` in notebook 06, --to on the command line")
    if merging_folds.are_folds(folders):
        found = merging_folds.merge(folders, target, rule, clip, bootstrap, keep_parameters)
        return Joined(found.folder, merging_folds.table(found.scores), found.text,
                      found.folder / "figures" / "folds.png", found.problems)
    if target is None:
        raise InputError("these runs are not the folds of one cross-validation", where=", ".join(map(str, folders)),
                         expected="a name for the new run folder", todo="set --to")
    if (rule, clip) != ("mean", "late"):
        raise InputError(f"rule {rule}, clip {clip}", where=", ".join(map(str, folders)),
                         expected="mean and late: these runs are not the folds of one cross-validation")
    p = _parameters(folders[0])
    table = trials.read(datasets.store(p).trials_path)
    problems = ensemble.merge(folders, target, table, widths or p.smoothing_widths, bootstrap, keep_parameters)
    compared = comparison.compare([*folders, target], target)
    return Joined(Path(target), compared.table, compared.text, Path(target) / "comparison.png", problems)


def _parameters(folder: Path) -> params.Params:
    """The parameters of a run, complete, its places made absolute."""
    known = declarations.all_declared()
    return params.placed({name: value for name, value in runs.parameters(folder).items() if name in known})
