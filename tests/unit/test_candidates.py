"""From samples to candidates, and two policies as one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.errors import ModelError, ServerUnavailable
from burnqed.core.tactic import Candidate, Sample
from burnqed.core.tally import Tally
from burnqed.policy.candidates import candidates, length_normalised, scripts
from burnqed.policy.config import SamplingConfig
from burnqed.policy.mixed import MixedPolicy
from burnqed.prompts.formats import prompt_format
from burnqed.testing.fakes import ScriptedPolicy, state_of

MARKERS = prompt_format("markers")
STATE = state_of("goal")


def made(samples: list[Sample], *, limit: int = 99, form=MARKERS, **config: object) -> tuple[list[Candidate], Tally]:
    tally = Tally()
    return candidates(samples, form, SamplingConfig(**config), tally, limit=limit), tally


def test_best_first_no_text_twice_with_the_best_samples_log_probability():
    samples = [Sample("b", -2.0, 1), Sample("a ", -1.5, 1), Sample("\na", -1.0, 2), Sample("c", -3.0, 1)]
    found, tally = made(samples)
    assert found == [Candidate("a", -1.0, 2), Candidate("b", -2.0, 1), Candidate("c", -3.0, 1)]
    assert not tally.counts
    assert made(samples, limit=1)[0] == found[:1]


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (Sample("x", math.nan, 1), "log-probability is not a number"),
        (Sample("x", -math.inf, 1), "log-probability is not a number"),
        (Sample("  \n ", -1.0, 1), "empty completion"),
        (Sample("[GOAL]next row", -1.0, 3), "empty completion"),
        (Sample("x" * 50_000, -1.0, 999), "completion too long"),
        (Sample("simp [", -1.0, 64, ended=False), "completion cut off by the limit of tokens"),
    ],
)
def test_what_cannot_be_used_is_dropped_and_counted_under_its_name(sample, kind):
    found, tally = made([sample, Sample("good", -1.0, 1)])
    assert [c.text for c in found] == ["good"]
    assert tally.counts == {kind: 1}


def test_a_completion_that_was_cut_off_may_be_kept():
    found, _ = made([Sample("simp", -1.0, 64, ended=False)], keep_unended=True)
    assert [c.text for c in found] == ["simp"]


def test_the_length_exponent_changes_the_rank_and_not_the_log_probability():
    samples = [Sample("short", -2.0, 1), Sample("much longer", -4.0, 8)]
    assert [c.text for c in made(samples)[0]] == ["short", "much longer"]
    assert made(samples, length_exponent=1.0)[0] == [Candidate("much longer", -4.0, 8), Candidate("short", -2.0, 1)]


def test_a_cap_on_first_tokens_leaves_room_for_others():
    samples = [Sample(f"simp {i}", -1.0 - i / 10, 2, first_token=7) for i in range(5)] + [Sample("omega", -9.0, 1, 8)]
    found, tally = made(samples, first_token_cap=2)
    assert [c.text for c in found] == ["simp 0", "simp 1", "omega"]
    assert tally.counts == {"over the cap on first tokens": 3}


def test_scripts_come_as_steps():
    tally = Tally()
    text = "  intro h\n  cases h with\n  | inl a => simp\n  | inr b => omega\n"
    (script,) = scripts([Sample(text, -3.0, 20)], prompt_format("proof-text"), SamplingConfig(), tally, limit=4)
    assert script.steps == ("intro h", "cases h with\n| inl a => simp\n| inr b => omega")
    assert script.logprob_nats == -3.0


@given(st.floats(-500, 0), st.integers(1, 500), st.floats(0, 1))
def test_normalising_never_leaves_the_range_between_sum_and_mean(logprob, tokens, exponent):
    found = length_normalised(logprob, tokens, exponent=exponent)
    assert logprob - 1e-9 <= found <= logprob / tokens + 1e-9


async def test_a_mixture_weighs_both_and_adds_what_both_say():
    main = ScriptedPolicy(default=[("both", math.log(0.5)), ("main", math.log(0.4))])
    extra = ScriptedPolicy(default=[("extra", math.log(0.9)), ("both", math.log(0.1))])
    (found,) = await MixedPolicy(main, extra, share=0.25, tally=Tally()).propose([STATE], 9)
    assert {c.text: round(math.exp(c.logprob_nats), 6) for c in found} == {
        "both": round(0.75 * 0.5 + 0.25 * 0.1, 6),
        "main": 0.3,
        "extra": round(0.25 * 0.9, 6),
    }
    assert [c.text for c in found] == ["both", "main", "extra"]
    assert all(math.isfinite(c.logprob_nats) for c in found)


class Broken(ScriptedPolicy):
    """A policy that raises."""

    error: Exception = ServerUnavailable("http://x is down")

    async def propose(self, states, n):
        raise self.error


async def test_when_the_server_is_gone_the_menu_goes_on_alone_and_that_is_counted():
    menu = ScriptedPolicy(default=[("omega", -0.1)])
    tally = Tally()
    found = await MixedPolicy(Broken(), menu, share=0.5, tally=tally).propose([STATE, STATE], 3)
    assert found == [[Candidate("omega", -0.1)]] * 2
    assert tally.counts == {"states for which only the menu was asked": 2}


async def test_other_troubles_of_the_model_are_not_hidden_by_the_menu():
    broken = Broken()
    broken.error = ModelError("no memory")
    with pytest.raises(ModelError, match="no memory"):
        await MixedPolicy(broken, ScriptedPolicy(), share=0.5, tally=Tally()).propose([STATE], 3)


async def test_a_log_probability_too_small_for_a_float_stays_finite_and_last():
    main = ScriptedPolicy(default=[("rare", -5000.0), ("usual", -1.0)])
    (found,) = await MixedPolicy(main, ScriptedPolicy(default=[("m", -1.0)]), share=0.5, tally=Tally()).propose(
        [STATE], 9
    )
    assert found[-1].text == "rare"
    assert math.isfinite(found[-1].logprob_nats)
