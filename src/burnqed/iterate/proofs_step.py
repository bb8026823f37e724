"""The replay buffer: the shortest proof known of each theorem, made shorter by running it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.errors import RunError
from burnqed.core.theorem import Theorem
from burnqed.data.manifest import Manifest
from burnqed.data.pace import Progress
from burnqed.iterate.context import Context
from burnqed.iterate.digests import of_file, of_run, of_settings
from burnqed.iterate.minimise import minimise
from burnqed.iterate.place import Place
from burnqed.iterate.pool import TheoremPool, load_pool, theorem_inputs
from burnqed.iterate.replay import KnownProof, ReplayBuffer, found_proofs
from burnqed.iterate.search_step import runs
from burnqed.iterate.searching import OpenLean, opened, until_stopped
from burnqed.iterate.step import Told
from burnqed.trajectory.files import append_line, drop_torn_line, whole_lines

_DONE = "minimised.jsonl"
"""Proofs that were run again, as they came; what a killed step goes on from."""


class _Again(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the proof ``before`` (its steps); ``tried`` tactics were run."""

    before: tuple[str, ...]
    proof: KnownProof
    replayed: bool
    tried: int


class ProofsStep:
    """Takes the proofs of this iteration's searches into the buffer of the one before, and minimises those that are new."""

    name = "proofs"

    def folders(self, place: Place) -> Sequence[Path]:
        """What the step writes."""
        return (place.proofs,)

    def inputs(self, context: Context) -> dict[str, str]:
        """The searches, the buffer before, and how proofs are made shorter."""
        place = context.place
        found = {f"run {run.name}": of_run(run) for run in runs(place)}
        found |= theorem_inputs(context.recipe.theorems)
        found["replay before"] = of_file(place.previous.replay) if place.previous else "none"
        found["settings"] = of_settings(context.recipe.minimise)
        return found

    def run(self, context: Context) -> Told:
        """Fill the buffer, run new proofs again, write it."""
        place = context.place
        place.proofs.mkdir(parents=True, exist_ok=True)
        account = Manifest(step="proofs")
        pool = load_pool(context.recipe.theorems, assignment=place.splits)
        buffer = ReplayBuffer()
        for proof in ReplayBuffer.read(place.previous.replay) if place.previous else ():
            buffer.offer(_stamped(proof, pool))
        before = len(buffer)
        found = 0
        for run in runs(place):
            for proof in found_proofs(run, account, iteration=place.number):
                found += 1
                buffer.offer(_stamped(proof, pool))
        again: dict[tuple[str, ...], _Again] = {}
        if context.recipe.minimise.enabled and (todo := [p for p in buffer if not p.minimised]):
            again = asyncio.run(_minimised(context, pool, todo))
            for one in again.values():
                buffer.offer(one.proof)
        buffer.write(place.replay)
        shorter = [a for a in again.values() if len(a.proof.steps) < len(a.before)]
        return {
            "proofs found": found,
            "theorems with a proof": len(buffer),
            "new": len(buffer) - before,
            "made shorter": len(shorter),
            "steps saved": sum(len(a.before) - len(a.proof.steps) for a in shorter),
            "did not replay": sum(not a.replayed for a in again.values()),
        }

    def outputs(self, context: Context) -> dict[str, str]:
        """The buffer."""
        return {"replay.jsonl": of_file(context.place.replay)}


def _stamped(proof: KnownProof, pool: TheoremPool) -> KnownProof:
    """The proof with the split that its theorem is in now; one that is searched no more keeps its own."""
    split = pool.split_of(proof.theorem, otherwise=proof.steps[0].split)
    steps = tuple(msgspec.structs.replace(step, split=split) for step in proof.steps)
    return msgspec.structs.replace(proof, steps=steps)


async def _minimised(
    context: Context, pool: TheoremPool, proofs: Sequence[KnownProof]
) -> dict[tuple[str, ...], _Again]:
    """Each proof run again and made shorter where that works, by theorem, digest and steps; goes on with what is on record."""
    path = context.place.proofs / _DONE
    done = {_key(a.proof, a.before): a for a in _on_record(path)}
    known = [*pool.searched.values(), *pool.negations.values()]
    theorems = {
        (t.name, t.digest): t for t in known
    }  # a proof of a statement that has changed is no proof of the new one
    todo = [p for p in proofs if _key(p, p.tactics) not in done and (p.theorem, p.digest) in theorems]
    if todo:
        began_s = time.monotonic()
        count = 0

        async def one(lean: OpenLean, proof: KnownProof) -> None:
            nonlocal count
            result = await _again(context, lean, theorems[proof.theorem, proof.digest], proof)
            append_line(path, msgspec.json.encode(result).decode())
            done[_key(proof, proof.tactics)] = result
            count += 1
            context.listener.show("proofs run again", Progress(count, len(todo), 0, time.monotonic() - began_s))

        async with opened(context, [theorems[p.theorem, p.digest] for p in todo]) as lean:
            await until_stopped(context, _all_of([one(lean, proof) for proof in todo]))
    return {_key(p, p.tactics): done[_key(p, p.tactics)] for p in proofs if _key(p, p.tactics) in done}


async def _all_of(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Wait for all of it; when one fails or this is cancelled, the others end before Lean is closed."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _on_record(path: Path) -> list[_Again]:
    """What was done before a step was killed. Raises RunError for a damaged record."""
    drop_torn_line(path)
    try:
        return [msgspec.json.decode(line, type=_Again) for line in whole_lines(path)]
    except msgspec.DecodeError as error:
        raise RunError(f"{path} is damaged: {error}; remove it, and the proofs in it are run again") from error


async def _again(context: Context, lean: OpenLean, theorem: Theorem, proof: KnownProof) -> _Again:
    """One proof; what does not replay state by state stays as the search recorded it."""
    async with lean.pool.lease() as session:
        result = await minimise(
            theorem,
            proof.tactics,
            session=session,
            gate=lean.gate,
            accepted_source=proof.source,
            max_tactics=context.recipe.minimise.max_tactics,
            set_name=proof.steps[0].source,
            split=proof.steps[0].split,
        )
    steps = result.records or proof.steps
    made = msgspec.structs.replace(proof, steps=steps, source=result.source or proof.source, minimised=True)
    return _Again(before=proof.tactics, proof=made, replayed=result.replayed, tried=result.tried)


def _key(proof: KnownProof, tactics: tuple[str, ...]) -> tuple[str, ...]:
    return (proof.theorem, proof.digest, *tactics)
