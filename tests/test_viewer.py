"""A person with a browser gets a picker, papermill gets the first trial's picture."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from lib import viewer
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
    box = viewer.browse(["a", "b", "c"], show)
    assert displayed[0][0] is box
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
