"""From what a training may be resumed: a checkpoint of the same parameters, trials and code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import code_digest, grammar
from ..errors import InputError
from ..models import checkpoints


def refuse_another(saved: Mapping, params: Mapping, trials: Sequence[str], folder: Path) -> None:
    """Raise InputError if the checkpoint `saved` in a run folder was made with other parameters,
    other training `trials` or other code. Parameters that no training depends on, and `epochs`, may
    differ; a parameter or option that was introduced later counts as having had its default.
    """
    _refuse_other_parameters(saved["params"], checkpoints.plain(params), folder)
    if other := sorted(set(trials) ^ set(saved.get("trained_on", trials))):
        raise InputError(
            "the run folder holds weights and statistics of other training trials, as of another "
            f"fold ({len(other)} differ, first: {other[0]})",
            where=folder,
            todo="give this experiment another name with `run`, or bring the fold file back",
        )
    _refuse_other_code(saved.get("code", {}), folder)


def _refuse_other_parameters(before: Mapping, mine: Mapping, folder: Path) -> None:
    names = grammar.all_declared()
    may_differ = grammar.of_groups(names, grammar.NOT_OF_A_TRAINING) | {"epochs"}
    its = {name: value for name, value in grammar.defaults(names).items() if name in mine}
    its |= grammar.with_options(before)
    counted = {*mine, *its} - may_differ
    differing = sorted(name for name in counted if mine.get(name) != its.get(name))
    if differing:
        changes = ", ".join(
            f"{name} ({its.get(name)!r} there, {mine.get(name)!r} now)" for name in differing
        )
        raise InputError(
            f"the run folder holds a training with other parameters: {changes}",
            where=folder,
            todo="give this experiment another name with `run`, or rename the old folder",
        )


def _refuse_other_code(before: Mapping[str, str], folder: Path) -> None:
    """Raise InputError if a network, recipe or loss was edited after the training in `folder`
    began.
    """
    now = code_digest.method()
    if changed := sorted(file for file in now if before.get(file, now[file]) != now[file]):
        raise InputError(
            f"the run folder holds a training by other code: {', '.join(changed)} changed since",
            where=folder,
            expected="the code that the training began with",
            todo="give this experiment another name with `run`, or rename the old folder",
        )
