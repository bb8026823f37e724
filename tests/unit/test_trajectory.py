"""Trajectory files: both terms, split states, and files of other versions."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.search_lab import make, proposing

from burnqed.core.errors import RunError
from burnqed.testing.fakes import DONE, FakeLean, ToyValue
from burnqed.trajectory.reader import read_edges, read_nodes
from burnqed.trajectory.schema import EDGES, METADATA_KEY, NODES, VERSION
from burnqed.trajectory.writer import TrajectoryWriter

TABLE = {("start", "a"): ("P", "Q"), ("P", "b"): DONE, ("Q", "b"): DONE}


async def test_a_search_comes_back_with_its_terms_and_its_parts(tmp_path):
    search, sink = make(FakeLean(TABLE), proposing("a", "b"), value=ToyValue({"P": 1.0}), strategy="and-or")
    await search.run()
    writer = TrajectoryWriter(tmp_path)
    for event in sink.events:
        writer.emit(event)
    writer.write("t")
    nodes = read_nodes(tmp_path).to_pylist()
    assert [(n["node"], n["parent"], n["depth"], n["state"]) for n in nodes] == [
        (0, None, 0, "⊢ start"),
        (1, 0, 1, "⊢ P\n\n⊢ Q"),
        (2, 1, 1, "⊢ P"),
        (3, 1, 1, "⊢ Q"),
        (4, 2, 2, "no goals"),
        (5, 3, 2, "no goals"),
    ]
    scored = [n["node"] for n in nodes if n["energy"] is not None]
    assert scored == [0, 2, 3]
    for n in nodes:
        assert (n["policy_term"] is None) == (n["value_term"] is None) == (n["energy"] is None)
        assert n["energy"] is None or n["priority"] == n["policy_term"] + n["value_term"]
    edges = read_edges(tmp_path).to_pylist()
    assert [e["order"] for e in edges] == list(range(len(edges)))
    assert [(e["node"], e["child"], e["detail"]) for e in edges if e["outcome"] == "part"] == [(1, 2, "0"), (1, 3, "1")]
    # `b` is in the last slice of both parts, which was tried whole; a split state has no candidates of its own.
    assert [n["node"] for n in nodes if n["spent"]] == [0, 2, 3]
    assert all(e["tactic"] == "" and e["logprob_nats"] == 0 for e in edges if e["outcome"] == "part")


def of_version(schema: pa.Schema, version: str | None, *without: str) -> pa.Schema:
    kept = [field for field in schema if field.name not in without]
    return pa.schema(kept, metadata=None if version is None else {METADATA_KEY: version})


def test_files_of_version_1_lack_the_terms(tmp_path):
    old = of_version(NODES, "1", "policy_term", "value_term")
    row = {"theorem": "t", "node": 0, "depth": 0, "state": "⊢ p", "num_goals": 1, "energy": 0.5, "finished": False}
    pq.write_table(pa.Table.from_pylist([row], schema=old), tmp_path / "nodes-t.parquet")
    new = {**row, "theorem": "u", "policy_term": -1.0, "value_term": -0.5}
    pq.write_table(pa.Table.from_pylist([new], schema=NODES), tmp_path / "nodes-u.parquet")
    rows = read_nodes(tmp_path).to_pylist()
    assert [(r["theorem"], r["energy"], r["policy_term"], r["value_term"]) for r in rows] == [
        ("t", 0.5, None, None),
        ("u", 0.5, -1.0, -0.5),
    ]


def test_files_of_version_2_do_not_say_what_is_spent(tmp_path):
    row = {"theorem": "t", "node": 0, "depth": 0, "state": "⊢ p", "num_goals": 1, "energy": 0.5, "finished": False}
    pq.write_table(pa.Table.from_pylist([row], schema=of_version(NODES, "2", "spent")), tmp_path / "nodes-t.parquet")
    assert read_nodes(tmp_path).to_pylist()[0]["spent"] is None


def test_files_of_version_3_do_not_say_what_was_accepted(tmp_path):
    row = {"theorem": "t", "node": 1, "depth": 1, "state": "no goals", "num_goals": 0, "finished": True, "spent": False}
    pq.write_table(pa.Table.from_pylist([row], schema=of_version(NODES, "3", "accepted")), tmp_path / "nodes-t.parquet")
    (node,) = read_nodes(tmp_path).to_pylist()
    assert (node["spent"], node["accepted"]) == (False, None)


@pytest.mark.parametrize(
    ("version", "said"), [(str(VERSION + 1), f"is of version {VERSION + 1}"), (None, "no version"), ("x", "no version")]
)
def test_files_of_a_later_or_no_version_are_refused(tmp_path, version, said):
    pq.write_table(of_version(EDGES, version).empty_table(), tmp_path / "edges-t.parquet")
    with pytest.raises(RunError, match=said):
        read_edges(tmp_path)
