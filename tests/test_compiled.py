"""`compiled: true`: networks through torch.compile train and predict what they do without it."""

import shutil

import numpy as np
import pytest
import torch

from lib import inference, training
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler: no g++ here")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize(("name", "options"), [
    ("jca_paper", {}),
    pytest.param("jca", {}, marks=pytest.mark.slow),
    pytest.param("tsav", {"frame_step": 12, "augment": False}, marks=pytest.mark.slow)])
def test_a_compiled_network_learns_and_predicts_the_same(tiny, tmp_path, name, options):
    losses, values = {}, {}
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        folder.mkdir()
        method = tiny_set.create(name, tiny, epochs=1, compiled=compiled, options=options)
        trainer = training.Trainer(method, tiny_set.table(tiny), folder)
        assert isinstance(trainer.forward, torch._dynamo.eval_frame.OptimizedModule) is compiled
        losses[compiled] = trainer.fit()["loss"].iloc[0]
        found = inference.load(folder / "checkpoints" / "last.pt", method.params, tiny_set.store(tiny))
        values[compiled] = found.predict("seen")["va"]
    assert losses[True] == pytest.approx(losses[False], rel=1e-3)
    assert np.isfinite(values[True]).all()
    np.testing.assert_allclose(values[True], values[False], atol=1e-3)


def test_a_compiled_training_writes_a_checkpoint_that_goes_on_uncompiled(tiny, tmp_path):
    """Names of weights stay: a checkpoint does not know how its network was run."""
    compiled, plain = (tiny_set.create("jca", tiny, epochs=1, compiled=compiled) for compiled in (True, False))
    path = training.Trainer(compiled, tiny_set.table(tiny), tmp_path).save("last")
    model = plain.model()
    model.load_state_dict(training.load_checkpoint(path)["model"])   # strict: every key and no other
