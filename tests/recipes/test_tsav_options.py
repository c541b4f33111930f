"""TSAV's options that are off: guessed labels, weights to begin with; and pictures that are decoded
once.
"""

import numpy as np
import pytest
import torch

from lib import trials
from lib.errors import InputError
from lib.evaluation import checkpoint
from lib.faces import faces
from lib.models import checkpoints, forward, published
from lib.training import trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def recipe(tiny, **options):
    return tiny_set.create("tsav", tiny, options=options)


def frames_of(method, trial, lacking, known):
    """Frames with the one label and without the other."""
    va, expression = (np.asarray(method.labels(trial, task)) for task in ("va", "expression"))
    has = {"va": np.isfinite(va).all(axis=1), "expression": expression >= 0}
    return np.flatnonzero(has[known] & ~has[lacking])


def test_missing_labels_are_guessed_in_training_only_and_only_when_asked_for(tiny):
    method, plain = recipe(tiny, pseudo=True), recipe(tiny)
    windows = method.windows(tiny_set.table(tiny), None)
    method.statistics = method.fit(windows)
    rows = {
        window.first_target: window
        for window in windows.itertuples(index=False)
        if window.trial == "171"
    }
    lacks_va, lacks_expression = (
        frames_of(method, "171", *pair)[0] for pair in (("va", "expression"), ("expression", "va"))
    )
    generator = np.random.default_rng(0)
    assert np.isfinite(method.example(rows[lacks_va], generator)["va"]).all()
    assert method.example(rows[lacks_expression], generator)["shares"].sum() == pytest.approx(1)
    assert np.isnan(method.example(rows[lacks_va])["va"]).all(), "not in prediction"
    assert np.isnan(plain.example(rows[lacks_va], generator)["va"]).all(), "not unless asked for"


def test_a_training_with_guessed_labels_runs_and_its_checkpoint_loads(tiny, tmp_path):
    method = tiny_set.create(
        "tsav", tiny, epochs=1, val_every=50, options={"pseudo": True, "frame_step": 10}
    )
    trainer.Trainer(method, tiny_set.table(tiny), tmp_path).fit()
    saved = checkpoints.load(tmp_path / "checkpoints" / "last.pt")
    assert len(saved["statistics"]["pseudo"]["va"]) == 7


@pytest.mark.parametrize("tasks", [[], ["va", "va"]])
def test_no_task_and_one_that_is_there_twice_are_refused(tiny, tasks):
    with pytest.raises(InputError, match=r"tasks: (none|va, va)"):
        recipe(tiny, tasks=tasks).arrays()


def test_guessing_needs_both_kinds_of_labels(tiny):
    method = recipe(tiny, pseudo=True, tasks=["va"])
    with pytest.raises(InputError, match="pseudo: true with tasks va"):
        method.fit(method.windows(tiny_set.table(tiny), 0))


def test_pretrained_weights_are_fetched_once_in_training_and_never_in_prediction(
    tiny, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(published, "pretrained", lambda *given: asked.append(given))
    trainer.Trainer(recipe(tiny), tiny_set.table(tiny), tmp_path)
    assert not asked
    method = tiny_set.create(
        "tsav", tiny, epochs=1, val_every=50, options={"initial": "pretrained", "frame_step": 20}
    )
    trainer.Trainer(method, tiny_set.table(tiny), tmp_path).fit()
    assert len(asked) == 1
    checkpoint.load(tmp_path / "checkpoints" / "best.pt", method.params, tiny_set.store(tiny))
    assert len(asked) == 1


def test_prediction_reads_every_picture_of_a_trial_once(tiny, monkeypatch):
    method, asked, read = recipe(tiny), [], faces.Faces.read

    def counted(self, indices):
        asked.extend(index for index in indices if index >= 0)
        return read(self, indices)

    monkeypatch.setattr(faces.Faces, "read", counted)
    windows = method.windows(trials.select(tiny_set.table(tiny), ["seen"]))
    forward.predict(method.model(), method, windows, torch.device("cpu"))
    assert sorted(asked) == list(range(50))
