"""How surely a separate recorder's sound is placed by the camera's: `python
benchmarks/sound_beside.py RECORDINGS [RAVDESS]`.

Every recording with sound below the folders is cut into what a camera and a recorder beside it
would have written: another beginning, another room (noise that decays, the camera farther away),
another level and noise. Then every recording is compared with every other one, which must be
refused. Of RAVDESS four recordings of an actor are joined.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import publish

from lib.errors import InputError
from lib.media import recordings, synchrony

SHIFTS = (-0.9, 0.4, 0.8)  # s at which the recorder begins, as the camera counts
ACTORS, JOINED = 12, 4
# s of reverberation and its level at the camera and the recorder; dB between sound and noise
ROOMS = {
    "no echo, 20 dB": (0.0, 0.0, 20),
    "hall, 10 dB": (0.5, 0.2, 10),
    "hall, 0 dB": (0.5, 0.2, 0),
}


def sounds(media: Path, ravdess: Path | None) -> dict[str, np.ndarray]:
    """Sound of all recordings of at least 2.5 s, by name."""
    found = {}
    for path in sorted(media.iterdir()):
        try:
            samples, _ = recordings.sound(path, synchrony.RATE)
        except InputError:
            continue
        if len(samples) >= 2.5 * synchrony.RATE and np.abs(samples).max() > 0:
            found[path.name] = samples
    for folder in sorted(ravdess.glob("Actor_*"))[:ACTORS] if ravdess else ():
        files = np.random.default_rng(0).permutation(sorted(folder.iterdir()))[:JOINED]
        parts = [recordings.sound(path, synchrony.RATE)[0] for path in files]
        found[folder.name] = np.concatenate(parts)
    return found


def in_a_room(sound: np.ndarray, decay: float, seed: int, noise: float) -> np.ndarray:
    """A sound as a microphone hears it `decay` s of reverberation away, `noise` dB above noise."""
    draw = np.random.default_rng(seed)
    out = sound
    if decay:
        tail = round(decay * synchrony.RATE)
        echo = 0.12 * draw.standard_normal(tail) * 10 ** (-3 * np.arange(tail) / tail)
        echo[0] += 0.8
        out = np.convolve(sound, echo)[: len(sound)]
    return out + 10 ** (-noise / 20) * out.std() * draw.standard_normal(len(out))


def compare(camera: np.ndarray, recorder: np.ndarray) -> synchrony.Match:
    return synchrony.match(synchrony.onsets([camera]), synchrony.onsets([recorder]))


def same(every: dict[str, np.ndarray]) -> list[list]:
    """One row per room: how many are placed, and how well."""
    rows = []
    for name, (far, near, noise) in ROOMS.items():
        errors = []
        for sound in every.values():
            for shift in SHIFTS:
                start = round(abs(shift) * synchrony.RATE)
                camera, recorder = (sound, sound[start:]) if shift > 0 else (sound[start:], sound)
                first, second = in_a_room(camera, far, 1, noise), in_a_room(recorder, near, 2, 20)
                match = compare(first, 0.1 * second)
                errors += [abs(match.offset - shift)] if match.found else []
        late = sum(error > 0.02 for error in errors)
        worst = f"{1000 * max(errors, default=0):.0f}"
        rows.append([name, len(every) * len(SHIFTS), len(errors), late, worst, ""])
    return rows


def others(every: dict[str, np.ndarray], derived: set[frozenset]) -> list[list]:
    """Pairs of different recordings, which must be refused."""
    pairs = [pair for pair in combinations(every, 2) if frozenset(pair) not in derived]
    matches = [compare(every[one], every[two]) for one, two in pairs]
    wrong = sum(match.found for match in matches)
    highest = max(match.peak for match in matches)
    return [["different recordings", len(pairs), wrong, "", "", f"{highest:.2f}"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("media", type=Path)
    parser.add_argument("ravdess", type=Path, nargs="?")
    given = parser.parse_args()
    every = sounds(given.media, given.ravdess)
    # Of the shared recordings the dialogue is joined from two others, and two have one music.
    whole = "grid_dialogue_2faces.mp4"
    derived = {frozenset((whole, f"grid_{part}.mpg")) for part in ("swwp2s", "lrwp9a")}
    derived.add(frozenset(("pyfeat_face_noface.mov", "pyfeat_no_face.mp4")))
    rows = [*same(every), *others(every, derived)]
    columns = ["sound", "pairs", "placed", "off by over 20 ms", "most off in ms", "highest peak"]
    seconds = ", ".join(
        f"{name} {len(sound) / synchrony.RATE:.1f}" for name, sound in every.items()
    )
    notes = [
        f"A peak counts from {synchrony.CLEAR:g} times the second one on.",
        f"Lengths in s: {seconds}.",
    ]
    publish("sound_beside", columns, rows, ["numpy", "av"], notes)


if __name__ == "__main__":
    main()
