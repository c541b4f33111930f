"""Memory of a training on a million frames: features are read through memory maps, window by
window.

    python benchmarks/training_memory.py [--frames 1000000] [--where FOLDER]

Writes a synthetic store (pooled features, 512 numbers of picture and of sound a frame: 2 GB,
removed afterwards), trains JCA on it for an epoch and looks at the process's anonymous memory
(RssAnon) all the while. Exit status 1 when that reaches 2 GB. Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import Watch, publish

from lib import parameters, recipes, trials
from lib.arrays import MAKERS
from lib.store import Store, request

LIMIT, FPS, CHANNELS = 2000, 30.0, 512  # MB, 1/s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--trial", type=int, default=10_000, help="frames of a trial")
    parser.add_argument(
        "--phases", type=int, default=1, help="of 32 first targets, those trained on in an epoch"
    )
    parser.add_argument(
        "--width", type=float, default=1.0, help="below 1 only to see that the script runs"
    )
    parser.add_argument("--where", type=Path, help="folder for the store; default: temporary")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.where) as folder, Watch() as memory:
        store, table = written(Path(folder), asked.frames, asked.trial)
        size = sum(path.stat().st_size for path in store.folder.rglob("*.npy"))
        before = memory.most
        method, history, seconds = trained(Path(folder), store, table, asked)
    windows = len(method.windows(table[table["split"] == "train"], 0))
    publish(
        "training_memory",
        ["frames", "store", "windows of the epoch", "s", "RssAnon before", "RssAnon at most"],
        [
            [
                f"{asked.frames:,}",
                f"{size / 1e9:.2f} GB",
                f"{windows:,}",
                f"{seconds:.0f}",
                f"{before / 1e3:.2f} GB",
                f"{memory.most / 1e3:.2f} GB",
            ]
        ],
        ["torch", "numpy"],
        [
            f"JCA, width {asked.width:g}, pooled features, 64 windows of 16 steps a batch, "
            f"{len(table)} trials; limit "
            f"{LIMIT / 1e3:.0f} GB. Loss {history['loss'].iloc[-1]:.3f} on random labels."
        ],
    )
    sys.exit(0 if memory.most < LIMIT else 1)


def written(folder: Path, n_frames: int, length: int) -> tuple[Store, object]:
    """A store without recordings: arrays are found by name, as on a server that has no videos."""
    store, generator = (
        Store(folder / "processed", "million", folder / "data"),
        np.random.default_rng(0),
    )
    names = [f"trial{k:04d}" for k in range(max(2, n_frames // length))]
    rows = [
        {
            "trial": name,
            "video": name,
            "subject": name,
            "dataset": "million",
            "n_frames": length,
            "fps": FPS,
            "split": "val" if k % 50 == 1 else "train",
            "duration": length / FPS,
            "video_path": f"{name}.mp4",
            "audio_path": f"{name}.mp4",
            "va_path": f"{name}.txt",
        }
        for k, name in enumerate(names)
    ]
    trials.write(trials.table(rows), store.trials_path)
    noise = generator.normal(size=(length, CHANNELS)).astype(np.float16)
    for name in names:
        labels = generator.uniform(-1, 1, (length, 2)).astype(np.float32)
        put(store, name, request("time"), np.arange(length) / FPS)
        put(store, name, request("face_valid"), np.ones(length, bool))
        put(store, name, request("va", mismatch="fit"), labels, note="")
        put(store, name, request("backbone_audio", seconds=round(32 / FPS, 3), anchor="end"), noise)
        put(
            store,
            name,
            request("backbone_visual", size=112, clip="look_back", pooled=True),
            noise,
            channels=CHANNELS,
            positions=1,
        )
    return store, trials.read(store.trials_path)


def put(store: Store, name: str, wanted, array: np.ndarray, **facts) -> None:
    maker = MAKERS[wanted.name]
    made_from = {
        "name": wanted.name,
        "parameters": dict(wanted.parameters),
        "version": maker.version,
        "inputs": {},
    }
    store.shelf(maker.owner, name).write(made_from, array, **facts)


def trained(folder: Path, store: Store, table, asked) -> tuple[object, object, float]:
    from lib.training import trainer

    values = {
        "recipe": "jca",
        "dataset": "sample",
        "backbone_run": "none",
        "audio_seconds": 0.0,
        "epochs": 1,
        "batch_size": 64,
        "width": asked.width,
        "device": "cpu",
        "val_every": 50,
        "bootstrap": 20,
        "options": {"phases": asked.phases},
    }
    full = parameters.complete(values)
    roots = {name: folder / name for name in full if name.endswith("_root")}
    method = recipes.create("jca", parameters.Params(full | roots), store)
    (folder / "run").mkdir()
    began = time.perf_counter()
    history = trainer.Trainer(method, table, folder / "run").fit()
    return method, history, time.perf_counter() - began


if __name__ == "__main__":
    main()
