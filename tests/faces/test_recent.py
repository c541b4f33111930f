"""Pictures of a trial that is read in order: decoded once, and the same."""

import numpy as np

from lib.faces import faces
from lib.faces.faces import Recent
from lib.features import windows


class Counted(faces.Faces):
    """Faces that note which frames were read."""

    def __init__(self, n_frames):
        generator = np.random.default_rng(0)
        super().__init__(
            generator.random(n_frames) > 0.2,
            4,
            generator.integers(1, 256, (n_frames, 4, 4, 3), np.uint8),
        )
        self.asked = []

    def read(self, indices):
        self.asked += list(indices)
        return super().read(indices)


def test_every_frame_is_read_once_whatever_the_clips_share():
    counted, n_frames = Counted(300), 300
    recent = Recent(counted, keep=48)
    for clip in windows.clips(n_frames):
        recent.read(clip)
    assert sorted(counted.asked) == list(range(n_frames))


def test_pictures_are_those_of_the_faces_themselves_black_where_there_is_none():
    counted = Counted(120)
    recent = Recent(counted, keep=16)  # so few that frames are forgotten and read again
    for rows in np.split(windows.clips(120), 12):
        np.testing.assert_array_equal(
            recent.read(rows.ravel()), faces.Faces.read(counted, rows.ravel())
        )
    assert not recent.read([-1, -1]).any()


def test_what_is_kept_is_bounded():
    recent = Recent(Counted(200), keep=20)
    for frame in range(200):
        recent.read([frame])
    assert len(recent._kept) == 20
