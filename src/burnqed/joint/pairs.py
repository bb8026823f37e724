"""Files of contrastive pairs as groups: one provable state with everything that it is to be told apart from.

What a row of a file means stands in :mod:`burnqed.data.contrastive`. Which negatives a group sees at a step is a pure function
of the seed, the group and the step, so neither the order of files nor what else is in a batch changes it.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.core.tally import Tally
from burnqed.data.contrastive import ContrastivePair
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.reading import BadRow, read_rows

TIERS = ("hard", "medium", "easy")
"""From siblings of the positive over its theorem to other theorems."""

READ = "read"
"""The stage under which rows are dropped here."""
PROVED = "negative that is a positive elsewhere"
AGAIN = "same pair again"
SPLITS = "theorem that is in another split as well"
EMPTY = "empty state or goal"

FILLED = "negative of another tier, for want of the wanted one"
FOREIGN = "negative of another theorem, for want of own ones"
REPEATED = "negative twice in a group, for want of others"

Indices = npt.NDArray[np.int64]
_Hashes = npt.NDArray[np.uint64]
_Floats = npt.NDArray[np.float64]
_REDRAWS = 4


@dataclass(frozen=True)
class Negative:
    """A state that is no provable one; its energy is asked of (``state``, ``goal``). ``depth`` in tactics from its root."""

    theorem: str
    goal: str
    state: str
    depth: int
    tier: str
    logprob_nats: float | None = None


@dataclass(frozen=True)
class Group:
    """A provable state, its theorem's root ``goal``, and its negatives as the files have them.

    ``depth`` tactics lead from the root to it, ``remaining`` from it to the end of a proof.
    """

    theorem: str
    goal: str
    positive: str
    depth: int
    remaining: int
    split: str
    negatives: tuple[Negative, ...]
    logprob_nats: float | None = None


def pair_files(paths: Sequence[Path]) -> list[Path]:
    """Files of pairs: those named, and of a folder the ones of its train and valid splits. Raises BadInput for neither."""
    found: list[Path] = []
    for path in paths:
        inside = [f for split in ("train", "valid") for f in sorted(path.glob(f"pairs_{split}*.jsonl"))]
        if path.is_file():
            found.append(path)
        elif inside:
            found += inside
        else:
            raise BadInput(f"{path}: there is no file of pairs; `burnqed data pairs` writes them")
    return found


def read_groups(paths: Sequence[Path], manifest: Manifest) -> list[Group]:
    """All groups of some files of pairs, in the order in which they first appear; what is left out is counted.

    Pairs of one positive for one goal are a group, whatever file they are in; of a pair that comes twice the harder tier
    is kept. A text that is a positive anywhere is no negative. A group may be left without negatives of its own. Raises BadInput
    when a file as a whole cannot be read.
    """
    rows = list(_read(paths, manifest))
    proved = {row.positive for row in rows}
    heads: dict[tuple[str, str, str], ContrastivePair] = {}
    found: dict[tuple[str, str, str], dict[tuple[str, str], Negative]] = defaultdict(dict)
    for row in rows:
        key = (row.theorem, row.goal, row.positive)
        head = heads.setdefault(key, row)
        if (row.depth, row.remaining) < (head.depth, head.remaining):
            heads[key] = row
        if row.negative in proved:
            manifest.drop(READ, PROVED, row.negative)
            continue
        negative = Negative(
            row.negative_theorem,
            row.negative_goal,
            row.negative,
            row.negative_depth,
            row.tier,
            row.negative_logprob_nats,
        )
        known = found[key].get((row.negative, row.negative_goal))
        if known is not None:
            manifest.drop(READ, AGAIN, row.theorem)
        else:
            manifest.rows_out += 1
        if known is None or TIERS.index(negative.tier) < TIERS.index(known.tier):
            found[key][row.negative, row.negative_goal] = negative
    return [
        Group(*key, head.depth, head.remaining, head.split, tuple(found[key].values()), head.logprob_nats)
        for key, head in heads.items()
    ]


def _read(paths: Sequence[Path], manifest: Manifest) -> Iterator[ContrastivePair]:
    """Rows that can be used, each theorem in the split in which it came first. Texts that are equal share their memory."""
    texts: dict[str, str] = {}
    splits: dict[str, str] = {}
    for path in paths:
        rows = 0
        for entry in read_rows(path, ContrastivePair):
            if isinstance(entry, BadRow):
                rows += entry.rows
                manifest.rows_in += entry.rows
                manifest.drop(READ, entry.reason, str(entry), times=entry.rows)
                continue
            where, row = entry
            rows += 1
            manifest.rows_in += 1
            if not all(t.strip() for t in (row.goal, row.positive, row.negative_goal, row.negative)):
                manifest.drop(READ, EMPTY, where)
            elif any(splits.setdefault(t, row.split) != row.split for t in (row.theorem, row.negative_theorem)):
                manifest.drop(READ, SPLITS, where)
            else:
                names = ("theorem", "goal", "positive", "negative_theorem", "negative_goal", "negative")
                for name in names:
                    text = getattr(row, name)
                    texts.setdefault(text, text)
                yield _shared(row, {name: texts[getattr(row, name)] for name in names})
        manifest.inputs.append(FileCard.of(path, rows=rows))


def _shared(row: ContrastivePair, texts: Mapping[str, str]) -> ContrastivePair:
    return msgspec.structs.replace(row, parent="", searches=("", ""), **texts)


class NegativeSampler:
    """Draws negatives for the groups it was made of, by shares of tiers.

    The number of each tier differs from its share of ``k`` by less than one. Where a tier lacks, other tiers of the group
    fill (those with a share first), then negatives of other theorems, and at last repetitions; each is counted in
    ``tally``. Groups of different splits never lend to each other.

    Raises BadInput for shares that make no sense, for no groups, and when a split holds no negative at all.
    """

    def __init__(
        self, groups: Sequence[Group], ratios: Mapping[str, float], seed: int, *, tally: Tally | None = None
    ) -> None:
        if not groups:
            raise BadInput("there are no groups to train on: the files of pairs hold none that can be used")
        self.tally = tally if tally is not None else Tally()
        self.candidates: list[Negative] = [n for g in groups for n in g.negatives]
        """The negatives of all groups, one group after the other; what :meth:`draw_many` gives are places in it."""
        self._seed = seed
        self._ratios = _shares(ratios)
        self._number = {(g.theorem, g.goal, g.positive): i for i, g in enumerate(groups)}
        self._sizes = np.array([len(g.negatives) for g in groups], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)[:-1]]).astype(np.int64)
        self._tiers = np.array([TIERS.index(n.tier) for n in self.candidates], dtype=np.int64)
        self._hashes = np.array([_hash(g) for g in groups], dtype=np.uint64)
        ids: dict[tuple[str, str], int] = {}
        self._same = np.array([ids.setdefault((n.state, n.goal), len(ids)) for n in self.candidates], dtype=np.int64)
        self._pool(groups)

    def _pool(self, groups: Sequence[Group]) -> None:
        """Distinct negatives, ordered by split and theorem; for each group where its split and its own theorem lie in it."""
        splits = [g.split for g in groups for _ in g.negatives]
        first: dict[tuple[str, int], int] = {}
        for at, split in enumerate(splits):
            first.setdefault((split, int(self._same[at])), at)
        lent = sorted(first.values(), key=lambda at: (splits[at], self.candidates[at].theorem))
        self._lent = np.array(lent, dtype=np.int64)
        whole: dict[str, tuple[int, int]] = {}
        own: dict[tuple[str, str], tuple[int, int]] = {}
        for place, at in enumerate(lent):
            split, theorem = splits[at], self.candidates[at].theorem
            whole[split] = (whole.get(split, (place, place))[0], place + 1)
            own[split, theorem] = (own.get((split, theorem), (place, place))[0], place + 1)
        for group in groups:
            if group.split not in whole:
                raise BadInput(
                    f"all labels of the {group.split or 'unnamed'} split are positive: there is no negative to tell"
                    f" {group.theorem} from; pairs need refuted or exhausted states"
                )
        bounds = [(*whole[g.split], *own.get((g.split, g.theorem), (whole[g.split][1],) * 2)) for g in groups]
        self._bounds = np.array(bounds, dtype=np.int64)

    def with_ratios(self, ratios: Mapping[str, float]) -> NegativeSampler:
        """A sampler with other shares over the same groups; nothing is computed again. Raises BadInput."""
        other = copy.copy(self)
        other._ratios = _shares(ratios)
        return other

    def draw(self, group: Group, k: int, *, step: int) -> list[Negative]:
        """``k`` negatives for one of the groups; those lent by another theorem are of the tier ``easy``."""
        number = self._number[group.theorem, group.goal, group.positive]
        own = range(self._starts[number], self._starts[number] + self._sizes[number])
        drawn = self.draw_many(np.array([number], dtype=np.int64), k, step=step)[0].tolist()
        found = [self.candidates[at] for at in drawn]
        return [n if at in own else dataclasses.replace(n, tier="easy") for at, n in zip(drawn, found, strict=True)]

    def draw_many(self, numbers: Indices, k: int, *, step: int) -> Indices:
        """Places [B, k] in :attr:`candidates` for the groups of these numbers [B]."""
        assert k >= 1
        found = np.full((len(numbers), k), -1, dtype=np.int64)
        keys = _mixed(self._hashes[numbers] ^ np.uint64(child_seed(self._seed, "negatives", step)))
        self._draw_own(found, numbers, keys)
        self._draw_lent(found, numbers, keys)
        return found

    def _draw_own(self, found: Indices, numbers: Indices, keys: _Hashes) -> None:
        k = found.shape[1]
        sizes = self._sizes[numbers]
        row = np.repeat(np.arange(len(numbers)), sizes)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        at = self._starts[numbers][row] + offset
        tier = self._tiers[at]
        chance = _mixed(keys[row] + offset.astype(np.uint64))
        order = np.lexsort((chance, tier, row))
        row, at, tier, chance = row[order], at[order], tier[order], chance[order]
        spare = _rank(row * len(TIERS) + tier) >= self._quotas(keys, k)[row, tier]
        rest = spare.astype(np.int64) + (spare & (self._ratios[tier] == 0))
        order = np.lexsort((chance, rest, row))
        row, at, rest = row[order], at[order], rest[order]
        rank = _rank(row)
        taken = rank < k
        found[row[taken], rank[taken]] = at[taken]
        self._count(FILLED, int((rest[taken] > 0).sum()))

    def _quotas(self, keys: _Hashes, k: int) -> Indices:
        """How many of each tier [B, 3]: systematic sampling, one random start for all places of a group."""
        start = (_mixed(keys + np.uint64(1 << 40)) >> np.uint64(11)).astype(np.float64) / 2**53
        bounds = np.ceil(k * np.cumsum(self._ratios)[None, :] - start[:, None] - 1e-9).clip(0, k).astype(np.int64)
        bounds[:, np.flatnonzero(self._ratios).max() :] = k
        return np.diff(bounds, axis=1, prepend=0)

    def _draw_lent(self, found: Indices, numbers: Indices, keys: _Hashes) -> None:
        """Fill what is left. Drawn again where a negative comes twice; where that does not help, picked one by one."""
        lacking = found < 0
        rows = np.flatnonzero(np.any(lacking, axis=1))
        low, high, own_low, own_high = self._bounds[numbers].T
        others = (high - low) - (own_high - own_low)
        slots = np.arange(found.shape[1], dtype=np.uint64)
        for attempt in range(_REDRAWS):
            rows = rows[others[rows] > 0]
            if not len(rows):
                break
            chance = _mixed(keys[rows, None] + (slots + np.uint64((2 + attempt) << 40))[None, :])
            place = low[rows, None] + (chance % others[rows, None].astype(np.uint64)).astype(np.int64)
            place += np.where(place >= own_low[rows, None], (own_high - own_low)[rows, None], 0)
            found[rows] = np.where(lacking[rows], self._lent[place], found[rows])
            same = np.sort(self._same[found[rows]], axis=1)
            rows = rows[np.any(same[:, 1:] == same[:, :-1], axis=1)]
        for row in np.union1d(rows, np.flatnonzero(np.any(found < 0, axis=1))):
            self._pick(found[row], lacking[row], numbers[row], int(keys[row]))
        self._count(FOREIGN, int(lacking.sum()))

    def _pick(self, found: Indices, lacking: npt.NDArray[np.bool_], number: int, key: int) -> None:
        """Fill one row with what it does not hold yet: other theorems first, then its own, then repetitions."""
        low, high, own_low, own_high = self._bounds[number]
        rng = np.random.default_rng(key)
        other = np.concatenate([self._lent[low:own_low], self._lent[own_high:high]])
        choice = np.concatenate([rng.permutation(other), rng.permutation(self._lent[own_low:own_high])])
        held = set(self._same[found[~lacking]].tolist())
        fresh = [at for at in choice.tolist() if int(self._same[at]) not in held]
        wanted = int(lacking.sum())
        again = max(0, wanted - len(fresh))
        self._count(REPEATED, again)
        found[lacking] = np.array(fresh[:wanted] + np.resize(choice, again).tolist(), dtype=np.int64)

    def _count(self, kind: str, times: int) -> None:
        if times:
            self.tally.count(kind, times=times)


def _shares(ratios: Mapping[str, float]) -> _Floats:
    if unknown := sorted(ratios.keys() - set(TIERS)):
        raise BadInput(f"there is no tier of negatives called {unknown[0]}; there are {', '.join(TIERS)}")
    shares = np.array([ratios.get(tier, 0.0) for tier in TIERS], dtype=np.float64)
    if not np.isfinite(shares).all() or (shares < 0).any() or not shares.sum() > 0:
        raise BadInput(f"shares of tiers must be numbers of at least 0, one of them more: {dict(ratios)}")
    found: _Floats = shares / shares.sum()
    return found


def _hash(group: Group) -> int:
    text = "\0".join((group.theorem, group.goal, group.positive))
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def _rank(groups: Indices) -> Indices:
    """For a sorted array, how many equal entries stand before each."""
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]]) if len(groups) else groups
    return np.arange(len(groups)) - np.repeat(starts, np.diff(np.r_[starts, len(groups)]))


def _mixed(x: _Hashes) -> _Hashes:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014): 64 bits that look independent for neighbouring inputs."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
