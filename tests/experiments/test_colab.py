"""Google Colab: what is installed there, what comes from Drive and goes back, and that elsewhere
nothing happens.
"""

import importlib.util
import os
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

from lib.errors import InputError
from lib.experiments import colab
from lib.files import NOTEBOOKS, ROOT, YOUR_VIDEO
from lib.parameters import Params


@pytest.fixture
def versions(monkeypatch):
    """Installed packages: name → version; `needs`: name → requirements."""
    there, needs = {"numpy": "2.3.0", "torch": "2.9.0+cu126", "opencv-python": "4.12.0"}, {}
    monkeypatch.setattr(colab, "_version", lambda name: there.get(name, ""))
    monkeypatch.setattr(colab.metadata, "requires", lambda name: needs.get(name))
    return there, needs


def test_what_is_there_and_in_range_is_not_asked_for_again(versions):
    wanted = [
        "numpy>=2.0",
        "torch>=2.5",
        "av>=14",
        "jupyterlab>=4.2",
        "opencv-python-headless>=4.10",
    ]
    assert colab.lacking(wanted) == ["av>=14"]
    assert colab.lacking(["numpy>=2.4"]) == ["numpy>=2.4"]


def test_what_an_added_package_needs_is_looked_for_too_and_that_of_others_is_not(versions):
    there, needs = versions
    there |= {"papermill": "2.7.0"}
    needs |= {
        "papermill": ["ansicolors", "numpy", "boto3; extra == 's3'"],
        "torch": ["a-library-that-is-built-in"],
    }
    assert colab.lacking(["papermill>=2.6", "torch>=2.5"]) == []
    assert colab.lacking(["papermill>=2.6", "torch>=2.5"], ["papermill>=2.6"]) == ["ansicolors"]


def test_installing_replaces_nothing_and_ends(versions, monkeypatch):
    there, needs = versions
    typed = []

    def pip(command, check):
        typed.append(command[command.index("install") :])
        there.update(
            {name.partition(">")[0]: "14.0" for name in command if not name.startswith("-")}
        )

    monkeypatch.setattr(colab.subprocess, "run", pip)
    monkeypatch.setattr(colab, "is_colab", lambda: True)
    needs["papermill"] = ["ansicolors"]
    done = colab.install()
    assert all(words[1:3] == ["--quiet", "--no-deps"] for words in typed)
    assert len(typed) == 2
    assert "ansicolors" in typed[1]
    assert not [
        name for name in done if name.startswith(("torch>", "numpy", "jupyterlab", "opencv"))
    ]


def test_elsewhere_nothing_is_installed(monkeypatch):
    monkeypatch.setattr(colab.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    assert colab.install() == []


def test_colabs_own_kernel_packages_are_never_replaced(versions):
    there, needs = versions
    there |= {"ipykernel": "6.17.1", "ipywidgets": "7.7.1", "jupyter-client": "7.4.9"}
    there |= {"numpy": "2.1.3", "pandas": "2.2.3", "torch": "2.11.0", "papermill": "2.7.0"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    asked = {name.partition(">")[0] for name in colab.lacking(project)}
    assert not asked & there.keys()
    assert colab.lacking(["ipykernel>=7", "ipywidgets>=9"]) == []
    needs["papermill"] = ["jupyter_client>=8"]
    there["jupyter_client"] = there["jupyter-client"]
    assert colab.lacking(["papermill"], ["papermill"]) == []


@pytest.mark.parametrize("foreign", ["", "__init__.py", "parameters.py"])
def test_a_folder_called_lib_in_the_working_directory_does_not_stop_the_set_up(foreign, tmp_path):
    (tmp_path / "lib").mkdir()
    if foreign:
        (tmp_path / "lib" / "__init__.py").touch()
        (tmp_path / "lib" / foreign).touch()
    (tmp_path / "REPOSITORY").symlink_to(ROOT)
    code = script().CLONE.format(address="", folder="REPOSITORY") + "\n" + script().SET_UP
    code += "\nfrom lib import files; print(files.ROOT.name)"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.stdout.strip() in ("REPOSITORY", ROOT.name), done.stderr


# ---- Drive


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """A checkout, a Drive beside it that can be mounted, and the parameters of a run."""
    root, mine = tmp_path / "content" / "REPOSITORY", tmp_path / "mine"
    root.mkdir(parents=True)
    google = types.ModuleType("google.colab")
    google.drive = types.SimpleNamespace(
        mount=lambda path: (
            Path(path).mkdir(exist_ok=True),
            (Path(path) / "MyDrive").symlink_to(mine),
        )
    )
    monkeypatch.setitem(sys.modules, "google.colab", google)
    monkeypatch.setattr(colab, "ROOT", root)
    monkeypatch.setattr(colab, "MOUNT", root.parent / "drive")
    put(mine / "affect" / "data" / "videos" / "a.mp4", "picture")
    put(mine / "affect" / "runs" / "old" / "checkpoints" / "best.pt", "weights")
    return (
        root,
        mine / "affect",
        google,
        Params(
            {
                "drive": "MyDrive/affect",
                "run": "new",
                "predict_run": "old",
                "data_root": root / "data",
                "runs_root": root / "runs",
            }
        ),
    )


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_data_and_the_runs_that_are_named_come_from_drive(drive):
    root, mine, _, p = drive
    put(mine / "runs" / "another" / "big.pt", "not asked for")
    put(root / "data" / "videos" / "b.mp4", "only here")
    colab.fetch(p)
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert found == ["data/videos/a.mp4", "data/videos/b.mp4", "runs/old/checkpoints/best.pt"]


def test_a_recording_and_every_run_that_is_named_come_from_drive(drive):
    root, mine, _, p = drive
    put(mine / "talk.mp4", "picture")
    put(mine / "runs" / "voices" / "best.pt", "weights")
    put(mine / "runs" / "before" / "best.pt", "weights")
    named = {"voice_run": "voices", "options": {"start_from": "before"}}
    colab.fetch({**p, **named, "video_path": root / "talk.mp4"})
    assert (root / "talk.mp4").read_text() == "picture"
    assert all((root / "runs" / name / "best.pt").is_file() for name in ("voices", "before"))


def test_what_is_here_already_is_not_overwritten_from_drive(drive):
    root, _, _, p = drive
    put(root / "runs" / "old" / "checkpoints" / "best.pt", "newer")
    colab.fetch(p)
    assert (root / "runs" / "old" / "checkpoints" / "best.pt").read_text() == "newer"


def test_a_run_is_written_back_again_when_it_has_changed(drive):
    root, mine, _, p = drive
    colab.fetch(p)
    history = root / "runs" / "new" / "history.csv"
    put(history, "1")
    for text in ("1", "1,2"):
        put(history, text)
        os.utime(history, (2e9 + len(text), 2e9 + len(text)))
        for save in colab.on_epoch(p):
            save(None)
        assert (mine / "runs" / "new" / "history.csv").read_text() == text
    assert not list(mine.rglob("*.part"))


def test_a_person_who_does_not_allow_the_access_is_told_and_it_goes_on(drive, monkeypatch):
    root, mine, google, p = drive

    class MessageError(Exception):
        pass

    monkeypatch.setitem(
        sys.modules, "google.colab._message", types.SimpleNamespace(MessageError=MessageError)
    )

    def refused(path):
        raise MessageError("credential propagation was unsuccessful")

    google.drive.mount = refused
    with pytest.warns(UserWarning, match="Google Drive is not used .credential propagation"):
        colab.fetch(p)
    put(root / "runs" / "new" / "history.csv", "1")
    colab.save(p)
    assert not (mine / "runs" / "new").exists()


def test_on_another_machine_drive_is_not_used_and_that_is_said(drive, monkeypatch):
    _, _, _, p = drive
    monkeypatch.delitem(sys.modules, "google.colab")
    with pytest.warns(UserWarning, match="this is not Google Colab"):
        colab.fetch(p)
    colab.save(p)


def test_without_the_parameter_nothing_is_mounted(drive):
    _, _, google, p = drive
    google.drive.mount = lambda path: pytest.fail("mounted")
    quiet = Params({**p, "drive": ""})
    colab.fetch(quiet)
    assert colab.on_epoch(quiet) == []


def test_data_that_do_not_fit_are_refused_before_they_are_copied(drive, monkeypatch):
    root, _, _, p = drive
    monkeypatch.setattr(colab.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=3))
    with pytest.raises(InputError, match=r"0\.0 GB free"):
        colab.fetch(p)
    assert not (root / "data").exists()


def test_a_drive_that_is_full_costs_the_copy_and_not_the_training(drive, monkeypatch):
    root, _, _, p = drive
    colab.fetch(p)
    put(root / "runs" / "new" / "history.csv", "1")

    def full(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(colab.shutil, "copy2", full)
    with pytest.warns(UserWarning, match="lost with this machine"):
        colab.save(p)


# ---- the address


def script():
    spec = importlib.util.spec_from_file_location("address", ROOT / "docs" / "address.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_address_stands_everywhere_as_in_pyproject():
    """If this fails: python docs/address.py"""
    assert list(script().changed()) == []


def test_another_address_reaches_readme_badges_and_set_up_cells():
    module, found = script(), "https://github.com/someone/affect"
    for step in (*NOTEBOOKS, YOUR_VIDEO):
        text = (ROOT / "notebooks" / f"{step}.ipynb").read_text()
        changed = module.notebook(text, step, found)
        assert (
            f"colab.research.google.com/github/someone/affect/blob/main/notebooks/{step}.ipynb"
            in changed
        )
        assert "OWNER" not in changed
        assert module.notebook(changed, step, found) == changed
    readme = module.readme((ROOT / "README.md").read_text(), found)
    assert "git clone https://github.com/someone/affect && cd affect" in readme
    page = module.readme((ROOT / "docs" / "colab.md").read_text(), found)
    assert "!cd affect && python -m lib" in page
    badge = "colab.research.google.com/github/someone/affect/blob/main/notebooks/"
    assert f"{badge}your_video.ipynb" in readme


def test_the_set_up_cell_clones_on_colab_only(tmp_path):
    """Elsewhere, without lib, it stops instead of fetching something."""
    clone = script().CLONE.format(address="https://github.com/o/r", folder="r")
    cell = f"{clone}\n{script().SET_UP}"
    code = "import subprocess\nsubprocess.run = lambda words, check: print('cloned', *words[4:])\n"
    here = [sys.executable, "-S", "-c"]
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "env": {}}
    alone = subprocess.run([*here, code + cell], **run)
    assert "cloned" not in alone.stdout
    assert f"no checkout at or above {tmp_path}" in alone.stderr
    there = subprocess.run(
        [*here, "import sys\nsys.modules['google.colab'] = sys\n" + code + cell], **run
    )
    assert there.stdout.strip() == f"cloned https://github.com/o/r {tmp_path / 'r'}"
