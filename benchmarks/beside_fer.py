"""A recording of one's own, looked at by this repository and by the package `fer`: frames per
second, memory, and how often both read the same.

    python -m venv FER; FER/bin/pip install fer tensorflow "opencv-contrib-python<5" "setuptools<80"
    python benchmarks/beside_fer.py VIDEO --fer FER/bin/python [--weights weights] [--threads 1]
                                    [--height 720]

Each way is a process of its own with as many threads to compute; both decode in further ones, as
FFmpeg decides, and ours converts and reduces pictures in one of its own, so processor time is told,
too. Counted is from the first frame to the last, decoding too; imports and loading of networks are
not. Ours follows faces (YuNet on every sixth frame, landmarks in between), cuts them by 68
landmarks, or in a row of its own by the detector's box (`expression_crop: detector`), and reads
seven expressions of every face in every frame. `fer` detects by Haar cascades or by MTCNN in every
frame and reads the same seven. Agreement is of the largest face, over frames in which both find
one. With --height all ways read the recording as if it had been made at this height (px), enlarged
or reduced and written anew, without sound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

OURS = "this repository"
WORDS = {"fear": "fearful", "disgust": "disgusted", "surprise": "surprised"}
# Runs in fer's environment: video, detector, threads; prints JSON.
OF_FER = r"""
import json, sys, time
video, detector, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
if detector == "mtcnn":  # facenet-pytorch: before TensorFlow, or it ends with a segmentation fault
    import torch
    torch.set_num_threads(threads)
    import facenet_pytorch
import cv2
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
cv2.setNumThreads(threads)
from fer.fer import FER
def memory(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024 / 1e6
reader = FER(mtcnn=detector == "mtcnn")
stream = cv2.VideoCapture(video)
ok, picture = stream.read()
reader.detect_emotions(picture)  # the first call builds the graph
stream.release()
loaded, read = memory("VmRSS"), []
started, worked = time.perf_counter(), time.process_time()
stream = cv2.VideoCapture(video)
while True:
    ok, picture = stream.read()
    if not ok:
        break
    faces = reader.detect_emotions(picture)
    best = max(faces, key=lambda face: face["box"][2] * face["box"][3], default=None)
    read.append(max(best["emotions"], key=best["emotions"].get) if best else "")
seconds, worked = time.perf_counter() - started, time.process_time() - worked
measured = {"seconds": seconds, "worked": worked, "loaded": loaded}
print(json.dumps({**measured, "most": memory("VmHWM"), "read": read}))
"""


def ours(video: Path, root: Path, threads: int, crop: str) -> dict:
    """What `OF_FER` prints, of this repository."""
    import cv2
    import numpy as np
    import torch
    from report import memory

    from lib import arrays
    from lib.evaluation import people
    from lib.features import expression_arrays
    from lib.media import recordings, writing
    from lib.parameters import Params
    from lib.speakers import video as speakers_video
    from lib.store import request

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    params = Params({"weights_root": root, "faces": "auto", "device": "cpu"})
    people.fetch(params)
    faces = request("track_face_api", expression_arrays.files(crop, root), crop=crop)
    wanted = [request("time"), request("tracks"), faces]
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.mp4"  # loads what is loaded when it is first needed
        frames = [picture for _, picture in islice(recordings.frames(video), 12)]
        writing.write_video(first, frames, np.arange(len(frames)) / 25, None, 16000)
        store = speakers_video.video_store(first, params, Path(folder))
        row = speakers_video.video_row(first, recordings.probe(first), "")
        arrays.make_all(row, wanted, store, "cpu")
        loaded = memory("VmRSS")
        store = speakers_video.video_store(video, params, Path(folder))
        row = speakers_video.video_row(video, recordings.probe(video), "")
        started, worked = time.perf_counter(), time.process_time()
        arrays.make_all(row, wanted, store, "cpu")
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        tracks = np.asarray(arrays.read(row, request("tracks"), store))
        times = arrays.read(row, request("time"), store)
        logits = people._logits(np.asarray(arrays.read(row, faces, store)), params, store)
    read = [""] * len(times)
    size = np.prod(tracks[:, 4:6], axis=1)
    for place in np.lexsort((size, tracks[:, 0])):  # the largest face of a frame last
        read[int(tracks[place, 0])] = people.CLASSES[int(logits[place].argmax())]
    measured = {"seconds": seconds, "worked": worked, "loaded": loaded}
    return {**measured, "most": memory("VmHWM"), "read": read}


def at_height(video: Path, height: int, folder: Path) -> Path:
    """The recording at another height (px), H.264 in `folder`."""
    import cv2

    from lib.media import recordings, writing

    times = recordings.frame_times(video)
    shown = (picture for _, picture in recordings.frames(video))
    first = next(picture for _, picture in recordings.frames(video))
    size = (2 * round(first.shape[1] * height / first.shape[0] / 2), height)
    scaled = (cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) for picture in shown)
    return writing.write_video(folder / f"{video.stem}_{height}.mp4", scaled, times - times[0])


def told(command: list[str], threads: int) -> dict:
    """What a process prints as its last line."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "GOMP_SPINCOUNT": "1000"}
    env = {**os.environ, **quiet, **dict.fromkeys(names, str(threads))}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    return json.loads(done.stdout.splitlines()[-1])


def agreement(first: list[str], second: list[str]) -> str:
    both = [
        (one, WORDS.get(other, other))
        for one, other in zip(first, second, strict=False)
        if one and other
    ]
    same = sum(one == other for one, other in both)
    return f"{same / len(both):.2f} of {len(both)}" if both else "no frame with both"


def ways(video: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """The command of each way, by its name."""
    given = [str(video), "--weights", str(options.weights)]
    own = [sys.executable, __file__, *given, "--threads", str(options.threads), "--one"]
    commands = {OURS: [*own, "square"], f"{OURS}, crop by the detector": [*own, "detector"]}
    for detector in ("haar", "mtcnn"):
        words = [str(video), detector, str(options.threads)]
        commands[f"fer, {detector}"] = [str(options.fer), "-c", OF_FER, *words]
    return commands


def main() -> None:
    from report import publish

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--fer", type=Path, help="Python of the environment with fer")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--height", type=int, default=0, help="0: as it is")
    parser.add_argument("--one", default="", help="(a process of its own) ours, with this crop")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(ours(options.video, options.weights, options.threads, options.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        video = options.video
        if options.height:
            video = at_height(video, options.height, Path(folder))
        commands = ways(video, options)
        found = {name: told(command, options.threads) for name, command in commands.items()}
    mine = found[OURS]
    rate = {name: len(each["read"]) / each["worked"] for name, each in found.items()}
    speed = {name: len(each["read"]) / each["seconds"] for name, each in found.items()}
    rows = [
        [
            name,
            f"{speed[name]:.1f}",
            f"{speed[OURS] / speed[name]:.1f}",
            f"{rate[name]:.1f}",
            f"{rate[OURS] / rate[name]:.1f}",
            f"{each['loaded']:.0f}",
            f"{each['most']:.0f}",
            sum(map(bool, each["read"])),
            agreement(mine["read"], each["read"]),
        ]
        for name, each in found.items()
    ]
    versions = subprocess.run(
        [options.fer, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True
    ).stdout.splitlines()
    names = ("fer", "tensorflow", "opencv-contrib-python", "torch", "facenet-pytorch", "mtcnn")
    told_versions = [line for line in versions if line.split("==")[0].lower() in names]
    height = f"_{options.height}" if options.height else ""
    threads = f"_{options.threads}_threads" if options.threads > 1 else ""
    publish(
        f"beside_fer{height}{threads}",
        (
            *("way", "frames per s", "ours is faster by"),
            *("frames per s of processor time", "ours by that is faster by"),
            *("MB once loaded", "MB at most"),
            *("frames with a face", "largest face read as by ours"),
        ),
        rows,
        ("torch", "opencv-python-headless", "av"),
        [
            f"{video.name}, {len(mine['read'])} frames, {options.threads} thread(s) each; "
            f"in fer's environment: {', '.join(told_versions)}."
        ],
    )


if __name__ == "__main__":
    main()
