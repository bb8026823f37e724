"""Smuggling: a benchmark's theorem in every dress that was thought of, and none may pass. What is another theorem does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnqed.core.errors import BadInput
from burnqed.data.decontaminate import DECONTAMINATE, Decontaminator, benchmarks_in, decontaminated
from burnqed.data.intake import take_in
from burnqed.data.lean_tokens import tokens
from burnqed.data.manifest import Manifest
from burnqed.data.normal_form import normal_form
from burnqed.data.plain_terms import Types
from burnqed.data.records import TacticRecord, TheoremRecord
from burnqed.data.restate.rendering import Unstatable
from burnqed.data.restate.statement import restate
from burnqed.data.sources.any_file import source_of
from burnqed.data.statements import declaration
from burnqed.data.training_files import MARKED, training_file

VALID = Path(__file__).parents[3] / "shared" / "data" / "minif2f_v1_valid.jsonl"

OWN = [
    TheoremRecord(name=name, statement=f"theorem {name} {text}", source="own", informal=informal, flags=("benchmark",))
    for name, text, informal in (
        (
            "contest_2031_p4",
            "(x y : ℝ) (h₀ : 0 < x ∧ 0 < y) (h₁ : x ^ 2 + 3 * y = 17) (h₂ : x - 2 * y = 4) : x / y ≥ 5 / 2",
            "Let $x$ and $y$ be positive real numbers with $x^2 + 3y = 17$ and $x - 2y = 4$. How large is x/y? "
            "Show that it is 3.",
        ),
        ("contest_2031_p9", "(n : ℕ) (h₀ : n % 6 = 5) (h₁ : Even (n + 1)) : (n ^ 2 + 2) % 3 = 0", ""),
        ("residues_mod_9", ": 31 ^ 41 % 9 = 4", ""),
        (
            "three_numbers",
            "(a b c : ℝ) (f : ℝ → ℝ) (h : ∀ t, f t = a * t ^ 2 + b * t + c) (hf : f 2 = 7) : f 2 - 7 ≠ 1",
            "",
        ),
        ("set_of_few", "(S : Finset ℕ) (h : ∀ k : ℕ, k ∈ S ↔ 3 ∣ k ∧ k < 20) : ∑ k ∈ S, k = 63", ""),
    )
]
GUARD = Decontaminator(OWN)
FIRST = OWN[0].statement


def stolen(statement: str, **more: object) -> TheoremRecord:
    return msgspec.convert({"name": "innocent", "statement": statement, **more}, TheoremRecord)


H0, H1, H2 = "(h₀ : 0 < x ∧ 0 < y)", "(h₁ : x ^ 2 + 3 * y = 17)", "(h₂ : x - 2 * y = 4)"
CLAIM = "x / y ≥ 5 / 2"
THE_FIELD = "{K : Type u} [LinearOrder K] [Field K] [IsStrictOrderedRing K]"
DRESSES = {
    "another name": f"theorem lemma_12 (x y : ℝ) {H0} {H1} {H2} : {CLAIM}",
    "other blanks": "theorem t\n  (x y:ℝ)(h₀:0<x∧0<y)\n  -- by symmetry\n (h₁ : x^2+3*y=17) (h₂ : x-2*y=4):\n   x/y≥5/2",
    "hypotheses in another order": f"theorem t (x y : ℝ) {H2} {H1} {H0} : {CLAIM}",
    "other variables": "theorem t (p q : ℝ) (a : 0 < p ∧ 0 < q) (b : p ^ 2 + 3 * q = 17) (c : p - 2 * q = 4) : p / q ≥ 5 / 2",
    "variables swapped in their binder": f"theorem t (y x : ℝ) {H0} {H1} {H2} : {CLAIM}",
    "binders apart": f"theorem t (x : ℝ) (hx : x > 0) (y : ℝ) (hy : y > 0) {H1} {H2} : {CLAIM}",
    "over the rationals": f"theorem t (x y : ℚ) {H0} {H1} {H2} : {CLAIM}",
    "in core's words": f"theorem t (x y : Rat) {H0} {H1} {H2} : {CLAIM}",
    "over a field": f"theorem t.{{u}} {THE_FIELD} (x y : K) {H0} {H1} {H2} : {CLAIM}",
    "implicit": "theorem t {x y : ℝ} ⦃h₀ : 0 < x ∧ 0 < y⦄ (h₁ : x ^ 2 + 3 * y = 17) {h₂ : x - 2 * y = 4} : x / y ≥ 5 / 2",
    "a lemma": f"@[simp] private lemma t (x y : ℝ) {H0} {H1} {H2} : {CLAIM}",
    "an example": f"example (x y : ℝ) {H0} {H1} {H2} : {CLAIM}",
    "in a namespace": f"namespace A.B\n\nopen Real in\n/-- nothing to see -/\ntheorem A.t (x y : ℝ) {H0} {H1} {H2} : {CLAIM}",
    "numerals with types": "theorem t (x y : ℝ) (h₀ : (0 : ℝ) < x ∧ 0 < y) (h₁ : x ^ (2 : ℕ) + (3 : ℝ) * y = 17.0) "
    "(h₂ : x - 2 * y = (4 : ℝ)) : x / y ≥ (5 : ℝ) / 2",
    "a decimal": f"theorem t (x y : ℝ) {H0} {H1} {H2} : x / y ≥ 2.50",
    "relations turned": "theorem t (x y : ℝ) (h₀ : x > 0 ∧ y > 0) (h₁ : 17 = x ^ 2 + 3 * y) (h₂ : 4 = x - 2 * y) : 5 / 2 ≤ x / y",
    "sums turned": "theorem t (x y : ℝ) (h₀ : 0 < y ∧ 0 < x) (h₁ : y * 3 + x ^ 2 = 17) (h₂ : x - y * 2 = 4) : x / y ≥ 5 / 2",
    "more brackets": "theorem t (x y : ℝ) (h₀ : (0 < x) ∧ (0 < y)) (h₁ : ((x ^ 2) + (3 * y)) = 17) (h₂ : (x - (2 * y)) = 4) : "
    "((x / y) ≥ (5 / 2))",
    "all in the claim": f"theorem t : ∀ x y : ℝ, 0 < x ∧ 0 < y → x ^ 2 + 3 * y = 17 → x - 2 * y = 4 → {CLAIM}",
    "premises as one": f"theorem t : ∀ (x : ℝ) (y : ℝ), (x - 2 * y = 4 ∧ 0 < x ∧ 0 < y ∧ x ^ 2 + 3 * y = 17) → {CLAIM}",
    "bounded quantifiers": f"theorem t : ∀ x > (0 : ℝ), ∀ y > (0 : ℝ), x ^ 2 + 3 * y = 17 → x - 2 * y = 4 → {CLAIM}",
    "negated twice": f"theorem t (x y : ℝ) {H0} {H1} {H2} : ¬ ¬ ({CLAIM})",
    "an unused variable more": f"theorem t (x y z : ℝ) {H0} {H1} {H2} : {CLAIM}",
    "a hypothesis more": f"theorem t (x y : ℝ) (h : x ≠ 1) {H0} {H1} {H2} : {CLAIM}",
    "a hypothesis less": f"theorem t (x y : ℝ) {H1} {H2} : {CLAIM}",
    "nearly the same claim": f"theorem t (x y : ℝ) {H0} {H1} {H2} : x / y > 5 / 2",
    "ASCII arrows": "theorem t : ∀ x y : ℝ, 0 < x ∧ 0 < y -> x ^ 2 + 3 * y = 17 -> x - 2 * y = 4 -> x / y >= 5 / 2",
    "parity written out": "theorem t (n : ℕ) (h₀ : n % 6 = 5) (h₁ : ∃ r, n + 1 = r + r) : (n ^ 2 + 2) % 3 = 0",
    "as Nat": "theorem t (k : Nat) (h₀ : k % 6 = 5) (h₁ : Even (k + 1)) : (k ^ 2 + 2) % 3 = 0",
    "nothing but numbers": "theorem t : (31 : ℕ) ^ 41 % 9 = 4",
    "a function by its body": "theorem t (f : ℝ → ℝ) (a b c : ℝ) (h : f = fun t => a * t ^ 2 + b * t + c) (hf : f 2 = 7) : "
    "f 2 - 7 ≠ 1",
    "a negation spelt out": "theorem t (a b c : ℝ) (f : ℝ → ℝ) (h : ∀ s, f s = a * s ^ 2 + b * s + c) (hf : f 2 = 7) : "
    "¬ f 2 - 7 = 1",
    "old syntax of sums": "theorem t (S : Finset ℕ) (h : ∀ k : ℕ, k ∈ S ↔ 3 ∣ k ∧ k < 20) : ∑ j in S, j = 63",
    "a list for a set": "theorem t (S : List Nat) (hS : S.Nodup) (h : ∀ k : Nat, (k ∈ S) ↔ 3 ∣ k ∧ k < 20) : "
    "((S.map (fun k : Nat => k)).foldr (· + ·) 0) = 63",
}


@pytest.mark.parametrize("dress", DRESSES)
def test_no_dress_helps(dress):
    assert GUARD.leak(stolen(DRESSES[dress])) is not None


@pytest.mark.parametrize(
    "name",
    [
        "contest_2031_p4",
        "Mathlib.Contest_2031_p4",
        "«contest_2031_p4»",
        "contest_2031_p4_v2",
        "contest_2031_p4_core",
        "contest_2031_p4~2",
    ],
)
def test_a_benchmarks_name_is_enough(name):
    leak = GUARD.leak(stolen("theorem t : 1 = 1", name=name))
    assert leak is not None
    assert (leak.how, leak.benchmark) == ("name", "own:contest_2031_p4")


LIBRARY = Decontaminator(
    [
        *OWN,
        TheoremRecord(
            name="harvest.Array.map_id_v2",
            statement="theorem harvest.Array.map_id_v2.{u} {α : Type u} (xs : Array α) : Array.map (fun x => x) xs = xs",
            source="held out",
        ),
    ]
)
"""Knows a benchmark of harvested theorems as well."""


@pytest.mark.parametrize(
    "name",
    ["harvest.List.map_id_v2", "harvest.Vector.map_id", "map_id_v2", "Array.map_id_v2"],
)
def test_of_a_librarys_theorem_no_part_of_its_name_is_enough(name):
    assert LIBRARY.leak(stolen("theorem t : 1 = 1", name=name)) is None


def test_of_a_librarys_theorem_the_whole_name_is():
    leak = LIBRARY.leak(stolen("theorem t : 1 = 1", name="harvest.Array.map_id_v2"))
    assert leak is not None
    assert (leak.how, leak.benchmark) == ("name", "held out:harvest.Array.map_id_v2")
    step = TacticRecord(
        theorem="harvest.Array.map_id_v2", source="s", state_before="⊢ 1 = 1", tactic="rfl", state_after="no goals"
    )
    assert LIBRARY.leak(step) is not None


@pytest.mark.parametrize("name", ["harvest.List.map_id_v2", "innocent"])
def test_what_a_librarys_theorem_states_is_found_under_any_name(name):
    leak = LIBRARY.leak(
        stolen(f"theorem {name} {{β : Type v}} (a : Array β) : a = Array.map (fun y => y) a", name=name)
    )
    assert leak is not None
    assert leak.benchmark == "held out:harvest.Array.map_id_v2"


def test_a_benchmarks_name_is_enough_for_a_harvested_theorem_too():
    assert LIBRARY.leak(stolen("theorem t : 1 = 1", name="harvest.Contest.contest_2031_p4")) is not None


@pytest.mark.parametrize(
    "record",
    [
        stolen("theorem t : 1 = 1", header=f"{FIRST} := by sorry\n"),
        stolen("theorem t : 1 = 1", header="theorem contest_2031_p4 : 2 = 2 := rfl"),
        stolen("theorem t : 1 = 1", proof="by\n  have key : 31 ^ 41 % 9 = 4 := by norm_num\n  rfl"),
        stolen(
            "theorem t : 1 = 1",
            proof="rfl\n\ntheorem u (n : ℕ) (h : n % 6 = 5) (h' : Even (n + 1)) : (n ^ 2 + 2) % 3 = 0 := foo n h h'",
        ),
    ],
    ids=["lemma before", "name before", "inside the proof", "after the proof"],
)
def test_nor_does_hiding_it_behind_another_theorem(record):
    leak = GUARD.leak(record)
    assert leak is not None
    assert leak.how == "inside its proof"


def test_the_informal_problem_tells_as_well():
    text = "Let x and y be positive real numbers with \\(x^2+3y=17\\) and \\(x-2y=4\\). How large is x/y?"
    leak = GUARD.leak(stolen("theorem t (u : ℚ) : u = u", informal=text))
    assert leak is not None
    assert leak.how == "informal text"


def test_a_first_state_tells_as_well():
    state = "q p : ℝ\nh : q - 2 * p = 4\nh₀ : 0 < q ∧ 0 < p\nh₁ : q ^ 2 + 3 * p = 17\n⊢ q / p ≥ 5 / 2"
    step = TacticRecord(theorem="innocent", source="s", state_before=state, tactic="nlinarith", state_after="no goals")
    assert GUARD.leak(step) is not None
    assert GUARD.leak(msgspec.structs.replace(step, state_before="q p : ℝ\n⊢ q + p = p + q")) is None


@pytest.mark.parametrize("benchmark", OWN, ids=lambda r: r.name)
def test_the_negation_is_another_theorem(benchmark):
    found = declaration(benchmark.statement)
    assert found is not None
    assert found.goal is not None
    head, claim = benchmark.statement[: found.goal.start], benchmark.statement[found.goal.start :]
    assert GUARD.leak_in_statement(f"{head.replace(benchmark.name, 't')}¬ ({claim})") is None


@pytest.mark.parametrize(
    "statement",
    [
        "theorem t (x y : ℝ) (h : x - 2 * y = 4) : x ^ 2 ≥ 2 * x * y - 9",
        "theorem t (n : ℕ) (h₀ : n % 6 = 4) : (n ^ 3 + 5) % 3 = 0",
        "theorem t : 31 ^ 43 % 9 = 4",
        "theorem t (f : ℝ → ℝ) (h : ∀ t, f t = 3 * t ^ 2) : f 2 = 12",
        "theorem add_comm (a b : ℕ) : a + b = b + a",
        "def f := 3",
    ],
)
def test_other_theorems_pass(statement):
    assert GUARD.leak(stolen(statement)) is None


def test_a_guard_that_knows_nothing_is_none():
    with pytest.raises(BadInput, match="benchmark"):
        Decontaminator([])


def test_a_guard_from_files(tmp_path):
    path = tmp_path / "minif2f.jsonl"
    row = {
        "name": "problem_1",
        "split": "test",
        "formal_statement": "theorem problem_1 : 7 ^ 7 % 5 = 3 := by\n",
        "header": "",
    }
    path.write_text(json.dumps(row) + "\n{broken\n")
    (record,) = benchmarks_in([path])
    assert record.benchmark
    assert Decontaminator([record]).leak(stolen("theorem t : (7 : ℕ) ^ 7 % 5 = 3")) is not None
    path.write_text("{broken\n" + json.dumps(row | {"formal_statement": "def f := 3"}) + "\n")
    with pytest.raises(BadInput, match="no theorem of a benchmark"):
        benchmarks_in([path])


ORIGINAL = "theorem p (S : Finset ℕ) (h : ∀ n, n ∈ S ↔ 5 ∣ n ∧ n < 40) : S.card = 8"
FORM = "theorem p (f : Nat) (h : f = List.countP (fun n => n % 5 == 0) (List.range 40)) : f = 8 := by\n  sorry"


@pytest.mark.parametrize("column", ["statement", "statement_field", "statement_rat"])
@pytest.mark.parametrize("text", [ORIGINAL, FORM])
def test_of_a_restated_problem_the_original_is_known_too(tmp_path, column, text):
    path = tmp_path / "core.jsonl"
    path.write_text(json.dumps({"name": "p", "original": f"{ORIGINAL} := by", column: FORM}) + "\n")
    found = Decontaminator(benchmarks_in([path])).leak(stolen(text.replace("theorem p", "theorem other")))
    assert found is not None
    assert found.how == "statement"


SHIPPED = [VALID.with_name(f"minif2f_{part}_valid.jsonl") for part in ("v1", "core", "real")]


@pytest.mark.skipif(not all(p.exists() for p in SHIPPED), reason="miniF2F's valid split is not beside the repository")
def test_no_form_of_any_shipped_file_passes():
    guard = Decontaminator(benchmarks_in(SHIPPED))
    rows = [json.loads(text) for path in SHIPPED for text in path.read_text().splitlines()]
    columns = ("formal_statement", "original", "statement", "statement_field", "statement_rat")
    texts = [row[c].replace(row["name"], "t") for row in rows for c in columns if row.get(c)]
    assert len(texts) == 244 + 2 * 66 + 70 + 61 + sum(bool(row.get("statement_rat")) for row in rows)
    assert [t for t in texts if guard.leak_in_statement(t) is None] == []


@pytest.mark.parametrize("original", ["", "nothing of Lean"])
def test_a_restated_row_without_an_original_that_can_be_read_is_no_theorem(tmp_path, original):
    path = tmp_path / "core.jsonl"
    path.write_text(json.dumps({"name": "p", "original": original}) + "\n")
    with pytest.raises(BadInput, match="no theorem"):
        benchmarks_in([path])


def test_what_is_taken_out_is_accounted_for():
    steps = [
        TacticRecord(
            theorem="a", source="s", state_before="⊢ 31 ^ 41 % 9 = 4", tactic="norm_num", state_after="no goals"
        ),
        TacticRecord(theorem="a", source="s", state_before="⊢ 1 = 1", tactic="rfl", state_after="no goals"),
        TacticRecord(theorem="a", source="other", state_before="⊢ 1 = 1", tactic="rfl", state_after="no goals"),
    ]
    records = [stolen(FIRST), stolen("theorem t : 1 = 1"), *steps]
    manifest = Manifest(step="decontaminate", rows_in=len(records))
    assert list(decontaminated(records, GUARD, manifest)) == [records[1], steps[2]]
    manifest.check()
    assert {how: c.count for how, c in manifest.dropped[DECONTAMINATE].items()} == {"statement": 3}
    assert "own:contest_2031_p4" in manifest.dropped[DECONTAMINATE]["statement"].examples[0]


def write(path: Path, guard: Decontaminator, *rows: tuple[str, TheoremRecord]) -> Manifest:
    manifest = Manifest(step="rows", rows_in=len(rows))
    with training_file(path, guard, manifest=manifest) as file:
        for text, of in rows:
            file.write({"text": text}, of=of)
    manifest.check()
    return manifest


def test_a_training_file_lets_nothing_in(tmp_path):
    path = tmp_path / "sft.jsonl"
    bad, good = stolen(FIRST), stolen("theorem t : 1 = 1")
    marked = stolen("theorem u : 2 = 2", flags=["benchmark"])
    manifest = write(path, GUARD, ("a", good), ("b", bad), ("c", bad), ("d", good), ("e", marked))
    assert path.read_text() == '{"text":"a"}\n{"text":"d"}\n'
    assert manifest.outputs[0].rows == 2
    assert manifest.dropped_for(DECONTAMINATE, "statement") == 2
    assert manifest.dropped_for(DECONTAMINATE, MARKED) == 1


def test_a_row_whose_state_tells_is_kept_out(tmp_path):
    manifest = Manifest(step="rows", rows_in=1)
    with training_file(tmp_path / "x.jsonl", GUARD, manifest=manifest) as file:
        assert not file.write({}, of=stolen("theorem t : 1 = 1"), states=["⊢ 31 ^ 41 % 9 = 4"])
    assert manifest.dropped_for(DECONTAMINATE, "statement") == 1


@pytest.mark.parametrize("guard", [None, "no", {}])
def test_there_is_no_training_file_without_a_guard(tmp_path, guard):
    with (
        pytest.raises(BadInput, match="Decontaminator"),
        training_file(tmp_path / "x", guard, manifest=Manifest(step="x")),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_training_file_that_fails_is_not_there(tmp_path):
    def dies() -> None:
        with training_file(tmp_path / "x.jsonl", GUARD, manifest=Manifest(step="x")) as file:
            file.write({}, of=stolen("theorem t : 1 = 1"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        dies()
    assert list(tmp_path.iterdir()) == []


# -- the normal form by itself


@pytest.mark.parametrize(
    ("one", "other", "types", "same"),
    [
        ("(n : ℕ) : n = n", "(n : Nat) : n = n", "kept", True),
        ("(n : ℕ) : n = n", "(n : ℤ) : n = n", "kept", False),
        ("(n : ℕ) : n = n", "(n : ℤ) : n = n", "erased", True),
        ("(a b : ℕ) (h : Even a) : b = 1", "(b a : ℕ) (g : Even b) : a = 1", "kept", True),
        ("(a b : ℕ) (h : Even a) : b = 1", "(a b : ℕ) (h : Even b) : b = 1", "kept", False),
        ("(a b c : ℕ) : a / b = c", "(a b c : ℕ) : b / a = c", "kept", True),
        ("(a b : ℕ) : a / b = a", "(a b : ℕ) : b / a = a", "kept", False),
        (": a ∧ b ∧ c", ": (c ∧ b) ∧ a", "kept", True),
        (": a → b", ": b → a", "kept", False),
        ("(n : ℕ) : Nat.gcd n 4 = 1", "(n : ℕ) : n.gcd 4 = 1", "erased", True),
        (": ∀ x, ∃ y, x < y", ": ∀ x, ∃ y, y < x", "erased", False),
        (": ∃ x > 1, x = 2", ": ∃ y, y > 1 ∧ 2 = y", "erased", True),
        (": 1_000 = 0x3e8", ": 1000 = 1000", "kept", True),
    ],
)
def test_what_is_the_same_and_what_is_not(one, other, types, same):
    forms = [normal_form(f"theorem x {text}", types=types) for text in (one, other)]
    assert all(f is not None for f in forms)
    assert (forms[0].text == forms[1].text) is same
    assert (forms[0].digest == forms[1].digest) is same


def renamed(statement: str, names: dict[str, str]) -> str:
    out, at = [], 0
    for t in tokens(statement):
        head, dot, rest = t.text.partition(".")
        new = f"{names[head]}{dot}{rest}" if t.kind == "name" and head in names else t.text
        out += (statement[at : t.start], new)
        at = t.end
    return "".join([*out, statement[at:]])


RELATIONS = st.sampled_from(["=", "≤", "<", "≥", ">", "≠"])
VARIABLES = ["a", "b", "c", "d"]


@st.composite
def propositions(draw: st.DrawFn) -> str:
    def side(depth: int) -> str:
        if depth == 0 or draw(st.booleans()):
            return draw(st.sampled_from([*VARIABLES, "1", "2", "7"]))
        return f"({side(depth - 1)} {draw(st.sampled_from(['+', '*', '-', '/']))} {side(depth - 1)})"

    return f"{side(2)} {draw(RELATIONS)} {side(2)}"


@settings(max_examples=60)
@given(
    st.lists(propositions(), min_size=1, max_size=4),
    propositions(),
    st.permutations(VARIABLES),
    st.randoms(use_true_random=False),
    st.sampled_from(["kept", "erased"]),
)
def test_names_and_order_never_count(hypotheses, claim, order, rng, types: Types):
    binders = [f"(h{i} : {h})" for i, h in enumerate(hypotheses)]
    plain = f"theorem x ({' '.join(VARIABLES)} : ℕ) {' '.join(binders)} : {claim}"
    rng.shuffle(binders)
    other = f"theorem y ({' '.join(order)} : ℕ) {' '.join(binders)} : {claim}"
    other = renamed(other, dict(zip(VARIABLES, ("p", "q", "r", "s"), strict=True)))
    one, two = normal_form(plain, types=types), normal_form(other, types=types)
    assert one is not None
    assert two is not None
    assert (one.goal, one.hypotheses, one.features) == (two.goal, two.hypotheses, two.features)
    assert one.text == two.text


# -- the whole valid split, where it is


def valid() -> list[TheoremRecord]:
    source = source_of(VALID)
    return [r for r in take_in(source.load(VALID), source, Manifest(step="x")) if isinstance(r, TheoremRecord)]


def shuffled(record: TheoremRecord) -> str:
    """Under another name, hypotheses backwards, variables and hypotheses renamed."""
    text = record.statement
    found = declaration(text)
    assert found is not None
    assert found.goal is not None
    groups = [text[b.start : b.end] for b in found.binders]
    props = [i for i, b in enumerate(found.binders) if b.names and all(n[0] in "hH_" for n in b.names)]
    for i, j in zip(props, reversed(props), strict=True):
        groups[i] = text[found.binders[j].start : found.binders[j].end]
    names = [n for b in found.binders for n in b.names if n != "_" and n.isidentifier()]
    new = renamed(f"{' '.join(groups)} : {text[found.goal.start :]}", {n: f"v{i}'" for i, n in enumerate(names)})
    return f"lemma Smuggled.t {new}"


def in_rationals(record: TheoremRecord) -> str:
    try:
        return restate(record, over="Rat").statement.replace(record.name, "t")
    except Unstatable:
        return renamed(record.statement, {"ℝ": "Rat", "ℂ": "Rat", "ℕ": "Nat", "ℤ": "Int", record.name: "t"})


def over_a_field(record: TheoremRecord, *, unfold: bool) -> str:
    try:
        return restate(record, unfold=unfold).statement.replace(record.name, "t")
    except Unstatable:
        return renamed(record.statement, {"ℝ": "K", "ℂ": "K", record.name: "t {K : Type*} [Field K]"})


ON_ALL: dict[str, Callable[[TheoremRecord], str]] = {
    "as it is": lambda r: r.statement.replace(r.name, "t"),
    "shuffled": shuffled,
    "over Rat": in_rationals,
    "for core": lambda r: over_a_field(r, unfold=False),
    "unfolded": lambda r: over_a_field(r, unfold=True),
}


@pytest.mark.skipif(not VALID.exists(), reason="miniF2F's valid split is not beside the repository")
def test_none_of_the_valid_split_passes():
    records = valid()
    assert len(records) == 244
    guard = Decontaminator(records)
    passed = [
        (dress, r.name)
        for r, (dress, wear) in itertools.product(records, ON_ALL.items())
        if guard.leak_in_statement(wear(r)) is None
    ]
    assert passed == []
    assert all(guard.leak_of_name(r.name) for r in records)


@pytest.mark.skipif(not VALID.exists(), reason="miniF2F's valid split is not beside the repository")
def test_none_of_the_negated_valid_split_is_kept_out():
    records = valid()
    guard = Decontaminator(records)
    kept_out = []
    for r in records:
        found = declaration(r.statement)
        assert found is not None
        assert found.goal is not None
        head = r.statement[: found.goal.start].replace(r.name, "t")
        leak = guard.leak_in_statement(f"{head}¬ ({r.statement[found.goal.start :]})")
        if leak is not None:
            kept_out.append((r.name, str(leak)))
    assert kept_out == []
