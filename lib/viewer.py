"""Browse trials with a picker in JupyterLab; without a browser, the picture of one trial."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from lib import plots
from lib.errors import InputError


def has_front_end() -> bool:
    """Is there a person with a browser (JupyterLab, VS Code, Colab) who could use a picker?

    papermill and plain Python have none: a widget would be lost there, and nobody could press its buttons.
    """
    import IPython

    shell = IPython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return False
    # Jupyter's server names the notebook to the kernels that it starts; papermill starts kernels without a server.
    return any(name in os.environ for name in ("JPY_SESSION_NAME", "VSCODE_PID")) or "google.colab" in sys.modules


def browse(trials: Sequence[str], show: Callable[[str], object], static: int = 1):
    """Show one trial's picture and, where there is a front end, a list and two buttons to choose another.

    trials : names, the first is shown first. show : function of a trial's name that returns a figure or axes,
    as every function of `plots` does. static : how many pictures stand
    here where nobody can choose. Returns the picker (an ipywidgets box), or None where the picture is
    static. Raises InputError when there is no trial.
    """
    from IPython.display import display

    trials = list(trials)
    if not trials:
        raise InputError("there is no trial to show", expected="at least one",
                         todo="correct the parameter `trials`, or run notebook 01_download_check again")
    if not has_front_end():
        for trial in trials[:static]:
            display({"image/png": plots.png(show(trial)), "text/plain": f"trial {trial}"}, raw=True)
        return None
    box = picker(trials, show)
    display(box)
    return box


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
