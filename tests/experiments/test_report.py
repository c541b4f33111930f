"""report.html of a run: what stands in it, that it fetches and runs nothing, and that it stays
small.
"""

import base64
import re
import shutil
from html.parser import HTMLParser

import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lib import runs
from lib.__main__ import main
from lib.datasets.report import Report
from lib.errors import InputError
from lib.experiments import report
from lib.plots import html
from tests.leftovers import left_beside

SENTENCE = "trained on synthetic sample data: values have no meaning"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


class Page(HTMLParser):
    """All tags with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def run(tmp_path):
    """A run folder by hand, with an executed notebook and two figures."""
    run = runs.Run(tmp_path / "sample_a")
    run.write_text("params.yaml", "dataset: sample\nrecipe: tsav\nlr: 0.001\nrun: sample_a\n")
    run.write_json(
        "environment.json",
        {"python": "3.11.7", "git": {"commit": "abc123"}, "versions": {"torch": "2.11"}},
    )
    run.write_json(
        "metrics.json",
        {
            "synthetic": True,
            "chosen_on": "chosen on val",
            "val": {
                "valence": {"ccc": 0.83, "ci95": [0.79, 0.87]},
                "arousal": {"ccc": 0.88, "ci95": None},
            },
            "baselines": {"training mean": {"valence": 0.0, "arousal": 0.0}},
        },
    )
    run.write_text("history.csv", "epoch,loss\n1,0.75\n2,0.5\n")
    for name in ("traces_7", "ccc"):
        run.path("figures", f"{name}.png").write_bytes(PIXEL)
    shown = [
        nbformat.v4.new_output("stream", text="12/24\r24/24\n<script>alert(1)</script>"),
        nbformat.v4.new_output(
            "display_data",
            {"text/html": "<img src='http://elsewhere/x.png'>", "text/plain": "a widget"},
        ),
        nbformat.v4.new_output(
            "display_data", {"text/html": "<table><tr><td>7 trials</td></tr></table>"}
        ),
        nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(PIXEL).decode()}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell(
            "# 1 · Is it complete?\n[![Open in Colab](https://a/b)](https://a/c)\nOf "
            "`data` **all**, a < b"
        ),
        nbformat.v4.new_code_cell("secret = 1", outputs=shown),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), run.folder / "01_download_check.ipynb")
    return run


def written(run):
    return Page(report.write(run).read_text(encoding="utf-8"))


def test_scores_figures_training_parameters_and_environment_stand_in_one_page(run):
    page = written(run)
    for words in (
        "Run sample_a",
        "0.83 [0.79, 0.87]",
        "training mean",
        "chosen on val",
        SENTENCE,
        "lr",
        "0.001",
        "3.11.7",
        "git commit",
        "abc123",
        "versions torch",
        "0.75",
        "nothing",
    ):
        assert words in page.text, words
    assert [tag["alt"] for name, tag in page.tags if name == "img"] == [
        "CCC with 95 % intervals over trials, beside trivial predictors",
        "Prediction against label over time, trial 7",
        "1 · Is it complete?",
    ]


def test_the_page_that_a_killed_process_left_half_is_cleared_away(run):
    left = left_beside(run.folder / report.NAME)
    written(run)
    assert not left.exists()


def test_a_list_of_contents_leads_to_each_heading_and_links_to_what_lies_beside(run):
    run.write_text("predictions/7.csv", "frame\n1\n")
    page = written(run)
    targets = [tag["href"] for name, tag in page.tags if name == "a"]
    headings = [f"#{tag['id']}" for name, tag in page.tags if name == "h2"]
    assert [each for each in targets if each.startswith("#")] == headings
    beside = [each for each in targets if not each.startswith("#")]
    assert all((run.folder / each).exists() for each in beside)
    assert {"01_download_check.ipynb", "predictions", "metrics.json", "history.csv"} <= set(beside)
    assert "predictions (1 file)" in page.text


def test_notebooks_are_told_without_their_code_and_a_line_by_its_last_state(run):
    page = written(run)
    for words in ("Is it complete?", "24/24", "7 trials", "a widget", "a < b"):
        assert words in page.text, words
    for words in ("secret", "12/24", "Open in Colab", "**", "`"):
        assert words not in page.text, words


def test_the_page_fetches_and_runs_nothing(run):
    """Also what a notebook's output would have fetched or run stays outside."""
    page = written(run)
    assert not {"script", "link", "iframe", "object"} & {name for name, _ in page.tags}
    addresses = [
        value
        for _, tag in page.tags
        for key, value in tag.items()
        if key in ("src", "href", "srcset")
    ]
    assert addresses
    inside = ("data:image/png;base64,", "#")
    outside = [value for value in addresses if not value.startswith(inside)]
    assert all((run.folder / value).exists() for value in outside), "files of the run folder"
    assert not re.search(r"url\(|@import", (run.folder / "report.html").read_text())


def test_pictures_inside_are_those_of_the_folder(run):
    found = [tag["src"] for name, tag in written(run).tags if name == "img"]
    assert all(base64.b64decode(source.partition(",")[2]) == PIXEL for source in found)
    assert len(found) == 3


def test_a_large_picture_is_made_smaller_and_still_a_picture(run):
    noise = np.random.default_rng(0).integers(0, 256, (300, 1600, 3), np.uint8)
    cv2.imwrite(str(run.path("figures", "circumplex.png")), noise)
    found = {tag["alt"]: tag["src"] for name, tag in written(run).tags if name == "img"}
    words = "Predictions and labels of all frames in the valence–arousal plane"
    content = base64.b64decode(found[words].partition(",")[2])
    assert len(content) < (run.folder / "figures" / "circumplex.png").stat().st_size / 2
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (188, 1000, 3)


def test_a_run_with_very_many_pictures_stays_small_and_says_what_it_left_out(run):
    for number in range(6):
        run.path("figures", f"traces_1{number}.png").write_bytes(bytes(3_000_000))
    page = written(run)
    assert (run.folder / "report.html").stat().st_size < 2e6
    assert "pictures were left out" in page.text
    first = next(tag["alt"] for name, tag in page.tags if name == "img")
    assert first.startswith("CCC with 95 % intervals"), "scores come first"


def test_what_was_lost_is_named(run):
    run.step = "02_preprocess_visual"
    run._replace_failures(
        [{"step": run.step, "item": "10-60_left", "what": "damaged <picture>", "where": "a.mp4"}]
    )
    page = written(run)
    assert "10-60_left" in page.text
    assert "damaged <picture>" in page.text


def test_a_run_that_is_not_evaluated_yet_says_so(run):
    (run.folder / "metrics.json").unlink()
    assert "not evaluated yet" in written(run).text


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        report.write(runs.Run(tmp_path))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("scores", [[1], {"valence": {"ccc": "x"}}, {"valence": 0.5}])
def test_a_run_with_damaged_scores_is_named_and_the_others_are_reported(
    run, tmp_path, split, scores
):
    damaged = tmp_path / "damaged"
    shutil.copytree(run.folder, damaged)
    runs.Run(damaged).write_json("metrics.json", {split: scores})
    done = CliRunner().invoke(main, ["report", str(damaged), str(run.folder)])
    assert done.exit_code == 2, done.output
    assert f"where: {damaged / 'metrics.json'}" in done.output
    assert (run.folder / report.NAME).is_file()
    assert not (damaged / report.NAME).exists()


def test_text_of_a_page_is_escaped():
    page = html.page("a & <b>", {"x <y>": pd.DataFrame({"<i>": ["<u>"]}), "told": "1 < 2"})
    assert Page(page).text.count("<") == 6, "the title stands twice"
    assert not {"b", "i", "u", "y"} & {name for name, _ in Page(page).tags}


def test_a_table_without_rows_is_told_in_words_where_it_has_some():
    problems = Report().problem_table()
    text = Page(html.page("Data check", {"Errors and warnings": problems})).text
    assert "nothing is missing or damaged" in text
    assert "severity" not in text


def test_only_columns_with_long_words_may_break_inside_a_word():
    check_sum = "8f2383e4" * 8
    text = html.page(
        "Check",
        {
            "weights": pd.DataFrame(
                {
                    "file": ["a.onnx"],
                    "SHA-256": [check_sum],
                    "licence": ["free for all to use " * 5],
                }
            ),
            "trials": pd.DataFrame({"trial": ["a"], "width": [640]}),
        },
    )
    assert "#t0 td:nth-child(2){overflow-wrap:anywhere;min-width:14em}" in text
    assert text.count("overflow-wrap") == 1
    assert check_sum in text  # whole, so that it can be copied


# ---- recordings that nobody labelled


@pytest.fixture
def unlabelled(tmp_path):
    """Two recordings, one with two people, and what 06 writes where no frame is labelled."""
    run = runs.Run(tmp_path / "mine")
    run.write_text("params.yaml", "dataset: folder\nrecipe: tsav\nrun: mine\n")
    run.write_json(
        "metrics.json",
        {"synthetic": False, "chosen_on": "the epoch was chosen on val", "val_trials": []},
    )
    run.path("figures", "ccc.png").write_bytes(PIXEL)
    rows = {"frame": [1, 2, 3, 4], "time": [0.0, 1.0, 2.0, 3.0], "valid": [1, 1, 0, 1]}
    affect = {"valence": [0.1, 0.3, 0.9, 0.5], "arousal": [0.0, 0.0, 0.0, 0.0]}
    alone = pd.DataFrame({**rows, **affect, "note": "affwild2"})
    both = pd.concat([alone.assign(person="left"), alone.assign(person="right", valence=-0.5)])
    for name, table in (("anna", alone), ("ben", both)):
        path = run.path("predictions", f"{name}.csv")
        table.to_csv(path, index=False)
    return run


def test_a_report_of_unlabelled_recordings_shows_curves_and_numbers_and_no_score(unlabelled):
    text = report.write(unlabelled).read_text()
    page = Page(text)
    assert page.text.count("left") >= 1
    for part in ("Each recording and person", "valid %", "75", "valence mean", "valence SD"):
        assert part in page.text
    assert "0.3" in page.text, "the mean of the three valid frames"
    assert "0.163" in page.text, "and their standard deviation"
    pictures = [attrs["alt"] for tag, attrs in page.tags if tag == "img"]
    words = "What was predicted over time: "
    assert pictures == [f"{words}{name}" for name in ("anna", "ben, left", "ben, right")]
    for word in ("CCC", "chosen on", "not evaluated"):
        assert word not in page.text


def test_recordings_of_a_report_stand_in_the_order_in_which_people_count(unlabelled):
    table = (unlabelled.folder / "predictions" / "anna.csv").read_text()
    for name in ("rec 10", "rec 2", "rec 1"):
        (unlabelled.folder / "predictions" / f"{name}.csv").write_text(table)
    page = Page(report.write(unlabelled).read_text())
    shown = [attrs["alt"].partition(": ")[2] for tag, attrs in page.tags if tag == "img"]
    assert shown == ["anna", "ben, left", "ben, right", "rec 1", "rec 2", "rec 10"]
    places = [page.text.index(f"rec {number}\n") for number in (1, 2, 10)]
    assert places == sorted(places)


def test_a_run_with_a_score_is_reported_as_before(run):
    page = Page(report.write(run).read_text())
    assert "CCC with 95 % intervals" in page.text
    assert "Each recording and person" not in page.text
