"""False statements, tried now and then: a Lean that proves one of them is broken or has been taken over.

A session is asked before a run's first theorem and then every so many. The gate's process is asked right after it has
accepted a proof, since whatever that proof did to the process would show itself then. The header is always empty: what
a person's own header makes of ``1 + 1`` is that person's affair.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from burnqed.core.errors import CanaryProved, StatementRejected
from burnqed.core.outcome import Stepped
from burnqed.core.ports import LeanSession
from burnqed.core.theorem import Theorem
from burnqed.lean.process import LeanProcess, RequestFailed
from burnqed.lean.protocol import VerdictReply

_NAME = "burnqed_canary"


def _false(statement: str) -> Theorem:
    return Theorem(_NAME, f"theorem {_NAME} : {statement}")


SESSION_CANARIES: tuple[tuple[Theorem, tuple[str, ...]], ...] = (
    (_false("(1 + 1 : Nat) = 3"), ("rfl", "decide", "simp", "omega", "exact (rfl : (1 + 1 : Nat) = 2)")),
    (_false("False"), ("trivial", "assumption", "sorry", f"exact {_NAME}", "simp", "refine ?_")),
    (_false("∀ n : Nat, n < n"), (f"exact {_NAME}", "intro n; omega", "simp", "decide", "intro n; skip")),
)
"""Statements with tactics that must not prove them."""

GATE_CANARIES: tuple[tuple[Theorem, str], ...] = (
    (_false("(1 + 1 : Nat) = 3"), f"theorem {_NAME} : (1 + 1 : Nat) = 3 := by\n  exact (rfl : (1 + 1 : Nat) = 3)"),
    (_false("False"), f"theorem {_NAME} : False := by\n  decide"),
    # the right proof of another statement
    (_false("(2 : Nat) = 3"), f"theorem {_NAME} : (2 : Nat) = 2 := by\n  rfl"),
)
"""Statements with sources that are not proofs of them."""


def _alarm(theorem: Theorem, by: str) -> CanaryProved:
    return CanaryProved(
        f"Lean accepted a proof of {theorem.signature.partition(' : ')[2]} ({by!r}), which is false: "
        "it is broken or has been taken over, so nothing it says counts; run `burnqed lean doctor` and install it anew"
    )


async def try_on_session(session: LeanSession) -> None:
    """Ask a session for proofs of false statements. Raises CanaryProved when it gives one."""
    for theorem, tactics in SESSION_CANARIES:
        with contextlib.suppress(StatementRejected):
            ref, _ = await session.start(theorem)
            for tactic, outcome in zip(tactics, await session.apply(ref, tactics), strict=True):
                if isinstance(outcome, Stepped) and (await session.verdict(outcome.ref)).accepted:
                    raise _alarm(theorem, tactic)


async def try_on_process(process: LeanProcess, *, timeout_s: float) -> None:
    """Ask a process that judges sources about wrong ones. Raises CanaryProved when it accepts one."""
    for theorem, source in GATE_CANARIES:
        payload = {"header": theorem.header, "theorem": theorem.sorried, "source": source}
        try:
            _, reply = await process.request("theorem.check", payload, VerdictReply, timeout_s=timeout_s)
        except RequestFailed:
            continue
        if reply.accepted:
            raise _alarm(theorem, source.partition(" := ")[2])


@dataclass
class CanaryRounds:
    """When a run tries its canaries: before its first theorem, then before every ``every``-th."""

    every: int = 20
    theorems: int = 0

    async def before_theorem(self, session: LeanSession) -> None:
        """Call it for each theorem with the session that will prove it. Raises CanaryProved."""
        due = self.theorems % self.every == 0
        self.theorems += 1
        if due:
            await try_on_session(session)
