"""34 cepstra and 12 chroma values: librosa's numbers, at 48 kHz and in the same seconds at 16 kHz.

`mfcc_chroma.json` has rows 0, 20 and 40, the mean of all rows and the tuning of three sounds, by
librosa 0.11.0 with the calls that stand there.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from lib.features import mfcc_chroma, sound_arrays
from lib.media import sound
from lib.store import Store, request
from tests.features.signals import tones
from tests.shared_files import shared

GOLDEN = json.loads(Path(__file__).with_name("mfcc_chroma.json").read_text())
RECORDING = "03-01-01-01-01-01-01"
CEPSTRA = mfcc_chroma.CEPSTRA


def recording():
    """(n,) int16 of the 16 kHz copy."""
    path = shared(f"data/ravdess/Actor_01/{RECORDING}.flac")
    return np.concatenate([samples for _, samples in sound.pieces(path, 16_000)])


SOUNDS = {
    "tones at 48 kHz": lambda: tones(3, 48_000),
    "tones at 16 kHz": lambda: tones(3),
    RECORDING: recording,
}


@pytest.mark.parametrize("name", SOUNDS)
def test_rows_and_tuning_are_those_of_librosa(name):
    golden, samples = GOLDEN[name], SOUNDS[name]()
    rate = golden["rate"]
    found = mfcc_chroma.measure(samples, rate)
    assert found.shape == (golden["rows"], 46)
    assert found.dtype == np.float32
    chosen = [*map(int, golden["row"]), "mean"]
    right = np.array([*golden["row"].values(), golden["mean"]])
    rows = np.array(
        [found.mean(axis=0, dtype=np.float64) if k == "mean" else found[k] for k in chosen]
    )
    # A coefficient's error is measured by its largest value, as it passes through zero.
    scale = np.abs(right[:, :CEPSTRA]).max(axis=0)
    assert (np.abs(rows - right)[:, :CEPSTRA] / scale).max() < 1e-4
    np.testing.assert_allclose(rows[:, CEPSTRA:], right[:, CEPSTRA:], rtol=1e-4, atol=1e-7)
    assert tuning(samples / mfcc_chroma.PUBLISHED_SCALE, rate) == pytest.approx(golden["tuning"])


def tuning(samples, rate):
    """What `measure` takes for the sound's tuning."""
    peaks = [mfcc_chroma._peaks(power, rate) for power in mfcc_chroma.powers(samples, rate)]
    return mfcc_chroma.tuning(*np.concatenate(peaks, axis=1))


@pytest.mark.parametrize(
    ("rate", "sizes"), [(48_000, (4096, 2048, 4096)), (16_000, (1365, 683, 2048))]
)
def test_window_and_hop_are_as_long_at_any_rate(rate, sizes):
    assert mfcc_chroma.sizes(rate) == sizes


def test_a_note_is_highest_in_its_own_semitone_whatever_concert_pitch_is():
    time = np.arange(32_000) / 16_000
    for sharp in (0.0, 0.3):
        note = np.sin(2 * np.pi * 440 * 2 ** ((4 + sharp) / 12) * time)  # C sharp
        chroma = mfcc_chroma.measure(0.3 * note)[5:-5, CEPSTRA:]
        assert (chroma.argmax(axis=1) == 1).all()
        assert tuning(0.3 * note, 16_000) == pytest.approx(sharp, abs=0.02)


@pytest.mark.parametrize("samples", [np.zeros(5000), np.zeros(0), np.zeros(5000, np.int16)])
def test_silence_is_the_floor_of_all_bands_and_no_chroma(samples):
    rows = mfcc_chroma.measure(samples)
    assert rows.shape == (1 + len(samples) // 683, 46)
    np.testing.assert_allclose(rows[:, 0], -100 * np.sqrt(128), rtol=1e-6)
    assert not rows[:, 1:CEPSTRA].any() or np.abs(rows[:, 1:CEPSTRA]).max() < 1e-3
    assert not rows[:, CEPSTRA:].any()


def test_blocks_change_nothing(monkeypatch):
    whole = mfcc_chroma.measure(tones(3))
    monkeypatch.setattr(mfcc_chroma, "BLOCK", 7)
    np.testing.assert_allclose(mfcc_chroma.measure(tones(3)), whole, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("speed", [1.0, 1.1])
def test_a_row_of_the_store_stands_at_t0_and_rate(tmp_path, speed):
    """A click is in the rows whose window it lies in, on the recording's clock."""
    samples, t0, at = np.zeros(48_000, np.int16), 0.25, 1.5
    samples[round((at - t0) * 16_000)] = 30_000
    maker = next(one for one in sound_arrays.MAKERS if one.name == "mfcc_chroma")
    wanted = request("mfcc_chroma", **({} if speed == 1 else {"speed": speed}))
    assert maker.sources({}, wanted) == {"sound": request("audio_16k", rate=16_000)}
    shelf = Store(tmp_path, "tiny", tmp_path).shelf("video", "one")
    made_from = {"name": "mfcc_chroma"}
    inputs = {"sound": samples, "sound_facts": {"t0": t0}}

    def create(shape, dtype, **facts):
        told.update(facts)
        return shelf.creating(made_from, shape, dtype, **facts)

    told = {}
    maker.make(inputs, wanted.parameters, create, "cpu")
    rows = np.load(shelf.path(made_from))
    times = told["t0"] + np.arange(len(rows)) / told["rate"]
    half = mfcc_chroma.WINDOW / 2 * speed
    heard = rows[:, CEPSTRA:].any(axis=1)
    assert heard.any()
    assert np.abs(times[heard] - at).max() <= half
    assert heard[np.abs(times - at) < 0.8 * half].all()
    assert len(rows) == pytest.approx(48_000 / 683 / speed, abs=1)
