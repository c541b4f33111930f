"""A tiny data set for tests of recipes, training and inference: a store without media files, drawn
from a seed.

A store can be used without the files that it was made from, so arrays are written as if they had
been computed. A face is as bright as its valence, a sound as loud as its arousal: a network can
learn something from them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lib import arrays, models, recipes, trials
from lib import parameters as params
from lib.arrays import MAKERS
from lib.features import mel
from lib.store import Store, request

FPS, FACE = 25.0, 32
FEATURES = 32  # what the backbone of a network of this width gives
# Trial, video, split, frames. One is shorter than any window, one has no labels, two share a
# recording.
TRIALS = [
    ("1_left", "1", "train", 60),
    ("1_right", "1", "train", 60),
    ("171", "171", "train", 41),
    ("quiet", "quiet", "train", 20),
    ("seen", "seen", "val", 50),
    ("short", "short", "val", 7),
    ("hidden", "hidden", "test", 30),
]
# What each recipe is tried with: parameters, then its options.
RECIPES = {
    "tsav": (
        {"stream_loss": 1.0, "audio_seconds": 0.5},
        {"tasks": ["va", "expression", "action_units"], "frame_step": 5},
    ),
    "lfan": (
        {"backbone_run": "faces", "va_loss": "mse_ccc"},
        {
            "window": 24,
            "hop": 10,
            "crop": 24,
            "vggish": "random",
            "vggish_width": 0.0625,
            "cache": "never",
            "head_width": 0.25,
            "min_lr": 0.0,
            "releases": 1,
            "shift": True,
            "targets": 10,
        },
    ),
    "lfan_backbone": ({"va_loss": "mse", "modality": "video"}, {"crop": 24, "frame_step": 5}),
    **dict.fromkeys(
        ("jca", "rjca", "dca", "jca_paper"),
        (
            {"steps": 4, "step_hop": 8, "backbone_run": "teacher", "audio_seconds": 0.5},
            {"phases": 2, "dropout": 0.1},
        ),
    ),
    "gated_fusion": (
        {"steps": 8, "step_hop": 4},
        {"features": ["loudness", "pixels"], "every": [1, 3], "phases": 2, "dropout": 0.1},
    ),
}
SMALL = {
    "width": 0.0625,
    "face_size": FACE,
    "epochs": 2,
    "batch_size": 8,
    "lr": 1.0e-3,
    "seed": 13,
    "workers": 0,
    "device": "cpu",
    "faces": "centre",
    "val_every": 4,
    "bootstrap": 20,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """For test modules to import: networks this small are several times slower on two threads that
    must wait.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def parameters(recipe: str, root: Path, **changes) -> params.Params:
    """Parameters of a recipe on the set in `root`; `options` in `changes` are merged into those of
    `RECIPES`.
    """
    own, options = RECIPES.get(recipe, ({}, {}))
    places = {
        name: str(root / name.removesuffix("_root"))
        for name in ("data_root", "processed_root", "runs_root")
    }
    changes = {**changes, "options": {**options, **changes.get("options", {})}}
    full = params.complete({**SMALL, **places, "recipe": recipe, **own, **changes})
    return params.Params(
        {name: Path(value) if name.endswith("_root") else value for name, value in full.items()}
    )


def store(root: Path) -> Store:
    return Store(root / "processed", "tiny", root / "data")


def table(root: Path):
    """Its trial table."""
    return trials.read(store(root).trials_path)


def create(recipe: str, root: Path, **changes):
    """The recipe on the set in `root`; a test of a modality that it does not have is skipped."""
    method = recipes.create(recipe, parameters(recipe, root, **changes), store(root))
    if method.params.modality not in method.modalities:
        pytest.skip(f"{recipe} has no modality {method.params.modality}")
    if recipe in ("lfan", "gated_fusion"):  # examples are normalised by the training windows
        train = table(root)[lambda rows: rows["split"] == "train"]
        method.statistics = method.fit(method.windows(train, 0 if recipe == "lfan" else None))
    return method


def make(root: Path) -> Path:
    """Write the set: a trial table and all arrays that the recipes can ask for; returns `root`."""
    place = store(root)
    rows = [
        {
            "trial": trial,
            "video": video,
            "split": split,
            "dataset": "tiny",
            "subject": video,
            "n_frames": n_frames,
            "fps": FPS,
            "duration": n_frames / FPS,
            "video_path": f"{video}.mp4",
            "audio_path": f"{video}.mp4",
            "crops_dir": f"crops/{trial}",
            "va_path": f"VA_Set/{trial}.txt",
            "expression_path": f"EXPR_Set/{trial}.txt",
            "action_units_path": f"AU_Set/{trial}.txt",
        }
        for trial, video, split, n_frames in TRIALS
    ]
    trials.write(trials.table(rows), place.trials_path)
    for number, (trial, video, _, n_frames) in enumerate(TRIALS):
        affect = _curves(
            np.random.default_rng([7, int(video) if video.isdigit() else number]), n_frames
        )
        _write_video(place, video, affect)
        _write_trial(place, trial, affect, np.random.default_rng(number))
        arrays.make(rows[number] | {"person": ""}, request("face_quality", size=FACE), place)
    write_face_network(root / "runs" / "faces" / "checkpoints" / "best.pt")
    return root


def written(folder: Path, name: str = "last") -> dict:
    """What a training wrote into a run folder, read by pickle: `lib.models.checkpoints` trusts no
    file and needs ten times as long, which every training that goes on does anyway.
    """
    return torch.load(folder / "checkpoints" / f"{name}.pt", "cpu", weights_only=False)


def write_face_network(path: Path, width: float = 0.0625, crop: int = 24) -> None:
    """A checkpoint as a run of `lfan_backbone` leaves it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.create("lfan_backbone", classes=2, width=width, face_size=crop)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "model": network.state_dict(),
            "params": {},
            "statistics": {},
            "trained_on": [
                trial for trial, _, split, _ in TRIALS if split == "train" and trial != "quiet"
            ],
        },
        path,
    )


def write(place: Store, owner: str, wanted, array: np.ndarray, **facts) -> Path:
    """Put an array of the trial or video `owner` into the store."""
    maker = MAKERS[wanted.name]
    made_from = {
        "name": wanted.name,
        "parameters": dict(wanted.parameters),
        "version": maker.version,
        "inputs": {},
    }
    return place.shelf(maker.owner, owner).write(made_from, array, **facts)


def _curves(generator: np.random.Generator, n_frames: int) -> np.ndarray:
    """(T, 2) valence and arousal that go up and down."""
    phase = generator.uniform(0, 6.28, 2) + np.arange(n_frames)[:, None] * generator.uniform(
        0.1, 0.3, 2
    )
    return (0.8 * np.sin(phase)).astype(np.float32)


def _write_video(place: Store, video: str, affect: np.ndarray) -> None:
    n_frames = len(affect)
    times = np.arange(n_frames) / FPS
    columns = np.arange(int(n_frames / FPS * mel.COLUMNS_A_SECOND) + 1) / mel.COLUMNS_A_SECOND
    loud = np.interp(columns, times, affect[:, 1])
    power = (10 ** loud[:, None] * np.linspace(1, 2, mel.BANDS)).astype(np.float32)
    write(place, video, request("time"), times)
    write(place, video, request("mel"), power, t0=0.02, rate=float(mel.COLUMNS_A_SECOND))
    write(place, video, request("loudness"), affect[:, 1:] * 5)
    sound = np.stack([affect[:, 1] * k for k in range(1, FEATURES + 1)], axis=1).astype(np.float16)
    for seconds, anchor in ((0.5, "centre"), (round(32 / FPS, 3), "end")):
        write(place, video, request("backbone_audio", seconds=seconds, anchor=anchor), sound)
    write(place, video, request("backbone_audio", anchor="published"), sound)
    speech = request("vggish", weights="random", width=0.0625, seed=0)
    write(place, video, speech, (affect[:, 1:] * np.linspace(1, 2, 128)).astype(np.float32))
    write(
        place,
        video,
        request("mfcc39"),
        (affect[:, 1:] * np.linspace(10, 20, 39)).astype(np.float32),
    )
    write(
        place,
        video,
        request("backbone_silence", anchor="published"),
        np.full((1, FEATURES), -9, np.float16),
    )
    write(
        place,
        video,
        request("backbone_blank", size=FACE, pooled=True),
        np.full((1, FEATURES), -7, np.float16),
    )


def _write_trial(
    place: Store, trial: str, affect: np.ndarray, generator: np.random.Generator
) -> None:
    n_frames = len(affect)
    valid = generator.random(n_frames) > 0.1
    bright = 128 + 100 * affect[:, 0, None, None, None] * valid[:, None, None, None]
    noise = generator.integers(-20, 20, (n_frames, FACE, FACE, 3))
    face = np.where(valid[:, None, None, None], np.clip(bright + noise, 1, 255), 0).astype(np.uint8)
    write(place, trial, request("face_valid"), valid)
    write(place, trial, request("face", size=FACE), face)
    write(place, trial, request("pixels"), face[:, :16, :16])
    picture = np.stack([affect[:, 0] * k for k in range(1, FEATURES + 1)], axis=1).astype(
        np.float16
    )
    for clip in ("look_back", "dilated"):
        wanted = request("backbone_visual", size=FACE, clip=clip, pooled=True)
        write(place, trial, wanted, picture, channels=FEATURES, positions=1)
    for task, rows in _labels(affect, n_frames if trial == "quiet" else n_frames // 5).items():
        write(place, trial, request(task, mismatch="fit"), rows, note="")


def _labels(affect: np.ndarray, unlabelled: int) -> dict[str, np.ndarray]:
    """Each task lacks other frames: the first, the last, every fifth."""
    n_frames, frames = len(affect), np.arange(len(affect))
    va = np.where((frames < unlabelled)[:, None], np.nan, affect).astype(np.float32)
    expression = np.where(frames >= n_frames - unlabelled, -1, frames % 7).astype(np.int8)
    units = (frames[:, None] + np.arange(8)) % 2
    missing = (frames % 5 == 0) | (unlabelled == n_frames)
    return {
        "va": va,
        "expression": expression,
        "action_units": np.where(missing[:, None], -1, units).astype(np.int8),
    }
