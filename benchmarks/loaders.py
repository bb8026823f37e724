"""Rows a second of the loaders, each beside the obvious other way: json.loads line by line, and Parquet as plain Python objects.

    python benchmarks/loaders.py [--rows 100000]

The rows are made: theorems of the usual length, with Unicode, a header and a proof. `take_in` is the whole way of a public set's
row to a record: read, cut, stamped, looked up among the names that were seen.
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


def records(count: int) -> list[TheoremRecord]:
    rng = random.Random(0)
    out = []
    for i in range(count):
        steps = "\n".join(f"  have h{k} : a + {rng.randrange(99)} ≤ b * {k} := by positivity" for k in range(4))
        out.append(
            TheoremRecord(
                name=f"made_{i}",
                statement=f"theorem made_{i} (a b : ℝ) (h₀ : 0 ≤ a ∧ a ≤ b) : a ^ 2 + {i} ≤ b ^ 2 + {i}",
                header="open BigOperators Real Nat Topology Rat",
                imports=("Mathlib", "Aesop"),
                source="made",
                informal="Prove that $a^2 \\le b^2$ for non-negative $a \\le b$.",
                proof=f"by\n{steps}\n  nlinarith [h₀.1, h₀.2]",
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
