"""The strategies by name."""

from __future__ import annotations

from burnqed.search.and_or import AndOr
from burnqed.search.best_first import BestFirst
from burnqed.search.puct import Puct
from burnqed.search.strategy import Strategy
from burnqed.search.terms import Terms


def make_strategy(terms: Terms) -> Strategy:
    """The strategy that the configuration names."""
    kinds: dict[str, type[BestFirst] | type[Puct] | type[AndOr]] = {
        "best-first": BestFirst,
        "puct": Puct,
        "and-or": AndOr,
    }
    return kinds[terms.config.strategy](terms)
