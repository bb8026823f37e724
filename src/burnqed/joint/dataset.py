"""JointDataset: what goes through the model in a step, an SFT stream and a contrastive stream side by side.

Everything is a pure function of the seed and the step. A step is cut into micro-batches; each holds rows to learn tactics
from, and groups of states to be told apart, with every distinct prompt once. A prompt that a row has already is not run again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.core.state import ProofState
from burnqed.core.tally import Tally
from burnqed.data.printed_states import printed_state
from burnqed.joint.config import ContrastiveConfig, tiers_at
from burnqed.joint.pairs import Group, NegativeSampler
from burnqed.joint.views import view
from burnqed.train.order import Order, micro_batches, share
from burnqed.train.rows import TokenRow

UNREADABLE = "group with a text that is no state"

Ids = tuple[int, ...]
Tokens = Callable[[ProofState], Ids]
"""A state's prompt as the encoder has it: in the prompt format, shortened to fit, as tokens."""


@dataclass(frozen=True)
class Contest:
    """A group as places among the texts of its micro-batch: candidates (the positive first) and the goal of each."""

    states: tuple[int, ...]
    goals: tuple[int, ...]
    remaining: int
    counts: bool = True
    """False for one that only keeps processes in step."""


@dataclass
class MicroBatch:
    """What goes through the model at once.

    ``texts`` are distinct prompts that need a vector; ``shared[text]`` is the row whose beginning that very prompt is. ``views``
    are pairs of texts that show one state in two ways.
    """

    rows: list[TokenRow] = field(default_factory=list)
    texts: list[Ids] = field(default_factory=list)
    shared: dict[int, int] = field(default_factory=dict)
    contests: list[Contest] = field(default_factory=list)
    views: list[tuple[int, int]] = field(default_factory=list)
    carried: int = 0
    """Tokens of texts that go through the model with gradient, at most."""

    @property
    def tokens(self) -> int:
        """Tokens that go through the model, padding not counted."""
        alone = sum(len(text) for place, text in enumerate(self.texts) if place not in self.shared)
        return sum(len(row.ids) for row in self.rows) + alone


@dataclass(frozen=True)
class Step:
    """One process's part of a step, and the sizes of the whole step, by which losses are averaged."""

    micros: list[MicroBatch]
    labels: int
    contests: int
    views: int
    tokens: int


class JointDataset:
    """The steps of a run. ``groups`` may be empty: then it is the SFT stream alone; so may ``rows``.

    In the first ``whole_rows`` of the steps the loss is on prompts as well.
    """

    def __init__(
        self,
        rows: Sequence[TokenRow],
        groups: Sequence[Group],
        *,
        tokens: Tokens,
        config: ContrastiveConfig,
        rows_per_step: int,
        bucket: int,
        micro_tokens: int,
        total_steps: int,
        whole_rows: float = 0.0,
        seed: int,
        tally: Tally,
    ) -> None:
        self.rows = rows
        self._config = config
        self._micro_tokens = micro_tokens
        self.total_steps = total_steps
        self._whole_rows = whole_rows
        self._seed = seed
        self._prompts = Prompts(tokens)
        self._lengths = [len(row.ids) for row in rows]
        self._order = Order(self._lengths, rows=rows_per_step, bucket=bucket, seed=seed, name="sft") if rows else None
        self.groups = [g for g in groups if self._readable(g, tally)]
        if groups and not self.groups:
            raise BadInput(
                "no group of the contrastive stream can be read: its texts are no states as Lean prints them"
            )
        self._contest_order: Order | None = None
        if self.groups:
            # An order only; lengths play no part, since a group's states have all lengths anyway.
            self._contest_order = Order(
                [0] * len(self.groups), rows=config.groups, bucket=1, seed=seed, name="contrastive"
            )
            self._sampler = NegativeSampler(self.groups, tiers_at(config.tiers, 0.0), seed, tally=tally)
            self._with_prompt: dict[Ids, list[int]] = {}
            for number, group in enumerate(self.groups):
                self._with_prompt.setdefault(self._prompts.of(group.positive), []).append(number)

    @property
    def steps_in_epoch(self) -> int:
        """Steps in which every row, or without rows every group, comes once."""
        order = self._order or self._contest_order
        assert order is not None
        return order.steps_in_epoch

    @property
    def longest_texts(self) -> tuple[int, int, int]:
        """Tokens of the longest positive, the longest goal and the longest negative."""
        of = self._prompts.of
        goals = [t for g in self.groups for t in (g.goal, *(n.goal for n in g.negatives))]
        return (
            max((len(of(g.positive)) for g in self.groups), default=0),
            max((len(of(goal)) for goal in goals), default=0),
            max((len(of(n.state)) for g in self.groups for n in g.negatives), default=0),
        )

    def step(self, number: int, *, contrastive: bool, rank: int = 0, world: int = 1) -> Step:
        """The step of this number. Without ``contrastive`` it has rows alone, the same as it would have with it."""
        chosen = self._order.step(number) if self._order is not None else []
        picked = self._picked(number, chosen) if contrastive and self.groups else []
        parts = [self._part(number, chosen, picked, rank=r, world=world) for r in range(world)]
        every = [micro for part in parts for micro in part]
        return Step(
            micros=_in_step(parts)[rank] if world > 1 else parts[0],
            labels=sum(len(row.ids) - row.first_label for micro in every for row in micro.rows),
            contests=sum(len(micro.contests) for micro in every),
            views=sum(len(micro.views) for micro in every),
            tokens=sum(micro.tokens for micro in every),
        )

    def _picked(self, number: int, chosen: Sequence[int]) -> list[int]:
        """The groups of a step: first those whose positive a row of the step shows, then the next ones in order."""
        wanted = min(self._config.groups, len(self.groups))
        found: list[int] = []
        if self._config.share_forward:
            rng = random.Random(child_seed(self._seed, "shared", number))
            for row in rng.sample(list(chosen), len(chosen)):
                known = self._with_prompt.get(self.rows[row].prompt)
                if known is not None and (pick := rng.choice(known)) not in found:
                    found.append(pick)
        assert self._contest_order is not None
        found += [g for g in self._contest_order.step(number) if g not in found]
        # With many matches the groups in order would starve; half of the step is theirs when there are that many.
        if self._config.share_forward and len(found) > wanted:
            ordered = [g for g in self._contest_order.step(number) if g in found]
            keep = ordered[: wanted // 2]
            found = [*keep, *[g for g in found if g not in keep]]
        return found[:wanted]

    def _part(
        self, number: int, chosen: Sequence[int], picked: Sequence[int], *, rank: int, world: int
    ) -> list[MicroBatch]:
        rows = share(chosen, rank=rank, world=world)
        whole = number < self._whole_rows * self.total_steps
        micros = [
            MicroBatch(rows=[replace(self.rows[i], whole=True) if whole else self.rows[i] for i in batch])
            for batch in micro_batches(rows, self._lengths, most_tokens=self._micro_tokens)
        ]
        groups = self._drawn(number, share(picked, rank=rank, world=world))
        for index, texts in enumerate(groups):
            _place(micros, texts, index, most_tokens=self._micro_tokens, hardest=self._config.carry == "hardest")
        return micros

    def _drawn(self, number: int, picked: Sequence[int]) -> list[_Texts]:
        """The groups with their negatives, as prompts."""
        if not picked:
            return []
        tiers = tiers_at(self._config.tiers, number / max(1, self.total_steps))
        sampler = self._sampler.with_ratios(tiers)
        found = []
        for index in picked:
            group = self.groups[index]
            drawn = sampler.draw(group, self._config.negatives, step=number)
            views = self._views(group, number) if self._config.view_weight else None
            found.append(
                _Texts(
                    [self._prompts.of(t) for t in (group.positive, *(n.state for n in drawn))],
                    [self._prompts.of(t) for t in (group.goal, *(n.goal for n in drawn))],
                    group.remaining,
                    views,
                )
            )
        return found

    def _views(self, group: Group, number: int) -> tuple[Ids, Ids]:
        state = printed_state(group.positive)
        assert state is not None
        seed = child_seed(self._seed, "views", number, group.positive)
        return self._prompts.tokens(view(state, seed)), self._prompts.tokens(view(state, seed + 1))

    def _readable(self, group: Group, tally: Tally) -> bool:
        texts = [group.positive, group.goal, *(t for n in group.negatives for t in (n.state, n.goal))]
        bad = next((t for t in texts if not self._prompts.readable(t)), None)
        if bad is not None:
            tally.count(UNREADABLE, bad)
        return bad is None


class Prompts:
    """States' texts as prompts, each worked out once."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._known: dict[str, Ids | None] = {}

    def readable(self, text: str) -> bool:
        """Whether it is a state with goals, as Lean prints one."""
        if text not in self._known:
            state = printed_state(text)
            self._known[text] = None if state is None or state.finished else self.tokens(state)
        return self._known[text] is not None

    def of(self, text: str) -> Ids:
        """The prompt of a text that is readable."""
        assert self.readable(text)
        found = self._known[text]
        assert found is not None
        return found


@dataclass(frozen=True)
class _Texts:
    states: list[Ids]
    goals: list[Ids]
    remaining: int
    views: tuple[Ids, Ids] | None

    @property
    def all(self) -> list[Ids]:
        return list(dict.fromkeys([*self.states, *self.goals, *(self.views or ())]))

    def carried(self, *, hardest: bool) -> int:
        """Tokens with gradient at most: of all texts, or of the positive and the longest negative with their goals."""
        if not hardest:
            return sum(map(len, self.all))
        negatives = [len(s) + len(g) for s, g in zip(self.states[1:], self.goals[1:], strict=True)]
        return len(self.states[0]) + len(self.goals[0]) + max(negatives) + sum(map(len, self.views or ()))


def _place(micros: list[MicroBatch], texts: _Texts, index: int, *, most_tokens: int, hardest: bool) -> None:
    """Put a group where its positive is a row's prompt, else where there is room, else into a micro-batch of its own."""
    size = texts.carried(hardest=hardest)
    roomy = [m for m in micros if m.carried + size <= most_tokens]
    home = next((m for m in roomy if any(row.prompt == texts.states[0] for row in m.rows)), None)
    if home is None:
        home = roomy[index % len(roomy)] if roomy else MicroBatch()
        if not roomy:
            micros.append(home)
    home.carried += size
    places: dict[Ids, int] = {text: place for place, text in enumerate(home.texts)}
    prompts: Mapping[Ids, int] = {row.prompt: number for number, row in enumerate(home.rows)}
    for text in texts.all:
        if text not in places:
            places[text] = len(home.texts)
            home.texts.append(text)
            if text in prompts:
                home.shared[places[text]] = prompts[text]
    home.contests.append(
        Contest(tuple(places[t] for t in texts.states), tuple(places[t] for t in texts.goals), texts.remaining)
    )
    if texts.views is not None:
        home.views.append((places[texts.views[0]], places[texts.views[1]]))


def _in_step(parts: Sequence[Sequence[MicroBatch]]) -> list[list[MicroBatch]]:
    """The same number of micro-batches for every process, each with rows and contests where any process has some.

    Processes whose weights are cut must run equally often. What is added teaches nothing: a row without a label, a contest that
    does not count.
    """
    found: list[list[MicroBatch]] = [[] for _ in parts]
    for index in range(max(map(len, parts))):
        side = [part[index] if index < len(part) else MicroBatch() for part in parts]
        row = next((micro.rows[0] for micro in side if micro.rows), None)
        donor = next((micro for micro in side if micro.contests), None)
        for mine, micro in zip(found, side, strict=True):
            filled = MicroBatch(
                list(micro.rows), list(micro.texts), dict(micro.shared), list(micro.contests), micro.views
            )
            if row is not None and not filled.rows:
                filled.rows.append(TokenRow(row.ids, len(row.ids), row.theorem, row.task))
            if donor is not None and not filled.contests:
                size = len(donor.contests[0].states)
                filled.texts.append(donor.texts[donor.contests[0].goals[0]])
                filled.contests.append(Contest((0,) * size, (0,) * size, 0, counts=False))
            mine.append(filled)
    return found


def steps_of(epochs: float, steps_in_epoch: int) -> int:
    """Steps of so many epochs, at least one."""
    return max(1, math.ceil(epochs * steps_in_epoch))
