"""What a person sees under a cell: trials to browse (without a browser one picture), tables without row numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from lib import plots
from lib.errors import InputError
from lib.metrics import EMOTIONS
from lib.progress import has_front_end


def browse(trials: Sequence[str], show: Callable[[str], object], static: int = 1) -> None:
    """Show one trial's picture and, where there is a front end, a list and two buttons to choose another.

    trials : names, the first is shown first. show : function of a trial's name that returns a figure or axes,
    as every function of `plots` does. static : how many pictures stand
    here where nobody can choose. Returns nothing, so that the last line of a cell does not show the picker
    a second time. Raises InputError when there is no trial.
    """
    from IPython.display import display

    trials = list(trials)
    if not trials:
        raise InputError("there is no trial to show", expected="at least one",
                         todo="correct the parameter `trials`, or run notebook 01_download_check again")
    if not has_front_end():
        for trial in trials[:static]:
            display({"image/png": plots.png(show(trial)), "text/plain": f"trial {trial}"}, raw=True)
        return
    display(picker(trials, show))


def picker(trials: Sequence[str], show: Callable[[str], object]):
    """The ipywidgets box of `browse`: previous, next, list of trials, picture."""
    import ipywidgets

    names = ipywidgets.Dropdown(options=trials, value=trials[0], description="trial")
    back, forth = (ipywidgets.Button(description=text, layout={"width": "6em"}) for text in ("previous", "next"))
    # An Image holds bytes: unlike captured output it needs no running cell and is never drawn twice.
    picture = ipywidgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})

    def draw(_change=None):
        picture.value = plots.png(show(names.value))

    def step(by: int):
        names.value = trials[(trials.index(names.value) + by) % len(trials)]

    names.observe(draw, names="value")
    back.on_click(lambda _: step(-1))
    forth.on_click(lambda _: step(1))
    draw()
    return ipywidgets.VBox([ipywidgets.HBox([back, forth, names]), picture])


@dataclass(frozen=True)
class Shown:
    """Text, and what JupyterLab shows in its place; without a browser the text is all."""

    text: str
    html: str = ""

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str | None:
        return self.html or None


def table(rows: pd.DataFrame, nothing: str = "") -> Shown:
    """A table as people read it: no row numbers, three digits, empty where there is no value.

    nothing : the sentence that is shown when there is no row.
    """
    if rows.empty and nothing:
        return Shown(nothing)
    form = {"index": False, "na_rep": "", "float_format": _number}
    return Shown(rows.to_string(**form), rows.to_html(border=0, **form))


def _number(value: float) -> str:
    """0.123, 12.3, 12345; never −0."""
    return f"{value + 0.0:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def scores(rows: pd.DataFrame) -> Shown:
    """The CCC table (`metrics.ccc_table`) with one row a method: ``0.81 [0.72, 0.87]``, – where it is not defined."""
    wide = pd.DataFrame({"method": list(dict.fromkeys(rows["method"]))})
    for emotion in EMOTIONS:
        found = {row.method: plots.with_interval(row) for row in rows.itertuples() if row.emotion == emotion}
        wide[emotion] = [found.get(method, "") for method in wide["method"]]
    return table(wide)
