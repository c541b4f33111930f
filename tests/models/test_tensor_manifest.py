"""Manifests of TensorFlow.js: right ones, and everything that may be wrong with one."""

import copy
import json
import math
import random
import tracemalloc

import numpy as np
import pytest
import torch

from lib import models
from lib.errors import InputError
from lib.models import tensor_manifest, tensorflow_layout
from tests import pace
from tests.shared_files import shared

WIDTH = 1 / 32  # channels 1, 2, 4 and 8: a network of a few hundred numbers
AXES = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}  # of our layout, in the order in which files have them
STORED = {"uint8": "u1", "uint16": "<u2"}
MOST_BYTES = 200e6


def one(tmp_path, content=b"\x01\x02", paths=("a.bin",), groups=None, **entry):
    """A manifest with one tensor and its file; what is given replaces what would be right."""
    tensor = {"name": "x", "shape": [2], "dtype": "float32"}
    tensor["quantization"] = {"dtype": "uint8", "scale": 0.5, "min": -1}
    tensor |= entry
    tensor = {key: value for key, value in tensor.items() if value != "none"}
    (tmp_path / "a.bin").write_bytes(content)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(groups or [{"weights": [tensor], "paths": list(paths)}]))
    return path


def published(net, seed=0):
    """A network's random weights as a manifest's groups and the bytes of two files."""
    generator, entries, content = np.random.default_rng(seed), [], b""
    for number, (key, value) in enumerate(net.state_dict().items()):
        name = tensorflow_layout.published_name(key)
        axes = (2, 3, 0, 1) if name.endswith("depthwise_filter") else AXES[value.ndim]
        shape = [value.shape[axis] for axis in axes]
        entry = {"name": name, "shape": shape, "dtype": "float32"}
        kind = [None, "uint8", "uint16"][number % 3]
        if kind:
            entry["quantization"] = {"dtype": kind, "scale": 0.01, "min": -0.3}
            stored = generator.integers(0, 200, math.prod(shape)).astype(STORED[kind])
        else:
            stored = generator.normal(size=math.prod(shape)).astype("<f4")
        entries.append(entry)
        content += stored.tobytes()
    half = len(content) // 2
    files = {"first.bin": content[:half], "second.bin": content[half:]}
    return [{"weights": entries, "paths": list(files)}], files


def written(folder, text, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_bytes(text)
    return folder / "manifest.json"


def slowly_decoded(text, files):
    """What a right answer holds: every tensor number by number, in PyTorch's layout."""
    tensors = {}
    for group in json.loads(text):
        content, at = b"".join(files[path] for path in group["paths"]), 0
        for entry in group["weights"]:
            how = entry.get("quantization", {"dtype": "float32", "scale": 1, "min": 0})
            kind = np.dtype(STORED.get(how["dtype"], "<f4"))
            count = math.prod(entry["shape"])
            stored = [content[at + k * kind.itemsize :][: kind.itemsize] for k in range(count)]
            scale, least = np.float32(how["scale"]), np.float32(how["min"])
            numbers = [np.frombuffer(each, kind)[0].astype("f4") * scale + least for each in stored]
            tensors[entry["name"]] = np.array(numbers, np.float32).reshape(entry["shape"])
            at += count * kind.itemsize
    return {name: in_our_layout(name, numbers) for name, numbers in tensors.items()}


def in_our_layout(name, numbers):
    if name.endswith("depthwise_filter"):
        return np.einsum("hwcm->cmhw", numbers)
    if numbers.ndim == 4:
        return np.einsum("hwio->oihw", numbers)
    return np.einsum("io->oi", numbers) if numbers.ndim == 2 else numbers


def test_numbers_are_byte_times_scale_plus_minimum(tmp_path):
    read = tensor_manifest.read(one(tmp_path, b"\x00\xff"))
    assert read["x"].dtype == np.float32
    assert read["x"].tolist() == [-1.0, 126.5]


def test_sixteen_bits_and_plain_numbers_are_little_endian(tmp_path):
    two = {"dtype": "uint16", "scale": 2, "min": 1}
    path = one(tmp_path, b"\x01\x00\x00\x01", quantization=two)
    assert tensor_manifest.read(path)["x"].tolist() == [3.0, 513.0]
    path = one(tmp_path, np.array([1.5, -2], "<f4").tobytes(), quantization="none")
    assert tensor_manifest.read(path)["x"].tolist() == [1.5, -2.0]


def test_several_files_are_one_and_a_number_may_lie_across_their_border(tmp_path):
    (tmp_path / "b.bin").write_bytes(b"\x01")
    two = {"dtype": "uint16", "scale": 1, "min": 0}
    path = one(tmp_path, b"\x01\x00\x02", ("a.bin", "b.bin"), quantization=two)
    assert tensor_manifest.read(path)["x"].tolist() == [1.0, 258.0]


def test_a_network_is_filled_with_every_tensor_in_its_own_layout(tmp_path):
    net = models.create("face_api", width=WIDTH)
    groups, files = published(net)
    text = json.dumps(groups).encode()
    filled = tensorflow_layout.fill(net, written(tmp_path, text, files))
    assert not filled.training
    assert not any(weight.requires_grad for weight in filled.parameters())
    expected = slowly_decoded(text, files)
    for key, value in filled.state_dict().items():
        assert np.array_equal(value, expected[tensorflow_layout.published_name(key)]), key


SHAPES = [[-2], [2.0], [True], ["2"], [], [0], [1, 1, 1, 1, 2], 2, None, [10**30], [2, [2]], [3]]
QUANTISATIONS = [
    None,
    [],
    {"dtype": "uint8", "scale": 1},
    {"dtype": "int8", "scale": 1, "min": 0},
    {"dtype": ["uint8"], "scale": 1, "min": 0},
    {"dtype": "uint8", "scale": math.nan, "min": 0},
    {"dtype": "uint8", "scale": math.inf, "min": 0},
    {"dtype": "uint8", "scale": 0, "min": 0},
    {"dtype": "uint8", "scale": -1, "min": 0},
    {"dtype": "uint8", "scale": "1", "min": 0},
    {"dtype": "uint8", "scale": 1, "min": -math.inf},
    {"dtype": "uint8", "scale": 10**400, "min": 0},
    {"dtype": "uint8", "scale": 1, "min": 0, "more": 1},
]
ENTRIES = [
    *({"shape": shape} for shape in SHAPES),
    *({"quantization": each} for each in QUANTISATIONS),
    {"dtype": "int32"},
    {"dtype": ["float32"]},
    {"dtype": "none"},
    {"shape": "none"},
    {"name": ""},
    {"name": 3},
    {"name": "x\ny"},
    {"name": "x" * 300},
    {"other": 1},
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry)[:60])
def test_a_tensor_that_claims_nonsense_is_refused_with_file_and_expectation(tmp_path, entry):
    with pytest.raises(InputError) as raised:
        tensor_manifest.read(one(tmp_path, **entry))
    assert "manifest.json" in raised.value.where
    assert raised.value.expected
    assert len(str(raised.value)) < 2000


OUTSIDE = ["../a.bin", "x/../../a.bin", "..\\a.bin", "/a.bin", "C:\\a.bin", "C:a.bin"]
OUTSIDE += ["\\\\host\\a.bin", "", "a\0b", "\ud800", 3, None, ["a.bin"], "a" * 5000]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: ascii(path)[:30])
def test_a_path_that_leaves_the_folder_or_is_none_is_refused(tmp_path, path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "a.bin").write_bytes(b"\x01\x02")
    with pytest.raises(InputError, match="the path ") as raised:
        tensor_manifest.read(one(inside, paths=(path,)))
    assert "manifest.json" in raised.value.where
    assert "beside the manifest" in raised.value.expected
    assert str(raised.value).encode()


@pytest.mark.parametrize("path", ["absent.bin", ".", "a.bin/b.bin"])
def test_a_file_that_is_not_beside_the_manifest_is_named(tmp_path, path):
    with pytest.raises(InputError, match="is not there") as raised:
        tensor_manifest.read(one(tmp_path, paths=(path,)))
    assert "manifest.json" in raised.value.where


def test_an_absolute_path_is_refused_even_to_a_file_that_would_fit(tmp_path):
    path = str(tmp_path / "a.bin")
    with pytest.raises(InputError, match="the path "):
        tensor_manifest.read(one(tmp_path, paths=(path,)))


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = one(tmp_path)
    path.write_text(path.read_text().replace('"paths"', '"paths": ["b.bin"], "paths"'))
    with pytest.raises(InputError, match="a key stands twice"):
        tensor_manifest.read(path)


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x01\x02\x03"])
def test_every_byte_belongs_to_a_tensor(tmp_path, content):
    with pytest.raises(InputError, match=r"bytes in a\.bin") as raised:
        tensor_manifest.read(one(tmp_path, content))
    assert "2 bytes" in raised.value.expected


TEXTS = [
    b"",
    b"<html>Quota exceeded</html>",
    b"\xff\xfe\x00",
    b"[" * 200_000,
    b"[1, 2",
    b"null",
    b"[]",
    b"{}",
    b"[[]]",
    b"[3]",
    b'[{"weights": []}]',
    b'[{"weights": [], "paths": []}]',
    b'[{"weights": {}, "paths": ["a.bin"]}]',
    b'[{"weights": [[]], "paths": ["a.bin"]}]',
    b"[" + b"9" * 5000 + b"]",
    b" " * (tensor_manifest.LONGEST_MANIFEST + 1),
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text[:40]))
def test_what_is_no_manifest_is_refused(tmp_path, text):
    path = one(tmp_path)
    path.write_bytes(text)
    with pytest.raises(InputError) as raised:
        tensor_manifest.read(path)
    assert "manifest.json" in raised.value.where
    assert raised.value.expected


def test_names_and_files_that_stand_twice_are_refused(tmp_path):
    tensor = {"name": "x", "shape": [1], "dtype": "float32"}
    tensor["quantization"] = {"dtype": "uint8", "scale": 1, "min": 0}
    twice = [{"weights": [tensor, tensor], "paths": ["a.bin"]}]
    with pytest.raises(InputError, match="second tensor"):
        tensor_manifest.read(one(tmp_path, groups=twice))
    with pytest.raises(InputError, match="twice"):
        tensor_manifest.read(one(tmp_path, b"\x01", ("a.bin", "./a.bin")))


def test_an_absent_manifest_and_a_folder_in_its_place_are_named(tmp_path):
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(InputError, match="not there") as raised:
            tensor_manifest.read(path)
        assert str(path) in raised.value.where


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_weight_that_is_no_number_or_a_huge_one_is_refused(tmp_path, value):
    content = np.array([1, value], "<f4").tobytes()
    with pytest.raises(InputError, match="infinite or very large") as raised:
        tensor_manifest.read(one(tmp_path, content, quantization="none"))
    assert "tensor x" in raised.value.where


def test_huge_claims_cost_neither_memory_nor_time(tmp_path):
    most = tensor_manifest.MAX_BYTES
    with pytest.raises(InputError) as raised:
        guarded(lambda: tensor_manifest.read(one(tmp_path, shape=[most, most, most, most])))
    assert raised.value.what.startswith("2 bytes")
    path = one(tmp_path, b"", shape=[most + 1])
    with (tmp_path / "a.bin").open("r+b") as stream:
        stream.truncate(2 * most)  # a hole: takes no room on the disk
    with pytest.raises(InputError):
        guarded(lambda: tensor_manifest.read(path))
    (tmp_path / "b.bin").write_bytes(b"\0")
    path = one(tmp_path, bytes(most), ("a.bin", "b.bin"), shape=[most])
    with pytest.raises(InputError, match="bytes of numbers"):
        guarded(lambda: tensor_manifest.read(path))


def test_the_largest_file_that_is_read_stays_below_the_limit_of_memory(tmp_path):
    path = one(tmp_path, bytes(tensor_manifest.MAX_BYTES), shape=[tensor_manifest.MAX_BYTES])
    assert guarded(lambda: tensor_manifest.read(path))["x"].shape == (tensor_manifest.MAX_BYTES,)


def test_tensors_that_are_missing_too_many_or_of_another_shape_are_named(tmp_path):
    net = models.create("face_api", width=WIDTH)
    groups, files = published(net)
    tensors = tensor_manifest.read(written(tmp_path, json.dumps(groups).encode(), files))
    renamed = {**tensors, "other": tensors["fc/bias"]}
    del renamed["dense1/conv2/pointwise_filter"]
    what = "1 missing: dense1/conv2/pointwise_filter; 1 too many: other"
    with pytest.raises(InputError, match=what) as raised:
        tensorflow_layout.state_dict(renamed, net, "here")
    assert raised.value.where == "here"
    turned = {**tensors, "fc/weights": tensors["fc/weights"].T}
    with pytest.raises(InputError, match="another shape: fc/weights 7×8"):
        tensorflow_layout.state_dict(turned, net)


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path):
    net = models.create("face_api", width=WIDTH)
    before = copy.deepcopy(net.state_dict())
    groups, files = published(net)
    groups[0]["weights"][-1]["shape"] = [7, 1]
    with pytest.raises(InputError, match="another shape: fc/bias 7×1"):
        tensorflow_layout.fill(net, written(tmp_path, json.dumps(groups).encode(), files))
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def guarded(function):
    """The function's answer; fails where it takes much memory or does not end."""
    tracemalloc.start()
    try:
        with pace.ends():
            return function()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_BYTES


JUNK = [-1, 0, 1.5, math.nan, math.inf, None, True, "x", "", [], {}, 10**30, [[[]]], "../x", "/x"]
JUNK += ["float32", "uint8", "uint16", "first.bin", [3, 3], 2**31, {"dtype": "uint8"}]


def leaves(value, path=()):
    """Paths to everything in a tree of lists and objects."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    children = enumerate(value) if isinstance(value, list) else children
    for key, child in children:
        yield from leaves(child, (*path, key))


def changed_tree(generator, groups):
    """The manifest with one value replaced by junk, taken out, or put beside itself."""
    groups = copy.deepcopy(groups)
    *path, last = generator.choice([path for path in leaves(groups) if path])
    parent = groups
    for key in path:
        parent = parent[key]
    action = generator.choice(["replace", "replace", "remove", "double"])
    if action == "replace":
        parent[last] = generator.choice(JUNK)
    elif action == "remove":
        del parent[last]
    elif isinstance(parent, list):
        parent.insert(last, copy.deepcopy(parent[last]))
    return json.dumps(groups).encode()


def changed_bytes(generator, content):
    """Bytes with one of them altered, a stretch taken out or doubled, or the end cut off."""
    first = generator.randrange(len(content))
    stop = min(len(content), first + generator.randrange(1, 20))
    action = generator.choice(["alter", "alter", "remove", "double", "cut"])
    if action == "alter":
        return content[:first] + bytes([generator.randrange(256)]) + content[first + 1 :]
    if action == "remove":
        return content[:first] + content[stop:]
    return content[:stop] + (content[first:] if action == "double" else b"")


def answer(net, path):
    try:
        return guarded(lambda: tensorflow_layout.fill(net, path).state_dict())
    except InputError as error:
        told = error
    assert all((told.what, told.where, told.expected))
    assert str(told).encode()
    return None


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_manifest_or_file_is_refused_or_read_as_it_stands(tmp_path, seed):
    generator, net = random.Random(seed), models.create("face_api", width=WIDTH)
    groups, files = published(net)
    accepted = 0
    for _ in range(120):
        text, content = json.dumps(groups).encode(), dict(files)
        kind = generator.choice(["tree", "text", "numbers"])
        if kind == "tree":
            text = changed_tree(generator, groups)
        elif kind == "text":
            text = changed_bytes(generator, text)
        else:
            content["second.bin"] = changed_bytes(generator, content["second.bin"])
        state = answer(net, written(tmp_path, text, content))
        if state is not None:
            accepted += 1
            expected = slowly_decoded(text, content)
            assert set(expected) == set(map(tensorflow_layout.published_name, state))
            for key, value in state.items():
                assert np.array_equal(value, expected[tensorflow_layout.published_name(key)])
    assert 0 < accepted < 60  # altered numbers cannot be known by themselves; all else can


@pytest.mark.parametrize("name", ["face_expression_model", "face_landmark_68_model"])
def test_a_damaged_published_file_is_refused_or_read_with_all_its_tensors(tmp_path, name):
    generator = random.Random(1)
    manifest = shared(f"weights/face_api/{name}-weights_manifest.json").read_bytes()
    numbers = shared(f"weights/face_api/{name}.bin").read_bytes()
    kind = "face_api" if "expression" in name else "face_api_landmarks"
    net = models.create(kind)
    for turn in range(40):
        text = changed_bytes(generator, manifest) if turn % 2 else manifest
        content = numbers if turn % 2 else changed_bytes(generator, numbers)
        answer(net, written(tmp_path, text, {f"{name}.bin": content}))
