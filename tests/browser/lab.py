"""JupyterLab in a fresh copy of the repository, as `make lab` starts it, and a headless Chromium
that works in it like a person.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from lib.files import ROOT
from lib.grammar import declared

ARTEFACTS = Path(__file__).parent / "artefacts"
START_S = 90.0  # for the server, and for a notebook to appear
WIDTH, HEIGHT, TALLEST = (
    1400,
    950,
    12_000,
)  # pixels of the window, and of the longest picture of a notebook
# The window's frame, and no connection of Chromium's own: the test must not need a network.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    f"--window-size={WIDTH},{HEIGHT}",
)
# No questions about news, and every cell in the page, not only those in sight: pictures are taken
# of all of them.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
NUMBERED = re.compile(r"\[\d+\]:")


def fresh_copy(target: Path) -> Path:
    """The repository as git would clone it after a commit of all that is here: no data, no runs, no
    weights.
    """
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def copy_notebook(step: str, target: Path, values: dict) -> Path:
    """Copy one notebook, with `values` set in its parameters cell."""
    book = nbformat.read(ROOT / "notebooks" / f"{step}.ipynb", as_version=4)
    cell = next(cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
    for name, declaration in declared(step).items():
        if name in values:
            line = f"{name}: {declaration.type} = {values[name]!r}"
            cell.source = re.sub(
                rf"^{name}:.*?(?=  #|$)", lambda _, line=line: line, cell.source, flags=re.M
            )
    nbformat.write(book, target)
    return target


@contextmanager
def server(clone: Path, place: Path):
    """JupyterLab as `make lab` starts it in `clone`; settings, kernels' connection files and logs
    in `place`. Gives the URL of a notebook, with ``{name}`` in the place of its file's name.
    """
    _write_settings(place / "settings")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        *made_by_make(clone),
        *("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"),
    ]
    log, address = place / "jupyterlab.log", f"http://127.0.0.1:{port}"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=clone, env=_environment(clone, place), stdout=stream, stderr=stream
        )
        try:
            _wait_for_server(f"{address}/api?token={token}", process, log)
            yield f"{address}/lab/tree/notebooks/{{name}}?token={token}&reset"
        finally:
            process.terminate()  # shuts its kernels down, too
            process.wait(30)


def made_by_make(clone: Path) -> list[str]:
    """The command of `make lab`, with this Python in the place of the clone's own."""
    # Under `make test-browser` this make is an inner one, which tells that it leaves its directory.
    command = ["make", "--no-print-directory", "--dry-run", "lab"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    words = shlex.split(done.stdout.splitlines()[-1])
    assert words[1:4] == ["-m", "jupyter", "lab"], words
    return [sys.executable, *words[1:]]


def _write_settings(folder: Path) -> None:
    for name, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def _environment(clone: Path, place: Path) -> dict[str, str]:
    names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    own = {f"JUPYTER_{name}": str(place / name.lower()) for name in names}
    own |= {"IPYTHONDIR": str(place / "ipython"), "PYTHONPATH": str(clone)}
    own |= {
        f"JUPYTERLAB_{name.upper()}_DIR": str(place / name) for name in ("settings", "workspaces")
    }
    return {**os.environ, **own}


def _wait_for_server(url: str, process: subprocess.Popen, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    stop = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < stop:
        try:
            direct.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@contextmanager
def chromium(profile: Path):
    """A headless Chromium with a fresh profile, driven through ChromeDriver."""
    browser, driver = (
        shutil.which("chromium") or shutil.which("google-chrome"),
        shutil.which("chromedriver"),
    )
    if not (browser and driver):
        raise RuntimeError(
            "Chromium and ChromeDriver are needed: sudo apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    window = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield window
    finally:
        window.quit()


def kept(name: str) -> Path:
    """Where a picture that a person should look at is kept."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS / name


def note_minutes(step: str, seconds: float, clicks: int) -> None:
    """Add a line to minutes.csv: what a person waits for a step, and how often he clicks."""
    with kept("minutes.csv").open("a") as file:
        file.write(f"{step},{seconds / 60:.4f},{clicks}\n")


def is_collapsed(cell: nbformat.NotebookNode) -> bool:
    """Whether the code of a cell is out of sight."""
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def plays(window: webdriver.Chrome, video, seconds: float = 60.0) -> float:
    """Play a video of the page for a second, as its button would; returns its length in s."""
    ask, waiting = window.execute_script, WebDriverWait(window, seconds, 0.5)
    waiting.until(lambda _: ask("return arguments[0].readyState", video) >= 2)
    ask("arguments[0].muted = true; arguments[0].play()", video)
    waiting.until(lambda _: ask("return arguments[0].currentTime", video) >= 1)
    ask("arguments[0].pause()", video)
    return ask("return arguments[0].duration", video)


class Notebook:
    """One notebook, open in JupyterLab."""

    def __init__(self, window: webdriver.Chrome, url: str, path: Path):
        self.window, self.path, self.clicks = window, path, 0
        window.set_window_size(WIDTH, HEIGHT)
        window.get(url.format(name=path.name))
        self.wait(
            START_S, lambda: self.status() == "idle" and len(self.prompts()) == self._open_cells()
        )

    def wait(self, seconds: float, condition) -> None:
        passing = [StaleElementReferenceException]  # the page is drawn anew while it is looked at
        waiting = WebDriverWait(self.window, seconds, 0.5, ignored_exceptions=passing)
        waiting.until(lambda _: condition())

    def find(self, css: str) -> list:
        return self.window.find_elements(
            By.CSS_SELECTOR, f".jp-NotebookPanel:not(.lm-mod-hidden) {css}"
        )

    def _open_cells(self) -> int:
        cells = nbformat.read(self.path, as_version=4).cells
        return sum(cell.cell_type == "code" and not is_collapsed(cell) for cell in cells)

    def collapsed(self) -> list[str]:
        """The one line that the page shows of each cell whose code is collapsed."""
        found = self.find(".jp-CodeCell .jp-InputPlaceholder .jp-PlaceholderText")
        return [each.get_attribute("textContent") for each in found]

    def status(self) -> str:
        """idle, busy or another word of the kernel's indicator."""
        return next(
            (e.get_attribute("data-status") for e in self.find(".jp-Notebook-ExecutionIndicator")),
            "",
        )

    def prompts(self) -> list[str]:
        """What stands beside the code cells that are open: ``[ ]:``, ``[*]:`` or ``[3]:``."""
        return [
            e.get_attribute("textContent") for e in self.find(".jp-CodeCell .jp-InputArea-prompt")
        ]

    def run_all(self, seconds: float) -> None:
        """Choose *Run → Run All Cells* in the menu, and wait until no cell is waiting and the
        kernel is idle.
        """
        self.start_all()
        self.wait_until_idle(seconds)

    def start_all(self) -> None:
        """Choose *Run → Run All Cells* in the menu; once more where a page that was still being
        drawn has swallowed the click. That counts once: a person waits until the page is drawn.
        """
        before = self.clicks
        try:
            self._run_all_cells(20)
        except TimeoutException:
            self.clicks = before
            self._run_all_cells(START_S)

    def _run_all_cells(self, seconds: float) -> None:
        self._menu("Run", "runmenu:run-all")
        self.wait(
            seconds,
            lambda: "[*]:" in self.prompts() or all(map(NUMBERED.fullmatch, self.prompts())),
        )

    def wait_until_idle(self, seconds: float) -> None:
        """Wait until no cell is waiting and the kernel is idle."""
        self.wait(seconds, lambda: "[*]:" not in self.prompts() and self.status() == "idle")

    def interrupt(self) -> None:
        """Choose *Kernel → Interrupt Kernel* in the menu."""
        self._menu("Kernel", "kernelmenu:interrupt")

    def _menu(self, name: str, command: str) -> None:
        self._click(f"//div[contains(@class, 'lm-MenuBar-itemLabel') and text()='{name}']")
        self._click(f"//li[@data-command='{command}']")

    def pictures_change(self, times: int, seconds: float) -> bool:
        """Wait, while cells run, until the last picture below them has been another one `times`
        times.
        """
        seen = set()

        def looked() -> bool:
            seen.update(
                image.get_attribute("src") for image in self.find(".jp-OutputArea-output img")[-1:]
            )
            return len(seen) >= times

        self.wait(seconds, looked)
        return "[*]:" in self.prompts()

    def _click(self, xpath: str) -> None:
        self.wait(START_S, lambda: self.window.find_elements(By.XPATH, xpath))
        self.window.find_element(By.XPATH, xpath).click()
        self.clicks += 1

    def not_run(self) -> list[int]:
        """Places of code cells without a number: what comes after an error."""
        return [
            place for place, prompt in enumerate(self.prompts()) if not NUMBERED.fullmatch(prompt)
        ]

    def errors(self) -> list[str]:
        """Text of the error outputs that the page shows; JupyterLab 4.6 shows tracebacks as
        `warnings`.
        """
        return [
            e.get_attribute("textContent")
            for e in self.find(
                ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"
            )
        ]

    def warnings(self) -> list[str]:
        """Text on the red ground of stderr."""
        return [
            e.get_attribute("textContent")
            for e in self.find(
                ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"
            )
        ]

    def is_in_sight(self, words: str) -> bool:
        """Whether an error output with these words is drawn on the page, after its cell ran."""
        outputs = self.find(".jp-OutputArea-output[data-mime-type^='application/vnd.jupyter']")
        return any(words in each.text and each.size["height"] > 0 for each in outputs)

    def figures(self) -> list:
        """Pictures below the cells that have really been drawn: loaded, and larger than an icon."""
        drawn = "return arguments[0].complete && arguments[0].naturalWidth > 200"
        return [
            image
            for image in self.find(".jp-OutputArea-output img")
            if self.window.execute_script(drawn, image)
        ]

    def cut_off(self) -> list[str]:
        """Tables below the cells that are wider than the room for them."""
        output = "arguments[0].closest('.jp-OutputArea-output')"
        ask = f"return arguments[0].offsetWidth > {output}.clientWidth"
        tables = self.find(".jp-OutputArea-output table")
        return [each.text for each in tables if self.window.execute_script(ask, each)]

    def press(self, button: str, seconds: float = 60.0) -> float:
        """Press a button of the trial picker (an ipywidget); returns after how many s its picture
        is another one.
        """
        return self._changes(
            next(b for b in self.find("button.jupyter-button") if b.text == button).click, seconds
        )

    def click_button(self, text: str) -> None:
        """Press the button of an ipywidget."""
        next(each for each in self.find("button.jupyter-button") if each.text == text).click()
        self.clicks += 1

    def shown(self) -> str:
        """All text below the cells."""
        return "\n".join(each.text for each in self.find(".jp-OutputArea-output"))

    def move_slider(self, seconds: float = 60.0) -> float:
        """One step to the right with the arrow key; returns after how many s the picture is another
        one.
        """
        handle = self.find(".widget-slider .noUi-handle")[0]
        return self._changes(lambda: handle.send_keys(Keys.ARROW_RIGHT), seconds)

    def _changes(self, act, seconds: float) -> float:
        def source() -> str:
            return self.find("img.widget-image")[0].get_attribute("src")

        before, began = source(), time.monotonic()
        act()
        WebDriverWait(self.window, seconds, poll_frequency=0.005).until(
            lambda _: source() != before
        )
        return time.monotonic() - began

    def plays(self, place: int = 0, seconds: float = 60.0) -> float:
        """Play a video of the notebook for a second; returns its length in s."""
        return plays(self.window, self.find("video")[place], seconds)

    def take_picture(self, target: Path) -> None:
        """Save a picture of the whole notebook, as long as it is."""
        scrolled = self.find(".jp-WindowedPanel-outer")[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        tall = self.window.execute_script("return arguments[0].scrollHeight", scrolled) + 150
        self.window.set_window_size(WIDTH, max(HEIGHT, min(tall, TALLEST)))
        self.window.execute_script("arguments[0].scrollTop = 0", scrolled)
        time.sleep(1)  # the page is drawn anew in its new size
        self.window.save_screenshot(str(target))
        self.window.set_window_size(WIDTH, HEIGHT)

    def saved(self) -> nbformat.NotebookNode:
        """Save with Ctrl+S, and read the file that JupyterLab wrote."""
        before = self.path.stat().st_mtime_ns
        self.find(".jp-Notebook")[0].send_keys(Keys.CONTROL, "s")
        self.wait(START_S, lambda: self.path.stat().st_mtime_ns != before and self._is_whole())
        return nbformat.read(self.path, as_version=4)

    def _is_whole(self) -> bool:
        """Whether JupyterLab has written the file to its end."""
        try:
            nbformat.read(self.path, as_version=4)
        except nbformat.reader.NotJSONError:
            return False
        return True
