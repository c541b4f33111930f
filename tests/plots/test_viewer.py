"""A person with a browser gets a picker, papermill gets the first trial's picture."""

import base64
import dataclasses
import io
import re
import wave
from urllib.parse import unquote, urlsplit

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import metrics, plots, trials
from lib.errors import InputError
from lib.parallel import progress
from lib.plots import viewer

PNG = b"\x89PNG"


@pytest.fixture
def shown(monkeypatch):
    """Names of trials that were drawn, and what was displayed."""
    drawn, displayed = [], []

    def show(trial):
        drawn.append(trial)
        return plt.subplots(figsize=(1, 1))[1]

    monkeypatch.setattr(
        "IPython.display.display", lambda what, **options: displayed.append((what, options))
    )
    return show, drawn, displayed


def test_without_a_front_end_the_first_trial_is_a_static_picture(shown):
    show, drawn, displayed = shown
    assert not progress.has_front_end()
    assert viewer.browse(["a", "b"], show) is None
    assert drawn == ["a"]
    picture, options = displayed[0]
    assert picture["image/png"].startswith(PNG)
    assert options == {"raw": True}
    assert plt.get_fignums() == []  # nothing is left to appear a second time


def test_with_a_front_end_a_person_chooses_the_trial(shown, monkeypatch):
    show, drawn, displayed = shown
    monkeypatch.setattr(viewer, "has_front_end", lambda: True)
    assert (
        viewer.browse(["a", "b", "c"], show) is None
    )  # a returned box would be shown a second time
    ((box, _),) = displayed
    (back, forth, names), picture = box.children[0].children, box.children[1]
    assert bytes(picture.value).startswith(PNG)
    names.value = "c"
    forth.click()
    back.click()
    assert drawn == ["a", "c", "a", "c"]
    assert plt.get_fignums() == []


class Faces:
    """Frame k is a face of grey level k; the third one was not found."""

    valid = np.arange(50) != 2

    def read(self, chosen):
        return np.stack([np.full((8, 8, 3), 4 * k, np.uint8) for k in chosen])


def trial(name="a", **more):
    times = np.arange(50) / 25
    sound = np.sin(2 * np.pi * 440 * np.arange(2 * 8000) / 8000)
    parts = {
        "faces": Faces(),
        "sound": sound,
        "rate": 8000,
        "mel": np.full((64, 200), -30.0),
        "note": "a note",
    } | more
    return plots.Trial(name, times, np.c_[times - 1, 1 - times], np.full((50, 2), np.nan), **parts)


def cursor(picture):
    """px of the red line."""
    return np.flatnonzero((picture == (200, 0, 0)).all(axis=-1).sum(axis=0) > 100)


@pytest.mark.parametrize("parts", [{}, {"sound": None, "mel": None}, {"faces": None}])
def test_another_moment_moves_the_cursor_with_the_time_and_shows_its_face(parts):
    moments = plots.Moments(trial(**parts))
    places = [cursor(moments.picture(k)).mean() for k in (0, 10, 20, 40)]
    assert np.diff(places) == pytest.approx(
        np.array([10, 10, 20]) * (places[3] - places[0]) / 40, abs=1.5
    )
    face = moments.picture(40)[100, 50]
    assert (face == (235 if parts.get("faces", 0) is None else 160)).all()
    assert (moments.picture(2)[20, 20] == 235).all(), (
        "a frame without a face is not another one's face"
    )


def test_labels_and_predictions_stand_in_one_picture_with_sound_and_note():
    lines = [line.get_label() for ax in plots.trial_lines(trial()) for line in ax.lines]
    assert "label" not in lines, "nothing is drawn where nothing is known"
    known = dataclasses.replace(trial(), labels=np.zeros((50, 2)))
    axes = plots.trial_lines(known)
    assert len(axes) == 4
    assert {"label", "prediction"} <= {line.get_label() for ax in axes for line in ax.lines}
    assert axes[0].figure._supxlabel.get_text() == "a note"
    plt.close("all")


def test_without_a_front_end_the_middle_moment_is_a_static_picture(shown):
    _, _, displayed = shown
    assert viewer.explore(["a", "b", "c"], trial, static=2) is None
    assert [options for _, options in displayed] == [{"raw": True}] * 2
    assert all(picture["image/png"].startswith(PNG) for picture, _ in displayed)
    assert plt.get_fignums() == []
    with pytest.raises(InputError, match="no trial to show"):
        viewer.explore([], trial)


def test_with_a_front_end_slider_and_list_change_the_picture_and_the_sound_is_that_of_the_moment(
    shown, monkeypatch
):
    _, _, displayed = shown
    monkeypatch.setattr(viewer, "has_front_end", lambda: True)
    viewer.explore(["a", "b"], lambda name: trial(name, sound=np.linspace(0, 1, 16_000)))
    ((box, _),) = displayed
    chooser, (_, moment, hear), picture, sound = (
        box.children[0],
        box.children[1].children,
        *box.children[2:],
    )
    seen = [bytes(picture.value)]
    assert moment.value == 25
    moment.value = 40
    seen.append(bytes(picture.value))
    chooser.children[1].click()
    seen.append(bytes(picture.value))
    assert len(set(seen)) == 3
    assert moment.value == 25, "another trial begins in its middle"
    hear.click()
    with wave.open(io.BytesIO(bytes(sound.value))) as heard:
        samples = np.frombuffer(heard.readframes(heard.getnframes()), "<i2") / 32767
        assert heard.getframerate() == 8000
    assert len(samples) == pytest.approx(16_000, abs=400)
    moment.value = 50
    hear.click()
    with wave.open(io.BytesIO(bytes(sound.value))) as heard:
        later = np.frombuffer(heard.readframes(heard.getnframes()), "<i2") / 32767
    assert later[0] == pytest.approx((49 / 25 - 1) / 2, abs=0.01), (
        "from one second before the moment"
    )


def test_a_kernel_without_a_server_has_no_front_end(monkeypatch):
    shell = type("Shell", (), {"kernel": object()})()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    assert not progress.has_front_end()
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/02.ipynb")
    assert progress.has_front_end()


def test_an_empty_list_of_trials_is_refused():
    with pytest.raises(InputError, match="no trial to show"):
        viewer.browse([], lambda trial: None)


def test_where_there_may_be_no_trial_a_sentence_says_so(monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", displayed.append)
    viewer.browse([], lambda trial: None, nothing="nobody speaks")
    assert [repr(each) for each in displayed] == ["nobody speaks"]


def test_a_table_has_no_row_numbers_three_digits_and_blanks_where_there_is_no_value():
    shown = viewer.table(
        pd.DataFrame(
            {"trial": ["a", "b"], "share": [0.96666667, float("nan")], "n": [1234.0, -0.0]}
        )
    )
    assert repr(shown).split() == ["trial", "share", "n", "a", "0.967", "1234", "b", "0"]
    assert "<th></th>" not in shown._repr_html_()
    assert "NaN" not in shown._repr_html_()


def test_numbers_of_a_column_have_the_same_decimals_and_stand_to_the_right_of_text():
    rows = pd.DataFrame(
        {
            "trial": ["1", "10", "2"],
            "ccc": [0.8123, -0.05, float("nan")],
            "seconds": [1234.5, 8.77, 0.02],
            "note": ["a < b", None, ""],
        }
    )
    shown = viewer.table(rows)
    assert repr(shown).split() == [
        *("trial", "ccc", "seconds", "note"),
        *("1", "0.812", "1234", "a", "<", "b"),
        *("2", "0.02"),
        *("10", "-0.050", "9"),
    ]
    page = shown._repr_html_()
    assert "<td style='text-align:left;vertical-align:top'>a &lt; b" in page
    assert "<td style='text-align:right;vertical-align:top'>0.812" in page


def test_only_a_long_word_of_a_table_is_broken():
    page = viewer.table(pd.DataFrame({"method": ["tsav"], "file": ["x" * 60]}))._repr_html_()
    assert page.count("overflow-wrap:anywhere") == 1


def test_trials_that_stand_the_worst_first_stay_so():
    shown = viewer.table(pd.DataFrame({"trial": ["10", "2", "1"], "error": [True, False, False]}))
    assert repr(shown).split() == ["trial", "error", "10", "True", "2", "False", "1", "False"]


def test_a_table_without_rows_is_a_sentence():
    shown = viewer.table(pd.DataFrame(columns=["trial"]), "no trial was lost")
    assert repr(shown) == "no trial was lost"
    assert shown._repr_html_() is None


def test_scores_stand_in_one_row_a_method_with_their_intervals():
    found = {"raw": {"valence": {"ccc": 0.5, "ci95": [0.4, 0.6]}, "arousal": {"ccc": None}}}
    shown = repr(
        viewer.scores(
            metrics.ccc_table(found, {"training mean": {"valence": -0.0001, "arousal": 0.0}})
        )
    )
    assert "0.50 [0.40, 0.60]" in shown
    assert "training mean" in shown
    assert "−0.00" not in shown
    assert len(shown.splitlines()) == 3


def test_before_numbers_without_a_meaning_the_words_stand_first_and_the_table_is_grey():
    rows = trials.noted(pd.DataFrame({"method": ["raw"], "ccc": [0.91]}), True)
    shown = viewer.table(rows)
    assert repr(shown).startswith(f"{trials.SYNTHETIC_NOTE}\n")
    page = shown._repr_html_()
    assert page.index(trials.SYNTHETIC_NOTE) < page.index("<table style='color:#8a8a8a;")
    plain = viewer.table(trials.noted(pd.DataFrame({"ccc": [0.91]}), False))._repr_html_()
    assert plain.startswith("<table")
    assert "color" not in plain


def test_under_a_button_no_figure_is_known_to_pyplot_which_another_thread_may_close():
    known = []

    def show(name):
        axes = plots.label_plane(np.zeros((3, 2)))
        known.append(plt.get_fignums())
        return axes

    picture = viewer.picker(["a"], show).children[1]
    assert known == [[]]
    assert bytes(picture.value).startswith(PNG)
    plots.label_plane(np.zeros((3, 2)))
    assert len(plt.get_fignums()) == 1, "under a cell it appears by itself"
    plt.close("all")


def test_a_long_note_is_broken_into_lines_that_fit_the_figure():
    axes = plots.label_plane(np.zeros((3, 2)), note="word " * 60 + "\nnext")
    figure = np.ravel(axes)[0].figure
    figure.canvas.draw()
    box = figure._supxlabel.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert figure._supxlabel.get_text().splitlines()[-1] == "next"
    plt.close(figure)


def test_a_link_leads_to_a_file_of_any_name(tmp_path, monkeypatch):
    """A browser ends the path at # and ?, and reads %20 as a blank."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out" / 'a #1? 50%20 "ü" <b>.csv'
    path.parent.mkdir()
    path.write_text("x")
    (href,) = re.findall(r'href="([^"]*)"', viewer.link(path).data)
    assert unquote(urlsplit(href).path) == f"out/{path.name}"
    assert "<b>" not in viewer.link(path).data


def test_a_file_on_another_drive_has_an_address_of_its_own(tmp_path, monkeypatch):
    def relpath(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(viewer.os.path, "relpath", relpath)
    path = tmp_path / "people.csv"
    path.write_text("time,person\n")
    assert f'href="{path.as_uri()}"' in viewer.link(path).data


def test_in_colab_a_link_holds_the_file_and_of_a_large_one_the_place_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(viewer, "is_colab", lambda: True)
    path = tmp_path / "people.csv"
    path.write_text("time,person\n")
    (href,) = re.findall(r'href="data:text/csv;base64,([^"]*)"', viewer.link(path).data)
    assert base64.b64decode(href) == path.read_bytes()
    monkeypatch.setattr(viewer, "IN_A_LINK", 3)
    monkeypatch.setattr(viewer, "EMBEDDED", 3)
    for shown in (viewer.link(path), viewer.video(path)):
        assert str(path) in shown.data
        assert "href" not in shown.data


def test_whole_numbers_with_gaps_and_numbers_without_bounds_are_shown():
    rows = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "x": [1e300, 2.0]})
    assert viewer.table(rows).text.split() == ["n", "x", "1", "1e+300", "2"]
