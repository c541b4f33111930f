"""The notebooks in a real browser, `make test-browser`, not in CI: a fresh copy of the repository,
`make lab`, *Run All Cells* with the defaults as they are shipped, no error, all figures.

They run in order in one session; a notebook needs what those before it made. Pictures of each, and
the minutes and clicks that it took, go to tests/browser/artefacts/. One notebook with what it
needs: ``.venv/bin/python -m pytest tests/browser -k "01 or 02"``.
"""

import csv
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml

pytest.importorskip("selenium", reason='pip install -e ".[browser]"')

from lib import parameters
from lib.media import writing
from tests.browser import lab

EPOCHS = 60  # of a training that is interrupted: some ten seconds
SMALL = ("sample_tsav.yaml", "overlays/smoke.yaml")
# Figures that must be seen, places where a person can choose a trial (in 06: to look at, and where
# it is worst); then the time limit in s, on a machine that has other work, too.
NOTEBOOKS = [
    ("01_download_check", 2, 0, 600),
    ("02_preprocess_visual", 1, 1, 600),
    ("03_preprocess_audio", 1, 1, 600),
    ("04_preprocess_labels", 1, 1, 300),
    ("05_train", 1, 0, 5400),
    ("06_inference", 4, 2, 900),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return lab.fresh_copy(tmp_path_factory.mktemp("lab") / "clone")


@pytest.fixture(scope="module")
def jupyter(clone):
    with lab.server(clone, clone.parent) as url:
        yield url


@pytest.fixture(scope="module")
def window(clone):
    with lab.chromium(clone.parent / "profile") as window:
        yield window


@pytest.mark.parametrize(
    ("name", "figures", "pickers", "seconds"), NOTEBOOKS, ids=[row[0] for row in NOTEBOOKS]
)
def test_run_all_cells_shows_every_figure_and_no_error(
    name, figures, pickers, seconds, clone, jupyter, window
):
    notebook = lab.Notebook(window, jupyter, clone / "notebooks" / f"{name}.ipynb")
    began = time.monotonic()
    notebook.run_all(seconds)
    lab.note_minutes(name, time.monotonic() - began, notebook.clicks)
    notebook.take_picture(lab.kept(f"{name}.png"))
    assert notebook.errors() == []
    assert notebook.warnings() == []
    assert notebook.not_run() == []
    assert len(notebook.figures()) >= figures
    assert notebook.cut_off() == []
    if name.startswith("06"):
        notebook.move_slider()
        notebook.take_picture(lab.kept("06_moment.png"))
        # By way of kernel and page. How long it takes is the machine's; that it comes is ours.
        moved = min(notebook.move_slider() for _ in range(5))
        lab.note_minutes("06: one step of the slider", moved, 0)
    if pickers:
        assert len(notebook.find(".jp-OutputArea select")) == pickers, (
            "a trial picker is shown once"
        )
        notebook.press("next")
        notebook.take_picture(lab.kept(f"{name}_next.png"))
    cells = [cell for cell in notebook.saved().cells if cell.cell_type == "code"]
    hidden = [cell.source.splitlines()[0] for cell in cells if lab.is_collapsed(cell)]
    assert notebook.collapsed() == hidden
    assert len(hidden) == 3, "Colab's clone, the set-up, the check"
    assert all(cell.execution_count for cell in cells)
    assert not [
        output for cell in cells for output in cell.outputs if output.output_type == "error"
    ]


def test_videos_with_the_values_drawn_in_play_where_a_person_asks_for_them(clone, jupyter, window):
    path = lab.copy_notebook(
        "06_inference", clone / "notebooks" / "06_videos.ipynb", {"overlays": 2}
    )
    notebook = lab.Notebook(window, jupyter, path)
    notebook.run_all(900)
    assert notebook.errors() == []
    assert notebook.plays() > 1
    notebook.take_picture(lab.kept("06_videos.png"))


LARGE = """
from lib.plots import viewer
viewer.EMBEDDED = 100
viewer.video("../runs/videos/large.mp4")
"""


def test_a_video_too_large_to_be_embedded_plays_from_its_file(clone, jupyter, window):
    noise = np.random.default_rng(0).integers(0, 256, (75, 120, 160, 3), np.uint8)
    writing.write_video(clone / "runs" / "videos" / "large.mp4", noise, np.arange(75) / 25)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LARGE)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    path = clone / "notebooks" / "large.ipynb"
    nbformat.write(book, path)
    notebook = lab.Notebook(window, jupyter, path)
    notebook.run_all(120)
    assert notebook.errors() == []
    assert notebook.plays() == pytest.approx(3.0, abs=0.1)


def test_an_input_error_is_the_last_red_thing_and_in_sight(clone, jupyter, window):
    path = lab.copy_notebook(
        "01_download_check", clone / "notebooks" / "01_wrong.ipynb", {"workers": -1}
    )
    notebook = lab.Notebook(window, jupyter, path)
    notebook.run_all(120)
    notebook.take_picture(lab.kept("01_wrong.png"))
    red = notebook.errors() + notebook.warnings()
    assert len(red) == 1
    assert "workers" in red[0]
    assert "Traceback" not in red[0]
    assert notebook.is_in_sight("workers: ")


@pytest.fixture(scope="module")
def prepared(clone):
    """A small experiment after 01 to 04, and the values that a cell needs to go on with it."""
    files = [lab.ROOT / "params" / name for name in SMALL]
    place = clone.parent / "small"
    places = {name: str(place / name) for name in ("data_root", "processed_root", "runs_root")}
    file = clone.parent / "small.yaml"
    file.write_text(yaml.safe_dump(parameters.load(files) | places))
    words = [sys.executable, "-m", "lib", "run", str(file), "--to", "04"]
    subprocess.run(words, cwd=clone, check=True, capture_output=True)
    return {"params_file": str(file), **places}


@pytest.fixture
def training(clone, prepared):
    """A copy of 05 whose training goes on for some time. Gives its run folder, too."""

    def make(run: str) -> tuple[Path, Path]:
        values = prepared | {"run": run, "epochs": EPOCHS}
        path = lab.copy_notebook("05_train", clone / "notebooks" / f"05_{run}.ipynb", values)
        return path, Path(prepared["runs_root"]) / run

    return make


def finished(run: Path) -> bool:
    """Did the last cell of 05 write its record?"""
    return (run / "steps" / "05_train.json").is_file()


def epochs(run: Path) -> list[str]:
    return [row["epoch"] for row in csv.DictReader((run / "history.csv").open())]


def test_curves_change_while_it_trains_and_an_interrupt_leaves_a_run_that_resumes(
    training, jupyter, window
):
    path, run = training("interrupted")
    notebook = lab.Notebook(window, jupyter, path)
    notebook.start_all()
    assert notebook.pictures_change(2, 300), "another picture while the cell still runs"
    notebook.interrupt()
    notebook.wait_until_idle(120)
    notebook.take_picture(lab.kept("05_interrupted.png"))
    assert "start again to go on from there" in "".join(notebook.errors() + notebook.warnings())
    assert not finished(run)
    assert (run / "checkpoints" / "last.pt").is_file()
    notebook.run_all(600)
    assert notebook.errors() + notebook.warnings() == []
    assert finished(run)
    assert epochs(run) == [str(number) for number in range(1, EPOCHS + 1)], "every epoch once"


def test_a_browser_that_is_closed_in_the_middle_of_training_does_not_stop_it(
    training, jupyter, clone
):
    path, run = training("closed")
    with lab.chromium(clone.parent / "profile_closed") as window:
        notebook = lab.Notebook(window, jupyter, path)
        notebook.start_all()
        notebook.pictures_change(1, 300)
        assert not finished(run)
    stop = time.monotonic() + 600
    while not finished(run) and time.monotonic() < stop:
        time.sleep(0.5)
    assert epochs(run) == [str(number) for number in range(1, EPOCHS + 1)]
    assert (run / "figures" / "training_curves.png").is_file()
