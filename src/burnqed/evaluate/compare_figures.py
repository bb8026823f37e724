"""The tables of a comparison as texts, the same for every form of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from burnqed.evaluate.compare_targets import Planned, Target, rank_1_interval
from burnqed.evaluate.comparison import Comparison, Pair, Side
from burnqed.evaluate.record import NO_VALUE, OWN, EncoderFigures, Evaluation
from burnqed.evaluate.statistics import Interval, mean_pass_at_k
from burnqed.evaluate.verdict import corrected, judged, p_value, points

SHARES, ASKED = "Theorems proved", "What was asked"
BINS = {"": "all", "depth_0_1.": "0 and 1", "depth_2_3.": "2 and 3", "depth_4_plus.": "4 and more"}
_EMBEDDINGS = {
    "probe.centroid_l2": "distance of the two kinds' centroids",
    "probe.centroid_spreads": "the same in spreads within a kind",
    "probe.linear_probe": "linear probe, balanced accuracy",
    "probe.trivial_probe": "a probe of length, goals and depth, to compare",
    "probe.silhouette.depth_0_1": "silhouette at depth 0 and 1",
    "probe.silhouette.depth_2_3": "silhouette at depth 2 and 3",
    "probe.silhouette.depth_4_plus": "silhouette at depth 4 and more",
    "probe.effective_dimension": "effective dimension",
    "probe.dual_label_rate": "texts with both labels",
    "ebm.rank_1": "rank-1 of the head",
    "ebm.chance": "its chance",
    "ebm.pairwise": "pairs in the right order",
    "ebm.gap": "mean gap of energies",
    "ebm.spread": "spread of energies",
    "temperature": "temperature of the head",
}
_WORDS = {
    "more": "more",
    "fewer": "fewer",
    "open": "not shown",
    "too few": "too few to say",
    "disagree": "measures disagree",
}


@dataclass(frozen=True)
class Table:
    """A table with a title and sentences that explain it; ``section`` is the heading that it stands under."""

    section: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    notes: Sequence[str] = field(default=())


def tables(comparison: Comparison, named: Mapping[str, Evaluation], planned: Planned) -> list[Table]:
    """All tables that have a row, in the order of the report."""
    found = [
        _shares(comparison, named),
        *_pairs(comparison),
        _changes(comparison),
        _by_seed(comparison),
        _costs(comparison),
        _embeddings(comparison.encoders),
        _rank_1(comparison.encoders),
        _targets(planned),
    ]
    return [table for table in found if table.rows]


def what_was_compared(comparison: Comparison) -> list[tuple[str, str]]:
    """What all share, and who the systems are, as names and texts."""
    spec = next(iter(comparison.specs.values()))
    b = spec.benchmark
    flagged = f"; {'; '.join(b.notes)}" if b.notes else ""
    facts = [
        (
            "benchmark",
            f"{b.name}{f', {b.split}' if b.split else ''}, {len(b.theorems):,} theorems, revision {b.revision}{flagged}",
        ),
        ("its file", f"{b.path}, sha256 {b.sha256}"),
        ("budget of a search", spec.budget.told()),
        ("seeds", ", ".join(map(str, spec.seeds))),
        ("values", ", ".join(spec.arms)),
        ("Lean", spec.lean),
        ("prompt format", spec.system.prompt_format or "none"),
        ("statistics", f"{comparison.resamples:,} resamples, seed {comparison.seed}; intervals at 95 %"),
    ]
    for label, s in comparison.specs.items():
        models = ", ".join(f"{name} {_hashes(value)}" for name, value in s.system.models.items() if value)
        code = f"burnqed {s.burnqed}" + (f", commit {s.commit}" if s.commit else "")
        told = [f"{s.name}: policy {s.system.policy}", f"value {s.system.value}", models, code, s.machine, s.command]
        facts.append((label, "; ".join(text for text in told if text)))
    return facts


def told_pair(pair: Pair) -> str:
    """A name for a pair in few words: what is common stands once."""
    if pair.first.arm == pair.second.arm:
        return f"{pair.first.label} → {pair.second.label}"
    return f"{pair.first.label}: {pair.first.arm} → {pair.second.arm}"


def told_interval(interval: Interval | None) -> str:
    """``31.2 to 44.0 %``; empty when there is none."""
    return "" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def percent(share: float) -> str:
    """``41.2 %``."""
    return f"{100 * share:.1f} %"


def _shares(comparison: Comparison, named: Mapping[str, Evaluation]) -> Table:
    seeds = len(next(iter(comparison.specs.values())).seeds)
    heads = ["system", "value", "proved", "share", "95 % interval"]
    notes = ["Intervals are Wilson's. Only what the gate accepted counts as proved."]
    if seeds > 1:
        heads += ["pass@1", f"pass@{seeds}"]
        notes.append(
            f"Proved means with at least half of the {seeds} seeds. pass@k is the unbiased estimate, a mean over theorems."
        )
    rows = []
    for side, share in comparison.shares:
        row = [side.label, side.arm, f"{share.proved:,} of {share.theorems:,}", percent(share.proved / share.theorems)]
        row.append(told_interval(share.interval))
        if seeds > 1:
            counts = [(seeds, sum(by_seed)) for by_seed in named[side.label].proved(side.arm).values()]
            row += [percent(mean_pass_at_k(counts, k)) for k in (1, seeds)]
        rows.append(row)
    return Table("Who proves what", SHARES, heads, rows, notes)


def _pairs(comparison: Comparison) -> list[Table]:
    heads = ["pair", "first", "second", "difference", "95 % interval", "gained", "lost", "p", "p, corrected", "said"]
    titles = {
        "systems": f"Systems, with {_arm(comparison.arm)}",
        "systems, other value": "The same with other values",
        "worth of the value": "What the value is worth: the same system with another value, and with its own",
    }
    note = (
        "Differences are of mean shares, in points, with a paired bootstrap over theorems; p is McNemar's, exact, on theorems "
        "gained and lost; corrected is Holm's, over the rows of this table."
    )
    found = []
    for question, title in titles.items():
        rows = []
        for pair in comparison.pairs:
            if pair.question != question:
                continue
            same = pair.first.arm == pair.second.arm
            name = told_pair(pair) + (f", {_arm(pair.first.arm)}" if same and question != "systems" else "")
            rows.append(
                [
                    name,
                    percent(pair.first_share.mean),
                    percent(pair.second_share.mean),
                    points(pair.difference),
                    f"{points(pair.interval.low)} to {points(pair.interval.high)}",
                    len(pair.gained),
                    len(pair.lost),
                    _p(pair.p),
                    _p(pair.p_holm),
                    _WORDS[judged(pair)]
                    + ("" if corrected(pair) or judged(pair) not in ("more", "fewer") else ", uncorrected"),
                ]
            )
        found.append(Table("Who proves what", title, heads, rows, [note] if question == "systems" else []))
    return found


def _changes(comparison: Comparison) -> Table:
    rows = [
        [
            f"{c.first} → {c.second}, over {_arm(c.over)}",
            points(c.difference),
            f"{points(c.interval.low)} to {points(c.interval.high)}",
            c.more,
            c.less,
            _p(c.p),
            _p(c.p_holm),
        ]
        for c in comparison.changes
    ]
    heads = ["systems", "change of the gain", "95 % interval", "theorems with more", "with less", "p", "p, corrected"]
    note = "How much more a later system gains from its own value than an earlier one does; p is a sign test's over theorems."
    return Table("Who proves what", "Change of what the value adds", heads, rows, [note])


def _by_seed(comparison: Comparison) -> Table:
    rows = [
        [told_pair(pair), _common(pair), one.seed, one.only_second, one.only_first, _p(one.p)]
        for pair in filter(_central, comparison.pairs)
        if len(pair.by_seed) > 1
        for one in pair.by_seed
    ]
    heads = ["pair", "value", "seed", "only the second", "only the first", "p"]
    return Table("Who proves what", "Each seed by itself", heads, rows, ["All pairs are in compare.json."])


def _costs(comparison: Comparison) -> Table:
    rows = [
        [
            told_pair(pair),
            _common(pair),
            pair.both,
            cost.what,
            f"{cost.first:,.4g}",
            f"{cost.second:,.4g}",
            f"{cost.second / cost.first:.2f}" if cost.first else "",
        ]
        for pair in filter(_central, comparison.pairs)
        for cost in pair.costs
    ]
    heads = ["pair", "value", "theorems", "cost", "first", "second", "ratio"]
    note = "Medians over the theorems that both prove. All pairs are in compare.json."
    return Table("Who proves what", "What a proof costs", heads, rows, [note])


def _embeddings(encoders: Mapping[str, EncoderFigures]) -> Table:
    known = list(encoders)
    rows = [
        [what, *(f"{e.figures[name]:.4g}" if name in e.figures else "" for e in encoders.values())]
        for name, what in _EMBEDDINGS.items()
        if any(name in e.figures for e in encoders.values())
    ]
    return Table("Embeddings and head", "Figures of each encoder", ["figure", *known], rows, _about_pairs(encoders))


def _rank_1(encoders: Mapping[str, EncoderFigures]) -> Table:
    rows = []
    for within, depth in BINS.items():
        for label, encoder in encoders.items():
            figures = encoder.figures
            value = figures.get(f"ebm.{within}rank_1")
            if value is None:
                continue
            interval = rank_1_interval(figures, f"ebm.{within}rank_1")
            groups, chance = figures.get(f"ebm.{within}groups"), figures.get(f"ebm.{within}chance")
            trivial = "; ".join(f"{name} {percent(share)}" for name, share in trivial_rank_1(figures, within))
            row = [depth, label, "" if groups is None else int(groups), percent(value), told_interval(interval)]
            rows.append([*row, "" if chance is None else percent(chance), trivial])
    heads = ["depth", "system", "groups", "rank-1", "95 % interval", "chance", "energies that need no learning"]
    notes = [
        "How often the head gives the provable state the lowest energy of its group. The intervals take groups as "
        "independent; those of one theorem are not, so they are too narrow."
    ]
    return Table("Embeddings and head", "Rank-1 by depth", heads, rows, notes)


def trivial_rank_1(figures: Mapping[str, float], within: str) -> list[tuple[str, float]]:
    """Names and rank-1 of the energies that need no learning, in a bin of depths."""
    tail = f".{within}rank_1"
    names = (n for n in figures if n.startswith("trivial.") and n.endswith(tail) and "." not in n[8 : -len(tail)])
    return [(n[8 : -len(tail)], figures[n]) for n in names]


def _about_pairs(encoders: Mapping[str, EncoderFigures]) -> list[str]:
    pairs = {label: e.pairs_sha256 for label, e in encoders.items()}
    if len(set(pairs.values())) < 2:
        return [f"On the held-out pairs of {e.pairs}." for e in list(encoders.values())[:1]]
    told = "; ".join(f"{label}: {e.pairs}" for label, e in encoders.items())
    return [f"The figures are of different pairs ({told}), so they cannot be compared with each other."]


def _targets(planned: Planned) -> Table:
    rows = [[t.system, t.what, *_told_target(t)] for t in planned.targets]
    heads = ["system", "what", "measured", "95 % interval", "at least", "red below", "told"]
    notes = [*planned.notes, "Open: the interval reaches beyond a line that the value does not."]
    return Table("Targets and red lines", ASKED, heads, rows, notes)


def _told_target(target: Target) -> list[str]:
    def number(value: float | None) -> str:
        return "" if value is None else percent(value) if target.share else f"{value:.4g}"

    told: str = target.status
    if target.interval is not None and not target.sure:
        told += " (open)"
    return [number(target.value), told_interval(target.interval), number(target.goal), number(target.red), told]


def _arm(arm: str) -> str:
    return str(Side("", arm)).removeprefix(" with ")


def _central(pair: Pair) -> bool:
    """Whether neither side has a trivial value."""
    return {pair.first.arm, pair.second.arm} <= {OWN, NO_VALUE}


def _common(pair: Pair) -> str:
    """The value that both sides have, where it is one."""
    return pair.first.arm if pair.first.arm == pair.second.arm else ""


def _p(p: float) -> str:
    return p_value(p).removeprefix("p ").removeprefix("= ")


def _hashes(value: object) -> str:
    """What is known of a model, in one phrase."""
    return " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
