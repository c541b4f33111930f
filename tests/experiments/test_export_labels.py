"""``python -m lib export-labels``: the CSV files that other programs read, to the letter."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from lib import datasets, files, parameters, trials
from lib.__main__ import main
from lib.datasets import affwild2
from lib.labels import official
from lib.media import writing

FRAMES = 4
VA = "valence,arousal\n0.148,0.352\n0.148,0.360\n-5,-5\n-0.5,1\n"
EX = ",".join(official.EXPRESSIONS) + "\n3\n-1\n0\n6\n"
AU = (
    ",".join(official.ACTION_UNITS)
    + "\n0,1,0,0,1,0,0,1\n"
    + ",".join(["-1"] * 8)
    + "\n1,0,0,-1,0,0,0,0\n"
    + ",".join("0" * 8)
    + "\n"
)
TRAINED, TESTED = "1-30-1280x720", "5-60-1920x1080_left"


@pytest.fixture
def data_set(tmp_path):
    """A data root with a train, a val and a test trial, looked through by notebook 01; its
    parameter file.
    """
    root = tmp_path / "data"
    (root / "batch1").mkdir(parents=True)
    clip = writing.write_video(
        tmp_path / "clip.mp4",
        (np.zeros((32, 32, 3), np.uint8) for _ in range(FRAMES)),
        np.arange(FRAMES) / 25,
    ).read_bytes()
    for name in (TRAINED, "2", "5-60-1920x1080"):
        (root / f"batch1/{name}.mp4").write_bytes(clip)
    for name, content in (
        (f"VA_Set/Train_Set/{TRAINED}.txt", VA),
        ("VA_Set/Validation_Set/2.txt", VA),
        (f"EXPR_Set/Train_Set/{TRAINED}.txt", EX),
        (f"AU_Set/Train_Set/{TRAINED}.txt", AU),
        ("test_set_VA.txt", f"{TESTED}\n"),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    file = tmp_path / "tiny.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "dataset": "affwild2",
                "data_root": str(root),
                "workers": 1,
                "processed_root": str(tmp_path / "processed"),
            }
        )
    )
    full = parameters.complete(parameters.load([file]))
    place = datasets.store(
        parameters.Params(
            full | {name: files.resolve(full[name]) for name in full if name.endswith("_root")}
        )
    )
    trials.write(affwild2.find(root)[0], place.trials_path)
    return file, place.folder


def call(*words):
    return CliRunner().invoke(main, ["export-labels", *map(str, words)])


def test_the_files_have_literally_the_rows_of_the_layout_in_use(data_set):
    file, processed = data_set
    done = call(file)
    assert done.exit_code == 0, done.output
    folder = processed / "preprocessed_VA_annotations"
    assert f"3 files in {folder}" in done.output
    assert (folder / f"train/{TRAINED}.csv").read_bytes() == (
        b"img,V,A,frame_id\n"
        b"1-30-1280x720/00001.jpg,0.148,0.352,00001\n"
        b"1-30-1280x720/00002.jpg,0.148,0.36,00002\n"
        b"1-30-1280x720/00004.jpg,-0.5,1.0,00004\n"
    )
    assert (folder / f"test/{TESTED}.csv").read_bytes() == b"img,frame_id\n" + b"".join(
        f"{TESTED}/{k:05d}.jpg,{k:05d}\n".encode() for k in range(1, FRAMES + 1)
    )
    assert (folder / "val/2.csv").is_file()


def test_the_published_running_number_comes_on_request_and_into_another_folder(data_set, tmp_path):
    done = call(data_set[0], "--index", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert (
        (tmp_path / f"out/train/{TRAINED}.csv")
        .read_text()
        .startswith(
            ",img,V,A,frame_id\n0,1-30-1280x720/00001.jpg,0.148,0.352,00001\n1,1-30-1280x720/00002.jpg,0.148,0.36,00002\n"
        )
    )
    assert (tmp_path / f"out/test/{TESTED}.csv").read_text().splitlines()[:2] == [
        ",img,frame_id",
        f"0,{TESTED}/00001.jpg,00001",
    ]


def test_expressions_and_action_units_are_written_of_the_trials_that_have_them(data_set):
    file, processed = data_set
    assert (
        call(file, "--kind", "expression").exit_code
        == call(file, "--kind", "action_units").exit_code
        == 0
    )
    written = sorted(
        path.relative_to(processed).as_posix() for path in processed.glob("preprocessed_*/*/*.csv")
    )
    assert written == [
        f"preprocessed_AU_annotations/train/{TRAINED}.csv",
        f"preprocessed_EX_annotations/train/{TRAINED}.csv",
    ]
    assert (processed / written[1]).read_text() == (
        f"img,EX,frame_id\n{TRAINED}/00001.jpg,3,00001\n{TRAINED}/00003.jpg,0,00003\n{TRAINED}/00004.jpg,6,00004\n"
    )
    assert (processed / written[0]).read_text() == (
        f"img,AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25,frame_id\n{TRAINED}/00001.jpg,0,1,0,0,1,0,0,1,00001\n"
        f"{TRAINED}/00003.jpg,1,0,0,-1,0,0,0,0,00003\n{TRAINED}/00004.jpg,0,0,0,0,0,0,0,0,00004\n"
    )


def test_a_trial_that_cannot_be_done_is_named_and_the_others_are_written(data_set, tmp_path):
    (tmp_path / "data/VA_Set/Validation_Set/2.txt").write_text(VA.replace("-0.5", "none"))
    done = call(data_set[0])
    assert done.exit_code == 3
    assert "'none' in column 1 is no number" in done.output
    assert "2 files in" in done.output


def test_without_the_trial_table_the_notebook_that_makes_it_is_named(data_set):
    (data_set[1] / "trials.parquet").unlink()
    done = call(data_set[0])
    assert done.exit_code == 2
    assert "01_download_check" in done.output


def test_trials_without_labels_are_named_with_what_became_of_them(data_set, tmp_path):
    words = ["export-labels", str(data_set[0]), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert f"1 trials without labels, names of pictures alone: {TESTED}" in done.output
    done = CliRunner().invoke(main, [*words, "--kind", "expression"])
    assert "2 trials without labels, no file: " in done.output
