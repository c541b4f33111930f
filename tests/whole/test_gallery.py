"""The gallery in docs: outputs of executed notebooks under headings that the notebooks have, no
error among them, small enough to be opened.
"""

import base64
import importlib.util
import sys

import nbformat
import numpy as np
import pytest
from PIL import Image

from lib.errors import InputError
from lib.files import ROOT

PAGE = ROOT / "docs" / "gallery.ipynb"


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notebook(path, headings, text="seen"):
    """An executed notebook with a picture, a table, a video and text under each heading."""
    picture = np.random.default_rng(0).integers(0, 255, (20, 1200, 3), np.uint8)
    file = path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)
    shown = [
        {"image/png": base64.b64encode(file.read_bytes()).decode()},
        {"text/html": "<table><tr><td>7</td></tr></table>"},
        {"text/html": "<video src='data:video/mp4;base64,AAAA'></video>"},
    ]
    outputs = [nbformat.v4.new_output("display_data", data) for data in shown * 3]
    outputs.append(nbformat.v4.new_output("stream", text=text))
    outputs.append(nbformat.v4.new_output("stream", text="batch 24/31 (77 %) 30 s"))
    cells = []
    for heading in ("Something else", *headings):
        cells.append(nbformat.v4.new_markdown_cell(f"## {heading}\n\nwhat it says"))
        cells.append(nbformat.v4.new_code_cell("show()", outputs=outputs))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def made(gallery, runs, out, monkeypatch):
    words = [
        "gallery.py",
        "--runs-root",
        str(runs),
        "--to",
        str(out),
        "--credit",
        "GRID, CC BY 4.0",
    ]
    monkeypatch.setattr(sys, "argv", words)
    gallery.main()
    return nbformat.read(out, as_version=4)


def test_outputs_below_the_headings_are_taken_and_videos_are_not(gallery, tmp_path, monkeypatch):
    headings = ("Training", "Scores")
    monkeypatch.setattr(gallery, "SHOWN", {("videos/*", "your_video"): headings})
    notebook(tmp_path / "videos" / "talk" / "your_video.ipynb", headings)
    page = made(gallery, tmp_path, tmp_path / "gallery.ipynb", monkeypatch)
    assert "GRID, CC BY 4.0" in page.cells[0].source
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    assert len(code) == len(headings)
    kinds = [next(iter(output.get("data", {"text": 0}))) for output in code[0].outputs]
    assert sorted(kinds) == ["image/png"] * 2 + ["text"] + ["text/html"] * 3
    assert "Something else" not in str(page)
    assert "<video" not in str(page)
    assert "(77 %)" not in str(page)
    picture = next(output.data["image/png"] for output in code[0].outputs if "data" in output)
    (tmp_path / "a.png").write_bytes(base64.b64decode(picture))
    assert Image.open(tmp_path / "a.png").width == gallery.WIDEST


def test_a_heading_that_is_gone_and_a_run_that_is_not_there_are_named(gallery, tmp_path):
    notebook(tmp_path / "a.ipynb", ["Training"])
    with pytest.raises(InputError, match="nothing is shown under: Scores"):
        list(gallery.chosen(tmp_path / "a.ipynb", ("Training", "Scores")))
    with pytest.raises(InputError, match="0 executed notebooks"):
        gallery.executed(tmp_path, "none/*.ipynb")


def test_the_headings_are_those_of_the_notebooks(gallery):
    for (_, name), headings in gallery.SHOWN.items():
        cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        there = {cell.source.partition("\n")[0] for cell in cells}
        assert {f"## {heading}" for heading in headings} <= there


def test_the_page_is_whole_small_and_of_todays_notebooks(gallery):
    page = nbformat.read(PAGE, as_version=4)
    assert PAGE.stat().st_size < 2e6
    sources = "\n".join(cell.source for cell in page.cells)
    for (_, name), headings in gallery.SHOWN.items():
        assert f"../notebooks/{name}.ipynb" in sources
        assert all(f"### {heading}" in sources for heading in headings)
    outputs = [output for cell in page.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 8
    assert "CC BY" in page.cells[0].source
