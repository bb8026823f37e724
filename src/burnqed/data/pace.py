"""How fast a long work goes, and how long the rest will take at that speed."""

from __future__ import annotations

from dataclasses import dataclass

_ENOUGH = 10
"""So many done before a speed is told: a rate from fewer is a guess."""


@dataclass(frozen=True)
class Progress:
    """Where a long work stands: ``done`` of ``total``, of which ``before`` were done when it was begun this time."""

    done: int
    total: int
    before: int
    seconds: float

    @property
    def rate(self) -> float | None:
        """What was done a second since it was begun this time; None while that is too little to tell."""
        mine = self.done - self.before
        return mine / self.seconds if mine >= _ENOUGH and self.seconds > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest takes at the speed measured so far; None while there is none."""
        rate = self.rate
        return None if rate is None else (self.total - self.done) / rate
