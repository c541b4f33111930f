"""Crops of packed faces, and the output of the frozen part of LFAN's face network for them.

While a part of the network is frozen its output depends only on the picture: it is computed once
and read in training (512·5·5 numbers per frame after stage 4, 25.6 kB in half precision).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..files import version
from ..media import stretches
from ..models import device as models_device
from ..models import memory
from ..models.affect import lfan
from ..models.blocks.ir50 import as_pictures

FRAMES_AT_ONCE = 128


def side(face_size: int, crop: int) -> int:
    """Side of the picture cut out of a face: `crop`, or for 0 the published part, 40 of 48."""
    return crop or face_size * 5 // 6


def draw(generator: np.random.Generator | None, size: int, crop: int) -> tuple[int, int, bool]:
    """Top, left, mirror of a crop, one draw per window (LFAN specification 2.2); None: centre."""
    if generator is None:
        return (size - crop) // 2, (size - crop) // 2, False
    top, left = generator.integers(0, size - crop + 1, 2)
    return int(top), int(left), bool(generator.random() < 0.5)


def variant(number: int, size: int, crop: int) -> tuple[int, int, bool]:
    """The crop of a cached variant: 0 is the centre, each other number a draw of its own."""
    return draw(np.random.default_rng([number, 48]) if number else None, size, crop)


def cut(faces: np.ndarray, crop: int, position: tuple[int, int, bool]) -> np.ndarray:
    """(T, S, S, 3) -> (T, crop, crop, 3), the same place and mirror for all frames."""
    top, left, mirror = position
    if faces.shape[1] < crop:
        raise InputError(
            f"faces of {faces.shape[1]} pixels",
            where="face_maps.cut",
            expected=f"at least {crop}",
            todo="set face_size (48 published) to at least the option crop",
        )
    pictures = faces[:, top : top + crop, left : left + crop]
    return np.ascontiguousarray(pictures[:, :, ::-1] if mirror else pictures)


@lru_cache(maxsize=1)
def load(
    path: Path, torch_device: torch.device, crop: int, _version: tuple = ()
) -> torch.nn.Module:
    """The frozen face network of a file, cached for the next trial."""
    return lfan.load(path, crop)[0].to(torch_device)


@torch.inference_mode()
def make(inputs, parameters, create, device, stretch: slice = slice(None)) -> None:
    """Fill (T, C·H·W) float16; zeros for frames without a face. See `lib.store.Maker`.

    stretch : frames, of a long recording (`stretches.share`). parameters : size of the packed face,
    crop, ``cut`` (where the network goes on: `lib.models.blocks.ir50.CUTS`), variant.
    """
    torch_device = models_device.pick(device)
    file = Path(inputs["weights"])
    network = load(file, torch_device, parameters["crop"], version(file))
    shape = network.shapes[parameters["cut"]]
    valid, faces = np.asarray(inputs["face_valid"]), inputs["face"]
    where = variant(parameters["variant"], parameters["size"], parameters["crop"])
    seen = np.flatnonzero(valid)
    share = stretches.share(stretch, seen, len(valid), FRAMES_AT_ONCE)
    seen, size = seen[share.items], (share.stop - share.first, int(np.prod(shape)))
    with create(size, np.float16, map=list(shape), **share.told) as out:
        out[...] = 0

        def maps(start: int, stop: int) -> np.ndarray:
            shown = cut(faces.read(seen[start:stop]), parameters["crop"], where)
            pictures = as_pictures(torch.from_numpy(shown).to(torch_device))
            return network(pictures, stop=parameters["cut"]).flatten(1).half().cpu().numpy()

        for rows, values in memory.pieces(maps, len(seen), FRAMES_AT_ONCE):
            out[seen[rows] - share.first] = values
