"""The package under the name that it has when it is installed, beside another package called
lib.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from lib import predict
from lib.errors import InputError
from lib.evaluation import people
from lib.files import ROOT
from tests.shared_files import shared

NAME = "affect_notebooks"
IMPORTS = f"""
import importlib, pkgutil, sys
import lib
assert lib.MINE == 1
import {NAME}
names = [module.name for module in pkgutil.walk_packages({NAME}.__path__, "{NAME}.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names), [name for name in sys.modules if name.startswith("lib.")])
"""
PREDICTS = f"""
import sys
from {NAME} import predict
predict(sys.argv[1], weights_root=sys.argv[2], speaker_run="none").to_pickle(sys.argv[3])
"""


@pytest.fixture
def beside(tmp_path):
    """A folder with somebody's own package lib, from which a program is run: ``beside(code, *words,
    env=...)`` returns what it wrote.
    """
    place = tmp_path / "a project"
    (place / "lib").mkdir(parents=True)
    (place / "lib" / "__init__.py").write_text("MINE = 1\n")

    def run(code: str, *words: object, python: Path | str = sys.executable, path: str = "") -> str:
        (place / "program.py").write_text(code)
        done = subprocess.run(
            [str(python), "program.py", *map(str, words)],
            cwd=place,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_carries_every_package_of_lib():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert told["package-dir"] == {NAME: "lib"}
    there = {path.parent.relative_to(ROOT) for path in (ROOT / "lib").rglob("__init__.py")}
    assert set(told["packages"]) == {
        ".".join((NAME, *folder.parts[1:])) for folder in there if "__pycache__" not in folder.parts
    }


def test_every_module_can_be_imported_under_the_installed_name(beside, tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lib", tmp_path / "site" / NAME, ignore=ignored)
    count, own = beside(IMPORTS, path=str(tmp_path / "site")).split(maxsplit=1)
    assert int(count) > 250
    assert json.loads(own) == []


def test_a_parameter_that_is_none_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match="devise"):
        predict(tmp_path / "talk.mp4", devise="cpu")


def test_a_folder_of_recordings_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match="a folder without pictures, and no recording") as caught:
        predict(tmp_path)
    assert caught.value.todo == "call predict for each recording in it"


@pytest.mark.parametrize(
    ("video", "told"),
    [
        *((value, "is no path") for value in (None, "", 3, b"talk.mp4", ["talk.mp4"])),
        *((f"{kind}://example.org/talk.mp4", "is an address") for kind in ("https", "file")),
        ("x" * 300, "300 bytes, at most 255"),
        ("a\0b", "control character"),
        ("line\nbreak.mp4", "no such file or folder"),
    ],
)
def test_a_video_that_is_no_path_is_refused(video, told):
    with pytest.raises(InputError, match=told):
        predict(video)
    if isinstance(video, str) and video and "line" not in video:
        with pytest.raises(InputError, match=told):
            predict("talk.mp4", folder=video)


def test_networks_and_places_count_from_the_working_directory(tmp_path, monkeypatch):
    given = {}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.pt").write_bytes(b"")
    (tmp_path / "talk.mp4").write_bytes(b"\0")
    monkeypatch.setattr(people, "check", lambda params: None)  # these files are no networks
    monkeypatch.setattr(people, "fetch", lambda params: given.update(params) or [])
    monkeypatch.setattr(people, "look", lambda *words: SimpleNamespace(table=words[0]))
    assert (
        predict("talk.mp4", predict_run="best.pt", weights_root=Path("w")) == tmp_path / "talk.mp4"
    )
    assert given["predict_run"] == str(tmp_path / "best.pt")
    assert given["weights_root"] == tmp_path / "w"
    predict("talk.mp4", predict_run=Path("none.pt"), speaker_run="a_run")
    assert given["predict_run"] == str(tmp_path / "none.pt")
    assert given["speaker_run"] == "a_run"
    with pytest.raises(InputError, match="video_path is for the notebook only"):
        predict("talk.mp4", video_path="other.mp4")


@pytest.mark.parametrize("name", ["segments_path", "video_path", "drive"])
def test_a_parameter_of_the_notebook_that_means_nothing_here_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=f"{name} is for the notebook only"):
        predict("talk.mp4", **{name: str(tmp_path)})


def test_a_file_of_weights_counts_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "best.pt").write_bytes(b"x")
    (tmp_path / "talk.mp4").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    given = {}

    def look(video, params, folder):
        given.update(params)
        raise InputError("seen")

    monkeypatch.setattr("lib.evaluation.python.people.look", look)
    monkeypatch.setattr("lib.evaluation.python.people.check", lambda params: None)  # no networks
    monkeypatch.setattr("lib.evaluation.python.people.fetch", lambda params: [])
    with pytest.raises(InputError, match="seen"):
        predict("talk.mp4", predict_run="best.pt", speaker_run="none")
    assert (given["predict_run"], given["speaker_run"]) == (str(tmp_path / "best.pt"), "none")


def test_a_folder_that_is_a_file_is_refused_and_a_path_may_begin_at_home(tmp_path, monkeypatch):
    (tmp_path / "out").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="not a folder") as caught:
        predict("talk.mp4", folder="out")
    assert caught.value.where == str(tmp_path / "out")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"no such file or folder: {tmp_path}/talk.mp4"):
        predict("~/talk.mp4")


@pytest.mark.slow  # builds the package, for which pip fetches setuptools
def test_an_installed_wheel_gives_the_numbers_of_the_checkout(beside, tmp_path):
    video, weights = shared("media") / "grid_dialogue_2faces.mp4", tmp_path / "weights"
    weights.mkdir()
    for path in (*shared("weights").glob("face_api/face_*"), *shared("weights").glob("*.onnx")):
        shutil.copy(path, weights)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT], check=True)
    environment = tmp_path / "environment"
    words = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(words, check=True)
    site = next(environment.glob("lib/python*/site-packages"))
    # What it depends on comes from this environment; a path in a .pth brings no package of ours.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    wheel = next(tmp_path.glob("*.whl"))
    command = [*pip, "install", "-q", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run(command, check=True)
    beside(PREDICTS, video, weights, tmp_path / "table", python=environment / "bin" / "python")
    here = predict(video, weights_root=weights, speaker_run="none")
    assert len(here) == 600
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "table"), here, check_exact=True)
