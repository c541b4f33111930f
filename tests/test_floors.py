"""The floors of lib/: a module imports only from lower floors or, without circles, its own."""

import ast

import pytest

from lib.declarations import ROOT

FLOORS = [
    {"errors", "trials", "params", "declarations", "sources", "colab", "threads"},
    {"store", "media", "containers", "labels", "windows", "losses", "metrics", "baselines", "smoothing", "progress",
     "device", "processes", "locks", "crops", "pictures", "pickles", "folds", "ranks", "release", "published_rows",
     "pseudo_labels", "checkpoints", "asd_crops", "asd_augmentation", "speaking_losses", "annotators", "label_tables"},
    {"datasets"},
    {"models"},
    {"features", "faces", "published_faces", "face_arrays", "alignment", "detection", "tracking", "people", "audio",
     "audio_export", "clips", "weights", "sound_arrays", "network_arrays", "arrays", "asd_clips", "asd_windows",
     "speaking_arrays", "label_arrays", "feature_arrays"},
    {"recipes"},
    {"training", "forward", "inference", "submission", "plots", "viewer", "overlay", "affect_panel",
     "evaluation", "preprocessing", "runs", "data_check", "costs", "ensemble", "report", "clip_views", "speakers",
     "speaker_video", "roles", "delays", "errors_of_trials"},
    {"cluster", "dask_workers", "dispatch", "schedulers"},
    {"execution", "experiments", "crews", "pipeline", "comparison", "merging", "merging_folds", "clip_jobs",
     "clip_commands", "sweeps", "__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
FILES = sorted((ROOT / "lib").rglob("*.py"))
TORCH_FREE = {"params", "runs", "cluster", "sweeps", "pipeline", "execution", "experiments", "__main__",
              "store", "labels"}


def module(file):
    """``lib/features/mel.py`` → features; ``lib/__init__.py`` → ""."""
    parts = file.relative_to(ROOT / "lib").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imported(file, top_only=False):
    """Names below lib that a file imports: {"features", …}; with `top_only` only those of its first level."""
    tree = ast.parse(file.read_text())
    found = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file.name}: relative import in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("lib.")}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_import_goes_up(file):
    if name := module(file):
        assert name in FLOOR, f"say in FLOORS (and in the design) on which floor lib/{name} is"
        upward = {other for other in imported(file) if FLOOR.get(other, 99) > FLOOR[name]}
        assert not upward, f"lib/{name} (floor {FLOOR[name]}) imports {upward}"


def test_modules_of_a_floor_do_not_import_each_other_in_a_circle():
    edges = {}
    for file in FILES:
        edges.setdefault(module(file), set()).update(imported(file) - {module(file)})
    done = set()

    def visit(name, above):
        assert name not in above, f"circle: {' → '.join([*above, name])}"
        if name not in done:
            for other in sorted(edges.get(name, ())):
                visit(other, [*above, name])
            done.add(name)
    for name in sorted(edges):
        visit(name, [])


def test_what_the_command_line_needs_does_not_import_torch():
    """Imports at the first level, followed through lib; `torch` and `papermill` may be imported inside functions."""
    edges = {module(file): imported(file, top_only=True) for file in FILES if file.parent == ROOT / "lib"}
    heavy = {module(file) for file in FILES if any(
        name.split(".")[0] in ("torch", "papermill", "torchaudio")
        for node in ast.parse(file.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]))}
    for start in sorted(TORCH_FREE):
        reached, waiting = set(), [start]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += edges.get(name, ())
        assert not reached & heavy, f"lib/{start} reaches {reached & heavy}"


def test_nothing_in_lib_prints_or_shows():
    for file in FILES:
        calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls), file
        assert not any(isinstance(call, ast.Attribute) and call.attr == "show" for call in calls), file
