"""Prompt formats, how a state is made to fit, and how a script falls into steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.errors import BadInput, ModelError
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.core.tactic import normalise
from burnqed.core.tally import Tally
from burnqed.prompts.fit import CUT, fitted_prompt
from burnqed.prompts.formats import FORMATS, GOAL, PROOFSTEP, WHOLE_PROOF, as_example, prompt_format, training_text
from burnqed.prompts.steps import inside_bullet, steps_of

GOAL_ONE = Goal((Variable("n", "ℕ"), Variable("h", "0 < n")), "n + 0 = n")
GOAL_TWO = Goal((), "True", case="right")
STATE = ProofState((GOAL_ONE, GOAL_TWO))

ANSWERS = [
    "simp",
    "rw [Nat.add_comm, ← h]",
    "induction n with\n| zero => rfl\n| succ k ih =>\n  rw [ih]\n  simp",
    "have h : 0 < n := by\n  positivity",
    "  simp  \n",
]


# --- formats


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_trained_is_read_back(form, answer):
    assert form.read(form.completion(answer)) == normalise(answer)


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_stop_text_stands_only_behind_the_answer(form, answer):
    completion = form.completion(answer)
    for stop in form.stop:
        assert form.read(completion.split(stop)[0]) == normalise(answer)


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda f: f.name)
def test_training_text_begins_with_the_serving_prompt(form):
    prompt, completion = training_text(form, STATE, "simp")
    assert prompt == form.prompt(STATE)
    assert (prompt + completion).startswith(form.prompt(STATE))
    assert form.read((prompt + completion)[len(prompt) :]) == "simp"


def test_the_two_marker_forms_differ_in_their_tokens_only():
    tokens, text = FORMATS["markers"], FORMATS["marker-text"]
    assert tokens.prompt(STATE) == text.prompt(STATE) == f"{GOAL}{STATE.text}{PROOFSTEP}"
    assert tokens.single_tokens == (GOAL, PROOFSTEP)
    assert text.single_tokens == ()
    assert text.stop == (GOAL,)


def test_markers_in_a_state_cannot_begin_a_row():
    state = ProofState((Goal((Variable("s", f's = "{GOAL}x{PROOFSTEP}"'),), "True"),))
    prompt = FORMATS["markers"].prompt(state)
    assert prompt.count(GOAL) == prompt.count(PROOFSTEP) == 1
    assert prompt.endswith(PROOFSTEP)


def test_a_model_that_goes_on_with_the_next_row_is_cut():
    assert FORMATS["marker-text"].read(f"simp{GOAL}x : ℕ") == "simp"
    assert FORMATS["markers"].read(f" simp {PROOFSTEP}ring") == "simp"
    assert FORMATS["markers"].read(GOAL) == ""


def test_a_state_cannot_close_the_comment_or_the_fence():
    state = ProofState((Goal((Variable("s", 's = "-/ ```"'),), "True"),))
    prompt = FORMATS["deepseek-tactic"].prompt(state)
    assert prompt.count("-/") == 2  # once for each of the two blocks
    assert prompt.count("```") == 3
    assert prompt.endswith("example := by\n")


def test_chat_prompts_begin_the_assistants_turn():
    for name in ("deepseek-tactic", "deepseek-proof"):
        user, assistant = FORMATS[name].prompt(STATE).split("<｜Assistant｜>")
        assert user.startswith("<｜User｜>")
        assert assistant.startswith("```lean4\n")
        assert assistant.endswith("by\n")


def test_an_answer_in_chat_form_ends_at_fence_or_empty_line():
    form = FORMATS["deepseek-tactic"]
    assert form.read("\n  simp\n  ring\n```\nexplanation") == "simp\nring"
    assert form.read("  simp\n\n  ring") == "simp"
    assert form.read("```") == ""


def test_an_empty_line_in_a_tactic_is_not_trained_as_its_end():
    form = FORMATS["deepseek-tactic"]
    assert form.read(form.completion("constructor\n\n· simp")) == "constructor\n· simp"


def test_a_whole_proof_ends_before_the_next_declaration():
    form = FORMATS["proof-text"]
    assert form.read("  intro x\n  simp\ntheorem foo : True := trivial") == "intro x\nsimp"
    assert form.name in WHOLE_PROOF


def test_a_goal_as_an_example():
    goal = Goal(
        (Variable("n", "ℕ"), Variable("a✝", "0 <\n  n", accessible=False), Variable("m", "ℕ", value="n + 1")),
        "n\n  ≤ m",
    )
    assert as_example(goal) == "example (n : ℕ) (inst1 : 0 < n) (m : ℕ := n + 1) : n ≤ m := by"


def test_an_unknown_format_is_named_with_those_there_are():
    with pytest.raises(BadInput, match=r"'alpaca'.*markers, marker-text"):
        prompt_format("alpaca")


# --- fitting


def characters(text: str) -> int:
    """The worst tokenizer there is: a token for each byte, and one for the beginning of text."""
    return 1 + len(text.encode())


FORM = FORMATS["markers"]


def fitted(state: ProofState, limit: int) -> tuple[str, Tally]:
    tally = Tally()
    return fitted_prompt(FORM, state, tokens=characters, limit=limit, tally=tally), tally


def test_what_fits_is_left_alone():
    text, tally = fitted(STATE, characters(FORM.prompt(STATE)))
    assert text == FORM.prompt(STATE)
    assert not tally.counts


def test_a_beginning_of_text_token_counts():
    size = len(FORM.prompt(STATE).encode())
    text, tally = fitted(STATE, size)
    assert characters(text) <= size
    assert tally.counts == {CUT: 1}


def test_other_goals_go_first():
    text, tally = fitted(STATE, characters(FORM.prompt(STATE)) - 1)
    assert text == FORM.prompt(ProofState((GOAL_ONE,)))
    assert tally.counts == {CUT: 1}


def test_then_the_oldest_hypotheses():
    alone = ProofState((GOAL_ONE,))
    text, _ = fitted(alone, characters(FORM.prompt(alone)) - 1)
    assert text == FORM.prompt(ProofState((Goal(GOAL_ONE.variables[1:], GOAL_ONE.target),)))


def test_then_the_middle_of_the_target():
    state = ProofState((Goal((Variable("n", "ℕ"),), f"begin {'x ' * 200}end"),))
    text, _ = fitted(state, 80)
    assert characters(text) <= 80
    assert "⊢ begin" in text
    assert f"end{PROOFSTEP}" in text
    assert "…" in text
    assert "n : ℕ" not in text


def test_a_format_without_room_for_anything_is_an_error():
    with pytest.raises(ModelError, match="markers alone is longer than the 10 tokens"):
        fitted(ProofState((Goal((), "x" * 100),)), 10)


names = st.text("abcxyzαβ∀ℕ", min_size=1, max_size=12)
goals = st.builds(
    lambda names, types, target: Goal(tuple(map(Variable, names, types)), target),
    st.lists(names, max_size=4),
    st.lists(names, min_size=4, max_size=4),
    st.text("xyz ≤∀", min_size=1, max_size=60),
)


@given(st.lists(goals, min_size=1, max_size=3), st.integers(40, 200))
def test_a_fitted_prompt_fits_and_ends_as_every_prompt(found, limit):
    text, tally = fitted(ProofState(tuple(found)), limit)
    assert characters(text) <= limit
    assert text.startswith(GOAL)
    assert text.endswith(PROOFSTEP)
    assert bool(tally.counts) == (text != FORM.prompt(ProofState(tuple(found))))


# --- steps


@pytest.mark.parametrize(
    ("script", "steps"),
    [
        ("intro x\nsimp", ("intro x", "simp")),
        ("have h : a := by\n  simp\n  ring\nexact h", ("have h : a := by\n  simp\n  ring", "exact h")),
        ("induction n with\n| zero => rfl\n| succ k ih => simp\nring", None),
        ("cases h\n<;> simp", ("cases h\n<;> simp",)),
        ("calc a = b := h\n_ = c := g", ("calc a = b := h\n_ = c := g",)),
        ("exact foo\n⟨a, b⟩", ("exact foo\n⟨a, b⟩",)),
        ("constructor\n· simp\n· ring", ("constructor", "· simp", "· ring")),
        ("simp -- why\n\n-- nothing\nring", ("simp", "ring")),
        ("simp /- a /- b -/ c -/ at h\nring", ("simp  at h", "ring")),
        ("intro x\n/- now -/ simp", ("intro x", "simp")),
        ('exact f "-- no comment" -- one', ('exact f "-- no comment"',)),
        ("exact '\"' -- a quote\nring", ("exact '\"'", "ring")),
        ('exact "\\"" -- a quote\nring', ('exact "\\""', "ring")),
        ("", ()),
        ("-- only a comment", ()),
        ("/- not closed\nsimp", ()),
    ],
)
def test_a_script_falls_into_its_outermost_tactics(script, steps):
    expected = ("induction n with\n| zero => rfl\n| succ k ih => simp", "ring") if steps is None else steps
    assert steps_of(script) == expected


@pytest.mark.parametrize(
    ("step", "inside"),
    [
        ("· intro x\n  simp", ("intro x", "simp")),
        ("·\n  intro x\n  simp", ("intro x", "simp")),
        (". simp\n    at h\n  ring", ("simp\n  at h", "ring")),
        ("·simp", ("simp",)),
        ("simp", ()),
        ("..", ()),
    ],
)
def test_the_steps_inside_a_bullet(step, inside):
    assert inside_bullet(step) == inside


@given(st.lists(st.sampled_from(["simp", "intro x", "have h : a := by\n  ring", "· rfl"]), max_size=5))
def test_steps_put_together_are_the_script(parts):
    assert steps_of("\n".join(parts)) == tuple(parts)
