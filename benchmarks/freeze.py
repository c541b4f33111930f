"""Freeze what the product computes: arrays of both sample sets, predictions and metrics of a smoke
run per recipe.

    python benchmarks/freeze.py OUT                  # 10 minutes; compared with frozen.json
    python benchmarks/freeze.py OUT --keep           # the same, and make it the new frozen.json
    python benchmarks/freeze.py OUT --against OLD    # two folders of one machine, byte by byte

frozen.json holds a hash of what every array is made from, on any machine, and metrics to 1e-3, on
processors like the one it names: encoders round a few pictures of the sample sets differently on
others. A change that alters a number freezes anew in the same commit, which says which number and
why.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks")]

from report import machine

FROZEN = ROOT / "benchmarks" / "frozen.json"
# Of each recipe one; `utterance` and `expression` need recordings of people, which are not here.
RUNS = (
    "sample_tsav",
    "sample_jca",
    "sample_rjca",
    "sample_dca",
    "sample_jca_paper",
    "sample_lfan",
    "sample_features",
    "sample_gated_fusion",
    "sample_asd",
)
TOLERANCE = 1e-3
# Arrays of trained networks: their digits are those of one machine.
LEARNT = re.compile(r"/(backbone|face_map|track_speaking|speaking)|^[^/]*/statistics/")
GOOD = (0, 3)  # exit status: done, or done and something was lost
# Inputs of arrays whose bytes are one processor's: what the sample sets encode.
MEDIA = ("video", "crops")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--against", type=Path)
    asked = parser.parse_args()
    compute(asked.out)
    if asked.against:
        differing = differences(contents(asked.out), contents(asked.against))
    elif asked.keep:
        FROZEN.write_text(json.dumps(frozen(asked.out), indent=1, sort_keys=True) + "\n")
        return
    else:
        now, before = frozen(asked.out), json.loads(FROZEN.read_text())
        here, there = (each.pop("machine") for each in (now, before))
        if here != there:
            print(f"metrics are frozen on another machine and may differ: {there}; here {here}")
        differing = differences(now, before)
    print("\n".join(differing) or "nothing differs")
    sys.exit(bool(differing))


def compute(out: Path) -> None:
    """Run the smoke experiment of each recipe into `out`; what is there already is only brought up
    to date.
    """
    places = {
        "data_root": out / "data",
        "processed_root": out / "processed",
        "runs_root": out / "runs",
    }
    overrides = [
        word for name, path in places.items() for word in ("-p", name, str(path.resolve()))
    ]
    for name in RUNS:
        files = [f"params/{name}.yaml", "params/overlays/smoke.yaml"]
        command = [sys.executable, "-m", "lib", "run", *files, *overrides, "-p", "device", "cpu"]
        status = subprocess.run(command, cwd=ROOT).returncode
        if status not in GOOD:
            sys.exit(f"{name} ended with status {status}")


def arrays(out: Path) -> dict[str, list[Path]]:
    """Owner and name of an array -> its files, of each variant one."""
    files: dict[str, list[Path]] = {}
    for path in sorted((out / "processed").glob("*/*/*/*.npy")):
        name = path.stem.rsplit("-", 1)[0]
        files.setdefault(str(path.relative_to(out / "processed").parent / name), []).append(path)
    return files


def portable(processed: Path) -> dict[str, str]:
    """Digits of every array below a folder -> eight digits that are the same on every machine: of
    what it is made from, without the bytes of `MEDIA`.
    """
    made: dict[str, Mapping] = {}
    for path in sorted(processed.rglob("*.npy")):
        if path.with_suffix(".json").is_file():
            digits = path.stem.rsplit("-", 1)[1]
            made[digits] = json.loads(path.with_suffix(".json").read_text())["made_from"]

    def of(digits: str) -> str:
        if digits not in made:
            return digits
        inputs = {}
        for name, told in made[digits]["inputs"].items():
            own = {"array": of(told["array"])} if "array" in told else told
            inputs[name] = "media" if name in MEDIA and "array" not in told else own
        text = json.dumps({**made[digits], "inputs": inputs}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    return {digits: of(digits) for digits in made}


def frozen(out: Path) -> dict:
    """What frozen.json holds: the machine, array -> its portable digits, run -> its metrics."""
    digits, same_everywhere = {}, portable(out / "processed")
    for name, paths in arrays(out).items():
        if not LEARNT.search(name):
            every = [path.stem.rsplit("-", 1)[1] for path in paths]
            digits[name] = sorted({same_everywhere.get(each, each) for each in every})
    metrics = {
        path.parent.name: numbers(json.loads(path.read_text())) for path in metric_files(out)
    }
    here = machine(["torch", "numpy"]).split(", ", 1)[1]  # without the date
    return {"machine": here, "arrays": digits, "metrics": metrics}


def metric_files(out: Path) -> list[Path]:
    return sorted((out / "runs").glob("*/metrics.json"))


def numbers(value: object, name: str = "") -> dict[str, float]:
    """Every number in nested mappings and lists, by its dotted name."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {name: round(value, 6)} if is_number else {}
    flat = {}
    for key, inner in items:
        flat |= numbers(inner, f"{name}.{key}".lstrip("."))
    return flat


def contents(out: Path) -> dict:
    """SHA-256 of the content of all arrays and predictions; metrics as they are.

    Arrays are known by their name alone: the digits of what a trained network made hold the
    fingerprint of its checkpoint, which holds the paths of its run.
    """
    files = arrays(out)
    for path in sorted((out / "runs").glob("*/predictions/*.csv")):
        files[str(path.relative_to(out))] = [path]
    digests = {
        name: sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
        for name, paths in files.items()
    }
    metrics = {
        str(path.relative_to(out)): numbers(json.loads(path.read_text()))
        for path in metric_files(out)
    }
    return {"files": digests, "metrics": metrics}


def differences(now: dict, before: dict, where: str = "") -> list[str]:
    """A line for each entry that only one of the two has, or that differs."""
    lines = []
    for key in sorted({*now, *before}):
        name = f"{where}{key}"
        if key not in before or key not in now:
            lines.append(f"{name}: {'new' if key in now else 'gone'}")
        elif isinstance(now[key], dict):
            lines += differences(now[key], before[key], f"{name}: ")
        elif not same(now[key], before[key]):
            lines.append(f"{name}: {before[key]} -> {now[key]}")
    return lines


def same(now: object, before: object) -> bool:
    if isinstance(now, float | int) and isinstance(before, float | int):
        return abs(now - before) <= TOLERANCE
    return now == before


if __name__ == "__main__":
    main()
