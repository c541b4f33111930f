"""Labels as people have them: any rate, several annotators, a delay; what is wrong with them is
named with its line.
"""

import numpy as np
import pandas as pd
import pytest

from lib import plots
from lib.errors import InputError
from lib.evaluation import delays
from lib.labels import annotators, arrays, tables, utterances
from lib.labels.annotators import Annotation, to_frames

FRAMES = np.arange(100) / 25  # 4 s at 25 frames/s


def wave(time):
    return np.stack([np.sin(time), np.cos(time)], axis=1)


def one(time, values=None, **more):
    return Annotation(
        "anna", wave(time) if values is None else values, time, where="anna.csv", **more
    )


@pytest.fixture
def table(tmp_path):
    def write(text, name="anna.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


# ---- any rate


@pytest.mark.parametrize("rate", [6.0, 25.0, 10.0])
def test_labels_of_another_rate_are_interpolated_at_the_times_of_the_frames(rate):
    rows, how = to_frames(one(np.arange(0, 4.2, 1 / rate)), FRAMES)
    assert (
        np.abs(rows - wave(FRAMES)).max() < 1 / rate**2 / 8 + 1e-6
    )  # the error of a straight line, |f''| ≤ 1
    assert how == f"{rate:.4g} Hz → 25 frames/s, linear"


def test_a_denser_track_is_averaged_around_each_frame():
    time = np.arange(0, 4.1, 0.001)
    noisy = wave(time) + np.where(np.arange(len(time)) % 2, 0.5, -0.5)[:, None]
    rows, _ = to_frames(one(time, noisy), FRAMES, "mean")
    assert np.abs(rows[1:] - wave(FRAMES)[1:]).max() < 0.01
    with pytest.raises(InputError, match="label_resample: mean"):
        to_frames(one(np.arange(0, 4, 0.5)), FRAMES, "mean")


def test_hold_keeps_a_value_until_the_next_and_nearest_takes_the_closest():
    time, values = np.array([0.0, 2.0]), np.array([[0.1, 0.1], [0.9, 0.9]])
    held, near = (
        to_frames(one(time, values), FRAMES, method)[0][:, 0] for method in ("hold", "nearest")
    )
    assert np.allclose(held, np.where(FRAMES < 2, 0.1, 0.9))
    assert np.allclose(near, np.where(FRAMES <= 1, 0.1, 0.9))


def test_what_nobody_labelled_stays_unlabelled():
    time = np.concatenate([np.arange(0.5, 1.5, 0.1), np.arange(2.5, 3.0, 0.1)])
    rows, _ = to_frames(one(time), FRAMES)
    known = np.isfinite(rows).all(axis=1)
    assert not known[FRAMES < 0.39].any()
    assert not known[(FRAMES > 1.45) & (FRAMES < 2.45)].any()
    assert not known[FRAMES > 3.1].any()
    assert known[(FRAMES >= 0.5) & (FRAMES <= 1.4)].all()


def test_one_value_an_utterance_belongs_to_its_stretch_only():
    said = Annotation(
        "", np.array([[0.5, 0.1], [-0.5, 0.2]]), np.array([0.4, 2.0]), np.array([1.0, 3.0])
    )
    rows = to_frames(said, FRAMES)[0][:, 0]
    assert np.array_equal(
        np.isfinite(rows), ((FRAMES >= 0.4) & (FRAMES < 1)) | ((FRAMES >= 2) & (FRAMES < 3))
    )
    assert rows[np.searchsorted(FRAMES, 2.0)] == -0.5


def test_a_single_row_is_the_value_of_the_whole_recording():
    rows, how = to_frames(Annotation("", np.array([[0.3, -0.2]])), FRAMES)
    assert np.allclose(rows, [0.3, -0.2])
    assert "whole recording" in how


def test_a_delay_takes_what_was_said_later_and_leaves_the_end_unlabelled():
    rows, _ = to_frames(one(np.arange(0, 4.0, 0.04)), FRAMES, delay=1.0)
    kept = FRAMES < 2.9
    assert np.allclose(rows[kept], wave(FRAMES[kept] + 1), atol=1e-3)
    assert np.isnan(rows[FRAMES > 3.05]).all()
    plain = np.arange(200, dtype=np.float32).reshape(100, 2)
    shifted = annotators.shift(plain, FRAMES, 1.0)
    assert np.array_equal(shifted[:75], plain[25:])
    assert np.isnan(shifted[75:]).all()
    assert (annotators.shift(np.arange(100, dtype=np.int8), FRAMES, 1.0)[75:] == -1).all()


# ---- several annotators


def test_annotators_are_averaged_and_their_agreement_is_the_mean_ccc_of_all_pairs():
    a = wave(FRAMES)
    b, c = a + 0.2, a.copy()
    c[:50] = np.nan
    rows, facts = annotators.combine([a, b, c])
    assert np.allclose(rows[:50], a[:50] + 0.1)
    assert np.allclose(rows[50:], a[50:] + 0.2 / 3)

    def lin(x, y):  # Lin 1989, population moments
        return (
            2
            * np.mean((x - x.mean()) * (y - y.mean()))
            / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        )

    pairs = [lin(a[:, 0], b[:, 0]), lin(a[50:, 0], c[50:, 0]), lin(b[50:, 0], c[50:, 0])]
    assert facts["annotators"] == 3
    assert facts["valence"] == pytest.approx(np.mean(pairs))


def test_annotators_who_share_no_frame_have_no_agreement():
    first, second = wave(FRAMES), wave(FRAMES)
    first[50:], second[:50] = np.nan, np.nan
    assert annotators.combine([first, second])[1]["arousal"] is None


# ---- forms

RECOLA = "time;FM1;FM2;FF1\n0.00;0.1;0.3;0.2\n0.04;0.2;0.4;0.3\n0.08;0.3;0.5;0.4\n"
SEWA = (
    "name;timeStamp;arousal;valence;liking\n"
    "'Train_DE_01';0.0;0.2;-0.1;0.0\n'Train_DE_01';0.1;0.4;-0.3;0.0\n"
)
OMG = (
    "link,start,end,video,utterance,arousal,valence,EmotionMaxVote\n"
    "http://x,10.5,12.0,abc,utterance_1.mp4,0.4,-0.6,5\nhttp://x,12.0,14.0,abc,utterance_2.mp4,0.8,0.5,3\n"
)
MELD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,StartTime\n"
    '1,"Oh, '
    'no",Chandler,sadness,negative,0,3,"00:16:16,059"\n2,Yes,Joey,joy,positive,0,4,"00:16:18,000"\n'
)


def test_recola_has_a_file_an_emotion_and_a_column_an_annotator(table):
    paths = [table(RECOLA, f"{emotion}/P16.csv") for emotion in ("arousal", "valence")]
    rows, told, facts = arrays.read(paths, "va", np.array([0, 0.04, 0.08]), {})
    assert np.allclose(rows, [[0.2, 0.2], [0.3, 0.3], [0.4, 0.4]])
    assert facts["annotators"] == 3
    assert "mean of 3 annotators" in told
    assert "25 Hz → 25 frames/s" in told


def test_sewa_tells_arousal_and_valence_at_10_hz_beside_columns_that_are_no_annotators(table):
    rows, _, facts = arrays.read([table(SEWA)], "va", np.array([0.0, 0.05, 0.1]), {})
    assert np.allclose(rows, [[-0.1, 0.2], [-0.2, 0.3], [-0.3, 0.4]])
    assert facts == {}


def test_omg_has_a_row_an_utterance_for_cut_and_uncut_recordings(table):
    path = table(OMG, "omg_TrainVideos.csv")
    assert tables.form(path) == "omg"
    cut, _, _ = arrays.read([path], "va", FRAMES, {"rows": "abc/utterance_2"})
    assert np.allclose(cut, [0.5, 0.8])
    long = np.arange(10, 15, 0.04)
    uncut, _, _ = arrays.read([path], "va", long, {"rows": "abc"})
    assert np.allclose(uncut[(long >= 10.5) & (long < 12)], [-0.6, 0.4])
    assert np.isnan(uncut[long < 10.5]).all()
    classes, _, _ = arrays.read([path], "expression", FRAMES, {"rows": "abc/utterance_1"})
    assert (classes == 5).all()  # 5 is Sad in OMG, Sadness is number 5 here
    happy, _, _ = arrays.read([path], "expression", FRAMES, {"rows": "abc/utterance_2"})
    assert (happy == 4).all()  # 3 is Happy in OMG, Happiness is number 4 here


def test_an_emotion_that_is_not_known_loses_only_its_own_utterance(table):
    path = table(MELD.replace("sadness", "startled").replace("joy", "calm"), "train_sent_emo.csv")
    read = tables.read(path, "expression", "dia0_utt4")[0]
    assert read.values.tolist() == [[7]]
    assert "calm counts as the class Other" in read.notes
    with pytest.raises(InputError, match="startled"):
        tables.read(path, "expression", "dia0_utt3")


def test_meld_tells_the_emotion_of_an_utterance_in_words(table):
    path = table(MELD, "train_sent_emo.csv")
    assert utterances.keys(path)[0][0] == "dia0_utt3"
    rows, _, _ = arrays.read([path], "expression", FRAMES, {"rows": "dia0_utt4"})
    assert (rows == 4).all()


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (
            "time,valence_anna,arousal_anna,valence_ben,arousal_ben",
            "0,0.1,0.2,0.3,0.4\n4,0.1,0.2,0.3,0.4",
        ),
        (
            "time_ms\tanna_valence\tanna_arousal\tben valence\tben arousal",
            "0\t0.1\t0.2\t0.3\t0.4\n4000\t0.1\t0.2\t0.3\t0.4",
        ),
        ("time;valence_1;arousal_1;valence_2;arousal_2", "0;0,1;0,2;0,3;0,4\n4;0,1;0,2;0,3;0,4"),
    ],
)
def test_several_annotators_in_one_file_with_any_separator(table, header, rows):
    found, _, facts = arrays.read([table(f"{header}\n{rows}\n")], "va", FRAMES, {})
    assert np.allclose(found, [0.2, 0.3])
    assert facts["annotators"] == 2


def test_frame_numbers_place_rows_without_times(table):
    rows, _, _ = arrays.read(
        [table("frame,valence,arousal\n2,0.5,0.5\n4,-0.5,\n")], "va", FRAMES, {}
    )
    assert rows[1].tolist() == [0.5, 0.5]
    assert np.isnan(rows[[0, 2, 4]]).all()
    assert rows[3, 0] == -0.5


# ---- what is wrong


def test_a_table_without_times_and_with_another_length_is_named_with_both_numbers_and_the_way_out(
    table,
):
    path = table("valence,arousal\n" + "0.1,0.2\n" * 31)
    with pytest.raises(InputError, match="31 rows, and the video has 100 frames") as caught:
        arrays.read([path], "va", FRAMES, {})
    assert "label_rate" in caught.value.todo
    rows, told, _ = arrays.read([path], "va", FRAMES, {"rate": 7.5})
    assert np.allclose(rows, [0.1, 0.2])
    assert "7.5 Hz" in told


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("time,valence,arousal\n0,0,0\n2,0,0\n1,0,0\n", "times go back", 4),
        ("start,end,valence,arousal\n0,1,0,0\n3,2,0,0\n", "ends before it begins", 3),
        ("time,valence,arousal\n0,0,0\n1,1.5,0\n", "valence is out of −1…1", 3),
        ("time,valence,arousal\n0,0,0\n1,high,0\n", "'high' in column valence is no number", 3),
        ("time,valence,arousal\n0,0,0\n1,0\n", "2 columns under a header of 3", 3),
        ("frame,valence,arousal\n1,0,0\n1,0,0\n", "come twice", 3),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(table, text, what, line):
    path = table(text)
    with pytest.raises(InputError, match=what) as caught:
        arrays.read([path], "va", FRAMES, {})
    assert caught.value.where == f"{path}:{line}"
    assert caught.value.todo


def test_labels_of_another_recording_or_in_milliseconds_are_refused(table):
    text = "time,valence,arousal\n" + "".join(f"{k * 40},0.1,0.2\n" for k in range(100))
    with pytest.raises(InputError, match=r"from 0.00 to 3960.00 s, the video from 0.00 to 3.96 s"):
        arrays.read([table(text)], "va", FRAMES, {})
    found = arrays.read([table(text.replace("time", "time_ms"))], "va", FRAMES, {})[0]
    assert np.isfinite(found).all()


def test_only_one_of_both_emotions_is_named(table):
    with pytest.raises(InputError, match="no label of arousal"):
        arrays.read([table(RECOLA, "valence/P16.csv")], "va", np.array([0, 0.04]), {})


def test_an_emotion_whose_column_is_mistyped_is_told_with_the_name_of_that_column(table):
    path = table("time,valance,arousal\n" + "".join(f"{k / 25},0.1,0.2\n" for k in range(100)))
    with pytest.raises(InputError, match=r"no label of valence.*not understood.*valance"):
        arrays.read([path], "va", FRAMES, {})


# ---- which delay


def test_the_delay_that_labels_were_made_with_has_the_highest_training_ccc():
    generator, step, true = np.random.default_rng(0), 0.04, 25
    data = []
    for _ in range(4):
        cause = np.cumsum(generator.normal(0, 0.2, (600, 2)), axis=0)
        cause = np.tanh(cause - cause.mean(0))
        said = np.concatenate([np.full((true, 2), np.nan), cause[:-true]])  # one second late
        times = np.arange(600) * step
        data.append(
            (
                cause,
                np.stack([annotators.shift(said, times, delay) for delay in (0.0, 0.5, 1.0, 1.5)]),
            )
        )
    rows = pd.DataFrame(delays.scores(data, (0.0, 0.5, 1.0, 1.5)), columns=list(delays.COLUMNS))
    assert delays.best(rows) == 1.0
    assert rows["frames"].nunique() == 1
    top = rows[rows["delay"] == 1.0]["ccc"]
    assert (top > 0.99).all()
    ax = plots.delay_curve(rows, chosen=0.5)
    assert ax.get_xlabel() == "annotation delay (s)"
    assert "best: 1 s" in [text.get_text() for text in ax.get_legend().get_texts()]


# ---- the scale in the name of a column


@pytest.mark.parametrize(
    "name",
    [
        *("valence (1-9)", "Valence [1, 9]", "valence(1 to 9)", "Valence (1–9)", "VALENCE [1..9]"),
        *("Valence (1 … 9)", "valence (scale: 1-9)", "Pleasure (from 1 to 9)"),
    ],
)
def test_a_scale_in_brackets_is_no_annotator_and_is_mapped(table, name):
    path = table(f"time;{name};arousal [−1,1]\n0;1;-1\n1;5;0.5\n2;9;1\n")
    [annotation] = tables.read(path)
    assert annotation.annotator == ""
    assert annotation.values.tolist() == [[-1, -1], [0, 0.5], [1, 1]]
    assert "1…9 mapped to −1…1 (as the column's name says)" in annotation.notes
    assert tables.ignored_scale(path) == "1…9"
    [chosen] = tables.read(path, label_range=[-1, 11])
    assert chosen.values[2, 0] == pytest.approx(2 * 10 / 12 - 1)


def test_a_value_beyond_the_scale_of_its_column_is_refused_with_its_line(table):
    path = table("time,valence (0-1),arousal (0-1)\n0,0.5,0.5\n1,1.5,0.5\n")
    with pytest.raises(InputError, match=r"out of 0…1: from 0\.5 to 1\.5") as caught:
        tables.read(path)
    assert str(caught.value.where).endswith("anna.csv:3")


def test_each_annotator_may_have_a_scale_and_other_brackets_stay_names(table):
    path = table("time,valence_anna (1-9),valence_ben (-1-1),arousal (mean)\n0,9,1,0\n1,5,0,0\n")
    by_name = {annotation.annotator: annotation.values for annotation in tables.read(path)}
    assert by_name["anna"][:, 0].tolist() == [1, 0]
    assert by_name["ben"][:, 0].tolist() == [1, 0]
    assert tables.ignored_scale(table("time,valence,arousal\n0,0,0\n", "plain.csv")) == ""


# ---- times beside frame numbers


@pytest.mark.parametrize(
    ("frames", "fits"),
    [
        (np.arange(50), True),
        (np.arange(1, 51) * 3, True),
        (np.where(np.arange(50) < 30, np.arange(50), np.arange(50) + 200), False),
        (np.arange(50)[::-1], False),
    ],
)
def test_frame_numbers_that_do_not_fit_the_times_are_told(table, frames, fits):
    rows = [f"{frame},{k / 25:.2f},0.1,0.2" for k, frame in enumerate(frames)]
    [annotation] = tables.read(table("\n".join(["frame,time,valence,arousal", *rows])))
    assert annotation.time[25] == 1.0
    assert [note for note in annotation.notes if "'frame' does not fit" in note] == (
        [] if fits else [annotation.notes[0]]
    )


def test_a_separator_in_brackets_or_quotation_marks_is_none(table):
    rows = "0;0,5;-1\n1;1,0;1\n"
    for header in ('"time, s";"valence";"arousal"', "time;valence [-1, 1];arousal [-1, 1]"):
        [annotation] = tables.read(table(f"{header}\n{rows}"))
        assert annotation.values.tolist() == [[0.5, -1], [1, 1]]
