"""The moving average of the weights: by a loop, in a training, after a stop, in a prediction."""

import copy
import os
import signal

import pytest
import torch
from torch import nn

from lib.evaluation import checkpoint
from lib.models import checkpoints, forward
from lib.training.averaging import Average
from lib.training.trainer import Trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401
from tests.tiny_set import written as state

ALL_ON = {"ema": 0.9, "layer_decay": 0.8, "warmup": 0.5, "ccc_weight": 2.0}
RUNS = {
    "jca": {"schedule": "cosine", "batch_size": 4, "va_loss": "mse_ccc", "options": ALL_ON},
    "tsav": {"epochs": 1, "schedule": "plateau", "options": {**ALL_ON, "accumulate": 2}},
    "lfan": {
        "schedule": "plateau",
        "batch_size": 4,
        "options": {**ALL_ON, "warmup": 2, "milestones": [1], "reload_best": True},
    },
}


STOPS = {"jca": (2, 3), "tsav": (3,), "lfan": (2,)}  # steps of each piece; LFAN's is released then


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def trainer(root, folder, name, **changes):
    folder.mkdir(exist_ok=True)
    method = tiny_set.create(name, root, **{"epochs": 2, **RUNS[name], **changes})
    return Trainer(method, tiny_set.table(root), folder)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# ---- by hand


def test_the_average_is_what_a_loop_by_hand_gives():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = Average(net, 0.5)
    expected = {name: each.clone().double() for name, each in net.state_dict().items()}
    for number in range(12):
        with torch.no_grad():
            for weight in net.parameters():
                weight.add_(torch.randn_like(weight))
        net(torch.randn(4, 2))  # moves the statistics of the batch norm
        decay = min(0.5, (1 + number) / (10 + number))
        for name, value in net.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
        average.update(net)
    found = average.model.state_dict()
    assert found.pop("1.num_batches_tracked") == 12, "a counter is counted, not averaged"
    for name, value in found.items():
        assert value.double() == pytest.approx(expected[name], abs=1e-6)
    assert not average.model.training
    assert average.updates == 12


def test_what_does_not_change_stays_to_the_bit_and_a_weight_that_is_shared_counts_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
            self.b.weight = self.a.weight

    net = Tied()
    average, before = Average(net, 0.99), copy.deepcopy(net.state_dict())
    for _ in range(30):
        average.update(net)
    assert equal(average.model.state_dict(), before)
    with torch.no_grad():
        net.a.weight.add_(1.0)
    average.updates = 10_000
    average.update(net)
    moved = average.model.a.weight - before["a.weight"]
    assert moved.numpy() == pytest.approx(0.01, abs=1e-5)


# ---- in a training


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """Folder of an uninterrupted training with everything on, by the recipe's name."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            trainer(tiny, made[name], name).fit()
        return made[name]

    return get


@pytest.mark.parametrize("name", ["jca", "lfan", pytest.param("tsav", marks=pytest.mark.slow)])
def test_a_training_stopped_anywhere_goes_on_to_the_same_numbers_with_everything_on(
    tiny, tmp_path, whole, name
):
    for stop_after in STOPS[name]:
        one = trainer(tiny, tmp_path, name)
        step, done = one._step, []

        def counted(*given, step=step, done=done, limit=stop_after):
            step(*given)
            done.append(1)
            if len(done) == limit:
                os.kill(os.getpid(), signal.SIGINT)

        one._step = counted
        with pytest.raises(KeyboardInterrupt):
            one.fit()
    trainer(tiny, tmp_path, name).fit()
    for file in ("last", "best"):
        there, here = state(whole(name), file), state(tmp_path, file)
        assert there.keys() == here.keys()
        assert equal(there["model"], here["model"])
        assert there["updates"] == here["updates"] > 0
        assert equal(there.get("raw", {}), here.get("raw", {}))
    scores = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in state(f)["state"]["history"]]
        for f in (whole(name), tmp_path)
    ]
    assert scores[0] == scores[1]


def test_the_average_is_judged_kept_and_predicted_with_and_the_raw_weights_go_on(
    tiny, tmp_path, whole
):
    saved = state(whole("jca"))
    assert not equal(saved["model"], saved["raw"])
    assert "raw" not in state(whole("jca"), "best"), "nothing goes on from it"
    one = trainer(tiny, tmp_path, "jca")
    judged, predict = [], forward.predict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lib.training.trainer.forward.predict",
            lambda net, *more: [judged.append(net), predict(net, *more)][1],
        )
        one.fit()
    assert set(map(id, judged)) == {id(one.average.model)}
    assert any("moving average" in note for note in one.notes)
    path = tmp_path / "checkpoints" / "last.pt"
    predictor = checkpoint.load(path, one.params, one.recipe.store)
    assert equal(dict(predictor.model.state_dict()), dict(one.average.model.state_dict()))
    assert equal(state(tmp_path)["raw"], one.model.state_dict())


def test_without_an_average_a_checkpoint_is_as_before(tiny, tmp_path):
    one = trainer(tiny, tmp_path, "jca", options={"dropout": 0.1}, epochs=1)
    one.fit()
    assert one.average is None
    assert not {"raw", "updates"} & state(tmp_path).keys()


def test_a_checkpoint_from_before_these_options_goes_on_and_predicts(tiny, tmp_path):
    one = trainer(tiny, tmp_path, "jca", options={}, epochs=1)
    one.fit()
    for name in ("last", "best"):
        saved = state(tmp_path, name)
        for option in ALL_ON:
            del saved["params"]["options"][option]
        checkpoints.write(saved, tmp_path / "checkpoints" / f"{name}.pt")
    assert set(ALL_ON) & state(tmp_path)["params"]["options"].keys() == set()
    more = trainer(tiny, tmp_path, "jca", options={}, epochs=2)
    assert len(more.fit()) == 2
    path = tmp_path / "checkpoints" / "best.pt"
    assert checkpoint.load(path, more.params, more.recipe.store).predict("seen")["va"].shape
    with pytest.raises(Exception, match="other parameters: options"):
        trainer(tiny, tmp_path, "jca", options={"ema": 0.5}, epochs=2).fit()
