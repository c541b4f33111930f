"""TalkNet (Tao et al., ACM Multimedia 2021): is the person whose face is seen the one who is heard, frame by frame.

Keys and shapes of the weights are the published ones, also where positions are added (`talknet_mrope`).
Specification: asd.md §3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.errors import InputError
from lib.models.base import Model
from lib.models.light_asd import Head, face_and_sound, grey
from lib.models.synchrony_attention import AttentionLayer, Look
from lib.models.talknet_streams import AudioEncoder, VisualConv1D, VisualFrontend, VisualTCN

PICTURE, SOUND, ATTENTION = 64, 16, 128   # published channels: first of the picture, first of the sound, of a token
HEAD = 16                                 # channels of a head in cross attention; twice as many in self attention


class TalkNet(Model, name="talknet"):
    """Scores of one face in every frame, by cross attention between lips and sound, then self attention.

    Inputs ``face`` (B,T,S,S) grey 0–255, ``mfcc`` (B,4T,13), ``pad`` (B,T) bool, True where a frame only fills up.
    Outputs: logits of [not speaking, speaking] ``speaking``, ``speaking_audio``, ``speaking_visual`` (B,T,2), and
    ``audio_embed``, ``visual_embed`` (B,T,d) before attention. ``face`` may be left out with ``modality: audio``.

    `visual_width`, `audio_width`, `attention_width` are factors on the channels of picture, sound and attention
    (d = 128); 0 takes `width`. Heads keep their size, so there are d/16 of them.

    Corrections against the published code, which `compat` undoes: each clip has its own 3-D convolution (published:
    the batch is one sequence, and clips see their neighbours); `pad` is respected by convolutions, squeeze, global
    norm and attention (published: unknown).
    """

    def __init__(self, compat: bool = False, *, width: float = 1.0, visual_width: float = 0.0,
                 audio_width: float = 0.0, attention_width: float = 0.0, face_size: int = 112,
                 modality: str = "audiovisual", dropout: float = 0.1, visual_momentum: float = 0.01, **more: object):
        chosen = {"visual_width": visual_width or width, "audio_width": audio_width or width,
                  "attention_width": attention_width or width}
        super().__init__(compat, width=width, **chosen, face_size=face_size, modality=modality, dropout=dropout, **more)
        picture = max(1, round(PICTURE * chosen["visual_width"]))
        sound = max(1, round(SOUND * chosen["audio_width"]))
        tokens = ATTENTION * chosen["attention_width"]
        if tokens % HEAD:
            raise InputError(f"attention {tokens:g} channels wide", where=f"model {self.name}",
                             expected=f"a multiple of {HEAD}: attention_width {HEAD / ATTENTION:g}, "
                                      f"{2 * HEAD / ATTENTION:g}, …")
        self.modality, self.tokens = modality, int(tokens)
        self.model = _Parts(picture, sound, self.tokens, dropout, visual_momentum, joined=compat)
        self.lossAV, self.lossA, self.lossV = Head(2 * self.tokens), Head(self.tokens), Head(self.tokens)
        self.inputs = {"face": f"(B, T, {face_size}, {face_size}) grey 0–255", "mfcc": "(B, 4T, 13)",
                       "pad": "(B, T) bool, optional"}
        pairs, embedded = "(B, T, 2) logits", f"(B, T, {self.tokens})"
        self.outputs = {"speaking": pairs, "speaking_audio": pairs, "speaking_visual": pairs,
                        "audio_embed": embedded, "visual_embed": embedded}

    def forward(self, batch):
        face, mfcc = face_and_sound(self, batch)
        valid = None if self.compat or "pad" not in batch else ~batch["pad"].bool()
        visual, audio = self.embed(face, mfcc, valid)
        return self.attend(visual, audio, *self.looks(batch, visual, valid))

    def embed(self, face: Tensor, mfcc: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Picture and sound of every frame as (B, T, d) each; zeros for the stream that `modality` leaves out."""
        parts, shape = self.model, (*face.shape[:2], self.tokens)
        visual = audio = None
        if self.modality != "audio":
            x = parts.visualFrontend(grey(face), valid).transpose(1, 2)          # (B, 8c, T)
            visual = parts.visualConv1D(parts.visualTCN(x, valid), valid).transpose(1, 2)
        if self.modality != "video":
            audio = parts.audioEncoder(mfcc, valid)
        visual = mfcc.new_zeros(shape) if visual is None else visual
        return visual, mfcc.new_zeros(shape) if audio is None else audio

    def looks(self, batch, visual: Tensor, valid: Tensor | None) -> tuple[Look, Look, Look]:
        """How sound looks at picture, picture at sound, and both together at themselves: all unpadded frames."""
        blind = None if valid is None else ~valid
        return Look(blind), Look(blind), Look(blind)

    def attend(self, visual: Tensor, audio: Tensor, to_audio: Look, to_visual: Look, to_both: Look) -> dict:
        """Cross attention, self attention and heads. `to_audio`: keys are sound, and so on."""
        parts = self.model
        heard = parts.crossA2V(audio, visual, to_audio)
        seen = parts.crossV2A(visual, audio, to_visual)
        both = torch.cat([heard, seen], dim=2)                                   # (B, T, 2d)
        both = parts.selfAV(both, both, to_both)
        return {"speaking": self.lossAV.FC(both), "speaking_audio": self.lossA.FC(heard),
                "speaking_visual": self.lossV.FC(seen), "audio_embed": audio, "visual_embed": visual}


class _Parts(nn.Module):
    def __init__(self, picture: int, sound: int, tokens: int, dropout: float, momentum: float, joined: bool):
        super().__init__()
        heads = tokens // HEAD
        self.visualFrontend = VisualFrontend(picture, momentum, joined)
        self.visualTCN = VisualTCN(8 * picture)
        self.visualConv1D = VisualConv1D(8 * picture, tokens)
        self.audioEncoder = AudioEncoder(sound, tokens)
        self.crossA2V = AttentionLayer(tokens, heads, dropout)
        self.crossV2A = AttentionLayer(tokens, heads, dropout)
        self.selfAV = AttentionLayer(2 * tokens, heads, dropout)
