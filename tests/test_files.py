"""Names of files made of strangers' texts, and what lies below a folder."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from lib import files
from lib.errors import InputError
from tests.leftovers import left_beside, pid_of_dead

STRANGE = [
    "",
    ".",
    "..",
    "x/../../y",
    "/etc/passwd",
    "C:\\temp\\a",
    "a|b",
    'a"b',
    "a:b",
    "what?",
    "CON",
    "nul.txt",
    "com1",
    "ends with a dot.",
    "ends with a blank ",
    ".hidden",
    "line\nbreak",
    "a\udcff",
    "x" * 251,
    "é" * 125,
]


@pytest.mark.parametrize("text", STRANGE)
def test_no_text_becomes_a_path_and_every_name_is_legal_on_every_system(text):
    name = files.safe_name(text)
    assert len(PurePosixPath(name).parts) == len(PureWindowsPath(name).parts) == 1
    assert not files.ILLEGAL.search(name)
    assert not files.DEVICE.match(name)
    assert name[0] != "."
    assert name[-1] not in ". "
    assert len(name.encode()) <= files.MAX_NAME_BYTES
    assert files.safe_name(name) == name


@pytest.mark.parametrize(
    "text", ["1-30-1280x720_left", "2024.01.05_anna", "José", "$5 #2 100%", "-x", "x" * 180]
)
def test_what_may_be_a_name_everywhere_stays_as_it_is(text):
    assert files.safe_name(text) == text


def test_two_texts_never_share_a_name():
    assert len({files.safe_name(text) for text in STRANGE}) == len(STRANGE)
    assert files.safe_name("a|b") != files.safe_name("a?b")
    assert files.safe_name("x" * 250 + "1") != files.safe_name("x" * 250 + "2")


def test_a_name_with_dots_keeps_all_of_it_before_its_ending(tmp_path):
    assert files.named(tmp_path, "2024.01.05_anna", ".csv").name == "2024.01.05_anna.csv"


# ---- what lies below a folder


def entries(root, **how):
    return {entry.path: entry for entry in files.walk(root, **how)}


def test_linked_folders_are_followed_and_loops_are_named(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "day1").mkdir(parents=True)
    (other / "deep").mkdir(parents=True)
    for place in (root / "a", root / "day1/b", other / "deep/c"):
        place.write_text("x")
    (root / "nas").symlink_to(other)
    (root / "again").symlink_to(root / "day1")
    (root / "day1/up").symlink_to(root)
    (other / "further").symlink_to(tmp_path)
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    found = entries(root)
    assert {path for path, entry in found.items() if entry.kind == "file"} == {
        "a",
        "day1/b",
        "nas/deep/c",
    }
    assert found["again"].why == "the same folder as day1, which is read already"
    assert found["day1/up"].why.startswith("the same folder as the data root")
    assert "a loop" in found["nas/further"].why
    assert found["self"].why == "a link that leads to itself"
    assert found["gone"].why == "a link to what is not there: nowhere"


def test_what_is_no_file_is_named_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert entries(tmp_path)["pipe.mp4"].why == "a pipe, no file"


@pytest.mark.parametrize(
    "names",
    [
        ["trials.parquet"],
        ["params.yaml", "steps/01.json"],
        ["dataset.json", "train.jsonl"],
        ["06_inference.ipynb"],
    ],
)
def test_results_of_this_program_are_not_entered(tmp_path, names):
    for name in [*(f"out/{name}" for name in names), "out/deep/film.mp4", "film.mp4"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = entries(tmp_path)
    assert set(found) == {"film.mp4", "out"}
    assert found["out"].why == files.PROGRAM_OUTPUT
    assert "deep/film.mp4" in entries(tmp_path / "out")


def test_folders_that_are_closed_are_named_with_their_reason(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/x").write_text("x")
    found = entries(tmp_path, closed=lambda path: "hidden" if path.startswith(".") else "")
    assert [(entry.path, entry.why) for entry in found.values()] == [(".git", "hidden")]


# ---- what killed processes leave


def test_unfinished_files_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path):
    ended = pid_of_dead()
    dead = left_beside(tmp_path / "below" / "metrics.json")
    folder = tmp_path / f".costs.{ended}-{files.MACHINE}01234567.part"
    other = "0000" if files.MACHINE != "0000" else "1111"
    kept = [
        # of a process that runs, and of one on another machine
        tmp_path / f".metrics.json.{os.getpid()}-{files.MACHINE}01234567.part",
        tmp_path / f".metrics.json.{ended}-{other}01234567.part",
        tmp_path / ".known.bin.part",  # a download, which is taken up
        tmp_path / "metrics.json",
    ]
    for path in kept:
        path.write_text("x")
    folder.mkdir()
    (folder / "inside").write_text("x")
    files.clear_leftovers(tmp_path, deep=False)
    assert dead.exists()
    assert not folder.exists()
    files.clear_leftovers(tmp_path)
    assert not dead.exists()
    assert all(path.exists() for path in kept)
    files.clear_leftovers(tmp_path / "absent")


def test_a_file_says_a_text_only_when_every_byte_is_that_of_the_text(tmp_path):
    note = files.write_text(tmp_path / "note.txt", "größe 3\n")
    assert files.says(note, "größe 3\n")
    for damaged in (b"gr\xff\xdfe 3\n", "größe 3\r\n".encode(), b""):
        note.write_bytes(damaged)
        assert not files.says(note, "größe 3\n")
    assert not files.says(tmp_path / "absent.txt", "")


def test_a_temporary_folder_is_gone_afterwards_and_so_is_one_of_a_killed_process(tmp_path):
    left = tmp_path / f".costs.{pid_of_dead()}-{files.MACHINE}01234567.part"
    left.mkdir()
    with files.temporary_folder(tmp_path, "costs") as folder:
        (folder / "inside").mkdir()
        assert list(tmp_path.iterdir()) == [folder]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="Linux's /proc")
def test_a_place_where_no_folder_can_be_created_is_told():
    for write in (files.write_text, lambda path, text: files.create_folder(path)):
        with pytest.raises(InputError, match="no folder can be created here") as caught:
            write(Path("/proc/nothing/run/a.csv"), "")
        assert caught.value.where.startswith("/proc/nothing/run")
    with (
        pytest.raises(InputError, match="no folder can be created here"),
        files.temporary_folder(Path("/proc/nothing"), "export"),
    ):
        pass


def test_a_name_that_begins_with_a_tilde_and_names_no_home_is_itself(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert files.resolve("~nobody_of_that_name.mp4") == files.ROOT / "~nobody_of_that_name.mp4"
    assert files.resolve("~/a") == Path("/home/me/a")
