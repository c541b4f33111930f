"""What every recipe promises, tried on a tiny set: a new file in lib/recipes is tested by being
there.
"""

from importlib import import_module
from types import FunctionType

import numpy as np
import pandas as pd
import pytest
import torch

from lib import arrays, recipes
from lib import trials as trials_module
from lib.errors import InputError
from lib.faces import faces
from lib.features import mel
from lib.models import forward
from lib.recipes import base
from lib.recipes.base import WINDOW_COLUMNS
from lib.store import Request, request
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

CPU = torch.device("cpu")
every_recipe = pytest.mark.parametrize("name", sorted(tiny_set.RECIPES))
every_modality = pytest.mark.parametrize("modality", ["audiovisual", "audio", "video"])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_set.make(tmp_path_factory.mktemp("tiny"))


def train_trials(root):
    table = tiny_set.table(root)
    return table[table["split"] == "train"].reset_index(drop=True)


def rows(windows):
    return list(windows.itertuples(index=False))


def targets(window):
    return window.first_target + window.target_step * np.arange(window.n_targets)


def known(values):
    """Whether a label is there: NaN and −1 mean unlabelled."""
    values = np.asarray(values)
    return np.isfinite(values) if values.dtype.kind == "f" else values >= 0


def random_of(*numbers):
    return np.random.default_rng(list(numbers))


def batch_of(method, windows, generator=None):
    return method.collate(
        [method.example(window, generator) for window in rows(windows)], generator
    )


def same(first, second):
    pairs = [
        (np.asarray(first[key]), np.asarray(second[key])) for key in first.keys() & second.keys()
    ]
    return first.keys() == second.keys() and all(
        np.array_equal(one, other, equal_nan=one.dtype.kind == "f") for one, other in pairs
    )


# ---- arrays


@every_recipe
@every_modality
def test_the_arrays_that_a_recipe_asks_for_are_arrays_that_somebody_makes(tiny, name, modality):
    trial = tiny_set.table(tiny).iloc[0].to_dict()
    wanted = tiny_set.create(name, tiny, modality=modality).arrays()
    assert len(set(wanted)) == len(wanted)
    for item in wanted:
        assert item.name in arrays.MAKERS
        assert arrays.MAKERS[item.name].sources(trial, item)


def behind(trial, wanted):
    """The names of an array and of all that it is made from."""
    sources = arrays.MAKERS[wanted.name].sources(trial, wanted).values()
    return {wanted.name}.union(
        *(behind(trial, source) for source in sources if isinstance(source, Request))
    )


@every_recipe
@pytest.mark.parametrize(
    ("modality", "absent", "shared"), [("video", "audio", set()), ("audio", "visual", {"time"})]
)
def test_one_modality_needs_no_array_of_the_other(tiny, name, modality, absent, shared):
    trial = tiny_set.table(tiny).iloc[0].to_dict()
    wanted = tiny_set.create(name, tiny, modality=modality).arrays()
    needed = set().union(*(behind(trial, item) for item in wanted))
    assert {array for array in needed if arrays.MAKERS[array].step == absent} <= shared


@every_recipe
@pytest.mark.parametrize("modality", ["audio", "video"])
def test_the_network_of_one_modality_ignores_the_other(tiny, name, modality):
    both, one = tiny_set.create(name, tiny), tiny_set.create(name, tiny, modality=modality)
    if len(both.modalities) == 1:
        pytest.skip("there is no other")
    windows = one.windows(train_trials(tiny), 0)[:3]
    batch = batch_of(one, windows)
    more = {key: tensor for key, tensor in batch_of(both, windows).items() if key not in batch}
    assert more, "both modalities together have more inputs"
    torch.manual_seed(0)
    model = one.model().eval()
    with torch.inference_mode():
        alone, beside = model(batch), model({**batch, **more})
    assert all(torch.equal(alone[name], beside[name]) for name in map(one.output, one.tasks))


@every_recipe
def test_an_array_that_is_not_there_is_named_with_its_notebook(tiny, tmp_path, name):
    method = tiny_set.create(name, tiny)
    table = tiny_set.table(tiny)
    empty = tiny_set.store(tmp_path)
    empty.trials_path.parent.mkdir(parents=True)
    table.to_parquet(empty.trials_path)
    for trial in table["trial"]:  # recordings that are there, and nothing computed
        for folder in ("data", f"data/crops/{trial}"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for video in table["video_path"]:
        (tmp_path / "data" / video).write_bytes(b"recording")
    bare = recipes.create(name, method.params, empty)
    with pytest.raises(InputError, match="02_preprocess_visual"):
        bare.windows(table)


# ---- windows


@every_recipe
@pytest.mark.parametrize("epoch", [None, 0])
def test_windows_are_a_table_of_numbers_inside_their_trials(tiny, name, epoch):
    method = tiny_set.create(name, tiny)
    windows = method.windows(tiny_set.table(tiny), epoch)
    assert list(windows.columns) == ["trial", *WINDOW_COLUMNS]
    assert isinstance(windows["trial"].dtype, pd.CategoricalDtype)
    assert all(windows[column].dtype.kind == "i" for column in WINDOW_COLUMNS)
    assert len(windows) > 0
    last = windows["first_target"] + windows["target_step"] * (windows["n_targets"] - 1)
    n_frames = windows["trial"].astype(str).map(method.n_frames)
    assert (windows["n_targets"] >= 1).all()
    assert (windows["start"] >= 0).all()
    assert (windows["start"] <= windows["first_target"]).all()
    assert (last < windows["stop"]).all()
    assert (windows["stop"] <= n_frames).all()


@every_recipe
@pytest.mark.parametrize("changes", [{}, {"step_hop": 1, "steps": 2}, {"step_hop": 512}])
def test_evaluation_windows_have_every_frame_as_a_target_exactly_once(tiny, name, changes):
    method = tiny_set.create(name, tiny, **changes)
    windows = method.windows(tiny_set.table(tiny))
    for trial, _, _, n_frames in tiny_set.TRIALS:
        frames = [targets(window) for window in rows(windows[windows["trial"] == trial])]
        assert np.array_equal(np.sort(np.concatenate(frames)), np.arange(n_frames))


@every_recipe
def test_evaluation_needs_no_labels(tiny, name):
    method = tiny_set.create(name, tiny)
    method.labels = None
    assert len(method.windows(tiny_set.table(tiny))) > 0


@every_recipe
def test_every_training_window_has_a_labelled_target(tiny, name):
    method = tiny_set.create(name, tiny)
    windows = method.windows(train_trials(tiny), 0)
    assert "quiet" not in set(windows["trial"])
    for window in rows(windows):
        found = [
            known(method.labels(window.trial, task)[targets(window)]).any() for task in method.tasks
        ]
        assert any(found)


@every_recipe
@pytest.mark.parametrize("va_loss", ["mse", "ccc", "mse_ccc"])
def test_an_unlabelled_target_has_no_part_in_the_loss(tiny, name, va_loss):
    method = tiny_set.create(name, tiny, va_loss=va_loss)
    # Evaluation windows: there unlabelled frames are targets, in training windows they may be among
    # the steps.
    for windows in (
        method.windows(tiny_set.table(tiny))[::9],
        method.windows(train_trials(tiny), 0)[::2],
    ):
        batch = batch_of(method, windows)
        with torch.no_grad():
            outputs = method.model()(batch)
        outputs = {
            task: torch.randn_like(values).requires_grad_() for task, values in outputs.items()
        }
        method.loss(outputs, batch)["total"].backward()
        for task in method.tasks:
            gradient, labelled = outputs[method.output(task)].grad.numpy(), known(batch[task])
            labelled = labelled.reshape(*labelled.shape, *[1] * (gradient.ndim - labelled.ndim))
            labelled = np.broadcast_to(labelled, gradient.shape)
            assert not gradient[~labelled].any()
            assert np.abs(gradient[labelled]).max() > 0


@every_recipe
def test_a_trial_without_labels_alone_gives_an_empty_table_of_training_windows(tiny, name):
    table = tiny_set.table(tiny)
    windows = tiny_set.create(name, tiny).windows(table[table["trial"] == "quiet"], 0)
    assert len(windows) == 0
    assert list(windows.columns) == ["trial", *WINDOW_COLUMNS]


# ---- randomness


@every_recipe
def test_seed_and_epoch_decide_windows_batches_and_examples(tiny, name):
    first, again = tiny_set.create(name, tiny), tiny_set.create(name, tiny)
    np.random.seed(1)  # global states must not matter
    one = first.windows(train_trials(tiny), 4)
    np.random.seed(2)
    two = again.windows(train_trials(tiny), 4)
    pd.testing.assert_frame_equal(one, two)
    assert [list(batch) for batch in first.batches(one, 4)] == [
        list(batch) for batch in again.batches(two, 4)
    ]
    for window in rows(one)[:3]:
        assert same(first.example(window, random_of(5)), again.example(window, random_of(5)))
    examples = [first.example(window) for window in rows(one)[:3]]
    assert same(first.collate(examples, random_of(6)), again.collate(examples, random_of(6)))


@every_recipe
def test_another_epoch_or_seed_gives_other_windows_in_another_order(tiny, name):
    method = tiny_set.create(name, tiny)
    here = method.windows(train_trials(tiny), 0)
    for other, epoch in ((method, 1), (tiny_set.create(name, tiny, seed=14), 0)):
        there = other.windows(train_trials(tiny), epoch)
        assert not here.equals(there)
        order = np.concatenate(other.batches(here, epoch))
        assert list(order) != list(np.concatenate(method.batches(here, 0)))


@every_recipe
def test_batches_hold_every_window_at_most_once_and_leave_out_a_small_rest(tiny, name):
    method = tiny_set.create(name, tiny)
    windows = pd.concat([method.windows(tiny_set.table(tiny))] * 2, ignore_index=True)
    for n, expected in ((24, [8, 8, 8]), (20, [8, 8, 4]), (19, [8, 8]), (3, [3])):
        batches = method.batches(windows[:n], 0)
        assert [len(batch) for batch in batches] == expected
        found = np.concatenate(batches)
        assert len(np.unique(found)) == len(found)
        assert found.max() < n


@every_recipe
def test_an_example_is_random_only_through_its_generator(tiny, name):
    method = tiny_set.create(name, tiny)
    window = rows(method.windows(train_trials(tiny), 0))[0]
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    assert same(method.example(window), method.example(window))
    method.example(window, random_of(1))
    assert np.array_equal(state, np.random.get_state()[1])
    assert torch.equal(torch_state, torch.get_rng_state())


@every_recipe
def test_labels_are_never_augmented(tiny, name):
    method = tiny_set.create(name, tiny)
    for window in rows(method.windows(train_trials(tiny), 0))[:4]:
        plain, random = method.example(window), method.example(window, random_of(1))
        assert plain.keys() == random.keys()
        assert all(plain[key].shape == random[key].shape for key in plain)
        assert all(plain[key].dtype == random[key].dtype for key in plain)
        assert same(
            {task: plain[task] for task in method.tasks},
            {task: random[task] for task in method.tasks},
        )


# ---- network, loss, frames


@every_recipe
@every_modality
def test_network_and_loss_fit_the_batch_and_every_weight_in_use_learns(tiny, name, modality):
    method = tiny_set.create(name, tiny, modality=modality)
    windows = method.windows(train_trials(tiny), 0)[:6]
    method.statistics = method.fit(windows)
    batch = batch_of(method, windows, random_of(0))
    model = method.model()
    grouped = [weight for group in method.groups(model) for weight in group["params"]]
    assert len({id(weight) for weight in grouped}) == len(grouped)
    assert {id(weight) for weight in grouped} <= {id(weight) for weight in model.parameters()}
    outputs = model(batch)
    assert all(len(outputs[method.output(task)]) == len(windows) for task in method.tasks)
    parts = method.loss(outputs, batch)
    assert "total" in parts
    assert all(part.ndim == 0 for part in parts.values())
    assert torch.isfinite(parts["total"])
    parts["total"].backward()
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in grouped)


@every_recipe
def test_the_weight_of_the_ccc_weighs_it_in_every_recipes_loss(tiny, name):
    """Squared error + weight · (1 − CCC): in a line with the weight, and not without a slope."""
    totals = []
    for weight in (0.0, 0.5, 1.0):
        method = tiny_set.create(name, tiny, va_loss="mse_ccc", options={"ccc_weight": weight})
        windows = method.windows(train_trials(tiny), 0)[:6]
        method.statistics = method.fit(windows)
        batch = batch_of(method, windows)
        torch.manual_seed(0)
        with torch.no_grad():
            totals.append(method.loss(method.model().eval()(batch), batch)["total"].item())
    rounding = 1e-6 * abs(totals[0])  # a random network of the paper's equations is far off
    assert totals[1] - totals[0] == pytest.approx(totals[2] - totals[1], rel=1e-4, abs=rounding)
    assert totals[2] - totals[0] > 0.1


@every_recipe
def test_statistics_are_numbers_and_text_that_a_checkpoint_may_hold(tiny, tmp_path, name):
    method = tiny_set.create(name, tiny)
    found = method.fit(method.windows(train_trials(tiny), 0))
    torch.save(found, tmp_path / "statistics.pt")
    assert torch.load(tmp_path / "statistics.pt", weights_only=True) == found


@every_recipe
def test_assembling_puts_every_output_at_its_frame(tiny, name):
    method = tiny_set.create(name, tiny)
    for trial in ("1_left", "short"):
        windows = method.windows(pd.DataFrame({"trial": [trial]}))
        first = [method.first_output(window) for window in rows(windows)]
        steps = max(int((windows["n_targets"] + first).max()), 2)
        numbers = np.full(
            (len(windows), steps), -7.0
        )  # what stands in filled-up steps must not appear
        for row, (window, begin) in enumerate(zip(rows(windows), first, strict=True)):
            numbers[row, begin : begin + window.n_targets] = targets(window)
        outputs = numbers if (windows["n_targets"] > 1).any() else numbers[:, :1]
        outputs = np.repeat(outputs[..., None], 2, axis=-1)
        outputs = outputs[:, 0] if outputs.shape[1] == 1 else outputs
        assembled = method.assemble(
            windows,
            dict.fromkeys(map(method.output, method.tasks), outputs),
            method.n_frames(trial),
        )
        for task in method.tasks:
            assert np.array_equal(assembled[task][:, 0], np.arange(method.n_frames(trial)))
            assert assembled[task].dtype == np.float32


@every_recipe
def test_a_prediction_file_has_the_columns_of_each_task_a_row_per_frame(tiny, name):
    method = tiny_set.create(name, tiny)
    for task in method.tasks:
        values = np.zeros((3, {"va": 2, "expression": 7, "action_units": 8}[task]), np.float32)
        found = method.columns(task, values, np.arange(3) / 25)
        assert {len(rows) for rows in found.values()} == {3}
        assert next(iter(found)) in ("valence", "expression", "action_unit_0")


def test_no_recipe_hides_a_method_of_the_contract_behind_something_else():
    for name in recipes.NAMES:
        own = import_module(f"lib.recipes.{name}").Recipe
        for word, method in vars(base.Recipe).items():
            if isinstance(method, FunctionType):
                assert callable(getattr(own, word)), f"{name}.{word}"


@every_recipe
def test_a_frame_that_no_window_predicts_is_nan(tiny, name):
    method = tiny_set.create(name, tiny)
    windows = method.windows(pd.DataFrame({"trial": ["1_left"]}))[::2]
    width = max(window.n_targets + method.first_output(window) for window in rows(windows))
    shape = (len(windows), 2) if width == 1 else (len(windows), width, 2)
    assembled = method.assemble(
        windows, dict.fromkeys(map(method.output, method.tasks), np.zeros(shape)), 60
    )
    predicted = np.unique(np.concatenate([targets(window) for window in rows(windows)]))
    assert np.array_equal(np.flatnonzero(np.isfinite(assembled[method.tasks[0]][:, 0])), predicted)
    assert 0 < len(predicted) < 60


@every_recipe
def test_a_prediction_does_not_depend_on_which_windows_share_its_batch(tiny, name):
    method = tiny_set.create(name, tiny)
    windows = method.windows(pd.DataFrame({"trial": ["seen"]}))
    torch.manual_seed(0)
    model = method.model()
    found = [forward.predict(model, method, windows, torch.device("cpu"), size) for size in (3, 50)]
    for output in map(method.output, method.tasks):
        np.testing.assert_allclose(found[0][output], found[1][output], atol=1e-5)


@every_recipe
def test_scores_of_the_labels_themselves_are_perfect(tiny, name):
    method = tiny_set.create(name, tiny)
    labels = {task: {"1_left": np.asarray(method.labels("1_left", task))} for task in method.tasks}
    raw = {
        "va": lambda rows: np.nan_to_num(rows),
        "expression": lambda rows: np.eye(7)[rows],
        "action_units": lambda rows: rows - 0.5,
    }
    scores = method.metrics(
        labels, {task: {"1_left": raw[task](labels[task]["1_left"])} for task in method.tasks}, 10
    )
    assert method.main_score(scores) == pytest.approx(1)


def test_decisions_clip_affect_take_the_largest_class_and_the_sign_of_a_unit(tiny):
    method = tiny_set.create("tsav", tiny)
    assert method.decide("va", np.array([[1.5, -3.0], [0.2, 0.1]])).tolist() == [
        [1, -1],
        [0.2, 0.1],
    ]
    assert method.decide("expression", np.array([[0.1, 3, 2]])).tolist() == [1]
    assert method.decide("action_units", np.array([[-0.1, 0.4]])).tolist() == [[0, 1]]


# ---- TSAV


def test_tsav_sees_eight_pictures_six_frames_apart_that_end_at_the_target(tiny):
    method = tiny_set.create("tsav", tiny)
    pictures = method.read("1_left", request("face", size=32))
    windows = {
        window.first_target: window
        for window in rows(method.windows(pd.DataFrame({"trial": ["1_left"]})))
    }
    assert np.array_equal(
        method.example(windows[50])["clip"], pictures[[8, 14, 20, 26, 32, 38, 44, 50]]
    )
    clip = method.example(windows[13])["clip"]
    assert not clip[:5].any(), "before the first frame it is black"
    assert np.array_equal(clip[5:], pictures[[1, 7, 13]])


def test_tsav_hears_the_sound_around_the_target_on_the_containers_clock(tiny):
    method = tiny_set.create("tsav", tiny)
    window = next(
        one
        for one in rows(method.windows(pd.DataFrame({"trial": ["1_left"]})))
        if one.first_target == 30
    )
    power, time = method.read("1_left", request("mel")), 30 / 25
    start = round((time - 0.25 - 0.02) * 100)  # half a second around it; the sound starts at 0.02 s
    found = method.example(window)["mel"]
    assert found.shape == (1, 64, 51)
    assert np.array_equal(found[0], mel.segment(power, start, 51))


def test_tsav_without_augmentation_has_the_same_example_in_training(tiny):
    window = rows(tiny_set.create("tsav", tiny).windows(train_trials(tiny), 0))[5]
    plain = tiny_set.create("tsav", tiny, options={"augment": False})
    assert same(plain.example(window, random_of(0)), plain.example(window))
    random = tiny_set.create("tsav", tiny).example(window, random_of(0))
    for name in ("clip", "mel"):
        assert not np.array_equal(random[name], plain.example(window)[name])


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_tsav_trains_on_every_nth_labelled_frame_from_a_random_one_on(tiny, step):
    method = tiny_set.create("tsav", tiny, options={"tasks": ["va"], "frame_step": step})
    windows = method.windows(train_trials(tiny), 2)
    labelled = np.flatnonzero(known(method.labels("1_left", "va")).all(axis=1))
    frames = windows["first_target"][windows["trial"] == "1_left"].to_numpy()
    assert set(frames) <= set(labelled)
    assert len(frames) in (len(labelled) // step, -(-len(labelled) // step))
    if step == 1:
        assert np.array_equal(frames, labelled)


@pytest.mark.parametrize("tasks", [["va"], ["expression"], ["action_units", "va"]])
def test_tsav_learns_the_tasks_it_is_given_and_needs_their_labels_only(tiny, tasks):
    method = tiny_set.create("tsav", tiny, options={"tasks": tasks})
    wanted = {item.name for item in method.arrays()}
    assert wanted & {"va", "expression", "action_units"} == set(tasks)
    windows = method.windows(train_trials(tiny), 0)[:4]
    batch = batch_of(method, windows)
    parts = method.loss(method.model()(batch), batch)
    assert parts.keys() >= {*tasks, "total"}
    assert not {"va", "expression", "action_units"} - set(tasks) & parts.keys()


def test_tsavs_auxiliary_loss_is_weighed_and_has_no_gradient_in_the_sound(tiny):
    light, heavy = (tiny_set.create("tsav", tiny, stream_loss=weight) for weight in (1.0, 3.0))
    batch = batch_of(light, light.windows(train_trials(tiny), 0)[::4])
    torch.manual_seed(0)
    model = light.model()
    outputs = model(batch)
    parts, more = light.loss(outputs, batch), heavy.loss(outputs, batch)
    assert more["va_video"].item() == pytest.approx(3 * parts["va_video"].item())
    parts["va_video"].backward()
    assert all(
        weight.grad is None or not weight.grad.any() for weight in model.audio_model.parameters()
    )
    assert any(
        weight.grad is not None and weight.grad.any() for weight in model.video_model.parameters()
    )


def test_tsav_with_fewer_action_units_than_the_network_stays_a_batch(tiny):
    """A trial without an action-unit file has rows of as many −1 as the option says."""
    method = tiny_set.create("tsav", tiny, options={"tasks": ["action_units"], "action_units": 8})
    method.read = lambda trial, wanted: np.zeros((5, 0), np.int8)
    assert np.array_equal(method.labels("any", "action_units"), np.full((5, 8), -1))


# ---- joint cross-attention


def test_jca_takes_the_features_of_its_target_frames_and_marks_what_is_filled_up(tiny):
    method = tiny_set.create("jca", tiny)
    windows = method.windows(
        pd.DataFrame({"trial": ["171"]})
    )  # 41 frames, 4 steps of 8: phase 0 has 0, 8, … 40
    short = next(window for window in rows(windows) if window.first_target == 32)
    assert targets(short).tolist() == [32, 40]
    item = method.example(short)
    assert item["valid"].tolist() == [True, True, False, False]
    for name, wanted in (
        ("visual", method._visual),
        ("audio", method._audio),
        ("va", request("va", mismatch="fit")),
    ):
        stored = method.read("171", wanted)[[32, 40]]
        assert np.array_equal(item[name][:2], stored.astype(np.float32))
    assert not item["visual"][2:].any()
    assert not item["audio"][2:].any()
    assert np.isnan(item["va"][2:]).all()


def test_filled_up_steps_of_jca_have_no_part_in_the_loss_even_with_a_label(tiny):
    method = tiny_set.create("jca", tiny)
    valid = batch_of(method, method.windows(tiny_set.table(tiny)))["valid"]
    assert not valid.all()
    outputs = {"va": torch.randn(*valid.shape, 2, requires_grad=True)}
    method.loss(outputs, {"valid": valid, "va": torch.rand(*valid.shape, 2)})["total"].backward()
    assert not outputs["va"].grad[~valid].any()
    assert outputs["va"].grad[valid].any()


def test_jca_draws_other_phases_in_each_epoch_and_all_of_them_when_asked(tiny):
    trials = train_trials(tiny)
    two = tiny_set.create("jca", tiny)
    drawn = [
        set(two.windows(trials, epoch).query("trial == '1_left'")["first_target"] % 8)
        for epoch in range(6)
    ]
    assert all(len(phases) == 2 for phases in drawn)
    assert len(set(map(frozenset, drawn))) > 1
    every = tiny_set.create("jca", tiny, options={"phases": 32})
    found = every.windows(trials, 0)
    assert set(found[found["trial"] == "1_left"]["first_target"] % 8) == set(range(8))


def test_jca_reads_its_sizes_from_the_features(tiny):
    model = tiny_set.create("jca", tiny).model()
    assert (model.visual_channels, model.visual_positions, model.audio_channels) == (32, 1, 32)


@pytest.mark.parametrize("name", ["jca", "rjca", "dca", "jca_paper"])
def test_a_network_of_one_modality_has_the_shape_that_it_has_with_both(tiny, name):
    shapes = [
        {
            key: tuple(value.shape)
            for key, value in tiny_set.create(name, tiny, modality=modality)
            .model()
            .state_dict()
            .items()
        }
        for modality in ("audiovisual", "audio", "video")
    ]
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_network_that_only_listens_still_has_the_positions_of_a_picture(tiny):
    assert (
        tiny_set.create("jca", tiny, modality="audio", features="positions")
        .model()
        .visual_positions
        == 4
    )


def test_jca_without_a_backbone_run_says_what_to_set(tiny):
    with pytest.raises(InputError, match="backbone_run is empty") as told:
        tiny_set.create("jca", tiny, backbone_run="").arrays()
    assert "sample_tsav" in str(told.value)


def test_jca_listens_as_long_as_32_frames_of_the_lowest_rate_last(tiny):
    wanted = tiny_set.create("jca", tiny, audio_seconds=0.0)._audio
    assert dict(wanted.parameters) == {"seconds": 1.28, "anchor": "end"}


def test_jca_listens_to_a_new_data_set_as_long_as_it_did_in_training(tiny):
    """The length belongs to the run: a video of another frame rate must not change what the network
    was trained on.
    """
    trained = tiny_set.create("jca", tiny, audio_seconds=0.0)
    statistics = trained.fit(trained.windows(train_trials(tiny), 0))
    elsewhere = tiny_set.create("jca", tiny, audio_seconds=0.0)
    elsewhere._trials = {"other": {"trial": "other", "fps": 60.0}}
    elsewhere.statistics = statistics
    assert elsewhere._audio == trained._audio


@pytest.mark.parametrize("name", ["tsav", "tsav_lr1.5"])
def test_jca_finds_the_checkpoint_of_a_run_whatever_its_name(tiny, name):
    method = tiny_set.create("jca", tiny, backbone_run=name)
    assert method._visual.files["weights"] == tiny / "runs" / name / "checkpoints" / "best.pt"


def test_jca_takes_a_weights_file_too(tiny, tmp_path):
    file = tmp_path / "published.pt"
    file.write_bytes(b"weights")
    assert tiny_set.create("jca", tiny, backbone_run=str(file))._visual.files["weights"] == file


# ---- by name


def test_an_unknown_recipe_is_refused_with_those_there_are(tiny):
    with pytest.raises(InputError, match="no recipe is called 'tsaf'") as told:
        recipes.create("tsaf", None, None)
    assert "jca" in str(told.value)
    assert {"jca", "tsav"} <= set(recipes.NAMES)
    assert not {"base", "augmentation"} & set(recipes.NAMES)


@pytest.mark.parametrize(
    "given", [(), ("va",), ("expression", "action_units"), ("va", "expression", "action_units")]
)
def test_eight_expressions_and_twelve_units_learn_from_any_mix_of_labels(tiny, given):
    method = tiny_set.create(
        "tsav", tiny, stream_loss=0.0, options={"expressions": 8, "action_units": 12}
    )
    torch.manual_seed(0)
    model = method.model()
    labels = {
        "va": torch.rand(4, 2),
        "expression": torch.tensor([0, 7, 3, 7]),
        "action_units": torch.ones(4, 12).long(),
    }
    absent = {
        "va": torch.full((4, 2), np.nan),
        "expression": torch.full((4,), -1),
        "action_units": torch.full((4, 12), -1),
    }
    batch = {name: labels[name] if name in given else absent[name] for name in labels}
    batch["va"][0] = torch.nan  # one frame has other labels than the rest
    clip = torch.randint(0, 255, (4, 8, 32, 32, 3), dtype=torch.uint8)
    outputs = model({"clip": clip, "mel": torch.randn(4, 1, 64, 51)})
    found = method.loss(outputs, batch)
    assert all(torch.isfinite(value) for value in found.values())
    assert {name for name in labels if found[name] != 0} == set(given)
    found["total"].backward()
    changed = model.fc[1].weight.grad.abs().sum(dim=1) > 0
    columns = {"expression": slice(0, 8), "va": slice(8, 10), "action_units": slice(10, 22)}
    assert {name for name, place in columns.items() if changed[place].any()} == set(given)


def with_clips(batch):
    """A batch whose clips are written out, where it says which pictures they show."""
    if "pictures" not in batch:
        return batch
    rest = {name: values for name, values in batch.items() if name not in ("pictures", "shown")}
    return {**rest, "clip": batch["pictures"][batch["shown"]]}


@every_recipe
def test_a_batch_for_prediction_is_that_of_its_windows_one_by_one(tiny, name):
    method = tiny_set.create(name, tiny)
    windows = list(
        method.windows(trials_module.select(tiny_set.table(tiny), ["seen"])).itertuples(index=False)
    )[:20]
    one_by_one, together = (
        method.collate([method.example(window) for window in windows]),
        method.gather(windows, CPU),
    )
    together = with_clips(together)
    assert {"clip", "mel", "visual", "audio", "frame", "stream_pixels"} & together.keys()
    for key, values in together.items():
        torch.testing.assert_close(values, one_by_one[key], atol=1e-5, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": "published"},
        {"options": {"channels": 4}},
        {"rules": "published", "options": {"channels": 4}},
    ],
)
def test_a_batch_with_masks_or_by_the_published_rules_is_that_of_its_windows_one_by_one(
    tmp_path, monkeypatch, changes
):
    root, asked, read = tiny_set.make(tmp_path), [], faces.Faces.read

    def counted(self, indices):
        asked.extend(index for index in indices if index >= 0)
        return read(self, indices)

    place, generator = tiny_set.store(root), np.random.default_rng(0)
    noise = (generator.normal(size=3 * 44_100) * 3000).astype(np.int16)
    if "rules" in changes:  # the corrected rules' mel would be asked for as made from it
        tiny_set.write(
            place, "seen", request("audio_44k", rate=44_100), noise, t0=0.02, rate=44_100
        )
    masks = generator.integers(0, 256, (50, 112, 112)).astype(np.uint8)
    method, plain = (tiny_set.create("tsav", root, **changes) for _ in range(2))
    for each in (method, plain):  # masks come from landmarks, which this set does not have
        each._opened["read", "seen", request("mask")] = masks
    windows = method.windows(trials_module.select(tiny_set.table(root), ["seen"])).sort_values(
        "first_target"
    )
    windows = list(windows.itertuples(index=False))[30:50]
    one_by_one = plain.collate([plain.example(window) for window in windows])
    monkeypatch.setattr(faces.Faces, "read", counted)
    together = with_clips(method.gather(windows, CPU))
    assert together.keys() == {"clip", "mel"}
    for key, values in together.items():
        assert torch.equal(values, one_by_one[key])
    assert sorted(asked) == list(range(50)), "each picture once"


def test_windows_of_several_trials_make_a_batch_too(tiny):
    method = tiny_set.create("tsav", tiny)
    windows = list(
        method.windows(trials_module.select(tiny_set.table(tiny), ["seen", "short"])).itertuples(
            index=False
        )
    )
    assert len({window.trial for window in windows[45:55]}) == 2
    assert len(method.gather(windows[45:55], CPU)["clip"]) == 10
