"""Whether evaluations can be compared at all, and what a reader has to know that is not the same in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from burnqed.core.errors import BadInput
from burnqed.evaluate.record import Benchmark, EvalSpec, Evaluation

_MOST_NAMES = 3
_WHO = frozenset(
    {f"policy.{key}" for key in ("model", "menu", "url", "served_model", "lora", "tokenizer")}
    | {f"value.{key}" for key in ("head", "encoder", "url")}
    | {"lean.workers"}
)
"""Settings that say which models the systems are, and so differ by intention; and one that decides nothing."""


def check_comparable(named: Mapping[str, Evaluation]) -> None:
    """Raise BadInput, naming both folders and what differs, unless all are about the same task under the same conditions.

    That is: the same theorems by name and digest, budget, seeds, arms, version of Lean and prompt format. Nothing may be missing
    of any, and no folder may be there twice.
    """
    if len(named) < 2:
        raise BadInput("a comparison needs two evaluations at least; give two folders that `burnqed eval --out` made")
    for evaluation in named.values():
        if not evaluation.spec.benchmark.theorems:
            raise BadInput(f"{evaluation.path} is about no theorem at all")
        if evaluation.missing:
            raise BadInput(
                f"{evaluation.path} is not complete, {evaluation.missing} searches are missing; run its `burnqed eval` once more"
            )
    (first_label, first), *others = named.items()
    seen = {first.path.resolve(): first_label}
    for label, other in others:
        if (twin := seen.setdefault(other.path.resolve(), label)) != label:
            raise BadInput(f"{twin} and {label} are one folder, {other.path}; compare different evaluations")
        if why := next(_obstacles(first.spec, other.spec), None):
            raise BadInput(f"{first.path} and {other.path} cannot be compared: {why}")


def what_differs(specs: Mapping[str, EvalSpec]) -> tuple[str, ...]:
    """Sentences on what is not the same but forbids no comparison: machines, commits, settings of the search.

    ``specs`` are by label. Which models the systems are is what is compared, and not told here.
    """
    found = []
    first = next(iter(specs.values()))
    for what, of in (
        ("burnqed", {label: spec.burnqed for label, spec in specs.items()}),
        ("the commit of burnqed", {label: spec.commit for label, spec in specs.items()}),
        ("the machine", {label: spec.machine for label, spec in specs.items()}),
    ):
        if len(set(of.values())) > 1:
            told = "; ".join(f"{label}: {value or 'not known'}" for label, value in of.items())
            slow = what == "the machine" and first.budget.seconds
            also = " A limit in seconds means more work on a faster machine." if slow else ""
            found.append(f"Not the same is {what} ({told}).{also}")
    settings = {label: dict(_flat(spec.system.config)) for label, spec in specs.items()}
    for key in sorted({key for flat in settings.values() for key in flat}):
        values = {label: flat.get(key) for label, flat in settings.items()}
        if any(value != next(iter(values.values())) for value in values.values()):
            told = "; ".join(f"{label}: {value}" for label, value in values.items())
            found.append(f"Not the same is the setting {key} ({told}).")
    return tuple(found)


def _obstacles(first: EvalSpec, other: EvalSpec) -> Iterator[str]:
    """Sentences on what makes a comparison wrong, the gravest first."""
    yield from _other_theorems(first.benchmark, other.benchmark)
    if first.budget != other.budget:
        yield f"the budgets are {first.budget.told()} and {other.budget.told()}; evaluate both with one budget"
    if set(first.seeds) != set(other.seeds):
        yield f"the seeds are {_listed(first.seeds)} and {_listed(other.seeds)}; evaluate both with the same seeds"
    if set(first.arms) != set(other.arms):
        yield f"the arms are {_listed(first.arms)} and {_listed(other.arms)}; evaluate both with the same values"
    if first.lean != other.lean:
        yield f"Lean is {first.lean} and {other.lean}; what is provable, and how fast, depends on it"
    if first.system.prompt_format != other.system.prompt_format:
        formats = (spec.system.prompt_format or "none" for spec in (first, other))
        yield f"the prompt formats are {' and '.join(formats)}; train and evaluate both with the same one"


def _other_theorems(first: Benchmark, other: Benchmark) -> Iterator[str]:
    """What is wrong where the theorems are not the same, whatever names and paths the benchmark has."""
    one, two = ({item.name: item.digest for item in b.theorems} for b in (first, other))
    if changed := sorted(name for name in one.keys() & two.keys() if one[name] != two[name]):
        yield (
            f"the benchmark {first.name} changed between them, {len(changed)} theorems of one name are not the same statement "
            f"({_some(changed)}); evaluate both on one file"
        )
    for which, these, those in (("first", one, two), ("second", two, one)):
        if alone := sorted(these.keys() - those.keys()):
            yield f"{len(alone)} theorems are in the {which} alone ({_some(alone)}); evaluate both on one file"


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if f"{above}{key}" in _WHO or key == "endpoint":
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
