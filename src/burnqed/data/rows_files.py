"""Training files: the rows of proofs and the pairs of searches, a file for each split, no benchmark in any of them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from burnqed.data.contrastive import PairConfig, PairMaker
from burnqed.data.decontaminate import DECONTAMINATE, Decontaminator
from burnqed.data.filters import FilterConfig
from burnqed.data.labels import Labelled
from burnqed.data.manifest import Manifest
from burnqed.data.records import TacticRecord
from burnqed.data.rows import ROWS, ProofKey, RowConfig, RowMaker, by_proof, in_order, sound
from burnqed.data.rows_reading import Splits
from burnqed.data.splits import LEFT_OUT
from burnqed.data.training_files import TrainingFile, training_file


def write_rows(
    out: Path,
    records: Sequence[TacticRecord],
    config: RowConfig,
    *,
    filters: FilterConfig,
    guard: Decontaminator,
    splits: Splits,
    manifest: Manifest,
    scripts: Mapping[ProofKey, str] | None = None,
) -> Manifest:
    """Write ``sft_SPLIT.jsonl`` into a folder, and the manifest last.

    A theorem of which any step shows a benchmark's statement goes out with all its steps: what comes after the first of
    them is its proof.
    """
    proofs = by_proof(sound(records, filters, manifest))
    places = {key: splits.of(key[1], own=proof[0].split) for key, proof in proofs.items()}
    kept = [key for key in proofs if _may_stay(proofs[key], places[key], guard, manifest)]
    maker = RowMaker({key: proofs[key] for key in kept}, config, manifest, scripts=scripts)
    with _files(out, "sft", [places[key] for key in kept], guard, manifest) as files:
        for key in in_order(kept, places):
            split = places[key]
            for row, record in maker.rows(key, split):
                if files[split].write(row, of=record):
                    manifest.note(f"task {row.task}", times=1)
    manifest.settings |= {
        "prompt_format": config.prompt_format,
        "tasks": ",".join(config.tasks),
        "seed": config.seed,
    }
    manifest.write(out)
    return manifest


def _may_stay(proof: Sequence[TacticRecord], split: str, guard: Decontaminator, manifest: Manifest) -> bool:
    """Whether a proof may be used at all; if not, each of its steps is counted as dropped."""
    if split == LEFT_OUT:
        manifest.drop(ROWS, "joins clusters of different splits", proof[0].theorem, times=len(proof))
        return False
    leak = next((found for record in proof if (found := guard.leak(record)) is not None), None)
    if leak is not None:
        manifest.drop(DECONTAMINATE, leak.how, f"{proof[0].theorem} is {leak}", times=len(proof))
    return leak is None


def write_pairs(
    out: Path,
    searches: Sequence[Labelled],
    config: PairConfig,
    *,
    guard: Decontaminator,
    splits: Splits,
    manifest: Manifest,
    proved: Collection[str] = (),
) -> Manifest:
    """Write ``pairs_SPLIT.jsonl`` into a folder, and the manifest last. The searches have come in as rows already.

    ``proved`` are texts of states that are known to be provable.
    """
    kept: list[Labelled] = []
    places: dict[str, str] = {}
    for search in searches:
        for fault, count in search.faults.items():
            manifest.note(fault, f"{search.source}: {search.theorem}", times=count)
        for state in search.states.values():
            manifest.note(f"state {state.label}")
        place = splits.of(search.theorem)
        if search_may_stay(search, place, guard, manifest):
            kept.append(search)
            places[search.theorem] = place
    with _files(out, "pairs", list(places.values()), guard, manifest) as files:
        for pair in PairMaker(kept, places, config, proved=proved).pairs(manifest):
            of = TacticRecord(
                theorem=pair.theorem, source=pair.searches[0], state_before=pair.goal, tactic="", state_after=""
            )
            states = [pair.positive, pair.negative, pair.negative_goal]
            if files[pair.split].write(pair, of=of, states=states):
                manifest.note(f"pair {pair.tier}")
                manifest.note(f"negative {pair.why}")
    # A search is no row of the files: what comes out are its pairs, which were made.
    manifest.drop(ROWS, "search turned into pairs", times=len(kept))
    manifest.settings |= {**config.model_dump(mode="json")}
    manifest.write(out)
    return manifest


def search_may_stay(search: Labelled, split: str, guard: Decontaminator, manifest: Manifest) -> bool:
    """Whether a search may be used at all; if not, it is counted as dropped."""
    where = f"{search.source}: {search.theorem}"
    if split == LEFT_OUT:
        manifest.drop(ROWS, "joins clusters of different splits", where)
        return False
    leak = guard.leak_of_name(search.theorem) or guard.leak_in_state(search.root)
    if leak is not None:
        manifest.drop(DECONTAMINATE, leak.how, f"{where} is {leak}")
    return leak is None


@contextlib.contextmanager
def _files(
    out: Path, stem: str, places: Sequence[str], guard: Decontaminator, manifest: Manifest
) -> Iterator[dict[str, TrainingFile]]:
    """A training file for each split that occurs, and one for training in any case."""
    with contextlib.ExitStack() as stack:
        names = ["train", *sorted(set(places) - {"train"})]
        yield {
            name: stack.enter_context(training_file(out / f"{stem}_{name}.jsonl", guard, manifest=manifest))
            for name in names
        }
