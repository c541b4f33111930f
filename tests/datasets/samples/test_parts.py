"""Face, voice and labels of the sample set, one at a time."""

import cv2
import numpy as np
import pytest

from lib.datasets.samples import curves, voice
from lib.datasets.samples import face as samples_face
from lib.datasets.samples import scene as samples_scene
from lib.datasets.samples.curves import Curve
from lib.labels import official


def constant(value):
    return Curve(np.array([0.0, 100.0]), np.array([value, value]))


def plain_face():
    still = np.zeros((2, samples_face.SIDE, samples_face.SIDE), np.float32)
    return samples_face.Face(samples_face.photograph(), still, None)


def test_a_curve_passes_through_its_knots_and_stays_between_them():
    curve = Curve(np.array([0.0, 2.0, 5.0]), np.array([-0.5, 0.9, 0.1]))
    assert curve(np.array([0.0, 1.0, 2.0, 5.0])) == pytest.approx([-0.5, 0.2, 0.9, 0.1])
    assert np.all(np.abs(curve(np.linspace(-1, 9, 100))) <= 0.9)


def test_a_drawn_curve_covers_the_whole_time():
    for seed in range(50):
        curve = curves.curve(np.random.default_rng(seed), 15.5)
        assert curve.knots[0] <= 0
        assert curve.knots[-1] >= 15.5
        assert np.all(np.diff(curve.knots) >= 2)


@pytest.mark.parametrize(
    ("v", "a", "name"),
    [
        (0.1, 0.1, "Neutral"),
        (0.8, 0.1, "Happiness"),
        (0.1, 0.8, "Surprise"),
        (-0.4, 0.8, "Fear"),
        (-0.7, 0.6, "Anger"),
        (-0.8, 0.0, "Disgust"),
        (-0.5, -0.6, "Sadness"),
        (0.2, -0.8, "Neutral"),
    ],
)
def test_expression_follows_from_the_place_in_the_plane(v, a, name):
    (number,) = curves.expression(np.array([v]), np.array([a]))
    assert official.EXPRESSIONS[number] == name


def test_action_units_follow_from_valence_and_mouth():
    glad, sad, speaking = curves.action_units(np.array([0.9, -0.9, 0.0]), np.array([0.0, 0.0, 0.5]))
    assert [name for name, on in zip(official.ACTION_UNITS, glad, strict=True) if on] == [
        "AU1",
        "AU2",
        "AU6",
        "AU12",
        "AU20",
    ]
    assert [name for name, on in zip(official.ACTION_UNITS, sad, strict=True) if on] == [
        "AU4",
        "AU15",
    ]
    assert [name for name, on in zip(official.ACTION_UNITS, speaking, strict=True) if on] == [
        "AU25"
    ]


def test_official_texts_have_header_and_three_digits():
    va = np.array([[0.12345, -1], [np.nan, np.nan]])
    assert curves.va_text(va) == "valence,arousal\n0.123,-1.000\n-5,-5\n"
    assert curves.va_text(va, "-5.0").endswith("\n-5.0,-5.0\n")
    assert curves.expression_text(np.array([3, -1])).splitlines()[1:] == ["3", "-1"]
    assert curves.action_units_text(np.zeros((1, 8), np.int8)).splitlines()[1] == "0,0,0,0,0,0,0,0"


def test_the_photograph_comes_without_a_network():
    assert samples_face.photograph().shape == (200, 200, 3)


def test_at_the_photographs_own_valence_the_mouth_rests():
    places, inside = plain_face().mapping(0.5, 0.0, 0.0, 0.0)
    mouth = np.s_[115:135, 75:121]
    assert places[mouth] == pytest.approx(
        np.dstack([samples_face.X, samples_face.Y])[mouth], abs=0.05
    )
    assert inside.max() == 0


def test_mouth_corners_rise_with_valence_and_brows_fall_without():
    sad, glad = (plain_face().mapping(v, 0.0, 0.0, 0.0)[0] for v in (-0.9, 0.9))
    for x, y in np.round([*samples_face.MOUTH_CORNERS, *samples_face.BROWS_INNER]).astype(int):
        # What is seen at this place comes from further up when the skin moves down.
        assert sad[y, x, 1] < glad[y, x, 1] - 2


@pytest.mark.parametrize(
    ("v", "across", "down"), [(-0.9, -6.3, 12.6), (0.5, 0.0, 0.0), (0.9, 1.8, -3.6)]
)
def test_a_mouth_corner_arrives_where_the_specification_says(v, across, down):
    places, _ = plain_face().mapping(v, 0.0, 0.0, 0.0)
    x, y = samples_face.MOUTH_CORNERS[1]
    seen = np.unravel_index(np.argmin(((places - (x, y)) ** 2).sum(axis=-1)), places.shape[:2])[
        ::-1
    ]
    # k·(3v − 1.5) outwards, k·(3 − 6v) down; a place is a whole pixel, and the neighbouring fields
    # add up to 0.6 px.
    assert seen == pytest.approx((x + across, y + down), abs=1.2)


def test_speaking_opens_the_mouth_and_arousal_the_eyes():
    face = plain_face()
    assert face.mapping(0, 0, 1, 0)[1].sum() > 3 * face.mapping(0, 0, 0.3, 0)[1].sum() > 0
    x, y = 75, 80  # above the middle of an eye at row 84
    rows = [face.mapping(0.5, a, 0, 0)[0][y, x, 1] for a in (-0.9, 0, 0.9)]
    assert rows[0] < rows[1] < rows[2]


@pytest.mark.parametrize("v", [-0.95, -0.5, 0.0, 0.95])
@pytest.mark.parametrize("a", [-0.95, 0.95])
def test_no_expression_folds_the_face(v, a):
    places, _ = plain_face().mapping(v, a, 0.0, 0.0)
    dx, dy = np.gradient(places[..., 0]), np.gradient(places[..., 1])
    assert (dx[1] * dy[0] - dx[0] * dy[1])[10:190, 30:170].min() > 0


def test_the_crop_shows_the_face_where_the_pose_put_it():
    generator = np.random.default_rng(3)
    for _ in range(20):
        pose = samples_scene.draw_pose(generator, np.arange(100) / 10, 0.0)
        for frame in (0, 50):
            to_picture, to_crop = (
                np.vstack([matrix, [0, 0, 1]]) for matrix in (pose.head(frame), pose.cut(frame))
            )
            whole = to_crop @ to_picture
            eyes = [(whole @ [*eye, 1])[:2] for eye in samples_face.EYES]
            assert np.linalg.norm(eyes[1] - eyes[0]) == pytest.approx(42, rel=0.2)
            middle = (whole @ [*samples_face.CENTRE, 1])[:2]
            assert np.abs(middle - 55.5).max() < 12 + 4 + 5
            assert 0 < (to_picture @ [*samples_face.CENTRE, 1])[0] < 320


def test_a_frame_of_two_persons_changes_only_where_a_mouth_moves():
    generator = np.random.default_rng(0)
    scene = samples_scene.draw_scene(generator, np.array([0.0, 0.04]), 640)
    faces = [scene.relit(samples_face.draw(generator)) for _ in range(2)]
    poses = [samples_scene.draw_pose(generator, np.array([0.0, 0.04]), left) for left in (0, 320)]

    def paint(*openings):
        return scene.paint(
            [
                (face, pose.head(0), [0.0, 0.0, s, 0.0])
                for face, pose, s in zip(faces, poses, openings, strict=True)
            ],
            0,
        )

    change = cv2.absdiff(paint(0, 0), paint(1, 0)).max(axis=(0, 2))
    assert change[:320].max() > 50
    assert change[320:].max() == 0


def test_a_voice_is_silent_outside_its_turns():
    talks = voice.talking(np.random.default_rng(0), 6.0, [(1.0, 2.5), (4.0, 5.0)])
    heard = np.flatnonzero(talks) / voice.RATE
    assert heard.min() >= 1.0
    assert heard.max() <= 5.0
    assert not np.any((heard > 2.5) & (heard < 4.0))


def speech(arousal, seed=0):
    generator = np.random.default_rng(seed)
    talks = voice.talking(generator, 6.0, [(0.0, 6.0)])
    s, vowels = voice.envelope(generator, talks, constant(arousal))
    return s, voice.speak(generator, s, vowels, constant(arousal))


def test_arousal_makes_the_voice_brighter_and_faster_but_not_its_mean_level():
    (calm_s, calm), (excited_s, excited) = speech(-0.9), speech(0.9)

    def centroid(sound):
        power = np.abs(np.fft.rfft(sound)) ** 2
        return (power * np.arange(len(power))).sum() / power.sum()

    def syllables(s):
        return np.sum(np.diff((s > 0.5).astype(int)) == 1)

    assert centroid(excited) > 1.3 * centroid(calm)
    assert syllables(excited_s) > 1.5 * syllables(calm_s)
    assert np.std(excited[excited_s > 0]) == pytest.approx(np.std(calm[calm_s > 0]), rel=0.1)


def test_within_a_trial_arousal_makes_the_voice_louder():
    generator = np.random.default_rng(1)
    rising = Curve(np.array([0.0, 3.0, 4.0, 9.0]), np.array([-0.9, -0.9, 0.9, 0.9]))
    s = np.ones(8 * voice.RATE, np.float32)
    sound = voice.speak(generator, s, np.zeros(len(s), int), rising)
    third = 3 * voice.RATE
    assert 20 * np.log10(sound[-third:].std() / sound[:third].std()) == pytest.approx(
        9, abs=1.5
    )  # 5 dB · 1.8
