"""The command line: ``python -m lib run | batch | sweep | check | report | compare | merge |
export | export-… | clips | …``.

Heavy packages are imported inside the commands that need them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from .errors import EXIT_DONE, EXIT_FAILED, EXIT_LOST, EXIT_WRONG, InputError
from .experiments import options
from .experiments.clip_commands import clips
from .experiments.sweeps.commands import sweep

# What a path of a command may be: a folder that is closed to this person, or no name at all.
UNREACHABLE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


class _Group(click.Group):
    """Shows an InputError as its message, without a traceback."""

    def invoke(self, context: click.Context):
        if sys.stdout is None or sys.stderr is None:  # closed by who started this
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 to the end
            sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
        try:
            return super().invoke(context)
        except InputError as error:
            click.echo(str(error), err=True)
            sys.exit(EXIT_WRONG)
        except OSError as error:
            if error.errno == errno.ENOSPC and error.filename is None:
                _end_of_output(error)
            if error.errno not in UNREACHABLE or error.filename is None:
                raise
            click.echo(f"{error.strerror}\n  where: {str(error.filename)[:200]}", err=True)
            sys.exit(EXIT_WRONG)


def _end_of_output(error: OSError) -> NoReturn:
    """End where what is said goes to a file on a disk that is full: it is told where it can be."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of it would fail again at the end
    click.echo(f"the output cannot be written ({error.strerror})", err=True)
    sys.exit(EXIT_FAILED)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()  # a log file shows progress, too


@click.group(
    cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def main() -> None:
    """Six notebooks from recordings to per-frame affect, from parameter files."""


@main.command()
@options.paths("files")
@options.overrides()
@click.option("--from", "start", default="", metavar="NN", help="First notebook, for example 03.")
@click.option("--to", "stop", default="", metavar="NN", help="Last notebook.")
@options.cluster
def run(
    files: tuple[Path, ...],
    overrides: tuple,
    start: str,
    stop: str,
    cluster_files: tuple[str, ...],
    print_jobs: bool,
) -> None:
    """Execute the notebooks of one experiment: its parameter file, then overlays.

    What has not changed is skipped. Exit status: 0 done, 1 failed, 2 wrong parameters, 3 done but
    something was lost, 75 to be continued, 130 interrupted.
    """
    from .experiments import pipeline

    work = partial(pipeline.run, list(files), dict(overrides), start, stop, _say)
    check = partial(pipeline.check, [list(files)], dict(overrides))
    sys.exit(_shared(work, check, cluster_files, print_jobs))


def _shared(
    work: Callable[[], int],
    check: Callable[[], None],
    cluster_files: tuple[str, ...],
    print_jobs: bool,
) -> int:
    """The exit status of `work`, run with the jobs of --cluster open if it is given; with
    --print-jobs, `check` only says what keeps it from being started.
    """
    if not cluster_files:
        if print_jobs:
            raise InputError("--print-jobs without --cluster", todo="--cluster slurm")
        return work()
    from .experiments import sharing

    chosen = sharing.roles(cluster_files)
    if print_jobs:
        check()
        _say("\n".join(sharing.scripts(chosen)))
        return 0
    with sharing.opened(chosen, _say) as keepers:
        status = work()
    return sharing.status(status, keepers, _say)


@main.command()
@options.paths("files")
@click.option(
    "--with",
    "overlays",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="OVERLAY",
    help="Overlay of all of them, as params/overlays/gpu.yaml; can be given again.",
)
@options.overrides("Set one parameter of all.")
@options.cluster
def batch(
    files: tuple[Path, ...],
    overlays: tuple[Path, ...],
    overrides: tuple,
    cluster_files: tuple[str, ...],
    print_jobs: bool,
) -> None:
    """Execute several experiments, one per FILE. One that fails does not stop the others and is
    named at the end.

    Exit status: 0 all done, 1 one failed or could not be started, 3 done but something was lost,
    75, 130 as `run`.
    """
    from .experiments import pipeline

    if "run" in dict(overrides):
        raise InputError(
            "-p run: all experiments would have one run folder", todo="give each file its own `run`"
        )
    work = partial(pipeline.batch, list(files), list(overlays), dict(overrides), _say)
    check = partial(pipeline.check, [[file, *overlays] for file in files], dict(overrides))
    sys.exit(_shared(work, check, cluster_files, print_jobs))


@main.command()
@options.paths("folders")
def report(folders: tuple[Path, ...]) -> None:
    """Write report.html of run folders anew: scores, figures, notebooks and parameters.

    Exit status 2 when one could not be written; the others are.
    """
    from . import runs
    from .experiments import report

    wrong = 0
    for folder in folders:
        try:
            _say(f"written: {report.write(runs.Run(folder))}")
        except InputError as error:
            click.echo(str(error), err=True)
            wrong += 1
    sys.exit(EXIT_WRONG if wrong else EXIT_DONE)


@main.command()
@options.paths("files")
@click.option("--data", is_flag=True, help="Exit status 2 where the data are not there, too.")
@options.overrides()
def check(files: tuple[Path, ...], data: bool, overrides: tuple) -> None:
    """Check parameter files, each by itself. Files in a folder `overlays` may be partial, those in
    `cluster` describe clusters. Absent data are reported in a line; `run` would stop before
    anything starts.
    """
    from . import parameters
    from .parallel import clusters

    wrong = 0
    for file in files:
        kind = file.resolve().parent.name
        try:
            values = parameters.load([file], {} if kind == "cluster" else dict(overrides))
            if kind == "cluster":
                problems = clusters.problems_of(values)
            else:
                problems = parameters.validate(values, partial=kind == "overlays")
        except InputError as error:
            problems = [str(error)]
        lacking = "" if problems or kind in ("overlays", "cluster") else _absent(values)
        lines = [*problems, *([lacking] if lacking else [])]
        _say("\n  - ".join([f"{file}: {'ok' if not problems else 'cannot be used'}", *lines]))
        wrong += bool(problems or (data and lacking))
    sys.exit(EXIT_WRONG if wrong else EXIT_DONE)


def _absent(values: dict) -> str:
    """The data that an experiment with checked parameters lacks on this machine."""
    from . import parameters
    from .experiments.experiment import absent_data

    return absent_data(parameters.complete(values))


@main.command()
def declare() -> None:
    """Make the present values of the notebooks' parameters cells the shipped defaults.

    They are written to lib/declared.json, which every experiment reads. For people who change a
    notebook.
    """
    from . import grammar

    _say(f"written: {grammar.declare()}")


@main.command()
@options.paths("folders")
@options.folder(
    "--to",
    "target",
    help="Folder for comparison.csv, .html and .png; by default the one that holds the runs.",
)
@click.option("--split", type=click.Choice(["val", "test"]), default="val", show_default=True)
@click.option(
    "--against", default="", metavar="RUN", help="Run whose CCC the others' differences are from."
)
def compare(folders: tuple[Path, ...], target: Path | None, split: str, against: str) -> None:
    """Table of several runs: method, rules, parameters, CCC with intervals, differences from the
    first run on the same trials, seconds per epoch; trivial predictors.

    Runs that differ in nothing but the seed are one row.
    """
    from .evaluation import comparison

    comparison_result = comparison.compare(
        list(folders), target or folders[0].resolve().parent, split, against
    )
    _say(comparison_result.text)
    _say(f"written: {', '.join(str(path) for path in comparison_result.files)}")
    sys.exit(EXIT_LOST if comparison_result.lost else EXIT_DONE)


@main.command()
@options.paths("folders")
@options.folder(
    "--to",
    "target",
    help="The new run folder; for folds by default beside them, their common name with _merged.",
)
@click.option(
    "--bootstrap", default=1000, hidden=True, help="0: no intervals. Draws are no longer made."
)
@click.option(
    "--rule",
    default="mean",
    show_default=True,
    type=click.Choice(["mean", "centred"]),
    help="Folds: plain mean, or LFAN's mean with one constant per trial (CCC-centring).",
)
@click.option(
    "--clip",
    default="late",
    show_default=True,
    type=click.Choice(["late", "early"]),
    help="Folds: to -1..1 after the mean, or each fold before it.",
)
def merge(
    folders: tuple[Path, ...], target: Path | None, bootstrap: int, rule: str, clip: str
) -> None:
    """Average the predictions of runs: a run folder with scores and submission files of its own.

    Folds of one cross-validation are joined on the test trials, and scored on each trial that a
    fold held out. Runs that are not folds of one cross-validation must cover the same trials of the
    same data; their predictions are averaged and the average is scored. Exit status 3 when a
    submission file is wrong.
    """
    from .evaluation import merging

    joined = merging.join(list(folders), target, rule, clip, bool(bootstrap))
    _say(
        "\n".join(
            [
                joined.text,
                *(joined.problems or [f"written: {joined.folder}, submission files valid"]),
            ]
        )
    )
    sys.exit(EXIT_LOST if joined.problems else EXIT_DONE)


@main.command("export-labels")
@options.paths("files")
@options.overrides()
@options.folder(
    "--out",
    help="Where to; by default preprocessed_VA_annotations (…_EX_…, …_AU_…) in the processed "
    "folder.",
)
@click.option("--index", is_flag=True, help="Write the published running number column, too.")
@click.option(
    "--kind",
    default="va",
    show_default=True,
    type=click.Choice(["va", "expression", "action_units"]),
    help="Which labels.",
)
def export_labels(
    files: tuple[Path, ...], overrides: tuple, out: Path | None, index: bool, kind: str
) -> None:
    """Write img,V,A,frame_id CSV files of the data set that parameter FILES mean, as JCA-like
    programs read them.

    Of expressions img,EX,frame_id, of action_units img,AU1,…,frame_id, of labelled frames.

    Needs the trial table of notebook 01. Exit status 3 when a trial could not be done.
    """
    from . import arrays, parallel, trials
    from .experiments import bookkeeping, exports
    from .store import request

    p, data_store, table = _data_set(files, overrides)
    work = partial(
        arrays.make_all, requests=[request(kind, mismatch=p.label_mismatch)], store=data_store
    )
    outcomes = parallel.map(
        work, table.to_dict("records"), p.workers, name=trials.name, parallel=p.parallel
    )
    for outcome in (outcome for outcome in outcomes if not outcome.ok):
        click.echo(f"{outcome.item['trial']}: {outcome.error}", err=True)
    done = bookkeeping.intact(table, outcomes)
    written = exports.export_labels(done, data_store, p.label_mismatch, index, out, kind)
    _say(f"{len(written)} files in {out or data_store.folder / exports.LABEL_FOLDERS[kind]}")
    if names := list(done["trial"][done[f"{kind}_path"] == ""]):
        how = "names of pictures alone" if kind == "va" else "no file"
        more = ", …" * (len(names) > 8)
        _say(f"{len(names)} trials without labels, {how}: {', '.join(names[:8])}{more}")
    sys.exit(EXIT_DONE if len(done) == len(table) else EXIT_LOST)


@main.command("export-audio")
@options.paths("files")
@options.overrides()
@options.folder(
    "--out", help="Where to; by default audio_segments in the processed folder of the data set."
)
@click.option(
    "--only-tell", is_flag=True, help="Say how many files and bytes it would be, and stop."
)
def export_audio(
    files: tuple[Path, ...], overrides: tuple, out: Path | None, only_tell: bool
) -> None:
    """Write FOLDER/<video>/<frame from 1>.wav, one per frame, of the data set of parameter FILES.

    Cut as JCA's own program cuts them (`-p rules published`), the last 32 frames (`-p audio_seconds
    0`), or as many seconds round the frame as `audio_seconds` says. Needs the trial table of
    notebook 01. Takes up where it stopped. Exit status 3 when a video could not be done.
    """
    from . import arrays, parallel, trials
    from .experiments import exports

    p, data_store, table = _data_set(files, overrides)
    videos = table.drop_duplicates("video").to_dict("records")
    out = out or data_store.folder / "audio_segments"
    rule = exports.rule(p.rules, p.audio_seconds, table["fps"])
    work = partial(arrays.make_all, requests=exports.EXPORT_REQUESTS, store=data_store)
    outcomes = parallel.map(work, videos, p.workers, name=trials.name, parallel=p.parallel)
    lost = [outcome for outcome in outcomes if not outcome.ok]
    present = [outcome.item for outcome in outcomes if outcome.ok]
    plans = [exports.plan(video, data_store, rule, out) for video in present]
    count, needed = sum(plan.files for plan in plans), sum(plan.size for plan in plans)
    _say(
        f"{len(present)} videos, {sum(plan.frames for plan in plans)} frames, of each {rule}: "
        f"{count} wav files to "
        f"write, {needed / 1e9:.2f} GB, into {out} ({exports.free(out) / 1e9:.1f} GB free)"
    )
    exports.check_space(out, needed)
    if count and not only_tell:
        work = partial(exports.write, store=data_store, rule=rule, out=out)
        written = parallel.map(
            work, present, p.workers, _tell, name=trials.name, parallel=p.parallel
        )
        lost += [outcome for outcome in written if not outcome.ok]
    for outcome in lost:
        click.echo(f"{outcome.item['video']}: {outcome.error}", err=True)
    sys.exit(EXIT_LOST if lost else EXIT_DONE)


def _tell(done: int, total: int, outcome) -> None:
    said = outcome.value if outcome.ok else "could not be done, see below"
    _say(f"[{done}/{total}] {outcome.item['video']}: {said}")


@main.command()
@click.argument("network", metavar="RUN")
@click.option(
    "--to",
    "kind",
    default="onnx",
    show_default=True,
    type=click.Choice(["onnx", "export", "safetensors"]),
    help="The file: ONNX, a program of torch.export (.pt2), or the weights alone.",
)
@options.folder("--out", help="Where to; by default export/KIND in the run's folder.")
@click.option(
    "--network", "name", default="", help="Of published weights that fit several networks."
)
def export(network: str, kind: str, out: Path | None, name: str) -> None:
    """Write the network of RUN as a file that runs without this repository, with what its inputs
    and outputs are (signature.json) and an example that runs it.

    RUN is a run's name or folder, a checkpoint, a file as its authors published it, or face_api,
    light_asd. What the file gives is compared with the network first. See docs/export.md.
    """
    from .experiments import export

    written = export.write(network, kind, out, name)
    _say(f"{', '.join(written.files)} in {written.folder}")
    _say(f"largest difference from the network: {written.deviation:.1e}")
    if written.note:
        _say(written.note)


def _data_set(files: tuple[Path, ...], overrides: tuple):
    """Parameters, store and chosen trials of parameter files."""
    from . import datasets, parameters, trials

    p = parameters.placed(parameters.load(list(files), dict(overrides)))
    data_store = datasets.store(p)
    return p, data_store, trials.select(trials.read(data_store.trials_path), p.trials)


main.add_command(clips)
main.add_command(sweep)


@main.group()
def store() -> None:
    """List, check or remove computed arrays."""


@store.command("ls")
@click.argument("words", nargs=-1)
@options.root("data/processed")
def store_ls(words: tuple[str, ...], root: Path) -> None:
    """List arrays whose data set, owner, name or parameters contain all WORDS."""
    rows = _arrays(root, words)
    for row in rows:
        _say(
            f"{row['mb']:8.1f} MB  {row['dataset']}/{row['owner']}/{row['array']}  "
            f"{row['parameters']}"
        )
    _say(f"{sum(row['mb'] for row in rows):8.1f} MB  in {len(rows)} arrays under {root}")


@store.command("rm")
@click.argument("words", nargs=-1)
@options.root("data/processed")
@click.option("--unused", is_flag=True, help="Of them, those that no run would open any more.")
@options.root("runs", "--runs-root")
@click.option("--yes", is_flag=True, help="Do not ask.")
def store_rm(words: tuple[str, ...], root: Path, unused: bool, runs_root: Path, yes: bool) -> None:
    """Remove the arrays that `ls` lists for the same WORDS; they are computed again when needed.

    With --unused: only arrays that no run folder asks for, because an older version made them,
    their files have changed, or their trials or runs are gone.
    """
    from .store import remove

    if not (words or unused):
        raise InputError("nothing is named", expected="WORDS as for `store ls`, or --unused")
    rows = _named(root, words)
    if unused:
        rows = _unused(rows, root, runs_root)
    if not rows:
        return
    if not yes:
        click.confirm(
            f"remove {len(rows)} arrays, {sum(row['mb'] for row in rows):.1f} MB?", abort=True
        )
    freed = remove([Path(row["path"]) for row in rows])
    _say(f"{freed / 1e6:.1f} MB freed")


@store.command("verify")
@click.argument("words", nargs=-1)
@options.root("data/processed")
def store_verify(words: tuple[str, ...], root: Path) -> None:
    """Compare the arrays that `ls` lists for WORDS (without WORDS: all) with their check-sums.

    Names each damaged array and how to make it again; the exit status is then 1.
    """
    from .store import verify

    rows = [row for row in _named(root, words) if row["path"].endswith(".npy")]
    right = damaged = 0
    for row in rows:
        try:
            right += verify(Path(row["path"]))
        except (InputError, OSError) as error:
            damaged += 1
            _say(f"{row['dataset']}/{row['owner']}/{row['array']}: {error}")
    _say(
        f"{len(rows)} arrays: {right} right, {damaged} damaged, {len(rows) - right - damaged} "
        "written before there were check-sums"
    )
    sys.exit(EXIT_FAILED if damaged else EXIT_DONE)


@main.group()
def weights() -> None:
    """List or fetch published weights (the face detector, networks)."""


@weights.command("ls")
@options.root("weights")
def weights_ls(root: Path) -> None:
    """List the known files, whether they are present and correct, their licences and sources."""
    from .models.weights import listing

    faults = 0
    for row in listing(root):
        state = row["fault"] or ("there" if row["there"] else "absent")
        size = f"{row['mb']:.2f} MB" if row["mb"] else "size unknown"
        _say(
            f"{row['name']:<18} {state}: {row['file']} ({size}; check-sum {row['state']}"
            f"{' ' + row['sha256'][:8] if row['sha256'] else ''})\n{'':<18} {row['what']}; "
            f"licence: {row['licence']}; "
            f"from {row['source']}; address: {row['address']}"
        )
        faults += bool(row["fault"])
    sys.exit(EXIT_FAILED if faults else EXIT_DONE)


@weights.command("get")
@click.argument("names", nargs=-1, required=True)
@options.root("weights")
@click.option("--url", default="", help="Another address, for example a copy on a local server.")
def weights_get(names: tuple[str, ...], root: Path, url: str) -> None:
    """Download files by NAME (see `ls`) and check them; an existing file is only checked."""
    from .models.weights import get

    for name in names:
        _say(f"{name}: {get(name, root, url)}")


@weights.command("card")
@click.argument("name")
def weights_card(name: str) -> None:
    """Print the card of a network by NAME: what it was trained on, licences, measurements."""
    from .models.weights import card

    _say(card(name))


def _unused(rows: list[dict], root: Path, runs_root: Path) -> list[dict]:
    """The rows that no run would open any more, after a line for each data set that has some."""
    from .experiments import unused

    if not rows:
        _say(f"there are no arrays under {root}")
        return []
    unneeded, doubts = unused.find(root, runs_root)
    paths = {row["path"] for row in unneeded}
    rows = [row for row in rows if row["path"] in paths]
    for line in doubts:
        _say(line)
    for name in dict.fromkeys(row["dataset"] for row in rows):
        sizes = [row["mb"] for row in rows if row["dataset"] == name]
        _say(f"{sum(sizes):8.1f} MB  {name}: {len(sizes)} arrays that no run uses")
    if not rows:
        _say(f"every array under {root} is used by a run under {runs_root}")
    return rows


def _arrays(root: Path, words: tuple[str, ...]) -> list[dict]:
    from .store import listing

    if not all(words):
        # A variable of the shell that is not set: `rm` would remove everything.
        raise InputError("an empty word, which all arrays contain", todo="leave it out")
    if not root.is_dir():
        raise InputError(
            "no such folder",
            where=root,
            expected="the parameter processed_root",
            todo="--root FOLDER",
        )
    rows = []
    for row in listing(root):
        text = f"{row['dataset']}/{row['owner']}/{row['array']} {row['parameters']}"
        if all(word in text for word in words):
            rows.append(row)
    return rows


def _named(root: Path, words: tuple[str, ...]) -> list[dict]:
    """The arrays of `_arrays`. Raises InputError for words that none contains."""
    rows = _arrays(root, words)
    if words and not rows:
        raise InputError(
            f"no array contains {' and '.join(words)}", where=root, todo="look with `store ls`"
        )
    return rows


if __name__ == "__main__":
    main()
