"""The column `speaking` of a trial for the affect pipeline: which array it comes from, and its
path.
"""

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
    """The request for a trial's column `speaking`; None without a network for it.

    params : `speaker_run` names a run or a weights file; "none" wants none.

    "" means Light-ASD's weights if they exist, and only if `always`: for one video it takes
    seconds, for a data set it must be asked for.
    """
    from ..features import speaker_scores

    run, root = str(params.get("speaker_run", "") or ""), params.get("weights_root")
    if run == "none" or not (run or always):
        return None
    file = speaker_arrays.network_file(run, Path(root) if root else None, params.get("runs_root"))
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
    """Path of the array behind a trial's column `speaking`; None if that cannot be told.

    That is the case without a network (`request_for`), sound or detector. make : compute the array
    if it is missing.
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
