"""Pages with a stranger's text in Chromium: no script runs, pictures are seen."""

import pytest

pytest.importorskip("selenium", reason='pip install -e ".[browser]"')

from lib import runs
from lib.evaluation import comparison
from lib.experiments import report
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


def test_the_policy_stops_even_a_script_that_stands_in_the_page(tmp_path, chromium):
    run = runs.Run(a_run(tmp_path / "run"))
    path = report.write(run)
    path.write_text(path.read_text().replace("<h1>", f"{SCRIPT}<h1>"))
    chromium.get(path.as_uri())
    assert chromium.title == "Run run"
