"""The command line: ``python -m lib run | check | compare | export-labels | store | weights``.

Heavy packages are imported by what needs them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lib.declarations import ROOT
from lib.errors import InputError

WRONG = 2  # exit status: wrong command or parameters, nothing started


class _Group(click.Group):
    """Says what an InputError says, without a traceback."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except InputError as error:
            click.echo(str(error), err=True)
            sys.exit(WRONG)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()  # a log file shows progress, too


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Six notebooks from recordings to per-frame affect, from parameter files."""


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-p", "overrides", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter.")
@click.option("--from", "start", default="", metavar="NN", help="First notebook, for example 03.")
@click.option("--to", "stop", default="", metavar="NN", help="Last notebook.")
def run(files: tuple[Path, ...], overrides: tuple, start: str, stop: str) -> None:
    """Execute the notebooks of one experiment: its parameter file, then overlays.

    What has not changed is skipped. Exit status: 0 done, 1 failed, 2 wrong parameters, 3 done but something was lost,
    75 to be continued, 130 interrupted.
    """
    from lib import pipeline

    sys.exit(pipeline.run(list(files), dict(overrides), start, stop, _say))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Check parameter files, each by itself; those in a folder `overlays` may be partial."""
    from lib import params

    wrong = 0
    for file in files:
        try:
            values = params.load([file])
            problems = params.validate(values, partial=file.resolve().parent.name == "overlays")
        except InputError as error:
            problems = [str(error)]
        _say("\n  - ".join([f"{file}: {'ok' if not problems else 'cannot be used'}", *problems]))
        wrong += bool(problems)
    sys.exit(WRONG if wrong else 0)


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "target", default=None, type=click.Path(path_type=Path),
              help="Folder for comparison.csv, .html and .png; by default the one that holds the runs.")
def compare(folders: tuple[Path, ...], target: Path | None) -> None:
    """Table of CCC with intervals of several runs, and of the trivial predictors."""
    from lib import comparison

    found = comparison.compare(list(folders), target or folders[0].resolve().parent)
    _say(found.text)
    _say(f"written: {', '.join(str(path) for path in found.files)}")


@main.command("merge-folds")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "target", default=None, type=click.Path(path_type=Path),
              help="Run folder to write; by default beside the runs, their common name with _merged.")
@click.option("--rule", default="mean", show_default=True, type=click.Choice(["mean", "centred"]),
              help="Plain mean, or LFAN's mean with one constant a trial (CCC-centring).")
@click.option("--clip", default="late", show_default=True, type=click.Choice(["late", "early"]),
              help="To -1..1 after the mean, or each fold before it.")
def merge_folds(folders: tuple[Path, ...], target: Path | None, rule: str, clip: str) -> None:
    """Join the runs of a cross-validation: test files of all folds together, out-of-fold score, a picture."""
    from lib import merging_folds

    found = merging_folds.merge(list(folders), target, rule, clip)
    _say(found.text)
    _say(f"written: {', '.join(str(path) for path in found.files)}")


@main.command("export-labels")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-p", "overrides", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter.")
@click.option("--out", default=None, type=click.Path(path_type=Path), metavar="FOLDER",
              help="Where to; by default preprocessed_VA_annotations in the processed folder of the data set.")
@click.option("--index", is_flag=True, help="Write the published running number column, too.")
def export_labels(files: tuple[Path, ...], overrides: tuple, out: Path | None, index: bool) -> None:
    """Write img,V,A,frame_id CSV files of the data set that parameter FILES mean, as JCA-like programs read them.

    Needs the trial table of notebook 01. Exit status 3 when a trial could not be done.
    """
    from functools import partial

    from lib import arrays, cluster, datasets, params, preprocessing, trials
    from lib.store import request

    full = params.complete(params.load(list(files), dict(overrides)))
    roots = {name: params.resolve(value) for name, value in full.items() if name.endswith("_root")}
    p = params.Params(full | roots)
    place = datasets.store(p)
    table = trials.select(trials.read(place.trials_path), p.trials)
    work = partial(arrays.make_all, requests=[request("va", mismatch=p.label_mismatch)], place=place)
    outcomes = cluster.map(work, table.to_dict("records"), p.workers, name=trials.name)
    for outcome in (outcome for outcome in outcomes if not outcome.ok):
        click.echo(f"{outcome.item['trial']}: {outcome.error}", err=True)
    done = preprocessing.intact(table, outcomes)
    written = preprocessing.export_labels(done, place, p.label_mismatch, index, out)
    _say(f"{len(written)} files in {out or place.folder / preprocessing.LABEL_FOLDER}")
    sys.exit(0 if len(done) == len(table) else 3)


@main.group()
def store() -> None:
    """List or remove computed arrays."""


@store.command("ls")
@click.argument("words", nargs=-1)
@click.option("--root", default="data/processed", show_default=True, type=click.Path(path_type=Path))
def store_ls(words: tuple[str, ...], root: Path) -> None:
    """List arrays whose data set, owner, name or parameters contain all WORDS."""
    rows = _arrays(root, words)
    for row in rows:
        _say(f"{row['mb']:8.1f} MB  {row['dataset']}/{row['owner']}/{row['array']}  {row['parameters']}")
    _say(f"{sum(row['mb'] for row in rows):8.1f} MB  in {len(rows)} arrays under {root}")


@store.command("rm")
@click.argument("words", nargs=-1, required=True)
@click.option("--root", default="data/processed", show_default=True, type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
def store_rm(words: tuple[str, ...], root: Path, yes: bool) -> None:
    """Remove the arrays that `ls` lists for the same WORDS; they are computed again when needed."""
    from lib.store import remove

    rows = _arrays(root, words)
    if not rows:
        raise InputError(f"no array contains {' and '.join(words)}", where=root, todo="look with `store ls`")
    if not yes:
        click.confirm(f"remove {len(rows)} arrays, {sum(row['mb'] for row in rows):.1f} MB?", abort=True)
    freed = remove([Path(row["path"]) for row in rows])
    _say(f"{freed / 1e6:.1f} MB freed")


@main.group()
def weights() -> None:
    """List or fetch published weights (the face detector, networks)."""


@weights.command("ls")
@click.option("--root", default="weights", show_default=True, type=click.Path(path_type=Path))
def weights_ls(root: Path) -> None:
    """List the files that are known, whether they are there and right, their licence and where they come from."""
    from lib.weights import listing

    faults = 0
    for row in listing(ROOT / root):
        state = row["fault"] or ("there" if row["there"] else "absent")
        size = f"{row['mb']:.2f} MB" if row["mb"] else "size unknown"
        _say(f"{row['name']:<18} {state}: {row['file']} ({size}; check-sum {row['state']}"
             f"{' ' + row['sha256'][:8] if row['sha256'] else ''})\n{'':<18} {row['what']}; licence: {row['licence']}; "
             f"from {row['source']}")
        faults += bool(row["fault"])
    sys.exit(1 if faults else 0)


@weights.command("get")
@click.argument("names", nargs=-1, required=True)
@click.option("--root", default="weights", show_default=True, type=click.Path(path_type=Path))
@click.option("--url", default="", help="Another address, for example a copy on a local server.")
def weights_get(names: tuple[str, ...], root: Path, url: str) -> None:
    """Download files by NAME (see `ls`) and check them; a file that is there is only checked."""
    from lib.weights import get

    for name in names:
        _say(f"{name}: {get(name, ROOT / root, url)}")


def _arrays(root: Path, words: tuple[str, ...]) -> list[dict]:
    from lib.store import listing

    root = ROOT / root
    if not root.is_dir():
        raise InputError("no such folder", where=root, expected="the parameter processed_root", todo="--root FOLDER")
    return [row for row in listing(root)
            if all(word in f"{row['dataset']}/{row['owner']}/{row['array']} {row['parameters']}" for word in words)]


if __name__ == "__main__":
    main()
