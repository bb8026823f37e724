"""How reliable a calibration is on theorems that it was not fitted to: for the policy, for the value, and for both together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.data.scored_states import ScoredStates
from burnqed.evaluate.reliability import Reliability, reliability
from burnqed.value.calibrate import Numbers, fit, platt

FOLDS = 5
TERMS = ("policy", "value", "both")
BASE = "base rate"

_Foretell = Callable[[Numbers, Numbers], Numbers]


@dataclass(frozen=True)
class Shown:
    """What was foretold of states, and by what: each of ``TERMS``, and ``BASE``, which says the same of every state.

    ``how`` says in a few words which states these are, ``fair`` whether they were kept from the fit; ``left_out`` counts states
    of which nothing could be foretold, and ``theorems`` those that are left.
    """

    how: str
    fair: bool
    theorems: int
    left_out: int
    by: dict[str, Reliability]


def shown(states: ScoredStates, *, check: ScoredStates | None = None) -> Shown:
    """The reliability on ``check``, without theorems that are in ``states`` too; else by five folds of theorems.

    Each fold is foretold by a fit to the four others; a theorem's fold is a hash of its name. Where a part is too small to be
    fitted its states are left out. If that leaves none, it is shown on the states of the fit itself, and says so. Raises
    BadInput when ``check`` has no other theorem, or when ``states`` cannot be fitted at all.
    """
    table = _Table.of(states)
    everything = np.ones(len(table.hit), dtype=bool)
    if check is not None:
        other = _Table.of(check)
        new = ~np.isin(other.names, table.names)
        if not new.any():
            raise BadInput("every theorem of --check is also in the runs that are fitted; give a run on other theorems")
        said = _Said()
        said.add(_fitted(table, everything), other, new)
        return said.told("runs that were not fitted on", fair=True, left_out=int((~new).sum()))
    said, left_out = _Said(), 0
    fold_of = np.array([child_seed(0, "calibration", name) % FOLDS for name in table.names])
    for fold in range(FOLDS):
        within = fold_of == fold
        if not within.any():
            continue
        try:
            foretold = _fitted(table, ~within)
        except BadInput:
            left_out += int(within.sum())
        else:
            said.add(foretold, table, within)
    if said.names:
        return said.told(f"{FOLDS} folds by theorem, each foretold by the others", fair=True, left_out=left_out)
    said.add(_fitted(table, everything), table, everything)
    return said.told("the states of the fit itself, since there are too few to keep some out", fair=False, left_out=0)


@dataclass(frozen=True)
class _Table:
    policy: Numbers
    energy: Numbers
    hit: Numbers
    names: NDArray[np.str_]

    @classmethod
    def of(cls, states: ScoredStates) -> _Table:
        policy, energy, hit = (
            np.asarray(x, dtype=np.float64) for x in (states.policy_terms, states.energies, states.proved)
        )
        usable = np.isfinite(policy) & np.isfinite(energy)
        return cls(policy[usable], energy[usable], hit[usable], np.asarray(states.names, dtype=np.str_)[usable])


@dataclass
class _Said:
    """What was foretold so far, in columns."""

    names: list[str] = field(default_factory=list)
    hit: list[bool] = field(default_factory=list)
    by: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, foretell: dict[str, _Foretell], table: _Table, which: NDArray[np.bool_]) -> None:
        self.names += table.names[which].tolist()
        self.hit += (table.hit[which] > 0).tolist()
        for name, foretold in foretell.items():
            self.by[name] += foretold(table.policy[which], table.energy[which]).tolist()

    def told(self, how: str, *, fair: bool, left_out: int) -> Shown:
        by = {name: reliability(said, self.hit) for name, said in self.by.items()}
        return Shown(how, fair, len(set(self.names)), left_out, by)


def _fitted(table: _Table, which: NDArray[np.bool_]) -> dict[str, _Foretell]:
    """What the states of a part say: a probability of each term by Platt's method, of both by their weighted sum."""
    policy, energy, hit = table.policy[which], table.energy[which], table.hit[which]
    calibration = fit(policy.tolist(), energy.tolist(), (hit > 0).tolist()).calibration
    rate = float(hit.mean())

    def log_provable(energies: Numbers) -> Numbers:
        logits = calibration.intercept - calibration.slope * energies
        return np.asarray(-np.logaddexp(0.0, -logits), dtype=np.float64)

    def both(policies: Numbers, energies: Numbers) -> Numbers:
        return calibration.policy_weight * policies + calibration.value_weight * log_provable(energies)

    of_policy, of_both = platt(-policy, hit), platt(-both(policy, energy), hit)
    return {
        "policy": lambda p, e: _probability(of_policy, p),
        "value": lambda p, e: np.exp(log_provable(e)),
        "both": lambda p, e: _probability(of_both, both(p, e)),
        BASE: lambda p, e: np.full(len(p), rate),
    }


def _probability(line: Sequence[float], score: Numbers) -> Numbers:
    intercept, slope = line
    return np.asarray(expit(intercept + slope * score), dtype=np.float64)
