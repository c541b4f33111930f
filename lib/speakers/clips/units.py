"""One person in fixed-length clips, as a speaker network is trained on them: crops, sound, labels
of every frame.

Clips are read by their own description alone (`clip.json`, schema avclip/1, speaker specification
§2.5): whoever made them, and from which data set. Crops are cut out of the pictures once and kept
in the store.
"""

from __future__ import annotations

import contextlib
import json
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from ... import store
from ...errors import InputError
from ...faces import speaker_crops
from ...files import named, version
from ...media import pictures
from . import SCHEMA
from .schema import INDEX_COMMAND, MOST_SIDE, boxes, numbers, refuse_another

UNKNOWN = -1  # label of a frame without any information
CROP_VERSION = 1  # raised when `speaker_crops` or this module gives other pictures
COLUMNS = ("video", "person", "split", "start", "n_frames", "path")

MOST_RATE = 1_000_000  # samples per second


@dataclass(frozen=True)
class Unit:
    """One person in one clip. `start` is the clip's first frame; `path` its clip.json."""

    video: str
    person: str
    start: int
    n_frames: int
    path: Path

    @property
    def told(self) -> dict:
        """The content of clip.json, checked."""
        clip = read_json(self.path)
        with _described(self.path):
            return self._checked(clip)

    def _checked(self, clip: dict) -> dict:
        refuse_another(clip, self.path)
        if int(clip["n_frames"]) != self.n_frames:
            raise InputError(
                f"a clip of {clip['n_frames']} frames, {self.n_frames} in the index",
                where=self.path,
                todo=f"write the index again: {INDEX_COMMAND}",
            )
        return clip

    @property
    def _person(self) -> dict:
        clip = self.told
        with _described(self.path):
            persons = [
                person for person in clip["persons"] if str(person["person_id"]) == self.person
            ]
        if len(persons) != 1:
            raise InputError(
                f"{len(persons)} persons are called {self.person!r}",
                where=self.path,
                expected="one",
                todo=f"write the index again: {INDEX_COMMAND}",
            )
        return persons[0]

    @property
    def fps(self) -> Fraction:
        """Frames per second."""
        clip = self.told
        with _described(self.path):
            if (fps := Fraction(*clip["fps"])) <= 0:
                raise ValueError(f"{fps} frames per second")
            return fps

    def labels(self) -> dict[str, np.ndarray]:
        """Labels of every frame, (n,) each.

        `speaking` int8, −1 where the face is not visible; `visible` bool; `voice` int8, 1 where
        anybody is heard, −1 unknown; `position` (n, 2) float32, row and column of the face's centre
        on a 16×16 grid.
        """
        with _described(self.path):
            return self._labels()

    def _labels(self) -> dict[str, np.ndarray]:
        n, person = self.n_frames, self._person
        visible = _bits(person["visible"], n, self.path) == 1
        speaking = np.where(visible, _bits(person["asd"], n, self.path), UNKNOWN).astype(np.int8)
        voice = np.full(n, UNKNOWN, np.int8)
        if "speech" in self.told:
            voice = _bits(self.told["speech"], n, self.path)
        return {
            "speaking": speaking,
            "visible": visible,
            "voice": voice.astype(np.int8),
            "position": self._positions(),
        }

    def boxes(self) -> np.ndarray:
        """(n, 4) x, y, width, height in px; NaN where the person is not visible."""
        with _described(self.path):
            return self._boxes()

    def _boxes(self) -> np.ndarray:
        rows = boxes(self._person, self.n_frames, self.path)
        rows[:, 2:] -= rows[:, :2]
        return rows

    def _positions(self) -> np.ndarray:
        width, height = self.told["image_size"]
        if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
            raise ValueError(f"pictures of {width}×{height} px")
        boxes = self.boxes()
        centre = np.stack(
            [(boxes[:, 1] + boxes[:, 3] / 2) / height, (boxes[:, 0] + boxes[:, 2] / 2) / width],
            axis=1,
        )
        return np.nan_to_num(16 * centre).astype(np.float32)

    def sound(self, first: int, last: int) -> tuple[np.ndarray, int]:
        """Samples (n,) int16 of frames first … last−1, and their rate; silence beyond the file."""
        clip = self.told
        with _described(self.path):
            path, rate = self.path.parent / clip["audio"]["path"], int(clip["audio"]["sr"])
            if not 0 < rate <= MOST_RATE:
                raise ValueError(f"{rate} samples per second")
            begin, end = (int(Fraction(frame * rate) / self.fps) for frame in (first, last))
        try:
            with wave.open(str(path)) as file:
                if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate):
                    raise InputError(
                        "sound of another kind",
                        where=path,
                        expected=f"one channel, 16 bits, {rate} Hz",
                        todo="make this clip again",
                    )
                file.setpos(min(begin, file.getnframes()))
                samples = np.frombuffer(file.readframes(end - begin), np.int16)
        except (OSError, wave.Error, EOFError) as error:
            raise InputError(
                f"the sound of a clip cannot be read ({error})",
                where=path,
                todo="make this clip again",
            ) from error
        return np.pad(samples, (0, end - begin - len(samples))), rate

    def picture(self, index: int) -> Path:
        """Picture of a frame of the clip."""
        description = self.told
        with _described(self.path):
            description, pattern = description["frames"], description["frames"]["pattern"]
            if pattern != pictures.PATTERN:  # a width of 2 000 000 000 digits is a number, too
                raise ValueError(f"pictures called {str(pattern)[:40]}")
            return (
                self.path.parent
                / description["dir"]
                / (pattern % (int(description["first"]) + index))
            )

    def cut(self, first: int, last: int, crop: str, size: int) -> np.ndarray:
        """Crops (n, size, size) uint8 of frames first … last−1, grey where no face is visible."""
        out, boxes = np.full((last - first, size, size), speaker_crops.FILL, np.uint8), self.boxes()
        for row in np.flatnonzero(np.isfinite(boxes[first:last, 0])):
            grey = cv2.cvtColor(pictures.read(self.picture(first + row)), cv2.COLOR_RGB2GRAY)
            out[row] = speaker_crops.cut(grey, boxes[first + row], crop, size)
        return out

    def faces(
        self, first: int, last: int, crop: str, size: int, folder: Path | None = None
    ) -> np.ndarray:
        """`cut`, from the array of all crops of this unit under `folder`, made if need be."""
        if folder is None:
            return self.cut(first, last, crop, size)
        # There are too many pictures to fingerprint all of them; the first one reveals a clip that
        # was made again.
        inputs = {"clip": store.fingerprint(self.path), "first": store.fingerprint(self.picture(0))}
        made_from = {
            "name": f"face_{crop}",
            "parameters": {"size": size},
            "version": CROP_VERSION,
            "inputs": inputs,
        }
        shelf = store.Shelf(named(folder, f"{self.video}_f{self.start:06d}_{self.person}"))
        if not shelf.path(made_from).is_file():
            shelf.write(made_from, self.cut(0, self.n_frames, crop, size))
        return store.read(shelf.path(made_from))[first:last]


def read_index(root: Path) -> pd.DataFrame:
    """Units of a root of clips from its train.jsonl and val.jsonl, columns as in `COLUMNS`, sorted.

    Raises InputError where there is no index, or a line of it leads out of the root.
    """
    root, rows = Path(root), []
    files = [
        root / f"{split}.jsonl"
        for split in ("train", "val", "test")
        if (root / f"{split}.jsonl").is_file()
    ]
    if not files:
        raise InputError(
            "no index of clips",
            where=root,
            expected="train.jsonl and val.jsonl",
            todo="make the clips with notebook 04_preprocess_labels or python -m lib clips all",
        )
    for file in files:
        for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
            if line.strip():
                rows.append(_index_row(root, file, number, line))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["video", "person", "start"], ignore_index=True)


def _index_row(root: Path, file: Path, number: int, line: bytes) -> dict:
    try:
        entry = json.loads(line)
        path = Path(entry["path"])
        clip, video = str(entry["clip_id"]).split("/")[-1], str(entry["clip_id"]).split("/")[0]
        start = int(entry.get("start_frame", clip.removeprefix("clip_f")))
        row = {
            "video": video,
            "person": str(entry["person_id"]),
            "split": file.stem,
            "start": start,
            "n_frames": int(entry["n_frames"]),
        }
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise InputError(
            f"line {number} of an index of clips cannot be read ({error})",
            where=file,
            expected="clip_id, person_id, n_frames, path",
            todo=INDEX_COMMAND,
        ) from error
    if path.is_absolute() or ".." in path.parts:
        raise InputError(
            f"line {number} leads out of the clips: {path}",
            where=file,
            expected="a path inside",
            todo=INDEX_COMMAND,
        )
    return {
        **row,
        "path": str(root / path if path.suffix == ".json" else root / path / "clip.json"),
    }


def units(table: pd.DataFrame) -> list[Unit]:
    """The rows of `read_index` as units."""
    return [
        Unit(row.video, row.person, row.start, row.n_frames, Path(row.path))
        for row in table.itertuples(index=False)
    ]


def labels(units: Sequence[Unit]) -> dict[str, np.ndarray]:
    """`Unit.labels` of one person's clips joined to (T,) each, from the video's first frame to the
    last clip's last.

    Frames of no clip are unknown (−1) and not visible.
    """
    n = max((unit.start + unit.n_frames for unit in units), default=0)
    rows = {
        "speaking": np.full(n, UNKNOWN, np.int8),
        "voice": np.full(n, UNKNOWN, np.int8),
        "visible": np.zeros(n, bool),
        "position": np.zeros((n, 2), np.float32),
    }
    for unit in units:
        for name, values in unit.labels().items():
            rows[name][unit.start : unit.start + unit.n_frames] = values
    return rows


def parts(units: Sequence[Unit], first: int, last: int) -> Iterator[tuple[Unit, int, int]]:
    """(unit, first and one past last frame in it) of the clips that some frames lie in."""
    for unit in units:
        begin, end = max(first, unit.start), min(last, unit.start + unit.n_frames)
        if begin < end:
            yield unit, begin - unit.start, end - unit.start


def _bits(series: list | dict, n: int, path: Path) -> np.ndarray:
    """A list of n whole numbers, or runs ({"rle": [[value, count], …]}), as (n,) int8."""
    return numbers(series, n, path, "make this clip again")


def read_json(path: Path) -> dict:
    """Read a description; it is cached while the file does not change. Raises InputError."""
    try:
        return _parsed(path, version(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"the description of a clip cannot be read ({error})",
            where=path,
            todo="make this clip again, or write the index again",
        ) from error


@contextlib.contextmanager
def _described(path: Path) -> Iterator[None]:
    """Turn whatever is wrong inside a clip.json into an error of that clip."""
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the description of a clip is damaged ({type(error).__name__}: {str(error)[:80]})",
            where=path,
            expected=SCHEMA,
            todo="make this clip again, or write the index again: python -m lib clips index",
        ) from error


@lru_cache(maxsize=256)  # thousands of clips of some 100 kB each would fill the memory
def _parsed(path: Path, _version: tuple) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
