"""Make the gallery: what notebooks show, taken out of executed ones with their outputs.

    python -m lib run params/expression.yaml -p video_path data/my_videos/dialogue.mp4
    python -m lib run params/sample_tsav.yaml
    python docs/gallery.py --credit "dialogue.mp4: …" [--runs-root runs] [--to docs/gallery.ipynb]

Nothing is computed here and nothing is typed: each picture and table is the output of a cell of a
run's notebook, under that notebook's own heading. Videos are left out, as they are large; so are
lines of progress.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lib import files
from lib.errors import InputError

TITLE = """# Gallery

What two commands leave: `python -m lib run params/expression.yaml -p video_path …` and
`python -m lib run params/sample_tsav.yaml`. Every picture and table below is the output of a cell
of these runs' notebooks; `docs/gallery.py` took them out.

{credit}"""
# Folder below the runs, notebook, headings of that notebook whose outputs are shown.
SHOWN = {
    ("expression/videos/*", "your_video"): ("Choose a recording, and look",),
    ("sample_tsav", "01_download_check"): (
        "Does every trial open, and do its parts fit together?",
        "Where in the valence–arousal plane are the labels?",
    ),
    ("sample_tsav", "02_preprocess_visual"): ("A strip of faces over time",),
    ("sample_tsav", "03_preprocess_audio"): ("Waveform, mel spectrogram and the grid of frames",),
    ("sample_tsav", "04_preprocess_labels"): ("Valence and arousal over time",),
    ("sample_tsav", "05_train"): ("Training", "The last epochs in numbers"),
    ("sample_tsav", "06_inference"): (
        "CCC with 95 % intervals, beside trivial predictors",
        "Prediction against label over time: best and worst trials first",
        "What is a bad CCC made of?",
        "Predictions and labels in the valence–arousal plane",
    ),
}
WIDEST = 1000  # px of a picture; more would make the page large
PICTURES = 2  # of a cell that shows one for each trial
COLOURS = 64
PROGRESS = re.compile(r"\d+/\d+ \(\d+ %\)")  # lib.parallel.progress


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs-root", type=Path, default=ROOT / "runs")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "gallery.ipynb")
    parser.add_argument("--credit", required=True, help="whose recording it is, and its licence")
    given = parser.parse_args()
    page = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    page.cells = [nbformat.v4.new_markdown_cell(TITLE.format(credit=given.credit))]
    try:
        for (run, notebook), headings in SHOWN.items():
            page.cells += chosen(executed(given.runs_root, f"{run}/{notebook}.ipynb"), headings)
    except InputError as error:
        sys.exit(str(error))
    for number, cell in enumerate(page.cells):
        cell["id"] = f"cell-{number}"
    files.write_text(given.to, nbformat.writes(page) + "\n")
    print(f"{given.to}: {given.to.stat().st_size / 1e6:.1f} MB")


def executed(runs_root: Path, pattern: str) -> Path:
    """The one executed notebook that is meant."""
    found = sorted(runs_root.glob(pattern))
    if len(found) != 1:
        raise InputError(
            f"{len(found)} executed notebooks {pattern}",
            where=runs_root,
            expected="one",
            todo="type the commands of `python docs/gallery.py --help` first",
        )
    return found[0]


def chosen(path: Path, headings: tuple[str, ...]) -> Iterator[nbformat.NotebookNode]:
    """The cells below these headings, with their outputs, after a line that says where they are
    from. Raises InputError for a heading that the notebook has not, or one that shows nothing.
    """
    yield nbformat.v4.new_markdown_cell(f"## [`{path.stem}`](../notebooks/{path.stem}.ipynb)")
    cells, left = nbformat.read(path, as_version=4).cells, dict.fromkeys(headings, 0)
    heading = ""
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            heading = cell.source.partition("\n")[0].removeprefix("## ")
            if heading in left:
                yield nbformat.v4.new_markdown_cell(f"#{cell.source}")
        elif heading in left and cell.cell_type == "code":
            outputs = list(shown(cell.outputs))
            left[heading] += len(outputs)
            if outputs:
                yield nbformat.v4.new_code_cell(cell.source, outputs=outputs)
    if missing := [each for each, count in left.items() if not count]:
        raise InputError(
            f"nothing is shown under: {', '.join(missing)}",
            where=path,
            expected="the headings of SHOWN in docs/gallery.py, as the notebooks have them",
            todo="run the notebook again, or change SHOWN",
        )


def shown(outputs: list) -> Iterator[nbformat.NotebookNode]:
    """Text, tables and the first pictures, small enough for a page."""
    pictures = 0
    for output in outputs:
        data = output.get("data", {})
        if output.output_type == "stream":
            if not PROGRESS.search(output.text):
                yield output
        elif "image/png" in data:
            pictures += 1
            if pictures <= PICTURES:
                yield nbformat.v4.new_output(
                    "display_data", {"image/png": small(data["image/png"])}
                )
        elif "<table" in data.get("text/html", ""):
            yield nbformat.v4.new_output("display_data", {"text/html": data["text/html"]})


def small(picture: str) -> str:
    """A picture, Base64 in and out, at most `WIDEST` px wide, in `COLOURS` colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    image.thumbnail((WIDEST, 4 * WIDEST))
    stream = io.BytesIO()
    image.quantize(COLOURS).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


if __name__ == "__main__":
    main()
