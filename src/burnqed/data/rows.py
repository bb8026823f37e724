"""Rows to fine-tune on: what is put to the model, and what it ought to write. Texts come from ``prompts.formats`` alone."""

from __future__ import annotations

import hashlib
import random
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

import msgspec
from pydantic import BaseModel, Field, field_validator, model_validator

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.core.state import ProofState
from burnqed.data.auxiliary import MAIN, TASKS, Example, Lemmas, Tagged, Task, examples, joined_script
from burnqed.data.filters import FilterConfig, filter_tactics
from burnqed.data.manifest import Manifest
from burnqed.data.printed_states import printed_state
from burnqed.data.records import HARVESTED, TacticRecord
from burnqed.premises.file import library
from burnqed.prompts.formats import FORMATS, WHOLE_PROOF, prompt_format, training_text
from burnqed.prompts.premises import MOST, pointed, premise_line

ROWS = "rows"
"""The stage under which rows are dropped here."""
NOTHING = "changes nothing"
UNREADABLE = "state that cannot be read back"
AGAIN = "same row again"
NO_SCRIPT = "no whole proof known"
NOT_ASKED = "nothing asked of this step"
_ORDER = ("train", "valid", "test")

ProofKey = tuple[str, str]
"""Source and name of a theorem."""


class RowConfig(BaseModel, frozen=True, extra="forbid"):
    """What rows are made of, and how they look."""

    prompt_format: str = Field("markers", description="how states are put to the model")
    tasks: tuple[Task, ...] = Field((MAIN,), min_length=1, description="the main task, and others with a tag before it")
    seed: int = Field(0, ge=0, description="which wrong answers are asked")
    premises: int = Field(
        0,
        ge=0,
        le=MOST,
        description="names of library theorems like the goal before the prompts of the main task; proving then has them too"
        " (policy.premises)",
    )
    without_premises: float = Field(
        0.25, ge=0, le=1, description="share of those prompts that stay without, so that the model can do without"
    )

    @field_validator("prompt_format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(f"there is no prompt format {name}; choose one of {', '.join(FORMATS)}")
        return name

    @model_validator(mode="after")
    def _premises_of_tactics(self) -> Self:
        if self.premises and self.prompt_format in WHOLE_PROOF:
            raise ValueError(f"{self.prompt_format} asks for whole proofs, whose prompts have no premises before them")
        return self


class TrainingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a training file; the loss is on ``completion`` alone.

    ``task`` is ``tactic`` for the main task, whose prompt is the one that serving uses. ``depth`` counts the tactics of the proof
    before this one, -1 when not known.
    """

    prompt: str
    completion: str
    task: Task
    theorem: str
    source: str
    depth: int
    split: str
    prompt_format: str


def by_proof(records: Iterable[TacticRecord]) -> dict[ProofKey, list[TacticRecord]]:
    """The steps of each theorem, in the order of the records."""
    found: dict[ProofKey, list[TacticRecord]] = {}
    for record in records:
        found.setdefault((record.source, record.theorem), []).append(record)
    return found


def sound(records: Sequence[TacticRecord], config: FilterConfig, manifest: Manifest) -> list[TacticRecord]:
    """The steps of sound theorems (see ``data/filters.py``), and of those only steps that change something.

    Every record counts as a row that came in.
    """
    account = Manifest(step="filter")
    kept = filter_tactics(records, config, account)
    manifest.rows_in += len(records)
    for stage, reasons in account.dropped.items():
        for reason, count in reasons.items():
            for example in count.examples:
                manifest.drop(stage, reason, example)
            if rest := count.count - len(count.examples):
                manifest.drop(stage, reason, times=rest)
    changing = [r for r in kept if r.state_before != r.state_after and r.tactic.strip()]
    for record in kept:
        if record.state_before == record.state_after or not record.tactic.strip():
            manifest.drop(ROWS, NOTHING, f"{record.theorem}: {record.tactic}")
    return changing


class RowMaker:
    """Makes the rows of proofs, one proof after the other; no row comes twice, whatever the split."""

    def __init__(
        self,
        proofs: Mapping[ProofKey, Sequence[TacticRecord]],
        config: RowConfig,
        manifest: Manifest,
        *,
        scripts: Mapping[ProofKey, str] | None = None,
    ) -> None:
        self._proofs = proofs
        self._config = config
        self._manifest = manifest
        self._scripts = scripts or {}
        self._form = prompt_format(config.prompt_format)
        self._lemmas = Lemmas(proofs)
        self._seen: dict[bytes, str] = {}

    def rows(self, key: ProofKey, split: str) -> Iterator[tuple[TrainingRow, TacticRecord]]:
        """The rows of one proof, each with the record that it was made of."""
        proof = self._proofs[key]
        rng = random.Random(child_seed(self._config.seed, "rows", *key))
        script = script_of(self._scripts.get(key, "")) or joined_script(proof)
        found = list(self._examples(proof, script, rng))
        # The records have come in as rows; what is made of one beyond the first is new.
        asked = len({id(example.record) for example in found})
        self._manifest.rows_made += len(found) - asked
        if idle := len(proof) - asked:
            self._manifest.drop(ROWS, NOT_ASKED, proof[0].theorem, times=idle)
        for example in found:
            state = printed_state(example.record.state_before)
            if state is None or state.finished:
                self._manifest.drop(ROWS, UNREADABLE, f"{example.record.theorem}: {example.record.state_before}")
                continue
            row = self._row(example, state, split)
            digest = _digest(row.prompt, row.completion)
            if (before := self._seen.get(digest)) is None:
                self._seen[digest] = split
                yield row, example.record
            else:
                why = AGAIN if before == split else f"same row in {before}"
                self._manifest.drop(ROWS, why, f"{row.theorem}: {row.completion}")

    def _examples(self, proof: Sequence[TacticRecord], script: str, rng: random.Random) -> Iterator[Example]:
        if self._form.name not in WHOLE_PROOF:
            yield from examples(proof, script, self._config.tasks, self._lemmas, rng)
        elif script:
            yield Example(MAIN, "", script, proof[0])
        else:
            self._manifest.note(NO_SCRIPT, proof[0].theorem)

    def _row(self, example: Example, state: ProofState, split: str) -> TrainingRow:
        form = Tagged(self._form, example.tag) if example.tag else self._form
        record = example.record
        names = self._premises(record, state) if example.task == MAIN else []
        prompt, completion = training_text(form, state, pointed(example.answer, names))
        prompt = premise_line(names) + prompt
        return TrainingRow(
            prompt=prompt,
            completion=completion,
            task=example.task,
            theorem=record.theorem,
            source=record.source,
            depth=record.step,
            split=split,
            prompt_format=self._form.name,
        )

    def _premises(self, record: TacticRecord, state: ProofState) -> list[str]:
        """The names before the prompt; none for a share of the rows that a hash chooses."""
        if not self._config.premises:
            return []
        chance = child_seed(self._config.seed, "premises", record.theorem, record.state_before, record.tactic)
        if random.Random(chance).random() < self._config.without_premises:
            return []
        return library().alike(state.goals[0].text, imports_of(record), self._config.premises)


def imports_of(record: TacticRecord) -> tuple[str, ...]:
    """What the theorem of a step stands on: for a harvested task what its module imports, else everything (empty)."""
    if not record.theorem.startswith(HARVESTED):
        return ()
    known = library()
    return known.imports.get(known.module_of(record.theorem.removeprefix(HARVESTED)), ())


def in_order(proofs: Iterable[ProofKey], splits: Mapping[ProofKey, str]) -> list[ProofKey]:
    """The proofs, those to train on first, so that a row that is in several splits stays with training and leaves the others."""
    return sorted(proofs, key=lambda key: _ORDER.index(splits[key]) if splits[key] in _ORDER else len(_ORDER))


def script_of(proof: str) -> str:
    """The tactic script in what stands after ``:=``; empty for a term."""
    head, by, body = proof.partition("by")
    if head.strip() or not by or (body and not body[0].isspace()):
        return ""
    first, newline, rest = body.partition("\n")
    if first.strip():
        return f"{first.strip()}{newline}{textwrap.dedent(rest)}".strip()
    return textwrap.dedent(rest).strip()


def require_tasks(names: Iterable[str]) -> tuple[Task, ...]:
    """The tasks of these names. Raises BadInput that lists what there is."""
    wanted = list(names)
    if unknown := [n for n in wanted if n not in TASKS]:
        raise BadInput(f"there is no task {', '.join(unknown)}; there are {', '.join(TASKS)}")
    return tuple(task for task in TASKS if task in wanted)


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).digest()
