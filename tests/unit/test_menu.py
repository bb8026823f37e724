"""The tactic menu: its file format and what it proposes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from burnqed.core.errors import BadInput
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.policy.menu import MenuPolicy, bounded
from burnqed.policy.menu_rules import load_menu, parse_menu
from burnqed.premises.index import Known, Premises, symbols


def goal(target: str, **hypotheses: str) -> Goal:
    return Goal(variables=tuple(Variable(n, t) for n, t in hypotheses.items()), target=target)


def texts(menu: str, *goals: Goal) -> list[str]:
    return [c.text for c in MenuPolicy(parse_menu(menu, source="m")).candidates(ProofState(goals))]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("omega", "weight | when | tactic"),
        ("x | always | omega", "not a number"),
        ("-1 | always | omega", "positive"),
        ("1 | sometimes | omega", "unknown condition"),
        ("1 | target | omega", "regular expression"),
        ("1 | target ( | omega", "bad regular expression"),
        ("1 | goals many | omega", "whole number"),
        ("1 | goals ² | omega", "whole number"),
        ("1 | premise | apply {p}", "whole number"),
        ("1 | premise few | apply {p}", "whole number"),
        ("1 | premise 3 | apply {l}", "does not give"),
        ("1 | always | apply {p}", "does not give"),
        ("1 | always | exact {nothing}", "does not give"),
        ("1 | always | exact {h}", "does not give"),
        ("1 | target = | exact {1}", "does not give"),
        ("1 | always | exact {", "does not give"),
    ],
)
def test_a_broken_line_is_named(line, says):
    with pytest.raises(BadInput, match=r"my\.menu:2") as error:
        parse_menu(f"1 | always | simp\n{line}\n", source="my.menu")
    assert says in str(error.value)


def test_an_empty_or_missing_menu_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="no rules"):
        parse_menu("# nothing\n", source="m")
    with pytest.raises(BadInput, match="cannot be read"):
        load_menu(tmp_path / "none.txt")


def test_conditions():
    g = goal("a ∧ b", n="Nat", h="n = 3 ∨ n = 4", p="Prop", hp="p")
    assert texts("1 | target ∧ | constructor", g) == ["constructor"]
    assert texts("1 | target ∨ | left", g) == []
    assert texts("1 | fact ∨ | rcases {h} with {h} | {h}", g) == ["rcases h with h | h"]
    assert texts("1 | variable ^Nat$ | induction {x}", g) == ["induction n"]
    assert texts("1 | goals 2 | swap", g) == []
    assert texts("1 | goals 2 | swap", g, g) == ["swap"]
    assert texts("1 | always | simp [{facts}]", g) == ["simp [h]"]
    assert texts("1 | always | simp [{facts}]", goal("a")) == []
    assert texts(r"1 | target (\w+) ∧ (\w+) | have := {2} {1}", g) == ["have := b a"]


def test_inaccessible_names_are_never_used():
    g = Goal(
        variables=(Variable("n✝", "Nat", accessible=False), Variable("h✝", "n✝ = 1", accessible=False)), target="True"
    )
    assert texts("1 | fact . | subst {h}\n1 | variable . | cases {x}\n1 | always | trivial", g) == ["trivial"]


def test_probabilities_sum_to_one_and_rank_by_weight():
    candidates = MenuPolicy(
        parse_menu("1 | always | b\n3 | always | a\n1 | always | c\n2 | always | b", source="m")
    ).candidates(ProofState((goal("x"),)))
    assert [c.text for c in candidates] == ["a", "b", "c"]
    assert sum(math.exp(c.logprob_nats) for c in candidates) == pytest.approx(1)


def test_bounded():
    g = goal("True", a="Nat", b="Int", c="Nat", h="1 ≤ a ∧ a ≤ 9", h2="-2 < b", h3="5 > b", h4="c ≥ 3")
    assert list(bounded(g, 64)) == [("a", list(range(1, 10))), ("b", list(range(-1, 5)))]
    assert list(bounded(g, 8)) == [("b", list(range(-1, 5)))]


def test_residues_pairs_and_numerals():
    g = goal("a ^ 2 % 3 = 0 ∨ 4 ∣ b", a="Int", b="Nat", c="Nat", h="b + c = 12", h2="c ≤ 5")
    assert (
        texts("1 | modular 3 | {x} {m} {T}: {cases} / {patterns}", g)[0]
        == "a 3 Int: a % 3 = 0 ∨ a % 3 = 1 ∨ a % 3 = 2 / hm | hm | hm"
    )
    assert len(texts("1 | modular 4 | {x} {m} {T}: {cases} / {patterns}", g)) == 6
    assert texts("1 | pair ^Nat$ | {x} {y}", g) == ["b c"]
    assert texts("1 | numeral 12 | {x} ≤ {1}", g) == ["a ≤ 5", "a ≤ 12", "b ≤ 5", "b ≤ 12"], "c is bounded already"


def test_squares():
    g = goal("10 * a ≤ 28 * a ^ 2 + 1", a="K")
    assert texts("1 | squares | {hints}\\ngrind", g) == [
        "have hsq0 : (0 : K) ≤ (28 * a - 5) ^ 2 := Lean.Grind.OrderedRing.sq_nonneg\ngrind"
    ]
    assert texts("1 | squares | {hints}", goal("a ≤ b", a="K", b="K")) == []


async def test_propose_respects_n():
    policy = MenuPolicy(load_menu())
    ((first, second), none) = await policy.propose([ProofState((goal("∀ n : Nat, n = n"),)), ProofState(())], 2)
    assert none == []
    assert first.logprob_nats >= second.logprob_nats


def test_names_of_the_file_around_the_theorem():
    rules = parse_menu("2 | definition | unfold {d}\n1 | lemma | rw [{l}]", source="m")
    state = ProofState((Goal((), "Tour.double n = doubled"),))
    policy = MenuPolicy(rules, definitions=["double", "triple"], lemmas=["double_eq"])
    assert [c.text for c in policy.candidates(state)] == ["unfold double", "rw [double_eq]"]
    assert MenuPolicy(rules).candidates(state) == []


SAID = {
    "Set.size_insert": "Set.size (Set.insert s a) = Set.size s + 1",
    "Set.size_insert_le": "Set.size (Set.insert s a) ≤ Set.size s + 1",
    "Far.size_insert": "Set.size (Set.insert s a) ≤ Set.size s + 1",
}


def small_library() -> Premises:
    others = {f"Other{i}.word": f"Other{i}.word p" for i in range(20)}
    module = {name: "Far" if name.startswith("Far") else "Near" for name in SAID | others}
    known = [Known(name, module[name], symbols(text)) for name, text in (SAID | others).items()]
    return Premises(known, {"Near": (), "Far": ("Near",)})


def proposed(menu: str, *goals: Goal, imports: tuple[str, ...] = ("Near",)) -> list[str]:
    policy = MenuPolicy(parse_menu(menu, source="m"), premises=small_library)
    return [c.text for c in policy.candidates(ProofState(goals, imports))]


ABOUT_SETS = goal("Set.size (Set.insert s 3) ≤ 7", s="Set Nat", h="s ∈ t")


def test_premises_come_most_alike_first_each_rule_with_as_many_as_it_says():
    assert proposed("1 | premise 3 | apply {p}", ABOUT_SETS) == ["apply Set.size_insert_le", "apply Set.size_insert"]
    assert proposed("1 | premise 1 | apply {p}\n3 | always | simp\n2 | premise 2 | rw [{p}]", ABOUT_SETS) == [
        "simp",
        "rw [Set.size_insert_le]",
        "rw [Set.size_insert]",
        "apply Set.size_insert_le",
    ]
    assert proposed("1 | premise 0 | apply {p}\n1 | always | simp", ABOUT_SETS) == ["simp"]
    assert proposed("1 | premise 3 | apply {p}", goal("Unheard.of")) == []


def test_premises_are_those_of_the_states_imports_and_of_its_first_goal():
    menu = "1 | premise 3 | apply {p}"
    assert "apply Far.size_insert" in proposed(menu, ABOUT_SETS, imports=("Far",))
    assert "apply Far.size_insert" in proposed(menu, ABOUT_SETS, imports=())
    assert proposed(menu, goal("Unheard.of"), ABOUT_SETS) == []


def test_a_rule_about_premises_may_name_the_facts():
    assert proposed("1 | premise 1 | simp [{p}, {facts}]", ABOUT_SETS) == ["simp [Set.size_insert_le, h]"]
    assert proposed("1 | premise 1 | simp [{p}, {facts}]", goal("Set.size (Set.insert s 3) ≤ 7")) == []


def test_a_menu_without_premises_reads_no_library():
    def unreadable() -> Premises:
        raise AssertionError("nobody asked")

    policy = MenuPolicy(parse_menu("1 | always | simp", source="m"), premises=unreadable)
    assert [c.text for c in policy.candidates(ProofState((ABOUT_SETS,)))] == ["simp"]


def test_the_menu_that_comes_along_applies_theorems_of_the_library():
    sets = goal("(m.insert a).size ≤ m.size + 1", m="Std.HashSet α", a="α")
    found = [c.text for c in MenuPolicy(load_menu()).candidates(ProofState((sets,), ("Init", "Std")))]
    assert "apply Std.HashSet.size_insert_le <;> assumption" in found
    assert sum(text.startswith("apply ") for text in found) == 14
