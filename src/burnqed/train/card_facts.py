"""A card in words: what a model, a head or a run is, as pairs of a heading and a line. Works on the stored JSON alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from burnqed.report.lines import short

Fact = tuple[str, str]

_FAMILIES = ("ebm", "probe", "trivial")
_DECISIVE = (
    *(f"ebm.{name}" for name in ("rank_1", "chance", "pairwise", "depth_4_plus.rank_1", "depth_4_plus.chance")),
    *(f"probe.{name}" for name in ("centroid_l2", "linear_probe", "trivial_probe", "majority", "effective_dimension")),
    *(f"trivial.{name}.rank_1" for name in ("length", "goals", "depth", "logprob")),
)


def facts(card: Mapping[str, Any]) -> list[Fact]:
    """What a training card says: kind, base, format, LoRA, data, software, last figures. What it lacks is left out."""
    found = [
        ("kind", str(card.get("kind", ""))),
        ("step", _count(card.get("step"))),
        *_base(card.get("base")),
        ("prompt format", str(card.get("prompt_format", ""))),
        *_learning(card.get("config")),
        *data_facts(card.get("data")),
        ("code", " ".join(f"{name} {card[name]}" for name in ("burnqed", "commit") if card.get(name))),
        ("software", ", ".join(f"{name} {version}" for name, version in _mapping(card.get("software")).items())),
        ("computed in", str(card.get("compute", ""))),
        *metric_facts(card.get("metrics")),
    ]
    return [(name, value) for name, value in found if value]


def encoder_facts(encoder: object) -> list[Fact]:
    """The encoder that embeddings or a head belong to."""
    names = {"model": "encoder's model", "tokenizer": "encoder's tokenizer", "dim": "length of an embedding"}
    return [(names.get(n, f"encoder's {n.replace('_', ' ')}"), str(v)) for n, v in _mapping(encoder).items()]


def data_facts(data: object) -> Iterator[Fact]:
    """The accounts of what a run read: rows, and each file with its hash."""
    for name, account in _mapping(data).items():
        files = account.get("files") or []
        if not files and not account.get("rows_in"):
            continue
        dropped = "".join(f"\n{_count(n)} dropped, {why}" for why, n in _mapping(account.get("dropped")).items())
        yield name, f"{_count(account.get('rows_in'))} read, {_count(account.get('rows_out'))} used{dropped}"
        for file in files:
            yield "", f"{file.get('path', '')}  sha256 {str(file.get('sha256', ''))[:16]}…"


def metric_facts(metrics: object) -> Iterator[Fact]:
    """The figures measured last: those that decide, and how many more there are."""
    measured = {name: value for name, value in _mapping(metrics).items() if isinstance(value, int | float)}
    first = [name for name in measured if name in _DECISIVE or name.partition(".")[0] not in _FAMILIES]
    lines = [f"{name} {short(float(measured[name]))}" for name in first]
    if len(first) < len(measured):
        lines.append(f"and {len(measured) - len(first)} more")
    if lines:
        yield "measured last", "\n".join(lines)


def _base(base: object) -> Iterator[Fact]:
    about = _mapping(base)
    if about:
        yield "base model", f"{about.get('folder', '')}, frozen weights in {about.get('dtype', '?')}"
        yield "", f"model {about.get('model', '')}"
        yield "", f"tokenizer {about.get('tokenizer', '')}"
        grown = about.get("grown_tokens") or []
        if grown:
            yield "tokens added", ", ".join(map(str, grown))


def _learning(config: object) -> Iterator[Fact]:
    lora = _mapping(_mapping(config).get("lora"))
    if not lora:
        return
    rank = lora.get("rank")
    if not rank:
        yield "learns", "every weight"
    else:
        targets = ", ".join(map(str, lora.get("targets") or []))
        yield "learns", f"LoRA of rank {rank} (alpha {lora.get('alpha') or 2 * rank:g}) on {targets}"


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else ""
