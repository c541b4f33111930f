"""One label per recording, as corpora of emotional speech have it: from a table with a row per
recording, from IEMOCAP's texts, from names, or from folders called as emotions.

The first source that says something counts. What it was understood to say is in the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import trials
from ..labels import emotions
from . import corpora, recording_tables
from . import recording_notes as notes
from .contents import Contents
from .corpora import Said
from .names import Recording
from .recording_tables import Places
from .report import Report


def find(
    contents: Contents,
    recordings: Mapping[str, Recording],
    labels: dict[str, dict],
    label_range: Sequence[float],
    report: Report,
) -> dict[str, Said]:
    """Add to `labels` (trial -> columns of the trial table) what is said of whole recordings;
    returns what is said of each. Names and folders count only where there are no other labels.
    """
    known = _of_tables(contents, recordings, label_range, report)
    if not known:
        known = _of_iemocap(contents, recordings, report)
    if not known and not labels:
        known = _of_names(recordings, report)
    for name, said in known.items():
        _enter(labels.setdefault(name, {}), said)
    for name in [name for name in known if not labels[name]]:
        del labels[name]
    return known


def _of_tables(
    contents: Contents,
    recordings: Mapping[str, Recording],
    label_range: Sequence[float],
    report: Report,
) -> dict[str, Said]:
    known: dict[str, Said] = {}
    for path in recording_tables.paths(contents):
        more = recording_tables.read(contents, path, recordings, label_range, report)
        differing = [name for name in more if known.get(name, more[name]) != more[name]]
        notes.tell_differing(differing, str(contents.root / path), report)
        known = more | known
    if known:
        notes.tell_unlabelled([name for name in recordings if name not in known], "", report)
    return known


def _enter(row: dict, said: Said) -> None:
    """Write what is said of a recording into its columns, beside labels that it has already."""
    if emotions.means_one(said.emotion):
        label = emotions.class_of(said.emotion)
        row.setdefault("expression_path", trials.constant_label(label))
    if said.values:
        values = ",".join(f"{value:.6g}" for value in said.values)
        row.setdefault("va_path", trials.constant_label(values))
    if said.split:
        row.setdefault("split", said.split)


def _of_names(recordings: Mapping[str, Recording], report: Report) -> dict[str, Said]:
    corpus, known = corpora.of_names(recordings)
    what = f"{len(known)} recordings are named as those of {corpus}, and labelled so"
    what += "; `dataset: ravdess` keeps calm apart" if corpus == "RAVDESS" else ""
    if not known:
        known = corpora.of_folders(recordings)
        what = f"{len(known)} recordings lie in folders called as emotions, and are labelled so"
        if speakers := sorted({said.speaker for said in known.values()} - {""}):
            listed = ", ".join(speakers[: notes.SHOWN])
            what += f"; {len(speakers)} folders beside these count as who speaks ({listed})"
    if known:
        notes.told(corpus or "folders", what, known, "", report)
        notes.tell_unlabelled([name for name in recordings if name not in known], "", report)
    return known


def _of_iemocap(
    contents: Contents, recordings: Mapping[str, Recording], report: Report
) -> dict[str, Said]:
    paths, entries = corpora.of_iemocap(contents)
    if not entries:
        return {}
    places = Places(recordings)
    called = {name: places.of(name) for name in entries}
    known = {names[0]: entries[name] for name, names in called.items() if len(names) == 1}
    lacking = [name for name, names in called.items() if not names]
    where = str(contents.root / paths[0])
    what = f"{len(known)} recordings are in IEMOCAP's texts, a session counts as one subject"
    notes.told("EmoEvaluation", what, known, where, report)
    notes.tell_lacking(lacking, len(entries), where, report)
    notes.tell_unlabelled([name for name in recordings if name not in known], where, report)
    for path in paths if known else ():
        contents.use(path, "labels of IEMOCAP's utterances")
    return known
