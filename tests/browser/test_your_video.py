"""`your_video` in a real browser, as a person with recordings uses it: real recordings, published
networks, each button and list, an upload that is longer than a message may usually be.
"""

import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("selenium", reason='pip install -e ".[browser]"')

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.browser import lab
from tests.shared_files import shared

NAME = "your_video"
ACTOR, DIALOGUE, NOBODY = (
    "pyfeat_WolfgangLanger_Pexels.mp4",
    "grid_dialogue_2faces.mp4",
    "pyfeat_no_face.mp4",
)
UPLOAD = 30_000_000  # bytes; a websocket closes above 10 MiB unless the server allows more
# The page keeps its file input out of the document, where a driver cannot reach it.
REACHABLE = "HTMLInputElement.prototype.click = function () { document.body.append(this) }"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh copy with the published networks in `weights/` and two recordings."""
    clone = lab.fresh_copy(tmp_path_factory.mktemp("lab") / "clone")
    (clone / "weights").mkdir()
    weights = shared("weights")
    for path in [*weights.glob("face_api/face_*"), *weights.glob("*.onnx")]:
        shutil.copy(path, clone / "weights")
    shutil.copy(weights / "light_asd_ava.model", clone / "weights")
    (clone / "data" / "my_videos").mkdir(parents=True)
    for name in (ACTOR, NOBODY):
        shutil.copy(shared("media") / name, clone / "data" / "my_videos")
    return clone


@pytest.fixture(scope="module")
def notebook(clone):
    """The notebook after *Run All*, in one session for all tests."""
    profile = clone.parent / "profile"
    with lab.server(clone, clone.parent) as url, lab.chromium(profile) as window:
        notebook = lab.Notebook(window, url, clone / "notebooks" / f"{NAME}.ipynb")
        notebook.run_all(120)
        yield notebook


def listed(notebook) -> Select:
    return Select(notebook.find(".widget-dropdown select")[0])


def names(notebook) -> list[str]:
    return [option.text for option in listed(notebook).options]


def look(notebook, name: str, seconds: float = 900) -> Path:
    """Choose a recording and press *look*; the folder of what was found."""
    began, clicks = time.monotonic(), notebook.clicks
    listed(notebook).select_by_visible_text(name)
    notebook.clicks += 2  # the list, and the recording in it
    notebook.click_button("look")
    target = f"{Path(name).stem}.mp4"
    notebook.wait(seconds, lambda: any(target in each.text for each in notebook.find("a")))
    lab.note_minutes(name, time.monotonic() - began, notebook.clicks - clicks)
    notebook.take_picture(lab.kept(f"{NAME}_{Path(name).stem}.png"))
    return notebook.path.parents[1] / "runs" / NAME / "videos" / Path(name).stem


def test_a_recording_of_the_folder_is_chosen_looked_at_and_plays(notebook):
    assert notebook.errors() + notebook.warnings() == []
    assert len(notebook.collapsed()) == 3
    assert notebook.clicks == 2, "Run, Run All Cells"
    assert {ACTOR, NOBODY} <= set(names(notebook))
    folder = look(notebook, ACTOR)
    assert notebook.plays() == pytest.approx(19.7, abs=0.3)
    assert notebook.figures()
    curves = cv2.imread(str(folder / f"{Path(ACTOR).stem}.png"))
    assert len(np.unique(curves.reshape(-1, 3), axis=0)) > 100, "drawn, not blank"
    table = pd.read_csv(folder / f"{Path(ACTOR).stem}_people.csv")
    end = table["expression"][table["time"] > 12]
    assert (end == "happy").mean() > 0.9, "at the end she laughs"
    assert (folder / "columns.json").is_file()


def test_a_link_gives_the_table_and_the_video(notebook, clone):
    ask = """const done = arguments[1];
    fetch(arguments[0]).then(answer => answer.blob()).then(blob => done(blob.size))"""
    links = [each for each in notebook.find("a[download]") if each.is_displayed()]
    assert {Path(each.text).suffix for each in links} >= {".csv", ".mp4"}
    for each in links:
        size = notebook.window.execute_async_script(ask, each.get_attribute("href"))
        [path] = (clone / "runs" / NAME).rglob(each.text)
        assert size == path.stat().st_size, each.get_attribute("href")


def test_nobody_in_a_recording_is_said_and_nothing_is_made_up(notebook):
    folder = look(notebook, NOBODY)
    assert "nobody was found in this video" in notebook.shown()
    assert notebook.figures() == []
    assert pd.read_csv(folder / f"{Path(NOBODY).stem}_people.csv").empty


def test_a_file_that_was_dragged_into_the_folder_is_listed_again(notebook, clone):
    shutil.copy(shared("media") / DIALOGUE, clone / "notebooks")
    assert DIALOGUE not in names(notebook)
    notebook.click_button("list again")
    notebook.wait(30, lambda: DIALOGUE in names(notebook))
    folder = look(notebook, DIALOGUE)
    table = pd.read_csv(folder / f"{Path(DIALOGUE).stem}_people.csv", dtype={"person": str})
    assert set(table["person"]) == {"left", "right"}
    spoken = (
        table.assign(second=table["time"] // 3).groupby(["person", "second"])["speaking"].mean()
    )
    assert spoken["left", 0] > spoken["right", 0]
    assert spoken["right", 1] > spoken["left", 1]


def test_a_video_of_30_megabytes_is_uploaded_whole(notebook, clone, tmp_path):
    large = tmp_path / "large.mp4"
    free = UPLOAD.to_bytes(4, "big") + b"free" + bytes(UPLOAD - 8)  # a box that players skip
    large.write_bytes((shared("media") / NOBODY).read_bytes() + free)
    notebook.window.execute_script(REACHABLE)
    began = time.monotonic()
    notebook.click_button("Upload (0)")
    notebook.window.find_element(By.CSS_SELECTOR, "body > input[type=file]").send_keys(str(large))
    notebook.wait(120, lambda: large.name in names(notebook))
    lab.note_minutes("upload of 30 MB", time.monotonic() - began, 2)
    assert listed(notebook).first_selected_option.text == large.name
    written = clone / "data" / "my_videos" / large.name
    assert written.read_bytes() == large.read_bytes()
    assert notebook.status() == "idle"
