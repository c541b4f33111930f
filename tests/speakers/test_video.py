import gc
import json
import weakref

import numpy as np
import pandas as pd
import pytest
import torch

from lib import arrays, plots, trials
from lib.errors import InputError
from lib.evaluation import overlay as evaluation_overlay
from lib.evaluation.predictions import Predictions, write_csv
from lib.faces import persons
from lib.features import speaker_arrays, speaker_scores
from lib.media import recordings, writing
from lib.speakers import arrays as speakers_arrays
from lib.speakers import overlay, video
from lib.speakers.metrics import ava_ap
from lib.store import Store, request
from tests import tiny_set
from tests.face_world import face
from tests.shared_files import shared

FPS, FRAMES = 25, 40
TIMES = np.arange(FRAMES) / FPS  # s
NETWORK = request("track_speaking", {}, crop="box", size=112)


@pytest.fixture
def found(tmp_path):
    """Two people in 40 frames: the left one speaks from 10 to 19, the right one from 30 on; a face
    for two frames.
    """
    place = Store(tmp_path / "processed", "video", tmp_path)
    rows, logits = [], []
    for frame in range(FRAMES):
        for track, (x, speaks) in enumerate(((60, 10 <= frame < 20), (200, frame >= 30))):
            rows.append([frame, track, *face(x, 90), 0])
            logits.append([0.0, 4.0 if speaks else -4.0])
        if frame in (5, 6):
            rows.append([frame, 2, *face(300, 40), 0])
            logits.append([0.0, 4.0])
    row = {
        "trial": "v",
        "person": "left",
        "video": "v",
        "dataset": "video",
        "split": "test",
        "subject": "v",
        "video_path": "v.mp4",
        "audio_path": "v.mp4",
        "crops_dir": "",
    }
    trials.write(trials.table([row]), place.trials_path)
    tracks = np.array(rows, np.float32)
    wanted = request("tracks")
    resolved = arrays.MAKERS["tracks"].resolve(row, wanted, place)
    tiny_set.write(
        place, "v", request("tracks", **resolved.parameters), tracks, width=320, height=180
    )
    tiny_set.write(place, "v", NETWORK, np.array(logits, np.float32))
    tiny_set.write(place, "v", request("time"), TIMES)
    return video.Found(place, row, NETWORK, "light_asd")


def test_every_face_of_every_frame_has_a_row_and_the_persons_name(found):
    values = video.table(found, smooth=0)
    assert len(values) == 2 * FRAMES  # what is seen for two frames is left out
    assert values["face"].unique().tolist() == ["left", "right"]
    left = values[values["face"] == "left"]
    assert left["frame"].tolist() == list(range(1, FRAMES + 1))
    assert (left["speaking"] == 1).to_numpy().nonzero()[0].tolist() == list(range(10, 20))
    assert left["probability"].iloc[12] == pytest.approx(1 / (1 + np.exp(-4)), rel=1e-4)
    assert (left["x"].iloc[0], left["width"].iloc[0]) == (40, 40)


def test_scores_are_smoothed_as_logits(found):
    values = video.table(found, smooth=2)
    left = values[values["face"] == "left"]
    assert left["smoothed"].iloc[10] == pytest.approx(
        1 / (1 + np.exp(-0.8)), rel=1e-4
    )  # 3 of 5 frames at 4, 2 at −4


def test_segments_end_with_their_last_frame(found):
    spoken = video.segments(video.table(found, smooth=0), TIMES)
    assert spoken["face"].tolist() == ["left", "right"]
    assert spoken[["start", "stop"]].to_numpy() == pytest.approx(np.array([[0.4, 0.8], [1.2, 1.6]]))


def test_a_stretch_lasts_until_the_next_frame_is_shown_however_uneven_they_are():
    """Those without a face count, too: a picture that is held for two seconds is not 0.1 s long."""
    times = np.array([0.0, 0.1, 0.2, 2.2, 2.3])
    values = pd.DataFrame({"frame": [1, 2, 3, 5], "face": "1", "track": 0, "speaking": 1})
    spoken = video.segments(values.assign(time=times[values["frame"] - 1]), times)
    assert spoken[["start", "stop"]].to_numpy().tolist() == [[0.0, 2.2], [2.3, pytest.approx(2.4)]]


def test_so_few_frames_that_lips_are_not_seen_to_move_are_told():
    assert "per second are 1, and the network learnt from 25" in video.of_rate(np.arange(5), 25)
    assert "per second are 10, " in video.of_rate(np.arange(50) / 10, 25)
    for rate in (12.5, 15, 25, 120):
        assert video.of_rate(np.arange(50) / rate, 25) == ""
    assert video.of_rate(np.zeros(1), 25) == ""


def test_a_gap_of_a_track_ends_a_stretch(found):
    values = video.table(found, smooth=0)
    values = values[~values["frame"].isin([15, 16])]
    spoken = video.segments(values, TIMES)
    assert spoken[spoken["face"] == "left"][["start", "stop"]].to_numpy() == pytest.approx(
        np.array([[0.4, 0.56], [0.64, 0.8]])
    )


def test_files_say_the_same(found, tmp_path):
    values = video.table(found, smooth=0)
    table, told, rttm = video.write(values, found, tmp_path)
    described = json.loads((tmp_path / "columns.json").read_text())
    assert [row["name"] for row in described] == pd.read_csv(table).columns.tolist()
    assert all(row["meaning"] for row in described)
    assert len(pd.read_csv(table)) == len(values)
    content = json.loads(told.read_text())
    assert [each["face"] for each in content["faces"]] == ["left", "right"]
    assert content["speech"][0] == {"face": "left", "start": 0.4, "stop": 0.8}
    assert rttm.read_text().splitlines() == [
        "SPEAKER v 1 0.400 0.400 <NA> <NA> left <NA> <NA>",
        "SPEAKER v 1 1.200 0.400 <NA> <NA> right <NA> <NA>",
    ]


def made(inputs, maker, **parameters):
    """What a maker writes, without a store."""
    kept = {}

    class Place:
        def __init__(self, shape, dtype, **facts):
            kept["array"] = np.zeros(shape, dtype)

        def __enter__(self):
            return kept["array"]

        def __exit__(self, *_):
            pass

    maker(inputs, parameters, Place, "cpu")
    return kept["array"]


def test_a_trial_gets_its_own_persons_probability(found):
    tracks = np.asarray(arrays.read(found.row, request("tracks"), found.store))
    scores = np.asarray(arrays.read(found.row, NETWORK, found.store))
    inputs = {
        "tracks": tracks[2:],
        "scores": scores[2:],
        "tracks_facts": {"width": 320},
        "time": np.arange(FRAMES),
    }
    for person, speaks in (("left", range(10, 20)), ("right", range(30, 40))):
        values = made(inputs, speaker_arrays.make_speaking, person=person)
        assert np.flatnonzero(values > 0.5).tolist() == list(speaks)
        assert np.isnan(values[0])
        assert values.shape == (FRAMES,)
    assert np.isnan(made(inputs, speaker_arrays.make_speaking, person="7")).all()


def test_crops_are_those_of_the_tracks_rows(tmp_path):
    pictures = [np.full((64, 96, 3), 10 * k, np.uint8) for k in range(12)]
    film = writing.write_video(tmp_path / "v.mp4", iter(pictures), np.arange(12) / 25)
    tracks = np.array([[k, 0, *face(40, 30, 20), 0] for k in (0, 1, 1, 5, 11)], np.float32)
    found = made({"video": film, "tracks": tracks}, speaker_arrays.make_crops, crop="box", size=8)
    assert found.mean((1, 2)) == pytest.approx([0, 10, 10, 50, 110], abs=3)
    none = made(
        {"video": film, "tracks": tracks[:0]}, speaker_arrays.make_crops, crop="box", size=8
    )
    assert none.shape == (0, 8, 8)


def test_each_track_is_scored_by_its_own_crops_and_the_sound_of_its_time(monkeypatch):
    heard = {}

    def logits(detector, faces, sound, first, start, stop):
        shown = faces(start, stop)[:, 0, 0]
        heard.setdefault(int(shown[0]), []).append((shown.tolist(), int(first[4 * start])))
        return np.stack([np.zeros(len(shown)), shown], axis=1).astype(np.float32)

    monkeypatch.setattr(speaker_scores, "logits", logits)
    monkeypatch.setattr(
        speaker_scores,
        "load",
        lambda path, device: speaker_scores.Detector(None, "n", "box", 4, 25.0, 500),
    )
    tracks = np.array(
        [
            [0, 0, *face(40, 30), 0],
            [0, 1, *face(90, 30), 0],
            [1, 0, *face(40, 30), 0],
            [2, 1, *face(90, 30), 0],
            [3, 1, *face(90, 30), 0],
        ],
        np.float32,
    )
    crops = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    found = made(
        {
            "network": "x",
            "tracks": tracks,
            "time": 1 + np.arange(4) / 25,
            "crops": crops,
            "sound": np.zeros(100),
            "sound_facts": {"t0": 0.5},
        },
        speaker_arrays.make_scores,
        durations=[1.0, 2.0],
    )
    assert heard[0] == [([0, 2], 8000)] * 2, "in pieces of 1 s and of 2 s"
    # Frame 1 is not there: its nearest neighbour.
    assert heard[1][0][0] in ([1, 1, 3, 4], [1, 3, 3, 4])
    assert heard[1][0] == heard[1][1]
    assert found[[0, 2], 1].tolist() == [0, 2]


def test_a_network_is_light_asds_where_it_is_there_a_run_or_a_file(tmp_path):
    assert speaker_arrays.network_file("", tmp_path) is None
    assert speaker_arrays.network_file("", None) is None
    (tmp_path / "light_asd_ava.model").touch()
    assert speaker_arrays.network_file("", tmp_path) == tmp_path / "light_asd_ava.model"
    run = tmp_path / "mine" / "checkpoints" / "best.pt"
    run.parent.mkdir(parents=True)
    run.touch()
    assert speaker_arrays.network_file("mine", None, tmp_path) == run
    (tmp_path / "b.pt").touch()
    assert (
        speaker_arrays.network_file(str(tmp_path / "b.pt"), None, tmp_path / "runs")
        == tmp_path / "b.pt"
    )
    assert (
        speaker_arrays.network_file("theirs", None, tmp_path)
        == tmp_path / "theirs" / "checkpoints" / "best.pt"
    )


def test_without_a_network_a_prediction_table_stays_as_it_is(found):
    values = pd.DataFrame({"frame": [1, 2]})
    assert speakers_arrays.column(found.row, {}, found.store, make=True) is None
    assert list(speakers_arrays.with_column(values, None)) == ["frame"]


def test_a_video_without_sound_says_so(tmp_path):
    film = writing.write_video(
        tmp_path / "silent.mp4", iter(np.zeros((3, 32, 32, 3), np.uint8)), np.arange(3) / 25
    )
    with pytest.raises(InputError, match="no sound, so nobody can be heard"):
        video.find(film, tmp_path / "any.model", {}, tmp_path)


def test_boxes_are_green_for_who_speaks_and_red_for_who_does_not(found):
    values = video.table(found, smooth=0)
    drawn = overlay.draw(np.zeros((180, 320, 3), np.uint8), values[values["frame"] == 15])
    assert drawn[90, 40].tolist() == list(overlay.GREEN)
    assert drawn[90, 180].tolist() == list(overlay.RED)
    large = overlay.draw(np.zeros((1441, 2561, 3), np.uint8), values[:0], note="a note")
    assert max(large.shape) == 1280
    assert large.any()


def test_a_video_is_drawn_with_its_sound(found, tmp_path):
    film = writing.write_video(
        tmp_path / "film.mp4",
        iter(np.zeros((FRAMES, 180, 320, 3), np.uint8)),
        np.arange(FRAMES) / FPS,
        sound=np.zeros(44_100),
    )
    info = recordings.probe(
        evaluation_overlay.write(film, video.table(found), tmp_path / "out.mp4")
    )
    assert (info.width, info.height, info.n_frames, info.audio_codec) == (320, 180, FRAMES, "aac")


def test_rows_in_any_order_are_drawn_in_their_frame_and_not_kept_for_the_next(found, monkeypatch):
    """A table per frame, kept for all frames of an hour, took half a gigabyte."""
    table, drawn, kept, alive = video.table(found), [], [], []

    def draw(picture, rows, note):
        if len(kept) in (10, 20):
            gc.collect()
            alive.append(sum(ref() is not None for ref in kept))
        drawn.append(sorted(rows["x"]))
        kept.append(weakref.ref(rows))
        return picture

    monkeypatch.setattr(overlay, "draw", draw)
    blank = np.zeros((180, 320, 3), np.uint8)
    monkeypatch.setattr(recordings, "frames", lambda _: ((k, blank) for k in range(FRAMES)))
    for _ in overlay.frames("film.mp4", table.sample(frac=1, random_state=0)):
        pass
    of_frame = {frame: sorted(rows["x"]) for frame, rows in table.groupby("frame")}
    assert drawn == [of_frame.get(frame, []) for frame in range(1, FRAMES + 1)]
    assert max(map(len, drawn)) > 1
    assert max(alive) <= 1, "besides the table in hand"


def test_a_video_without_sound_and_with_stamps_that_stand_still_is_drawn(
    found, tmp_path, monkeypatch
):
    times = np.arange(FRAMES) / FPS
    film = writing.write_video(
        tmp_path / "film.mp4", iter(np.zeros((FRAMES, 180, 320, 3), np.uint8)), times
    )
    monkeypatch.setattr(
        recordings, "frame_times", lambda _: np.where(np.arange(FRAMES) == 3, times[2], times)
    )
    info = recordings.probe(
        evaluation_overlay.write(film, video.table(found), tmp_path / "out.mp4")
    )
    assert (info.n_frames, info.audio_codec) == (FRAMES, "")


def test_a_video_of_a_data_set_has_boxes_round_all_persons_that_were_predicted(tmp_path):
    film = writing.write_video(
        tmp_path / "v.mp4", iter(np.zeros((12, 96, 160, 3), np.uint8)), np.arange(12) / FPS
    )
    place = Store(tmp_path / "processed", "set", tmp_path)
    named = [
        {
            "trial": f"v_{person}",
            "person": person,
            "video": "v",
            "dataset": "set",
            "split": "val",
            "subject": "v",
            "video_path": film.name,
            "audio_path": film.name,
        }
        for person in ("1", "2", "3")
    ]
    trials.write(trials.table(named), place.trials_path)
    frames = np.arange(12)
    for person, x, speaks in (("1", 20.0, frames < 6), ("2", 100.0, frames >= 6)):
        rows = pd.DataFrame(
            {
                "frame": frames + 1,
                "time": frames / FPS,
                "speaking": np.where(speaks, 0.9, 0.1),
                "valid": 1,
                "x": x,
                "y": 30.0,
                "width": 40.0,
                "height": 40.0,
            }
        )
        rows.loc[frames == 11, ["x", "y", "width", "height"]] = np.nan
        write_csv(tmp_path / f"v_{person}.csv", rows)
    drawn = evaluation_overlay.write_trial(
        named[0], place, Predictions(tmp_path), tmp_path / "out", "a note"
    )
    pictures = [picture.astype(int) for _, picture in recordings.frames(drawn)]
    assert drawn.name == "v_1.mp4"
    assert len(pictures) == 12
    for frame, x, colour in (
        (2, 20, "green"),
        (2, 100, "red"),
        (9, 20, "red"),
        (9, 100, "green"),
        (11, 20, "none"),
    ):
        red, green, _ = pictures[frame][30:70, x - 1 : x + 3].mean((0, 1))
        assert (colour == "green") == (green > red + 20)
        assert (colour == "red") == (red > green + 20)


def test_curves_of_all_faces_and_a_time_line_are_drawn(found):
    axes = plots.of_video(video.table(found, smooth=0))
    assert [ax.get_ylabel() for ax in axes[:2]] == ["p(left speaks)", "p(right speaks)"]
    assert [label.get_text() for label in axes[2].get_yticklabels()] == ["left", "right"]
    assert len(plots.of_video(video.table(found)[:0])) == 2


def test_light_asd_tells_who_speaks_in_the_shared_dialogue(tmp_path):
    torch.set_num_threads(2)
    film, weights = shared("media/grid_dialogue_2faces.mp4"), shared("weights/light_asd_ava.model")
    params = {"weights_root": weights.parent, "device": "cpu"}
    assert video.learnt(weights)
    found = video.find(film, weights, params, tmp_path)
    values = video.table(found)
    video.write(values, found, tmp_path)
    assert found.note == "speaking: light_asd; card: docs/models/light_asd.md"
    truth = pd.read_csv(shared("media/grid_dialogue_2faces_frames.csv"))
    labels = [
        truth[f"{face}_audible"].to_numpy()[frame - 1]
        for face, frame in zip(values["face"], values["frame"], strict=True)
    ]
    assert ava_ap(values["logit"], np.array(labels)) >= 0.95
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {
        ".csv",
        ".json",
        ".rttm",
    }
    assert (
        len(persons.find(np.asarray(arrays.read(found.row, request("tracks"), found.store)))) == 2
    )
