"""What a sweep found: merged results with intervals, which parameter mattered, pictures."""

import numpy as np
import pandas as pd
import pytest

from lib import plots, runs
from lib.errors import InputError
from lib.evaluation import merging
from lib.experiments.sweeps import results
from lib.experiments.sweeps import table as sweeps_table
from lib.metrics import EMOTIONS
from tests import tiny_set
from tests.evaluation.test_ensemble import a_run
from tests.evaluation.test_folds_merged import VAL, make_run
from tests.tiny_set import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def sweep(place, grid, rows):
    """A sweep's folder that says that these runs are finished: (name, values, state)."""
    folder = place / "x_sweep"
    found = {
        name: {
            "values": values,
            "folder": str(place / name),
            "state": state,
            "epochs": 2,
            "host": "here",
            "seconds": 1.0,
            "tries": 0,
            "why": "",
        }
        for name, values, state in rows
    }
    runs.Run(folder).write_json(
        "sweep.json",
        {
            "grid": grid,
            "files": ["x.yaml"],
            "cluster": "local",
            "started": "now",
            "ended": "later",
            "runs": found,
        },
    )
    return folder


def table(values):
    """Points over lr and fold with these CCC."""
    rows = [
        {
            "run": f"r{k}",
            "lr": lr,
            "fold": fold,
            "state": "finished",
            "measure": "CCC",
            "score": ccc,
        }
        for k, (lr, fold, ccc) in enumerate(values)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def tiny_data(tiny, monkeypatch):
    """Merging looks for the trial table of the tiny set."""
    monkeypatch.setattr(
        merging.parameters,
        "of_run",
        lambda folder: tiny_set.parameters("jca", tiny, smoothing_widths=[1]),
    )
    monkeypatch.setattr(merging.datasets, "store", lambda p: tiny_set.store(tiny))


def test_seeds_are_merged_into_one_result_with_an_interval_for_each_other_point(
    tiny, tmp_path, tiny_data
):
    rows = []
    for modality in ("audio", "video"):
        for seed in (0, 1, 2):
            name = f"x_{modality}_seed{seed}"
            a_run(tiny, tmp_path / name, seed + 10 * (modality == "video"))
            rows.append((name, {"modality": modality, "seed": seed}, "finished"))
    folder = sweep(tmp_path, {"modality": ["audio", "video"], "seed": [0, 1, 2]}, rows)
    found = results.finish(folder, 20)
    assert list(found.merged["modality"]) == ["audio", "video"]
    assert list(found.merged["runs"]) == ["3 of 3", "3 of 3"]
    for row in found.merged.itertuples():
        metrics = runs.Run(folder / f"merged_{row.modality}").read_json("metrics.json")
        assert row.valence == metrics["val"]["valence"]["ccc"]
        alone = [
            runs.Run(tmp_path / name).read_json("metrics.json")["val"]["valence"]["ccc"]
            for name, values, _ in rows
            if values["modality"] == row.modality
        ]
        assert row.valence > max(alone), "independent errors cancel"
    assert "values have no meaning" in found.text
    page = (folder / "sweep.html").read_text()
    for part in (
        "<h2>Merged</h2>",
        "Which parameter mattered",
        'src="figures/grid.png"',
        "values have no meaning",
    ):
        assert part in page
    assert (folder / "figures" / "grid.png").stat().st_size > 1000
    assert len(pd.read_csv(folder / "results.csv")) == 2


def test_runs_that_are_missing_in_a_result_are_told(tiny, tmp_path, tiny_data):
    for seed in (0, 1):
        a_run(tiny, tmp_path / f"x_seed{seed}", seed)
    grid = {"seed": [0, 1, 2], "lr": [0.1, 0.2]}
    rows = [
        (f"x_seed{seed}", {"seed": seed, "lr": 0.1}, state)
        for seed, state in ((0, "finished"), (1, "finished"), (2, "failed"))
    ]
    found = results.finish(
        sweep(tmp_path, grid, [*rows, ("x_other", {"seed": 0, "lr": 0.2}, "failed")]), 20
    )
    assert list(found.merged["runs"]) == ["2 of 3", "0 of 1"]
    assert found.merged["why"].iloc[1] == "no run is finished"


def test_runs_that_do_not_fit_are_told_and_stop_nothing(tiny, tmp_path, tiny_data):
    a_run(tiny, tmp_path / "x_seed0", 0)
    a_run(tiny, tmp_path / "x_seed1", 1, splits=("val",))
    rows = [(f"x_seed{seed}", {"seed": seed}, "finished") for seed in (0, 1)]
    found = results.finish(sweep(tmp_path, {"seed": [0, 1]}, rows), 20)
    assert "different trials" in found.merged["why"].iloc[0]


def test_folds_are_joined_out_of_fold_for_each_emotion(tmp_path):
    rows = []
    for emotion in EMOTIONS:
        for fold in VAL:
            name = f"x_fold{fold}_{emotion}"
            make_run(tmp_path / name, fold, emotion)
            rows.append((name, {"fold": fold, "emotion": emotion}, "finished"))
    found = results.finish(sweep(tmp_path, {"fold": [0, 1], "emotion": list(EMOTIONS)}, rows), 20)
    assert list(found.merged["emotion"]) == list(EMOTIONS)
    for emotion in EMOTIONS:
        row = found.merged.set_index("emotion").loc[emotion]
        metrics = runs.Run(tmp_path / "x_sweep" / f"merged_{emotion}").read_json("metrics.json")
        assert metrics["val"][emotion]["n_trials"] == 3, "each trial by the fold that held it out"
        assert row[emotion] == metrics["val"][emotion]["ccc"]
        assert pd.isna(row[next(other for other in EMOTIONS if other != emotion)])


def test_a_single_run_keeps_its_own_scores(tiny, tmp_path):
    a_run(tiny, tmp_path / "x_lr0.1", 0)
    folder = sweep(tmp_path, {"lr": [0.1]}, [("x_lr0.1", {"lr": 0.1}, "finished")])
    found = results.finish(folder, 20)
    own = runs.Run(tmp_path / "x_lr0.1").read_json("metrics.json")["val"]
    assert found.merged["arousal"].iloc[0] == own["arousal"]["ccc"]
    assert found.mattered.empty
    assert not list(folder.glob("merged*"))


def test_the_parameter_that_explains_the_scores_stands_first():
    points = table([(0.1, 0, 0.50), (0.1, 1, 0.54), (0.2, 0, 0.10), (0.2, 1, 0.14)])
    found = results.mattered(points, {"fold": [0, 1], "lr": [0.1, 0.2]})
    assert list(found["parameter"]) == ["lr", "fold"]
    assert found["best"].to_list() == [0.1, 1]
    assert found["spread"].to_list() == pytest.approx([0.4, 0.04])
    # Sums of squares by hand: 4·0.2² = 0.16 and 4·0.02² = 0.0016.
    assert found["share"].to_list() == pytest.approx([0.16 / 0.1616, 0.0016 / 0.1616])


def test_equal_scores_have_no_cause_and_missing_ones_are_left_out():
    points = table([(0.1, 0, 0.5), (0.1, 1, 0.5), (0.2, 0, 0.5), (0.2, 1, float("nan"))])
    found = results.mattered(points, {"lr": [0.1, 0.2], "fold": [0, 1]})
    assert found["share"].to_list() == [0.0, 0.0]
    assert results.mattered(points[:0], {"lr": [0.1, 0.2]}).empty


def test_a_heat_map_holds_the_mean_of_each_cell_and_leaves_missing_ones_grey():
    points = table([(0.1, 0, 0.2), (0.1, 0, 0.4), (0.1, 1, 0.6), (0.2, 0, 0.8)])
    ax = plots.grid_heat(points, "fold", "lr")
    assert sorted(text.get_text() for text in ax.texts) == ["0.30", "0.60", "0.80"]
    assert np.ma.count_masked(ax.collections[0].get_array()) == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lr", "fold")


def test_a_line_goes_through_the_means_in_the_order_of_numbers_and_rates_stand_on_a_log_axis():
    points = table([(0.1, 0, 0.2), (0.001, 0, 0.4), (0.1, 1, 0.6)])
    ax = plots.grid_line(points, "lr")
    assert ax.lines[0].get_xdata().tolist() == [0.001, 0.1]
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([0.4, 0.4])
    assert ax.get_xscale() == "log"
    points["modality"] = ["video", "audio", "video"]
    ax = plots.grid_line(points, "modality")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["video", "audio"]


@pytest.mark.parametrize(
    ("val", "expected"),
    [
        (
            {
                "valence": {"ccc": 0.1},
                "arousal": {"ccc": 0.3},
                "mean": {"ccc": 0.2, "ci95": [0.1, 0.3]},
            },
            ("CCC", 0.2, 0.1, 0.3),
        ),
        ({"arousal": {"ccc": 0.3, "ci95": None}, "mean": {"ccc": None}}, ("CCC", 0.3, None, None)),
        ({"speaking": {"ap": 0.9, "ci95": [0.8, 0.95]}}, ("AP", 0.9, 0.8, 0.95)),
        ({"expression": {"f1_macro": 0.5}}, ("macro-F1", 0.5, None, None)),
        # the interval is that of the score that stands first
        (
            {"expression": {"uar": 0.6, "ci95": [0.5, 0.7], "f1_macro": 0.5}},
            ("UAR", 0.6, 0.5, 0.7),
        ),
        ({}, ("", None, None, None)),
    ],
)
def test_the_score_of_a_run_is_the_mean_of_both_emotions_the_one_it_learnt_or_of_another_task(
    val, expected
):
    assert sweeps_table.score({"val": val}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"val": [1]}',
        '{"val": {"mean": 0.5}}',
        '{"val": {"mean": {"ccc": "x"}}}',
        '{"val": {"mean": {"ccc": 0.3, "ci95": [1]}}}',
        '{"val": {"mean": {"ccc": 1' + 400 * "0" + "}}}",
    ],
)
def test_damaged_scores_cost_a_run_its_numbers_and_not_the_table_or_the_results(tmp_path, text):
    rows = [(f"x_lr{lr}", {"lr": lr}, "finished") for lr in (0.1, 0.2)]
    for name, _, _ in rows:
        runs.Run(tmp_path / name).write_json("metrics.json", {"val": {"speaking": {"ap": 0.8}}})
    (tmp_path / "x_lr0.1" / "metrics.json").write_text(text)
    folder = sweep(tmp_path, {"lr": [0.1, 0.2]}, rows)
    table = sweeps_table.read(folder)
    assert [pd.isna(score) for score in table["score"]] == [True, False]
    assert table["why"][0].startswith("metrics.json is damaged")
    found = results.finish(folder).merged
    assert found["why"][0].startswith("x_lr0.1: metrics.json is damaged")
    assert found["speaking"][1] == 0.8


def test_runs_that_tell_who_speaks_have_an_ap_and_their_repeats_a_mean(tmp_path):
    known = {}
    for lr, seed, ap in ((0.1, 0, 0.8), (0.1, 1, 0.9), (0.2, 0, 0.6)):
        run = runs.Run(tmp_path / f"asd_{lr}_{seed}")
        run.write_json(
            "metrics.json", {"val": {"speaking": {"ap": ap, "ci95": [ap - 0.1, ap + 0.1]}}}
        )
        known[run.folder.name] = {
            "values": {"lr": lr, "seed": seed},
            "folder": str(run.folder),
            "state": "finished",
            "epochs": 1,
            "host": "here",
            "seconds": 1.0,
            "tries": 0,
            "why": "",
        }
    folder = tmp_path / "asd_sweep"
    runs.Run(folder).write_json(
        "sweep.json",
        {
            "grid": {"lr": [0.1, 0.2], "seed": [0, 1]},
            "files": [],
            "ended": "now",
            "started": "now",
            "cluster": "local",
            "runs": known,
        },
    )
    found = results.finish(folder)
    rows = found.merged.set_index("lr")["speaking"]
    assert rows.to_dict() == {0.1: pytest.approx(0.85), 0.2: 0.6}
    assert list(found.merged["why"].fillna("")) == ["mean of the runs", ""]
    assert "0.600 [0.500, 0.700]" in found.text
    assert "merged: AP on val" in found.text
    assert "<th>best AP</th><th>AP</th>" in (folder / "sweep.html").read_text()
    assert found.mattered["parameter"][0] == "lr"
    runs.Run(tmp_path / "asd_0.2_0").write_json("metrics.json", {"val": {"valence": {"ccc": 0.3}}})
    mixed = sweeps_table.text(sweeps_table.read(folder))
    assert "best score measure" in " ".join(mixed.split())
    assert "AP" in mixed
    assert "CCC" in mixed


def test_a_sweep_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError):
        results.finish(tmp_path)
