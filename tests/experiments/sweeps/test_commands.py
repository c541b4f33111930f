"""``python -m lib sweep``: words behind --grid, job scripts without a scheduler, what is refused,
and the end.
"""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib.__main__ import main
from lib.experiments.sweeps import commands, plan, run
from lib.parallel import clusters

FILES = ["params/sample_jca.yaml", "params/overlays/smoke.yaml"]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    from lib.files import ROOT

    monkeypatch.chdir(ROOT)


def sweep(*words):
    return CliRunner().invoke(main, ["sweep", *words])


def test_print_jobs_shows_the_script_and_every_point_and_starts_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "run", None)
    done = sweep(
        *FILES,
        "--grid",
        "seed=0..1",
        "modality=audio,video",
        "--cluster",
        "slurm",
        "--print-jobs",
        "-p",
        "runs_root",
        str(tmp_path / "runs"),
        "-p",
        "lr",
        "0.01",
    )
    assert done.exit_code == 0, done.output
    assert "#SBATCH -t 12:00:00" in done.output
    assert "# sample_tsav: made first" in done.output
    assert (
        f"python -m lib run {' '.join(FILES)} -p runs_root {tmp_path}/runs -p lr 0.01 -p seed 1 "
        "-p modality video "
        "-p run sample_jca_seed1_video"
    ) in done.output
    assert done.output.count("python -m lib run") == 4
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--grid", "seeds=0..1"], "seeds: no such parameter; did you mean seed?"),
        (["--grid", "seed=2..1"], "holds nothing"),
        ([], "no parameter is named"),
        (["--grid", "seed=0..1", "--cluster", "lsf"], "no such parameter file"),
        (["--grid", "seed=0..1", "-p", "epoch", "3"], "did you mean epochs?"),
        (["--grid", "seed=0..1", "-p", "seed", "3"], "seed: set by -p, and in the grid"),
    ],
)
def test_what_is_wrong_is_told_with_status_2_before_anything_starts(words, told):
    done = sweep(*FILES, *words)
    assert done.exit_code == 2
    assert told in done.output


def test_without_a_scheduler_it_ends_with_status_2(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = sweep(
        *FILES, "--grid", "seed=0", "--cluster", "pbs", "-p", "runs_root", str(tmp_path / "runs")
    )
    assert done.exit_code == 2
    assert "there is no PBS here (no command qsub)" in done.output
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("status", "results"), [(0, True), (1, True), (3, True), (75, False), (130, False)]
)
def test_the_exit_status_is_handed_on_and_results_are_told_at_the_end(
    monkeypatch, tmp_path, status, results
):
    called = []
    monkeypatch.setattr(
        run, "run", lambda planned, spec, workers, *more: called.append(workers) or status
    )
    monkeypatch.setattr(commands, "_results", lambda folder: called.append(folder.name))
    done = sweep(*FILES, "--grid", "seed=0", "--workers", "3", "-p", "runs_root", str(tmp_path))
    assert done.exit_code == status
    assert called == [3, "sample_jca_sweep"][: 1 + results]


def test_the_points_of_print_jobs_are_those_that_are_run(tmp_path):
    spaced = tmp_path / "it's mine.yaml"
    spaced.write_bytes(Path(FILES[0]).read_bytes())
    files = [spaced, FILES[1]]
    planned = plan.plan(files, ["options.dropout=0.1,0.2"], {"runs_root": str(tmp_path)})
    lines = commands.job_lines(planned, clusters.read("local"))
    assert shlex.split(lines[-1])[4] == str(spaced)
    assert [line for line in lines if "-p options '{dropout: 0.2}'" in line]
    assert [
        one.values["options"]["dropout"]
        for name, one in planned.experiments.items()
        if "dropout" in name
    ] == [0.1, 0.2]
