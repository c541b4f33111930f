"""One label per recording from any streams: rows at the same times, recordings that lack sound or a
face, weights of classes; and the voice alone as it was before there were others.
"""

import numpy as np
import pytest
import torch

from lib import arrays, models
from lib.errors import InputError
from lib.evaluation import checkpoint, prediction, voices
from lib.experiments import bookkeeping
from lib.features import statistics, voice
from lib.models import forward
from lib.recipes.utterance import balanced
from lib.store import request
from lib.training import augmentation
from lib.training.trainer import Trainer
from tests import tiny_utterances
from tests.tiny_set import one_thread  # noqa: F401
from tests.tiny_utterances import CLASSES, FPS, SLOW, SPEED, frames

BOTH = ["face_api", "voice"]
FILE = {"rates": [0.0, 0.0, 10.0], "files_of": {"mine.npy": "faces"}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tiny_utterances.make(tmp_path_factory.mktemp("utterances"))
    method = recipe(root, ["face_api", "voice", "mine.npy"], options=FILE)
    for row in tiny_utterances.table(root).to_dict("records"):
        arrays.make_all(row, [method._items[-1]], method.store)
    return root


def recipe(root, features, **changes):
    return tiny_utterances.recipe(root, features, **changes)


def fitted(root, features, **changes):
    method = recipe(root, features, **changes)
    method.statistics = method.fit(method.windows(learnt_from(method), 0))
    return method


def learnt_from(method):
    """The training trials all of whose arrays are there."""
    table = tiny_utterances.table(method.store.data_root.parent)
    usable, _ = bookkeeping.usable(table, method.arrays(), method.store)
    return usable[usable["split"] == "train"]


def window(method, trial):
    windows = method.windows(tiny_utterances.table(method.store.data_root.parent))
    return next(one for one in windows.itertuples(index=False) if one.trial == trial)


# ---- rows at the same times


@pytest.fixture(scope="module")
def four(tiny):
    """The recipe on four streams."""
    options = {**FILE, "encoders": {"slow": SLOW}}
    return fitted(tiny, ["face_api", "voice", "mine.npy", "slow"], options=options)


@pytest.mark.parametrize("speed", [1.0, SPEED])
@pytest.mark.parametrize("trial", ["plain_1", "silent", "blind", "faceless"])
def test_streams_of_any_rate_have_a_row_where_the_voice_has_one_and_say_where_they_were_seen(
    four, trial, speed
):
    method = four
    rows, seen = method._joined(trial, speed)
    count, heard, filmed = frames(trial), trial != "silent", trial != "blind"
    if heard:
        moments = [0.1 + n * speed / 50 for n in range(len(method.rows(trial, speed)))]
    else:  # as far apart as those of a voice
        moments = [n * speed / 50 for n in range(int(count / FPS / (speed / 50)))]
    assert len(rows) == len(moments) > 20
    mine = np.asarray(method.read(trial, method._streams["mine.npy"]))
    for row, moment in enumerate(moments):
        frame = min(range(count), key=lambda k: abs(k / FPS - moment))
        found = filmed and trial != "faceless" and frame % 4 != 1
        own = not filmed or found  # a file needs no picture
        assert list(seen[row]) == [heard, found, own, found], (row, moment)
        for first, width, known in ((0, 75, heard), (75, 256, found), (331, 2, own)):
            assert known or not rows[row, first : first + width].any()
        if own:
            told = method.statistics["stream mine.npy"]
            expected = (mine[frame] - told["mean"]) / told["std"]
            np.testing.assert_allclose(rows[row, 331:333], expected, rtol=1e-4, atol=1e-5)
        if found:
            raw = method.read(trial, method._streams["slow"])[int(frame / FPS * 5 + 1e-6)]
            told = method.statistics["stream slow"]
            expected = (raw - told["mean"]) / told["std"]
            np.testing.assert_allclose(rows[row, 333:], expected, rtol=1e-4, atol=1e-5)
            raw = method.read(trial, method._streams["face_api"])[frame]
            told = method.statistics["stream face_api"]
            expected = (raw - told["mean"]) / told["std"]
            np.testing.assert_allclose(rows[row, 75:331], expected, rtol=1e-3, atol=1e-4)


def test_without_a_voice_there_is_a_row_per_frame_and_speeds_leave_some_out(tiny):
    method = fitted(tiny, ["mfcc39"], modality="audio")
    trial, told = "plain_3", method.statistics["stream mfcc39"]
    raw = np.asarray(method.read(trial, request("mfcc39")))
    expected = (raw - told["mean"]) / told["std"]
    rows, seen = method._joined(trial, 1.0)
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert seen.all()
    faster = [int(k * 2) for k in range(frames(trial) // 2)]
    np.testing.assert_allclose(method._joined(trial, 2.0)[0], expected[faster], atol=1e-5)
    assert method._bands == 0
    assert method.row().startswith("one row per video frame")


# ---- rows that are neither the voice's nor the frames'


def nearest_of(method, trial, moment, **told):
    """The row of `mfcc_chroma` that is nearest to a moment, and its number."""
    asked = request("mfcc_chroma", **told)
    facts, rows = method.facts(trial, asked), method.read(trial, asked)
    number = min(range(len(rows)), key=lambda k: abs(facts["t0"] + k / facts["rate"] - moment))
    return np.asarray(rows[number]), number


@pytest.mark.parametrize("speed", [1.0, SPEED])
def test_cepstra_and_chroma_alone_have_their_own_rows_made_of_the_sound_at_each_speed(tiny, speed):
    method = fitted(tiny, ["mfcc_chroma"], modality="audio")
    told = {} if speed == 1 else {"speed": speed}
    assert request("mfcc_chroma", **told) in method.arrays()
    raw = np.asarray(method.read("plain_2", request("mfcc_chroma", **told)))
    mean, std = (np.array(method.statistics["stream mfcc_chroma"][k]) for k in ("mean", "std"))
    rows, seen = method._joined("plain_2", speed)
    np.testing.assert_allclose(rows, (raw - mean) / std, atol=1e-5)
    assert seen.all()
    assert method._bands == 0
    assert method.row() == "one row per 42.7 ms of a recording"


def test_what_is_padded_of_cepstra_and_chroma_is_masked_and_changes_no_prediction(tiny):
    method = fitted(tiny, ["mfcc_chroma"], modality="audio", options={"network": "res_lstm_sa"})
    torch.manual_seed(0)
    net = method.model().eval()
    assert net.channels == 46
    short, long = (method.example(window(method, trial)) for trial in ("plain_0", "plain_5"))
    both, alone = method.collate([short, long]), method.collate([short])
    assert len(short["features"]) < len(long["features"])
    assert not both["valid"][0, len(short["features"]) :].any()
    with torch.no_grad():
        together, apart = (net(batch)["expression"][0] for batch in (both, alone))
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=1e-5)


def test_beside_a_face_the_rows_are_those_of_the_sound_and_without_sound_as_far_apart(tiny):
    method = fitted(tiny, ["face_api", "mfcc_chroma"])
    rows, seen = method._joined("plain_1", SPEED)
    facts = method.facts("plain_1", request("mfcc_chroma", speed=SPEED))
    assert len(rows) == facts["shape"][0]
    for row in range(len(rows)):
        moment = facts["t0"] + row / facts["rate"]
        frame = min(range(frames("plain_1")), key=lambda k: abs(k / FPS - moment))
        assert list(seen[row]) == [frame % 4 != 1, True]
    without = method._joined("silent", SPEED)[1]
    assert len(without) == int(frames("silent") / FPS / (683 / 16_000 * SPEED))
    assert not without[:, 1].any()


def test_beside_the_voice_a_frame_has_the_row_of_the_sound_that_is_nearest_to_it(tiny):
    method = fitted(tiny, ["voice", "mfcc_chroma"], modality="audio")
    item = method._streams["mfcc_chroma"]
    found, numbers = method._rows("plain_4", item), []
    assert len(found) == frames("plain_4")
    for frame, row in enumerate(found):
        right, number = nearest_of(method, "plain_4", frame / FPS)
        np.testing.assert_array_equal(row, right)
        numbers.append(number)
    assert len(set(numbers)) > 20
    assert request("mfcc_chroma", speed=SPEED) not in method.arrays()
    rows, seen = method._joined("plain_4", 1.0)
    assert rows.shape == (len(method.rows("plain_4")), 75 + 46)
    assert seen.all()


def test_no_encoder_has_the_name_of_an_array_of_the_sound(tiny):
    with pytest.raises(InputError, match="an encoder with the name mfcc_chroma"):
        recipe(tiny, ["mfcc_chroma"], options={"encoders": {"mfcc_chroma": SLOW}}).arrays()


# ---- what is learnt from which streams

CASES = {
    "pictures": (["face_api"], "video", {}),
    "both": (BOTH, "audiovisual", {"task": "va"}),
    "both, lstm": (BOTH, "audiovisual", {"network": "res_lstm_sa"}),
    "both, gated": (BOTH, "audiovisual", {"network": "gated_utterance"}),
    "sound of both": (
        [*BOTH, "mfcc39", "egemaps"],
        "audio",
        {"class_weights": "balanced", "network": "gated_utterance", "streams": ["melody"]},
    ),
}
# What is said of the recordings that lack something, and those that are not there for it.
SAID = {
    "video": ({"faceless": "no face was found: nothing to learn or"}, {"blind"}),
    "audio": ({}, {"silent"}),
    "audiovisual": (
        dict.fromkeys(["silent", "blind", "faceless"], ": the other streams say all"),
        set(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_learns_from_what_there_is_says_what_is_not_and_predicts_the_same_from_its_file(
    tiny, tmp_path, name
):
    features, modality, options = CASES[name]
    method = recipe(tiny, features, modality=modality, epochs=1, options=options)
    said, lost = SAID[modality]
    usable, missing = bookkeeping.usable(tiny_utterances.table(tiny), method.arrays(), method.store)
    assert {trial for trial, _ in missing} == lost
    trainer = Trainer(method, usable, tmp_path / "run")
    assert np.isfinite(trainer.fit()["loss"]).all()
    notes = "\n".join(trainer.notes)
    for trial, words in said.items():
        assert any(trial in line and words in line for line in notes.splitlines()), notes
    assert ("class_weights balanced: " in notes) == ("class_weights" in options)
    predictor = checkpoint.load(tmp_path / "run/checkpoints/best.pt", method.params, method.store)
    windows = method.windows(usable[usable["trial"].isin(["plain_0", *said])])
    together = forward.predict(trainer.model, method, windows, trainer.device)[method.task]
    for trial, expected in zip(windows["trial"], together, strict=True):
        alone = predictor.predict(trial)
        np.testing.assert_allclose(alone[method.task][0], expected, atol=1e-4)
        rows = prediction.prediction_table(predictor, trial, alone)
        words = said.get(trial, "")
        assert words in rows.get("note", {0: ""})[0]
        assert rows.filter(regex="^(expression|valence)$").notna().all(axis=None)


def test_a_recording_that_shows_nothing_is_predicted_and_not_learnt_from(tiny):
    method = fitted(tiny, ["face_api"], modality="video")
    table = tiny_utterances.table(tiny)[lambda rows: rows["trial"] != "blind"]
    assert "faceless" not in set(method.windows(table, 0)["trial"])
    assert "faceless" in set(method.windows(table)["trial"])
    batch = method.collate(
        [method.example(window(method, trial)) for trial in ("faceless", "plain_0")]
    )
    assert batch["valid"].any(dim=1).tolist() == [False, True]
    assert not batch["features"][0].any()


def test_of_a_recording_without_a_picture_no_face_is_asked_for_and_that_is_told(tiny):
    method = recipe(tiny, BOTH)
    rows = {row["trial"]: row for row in tiny_utterances.table(tiny).to_dict("records")}
    asked = {name: arrays.of_trial(row, method.arrays()) for name, row in rows.items()}
    assert {"face_api", "face_valid"} & {item.name for item in asked["blind"]} == set()
    assert "voice" not in {item.name for item in asked["silent"]}
    assert len(asked["plain_0"]) == len(method.arrays())
    made = arrays.make_all(rows["blind"], arrays.of_step(method.arrays(), "visual"), method.store)
    told = {row["array"].split("(")[0]: (row["state"], row["note"]) for row in made}
    words = "the recording has no picture: done without"
    assert told["face_api"] == told["face_valid"] == ("not possible", words)
    assert told["time"][0] == "there"
    face = method._streams["face_api"]
    networks = [
        arrays.needs_network(rows[name], face, method.store) for name in ("plain_0", "blind")
    ]
    assert networks == [True, False]
    assert not method.needs_sound
    assert recipe(tiny, ["voice"], modality="audio").needs_sound


def test_what_is_mixed_into_a_recording_shows_nothing_that_it_does_not(tiny):
    method = fitted(tiny, BOTH, options={"mixup_share": 1.0, "mixup": 1.0})
    given = [method.example(window(method, trial)) for trial in ("silent", "blind", "plain_2")]
    batch = method.collate(given, np.random.default_rng(0))
    assert not batch["features"][0, :, :75].any()
    assert not batch["features"][1, :, 75:].any()
    assert (batch["features"] != method.collate(given)["features"]).any()


def test_gates_see_which_stream_a_recording_lacks(tiny):
    method = fitted(tiny, BOTH, options={"network": "gated_utterance", "streams": ["melody"]})
    assert list(method.model().streams) == ["melody", "face_api"]
    given = [method.example(window(method, trial)) for trial in ("silent", "blind", "plain_2")]
    batch = method.collate(given)
    seen = torch.stack([batch[f"seen_{name}"].any(dim=1) for name in ("melody", "face_api")])
    assert seen.tolist() == [[False, True, True], [True, False, True]]
    assert set(method.normalisation()) == {"stream_melody", "stream_face_api", "reliability"}
    assert len(method.normalisation()["stream_face_api"]["mean"]) == 256


def test_a_training_on_pictures_and_sound_that_was_interrupted_ends_with_the_same_numbers(
    tiny, tmp_path
):
    table = tiny_utterances.table(tiny)
    whole = Trainer(recipe(tiny, BOTH), table, tmp_path / "whole")
    whole.fit()
    first = Trainer(recipe(tiny, BOTH), table, tmp_path / "run", [lambda history: 1 / 0])
    with pytest.raises(ZeroDivisionError):  # after the first epoch
        first.fit()
    second = Trainer(recipe(tiny, BOTH), table, tmp_path / "run")
    second.fit()
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, rtol=0, atol=0)


# ---- weights of classes


def test_balanced_classes_count_alike_and_the_loss_is_that_of_a_plain_loop(tiny):
    method = recipe(tiny, ["voice"], options={"class_weights": "balanced", "prior": 0.0})
    counts, classes = [5, 0, 2], range(CLASSES)
    weights = [7 / (2 * 5), 1.0, 7 / (2 * 2)]
    np.testing.assert_allclose(balanced(np.array(counts)), weights)
    method.statistics = {"counts": counts, "class_weights": weights}
    logits = torch.tensor([[0.3, -1.0, 2.0], [1.5, 0.2, -0.7]])
    target = torch.tensor([[0.0, 0.0, 1.0], [0.75, 0.0, 0.25]])  # the second one was mixed
    expected = 0.0
    for row in range(2):
        total = sum(np.exp(float(logits[row, k])) for k in classes)
        for k in classes:
            share = 0.9 * float(target[row, k]) + 0.1 / CLASSES  # smoothing: 0.1
            expected -= weights[k] * share * np.log(np.exp(float(logits[row, k])) / total) / 2
    found = method.loss({"expression": logits}, {"target": target})["total"].item()
    assert found == pytest.approx(expected, rel=1e-5)
    del method.statistics["class_weights"]
    assert method.loss({"expression": logits}, {"target": target})["total"].item() != pytest.approx(
        expected, rel=1e-2
    )
    trained = fitted(tiny, ["voice"], modality="audio", options={"class_weights": "balanced"})
    told = trained.statistics
    mean = np.dot(told["counts"], told["class_weights"]) / sum(told["counts"])
    assert mean == pytest.approx(1)


# ---- the voice alone


def as_before(method, windows, epoch):
    """A batch as it was made when nothing but the voice could be read."""
    options, generators = method.params.options, []
    rows, targets = [], []
    for number, one in enumerate(windows):
        draw = np.random.default_rng([method.params.seed, epoch, 3, number])
        speed = options["speeds"][draw.integers(len(options["speeds"]))]
        asked = request("voice") if speed == 1 else request("voice", speed=speed)
        given = np.array(arrays.read(method.trial(one.trial), asked, method.store))
        given = statistics.normalised(given, method.statistics["voice"])
        amounts = (options["masks"], options["band_mask"], options["time_mask"])
        augmentation.mask(given, voice.BANDS, draw, *amounts)
        rows.append(given)
        targets.append((np.arange(CLASSES) == tiny_utterances.label(one.trial)).astype(np.float32))
        generators.append(draw)
    features = np.zeros((len(rows), max(map(len, rows)), voice.COLUMNS), np.float32)
    valid = np.zeros(features.shape[:2], bool)
    for number, given in enumerate(rows):
        features[number, : len(given)], valid[number, : len(given)] = given, True
    target, draw = np.stack(targets), np.random.default_rng([method.params.seed, epoch, 3, 0, 1])
    if draw.random() < options["mixup_share"]:
        share = draw.beta(options["mixup"], options["mixup"])
        share, other = np.float32(max(share, 1 - share)), draw.permutation(len(features))
        features = (share * features + (1 - share) * features[other]) * valid[..., None]
        target = share * target + (1 - share) * target[other]
    return {"features": features, "valid": valid, "target": target}


def test_the_voice_alone_is_learnt_from_as_before_to_the_last_bit(tiny):
    method = fitted(tiny, ["voice"], modality="audio", options={"mixup": 1.0})
    table, mixed = learnt_from(method), set()
    for epoch in range(5, 8):  # some of which are mixed
        windows = list(method.windows(table, epoch).itertuples(index=False))
        numbers = [method.params.seed, epoch, 3]
        draws = [np.random.default_rng([*numbers, number]) for number in range(len(windows))]
        given = [method.example(*each) for each in zip(windows, draws, strict=True)]
        batch = method.collate(given, np.random.default_rng([*numbers, 0, 1]))
        expected = as_before(method, windows, epoch)
        assert set(batch) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(batch[name].numpy(), values, err_msg=name)
        mixed.add(bool((batch["target"] % 1).any()))
    assert mixed == {True, False}


def test_the_voice_alone_asks_for_the_same_arrays_and_begins_with_the_same_weights(tiny):
    method = fitted(tiny, ["voice"], modality="audio")
    assert method.params.options["class_weights"] == "none"
    speed = request("voice", speed=SPEED)
    label = request("expression", mismatch="fit")
    assert method.arrays() == [request("time"), label, request("voice"), speed]
    assert set(method.statistics) == {"voice", "counts"}
    rows = np.concatenate([method.rows(trial) for trial in learnt_from(method)["trial"]])
    means = np.nanmean(rows.astype(np.float64), axis=0)
    np.testing.assert_allclose(method.statistics["voice"]["mean"], means, rtol=1e-12)
    torch.manual_seed(3)
    sizes = {"output": "expression", "width": 0.125, "classes": CLASSES, "dropout": 0.2}
    expected = models.create("utterance", channels=75, bands=64, **sizes).state_dict()
    torch.manual_seed(3)
    for name, weight in method.model().state_dict().items():
        assert torch.equal(weight, expected[name]), name


# ---- what is refused


@pytest.mark.parametrize(
    ("features", "changes", "words"),
    [
        (["voice"], {"modality": "video"}, "modality: video, and no stream of it"),
        (["voice", "mine.npy"], {}, "whether mine.npy shows faces or sound is not known"),
        (["voice", "voice"], {}, "features: voice, voice"),
        (["voise"], {}, "did you mean voice"),
        (["voice", "mfcc39"], {"rules": "published"}, "rules: published"),
        (["voice"], {"options": {"encoders": {"voice": SLOW}}}, "an encoder with the name voice"),
        (["voice"], {"options": {"rates": [25.0]}}, "rates: 25.0 for voice, which is no file"),
        (["voice"], {"options": {"times": ["", "t.npy"]}}, "times: t.npy, and there are 1 names"),
        (["voice"], {"options": {"files_of": {"a.npy": "sound"}}}, "files_of: a.npy, which is not"),
        (
            ["voice", "slow"],
            {"options": {"encoders": {"slow": {**SLOW, "average": True, "layers": [1, 2]}}}},
            "`average` of the encoder slow",
        ),
        (
            ["voice"],
            {"options": {"task": "va", "class_weights": "balanced"}},
            "class_weights: balanced with task: va",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_is_made(tiny, features, changes, words):
    with pytest.raises(InputError, match=words):
        recipe(tiny, features, **changes).arrays()


def test_a_run_that_reads_more_than_a_voice_is_no_voice_run(tiny, tmp_path):
    method = recipe(tiny, ["mfcc39"], modality="audio", epochs=1)
    usable, _ = bookkeeping.usable(tiny_utterances.table(tiny), method.arrays(), method.store)
    Trainer(method, usable, tmp_path / "runs" / "more").fit()
    with pytest.raises(
        InputError, match="a run of the recipe utterance for expression from mfcc39"
    ):
        voices._reader({"voice_run": "more", "runs_root": tmp_path / "runs"})
