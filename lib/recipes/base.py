"""The interface of a recipe: everything by which one method differs from another.

Notebooks, trainer and inference call only methods that are defined here, so they need not know a
method's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .. import arrays, datasets, grammar, metrics
from .. import trials as trial_table
from ..errors import InputError
from ..features import statistics
from ..features import windows as feature_windows
from ..files import checkpoint, weights_file
from ..labels import folds
from ..media import open_files
from ..models import published
from ..models.base import MODALITIES
from ..parallel import masks
from ..store import Request, Store, request
from ..training import losses
from ..training.release import Course
from .papers import Paper


@dataclass(frozen=True)
class Sketch:
    """A network in the sizes of an experiment, built before any array exists, to forecast its cost.

    net : the network, with random weights. shapes : input -> shape of one sample.
    frames : frames predicted per sample. learnt : frames of a trial per training sample of an
        epoch.
    kept : bytes per frame of the saved outputs.
    """

    net: torch.nn.Module
    shapes: Mapping[str, tuple[int, ...]]
    frames: float = 1
    learnt: float = 1
    kept: int = 0


WINDOW_COLUMNS = ("start", "stop", "first_target", "target_step", "n_targets")
OUTPUT_SIZES = {"va": 2}


# Parameters of notebook 05 that some methods do not know.
OF_SOME = ("emotion", "step_hop", "steps", "stream_loss")


class Recipe:
    """One method. Made by ``recipes.create(name, params, store)``.

    params : the notebook's parameters (attributes); ``params.options`` holds those of `Options`,
        checked already.
    store : the arrays and the trial table of one data set.
    """

    class Options:
        """Options in the notebooks' grammar, which `lib.grammar` reads from the source: here those
        of all recipes, in a recipe's file its own.
        """

        warmup: float = 0.0  # epochs over which the learning rate rises, 0: none; from 0.0 to 1.0e3
        layer_decay: float = 1.0  # factor on the rate per layer below the head; from 0.01 to 1.0
        ema: float = 0.0  # decay of a moving average of the weights, 0: none; from 0.0 to 0.99999
        ccc_weight: float = 0.5  # of 1 - CCC beside the squared error in mse_ccc; from 0.0 to 1.0e3

    # Which of `OF_SOME` its training depends on; the others are told where somebody sets them.
    reads: tuple[str, ...] = ()
    paper: Paper | None = None  # differences from the paper that it follows, if any
    network: str = ""  # name in `lib.models` of the published network, "" for the recipe's own
    modalities: tuple[str, ...] = MODALITIES  # modalities that it can work with
    # Frames of the box filter under published rules; 1 = no smoothing.
    published_widths: Mapping[str, int] = dict.fromkeys(metrics.EMOTIONS, 1)

    # Caches of an instance besides `_opened`, which another process must open itself.
    OPENED: tuple[str, ...] = ("_recent", "_sound", "_face_network")

    # Whether val trials are scored after epochs to choose the checkpoint; False: the last epoch is
    # kept.
    validates: bool = True

    # Whether its predictions are per frame, as the challenge's files require.
    submits: bool = True

    decimals: int = 5  # of valence and arousal in submission files (TSAV/JCA specification §2.9)

    def __init__(self, params, store: Store):
        self.params, self.store = params, store
        self.statistics: dict = {}
        self._opened: dict = {}

    def __getstate__(self) -> dict:
        """Pickled for a data-loader worker, which opens arrays, sound and networks itself."""
        kept = {name: value for name, value in vars(self).items() if name not in self.OPENED}
        return {**kept, "_opened": {}}

    def without_effect(self) -> list[str]:
        """A sentence for each parameter that is set and that this method does not know."""
        declared = grammar.all_declared()
        return [
            f"{name} {self.params[name]} changes nothing: {self.params.recipe} has none"
            for name in OF_SOME
            if name not in self.reads
            and self.params.get(name, declared[name].default) != declared[name].default
        ]

    # ---- which data

    @property
    def tasks(self) -> tuple[str, ...]:
        """Labels that it learns: "va", "expression", "action_units", "speaking", or several."""
        return ("va",)

    @property
    def published(self) -> bool:
        """Whether everything from windows to metric follows the authors' code, including
        defects.
        """
        return self.params.rules == "published"

    @property
    def chosen_on(self) -> str:
        """What was chosen on the same trials whose scores are reported, for metrics.json."""
        if not self.validates:
            return "nothing: the last epoch of a number of epochs that was given is kept"
        return (
            "the epoch and the smoothing widths were chosen on the val trials that are "
            "reported here"
        )

    @property
    def uses_video(self) -> bool:
        return self.params.modality != "audio"

    @property
    def uses_audio(self) -> bool:
        return self.params.modality != "video"

    @property
    def needs_sound(self) -> bool:
        """Whether nothing is predicted of a recording without sound."""
        return self.uses_audio

    def has_faces(self, trial: str) -> bool:
        """Whether a trial has the array `face_valid`, and it counts."""
        return self.uses_video

    @property
    def from_face_alone(self) -> bool:
        """Whether its values depend on a face alone; tables for people then leave them empty in
        frames without a face.
        """
        return self.uses_video and not self.uses_audio

    def split(self, table: pd.DataFrame) -> pd.DataFrame:
        """The trial table with the split of the parameter `fold` (−1: its own), see `folds`."""
        return folds.split(
            table,
            self.store.folder,
            self.params.get("fold", -1),
            self.params.get("fold_rule", "subject"),
        )

    def learnt_from(self) -> list[str]:
        """Training trials of the network that this one builds on; [] if unknown."""
        run = self.params.get("backbone_run", "")
        path = weights_file(run, self.params.runs_root)
        return published.read(path).get("trained_on", []) if run and path.is_file() else []

    @property
    def terms(self) -> str:
        """The sentence that the licences of the data require of a network trained on them, or of
        one that builds on such a network; "" for none.
        """
        run = self.params.get("backbone_run", "")
        path = weights_file(run, self.params.runs_root) if run else None
        backbone_terms = published.read(path).get("terms", "") if path and path.is_file() else ""
        sentences = [datasets.terms(self.params.dataset), backbone_terms]
        return "; ".join(dict.fromkeys(filter(None, sentences)))

    def arrays(self) -> list[Request]:
        """The store's arrays that must exist before training or prediction; labels included."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """Files that a training depends on besides the arrays, such as an index of clips; by
        default the weights of the option `start_from`.
        """
        start = self.params.options.get("start_from", "")
        return [checkpoint(start, self.params.runs_root)] if start else []

    @cached_property
    def _trials(self) -> dict[str, dict]:
        return {
            row["trial"]: row for row in trial_table.read(self.store.trials_path).to_dict("records")
        }

    def trial(self, name: str) -> dict:
        """The row of the trial table of the trial called `name`."""
        return self._trials[str(name)]

    def read(self, trial: str, wanted: Request) -> np.ndarray:
        """An array of a trial; opened arrays are cached up to the limit of open files."""
        return self._once(trial, wanted, arrays.read)

    def facts(self, trial: str, wanted: Request) -> dict:
        """The JSON facts of a trial's array (``t0``, ``rate``, …), cached."""
        return self._once(trial, wanted, arrays.facts)

    def faces(self, trial: str, size: int):
        """The faces of a trial (`lib.faces.faces.Faces`), opened once."""
        return self._once(trial, request("face", size=size), arrays.opened)

    def _once(self, trial: str, wanted, opener):
        key = (opener.__name__, trial, wanted)
        value = self._opened.pop(key, None)
        if value is None:
            value = opener(self.trial(trial), wanted, self.store)
            if len(self._opened) >= open_files.arrays_at_once():
                del self._opened[next(iter(self._opened))]  # least recently used
        self._opened[key] = value
        return value

    def digits(self, trial: str) -> dict[str, str]:
        """Digests of the arrays, without labels, that a prediction of a trial is made from."""
        requests = [
            item
            for item in arrays.of_trial(self.trial(trial), self.arrays())
            if arrays.maker_of(item).step != "labels"
        ]
        return {
            str(item): arrays.locate(self.trial(trial), item, self.store).digits
            for item in requests
        }

    def statistics_of(
        self, wanted: Request, trials: Sequence[str], rule: Callable = statistics.of_dimensions
    ) -> dict[str, list[float]]:
        """Mean and deviation of an array over all frames of some trials, by a rule of
        `lib.features.statistics`.

        Computed once: the store keeps it for all runs with the same training trials (the points of
        a sweep).
        """
        inputs = {
            trial: arrays.locate(self._trials[trial], wanted, self.store).digits for trial in trials
        }
        made_from = {
            "name": wanted.name,
            "parameters": {**wanted.parameters, "rule": rule.__name__},
            "version": statistics.VERSION,
            "inputs": inputs,
        }
        return statistics.kept(
            self.store.shelf("statistic", rule.__name__),
            made_from,
            lambda: rule(self._alike(wanted, trials)),
        )

    def _alike(self, wanted: Request, trials: Sequence[str]) -> Iterator[np.ndarray]:
        """(T, k) of each trial. Raises InputError if a trial's k differs from the first one's."""
        columns = 0
        for trial in trials:
            rows = np.asarray(self.read(trial, wanted))
            rows = rows.reshape(len(rows), -1)
            columns = columns or rows.shape[1]
            self.require(
                rows.shape[1] == columns,
                f"{wanted} has {rows.shape[1]} columns in {trial}",
                f"{columns}, as in {trials[0]}",
                "compute the features of all trials alike",
            )
            yield rows

    def n_frames(self, trial: str) -> int:
        """Number of frames of a trial, from its time stamps."""
        return len(self.read(trial, request("time")))

    def labels(self, trial: str, task: str) -> np.ndarray:
        """Labels of a trial: "va" (T, 2) float32, NaN = unlabelled."""
        return self.read(trial, request(task, mismatch=self.params.label_mismatch))

    def boxes(self, trial: str) -> np.ndarray | None:
        """(T, 4) x, y, width, height in px of the face, NaN if not seen; None if this recipe does
        not know it.
        """
        return None

    def label_requests(self) -> list[Request]:
        return [request(task, mismatch=self.params.label_mismatch) for task in self.tasks]

    # ---- windows and batches

    def windows(self, trials: pd.DataFrame, epoch: int | None = None) -> pd.DataFrame:
        """Numbers only, one row per window: trial (categorical) and `WINDOW_COLUMNS`; frames
        counted from 0.

        ``epoch=None`` means evaluation: every frame is a target exactly once. Otherwise the
        training windows of that epoch, which depend on (seed, epoch) only.
        """
        raise NotImplementedError

    def window_table(self, pieces: list[tuple[str, Mapping[str, np.ndarray]]]) -> pd.DataFrame:
        """Join the windows of several trials: (trial, column -> (N,) int) each."""
        names = [trial for trial, _ in pieces]
        # 32 bits: all of Aff-Wild2 has 3.0 million frames, and each may be a window.
        columns = {
            name: np.concatenate([np.asarray(piece[name], np.int32) for _, piece in pieces])
            if pieces
            else np.zeros(0, np.int32)
            for name in WINDOW_COLUMNS
        }
        codes = np.repeat(
            np.arange(len(pieces), dtype=np.int32), [len(piece["start"]) for _, piece in pieces]
        )
        return pd.DataFrame(
            {"trial": pd.Categorical.from_codes(codes, categories=names), **columns}, copy=False
        )

    def targets(self, trial: str, index: int, epoch: int | None, steps: int) -> np.ndarray:
        """(N, steps) target frames of windows, −1 = padding: all frames, or in training those of
        the phases drawn for the epoch, in windows with a label.

        index : of the trial among those of the epoch, for its own draw.
        """
        hop, phases = self.params.step_hop, None
        if epoch is not None:
            generator = np.random.default_rng([self.params.seed, epoch, 2, index])
            phases = np.sort(generator.permutation(hop)[: self.params.options["phases"]])
        targets = feature_windows.sequences(self.n_frames(trial), steps, hop, phases)
        if epoch is None:
            return targets
        known = np.isfinite(self.labels(trial, "va")).all(axis=1)
        return targets[(known[targets] & (targets >= 0)).any(axis=1)]

    def fit(self, windows: pd.DataFrame) -> dict:
        """Statistics of the training windows, which are saved with the run and used for any new
        video; none here.
        """
        return {}

    def example(
        self, window, generator: np.random.Generator | None = None
    ) -> dict[str, np.ndarray]:
        """One sample; augmented only if a generator is given. `window` is a row of `windows`."""
        raise NotImplementedError

    def batches(self, windows: pd.DataFrame, epoch: int) -> list[np.ndarray]:
        """Rows of each batch, shuffled by (seed, epoch).

        A last batch of less than half the size is left out, because its noisy loss would have the
        same weight.
        """
        size = self.params.batch_size
        order = np.random.default_rng([self.params.seed, epoch, 1]).permutation(len(windows))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        return [batch for batch in batches if len(batch) * 2 >= size or len(batches) == 1]

    def collate(
        self, examples: list[dict], generator: np.random.Generator | None = None
    ) -> dict[str, torch.Tensor]:
        """Stack the items of a batch."""
        return {
            name: torch.from_numpy(np.stack([example[name] for example in examples]))
            for name in examples[0]
        }

    def gather(self, windows: list, device: torch.device) -> dict[str, torch.Tensor]:
        """The batch of these windows (rows of `windows`) for prediction, on a device; recipes may
        do this faster than one by one.
        """
        batch = self.collate([self.example(window) for window in windows])
        return {name: tensor.to(device) for name, tensor in batch.items()}

    # ---- network and loss

    def model(self) -> torch.nn.Module:
        """The network, with sizes read from the arrays."""
        raise NotImplementedError

    def sketch(self) -> Sketch | None:
        """The network to be trained, in the sizes of the parameters, for the forecast of costs.

        None if the sizes depend on arrays that do not exist yet.
        """
        model = self.model()
        return Sketch(model, model.shapes(), learnt=self.params.options.get("frame_step", 1))

    def sketch_of_features(self) -> Sketch | None:
        """The network whose features notebooks 02 and 03 compute for every frame; None without
        one.
        """
        return None

    def trained(self, weights: Mapping[str, torch.Tensor]) -> torch.nn.Module:
        """The network of a checkpoint's weights, whose sizes follow from `statistics`, parameters
        and weights, so that no array or other file is needed.
        """
        return self.model()

    def row(self) -> str:
        """A description of one row of the network's inputs over time, or of one sample if it has no
        time axis.
        """
        return "one row per video frame, at the frame rate of the video"

    def remarks(self, trials: Sequence[str]) -> list[str]:
        """What is to be said before a training on these trials begins; `statistics` are known."""
        return []

    def remark(self, trial: str) -> str:
        """What is to be said beside the predictions of a trial; "" for nothing."""
        return ""

    def normalisation(self) -> dict[str, dict[str, list[float]]]:
        """Input of the network -> "mean" and "std" of the training trials by which `example`
        standardises it, per column or one for all; {} if it does not.
        """
        return {}

    def initialise(self, model: torch.nn.Module) -> None:
        """Load the initial weights into a new network; called by the trainer."""

    def bytes_a_frame(self) -> dict[str, int]:
        """Array -> bytes per frame on disk, for features of a network that 02 and 03 compute."""
        return {}

    def licence_of_features(self) -> str:
        """The licence of the published weights that give these features; "" for our own."""
        return ""

    def groups(self, model: torch.nn.Module) -> list[dict]:
        """Parameter groups of the optimiser; ``lr_factor`` multiplies the learning rate."""
        return [
            {
                "params": [weight for weight in model.parameters() if weight.requires_grad],
                "lr_factor": 1.0,
            }
        ]

    def optimizer(self, groups: list[dict]) -> torch.optim.Optimizer:
        """The optimiser of these parameter groups."""
        return torch.optim.AdamW(groups, weight_decay=self.params.weight_decay)

    def course(self) -> Course | None:
        """The release course: when frozen layers are released and how the rate falls; None: nothing
        is released.
        """
        return None

    def release(self, model: torch.nn.Module, groups: int) -> None:
        """Unfreeze the first `groups` groups of a network (at a release, and on resuming)."""

    def prepare(self, trials: pd.DataFrame, progress: Callable) -> None:
        """Called before every epoch, in the training's own process: make further inputs of
        examples, such as features of layers that are still frozen after a release.

        It reports to ``progress(done, total)``.
        """

    def pieces(
        self, batch: Mapping[str, torch.Tensor]
    ) -> list[tuple[float, Mapping[str, torch.Tensor]]]:
        """Gradient accumulation: a batch in parts that fit into memory, as many as the option
        `accumulate` says, each with its share of the loss; gradients are summed.
        """
        return parts(batch, self.params.options.get("accumulate", 1))

    def rate_factor(self, epoch: int) -> float:
        """A further factor on the learning rate in an epoch (from 0), besides the parameter
        `schedule`.
        """
        return 1.0

    def loss(
        self, outputs: Mapping[str, torch.Tensor], batch: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Named scalars; "total" is minimised."""
        raise NotImplementedError

    def va_loss(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        mask: torch.Tensor | None = None,
        rules: str = "corrected",
    ) -> torch.Tensor:
        """`losses.va_loss` with the parameters `va_loss` and `ccc_weight`."""
        weight = self.params.options.get("ccc_weight", losses.CCC_WEIGHT)
        return losses.va_loss(prediction, target, self.params.va_loss, mask, rules, weight)

    def output(self, task: str) -> str:
        """Name of the network's output for a task."""
        return task

    def first_output(self, window) -> int:
        """Index of a window's first target in the network's output; above 0 if the window begins
        with history.
        """
        return 0

    # ---- back to frames

    def assemble(
        self, windows: pd.DataFrame, outputs: Mapping[str, np.ndarray], n_frames: int
    ) -> dict[str, np.ndarray]:
        """task -> (T, k) float32 predictions of a trial, NaN for no window's target.

        `outputs` are the network's, joined over the trial's windows: (N, k) or (N, L, k).
        """
        return {
            task: on_frames(self._checked(outputs, task, windows), windows, n_frames)
            for task in self.tasks
        }

    def calibrate(self, predictions: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Called after every validation, before the checkpoint is written: put values that are
        fitted on val trials into `statistics`. predictions : trial -> result of `assemble`. Nothing
        here.
        """

    def _checked(
        self, outputs: Mapping[str, np.ndarray], task: str, windows: pd.DataFrame
    ) -> np.ndarray:
        """(N, L, k) outputs of a task. Raises InputError for another shape."""
        name = self.output(task)
        values = np.asarray(outputs[name], np.float32) if name in outputs else np.zeros((0,))
        values = values[:, None] if values.ndim == 2 else values
        needed, columns = (
            int(windows["n_targets"].max()) if len(windows) else 0,
            OUTPUT_SIZES.get(task),
        )
        fits = (
            values.ndim == 3
            and len(values) == len(windows)
            and values.shape[1] >= needed
            and columns in (None, values.shape[2])
        )
        if name in outputs:
            returned = f"{name} {values.shape}"
        else:
            returned = f"{', '.join(outputs) or 'nothing'}, and no {name}"
        self.require(
            fits,
            f"the network returned {returned}",
            f"{name} ({len(windows)}, {needed}, {columns or 'k'}): "
            "windows, targets of a window, values",
            "mend the network's forward (docs/add_a_model.md)",
        )
        return values

    def metrics(
        self,
        labels: Mapping[str, Mapping[str, np.ndarray]],
        predictions: Mapping[str, Mapping[str, np.ndarray]],
        with_intervals: bool = True,
        subjects: Mapping[str, str] | None = None,
    ) -> dict:
        """Scores for metrics.json. Both: task -> trial -> (T, k); predictions as of `assemble`.

        with_intervals : False between epochs. subjects : {trial: subject}; trials of one subject
            are left out together (`lib.intervals`).
        """
        how = {"with_intervals": with_intervals, "subjects": subjects}
        scores = {}
        if "va" in self.tasks:
            scores |= metrics.va_scores(labels["va"], predictions["va"], **how)
        if "expression" in self.tasks:
            chosen = {
                trial: self.decide("expression", rows)
                for trial, rows in predictions["expression"].items()
            }
            scores["expression"] = self.expression_scores(labels["expression"], chosen, **how)
        if "action_units" in self.tasks:
            chosen = {
                trial: self.decide("action_units", rows)
                for trial, rows in predictions["action_units"].items()
            }
            scores["action_units"] = metrics.action_units_scores(
                labels["action_units"], chosen, **how
            )
        return scores

    def expression_scores(
        self,
        labels: Mapping,
        chosen: Mapping,
        with_intervals: bool = True,
        subjects: Mapping[str, str] | None = None,
    ) -> dict:
        """Scores of classes (T,) against labels (T,), trial -> rows; the first is the main one, and
        the interval is its. with_intervals, subjects : see `metrics`.
        """
        return metrics.expression_scores(labels, chosen, with_intervals, subjects)

    def decide(self, task: str, values: np.ndarray) -> np.ndarray:
        """Network outputs (T, k) -> values for submission: va clipped to −1…1, expression (T,)
        class, action units 0/1.

        An action unit is active where its logit is above 0 (p > 0.5), as the loss is a
        cross-entropy of logits.
        """
        if task == "va":
            return np.clip(values, -1, 1)
        if task == "expression":
            return np.argmax(values, axis=1).astype(np.int8)
        return (values > 0).astype(np.int8)

    def columns(self, task: str, values: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of a prediction file for a task: column -> (T,), final values before raw
        outputs.

        values : (T, k) outputs. times : (T,) s of the frames.
        """
        decided = self.decide(task, values)
        if task == "va":
            names, raw = list(metrics.EMOTIONS), [f"{name}_raw" for name in metrics.EMOTIONS]
        elif task == "expression":
            names, raw = ["expression"], [f"expression_{k}" for k in range(values.shape[1])]
        elif task == "speaking":
            names, raw = ["speaking"], ["speaking_no_raw", "speaking_yes_raw"]
        else:
            names = [f"action_unit_{k}" for k in range(values.shape[1])]
            raw = [f"{name}_raw" for name in names]
        rows = np.asarray(decided).reshape(len(times), len(names))
        return dict(zip([*names, *raw], [*rows.T, *values.T], strict=True))

    def main_score(self, scores: Mapping) -> float | None:
        """The number that chooses the best epoch: mean CCC, else mean F1; None without labels."""
        names = metrics.EMOTIONS if "va" in self.tasks else self.tasks
        values = [next(iter(scores[name].values())) for name in names]  # ccc, f1_macro or f1_mean
        known = [score for score in values if score is not None]
        return sum(known) / len(known) if known else None

    def require(self, condition: bool, what: str, expected: str, todo: str) -> None:
        """Raise InputError, naming this recipe, unless the condition holds."""
        if not condition:
            raise InputError(
                what, where=f"recipe {self.params.recipe}", expected=expected, todo=todo
            )

    def each_once(self, option: str, expected: str) -> tuple[str, ...]:
        """The names in an option. Raises InputError where there is none, or one stands twice."""
        names = tuple(self.params.options[option])
        self.require(
            len(set(names)) == len(names) > 0,
            f"{option}: {', '.join(names) or 'none'}",
            f"{expected}, each once",
            f"correct the option `{option}`",
        )
        return names


def columns_of(
    first: np.ndarray,
    n_targets: np.ndarray | int = 1,
    step: int = 1,
    start: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """`WINDOW_COLUMNS` of windows whose targets are `n_targets` frames from `first` on, `step`
    apart; start : first frame that each reads, by default its first target.
    """
    stop = first + (n_targets - 1) * step + 1
    values = (first if start is None else start, stop, first, step, n_targets)
    return dict(zip(WINDOW_COLUMNS, np.broadcast_arrays(*values), strict=True))


def frames_of(window) -> np.ndarray:
    """The target frames of a window (a row of `Recipe.windows`)."""
    return window.first_target + window.target_step * np.arange(window.n_targets)


def filled(rows: np.ndarray, steps: int, value: float | np.ndarray = 0.0) -> np.ndarray:
    """(n, k) -> (steps, k) float32, filled up with `value`, a number or (k,)."""
    return stacked([rows], steps, value, np.float32)[0]


def stacked(
    every: Sequence[np.ndarray], length: int, value: float | np.ndarray = 0, dtype=None
) -> np.ndarray:
    """Arrays (n, …) of different n as one (B, length, …), filled up at the end with `value`.

    dtype : by default that of the arrays.
    """
    out = np.full((len(every), length, *every[0].shape[1:]), value, dtype or every[0].dtype)
    for target, rows in zip(out, every, strict=True):
        target[: len(rows)] = rows
    return out


def collated(examples: Sequence[Mapping], length: int = 0) -> dict[str, torch.Tensor]:
    """Stack the items of a batch, filled up at the end to `length`, by default to the longest one
    of each kind: valence and arousal with NaN, everything else with 0.
    """
    batch = {}
    for name in examples[0]:
        rows = [example[name] for example in examples]
        steps = length or max(map(len, rows))
        batch[name] = torch.from_numpy(stacked(rows, steps, np.nan if name == "va" else 0))
    return batch


def on_frames(values: np.ndarray, windows: pd.DataFrame, n_frames: int) -> np.ndarray:
    """(N, L, k) values of the targets of N windows to (n_frames, k) float32, NaN where no window
    has the frame as its target.
    """
    steps = np.arange(values.shape[1])
    first, step = (windows[name].to_numpy()[:, None] for name in ("first_target", "target_step"))
    frames = first + step * steps
    kept = steps < windows["n_targets"].to_numpy()[:, None]
    placed = np.full((n_frames, values.shape[2]), np.nan, np.float32)
    placed[frames[kept]] = values[kept]
    return placed


def parts(
    batch: Mapping[str, torch.Tensor], count: int
) -> list[tuple[float, Mapping[str, torch.Tensor]]]:
    """A batch in `count` parts, each with its share of the items; see `Recipe.pieces`."""
    if count == 1:
        return [(1.0, batch)]
    size = len(next(iter(batch.values())))
    pieces = []
    for rows in torch.arange(size).chunk(count):
        cut = itemgetter(slice(int(rows[0]), int(rows[-1]) + 1))
        part = {name: masks.derived(cut, tensor) for name, tensor in batch.items()}
        pieces.append((len(rows) / size, part))
    return pieces
