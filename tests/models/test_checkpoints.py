"""Files of weights: a changed bit is seen, and nothing is built that is larger than the file."""

import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch

from lib.errors import InputError
from lib.models import checkpoints, published
from tests import pace

SAVED = {
    "model": {
        "weight": torch.arange(600.0).reshape(20, 30),
        "part": (torch.arange(9.0) + 0.5)[::2],
    },
    "params": {"lr": 0.1, "name": "ü"},
    "score": np.float64(0.5),
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "groups": [{"betas": (0.9, 0.99)}]},
}


def written(path, content=None, zipped=True):
    torch.save(SAVED if content is None else content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_what_a_training_writes_comes_back(tmp_path, zipped):
    found = checkpoints.contents(written(tmp_path / "a.pt", zipped=zipped))
    assert torch.equal(found["model"]["weight"], SAVED["model"]["weight"])
    assert torch.equal(found["model"]["part"], SAVED["model"]["part"])
    assert found["score"] == 0.5
    assert found["optimizer"]["groups"] == SAVED["optimizer"]["groups"]


@pytest.mark.parametrize("part", ["data/0", "data/1", "data.pkl"])
def test_one_flipped_bit_in_a_checkpoint_is_seen(tmp_path, part):
    path = written(tmp_path / "best.pt")
    with zipfile.ZipFile(path) as archive:
        member = next(one for one in archive.infolist() if one.filename.endswith(part))
        content = archive.read(member)
    whole = bytearray(path.read_bytes())
    whole[whole.index(content) + 3] ^= 0x40  # inf out of a weight
    path.write_bytes(whole)
    for read in (checkpoints.load, published.read):
        with pytest.raises(InputError, match=rf"damaged: Bad CRC-32 for file '.*{part}'") as caught:
            read(path)
        assert caught.value.where == str(path)
        assert "train again with the same command" in caught.value.todo


class Call:
    """Pickled as a call of `function` with these arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def program(path, content, zipped):
    """A file of weights whose program is `content`, a pickle as bytes."""
    if not zipped:
        parts = (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {})
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts) + content)
        return path
    written(path, {})
    with zipfile.ZipFile(path) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in members.items():
            archive.writestr(name, content if name.endswith("data.pkl") else old)
    return path


STORAGE = (
    b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpuJ" + struct.pack("<i", 10**9) + b"tQ."
)
GREEDY = {
    "a bytearray of a number": pickle.dumps(Call(bytearray, 790_000_000), 2),
    "a tensor of a number": pickle.dumps(Call(torch.FloatTensor, 200_000_000), 2),
    "a storage of a number": pickle.dumps(Call(torch.FloatStorage, 200_000_000), 2),
    "numbers that are not there": STORAGE,
    "a memo of 2 ** 31 places": b"\x80\x02]r" + struct.pack("<I", 1 << 31) + b".",
    "a key that is hashed for ever": b"\x80\x02}K\x01" + b"2\x86" * 60 + b"K\x01s.",
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("content", GREEDY.values(), ids=GREEDY)
def test_what_would_grow_beyond_its_file_is_refused(tmp_path, content, zipped):
    path = program(tmp_path / "a.pt", content, zipped)
    for read in (checkpoints.load, published.read):
        with pace.ends(), pytest.raises(InputError) as caught:
            read(path)
        assert caught.value.where == str(path)


def test_numbers_that_are_shown_many_times_over_are_refused(tmp_path):
    path = written(tmp_path / "a.pt", {"model": {"weight": torch.zeros(1).expand(10**9)}})
    with pytest.raises(InputError, match="grow beyond its size: 1,000,000,000 numbers"):
        published.read(path)


def test_an_archive_that_is_packed_is_refused(tmp_path):
    path = written(tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content + bytes(1 << 22 if name.endswith("data/0") else 0))
    with pytest.raises(InputError, match="bytes when unpacked"):
        published.read(path)
