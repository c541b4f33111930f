"""Every recipe and network in a tiny form, for tests on a pretended GPU: cases by name.

A case is a function of changed parameters; it gives (recipe, trial table, store).
"""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import torch

from lib import arrays, trials
from lib.evaluation import checkpoint
from lib.training.trainer import Trainer
from tests import tiny_clips, tiny_set, tiny_utterances
from tests.recipes import test_features, test_talknet, test_utterance

AVERAGED = {"warmup": 1, "layer_decay": 0.9, "ema": 0.9}  # what every recipe can have
LFAN_COURSE = {"milestones": [1], "plateau_patience": 1, "reload_best": True, "warmup": 2}
TALKNET_LIGHT = {"synchrony_loss": 0.3, "negatives": 0.3, "augment": "light"}
# The first steps of Adam turn a rounding of a gradient near zero into a step: it must be small.
FOUND_SCALE = 256.0  # of gradients in float16, with which no recipe overflows
SMALL_STEPS = {"epochs": 1, "lr": 1.0e-5, "val_every": 1000}


def make(root: Path) -> Path:
    """Write the sets that the cases learn from."""
    tiny_set.make(root / "tiny")
    speakers = root / "speakers"
    tiny_clips.make(speakers / "clips", test_talknet.VIDEOS)
    trials.write(test_talknet.table_of(25), test_talknet.store(speakers).trials_path)
    test_utterance.prepared(root / "voices", repetitions=(1,))  # enough for two batches
    tiny_utterances.make(root / "utterances")
    return root


def cases(root: Path) -> dict:
    """name -> function of changed parameters."""
    tiny, speakers = partial(_tiny, root / "tiny"), partial(_speakers, root / "speakers")
    own = partial(_own, root / "tiny")
    names = ("tsav", "lfan_backbone", "jca", "rjca", "dca", "jca_paper", "gated_fusion")
    return {name: partial(tiny, name) for name in names} | {
        "lfan": partial(tiny, "lfan", schedule="plateau", batch_size=2, options=LFAN_COURSE),
        "lfan_averaged": partial(tiny, "lfan", batch_size=2, options={**LFAN_COURSE, **AVERAGED}),
        "jca_averaged": partial(tiny, "jca", schedule="cosine", options=AVERAGED),
        "lfan_accumulate": partial(tiny, "lfan", batch_size=4, options={"accumulate": 2}),
        "lfan_v2": partial(
            tiny, "lfan", batch_size=4, options={"network": "lfan_v2", "accumulate": 2}
        ),
        "can": partial(tiny, "lfan", options={"network": "can"}),
        "features_gru": partial(own, "gru", ["mel_statistics", "pixels"]),
        "features_transformer": partial(own, "transformer", ["pixels"]),
        "features_recurrence": partial(own, "linear_recurrence", ["loudness", "pixels"]),
        "features_convolution": partial(own, "temporal_convolution", ["loudness"]),
        "features_jca": partial(own, "jca", ["mel_statistics", "pixels"]),
        "gated_fusion_relative": partial(
            tiny, "gated_fusion", options={"network": "relative_transformer"}
        ),
        "talknet": partial(speakers, "talknet"),
        "talknet_mrope": partial(speakers, "talknet_mrope", **TALKNET_LIGHT),
        "light_asd": partial(speakers, "light_asd"),
        "lr_asd": partial(speakers, "lr_asd"),
        "utterance": partial(_utterance, root / "voices"),
        "gated_utterance": partial(
            _utterance, root / "voices", options={"network": "gated_utterance"}
        ),
        "res_lstm_sa": partial(_utterance, root / "voices", options={"network": "res_lstm_sa"}),
        "utterance_streams": partial(_streams, root / "utterances"),
    }


def _tiny(root, recipe, **changes):
    method = tiny_set.create(recipe, root, **changes)
    return method, tiny_set.table(root), method.store


def _own(root, network, features, **changes):
    options = {"network": network, **changes.pop("options", {})}
    method = test_features.recipe(root, features, options=options, **changes)
    table, lost = test_features.prepared(root, method)
    assert not lost, lost
    return method, table, method.store


def _speakers(root, network, options=(), **changes):
    fixed = {name: changes.pop(name) for name in TALKNET_LIGHT if name in changes}
    method = test_talknet.create(root, {"network": network, **fixed, **dict(options)}, **changes)
    return method, test_talknet.table(root), method.store


def _utterance(root, **changes):
    method = test_utterance.recipe(root, **changes)
    return method, test_utterance.table(method), method.store


def _streams(root, **changes):
    options = {"class_weights": "balanced", **changes.pop("options", {})}
    method = tiny_utterances.recipe(root, ["face_api", "voice"], options=options, **changes)
    return method, tiny_utterances.table(root), method.store


def lfan_cached(root: Path, **changes):
    """02 has made the maps of the first epoch; the release in the second one needs others."""
    if not root.is_dir():
        tiny_set.make(root)
    options = {
        "cache": "always",
        "augment": False,
        "milestones": [0, 1],
        "releases": 2,
        **changes.pop("options", {}),
    }
    changes = {"schedule": "plateau", "batch_size": 4, **changes}
    method, table, store = _tiny(root, "lfan", options=options, **changes)
    for trial in table.to_dict("records"):
        arrays.make_all(trial, method.arrays(), store, "cpu")
    return method, table, store


def two_steps(method, table, folder):
    """A trainer whose epochs end after two batches."""
    trainer = Trainer(method, table, folder)
    if trainer.scaler.is_enabled():  # the scale is found by steps that overflow, and are skipped
        trainer.scaler = torch.amp.GradScaler(trainer.device.type, init_scale=FOUND_SCALE)
    method.batches = FirstTwo(method.batches)
    return trainer


class FirstTwo:
    """The first two of the batches of an epoch. (A lambda would not reach a loader's processes.)"""

    def __init__(self, batches):
        self.batches = batches

    def __call__(self, windows, epoch):
        return self.batches(windows, epoch)[:2]


class Interrupting:
    """A recipe's loss, beside which Ctrl-C is pressed."""

    def __init__(self, loss):
        self.loss = loss

    def __call__(self, *given):
        os.kill(os.getpid(), signal.SIGINT)
        return self.loss(*given)


def predicted(folder, method, table, store):
    trial = table[table["split"] == "val"]["trial"].iloc[0]
    predictor = checkpoint.load(folder / "checkpoints" / "best.pt", method.params, store)
    return predictor.predict(trial), predictor
