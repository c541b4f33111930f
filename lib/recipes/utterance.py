"""One label per recording: how something is said, by a small network that pools over time.

Everything that was chosen was chosen on an inner split by actors of RAVDESS (docs/ravdess.md).
"""

from __future__ import annotations

import numpy as np
import torch

from .. import arrays, metrics, models
from ..features import statistics, voice, voice_streams
from ..store import request
from ..training import augmentation
from . import base

SPOKEN_ROWS, FRAMES = 100, 92  # rows of the spoken part, and frames, of a recording of 3.7 s
BUCKET = 8  # batches whose recordings are sorted by length, so that little is padded


class Recipe(base.Recipe):
    """One prediction per recording: from the spoken part of its sound, a class or a pair of valence
    and arousal.

    A trial is one window. Its label is that of most of its frames, or their mean. Predictions are
    the same at every frame; scores count recordings.

    Logit adjustment against class imbalance: in training the logarithm of each class's share is
    added to its logit (Menon et al. 2021); predictions assume equal shares.

    With ``network: gated_utterance`` its rows are several `streams`, weighted as in the recipe
    `gated_fusion`: `gate_by` are the numbers that the gates read, each with whether it is known. In
    training each stream of a recording is switched off, together with its reliability, with
    probability `modality_dropout`, but never all of them; `alone` is the weight of the same loss on
    each stream's own prediction.
    """

    modalities = ("audio",)
    uses_video, uses_audio = False, True
    submits = False

    class Options:
        task: str = "expression"  # what is learnt; one of expression, va
        classes: int = 8  # of expression; from 2 to 1000
        network: str = "utterance"  # one of utterance, res_lstm_sa, gated_utterance
        hidden: int = 64  # width of res_lstm_sa; from 1 to 4096
        dropout: float = 0.2  # in the network; from 0.0 to 0.9
        speeds: list[float] = [0.9, 0.95, 1.0, 1.05, 1.1]  # as learnt from; from 0.5 to 2.0
        smoothing: float = 0.1  # of the labels, shared by all classes; from 0.0 to 0.9
        prior: float = 1.0  # weight of the classes' log share in training; from 0.0 to 2.0
        mixup: float = 0.2  # both parameters of the beta distribution, 0 for none; from 0.0 to 10.0
        mixup_share: float = 0.5  # of the batches that are mixed; from 0.0 to 1.0
        masks: int = 2  # of bands and of frames, each; from 0 to 20
        band_mask: int = 8  # most bands of a mask; from 0 to 64
        time_mask: float = 0.2  # largest share of the frames of a mask; from 0.0 to 1.0
        keep: str = "last"  # epoch that is kept; one of last, best
        streams: list[str] = ["spectrum", "melody", "loudness"]  # one of spectrum, melody, loudness
        gate_by: list[str] = ["voicing", "level"]  # what gates look at; one of voicing, level
        over_time: str = "temporal_convolution"  # of each stream, or linear_recurrence, …
        layers: int = 2  # of each stream over time; from 1 to 12
        modality_dropout: float = 0.3  # chance that a stream is off; from 0.0 to 0.9
        alone: float = 0.3  # weight of the loss of each stream alone; from 0.0 to 10.0

    def __init__(self, params, store):
        super().__init__(params, store)
        self.off: set[str] = set()  # streams that are switched off, for an ablation
        self._rows: dict[tuple[str, float], np.ndarray] = {}

    # ---- data

    @property
    def tasks(self):
        return (self.params.options["task"],)

    @property
    def task(self) -> str:
        """The task that is learnt."""
        return self.params.options["task"]

    @property
    def validates(self):
        return self.params.options["keep"] == "best"

    def arrays(self):
        self.require(
            self.params.modality == "audio",
            f"modality: {self.params.modality}",
            "audio: this recipe hears only",
            "set `modality: audio`",
        )
        self.require(
            bool(self.params.options["speeds"]),
            "speeds: []",
            "at least one, [1.0] to learn from recordings as they are",
            "correct the option `speeds`",
        )
        speeds = sorted({1.0, *self.params.options["speeds"]})
        return [request("time"), *self.label_requests(), *map(_voice, speeds)]

    def sketch(self):
        model = self.model()  # for recordings of RAVDESS's median length
        return base.Sketch(model, model.shapes(T=SPOKEN_ROWS), FRAMES, FRAMES)

    def label(self, trial: str) -> np.ndarray:
        """The label of a recording: class () int64, −1 unlabelled; or (2,) float32, NaN."""
        rows = np.asarray(self.labels(trial, self.task))
        if self.task == "va":
            known = rows[np.isfinite(rows).all(axis=1)]
            return known.mean(axis=0) if len(known) else np.full(2, np.nan, np.float32)
        known = rows[rows >= 0]
        return np.bincount(known).argmax() if len(known) else np.int64(-1)

    def _known(self, trial: str) -> bool:
        label = self.label(trial)
        return bool(np.isfinite(label).all() if self.task == "va" else label >= 0)

    def rows(self, trial: str, speed: float = 1.0) -> np.ndarray:
        """(T, 75) numbers of a recording, before they are standardised; in memory, as five files
        per recording need not stay open.
        """
        if (trial, speed) not in self._rows:
            located = arrays.read(self.trial(trial), _voice(speed), self.store)
            self._rows[trial, speed] = np.array(located)
        return self._rows[trial, speed]

    # ---- windows and batches

    def windows(self, trials, epoch=None):
        pieces = []
        for trial in trials["trial"]:
            if epoch is None or self._known(trial):
                whole = {"start": [0], "stop": [self.n_frames(trial)], "first_target": [0]}
                pieces.append((trial, {**whole, "target_step": [1], "n_targets": [1]}))
        return self.window_table(pieces)

    def fit(self, windows):
        """Mean and deviation of every number over the training recordings; the classes' counts."""
        trials = list(windows["trial"].astype(str))
        found = {"voice": statistics.of_known(self.rows(trial) for trial in trials)}
        if self.task == "expression":
            labels = [int(self.label(trial)) for trial in trials]
            classes = self.params.options["classes"]
            self.require(
                max(labels, default=0) < classes,
                f"a label {max(labels, default=0)} with `classes: {classes}`",
                "labels from 0 to classes − 1",
                "set the option `classes`",
            )
            found["counts"] = np.bincount(labels, minlength=classes).tolist()
        return found

    def batches(self, windows, epoch):
        """Shuffled by (seed, epoch); recordings of a batch are about equally long."""
        size = self.params.batch_size
        generator = np.random.default_rng([self.params.seed, epoch, 1])
        lengths = np.array([len(self.rows(trial)) for trial in windows["trial"]])
        order = generator.permutation(len(windows))
        groups = np.split(order, range(size * BUCKET, len(order), size * BUCKET))
        order = np.concatenate([rows[np.argsort(lengths[rows], kind="stable")] for rows in groups])
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        batches = [rows for rows in batches if len(rows) * 2 >= size or len(batches) == 1]
        return [batches[number] for number in generator.permutation(len(batches))]

    def example(self, window, generator=None):
        options, speed = self.params.options, 1.0
        if generator is not None:
            speed = options["speeds"][generator.integers(len(options["speeds"]))]
        rows = self.rows(str(window.trial), speed)
        rows = statistics.normalised(rows, self.statistics["voice"])
        if generator is not None:
            amounts = (options["masks"], options["band_mask"], options["time_mask"])
            augmentation.mask(rows, voice.BANDS, generator, *amounts)
        return {"features": rows, "target": self._target(self.label(str(window.trial)))}

    def _target(self, label: np.ndarray) -> np.ndarray:
        """(classes,) shares, all 0 where unlabelled; or (2,) valence and arousal."""
        if self.task == "va":
            return label.astype(np.float32)
        return (np.arange(self.params.options["classes"]) == label).astype(np.float32)

    def collate(self, examples, generator=None):
        longest = max(1, *(len(example["features"]) for example in examples))
        features = np.zeros((len(examples), longest, voice.COLUMNS), np.float32)
        valid = np.zeros((len(examples), longest), bool)
        for row, example in enumerate(examples):
            count = len(example["features"])
            features[row, :count], valid[row, :count] = example["features"], True
        target = np.stack([example["target"] for example in examples])
        amount, share = self.params.options["mixup"], self.params.options["mixup_share"]
        if generator is not None and amount and generator.random() < share:
            features, target = _mixed(features, target, valid, amount, generator)
        batch = {"features": features, "valid": valid, "target": target}
        if self._gated:
            del batch["features"]
            on = self._on(len(features), generator)
            batch |= voice_streams.cut(features, valid, on, self.params.options["gate_by"])
        return {name: torch.from_numpy(array) for name, array in batch.items()}

    # ---- streams

    @property
    def _gated(self) -> bool:
        return self.params.options["network"] == "gated_utterance"

    @property
    def _streams(self) -> list[str]:
        """Names of the streams. Raises InputError where one is there twice, or none."""
        names = self.params.options["streams"]
        self.require(
            len(set(names)) == len(names) > 0,
            f"streams: {', '.join(names) or 'none'}",
            "at least one, each once",
            "correct the option `streams`",
        )
        return names

    def _on(self, count: int, generator) -> dict[str, np.ndarray]:
        """Stream -> (count,) bool: in which recordings of a batch it is on."""
        names, chance = self._streams, self.params.options["modality_dropout"]
        on = np.array([[name not in self.off for name in names]] * count)
        if generator is not None and chance:
            off = [augmentation.switched_off(len(names), chance, generator) for _ in on]
            on &= ~np.array(off)
        return dict(zip(names, on.T, strict=True))

    # ---- network and loss

    def model(self):
        if self._gated:
            return self._gated_model()
        options = self.params.options
        sizes = {"channels": voice.COLUMNS, "dropout": options["dropout"]}
        if options["network"] == "res_lstm_sa":
            self.require(
                self.task == "expression", "task: va", "expression", "set `network: utterance`"
            )
            sizes |= {"hidden": options["hidden"], "classes": options["classes"]}
            return models.create("res_lstm_sa", self.published, **sizes)
        sizes |= {"output": self.task, "width": self.params.width, "classes": self._outputs}
        return models.create("utterance", **sizes, bands=voice.BANDS)

    def _gated_model(self):
        options = self.params.options
        streams = {name: len(voice_streams.COLUMNS[name]) for name in self._streams}
        told_by = voice_streams.told_by(streams, options["gate_by"])
        return models.create(
            "gated_utterance",
            streams=streams,
            reliability=2 * len(told_by),
            classes=self._outputs,
            output=self.task,
            network=options["over_time"],
            width=self.params.width,
            **{name: options[name] for name in ("layers", "dropout")},
        )

    def row(self):
        return "one row per 20 ms of the spoken part of a recording"

    def normalisation(self):
        moments = self.statistics["voice"]
        if not self._gated:
            return {"features": moments}
        return voice_streams.moments(moments, self._streams, self.params.options["gate_by"])

    @property
    def _outputs(self) -> int:
        return 2 if self.task == "va" else self.params.options["classes"]

    def groups(self, model):
        """Parameter groups: weight decay for matrices only, not for biases and scales."""
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        return [
            {"params": [weight for weight in weights if weight.ndim > 1]},
            {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
        ]

    def loss(self, outputs, batch):
        target = batch["target"]
        total = self._lost(outputs[self.task], target).mean()
        if "alone" not in outputs or not self.params.options["alone"]:
            return {"total": total}
        seen = [batch[f"seen_{name}"].any(dim=1) for name in self._streams]
        on = torch.stack(seen, dim=1)  # (B, streams)
        lost = self._lost(outputs["alone"], target[:, None].expand(-1, on.shape[1], -1), on)
        alone = (lost * on).sum() / on.sum().clamp(min=1)
        return {"total": total + self.params.options["alone"] * alone, "streams": alone}

    def _lost(self, values, target, on=None) -> torch.Tensor:
        """(…) loss of each prediction (…, k); for valence and arousal a single loss over all that
        are `on`.
        """
        if self.task == "va":
            return self.va_loss(values, target, on)
        smoothing, counts = self.params.options["smoothing"], self.statistics["counts"]
        target = target * (1 - smoothing) + smoothing / target.shape[-1]
        share = torch.tensor(counts, device=target.device).clamp(min=1) / sum(counts)
        logits = values.float() + self.params.options["prior"] * share.log()
        return -(target * logits.log_softmax(dim=-1)).sum(dim=-1)

    # ---- back to frames, and to recordings

    def assemble(self, windows, outputs, n_frames):
        values = self._checked(outputs, self.task, windows)[:, 0]
        rows = values[0] if len(values) else np.full(self._outputs, np.nan, np.float32)
        return {self.task: np.tile(rows, (n_frames, 1))}

    def metrics(self, labels, predictions, with_intervals=True, subjects=None):
        """Scores over recordings: each counts once, however long it is."""
        if self.task == "va":
            return super().metrics(
                {"va": {trial: self.label(trial)[None] for trial in labels["va"]}},
                {"va": {trial: rows[:1] for trial, rows in predictions["va"].items()}},
                with_intervals,
                subjects,
            )
        return super().metrics(labels, predictions, with_intervals, subjects)

    def expression_scores(self, labels, chosen, with_intervals=True, subjects=None):
        known = {trial: _most(rows) for trial, rows in labels.items()}
        first = {trial: rows[:1] for trial, rows in chosen.items()}
        return metrics.utterance_scores(known, first, with_intervals, subjects)


def _voice(speed: float):
    return request("voice") if speed == 1 else request("voice", speed=speed)


def _most(rows: np.ndarray) -> np.ndarray:
    """(T,) labels of frames -> (1,) the most frequent one, −1 where none is labelled."""
    rows = np.asarray(rows)
    known = rows[rows >= 0].astype(np.int64)
    return np.array([np.bincount(known).argmax() if len(known) else -1])


def _mixed(features, target, valid, amount: float, generator: np.random.Generator):
    """Mixup: every recording is mixed with a smaller share of another one of its batch, which is
    cut at its own end; targets likewise (Zhang et al. 2018).
    """
    share = generator.beta(amount, amount)
    share, other = np.float32(max(share, 1 - share)), generator.permutation(len(features))
    features = (share * features + (1 - share) * features[other]) * valid[..., None]
    return features, share * target + (1 - share) * target[other]
