"""What notebooks 01–05 show of the preprocessing: what was made, what was lost and why, pictures of one trial."""

from __future__ import annotations

import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lib import arrays, audio, face_arrays, feature_arrays, labels, plots, viewer
from lib.audio import SOUND_RATE
from lib.errors import InputError
from lib.metrics import EMOTIONS
from lib.store import Request, Store, request
from lib.trials import LABELS, label_files, select

VIEW_SECONDS = 8.0  # of sound shown at once: more makes frame ticks merge
LABEL_FOLDER = "preprocessed_VA_annotations"  # what programs that grew out of JCA's call it
LABEL_FOLDERS = {"va": LABEL_FOLDER, "expression": "preprocessed_EX_annotations",
                 "action_units": "preprocessed_AU_annotations"}
MANY = 8            # trials with the same note: more are counted instead of listed
STRIP_FACES = 12    # pictures in a strip
SILENCE, FLOOR = 1e-10, 1e-8  # power, and the least share of the loudest that is drawn: 80 dB


def summary(outcomes: list) -> pd.DataFrame:
    """One row an array: how many trials got it, how (made, there, read in place), seconds of work."""
    rows = pd.DataFrame([row for outcome in outcomes if outcome.ok for row in outcome.value],
                        columns=["array", "state", "seconds"])
    counts = rows.pivot_table(index="array", columns="state", values="seconds", aggfunc="size", fill_value=0)
    return counts.join(rows.groupby("array")["seconds"].sum().round(1)).reset_index()


def notes(outcomes: list) -> pd.DataFrame:
    """What was noted while arrays were made, by trial: label files trimmed or filled up, inputs absent.

    What is true of more than `MANY` trials is one row that counts them.
    """
    rows = [row for outcome in outcomes if outcome.ok for row in outcome.value if row["note"]]
    often = Counter((row["array"], row["note"]) for row in rows)
    listed = {}
    for row in rows:
        kind, count = (row["array"], row["note"]), often[row["array"], row["note"]]
        alone = count <= MANY
        listed.setdefault((row["trial"], *kind) if alone else kind, row if alone else
                          {**row, "trial": f"{row['trial']} and {count - 1} more"})
    return pd.DataFrame(listed.values(), columns=["trial", "array", "note"])


def lost(outcomes: list) -> pd.DataFrame:
    """Trials that could not be done: trial, what, where, expected, what to do."""
    rows = [{"trial": outcome.item["trial"], "what": outcome.error.what, "where": outcome.error.where,
             "expected": outcome.error.expected, "todo": outcome.error.todo}
            for outcome in outcomes if not outcome.ok]
    return pd.DataFrame(rows, columns=["trial", "what", "where", "expected", "todo"])


def show(table: pd.DataFrame, nothing: str = ""):
    """The table without row numbers, or the sentence `nothing` when it has no rows."""
    return viewer.table(table, nothing)


def failures(outcomes: list) -> list[tuple[str, Exception]]:
    """The same as (trial, error) pairs, for ``run.record(lost=…)``."""
    return [(outcome.item["trial"], outcome.error) for outcome in outcomes if not outcome.ok]


def intact(table: pd.DataFrame, outcomes: list) -> pd.DataFrame:
    """The rows of the trial table whose trials were done. Raises InputError when none was."""
    kept = table[[outcome.ok for outcome in outcomes]].reset_index(drop=True)
    if kept.empty:
        if outcomes:
            raise InputError(f"not one of {len(outcomes)} trials could be done; the first one: {outcomes[0].error}")
        raise InputError("the trial table is empty", todo="look at the report of 01_download_check, run it again")
    return kept


def usable(table: pd.DataFrame, wanted: Iterable[Request], store: Store) -> tuple[pd.DataFrame, list]:
    """Trials all of whose arrays are there, and (trial, error) pairs of the others.

    Raises the first error when no train trial is left: then a notebook has been forgotten.
    """
    kept, missing = [], []
    for trial in table.to_dict("records"):
        try:
            for item in wanted:
                arrays.require(trial, item, store)
            kept.append(trial["trial"])
        except InputError as error:
            missing.append((trial["trial"], error))
    if missing and not set(kept) & set(table["trial"][table["split"] == "train"]):
        raise missing[0][1]
    return (select(table, kept) if kept else table[:0]), missing


def paths(outcomes: list) -> list[Path]:
    """Files of the store that exist now, for ``run.record(outputs=…)``."""
    rows = [row for outcome in outcomes if outcome.ok for row in outcome.value]
    made = {row["path"] for row in rows if row["path"] and row["state"] != "read in place"}
    return [Path(path) for path in sorted(made)]


def array_paths(table: pd.DataFrame, wanted: Iterable[Request], store: Store) -> list[Path]:
    """Files of these arrays of these trials that exist."""
    found = [arrays.locate(trial, item, store) for trial in table.to_dict("records") for item in wanted]
    return sorted({located.path for located in found if located.exists})


def sources(table: pd.DataFrame, store: Store, columns: Iterable[str], wanted: Iterable[Request]) -> list[Path]:
    """What the arrays are made from: files and folders that the trial table names in `columns`, and checkpoints."""
    named = {file for column in columns for value in table[column]
             for file in (label_files(value)[0] if column in LABELS else [value]) if file}
    checkpoints = {path for item in wanted for path in item.files.values()}
    detector = face_arrays.detector(table, store) if "crops_dir" in columns else []
    named |= {source for item in wanted if item.name == "feature" for trial in table.to_dict("records")
              for source in feature_arrays.sources_of_file(trial, item).values() if isinstance(source, str)}
    return [*(store.data_root / value for value in sorted(named)), *sorted(checkpoints), *detector]


def machine(folder: Path) -> pd.DataFrame:
    """Space on the disk of `folder`, processors, memory, and the device that networks will run on."""
    from lib import device  # torch takes seconds to import
    place = next(path for path in (folder, *folder.parents) if path.exists())
    disk = shutil.disk_usage(place)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = [("free disk space", f"{disk.free / 1e9:.0f} of {disk.total / 1e9:.0f} GB", str(place)),
            ("processors", str(cores), platform.processor() or platform.machine()),
            ("memory", f"{pages / 1e9:.0f} GB", ""), ("networks run on", str(device.pick()), "")]
    return pd.DataFrame(rows, columns=["what", "found", "where"])


def row(table: pd.DataFrame, name: str) -> dict:
    """The trial of that name as a mapping."""
    return table[table["trial"] == name].iloc[0].to_dict()


def face_strip(table: pd.DataFrame, store: Store, size: int, note: str, name: str):
    """Faces of the trial `name`, evenly spaced in time."""
    trial = row(table, name)
    faces = arrays.opened(trial, request("face", size=size), store)
    times = arrays.read(trial, request("time"), store)
    chosen = np.linspace(0, len(faces) - 1, STRIP_FACES).round().astype(int)
    return plots.face_strip(faces.read(chosen), times[chosen], faces.valid[chosen], title=f"trial {name}", note=note)


def faces_found(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Columns trial, frames, faces, share: how many frames of each trial have a face."""
    rows = []
    for trial in table.to_dict("records"):
        valid = arrays.read(trial, request("face_valid"), store)
        rows.append({"trial": trial["trial"], "frames": len(valid), "faces": int(valid.sum()),
                     "share": float(valid.mean())})
    return pd.DataFrame(rows)


def sound_view(table: pd.DataFrame, store: Store, note: str, name: str):
    """Waveform, mel spectrogram and frame grid of the first seconds of the trial `name`."""
    trial = row(table, name)
    wanted = request("audio_44k", rate=SOUND_RATE)
    samples, facts = arrays.read(trial, wanted, store), arrays.facts(trial, wanted, store)
    times = np.asarray(arrays.read(trial, request("time"), store))
    levels = decibels(trial, store)
    start = min(times[0], facts["t0"])
    stop = min(start + VIEW_SECONDS, max(times[-1], facts["t0"] + len(samples) / SOUND_RATE))
    return plots.sound_view(audio.as_float(samples), SOUND_RATE, facts["t0"], levels, times,
                            span=(start, stop), title=f"trial {name}", note=note)


def decibels(trial: dict, store: Store) -> np.ndarray:
    """(64, columns) mel spectrogram in dB, 80 dB deep; made here for the picture where the recipe needs none."""
    if not arrays.locate(trial, request("mel"), store).exists:
        arrays.make(trial, request("mel"), store)
    power = np.asarray(arrays.read(trial, request("mel"), store))  # (columns, 64)
    return 10 * np.log10(np.maximum(power, power.max(initial=SILENCE) * FLOOR)).T


def sound_offsets(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Per video: how much later the sound starts, and how much later it ends, than the picture, in ms."""
    rows = []
    for trial in table.drop_duplicates("video").to_dict("records"):
        wanted = request("audio_44k", rate=SOUND_RATE)
        facts, times = arrays.facts(trial, wanted, store), arrays.read(trial, request("time"), store)
        end = facts["t0"] + facts["shape"][0] / facts["rate"]
        last_shown = float(np.median(np.diff(times))) if len(times) > 1 else 0.0  # s, the last frame's own duration
        rows.append({"video": trial["video"], "starts_later_ms": round(1000 * (facts["t0"] - times[0])),
                     "ends_later_ms": round(1000 * (end - times[-1] - last_shown))})
    order = lambda column: column.abs() if column.dtype.kind in "if" else column  # noqa: E731
    return pd.DataFrame(rows).sort_values("starts_later_ms", key=order, ascending=False).reset_index(drop=True)


def label_summary(table: pd.DataFrame, wanted: Iterable[Request], store: Store) -> pd.DataFrame:
    """One row a split and kind of label: trials, frames, share labelled, mean and spread or classes."""
    rows = []
    for split, some in table.groupby("split", sort=False):
        for item in wanted:
            values = [np.asarray(arrays.read(row, item, store)) for row in some.to_dict("records")]
            known = [np.isfinite(v).all(axis=1) if item.name == "va" else (np.c_[v] >= 0).any(axis=1) for v in values]
            row = {"split": split, "labels": item.name, "trials": len(values), "frames": sum(map(len, values)),
                   "labelled": f"{np.concatenate(known).mean():.1%}"}
            if item.name == "va" and any(k.any() for k in known):
                every = np.concatenate([v[k] for v, k in zip(values, known, strict=True)])
                row |= dict(zip(("mean valence", "mean arousal"), every.mean(0).round(2), strict=True))
                row |= dict(zip(("sd valence", "sd arousal"), every.std(0).round(2), strict=True))
                row["correlation"] = round(float(np.corrcoef(every.T)[0, 1]), 2)
            elif item.name == "expression" and any(k.any() for k in known):
                every = np.concatenate([v[k] for v, k in zip(values, known, strict=True)])
                row["most frequent"] = Counter(every.tolist()).most_common(1)[0][0]
            rows.append(row)
    return pd.DataFrame(rows)


def agreement(table: pd.DataFrame, store: Store, mismatch: str = "fit") -> pd.DataFrame:
    """Mean pairwise CCC of the annotators of each trial that has several: trial, annotators, valence, arousal."""
    rows = []
    for trial in table[table["va_path"] != ""].to_dict("records"):
        facts = arrays.facts(trial, request("va", mismatch=mismatch), store)
        if "annotators" in facts:
            rows.append({"trial": trial["trial"], **{name: facts[name] for name in ("annotators", *EMOTIONS)}})
    found = pd.DataFrame(rows, columns=["trial", "annotators", *EMOTIONS])
    mean = {"trial": "mean of all", "annotators": "", **{emotion: found[emotion].mean() for emotion in EMOTIONS}}
    return pd.concat([found, pd.DataFrame([mean])]) if len(found) > 1 else found


def label_traces(table: pd.DataFrame, store: Store, mismatch: str, note: str, name: str):
    """Valence and arousal of the trial `name` over time, unlabelled stretches shaded."""
    trial = row(table, name)
    times = np.asarray(arrays.read(trial, request("time"), store))
    return plots.va_traces(times, np.asarray(arrays.read(trial, request("va", mismatch=mismatch), store)),
                           title=f"trial {name}", note=note)


def export_labels(table: pd.DataFrame, store: Store, mismatch: str, index_column: bool = False,
                  folder: Path | None = None, kind: str = "va") -> list[Path]:
    """Write ``<folder>/{train,val,test}/<trial>.csv``: `img,V,A,frame_id`; without labels the test form, every frame.

    folder : `preprocessed_VA_annotations` of the data set's processed folder unless it is given. kind : "expression"
    and "action_units" write their own columns to a folder of their own, of the trials that have such labels.
    """
    folder, written = folder or store.folder / LABEL_FOLDERS[kind], []
    for trial in table.to_dict("records"):
        name, annotated = trial["trial"], trial[f"{kind}_path"]
        if kind != "va" and not annotated:
            continue
        rows = np.asarray(arrays.read(trial, request(kind, mismatch=mismatch), store))
        if kind != "va":
            shown = labels.to_class_table(name, kind, rows, index_column)
        elif annotated:
            shown = labels.to_csv_table(name, rows, index_column)
        else:
            shown = labels.test_table(name, len(rows), index_column)
        written.append(labels.write_csv(shown, folder / trial["split"] / f"{name}.csv"))
    return written
