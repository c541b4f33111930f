"""`rules: published` reaches windows, sound, network, labels, loss, rate and post-processing of the
recipes.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.errors import InputError
from lib.evaluation import scores
from lib.features import mel, published_sound, windows
from lib.recipes import jca
from lib.store import request
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

JCA = {"rules": "published", "steps": 16, "step_hop": 32, "audio_seconds": 0.0}
FAMILY = ["jca", "rjca", "dca", "jca_paper"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def with_sound(tmp_path_factory):
    """The set with waveforms in it; what is made from them by name only is no longer found
    there.
    """
    root = tiny_set.make(tmp_path_factory.mktemp("sound"))
    for _, video, _, n_frames in tiny_set.TRIALS:
        noise = (
            np.random.default_rng(n_frames).normal(size=int(n_frames / tiny_set.FPS * mel.RATE))
            * 3000
        )
        tiny_set.write(
            tiny_set.store(root),
            video,
            request("audio_44k", rate=mel.RATE),
            noise.astype(np.int16),
            t0=0.02,
            rate=mel.RATE,
        )
    return root


@pytest.fixture
def long(tiny, monkeypatch):
    """A recipe of one trial of 513 frames, labelled but for frames 100 to 119 and 200 to 259."""
    method = tiny_set.create("jca", tiny, **JCA)
    va = np.tile(np.linspace(-1, 1, 513, dtype=np.float32)[:, None], 2)
    va[100:120] = va[200:260] = np.nan
    monkeypatch.setattr(method, "n_frames", lambda trial: 513)
    monkeypatch.setattr(method, "labels", lambda trial, task: va)
    return method


ONE = pd.DataFrame({"trial": ["long"], "split": ["train"]})


# ---- windows and labels


def test_training_windows_are_those_of_the_closed_form(long):
    found = long.windows(ONE, 0)
    rows = np.isfinite(long.labels("long", "va")).all(axis=1)
    expected = windows.published_sequences(513, True, rows)
    assert len(found) == len(expected) < 32
    assert (found["first_target"].to_numpy() == expected[:, 0]).all()
    assert (found["n_targets"] == 16).all()


def test_every_frame_is_predicted_once_and_what_lies_beyond_the_trial_is_not(long):
    found = long.windows(ONE)
    outputs = {"va": np.ones((len(found), 16, 2), np.float32)}
    targets = np.concatenate(
        [row.first_target + 32 * np.arange(row.n_targets) for row in found.itertuples()]
    )
    assert sorted(targets) == list(range(513))
    assert np.isfinite(long.assemble(found, outputs, 513)["va"]).all()


def test_the_label_of_a_target_is_the_last_one_in_its_32_frames(long):
    rows = long._labels_of("long", np.array([99, 110, 119, 230, 250]))
    expected = long.labels("long", "va")[[99, 99, 99, 199, 199]]
    assert np.array_equal(rows[:4], expected[:4])
    assert np.isnan(rows[4]).all()  # 250 − 31 = 219: nothing labelled there


def test_other_steps_or_too_short_trials_are_refused_in_words(tiny):
    with pytest.raises(InputError, match="steps 4, step_hop 8"):
        tiny_set.create("jca", tiny, rules="published").windows(tiny_set.table(tiny))
    method = tiny_set.create("jca", tiny, **JCA)
    with pytest.raises(InputError, match="no training window") as told:
        method.windows(tiny_set.table(tiny), 0)
    assert "481 frames" in told.value.expected


# ---- network, blanks, loss, rate


@pytest.mark.parametrize("name", FAMILY)
def test_the_network_is_the_published_one_and_predicts_every_frame_of_a_short_trial(tiny, name):
    method = tiny_set.create(name, tiny, **JCA)
    model = method.model().eval()
    assert model.compat
    found = method.windows(pd.DataFrame({"trial": ["short"]}))
    batch = method.collate([method.example(row) for row in found.itertuples(index=False)])
    with torch.inference_mode():
        values = method.assemble(
            found, {"va": model(batch)["va"].numpy()}, method.n_frames("short")
        )["va"]
    assert np.isfinite(values).all()


def test_steps_beyond_a_trial_are_black_and_silent_not_masked(tiny):
    method = tiny_set.create("jca", tiny, **JCA)
    item = method.example(
        next(method.windows(pd.DataFrame({"trial": ["short"]})).itertuples(index=False))
    )
    assert item["valid"].tolist() == [True] + [False] * 15
    assert (item["visual"][1:] == -7).all()
    assert (item["audio"][1:] == -9).all()
    wanted = {each.name for each in method.arrays()}
    assert {"backbone_blank", "backbone_silence"} <= wanted


def test_the_rate_jumps_as_the_authors_log_shows_and_only_then(tiny):
    published, corrected = tiny_set.create("jca", tiny, **JCA), tiny_set.create("jca", tiny)
    assert [round(published.rate_factor(epoch), 3) for epoch in range(5, 11)] == [
        1,
        10,
        8,
        8,
        6.4,
        6.4,
    ]
    assert all(corrected.rate_factor(epoch) == 1 for epoch in range(50))
    assert "171" in jca.SKIPPED


@pytest.mark.parametrize("name", ["jca", "tsav"])
def test_the_loss_takes_unbiased_moments(tiny, name):
    torch.manual_seed(0)
    outputs = {"va": torch.randn(4, 16, 2) if name == "jca" else torch.randn(8, 2)}
    batch = {"va": torch.rand_like(outputs["va"]), "valid": torch.ones(4, 16, dtype=torch.bool)}
    options = {"options": {"tasks": ["va"]}} if name == "tsav" else {}
    found = [
        float(
            tiny_set.create(
                name, tiny, va_loss="ccc", rules=rules, steps=16, step_hop=32, **options
            ).loss(outputs, batch)["total"]
        )
        for rules in ("corrected", "published")
    ]
    assert found[0] != found[1]
    assert found[0] == pytest.approx(found[1], abs=0.1)


# ---- sound


def test_jca_hears_31_frame_intervals_and_the_first_two_frames_the_same():
    times = np.arange(200) / 30
    found = [published_sound.span(times, frame - 1) for frame in (1, 2, 32, 33, 101)]
    expected = [(0, 0.0333), (0, 0.0333), (0, 1.0333), (0.0333, 1.0667), (2.3, 3.3333)]
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("fps", "columns"), [(30, 104), (60, 104), (15, 207), (24, 130), (25, 125)]
)
def test_the_columns_of_a_segment_depend_on_the_frame_rate(fps, columns):
    times = np.arange(100) / fps
    waveform = np.random.default_rng(0).normal(size=8 * mel.RATE).astype(np.float32)
    assert published_sound.longest(times) == columns
    assert published_sound.segment(waveform, *published_sound.span(times, 60)).shape == (
        64,
        columns,
    )
    found = published_sound.segments(waveform, times, [0, 60], columns)
    assert found.shape == (2, 1, 64, columns)
    assert (
        found[0, 0, :, : columns - 104] == 0
    ).all()  # filled up after normalisation: not silence
    assert np.allclose(published_sound.silence(columns)[0, 0, :, -104:], -4.2825, atol=1e-4)


def test_sound_is_padded_or_cut_until_it_starts_with_the_picture():
    waveform = np.arange(1, 1001, dtype=np.float32)
    late = published_sound.anchored(waveform, 0.1, 0.0)
    assert len(late) == 1000 + 4410
    assert not late[:4410].any()
    assert published_sound.anchored(waveform, 0.0, 0.01)[0] == 442


def test_tsav_cuts_its_sound_as_published(with_sound):
    method = tiny_set.create("tsav", with_sound, rules="published")
    row = next(
        row
        for row in method.windows(pd.DataFrame({"trial": ["seen"]})).itertuples()
        if row.first_target == 20
    )
    heard = method.read("seen", request("audio_44k", rate=mel.RATE)) / np.float32(32767)
    shifted = np.concatenate([np.zeros(882, np.float32), heard])  # t0 is 0.02 s
    assert np.allclose(
        method.example(row)["mel"], mel.published_segment(shifted, 0.8, 0.5), atol=1e-5
    )
    assert "mel" not in {each.name for each in method.arrays()}
    assert method.decide("action_units", np.array([[0.4, 0.5, 0.6]])).tolist() == [[0, 0, 1]]


# ---- afterwards


def test_scores_are_smoothed_with_the_published_boxes_and_zero_filled_beside_the_masked_one(tiny):
    labels = {"seen": np.random.default_rng(0).uniform(0.2, 1, (200, 2)).astype(np.float32)}
    labels["seen"][:50] = np.nan
    raw = {"seen": np.nan_to_num(labels["seen"], nan=0.9) * 0.5}
    method = tiny_set.create("jca", tiny, **JCA)
    assert method.published_widths == {"valence": 20, "arousal": 50}
    assert set(tiny_set.create("tsav", tiny).published_widths.values()) == {1}
    found = scores.zero_filled(labels, raw, {"valence": 1, "arousal": 1})
    masked = method.metrics({"va": labels}, {"va": raw})
    for emotion in ("valence", "arousal"):
        assert found[emotion]["ccc"] > masked[emotion]["ccc"] + 0.05  # that is why it is kept apart
