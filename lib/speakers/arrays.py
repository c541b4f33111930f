"""A trial's column `speaking` for the affect pipeline: which array it is and where it lies."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays
from ..errors import InputError
from ..features import speaker_arrays
from ..store import Store, read


def durations(params: Mapping) -> tuple[float, ...]:
    return tuple(params.get("speaker_durations", ()))


def device_of(params: Mapping) -> str:
    from ..models import device

    return str(device.pick(params.get("device", "auto")))


# ---- for the emotion pipeline
def request_for(params: Mapping, always: bool = False):
    """What a trial's column `speaking` is made by: a request, or None without a network for it.

    params : `speaker_run` names a run or a weights file; "none" wants none.

    "" takes Light-ASD's weights where they are there, and only if `always`: for one video the
    seconds do not matter, for a data set somebody has to ask.
    """
    from ..features import speaker_scores

    named, root = str(params.get("speaker_run", "") or ""), params.get("weights_root")
    if named == "none" or not (named or always):
        return None
    file = speaker_arrays.network_file(named, Path(root) if root else None, params.get("runs_root"))
    if not file:
        return None
    return speaker_arrays.wanted(
        file, *speaker_scores.grey_size(speaker_scores.load(file)), durations(params)
    )


def requests(params: Mapping) -> list:
    """For notebook 03: the array `speaking` of every trial, if `speaker_run` asks for it."""
    asked = request_for(params)
    return [asked] if asked else []


def column(
    trial: Mapping, params: Mapping, store: Store, make: bool = False
) -> arrays.Located | None:
    """Where the array behind a trial's column `speaking` lies; None where that cannot be told.

    That is: no network for it (`request_for`), no sound, no detector. make : compute what is not
    there yet.
    """
    asked = request_for(params, always=make) if trial["audio_path"] else None
    if asked is None:
        return None
    with contextlib.suppress(InputError):
        if make:
            arrays.make(trial, asked, store, device_of(params))
        located = arrays.locate(trial, asked, store)
        return located if located.exists else None
    return None


def with_column(values: pd.DataFrame, heard: arrays.Located | None) -> pd.DataFrame:
    """A prediction table with `speaking`: p that its person is heard, NaN where not seen."""
    if heard is None:
        return values
    return values.assign(speaking=np.asarray(read(heard.path)))
