"""Training of any recipe, from the first batch to the best and the last checkpoint; a resumed
training gives identical numbers.

Everything random is a function of (seed, epoch, row) or (seed, epoch, batch). So a stopped training
replays nothing: it loads the last checkpoint and continues with the next batch.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import BatchNorm1d

from .. import code_digest, parameters
from ..errors import InputError, full_gpu
from ..files import write_text
from ..labels import folds
from ..metrics import EMOTIONS
from ..models import checkpoints, device, forward, layer_order
from ..parallel import masks, ranks
from ..parallel.interrupts import Interrupts
from ..parallel.locks import held
from ..parallel.progress import Progress
from ..trials import select
from . import loader, release, resuming, schedules
from .averaging import Average
from .duration import Duration
from .losses import CCC_WEIGHT

# Epochs without a better score; JCA's published factor (§2.8).
PLATEAU_PATIENCE, PLATEAU_FACTOR = 5, 0.5


@dataclass
class State:
    """The state of a training: `epoch` and `batch` are the next to do."""

    epoch: int = 0
    batch: int = 0
    best_score: float = float("-inf")
    best_epoch: int = -1
    plateau: int = 0  # how often the rate was lowered
    released: int = 0  # groups of frozen layers that were released (`lib.training.release`)
    released_at: int = -1  # epoch of the last release
    lowered_at: int = -1  # epoch in which the rate was lowered last
    sums: dict = field(default_factory=dict)  # of the losses of this epoch's batches
    history: list = field(default_factory=list)


def _autocast(precision: str, device_type: str) -> dict:
    """Arguments of `torch.autocast`: half precision if it is asked for, or by default on a device
    that supports it.
    """
    # bfloat16 needs no scaling; older GPUs (Colab's T4) only have float16.
    is_cuda = device_type == "cuda"
    has_bfloat16 = is_cuda and torch.cuda.is_bf16_supported(False)
    half = torch.bfloat16 if precision == "bfloat16" or has_bfloat16 else torch.float16
    enabled = precision == "bfloat16" or (precision == "auto" and is_cuda)
    return {"device_type": device_type, "dtype": half, "enabled": enabled}


class Trainer:
    """Trains one recipe on the train trials of a table and validates on its val trials.

    recipe : see `lib.recipes.base`; its params give epochs, lr, weight_decay, schedule, grad_clip,
        patience, val_every, seed, device, workers.
    trials : trial table.
    folder : run folder; ``checkpoints/`` and ``history.csv`` are written into it.
    on_epoch : functions that are called with the history (DataFrame, one row per epoch) after every
        epoch.
    on_step : functions that are called with the epoch (from 1), the batches that are done in it and
        how many it has, after every batch.
    """

    def __init__(
        self, recipe, trials: pd.DataFrame, folder: Path, on_epoch: Sequence[Callable] = ()
    ):
        self.recipe, self.params = recipe, recipe.params
        self.folder, self.on_epoch = Path(folder), on_epoch
        self.on_step: Sequence[Callable] = ()
        self.ranks = ranks.Ranks()
        self.device = self.ranks.device(device.pick(self.params.device))
        if self.device.type == "cuda":
            device.repeat(self.params.get("deterministic", False))
        self._take_trials(recipe.split(trials))
        self.recipe.statistics = self.recipe.fit(self.recipe.windows(self.train_trials, 0))
        self.notes += recipe.remarks(list(self.train_trials["trial"].astype(str)))
        torch.manual_seed(self.params.seed)
        self.model = recipe.model()
        recipe.initialise(self.model)
        self.model = forward.channels_last(self.model.to(self.device))
        # The same weights, compiled or not.
        self.forward = torch.compile(self.model) if self.params.compiled else self.model
        self.course = recipe.course()
        self._take_shared_options()
        self._new_optimizer()
        self.autocast = _autocast(self.params.precision, self.device.type)
        if self.autocast["enabled"] and self.device.type == "cpu":
            device.convolve_exactly(self.model)
        scaled = self.autocast["enabled"] and self.autocast["dtype"] is torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        self.state = State()
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False

    def _take_trials(self, trials: pd.DataFrame) -> None:
        """Keep the trials of both splits, and the remarks on them and on the rules."""
        self.notes = _apart(self.recipe, trials)
        self.grad_clip = 0.0 if self.recipe.published else self.params.grad_clip
        if self.params.grad_clip and not self.grad_clip:
            self.notes.append(
                f"grad_clip {self.params.grad_clip:g} is not used: under published rules gradients "
                "are not clipped"
            )
        self.train_trials = trials[trials["split"] == "train"].reset_index(drop=True)
        self.val_trials = trials[trials["split"] == "val"].reset_index(drop=True)
        if self.train_trials.empty:
            raise InputError(
                "no trial is there to train on",
                where="the trial table",
                expected="split = train",
                todo="look at the report of 01_download_check",
            )
        require_variety(self.recipe, self.train_trials)

    def _take_shared_options(self) -> None:
        """Take the options of all recipes (`lib.recipes.base`), and the remarks on them."""
        options, epochs = self.params.options, self.params.epochs
        self.notes += self.recipe.without_effect()
        # A release course has its own warm-up after each release.
        self.warmup = options.get("warmup", 0.0) if self.course is None else 0.0
        self.layer_decay = options.get("layer_decay", 1.0)
        rises = parameters.second_rise(self.params.schedule, self.warmup, epochs)
        parameters.refuse(rises, "options")
        weight = options.get("ccc_weight", CCC_WEIGHT)
        if weight != CCC_WEIGHT and not (
            self.params.va_loss == "mse_ccc" and "va" in self.recipe.tasks
        ):
            self.notes.append(
                f"ccc_weight {weight:g} changes nothing: it counts where valence and arousal are "
                "learnt with va_loss: mse_ccc"
            )
        decay = options.get("ema", 0.0)
        self.average = Average(self.model, decay) if decay else None
        if self.average is not None:
            self.notes.append(
                f"ema {decay:g}: scores, checkpoints and predictions are of a moving average of "
                "the weights"
            )
        if self.layer_decay != 1:
            count = len(layer_order.layers(self.model))
            lowest = self.params.lr * self.layer_decay ** (count - 1)
            self.notes.append(
                f"layer_decay {self.layer_decay:g}: learning rates from {self.params.lr:g} at the "
                f"head down to {lowest:.3g} in the first of {count} layers"
            )

    def _new_optimizer(self) -> None:
        divided = schedules.by_layer(self.recipe.groups(self.model), self.model, self.layer_decay)
        groups = [
            {**group, "lr": self.params.lr * group.get("lr_factor", 1.0)} for group in divided
        ]
        self.optimizer = self.recipe.optimizer(groups)

    def fit(self) -> pd.DataFrame:
        """Train for `epochs`, or until `patience` epochs brought no improvement; returns the
        history.

        An interrupt (Ctrl-C, SIGTERM) ends after the batch in hand, with a checkpoint, as
        KeyboardInterrupt. Raises InputError, before anything is saved, if it would take more than
        `hours_at_most`. Under torchrun each process computes its part of each batch, and only the
        first one writes (`lib.parallel.ranks`). If another process trains in the same folder, this
        one waits.
        """
        lock = held(self.folder / ".training.lock", math.inf, remove=True)
        with lock if self.ranks.is_first else contextlib.nullcontext():
            return self._fit()

    def _fit(self) -> pd.DataFrame:
        if self.ranks.is_first:
            for leftover in (self.folder / "checkpoints").glob(".*.part"):  # of a killed training
                leftover.unlink(missing_ok=True)
        self.resume()
        if self.state.history:
            self._write_history()  # a kill may have come after the checkpoint, before this file
        self.duration = Duration(self.params)
        self.loader = self._new_loader()
        with Interrupts() as interrupts, self.ranks.joined(self.device), closing(self.loader):
            while (
                self.state.epoch < self.params.epochs and not self._is_stale() and self._goes_on()
            ):
                self._train_epoch(interrupts)
                self._close_epoch()
                if self.ranks.any(interrupts.asked, self.device):  # during validation or a report
                    raise KeyboardInterrupt(
                        f"stopped after epoch {self.state.epoch} of {self.params.epochs}; "
                        "start again to go on from there"
                    )
        return pd.DataFrame(self.state.history)

    def _new_loader(self) -> loader.Loader:
        count = loader.workers(self.params.workers, self.device, self.ranks.here)
        return loader.Loader(self.recipe, count, pinned=self.device.type == "cuda")

    def resume(self) -> None:
        """Resume from the last checkpoint, if any. Raises InputError for one of another
        experiment.
        """
        path = self.folder / "checkpoints" / "last.pt"
        if not path.is_file():
            return
        saved = checkpoints.load(path)
        resuming.refuse_another(saved, self.params, self._trained_on, self.folder)
        self.state = State(**copy.deepcopy(saved["state"]))
        self._fill(saved, path)
        if self.average is not None:
            self.average.updates = saved["updates"]
        if self.state.released:
            self._let_go()
        # The optimiser keeps the tensors it is given, and the checkpoint may be cached.
        self.optimizer.load_state_dict(copy.deepcopy(saved["optimizer"]))
        self.scaler.load_state_dict(saved["scaler"])

    @property
    def _trained_on(self) -> list[str]:
        return [str(trial) for trial in self.train_trials["trial"]]

    def _fill(self, saved: Mapping, path: Path) -> None:
        """Load the weights of a checkpoint; with `ema` also their average."""
        if self.average is None:
            checkpoints.fill(self.model, saved, path)
            return
        checkpoints.fill(self.average.model, saved, path)
        checkpoints.fill(self.model, {"model": saved["raw"]}, path)

    def _goes_on(self) -> bool:
        """At the start of an epoch: release groups that are due; returns whether training
        continues.
        """
        if self.course is None or self.state.batch:  # resumed inside an epoch: decided already
            return True
        while (verdict := release.decide(self.course, self.params.lr, self.state)) == "release":
            self.state.released += 1
            self.state.released_at, self.state.plateau = self.state.epoch, 0
            self._reload_best()
            self._let_go()
        return verdict == "go"

    def _let_go(self) -> None:
        self.recipe.release(self.model, self.state.released)
        if self.average is not None:
            self.recipe.release(self.average.model, self.state.released)
        self._new_optimizer()

    def _reload_best(self) -> None:
        path = self.folder / "checkpoints" / "best.pt"
        if self.state.best_epoch >= 0 and path.is_file():
            self._fill(checkpoints.load(path), path)

    def _is_stale(self) -> bool:
        waited = self.state.epoch - 1 - self.state.best_epoch
        if self.course is not None:
            waited = release.waited(self.course, self.state, for_stop=True)
        return (
            bool(self.params.patience) and self.state.epoch > 0 and waited >= self.params.patience
        )

    def _train_epoch(self, interrupts: Interrupts) -> None:
        state, epoch = self.state, self.state.epoch
        self.ranks.from_first(self._prepare)
        windows = self.recipe.windows(self.train_trials, epoch)
        if windows.empty:
            raise InputError(
                "no training window: no train trial has labels",
                where=self.recipe.store.folder,
                todo="look at the report of 04_preprocess_labels",
            )
        rows = self.recipe.batches(windows, epoch)
        batches = loader.Batches(self.recipe, windows, rows, epoch)
        started = time.perf_counter()
        self.model.train()
        for batch in self.loader.batches(batches, state.batch):
            try:
                self._step(batch, self._rate_factor(len(batches)))
            except torch.OutOfMemoryError as error:
                raise self._too_large(error) from error
            state.batch += 1
            self._refuse_too_long(len(batches))
            for report in self.on_step if self.ranks.is_first else ():
                report(epoch + 1, state.batch, len(batches))
            if self.ranks.any(interrupts.asked, self.device):
                state.sums["seconds"] = (
                    state.sums.get("seconds", 0.0) + time.perf_counter() - started
                )
                self.save("last")
                raise KeyboardInterrupt(
                    f"stopped in epoch {epoch + 1} after batch {state.batch} of {len(batches)}; "
                    "start again to go on from there"
                )
        state.sums["seconds"] = state.sums.get("seconds", 0.0) + time.perf_counter() - started
        state.sums["batches"] = len(batches)

    def _refuse_too_long(self, n_batches: int) -> None:
        """Raise InputError after the first steps if the training would take too long."""
        later = (self.params.epochs - self.state.epoch - 1) * n_batches
        too_long = self.duration.step(n_batches - self.state.batch, later)
        if self.ranks.any(too_long, self.device):
            raise self.duration.refusal()

    def _too_large(self, error: torch.OutOfMemoryError) -> InputError:
        input_error = full_gpu(str(error))
        input_error.where = f"a batch of {self.params.batch_size}, {self.folder}"
        input_error.todo = (
            "compute a batch in parts (option accumulate), keep less of it (option recompute of "
            "tsav), or lower batch_size; docs/gpu.md says what fits; the last checkpoint is whole"
        )
        return input_error

    def _prepare(self) -> None:
        trials = pd.concat([self.train_trials, self.val_trials], ignore_index=True)
        self.recipe.prepare(trials, Progress(f"prepared for epoch {self.state.epoch + 1}"))

    def _rate_factor(self, n_batches: int) -> float:
        """Factor on the learning rate of the batch in hand, one of `n_batches` of an epoch."""
        epochs, (epoch, batch) = self.params.epochs, (self.state.epoch, self.state.batch)
        progress = (epoch + batch / n_batches) / epochs
        factor = schedules.schedule(self.params.schedule, progress, self.warmup / epochs)
        return factor * schedules.warm(epoch + (batch + 1) / n_batches, self.warmup)

    def _step(self, batch: Mapping[str, torch.Tensor], factor: float) -> None:
        if self.course is None:
            rate = self.params.lr * PLATEAU_FACTOR**self.state.plateau
        else:
            rate = release.rate(self.course, self.params.lr, self.state)
        rate *= factor * self.recipe.rate_factor(self.state.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_factor", 1.0)
        # Dropout must be the same whether or not the training was resumed before this batch.
        numbers = [
            self.params.seed,
            self.state.epoch,
            self.state.batch,
            *([self.ranks.rank] * (self.ranks.rank > 0)),
        ]
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
        batch = {name: masks.to_device(tensor, self.device) for name, tensor in batch.items()}
        self.optimizer.zero_grad(set_to_none=True)
        parts: dict[str, torch.Tensor] = {}
        for share, piece in self.recipe.pieces(batch):
            for name, value in self._backward(share, piece).items():
                parts[name] = parts.get(name, 0.0) + share * value
        # All loss values are fetched at once, after the gradients, so that the processor waits for
        # the GPU only once.
        losses = dict(zip(parts, torch.stack(list(parts.values())).tolist(), strict=True))
        self._require_finite(losses["total"])
        self.ranks.add_gradients(self.model)
        self.scaler.unscale_(self.optimizer)
        if self.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model)
        for name, value in losses.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + value

    def _backward(self, share: float, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Add the gradient of `share` of a batch's loss; returns its parts, float64 scalars."""
        number = next(len(tensor) for tensor in batch.values() if tensor.ndim)
        with torch.autocast(**self.autocast):
            try:
                outputs = self.forward(self.ranks.part(batch, number))
            except ValueError as error:
                raise self._too_few(number) or error from error
        outputs = self.ranks.whole(outputs, number)
        parts = self.recipe.loss(outputs, batch)
        self.scaler.scale(parts["total"] * share).backward()
        return {name: value.detach().double() for name, value in parts.items()}

    def _too_few(self, number: int) -> InputError | None:
        """What to say of a batch of one window, which batch normalisation refuses."""
        if number > 1 or not any(
            isinstance(module, BatchNorm1d) for module in self.model.modules()
        ):
            return None
        return InputError(
            "a batch of one training window: this network's batch normalisation compares windows",
            where=f"epoch {self.state.epoch + 1}, batch {self.state.batch + 1}",
            expected="two windows in each batch, and in each part of it (option accumulate)",
            todo="set another batch_size, of which no single window is left over, or more trials",
        )

    def _require_finite(self, loss: float) -> None:
        """Raise InputError before weights are changed by a loss that is no number."""
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is {loss} in epoch {self.state.epoch + 1}, batch {self.state.batch + 1}",
                where=self.folder,
                todo="lower lr; the last checkpoint is whole",
            )

    def _close_epoch(self) -> None:
        state = self.state
        n_batches, seconds = state.sums.pop("batches"), state.sums.pop("seconds")
        row = {
            "epoch": state.epoch + 1,
            "loss": state.sums.pop("total") / n_batches,
            **{f"loss_{name}": value / n_batches for name, value in state.sums.items()},
            "lr": self.optimizer.param_groups[0]["lr"],
            "batches": n_batches,
            "seconds": round(seconds, 2),
        }
        row |= {} if self.course is None else {"released": state.released}
        if self.recipe.validates and not self.val_trials.empty:
            row |= self.ranks.from_first(self._validate)
        score = row.get("score", -row["loss"]) if self.recipe.validates else state.epoch
        state.history.append(row)
        if score > state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
        waited = state.epoch - state.best_epoch
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        if self.course is None:
            state.plateau += int(
                self.params.schedule == "plateau" and waited > 0 and waited % PLATEAU_PATIENCE == 0
            )
        elif release.lower(self.course, state):
            state.plateau, state.lowered_at = state.plateau + 1, state.epoch - 1
        if state.best_epoch == state.epoch - 1:
            self.save("best")
        elif self.course is not None and self.course.reload_best:
            self._reload_best()
        self.save("last")
        history = self._write_history()
        self.ranks.wait()  # so that all ranks can read the checkpoint that was just written
        for report in self.on_epoch:
            report(history)

    def _write_history(self) -> pd.DataFrame:
        """Write history.csv, a row per epoch, and return it."""
        history = pd.DataFrame(self.state.history)
        if self.ranks.is_first:
            write_text(self.folder / "history.csv", history.to_csv(index=False))
        return history

    def _validate(self) -> dict:
        """Scores on every `val_every`-th window: enough to choose; notebook 06 scores all."""
        labels, predictions, every = {}, {}, {}
        model = self.model if self.average is None else self.average.model
        for trial in self.val_trials["trial"]:
            windows = self.recipe.windows(select(self.val_trials, [trial]))[
                :: self.params.val_every
            ]
            outputs = forward.predict(model, self.recipe, windows, self.device)
            rows = self.recipe.assemble(windows, outputs, self.recipe.n_frames(trial))
            every[trial] = rows
            for task in self.recipe.tasks:
                values = rows[task]
                predictions.setdefault(task, {})[trial] = values
                labels.setdefault(task, {})[trial] = hide(
                    self.recipe.labels(trial, task), np.isnan(values)
                )
        self.recipe.calibrate(every)
        # an epoch is chosen without intervals
        scores = self.recipe.metrics(labels, predictions, with_intervals=False)
        row = {f"val_ccc_{name}": entry.get("ccc") for name, entry in scores.items()}
        row["score"] = self.recipe.main_score(scores)
        # Without a labelled val frame there is no score: the loss chooses then, as without val
        # trials. Python's own numbers: a checkpoint with NumPy's does not load with
        # weights_only=True.
        return {name: float(value) for name, value in row.items() if value is not None}

    def save(self, name: str) -> Path:
        """Write ``checkpoints/<name>.pt``, which holds tensors, numbers and text only."""
        path = self.folder / "checkpoints" / f"{name}.pt"
        if not self.ranks.is_first:
            return path
        self._require_weights()
        content = {
            **self._weights(name),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "state": vars(self.state) | {"sums": dict(self.state.sums)},
            "params": checkpoints.plain(self.params),
            "statistics": self.recipe.statistics,
            "code": code_digest.method(),
            "trained_on": self._trained_on,
            "terms": self.recipe.terms,
            "epoch": self.state.best_epoch + 1 if name == "best" else self.state.epoch,
        }
        return checkpoints.write(content, path)

    def _require_weights(self) -> None:
        """Raise InputError before a checkpoint is replaced by one whose weights are no numbers: a
        gradient may overflow where the loss did not.
        """
        if lost := checkpoints.without_numbers(dict(self.model.named_parameters())):
            raise InputError(
                f"{len(lost)} weights of the network are no numbers in epoch "
                f"{max(self.state.epoch, 1)}, first: {lost[0]}",
                where=self.folder,
                todo="lower lr, or set grad_clip; the last checkpoint is whole",
            )

    def _weights(self, name: str) -> dict:
        """The weights for prediction ("model"), and with `ema` those with which training
        continues.
        """
        if self.average is None:
            return {"model": self.model.state_dict()}
        averaged = {"model": self.average.model.state_dict(), "updates": self.average.updates}
        goes_on = name == "last" or self.course is not None  # which may go on from the best one
        return averaged | ({"raw": self.model.state_dict()} if goes_on else {})


def require_variety(recipe, trials: pd.DataFrame) -> None:
    """Raise InputError if all labels of these trials have one value: no CCC can be learnt."""
    if "va" not in recipe.tasks:
        return
    labels = np.concatenate([np.asarray(recipe.labels(trial, "va")) for trial in trials["trial"]])
    for emotion, values in zip(EMOTIONS, labels.T, strict=True):
        known = values[np.isfinite(values)]
        if len(known) > 1 and known.min() == known.max():
            raise InputError(
                f"all labels of {emotion} are {known[0]:g}, in {len(known)} frames",
                where="the train trials",
                expected="labels that differ",
                todo="look at 04_preprocess_labels, or train on other trials",
            )


def _apart(recipe, trials: pd.DataFrame) -> list[str]:
    """Raise InputError for a trial in both splits. Returns remarks on what is doubtful (people in
    both splits).
    """
    train = trials[trials["split"] == "train"]
    by_subject = (
        recipe.params.get("fold", -1) >= 0
        and recipe.params.get("fold_rule", "subject") == "subject"
    )
    return folds.require_apart(
        train, trials[trials["split"] != "train"], recipe.learnt_from(), by_subject
    )


def hide(labels: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """A copy of labels (T, …) without those that `missing`, (T,) or (T, k) bool, marks.

    If `missing` has the labels' shape, hide element by element; otherwise hide every frame with any
    True.
    """
    labels = np.array(labels)
    rows = missing
    if missing.shape != labels.shape:
        rows = missing.any(axis=tuple(range(1, missing.ndim)))
    labels[rows] = np.nan if labels.dtype.kind == "f" else -1
    return labels
