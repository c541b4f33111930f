"""How fast raw video becomes aligned faces, and what memory it takes: `python benchmarks/faces.py`.

The clip is one of the shared recordings (640×360, one face, 20 s), played as often as the length
asks for; 1280×720 is the same, scaled up. Every length runs in a process of its own, which reports
the most memory that it ever held. Needs the recordings and weights that the tests use
(tests/shared_files.py); about six minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import memory, publish

from lib import arrays
from lib.media import recordings, writing
from lib.store import Store, request

SHARED = ROOT.parent / "shared"
CLIP = SHARED / "media" / "pyfeat_WolfgangLanger_Pexels.mp4"
CASES = (
    (640, 360, 60.0, 3.0),
    (1280, 720, 60.0, 2.0),
    (640, 360, 600.0, 3.0),
)  # width, height, s, times real time
WANTED = (request("tracks"), request("face_valid"), request("face", size=112))


def film(place: Path, width: int, height: int, seconds: float) -> Path:
    """The clip at that size, played again and again, as mp4."""
    clip, times = CLIP, recordings.frame_times(CLIP)
    if (width, height) != (640, 360):
        larger = (
            cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
            for _, frame in recordings.frames(CLIP)
        )
        clip = writing.write_video(place / "larger.mp4", larger, times - times[0])
    return repeated(clip, place / f"{width}x{height}_{seconds:.0f}.mp4", seconds)


def repeated(clip: Path, out: Path, seconds: float) -> Path:
    """A clip played again and again; its coded pictures are copied, not coded again."""
    times = recordings.frame_times(clip)
    with av.open(str(out), "w") as written:
        track, shift, step = None, 0.0, (times[-1] - times[0]) / (len(times) - 1)
        while shift + 1 < seconds:
            with av.open(str(clip)) as read:
                source = read.streams.video[0]
                track = track or written.add_stream_from_template(source)
                for packet in (packet for packet in read.demux(source) if packet.dts is not None):
                    moved = round(shift / packet.time_base)
                    packet.pts, packet.dts, packet.stream = (
                        packet.pts + moved,
                        packet.dts + moved,
                        track,
                    )
                    written.mux(packet)
            shift += len(times) * step
    return out


def work(video: Path, folder: Path) -> dict:
    """Make a video's faces; seconds of each step and most memory (MB) of this process."""
    info = recordings.probe(video)
    trial = {
        "trial": "film",
        "video": "film",
        "person": "",
        "crops_dir": "",
        "video_path": video.name,
    }
    store = Store(folder, "films", video.parent, "detect", SHARED / "weights")
    arrays.make(trial, request("time"), store)
    seconds, processor = [], time.process_time()
    for wanted in WANTED:
        started = time.perf_counter()
        arrays.make(trial, wanted, store)
        seconds.append(time.perf_counter() - started)
    return {
        "seconds": seconds,
        "processor": time.process_time() - processor,
        "memory": memory("VmHWM"),
        "anonymous": memory("RssAnon"),
        "length": info.duration,
        "valid": float(arrays.read(trial, request("face_valid"), store).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, type=Path, help="(a process of its own) video, folder")
    parser.add_argument("--short", action="store_true", help="20 s of each size only")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(work(*options.one)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for width, height, seconds, wanted in CASES[:2] if options.short else CASES:
            video = film(Path(place), width, height, 20.0 if options.short else seconds)
            done = subprocess.run(
                [sys.executable, __file__, "--one", str(video), f"{place}/{video.stem}"],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OPENCV_LOG_LEVEL": "ERROR"},
            )
            found = json.loads(done.stdout.splitlines()[-1])
            speed = found["length"] / sum(found["seconds"])
            rows.append(
                (
                    f"{width}×{height}",
                    f"{found['length']:.0f} s",
                    f"{speed:.1f} (at least {wanted:g})",
                    f"{found['length'] * 2 / found['processor']:.1f}",
                    f"{found['seconds'][0]:.1f} s",
                    f"{found['seconds'][2]:.1f} s",
                    f"{found['memory']:.0f} MB",
                    f"{found['anonymous']:.0f} MB",
                    f"{found['valid']:.1%}",
                )
            )
    publish(
        "faces",
        (
            "video",
            "length",
            "times real time",
            "the same by processor time of two cores",
            "detect and follow",
            "align",
            "most memory",
            "at the end, without mapped files",
            "frames with a face",
        ),
        rows,
        ("numpy", "opencv-python-headless", "av"),
        [
            "Time stamps are read before; decoding is in both steps. Wanted: less than 1500 MB, "
            "and not more for the "
            "longer video."
        ],
    )


if __name__ == "__main__":
    main()
