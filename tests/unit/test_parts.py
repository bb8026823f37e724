"""From a configuration to parts: real small models, and what is told when they do not fit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from burnqed.assemble.parts import ABOUT_MODEL, model_format, open_parts
from burnqed.assemble.shorthand import policy_settings, value_settings
from burnqed.assemble.sources import load_config
from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput, ModelMismatch, ServerUnavailable
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.models.language_model import LanguageModel
from burnqed.policy.local import LocalPolicy
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.prompts.formats import prompt_format
from burnqed.testing.fakes import state_of
from burnqed.testing.tiny_model import make_tiny_model

STATE = state_of("n + 0 = n")
OTHER = state_of("a = b", "c = d")


@pytest.fixture(scope="module")
def menu() -> MenuPolicy:
    return MenuPolicy(load_menu())


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("parts") / "model")


@pytest.fixture(scope="module")
def head(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("parts") / "head"
    torch.manual_seed(0)
    card = LanguageModel.load(model).card(prompt_format("markers"))
    save_head(
        folder,
        GoalConditionedEnergyHead(HeadConfig(dim=card.dim, hidden=(16, 8))),
        card,
        calibration=Calibration(0.1, 0.9, 1.0, 0.4, 99),
    )
    return folder


def config(*assignments: str):
    return load_config(environment={}, flags={}, assignments=assignments)


async def test_without_settings_it_is_the_menu_and_the_size(menu):
    async with open_parts(config(), menu=menu) as parts:
        assert parts.policy is menu
        assert (parts.writer, parts.calibration, parts.about) == (None, None, {})
        small, large = await parts.value.energies([(STATE, STATE), (OTHER, STATE)])
        assert small < large


async def test_a_model_and_a_head_that_share_it(menu, model, head):
    settings = ["policy.kind=model", f"policy.model={model}", "value.kind=head", f"value.head={head}"]
    settings += ["policy.sampling.keep_unended=true", "policy.sampling.max_new_tokens=8"]
    settings += ["search.whole_proofs=1", "policy.writer.max_new_tokens=64"]
    async with open_parts(config(*settings), menu=menu) as parts:
        found = await parts.policy.propose([STATE, OTHER], 16)
        assert all(candidates for candidates in found)
        energies = await parts.value.energies([(STATE, STATE), (OTHER, STATE)])
        assert len(set(energies)) == 2
        assert parts.calibration == Calibration(0.1, 0.9, 1.0, 0.4, 99)
        assert parts.search.value_weight == 0.4, "the calibration's weight, since the configuration names none"
        assert parts.writer is not None
        assert parts.about["models"]["policy"]["prompt_format"] == "markers"
    async with open_parts(config(*settings, "search.value_weight=2"), menu=menu) as parts:
        assert parts.search.value_weight == 2, "what was said counts"


async def test_a_state_that_was_judged_is_not_read_again_to_propose_for_it(menu, model, head):
    settings = ["policy.kind=model", f"policy.model={model}", "value.kind=head", f"value.head={head}"]
    settings += ["policy.sampling.keep_unended=true", "policy.sampling.max_new_tokens=4"]
    async with open_parts(config(*settings), menu=menu) as parts:
        assert parts.model is not None
        await parts.value.energies([(STATE, STATE), (OTHER, STATE)])
        read = parts.model.savings.tokens_run
        assert read > 0
        await parts.policy.propose([STATE, OTHER], 16)
        assert parts.model.savings.tokens_run == read


async def test_with_premises_before_the_policys_prompts_it_is_read_again(menu, model, head):
    settings = ["policy.kind=model", f"policy.model={model}", "value.kind=head", f"value.head={head}"]
    settings += ["policy.sampling.keep_unended=true", "policy.sampling.max_new_tokens=4"]
    found, energies = [], []
    for more in ([], ["policy.premises=3"]):
        async with open_parts(config(*settings, *more), menu=menu) as parts:
            assert parts.model is not None
            energies += await parts.value.energies([(STATE, STATE)])
            read = parts.model.savings.tokens_run
            found += await parts.policy.propose([STATE], 16)
            assert (parts.model.savings.tokens_run > read) is bool(more)
    assert {c.text for c in found[0]} != {c.text for c in found[1]}
    assert energies[0] == pytest.approx(energies[1], rel=1e-4), "a value reads states without premises"


async def test_a_share_of_the_samples_can_be_drawn_without_premises(menu, model, head):
    """The tactics of both kinds of prompts come together, and for the bare ones the judged state is not read again."""
    settings = ["policy.kind=model", f"policy.model={model}", "value.kind=head", f"value.head={head}"]
    settings += ["policy.sampling.keep_unended=true", "policy.sampling.max_new_tokens=8", "policy.sampling.samples=2"]
    settings += ["policy.sampling.temperature=0"]
    texts, read = [], []
    for more in (["policy.premises=0"], ["policy.premises=3"], ["policy.premises=3", "policy.without_premises=0.5"]):
        async with open_parts(config(*settings, *more), menu=menu) as parts:
            assert parts.model is not None
            await parts.value.energies([(STATE, STATE)])
            before = parts.model.savings.tokens_run
            (found,) = await parts.policy.propose([STATE], 64)
            read.append(parts.model.savings.tokens_run - before)
            texts.append({c.text for c in found})
            assert sum(math.exp(c.logprob_nats) for c in found) <= 1 + 1e-6
    bare, named, both = texts
    assert bare != named
    assert both == bare | named
    assert read[2] == read[1] > read[0]


@pytest.mark.parametrize("share", [0.01, 0.99])
async def test_a_share_too_small_for_a_sample_leaves_one_kind_of_prompt(menu, model, share):
    settings = ["policy.kind=model", f"policy.model={model}", "policy.premises=3", f"policy.without_premises={share}"]
    async with open_parts(config(*settings, "policy.sampling.samples=4"), menu=menu) as parts:
        assert isinstance(parts.policy, LocalPolicy)


async def test_a_mixture_has_both(menu, model):
    settings = ["policy.kind=model", f"policy.model={model}", "policy.menu_share=0.5"]
    settings += ["policy.sampling.keep_unended=true", "policy.sampling.max_new_tokens=4"]
    async with open_parts(config(*settings), menu=menu) as parts:
        (mixed,) = await parts.policy.propose([STATE], 1000)
    texts = {c.text for c in mixed}
    assert {c.text for c in menu.candidates(STATE)} < texts


async def test_a_head_of_another_model_is_refused(menu, head, tmp_path):
    other = make_tiny_model(tmp_path / "other", seed=1)
    settings = ["policy.kind=model", f"policy.model={other}", "value.kind=head", f"value.head={head}"]
    with pytest.raises(ModelMismatch, match="was made for another encoder: model is"):
        async with open_parts(config(*settings), menu=menu):
            pass
    async with open_parts(config(*settings, 'value.accept=["model"]'), menu=menu) as parts:
        assert len(await parts.value.energies([(STATE, STATE)])) == 1


async def test_a_head_with_an_encoder_of_its_own_beside_the_menu(menu, model, head):
    settings = ["value.kind=head", f"value.head={head}", f"value.encoder={model}"]
    async with open_parts(config(*settings), menu=menu) as parts:
        assert parts.policy is menu
        assert len(await parts.value.energies([(STATE, STATE)])) == 1


async def test_a_model_whose_markers_fall_into_pieces_is_refused(menu, tmp_path):
    broken = make_tiny_model(tmp_path / "broken", markers=False)
    with pytest.raises(ModelMismatch, match="must be one for the prompt format markers"):
        async with open_parts(config("policy.kind=model", f"policy.model={broken}"), menu=menu):
            pass
    as_text = ["policy.kind=model", f"policy.model={broken}", "policy.prompt_format=marker-text"]
    async with open_parts(config(*as_text), menu=menu) as parts:
        assert parts.about["models"]["policy"]["prompt_format"] == "marker-text"


async def test_a_server_that_is_not_there_is_told_before_anything_starts(menu):
    patience = ["endpoint.retries=0", "endpoint.connect_timeout_s=0.5"]
    policy = ["policy.kind=sglang", "policy.url=http://127.0.0.1:9", "policy.prompt_format=markers"]
    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:9"):
        async with open_parts(config(*policy, *(f"policy.{p}" for p in patience)), menu=menu):
            pass
    value = ["value.kind=server", "value.url=http://127.0.0.1:9"]
    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:9"):
        async with open_parts(config(*value, *(f"value.{p}" for p in patience)), menu=menu):
            pass


def test_the_format_that_a_model_was_trained_on(tmp_path):
    assert model_format(tmp_path, "").name == "markers"
    assert model_format(tmp_path, "proof-text").name == "proof-text"
    (tmp_path / ABOUT_MODEL).write_text(json.dumps({"prompt_format": "marker-text"}))
    assert model_format(tmp_path, "").name == "marker-text"
    with pytest.raises(ModelMismatch, match="was trained on the prompt format marker-text, not markers"):
        model_format(tmp_path, "markers")
    (tmp_path / ABOUT_MODEL).write_text("[]")
    with pytest.raises(ModelMismatch, match="is damaged"):
        model_format(tmp_path, "")


def test_what_policy_and_value_say_in_a_word(tmp_path):
    assert policy_settings("menu") == {"policy.kind": "menu"}
    assert policy_settings("menu:mine.txt") == {"policy.kind": "menu", "policy.menu": "mine.txt"}
    assert policy_settings(str(tmp_path)) == {"policy.kind": "model", "policy.model": str(tmp_path)}
    assert policy_settings("sglang:http://a:1") == {"policy.kind": "sglang", "policy.url": "http://a:1"}
    assert value_settings("goals") == {"value.kind": "goals"}
    assert value_settings("server:http://a:1") == {"value.kind": "server", "value.url": "http://a:1"}
    assert value_settings(str(tmp_path)) == {"value.kind": "head", "value.head": str(tmp_path)}


@pytest.mark.parametrize("text", ["http://a:1", "nowhere", "sglang:a", "openai:"])
def test_a_policy_that_is_none_is_told_the_forms(text):
    with pytest.raises(BadInput, match="--policy"):
        policy_settings(text)


def test_a_value_that_is_none_is_told_the_forms():
    with pytest.raises(BadInput, match="a value is none, size, goals, length, a head folder, or server:URL"):
        value_settings("nowhere")
