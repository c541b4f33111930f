"""Whether a network was trained on arrays that the present version makes differently
(`arrays.how_read`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .. import arrays, runs, trials
from ..errors import InputError, some
from ..store import Store


def sentence(checkpoint: Path, recipe, store: Store) -> str:
    """A sentence naming the recordings in `store` that a run was trained on by older rules; "" for
    none.

    checkpoint : of a run folder, whose record of 05 says which arrays were read. Only recordings
    that are not read in the ordinary way can differ.
    """
    folder = Path(checkpoint).absolute().parents[1]
    record = runs.Run(folder).read_json("steps/05_train.json") or {}
    read = {Path(path).parts[-4:] for path in record.get("inputs", ()) if path.endswith(".npy")}
    if not read or not store.trials_path.is_file():
        return ""
    reasons, names = {}, []
    for trial in trials.read(store.trials_path).to_dict("records"):
        words = arrays.how_read(trial, store)
        if words and _differs(trial, recipe.arrays(), store, read):
            names.append(trial["trial"])
            reasons[words] = None
    if not names:
        return ""
    shown = some(names, 5)
    return (
        f"run {folder.name} was trained on arrays by older rules of {len(names)} recordings "
        f"({shown}: {'; '.join(list(reasons)[:3])}): train it again to make up for that"
    )


def _differs(trial: dict, requests: Iterable, store: Store, read: set[tuple]) -> bool:
    """Whether an older variant of one of these arrays was read instead of the present one."""
    for item in requests:
        try:
            today = arrays.locate(trial, item, store).path
        except InputError:
            continue
        start = today.name.rsplit("-", 1)[0] + "-"
        folder = today.parts[-4:-1]
        others = {parts for parts in read if parts[:3] == folder and parts[3].startswith(start)}
        if others and today.parts[-4:] not in others:
            return True
    return False
