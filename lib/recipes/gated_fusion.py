"""Gated fusion by reliability: any streams, each with its own temporal network, weighted frame by
frame by their reliability; valence and arousal with their uncertainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import torch

from ..features import statistics
from ..metrics import EMOTIONS
from ..models import networks
from ..models.affect.gated_fusion import refuse_network, rows_of
from ..speakers import arrays as speaker_arrays
from ..speakers.roles import SPEAKS
from ..store import Request, request
from ..training import augmentation, losses, uncertainty
from . import base, features, streams
from .streams import as_key

# Possible inputs of a gate, and the streams that they describe.
TELLS_OF = {
    "face_valid": {"faces"},
    "face_quality": {"faces"},
    "loudness": {"sound"},
    "speaking": {"faces", "sound"},
}
SD, GATES, FACTOR = "va_sd", "gates", "sd_factor"
TRUST = "reliability "  # before the name of an array that gates look at, in `statistics`


class Recipe(streams.OfModality, features.Recipe):
    """Windows and streams as in `features`; each keeps its own spacing here, and may be missing.

    A row of a face stream counts as observed if the face was found; a row of a sound stream always
    does or, with ``sound_while: speaking``, unless the person is seen and does not speak. `gate_by`
    are the arrays that the gates read. In training each stream of a window is switched off,
    together with its reliability, with probability `modality_dropout`, but never all of them.

    The loss is that of `va_loss`, plus `nll` times the negative log-likelihood of the labels, plus
    `alone` times the same `va_loss` of each stream alone. The predicted deviation is
    multiplied by one factor for valence and one for arousal, fitted on the val trials (`calibrate`)
    and kept in the checkpoint.
    """

    class Options:
        network: str = "temporal_convolution"  # of each stream over time, or linear_recurrence, …
        every: list[int] = []  # frames between a stream's rows, 0 or none: step_hop; from 0 to 512
        files_of: dict[str, str] = {}  # what each file (.npy) shows; one of faces, sound
        gate_by: list[str] = [
            "face_valid",
            "face_quality",
            "loudness",
        ]  # what gates look at; one of face_valid, face_quality, loudness, speaking
        join: str = "features"  # what gates weigh, before heads or behind; one of features, values
        sound_while: str = "always"  # when sound counts; one of always, speaking
        speaker: str = ""  # run or weights that tell who speaks, empty for Light-ASD's
        modality_dropout: float = 0.3  # chance that a stream is off in a window; from 0.0 to 0.9
        alone: float = 0.3  # weight of the loss of each stream alone; from 0.0 to 10.0
        nll: float = 0.3  # weight of the negative log-likelihood; from 0.0 to 10.0

    def __init__(self, params, store):
        super().__init__(params, store)
        self.off: set[str] = set()  # streams that are switched off, for an ablation

    # ---- arrays

    @property
    def _reliability(self) -> dict[str, Request]:
        """Arrays that the gates read, for the present modalities."""
        kinds, asked = set(self._kinds.values()), self.params.options["gate_by"]
        return {name: self._told_by(name) for name in asked if TELLS_OF[name] <= kinds}

    def _told_by(self, name: str) -> Request:
        if name == "face_quality":
            return request(name, size=self.params.face_size)
        return self._speaking if name == "speaking" else request(name)

    @cached_property
    def _speaking(self) -> Request:
        """The probability that the trial's person is heard."""
        speaker, root = self.params.options["speaker"], self.store and self.store.weights_root
        settings = {
            "speaker_run": speaker,
            "weights_root": root,
            "runs_root": self.params.runs_root,
        }
        speaking = speaker_arrays.request_for(settings, always=True)
        self.require(
            speaking is not None,
            "no network is there that tells who speaks",
            f"Light-ASD's weights in {root or Path('weights')}, or a run in the option `speaker`",
            "`python -m lib weights get light_asd_ava`, or `sound_while: always` and no `speaking` "
            "in `gate_by`",
        )
        return speaking

    @property
    def _hears_the_speaker(self) -> bool:
        return self.params.options["sound_while"] == "speaking" and self.uses_audio

    def arrays(self):
        asked = super().arrays() + list(self._reliability.values())
        return list(dict.fromkeys(asked + ([self._speaking] if self._hears_the_speaker else [])))

    def _refuse_network(self) -> None:
        refuse_network(self.params.options["network"])
        self._refuse_spacings()

    # ---- windows

    def fit(self, windows):
        """Mean and deviation of the streams and of the gates' inputs."""
        trials = list(dict.fromkeys(windows["trial"].astype(str)))
        fitted = super().fit(windows)
        for item in self._reliability.values():
            moments = self.statistics_of(item, trials, statistics.of_known)
            fitted[f"{TRUST}{item}"] = moments
        return fitted

    def example(self, window, generator=None):
        trial, hop = str(window.trial), self.params.step_hop
        steps = max(self.params.steps, window.n_targets)
        frames = base.frames_of(window)
        off = self.off | self._dropped(generator)
        item = self._of_targets(window, frames)
        item["reliability"] = base.filled(self._trust(trial, frames, off), steps)
        for name, every in zip(self._streams, self._every(self._streams), strict=True):
            rows = rows_of(window.n_targets, hop, every)
            at = np.minimum(frames[0] + every * np.arange(rows), self.n_frames(trial) - 1)
            key, room = as_key(name), rows_of(steps, hop, every)
            values, seen = self._stream(trial, name, at)
            seen = seen & (name not in off)
            item[f"stream_{key}"] = base.filled(np.where(seen[:, None], values, 0.0), room)
            item[f"seen_{key}"] = base.stacked([seen], room)[0]
        return item

    def _dropped(self, generator) -> set[str]:
        """Streams that are switched off in this window of training."""
        chance, names = self.params.options["modality_dropout"], list(self._streams)
        if generator is None or not chance:
            return set()
        drawn = augmentation.switched_off(len(names), chance, generator)
        return {name for name, dropped in zip(names, drawn, strict=True) if dropped}

    def _stream(self, trial: str, name: str, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) standardised rows of a stream, and (n,) bool: which of them were observed."""
        item, kind = self._streams[name], self._kinds[name]
        seen = np.isfinite(self._rows(trial, item, frames).astype(np.float32)).all(axis=1)
        if kind == "faces":
            seen &= np.asarray(self.read(trial, request("face_valid")))[frames].astype(bool)
        if kind == "sound" and self._hears_the_speaker:
            speaks = np.asarray(self.read(trial, self._speaking))[frames]
            seen &= ~(speaks <= SPEAKS)  # if the person is not seen, it may be her or his voice
        return self._standardised(trial, item, frames, self.statistics[str(item)]), seen

    def _trust(self, trial: str, frames: np.ndarray, off: set[str]) -> np.ndarray:
        """(n, r): each measure of reliability, and whether it is known. A measure whose streams are
        all off is unknown.
        """
        on = {kind for name, kind in self._kinds.items() if name not in off}
        parts = [np.zeros((len(frames), 0), np.float32)]
        for name, item in self._reliability.items():
            rows = self._rows(trial, item, frames).astype(np.float32)
            known = np.isfinite(rows)
            known &= TELLS_OF[name] <= on
            values = statistics.normalised(rows, self.statistics[f"{TRUST}{item}"])
            parts += [np.where(known, values, 0.0), known]
        return np.concatenate(parts, axis=1)

    def _every(self, streams: Iterable[str]) -> list[int]:
        """Frames from one row to the next, of each of some streams."""
        self._refuse_spacings()
        numbers, names = self.params.options["every"], self.params.options["features"]
        spacing = dict(zip(names, [*numbers, *[0] * len(names)], strict=False))
        return [spacing[name] or self.params.step_hop for name in streams]

    def _refuse_spacings(self) -> None:
        numbers, names = self.params.options["every"], self.params.options["features"]
        self.require(
            len(numbers) <= len(names),
            f"every: {len(numbers)} numbers for {len(names)} streams",
            "one for each stream, in their order",
            "correct the option `every`",
        )

    # ---- network and loss

    @property
    def _told_of_streams(self) -> dict[str, dict]:
        """Statistics of each stream by its name. They were saved in the order of `features`, so a
        checkpoint of all of them is enough: no array, and nothing that it is made from.
        """
        names, saved = self.params.options["features"], self.statistics.items()
        moments = [entry for key, entry in saved if key != FACTOR and not key.startswith(TRUST)]
        if len(moments) != len(names):  # of one modality, or the same array under two names
            names, moments = self._streams, [self.statistics[str(item)] for item in self._items]
        return dict(zip(names, moments, strict=True))

    @property
    def _told_of_trust(self) -> list[dict]:
        """Statistics of each array that the gates look at."""
        return [entry for key, entry in self.statistics.items() if key.startswith(TRUST)]

    def model(self):
        widths = {name: len(entry["mean"]) for name, entry in self._told_of_streams.items()}
        options = self.params.options
        return networks.create(
            "gated_fusion",
            streams={as_key(name): width for name, width in widths.items()},
            reliability=2 * sum(len(entry["mean"]) for entry in self._told_of_trust),
            every=self._every(widths),
            step_hop=self.params.step_hop,
            width=self.params.width,
            stacks=self._stacks(widths),
            **{name: options[name] for name in ("network", "layers", "dropout", "join")},
        )

    def _stacks(self, widths: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """The streams whose layers are averaged, in the form that the network takes."""
        stacks = {as_key(name): self.stack(name, width) for name, width in widths.items()}
        return {name: stack for name, stack in stacks.items() if stack[0] > 1}

    def normalisation(self):
        by_stream = {
            f"stream_{as_key(name)}": entry for name, entry in self._told_of_streams.items()
        }
        trust = {"mean": [], "std": []}
        for entry in self._told_of_trust:  # whether a number is known stays as it is
            trust["mean"] += [*entry["mean"], *[0.0] * len(entry["mean"])]
            trust["std"] += [*entry["std"], *[1.0] * len(entry["std"])]
        return by_stream | ({"reliability": trust} if trust["mean"] else {})

    def loss(self, outputs, batch):
        target, valid = batch["va"], batch["valid"]
        parts = {"va": self.va_loss(outputs["va"], target, valid)}
        mean, spread = outputs["va"], outputs["log_variance"]
        parts["nll"] = sum(
            losses.gaussian_nll(mean[..., k], spread[..., k], target[..., k], valid)
            for k in range(len(EMOTIONS))
        )
        total = parts["va"] + self.params.options["nll"] * parts["nll"]
        if self.params.options["alone"] and "va_streams" in outputs:
            parts["streams"] = self._loss_of_streams(outputs["va_streams"], batch)
            total = total + self.params.options["alone"] * parts["streams"]
        return {"total": total, **parts}

    def _loss_of_streams(self, alone: torch.Tensor, batch) -> torch.Tensor:
        """The mean over streams of the loss of each alone, where it was on."""
        parts = []
        for number, name in enumerate(self._streams):
            on = batch[f"seen_{as_key(name)}"].any(dim=1, keepdim=True)
            mask = batch["valid"] & on
            values = alone[:, :, number]
            parts.append(self.va_loss(values, batch["va"], mask))
        return torch.stack(parts).mean()

    # ---- back to frames

    def assemble(self, windows, outputs, n_frames):
        predicted = super().assemble(windows, outputs, n_frames)
        factor = [self.statistics.get(FACTOR, {}).get(name, 1.0) for name in EMOTIONS]
        network = {name: np.asarray(rows, np.float32) for name, rows in outputs.items()}
        if "log_variance" in network:
            spread = np.exp(network["log_variance"] / 2) * np.float32(factor)
            predicted[SD] = base.on_frames(spread, windows, n_frames)
        if GATES in network:
            gates = network[GATES].reshape(*network[GATES].shape[:2], -1)
            predicted[GATES] = base.on_frames(gates, windows, n_frames)
        return predicted

    def calibrate(self, predictions):
        """Set the factors of the predicted deviations by the labels of the val trials.

        These frames were used already to choose the epoch; test trials are never used.
        """
        before = self.statistics.get(FACTOR, dict.fromkeys(EMOTIONS, 1.0))
        errors, spread = [np.zeros((0, 2))], [np.zeros((0, 2))]
        for trial, rows in predictions.items():
            errors.append(np.asarray(self.labels(trial, "va")) - rows["va"])
            spread.append(rows[SD])
        factors = uncertainty.factors(np.concatenate(errors), np.concatenate(spread))
        self.statistics[FACTOR] = {
            name: before[name] * factor for name, factor in zip(EMOTIONS, factors, strict=True)
        }

    def columns(self, task, values, times):
        if task == SD:
            return dict(zip([f"{name}_sd" for name in EMOTIONS], values.T, strict=True))
        if task == GATES:
            pairs = product(self._streams, EMOTIONS)
            names = [f"{emotion}_gate_{as_key(name)}" for name, emotion in pairs]
            return dict(zip(names, values.T, strict=True))
        return super().columns(task, values, times)
