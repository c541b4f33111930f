"""Checkpoints of our own trainings: what may stand in them, and reading them without running
anything.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from ..errors import InputError


def plain(params: Mapping) -> dict:
    """Parameters as numbers and text, as a checkpoint may hold them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dict(params).items()
    }


def load(path: Path) -> dict:
    """A checkpoint of ours. Raises InputError when it is missing or no such file."""
    if not Path(path).is_file():
        raise InputError(
            "the checkpoint is not there",
            where=path,
            todo="train first (notebook 05_train), or correct the run's name",
        )
    try:
        # Anything but a zip archive would be read as an old bare pickle, which fails in many ways.
        saved = (
            torch.load(path, map_location="cpu", weights_only=True)
            if zipfile.is_zipfile(path)
            else None
        )
    except (pickle.UnpicklingError, RuntimeError) as error:  # code in it, or a damaged archive
        raise InputError(
            "a checkpoint that is damaged or holds more than numbers and text",
            where=path,
            expected="a file as 05_train writes it",
            todo="copy it again, or train again",
        ) from error
    if not isinstance(saved, dict) or not {"model", "params"} <= set(saved):
        raise InputError(
            "a file that is not a checkpoint of this project",
            where=path,
            expected="model, params, state, … as 05_train writes them",
        )
    return saved


def fill(model: torch.nn.Module, saved: Mapping, path: Path) -> None:
    """Give a network the weights of a checkpoint. Raises InputError where they are those of a
    network of another form, as after an upgrade that changed the method's sizes.
    """
    if odd := misfits(model.state_dict(), saved["model"]):
        raise InputError(
            f"weights of a network of another form: {len(odd)} differ in name or size, first "
            f"{odd[0]}",
            where=path,
            expected="weights that this version of the method has trained",
            todo="give this experiment another name with `run`, or rename the old folder, and "
            "train again",
        )
    model.load_state_dict(saved["model"])


def misfits(mine: Mapping[str, torch.Tensor], its: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of weights that only one of two state dicts has, or that differ in shape."""
    return sorted(
        name
        for name in {*mine, *its}
        if name not in mine or name not in its or mine[name].shape != its[name].shape
    )
