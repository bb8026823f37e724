"""What leaves before training, and that nothing else does."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from burnqed.core.errors import BadInput
from burnqed.data.filters import (
    DUPLICATE,
    FILTER,
    HOLE,
    NATIVE,
    NEAR_DUPLICATE,
    NO_PROOF,
    OWN_AXIOM,
    TOO_LONG_PROOF,
    TOO_LONG_STATEMENT,
    TOO_LONG_STEP,
    UNREADABLE,
    FilterConfig,
    filter_tactics,
    filter_theorems,
    unsound,
)
from burnqed.data.manifest import Manifest
from burnqed.data.near_duplicates import NearDuplicates, clusters, similarity
from burnqed.data.normal_form import NormalForm, normal_form
from burnqed.data.records import TacticRecord, TheoremRecord


def proof(name: str, statement: str = "", text: str = "by simp", header: str = "") -> TheoremRecord:
    return TheoremRecord(
        name=name, statement=statement or f"theorem {name} : {len(name)} = {name}", proof=text, header=header
    )


def kept(*records: TheoremRecord, **settings: float) -> tuple[list[str], dict[str, int]]:
    manifest = Manifest(step="filter", rows_in=len(records))
    names = [r.name for r in filter_theorems(records, FilterConfig.model_validate(settings), manifest)]
    manifest.check()
    return names, {reason: c.count for reason, c in manifest.dropped.get(FILTER, {}).items()}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("by sorry", NO_PROOF),
        ("by\n  constructor\n  · simp\n  · admit", NO_PROOF),
        ("by exact cheat", NO_PROOF),
        ("sorryAx _ false", NO_PROOF),
        ("by\n  simp\n  stop\n  ring", NO_PROOF),
        ("by exact «sorry»", NO_PROOF),
        ("by native_decide", NATIVE),
        ("by decide +native", NATIVE),
        ("by decide (config := { native := true })", NATIVE),
        ("by exact?", HOLE),
        ("by apply? <;> simp", HOLE),
        ("by rw?; simp", HOLE),
        ("by simp? [foo]", HOLE),
        ("by hint", HOLE),
        ("by exact unsafe (unsafeCast ())", OWN_AXIOM),
    ],
)
def test_what_proves_nothing(text, reason):
    assert unsound(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "by simp -- sorry, no idea\n  /- admit /- native_decide -/ exact? -/",
        'by exact foo "sorry"',
        "by exact sorry_free admitted.cheater",
        "by have hint : a = b := h\n     exact hint.symm",
        "by exact xs[0]?.get",
        "by exact decide_native",
        "",
    ],
)
def test_comments_strings_and_other_names_do_not_count(text):
    assert unsound(text) == ""


def test_an_unsound_piece_anywhere_takes_the_theorem_out():
    names, why = kept(
        proof("fine"),
        proof("in_proof", text="by sorry"),
        proof("in_header", header="def f : Nat := sorry"),
        proof("own_axiom", header="axiom cheap : False"),
        proof("in_statement", statement="theorem in_statement : (by exact sorry : 1 = 1)"),
    )
    assert names == ["fine"]
    assert why == {NO_PROOF: 3, OWN_AXIOM: 1}


def test_what_is_too_long():
    names, why = kept(
        proof("ab"),
        proof("long", statement=f"theorem long : {'1 + ' * 40}1 = 41"),
        proof("slow", text="by " + "simp; " * 40),
        max_statement_chars=60,
        max_proof_chars=100,
    )
    assert names == ["ab"]
    assert why == {TOO_LONG_STATEMENT: 1, TOO_LONG_PROOF: 1}


def test_the_same_again_in_other_words():
    names, why = kept(
        proof("a", "theorem a (x y : ℕ) (h : x < y) : y ≠ x", "by omega"),
        proof("b", "theorem b (u v : ℕ)\n  (hyp : v > u) : ¬ (v = u)", "by  omega -- again"),
        proof("c", "theorem c (x y : ℕ) (h : x < y) : y ≠ x", "by simp; omega"),
        proof("d", "theorem d (x y : ℝ) (h : x < y) : y ≠ x", "by omega"),
        proof("e", "def e := 3"),
    )
    assert names == ["a", "c", "d"], "another proof, or other numbers, is another row"
    assert why == {DUPLICATE: 1, UNREADABLE: 1}


def test_near_duplicates_go_only_when_asked():
    one = "theorem {n} (a b c : ℝ) (h : 0 < a ∧ 0 < b ∧ 0 < c) (h1 : a * b + b * c + c * a = 1) : a ^ 2 + b ^ 2 + c ^ 2 ≥ {k}"
    rows = [proof(f"t{k}", one.format(n=f"t{k}", k=k)) for k in (1, 2)]
    assert kept(*rows)[0] == ["t1", "t2"]
    assert kept(*rows, near_duplicates=0.7) == (["t1"], {NEAR_DUPLICATE: 1})


def step(theorem: str, tactic: str, source: str = "s", state: str = "⊢ p") -> TacticRecord:
    return TacticRecord(theorem=theorem, source=source, state_before=state, tactic=tactic, state_after="no goals")


def test_one_bad_step_takes_its_whole_theorem():
    steps = [
        step("a", "simp"),
        step("b", "intro x"),
        step("b", "exact sorry"),
        step("b", "rfl", source="other"),
        step("c", "simp", state="⊢ " + "p ∧ " * 9000 + "p"),
    ]
    manifest = Manifest(step="filter", rows_in=len(steps))
    assert [(s.theorem, s.source) for s in filter_tactics(steps, FilterConfig(), manifest)] == [
        ("a", "s"),
        ("b", "other"),
    ]
    manifest.check()
    assert {r: c.count for r, c in manifest.dropped[FILTER].items()} == {NO_PROOF: 2, TOO_LONG_STEP: 1}


@pytest.mark.parametrize("settings", [{"max_proof_chars": 0}, {"near_duplicates": 1.5}, {"minhash": True}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        FilterConfig.model_validate(settings)


def form(statement: str) -> NormalForm:
    found = normal_form(f"theorem x {statement}")
    assert found is not None
    return found


def test_what_is_reported_is_near_and_what_is_near_is_reported():
    # 240 statements in families that differ in one number: similarities of all sizes
    statements = {
        f"{a}.{b}.{c}": form(
            f"(x y z : ℝ) (h : x + {a} * y = {b}) (h1 : y - z = {a + b}) (h2 : {' + '.join(['x * z'] * a)} ≤ {c}) : x ^ {a} = {c}"
        )
        for a in range(1, 7)
        for b in range(1, 9)
        for c in range(1, 6)
    }
    near = NearDuplicates(0.7)
    found = {(key, other) for key, f in statements.items() for other, _ in near.add(key, f)}
    keys = list(statements)
    true = {
        (b, a)
        for i, a in enumerate(keys)
        for b in keys[i + 1 :]
        if similarity(statements[a].features, statements[b].features) >= 0.7
    }
    assert len(true) > 100
    assert found == true


def test_clusters_hold_what_is_near_by_way_of_others():
    chain = "(a b c d e f : ℝ) (h1 : a = {}) (h2 : b = {}) (h3 : c = {}) (h4 : d = {}) : e = f"
    forms = [
        ("c", form(chain.format(1, 2, 9, 9))),
        ("a", form(chain.format(1, 2, 3, 4))),
        ("b", form(chain.format(1, 2, 3, 9))),
        ("z", form(": 1 = 2")),
    ]
    assert similarity(forms[0][1].features, forms[1][1].features) < 0.6
    assert clusters(forms, threshold=0.6) == {"a": "a", "b": "a", "c": "a", "z": "z"}
    assert clusters(reversed(forms), threshold=0.6) == {"a": "a", "b": "a", "c": "a", "z": "z"}


def test_a_threshold_must_be_one():
    with pytest.raises((BadInput, ValueError), match="threshold"):
        NearDuplicates(0.0)
