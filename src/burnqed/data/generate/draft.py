"""A statement that a program made up: its text, the scripts that may prove it, and a counterexample if one was found."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Step = str | tuple[str, ...]
"""A tactic, or several of which the first one counts that closes a goal."""
Script = tuple[Step, ...]
Parameter = str | int
Family = Callable[[random.Random, bool], "Draft"]
"""Drafts one statement; with True, one that is meant to be false."""


@dataclass(frozen=True)
class Draft:
    """``variables`` are (names, type), ``hypotheses`` (name, proposition).

    ``scripts`` are tried besides the tactics that every statement gets. ``counterexample`` are Lean terms, one for each
    variable, under which the hypotheses hold and the goal does not, as far as the drafting program can tell: Lean has
    the last word. ``quantified`` says whether the statement is written with ``∀`` and ``→`` in place of binders.
    """

    family: str
    template: str
    variables: tuple[tuple[tuple[str, ...], str], ...]
    hypotheses: tuple[tuple[str, str], ...]
    goal: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    scripts: tuple[Script, ...] = ()
    counterexample: tuple[str, ...] | None = None
    quantified: bool = False

    @property
    def name(self) -> str:
        """Family and a hash of the statement: the same statement has the same name in every run."""
        return f"{self.family}_{hashlib.sha256(self._proposition.encode()).hexdigest()[:10]}"

    @property
    def signature(self) -> str:
        """The theorem up to, but without, ``:=``."""
        if self.quantified:
            return f"theorem {self.name} : {self._proposition}"
        binders = " ".join(
            [*(f"({' '.join(names)} : {kind})" for names, kind in self.variables)]
            + [f"({name} : {text})" for name, text in self.hypotheses]
        )
        return f"theorem {self.name} {binders} : {self.goal}" if binders else f"theorem {self.name} : {self.goal}"

    @property
    def negation(self) -> str:
        """The signature of the theorem which says that this one is false."""
        return f"theorem {self.name}_false : ¬ ({self._proposition})"

    @property
    def introductions(self) -> str:
        """The tactic that brings a quantified statement to the same state as one with binders."""
        return " ".join(["intro", *(n for names, _ in self.variables for n in names), *(n for n, _ in self.hypotheses)])

    @property
    def _proposition(self) -> str:
        quantifiers = "".join(f"∀ {' '.join(names)} : {kind}, " for names, kind in self.variables)
        premises = "".join(f"{_as_premise(text)} → " for _, text in self.hypotheses)
        return f"{quantifiers}{premises}{self.goal}"


def _as_premise(text: str) -> str:
    """A hypothesis in front of an arrow: in brackets if it is a quantifier, an implication or an equivalence."""
    return f"({text})" if text.startswith(("∀", "∃")) or any(c in text for c in "→↔∨∧¬") else text


_NAMES = (("x", "y", "z", "w"), ("a", "b", "c", "d"), ("m", "n", "k", "j"), ("u", "v", "t", "r"))
_HYPOTHESES = (("h₁", "h₂", "h₃", "h₄", "h₅"), ("h", "h'", "h''", "hh", "hi"), ("ha", "hb", "hc", "hd", "he"))


def names(rng: random.Random, count: int) -> tuple[str, ...]:
    """So many names of variables that go together."""
    return rng.choice(_NAMES)[:count]


def hypothesis_names(rng: random.Random, count: int) -> tuple[str, ...]:
    """So many names of hypotheses that go together."""
    return rng.choice(_HYPOTHESES)[:count]


def cases_script(subject: str, cases: Sequence[str], closers: Sequence[str], *, name: str = "hr") -> Script:
    """One of the cases holds, by omega; each is then closed by the first closer that can."""
    split = f"have {name} : {' ∨ '.join(f'{subject} = {c}' for c in cases)} := by omega"
    if len(cases) == 1:
        return (split, tuple(closers))
    patterns = " | ".join([name] * len(cases))
    return (split, f"rcases {name} with {patterns}", *[tuple(closers)] * len(cases))
