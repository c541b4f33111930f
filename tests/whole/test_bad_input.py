"""Every kind of bad input: one clear message, all of them in one report, and the other trials as if
nothing had been.

What single modules do about bad input stands in their own tests; here a whole data set goes the way
of 01–04.
"""

import errno
import os
import shutil

import numpy as np
import pytest

from lib import arrays, datasets, runs
from lib.errors import InputError
from lib.faces import faces
from lib.media import recordings, writing
from lib.store import request
from lib.training import trainer
from tests import films, tiny_set

VA = request("va", mismatch="fit")
BAD = "4"  # the trial that is damaged; 35 frames, validation
VIDEO, LABELS, CROPS = "batch2/4.mp4", "VA_Set/Validation_Set/4.txt", "cropped_aligned/4"


def prepare(one, wanted):
    """02, 03 and 04: the errors of all trials, by trial and notebook."""
    lost = {}
    for step in arrays.NOTEBOOKS:
        for outcome in one.make(arrays.of_step(wanted, step)):
            if not outcome.ok:
                lost[outcome.item["trial"], step] = outcome.error
    return lost


def others(files):
    return {place: content for place, content in files.items() if f"s/{BAD}/" not in place}


def assert_the_others_are_untouched(one, made):
    assert others(one.files()) == others(made.files())


def assert_clear(row, what, where):
    """A row of the report or an InputError says what, where, what was expected and what to do."""
    assert what in row.what
    assert str(where) in row.where
    assert row.expected
    assert row.todo


def problems(one):
    return {row.item: row for row in one.report.problem_table().itertuples()}


def without_sound(path):
    pictures = [picture for _, picture in recordings.frames(path)]
    writing.write_video(path, iter(pictures), recordings.frame_times(path))


# ---- the data root


def test_a_missing_data_root_and_an_empty_folder_say_what_to_do(parameters, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, what in (("missing", "the data root is not there"), ("empty", "no video found")):
        with pytest.raises(InputError) as caught:
            datasets.find(parameters(dataset="affwild2", data_root=str(tmp_path / name)))
        assert_clear(caught.value, what, tmp_path / name)


# ---- recordings


UNUSABLE = [
    (
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
        "not a recording that can be read",
    ),
    (lambda path: path.write_bytes(b""), "the file is empty"),
    (
        lambda path: path.write_bytes(path.read_bytes()[:600]),
        "not a recording that can be read",
    ),
    (films.only_sound, "no video track"),
]


def test_a_recording_that_cannot_be_used_is_left_out_and_named(copied_root, open_set, made, wanted):
    whole = (copied_root / VIDEO).read_bytes()
    tables = []
    for damage, what in UNUSABLE:
        (copied_root / VIDEO).write_bytes(whole)
        damage(copied_root / VIDEO)
        one = open_set(copied_root)
        assert_clear(problems(one)[BAD], what, copied_root / VIDEO)
        assert BAD not in one.table["trial"].tolist()
        tables.append(one.table)
    assert all(table.equals(one.table) for table in tables), "02-04 know nothing else of it"
    assert prepare(one, wanted) == {}
    assert_the_others_are_untouched(one, made)


def test_a_recording_whose_end_is_missing_is_told_by_its_crops(copied_root, open_set, made, wanted):
    whole = (copied_root / VIDEO).read_bytes()
    (copied_root / VIDEO).write_bytes(whole[: -len(whole) // 3])
    one = open_set(copied_root)
    lost = prepare(one, wanted)
    assert {name for name, _ in lost} == {BAD}
    assert_clear(lost[BAD, "visual"], "numbers outside the video", copied_root / CROPS)
    assert_the_others_are_untouched(one, made)


def test_a_video_without_sound_keeps_its_pictures_and_labels(copied_root, open_set, made, wanted):
    without_sound(copied_root / VIDEO)
    one = open_set(copied_root)
    assert_clear(problems(one)[BAD], "no audio track", copied_root / VIDEO)
    lost = prepare(one, wanted)
    assert set(lost) == {(BAD, "audio")}
    assert_clear(lost[BAD, "audio"], "no audio track", VIDEO)
    assert "modality: video" in lost[BAD, "audio"].todo
    for item in (request("face", size=32), VA, request("pixels")):
        assert one.read(BAD, item).tobytes() == made.read(BAD, item).tobytes()
    assert_the_others_are_untouched(one, made)


# ---- labels


def edit_line(path, number, text):
    lines = path.read_text().split("\n")
    path.write_text(
        "\n".join([*lines[: number - 1], *([] if text is None else [text]), *lines[number:]])
    )


def forget(one):
    """Take what is made of the damaged trial out of the store, so that nothing old is found."""
    for folder in (one.store.folder / "trials" / BAD, one.store.folder / "videos" / BAD):
        shutil.rmtree(folder)


UNREADABLE = {
    "no header": (1, None, "header line is missing", 1),
    "no number": (12, "0.1,zero", "zero", 12),
    "a column too few": (12, "0.1", "1 columns", 12),
    "out of range": (12, "0.1,7.0", "7", 12),
}


def test_a_label_file_that_cannot_be_read_is_named_with_its_line(
    copied_root, open_set, made, wanted
):
    whole = (copied_root / LABELS).read_text()
    for number, text, what, told in UNREADABLE.values():
        (copied_root / LABELS).write_text(whole)
        edit_line(copied_root / LABELS, number, text)
        one = open_set(copied_root)
        assert_clear(problems(one)[BAD], what, f"{copied_root / LABELS}:{told}")
        assert one.trial(BAD)["split"] == "val"
        assert prepare(one, wanted) == {}
        assert np.isnan(one.read(BAD, VA)).all()
        assert_the_others_are_untouched(one, made)
        forget(one)


def test_labels_without_a_video_and_a_video_without_labels_are_told_together(
    copied_root, open_set, made, wanted
):
    (copied_root / "VA_Set/Train_Set/ghost.txt").write_text("valence,arousal\n0.1,0.1\n")
    (copied_root / "batch1/lonely.mp4").write_bytes((copied_root / VIDEO).read_bytes())
    one = open_set(copied_root)
    assert_clear(problems(one)["ghost"], "no video", copied_root / "VA_Set/Train_Set/ghost.txt")
    assert_clear(
        problems(one)["lonely"], "neither labels nor crops", copied_root / "batch1/lonely.mp4"
    )
    assert prepare(one, wanted) == {}
    assert one.files() == made.files()


OTHER_COUNTS = [
    (lambda lines: [*lines, "0.5,0.5", "0.5,0.5"], "37 rows, the video 35", 35),
    (lambda lines: lines[:-4], "31 rows, the video 35", 31),
]


def test_rows_that_are_not_as_many_as_frames_are_fitted_and_told_or_refused(
    copied_root, open_set, made, wanted
):
    path = copied_root / LABELS
    lines = path.read_text().rstrip("\n").split("\n")
    for change, numbers, kept in OTHER_COUNTS:
        path.write_text("\n".join(change(lines)) + "\n")
        one = open_set(copied_root)
        assert prepare(one, wanted) == {}
        assert numbers in arrays.facts(one.trial(BAD), VA, one.store)["note"]
        va, right = np.asarray(one.read(BAD, VA)), np.asarray(made.read(BAD, VA))
        assert np.array_equal(va[:kept], right[:kept], equal_nan=True)
        assert np.isnan(va[kept:]).all()
        assert_the_others_are_untouched(one, made)
        before = one.files().keys()
        refuse = request("va", mismatch="refuse")
        (error,) = (outcome.error for outcome in one.make([refuse]) if not outcome.ok)
        assert_clear(error, numbers, path)
        assert one.read(BAD, VA).tobytes() == va.tobytes()  # what was computed stays usable
        for place in one.files().keys() - before:
            (one.store.folder / place).unlink()
        forget(one)


# ---- crops


UNREADABLE_CROPS = {
    "no picture": lambda content: b"no picture" * 30,
    "zero length": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
}


def test_a_damaged_crop_costs_its_trials_faces_and_is_named(copied_root, open_set, made, wanted):
    picture = copied_root / CROPS / "00007.jpg"
    content = picture.read_bytes()
    for damage in UNREADABLE_CROPS.values():
        picture.write_bytes(damage(content))
        one = open_set(copied_root)
        lost = prepare(one, wanted)
        assert set(lost) == {(BAD, "visual")}
        assert_clear(lost[BAD, "visual"], "a cropped face cannot be read", picture)
        assert not list(one.store.folder.glob(f"trials/{BAD}/*face-*"))
        assert one.read(BAD, VA).tobytes() == made.read(BAD, VA).tobytes()
        assert_the_others_are_untouched(one, made)
        forget(one)
    picture.unlink()  # what the message proposes
    assert prepare(one, wanted) == {}
    assert not one.read(BAD, request("face_valid"))[6]


def test_crops_numbered_beyond_the_video_are_told(copied_root, open_set, made, wanted):
    (copied_root / CROPS / "00035.jpg").rename(copied_root / CROPS / "00036.jpg")
    one = open_set(copied_root)
    lost = prepare(one, wanted)
    assert set(lost) == {(BAD, "visual")}
    assert_clear(lost[BAD, "visual"], "first: 36", copied_root / CROPS)
    assert_the_others_are_untouched(one, made)


# ---- all at once


def test_one_report_lists_everything_that_is_wrong_and_the_intact_trials_are_unchanged(
    copied_root, open_set, made, wanted
):
    (copied_root / "batch1/1.mp4").write_bytes(b"")
    films.only_sound(copied_root / "batch2/5.mp4")
    without_sound(copied_root / VIDEO)
    edit_line(copied_root / "VA_Set/Validation_Set/3.txt", 1, None)
    edit_line(copied_root / "AU_Set/Validation_Set/3.txt", 5, "1,x,1,1,1,1,1,1")
    (copied_root / "VA_Set/Train_Set/ghost.txt").write_text("valence,arousal\n0.1,0.1\n")
    one = open_set(copied_root)
    found = one.report.problem_table()
    assert sorted(zip(found["severity"], found["item"], strict=True)) == [
        ("error", "1"),
        ("error", "3"),
        ("error", "3"),
        ("error", "5"),
        ("warning", "4"),
        ("warning", "ghost"),
    ]
    assert (found[["what", "done", "where", "expected", "todo"]] != "").all(axis=None)
    assert sorted(item for item, _ in one.report.failures()) == ["1", "3", "3", "5"]
    assert set(prepare(one, wanted)) == {(BAD, "audio")}
    pair = {place: content for place, content in one.files().items() if "2-25-640x240" in place}
    assert pair == {
        place: content for place, content in made.files().items() if "2-25-640x240" in place
    }


# ---- a full disk, Ctrl-C, another experiment


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
def test_a_full_disk_is_one_message_and_the_next_run_goes_on(opened, made, wanted, monkeypatch):
    reserve, written, finished = os.posix_fallocate, [], 0

    def limited(*place):
        written.append(place)
        if len(written) > free:
            raise OSError(errno.ENOSPC, "No space left on device")
        return reserve(*place)

    for free in (0, 3, 20):  # arrays; each run goes on where the one before had to stop
        written.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", limited)
            with pytest.raises(InputError, match="no space left") as caught:
                opened.make(wanted)
        assert opened.store.folder.name in caught.value.where
        assert "what was finished is kept" in caught.value.todo
        finished += free
        left = [name for name in opened.files() if not name.endswith("reading.json")]
        assert len(left) == 2 * finished  # arrays with their JSON, nothing half written
        assert opened.files().items() <= made.files().items()
    opened.make(wanted)
    assert opened.files() == made.files()


def test_ctrl_c_in_the_middle_of_a_trial_leaves_whole_arrays_only(
    opened, made, wanted, monkeypatch
):
    read, calls = faces.read_crop, []

    def interrupted(*picture):
        calls.append(picture)
        if len(calls) == 100:  # inside the second trial
            raise KeyboardInterrupt
        return read(*picture)

    monkeypatch.setattr(faces, "read_crop", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened.make(wanted)
    assert 0 < len(opened.files()) < len(made.files())
    assert opened.files().items() <= made.files().items()
    monkeypatch.undo()
    opened.make(wanted)
    assert opened.files() == made.files()


def test_a_run_folder_of_another_experiment_is_refused(parameters):
    folder = runs.start("02_preprocess_visual", parameters(recipe="tsav")).folder
    before = (folder / "params.yaml").read_bytes()
    for other, what in (
        (parameters(recipe="jca"), "belongs to the recipe tsav"),
        (parameters(dataset="affwild2"), "belongs to the data set sample"),
    ):
        with pytest.raises(InputError, match=what) as caught:
            runs.start("02_preprocess_visual", other)
        assert str(folder) in caught.value.where
        assert "another name" in caught.value.todo
    assert (folder / "params.yaml").read_bytes() == before


def test_a_training_with_other_parameters_in_the_folder_is_refused_and_kept(tmp_path):
    root, folder = tiny_set.make(tmp_path / "tiny"), tmp_path / "run"
    first = trainer.Trainer(tiny_set.create("tsav", root), tiny_set.table(root), folder)
    kept = first.save("last").read_bytes()
    other = trainer.Trainer(tiny_set.create("tsav", root, lr=5.0e-4), tiny_set.table(root), folder)
    with pytest.raises(InputError, match="other parameters: lr") as caught:
        other.fit()
    assert str(folder) in caught.value.where
    assert "another name" in caught.value.todo
    assert (folder / "checkpoints" / "last.pt").read_bytes() == kept
