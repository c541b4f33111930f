"""Pictures embedded in a report: small enough to be sent, each with a caption."""

from __future__ import annotations

import base64
import binascii
import html
import io
import re

BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
# bytes of all pictures as base64; with everything else a report stays under 2 MB
ROOM = 1_600_000
MAX_WIDTH, PALETTE_COLOURS = 1000, 128  # pixels and colours of a picture inside the page
SMALL_PICTURE_BYTES = 30_000  # bytes up to which a picture is left as it is

CAPTIONS = {
    "ccc": "CCC with 95 % intervals over trials, beside trivial predictors",
    "ccc_parts": "What a low CCC is made of: correlation, scale and shift of each val trial",
    "circumplex": "Predictions and labels of all frames in the valence–arousal plane",
    "error_by_trial": "Error of each val trial, with the others for comparison",
    "training_curves": "Loss and score on val after each epoch of training",
    "grid": "Score of each point of a sweep",
    "folds": "Trials and labels of each fold",
}
TRACES = "Prediction against label over time, trial "


def caption(name: str) -> str:
    """The caption of a file in figures/; its name for a figure of a person's own recipe."""
    if name.startswith("traces_"):
        return f"{TRACES}{name.removeprefix('traces_')}"
    return CAPTIONS.get(name, name.replace("_", " "))


class Pictures:
    """Pictures embedded in the page, as long as there is room.

    section : the heading that the next pictures of a notebook stand under.
    """

    def __init__(self):
        self.room, self.left_out, self.section = ROOM, 0, ""

    def figure(self, content: bytes, words: str) -> str:
        """A picture of a file with its caption."""
        tag = self.tag(base64.b64encode(content).decode(), words)
        return f"<figure>{tag}<figcaption>{html.escape(words)}</figcaption></figure>"

    def tag(self, encoded: str, words: str) -> str:
        """A picture in base64, made smaller; `words` is its alternative text."""
        words = html.escape(words or "picture in a notebook", quote=True)
        if not BASE64.fullmatch(encoded):
            return f"<p>(no picture: {words})</p>"
        encoded = _smaller(encoded)
        if len(encoded) > self.room:
            self.left_out += 1
            return f"<p>(picture left out: {words})</p>"
        self.room -= len(encoded)
        return f"<img alt='{words}' src='data:image/png;base64,{encoded}'>"


def _smaller(encoded: str) -> str:
    """The same picture, at most `MAX_WIDTH` wide and, if that saves bytes, in `PALETTE_COLOURS`
    colours; data that are no picture stay as they are.
    """
    from PIL import Image  # Matplotlib brings it

    try:
        content = base64.b64decode(encoded)
        if len(content) <= SMALL_PICTURE_BYTES:
            return encoded
        picture = Image.open(io.BytesIO(content)).convert("RGB")
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return encoded
    if picture.width > MAX_WIDTH:
        height = max(1, round(picture.height * MAX_WIDTH / picture.width))
        picture = picture.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.quantize(PALETTE_COLOURS, dither=Image.Dither.NONE).save(stream, "png", optimize=True)
    reduced = base64.b64encode(stream.getvalue()).decode()
    return min(reduced, encoded, key=len)
