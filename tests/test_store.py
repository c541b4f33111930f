import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lib import runs, store
from lib.__main__ import main
from lib.errors import InputError
from lib.store import Shelf, fingerprint, request

MADE_FROM = {
    "name": "face",
    "parameters": {"size": 4},
    "version": 1,
    "inputs": {"video": {"size": 1}},
}


def made_from(**changes):
    return {**MADE_FROM, **changes}


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "processed" / "set" / "trials" / "one two_é")


def names(shelf):
    return sorted(path.name for path in shelf.folder.iterdir())


# ---- variants and digits


def test_an_array_comes_back_as_it_was_written_read_only_and_memory_mapped(shelf):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = shelf.write(made_from(), array, t0=0.5)
    again = store.read(path)
    assert np.array_equal(again, array)
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    assert re.fullmatch(r"face-[0-9a-f]{8}\.npy", path.name)
    facts = store.facts(path)
    assert re.fullmatch(r"[0-9a-f]{8}", facts.pop("crc32"))
    assert facts == {
        "shape": [3, 4],
        "dtype": "float32",
        "t0": 0.5,
        "made_from": made_from(),
    }


def test_an_array_without_elements_is_an_array_too(shelf):
    assert store.read(shelf.write(made_from(), np.zeros((5, 0), np.int8))).shape == (5, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"size": 8}},
        {"version": 2},
        {"inputs": {"video": {"size": 2}}},
        {"inputs": {}},
    ],
)
def test_variants_lie_side_by_side(shelf, changes):
    first = shelf.write(made_from(), np.zeros(3))
    second = shelf.write(made_from(**changes), np.ones(3))
    assert first != second
    assert (store.read(first).sum(), store.read(second).sum()) == (0, 3)


def test_digits_do_not_depend_on_the_order_of_keys():
    turned = dict(reversed(made_from(parameters={"b": 1, "a": 2}).items()))
    assert store.digest(turned) == store.digest(made_from(parameters={"a": 2, "b": 1}))


def test_requests_are_equal_when_name_parameters_and_files_are(tmp_path):
    assert request("face", size=4) == request("face", size=4)
    assert len({request("face", size=4), request("face", size=4), request("face", size=8)}) == 2
    assert request("x", {"weights": tmp_path / "a"}) != request("x", {"weights": tmp_path / "b"})
    assert str(request("face", size=4)) == "face(size=4)"


# ---- fingerprints


def big_file(path, seed=0):
    path.write_bytes(np.random.default_rng(seed).bytes(3 * store.MEBIBYTE))
    return path


def test_a_file_has_the_same_fingerprint_wherever_it_lies_and_whatever_it_is_called(tmp_path):
    path = big_file(tmp_path / "a.mp4")
    before = fingerprint(path)
    os.utime(path, (1, 1))
    assert fingerprint(path) == before
    (tmp_path / "ö b").mkdir()
    moved = path.rename(tmp_path / "ö b" / "c.avi")
    assert fingerprint(moved) == before
    assert not {"path", "mtime"} & set(before)


@pytest.mark.parametrize("place", [0, 3 * store.MEBIBYTE - 1])
def test_other_content_at_the_beginning_or_end_has_another_fingerprint(tmp_path, place):
    path = big_file(tmp_path / "a.mp4")
    before = fingerprint(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert fingerprint(path) != before


def test_another_length_has_another_fingerprint(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"ab")
    before = fingerprint(path)
    path.write_bytes(b"abc")
    assert fingerprint(path) != before


def test_a_folder_is_known_by_the_names_and_sizes_of_its_files_not_by_its_place(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    (folder / "00001.jpg").write_bytes(b"12")
    before = fingerprint(folder)
    folder = folder.rename(tmp_path / "moved crops")
    os.utime(folder / "00001.jpg", (1, 1))
    assert fingerprint(folder) == before
    (folder / "00001.jpg").write_bytes(b"123")
    assert fingerprint(folder) != before
    (folder / "00001.jpg").write_bytes(b"12")
    (folder / "00001.jpg").rename(folder / "00002.jpg")
    assert fingerprint(folder) != before


def test_names_that_are_no_text_have_a_fingerprint(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(b"1")
    assert fingerprint(tmp_path)["files"] == 1


def test_a_file_that_may_not_be_read_is_an_input_error(tmp_path, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "a.mp4").write_bytes(b"1")
    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(InputError, match="Permission denied") as caught:
        fingerprint(tmp_path / "a.mp4")
    assert "a.mp4" in caught.value.where


# ---- atomic writes


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_write_leaves_nothing_and_earlier_arrays_stay(shelf, error):
    earlier = shelf.write(made_from(version=7), np.ones(3))
    before = names(shelf)
    with pytest.raises(error), shelf.creating(made_from(), (1000, 10), np.float32) as out:  # noqa: PT012
        out[:500] = 1
        raise error
    assert names(shelf) == before
    assert store.read(earlier).sum() == 3


def test_an_array_does_not_exist_while_it_is_written(shelf):
    path = shelf.path(made_from())
    with shelf.creating(made_from(), (3,), np.float32) as out:
        out[...] = 1
        assert not path.exists()
        assert not path.with_suffix(".json").exists()
        assert shelf.find("face", {"size": 4}, 1) == []
    assert path.is_file()
    assert shelf.find("face", {"size": 4}, 1) == [path]


def test_an_array_is_on_the_disk_before_it_gets_its_name(shelf, monkeypatch):
    told, path = [], shelf.path(made_from())
    monkeypatch.setattr(np.memmap, "flush", lambda array: told.append(("flush", path.exists())))
    monkeypatch.setattr(store, "_sync", lambda place: told.append((place.suffix, path.exists())))
    shelf.write(made_from(), np.ones(3))
    assert told == [("flush", False), (".part", False)]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
def test_a_full_disk_is_one_clear_message_and_earlier_arrays_stay(shelf, monkeypatch):
    earlier = shelf.write(made_from(version=7), np.ones(3))
    before = names(shelf)
    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    with pytest.raises(InputError, match="no space left") as caught:
        shelf.write(made_from(), np.zeros(1000))
    assert str(shelf.path(made_from())) in str(caught.value)
    assert "GB free" in str(caught.value)
    assert "free some space" in str(caught.value)
    assert names(shelf) == before
    assert store.read(earlier).sum() == 3
    monkeypatch.undo()
    assert store.read(shelf.write(made_from(), np.zeros(5))).shape == (5,)


def test_a_disk_that_is_full_when_the_map_is_opened_or_the_json_written_leaves_nothing(
    shelf, monkeypatch
):
    monkeypatch.setattr(np.lib.format, "open_memmap", full_disk)
    with pytest.raises(InputError, match="no space left"):
        shelf.write(made_from(), np.zeros(10))
    monkeypatch.undo()
    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(InputError, match="no space left"):
        shelf.write(made_from(), np.zeros(10))
    assert names(shelf) == []


def test_another_error_of_the_disk_is_not_called_a_full_one(shelf, monkeypatch):
    def broken(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(np.lib.format, "open_memmap", broken)
    with pytest.raises(OSError, match="Input/output") as caught:
        shelf.write(made_from(), np.zeros(10))
    assert not isinstance(caught.value, InputError)


# ---- found by name, parameters and version


def test_an_array_is_found_whatever_its_inputs_were_and_all_that_fit_are_listed(shelf):
    first = shelf.write(made_from(inputs={"video": {"size": 1}}), np.zeros(1))
    second = shelf.write(made_from(inputs={"video": {"size": 2}}), np.zeros(1))
    shelf.write(made_from(version=2), np.zeros(1))
    shelf.write(made_from(parameters={"size": 8}), np.zeros(1))
    shelf.write(made_from(name="face_valid"), np.zeros(1))
    assert shelf.find("face", {"size": 4}, 1) == sorted([first, second])
    assert shelf.find("face", {"size": 5}, 1) == []


def test_half_of_an_array_is_not_found(shelf):
    shelf.write(made_from(), np.zeros(1)).unlink()
    assert shelf.find("face", {"size": 4}, 1) == []


# ---- damage


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: cut(path.with_suffix(".json")),
        lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe\x00"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: np.save(path, np.zeros((2, 2))),
    ],
)
def test_a_damaged_array_is_named_with_the_way_out(shelf, damage):
    path = shelf.write(made_from(), np.arange(100.0))
    damage(path)
    with pytest.raises(InputError, match="damaged") as caught:
        store.read(path)
    assert path.stem in caught.value.where
    assert f"store rm {path.stem}" in caught.value.todo


def test_an_array_that_would_run_code_is_refused(shelf):
    path = shelf.write(made_from(), np.arange(3))
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="damaged"):
        store.read(path)


# ---- check-sums


def flip(path, place=-5):
    """Change one bit, as a disk or a memory cell does."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def without_checksum(path):
    """An array as it was written before there were check-sums."""
    facts = store.facts(path)
    facts.pop("crc32")
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1, sort_keys=True))


def altered(path, **changes):
    facts = {**store.facts(path), **changes}
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1, sort_keys=True))


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (flip, "its check-sum is [0-9a-f]{8}, and was"),
        (lambda path: flip(path, 127), "a computed array is damaged"),
        (lambda path: altered(path, t0=0.75), "its check-sum is"),
        (lambda path: altered(path, made_from=made_from(version=7)), "its name does not fit"),
        (lambda path: altered(path, crc32="00000000"), "was 00000000 when it was written"),
        (lambda path: altered(path, made_from=3), "no mapping as made_from"),
    ],
    ids=["a number", "the header", "a fact", "what it was made from", "the check-sum", "nonsense"],
)
def test_one_flipped_bit_is_seen_and_the_array_named_with_the_way_out(shelf, damage, what):
    path = shelf.write(made_from(), np.arange(100.0), t0=0.5)
    assert store.verify(path)
    damage(path)
    with pytest.raises(InputError, match=what) as caught:
        store.verify(path)
    assert path.stem in caught.value.where
    root = shelf.folder.parents[2]
    assert f"`python -m lib store rm {path.stem} --root {root}`" in caught.value.todo


def test_an_array_without_a_check_sum_stays_valid_and_is_the_same_input(shelf):
    path = shelf.write(made_from(), np.arange(100.0), t0=0.5)
    sidecar = path.with_suffix(".json")
    new, plain = runs.fingerprint(path), store.fingerprint(sidecar)
    without_checksum(path)
    assert store.verify(path) is False
    assert runs.fingerprint(path) == store.fingerprint(sidecar) == new != plain
    assert shelf.path(made_from()) == path


def test_the_command_line_checks_all_arrays(shelf):
    root = shelf.folder.parents[2]
    shelf.write(made_from(), np.zeros(3))
    without_checksum(shelf.write(made_from(version=2), np.ones(3)))
    ask = ["store", "verify", "--root", str(root)]
    done = CliRunner().invoke(main, ask)
    assert (done.exit_code, done.stdout) == (
        0,
        "2 arrays: 1 right, 0 damaged, 1 written before there were check-sums\n",
    )
    damaged = shelf.write(made_from(version=3), np.ones(3))
    flip(damaged)
    done = CliRunner().invoke(main, ask)
    assert done.exit_code == 1
    assert f"set/{shelf.folder.name}/{damaged.stem}: a computed array is damaged" in done.stdout
    assert "1 right, 1 damaged, 1 written before" in done.stdout


@pytest.mark.parametrize("command", [["verify"], ["rm", "--yes"], ["rm", "--yes", "--unused"]])
def test_words_that_no_array_contains_are_told_whatever_was_to_be_done(shelf, command):
    shelf.write(made_from(), np.zeros(3))
    root, ask = str(shelf.folder.parents[2]), CliRunner().invoke
    done = ask(main, ["store", *command, "--root", root, "mell"])
    assert done.exit_code == 2
    assert "no array contains mell" in done.output


def test_a_folder_without_arrays_is_not_said_to_be_used(tmp_path):
    runs_root, ask = str(tmp_path), ["store", "rm", "--unused", "--root", str(tmp_path)]
    done = CliRunner().invoke(main, [*ask, "--runs-root", runs_root])
    assert (done.exit_code, done.output) == (0, f"there are no arrays under {tmp_path}\n")


# ---- listing and removing


def test_all_arrays_are_listed_the_broken_ones_too_and_removed_with_their_json(shelf):
    root = shelf.folder.parents[2]
    whole = shelf.write(made_from(), np.zeros(1000))
    kept = shelf.write(made_from(version=2), np.ones(3))
    unfinished = shelf.write(made_from(version=3), np.zeros(3))
    unfinished.with_suffix(".json").unlink()
    damaged = shelf.write(made_from(version=4), np.zeros(3))
    damaged.with_suffix(".json").write_text("{")
    of_a_killed_process = shelf.folder / ".face-00000000.npy.123.part"
    of_a_killed_process.write_bytes(b"123")
    rows = {Path(row["path"]): row for row in store.listing(root)}
    assert set(rows) == {whole, kept, unfinished, damaged, of_a_killed_process}
    assert (rows[whole]["dataset"], rows[whole]["owner"], rows[whole]["name"]) == (
        "set",
        shelf.folder.name,
        "face",
    )
    assert (json.loads(rows[whole]["parameters"]), rows[whole]["version"]) == ({"size": 4}, 1)
    assert rows[whole]["mb"] == pytest.approx(0.008, abs=2e-4)
    assert rows[unfinished]["name"] == rows[of_a_killed_process]["name"] == "(no JSON: unfinished)"
    assert rows[damaged]["name"] == "(JSON damaged)"
    freed = store.remove([whole, unfinished, damaged, of_a_killed_process])
    assert freed == pytest.approx(8000 + 128 + 2 * 152 + 3, abs=8)
    assert names(shelf) == sorted([kept.name, kept.with_suffix(".json").name])
    assert store.read(kept).sum() == 3


def test_a_link_that_leads_nowhere_is_listed_and_removed(shelf):
    link = shelf.folder / "face-00000000.npy"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(shelf.folder / "unmounted.npy")
    assert [row["mb"] for row in store.listing(shelf.folder.parents[2])] == [0]
    assert store.remove([link]) == 0
    assert not link.is_symlink()


def test_an_array_that_is_removed_meanwhile_is_not_listed(shelf, monkeypatch):
    kept = shelf.write(made_from(), np.zeros(3))
    found = list(store._arrays_below(str(shelf.folder.parents[2]), 3))
    gone = (*found[0][:-1], "face-00000000.npy")
    monkeypatch.setattr(store, "_arrays_below", lambda *_: [*found, gone])
    assert [row["path"] for row in store.listing(shelf.folder.parents[2])] == [str(kept)]
    assert store.remove([kept.with_name(gone[-1])]) == 0


def test_an_empty_root_has_nothing_to_list(tmp_path):
    assert store.listing(tmp_path) == store.listing(tmp_path / "absent") == []


# ---- arrays of unknown length


def test_an_array_that_grows_has_the_bytes_of_one_that_was_written_whole(shelf, tmp_path):
    array = np.arange(700, dtype=np.int16).reshape(-1, 7)
    path = shelf.write(made_from(), array, t0=0.5)
    other = Shelf(tmp_path / "other")
    with other.growing(made_from(), (7,), np.int16, t0=0.5) as append:
        for start in range(0, 100, 33):
            append(array[start : start + 33])
    for place in (path, path.with_suffix(".json")):
        assert (other.folder / place.name).read_bytes() == place.read_bytes()


def test_an_array_that_did_not_finish_growing_is_not_there(shelf):
    with pytest.raises(KeyboardInterrupt), shelf.growing(made_from(), (), np.int16) as append:  # noqa: PT012
        append(np.zeros(5))
        raise KeyboardInterrupt
    assert names(shelf) == []


def test_an_array_that_never_grew_is_empty(shelf):
    with shelf.growing(made_from(), (3,), np.float32):
        pass
    assert store.read(shelf.path(made_from())).shape == (0, 3)
