"""Statistics as one page of HTML that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from burnqed.data.manifest import Manifest
from burnqed.data.statistics import Statistics
from burnqed.report.bars import bars, histogram, shares
from burnqed.report.page import card, document, size, table, tile

_BALANCES = {"state": "Labels of the states", "why": "Why the negatives are negatives", "tier": "Tiers of the pairs"}
_BALANCES |= {"status": "How the statements ended", "search": "How the searches ended", "task": "Tasks"}
_COLOURS = {
    "state": {"proved": 0, "refuted": 1, "exhausted": 2, "unknown": 3},
    "why": {"refuted": 1, "exhausted": 2, "unproved": 3},
    "status": {"proved": 0, "refuted": 1, "unknown": 3},
    "search": {"proved": 0, "not proved": 3},
    "tier": {"hard": 4, "medium": 5, "easy": 6},
}
_BARS = {
    "source": "Sources",
    "family": "Families",
    "split": "Splits",
    "flags": "Flags",
    "outcome": "Outcomes of tactics",
}
_BARS |= {"prompt_format": "Prompt formats", "lean": "Toolchains", "fault": "Put right while labelling"}
_NOUNS = {"run": "searches"}


def page(found: Sequence[Statistics], accounts: Mapping[str, Manifest] | None = None, *, title: str = "Data") -> str:
    """The page. ``accounts`` are manifests by the path of their file; they say what left on the way."""
    sections = "".join(_section(number, s) for number, s in enumerate(found))
    told = "".join(_account(path, manifest) for path, manifest in (accounts or {}).items())
    links = "".join(f'<li><a href="#f{i}">{escape(s.path)}</a></li>' for i, s in enumerate(found))
    return document(title, f"{_overview(found)}<nav><ul>{links}</ul></nav>{sections}{told}")


def _overview(found: Sequence[Statistics]) -> str:
    tiles = [
        tile(f"{sum(s.rows for s in found if s.kind == kind):,}", _NOUNS.get(kind, kind)) for kind in _kinds(found)
    ]
    tiles.append(tile(size(sum(s.size_bytes for s in found)), f"in {len(found)} files"))
    if guarded := [s for s in found if s.leaks is not None]:
        leaks = sum(sum((s.leaks or {}).values()) for s in guarded)
        tiles.append(tile(f"{leaks:,}", "leaks of benchmarks found", "bad" if leaks else "good"))
    if bad := sum(s.bad_rows for s in found):
        tiles.append(tile(f"{bad:,}", "rows that cannot be read", "bad"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _kinds(found: Sequence[Statistics]) -> list[str]:
    return list(dict.fromkeys(s.kind for s in found))


def _section(number: int, s: Statistics) -> str:
    tiles = [tile(f"{s.rows:,}", _NOUNS.get(s.kind, s.kind)), tile(size(s.size_bytes), "on disk")]
    tiles += [tile(f"{n:,}", f"different {_plural(field)}") for field, n in s.distinct.items()]
    if s.leaks is not None:
        leaks = sum(s.leaks.values())
        tiles.append(tile(f"{leaks:,}", "leaks of benchmarks", "bad" if leaks else "good"))
    balances = [card(what, shares(s.counts[k], _COLOURS.get(k))) for k, what in _BALANCES.items() if s.counts.get(k)]
    charts = [
        card(
            f"Length of {_readable(x.field)}, in {x.unit}",
            histogram(x.bins, unit=x.unit, marks={"median": x.median, "95 %": x.p95}),
        )
        for x in s.lengths
    ]
    if s.heads:
        charts.append(card("Tactics by their first word", bars(s.heads)))
    if s.depths:
        what = "Steps of the proofs" if s.kind in ("run", "generated statements") else "Place in the proof, from 0"
        charts.append(card(what, histogram(_unit_bins(s.depths), unit="steps")))
    charts += [card(what, bars(s.counts[k], total=s.rows)) for k, what in _BARS.items() if len(s.counts.get(k, {})) > 1]
    alone = [
        f"{_readable(k)} {next(iter(s.counts[k]))}" for k in _BARS if len(s.counts.get(k, {})) == 1 and k != "flags"
    ]
    about = escape(", ".join([s.kind, *alone]))
    return (
        f'<h2 id="f{number}">{escape(s.path)}</h2><p class="note">{about}</p><div class="tiles">{"".join(tiles)}</div>'
        f"{''.join(balances)}"
        f'<div class="grid">{"".join(charts)}</div>{_lengths(s)}{_baselines(s)}{_leaks(s)}{_examples(s)}'
    )


def _lengths(s: Statistics) -> str:
    rows = [
        [_readable(x.field), x.unit, x.count, x.total, f"{x.mean:,.1f}", x.median, x.p95, x.p99, x.longest]
        for x in s.lengths
    ]
    heads = ["column", "unit", "texts", "in total", "mean", "median", "95 %", "99 %", "longest"]
    return card("Lengths", table(heads, rows)) if rows else ""


def _baselines(s: Statistics) -> str:
    if not s.baselines:
        return ""
    note = (
        "What a feature that knows nothing of proofs gets right: how often the provable state of a pair is the shorter one, "
        "the one with fewer goals, the one nearer to the root (ties count half; a coin gets 50 %). "
        "An energy head has to beat these."
    )
    tiers = list(dict.fromkeys(b.tier for b in s.baselines))
    right = {(b.feature, b.tier): f"{b.right:.1%}" for b in s.baselines}
    features = list(dict.fromkeys(b.feature for b in s.baselines))
    rows = [[feature, *(right.get((feature, tier), "-") for tier in tiers)] for feature in features]
    return card("Trivial baselines", f'<p class="note">{note}</p>{table(["the provable state is", *tiers], rows)}')


def _leaks(s: Statistics) -> str:
    if not s.leaks:
        return ""
    listed = "".join(f"<li>{escape(text)}</li>" for text in s.leak_examples)
    return card("Leaks of benchmarks", f"{bars(s.leaks)}<ul>{listed}</ul>")


def _examples(s: Statistics) -> str:
    if not s.examples:
        return ""
    note = {
        "training rows": "The loss is on the part that is marked.",
        "pairs": "Left the state that is provable, right the one that is not.",
    }.get(s.kind, "")
    shown = "".join(_example(s.kind, e) for e in s.examples)
    return card("A few rows", f'<p class="note">{note}</p>{shown}')


def _example(kind: str, e: Mapping[str, str]) -> str:
    about = ", ".join(
        f"{_readable(k)} {e[k]}"
        for k in ("task", "tier", "why", "theorem", "name", "status", "source", "step")
        if e.get(k)
    )
    if kind == "training rows":
        body = f"<pre>{escape(e.get('prompt', ''))}<mark>{escape(e.get('completion', ''))}</mark></pre>"
    elif kind == "pairs":
        sides = "".join(f"<pre>{escape(e.get(side, ''))}</pre>" for side in ("positive", "negative"))
        body = f'<div class="sides">{sides}</div>'
    elif kind == "tactics":
        body = f"<pre>{escape(e.get('state_before', ''))}\n<mark>{escape(e.get('tactic', ''))}</mark></pre>"
    else:
        proof = f" := {e['proof']}" if e.get("proof") else ""
        body = f"<pre>{escape(e.get('statement', ''))}{escape(proof)}</pre>"
    return f'<div class="example"><p>{escape(about)}</p>{body}</div>'


def _account(path: str, manifest: Manifest) -> str:
    left = {f"{stage}: {why}": c.count for stage, reasons in manifest.dropped.items() for why, c in reasons.items()}
    cards = [card("What left, and why", bars(left, limit=30))] if left else []
    if manifest.noted:
        cards.append(card("Seen on the way", bars({k: c.count for k, c in manifest.noted.items()}, limit=30)))
    tiles = [tile(f"{n:,}", what) for what, n in _came_and_went(manifest)]
    command = f"<pre>{escape(manifest.command)}</pre>" if manifest.command else ""
    return (
        f'<h2>{escape(path)}</h2><p class="note">The account of the step {escape(manifest.step)}</p>'
        f'<div class="tiles">{"".join(tiles)}</div>{command}<div class="grid">{"".join(cards)}</div>'
    )


def _came_and_went(m: Manifest) -> list[tuple[str, int]]:
    return [("rows read", m.rows_in), ("made", m.rows_made), ("written", m.rows_out), ("dropped", m.rows_dropped)]


def _unit_bins(counts: Mapping[int, int]) -> list[tuple[int, int, int]]:
    known = {k: n for k, n in counts.items() if k >= 0}
    last = min(max(known, default=0), 40)
    bins = [(i, i + 1, known.get(i, 0)) for i in range(last + 1)]
    beyond = sum(n for k, n in known.items() if k > last)
    return bins if not beyond else [*bins[:-1], (last, max(known) + 1, bins[-1][2] + beyond)]


def _readable(field: str) -> str:
    return field.replace("_", " ")


def _plural(field: str) -> str:
    word = _readable(field)
    return word if word.endswith("s") else f"{word}s"
