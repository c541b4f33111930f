"""Seven expressions per frame of a folder of recordings: recipe, parameter file and table."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from lib import arrays, datasets, grammar, parameters, recipes, runs, trials
from lib.errors import InputError
from lib.evaluation import checkpoint, prediction
from lib.evaluation.predictions import Predictions
from lib.files import ROOT
from lib.media import writing
from lib.models.affect.face_api import CLASSES
from tests.evaluation.test_people import root  # noqa: F401

FACE = data.astronaut()[0:200, 120:320]
MANIFEST = "face_expression_model-weights_manifest.json"
N = 4


def opened(place, weights_root, **changes):
    """Recipe and store of a folder with one film in which a woman smiles, then nobody is."""
    (place / "films").mkdir(exist_ok=True)
    shown = [FACE] * N + [np.zeros_like(FACE)] * N
    writing.write_video(place / "films" / "a.mp4", iter(shown), np.arange(2 * N) / 10)
    values = parameters.load([ROOT / "params" / "expression.yaml"]) | {
        "data_root": str(place / "films"),
        "processed_root": str(place / "processed"),
        "runs_root": str(place / "runs"),
        "weights_root": str(weights_root),
        "predict_run": str(weights_root / MANIFEST),
        "device": "cpu",
    }
    p = parameters.placed({**values, **changes})
    store = datasets.store(p)
    table, _ = datasets.find(p)
    trials.write(table, store.trials_path)
    return p, store, recipes.create("expression", p, store)


@pytest.fixture(scope="module")
def world(root, tmp_path_factory):  # noqa: F811
    p, store, method = opened(tmp_path_factory.mktemp("folder"), root)
    row = method.trial("a")
    arrays.make_all(row, method.arrays(), store)
    return p, store, method


def test_a_prediction_has_probabilities_by_name_and_what_is_derived(world):
    p, store, _ = world
    predictor = checkpoint.load(p.weights_root / MANIFEST, p, store)
    table = prediction.prediction_table(predictor, "a", predictor.predict("a"))
    assert set(table["expression"][:N]) == {"happy"}
    assert table["expression"][N + 1 :].isna().all(), "empty in the file"
    shares = table[[f"expression_{name}" for name in CLASSES]][:N].sum(axis=1)
    np.testing.assert_allclose(shares, 1, atol=1e-5)
    assert (table["valence_derived"][:N] > 0.5).all()
    assert table["valence_derived"][N + 1 :].isna().all()
    assert not {"valence", "valence_raw"} & set(table)
    path = prediction.predict_trial(predictor, Predictions(p.runs_root), "a")
    assert runs.read_table(path)["expression"][0] == "happy"
    assert np.isnan(Predictions(p.runs_root).pairs("a")[0]).all()


def test_its_numbers_of_a_face_are_a_stream_of_features(world):
    _, store, method = world
    wanted = method.arrays()[-1]
    rows = np.asarray(arrays.read(method.trial("a"), wanted, store))
    assert rows.shape == (2 * N, 256)
    assert np.isfinite(rows[:N]).all()
    assert np.isnan(rows[N + 1 :]).all()


def test_cropped_faces_are_looked_at_as_they_are(world, root, tmp_path):  # noqa: F811
    _, store, method = world
    folder = store.data_root / "cropped_aligned" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    for frame in (1, 2):
        cv2.imwrite(str(folder / f"{frame:05d}.jpg"), FACE[..., ::-1])
    row = {**method.trial("a"), "crops_dir": "cropped_aligned/a"}
    arrays.make(row, method.arrays()[-1], store)
    rows = np.asarray(arrays.read(row, method.arrays()[-1], store))
    assert np.isfinite(rows[:2]).all()
    assert np.isnan(rows[2:]).all()


def test_it_is_not_trained_and_says_what_to_do(world):
    _, store, method = world
    with pytest.raises(InputError, match="not trained here"):
        method.windows(trials.read(store.trials_path), epoch=0)


def test_a_rule_of_the_crop_that_nobody_knows_is_refused(world):
    p, store, _ = world
    wrong = parameters.Params({**p, "options": {**p.options, "crop": "round"}})
    with pytest.raises(InputError, match="crop: round"):
        recipes.create("expression", wrong, store).arrays()


def test_its_stream_goes_into_a_network_and_a_missing_face_is_the_mean(world):
    p, store, _ = world
    options = {**features_options(), "features": ["face_api"]}
    values = {**p, "recipe": "features", "rules": "corrected", "steps": 4, "options": options}
    method = recipes.create("features", parameters.Params(values), store)
    arrays.make_all(method.trial("a"), method.arrays(), store)
    windows = method.windows(trials.read(store.trials_path))
    method.statistics = method.fit(windows)
    last = method.example(list(windows.itertuples(index=False))[-1])
    assert last["features"].shape == (4, 256)
    assert np.isfinite(last["features"]).all()


def features_options():
    return grammar.defaults(grammar.recipes()["features"])


@pytest.mark.parametrize("name", ["expression", "speakers"])
def test_the_network_of_a_parameter_file_lies_where_weights_root_says(name, tmp_path):
    values = parameters.load([ROOT / "params" / f"{name}.yaml"])
    shipped = values["predict_run"]
    assert parameters.complete(values)["predict_run"] == shipped
    elsewhere = parameters.complete(values | {"weights_root": str(tmp_path)})
    assert elsewhere["predict_run"] == str(tmp_path / Path(shipped).name)


@pytest.mark.parametrize("named", ["sample_tsav", "/home/me/weights/a.pt", "runs/weights/a.pt", ""])
def test_a_run_or_a_file_of_a_place_of_its_own_stays_as_it_is_named(named, tmp_path):
    full = parameters.complete({"predict_run": named, "weights_root": str(tmp_path)})
    assert full["predict_run"] == named
