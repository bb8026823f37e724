"""What has to be there before an iteration is worked on: found out at the start, not after days of searches."""

from __future__ import annotations

from collections.abc import Sequence

from burnqed.core.errors import BadInput
from burnqed.iterate.context import Context
from burnqed.iterate.digests import ABSENT, of_model
from burnqed.iterate.evaluate_step import require_benchmarks
from burnqed.iterate.manifest import read_manifest
from burnqed.iterate.place import Place
from burnqed.iterate.train_step import start_of

_NOT_PASSED_ON = ("evaluate",)
"""Steps whose results no later iteration works with."""


def require_files(context: Context) -> None:
    """Raise BadInput for the first file or model that the recipe names and that is not there, with its key."""
    recipe = context.recipe
    named = {
        "theorems.files": recipe.theorems.files,
        "theorems.refuted": recipe.theorems.refuted,
        "label.runs": recipe.label.runs,
        "rows.benchmarks": recipe.rows.benchmarks,
        "rows.extra": recipe.rows.extra,
        "evaluate.pairs": (recipe.evaluate.pairs,),
        "prove.policy.menu": (recipe.prove.policy.menu,),
        "prove.policy.model": (recipe.prove.policy.model,),
        "prove.policy.tokenizer": (recipe.prove.policy.tokenizer,),
        "prove.value.head": (recipe.prove.value.head,),
        "prove.value.encoder": (recipe.prove.value.encoder,),
    }
    for key, paths in named.items():
        for path in paths:
            if path is not None and not path.exists():
                raise BadInput(f"{key}: {path} is not there; paths in a recipe start where you are when you run it")
    require_benchmarks(recipe.evaluate.benchmarks)
    start_of(context)


def unfinished_before(place: Place, steps: Sequence[str]) -> str:
    """Why the iteration before cannot be built upon, in a sentence; empty when it can, or when there is none."""
    before = place.previous
    if before is None:
        return ""
    done = read_manifest(before.manifest, before.number).steps
    missing = [name for name in steps if name not in done and name not in _NOT_PASSED_ON]
    if missing:
        return (
            f"{before.folder} is not finished ({', '.join(missing)}); run `burnqed iterate run {before.folder}` first"
        )
    for one in reversed(before.chain):
        export = read_manifest(one.manifest, one.number).steps.get("export")
        if export is not None and export.outputs.get("model", ABSENT) != ABSENT:
            return _not_what_it_was(one)
    return ""


def _not_what_it_was(place: Place) -> str:
    """Which model of an iteration is gone or another one than it finished with, in a sentence; empty when none is."""
    steps = read_manifest(place.manifest, place.number).steps
    again = f"run `burnqed iterate run {place.folder}`, which makes it again"
    for step, name, folder in (
        ("export", "model", place.model),
        ("export", "joint head", place.joint_head),
        ("head", "head", place.head),
    ):
        was = steps[step].outputs.get(name, ABSENT) if step in steps else ABSENT
        if was != ABSENT and not folder.is_dir():
            return f"{folder} is gone; {again}"
        if was not in (ABSENT, of_model(folder)):
            return f"{folder} is not what {place.folder.name} finished with; {again}"
    return ""
