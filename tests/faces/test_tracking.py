"""Faces followed over time: as good as detecting on every frame, and on the shared recordings."""

import csv
import tracemalloc
from itertools import islice

import numpy as np
import pytest

from lib.faces import alignment, detection, persons, tracking
from lib.faces.arrays import told_of_crossing
from lib.media import recordings
from tests.face_world import WIDTH, Marks, face, picture
from tests.shared_files import shared

SINGLE = [
    f"grid_{name}.mpg"
    for name in ("bbaf2n", "lbbc2a", "lrwp9a", "lwbsza", "pwij3p", "sbwe5n", "swiz3n", "swwp2s")
] + ["pyfeat_WolfgangLanger_Pexels.mp4"]
DIALOGUE = "grid_dialogue_2faces.mp4"


def run(faces, n_frames, every=6):
    """Rows of a made-up video whose frame k shows ``faces(k)``, and the detector."""
    detector = Marks(faces)
    pictures = (picture(frame, faces(frame)) for frame in range(n_frames))
    return tracking.track(pictures, detector, every), detector


def moving(frame):
    return [face(60 + 3 * frame, 90 + 10 * np.sin(frame / 4))]


def test_a_moving_face_is_one_track_and_lies_where_it_is_in_every_frame():
    rows, detector = run(moving, 50)
    assert rows.shape == (50, 18)
    assert set(rows[:, 1]) == {0}
    assert rows[:, 0].tolist() == list(range(50))
    true = np.array([moving(frame)[0] for frame in range(50)])
    assert np.abs(rows[:, 6:16] - true[:, 4:14]).max() < 0.8
    assert len(set(detector.asked)) <= 50 / 6 + 3
    assert rows[:, 17].sum() == 50 - len(set(detector.asked))


@pytest.mark.parametrize("first", range(1, 14))
def test_the_frames_in_which_a_face_comes_and_goes_are_found_exactly(first):
    rows, detector = run(lambda frame: moving(frame) if first <= frame < 31 else [], 40)
    assert rows[:, 0].tolist() == list(range(first, 31))
    assert len(set(detector.asked)) < 20


def test_a_face_that_is_lost_for_two_frames_is_two_tracks_of_one_person():
    rows, _ = run(lambda frame: [] if frame in (18, 19) else moving(frame), 40)
    assert sorted(set(range(40)) - set(rows[:, 0].astype(int))) == [18, 19]
    (person,) = persons.find(rows)
    assert (len(person.tracks), person.n_frames) == (2, 38)


def test_a_weak_score_keeps_a_track_but_does_not_begin_one():
    rows, _ = run(
        lambda frame: [face(100, 90, score=0.5 if frame < 10 or 20 <= frame < 30 else 0.9)], 40
    )
    assert rows[:, 0].tolist() == list(range(10, 40))
    assert set(rows[:, 1]) == {0}


def test_a_cut_breaks_the_track_even_where_a_face_stands_at_the_same_place():
    def lit(frame):
        shown = picture(frame, [face(160, 90)])
        side = slice(None, 80) if frame < 17 else slice(240, None)
        shown[10:, side] = 255
        return shown

    rows = tracking.track((lit(frame) for frame in range(30)), Marks(lambda frame: [face(160, 90)]))
    assert rows[:, 1].tolist() == [0] * 17 + [1] * 13
    assert [person.n_frames for person in persons.find(rows)] == [30]


def test_two_faces_that_pass_each_other_keep_their_tracks():
    def two(frame):
        return [face(60 + 4 * frame, 50), face(260 - 4 * frame, 130)]

    rows, _ = run(two, 50)
    for track, sign in ((0, 1), (1, -1)):
        own = rows[rows[:, 1] == rows[rows[:, 0] == 0][track, 1]]
        assert len(own) == 50
        assert np.all(np.sign(np.diff(own[:, 2])) == sign)


def test_faces_close_to_each_other_are_paired_so_that_all_move_least():
    expected = np.array([face(100, 90), face(112, 90), face(250, 90)])
    found = np.array([face(106, 90), face(253, 90), face(99, 90), face(180, 90)])
    assert tracking.match(expected, found) == {0: 2, 1: 0, 2: 1}
    assert tracking.match(expected[1:], found[1:]) == {0: 1, 1: 0}, "nobody has a choice"
    assert tracking.match(expected[:2], found[[2]]) == {0: 0}, "one face for two"


@pytest.mark.parametrize("n_frames", [1, 2, 5, 6, 7, 8, 13])
def test_videos_of_any_length_are_tracked_to_their_end(n_frames):
    assert len(run(moving, n_frames)[0]) == n_frames
    assert run(lambda frame: [], n_frames)[0].shape == (0, 18)


def test_nothing_is_tracked_in_no_pictures():
    assert tracking.track([], Marks(moving)).shape == (0, 18)


def test_detecting_on_every_frame_gives_the_same_tracks():
    def some(frame):
        return moving(frame) if frame % 17 else []

    sparse, dense = run(some, 60)[0], run(some, 60, every=1)[0]
    np.testing.assert_array_equal(sparse[:, :2], dense[:, :2])
    assert np.abs(sparse[:, 2:16] - dense[:, 2:16]).max() < 1


# ---- people


def test_people_are_named_left_and_right_or_numbered():
    def rows(*places):
        return np.array(
            [
                [frame, track, *face(x, 90), 0]
                for frame in range(20)
                for track, x in enumerate(places)
            ]
        )

    assert [person.name for person in persons.find(rows(100))] == [""]
    assert {person.name: person.x for person in persons.find(rows(200, 100))} == {
        "left": 100,
        "right": 200,
    }
    assert {person.name: person.x for person in persons.find(rows(200, 100, 300))} == {
        "1": 100,
        "2": 200,
        "3": 300,
    }
    assert persons.find(np.zeros((0, 18))) == []


def test_a_passer_by_is_nobody_and_does_not_name_the_main_person():
    main = [[frame, 0, *face(100, 90), 0] for frame in range(100)]
    crowd = [[frame, 1 + frame // 30, *face(250, 90), 0] for frame in range(0, 100, 3)]
    assert len(persons.find(np.array(main + crowd[:6]))) == 1


def test_two_people_keep_their_names_over_a_break():
    both = [
        [frame, track + 2 * (frame > 20), *face(x + frame, 90), 0]
        for frame in range(40)
        for track, x in enumerate((60, 200))
        if frame not in (20, 21, 22) or track
    ]
    found = persons.find(np.array(both))
    assert {person.name: person.n_frames for person in found} == {"right": 40, "left": 37}
    left = persons.landmarks(np.array(both), persons.choose(found, "left", 320), 40)
    assert np.isnan(left[20:23]).all()
    assert left[[5, 30], 2, 0] == pytest.approx([65, 90], abs=1)


def test_a_person_is_chosen_by_name_and_half_of_the_picture():
    rows = np.array([[frame, 0, *face(100, 90), 0] for frame in range(20)])
    found = persons.find(rows)
    assert (
        persons.choose(found, "left", 320)
        is persons.choose(found, "", 320)
        is persons.choose(found, "1", 320)
    )
    assert persons.choose(found, "right", 320) is None
    assert persons.choose([], "left", 320) is None
    with pytest.raises(ValueError, match="a person is called"):
        persons.choose(found, "middle", 320)


# ---- shared recordings


@pytest.fixture(scope="module")
def tracked():
    """name -> rows and number of frames, each recording tracked once."""
    detector = detection.YuNet(shared("weights/face_detection_yunet_2023mar.onnx"))
    known = {}

    def one(name, first=None):
        """first : so many frames of it only."""
        if name not in known:
            counted = []
            frames = islice(recordings.frames(shared(f"media/{name}")), first)
            pictures = (frame for _, frame in frames)
            known[name] = tracking.track(pictures, detector, progress=counted.append), len(counted)
        return known[name]

    return one


def shown(tracked, name, first=None):
    """Share of the frames with a face of the main person, and the landmarks (n, 5, 2) in these."""
    rows, n_frames = tracked(name, first)
    points = persons.landmarks(rows, persons.choose(persons.find(rows), "", 0), n_frames)
    seen = np.isfinite(points).all(axis=(1, 2))
    return seen.mean(), points[seen]


@pytest.mark.parametrize("name", SINGLE)
def test_single_faces_are_found_and_their_eyes_lie_on_the_template(tracked, name):
    share, points = shown(tracked, name)
    assert share >= 0.98
    eyes = [
        alignment.transform(five, alignment.similarity(five))[:2] - alignment.TEMPLATE[:2]
        for five in points
    ]
    assert np.linalg.norm(eyes, axis=-1).mean() <= 2


@pytest.mark.parametrize("name", ["mpf_speech_noface_10001.mp4", "pyfeat_no_face.mp4"])
def test_where_nobody_is_nobody_is_found(tracked, name):
    rows, n_frames = tracked(name)
    assert n_frames > 90
    assert rows.shape == (0, 18)


def test_a_rotated_recording_is_turned_before_faces_are_looked_for(tracked):
    # as it is stored, a face would be found in 58 % of these frames
    assert shown(tracked, "mpf_new_face_video-90.mp4", first=120)[0] >= 0.9


def test_the_two_people_of_the_dialogue_never_swap(tracked):
    rows, n_frames = tracked(DIALOGUE)
    found = persons.find(rows)
    assert n_frames == 300
    assert sorted((person.name, person.n_frames) for person in found) == [
        ("left", 300),
        ("right", 300),
    ]
    boxes = {"0": {}, "1": {}}
    with shared("media/grid_dialogue_2faces-activespeaker.csv").open() as stream:
        for line in csv.reader(stream):
            boxes[line[7][-1]][round(float(line[1]) * 25)] = np.array(line[2:6], float) * (
                720,
                288,
                720,
                288,
            )
    for name, track in (("left", "0"), ("right", "1")):
        noses = persons.landmarks(rows, persons.choose(found, name, 720), n_frames)[:, 2]
        assert len(boxes[track]) == 300
        inside = [
            np.all((noses[k] > box[:2]) & (noses[k] < box[2:])) for k, box in boxes[track].items()
        ]
        assert all(inside)


def test_a_variable_frame_rate_recording_loses_its_face_at_the_cut(tracked):
    rows, n_frames = tracked("pyfeat_face_noface.mov")
    assert n_frames == 169
    assert 0.38 < len(np.unique(rows[:, 0])) / n_frames < 0.5
    assert len(np.unique(rows[:, 1])) == 1


# ---- cuts that nothing but the picture tells


def changes_of(pictures, faces):
    found = []
    rows = tracking.track(pictures, Marks(faces), changes=found)
    return rows, tracking.shot_changes(found)


def dimmed(frame, rows, seed):
    """A picture of few contrasts: another scene differs from it by less than `tracking.CUT`."""
    shown = picture(frame, rows, seed).astype(float)
    shown[4:] = 100 + (shown[4:] - 100) * 0.35 + 12 * (seed % 3) * (np.arange(WIDTH) > 160)[:, None]
    return np.clip(shown, 0, 255).astype(np.uint8)


def test_small_cuts_over_which_a_track_goes_on_are_found():
    """A and B alternate before one wall, at one place: one track goes through. Arrays that were
    made before people were told apart name the frames.
    """
    faces = lambda frame: [face(100, 90)]  # noqa: E731
    shots = [frame // 15 % 2 for frame in range(60)]
    pictures = [dimmed(frame, faces(frame), seed) for frame, seed in enumerate(shots)]
    rows, cuts = changes_of(pictures, faces)
    assert cuts == [15, 30, 45]
    assert len(np.unique(rows[:, 1])) == 1
    assert told_of_crossing([16, 31, 46]) == (
        "3 cuts were crossed, at frame 16, 31, 46: it may be several people"
    )


@pytest.mark.parametrize(
    "changes",
    [
        [0.6] * 30,
        [7.8] * 30,  # a camera that moves all the time
        [0.5, 0.5, 3.9, 0.5, 0.5],  # smaller than any cut
        [4, 12, 20, 12, 4],  # a turn of the camera
        [1, 5, 1, 5, 1, 5, 1, 5],  # a picture that is held for two frames
        [],
    ],
)
def test_movement_is_no_cut(changes):
    assert tracking.shot_changes(changes) == []


def test_large_and_lonely_changes_are_cuts():
    assert tracking.shot_changes([1.0, 31.0, 1.0]) == [2]
    assert tracking.shot_changes([0.6, 0.6, 0.6, 19.0, 0.6, 0.6, 0.6]) == [4]


def test_the_rows_of_a_frame_are_found_without_a_copy_of_all_rows():
    """They are asked for at each frame: with a copy, the work on a recording of hours would grow
    with the square of its length.
    """
    tracks = np.zeros((200_000, len(tracking.COLUMNS)), np.float32)
    tracks[:, 0] = np.repeat(np.arange(100_000), 2)
    tracemalloc.start()
    try:
        assert tracking.rows(tracks, 70_000, 70_002) == (140_000, 140_004)
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()
