"""Google Colab, played: a kernel in an environment of its own, an empty folder, a stub of
google.colab, a Drive.

`make test-colab`, not in CI: minutes, and it downloads. For each Python of COLAB_PYTHONS (paths,
separated by colons; python3.12 and python3.13 where it is not set) a fresh virtual environment
gets, in the newest versions that pip has, what Colab's machines have: no PyAV, no papermill,
nothing of this repository. An interpreter in an environment that has PyTorch already is used as it
is. Notebooks 01 and 06 are executed by papermill of *this* environment, as a browser would do it;
02 to 05 by the runner in the clone.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lib.files import ROOT

STUB = Path(__file__).parent / "stub"
ADDRESS = "https://github.com/OWNER/REPOSITORY"
# What is on Colab and what this repository needs of it; packages that it lacks there are the set-up
# cell's to install.
THERE = (
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "matplotlib",
    "seaborn",
    "scikit-image",
    "scipy",
    "pyarrow",
    "pyyaml",
    "tqdm",
    "ipywidgets",
    "ipykernel",
    "click",
    "opencv-python-headless",
    "requests",
)
# Versions that Colab had in August 2026, on Python 3.13; its kernel's packages are old ones.
PINNED = {
    "torch": "2.11.0",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
    "ipykernel": "6.17.1",
    "ipywidgets": "7.7.1",
    "jupyter_client": "7.4.9",
}
PYTHONS = os.environ.get("COLAB_PYTHONS", "python3.12:python3.13").split(":")
MACHINES = [(python, False) for python in PYTHONS] + [(PYTHONS[-1], True)]
DRIVE = "MyDrive/affect"


class Colab:
    """One machine: `content` is its working folder, `mine` the person's Drive."""

    def __init__(self, python: Path, place: Path):
        self.python, self.content, self.mine = python, place / "content ü", place / "drive"
        for folder in (self.content, self.mine, place / "jupyter" / "kernels" / "colab"):
            folder.mkdir(parents=True)
        kernel = {
            "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "language": "python",
            "display_name": "Colab",
        }
        (place / "jupyter" / "kernels" / "colab" / "kernel.json").write_text(json.dumps(kernel))
        source = place / "source"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        self.env |= {
            "PYTHONPATH": str(STUB),
            "JUPYTER_PATH": str(place / "jupyter"),
            "OMP_NUM_THREADS": "1",
            "STUB_DRIVE": str(self.mine),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{source.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        }

    @property
    def clone(self) -> Path:
        return self.content / "REPOSITORY"

    def notebook(self, step: str, drive: str = DRIVE, **env) -> nbformat.NotebookNode:
        """Execute one notebook where Colab would: in the working folder, not in a checkout."""
        book, out = self.content.parent / f"{step}.ipynb", self.content.parent / f"{step}_out.ipynb"
        shutil.copy(ROOT / "notebooks" / book.name, book)
        files = ("sample_tsav.yaml", "overlays/colab.yaml", "overlays/smoke.yaml")
        layers = [word for name in files for word in ("-f", str(ROOT / "params" / name))]
        command = [
            sys.executable,
            "-m",
            "papermill",
            str(book),
            str(out),
            "-k",
            "colab",
            "--cwd",
            str(self.content),
            *layers,
            "-p",
            "runs_root",
            "runs",
            "-r",
            "run",
            "mine",
            "-p",
            "drive",
            drive,
        ]
        done = subprocess.run(
            command, env={**self.env, **env}, cwd=self.content, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return nbformat.read(out, as_version=4)

    def freeze(self) -> dict[str, str]:
        done = subprocess.run(
            [str(self.python), "-m", "pip", "list", "--format=json"],
            capture_output=True,
            check=True,
        )
        return {one["name"].lower(): one["version"] for one in json.loads(done.stdout)}


def interpreter(name: str, place: Path, pinned: bool) -> Path:
    """A Python that has what Colab has: in the newest versions, or in those that Colab had."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not there: COLAB_PYTHONS names interpreters")
    has_torch = subprocess.run([found, "-c", "import torch"], capture_output=True).returncode == 0
    if has_torch and not pinned:
        return Path(found)
    subprocess.run([found, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    packages = [name for name in THERE if not (pinned and name in PINNED)]
    packages += [f"{name}=={version}" for name, version in PINNED.items() if pinned]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def shown(book) -> str:
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(str(output.get("text", output.get("data", ""))) for output in outputs)


@pytest.fixture(
    scope="module",
    params=MACHINES,
    ids=lambda one: (Path(one[0]).parent.parent.name or one[0]) + "_pinned" * one[1],
)
def colab(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("colab")
    one = Colab(interpreter(request.param[0], place / "venv", request.param[1]), place)
    one.before = one.freeze()
    data = one.mine / "affect" / "data" / "mine"
    data.mkdir(parents=True)
    (data / "words.txt").write_text("kept in Drive")
    one.first = one.notebook("01_download_check")
    words = [
        str(one.python),
        "-m",
        "lib",
        "run",
        "params/sample_tsav.yaml",
        "params/overlays/smoke.yaml",
        "params/overlays/colab.yaml",
        "-p",
        "runs_root",
        "runs",
        "-p",
        "run",
        "mine",
        "--to",
        "05",
    ]
    done = subprocess.run(words, cwd=one.clone, env=one.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    one.said = done.stdout
    one.last = one.notebook("06_inference")
    return one


def test_the_set_up_cell_clones_and_installs_only_what_is_not_there(colab):
    after = colab.freeze()
    assert (colab.clone / "lib" / "parameters.py").is_file()
    assert {name: after.get(name) for name in colab.before} == colab.before, (
        "nothing that was there is replaced"
    )
    added = set(after) - set(colab.before)
    assert {"av", "papermill"} <= added
    assert "jupyterlab" not in added


def test_notebooks_01_and_06_show_what_they_show_elsewhere(colab):
    assert "trials.parquet" in shown(colab.first)
    assert "metrics.json" in {path.name for path in (colab.clone / "runs" / "mine").iterdir()}
    assert "values have no meaning" in shown(colab.last)
    kinds = [
        kind
        for cell in colab.last.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        for kind in output.get("data", {})
    ]
    assert kinds.count("image/png") >= 3
    assert "application/vnd.jupyter.widget-view+json" in kinds, (
        "Colab shows widgets: a person can go through a trial"
    )


def test_the_notebooks_between_go_on_from_what_01_made(colab):
    assert "01_download_check: skipped, nothing changed" in colab.said


def test_data_come_from_drive_and_the_run_is_written_back(colab):
    assert (colab.clone / "data" / "mine" / "words.txt").read_text() == "kept in Drive"
    kept, here = colab.mine / "affect" / "runs" / "mine", colab.clone / "runs" / "mine"
    for name in (
        "metrics.json",
        "report.html",
        "history.csv",
        "checkpoints/best.pt",
        "figures/ccc.png",
    ):
        assert (kept / name).read_bytes() == (here / name).read_bytes(), name


def test_a_new_machine_predicts_with_the_run_that_lies_in_drive(colab):
    """Colab takes its machines back: what was on the disk is gone."""
    shutil.rmtree(colab.clone / "runs")
    colab.notebook("06_inference")
    assert (colab.clone / "runs" / "mine" / "checkpoints" / "best.pt").is_file()


def test_without_drive_it_goes_on_and_says_so(colab):
    told = shown(colab.notebook("01_download_check", STUB_DRIVE=""))
    assert "Google Drive is not used (mount failed" in told
    assert "trials.parquet" in told
