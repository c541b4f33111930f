"""A folder of somebody's own: names, linked folders, what becomes of each file, and splits."""

import os
import unicodedata

import numpy as np
import pytest

from lib import arrays, datasets, files, parameters, trials
from lib.datasets import affwild2, check, folder, inventory, recorder, splits
from lib.datasets.report import Report
from lib.errors import InputError
from lib.faces import crops, openface
from lib.media import recordings, writing
from lib.parallel import mapping
from lib.store import Store, request
from tests import pace

TABLE = "time,valence,arousal\n" + "".join(f"{k / 10:.2f},{k / 20:.3f},-0.5\n" for k in range(8))
VA = request("va", mismatch="fit")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    shades = (np.full((32, 32, 3), 20 * k, np.uint8) for k in range(10))
    tone = np.sin(np.arange(17_640) / 20).astype(np.float32) / 2
    writing.write_video(path, shades, np.arange(10) / 25, tone)
    return path.read_bytes()


@pytest.fixture
def root(tmp_path, clip):
    def place(*films, **others):
        for name, content in {**dict.fromkeys(films), **others}.items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(clip if content is None else data)
        return tmp_path / "data"

    return place


def found(place, **more):
    table, report = folder.find(place, **more)
    return table.set_index("trial", drop=False), report


def fate(report):
    """file -> (what, why, right)."""
    return {row["file"]: (row["what"], row["why"], row["right"]) for row in report.files}


# ---- names


def test_the_same_names_in_several_folders_keep_their_own_labels(root):
    place = root(
        "P01/take.mp4", "P02/take.mp4", "anna.mp4", "anna.mov", **{
            "P01/take.csv": TABLE,
            "labels/P02/take.csv": TABLE,
            "anna.csv": TABLE,
        },
    )  # fmt: skip
    table, report = found(place)
    assert table["va_path"].to_dict() == {
        "P01__take_mp4": "P01/take.csv",
        "P02__take_mp4": "labels/P02/take.csv",
        "anna_mov": "anna.csv",
        "anna_mp4": "anna.csv",
    }
    assert table.loc["anna_mov", "subject"] == table.loc["anna_mp4", "subject"]
    assert report.problems == [row for row in report.problems if row["severity"] == "warning"]


def test_a_file_named_after_one_of_two_recordings_is_its_own(root):
    place = root("anna.mp4", "anna.mov", **{"anna.mov.csv": TABLE})
    table = found(place)[0]
    assert table["va_path"].to_dict() == {"anna_mp4": "", "anna_mov": "anna.mov.csv"}


NAMES = [
    "a|b", "a::b", "a%7Cb", "$HOME", "#1", "2024.01.05_anna", "-rf", " a ", "100%", "a&b;c", "'q'",
    "x" * 250, "é" * 120, "tab\tin", "back\\slash", "日本", "CON", "a.b.",
]  # fmt: skip


def test_any_name_of_a_file_is_kept_with_its_labels_and_stays_in_its_folder(root, tmp_path):
    place = root(*(f"{name}.mp4" for name in NAMES), **{f"{name}.csv": TABLE for name in NAMES})
    table, report = found(place)
    assert len(table) == len(NAMES)
    assert (table["va_path"] != "").all()
    assert report.failures() == []
    store = Store(tmp_path / "processed", "folder", place)
    for row in table.to_dict("records"):
        arrays.make(row, VA, store)
        assert np.isfinite(np.asarray(arrays.read(row, VA, store))).all()
    trials.write(table.reset_index(drop=True), store.trials_path)
    assert trials.read(store.trials_path)["trial"].tolist() == table["trial"].tolist()
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written == {"data", "processed"}


def test_a_name_that_leads_out_on_windows_costs_its_recording_only(root):
    table, report = found(root("a.mp4", "x\\..\\b.mp4", "C:\\c.mp4"))
    assert list(table["trial"]) == ["a"]
    assert all("on Windows" in row["what"] for row in report.problems)
    assert len(report.problems) == 2


def test_recordings_whose_long_names_are_equal_are_told_apart(root):
    names = ["a.b/c.mp4", "a_b/c.mp4", "a_b__c_mp4.mp4"]
    table = found(root(*names))[0]
    assert table["video_path"].tolist() == names
    assert table["trial"].is_unique


def test_a_recording_called_as_a_person_of_another_one_is_itself(root):
    place = root("anna.mp4", "anna_left.mp4", **{"anna_left.csv": TABLE})
    table = found(place)[0]
    assert table["va_path"].to_dict() == {"anna": "", "anna_left": "anna_left.csv"}


def test_other_spellings_of_a_name_are_read(root):
    nfd = unicodedata.normalize("NFD", "José")
    place = root(
        f"{nfd}.mp4", "Anna.MP4", "ben.mp4", "day/carl.mp4", "dora.mp4", **{
            "day/carl.CSV": TABLE,
            "dora.Csv": TABLE,
            unicodedata.normalize("NFC", "José") + ".csv": TABLE,
            "anna.CSV": TABLE,
            "labels/BEN.txt": TABLE,
        },
    )  # fmt: skip
    assert (found(place)[0]["va_path"] != "").all()


# ---- recordings


def test_recordings_are_found_by_what_is_in_them(root, clip):
    place = root(**{"without": clip, "a.dat": clip, "b.MTS": clip, "c.txt": "words", "d.jpg": clip})
    table = found(place)[0]
    assert sorted(table["video_path"]) == ["a.dat", "b.MTS", "without"]


def test_linked_folders_are_followed_without_loops(root, tmp_path, clip):
    place = root("day1/a.mp4")
    elsewhere = tmp_path / "nas"
    elsewhere.mkdir()
    (elsewhere / "b.mp4").write_bytes(clip)
    (elsewhere / "b.csv").write_text(TABLE)
    (elsewhere / "up").symlink_to(tmp_path)
    (place / "nas").symlink_to(elsewhere)
    (place / "again").symlink_to(place / "day1")
    table, report = found(place)
    assert table["va_path"].to_dict() == {"a": "", "b": "nas/b.csv"}
    told = {row["item"]: row["what"] for row in report.problems}
    assert set(told) == {"again", "nas/up"}
    todo = {row["item"]: row["todo"] for row in report.problems}
    assert todo["again"] == "nothing: it is read there"


def test_results_of_this_program_are_no_recordings(root):
    place = root(
        "a.mp4", "results/my_run/videos/a/a.mp4", "mine/folder-x/videos/a/b.mp4", **{
            "results/my_run/environment.json": "{}", "results/my_run/params.yaml": "",
        },
    )  # fmt: skip
    table, report = found(place, ours=[place / "mine"])
    assert list(table["trial"]) == ["a"]
    assert "results of this program are kept here" in fate(report)["mine"][1]


def test_ten_times_the_other_files_take_ten_times_as_long_not_a_hundred_times(root):
    place = root("few/a.mp4", "few/b.mp4", "many/a.mp4", "many/b.mp4")
    for name, count in (("few", 100), ("many", 1000)):
        for folder_name in range(4):
            (place / name / f"{folder_name}").mkdir()
            for k in range(count):
                (place / name / f"{folder_name}/{k}.bin").write_bytes(bytes([k % 251]) * 900)
    assert pace.growth(lambda name: found(place / name), "few", "many") < 30
    table, report = found(place / "many")
    assert len(table) == 2
    assert len(report.files) == 2 + 4


# ---- what became of each file


def test_every_file_is_used_or_named_with_the_nearest_thing_that_would_be_right(root):
    place = root(
        "anna.mp4", "P01/walk.mp4", "P02/walk.mp4", **{
            "anna.csv": TABLE,
            "anna_ratings.csv": TABLE,
            "labels/bella.csv": TABLE,
            "walk.csv": TABLE,
            "labels/one/ann.csv": TABLE,
            "deep/er/anna.txt": "valence,arousal\n0,0\n",
            "notes.txt": "first session, rainy",
            "anna.srt": "1\n00:00:01 --> 00:00:02\nhello\n",
            "old.xls": b"\xd0\xcf\x11\xe0",
            "numbers.csv": "weight,height\n1,2\n",
            "empty.csv": "",
            "page.csv": "<html>sign in</html>",
            "anna.mp4.part": b"\x00\x01",
            "cropped_aligned/anna/00001.jpg": b"\xff\xd8\xff",
            "cropped_aligned/bella/00001.jpg": b"\xff\xd8\xff",
            "anna.wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
            "features/anna/clip.npy": b"\x93NUMPY",
            "sub/splits.csv": "trial,split\nanna,test\n",
            ".DS_Store": b"\x00",
        },
    )  # fmt: skip
    _, report = found(place)
    told = fate(report)
    below = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert set(told) == below
    assert told["anna.csv"] == ("labels of trial anna", "", "")
    assert told["anna_ratings.csv"][2] == "anna.csv"
    assert told["walk.csv"][1].startswith("2 recordings are called walk, so their trials are P01__")
    assert "P01__walk_mp4.csv" in told["walk.csv"][2]
    assert told["labels/one/ann.csv"][2] == "anna.csv"
    assert told["deep/er/anna.txt"] == (
        "not used",
        "labels of a recording in another folder",
        "anna.txt, or labels/anna.txt",
    )
    assert "columns: weight, height" in told["numbers.csv"][1]
    assert "subtitles" in told["anna.srt"][1]
    assert "a web site" in told["page.csv"][1]
    assert "empty" in told["empty.csv"][1]
    assert told["cropped_aligned/anna/00001.jpg"][0] == "crops of trial anna"
    assert told["features/anna/clip.npy"][0] == "features of trial anna"
    assert told["sub/splits.csv"][2].startswith("splits.csv in the data root")
    labels = [name for name in told if inventory._is_label_like(name)]
    unknown = [name for name in labels if "unknown kind" in told[name][1]]
    assert len(unknown) <= len(labels) / 10
    named = {row["where"].split(":")[0].rsplit("data/")[-1] for row in report.problems}
    unused = {name for name in labels if told[name][0] == inventory.NOT_USED}
    assert unused <= named


@pytest.mark.parametrize("content", ["", "<html></html>", "0.1,0.2\n", "# only a remark\n"])
def test_a_damaged_label_file_is_an_error_and_no_unlabelled_test_trial(root, content, tmp_path):
    place = root("anna.mp4", "ben.mp4", **{"anna.csv": content, "ben.csv": TABLE})
    table, report = found(place)
    assert table.loc["anna", "va_path"] == "anna.csv"
    assert [row["item"] for row in report.problems if row["severity"] == "error"] == ["anna"]
    store = Store(tmp_path / "processed", "folder", place)
    rows = {row["trial"]: check.check_trial(row, store) for row in table.to_dict("records")}
    assert rows["anna"]["errors"]
    assert not rows["ben"]["errors"]


def test_a_study_whose_labels_are_all_above_0_is_asked_about(root, tmp_path):
    positive = TABLE.replace("-0.5", "0.5")
    for name, expected in (("half", positive), ("whole", TABLE)):
        place = root(f"{name}/anna.mp4", **{f"{name}/anna.csv": expected}) / name
        table, report = found(place)
        store = Store(tmp_path / "processed", name, place)
        outcomes = mapping.map(
            lambda row, store=store: check.check_trial(row, store),
            table.to_dict("records"),
            1,
            name=trials.name,
        )
        check.tell(outcomes, report)
        items = " ".join(report.count_table()["item"] + " " + report.count_table()["state"])
        assert ("all in 0…1" in items) == (name == "half")
        assert any("label_range" in row["todo"] for row in report.problems) == (name == "half")


def test_valence_and_arousal_may_lie_in_a_file_each(root, tmp_path):
    one = "time,rating\n0,0.25\n0.4,0.25\n"
    place = root("anna.mp4", **{"anna_valence.csv": one, "anna_arousal.csv": one})
    table = found(place)[0]
    store = Store(tmp_path / "processed", "folder", place)
    row = table.iloc[0].to_dict()
    arrays.make(row, VA, store)
    assert np.allclose(np.asarray(arrays.read(row, VA, store)), 0.25)


# ---- splits


THREE = ("anna", "ben", "carl")
SPLITS = {
    "semicolons": "trial;split;subject\nanna;train;A\nben;val;B\ncarl;test;C\n",
    "capitals": "Trial,Split,Subject\nanna,Train,A\nben,Val,B\ncarl,Test,C\n",
    "other words": "Split\tName\tPerson\ntraining\tanna.mp4\tA\ndev\tben.mp4\tB\n"
    "testing\tCARL.MP4\tC\n",
    "bars": "trial|set|subject\nanna|train|A\nben|validation|B\ncarl|test|C\n",
    "UTF-16": "trial,split,subject\nanna,train,A\nben,val,B\ncarl,test,C\n".encode("utf-16"),
    "sep=": "sep=;\r\ntrial;split;subject\r\nanna;train;A\r\nben;val;B\r\ncarl;test;C\r\n\r\n",
}


@pytest.mark.parametrize("how", SPLITS)
@pytest.mark.parametrize("file", ["splits.csv", "Splits.CSV"])
def test_splits_are_read_however_they_were_saved(root, how, file):
    place = root(
        *(f"{name}.mp4" for name in THREE),
        **{file: SPLITS[how], **{f"{n}.csv": TABLE for n in THREE}},
    )
    table, report = found(place)
    assert table["split"].to_dict() == {"anna": "train", "ben": "val", "carl": "test"}
    assert table["subject"].to_dict() == {"anna": "A", "ben": "B", "carl": "C"}
    assert report.problems == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "the file is empty"),
        ("trial,split\n", "there is no line below the header"),
        ("anna,train\nben,test\n", "the splits are not understood"),
        ("trial,where\nanna,train\n", "the splits are not understood"),
        ("trial,split\nanna,sometimes\n", "the line .anna,sometimes"),
        ("trial,split\nanna,\n", "the line .anna,"),
        ("trial,split\nanna,train\nanna,test\n", "anna is named twice"),
        ("trial,split\nanna,train\nbem,test\ncarl,val\n", "bem stands in splits.csv"),
        (b"\xff\xfe\x00", "splits|cannot|empty|not"),
    ],
)
def test_splits_that_are_not_understood_stop_the_run(root, content, what):
    place = root(
        *(f"{name}.mp4" for name in THREE),
        **{"splits.csv": content, **{f"{name}.csv": TABLE for name in THREE}},
    )
    with pytest.raises(InputError, match=what) as caught:
        found(place)
    assert "splits.csv" in caught.value.where


def test_a_recording_in_splits_stands_for_its_persons(root):
    place = root(
        "P01/take.mp4", "P02/take.mp4", "two.mp4", **{
            "splits.csv": "trial,split\nP01/take.mp4,train\nP02\\take,val\ntwo,test\ngone,test\n",
            "two_left.csv": TABLE,
            "two_right.csv": TABLE,
            "P01/take.csv": TABLE,
        },
    )  # fmt: skip
    table, report = found(place)
    assert table["split"].to_dict() == {
        "P01__take_mp4": "train",
        "P02__take_mp4": "val",
        "two_left": "test",
        "two_right": "test",
    }
    assert [row["item"] for row in report.problems] == ["gone", "splits.csv"]
    assert report.problems[1]["what"] == "no labelled trial is in val"


# ---- OpenFace


def aligned(place, rows, numbers, name="anna"):
    """OpenFace's table (frame, face, s, success) and empty pictures of face 0."""
    pictures = place / f"processed/{name}_aligned"
    pictures.mkdir(parents=True)
    for number in numbers:
        (pictures / f"frame_det_00_{number:06d}.bmp").write_bytes(b"BM")
    lines = "".join(f"{frame}, {face}, {t:.3f}, 0.9, {good}\n" for frame, face, t, good in rows)
    head = "frame, face_id, timestamp, confidence, success\n"
    (place / f"processed/{name}.csv").write_text(head + lines)
    return pictures


TIMES = np.arange(10) / 25


def test_a_frame_counts_where_the_face_that_is_shown_was_found(root):
    place = root("anna.mp4")
    rows = [(k + 1, face, k / 25, int(face or k > 2)) for k in range(10) for face in (0, 1)]
    pictures = aligned(place, rows, range(1, 11))
    assert list(crops.paths(pictures, 10, TIMES)) == [3, 4, 5, 6, 7, 8, 9]
    told = openface.notes(place / "processed/anna.csv", 10, 1 / 25)
    assert told[0] == "face 1 of OpenFace's table (10 frames) is not used, face 0 is"
    assert "lost in 3 frames" in told[1]
    row = {"crops_dir": "processed/anna_aligned", "fps": 25.0, "n_frames": 10}
    store = Store(place.parent / "processed", "folder", place)
    assert openface.mark(row, store, crops.csv_of(row["crops_dir"])) == openface.MARK


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ([(k + 1, 0, k / 25, 1) for k in range(10)], list(range(10))),  # even
        ([(k + 1, 0, k / 24.9, 1) for k in range(10)], list(range(10))),  # rounded
        (
            [(k + 1, 0, k / 12.5, 1) for k in range(5)],
            [0, 2, 4, 6, 8],
        ),  # of a film at half the rate
        (
            [(k + 1, 0, (k + 4 * (k > 2)) / 25, 1) for k in range(6)],
            [0, 1, 2, 7, 8, 9],
        ),  # frames dropped
        ([(k + 1, 0, k / 12, 1) for k in range(10)], list(range(10))),  # as many as frames
    ],
)
def test_time_stamps_place_pictures_where_they_say_something_else_than_numbers(root, rows, places):
    place = root("anna.mp4")
    pictures = aligned(place, rows, [row[0] for row in rows])
    assert list(crops.paths(pictures, 10, TIMES)) == places
    ordinary = places == list(range(10))
    row = {"crops_dir": "processed/anna_aligned", "fps": 25.0, "n_frames": 10}
    store = Store(place.parent / "processed", "folder", place)
    assert (openface.mark(row, store, crops.csv_of(row["crops_dir"])) == {}) == ordinary


def test_a_folder_that_may_not_be_read_is_named(root):
    place = root("a.mp4", "closed/b.mp4")
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (place / "closed").chmod(0)
    try:
        report = found(place)[1]
    finally:
        (place / "closed").chmod(0o755)
    assert "cannot be read" in report.problems[0]["what"]


def test_a_video_called_by_two_dots_or_a_person_by_a_path_stay_in_their_folders(tmp_path):
    for text in ("..", "x/../../y", "C:\\x", "\\\\server\\x"):
        place = files.named(tmp_path / "videos", text, ".csv")
        assert place.parent == tmp_path / "videos"
        assert Store(tmp_path, "d", tmp_path).shelf("trial", text).folder.parent.name == "trials"


def test_a_broken_link_in_a_folder_of_affwild2_is_named(root):
    place = root("batch1/1.mp4")
    (place / "batch1/2.mp4").symlink_to("nowhere.mp4")
    report = affwild2.find(place)[1]
    assert any("a link to what is not there" in row["what"] for row in report.problems)


def test_the_inventory_of_another_layout_names_trials_and_counts_the_rest(root):
    place = root(
        "batch1/1.mp4", **{
            "VA_Set/Train_Set/1.txt": "valence,arousal\n" + "0.1,0.2\n" * 10,
            "cropped_aligned/1/00001.jpg": b"\xff\xd8\xff",
            **{f"notes/{k}.md": "x" for k in range(12)},
            "test_set_VA.txt": "2\n",
        },
    )  # fmt: skip
    table, report = affwild2.find(place)
    inventory.of_table(place, table, report)
    told = fate(report)
    assert told["batch1/1.mp4"][0] == "recording of trial 1"
    assert told["VA_Set/Train_Set/1.txt"][0] == "labels of trial 1"
    assert told["cropped_aligned/1"][0] == "crops of trial 1"
    assert told["notes/12 files .md"][0] == told["test_set_VA.txt"][0] == inventory.NO_TRIAL
    assert len(told) == 5


def test_of_two_names_that_differ_in_capitals_each_has_its_own_file_only(root):
    if (root("Probe.mp4") / "probe.mp4").exists():
        pytest.skip("this system does not tell capitals apart")
    place = root(
        "Anna.mp4", "anna.mp4", "ben.mp4", **{"anna.csv": TABLE, "labels/r/Ben.csv": TABLE}
    )
    table = found(place)[0]
    assert table["va_path"].to_dict() == {
        "Anna": "",
        "Probe": "",
        "anna": "anna.csv",
        "ben": "labels/r/Ben.csv",
    }


SHARED = {"splits.csv": "trial,split,subject\nanna,train,A\nben,val,A\ncarl,test,B\n"}


def test_a_person_on_both_sides_of_a_split_of_ones_own_stops_01_unless_it_is_allowed(root):
    place = root(
        *(f"{name}.mp4" for name in THREE), **{**SHARED, **{f"{n}.csv": TABLE for n in THREE}}
    )
    given = parameters.complete(
        {"dataset": "folder", "data_root": str(place), "processed_root": str(place / "processed")}
    )
    p = parameters.placed(given)
    with pytest.raises(InputError, match="subject A is in train and in val") as told:
        datasets.find(p)
    assert told.value.where == str(place)
    assert "shared_subjects: true" in told.value.todo
    table, report = datasets.find(parameters.placed({**given, "shared_subjects": True}))
    assert len(table) == 3
    [row] = report.problems
    assert (row["item"], row["what"]) == ("A", "this subject is in train and in val")


def test_in_an_official_split_people_on_both_sides_are_named_and_kept():
    """As in Aff-Wild2, where two people of one video are on different sides."""
    rows = [
        {"trial": "5_left", "split": "train", "subject": "5", "video": "5", "va_path": "a.txt"},
        {"trial": "5_right", "split": "val", "subject": "5", "video": "5", "va_path": "b.txt"},
        {"trial": "6", "split": "val", "subject": "6", "video": "6", "va_path": "c.txt"},
        {"trial": "6_left", "split": "train", "subject": "6", "video": "6"},
    ]
    report = Report()
    splits.tell_shared(trials.table([{**row, "dataset": "affwild2"} for row in rows]), report)
    assert [(row["severity"], row["item"], row["what"]) for row in report.problems] == [
        ("warning", "5", "this subject is in train and in val"),
        ("warning", "5", "this video is in train and in val"),
    ], "6_left has no label: nothing is learnt from it"


# ---- the data report as a page


def test_a_page_shows_first_what_is_lost_and_one_row_for_what_is_the_same_of_many():
    report = Report()
    for number in range(5):
        report.warning(f"film{number}", "the sound is silent", "read so", where=f"{number}.mp4")
    report.warning("walk_ratings.csv", "is not used: of nobody", "left out", todo="rename it")
    report.error("broken.mp4", "a link to what is not there", "left out")
    table, page = report.problem_table(), report.problem_page()
    assert len(table) == 7
    assert table["item"].tolist()[:2] == ["broken.mp4", "walk_ratings.csv"]
    assert len(page) == 3
    assert page["item"][2] == "5: film0, film1, film2, … (all in data_report.csv)"
    assert Report().problem_page().empty


@pytest.mark.parametrize("take", [False, True])
def test_a_sound_file_beside_a_video_is_said_once_with_what_to_do(root, take):
    sound = writing.wav(np.zeros(8000), 8000)
    table, report = folder.find(place := root("lena.mp4", **{"lena.wav": sound}))
    table, report = recorder.take(table, place, report, take)
    rows = report.problem_table()
    said = rows[["item", "what", "where"]].agg(" ".join, axis=1)
    assert said.str.contains("lena.wav").sum() == 1
    what, why, _ = fate(report)["lena.wav"]
    assert what == ("sound of recording lena" if take else "not used")
    assert ("separate_sound: true" in why) == (not take)
    assert table["audio_path"].tolist() == ["lena.wav" if take else "lena.mp4"]


def test_a_broken_link_is_said_once(root):
    place = root("whole.mp4")
    (place / "gone.mp4").symlink_to("nowhere.mp4")
    rows = folder.find(place)[1].problem_table()
    assert rows["item"].tolist().count("gone.mp4") == 1


@pytest.mark.parametrize("name", ["film.dat", "FILM.DAT"])
def test_a_film_that_is_called_as_a_table_is_not_its_own_label_file(root, name):
    table, report = found(root(name, "other.mp4", **{"other.dat": TABLE}))
    assert sorted(table["va_path"]) == ["", "other.dat"]
    assert not [row for row in report.problems if row["severity"] == "error"]


def test_a_file_whose_length_counts_from_its_clock_s_0_is_whole():
    times = np.arange(100) / 25
    info = recordings.Info("film.nut", duration=11.0, origin=7.0)
    assert check._left(info, times) < check.EARLY
    assert check._left(recordings.Info("film.mp4", duration=11.0), times) > check.EARLY
