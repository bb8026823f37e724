"""Rows a second of the loaders, each beside the obvious other way: json.loads line by line, and Parquet as plain Python objects.

    python benchmarks/loaders.py [--rows 100000]

The rows are made: theorems of the usual lengths, with Unicode, a header and a proof, in ever other words. `take_in` is the
whole way of a public set's row to a record: read, cut, stamped, looked up among the names that were seen.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from burnqed.data.intake import take_in
from burnqed.data.manifest import Manifest
from burnqed.data.reading import read_rows
from burnqed.data.records import TheoremRecord, line
from burnqed.data.sources.goedel_workbook import SOURCE, Proof

HEADERS = (
    "open BigOperators Real Nat Topology Rat",
    "set_option maxHeartbeats 400000\n\nopen BigOperators Real Nat Topology Rat",
    "open Real Set Finset",
    "",
)
TACTICS = (
    "have h{k} : {a} ≤ {b} := by positivity",
    "have h{k} := mul_pos ({a}) ({b})",
    "rw [show {a} = {b} by ring] at h{k}",
    "obtain ⟨w{k}, hw{k}⟩ : ∃ w, w * ({a}) = {b} := ⟨_, rfl⟩",
    "nlinarith [sq_nonneg ({a}), sq_nonneg ({b})]",
    "field_simp [sub_eq_zero, {a}]",
    "by_cases h{k} : {a} < {b} <;> simp_all",
    "calc {a} = {b} := by ring_nf",
)
PROSE = (
    "Let Prove Show Find that for all every positive real natural numbers integers with such sum product of squares the "
    "sequence defined inequality holds whenever where $x$ $n$ and is at least divides prime minimum value triangle sides"
)


def term(rng: random.Random, depth: int = 3) -> str:
    """A random term in the usual letters."""
    if depth == 0 or rng.random() < 0.25:
        return rng.choice((*"abcxyzmn", "α", "x₁", str(rng.randrange(10**5))))
    operation = rng.choice((" + ", " * ", " - ", " / ", " ^ "))
    return f"({term(rng, depth - 1)}{operation}{term(rng, depth - 1)})"


def records(count: int) -> list[TheoremRecord]:
    """Theorems that differ in names, lengths, hypotheses, tactics, words and headers; the same for every call."""
    rng, words = random.Random(0), PROSE.split()
    out = []
    for i in range(count):
        hypotheses = " ".join(f"(h{k} : {term(rng, 2)} ≤ {term(rng, 2)})" for k in range(rng.randrange(4)))
        claim = f"{term(rng)} {rng.choice('=≤<≠')} {term(rng)}"
        lines = (rng.choice(TACTICS).format(k=k, a=term(rng, 2), b=term(rng, 2)) for k in range(rng.randint(1, 9)))
        name = f"{rng.choice(('lean_workbook', 'algebra', 'thm', 'Nat.aux'))}_{rng.randrange(10**6)}_{i}"
        out.append(
            TheoremRecord(
                name=name,
                statement=f"theorem {name} ({' '.join(rng.sample('abcxyzmn', rng.randint(1, 5)))} : ℝ) {hypotheses} : {claim}",
                header=rng.choice(HEADERS),
                imports=("Mathlib", "Aesop") if rng.random() < 0.9 else ("Mathlib",),
                source="made",
                informal=" ".join(rng.choices(words, k=rng.randint(5, 30))),
                proof="by\n  " + "\n  ".join(lines),
            )
        )
    return out


def rate(rows: Callable[[], Iterable[Any]]) -> int:
    """Rows a second, the best of three."""
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        count = sum(1 for _ in rows())
        best = max(best, count / (time.perf_counter() - began))
    return round(best)


def json_loads(path: Path) -> Iterable[Any]:
    with path.open(encoding="utf-8") as file:
        for text in file:
            yield json.loads(text)


def plain_parquet(path: Path) -> Iterable[Any]:
    for batch in pq.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=100_000)
    count = arguments.parse_args().rows
    made = records(count)
    with tempfile.TemporaryDirectory() as folder:
        lines, columns, proofs = (Path(folder) / name for name in ("rows.jsonl", "rows.parquet", "proofs.jsonl"))
        lines.write_bytes(b"".join(line(record) for record in made))
        fields = TheoremRecord.__struct_fields__
        table = pa.Table.from_pylist([{name: getattr(record, name) for name in fields} for record in made])
        pq.write_table(table, columns, compression="zstd")
        published = [Proof(record.name, record.lean_text) for record in made[: count // 10]]
        proofs.write_text(
            "".join(json.dumps({"problem_id": p.problem_id, "full_proof": p.full_proof}) + "\n" for p in published)
        )

        def taken() -> Iterable[Any]:
            return take_in(SOURCE.load(proofs), SOURCE, Manifest(step="benchmark"))

        result = {
            "rows": count,
            "megabytes": {"jsonl": lines.stat().st_size // 10**6, "parquet": columns.stat().st_size // 10**6},
            "rows_per_s": {
                "jsonl": rate(lambda: read_rows(lines, TheoremRecord)),
                "jsonl, json.loads": rate(lambda: json_loads(lines)),
                "parquet": rate(lambda: read_rows(columns, TheoremRecord)),
                "parquet, to_pylist": rate(lambda: plain_parquet(columns)),
                "take_in, whole proofs": rate(taken),
            },
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
