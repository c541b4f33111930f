"""Two-stream aural-visual network (TSAV): eight frames and their sound -> affect of the last."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..faces.faces import Recent
from ..features import mel, published_sound
from ..features import windows as features_windows
from ..files import ROOT, checkpoint
from ..labels import pseudo
from ..media import sound
from ..models import networks, published
from ..store import request
from ..training import augmentation, losses
from . import base
from .papers import Difference, Paper, Setting

_RETRAINED = "public re-training, ABAW2"  # the authors released no training (specification §1.9)

# The clip of a frame: 8 pictures, 6 frames apart, the last one is the frame itself (specification
# §1.1).
CLIP = 6 * np.arange(-7, 1)


class Recipe(base.Recipe):
    """TSAV, trained from scratch or on. One window = one target frame.

    Published rules (specification §1): the sound of early and late frames is cut as the authors'
    code cuts it, one spectrogram per frame; an action unit is active where the raw output is above
    0.5; nothing is smoothed.
    """

    reads = ("stream_loss",)

    paper = Paper(
        ("affwild2_tsav",),
        (
            Setting("lr", 5.0e-4, source=_RETRAINED),
            Setting("weight_decay", 5.0e-5, source=_RETRAINED),
            Setting("batch_size", 28, source=_RETRAINED),
            Setting("patience", 10, source=_RETRAINED),
            Setting("epochs", None, "at most: `patience` ends it"),
            Setting(
                "schedule", None, "halved after five epochs without a gain: the last epochs settle"
            ),
            Setting("grad_clip", None, "one bad batch cannot throw the weights away"),
            Setting("audio_seconds", 10.0),
            Setting("face_size", 112),
            Setting("width", 1.0),
            Setting("options.frame_step", 100, source=_RETRAINED),
            Setting("options.tasks", ["va", "expression", "action_units"]),
            Setting("options.initial", "pretrained"),
            Setting(
                "options.channels",
                4,
                "the mask needs landmarks, which the organisers' crops do not have; "
                "4 with the authors' alignment files",
            ),
        ),
        (
            Difference(
                "training of TSAV",
                "never released; order of frames and optimiser are not stated",
                "AdamW; in each epoch every n-th labelled frame, from a random one on, shuffled",
                "a reconstruction from the paper and a public re-training",
                only_corrected=False,
            ),
            Difference(
                "dropout before TSAV's last layer",
                f"0.0; .2 ({_RETRAINED})",
                "0.0",
                "as in the published network, so that its weights mean the same",
                only_corrected=False,
            ),
            Difference(
                "loss of a batch of three tasks",
                f"divided by the task's labelled samples; CCC by the batch's size ({_RETRAINED})",
                "the mean over the task's labelled samples; one CCC of all labelled ones",
                "a CCC that is divided by a batch with unlabelled frames is none",
                only_corrected=False,
            ),
            Difference(
                "sound of early and late frames",
                "segments cut short near the start, padded after normalisation",
                "silence outside the file, one length",
                "a frame is heard the same wherever it lies",
            ),
            Difference(
                "sound, where the picture starts late",
                "too late by the first picture's time stamp: its cuts count from 0",
                "on the container's clock",
                "sound and picture of one moment belong together",
            ),
            Difference(
                "decision about an action unit",
                "raw output above .5",
                "probability above .5",
                "the network was trained with logits",
            ),
        ),
    )

    _recent = None  # pictures of the trial in prediction
    _sound = ("", None)  # trial and waveform that were read last; published rules only

    class Options:
        tasks: list[str] = ["va"]  # labels to learn; one of va, expression, action_units
        expressions: int = 7  # expression classes of the label files; from 2 to 20
        action_units: int = 8  # action units of the label files; from 1 to 40
        channels: int = 3  # colours, or colours and the mask of the landmarks; one of 3, 4
        frame_step: int = 1  # every n-th frame is learnt, from a random one on; from 1 to 1000
        augment: bool = True  # move, mirror and re-light clips, mask sound, in training
        flip: bool = True  # of these the mirror, with the landmarks of the mask channel
        hsv: bool = False  # jitter hue, saturation and value as well
        pseudo: bool = False  # in training, guess affect from expressions and back where one lacks
        start_from: str = ""  # run or weights file that it starts from, empty for `initial`
        accumulate: int = 1  # parts of a batch, each with a loss (a CCC) of its own; from 1 to 256
        recompute: bool = False  # keep less in memory and compute twice, to the same numbers
        initial: str = "random"  # weights to begin with (torchvision's); one of random, pretrained

    @property
    def decimals(self):
        return 3 if self.published else super().decimals  # specification §1.7

    @property
    def tasks(self):
        return self.each_once("tasks", "at least one of va, expression, action_units")

    def labels(self, trial, task):
        rows = super().labels(trial, task)
        # without a label file the number of units is unknown
        if task == "action_units" and not rows.shape[1]:
            return np.full((len(rows), self.params.options["action_units"]), -1, np.int8)
        return rows

    def arrays(self):
        requests = [request("time"), *self.label_requests()]
        if self.uses_video:
            requests += [request("face_valid"), request("face", size=self.params.face_size)]
            requests += [request("mask")] if self.params.options["channels"] == 4 else []
        return requests + ([self._heard] if self.uses_audio else [])

    @property
    def _heard(self):
        return request("audio_44k", rate=mel.RATE) if self.published else request("mel")

    def fit(self, windows):
        if not self.params.options["pseudo"]:
            return {}
        self.require(
            {"va", "expression"} <= set(self.tasks),
            f"pseudo: true with tasks {', '.join(self.tasks)}",
            "va and expression among the tasks: one is guessed from the other",
            "add it to `tasks`",
        )
        trials = list(dict.fromkeys(windows["trial"].astype(str)))
        va, expression = (
            np.concatenate([np.asarray(self.labels(trial, task)) for trial in trials])
            for task in ("va", "expression")
        )
        return {"pseudo": pseudo.fit(va, expression, self.params.options["expressions"])}

    def initialise(self, model):
        if start := self.params.options["start_from"]:
            published.begin(model, checkpoint(start, self.params.runs_root))
        elif self.params.options["initial"] == "pretrained":
            folder = self.params.get("weights_root") or ROOT / "weights"
            published.pretrained(model, folder, self.params.get("fetch_weights", True))

    def windows(self, trials, epoch=None):
        pieces = []
        for index, trial in enumerate(trials["trial"]):
            if epoch is None:
                frames = features_windows.together(self.n_frames(trial))  # int32: of all data many
            else:
                frames = self._training_frames(trial, index, epoch)
            start = np.maximum(frames + CLIP[0], 0)
            pieces.append((trial, base.columns_of(frames, start=start)))
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
        if generator is not None and self.params.options["pseudo"]:
            item["va"], shares = pseudo.complete(
                item["va"], int(item["expression"]), self.statistics["pseudo"]
            )
            nothing = np.full(self.params.options["expressions"], np.nan, np.float32)
            item["shares"] = nothing if shares is None else shares
        if self.uses_video:
            item["clip"] = self._clip(window.trial, frame, generator)
        if self.uses_audio:
            item["mel"] = self._segment(window.trial, frame, generator)
        return item

    def gather(self, windows, device):
        trials = {window.trial for window in windows}
        if len(trials) > 1:
            return super().gather(windows, device)
        trial, frames = trials.pop(), np.array([window.first_target for window in windows])
        batch = {}
        if self.uses_video:  # each picture of these clips once, then as often as clips show it
            shown, where = np.unique(np.maximum(frames[:, None] + CLIP, -1), return_inverse=True)
            batch["pictures"] = torch.from_numpy(
                self._pictures(self._in_order(trial), trial, shown)
            ).to(device)
            batch["shown"] = torch.from_numpy(where.reshape(len(frames), len(CLIP))).to(device)
        # each frame has its own spectrogram, so nothing can be shared
        if self.uses_audio and self.published:
            batch["mel"] = torch.from_numpy(
                np.stack([self._segment(trial, frame, None) for frame in frames])
            ).to(device)
        elif self.uses_audio:  # near frames share their sound, which is converted once
            batch["mel"] = self._segments(trial, frames, device)
        return batch

    def _pictures(self, faces, trial, frames):
        """(N, S, S, 3 or 4) uint8, with the mask where it is used."""
        pictures = faces.read(frames)
        if self.params.options["channels"] == 3:
            return pictures
        return np.concatenate([pictures, self._masks(trial, frames)[..., None]], axis=-1)

    def _in_order(self, trial):
        """Faces of a trial in order: pictures decoded for the last clips are used for the next."""
        faces = self.faces(trial, self.params.face_size)
        if self._recent is None or self._recent.faces is not faces:
            self._recent = Recent(faces)
        return self._recent

    def _clip(self, trial, frame, generator):
        frames, options = np.maximum(frame + CLIP, -1), self.params.options
        if generator is not None:
            faces = self.faces(trial, self.params.face_size)
        else:
            faces = self._in_order(trial)
        if generator is None or not options["augment"]:
            return self._pictures(faces, trial, frames)  # (8, S, S, 3 or 4)
        masks = self._masks(trial, frames) if options["channels"] == 4 else None
        return augmentation.clip(
            faces.read(frames), generator, masks, options["flip"], options["hsv"]
        )

    def _masks(self, trial, frames):
        """(N, S, S) uint8, black before the first frame."""
        size, drawn = self.params.face_size, self.read(trial, request("mask"))
        masks = np.stack([drawn[max(frame, 0)] * np.uint8(frame >= 0) for frame in frames])
        if masks.shape[1] == size:
            return masks
        return np.stack(
            [cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST) for mask in masks]
        )

    def _waveform(self, trial):
        """The whole sound of a trial, cached for the next frame; only one trial's, since it is
        large.
        """
        if self._sound[0] != trial:
            first, facts = self.read(trial, request("time"))[0], self.facts(trial, self._heard)
            samples = sound.as_float(self.read(trial, self._heard))
            self._sound = (trial, published_sound.anchored(samples, facts["t0"], first))
        return self._sound[1]

    def _segment(self, trial, frame, generator):
        if self.published:
            time = self.read(trial, request("time"))[frame]
            return mel.published_segment(self._waveform(trial), time, self.params.audio_seconds)
        segment = self._segments(trial, [frame])[0].numpy()  # (1, 64, columns)
        augmented = generator is not None and self.params.options["augment"]
        return augmentation.mel(segment, generator) if augmented else segment

    def _segments(self, trial, frames, device=None):
        seconds, times = self.params.audio_seconds, self.read(trial, request("time"))[frames]
        starts = mel.start_column(times, self.facts(trial, request("mel"))["t0"], seconds)
        return mel.tensors(self.read(trial, request("mel")), starts, mel.columns(seconds), device)

    def model(self):
        p = self.params
        options = p.options
        network = networks.create(
            "tsav",
            self.published,
            width=p.width,
            face_size=p.face_size,
            audio_seconds=p.audio_seconds,
            channels=options["channels"],
            modality=p.modality,
            stream_outputs=p.stream_loss > 0,
            expressions=options["expressions"],
            action_units=options["action_units"],
        )
        network.video_model["r2plus1d"].recompute = options["recompute"]
        return network

    def loss(self, outputs, batch):
        parts = {}
        if "va" in self.tasks:
            target, rules = batch["va"], self.params.rules
            parts["va"] = self.va_loss(outputs["va"], target, rules=rules)
            if "va_video" in outputs:
                alone = self.va_loss(outputs["va_video"], target, rules=rules)
                parts["va_video"] = self.params.stream_loss * alone
        if "expression" in self.tasks:
            parts["expression"] = losses.expression_loss(
                outputs["expression"], batch["expression"], batch.get("shares")
            )
        if "action_units" in self.tasks:
            parts["action_units"] = losses.action_unit_loss(
                outputs["action_units"], batch["action_units"]
            )
        return {**parts, "total": sum(parts.values())}

    def decide(self, task, values):
        if task == "action_units" and self.published:
            return (values > 0.5).astype(np.int8)  # the authors round the raw output
        return super().decide(task, values)
