"""Pictures of data and results. Every function takes data and axes, labels them with units and
returns them.

Without `ax` a new pyplot figure is made: JupyterLab and papermill show it under the cell, so
nothing here calls ``show``; end the cell's last line with a semicolon so that the returned axes are
not printed. `note` is written under the picture (``trials.SYNTHETIC_NOTE`` where a network was
trained on sample data).
"""

from __future__ import annotations

from .data import (
    delay_curve,
    face_strip,
    found_against_expected,
    label_plane,
    sound_view,
    va_traces,
)
from .errors import ccc_parts, worst_stretches
from .moments import Moments, Trial, trial_lines
from .results import (
    ccc_table_plot,
    circumplex,
    error_by_trial,
    folds_plot,
    predicted,
    prediction_traces,
    with_interval,
)
from .speakers import (
    clip_distribution,
    clip_timeline,
    of_video,
    speaking_strip,
)
from .style import png, save, theme, unseen
from .sweeps import grid_heat, grid_line
from .training import LiveCurves, training_curves
from .uncertainty import calibration

__all__ = [
    "LiveCurves",
    "Moments",
    "Trial",
    "calibration",
    "ccc_parts",
    "ccc_table_plot",
    "circumplex",
    "clip_distribution",
    "clip_timeline",
    "delay_curve",
    "error_by_trial",
    "face_strip",
    "folds_plot",
    "found_against_expected",
    "grid_heat",
    "grid_line",
    "label_plane",
    "of_video",
    "png",
    "predicted",
    "prediction_traces",
    "save",
    "sound_view",
    "speaking_strip",
    "theme",
    "training_curves",
    "trial_lines",
    "unseen",
    "va_traces",
    "with_interval",
    "worst_stretches",
]
