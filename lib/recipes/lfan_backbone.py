"""The face network of LFAN, trained frame by frame: one face -> valence and arousal."""

from __future__ import annotations

import numpy as np

from ..features import face_maps
from ..models import networks
from ..store import request
from ..training import augmentation
from . import base


class Recipe(base.Recipe):
    """IR-50 with two outputs instead of the eight classes of FER+ of the authors' pre-training.

    It replaces their file `res50_ir_0.887.pth` if that cannot be obtained: a narrow network,
    trained on the training trials of the split (or fold) for which it is used. One window = one
    frame with a face; no sound.
    """

    modalities = ("video",)

    class Options:
        crop: int = 0  # px of the network's picture, 0: 5/6 of the face (40 of 48); from 0 to 256
        frame_step: int = 4  # every n-th frame is learnt, from a random one on; from 1 to 1000
        augment: bool = True  # move, mirror and re-light faces in training

    @property
    def _crop(self):
        return face_maps.side(self.params.face_size, self.params.options["crop"])

    def arrays(self):
        self.require(
            self.params.modality in self.modalities,
            f"modality: {self.params.modality}",
            "video",
            "set `modality: video`: this network only looks at faces",
        )
        return [
            request("time"),
            *self.label_requests(),
            request("face_valid"),
            request("face", size=self.params.face_size),
        ]

    def windows(self, trials, epoch=None):
        pieces = []
        for index, trial in enumerate(trials["trial"]):
            frames = np.arange(self.n_frames(trial))
            if epoch is not None:
                labelled = np.isfinite(self.labels(trial, "va")).all(axis=1)
                step = self.params.options["frame_step"]
                start = np.random.default_rng([self.params.seed, epoch, 2, index]).integers(step)
                frames = np.flatnonzero(labelled & self.read(trial, request("face_valid")))[
                    start::step
                ]
            pieces.append((trial, base.columns_of(frames)))
        return self.window_table(pieces)

    def example(self, window, generator=None):
        size, crop, frame = self.params.face_size, self._crop, window.first_target
        faces = self.faces(window.trial, size).read(np.array([frame]))
        moved = generator is not None and self.params.options["augment"]
        if moved:
            faces = augmentation.clip(faces, generator)
        position = face_maps.draw(generator if moved else None, size, crop)
        return {
            "va": np.asarray(self.labels(window.trial, "va")[frame]),
            "frame": face_maps.cut(faces, crop, position)[0],
        }

    def model(self):
        return networks.create(
            "lfan_backbone",
            self.published,
            classes=2,
            width=self.params.width,
            face_size=self._crop,
        )

    def loss(self, outputs, batch):
        return {"total": self.va_loss(outputs["logits"], batch["va"], rules=self.params.rules)}

    def output(self, task):
        return "logits"
