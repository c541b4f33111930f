"""Speaker detection: TalkNet, with or without rotary positions, or Light-ASD, on clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..faces.speaker_crops import FILL
from ..features import mfcc, speaker_scores
from ..files import resolve
from ..models import published
from ..speakers import augmentation, losses
from ..speakers import windows as speakers_windows
from ..speakers.clips import units
from ..speakers.metrics import breakdown, speaking_scores
from . import base
from .papers import Difference, Paper, Setting

_EGO4D = "its Ego4D code"


class Recipe(base.Recipe):
    """A frame's label: whether the person whose face is seen is the one who is heard.

    A trial is one person in one video; its frames lie in the clips of `clips_root` that show this
    person. Windows for training and evaluation: `lib.speakers.windows`; those that overlap are
    averaged with triangular weights (speaker specification §4.2).

    Published rules (speaker specification §3): a convolution that sees the neighbouring clip, the
    rounded hop of sound features. Corrected: each clip by itself, exact times.
    """

    paper = Paper(
        ("ego4d_talknet", "ego4d_talknet_mrope"),
        (
            Setting("epochs", 25),
            Setting("lr", 1.0e-4),
            Setting("weight_decay", 0.0),
            Setting("grad_clip", 0.0),
            Setting("face_size", 112),
            Setting("width", 1.0),
            Setting("options.rate_decay", 0.95),
            Setting("options.frames", 1800, source=_EGO4D),
            Setting("options.class_weight", 4.0, source=_EGO4D),
            Setting("options.noise", 0.5),
            Setting("options.augment", "published"),
            Setting("options.crop", "mouth", source=_EGO4D),
            Setting("options.audio_loss", 0.4),
            Setting("options.visual_loss", 0.4),
            Setting("options.network", "talknet", "rotary positions are what this file tries"),
            Setting("options.audio_target", "asd", "the sound alone can know who speaks at all"),
            Setting("options.synchrony_loss", 0.0, "the loss of TalkNCE, another paper's"),
            Setting("clip_length", 300, "clips of 15 s at 30 frames per second", _EGO4D),
            Setting(
                "options.start_from",
                "weights/pretrain_AVA.model",
                "the file is on a cloud drive: named where you have it",
                _EGO4D,
            ),
        ),
        (
            Difference(
                "noise mixed into the sound",
                "sound of RMS 0.1 cast to whole numbers: silence in half of the samples",
                "mixed in floating point",
                "half of the training sound would be lost",
                only_corrected=False,
            ),
            Difference(
                "labels after a gap of a track",
                "they slip against the faces",
                "each frame has its own",
                "a label of another moment is none",
                only_corrected=False,
            ),
            Difference(
                "hop of the sound features",
                "rounded to whole samples: 37.5 ms early after 15 s at 30 frames per second",
                "exact times",
                "synchrony is what is learnt",
            ),
            Difference(
                "convolution over a batch of clips",
                "one sequence: clips see their neighbours",
                "each clip by itself",
                "a clip's result does not depend on its batch",
            ),
            Difference(
                "padding and frames without a face",
                "batches are cut to their shortest clip; a piece is one track",
                "masked in convolutions, norms and attention; a unit is one person in a clip",
                "nothing is cut away, and a face may be lost for a while",
            ),
        ),
    )

    class Options:
        network: str = "talknet_mrope"  # one of talknet, talknet_mrope, light_asd, lr_asd
        visual_width: float = 0.0  # factor on the picture's channels, 0: width; from 0.0 to 4.0
        audio_width: float = 0.0  # factor on the sound's channels, 0: width; from 0.0 to 4.0
        attention_width: float = 0.0  # factor on attention's channels, 0: width; from 0.0 to 4.0
        visual_momentum: float = 0.01  # of the picture's batch norms; from 0.001 to 1.0
        dropout: float = 0.1  # in attention; from 0.0 to 0.9
        positions: str = "axial"  # layout of the rotary positions; one of axial, chunk, interleave
        cross_pairs: list[int] = [4, 2, 2]  # of a head for time, row, column; from 0 to 8
        self_pairs: list[int] = [6, 5, 5]  # the same in self attention; from 0 to 16
        attention_seconds: float = 0.0  # s seen to either side, 0 for all; from 0.0 to 100000.0
        trained_frames: int = 0  # scale attention by ln T / ln of them, 0: not; from 0 to 100000
        start_from: str = ""  # weights file, as its authors published it; empty for random weights
        ramp: bool = True  # with start_from: turn positions on little by little in the first epoch
        crop: str = "mouth"  # what is seen of a face; one of mouth, box
        augment: str = "published"  # of the crops in training; one of published, light, none
        noise: float = 0.5  # share of clips with sound of another clip mixed in; from 0.0 to 1.0
        level_jitter: float = 0.0  # spread of a random change of the log energy; from 0.0 to 10.0
        negatives: float = 0.0  # share with wrong sound (other, shifted, muted); from 0.0 to 0.9
        audio_target: str = "asd"  # label of the sound's own head; one of asd, speech
        audio_loss: float = 0.4  # weight of the loss of that head; from 0.0 to 10.0
        visual_loss: float = 0.4  # weight of the loss of the picture's head; from 0.0 to 10.0
        synchrony_loss: float = 0.0  # weight of InfoNCE between sound and picture; from 0.0 to 10.0
        temperature: float = 0.1  # of InfoNCE (TalkNCE takes 0.07); from 0.001 to 10.0
        class_weight: float = 1.0  # of a speaking frame in losses (Ego4D's: 4); from 0.01 to 100.0
        rate_decay: float = 1.0  # factor on the rate per epoch (published 0.95); from 0.1 to 1.0
        frames: int = 2000  # frame budget of a training batch; from 2 to 1000000
        shortest: int = 60  # frames of the shortest training window; from 1 to 100000
        longest: int = 0  # frames of the longest training window, 0: a whole clip; from 0 to 100000
        windows_a_clip: int = 1  # training windows of each clip in an epoch; from 1 to 1000
        piece: int = 0  # frames evaluated together, 0: a clip, −1: all; from -1 to 1000000
        window: int = 0  # frames of a window, 0 for a clip's, −1 for the whole; from -1 to 1000000
        keep_crops: bool = True  # keep crops in processed_root, or read pictures each time

    @property
    def tasks(self):
        return ("speaking",)

    # ---- data

    def arrays(self):
        return []

    def files(self) -> list[Path]:
        """A file that a training depends on besides the store's arrays: the index of the clips."""
        root = self._root
        return [
            path
            for path in (root / f"{split}.jsonl" for split in ("train", "val"))
            if path.is_file()
        ]

    @property
    def _root(self) -> Path:
        clips_root, length = str(self.params.get("clips_root", "") or ""), self.params.clip_length
        if clips_root not in ("", "."):
            return Path(clips_root)
        return self.store.folder / f"dataset_clips_L{length}"

    def units(self, trial: str) -> list[units.Unit]:
        """Clips that show a trial's person, in order."""
        if "units" not in self._opened:
            table = units.read_index(self._root)
            self._opened["units"] = {
                key: units.units(rows) for key, rows in table.groupby(["video", "person"])
            }
        row = self._trials[str(trial)]
        return self._opened["units"].get((row["video"], row["person"]), [])

    def fit(self, windows):
        rates = {float(unit.fps) for trial in self._trials for unit in self.units(trial)[:1]}
        self.require(
            len(rates) <= 1,
            f"clips of {sorted(rates)} frames per second",
            "one rate",
            "make clips of one rate, or choose `trials` of one",
        )
        return {"fps": rates.pop()} if rates else {}

    def n_frames(self, trial):
        return len(self._frames_of(trial)["speaking"])

    def labels(self, trial, task="speaking"):
        """(T,) int8: 1 speaks, 0 does not, −1 not visible or in no clip."""
        return self._frames_of(trial)["speaking"]

    def _frames_of(self, trial: str) -> dict[str, np.ndarray]:
        key = ("frames", trial)
        if key not in self._opened:
            self._opened[key] = units.labels(self.units(trial))
        return self._opened[key]

    def boxes(self, trial):
        out = np.full((self.n_frames(trial), 4), np.nan)
        for unit in self.units(trial):
            out[unit.start : unit.start + unit.n_frames] = unit.boxes()
        return out

    def read(self, trial, wanted):
        """Like the base's, but time and validity of a trial's frames come from its clips, so that
        no video is needed.
        """
        if wanted.name == "time":
            return np.arange(self.n_frames(trial)) / (
                float(self.units(trial)[0].fps) if self.units(trial) else 1.0
            )
        if wanted.name == "face_valid":
            return self._frames_of(trial)["visible"]
        return super().read(trial, wanted)

    def digits(self, trial):
        return {f"{unit.start}": str(unit.path.stat().st_size) for unit in self.units(trial)}

    # ---- windows and batches

    def windows(self, trials, epoch=None):
        if epoch is None:
            return self._evaluation_windows(trials)
        return self._training_windows(trials, epoch)

    def _evaluation_windows(self, trials):
        pieces = []
        for trial in trials["trial"]:
            starts, stops = speakers_windows.evaluation(
                speakers_windows.runs(self.units(trial)), *self._cut
            )
            pieces.append((trial, base.columns_of(starts, stops - starts)))
        return self.window_table(pieces)

    @property
    def _cut(self) -> tuple[int, int]:
        """Frames of a piece and of a window in evaluation; −1 for no limit."""
        return tuple(
            self.params.options[name] or self.params.clip_length for name in ("piece", "window")
        )

    def _training_windows(self, trials, epoch):
        """Stretches of clips in the order of batches, with `batch`, `strength` (of positions)."""
        options = self.params.options
        clips = []
        for trial in trials["trial"]:
            known = self.labels(trial) >= 0
            units = self.units(trial)
            clips += [(trial, unit) for unit in units if known[unit.start :][: unit.n_frames].any()]
        rows = speakers_windows.training(
            clips,
            options["windows_a_clip"],
            options["shortest"],
            options["longest"] or self.params.clip_length,
            options["frames"],
            np.random.default_rng([self.params.seed, epoch, 2]),
        )
        table = pd.DataFrame(rows, columns=["trial", "batch", "start", "stop"])
        ramp = options["start_from"] and options["ramp"] and epoch == 0 and len(table)
        strength = (table["batch"] + 1) / (table["batch"].max() + 1) if ramp else 1.0
        return table.assign(
            trial=pd.Categorical(table["trial"], categories=list(trials["trial"])),
            strength=strength,
            first_target=table["start"],
            target_step=1,
            n_targets=table["stop"] - table["start"],
        )

    def batches(self, windows, epoch):
        return [
            rows.to_numpy()
            for _, rows in windows.reset_index(drop=True).reset_index().groupby("batch")["index"]
        ]

    # ---- one item, one batch

    def example(self, window, generator=None):
        trial, first, last = str(window.trial), int(window.start), int(window.stop)
        unit = next(unit for unit in self.units(trial) if unit.start + unit.n_frames > first)
        rows = {name: values[first:last] for name, values in self._frames_of(trial).items()}
        item = {
            "speaking": rows["speaking"].astype(np.int64),
            "visible": rows["visible"],
            "voice": rows["voice"].astype(np.int64),
            "position": rows["position"],
            "fps": np.float64(unit.fps),
            "strength": np.float32(getattr(window, "strength", 1.0)),
        }
        if self.uses_audio:
            item["sound"] = self._sound(trial, first, last)
        if self.uses_video:
            clip = self._faces(trial, first, last)
            kind = self.params.options["augment"] if generator is not None else "none"
            item["face"] = augmentation.faces(clip, kind, generator)
            item["face"][~item["visible"]] = FILL
        item["group"] = np.int64(list(self._trials).index(trial))
        return item

    def _sound(self, trial, first, last):
        pieces = [
            unit.sound(begin, end)
            for unit, begin, end in units.parts(self.units(trial), first, last)
        ]
        rates = {rate for _, rate in pieces}
        self.require(
            rates == {mfcc.RATE}, f"sound of {rates} Hz", f"{mfcc.RATE} Hz", "make the clips again"
        )
        return np.concatenate([sound for sound, _ in pieces])

    def _faces(self, trial, first, last):
        folder = self.store.folder / "clips" if self.params.options["keep_crops"] else None
        crop, size = self.params.options["crop"], self.params.face_size
        return np.concatenate(
            [
                unit.faces(begin, end, crop, size, folder)
                for unit, begin, end in units.parts(self.units(trial), first, last)
            ]
        )

    def collate(self, examples, generator=None):
        sounds = [example.get("sound") for example in examples]
        labels = [{name: example[name] for name in ("speaking", "voice")} for example in examples]
        if generator is not None and self.uses_audio:
            sounds, labels = self._disturbed(examples, sounds, labels, generator)
        lengths = np.array([len(example["speaking"]) for example in examples])
        longest = (
            lengths.max() if generator is not None else max(lengths.max(), self._evaluation_length)
        )
        batch: dict[str, np.ndarray] = {}
        if self.uses_audio:
            heard = [
                mfcc.of_clip(
                    sound, len(example["speaking"]), float(example["fps"]), self.params.rules
                )
                for sound, example in zip(sounds, examples, strict=True)
            ]
            if generator is not None:
                for rows in heard:
                    rows[:, 0] += self.params.options["level_jitter"] * generator.standard_normal()
            batch["mfcc"] = base.stacked(heard, mfcc.ROWS_A_FRAME * longest, 0.0)
        if self.uses_video:
            batch["face"] = base.stacked([example["face"] for example in examples], longest, FILL)
        for name in ("speaking", "voice"):
            batch[name] = base.stacked([label[name] for label in labels], longest, units.UNKNOWN)
        for name, blank in (("visible", False), ("position", 0.0)):
            batch[name] = base.stacked([example[name] for example in examples], longest, blank)
        batch |= self._times(examples, longest)
        if (lengths < longest).any():
            batch["pad"] = np.arange(longest) >= lengths[:, None]
        batch["strength"] = np.array([example["strength"] for example in examples], np.float32)
        return {
            name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in batch.items()
        }

    @property
    def _evaluation_length(self) -> int:
        """The length to which every window in evaluation is padded, so that outputs can be
        joined.
        """
        return speakers_windows.longest(
            [run for trial in self._trials for run in speakers_windows.runs(self.units(trial))],
            *self._cut,
        )

    def _times(self, examples, longest) -> dict[str, np.ndarray]:
        """Seconds of every frame, and of the middle of each sound token, from the clip's start."""
        starts = mfcc.starts if self.params.rules == "corrected" else mfcc.published_starts
        fps = [float(example["fps"]) for example in examples]
        heard = [
            (starts(longest, rate)[:: mfcc.ROWS_A_FRAME] + mfcc.window(rate) / 2) / mfcc.RATE
            for rate in fps
        ]
        return {
            "time": (np.arange(longest) / np.array(fps)[:, None]).astype(np.float32),
            "audio_time": np.array(heard, np.float32),
        }

    def _disturbed(self, examples, sounds, labels, generator):
        """`augmentation.sounds` with the recipe's options; without pictures no sound is
        replaced.
        """
        options, trials = self.params.options, list(self._trials.values())
        negatives = options["negatives"] if self.params.modality == "audiovisual" else 0.0
        return augmentation.sounds(
            sounds,
            labels,
            [trials[int(example["group"])]["video"] for example in examples],
            [float(example["fps"]) for example in examples],
            negatives,
            options["noise"],
            generator,
        )

    # ---- network and loss

    def model(self):
        net = speaker_scores.network(self.params)
        if start := self.params.options["start_from"]:
            published.fill(net, resolve(start))
            net.requires_grad_(True)
        return net

    def row(self):
        fps = self.statistics.get("fps")
        return "one row per video frame" + (f"; it learnt from {fps:g} per second" if fps else "")

    def trained(self, weights):
        return speaker_scores.network(self.params)

    def sketch(self):
        net, length = speaker_scores.network(self.params), self.params.clip_length
        options = self.params.options
        learnt = min(options["longest"] or length, length) / options["windows_a_clip"]
        return base.Sketch(net, net.shapes(T=length), length, learnt)

    def rate_factor(self, epoch):
        return self.params.options["rate_decay"] ** epoch

    def loss(self, outputs, batch):
        options = self.params.options
        parts = {
            "speaking": losses.speaking_loss(
                outputs["speaking"], batch["speaking"], options["class_weight"]
            )
        }
        if options["visual_loss"] and self.uses_video:
            parts["visual"] = options["visual_loss"] * losses.speaking_loss(
                outputs["speaking_visual"], batch["speaking"], options["class_weight"]
            )
        if options["audio_loss"] and self.uses_audio and "speaking_audio" in outputs:
            target = batch["speaking"] if options["audio_target"] == "asd" else batch["voice"]
            parts["audio"] = options["audio_loss"] * losses.speaking_loss(
                outputs["speaking_audio"], target, options["class_weight"]
            )
        if (
            options["synchrony_loss"]
            and self.params.modality == "audiovisual"
            and "audio_embed" in outputs
        ):
            parts["synchrony"] = options["synchrony_loss"] * losses.synchrony_loss(
                outputs["audio_embed"],
                outputs["visual_embed"],
                batch["speaking"] == 1,
                options["temperature"],
                batch["visible"],
            )
        return {**parts, "total": sum(parts.values())}

    # ---- back to frames

    def assemble(self, windows, outputs, n_frames):
        places = zip(windows["start"], windows["stop"], strict=True)
        pieces = [
            (start, np.asarray(rows)[: stop - start])
            for (start, stop), rows in zip(places, outputs.get("speaking", ()), strict=True)
        ]
        return {"speaking": speaker_scores.average(pieces, n_frames)}

    def decide(self, task, values):
        """Logits (T, 2) -> probability that this face speaks, (T,) float32."""
        return speaker_scores.probability(values)

    def metrics(self, labels, predictions, with_intervals=True, subjects=None):
        chosen = {
            trial: self.decide("speaking", rows) for trial, rows in predictions["speaking"].items()
        }
        videos = {trial: self.trial(trial)["video"] for trial in chosen}
        # A face that is in no clip has no prediction, and its frames no label.
        scores = speaking_scores(
            labels["speaking"], chosen, videos, with_intervals=with_intervals, subjects=subjects
        )
        if with_intervals:
            boxes = {trial: self.boxes(trial) for trial in labels["speaking"]}
            scores |= breakdown(labels["speaking"], chosen, boxes, videos)
        return {"speaking": scores}
