"""What the generator writes is what Lean reads: statements elaborate, values agree, false ones are never proved."""

from __future__ import annotations

import dataclasses
import random
from fractions import Fraction

import pytest
from tests.conftest import proves

from burnqed.core.theorem import Theorem
from burnqed.data.generate.attempt import attempt
from burnqed.data.generate.config import GenerateConfig
from burnqed.data.generate.draft import Draft
from burnqed.data.generate.families import FAMILIES
from burnqed.data.generate.folder import GenerateFolder
from burnqed.data.generate.parse import parse
from burnqed.data.generate.run import generate
from burnqed.data.generate.terms import evaluate, show
from burnqed.data.printed_states import printed_state
from burnqed.lean.pool import WorkerPool
from burnqed.lean.protocol import VerdictReply
from burnqed.lean.session import PooledSession

pytestmark = pytest.mark.lean


def some(family: str, *, false: bool, count: int) -> list[Draft]:
    """Drafts of a family; of the false ones those with a counterexample."""
    found = (FAMILIES[family](random.Random(f"{family}-{false}-{i}"), false) for i in range(40 * count))
    kept = [d for d in found if (d.counterexample is not None) == false]
    return kept[:count]


async def compiles(session: PooledSession, theorem: Theorem, proof: str) -> bool:
    payload = {"header": "", "theorem": theorem.sorried, "source": f"{theorem.signature} := {proof}"}
    _, reply = await session.process.request("theorem.check", payload, VerdictReply, timeout_s=60)
    return reply.verdict().accepted


@pytest.mark.parametrize("family", FAMILIES)
async def test_statements_elaborate_and_are_decided_rightly(session: PooledSession, family: str):
    for draft in (*some(family, false=False, count=2), *some(family, false=True, count=1)):
        result = await attempt(session, draft, index=0, rng=random.Random(0))
        assert not result.trouble, (draft.signature, result.trouble)
        assert result.state.count("⊢") == 1
        assert printed_state(result.state) is not None
        if draft.counterexample is not None:
            assert result.status == "refuted", draft.signature
            assert result.negation is not None
        if result.proof is not None:
            signature = result.negation or result.statement
            name = signature.split()[1]
            assert await compiles(session, Theorem(name, signature), result.proof)
            assert result.steps[-1].after == "no goals"


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_false_statement_is_never_proved_even_when_nobody_knows_that_it_is_false(
    session: PooledSession, family: str
):
    for draft in some(family, false=True, count=1):
        unsuspected = dataclasses.replace(draft, counterexample=None)
        result = await attempt(session, unsuspected, index=0, rng=random.Random(0))
        assert result.status == "unknown", result.proof


async def test_a_counterexample_that_is_none_does_not_refute(session: PooledSession):
    draft = Draft("f", "t", ((("x",), "Nat"),), (("h", "x < 5"),), "x < 6", counterexample=("3",))
    result = await attempt(session, draft, index=0, rng=random.Random(0))
    assert result.status == "proved"
    assert "counterexample of what Lean proved" in result.trouble


async def test_what_lean_does_not_accept_is_told(session: PooledSession):
    draft = Draft("f", "t", ((("x",), "Nat"),), (), "x < y")
    result = await attempt(session, draft, index=7, rng=random.Random(0))
    assert (result.status, result.index) == ("unknown", 7)
    assert "does not accept" in result.trouble


async def test_a_proof_that_leaves_something_out_is_none(session: PooledSession):
    draft = Draft("f", "t", ((("x",), "Nat"),), (), "x * x < 7", scripts=(("sorry",), ("exact?",)))
    assert (await attempt(session, draft, index=0, rng=random.Random(0))).status == "unknown"


@pytest.mark.parametrize("domain", ["Nat", "Int", "Rat"])
async def test_values_are_those_of_lean(session: PooledSession, domain: str):
    rng = random.Random(domain)
    for _ in range(12):
        text = ground(rng, 3, domain)
        value = evaluate(parse(text), {}, domain)
        right = f"({value.numerator} : {domain}) / {value.denominator}" if isinstance(value, Fraction) else str(value)
        claim = Theorem("v", f"theorem v : ({show(parse(text))} : {domain}) = {right}")
        assert await proves(session, claim, "grind" if domain == "Rat" else "decide"), claim.signature


def ground(rng: random.Random, depth: int, domain: str) -> str:
    if depth == 0:
        return str(rng.randint(0, 9))
    signs = {"Nat": "+-*/%", "Int": "+-*/%n", "Rat": "+-*/n"}[domain]
    sign = rng.choice(signs)
    left = ground(rng, depth - 1, domain)
    if sign == "n":
        return f"(-{left})"
    return f"({left} {sign} {ground(rng, rng.randint(0, depth - 1), domain)})"


async def test_a_run_that_was_interrupted_ends_as_one_that_was_not(pool: WorkerPool, tmp_path):
    config = GenerateConfig(count=6, seed=11, kinds=("logic", "lists", "functions"))

    async def run(name: str, count: int, *, resume: bool = False) -> None:
        wanted = config.model_copy(update={"count": count})
        folder = GenerateFolder.open(tmp_path / name, wanted, lean="4.28.0", resume=resume)
        spent = await generate(pool, folder, wanted)
        folder.finish(spent.wanted, wanted, drawn=spent.drawn, lean="4.28.0")

    await run("whole", 6)
    await run("parts", 2)
    await run("parts", 6, resume=True)
    files = ("generated.jsonl", "theorems.jsonl", "refuted.jsonl", "negations.jsonl", "tactics.jsonl")
    for file in files:
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    assert len((tmp_path / "parts" / "journal.jsonl").read_text().splitlines()) == 6, "nothing was tried twice"
