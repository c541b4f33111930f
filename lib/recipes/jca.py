"""Joint cross-attention (JCA) on features of a two-stream network: steps -> affect of each."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..features import backbone, mel
from ..features import windows as features_windows
from ..files import weights_file
from ..models import networks
from ..models.affect.tsav import positions, scaled_planes
from ..store import request
from . import base
from .papers import Difference, Paper, Setting

USUAL_RATE = 30  # frames per second, as long as no recording is known
LOOK_BACK = 32  # frames that a step looks back (specification §7.1)

# Videos that the published training leaves out without a reason (specification §2.4); published
# rules only.
SKIPPED = {"313", "212", "303", "171", "40-30-1280x720", "286", "270", "234", "239", "266"}
# the epoch, from 0, at which the published training takes ten times the rate (specification §2.8)
JUMP = 6


# Settings that the codes of JCA and related methods share (specification §2).
FEATURE_SETTINGS = (
    Setting("steps", 16),
    Setting("step_hop", 32),
    Setting("audio_seconds", 0.0),
    Setting("face_size", 112),
    Setting("width", 1.0),
    Setting("schedule", "constant"),  # before the jump, see DIFFERENCES
    Setting("patience", 0),
    Setting("options.dropout", 0.6),
    Setting("options.clip", "look_back"),
    Setting("options.phases", 32),
    Setting(
        "grad_clip",
        0.0,
        "one bad batch cannot throw the weights away; `rules: published` has no limit",
    ),
)
TRAINING_SETTINGS = (
    Setting("epochs", 50),
    Setting("batch_size", 64),
    Setting("lr", 1.0e-4),
    Setting("weight_decay", 0.0),
)
DIFFERENCES = (
    Difference(
        "learning rate of JCA and its kin",
        "ten times as high from epoch 6 on, where the authors' own log collapses "
        "(valence .71 to .00)",
        "constant",
        "the jump is an accident of the code",
    ),
    Difference(
        "windows of JCA and its kin",
        "closed form of 512 frames; trials under 481 frames, and ten videos, give none",
        "every frame a target once per epoch, any length, masked",
        "short recordings are learnt from, too",
    ),
    Difference(
        "order of windows",
        "that of the files, in every epoch",
        "shuffled anew in each epoch",
        "neighbours in a batch are alike, and the loss is a CCC of the batch",
        only_corrected=False,
    ),
    Difference(
        "label of a step",
        "that of the last labelled frame up to it",
        "that of its own frame, or none",
        "a label of another moment is none",
    ),
    Difference(
        "colour augmentation of JCA and its kin",
        "brightness and contrast drawn for every clip, .8 to 1.2",
        "none by default; `options: {copies: 4}` draws from four cached copies",
        "features are computed once; copies take the disk of another cache each",
        only_corrected=False,
    ),
    Difference(
        "unlabelled frames in the loss and the metric",
        "count as (0, 0) in validation",
        "left out; the authors' number stands beside as `val_zero_filled`",
        "they raise a CCC of .568 to .596 with 20 % of them",
    ),
    Difference(
        "smoothing of JCA and its kin",
        "box of 20 and 50 frames, zeros outside",
        "widths chosen on validation, normalised at the edges",
        "zeros pull the first and last second to 0",
    ),
)
POSITIONS = Difference(
    "positions of a picture",
    "25 088 numbers viewed as (49, 512): a row mixes all places",
    "read as (512, 49), transposed",
    "attention over places needs places",
)


class Recipe(base.Recipe):
    """JCA, trained on features that `backbone_run` gives. One window = `steps` target frames,
    `step_hop` apart.

    The other fusion networks of the same features inherit from it: what differs is the name of
    their network.

    Published rules (specification §2): windows by the closed form, of 16 steps 32 frames apart,
    whose steps beyond a trial are black and silent; 31 frame intervals of sound; the label of the
    last labelled frame up to a target; the rate is multiplied by ten after six epochs, and training
    does not recover (§4). Which 8 of the last 32 pictures are taken follows the pictures there are;
    the authors' training took labelled ones only.
    """

    reads = ("step_hop", "steps")

    network = "jca"
    paper = Paper(
        ("affwild2_jca",),
        (*FEATURE_SETTINGS, *TRAINING_SETTINGS, Setting("features", "positions")),
        (*DIFFERENCES, POSITIONS),
    )
    # Frames of the box filter in the authors' validation and test code (TSAV/JCA specification
    # §2.9).
    published_widths = {"valence": 20, "arousal": 50}

    class Options:
        phases: int = 1  # first targets of a trial in an epoch, drawn anew each; from 1 to 512
        dropout: float = 0.6  # in co-attention and heads; from 0.0 to 0.9
        clip: str = "look_back"  # 8 of the last 32 frames, or TSAV's 8; one of look_back, dilated
        copies: int = 0  # colour-jittered copies of each clip, drawn from in training; from 0 to 20

    def arrays(self):
        self.require(
            bool(self.params.backbone_run),
            "backbone_run is empty",
            "the run (or weights file) whose network gives the features, for example sample_tsav",
            "set backbone_run in the parameter file",
        )
        requests = [request("time"), *self.label_requests()]
        if self.uses_video:
            requests += [
                request("face_valid"),
                *map(self._jittered, range(self.params.options["copies"] + 1)),
                *([self._blank] if self.published else []),
            ]
        if self.uses_audio:
            requests += [self._audio, *([self._silence] if self.published else [])]
        return requests

    @property
    def _files(self):
        return {"weights": weights_file(self.params.backbone_run, self.params.runs_root)}

    @property
    def _places(self):
        """Number of picture positions in the features."""
        return 1 if self.params.features == "pooled" else positions(self.params.face_size)

    @property
    def _visual(self):
        return self._jittered(0)

    def _jittered(self, copy):
        """Features of the original pictures (0) or of a copy with other brightness and contrast."""
        return request(
            "backbone_visual",
            self._files,
            size=self.params.face_size,
            clip=self.params.options["clip"],
            pooled=self.params.features == "pooled",
            **({"jitter": copy} if copy else {}),
        )

    def bytes_a_frame(self):
        path, sizes = self._files["weights"], {}
        if not path.is_file():  # on a server that has only the features
            return sizes
        channels = backbone.channels(path)
        if self.uses_video:
            sizes |= {
                str(self._jittered(copy)): backbone.BYTES * channels * self._places
                for copy in range(self.params.options["copies"] + 1)
            }
        return sizes | ({str(self._audio): backbone.BYTES * channels} if self.uses_audio else {})

    def licence_of_features(self):
        return backbone.licence(self._files["weights"])

    @property
    def _blank(self):
        return request(
            "backbone_blank",
            self._files,
            size=self.params.face_size,
            pooled=self.params.features == "pooled",
        )

    @property
    def _silence(self):
        return request("backbone_silence", self._files, anchor="published")

    @property
    def _audio(self):
        if self.published:
            return request("backbone_audio", self._files, anchor="published")
        seconds, anchor = self.params.audio_seconds, "centre"
        if not seconds:
            seconds, anchor = (
                self.statistics.get("look_back_seconds") or self._look_back_seconds(),
                "end",
            )
        return request("backbone_audio", self._files, seconds=seconds, anchor=anchor)

    def _look_back_seconds(self):
        """One length for the whole run, that of the lowest frame rate (specification §7.2)."""
        return round(LOOK_BACK / min(trial["fps"] for trial in self._trials.values()), 3)

    def fit(self, windows):
        # Saved with the run: another data set or video has another lowest rate, but the network
        # must hear the same length as in training.
        return {"look_back_seconds": self._look_back_seconds()}

    def windows(self, trials, epoch=None):
        steps, hop = self.params.steps, self.params.step_hop
        if self.published:
            steps, hop = features_windows.PUBLISHED_STEPS, features_windows.PUBLISHED_HOP
        self.require(
            (self.params.steps, self.params.step_hop) == (steps, hop),
            f"steps {self.params.steps}, step_hop {self.params.step_hop}",
            f"steps {steps} and step_hop {hop} under published rules",
            "set them so, or `rules: corrected`",
        )
        pieces = []
        for index, trial in enumerate(trials["trial"]):
            if self.published:
                targets = self._published_targets(trial, epoch)  # (N, steps), −1 = filled up
            else:
                targets = self.targets(trial, index, epoch, steps)
            n_targets = (targets >= 0).sum(axis=1)
            targets, n_targets = targets[n_targets > 0], n_targets[n_targets > 0]
            first = targets[:, 0]
            start = np.maximum(first - LOOK_BACK + 1, 0)
            pieces.append((trial, base.columns_of(first, n_targets, hop, start)))
        table = self.window_table(pieces)
        self.require(
            not self.published or epoch is None or len(table) > 0,
            "no training window",
            "labelled train trials of 481 frames or more under published rules",
            "set `rules: corrected`",
        )
        return table

    def _known(self, trial):
        return np.isfinite(self.labels(trial, "va")).all(axis=1)

    def _published_targets(self, trial, epoch):
        if epoch is None:
            return features_windows.published_sequences(self.n_frames(trial), training=False)
        skipped = self.params.dataset == "affwild2" and str(trial) in SKIPPED
        n_frames = 0 if skipped else self.n_frames(trial)
        return features_windows.published_sequences(
            n_frames, training=True, rows=self._known(trial)[:n_frames]
        )

    def example(self, window, generator=None):
        steps, trial = self.params.steps, window.trial
        frames = base.frames_of(window)
        item = {
            "valid": np.arange(steps) < window.n_targets,
            "va": base.filled(self._labels_of(trial, frames), steps, np.nan),
        }
        if self.uses_video:
            beyond = self.read(trial, self._blank)[0] if self.published else 0
            copies = self.params.options["copies"]
            copy = int(generator.integers(copies + 1)) if copies and generator is not None else 0
            item["visual"] = base.filled(
                self._finite(trial, self._jittered(copy), frames), steps, beyond
            )
        if self.uses_audio:
            beyond = self.read(trial, self._silence)[0] if self.published else 0
            item["audio"] = base.filled(self._finite(trial, self._audio, frames), steps, beyond)
        return item

    def _finite(self, trial, wanted, frames):
        rows = self.read(trial, wanted)[frames]
        wrong = ~np.isfinite(rows).all(axis=1)
        if wrong.any():
            raise InputError(
                f"the features {wanted.name} hold what is no number",
                where=f"trial {trial}, frame {int(frames[np.argmax(wrong)]) + 1}",
                expected="finite numbers; a network that diverged gives others",
                todo=f"`python -m lib store rm {trial} {wanted.name}`, then run 02 and 03 again",
            )
        return rows

    def _labels_of(self, trial, frames):
        rows = self.labels(trial, "va")
        if not self.published:
            return rows[frames]
        # −1 = none in 32 frames
        last = features_windows.look_back(self._known(trial), LOOK_BACK, 1)[frames, 0]
        return np.where((last >= 0)[:, None], rows[last], np.nan)

    def model(self):
        return self._network(self._sizes())

    def _network(self, sizes):
        return networks.create(
            self.network,
            self.published,
            steps=self.params.steps,
            width=self.params.width,
            modality=self.params.modality,
            dropout=self.params.options["dropout"],
            **self._fitting(sizes),
        )

    def _backbone_width(self):
        path = self._files["weights"]
        return backbone.channels(path) / backbone.CHANNELS if path.is_file() else self.params.width

    def sketch_of_features(self):
        p = self.params
        net = networks.create(
            "tsav_backbone",
            width=self._backbone_width(),
            face_size=p.face_size,
            pooled=p.features == "pooled",
        )
        shapes = net.shapes(M=mel.columns(p.audio_seconds or LOOK_BACK / USUAL_RATE))
        copies = 1 + p.options["copies"]
        used = {
            "clip": self.uses_video * copies * net.visual_channels * net.visual_positions,
            "mel": self.uses_audio * net.audio_channels,
        }
        return base.Sketch(
            net,
            {name: shapes[name] for name in used if used[name]},
            frames=1 / copies,
            kept=backbone.BYTES * sum(used.values()),
        )

    def sketch(self):
        channels = 8 * scaled_planes(self._backbone_width())
        sizes = {"visual_channels": channels, "audio_channels": channels}
        net = self._network(sizes | {"visual_positions": self._places})
        return base.Sketch(
            net, net.shapes(L=self.params.steps), self.params.steps, self.params.steps
        )

    def _sizes(self):
        """The network's sizes, from the JSON of a trial's features.

        With one modality it has the shape that it has with both (both streams of a backbone have as
        many channels), so that a comparison of the two is not one of sizes.
        """
        sizes, trial = {}, next(iter(self._trials))
        if self.uses_video:
            facts = self.facts(trial, self._visual)
            sizes |= {"visual_channels": facts["channels"], "visual_positions": facts["positions"]}
        if self.uses_audio:
            sizes["audio_channels"] = self.facts(trial, self._audio)["shape"][1]
        if not self.uses_audio:
            sizes["audio_channels"] = sizes["visual_channels"]
        if not self.uses_video:
            sizes |= {"visual_channels": sizes["audio_channels"], "visual_positions": self._places}
        return sizes

    def trained(self, weights):
        return self._network(_sizes_in(weights))

    def _fitting(self, sizes):
        if "visual_positions" not in networks.options(self.network):
            places = sizes.pop("visual_positions", 1)
            self.require(
                places == 1,
                f"features of {places} positions",
                "one vector a picture",
                "set `features: pooled`",
            )
        return sizes

    def row(self):
        return f"one row per step; steps are {self.params.step_hop} video frames apart"

    def loss(self, outputs, batch):
        return {
            "total": self.va_loss(outputs["va"], batch["va"], batch["valid"], self.params.rules)
        }

    def rate_factor(self, epoch):
        return 10.0 * 0.8 ** ((epoch - JUMP + 1) // 2) if self.published and epoch >= JUMP else 1.0


def _sizes_in(weights) -> dict[str, int]:
    """Sizes of the features for which weights of this family were made, by their first layers."""
    if "encoder1.weight" in weights:  # jca_paper
        heard, seen = weights["encoder1.weight"], weights["encoder2.weight"]
        return {"audio_channels": heard.shape[1], "visual_channels": seen.shape[1]}
    attention = "video_attn.attn.affine"
    lstm_key = "audio_extract.rnn.weight_ih_l0"  # of the networks with an LSTM for the sound
    heard = weights[lstm_key if lstm_key in weights else f"{attention}_audio.weight"]
    return {
        "audio_channels": heard.shape[1],
        "visual_channels": weights[f"{attention}_feat.weight"].shape[1],
        "visual_positions": weights[f"{attention}_h.weight"].shape[1],
    }
