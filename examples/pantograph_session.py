"""A session in PyPantograph's words on the Lean that burn-qed brings along: ``python examples/pantograph_session.py``."""

from __future__ import annotations

import asyncio

from burnqed.lean import GoalState, Server, TacticFailure


def step_by_step() -> None:
    """As with PyPantograph: states branch, failures are exceptions."""
    with Server(imports=["Init"]) as server:
        start = server.goal_start("∀ (p q : Prop), p ∨ q → q ∨ p")
        cases = server.goal_tactic(server.goal_tactic(start, "intro p q h"), "cases h")
        print(cases, end="\n\n")
        try:
            server.goal_tactic(cases, "apply Or.inl; assumption")
        except TacticFailure as failure:
            print(f"as it should be: {failure}\n")

        # Ours: many tactics on one state in one request, and the kernel's word on what is left without goals.
        tried = ["assumption", "apply Or.inl", "apply Or.inr; assumption", "simp [*]"]
        for tactic, outcome in zip(tried, server.goal_tactics(cases, tried), strict=True):
            goals = len(outcome.goals) if isinstance(outcome, GoalState) else outcome.reason
            print(f"{tactic:<28} {goals}")
        done = server.goal_tactic(cases, "all_goals simp [*]")
        print(f"\nproof: {server.goal_root(done)}\n{server.goal_verdict(done)}\n")


async def at_once() -> None:
    """Independent proofs run at the same time, on as many processes as there are workers."""
    async with await Server.create(imports=["Init"], workers=2) as server:

        async def prove(k: int) -> bool:
            state = await server.goal_start_async(f"∀ n : Nat, n + {k} = {k} + n")
            state = await server.goal_tactic_async(state, "intro n; omega")
            return (await server.goal_verdict_async(state)).accepted

        print("proved:", sum(await asyncio.gather(*(prove(k) for k in range(20)))), "of 20")


if __name__ == "__main__":
    step_by_step()
    asyncio.run(at_once())
