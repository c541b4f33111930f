"""TalkNet with rotary positions: attention knows when, and if asked for where in the picture, a
token belongs.

TalkNet's attention has no notion of order; rotating queries and keys adds one without new weights,
so that published weights load. An ablation must show whether it helps (speaker specification §4.2,
§4.4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..base import arguments
from ..blocks import rotary
from ..blocks.synchrony_attention import Look
from .light_asd import face_and_sound
from .talknet import HEAD_DIM, TalkNet

# positions per second: one per 40 ms, as in Qwen2.5-Omni; the frame number at 25 fps
UNIT = 25.0
GRID = 16  # rows and columns that the picture is divided into for `position`
# pairs of time, row, column of a head in cross and in self attention
CROSS, SELF = ((4, 2, 2), (6, 5, 5))


class TalkNetMrope(TalkNet, name="talknet_mrope"):
    """TalkNet whose queries and keys are rotated by time (25 · seconds, a float) and by the face's
    place.

    Further inputs: ``time`` (B,T) s of each frame (required), ``audio_time`` (B,T) s of each sound
    token (default: as ``time``), ``visible`` (B,T) bool (False: the face is not seen; sound does
    not look at it), ``position`` (B,T,2) row and column of the face's centre on a 16×16 grid
    (default 0), ``strength`` a number or (B,), factor λ on all angles (default 1; 0 is TalkNet).

    Several candidates of one recording: ``face`` (B,K,T,S,S), ``visible`` and ``pad`` (B,K,T),
    ``position`` (B,K,T,2); ``mfcc`` and times stay. Their tokens are one sequence, a sound token
    copies the place of the face that it is paired with, and outputs are (B,K,T,…).

    `layout` axial, chunk or interleave (`lib.models.blocks.rotary`) with `cross_pairs` and
    `self_pairs` for time, row, column; `window` (s, 0 = none): attention sees |Δt| ≤ window only;
    `trained_frames` (0 = off): scores are multiplied by ln T / ln trained_frames.
    """

    def __init__(
        self,
        compat: bool = False,
        *,
        width: float = 1.0,
        visual_width: float = 0.0,
        audio_width: float = 0.0,
        attention_width: float = 0.0,
        face_size: int = 112,
        modality: str = "audiovisual",
        dropout: float = 0.1,
        visual_momentum: float = 0.01,
        layout: str = "axial",
        cross_pairs: tuple = CROSS,
        self_pairs: tuple = SELF,
        theta: float = 1000.0,
        theta_space: float = 16.0,
        window: float = 0.0,
        trained_frames: int = 0,
    ):
        cross_pairs, self_pairs = tuple(cross_pairs), tuple(self_pairs)
        super().__init__(**arguments(locals()))
        self.window, self.trained_frames = UNIT * window, trained_frames
        for name, pairs, size in (
            ("cross", cross_pairs, HEAD_DIM),
            ("self", self_pairs, 2 * HEAD_DIM),
        ):
            self._refuse_other_sizes(name, pairs, size)
            speed = rotary.frequencies(pairs, layout, theta, theta_space)
            self.register_buffer(f"{name}_axes", rotary.axes(pairs, layout), persistent=False)
            self.register_buffer(f"{name}_speed", speed, persistent=False)
        self.inputs |= {
            "time": "(B, T) s",
            "audio_time": "(B, T) s, optional",
            "visible": "(B, T) bool, optional",
            "position": "(B, T, 2) row, column on a 16×16 grid, optional",
        }

    def _refuse_other_sizes(self, name: str, pairs: tuple, size: int) -> None:
        if sum(pairs) != size // 2:
            raise self.wrong(
                f"{name}_pairs {list(pairs)}",
                f"{size // 2} pairs in all: a head has {size} channels",
            )

    def forward(self, batch):
        if batch.get("face", torch.empty(0)).ndim != 5:
            return super().forward(batch)
        face, mfcc = face_and_sound(self, batch)
        clips, faces, frames = face.shape[:3]
        several = {
            name: batch[name].flatten(1, 2)
            for name in ("pad", "visible", "position")
            if name in batch
        }
        several |= {
            name: batch[name].repeat(1, faces) for name in ("time", "audio_time") if name in batch
        }
        several |= {name: batch[name] for name in ("strength",) if name in batch}
        valid = None if self.compat or "pad" not in batch else ~batch["pad"].bool()
        alone = None if valid is None else valid.flatten(0, 1)
        visual, audio = self.embed(face.flatten(0, 1), mfcc.repeat_interleave(faces, 0), alone)
        visual, audio = (part.reshape(clips, faces * frames, -1) for part in (visual, audio))
        flat = None if valid is None else valid.flatten(1)
        outputs = self.attend(visual, audio, *self.looks(several, visual, flat))
        return {name: rows.unflatten(1, (faces, frames)) for name, rows in outputs.items()}

    def looks(self, batch, visual, valid):
        time = UNIT * self.take(batch, "time").float()
        heard = UNIT * batch["audio_time"].float() if "audio_time" in batch else time
        position = (
            batch["position"].float() if "position" in batch else time.new_zeros(*time.shape, 2)
        )
        seen_at, heard_at = (
            torch.cat([when[..., None], position], dim=-1) for when in (time, heard)
        )
        strength = torch.as_tensor(
            batch.get("strength", 1.0), dtype=time.dtype, device=time.device
        ).view(-1, 1, 1)
        cross = [
            strength * rotary.angles(at, self.cross_axes, self.cross_speed)
            for at in (seen_at, heard_at)
        ]
        both = strength * rotary.angles(seen_at, self.self_axes, self.self_speed)
        padded = None if valid is None else ~valid
        unseen = None if "visible" not in batch else ~batch["visible"].bool()
        blind = unseen if padded is None else padded
        if padded is not None and unseen is not None:
            blind = padded | unseen
        rest = {"window": self.window, "scale": self._scale(visual, valid)}
        return (
            Look(padded, *cross, time, heard, **rest),
            Look(blind, *cross[::-1], heard, time, **rest),
            Look(padded, both, both, time, time, **rest),
        )

    def _scale(self, visual: Tensor, valid: Tensor | None) -> Tensor | float:
        if not self.trained_frames:
            return 1.0
        if valid is None:
            frames = visual.new_full(visual.shape[:1], max(visual.shape[1], 2))
        else:
            frames = valid.sum(1).clamp(min=2).float()
        return (frames.log() / math.log(max(self.trained_frames, 2))).view(-1, 1, 1, 1)
