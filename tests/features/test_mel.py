import json

import numpy as np
import pytest
import torch

from lib.errors import InputError
from lib.features import mel
from tests.shared_files import shared

SILENCE = (-100 - mel.MEAN) / mel.SPREAD


@pytest.fixture(scope="module")
def sound():
    """3.3 s of noise that gets louder, so that columns differ and the 80 dB floor matters."""
    noise = np.random.default_rng(0).standard_normal(145_700)
    return (noise * np.logspace(-6, -1, noise.size)).astype(np.float32)


@pytest.mark.parametrize("center", [False, True])
def test_the_transform_is_that_of_torchaudio_to_the_last_bit(center):
    transforms = pytest.importorskip("torchaudio.transforms")
    sound = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, 44_100).astype(np.float32))
    wanted = transforms.MelSpectrogram(
        44_100, n_fft=1024, win_length=882, hop_length=441, n_mels=64, center=center
    )
    assert torch.equal(mel._transform(sound, center), wanted(sound))


def test_the_published_spectrogram_equals_the_golden_numbers():
    golden = json.loads(shared("specs/goldens_tsav_jca.json").read_text())["audio_norm_spec"]
    t = np.arange(15 * mel.RATE) / mel.RATE
    wave = 0.5 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t)
    found = mel.published_segment(wave, 10.0)  # reads [5, 15] s: whole periods of both tones
    assert list(found.shape) == golden["shape"]
    values = {"mean": found.mean(), "std": found.std(), "min": found.min(), "max": found.max()}
    values |= {f"f[0,{band},500]": found[0, band, 500] for band in (0, 10, 40)}
    for name, value in values.items():
        assert value == pytest.approx(golden[name], abs=1e-4), name


@pytest.mark.parametrize(
    ("seconds", "start", "length"),
    [(1, 0, 1), (3, 0, 3), (5, 0, 5), (7, 2, 7), (10, 5, 10), (20, 15, 10)],
)
def test_the_published_rule_reads_the_published_segments(seconds, start, length):
    assert mel.published_span(seconds) == (start * mel.RATE, length * mel.RATE)


def test_a_published_segment_that_reads_less_stands_on_the_right():
    wave = np.random.default_rng(1).standard_normal(5 * mel.RATE).astype(np.float32)
    early = mel.published_segment(wave, 1.0)  # 1 s read: 101 columns
    assert np.ptp(early[0, :, :900]) == 0
    assert (early[0, :, 900:].max(axis=0) > early[0, 0, 0] + 1).all()
    first = mel.published_segment(wave, 0.0)  # 882 samples: 3 columns
    assert np.ptp(first[0, :, :998]) == 0
    assert first[0, :, 998:].max() > first[0, 0, 0] + 1
    assert np.ptp(mel.published_segment(wave, 60.0)) == 0


@pytest.mark.parametrize("start", [0, 100, 217, -20, -400, 300, 900])
def test_the_slice_of_the_file_equals_the_plain_code(sound, start):
    fast = mel.segment(mel.power_mel(sound), start, 101)
    plain = mel.plain_segment(sound, start, 101)
    assert fast.shape == (64, 101)
    assert fast.dtype == np.float32
    assert np.abs(fast - plain).max() <= 1e-5


def test_a_batch_equals_single_segments_near_and_far_apart(sound):
    power = mel.power_mel(sound)
    for starts in ([3, 4, 7, 20], [-200, 0, 400]):
        batch = mel.segments(power, np.array(starts), 41)
        assert batch.shape == (len(starts), 1, 64, 41)
        for found, start in zip(batch[:, 0], starts, strict=True):
            assert np.array_equal(found, mel.segment(power, start, 41))
    assert mel.segments(power, [], 41).shape == (0, 1, 64, 41)


def test_the_floor_is_80_db_below_the_loudest_of_the_segment_itself(sound):
    power = mel.power_mel(sound)
    quiet, loud = mel.segments(power, [0, 280], 51)[:, 0]
    assert loud.max() - loud.min() <= 80 / mel.SPREAD + 1e-5
    assert loud.max() > quiet.max() + 2


def test_outside_the_file_is_silence_and_power_is_exactly_zero(sound):
    power = mel.power_mel(sound)
    assert np.all(mel.segment(power, len(power), 101) == pytest.approx(SILENCE))
    assert np.all(mel.segment(power, -101, 101) == pytest.approx(SILENCE))
    # The rows that the file does not store are zero in the transform too: nothing is cut off.
    assert not mel._power_between(sound, len(power), 3).any()
    assert not mel._power_between(sound, -3, 3).any()


@pytest.mark.parametrize("samples", [1, 2, 440, 441, 442, 443, 882, 883, 884, 44_100])
def test_every_column_that_touches_sound_is_stored(samples):
    wave = np.ones(samples, np.float32)
    power = mel.power_mel(wave)
    assert not mel._power_between(wave, len(power), 2).any()
    assert not np.allclose(mel._power_between(wave, len(power) - 1, 1), 0, atol=0)


def test_a_click_appears_in_the_column_of_its_time():
    wave = np.zeros(4 * mel.RATE, np.float32)
    wave[int(2.37 * mel.RATE)] = 1
    power = mel.power_mel(wave)
    assert power.sum(axis=1).argmax() == 237
    # The sound starts 80 ms late, so the click is at 2.45 s of the video.
    start = mel.start_column(2.0, t0=0.08, seconds=2)
    assert mel.segment(power, start, mel.columns(2)).sum(axis=0).argmax() == 100 + 45
    start = mel.start_column(2.5, t0=0.08, seconds=1, anchor="end")
    assert mel.segment(power, start, mel.columns(1)).sum(axis=0).argmax() == 100 - 5


def test_start_columns_of_many_frames_and_lengths_in_columns():
    times = np.arange(100) / 30
    starts = mel.start_column(times, 0.0, 4)
    assert starts.shape == (100,)
    assert starts[0] == -200
    assert starts[30] == -100
    assert [mel.columns(s) for s in (10, 4, 1, 0.29, 32 / 30)] == [1001, 401, 101, 30, 107]


def test_long_files_are_transformed_in_blocks_without_a_seam(sound, monkeypatch):
    whole = mel.power_mel(sound)
    monkeypatch.setattr(mel, "BLOCK", 50)
    assert np.allclose(mel.power_mel(sound), whole, rtol=1e-5, atol=0)


def test_empty_sound_gives_silence_and_another_rate_is_refused():
    assert np.all(mel.segment(mel.power_mel(np.zeros(0)), 0, 11) == pytest.approx(SILENCE))
    with pytest.raises(InputError, match="16000 Hz"):
        mel.power_mel(np.zeros(10), 16_000)
    with pytest.raises(InputError, match="shape"):
        mel.power_mel(np.zeros((2, 10)))
    with pytest.raises(InputError, match="anchor"):
        mel.start_column(0.0, 0.0, 1, anchor="start")


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_a_stream_of_batches_is_the_segments_of_all_frames_in_order(sound, device):
    power = mel.power_mel(sound)
    starts = np.arange(-30, len(power) + 30, 7)
    parts = list(mel.stream(power, starts, 50, device, at_once=13))
    assert {len(part) for part in parts[:-1]} == {13}
    assert all(part.device.type == device for part in parts)
    found = torch.cat(parts).cpu().numpy()
    assert found.shape == (len(starts), 1, mel.BANDS, 50)
    for k in (0, 12, 13, len(starts) - 1):
        assert np.allclose(found[k, 0], mel.plain_segment(sound, int(starts[k]), 50), atol=1e-4)


def test_a_stream_of_nothing_is_empty():
    assert list(mel.stream(np.ones((5, mel.BANDS), np.float32), [], 10)) == []


def test_sound_of_the_store_is_scaled_while_it_is_transformed(sound):
    whole = np.round(sound * 32767).astype(np.int16)
    assert np.array_equal(mel.power_mel(whole), mel.power_mel(whole.astype(np.float32) / 32767))
    assert np.array_equal(
        mel.published_segment(whole, 0.5, 0.3),
        mel.published_segment(whole.astype(np.float32) / 32767, 0.5, 0.3),
    )
