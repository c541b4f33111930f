"""Overlapping clips: shared parts of neighbouring clips are computed once. Outputs are the same up
to rounding.

A clip of TSAV shows 8 pictures, each 6 frames after the one before; the clip of the frame 6 later
shows 7 of these again. Convolutions over the picture see one picture, so they are the same in every
clip. One over time sees three: it is the same wherever the same three follow each other, and at the
two ends of a clip, where zeros stand for the third. So after k convolutions over time a place in a
clip is shared unless it is less than k places from an end, and after four all places differ. In the
stem and the first block, which work on the largest maps, 32 clips in the best order
(`lib.features.windows.together`) need 15, 40 and 64 % of the maps; in all this saves one seventh of
the multiplications of R(2+1)D-18.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# share of a chunk's places that differ, above which finding shared places costs more than it saves
ENOUGH = 0.85
# pictures that are processed together: those of one clip, so that they stay in the cache
POSITIONS_AT_ONCE = 8 * 56 * 56


def begin(net, pictures: Tensor, shown: Tensor) -> tuple[Tensor, Tensor, int]:
    """The stem and as many blocks of a `folded.FoldedR2Plus1D` as clips share enough.

    Arguments
    ---------
    pictures : (N, H, W, C), in the type of the weights.
    shown : (B, T) long, picture of each place of each clip.

    Returns maps (M, H', W', C'), which of them stands in each place (B, T), and the number of the
    first block that was left out.
    """
    x, shown = factored(net.stem, pictures, shown)
    for number, block in enumerate(net.blocks):
        # a shortcut thins out the time axis
        if block.shortcut is not None or len(x) > ENOUGH * shown.numel():
            return x, shown, number
        inside, places = factored(block.conv1, x, shown)
        x, shown = factored(block.conv2, inside, places, (x, shown))
    return x, shown, len(net.blocks)


def factored(
    conv, x: Tensor, shown: Tensor, shortcut: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """A convolution over pictures, one over three steps of time, the addition of a shortcut, ReLU:
    each distinct place is computed once.

    conv : `spatial` and `temporal` of `lib.models.fast.folded`. shortcut : maps, and which of them
        each place (B, T) adds.
    Returns maps and which of them stands in each place, as `begin`.
    """
    triples, number = neighbours(shown)
    parts = _parts_of_time(conv, x)
    width = parts[0].shape[2] // 3
    outputs = x.new_empty(len(triples), *parts[0].shape[:2], width)
    added = [None] * len(outputs)
    if shortcut is not None:
        which = number.new_empty(len(outputs))
        # any place with these three pictures stands for all
        which[number.flatten()] = shortcut[1].flatten()
        added = [shortcut[0][row] for row in which.tolist()]
    # row by row: each stays in the cache
    for out, rows, more in zip(outputs, triples.tolist(), added, strict=True):
        terms = [
            parts[row][..., k * width : (k + 1) * width] for k, row in enumerate(rows) if row >= 0
        ]
        _sum(terms + [more] * (more is not None), out).relu_()
    return outputs, number


def neighbours(shown: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T) rows -> (M, 3) triples that follow each other, −1 outside, and which where (B, T)."""
    padded = functional.pad(shown, (1, 1), value=-1)
    triples = torch.stack([padded[:, :-2], shown, padded[:, 2:]], dim=-1)
    different, number = torch.unique(triples.flatten(0, 1), dim=0, return_inverse=True)
    return different, number.view(shown.shape)


def _parts_of_time(conv, x: Tensor) -> list[Tensor]:
    """The contributions of each picture to the place after it, its own place and the one before:
    (H', W', 3·C') per picture.

    The bias is in the middle part.
    """
    weight, bias = conv.temporal.weight, conv.temporal.bias  # (C', C, 3, 1), (C',)
    weight = torch.cat([weight[:, :, k : k + 1] for k in range(3)]).contiguous(
        memory_format=torch.channels_last
    )
    bias = functional.pad(bias, (len(bias), len(bias)))
    parts: list[Tensor] = []
    for pictures in x.split(max(1, POSITIONS_AT_ONCE // (x.shape[1] * x.shape[2]))):
        inside = conv.spatial(pictures.permute(0, 3, 1, 2)).relu_()
        parts.extend(functional.conv2d(inside, weight, bias).permute(0, 2, 3, 1))
    return parts


def _sum(terms: list[Tensor], out: Tensor) -> Tensor:
    if len(terms) == 1:
        return out.copy_(terms[0])
    torch.add(terms[0], terms[1], out=out)
    for term in terms[2:]:
        out += term
    return out
