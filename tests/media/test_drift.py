"""Sound whose stamps run away from its samples is heard where its stamps say."""

from fractions import Fraction

import av
import numpy as np
import pytest

from lib.media import drift, hearing, recordings, tracks
from tests.films import Sound, buzz, recorded

RATE, SECONDS = 8000, 30


def clicks(clock, seconds=SECONDS):
    """Samples with 10 ms of tone at every second of `clock` (s of samples -> s of stamps)."""
    t = np.arange(seconds * RATE) / RATE
    phase = np.mod(clock(t) if callable(clock) else t * clock, 1)
    return (0.5 * np.sin(2 * np.pi * 1000 * t) * (phase < 0.01))[:, None]


def heard(path, rate=RATE):
    """Times (s) at which a click begins."""
    samples, t0 = recordings.sound(path, rate)
    loud = np.flatnonzero(np.abs(samples) > 0.2) / rate + t0
    return loud[np.diff(loud, prepend=-1) > 0.5]


def film(path, clock, **more):
    return recorded(path, [Sound(clicks(clock), speed=clock, **more)], n=5)


WANDERING = lambda t: t + 0.15 * np.sin(2 * np.pi * t / 40)  # noqa: E731 - a clock that gets warm


@pytest.mark.parametrize(
    ("clock", "rate"),
    [(1.004, RATE), (0.996, 16_000), (1.02, RATE), (0.98, RATE), (WANDERING, RATE)],
)
def test_drifting_sound_stays_with_the_pictures(tmp_path, clock, rate):
    path = film(tmp_path / "a.mkv", clock)
    found = heard(path, rate)
    assert len(found) in (SECONDS - 1, SECONDS, SECONDS + 1)
    assert np.abs(found - np.round(found)).max() < 0.04
    assert "stretched" in " ".join(tracks.notes(tracks.of(path)))


def test_the_tone_of_stretched_sound_is_whole(tmp_path):
    """No crackle: what is not the tone is 40 dB below it."""
    path = recorded(tmp_path / "a.mkv", [Sound(tone := buzz(20.0), speed=1.01)], n=5)
    samples, _ = recordings.sound(path, RATE)
    t = np.arange(len(samples)) / RATE
    waves = [f(2 * np.pi * 140 / 1.01 * h * t) for h in range(1, 6) for f in (np.sin, np.cos)]
    middle = slice(RATE, len(samples) - RATE)
    basis = np.array(waves).T[middle]
    rest = samples[middle] - basis @ np.linalg.lstsq(basis, samples[middle], rcond=None)[0]
    assert rest.std() < 0.01 * samples[middle].std()
    assert samples[middle].std() == pytest.approx(tone.std(), rel=0.02)


@pytest.mark.parametrize("clock", [1.0, 1.0004, lambda t: t + 0.01 * np.sin(40 * t)])
def test_sound_that_hardly_drifts_is_left_alone(tmp_path, clock):
    path = film(tmp_path / "a.mkv", clock)
    assert tracks.of(path)[0].stamps == ()
    assert not any("stretched" in note for note in tracks.notes(tracks.of(path)))


def test_a_hole_is_no_drift(tmp_path):
    path = film(tmp_path / "a.mkv", lambda t: t + 3.5 * (t > 20))
    assert tracks.of(path)[0].stamps == ()
    found = heard(path)
    assert found.max() > SECONDS + 1
    assert np.abs(found - np.round(found)).max() < 0.01


def test_drift_goes_on_behind_a_hole(tmp_path):
    path = film(tmp_path / "a.mkv", lambda t: 1.005 * t + 3.0 * (t > 20))
    found = heard(path)
    assert np.abs(found - np.round(found)).max() < 0.04


def pieces(clock, seconds=SECONDS):
    """Frames of 20 ms as a decoder gives them, stamped by `clock`."""
    samples, length = clicks(clock, seconds).astype(np.float32), RATE // 50
    for place in range(0, len(samples), length):
        piece = np.ascontiguousarray(samples[place : place + length].T)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = round(float(clock(place / RATE)) * RATE)
        yield frame


def test_stamps_that_jump_back_cut_what_is_heard_twice():
    """As a recorder that writes a piece again: what comes later is not late."""
    back = lambda t: t - 0.5 * (t >= 20.2)  # noqa: E731
    frames = list(pieces(back))
    times, lengths = (
        np.array([getattr(frame, name) / RATE for frame in frames]) for name in ("pts", "samples")
    )
    track = tracks.Track(1, stamps=drift.course(times, lengths))
    given = list(hearing._followed(frames, track, RATE))
    samples = np.concatenate([piece for _, piece in given])
    loud = np.flatnonzero(np.abs(samples) > 0.2) / RATE
    found = loud[np.diff(loud, prepend=-1) > 0.5]
    assert len(samples) / RATE == pytest.approx(SECONDS - 0.5, abs=0.02)
    assert np.abs(found - np.round(found)).max() < 0.04


def test_stamps_that_slip_once_are_no_hole():
    times = np.arange(500) / 50
    times[200] += 0.2
    lengths = np.full(500, 0.02)
    (one,) = drift.course(times, lengths)
    assert np.abs(np.subtract(one[1], one[2])).max() < 0.01


def test_without_stamps_samples_are_counted():
    assert drift.course(np.full(50, np.nan), np.full(50, 0.02)) == ()
