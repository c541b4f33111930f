"""Losses of speaker networks: is this face speaking, and do its lips and the sound of the same
frame belong together?

A label of −1 never counts; a batch without any label gives zero that can still be differentiated.
Entries are masked, not selected, so that the processor need not wait for the GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def speaking_loss(logits: Tensor, target: Tensor, class_weight: float = 1.0) -> Tensor:
    """Cross-entropy of [not speaking, speaking], averaged over labelled frames (weighted by class
    as in PyTorch).

    logits : (…, 2). target : (…) int, 1, 0 or −1. class_weight : of a speaking frame; TalkNet's
        Ego4D code takes 4.
    """
    known = target >= 0
    x = logits.float().masked_fill(~known[..., None], 0.0).flatten(0, -2)
    losses = functional.cross_entropy(x, target.clamp_min(0).long().flatten(), reduction="none")
    weight = (1.0 + (class_weight - 1.0) * (target == 1)) * known
    return (losses * weight.flatten()).sum() / weight.sum().clamp_min(torch.finfo(x.dtype).tiny)


def synchrony_loss(
    audio: Tensor,
    visual: Tensor,
    speaking: Tensor,
    temperature: float = 0.1,
    valid: Tensor | None = None,
) -> Tensor:
    """InfoNCE between sound's and picture's embedding of a frame (TalkNCE, Jung et al. 2024).

    Arguments
    ---------
    audio, visual : (B, T, d), before attention.
    speaking : (B, T) bool, frames in which this face speaks: only they are asked which frame they
        belong to.
    valid : (B, T) bool, frames that may be the wrong answer: unpadded ones; default all.

    Each such frame's sound must find its picture among the clip's frames, and each picture its
    sound. Returns a scalar.
    """
    audio, visual = (functional.normalize(x.float(), dim=-1) for x in (audio, visual))
    alike = audio @ visual.transpose(1, 2) / temperature  # (B, T of the sound, T of the picture)
    if valid is not None:
        alike = alike.masked_fill(~(valid[:, :, None] & valid[:, None, :]), float("-inf"))
        speaking = speaking & valid
    # A frame that is not valid has no right answer, and its row of −inf no gradient.
    alike = torch.where(speaking[:, :, None] | speaking[:, None, :], alike, torch.zeros_like(alike))
    right = alike.diagonal(dim1=1, dim2=2)
    both = alike.logsumexp(dim=2) + alike.logsumexp(dim=1) - 2 * right
    return both.masked_fill(~speaking, 0.0).sum() / speaking.sum().clamp_min(1) / 2
