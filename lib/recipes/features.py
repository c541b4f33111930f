"""Your own features: any arrays per frame -> a temporal network, or any of the fusion networks."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from .. import arrays, models
from ..errors import nearest_name
from ..features import encoder_arrays, expression_arrays, own, statistics
from ..files import checkpoint, weights_file
from ..models import published
from ..models.affect.window import WindowModel
from ..store import Request, request
from . import base

SEEN, HEARD = (
    ("pixels", "backbone_visual", "face_api"),
    ("mel_statistics", "loudness", "mfcc39", "vggish", "backbone_audio"),
)

_NONE = {"times": '""', "rates": "0"}  # of what has no time array, or no rate


class Recipe(base.Recipe):
    """Windows of `steps` frames, `step_hop` apart, of the arrays that the option `features` names.

    A name that ends in .npy is a file ``<data_root>/features/<trial>/<name>`` (`lib.features.own`);
    others are arrays of this repository (pixels, mel_statistics, loudness, mfcc39, vggish,
    backbone_visual, backbone_audio, face_api: 256 numbers of the expression network), a pretrained
    network that the option `encoders` describes (`lib.features.encoder_arrays`), or a network of
    torchvision (resnet18, …) that looks at each face. A fusion network (jca, dca, …) takes two:
    sound, then picture. Every number is standardised by the training trials.
    """

    reads = ("step_hop", "steps")

    class Options:
        class Encoder:
            """Settings of one encoder in `encoders`."""

            model: str = ""  # name on the Hugging Face hub, folder, or file of a network of timm
            layers: list[int] = []  # hidden layers side by side, empty for the last; from 0 to 200
            average: bool = False  # learn to average its layers instead of laying them side by side
            of: str = "auto"  # auto by its config.json; one of auto, faces, clips, sound
            rate: float = 0.0  # rows per second, 0: one per frame, of clips 4; from 0.0 to 30.0
            span: float = 2.0  # s of pictures in which it sees a clip; from 0.1 to 60.0
            pooling: str = "auto"  # of a picture's tokens; one of auto, first, mean
            seconds: float = 20.0  # of sound that it hears at once; from 1.0 to 600.0
            kept: str = "float16"  # type of the numbers in the store; one of float16, float32
            architecture: str = ""  # name in timm, where model is a file of its weights

        features: list[str] = []  # files (wavlm.npy), arrays (pixels), encoders, or networks
        encoders: dict[str, Encoder] = {}  # settings of pretrained encoders by their name
        times: list[str] = []  # of each file its time array in s (wavlm_time.npy), "" for none
        rates: list[float] = []  # rows per second of each file, 0: one per frame; from 0.0 to 1.0e5
        align: str = "auto"  # rows of another rate to frames; one of auto, mean, linear, nearest
        missing: str = "refuse"  # rows with NaN: lose the trial, or fill; one of refuse, neighbours
        weights: str = "random"  # of torchvision's networks; one of random, published
        network: str = "gru"  # or temporal_convolution, transformer, linear_recurrence, jca, …
        predict_steps: int = 0  # steps predicted at once, 0: those of a window; from 0 to 100000
        layers: int = 2  # of a temporal network; from 1 to 12
        phases: int = 1  # first frames of a trial in an epoch, drawn anew each; from 1 to 512
        dropout: float = 0.2  # in the network; from 0.0 to 0.9
        start_from: str = ""  # run or weights file to start from, empty for random weights

    # ---- arrays

    @cached_property
    def _encoders(self) -> dict[str, Request]:
        """Requests of encoders by name, cached so that files are not read for every example."""
        return {}

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
        wanted = [request("time"), *self.label_requests(), *self._items]
        return wanted + ([request("face_valid")] if self.uses_video else [])

    def sketch(self):
        return None  # the widths of arrays are known once they exist

    def bytes_a_frame(self):
        items = [item for item in self._items if item.name in encoder_arrays.NAMES]
        sizes = {str(item): encoder_arrays.bytes_a_frame(item) for item in items}
        return {name: size for name, size in sizes.items() if size}

    @property
    def _items(self) -> list[Request]:
        names = self.params.options["features"]
        self.require(
            bool(names),
            "the option `features` is empty",
            "options: {features: [wavlm.npy, clip.npy]}",
            "name the arrays in the parameter file",
        )
        self.require(
            not self.published,
            "rules: published",
            "rules: corrected: nobody published your features",
            "leave `rules` out",
        )
        unused = [name for name in self.params.options["encoders"] if name not in names]
        self.require(
            not unused,
            f"the encoder {', '.join(unused)} is not in the option `features`",
            "settings of names in `features`",
            "name it there, or leave its settings out",
        )
        self._refuse_times_of_none(names)
        return [self._item(name, number) for number, name in enumerate(names)]

    def _refuse_times_of_none(self, names: list[str]) -> None:
        """Raise InputError where `times` or `rates` are set for what is no file: they stand in the
        order of `features`.
        """
        for option in ("times", "rates"):
            given = self.params.options[option]
            beyond = [str(value) for value in given[len(names) :] if value]
            self.require(
                not beyond,
                f"{option}: {', '.join(beyond)}, and there are {len(names)} names in `features`",
                "one for each name in `features`, in their order",
                f"correct the option `{option}`",
            )
            for name, value in zip(names, given, strict=False):
                is_file = name.endswith(".npy") and name not in self.params.options["encoders"]
                self.require(
                    is_file or not value,
                    f"{option}: {value} for {name}, which is no file of yours",
                    f"{option} in the order of `features`, {_NONE[option]} for what is no file",
                    f"correct the option `{option}`",
                )

    def _item(self, name: str, number: int) -> Request:
        options = self.params.options
        if name in options["encoders"]:
            return self._of_encoder(name, options["encoders"][name])
        if name.endswith(".npy"):
            told = {
                "align": (options["align"], "auto"),
                "missing": (options["missing"], "refuse"),
                "time": (_at(options["times"], number, ""), ""),
                "rate": (_at(options["rates"], number, 0.0), 0.0),
            }
            given = {key: value for key, (value, usual) in told.items() if value != usual}
            self.require(
                all(Path(file).name == file for file in (name, given.get("time", ""))),
                f"features: {name}",
                "a file's name in <data_root>/features/<trial>/",
                "leave folders out",
            )
            return request("feature", file=name, **given)
        if name == "mel_statistics":
            return request(name, seconds=self.params.audio_seconds)
        if name.startswith("backbone_"):
            return self._of_backbone(name)
        if name == expression_arrays.NETWORK:
            return expression_arrays.wanted(expression_arrays.CROPS[0], self.store.weights_root)
        if name in (*SEEN, *HEARD):
            return request(name)
        known = own.torchvision_networks()
        near = nearest_name(name, [*SEEN, *HEARD, *known])
        self.require(
            name in known,
            f"features: nobody makes an array called {name!r}",
            f"a file (….npy), {', '.join((*SEEN, *HEARD))}, or a network of torchvision",
            "correct the option `features`" + (f": did you mean {near}?" if near else ""),
        )
        return request(
            "frame_features",
            network=name,
            weights=options["weights"],
            seed=0,
            size=self.params.face_size,
        )

    def _of_encoder(self, name: str, settings: dict) -> Request:
        self.require(
            bool(settings["model"]),
            f"the encoder {name} names no model",
            f"encoders: {{{name}: {{model: microsoft/wavlm-large}}}}",
            "set `model`: a name on the hub, a folder or a file",
        )
        item = self._encoders.get(name)
        if item is None or not item.files:  # not cached until its network exists
            may_fetch = self.store is None or self.store.fetch
            item = encoder_arrays.wanted(settings, self.params.face_size, may_fetch)
            self._encoders[name] = item
        return item

    def _of_backbone(self, name: str) -> Request:
        self.require(
            bool(self.params.backbone_run),
            "backbone_run is empty",
            "the run that gives the features",
            "set backbone_run in the parameter file",
        )
        files = {"weights": weights_file(self.params.backbone_run, self.params.runs_root)}
        if name == "backbone_audio":
            return request(name, files, seconds=self.params.audio_seconds, anchor="centre")
        return request(
            name,
            files,
            size=self.params.face_size,
            clip="dilated",
            pooled=self.params.features == "pooled",
        )

    def _rows(self, trial: str, item: Request, frames=slice(None)) -> np.ndarray:
        """(n, k) of some frames; for arrays with a rate of their own, the row in whose span each
        frame lies.
        """
        if item.name in encoder_arrays.NAMES and item.parameters.get("rate"):
            times = np.asarray(self.read(trial, request("time")))
            frames = encoder_arrays.rows_of(item, times, frames)
        rows = np.asarray(self.read(trial, item)[frames])
        return rows.reshape(len(rows), -1)

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
        more = self.params.options.get("predict_steps", 0)
        self.require(
            not (more and self._fuses),
            f"predict_steps: {more} with the network {self.params.options['network']}",
            "0: this network takes windows of `steps` only",
            "leave predict_steps out, or set network: linear_recurrence",
        )
        return more or self.params.steps

    def fit(self, windows):
        """Mean and standard deviation of every number over the training trials: {array: {"mean":
        […], "std": […]}}.
        """
        self._refuse_copies()
        trials = list(dict.fromkeys(windows["trial"].astype(str)))
        return {str(item): self.statistics_of(item, trials) for item in self._items}

    def _refuse_copies(self) -> None:
        """Raise InputError if trials of different recordings have identical feature files."""
        for item in (item for item in self._items if item.name == "feature"):
            seen: dict[str, str] = {}
            for trial, row in self._trials.items():
                located = arrays.locate(row, item, self.store)
                digest = located.made_from and located.made_from["inputs"]["rows"]["sha256"]
                other = seen.setdefault(digest, trial) if digest and located.exists else trial
                self.require(
                    self._trials[other]["video"] == row["video"],
                    f"{item.parameters['file']} of {trial} is a copy of that of {other}",
                    "features of this trial",
                    "compute them again for one of the two",
                )

    def example(self, window, generator=None):
        frames = base.frames_of(window)
        steps = max(self.params.steps, window.n_targets)
        # A missing value (no face) becomes the mean of the training trials: 0.
        parts = [self._standardised(window.trial, item, frames) for item in self._items]
        if self._fuses:
            named = dict(zip(("audio", "visual"), parts, strict=True))
        else:
            named = {"features": np.concatenate(parts, axis=1)}
        item = self._of_targets(window, frames)
        return item | {name: base.filled(rows, steps) for name, rows in named.items()}

    def _of_targets(self, window, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Which steps of a window exist, and their labels; frames : of its targets."""
        steps = max(self.params.steps, window.n_targets)
        labels = np.asarray(self.labels(window.trial, "va")[frames])
        valid = np.arange(steps) < window.n_targets
        return {"valid": valid, "va": base.filled(labels, steps, np.nan)}

    def collate(self, examples, generator=None):
        """Stack; windows of different length are filled up at the end."""
        for name in examples[0] if len({len(each["valid"]) for each in examples}) > 1 else ():
            rows = max(len(each[name]) for each in examples)
            lacking = np.nan if name == "va" else 0
            for each in examples:
                each[name] = filled_up(each[name], rows, lacking)
        return super().collate(examples, generator)

    def _standardised(self, trial: str, item: Request, frames) -> np.ndarray:
        """(n, k) of some frames, standardised by the training trials' mean and deviation; NaN
        becomes 0.

        Raises InputError if the array has another number of columns than in training.
        """
        told, rows = self.statistics[str(item)], self._rows(trial, item, frames)
        self.require(
            rows.shape[1] == len(told["mean"]),
            f"{item} has {rows.shape[1]} columns in {trial}",
            f"{len(told['mean'])}, as in training",
            "compute the features of all trials alike",
        )
        return np.nan_to_num(statistics.normalised(rows, told))

    # ---- network

    @property
    def _fuses(self) -> bool:
        network = self.params.options["network"]
        models.options(network)  # raises an error with the nearest name
        fuses, count = issubclass(models.REGISTRY[network], WindowModel), len(self._names)
        self.require(
            not fuses or count == 2,
            f"{count} arrays for the fusion network {network}",
            "two, first sound, then picture",
            "name two, or take temporal_convolution, gru or transformer",
        )
        return fuses

    def model(self):
        widths = [len(told["mean"]) for told in self._told]
        names = ("audio_channels", "visual_channels") if self._fuses else ("channels",)
        sizes = dict(zip(names, widths if self._fuses else [sum(widths)], strict=True))
        given = {
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
                "stacks" in models.options(network),
                f"`average` of an encoder for the network {network}",
                "gru, temporal_convolution, transformer, …, or the recipe gated_fusion",
                "choose one of these, or leave `average` out: the layers lie side by side then",
            )
            given["stacks"] = stacks
        return models.create(
            network, **{key: given[key] for key in models.options(network) if key in given}
        )

    def stack(self, name: str, width: int) -> tuple[int, int]:
        """Number of layers that a learnt average combines in an array of `width` numbers, and the
        numbers of each; 1 and `width` without an average.
        """
        settings = self.params.options["encoders"].get(name, {})
        layers = len(settings.get("layers", ())) if settings.get("average") else 1
        self.require(
            layers > 0 and width % max(1, layers) == 0,
            f"average of the encoder {name}, and layers {settings.get('layers')}",
            "several hidden layers, as layers: [6, 9, 12]",
            "name the layers, or leave `average` out",
        )
        return layers, width // layers

    @property
    def _names(self) -> list[str]:
        return self.params.options["features"]

    @property
    def _told(self) -> list[dict]:
        """Statistics of each array, in the order of `features`. They were saved in that order, so a
        checkpoint suffices; a name that occurs twice has its statistics once.
        """
        told = list(self.statistics.values())
        if len(told) == len(self._names):
            return told
        return [self.statistics[str(item)] for item in self._items]

    def normalisation(self):
        if self._fuses:
            return dict(zip(("audio", "visual"), self._told, strict=True))
        parts = {key: [told[key] for told in self._told] for key in ("mean", "std")}
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


def _at(values: list, number: int, usual):
    return values[number] if number < len(values) else usual


def filled_up(rows: np.ndarray, count: int, value: float) -> np.ndarray:
    """(n, …) -> (count, …) of the same type, filled up with `value` at the end."""
    more = np.full((count - len(rows), *rows.shape[1:]), value, rows.dtype)
    return np.concatenate([rows, more])
