"""Tracing over several Lean processes, a text at a time, the seed share first."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from burnqed.data.decontaminate import DECONTAMINATE, Decontaminator
from burnqed.data.lean_ask import leased, side_by_side
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.pace import Progress
from burnqed.data.records import line
from burnqed.data.trace.config import TraceConfig
from burnqed.data.trace.inputs import ProofText
from burnqed.data.trace.journal import Journal, TextId, Traced
from burnqed.data.trace.text import TextTracer
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.trajectory.files import whole_file

SEED = "seed"
FULL = "full"


def in_seed(proof: ProofText, share: float) -> bool:
    """Whether a text belongs to the seed share: by its key alone, so that it stays there whatever is added."""
    digest = hashlib.sha256(f"seed\0{proof.key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def identity(proof: ProofText, config: TraceConfig) -> TextId:
    """What a text is in the journal: checked rows are others than unchecked ones."""
    return proof.key, f"{proof.digest}{'+check' if config.check else ''}"


def once(proofs: Sequence[ProofText], manifest: Manifest) -> list[ProofText]:
    """The texts, each key once; what has a key again is counted as dropped."""
    kept: dict[str, ProofText] = {}
    for proof in proofs:
        if proof.key in kept:
            manifest.rows_in += int(proof.record is None)
            manifest.drop("read", "same name again", proof.key)
        else:
            kept[proof.key] = proof
    return list(kept.values())


def seed_account(reading: Manifest, part: Sequence[ProofText]) -> Manifest:
    """The account to begin the seed share's rows with: the same files read as for all, benchmarks too, and its own texts."""
    return Manifest(
        step=reading.step,
        command=reading.command,
        inputs=list(reading.inputs),
        noted=copy.deepcopy(reading.noted),
        rows_in=sum(p.record is not None for p in part),
    )


async def trace(
    pool: WorkerPool,
    lean: LeanConfig,
    journal: Journal,
    proofs: Sequence[ProofText],
    config: TraceConfig,
    *,
    version: str,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Trace what is not on record yet. Cancelling it loses the theorems in flight and nothing else.

    Texts with the same imports come one after the other, since Lean then keeps their environment. Progress is in theorems.
    """
    todo = [p for p in proofs if not journal.ended(identity(p, config))]
    todo.sort(key=lambda p: (not in_seed(p, config.share), p.record.imports if p.record else ()))
    total = sum(p.theorems for p in proofs)
    before = done = total - sum(p.theorems for p in todo)
    began_s = time.monotonic()
    on_progress(Progress(done, total, before, 0.0))
    queue = iter(todo)

    async def work() -> None:
        nonlocal done
        async with leased(pool, lean) as ask:
            for proof in queue:  # shared: each text goes to one worker
                text = identity(proof, config)
                tracer = TextTracer(ask, proof, text, config, lean=version, on_theorem=journal.add)
                await tracer.trace(journal.done(text))
                done += proof.theorems
                on_progress(Progress(done, total, before, time.monotonic() - began_s))

    await side_by_side(work, min(pool.size, len(todo)))


def write_rows(
    folder: Path,
    name: str,
    journal: Journal,
    proofs: Sequence[ProofText],
    config: TraceConfig,
    manifest: Manifest,
    *,
    guard: Decontaminator | None = None,
) -> Manifest:
    """Write the rows of these texts and the account of their theorems.

    Rows to train on go to ``sft_train_NAME.jsonl``, those of another part to ``sft_PART_NAME.jsonl``. ``manifest`` knows what
    left while the texts were read. A theorem of which any step shows a benchmark's to the ``guard`` goes out with all its
    steps; it stays in the journal, so another guard is asked anew.
    """
    texts = {identity(p, config): p for p in proofs}
    counts: dict[str, int] = {"train": 0}
    with contextlib.ExitStack() as stack:
        files = {"train": _opened(stack, folder / f"sft_train_{name}.jsonl")}
        for traced in journal.theorems(texts):
            # What a file holds was not known before.
            manifest.rows_in += int(texts[traced.key, traced.digest].record is None)
            _count(traced, manifest)
            if guard is not None and _kept_out(traced, guard, manifest):
                continue
            for record in traced.rows:
                part = record.split or "train"
                if part not in files:
                    files[part] = _opened(stack, folder / f"sft_{part}_{name}.jsonl")
                files[part].write(line(record))
                counts[part] = counts.get(part, 0) + 1
    manifest.rows_out += sum(counts.values())
    manifest.settings |= config.model_dump(mode="json")
    for part, rows in counts.items():
        target = folder / f"sft_{part}_{name}.jsonl"
        manifest.outputs.append(FileCard.of(target, shown=target.name, rows=rows))
    manifest.write(folder, f"manifest_{name}.json")
    return manifest


def _kept_out(traced: Traced, guard: Decontaminator, manifest: Manifest) -> bool:
    """Whether a theorem is a benchmark's; its steps are counted with what they match."""
    leak = next((found for record in traced.rows if (found := guard.leak(record)) is not None), None)
    if leak is not None:
        manifest.drop(DECONTAMINATE, leak.how, f"{traced.key} {traced.theorem} is {leak}", times=len(traced.rows))
    return leak is not None


def _opened(stack: contextlib.ExitStack, path: Path) -> BinaryIO:
    """A file to write, which gets its name when the stack is left in order."""
    return stack.enter_context(stack.enter_context(whole_file(path)).open("wb"))


def _count(traced: Traced, manifest: Manifest) -> None:
    """Account for a theorem, and for the steps that it became."""
    if traced.reason:
        manifest.drop("trace", traced.reason, f"{traced.key} {traced.theorem}: {traced.detail}")
        return
    manifest.rows_made += len(traced.rows) + traced.conv + traced.refused - 1
    if traced.conv:
        manifest.drop("trace", "step inside conv", traced.theorem, times=traced.conv)
    if traced.refused:
        manifest.drop(
            "check", "does not give its goals again", f"{traced.theorem}: {traced.example}", times=traced.refused
        )
