"""Arrays of all trials on a pretended GPU: who makes what, and where."""

from functools import partial

import pytest

from lib import arrays, store
from lib.experiments import preparing
from lib.parallel import gpus, mapping
from lib.parameters import Params
from lib.store import request
from tests import fake_cuda
from tests.in_workers import pid_and_variable

SPEECH = request("vggish", weights="random", width=0.0625, seed=0)
P = Params({"device": "cuda", "workers": 1, "parallel": "processes"})


@pytest.fixture
def calls(monkeypatch):
    """(function, workers, environments) of each call of `mapping.map`."""
    noted, real = [], mapping.map

    def watched(work, items, workers=1, *given, environments=(), **more):
        noted.append((work.func.__name__, workers, environments))
        return real(work, items, 1, *given, **more)

    monkeypatch.setattr(mapping, "map", watched)
    return noted


def test_on_a_gpu_workers_read_and_one_process_a_gpu_computes(opened, calls):
    rows = opened.table.to_dict("records")[:2]
    with fake_cuda.on(gpus=2):
        outcomes = preparing.make(
            rows, [request("time"), SPEECH], opened.store, P, [request("loudness")]
        )
    assert [call[:2] for call in calls] == [("make_before_networks", 1), ("make_by_networks", 2)]
    assert calls[1][2] == [{gpus.VISIBLE: "0"}, {gpus.VISIBLE: "1"}]
    assert all(outcome.ok for outcome in outcomes)
    made = {row["array"].split("(")[0]: row for row in outcomes[0].value}
    assert set(made) == {"time", "loudness", "vggish"}
    assert "computed on cuda (pretended GPU), float32" in made["vggish"]["note"]


def test_on_a_cpu_everything_is_made_together_and_keeps_its_name(opened, calls):
    rows = opened.table.to_dict("records")[:1]
    arrays.make(rows[0], SPEECH, opened.store)
    path = arrays.locate(rows[0], SPEECH, opened.store).path
    assert "computed_on" not in store.facts(path)
    p = Params({**P, "device": "cpu"})
    with fake_cuda.on():
        (outcome,) = preparing.make(rows, [SPEECH], opened.store, p)
        assert not fake_cuda.BEGUN, "device: cpu never begins CUDA"
    assert [call[0] for call in calls] == ["make_all"]
    assert outcome.value[0]["state"] == "there"


def test_one_process_per_gpu_predicts_and_on_one_gpu_or_none_this_process_does(calls):
    work = partial(pid_and_variable, gpus.VISIBLE)
    for device, count in (("cuda", 2), ("cuda", 1), ("cpu", 2)):
        with fake_cuda.on(gpus=count):
            assert all(outcome.ok for outcome in preparing.predict(work, ["1", "2"], device))
    alone = ("pid_and_variable", 1, [])
    both = [{gpus.VISIBLE: "0"}, {gpus.VISIBLE: "1"}]
    assert calls == [("pid_and_variable", 2, both), alone, alone]


def test_a_choice_of_gpus_made_before_us_stays():
    assert gpus.names(2, {}) == ["0", "1"]
    assert gpus.names(2, {gpus.VISIBLE: "3, 5"}) == ["3", "5"]
    assert gpus.environments(1, {gpus.VISIBLE: "MIG-8d1f"}) == [{gpus.VISIBLE: "MIG-8d1f"}]


def test_each_process_sees_one_gpu(monkeypatch):
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    work = partial(pid_and_variable, gpus.VISIBLE)
    outcomes = mapping.map(work, range(4), 2, environments=gpus.environments(2))
    assert {outcome.value[1] for outcome in outcomes} == {"0", "1"}
    assert len({outcome.value for outcome in outcomes}) == 2, "a process keeps its GPU"


def test_what_is_made_before_the_networks_are_their_inputs(opened):
    trial = opened.trial("1")
    rows = arrays.make_before_networks(trial, [SPEECH], opened.store)
    assert rows == []
    heard = arrays.maker_of(SPEECH).sources(trial, SPEECH)
    assert all(
        arrays.locate(trial, source, opened.store).exists
        for source in heard.values()
        if isinstance(source, store.Request)
    )
    rest = partial(arrays.make_by_networks, store=opened.store, device="cpu")
    assert [row["state"] for row in rest(trial, [SPEECH])] == ["made"]
