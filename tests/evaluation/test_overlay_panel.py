"""What is drawn below and into an overlay video: the dot of the circumplex, curves, cursor, box,
who speaks.
"""

import numpy as np
import pandas as pd
import pytest

from lib.evaluation import overlay, overlay_panel
from lib.evaluation.overlay_panel import COLOURS, INK, Panel
from lib.speakers.overlay import GREEN

TIMES = np.arange(100) / 25
SIDE, WIDTH = 120, 640


def table(valence, arousal, **more):
    return pd.DataFrame(
        {"valence": np.broadcast_to(valence, 100), "arousal": np.broadcast_to(arousal, 100), **more}
    )


def places(picture, colour):
    """(rows, columns) of pixels of this colour."""
    return np.nonzero(np.abs(picture.astype(int) - colour).max(axis=-1) < 40)


def dot(valence, arousal, index=50, **more):
    """Centre of the dark dot on the plane, in units of valence and arousal."""
    shown = Panel(TIMES, table(valence, arousal, **more), WIDTH, SIDE).draw(index)[:, :SIDE]
    rows, columns = places(shown, INK)
    return (columns.mean() - SIDE / 2) / (0.42 * SIDE), (SIDE / 2 - rows.mean()) / (0.42 * SIDE)


@pytest.mark.parametrize("va", [(0.0, 0.0), (0.6, 0.5), (-0.7, 0.2), (0.3, -0.8)])
def test_the_dot_is_right_for_pleasant_and_up_for_active(va):
    assert dot(*va) == pytest.approx(va, abs=0.05)


def test_the_cursor_is_where_the_time_is_and_curves_rise_with_their_values():
    panel = Panel(TIMES, table(np.linspace(-1, 1, 100), 0.0), WIDTH, SIDE)
    cursors = [
        np.bincount(places(panel.draw(k)[:, panel.left :], INK)[1]).argmax() for k in (10, 50, 90)
    ]
    assert np.diff(cursors) == pytest.approx((WIDTH - 6 - panel.left) * 40 / 99, abs=2)
    rows, columns = places(panel.ground[:, panel.left :], COLOURS["valence"])
    early, late = rows[columns < 100].mean(), rows[columns > 300].mean()
    assert late < early < SIDE / 2, "valence has the upper half, and 1 is above −1"
    rows, _ = places(panel.ground[:, panel.left :], COLOURS["arousal"])
    assert rows.min() > SIDE / 2


def test_who_speaks_is_a_green_line_over_the_stretches_in_which_she_does():
    speaking = np.where((np.arange(100) >= 25) & (np.arange(100) < 50), 0.9, 0.1)
    panel = Panel(TIMES, table(0.0, 0.0, speaking=speaking), WIDTH, SIDE)
    _, columns = places(panel.ground, GREEN)
    width = WIDTH - 6 - panel.left
    assert columns.min() == pytest.approx(panel.left + width * 25 / 99, abs=4)
    assert columns.max() == pytest.approx(panel.left + width * 49 / 99, abs=4)
    assert not places(Panel(TIMES, table(0.0, 0.0), WIDTH, SIDE).ground, GREEN)[0].size


def test_without_a_face_the_ground_is_grey_and_the_dot_hollow():
    valid = (np.arange(100) < 60).astype(int)
    panel = Panel(TIMES, table(0.5, 0.5, valid=valid), WIDTH, SIDE)
    last = panel.ground[SIDE // 2, WIDTH - 30]
    assert (last < 250).all()
    assert (panel.ground[SIDE // 2, panel.left + 20] == 255).all()
    filled, hollow = (places(panel.draw(k)[:, :SIDE], INK)[0].size for k in (30, 90))
    assert hollow < 0.8 * filled


def test_values_that_are_missing_or_out_of_range_are_drawn_inside_or_not_at_all():
    values = np.where(np.arange(100) < 50, np.nan, 7.0)
    panel = Panel(TIMES, table(values, values), WIDTH, SIDE)
    assert panel.draw(10).shape == panel.draw(90).shape == (SIDE, WIDTH, 3)
    assert dot(7.0, 0.0)[0] == pytest.approx(1.0, abs=0.05)


def test_a_video_of_one_frame_has_a_panel():
    one = table(0.1, 0.2)[:1]
    assert Panel(TIMES[:1], one, 320, 20).draw(0).shape == (overlay_panel.MIN_PANEL_HEIGHT, 320, 3)


def test_a_box_is_drawn_where_the_face_is_and_is_green_and_thicker_while_it_speaks():
    silent, speaks = (np.full((360, 640, 3), 90, np.uint8) for _ in range(2))
    overlay_panel.box(silent, np.array([200, 100, 80, 100.0]), False)
    overlay_panel.box(speaks, np.array([200, 100, 80, 100.0]), True)
    assert (silent[150, 200] == 255).all()
    assert not places(silent, GREEN)[0].size
    assert np.abs(speaks[150, 200].astype(int) - GREEN).max() < 10
    thick = [
        (np.abs(one[150].astype(int) - 90).max(axis=-1) > 20).sum() for one in (silent, speaks)
    ]
    assert thick[1] > 2 * thick[0]
    untouched = np.full((360, 640, 3), 90, np.uint8)
    overlay_panel.box(untouched, np.full(4, np.nan), True)
    assert (untouched == 90).all()


def test_the_box_of_a_video_that_is_made_smaller_stays_round_the_face(monkeypatch):
    frames = [np.full((1440, 2560, 3), 90, np.uint8)]
    monkeypatch.setattr(overlay.recordings, "frames", lambda video: iter([(0.0, frames[0])]))
    values = table(0.0, 0.0)[:1].assign(x=1000.0, y=400.0, width=400.0, height=600.0)
    shown = next(iter(overlay._drawn("film", values, TIMES[:1], "")))
    assert shown.shape[1] == 1280
    assert (shown[350, 500] > 200).all()
    assert (frames[0] == 90).all(), "the decoded picture is not drawn into"


def test_a_pale_band_is_as_wide_as_the_network_is_unsure():
    plain = Panel(TIMES, table(0.0, 0.0), WIDTH, SIDE)
    known = np.arange(100) < 50
    sd = np.where(known, 0.2, np.nan)
    banded = Panel(TIMES, table(0.0, 0.0, valence_sd=sd, arousal_sd=np.nan), WIDTH, SIDE)
    changed = (plain.ground != banded.ground).any(axis=-1)
    rows = np.nonzero(changed[:, int(plain._x(TIMES[25]))])[0]
    ends = [plain._y(side * 1.6449 * 0.2, 0) for side in (1, -1)]
    assert (rows.min(), rows.max()) == pytest.approx(ends, abs=1.5)
    assert not changed[:, int(plain._x(TIMES[75]))].any(), "not known there"
    assert not changed[SIDE // 2 + 1 :].any(), "nothing is known of arousal"
