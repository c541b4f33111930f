"""What must hold for any input: of the CCC and its loss, of windows, of masks, of smoothing."""

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lib import metrics
from lib.evaluation import smoothing
from lib.features import windows
from lib.training import losses

numbers = st.floats(-10, 10, width=32)
settings.register_profile("short", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("short")


@st.composite
def pairs(draw, least=2):
    n = draw(st.integers(least, 40))
    x, y = (draw(arrays(np.float64, n, elements=numbers)) for _ in range(2))
    assume(x.std() > 1e-2 and y.std() > 1e-2)
    return x, y


def loss(x, y, mask=None, rules="corrected"):
    return float(losses.ccc_loss(torch.from_numpy(x), torch.from_numpy(y), mask, rules))


# ---- concordance


@given(pairs(), st.floats(-5, 5), st.floats(0.1, 10))
def test_ccc_stays_when_both_are_moved_and_stretched_alike(pair, shift, scale):
    x, y = pair
    assert np.isclose(
        metrics.ccc(scale * x + shift, scale * y + shift), metrics.ccc(x, y), atol=1e-6
    )
    assert np.isclose(loss(scale * x + shift, scale * y + shift), loss(x, y), atol=1e-6)


@given(pairs(), st.floats(-5, 5), st.floats(0.1, 10))
def test_ccc_is_at_most_the_correlation_whatever_moves_and_stretches_one_of_them(
    pair, shift, scale
):
    x, y = pair
    moved = metrics.ccc(scale * x + shift, y)
    assert abs(moved) <= abs(metrics.pcc(x, y)) + 1e-9
    assert np.isclose(metrics.ccc(x, x + shift), 2 * x.var() / (2 * x.var() + shift**2))


@given(pairs())
def test_ccc_is_symmetric_within_one_and_turns_with_the_sign(pair):
    x, y = pair
    assert -1 - 1e-9 <= metrics.ccc(x, y) <= 1 + 1e-9
    assert np.isclose(metrics.ccc(x, y), metrics.ccc(y, x))
    assert np.isclose(metrics.ccc(x, x), 1)
    assert np.isclose(metrics.ccc(-x, -y), metrics.ccc(x, y))
    assert np.isclose(loss(x, y), 1 - metrics.ccc(x, y), atol=1e-9)


@given(pairs(least=4))
def test_the_gradient_of_the_ccc_loss_is_the_one_that_differences_show(pair):
    x, y = (torch.from_numpy(each) for each in pair)
    # The published form cuts roots off at zero; away from there it is smooth as well.
    for rules in ("corrected", "published"):
        assert torch.autograd.gradcheck(
            lambda p, rules=rules: losses.ccc_loss(p, y, None, rules),
            x.requires_grad_(),
            eps=1e-6,
            atol=1e-4,
            rtol=1e-3,
        )


# ---- labels that are not there


@given(pairs(), arrays(np.float64, 5, elements=numbers))
def test_frames_without_a_label_never_change_score_loss_or_gradient(pair, more):
    x, y = pair
    wide, none = np.concatenate([x, more]), np.concatenate([y, np.full(5, np.nan)])
    assert metrics.ccc(wide, none) == metrics.ccc(x, y)
    prediction = torch.from_numpy(wide).requires_grad_()
    found = losses.va_loss(
        torch.stack([prediction] * 2, -1), torch.from_numpy(np.stack([none] * 2, -1))
    )
    found.backward()
    assert np.isclose(float(found.detach()), 2 * loss(x, y))
    assert not prediction.grad[len(x) :].any()
    mask = torch.arange(len(wide)) < len(x)
    assert np.isclose(loss(wide, np.concatenate([y, more]), mask), loss(x, y))


@given(arrays(np.float64, st.integers(1, 60), elements=numbers), st.integers(1, 80))
def test_smoothing_keeps_constants_and_bounds_and_never_fills_a_gap(x, width):
    smooth = smoothing.box(x, width)
    assert x.min() - 1e-6 <= smooth.min() <= smooth.max() <= x.max() + 1e-6
    assert np.allclose(smoothing.box(np.full_like(x, 0.3), width), 0.3)
    gap = x.copy()
    gap[::3] = np.nan
    assert np.array_equal(np.isnan(smoothing.box(gap, width)), np.isnan(gap))


# ---- windows


@given(st.integers(0, 3000), st.integers(1, 40), st.integers(1, 64))
def test_every_frame_is_a_target_once(n_frames, steps, hop):
    targets = windows.sequences(n_frames, steps, hop)
    assert np.array_equal(np.sort(targets[targets >= 0]), np.arange(n_frames))
    assert targets.shape[1] == steps


@given(st.integers(0, 3000))
def test_every_frame_is_a_target_once_by_the_published_rule_too(n_frames):
    targets = windows.published_sequences(n_frames, training=False)
    assert np.array_equal(np.sort(targets[targets >= 0]), np.arange(n_frames))


@given(arrays(bool, st.integers(1, 120)), st.integers(1, 40), st.integers(1, 10))
def test_a_step_looks_at_existing_frames_of_its_own_past_only(present, span, length):
    chosen = windows.look_back(present, span, length)
    frames = np.arange(len(present))[:, None]
    seen = chosen >= 0
    assert present[chosen[seen]].all()
    assert ((chosen <= frames) & (chosen > frames - span))[seen].all()
    assert (np.diff(chosen, axis=1) >= 0).all()
