"""Arrays of the expression network in the store: its 256 numbers for every face of a video, and for
one person's face in every frame.

Rows of `track_face_api` are those of `tracks`: one per face and frame, whoever it is. `face_api`
has one row per frame, NaN where the trial's person has no face. The seven expressions follow from
these numbers by the network's last layer (`lib.recipes.expression`).

Where the landmarks of neighbouring frames decide what is cut out, pictures wait until those of the
next frames are known. A long recording is processed in stretches (`lib.media.stretches`), twice:
first for the landmarks of all faces.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..faces import arrays, crops, expression_crop, films, persons, tracking
from ..media import readings, stretches
from ..models import weights
from ..store import ByStretch, Maker, Request, Store, request

NETWORK, LANDMARKS = "face_api", "face_api_landmarks"
BOXES = "track_landmark_boxes"
CROPS = ("square", "detector", "five_points")
# Points' box in longer sides of the detector's, below which the points are not believed: on faces
# of about 30 px and behind hands they draw together, elsewhere their box has .75 to .81 (§1.5).
DRAWN_TOGETHER = 0.6
REACH = expression_crop.MEDIAN // 2  # rows of a track, on both sides, that a square depends on
WAITING_BYTES = 32 << 20  # of pictures, above which a batch of faces is not waited for
BATCH = 16  # faces per batch; 64 were no faster, and took .27 GB more
BLOCK = 9000  # rows that are copied at once: 9 MB
VERSIONS = {"track_face_api": 1, BOXES: 1, "face_api": 1}


def files(crop: str, weights_root: Path | None) -> dict[str, Path]:
    """The files of the networks that a rule for the crop needs, by names of an array's inputs."""
    root = Path(weights_root or "weights")
    names = {"network": NETWORK, "network_numbers": "face_api_numbers"}
    if crop == "square":
        names |= {"landmarks": LANDMARKS, "landmarks_numbers": "face_api_landmarks_numbers"}
    return {key: weights.path(name, root) for key, name in names.items()}


def wanted(crop: str, weights_root: Path | None) -> Request:
    """The request for a trial's 256 numbers per frame, its faces cut by a rule of `CROPS`."""
    if crop not in CROPS:
        raise InputError(f"crop: {crop}", expected=", ".join(CROPS), todo="correct the option")
    return request("face_api", files(crop, weights_root), crop=crop)


def resolve(trial: Mapping, asked: Request, store: Store) -> Request:
    """The same request with the choice of faces and the person (`lib.faces.arrays.resolve`).

    Existing crops are used as they are: no rule cuts them.
    """
    given = asked.files or files(asked.parameters.get("crop", CROPS[0]), store.weights_root)
    face = arrays.resolve(trial, request("face_valid"), store)
    own = {"crop": CROPS[0], **asked.parameters, **face.parameters}
    if not face.parameters.get("faces"):  # crops
        own.pop("crop")
        given = {name: file for name, file in given.items() if name.startswith("network")}
    return request(asked.name, given, **own)


def prepare(trial: Mapping, asked: Request, store: Store) -> None:
    """Fetch the networks and the face detector when they are needed for the first time."""
    if store.fetch:
        weights.provide(weights.path(NETWORK, store.weights_root or Path("weights")))
    arrays.prepare(trial, request("face_valid"), store)


def note(resolved: Request, store: Store) -> str:
    return arrays.note(resolved, store)


# ---- what they are made from
def sources(trial: Mapping, asked: Request) -> dict:
    """Inputs of `face_api`: the video's faces, the data set's crops, or nothing but the times."""
    choice, base = asked.parameters.get("faces", "crops"), {"time": request("time")}
    if choice == "detect":
        other = {key: asked.parameters[key] for key in ("detector",) if key in asked.parameters}
        rows = request("track_face_api", asked.files, crop=asked.parameters["crop"], **other)
        return {"rows": rows, "tracks": request("tracks", **other), **base}
    if choice in ("centre", arrays.NONE):
        return base
    if not Path(trial["crops_dir"]).suffix:
        return {"crops": trial["crops_dir"], **asked.files, **base}
    raise InputError(
        "faces that are cut for another network",
        where=f"trial {trial['trial']}: {trial['crops_dir']}",
        expected="a video, or a folder of cropped faces",
        todo="set `faces: detect`",
    )


def sources_of_rows(trial: Mapping, asked: Request) -> dict:
    """Inputs of `track_face_api` and of `BOXES`: the video and its faces; of a long recording the
    times of its frames and the boxes of all landmarks, too.
    """
    other = {key: asked.parameters[key] for key in ("detector",) if key in asked.parameters}
    followed = request("tracks", cuts=arrays.KEPT, **other)
    inputs = {"video": trial["video_path"], "tracks": followed, **asked.files}
    if not stretches.is_cut(asked):
        return inputs
    if asked.name != BOXES and asked.parameters["crop"] == CROPS[0]:
        landmarks = {key: path for key, path in asked.files.items() if key.startswith("landmarks")}
        inputs["boxes"] = request(BOXES, landmarks, **other)
    return {**inputs, "time": request("time")}


# ---- making them
@contextlib.contextmanager
def part_of_rows(inputs, parameters, piece, create, device) -> Iterator[Callable]:
    """(n, 256) float32, one row for every row of `tracks` in the frames of a stretch
    (`store.ByStretch`).
    """
    net, tracks = _network(NETWORK, inputs, device), np.asarray(inputs["tracks"])
    centre, side, remark = squares(inputs, parameters["crop"], tracks)
    first, stop = tracking.rows(tracks, piece.first, piece.stop)
    with create((stop - first, net.fc.in_features), np.float32, note=remark) as out:

        def look(rows: np.ndarray, cut: np.ndarray) -> None:
            out[rows - first] = _outputs(net, cut, "features")

        faces = _Faces(tracks, centre, side, look)
        yield faces.feed
        faces.flush()


@contextlib.contextmanager
def part_of_boxes(inputs, parameters, piece, create, device) -> Iterator[Callable]:
    """(n, 4) float64 px: the box of the 68 landmarks (`expression_crop.corners`) of the same
    rows.
    """
    tracks = np.asarray(inputs["tracks"])
    first, stop = tracking.rows(tracks, piece.first, piece.stop)
    with create((stop - first, 4), np.float64) as out:

        def take(rows: np.ndarray, boxes: np.ndarray) -> None:
            out[rows - first] = boxes

        faces = _landmarks(inputs, tracks, device, take)
        yield faces.feed
        faces.flush()


def _landmarks(inputs, tracks: np.ndarray, device, take: Callable) -> _Faces:
    """Finds landmarks. take(rows, boxes) : gets their box of each row of `tracks`, (n, 4) px."""
    net = _network(LANDMARKS, inputs, device)
    centre, side = expression_crop.of_box(tracks[:, tracking.BOX])

    def look(rows: np.ndarray, cut: np.ndarray) -> None:
        points = _outputs(net, cut, "landmarks")
        points = expression_crop.in_picture(points, centre[rows], side[rows])
        take(rows, expression_crop.corners(points))

    return _Faces(tracks, centre, side, look)


@contextlib.contextmanager
def rows_by_landmarks(inputs, parameters, piece, create, device) -> Iterator[Callable]:
    """`part_of_rows` of a whole recording, cut by landmarks that are found on the way: a picture
    waits until those of the next frames are known.
    """
    tracks = np.asarray(inputs["tracks"])
    net, crop = _network(NETWORK, inputs, device), _Squares(tracks)
    out = np.empty((len(tracks), net.fc.in_features), np.float32)
    waiting: deque[tuple[int, np.ndarray]] = deque()

    def look(rows: np.ndarray, cut: np.ndarray) -> None:
        out[rows] = _outputs(net, cut, "features")

    faces = _Faces(tracks, crop.centre, crop.side, look)
    landmarks = _landmarks(inputs, tracks, device, crop.take)

    def cut_out() -> None:
        while waiting and tracking.rows(tracks, waiting[0][0], waiting[0][0] + 1)[1] <= crop.known:
            faces.feed(*waiting.popleft())

    def feed(frame: int, picture: np.ndarray) -> None:
        waiting.append((frame, picture))
        landmarks.feed(frame, picture)
        if len(waiting) * picture.nbytes > WAITING_BYTES:
            landmarks.flush()
        cut_out()

    yield feed
    landmarks.flush()
    cut_out()
    faces.flush()
    with create(out.shape, np.float32, note=crop.remark) as whole:
        whole[...] = out


def make_rows(inputs, parameters, create, device) -> None:
    """`part_of_rows` of a recording that is not cut into stretches, which is decoded once."""
    by_landmarks = parameters["crop"] == CROPS[0] and len(inputs["tracks"])
    part = rows_by_landmarks if by_landmarks else part_of_rows
    films.in_one_pass(part, inputs, parameters, create, device)


def squares(inputs, crop: str, tracks: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Centre (N, 2) and side (N,) px of the square of each row of `tracks`, and a remark."""
    box = tracks[:, tracking.BOX]
    if crop == "five_points":
        five = tracks[:, tracking.LANDMARKS].reshape(-1, 5, 2)
        return *expression_crop.from_five_points(five), ""
    if crop == "detector" or not len(tracks):
        return *expression_crop.from_box(box), ""
    by_points = _Squares(tracks)
    by_points.take(np.arange(len(tracks)), np.asarray(inputs["boxes"]))
    return by_points.centre, by_points.side, by_points.remark


class _Squares:
    """The squares by the landmarks of neighbouring frames, of all rows of `tracks`.

    centre (N, 2), side (N,) : px; right for rows below `known`, as far as the boxes of the next
    rows of the same track are there.
    """

    def __init__(self, tracks: np.ndarray):
        self.centre, self.side = expression_crop.from_box(tracks[:, tracking.BOX])
        self.known = 0
        self._longer = expression_crop.of_box(tracks[:, tracking.BOX])[1]
        self._boxes = np.full((len(tracks), 4), np.nan)
        self._by_points = np.full(len(tracks), False)
        names, self._number = np.unique(tracks[:, 1], return_inverse=True)
        self._rows = [np.flatnonzero(self._number == number) for number in range(len(names))]
        self._needed = np.empty(len(tracks), int)  # the last row whose box a square depends on
        for rows in self._rows:
            self._needed[rows] = rows[np.minimum(np.arange(len(rows)) + REACH, len(rows) - 1)]

    def take(self, rows: np.ndarray, boxes: np.ndarray) -> None:
        """The boxes (n, 4) of the next rows."""
        self._boxes[rows] = boxes
        before, self.known = self.known, self._until(rows[-1] + 1)
        for number in np.unique(self._number[before : self.known]):
            self._settle(self._rows[number], before, self.known)

    def _until(self, there: int) -> int:
        """The first row that depends on more than the first `there` boxes."""
        later = np.flatnonzero(self._needed[self.known :] >= there)
        return self.known + int(later[0]) if len(later) else len(self._needed)

    def _settle(self, rows: np.ndarray, first: int, stop: int) -> None:
        """Squares of those rows of a track that are from `first` to `stop` − 1."""
        begin, end = np.searchsorted(rows, (first, stop))
        low = max(0, begin - REACH)
        at, length = expression_crop.from_corners(self._boxes[rows[low : end + REACH]])
        inside, rows = slice(begin - low, end - low), rows[begin:end]
        good = length[inside] >= DRAWN_TOGETHER * expression_crop.WIDENED * self._longer[rows]
        self.centre[rows[good]], self.side[rows[good]] = at[inside][good], length[inside][good]
        self._by_points[rows[good]] = True

    @property
    def remark(self) -> str:
        rest, count = int((~self._by_points).sum()), len(self._by_points)
        why = f"{rest} of {count} faces cut by the detector's box: their points draw together"
        return why if rest else ""


class _Faces:
    """Cuts faces out of pictures, which come in the order of the frames, and passes them on in
    batches of `BATCH` and a few more.

    tracks : (N, ·). centre (N, 2), side (N,) : px of each row. look(rows, faces (n, 112, 112, 3)
    uint8) : the function that processes them.
    """

    def __init__(self, tracks: np.ndarray, centre: np.ndarray, side: np.ndarray, look: Callable):
        self._tracks, self._centre, self._side, self._look = tracks, centre, side, look
        self._rows: list[int] = []
        self._cut: list[np.ndarray] = []

    def feed(self, frame: int, picture: np.ndarray) -> None:
        """The faces of a picture (H, W, 3) uint8 RGB."""
        for row in range(*tracking.rows(self._tracks, frame, frame + 1)):
            self._rows.append(row)
            self._cut.append(expression_crop.cut(picture, self._centre[row], self._side[row]))
        if len(self._rows) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Process the rest."""
        if self._rows:
            self._look(np.array(self._rows), np.stack(self._cut))
            self._rows, self._cut = [], []


def make_face_api(inputs, parameters, create, device) -> None:
    """(T, 256) float32, NaN where the trial's person has no face."""
    n_frames = len(inputs["time"])
    if "crops" in inputs:
        _fill_from_crops(inputs, n_frames, create, device)
        return
    remark = inputs.get("rows_facts", {}).get("note", "")
    with create((n_frames, 256), np.float32, note=remark) as out:
        if "rows" not in inputs:
            out[...] = np.nan
            return
        tracks = np.asarray(inputs["tracks"])
        width = inputs["tracks_facts"]["width"]
        person = persons.choose(persons.find(tracks), parameters["person"], width)
        rows = persons.rows(tracks, person, n_frames)
        for start in range(0, n_frames, BLOCK):  # hours are not copied at once
            some = rows[start : start + BLOCK]
            block = np.full((len(some), 256), np.nan, np.float32)
            block[some >= 0] = inputs["rows"][some[some >= 0]]
            out[start : start + BLOCK] = block


def _fill_from_crops(inputs, n_frames: int, create, device) -> None:
    net, folder = _network(NETWORK, inputs, device), inputs["crops"]
    paths = crops.paths(folder, n_frames, np.asarray(inputs["time"]))
    with create((n_frames, net.fc.in_features), np.float32) as out:
        out[...] = np.nan
        frames = np.array(list(paths), int)
        for start in range(0, len(frames), BATCH):
            some = frames[start : start + BATCH]
            faces = [_square(crops.read(paths[frame])) for frame in some]
            out[some] = _outputs(net, np.stack(faces), "features")


def _square(picture: np.ndarray) -> np.ndarray:
    whole = expression_crop.padded(picture)
    middle = np.full(2, len(whole) / 2)
    return expression_crop.cut(whole, middle, len(whole))


def _network(name: str, inputs: Mapping, device):
    from ..models import device as devices
    from ..models.published import load_published  # torch is needed for these arrays only

    key = "landmarks" if name == LANDMARKS else "network"  # as `files` calls its inputs
    for file in (inputs[key], inputs[f"{key}_numbers"]):
        weights.verify(file)
    return load_published(name, inputs[key]).to(devices.pick(device))


def _outputs(net, faces: np.ndarray, name: str) -> np.ndarray:
    import torch

    from ..models import memory

    device = next(net.parameters()).device

    def compute(start: int, stop: int) -> np.ndarray:
        batch = {"face": torch.from_numpy(faces[start:stop]).to(device)}
        return net(batch)[name].float().cpu().numpy()

    with torch.inference_mode():
        pieces = [rows for _, rows in memory.pieces(compute, len(faces), len(faces))]
    return np.concatenate(pieces)


def _of_tracks(name: str, part: Callable, make: Callable) -> Maker:
    return Maker(
        name,
        "visual",
        "video",
        VERSIONS[name],
        sources_of_rows,
        make,
        readings.resolve_length,
        network=True,
        by_stretch=ByStretch(stretches.is_cut, part, stretches.concatenated),
    )


MAKERS = [
    _of_tracks("track_face_api", part_of_rows, make_rows),
    _of_tracks(BOXES, part_of_boxes, partial(films.in_one_pass, part_of_boxes)),
    Maker(
        "face_api",
        "visual",
        "trial",
        VERSIONS["face_api"],
        sources,
        make_face_api,
        resolve,
        prepare,
        note,
        network=True,
    ),
]
