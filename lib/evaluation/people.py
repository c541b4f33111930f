"""Everybody in a video, in one pass: face, expression, who speaks, and valence and arousal if a
network is named.

Nothing is trained. The expression network and the network that tells who speaks are published ones;
valence and arousal of a trained run are added beside those derived from the expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import arrays
from ..faces import arrays as face_arrays
from ..faces import persons
from ..faces.tracking import BOX
from ..features import expression, expression_arrays, speaker_arrays
from ..files import checkpoint as checkpoint_of
from ..files import named, resolve, weights_file
from ..media import recordings, separate
from ..media.frames import ends
from ..models import published, weights
from ..models.affect.face_api import CLASSES
from ..parameters import Params
from ..speakers import arrays as speakers_arrays
from ..speakers import video as speakers_video
from ..store import Store, request
from ..trials import SYNTHETIC_NOTE
from . import annotations
from .checkpoint import note as note_of
from .checkpoint import worth
from .predictions import write_csv
from .video import predict_video

ONLY = "1"  # name of the only person of a video
OPTIONAL = (  # results that not every analysis has
    ("speakers", ".csv"),
    ("speakers", ".json"),
    ("speakers", ".rttm"),
    ("voice", ".csv"),
)
NOTE = (
    "expression: face-api; happy and neutral can be trusted, disgusted and angry not; "
    f"{weights.card_line('face_api')}\n"
    "valence_derived, arousal_derived: from the expressions, by a table made by hand; not validated"
)


@dataclass(frozen=True)
class People:
    """The results for a video.

    table : one row per person and frame, see `look`. notes : sentences that must accompany the
    table. files : written files.
    """

    video: Path
    table: pd.DataFrame
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def note(self) -> str:
        return "\n".join(self.notes)


def look(video: Path | str, params: Params, folder: Path) -> People:
    """Analyse everybody in a video; everything is computed and written in `folder`.

    Arguments
    ---------
    params : weights_root, device, faces, `expression_crop` (`expression_arrays.CROPS`),
        `speaker_run` and `speaker_smoothing` (`lib.speakers.video`), `predict_run` and `run`: a
        network whose valence and arousal are added; `voice_run`: one that reads the voice
        (`lib.evaluation.voices`); runs_root.

    The table has for each person all frames, persons from the left, sorted by time: frame (from 1),
    time (s), person, valid (1 where the face is seen), x, y, width, height (px), expression (name),
    expression_<name> (probability), valence_derived, arousal_derived, speaking (probability, where
    there is sound), valence and arousal (−1…1, where a network is named), note. Values that come
    from a face are empty where valid is 0. It is also ``<video>_people.csv``; who speaks is
    ``<video>_speakers.csv``, ``.json`` and ``.rttm``; for annotators there are ``<video>.eaf`` and
    ``<video>.TextGrid`` (`lib.evaluation.annotations`).
    Raises InputError for a file without pictures, and if the face detector cannot be obtained.
    """
    video, info = Path(video), recordings.probe(Path(video))
    fetch(params)
    store = speakers_video.video_store(video, params, folder)
    heard = separate.heard(video, info.audio_codec, params.get(separate.PARAMETER, False))
    row = speakers_video.video_row(video, info, heard.name if heard else "")
    faces = _faces(row, params, store)
    tracks = np.asarray(arrays.read(row, request("tracks"), store))
    times = np.asarray(arrays.read(row, request("time"), store))
    people = sorted(persons.find(tracks), key=lambda person: person.x)
    notes = [NOTE, arrays.facts(row, faces, store).get("note", ""), _left_out(tracks, people)]
    notes += _across_cuts(row, tracks, times, people, store)
    spoken, files, remark = _speaking(video, row, params, folder, store, bool(heard))
    logits = _logits(np.asarray(arrays.read(row, faces, store)), params, store)
    tables = [_of_person(person, tracks, times, logits, spoken) for person in people]
    tables, about = _with_affect(tables, people, video, params, folder)
    tables, said, written = _with_voice(tables, row, params, folder, store, bool(heard))
    files += written
    notes = [*notes, remark, about, *said, _from_before(row["video"], folder, files)]
    notes = tuple(filter(None, notes))
    note = "; ".join(notes).replace("\n", "; ")
    table = (pd.concat(tables, ignore_index=True) if tables else _empty(times)).assign(note=note)
    return People(video, table, notes, (*_written(table, video, row, folder, note), *files))


def _from_before(name: str, folder: Path, files: Sequence[Path]) -> str:
    """A sentence on files of speakers and voices that an earlier analysis left, "" for none."""
    possible = (named(folder, f"{name}_{kind}", ending) for kind, ending in OPTIONAL)
    left = [path.name for path in possible if path not in files and path.is_file()]
    return f"of an earlier analysis, with other parameters: {', '.join(left)}" if left else ""


def _written(
    table: pd.DataFrame, video: Path, row: Mapping, folder: Path, note: str
) -> tuple[Path, ...]:
    """Write the table and, if anybody is seen, the files for annotation programs."""
    file = write_csv(named(folder, f"{row['video']}_people", ".csv"), table)
    return (file, *(() if table.empty else annotations.write(table, video, folder, note)))


def check(params: Mapping) -> None:
    """Raise InputError, before anything is fetched or computed, if `predict_run` or `speaker_run`
    names a network that is not there or cannot be opened, and as `voices.check` does for
    `voice_run`. A published network that is absent is none of these: it is fetched later.
    """
    fetched_later = _published(params)
    for name in ("predict_run", "speaker_run"):
        run_name = str(params.get(name, "") or "none")
        if run_name != "none" and resolve(run_name) not in fetched_later:
            speakers_video.learnt(checkpoint_of(run_name, params["runs_root"]))
    if params.get("voice_run", ""):
        from . import voices  # torch and the recipes are needed for this only

        voices.check(params)


def fetch(params: Mapping) -> list[str]:
    """Download the published networks that are needed and absent; returns sentences on the
    downloads. Raises InputError with the command to type if that is not possible.
    """
    names = (face_arrays.DETECTOR, expression_arrays.NETWORK)
    files = [weights.path(name, params["weights_root"]) for name in names]
    files += _published(params)
    return [sentence for file in files if (sentence := _provide(file, params))]


def _published(params: Mapping) -> list[Path]:
    """Absent files of published weights that `predict_run` and `speaker_run` name."""
    named = [str(params.get(name, "") or "") for name in ("predict_run", "speaker_run")]
    files = [resolve(text) for text in named if weights.name_of(Path(text))]
    return [file for file in files if not file.is_file()]


def _provide(file: Path, params: Mapping) -> str:
    """Download absent published weights by `weights.provide`; if `fetch_weights` is false, absent
    ones raise InputError.
    """
    if params.get("fetch_weights", True):
        return weights.provide(file)
    weights.find(weights.name_of(file), file.parent)
    return ""


def _faces(row: Mapping, params: Mapping, store: Store):
    """The request for the expression network's numbers of all faces, which are computed if
    missing.
    """
    root = store.weights_root or Path("weights")
    crop = params.get("expression_crop", expression_arrays.CROPS[0])
    faces = request("track_face_api", expression_arrays.files(crop, root), crop=crop)
    device = speakers_arrays.device_of(params)
    arrays.make_all(row, [request("time"), request("tracks"), faces], store, device)
    return faces


def _left_out(tracks: np.ndarray, people: list[persons.Person]) -> str:
    kept = {track for person in people for track in person.tracks}
    rest = len(np.unique(tracks[:, 1])) - len(kept)
    return f"{rest} faces that are seen for a short time only are left out" if rest else ""


def _across_cuts(
    row: Mapping, tracks: np.ndarray, times: np.ndarray, people: list[persons.Person], store: Store
) -> list[str]:
    """A sentence per person on the cuts over which he or she was followed; none without cuts."""
    inputs = {"tracks": tracks, "time": times}
    inputs["tracks_facts"] = arrays.facts(row, request("tracks"), store)
    said = []
    for person in people:
        facts = face_arrays.joining(inputs, {"person": person.name})
        if facts and (words := face_arrays.told_of_joining({**facts, "others": 0})):
            said.append(f"person {person.name}: {words}" if person.name else words)
    return said


def _logits(rows: np.ndarray, params: Mapping, store: Store) -> np.ndarray:
    """(N, 7) logits of the rows of `track_face_api`, by the network's last layer."""
    import torch

    manifest = weights.path(expression_arrays.NETWORK, store.weights_root or Path("weights"))
    net = published.load_published("face_api", manifest)
    with torch.inference_mode():
        return net.fc(torch.from_numpy(np.array(rows, np.float32))).numpy()


def _of_person(
    person: persons.Person,
    tracks: np.ndarray,
    times: np.ndarray,
    logits: np.ndarray,
    spoken: np.ndarray | None,
) -> pd.DataFrame:
    """All frames of one person; spoken : probability of each row of `tracks`, None without."""
    rows = persons.rows(tracks, person, len(times))
    seen = rows >= 0

    def of_frames(values: np.ndarray) -> np.ndarray:
        out = np.full((len(times), *values.shape[1:]), np.nan)
        out[seen] = values[rows[seen]]
        return out

    table = pd.DataFrame({"frame": np.arange(1, len(times) + 1), "time": times})
    table = table.assign(person=person.name or ONLY, valid=seen.astype(int))
    table[["x", "y", "width", "height"]] = of_frames(tracks[:, BOX]).round(2)
    values = expression.derived(of_frames(logits), times)
    table = table.assign(**expression.columns(values))
    return table if spoken is None else table.assign(speaking=of_frames(spoken))


def _empty(times: np.ndarray) -> pd.DataFrame:
    nobody = persons.Person(ONLY, (), 0, 0.0)
    return _of_person(nobody, np.zeros((0, 18)), times, np.zeros((0, len(CLASSES))), None)[:0]


# ---- who speaks
def _speaking(video: Path, row, params, folder, store, has_sound: bool):
    """Probability of speaking of each row of `tracks` (None if it cannot be told), the written
    files, and remarks.
    """
    if not has_sound:
        return None, (), "the video has no sound: nobody can be heard"
    run_name = str(params.get("speaker_run", "") or "") or _named_listener(params)
    if run_name == "none":
        return None, (), ""
    try:
        search = speakers_video.find(video, _listener(run_name, params), params, folder, store, row)
    except weights.AbsentError as error:
        return None, (), f"who speaks is not known: {error.what} ({error.todo})"
    values = speakers_video.table(search, params.get("speaker_smoothing", speakers_video.SMOOTH))
    tracks = np.asarray(arrays.read(row, request("tracks"), store))
    row_numbers = {(int(frame), int(track)): k for k, (frame, track) in enumerate(tracks[:, :2])}
    spoken = np.full(len(tracks), np.nan)
    of_rows = zip(values["frame"], values["track"], values["smoothed"], strict=True)
    for frame, track, probability in of_rows:
        spoken[row_numbers[frame - 1, track]] = probability
    return spoken, tuple(speakers_video.write(values, search, folder)), search.note


def _named_listener(params: Mapping) -> str:
    """`predict_run`, if that is a network that tells who speaks (params/speakers.yaml)."""
    run_name = params.get("predict_run", "")
    file = weights_file(run_name, params["runs_root"]) if run_name else None
    return run_name if file is not None and file.is_file() and speakers_video.learnt(file) else ""


def _listener(named: str, params: Mapping) -> Path:
    """The file of the network that tells who speaks; Light-ASD's is downloaded if needed."""
    if named:
        return checkpoint_of(named, params["runs_root"])
    file = weights.path(speaker_arrays.WEIGHTS, params["weights_root"])
    _provide(file, params)
    return file


# ---- valence and arousal of a trained network
def _with_affect(tables, people, video: Path, params: Params, folder: Path):
    """The tables with the predictions of the network of `predict_run` (or of the run), and a
    sentence on how far to trust them.
    """
    run_name = params.get("predict_run", "") or params.get("run", "")
    file = weights_file(run_name, params["runs_root"]) if run_name else None
    if file is None or not (file.is_file() or params.get("predict_run", "")):
        return tables, ""
    checkpoint = checkpoint_of(run_name, params["runs_root"])
    if checkpoint.suffix == published.MANIFEST or speakers_video.learnt(checkpoint):
        return tables, ""  # the networks that are used anyway
    if note_of(checkpoint) == SYNTHETIC_NOTE and not params.get("predict_run", ""):
        return tables, f"run {run_name} has learnt from sample data: its values are left out"
    done = []
    for person, table in zip(people, tables, strict=True):
        affect_params = Params({**params, "speaker_run": "none"})
        _, values, _ = predict_video(video, checkpoint, affect_params, folder, person=person.name)
        have = [name for name in values if name not in table or name == "expression"]
        done.append(table.assign(**{_own(name): values[name].to_numpy() for name in have}))
    return done, worth(checkpoint)


def _own(name: str) -> str:
    """Name for a trained network's column beside those of the expression network."""
    return "expression_decided" if name == "expression" else name


# ---- expression of the voice
def _with_voice(tables, row, params: Params, folder: Path, store: Store, has_sound: bool):
    """The tables with the predictions of the network of `voice_run` for each person's voice,
    remarks, and the file of the stretches of speech.
    """
    if not params.get("voice_run", ""):
        return tables, (), ()
    if not has_sound:
        return tables, ("voice_run: the video has no sound",), ()
    from . import voices  # torch and the recipes are needed for this only

    heard = voices.look(row, store, params, tables)
    tables = [voices.beside_faces(table, heard.table) for table in tables]
    file = write_csv(named(folder, f"{row['video']}_voice", ".csv"), heard.table)
    return tables, heard.notes, (file,)


# ---- in words
def summary(people: People) -> str:
    """A sentence per person: how long she or he is seen and speaks, and with which expressions."""
    if people.table.empty:
        return "nobody was found in this video"
    return "\n".join(
        _sentence(name, rows) for name, rows in people.table.groupby("person", sort=False)
    )


def _sentence(name: str, rows: pd.DataFrame) -> str:
    seen = rows[rows["valid"] == 1]
    times = rows["time"].to_numpy(float)
    lasting = pd.Series(ends(times) - times, index=rows.index)  # s
    shares = seen["expression"].value_counts(normalize=True)
    words = ", ".join(f"{word} {share:.0%}" for word, share in shares.items() if share >= 0.05)
    sentence = (
        f"person {name}: seen {lasting[seen.index].sum():.1f} of {lasting.sum():.1f} s; {words}"
    )
    if "speaking" in rows and rows["speaking"].notna().any():
        sentence += f"; speaks {lasting[rows['speaking'] > speakers_video.THRESHOLD].sum():.1f} s"
    return sentence
