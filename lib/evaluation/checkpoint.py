"""Checkpoints for prediction: which file a parameter means, for which data it may be used, how good
it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from .. import grammar, recipes, runs, trials
from ..datasets import is_synthetic
from ..errors import InputError
from ..files import checkpoint
from ..intervals import in_brackets, rounded
from ..media import bounds
from ..metrics import main_score
from ..models import checkpoints, device, published, weights
from ..parameters import Params, complete
from ..store import Store, fingerprint
from .prediction import Predictor

NO_ENDS = (None, None)  # validation score without an interval


def checkpoint_path(params) -> Path:
    """The checkpoint for notebook 06: `predict_run` (a run or a file), else the run's own best
    one.
    """
    file = "" if params.predict_run else params.get("params_file", "")
    return checkpoint(params.predict_run or params.run, params.runs_root, file)


def note(checkpoint: Path) -> str:
    """The sentence that must accompany this network's values: that it was trained on sample data,
    or what the licence of its data requires; "" for none.
    """
    return "" if is_published(checkpoint) else _note(checkpoints.load(checkpoint))


def _note(saved: Mapping) -> str:
    if is_synthetic(saved["params"]["dataset"]):
        return trials.SYNTHETIC_NOTE
    return saved.get("terms", "")


def worth(checkpoint: Path) -> str:
    """How far to trust a prediction, in words: run, data set and validation score. For a network
    trained on sample data it says first that its values have no meaning (`note`), and gives no
    score, which would suggest one. Last the network's card, where it has one.
    """
    if is_published(checkpoint):
        first = f"weights as their authors published them ({checkpoint.name}); not validated here"
        return "\n".join(filter(None, [first, weights.card_line_of(checkpoint)]))
    saved, folder = checkpoints.load(checkpoint), Path(checkpoint).parents[1]
    # A checkpoint outside its run folder has no scores beside it.
    metrics = {}
    if Path(checkpoint).parent.name == "checkpoints":
        metrics = runs.Run(folder).read_json("metrics.json", {})
    name = folder.name if Path(checkpoint).parent.name == "checkpoints" else Path(checkpoint).name
    dataset, options = saved["params"]["dataset"], saved["params"].get("options", {})
    card = weights.card_line(saved["params"]["recipe"], options.get("network", ""))
    if is_synthetic(dataset):
        return "\n".join(filter(None, [_note(saved), f"run {name}, trained on {dataset}", card]))
    scores = _scores((metrics or {}).get("val", {}))
    validation = "not validated yet (no metrics.json beside its checkpoint)"
    if scores:
        validation = f"validation {scores}"
    first = f"run {name}, trained on {dataset}: {validation}"
    return "\n".join(filter(None, [first, _note(saved), card]))


def _scores(val: Mapping) -> str:
    """``CCC valence 0.83 [0.79, 0.88], arousal 0.88``, F1, or AP of speaking; "" for none."""
    parts = []
    va = [(emotion, val.get(emotion, {})) for emotion in ("valence", "arousal")]
    for label, key, entries in (
        ("CCC", "ccc", va),
        ("UAR", "uar", [("expression", val.get("expression", {}))]),
        ("F1", "f1_macro", [("expression", _scored_by(val, "f1_macro"))]),
        ("F1", "f1_mean", [("action units", val.get("action_units", {}))]),
        ("AP", "ap", [("who speaks", val.get("speaking", {}))]),
    ):
        values = [
            f"{name} {rounded(entry[key])}{in_brackets(*(entry.get('ci95') or NO_ENDS))}"
            for name, entry in entries
            if entry.get(key) is not None
        ]
        parts += [f"{label} {', '.join(values)}"] if values else []
    return "; ".join(parts)


def _scored_by(val: Mapping, first: str) -> Mapping:
    """The scores of expressions, where `first` is the one that has the interval."""
    scores = val.get("expression", {})
    return scores if main_score(scores) == first else {}


def is_published(path: Path) -> bool:
    """Whether a file is one that a paper's authors published (`published.weights_in`), and not a
    run's.

    Raises InputError if it would run code, or where it holds no weights. Absent files and damaged
    archives are left to the reader of our own checkpoints, which reports them.
    """
    try:
        content = published.read(path)
    except published.UnsafeError:
        raise
    except InputError:
        if Path(path).is_file() and not bounds.is_archive(path):
            raise
        return False
    if Path(path).suffix == published.MANIFEST:
        return True
    return not published.is_run(content) and bool(published.weights_in(content, path))


def open_checkpoint(path: Path, params) -> dict:
    """params, statistics, epoch, licence and, for a checkpoint of ours, the model.

    An authors' file has no parameters: they are those of the run folder that it is used in, with
    published rules.
    """
    if not is_published(path):
        return {"licence": "", **checkpoints.load(path)}
    # Parameters that notebook 06 does not declare were recorded in the run folder by earlier
    # notebooks.
    left = runs.parameters(Path(params.runs_root) / params.run) or {"rules": "published"}
    values = {**left, **checkpoints.plain(params)}
    names = grammar.all_declared()
    full = complete({name: value for name, value in values.items() if name in names})
    if full["rules"] != "published":
        raise InputError(
            f"rules: {full['rules']}",
            where=path,
            expected="published: these weights learnt by those",
            todo="set `rules: published`, and prepare the arrays with it (notebooks 01 to 04)",
        )
    licence = published.licence(recipes.network(full["recipe"]), path)
    return {"model": {}, "params": full, "statistics": {}, "epoch": 0, "licence": licence}


def load(path: Path, params, store: Store) -> Predictor:
    """Load a checkpoint, of ours or as its authors published it, as a Predictor for `store`.

    The recipe gets the parameters that it was trained with; only paths and device are taken from
    `params`. Raises InputError if the checkpoint is missing or needs a modality that the data lack.
    """
    saved = open_checkpoint(path, params)
    recipe, torch_device = recipe_of(saved, params, store), device.pick(params.device)
    model = recipe.model()
    if saved["licence"]:
        published.fill(model, path)
    else:
        checkpoints.fill(model, saved, path)
    return Predictor(
        recipe,
        model.to(torch_device).eval(),
        torch_device,
        fingerprint(path),
        saved["epoch"],
        is_synthetic(saved["params"]["dataset"]) and not saved["licence"],
        saved["licence"],
        params.get("precision", "auto"),
        params.get("compiled", False),
        saved.get("terms", ""),
        partial(load, path, params, store),
        tuple(map(str, saved.get("trained_on", ()))),
    )


def recipe_of(saved: Mapping, params, store: Store | None):
    """The recipe of a checkpoint, as it was trained, for the data of `store` (None: for no data).

    params : paths and device to use here; {} for those of the training.
    """
    free = grammar.of_groups(grammar.all_declared(), grammar.NOT_OF_A_TRAINING)
    here = {name: params[name] for name in free if name in params}
    name = saved["params"]["recipe"]
    options = grammar.defaults(grammar.recipes().get(name, {})) | saved["params"]["options"]
    recipe = recipes.create(name, Params({**saved["params"], **here, "options": options}), store)
    recipe.statistics = saved["statistics"]
    return recipe
