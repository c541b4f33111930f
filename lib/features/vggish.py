"""VGGish per frame: row k is the sound of 0.96 s from frame k on (LFAN specification 1.7)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..media import stretches
from ..media.sound import cut
from ..models import checkpoints, memory, networks, published, weights
from ..models import device as models_device
from ..models.blocks.vggish import BANDS, EMBEDDING, ROWS
from ..store import UNREADABLE
from . import filterbanks
from .mfcc39 import HOP, RATE, WINDOW, grid

FFT = 512
LOW, HIGH = 125.0, 7500.0  # Hz
LOG_OFFSET = 0.01  # offset that is added before the logarithm
# Bounds memory: about 300 MB of the widest activations, whatever the recording's length.
FRAMES_AT_ONCE = 64
LARGEST_PCA = 1 << 20  # bytes of the published whitening, unpacked; it has 66 kB
RANDOM_NOTE = "VGGish with random weights: the values mean nothing"


@cache
def _filters() -> np.ndarray:
    """(257, 64) triangles, linear in mel, peak 1; the zero frequency counts nowhere."""
    filters = filterbanks.triangles(LOW, HIGH, BANDS, FFT, RATE)
    filters[0] = 0
    return filters


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(n,) int16 at 16 kHz -> (1 + (n − 400) // 160, 64) float64: log mel magnitudes + 0.01."""
    x = np.asarray(samples, np.float64) / 32768
    if len(x) < WINDOW:
        return np.zeros((0, BANDS))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)  # periodic
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    return np.log(np.abs(np.fft.rfft(frames * hann, FFT)) @ _filters() + LOG_OFFSET)


def examples(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(n, 64) log-mel rows -> (N, 96, 64), each from its start row on."""
    return rows[np.asarray(starts)[:, None] + np.arange(ROWS)]


def published_examples(samples: np.ndarray, fps: float) -> np.ndarray:
    """(N, 96, 64) of a whole file, sample 0 at frame 0: its last sample is heard one second more.

    As many as fit; the published pipeline repeats the last one for later frames.
    """
    longer = np.zeros(RATE, np.int16)
    if len(samples):
        longer = np.pad(np.asarray(samples), (0, RATE), mode="edge")
    rows, step = log_mel(longer), 100 / fps
    starts = np.rint(np.arange(1 + int((len(rows) - ROWS) / step)) * step)
    return examples(rows, starts.astype(np.int64))


class Heard:
    """A sound on the grid of a video's frames; its last sample is repeated for one second after its
    end, and elsewhere there is silence.

    samples : (n,) int16 at 16 kHz, sample i at ``t0 + i / 16000`` s. times : (T,) s.
    """

    def __init__(self, samples: np.ndarray, t0: float, times: np.ndarray):
        self.samples, self.starts = samples, grid(times)
        self.first = round((times[0] - t0) * RATE) if len(times) else 0

    def examples(self, frames: slice) -> np.ndarray:
        """(N, 96, 64) of some neighbouring frames."""
        starts = self.starts[frames]
        low, high = int(starts.min()), int(starts.max()) + ROWS
        start = self.first + low * HOP
        stop = self.first + (high - 1) * HOP + WINDOW
        heard = cut(self.samples, start, stop)
        end = len(self.samples)
        if end and start < end + RATE and stop > end:
            heard[max(end - start, 0) : end + RATE - start] = self.samples[-1]
        return examples(log_mel(heard), starts - low)


@lru_cache(maxsize=1)
def load(
    path: Path | None, torch_device: torch.device, width: float = 1.0, seed: int = 0
) -> torch.nn.Module:
    """The network with a file's weights, or random ones (`path` None), in evaluation mode."""
    if path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = networks.create("vggish", width=width)
    else:
        weights.verify(path)
        net = published.load_published("vggish", path)
    # In channels_last layout it takes two thirds of the time on a CPU.
    return net.eval().requires_grad_(False).to(torch_device, memory_format=torch.channels_last)


@torch.inference_mode()
def make(inputs, parameters, create, device, stretch: slice = slice(None)) -> None:
    """Fill (T, 128) float32, see `lib.store.Maker`. parameters: weights, width, seed. stretch :
    frames, of a long recording (`stretches.share_of_all`).
    """
    torch_device = models_device.pick(device)
    random = parameters["weights"] == "random"
    net = load(
        None if random else inputs["weights"],
        torch_device,
        parameters.get("width", 1.0),
        parameters.get("seed", 0),
    )
    times = np.asarray(inputs["time"])
    heard = Heard(inputs["sound"], inputs["sound_facts"]["t0"], times)
    note = RANDOM_NOTE if random else ""
    share = stretches.share_of_all(stretch, len(times), FRAMES_AT_ONCE)
    count = share.stop - share.first
    with create((count, EMBEDDING), np.float32, note=note, **share.told) as out:

        def features(start: int, stop: int) -> np.ndarray:
            frames = slice(share.first + start, share.first + stop)
            rows = heard.examples(frames).astype(np.float32)
            logmel = torch.from_numpy(rows)[:, None].to(torch_device)
            logmel = logmel.contiguous(memory_format=torch.channels_last)
            return net({"logmel": logmel})["vggish"].cpu().numpy()

        for frames, values in memory.pieces(features, count, FRAMES_AT_ONCE):
            out[frames] = values


# TensorFlow's variable, and the layer of `lib.models.blocks.vggish` that it belongs to.
LAYERS = {
    "vggish/conv1": "features.0",
    "vggish/conv2": "features.3",
    "vggish/conv3/conv3_1": "features.6",
    "vggish/conv3/conv3_2": "features.8",
    "vggish/conv4/conv4_1": "features.11",
    "vggish/conv4/conv4_2": "features.13",
    "vggish/fc1/fc1_1": "embeddings.0",
    "vggish/fc1/fc1_2": "embeddings.2",
    "vggish/fc2": "embeddings.4",
}


def state_dict(variables: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """TensorFlow's arrays by name -> weights by key: (h, w, in, out) to (out, in, h, w)."""
    state = {}
    for name, layer in LAYERS.items():
        missing = [part for part in ("weights", "biases") if f"{name}/{part}" not in variables]
        if missing:
            raise InputError(
                f"no variable {name}/{missing[0]}",
                where="a checkpoint of VGGish",
                expected=", ".join(list(variables)[:6]) or "variables of vggish_model.ckpt",
            )
        weight = np.asarray(variables[f"{name}/weights"], np.float32)
        order = (3, 2, 0, 1) if weight.ndim == 4 else (1, 0)
        state[f"{layer}.weight"] = torch.from_numpy(np.ascontiguousarray(weight.transpose(order)))
        state[f"{layer}.bias"] = torch.from_numpy(np.array(variables[f"{name}/biases"], np.float32))
    return state


def read(checkpoint: Path | str) -> dict[str, np.ndarray]:
    """All variables of a TensorFlow checkpoint. Raises InputError without TensorFlow."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise InputError(
            "TensorFlow is not installed",
            where=checkpoint,
            expected="TensorFlow, for this step only",
            todo="pip install tensorflow in an environment of its own and convert there; or take "
            "the "
            "PyTorch port: `python -m lib weights get vggish`",
        ) from error
    reader = tf.train.load_checkpoint(str(checkpoint))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def convert(checkpoint: Path | str, target: Path | str) -> Path:
    """Write the weights of `vggish_model.ckpt` as a PyTorch file; returns its path."""
    return checkpoints.write(state_dict(read(checkpoint)), Path(target))


def _pca(path: Path) -> dict[str, np.ndarray]:
    """The two arrays of the published file, 66 kB. Raises InputError for anything else."""
    expected = "vggish_pca_params.npz: pca_eigen_vectors and pca_means, 66 kB"
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_PCA:
            raise ValueError(f"{size:,} bytes when unpacked")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ("pca_eigen_vectors", "pca_means")}
    except KeyError as error:
        what = str(error.args[0]).removesuffix(" is not a file in the archive")
        raise InputError(f"no array {what}", where=path, expected=expected) from error
    except (
        OSError,
        ValueError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
        *UNREADABLE,
    ) as error:
        raise InputError(f"no such file: {error}", where=path, expected=expected) from error


def convert_pca(parameters: Path | str, target: Path | str) -> Path:
    """Write `vggish_pca_params.npz` as a PyTorch file with the port's keys; unused by LFAN."""
    pca = _pca(Path(parameters))
    arrays = {name: torch.from_numpy(np.asarray(rows, np.float32)) for name, rows in pca.items()}
    arrays["pca_means"] = arrays["pca_means"].flatten()
    return checkpoints.write(arrays, Path(target))
