"""Clips as a new user makes them: a parameter file, notebooks 01 and 04, and the command that
checks.
"""

import json
import re

import pytest
from click.testing import CliRunner

from lib.__main__ import main
from lib.experiments import pipeline
from lib.files import ROOT
from lib.speakers.clips import schema
from tests import in_process

LENGTHS = (30, 20)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The parameter file of the sample conversations, run twice: in between, one number in it is
    changed.
    """
    place = tmp_path_factory.mktemp("world")
    file, said = place / "clips.yaml", []
    text = (ROOT / "params/sample_clips.yaml").read_text()
    for name, value in {"sample_trials": "6", "sample_seconds": "1.0", "workers": "1"}.items():
        text = re.sub(rf"^{name}:.*$", f"{name}: {value}", text, flags=re.MULTILINE)
    roots = {f"{name}_root": str(place / name) for name in ("data", "processed", "runs")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "execute", in_process.execute)  # these notebooks need no kernel
        for length in LENGTHS:
            file.write_text(
                re.sub(r"^clip_length: 450$", f"clip_length: {length}", text, flags=re.MULTILINE)
            )
            assert f"clip_length: {length}\n" in file.read_text()
            status = pipeline.run([file], roots, say=said.append)
            assert status == 0, said
    given = [part for name, value in roots.items() for part in ("-p", name, value)]
    return place, [str(file), *given]


def root_of(place, length):
    return next(place.glob(f"processed/sample-conversations-*/dataset_clips_L{length}"))


def test_another_length_in_the_file_gives_a_verified_root_of_its_own(world):
    place, _ = world
    for length in LENGTHS:
        root = root_of(place, length)
        told = [schema.read(path) for path in root.glob("*/*/clip_f*/clip.json")]
        # Five of 30 frames for training, one of 90 for validation; a tail of 10 frames, below a
        # second, is dropped.
        assert len(told) == {30: 8, 20: 9}[length]
        assert {one["clip_len"] for one in told} == {length}
        assert json.loads((root / "dataset.json").read_text())["length"] == length


def test_the_notebook_shows_time_line_strip_and_distribution(world):
    executed = json.loads((world[0] / "runs/clips/04_preprocess_labels.ipynb").read_text())
    pictures = [
        cell["source"]
        for cell in executed["cells"]
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    # Time line, strip and distribution stand in one cell.
    assert sum("clips.timeline" in "".join(source) for source in pictures) == 3
    lines = "".join(
        "".join(output.get("text", ""))
        for cell in executed["cells"]
        for output in cell.get("outputs", [])
    )
    assert "videos cut 6/6" in lines
    assert "Source(" not in lines


def test_a_picture_that_was_removed_is_named(world):
    place, given = world
    picture = sorted(root_of(place, 20).glob("val/*/clip_f000020/frames/*.jpg"))[7]
    kept = picture.read_bytes()
    assert CliRunner().invoke(main, ["clips", "verify", *given]).exit_code == 0
    picture.unlink()
    done = CliRunner().invoke(main, ["clips", "verify", *given])
    picture.write_bytes(kept)
    assert done.exit_code == 1
    assert picture.name == "img_00027.jpg"
    assert "1 pictures missing: img_00027.jpg" in done.output
