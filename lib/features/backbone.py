"""Features of a trained two-stream network, per frame: the input of joint cross-attention."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..faces.faces import Recent
from ..media import sound as media_sound
from ..media import stretches
from ..models import device, memory, published
from ..models.affect.tsav import backbone_from_tsav
from . import mel, published_sound, windows

FRAMES_ON_CPU = 32  # at once; the draws of jittered copies are made for as many, everywhere
FRAMES_AT_MOST = 256  # at once on a GPU
# Memory that a clip of 112 pixels and a spectrogram of 10 s keep in a network of width 1.
CLIP_BYTES, SOUND_BYTES = 60_000_000, 20_000_000
# frames from one picture of a clip to the next, where no face is missing
DILATION = {"dilated": 6, "look_back": 4}
CHANNELS = 512  # of each stream at width 1
BYTES = 2  # bytes of a number in the cache: float16
JITTER = 0.2  # ± share, brightness and contrast of a clip (JCA's training, §2.5)


def channels(path: Path) -> int:
    """Features of a stream that the network in a checkpoint gives, without building it."""
    return 8 * _state(path)["audio_model.resnet.conv1.weight"].shape[0]


def licence(path: Path) -> str:
    """The licence of the weights in a checkpoint: "" for one of ours."""
    return "" if published.is_run(published.read(path)) else published.licence("tsav", path)


def _state(path: Path) -> dict:
    content = published.read(path)
    return content["model"] if published.is_run(content) else published.weights_in(content, path)


def draws(number: int, n_frames: int) -> torch.Tensor:
    """(2, T) float32: brightness and contrast of every clip in the jittered copy `number`.

    Drawn for 32 clips at a time, so that they do not depend on how many a device takes at once.
    """
    chunks = []
    for start in range(0, n_frames, FRAMES_ON_CPU):
        generator = np.random.default_rng([number, start])
        size = (2, min(FRAMES_ON_CPU, n_frames - start))
        chunks.append(generator.uniform(1 - JITTER, 1 + JITTER, size).astype(np.float32))
    return torch.from_numpy(np.concatenate(chunks, axis=1) if chunks else np.zeros((2, 0), "f4"))


def jittered(pictures: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """(N, 8, S, S, 3) uint8 clips with changed brightness and contrast, (2, N), one draw per clip;
    black stays black.
    """
    bright, contrast = drawn.to(pictures.device).view(2, -1, 1, 1, 1, 1)
    x = (pictures.float() * bright).clamp_(max=255)
    grey = (
        (x * torch.tensor([0.299, 0.587, 0.114], device=x.device))
        .sum(-1, keepdim=True)
        .mean((2, 3), keepdim=True)
    )
    return (grey + contrast * (x - grey)).clamp_(0, 255).round_().to(torch.uint8)


@lru_cache(maxsize=1)
def load(
    path: Path, torch_device: torch.device, size: int = 112, pooled: bool = True
) -> torch.nn.Module:
    """The frozen network in a checkpoint of ours or the authors', without its last layer;
    cached.
    """
    return backbone_from_tsav(_state(path), face_size=size, pooled=pooled).to(torch_device).folded()


def _at_once(torch_device: torch.device, bytes_each: float) -> int:
    return memory.at_once(torch_device, FRAMES_AT_MOST, int(bytes_each), FRAMES_ON_CPU)


def clip_indices(valid: np.ndarray, rule: str) -> np.ndarray:
    """(T, 8) int32 frames of every frame's clip, −1 = black.

    "dilated": 8 frames, 6 apart (TSAV §1.1). "look_back": 8 of the faces found in the last 32
    frames (JCA §7.1).
    """
    return windows.clips(len(valid)) if rule == "dilated" else windows.look_back(valid)


@torch.inference_mode()
def visual(inputs, parameters, create, name, stretch: slice = slice(None)) -> None:
    """Fill (T, C·P) float16: picture features of every frame's clip. See `lib.store.Maker`.

    stretch : frames, of a long recording (`stretches.share_of_all`).
    """
    torch_device = device.pick(name)
    network = load(inputs["weights"], torch_device, parameters["size"], parameters["pooled"])
    clips = clip_indices(inputs["face_valid"], parameters["clip"])
    faces = Recent(inputs["face"])
    channels, positions = network.visual_channels, network.visual_positions
    facts, dilation = {"channels": channels, "positions": positions}, DILATION[parameters["clip"]]
    share = stretches.share_of_all(stretch, len(clips), dilation * FRAMES_ON_CPU)
    count = share.stop - share.first
    with create((count, channels * positions), np.float16, **facts, **share.told) as out:
        size = parameters["size"]
        at_once = _at_once(torch_device, CLIP_BYTES * channels / CHANNELS * (size / 112) ** 2)
        order = share.first + windows.together(count, dilation, at_once)
        drawn = _drawn(parameters, len(clips))

        def features(start: int, stop: int) -> np.ndarray:
            batch = _clips(faces, clips[order[start:stop]], torch_device)
            if drawn is not None:  # each clip has its own draw: nothing can be shared
                pictures = batch["pictures"][batch["shown"]]
                batch = {"clip": jittered(pictures, drawn[:, order[start:stop]])}
            return network(batch)["visual"].half().cpu().numpy()

        for rows, values in memory.pieces(features, count, at_once):
            out[order[rows] - share.first] = values


def _drawn(parameters, n_frames: int) -> torch.Tensor | None:
    """(2, T) draws per frame, in the order in which a CPU processes the frames; None: no jitter."""
    if not parameters.get("jitter"):
        return None
    order = windows.together(n_frames, DILATION[parameters["clip"]], FRAMES_ON_CPU)
    frame_draws = torch.zeros(2, n_frames)
    frame_draws[:, order] = draws(parameters["jitter"], n_frames)
    return frame_draws


def _clips(faces: Recent, clips: np.ndarray, torch_device: torch.device) -> dict[str, torch.Tensor]:
    """A batch of clips (N, 8) of frames; each picture travels once."""
    shown, where = np.unique(clips, return_inverse=True)
    return {
        "pictures": torch.from_numpy(faces.read(shown)).to(torch_device),
        "shown": torch.from_numpy(where.reshape(clips.shape)).to(torch_device),
    }


@torch.inference_mode()
def blank_visual(inputs, parameters, create, name) -> None:
    """Fill (1, C·P) float16: features of eight black pictures, for steps beyond a trial."""
    network = load(inputs["weights"], device.pick(name), parameters["size"], parameters["pooled"])
    size = parameters["size"]
    batch = {"clip": torch.zeros(1, 8, size, size, 3, dtype=torch.uint8, device=device.pick(name))}
    with create((1, network.visual_channels * network.visual_positions), np.float16) as out:
        out[...] = network(batch)["visual"].half().cpu().numpy()


@torch.inference_mode()
def sound(inputs, parameters, create, name, stretch: slice = slice(None)) -> None:
    """Fill (T, A) float16: the sound's features of the segment at every frame. stretch : frames, of
    a long recording.
    """
    torch_device = device.pick(name)
    network = load(inputs["weights"], torch_device)
    times = np.asarray(inputs["time"])
    if parameters["anchor"] == "published":
        cut = _published_cutter(inputs)
    else:
        cut = _cutter(inputs, parameters, torch_device)
    share = stretches.share_of_all(stretch, len(times), FRAMES_ON_CPU)
    count = share.stop - share.first
    with create((count, network.audio_channels), np.float16, **share.told) as out:

        def features(start: int, stop: int) -> np.ndarray:
            heard = cut(slice(share.first + start, share.first + stop)).to(torch_device)
            return network({"mel": heard})["audio"].half().cpu().numpy()

        bytes_each = SOUND_BYTES * network.audio_channels / CHANNELS
        for rows, values in memory.pieces(features, count, _at_once(torch_device, bytes_each)):
            out[rows] = values


def _cutter(inputs, parameters, torch_device):
    seconds = parameters["seconds"]
    starts = mel.start_column(
        np.asarray(inputs["time"]), inputs["mel_facts"]["t0"], seconds, parameters["anchor"]
    )
    return lambda rows: mel.tensors(inputs["mel"], starts[rows], mel.columns(seconds), torch_device)


def _published_cutter(inputs):
    times = np.asarray(inputs["time"])
    waveform = published_sound.anchored(
        media_sound.as_float(inputs["sound"]), inputs["sound_facts"]["t0"], times[0]
    )
    columns = published_sound.longest(times)
    return lambda rows: torch.from_numpy(
        published_sound.segments(waveform, times, range(rows.start, rows.stop), columns)
    )


@torch.inference_mode()
def blank_sound(inputs, parameters, create, name) -> None:
    """Fill (1, A) float16: the features of silence, for steps beyond a trial (published rules)."""
    torch_device = device.pick(name)
    network = load(inputs["weights"], torch_device)
    silence = published_sound.silence(published_sound.longest(np.asarray(inputs["time"])))
    with create((1, network.audio_channels), np.float16) as out:
        out[...] = (
            network({"mel": torch.from_numpy(silence).to(torch_device)})["audio"]
            .half()
            .cpu()
            .numpy()
        )
