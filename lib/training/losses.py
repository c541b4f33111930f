"""Losses of valence, arousal, expressions and action units. Missing labels never count.

Unlabelled is NaN in valence and arousal, -1 in classes. An unlabelled entry adds nothing to a loss
nor to its gradient, and a batch without any label gives zero that can still be differentiated, so
that a trainer needs no special case.

Entries are masked, not selected: selecting needs the number of labelled entries, and reading it
from the GPU would make the processor wait in each of these functions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError

VA_LOSSES = ("ccc", "mse", "mse_ccc")
CCC_WEIGHT = 0.5  # of 1 − CCC beside the squared error (sample specification, section 6)


def ccc_loss(
    prediction: Tensor, target: Tensor, mask: Tensor | None = None, rules: str = "corrected"
) -> Tensor:
    """One minus the concordance correlation coefficient (Lin 1989) of all labelled entries.

    Arguments
    ---------
    prediction : any shape, float.
    target : the same shape; NaN = unlabelled.
    mask : the same shape, bool, True = counts; default all that are labelled.
    rules : "corrected": population moments, as in the metric, 2·cov / (var_x + var_y + (mean_x -
        mean_y)²); "published": ρ with 1e-8 in its denominator, times unbiased standard deviations
        (specification 2.8).

    Returns a scalar in 0…2. Where the coefficient is 0/0 (one label, equal constants) it is 0.
    """
    if rules not in ("corrected", "published"):
        raise InputError(
            f"rules {rules!r}", where="losses.ccc_loss", expected="corrected or published"
        )
    x, y, counts = _labelled(prediction, target, mask)
    ccc = _ccc(x, y, counts) if rules == "corrected" else _published_ccc(x, y, counts)
    return (1 - ccc) * counts.any()


def mse_loss(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of the squared differences of all labelled entries; arguments as in `ccc_loss`."""
    x, y, counts = _labelled(prediction, target, mask)
    return (x - y).square().sum() / counts.sum().clamp_min(1)


def gaussian_nll(
    mean: Tensor, log_variance: Tensor, target: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Negative log-likelihood of a normal distribution, the mean over all labelled entries:
    ½ (log 2π + log σ² + (y − μ)² / σ²) (Nix and Weigend 1994).

    Arguments
    ---------
    mean, log_variance : the same shape, float: μ and log σ². target : the same shape; NaN =
        unlabelled. mask : the same shape, bool, True = counts; default all that are labelled.
    """
    x, y, counts = _labelled(mean, target, mask)
    spread = _accurate(log_variance).masked_fill(~counts, 0.0)
    squares = (y - x).square() * torch.exp(-spread)
    nll = 0.5 * (math.log(2 * math.pi) + spread + squares)
    return (nll * counts).sum() / counts.sum().clamp_min(1)


def va_loss(
    prediction: Tensor,
    target: Tensor,
    kind: str = "ccc",
    mask: Tensor | None = None,
    rules: str = "corrected",
    ccc_weight: float = CCC_WEIGHT,
) -> Tensor:
    """Loss of valence plus loss of arousal, each over its own labelled entries of the whole batch.

    Arguments
    ---------
    prediction : (…, 2) float: valence, arousal.
    target : (…, 2) float, NaN = unlabelled.
    kind : "ccc": 1 - CCC (specification 2.8); "mse": squared error, for batches too small for a
        CCC; "mse_ccc": squared error plus `ccc_weight` times 1 - CCC.
    mask : (…) bool, True = counts, e.g. the steps of a window that are not filled up; default all.
    rules : see `ccc_loss`.

    Returns a scalar: the sum of the two emotions (not their mean).
    """
    if kind not in VA_LOSSES:
        known = " or ".join(VA_LOSSES)
        raise InputError(f"va_loss {kind!r}", where="losses.va_loss", expected=known)
    if prediction.shape != target.shape:  # otherwise they would silently be broadcast
        raise InputError(
            f"the network's va is {tuple(prediction.shape)}, the labels are {tuple(target.shape)}",
            where="losses.va_loss",
            expected="one valence and arousal for each step of the labels",
            todo="mend the last layer of the network, or what its forward returns",
        )
    total = torch.zeros((), device=prediction.device)
    for emotion in range(2):
        x, y = prediction[..., emotion], target[..., emotion]
        if kind != "ccc":
            total = total + mse_loss(x, y, mask)
        if kind != "mse":
            weight = 1.0 if kind == "ccc" else ccc_weight
            total = total + weight * ccc_loss(x, y, mask, rules)
    return total


def window_ccc_loss(
    prediction: Tensor, target: Tensor, mask: Tensor | None = None, rules: str = "corrected"
) -> Tensor:
    """Mean over windows of 1 − CCC of each window's labelled entries (LFAN specification 3.7).

    Arguments
    ---------
    prediction : (B, T) float. target : (B, T) float, NaN = unlabelled. mask : (B, T) bool, True =
        counts.
    rules : "corrected": population moments; windows with fewer than two labelled entries say
        nothing and are left out. "published": unbiased variances beside the biased covariance, plus
        1e-8; entries without a label count as 0.

    Returns a scalar in 0…2.
    """
    _refuse_other_windows(prediction, target, rules)
    counts = ~torch.isnan(target) if mask is None else ~torch.isnan(target) & mask.bool()
    is_double = prediction.dtype == torch.float64
    x, y = _accurate(prediction), target.to(torch.float64 if is_double else torch.float32)
    if rules == "published":
        x, y, counts = x, y.nan_to_num(0.0), torch.ones_like(counts)
    n = counts.sum(dim=1)
    mean = lambda values: (values * counts).sum(dim=1) / n.clamp_min(1)  # noqa: E731
    # Selected, not multiplied: what stands in an entry that does not count may be NaN.
    x, y = x.masked_fill(~counts, 0.0), y.masked_fill(~counts, 0.0)
    mx, my = mean(x), mean(y)
    dx, dy = (x - mx[:, None]) * counts, (y - my[:, None]) * counts
    covariance, var_x, var_y = mean(dx * dy), mean(dx.square()), mean(dy.square())
    if rules == "published":
        unbiased = n / (n - 1).clamp_min(1)
        spread = (var_x + var_y) * unbiased + (mx - my).square() + 1e-8
        return (1 - 2 * covariance / spread).mean()
    spread = (var_x + var_y + (mx - my).square()).clamp_min(torch.finfo(x.dtype).tiny)
    chosen = n >= 2
    losses = (1 - 2 * covariance / spread).masked_fill(~chosen, 0.0)
    return losses.sum() / chosen.sum().clamp_min(1)


def _refuse_other_windows(prediction: Tensor, target: Tensor, rules: str) -> None:
    where = "losses.window_ccc_loss"
    if prediction.shape != target.shape or prediction.ndim != 2:
        raise InputError(
            f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}",
            where=where,
            expected="two tensors (B, T)",
        )
    if rules not in ("corrected", "published"):
        raise InputError(f"rules {rules!r}", where=where, expected="corrected or published")


def expression_loss(logits: Tensor, target: Tensor, shares: Tensor | None = None) -> Tensor:
    """Cross-entropy, divided by the number of labelled samples (specification 1.9).

    Arguments
    ---------
    logits : (…, E) float.
    target : (…) int, class 0…E-1; -1 = unlabelled.
    shares : (…, E) float, guessed shares of the classes where there is no label
        (`lib.labels.pseudo`); NaN = no guess.
    """
    labelled = target >= 0
    total = _cross_entropy(logits, target.long().clamp_min(0), labelled)
    number = labelled.sum()
    if shares is not None:
        guessed = ~labelled & ~torch.isnan(shares).any(dim=-1)
        total = total + _cross_entropy(logits, shares.nan_to_num(0.0), guessed)
        number = number + guessed.sum()
    return total / number.clamp_min(1)


def _cross_entropy(logits: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Sum over the samples that count; target : class numbers (…), or shares (…, E)."""
    x = _accurate(logits).masked_fill(~counts[..., None], 0.0).flatten(0, -2)
    target = target.flatten(0, -2) if target.ndim == logits.ndim else target.flatten()
    return (functional.cross_entropy(x, target, reduction="none") * counts.flatten()).sum()


def action_unit_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of all labelled (sample, unit) pairs, divided by their number.

    Where all units of a sample are labelled, as in Aff-Wild2, this is the specification's division
    by the number of labelled samples (1.9), with the mean over units as the loss of a sample.

    Arguments
    ---------
    logits : (…, U) float, before the sigmoid.
    target : (…, U) int: 1 active, 0 not, -1 unlabelled.
    """
    labelled = target >= 0
    x = _accurate(logits).masked_fill(~labelled, 0.0)
    losses = functional.binary_cross_entropy_with_logits(
        x, target.clamp_min(0).to(x.dtype), reduction="none"
    )
    return (losses * labelled).sum() / labelled.sum().clamp_min(1)


def _labelled(
    prediction: Tensor, target: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions and targets, 0 in entries that do not count, and which entries count."""
    if prediction.shape != target.shape:
        raise InputError(
            f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}",
            where="losses",
            expected="two tensors of the same shape",
        )
    counts = ~torch.isnan(target)
    if mask is not None:
        counts = counts & mask.bool()
    # Filled, not multiplied by zero: NaN times zero is NaN, in the gradient too.
    x = _accurate(prediction).masked_fill(~counts, 0.0)
    return x, target.to(x.dtype).masked_fill(~counts, 0.0), counts


def _centred(x: Tensor, y: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Deviations from the means (0 in entries that do not count), the squared difference of the
    means, the number of entries, at least 1.
    """
    n = counts.sum().clamp_min(1)
    mean_x, mean_y = x.sum() / n, y.sum() / n
    return (x - mean_x) * counts, (y - mean_y) * counts, (mean_x - mean_y).square(), n


def _ccc(x: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    dx, dy, apart, n = _centred(x, y, counts)
    spread = dx.square().sum() / n + dy.square().sum() / n + apart
    # The smallest normal number only keeps 0/0 from being NaN; no constant is added to real data.
    return 2 * ((dx * dy).sum() / n) / spread.clamp_min(torch.finfo(x.dtype).tiny)


def _published_ccc(x: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    dx, dy, apart, n = _centred(x, y, counts)
    tiny = torch.finfo(x.dtype).tiny  # the root of exactly zero has no gradient
    root_x, root_y = (d.square().sum().clamp_min(tiny).sqrt() for d in (dx, dy))
    rho = (dx * dy).sum() / (root_x * root_y + 1e-8)
    root_of_less = (n - 1).clamp_min(1).sqrt()
    s_x, s_y = root_x / root_of_less, root_y / root_of_less
    spread = s_x.square() + s_y.square() + apart
    return 2 * rho * s_x * s_y / spread.clamp_min(tiny)


def _accurate(x: Tensor) -> Tensor:
    """Half precision (autocast) is too coarse for sums of squares."""
    return x if x.dtype == torch.float64 else x.float()
