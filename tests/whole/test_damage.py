"""Our own files, whatever became of them: each reader answers with file, reason and way out.

`READERS` is the table of all: a real file of each, its reader, and what mutated copies may raise.
"""

import contextlib
import json
import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import lib.datasets as datasets
from lib import files, parameters, runs, store, trials
from lib.datasets import ego4d_annotation, study
from lib.errors import InputError
from lib.evaluation import comparison, submission
from lib.evaluation.predictions import Predictions
from lib.experiments import experiment, report
from lib.experiments.sweeps import table as sweeps_table
from lib.faces import openface
from lib.features import encoder_files, own, vggish
from lib.labels import (
    csv_columns,
    folds,
    formats,
    lfan_rows,
    official,
    segments,
    tables,
    transcripts,
)
from lib.media import pickles, pictures, readings, recordings, writing
from lib.models import checkpoints, published, tensor_manifest, weights
from lib.parallel import locks
from lib.plots import viewer
from lib.speakers import files as speaker_files
from lib.speakers.clips import make, numbering, schema, units, video
from tests.datasets import test_foreign_files as foreign
from tests.leftovers import left_beside

MADE_FROM = {"name": "va", "parameters": {}, "version": 1, "inputs": {"video": {"size": 1}}}
CLIP = {
    "schema": "avclip/1",
    "n_frames": 6,
    "start_frame": 0,
    "end_frame": 5,
    "fps": [30, 1],
    "image_size": [64, 48],
    "audio": {"path": "audio.wav", "sr": 16000},
    "frames": {"dir": "frames", "pattern": "img_%05d.jpg", "first": 0},
    "speech": {"rle": [[1, 4], [0, 2]]},
    "persons": [
        {
            "person_id": "a",
            "visible": {"rle": [[1, 6]]},
            "asd": [0, 1, 0, 1, 0, 1],
            "boxes": [[0, 1.0, 2.0, 30.0, 40.0, "annotated"]],
        }
    ],
}
EMOTION = {"ccc": 0.5, "ci95": [0.4, 0.6], "n_frames": 100, "n_trials": 4}
METRICS = {
    "val": {"valence": EMOTION, "arousal": EMOTION, "mean": {"ccc": 0.5}},
    "val_smoothed": {"valence": EMOTION},
    "baselines": {"mean of train": {"valence": 0.0, "arousal": {"ccc": 0.1}}},
    "epoch": 3,
}
PARAMS = "recipe: tsav\ndataset: sample\nrules: corrected\nmodality: audio\noptions: {a: 1}\n"
RUN = {"recipe": "tsav", "dataset": "sample", "lr": 0.1}


def a_run(folder: Path) -> Path:
    """A run folder as far as reports and comparisons read it."""
    run = runs.Run(folder)
    run.write_text("params.yaml", PARAMS)
    run.write_json("metrics.json", METRICS)
    run.write_text("history.csv", "epoch,loss,seconds,score\n1,0.5,2.5,0.1\n2,0.4,2.6,0.2\n")
    row = {"step": "05_train", "item": "1", "what": "damaged"}
    run.write_json("environment.json", {"python": "3", "git": {"commit": "1"}})
    record = {"inputs": {}, "code": {}, "parameters": {}, "outputs": [], "unfinished": ""}
    run.write_json("steps/05_train.json", {**record, "lost": 0})
    text = pd.DataFrame([row]).reindex(columns=runs.FAILURE_COLUMNS).to_csv(index=False)
    run.write_text("failures.csv", text)
    return folder


def an_array(place: Path) -> Path:
    return store.Shelf(place).write(MADE_FROM, np.arange(40.0, dtype=np.float32), t0=0.5)


def a_table(place: Path) -> Path:
    rows = [{"trial": f"{n}", "video": f"{n}", "dataset": "set", "split": "val"} for n in range(5)]
    return trials.write(trials.table(rows), place / "trials.parquet")


def a_clip(place: Path) -> Path:
    return files.write_text(place / "clip.json", json.dumps(CLIP))


def read_unit(path: Path) -> None:
    unit = units.Unit("v", "a", 0, 6, path)
    unit.labels(), unit.boxes(), unit.fps, unit.picture(3)
    with pytest.raises(InputError):
        unit.sound(0, 3)  # there is none


def an_index(place: Path) -> Path:
    line = {"clip_id": "v/clip_f000000", "person_id": "a", "n_frames": 6, "path": "v/clip_f000000"}
    return files.write_text(place / "train.jsonl", 3 * (json.dumps(line) + "\n"))


def an_annotation(place: Path) -> Path:
    box = {"frame": 1, "x": 1, "y": 2, "width": 3, "height": 4}
    person = {
        "person_id": "1",
        "tracking_paths": [{"track_id": "t", "track": [box]}],
        "voice_segments": [{"start_frame": 1, "end_frame": 2}],
    }
    clip = {"clip_uid": "c", "clip_start_frame": 0, "clip_end_frame": 9, "persons": [person]}
    told = {"videos": [{"clips": [clip, {**clip, "clip_uid": "d"}]}]}
    return files.write_text(place / "av_train.json", json.dumps(told))


def read_annotation(path: Path) -> None:
    found = ego4d_annotation.scan(path)
    for uid in found.places:
        found.read(uid)


def a_checkpoint(place: Path, zipped: bool = True) -> Path:
    content = {"model": {"w": torch.arange(6.0)}, "params": RUN, "score": np.float64(1)}
    torch.save(content, place / "best.pt", _use_new_zipfile_serialization=zipped)
    return place / "best.pt"


def a_pickle(place: Path) -> Path:
    import pickle

    content = {"a": [1, 2.5, "b"], "x": np.arange(5), "y": (None, True)}
    return files.write_bytes(place / "some.pkl", pickle.dumps(content, 4))


def records(place: Path) -> Path:
    told = {"a.pt": {"sha256": "0" * 64, "size": 3}}
    return files.write_text(place / weights.RECORDS, json.dumps(told))


def rows(place: Path) -> Path:
    np.save(place / "rows.npy", np.arange(12.0).reshape(3, 4))
    return place / "rows.npy"


def text(name: str, content: str) -> Callable[[Path], Path]:
    return lambda place: files.write_text(place / name, content)


def a_film(place: Path) -> Path:
    pictures = [np.full((32, 32, 3), 20 * n, np.uint8) for n in range(8)]
    sound = np.zeros(5120, np.int16)
    return writing.write_video(place / "a.mp4", pictures, np.arange(8) / 25, sound, 16000)


def read_film(path: Path) -> None:
    facts = recordings.probe(path)
    recordings.frame_times(path)
    for _ in recordings.frames(path):
        pass
    assert facts


def a_picture(place: Path) -> Path:
    picture = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    return files.write_bytes(place / "img_00001.jpg", viewer.encoded(picture, ".jpg"))


def a_manifest(place: Path) -> Path:
    files.write_bytes(place / "a.bin", np.arange(6, dtype=np.float32).tobytes())
    weight = {"name": "w", "shape": [2, 3], "dtype": "float32"}
    told = [{"weights": [weight], "paths": ["a.bin"]}]
    return files.write_text(place / "a-weights_manifest.json", json.dumps(told))


def the_pca(place: Path) -> Path:
    np.savez(place / "pca.npz", pca_eigen_vectors=np.eye(4), pca_means=np.zeros(4))
    return place / "pca.npz"


def a_fold_file(place: Path) -> Path:
    return files.write_text(place / "folds.csv", "trial,subject,fold\n1,a,0\n2,b,1\n3,b,1\n")


def a_sweep(place: Path) -> Path:
    point = {"values": {"lr": 0.1}, "folder": "nowhere", "epochs": 2, "host": "", "why": ""}
    point |= {"state": "finished", "seconds": 3.0, "tries": 1}
    told = {"grid": {"lr": [0.1]}, "files": ["a.yaml"], "cluster": "local", "runs": {"a": point}}
    told |= {"started": "2026-01-01 00:00:00", "ended": ""}
    return files.write_text(place / "sweep.json", json.dumps(told))


def read_sweep(path: Path) -> None:
    table = sweeps_table.read(path.parent)
    sweeps_table.page(path.parent, table), sweeps_table.text(table), sweeps_table.note(path.parent)


def a_prediction(place: Path) -> Path:
    header = "frame,time,valence,arousal,valence_raw,arousal_raw,label_valence,label_arousal,note"
    rows = [f"{k},{k / 25},0.1,0.2,0.1,0.2,0.3,{'' if k == 2 else 0.1},plain" for k in range(1, 9)]
    return files.write_text(place / "1.csv", "\n".join([header, *rows, ""]))


def read_prediction(path: Path) -> None:
    predictions = Predictions(path.parent)
    predictions.of_sample(["1"]), predictions.pairs("1"), predictions.raw("1", ["va"])


def of_reading(place: Path) -> Path:
    film = files.write_bytes(place / "a.mp4", b"none")
    told = {"version": readings.VERSION, "of": store.fingerprint(film), "origin": 0.25}
    return files.write_text(place / readings.READING_FILE, json.dumps({"video_path": told}))


def read_reading(path: Path) -> None:
    readings._kept_or_looked(path.parent / "a.mp4", path.parent, "video_path")


def read_lock(path: Path) -> None:
    with locks._opened(path) as stream:
        stream.seek(0)
        locks._in_words(stream.read())


def read_stretches(path):
    """Anew each time: what was read is kept otherwise."""
    return segments._read.__wrapped__(path)


def of_nova(place):
    """Its description; the values lie beside it."""
    path = place / "a.valence.annotation"
    path.with_name(path.name + "~").write_text("0.1;1\n0.2;1\n")
    path.write_text(foreign.NOVA)
    return path


ANNOTATION = "valence,arousal\n0.5,0.25\n-5,-5\n-0.5,1\n" + "0.1,0.2\n" * 5
AVA = "v,0.04,0.1,0.2,0.3,0.4,NOT_SPEAKING,a\nv,0.08,0.1,0.2,0.3,0.4,SPEAKING_AUDIBLE,a\n"
TABLE = "time,valence,arousal\n0.0,0.1,0.2\n0.5,0.3,0.4\n1.0,-0.3,-0.4\n"
COUNTS = json.dumps({"seed": 1, "expected": {"videos": 4, "test trials": 1}})
FACTS = json.dumps({"n_frames": 5, "base": 0, "size": [64, 48], "n_samples": 100})
MARK = json.dumps(make.marker("clip", 0, 1, 6, 0))
SENT = "image_location,valence,arousal\n1/00001.jpg,0.1,0.2\n1/00002.jpg,0.1,0.2\n"
STRETCHES = json.dumps({"segments": [{"start": 0.5, "end": 2.0, "speaker": "A", "text": "x"}]})
STUDY = json.dumps({"root": "a", "files": {"a.mp4": {"size": 3}}})
AFEW = json.dumps({"video_id": "1", "frames": {"00001": {"valence": 1.0, "arousal": 2.0}}})
RTTM = "SPEAKER talk 1 0.50 1.20 <NA> <NA> anna <NA> <NA>\n" * 3
SRT = "1\n00:00:01,000 --> 00:00:02,500\nAnna: hello\n\n2\n00:00:03,000 --> 00:00:04,000\nyes\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.500\n<v Anna>hello</v>\n\n00:03.000 --> 00:04.000\nyes\n"
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "anna"
        xmin = 0
        xmax = 4
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 2.5
            text = "hello"
        intervals [2]:
            xmin = 2.5
            xmax = 4
            text = "yes"
"""
TURNS = "start;end;speaker\n0,5;2,0;anna\n2,0;3,5;ben\n"
SECONDS = "".join(f"{second}.00,{second}.0\n" for second in range(5))
CARMA = (
    "Time of Rating,09-Mar-2026 12:00:00\nMultimedia File,anna.mp4\nLower Label,low\n"
    "Upper Label,high\nMinimum Value,-100\nMaximum Value,100\nNumber of Steps,9\n"
    f"Second,Rating\n%%%%%%,%%%%%%\n{SECONDS}"
)
DARMA = "Time of Rating,x\nMultimedia File,a.mp4\nMagnitude,100\nSecond,X,Y\n%%%%,%%%%,%%%%\n"
DARMA += SECONDS.replace("\n", ",1\n")
SPLITS = "trial,split\nanna,train\n"
OPENFACE = "frame, face_id, timestamp, success\n1, 0, 0.0, 1\n2, 0, 0.04, 0\n"
EGO4D = "0 1 10 20 30 40 0.5 1\n1 1 10 20 30 40 0.5 0\n"


@dataclass(frozen=True)
class Reader:
    """`make(folder)` writes a real file; `read(path)` is given mutated copies of it."""

    make: Callable[[Path], Path]
    read: Callable[[Path], object]


def of_run(name: str, read: Callable[[Path], object]) -> Reader:
    return Reader(lambda place: a_run(place) / name, read)


READERS = {
    "array": Reader(an_array, store.verify),
    "side JSON": Reader(lambda place: an_array(place).with_suffix(".json"), store.facts),
    "trial table": Reader(a_table, trials.read),
    "params.yaml": of_run("params.yaml", lambda path: runs.parameters(path.parent)),
    "parameter file": of_run("params.yaml", lambda path: parameters.load([path])),
    "metrics.json": of_run("metrics.json", lambda path: comparison.tables([path.parent])),
    "history.csv": of_run("history.csv", lambda path: comparison.tables([path.parent])),
    "failures.csv": of_run("failures.csv", lambda path: runs.Run(path.parent).failures()),
    "environment.json": of_run(
        "environment.json", lambda path: runs.Run(path.parent).read_json("environment.json")
    ),
    "step": of_run(
        "steps/05_train.json", lambda path: experiment.is_trained(runs.Run(path.parents[1]))
    ),
    "recorded.json": Reader(records, lambda path: weights._records(path.parent)),
    "clip.json": Reader(a_clip, schema.read),
    "unit of a clip": Reader(a_clip, read_unit),
    "train.jsonl": Reader(an_index, lambda path: units.read_index(path.parent)),
    "Ego4D": Reader(an_annotation, read_annotation),
    "checkpoint": Reader(a_checkpoint, checkpoints.load),
    "old weights": Reader(lambda place: a_checkpoint(place, False), published.read),
    "pickle": Reader(a_pickle, pickles.read),
    "own feature": Reader(rows, own.load),
    "official labels": Reader(text("1.txt", ANNOTATION), lambda path: official.read(path, "va")),
    "table of labels": Reader(text("1.csv", TABLE), lambda path: tables.read(path, "va")),
    "folds": Reader(a_fold_file, folds.read),
    "AVA": Reader(text("a.csv", AVA), speaker_files.read_ava),
    "Ego4D's text": Reader(text("a.txt", EGO4D), speaker_files.read_ego4d),
    "manifest": Reader(a_manifest, tensor_manifest.read),
    "whitening": Reader(the_pca, vggish._pca),
    "film": Reader(a_film, read_film),
    "picture": Reader(a_picture, lambda path: pictures.read(path)),
    "columns.json": Reader(
        lambda place: csv_columns.record(place, ["frame", "valence"]),
        lambda path: csv_columns.record(path.parent, ["frame", "arousal"]),
    ),
    "sample.json": Reader(text("sample.json", COUNTS), datasets._sample_counts),
    "sweep.json": Reader(a_sweep, read_sweep),
    "prediction": Reader(a_prediction, read_prediction),
    "reading": Reader(of_reading, read_reading),
    "recordings of a table": Reader(
        text(study.RECORD, STUDY), lambda path: study.read(path.parent)
    ),
    "pictures of a clip": Reader(
        text(numbering.MARKER, MARK), lambda path: numbering.read(str(path.parent))
    ),
    "facts of a video": Reader(text("a.json", FACTS), lambda path: video.read_facts(str(path))),
    "encoder": Reader(text("config.json", '{"image_size": 224}'), encoder_files.read),
    "submission": Reader(
        text("all.txt", SENT), lambda path: submission.validate_single(path, {"1": 2})
    ),
    "transcript": Reader(text("a.json", STRETCHES), transcripts.of_json),
    "AFEW-VA": Reader(text("a.json", AFEW), lambda path: formats._read_afew(path, [-10, 10])),
    "lock": Reader(text(".lock", '{"host": "a", "pid": 1, "since": "2026-01-01"}'), read_lock),
    "LFAN's rows": Reader(rows, lambda path: lfan_rows.read(path, (4,))),
    "RTTM": Reader(text("a.rttm", RTTM), read_stretches),
    "subtitles": Reader(text("a.srt", SRT), read_stretches),
    "WebVTT": Reader(text("a.vtt", VTT), read_stretches),
    "TextGrid": Reader(text("a.TextGrid", TEXTGRID), read_stretches),
    "turns of ELAN": Reader(text("a.eaf", foreign.EAF), read_stretches),
    "turns in a table": Reader(text("a.csv", TURNS), read_stretches),
    "ratings of ELAN": Reader(text("a.eaf", foreign.EAF), formats.read),
    "NOVA": Reader(of_nova, formats.read),
    "CARMA": Reader(text("anna_valence.csv", CARMA), lambda path: tables.read(path, "va")),
    "DARMA": Reader(text("a.csv", DARMA), lambda path: tables.read(path, "va")),
    "splits.csv": Reader(text("splits.csv", SPLITS), foreign.read_splits),
    "OpenFace": Reader(text("openface.csv", OPENFACE), openface.places),
}
WORDS = [b"\xff\xfe", b"null", b"-1", b"1e400", b"[" * 3000, b'{"rle": [[1, 1000000000]]}', b"\0"]


ODD = [None, -1, 0, True, "x", "", [], {}, [[]], {"a": 1}, 1e308, 10**30, "../x", [1, 2], 0.5]


def exchanged(value: object, draw: random.Random) -> object:
    """JSON with one value in it, anywhere, exchanged for another kind, or gone."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.1:
        return draw.choice(ODD)
    key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
    changed = value.copy()
    if draw.random() < 0.15:
        del changed[key]
    else:
        changed[key] = exchanged(value[key], draw)
    return changed


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One damage: bits, a cut, bytes that are gone, repeated, or another value."""
    if content[:1] == b"{" and draw.random() < 0.5:
        first, *rest = content.splitlines() if content.count(b"\n{") else [content]
        return b"\n".join([json.dumps(exchanged(json.loads(first), draw)).encode(), *rest])
    changed, place = bytearray(content), draw.randrange(len(content))
    kind = draw.randrange(6)
    if kind == 0:
        for _ in range(draw.choice([1, 1, 2, 8])):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del changed[place:]
    elif kind == 2:
        del changed[place : place + draw.choice([1, 4, 40])]
    elif kind == 3:
        changed[place:place] = changed[place : place + 40] * draw.choice([1, 3])
    elif kind == 4:
        changed[place:place] = draw.choice(WORDS)
    else:
        changed[place : place + 8] = struct.pack("<q", draw.choice([-1, 1 << 31, (1 << 62) - 1]))
    return bytes(changed)


def wrong_answers(name: str, place: Path, seed: int, count: int) -> list[str]:
    """Damages of a file that its reader answered with anything but a value or a clear error."""
    reader, draw = READERS[name], random.Random(f"{name} {seed}")
    path = reader.make(place)
    reader.read(path)
    content, wrong = path.read_bytes(), []
    for number in range(count):
        path.write_bytes(mutated(content, draw))
        try:
            reader.read(path)
        except InputError as error:
            if not (error.where or str(error)):
                wrong.append(f"{name}, seed {seed}, number {number}: no place: {error}")
        except Exception as error:  # the very thing that is looked for
            wrong.append(f"{name}, seed {seed}, number {number}: {error!r}")
    return wrong


def no_warning(test: Callable) -> Callable:
    """A warning of a package beneath is no answer: a value that it doubts is none of the file's.

    PyTorch's about a pickle's protocol is left out: it reads what is there, whatever that says.
    """
    for said in ("error", "ignore:Detected pickle protocol"):
        test = pytest.mark.filterwarnings(said)(test)
    return test


@no_warning
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_answered_with_a_value_or_a_clear_error(name, tmp_path):
    seed = random.SystemRandom().randrange(1 << 32)
    assert not wrong_answers(name, tmp_path, seed, 15)


@pytest.mark.slow
@no_warning
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_answered_so(name, tmp_path):
    seed = random.SystemRandom().randrange(1 << 32)
    assert not wrong_answers(name, tmp_path, seed, 150)


# ---- one of each kind by hand, with what a person is told
@pytest.mark.parametrize("broken", ["params.yaml", "metrics.json", "history.csv"])
@pytest.mark.parametrize("content", [b"[1", b"\xff\xfe\x00", b""])
def test_one_broken_run_folder_does_not_stop_compare(tmp_path, broken, content):
    good, bad = a_run(tmp_path / "good"), a_run(tmp_path / "bad")
    (bad / broken).write_bytes(content)
    blocks, notes = comparison.tables([good, bad])
    if content or broken == "history.csv":
        ((_, block),) = blocks.items()
        assert block["run"].to_list() == ["good", "mean of train"]
        assert any(note.startswith("left out: bad: ") for note in notes)
        assert f"{bad / broken}" in notes[-1]


@pytest.mark.parametrize(
    "metrics",
    [
        {"val": 3},
        {"val": {"valence": {"ccc": "much"}}},
        {"val": {"valence": {"ccc": 10**30}}},
        {"val": {"valence": {"ccc": -math.inf}}},
        {**METRICS, "baselines": {"zero": {"valence": 10**400}}},
        {"val": {"valence": {"ccc": 0.5, "ci95": 3}}},
        {"val": {"valence": 3}},
        {**METRICS, "baselines": {"zero": 3}},
        {**METRICS, "epoch": "last"},
        {**METRICS, "epoch": 10**18},
    ],
)
def test_scores_that_are_no_numbers_are_left_out_and_named(tmp_path, metrics):
    good, bad = a_run(tmp_path / "good"), a_run(tmp_path / "bad")
    (bad / "metrics.json").write_text(json.dumps(metrics))
    _, notes = comparison.tables([bad, good])
    assert notes[-1].startswith("left out: bad: metrics.json is damaged")
    assert notes[-1].endswith("run its notebook 06_inference")


def test_the_command_names_the_run_that_it_left_out(tmp_path):
    good, bad = a_run(tmp_path / "good"), a_run(tmp_path / "bad")
    (bad / "metrics.json").write_text("{")
    found = comparison.compare([good, bad], tmp_path / "out")
    assert "left out: bad: metrics.json is damaged" in found.text
    assert "left out: bad" in (tmp_path / "out" / "comparison.html").read_text()


def test_a_picture_that_could_not_be_finished_leaves_the_one_before(tmp_path, monkeypatch):
    good, out = a_run(tmp_path / "good"), tmp_path / "out"
    comparison.compare([good], out)
    before = (out / "comparison.png").read_bytes()

    def savefig(figure, to, **how) -> None:
        with contextlib.nullcontext(to) if hasattr(to, "write") else open(to, "wb") as stream:
            stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)
    with pytest.raises(KeyboardInterrupt):
        comparison.compare([good], out)
    assert (out / "comparison.png").read_bytes() == before


def test_what_a_killed_comparison_left_half_is_cleared_away(tmp_path):
    left = left_beside(tmp_path / "comparison.html")
    comparison.compare([a_run(tmp_path / "good")], tmp_path)
    assert not left.exists()


def test_a_broken_record_of_a_notebook_is_a_reason_to_execute_it_again(tmp_path):
    run = runs.Run(a_run(tmp_path / "run"))
    for content in ("{", "[]", '{"inputs": 3}'):
        (run.folder / "steps/05_train.json").write_text(content)
        assert experiment.record_of(run, "05_train") is None
        assert str(experiment.outdated(None, "05_train", run)).startswith("its record is damaged")


def test_runs_that_are_counted_cost_neither_time_nor_memory(tmp_path):
    told = {**CLIP, "speech": {"rle": [[1, 1_000_000_000]]}}
    path = files.write_text(tmp_path / "clip.json", json.dumps(told))
    with pytest.raises(InputError, match="1000000000 values for 6 frames"):
        schema.read(path)
    with pytest.raises(InputError, match="1000000000 values for 6 frames"):
        units.Unit("v", "a", 0, 6, path).labels()


def test_a_picture_of_two_thousand_million_digits_has_no_name(tmp_path):
    told = {**CLIP, "frames": {**CLIP["frames"], "pattern": "%02000000000d.jpg"}}
    path = files.write_text(tmp_path / "clip.json", json.dumps(told))
    with pytest.raises(InputError, match="pictures called %02000000000d") as caught:
        units.Unit("v", "a", 0, 6, path).picture(0)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("size", "corner", "reason"),
    [
        ([64, 0], 30.0, "pictures of 64×0 px"),
        ([64, 48], 1e308, "a box of frame 0 with the corners 1.0, 2.0, 1e\\+308, 40.0"),
        ([64, 48], math.nan, "a box of frame 0 with the corners 1.0, 2.0, nan, 40.0"),
    ],
)
def test_a_face_that_would_be_nowhere_on_a_picture_is_refused(tmp_path, size, corner, reason):
    person = {**CLIP["persons"][0], "boxes": [[0, 1.0, 2.0, corner, 40.0, "annotated"]]}
    told = {**CLIP, "image_size": size, "persons": [person]}
    path = files.write_text(tmp_path / "clip.json", json.dumps(told))
    with pytest.raises(InputError, match=reason) as caught:
        units.Unit("v", "a", 0, 6, path).labels()
    assert caught.value.where == str(path)


def test_a_table_that_claims_a_thousand_million_trials_is_not_read(tmp_path, monkeypatch):
    path = a_table(tmp_path)
    monkeypatch.setattr(trials, "MOST_TRIALS", 4)
    with pytest.raises(InputError, match="5 rows, at most 4 are read"):
        trials.read(path)


def test_the_report_of_a_damaged_run_names_the_file(tmp_path):
    run = runs.Run(a_run(tmp_path / "run"))
    (run.folder / "environment.json").write_text("{")
    with pytest.raises(InputError, match=r"environment\.json is damaged"):
        report.write(run)


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("a.rttm", b"SPEAKER talk 1 0.50\n", read_stretches),
        (
            "a.eaf",
            foreign.EAF.encode().replace(b"UTF-8", b"ascii").replace(b'"a1"', b'"\xe9"'),
            None,
        ),
        ("a.dominance.annotation", foreign.NOVA.replace("valence", "dominance").encode(), None),
    ],
)
def test_what_damages_found_in_files_of_programs_is_a_clear_error(tmp_path, name, content, read):
    path = tmp_path / name
    path.with_name(path.name + "~").write_text("0.1;1\n0.2;1\n")
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        (read or formats.read)(path)
    assert str(path) in caught.value.where
    assert caught.value.todo
