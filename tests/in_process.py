"""Notebooks executed in this process, where PyTorch and the others are imported already: a kernel
of its own takes seconds before its first cell.
"""

from __future__ import annotations

import base64
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import matplotlib
import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from IPython.utils.capture import capture_output
from matplotlib_inline.config import InlineBackend
from traitlets.config import Config

from lib.experiments.notebook import imported_papermill

INLINE = "module://matplotlib_inline.backend_inline"


class Shell(InteractiveShell):
    """IPython as in a kernel: it shows figures and other pictures, but has no frontend."""

    def enable_gui(self, gui=None):
        """There is no window."""


def execute(notebook: Path, target: Path, values: Mapping, say: Callable[[str], None]) -> None:
    """In the place of `lib.experiments.notebook.execute`, for notebooks that come to their end; the
    executed copy has the outputs that a kernel would have sent.
    """
    papermill = imported_papermill()
    book = papermill.parameterize.parameterize_notebook(
        papermill.iorw.load_notebook_node(str(notebook)), dict(values)
    )
    with _shell() as shell:
        for cell in book.cells:
            if cell.cell_type == "code":
                _run(shell, cell, say)
    nbformat.write(book, target)


@contextlib.contextmanager
def _shell() -> Iterator[Shell]:
    """A new shell, and afterwards this process as it was: without one."""
    main, hook, backend = sys.modules["__main__"], sys.displayhook, matplotlib.get_backend()
    shell = Shell.instance(config=Config(HistoryManager={"enabled": False}))
    shell.display_formatter.active_types = shell.display_formatter.format_types
    shell.enable_matplotlib("inline")
    select_figure_formats(shell, {"png"})  # the backend does that for the first shell only
    try:
        yield shell
    finally:
        Shell.clear_instance()
        InlineBackend.clear_instance()
        shell.restore_sys_module_state()
        shell._atexit_once()
        matplotlib.use(backend)
        sys.modules["__main__"], sys.displayhook = main, hook


def _run(shell: Shell, cell, say: Callable[[str], None]) -> None:
    """One cell, as in a kernel; its outputs are written into it."""
    with capture_output() as shown:
        done = shell.run_cell(cell.source, store_history=True)
    done.raise_error()
    for line in shown.stdout.splitlines():
        say(line)
    cell.execution_count = done.execution_count
    new = nbformat.v4.new_output
    texts = {"stdout": shown.stdout, "stderr": shown.stderr}
    cell.outputs = [new("stream", name=name, text=text) for name, text in texts.items() if text]
    for output in shown.outputs:
        data = {kind: _text(content) for kind, content in output.data.items()}
        cell.outputs.append(new("display_data", data=data, metadata=output.metadata or {}))


def _text(content: object) -> object:
    """What a kernel sends: pictures as base64."""
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content
