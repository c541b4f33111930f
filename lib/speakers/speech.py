"""Where somebody speaks in a sound, by Silero's detector of voices (an extra package)."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..features.mfcc import RATE


def require(why: str, otherwise: str) -> None:
    """Raise InputError where the package is not installed; see `stretches`."""
    try:
        import silero_vad  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{why} needs the package silero-vad",
            expected="it is installed",
            todo=f"pip install silero-vad, or {otherwise}",
        ) from error


def stretches(
    sound: np.ndarray, why: str, otherwise: str, longest: float = float("inf")
) -> np.ndarray:
    """First sample and the one behind the last of each stretch of speech, (k, 2) int64.

    Arguments
    ---------
    sound : (n,) int16 at 16 kHz. longest : s; longer stretches are cut where they are most silent.
    why, otherwise : what needs the package, and what to do without it, for the error.

    The weights come inside the package; nothing is fetched. Raises InputError without it.
    """
    require(why, otherwise)
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad

    waveform = torch.from_numpy(np.asarray(sound, np.float32) / 32768)
    cut = {} if longest == float("inf") else {"max_speech_duration_s": longest}
    spoken = get_speech_timestamps(waveform, load_silero_vad(), sampling_rate=RATE, **cut)
    return np.array([(stretch["start"], stretch["end"]) for stretch in spoken], np.int64).reshape(
        -1, 2
    )
