"""Prove a draft, or prove its negation, with a few tactics in Lean; the kernel and a compilation of the text decide."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from burnqed.core.errors import LeanError, StatementRejected
from burnqed.core.outcome import StateRef, Stepped
from burnqed.core.state import ProofState
from burnqed.core.theorem import Theorem
from burnqed.data.generate import outcome
from burnqed.data.generate.draft import Draft, Script, Step
from burnqed.data.generate.outcome import Generated
from burnqed.lean.process import RequestFailed
from burnqed.lean.protocol import VerdictReply
from burnqed.lean.session import PooledSession

ONE_LINERS = ("rfl", "decide", "omega", "simp", "simp_all", "grind")
"""The fixed tactics by which the difficulty of a statement is told."""
_LAST_RESORTS: tuple[Script, ...] = (
    ("simp", ("omega", "grind")),
    ("simp_all", ("omega", "grind")),
    ("constructor", ("simp_all", "grind", "omega"), ("simp_all", "grind", "omega")),
    ("intros", ("omega", "simp_all", "grind")),
    ("exact?",),
)
_FACTS = (
    ("decide", "intro n; rfl"),
    ("rfl", "intro n; omega"),
    ("omega", "intro x y; omega"),
    ("simp", "intro n; simp"),
    ("grind", "grind"),
)
"""How a hypothesis is shown at the counterexample: one without a quantifier, one with."""
_ALL_FACTS = (
    "first | decide | omega | rfl | (intro n; rfl) | simp | grind | (intro x y; simp; try omega) | (intros; omega)"
)
_CONTRADICTIONS = ("simp at key", "omega", "exact absurd key (by decide)", "grind", "revert key; decide", "simp_all")
_SCRIPT_SHARE = 0.6  # of the statements for which a longer proof is preferred to a tactic that does it all
_CHECK_S = 60.0


@dataclass(frozen=True)
class Proof:
    """The steps from the first state, and the state they end in."""

    steps: tuple[outcome.Step, ...]
    end: StateRef

    @property
    def text(self) -> str:
        """As what stands after ``:=``."""
        lines = [line for step in self.steps for line in step.tactic.splitlines()]
        return "by\n" + "\n".join(f"  {line}" for line in lines)


async def attempt(session: PooledSession, draft: Draft, *, index: int, rng: random.Random) -> Generated:
    """Prove or refute it. A draft with a counterexample is tried as its negation first.

    Whatever is wrong with the statement or with Lean's process is told in ``trouble``, the status then being unknown.
    """
    trier = _Trier(session, draft, index)
    try:
        if draft.counterexample is not None and (refuted := await trier.refute(draft.counterexample)):
            return refuted
        return await trier.prove(rng)
    except (StatementRejected, RequestFailed) as error:
        return trier.result("unknown", trouble=str(error))
    except LeanError as error:
        return trier.result("unknown", trouble=f"Lean was lost: {error}")


class _Trier:
    """One draft in one session."""

    def __init__(self, session: PooledSession, draft: Draft, index: int) -> None:
        self.session = session
        self.draft = draft
        self.index = index
        self.state = ""
        self._reached = ProofState(())  # the last state that a script came to

    async def prove(self, rng: random.Random) -> Generated:
        """By one of the fixed tactics, or by a script of the draft, whichever the dice prefer; else by a last resort."""
        theorem = Theorem(self.draft.name, self.draft.signature)
        ref, state = await self.session.start(theorem)
        self.state = state.text
        intro = await self._run(ref, state, (self.draft.introductions,)) if self.draft.quantified else Proof((), ref)
        if intro is None:
            return self.result("unknown", trouble="the variables could not be introduced")
        opened = (intro.end, self._reached if intro.steps else state)
        closing = await self._one_liners(*opened, rng)
        found: Proof | None = None
        if self.draft.scripts and (not closing or rng.random() < _SCRIPT_SHARE):
            found = await self._first(*opened, self.draft.scripts, theorem, intro)
        if found is None and closing:
            found = await self._first(*opened, [(rng.choice(closing),)], theorem, intro)
        if found is None:
            found = await self._first(*opened, _LAST_RESORTS, theorem, intro)
        trouble = "evaluation found a counterexample" if self.draft.counterexample is not None else ""
        if found is None:
            return self.result(
                "unknown", one_liners=closing, trouble=f"{trouble} that Lean did not confirm" if trouble else ""
            )
        return self.result(
            "proved", one_liners=closing, proof=found, trouble=f"{trouble} of what Lean proved" if trouble else ""
        )

    async def refute(self, counterexample: Sequence[str]) -> Generated | None:
        """Prove the negation from the counterexample; None when that does not work."""
        _, state = await self.session.start(Theorem(self.draft.name, self.draft.signature))
        self.state = state.text
        theorem = Theorem(f"{self.draft.name}_false", self.draft.negation)
        ref, state = await self.session.start(theorem)
        count = len(self.draft.hypotheses)
        if count or counterexample:
            quantified = [text.startswith("∀") for _, text in self.draft.hypotheses]
            ways = [[pair[q] for q in quantified] for pair in _FACTS] if count else [[]]
            if count > 1:
                ways.append([_ALL_FACTS] * count)
            arguments = [" ".join(["h", *counterexample, *(f"(by {tactic})" for tactic in way)]) for way in ways]
            scripts: list[Script] = [("intro h", f"have key := {a}", _CONTRADICTIONS) for a in arguments]
        else:
            scripts = [(("decide", "omega", "simp", "grind"),)]
        found = await self._first(ref, state, scripts, theorem, Proof((), ref))
        return self.result("refuted", proof=found, negation=self.draft.negation) if found else None

    async def _one_liners(self, ref: StateRef, state: ProofState, rng: random.Random) -> tuple[str, ...]:
        """The fixed tactics that close the state; the dearest is tried when no other does, and now and then anyway."""
        *cheap, dear = ONE_LINERS
        closing = [t for t, o in zip(cheap, await self.session.apply(ref, cheap), strict=True) if _closes(o)]
        if not closing or rng.random() < 0.3:
            closing += [dear for o in await self.session.apply(ref, [dear]) if _closes(o)]
        return tuple(closing)

    async def _first(
        self, ref: StateRef, state: ProofState, scripts: Sequence[Script], theorem: Theorem, before: Proof
    ) -> Proof | None:
        """The first script whose text Lean compiles and the kernel accepts, with the steps ``before`` it."""
        for script in scripts:
            tail = await self._run(ref, state, script)
            if tail is None or tail.steps[-1].after != "no goals":
                continue
            proof = Proof((*before.steps, *tail.steps), tail.end)
            if await self._compiles(theorem, proof.text):
                return proof
        return None

    async def _run(self, ref: StateRef, state: ProofState, script: Script) -> Proof | None:
        """Run a script; of several tactics for a step the first counts that leaves fewer goals."""
        steps: list[outcome.Step] = []
        for step in script:
            if state.finished:
                break
            good = await self._step(ref, state, step)
            if good is None:
                return None
            tactic, stepped = good
            steps.append(outcome.Step(state.text, tactic, stepped.state.text))
            ref, state = stepped.ref, stepped.state
            self._reached = state
        return Proof(tuple(steps), ref) if steps else None

    async def _step(self, ref: StateRef, state: ProofState, step: Step) -> tuple[str, Stepped] | None:
        """One step, with what it was: one after the other, since the last resort among several can be dear."""
        for tactic in (step,) if isinstance(step, str) else step:
            (result,) = await self.session.apply(ref, [tactic])
            if isinstance(result, Stepped) and (isinstance(step, str) or len(result.state.goals) < len(state.goals)):
                # What a search in the library found is written in its place.
                return result.suggestion or tactic, result
        return None

    async def _compiles(self, theorem: Theorem, proof: str) -> bool:
        """Whether the text, compiled like a file, is a proof for the kernel: steps that worked are no proof yet."""
        payload = {"header": "", "theorem": theorem.sorried, "source": f"{theorem.signature} := {proof}"}
        _, reply = await self.session.process.request("theorem.check", payload, VerdictReply, timeout_s=_CHECK_S)
        return reply.verdict().accepted

    def result(
        self,
        status: outcome.Status,
        *,
        proof: Proof | None = None,
        negation: str | None = None,
        one_liners: tuple[str, ...] = (),
        trouble: str = "",
    ) -> Generated:
        """The line of the draft."""
        return Generated(
            index=self.index,
            name=self.draft.name,
            family=self.draft.family,
            template=self.draft.template,
            parameters=dict(self.draft.parameters),
            statement=self.draft.signature,
            status=status,
            state=self.state,
            counterexample=self.draft.counterexample,
            negation=negation,
            proof=proof.text if proof else None,
            steps=proof.steps if proof else (),
            one_liners=one_liners,
            trouble=trouble,
        )


def _closes(result: object) -> bool:
    return isinstance(result, Stepped) and result.state.finished
