"""Two-stream aural-visual network (TSAV): eight frames and the sound around them -> affect of the last frame."""

from __future__ import annotations

import numpy as np

from lib import losses, models
from lib.features import mel
from lib.recipes import augmentation, base
from lib.store import request

# The clip of a frame: 8 pictures, 6 frames apart, the last one is the frame itself (specification §1.1).
CLIP = 6 * np.arange(-7, 1)


class Recipe(base.Recipe):
    """TSAV, trained from scratch or on. One window = one target frame."""

    class Options:
        tasks: list[str] = ["va"]  # labels to learn; one of va, expression, action_units
        expressions: int = 7  # expression classes of the label files; from 2 to 20
        action_units: int = 8  # action units of the label files; from 1 to 40
        frame_step: int = 1  # training frames of a trial in an epoch: every n-th, from a random one on; from 1 to 1000
        augment: bool = True  # move, mirror and re-light clips, mask sound, in training

    @property
    def tasks(self):
        return tuple(self.params.options["tasks"])

    def labels(self, trial, task):
        rows = super().labels(trial, task)
        if task == "action_units" and not rows.shape[1]:  # no label file: how many units there are is not known
            return np.full((len(rows), self.params.options["action_units"]), -1, np.int8)
        return rows

    def arrays(self):
        wanted = [request("time"), *self.label_requests()]
        if self.uses_video:
            wanted += [request("face_valid"), request("face", size=self.params.face_size)]
        return wanted + ([request("mel")] if self.uses_audio else [])

    def windows(self, trials, epoch=None):
        pieces = []
        for index, trial in enumerate(trials["trial"]):
            frames = np.arange(self.n_frames(trial))
            if epoch is not None:
                frames = self._training_frames(trial, index, epoch)
            ones = np.ones_like(frames)
            pieces.append((trial, {"start": np.maximum(frames + CLIP[0], 0), "stop": frames + 1, "first_target": frames,
                                   "target_step": ones, "n_targets": ones}))
        return self.window_table(pieces)

    def _training_frames(self, trial, index, epoch):
        step = self.params.options["frame_step"]
        start = np.random.default_rng([self.params.seed, epoch, 2, index]).integers(step)
        labelled = np.zeros(self.n_frames(trial), bool)
        for task in self.tasks:
            rows = self.labels(trial, task)
            known = np.isfinite(rows) if rows.dtype.kind == "f" else rows >= 0
            labelled |= known.reshape(len(rows), -1).any(axis=1)
        return np.flatnonzero(labelled)[start::step]

    def example(self, window, generator=None):
        frame = window.first_target
        item = {task: np.asarray(self.labels(window.trial, task)[frame]) for task in self.tasks}
        if self.uses_video:
            item["clip"] = self._clip(window.trial, frame, generator)
        if self.uses_audio:
            item["mel"] = self._segment(window.trial, frame, generator)
        return item

    def _clip(self, trial, frame, generator):
        pictures = self.faces(trial, self.params.face_size).read(np.maximum(frame + CLIP, -1))  # (8, S, S, 3)
        augmented = generator is not None and self.params.options["augment"]
        return augmentation.clip(pictures, generator) if augmented else pictures

    def _segment(self, trial, frame, generator):
        seconds, time = self.params.audio_seconds, self.read(trial, request("time"))[frame]
        start = mel.start_column(time, self.facts(trial, request("mel"))["t0"], seconds)
        segment = mel.segments(self.read(trial, request("mel")), [start], mel.columns(seconds))[0]  # (1, 64, columns)
        augmented = generator is not None and self.params.options["augment"]
        return augmentation.mel(segment, generator) if augmented else segment

    def model(self):
        p = self.params
        return models.create("tsav", width=p.width, face_size=p.face_size, audio_seconds=p.audio_seconds, channels=3,
                             modality=p.modality, stream_outputs=p.stream_loss > 0,
                             expressions=p.options["expressions"], action_units=p.options["action_units"])

    def loss(self, outputs, batch):
        parts = {}
        if "va" in self.tasks:
            parts["va"] = losses.va_loss(outputs["va"], batch["va"], self.params.va_loss)
            if "va_video" in outputs:
                parts["va_video"] = self.params.stream_loss * losses.va_loss(outputs["va_video"], batch["va"],
                                                                             self.params.va_loss)
        if "expression" in self.tasks:
            parts["expression"] = losses.expression_loss(outputs["expression"], batch["expression"])
        if "action_units" in self.tasks:
            parts["action_units"] = losses.action_unit_loss(outputs["action_units"], batch["action_units"])
        return {**parts, "total": sum(parts.values())}
