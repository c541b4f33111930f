"""Remake the picture of the README from a recording, as the notebook your_video draws it.

    python docs/pictures.py talk.mp4 [--at 1.2] [--to docs]

your_video.png : a frame of the recording with what was found drawn in, above everybody's curves.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lib import grammar, plots
from lib.errors import InputError
from lib.evaluation import overlay, people
from lib.media import recordings
from lib.parameters import placed
from lib.speakers import overlay as speakers_overlay

DPI = 130  # 10 inches wide: sharp at the README's 900 pixels, and still a small file


def your_video(recording: Path, out: Path, at: float) -> Path:
    """Write the picture; at : s of the recording, whose frame is shown."""
    params = placed(grammar.defaults(grammar.declared("your_video")))
    with tempfile.TemporaryDirectory() as folder:
        found = people.look(recording, params, Path(folder))
        number = int(np.searchsorted(recordings.frame_times(recording), at))
        frames = speakers_overlay.frames(recording, overlay.labelled(found.table))
        shown = next(islice(frames, number, None))
    curves = Image.open(io.BytesIO(plots.png(plots.of_video(found.table), DPI)))
    picture = Image.fromarray(shown)
    picture = picture.resize((curves.width, picture.height * curves.width // picture.width))
    whole = Image.new("RGB", (curves.width, picture.height + curves.height), "white")
    whole.paste(picture, (0, 0))
    whole.paste(curves, (0, picture.height))
    whole.quantize(128).save(out, optimize=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("--at", type=float, default=1.2, help="s of the frame that is shown")
    parser.add_argument("--to", type=Path, default=ROOT / "docs", help="folder of the picture")
    given = parser.parse_args()
    try:
        print(your_video(given.recording, given.to / "your_video.png", given.at))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
