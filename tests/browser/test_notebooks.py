"""The notebooks in a real browser: JupyterLab, *Run All Cells*, no error, all figures; `make
test-browser`, not in CI.

They run in order in one session on a tiny sample set, all in a temporary folder; a notebook needs
what those before it made. Pictures of each go to tests/browser/artefacts/. One notebook with what
it needs: ``.venv/bin/python -m pytest tests/browser -k "01 or 02"``.
"""

import csv
import os
import time
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason='pip install -e ".[browser]"')

from lib import parameters
from tests.browser import lab

ARTEFACTS = Path(__file__).parent / "artefacts"
EPOCHS = 60  # of a training that is interrupted: some ten seconds
EXPERIMENT = ("sample_tsav.yaml", "overlays/smoke.yaml")
# Figures that must be seen, places where a person can choose a trial (in 06: to look at, and where
# it is worst); then the time limit in s.
NOTEBOOKS = [
    ("01_download_check", 2, 0, 180),
    ("02_preprocess_visual", 1, 1, 180),
    ("03_preprocess_audio", 1, 1, 180),
    ("04_preprocess_labels", 1, 1, 120),
    ("05_train", 1, 0, 300),
    ("06_inference", 4, 2, 300),
]


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """The smoke parameters, with all places in a temporary folder."""
    place = tmp_path_factory.mktemp("lab")
    found = parameters.load([lab.ROOT / "params" / name for name in EXPERIMENT])
    found |= {"sample_seconds": 2.0, "run": "browser"}
    return found | {
        name: str(place / name) for name in ("data_root", "processed_root", "runs_root")
    }


@pytest.fixture(scope="module")
def folder(values):
    """Copies of the notebooks, data and results beside them."""
    return lab.copy_notebooks(Path(values["data_root"]).parent / "notebooks", values)


@pytest.fixture(scope="module")
def jupyter(folder):
    with lab.server(folder, folder.parent) as url:
        yield url


@pytest.fixture(scope="module")
def window(folder):
    with lab.chromium(folder.parent / "profile") as window:
        yield window


@pytest.mark.parametrize(
    ("name", "figures", "pickers", "seconds"), NOTEBOOKS, ids=[row[0] for row in NOTEBOOKS]
)
def test_run_all_cells_shows_every_figure_and_no_error(
    name, figures, pickers, seconds, folder, jupyter, window
):
    notebook = lab.Notebook(window, jupyter, folder / f"{name}.ipynb")
    notebook.run_all(seconds)
    notebook.take_picture(ARTEFACTS / f"{name}.png")
    assert notebook.errors() == []
    assert notebook.warnings() == []
    assert notebook.not_run() == []
    assert len(notebook.figures()) >= figures
    if name.startswith("06"):
        notebook.move_slider()
        notebook.take_picture(ARTEFACTS / "06_moment.png")
        # By way of kernel and page; on a machine that has more to do than it can, only that it
        # comes.
        limit = 0.15 if os.getloadavg()[0] < 2 * (os.cpu_count() or 1) else 2.0
        assert min(notebook.move_slider() for _ in range(5)) < limit
    if pickers:
        assert len(notebook.find(".jp-OutputArea select")) == pickers, (
            "a trial picker is shown once"
        )
        notebook.press("next")
        notebook.take_picture(ARTEFACTS / f"{name}_next.png")
    cells = [cell for cell in notebook.saved().cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not [
        output for cell in cells for output in cell.outputs if output.output_type == "error"
    ]


@pytest.fixture
def training(folder, values):
    """A copy of 05 whose training goes on for some time; needs what 01 to 04 have made. Gives its
    run folder, too.
    """

    def make(run: str) -> tuple[Path, Path]:
        long = values | {"run": run, "epochs": EPOCHS}
        return lab.copy_notebook("05_train", folder / f"05_{run}.ipynb", long), Path(
            values["runs_root"]
        ) / run

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
    notebook.take_picture(ARTEFACTS / "05_interrupted.png")
    assert "start again to go on from there" in "".join(notebook.errors() + notebook.warnings())
    assert not finished(run)
    assert (run / "checkpoints" / "last.pt").is_file()
    notebook.run_all(600)
    assert notebook.errors() + notebook.warnings() == []
    assert finished(run)
    assert epochs(run) == [str(number) for number in range(1, EPOCHS + 1)], "every epoch once"


def test_a_browser_that_is_closed_in_the_middle_of_training_does_not_stop_it(
    training, jupyter, folder
):
    path, run = training("closed")
    with lab.chromium(folder.parent / "profile_closed") as window:
        notebook = lab.Notebook(window, jupyter, path)
        notebook.start_all()
        notebook.pictures_change(1, 300)
        assert not finished(run)
    stop = time.monotonic() + 600
    while not finished(run) and time.monotonic() < stop:
        time.sleep(0.5)
    assert epochs(run) == [str(number) for number in range(1, EPOCHS + 1)]
    assert (run / "figures" / "training_curves.png").is_file()
