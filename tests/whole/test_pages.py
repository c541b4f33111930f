"""Pages and tables show a stranger's text and never run it."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from lib import files, runs
from lib.evaluation import comparison
from lib.experiments import report
from lib.plots import html
from tests.whole.test_damage import a_run

SCRIPT = "<script>document.title='ran'</script>"
HOSTILE = [
    SCRIPT,
    "<img src=x onerror=document.title='ran'>",
    "'><svg/onload=document.title='ran'>",
    '" onmouseover="document.title=1',
    "<a href='javascript:document.title=1'>x</a>",
    "</td></table></style><iframe srcdoc='<b>x</b>'></iframe>",
    "<style>*{background:url(http://example.org/x)}</style>",
]
ACTIVE = {"script", "iframe", "object", "embed", "svg", "link", "form", "base", "math"}


class Tags(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def assert_harmless(text):
    found = Tags(text).found
    assert not {tag for tag, _ in found} & ACTIVE
    for _, attributes in found:
        assert not [name for name in attributes if name.startswith("on") or name == "srcdoc"]
        for name in ("href", "src"):
            address = attributes.get(name, "")
            assert address.startswith("data:image/png;base64,") or ":" not in address, address
    policies = [told["content"] for tag, told in found if told.get("http-equiv", "")[:2] == "Co"]
    assert policies == [html.POLICY]
    assert "default-src 'none'" in html.POLICY
    assert "script-src" not in html.POLICY


def hostile_notebook(text):
    outputs = [
        {"output_type": "display_data", "data": {"text/html": f"<table>{text}</table>"}},
        {"output_type": "display_data", "data": {"text/html": f"<table {text}><td>1</table>"}},
        {"output_type": "display_data", "data": {"image/png": text}},
        {"output_type": "error", "ename": text, "evalue": text, "traceback": []},
        {"output_type": "stream", "text": text},
        {"output_type": "display_data", "data": {"text/plain": [text]}},
        {},
        3,
    ]
    cells = [
        {"cell_type": "markdown", "source": [f"# {text}\n", f"**{text}** `{text}`"]},
        {"cell_type": "code", "source": "", "outputs": outputs},
        *({"cell_type": "code", "source": "", "outputs": [each]} for each in outputs),
        {text: text},
        None,
    ]
    return json.dumps({"cells": cells})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_report_shows_a_strangers_text_and_runs_nothing(tmp_path, text):
    run = runs.Run(a_run(tmp_path / "run"))
    (run.folder / "01_download_check.ipynb").write_text(hostile_notebook(text))
    run.write_text("params.yaml", json.dumps({"recipe": text, "dataset": text, "run": text}))
    run.write_json("environment.json", {text: {text: [text]}})
    name = text.replace("/", "∕")[:100]
    run.path("figures", f"{name}.png").write_bytes(b"\x89PNG")
    run.step = "02_preprocess_visual"
    run._replace_failures([dict.fromkeys(runs.FAILURE_COLUMNS, text)])
    page = report.write(run).read_text()
    assert_harmless(page)
    assert "a damaged cell" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_escapes_headings_cells_lists_and_links(text):
    table = pd.DataFrame({text: [text, [text], {"a": text}, 1.5]})
    page = html.page(text, {text: table, "told": text}, links={text: text})
    assert_harmless(page)
    assert "1.5" in page


@pytest.mark.parametrize("text", [HOSTILE[0] + HOSTILE[2], HOSTILE[5] + HOSTILE[3]])
def test_a_comparison_escapes_names_and_what_the_files_say(tmp_path, text):
    folder = a_run(tmp_path / text.replace("/", "∕")[:100])
    metrics = json.loads((folder / "metrics.json").read_text()) | {"rules": text}
    metrics["baselines"] = {text: {"valence": 0.0, "arousal": 0.0}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    runs.Run(folder).write_text("params.yaml", json.dumps({"recipe": text, "dataset": text}))
    comparison.compare([folder], tmp_path / "out")
    assert_harmless((tmp_path / "out" / "comparison.html").read_text())


def test_a_table_of_a_notebook_is_written_anew_without_attributes():
    table = "<table border='1' class='x'><tr><th>a&lt;b</th><td style='y'>1<br>2</td></tr></table>"
    expected = "<table><tr><th>a&lt;b</th><td>1<br>2</td></tr></table>"
    assert html.table_of(table) == expected
    assert html.table_of("<table><td>a" + SCRIPT + "<b>c") == "<table><td>a<b>c</b></td></table>"
    assert html.table_of("</td></table><table><td><p>x") == "<table><td>x</td></table>"


# ---- formulas
FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''=1", "=", "-"]
PLAIN = ["a", "", "'a", "-0.5", "+3", "-1e-05", "a=b", "' =1", "5"]


def test_text_that_begins_as_a_formula_is_quoted_in_tables_for_people_and_nothing_else(tmp_path):
    run = runs.Run(tmp_path)
    values = [*FORMULAS, *PLAIN]
    table = pd.DataFrame({"=name": values, "number": -1.5})
    run.write_table("report.csv", table)
    text = (tmp_path / "report.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["'=name"] for row in rows[: len(FORMULAS)]] == [f"'{each}" for each in FORMULAS]
    assert [row["'=name"] for row in rows[len(FORMULAS) :]] == PLAIN
    assert {row["number"] for row in rows} == {"-1.5"}
    assert [runs.unquoted(row["'=name"]) for row in rows] == values


def test_no_notebook_writes_a_table_for_people_without_quoting_its_texts():
    notebooks = sorted((files.ROOT / "notebooks").glob("*.ipynb"))
    texts = {path.name: path.read_text(encoding="utf-8") for path in notebooks}
    assert "here.write_table(" in texts["01_download_check.ipynb"]
    assert not [name for name, text in texts.items() if re.search(r"write_text\([^)]*\.csv", text)]


def test_failures_are_quoted_and_read_back_by_value(tmp_path):
    run = runs.Run(tmp_path, "02_preprocess_visual")
    rows = [dict.fromkeys(runs.FAILURE_COLUMNS, each) for each in [*FORMULAS, *PLAIN]]
    run._replace_failures([{**row, "step": run.step} for row in rows])
    assert [row["item"] for row in run.failures()] == [*FORMULAS, *PLAIN]
    assert '"=cmd' not in (tmp_path / "failures.csv").read_text()
    run._replace_failures(run.failures())
    assert [row["item"] for row in run.failures()] == [*FORMULAS, *PLAIN]
