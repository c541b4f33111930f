"""Folds: no subject in two of them, the same everywhere, written once."""

import numpy as np
import pandas as pd
import pytest

from lib import parameters
from lib.errors import InputError
from lib.experiments import experiment
from lib.files import ROOT
from lib.labels import folds


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    rows = [
        {
            "trial": f"{k}",
            "subject": f"s{k // 2}",
            "split": ["train", "train", "val", "test"][k % 8 // 2],
            "n_frames": int(generator.integers(100, 2000)),
        }
        for k in range(80)
    ]
    return pd.DataFrame(rows)


def test_every_labelled_trial_has_one_fold_and_no_subject_two(table):
    found = folds.make(table, 5)
    assert sorted(found["trial"]) == sorted(table["trial"][table["split"] != "test"])
    assert (found.groupby("subject")["fold"].nunique() == 1).all()


def test_folds_are_about_equally_long_whatever_the_order_of_the_table(table):
    found = folds.make(table, 5)
    frames = found.merge(table, on="trial").groupby("fold")["n_frames"].sum()
    assert frames.max() < 1.2 * frames.min()
    pd.testing.assert_frame_equal(folds.make(table.iloc[::-1], 5), found)


def test_a_fold_file_is_written_once_and_read_afterwards(table, tmp_path):
    path = tmp_path / "folds.csv"
    found = folds.keep(path, table, 3)
    text = path.read_text().replace(",2\n", ",7\n")
    path.write_text(text)
    assert set(folds.keep(path, table, 3)["fold"]) == {0, 1, 7}
    assert path.read_text() == text
    assert len(found) == len(text.splitlines()) - 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trial,fold\n1,2\n", "columns"),
        ("trial,subject,fold\n1,a,x\n", "not a fold"),
        ("trial,subject,fold\n1,a,0\n1,a,0\n", "second time"),
        ("trial,subject,fold\n1,a,0\n2,a,1\n", "in the folds 0 and 1"),
        ("trial,subject,fold\n1,a,0\n", "only in"),
    ],
)
def test_a_fold_file_that_would_leak_or_does_not_fit_is_refused(table, tmp_path, text, message):
    path = tmp_path / "folds.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        folds.keep(path, table, 2)


def test_more_folds_than_subjects_are_refused(table):
    with pytest.raises(InputError, match="40 folds"):
        folds.make(table, 40)


# ---- LFAN's six folds, the split of a fold, leaks


def of_sizes(n_train, n_val, n_test=3):
    rows = [
        {
            "trial": f"{split}{k:03d}",
            "video": f"{split}{k:03d}",
            "subject": f"{split}{k:03d}",
            "split": split,
            "n_frames": 100,
            "fold": -1,
        }
        for split, n in (("train", n_train), ("val", n_val), ("test", n_test))
        for k in range(n)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)


def test_the_published_folds_have_the_published_blocks_and_fold_0_is_the_official_split():
    found = folds.published(of_sizes(351, 71))
    assert found.groupby("fold")["trial"].count().tolist() == [71, 71, 70, 70, 70, 70]
    assert set(found["trial"][found["fold"] == 0]) == {f"val{k:03d}" for k in range(71)}
    assert set(found["trial"][found["fold"] == 5]) == {f"train{k:03d}" for k in range(70)}
    assert set(found["trial"][found["fold"] == 1]) == {f"train{k:03d}" for k in range(280, 351)}
    later = folds.published(of_sizes(356, 76)).groupby("fold")["trial"].count()
    assert later.tolist() == [76, 72, 71, 71, 71, 71]


def test_few_trials_give_five_nearly_equal_blocks_and_too_few_are_refused():
    sizes = folds.published(of_sizes(14, 8)).groupby("fold")["trial"].count()
    assert sizes.tolist() == [8, 3, 3, 3, 3, 2]
    for n_train, n_val in ((4, 3), (9, 0)):
        with pytest.raises(InputError, match="train and"):
            folds.published(of_sizes(n_train, n_val))


def test_a_fold_validates_its_trials_trains_on_all_others_and_leaves_test_trials_alone(tmp_path):
    table = of_sizes(14, 8)
    pd.testing.assert_frame_equal(folds.split(table, tmp_path, -1), table)
    for fold in range(6):
        found = folds.split(table, tmp_path, fold, "published")
        members = folds.read(tmp_path / "folds_published.csv")
        assert set(found["trial"][found["split"] == "val"]) == set(
            members["trial"][members["fold"] == fold]
        )
        assert found["trial"].tolist() == table["trial"].tolist()
        assert ((found["split"] == "test") == (table["split"] == "test")).all()
        pd.testing.assert_frame_equal(folds.split(found, tmp_path, fold, "published"), found)


def test_a_fold_file_decides_whatever_the_order_of_the_table(tmp_path):
    table = of_sizes(14, 8)
    one = folds.split(table, tmp_path, 2, "published").set_index("trial")["split"]
    other = folds.split(table.iloc[::-1], tmp_path, 2, "published").set_index("trial")["split"]
    pd.testing.assert_series_equal(one.sort_index(), other.sort_index())


def test_what_a_fold_file_lacks_or_has_too_many_is_named(tmp_path):
    table = of_sizes(14, 8)
    with pytest.raises(InputError, match="there are no folds yet"):
        folds.split(table, tmp_path, 0)
    folds.split(table, tmp_path, 0, "published")
    with pytest.raises(InputError, match="no fold 6"):
        folds.split(table, tmp_path, 6, "published")
    path = tmp_path / "folds_published.csv"
    with path.open("a") as stream:
        stream.write("nobody,nobody,1\n")
    with pytest.raises(InputError, match=r"1 unknown trials .*nobody"):
        folds.split(table, tmp_path, 0, "published")
    path.write_text(
        "".join(
            line
            for line in path.read_text().splitlines(True)
            if "nobody" not in line and "train003" not in line
        )
    )
    with pytest.raises(InputError, match="train003"):
        folds.split(table, tmp_path, 0, "published")


def test_leaks_are_found_and_refused():
    table = of_sizes(6, 3)
    train, val = (table[table["split"] == split] for split in ("train", "val"))
    assert folds.require_apart(train, val, ["train001"], subjects=True) == []
    with pytest.raises(
        InputError, match="val000 is validated or tested on and was trained on by the network"
    ):
        folds.require_apart(train, val, ["val000"])
    with pytest.raises(InputError, match=r"leak: train000 .* is trained on"):
        folds.require_apart(train, table[table["trial"] == "train000"])
    siblings = val.assign(subject="train002")
    assert len(folds.require_apart(train, siblings)) == 1
    with pytest.raises(InputError, match="subject train002 is on both sides"):
        folds.require_apart(train, siblings, subjects=True)


def test_a_fold_builds_on_the_run_of_its_own_fold(tmp_path):
    """`-p fold 2` names both runs after the fold, and the face network is trained in that fold
    first.
    """
    chosen = {"fold": "2", "fold_rule": "published", "runs_root": str(tmp_path)}
    library = ROOT / "params"
    planned = experiment.plan([library / "sample_lfan.yaml"], chosen, ROOT / "notebooks", library)
    assert [each.values["run"] for each in planned] == [
        "sample_lfan_backbone_fold2",
        "sample_lfan_fold2",
    ]
    assert [each.values["fold"] for each in planned] == [2, 2]
    assert {each.values["fold_rule"] for each in planned} == {"published"}
    assert planned[1].values["backbone_run"] == "sample_lfan_backbone_fold2"
    plain = experiment.plan(
        [library / "sample_lfan.yaml"], {"runs_root": str(tmp_path)}, ROOT / "notebooks", library
    )
    assert [each.values["run"] for each in plain] == ["sample_lfan_backbone", "sample_lfan"]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "params").glob("*lfan*.yaml")), ids=lambda file: file.stem
)
def test_a_fold_of_lfan_needs_nothing_but_its_number(file, tmp_path):
    """`sweep params/sample_lfan.yaml --grid fold=0..2` on fresh data: no fold file has been made
    before.
    """
    values = parameters.complete(parameters.load([file]))
    assert values["fold"] == -1, "alone it is the official split"
    for fold in (0, 5):
        found = folds.split(of_sizes(14, 8), tmp_path, fold, values["fold_rule"])
        assert set(found["split"]) == {"train", "val", "test"}
