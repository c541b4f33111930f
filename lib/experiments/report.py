"""report.html of a run: scores, figures, what notebooks showed, parameters, environment.

The page needs no network connection: pictures are embedded, and nothing is fetched or executed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from .. import runs
from ..datasets import is_synthetic
from ..errors import InputError
from ..evaluation.comparison import require_scores
from ..evaluation.predictions import Predictions
from ..files import NOTEBOOKS, clear_leftovers, read_mapping
from ..plots.html import Html, page, table_of
from ..trials import SYNTHETIC_NOTE, counted
from . import recordings
from .report_pictures import Pictures, caption

NAME = "report.html"
MAX_BYTES = 1 << 30  # bytes of an executed notebook
REPEAT = "execute this notebook again, or remove its copy from the run folder"
# Files besides the notebooks that a reader of a report may want to open.
BESIDE = ("predictions", "errors/index.html", "submission", "videos", "figures", "data_report.html")
BESIDE = (*BESIDE, "metrics.json", "history.csv", "failures.csv", "params.yaml")
# figures that a reader wants to see first
FIRST_FIGURES = ("ccc", "training_curves", "error_by_trial", "circumplex")


def write(run: runs.Run, predictions: Predictions | None = None) -> Path:
    """Write ``<run>/report.html`` from the files of the run folder; absent files are left out.

    predictions : those of the run, if they are in memory already.
    Raises InputError for a folder that is no run, and for a damaged file in it.
    """
    values = runs.parameters(run.folder)
    if not values:
        raise InputError(
            "this is no run folder: there is no params.yaml",
            where=run.folder,
            todo="python -m lib run params/<name>.yaml",
        )
    predictions = predictions or Predictions(run.folder / "predictions")
    metrics, pictures = _metrics(run), Pictures()
    unlabelled = bool(metrics) and not recordings.is_scored(metrics)
    shown = {
        name: value for name, value in metrics.items() if name != "chosen_on" or not unlabelled
    }
    parts: dict[str, pd.DataFrame | str] = {"": _first(values, shown)}
    parts |= _recordings(predictions, pictures) if unlabelled else _scores(metrics)
    if not unlabelled:
        parts["Figures"] = Html("".join(_figures(run.folder / "figures", pictures)))
    if (run.folder / "history.csv").is_file():
        parts["Training: the last epochs"] = runs.read_table(run.folder / "history.csv").tail(5)
    lost = pd.DataFrame(run.failures(), columns=runs.FAILURE_COLUMNS).drop(columns="traceback")
    parts["Where more lies"] = _links(run.folder)
    parts["What was lost"] = lost if len(lost) else "nothing"
    parts["What the notebooks showed"] = Html("".join(_notebooks(run.folder, pictures)))
    parts["Parameters"] = _rows(values, "parameter")
    parts["Environment"] = _rows(_flat(run.read_json("environment.json", {})), "what")
    if pictures.left_out:
        parts[""] = Html(
            f"{parts['']}<p>{pictures.left_out} pictures were left out, this file would have "
            "become too "
            f"large: they lie in {html.escape(run.folder.name)}/figures and in the notebooks.</p>"
        )
    clear_leftovers(run.folder, f".{NAME}.*.part", deep=False)  # of a process that was killed
    return run.write_text(NAME, page(f"Run {run.name}", parts, contents=True))


def _metrics(run: runs.Run) -> dict:
    """metrics.json, {} without one. Raises InputError if its scores are not numbers."""
    metrics = run.read_json("metrics.json", {})
    for split in filter(metrics.get, ("val", "test")):
        require_scores(run.folder / "metrics.json", metrics, split)
    return metrics


def _links(folder: Path) -> Html:
    """Links to what the run folder holds, relative to the page."""
    names = [*(f"{step}.ipynb" for step in NOTEBOOKS), *BESIDE]
    rows = [
        f"<li><a href='{name}'>{name}</a>{_counted(folder / name)}</li>"
        for name in names
        if (folder / name).exists()
    ]
    return Html(f"<ul>{''.join(rows)}</ul>" if rows else "<p>nothing yet</p>")


def _counted(path: Path) -> str:
    if not path.is_dir():
        return ""
    count = sum(entry.is_file() for entry in path.iterdir())
    return f" ({count} {'file' if count == 1 else 'files'})"


def _first(values: Mapping, metrics: Mapping) -> Html:
    """The first lines: what was done, and what a reader must know before reading a number."""
    texts = [
        f"recipe {values.get('recipe', '?')}, data set {values.get('dataset', '?')}, "
        f"{values.get('modality', 'audiovisual')}, {values.get('rules', 'corrected')} rules"
    ]
    texts += [str(metrics[name]) for name in ("licence", "terms", "chosen_on") if metrics.get(name)]
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in texts)
    synthetic = metrics.get("synthetic", is_synthetic(values.get("dataset", "")))
    return Html(lines + (f"<p class='note'>{html.escape(SYNTHETIC_NOTE)}</p>" if synthetic else ""))


def _scores(metrics: Mapping) -> dict:
    if not metrics:
        return {"Scores": "not evaluated yet: that is done by notebook 06_inference"}
    from ..evaluation import scores
    from ..plots import viewer  # torch takes seconds to import

    rows = {
        "CCC with 95 % intervals over trials": scores.score_table(metrics),
        "F1": scores.f1_table(metrics),
        "Who speaks": scores.speaking_table(metrics),
    }
    rows = {heading: table for heading, table in rows.items() if len(table)}
    return {
        heading: Html((viewer.scores if "ccc" in table else viewer.table)(table).html)
        for heading, table in rows.items()
    }


def _recordings(predictions: Predictions, pictures: Pictures) -> dict:
    """The section on unlabelled recordings: numbers and curves of what was predicted, no score."""
    names = sorted(predictions.names(), key=counted)
    tables = {name: predictions.table(name) for name in names}
    if not tables:
        return {"Recordings": "nothing was predicted"}
    curves = [
        pictures.figure(picture, f"What was predicted over time: {name}")
        for name, picture in recordings.curves(tables)
    ]
    left = max(0, len(tables) - recordings.MAX_RECORDINGS)
    more = f"<p>{left} more recordings: their tables lie in predictions/</p>" if left else ""
    return {
        "Each recording and person": recordings.summary(tables),
        "Curves": Html("".join(curves) + more),
    }


def _figures(folder: Path, pictures: Pictures) -> Iterable[str]:
    order = {name: index for index, name in enumerate(FIRST_FIGURES)}
    for path in sorted(
        folder.glob("*.png"), key=lambda path: (order.get(path.stem, len(order)), path.stem)
    ):
        yield pictures.figure(path.read_bytes(), caption(path.stem))


# ---- executed notebooks: their text and the outputs of their cells, without the code
def _notebooks(folder: Path, pictures: Pictures) -> Iterable[str]:
    for step in NOTEBOOKS:
        if (path := folder / f"{step}.ipynb").is_file():
            cells = read_mapping(path, REPEAT, MAX_BYTES).get("cells", [])
            shown = "".join(_shown(cell, pictures) for cell in cells)
            yield f"<details><summary>{step}</summary>{shown}</details>"


def _shown(cell: object, pictures: Pictures) -> str:
    """A cell of a notebook from an unknown source; a damaged cell is replaced by a note."""
    try:
        return _cell(cell, pictures)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"<p class='note'>(a damaged cell: {html.escape(repr(error)[:80])})</p>"


def _cell(cell: Mapping, pictures: Pictures) -> str:
    if cell["cell_type"] == "markdown":
        if headings := re.findall(r"^#+ *(.+)$", "".join(cell["source"]), flags=re.M):
            pictures.section = headings[-1]
        return _words("".join(cell["source"]))
    return "".join(_output(output, pictures) for output in cell.get("outputs", []))


def _words(text: str) -> str:
    """HTML of Markdown: headings, bold and code; everything else as plain text. Badges are left
    out.
    """
    text = re.sub(r"\[!\[[^\[\]]*\]\([^()]*\)\]\([^()]*\)", "", text)
    return "".join(map(_line, html.escape(text, quote=False).splitlines()))


def _line(line: str) -> str:
    """A line of Markdown, escaped, as HTML."""
    line = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", line)
    line = re.sub(r"`([^`]+)`", r"<code>\1</code>", line)
    level = len(line) - len(line.lstrip("#"))
    if not level:
        return f"{line}<br>"
    tag = f"h{min(level + 2, 6)}"
    return f"<{tag}>{line[level:].strip()}</{tag}>"


def _output(output: Mapping, pictures: Pictures) -> str:
    if output["output_type"] == "error":
        return (
            f"<pre class='note'>{html.escape(str(output['ename']))}: "
            f"{html.escape(_plain(output['evalue']))}</pre>"
        )
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return pictures.tag("".join(data["image/png"]).replace("\n", ""), pictures.section)
    table = "".join(data.get("text/html", ""))
    if table.startswith(("<table", "<p class='note'>")):
        return table_of(table)
    return f"<pre>{html.escape(_plain(''.join(data.get('text/plain', ''))))}</pre>"


def _plain(text: str) -> str:
    """Text without colour codes; of a line that was overwritten, the last state."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _flat(values: Mapping, above: str = "") -> dict:
    """``{"git": {"commit": …}}`` to ``{"git commit": …}``."""
    flat: dict = {}
    for name, value in values.items():
        inside = isinstance(value, Mapping)
        flat |= _flat(value, f"{above}{name} ") if inside else {f"{above}{name}": value}
    return flat


def _rows(values: Mapping, heading: str) -> pd.DataFrame:
    return pd.DataFrame({heading: list(values), "value": [str(value) for value in values.values()]})
