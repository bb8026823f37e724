"""Which measurements of a journal stand together in one chart, and what each is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from burnqed.report.lines import Line, Style, colours

Series = Mapping[str, tuple[list[int], list[float]]]
"""Steps and values by name; every name has at least one value."""


@dataclass(frozen=True)
class Curve:
    """A line of a panel: the measurement's name, and what the legend says."""

    name: str
    label: str
    style: Style = "line"


@dataclass(frozen=True)
class Panel:
    """A chart; it is drawn when the journal has one of its names that is no comparison, and none of ``unless``."""

    section: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    band: tuple[float, float] | None = None
    note: str = ""
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filled:
    """A panel with its lines."""

    panel: Panel
    lines: tuple[Line, ...]


LOSSES, HEAD, EMBEDDINGS, COURSE, REST = (
    "Losses",
    "What the energy head tells apart, on held-out theorems",
    "Embeddings of held-out states",
    "Course of the training",
    "What else was measured",
)
_BASELINES = {
    "length": "shorter text",
    "goals": "fewer goals",
    "depth": "nearer to the root",
    "logprob": "likelier path",
}
_GUESSES = "Dashed: guessing, and energies that need no learning; a head has to beat these."


def _ranks(title: str, where: str) -> Panel:
    return Panel(
        HEAD,
        f"Rank-1, {title}",
        "share of groups whose provable state has the lowest energy",
        (
            Curve(f"ebm{where}.rank_1", "energy head"),
            Curve(f"ebm{where}.chance", "chance", "dashed"),
            *(Curve(f"trivial.{name}{where}.rank_1", what, "dashed") for name, what in _BASELINES.items()),
        ),
        note=_GUESSES if not where else "",
    )


PANELS: tuple[Panel, ...] = (
    Panel(
        LOSSES,
        "Tactics: cross-entropy",
        "nats per token",
        (Curve("loss.sft", "training", "noisy"), Curve("valid.loss", "held-out")),
    ),
    Panel(
        LOSSES,
        "Contrastive loss",
        "nats per group",
        (
            Curve("loss.contrastive", "training", "noisy"),
            Curve("valid.contrastive", "held-out"),
            Curve("loss.chance", "chance", "dashed"),
        ),
    ),
    Panel(
        LOSSES,
        "Loss of the energy head",
        "nats per group",
        (
            Curve("loss", "training", "noisy"),
            Curve("valid.loss", "held-out"),
            Curve("loss.chance", "chance", "dashed"),
        ),
        unless=("loss.sft", "loss.contrastive"),
    ),
    Panel(LOSSES, "Whole loss", "weighted sum", (Curve("loss", "training", "noisy"),)),
    Panel(LOSSES, "Regression of remaining depth", "squared erro", (Curve(r"loss\.depth", "training", "noisy"),)),
    Panel(LOSSES, "Augmented views", "nats per state", (Curve("loss.views", "training", "noisy"),)),
    _ranks("all depths", ""),
    _ranks("depth 0 and 1", ".depth_0_1"),
    _ranks("depth 2 and 3", ".depth_2_3"),
    _ranks("depth 4 and more", ".depth_4_plus"),
    Panel(
        HEAD,
        "Pairs in the right order",
        "share of pairs; a coin gets 0.5",
        (
            Curve("ebm.pairwise", "energy head"),
            *(Curve(f"trivial.{name}.pairwise", what, "dashed") for name, what in _BASELINES.items()),
        ),
    ),
    Panel(
        HEAD,
        "Energies",
        "energy",
        (Curve("ebm.gap", "gap of the others to the provable"), Curve("ebm.spread", "spread of all")),
    ),
    Panel(
        HEAD,
        "Groups won while training",
        "share of groups",
        (Curve("rank_1", "training", "noisy"),),
    ),
    Panel(
        HEAD,
        "Temperature",
        "temperature",
        (Curve("temperature", "learned"),),
        band=(0.5, 3.0),
        note="Shaded: the healthy band, 0.5 to 3.",
    ),
    Panel(
        EMBEDDINGS,
        "Distance of the centroids",
        "L2 distance of provable from other states",
        (Curve("probe.centroid_l2", "distance"),),
    ),
    Panel(
        EMBEDDINGS,
        "Distance in spreads",
        "spreads within a kind",
        (Curve("probe.centroid_spreads", "distance"),),
    ),
    Panel(
        EMBEDDINGS,
        "Linear probe",
        "accuracy",
        (
            Curve("probe.linear_probe", "embeddings, balanced"),
            Curve("probe.trivial_probe", "length, goals and depth alone", "dashed"),
            Curve("probe.majority", "the more frequent kind", "dashed"),
        ),
    ),
    Panel(
        EMBEDDINGS,
        "Effective dimension",
        "participation ratio",
        (Curve("probe.effective_dimension", "dimensions"),),
    ),
    Panel(
        EMBEDDINGS,
        "Silhouette",
        "from −1 to 1",
        (
            Curve("probe.silhouette.depth_0_1", "depth 0 and 1"),
            Curve("probe.silhouette.depth_2_3", "depth 2 and 3"),
            Curve("probe.silhouette.depth_4_plus", "depth 4 and more"),
        ),
    ),
    Panel(COURSE, "Gradient norm", "norm before clipping", (Curve("gradient_norm", "all weights", "noisy"),)),
    Panel(COURSE, "Learning rate", "learning rate", (Curve("learning_rate", "rate"),)),
    Panel(COURSE, "Weight of the contrastive loss", "λ", (Curve("lambda", "λ"),)),
    Panel(
        COURSE,
        "Speed",
        "per second",
        (Curve("tokens_per_s", "tokens", "noisy"), Curve("pairs_per_s", "pairs", "noisy")),
    ),
)


def filled(series: Series, panels: Sequence[Panel] = PANELS) -> list[Filled]:
    """The panels that the journal has something for, and at the end panels of whatever no panel has named.

    What no panel has named and never changes (numbers of states, say) gets none.
    """
    found: list[Filled] = []
    used: set[str] = set()
    for panel in panels:
        curves = [curve for curve in panel.curves if curve.name in series]
        wanted = any(curve.style != "dashed" and curve.name not in used for curve in curves)
        if not wanted or any(name in series for name in panel.unless):
            continue
        used |= {curve.name for curve in curves}
        found.append(Filled(panel, _lines(series, curves)))
    return [*found, *_rest({name: points for name, points in series.items() if name not in used})]


def _lines(series: Series, curves: Iterable[Curve]) -> tuple[Line, ...]:
    lines, bright, pale = [], colours(4), colours(2)
    for curve in curves:
        colour = next(pale if curve.style == "dashed" else bright)
        # Held-out figures stand out from those of training beside them.
        colour = 1 if curve.label == "held-out" else colour
        lines.append(Line(curve.label, *series[curve.name], colour, curve.style))
    return tuple(lines)


def _rest(series: Series) -> list[Filled]:
    """Names of one family (``ebm.gap``, ``ebm.depth_0_1.gap``) share a chart."""
    families: dict[tuple[str, str], list[str]] = {}
    for name, (_, values) in series.items():
        if len(values) > 1 and min(values) == max(values):
            continue
        first, _, _ = name.partition(".")
        families.setdefault((first, name.rpartition(".")[2]), []).append(name)
    found = []
    for (first, last), names in families.items():
        title = first if first == last else f"{first}: {last}"
        palette = colours(4)
        lines = tuple(Line(name, *series[name], next(palette)) for name in names)
        found.append(Filled(Panel(REST, title.replace("_", " "), last.replace("_", " "), ()), lines))
    return found
