"""Leader–follower attentive fusion (LFAN) of faces, VGGish, MFCC: emotion of every frame."""

from __future__ import annotations

import shutil
from functools import cached_property
from itertools import product

import numpy as np
import torch

from .. import arrays, store
from .. import trials as trial_table
from ..features import face_maps, statistics
from ..features import windows as features_windows
from ..files import ROOT, existing, weights_file
from ..models import networks
from ..models.affect import lfan
from ..models.affect.sequence import SOUNDS
from ..models.blocks.ir50 import CHANNELS, IR50, RELEASE_ORDER
from ..models.weights import path as weights_path
from ..store import request
from ..training import losses
from ..training.release import Course
from . import base
from .papers import Difference, Paper, Setting

EMOTION_COLUMNS = {"both": (0, 1), "valence": (0,), "arousal": (1,)}  # columns of the labels

# Frames before a target that it depends on: 2·(kernel − 1)·(2^levels − 1), for four levels, and for
# can's five.
HISTORY = {"lfan_visual": 120, "lfan": 120, "lfan_v2": 120, "can": 248}


class Recipe(base.Recipe):
    """LFAN and its later forms, on the face network that `backbone_run` gives (a run of
    `lfan_backbone`, or a file).

    One window = 300 frames, 200 apart, the last one aligned with the trial's end. Unlabelled frames
    stay in the time line and are masked. In evaluation the causal network sees all the past of each
    frame, as in one pass.

    With `cache` the frozen part's output for each frame is computed once; after a release the maps
    before the released group are needed. "auto" caches if the disk has room and nothing is lost:
    without augmentation, or with several `variants` of the crop to draw from.

    Published rules (specification §1–§3): labelled frames are joined, gaps vanish; a scalar mean
    and deviation for each of train, val and test; overlapping windows are averaged; Adam; early
    stopping is not reset by a release.
    """

    reads = ("emotion",)

    paper = Paper(
        ("affwild2_lfan", "affwild2_lfan_visual"),
        (
            Setting("epochs", 100),
            Setting("batch_size", 8),
            Setting("lr", 1.0e-5),
            Setting("weight_decay", 1.0e-3),
            Setting("schedule", "plateau"),
            Setting("patience", 20),
            Setting("face_size", 48),
            Setting("width", 1.0),
            Setting("fold_rule", "published"),
            Setting("emotion", "valence", "one training for both; published with `-p emotion`"),
            Setting("grad_clip", 0.0),
            Setting("options.window", 300),
            Setting("options.hop", 200),
            Setting("options.dropout", 0.1),
            Setting("options.augment", True),
            Setting("options.loss_over", "window"),
            Setting("options.releases", 3),
            Setting("options.milestones", [0]),
            Setting("options.min_lr", 1.0e-6),
            Setting("options.plateau_patience", 5),
            Setting("options.plateau_factor", 0.1),
            Setting("options.warmup", 0),
            Setting("options.reload_best", True),
        ),
        (
            Difference(
                "label gaps",
                "labelled frames are joined, windows run across gaps",
                "the time line stays, unlabelled frames are masked",
                "a jump in time is none in the face",
            ),
            Difference(
                "statistics of LFAN's sound features",
                "one scalar a feature for each of train, val and test",
                "each dimension, training trials of the fold, kept with the run",
                "a single new clip has no test set to be normalised by",
            ),
            Difference(
                "frozen layers",
                "batch norm drifts, dropout is active",
                "fixed; computed once where maps are cached",
                "what is frozen does not change",
            ),
            Difference(
                "padding, missing faces",
                "zeros with label 0, black pictures",
                "masked; the embedding is zero",
                "nothing is learnt from what is not there",
            ),
            Difference(
                "evaluation of LFAN",
                "windows of 300, overlaps averaged",
                "all the past of each frame, as in one pass",
                "120 frames of each window have a cut history otherwise",
            ),
            Difference(
                "early stopping of LFAN",
                "not reset by a release: the last groups get no time",
                "reset",
                "as its authors do in their later form",
            ),
            Difference("optimiser of LFAN", "Adam with L2", "AdamW", "decay apart from the rate"),
            Difference(
                "order of LFAN's windows",
                "shuffled once",
                "shuffled anew in each epoch",
                "the usual way; no gain of the fixed order is known",
                only_corrected=False,
            ),
            Difference(
                "two emotions at once",
                "a loss that weighs them 10:1, in the code, not the published setting",
                "not reproduced: both weigh the same",
                "one number less to choose",
                only_corrected=False,
            ),
        ),
    )

    class Options:
        network: str = "lfan"  # of video alone its leader; one of lfan, lfan_v2, can
        window: int = 300  # frames of a training window; from 8 to 10000
        hop: int = 200  # frames between two training windows; from 1 to 10000
        shift: bool = False  # draw anew in each epoch where a trial's first window begins
        crop: int = 0  # px of the network's picture, 0: 5/6 of the face (40 of 48); from 0 to 256
        head_width: float = 0.0  # width behind the face network, 0: the same; from 0.0 to 4.0
        dropout: float = 0.1  # in the temporal networks; from 0.0 to 0.9
        bounded: bool = False  # tanh at the end (lfan_v2 and can always have it)
        loss_over: str = "window"  # what a CCC of the loss is taken over; one of window, batch
        vggish: str = "published"  # weights of VGGish: published, random (tests), or a file
        vggish_width: float = 1.0  # of random ones; from 0.01 to 1.0
        augment: bool = True  # in training: another crop and a mirror for each window
        cache: str = "auto"  # frozen part of the face network once; one of auto, always, never
        variants: int = 1  # crops that are cached, 1 for the centre; from 1 to 64
        releases: int = 3  # groups to let go: output layer, stage 4, end of stage 3; from 0 to 3
        milestones: list[int] = [0]  # epochs, from 0, that let a group go whatever the rate
        min_lr: float = 1.0e-6  # below it a group is let go, or training ends; from 0.0 to 1.0
        plateau_patience: int = 5  # bad epochs until the rate falls, 0: never; from 0 to 1000
        plateau_factor: float = 0.1  # of that fall; from 0.01 to 1.0
        warmup: int = 0  # epochs of a rising rate, at first and after a release; from 0 to 100
        reload_best: bool = False  # go on from the best weights after a worse epoch (published)
        accumulate: int = 1  # parts in which a batch is computed, for small memories; from 1 to 256
        targets: int = 1200  # frames that are predicted at once; from 1 to 100000

    # ---- inputs

    @property
    def learnt(self):
        """Columns of the labels that are learnt."""
        return EMOTION_COLUMNS[self.params.get("emotion", "both")]

    @property
    def network(self):
        return "lfan_visual" if not self.uses_audio else self.params.options["network"]

    def arrays(self):
        if not self.statistics:
            self._require_augmentation()
        requests = [request("time"), *self.label_requests()]
        if self.uses_video:
            requests += [request("face_valid"), request("face", size=self.params.face_size)]
            requests += (
                [self._map(number) for number in range(self._variants)] if self._cached else []
            )
        return requests + ([self._sound(name) for name in SOUNDS] if self.uses_audio else [])

    def _sound(self, name):
        if name == "mfcc":
            return request("mfcc39")
        options = self.params.options
        if options["vggish"] == "random":
            return request("vggish", weights="random", width=options["vggish_width"], seed=0)
        root = self.params.get("weights_root") or ROOT / "weights"
        known = options["vggish"] == "published"
        return request(
            "vggish",
            {"weights": weights_path("vggish", root) if known else ROOT / options["vggish"]},
            weights="published" if known else "file",
        )

    @property
    def _crop(self):
        return face_maps.side(self.params.face_size, self.params.options["crop"])

    @property
    def _file(self):
        self.require(
            bool(self.params.backbone_run),
            "backbone_run is empty",
            "a run of the recipe lfan_backbone, or weights/res50_ir_0.887.pth",
            "set backbone_run",
        )
        return weights_file(self.params.backbone_run, self.params.runs_root)

    # ---- the frozen part's output

    @property
    def _cached(self):
        """A trained network has all weights: if the backbone's file is missing it reads the
        faces.
        """
        return (
            self.uses_video
            and not self.published
            and (not self.statistics or self._file.is_file() or "fitted" in vars(self))
            and self._asks_for_maps
        )

    @cached_property
    def _asks_for_maps(self):
        """Whether `cache` applies; decided once, because the disk fills up while maps are made."""
        # Early checkpoints have true and false.
        asked = {True: "always", False: "never"}.get(self._cache, self._cache)
        if asked != "auto":
            return asked == "always"
        if self.params.options["augment"] and self._variants == 1:
            return False
        return self.store is None or self._maps_begun() or self._disk_holds_maps()

    @property
    def _cache(self):
        return self.params.options["cache"]

    def _maps_begun(self):
        trials = list(self._trials.values())
        return any(arrays.locate(trial, self._map(0), self.store).exists for trial in trials[:1])

    def _disk_holds_maps(self):
        known = [trial["n_frames"] for trial in self._trials.values() if trial["n_frames"] > 0]
        needed = sum(known) * sum(self._map_bytes().values())
        return shutil.disk_usage(existing(self.store.folder)).free > needed

    def _map_bytes(self):
        """Array -> bytes per frame: the maps of the first epoch, and at most of later releases.

        Maps of a stage that training made are removed when the next stage's are complete, so two
        stages exist side by side for a while. The first stage's are kept: 02 made them, and other
        runs start with them.
        """
        shapes, first = self._face_network.shapes, self._first_cut
        sizes = [2 * int(np.prod(shapes[cut])) * self._variants for cut in self._later_cuts(first)]
        both = max((sum(sizes[k : k + 2]) for k in range(len(sizes))), default=0)
        kept = {"face_map": 2 * int(np.prod(shapes[first])) * self._variants}
        return kept | ({"face_map of later releases": both} if both else {})

    @property
    def _first_cut(self):
        options = self.params.options
        return _cut_of(int(0 in options["milestones"] and options["releases"] > 0))

    def _later_cuts(self, first):
        begun = RELEASE_ORDER.index(first) + 1 if first in RELEASE_ORDER else 0
        return [_cut_of(number) for number in range(begun + 1, self.params.options["releases"] + 1)]

    def _require_augmentation(self):
        always = self._cache in ("always", True)
        self.require(
            not (always and self.params.options["augment"] and self._variants == 1)
            or self.published
            or not self.uses_video,
            "cache: always with augment: true and variants: 1: every window would see the centre",
            "several cached crops to draw from, or no augmentation",
            "set variants (8, say), augment: false, or cache: auto",
        )

    @property
    def _variants(self):
        return self.params.options["variants"] if self.params.options["augment"] else 1

    @property
    def _cut(self):
        """Where the network continues: before the last released group, or after all of it."""
        released = self.statistics.get("released")
        if released is None:  # before training: the maps of its first epoch
            return self._first_cut
        return _cut_of(released)

    def _map(self, number):
        return self._map_at(self._cut, number)

    def _map_at(self, cut, number):
        return request(
            "face_map",
            {"weights": self._file},
            size=self.params.face_size,
            cut=cut,
            crop=self._crop,
            variant=number,
        )

    def prepare(self, trials, progress):
        """The maps that the next epochs read, as after a release: in this process, and once."""
        ready = vars(self).setdefault("ready", set())
        if not self._cached or self._cut in ready:
            return
        items = list(map(self._map, range(self._variants)))
        pairs = product(map(self.trial, trials["trial"]), items)
        missing = [pair for pair in pairs if not arrays.locate(*pair, self.store).exists]
        for count, (trial, item) in enumerate(missing, 1):
            arrays.make(trial, item, self.store, str(self.params.device))
            progress(count, len(missing))
        ready.add(self._cut)
        self._remove_maps(trials, _cut_of(self.statistics["released"] - 1))

    def _remove_maps(self, trials, cut):
        """Remove the maps of the previous stage; those of the first one are kept, see
        `_map_bytes`.
        """
        if cut == self._first_cut or self.statistics["released"] == 0:
            return
        old = [self._map_at(cut, number) for number in range(self._variants)]
        for name in trials["trial"]:
            maps = [arrays.locate(self.trial(name), item, self.store) for item in old]
            store.remove([located.path for located in maps if located.exists])
        self._opened = {key: value for key, value in self._opened.items() if key[2] not in old}

    def _read_map(self, trial, number, makes):
        """(T, …) float16. makes : compute missing maps (in prediction); in training they exist."""
        map_request = self._map(number)
        if makes and ("read", trial, map_request) not in self._opened:
            arrays.make(self.trial(trial), map_request, self.store, str(self.params.device))
        rows = self.read(trial, map_request)
        return rows.reshape(len(rows), *self.facts(trial, map_request)["map"])

    def bytes_a_frame(self):
        """Array -> bytes per frame on disk; for Aff-Wild2 18 GB of faces, and of one cached crop 68
        GB from 02 and up to 272 GB while a training releases layers.
        """
        if not self.uses_video:
            return {}
        return {"face": 3 * self.params.face_size**2} | (self._map_bytes() if self._cached else {})

    # ---- forecast of costs

    def sketch_of_features(self):
        if not self._cached:
            return None
        frozen, crop = _Frozen(self._face_network, self._cut), self._crop
        return base.Sketch(
            frozen,
            {"frame": (3, crop, crop)},
            frames=1 / self._variants,
            kept=sum(self._map_bytes().values()),
        )

    def sketch(self):
        options, cut, cached = self.params.options, self._cut, self._cached
        model = self._network(_width(self._face_network))
        self.release(model, RELEASE_ORDER.index(cut) + 1 if cut in RELEASE_ORDER else 0)
        shapes = model.shapes(T=options["window"])
        if cached:
            shapes["frame_map"] = (shapes.pop("frame")[0], *model.backbone.shapes[cut])
        return base.Sketch(model, shapes, options["window"], options["hop"])

    @cached_property
    def _face_network(self):
        crop = self._crop
        known = self.uses_video and self._file.is_file()
        return lfan.load(self._file, crop)[0] if known else IR50(self.params.width, crop)

    # ---- windows and statistics

    def _frames(self, trial):
        """Frames that the network sees, in order: all, or by the published rule the labelled
        ones.
        """
        n_frames = self.n_frames(trial)
        if not self.published:
            return np.arange(n_frames)
        known = np.flatnonzero(np.isfinite(super().labels(trial, "va")).all(axis=1))
        return known if len(known) else np.arange(n_frames)

    def labels(self, trial, task):
        rows = np.array(super().labels(trial, task))
        rows[:, [column for column in (0, 1) if column not in self.learnt]] = np.nan
        return rows

    @cached_property
    def _splits(self):
        table = self.split(trial_table.read(self.store.trials_path))
        return dict(zip(table["trial"], table["split"], strict=True))

    def windows(self, trials, epoch=None):
        options, pieces = self.params.options, []
        for index, trial in enumerate(trials["trial"]):
            n_frames = len(self._frames(trial))
            if epoch is None and not self.published:
                start, first, stop = features_windows.with_history(
                    n_frames, options["targets"], HISTORY[self.network]
                )
            else:
                shift = 0
                if options["shift"] and epoch is not None and not self.published:
                    spare = max(min(n_frames - options["window"], options["hop"]), 0)
                    shift = int(
                        np.random.default_rng([self.params.seed, epoch, 2, index]).integers(
                            spare + 1
                        )
                    )
                start = first = shift + features_windows.overlapping(
                    n_frames - shift, options["window"], options["hop"]
                )
                stop = np.minimum(start + options["window"], n_frames)
            if epoch is not None:
                known = np.isfinite(self.labels(trial, "va")[self._frames(trial)]).any(axis=1)
                kept = [
                    bool(known[begin:end].any()) for begin, end in zip(start, stop, strict=True)
                ]
                start, first, stop = start[kept], first[kept], stop[kept]
            pieces.append((trial, base.columns_of(first, stop - first, start=start)))
        return self.window_table(pieces)

    def fit(self, windows):
        self._require_augmentation()
        self.fitted = True
        trials = [
            trial for trial in windows["trial"].cat.categories if trial in set(windows["trial"])
        ]
        fitted = {"released": 0}
        if self.uses_video:
            face, _ = lfan.load(self._file, self._crop)
            fitted["width"] = _width(face)
        if not self.uses_audio:
            return fitted
        for name in SOUNDS:
            rule = statistics.of_everything if self.published else statistics.of_dimensions
            parts = {"": trials}
            if self.published:
                parts = {
                    split: [t for t in self._splits if self._splits[t] == split]
                    for split in ("train", "val", "test")
                }
            fitted |= {
                f"{name}{split and f'_{split}'}": self.statistics_of(
                    self._sound(name), members, rule
                )
                for split, members in parts.items()
            }
        return fitted

    # ---- items and batches

    def example(self, window, generator=None):
        trial, options = window.trial, self.params.options
        frames = self._frames(trial)[window.start : window.stop]
        item = {"valid": np.ones(len(frames), bool), "va": self.labels(trial, "va")[frames]}
        if self.uses_video:
            item["face_valid"] = np.asarray(self.read(trial, request("face_valid")))[frames]
            moved = generator if options["augment"] else None
            if self._cached:
                number = 0 if moved is None else int(moved.integers(self._variants))
                item["frame_map"] = self._read_map(trial, number, generator is None)[frames]
            else:
                faces = self.faces(trial, self.params.face_size).read(frames)
                item["frame"] = face_maps.cut(
                    faces, self._crop, face_maps.draw(moved, self.params.face_size, self._crop)
                )
        if self.uses_audio:
            split = f"_{self._splits[str(trial)]}" if self.published else ""
            item |= {
                name: statistics.normalised(
                    self.read(trial, self._sound(name))[frames], self.statistics[f"{name}{split}"]
                )
                for name in SOUNDS
            }
        return item

    def collate(self, examples, generator=None):
        """Stack, filled up at the end to the longest one (published: to a whole window)."""
        longest = max(len(example["valid"]) for example in examples)
        whole = self.params.options["window"] if self.published else 0
        return base.collated(examples, max(longest, whole))

    # ---- network and loss

    def _network(self, width):
        options, p = self.params.options, self.params
        chosen = {"bounded": options["bounded"]} if self.network in ("lfan", "lfan_visual") else {}
        return networks.create(
            self.network,
            self.published,
            emotions=len(self.learnt),
            face_size=self._crop,
            width=width,
            head_width=options["head_width"] or p.width,
            modality=p.modality,
            dropout=options["dropout"],
            **chosen,
        )

    def model(self):
        model = self._network(self.statistics.get("width", self.params.width))
        # a trained network gets all its weights from its checkpoint
        if self.uses_video and "fitted" in vars(self):
            face, _ = lfan.load(self._file, self._crop)
            model.backbone.load_state_dict(face.state_dict())
        self.release(model, self.statistics.get("released", 0))
        return model

    def normalisation(self):
        """Under published rules those of the val trials, as each split has its own."""
        if not self.uses_audio:
            return {}
        split = "_val" if self.published else ""
        return {name: self.statistics[f"{name}{split}"] for name in SOUNDS}

    def release(self, model, groups):
        model.release(RELEASE_ORDER[:groups] if self.uses_video else ())
        self.statistics["released"] = groups
        model.map_to = self._cut

    def course(self):
        options = self.params.options
        low = options["min_lr"] if self.params.schedule == "plateau" else 0.0
        return Course(
            groups=options["releases"] if self.uses_video else 0,
            milestones=tuple(options["milestones"]),
            min_lr=low,
            patience=options["plateau_patience"] if self.params.schedule == "plateau" else 0,
            factor=options["plateau_factor"],
            warmup=options["warmup"],
            reload_best=options["reload_best"],
            reset_stale=not self.published,
        )

    def optimizer(self, groups):
        if self.published:
            return torch.optim.Adam(groups, weight_decay=self.params.weight_decay)
        return super().optimizer(groups)

    def loss(self, outputs, batch):
        parts, kind = {}, self.params.va_loss
        for number, column in enumerate(self.learnt):
            x, y, mask = outputs["emotion"][..., number], batch["va"][..., column], batch["valid"]
            name = ("valence", "arousal")[column]
            parts[name] = x.new_zeros(())
            if kind != "ccc":
                parts[name] = parts[name] + losses.mse_loss(x, y, mask)
            if kind != "mse":
                rule = losses.ccc_loss
                if self.params.options["loss_over"] == "window":
                    rule = losses.window_ccc_loss
                weight = 1.0 if kind == "ccc" else self.params.options["ccc_weight"]
                parts[name] = parts[name] + weight * rule(x, y, mask, self.params.rules)
        return {**parts, "total": sum(parts.values())}

    # ---- back to frames

    def output(self, task):
        return "emotion"

    def first_output(self, window):
        return window.first_target - window.start

    def assemble(self, windows, outputs, n_frames):
        """The mean over the windows that have a frame as target; NaN for emotions that are not
        learnt.
        """
        values = np.asarray(outputs["emotion"], np.float32)
        sums, counts = np.zeros((n_frames, values.shape[2])), np.zeros(n_frames)
        for rows, window in zip(values, windows.itertuples(index=False), strict=True):
            frames = slice(window.first_target, window.first_target + window.n_targets)
            first = self.first_output(window)
            sums[frames] += rows[first : first + window.n_targets]
            counts[frames] += 1
        out = np.full((n_frames, 2), np.nan, np.float32)
        seen = np.flatnonzero(counts)
        places = seen
        if self.published and len(windows):
            places = self._frames(windows["trial"].iloc[0])[seen]
        out[np.ix_(places, self.learnt)] = sums[seen] / counts[seen, None]
        return {"va": out}


class _Frozen(torch.nn.Module):
    """The part of a face network before a cut, from named tensors to named tensors."""

    def __init__(self, face: IR50, cut: str):
        super().__init__()
        self.face, self.cut = face.eval(), cut

    def forward(self, batch):
        return {"frame_map": self.face(batch["frame"], stop=self.cut)}


def _cut_of(released: int) -> str:
    """Where a network continues after so many releases."""
    return RELEASE_ORDER[released - 1] if released else "embedding"


def _width(face: IR50) -> float:
    return face.body[0].res_layer[1].weight.shape[0] / CHANNELS[0]
