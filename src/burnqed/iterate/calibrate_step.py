"""The scale of each head's energies, from searches of theorems that nothing was trained on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from burnqed.core.errors import BadInput
from burnqed.core.seeding import child_seed
from burnqed.core.theorem import Theorem
from burnqed.data.manifest import Manifest
from burnqed.data.scored_states import scored_states
from burnqed.iterate.context import Context
from burnqed.iterate.digests import of_model, of_run, of_settings
from burnqed.iterate.place import Place
from burnqed.iterate.pool import load_pool, theorem_inputs
from burnqed.iterate.searching import opened, search
from burnqed.iterate.step import Told
from burnqed.iterate.systems import calibration_of, deciding, heads_of, menu_input, with_models


class CalibrateStep:
    """``calibration/HEAD``: the searches and the reliability plot; the calibration itself is stored with the head."""

    name = "calibrate"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.calibration,)

    def inputs(self, context: Context) -> dict[str, str]:
        """The theorems, the model, its heads, how it is searched."""
        recipe, place = context.recipe, context.place
        if not recipe.calibrate.theorems:
            return {"theorems": "none"}
        found = theorem_inputs(recipe.theorems) | menu_input(recipe.prove)
        found |= {f"{name} head": of_model(head) for name, head in heads_of(place).items()}
        model = place.model_of()
        found["model"] = of_model(model) if model is not None else "none"
        found["settings"] = of_settings(deciding(recipe.prove), recipe.calibrate, recipe.seed)
        return found

    def run(self, context: Context) -> Told:
        """Search, fit, store. Where there is too little to fit, the head stays as it is, and that is told."""
        place = context.place
        heads, model = heads_of(place), place.model_of()
        for head in heads.values():
            # Uncalibrated, whatever was stored: a fit on searches that another fit has steered would not be repeatable.
            _forget(head)
        if not context.recipe.calibrate.theorems or model is None or not heads:
            return {}
        theorems = _drawn(context)
        if not theorems:
            context.listener.say("no theorem is in the split valid, so nothing can be calibrated")
            return {"theorems": 0}
        told: dict[str, float | int | str] = {"theorems": len(theorems)}
        for name, head in heads.items():
            asyncio.run(_searched(context, theorems, model, head, place.calibration / name))
            try:
                told |= {f"{name}: {what}": figure for what, figure in _fitted(place.calibration / name, head).items()}
            except BadInput as error:
                context.listener.say(f"the {name} head is not calibrated: {error}")
                told[f"{name}: not calibrated"] = str(error)
        return told

    def outputs(self, context: Context) -> dict[str, str]:
        """What is stored with each head, and the searches that it comes from."""
        if not context.recipe.calibrate.theorems:
            return {}
        found = {}
        for name, head in heads_of(context.place).items():
            calibration = calibration_of(head)
            found[f"{name} calibration"] = of_settings(asdict(calibration)) if calibration else "none"
            found[f"{name} searches"] = of_run(context.place.calibration / name)
        return found


def _drawn(context: Context) -> list[Theorem]:
    """So many theorems of the split valid, the same for the same seed."""
    pool = load_pool(context.recipe.theorems, assignment=context.place.splits)
    theorems = list(pool.of("valid").values())
    wanted = min(len(theorems), context.recipe.calibrate.theorems)
    chosen = random.Random(child_seed(context.recipe.seed, "calibration")).sample(range(len(theorems)), wanted)
    return [theorems[i] for i in sorted(chosen)]


async def _searched(context: Context, theorems: list[Theorem], model: Path, head: Path, folder: Path) -> None:
    config = with_models(context.recipe.prove, model, head)
    async with opened(context, theorems) as lean:
        await search(context, lean, theorems, config, folder, what=f"calibration of {head.name}")


def _fitted(run: Path, head: Path) -> dict[str, float]:
    """Fit, store and draw; the figures. Raises BadInput when there are too few states, or the head's polarity is inverted."""
    from burnqed.evaluate.calibration_report import write_calibration
    from burnqed.evaluate.held_out import shown
    from burnqed.joint.energy_head import store_calibration
    from burnqed.value.calibrate import fit

    states = scored_states([run], Manifest(step="calibrate"))
    found = fit(states.policy_terms, states.energies, states.proved)
    write_calibration(run, found, shown(states), runs=[run.name], theorems=states.theorems)
    store_calibration(head, found.calibration)
    return {
        "states": found.total,
        "log-loss": round(found.log_loss, 4),
        "base log-loss": round(found.base_log_loss, 4),
        "value weight": round(found.calibration.value_weight, 4),
    }


def _forget(head: Path) -> None:
    """Take a calibration out of a head's folder."""
    from burnqed.joint.energy_head import store_calibration

    if calibration_of(head) is not None:
        store_calibration(head, None)
