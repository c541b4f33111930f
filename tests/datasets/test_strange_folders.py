"""Folders as people, operating systems and other programs leave them, and what is said of them."""

import pytest

from lib import files, parameters
from lib.datasets import check, contents, folder
from lib.errors import InputError
from lib.experiments import experiment
from lib.store import Store

TABLE = "time,valence,arousal\n" + "".join(f"{k / 10:.2f},{k / 20:.3f},-0.5\n" for k in range(8))
OURS = "frame,time,valid,valence,arousal,valence_raw,arousal_raw\n1,0,1,.2,.2,.3,.3\n"


@pytest.fixture
def root(tmp_path, clip):
    def place(*films, **others):
        for name, content in {**dict.fromkeys(films, clip), **others}.items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "data"

    return place


def fate(report):
    return {row["file"]: (row["what"], row["why"]) for row in report.files}


def said(report, item):
    return [(row["what"], row["todo"]) for row in report.problems if row["item"] == item]


# ---- what others leave in a folder


@pytest.mark.parametrize(
    "name", ["$RECYCLE.BIN", "System Volume Information", "@eaDir", "#recycle", "lost+found"]
)
def test_bins_and_thumbnails_of_systems_hold_no_recordings(root, name):
    table, report = folder.find(root("a.mp4", f"{name}/old.mp4"))
    assert list(table["trial"]) == ["a"]
    assert "an operating system keeps its own files here" in fate(report)[name][1]


def test_the_lock_of_a_table_that_is_open_is_no_damaged_table(root):
    _, report = folder.find(root("a.mp4", **{"~$a.xlsx": b"\x05anna" + bytes(160)}))
    assert "left by a program that has a.xlsx open" in fate(report)["~$a.xlsx"][0]
    assert not said(report, "~$a.xlsx")


@pytest.mark.parametrize("name", ["anna (1)", "anna - Copy", "anna copy 2", "anna - Kopie (2)"])
def test_a_copy_of_a_recording_is_named_where_it_has_the_same_bytes(root, clip, name):
    _, report = folder.find(root("anna.mp4", f"{name}.mp4"))
    (what, todo), *_ = [told for told in said(report, name) if "audio" not in told[0]]
    assert what == "a copy of anna.mp4: the same bytes"
    assert "scores flatter" in todo
    _, report = folder.find(root("anna.mp4", **{f"{name}.mp4": clip + bytes(8)}))
    assert not [row for row in report.problems if "a copy of" in row["what"]]


def test_folders_called_train_and_test_are_said_to_decide_nothing(root):
    labels = {f"{part}/{name}.csv": TABLE for part, name in (("Train", "a"), ("dev", "b"))}
    place = root("Train/a.mp4", "dev/b.mp4", **labels)
    ((what, todo),) = said(folder.find(place)[1], "splits.csv")
    assert what == "recordings lie in folders Train and dev, which decide no split"
    assert "columns trial and split" in todo
    place = root(**{"splits.csv": "trial,split\na,train\nb,val\n"})
    assert not said(folder.find(place)[1], "splits.csv")


# ---- labels that belong to no trial, or are none


def test_a_table_of_several_recordings_is_told_as_that(root):
    rows = "".join(f"{name}.mp4,{k},0,0\n" for name in ("anna", "ben") for k in range(3))
    _, report = folder.find(
        root("anna.mp4", "ben.mp4", **{"all.csv": "file,time,valence,arousal\n" + rows})
    )
    ((what, todo),) = said(report, "all.csv")
    assert what.endswith("labels of 2 recordings in one table")
    assert todo == "write a table each: anna.csv, ben.csv"


def test_tables_of_this_program_are_no_labels(root):
    _, report = folder.find(root("anna.mp4", **{"sent/anna.csv": OURS, "sent/columns.json": "[]"}))
    assert "that this program wrote" in fate(report)["sent/anna.csv"][1]
    assert "this program's tables" in fate(report)["sent/columns.json"][1]


@pytest.mark.parametrize(
    ("name", "content", "what", "todo"),
    [
        ("anna.json", '[{"time": 0, "valence": 0}]', "no JSON of AFEW-VA", "save it as CSV"),
        ("anna.jsonl", '{"time": 0, "valence": 0}\n', "lines of JSON", "save it as CSV"),
        ("anna.parquet", b"PAR1", "a table in Parquet", "save it as CSV"),
        ("anna.xlsx", TABLE, "a text under the name of an Excel file", "call it .csv"),
        ("anna.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "a password", "as .xlsx"),
        ("anna.csv", b"PK\x03\x04" + bytes(99), "an Excel file, or another archive", ".xlsx"),
    ],
)
def test_a_table_in_another_form_is_told_with_what_to_do(root, name, content, what, todo):
    pytest.importorskip("openpyxl")
    _, report = folder.find(root("anna.mp4", **{name: content}))
    told = [row for row in report.problems if row["where"].endswith(name)]
    assert what in told[0]["what"]
    assert todo in told[0]["todo"]


# ---- which folder


def test_a_file_or_folder_that_vanishes_while_it_is_looked_at_is_named(root, monkeypatch):
    place = root("a.mp4", "b/c.mp4")
    (place / "link").symlink_to("nowhere")
    real = files.os.readlink

    def gone(path):
        if str(path).endswith("link"):
            raise FileNotFoundError(2, "No such file or directory")
        return real(path)

    monkeypatch.setattr(files.os, "readlink", gone)
    seen = {}
    for entry in files.walk(place):
        seen[entry.path] = entry.why
        if entry.path == "a.mp4":
            (place / "b" / "c.mp4").unlink()
            (place / "b").rmdir()
    assert "gone by now" in seen["link"]
    assert "cannot be read" in seen["b"]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("data/a.mp4", "is a file; for a single recording set video_path"),
        ("data/none", "is not there"),
        ("/", "is the whole disk"),
        (files.ROOT, "is this repository itself"),
    ],
)
def test_what_cannot_be_anybodys_data_is_told_as_what_it_is(root, tmp_path, where, why):
    root("a.mp4")
    place = tmp_path / where
    with pytest.raises(InputError) as caught:
        contents.look(place)
    assert why in caught.value.what
    values = {"dataset": "folder", "data_root": str(place), "processed_root": str(tmp_path / "p")}
    assert why in experiment.absent_data(parameters.complete(values))


@pytest.mark.parametrize(("dataset", "other"), [("folder", ""), ("ravdess", "a.mp4")])
def test_a_folder_without_a_recording_is_told_before_anything_is_trained(
    root, tmp_path, dataset, other
):
    place = root("a.mp4") if other == "a.mp4" else tmp_path / "data"
    (place / "day1").mkdir(parents=True)
    (place / "day1" / "notes.txt").write_text("nothing here")
    values = {"dataset": dataset, "data_root": str(place), "processed_root": str(tmp_path / "p")}
    told = experiment.absent_data(parameters.complete(values))
    assert "holds no recording" in told
    kind = {"folder": b"\x00\x00\x00\x20ftypisom", "ravdess": b"fLaC"}[dataset]
    (place / "day1" / "x").write_bytes(kind + bytes(64))
    assert experiment.absent_data(parameters.complete(values)) == ""


# ---- splits

LABELS = {f"{name}.csv": TABLE for name in ("anna", "ben", "carl")}
THREE = ("anna.mp4", "ben.mp4", "carl.mp4")


def test_trials_that_splits_csv_does_not_name_are_told(root):
    _, report = folder.find(root(*THREE, **LABELS, **{"splits.csv": "trial,split\nanna,val\n"}))
    ((what, _),) = said(report, "splits.csv")
    assert what == "2 labelled trials stand nowhere in splits.csv: ben, carl"


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ("train train test", "no labelled trial is in val"),
        ("val val test", "no labelled trial is in train"),
        ("train val test", ""),
        ("test test test", ""),
    ],
)
def test_labelled_trials_in_only_one_of_train_and_val_are_told(root, parts, what):
    lines = [f"{name[:-4]},{part}" for name, part in zip(THREE, parts.split(), strict=True)]
    splits = "\n".join(["trial,split", *lines])
    _, report = folder.find(root(*THREE, **LABELS, **{"splits.csv": splits}))
    assert [told for told, _ in said(report, "splits.csv")] == [what] * bool(what)


def test_subjects_that_differ_in_capitals_only_are_told(root):
    lines = "trial,split,subject\nanna,train,P1\nben,val,p1\ncarl,test,P2\n"
    _, report = folder.find(root(*THREE, **LABELS, **{"splits.csv": lines}))
    assert said(report, "p1")[0][0] == "the subjects P1 and p1 differ in capitals only"


def test_splits_under_another_name_are_told_as_splits(root):
    lines = "trial,split\nanna,train\nben,val\ncarl,test\n"
    _, report = folder.find(root(*THREE, **LABELS, **{"splits (1).csv": lines}))
    ((what, todo),) = said(report, "splits (1).csv")
    assert "a table of splits under another name" in what
    assert todo == "rename or move it: splits.csv"


# ---- names that fit several, and texts that are no tables


def test_a_table_that_fits_two_recordings_but_for_capitals_is_nobodys(root):
    table, report = folder.find(root("Anna.mp4", "anna.mov", **{"ANNA.csv": TABLE}))
    assert (table["va_path"] == "").all()
    assert "2 recordings are called ANNA" in said(report, "ANNA.csv")[0][0]


def test_two_tables_that_differ_in_capitals_only_are_told_as_that(root):
    _, report = folder.find(root("anna.mp4", **{"Anna.csv": TABLE, "ANNA.csv": TABLE}))
    assert "2 files of this name differ in capitals" in said(report, "Anna.csv")[0][0]


@pytest.mark.parametrize("text", ["a sad day, rainy\nmore notes", "Hello there.", "Anna; 12 May\n"])
def test_notes_that_are_called_like_a_recording_cost_it_nothing(root, text):
    table, report = folder.find(root("anna.mp4", **{"anna.txt": text}))
    assert table.iloc[0]["va_path"] == ""
    assert "a text without labels" in said(report, "anna.txt")[0][0]
    assert not [row for row in report.problems if row["severity"] == "error"]


@pytest.mark.parametrize(
    "text", ["0.1,0.2\n0.3,0.4\n", "valence;arousal\n0.1;high\n", "Valence\nx\n"]
)
def test_a_text_that_might_be_labels_stays_an_error(root, text):
    place = root("anna.mp4", **{"anna.txt": text})
    table, _ = folder.find(place)
    assert table.iloc[0]["va_path"] == "anna.txt"
    store = Store(place.parent / "processed", "folder", place)
    assert check.check_trial(table.iloc[0].to_dict(), store)["errors"]


@pytest.mark.parametrize("name", ["anna.srt", "anna.rttm", "anna.TextGrid"])
def test_stretches_of_speech_are_told_with_the_parameter_that_reads_them(root, name):
    _, report = folder.find(root("anna.mp4", **{name: "x"}))
    ((what, todo),) = said(report, name)
    assert "segments_path reads it" in what
    assert "CSV" not in todo


def test_lines_of_splits_csv_that_are_passed_over_are_told(root):
    text = "trial,split\nanna,train\n#ben,val\ncarl,test\n"
    _, report = folder.find(root(*THREE, **LABELS, **{"splits.csv": text}))
    told = [what for what, _ in said(report, "splits.csv")]
    assert "1 line is no row and passed over (first: line 3)" in told
