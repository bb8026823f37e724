"""A model in this process as a policy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from burnqed.core.errors import BadInput, ModelError, ModelMismatch
from burnqed.core.seeding import child_seed
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.core.tactic import Candidate
from burnqed.core.tally import Tally
from burnqed.models.language_model import Drawn, LanguageModel
from burnqed.policy.config import SamplingConfig
from burnqed.policy.local import HALVED, NO_PREMISE, LocalPolicy, LocalProofWriter
from burnqed.premises.file import library
from burnqed.prompts.fit import CUT
from burnqed.prompts.formats import FORMATS
from burnqed.prompts.premises import premise_line
from burnqed.testing.tiny_model import make_tiny_model

MARKERS = FORMATS["markers"]
# Random weights seldom end a text; what the limit cuts off is kept here.
CONFIG = SamplingConfig(samples=12, max_new_tokens=6, keep_unended=True)


def state(target: str, *hypotheses: str) -> ProofState:
    return ProofState((Goal(tuple(Variable(f"h{k}", h) for k, h in enumerate(hypotheses)), target),))


STATES = [state("n + 0 = n", "n : ℕ"), state("True"), state("∃ z, z > x", "ℝ", "x < y")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(make_tiny_model(tmp_path_factory.mktemp("tiny"), max_positions=128), device="cpu")


def policy(model: LanguageModel, config: SamplingConfig = CONFIG, seed: int = 0) -> LocalPolicy:
    return LocalPolicy(model, MARKERS, config, seed=seed, tally=Tally())


def texts(found: list[Candidate]) -> list[str]:
    return [c.text for c in found]


async def test_candidates_are_clean_distinct_sorted_and_few(model):
    found = await policy(model).propose(STATES, 5)
    assert [len(each) for each in found] == [5, 5, 5]
    for each in found:
        assert len(set(texts(each))) == len(each)
        assert [c.logprob_nats for c in each] == sorted((c.logprob_nats for c in each), reverse=True)
        for c in each:
            assert c.text == c.text.strip() != ""
            assert c.logprob_nats < 0
            assert 1 <= c.num_tokens <= 6


async def test_log_probabilities_are_the_models_own(model):
    (found,) = await policy(model).propose(STATES[:1], 20)
    prompt = model.token_ids(MARKERS.prompt(STATES[0]))
    seed = child_seed(0, "policy", MARKERS.prompt(STATES[0]))
    ((*drawn,),) = model.sample([prompt], n=12, temperature=1.0, top_p=0.95, max_new_tokens=6, seeds=[seed])
    sums = {MARKERS.read(d.text): sum(model.logprobs([[*prompt, *d.ids]], [len(prompt)])[0]) for d in drawn}
    assert found
    for c in found:
        assert c.logprob_nats == pytest.approx(sums[c.text], abs=1e-4)


async def test_a_states_candidates_depend_on_seed_and_state_only(model):
    together = await policy(model).propose(STATES, 12)
    alone = [(await policy(model).propose([s], 12))[0] for s in reversed(STATES)][::-1]
    assert [texts(each) for each in together] == [texts(each) for each in alone]
    other = await policy(model, seed=1).propose(STATES, 12)
    assert [texts(each) for each in other] != [texts(each) for each in together]


async def test_many_askers_at_once_get_their_own(model):
    p = policy(model)
    found = await asyncio.gather(*(p.propose([s], 12) for s in STATES))
    assert [texts(each[0]) for each in found] == [texts(each) for each in await p.propose(STATES, 12)]


async def test_what_the_limit_cut_off_is_dropped_and_counted(model):
    strict = policy(model, CONFIG.model_copy(update={"keep_unended": False, "max_new_tokens": 1}))
    (found,) = await strict.propose(STATES[:1], 12)
    dropped = strict.tally.counts["completion cut off by the limit of tokens"]
    assert dropped >= 1
    assert dropped + strict.tally.counts["empty completion"] + len(found) <= 12


async def test_greedy_gives_one_candidate(model):
    (found,) = await policy(model, CONFIG.model_copy(update={"temperature": 0.0})).propose(STATES[:1], 12)
    assert len(found) == 1


async def test_a_state_longer_than_the_context_is_cut_and_counted(model):
    p = policy(model)
    long = state("a = b", *("x + y = z ∧ " * 30 for _ in range(3)))
    (found,) = await p.propose([long], 4)
    assert found
    assert p.tally.counts[CUT] == 1


def test_a_context_without_room_for_a_completion_is_refused(model):
    with pytest.raises(BadInput, match=r"max_new_tokens is 128, and the context of .* has only 128 tokens"):
        policy(model, CONFIG.model_copy(update={"max_new_tokens": 128}))


async def test_a_context_too_small_for_the_format_is_an_error(model):
    p = policy(model, CONFIG.model_copy(update={"max_new_tokens": 127}))
    with pytest.raises(ModelError, match="markers alone is longer than the 1 tokens"):
        await p.propose(STATES[:1], 4)


def test_a_tokenizer_that_does_not_suit_the_format_is_refused(tmp_path: Path):
    plain = LanguageModel.load(make_tiny_model(tmp_path / "plain", markers=False), device="cpu")
    with pytest.raises(ModelMismatch, match=r"\[GOAL\] is 6 tokens"):
        policy(plain)
    LocalPolicy(plain, FORMATS["marker-text"], CONFIG, seed=0, tally=Tally())


class Narrow(LanguageModel):
    """Memory for so many prompts at a time."""

    fits = 1
    batches: tuple[int, ...] = ()
    forgotten = 0

    def sample(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[Drawn]]:
        self.batches += (len(prompts),)
        if len(prompts) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().sample(prompts, **options)

    def forget(self) -> None:
        self.forgotten += 1
        super().forget()


def narrow(model: LanguageModel, fits: int) -> Narrow:
    small = Narrow(model.model, model.tokenizer, name="narrow")
    small.fits = fits
    return small


async def test_a_batch_too_large_for_memory_is_halved(model):
    small = narrow(model, fits=1)
    p = policy(small)
    found = await p.propose(STATES, 12)
    assert [texts(each) for each in found] == [texts(each) for each in await policy(model).propose(STATES, 12)]
    assert small.batches == (3, 1, 1, 1)
    assert p.tally.counts[HALVED] == small.forgotten == 1


async def test_a_state_too_large_for_memory_is_an_error(model):
    with pytest.raises(ModelError, match="memory does not suffice to sample for one state"):
        await policy(narrow(model, fits=0)).propose(STATES, 12)


async def test_other_errors_are_not_taken_for_want_of_memory(model):
    class Broken(LanguageModel):
        def sample(self, *_: Any, **__: Any) -> list[list[Drawn]]:
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        await policy(Broken(model.model, model.tokenizer, name="broken")).propose(STATES, 12)


async def test_whole_proofs_come_as_steps(model):
    form = FORMATS["proof-text"]
    tally = Tally()
    writer = LocalProofWriter(model, form, CONFIG.model_copy(update={"max_new_tokens": 30}), seed=0, tally=tally)
    (found,) = await writer.write(STATES[:1], 4)
    assert 1 <= len(found) <= 4
    assert len({script.steps for script in found}) == len(found)
    assert [s.logprob_nats for s in found] == sorted((s.logprob_nats for s in found), reverse=True)
    for script in found:
        assert all(step and step == step.strip() for step in script.steps)


class Noting(LanguageModel):
    """Notes what it is asked, and writes ``says`` where that is set."""

    says: str = ""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model.model, model.tokenizer, name="noting")
        self.prompts: list[str] = []

    def sample(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[Drawn]]:
        self.prompts += [self.tokenizer.decode(list(ids)) for ids in prompts]
        drawn = super().sample(prompts, **options)
        return [[replace(d, text=self.says or d.text) for d in each] for each in drawn]


def with_premises(model: LanguageModel, premises: int, **more: Any) -> LocalPolicy:
    config = CONFIG.model_copy(update=more)
    return LocalPolicy(model, MARKERS, config, seed=0, tally=Tally(), premises=premises)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(make_tiny_model(tmp_path_factory.mktemp("roomy"), max_positions=512), device="cpu")


SUM = ProofState(state("n + m = m + n", "n + 0 = n").goals, ("Init",))
ALIKE = library().alike(SUM.goals[0].text, ("Init",), 26)


async def test_premises_stand_before_the_prompt_and_change_what_is_drawn(roomy):
    noting = Noting(roomy)
    (found,) = await with_premises(noting, 3).propose([SUM], 12)
    (other,) = await with_premises(noting, 0).propose([SUM], 12)
    assert noting.prompts == [premise_line(ALIKE[:3]) + MARKERS.prompt(SUM), MARKERS.prompt(SUM)]
    assert texts(found) != texts(other)
    (again,) = await with_premises(roomy, 3).propose([SUM], 12)
    assert texts(again) == texts(found)


async def test_premises_are_those_that_the_state_may_see(roomy):
    noting = Noting(roomy)
    sets = ProofState((Goal((), "Std.HashSet.size m = 0"),), ("Init",))
    everything = ProofState(sets.goals)
    await with_premises(noting, 4).propose([sets, everything], 4)
    assert "Std." not in noting.prompts[0].partition("\n")[0]
    assert "Std.HashSet" in noting.prompts[1].partition("\n")[0]


async def test_at_most_half_of_the_room_is_for_premises_and_the_state_has_the_rest(model):
    noting = Noting(model)
    long = ProofState(state("n + m = m + n", *("x + y = z ∧ " * 9 for _ in range(3))).goals)
    room = 128 - CONFIG.max_new_tokens
    for each in (SUM, long):
        await with_premises(noting, 26).propose([each], 4)
        alike = library().alike(each.goals[0].text, each.imports, 26)
        first, _, prompt = noting.prompts.pop().partition("\n")
        (kept,) = [k for k in range(26) if premise_line(alike[:k]) == f"{first}\n"]
        assert len(model.token_ids(premise_line(alike[:kept]))) <= room // 2
        assert len(model.token_ids(premise_line(alike[: kept + 1]))) > room // 2
        assert len(model.token_ids(f"{first}\n{prompt}")) <= room
        assert prompt.endswith("⊢ n + m = m + n[PROOFSTEP]")


async def test_where_there_is_no_room_for_a_premise_there_is_none(tmp_path: Path):
    bos = LanguageModel.load(make_tiny_model(tmp_path / "bos", bos=True, max_positions=128), device="cpu")
    with pytest.raises(ModelError, match="markers alone is longer than the 1 tokens"):
        await with_premises(bos, 3, max_new_tokens=127).propose([SUM], 4)
    noting = Noting(bos)
    short = ProofState((Goal((), "p"),))
    await with_premises(noting, 3, max_new_tokens=122).propose([short], 4)
    assert noting.prompts == [f"<s>{MARKERS.prompt(short)}"]


async def test_marks_in_an_answer_become_names_and_one_that_stands_for_nothing_is_dropped(roomy):
    noting = Noting(roomy)
    noting.says = "rw [§b, ← §a]"
    (found,) = await with_premises(noting, 2).propose([SUM], 4)
    assert texts(found) == [f"rw [{ALIKE[1]}, ← {ALIKE[0]}]"]
    noting.says = "rw [§c]"
    strict = with_premises(noting, 2)
    assert await strict.propose([SUM], 4) == [[]]
    assert strict.tally.counts[NO_PREMISE] == 12
    unheard = with_premises(noting, 2)
    assert await unheard.propose([ProofState((Goal((), "p"),))], 4) == [[]]
    assert unheard.tally.counts[NO_PREMISE] == 12
    assert texts((await with_premises(noting, 0).propose([SUM], 4))[0]) == ["rw [§c]"], "nobody spoke of marks"
