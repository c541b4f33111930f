"""Sound for training, one array a video, against one process and one wav per frame: `python
benchmarks/sound.py`.

One hour of video with 30 frames per second. Measured: decoding and storing its sound, and the
indices of all frames' segments. The other way: FFmpeg started for each frame as the published
preprocessing does (TSAV/JCA specification §2.2: `-ss` and `-to` after `-i`, of a wav that is there
already), for frames spread over the whole hour, times the number of frames. FFmpeg is taken from
the PATH or from the package imageio-ffmpeg; without both, a Python process that reads the wav is in
its place, and the table says so. Most of the time goes into writing the video.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import memory, publish

from lib import arrays
from lib.media import sound as media_sound
from lib.media import writing
from lib.store import Store, request

FPS, RATE, HOUR = 30, 44_100, 3600.0
WANTED = 1000  # times less time
SAMPLES = 60  # cuts of the other way
CUT = """
import sys, wave
with wave.open(sys.argv[1]) as read, wave.open(sys.argv[4], "wb") as written:
    first, last = (round(float(word) * read.getframerate()) for word in sys.argv[2:4])
    while read.tell() < first:
        read.readframes(min(first - read.tell(), 1 << 20))
    written.setparams(read.getparams())
    written.writeframes(read.readframes(last - first))
"""


def film(place: Path, seconds: float) -> Path:
    """A video of grey pictures whose sound is noise of changing loudness."""
    count = round(seconds * FPS)
    drawn = np.random.default_rng(0)
    loudness = np.repeat(drawn.uniform(0.01, 0.3, int(seconds) + 1), RATE)[
        : round(seconds * RATE)
    ].astype(np.float32)
    sound = drawn.standard_normal(len(loudness), np.float32) * loudness
    pictures = (np.full((36, 64, 3), k // 30 % 200, np.uint8) for k in range(count))
    return writing.write_video(
        place / "film.mp4", pictures, np.arange(count) / FPS, sound, RATE, preset="ultrafast"
    )


def cutter() -> tuple[str, list[str]]:
    """Name of the program and its command line; the words IN, FROM, TO and OUT are filled in."""
    found = shutil.which("ffmpeg")
    if not found:
        try:
            import imageio_ffmpeg

            found = imageio_ffmpeg.get_ffmpeg_exe()
        except ImportError:
            return "Python (no FFmpeg here)", [
                sys.executable,
                "-S",
                "-c",
                CUT,
                "IN",
                "FROM",
                "TO",
                "OUT",
            ]
    return "FFmpeg", [
        found,
        "-loglevel",
        "error",
        "-y",
        "-i",
        "IN",
        "-ss",
        "FROM",
        "-to",
        "TO",
        "OUT",
    ]


def one_by_one(wav: Path, spans: np.ndarray, out: Path) -> tuple[float, float]:
    """Seconds and bytes a cut, mean over some of the `spans` (T, 2) s spread over all."""
    chosen = np.linspace(0, len(spans) - 1, min(SAMPLES, len(spans))).astype(int)
    total, words = 0.0, cutter()[1]
    for number, k in enumerate(chosen):
        filled = {
            "IN": wav,
            "FROM": f"{spans[k, 0]:.6f}",
            "TO": f"{spans[k, 1]:.6f}",
            "OUT": out / f"{number}.wav",
        }
        started = time.perf_counter()
        subprocess.run([str(filled.get(word, word)) for word in words], check=True)
        total += time.perf_counter() - started
    size = sum(path.stat().st_size for path in out.glob("*.wav"))
    return total / len(chosen), size / len(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=HOUR)
    length = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        video = film(root, length)
        trial = {
            "trial": "film",
            "video": "film",
            "person": "",
            "crops_dir": "",
            "video_path": video.name,
            "audio_path": video.name,
        }
        store, times = (
            Store(root / "processed", "films", root),
            np.arange(round(length * FPS)) / FPS,
        )
        wanted = request("audio_44k", rate=RATE)
        started = time.perf_counter()
        arrays.make(trial, wanted, store)
        samples, facts = arrays.read(trial, wanted, store), arrays.facts(trial, wanted, store)
        indices = media_sound.segments(times, len(samples), facts["t0"], RATE, "published")
        seconds = time.perf_counter() - started
        most = memory("VmHWM")
        (root / "film.wav").write_bytes(writing.wav(np.asarray(samples), RATE))
        (root / "wavs").mkdir()
        starts, stops = media_sound.published_spans(times, np.arange(len(times)))
        each, size = one_by_one(root / "film.wav", np.stack([starts, stops], axis=1), root / "wavs")
    slow = each * len(times)
    rows = [
        (
            f"{length:.0f} s, {len(times):,} frames",
            f"{seconds:.1f}",
            f"{len(samples) * 2 / 1e6:.0f}",
            "0",
            f"{slow:,.0f} ({1000 * each:.0f} ms a cut)",
            f"{size * len(times) / 1e9:.1f}",
            f"{slow / seconds:,.0f} (at least {WANTED:,})",
            f"{most:.0f}",
            cutter()[0],
        )
    ]
    assert len(indices) == len(times)
    publish(
        "sound",
        (
            "video",
            "decode, store, index: s",
            "stored, MB",
            "files per frame",
            "one process and wav per frame: s",
            "its wavs, GB",
            "times less time",
            "most memory (with writing the video), MB",
            "cut by",
        ),
        rows,
        ("av", "numpy"),
        [f"The second way is the mean of {SAMPLES} cuts spread over the recording."],
    )


if __name__ == "__main__":
    main()
