"""The notebooks in a real browser: JupyterLab, *Run All Cells*, no error, all figures; `make test-browser`, not in CI.

They run in order in one session on a tiny sample set, all in a temporary folder; a notebook needs what those before
it made. Pictures of each go to tests/browser/artefacts/. One notebook with what it needs:
``.venv/bin/python -m pytest tests/browser -k "01 or 02"``.
"""

from pathlib import Path

import pytest

pytest.importorskip("selenium", reason='pip install -e ".[browser]"')

from lib import params
from tests.browser import lab

ARTEFACTS = Path(__file__).parent / "artefacts"
EXPERIMENT = ("sample_tsav.yaml", "overlays/smoke.yaml")
# Figures that must be seen, and whether a person can choose a trial; then the time limit in s.
NOTEBOOKS = [("01_download_check", 2, False, 180), ("02_preprocess_visual", 1, True, 180),
             ("03_preprocess_audio", 1, True, 180), ("04_preprocess_labels", 1, True, 120),
             ("05_train", 1, False, 300), ("06_inference", 4, True, 300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Copies of the notebooks with the smoke parameters, data and results beside them."""
    place = tmp_path_factory.mktemp("lab")
    values = params.load([lab.ROOT / "params" / name for name in EXPERIMENT])
    values |= {"sample_seconds": 2.0, "run": "browser"}
    values |= {name: str(place / name) for name in ("data_root", "processed_root", "runs_root")}
    return lab.copy_notebooks(place / "notebooks", values)


@pytest.fixture(scope="module")
def jupyter(folder):
    with lab.server(folder, folder.parent) as url:
        yield url


@pytest.fixture(scope="module")
def window(folder):
    with lab.chromium(folder.parent / "profile") as window:
        yield window


@pytest.mark.parametrize(("name", "figures", "picker", "seconds"), NOTEBOOKS, ids=[row[0] for row in NOTEBOOKS])
def test_run_all_cells_shows_every_figure_and_no_error(name, figures, picker, seconds, folder, jupyter, window):
    notebook = lab.Notebook(window, jupyter, folder / f"{name}.ipynb")
    notebook.run_all(seconds)
    notebook.take_picture(ARTEFACTS / f"{name}.png")
    assert notebook.errors() == []
    assert notebook.warnings() == []
    assert notebook.not_run() == []
    assert len(notebook.figures()) >= figures
    if picker:
        assert len(notebook.find(".jp-OutputArea select")) == 1, "the trial picker is shown once"
        notebook.press("next")
        notebook.take_picture(ARTEFACTS / f"{name}_next.png")
    cells = [cell for cell in notebook.saved().cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
