"""Faces of a trial that is read from its first to its last frame: each picture is decoded once, not once a clip."""

from __future__ import annotations

import numpy as np

KEEP = 256  # frames; a block of 192 targets (`windows.together`) reaches back 42 more, and 112 pixels are 38 kB


class Recent:
    """`faces` (`lib.faces.Faces`) with a memory of the frames that were read last."""

    def __init__(self, faces, keep: int = KEEP):
        self.faces, self.keep = faces, keep
        self._kept: dict[int, np.ndarray] = {}

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(N,) frame indices, −1 for none -> (N, S, S, 3) uint8 RGB, as `faces.read` gives them."""
        indices = np.asarray(indices)
        wanted = np.unique(indices[indices >= 0])
        absent = np.array([frame for frame in wanted.tolist() if frame not in self._kept], int)
        self._kept.update(zip(absent.tolist(), self.faces.read(absent), strict=True))
        out = np.zeros((len(indices), self.faces.size, self.faces.size, 3), np.uint8)
        for row in np.flatnonzero(indices >= 0):
            out[row] = self._kept[int(indices[row])]
        for frame in list(self._kept)[:max(0, len(self._kept) - self.keep)]:  # the oldest first
            del self._kept[frame]
        return out
