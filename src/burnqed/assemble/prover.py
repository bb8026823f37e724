"""A prover over opened parts, with its record in a run folder."""

from __future__ import annotations

from collections.abc import Mapping

from burnqed.assemble.lean_side import LeanSide, roots
from burnqed.assemble.parts import Parts
from burnqed.core.ports import EventSink, Gate, LeanPool
from burnqed.observe.fan_out import FanOut
from burnqed.prompts.steps import inside_bullet
from burnqed.run.clock import MonotonicClock
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig


def make_prover(
    parts: Parts,
    *,
    lean: LeanSide,
    pool: LeanPool,
    gate: Gate,
    folder: RunFolder,
    screen: EventSink | None = None,
    own_config: Mapping[str, SearchConfig] | None = None,
) -> Prover:
    """Put it together; ``screen`` sees the events beside the record, ``own_config`` has the budgets of single theorems."""
    return Prover(
        pool=pool,
        gate=gate,
        policy=parts.policy,
        value=parts.value,
        writer=parts.writer,
        inside=inside_bullet,
        calibration=parts.calibration,
        tally=parts.tally,
        config=parts.search,
        events=FanOut(folder.trajectory, screen) if screen is not None else folder.trajectory,
        clock=MonotonicClock(),
        folder=folder,
        roots=roots(lean),
        own_config=own_config or {},
    )
