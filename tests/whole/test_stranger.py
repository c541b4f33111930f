"""No file of the project names a place outside of it: a stranger has only the clone."""

import re

import pytest

from lib.files import ROOT

FOLDERS = ("params", "notebooks", "docs", "lib", "benchmarks", ".ci")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
FILES += [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.txt"), ROOT / "Makefile"]
TEXTS = [
    path for path in FILES if path.suffix in ("", ".yaml", ".ipynb", ".md", ".py", ".toml", ".txt")
]
OUTSIDE = re.compile(r"\.\./shared|/work/|/root/|/home/(?!me\b)\w+|/Users/(?!me\b)\w+")


@pytest.mark.parametrize(
    "path", [path for path in TEXTS if path.is_file()], ids=lambda path: path.name
)
def test_no_place_outside_the_repository_is_named(path):
    named = OUTSIDE.findall(path.read_text(encoding="utf-8"))
    assert named == [], f"{path}: a stranger does not have {named}"
