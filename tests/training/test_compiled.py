"""`compiled: true`: networks through torch.compile train and predict what they do without it."""

import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.evaluation import checkpoint
from lib.models import checkpoints
from lib.training import trainer as training_trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

HEADER = Path(sysconfig.get_paths()["include"]) / "Python.h"
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or not HEADER.is_file(),
    reason=f"torch.compile needs g++ and {HEADER} on a CPU: not here",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


@pytest.mark.slow  # a minute of g++
@needs_compiler
def test_a_compiled_network_learns_and_predicts_the_same(tiny, tmp_path):
    """Without dropout, which draws other numbers there; one batch an epoch, as each size is
    compiled anew.
    """
    losses, values = {}, {}
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        folder.mkdir()
        method = tiny_set.create(
            "jca_paper", tiny, epochs=1, batch_size=64, compiled=compiled, options={"dropout": 0.0}
        )
        trainer = training_trainer.Trainer(method, tiny_set.table(tiny), folder)
        assert isinstance(trainer.forward, torch._dynamo.eval_frame.OptimizedModule) is compiled
        losses[compiled] = trainer.fit()["loss"].iloc[0]
        found = checkpoint.load(
            folder / "checkpoints" / "last.pt", method.params, tiny_set.store(tiny)
        )
        values[compiled] = found.predict("seen")["va"]
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)
    assert np.isfinite(values[True]).all()
    np.testing.assert_allclose(
        values[True], values[False], atol=5e-3
    )  # Adam turns rounding into steps


def test_a_checkpoint_of_a_compiled_training_goes_on_without(tiny, tmp_path):
    """Names of weights stay: a checkpoint does not know how its network was run."""
    compiled, plain = (
        tiny_set.create("jca", tiny, epochs=1, compiled=compiled) for compiled in (True, False)
    )
    path = training_trainer.Trainer(compiled, tiny_set.table(tiny), tmp_path).save("last")
    model = plain.model()
    model.load_state_dict(checkpoints.load(path)["model"])  # strict: every key and no other
