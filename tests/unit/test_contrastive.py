"""Labels of finished searches, and the pairs made of them: each rule that the first version got wrong has a test."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from burnqed.assemble.sources import load_config
from burnqed.cli.main import app
from burnqed.core.errors import BadInput
from burnqed.core.theorem import Theorem
from burnqed.data.contrastive import BOTH, ELSEWHERE, UNKNOWN, ContrastivePair, PairConfig, PairMaker
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.labels import (
    CONTRADICTION,
    MERGED,
    UNJUDGED,
    ZOMBIE,
    Edge,
    Labelled,
    Node,
    SearchGraph,
    label,
)
from burnqed.data.labels_proof import proof_records
from burnqed.data.labels_reading import search_graphs
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.rows_files import write_pairs
from burnqed.data.rows_reading import Splits, guard, read_proved, read_refuted
from burnqed.data.splits import Assignment
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, ScriptedPolicy, ToyValue
from burnqed.trajectory.schema import METADATA_KEY

END = "end"


def graph(
    edges: str,
    *,
    proved: bool = True,
    spent: str = "",
    texts: dict[str, str] | None = None,
    theorem: str = "t",
    cut: str = "",
) -> SearchGraph:
    """A search from a text such as ``a-b b-end a-c``: one letter a node, ``end`` a finished state, ``a=b`` a part.

    The first node is the root. ``spent`` are nodes that were tried to the end; of those in ``cut`` a tactic ran out of time.
    """
    pairs = [(e.replace("=", "-").split("-"), "part" if "=" in e else "stepped") for e in edges.split()]
    names = list(dict.fromkeys(n for (pair, _) in pairs for n in pair if not n.startswith(END))) or [edges]
    ids = {name: i for i, name in enumerate(names)}
    depths = {names[0]: 0}
    for (a, b), _ in pairs:
        depths.setdefault(b, depths[a] + 1)
    nodes = [Node(ids[n], (texts or {}).get(n, f"⊢ {n}"), depths[n], False, n in spent) for n in names]
    made = [Edge(ids[n], "slow", "timeout", None) for n in cut]
    made += [Edge(ids[n], "fails", "error", None) for n in spent]
    for (a, b), outcome in pairs:
        if b.startswith(END):
            child = len(nodes)
            nodes.append(Node(child, "no goals", depths[a] + 1, True, False))
        else:
            child = ids[b]
        made.append(Edge(ids[a], f"to_{b}", outcome, child))
    return SearchGraph(theorem, proved, nodes, made, "run")


def labels(found: Labelled) -> dict[str, str]:
    return {text.removeprefix("⊢ "): state.label for text, state in found.states.items()}


def pairs(*searches: Labelled, proved: frozenset[str] = frozenset(), **config: object) -> tuple[list, Manifest]:
    manifest = Manifest(step="pairs")
    maker = PairMaker(searches, {s.theorem: "train" for s in searches}, PairConfig(**config), proved=proved)  # type: ignore[arg-type]
    found = list(maker.pairs(manifest))
    manifest.rows_out = len(found)
    manifest.check()
    return found, manifest


def short(found: list[ContrastivePair]) -> list[tuple[str, str, str, str]]:
    return sorted((p.tier, p.positive[2:], p.negative[2:], p.why) for p in found)


# -- labels -----------------------------------------------------------------------------------------------


def test_a_path_to_an_accepted_proof_is_proved_with_what_remains_of_it():
    found = label(graph("a-b b-c c-end a-d"))
    assert labels(found) == {"a": "proved", "b": "proved", "c": "proved", "d": "unknown"}
    assert [found.states[f"⊢ {n}"].remaining for n in "abcd"] == [3, 2, 1, None]


def test_a_state_reached_by_a_second_way_counts_for_that_way_too():
    found = label(graph("a-b b-c c-d d-end a-c"))
    assert labels(found)["c"] == "proved"
    assert found.states["⊢ a"].remaining == 3, "the shorter way, though it was found later"
    diamond = label(graph("a-b a-c b-d d-end c-d"))
    assert labels(diamond)["c"] == "proved", "no path was first found through it"


def test_what_was_never_tried_to_the_end_is_unknown_and_not_a_negative():
    found = label(graph("a-b b-end a-c c-d"))
    assert labels(found) == {"a": "proved", "b": "proved", "c": "unknown", "d": "unknown"}
    assert pairs(found)[0] == []


def test_a_dead_end_is_exhausted_and_so_is_what_leads_only_there():
    found = label(graph("a-b b-end a-c c-d", spent="cd"))
    assert labels(found)["c"] == labels(found)["d"] == "exhausted"
    half = label(graph("a-b b-end a-c c-d c-e", spent="cd"))
    assert labels(half)["c"] == "unknown", "e was not tried"


def test_a_circle_with_no_way_out_is_exhausted():
    found = label(graph("a-b b-end a-c c-d d-c", spent="cd"))
    assert labels(found)["c"] == labels(found)["d"] == "exhausted"
    out = label(graph("a-b b-end a-c c-d d-c d-e", spent="cd"))
    assert labels(out)["c"] == "unknown"


def test_a_limit_of_time_is_no_refutation():
    assert labels(label(graph("a-b b-end a-c", spent="c")))["c"] == "exhausted"
    assert labels(label(graph("a-b b-end a-c", spent="c", cut="c")))["c"] == "unknown"


def test_a_limit_of_depth_is_no_refutation():
    cut = graph("a-b b-end a-c", spent="c")
    deeper = SearchGraph("t", True, cut.nodes, [*cut.edges, Edge(2, "intro", "stepped", None)])
    assert cut.nodes[2].state == "⊢ c"
    assert labels(label(deeper))["c"] == "unknown"


def test_a_finished_state_counts_only_when_the_gate_accepted_it():
    found = label(graph("a-b b-end", proved=False, spent="ab"))
    assert labels(found) == {"a": "unknown", "b": "unknown"}
    assert found.faults[UNJUDGED] == 1
    first = label(graph("a-b b-end1 a-c c-end2"))
    assert labels(first) == {"a": "proved", "b": "unknown", "c": "proved"}, (
        "the search went on after the first: refused"
    )


def test_a_split_state_is_proved_when_all_parts_are_and_exhausted_when_one_is():
    proved = label(graph("a-w w=x w=y x-end1 y-z z-end2"))
    assert labels(proved)["w"] == "proved"
    assert proved.states["⊢ w"].remaining == 3
    half = label(graph("a-w w=x w=y x-end a-b b-end2", spent="wy"))
    assert labels(half)["w"] == labels(half)["y"] == "exhausted"
    open_ = label(graph("a-w w=x w=y x-end a-b b-end2", spent="w"))
    assert labels(open_)["w"] == "unknown"


def test_what_follows_from_a_false_theorem_is_refuted_whatever_was_tried():
    found = label(graph("a-b b-c a-d", proved=False), refuted=True)
    assert set(labels(found).values()) == {"refuted"}
    assert labels(label(graph("a-b b-c", proved=False), false_states=["⊢ b"])) == {
        "a": "unknown",
        "b": "refuted",
        "c": "refuted",
    }


def test_of_a_false_conjunction_the_part_that_is_left_is_refuted():
    found = label(graph("a-w w=x w=y x-end a-b b-end2"), false_states=["⊢ w"])
    assert labels(found)["y"] == "refuted"
    assert labels(found)["x"] == "proved"
    both = label(graph("a-w w=x w=y", proved=False), false_states=["⊢ w"])
    assert labels(both)["x"] == labels(both)["y"] == "unknown"


def test_a_state_cannot_be_proved_and_refuted():
    found = label(graph("a-b b-end"), refuted=True)
    assert found.faults[CONTRADICTION] == 2
    assert set(labels(found).values()) == {"unknown"}


def test_a_step_that_changes_nothing_is_no_step():
    found = label(graph("a-z z-b b-end a-c", texts={"z": "⊢ a"}, spent="c"))
    assert found.faults == {ZOMBIE: 1, MERGED: 1}
    assert [s.text for s in found.states.values()] == ["⊢ a", "⊢ b", "⊢ c"]
    assert found.states["⊢ a"].remaining == 2, "not three: nothing was done in between"
    assert short(pairs(found)[0]) == [("hard", "b", "c", "exhausted"), ("medium", "a", "c", "exhausted")]


def test_two_nodes_that_read_the_same_are_one_state_with_one_label():
    found = label(graph("a-b b-end a-c c-d", texts={"d": "⊢ b"}, spent="cd"))
    assert labels(found) == {"a": "proved", "b": "proved", "c": "proved"}
    assert found.faults[MERGED] == 1


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=14),
    st.sets(st.sampled_from("abcdef")),
)
def test_no_state_from_which_the_end_can_be_reached_is_a_negative(edges, spent):
    text = " ".join(["a-b", *(f"{x}-{y}" for x, y in edges), "c-end"])
    reachable_names = {n for e in text.split() for n in e.split("-") if n != END}
    depths_known = {"a"}
    ordered: list[str] = []
    todo = [e.split("-") for e in text.split()]
    while step := next((e for e in todo if e[0] in depths_known), None):
        todo.remove(step)
        depths_known.add(step[1])
        ordered.append("-".join(step))
    found = label(graph(" ".join(ordered), spent="".join(sorted(spent & depths_known & reachable_names))))
    ends = {"c"} if "c-end" in ordered else set()
    while more := {e[0] for e in ordered if e[2:] in ends} - ends:
        ends |= more
    assert {n for n, kind in labels(found).items() if kind == "proved"} == ends
    found_pairs, _ = pairs(found, unproved=True)
    assert not {p.negative[2:] for p in found_pairs} & ends


# -- proofs -----------------------------------------------------------------------------------------------


def test_the_shortest_proof_is_told_on_the_states_on_which_its_tactics_ran():
    steps = list(proof_records(label(graph("a-b b-c c-d d-end a-c")), split="valid"))
    assert [(r.state_before[2:], r.tactic, r.state_after) for r in steps] == [
        ("a", "to_c", "⊢ c"),
        ("c", "to_d", "⊢ d"),
        ("d", "to_end", "no goals"),
    ]
    assert [(r.step, r.split, r.theorem) for r in steps] == [(i, "valid", "t") for i in range(3)]
    assert list(proof_records(label(graph("a-b b-c")))) == []


def test_the_parts_of_a_split_state_follow_one_another():
    steps = list(proof_records(label(graph("a-w w=x w=y x-end1 y-z z-end2"))))
    assert [r.state_before[2:] for r in steps] == ["a", "x", "y", "z"]


# -- pairs ------------------------------------------------------------------------------------------------


def test_siblings_are_hard_others_of_the_theorem_medium_other_theorems_easy():
    one = label(graph("a-b b-end a-c b-d", spent="cd"))
    two = label(graph("k-l", spent="kl", proved=False, theorem="u"))
    found, _ = pairs(one, two)
    assert short(found) == [
        ("easy", "a", "k", "exhausted"),
        ("easy", "a", "l", "exhausted"),
        ("easy", "b", "k", "exhausted"),
        ("easy", "b", "l", "exhausted"),
        ("hard", "b", "c", "exhausted"),
        ("medium", "a", "c", "exhausted"),
        ("medium", "a", "d", "exhausted"),
        ("medium", "b", "d", "exhausted"),
    ]
    hard = next(p for p in found if p.tier == "hard")
    assert (hard.goal, hard.negative_goal, hard.parent) == ("⊢ a", "⊢ a", "⊢ a")
    assert (hard.depth, hard.remaining, hard.negative_depth) == (1, 1, 1)
    easy = next(p for p in found if p.tier == "easy")
    assert (easy.goal, easy.negative_goal, easy.parent) == ("⊢ a", "⊢ k", "")


def test_siblings_that_are_both_proved_are_no_pair():
    both = label(graph("a-b a-c b-d c-d d-end"))
    found, manifest = pairs(both, unproved=True)
    assert found == []
    assert manifest.noted[BOTH].count == 1


def test_a_sibling_of_which_nothing_is_known_is_no_negative_unless_asked_for_and_then_says_so():
    search = label(graph("a-b b-end a-c c-d"))
    found, manifest = pairs(search)
    assert found == []
    assert manifest.noted[UNKNOWN].count == 1
    weak, _ = pairs(search, unproved=True)
    assert short(weak) == [("hard", "b", "c", "unproved"), ("medium", "a", "c", "unproved")]


def test_exhausted_states_can_be_left_out():
    one = label(graph("a-b b-end a-c", spent="c"))
    false = label(graph("k-l", proved=False, theorem="u"), refuted=True)
    found, _ = pairs(one, false, exhausted=False)
    assert {p.why for p in found} == {"refuted"}


def test_what_any_search_has_proved_is_never_a_negative_of_another():
    proves = label(graph("a-b b-end", texts={"b": "⊢ shared"}))
    fails = label(graph("k-s k-l", spent="ksl", proved=False, theorem="u", texts={"s": "⊢ shared"}))
    found, manifest = pairs(proves, fails)
    assert {p.negative for p in found} == {"⊢ k", "⊢ l"}
    assert manifest.noted[ELSEWHERE].count == 1


def test_what_is_known_to_be_provable_is_never_a_negative():
    search = label(graph("a-b b-end a-c a-d", spent="cd"))
    found, manifest = pairs(search, proved=frozenset({"⊢ c"}))
    assert {p.negative for p in found} == {"⊢ d"}
    assert manifest.noted[ELSEWHERE].count == 1


def test_limits_hold_and_the_seed_decides_what_is_taken():
    many = label(graph("a-b b-end " + " ".join(f"a-{c}" for c in "cdefghij"), spent="cdefghij"))
    other = label(graph("k-l", spent="kl", proved=False, theorem="u"))
    found, manifest = pairs(many, other, hard=3, medium=2, easy=1, seed=1)
    assert Counter(p.tier for p in found if p.positive == "⊢ b") == {"hard": 3, "easy": 1}
    assert Counter(p.tier for p in found if p.positive == "⊢ a") == {"medium": 2, "easy": 1}
    assert manifest.noted["hard: more than wanted for one positive"].count == 5
    again, _ = pairs(many, other, hard=3, medium=2, easy=1, seed=1)
    different, _ = pairs(many, other, hard=3, medium=2, easy=1, seed=2)
    assert again == found
    assert different != found


def test_negatives_of_other_theorems_are_as_deep_as_the_positive_where_there_are_such():
    one = label(graph("a-b b-c c-end"))
    other = label(graph("k-l l-m m-n n-o", spent="klmno", proved=False, theorem="u"))
    found, _ = pairs(one, other, easy=1)
    assert {(p.depth, p.negative_depth) for p in found} == {(0, 0), (1, 1), (2, 2)}
    all_of_them, _ = pairs(one, other, easy=9)
    assert len({p.negative for p in all_of_them if p.positive == "⊢ a"}) == 5


def test_no_pair_comes_twice():
    search = label(graph("a-b b-end a-c", spent="c"))
    found, manifest = pairs(search, search)
    assert len({(p.positive, p.negative) for p in found}) == len(found)
    assert manifest.dropped_for("pair", "same pair again") == len(found)


def test_theorems_of_different_splits_do_not_meet():
    one = label(graph("a-b b-end"))
    two = label(graph("k-l", spent="kl", proved=False, theorem="u"))
    maker = PairMaker([one, two], {"t": "train", "u": "valid"}, PairConfig())
    assert list(maker.pairs(Manifest(step="pairs"))) == []


# -- from a run to files ----------------------------------------------------------------------------------

TABLE = {
    ("start", "left"): "bad",
    ("start", "right"): "good",
    ("good", "close"): DONE,
    ("bad", "left"): "worse",
}


async def run_of(path: Path, table: dict, names: list[str], **search: object) -> Path:
    """A real run over a Lean that follows a table."""
    config = load_config(environment={}, flags={f"search.{k}": v for k, v in search.items()}, assignments=())
    folder = RunFolder.create(path, {"input": "x", "config": config.model_dump(mode="json")})
    lean = FakeLean(table)
    prover = Prover(
        pool=lean,
        gate=lean,
        policy=ScriptedPolicy(default=[("left", -0.1), ("right", -0.5), ("close", -1.0)]),
        value=ToyValue(),
        config=SearchConfig(**search),  # type: ignore[arg-type]
        events=FanOut(folder.trajectory),
        clock=ManualClock(),
        folder=folder,
    )
    await prover.prove_all([Theorem(n, f"theorem {n} : start") for n in names], lambda result: None)
    return path


async def test_a_run_tells_which_of_its_states_were_tried_to_the_end(tmp_path):
    nothing_left = await run_of(tmp_path / "a", {("start", "left"): "bad"}, ["t"])
    (found,) = search_graphs(nothing_left, Manifest(step="x"))
    assert labels(label(found)) == {"start": "exhausted", "bad": "exhausted"}
    out_of_nodes = await run_of(tmp_path / "b", TABLE | {("bad", "right"): "x"}, ["t"], max_nodes=2, slice_size=2)
    (found,) = search_graphs(out_of_nodes, Manifest(step="x"))
    assert not found.proved
    assert "exhausted" not in labels(label(found)).values(), "x and worse were never tried"


async def test_of_a_proved_theorem_a_short_last_slice_tells_that_the_candidates_were_used_up(tmp_path):
    table = TABLE | {("start", "left"): "bad", ("bad", "left"): "start"}
    path = await run_of(tmp_path / "a", table, ["t"], slice_size=2)
    manifest = Manifest(step="x")
    (found,) = search_graphs(path, manifest)
    kinds = labels(label(found))
    assert kinds["start"] == kinds["good"] == "proved"
    guarded = Decontaminator([TheoremRecord(name="b", statement="theorem b (x : Nat) : x ^ 9 = 512")])
    write_pairs(tmp_path / "p", [label(found)], PairConfig(), guard=guarded, splits=ALL_TRAIN, manifest=manifest)
    assert (tmp_path / "p" / "manifest.json").exists()


def as_version_2(run: Path) -> Path:
    """The record of a run as it was before nodes said what is spent."""
    (path,) = (run / "trajectory").glob("nodes-*.parquet")
    table = pq.read_table(path).drop_columns("spent")
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: "2"}), path)
    return run


async def test_a_record_without_spent_is_read_as_it_was(tmp_path):
    """It is told from the number of tries then: a last slice that happens to be full says nothing."""
    table = {("start", "left"): "bad", ("start", "right"): "good", ("good", "close"): DONE}
    for slice_size, then in ((2, "exhausted"), (3, "unknown")):
        path = await run_of(tmp_path / f"{slice_size}", table, ["t"], slice_size=slice_size)
        (now,) = search_graphs(path, Manifest(step="x"))
        assert labels(label(now)) == {"start": "proved", "good": "proved", "bad": "exhausted"}
        (before,) = search_graphs(as_version_2(path), Manifest(step="x"))
        assert labels(label(before)) == {"start": "proved", "good": "proved", "bad": then}
    nothing_left = await run_of(tmp_path / "c", {("start", "left"): "bad"}, ["t"])
    (found,) = search_graphs(as_version_2(nothing_left), Manifest(step="x"))
    assert labels(label(found)) == {"start": "exhausted", "bad": "exhausted"}


async def test_what_was_never_tried_is_unknown_although_the_search_ended_with_nothing_left(tmp_path):
    """A part has no proof, so nobody goes on beside it. The number of tries used to say that all of it was tried."""
    table = {("start", "left"): ("dead", "other"), ("other", "left"): "promising", ("promising", "close"): DONE}
    path = await run_of(tmp_path / "a", table, ["t"], strategy="and-or")
    (found,) = search_graphs(path, Manifest(step="x"))
    known = {text: state for text, state in labels(label(found)).items() if "\n" not in text}
    assert known == {"start": "exhausted", "dead": "exhausted", "other": "unknown", "promising": "unknown"}
    (before,) = search_graphs(as_version_2(path), Manifest(step="x"))
    assert labels(label(before))["promising"] == "exhausted", "wrong, and the reason for the column"


class _AllTrain(Splits):
    def of(self, theorem: str, *, own: str = "") -> str:
        return "train"


ALL_TRAIN = _AllTrain()


async def test_pairs_of_runs_are_written_by_split_with_an_account(tmp_path):
    good = await run_of(tmp_path / "good", TABLE, ["t"])
    false = await run_of(tmp_path / "false", {("start", "left"): "other"}, ["u"])
    manifest = Manifest(step="pairs")
    searches = [
        *(label(g) for g in search_graphs(good, manifest)),
        *(label(g, refuted=True) for g in search_graphs(false, manifest)),
    ]
    assert [s.proved for s in searches] == [True, False]
    guarded = Decontaminator([TheoremRecord(name="bench", statement="theorem bench (x : Nat) : x ^ 9 = 512")])
    write_pairs(tmp_path / "p", searches, PairConfig(), guard=guarded, splits=ALL_TRAIN, manifest=manifest)
    rows = [json.loads(x) for x in (tmp_path / "p" / "pairs_train.jsonl").read_text().splitlines()]
    assert rows
    assert {r["why"] for r in rows if r["tier"] == "easy"} == {"refuted"}
    assert all(r["goal"] == "⊢ start" and r["split"] == "train" for r in rows)
    kept = Manifest.read(tmp_path / "p")
    assert kept.rows_in == 2
    assert kept.noted["state refuted"].count == 2
    assert kept.noted[ELSEWHERE].count == 1, "the false theorem's root reads like the true one's"


async def test_a_search_of_a_benchmark_makes_no_pairs(tmp_path):
    path = await run_of(tmp_path / "run", TABLE, ["amc_1", "t"])
    manifest = Manifest(step="pairs")
    searches = [label(g) for g in search_graphs(path, manifest)]
    guarded = Decontaminator([TheoremRecord(name="amc_1", statement="theorem amc_1 (x : Nat) : x ^ 9 = 512")])
    write_pairs(tmp_path / "p", searches, PairConfig(), guard=guarded, splits=ALL_TRAIN, manifest=manifest)
    assert manifest.dropped_for("decontaminate", "name") == 1
    assert "amc_1" not in (tmp_path / "p" / "pairs_train.jsonl").read_text()


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path):
    with pytest.raises(BadInput, match=r"no run\.json"):
        list(search_graphs(tmp_path, Manifest(step="x")))


async def test_a_search_without_a_result_is_left_out_and_told(tmp_path):
    path = await run_of(tmp_path / "run", TABLE, ["t"])
    (path / "results.jsonl").write_text('{"broken\n')
    manifest = Manifest(step="x")
    assert list(search_graphs(path, manifest)) == []
    assert manifest.dropped_for("read", "search without a result") == 1
    assert manifest.noted["damaged line of results.jsonl"].count == 1


# -- what is read beside the runs -------------------------------------------------------------------------


def test_refuted_statements_are_known_by_flag_and_by_status(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"name": "a", "statement": "s", "flags": ["refuted"]}\n{"name": "b", "statement": "s"}\n'
        '{"name": "c", "status": "refuted", "state": "⊢ c"}\n{"name": "d", "status": "proved", "state": "⊢ d"}\nnot json\n'
    )
    manifest = Manifest(step="x")
    assert read_refuted([path], manifest) == ({"a", "c"}, {"⊢ c"})
    assert manifest.noted["statement that cannot be read: not JSON"].count == 1


def test_states_of_traced_proofs_are_provable(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"theorem": "a", "source": "s", "state_before": "⊢ a", "tactic": "simp", "state_after": "no goals"}\n'
    )
    assert read_proved([path], Manifest(step="x")) == {"⊢ a"}


def test_a_guard_of_nothing_is_refused(tmp_path):
    path = tmp_path / "b.jsonl"
    path.write_text('{"name": "x", "statement": 3}\n')
    with pytest.raises(BadInput):
        guard([path], Manifest(step="x"))


def test_a_theorem_belongs_where_its_record_says_then_where_it_was_put_then_where_its_hash_puts_it():
    put = Assignment({"a": "test", "b": "valid"}, salt="s", valid=0.1, test=0.1, near_duplicates=0.8)
    records = [TheoremRecord(name="a", statement="theorem a : p", split="train")]
    splits = Splits(put, records)
    assert splits.of("a") == "train"
    assert splits.of("a", own="held_out") == "held_out"
    assert splits.of("b", own="lean_workbook") == "valid"
    assert splits.of("c") in ("train", "valid", "test")
    assert splits.of("c") == Splits().of("c")


def test_an_unproved_negative_can_be_asked_to_have_been_searched():
    """c was tried twice, and so was d below it: the visits of c are four."""
    search = label(graph("a-b b-end a-c c-d", cut="cdd"))
    wanted = {"hard": 0, "medium": 9, "easy": 0, "unproved": True}

    def negatives(**config: int) -> set[str]:
        return {p.negative for p in pairs(search, **wanted, **config)[0] if p.positive == "⊢ a"}

    assert negatives() == {"⊢ c", "⊢ d"}
    assert negatives(unproved_visits=2) == {"⊢ c", "⊢ d"}
    assert negatives(unproved_visits=3) == {"⊢ c"}
    assert negatives(unproved_visits=5) == set()


def test_an_exhausted_negative_needs_no_visits():
    search = label(graph("a-b b-end a-c", spent="c"))
    assert {p.why for p in pairs(search, unproved=True, unproved_visits=99)[0]} == {"exhausted"}


def test_off_the_path_of_a_proof_states_that_nobody_tried_can_be_negatives_of_their_own_theorem_alone():
    """b ends the proof; c was passed by. Of a search without a proof such states say nothing."""
    proved, vain = label(graph("a-b b-end a-c")), label(graph("p-q", proved=False, theorem="u"))
    config = {"unproved": True, "unproved_visits": 9}
    assert short(pairs(proved, vain, **config)[0]) == []
    found = short(pairs(proved, vain, off_path=True, **config)[0])
    assert found == [("hard", "b", "c", "unproved"), ("medium", "a", "c", "unproved")]


def test_a_passed_by_state_is_no_negative_of_other_theorems():
    other = label(graph("x-y y-end", theorem="v"))
    found, _ = pairs(label(graph("a-b b-end a-c")), other, unproved=True, off_path=True)
    assert {p.theorem for p in found} == {"t"}


def test_what_was_tried_long_enough_is_one_of_other_theorems_whatever_else_counts():
    searches = label(graph("x-y y-end", theorem="v")), label(graph("a-b b-end a-c c-d", cut="cdd"))
    config = {"unproved": True, "unproved_visits": 3, "hard": 0, "medium": 0}
    plain, more = (pairs(*searches, **config, off_path=off)[0] for off in (False, True))
    assert {(p.theorem, p.negative) for p in plain} == {("v", "⊢ c")}
    assert short(more) == short(plain)


def test_off_the_path_is_about_unproved_states():
    with pytest.raises(ValueError, match="set unproved with it"):
        PairConfig(off_path=True)


@pytest.mark.parametrize("flag", [("--unproved-visits", "8"), ("--off-path",)], ids=lambda f: f[0])
def test_what_concerns_unproved_states_is_refused_without_them(tmp_path, flag):
    arguments = ["data", "pairs", str(tmp_path), "--benchmarks", str(tmp_path), *flag]
    outcome = CliRunner().invoke(app, arguments)
    assert isinstance(outcome.exception, BadInput)
    assert "give --unproved with it" in str(outcome.exception)


def test_a_pair_says_how_likely_the_policy_found_the_ways_to_both():
    made = graph("a-b b-end a-c", spent="c")
    nodes = [dataclasses.replace(n, logprob_nats=-float(n.id)) for n in made.nodes]
    found, _ = pairs(label(dataclasses.replace(made, nodes=nodes)), hard=1, medium=0, easy=0)
    assert [(p.positive, p.logprob_nats, p.negative, p.negative_logprob_nats) for p in found] == [
        ("⊢ b", -1.0, "⊢ c", -2.0)
    ]


def test_of_several_ways_to_a_state_the_most_likely_counts():
    made = graph("a-b a-c b-end", texts={"b": "⊢ same", "c": "⊢ same"})
    nodes = [dataclasses.replace(n, logprob_nats=-float(n.id)) for n in made.nodes]
    states = label(dataclasses.replace(made, nodes=nodes)).states
    assert states["⊢ same"].logprob_nats == -1.0
    assert label(made).states["⊢ same"].logprob_nats is None
