"""Whether a traced tactic, applied to its state again, gives what it gave in its file."""

from __future__ import annotations

import re

from burnqed.core.errors import ProtocolError
from burnqed.data.lean_ask import LeanAsk, Lost
from burnqed.lean.process import BatchLost, RequestFailed
from burnqed.lean.protocol import Invocation, TacticReply, TextReply

_NUMBERED = re.compile(r"\?[mu]\.\d+|\?[mu]_\d+|_fvar\.\d+")
"""Metavariables that Lean numbers as it goes: the same state may have other numbers."""


async def objection(ask: LeanAsk, invocation: Invocation, *, silence_s: float) -> str:
    """Why a tactic does not give its goals again; empty when it does. Raises Lost when the process is lost over it."""
    assert invocation.state_id is not None, "traced with states"
    process = ask.process  # not another, however worn it is: the state is there
    try:
        _, reply = await process.request(
            "goal.tactic",
            {"stateId": invocation.state_id, "tactic": invocation.tactic},
            TacticReply,
            timeout_s=silence_s,
        )
        if reply.next_state_id is None:
            said = [m.data for m in reply.messages if m.severity == "error"]
            return reply.parse_error or (said[0] if said else reply.reason)
        _, left = await process.request("goal.text", {"stateId": reply.next_state_id}, TextReply, timeout_s=silence_s)
    except RequestFailed as error:
        return error.desc
    except (BatchLost, ProtocolError) as error:
        raise Lost(str(error), [], hung=isinstance(error, BatchLost) and error.timed_out) from error
    same = _NUMBERED.sub("?_", left.text) == _NUMBERED.sub("?_", invocation.goal_after)
    return "" if same else f"it leaves {left.text or 'no goals'}"
