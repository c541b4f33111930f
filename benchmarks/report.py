"""What every benchmark prints: date, machine, versions, then a table; kept under
``benchmarks/results/``.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine(packages: Sequence[str]) -> str:
    """One line: processor, cores, memory, Python, and the packages that the numbers depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = (
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        if hasattr(os, "sysconf")
        else 0
    )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return (
        f"{time.strftime('%Y-%m-%d')}, {_processor()}, {cores} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def memory(name: str) -> float:
    """MB of this process by the system's count (Linux): VmRSS now, VmHWM at most, RssAnon without
    mapped files.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


class Watch:
    """`most`: the largest RssAnon of this process, in MB, seen while the block runs."""

    def __enter__(self) -> Watch:
        self.most, self._done = memory("RssAnon"), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.05):
            self.most = max(self.most, memory("RssAnon"))

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()


def publish(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence],
    packages: Sequence[str],
    notes: Sequence[str] = (),
    keep: bool = True,
) -> str:
    """Print the table as Markdown, keep it under `RESULTS` with today's date, and return it. keep :
    False for what was measured on a person's own files, whose names belong into no repository.
    """
    lines = [
        f"# {name}",
        "",
        machine(packages),
        "",
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
    ]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    text = "\n".join([*lines, "", *notes]).rstrip() + "\n"
    print(text)
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{time.strftime('%Y-%m-%d')}_{name}.md").write_text(text)
    return text
