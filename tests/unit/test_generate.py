"""The generator without Lean: its language of statements, its families, its stream, its folder, its figures."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import random
import re
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from burnqed.cli.data import app
from burnqed.core.errors import BadInput, RunError
from burnqed.data.generate import boolean, list_terms, quantifiers
from burnqed.data.generate.arithmetic import arithmetic
from burnqed.data.generate.config import GenerateConfig
from burnqed.data.generate.families import FAMILIES
from burnqed.data.generate.folder import GenerateFolder
from burnqed.data.generate.measure import by_family, measure, ngram_entropy_bits
from burnqed.data.generate.outcome import Generated, Step
from burnqed.data.generate.parse import parse
from burnqed.data.generate.polynomial import Polynomial
from burnqed.data.generate.stream import drafts
from burnqed.data.generate.terms import Expr, Name, Node, Number, evaluate, mutated, show
from burnqed.data.manifest import Manifest
from burnqed.data.normal_form import normal_form
from burnqed.data.records import TacticRecord, TheoremRecord

CONFIG = GenerateConfig(count=10, seed=1)


# -- the language of statements ---------------------------------------------------------------------------


def exprs() -> st.SearchStrategy[Expr]:
    leaves = st.integers(0, 99).map(Number) | st.sampled_from("xyz").map(Name)

    def grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        two = st.tuples(inner, inner)
        return (
            st.tuples(st.sampled_from("+-*/%^"), two).map(lambda t: Node(*t))
            | inner.map(lambda e: Node("neg", (e,)))
            | two.map(lambda t: Node("apply", (Name("min"), *t)))
        )

    return st.recursive(leaves, grow, max_leaves=8)


@given(exprs())
def test_what_is_written_is_read_as_the_same(e):
    assert parse(show(e)) == e


@given(exprs(), exprs(), st.sampled_from("=≠<≤∣"), st.sampled_from("∧∨→↔"))
def test_statements_too(a, b, sign, link):
    claim = Node(link, (Node("¬", (Node(sign, (a, b)),)), Node(sign, (b, a))))
    assert parse(show(claim)) == claim


@pytest.mark.parametrize(
    ("text", "domain", "value"),
    [
        ("3 - 5", "Nat", 0),
        ("3 - 5", "Int", -2),
        ("7 / 0", "Nat", 0),
        ("7 % 0", "Nat", 7),
        ("-7 / 2", "Int", -4),
        ("-7 / -2", "Int", 4),
        ("7 / -2", "Int", -3),
        ("-7 % 2", "Int", 1),
        ("-7 % -2", "Int", 1),
        ("1 / 2", "Rat", Fraction(1, 2)),
        ("1 / 0", "Rat", 0),
        ("-2 ^ 2", "Int", -4),
        ("2 ^ 3 ^ 2", "Nat", 512),
        ("0 ∣ 5", "Nat", False),
        ("0 ∣ 0", "Nat", True),
        ("3 ∣ -6", "Int", True),
        ("Nat.gcd 12 18 + max 1 2", "Nat", 8),
    ],
)
def test_terms_have_the_value_that_lean_gives_them(text, domain, value):
    assert evaluate(parse(text), {}, domain) == value


@pytest.mark.parametrize("text", ["x +", "(x", "x = = y", "∀ x x", "x $ y", "2 x ,"])
def test_what_makes_no_sense_is_told_with_its_place(text):
    with pytest.raises(ValueError, match=r"expected|cannot|no token"):
        parse(text)


def test_a_power_too_large_to_compute_is_refused():
    with pytest.raises(OverflowError):
        evaluate(parse("2 ^ 1000"), {}, "Nat")


@given(st.integers(0, 10**6))
def test_a_mutation_changes_one_thing(seed):
    claim = parse("2 * x + 3 ≤ y ^ 2")
    assert mutated(claim, random.Random(seed)) != claim


@given(st.lists(st.integers(-4, 4), min_size=3, max_size=3), st.integers(-4, 4), st.integers(-4, 4), st.integers(1, 3))
def test_a_power_of_a_polynomial_has_its_value(coefficients, x, y, exponent):
    *linear, constant = coefficients
    form = Polynomial.linear(linear, constant)
    value = linear[0] * x + linear[1] * y + constant
    assert evaluate(parse((form**exponent).text("xy")), {"x": x, "y": y}, "Int") == value**exponent


@given(st.integers(0, 10**6))
def test_a_law_keeps_the_truth_table(seed):
    rng = random.Random(seed)
    names = ("p", "q", "r")
    before = boolean.random_formula(rng, names, 4, ("and", "or", "imp", "iff", "xor", "not"))
    after = boolean.tidied(boolean.rewritten(before, rng))
    assert boolean.falsifying(boolean.Formula("iff", (before, after)), names) is None


@given(st.integers(0, 10**6))
def test_a_law_of_lists_keeps_their_values(seed):
    rng = random.Random(seed)
    before = list_terms.random_expr(rng, ("l", "m"), 3)
    env = {"l": (3, 1, 4, 1, 5, 9, 2, 6), "m": (0, 7)}
    assert all(list_terms.value(after, env) == list_terms.value(before, env) for after in list_terms.steps(before))


def test_small_domains_tell_a_valid_formula_from_one_that_is_not():
    p, q = quantifiers.Formula("p"), quantifiers.Formula("q")
    one = quantifiers.Formula("∀", (quantifiers.Formula("∨", (p, q)),))
    two = quantifiers.Formula("∨", (quantifiers.Formula("∀", (p,)), quantifiers.Formula("∀", (q,))))
    assert quantifiers.counter_model(quantifiers.Formula("→", (two, one))) is None
    against = quantifiers.counter_model(quantifiers.Formula("→", (one, two)))
    assert against is not None
    assert against.size == 2


# -- drafts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_depends_on_its_seed_alone(family):
    def some(seed: int) -> list[str]:
        return [FAMILIES[family](random.Random(f"{seed}-{i}"), i % 3 == 0).signature for i in range(20)]

    assert some(1) == some(1)
    assert some(1) != some(2)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_meant_to_be_false_mostly_has_a_counterexample_and_the_rest_has_none(family):
    false = [FAMILIES[family](random.Random(i), True) for i in range(40)]
    true = [FAMILIES[family](random.Random(i), False) for i in range(40)]
    assert sum(d.counterexample is not None for d in false) >= 24
    assert sum(d.counterexample is not None for d in true) <= 8, "a template that is false by itself"


@pytest.mark.parametrize("family", FAMILIES)
def test_statements_are_read_as_statements_and_names_follow_them(family):
    made = [FAMILIES[family](random.Random(i), False) for i in range(20)]
    assert all(normal_form(d.signature) is not None for d in made)
    assert all(d.signature.startswith(f"theorem {d.name} ") and d.name.startswith(f"{family}_") for d in made)
    assert len({d.name for d in made}) == len({d.signature.replace(d.name, "") for d in made})


def test_a_false_draft_fails_at_its_counterexample():
    for seed in range(60):
        draft = arithmetic(
            random.Random(seed),
            family="f",
            template="t",
            domain="Nat",
            variables=[("x", "Nat")],
            hypotheses=["x % 4 = 3"],
            goal="x ^ 2 % 4 = 1",
            false=True,
        )
        assert draft.counterexample is not None
        (value,) = map(int, draft.counterexample)
        ((_, fact),) = draft.hypotheses
        assert evaluate(parse(fact), {"x": value}, "Nat")
        assert not evaluate(parse(draft.goal), {"x": value}, "Nat")


def test_a_statement_with_quantifiers_says_the_same_as_one_with_binders():
    draft = arithmetic(
        random.Random(0),
        family="f",
        template="t",
        domain="Nat",
        variables=[("x", "Nat")],
        hypotheses=["∀ n, x ≤ n", "x = 0 ∨ x = 1"],
        goal="x = 0",
    )
    plain, quantified = (dataclasses.replace(draft, quantified=q) for q in (False, True))
    forms = [normal_form(d.signature) for d in (plain, quantified)]
    assert forms[0] is not None
    assert forms[0] == forms[1]
    assert quantified.introductions == f"intro x {' '.join(n for n, _ in draft.hypotheses)}"
    assert "¬ (∀ x : Nat, (∀ n, x ≤ n) → (x = 0 ∨ x = 1) → x = 0)" in quantified.negation


# -- the stream -------------------------------------------------------------------------------------------


def test_a_longer_stream_begins_like_a_shorter_one_and_says_nothing_twice():
    short = list(itertools.islice(drafts(CONFIG), 40))
    long = list(itertools.islice(drafts(CONFIG.model_copy(update={"count": 500})), 80))
    assert long[:40] == short
    forms = [normal_form(d.signature, types="kept").text for _, d in long]
    assert len(set(forms)) == 80


def test_the_stream_draws_from_the_kinds_that_are_wanted_and_nothing_false_unless_asked():
    config = GenerateConfig(kinds=("logic", "lists"), false_share=0.0)
    found = [d for _, d in itertools.islice(drafts(config), 60)]
    assert {d.family for d in found} == {"logic", "lists"}
    assert not any(d.counterexample for d in found)


@pytest.mark.parametrize(("field", "value"), [("kinds", ("poetry",)), ("count", 0), ("false_share", 1.5), ("sed", 1)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        GenerateConfig(**{field: value})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--kinds", "poetry"], "--kinds.*no kind poetry; there are library"),
        (["--count", "0"], "--count"),
        (["--false-share", "2"], "--false-share"),
    ],
)
def test_the_command_says_what_is_wrong_before_anything_starts(tmp_path, arguments, says):
    result = CliRunner().invoke(app, ["generate", "--out", str(tmp_path / "g"), *arguments])
    assert isinstance(result.exception, BadInput)
    assert re.search(says, str(result.exception))
    assert not (tmp_path / "g").exists()


# -- the folder -------------------------------------------------------------------------------------------


def generated(index: int, status: str, family: str = "logic", **more: object) -> Generated:
    name = f"{family}_{index}"
    proof = {"proof": "by\n  simp", "steps": (Step("⊢ True", "simp", "no goals"),)} if status != "unknown" else {}
    false = {"negation": f"theorem {name}_false : ¬ (p)"} if status == "refuted" else {}
    return Generated(
        index=index,
        name=name,
        family=family,
        template="t",
        parameters={},
        statement=f"theorem {name} : p",
        status=status,  # type: ignore[arg-type]
        **(proof | false | more),  # type: ignore[arg-type]
    )


def opened(path, config=CONFIG, *, resume=False):
    return GenerateFolder.open(path, config, lean="4.28.0", resume=resume)


def test_what_was_tried_is_written_in_order_with_its_account(tmp_path):
    folder = opened(tmp_path / "g")
    for index, status in ((4, "unknown"), (0, "proved"), (2, "refuted")):
        folder.add(generated(index, status))
    folder.finish([0, 2, 4], CONFIG, drawn=5, lean="4.28.0")
    lines = (tmp_path / "g" / "generated.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 2, 4]
    manifest = Manifest.read(tmp_path / "g")
    assert (manifest.rows_made, manifest.rows_out, manifest.dropped_for("draw", "drawn before")) == (5, 3, 2)

    def records(name: str, kind: type) -> list:
        return [msgspec.json.decode(x, type=kind) for x in (tmp_path / "g" / name).read_bytes().splitlines()]

    (proved,) = records("theorems.jsonl", TheoremRecord)
    (false,) = records("refuted.jsonl", TheoremRecord)
    (negation,) = records("negations.jsonl", TheoremRecord)
    assert (proved.name, proved.proof) == ("logic_0", "by\n  simp")
    assert false.proof is None
    assert "refuted" in false.flags
    assert (negation.name, negation.proof) == ("logic_2_false", "by\n  simp")
    assert [t.theorem for t in records("tactics.jsonl", TacticRecord)] == ["logic_0", "logic_2_false"]


def test_a_line_that_a_crash_cut_off_does_not_count(tmp_path):
    opened(tmp_path).add(generated(0, "proved"))
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"index": 1, "na')
    again = opened(tmp_path, resume=True)
    assert set(again.tried()) == {0}
    again.add(generated(1, "proved"))
    assert set(again.tried()) == {0, 1}


def test_a_folder_is_not_overwritten_nor_resumed_with_other_settings(tmp_path):
    with pytest.raises(BadInput, match="nothing to resume"):
        opened(tmp_path, resume=True)
    opened(tmp_path)
    with pytest.raises(BadInput, match="add --resume"):
        opened(tmp_path)
    with pytest.raises(BadInput, match="seed = 1, not 2"):
        opened(tmp_path, CONFIG.model_copy(update={"seed": 2}), resume=True)
    assert opened(tmp_path, CONFIG.model_copy(update={"count": 99}), resume=True), "more may be asked for"


def test_a_damaged_journal_is_one_sentence(tmp_path):
    folder = opened(tmp_path)
    folder.add(generated(0, "proved"))
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(RunError, match=r"journal\.jsonl:2 is damaged"):
        folder.tried()


# -- figures ----------------------------------------------------------------------------------------------


def test_entropy_is_that_of_the_words():
    assert ngram_entropy_bits(["a b c", "a b c"]) == 0.0
    assert ngram_entropy_bits(["a b c", "d e f", "g h i", "j k l"]) == pytest.approx(2.0)
    assert ngram_entropy_bits(["a b"]) == 0.0


def test_difficulty_and_variety_are_counted():
    rows = [
        generated(0, "proved", one_liners=("simp",)),
        generated(1, "proved"),
        generated(2, "refuted"),
        generated(3, "unknown", family="lists"),
    ]
    m = measure(rows)
    assert (m.statements, m.proved, m.refuted, m.unknown, m.hard, m.hard_share) == (4, 2, 1, 1, 1, 0.5)
    assert (m.proofs, m.tactics, m.steps, m.heads) == (1, 1, {1: 2}, {"simp": 2})
    assert math.isclose(by_family(rows)["logic"].hard_share, 0.5)
    assert list(by_family(rows)) == ["lists", "logic"]


def test_statements_that_differ_in_numerals_are_one_shape():
    a, b, c = (generated(i, "proved") for i in range(3))
    rows = [
        msgspec.structs.replace(g, statement=f"theorem {g.name} : {t}")
        for g, t in zip((a, b, c), ("2 < x", "31 < x", "2 ≤ x"), strict=True)
    ]
    assert measure(rows).shapes == 2
