"""Widgets under a cell: trials to browse, moments of a trial, videos, links."""

from __future__ import annotations

import base64
import html
import mimetypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from .. import plots
from ..errors import InputError
from ..files import EXECUTED_IN
from ..media import writing
from ..parallel.progress import has_front_end, is_colab
from .tables import Shown, scores, table

__all__ = ["Shown", "browse", "explore", "image", "link", "scores", "table", "video"]

# interval between two pictures of a trial that plays: drawing takes a tenth of it, the transfer to
# the browser more
PLAY_MS = 200
EMBEDDED = 20_000_000  # bytes of a video that a notebook holds; a larger one stays beside it
IN_A_LINK = 2_000_000  # bytes of a file that a link holds in Colab, whose pages cannot reach files


def browse(trials: Sequence[str], show: Callable[[str], object], nothing: str = "") -> None:
    """Show one trial's picture and, in a browser, a list and two buttons for others.

    trials : names, the first is shown first. show : function of a trial's name that returns a
        figure or axes, as every function of `plots` does. nothing : the sentence that is shown
        where there is no trial.

    Returns nothing, so that the last line of a cell does not show the picker a second time. Raises
    InputError if there is neither a trial nor such a sentence.
    """
    from IPython.display import display

    trials = list(trials)
    if not trials and nothing:
        display(Shown(nothing))
        return
    _require_any(trials)
    if has_front_end():
        display(picker(trials, show))
        return
    picture = plots.png(show(trials[0]))
    display({"image/png": picture, "text/plain": f"trial {trials[0]}"}, raw=True)


def _require_any(trials: list[str]) -> None:
    if not trials:
        raise InputError(
            "there is no trial to show",
            expected="at least one",
            todo="correct the parameter `trials`, or run notebook 01_download_check again",
        )


def picker(trials: Sequence[str], show: Callable[[str], object]):
    """The ipywidgets box of `browse`: previous, next, list of trials, picture."""
    import ipywidgets

    picture = _image("png")

    def draw(name: str):
        with plots.unseen():
            picture.value = plots.png(show(name))

    return ipywidgets.VBox([_chooser(trials, draw), picture])


def _image(form: str):
    """An Image widget of PNG bytes, which needs no running cell and is never drawn twice."""
    import ipywidgets

    return ipywidgets.Image(format=form, layout={"max_width": "100%", "object_fit": "contain"})


def _chooser(trials: Sequence[str], chosen: Callable[[str], object]):
    """Two buttons and a list; `chosen` is called with the first trial, then with each choice."""
    import ipywidgets

    names = ipywidgets.Dropdown(options=trials, value=trials[0], description="trial")
    back, forth = (
        ipywidgets.Button(description=text, layout={"width": "6em"})
        for text in ("previous", "next")
    )

    def step(by: int):
        names.value = trials[(trials.index(names.value) + by) % len(trials)]

    names.observe(lambda _: chosen(names.value), names="value")
    back.on_click(lambda _: step(-1))
    forth.on_click(lambda _: step(1))
    chosen(names.value)
    return ipywidgets.HBox([back, forth, names])


def explore(trials: Sequence[str], load: Callable[[str], plots.Trial], static: int = 1) -> None:
    """Show a trial moment by moment: face, sound, spectrogram, labels, predictions, a time cursor.

    trials : as in `browse`. load : function of a trial's name that returns its `moments.Trial`.
        static : how many pictures are shown without a browser, each of the trial's middle moment.
    Returns nothing. Raises InputError when there is no trial.
    """
    from IPython.display import display

    trials = list(trials)
    _require_any(trials)
    if has_front_end():
        display(explorer(trials, load))
        return
    for name in trials[:static]:
        moments = plots.Moments(load(name))
        picture = encoded(moments.picture(len(moments.x) // 2), ".png")
        display({"image/png": picture, "text/plain": f"trial {name}"}, raw=True)


def explorer(trials: Sequence[str], load: Callable[[str], plots.Trial]):
    """The ipywidgets box of `explore`: trial, slider for the moment, button to hear it, picture."""
    import ipywidgets

    moment = ipywidgets.IntSlider(min=1, max=2, description="frame", layout={"width": "60%"})
    play = ipywidgets.Play(min=1, interval=PLAY_MS, step=1)
    ipywidgets.jslink((play, "value"), (moment, "value"))
    hear = ipywidgets.Button(description="hear 2 s")
    sound = ipywidgets.Audio(format="wav", autoplay=True, loop=False)
    picture, shown = _image("jpeg"), {}

    def draw(_change=None):
        picture.value = encoded(shown["moments"].picture(moment.value - 1), ".jpg")

    def choose(name: str):
        with plots.unseen():
            shown["moments"] = moments = plots.Moments(load(name))
        count = len(moments.x)
        play.max = moment.max = count
        play.step = max(1, round(PLAY_MS / 1000 * count / max(1e-3, np.ptp(moments.trial.times))))
        hear.disabled = moments.trial.sound is None
        moment.value = (count + 1) // 2
        draw()

    moment.observe(draw, names="value")
    hear.on_click(
        lambda _: setattr(sound, "value", _wav(*shown["moments"].heard(moment.value - 1)))
    )
    chooser = _chooser(trials, choose)
    return ipywidgets.VBox([chooser, ipywidgets.HBox([play, moment, hear]), picture, sound])


def _wav(sound: np.ndarray, rate: int) -> bytes:
    return writing.wav(np.clip(sound, -1, 1) * 32767, rate)


def encoded(picture: np.ndarray, form: str) -> bytes:
    """(H, W, 3) uint8 RGB as the bytes of a file: ".png", or ".jpg", which is made and sent
    faster.
    """
    return cv2.imencode(form, picture[..., ::-1])[1].tobytes()


def video(path: Path) -> object:
    """A video player for the notebook and its HTML page: embedded up to `EMBEDDED` bytes, else
    read from its file beside them, with a link to it.

    path : mp4 with H.264 and AAC (`lib.media.writing.write_video`).
    """
    from IPython.display import HTML, Video

    path = Path(path)
    look = f'style="max-width:100%" title="{html.escape(path.name)}"'
    controls = f'controls preload="metadata" {look}'
    if path.stat().st_size > EMBEDDED:
        if is_colab():
            return link(path)
        address = html.escape(_from_notebook(path))
        return HTML(f'<video src="{address}" {controls}></video><p>{link(path).data}</p>')
    return Video(path.read_bytes(), embed=True, mimetype="video/mp4", html_attributes=controls)


def image(path: Path) -> object:
    """A picture from its file, for places where a figure would not appear: under a button."""
    from IPython.display import Image

    return Image(filename=str(path))


def link(path: Path) -> object:
    """A link to a file, relative to the folder of the notebook, and its size.

    In Colab, whose pages reach no file, the link holds the file up to `IN_A_LINK` bytes; of a
    larger one the place in Colab's list of files is told.
    """
    from IPython.display import HTML

    path = Path(path)
    size = path.stat().st_size
    size_text = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
    if is_colab() and size > IN_A_LINK:
        shown = f"<code>{html.escape(str(path.absolute()))}</code> ({size_text})"
        return HTML(f"{shown}: right-click it in the list of files on the left, Download")
    address = _as_data(path) if is_colab() else html.escape(_from_notebook(path))
    return HTML(f'<a href="{address}" download>{html.escape(path.name)}</a> ({size_text})')


def _as_data(path: Path) -> str:
    """A file as an address that contains it."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _from_notebook(path: Path) -> str:
    """The address of a file relative to the folder of the notebook: the executed one under
    papermill, whose working directory is another; the working directory in JupyterLab.
    """
    folder = os.environ.get(EXECUTED_IN) or Path.cwd()
    try:
        return quote(os.path.relpath(path, folder).replace(os.sep, "/"))  # names with # or %
    except ValueError:  # on another drive of Windows
        return Path(path).absolute().as_uri()
