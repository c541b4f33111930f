"""The sample conversations as data (specification of the sample conversations §7): only the fit of
sound and mouth tells.
"""

import json

import cv2
import numpy as np
import pytest

from benchmarks import conversation_floors
from lib.datasets import ego4d
from lib.datasets.samples import conversations
from lib.datasets.samples import couple as samples_couple
from lib.datasets.samples import talk as samples_talk
from lib.datasets.samples import turns as samples_turns
from lib.errors import InputError
from lib.media import recordings
from lib.speakers import metrics
from tests.shared_files import shared


@pytest.fixture(scope="module")
def plans():
    """The plans of the default set, seed 0, without sound and pictures."""
    found = []
    for one in conversations.conversations():
        generator = np.random.default_rng([0, one.number, 11])
        found.append(
            samples_turns.draw(generator, one.n_frames, 1.0 if one.split == "val" else 0.5)
        )
    return found


@pytest.fixture(scope="module")
def floors():
    scores, labels = conversation_floors.evidence(0, "val")
    return {name: metrics.ava_ap(values, labels) for name, values in scores.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return conversations.make(tmp_path_factory.mktemp("data"), trials=3, seconds=1.5, workers=1)


def test_the_default_set_has_forty_and_ten_conversations_with_the_lengths_of_the_specification():
    planned = conversations.conversations()
    lengths = {
        split: {one.n_frames for one in planned if one.split == split} for split in ("train", "val")
    }
    assert lengths == {"train": {450}, "val": {1350}}
    assert [sum(one.split == split for one in planned) for split in ("train", "val", "test")] == [
        40,
        10,
        2,
    ]
    assert len({one.uid for one in planned}) == 52


def test_for_every_face_most_of_the_voice_is_somebody_elses(plans):
    for plan in plans:
        voices = plan.speaking()
        voiced = voices.any(axis=0)
        for face in samples_turns.ON_SCREEN:
            assert 1 - voices[face].sum() / voiced.sum() >= 0.55
            assert 0.20 <= voices[face].mean() <= 0.40
        alone = voices[2] & ~voices[0] & ~voices[1]
        assert 0.20 <= alone.sum() / voiced.sum() <= 0.30


def test_in_the_whole_set_every_face_speaks_a_third_of_the_time(plans):
    for some in (plans[:40], plans[40:50]):
        for face in samples_turns.ON_SCREEN:
            assert 0.25 <= np.mean([plan.speaking()[face].mean() for plan in some]) <= 0.35
        assert 0.78 <= np.mean([plan.speaking().any(axis=0).mean() for plan in some]) <= 0.88


def test_every_mouth_moves_without_a_voice_for_a_third_of_its_silence_and_mostly_not_chewing(plans):
    for plan in plans:
        silent = ~plan.speaking()[:2]
        moving, chewing = plan.moving(), plan.moving(chewing=True)
        assert not (moving & ~silent).any()
        for face in samples_turns.ON_SCREEN:
            assert 0.25 <= moving[face].sum() / silent[face].sum() <= 0.40
            assert chewing[face].sum() <= moving[face].sum() / 2


def test_every_face_leaves_a_long_conversation_once(plans):
    for plan in plans[40:50]:
        gone = ~plan.visible()
        assert (np.diff(gone.astype(int), axis=1) == 1).sum(axis=1).tolist() == [1, 1] or gone[
            :, 0
        ].any()
        assert ((gone.sum(axis=1) >= 30) & (gone.sum(axis=1) <= 90)).all()


@pytest.mark.parametrize(
    ("way", "low", "high"),
    [
        ("sound", 0, 0.50),
        ("movement", 0, 0.78),
        ("sound × movement", 0, 0.80),
        ("synchrony", 0.93, 1),
    ],
)
def test_only_synchrony_tells_who_speaks(floors, way, low, high):
    assert low <= floors[way] <= high


def test_a_detector_finds_the_faces():
    weights = str(shared("weights/face_detection_yunet_2023mar.onnx"))
    net = cv2.FaceDetectorYN.create(weights, "", (samples_couple.WIDTH, samples_couple.HEIGHT), 0.7)
    found = there = 0
    for one in conversations.conversations()[:4]:
        plan = samples_turns.draw(np.random.default_rng([0, one.number, 11]), 40, 0.5)
        opening = np.random.default_rng(one.number).random((2, 40))
        talk = samples_talk.Talk(np.zeros(0), opening, np.zeros((2, 40)))
        couple = samples_couple.draw(np.random.default_rng([0, one.number, 13]), plan, talk)
        for frame in range(0, 40, 4):
            boxes = net.detect(np.ascontiguousarray(couple.paint(frame)[..., ::-1]))[1]
            for head, visible in zip(couple.heads, couple.visible[:, frame], strict=True):
                there += visible
                middle = (head.boxes[frame][:2] + head.boxes[frame][2:]) / 2
                centres = [] if boxes is None else boxes[:, :2] + boxes[:, 2:4] / 2
                found += visible and any(np.abs(centre - middle).max() < 25 for centre in centres)
    assert there >= 60
    assert found >= 0.98 * there


def test_the_set_is_whole_and_in_ego4ds_layout(root):
    expected = {
        item: (count,)
        for item, count in json.loads((root / "sample.json").read_text())["expected"].items()
    }
    table, report = ego4d.find(root, expected=expected)
    assert report.problem_table().empty
    assert (report.count_table()["state"] == "ok").all()
    assert len(table[table["split"] == "train"]) == 4  # two faces in each of two conversations
    assert (root / "split/train.list").read_bytes()[-1:] != b"\n"


def test_videos_have_their_frames_and_the_wav_the_sound_of_all_of_them(root):
    for one in conversations.conversations(0, 3, 1.5):
        video = root / "videos" / f"{one.uid}.mp4"
        assert len(recordings.frame_times(video)) == one.n_frames
        samples = recordings.sound(root / "wave" / f"{one.uid}.wav", 16_000)[0]
        assert len(samples) == one.n_frames * 16_000 // 30
        heard, t0 = recordings.sound(video, 16_000)
        assert abs(t0) < 0.07
        assert len(heard) / 16_000 == pytest.approx(one.n_frames / 30, abs=0.15)


def test_annotation_says_what_was_planned(root):
    one = conversations.conversations(0, 3, 1.5)[0]
    plan, _ = conversations.script(0, one)
    clip = ego4d.look(root).annotation(one.uid)
    for face in samples_turns.ON_SCREEN:
        person = clip.persons[face]
        turns = [[turn.start, turn.stop - 1] for turn in plan.turns if turn.speaker == face]
        assert person.voice.tolist() == turns
        frames = sorted(int(row[0]) for track in person.tracks.values() for row in track)
        assert frames == np.flatnonzero(plan.visible()[face]).tolist()
    unseen = clip.wearer_voice if one.wearer_talks else clip.persons[2].voice
    assert unseen.tolist() == [
        [turn.start, turn.stop - 1] for turn in plan.turns if turn.speaker == 2
    ]


def test_the_test_set_has_no_annotation(root):
    layout = ego4d.look(root)
    for uid in layout.ids["test"]:
        clip = layout.annotation(uid)
        assert clip.persons == ()
        assert clip.wearer_voice is None


def test_making_it_again_keeps_what_is_whole_and_gives_the_same_bytes(root, tmp_path):
    before = {
        path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    (root / "sample.json").unlink()
    video = next((root / "videos").iterdir())
    video.unlink()
    assert conversations.make(root.parent, trials=3, seconds=1.5, workers=1) == root
    assert {
        path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()
    } == before


def test_a_set_too_small_to_be_one_is_refused(tmp_path):
    with pytest.raises(InputError, match="1 conversations"):
        conversations.make(tmp_path, trials=1)
