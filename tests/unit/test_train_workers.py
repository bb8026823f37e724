"""Two processes that train together, on processors (gloo): their gradients, sums and weights that are cut between them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from burnqed.core.errors import BadInput
from burnqed.train.config import OptimizerConfig
from burnqed.train.optimizer import make_optimizer, optimizer_tensors, restore_optimizer
from burnqed.train.workers import Workers, clip, is_cut, put, whole

# What is collected while these wait for other processes was left by other tests, and is theirs to answer for.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LR = OptimizerConfig(lr=0.1, weight_decay=0.01)
BATCH, CLIP = 6, 0.5


class Layer(nn.Module):
    """Something frozen and something that learns, as a layer with a LoRA has it."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.learns = nn.Linear(5, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.frozen(x) + self.learns(x))


def make() -> tuple[nn.ModuleList, nn.Parameter]:
    """Two layers, and a weight outside them that is never cut."""
    torch.manual_seed(0)
    return nn.ModuleList([Layer(), Layer()]), nn.Parameter(torch.ones(5))


def course(workers: Workers) -> dict[str, Any]:
    """Two steps of training on each process's part of the rows, the second with an optimizer that was restored."""
    layers, outside = make()
    workers.shard_layers(layers)
    weights = {n: p for n, p in layers.named_parameters() if p.requires_grad} | {"outside": outside}
    unused = nn.Parameter(torch.ones(2))  # only the first process's rows need it
    weights["unused"] = unused
    optimizer = make_optimizer(weights, LR)
    rows = torch.randn(BATCH, 5, generator=torch.Generator().manual_seed(1))
    found: dict[str, Any] = {"losses": [], "norms": []}
    for _ in range(2):
        x = rows[workers.rank :: workers.world]
        for layer in layers:
            x = layer(x)
        loss = ((x * outside) ** 2).sum() / BATCH
        if workers.main:
            loss = loss + unused.sum() / BATCH
        loss.backward()
        workers.add_gradients(list(weights.values()))
        found["gradients"] = {n: whole(p.grad).tolist() for n, p in weights.items() if p.grad is not None}
        found["norms"].append(clip(list(weights.values()), CLIP))
        optimizer.step()
        optimizer.zero_grad()
        found["losses"] += workers.add([float(loss.detach())])
        stored = {n: t.clone() for n, t in optimizer_tensors(optimizer, weights).items()}
        optimizer = make_optimizer(weights, LR)
        restore_optimizer(optimizer, weights, stored)
    found["cut"] = sorted(n for n, p in weights.items() if is_cut(p))
    found["weights"] = {n: whole(p.detach()).tolist() for n, p in weights.items()}
    learns = weights["0.learns.weight"]
    put(learns.detach(), torch.arange(25.0).view(5, 5))
    found["put"] = whole(learns.detach()).tolist()
    found["own rows"] = len(learns.to_local()) if is_cut(learns) else len(learns)  # type: ignore[attr-defined]
    found["agreed"] = [workers.agree(workers.rank == 1), workers.agree(False)]
    found["added"] = workers.add([1.0 + workers.rank, 0.5])
    workers.wait()
    return found


def together(folder: Path) -> list[dict[str, dict[str, Any]]]:
    """What both processes found, with replicated weights and with cut ones.

    Tried again when they do not come together: a port that was free may be taken by the time they listen on it.
    """
    for _ in range(2):
        try:
            return tried(folder)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(error)
    return tried(folder)


def tried(folder: Path) -> list[dict[str, dict[str, Any]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder / f"{rank}.json")],
            env=os.environ | known | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in running:
            said, _ = process.communicate(timeout=120)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Both processes, started once."""
    return together(tmp_path_factory.mktemp("workers"))


@pytest.fixture(params=["replicated", "sharded"])
def both(request, pair):
    """The courses of both processes, and whether their layers were cut."""
    return [found[request.param] for found in pair], request.param == "sharded"


@pytest.fixture(scope="module")
def alone():
    """The course of a single process with all rows."""
    return course(Workers(device="cpu"))


def near(a: Any, b: Any) -> bool:
    return torch.allclose(torch.tensor(a), torch.tensor(b), atol=1e-6)


def test_two_take_the_course_that_one_takes(both, alone):
    for found in both[0]:
        assert found["losses"] == pytest.approx(alone["losses"], abs=1e-6)
        assert found["weights"].keys() == alone["weights"].keys()
        for name, weight in alone["weights"].items():
            assert near(found["weights"][name], weight), name


def test_gradients_are_summed_also_where_one_process_has_none(both, alone):
    for found in both[0]:
        for name, gradient in alone["gradients"].items():
            assert near(found["gradients"][name], gradient), name


def test_the_norm_is_that_of_all_weights_and_limits_them_together(both, alone):
    assert alone["norms"][0] > CLIP
    for found in both[0]:
        assert found["norms"] == pytest.approx(alone["norms"], abs=1e-6)


def test_only_layers_are_cut_and_only_when_it_is_asked_for(both):
    found, shard = both
    names = ["0.learns.weight", "1.learns.weight"] if shard else []
    assert [f["cut"] for f in found] == [names, names]
    assert [f["own rows"] for f in found] == ([3, 2] if shard else [5, 5])


def test_a_whole_tensor_is_put_into_what_is_cut(both):
    assert all(near(f["put"], torch.arange(25.0).view(5, 5).tolist()) for f in both[0])


def test_processes_agree_and_add(both):
    assert [f["agreed"] for f in both[0]] == [[True, False]] * 2
    assert [f["added"] for f in both[0]] == [[3.0, 1.0]] * 2


def test_one_process_alone_needs_nobody():
    workers = Workers(device="cpu")
    assert (workers.main, workers.world, workers.agree(True), workers.add([2.0])) == (True, 1, True, [2.0])
    with pytest.raises(BadInput, match="accelerate launch"):
        Workers(device="cpu", shard=True)


def test_clipping_scales_to_the_limit_and_no_limit_scales_nothing():
    p, q = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(()))
    for most, expected in ((0.0, 13.0), (20.0, 13.0), (1.3, 1.3)):
        p.grad, q.grad = torch.tensor([3.0, 4.0]), torch.tensor(12.0)
        assert clip([p, q], most) == pytest.approx(13.0)
        left = torch.cat([p.grad, q.grad[None]]).norm().item()
        assert left == pytest.approx(expected, rel=1e-5)
    assert clip([nn.Parameter(torch.zeros(2))], 1.0) == 0


if __name__ == "__main__":
    plain = Workers(device="cpu")
    courses = {"replicated": course(plain), "sharded": course(Workers(device="cpu", shard=True))}
    Path(sys.argv[1]).write_text(json.dumps(courses))
    plain.close()
