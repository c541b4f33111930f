"""Joint cross-attention (JCA) on the features of a trained two-stream network: a window of steps -> affect of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lib import losses, models, windows
from lib.declarations import ROOT
from lib.recipes import base
from lib.store import request

LOOK_BACK = 32  # frames that a step looks back (specification §7.1)


class Recipe(base.Recipe):
    """JCA, trained on features that `backbone_run` gives. One window = `steps` target frames, `step_hop` apart."""

    class Options:
        phases: int = 1  # phases (first targets) of a trial in an epoch, drawn anew each epoch; from 1 to 512
        dropout: float = 0.6  # in co-attention and heads; from 0.0 to 0.9
        clip: str = "look_back"  # a step's pictures: 8 of its last 32 frames, or TSAV's 8; one of look_back, dilated

    def arrays(self):
        self.require(bool(self.params.backbone_run), "backbone_run is empty",
                     "the run (or weights file) whose network gives the features, for example sample_tsav",
                     "set backbone_run in the parameter file")
        wanted = [request("time"), *self.label_requests()]
        if self.uses_video:
            wanted += [request("face_valid"), self._visual]
        return wanted + ([self._audio] if self.uses_audio else [])

    @property
    def _files(self):
        """A run's best checkpoint, or a weights file; only what is there can tell: a run may be called tsav_lr1.5."""
        run = self.params.runs_root / self.params.backbone_run / "checkpoints" / "best.pt"
        file = ROOT / Path(self.params.backbone_run).expanduser()
        return {"weights": file if file.is_file() and not run.is_file() else run}

    @property
    def _visual(self):
        return request("backbone_visual", self._files, size=self.params.face_size, clip=self.params.options["clip"],
                       pooled=self.params.features == "pooled")

    @property
    def _audio(self):
        seconds, anchor = self.params.audio_seconds, "centre"
        if not seconds:
            seconds, anchor = self.statistics.get("look_back_seconds") or self._look_back_seconds(), "end"
        return request("backbone_audio", self._files, seconds=seconds, anchor=anchor)

    def _look_back_seconds(self):
        """One length for the whole run, that of the lowest frame rate (specification §7.2)."""
        return round(LOOK_BACK / min(trial["fps"] for trial in self._trials.values()), 3)

    def fit(self, windows):
        # Kept with the run: another data set or video has another lowest rate, but the network listens as it learnt.
        return {"look_back_seconds": self._look_back_seconds()}

    def windows(self, trials, epoch=None):
        steps, hop = self.params.steps, self.params.step_hop
        pieces = []
        for index, trial in enumerate(trials["trial"]):
            phases = None
            if epoch is not None:
                generator = np.random.default_rng([self.params.seed, epoch, 2, index])
                phases = np.sort(generator.permutation(hop)[:self.params.options["phases"]])
            targets = windows.sequences(self.n_frames(trial), steps, hop, phases)  # (N, steps), −1 = filled up
            if epoch is not None:
                known = np.isfinite(self.labels(trial, "va")).all(axis=1)
                targets = targets[(known[targets] & (targets >= 0)).any(axis=1)]
            n_targets = (targets >= 0).sum(axis=1)
            first = targets[:, 0]
            pieces.append((trial, {"start": np.maximum(first - LOOK_BACK + 1, 0),
                                   "stop": first + (n_targets - 1) * hop + 1, "first_target": first,
                                   "target_step": np.full_like(first, hop), "n_targets": n_targets}))
        return self.window_table(pieces)

    def example(self, window, generator=None):
        steps = self.params.steps
        frames = window.first_target + window.target_step * np.arange(window.n_targets)
        item = {"valid": np.arange(steps) < window.n_targets,
                "va": _filled(self.labels(window.trial, "va")[frames], steps, np.nan)}
        if self.uses_video:
            item["visual"] = _filled(self.read(window.trial, self._visual)[frames], steps, 0)
        if self.uses_audio:
            item["audio"] = _filled(self.read(window.trial, self._audio)[frames], steps, 0)
        return item

    def model(self):
        sizes = {}
        trial = next(iter(self._trials))
        if self.uses_video:
            facts = self.facts(trial, self._visual)
            sizes |= {"visual_channels": facts["channels"], "visual_positions": facts["positions"]}
        if self.uses_audio:
            sizes["audio_channels"] = self.facts(trial, self._audio)["shape"][1]
        return models.create("jca", steps=self.params.steps, width=self.params.width, modality=self.params.modality,
                             dropout=self.params.options["dropout"], **sizes)

    def loss(self, outputs, batch):
        return {"total": losses.va_loss(outputs["va"], batch["va"], self.params.va_loss, mask=batch["valid"])}


def _filled(rows: np.ndarray, steps: int, value: float) -> np.ndarray:
    """(n, k) -> (steps, k) float32, filled up with `value`."""
    out = np.full((steps, rows.shape[1]), value, np.float32)
    out[:len(rows)] = rows
    return out
