"""Re-identification across cuts: stretches of a film in which a face looks similar belong to one
person.

After a cut a face's position says nothing. So the faces of every shot are first joined by position
(`persons.of_one_shot`), and then the people of different shots by colour: histograms of the face,
of the head with its hair, and of the clothes below it, over hue and over lightness relative to the
face, which does not change with exposure. The least similar of the three counts. Two people who are
seen together are never joined; nor, if their clothes are not visible, two who are not at the same
place in the same size, because faces alone have similar colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from . import persons
from .tracking import BOX

# Parts of a person, in widths and heights of the face's box, from its middle and its upper edge:
# half of the width, top, bottom.
BODY_PARTS = {"face": (0.45, 0.1, 0.95), "head": (0.75, -0.4, 1.0), "clothes": (1.0, 1.15, 1.8)}
CLOTHES = list(BODY_PARTS).index("clothes")
# share of a part that must be in the picture
SEEN_SHARES = {"face": 0.25, "head": 0.25, "clothes": 0.15}
SIDE = 32  # px that a part is reduced to
# Bins: lightness relative to the face's median, and the two colour axes of 8-bit CIELAB.
LIGHT, COLOUR = np.linspace(-200, 200, 11), np.linspace(78, 178, 21)
BINS = (len(LIGHT) - 1) * (len(COLOUR) - 1) ** 2
BLUR = (5, 5), 1.0  # bins of colour, so that a neighbouring one is not a stranger
PER_STRETCH = 5  # frames of each stretch that are looked at
# Similarity (Bhattacharyya's coefficient, 0…1) that the least similar part must have. In the
# recordings that benchmarks/cuts.py names the same person has 0.81 to 1 in two shots (one in ten
# below 0.87), different ones at most 0.79; without clothes 0.99 and 0.97.
SIMILARITY, SIMILARITY_WITHOUT_CLOTHES = 0.82, 0.98
NEAR, GROWTH = 0.5, 1.25  # face widths, and times as large: the same place in the same size
PLACE = 0.05  # bonus for a person at the same place if several look similar
JOINED_CUTS = "joined"  # `cuts` of tracks whose people were told apart by their looks


@dataclass
class Stretch:
    """A person in one shot: `rows` of the tracks; `looks` (3, bins), NaN for parts that are not
    seen; `box`, the median one; `alike`, the similarity to the assigned person, NaN for its first
    stretch.
    """

    rows: np.ndarray
    shot: int
    looks: np.ndarray
    box: np.ndarray
    who: int = -1
    alike: float = float("nan")


def stretches(tracks: np.ndarray, cuts: Sequence[int]) -> list[Stretch]:
    """The people of every shot, in the order of their first frames.

    tracks : (N, 18) of `tracking.track`. cuts : frames, from 0, with which a new shot begins.
    """
    shots = np.searchsorted(np.asarray(cuts), tracks[:, 0], side="right")
    nothing = np.full((len(BODY_PARTS), BINS), np.nan, np.float32)
    people = []
    order = np.argsort(shots, kind="stable")
    edges = np.flatnonzero(np.diff(shots[order])) + 1
    for indices in np.split(order, edges) if len(order) else ():
        for group in persons.of_one_shot(tracks[indices]):
            rows, shot = indices[group], int(shots[indices[0]])
            people.append(Stretch(rows, shot, nothing, np.median(tracks[rows][:, BOX], axis=0)))
    return sorted(people, key=lambda stretch: int(stretch.rows[0]))


def look(
    pictures: Iterable[np.ndarray], tracks: np.ndarray, every: Sequence[Stretch]
) -> list[Stretch]:
    """Fill in how each stretch looks. pictures : (H, W, 3) uint8 RGB, frame by frame, from 0."""
    return averaged(_seen(pictures, tracks, looked_at(tracks, every)), tracks, every)


def _seen(
    pictures: Iterable[np.ndarray], tracks: np.ndarray, asked: dict[int, list[tuple[int, int]]]
) -> Iterator[np.ndarray]:
    """Histograms of all that `looked_at` names; no picture after the last of them is decoded."""
    for frame, picture in enumerate(islice(pictures, max(asked, default=-1) + 1)):
        for _, row in asked.get(frame, ()):
            yield histograms(picture, tracks[row, BOX])


def looked_at(tracks: np.ndarray, every: Sequence[Stretch]) -> dict[int, list[tuple[int, int]]]:
    """The frames to look at, in order -> (number of the stretch, row of `tracks`)."""
    asked: dict[int, list[tuple[int, int]]] = {}
    for number, stretch in enumerate(every):
        middle = np.linspace(0, len(stretch.rows) - 1, PER_STRETCH + 2).round().astype(int)[1:-1]
        for row in np.unique(stretch.rows[middle]):
            asked.setdefault(int(tracks[row, 0]), []).append((number, int(row)))
    return dict(sorted(asked.items()))


def averaged(
    seen: Iterable[np.ndarray], tracks: np.ndarray, every: Sequence[Stretch]
) -> list[Stretch]:
    """Fill in how each stretch looks. seen : histograms of all that `looked_at` names, in order."""
    counts = np.zeros(len(every))
    numbers = (number for rows in looked_at(tracks, every).values() for number, _ in rows)
    for number, histogram in zip(numbers, seen, strict=False):
        both = np.stack([every[number].looks, histogram])
        every[number].looks = _mean(both, np.array([max(counts[number], 1), 1.0]))
        counts[number] += 1
    return list(every)


def histograms(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(3, bins) float32, each part's sum 1; NaN where too little of it is in the picture.

    picture : (H, W, 3) uint8 RGB. box : x, y, width, height of the face in px.
    """
    shares = np.full((len(BODY_PARTS), BINS), np.nan, np.float32)
    parts = [_part(picture, box, name) for name in BODY_PARTS]
    if parts[0] is None:
        return shares
    middle = float(np.median(parts[0][:, 0]))
    for number, pixels in enumerate(parts):
        if pixels is not None:
            pixels = pixels - np.array([middle, 0, 0], np.float32)
            counts, _ = np.histogramdd(pixels, bins=[LIGHT, COLOUR, COLOUR])
            counts = np.stack([cv2.GaussianBlur(level, *BLUR) for level in counts])
            counts = _beside(counts).ravel()
            shares[number] = counts / max(counts.sum(), 1e-9)
    return shares


def _beside(counts: np.ndarray) -> np.ndarray:
    """Smooth over lightness: a quarter of each bin moves to the one above, a quarter to the one
    below.
    """
    padded = np.pad(counts, ((1, 1), (0, 0), (0, 0)))
    return 0.5 * counts + 0.25 * (padded[:-2] + padded[2:])


def _part(picture: np.ndarray, box: np.ndarray, name: str) -> np.ndarray | None:
    """Pixels of a part, (n, 3) float32 CIELAB as OpenCV writes it; None if hardly any are in the
    picture.
    """
    half, top, bottom = BODY_PARTS[name]
    x, y, width, height = (float(value) for value in box)
    left, right = x + width / 2 - half * width, x + width / 2 + half * width
    upper, lower = y + top * height, y + bottom * height
    first, last = max(0, int(left)), min(picture.shape[1], int(right))
    begin, end = max(0, int(upper)), min(picture.shape[0], int(lower))
    share = max(0, last - first) * max(0, end - begin) / ((right - left) * (lower - upper) + 1e-9)
    if share < SEEN_SHARES[name] or share == 0:
        return None
    small = cv2.resize(picture[begin:end, first:last], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float32)


def _mean(looks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of (n, 3, bins) over the frames that show a part; NaN for a part that is never seen."""
    seen = np.isfinite(looks[:, :, 0]) * weights[:, None]
    total = np.einsum("np,npb->pb", seen, np.nan_to_num(looks))
    count = seen.sum(axis=0)
    mean = np.where(count[:, None] > 0, total / np.maximum(count, 1e-9)[:, None], np.nan)
    return mean.astype(np.float32)


def alike(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Similarity of a look (3, bins) to others (n, 3, bins): (n, 3), 0…1, NaN where unseen."""
    return _alike(np.sqrt(one), np.sqrt(others))


def _alike(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`alike` for square roots of histograms."""
    return np.einsum("pb,npb->np", one, others)


class _People:
    """The people known so far: their stretches, their looks, and how long they are seen."""

    def __init__(self, tracks: np.ndarray):
        self.tracks = tracks
        self.stretches: list[list[Stretch]] = []
        self.looks: list[np.ndarray] = []
        self.lengths: list[int] = []
        # Square roots of all looks in one growing array: a long film has thousands of stretches.
        self.roots = np.zeros((16, len(BODY_PARTS), BINS), np.float32)
        # of stretches
        self.boxes, self.owners, self.count = (np.zeros((16, 4)), np.zeros(16, int), 0)

    def add(self, stretch: Stretch, who: int, alike: float) -> None:
        """Assign a stretch to a person; to a new one if the number is unknown."""
        stretch.who, stretch.alike, length = who, alike, len(stretch.rows)
        self.boxes, self.owners = (
            _with_room(self.boxes, self.count),
            _with_room(self.owners, self.count),
        )
        self.boxes[self.count], self.owners[self.count] = stretch.box, who
        self.count += 1
        if who == len(self.looks):
            self.stretches.append([stretch])
            self.looks.append(stretch.looks)
            self.lengths.append(length)
            self.roots = _with_room(self.roots, who)
            self.roots[who] = np.sqrt(stretch.looks)
            return
        weights = np.array([self.lengths[who], length], float)
        self.looks[who] = _mean(np.stack([self.looks[who], stretch.looks]), weights)
        self.roots[who] = np.sqrt(self.looks[who])
        self.stretches[who].append(stretch)
        self.lengths[who] += length

    def scores(self, stretch: Stretch) -> np.ndarray:
        """Similarity of a stretch to each person, −1 if it cannot be the same one."""
        parts = _alike(np.sqrt(stretch.looks), self.roots[: len(self.looks)])
        least = np.where(np.isfinite(parts), parts, np.inf).min(axis=1)
        clothed = np.isfinite(parts[:, CLOTHES])
        enough = np.where(clothed, SIMILARITY, SIMILARITY_WITHOUT_CLOTHES)
        placed = clothed | self._at_place_of(stretch)
        scores = np.where(np.isfinite(least) & (least >= enough) & placed, least, -1.0)
        for number in np.flatnonzero(scores >= 0):
            if any(_meet(other, stretch, self.tracks) for other in self.stretches[number]):
                scores[number] = -1.0
        return scores

    def here(self, stretch: Stretch) -> np.ndarray:
        """The bonus of each person who is at the same place."""
        return PLACE * self._at_place_of(stretch).astype(float)

    def _at_place_of(self, stretch: Stretch) -> np.ndarray:
        """(people,) bool: who was at the same place in the same size at some time."""
        boxes, owners = self.boxes[: self.count], self.owners[: self.count]
        box, width = stretch.box, max(stretch.box[2], 1.0)
        widths = np.maximum(boxes[:, 2], 1.0)
        most, least = np.maximum(widths, width), np.minimum(widths, width)
        middles = boxes[:, :2] + boxes[:, 2:] / 2
        apart = np.linalg.norm(middles - (box[:2] + box[2:] / 2), axis=1)
        near = (most <= GROWTH * least) & (apart <= NEAR * most)
        is_near = np.zeros(len(self.looks), bool)
        is_near[owners[near]] = True
        return is_near


def _with_room(rows: np.ndarray, count: int) -> np.ndarray:
    """The same array, twice as long where `count` rows fill it."""
    return np.concatenate([rows, np.zeros_like(rows)]) if count == len(rows) else rows


def join(tracks: np.ndarray, every: Sequence[Stretch]) -> list[Stretch]:
    """Assign each stretch to a person (`who`, from 0) to whom it is similar enough, and with whom
    it is never seen together.

    All faces of a shot are assigned together, so that the sum of similarities is largest; among
    people who look much the same, the one at the same place is preferred. The longest shots come
    first.
    """
    people = _People(tracks)
    shots: dict[int, list[Stretch]] = {}
    for stretch in every:
        shots.setdefault(stretch.shot, []).append(stretch)
    for own in sorted(shots.values(), key=lambda own: -sum(len(one.rows) for one in own)):
        left = _given_together(own, people) if people.looks else list(own)
        for stretch in sorted(left, key=lambda one: -len(one.rows)):
            known = [one for one in own if one.who >= 0]
            scores = people.scores(stretch) if known else np.zeros(0)
            if len(scores) and scores.max() >= 0:  # one person at two places of a shot
                people.add(stretch, int(np.argmax(scores)), float(scores.max()))
            else:
                people.add(stretch, len(people.looks), float("nan"))
    return list(every)


def _given_together(own: Sequence[Stretch], people: _People) -> list[Stretch]:
    """Assign the stretches of one shot to different people; returns those that are left."""
    # a machine that only trains need not have SciPy
    from scipy.optimize import linear_sum_assignment

    scores = np.stack([people.scores(stretch) for stretch in own])
    near = np.stack([people.here(stretch) for stretch in own])
    pairs = linear_sum_assignment(np.where(scores >= 0, -scores - near, 0.0))
    chosen = {row: who for row, who in zip(*pairs, strict=True) if scores[row, who] >= 0}
    for row, who in chosen.items():
        people.add(own[row], int(who), float(scores[row, who]))
    return [stretch for row, stretch in enumerate(own) if row not in chosen]


def _meet(one: Stretch, other: Stretch, tracks: np.ndarray) -> bool:
    return one.shot == other.shot and bool(
        np.isin(tracks[one.rows, 0], tracks[other.rows, 0]).any()
    )


def with_people(tracks: np.ndarray, every: Sequence[Stretch]) -> np.ndarray:
    """(N, 20) float32: the tracks in their order with the person (NaN for none) and the similarity
    to that person (NaN in the first stretch). Tracks end with their shots, and are numbered in the
    order in which they begin.
    """
    out = np.column_stack([tracks, np.full((len(tracks), 2), np.nan)]).astype(np.float32)
    pieces = np.zeros((len(tracks), 2))
    pieces[:, 0] = tracks[:, 1]
    for stretch in every:
        out[stretch.rows, -2] = stretch.who
        out[stretch.rows, -1] = stretch.alike
        pieces[stretch.rows, 1] = stretch.shot
    _, first, number = np.unique(pieces, axis=0, return_index=True, return_inverse=True)
    out[:, 1] = np.argsort(np.argsort(first))[number.ravel()]
    return out
