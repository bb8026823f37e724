"""A run over fakes: its folder, its judge, its record, and what happens when the disk is full."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.assemble.sources import load_config
from burnqed.core.errors import BadInput, ModelMismatch, RunError, ServerUnavailable, WorkerLost
from burnqed.core.events import NodeAdded, SearchStarted, TacticApplied
from burnqed.core.outcome import Verdict
from burnqed.core.tally import Tally
from burnqed.core.theorem import Theorem
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder, lean_file
from burnqed.run.judge import ProofJudge
from burnqed.run.prove import Prover
from burnqed.run.result import TheoremResult, exit_status
from burnqed.search.config import SearchConfig
from burnqed.search.graph import ProofStep
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue
from burnqed.theorems.read import BadEntry
from burnqed.trajectory.files import append_line, whole_file, write_text
from burnqed.trajectory.reader import read_edges, read_nodes
from burnqed.trajectory.writer import TrajectoryWriter, part_name


def settings(*assignments: str) -> dict[str, object]:
    config = load_config(environment={}, flags={}, assignments=assignments)
    return {"input": "x", "config": config.model_dump(mode="json")}


SETTINGS = settings()
PROVED = TheoremResult(name="a", status="proved", proof="theorem a : True := by\n  trivial", nodes=3, digest="d1")


def theorem(name: str, **more: object) -> Theorem:
    return Theorem(name, f"theorem {name} : True", **more)  # type: ignore[arg-type]


def prover(folder: RunFolder, lean: FakeLean, **parts: object) -> Prover:
    defaults: dict = {
        "pool": lean,
        "gate": lean,
        "policy": ScriptedPolicy(default=[("a", -0.5), ("b", -1.0)]),
        "value": ToyValue(),
        "config": SearchConfig(),
        "events": FanOut(folder.trajectory, RecordingSink()),
        "clock": ManualClock(),
        "folder": folder,
    }
    return Prover(**(defaults | parts))


async def prove_all(prover: Prover, entries: list) -> list[TheoremResult]:
    seen: list[TheoremResult] = []
    results = await prover.prove_all(entries, seen.append)
    assert sorted(r.name for r in seen) == sorted(r.name for r in results)
    return results


# -- the folder -------------------------------------------------------------------------------------------


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    RunFolder.create(tmp_path / "run", SETTINGS)
    with pytest.raises(BadInput, match="holds a run already; add --resume"):
        RunFolder.create(tmp_path / "run", SETTINGS)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        RunFolder.create(tmp_path / "file" / "run", SETTINGS)


def test_resuming_nothing(tmp_path):
    with pytest.raises(BadInput, match="no run to resume"):
        RunFolder.resume(tmp_path, SETTINGS)


async def test_a_run_that_came_without_its_trajectories_goes_on(tmp_path):
    """They are large, so they stay behind when a run is taken elsewhere."""
    RunFolder.create(tmp_path / "run", SETTINGS)
    for part in ("trajectory", "proofs"):
        (tmp_path / "run" / part).rmdir()
    folder = RunFolder.resume(tmp_path / "run", SETTINGS)
    [result] = await prove_all(prover(folder, FakeLean({("start", "a"): DONE})), [theorem("one")])
    assert (result.status, folder.finished().keys()) == ("proved", {"one"})


@pytest.mark.parametrize("damage", ["", "[]", '{"search": '])
def test_resuming_a_damaged_run(tmp_path, damage):
    (tmp_path / "run.json").write_text(damage)
    with pytest.raises(RunError, match="damaged"):
        RunFolder.resume(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (["search.max_nodes=7"], r"started with search\.max_nodes = 800, not 7"),
        (["search.seed=3"], r"started with search\.seed = 0, not 3"),
        (["policy.menu=mine.txt"], r"started with policy\.menu = None, not mine.txt"),
        (["policy.sampling.samples=3"], r"started with policy\.sampling\.samples = 16, not 3"),
        (["value.kind=goals"], r"started with value\.kind = size, not goals"),
    ],
)
def test_resuming_with_other_settings_is_refused(tmp_path, changed, says):
    RunFolder.create(tmp_path, SETTINGS)
    with pytest.raises(BadInput, match=says):
        RunFolder.resume(tmp_path, settings(*changed))


@pytest.mark.parametrize("changed", ["lean.workers=2", "policy.endpoint.retries=9", "value.endpoint.timeout_s=5"])
def test_resuming_with_more_input_workers_or_patience_is_fine(tmp_path, changed):
    RunFolder.create(tmp_path, SETTINGS)
    RunFolder.resume(tmp_path, settings(changed) | {"input": "y"})


def test_a_run_from_before_a_setting_was_there_goes_on_if_nothing_is_asked_of_it(tmp_path):
    before = json.loads(json.dumps(SETTINGS))
    del before["config"]["search"]["after_proof"], before["config"]["policy"]["without_premises"]
    RunFolder.create(tmp_path, before)
    RunFolder.resume(tmp_path, SETTINGS)
    with pytest.raises(BadInput, match=r"search\.after_proof = None, not 5"):
        RunFolder.resume(tmp_path, settings("search.after_proof=5"))


def test_what_a_crash_left_of_a_last_line_does_not_count_and_goes_away(tmp_path):
    folder = RunFolder.create(tmp_path, SETTINGS)
    folder.record(PROVED)
    results = tmp_path / "results.jsonl"
    whole = results.read_bytes()
    results.write_bytes(whole + b'{"name": "b", "stat')
    assert list(folder.finished()) == ["a"]
    again = RunFolder.resume(tmp_path, SETTINGS)
    assert results.read_bytes() == whole
    again.record(TheoremResult(name="b", status="not_proved"))
    assert list(again.finished()) == ["a", "b"]


def test_a_damaged_line_in_the_middle_names_itself(tmp_path):
    folder = RunFolder.create(tmp_path, SETTINGS)
    (tmp_path / "results.jsonl").write_text("nonsense\n")
    with pytest.raises(RunError, match=r"results\.jsonl:1 is damaged"):
        folder.finished()


def test_the_last_line_of_a_name_counts_and_errors_are_not_final(tmp_path):
    folder = RunFolder.create(tmp_path, SETTINGS)
    for result in (
        TheoremResult(name="a", status="error"),
        PROVED,
        TheoremResult(name="b", status="not_proved"),
        TheoremResult(name="b", status="error", reason="Lean failed"),
    ):
        folder.record(result)
    assert folder.finished() == {"a": PROVED}


def test_a_proof_is_written_as_a_whole_lean_file(tmp_path):
    assert lean_file(theorem("a", header="open Nat"), "theorem a : True := by\n  trivial") == (
        "import Std\n\nopen Nat\n\ntheorem a : True := by\n  trivial\n"
    )
    folder = RunFolder.create(tmp_path, SETTINGS)
    odd = theorem("odd/../name")
    folder.record(PROVED, odd)
    (path,) = (tmp_path / "proofs").iterdir()
    assert path.name == f"{part_name(odd.name)}.lean"
    assert path.read_text().startswith("import Std\n")


def test_exit_status():
    def status(*statuses: str) -> int:
        return exit_status([TheoremResult(name="x", status=s) for s in statuses])  # type: ignore[arg-type]

    assert status("proved", "proved") == 0
    assert status("proved", "not_proved") == 1
    assert status("proved", "error", "not_proved") == 2
    assert status() == 0


# -- the judge ---------------------------------------------------------------------------------------------


class ScriptedGate:
    """A gate that follows a list of verdicts and remembers what it was shown."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.shown: list[str] = []

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        self.shown.append(source)
        return self.verdicts.pop(0)


YES, NO = Verdict(True, axioms=("propext",)), Verdict(False, "type mismatch")
STEPS = (
    ProofStep("constructor", 1, 2),
    ProofStep("exact?", 2, 1, suggestion="exact trivial"),
    ProofStep("simp", 1, 0),
)
READABLE = "theorem t : True := by\n  constructor\n  · exact trivial\n  · simp"
ASKING = "theorem t : True := by\n  constructor\n  · exact?\n  · simp"
LITERAL = "theorem t : True := by\n  constructor\n  exact?\n  simp"


async def test_the_readable_form_is_tried_first_and_the_literal_one_last():
    gate = ScriptedGate(NO, NO, YES)
    judge = ProofJudge(theorem("t"), gate)
    assert await judge(STEPS) == YES
    assert gate.shown == [READABLE, ASKING, LITERAL]
    assert judge.accepted_source == LITERAL


async def test_the_first_accepted_form_is_kept():
    gate = ScriptedGate(YES)
    judge = ProofJudge(theorem("t"), gate)
    assert (await judge(STEPS)).axioms == ("propext",)
    assert judge.accepted_source == READABLE


async def test_a_proof_that_needs_more_heartbeats_as_a_file_says_so_in_its_source():
    out = Verdict(False, "(deterministic) timeout at `whnf`, maximum number of heartbeats (200000) has been reached")
    gate = ScriptedGate(out, YES)
    judge = ProofJudge(theorem("t"), gate)
    assert (await judge((ProofStep("simp", 1, 0),))).accepted
    assert judge.accepted_source == "set_option maxHeartbeats 4000000 in\ntheorem t : True := by\n  simp"


async def test_what_no_form_of_passes_is_refused_for_the_last_reason():
    judge = ProofJudge(theorem("t"), ScriptedGate(NO, NO, Verdict(False, "the last word")))
    assert await judge(STEPS) == Verdict(False, "the last word")
    assert judge.accepted_source is None


# -- the run -----------------------------------------------------------------------------------------------


async def test_trouble_with_one_theorem_is_its_result_and_the_rest_goes_on(tmp_path):
    class Choosy(FakeLean):
        async def start(self, theorem):
            self.rejects = theorem.name == "rejected"
            if theorem.name == "lost":
                raise WorkerLost("Lean was not ready after 180 s")
            return await super().start(theorem)

    folder = RunFolder.create(tmp_path, SETTINGS)
    entries = [
        BadEntry("line_1", "f.jsonl:1: not a JSON object"),
        theorem("rejected"),
        theorem("mathlib", imports=("Mathlib.Data.Nat", "Std")),
        theorem("lost"),
        theorem("good"),
    ]
    results = await prove_all(prover(folder, Choosy({("start", "b"): DONE})), entries)
    assert [(r.name, r.status) for r in results] == [
        ("line_1", "error"),
        ("rejected", "error"),
        ("mathlib", "error"),
        ("lost", "error"),
        ("good", "proved"),
    ]
    assert "unknown identifier" in results[1].reason
    assert "imports Mathlib.Data.Nat; the embedded Lean has Init and Std only" in results[2].reason
    assert "Lean failed on lost" in results[3].reason
    assert results[4].proof == "theorem good : True := by\n  b"
    assert [p.name for p in (tmp_path / "proofs").iterdir()] == ["good.lean"]
    assert read_nodes(tmp_path / "trajectory").column("theorem").unique().to_pylist() == ["good"]
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert sorted(line["name"] for line in lines) == sorted(r.name for r in results)
    assert exit_status(results) == 2


async def test_a_search_without_a_proof_says_why(tmp_path):
    lean = FakeLean({("start", "a"): DONE}, refused_tactics=frozenset({"a"}))
    (result,) = await prove_all(prover(RunFolder.create(tmp_path, SETTINGS), lean), [theorem("t")])
    assert result.status == "not_proved"
    assert result.reason == (
        "every candidate was tried on every state that could be reached; "
        "1 finished states were no proofs, the first because metavariables left"
    )


class Failing(ScriptedPolicy):
    """A policy that raises for the theorems after the first."""

    def __init__(self, error: Exception) -> None:
        super().__init__(default=[("b", -1.0)])
        self.error = error

    async def propose(self, states, n):
        if self.asked:
            raise self.error
        return await super().propose(states, n)


async def test_a_policy_that_fails_costs_its_theorem_and_is_tried_again_at_the_next_start(tmp_path):
    lean = FakeLean({("start", "b"): DONE})
    policy = Failing(ServerUnavailable("http://x is down"))
    results = await prove_all(
        prover(RunFolder.create(tmp_path, SETTINGS), lean, policy=policy), [theorem("one"), theorem("two")]
    )
    assert [r.status for r in results] == ["proved", "error"]
    assert results[1].reason == "two was given up, its policy or value failed: http://x is down"
    assert list(RunFolder.resume(tmp_path, SETTINGS).finished()) == ["one"]


async def test_a_policy_that_is_another_one_than_it_must_be_ends_the_run(tmp_path):
    lean = FakeLean({("start", "b"): DONE})
    run = prover(RunFolder.create(tmp_path, SETTINGS), lean, policy=Failing(ModelMismatch("another tokenizer")))
    with pytest.raises(ModelMismatch, match="another tokenizer"):
        await prove_all(run, [theorem("one"), theorem("two")])


def test_what_was_survived_is_on_record(tmp_path):
    folder = RunFolder.create(tmp_path, SETTINGS)
    tally = Tally()
    folder.tell_troubles(tally)
    assert not (tmp_path / "troubles.json").exists()
    tally.count("empty completion", "x", times=3)
    folder.tell_troubles(tally)
    assert json.loads((tmp_path / "troubles.json").read_text()) == {"empty completion": {"count": 3, "example": "x"}}


async def test_resume_proves_what_is_missing_failed_or_changed_and_nothing_else(tmp_path):
    lean = FakeLean({("start", "b"): DONE})
    first = [theorem("kept"), theorem("changed"), theorem("failed", imports=("Mathlib",))]
    await prove_all(prover(RunFolder.create(tmp_path, SETTINGS), lean), first)
    policy = ScriptedPolicy(default=[("b", -1.0)])
    again = [theorem("kept"), Theorem("changed", "theorem changed : 1 = 1"), theorem("failed"), theorem("new")]
    results = await prove_all(prover(RunFolder.resume(tmp_path, SETTINGS), lean, policy=policy), again)
    assert [r.status for r in results] == ["proved"] * 4
    assert len(policy.asked) == 3, "all but the one that is on record"
    assert results[1].proof == "theorem changed : 1 = 1 := by\n  b"


async def test_cancelling_keeps_what_is_recorded(tmp_path):
    class Sleepy(FakeLean):
        async def start(self, theorem):
            if theorem.name == "slow":
                await asyncio.sleep(60)
            return await super().start(theorem)

    folder = RunFolder.create(tmp_path, SETTINGS)
    run = prover(folder, Sleepy({("start", "b"): DONE}))
    first = asyncio.Event()
    task = asyncio.create_task(run.prove_all([theorem("fast"), theorem("slow")], lambda result: first.set()))
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(RunFolder.resume(tmp_path, SETTINGS).finished()) == ["fast"]


# -- the record --------------------------------------------------------------------------------------------


def node(name: str, number: int) -> NodeAdded:
    return NodeAdded(name, number, None if number == 0 else 0, min(number, 1), "⊢ ℕ ∧ «x»", 1, -0.5, 0.25, -0.75, False)


def edge(name: str, tactic: str) -> TacticApplied:
    return TacticApplied(name, 0, tactic, -0.5, 1, "error", "no", None, 1.5)


def test_a_record_comes_back_as_it_was(tmp_path):
    writer = TrajectoryWriter(tmp_path)
    for name in ("t", "Nat.add⟩/x", "forgotten"):
        for event in (SearchStarted(name, "s"), node(name, 0), edge(name, "simp\n·"), node(name, 1), edge(name, "rfl")):
            writer.emit(event)
    writer.drop("forgotten")
    writer.write("t")
    writer.write("Nat.add⟩/x")
    nodes, edges = read_nodes(tmp_path), read_edges(tmp_path)
    assert sorted(nodes.column("theorem").unique().to_pylist()) == ["Nat.add⟩/x", "t"]
    mine = [row for row in nodes.to_pylist() if row["theorem"] == "t"]
    assert [(r["node"], r["parent"], r["state"], r["energy"]) for r in mine] == [
        (0, None, "⊢ ℕ ∧ «x»", 0.25),
        (1, 0, "⊢ ℕ ∧ «x»", 0.25),
    ]
    assert [(r["order"], r["tactic"]) for r in edges.to_pylist() if r["theorem"] == "t"] == [(0, "simp\n·"), (1, "rfl")]


def test_an_empty_record_and_a_damaged_part(tmp_path):
    assert read_nodes(tmp_path).num_rows == 0
    (tmp_path / "nodes-x.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(RunError, match=r"nodes-x\.parquet is damaged"):
        read_nodes(tmp_path)


@given(st.text(min_size=1), st.text(min_size=1))
def test_part_names_are_safe_and_differ(a, b):
    assert part_name(a).isascii()
    assert "/" not in part_name(a)
    assert len(part_name(a)) <= 90
    assert (part_name(a) == part_name(b)) == (a == b)


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "run.json"
    write_text(path, "old")

    def write_and_fail(error: Exception) -> None:
        with whole_file(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(RunError, match=r"run\.json could not be written \(No space left"):
        write_and_fail(OSError(28, "No space left on device"))
    with pytest.raises(ValueError, match="a bug"):
        write_and_fail(ValueError("a bug"))
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert path.read_text() == "old"


def test_a_line_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(RunError, match="could not be written"):
        append_line(tmp_path / "missing" / "results.jsonl", "{}")
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(RunError, match="No space left"):
            append_line(full, "{}")


FULL_DISK = """
    import asyncio, resource, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from test_run import FakeLean, DONE, RunFolder, SETTINGS, Theorem, prover

    async def main():
        folder = RunFolder.create(Path(sys.argv[1]), SETTINGS)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))
        big = Theorem("big", "theorem big : " + "x" * 9000)
        run = prover(folder, FakeLean({{("start", "b"): DONE}}))
        for r in await run.prove_all([big, Theorem("small", "theorem small : True")], lambda r: None):
            print(r.line())

    asyncio.run(main())
"""


def test_a_disk_that_fills_costs_one_theorem_and_leaves_nothing_half_written(tmp_path):
    code = textwrap.dedent(FULL_DISK).format(tests=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    big, small = (json.loads(line) for line in done.stdout.splitlines())
    assert (big["status"], small["status"]) == ("error", "proved")
    assert "could not be written (File too large); free some space or choose another --out" in big["reason"]
    assert big["proof"].startswith("theorem big"), "what was found is still shown"
    files = sorted(str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file())
    assert not [f for f in files if ".part" in f or "big.lean" in f]
    assert "proofs/small.lean" in files
    recorded = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in recorded] == ["small"]
