"""95 % intervals of a score, by leaving out each subject once (jackknife over clusters).

The uncertainty is about which people were recorded: frames of a trial and trials of a person
resemble each other, so the unit that is left out is the subject, or the trial if no subject is
known. The interval is ``z ± t · s``, taken back to the scale of the score:

* z is the score on a scale on which its spread hardly depends on its value (`SCALES`);
* ``s² = Σ (zᵢ − mean of all zᵢ)²``, zᵢ without unit i. This is the jackknife's variance times
  n / (n − 1), the form called HC3 (MacKinnon and White, Journal of Econometrics 29, 1985);
* t is the 97.5 % quantile of Student's distribution with n − 1 degrees of freedom.

No random number is involved. docs/intervals.md says how often such intervals hold the true value,
and benchmarks/coverage.py measured it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

MIN_UNITS = 8  # from here on, coverage is nominal in benchmarks/coverage.py
LEVEL = 0.95
_END = 1 - 1e-12  # Fisher's z of a correlation of 1 is infinite
_SAME = 1e-12  # a smaller spread is rounding

# name: (score -> z, z -> score)
SCALES: dict[str, tuple[Callable, Callable]] = {
    "plain": (np.asarray, np.asarray),  # differences
    "correlation": (lambda r: np.arctanh(np.clip(r, -_END, _END)), np.tanh),  # Fisher's z
    "share": (
        lambda p: np.arcsin(np.sqrt(np.clip(p, 0, 1))),  # variance-stabilising, finite at 0 and 1
        lambda z: np.sin(np.clip(z, 0, np.pi / 2)) ** 2,
    ),
    "positive": (lambda x: np.log(np.maximum(x, np.finfo(float).tiny)), np.exp),
}


def units(names: Sequence[str], *owners: Mapping[str, str]) -> np.ndarray:
    """(trials,) int: the number of the unit that each trial belongs to, from 0.

    names : of the trials. owners : mappings trial -> subject (or video); trials that share an owner
        in any of them are one unit, also through a third trial. A trial without an owner, or with
        "" for one, is a unit of its own.
    """
    rows, columns = list(range(len(names))), list(range(len(names)))
    for owner in owners:
        first: dict[str, int] = {}
        for number, name in enumerate(names):
            if owner.get(name):
                rows.append(number)
                columns.append(first.setdefault(owner[name], number))
    # Training imports this module but needs no interval, so SciPy is imported here only.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(names),) * 2)
    return connected_components(links, directed=False)[1]


def by_unit(sums: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """(units, k): the rows (trials, k) of each unit added up."""
    added = np.zeros((int(unit.max(initial=-1)) + 1, *sums.shape[1:]))
    np.add.at(added, unit, sums)
    return added


def without_each(sums: np.ndarray) -> np.ndarray:
    """(n, k): the sum of all rows but row i. Nothing is subtracted, so that a sum of zeros is
    exactly 0.
    """
    nothing = np.zeros((1, *sums.shape[1:]))
    before = np.concatenate([nothing, np.cumsum(sums, axis=0)[:-1]])
    after = np.concatenate([np.cumsum(sums[::-1], axis=0)[-2::-1], nothing])
    return before + after


def around(
    score: float, left_out: np.ndarray, scale: str = "plain", n_trials: int | None = None
) -> dict:
    """{"ci95": [low, high]}, or {"ci95": None, "why": …}: the interval of one score.

    score : of all units. left_out : (n,) the same score without unit i. scale : see `SCALES`.
        n_trials : how many trials the n units have, for the sentence under "why".

    There is no interval for fewer than `MIN_UNITS` units; if the score or one of `left_out` is
    undefined (NaN), as the AP is when only one recording has a speaker; and if the score is the
    same whoever is left out, because a spread of zero says nothing about other people.
    """
    left_out = np.asarray(left_out, np.float64)
    if why := _why_none(score, left_out, n_trials):
        return {"ci95": None, "why": why}
    forward, back = SCALES[scale]
    return _ends(float(forward(score)), forward(left_out), [], back)


def over_seeds(
    scores: Sequence[float], left_out: np.ndarray, scale: str, n_trials: int | None = None
) -> dict:
    """Like `around`, for the mean score of an experiment that was trained with several seeds: the
    interval covers other seeds *and* other people.

    scores : (S,) of all units, one per seed; left_out : (S, n) the same without unit i. The
        variance
    of the mean z is the units' (s² of the mean over seeds) plus the seeds' (their sample variance /
    S); the degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946). With one seed it
    is `around`.
    """
    scores, left_out = np.asarray(scores, np.float64), np.asarray(left_out, np.float64)
    if why := _why_none(float(scores.mean()), left_out.mean(axis=0), n_trials):
        return {"ci95": None, "why": why}
    forward, back = SCALES[scale]
    z = forward(scores)
    return _ends(float(z.mean()), forward(left_out).mean(axis=0), [z], back)


def of_difference(
    first: Sequence[float],
    first_left_out: np.ndarray,
    second: Sequence[float],
    second_left_out: np.ndarray,
    n_trials: int | None = None,
) -> dict:
    """Interval of the mean score of `first` minus that of `second`, on the same units: each is left
    out of both.

    first, second : (S,) scores of all units, one per seed; S may differ, and is mostly 1.
    first_left_out, second_left_out : (S, n) the same without unit i. If an experiment has several
    seeds, their variance counts, too. The variance of a single seed is unknown; the interval is
    then about these two trained networks.
    """
    first, second = (np.asarray(scores, np.float64) for scores in (first, second))
    apart = np.mean(first_left_out, axis=0) - np.mean(second_left_out, axis=0)
    gain = float(first.mean() - second.mean())
    if why := _why_none(gain, apart, n_trials):
        return {"ci95": None, "why": why}
    return _ends(gain, apart, [first, second], SCALES["plain"][1])


def rounded(value: float | None, digits: int = 2) -> str:
    """A score as text: ``0.43``; "" without a score. −0.00 becomes 0.00."""
    if value is None or value == "" or np.isnan(value):
        return ""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def in_brackets(low: float | None, high: float | None, digits: int = 2) -> str:
    """The text of an interval after a score: `` [0.30, 0.51]``; "" without one."""
    ends = rounded(low, digits), rounded(high, digits)
    return f" [{ends[0]}, {ends[1]}]" if all(ends) else ""


def _ends(centre: float, left_out: np.ndarray, seeds: list[np.ndarray], back: Callable) -> dict:
    """{"ci95"} around the centre, of the spread over units and the spread over each of `seeds`."""
    parts = [(spread(left_out) ** 2, len(left_out) - 1)]
    parts += [(float(z.var(ddof=1)) / len(z), len(z) - 1) for z in seeds if len(z) > 1]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    half = quantile(freedom) * np.sqrt(variance)
    return {"ci95": [float(end) for end in back(centre + np.array([-half, half]))]}


def _why_none(score: float, left_out: np.ndarray, n_trials: int | None) -> str:
    n = len(left_out)
    if n < MIN_UNITS:
        return why_too_few(n, n if n_trials is None else n_trials)
    if np.isnan(score):
        return "the score is undefined"
    if lost := int(np.isnan(left_out).sum()):
        return f"without {lost} of the {n} subjects or trials the score is undefined"
    if np.ptp(left_out) < _SAME:
        return "the score is the same whichever trial is left out"
    return ""


def why_too_few(n_units: int, n_trials: int) -> str:
    """The reason given when fewer than `MIN_UNITS` units allow no interval."""
    if n_units == n_trials:
        return f"{n_trials} labelled trials: an interval over trials needs at least {MIN_UNITS}"
    return (
        f"{n_units} subjects in {n_trials} labelled trials: an interval over subjects needs at "
        f"least {MIN_UNITS}"
    )


def spread(z: np.ndarray) -> float:
    """s of the module's docstring: √Σ (zᵢ − mean)²."""
    return float(np.sqrt(((z - z.mean()) ** 2).sum()))


def quantile(freedom: float) -> float:
    """97.5 % quantile of Student's t with that many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))
