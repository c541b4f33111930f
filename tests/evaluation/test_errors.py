"""When it is wrong: the worst stretches are found and shown, a CCC is split into parts that give it
back.
"""

import numpy as np
import pandas as pd
import pytest

from lib import metrics, plots, trials
from lib.errors import InputError
from lib.evaluation import errors
from lib.evaluation.predictions import Predictions
from lib.store import Store
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

TIME = np.arange(200) / 25


# ---- the parts of a CCC


def test_a_ccc_is_correlation_times_accuracy_and_each_part_has_its_textbook_value():
    generator = np.random.default_rng(0)
    label = generator.normal(size=500) * 0.3
    for factor, offset in ((1.0, 0.0), (0.5, 0.0), (1.0, 0.3), (-2.0, 0.1)):
        found = metrics.ccc_parts(factor * label + offset, label)
        assert found["ccc"] == pytest.approx(found["correlation"] * found["accuracy"])
        assert found["correlation"] == pytest.approx(np.sign(factor))
        assert found["scale"] == pytest.approx(abs(factor))
        assert found["bias"] == pytest.approx((factor - 1) * label.mean() + offset)
        assert found["shift"] == pytest.approx(found["bias"] / (np.sqrt(abs(factor)) * label.std()))


def test_a_constant_has_no_scale_and_a_ccc_of_zero():
    found = metrics.ccc_parts(np.full(5, 0.2), np.arange(5) / 10)
    assert (found["ccc"], found["bias"]) == (0, pytest.approx(0.0))
    assert np.isnan([found["scale"], found["shift"], found["accuracy"]]).all()
    assert np.isnan(metrics.ccc_parts(np.zeros(3), np.full(3, np.nan))["bias"])


def test_unlabelled_frames_do_not_count_in_any_part():
    label = np.r_[np.sin(np.arange(50)), np.full(50, np.nan)]
    with_more, without = (
        metrics.ccc_parts(np.r_[np.cos(np.arange(50)), np.full(50, 9.0)][:n], label[:n])
        for n in (100, 50)
    )
    assert with_more == pytest.approx(without)


# ---- the worst stretches


def test_the_worst_stretches_are_where_the_errors_are_and_do_not_overlap():
    label = np.zeros((200, 2))
    prediction = label.copy()
    prediction[100:150] = 0.8  # 4 to 6 s
    prediction[20:45, 0] = 0.4
    found = errors.stretches(TIME, prediction, label, seconds=2.0, most=2)
    assert found[0] == (100, 150, pytest.approx(0.8))
    first, last, _ = found[1]
    assert first <= 20
    assert last >= 45
    (a, b, _), (c, d, _) = found
    assert b <= c or d <= a


def test_unlabelled_stretches_are_not_the_worst_and_a_short_trial_is_one_stretch():
    label = np.zeros((200, 2))
    label[100:] = np.nan
    prediction = np.where(np.arange(200)[:, None] < 100, 0.1, 1.0) * np.ones((1, 2))
    assert all(last <= 126 for _, last, _ in errors.stretches(TIME, prediction, label))
    assert errors.stretches(TIME[:20], prediction[:20], label[:20]) == [(0, 20, pytest.approx(0.1))]
    assert errors.stretches(TIME, prediction, np.full((200, 2), np.nan)) == []


def test_a_trial_with_a_label_a_second_has_stretches_too():
    prediction, label = np.zeros((200, 2)), np.full((200, 2), np.nan)
    label[::25] = 0.1
    label[100] = 0.9
    worst = errors.stretches(TIME, prediction, label, most=1)
    assert [first <= 100 < last for first, last, _ in worst] == [True]


def test_a_network_of_one_emotion_is_judged_by_that_one():
    label, prediction = np.zeros((200, 2)), np.full((200, 2), np.nan)
    prediction[:, 0] = np.where(np.arange(200) < 100, 0.1, 0.9)
    first, last, error = errors.stretches(TIME, prediction, label)[0]
    assert first >= 100
    assert error == pytest.approx(0.9)
    label[:, 1] = np.nan  # as the recipe gives the labels of what is not learnt
    assert errors.stretches(TIME, prediction, label)[0] == (first, last, error)


# ---- pages


@pytest.fixture
def run(tmp_path):
    root = tiny_set.make(tmp_path / "tiny")
    table = tiny_set.table(root)
    for trial in ("seen", "short"):
        row = table.set_index("trial").loc[trial]
        n = int(row["n_frames"])
        label = 0.5 * np.sin(np.arange(n)[:, None] / 5 + np.arange(2))
        values = label * (0.5 if trial == "seen" else -1) + 0.1
        pd.DataFrame(
            {
                "frame": np.arange(1, n + 1),
                "time": np.arange(n) / 25,
                "valence": values[:, 0],
                "arousal": values[:, 1],
                "valence_raw": values[:, 0],
                "arousal_raw": values[:, 1],
                "label_valence": label[:, 0],
                "label_arousal": label[:, 1],
            }
        ).to_csv(tmp_path / f"{trial}.csv")
    return table, tiny_set.store(root), tmp_path


def test_a_page_shows_parts_stretches_and_course_in_one_file_and_the_index_links_it(run):
    table, store, folder = run
    rows = errors.parts(table, Predictions(folder))
    assert list(rows["trial"]) == ["short", "short", "seen", "seen"]  # the worst first
    assert rows.set_index(["trial", "emotion"]).loc[("seen", "valence"), "scale"] == pytest.approx(
        0.5
    )
    names = errors.worst(rows, 1)
    note = trials.SYNTHETIC_NOTE
    written = errors.write_all(
        names,
        table,
        store,
        Predictions(folder),
        folder / "errors",
        rows,
        tiny_set.FACE,
        note,
    )
    assert [path.name for path in written] == ["short.html", "index.html"]
    text = written[0].read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "http://" not in text
    assert "https://" not in text
    assert note in text
    assert written[0].stat().st_size < 400_000
    assert "<a href='short.html'>short</a>" in written[1].read_text()


def test_a_stretch_shows_faces_sound_prediction_and_label_side_by_side(run):
    table, store, folder = run
    row = table.set_index("trial", drop=False).loc["seen"].to_dict()
    figure = errors.picture(row, store, Predictions(folder), tiny_set.FACE)
    columns = len(errors.stretches(*[np.arange(50) / 25], *[np.zeros((50, 2))] * 2))
    assert len(figure.axes) == 4 * columns
    assert figure.axes[0].images
    assert figure.axes[columns].images
    lines = {line.get_label() for ax in figure.axes[2 * columns :] for line in ax.get_lines()}
    assert {"label", "prediction"} <= lines


def test_without_faces_and_sound_the_curves_are_still_shown(run, tmp_path):
    table, _, folder = run
    row = table.set_index("trial", drop=False).loc["seen"].to_dict()
    figure = errors.picture(
        row, Store(tmp_path / "empty", "tiny", tmp_path), Predictions(folder), tiny_set.FACE
    )
    texts = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert {"no faces", "no sound"} <= texts


def test_a_trial_without_labels_has_no_page_and_is_named(run):
    table, store, folder = run
    rows = pd.read_csv(folder / "seen.csv").drop(columns=["label_valence", "label_arousal"])
    rows.to_csv(folder / "seen.csv")
    row = table.set_index("trial", drop=False).loc["seen"].to_dict()
    with pytest.raises(InputError, match="no stretch with labels"):
        errors.picture(row, store, Predictions(folder), tiny_set.FACE)


def test_the_parts_of_all_trials_are_drawn_with_lines_where_they_would_be_right(run):
    table, _, folder = run
    axes = plots.ccc_parts(errors.parts(table, Predictions(folder)))
    assert [ax.get_xlabel().split(" ")[0] for ax in axes] == [
        "correlation",
        "scale",
        "shift",
        "bias",
    ]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["short", "seen"]
