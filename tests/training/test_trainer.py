"""Training: resumed to the same numbers, refused where it is another one, checkpoints that
strangers may open.
"""

import errno
import inspect
import math
import os
import pickletools
import re
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lib import code_digest, metrics, parameters
from lib.errors import InputError
from lib.models import checkpoints, device, forward
from lib.training import duration
from lib.training import trainer as training_trainer
from lib.training.schedules import schedule
from lib.training.trainer import Trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401
from tests.tiny_set import written as weights

every_recipe = pytest.mark.parametrize("name", sorted(tiny_set.RECIPES))
EPOCHS = 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def trainer(root, folder, name="jca", on_epoch=(), trials=None, **changes):
    changes = {"epochs": EPOCHS, **changes}
    folder.mkdir(exist_ok=True)
    return Trainer(
        tiny_set.create(name, root, **changes),
        tiny_set.table(root) if trials is None else trials,
        folder,
        on_epoch,
    )


def equal(first, second):
    """Bit by bit, through mappings and lists; what took how long does not count."""
    if isinstance(first, torch.Tensor):
        return (
            first.dtype == second.dtype
            and first.shape == second.shape
            and first.numpy().tobytes() == second.numpy().tobytes()
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            equal(first[key], second[key]) for key in first if key != "seconds"
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return first == second or (first != first and second != second)


def same_end(one, other):
    """Both folders hold the same training, to the last bit."""
    for name in ("last", "best"):
        there, here = weights(one, name), weights(other, name)
        assert equal(there["model"], here["model"])
        assert equal(there["optimizer"], here["optimizer"])
        assert equal(there["state"], here["state"])
    tables = [
        pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (one, other)
    ]
    pd.testing.assert_frame_equal(*tables)


def interrupt_after(method, batches, how):
    """Let `how` happen while batch number `batches` of this process's training is computed."""
    done, loss = [], method.loss

    def counted(outputs, batch):
        done.append(1)
        if len(done) == batches:
            how()
        return loss(outputs, batch)

    method.loss = counted
    return done


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


# The course that depends most on where it was stopped.
COURSE = {
    **{
        name: {"schedule": "onecycle", "batch_size": 4}
        for name in ("jca", "rjca", "dca", "jca_paper", "gated_fusion")
    },
    "tsav": {"schedule": "plateau"},
    "lfan_backbone": {"schedule": "onecycle"},
    # Released at the start of the second epoch, with the weights of the best one.
    "lfan": {
        "schedule": "plateau",
        "batch_size": 4,
        "options": {"milestones": [1], "plateau_patience": 1, "reload_best": True, "warmup": 2},
    },
}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """Folder of an uninterrupted training of each recipe, made when it is first asked for."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(f"whole_{name}")
            trainer(tiny, made[name], name, **COURSE.get(name, {})).fit()
        return made[name]

    return get


# ---- resuming


class Stop(Exception):
    """Raised by a test at the end of an epoch."""


def stop(history):
    raise Stop


@every_recipe
def test_a_training_stopped_inside_an_epoch_and_at_its_end_goes_on_to_the_same_numbers(
    tiny, tmp_path, whole, name
):
    """In four pieces: to the second batch, to the end of the epoch, to the last batch of the next
    one, and from there.
    """
    per_epoch = [row["batches"] for row in weights(whole(name))["state"]["history"]]
    assert min(per_epoch) >= 3, "or the second batch would not be the middle"
    interrupted(trainer(tiny, tmp_path, name, **COURSE[name]), 2)
    stopped = weights(tmp_path)["state"]
    assert (stopped["epoch"], stopped["batch"]) == (0, 2)
    second = trainer(tiny, tmp_path, name, [stop], **COURSE[name])
    done = interrupt_after(second.recipe, 0, None)
    with pytest.raises(Stop):
        second.fit()
    assert len(done) == per_epoch[0] - 2, "nothing was done twice"
    assert weights(tmp_path)["epoch"] == 1
    interrupted(trainer(tiny, tmp_path, name, **COURSE[name]), per_epoch[1])
    stopped = weights(tmp_path)["state"]
    assert (stopped["epoch"], stopped["batch"]) in {(1, per_epoch[1]), (2, 0)}
    last = trainer(tiny, tmp_path, name, **COURSE[name])
    done = interrupt_after(last.recipe, 0, None)
    last.fit()
    assert len(done) == sum(per_epoch[2:]), "nothing was done twice"
    same_end(tmp_path, whole(name))


def interrupted(one, batches):
    """Train until Ctrl-C is pressed in this batch."""
    interrupt_after(one.recipe, batches, ctrl_c)
    with pytest.raises(
        KeyboardInterrupt, match=r"stopped in epoch \d after batch \d+ of \d+; start again"
    ):
        one.fit()


def test_many_interrupts_change_nothing_either(tiny, tmp_path, whole):
    total = sum(row["batches"] for row in weights(whole("jca"))["state"]["history"])
    for _ in range(total + EPOCHS):
        one = trainer(tiny, tmp_path, **COURSE["jca"])
        interrupt_after(one.recipe, 1, ctrl_c)
        try:
            one.fit()
            break
        except KeyboardInterrupt:
            pass
    same_end(tmp_path, whole("jca"))


def test_an_interrupt_between_batches_is_not_lost(tiny, tmp_path):
    """During validation or a report the wish is noted, and granted before the next epoch or the
    next notebook.
    """
    for number, epochs in ((0, EPOCHS), (1, 1)):
        folder = tmp_path / str(number)
        one = trainer(tiny, folder, on_epoch=[lambda history: ctrl_c()], epochs=epochs)
        with pytest.raises(KeyboardInterrupt, match="after epoch 1"):
            one.fit()
        assert (weights(folder)["state"]["epoch"], weights(folder)["state"]["batch"]) == (1, 0)


def test_sigterm_of_a_batch_system_is_an_interrupt_too(tiny, tmp_path):
    one = trainer(tiny, tmp_path)
    interrupt_after(one.recipe, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        one.fit()
    assert weights(tmp_path)["state"]["batch"] == 1


def test_a_second_ctrl_c_acts_at_once_and_handlers_are_put_back(tiny, tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    one = trainer(tiny, tmp_path)
    interrupt_after(one.recipe, 2, lambda: [ctrl_c(), ctrl_c()])
    with pytest.raises(KeyboardInterrupt):
        one.fit()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert not (tmp_path / "checkpoints").exists()


def test_a_finished_training_is_not_done_again(tiny, tmp_path, whole):
    one = trainer(tiny, whole("jca"), **COURSE["jca"])
    done = interrupt_after(one.recipe, 0, None)
    history = one.fit()
    assert not done
    assert list(history["epoch"]) == [1, 2, 3]


def test_more_epochs_go_on_from_the_last_one(tiny, tmp_path):
    short, long = tmp_path / "short", tmp_path / "long"
    trainer(tiny, short, epochs=1).fit()
    history = trainer(tiny, short, epochs=EPOCHS).fit()
    trainer(tiny, long, epochs=EPOCHS).fit()
    assert list(history["epoch"]) == [1, 2, 3]
    assert equal(weights(short)["model"], weights(long)["model"])


def test_device_workers_and_places_may_differ_when_a_training_goes_on(tiny, tmp_path):
    trainer(tiny, tmp_path, epochs=1).fit()
    trainer(tiny, tmp_path, epochs=2, workers=2, run="renamed", device="auto").fit()
    assert weights(tmp_path)["epoch"] == 2


def test_what_no_training_depends_on_may_differ_when_it_goes_on(tiny, tmp_path):
    """The clips' folder moved, and 01 measured for longer: the runner says that it goes on, so it
    does.
    """
    trainer(tiny, tmp_path, epochs=1).fit()
    moved = trainer(
        tiny, tmp_path, epochs=1, clips_root=str(tmp_path / "clips"), measure_seconds=1.0
    )
    moved.resume()
    assert moved.state.epoch == 1


def test_a_training_that_would_take_too_long_stops_before_anything_is_kept(tiny, tmp_path):
    with pytest.raises(InputError, match="this training would take") as caught:
        trainer(tiny, tmp_path, hours_at_most=1e-6).fit()
    assert "epochs 3" in caught.value.where
    assert "hours_at_most" in caught.value.expected
    assert list(tmp_path.iterdir()) == []
    assert len(trainer(tiny, tmp_path, epochs=1, hours_at_most=0.0).fit()) == 1


def test_the_first_twenty_steps_tell_how_long_a_training_takes(monkeypatch):
    """Steps of 36 s, of which the first, where a network is planned, took minutes."""
    now = iter([500.0 + 36 * step for step in range(30)])
    monkeypatch.setattr(duration.time, "monotonic", lambda: next(now))
    judge = duration.Duration({"hours_at_most": 9.9})
    told = [judge.step(100 - step, 900) for step in range(1, 26)]
    assert judge.hours == pytest.approx(10.0)
    assert [number for number, too_long in enumerate(told, 1) if too_long] == [20]


def test_a_training_does_not_go_on_with_an_edited_network(tiny, tmp_path, monkeypatch):
    code = {"lib/models/mine.py": "before"}
    monkeypatch.setattr(code_digest, "method", lambda: code)
    trainer(tiny, tmp_path, epochs=1).fit()
    code = {"lib/models/mine.py": "after"}
    with pytest.raises(InputError, match=r"lib/models/mine\.py changed since"):
        trainer(tiny, tmp_path).fit()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lr": 0.01}, r"lr \(0.001 there, 0.01 now\)"),
        (
            {"seed": 19, "batch_size": 4},
            r"batch_size \(8 there, 4 now\), seed \(13 there, 19 now\)",
        ),
        ({"options": {"phases": 3}}, "options .*'phases': 2.*'phases': 3"),
    ],
)
def test_a_folder_with_a_training_of_other_parameters_is_refused_and_names_them(
    tiny, tmp_path, changes, told
):
    trainer(tiny, tmp_path, epochs=1).fit()
    before = (tmp_path / "checkpoints" / "last.pt").read_bytes()
    with pytest.raises(InputError, match=told) as refused:
        trainer(tiny, tmp_path, epochs=1, **changes).fit()
    assert str(tmp_path) in str(refused.value)
    assert "another name" in str(refused.value)
    assert (tmp_path / "checkpoints" / "last.pt").read_bytes() == before


def test_a_training_of_another_recipe_is_refused(tiny, tmp_path):
    trainer(tiny, tmp_path, epochs=1).fit()
    with pytest.raises(InputError, match=r"recipe \('jca' there, 'tsav' now\)"):
        trainer(tiny, tmp_path, "tsav", epochs=1).fit()


# ---- the same seed


def test_the_same_seed_gives_the_same_training_and_another_one_another(tiny, tmp_path):
    torch.manual_seed(77)  # whatever was drawn before
    ends = []
    for number, seed in enumerate((13, 13, 14)):
        trainer(tiny, tmp_path / str(number), epochs=1, seed=seed).fit()
        torch.randn(number + 1)
        ends.append(weights(tmp_path / str(number))["model"])
    assert equal(ends[0], ends[1])
    assert not equal(ends[0], ends[2])


def test_dropout_does_not_depend_on_what_was_drawn_before(tiny, tmp_path):
    ends = []
    for number in range(2):
        draw = [lambda history: torch.randn(5)] if number else []
        trainer(tiny, tmp_path / str(number), on_epoch=draw, epochs=2).fit()
        ends.append(weights(tmp_path / str(number))["model"])
    assert equal(*ends)


# ---- best, last, early stop


def scored(one, scores):
    """Let validation find these scores, one per epoch."""
    one._validate = iter([{"score": float(score)} for score in scores]).__next__
    return one


def test_best_is_the_epoch_with_the_highest_score_and_last_the_last(tiny, tmp_path):
    saved = []
    one = scored(trainer(tiny, tmp_path, epochs=4), [0.1, 0.5, 0.3, 0.5])
    one.on_epoch = [
        lambda history: saved.append({k: v.clone() for k, v in one.model.state_dict().items()})
    ]
    one.fit()
    best, last = weights(tmp_path, "best"), weights(tmp_path)
    assert (best["epoch"], last["epoch"]) == (2, 4), "of equal scores the earlier one"
    assert equal(best["model"], saved[1])
    assert equal(last["model"], saved[3])
    assert last["state"]["best_score"] == 0.5


def test_training_stops_when_nothing_gets_better_for_patience_epochs(tiny, tmp_path):
    scores = [0.1, 0.5, 0.3, 0.4, 0.45, 0.9]
    history = scored(trainer(tiny, tmp_path, epochs=6, patience=3), scores).fit()
    assert list(history["score"]) == scores[:5]
    again = scored(trainer(tiny, tmp_path, epochs=9, patience=3), [])
    assert len(again.fit()) == 5, "still stopped when it is started again"


def test_without_patience_all_epochs_are_trained(tiny, tmp_path):
    assert len(scored(trainer(tiny, tmp_path, epochs=4), [0.5, 0.1, 0.1, 0.1]).fit()) == 4


def test_a_score_that_is_undefined_is_never_the_best(tiny, tmp_path):
    one = scored(trainer(tiny, tmp_path, epochs=3), [0.2, float("nan"), 0.1])
    one.fit()
    assert weights(tmp_path, "best")["epoch"] == 1


def test_without_val_trials_the_lowest_loss_chooses(tiny, tmp_path):
    table = tiny_set.table(tiny)
    history = trainer(tiny, tmp_path, trials=table[table["split"] == "train"]).fit()
    assert weights(tmp_path, "best")["epoch"] == history["loss"].argmin() + 1
    assert "score" not in history


@every_recipe
def test_val_trials_without_any_label_count_as_none(tiny, tmp_path, name):
    """Notebook 05 must not fail after an epoch of work because validation labels are kept back."""
    table = tiny_set.table(tiny)
    table.loc[table["split"] == "val", "split"] = "test"
    table.loc[table["trial"] == "quiet", "split"] = "val"
    history = trainer(tiny, tmp_path, name, trials=table, epochs=1).fit()
    assert weights(tmp_path, "best")["epoch"] == 1
    assert math.isfinite(history["loss"][0])


def test_training_without_train_trials_or_labels_says_so(tiny, tmp_path):
    table = tiny_set.table(tiny)
    with pytest.raises(InputError, match="no trial is there to train on"):
        trainer(tiny, tmp_path, trials=table[table["split"] == "val"])
    quiet = table[table["trial"].isin(["quiet", "seen"])]
    with pytest.raises(InputError, match="no train trial has labels"):
        trainer(tiny, tmp_path, trials=quiet).fit()


# ---- what is written


def test_a_network_learns_and_the_history_says_so(tiny, tmp_path):
    seen = []
    changes = {
        "epochs": 12,
        "lr": 0.01,
        "va_loss": "mse",
        "options": {"phases": 32, "dropout": 0.0},
        "val_every": 1,
    }
    history = trainer(tiny, tmp_path, on_epoch=[seen.append], **changes).fit()
    assert history["loss"].iloc[-1] < 0.3 * history["loss"].iloc[0]
    assert history["score"].max() > 0.8
    assert [len(table) for table in seen] == list(range(1, 13))
    written = pd.read_csv(tmp_path / "history.csv")
    pd.testing.assert_frame_equal(written, history, check_dtype=False)
    assert {
        "epoch",
        "loss",
        "lr",
        "batches",
        "seconds",
        "val_ccc_valence",
        "val_ccc_arousal",
        "score",
    } <= set(written)


@every_recipe
def test_parameters_that_a_method_does_not_know_are_told(tiny, tmp_path, name):
    """Whether it knows one is seen where its own files read it."""
    unusual = {"emotion": "valence", "step_hop": 7, "steps": 5, "stream_loss": 0.5}
    recipe = tiny_set.create(name, tiny, **unusual)
    files = [inspect.getsource(inspect.getmodule(kind)) for kind in type(recipe).__mro__[:-2]]
    own = "\n".join(files)
    unread = {each for each in unusual if not re.search(rf"params\.({each}\b|get\(.{each})", own)}
    assert {line.split()[0] for line in recipe.without_effect()} == unread
    if name == "jca":
        notes = trainer(tiny, tmp_path, emotion="valence").notes
        assert notes == ["emotion valence changes nothing: jca has none"]


def test_parts_of_the_loss_stand_in_the_history(tiny, tmp_path):
    history = trainer(tiny, tmp_path, "tsav", epochs=1).fit()
    parts = [f"loss_{name}" for name in ("va", "va_video", "expression", "action_units")]
    assert history.loc[0, "loss"] == pytest.approx(history.loc[0, parts].sum())


@every_recipe
def test_a_checkpoint_holds_tensors_numbers_and_text_only(whole, name):
    for kind in ("best", "last"):
        path = whole(name) / "checkpoints" / f"{kind}.pt"
        saved = torch.load(path, map_location="cpu", weights_only=True)
        assert {"model", "optimizer", "state", "params", "statistics", "epoch"} <= saved.keys()
        only_plain(saved)
        with zipfile.ZipFile(path) as archive:
            inside = next(entry for entry in archive.namelist() if entry.endswith("data.pkl"))
            modules = {
                str(argument).split()[0]
                for code, argument, _ in pickletools.genops(archive.read(inside))
                if code.name == "GLOBAL"
            }
        assert modules <= {"torch", "torch._utils", "collections"}


def only_plain(value):
    assert value is None or isinstance(
        value, torch.Tensor | bool | int | float | str | dict | list | tuple
    )
    assert not isinstance(value, np.generic)
    if isinstance(value, dict):
        for item in value.values():
            only_plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            only_plain(item)


def test_a_checkpoint_says_what_it_was_trained_with(tiny, whole):
    saved = weights(whole("tsav"))["params"]
    expected = checkpoints.plain(tiny_set.parameters("tsav", tiny, epochs=EPOCHS, **COURSE["tsav"]))
    assert saved == expected
    assert saved["options"]["frame_step"] == 5


def test_a_full_disk_is_told_and_leaves_the_old_checkpoint_whole(tiny, tmp_path, monkeypatch):
    one = trainer(tiny, tmp_path, epochs=1)
    one.fit()
    before = (tmp_path / "checkpoints" / "last.pt").read_bytes()

    def half(content, stream):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(InputError, match="no space left"):
        one.save("last")
    assert (tmp_path / "checkpoints" / "last.pt").read_bytes() == before
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"best.pt", "last.pt"}


def test_pytorch_tells_a_full_disk_as_such_when_it_writes_into_an_open_file():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb") as stream:
        torch.save({"model": torch.zeros(300_000)}, stream)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None, {"weights": torch.zeros(2)}])
def test_a_file_that_is_no_checkpoint_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "last.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        torch.save(content, path)
    with pytest.raises(InputError, match="checkpoint") as told:
        checkpoints.load(path)
    assert str(path) in str(told.value)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"model": Harmful(), "params": {}}, tmp_path / "stranger.pt")
    with pytest.raises(InputError, match="checkpoint"):
        checkpoints.load(tmp_path / "stranger.pt")
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_of_a_network_of_other_sizes_is_refused_in_words(tiny, tmp_path):
    trainer(tiny, tmp_path, epochs=1).fit()
    path = tmp_path / "checkpoints" / "last.pt"
    saved = torch.load(path, weights_only=True)
    name = next(name for name, weight in saved["model"].items() if weight.ndim == 2)
    saved["model"][name] = saved["model"][name][:, :-1]
    torch.save(saved, path)
    with pytest.raises(InputError, match="another form: 1 differ") as told:
        trainer(tiny, tmp_path, epochs=2).resume()
    assert name in str(told.value)


# ---- when it goes wrong


def test_a_loss_that_is_no_number_stops_with_a_message_and_a_whole_checkpoint(tiny, tmp_path):
    one = trainer(tiny, tmp_path)
    loss, calls = one.recipe.loss, []

    def bad(outputs, batch):
        calls.append(1)
        parts = loss(outputs, batch)
        return (
            {"total": parts["total"] * float("nan")}
            if one.state.epoch == 1 and one.state.batch == 1
            else parts
        )

    one.recipe.loss = bad
    with pytest.raises(InputError, match="the loss is nan in epoch 2, batch 2") as told:
        one.fit()
    assert "lower lr" in str(told.value)
    saved = weights(tmp_path)
    assert saved["epoch"] == 1
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())
    assert saved["state"]["batch"] == 0


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_no_number_behind_a_finite_loss_replaces_no_checkpoint(
    tiny, tmp_path, clip
):
    one = trainer(tiny, tmp_path, grad_clip=clip)
    loss = one.recipe.loss

    def steep(outputs, batch):
        parts = loss(outputs, batch)
        if one.state.epoch == 1:  # in the last batch, too: the next loss would come too late
            parts["total"] = parts["total"] + torch.sqrt(0.0 * parts["total"].abs())
        return parts

    one.recipe.loss = steep
    one._require_finite = lambda value: None  # as if no later batch of the epoch had told it
    with pytest.raises(InputError, match="weights of the network are no numbers in epoch 2"):
        one.fit()
    saved = weights(tmp_path)
    assert saved["epoch"] == 1
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())


@pytest.mark.parametrize("recompute", [0, 1])
def test_a_network_of_films_learns_in_half_precision_on_a_cpu(tiny, tmp_path, recompute):
    """PyTorch's own gradients of such layers hold what lay in the memory before."""
    found = {}
    for precision in ("float32", "bfloat16"):
        options = {"tasks": ["va"], "recompute": bool(recompute)}
        one = trainer(
            *(tiny, tmp_path / precision, "tsav"), precision=precision, epochs=1, options=options
        )
        layer = one.model.video_model.r2plus1d.layer3[1].conv2[0][3]
        batch = one.recipe.batches(one.recipe.windows(one.train_trials, 0), 0)[0][:4]
        windows = list(one.recipe.windows(one.train_trials, 0).iloc[batch].itertuples(index=False))
        one._backward(1.0, one.recipe.collate([one.recipe.example(each) for each in windows]))
        found[precision] = layer.weight.grad
    assert torch.isfinite(found["bfloat16"]).all()
    spread = found["float32"].abs().max()
    assert (found["bfloat16"] - found["float32"]).abs().max() < 0.2 * spread


def test_a_batch_of_one_window_that_a_network_cannot_learn_from_is_one_sentence(tiny, tmp_path):
    one = trainer(tiny, tmp_path, "lfan_backbone", batch_size=1)
    with pytest.raises(InputError, match="a batch of one training window") as told:
        one.fit()
    assert "batch_size" in told.value.todo


def test_a_gpu_that_is_not_there_is_told_before_anything_is_done(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        InputError, match="device cuda is asked for, but PyTorch sees no CUDA GPU"
    ) as told:
        trainer(tiny, tmp_path, device="cuda")
    assert "cpu or auto" in str(told.value)
    assert device.pick("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.pick("auto") == torch.device("cuda")


# ---- learning rate


def test_onecycle_rises_for_a_quarter_and_falls_to_a_thousandth():
    progress = np.linspace(0, 1, 401)
    factors = np.array([schedule("onecycle", p) for p in progress])
    assert factors[0] == pytest.approx(1 / 25)
    assert factors.max() == factors[100] == pytest.approx(1)
    assert factors[-1] == pytest.approx(1e-3)
    assert (np.diff(factors[:101]) > 0).all()
    assert (np.diff(factors[100:]) < 0).all()
    assert np.abs(np.diff(factors)).max() < 0.02, "without a jump"


def test_a_constant_rate_is_constant(tiny, tmp_path):
    assert {schedule("constant", p) for p in (0, 0.3, 1)} == {1.0}
    history = scored(trainer(tiny, tmp_path, epochs=3), [0.3, 0.2, 0.1]).fit()
    assert set(history["lr"]) == {1e-3}


def test_a_plateau_halves_the_rate_after_five_epochs_without_a_better_score(tiny, tmp_path):
    scores = [0.5, *[0.4] * 11, 0.6, 0.6]
    history = scored(trainer(tiny, tmp_path, epochs=14, schedule="plateau"), scores).fit()
    assert list(history["lr"] / 1e-3) == [1.0] * 6 + [0.5] * 5 + [0.25] * 3


def test_groups_of_weights_have_their_own_rates(tiny, tmp_path):
    method = tiny_set.create("jca", tiny, epochs=1)

    def groups(model):
        named = list(model.named_parameters())
        return [
            {"params": [w for n, w in named if n.startswith("Joint")], "lr_factor": 0.0},
            {"params": [w for n, w in named if not n.startswith("Joint")], "lr_factor": 2.0},
        ]

    method.groups = groups
    one = Trainer(method, tiny_set.table(tiny), tmp_path)
    before = {name: weight.clone() for name, weight in one.model.named_parameters()}
    one.fit()
    after = dict(one.model.named_parameters())
    assert [group["lr"] for group in one.optimizer.param_groups] == [0.0, 2e-3]
    assert all(
        torch.equal(before[name], after[name]) == name.startswith("Joint")
        for name in before
        if after[name].grad is not None and after[name].grad.any()
    )


def test_the_gradient_is_clipped(tiny, tmp_path):
    one = trainer(tiny, tmp_path, epochs=1, grad_clip=0.001)
    norms, step = [], one.optimizer.step

    def watched(*arguments):
        norms.append(
            math.sqrt(
                sum(
                    w.grad.square().sum().item()
                    for w in one.model.parameters()
                    if w.grad is not None
                )
            )
        )
        return step(*arguments)

    one.optimizer.step = watched
    one.fit()
    assert 0 < max(norms) <= 0.001 * 1.01


def test_under_published_rules_no_gradient_is_clipped_and_it_is_said(tiny, tmp_path):
    """The authors' trainings of JCA and LFAN clip none (their specifications, §2.8 and §3.7)."""
    clipped = trainer(tiny, tmp_path, "lfan_backbone")
    assert (clipped.grad_clip, clipped.notes) == (1.0, [])
    free = trainer(tiny, tmp_path, "lfan_backbone", rules="published")
    assert free.grad_clip == 0
    assert "grad_clip 1 is not used" in free.notes[0]


# ---- prediction


@every_recipe
def test_outputs_come_in_the_order_of_the_windows_whatever_the_batch_size(tiny, name):
    method = tiny_set.create(name, tiny)
    windows = method.windows(tiny_set.table(tiny).query("trial == 'seen'"))
    model = method.model()
    by = [
        forward.predict(model, method, windows[::step], torch.device("cpu"), 16) for step in (1, 3)
    ]
    by = [found[method.output(method.tasks[0])] for found in by]
    assert len(by[0]) == len(windows)
    every, some = by[0][::3], by[1]
    length = some.shape[1]  # of the longest window among them; all are filled up to theirs
    np.testing.assert_allclose(every[:, :length], some, atol=1e-5)
    assert not every[:, length:].any()


def test_hidden_rows_count_as_unlabelled_and_the_labels_stay():
    va, classes = np.zeros((3, 2), np.float32), np.zeros(3, np.int8)
    rows = np.array([False, True, False])
    assert np.isnan(training_trainer.hide(va, rows)[1]).all()
    assert training_trainer.hide(classes, rows).tolist() == [0, -1, 0]
    assert training_trainer.hide(classes, np.repeat(rows[:, None], 2, axis=1)).tolist() == [
        0,
        -1,
        0,
    ]
    assert training_trainer.hide(classes[:0], np.zeros((0, 2), bool)).shape == (0,), (
        "a trial without a single prediction"
    )
    assert not va.any()


def test_parameters_become_numbers_and_text():
    found = checkpoints.plain(parameters.Params({"lr": 0.1, "data_root": Path("/data")}))
    assert found == {"lr": 0.1, "data_root": "/data"}


# ---- precision, and a process that is killed


def test_a_killed_training_goes_on_from_its_last_checkpoint_to_the_same_numbers(
    tiny, tmp_path, whole
):
    """SIGKILL leaves no chance to save: the epoch in hand is done again, with the same batches."""

    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    per_epoch = [row["batches"] for row in weights(whole("jca"))["state"]["history"]]
    for epoch in range(len(per_epoch)):
        folder = tmp_path / f"killed{epoch}"
        folder.mkdir()
        first = trainer(tiny, folder, "jca", **COURSE["jca"])
        interrupt_after(first.recipe, sum(per_epoch[:epoch]) + 2, kill)
        with pytest.raises(Killed):
            first.fit()
        assert (folder / "checkpoints" / "last.pt").exists() == (epoch > 0)
        trainer(tiny, folder, "jca", **COURSE["jca"]).fit()
        same_end(folder, whole("jca"))


def test_a_training_killed_between_its_last_checkpoint_and_its_history_has_all_its_rows(
    tiny, tmp_path, monkeypatch
):
    killed = trainer(tiny, tmp_path, "jca", epochs=1)
    monkeypatch.setattr(killed, "_write_history", lambda: sys.exit())
    with pytest.raises(SystemExit):
        killed.fit()
    assert not (tmp_path / "history.csv").exists()
    expected = trainer(tiny, tmp_path, "jca", epochs=1).fit()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "history.csv"), expected)


def test_half_precision_on_a_cpu_is_asked_for_by_name_and_learns_other_numbers(tiny, tmp_path):
    found = {}
    for precision in ("auto", "float32", "bfloat16"):
        folder = tmp_path / precision
        folder.mkdir()
        found[precision] = (
            trainer(tiny, folder, "jca", precision=precision, epochs=1).fit()["loss"].iloc[0]
        )
    assert found["auto"] == found["float32"] != found["bfloat16"]
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.05)


def test_weights_and_statistics_of_another_fold_are_not_taken_up(tiny, tmp_path):
    table = tiny_set.table(tiny)
    trainer(tiny, tmp_path, "lfan_backbone", epochs=1).fit()
    other = table.assign(split=table["split"].astype(str).replace({"train": "val", "val": "train"}))
    with pytest.raises(
        InputError, match=r"statistics of other training trials.*\(6 differ, first: 171\)"
    ):
        trainer(tiny, tmp_path, "lfan_backbone", epochs=2, trials=other).fit()
    assert len(trainer(tiny, tmp_path, "lfan_backbone", epochs=2).fit()) == 2


def test_between_epochs_no_interval_is_computed(tiny, tmp_path, monkeypatch):
    """Nobody reads the interval of an epoch; it is chosen by the score alone."""
    made = []
    monkeypatch.setattr(metrics, "interval", lambda *given: made.append(given) or {"ci95": None})
    trainer(tiny, tmp_path, epochs=1).fit()
    assert made == []


def test_where_no_interval_is_asked_for_there_is_no_excuse():
    trials = {str(k): (np.arange(5.0), np.arange(5.0) + k) for k in range(6)}
    labels, predictions = ({name: pair[k] for name, pair in trials.items()} for k in (0, 1))
    scores = metrics.expression_scores(
        {k: v.astype(int) for k, v in labels.items()},
        {k: v.astype(int) for k, v in predictions.items()},
        with_intervals=False,
    )
    assert scores["ci95"] is None
    assert "why" not in scores
