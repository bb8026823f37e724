"""The losses against sums written out by hand, against torch's own, and their gradients against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from burnqed.joint.losses import carried_by_hardest, chance, curl, depth_regression, info_nce, margin_ranking

ROWS, NEGATIVES = 5, 4


@pytest.fixture
def energies() -> torch.Tensor:
    return torch.randn(ROWS, NEGATIVES + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def mask() -> torch.Tensor:
    mask = torch.rand(ROWS, NEGATIVES + 1, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[:, 0] = True
    mask[0, 1:] = False  # a row without a negative
    mask[1] = True
    return mask


def info_nce_by_hand(row: list[float]) -> float:
    return row[0] + math.log(sum(math.exp(-e) for e in row))


def margin_by_hand(row: list[float], margin: float) -> float:
    hinges = [max(0.0, margin + row[0] - e) for e in row[1:]]
    return sum(hinges) / len(hinges) if hinges else 0.0


def kept(energies: torch.Tensor, mask: torch.Tensor) -> list[list[float]]:
    return [row[m].tolist() for row, m in zip(energies, mask, strict=True)]


def test_info_nce_is_what_its_formula_says(energies):
    expected = [info_nce_by_hand(row) for row in energies.tolist()]
    assert info_nce(energies).tolist() == pytest.approx(expected, rel=1e-12)


def test_info_nce_leaves_masked_columns_out(energies, mask):
    expected = [info_nce_by_hand(row) for row in kept(energies, mask)]
    assert info_nce(energies, mask=mask).tolist() == pytest.approx(expected, rel=1e-12)
    assert info_nce(energies, mask=mask)[0] == 0, "without negatives there is nothing to tell apart"


def test_info_nce_of_equal_energies_is_chance():
    for k in (1, 3, 7):
        assert info_nce(torch.full((2, k + 1), 2.5)).tolist() == pytest.approx([chance(k)] * 2, rel=1e-6)
    assert chance(3) == pytest.approx(1.3862943611)


def test_info_nce_falls_with_the_energy_of_the_positive_and_rises_with_that_of_none():
    energies = torch.zeros(1, 4, requires_grad=True)
    info_nce(energies).sum().backward()
    assert energies.grad is not None
    assert energies.grad[0, 0] > 0, "descent lowers the positive"
    assert (energies.grad[0, 1:] < 0).all(), "and lifts the negatives"


def test_info_nce_survives_huge_energies_and_half_precision(energies):
    assert info_nce(torch.tensor([[1e4, -1e4]])).item() == pytest.approx(2e4)
    half = info_nce(energies.to(torch.bfloat16))
    assert half.dtype == torch.float32
    assert half.tolist() == pytest.approx(info_nce(energies.to(torch.bfloat16).double()).tolist(), rel=1e-5, abs=1e-6)


def test_what_is_masked_may_be_anything(energies, mask):
    spoiled = energies.masked_fill(~mask, math.nan).requires_grad_()
    for losses in (info_nce(spoiled, mask=mask), margin_ranking(spoiled, margin=1.0, mask=mask)):
        (gradient,) = torch.autograd.grad(losses.sum(), spoiled)
        assert losses.isfinite().all()
        assert (gradient[~mask] == 0).all()
        assert gradient.isfinite().all()


def test_the_positive_takes_part_whatever_its_mask_says(energies, mask):
    without = mask.clone()
    without[:, 0] = False
    assert torch.equal(info_nce(energies, mask=without), info_nce(energies, mask=mask))


@pytest.mark.parametrize("margin", [0.0, 1.0, 4.0])
def test_margin_ranking_is_what_its_formula_says(energies, mask, margin):
    found = margin_ranking(energies, margin)
    assert found.tolist() == pytest.approx([margin_by_hand(row, margin) for row in energies.tolist()], rel=1e-12)
    ones = torch.ones(ROWS, NEGATIVES, dtype=torch.float64)
    positive, negative = energies[:, :1].expand_as(ones), energies[:, 1:]
    theirs = nn.functional.margin_ranking_loss(negative, positive, ones, margin=margin, reduction="none")
    assert torch.allclose(found, theirs.mean(dim=1))
    masked = margin_ranking(energies, margin, mask=mask)
    assert masked.tolist() == pytest.approx([margin_by_hand(row, margin) for row in kept(energies, mask)], rel=1e-12)


def test_depth_regression_is_what_its_formula_says():
    energy = torch.tensor([-2.0, 0.0, 0.5, 8.0], dtype=torch.float64)
    remaining = torch.tensor([1, 2, 9, 3])
    gain, offset = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    expected = []
    for e, left in zip(energy.tolist(), remaining.tolist(), strict=True):
        off = abs(math.log(1 + math.exp(0.3)) * e + 0.7 - math.log(1 + left))
        expected.append(0.5 * off * off if off < 1 else off - 0.5)
    found = depth_regression(energy, remaining, gain=gain, offset=offset)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    assert max(expected) > 1 > min(expected), "both branches were seen"


@pytest.mark.parametrize("gain", [-20.0, 0.0, 20.0])
def test_depth_regression_never_turns_the_energy_round(gain):
    """Of a state that is foretold too near, descent raises the energy."""
    energy = torch.zeros(1, requires_grad=True)
    loss = depth_regression(energy, torch.tensor([50]), gain=torch.tensor(gain), offset=torch.tensor(0.0))
    loss.sum().backward()
    assert energy.grad is not None
    assert energy.grad.item() < 0


def test_curl_is_what_its_formula_says():
    rng = np.random.default_rng(0)
    query, key, weight = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.normal(size=(3, 3))
    expected = []
    for i in range(6):
        scores = [sum(query[i, a] * weight[a, b] * key[j, b] for a in range(3) for b in range(3)) for j in range(6)]
        expected.append(math.log(sum(math.exp(s) for s in scores)) - scores[i])
    found = curl(*map(torch.tensor, (query, key)), weight=torch.tensor(weight))
    assert found.tolist() == pytest.approx(expected, rel=1e-10)


def test_curl_gives_keys_no_gradient_and_survives_large_scores():
    query, key, weight = (torch.randn(4, 4, requires_grad=True) for _ in range(3))
    losses = curl(100 * query, 100 * key, weight=100 * weight)
    assert losses.isfinite().all()
    losses.sum().backward()
    assert key.grad is None
    assert query.grad is not None
    assert weight.grad is not None


def test_curl_of_equal_views_is_less_than_chance_and_of_equal_states_is_chance():
    apart = 5 * torch.eye(8)
    assert (curl(apart, apart, weight=torch.eye(8)) < 1e-6).all()
    same = torch.ones(8, 8)
    assert curl(same, same, weight=torch.eye(8)).tolist() == pytest.approx([chance(7)] * 8, rel=1e-5)


def test_gradients_agree_with_finite_differences(energies, mask):
    def double(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()

    e = energies.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: info_nce(x, mask=mask), e)
    assert torch.autograd.gradcheck(lambda x: margin_ranking(x, margin=1.0, mask=mask), e)
    left = torch.tensor([1, 2, 5, 30])
    assert torch.autograd.gradcheck(
        lambda x, g, o: depth_regression(x, left, gain=g, offset=o), (double(4), double(), double())
    )
    key = torch.randn(4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda q, w: curl(q, key, weight=w), (double(4, 3), double(3, 3)))


@pytest.mark.parametrize(
    ("loss", "carrying"), [(info_nce, [1, 1]), (lambda energies: margin_ranking(energies, 1.0), [1, 0])]
)
def test_the_hardest_negative_carries_what_all_negatives_did(loss, carrying):
    energies = torch.tensor([[0.3, 0.1, 0.9, 4.0], [-5.0, 3.0, 0.0, 9.0]], dtype=torch.float64, requires_grad=True)
    loss(energies).sum().backward()
    hardest = 1 + energies.detach()[:, 1:].argmin(dim=1)
    carried = energies.grad * carried_by_hardest(energies.grad, hardest)
    assert carried[:, 0].tolist() == energies.grad[:, 0].tolist()
    assert carried.sum(dim=1).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    assert [row.count_nonzero().item() for row in carried[:, 1:]] == carrying
