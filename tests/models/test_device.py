"""How exactly a device computes."""

import os
from types import SimpleNamespace

import pytest
import torch

from lib.evaluation.prediction import Predictor, begin
from lib.models import device
from tests import fake_cuda


@pytest.fixture(autouse=True)
def as_before():
    tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.use_deterministic_algorithms(False)


def test_float32_on_a_gpu_is_not_tf32():
    """PyTorch's default rounds what goes into a convolution to 10 bits."""
    torch.backends.cudnn.allow_tf32 = True
    assert device.pick("cpu").type == "cpu"
    assert torch.backends.cudnn.allow_tf32, "nothing is changed for a CPU"
    with fake_cuda.on():
        place = device.pick("auto")
        assert device.told(place) == "cuda (pretended GPU), float32"
        torch.backends.cudnn.allow_tf32 = True
        assert device.told(place) == "cuda (pretended GPU), TF32"


def test_algorithms_that_repeat_are_asked_for_by_a_parameter(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    device.repeat(False)
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    device.repeat(True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled(), "what has none is named"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_predictions_of_another_precision_or_device_are_made_anew(tmp_path):
    def predictor(place, precision="auto"):
        made_from = {"sha256": "ab", "size": 3}
        recipe = SimpleNamespace()
        return Predictor(recipe, None, torch.device(place), made_from, 1, False, "", precision)

    with fake_cuda.on():
        assert predictor("cpu").how == "", "predictions that are there stay"
        kinds = [predictor("cpu"), predictor("cpu", "bfloat16"), predictor("cuda")]
        for one in kinds:
            begin(tmp_path, one)
            (tmp_path / "trial.csv").write_text("x")
            begin(tmp_path, one)
            assert (tmp_path / "trial.csv").exists()
            others = [other for other in kinds if other is not one]
            begin(tmp_path, others[0])
            assert not (tmp_path / "trial.csv").exists()
