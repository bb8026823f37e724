"""The first step: rounds of searches over the theorems that the matchmaker chooses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from burnqed.assemble.config import RunConfig
from burnqed.core.errors import CanaryProved, RunError
from burnqed.core.seeding import child_seed
from burnqed.core.theorem import Theorem
from burnqed.data.labels_reading import recorded_searches
from burnqed.data.manifest import Manifest
from burnqed.iterate.context import Context
from burnqed.iterate.digests import of_file, of_run, of_settings
from burnqed.iterate.matchmaker import Assignment, Attempt, assign_attempts, refuse_contradictions
from burnqed.iterate.place import Place
from burnqed.iterate.pool import load_pool, theorem_inputs
from burnqed.iterate.promise import promise
from burnqed.iterate.recipe import AttemptConfig
from burnqed.iterate.searching import OpenLean, opened, search
from burnqed.iterate.step import Told
from burnqed.iterate.systems import deciding, head_of, model_inputs, with_models, with_policy
from burnqed.run.result import TheoremResult
from burnqed.trajectory.files import whole_lines, write_text

NEGATED, REFUTED = "_negated", "refuted"


class SearchStep:
    """Rounds: ``search/round_I`` has the theorems, ``search/round_I_negated`` their negations, ``search/refuted`` false ones."""

    name = "search"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.searches,)

    def inputs(self, context: Context) -> dict[str, str]:
        """Theorems, how they are searched, by which models, and what became of them before."""
        recipe = context.recipe
        config = searching_config(context)
        found = theorem_inputs(recipe.theorems)
        found["settings"] = of_settings(deciding(config), recipe.search, recipe.matchmaker, recipe.seed)
        found["before"] = of_settings([msgspec.to_builtins(a) for a in history(context.place.previous)])
        return found | model_inputs(config)

    def run(self, context: Context) -> Told:
        """Search, round by round; each round knows what became of those before."""
        place = context.place
        pool = load_pool(context.recipe.theorems, assignment=place.splits)
        if not pool.of("train"):
            raise RunError("none of the theorems is in the split train, so there is nothing to learn from; give more")
        searched = pool.searched
        negations = {name: no for name, no in pool.negations.items() if name in searched}
        false = share_of(list(pool.false.values()), context.recipe.search.refuted_share, seed=context.recipe.seed)
        return asyncio.run(_searched(Rounds(context, searched, negations, false)))

    def outputs(self, context: Context) -> dict[str, str]:
        """Of each run what was found, and what the matchmaker is told of it."""
        found = {run.name: of_run(run) for run in runs(context.place)}
        return {**found, "history.jsonl": of_file(context.place.history)}


def runs(place: Place) -> list[Path]:
    """The run folders of an iteration's searches, those of negations and of false statements among them."""
    return sorted(p.parent for p in place.searches.glob("*/run.json"))


def history(place: Place | None) -> list[Attempt]:
    """What became of every search up to and with this iteration, in the order of time. Raises RunError for a damaged record."""
    found: list[Attempt] = []
    for one in place.chain if place is not None else ():
        for number, line in enumerate(whole_lines(one.history), start=1):
            try:
                found.append(msgspec.json.decode(line, type=Attempt))
            except msgspec.DecodeError as error:
                raise RunError(f"{one.history}:{number} is damaged: {error}") from error
    return found


def refuted_statements(place: Place) -> set[tuple[str, str]]:
    """Name and digest of the theorems whose negation was proved, up to and with this iteration."""
    return {(a.theorem, a.digest) for a in history(place) if a.negated and a.proved}


def searching_config(context: Context) -> RunConfig:
    """How this iteration searches: with the models of the one before, if there are any and the recipe does not say otherwise."""
    recipe, before = context.recipe, context.place.previous
    model = before.model_of() if before is not None and recipe.search.models == "previous" else None
    if model is None or before is None:
        return recipe.prove
    if recipe.search.value == "configured":
        return with_policy(recipe.prove, model)
    return with_models(recipe.prove, model, head_of(before, recipe.search.value))


def share_of(theorems: Sequence[Theorem], share: float, *, seed: int) -> list[Theorem]:
    """So much of the false statements, the same for the same seed, in order."""
    drawn = random.Random(child_seed(seed, "refuted")).sample(range(len(theorems)), round(len(theorems) * share))
    return [theorems[i] for i in sorted(drawn)]


async def _searched(rounds: Rounds) -> Told:
    everything = [*rounds.theorems.values(), *rounds.negations.values(), *rounds.false]
    async with opened(rounds.context, everything) as lean:
        return await rounds.run(lean)


@dataclass
class Rounds:
    """All rounds of one iteration over one Lean. ``theorems`` and ``negations`` are by the name of the theorem."""

    context: Context
    theorems: dict[str, Theorem]
    negations: dict[str, Theorem]
    false: list[Theorem]
    attempts: list[Attempt] = field(default_factory=list)
    trouble: str = ""  # what the first search said that ended in an error

    async def run(self, lean: OpenLean) -> Told:
        """Search; what is on record is not searched again.

        Raises CanaryProved for a false statement that was proved, RunError when every search ended in an error, Stopped when
        somebody asked for an end.
        """
        context, place = self.context, self.context.place
        config = searching_config(context)
        place.searches.mkdir(parents=True, exist_ok=True)
        for number, attempt in enumerate(context.recipe.search.attempts):
            await self._round(lean, number, attempt, config)
            text = "".join(f"{msgspec.json.encode(a).decode()}\n" for a in self.attempts)
            write_text(place.history, text)
            refuse_contradictions([*history(place.previous), *self.attempts])
        if self.false:
            results = await search(context, lean, self.false, config, place.searches / REFUTED, what="false statements")
            _alarm_if_proved(results)
        mine = [a for a in self.attempts if not a.negated]
        if mine and all(a.error for a in mine):
            raise RunError(
                f"all {len(mine)} searches of {place.folder.name} ended in an error, the first: {self.trouble}"
            )
        return {
            "searches": len(self.attempts),
            "theorems": len({a.theorem for a in mine}),
            "errors": sum(a.error for a in self.attempts),
            "proved": len({a.theorem for a in mine if a.proved}),
            "negations proved": len({a.theorem for a in self.attempts if a.negated and a.proved}),
        }

    async def _round(self, lean: OpenLean, number: int, attempt: AttemptConfig, config: RunConfig) -> None:
        context = self.context
        past = [*history(context.place.previous), *self.attempts]
        seed = child_seed(context.recipe.seed, "round", context.place.number, number)
        chosen = assign_attempts(
            list(self.theorems), past, context.recipe.matchmaker, seed=seed, negatable=self.negations.keys()
        )
        config = _for_round(config, attempt)
        name = f"round_{number}"
        await self._searches(lean, [a for a in chosen if not a.negated], config, name)
        await self._searches(lean, [a for a in chosen if a.negated], config, name + NEGATED)

    async def _searches(self, lean: OpenLean, chosen: list[Assignment], config: RunConfig, name: str) -> None:
        if not chosen:
            return
        context, place = self.context, self.context.place
        forms = [(self.negations if a.negated else self.theorems)[a.theorem] for a in chosen]
        factors = {form.name: a.budget_factor for form, a in zip(forms, chosen, strict=True)}
        told = f"{name.replace('_', ' ')}, {place.folder.name}"
        results = await search(context, lean, forms, config, place.searches / name, what=told, factors=factors)
        nearness = promises(place.searches / name)
        for assignment, result in zip(chosen, results, strict=True):
            if result.status == "error":
                self.trouble = self.trouble or result.reason
            self.attempts.append(
                Attempt(
                    theorem=assignment.theorem,
                    digest=self.theorems[assignment.theorem].digest,
                    negated=assignment.negated,
                    proved=result.status == "proved",
                    error=result.status == "error",
                    nodes=result.nodes,
                    tactics=result.tactics,
                    budget_factor=assignment.budget_factor,
                    promise=nearness.get(result.name) if result.status == "not_proved" else None,
                    iteration=place.number,
                    ended=result.ended,
                )
            )


def _alarm_if_proved(results: Sequence[TheoremResult]) -> None:
    """Raise CanaryProved when a statement that is known to be false was proved."""
    if proved := [r.name for r in results if r.status == "proved"]:
        raise CanaryProved(
            f"{proved[0]} is in a file of refuted statements and was proved: either the file is wrong or Lean is; "
            "nothing of this iteration may stand until it is known which"
        )


def promises(folder: Path) -> dict[str, float]:
    """How near each search of a run without a proof came to one, where that can be said."""
    found = {}
    for searched in recorded_searches(folder, Manifest(step="promise")):
        if not searched.graph.proved and (near := promise(searched.nodes)) is not None:
            found[searched.graph.theorem] = near
    return found


def _for_round(config: RunConfig, attempt: AttemptConfig) -> RunConfig:
    sampling = config.policy.sampling.model_copy(update={"temperature": attempt.temperature})
    policy = config.policy.model_copy(update={"sampling": sampling})
    return config.model_copy(
        update={"policy": policy, "search": config.search.model_copy(update={"seed": attempt.seed})}
    )
