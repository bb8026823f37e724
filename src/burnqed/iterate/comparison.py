"""The seed's three configurations among the evaluations of two iterations, and their comparison.

A is the earlier iteration's model with the head trained on its frozen embeddings, B the later one's with such a head, C the later
one's with the head that was trained jointly with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from burnqed.core.errors import BadInput
from burnqed.evaluate.record import Evaluation, read_evaluation
from burnqed.iterate.place import Place


def three_folders(iterations: Path, benchmark: str, *, earlier: int = 0, later: int = 1) -> dict[str, Path]:
    """The folders of A, B and C on a benchmark. Raises BadInput for one that is not there, with what there is."""
    found = {
        "A": iterations / f"iter_{earlier}" / "evaluation" / benchmark / "decoupled",
        "B": iterations / f"iter_{later}" / "evaluation" / benchmark / "decoupled",
        "C": iterations / f"iter_{later}" / "evaluation" / benchmark / "joint",
    }
    for label, folder in found.items():
        if not (folder / "eval.json").exists():
            there = sorted({p.parent.parent.name for p in iterations.glob("iter_*/evaluation/*/*/eval.json")})
            has = f"evaluated there: {', '.join(there)}" if there else "nothing is evaluated there"
            raise BadInput(
                f"{label} would be {folder}, and there is no evaluation in it ({has}); run `burnqed iterate run` for that "
                "iteration, or give folders of `burnqed eval`"
            )
    return found


def comparable(place: Place) -> dict[str, dict[str, Evaluation]]:
    """For each benchmark what can be compared: the iteration before and this one, by label. Needs two at least.

    An evaluation in which searches are missing is left out.
    """
    found: dict[str, dict[str, Evaluation]] = {}
    for path in sorted(place.evaluation.glob("*/*/eval.json")):
        benchmark = path.parent.parent.name
        here = found.setdefault(benchmark, {})
        with contextlib.suppress(BadInput):
            here[f"{place.folder.name} {path.parent.name}"] = read_evaluation(path.parent)
    if place.previous is not None:
        for benchmark, here in found.items():
            found[benchmark] = _before(place.previous, benchmark, here) | here
    return {benchmark: named for benchmark, named in found.items() if len(named) > 1}


def _before(place: Place, benchmark: str, here: Mapping[str, Evaluation]) -> dict[str, Evaluation]:
    """The earlier system that is nearest to one of those here: with a head of the same kind if there is one."""
    kinds = dict.fromkeys((*sorted(label.rpartition(" ")[2] for label in here), "decoupled", "policy", "joint"))
    for kind in kinds:
        if (place.evaluation / benchmark / kind / "eval.json").exists():
            with contextlib.suppress(BadInput):
                return {f"{place.folder.name} {kind}": read_evaluation(place.evaluation / benchmark / kind)}
    return {}
