"""The commands that README, data_README and the pages in docs/ tell people to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from lib.files import ROOT

PAGES = ("README.md", "data_README.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")))
# Where a command begins, in a block of code or between backticks.
BEGINS = re.compile(
    r"(?:^|.*[;&] *|\$ *)((?:\.venv/bin/)?python (?:-m lib|docs/|benchmarks/)|make )"
)
# What stands for a file or folder of the reader's own.
OWN = re.compile(
    r"/path/to|/home/me|<.*>|…|\$|NAME|FILE|FOLDER|REPOSITORY|^a\.mp4$|_my_fusion|"
    r"params/(a|b|x|cluster/(mine|cpu|gpu))\.yaml"
)


@dataclass(frozen=True)
class Command:
    """`words` as a shell would split them, without the interpreter's place; `where` it stands."""

    words: tuple[str, ...]
    where: str

    def __str__(self) -> str:
        return " ".join(self.words)

    @property
    def has_own_files(self) -> bool:
        """Whether it only works with files of the reader's."""
        return any(OWN.search(word) for word in self.words)

    @property
    def files(self) -> list[str]:
        """Files of the repository that it names; a pattern is one, too."""
        named = re.compile(r"(params|docs|benchmarks|notebooks)/\S+\.(yaml|py|ipynb|md)")
        return [word for word in self.words if named.fullmatch(word) and not OWN.search(word)]


def commands() -> list[Command]:
    """All of them, each once, in the order of the pages."""
    seen: dict[tuple[str, ...], Command] = {}
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for number, words in _of_page(text):
            seen.setdefault(words, Command(words, f"{page}:{number}"))
    return list(seen.values())


def _of_page(text: str) -> list[tuple[int, tuple[str, ...]]]:
    rows, block = [], False
    for number, line in enumerate(text.replace("\\\n", "").splitlines(), 1):
        if line.lstrip().startswith("```"):
            block = not block
        for piece in [line] if block or line.startswith("    ") else re.findall(r"`([^`]+)`", line):
            if match := BEGINS.match(piece.strip()):
                rows.append((number, _words(piece.strip()[match.start(1) :])))
    return rows


def _words(text: str) -> tuple[str, ...]:
    words = shlex.split(re.split(r"\s#|;|&&|\|", text)[0])
    return (Path(words[0]).name, *words[1:])
