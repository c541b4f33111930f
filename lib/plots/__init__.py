"""Pictures of data and results. Every function takes data and axes, labels them with units and returns them.

Without `ax` a new pyplot figure is made: in JupyterLab and under papermill it appears under the cell by
itself, so nothing here calls ``show``; end the cell's last line with a semicolon to keep the returned axes
from being printed. `note` is written under the picture (``trials.SYNTHETIC_NOTE`` where a network was trained
on sample data).
"""

from lib.plots.annotation import delay_curve
from lib.plots.data import face_strip, found_against_expected, label_plane, sound_view, va_traces
from lib.plots.errors import ccc_parts, worst_stretches
from lib.plots.folds import folds_plot
from lib.plots.moments import Moments, Trial, trial_lines
from lib.plots.results import ccc_table_plot, circumplex, error_by_trial, predicted, prediction_traces, with_interval
from lib.plots.speakers import of_video, speaking_traces, time_line
from lib.plots.speaking import clip_distribution, clip_timeline, speaking_strip
from lib.plots.style import png, save, theme
from lib.plots.sweeps import grid_heat, grid_line
from lib.plots.training import LiveCurves, training_curves

__all__ = ["LiveCurves", "Moments", "Trial", "ccc_parts", "ccc_table_plot", "circumplex", "clip_distribution",
           "clip_timeline", "delay_curve", "error_by_trial", "face_strip", "folds_plot", "found_against_expected",
           "grid_heat", "grid_line", "label_plane", "of_video", "png", "predicted", "prediction_traces", "save",
           "sound_view", "speaking_strip", "speaking_traces", "theme", "time_line", "training_curves", "trial_lines",
           "va_traces", "with_interval", "worst_stretches"]
