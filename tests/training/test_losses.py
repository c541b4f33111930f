import json
import math
from functools import partial

import numpy as np
import pytest
import torch

from lib.errors import InputError
from lib.training import losses
from tests.shared_files import shared

NAN = float("nan")


def _curves():
    n = torch.arange(100, dtype=torch.float64)
    return torch.sin(0.1 * n), 0.5 * torch.sin(0.1 * n + 0.3) + 0.1


def test_ccc_equals_the_golden_numbers_in_both_rules():
    golden = json.loads(shared("specs/goldens_tsav_jca.json").read_text())["ccc"]
    x, y = _curves()
    assert 1 - losses.ccc_loss(x, y).item() == pytest.approx(golden["metric_biased"], abs=1e-6)
    published = losses.ccc_loss(x, y, rules="published").item()
    assert published == pytest.approx(golden["train_loss_unbiased"], abs=1e-6)


def test_ccc_falls_with_shift_and_scale_and_is_one_for_equality():
    x, y = _curves()
    assert losses.ccc_loss(y, y).item() == pytest.approx(0)
    assert losses.ccc_loss(y + 0.3, y) > losses.ccc_loss(y + 0.1, y) > 0
    assert losses.ccc_loss(2 * y, y) > 0
    assert torch.allclose(losses.ccc_loss(3 * x + 1, 3 * y + 1), losses.ccc_loss(x, y))
    assert losses.ccc_loss(-y, y) > 1


@pytest.mark.parametrize("rules", ["corrected", "published"])
def test_the_gradient_of_the_ccc_loss_is_right(rules):
    x, y = _curves()
    x = x[::5].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: losses.ccc_loss(p, y[::5], rules=rules), x)


@pytest.mark.parametrize("kind", losses.VA_LOSSES)
@pytest.mark.parametrize("rules", ["corrected", "published"])
def test_unlabelled_entries_change_neither_value_nor_gradient(kind, rules):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(4, 6, 2, generator=generator) * 2 - 1
    target[0, :, 0] = NAN
    target[2, 3] = NAN
    value, gradient = None, None
    for other in (0.0, 100.0, NAN):  # what the network says where there is no label
        prediction = torch.rand(4, 6, 2, generator=torch.Generator().manual_seed(1))
        prediction = torch.where(torch.isnan(target), other, prediction).requires_grad_()
        loss = losses.va_loss(prediction, target, kind, rules=rules)
        loss.backward()
        assert (prediction.grad[torch.isnan(target)] == 0).all()
        assert (prediction.grad[~torch.isnan(target)] != 0).any()
        assert value is None or (loss == value and torch.equal(prediction.grad, gradient))
        value, gradient = loss.detach(), prediction.grad


def test_va_loss_is_the_sum_of_the_emotions_over_their_own_labels():
    x, y = _curves()
    prediction, target = torch.stack([x, y], -1), torch.stack([y, x], -1)
    target[:50, 1] = NAN
    ccc = losses.ccc_loss(x, y) + losses.ccc_loss(y[50:], x[50:])
    mse = (x - y).square().mean() + (x - y)[50:].square().mean()
    assert torch.allclose(losses.va_loss(prediction, target), ccc)
    assert torch.allclose(losses.va_loss(prediction, target, "mse"), mse)
    assert torch.allclose(losses.va_loss(prediction, target, "mse_ccc"), mse + ccc / 2)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_the_mixed_loss_is_the_squared_error_plus_the_weighted_rest_of_the_ccc(weight):
    x, y = torch.randn(2, 9, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = 0.0
    for a, b in zip(x.T.numpy(), y.T.numpy(), strict=True):
        ccc = 2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
        expected += ((a - b) ** 2).mean() + weight * (1 - ccc)
    found = losses.va_loss(x, y, "mse_ccc", ccc_weight=weight)
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert losses.va_loss(x, y, "ccc", ccc_weight=weight) == losses.va_loss(x, y, "ccc")


def test_masked_steps_count_as_unlabelled():
    x, y = _curves()
    mask = torch.arange(100) < 60
    alike = partial(torch.testing.assert_close, rtol=1e-13, atol=0)  # zeros are added in between
    alike(losses.ccc_loss(x, y, mask), losses.ccc_loss(x[:60], y[:60]))
    prediction, target = torch.stack([x, x], -1), torch.stack([y, y], -1)
    whole = losses.va_loss(prediction, target, "mse", mask)
    alike(whole, losses.va_loss(prediction[:60], target[:60], "mse"))


@pytest.mark.parametrize(
    "loss",
    [
        lambda p: losses.va_loss(p, torch.full((5, 2), NAN), "mse_ccc"),
        lambda p: losses.expression_loss(p, torch.full((5,), -1)),
        lambda p: losses.action_unit_loss(p, torch.full((5, 2), -1)),
    ],
)
def test_a_batch_without_labels_gives_zero_with_a_gradient_of_zeros(loss):
    prediction = torch.full((5, 2), NAN, requires_grad=True)
    value = loss(prediction)
    value.backward()
    assert value == 0
    assert (prediction.grad == 0).all()


@pytest.mark.parametrize("rules", ["corrected", "published"])
@pytest.mark.parametrize(
    ("prediction", "target"),
    [
        ([0.3], [0.3]),
        ([0.3], [0.5]),
        ([0.2, 0.2], [0.2, 0.2]),
        ([0.2, 0.2], [-0.1, 0.4]),
        ([0.1, 0.2], [0.5, 0.5]),
    ],
)
def test_degenerate_batches_give_a_ccc_of_zero_and_finite_gradients(prediction, target, rules):
    x = torch.tensor(prediction, requires_grad=True)
    loss = losses.ccc_loss(x, torch.tensor(target), rules=rules)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert torch.isfinite(x.grad).all()


def test_class_losses_are_divided_by_the_number_of_labelled_samples():
    logits = torch.randn(6, 7, generator=torch.Generator().manual_seed(2), requires_grad=True)
    target = torch.tensor([0, -1, 3, 6, -1, 1])
    rows = target >= 0
    plain = -torch.log_softmax(logits[rows], -1)[torch.arange(4), target[rows]].sum() / 4
    assert torch.allclose(losses.expression_loss(logits, target), plain)

    units = torch.tensor([[1, 0, -1, 1, 0, 0, 1], [-1] * 7]).repeat(3, 1)
    labelled = units >= 0
    odds = torch.where(units == 1, logits, -logits)[labelled]
    plain = -torch.nn.functional.logsigmoid(odds).mean()
    assert torch.allclose(losses.action_unit_loss(logits, units), plain)


def test_half_precision_predictions_are_summed_in_single():
    x, y = _curves()
    loss = losses.ccc_loss(x.half(), y.float())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(losses.ccc_loss(x, y).item(), abs=1e-3)


def test_wrong_arguments_are_named():
    x, y = _curves()
    with pytest.raises(InputError, match="prediction"):
        losses.ccc_loss(x, y[1:])
    with pytest.raises(InputError, match="'pcc'"):
        losses.va_loss(torch.zeros(1, 2), torch.zeros(1, 2), "pcc")
    with pytest.raises(InputError, match="'old'"):
        losses.ccc_loss(x, y, rules="old")


def test_guessed_shares_count_only_where_there_is_no_label():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0], [0.0, 1.0, 2.0]], requires_grad=True)
    target = torch.tensor([0, -1, -1])
    nan = float("nan")
    shares = torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.25, 0.25], [nan, nan, nan]])
    log = logits.detach().log_softmax(dim=1)
    expected = -(log[0, 0] + 0.5 * log[1, 0] + 0.25 * log[1, 1] + 0.25 * log[1, 2]) / 2
    found = losses.expression_loss(logits, target, shares)
    torch.testing.assert_close(found.detach(), expected)
    found.backward()
    assert not logits.grad[2].any(), "neither a label nor a guess"
    assert torch.isfinite(logits.grad).all()


def test_shares_without_a_guess_change_nothing():
    logits, target = torch.randn(4, 3), torch.tensor([0, 2, -1, 1])
    nothing = torch.full((4, 3), float("nan"))
    torch.testing.assert_close(
        losses.expression_loss(logits, target, nothing), losses.expression_loss(logits, target)
    )


# ---- one CCC a window


def test_window_loss_is_the_mean_of_one_ccc_a_window():
    x, y = torch.randn(3, 50), torch.randn(3, 50)
    y[0, :20], y[2] = float("nan"), float("nan")
    y[2, 4] = 0.3  # a single label says nothing
    alone = [losses.ccc_loss(x[row], y[row]) for row in (0, 1)]
    assert torch.allclose(losses.window_ccc_loss(x, y), sum(alone) / 2)


def test_window_loss_ignores_what_is_masked_in_value_and_gradient():
    x = torch.randn(2, 30, requires_grad=True)
    y = torch.randn(2, 30)
    mask = torch.arange(30) < 20
    shorter = losses.window_ccc_loss(x[:, :20], y[:, :20])
    y[:, 20:] = float("nan")
    found = losses.window_ccc_loss(x, y, mask.expand(2, 30))
    assert torch.allclose(found, shorter)
    found.backward()
    assert not x.grad[:, 20:].any()
    assert torch.isfinite(x.grad).all()


def test_published_window_loss_counts_unlabelled_entries_as_zero():
    """LFAN specification 3.7: biased covariance, unbiased variances, 1e-8."""
    x, y = torch.randn(2, 40, dtype=torch.float64), torch.randn(2, 40, dtype=torch.float64)
    y[1, 30:] = float("nan")
    gold = y.nan_to_num(0.0)
    cov = ((x - x.mean(1, True)) * (gold - gold.mean(1, True))).mean(1)
    expected = 1 - 2 * cov / (x.var(1) + gold.var(1) + (x.mean(1) - gold.mean(1)) ** 2 + 1e-8)
    assert torch.allclose(losses.window_ccc_loss(x, y, rules="published"), expected.mean())


def test_window_loss_without_labels_is_zero_and_constants_give_one():
    x = torch.zeros(2, 9, requires_grad=True)
    found = losses.window_ccc_loss(x, torch.full((2, 9), float("nan")))
    found.backward()
    assert found == 0
    assert losses.window_ccc_loss(torch.zeros(1, 9), torch.zeros(1, 9)) == 1
    assert losses.window_ccc_loss(torch.zeros(1, 9), torch.zeros(1, 9), rules="published") == 1


def test_the_likelihood_is_what_a_plain_loop_finds_and_leaves_out_what_is_unlabelled():
    torch.manual_seed(0)
    mean, spread = torch.randn(4, 5), torch.randn(4, 5)
    target, mask = torch.randn(4, 5), torch.rand(4, 5) > 0.3
    target[0, :3] = NAN
    found = []
    for i in range(4):
        for k in range(5):
            mu, variance, y = mean[i, k].item(), math.exp(spread[i, k].item()), target[i, k].item()
            if mask[i, k] and not math.isnan(y):
                density = math.exp(-((y - mu) ** 2) / (2 * variance))
                found.append(-math.log(density / math.sqrt(2 * math.pi * variance)))
    told = losses.gaussian_nll(mean, spread, target, mask).item()
    assert told == pytest.approx(sum(found) / len(found), rel=1e-5)


def test_the_likelihood_without_labels_is_a_zero_that_can_be_differentiated():
    mean, spread = (torch.randn(3, requires_grad=True) for _ in range(2))
    loss = losses.gaussian_nll(mean, spread, torch.full((3,), NAN))
    loss.backward()
    assert loss.item() == 0
    assert not mean.grad.any()
    assert not spread.grad.any()


def test_the_likeliest_variance_is_that_of_the_errors():
    errors = torch.linspace(-1, 1, 101)
    spread = torch.zeros(101, requires_grad=True)
    level = errors.square().mean().log()
    losses.gaussian_nll(torch.zeros(101), spread + level, errors).backward()
    assert spread.grad.sum().abs() < 1e-6
