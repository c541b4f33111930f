"""``python -m lib``: help without heavy imports, check, compare, store, exit status."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lib import parameters, runs
from lib.__main__ import main
from lib.errors import InputError
from lib.evaluation import comparison
from lib.experiments import pipeline
from lib.files import NOTEBOOKS, ROOT
from lib.grammar import Declaration
from lib.parallel.locks import held
from lib.store import Shelf
from lib.trials import SYNTHETIC_NOTE


def call(*words, **more):
    return CliRunner().invoke(main, [str(word) for word in words], **more)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom lib.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'pandas', 'papermill', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("run", "check", "compare", "store"):
        assert command in done.stdout


def test_run_hands_files_overrides_and_limits_on_and_ends_with_the_status(monkeypatch, tmp_path):
    given = {}

    def fake(files, overrides, start, stop, say):
        given.update(files=files, overrides=overrides, start=start, stop=stop)
        say("a line")
        return 3

    monkeypatch.setattr(pipeline, "run", fake)
    done = call(
        "run",
        tmp_path / "a.yaml",
        tmp_path / "b.yaml",
        "-p",
        "lr",
        "1.0e-4",
        "--from",
        "03",
        "--to",
        "05",
    )
    assert done.exit_code == 3
    assert done.output == "a line\n"
    assert given == {
        "files": [tmp_path / "a.yaml", tmp_path / "b.yaml"],
        "overrides": {"lr": "1.0e-4"},
        "start": "03",
        "stop": "05",
    }


def test_batch_hands_files_overlays_and_overrides_on_and_refuses_one_name_for_all(
    monkeypatch, tmp_path
):
    given = {}
    monkeypatch.setattr(pipeline, "batch", lambda *words: given.update(words=words[:3]) or 3)
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    assert (
        call("batch", *files, "--with", tmp_path / "gpu.yaml", "-p", "epochs", "3").exit_code == 3
    )
    assert given["words"] == (files, [tmp_path / "gpu.yaml"], {"epochs": "3"})
    done = call("batch", *files, "-p", "run", "x")
    assert done.exit_code == 2
    assert "one run folder" in done.output


def test_a_report_is_written_anew_by_a_command(tmp_path):
    runs.Run(tmp_path / "a").write_text("params.yaml", "dataset: folder\nrecipe: tsav\n")
    assert call("report", tmp_path / "a").exit_code == 0
    assert "Run a" in (tmp_path / "a" / "report.html").read_text()
    assert call("report", tmp_path).exit_code == 2


def test_a_wrong_command_ends_with_status_2():
    assert call("rum").exit_code == 2
    assert call("run").exit_code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
@pytest.mark.parametrize(
    ("output", "status", "told"), [("/dev/full", 1, "the output cannot be written"), ("&-", 0, "")]
)
def test_an_output_that_is_full_or_closed_is_no_traceback(output, status, told):
    command = f"exec {shlex.quote(sys.executable)} -m lib check params/sample_tsav.yaml >{output}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert done.returncode == status, done.stderr
    assert done.stderr.partition(" (")[0] == told


@pytest.mark.parametrize("command", ["run", "report", "compare", "merge"])
def test_a_path_that_is_too_long_is_one_sentence(command):
    done = call(command, "x" * 300)
    assert done.exit_code == 2, done.output
    assert "File name too long" in done.output or "there is n" in done.output


@pytest.mark.parametrize(
    "words",
    [("compare", "--to"), ("merge", "--to"), ("export-audio", "--out"), ("export", "--out")],
)
def test_a_file_in_the_place_of_a_folder_to_write_is_refused_before_anything_starts(
    tmp_path, words
):
    (tmp_path / "notes.txt").write_text("mine")
    done = call(words[0], "params/sample_tsav.yaml", words[1], tmp_path / "notes.txt")
    assert done.exit_code == 2
    assert "is a file" in done.output
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.fixture
def declared(monkeypatch):
    names = {"lr": Declaration("lr", "float", 0.1), "epochs": Declaration("epochs", "int", 3)}
    monkeypatch.setattr(parameters, "all_declared", lambda *_: names)


def test_check_says_ok_or_what_is_wrong_for_each_file(tmp_path, declared):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("lr: 0.5\n")
    bad.write_text("lr: 1e-4\nepoch: 1\n")
    assert call("check", good).exit_code == 0
    done = call("check", good, bad, tmp_path / "none.yaml")
    assert done.exit_code == 2
    assert f"{good}: ok" in done.output
    assert "write 1.0e-4" in done.output
    assert "did you mean epochs?" in done.output
    assert "no such parameter file" in done.output


# ---- compare


def metrics(valence, interval, frames=2509, synthetic=True, ridge=0.2):
    scores = {"ccc": valence, "ci95": interval, "n_frames": frames, "n_trials": 8}
    return {
        "val": {"valence": scores, "arousal": {**scores, "ccc": 0.9}},
        "synthetic": synthetic,
        "epoch": 7,
        "val_smoothed": {"valence": {"ccc": valence + 0.01}, "arousal": {"ccc": 0.91}},
        "baselines": {
            "training mean": {"valence": 0.0, "arousal": 0.0},
            "ridge 8x8": {"valence": {"ccc": ridge}, "arousal": {"ccc": 0.1}},
        },
    }


@pytest.fixture
def evaluated(tmp_path):
    """Three run folders, one of which was never evaluated."""
    for name, found in (
        ("sample_tsav", metrics(0.81, [0.72, 0.87])),
        ("sample_jca", metrics(0.76, None)),
        ("new", 0),
    ):
        run = runs.Run(tmp_path / name)
        run.write_text("params.yaml", f"recipe: {name[7:] or 'tsav'}\nmodality: audiovisual\n")
        if found:
            run.write_json("metrics.json", found)
    return tmp_path


def test_compare_prints_runs_with_intervals_and_baselines_once(evaluated):
    done = call("compare", *sorted(evaluated.iterdir()))
    assert done.exit_code == 0, done.output
    assert "0.81 [0.72, 0.87]" in done.output
    assert "0.76" in done.output
    assert done.output.count("ridge 8x8") == 1
    assert "not evaluated: new" in done.output
    assert SYNTHETIC_NOTE in done.output
    lines = done.output.splitlines()
    assert [k for k, line in enumerate(lines) if "training mean" in line] > [
        k for k, line in enumerate(lines) if "sample_tsav" in line
    ]
    for name in ("comparison.csv", "comparison.html", "comparison.png"):
        assert (evaluated / name).stat().st_size > 100
    assert SYNTHETIC_NOTE in (evaluated / "comparison.html").read_text()


def test_compare_names_files_that_are_given_in_the_place_of_run_folders(evaluated):
    given = evaluated / "sample_tsav" / "metrics.json"
    call("compare", *sorted(evaluated.iterdir()))  # its own files may lie beside the runs
    done = call("compare", *sorted(evaluated.iterdir()), given)
    assert done.exit_code == 0, done.output
    assert f"files, and no run folders: {given}\n" in done.output
    done = call("compare", given)
    assert done.exit_code == 2
    assert "only files, and no run folder" in done.output


def test_compare_ends_with_3_where_scores_that_are_there_cannot_be_read(evaluated):
    (evaluated / "new" / "metrics.json").write_text('{"val": {"valence"')
    done = call("compare", *sorted(evaluated.iterdir()))
    assert done.exit_code == 3, done.output
    assert "left out: new:" in done.output
    assert "0.81 [0.72, 0.87]" in done.output


def test_compare_warns_when_runs_were_evaluated_on_different_frames(evaluated):
    run = runs.Run(evaluated / "new")
    run.write_json("metrics.json", metrics(0.5, None, frames=100, synthetic=False, ridge=0.3))
    done = call("compare", *sorted(evaluated.iterdir()))
    assert "cannot be compared" in done.output
    assert "ridge 8x8 (2)" in done.output


def test_compare_writes_a_score_that_rounds_to_nothing_without_a_sign(evaluated):
    run = runs.Run(evaluated / "new")
    run.write_json("metrics.json", metrics(-0.001, [-0.004, 0.004]))
    run.write_text("params.yaml", "recipe: tsav\nmodality: audiovisual\n")
    assert "0.00 [0.00, 0.00]" in call("compare", *sorted(evaluated.iterdir())).output


def test_compare_lists_method_rules_parameters_mean_and_seconds(evaluated):
    found = metrics(0.81, [0.72, 0.87]) | {"n_weights": 2_345_678, "rules": "published"}
    found["val"]["mean"] = {"ccc": 0.77, "ci95": [0.7, 0.8]}
    run = runs.Run(evaluated / "sample_tsav")
    run.write_json("metrics.json", found)
    run.write_text("history.csv", "epoch,seconds\n1,9.0\n2,5.0\n3,5.5\n")
    done = call("compare", *sorted(evaluated.iterdir()))
    row = next(line for line in done.output.splitlines() if "sample_tsav" in line)
    for part in ("tsav", "published", "2.35 M", "0.81 [0.72, 0.87]", "0.77 [0.70, 0.80]", "5.5"):
        assert part in row
    assert "runs by different rules are in this table" in done.output
    table = pd.read_csv(evaluated / "comparison.csv").set_index("name")
    assert table.loc["sample_tsav", "mean_high"] == 0.8
    assert table.loc["sample_jca", "mean"] == pytest.approx((0.76 + 0.9) / 2), (
        "of an older run: without an interval"
    )


@pytest.mark.parametrize(
    "change", ["dataset", "frames", "split", "sample_seed", "sample_seconds", "fold"]
)
def test_compare_puts_unlike_runs_in_blocks_of_their_own_and_says_so(evaluated, change):
    run = runs.Run(evaluated / "new")
    run.write_json("metrics.json", metrics(0.5, None, frames=100 if change == "frames" else 2509))
    other = f"{change}: 3\n" if change in ("sample_seed", "sample_seconds", "fold") else ""
    run.write_text(
        "params.yaml",
        f"recipe: jca\ndataset: {'other' if change == 'dataset' else 'sample'}\n{other}",
    )
    for name in ("sample_tsav", "sample_jca"):
        with (evaluated / name / "params.yaml").open("a") as file:
            file.write("dataset: sample\nsample_seed: 0\nsample_seconds: 12.0\nfold: 0\n")
    if change == "split":
        done = call("compare", *sorted(evaluated.iterdir()), "--split", "test")
        assert done.exit_code == 2, "no test scores are there, and val ones do not take their place"
        return
    done = call("compare", *sorted(evaluated.iterdir()))
    blocks = done.output.split("data ")
    of = {
        name: [block[0] for block in blocks if name in block.split() and block[1] == "\n"]
        for name in ("sample_jca", "sample_tsav", "new")
    }
    assert of == {"sample_jca": ["B"], "sample_tsav": ["B"], "new": ["A"]}
    assert "cannot be compared" in done.output
    assert set(pd.read_csv(evaluated / "comparison.csv")["data"].dropna()) == {"A", "B"}
    tables, notes = comparison.tables(sorted(evaluated.iterdir()))
    assert [sorted(set(table["run"])) for table in tables.values()][:2] == [
        ["new"],
        ["sample_jca", "sample_tsav"],
    ]
    assert any("cannot be compared" in note for note in notes)


def test_a_notebook_without_an_evaluated_run_beside_it_says_so(tmp_path):
    assert comparison.tables([tmp_path]) == ({}, ["no run has been evaluated on val"])


def test_compare_without_any_evaluated_run_says_what_to_do(tmp_path):
    done = call("compare", tmp_path)
    assert done.exit_code == 2
    assert "no metrics.json" in done.output


def test_compare_names_what_is_not_there_and_counts_a_run_once(evaluated):
    one = evaluated / "sample_jca"
    (evaluated / "link").symlink_to(one)
    named = [one, evaluated / "new" / ".." / one.name, evaluated / "link", evaluated / "typo"]
    done = call("compare", *named, "--to", evaluated)
    assert done.output.count("0.76") == 1, done.output
    assert "left out: typo: there is no such folder" in done.output
    assert call("compare", evaluated / "typo").exit_code == 2


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_place_of_a_folder_is_one_sentence(evaluated, place):
    (evaluated / "file").write_text("")
    done = call("compare", evaluated / "sample_jca", "--to", evaluated / place)
    assert done.exit_code == 2
    assert "there is a file where a folder belongs" in done.output
    place = evaluated / place
    (problem,) = parameters.validate({"processed_root": str(place)})
    assert problem == f"processed_root: {evaluated / 'file'} is a file, and no folder"
    with (
        pytest.raises(InputError, match="a file where a folder belongs"),
        held(place / "lock", 0.0, print),
    ):
        pass


# ---- store


def test_store_lists_and_removes_arrays(tmp_path, monkeypatch):
    for name in ("face", "mel"):
        Shelf(tmp_path / "sample" / "trials" / "t1").write(
            {"name": name, "parameters": {"size": 3}, "version": 1}, np.zeros(3)
        )
    listed = call("store", "ls", "--root", tmp_path)
    assert "sample/t1/face-" in listed.output
    assert "in 2 arrays" in listed.output
    assert call("store", "rm", "face", "--root", tmp_path, input="n\n").exit_code == 1
    done = call("store", "rm", "face", "--root", tmp_path, "--yes")
    assert "freed" in done.output
    assert "in 1 arrays" in call("store", "ls", "--root", tmp_path).output
    assert call("store", "rm", "face", "--root", tmp_path, "--yes").exit_code == 2
    assert call("store", "rm", "", "--root", tmp_path, "--yes").exit_code == 2  # "$UNSET"
    assert "in 1 arrays" in call("store", "ls", "--root", tmp_path).output
    assert "no such folder" in call("store", "ls", "--root", tmp_path / "none").output
    monkeypatch.chdir(tmp_path)  # as all paths of a command, --root counts from there
    assert "in 1 arrays" in call("store", "ls", "--root", "sample/..").output


# ---- the parameter files of this repository

FILES = sorted((ROOT / "params").rglob("*.yaml"))


@pytest.mark.skipif(
    not all((ROOT / "notebooks" / f"{name}.ipynb").is_file() for name in NOTEBOOKS),
    reason="notebooks",
)
def test_every_parameter_file_passes_the_check():
    done = call("check", *FILES)
    assert done.exit_code == 0, done.output


def test_every_overlay_is_a_mapping_without_a_name_of_a_run():
    for file in (ROOT / "params" / "overlays").glob("*.yaml"):
        assert "run" not in parameters.load([file]), json.dumps(file.name)


# ---- what is not there is told before anything starts


def test_every_shipped_parameter_file_is_right_where_no_data_are(tmp_path, monkeypatch):
    """In a fresh clone: absent data are a line and status 0, with --data status 2."""
    files = sorted((ROOT / "params").glob("*.yaml"))
    done = call("check", *files)
    assert done.exit_code == 0, done.output
    assert "data_root: data/affwild2 is not there" in done.output
    file = ROOT / "params" / "affwild2_tsav.yaml"
    assert call("check", "--data", file).exit_code == 2
    assert call("check", "--data", ROOT / "params" / "sample_tsav.yaml").exit_code == 0
    done = call("run", file, "-p", "runs_root", tmp_path)
    assert done.exit_code == 2
    assert "nothing was started: data_root: data/affwild2 is not there" in done.output
    assert list(tmp_path.iterdir()) == []


def test_check_looks_at_the_data_that_are_named_beside_a_file(tmp_path):
    videos = ROOT / "params" / "my_videos.yaml"
    there = ("check", "--data", videos, "-p", "data_root", tmp_path)
    assert call(*there).exit_code == 2
    (tmp_path / "talk").write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(64))
    assert call(*there).exit_code == 0
    assert call("check", videos, "-p", "data_roots", "x").exit_code == 2


def test_a_parameter_file_without_its_folder_is_offered_where_it_is(tmp_path):
    for name in ("sample_tsav", "sample_tsav.yaml", "sample_tsaw"):
        done = call("run", name)
        assert done.exit_code == 2
        assert "did you mean params/sample_tsav" in done.output


def test_a_text_file_in_the_place_of_a_recording_is_told_as_what_it_is(tmp_path):
    file, film = tmp_path / "notes.mp4", tmp_path / "film.mp4"
    file.write_text("Tuesday: two recordings\n")
    film.write_bytes(b"\0\0\0\x18ftypmp42")
    (problem,) = parameters.validate({"video_path": str(file)})
    assert problem.endswith("is text ('Tuesday: two recordings'), not a recording")
    assert parameters.validate({"video_path": str(film)}) == []
