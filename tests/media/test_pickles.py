"""Pickles from strangers are data: what could run code is refused by name, arrays come out as they
went in.
"""

import collections
import contextlib
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from lib.errors import InputError
from lib.media import pickles
from tests import pace

CONTENT = {
    "partition": {"Train_Set": {"1": np.int64(5), 2: 3}},
    "frame": [None, np.eye(2, 3)],
    "text": "ü",
    "number": 1.5,
    "pair": (True, 2),
    "mask": np.arange(6, dtype=np.int16).reshape(2, 3, order="F"),
    "big": np.array([1.5, 2], ">f4"),
    "names": np.array(["a", "bc"]),
    "none": np.zeros((0, 3)),
}


def equal(found, wanted):
    if isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            equal(found[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            equal(one, other)
    else:
        assert found == wanted


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_lists_dicts_numbers_texts_and_arrays_come_back_in_every_protocol(tmp_path, protocol):
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    equal(pickles.read(path), CONTENT)


def test_an_array_of_objects_comes_as_a_list(tmp_path):
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps(np.array([None, np.ones(2)], object)))
    found = pickles.read(path)
    assert found[0] is None
    np.testing.assert_array_equal(found[1], np.ones(2))


@pytest.mark.filterwarnings("error")
def test_texts_under_the_old_code_of_their_type_are_read_without_a_warning(tmp_path):
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps(np.array([b"ab", b"c"]), 2).replace(b"S2", b"a2"))
    np.testing.assert_array_equal(pickles.read(path), [b"ab", b"c"])


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/evil-pickle",)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Evil(), "system"),
        (collections.Counter("a"), "Counter"),
        (np.load, "numpy"),
        ({1, 2}, "set"),
        (len, "len"),
        (np.array([(1, 2.0)], "i4,f4"), "V"),
        (object, "object"),
    ],
)
def test_everything_else_is_refused_by_name_and_never_run(tmp_path, value, name):
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps({"a": [value]}))
    with pytest.raises(InputError, match=name):
        pickles.read(path)
    assert not os.path.exists("/tmp/evil-pickle")


def test_every_cut_and_many_flipped_bytes_end_in_data_or_an_input_error(tmp_path):
    whole, path = pickle.dumps(CONTENT, 2), tmp_path / "some.pkl"
    generator = np.random.default_rng(0)
    damaged = [whole[:n] for n in range(0, len(whole), 7)]
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[generator.integers(len(whole))] ^= 1 << generator.integers(8)
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            pickles.read(path)


def test_a_missing_pickle_is_told(tmp_path):
    with pytest.raises(InputError, match="not there"):
        pickles.read(tmp_path / "none.pkl")


# ---- what asks for more than its size


def doubled(times, last):
    """Tuples in tuples, each of them twice: 2 ** times values in 3 bytes for each doubling."""
    return b"\x80\x02}K\x01" + b"2\x86" * times + last


TEXT = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x01"
ENCODED = b"c_codecs\nencode\nq\x00h\x01\x85R"
GREEDY = {
    "790 MB of a bytearray": b"\x80\x05\x96" + struct.pack("<Q", 790_000_000) + b"a" * 70 + b".",
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "a frame that is not there": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "a memo of 2 ** 31 places": b"\x80\x02]r" + struct.pack("<I", 1 << 31) + b".",
    "a memo by text": b"]p9999999999\n.",
    "a key that is hashed for ever": doubled(60, b"K\x01s."),
    "a set that is hashed for ever": b"\x80\x04\x8f(K\x01" + b"2\x86" * 60 + b"\x90.",
    "values that double for ever": doubled(60, b"1."),
    "texts copied for ever": b"\x80\x02]" + TEXT + b"(" + ENCODED * 2000 + b"e.",
    "lists in lists": b"\x80\x02" + b"](" * 5000 + b"e" * 5000 + b".",
    "tuples in tuples": b"\x80\x02)" + b"\x85" * 100_000 + b".",
    "an object from elsewhere": b"\x80\x05\x97.",
    "a number from the registry": b"\x80\x02\x82\x01.",
    "nothing on the stack": b"\x80\x020.",
    "a mark that is missing": b"\x80\x02t.",
    "no end": b"\x80\x02]",
    "no newline": b"cnumpy",
    "an unknown operation": b"\x80\x02\xff.",
}


@pytest.mark.parametrize("content", GREEDY.values(), ids=GREEDY)
def test_what_would_grow_beyond_its_size_is_refused_before_anything_is_built(tmp_path, content):
    path = tmp_path / "greedy.pkl"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pace.ends(), pytest.raises(InputError, match=r"refused|damaged") as caught:
            pickles.read(path)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.where == str(path)
