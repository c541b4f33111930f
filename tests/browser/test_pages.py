"""Pages with a stranger's text in Chromium: no script runs, pictures are seen."""

import subprocess
import sys

import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("selenium", reason='pip install -e ".[browser]"')

from lib import files, runs
from lib.datasets import check
from lib.datasets.report import Report
from lib.evaluation import comparison
from lib.experiments import notebook, report
from lib.media import writing
from lib.metrics import EMOTIONS
from lib.plots.html import page
from tests.browser import lab
from tests.whole.test_damage import a_run
from tests.whole.test_pages import HOSTILE, SCRIPT, hostile_notebook


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with lab.chromium(tmp_path_factory.mktemp("profile")) as window:
        yield window


def test_no_script_of_a_stranger_runs_and_the_picture_is_seen(tmp_path, chromium):
    run = runs.Run(a_run(tmp_path / "run"))
    cells = hostile_notebook("".join(HOSTILE))
    (run.folder / "01_download_check.ipynb").write_text(cells)
    chromium.get(report.write(run).as_uri())
    assert chromium.title == "Run run"
    comparison.compare([run.folder], tmp_path)
    chromium.get((tmp_path / "comparison.html").as_uri())
    assert chromium.title == "Comparison of runs"
    assert chromium.execute_script("return document.images[0].naturalWidth") > 0


@pytest.mark.parametrize("name", ["report.html", "comparison.html", "data_report.html"])
def test_a_page_is_no_wider_than_a_window_of_1400_pixels(name, tmp_path, chromium):
    write = {"report.html": _report, "comparison.html": _comparison, "data_report.html": _check}
    path = write[name](tmp_path)
    chromium.set_window_size(1400, 900)
    chromium.get(path.as_uri())
    ask = chromium.execute_script
    assert ask("return innerWidth") == 1400
    assert ask("return document.documentElement.scrollWidth") <= 1400
    chromium.save_screenshot(str(lab.kept(name.replace("html", "png"))))


def _report(place):
    run = runs.Run(a_run(place / "run"))
    noise = np.random.default_rng(0).integers(0, 256, (600, 1600, 3), np.uint8)
    cv2.imwrite(str(run.path("figures", "circumplex.png")), noise)
    return report.write(run)


def _comparison(place):
    """With intervals, differences, and a name as long as a sweep's point."""
    values = {"n_frames": 2000, "n_trials": 9, "ci95": [0.123, 0.456]}
    for name in ("one", "sample_tsav_lr0.003_width0.11_audio_seconds2.0_seed1", "three"):
        run = runs.Run(a_run(place / "runs" / name))
        found = {emotion: {**values, "ccc": 0.3} for emotion in EMOTIONS}
        more = {"val": found, "val_smoothed": found, "n_weights": 323_687, "epoch": 11}
        run.write_json("metrics.json", {**run.read_json("metrics.json"), **more})
    folders = sorted((place / "runs").iterdir())
    return next(path for path in comparison.compare(folders, place).files if path.suffix == ".html")


def _check(place):
    """A long path and a check-sum in every table."""
    row = {"severity": "error", "item": "a" * 60, "what": "it is damaged", "done": "left out"}
    row |= {"where": f"/home/me/{'x' * 90}/a.mp4", "expected": "8f2383e4" * 8, "todo": "copy it"}
    checked = pd.DataFrame([dict.fromkeys(check.COLUMNS, "constant, 40 ms")])
    parts = {"Errors": Report(problems=[row]).problem_table(), "Every trial": checked}
    return files.write_text(place / "data_report.html", page("Data check: sample", parts))


def test_the_policy_stops_even_a_script_that_stands_in_the_page(tmp_path, chromium):
    run = runs.Run(a_run(tmp_path / "run"))
    path = report.write(run)
    path.write_text(path.read_text().replace("<h1>", f"{SCRIPT}<h1>"))
    chromium.get(path.as_uri())
    assert chromium.title == "Run run"


SHOWN = """
from lib.plots import viewer
viewer.EMBEDDED = {limit}
viewer.video({path!r})
"""


@pytest.mark.parametrize("limit", [20_000_000, 100], ids=["embedded", "beside"])
def test_a_video_plays_in_the_page_that_nbconvert_makes(limit, tmp_path, chromium):
    """Of an executed notebook, embedded or read from its file beside the page."""
    run = tmp_path / "runs" / "one"
    noise = np.random.default_rng(0).integers(0, 256, (75, 120, 160, 3), np.uint8)
    sound = np.sin(np.arange(3 * 44100) / 20)
    path = writing.write_video(run / "videos" / "a #1.mp4", noise, np.arange(75) / 25, sound)
    cells = ["", SHOWN.format(limit=limit, path=str(path))]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, tmp_path / "source.ipynb")
    executed = run / "06_inference.ipynb"
    notebook.execute(tmp_path / "source.ipynb", executed, {}, print)
    words = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", str(executed)]
    subprocess.run(words, check=True, capture_output=True)
    chromium.get(executed.with_suffix(".html").as_uri())
    assert lab.plays(chromium, chromium.find_element("css selector", "video")) == pytest.approx(
        3.0, abs=0.1
    )
