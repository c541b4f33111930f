"""Learning rates by hand: over the steps of a training, and over the layers of a network."""

import math

import pytest
import torch
from torch import nn

from lib import parameters
from lib.errors import InputError
from lib.training import schedules
from lib.training.trainer import Trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def rates(root, folder, name="jca", **changes):
    """The learning rate of the first group in each step of a training, and its trainer."""
    one = Trainer(tiny_set.create(name, root, **changes), tiny_set.table(root), folder)
    step, found = one._step, []

    def watched(*given):
        step(*given)
        found.append(one.optimizer.param_groups[0]["lr"])

    one._step = watched
    history = one.fit()
    return found, one, history


def test_cosine_falls_from_one_by_half_a_wave_to_zero_after_the_warm_up():
    found = [schedules.schedule("cosine", p) for p in (0, 0.25, 0.5, 0.75, 1)]
    root = math.sqrt(2)
    assert found == pytest.approx([1, (2 + root) / 4, 0.5, (2 - root) / 4, 0])
    risen = [schedules.schedule("cosine", p, rise=0.2) for p in (0, 0.1, 0.2, 0.4, 0.6, 1)]
    assert risen == pytest.approx([1, 1, 1, (2 + root) / 4, 0.5, 0])
    assert schedules.schedule("constant", 0.5, rise=0.2) == 1.0


def test_a_warm_up_rises_in_a_line_and_its_first_step_learns():
    assert [schedules.warm(k / 4, 1.5) for k in range(1, 8)] == pytest.approx(
        [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1]
    )
    assert schedules.warm(0.25, 0) == 1.0


def test_the_rates_of_a_training_with_warm_up_and_cosine_are_those_of_the_formula(tiny, tmp_path):
    found, one, _ = rates(
        tiny, tmp_path, epochs=3, schedule="cosine", batch_size=4, options={"warmup": 1.5}
    )
    counts = [row["batches"] for row in one.state.history]
    expected = []
    for epoch, count in enumerate(counts):
        for batch in range(count):
            rise = min(1, (epoch + (batch + 1) / count) / 1.5)
            fall = max((epoch + batch / count) / 3 - 0.5, 0) / 0.5
            expected.append(1e-3 * rise * (1 + math.cos(math.pi * fall)) / 2)
    assert found == pytest.approx(expected)
    assert found[0] == pytest.approx(1e-3 / (1.5 * counts[0]))


def test_a_warm_up_beside_a_constant_rate_ends_and_lfan_warms_up_by_its_own_course(tiny, tmp_path):
    found, one, _ = rates(tiny, tmp_path / "a", batch_size=4, options={"warmup": 1.0})
    first = one.state.history[0]["batches"]
    assert found[: first + 1] == pytest.approx(
        [*(1e-3 * (k + 1) / first for k in range(first)), 1e-3]
    )
    method = tiny_set.create("lfan", tiny, options={"warmup": 2})
    leader = Trainer(method, tiny_set.table(tiny), tmp_path / "b")
    assert leader.course.warmup == 2
    assert leader.warmup == 0, "not a second time"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "onecycle", "options": {"warmup": 1.0}}, "onecycle"),
        ({"epochs": 2, "options": {"warmup": 3.0}}, "warmup: 3 of 2 epochs"),
    ],
)
def test_a_second_rise_and_one_without_an_end_are_refused(tiny, tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        Trainer(tiny_set.create("jca", tiny, **changes), tiny_set.table(tiny), tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedule": "onecycle", "options": {"warmup": 1}}, "warmup: 1 with schedule: onecycle"),
        ({"epochs": 2, "options": {"warmup": 3.0}}, "warmup: 3 of 2 epochs"),
        ({"schedule": "cosine", "options": {"warmup": 1.0}}, ""),
        ({"schedule": "onecycle", "options": {"warmup": 0.0}}, ""),
        ({"schedule": "onecycle", "options": {"warmup": "soon"}}, "soon"),
        ({"recipe": "lfan", "schedule": "onecycle", "options": {"warmup": 1}}, ""),
    ],
)
def test_two_rises_are_refused_before_anything_is_prepared(given, said):
    problems = parameters.validate({"recipe": "jca", **given})
    assert len(problems) == bool(said), problems
    assert said in "".join(problems)


@pytest.mark.parametrize(("loss", "count"), [("ccc", 1), ("mse_ccc", 0)])
def test_a_weight_of_the_ccc_that_no_loss_takes_is_told(tiny, tmp_path, loss, count):
    method = tiny_set.create("jca", tiny, va_loss=loss, options={"ccc_weight": 0.9})
    notes = Trainer(method, tiny_set.table(tiny), tmp_path).notes
    assert len([note for note in notes if "ccc_weight 0.9 changes nothing" in note]) == count


def test_the_grammar_knows_the_options_of_all_recipes_and_their_ranges():
    for recipe in ("jca", "talknet", "utterance"):
        full = parameters.complete({"recipe": recipe})["options"]
        off = {"warmup": 0.0, "layer_decay": 1.0, "ema": 0.0, "ccc_weight": 0.5}
        assert {name: full[name] for name in off} == off
    wrong = parameters.validate({"recipe": "jca", "options": {"ema": 1.0, "layer_decay": 0.0}})
    assert len(wrong) == 2, wrong
    assert isinstance(parameters.complete({"recipe": "lfan"})["options"]["warmup"], int), "its own"


# ---- layers


class Three(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.middle, self.head = (nn.Linear(2, 2) for _ in range(3))


def test_rates_fall_from_the_head_downwards_by_hand():
    net = Three()
    groups = [
        {"params": [net.enter.weight, net.middle.weight, net.head.weight], "lr_factor": 2.0},
        {"params": [net.enter.bias, net.middle.bias, net.head.bias], "weight_decay": 0.0},
    ]
    found = schedules.by_layer(groups, net, 0.5)
    assert [group["lr_factor"] for group in found] == [2.0, 1.0, 0.5, 1.0, 0.5, 0.25]
    weights = [net.head.weight, net.middle.weight, net.enter.weight]
    biases = [net.head.bias, net.middle.bias, net.enter.bias]
    assert all(len(group["params"]) == 1 for group in found)
    assert [id(group["params"][0]) for group in found] == list(map(id, [*weights, *biases]))
    assert [group.get("weight_decay") for group in found] == [None] * 3 + [0.0] * 3
    assert schedules.by_layer(groups, net, 1.0) is groups


def test_a_layer_order_that_leaves_a_weight_out_is_named():
    net = Three()
    net.layer_order = ("enter", "head")
    with pytest.raises(InputError, match=r"middle\.weight") as told:
        schedules.by_layer([{"params": list(net.parameters())}], net, 0.5)
    assert "layer_order" in told.value.where


def test_a_training_has_the_rates_of_its_layers_and_says_them(tiny, tmp_path):
    options = {"layer_decay": 0.5}
    _, one, history = rates(tiny, tmp_path, epochs=1, options=options)
    assert [group["lr"] for group in one.optimizer.param_groups] == pytest.approx(
        [1e-3 * 0.5**k for k in range(5)]
    )
    of = {id(weight): name for name, weight in one.model.named_parameters()}
    tops = [{of[id(w)].split(".")[0] for w in g["params"]} for g in one.optimizer.param_groups]
    heads = {"vregressor", "aregressor"}
    assert tops == [heads, heads, {"Joint"}, {"coattn"}, {"video_attn"}]
    assert set(history["lr"]) == {1e-3}, "the history has the head's"
    assert (
        "layer_decay 0.5: learning rates from 0.001 at the head down to 6.25e-05" in one.notes[-1]
    )


def test_layers_that_are_released_later_have_the_rate_of_where_they_stand(tiny, tmp_path):
    options = {"layer_decay": 0.9, "milestones": [1], "releases": 1}
    _, one, _ = rates(tiny, tmp_path, "lfan", epochs=2, schedule="plateau", options=options)
    assert one.state.released == 1
    released = {id(w) for w in one.model.spatial.output_layer.parameters()}
    factors = {
        round(math.log(group["lr_factor"], 0.9))
        for group in one.optimizer.param_groups
        if released & {id(weight) for weight in group["params"]}
    }
    assert factors == {7}, "four layers over time, keys, queries and values, the head"
    assert all(w.requires_grad for g in one.optimizer.param_groups for w in g["params"])


def test_off_a_training_is_the_plain_loop_to_the_last_bit(tiny, tmp_path):
    """Written out by hand: AdamW, a constant rate, gradients clipped to 1."""
    from lib.training import loader

    method = tiny_set.create("jca", tiny, options={"dropout": 0.0})
    table = tiny_set.table(tiny)
    one = Trainer(method, table, tmp_path)
    net = tiny_set.create("jca", tiny, options={"dropout": 0.0})
    net.statistics = net.fit(net.windows(one.train_trials, 0))
    torch.manual_seed(13)
    model = net.model()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    model.train()
    for epoch in range(2):
        windows = net.windows(one.train_trials, epoch)
        batches = loader.Batches(net, windows, net.batches(windows, epoch), epoch)
        for number in range(len(batches)):
            batch = batches[number]
            optimizer.zero_grad()
            net.loss(model(batch), batch)["total"].backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    one.fit()
    found = one.model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in model.state_dict().items())
