"""The video with values drawn in: its size, its sound, its frames' times, the sentence at its lower
edge.
"""

import av
import numpy as np
import pandas as pd
import pytest

from lib import trials
from lib.errors import InputError
from lib.evaluation import overlay, overlay_panel
from lib.evaluation.predictions import Predictions
from lib.media import recordings, writing
from lib.speakers import overlay as speakers_overlay
from lib.store import Store
from tests.films import ONE, X264, Sound, buzz, encode, ramp, recorded, turned

SENTENCE = "trained on synthetic sample data: values have no meaning"
RATE = 44_100
TIMES = np.array([0.0, 0.04, 0.08, 0.2, 0.24, 0.28, 0.4, 0.44])


def picture(height=72, width=96):
    return np.full((height, width, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Eight frames with uneven times; a tone that starts 0.1 s late."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    tone = 0.4 * np.sin(2 * np.pi * 880 * np.arange(int(0.35 * RATE)) / RATE)
    return writing.write_video(
        path, [picture()] * len(TIMES), TIMES, sound=tone, rate=RATE, sound_start=0.1
    )


def values(n=8):
    return pd.DataFrame(
        {"frame": np.arange(1, n + 1), "valence": np.linspace(-1, 1, n), "arousal": np.zeros(n)}
    )


@pytest.fixture(scope="module")
def drawn(film, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "film.mp4"
    steps = []
    overlay.write(film, values(), out, SENTENCE, lambda done, total: steps.append((done, total)))
    assert steps == [(n, 8) for n in range(1, 9)]
    return out


def test_every_frame_keeps_its_time_and_the_picture_stays_above_the_panel(film, drawn):
    assert recordings.frame_times(drawn) == pytest.approx(recordings.frame_times(film), abs=2e-3)
    for (_, before), (_, after) in zip(
        recordings.frames(film), recordings.frames(drawn), strict=True
    ):
        assert after.shape[1] == before.shape[1]
        assert after.shape[0] > before.shape[0]
        assert np.abs(after[:64].astype(int) - before[:64]).mean() < 4


def test_the_sound_is_kept_at_its_time(film, drawn):
    before, t0 = recordings.sound(film, RATE)
    after, t1 = recordings.sound(drawn, RATE)
    assert t1 == pytest.approx(t0, abs=0.03)
    assert len(after) / RATE + t1 == pytest.approx(len(before) / RATE + t0, abs=0.06)

    def starts(sound, start):
        return start + np.argmax(np.abs(sound) > 0.1) / RATE

    assert starts(after, t1) == pytest.approx(starts(before, t0), abs=0.03)
    assert np.sqrt(np.mean(after**2)) == pytest.approx(np.sqrt(np.mean(before**2)), rel=0.2)


def test_a_silent_video_stays_silent(tmp_path):
    silent = writing.write_video(tmp_path / "silent.mp4", [picture()] * 3, TIMES[:3])
    out = overlay.write(silent, values(3), tmp_path / "out.mp4")
    assert recordings.probe(out).audio_codec == ""
    assert len(recordings.frame_times(out)) == 3


def test_both_sides_are_even_whatever_the_video_has(tmp_path):
    odd = tmp_path / "odd.avi"
    with av.open(str(odd), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 97, 73, "yuv444p"
        for _ in range(3):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(picture(73, 97), format="rgb24"))
            )
        container.mux(stream.encode(None))
    info = recordings.probe(overlay.write(odd, values(3), tmp_path / "out.mp4", SENTENCE))
    assert (info.width, info.height % 2) == (96, 0)


@pytest.mark.parametrize(
    ("height", "width"), [(16, 16), (2, 2), (73, 97), (481, 853), (1080, 1920), (2160, 1215)]
)
@pytest.mark.parametrize("note", ["", SENTENCE])
def test_a_drawn_picture_is_even_and_no_wider_than_a_small_file_needs(height, width, note):
    found = overlay.draw(
        writing.fitted(picture(height, width)), {"valence": 0.3, "arousal": -0.2}, note
    )
    assert found.dtype == np.uint8
    assert found.shape[0] % 2 == found.shape[1] % 2 == 0
    assert found.shape[1] <= 1280
    shape = writing.fitted(picture(height, width)).shape
    assert max(shape) <= 1280
    assert shape[1] / shape[0] == pytest.approx(width / height, rel=0.05)


OTHER = "run mine, trained on affwild2: validation CCC valence 0.43"


def panel(valence, arousal, note="", size=(240, 320)):
    found = overlay.draw(picture(*size), {"valence": valence, "arousal": arousal}, note)
    return found[size[0] :].astype(int)


def blue(rows):
    return np.abs(rows - overlay_panel.COLOURS["valence"]).sum(axis=-1) < 30


def test_a_bar_is_as_long_as_its_value_and_points_to_its_side():
    lengths = {
        value: blue(panel(value, 0.0)).any(axis=0).sum() for value in (-1.0, -0.5, 0.25, 0.5, 1.0)
    }
    assert lengths[1.0] == pytest.approx(2 * lengths[0.5], rel=0.05)
    assert lengths[-0.5] == pytest.approx(lengths[0.5], abs=3)
    assert lengths[0.25] == pytest.approx(lengths[0.5] / 2, rel=0.1)
    columns = {
        value: np.flatnonzero(blue(panel(value, 0.0)).any(axis=0)).mean() for value in (-0.5, 0.5)
    }
    assert columns[-0.5] < columns[0.5]
    assert blue(panel(3.0, 0.0)).any(axis=0).sum() == lengths[1.0], (
        "values outside the range end at the edge"
    )


def test_valence_and_arousal_have_different_colours_and_rows():
    found = panel(0.8, 0.8)
    orange = np.abs(found - overlay_panel.COLOURS["arousal"]).sum(axis=-1) < 30
    assert np.flatnonzero(blue(found).any(axis=1)).max() < np.flatnonzero(orange.any(axis=1)).min()


def test_values_without_a_meaning_are_grey_below_the_words_and_have_no_number(monkeypatch):
    written = []
    monkeypatch.setattr(overlay, "_text", lambda panel, text, place, *_: written.append(text))
    found = panel(0.8, 0.8, SENTENCE)
    assert not blue(found).any()
    grey = np.abs(found - overlay_panel.GREY).sum(axis=-1) == 0
    words = len(overlay.overlay.broken(SENTENCE, 312, 0.4))
    assert np.flatnonzero(grey.any(axis=1)).min() > words * 16
    assert {"arousal", "valence"} <= set(written)
    assert not any(character.isdigit() for text in written for character in text)


@pytest.mark.parametrize("size", [(240, 320), (48, 64), (72, 96), (720, 1280), (640, 200)])
def test_the_sentence_is_drawn_inside_the_picture(size):
    with_note, without = panel(0.1, 0.1, OTHER, size), panel(0.1, 0.1, "", size)
    assert len(with_note) > len(without)
    below = with_note[len(without) :]
    dark = with_note.sum(axis=-1) < 600
    dark[: len(without)] &= without.sum(axis=-1) >= 600  # what is there because of the sentence
    columns = np.flatnonzero(dark.any(axis=0))
    assert len(below) > 0
    assert dark.sum() > 20
    assert columns[0] > 0
    assert columns[-1] < size[1] - 1, "the last column is free: nothing is cut off"
    assert columns[-1] - columns[0] > 0.4 * size[1] or size[1] > 1000


def test_a_picture_that_is_narrower_than_its_margins_is_drawn_too():
    boxes = pd.DataFrame(columns=["face", "smoothed", "speaking", "x", "y", "width", "height"])
    picture = np.zeros((640, 8, 3), np.uint8)
    assert speakers_overlay.draw(picture, boxes, SENTENCE).shape == picture.shape


@pytest.mark.parametrize("width", [200, 320, 480, 640, 1280])
def test_a_long_note_is_broken_into_lines_that_keep_inside_the_picture(width):
    note = (
        "run sample_asd, trained on sample_conversations: validation AP who speaks 0.95 "
        "[0.93, 0.96]; person: 1"
    )
    boxes = pd.DataFrame(columns=["face", "smoothed", "speaking", "x", "y", "width", "height"])
    below = panel(0.1, 0.1, note, (240, width))[-48:]
    assert (below[:, -2:] > 200).all(), "the last columns are free: nothing is cut off"
    assert (below < 100).any()
    over = speakers_overlay.draw(np.full((240, width, 3), 90, np.uint8), boxes, note)
    assert (over[:, -2:] == 90).all()
    size = 0.4
    lines = speakers_overlay.broken(note, width - 8, size)
    assert " ".join(lines) == note
    assert len(lines) <= 3
    assert len(lines) == 1 or width < 1280
    assert (
        all(speakers_overlay.fitting(line, width - 8, size) > 0.8 * size for line in lines)
        or width < 320
    )


def test_the_number_is_written_as_well():
    """Somebody who cannot see the colours reads it."""
    names = {value: panel(value, 0.0)[:, :130] for value in (0.37, 0.73)}
    assert (names[0.37].sum(axis=-1) < 300).sum() > 50
    assert (names[0.37] != names[0.73]).any()


def test_expressions_and_action_units_are_written_in_words_and_need_no_valence(film, tmp_path):
    classes = pd.DataFrame(
        {
            "expression": [4] * 8,
            **{f"expression_{k}": 0.0 for k in range(7)},
            **{f"action_unit_{k}": int(k == 1) for k in range(8)},
        }
    )
    shown = overlay.write(film, classes, tmp_path / "out.mp4")
    assert len(recordings.frame_times(shown)) == 8
    words = {
        text: overlay.draw(picture(), {"decided": text})[72:]
        for text in ("Happiness, AU2", "Neutral")
    }
    assert ((words["Happiness, AU2"] < 100).sum() > 50).all()
    assert words["Happiness, AU2"].shape == words["Neutral"].shape
    assert (words["Happiness, AU2"] != words["Neutral"]).any()


def test_the_words_are_those_of_the_frame(film, monkeypatch):
    seen = []
    monkeypatch.setattr(
        overlay, "draw", lambda picture, values, note, row: seen.append(values) or picture
    )
    classes = pd.DataFrame(
        {
            "valence": np.linspace(-1, 1, 8),
            "arousal": 0.0,
            "expression": [0, 6] * 4,
            **{f"expression_{k}": 0.0 for k in range(7)},
            "action_unit_0": [0, 0, 1, 1] * 2,
        }
    )
    list(overlay._drawn(film, classes, TIMES, ""))
    assert [each["decided"] for each in seen[:4]] == [
        "Neutral",
        "Surprise",
        "Neutral, action_units 0",
        "Surprise, action_units 0",
    ]
    assert seen[0]["valence"] == -1


def test_a_frame_without_a_face_shows_no_value(film, monkeypatch):
    seen = []
    monkeypatch.setattr(
        overlay, "draw", lambda picture, values, note, row: seen.append(values) or picture
    )
    list(overlay._drawn(film, values().assign(valid=[1, 0] * 4), TIMES, ""))
    assert [each["valence"] for each in seen[:2]] == [-1, "no face found"]
    monkeypatch.undo()
    sizes = {overlay.draw(picture(), each).shape for each in seen}
    assert len(sizes) == 1, "the panel does not jump"


def test_values_that_are_empty_without_a_face_are_drawn_as_no_face(film):
    table = values().assign(valid=[1, 0] * 4)
    unseen = table["valid"] == 0
    table[["valence", "arousal"]] = table[["valence", "arousal"]].mask(unseen)
    pictures = list(overlay._drawn(film, table, TIMES, ""))
    kept = list(overlay._drawn(film, values().assign(valid=[1, 0] * 4), TIMES, ""))
    assert [each.shape for each in pictures] == [each.shape for each in kept]


def test_the_video_of_one_of_two_people_says_whose_values_they_are(film, monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(overlay, "write", lambda video, table, target, note, **_: told.append(note))
    values().to_csv(tmp_path / "film_left.csv")
    trial = trials.table(
        [
            {
                "trial": "film_left",
                "person": "left",
                "video": "film",
                "dataset": "folder",
                "split": "val",
                "subject": "film",
                "video_path": film.name,
                "n_frames": 8,
                "fps": 25.0,
                "duration": 0.5,
            }
        ]
    )
    trial = trial.iloc[0].to_dict()
    overlay.write_trial(
        trial,
        Store(tmp_path, "folder", film.parent),
        Predictions(tmp_path),
        tmp_path / "out",
        SENTENCE,
    )
    assert told == [f"person: left; {SENTENCE}"]


def test_predictions_of_another_video_are_refused_and_nothing_is_left_behind(film, tmp_path):
    with pytest.raises(InputError, match="3 predictions for a video of 8 frames"):
        overlay.write(film, values(3), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_video_whose_stamps_go_back_is_drawn_frame_by_frame(tmp_path):
    video = encode(
        tmp_path / "back.mp4",
        ramp(6),
        "libx264",
        "yuv420p",
        options=X264,
        stamps=[9, 10, 11, 10, 10, 12],
    )
    table = pd.DataFrame({"valence": np.linspace(-1, 1, 6), "arousal": 0.0})
    times = recordings.frame_times(overlay.write(video, table, tmp_path / "out.mp4"))
    assert times == pytest.approx(np.array([9, 10, 11, 11.025, 11.05, 12]) / 25, abs=1e-4)


def test_a_trial_whose_face_was_found_in_the_picture_gets_its_box_and_one_of_crops_does_not(
    tmp_path, monkeypatch
):
    """Tracks of two people; the trial is the one on the right."""
    rows = np.zeros((6, 18), np.float32)
    rows[:, 0] = [0, 0, 1, 1, 2, 2]
    rows[:, 1] = [1, 2] * 3
    rows[:, 2:6] = [[10, 5, 20, 30], [60, 5, 20, 30]] * 3
    faces = {"faces": "detect"}
    located = type("Located", (), {"request": type("Request", (), {"parameters": faces})})
    monkeypatch.setattr(overlay.arrays, "locate", lambda *_: located)
    monkeypatch.setattr(overlay.arrays, "read", lambda *_: rows)
    monkeypatch.setattr(overlay.arrays, "facts", lambda *_: {"width": 96})
    found = overlay.with_boxes(values(4), {"person": "right"}, None)
    assert found.loc[:2, list(overlay.BOX)].to_numpy().tolist() == [[60, 5, 20, 30]] * 3
    assert found.loc[3, list(overlay.BOX)].isna().all(), "where nobody was seen there is no box"
    faces["faces"] = "crops"
    assert list(overlay.with_boxes(values(4), {"person": "right"}, None)) == list(values(4))


def test_a_mirrored_recording_of_another_clock_and_track_is_drawn_as_a_player_shows_it(tmp_path):
    left = np.zeros((96, 128, 3), np.uint8)
    left[:, :64] = 200  # as stored; a selfie camera says that it is to be shown on the right
    voice = buzz(0.4, 48_000)
    sounds = [Sound(k * voice, "mono", "aac", 48_000, default=k > 0) for k in (0, 1)]
    film = recorded(tmp_path / "a.mp4", sounds, pictures=[left] * 8)
    turned(film, (-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30))
    out = overlay.write(film, values(), tmp_path / "out.mp4")
    shown = next(recordings.frames(out))[1][:64].astype(int)
    assert shown[:, 80:].min() > 120 > 80 > shown[:, :40].max()
    samples, _ = recordings.sound(out, 8000)
    assert np.std(samples[800:]) == pytest.approx(np.std(voice), rel=0.1)
    ts = recorded(tmp_path / "a.ts", first=1.48, n=8, format="mpegts")
    overlay.write(ts, values(), tmp_path / "ts.mp4")
    assert recordings.frame_times(tmp_path / "ts.mp4")[0] == 0
