"""Pretrained encoders of pictures and waveforms: networks of transformers and timm, read from a
folder or file.

Nothing but numbers is read from a network's files: safetensors, or PyTorch's files with
``weights_only``; code that lies beside them is never run. Numbers are float32 on every device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError, foreign
from ..files import version
from .encoder_files import CONFIG, PREPROCESSOR, library, read
from .own import IMAGENET_MEAN, IMAGENET_SD

MAX_SIDE = 4096  # px of a side
ROUNDING = 1e-6  # by which a factor of 1/255 may be rounded
LONGEST_CLIP = 512  # pictures
SIDE = 224  # px: size of the pictures if the network's files name none
# Parameters that may be absent: the pooler is then not used, and masks are for pretraining.
OPTIONAL_WEIGHTS = ("pooler", "masked_spec_embed", "mask_token")
CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")


@dataclass(frozen=True)
class Encoder:
    """A network with what its files say of its input, in evaluation mode.

    see(pixels) : (N, 3, S, S) or (N, samples) float32 → the network's own outputs. size, mean, sd :
    of the pictures that it sees. config : its config.json. pools : whether its pooled output was
    trained. assumed : what was assumed where the files say nothing, in words.
    """

    see: Callable
    size: int = SIDE
    mean: tuple[float, ...] = IMAGENET_MEAN
    sd: tuple[float, ...] = IMAGENET_SD
    config: Mapping | None = None
    pools: bool = True
    class_token: bool = False
    assumed: str = ""


def load(inputs: Mapping, parameters: Mapping, device: torch.device) -> Encoder:
    """The encoder whose files are among `inputs` of a maker; kept for the next trials."""
    file = Path(inputs.get("config", inputs.get("weights")))
    if "config" in inputs:
        return _of_transformers(file.parent, device, version(file))
    return _of_timm(parameters.get("architecture", ""), file, device, version(file))


@lru_cache(maxsize=4)
def _of_transformers(folder: Path, device: torch.device, _version: tuple) -> Encoder:
    transformers = library("transformers")
    settings = {"local_files_only": True, "trust_remote_code": False}
    todo = "fetch it again, or take another network"
    with foreign(folder, "a network of transformers", todo), _quiet(transformers):
        config = transformers.AutoConfig.from_pretrained(folder, **settings)
        if hasattr(config, "mask_ratio"):
            config.mask_ratio = 0.0  # a masked autoencoder would hide three quarters of a face
        net, report = transformers.AutoModel.from_pretrained(
            folder, config=config, output_loading_info=True, dtype=torch.float32, **settings
        )
    net = getattr(net, "vision_model", net)  # of CLIP and similar networks only the vision part
    absent = {name for name in report["missing_keys"] if not name.startswith("text_model")}
    _refuse_untrained(folder, absent)
    names = {name.rpartition(".")[2] for name, _ in net.named_parameters()}
    size, mean, sd, assumed = looks(folder)
    return Encoder(
        net.eval().requires_grad_(False).to(device),
        size,
        mean,
        sd,
        read(folder / CONFIG),
        not any("pooler" in name for name in absent),
        not names.isdisjoint(CLASS_TOKENS),
        assumed,
    )


@contextlib.contextmanager
def _quiet(transformers) -> Iterator[None]:
    """Silence transformers' progress bars and reports; what matters in them is checked and reported
    here.
    """
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def _refuse_untrained(folder: Path, absent: set[str]) -> None:
    needed = sorted(name for name in absent if not any(part in name for part in OPTIONAL_WEIGHTS))
    if needed:
        raise InputError(
            f"the weights lack {len(needed)} of the network's parameters, the first is {needed[0]}",
            where=folder,
            expected="weights of the network that config.json describes",
            todo="fetch the folder again: with these the numbers would be random",
        )


def looks(folder: Path) -> tuple[int, tuple, tuple, str]:
    """Side in px, mean and sd of red, green and blue (of pictures from 0 to 1) that a network was
    trained with, and in words what its files leave open. Raises InputError where they say what
    cannot be.
    """
    config, file = read(folder / CONFIG), folder / PREPROCESSOR
    seen = read(file) if file.is_file() else {}
    with foreign(file, "what a network was trained to see", "fetch it again"):
        of_timm = config.get("pretrained_cfg", {})
        size = _side(config, seen, of_timm)
        mean, sd = _colours(seen, of_timm)
    parts = {f"{SIDE} px": size, "mean and sd of ImageNet": mean and sd}
    assumed = [words for words, value in parts.items() if not value]
    note = f"not in its files, assumed: {', '.join(assumed)}" if assumed else ""
    return size or SIDE, mean or IMAGENET_MEAN, sd or IMAGENET_SD, note


def _side(config: Mapping, seen: Mapping, of_timm: Mapping) -> int:
    """px, 0 where nothing is said."""
    size = seen.get("crop_size") or seen.get("size") or of_timm.get("input_size")
    size = size or config.get("image_size") or config.get("vision_config", {}).get("image_size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    size = int((size[-1] if isinstance(size, list) else size) or 0)
    if not 0 <= size <= MAX_SIDE:
        raise ValueError(f"a side of {size} px")
    return size


def _colours(seen: Mapping, of_timm: Mapping) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and sd of pictures from 0 to 1, () where nothing is said.

    A processor of transformers multiplies values from 0 to 255 by `rescale_factor`, may take 1 away
    (`offset`, as ViViT's), and standardises what comes out.
    """
    mean = _of_three(seen.get("image_mean") or of_timm.get("mean"))
    sd = _of_three(seen.get("image_std") or of_timm.get("std"))
    if seen.get("do_normalize", True) is False:
        mean, sd = (0.0,) * 3, (1.0,) * 3
    factor = seen.get("rescale_factor", 1 / 255) if seen.get("do_rescale", True) else 1.0
    whole, less = 255 * float(factor), float(seen.get("offset") or seen.get("rescale_offset") or 0)
    if mean and sd and (less or abs(whole - 1) > ROUNDING):
        mean = tuple((value + less) / whole for value in mean)
        sd = tuple(value / whole for value in sd)
    if not np.isfinite([*mean, *sd]).all() or not all(value > 0 for value in sd):
        raise ValueError(f"mean {mean}, sd {sd}")
    return mean, sd


def _of_three(value: float | list | None) -> tuple[float, ...]:
    """One number for all colours or one for each, as three; () for none."""
    return tuple(np.broadcast_to(np.array(value, float), 3).tolist()) if value else ()


@lru_cache(maxsize=4)
def _of_timm(architecture: str, file: Path, device: torch.device, _version: tuple) -> Encoder:
    timm = library("timm")
    if architecture not in timm.list_models():
        raise InputError(
            f"timm has no network {architecture!r}",
            where=f"the encoder of {file}",
            expected="a name of timm.list_models()",
            todo="set `architecture`: which network the file's weights are of",
        )
    net = timm.create_model(architecture, pretrained=False, num_classes=0)
    state = _state(file)
    heads = {name for name in state if name.startswith(net.default_cfg.get("classifier", "head"))}
    state = {name: value for name, value in state.items() if name not in heads}
    with foreign(
        file, f"weights of {architecture}", "take the file of this network", "", (RuntimeError,)
    ):
        net.load_state_dict(state)
    config = timm.data.resolve_data_config({}, model=net)
    see = net.eval().requires_grad_(False).to(device)
    return Encoder(see, config["input_size"][-1], tuple(config["mean"]), tuple(config["std"]))


def _state(file: Path) -> dict[str, torch.Tensor]:
    todo = "take a file of safetensors, or one that torch.load reads with weights_only"
    if file.suffix == ".safetensors":
        with foreign(file, "safetensors", todo):
            return library("safetensors.torch").load_file(file)
    from pickle import UnpicklingError

    with foreign(file, "weights of PyTorch", todo, "", (UnpicklingError, RuntimeError)):
        state = torch.load(file, map_location="cpu", weights_only=True)
    return next((state[key] for key in ("state_dict", "model") if key in state), state)


def pictures_of_a_clip(config: Path) -> int:
    """How many pictures a network of clips sees at once, by its config.json. Raises InputError for
    a network that sees none.
    """
    count = read(Path(config)).get("num_frames", 0)
    if not isinstance(count, int) or not 0 < count <= LONGEST_CLIP:
        raise InputError(
            f"an encoder of clips with num_frames {count!r:.40}",
            where=config,
            expected=f"a network of clips (videomae, timesformer, vivit), up to {LONGEST_CLIP}",
            todo="take one of these, or `of: faces`",
        )
    return count


# ---- rows
def kept(parameters: Mapping) -> np.dtype:
    """The type in which rows are stored."""
    return np.dtype(parameters.get("kept", "float16"))


def fitting(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Rows in the type in which they are stored. Raises InputError for numbers too large for it."""
    largest, most = float(np.abs(values).max(initial=0)), float(np.finfo(dtype).max)
    if not largest <= most:
        raise InputError(
            f"the encoder gives numbers up to {largest:.3g}",
            where="encoders.fitting",
            expected=f"at most {most:.3g}, the largest of {dtype}",
            todo="set `kept: float32`, or take another layer",
        )
    return values.astype(dtype)


def told(inputs: Mapping, parameters: Mapping, encoder: Encoder) -> str:
    """One line on which network was used, where it came from, and what was chosen for it."""
    folder = Path(inputs.get("config", inputs.get("weights"))).parent
    cached = folder.parent.name == "snapshots"
    where = f"the hub's cache, commit {folder.name[:8]}" if cached else "a folder of this machine"
    layers = parameters.get("layers", ())
    which = f"layers {', '.join(map(str, layers))} side by side" if layers else ""
    name = f"{parameters['model']} from {where}"
    return "; ".join(filter(None, [name, which, encoder.assumed]))
