"""A person with a browser gets a picker, papermill gets the first trial's picture."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib import metrics, viewer
from lib.errors import InputError

PNG = b"\x89PNG"


@pytest.fixture
def shown(monkeypatch):
    """Names of trials that were drawn, and what was displayed."""
    drawn, displayed = [], []

    def show(trial):
        drawn.append(trial)
        return plt.subplots(figsize=(1, 1))[1]

    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append((what, options)))
    return show, drawn, displayed


def test_without_a_front_end_the_first_trial_is_a_static_picture(shown):
    show, drawn, displayed = shown
    assert not viewer.has_front_end()
    assert viewer.browse(["a", "b"], show) is None
    assert drawn == ["a"]
    picture, options = displayed[0]
    assert picture["image/png"].startswith(PNG)
    assert options == {"raw": True}
    assert plt.get_fignums() == []  # nothing is left to appear a second time


def test_with_a_front_end_a_person_chooses_the_trial(shown, monkeypatch):
    show, drawn, displayed = shown
    monkeypatch.setattr(viewer, "has_front_end", lambda: True)
    assert viewer.browse(["a", "b", "c"], show) is None  # a returned box would be shown a second time
    (box, _), = displayed
    (back, forth, names), picture = box.children[0].children, box.children[1]
    assert bytes(picture.value).startswith(PNG)
    names.value = "c"
    forth.click()
    back.click()
    assert drawn == ["a", "c", "a", "c"]
    assert plt.get_fignums() == []


def test_a_kernel_without_a_server_has_no_front_end(monkeypatch):
    shell = type("Shell", (), {"kernel": object()})()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    assert not viewer.has_front_end()
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/02.ipynb")
    assert viewer.has_front_end()


def test_an_empty_list_of_trials_is_refused():
    with pytest.raises(InputError, match="no trial to show"):
        viewer.browse([], lambda trial: None)


def test_a_table_has_no_row_numbers_three_digits_and_blanks_where_there_is_no_value():
    shown = viewer.table(pd.DataFrame({"trial": ["a", "b"], "share": [0.96666667, float("nan")], "n": [1234.0, -0.0]}))
    assert repr(shown).split() == ["trial", "share", "n", "a", "0.967", "1234", "b", "0"]
    assert "<th></th>" not in shown._repr_html_()
    assert "NaN" not in shown._repr_html_()


def test_a_table_without_rows_is_a_sentence():
    shown = viewer.table(pd.DataFrame(columns=["trial"]), "no trial was lost")
    assert repr(shown) == "no trial was lost"
    assert shown._repr_html_() is None


def test_scores_stand_in_one_row_a_method_with_their_intervals():
    found = {"raw": {"valence": {"ccc": 0.5, "ci95": [0.4, 0.6]}, "arousal": {"ccc": None}}}
    shown = repr(viewer.scores(metrics.ccc_table(found, {"training mean": {"valence": -0.0001, "arousal": 0.0}})))
    assert "0.50 [0.40, 0.60]" in shown
    assert "training mean" in shown
    assert "−0.00" not in shown
    assert len(shown.splitlines()) == 3
