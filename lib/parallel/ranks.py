"""Several processes that train one network (torchrun): each computes a part of every batch, and all
have the loss of the whole batch.

Nothing is averaged over processes: outputs are gathered, so that a loss over the batch (CCC) is
that of the whole batch, and gradients are summed. Without batch norm and dropout the result equals
that of one process up to rounding.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from operator import itemgetter

import torch
from torch import distributed

from . import masks

PATIENCE = timedelta(hours=24)  # the others wait while the first one validates


def count() -> int:
    """Number of processes of this training; 1 without torchrun."""
    if "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        return 1
    return int(os.environ.get("WORLD_SIZE", "1"))


def store(name: str):
    """The key-value store through which all processes exchange messages under this name; torchrun
    hosts it, otherwise rank 0.
    """
    here = os.environ["RANK"] == "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    tcp_store = distributed.TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=here, timeout=PATIENCE
    )
    return distributed.PrefixStore(name, tcp_store)


class Ranks:
    """This process among all: `rank` 0 is the first one, which writes; `size` is their number."""

    def __init__(self):
        self.size = count()
        self.rank = int(os.environ["RANK"]) if self.size > 1 else 0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def here(self) -> int:
        """Number of ranks on this machine."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.size)) if self.size > 1 else 1

    def device(self, device: torch.device) -> torch.device:
        """The device of this process: with several GPUs on the machine, its own one."""
        if self.size == 1 or device.type != "cuda":
            return device
        local = int(os.environ.get("LOCAL_RANK", self.rank))
        torch.cuda.set_device(local % torch.cuda.device_count())
        return torch.device("cuda", local % torch.cuda.device_count())

    @contextlib.contextmanager
    def joined(self, device: torch.device) -> Iterator[None]:
        """Inside this block the processes form a process group and can communicate."""
        if self.size == 1:
            yield
            return
        # Consecutive trainings (a run and the one that it builds on) must not find each other's
        # addresses.
        own = store(f"training {os.environ.get('TRAINING_NUMBER', '')}")
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            timeout=PATIENCE,
            store=own,
            rank=self.rank,
            world_size=self.size,
        )
        try:
            yield
        finally:
            distributed.destroy_process_group()

    def part(self, batch: Mapping[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
        """This process's share of a batch of `number` items: its rows of all tensors with `number`
        rows.

        If there are fewer items than processes, a process without an item gets the last one again;
        `whole` leaves it out.
        """
        if self.size == 1:
            return dict(batch)
        first, last = self._bounds(number)
        first = min(first, number - 1)
        cut = itemgetter(slice(first, max(last, first + 1)))
        return {
            name: masks.derived(cut, tensor)
            if tensor.ndim and tensor.shape[0] == number
            else tensor
            for name, tensor in batch.items()
        }

    def _bounds(self, number: int, rank: int | None = None) -> tuple[int, int]:
        rank = self.rank if rank is None else rank
        share = -(-number // self.size)
        return min(rank * share, number), min((rank + 1) * share, number)

    def whole(self, outputs: Mapping[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
        """All-gather: outputs of all processes for a batch of `number` items, in the batch's order.
        Gradients flow into this process's own rows only.

        Every output has one row per item.
        """
        if self.size == 1:
            return dict(outputs)
        return {name: self._gather(outputs[name], number) for name in sorted(outputs)}

    def _gather(self, mine: torch.Tensor, number: int) -> torch.Tensor:
        share = -(-number // self.size)
        sent = mine.detach().contiguous()
        if len(sent) < share:
            sent = torch.cat([sent, sent.new_zeros(share - len(sent), *sent.shape[1:])])
        pieces = [torch.empty_like(sent) for _ in range(self.size)]
        distributed.all_gather(pieces, sent)
        parts = []
        for rank, piece in enumerate(pieces):
            first, last = self._bounds(number, rank)
            parts.append((mine if rank == self.rank else piece)[: last - first])
        return torch.cat(parts)

    def add_gradients(self, model: torch.nn.Module) -> None:
        """All-reduce: sum the gradients of all processes; a missing gradient counts as zero."""
        if self.size == 1:
            return
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        flat = torch.cat([weight.grad.reshape(-1) for weight in weights])
        distributed.all_reduce(flat)
        for weight, piece in zip(
            weights, flat.split([weight.numel() for weight in weights]), strict=True
        ):
            weight.grad.copy_(piece.view_as(weight))

    def any(self, mine: bool, device: torch.device) -> bool:
        """Whether the value is true in at least one process."""
        if self.size == 1:
            return mine
        flag = torch.tensor(float(mine), device=device)
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
        return bool(flag.item())

    def from_first(self, function: Callable[[], object]) -> object:
        """Broadcast: the value of `function`, which only rank 0 calls."""
        if self.size == 1:
            return function()
        values = [function() if self.is_first else None]
        distributed.broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Barrier: wait for all ranks."""
        if self.size > 1:
            distributed.barrier()
