"""The sample set as data: how long it takes, how big it is, and that trivial predictors fail on it.

    python benchmarks/sample_floors.py [--detector face_detection_yunet_2023mar.onnx] [--keep
    FOLDER] [--seed 0]

Prints a table with the bounds of the sample specification §7. Everything is read back from the
files: crops and sound as a training sees them, with missing crops, unlabelled rows, late sound and
pairs in.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from lib.datasets.samples import affect
from lib.datasets.samples.plan import SPLITS
from lib.evaluation import baselines
from lib.features import sound_arrays
from lib.labels import official
from lib.media import recordings

RATE = 16000


def trial_data(
    root: Path, folder: str, video: Path, trial: str, times: np.ndarray
) -> dict[str, np.ndarray]:
    """What `baselines.evaluate` wants of one trial."""
    faces, valid = np.zeros((len(times), 112, 112, 3), np.uint8), np.zeros(len(times), bool)
    for path in (root / "cropped_aligned" / trial).glob("*.jpg"):
        row = int(path.stem) - 1
        faces[row], valid[row] = cv2.imread(str(path))[..., ::-1], True
    sound, t0 = recordings.sound(video, RATE)
    return {
        "pixels": faces,
        "face_valid": valid,
        "va": official.read(root / folder / f"{trial}.txt", "va"),
        "loudness": sound_arrays.loudness(sound, RATE, t0, times),
    }


def read(root: Path) -> dict[str, list[dict[str, np.ndarray]]]:
    """Split -> data of its trials."""
    facts = json.loads((root / "sample.json").read_text())
    data: dict[str, list] = {split: [] for split in SPLITS}
    for video, one in facts["recordings"].items():
        path = next(root.glob(f"batch*/{video}.mp4"))
        times = recordings.frame_times(path)
        folder = (
            f"VA_Set/{affect.SPLIT_FOLDERS[one['split']]}"
            if one["split"] in affect.SPLIT_FOLDERS
            else f"{affect.HIDDEN_FOLDER}/VA_Set"
        )
        data[one["split"]] += [
            trial_data(root, folder, path, trial, times) for trial in one["trials"]
        ]
    return data


def faces_found(root: Path, detector: Path, every: int = 5) -> tuple[int, int]:
    """Of every n-th frame of all recordings: faces that YuNet finds (score from 0.7), faces that
    are there.
    """
    facts = json.loads((root / "sample.json").read_text())
    net = cv2.FaceDetectorYN.create(str(detector), "", (0, 0), 0.7)
    found = there = 0
    for video, one in facts["recordings"].items():
        for index, (_, picture) in enumerate(
            recordings.frames(next(root.glob(f"batch*/{video}.mp4")))
        ):
            if index % every == 0:
                net.setInputSize(picture.shape[1::-1])
                boxes = net.detect(np.ascontiguousarray(picture[..., ::-1]))[1]
                found += min(len(boxes) if boxes is not None else 0, len(one["trials"]))
                there += len(one["trials"])
    return found, there


def rows(
    root: Path, seconds: float, data: dict, detector: Path | None
) -> list[tuple[str, str, str]]:
    """(what, measured, bound) of everything."""
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 1e6
    table = [
        ("seconds with two processes", f"{seconds:.1f}" if seconds else "was there", "< 60"),
        ("megabytes", f"{size:.1f}", "< 60"),
    ]
    for split, trials in data.items():
        va = np.concatenate([trial["va"] for trial in trials])
        va = va[np.isfinite(va).all(axis=1)]
        correlation = np.corrcoef(va.T)[0, 1]
        table.append(
            (f"{split}: labelled frames, corr(v, a)", f"{len(va)}, {correlation:+.3f}", "below 0.1")
        )
        table.append(
            (
                f"{split}: mean, standard deviation of v; a",
                "; ".join(f"{x.mean():+.2f}, {x.std():.2f}" for x in va.T),
                "near 0, ≥ 0.5",
            )
        )
    bounds = {"mean colour": "≤ 0.20", "loudness": "≤ 0.45", "pixels": "≤ 0.40"}
    for name, scores in baselines.evaluate(data["train"], data["val"]).items():
        bound = next((bound for part, bound in bounds.items() if part in name), "0")
        table.append(
            (
                f"{name}: valence, arousal",
                f"{scores['valence']:+.2f}, {scores['arousal']:+.2f}",
                bound,
            )
        )
    if detector:
        found, there = faces_found(root, detector)
        table.append(
            ("faces that YuNet finds", f"{found} of {there} ({found / there:.1%})", "≥ 98 %")
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--detector", type=Path, help="YuNet's ONNX file")
    parser.add_argument("--keep", type=Path, help="data root to make the set in, or where it is")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data_root = wanted.keep or Path(temporary)
        was_there = (data_root / affect.folder_name(wanted.seed) / "sample.json").exists()
        start = time.perf_counter()
        root = affect.make(data_root, seed=wanted.seed, workers=2)
        seconds = 0.0 if was_there else time.perf_counter() - start
        table = rows(root, seconds, read(root), wanted.detector)
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}, Python "
        f"{platform.python_version()}, PyAV {av.__version__}, OpenCV {cv2.__version__}, NumPy "
        f"{np.__version__}\n"
    )
    print("| what | measured | bound |\n|---|---|---|")
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
