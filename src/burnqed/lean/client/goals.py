"""Goals and tactics, in PyPantograph's words, with batches and verdicts beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.outcome import Verdict
from burnqed.lean.client.asking import Asking, absolute
from burnqed.lean.client.background import blocking
from burnqed.lean.client.expr import Expr, Goal, GoalState, Site, Subsumption, Tactic, parse_expr, tactic_fields
from burnqed.lean.client.message import Message, TacticFailure
from burnqed.lean.protocol import VerdictReply

_ANYWHERE = Site()


class GoalMethods(Asking):
    """Methods about goals. Each has an asynchronous twin, which is the real one."""

    async def goal_start_async(self, expr: Expr, levels: Sequence[str] | None = None) -> GoalState:
        """A state whose one goal is ``expr``; ``levels`` are names of universes in it."""
        payload: dict[str, Any] = {"expr": str(expr), **({"levels": list(levels)} if levels else {})}
        reply = await self._ask("goal.start", payload)
        state = self._state(reply["stateId"], [], [])
        return replace(state, goals=[Goal.sentence(reply["root"], expr)])

    goal_start = blocking(goal_start_async)

    async def goal_root_async(self, state: GoalState) -> Expr | None:
        """The term that the state has come to; None as long as nothing is known of it."""
        reply = await self._ask("goal.print", {"stateId": state.state_id, "rootExpr": True})
        root = reply.get("root")
        return None if root is None else parse_expr(root)

    goal_root = blocking(goal_root_async)

    async def goal_tactic_async(self, state: GoalState, tactic: Tactic, site: Site = _ANYWHERE) -> GoalState:
        """The state after a tactic. Raises TacticFailure when it fails, does not parse, or leaves a ``sorry``."""
        reply = await self._ask("goal.tactic", {"stateId": state.state_id, **site.serial(), **tactic_fields(tactic)})
        outcome = self._outcome(reply)
        if isinstance(outcome, TacticFailure):
            raise outcome
        return outcome

    goal_tactic = blocking(goal_tactic_async)

    async def goal_tactics_async(
        self, state: GoalState, tactics: Sequence[Tactic], *, errors: bool = True
    ) -> list[GoalState | TacticFailure]:
        """Every tactic tried on the same state in one request: for each the state after it, or why it failed.

        One that hangs or kills its process costs nothing but itself. Without ``errors`` failures come without messages,
        which is faster: rendering one can take longer than failing did.
        """
        texts = [tactic for tactic in tactics if isinstance(tactic, str)]
        if self._open_workers.ours and len(texts) == len(tactics):
            payload = {"stateId": state.state_id, "tactics": texts, "errors": errors}
            reply = await self._ask("goal.tactics", payload)
            return [self._outcome(entry) for entry in reply["outcomes"]]
        outcomes: list[GoalState | TacticFailure] = []
        for tactic in tactics:
            try:
                outcomes.append(await self.goal_tactic_async(state, tactic))
            except TacticFailure as failure:
                outcomes.append(failure)
        return outcomes

    goal_tactics = blocking(goal_tactics_async)

    async def goal_verdict_async(self, state: GoalState) -> Verdict:
        """The kernel's word on a state without goals: whether it is a proof, and the axioms that it rests on."""
        reply = await self._ask("goal.verdict", {"stateId": state.state_id})
        return msgspec.convert(reply, VerdictReply).verdict()

    goal_verdict = blocking(goal_verdict_async)

    async def goal_continue_async(self, target: GoalState, branch: GoalState) -> GoalState:
        """``target`` is finished: go on with the goals of ``branch`` that are left."""
        payload = {"target": target.state_id, "branch": branch.state_id}
        return self._next(await self._ask("goal.continue", payload))

    goal_continue = blocking(goal_continue_async)

    async def goal_resume_async(self, state: GoalState, goals: Sequence[Goal]) -> GoalState:
        """Bring dormant goals back into sight."""
        payload = {"target": state.state_id, "goals": [g.id for g in goals]}
        return self._next(await self._ask("goal.continue", payload))

    goal_resume = blocking(goal_resume_async)

    async def goal_subsume_async(
        self, state: GoalState, goal: Goal, candidates: Sequence[Goal], src_state: GoalState | None = None
    ) -> tuple[Subsumption, GoalState | None, Goal | None]:
        """Whether one of ``candidates``, goals of ``src_state`` or ``state``, makes ``goal`` needless.

        With it come the state without the goal, when there is no cycle, and the goal that subsumes it.
        """
        payload: dict[str, Any] = {
            "stateId": state.state_id,
            "goal": goal.id,
            "candidates": [g.id for g in candidates],
        }
        if src_state is not None:
            payload["srcStateId"] = src_state.state_id
        reply = await self._ask("goal.subsume", payload)
        following = None
        if (state_id := reply.get("stateId")) is not None:
            following = replace(self._state(state_id, [], []), goals=[g for g in state.goals if g.id != goal.id])
        subsumptor = next((g for g in candidates if g.id == reply.get("subsumptor")), None)
        return Subsumption[reply["result"].upper()], following, subsumptor

    goal_subsume = blocking(goal_subsume_async)

    async def goal_save_async(self, goal_state: GoalState, path: str | Path) -> None:
        """Keep a state in a file: what made it, not the environment, which must be the same when it is loaded."""
        await self._ask("goal.save", {"id": goal_state.state_id, "path": absolute(path)})

    goal_save = blocking(goal_save_async)

    async def goal_load_async(self, path: str | Path) -> GoalState:
        """A state from a file that :meth:`goal_save` made."""
        state_id = (await self._ask("goal.load", {"path": absolute(path)}))["id"]
        keeper = self._state(state_id, [], [])  # so that it is forgotten should the next request fail
        reply = await self._ask("goal.print", {"stateId": state_id, "goals": True})
        return replace(keeper, goals=GoalState.make(state_id, reply["goals"], [], keeper._keeper).goals)

    goal_load = blocking(goal_load_async)

    def _next(self, reply: dict[str, Any]) -> GoalState:
        return self._state(reply["nextStateId"], reply["goals"], [])

    def _outcome(self, reply: dict[str, Any]) -> GoalState | TacticFailure:
        """What a reply to ``goal.tactic`` says."""
        if "parseError" in reply:
            return TacticFailure(reply, reason="parse")
        messages = [Message.parse(m) for m in reply.get("messages", [])]
        if "goals" not in reply:
            return TacticFailure(messages, reason=reply.get("reason", "error"))
        state = self._state(reply["nextStateId"], reply["goals"], messages)  # forgotten by itself if not returned
        if reply["hasSorry"]:
            return TacticFailure("Tactic generated sorry", messages, reason="sorry")
        if reply["hasUnsafe"]:
            return TacticFailure("Tactic generated unsafe", messages, reason="unsafe")
        return state
