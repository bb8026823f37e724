"""One process or several: who takes which part of a step, and how their gradients meet.

``accelerate launch`` (or torchrun) starts the processes; this finds out which one it is in. Weights are replicated; with
``shard`` those of the decoder layers are cut into parts instead (FSDP), gathered for each layer as it is needed. Losses are sums
over a process's part divided by the size of the whole step, so gradients are added, never averaged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from burnqed.core.errors import BadInput
from burnqed.models.loading import chosen_device


class Workers:
    """One process among all that train together. Without a launcher it is the only one."""

    def __init__(self, *, device: str = "auto", shard: bool = False) -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.shard = shard
        self.device = chosen_device(device)
        if self.world > 1:
            self._join(device)
        elif shard:
            raise BadInput("--shard cuts the weights among several processes; start it with: accelerate launch")

    def _join(self, device: str) -> None:
        from accelerate import PartialState

        make: Any = PartialState
        state = make(cpu=device == "cpu" or not torch.cuda.is_available())
        self.rank, self.world = int(state.process_index), int(state.num_processes)
        self.device = torch.device(state.device)

    @property
    def main(self) -> bool:
        """Whether this one writes files and talks."""
        return self.rank == 0

    def shard_layers(self, layers: Iterable[nn.Module]) -> None:
        """Cut the weights of these layers among the processes (FSDP2)."""
        if not self.shard:
            return
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        cut: Any = fully_shard
        mesh = init_device_mesh(self.device.type, (self.world,))
        for layer in layers:
            cut(layer, mesh=mesh)

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum gradients over the processes. Where a process has none, it counts as zero.

        Weights that are replicated go in one flat message; those that are cut were averaged by FSDP on the way.
        """
        if self.world == 1:
            return
        flat: list[nn.Parameter] = []
        for p in parameters:
            if is_cut(p):
                if p.grad is not None:
                    p.grad.mul_(self.world)
                continue
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            flat.append(p)
        if not flat:
            return
        message = torch.cat([p.grad.flatten() for p in flat if p.grad is not None])
        dist.all_reduce(message)
        for p, part in zip(flat, torch.split(message, [p.numel() for p in flat]), strict=True):
            assert p.grad is not None
            p.grad.copy_(part.view_as(p))

    def add(self, values: Sequence[float]) -> list[float]:
        """Sums over the processes."""
        if self.world == 1:
            return list(values)
        message = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(message)
        found: list[float] = message.tolist()
        return found

    def same(self, values: dict[str, float]) -> dict[str, float]:
        """The first process's values, for all."""
        if self.world == 1:
            return values
        box = [values]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()

    def agree(self, value: bool) -> bool:
        """Whether any process says yes."""
        return self.add([float(value)])[0] > 0

    def close(self) -> None:
        """Leave the others."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()


def is_cut(tensor: Tensor) -> bool:
    """Whether only a part of it is here."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, gathered if it is cut; every process must ask."""
    cut: Any = tensor
    return cut.full_tensor() if is_cut(tensor) else tensor


@torch.no_grad()
def put(into: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be cut."""
    value = value.to(into.device, into.dtype)
    if is_cut(into):
        from torch.distributed.tensor import distribute_tensor

        spread: Any = distribute_tensor
        cut: Any = into
        value = spread(value, cut.device_mesh, cut.placements)
    into.copy_(value)


@torch.no_grad()
def clip(parameters: Sequence[nn.Parameter], most: float) -> float:
    """Scale gradients to a norm of at most ``most`` over all of them (0: leave them); returns the norm before.

    Cut weights contribute the parts that the other processes hold as well.
    """
    squares = [whole(p.grad.float().square().sum()) for p in parameters if p.grad is not None]
    norm = float(torch.stack([s.double() for s in squares]).sum().sqrt()) if squares else 0.0
    if most and norm > most:
        for p in parameters:
            if p.grad is not None:
                p.grad.mul_(most / (norm + 1e-6))
    return norm
