"""The files of a pretrained network: in a folder, in the Hugging Face hub's cache, or fetched from
the hub if the user and the experiment allow it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ..errors import InputError, foreign
from ..files import expanded
from ..files import resolve as path_of

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # as transformers names them, safer first
ON_THE_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
PIP = 'pip install -e ".[encoders]"'


def library(name: str) -> ModuleType:
    """A package of the extra `encoders`. Raises InputError with the line that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"the package {name} is not installed",
            where="pretrained encoders",
            expected="the extra `encoders` of this repository",
            todo=PIP,
        ) from error


def offline() -> bool:
    """Whether the user forbids the hub: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def cache() -> Path:
    """The hub's cache here (huggingface_hub's documentation, "Environment variables")."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    return expanded(os.environ.get("HF_HUB_CACHE") or f"{home}/hub")


def is_local(model: str) -> bool:
    """Whether `model` is a folder or file of this machine, and not a name on the hub."""
    return path_of(model).exists() or not ON_THE_HUB.fullmatch(model)


def folder(model: str) -> Path:
    """The folder of a network, or the file of a timm network; it need not exist."""
    if is_local(model):
        return path_of(model)
    repository = cache() / f"models--{model.replace('/', '--')}"
    newest = repository / "refs" / "main"
    commit = newest.read_text(encoding="utf-8").strip() if newest.is_file() else "main"
    return repository / "snapshots" / commit


def files(model: str) -> dict[str, Path]:
    """The files of a network, by the names of an array's inputs; required files are included even
    if absent.
    """
    path = folder(model)
    if is_local(model) and path.suffix and not path.is_dir():
        return {"weights": path}
    seen = path / PREPROCESSOR
    seen = {"seen": seen} if seen.is_file() else {}
    return {"config": path / CONFIG, **seen, **{part: path / part for part in _parts(path)}}


def _parts(path: Path) -> list[str]:
    """Names of the files of weights in a folder; the first kind's where there are none."""
    for name in WEIGHTS:
        index = path / f"{name}.index.json"
        if index.is_file():
            with foreign(index, "an index of weights", "fetch it again"):
                parts = read(index).get("weight_map", {}).values()
                return sorted({Path(part).name for part in parts})
        if (path / name).is_file():
            return [name]
    return [WEIGHTS[0]]


def fetch(model: str, allowed: bool, patterns: tuple[str, ...]) -> None:
    """Download some files of a network into the hub's cache.

    allowed : whether anything may be downloaded. Raises InputError with the command that downloads
    the network if that is not allowed or fails.
    """
    todo = f"`hf download {model}` where there is a network, or name a folder that has it"
    if not allowed or offline():
        why = "HF_HUB_OFFLINE forbids to fetch it" if offline() else "nothing may be fetched"
        raise _absent(model, why, todo)
    hub, http = library("huggingface_hub"), sys.modules.get("httpx")
    broken = (OSError, ValueError, *([http.HTTPError] if http else []))
    try:
        hub.snapshot_download(model, allow_patterns=list(patterns))
    except broken as error:
        reason = " ".join(str(error).split())[:160]
        raise _absent(model, f"the hub did not give it: {reason}", todo) from error


def _absent(model: str, why: str, todo: str) -> InputError:
    return InputError(
        f"the encoder {model} is not on this machine ({why})",
        where=folder(model),
        expected="a folder, a network in the hub's cache, or the hub",
        todo=todo,
    )


def read(file: Path) -> dict:
    """A JSON file of a network. Raises InputError where it is absent or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no mapping")
        return content
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"an encoder's {file.name} cannot be read ({type(error).__name__})",
            where=file,
            expected="a folder as `hf download` or save_pretrained writes it",
            todo="correct the setting `model`, or say `of: faces` or `of: sound`",
        ) from error


def complete(parts: Mapping[str, Path]) -> bool:
    return all(part.is_file() for part in parts.values())
