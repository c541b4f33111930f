"""One label per recording, sound only: the six notebooks from actors' folders to scores."""

import json

import pandas as pd
import pytest

from lib.experiments import pipeline
from lib.files import ROOT
from lib.models import checkpoints
from tests import tiny_ravdess

pytestmark = pytest.mark.slow  # six kernels


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The parameter file of RAVDESS on a tiny set of its layout."""
    place = tmp_path_factory.mktemp("world")
    tiny_ravdess.make(place / "data")
    given = {f"{name}_root": str(place / name) for name in ("data", "processed", "runs")}
    given |= {"workers": "1", "epochs": "2", "bootstrap": "10", "width": "0.25"}
    given |= {"options": "{speeds: [1.0]}"}
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        status = pipeline.run([ROOT / "params" / "ravdess.yaml"], given, say=lines.append)
    assert status == 0, "\n".join(lines)
    return place / "runs" / "ravdess_fold0"


def test_recordings_become_recall_over_recordings_beside_the_majority_class(world):
    found = json.loads((world / "metrics.json").read_text())
    scores = found["val"]["expression"]
    assert 0 <= scores["uar"] <= 1
    assert scores["n_frames"] == scores["n_trials"] == 12
    assert found["baselines"]["majority class"]["expression"]["uar"] == pytest.approx(1 / 3)
    assert found["chosen_on"].startswith("nothing")
    assert "uar" in (world / "06_inference.ipynb").read_text()


def test_checkpoint_predictions_and_report_say_what_the_licence_of_the_data_asks(world):
    assert "CC BY-NC-SA" in checkpoints.load(world / "checkpoints" / "best.pt")["terms"]
    files = list((world / "predictions").glob("*.csv"))
    assert len(files) == 12
    assert pd.read_csv(files[0])["note"].str.contains("CC BY-NC-SA").all()
    assert "CC BY-NC-SA" in (world / "report.html").read_text()


def test_no_challenge_gets_files_of_whole_recordings(world):
    assert not (world / "submission").exists() or not list((world / "submission").rglob("*.txt"))
