"""Fill the sorries of a file: find them, prove each in its context, put the proofs in, check the whole again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from burnqed.core.errors import BadInput
from burnqed.core.files import FileVerdict, Hole, Place
from burnqed.run.prove import Prover
from burnqed.run.result import TheoremResult
from burnqed.theorems.read import BadEntry
from burnqed.verify.splice import filled, room


@dataclass(frozen=True)
class FilledFile:
    """What became of a file. ``text`` has the proofs that could be kept together; ``verdict`` is the gate's on it."""

    text: str
    verdict: FileVerdict
    sorries: int
    kept: tuple[str, ...]
    dropped: tuple[str, ...]


def holes(text: str, places: Sequence[Place], *, source: str) -> list[Hole | BadEntry]:
    """The sorries of a file as entries of a run, named by their declarations. Raises BadInput when there is none."""
    if not places:
        raise BadInput(f"{source}: no `sorry` in it, so there is nothing to prove")
    count = Counter(p.declaration for p in places)
    seen: Counter[str] = Counter()
    entries: list[Hole | BadEntry] = []
    for place in places:
        seen[place.declaration] += 1
        base = place.declaration or "_example"
        name = base if count[place.declaration] == 1 else f"{base}#{seen[place.declaration]}"
        where = f"{source}:{text.count(chr(10), 0, place.start) + 1}"
        if place.obstacle:
            entries.append(BadEntry(name, f"{where}: this sorry cannot be proved on its own: {place.obstacle}"))
        else:
            entries.append(Hole(name, text, place, where))
    return entries


async def fill(
    prover: Prover, text: str, entries: Sequence[Hole | BadEntry], on_result: Callable[[TheoremResult], None]
) -> FilledFile:
    """Prove the holes of one file and put their proofs in. The gate accepted each proof alone; it is asked about all together."""
    results = {r.name: r for r in await prover.prove_all(entries, on_result)}
    proofs = {
        e.name: (room(text, e.place), proof)
        for e in entries
        if isinstance(e, Hole) and (proof := results[e.name].proof)
    }
    kept = dict(proofs)
    verdict = FileVerdict(True)
    if kept:
        verdict = await prover.gate.check_file(text, filled(text, kept.values()))
        if not verdict.accepted and len(kept) > 1:
            kept = await _compatible(prover, text, proofs)
            verdict = await prover.gate.check_file(text, filled(text, kept.values()))
        if not verdict.accepted:
            kept = {}
    dropped = tuple(name for name in proofs if name not in kept)
    return FilledFile(filled(text, kept.values()), verdict, len(entries), tuple(kept), dropped)


async def _compatible(
    prover: Prover, text: str, proofs: dict[str, tuple[tuple[int, int], str]]
) -> dict[str, tuple[tuple[int, int], str]]:
    """Proofs that stand in the file together, taken in order; each of them stands alone, but limits hold for them together."""
    kept: dict[str, tuple[tuple[int, int], str]] = {}
    async with prover.pool.lease() as session:
        for name, proof in proofs.items():
            trial = {**kept, name: proof}
            if (await session.try_file(text, filled(text, trial.values()))).accepted:
                kept = trial
    return kept
