"""Sweeps: what is made first, what is tried again, what is not, stopping and starting again, and
the table.
"""

import json
import os
import signal
import threading
from contextlib import contextmanager

import pandas as pd
import pytest

from lib import parameters
from lib.errors import InputError
from lib.experiments.sweeps import plan, run
from lib.experiments.sweeps import table as sweeps_table
from lib.parallel import clusters, dask_workers, locks
from tests.experiments.sweeps import world as points
from tests.experiments.test_pipeline import World

GRID = ["lr=0.1,0.2", "sample_trials=6,7"]
NAMES = [
    "sample_tsav_lr0.1_sample_trials6",
    "sample_tsav_lr0.1_sample_trials7",
    "sample_tsav_lr0.2_sample_trials6",
    "sample_tsav_lr0.2_sample_trials7",
]


@pytest.fixture(scope="module")
def two_workers():
    with dask_workers.local(2) as found:
        yield found


class Swept(World):
    """The tiny notebooks of the runner's tests, and points that return at once."""

    def plan(self, *grid, name="sample_tsav", **overrides):
        texts = {key: str(value) for key, value in overrides.items()}
        return plan.plan(
            [self.library / f"{name}.yaml"], list(grid or GRID), texts, self.notebooks, self.library
        )

    def behave(self, **plans):
        self.runs.mkdir(exist_ok=True)
        (self.runs / "behave.json").write_text(
            json.dumps({NAMES[int(name[1:])]: one for name, one in plans.items()})
        )

    def sweep(self, planned=None, tell=None, work=points.quick, **changes):
        self.said.clear()
        spec = parameters.Params({**clusters.read("local"), **changes})
        return run.run(
            planned or self.plan(), spec, 0, tell or self.said.append, sweeps_table.write, work
        )

    def calls(self, name=None):
        names = [name] if name else NAMES
        found = [points.calls(self.runs, one) for one in names]
        return found[0] if name else found

    @property
    def table(self):
        return sweeps_table.read(self.runs / "sample_tsav_sweep").set_index("run")


@pytest.fixture
def world(tmp_path, monkeypatch, two_workers):
    @contextmanager
    def opened(spec, workers=0):
        yield two_workers, None

    monkeypatch.setattr(clusters, "opened", opened)
    two_workers.sync(_whole, two_workers)
    return Swept(tmp_path)


async def _whole(cluster):
    await cluster


# ---- planning


def test_each_point_has_a_run_folder_of_its_own_and_its_parameters(world):
    planned = world.plan()
    assert list(planned.experiments) == NAMES
    assert planned.folder == world.runs / "sample_tsav_sweep"
    assert [
        (one.values["lr"], one.values["sample_trials"]) for one in planned.experiments.values()
    ] == [(0.1, 6), (0.1, 7), (0.2, 6), (0.2, 7)]


def test_points_that_cannot_be_run_are_named_before_anything_starts(world):
    with pytest.raises(InputError) as caught:
        world.plan("backbone_run=nobody,sample_tsav", "epochs=2", name="sample_jca")
    assert "sample_jca_nobody_epochs2: backbone_run: no run" in str(caught.value)
    with pytest.raises(InputError, match="did you mean epochs"):
        world.plan("epoch=1,2")
    assert not world.runs.exists()


def test_missing_runs_that_points_build_on_are_made_once_and_first(world):
    planned = world.plan("lr=0.1,0.2", name="sample_jca")
    assert planned.bases == ["sample_tsav"]
    found = {
        task.name: task
        for task in plan.tasks(planned, list(planned.experiments), lambda name, stop: {})
    }
    assert list(found) == [
        "sample_tsav.prepare",
        "sample_tsav",
        "sample_jca_lr0.1",
        "sample_jca_lr0.2",
    ]
    assert found["sample_tsav"].needs == ("sample_tsav.prepare",)
    assert found["sample_jca_lr0.2"].needs == ("sample_tsav", "sample_tsav.prepare"), (
        "both have the same 01 and 04"
    )


def test_equal_preparation_is_one_task_and_unequal_ones_follow_each_other(world):
    planned = world.plan()
    found = {
        task.name: task for task in plan.tasks(planned, NAMES, lambda name, stop: {"stop": stop})
    }
    prepared = [task for task in found.values() if task.name.endswith(".prepare")]
    assert [(task.name, task.payload["stop"], task.after) for task in prepared] == [
        (f"{NAMES[0]}.prepare", "04", ()),
        (f"{NAMES[1]}.prepare", "04", (f"{NAMES[0]}.prepare",)),
    ]
    assert found[NAMES[2]].needs == (f"{NAMES[0]}.prepare",)
    assert found[NAMES[3]].needs == (f"{NAMES[1]}.prepare",)


def test_where_no_notebook_prepares_nothing_is_prepared(world):
    """``notebooks: ["05"]``: the arrays are there, and a sweep tries values of the training."""
    planned = world.plan("lr=0.1,0.2")
    for experiment in planned.experiments.values():
        experiment.values["notebooks"] = ["05"]
    names = list(planned.experiments)
    found = plan.tasks(planned, names, lambda name, stop: {"stop": stop})
    assert [(task.name, task.needs) for task in found] == [(name, ()) for name in names]
    assert {task.payload["stop"] for task in found} == {""}


def test_preparations_that_differ_in_the_run_below_only_do_not_wait_for_each_other(world):
    world.notebook("04_preprocess_labels", *_with_backbone(world))
    for name in ("one", "two", "three"):
        world.file(name, "recipe: tsav\n")
    planned = world.plan("backbone_run=one,two,three")
    found = {
        task.name: task
        for task in plan.tasks(
            planned, [name for name in planned.experiments if "_" in name], lambda name, stop: {}
        )
    }
    first = "sample_tsav_one.prepare"
    assert [found[f"sample_tsav_{name}.prepare"].after for name in ("one", "two", "three")] == [
        (),
        (first,),
        (first,),
    ]


def _with_backbone(world):
    from tests.experiments.test_pipeline import CHECK, SHARED

    cell = (
        SHARED.replace('"runs"', json.dumps(str(world.runs)))
        + 'backbone_run: str = ""  # model: run to build on\n'
    )
    return cell, CHECK.format(folder=world.notebooks, step="04_preprocess_labels")


# ---- running


def test_all_points_are_run_once_and_a_second_start_runs_nothing(world):
    assert world.sweep() == 0
    assert world.calls() == [1, 1, 1, 1]
    assert [world.calls(f"{name}.prepare") for name in NAMES] == [1, 1, 0, 0]
    first = world.table
    assert list(first["state"]) == ["finished"] * 4
    assert world.sweep() == 0
    assert world.calls() == [1, 1, 1, 1]
    assert world.table.drop(columns="why").equals(first.drop(columns="why"))


def test_a_point_whose_parameters_changed_is_run_again(world):
    world.sweep()
    assert world.sweep(world.plan(epochs=5)) == 0
    assert world.calls() == [2, 2, 2, 2]


def test_a_point_whose_scores_were_removed_is_run_again(world):
    """A damaged metrics.json is to be removed, as messages say."""
    world.sweep()
    (world.runs / NAMES[1] / "metrics.json").unlink()
    assert world.sweep() == 0
    assert world.calls() == [1, 2, 1, 1]


def test_a_point_that_dies_is_tried_again_and_one_that_fails_by_its_own_error_is_not(world):
    world.behave(_0=["die", "finish"], _1=["fail"], _2=["kill the worker", "finish"])
    assert world.sweep() == 1
    assert world.calls() == [2, 1, 2, 1]
    table = world.table
    assert list(table["state"]) == ["finished", "failed", "finished", "finished"]
    assert list(table["tries"]) == [1, 0, 1, 0]
    assert table["why"].iloc[1] == "fail"
    world.behave(_1=["fail", "finish"])
    assert world.sweep() == 0, "typed again, what failed is tried again"
    assert world.calls() == [2, 2, 2, 1]


def test_a_point_that_always_dies_is_given_up_after_its_tries_and_the_others_finish(world):
    world.behave(_3=["die"] * 9)
    assert world.sweep(tries=2) == 1
    assert world.calls() == [1, 1, 1, 2]
    assert world.table["state"].iloc[3] == "gave up"
    assert "2 tries: die" in world.table["why"].iloc[3]


def test_lost_trials_count_as_finished_and_give_status_3(world):
    world.behave(_0=["lose"])
    assert world.sweep() == 3
    assert world.calls() == [1, 1, 1, 1]
    assert world.sweep() == 3, "it is not run again, but it is told again"
    assert world.calls() == [1, 1, 1, 1]


def test_what_is_to_be_continued_goes_on_as_long_as_it_comes_forward(world):
    world.behave(_0=["step forward"] * 6 + ["finish"], _1=["no progress"] * 9)
    assert world.sweep(tries=3) == 1
    assert world.calls() == [7, 3, 1, 1]
    assert list(world.table["state"]) == ["finished", "gave up", "finished", "finished"]


def test_a_mistake_on_the_worker_is_told_and_does_not_stop_the_others(world):
    world.behave(_0=["mistake"] * 9)
    assert world.sweep(tries=2) == 1
    assert "ZeroDivisionError on the worker: in the worker" in world.table["why"].iloc[0]
    assert list(world.table["state"])[1:] == ["finished"] * 3


def test_after_a_full_disk_another_worker_gets_the_point(world):
    world.behave(
        _0=["disk of worker 0"] * 3, _1=["disk of worker 0"] * 3, _2=["disk of worker 0"] * 3
    )
    assert world.sweep(tries=3) == 0
    for name in NAMES[:3]:
        slots = (world.runs / "calls" / name).read_text().split()
        assert slots in (["1"], ["0", "1"])


def test_what_needs_a_run_that_failed_is_not_started(world, tmp_path):
    planned = world.plan("lr=0.1,0.2", name="sample_jca")
    world.runs.mkdir(exist_ok=True)
    (world.runs / "behave.json").write_text(json.dumps({"sample_tsav": ["fail"]}))
    assert world.sweep(planned) == 1
    table = sweeps_table.read(planned.folder).set_index("run")
    assert list(table["state"]) == ["failed", "blocked", "blocked"]
    assert table["why"].iloc[1] == "needs sample_tsav"
    assert world.calls("sample_jca_lr0.1") == 0


# ---- stopping


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_stopped_in_the_middle_and_started_again_it_ends_with_the_same_table(world, number, status):
    world.behave(_1=["wait for stop", "finish"], _2=["wait for stop", "finish"])
    running = set()

    def tell(line):
        running.update(name for name in NAMES[1:3] if f"{name}: running" in line)
        if len(running) == 2 and len(told) == 0:
            told.append(line)
            os.kill(os.getpid(), number)

    told = []
    before = signal.getsignal(number)
    assert world.sweep(tell=tell) == status
    assert signal.getsignal(number) is before
    states = world.table["state"]
    assert states.iloc[1] == states.iloc[2] == "stopped"
    assert world.sweep() == 0
    stopped = world.table
    assert list(stopped["state"]) == ["finished"] * 4
    assert world.calls()[0] == 1, "what was finished is not run again"
    assert list(stopped["score"]) == [0.5, 0.52, 0.3, 0.32]


def test_two_sweeps_into_the_same_folder_are_refused(world):
    planned, inside, done = world.plan(), threading.Event(), threading.Event()

    def other():
        with locks.locked(planned.folder, 0):
            inside.set()
            done.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(InputError, match="another sweep works here") as caught:
        world.sweep(planned)
    done.set()
    thread.join()
    assert str(os.getpid()) in str(caught.value)
    assert world.calls() == [0, 0, 0, 0]
    assert world.sweep(planned) == 0


# ---- the table


def test_the_table_stands_in_csv_html_and_text_with_epoch_scores_and_host(world):
    world.behave(_1=["fail"])
    world.sweep()
    folder = world.runs / "sample_tsav_sweep"
    written = pd.read_csv(folder / "sweep.csv")
    assert list(written["lr"]) == [0.1, 0.1, 0.2, 0.2]
    first = written.iloc[0]
    assert (
        first["state"],
        first["epoch"],
        first["best"],
        first["score"],
        first["low"],
        first["high"],
        first["host"],
        first["seconds"],
    ) == ("finished", "3/3", 0.5, 0.5, 0.4, 0.6, "here", 1.0)
    assert pd.isna(written["score"].iloc[1])
    page = (folder / "sweep.html").read_text()
    assert "0.500 [0.400, 0.600]" in page
    assert "refresh" not in page, "it has ended"
    shown = sweeps_table.text(sweeps_table.read(folder))
    assert "3 finished, 1 failed" in shown
    assert sweeps_table.show(folder).data.count("<tr") == 5


def test_while_it_runs_the_page_reloads_itself_and_says_what_runs(world):
    pages = []

    def tell(line):
        pages.append((world.runs / "sample_tsav_sweep" / "sweep.html").read_text())

    assert world.sweep(tell=lambda line: tell(line) if "]" in line else None) == 0
    assert "refresh" in pages[-1]
    assert any("preparing" in page for page in pages)


def test_a_terminal_has_a_table_that_moves_and_a_log_has_lines(world):
    import io

    world.sweep()
    for live in (True, False):
        stream = io.StringIO()
        screen = sweeps_table.Screen(stream, live)
        screen(world.runs / "sample_tsav_sweep")
        screen.tell("a point: finished")
        assert ("\x1b[" in stream.getvalue()) == live
        assert ("4 finished" in stream.getvalue()) == live
        assert "a point: finished" in stream.getvalue()


def test_a_damaged_note_of_a_point_stops_no_table(world):
    world.sweep()
    folder = world.runs / "sample_tsav_sweep"
    (folder / "points").mkdir(exist_ok=True)
    (folder / "points" / f"{NAMES[0]}.json").write_text("{")
    assert len(sweeps_table.read(folder)) == 4
    assert world.sweep() == 0


def test_a_folder_without_a_sweep_is_told(tmp_path):
    with pytest.raises(InputError, match=r"no sweep\.json"):
        sweeps_table.read(tmp_path)


def test_a_parameter_that_came_after_a_run_had_its_default_then(world):
    """An upgrade does not shut finished points out."""
    world.sweep()
    file = world.runs / NAMES[0] / "params.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("bootstrap:")]
    file.write_text("\n".join(lines))
    assert world.sweep() == 0
    assert world.calls() == [1, 1, 1, 1]
    file.write_text("\n".join([*lines, "bootstrap: 77"]))
    assert world.sweep() == 0
    assert world.calls() == [2, 1, 1, 1], "it was run with another one"
