"""Who is speaking, from recordings to an AP table and a video with boxes, by the notebooks; then
with other clips.
"""

import json

import numpy as np
import pandas as pd
import pytest

from lib.experiments import pipeline
from lib.files import ROOT
from lib.media import recordings
from lib.speakers import overlay

pytestmark = pytest.mark.slow  # seven kernels
FILES = [ROOT / "params" / "sample_asd.yaml", ROOT / "params" / "overlays" / "smoke.yaml"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The sample experiment, made small, with clips of 30 frames and then, in the same place, of
    20.
    """
    place = tmp_path_factory.mktemp("world")
    given = {f"{name}_root": str(place / name) for name in ("data", "processed", "runs")}
    given |= {
        "sample_trials": "6",
        "sample_seconds": "2.0",
        "workers": "1",
        "epochs": "1",
        "bootstrap": "10",
    }
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        for length in ("30", "20"):
            lines: list[str] = []
            status = pipeline.run(FILES, {**given, "clip_length": length}, say=lines.append)
            said.append("\n".join(lines))
            assert status == 0, said[-1]
    return place, said


def test_recordings_become_an_ap_table(world):
    found = json.loads((world[0] / "runs" / "sample_asd" / "metrics.json").read_text())
    assert 0 <= found["val"]["speaking"]["ap"] <= 1
    assert found["val"]["speaking"]["n_frames"] > 0
    assert (
        sum(row["faces"] for row in found["val"]["speaking"]["by_faces"])
        == found["val"]["speaking"]["n_frames"]
    )
    executed = (world[0] / "runs" / "sample_asd" / "06_inference.ipynb").read_text()
    assert "calibration_error" in executed


def test_and_a_video_with_a_box_round_every_face(world):
    folder = world[0] / "runs" / "sample_asd"
    film = next((folder / "videos").glob("*.mp4"))
    rows = pd.read_csv(folder / "predictions" / f"{film.stem}.csv", comment="#")
    seen = rows[rows["x"].notna()]
    pictures = [picture for _, picture in recordings.frames(film)]
    assert len(pictures) == 3 * 2 * 30
    row = seen.iloc[0]
    drawn = pictures[int(row["frame"]) - 1].astype(int)
    edge = drawn[round(row["y"]) + 5 : round(row["y"] + row["height"]) - 5, round(row["x"])]
    wanted = np.array(overlay.GREEN if row["speaking"] > 0.5 else overlay.RED)
    assert np.median(np.abs(edge - wanted).sum(axis=1)) < 150


def test_another_clip_length_rebuilds_and_retrains_and_leaves_the_first_clips_alone(world):
    place, (first, second) = world
    assert "05_train: done in" in first
    for name in ("04_preprocess_labels", "05_train", "06_inference"):
        assert f"{name}: done in" in second
    roots = sorted(path.name for path in (place / "processed").glob("*/dataset_clips_L*"))
    assert roots == ["dataset_clips_L20", "dataset_clips_L30"]
    lengths = {
        name: {
            json.loads(line)["n_frames"]
            for file in (place / "processed").glob(f"*/{name}/*.jsonl")
            for line in file.read_text().splitlines()
        }
        for name in roots
    }
    assert lengths == {"dataset_clips_L20": {20}, "dataset_clips_L30": {30}}
    assert (
        place / "runs" / "sample_asd-1" / "checkpoints" / "best.pt"
    ).is_file()  # the first one was kept
