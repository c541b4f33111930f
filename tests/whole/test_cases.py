"""Files as cameras, recorders, annotation tools and operating systems really write them, many in
one folder of recordings, through the command of the README. Slow: a tiny network is trained first.
"""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lib import arrays, datasets, parameters, runs, trials
from lib.files import ROOT
from lib.store import request
from tests.shared_files import shared

pytestmark = pytest.mark.slow
# Those whose files may lie below one folder (cases/README.md).
TOGETHER = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C9", "C10", "C11", "C12")


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """(parameters of the run, folder of the recordings, the command's output)."""
    place = tmp_path_factory.mktemp("cases")
    make = shared("cases/make.py")
    subprocess.run([sys.executable, make, place / "study", *TOGETHER], check=True)
    elsewhere = (place / "study" / "C6_elsewhere").rename(place / "elsewhere")
    link = place / "study" / "C6_links" / "nas"
    link.unlink()
    link.symlink_to(elsewhere)
    given = {"data_root": place / "study", "runs_root": place / "runs"}
    given |= {"processed_root": place / "processed"}
    words = [word for name, path in given.items() for word in ("-p", name, str(path))]
    files = [ROOT / "params" / "my_videos.yaml", ROOT / "params" / "overlays" / "smoke.yaml"]
    command = [sys.executable, "-m", "lib", "run", *map(str, files), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 3, done.stdout[-3000:] + done.stderr[-2000:]
    folder = place / "runs" / "my_videos"
    return parameters.placed(runs.parameters(folder)), place / "study", folder, done.stdout


def expected(study):
    """(path below the study, what its labels are) of every case that says so."""
    for file in sorted(study.glob("*/expected.json")):
        told = json.loads(file.read_text(encoding="utf-8"))
        for name, labels in told.get("labels", {}).items():
            yield f"{file.parent.name}/{name}", labels


def wanted(labels):
    """(frames, 2) valence and arousal, NaN where a frame has no label; and frames that may."""
    frames = np.arange(1, labels["frames"] + 1)
    first, last = labels["labelled"]
    values = np.full((len(frames), 2), np.nan)
    inside = (frames >= first) & (frames <= last)
    for column, name in enumerate(("valence", "arousal")):
        if rule := labels.get(name):
            values[inside, column] = (rule["first"] + (frames - 1) * rule["step"])[inside]
    if "one_at" in labels:
        values[inside, 0] = np.isin(frames, labels["one_at"])[inside]
    first_free, last_free = labels.get("free", [0, -1])
    return values, (frames >= first_free) & (frames <= last_free)


def test_every_label_is_on_its_frame(walked):
    p, study, _, _ = walked
    place = datasets.store(p)
    table = trials.read(place.trials_path).set_index("video_path", drop=False)
    seen = 0
    for path, labels in expected(study):
        row = table.loc[path].to_dict()
        found = arrays.read(row, request("va", mismatch=p.label_mismatch), place)
        values, free = wanted(labels)
        columns = ~np.isnan(values).all(axis=0)
        given, due = found[~free][:, columns], values[~free][:, columns]
        assert (np.isnan(given) == np.isnan(due)).all(), path
        assert np.nanmax(abs(given - due)) <= labels["tolerance"], path
        seen += 1
    assert seen >= 16


def test_every_file_is_used_or_named_and_every_loss_says_what_to_do(walked):
    _, study, folder, output = walked
    named = set(pd.read_csv(folder / "files.csv")["file"])
    there = {path.relative_to(study).as_posix() for path in study.rglob("*") if path.is_file()}
    # What lies in one folder and is of one kind may be a row together.
    folders = {name.rsplit("/", 1)[0] for name in named}
    missing = {name for name in there - named if name.rsplit("/", 1)[0] not in folders}
    assert not missing
    lost = pd.read_csv(folder / "failures.csv", keep_default_na=False)
    assert len(lost)
    assert (lost["what"] != "").all()
    assert not lost["what"].str.contains("Error|Traceback").any()
    assert "failures.csv" in output


def test_nothing_was_written_among_the_recordings(walked):
    _, study, _, _ = walked
    made = {path.name for path in study.iterdir()}
    assert made == {path.parent.name for path in study.glob("*/expected.json")}
