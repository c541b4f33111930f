"""Export networks as files that run without this repository: `python -m lib export RUN --to onnx`.

The folder holds the network as a file, a description of its tensors (`signature.json`), and a
program that runs it (`example.py`). The outputs of the file are compared with the network's before
the folder is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .. import grammar
from ..errors import InputError, explain_full_disk
from ..evaluation import checkpoint
from ..files import (
    ROOT,
    clear_leftovers,
    create_folder,
    expanded,
    read_json,
    temporary_folder,
    write_text,
)
from ..files import checkpoint as checkpoint_file
from ..models import checkpoints, export, networks, published, weights
from ..models.base import Model
from . import export_examples, export_signature

RUNS_FOLDER, WEIGHTS_FOLDER = ROOT / "runs", ROOT / "weights"
SIGNATURE, EXAMPLE = "signature.json", "example.py"
# Published weights by name -> entry of `lib.models.weights`, name of the network.
PUBLISHED = {
    "face_api": ("face_api", "face_api"),
    "face_api_landmarks": ("face_api_landmarks", "face_api_landmarks"),
    "light_asd": ("light_asd_ava", "light_asd"),
    "light_asd_ava": ("light_asd_ava", "light_asd"),
    "light_asd_talkset": ("light_asd_talkset", "light_asd"),
    "lr_asd_ava": ("lr_asd_ava", "lr_asd"),
    "lr_asd_talkset": ("lr_asd_talkset", "lr_asd"),
}
ROW_PER_FRAME = "one row per video frame, at the frame rate of the video"
AT_25 = "one row per video frame; the published weights learnt from 25 frames per second"


@dataclass(frozen=True)
class Source:
    """A network and its description.

    params, normalisation : of the training, empty for published weights. about : its origin, for
    `signature.json`. row : what one row over time is.
    """

    net: Model
    name: str
    folder: Path
    about: Mapping
    row: str
    params: Mapping = field(default_factory=dict)
    normalisation: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """The folder that was written, its files, and how far the outputs are from the network's."""

    folder: Path
    files: list[str]
    deviation: float
    note: str


def write(run: str, kind: str, out: Path | None = None, network: str = "") -> Exported:
    """Export a network.

    Arguments
    ---------
    run : a run's name or folder, a checkpoint, a file as its authors published it, or a name in
        `PUBLISHED`.
    kind : "onnx", "export" (`torch.export`) or "safetensors" (weights alone).
    out : folder to write to; by default ``export/<kind>`` in the run's folder, or
        ``<name>_<kind>`` in the current one.
    network : of a published file whose weights fit several.

    Raises InputError for something that is no network, for a network that cannot be exported, if
    the file's outputs differ from the network's, and if the folder has files of the same names
    that are no earlier export of this network; nothing is written then.
    """
    source = _source(run, network)
    folder = Path(out) if out else source.folder / kind
    if not out and not source.params:
        folder = source.folder / f"{source.name}_{kind}"
    file = export.FILES[kind]
    if out or not source.params:
        _refuse_others(folder, source, kind)
    with explain_full_disk(folder), temporary_folder(folder.parent, "export") as scratch:
        path = export.write(source.net, kind, scratch)
        deviations = export.deviation(source.net, path)
        create_folder(folder)
        signature = json.dumps(_signature(source, kind, deviations), indent=1, ensure_ascii=False)
        # Written first: it identifies an export that was killed, which is then done again.
        write_text(folder / SIGNATURE, signature + "\n")
        path.replace(folder / file)
    clear_leftovers(folder, deep=False)  # of a process that was killed
    write_text(folder / EXAMPLE, export_examples.example(kind, file))
    names, worst = [file, SIGNATURE, EXAMPLE], max(deviations.values())
    return Exported(folder, names, worst, source.about["note"])


def _refuse_others(folder: Path, source: Source, kind: str) -> None:
    """Raise InputError where files would be replaced, or described wrongly from then on, that
    another network's export or a person wrote.
    """
    names = sorted({*export.FILES.values(), SIGNATURE, EXAMPLE})
    there = [name for name in names if (folder / name).exists()]
    if not there:
        return
    try:
        before = read_json(folder / SIGNATURE)
    except InputError:
        before = {}
    mine = {"file": export.FILES[kind], "network": source.net.name, **source.about}
    told = ("file", "network", "name", "recipe", *(() if source.params else ("worth",)))
    is_mine = isinstance(before, dict) and all(before.get(name) == mine[name] for name in told)
    if not is_mine or {*there} - {mine["file"], SIGNATURE, EXAMPLE}:
        raise InputError(
            f"the folder has files that are no export of this network as {kind}: "
            f"{', '.join(there)}",
            where=folder,
            expected="a new folder, or one with an earlier export of the same",
            todo="name another folder with --out, or remove them",
        )


def _signature(source: Source, kind: str, deviations: Mapping[str, float]) -> dict:
    net = source.net
    tensors = export_signature.describe(net, source.params, source.normalisation, source.row)
    return {
        "file": export.FILES[kind],
        "network": net.name,
        "options": net.options,
        "rules": "published" if net.compat else "corrected",
        **source.about,
        **tensors,
        "largest_deviation": deviations,
        "made_with": {"torch": torch.__version__},
    }


def _source(run: str, network: str) -> Source:
    name = network
    if run in PUBLISHED and not Path(run).exists():
        entry, name = PUBLISHED[run]
        path = weights.find(entry, WEIGHTS_FOLDER)
    else:
        path = _file(run)
    return _published(path, name) if checkpoint.is_published(path) else _trained(path)


def _file(run: str) -> Path:
    """The checkpoint or weights file that a text means; paths count from the current folder."""
    path = expanded(run)
    best = path / "checkpoints" / "best.pt"
    if best.is_file():
        return best
    return path if path.is_file() else checkpoint_file(run, RUNS_FOLDER)


def _trained(path: Path) -> Source:
    """The network of a checkpoint of ours, from that file alone."""
    saved = checkpoints.load(path)
    recipe = checkpoint.recipe_of(saved, {}, None)
    net = recipe.trained(saved["model"])
    checkpoints.fill(net, saved, path)
    inside = path.parent.name == "checkpoints"
    folder = path.parents[1] / "export" if inside else Path(f"{path.stem}_export")
    params, counts = saved["params"], _counting(saved["params"])
    about = {
        "name": path.parents[1].name if inside else path.name,
        "recipe": params["recipe"],
        "learnt_from": {"dataset": params["dataset"], "trials": len(saved.get("trained_on", []))},
        "epoch": saved.get("epoch"),
        "frame_rate": saved["statistics"].get("fps"),
        "sd_factor": saved["statistics"].get("sd_factor"),
        "worth": checkpoint.worth(path),
        "licence": f"weights trained here; the licence of the data holds; {_of_features(recipe)}",
        "note": checkpoint.note(path),
        "parameters": counts,
    }
    return Source(net, about["name"], folder, about, recipe.row(), params, recipe.normalisation())


def _of_features(recipe) -> str:
    """The licence of the published weights that a network's features come from."""
    try:
        licence = recipe.licence_of_features()
    except InputError:  # a checkpoint that was copied without its features
        return "of the weights that gave its features: not known here, their file is not there"
    return f"of the weights that gave its features: {licence or 'none that others published'}"


def _counting(params: Mapping) -> dict:
    """Parameters that a training depends on: no places, nothing of a machine."""
    left_out = grammar.of_groups(grammar.all_declared(), grammar.NOT_OF_A_TRAINING)
    return {name: value for name, value in params.items() if name not in left_out}


def _published(path: Path, network: str) -> Source:
    """A network with its authors' weights."""
    name = network or _network_of(path)
    net = published.load_published(name, path)
    about = {
        "name": name,
        "recipe": "",
        "learnt_from": {"dataset": "see `python -m lib weights card`", "trials": None},
        "epoch": None,
        "frame_rate": 25.0 if name.startswith(("light_asd", "lr_asd", "talknet")) else None,
        "sd_factor": None,
        "worth": checkpoint.worth(path),
        "licence": net.licence,
        "note": "",
        "parameters": {},
    }
    row = AT_25 if about["frame_rate"] else ROW_PER_FRAME
    return Source(net, name, Path(), about, row)


def _network_of(path: Path) -> str:
    """The one network whose published weights have a file's names."""
    if path.suffix == published.MANIFEST:
        last = published.read(path)["manifest"].get("fc/weights")
        names = [
            name
            for name in ("face_api", "face_api_landmarks")
            if last is not None and last.shape[-1] == networks.REGISTRY[name]().fc.out_features
        ]
    else:
        names = published.networks_of(published.weights_in(published.read(path), path))
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"weights of {' or '.join(names) or 'no network that is known here'}",
        where=path,
        expected="the weights of one network",
        todo="say which with --network" if names else "name a run, or another file",
    )
