"""The grid of a sweep: what it may say, the points it makes, their names and parameters."""

import pytest
import yaml

from lib import grammar, parameters
from lib.errors import InputError
from lib.experiments.sweeps import grid as sweeps_grid
from lib.experiments.sweeps import plan
from lib.files import ROOT
from lib.media import documents

KNOWN = grammar.parse(
    """
fold: int = -1  # part; from -1 to 100
emotion: str = "both"  # what is learnt; one of both, valence, arousal
lr: float = 0.1  # rate; from 1.0e-7 to 1.0
compiled: bool = False  # compile first
trials: list[str] = []  # work on these
run: str = ""  # folder
backbone_run: str = ""  # model: run to build on
""",
    "test",
)
OPTIONS = grammar.parse("dropout: float = 0.1  # share; from 0.0 to 1.0", "test")


def parse(*words):
    return sweeps_grid.parse(words, KNOWN, OPTIONS)


def test_ranges_hold_both_ends_and_lists_keep_their_order_and_types():
    assert parse("fold=0..5", "emotion=valence,arousal") == {
        "fold": [0, 1, 2, 3, 4, 5],
        "emotion": ["valence", "arousal"],
    }
    assert parse("fold=10..50..20", "lr=0.1,1.0e-3", "compiled=true,false") == {
        "fold": [10, 30, 50],
        "lr": [0.1, 0.001],
        "compiled": [True, False],
    }
    assert parse("options.dropout=0,0.3") == {"options.dropout": [0.0, 0.3]}
    assert parse("lr=1e-3,1E-4") == {"lr": [0.001, 0.0001]}, "as -p lr 1e-3 reads it"
    assert parse("backbone_run=1,no") == {"backbone_run": ["1", "no"]}, "text stays text"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["folds=0..2"], "folds: no such parameter; did you mean fold?"),
        (["options.dropuot=0.1"], "did you mean options.dropout?"),
        (["fold=5..0"], "the range 5..0 holds nothing"),
        (["fold=0..2..0"], "holds nothing"),
        (["fold=0.."], "is no range"),
        (["fold=0..x"], "is no range"),
        (["lr=0.1..0.5"], "is no range"),
        (["fold=0..99999999"], "more than 10000 values"),
        (["fold=0..200"], "101 is out of range"),
        (["fold=0,,2"], "an empty value"),
        (["fold="], "an empty value"),
        (["fold=1,1"], "1 is there twice"),
        (["fold=1", "fold=2"], "fold: is there twice"),
        (["fold"], "no `name=values`"),
        (["emotion=joy"], "none of both, valence, arousal"),
        (["lr=1e-3,0.001"], "0.001 is there twice"),
        (["lr=many"], '"many" is text where a number belongs'),
        (["trials=a,b"], "only single values"),
        (["run=a,b"], "cannot differ between the points"),
        ([], "no parameter is named"),
    ],
)
def test_a_grid_that_cannot_be_used_is_refused_in_words(words, told):
    with pytest.raises(InputError) as caught:
        parse(*words)
    assert told in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(InputError) as caught:
        parse("folds=0..2", "lr=fast", "emotion=valence")
    assert str(caught.value).count("\n  - ") == 2


def test_a_grid_of_too_many_points_is_a_slip_of_the_finger():
    with pytest.raises(InputError, match="20400 points"):
        parse(
            "fold=-1..100..1",
            "lr=" + ",".join(f"0.{k:03d}1" for k in range(100)),
            "compiled=true,false",
        )


def test_points_are_all_combinations_named_by_what_differs():
    found = sweeps_grid.points(
        parse("fold=0..1", "emotion=valence,arousal", "options.dropout=0.1,0.5"), "lfan"
    )
    assert len(found) == 8
    assert [found[0].name, found[-1].name] == [
        "lfan_fold0_valence_dropout0.1",
        "lfan_fold1_arousal_dropout0.5",
    ]
    assert found[1].values == {"fold": 0, "emotion": "valence", "options.dropout": 0.5}


def test_names_are_names_of_folders_and_differ():
    grid = parse("backbone_run=weights/a.pth,runs b", "compiled=true,false")
    assert [point.name for point in sweeps_grid.points(grid, "x")] == [
        "x_weights-a.pth_compiled",
        "x_weights-a.pth_no-compiled",
        "x_runs-b_compiled",
        "x_runs-b_no-compiled",
    ]
    with pytest.raises(InputError, match="two points would have the same run folder: x_a-b"):
        sweeps_grid.points(parse("backbone_run=a/b,a b"), "x")
    with pytest.raises(InputError, match="the same run folder: x_a"):  # on macOS and Windows
        sweeps_grid.points(parse("backbone_run=a,A"), "x")


def test_overrides_are_read_back_as_the_same_values():
    grid = parse("lr=1.0e-5,0.5", "compiled=true", "backbone_run=no", "options.dropout=0.25")
    point = sweeps_grid.points(grid, "x")[0]
    read = parameters.load([], point.overrides())
    assert read == {
        "lr": 1e-5,
        "compiled": True,
        "backbone_run": "no",
        "options": {"dropout": 0.25},
    }
    assert all(yaml.safe_load(text) is not None for text in point.overrides().values())


def test_a_parameter_file_is_read_once_for_all_points(monkeypatch):
    """Reading it per point took half of the time of a sweep of thousands."""
    read, file = [], ROOT / "params" / "sample_jca.yaml"
    whole = documents.read_yaml
    monkeypatch.setattr(documents, "read_yaml", lambda path: read.append(path) or whole(path))
    planned = plan.plan([file], ["seed=0..9"])
    assert len(planned.points) == 10
    assert read.count(file) == 1
    assert {experiment.values["seed"] for experiment in planned.experiments.values()} >= {0, 9}
