"""What predictions are worth: chosen on val, test labels left alone, trivial predictors beside,
files ready to send.
"""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from lib import metrics, plots, runs, store, trials
from lib.evaluation import pages, prediction, submission
from lib.evaluation import scores as evaluation_scores
from lib.evaluation.predictions import COMPLETE, Predictions, write_csv
from lib.labels import official
from lib.plots import style
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

SENTENCE = "trained on synthetic sample data: values have no meaning"
WIDTHS = [1, 3, 9]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def baselines(tiny):
    return evaluation_scores.trivial(tiny_set.table(tiny), tiny_set.store(tiny))


def predictor(root, name="jca", **changes):
    """A network that is never asked: the tests below write the predictions themselves."""
    method = tiny_set.create(name, root, **changes)
    return prediction.Predictor(
        method, None, torch.device("cpu"), {"size": 1, "sha256": "0"}, 7, True
    )


def truth(found, trial):
    """The curves that the labels of a trial were cut from, without gaps."""
    place = tiny_set.store(found.recipe.params.processed_root.parent)
    row = found.recipe._trials[trial]
    loud = (
        np.asarray(evaluation_scores.arrays.read(row, store.request("loudness"), place))[:, 0] / 5
    )
    va = np.nan_to_num(np.asarray(found.recipe.labels(trial, "va")))
    return np.stack([va[:, 0], loud], axis=1)


def restless(found, trial, strength=0.5):
    """Right on average over a few frames, wrong in each: smoothing helps."""
    sign = np.where(np.arange(found.recipe.n_frames(trial)) % 2, 1, -1)[:, None]
    return (truth(found, trial) + strength * sign).astype(np.float32)


def steady(found, trial, strength=0):
    return truth(found, trial).astype(np.float32)


def predicted(root, folder, curves=restless, splits=("val", "test"), found=None):
    """Write prediction files of these trials; returns predictor and trial table."""
    found = found or predictor(root)
    table = tiny_set.table(root)
    table = table[table["split"].isin(splits)].reset_index(drop=True)
    for trial in table["trial"]:
        rows = prediction.prediction_table(found, trial, {"va": curves(found, trial)})
        write_csv(folder / f"{trial}.csv", rows)
    return found, table


# ---- who is heard


def test_errors_are_split_by_who_speaks_beside_shuffled_groups(tiny, tmp_path):
    """Wrong only where somebody else in the video speaks, who has no labels and may be of no split
    that is scored.
    """
    found = predictor(tiny)
    rows = [
        ("seen", "1", "val"),
        ("1_left", "2", "val"),
        ("hidden", "1", "test"),
        ("short", "9", "val"),
    ]
    table = pd.DataFrame(rows, columns=["trial", "video", "split"])
    speaks = np.zeros((2, 50))
    speaks[0, 10:20], speaks[1, 20:30] = 0.9, 0.8
    columns = {"seen": speaks[0], "hidden": speaks[1], "1_left": np.resize(speaks[0], 60)}
    for trial in table["trial"]:
        values = truth(found, trial)
        if trial == "seen":
            values[20:30] *= -1
        out = pd.DataFrame(values, columns=["valence", "arousal"])
        if trial != "hidden":
            out[["label_valence", "label_arousal"]] = truth(found, trial)
        out = out.assign(speaking=np.resize(columns[trial], len(out))) if trial in columns else out
        write_csv(tmp_path / f"{trial}.csv", out)
    result = {}
    shown = evaluation_scores.by_speaker(table, Predictions(tmp_path), result, 10)
    told = result["val_by_speaker"]
    assert [
        told[name]["valence"]["n_frames"]
        for name in ("speaking", "somebody else speaking", "not speaking")
    ] == [20, 10, 80]
    assert told["somebody else speaking"]["valence"]["mae"] > 0.1
    assert told["speaking"]["valence"]["mae"] == 0 == told["not speaking"]["valence"]["mae"]
    assert {"speaking", "shuffled"} <= told.keys()
    assert len(shown) == 12
    assert shown["shuffled"].sum() == 6


def test_without_the_column_nothing_is_split(tiny, tmp_path):
    _, table = predicted(tiny, tmp_path)
    result = {}
    assert evaluation_scores.by_speaker(table, Predictions(tmp_path), result).empty
    assert result == {}


# ---- smoothing and scores


def test_trials_of_one_subject_count_as_one_and_the_result_says_whose_they_are(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path)
    alone = evaluation_scores.finish(found, table, Predictions(tmp_path), [1])
    assert "subjects" not in alone
    val = table["split"] == "val"
    together = table.assign(subject=table["subject"].where(~val, "anna"))
    result = evaluation_scores.finish(found, together, Predictions(tmp_path), [1])
    assert result["subjects"] == dict.fromkeys(table["trial"][val], "anna")
    assert result["val"]["valence"]["n_subjects"] == 1
    assert "1 subjects in 2 labelled trials" in result["val"]["mean"]["why"]
    assert result["val"]["valence"]["ccc"] == alone["val"]["valence"]["ccc"]
    without = evaluation_scores.finish(
        found, together, Predictions(tmp_path), [1], with_intervals=False
    )
    assert "why" not in without["val"]["mean"]


def test_scores_without_trials_of_people_that_it_learnt_from_stand_beside(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path)
    learnt = replace(found, trained_on=("1_left", "171"))
    assert "shared" not in evaluation_scores.finish(
        learnt, table, Predictions(tmp_path), [1], False
    )
    video = table["video"].where(table["trial"] != "seen", "171")
    result = evaluation_scores.finish(
        learnt, table.assign(video=video), Predictions(tmp_path), [1], False
    )
    assert result["shared"] == {"seen": "video 171"}
    rest = {"short": np.asarray(found.recipe.labels("short", "va"))}
    alone = evaluation_scores.metrics.va_scores(
        rest, {"short": restless(found, "short")}, with_intervals=False
    )
    for emotion in ("valence", "arousal"):
        without = result["val_without_shared"][emotion]
        assert without["n_frames"] < result["val"][emotion]["n_frames"]
        assert without["n_frames"] == alone[emotion]["n_frames"]
    elsewhere = replace(found, trained_on=("171", "of another data set"))
    again = evaluation_scores.finish(
        elsewhere, table.assign(video=video), Predictions(tmp_path), [1], False
    )
    assert "shared" not in again


def test_an_authors_network_learnt_from_the_training_part_of_the_official_split(
    tiny, tmp_path, monkeypatch
):
    found, table = predicted(tiny, tmp_path)
    theirs, crossing = replace(found, licence="theirs", trained_on=()), table.copy()
    crossing.loc[table["trial"] == "seen", "video"] = "171"
    asked = (crossing, Predictions(tmp_path), [1], False)
    assert "shared" not in evaluation_scores.finish(theirs, *asked), "not the papers' data set"
    monkeypatch.setattr(evaluation_scores, "OFFICIAL", table["dataset"].iloc[0])
    assert evaluation_scores.finish(theirs, *asked)["shared"] == {"seen": "video 171"}
    ours = replace(found, trained_on=())
    assert "shared" not in evaluation_scores.finish(ours, *asked), "of no authors"


def test_smoothing_is_chosen_on_val_and_both_scores_are_there(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path)
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    val = {trial: np.asarray(found.recipe.labels(trial, "va")) for trial in ("seen", "short")}
    raw = {trial: restless(found, trial) for trial in val}
    for emotion, column in (("valence", 0), ("arousal", 1)):

        def score(width, column=column):
            smooth = [
                evaluation_scores.smoothing.box(np.clip(raw[t], -1, 1), width)[:, column]
                for t in val
            ]
            return metrics.ccc(
                np.concatenate(smooth), np.concatenate([val[t][:, column] for t in val])
            )

        assert result["smoothing"][emotion] == max(WIDTHS, key=score) > 1
        assert result["val"][emotion]["ccc"] < result["val_smoothed"][emotion]["ccc"]
        assert result["val_smoothed"][emotion]["ccc"] == pytest.approx(
            score(result["smoothing"][emotion]), abs=1e-4
        )
        unclipped = metrics.ccc(
            *(np.concatenate([part[t][:, column] for t in val]) for part in (raw, val))
        )
        assert result["val"][emotion]["ccc"] == pytest.approx(unclipped, abs=1e-4)


def test_where_nothing_is_gained_nothing_is_smoothed(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path, steady)
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    assert result["smoothing"] == {"valence": 1, "arousal": 1}
    assert result["val"] == result["val_smoothed"]


def test_the_width_does_not_depend_on_test_trials_even_when_their_labels_are_known(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path)
    without = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    against = {"hidden": -restless(found, "hidden").clip(-1, 1)}
    with_them = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20, against)
    assert with_them["smoothing"] == without["smoothing"]
    assert with_them["val"] == without["val"]
    assert with_them["test"]["valence"]["ccc"] < 0


def test_scores_say_what_they_are_and_fit_into_json(tiny, tmp_path, baselines):
    found, table = predicted(tiny, tmp_path)
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    result["baselines"] = baselines
    path = runs.Run(tmp_path / "run").write_json("metrics.json", result)
    back = json.loads(path.read_text())
    assert (back["rules"], back["epoch"], back["synthetic"]) == ("corrected", 7, True)
    assert "chosen on the val trials" in back["chosen_on"]
    valence = back["val"]["valence"]
    n_labelled = sum(
        np.isfinite(found.recipe.labels(trial, "va")[:, 0]).sum() for trial in ("seen", "short")
    )
    assert (valence["n_frames"], valence["n_trials"]) == (n_labelled, 2)
    assert valence["ci95"] is None
    assert "needs at least 8" in valence["why"]
    assert {"ccc", "pcc", "rmse", "mae"} <= valence.keys()
    assert "test" not in back


def test_only_labelled_frames_count(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path, steady)
    unlabelled = np.isnan(found.recipe.labels("seen", "va")[:, 0])
    assert unlabelled.any()
    rows = pd.read_csv(tmp_path / "seen.csv")
    rows.loc[unlabelled, ["valence_raw", "arousal_raw"]] = -1
    write_csv(tmp_path / "seen.csv", rows)
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), [1], 20)
    assert result["val"]["valence"]["ccc"] == pytest.approx(1, abs=1e-6)


# ---- prediction files


def test_files_get_smoothed_values_and_labels_and_keep_what_was_predicted(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path)
    before = pd.read_csv(tmp_path / "seen.csv")
    chosen = evaluation_scores.finish(found, table, Predictions(tmp_path), [9], 20)["smoothing"]
    after = pd.read_csv(tmp_path / "seen.csv")
    assert list(after) == [*before.columns.drop("note"), "label_valence", "label_arousal", "note"]
    kept = ["frame", "time", "valence_raw", "arousal_raw", "valid", "note"]
    pd.testing.assert_frame_equal(after[kept], before[kept])
    raw = before[["valence_raw", "arousal_raw"]].to_numpy()
    assert chosen == {"valence": 9, "arousal": 9}
    smooth = evaluation_scores.smoothing.smooth(raw, chosen)
    assert after[["valence", "arousal"]].to_numpy() == pytest.approx(smooth, abs=1e-5)
    assert np.abs(smooth).max() <= 1 < np.abs(raw).max()
    known = np.asarray(found.recipe.labels("seen", "va"))
    np.testing.assert_allclose(after[["label_valence", "label_arousal"]], known, atol=1e-5)
    assert np.isnan(known).any()


def test_finishing_twice_changes_nothing(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path)
    first = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)

    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = files()
    assert evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20) == first
    assert files() == before


def test_all_tasks_of_a_network_are_scored_and_labelled(tiny, tmp_path):
    found = predictor(tiny, "tsav")
    table = tiny_set.table(tiny).query("split == 'val'")
    for trial in table["trial"]:
        n_frames = found.recipe.n_frames(trial)
        raw = {
            "va": steady(found, trial),
            "expression": np.eye(7)[np.arange(n_frames) % 7],
            "action_units": np.where((np.arange(n_frames)[:, None] + np.arange(8)) % 2, 3.0, -3.0),
        }
        write_csv(tmp_path / f"{trial}.csv", prediction.prediction_table(found, trial, raw))
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    for scores in (result["val"], result["val_smoothed"]):
        assert scores["expression"]["f1_macro"] == pytest.approx(1)
        assert scores["action_units"]["f1_mean"] == pytest.approx(1)
    rows = pd.read_csv(tmp_path / "seen.csv")
    known = rows["label_expression"] >= 0
    assert (rows["label_expression"] == rows["expression"])[known].all()
    assert (~known).any()
    assert {f"label_action_unit_{k}" for k in range(8)} <= set(rows)


# ---- labels that are held back


def write_hidden(root, folder="annotations_test_hidden", values=0.25):
    path = tiny_set.store(root).data_root / folder / "VA_Set" / "hidden.txt"
    return official.write(path, "va", np.full((30, 2), values, np.float32))


def test_hidden_labels_are_read_only_when_their_folder_is_named(tiny, monkeypatch):
    path = write_hidden(tiny)
    read, seen = official.read, []
    monkeypatch.setattr(
        official, "read", lambda place, kind: [seen.append(place), read(place, kind)][1]
    )
    table, place = tiny_set.table(tiny), tiny_set.store(tiny)
    assert evaluation_scores.hidden_labels(table, place, "") == {}
    assert not seen
    found = evaluation_scores.hidden_labels(table, place, "annotations_test_hidden")
    assert seen == [path]
    assert list(found) == ["hidden"]
    assert (found["hidden"] == 0.25).all()


def test_named_test_labels_give_scores_under_test_and_stand_in_the_files(tiny, tmp_path):
    write_hidden(tiny)
    found, table = predicted(tiny, tmp_path)
    hidden = evaluation_scores.hidden_labels(table, tiny_set.store(tiny), "annotations_test_hidden")
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20, hidden)
    assert (
        result["test"]["valence"]["n_frames"]
        == result["test_smoothed"]["arousal"]["n_frames"]
        == 30
    )
    assert set(pd.read_csv(tmp_path / "hidden.csv")["label_valence"]) == {0.25}


def test_hidden_labels_with_other_row_counts_are_fitted_to_the_frames(tiny):
    official.write(
        tiny_set.store(tiny).data_root / "longer" / "VA_Set" / "hidden.txt",
        "va",
        np.zeros((33, 2), np.float32),
    )
    found = evaluation_scores.hidden_labels(tiny_set.table(tiny), tiny_set.store(tiny), "longer")
    assert len(found["hidden"]) == 30


# ---- trivial predictors


def test_trivial_predictors_stand_beside_with_their_penalty(baselines):
    assert {name.split(" (")[0] for name in baselines} == {
        "training mean",
        "ridge 8×8 pixels",
        "ridge 16×16 pixels",
        "ridge mean colour",
        "ridge loudness",
    }
    assert baselines["training mean"] == {"valence": 0, "arousal": 0}
    by = {name.split(" (")[0]: scores for name, scores in baselines.items()}
    # In this set a face is as bright as its valence and the sound as loud as its arousal.
    assert by["ridge mean colour"]["valence"] > 0.8
    assert by["ridge loudness"]["arousal"] > 0.8
    assert set(by["ridge loudness"]["penalty"]) == {"valence", "arousal"}


def test_trivial_predictors_do_not_look_at_test_trials(tiny, baselines):
    table = tiny_set.table(tiny)
    assert (
        evaluation_scores.trivial(table[table["split"] != "test"], tiny_set.store(tiny))
        == baselines
    )


def test_without_sound_or_faces_the_predictors_that_need_them_are_left_out(tmp_path):
    root = tiny_set.make(tmp_path)
    for path in (root / "processed").rglob("loudness*"):
        path.unlink()
    found = evaluation_scores.trivial(tiny_set.table(root), tiny_set.store(root))
    assert found
    assert not any("loudness" in name for name in found)


def test_the_score_table_has_the_network_raw_and_smoothed_and_the_trivial_ones(
    tiny, tmp_path, baselines
):
    found, table = predicted(tiny, tmp_path)
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    result["baselines"] = baselines
    scores = evaluation_scores.score_table(result)
    assert list(scores["method"].unique()[:2]) == ["raw", "smoothed"]
    assert scores[~scores["baseline"]]["method"].nunique() == 2
    assert scores[scores["baseline"]]["method"].nunique() == 5
    raw = scores[(scores["method"] == "raw") & (scores["emotion"] == "arousal")]["ccc"].item()
    assert raw == result["val"]["arousal"]["ccc"]


# ---- tables and pictures


def test_pairs_are_the_labelled_frames_of_val_trials(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path, steady)
    evaluation_scores.finish(found, table, Predictions(tmp_path), [1], 20)
    values, known = evaluation_scores.pairs(table, Predictions(tmp_path))
    n_labelled = sum(
        np.isfinite(found.recipe.labels(trial, "va")).all(axis=1).sum()
        for trial in ("seen", "short")
    )
    assert values.shape == known.shape == (n_labelled, 2)
    assert values == pytest.approx(known, abs=1e-5)


def test_scores_of_each_trial_and_the_best_and_worst_of_them(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path, steady)
    rows = pd.read_csv(tmp_path / "short.csv")
    rows[["valence_raw", "arousal_raw"]] *= -1
    write_csv(tmp_path / "short.csv", rows)
    evaluation_scores.finish(found, table, Predictions(tmp_path), [1], 20)
    scores = evaluation_scores.by_trial(table, Predictions(tmp_path))
    assert set(scores["trial"]) == {"seen", "short"}
    assert pages.best_and_worst(scores) == ["seen", "short"]
    assert pages.best_and_worst(scores[scores["trial"] == "seen"]) == ["seen"]


def words(picture):
    figure = style.figure_of(picture)
    found = [text.get_text() for text in figure.findobj(plt.Text)]
    plt.close(figure)
    return " ".join(found)


def test_the_sentence_about_sample_networks_stands_under_every_picture_of_predictions(
    tiny, tmp_path, baselines
):
    found, table = predicted(tiny, tmp_path)
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    result["baselines"] = baselines
    pictures = [
        pages.traces(Predictions(tmp_path), SENTENCE, "seen"),
        pages.traces(Predictions(tmp_path), SENTENCE, "hidden"),
        plots.ccc_table_plot(evaluation_scores.score_table(result), note=SENTENCE),
        plots.error_by_trial(
            evaluation_scores.by_trial(table, Predictions(tmp_path)), note=SENTENCE
        ),
        plots.circumplex(*evaluation_scores.pairs(table, Predictions(tmp_path)), note=SENTENCE),
    ]
    assert trials.SYNTHETIC_NOTE == SENTENCE
    for picture in pictures:
        assert SENTENCE in words(picture)


@pytest.mark.parametrize("splits", [("test",), ("train",)])
def test_without_val_trials_predictions_are_finished_and_no_score_is_made_up(
    tiny, tmp_path, splits
):
    """`splits: [test]` is a way to predict test trials alone."""
    found, table = predicted(tiny, tmp_path / "predictions", splits=splits)
    result = evaluation_scores.finish(
        found, table, Predictions(tmp_path / "predictions"), WIDTHS, 20
    )
    assert result["smoothing"] == {"valence": 1, "arousal": 1}
    assert "val" not in result
    scores = evaluation_scores.score_table(result)
    assert scores["ccc"].isna().all()
    by_trial = evaluation_scores.by_trial(table, Predictions(tmp_path / "predictions"))
    assert pages.best_and_worst(by_trial) == []
    for picture in (
        plots.ccc_table_plot(scores),
        plots.error_by_trial(by_trial),
        plots.circumplex(*evaluation_scores.pairs(table, Predictions(tmp_path / "predictions"))),
    ):
        assert words(picture)


def test_a_network_without_valence_and_arousal_is_evaluated_too(tiny, tmp_path):
    found = predictor(tiny, "tsav", options={"tasks": ["expression"]})
    table = tiny_set.table(tiny).query("split == 'val'").reset_index(drop=True)
    for trial in table["trial"]:
        raw = {"expression": np.eye(7)[np.arange(found.recipe.n_frames(trial)) % 7]}
        write_csv(tmp_path / f"{trial}.csv", prediction.prediction_table(found, trial, raw))
    result = evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    assert result["val"]["expression"]["f1_macro"] == pytest.approx(1)
    assert evaluation_scores.score_table(result)["ccc"].isna().all()
    assert evaluation_scores.by_trial(table, Predictions(tmp_path)).empty
    assert len(evaluation_scores.pairs(table, Predictions(tmp_path))[0]) == 0
    assert submission.submit(found, table, Predictions(tmp_path), tmp_path / "submission") == []
    assert words(pages.traces(Predictions(tmp_path), SENTENCE, "seen"))


# ---- frames without a face


def only_seeing(tiny, folder):
    """Finished predictions of a network that only sees, all frames of "seen" but the first ten
    without a face, and the same as if its values were kept.
    """
    found, table = predicted(tiny, folder)
    values = runs.read_table(folder / "seen.csv")
    values["valid"] = (values["frame"] <= 10).astype(int)
    write_csv(folder / "seen.csv", values)
    return found, table


def test_scores_and_submissions_count_every_frame_and_the_table_shows_those_with_a_face(
    tiny, tmp_path, monkeypatch
):
    results, sent = [], []
    for alone in (False, True):
        folder = tmp_path / str(alone)
        found, table = only_seeing(tiny, folder)
        monkeypatch.setattr(type(found.recipe), "from_face_alone", alone)
        results.append(evaluation_scores.finish(found, table, Predictions(folder), WIDTHS, 20))
        submission.submit(found, table, Predictions(folder), folder / "sent")
        files = sorted((folder / "sent").rglob("*.*"))
        sent.append({file.relative_to(folder): file.read_bytes() for file in files})
    assert results[0] == results[1]
    assert sent[0] == sent[1]
    kept, shown = (runs.read_table(tmp_path / str(alone) / "seen.csv") for alone in (False, True))
    assert kept["valence"].notna().all()
    assert shown["valence"].notna().tolist() == (shown["frame"] <= 10).tolist()
    values = [name for name in shown if name not in ("valence", "arousal")]
    pd.testing.assert_frame_equal(kept[values], shown[values])
    pd.testing.assert_frame_equal(Predictions(tmp_path / "True").complete("seen"), kept)
    for read in (evaluation_scores.by_trial, evaluation_scores.pairs):
        one, other = (read(table, Predictions(tmp_path / str(alone))) for alone in (False, True))
        np.testing.assert_equal(np.asarray(one), np.asarray(other))


def test_the_values_of_every_frame_go_when_all_frames_have_a_face(tiny, tmp_path, monkeypatch):
    found, table = only_seeing(tiny, tmp_path)
    monkeypatch.setattr(type(found.recipe), "from_face_alone", True)
    evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    file = tmp_path / COMPLETE / "seen.csv"
    assert file.is_file()
    values = runs.read_table(tmp_path / "seen.csv").assign(valid=1)
    write_csv(tmp_path / "seen.csv", values)
    evaluation_scores.finish(found, table, Predictions(tmp_path), WIDTHS, 20)
    assert not file.is_file()
    assert runs.read_table(tmp_path / "seen.csv")["valence"].notna().all()


# ---- submission


def test_submission_files_of_all_test_trials_are_written_and_valid(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path / "predictions")
    evaluation_scores.finish(found, table, Predictions(tmp_path / "predictions"), WIDTHS, 20)
    out = tmp_path / "submission"
    assert submission.submit(found, table, Predictions(tmp_path / "predictions"), out) == []
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "VA_Set/hidden.txt",
        "predictions.csv",
        "val/VA_Set/seen.txt",
        "val/VA_Set/short.txt",
        "val/predictions.csv",
    ]
    assert (
        submission.validate(out, {"hidden": 30})
        == submission.validate(out / "val", {"seen": 50, "short": 7})
        == []
    )
    sent = official.read(out / "VA_Set" / "hidden.txt", "va")
    rows = pd.read_csv(tmp_path / "predictions" / "hidden.csv")
    assert sent == pytest.approx(rows[["valence", "arousal"]].to_numpy(), abs=1e-5), (
        "smoothed, as in the file"
    )


def test_without_test_trials_the_val_trials_are_written(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path / "predictions", splits=("val",))
    evaluation_scores.finish(found, table, Predictions(tmp_path / "predictions"), WIDTHS, 20)
    assert (
        submission.submit(found, table, Predictions(tmp_path / "predictions"), tmp_path / "out")
        == []
    )
    assert {path.stem for path in (tmp_path / "out" / "VA_Set").iterdir()} == {"seen", "short"}


def test_what_is_wrong_with_a_submission_is_returned(tiny, tmp_path):
    found, table = predicted(tiny, tmp_path / "predictions")
    (tmp_path / "out" / "VA_Set").mkdir(parents=True)
    (tmp_path / "out" / "VA_Set" / "older.txt").write_text("valence,arousal\n0,0\n")
    problems = submission.submit(
        found, table, Predictions(tmp_path / "predictions"), tmp_path / "out"
    )
    assert len(problems) == 1
    assert "older.txt: no such trial is expected" in problems[0]


def test_rows_turn_from_by_trial_to_by_task():
    assert evaluation_scores.by_task({"a": {"va": 1, "expression": 2}, "b": {"va": 3}}) == {
        "va": {"a": 1, "b": 3},
        "expression": {"a": 2},
    }


# ---- classes


def test_the_majority_class_stands_beside_the_network_that_learns_classes(tiny):
    found = predictor(tiny, "tsav")
    table = tiny_set.table(tiny)
    trivial = evaluation_scores.majority(table, found.recipe)["majority class"]
    assert not any("ci95" in scores for scores in trivial.values()), (
        "one draw of trials is no interval"
    )
    rows = {
        trial: np.asarray(found.recipe.labels(trial, "expression")) for trial in ("seen", "short")
    }
    train = np.concatenate(
        [
            np.asarray(found.recipe.labels(trial, "expression"))
            for trial in table["trial"][table["split"] == "train"]
        ]
    )
    most = np.bincount(train[train >= 0]).argmax()
    expected = metrics.f1_macro(np.full(57, most), np.concatenate(list(rows.values())))
    assert trivial["expression"]["f1_macro"] == pytest.approx(expected)
    assert 0 <= trivial["action_units"]["f1_mean"] <= 1
    scores = {
        "val": {"expression": {"f1_macro": 0.5, "ci95": None, "n_frames": 57, "n_trials": 2}},
        "baselines": {"majority class": trivial},
    }
    shown = evaluation_scores.f1_table(scores)
    assert list(shown["task"]) == ["expression"]
    assert shown["majority class"].iloc[0] == pytest.approx(expected)


def test_a_network_without_classes_has_no_such_table(tiny):
    assert evaluation_scores.majority(tiny_set.table(tiny), predictor(tiny).recipe) == {}
    assert evaluation_scores.f1_table({"val": {"valence": {"ccc": 0.5}}}).empty
