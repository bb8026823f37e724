"""What leaves before training, each row under the name of its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, Field

from burnqed.data.lean_tokens import tokens
from burnqed.data.manifest import Manifest
from burnqed.data.near_duplicates import NearDuplicates
from burnqed.data.normal_form import normal_form
from burnqed.data.records import TacticRecord, TheoremRecord

FILTER = "filter"
"""The stage under which rows are dropped here."""

NO_PROOF = "sorry, admit or another way to leave a proof out"
NATIVE = "native_decide: rests on the compiler, not on the kernel"
HOLE = "a search command left in the text (exact?, simp?, …)"
OWN_AXIOM = "an axiom of its own, or a way around the kernel"
TOO_LONG_STATEMENT = "statement too long"
TOO_LONG_PROOF = "proof too long"
TOO_LONG_STEP = "a step or state too long"
UNREADABLE = "no statement can be read in it"
DUPLICATE = "same statement and proof again"
NEAR_DUPLICATE = "near-duplicate of an earlier statement"

_UNSOUND = {
    NO_PROOF: "sorry admit cheat sorryAx tauto_sorry proof_wanted",
    NATIVE: "native_decide nativeDecide Lean.ofReduceBool ofReduceBool Lean.trustCompiler",
    HOLE: "exact? apply? rw? rewrite? simp? simp_all? dsimp? simpa? aesop? have? observe? gcongr? norm_num? decide? "
    "grind? rw_search show_term by? try? library_search squeeze_simp",
    OWN_AXIOM: "axiom unsafe implemented_by unsafeCast lcProof debug.skipKernelTC csimp extern",
}
_REASON_OF = {word: reason for reason, words in _UNSOUND.items() for word in words.split()}
_AS_TACTIC = {"stop": NO_PROOF, "hint": HOLE, "propose": HOLE, "suggest": HOLE, "canonical": HOLE}
"""Words that are tactics where a tactic may begin, and good names of hypotheses elsewhere."""
_BEFORE_TACTIC = frozenset({"by", ";", "<;>", "·", "=>", "|", "first", "try", "("})


class FilterConfig(BaseModel, frozen=True, extra="forbid"):
    """What a training set may hold."""

    max_statement_chars: int = Field(4000, ge=1, description="a longer statement goes out")
    max_proof_chars: int = Field(20_000, ge=1, description="a theorem with a longer proof goes out")
    max_step_chars: int = Field(
        8000, ge=1, description="a theorem with a tactic or a state that is longer goes out, where it is traced"
    )
    near_duplicates: float = Field(
        1.0, ge=0.1, le=1.0, description="a statement that is so similar to an earlier one goes out; 1 = none for that"
    )


@dataclass(frozen=True)
class Filter:
    """A named test: ``reason`` is empty for a theorem that may stay."""

    name: str
    reason: Callable[[TheoremRecord], str]


def unsound(text: str) -> str:
    """Why a text proves nothing, or nothing to learn from; empty when nothing is wrong. Comments and strings do not count."""
    before, end = "", 0
    for token in tokens(text):
        if token.kind in ("name", "field"):
            word = token.text.lstrip(".").strip("«»")
            if reason := _REASON_OF.get(word):
                return reason
            if word in _AS_TACTIC and (before in _BEFORE_TACTIC or not before or "\n" in text[end : token.start]):
                return _AS_TACTIC[word]
            if word == "native" and before in (
                "+",
                "{",
                ",",
            ):  # `decide +native`, `decide (config := {native := true})`
                return NATIVE
        before, end = token.text, token.end
    return ""


def filters(config: FilterConfig) -> tuple[Filter, ...]:
    """All tests of a single theorem, in the order in which they are asked."""
    return (
        Filter("sound header", lambda r: unsound(r.header)),
        Filter("sound statement", lambda r: unsound(r.statement)),
        Filter("sound proof", lambda r: unsound(r.proof or "")),
        Filter(
            "length of the statement",
            lambda r: TOO_LONG_STATEMENT if len(r.statement) > config.max_statement_chars else "",
        ),
        Filter(
            "length of the proof",
            lambda r: TOO_LONG_PROOF if len(r.proof or "") > config.max_proof_chars else "",
        ),
    )


def filter_theorems(
    records: Iterable[TheoremRecord], config: FilterConfig, manifest: Manifest
) -> Iterator[TheoremRecord]:
    """The theorems that may stay, in order; the others are counted under their reasons.

    Of several rows with one statement and one proof the first stays; with ``near_duplicates`` below 1, of several near statements
    the first. The manifest must have counted the rows as they came in.
    """
    tests = filters(config)
    seen: set[str] = set()
    near = NearDuplicates(config.near_duplicates) if config.near_duplicates < 1.0 else None
    for number, record in enumerate(records):
        reason = next((why for test in tests if (why := test.reason(record))), "")
        if not reason:
            reason = _again(record, seen, near, str(number))
        if reason:
            manifest.drop(FILTER, reason, f"{record.origin}: {record.name}" if record.origin else record.name)
        else:
            manifest.rows_out += 1
            yield record


def _again(record: TheoremRecord, seen: set[str], near: NearDuplicates | None, key: str) -> str:
    """Why a sound record is one too many; empty when it is not."""
    form = normal_form(record.statement, types="kept")
    if form is None:
        return UNREADABLE
    proof = " ".join(t.text for t in tokens(record.proof or ""))
    digest = hashlib.blake2b(f"{form.text}\0{proof}".encode(errors="surrogatepass"), digest_size=16).hexdigest()
    if digest in seen:
        return DUPLICATE
    seen.add(digest)
    if near is not None:
        if near.near(form):
            return NEAR_DUPLICATE
        near.add(key, form)
    return ""


def filter_tactics(records: Iterable[TacticRecord], config: FilterConfig, manifest: Manifest) -> list[TacticRecord]:
    """The steps of theorems that are sound in every step, and none of whose steps is too long; in order.

    One bad step takes all steps of its theorem with it (of the same source): what was proved after it rests on it.
    """
    steps = list(records)
    bad: dict[tuple[str, str], str] = {}
    for step in steps:
        longest = max(len(step.tactic), len(step.state_before), len(step.state_after))
        reason = unsound(step.tactic) or (TOO_LONG_STEP if longest > config.max_step_chars else "")
        if reason:
            bad.setdefault((step.source, step.theorem), reason)
    kept: list[TacticRecord] = []
    for step in steps:
        if reason := bad.get((step.source, step.theorem), ""):
            manifest.drop(FILTER, reason, f"{step.origin}: {step.theorem}")
        else:
            kept.append(step)
    manifest.rows_out += len(kept)
    return kept
