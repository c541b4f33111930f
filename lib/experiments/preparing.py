"""The work of notebooks 01 to 03 and 06 on trials, by all workers or by one process per GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from .. import arrays
from ..parallel import gpus, mapping, remote
from ..parallel.progress import Progress
from ..store import Request, Store, request
from ..trials import name
from . import long_films

BY_STRETCH = ", long ones by stretches"  # what is added to what a progress line counts


def make(
    rows: list[dict],
    requests: Iterable[Request],
    store: Store,
    p,
    optional: Iterable[Request] = (),
    pack: bool = True,
) -> list[mapping.Outcome]:
    """Make the arrays of all trials; see `arrays.make_all` and `mapping.map`.

    With a GPU, the workers first make the arrays that need no network, and the inputs of the
    networks. Then one process per GPU makes the rest: several copies of a network on one card would
    only use up its memory. On a cluster whose networks run in jobs of their own, these jobs make
    the rest.

    rows : of the trial table. p : parameters of the notebook: workers, device, parallel.
    """
    requests, optional = list(requests), list(optional)
    arguments = {"requests": requests, "store": store, "pack": pack, "optional": optional}
    workers = remote.current()
    count = int(workers.apart and p.device != "cpu") if workers else _gpus(p.device)
    if not count or not isinstance(p.parallel, str):  # a cluster's workers have GPUs of their own
        work = partial(arrays.make_all, device=p.device, **arguments)
        how = {"parallel": p.parallel, "networks": p.device != "cpu"}
        return _shared(work, rows, arguments, p.device, p.workers, **how)
    work, how = partial(arrays.make_before_networks, **arguments), {"parallel": p.parallel}
    before = _shared(work, rows, arguments, "", p.workers, **how)
    left = [
        index
        for index, outcome in enumerate(before)
        if outcome.ok and _left(rows[index], arguments)
    ]
    work = partial(arrays.make_by_networks, device=p.device, **arguments)
    how = {"label": "networks", "environments": _environments(count), "networks": True}
    after = _shared(work, [rows[index] for index in left], arguments, p.device, count, **how)
    for index, outcome in zip(left, after, strict=True):
        before[index] = _joined(before[index], outcome)
    return before


def check(
    work: Callable[[Mapping], object], rows: list[dict], store: Store, p
) -> list[mapping.Outcome]:
    """``work(row)`` for every trial, as notebook 01 looks at it; the frames of long recordings are
    decoded for their times by all workers, stretch by stretch. See `mapping.map`.

    rows : of the trial table. p : parameters of the notebook: workers, parallel.
    """
    arguments = {"requests": [request("time")], "optional": [], "store": store}
    how = {"label": "trials decoded", "parallel": p.parallel}
    return _shared(work, rows, arguments, "", p.workers, **how)


def predict(
    work: Callable[[str], object],
    names: Iterable[str],
    device: str,
    parts: Callable[[str], list] = lambda trial: [],
) -> list[mapping.Outcome]:
    """``work(trial)`` for every trial, as notebook 06 predicts: in this process, by one process per
    GPU if there are several, or by the workers of a cluster. See `mapping.map`.

    parts(trial) : what workers can share of a long recording (`prediction.parts`); each is given to
    `work` before the trial itself.
    """
    shared = long_films.Predicted(names, parts)
    count = max(1, 0 if remote.current() else _gpus(device))
    how = {"environments": _environments(count), "networks": True}
    if shared:
        how["then"] = shared.then
    label = f"trials{BY_STRETCH}" if shared else "trials"
    return shared.outcomes(mapping.map(work, shared.first(), count, Progress(label), **how))


def _environments(count: int) -> list[dict[str, str]]:
    """Those of `count` processes that see one GPU each; one process needs none."""
    return gpus.environments(count) if count > 1 else []


def _gpus(device: str) -> int:
    """Number of GPUs that `device` means; 0 for a CPU."""
    if device == "cpu":
        return 0
    import torch  # large, and not needed for a CPU

    from ..models import device as models_device

    return torch.cuda.device_count() if models_device.pick(device).type == "cuda" else 0


def _shared(
    work, rows, given: dict, device: str, workers: int, label: str = "trials", **how
) -> list[mapping.Outcome]:
    """Map by all workers; long recordings are shared in stretches. device : that of networks; "" if
    these workers leave what a network computes to others. how : see `mapping.map`.
    """
    requests = [*given["requests"], *given["optional"]]
    films = long_films.Films(rows, requests, given["store"], bool(device))
    if not films:
        return mapping.map(work, rows, workers, Progress(label), name=name, **how)
    outcomes = mapping.map(
        partial(long_films.do, work, given["store"], device or "cpu"),
        films.first(),
        workers,
        Progress(f"{label}{BY_STRETCH}"),
        name=long_films.name,
        then=films.then,
        **how,
    )
    return films.outcomes(outcomes)


def _left(trial: dict, given: dict) -> bool:
    requests = [*given["requests"], *given["optional"]]
    return any(arrays.needs_network(trial, item, given["store"]) for item in requests)


def _joined(first: mapping.Outcome, second: mapping.Outcome) -> mapping.Outcome:
    seconds = first.seconds + second.seconds
    value = [*first.value, *second.value] if second.ok else None
    return replace(second, value=value, seconds=seconds)
