"""How well the expression network reads pictures that somebody has labels for: accuracy, UAR,
confusion, calibration, and what the crop does.

    python benchmarks/expression_faces.py FOLDER [--weights weights] [--made]

FOLDER has a folder per class (happy, sad, …; happiness, anger and the like are understood), with
pictures of one face each. --made makes it first, of the shared recording in which a man acts sad,
then happy (tests/shared_files.py), to show that this runs: one man says nothing about others.

Pictures without a found face count as wrong, and stand in a column of their own. Files that are no
pictures or are damaged count nowhere, and are named with all else that is left out. What was found
in a folder of one's own is printed, and kept nowhere in the repository. Intervals are of 2 000
draws of pictures; pictures of one person are not independent, so they are too narrow where a folder
has several of each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from faces import SHARED
from report import publish

from lib.errors import InputError
from lib.faces import detection, expression_crop
from lib.features import expression, expression_arrays
from lib.media import pictures, recordings
from lib.models import load_published, weights
from lib.models.affect.face_api import CLASSES

WORDS = {
    **{name: name for name in CLASSES},
    **{"happiness": "happy", "joy": "happy", "sadness": "sad", "anger": "angry"},
    **{"fear": "fearful", "disgust": "disgusted", "surprise": "surprised"},
    **{"contempt": "", "neutrality": "neutral"},
}
FOLDERS = f"a folder per class: {', '.join(CLASSES)}"
RULES = (*expression_arrays.CROPS, "as it is")
BINS, DRAWS = 10, 2000
PACKAGES = ("torch", "numpy", "opencv-python-headless")
ACTED = ("pyfeat_WolfgangLanger_Pexels.mp4", {"sad": (0.0, 6.0), "happy": (11.7, 19.7)})  # s


def labelled(folder: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    """(file, class) of all files, and what was left out with its reason. Raises InputError where
    there is no folder, or none of a class.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where=folder, expected=FOLDERS, todo="correct the path")
    places = sorted(folder.iterdir())
    loose = [path.name for path in places if not path.is_dir()]
    found, left = [], []
    for place in (path for path in places if path.is_dir()):
        name = WORDS.get(place.name.lower().strip(), "")
        inside = sorted(place.iterdir())
        files = [path for path in inside if path.is_file()]
        if not name:
            left.append(f"{place.name}: {len(files)} files of no class of {', '.join(CLASSES)}")
        else:
            found += [(path, name) for path in files]
            deeper = [path for path in inside if path.is_dir()]
            left += [f"{name_of(path)}: a folder within that of a class" for path in deeper]
    if loose:
        left.append(f"in no folder of a class: {loose[0]} (files of this kind: {len(loose)})")
    if not found:
        why = f"no picture in a folder of a class; {'; '.join(left[:5]) or 'it is empty'}"
        raise InputError(why, where=folder, expected=FOLDERS, todo="put pictures into such folders")
    return found, left


def name_of(path: Path) -> str:
    """A file's name with that of its class's folder."""
    return f"{path.parent.name}/{path.name}"


class Reader:
    """Detector and networks, loaded once."""

    def __init__(self, root: Path):
        self.detector = detection.YuNet(weights.find("yunet", root))
        self.expression = load_published("face_api", weights.find("face_api", root))
        self.points = load_published("face_api_landmarks", weights.find("face_api_landmarks", root))

    def logits(self, picture: np.ndarray, rule: str) -> np.ndarray | None:
        """(7,) logits of the largest face, cut by a rule; None where no face is found."""
        if rule == "as it is":
            whole = expression_crop.padded(picture)
            middle, side = np.full(2, len(whole) / 2), len(whole)
            return self._of_square(expression_crop.cut(whole, middle, side))
        faces = self.detector.detect(picture)
        if not len(faces):
            return None
        face = faces[[np.prod(faces[:, 2:4], axis=1).argmax()]]
        centre, side = self._square(picture, face, rule)
        return self._of_square(expression_crop.cut(picture, centre[0], side[0]))

    def _square(self, picture: np.ndarray, face: np.ndarray, rule: str):
        if rule == "five_points":
            return expression_crop.from_five_points(face[:, 4:14].reshape(1, 5, 2))
        centre, side = expression_crop.from_box(face[:, :4])
        if rule == "detector":
            return centre, side
        at, length = expression_crop.of_box(face[:, :4])
        cut = expression_crop.cut(picture, at[0], length[0])
        with torch.inference_mode():
            points = self.points({"face": torch.from_numpy(cut)[None]})["landmarks"].numpy()
        by_points = expression_crop.from_points(expression_crop.in_picture(points, at, length))
        least = expression_arrays.DRAWN_TOGETHER * expression_crop.WIDENED * length
        return by_points if by_points[1][0] >= least[0] else (centre, side)

    def _of_square(self, face: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.expression({"face": torch.from_numpy(face)[None]})["expression"][0].numpy()


def read(items: list, reader: Reader) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    """Rule -> (N, 7) logits of the N pictures that open, NaN where no face is found; (N,) numbers
    of their classes; and which files do not open. Raises InputError where none does.
    """
    rows: dict[str, list] = {rule: [] for rule in RULES}
    truth, lost, nobody = [], [], np.full(len(CLASSES), np.nan)
    for path, name in items:
        try:
            picture = pictures.read(path)
        except InputError as error:
            lost.append(f"{name_of(path)}: {error.what}")
            continue
        truth.append(CLASSES.index(name))
        for rule in RULES:
            logits = reader.logits(picture, rule)
            rows[rule].append(nobody if logits is None else logits)
    if not truth:
        todo = "put pictures there that a viewer opens"
        raise InputError(f"no picture opens; {lost[0]}", where=items[0][0].parents[1], todo=todo)
    return {rule: np.array(each) for rule, each in rows.items()}, np.array(truth), lost


def recalls(right: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(7,) share of each class that is right, NaN of one without pictures."""
    return np.array(
        [right[truth == k].mean() if (truth == k).any() else np.nan for k in range(len(CLASSES))]
    )


def interval(right: np.ndarray, truth: np.ndarray) -> str:
    """95 % of the UAR over draws of pictures."""
    draws = np.random.default_rng(0).integers(len(truth), size=(DRAWS, len(truth)))
    values = [np.nanmean(recalls(right[rows], truth[rows])) for rows in draws]
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{low:.3f} – {high:.3f}"


def calibration_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error, `BINS` equally wide bins of the highest probability; NaN where
    no face is found.
    """
    if not len(right):
        return np.nan
    sure = probabilities.max(axis=1)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    parts = [
        (bins == k).mean() * abs(right[bins == k].mean() - sure[bins == k].mean())
        for k in np.unique(bins)
    ]
    return float(np.sum(parts))


def row_of(rule: str, logits: np.ndarray, truth: np.ndarray) -> list:
    """The row of one rule."""
    seen = ~np.isnan(logits).any(axis=1)
    right = np.zeros(len(truth), bool)
    right[seen] = logits[seen].argmax(axis=1) == truth[seen]
    errors = [
        calibration_error(expression.probabilities(logits[seen], temperature), right[seen])
        for temperature in (1.0, expression.TEMPERATURE)
    ]
    uar = np.nanmean(recalls(right, truth))
    return [
        rule,
        len(truth),
        int((~seen).sum()),
        f"{right.mean():.3f}",
        f"{uar:.3f}",
        interval(right, truth),
        *(f"{error:.3f}" for error in errors),
    ]


def confusion(logits: np.ndarray, truth: np.ndarray) -> list[list]:
    """A row per class that is there: how often which class was read in it."""
    seen = ~np.isnan(logits).any(axis=1)
    chosen = np.full(len(truth), -1)
    chosen[seen] = logits[seen].argmax(axis=1)
    rows = []
    for k in np.unique(truth):
        counts = [int((chosen[truth == k] == other).sum()) for other in [*range(len(CLASSES)), -1]]
        rows.append([CLASSES[k], *counts])
    return rows


def made(folder: Path) -> None:
    """Every twelfth frame of a man who acts sad, then happy."""
    name, stretches = ACTED
    for number, (time, picture) in enumerate(recordings.frames(SHARED / "media" / name)):
        for word, (start, stop) in stretches.items():
            if number % 12 == 0 and start <= time < stop:
                (folder / word).mkdir(parents=True, exist_ok=True)
                file = folder / word / f"{number:05d}.png"
                cv2.imwrite(str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, default=ROOT / "weights")
    parser.add_argument("--made", action="store_true", help="make the folder first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.made:
        made(options.folder)
    items, left = labelled(options.folder)
    logits, truth, lost = read(items, Reader(options.weights))
    about = f"{len(truth)} pictures" + (f" of {ACTED[0]}, made by --made" * options.made)
    publish(
        "expression_faces",
        (
            *("crop", "pictures", "no face", "accuracy", "UAR", "95 % over pictures"),
            "calibration error",
            f"the same at temperature {expression.TEMPERATURE:g}",
        ),
        [row_of(rule, logits[rule], truth) for rule in RULES],
        PACKAGES,
        [
            f"{about}. No face counts as wrong. What is read by the crop `square`:",
            "",
            "| shown | " + " | ".join([*CLASSES, "no face"]) + " |",
            "|---" * (len(CLASSES) + 2) + "|",
            *(
                "| " + " | ".join(map(str, row)) + " |"
                for row in confusion(logits[RULES[0]], truth)
            ),
            *([""] + [f"* left out: {each}" for each in [*left, *lost]] if left or lost else []),
        ],
        keep=options.made,
    )


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
