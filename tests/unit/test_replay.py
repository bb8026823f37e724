"""The replay buffer: which proof stays, what the file holds, and proofs from the folder of a run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.core.errors import BadInput, RunError
from burnqed.core.theorem import Theorem
from burnqed.data.manifest import Manifest
from burnqed.data.records import NO_GOALS, TacticRecord
from burnqed.iterate.replay import CHANGED, KnownProof, ReplayBuffer, found_proofs
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue


def proof(*tactics: str, theorem: str = "t", **fields) -> KnownProof:
    states = [*(f"⊢ {i}" for i in range(len(tactics))), NO_GOALS]
    steps = tuple(
        TacticRecord(theorem=theorem, source="s", state_before=a, tactic=t, state_after=b, step=i)
        for i, (a, t, b) in enumerate(zip(states, tactics, states[1:], strict=False))
    )
    defaults = {"digest": "d", "source": "by " + "; ".join(tactics), "iteration": 0}
    return KnownProof(theorem=theorem, steps=steps, **{**defaults, **fields})


def kept(*proofs: KnownProof) -> KnownProof:
    buffer = ReplayBuffer()
    for each in proofs:
        buffer.offer(each)
    (found,) = buffer
    return found


def test_fewest_steps_then_fewest_characters_then_the_order_of_texts():
    assert kept(proof("a", "b"), proof("longer")).tactics == ("longer",)
    assert kept(proof("longer"), proof("a", "b")).tactics == ("longer",)
    assert kept(proof("simp_all"), proof("omega")).tactics == ("omega",)
    assert kept(proof("b"), proof("a")).tactics == ("a",)
    assert kept(proof("a"), proof("b")).tactics == ("a",)


def test_of_equal_proofs_the_older_stays_and_learns_that_it_is_minimal():
    buffer = ReplayBuffer()
    assert buffer.offer(proof("a"))
    assert not buffer.offer(proof("a", iteration=3, source="other"))
    assert buffer.offer(proof("a", iteration=4, source="minimal", minimised=True))
    assert not buffer.offer(proof("a", iteration=5))
    (found,) = buffer
    assert (found.iteration, found.source, found.minimised) == (0, "minimal", True)


def test_a_statement_that_changed_replaces_and_is_counted():
    buffer = ReplayBuffer()
    buffer.offer(proof("a"))
    assert buffer.offer(proof("a", "b", digest="new"))
    assert buffer.tally.counts == {CHANGED: 1}
    assert buffer.get("t", "d") is None
    found = buffer.get("t", "new")
    assert found is not None
    assert found.tactics == ("a", "b")


def test_the_file_has_a_line_a_theorem_in_order_of_name_and_comes_back_the_same(tmp_path):
    buffer = ReplayBuffer()
    proofs = [proof("a", theorem="zeta"), proof("b\nc", "d", theorem="Alpha", minimised=True), proof("e", theorem="é")]
    for each in proofs:
        buffer.offer(each)
    buffer.write(tmp_path / "replay.jsonl")
    lines = (tmp_path / "replay.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["theorem"] for line in lines] == ["Alpha", "zeta", "é"]
    again = ReplayBuffer.read(tmp_path / "replay.jsonl")
    assert list(again) == list(buffer)
    assert [r.tactic for r in again.records()] == ["b\nc", "d", "a", "e"]
    assert len(again) == 3
    assert not list(tmp_path.glob(".*")), "nothing else is left in the folder"


PROOFS = [proof(*t, theorem=name) for name in "xyz" for t in (("a",), ("b",), ("a", "b"), ("longer",))]


@given(st.permutations(PROOFS))
def test_bytes_depend_on_the_proofs_alone(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("replay")
    buffer = ReplayBuffer()
    for each in order:
        buffer.offer(each)
    buffer.write(folder / "f")
    expected = ReplayBuffer()
    for each in PROOFS:
        expected.offer(each)
    expected.write(folder / "g")
    assert (folder / "f").read_bytes() == (folder / "g").read_bytes()


def test_no_file_yet_is_an_empty_buffer(tmp_path):
    assert len(ReplayBuffer.read(tmp_path / "none.jsonl")) == 0


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-5], "2 is damaged: the line has no end"),
        (lambda data: data.replace(b'"steps"', b'"step"', 1), "1 is damaged: Object missing required field `steps`"),
        (lambda data: data + data.splitlines(keepends=True)[0], "3 is damaged: a stands there twice"),
        (lambda data: b"\xff\xfe\n" + data, "1 is damaged: "),
        (lambda data: b"\n" + data, "1 is damaged: "),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, damage, told):
    buffer = ReplayBuffer()
    buffer.offer(proof("one", theorem="a"))
    buffer.offer(proof("two", theorem="b"))
    path = tmp_path / "replay.jsonl"
    buffer.write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError) as error:
        ReplayBuffer.read(path)
    assert f"{path}:{told}" in str(error.value)


def test_a_disk_that_refuses_is_told(tmp_path):
    with pytest.raises(RunError, match="could not be written"):
        ReplayBuffer().write(tmp_path / "missing" / "replay.jsonl")


async def test_proofs_of_a_run_with_the_source_that_the_gate_accepted(tmp_path):
    table = {("start", "a"): "far", ("start", "b"): "near", ("far", "b"): "near", ("near", "c"): DONE}
    config = SearchConfig()
    folder = RunFolder.create(tmp_path / "run", {"config": {"search": config.model_dump(mode="json")}})
    lean = FakeLean(table)
    prover = Prover(
        pool=lean,
        gate=lean,
        policy=ScriptedPolicy({"start": [("a", -0.1), ("b", -2.0)]}, default=[("b", -0.1), ("c", -0.2)]),
        value=ToyValue(),
        config=config,
        events=FanOut(folder.trajectory, RecordingSink()),
        clock=ManualClock(),
        folder=folder,
    )
    proved = Theorem("one", "theorem one : True")
    (result,) = await prover.prove_all([proved], lambda r: None)
    manifest = Manifest(step="test")
    (found,) = found_proofs(tmp_path / "run", manifest, iteration=2, split="train")
    assert (found.theorem, found.digest, found.iteration) == ("one", proved.digest, 2)
    assert found.tactics == ("b", "c"), "the shortest in the graph"
    assert found.source == result.proof
    assert [(s.state_before, s.state_after, s.split) for s in found.steps] == [
        ("⊢ start", "⊢ near", "train"),
        ("⊢ near", NO_GOALS, "train"),
    ]
    assert not found.minimised
    assert manifest.rows_in == 1


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is not the folder of a run"):
        list(found_proofs(tmp_path, Manifest(step="test"), iteration=0))
