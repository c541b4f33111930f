"""Write the repository's address, which stands once in pyproject.toml, wherever it is needed.

    python docs/address.py

It stands in the README (how to clone, "Open in Colab"), in docs/colab.md and in all notebooks: the
badge below the title, and the cell that clones it on Colab. This cell and the set-up cell are the
same in all, and are kept here.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
COLAB = "https://colab.research.google.com/github/{name}/blob/main/notebooks/{step}.ipynb"
CLONE = """\
# @title On Google Colab: a clone of the repository; anywhere else nothing
import subprocess
import sys
from pathlib import Path

clone = Path.cwd() / "{folder}"
if "google.colab" in sys.modules and not clone.exists():
    address = "{address}"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", address, str(clone)], check=True)"""
SET_UP = """\
# @title Find lib: on the path, in the checkout this notebook lies in, or in the clone
import importlib.util

spec = importlib.util.find_spec("lib")  # a folder of that name in the working directory is not it
if not (spec and spec.origin and Path(spec.origin).with_name("declared.json").is_file()):
    places = [Path.cwd(), *Path.cwd().parents, clone]
    checkout = [str(folder) for folder in places if (folder / "lib" / "declared.json").is_file()]
    assert checkout, f"no checkout at or above {Path.cwd()}: start JupyterLab with `make lab`"
    sys.path.insert(0, checkout[0])
    from lib.experiments import colab

    colab.install()"""
# JupyterLab and Colab show these cells as one line; their output is always seen.
COLLAPSED = {"jupyter": {"source_hidden": True}, "cellView": "form"}


def address() -> str:
    """https://github.com/OWNER/REPOSITORY"""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = project["urls"]["Repository"].rstrip("/")
    if not re.fullmatch(r"https://github\.com/[^/]+/[^/]+", found):
        sys.exit(
            f"pyproject.toml: {found} is no https://github.com/OWNER/REPOSITORY; Colab opens "
            "notebooks from there"
        )
    return found


def badge(step: str, found: str) -> str:
    """Markdown: a picture that opens a notebook in Colab."""
    return f"{BADGE}({COLAB.format(name=found.removeprefix('https://github.com/'), step=step)})"


def notebook(text: str, step: str, found: str) -> str:
    """A notebook's JSON with badge, the cell that clones and the set-up cell, both collapsed."""
    book = nbformat.reads(text, as_version=4)
    title, _, rest = re.sub(r"\n\[!\[Open in Colab\].*\n?", "", book.cells[0].source).partition(
        "\n"
    )
    book.cells[0].source = f"{title}\n\n{badge(step, found)}\n\n{rest.lstrip()}"
    clone, set_up = [cell for cell in book.cells if cell.cell_type == "code"][:2]
    clone.source = CLONE.format(address=found, folder=found.rpartition("/")[2])
    set_up.source = SET_UP
    for cell in (clone, set_up):
        cell.metadata.update(COLLAPSED)
    return nbformat.writes(book) + "\n"


def readme(text: str, found: str) -> str:
    """The README, or another page, with this address."""
    name = found.removeprefix("https://github.com/")
    text = re.sub(
        r"git clone https://github\.com/\S+ && cd \S+",
        f"git clone {found} && cd {name.split('/')[1]}",
        text,
    )
    text = re.sub(r"!cd \S+ && python -m lib", f"!cd {name.split('/')[1]} && python -m lib", text)
    return re.sub(
        r"(colab\.research\.google\.com/github/)[^/\s]+/[^/\s]+(/blob/main/)",
        lambda match: f"{match[1]}{name}{match[2]}",
        text,
    )


def changed() -> dict[Path, str]:
    """Files whose text is not what it should be, and what it should be."""
    found = address()
    wanted = {
        path: notebook(path.read_text(encoding="utf-8"), path.stem, found)
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    }
    for path in (ROOT / "README.md", ROOT / "docs" / "colab.md"):
        wanted[path] = readme(path.read_text(encoding="utf-8"), found)
    return {path: text for path, text in wanted.items() if path.read_text(encoding="utf-8") != text}


if __name__ == "__main__":
    for path, text in changed().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
