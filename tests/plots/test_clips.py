"""Pictures of clips show the labels and faces that the clips hold."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lib import plots
from lib.plots import clips
from lib.speakers.clips import jobs
from tests import tiny_conversations as tiny


@pytest.fixture
def job(tmp_path):
    found = tiny.job(tiny.make(tmp_path / "data"), tmp_path / "clips")
    assert all(outcome.ok for outcome in jobs.run(found))
    return found


def bars(ax):
    """label of a line -> [(colour, [(first, last) frame, …])] of its bars, in the order in which
    they are drawn.
    """
    names, found = [text.get_text() for text in ax.get_yticklabels()], {}
    for drawn in ax.collections:
        for path in drawn.get_paths():
            (x1, y1), (x2, y2) = path.get_extents().get_points()
            # A bar of frames a … b reaches from half a frame before a to half a frame after b.
            where = (round(x1 * 30 + 0.5), round(x2 * 30 - 0.5))
            found.setdefault(names[round((y1 + y2) / 2)], []).append(
                (to_rgb(drawn.get_facecolor()[0][:3]), where)
            )
    return found


def test_the_time_line_shows_who_is_seen_who_speaks_and_every_voice(job):
    ax = clips.timeline(job.root, "synthetic", "train/a/clip_f000010")
    drawn = bars(ax)
    # Frames 10…19 of the video: person 1 is seen throughout and speaks in 13–16; person 2 speaks
    # unseen in 18–19.
    (seen, everywhere), (speaks, turn) = drawn["person 1"]
    assert (everywhere, turn) == ((10, 19), (13, 16))
    assert seen != speaks
    assert [where for _, where in drawn["any voice"]] == [(13, 16), (18, 19)]
    assert [where for _, where in drawn["out of the picture"]] == [(18, 19)]
    assert "person 2" not in drawn  # a person without a face has no line
    assert ax.get_xlabel() == "time (s)"
    first = bars(clips.timeline(job.root, "", "train/a/clip_f000000"))
    assert [where for _, where in first["the wearer"]] == [(0, 0)]


def test_the_strip_shows_the_box_of_each_moment_framed_by_its_label(job):
    axes = clips.strip(job.root, "", "train/a/clip_f000010")
    assert len(axes) == 1
    images = axes[0].get_images()
    assert len(images) == 10
    for frame, image in enumerate(images, start=10):
        shown = np.asarray(image.get_array())
        assert (
            abs(shown.mean() - 10 * frame) < 6
        )  # a picture of the tiny set is as bright as ten times its number
    colours = [
        rectangle.get_edgecolor()[:3]
        for rectangle in axes[0].patches
        if rectangle.get_edgecolor()[3]
    ]
    speaking, silent = colours[3], colours[0]
    assert speaking != silent
    assert colours == [silent] * 3 + [speaking] * 4 + [silent] * 3


def test_the_distribution_counts_every_clip_and_its_shares(job):
    table = jobs.distribution(job)
    assert table["frames"].tolist() == [10, 10, 3, 10, 10]
    second = table.iloc[1]
    assert (second["faces a frame"], second["speaking"], second["voice"]) == (1.0, 0.4, 0.6)
    axes = plots.clip_distribution(table)
    for ax in axes:
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert all(tick == int(tick) for tick in [*ax.get_yticks(), *axes[0].get_xticks()])
    alike = plots.clip_distribution(table.assign(frames=450))
    assert [tick for tick in alike[0].get_xticks() if 449 < tick < 451] == [450]
    tops = {}
    for bar in axes[0].patches:  # stacked: the highest top in a bin is its count
        tops[bar.get_x()] = max(tops.get(bar.get_x(), 0), bar.get_y() + bar.get_height())
    assert sum(tops.values()) == len(table)
