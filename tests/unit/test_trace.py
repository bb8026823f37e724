"""Tracing: inputs, rows and their levels, what hangs or kills, what was done before. Lean is a toy here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from burnqed.core.errors import BadInput, RunError
from burnqed.data.decontaminate import DECONTAMINATE, Decontaminator
from burnqed.data.manifest import Manifest
from burnqed.data.pace import Progress
from burnqed.data.reading import read_rows
from burnqed.data.records import TacticRecord, TheoremRecord, line
from burnqed.data.rows_reading import guard
from burnqed.data.trace.config import TraceConfig
from burnqed.data.trace.inputs import ProofText, proof_texts, theorem_records
from burnqed.data.trace.journal import Journal, Traced
from burnqed.data.trace.rows import steps
from burnqed.data.trace.run import identity, in_seed, once, seed_account, trace, write_rows
from burnqed.lean.config import LeanConfig
from burnqed.lean.pool import WorkerPool
from burnqed.lean.process import Launch, LeanProcess
from burnqed.lean.protocol import Invocation

TOY = Path(__file__).with_name("toy_library.py")
CONFIG = TraceConfig(silence_s=0.6)
CHECKED = TraceConfig(silence_s=0.6, check=True)


class Toy:
    """Traces with toy processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.out.mkdir()
        self.plan = folder / "library.json"
        self.plan.write_text("{}")
        self.config = LeanConfig(workers=2, ready_timeout_s=20)
        self.progress: list[Progress] = []
        self.guard: Decontaminator | None = None

    async def spawn(self) -> LeanProcess:
        launch = Launch((sys.executable, "-S", "-E", str(TOY), str(self.plan)), {}, str(self.folder))
        return await LeanProcess.start(launch, ready_timeout_s=20)

    @contextlib.asynccontextmanager
    async def pool(self) -> AsyncIterator[WorkerPool]:
        async with WorkerPool(self.spawn, self.config) as pool:
            yield pool

    @property
    def asked(self) -> list[Any]:
        """The imports of every pass over a text."""
        log = self.plan.with_suffix(".log")
        return [json.loads(entry) for entry in log.read_text().splitlines()] if log.exists() else []

    async def trace(self, proofs: Sequence[ProofText], config: TraceConfig = CONFIG) -> Manifest:
        journal = Journal(self.out)
        async with self.pool() as pool:
            await trace(pool, self.config, journal, proofs, config, version="4.28.0", on_progress=self.progress.append)
        manifest = Manifest(step="trace", rows_in=sum(p.record is not None for p in proofs))
        return write_rows(self.out, "full", journal, proofs, config, manifest, guard=self.guard)

    def rows(self, name: str = "sft_train_full.jsonl") -> list[TacticRecord]:
        return [row[1] for row in read_rows(self.out / name, TacticRecord) if isinstance(row, tuple)]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def proof(name: str, *tactics: str, **fields: Any) -> ProofText:
    record = TheoremRecord(name=name, statement=f"theorem {name} : True", source="set", proof="", **fields)
    text = f"theorem {name} : True := by\n" + "".join(f"  {t}\n" for t in tactics)
    return ProofText(f"set:{name}", text, "set", record)


def file(text: str, key: str = "A.lean") -> ProofText:
    return ProofText(key, text, "A")


# --- rows


def invocation(begin: int, end: int, tactic: str = "t", **fields: Any) -> Invocation:
    return Invocation("before", "after", tactic, (begin, end), **fields)


def test_levels_follow_what_stands_in_what() -> None:
    bullet, inside, have, deep, after = (
        invocation(10, 50),
        invocation(12, 20),
        invocation(22, 48),
        invocation(30, 40),
        invocation(60, 70),
    )
    found = steps([deep, bullet, after, have, inside])
    assert [(s.invocation, s.depth, s.whole) for s in found] == [
        (bullet, 0, True),
        (inside, 1, False),
        (have, 1, True),
        (deep, 2, False),
        (after, 0, False),
    ]


def test_a_tactic_that_ran_on_several_goals_comes_once_for_each() -> None:
    whole, left = invocation(0, 20), invocation(0, 8)
    twice = [invocation(13, 20, "first"), invocation(13, 20, "second")]
    found = steps([whole, left, *twice])
    assert [(s.invocation, s.depth) for s in found] == [(whole, 0), (left, 1), (twice[0], 1), (twice[1], 1)]


def test_steps_inside_conv_are_left_out() -> None:
    assert steps([invocation(0, 9), invocation(4, 8, mode="conv")]) == steps([invocation(0, 9)])


async def test_rows_say_where_they_are_from(toy: Toy) -> None:
    given = proof("a", "one", "two", split="valid", origin="7", imports=("Init.Core",), flags=("explicit",))
    await toy.trace([given])
    assert toy.asked == [["Init.Core"]]
    assert toy.rows("sft_valid_full.jsonl") == [
        TacticRecord(
            theorem="a", source="set", state_before="⊢ 0", tactic="one", state_after="⊢ 1", split="valid",
            origin="7", lean="4.28.0", step=0, constants=("Nat",), flags=("explicit",),
        ),
        TacticRecord(
            theorem="a", source="set", state_before="⊢ 1", tactic="two", state_after="no goals", split="valid",
            origin="7", lean="4.28.0", step=1, constants=("Nat",), flags=("explicit",),
        ),
    ]  # fmt: skip
    assert toy.rows() == [], "nothing of another part is trained on"


# --- inputs


def test_records_without_proof_and_benchmarks_are_not_traced(tmp_path: Path) -> None:
    records = [
        TheoremRecord(name="good", statement="theorem good : 1 = 1", header="open Nat", proof="by rfl"),
        TheoremRecord(name="bare", statement="theorem bare : 1 = 1"),
        TheoremRecord(name="test", statement="theorem test : 1 = 1", proof="by rfl", flags=("benchmark",)),
    ]
    path = tmp_path / "set.jsonl"
    path.write_bytes(b"".join(map(line, records)) + b'{"name": 3}\n{"name": "cut')
    manifest = Manifest(step="trace")
    (found,) = proof_texts([path], manifest)
    assert (found.key, found.text) == ("set:good", "open Nat\n\ntheorem good : 1 = 1 := by rfl\n")
    assert manifest.rows_in == 5
    reasons = {reason: count.examples[0] for reason, count in manifest.dropped["read"].items()}
    assert reasons.keys() == {"no proof", "benchmark", "wrong type", "truncated JSON"}
    assert "set.jsonl:5" in reasons["truncated JSON"]


def test_proofs_of_a_run_take_over_what_is_known_of_their_theorems(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "proofs").mkdir(parents=True)
    (run / "proofs" / "a.lean").write_text(
        "prelude\nimport Init.Core\n\nopen Nat\n\ntheorem h.a : True := by\n  trivial\n"
    )
    (run / "proofs" / "b.lean").write_text("import Std\n\ntheorem b : True := by\n  trivial\n")
    (run / "proofs" / "c.lean").write_text("def nothing := 1\n")
    known = {"h.a": TheoremRecord(name="h.a", statement="", source="harvest", split="valid", origin="Init.Core:a")}
    manifest = Manifest(step="trace")
    a, b = proof_texts([run], manifest, records=known)
    assert a.record is not None
    assert (a.record.source, a.record.split, a.record.origin) == ("harvest", "valid", "Init.Core:a")
    assert (a.record.imports, a.text) == (("Init.Core",), "open Nat\n\ntheorem h.a : True := by\n  trivial\n")
    assert b.record is not None
    assert (b.key, b.record.split, b.record.imports) == ("run:b", "", ("Init", "Std"))
    assert "c.lean" in manifest.dropped["read"]["unreadable file"].examples[0]


def test_a_benchmark_that_a_run_proved_is_not_traced(tmp_path: Path) -> None:
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / "a.lean").write_text("import Std\n\ntheorem a : True := by\n  trivial\n")
    known = {"a": TheoremRecord(name="a", statement="", flags=("benchmark",))}
    manifest = Manifest(step="trace")
    assert list(proof_texts([tmp_path], manifest, records=known)) == []
    assert manifest.dropped_for("read", "benchmark") == 1


async def test_a_benchmark_that_nothing_marks_is_kept_out_of_the_rows_with_all_its_steps(toy: Toy) -> None:
    toy.guard = Decontaminator([TheoremRecord(name="stolen", statement="theorem stolen : 7 ^ 7 % 5 = 3")])
    manifest = await toy.trace([proof("stolen", "one", "two"), proof("own", "one")])
    assert [r.theorem for r in toy.rows()] == ["own"]
    assert manifest.dropped_for(DECONTAMINATE, "name") == 2
    toy.guard = None
    await toy.trace([proof("stolen", "one", "two"), proof("own", "one")])
    assert len(toy.rows()) == 3, "what another guard keeps out is not lost"


def test_folders_of_files_and_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "A.lean").write_text("theorem a : True := by\n  trivial\n")
    (tmp_path / "bad.lean").write_bytes(b"\xff\xfe theorem")
    manifest = Manifest(step="trace")
    (found,) = proof_texts([tmp_path], manifest)
    assert (found.key, found.record) == ("deep/A.lean", None)
    assert manifest.dropped_for("read", "unreadable file") == 1
    with pytest.raises(BadInput, match=r"nowhere: give a \.jsonl file"):
        list(proof_texts([tmp_path / "nowhere"], manifest))


def test_one_name_is_traced_once() -> None:
    manifest = Manifest(step="trace", rows_in=2)
    assert len(once([proof("a", "x"), proof("a", "y")], manifest)) == 1
    assert manifest.dropped_for("read", "same name again") == 1


def test_theorems_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(line(TheoremRecord(name="a", statement="theorem a : True")) + b"nonsense\n")
    assert list(theorem_records(path)) == ["a"]


# --- what becomes of a text


@pytest.mark.parametrize(
    ("tactics", "reason", "detail"),
    [
        (["ERR"], "does not compile", "it does not hold"),
        (["SORRY"], "sorry", ""),
        (["hang"], "hangs Lean", "no answer to trace.file"),
        (["kill"], "kills Lean", "the Lean process ended"),
        ([], "no tactics", ""),
    ],
)
async def test_a_theorem_without_rows_says_why_and_the_others_go_on(
    toy: Toy, tactics: list[str], reason: str, detail: str
) -> None:
    manifest = await toy.trace([proof("a", "one"), proof("bad", *tactics), proof("c", "one", "two")])
    assert [row.theorem for row in toy.rows()] == ["a", "c", "c"]
    assert (manifest.rows_in, manifest.rows_out) == (3, 3)
    example = manifest.dropped["trace"][reason].examples[0]
    assert example.startswith("set:bad bad: ")
    assert detail in example


async def test_a_process_lost_once_costs_nothing(toy: Toy) -> None:
    manifest = await toy.trace([proof("a", "killonce"), proof("b", "one")])
    assert (manifest.rows_out, manifest.rows_dropped) == (2, 0)


FILE = "theorem one : True := by\n  a\n\ntheorem bad : True := by\n  {bad}\n\ndef f := 1\n\ntheorem two : True := by\n  b\n  c\n"


async def test_a_file_gives_each_of_its_theorems(toy: Toy) -> None:
    manifest = await toy.trace([file(FILE.format(bad="fine"))])
    assert [(r.theorem, r.tactic, r.step, r.origin) for r in toy.rows()] == [
        ("one", "a", 0, "A.lean:1"),
        ("bad", "fine", 0, "A.lean:4"),
        ("two", "b", 0, "A.lean:9"),
        ("two", "c", 1, "A.lean:9"),
    ]
    assert toy.asked == [None], "a file says itself what it imports"
    assert manifest.rows_in == 3


@pytest.mark.parametrize(
    ("bad", "reason"), [("hang", "hangs Lean"), ("kill", "kills Lean"), ("ERR", "does not compile")]
)
@pytest.mark.parametrize("config", [CONFIG, CHECKED], ids=["plain", "checked"])
async def test_one_bad_theorem_of_a_file_is_passed_over(toy: Toy, bad: str, reason: str, config: TraceConfig) -> None:
    manifest = await toy.trace([file(FILE.format(bad=bad))], config)
    assert [(r.theorem, r.origin) for r in toy.rows()] == [
        ("one", "A.lean:1"),
        ("two", "A.lean:9"),
        ("two", "A.lean:9"),
    ]
    assert manifest.dropped["trace"][reason].examples[0].startswith("A.lean bad")


async def test_a_command_that_hangs_without_its_proof_is_passed_over_as_a_whole(toy: Toy) -> None:
    text = "theorem one : True := by\n  a\n\ntheorem hang : True := by\n  x\n\ntheorem two : True := by\n  b\n"
    manifest = await toy.trace([file(text)])
    assert [r.theorem for r in toy.rows()] == ["one", "two"]
    assert manifest.dropped_for("trace", "hangs Lean") == 1


# --- check


async def test_rows_that_do_not_give_their_goals_again_are_left_out(toy: Toy) -> None:
    given = [proof("a", "one", "odd", "three")]
    manifest = await toy.trace(given, CHECKED)
    assert [(r.tactic, r.step) for r in toy.rows()] == [("one", 0), ("three", 2)]
    refused = manifest.dropped["check"]["does not give its goals again"]
    assert (refused.count, refused.examples) == (1, ["a: odd: it leaves ⊢ other"])


async def test_a_tactic_that_kills_when_it_is_applied_again_is_left_out(toy: Toy) -> None:
    manifest = await toy.trace([proof("a", "one", "fatal", "three"), proof("b", "one")], CHECKED)
    assert [(r.theorem, r.step) for r in toy.rows()] == [("b", 0), ("a", 0), ("a", 2)]
    assert manifest.dropped["check"]["does not give its goals again"].examples == ["a: fatal: kills Lean"]


async def test_a_process_is_not_replaced_in_the_middle_of_a_check(toy: Toy) -> None:
    toy.config = LeanConfig(workers=1, max_requests=3)
    manifest = await toy.trace([proof("a", "one", "two", "three", "four"), proof("b", "one")], CHECKED)
    assert (len(toy.rows()), manifest.rows_dropped) == (5, 0)


async def test_unchecked_rows_are_not_taken_for_checked_ones(toy: Toy) -> None:
    given = [proof("a", "one", "odd")]
    await toy.trace(given)
    assert len(toy.rows()) == 2
    await toy.trace(given, CHECKED)
    assert [r.tactic for r in toy.rows()] == ["one"]


# --- what was done before


async def test_a_killed_run_goes_on_and_no_row_comes_twice(toy: Toy) -> None:
    slow = TraceConfig(silence_s=30)
    given = [proof(f"t{i}", "one", "two") for i in range(5)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(toy.trace([*given, proof("z", "hang", imports=("Zzz",))], slow), 3)
    assert len(toy.asked) == 6
    assert not list(toy.out.glob("sft_*"))
    with (toy.out / "journal.jsonl").open("a") as journal:
        journal.write('{"key": "set:t9", "dig')  # what a crash leaves of a line
    await toy.trace([*given, proof("new", "one")], slow)
    assert len(toy.asked) == 7, "only what is new is traced"
    rows = [(r.theorem, r.step) for r in toy.rows()]
    assert len(set(rows)) == len(rows) == 11


async def test_a_file_goes_on_where_it_stopped(toy: Toy) -> None:
    slow = TraceConfig(silence_s=30)
    given = file(FILE.format(bad="killonce"))
    journal = Journal(toy.out)
    key, digest = identity(given, slow)
    journal.add(Traced(key=key, digest=digest, theorem="one", rows=()))
    manifest = await toy.trace([given], slow)
    assert [r.theorem for r in toy.rows()] == ["bad", "two", "two"], "what is on record stands"
    assert manifest.rows_in == 3


async def test_a_changed_proof_is_traced_again(toy: Toy) -> None:
    await toy.trace([proof("a", "one")])
    await toy.trace([proof("a", "other")])
    assert [r.tactic for r in toy.rows()] == ["other"]


def test_a_damaged_journal_is_named_with_its_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(Traced(key="a", digest="d", theorem="a"))
    with journal.path.open("a") as file:
        file.write("{]\n")
    with pytest.raises(RunError, match=r"journal\.jsonl:2 is damaged"):
        Journal(tmp_path)


def test_a_theorem_is_put_on_record_once(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path)
        journal.add(Traced(key="a", digest="d", theorem="a", last=True))
        journal.add(Traced(key="a", digest="d", theorem="a"))
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 1
    assert journal.ended(("a", "d"))
    assert not journal.ended(("a", "other"))


# --- shares and pace


def test_the_seed_share_is_stable_and_about_as_large_as_asked() -> None:
    proofs = [proof(f"t{i}", "x") for i in range(2000)]
    chosen = [in_seed(p, 0.2) for p in proofs]
    assert 0.17 < sum(chosen) / 2000 < 0.23
    assert all(in_seed(p, 0.4) for p, was in zip(proofs, chosen, strict=True) if was)
    assert not any(in_seed(p, 0) for p in proofs)


async def test_the_seed_share_comes_first_and_progress_counts_theorems(toy: Toy) -> None:
    proofs = [proof(f"t{i}", "x") for i in range(30)]
    config = TraceConfig(share=0.3)
    toy.config = LeanConfig(workers=1)
    await toy.trace(proofs, config)
    written = [
        msgspec.json.decode(entry).get("theorem") for entry in (toy.out / "journal.jsonl").read_text().splitlines()
    ]
    order = [in_seed(proof(name, "x"), 0.3) for name in written if name]
    assert order == sorted(order, reverse=True)
    assert 0 < sum(order) < 30
    assert [(p.done, p.total) for p in toy.progress] == [(i, 30) for i in range(31)]


async def test_the_seed_share_tells_of_the_same_files_as_all(toy: Toy) -> None:
    bench = toy.folder / "bench.jsonl"
    bench.write_bytes(line(TheoremRecord(name="b", statement="theorem b : 7 = 7")) + b"{")
    reading = Manifest(step="trace", command="burnqed data trace x", rows_in=3)
    toy.guard = guard([bench], reading)
    part = [proof("a", "one")]
    account = seed_account(reading, part)
    assert ([Path(card.path) for card in account.inputs], account.rows_in) == ([bench], 1)
    assert account.noted["benchmark row that cannot be read"].count == 1
    account.note("benchmark row that cannot be read")
    account.drop("trace", "x")
    assert (reading.noted["benchmark row that cannot be read"].count, reading.dropped) == (1, {}), (
        "an account of its own"
    )


def test_a_speed_is_told_only_when_it_was_measured() -> None:
    assert Progress(done=105, total=200, before=100, seconds=9).eta_s is None
    now = Progress(done=120, total=200, before=100, seconds=10)
    assert (now.rate, now.eta_s) == (2, 40)
