"""The energy head: its formula against an independent one, its norms, its file."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import ModelMismatch
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import ABOUT, WEIGHTS, EnergyHead, load_head, load_trained, save_head, store_calibration

SMALL = HeadConfig(dim=16, hidden=(64, 32, 16))
CARD = EncoderCard(model="m", tokenizer="t", prompt_format="markers", dim=16, max_tokens=512)


@pytest.fixture
def head() -> GoalConditionedEnergyHead:
    torch.manual_seed(0)
    return GoalConditionedEnergyHead(SMALL)


def pairs(n: int, dim: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, dim, generator=generator), torch.randn(n, dim, generator=generator)


def test_the_full_size_has_27_8_million_parameters():
    with torch.device("meta"):
        widths = [3 * 4096, 2048, 1024, 512, 1]
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    expected = sum(p.numel() for layer in layers for p in layer.parameters()) + 2  # and temperature and scale
    head = GoalConditionedEnergyHead(HeadConfig(dim=4096))
    assert sum(p.numel() for p in head.parameters()) == expected
    assert round(expected / 1e6, 1) == 27.8


def test_the_energy_is_the_formula_of_the_seed(head):
    """Against the same formula written out with singular values from a decomposition."""
    for _ in range(60):
        head.train()
        head(*pairs(4))  # the power iteration comes to rest
    head.eval()
    z_state, z_goal = pairs(5)
    x = torch.cat([z_state, z_goal, z_state * z_goal], dim=1).double() * SMALL.input_scale
    for number, layer in enumerate(head.layers):
        weight = layer.parametrizations.weight.original.detach().double()
        x = x @ (weight / torch.linalg.svdvals(weight)[0]).T + layer.bias.detach().double()
        if number < len(head.layers) - 1:
            x = x * torch.sigmoid(x)
    expected = x.squeeze(1) / head.temperature.detach().double()
    with torch.no_grad():
        assert torch.allclose(head(z_state, z_goal).double(), expected, atol=1e-5)


def test_every_layer_keeps_spectral_norm_one_while_it_is_trained(head):
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    head.train()
    for _ in range(50):
        optimizer.zero_grad()
        head(*pairs(8)).square().mean().backward()
        optimizer.step()
    head.eval()
    for layer in head.layers:
        assert torch.linalg.svdvals(layer.weight.detach())[0] == pytest.approx(1.0, abs=0.01)


def test_scaling_the_first_weights_does_nothing_and_scaling_the_features_does():
    """The lesson about the first activation: under a spectral norm only what stands outside it survives."""
    z_state, z_goal = pairs(8)

    def first_activation(scale: float, weight_factor: float) -> torch.Tensor:
        torch.manual_seed(0)
        head = GoalConditionedEnergyHead(HeadConfig(dim=16, hidden=(64, 32, 16), input_scale=scale))
        first = head.layers[0]
        first.parametrizations.weight.original.data *= weight_factor
        first.bias.data.zero_()
        head.eval()
        with torch.no_grad():
            x = torch.cat([z_state, z_goal, z_state * z_goal], dim=1) * head.scale
            return first(x)

    whole = first_activation(1.0, 1.0)
    # In eval mode the norm is σ = uᵀWv with u, v kept: it scales with W, and is divided out.
    assert torch.allclose(first_activation(1.0, 0.1), whole, rtol=1e-3, atol=1e-5)
    assert torch.allclose(first_activation(0.1, 1.0), 0.1 * whole, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("start", "expected"), [(0.001, 0.1), (1.0, 1.0), (1000.0, 10.0)])
def test_the_temperature_stays_within_its_bounds(start, expected):
    head = GoalConditionedEnergyHead(HeadConfig(dim=4, hidden=(8,), temperature=start))
    assert head.temperature.item() == pytest.approx(expected)


def test_scoring_equals_the_module_in_eval_mode_in_any_batch(head):
    z_state, z_goal = pairs(37)
    head.eval()
    with torch.no_grad(), parametrize.cached():
        expected = head(z_state, z_goal)
    for batch in (1, 8, 4096):
        assert torch.allclose(EnergyHead(head, CARD, batch=batch).energies(z_state, z_goal), expected, atol=1e-6)
    assert EnergyHead(head, CARD).energies(z_state[:0], z_goal[:0]).shape == (0,)


def test_scoring_changes_nothing_in_a_head_that_is_being_trained(head):
    head.train()
    before = {name: t.clone() for name, t in head.state_dict().items()}
    EnergyHead(head, CARD).energies(*pairs(3))
    assert head.training
    assert all(torch.equal(before[name], t) for name, t in head.state_dict().items())


def test_a_head_comes_back_from_its_folder_as_it_was(head, tmp_path):
    calibration = Calibration(0.5, 2.0, 1.0, 0.7, 123)
    save_head(tmp_path / "head", head, CARD, calibration=calibration, about={"trained": "in a test"})
    loaded = load_head(tmp_path / "head", card=CARD)
    assert torch.equal(loaded.energies(*pairs(9)), EnergyHead(head, CARD).energies(*pairs(9)))
    assert (loaded.card, loaded.calibration) == (CARD, calibration)
    module, _, _ = load_trained(tmp_path / "head")
    assert all(torch.equal(t, module.state_dict()[name]) for name, t in head.state_dict().items())


def test_a_calibration_can_be_stored_later(head, tmp_path):
    save_head(tmp_path / "head", head, CARD, about={"kept": 1})
    assert load_head(tmp_path / "head").calibration is None
    store_calibration(tmp_path / "head", Calibration(1.0, 2.0))
    assert load_head(tmp_path / "head").calibration == Calibration(1.0, 2.0)
    assert json.loads((tmp_path / "head" / ABOUT).read_text())["about"] == {"kept": 1}


def test_a_head_is_replaced_whole(head, tmp_path):
    save_head(tmp_path / "head", head, CARD)
    save_head(tmp_path / "head", head, CARD, about={"second": True})
    assert json.loads((tmp_path / "head" / ABOUT).read_text())["about"] == {"second": True}
    assert [p.name for p in tmp_path.iterdir()] == ["head"]


@pytest.mark.parametrize("field", ["model", "tokenizer", "prompt_format", "dtype", "max_tokens", "pooling"])
def test_a_head_of_another_encoder_is_refused(head, tmp_path, field):
    save_head(tmp_path / "head", head, CARD)
    value = 7 if field == "max_tokens" else "other"
    other = EncoderCard(**{**vars(CARD), field: value})
    with pytest.raises(ModelMismatch, match=f"made for another encoder: {field} is {value}"):
        load_head(tmp_path / "head", card=other)
    assert load_head(tmp_path / "head", card=other, accepted=(field,)).card == CARD


def damage_nothing_there(folder):
    (folder / ABOUT).unlink()


def damage_json(folder):
    (folder / ABOUT).write_text("{")


def damage_version(folder):
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps({**about, "version": 99}))


def damage_card(folder):
    about = json.loads((folder / ABOUT).read_text())
    del about["encoder"]["model"]
    (folder / ABOUT).write_text(json.dumps(about))


def damage_width(folder):
    about = json.loads((folder / ABOUT).read_text())
    about["head"]["hidden"] = [64, 32, 8]
    (folder / ABOUT).write_text(json.dumps(about))


def damage_dim(folder):
    about = json.loads((folder / ABOUT).read_text())
    about["encoder"]["dim"] = 17
    (folder / ABOUT).write_text(json.dumps(about))


def damage_weights(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nothing_there, "holds no energy head"),
        (damage_json, "cannot be read"),
        (damage_version, "not of version"),
        (damage_card, "lacks model"),
        (damage_width, "does not fit"),
        (damage_dim, "the head takes 16 numbers, its encoder gives 17"),
        (damage_weights, "does not fit"),
    ],
)
def test_a_damaged_head_is_named(head, tmp_path, damage, message):
    save_head(tmp_path / "head", head, CARD)
    damage(tmp_path / "head")
    with pytest.raises(ModelMismatch, match=message):
        load_head(tmp_path / "head")


def test_weights_that_are_not_finite_are_refused(head, tmp_path):
    with torch.no_grad():
        head.layers[0].bias[0] = float("nan")
    save_head(tmp_path / "head", head, CARD)
    with pytest.raises(ModelMismatch, match="not finite"):
        load_head(tmp_path / "head")
