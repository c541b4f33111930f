"""Describe clips: ``clip.json`` in each, one line per training unit in ``train.jsonl`` and
``val.jsonl``, and ``dataset.json``.

Schema ``avclip/1`` of the speaker specification §2.5. Everything depends only on the tree and the
annotation, not on the date: the same clips give the same bytes. `lib.speakers.clips.schema.read`
reads it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ...datasets import ego4d
from ...errors import InputError
from ...media import pictures
from . import RATE, SCHEMA, SPLITS, VERSION, Settings, Span, numbering, spans, voices
from .disk import PART, Disk, as_json
from .labels import SOURCE_OF_CODE, Labels, Person
from .schema import read_json
from .sound import sound_of
from .sources import Source
from .video import FACTS, Facts, folder_of, read_facts

DATASET = "dataset.json"


def begin(root: Path, dataset: str, settings: Settings, disk: Disk) -> None:
    """Write the description of a root of clips before anything is put into it.

    Raises InputError when it holds clips of other settings: lengths are never mixed in one tree.
    If only the program has changed, later steps rewrite what differs.
    """
    description = {
        "schema": f"{SCHEMA}-dataset",
        "version": VERSION,
        "dataset": dataset,
        **settings.told(),
    }
    if present := read_dataset(root, needed=False):
        other = [
            name
            for name, value in description.items()
            if present.get(name) != value and name != "version"
        ]
        if other:
            raise InputError(
                f"this folder holds clips of another kind: {other[0]} is {present.get(other[0])!r}",
                where=root,
                expected=f"{other[0]}: {description[other[0]]!r}",
                todo="set clips_root to another folder, or leave it empty: each length gets its "
                "own",
            )
        if present.get("version") != VERSION:
            disk.write(os.path.join(root, DATASET), as_json({**present, **description}))
        return
    if Path(root).is_dir() and any(path.name != DATASET + PART for path in Path(root).iterdir()):
        raise InputError(
            "this folder is not empty, and no root of clips",
            where=root,
            expected=f"{DATASET} in it",
            todo="set clips_root to a new folder",
        )
    disk.make_folder(str(root))
    disk.write(os.path.join(root, DATASET), as_json(description))


def read_dataset(root: Path, needed: bool = True) -> dict:
    """The content of dataset.json; {} if it is absent and not needed."""
    path = Path(root) / DATASET
    if not path.is_file():
        if needed:
            raise InputError(
                "no clips here", where=root, expected=DATASET, todo="python -m lib clips make"
            )
        return {}
    return read_json(path)


def describe(
    source: Source, root: Path, settings: Settings, disk: Disk | None = None
) -> tuple[list[dict], tuple]:
    """Write ``clip.json`` of a video's clips. Returns index lines and remarks on the labels."""
    disk, folder = disk or Disk(), folder_of(root, source)
    facts = read_facts(os.path.join(folder, FACTS))
    if facts is None:
        raise InputError("no clips of this video", where=folder, todo="python -m lib clips make")
    labels = voices.relabel(source.label(facts.n_frames, facts.size), settings.voice, source, facts)
    lines = []
    for span in spans(facts.n_frames, source.fps, settings)[0]:
        clip_folder = os.path.join(folder, span.name)
        clip = _clip(source, facts, settings, span, clip_folder, labels)
        disk.write(os.path.join(clip_folder, "clip.json"), as_json(clip))
        lines += _lines(clip, os.path.relpath(os.path.join(clip_folder, "clip.json"), root))
    return lines, (*_sound(source, facts), *labels.faults)


def _sound(source: Source, facts: Facts) -> tuple[str, ...]:
    """What is to be said of sound that is shorter or longer than its pictures."""
    parts = ego4d.uneven(facts.n_samples, facts.n_frames, source.fps)
    return (": ".join(parts),) if parts else ()


def _clip(
    source: Source, facts: Facts, settings: Settings, span: Span, folder: str, labels: Labels
) -> dict:
    here = slice(span.start, span.start + span.n_frames)
    clip = {
        "schema": SCHEMA,
        "dataset": source.dataset,
        "split": source.split,
        "video_id": source.video,
        "clip_id": f"{source.video}/{span.name}",
        "start_frame": span.start,
        "end_frame": span.stop - 1,
        "n_frames": span.n_frames,
        "clip_len": settings.length,
        "fps": [source.fps.numerator, source.fps.denominator],
        "start_sec": float(span.start / source.fps),
        "image_size": list(facts.size),
        "frames": _pictures(source, facts, settings, span, folder),
        "audio": _heard(source, facts, span),
    }
    # Filled up: which frames of the nominal length are there.
    if span.stop - span.start > span.n_frames:
        clip["valid"] = runs(np.arange(span.stop - span.start) < span.n_frames)
    clip |= _of_all_persons(labels, here)
    clip["persons"] = [_person(person, here) for person in labels.persons]
    clip["source"] = {
        **source.made_from,
        "version": VERSION,
        "voice": settings.voice,
        "unit": settings.unit,
        "max_gap": settings.max_gap,
    }
    return clip


def _heard(source: Source, facts: Facts, span: Span) -> dict:
    first, last = sound_of(span, source.fps)
    return {
        "path": span.sound_name,
        "sr": RATE,
        "n_samples": last - first,
        "valid_samples": min(max(facts.n_samples - first, 0), last - first),
    }


def _of_all_persons(labels: Labels, here: slice) -> dict:
    """The labels of the frames of a clip that are nobody's own, as far as they are known."""
    tracks = {
        "face_visible": labels.face_visible,
        "speech": labels.speech,
        "speech_wearer": labels.wearer,
        "speech_visible": labels.speech_visible,
        "speech_offscreen": labels.offscreen,
    }
    return {name: runs(rows[here]) for name, rows in tracks.items() if rows is not None}


def _pictures(source: Source, facts: Facts, settings: Settings, span: Span, folder: str) -> dict:
    if settings.frames == "none" and source.pictures:
        return {
            "dir": os.path.relpath(source.pictures, folder),
            "pattern": pictures.PATTERN,
            "numbering": "source",
            "first": span.start + facts.base,
            "base": facts.base,
        }
    marker = numbering.read(os.path.join(folder, "frames"))
    return {
        "dir": "frames",
        "pattern": pictures.PATTERN,
        "numbering": marker["scope"],
        "first": marker["first"],
        "base": marker["base"],
    }


def _person(person: Person, here: slice) -> dict:
    boxes, kind = person.boxes[here].round(2), person.kind[here]
    visible = np.flatnonzero(kind > 0)
    description = {
        "person_id": person.name,
        "track_ids": list(person.tracks),
        "boxes": [[i, *boxes[i].tolist(), SOURCE_OF_CODE[int(kind[i])]] for i in visible.tolist()],
        "visible": runs(person.visible[here]),
    }
    if person.voice is not None:
        description["speech"] = runs(person.voice[here])
    description["asd"] = runs(person.speaks()[here])
    for name, rows in person.more.items():
        description[name] = _block(rows[here])
    return description


def _block(rows: np.ndarray) -> list | dict:
    """A label block: whole numbers in runs if that is a list, others as they are, null = none."""
    if rows.ndim == 1 and rows.dtype.kind in "iub":
        return runs(rows)
    if rows.dtype.kind == "f":
        return [
            [None if np.isnan(value) else round(float(value), 4) for value in row]
            for row in rows.tolist()
        ]
    return rows.tolist()


def runs(values: np.ndarray) -> dict | list:
    """Whole numbers as {"rle": [[value, count], …]}; as a list if short or often changing."""
    values = np.asarray(values).astype(np.int64)
    edges = np.flatnonzero(np.diff(values)) + 1
    if 4 * len(edges) > len(values):
        return values.tolist()
    starts = np.concatenate([[0], edges])
    counts = np.diff(np.concatenate([starts, [len(values)]]))
    if not len(values):
        return []
    pairs = zip(values[starts].tolist(), counts.tolist(), strict=True)
    return {"rle": [[value, count] for value, count in pairs]}


def _lines(clip: dict, path: str) -> list[dict]:
    lines = []
    for person in clip["persons"]:
        visible, speaking = (sum(_ones(person[name])) for name in ("visible", "asd"))
        lines.append(
            {
                "clip_id": clip["clip_id"],
                "person_id": person["person_id"],
                "n_frames": clip["n_frames"],
                "n_visible": visible,
                "n_speaking": speaking,
                "start_frame": clip["start_frame"],
                "path": path,
            }
        )
    return lines


def _ones(series: dict | list) -> list[int]:
    if isinstance(series, dict):
        return [count for value, count in series["rle"] if value == 1]
    return [1 for value in series if value == 1]


def finish(root: Path, lines: dict[str, list[dict]], more: dict, disk: Disk) -> None:
    """Write the two indices, and `more` (rates, sources, counts) into dataset.json. lines : of each
    split, in order.

    A unit whose face is never seen in a clip gets no line, since it has nothing to train on.
    """
    for split in SPLITS:
        text = b"".join(as_json(line) for line in lines.get(split, []) if line["n_visible"])
        disk.write(os.path.join(root, f"{split}.jsonl"), text)
    dataset = read_dataset(root)
    disk.write(os.path.join(root, DATASET), as_json({**dataset, **more}))
