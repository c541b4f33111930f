"""Which stretches of films with cuts are joined to one person: `python benchmarks/cuts.py
RECORDINGS WEIGHTS`.

Real: every recording of the folder in which faces are seen on both sides of a cut. Composed: shot
and counter-shot of each two recordings with one person in one room, four shots of 18 frames, as
they are, and with the second shot of each 15 % darker, or 15 % larger. A join of a composed film is
right where both sides are from one recording. Who is who in a real one a person must look at: the
pictures of all stretches are written to the folder that --pictures names, one file per person.

Last, what it costs that a film with cuts is decoded once more, to see how the faces look: all
recordings of one person in one room, one after the other, for --minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, combinations, cycle, islice
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib import arrays
from lib.errors import InputError
from lib.faces import detection, looks, tracking
from lib.faces.arrays import KEPT
from lib.media import recordings, writing
from lib.models import weights
from lib.store import Store, request

SHOT = 18  # frames
FPS = 25
SAME = {frozenset(("grid_pwij3p", "grid_swwp2s"))}  # one man


def followed(pictures: list[np.ndarray], detector) -> tuple:
    """Tracks, cuts and stretches with their people."""
    changes: list[float] = []
    tracks = tracking.track(pictures, detector, changes=changes)
    cuts = tracking.shot_changes(changes)
    every = looks.look(pictures, tracks, looks.stretches(tracks, cuts)) if cuts else []
    return tracks, cuts, looks.join(tracks, every)


def real(folder: Path, detector, out: Path | None) -> Iterator[list]:
    """A row per recording with faces on both sides of a cut."""
    for path in sorted(folder.iterdir()):
        try:
            pictures = [picture for _, picture in recordings.frames(path)]
        except InputError:
            continue
        tracks, cuts, every = followed(pictures, detector)
        if len({stretch.shot for stretch in every}) < 2:
            continue
        people = {stretch.who for stretch in every}
        joins = len(every) - len(people)
        least = min((one.alike for one in every if np.isfinite(one.alike)), default=float("nan"))
        yield [path.name, len(cuts), len(every), len(people), joins, "see note", f"{least:.2f}"]
        if out:
            _draw(out / path.stem, pictures, tracks, every)


def _draw(folder: Path, pictures: list[np.ndarray], tracks: np.ndarray, every: list) -> None:
    """One picture per person: the middle of each stretch."""
    folder.mkdir(parents=True, exist_ok=True)
    for who in sorted({stretch.who for stretch in every}):
        cells = []
        for stretch in (one for one in every if one.who == who):
            row = tracks[stretch.rows[len(stretch.rows) // 2]]
            x, y, width, height = row[tracking.BOX]
            shown = pictures[int(row[0])][
                max(0, int(y - 0.6 * height)) : int(y + 2.4 * height),
                max(0, int(x - 0.8 * width)) : int(x + 1.8 * width),
            ]
            cells.append(cv2.resize(shown, (90, 110))[..., ::-1])
        cv2.imwrite(str(folder / f"{who}.png"), np.concatenate(cells, axis=1))


def composed(folder: Path, detector) -> Iterator[list]:
    """A row per kind of interview: joins between shots of one person, and of two."""
    films = {path.stem: _pictures(path) for path in sorted(folder.glob("grid_?????*.mpg"))}
    for name, change in (("as it is", None), ("darker", _darker), ("larger", _larger)):
        right = wrong = missed = stretches = 0
        pairs = [pair for pair in combinations(films, 2) if frozenset(pair) not in SAME]
        for pair in pairs:
            first, second = (films[film] for film in pair)
            later = [_later(film, change) for film in (first, second)]
            shots = [first[:SHOT], second[:SHOT], *later]
            _, _, every = followed([picture for shot in shots for picture in shot], detector)
            stretches += len(every)
            for one, other in combinations(every, 2):
                same = one.shot % 2 == other.shot % 2
                right += same and one.who == other.who
                missed += same and one.who != other.who
                wrong += (not same) and one.who == other.who
        yield [
            f"{len(pairs)} interviews, {name}",
            3 * len(pairs),
            stretches,
            "",
            right + wrong,
            f"{right} right, {wrong} wrong, {missed} missed",
            "",
        ]


def _pictures(path: Path) -> list[np.ndarray]:
    return [picture for _, picture in recordings.frames(path)]


def _later(pictures: list[np.ndarray], change) -> list[np.ndarray]:
    shown = pictures[-SHOT:]
    return [change(picture) for picture in shown] if change else shown


def _darker(picture: np.ndarray) -> np.ndarray:
    """15 % darker."""
    return (0.85 * picture).astype(np.uint8)


def _larger(picture: np.ndarray) -> np.ndarray:
    """The middle 1 / 1.15 of it."""
    height, width = picture.shape[:2]
    top, left = round(height * (1 - 1 / 1.15) / 2), round(width * (1 - 1 / 1.15) / 2)
    inner = picture[top : height - top, left : width - left]
    return cv2.resize(inner, (width, height))


def cost(folder: Path, root: Path, minutes: int) -> str:
    """How long faces are followed, and how long it takes to tell people apart by their looks."""
    films = [_pictures(path) for path in sorted(folder.glob("grid_?????*.mpg"))]
    count = minutes * 60 * FPS
    shown = islice(chain.from_iterable(cycle(films)), count)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        times = np.arange(count) / FPS
        writing.write_video(place / "film.mp4", shown, times, preset="ultrafast")
        store = Store(place / "processed", "films", place, "detect", root)
        trial = {"trial": "film", "video": "film", "person": "", "crops_dir": ""}
        trial |= {"video_path": "film.mp4", "audio_path": ""}
        arrays.make(trial, request("time"), store)
        started = time.perf_counter()
        arrays.make(trial, request("tracks", cuts=KEPT), store)
        followed = time.perf_counter() - started
        arrays.make(trial, request("tracks"), store)
        apart = time.perf_counter() - started - followed
    return (
        f"A film of {minutes} min at 360×288 with a cut every 3 s: followed in {followed:.0f} s, "
        f"people told apart in {apart:.0f} s more."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--minutes", type=int, default=10)
    given = parser.parse_args()
    file = weights.path("yunet", given.weights)
    detector = detection.create("yunet", file, detection.SIDE)
    rows = [
        *real(given.recordings, detector, given.pictures),
        *composed(given.recordings, detector),
    ]
    columns = ["film", "cuts", "stretches", "people", "joins", "looked at", "least alike"]
    notes = [
        f"Joined from {looks.SIMILARITY:g} on, without clothes "
        f"{looks.SIMILARITY_WITHOUT_CLOTHES:g} at one place. In the real film a camera swings "
        "between three people; its 62 tracks were looked at one by one (2026-11-29): no person has "
        "a stretch of somebody else.",
        cost(given.recordings, given.weights, given.minutes),
    ]
    publish("cuts", columns, rows, ["numpy", "opencv-python-headless"], notes)


if __name__ == "__main__":
    main()
