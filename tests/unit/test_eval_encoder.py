"""Figures of a system's encoder and head on held-out pairs: the search's own encoder and head give the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_lab import lines, model, pairs

from burnqed.assemble.parts import open_parts
from burnqed.assemble.sources import load_config
from burnqed.core.errors import BadInput, ModelMismatch
from burnqed.data.printed_states import printed_state
from burnqed.evaluate.encoder import held_out_groups, measure_encoder
from burnqed.joint.decoupled_config import DecoupledConfig
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.joint.pairs import NegativeSampler
from burnqed.models.language_model import LanguageModel
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.prompts.formats import prompt_format

MENU = MenuPolicy(load_menu())


@pytest.fixture(scope="module")
def system(tmp_path_factory) -> Path:
    folder = model(tmp_path_factory.mktemp("system") / "model")
    torch.manual_seed(0)
    card = LanguageModel.load(folder).card(prompt_format("markers"))
    save_head(folder / "head", GoalConditionedEnergyHead(HeadConfig(dim=card.dim, hidden=(16, 8))), card)
    return folder


def config_of(system: Path, *more: str):
    head = f"value.head={system / 'head'}"
    return load_config(
        environment={},
        flags={},
        assignments=["policy.kind=model", f"policy.model={system}", "value.kind=head", head, *more],
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return lines(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", [*pairs("train"), *pairs("valid")])


async def test_figures_have_the_journals_names_and_are_those_of_the_searchs_own_value(system, file):
    config = config_of(system)
    async with open_parts(config, menu=MENU) as parts:
        found = await measure_encoder(config, parts, [file], None)
        again = await measure_encoder(config, parts, [file], found)
        groups, _, _ = held_out_groups([file])
        sampler = NegativeSampler(groups, DecoupledConfig().tiers[-1][1], DecoupledConfig().seed)
        k = DecoupledConfig().negatives
        won = 0.0
        for group in groups:
            candidates = [(group.positive, group.goal)]
            candidates += [(n.state, n.goal) for n in sampler.draw(group, k, step=0)]
            states = [(printed_state(s), printed_state(g)) for s, g in candidates]
            energies = await parts.value.energies([(s, g) for s, g in states if s is not None and g is not None])
            won += (min(energies) == energies[0]) / energies.count(energies[0])
    assert again is found
    figures = found.figures
    assert {g.split for g in groups} == {"valid"}
    assert figures["ebm.rank_1"] == pytest.approx(won / len(groups))
    assert figures["ebm.groups"] == len(groups) == 8
    assert figures["ebm.chance"] == pytest.approx(1 / (k + 1))
    for name in (
        "probe.centroid_l2",
        "ebm.depth_0_1.rank_1",
        "trivial.length.rank_1",
        "trivial.depth.pairwise",
        "valid.loss",
    ):
        assert name in figures, name
    assert all(isinstance(value, float) for value in figures.values())


async def test_other_pairs_are_measured_anew(system, file, tmp_path):
    config = config_of(system)
    fewer = lines(tmp_path / "pairs.jsonl", pairs("valid")[:9])
    async with open_parts(config, menu=MENU) as parts:
        found = await measure_encoder(config, parts, [fewer], None)
        other = await measure_encoder(config, parts, [file], found)
    assert (found.figures["ebm.groups"], other.figures["ebm.groups"]) == (3, 8)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["policy.kind=menu", "value.kind=size"], "the policy is menu"),
        (["value.kind=size"], "the value is size"),
        (["value.encoder=/other"], "value.encoder names another model"),
    ],
)
async def test_systems_that_have_no_model_with_a_head_here_are_one_sentence(system, file, settings, says):
    config = config_of(system, *settings)
    async with open_parts(config_of(system), menu=MENU) as parts:
        with pytest.raises(BadInput, match=says):
            await measure_encoder(config, parts, [file], None)


async def test_a_head_of_another_encoder_is_refused(system, file, tmp_path):
    other = model(tmp_path / "other", seed=3)
    with pytest.raises(ModelMismatch, match="made for another encoder"):
        async with open_parts(config_of(system, f"policy.model={other}"), menu=MENU):
            pass


def test_pairs_that_were_trained_on_are_refused(tmp_path):
    file = lines(tmp_path / "pairs.jsonl", pairs("train"))
    with pytest.raises(BadInput, match="no pair in it is held out"):
        held_out_groups([file])
    with pytest.raises(BadInput, match="there is no file of pairs"):
        held_out_groups([tmp_path / "nothing"])
