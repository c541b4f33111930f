"""Your own features: any arrays per frame -> a temporal network, or any of the fusion networks."""

from __future__ import annotations

from itertools import chain

import numpy as np

from ..features import encoder_arrays
from ..files import checkpoint
from ..models import networks, published
from ..models.affect.window import WindowModel
from ..store import request
from . import base, streams
from .streams import HEARD, SEEN


class Recipe(streams.Recipe, base.Recipe):
    """Windows of `steps` frames, `step_hop` apart, of the arrays that the option `features` names
    (`lib.recipes.streams`).

    A fusion network (jca, dca, …) takes two: sound, then picture. Every number is standardised by
    the training trials.
    """

    reads = ("step_hop", "steps")

    class Options:
        network: str = "gru"  # or temporal_convolution, transformer, linear_recurrence, jca, …
        predict_steps: int = 0  # steps predicted at once, 0: those of a window; from 0 to 100000
        layers: int = 2  # of a temporal network; from 1 to 12
        phases: int = 1  # first frames of a trial in an epoch, drawn anew each; from 1 to 512
        dropout: float = 0.2  # in the network; from 0.0 to 0.9
        start_from: str = ""  # run or weights file to start from, empty for random weights

    # ---- arrays

    @property
    def uses_video(self):
        return any(
            item.name in (*SEEN, "frame_features", *encoder_arrays.OF_A_FACE)
            for item in self._items
        )

    @property
    def uses_audio(self):
        return any(item.name in (*HEARD, encoder_arrays.SOUND) for item in self._items)

    def arrays(self):
        self._refuse_network()  # before hours are spent on the arrays that it would read
        requests = [request("time"), *self.label_requests(), *self._items]
        return requests + ([request("face_valid")] if self.uses_video else [])

    def _named(self):
        self._refuse_published()
        return super()._named()

    def sketch(self):
        return None  # the widths of arrays are known once they exist

    # ---- windows

    def windows(self, trials, epoch=None):
        pieces = []
        for index, trial in enumerate(trials["trial"]):
            steps = self._predicted_at_once if epoch is None else self.params.steps
            targets = self.targets(trial, index, epoch, steps)
            n_targets = (targets >= 0).sum(axis=1)
            columns = base.columns_of(targets[:, 0], n_targets, self.params.step_hop)
            pieces.append((trial, columns))
        return self.window_table(pieces)

    @property
    def _predicted_at_once(self) -> int:
        self._refuse_network()
        return self.params.options.get("predict_steps", 0) or self.params.steps

    def fit(self, windows):
        """Mean and standard deviation of every number over the training trials: {array: {"mean":
        […], "std": […]}}.
        """
        self._refuse_copies()
        trials = list(dict.fromkeys(windows["trial"].astype(str)))
        return {str(item): self.statistics_of(item, trials) for item in self._items}

    def example(self, window, generator=None):
        frames = base.frames_of(window)
        steps = max(self.params.steps, window.n_targets)
        # A missing value (no face) becomes the mean of the training trials: 0.
        parts = [
            self._standardised(window.trial, item, frames, self.statistics[str(item)])
            for item in self._items
        ]
        if self._fuses:
            inputs = dict(zip(("audio", "visual"), parts, strict=True))
        else:
            inputs = {"features": np.concatenate(parts, axis=1)}
        item = self._of_targets(window, frames)
        return item | {name: base.filled(rows, steps) for name, rows in inputs.items()}

    def _of_targets(self, window, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Which steps of a window exist, and their labels; frames : of its targets."""
        steps = max(self.params.steps, window.n_targets)
        labels = np.asarray(self.labels(window.trial, "va")[frames])
        valid = np.arange(steps) < window.n_targets
        return {"valid": valid, "va": base.filled(labels, steps, np.nan)}

    def collate(self, examples, generator=None):
        """Stack; windows of different length are filled up at the end."""
        if len({len(each["valid"]) for each in examples}) == 1:
            return super().collate(examples, generator)
        return base.collated(examples)

    # ---- network

    def _refuse_network(self) -> None:
        """Raise InputError for an unknown network, or one that does not fit the other options; 02
        knows these, and no parameter of a training.
        """
        more = self.params.options.get("predict_steps", 0)
        self.require(
            not (self._fuses and more),
            f"predict_steps: {more} with the network {self.params.options['network']}",
            "0: this network takes windows of `steps` only",
            "leave predict_steps out, or set network: linear_recurrence",
        )

    @property
    def _fuses(self) -> bool:
        network = self.params.options["network"]
        networks.options(network)  # raises an error with the nearest name
        fuses, count = issubclass(networks.REGISTRY[network], WindowModel), len(self._names)
        self.require(
            not fuses or count == 2,
            f"{count} arrays for the fusion network {network}",
            "two, first sound, then picture",
            "name two, or take temporal_convolution, gru or transformer",
        )
        return fuses

    def model(self):
        widths = [len(moments["mean"]) for moments in self._told]
        names = ("audio_channels", "visual_channels") if self._fuses else ("channels",)
        sizes = dict(zip(names, widths if self._fuses else [sum(widths)], strict=True))
        settings = {
            **sizes,
            "visual_positions": 1,
            "steps": self.params.steps,
            "width": self.params.width,
            "modality": self.params.modality,
            **{k: self.params.options[k] for k in ("layers", "dropout")},
        }
        network = self.params.options["network"]
        stacks = list(map(self.stack, self._names, widths))
        if any(layers > 1 for layers, _ in stacks):
            self.require(
                "stacks" in networks.options(network),
                f"`average` of an encoder for the network {network}",
                "gru, temporal_convolution, transformer, …, or the recipe gated_fusion",
                "choose one of these, or leave `average` out: the layers lie side by side then",
            )
            settings["stacks"] = stacks
        return networks.create(
            network, **{key: settings[key] for key in networks.options(network) if key in settings}
        )

    @property
    def _names(self) -> list[str]:
        return self.params.options["features"]

    @property
    def _told(self) -> list[dict]:
        """Statistics of each array, in the order of `features`. They were saved in that order, so a
        checkpoint suffices; a name that occurs twice has its statistics once.
        """
        saved = list(self.statistics.values())
        if len(saved) == len(self._names):
            return saved
        return [self.statistics[str(item)] for item in self._items]

    def normalisation(self):
        if self._fuses:
            return dict(zip(("audio", "visual"), self._told, strict=True))
        parts = {key: [moments[key] for moments in self._told] for key in ("mean", "std")}
        return {"features": {key: list(chain(*lists)) for key, lists in parts.items()}}

    def initialise(self, model):
        if start := self.params.options["start_from"]:
            published.begin(model, checkpoint(start, self.params.runs_root))

    def row(self):
        return f"one row per step; steps are {self.params.step_hop} video frames apart"

    def loss(self, outputs, batch):
        self.require(
            "va" in outputs,
            f"the network returned {', '.join(outputs) or 'nothing'}",
            "va (B, L, 2)",
            "mend the network's forward (docs/add_a_model.md)",
        )
        return {"total": self.va_loss(outputs["va"], batch["va"], batch["valid"])}
