"""Predictions of unlabelled recordings for report.html, as numbers and curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from ..metrics import EMOTIONS, main_score

MAX_RECORDINGS = 20  # recordings whose curves the page shows
DERIVED = tuple(f"{emotion}_derived" for emotion in EMOTIONS)


def is_scored(metrics: Mapping) -> bool:
    """Whether metrics.json has any score, that is, a number beside the counts."""
    splits = [metrics.get(split) or {} for split in ("val", "test")]
    entries = [entry for split in splits for entry in split.values()]
    return any(main_score(entry) and entry[main_score(entry)] is not None for entry in entries)


def summary(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per recording and person: seconds, frames, share of valid frames, and mean and SD of
    each value over the valid ones.
    """
    rows = []
    for name, table in tables.items():
        for person, frames in _people(table):
            valid = frames[frames["valid"] > 0] if "valid" in frames else frames
            row = {"recording": name, "person": person, "frames": len(frames)}
            row["seconds"] = round(float(frames["time"].max() - frames["time"].min()), 1)
            row["valid %"] = round(100 * len(valid) / max(1, len(frames)))
            rows.append({**row, **_moments(valid)})
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _people(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if "person" not in table or table["person"].isna().all():
        return [("", table)]
    return [(str(name), frames) for name, frames in table.groupby("person", sort=False)]


def _moments(valid: pd.DataFrame) -> dict:
    """Mean and SD of valence, arousal and who speaks; the share of each expression."""
    values = [name for name in (*EMOTIONS, *DERIVED, "speaking") if name in valid]
    moments = {}
    for name in values:
        moments[f"{name} mean"] = round(float(valid[name].mean()), 3)
        moments[f"{name} SD"] = round(float(valid[name].std(ddof=0)), 3)
    if "expression" in valid and len(valid):
        shares = valid["expression"].value_counts(normalize=True)
        moments["most often"] = f"{shares.index[0]} ({100 * shares.iloc[0]:.0f} %)"
    return moments


def curves(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of the first `MAX_RECORDINGS` recordings' curves over time."""
    from .. import plots  # Matplotlib takes a second to import
    from ..plots import results

    for name, table in list(tables.items())[:MAX_RECORDINGS]:
        for person, frames in _people(table):
            if len(frames) and (set(EMOTIONS) <= set(frames) or "expression" in frames):
                title = f"{name}, {person}" if person else name
                note = str(frames["note"].iloc[0]) if "note" in frames and len(frames) else ""
                yield title, plots.png(results.predicted(frames, title, note.partition(";")[0]), 80)
