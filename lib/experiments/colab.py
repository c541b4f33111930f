"""Google Colab: install missing packages, copy data from Google Drive, write runs back there.

On other machines these functions do nothing, and no package of Google's is needed.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

from ..errors import InputError
from ..files import ROOT, temporary_name
from ..parallel.progress import is_colab

# Parameters that name a run, and those that name what a person brings.
RUN_PARAMETERS = ("run", "backbone_run", "predict_run", "speaker_run", "voice_run")
PLACE_PARAMETERS = ("data_root", "weights_root", "videos_path", "video_path", "segments_path")
MOUNT = ROOT.parent / "drive"  # beside the clone: /content/drive, where Colab's users look for it

# On Colab, Colab itself takes the place of JupyterLab.
NOT_NEEDED = frozenset(["jupyterlab"])

# Packages of the running kernel: if installed, they are kept in whatever version they have.
KERNEL_PACKAGES = frozenset(
    [
        "ipykernel",
        "ipython",
        "ipywidgets",
        "jupyter-client",
        "jupyter-core",
        "pyzmq",
        "tornado",
        "traitlets",
    ]
)

# The same modules under another name; installed over each other they would be broken.
SYNONYMS = {
    "opencv-python-headless": (
        "opencv-python",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    )
}


# ---- packages
def install(root: Path = ROOT) -> list[str]:
    """Install the requirements of pyproject.toml that this machine lacks; returns them as pip takes
    them.

    Uses ``--no-deps``, so that no installed package in range is replaced (exact pins would fetch
    PyTorch, 5 GB, again), and no installed package of `KERNEL_PACKAGES` at all; requirements of
    the new packages are treated in the same way. Only on Colab.
    """
    done: list[str] = []
    if is_colab():
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        while names := [
            name for name in lacking(project["dependencies"], done) if name not in done
        ]:
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *names], check=True
            )
            importlib.invalidate_caches()
            done += names
    return done


def lacking(requirements: Iterable[str], added: Iterable[str] = ()) -> list[str]:
    """The requirements that no installed package meets, including those of the packages `added`."""
    from packaging.requirements import Requirement  # Matplotlib brings it

    added_names, waiting, seen, unmet = (
        {Requirement(text).name for text in added},
        list(requirements),
        set(),
        [],
    )
    while waiting:
        requirement = Requirement(waiting.pop(0))
        if requirement.name in seen | NOT_NEEDED or (
            requirement.marker and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        seen.add(requirement.name)
        versions = [
            version
            for name in (requirement.name, *SYNONYMS.get(requirement.name, ()))
            if (version := _version(name))
        ]
        stays = requirement.name.lower().replace("_", "-") in KERNEL_PACKAGES and versions
        fits = any(
            requirement.specifier.contains(version, prereleases=True) for version in versions
        )
        if not (fits or stays):
            unmet.append(f"{requirement.name}{requirement.specifier}")
        elif requirement.name in added_names:
            waiting += metadata.requires(requirement.name) or []
    return unmet


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


# ---- Google Drive
def fetch(p: Mapping) -> None:
    """Mount Google Drive if the parameter `drive` names a folder in it; copy data, weights and runs
    to this machine.

    Copied are the Drive folder's `data` and `weights`, the recordings that parameters name, and
    ``runs/<run>`` of every run that they name, unless they are here already; reading many small
    files from Drive itself is slow. Without Drive it says so. Raises InputError when the disk has
    too little room.
    """
    folder = _folder(p)
    if folder is None:
        return
    run_names = {p[name] for name in RUN_PARAMETERS if p.get(name)}
    run_names |= {p["options"]["start_from"]} if p.get("options", {}).get("start_from") else set()
    places = [p[name] for name in PLACE_PARAMETERS if p.get(name)]
    places += [Path(p["runs_root"]) / name for name in sorted(run_names)]
    pairs = [(_in_drive(folder, Path(path)), Path(path)) for path in places]
    files: list[tuple[Path, Path]] = []
    for drive_path, here in pairs:
        files += [(source, here / source.relative_to(drive_path)) for source in _files(drive_path)]
    files = [(source, target) for source, target in files if not target.exists()]
    needed, free = sum(source.stat().st_size for source, _ in files), shutil.disk_usage(ROOT).free
    if needed > free:
        raise InputError(
            f"{needed / 1e9:.1f} GB in Google Drive, {free / 1e9:.1f} GB free",
            where=folder,
            expected="room for the data on this machine's disk",
            todo="keep a part of them in this folder",
        )
    for source, target in files:
        _copy(source, target)


def save(p: Mapping) -> None:
    """Write the run folder's new and changed files back to Google Drive, if Drive is used."""
    folder = MOUNT / p["drive"] if is_colab() and p["drive"] else None
    if folder is None or not folder.is_dir():
        return
    run = Path(p["runs_root"]) / p["run"]
    try:
        for source in _files(run):
            target = _in_drive(folder, run) / source.relative_to(run)
            if not target.exists() or source.stat().st_mtime > target.stat().st_mtime:
                _copy(source, target)
    except OSError as error:
        warnings.warn(
            f"the run could not be written to Google Drive ({error}): it lies in {run} and is "
            "lost with "
            "this machine",
            stacklevel=2,
        )


def on_epoch(p: Mapping) -> list[Callable]:
    """For a Trainer's `on_epoch`: `save`, since Colab may take its machine back at any time."""
    return [lambda history: save(p)] if p["drive"] else []


def _folder(p: Mapping) -> Path | None:
    """The folder of Google Drive, mounted and made; None without Drive."""
    if not p["drive"]:
        return None
    if not is_colab():
        return _without("this is not Google Colab")
    from google.colab import drive

    try:
        drive.mount(str(MOUNT))
        folder = MOUNT / p["drive"]
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError, *_errors()) as error:
        return _without(str(error))
    return folder


def _in_drive(folder: Path, path: Path) -> Path:
    """``data`` and ``runs/<run>`` as in Drive; what lies outside the clone by its last name."""
    return folder / (path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name)


def _errors() -> list[type]:
    """Exceptions that Colab raises besides Python's own, for example when access is denied."""
    places = (("google.colab.errors", "Error"), ("google.colab._message", "MessageError"))
    return [
        getattr(sys.modules[module], name)
        for module, name in places
        if hasattr(sys.modules.get(module), name)
    ]


def _without(why: str) -> None:
    warnings.warn(
        f"Google Drive is not used ({why}): data are taken from this machine, and runs stay on "
        "its disk. "
        "Leave `drive` empty where that is meant, or run this cell again.",
        stacklevel=4,
    )


def _files(folder: Path) -> list[Path]:
    """All files below a folder; a file by itself."""
    if folder.is_file():
        return [folder]
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
    )


def _copy(source: Path, target: Path) -> None:
    """A copy that exists is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_name(target) as part:
        shutil.copy2(source, part)
        part.replace(target)
