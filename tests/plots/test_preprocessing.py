from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from lib import trials
from lib.errors import InputError
from lib.experiments import bookkeeping, exports
from lib.parallel import Outcome
from lib.plots import preprocessing
from lib.store import DamagedError, Store, request
from tests import tiny_set

VA, FACE = request("va", mismatch="fit"), request("face", size=32)
ERROR = InputError("broken", where="a.mp4", expected="whole", todo="copy it again")


@pytest.fixture(autouse=True)
def no_window():
    mpl.use("Agg")
    yield
    mpl.pyplot.close("all")


def row(trial, array="time", state="made", seconds=0.5, note="", path="/x"):
    return {
        "trial": trial,
        "array": array,
        "state": state,
        "seconds": seconds,
        "note": note,
        "path": path,
    }


OUTCOMES = [
    Outcome({"trial": "a"}, [row("a"), row("a", "mel", "there", path="/y")]),
    Outcome({"trial": "b"}, [row("b", seconds=1.0), row("b", "mel", note="odd", path="/z")]),
    Outcome({"trial": "c"}, None, ERROR),
]
ALL_LOST = [Outcome({"trial": "a"}, None, ERROR)]


def table(*names):
    return pd.DataFrame({"trial": names, "split": "train"})


# ---- what was made and what was lost


def test_a_summary_counts_trials_by_array_and_state():
    found = bookkeeping.summary(OUTCOMES).set_index("array")
    assert found.loc["time", ["made", "there", "seconds"]].tolist() == [2, 0, 1.5]
    assert found.loc["mel", ["made", "there"]].tolist() == [1, 1]


@pytest.mark.parametrize("outcomes", [[], ALL_LOST])
def test_where_nothing_was_made_the_summary_is_empty(outcomes):
    assert bookkeeping.summary(outcomes).empty
    assert bookkeeping.notes(outcomes).empty
    assert bookkeeping.paths(outcomes) == []


def test_notes_and_losses_are_listed_with_their_trial():
    assert bookkeeping.notes(OUTCOMES).values.tolist() == [["b", "mel", "odd"]]
    assert bookkeeping.lost(OUTCOMES).values.tolist() == [
        ["c", "broken", "a.mp4", "whole", "copy it again"]
    ]
    assert bookkeeping.failures(OUTCOMES) == [("c", ERROR)]
    assert bookkeeping.paths(OUTCOMES) == [Path("/x"), Path("/y"), Path("/z")]


def test_a_note_that_most_trials_share_is_one_row_that_counts_them():
    many = [
        Outcome(
            {"trial": str(k)},
            [row(str(k), "va", note="no label file"), row(str(k), note="odd" * (k == 7))],
        )
        for k in range(20)
    ]
    assert bookkeeping.notes(many).values.tolist() == [
        ["0 and 19 more", "va", "no label file"],
        ["7", "time", "odd"],
    ]


def test_a_table_without_rows_is_shown_as_a_sentence():
    assert str(preprocessing.show(bookkeeping.lost([]), "no trial was lost")) == "no trial was lost"
    assert "copy it again" in str(
        preprocessing.show(bookkeeping.lost(OUTCOMES), "no trial was lost")
    )


def test_intact_trials_go_on_and_without_any_the_first_error_is_told():
    assert bookkeeping.intact(table("a", "b", "c"), OUTCOMES)["trial"].tolist() == ["a", "b"]
    predicted = [Outcome("a", "file"), Outcome("b", None, ERROR)]  # of notebook 06: items are names
    assert bookkeeping.intact(table("a", "b"), predicted)["trial"].tolist() == ["a"]
    assert bookkeeping.failures(predicted) == [("b", ERROR)]
    with pytest.raises(
        InputError, match="not one of 1 trials could be done; the first one: broken"
    ):
        bookkeeping.intact(table("b"), predicted[1:])
    with pytest.raises(InputError, match=r"not one of 1 trials could be done; .*broken"):
        bookkeeping.intact(table("a"), ALL_LOST)
    with pytest.raises(InputError, match="there is no trial"):
        bookkeeping.intact(table(), [])


def test_faces_read_in_place_are_no_files_of_the_store():
    assert bookkeeping.paths([Outcome({"trial": "a"}, [row("a", state="read in place")])]) == []


# ---- on real arrays


def test_trials_without_all_arrays_are_named_and_the_others_usable(opened):
    opened.make([VA])
    path = bookkeeping.array_paths(opened.table[opened.table["trial"] == "4"], [VA], opened.store)[
        0
    ]
    path.unlink()
    kept, missing = bookkeeping.usable(opened.table, [VA], opened.store)
    assert kept["trial"].tolist() == [name for name in opened.table["trial"] if name != "4"]
    ((name, error),) = missing
    assert (name, "04_preprocess_labels" in error.todo) == ("4", True)


def test_when_no_training_trial_is_usable_a_notebook_was_forgotten(opened):
    with pytest.raises(InputError, match="not there") as caught:
        bookkeeping.usable(opened.table, [VA], opened.store)
    assert "04_preprocess_labels" in caught.value.todo


def test_a_damaged_array_stops_a_training_that_would_be_another_one_without_it(opened):
    opened.make([VA])
    path = bookkeeping.array_paths(opened.table[opened.table["trial"] == "4"], [VA], opened.store)[
        0
    ]
    path.write_bytes(b"")
    with pytest.raises(DamagedError, match="damaged") as told:
        bookkeeping.usable(opened.table, [VA], opened.store)
    assert "trial 4" in str(told.value)


def test_files_made_and_files_used_are_listed_once(made, wanted):
    found = bookkeeping.array_paths(made.table, wanted, made.store)
    assert len(found) == 5 * 4 + 6 * 6  # arrays of 5 videos and of 6 trials
    assert all(path.is_file() for path in found)
    used = bookkeeping.sources(
        made.table,
        made.store,
        ["video_path", "va_path"],
        [request("x", {"weights": Path("/w.pt")})],
    )
    assert len(used) == 5 + 5 + 1
    assert made.root / "batch1/1.mp4" in used


def test_the_machine_is_described_even_when_the_folder_is_not_there_yet(tmp_path):
    found = preprocessing.machine(tmp_path / "not" / "yet").set_index("what")["found"]
    assert found["free disk space"].endswith("GB")
    assert int(found["processors"]) >= 1


def test_frames_with_faces_are_counted(made):
    found = preprocessing.faces_found(made.table, made.store).set_index("trial")
    assert found.loc["4", ["frames", "faces", "share"]].tolist() == [35, 35, 1.0]
    assert found.loc["5", "frames"] - found.loc["5", "faces"] == 2


def test_sound_that_starts_late_stands_first(made):
    found = preprocessing.sound_offsets(made.table, made.store)
    assert len(found) == 5
    assert found.loc[0, ["video", "starts_later_ms"]].tolist() == ["3", pytest.approx(80, abs=5)]
    assert found["ends_later_ms"].abs().max() < 150
    alike = found[found["starts_later_ms"] == 0]["video"]
    assert alike.tolist() == sorted(alike, key=lambda name: int(name.split("-")[0]))


def test_recordings_without_sound_are_left_out_of_what_is_shown_of_sound(made):
    table = made.table.copy()
    table.loc[table["trial"] == "3", "audio_path"] = ""
    found = preprocessing.sound_offsets(table, made.store)
    assert len(found) == 4
    assert "3" not in set(found["video"])
    assert "3" not in set(preprocessing.with_sound(table, made.store)["trial"])
    assert preprocessing.sound_offsets(table.assign(audio_path=""), made.store).empty


def test_labels_are_summed_up_by_split(made):
    kinds = [VA, request("expression", mismatch="fit"), request("action_units", mismatch="fit")]
    found = preprocessing.label_summary(made.table, kinds, made.store).set_index(
        ["split", "labels"]
    )
    assert found.loc[("train", "va"), ["trials", "frames"]].tolist() == [3, 47 + 60 + 60]
    assert found.loc[("test", "va"), "labelled"] == "0.0%"
    train = np.concatenate(
        [made.read(name, VA) for name in made.table.query("split == 'train'")["trial"]]
    )
    assert found.loc[("train", "expression"), "most frequent"] >= 0
    assert np.isnan(found.loc[("test", "expression"), "most frequent"]), "not labelled is no class"
    assert found.loc[("train", "va"), "mean valence"] == pytest.approx(
        np.nanmean(train[:, 0]), abs=0.006
    )


def test_label_files_are_exported_by_split_with_labelled_rows_only(opened):
    opened.make([VA, request("time")])
    written = exports.export_labels(opened.table, opened.store, "fit")
    assert [
        path.relative_to(opened.store.folder / exports.LABEL_FOLDER).as_posix() for path in written
    ] == [
        f"{split}/{name}.csv"
        for name, split in zip(opened.table["trial"], opened.table["split"], strict=True)
    ]
    left, test = (
        pd.read_csv(opened.store.folder / exports.LABEL_FOLDER / place, dtype=str)
        for place in ("train/2-25-640x240_left.csv", "test/5.csv")
    )
    assert list(left) == ["img", "V", "A", "frame_id"]
    assert len(left) == 60 - 21  # the other person's turns
    assert (list(test), len(test)) == (["img", "frame_id"], 65)


@pytest.mark.parametrize(
    "draw",
    [
        lambda one, name: preprocessing.face_strip(one.table, one.store, 32, "", name),
        lambda one, name: preprocessing.sound_view(one.table, one.store, "", name),
        lambda one, name: preprocessing.label_traces(one.table, one.store, "fit", "", name),
    ],
)
@pytest.mark.parametrize("name", ["3", "5"])
def test_pictures_of_a_trial_are_drawn_with_late_sound_and_without_labels(made, draw, name):
    drawn = draw(made, name)
    figure = getattr(drawn, "figure", None) or np.ravel(drawn)[0].figure
    assert f"trial {name}" in " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_where_no_network_asks_for_faces_the_strip_says_so_or_shows_the_small_ones(tmp_path):
    rows = [
        {"trial": name, "video": name, "split": "train", "dataset": "tiny", "duration": 1.0}
        | {"video_path": f"{name}.mp4", "crops_dir": f"crops/{name}", "n_frames": 25}
        for name in ("heard", "small")
    ]
    place, given = Store(tmp_path / "processed", "tiny", tmp_path), trials.table(rows)
    for name in ("heard", "small"):
        tiny_set.write(place, name, request("time"), np.arange(25) / 25)
    tiny_set.write(place, "small", request("face_valid"), np.arange(25) % 5 > 0)
    tiny_set.write(place, "small", request("pixels"), np.full((25, 16, 16, 3), 90, np.uint8))
    titles = [
        preprocessing.face_strip(given, place, 32, "", name).get_title(loc="left")
        or preprocessing.face_strip(given, place, 32, "", name).get_title()
        for name in ("heard", "small")
    ]
    assert titles[0] == "trial heard: no network asks for faces"
    assert titles[1] == "trial small: no network asks for faces of 32 px; 16 px of each"
    assert preprocessing.faces_found(given, place).to_numpy().tolist() == [["small", 25, 20, 0.8]]
