"""Scores of speaker detection: known answers, and where the two of them differ."""

import numpy as np
import pandas as pd
import pytest

from lib.errors import InputError
from lib.speakers import files, metrics
from tests import pace


# speaker specification §3.3
@pytest.mark.parametrize(
    ("scores", "labels", "answer"),
    [
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 1, 0, 1], 0.791667),
        ([0.9, 0.8, 0.7, 0.6], [0, 0, 1, 1], 0.5),
        ([0.9, 0.8, 0.7], [1, 1, 0], 1.0),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [1, 0, 0, 1, 0], 0.45),
    ],
)
def test_ap_has_the_known_answers(scores, labels, answer):
    assert metrics.ava_ap(np.array(scores), np.array(labels)) == pytest.approx(answer, abs=1e-6)


def by_the_book(scores, labels):
    """AP as the speaker specification §3.3 spells it out, point by point."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits, points = 0, [(0.0, 0.0)]
    for rank, i in enumerate(order, 1):
        hits += labels[i]
        points.append((hits / sum(labels), hits / rank))
    points.append((1.0, 0.0))
    recall, precision = map(list, zip(*points, strict=True))
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def test_ap_is_that_of_the_definition_on_random_scores():
    generator = np.random.default_rng(0)
    for n in (1, 7, 200):
        scores, labels = generator.permutation(n) / n, np.append(generator.integers(0, 2, n - 1), 1)
        assert metrics.ava_ap(scores, labels) == pytest.approx(
            by_the_book(scores.tolist(), labels.tolist())
        )


def test_undefined_labels_do_not_count_and_without_a_speaker_there_is_no_ap():
    assert metrics.ava_ap(np.array([0.9, 0.8, 0.1]), np.array([-1, 1, 0])) == 1
    assert np.isnan(metrics.ava_ap(np.array([0.9, 0.8]), np.array([0, 0])))
    assert np.isnan(metrics.ava_ap(np.array([]), np.array([], int)))


def test_tied_scores_are_ordered_by_name_and_counted():
    scores, labels = np.array([0.5, 0.5, 0.1]), np.array([0, 1, 0])
    assert metrics.ava_ap(scores, labels, ["b", "a", "c"]) == 1
    assert metrics.ava_ap(scores, labels, ["a", "b", "c"]) == 0.5
    assert metrics.ties(scores) == 2


def test_a_labelled_face_without_a_score_is_an_error():
    with pytest.raises(InputError, match="1 labelled faces have no score"):
        metrics.ava_ap(np.array([np.nan, 0.5]), np.array([1, 0]))
    with pytest.raises(InputError, match="labels"):
        metrics.ava_ap(np.array([0.1, 0.5]), np.array([2, 0]))


def test_ten_times_the_faces_take_ten_times_as_long_not_a_hundred_times():
    generator = np.random.default_rng(0)
    labels = (generator.random(200_000) < 0.3).astype(int)
    scores = generator.random(200_000) + 0.5 * labels

    def scored(count):
        return metrics.ava_ap(scores[:count], labels[:count])

    assert pace.growth(scored, 20_000, 200_000) < 30
    assert 0.3 < metrics.ava_ap(scores, labels) < 1


def test_scores_of_a_run_have_an_interval_over_videos():
    generator = np.random.default_rng(0)
    labels = {
        f"{video}_{face}": generator.integers(-1, 2, 50) for video in range(9) for face in range(2)
    }
    predictions = {
        name: np.clip(values * 0.3 + generator.random(50) * 0.5, 0, 1)
        for name, values in labels.items()
    }
    videos = {name: name.split("_")[0] for name in labels}
    found = metrics.speaking_scores(labels, predictions, videos)
    low, high = found["ci95"]
    assert low <= found["ap"] <= high
    assert found["n_trials"] == 18
    assert found["n_frames"] == sum(int((values >= 0).sum()) for values in labels.values())
    assert "9 labelled trials" not in str(found)
    people = {f"{video}_0": "one person" for video in range(3)}
    joined = metrics.speaking_scores(labels, predictions, videos, subjects=people)
    assert (joined["ap"], joined["ci95"]) == (found["ap"], None)
    assert "7 subjects" in joined["why"], "three recordings of one person are one"
    few = metrics.speaking_scores({"a": np.array([1, 0])}, {"a": np.array([0.9, 0.1])})
    assert few["ci95"] is None
    assert few["accuracy"] == few["balanced_accuracy"] == 1


def test_probabilities_that_are_right_as_often_as_they_say_are_calibrated():
    probability = np.repeat([0.25, 0.75], 4)
    assert metrics.calibration_error(probability, np.array([1, 0, 0, 0, 1, 1, 1, 0])) == 0
    assert metrics.calibration_error(
        probability, np.array([0, 0, 0, 0, 1, 1, 1, 1])
    ) == pytest.approx(0.25)
    assert metrics.calibration_error(np.array([1.0, 0.0, 0.5]), np.array([0, 1, -1])) == 1
    assert np.isnan(metrics.calibration_error(np.array([0.5]), np.array([-1])))


def test_ap_by_size_and_by_number_of_faces_splits_all_faces():
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 0, 1])
    small = metrics.ap_by_size(scores, labels, np.array([10, 20, 200, 300]))
    assert small["faces"].tolist() == [2, 2]
    assert small["ap"].tolist() == [1.0, 0.5]
    faces = metrics.ap_by_faces(
        scores, labels, np.array(["a", "a", "b", "b"]), np.array([0, 0, 0, 1])
    )
    assert dict(zip(faces["faces a frame"], faces["ap"], strict=True)) == {1: 0.5, 2: 1.0}


def test_the_breakdown_of_trials_counts_faces_of_one_frame_and_one_recording_together():
    boxes = {
        name: np.full((2, 4), width)
        for name, width in (("a_1", 40.0), ("a_2", 40.0), ("b_1", 300.0))
    }
    labels = {"a_1": np.array([1, 0]), "a_2": np.array([0, -1]), "b_1": np.array([0, 0])}
    scores = {
        "a_1": np.array([0.9, 0.1]),
        "a_2": np.array([0.95, 0.1]),
        "b_1": np.array([0.5, 0.5]),
    }
    found = metrics.breakdown(labels, scores, boxes, {"a_1": "a", "a_2": "a", "b_1": "b"})
    assert [row["faces"] for row in found["by_size"]] == [3, 2]
    assert found["by_size"][1]["ap"] is None
    assert {row["faces a frame"]: row["faces"] for row in found["by_faces"]} == {1: 3, 2: 2}
    assert found["by_faces"][1]["ap"] == 0.5


# ---- Ego4D's

FACE = [0, 0, 9, 9]


def test_every_speaker_found_first_gives_a_map_of_one():
    truth = {"v": np.array([[0, *FACE], [1, *FACE]])}
    found = {"v": np.array([[0, *FACE, 0.9], [1, *FACE, 0.8], [2, *FACE, 0.1]])}
    assert metrics.ego4d_map(found, truth) == 1


def test_a_speaker_that_was_not_found_costs_recall_and_a_face_without_speaker_precision():
    truth = {"v": np.array([[0, *FACE], [1, *FACE]])}
    assert metrics.ego4d_map({"v": np.array([[0, *FACE, 0.9]])}, truth) == 0.5
    first_wrong = {"v": np.array([[5, *FACE, 0.9], [0, *FACE, 0.8], [1, *FACE, 0.7]])}
    assert metrics.ego4d_map(first_wrong, truth) == pytest.approx(2 / 3)


def test_a_second_detection_of_a_speaker_is_wrong_and_overlap_counts_pixels_inclusively():
    truth = {"v": np.array([[0, *FACE]])}
    # The first hit counts, the second one comes after it and costs nothing.
    assert metrics.ego4d_map({"v": np.array([[0, *FACE, 0.5], [0, 1, 0, 10, 9, 0.9]])}, truth) == 1
    twice = {"v": np.array([[0, *FACE, 0.9], [0, 1, 0, 10, 9, 0.8], [1, *FACE, 0.7]])}
    assert metrics.ego4d_map(twice, {"v": np.array([[0, *FACE], [1, *FACE]])}) == pytest.approx(
        (1 + 2 / 3) / 2
    )
    # 10×10 against 10×5: 50 of 100 pixels, just enough; one row less is not.
    assert metrics.ego4d_map({"v": np.array([[0, 0, 0, 9, 4, 0.9]])}, truth) == 1
    assert metrics.ego4d_map({"v": np.array([[0, 0, 0, 9, 3, 0.9]])}, truth) == 0


def test_frames_and_videos_are_not_mixed_up():
    truth = {"v": np.array([[0, *FACE]]), "w": np.zeros((0, 5))}
    found = {"v": np.array([[1, *FACE, 0.9]]), "w": np.array([[0, *FACE, 0.9]])}
    assert metrics.ego4d_map(found, truth) == 0
    with pytest.raises(InputError, match="not a number"):
        metrics.ego4d_map({"v": np.array([[0, *FACE, np.nan]])}, truth)


def slow_map(found, truth):
    """PASCAL's matching as the speaker specification §1.5 spells it out, box by box."""
    rows = sorted(
        ((video, *row) for video, some in found.items() for row in some), key=lambda row: -row[-1]
    )
    used, hits = set(), []
    for video, frame, *box, _ in rows:
        best, owner = -1.0, None
        for index, (other, *there) in enumerate(truth[video]):
            if other == frame:
                wide = min(box[2], there[2]) - max(box[0], there[0]) + 1
                high = min(box[3], there[3]) - max(box[1], there[1]) + 1
                area = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, there)]
                both = wide * high if wide > 0 and high > 0 else 0
                if both / (sum(area) - both) > best:
                    best, owner = both / (sum(area) - both), (video, index)
        hits.append(best >= 0.5 and owner not in used)
        used |= {owner} if best >= 0.5 else set()
    positives = sum(map(len, truth.values()))
    return (
        by_the_book(
            [-i for i in range(len(hits) + positives - sum(hits))],
            [int(hit) for hit in hits] + [0] * (positives - sum(hits)),
        )
        * sum(hits)
        / positives
    )


def test_map_is_that_of_the_definition_on_random_boxes():
    generator = np.random.default_rng(1)
    found, truth = {}, {}
    for video in "ab":
        faces = generator.integers(0, 60, (40, 2))
        frames = generator.integers(0, 15, 40)
        boxes = np.concatenate([faces, faces + generator.integers(10, 20, (40, 2))], axis=1)
        truth[video] = np.column_stack([frames, boxes])
        moved = boxes + generator.integers(-3, 4, boxes.shape)
        found[video] = np.column_stack([frames, moved, generator.permutation(40) / 40])
    assert 0 < slow_map(found, truth) < 1
    assert metrics.ego4d_map(found, truth) == pytest.approx(slow_map(found, truth))


# ---- files


def ava(scores=(0.9, 0.2)):
    box = [0.1, 0.1, 0.3, 0.3]
    rows = [
        ["v", "0.04", *box, "SPEAKING_AUDIBLE", "v:0"],
        ["v", "0.08", *box, "NOT_SPEAKING", "v:0"],
    ]
    table = pd.DataFrame(rows, columns=list(files.AVA_COLUMNS))
    return table.assign(score=scores)


def test_ava_files_are_read_as_they_were_written_and_scored_in_any_order(tmp_path):
    path = files.write_ava(tmp_path / "p.csv", ava().iloc[::-1])
    found = files.read_ava(path, scores=True)
    assert set(found["label"]) == {"SPEAKING_AUDIBLE"}
    assert files.ava_ap(ava(), found) == {"ap": 1.0, "ties": 0, "n_frames": 2}


def test_the_real_ava_style_file_is_read(tmp_path):
    from tests.shared_files import shared

    table = files.read_ava(shared("media/grid_dialogue_2faces-activespeaker.csv"))
    assert len(table) == 600
    perfect = table.assign(
        score=(table["label"] == "SPEAKING_AUDIBLE") * 1.0, label="SPEAKING_AUDIBLE"
    )
    assert files.ava_ap(table, perfect)["ap"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:1], "1 faces are in one file only"),
        (lambda t: t.assign(x1=t["x1"] + 0.01), "the boxes of 2 faces differ"),
    ],
)
def test_predictions_that_do_not_match_face_by_face_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        files.ava_ap(ava(), change(ava().assign(label="SPEAKING_AUDIBLE")))


def test_a_prediction_of_another_label_than_avas_is_refused():
    with pytest.raises(InputError, match="predictions of NOT_SPEAKING"):
        files.ava_ap(ava(), ava())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v,0.04,a,0,1,1,NOT_SPEAKING,e\n", "not a number"),
        ("v,0.04,0,0,1,1,MUMBLING,e\n", "label 'MUMBLING'"),
        ("v,0.04,0,0,1\n", "5 columns"),
        ("v,0.04,0,0,1,nan,NOT_SPEAKING,e\n", "not finite"),
        ("v,0.04,0,0,1,1,NOT_SPEAKING,e\n" * 2, "twice"),
    ],
)
def test_a_bad_line_of_an_ava_file_is_named(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        files.read_ava(tmp_path / "a.csv")


def test_ego4d_files_are_read_as_they_were_written_and_scored(tmp_path):
    found = pd.DataFrame(
        {
            "frame": [0, 1],
            "pid": ["1", "2"],
            "x1": [0.0, 0],
            "y1": [0.0, 0],
            "x2": [9.0, 9],
            "y2": [9.0, 9],
            "score": [1.2345678, -3.5],
            "label": [1, 0],
        }
    )
    path = files.write_ego4d(tmp_path / "results" / "0.txt", found)
    assert path.read_text().splitlines()[0] == "0 1 0 0 9 9 1.2345678 1"
    pd.testing.assert_frame_equal(files.read_ego4d(path).astype({"label": int}), found)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "0.txt").write_text("0 1 0 0 9 9 1\n1 2 0 0 9 9 0\n")
    assert files.ego4d_map(tmp_path / "results", tmp_path / "truth", ["0"]) == 1
    with pytest.raises(InputError, match="clip 7 has no result"):
        files.ego4d_map(tmp_path / "results", tmp_path / "truth", ["7"])


def test_a_clip_without_a_face_has_an_empty_file(tmp_path):
    for folder, text in (("results", ""), ("truth", "0 1 0 0 9 9 1\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.txt").write_text(text)
    assert files.ego4d_map(tmp_path / "results", tmp_path / "truth", ["0"]) == 0
