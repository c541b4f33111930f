"""What recipes have in common that read streams: any arrays per frame, by the option `features`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import arrays
from ..errors import nearest_name
from ..features import encoder_arrays, expression_arrays, own, statistics
from ..files import weights_file
from ..media.frames import nearest
from ..store import Request, request

SEEN, HEARD = (
    ("pixels", "backbone_visual", "face_api"),
    (
        *("mel_statistics", "loudness", "mfcc39", "vggish", "egemaps", "egemaps88"),
        *("mfcc_chroma", "backbone_audio"),
    ),
)
OF_WHOLE_SOUND = ("mfcc_chroma",)  # its rows lie at t0 + k / rate, not at video frames

ALIKE = "compute the features of all trials alike"
_NONE = {"times": '""', "rates": "0"}  # of what has no time array, or no rate


class Recipe:
    """For recipes to inherit from, beside `base.Recipe`: the option `features` names arrays.

    A name that ends in .npy or .csv is a file ``<data_root>/features/<trial>/<name>``
    (`lib.features.own`);
    others are arrays of this repository (pixels, mel_statistics, loudness, mfcc39, vggish, egemaps,
    egemaps88, mfcc_chroma, backbone_visual, backbone_audio, face_api: 256 numbers of the expression
    network), a pretrained network that the option `encoders` describes
    (`lib.features.encoder_arrays`), or a network of torchvision (resnet18, …) that looks at each
    face.
    """

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

    heard: tuple[str, ...] = HEARD  # arrays of this repository that tell of sound

    # ---- arrays

    @cached_property
    def _encoders(self) -> dict[str, Request]:
        """Requests of encoders by name, cached so that files are not read for every example."""
        return {}

    def bytes_a_frame(self):
        items = [item for item in self._items if item.name in encoder_arrays.NAMES]
        sizes = {str(item): encoder_arrays.bytes_a_frame(item) for item in items}
        return {name: size for name, size in sizes.items() if size}

    @property
    def _items(self) -> list[Request]:
        """The arrays that are read, in the order of `features`."""
        return self._named()

    def _named(self) -> list[Request]:
        """The array of every name in `features`."""
        names = self.params.options["features"]
        self.require(
            bool(names),
            "the option `features` is empty",
            "options: {features: [wavlm.npy, clip.npy]}",
            "name the arrays in the parameter file",
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
        """Raise InputError where `times` or `rates` are set for what is no file (they stand in the
        order of `features`), or both for one file.
        """
        for option in ("times", "rates"):
            values = self.params.options[option]
            beyond = [str(value) for value in values[len(names) :] if value]
            self.require(
                not beyond,
                f"{option}: {', '.join(beyond)}, and there are {len(names)} names in `features`",
                "one for each name in `features`, in their order",
                f"correct the option `{option}`",
            )
            for name, value in zip(names, values, strict=False):
                is_file = own.is_file(name) and name not in self.params.options["encoders"]
                self.require(
                    is_file or not value,
                    f"{option}: {value} for {name}, which is no file of yours",
                    f"{option} in the order of `features`, {_NONE[option]} for what is no file",
                    f"correct the option `{option}`",
                )
        times, rates = self.params.options["times"], self.params.options["rates"]
        for name, time in zip(names, times, strict=False):
            self.require(
                not (time and own.is_table(name)),
                f"times: {time} for {name}, which is a table",
                "a column of times in the table itself",
                'write "" for it in `times`',
            )
        for name, time, rate in zip(names, times, rates, strict=False):
            self.require(
                not (time and rate),
                f"{name} has times ({time}) and a rate ({rate:g})",
                "one of both: its times tell the rate",
                'write "" for it in `times`, or 0 in `rates`',
            )

    def _refuse_published(self) -> None:
        self.require(
            not self.published,
            "rules: published",
            "rules: corrected: nobody published your features",
            "leave `rules` out",
        )

    def _item(self, name: str, number: int) -> Request:
        options = self.params.options
        if name in options["encoders"]:
            return self._of_encoder(name, options["encoders"][name])
        if own.is_file(name):
            return self._of_file(name, number)
        if name == "mel_statistics":
            return request(name, seconds=self.params.audio_seconds)
        if name.startswith("backbone_"):
            return self._of_backbone(name)
        if name == expression_arrays.NETWORK:
            return expression_arrays.wanted(expression_arrays.CROPS[0], self.store.weights_root)
        if name in (*SEEN, *self.heard):
            return request(name)
        known = own.torchvision_networks()
        near = nearest_name(name, [*SEEN, *self.heard, *known])
        self.require(
            name in known,
            f"features: nobody makes an array called {name!r}",
            f"a file (….npy, ….csv), {', '.join((*SEEN, *self.heard))} or a network of torchvision",
            "correct the option `features`" + (f": did you mean {near}?" if near else ""),
        )
        return request(
            "frame_features",
            network=name,
            weights=options["weights"],
            seed=0,
            size=self.params.face_size,
        )

    def _of_file(self, name: str, number: int) -> Request:
        options = self.params.options
        settings = {
            "align": (options["align"], "auto"),
            "missing": (options["missing"], "refuse"),
            "time": (_at(options["times"], number, ""), ""),
            "rate": (_at(options["rates"], number, 0.0), 0.0),
        }
        changed = {key: value for key, (value, usual) in settings.items() if value != usual}
        self.require(
            all(Path(file).name == file for file in (name, changed.get("time", ""))),
            f"features: {name}",
            "a file's name in <data_root>/features/<trial>/",
            "leave folders out",
        )
        return request("feature", file=name, **changed)

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

    # ---- which of them show faces, and which sound

    # ---- their rows

    def _rows(self, trial: str, item: Request, frames=slice(None)) -> np.ndarray:
        """(n, k) of some frames; for arrays with a rate of their own, the row in whose span each
        frame lies, or the one nearest to it.
        """
        if item.name in encoder_arrays.NAMES and item.parameters.get("rate"):
            times = np.asarray(self.read(trial, request("time")))
            frames = encoder_arrays.rows_of(item, times, frames)
        elif item.name in OF_WHOLE_SOUND:
            facts = self.facts(trial, item)
            moments = facts["t0"] + np.arange(facts["shape"][0]) / facts["rate"]
            frames = nearest(moments, np.asarray(self.read(trial, request("time")))[frames])
        rows = np.asarray(self.read(trial, item)[frames])
        return rows.reshape(len(rows), -1)

    def statistics_of(
        self, wanted: Request, trials: Sequence[str], rule: Callable = statistics.of_dimensions
    ) -> dict[str, list]:
        """The same, and the names of a table's columns. Raises InputError if a trial's are others
        than the first one's.
        """
        moments = super().statistics_of(wanted, trials, rule)
        if not own.is_table(wanted.parameters.get("file", "")) or not trials:
            return moments
        names = self.facts(trials[0], wanted)["columns"]
        for trial in trials:
            self._require_columns(trial, wanted, names)
        return {**moments, "columns": names}

    def _require_columns(self, trial: str, item: Request, names: list[str]) -> None:
        """Raise InputError if a table's columns are not those of training, in their order."""
        columns = self.facts(trial, item)["columns"]
        different = [pair for pair in zip(columns, names, strict=False) if pair[0] != pair[1]]
        if different:
            self.require(
                False,
                f"{item} has the column {different[0][0]} in {trial}",
                f"{different[0][1]} in this place, as in training",
                ALIKE,
            )

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

    def _standardised(self, trial: str, item: Request, frames, moments: Mapping) -> np.ndarray:
        """(n, k) of some frames, standardised by the training trials' mean and deviation `moments`;
        NaN becomes 0.

        Raises InputError if the array has another number of columns than in training.
        """
        return self._normalised(trial, item, self._rows(trial, item, frames), moments)

    def _normalised(
        self, trial: str, item: Request, rows: np.ndarray, moments: Mapping
    ) -> np.ndarray:
        """The same of rows that were read."""
        self.require(
            rows.shape[1] == len(moments["mean"]),
            f"{item} has {rows.shape[1]} columns in {trial}",
            f"{len(moments['mean'])}, as in training",
            ALIKE,
        )
        if "columns" in moments:
            self._require_columns(trial, item, moments["columns"])
        return np.nan_to_num(statistics.normalised(rows, moments))

    # ---- layers of an encoder

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


class OfModality(Recipe):
    """The same for recipes whose streams are known apart: those of faces, and those of sound, of
    which `modality` leaves some out.
    """

    _kept_streams: Mapping[str, Request] = {}

    @property
    def _streams(self) -> dict[str, Request]:
        """Streams of this modality, by their names in `features`."""
        if self._kept_streams:
            return self._kept_streams
        names, items = self.params.options["features"], self._named()
        self.require(
            len(set(map(as_key, names))) == len(names),
            f"features: {', '.join(names)}",
            "each stream once, under a name of its own",
            "leave out what stands there twice",
        )
        files = self.params.options["files_of"]
        unused = [name for name in files if name not in names]
        self.require(
            not unused,
            f"files_of: {', '.join(unused)}, which is not in `features`",
            "names of files in `features`",
            "name it there, or leave it out",
        )
        every = list(zip(names, items, strict=True))
        known = [name for name, item in every if name in files and self._of_maker(item)]
        self.require(
            not known,
            f"files_of: {', '.join(known)}, which is no file",
            "names of files (….npy, ….csv) in `features`",
            "leave it out: what this stream shows is known",
        )
        absent = {"audio": "faces", "video": "sound"}.get(self.params.modality)
        streams = {name: item for name, item in every if self.kind(name, item) != absent}
        self.require(
            bool(streams),
            f"modality: {self.params.modality}, and no stream of it",
            "a stream of this modality in `features`",
            "correct the option `features`",
        )
        encoders = encoder_arrays.NAMES
        if all(item.files or item.name not in encoders for item in items):
            # Otherwise an encoder has yet to be downloaded, and the result is not cached.
            self._kept_streams = streams
        return streams

    def kind(self, name: str, item: Request) -> str:
        """ "faces" or "sound": the content of a stream. Raises InputError if it is not given."""
        if known := self._of_maker(item):
            return known
        files = self.params.options["files_of"]
        self.require(
            files.get(name) in ("faces", "sound"),
            f"whether {name} shows faces or sound is not known",
            f"files_of: {{{name}: sound}}",
            "say it in the option `files_of`",
        )
        return files[name]

    def _of_maker(self, item: Request) -> str:
        """ "faces" or "sound": what an array of ours shows; "" for a file of one's own."""
        if item.name in (*SEEN, "frame_features", *encoder_arrays.OF_A_FACE):
            return "faces"
        return "sound" if item.name in (*self.heard, encoder_arrays.SOUND) else ""

    @property
    def _kinds(self) -> dict[str, str]:
        return {name: self.kind(name, item) for name, item in self._streams.items()}

    @property
    def _items(self) -> list[Request]:
        return list(self._streams.values())

    @property
    def uses_video(self):
        return "faces" in self._kinds.values()

    @property
    def uses_audio(self):
        return "sound" in self._kinds.values()


def _at(values: list, number: int, usual):
    return values[number] if number < len(values) else usual


def as_key(name: str) -> str:
    """A stream's name as part of a tensor's name."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
