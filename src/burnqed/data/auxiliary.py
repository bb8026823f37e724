"""Further tasks on the same proofs, after PACT (Han et al. 2021): they share the model, and never the main task's prompt.

Each begins with a line of its own before the prompt of the state, so that what serving asks stays what it was:

- ``skip-proof``: the first state; the whole proof.
- ``next-lemma``: a state; the library's theorems that the next tactic names.
- ``premise``: a state and a theorem's name; ``yes`` when the next tactic names it, ``no`` for one that its proof never names.
- ``hypotheses``: a state; the names in it that the next tactic uses, ``none`` for none.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from burnqed.core.state import ProofState
from burnqed.data.lean_tokens import tokens
from burnqed.data.records import NO_GOALS, TacticRecord
from burnqed.prompts.formats import PromptFormat

Task = Literal["tactic", "skip-proof", "next-lemma", "premise", "hypotheses"]
MAIN: Task = "tactic"
NAMES_ONLY = "names-only"
"""The flag of a record whose tactic is no step to learn: it only says what the library calls the statement."""
TASKS: tuple[Task, ...] = (MAIN, "skip-proof", "next-lemma", "premise", "hypotheses")


@dataclass(frozen=True)
class Tagged:
    """A prompt format with a line before the prompt that says which other task is meant."""

    form: PromptFormat
    tag: str

    @property
    def name(self) -> str:
        """The format's own: the tag stands in the text."""
        return self.form.name

    @property
    def single_tokens(self) -> tuple[str, ...]:
        """The format's own."""
        return self.form.single_tokens

    @property
    def stop(self) -> tuple[str, ...]:
        """The format's own."""
        return self.form.stop

    def prompt(self, state: ProofState) -> str:
        """The line and the prompt."""
        return f"#{self.tag}\n{self.form.prompt(state)}"

    def completion(self, answer: str) -> str:
        """The format's own."""
        return self.form.completion(answer)

    def read(self, written: str) -> str:
        """The format's own."""
        return self.form.read(written)


@dataclass(frozen=True)
class Example:
    """A question about the state before ``record``: the line that says what is asked, empty for the main task, and the answer."""

    task: Task
    tag: str
    answer: str
    record: TacticRecord


class Lemmas:
    """The theorems that tactics name, proof by proof; from them come the wrong answers of ``premise``."""

    def __init__(self, proofs: Mapping[tuple[str, str], Sequence[TacticRecord]]) -> None:
        self._of = {key: frozenset(n for r in records for n in named(r)) for key, records in proofs.items()}
        self._all = sorted({name for names in self._of.values() for name in names})

    def other(self, proof: tuple[str, str], rng: random.Random) -> str | None:
        """A theorem that some proof names and this one does not; None when there is none."""
        own = self._of.get(proof, frozenset())
        if len(own) == len(self._all):
            return None
        for _ in range(20):
            if (name := rng.choice(self._all)) not in own:
                return name
        return next(name for name in self._all if name not in own)


def named(record: TacticRecord) -> tuple[str, ...]:
    """The library's theorems that a tactic names in its text, in order, each once, by their full names.

    With traced constants a name counts when it is one of them, or the end of one (``open Nat``). Without, a name with a
    dot whose first part begins with a capital and is no local name counts.
    """
    found: dict[str, None] = {}
    local = local_names(record.state_before)
    for token in tokens(record.tactic):
        if token.kind != "name" or token.text.partition(".")[0] in local:
            continue
        if record.constants:
            full = next((c for c in record.constants if c == token.text or c.endswith(f".{token.text}")), None)
            if full is not None:
                found[full] = None
        elif "." in token.text and token.text[0].isupper():
            found[token.text] = None
    return tuple(found)


def local_names(state: str) -> tuple[str, ...]:
    """The names of the first goal's variables and hypotheses that can be written, in order."""
    found: list[str] = []
    for line in state.split("\n\n", 1)[0].split("\n"):
        head, colon, _ = line.partition(" : ")
        if colon and not line.startswith((" ", "⊢", "case ")):
            found += [name for name in head.split() if "✝" not in name]
    return tuple(found)


def used_names(record: TacticRecord) -> tuple[str, ...]:
    """Those of the local names that the tactic's text uses, in the order in which the state has them."""
    words = {t.text.partition(".")[0] for t in tokens(record.tactic) if t.kind == "name"}
    return tuple(name for name in dict.fromkeys(local_names(record.state_before)) if name in words)


def examples(
    proof: Sequence[TacticRecord], script: str, tasks: Sequence[Task], lemmas: Lemmas, rng: random.Random
) -> Iterator[Example]:
    """The questions that a proof answers, of the tasks that are wanted. ``script`` is the whole proof, empty when not known."""
    if "skip-proof" in tasks and script and proof and NAMES_ONLY not in proof[0].flags:
        yield Example("skip-proof", "skip-proof", script, proof[0])
    for record in proof:
        only_names = NAMES_ONLY in record.flags
        if MAIN in tasks and not only_names:
            yield Example(MAIN, "", record.tactic, record)
        names = named(record)
        if "next-lemma" in tasks and names:
            yield Example("next-lemma", "next-lemma", "\n".join(names), record)
        if only_names:
            continue
        if "premise" in tasks:
            for name in names:
                yield Example("premise", f"premise {name}", "yes", record)
                if (wrong := lemmas.other((record.source, record.theorem), rng)) is not None:
                    yield Example("premise", f"premise {wrong}", "no", record)
        # Most tactics use no name; half of these are enough to learn that.
        used = used_names(record)
        if "hypotheses" in tasks and local_names(record.state_before) and (used or rng.random() < 0.5):
            yield Example("hypotheses", "hypotheses", " ".join(used) or "none", record)


def joined_script(proof: Sequence[TacticRecord]) -> str:
    """The outermost steps one below the other, if they are a whole proof: each takes over the state before. Else empty."""
    steps = [r for r in proof if r.depth == 0]
    chained = all(a.state_after == b.state_before for a, b in itertools.pairwise(steps))
    if not steps or not chained or steps[-1].state_after != NO_GOALS:
        return ""
    return "\n".join(r.tactic for r in steps)
