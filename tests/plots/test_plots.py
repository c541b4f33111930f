"""Pictures show the numbers they were given, on axes that say what they are."""

import itertools

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn
from matplotlib import layout_engine
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry

from lib import metrics, plots
from lib.media import sound
from lib.plots import speakers, style
from lib.plots.data import band_of, mel_axis

NOTE = "values have no meaning"


def lines(ax):
    """{label: (x, y)} of the lines in the legend."""
    handles = [(line.get_label(), line.get_data()) for line in ax.lines]
    return {label: data for label, data in handles if not label.startswith("_")}


def texts(ax):
    return [text.get_text() for text in ax.texts]


def overlapping(figure):
    """Pairs of texts of a figure that cover each other."""
    figure.canvas.draw()
    found = [
        t for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip() and t.get_visible()
    ]
    ticks = {
        id(label)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in [*axis.majorTicks, *axis.minorTicks]
        for label in (tick.label1, tick.label2)
        if not _within(tick.get_loc(), axis.get_view_interval())
    }
    boxes = [(t.get_text(), t.get_window_extent()) for t in found if id(t) not in ticks]
    return [
        (a, b)
        for i, (a, x) in enumerate(boxes)
        for b, y in boxes[i + 1 :]
        if min(x.x1, y.x1) - max(x.x0, y.x0) > 1 and min(x.y1, y.y1) - max(x.y0, y.y0) > 1
    ]


def _within(place, interval):
    low, high = sorted(interval)
    return low - 1e-9 <= place <= high + 1e-9


@pytest.fixture
def trace():
    time = np.arange(90) / 30
    va = np.stack([np.sin(time), np.cos(time)], 1) * 0.8
    va[20:30] = np.nan
    return time, va


@pytest.fixture
def report():
    rows = [
        ("recordings", 22, 22, "ok"),
        ("pictures of faces", 7310, 7457, "missing"),
        ("videos", 21, 22, "damaged"),
        ("others", 3, np.nan, "extra"),
    ]
    return pd.DataFrame(rows, columns=["item", "found", "expected", "state"])


@pytest.fixture
def history():
    epoch = np.arange(1, 7)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "loss": 1 / epoch,
            "val_loss": 1.1 / epoch,
            "val_ccc_valence": [0, 0.2, 0.5, 0.4, 0.3, 0.2],
            "val_ccc_arousal": 0.6,
            "lr": 1e-3,
        }
    )


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    labels = {f"{i}-30-1280x720": rng.uniform(-1, 1, (50, 2)) for i in range(9)}
    predictions = {
        t: y * rng.uniform(0, 1) + rng.normal(0, 0.2, y.shape) for t, y in labels.items()
    }
    return labels, predictions


@pytest.mark.parametrize("height", [0.6, 1.2, 3.0])
def test_names_of_frequencies_do_not_overlap_on_an_axis_of_any_height(height):
    ax = style.new_axes(size=(4, height + 0.6))
    ax.set_ylim(-0.5, 63.5)
    mel_axis(ax)
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) >= 2
    for lower, upper in itertools.pairwise(boxes):
        assert lower.y1 < upper.y0
    plt.close(ax.figure)


def test_bars_are_per_cent_of_what_was_expected_and_both_numbers_are_written(report):
    ax = plots.found_against_expected(report, note=NOTE)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(
        [100, 100 * 7310 / 7457, 100 * 21 / 22, 100]
    )
    assert [label.get_text() for label in ax.get_yticklabels()] == report.item.tolist()
    assert texts(ax) == ["22 of 22, ok", "7 310 of 7 457, missing", "21 of 22, damaged", "3, extra"]
    assert ax.get_xlabel() == "found (% of expected)"
    assert ax.figure.get_supxlabel() == NOTE
    assert overlapping(ax.figure) == []


def test_of_many_items_those_that_are_not_ok_come_first(report):
    many = pd.concat([report.iloc[[0]]] * 50 + [report.iloc[[2]]])
    ax = plots.found_against_expected(many, most=10)
    assert texts(ax)[0] == "21 of 22, damaged"
    assert ax.get_ylabel() == "first 10 of 51 items"


def test_the_label_plane_counts_labelled_frames_only():
    va = np.array([[0.51, -0.51]] * 5 + [[-0.99, 0.99]] + [[np.nan, np.nan]] * 4)
    ax = plots.label_plane(va)
    counts = ax.collections[0].get_array().compressed()
    assert sorted(counts) == [1, 5]
    assert ax.get_title("left") == "6 labelled of 10 frames"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("valence (−1…1)", "arousal (−1…1)")
    assert plots.label_plane(np.full((3, 2), np.nan)).get_title("left") == "0 labelled of 3 frames"


def test_the_face_strip_shows_each_picture_with_its_time_and_says_where_there_is_no_face():
    faces = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    ax = plots.face_strip(faces, [0, 0.5, 1, 1.5], valid=[True, False, True, True])
    assert len(ax.images) == 3
    np.testing.assert_array_equal(ax.images[1].get_array(), faces[2])
    assert texts(ax) == ["no face"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.00", "0.50", "1.00", "1.50"]
    assert ax.get_xlabel() == "time (s)"


def test_sound_and_mel_share_the_containers_clock():
    rate, t0 = 8000, 0.08
    wave = np.sin(np.arange(8000) / 9)
    mel = np.random.default_rng(0).normal(size=(64, 101))
    times = np.arange(25) / 25
    axes = plots.sound_view(wave, rate, t0, mel, times)
    x, y = lines(axes[0])["sound"]
    np.testing.assert_allclose(x, t0 + np.arange(8000) / rate)
    np.testing.assert_array_equal(y, wave)
    np.testing.assert_array_equal(lines(axes[0])["video frame"][0], times)
    left, right, *_ = axes[1].images[0].get_extent()
    assert (left, right) == pytest.approx(
        (t0 - 0.005, t0 + 1.005)
    )  # column j is centred on t0 + j·10 ms
    assert axes[1].get_xlabel() == "time (s)"
    assert axes[1].get_ylabel() == "mel (Hz)"
    assert [label.get_text() for label in axes[1].get_yticklabels()] == [
        "500",
        "1k",
        "2k",
        "4k",
        "8k",
        "16k",
    ]
    assert overlapping(axes[0].figure) == []


def test_a_long_waveform_is_drawn_as_its_extremes():
    wave = np.zeros(100_000)
    wave[33_333] = 0.7
    axes = plots.sound_view(wave, 44_100, 0.0, np.zeros((64, 228)), span=(0.5, 1.0))
    assert axes[0].collections[0].get_paths()[0].vertices[:, 1].max() == 0.7
    assert axes[0].get_xlim() == (0.5, 1.0)


def test_mel_bands_stand_at_their_centre_frequencies():
    torch = pytest.importorskip("torch")
    torchaudio = pytest.importorskip("torchaudio")
    bank = torchaudio.functional.melscale_fbanks(8193, 0.0, 22_050.0, 64, 44_100, mel_scale="htk")
    centres = torch.linspace(0, 22_050, 8193)[bank.argmax(dim=0)].numpy()
    np.testing.assert_allclose(band_of(centres)[5:], np.arange(5, 64), atol=0.05)


def test_traces_are_the_labels_and_gaps_are_shaded(trace):
    time, va = trace
    ax = plots.va_traces(time, va, title="1-30-1280x720_left", note=NOTE)
    for column, emotion in enumerate(("valence", "arousal")):
        np.testing.assert_array_equal(lines(ax)[emotion][0], time)
        np.testing.assert_array_equal(lines(ax)[emotion][1], va[:, column])
    span = ax.patches[0]
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((19.5 / 30, 29.5 / 30))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "label (−1…1)")
    assert overlapping(ax.figure) == []


def test_a_picture_can_be_drawn_into_given_axes(trace):
    figure, ax = plt.subplots()
    assert plots.va_traces(*trace, ax=ax) is ax
    assert plt.get_fignums() == [figure.number]


def test_prediction_and_label_of_each_emotion_have_their_own_axes(trace):
    time, va = trace
    prediction = np.nan_to_num(va) * 0.5
    axes = plots.prediction_traces(
        time, va, prediction, raw=va + 0.1, scores={"valence": 0.71, "arousal": None}
    )
    np.testing.assert_array_equal(lines(axes[1])["prediction"][1], prediction[:, 1])
    np.testing.assert_array_equal(lines(axes[1])["label"][1], va[:, 1])
    np.testing.assert_array_equal(lines(axes[0])["unsmoothed"][1], va[:, 0] + 0.1)
    assert "CCC 0.71" in lines(axes[0])
    assert axes[0].get_ylabel() == "valence (−1…1)"
    assert axes[1].get_xlabel() == "time (s)"
    assert overlapping(axes[0].figure) == []
    assert list(lines(plots.prediction_traces(time, None, prediction)[0])) == ["prediction"]


def test_curves_hold_the_history_and_mark_the_best_epoch(history):
    axes = plots.training_curves(history, title="sample_tsav", note=NOTE)
    np.testing.assert_array_equal(lines(axes[0])["training"][1], history["loss"])
    np.testing.assert_array_equal(lines(axes[0])["validation"][1], history["val_loss"])
    np.testing.assert_array_equal(lines(axes[1])["valence"][1], history["val_ccc_valence"])
    assert "best: epoch 3" in lines(axes[1])
    assert [ax.get_xlabel() for ax in axes] == ["epoch"] * 3
    assert [ax.get_ylabel() for ax in axes] == ["loss", "validation CCC", "learning rate"]
    assert overlapping(axes[0].figure) == []


def test_a_run_that_has_just_begun_can_be_drawn(history):
    assert texts(plots.training_curves(history.head(0))[1]) == ["no values"]
    first = history[["epoch", "loss"]].head(1)
    assert lines(plots.training_curves(first)[0])["training"][1].tolist() == [1.0]


@pytest.mark.parametrize("frames", [500, 5000])
def test_the_circumplex_shows_labelled_frames_of_labels_and_predictions(frames):
    rng = np.random.default_rng(0)
    label = rng.uniform(-1, 1, (frames, 2))
    label[::5] = np.nan
    axes = plots.circumplex(label * 0.5, label)
    assert axes[0].get_title("left") == f"label, {frames * 4 // 5} frames"
    drawn = axes[1].collections[0]
    if frames == 500:
        np.testing.assert_allclose(drawn.get_offsets(), label[~np.isnan(label[:, 0])] * 0.5)
    else:
        assert drawn.get_array().sum() == frames * 4 // 5
    assert axes[1].get_xlabel() == "valence (−1…1)"
    assert overlapping(axes[0].figure) == []


def test_the_ccc_picture_has_a_dot_and_an_interval_a_method_and_grey_baselines(scores):
    values = metrics.va_scores(*scores)
    table = metrics.ccc_table({"tsav": values}, {"ridge 16x16": {"valence": -0.2, "arousal": 0.2}})
    axes = plots.ccc_table_plot(table, title="validation")
    interval, dot, baseline = axes[0].lines[:3]
    assert interval.get_xdata() == pytest.approx(values["valence"]["ci95"])
    assert dot.get_xdata() == pytest.approx([values["valence"]["ccc"]])
    assert baseline.get_xdata() == [-0.2]
    assert baseline.get_color() == style.BASELINE
    assert texts(axes[0])[1] == "−0.20"
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["tsav", "ridge 16x16"]
    assert axes[1].get_xlabel().startswith("CCC arousal")
    assert overlapping(axes[0].figure) == []
    quiet = plots.ccc_table_plot(table, title="validation", note=NOTE)
    assert quiet[0].figure.get_suptitle() == f"{NOTE}: validation"
    assert {line.get_color() for line in quiet[0].lines[:3]} == {style.BASELINE}


def test_the_worst_trial_stands_on_top(scores):
    table = metrics.per_trial(*scores)
    ax = plots.error_by_trial(table)
    means = table.groupby("trial")["rmse"].mean().sort_values(ascending=False)
    assert [label.get_text() for label in ax.get_yticklabels()] == means.index.tolist()
    drawn = dict(zip(means.index, lines(ax)["valence"][0], strict=True))
    for row in table[table.emotion == "valence"].itertuples():
        assert drawn[row.trial] == pytest.approx(row.rmse)
    assert ax.get_xlabel() == "error (RMSE, label units)"
    few = plots.error_by_trial(table, measure="ccc", most=4)
    assert few.get_ylabel() == "4 worst of 9 trials"
    assert few.get_yticklabels()[0].get_text() == table.groupby("trial")["ccc"].mean().idxmin()
    assert overlapping(ax.figure) == []


def test_a_saved_picture_is_whole_and_can_be_forgotten(tmp_path, trace):
    ax = plots.va_traces(*trace)
    assert (
        plots.save(ax, tmp_path / "figures" / "a.png", close=True)
        .read_bytes()
        .startswith(b"\x89PNG")
    )
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["a.png"]
    assert plt.get_fignums() == []
    assert plots.save(Figure(), tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_the_last_bit_of_the_layout_moves_no_axes(monkeypatch):
    def places() -> list[np.ndarray]:
        axes = style.new_axes(2, 2, size=(4, 3), height_ratios=(1, 2))
        style.finish(axes, "a title", "a note")
        figure = style.figure_of(axes)
        style.png(figure)
        return [ax.get_position(original=True).get_points() for ax in axes.flat]

    solve = layout_engine.do_constrained_layout

    def solve_otherwise(figure: Figure, **how) -> object:
        grids = solve(figure, **how)
        for ax in figure.axes:
            ax._set_position(ax.get_position(original=True).translated(0, 1e-16), which="original")
        return grids

    before = places()
    monkeypatch.setattr(layout_engine, "do_constrained_layout", solve_otherwise)
    np.testing.assert_array_equal(places(), before)


def test_the_theme_is_seaborns_with_what_keeps_our_figures_apart(monkeypatch):
    monkeypatch.setattr(style, "EAST_ASIAN", ())
    own = {
        "figure.constrained_layout.use": True,
        "savefig.dpi": 150,
        "legend.frameon": False,
        "axes.titlelocation": "left",
        "hatch.linewidth": 0.6,
    }
    with plt.rc_context():
        seaborn.set_theme(style="whitegrid", palette="colorblind", font_scale=0.85, rc=own)
        expected = dict(plt.rcParams)
    with plt.rc_context(dict(plt.rcParamsDefault)):
        style.theme.__wrapped__()
        found = dict(plt.rcParams)
    assert list(seaborn.color_palette("colorblind")) == style.PALETTE
    expected["axes.prop_cycle"] = plt.cycler(color=seaborn.color_palette("colorblind").as_hex())
    expected["image.cmap"] = found["image.cmap"]  # seaborn's is known only where it is imported
    different = {name for name in expected if found[name] != expected[name]}
    assert different <= {"backend", "backend_fallback", "interactive"}


def test_only_a_line_that_is_too_long_loses_its_middle():
    trivial = "ridge 16×16 pixels\n(penalty chosen on val)"
    assert style.drawn(trivial) == trivial
    assert style.drawn("a" * 30 + "b" * 30) == "a" * 20 + "…" + "b" * 19


@pytest.mark.parametrize(
    ("installed", "families"),
    [
        ([("Arial", 400)], []),
        (
            [("Yu Gothic", 400), ("SimHei", 700), ("Noto Sans KR", 400)],
            ["Noto Sans KR", "Yu Gothic"],
        ),
        ([("WenQuanYi Zen Hei", 500), ("SimHei", "bold")], ["WenQuanYi Zen Hei"]),
    ],
)
def test_names_in_other_scripts_are_drawn_in_a_font_that_is_installed(
    installed, families, monkeypatch
):
    fonts = [FontEntry(name=name, weight=weight) for name, weight in installed]
    monkeypatch.setattr(style.fontManager, "ttflist", fonts)
    with plt.rc_context(dict(plt.rcParamsDefault)):
        style.theme.__wrapped__()
        assert plt.rcParams["font.family"] == ["sans-serif", *families]


def test_the_theme_is_set_once_so_that_a_readers_settings_stay(trace):
    plots.theme()
    with plt.rc_context({"lines.linewidth": 7.5}):
        assert plots.va_traces(*trace).lines[0].get_linewidth() == 7.5


def test_live_curves_are_silent_outside_a_notebook_and_update_one_picture_in_it(
    history, monkeypatch, capsys
):
    plots.LiveCurves().update(history)
    shown, updates = [], []
    handle = type("Handle", (), {"update": lambda self, picture, raw: updates.append(picture)})()
    monkeypatch.setattr("IPython.get_ipython", lambda: type("Shell", (), {"kernel": object()})())
    monkeypatch.setattr(
        "IPython.display.display", lambda picture, **options: shown.append(picture) or handle
    )
    curves = plots.LiveCurves(seconds=1000)
    curves.update(history.head(0))
    for epochs in (1, 2, 3):
        curves.update(history.head(epochs))
    curves.update(history, last=True)
    assert len(shown) == len(updates) == 1
    assert list(shown[0]) == ["image/png"]
    assert plt.get_fignums() == []
    assert capsys.readouterr() == ("", "")


# ---- nothing to show


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.found_against_expected(
            pd.DataFrame(columns=["item", "found", "expected", "state"])
        ),
        lambda: plots.label_plane(np.zeros((0, 2))),
        lambda: plots.face_strip(np.zeros((0, 8, 8, 3), np.uint8), []),
        lambda: plots.error_by_trial(metrics.per_trial({}, {})),
        lambda: plots.ccc_table_plot(
            metrics.ccc_table({"raw": {"valence": {"ccc": None}, "arousal": {"ccc": None}}}, {})
        ),
        lambda: plots.circumplex(np.zeros((0, 2)), np.zeros((0, 2))),
        lambda: plots.va_traces(np.arange(3) / 25, np.full((3, 2), np.nan)),
    ],
    ids=["counts", "plane", "faces", "errors", "scores", "circumplex", "labels"],
)
def test_an_empty_table_gives_an_empty_picture_without_a_warning(draw):
    plots.png(draw())


# ---- all that a network predicts of a recording


def prediction(classes=3, units=0, affect=True):
    values = pd.DataFrame({"time": np.arange(5) / 25})
    if affect:
        values[["valence", "arousal"]] = 0.5
    if classes:
        values["expression"] = [0, 0, 1, 2, 2]
        values[[f"expression_{k}" for k in range(classes)]] = 0.0
    for k in range(units):
        values[f"action_unit_{k}"] = k % 2
        values[f"action_unit_{k}_raw"] = 0.1
    return values


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"classes": 0}, []),
        ({"classes": 7}, ["Neutral", "Anger", "Disgust"]),
        ({"classes": 7, "affect": False}, None),
        (
            {"classes": 3, "units": 2, "affect": False},
            ["expression 0", "expression 1", "expression 2", "action_units 0"],
        ),
        ({"classes": 0, "units": 8, "affect": False}, ["AU1", "AU2"]),
    ],
)
def test_a_recording_of_any_tasks_is_drawn_over_time(options, names):
    axes = plots.predicted(prediction(**options), note=NOTE)
    assert len(axes) == 2 * options.get("affect", True) + bool(
        options["classes"] or options.get("units")
    )
    assert axes[-1].get_xlabel() == "time (s)"
    if names:
        assert [label.get_text() for label in axes[-1].get_yticklabels()][: len(names)] == names
    assert axes[0].figure.get_supxlabel() == NOTE


def test_a_class_is_dark_in_the_frames_that_it_was_decided_in():
    mesh = plots.predicted(prediction(affect=False))[0].collections[0]
    assert mesh.get_array().reshape(3, 5).tolist() == [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1],
    ]


# ---- how sure a network is


def test_the_band_round_a_curve_holds_ninety_percent_of_a_normal_distribution(trace):
    time, label = trace
    prediction = 0.5 * np.nan_to_num(label)
    sd = np.full_like(prediction, 0.1)
    sd[:30, 1] = np.nan
    axes = plots.prediction_traces(time, label, prediction, sd=sd)
    for k, ax in enumerate(axes):
        drawn = [area for area in ax.collections if area.get_label() == "90 % interval"]
        assert len(drawn) == 1
        points = drawn[0].get_paths()[0].vertices
        at = points[np.isclose(points[:, 0], time[60])][:, 1]
        middle = prediction[60, k]
        assert (at.min(), at.max()) == pytest.approx((middle - 0.16449, middle + 0.16449), abs=1e-4)
        assert points[:, 0].min() == pytest.approx(time[30 * k])
    unsure = plots.prediction_traces(time, label, prediction, sd=np.full_like(sd, np.nan))
    assert "90 % interval" not in unsure[0].get_legend_handles_labels()[1]


def test_calibration_shows_what_intervals_hold_and_what_errors_were_made():
    names = ["split", "emotion", "nominal", "covered", "n_frames"]
    rows = [["val", "valence", 0.5, 0.4, 90], ["val", "valence", 0.9, 0.7, 90]]
    rows += [["test", "arousal", 0.5, 0.6, 40], ["test", "arousal", 0.9, 0.95, 40]]
    coverage = pd.DataFrame(rows, columns=names)
    names = ["split", "emotion", "predicted", "made", "n_frames"]
    rows = [["val", "valence", 0.1, 0.2, 45], ["val", "valence", 0.3, 0.35, 45]]
    axes = plots.calibration(coverage, pd.DataFrame(rows, columns=names), note=NOTE)
    left, right = map(lines, axes)
    assert np.array_equal(left["valence, val (fitted here)"], [[0.5, 0.9], [0.4, 0.7]])
    assert np.array_equal(left["arousal, test"], [[0.5, 0.9], [0.6, 0.95]])
    assert np.array_equal(right["valence, val (fitted here)"], [[0.1, 0.3], [0.2, 0.35]])
    assert axes[0].get_xlabel() == "share of labels that an interval should hold"
    assert "label units" in axes[1].get_ylabel()
    assert not overlapping(axes[0].figure)


def crowd(count, **columns):
    """A row for each of so many people, the k-th in k frames."""
    parts = []
    for number in range(1, count + 1):
        time = np.arange(number) / 10
        parts.append(pd.DataFrame({"frame": np.arange(1, number + 1), "time": time, **columns}))
        parts[-1]["person"] = parts[-1]["face"] = f"track {number}"
    return pd.concat(parts, ignore_index=True)


def test_of_a_crowd_those_who_are_seen_longest_are_drawn_and_the_rest_is_told(monkeypatch):
    """Of 1500 faces a picture would be higher than Matplotlib can draw, and take minutes."""
    monkeypatch.setattr(speakers, "MOST_PERSONS", 1)
    monkeypatch.setattr(speakers, "MOST_FACES", 3)
    people = crowd(4, valid=1, expression="sad", valence_derived=0.1, arousal_derived=0.1)
    axes = speakers.everybody(people.drop(columns="face"), NOTE)
    assert [ax.get_ylabel().split("\n")[0] for ax in axes] == ["person track 4"] * 2
    assert any("3 more persons" in text.get_text() for text in axes[0].figure.texts)
    axes = speakers.speaking_traces(crowd(11, smoothed=0.9, speaking=1), note=NOTE)
    told = [label.get_text() for label in axes[-1].get_yticklabels()]
    assert told == ["track 9", "track 10", "track 11"]
    assert any("8 more faces" in text.get_text() for text in axes[0].figure.texts)
    plt.close("all")


@pytest.mark.parametrize("count", [19_000, 50_001])
def test_sound_as_it_is_stored_is_drawn_like_the_same_between_minus_one_and_one(count):
    samples = np.random.default_rng(0).integers(-30_000, 30_000, count).astype(np.int16)
    mel = np.random.default_rng(1).random((64, 100))
    drawn = [
        plots.png(plots.sound_view(wave, 44_100, 0.5, mel)[0].figure)
        for wave in (samples, sound.as_float(samples))
    ]
    assert drawn[0] == drawn[1]


def test_a_long_spectrogram_is_drawn_by_the_means_of_neighbours_over_the_same_time():
    mel = np.tile(np.arange(9001.0), (64, 1))
    axes = plots.sound_view(np.zeros(100, np.int16), 44_100, 0.0, mel, span=(0, 90))
    image = axes[1].images[0]
    assert image.get_array().shape == (64, 3001)
    np.testing.assert_allclose(image.get_array()[0, :3], [1, 4, 7])
    assert image.get_array()[0, -1] == 9000, "the last one stands for itself"
    left, right, *_ = image.get_extent()
    assert left == pytest.approx(-0.005)
    assert right == pytest.approx(-0.005 + 9003 * 0.01)


def spans(ax, colour):
    """(start, stop) in s of the bars of a colour, sorted."""
    bars = [
        one for one in ax.collections if matplotlib.colors.to_hex(one.get_facecolor()) == colour
    ]
    corners = [path.vertices[:, 0] for bar in bars for path in bar.get_paths()]
    return sorted((x.min(), x.max()) for x in corners)


def test_speech_is_drawn_for_each_frame_until_the_next_one_is_shown():
    rows = pd.DataFrame({"frame": [1, 2, 3, 9], "time": [0.0, 0.1, 1.1, 4.0]})
    rows = rows.assign(face="1", person="1", valid=1, speaking=[0, 1, 0, 1])
    usual = np.median(np.diff(rows["time"]))
    expected = [(0.1, 1.1), (4.0, 4.0 + usual)]
    for ax in (speakers.time_line(rows), speakers.everybody(rows.drop(columns="face"))[1]):
        assert np.array(spans(ax, speakers.SPEAKING_COLOUR)) == pytest.approx(np.array(expected))
        plt.close("all")


def test_names_are_drawn_as_they_are_and_long_ones_leave_room():
    assert style.drawn("trial_1") == "trial_1"
    long = style.drawn(f"begin {'x' * 200} end")
    assert len(long) <= style.NAME_CHARACTERS
    assert long.startswith("begin")
    assert long.endswith("end")
    figure, ax = plt.subplots()
    style.named_rows(ax, [r"a $\frac$ b"])
    style.finish(ax, r"cost $\frac$", r"note $\frac$")
    figure.canvas.draw()  # a formula that is none would stop here
    plt.close(figure)


def test_a_value_without_a_neighbour_is_a_dot_in_its_curve():
    values = np.array([np.nan, 0.3, np.nan, 0.1, 0.2])
    axes = plots.prediction_traces(np.arange(5) / 25, None, np.stack([values, values], axis=1))
    dots = [line for line in axes[0].lines if line.get_marker() == "."]
    assert [line.get_data() for line in dots] == [(1 / 25, 0.3)]
    one = plots.prediction_traces(np.zeros(1), None, np.zeros((1, 2)))
    assert any(line.get_marker() == "." for line in one[0].lines)
