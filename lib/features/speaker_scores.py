"""From faces and sound to speaking scores: the network of a run or of a published file, in windows
of any video.

Long recordings are cut into windows of the length that the network knows, a third of which
overlaps; logits are averaged with triangular weights, so that frames near a window's edge count
less (speaker specification §4.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..faces import speaker_crops
from ..media.frames import nearest
from ..models import checkpoints, networks, published
from ..models.base import Model
from . import mfcc

# s, over which the published multi-duration averaging actually averages (speaker specification
# §3.4)
DURATIONS = (1, 2, 3, 4, 5, 6)
PUBLISHED_FPS = 25.0  # of everything that AVA and TalkSet networks were trained on
PUBLISHED_WINDOW = 500  # frames, 20 s: longer than nearly all of AVA's tracks
PUBLISHED_SIZE = 112  # px
FIT = 1e-6
# Of one face: how much the mean of some windows counts, and the (start, stop) of each of them.
Rules = list[tuple[int, list[tuple[int, int]]]]
NETWORK_OF = {"GRU": "light_asd", "detector": "lr_asd"}  # part of a network's keys -> its name


@dataclass(frozen=True)
class Detector:
    """A network ready to score faces, with its crop, frame rate and length of windows."""

    net: torch.nn.Module
    name: str
    crop: str
    size: int
    fps: float
    window: int
    rules: str = "corrected"


def network(params: Mapping) -> Model:
    """The network of the recipe `talknet`, random weights; `params` are a run's, complete."""
    options, name = params["options"], params["options"]["network"]
    chosen = {
        "width": params["width"],
        "face_size": params["face_size"],
        "modality": params["modality"],
    }
    if name.startswith("talknet"):
        widths = ("visual_width", "audio_width", "attention_width")
        chosen |= {key: options[key] for key in (*widths, "visual_momentum", "dropout")}
    if name == "talknet_mrope":
        chosen |= {
            "layout": options["positions"],
            "cross_pairs": tuple(options["cross_pairs"]),
            "self_pairs": tuple(options["self_pairs"]),
            "window": options.get("attention_seconds", 0.0),
            "trained_frames": options.get("trained_frames", 0),
        }
    return networks.create(name, params["rules"] == "published", **chosen)


@lru_cache(maxsize=2)
def load(path: Path, device: str = "cpu", crop: str = "") -> Detector:
    """The network in a checkpoint of the recipe `talknet`, or in a file as the authors of a network
    published it.

    crop : "box" or "mouth" for a published file; "" takes what its name says (``talkset``: mouth,
        else box).
    Raises InputError for the weights of another network.
    """
    content = published.read(path)
    if published.is_run(content):
        return _of_run(content, path, device)
    crop = crop or ("mouth" if "talkset" in Path(path).name.lower() else "box")
    state = published.weights_in(content, path)
    parts = {part for key in state for part in key.split(".")}
    name = next((network for part, network in NETWORK_OF.items() if part in parts), "talknet")
    net = published.load_published(name, path)
    return Detector(net.to(device), name, crop, PUBLISHED_SIZE, PUBLISHED_FPS, PUBLISHED_WINDOW)


def _of_run(checkpoint: Mapping, path: Path, device: str) -> Detector:
    params = checkpoint["params"]
    if params["recipe"] != "talknet":
        raise InputError(
            f"a run of the recipe {params['recipe']}",
            where=path,
            expected="one of the recipe talknet",
            todo="name a run that learnt who is speaking",
        )
    net = network(params)
    checkpoints.fill(net, checkpoint, path)
    net.requires_grad_(False)
    fps = float(checkpoint.get("statistics", {}).get("fps", PUBLISHED_FPS))
    return Detector(
        net.eval().to(device),
        params["options"]["network"],
        params["options"]["crop"],
        params["face_size"],
        fps,
        params["clip_length"],
        params["rules"],
    )


def windows(n_frames: int, length: int) -> list[tuple[int, int]]:
    """(start, stop) of the windows of a piece: one if it fits, else windows of `length` frames
    every ⅔ of it.

    The last one ends with the piece, so that all are equally long.
    """
    if n_frames <= length:
        return [(0, n_frames)] if n_frames > 0 else []
    hop = max(1, 2 * length // 3)
    starts = [*range(0, n_frames - length, hop), n_frames - length]
    return [(start, start + length) for start in starts]


def average(pieces: Sequence[tuple[int, np.ndarray]], n_frames: int) -> np.ndarray:
    """Join overlapping windows: (T, k) float32, NaN where there is none.

    pieces : (first frame, (n, k) logits). Weights are triangular, highest in a piece's middle.
    """
    columns = pieces[0][1].shape[1] if pieces else 2
    total, weights = np.zeros((n_frames, columns)), np.zeros(n_frames)
    for start, rows in pieces:
        n = len(rows)
        weight = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1))
        total[start : start + n] += weight[:, None] * rows
        weights[start : start + n] += weight
    known = weights > 0
    out = np.full((n_frames, columns), np.nan, np.float32)
    out[known] = (total[known] / weights[known, None]).astype(np.float32)
    return out


def probability(logits: np.ndarray) -> np.ndarray:
    """(T, 2) logits of [not speaking, speaking] -> (T,) float32 p of speaking; NaN stays."""
    return (1 / (1 + np.exp(np.clip(logits[..., 0] - logits[..., 1], -500, 500)))).astype(
        np.float32
    )


def score(
    detector: Detector,
    faces: Callable[[int, int], np.ndarray],
    sound: np.ndarray,
    first: np.ndarray,
    durations: Sequence[float] = (),
) -> np.ndarray:
    """Logits of one face.

    Arguments
    ---------
    faces : (start, stop) -> (n, S, S) uint8 crops of these frames of the detector's grid, which are
        read as needed.
    sound : (n,) on the scale of int16, 16 kHz. first : (4T,) first sample of the sound rows
        (`mfcc.at_times`).
    durations : see `rules`.

    Returns (T, 2) float32.
    """
    n_frames = len(first) // mfcc.ROWS_A_FRAME
    window_rules = rules(detector, n_frames, durations)
    spans = (span for _, group in window_rules for span in group)
    return joined(
        window_rules, (logits(detector, faces, sound, first, *span) for span in spans), n_frames
    )


def rules(detector: Detector, n_frames: int, durations: Sequence[float] = ()) -> Rules:
    """The windows in which a face of so many frames of the detector's grid is scored.

    durations : s; () takes overlapping windows. Else the published averaging: the face is cut into
    pieces of each duration, each scored alone; the mean over durations. `DURATIONS` is what the
    published numbers used (their list repeats short ones, but a set drops repeats); here one that
    is given twice weighs twice.
    """
    if not durations:
        return [(1, windows(n_frames, detector.window))]
    counts = Counter(max(1, round(duration * detector.fps)) for duration in durations)
    return [(weight, _pieces(n_frames, length)) for length, weight in counts.items()]


def joined(groups: Rules, every: Iterable[np.ndarray], n_frames: int) -> np.ndarray:
    """(T, 2) float32, the logits of a face from those of its windows, in the order of `rules`.

    Windows that overlap are weighted; consecutive pieces, which never do, come out as they are.
    """
    every, total = iter(every), np.zeros((n_frames, 2), np.float32)
    for weight, group in groups:
        total += weight * average([(start, next(every)) for start, _ in group], n_frames)
    return total / max(sum(weight for weight, _ in groups), 1)


def _pieces(n_frames: int, length: int) -> list[tuple[int, int]]:
    """(start, stop) of consecutive pieces; the last one may be shorter."""
    return [(start, min(start + length, n_frames)) for start in range(0, n_frames, length)]


@torch.inference_mode()
def logits(
    detector: Detector,
    faces: Callable[[int, int], np.ndarray],
    sound: np.ndarray,
    first: np.ndarray,
    start: int,
    stop: int,
) -> np.ndarray:
    """(stop − start, 2) float32 logits of a window of one face; arguments as in `score`."""
    length, rows = mfcc.window(detector.fps), mfcc.ROWS_A_FRAME
    first, shown = first[rows * start : rows * stop], faces(start, stop)
    # Only the sound of this window is processed: otherwise a long recording would be filtered again
    # for each window.
    begin = max(0, int(first[0]) - 1) if len(first) else 0
    heard = mfcc.rows(sound[begin : max(int(first[-1]) + length, begin)], first - begin, length)
    time = np.arange(len(shown), dtype=np.float32) / detector.fps
    batch = {
        "face": shown.astype(np.float32),
        "mfcc": heard,
        "time": time,
        "audio_time": time + length / 2 / mfcc.RATE,
    }
    torch_device = next(detector.net.parameters()).device
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(values, np.float32))[None].to(torch_device)
        for name, values in batch.items()
    }
    return detector.net(tensors)["speaking"][0].float().cpu().numpy()


def grid(times: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """A network's own frame grid over a stretch of a video of any frame rate, also an uneven one.

    times : (n,) s, increasing, of the frames in which a face is tracked.

    Returns (T,) s of the grid from the first frame on, and (T,) which of the frames is shown at
    each: the nearest one.
    """
    times = np.asarray(times, np.float64)
    if len(times) < 2:
        return times.copy(), np.zeros(len(times), np.int64)
    count = int(np.floor((times[-1] - times[0]) * fps + 0.5 + FIT)) + 1
    when = times[0] + np.arange(count) / fps
    return when, nearest(times, when)


def on_frames(logits: np.ndarray, when: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, 2) logits on a grid -> (n, 2) of the video's frames, straight in between."""
    return np.stack([np.interp(times, when, column) for column in logits.T], axis=1).astype(
        np.float32
    )


def smooth(values: np.ndarray, radius: int) -> np.ndarray:
    """Running mean over 2·radius + 1 frames, shorter at the ends (the published one loses one)."""
    if radius <= 0 or not len(values):
        return values
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    frames = np.arange(len(values))
    low, high = np.maximum(frames - radius, 0), np.minimum(frames + radius + 1, len(values))
    return ((total[high] - total[low]) / (high - low)).astype(np.float32)


def grey_size(detector: Detector) -> tuple[str, int]:
    """Crop and side that the detector's faces are cut with."""
    if detector.crop not in speaker_crops.CROPS:
        raise InputError(f"crop {detector.crop!r}", expected=" or ".join(speaker_crops.CROPS))
    return detector.crop, detector.size
