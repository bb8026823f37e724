"""Augmented views: what they change and what they leave alone."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnqed.core.state import Goal, ProofState, Variable
from burnqed.joint.local_names import names, perhaps_bound, replaced
from burnqed.joint.views import renamed, renaming, reordered, view


def goal(*variables: str, target: str = "True", case: str = "") -> Goal:
    """``"x : Nat"``, ``"k : Nat := 3"``; a name with a dagger is inaccessible."""
    found = []
    for text in variables:
        name, _, rest = text.partition(" : ")
        kind, assigned, value = rest.partition(" := ")
        found.append(Variable(name, kind, value if assigned else None, accessible="✝" not in name))
    return Goal(tuple(found), target, case=case)


def state(*variables: str, target: str = "True") -> ProofState:
    return ProofState((goal(*variables, target=target),))


RICH = ProofState(
    (
        goal(
            "α : Type",
            "inst✝ : DecidableEq α",
            "n : Nat",
            "m : Nat",
            "f : Nat → Nat",
            "x✝ : Nat",
            "h : n < m",
            "hf : ∀ x > n, f x = x✝",
            "h' : f n = f m ∧ h.le = h.le",
            "k : Nat := n + m",
            target="∃ y, y * n = k ∧ f y = f (n + m)",
            case="inr.h",
        ),
        goal("n : Nat", "m : Nat", "h : n < m", target="n ≤ m"),
    )
)


def orders(s: ProofState) -> list[list[str]]:
    return [[v.name for v in g.variables] for g in s.goals]


def test_a_view_is_the_same_for_the_same_seed_and_another_for_another():
    assert view(RICH, 5) == view(RICH, 5)
    assert len({view(RICH, seed).text for seed in range(20)}) > 15


def test_each_half_can_be_had_alone():
    only_names, only_order = view(RICH, 1, reorder=False), view(RICH, 1, rename=False)
    assert [len(g.variables) for g in only_names.goals] == [10, 3]
    assert [v.type for v in only_names.goals[0].variables[2:4]] == ["Nat", "Nat"]
    assert orders(only_names) != orders(RICH)
    assert [sorted(order) for order in orders(only_order)] == [sorted(order) for order in orders(RICH)]
    assert view(RICH, 1, rename=False, reorder=False) == RICH


def test_names_change_wherever_they_stand_and_in_all_goals_alike():
    new = {"n": "a", "m": "b", "h": "hx", "f": "g"}
    first, second = renamed(RICH, new).goals
    assert [f"{v.name} : {v.type}" for v in first.variables] == [
        "α : Type",
        "inst✝ : DecidableEq α",
        "a : Nat",
        "b : Nat",
        "g : Nat → Nat",
        "x✝ : Nat",
        "hx : a < b",
        "hf : ∀ x > a, g x = x✝",
        "h' : g a = g b ∧ hx.le = hx.le",
        "k : Nat",
    ]
    assert first.variables[-1].value == "a + b"
    assert first.target == "∃ y, y * a = k ∧ g y = g (a + b)"
    assert second.text == "a b : Nat\nhx : a < b\n⊢ a ≤ b"


def test_what_is_renamed_is_all_that_can_be():
    new = renaming(RICH, 0)
    assert set(new) == {"α", "n", "m", "f", "h", "hf", "h'", "k"}
    assert not any("✝" in name for name in new)


def test_new_names_are_of_the_kind_of_the_old():
    for seed in range(30):
        new = renaming(state("α : Type", "A : Nat", "x : Nat", "h : x = A", "f : Nat → Nat"), seed)
        assert "α" <= new["α"] <= "ω"
        assert new["A"].isupper()
        assert new["x"].isascii()
        assert new["x"].islower()
        assert new["h"][0] in "hH"
        assert new["f"] == "g", "f is taken by itself"


def test_more_names_than_anybody_has_at_hand():
    many = state(*(f"x_{i} : Nat" for i in range(60)))
    new = renaming(many, 0)
    assert len(set(new.values())) == 60


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("∀ x > n, x = m", {"x"}),
        ("∃ x ∈ range n, f x = y", {"x"}),
        ("∀ (x : Fin n) (y : Fin n), x = y", {"x", "y"}),
        ("fun (x : Fin n) y => x + y", {"x", "y"}),
        ("(f fun x ↦ x + n, m)", {"x"}),
        ("fun (a, b) ↦ a + c", {"a", "b"}),
        ("∑ i ∈ range n, f i", {"i"}),
        ("∫ x in (0)..1, f x ∂μ", {"x"}),
        ("⨆ i, s i", {"i"}),
        ("𝔼 i ∈ s, f i", {"i"}),
        ("(x : Nat) → x = n", {"x"}),
        ("{x | x = y}", {"x"}),
        ("{x : Nat // x = y}", {"x"}),
        ("let k := n; k = m", {"k"}),
        ("if h : a = b then c else d", {"h"}),
        ("match n with | 0 => a | k + 1 => k", {"n", "a", "k"}),
        ("f (fun | 0 => a | k + 1 => k)", {"a", "k"}),
        ("f (n := 3) = a", {"n"}),
        ("?x = y", {"x"}),
        (".succ n = y", {"succ"}),
        ("n! = m", {"n"}),
        ('s!"{n} of" = m', {"n"}),
        ("xs[i]'h' = y", {"h'"}),
        ("Type u", {"u"}),
        ("Sort (max u v)", {"u", "v"}),
        ("id.{u} n = m", {"u"}),
        ("a < b ∧ |c| = d * [e, 2].sum", set()),
        ("f a b = {c, d}", set()),
    ],
)
def test_a_name_that_something_else_may_own_is_left_alone(text, bound):
    assert bound <= perhaps_bound(text)
    used = {name for name, _, _ in names(text)}
    everything = state(*(f"{name} : T" for name in sorted(used | bound)), target=text)
    assert bound.isdisjoint(renaming(everything, 0))


def test_what_is_plainly_free_is_renamed():
    free = {"n", "m", "f", "S"}
    for text in ("∀ x > n, f x = m", "∃ k ∈ S, f k = f (n + m)", "fun x => f (x + n) + m ∈ S", "∑ i ∈ S, f i + n * m"):
        assert perhaps_bound(text).isdisjoint(free), text


def test_names_that_stand_for_two_things_or_cannot_be_written_stay():
    twice = state("x : Nat", "x : Int", "y : Nat", "«a b» : Nat", "_h : y = 1", "z.w : Nat")
    assert set(renaming(twice, 0)) == {"y"}
    hidden = ProofState((goal("x : Nat"), Goal((Variable("x", "Nat", accessible=False),), "True")))
    assert renaming(hidden, 0) == {}


def test_instances_stay_and_nothing_moves_past_them_or_past_what_hides_something():
    for stays in ("inst✝ : Add α", "hd : DecidablePred p", "hu : f ⟨0, ⋯⟩ = 1", "ho : ?a = 2"):
        s = state("a : Nat", "b : Nat", stays, "c : Nat", "d : Nat")
        seen = {tuple(o) for seed in range(40) for o in orders(reordered(s, seed))}
        name = stays.split()[0]
        assert seen == {
            (*one, name, *other) for one in (("a", "b"), ("b", "a")) for other in (("c", "d"), ("d", "c"))
        }, stays


def test_all_orders_that_respect_dependence_come_up_and_no_other():
    s = state("n : Nat", "p : Nat → Prop", "h : p n", "m : Nat := n")
    seen = {tuple(o) for seed in range(200) for o in orders(reordered(s, seed))}
    assert seen == {
        ("n", "p", "h", "m"), ("n", "p", "m", "h"), ("n", "m", "p", "h"), ("p", "n", "h", "m"), ("p", "n", "m", "h"),
    }  # fmt: skip


def test_a_hypothesis_does_not_move_before_one_that_has_a_bound_variable_of_its_name():
    for seed in range(20):
        assert orders(reordered(state("h : ∀ y, p y", "y : Nat"), seed)) == [["h", "y"]]


def test_two_hypotheses_of_one_name_keep_their_order_and_goals_of_one_context_get_one_order():
    twice = state("x : Nat", "x : Int", "y : Nat")
    for seed in range(20):
        assert [v.type for v in reordered(twice, seed).goals[0].variables if v.name == "x"] == ["Nat", "Int"]
    pair = ProofState((goal("a : Nat", "b : Nat", "c : Nat"), goal("a : Nat", "b : Nat", "c : Nat", target="1 = 1")))
    for seed in range(20):
        one, other = orders(reordered(pair, seed))
        assert one == other


def test_a_finished_state_has_itself_as_its_view():
    assert view(ProofState(()), 3) == ProofState(())


NAMES = ("n", "m", "x", "y", "f", "g", "h", "h₁", "hx", "A", "α", "ih", "x'")
TERMS = (
    "{0} < {1}",
    "∀ {2}, {2} = {0}",
    "{0}.1 = {1}",
    "{0} ({1} {2})",
    "fun {0} ↦ {1}",
    "(a + {0}, {1})",
    "∃ k > {0}, k ∣ {1}",
)


@st.composite
def proof_states(draw) -> ProofState:
    """States whose hypotheses speak of earlier ones, of names nobody has, and of bound names that look like hypotheses."""
    goals = []
    for _ in range(draw(st.integers(1, 2))):
        known = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True))
        term = st.builds(
            lambda form, args: form.format(*args),
            st.sampled_from(TERMS),
            st.lists(st.sampled_from([*known, "z", "Nat"]), min_size=3, max_size=3),
        )
        variables = [Variable(name, draw(st.one_of(st.just("Nat"), term))) for name in known]
        goals.append(Goal(tuple(variables), draw(term)))
    return ProofState(tuple(goals))


@given(proof_states(), st.integers(0, 2**63))
@settings(max_examples=200)
def test_renaming_back_gives_the_state_again(s, seed):
    new = renaming(s, seed)
    assert len(set(new.values())) == len(new)
    assert not set(new.values()) & {name for name, _, _ in names(s.text.replace("⊢", ":"))}, "no new name is captured"
    assert renamed(renamed(s, new), {b: a for a, b in new.items()}) == s


@given(proof_states(), st.integers(0, 2**63))
@settings(max_examples=200)
def test_a_new_order_has_the_same_hypotheses_and_breaks_no_dependence(s, seed):
    for before, after in zip(s.goals, reordered(s, seed).goals, strict=True):
        assert Counter(before.variables) == Counter(after.variables)
        assert before.target == after.target
        place = {v.name: i for i, v in enumerate(after.variables)}
        for i, v in enumerate(before.variables):
            for earlier in before.variables[:i]:
                if re.search(rf"(?<![\w']){earlier.name}(?![\w'])", v.type):
                    assert place[earlier.name] < place[v.name]


@given(proof_states(), st.integers(0, 2**63))
@settings(max_examples=100)
def test_a_view_has_the_same_types_up_to_its_renaming(s, seed):
    """The new names are read off the view itself: whatever it renamed, it renamed everywhere."""
    v = view(s, seed)
    anonymous = []
    for one in (s, v):
        local = {variable.name for g in one.goals for variable in g.variables}
        movable = set(renaming(one, 0))
        hide = dict.fromkeys(local & movable, "_")
        anonymous.append([Counter(replaced(x.type, hide) for x in g.variables) for g in one.goals])
    assert anonymous[0] == anonymous[1]
