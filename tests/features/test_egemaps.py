"""eGeMAPS: where openSMILE is installed its numbers at the right rows; elsewhere a clear
message.
"""

import sys

import numpy as np
import pytest

from lib.errors import InputError
from lib.features import egemaps
from tests.features.signals import changed, click, tones

TIMES = np.arange(50) / 25


@pytest.fixture
def smile():
    pytest.importorskip("opensmile")


def test_without_opensmile_the_message_names_the_extra_and_the_licence(monkeypatch):
    egemaps._smile.cache_clear()
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(InputError, match="openSMILE is not installed") as told:
        egemaps.on_frames(tones(1), 0.0, TIMES[:5])
    assert "opensmile" in str(told.value)
    assert "research only" in str(told.value)


@pytest.mark.usefixtures("smile")
def test_descriptors_are_23_and_functionals_88():
    found = egemaps.on_frames(tones(2), 0.0, TIMES)
    assert found.shape == (50, 23)
    assert np.isfinite(found).all()
    assert egemaps.functionals_on_frames(tones(2), 0.0, TIMES[:2]).shape == (2, 88)


@pytest.mark.usefixtures("smile")
@pytest.mark.parametrize("t0", [0.0, 0.08])
def test_a_click_changes_the_descriptors_of_the_frames_around_it(t0):
    times = np.arange(50) / 25
    quiet = egemaps.on_frames(np.zeros(32_000, np.int16), t0, times)
    found = egemaps.on_frames(click(2, 1.0, t0), t0, times)
    seen = times[changed(found, quiet)]
    assert len(seen)
    assert abs(seen.mean() - 1.0) < 0.08


@pytest.mark.usefixtures("smile")
def test_blocks_change_jitter_and_shimmer_only(monkeypatch):
    """Those two go from period to period from a sound's start on, so that they depend on where it
    starts: in all rows of later blocks, not at their edges.
    """
    times, sound = np.arange(0, 4, 0.04), tones(4)
    whole = egemaps.on_frames(sound, 0.0, times)
    monkeypatch.setattr(egemaps, "BLOCK", 16_000)
    pieces = egemaps.on_frames(sound, 0.0, times)
    names = egemaps._smile(False).feature_names
    others = [not name.startswith(("jitter", "shimmer")) for name in names]
    assert sum(others) == 21
    near = np.abs(pieces - whole) < 1e-3 * (1 + np.abs(whole))
    assert near[:, others].mean() > 0.98
    assert near[times < 0.9].all(), "the first block begins where the sound does"


@pytest.mark.usefixtures("smile")
def test_functionals_hear_the_second_that_begins_with_the_frame():
    times = np.array([0.0, 0.9, 1.1, 2.1])
    quiet = egemaps.functionals_on_frames(np.zeros(64_000, np.int16), 0.0, times)
    found = egemaps.functionals_on_frames(click(4, 2.0), 0.0, times)
    assert changed(found, quiet).tolist() == [2]
