"""One label per recording: how something is said, and what the face shows, by a small network that
pools over time.

Everything that was chosen was chosen on an inner split by actors of RAVDESS (docs/ravdess.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from .. import arrays, metrics
from ..features import mfcc_chroma, statistics, voice, voice_streams
from ..models import networks
from ..store import Request, request
from ..training import augmentation
from ..trials import has_picture
from . import base, streams

VOICE = "voice"  # the array that is read where nothing else is named
# Arrays with rows of their own, made of the sound at each speed -> numbers per row, and s between
# rows. The first one among the streams sets the times of all rows.
PACES = {
    VOICE: (voice.COLUMNS, voice_streams.PERIOD),
    "mfcc_chroma": (mfcc_chroma.COLUMNS, mfcc_chroma.PERIOD),
}
STREAM = "stream "  # before the name of any other one in `statistics`
SPOKEN_ROWS, FRAMES = 100, 92  # rows of the spoken part, and frames, of a recording of 3.7 s
BUCKET = 8  # batches whose recordings are sorted by length, so that little is padded


class Recipe(streams.OfModality, base.Recipe):
    """One prediction per recording, from its streams (of the voice, the spoken part): a class or a
    pair of valence and arousal.

    A trial is one window. Its label is that of most of its frames, or their mean. Predictions are
    the same at every frame; scores count recordings.

    `features` names what is read, as in `lib.recipes.streams`; ``voice`` are the 75 numbers of
    `lib.features.voice`. Of other arrays there is a row where the voice has one, by time: that of
    the nearest video frame; without the voice one where ``mfcc_chroma`` has one, which is made of
    the sound at each speed, too; without either one per video frame, of which speeds leave some out
    or repeat some. `modality` leaves streams of faces or of sound out. A row in which no stream was
    observed (no face, no sound) is not valid; what one stream lacks is 0, its mean. A recording
    that shows nothing at all is not learnt from.

    Logit adjustment against class imbalance: in training the logarithm of each class's share is
    added to its logit (Menon et al. 2021); predictions assume equal shares.
    ``class_weights: balanced`` multiplies the cross-entropy's terms instead, or beside it, by
    recordings / (classes that there are · recordings of the class).

    With ``network: gated_utterance`` its rows are several `streams`, weighted as in the recipe
    `gated_fusion`: `gate_by` are the numbers that the gates read, each with whether it is known. In
    training each stream of a recording is switched off, together with its reliability, with
    probability `modality_dropout`, but never all of them; `alone` is the weight of the same loss on
    each stream's own prediction.
    """

    submits = False
    from_face_alone = False  # what is said of a recording stands where no face is seen, too
    heard = (VOICE, *streams.HEARD)

    class Options:
        task: str = "expression"  # what is learnt; one of expression, va
        classes: int = 8  # of expression; from 2 to 1000
        features: list[str] = ["voice"]  # the voice, files (wavlm.npy), arrays, encoders, networks
        files_of: dict[str, str] = {}  # what each file (.npy) shows; one of faces, sound
        network: str = "utterance"  # one of utterance, res_lstm_sa, gated_utterance
        hidden: int = 64  # width of res_lstm_sa; from 1 to 4096
        dropout: float = 0.2  # in the network; from 0.0 to 0.9
        speeds: list[float] = [0.9, 0.95, 1.0, 1.05, 1.1]  # as learnt from; from 0.5 to 2.0
        smoothing: float = 0.1  # of the labels, shared by all classes; from 0.0 to 0.9
        prior: float = 1.0  # weight of the classes' log share in training; from 0.0 to 2.0
        class_weights: str = "none"  # of the cross-entropy; one of none, balanced
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
        self.voices: dict[tuple[str, float], np.ndarray] = {}  # rows of each, at each speed
        self._shown: dict[str, bool] = {}

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

    @property
    def _streams(self) -> dict[str, Request]:
        """Streams of this modality by name, the voice first. Where there are sound and faces, an
        array of either is asked for only of recordings that have it; files of one's own always.
        """
        by_name = super()._streams
        kinds = {name: self.kind(name, item) for name, item in by_name.items()}
        names = sorted(by_name, key=lambda name: name != VOICE)
        if len(set(kinds.values())) == 1:
            return {name: by_name[name] for name in names}
        needed = {"faces": "picture", "sound": "sound"}
        return {
            name: by_name[name]
            if by_name[name].name == "feature"
            else replace(by_name[name], only_with=needed[kinds[name]])
            for name in names
        }

    def _named(self):
        options = self.params.options
        averaged = [
            name for name, settings in options["encoders"].items() if settings.get("average")
        ]
        self.require(
            not averaged,
            f"`average` of the encoder {', '.join(averaged)}",
            "layers side by side: the networks of this recipe learn no average",
            "leave `average` out",
        )
        taken = [name for name in PACES if name in options["encoders"]]
        self.require(
            not taken,
            f"an encoder with the name {', '.join(taken)}",
            "a name of its own: an array of the sound is called so",
            "give the encoder another name",
        )
        if options["features"] != [VOICE]:
            self._refuse_published()
        return super()._named()

    @property
    def _pace(self) -> str:
        """The stream whose rows set the times of all; "" where these are the video frames'."""
        return next((name for name in PACES if name in self._streams), "")

    @property
    def _pace_alone(self) -> bool:
        return list(self._streams) == [self._pace]

    @property
    def needs_sound(self):
        return self.uses_audio and not self.uses_video

    @property
    def _found(self) -> Request:
        """Whether a face was found; of recordings with pictures only, where there is sound, too."""
        return replace(request("face_valid"), only_with="picture" if self.uses_audio else "")

    def has_faces(self, trial):
        return self.uses_video and not arrays.lacking(self.trial(trial), self._found)

    def arrays(self):
        self.require(
            self.task == "expression" or self.params.options["class_weights"] == "none",
            f"class_weights: {self.params.options['class_weights']} with task: {self.task}",
            "none: there are no classes",
            "leave class_weights out",
        )
        self.require(
            bool(self.params.options["speeds"]),
            "speeds: []",
            "at least one, [1.0] to learn from recordings as they are",
            "correct the option `speeds`",
        )
        requests = [request("time"), *self.label_requests()]
        speeds = sorted({1.0, *self.params.options["speeds"]})
        for name, item in self._streams.items():
            if name == self._pace:
                requests += [
                    replace(_played(item, speed), only_with=item.only_with) for speed in speeds
                ]
            else:
                requests.append(item)
        return requests + ([self._found] if self.uses_video else [])

    def sketch(self):
        if self.params.options["features"] != [VOICE]:
            return None  # the widths of arrays are known once they exist
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

    # ---- rows of all streams at the same times

    def rows(self, trial: str, speed: float = 1.0) -> np.ndarray:
        """(T, k) numbers of a recording's voice, or of its ``mfcc_chroma``, before they are
        standardised, none without sound; in memory, as five files per recording need not stay open.
        """
        key = (self._pace, trial, speed)
        if key not in self.voices:
            item, (width, _) = self._streams[self._pace], PACES[self._pace]
            rows = np.zeros((0, width), np.float32)
            if not arrays.lacking(self.trial(trial), item):
                rows = np.array(arrays.read(self.trial(trial), _played(item, speed), self.store))
            self.voices[key] = rows
        return self.voices[key]

    def _frames(self, trial: str, speed: float) -> tuple[np.ndarray, np.ndarray]:
        """(T,) the video frame of each row, and (T,) bool: whether there is one at this time."""
        times, pace = np.asarray(self.read(trial, request("time"))), self._pace
        if pace and len(rows := self.rows(trial, speed)):
            facts = self.facts(trial, _played(self._streams[pace], speed))
            moments = facts["t0"] + np.arange(len(rows)) / facts["rate"]
        else:
            moments = voice_streams.moments(times, speed, PACES[pace][1] if pace else 0.0)
        return voice_streams.frames_at(times, moments)

    def _count(self, trial: str) -> int:
        """Rows of a recording at its own speed."""
        return len(self.rows(trial) if self._pace_alone else self._frames(trial, 1.0)[0])

    def _seen(self, trial: str, speed: float) -> np.ndarray:
        """(T, streams) bool: in which rows each stream was observed."""
        return np.stack([known for _, known in self._observed(trial, speed).values()], axis=1)

    def _observed(
        self, trial: str, speed: float
    ) -> dict[str, tuple[np.ndarray | None, np.ndarray]]:
        """Of each stream its rows (T, k) as they are stored, None where the recording has none, and
        (T,) bool: which were observed.
        """
        if self._pace_alone:
            rows = self.rows(trial, speed)
            return {self._pace: (rows, np.ones(len(rows), bool))}
        frames, near = self._frames(trial, speed)
        with_face = near
        if self.has_faces(trial):
            with_face = near & np.asarray(self.read(trial, self._found))[frames].astype(bool)
        observed = {}
        for name, item in self._streams.items():
            if arrays.lacking(self.trial(trial), item):
                observed[name] = None, np.zeros(len(frames), bool)
            elif name == self._pace:
                rows = self.rows(trial, speed)
                observed[name] = rows, np.full(len(frames), len(rows) > 0)
            else:
                rows = self._rows(trial, item, frames)
                known = np.isfinite(rows.astype(np.float32)).all(axis=1)
                observed[name] = rows, known & (with_face if self._kinds[name] == "faces" else near)
        return observed

    def _joined(self, trial: str, speed: float) -> tuple[np.ndarray, np.ndarray]:
        """(T, k) standardised numbers of all streams side by side, 0 where one was not observed,
        and `_seen`.
        """
        parts, seen = [], []
        for name, (rows, known) in self._observed(trial, speed).items():
            seen.append(known)
            if not known.any():
                parts.append(np.zeros((len(known), self._widths[name]), np.float32))
            else:
                moments = self.statistics[VOICE if name == VOICE else STREAM + name]
                values = self._normalised(trial, self._streams[name], rows, moments)
                parts.append(np.where(known[:, None], values, np.float32(0)))
        return np.concatenate(parts, axis=1), np.stack(seen, axis=1)

    def _shows(self, trial: str) -> bool:
        """Whether any stream was observed anywhere in a recording. (Of a voice alone that is not
        asked: whoever has sound has rows, but for a file without a sample.)
        """
        if self._pace_alone:
            return True
        if trial not in self._shown:
            self._shown[trial] = bool(self._seen(trial, 1.0).any())
        return self._shown[trial]

    def remark(self, trial):
        if self._pace_alone:
            return ""
        shown, kinds = self._seen(trial, 1.0).any(axis=0), list(self._kinds.values())
        lost = set(kinds) - {kind for kind, any_row in zip(kinds, shown, strict=True) if any_row}
        faces = "no face was found" if has_picture(self.trial(trial)) else "no picture"
        words = {"faces": faces, "sound": "no sound"}
        reason = " and ".join(words[kind] for kind in sorted(lost))
        if not lost:
            return ""
        if lost == set(kinds):
            return f"{reason}: nothing to learn or to predict from, its values are a constant"
        return f"{reason}: the other streams say all"

    def remarks(self, trials):
        by_remark: dict[str, list[str]] = {}
        for trial in trials:
            if words := self.remark(trial):
                by_remark.setdefault(words, []).append(trial)
        remarks = [
            f"{len(names)} of {len(trials)} training recordings ({', '.join(names[:3])}"
            f"{', …' if len(names) > 3 else ''}): {words}"
            for words, names in by_remark.items()
        ]
        if weights := self.statistics.get("class_weights"):
            listed = ", ".join(f"{weight:.3g}" for weight in weights)
            beside = f", beside prior {prior:g}" if (prior := self.params.options["prior"]) else ""
            remarks.append(f"class_weights balanced: {listed}, by their recordings{beside}")
        return remarks

    # ---- windows and batches

    def windows(self, trials, epoch=None):
        pieces = []
        for trial in trials["trial"]:
            if epoch is None or (self._known(trial) and self._shows(trial)):
                whole = {"start": [0], "stop": [self.n_frames(trial)], "first_target": [0]}
                pieces.append((trial, {**whole, "target_step": [1], "n_targets": [1]}))
        return self.window_table(pieces)

    def fit(self, windows):
        """Mean and deviation of every number over the training recordings; the classes' counts."""
        self._refuse_copies()
        trials, moments = list(windows["trial"].astype(str)), {}
        for name, item in self._streams.items():
            with_stream = [trial for trial in trials if not arrays.lacking(self.trial(trial), item)]
            self.require(
                bool(with_stream),
                f"no training recording has {name}",
                "recordings with sound and with pictures, some of each",
                "set `modality` to the one that there is",
            )
            if name == VOICE:
                moments[VOICE] = statistics.of_known(self.rows(trial) for trial in with_stream)
            else:
                moments[STREAM + name] = self.statistics_of(item, with_stream)
        return moments | (self._of_classes(trials) if self.task == "expression" else {})

    def _of_classes(self, trials: Sequence[str]) -> dict[str, list]:
        """Recordings of each class, and its weight where `class_weights` is not none."""
        labels = [int(self.label(trial)) for trial in trials]
        classes = self.params.options["classes"]
        self.require(
            max(labels, default=0) < classes,
            f"a label {max(labels, default=0)} with `classes: {classes}`",
            "labels from 0 to classes − 1",
            "set the option `classes`",
        )
        counts = np.bincount(labels, minlength=classes)
        if self.params.options["class_weights"] == "none":
            return {"counts": counts.tolist()}
        return {"counts": counts.tolist(), "class_weights": balanced(counts).tolist()}

    def batches(self, windows, epoch):
        """Shuffled by (seed, epoch); recordings of a batch are about equally long."""
        size = self.params.batch_size
        generator = np.random.default_rng([self.params.seed, epoch, 1])
        lengths = np.array([self._count(trial) for trial in windows["trial"]])
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
        rows, seen = self._joined(str(window.trial), speed)
        if generator is not None:
            amounts = (options["masks"], options["band_mask"], options["time_mask"])
            augmentation.mask(rows, self._bands, generator, *amounts)
        target = self._target(self.label(str(window.trial)))
        return {"features": rows, "seen": seen, "target": target}

    @property
    def _bands(self) -> int:
        return voice.BANDS if VOICE in self._widths else 0

    def _target(self, label: np.ndarray) -> np.ndarray:
        """(classes,) shares, all 0 where unlabelled; or (2,) valence and arousal."""
        if self.task == "va":
            return label.astype(np.float32)
        return (np.arange(self.params.options["classes"]) == label).astype(np.float32)

    def collate(self, examples, generator=None):
        longest = max(1, *(len(example["features"]) for example in examples))
        widths = list(self._widths.values())
        rows, seen = ([example[name] for example in examples] for name in ("features", "seen"))
        features = base.stacked(rows, longest, dtype=np.float32)
        seen = base.stacked(seen, longest)
        target = np.stack([example["target"] for example in examples])
        amount, share = self.params.options["mixup"], self.params.options["mixup_share"]
        if generator is not None and amount and generator.random() < share:
            # Of what a recording does not show nothing is mixed in.
            observed = np.repeat(seen, widths, axis=2) if len(widths) > 1 else seen
            features, target = _mixed(features, target, observed, amount, generator)
        batch = {"features": features, "valid": seen.any(axis=2), "target": target}
        if self._gated:
            del batch["features"]
            batch |= self._cut(features, seen, generator)
        return {name: torch.from_numpy(array) for name, array in batch.items()}

    # ---- streams

    @property
    def _gated(self) -> bool:
        return self.params.options["network"] == "gated_utterance"

    @property
    def _widths(self) -> dict[str, int]:
        """Stream -> its numbers per row, by the statistics: a checkpoint is enough."""
        keys = [name for name in self.statistics if name == VOICE or name.startswith(STREAM)]
        names = [name.removeprefix(STREAM) for name in keys] or list(self._streams)
        return {
            name: voice.COLUMNS if name == VOICE else len(self.statistics[STREAM + name]["mean"])
            for name in names
        }

    @property
    def _parts(self) -> dict[str, tuple[int, list[int]]]:
        """What gates weigh: its name -> the number of its stream, and its columns of `features`."""
        parts, first = {}, 0
        for number, (name, width) in enumerate(self._widths.items()):
            part_columns = {streams.as_key(name): list(range(first, first + width))}
            if name == VOICE:
                part_columns = {
                    part: voice_streams.COLUMNS[part]
                    for part in self.each_once("streams", "at least one")
                }
            self.require(
                not parts.keys() & part_columns.keys(),
                f"a stream called {name}, and one of the voice",
                "each stream under a name of its own",
                "give the encoder or file another name",
            )
            parts |= {part: (number, columns) for part, columns in part_columns.items()}
            first += width
        return parts

    def _cut(self, features, seen, generator) -> dict[str, np.ndarray]:
        """The inputs of `gated_utterance`, with some streams off in training."""
        parts, on = self._parts, self._on(len(features), generator)
        observed = {
            name: seen[..., number] & on[name][:, None] for name, (number, _) in parts.items()
        }
        columns = {name: columns for name, (_, columns) in parts.items()}
        return voice_streams.cut(features, observed, columns, self.params.options["gate_by"])

    def _on(self, count: int, generator) -> dict[str, np.ndarray]:
        """Stream -> (count,) bool: in which recordings of a batch it is on."""
        names, chance = list(self._parts), self.params.options["modality_dropout"]
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
        sizes = {"channels": sum(self._widths.values()), "dropout": options["dropout"]}
        if options["network"] == "res_lstm_sa":
            self.require(
                self.task == "expression", "task: va", "expression", "set `network: utterance`"
            )
            sizes |= {"hidden": options["hidden"], "classes": options["classes"]}
            return networks.create("res_lstm_sa", self.published, **sizes)
        sizes |= {"output": self.task, "width": self.params.width, "classes": self._outputs}
        return networks.create("utterance", **sizes, bands=self._bands)

    def _gated_model(self):
        options = self.params.options
        sizes = {name: len(columns) for name, (_, columns) in self._parts.items()}
        told_by = voice_streams.told_by(sizes, options["gate_by"])
        return networks.create(
            "gated_utterance",
            streams=sizes,
            reliability=2 * len(told_by),
            classes=self._outputs,
            output=self.task,
            network=options["over_time"],
            width=self.params.width,
            **{name: options[name] for name in ("layers", "dropout")},
        )

    def row(self):
        if VOICE in self._widths:
            return "one row per 20 ms of the spoken part of a recording"
        if pace := next((name for name in PACES if name in self._widths), ""):
            return f"one row per {1000 * PACES[pace][1]:.1f} ms of a recording"
        return super().row()

    def normalisation(self):
        entries = [self.statistics[n if n == VOICE else STREAM + n] for n in self._widths]
        moments = {
            key: [value for entry in entries for value in entry[key]] for key in ("mean", "std")
        }
        if not self._gated:
            return {"features": moments}
        columns = {name: columns for name, (_, columns) in self._parts.items()}
        return voice_streams.statistics_of(moments, columns, self.params.options["gate_by"])

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
        seen = [batch[f"seen_{name}"].any(dim=1) for name in self._parts]
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
        if weights := self.statistics.get("class_weights"):
            target = target * torch.tensor(weights, device=target.device)
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


def _played(item: Request, speed: float) -> Request:
    """The array of the sound as it is played at a speed."""
    return item if speed == 1 else request(item.name, **item.parameters, speed=speed)


def balanced(counts: np.ndarray) -> np.ndarray:
    """(classes,) weight of each class from its recordings: its share of them times its weight is
    the same for all, and the mean weight of a recording is 1. A class without any has 1.
    """
    present = np.maximum(counts, 1) * max(1, np.count_nonzero(counts))
    return np.where(counts > 0, counts.sum() / present, 1.0)


def _most(rows: np.ndarray) -> np.ndarray:
    """(T,) labels of frames -> (1,) the most frequent one, −1 where none is labelled."""
    rows = np.asarray(rows)
    known = rows[rows >= 0].astype(np.int64)
    return np.array([np.bincount(known).argmax() if len(known) else -1])


def _mixed(features, target, observed, amount: float, generator: np.random.Generator):
    """Mixup: every recording is mixed with a smaller share of another one of its batch, which is
    cut at its own end; targets likewise (Zhang et al. 2018). observed : (B, T, 1 or k) bool.
    """
    share = generator.beta(amount, amount)
    share, other = np.float32(max(share, 1 - share)), generator.permutation(len(features))
    features = (share * features + (1 - share) * features[other]) * observed
    return features, share * target + (1 - share) * target[other]
