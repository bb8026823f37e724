"""Deriving proofs: which theorems are tried, which scripts, and that no task is lost, done twice or missing in the account."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from burnqed.cli.data import app
from burnqed.core.errors import BadInput, RunError, StatementRejected, WorkerLost
from burnqed.core.files import Target
from burnqed.core.outcome import Outcome, StateRef
from burnqed.core.state import Goal, ProofState, Variable
from burnqed.data.derive.config import DeriveConfig
from burnqed.data.derive.journal import NAMES, THEOREMS, Derived, Journal
from burnqed.data.derive.premises import premises_of
from burnqed.data.derive.run import derive, derived
from burnqed.data.derive.scripts import scripts
from burnqed.data.derive.tasks import chosen, library_name, read_tasks
from burnqed.data.harvest.catalogue import Module
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord, line
from burnqed.data.trace.inputs import theorem_records
from burnqed.lean.protocol import LibraryTheorem
from burnqed.premises.index import symbols
from burnqed.testing.fakes import DONE, FakeLean

CONFIG = DeriveConfig()


def module(name: str, imports: Sequence[str], *theorems: str) -> Module:
    return Module(name, tuple(imports), tuple(LibraryTheorem(i, t) for i, t in enumerate(theorems)))


def task(name: str, statement: str = ": True", *, imports: Sequence[str] = ("Lib.B",), **more: str) -> TheoremRecord:
    full = f"harvest.{name}"
    given = {"split": "train", "origin": f"Lib.C:{name}", "source": "harvest", **more}
    return TheoremRecord(name=full, statement=f"theorem {full} {statement}", imports=tuple(imports), **given)


STATEMENTS = {
    "List.size_append": "theorem harvest.List.size_append (l k : List α) : (l ++ k).size = l.size + k.size",
    "List.size_nil": "theorem harvest.List.size_nil : List.size [] = 0",
    "Set.size_append": "theorem harvest.Set.size_append (s t : Set α) : (s ++ t).size = s.size + t.size",
    "Nat.gcd_comm": "theorem harvest.Nat.gcd_comm (n m : Nat) : Nat.gcd n m = Nat.gcd m n",
    "Nat.odd_one": "theorem harvest.Nat.odd_one : Nat.Odd 1",
    "Tree.size_append": "theorem harvest.Tree.size_append (a b : Tree α) : (a ++ b).size = a.size + b.size",
}
OTHERS = module("Lib.Z", [], *(f"Other{i}.word{i}" for i in range(20)))
"""What has nothing in common with the rest, without which any symbol would be a frequent one."""

LIBRARY = [
    OTHERS,
    module("Lib.A", [], "List.size_append", "List.size_nil", "Nat.gcd_comm"),
    module("Lib.B", ["Lib.A"], "Set.size_append", "Nat.odd_one"),
    module("Lib.D", ["Lib.A"], "Tree.size_append", "Tree.never_stated"),
]
PREMISES = premises_of(LIBRARY, STATEMENTS)

# -- premises ---------------------------------------------------------------------------------------------------


def test_a_statement_speaks_of_its_names_and_operators_and_not_of_its_variables() -> None:
    found = symbols("theorem harvest.Own.name.{u} {α : Type u} (n m : Nat) (h : Std.Foo.bar n) : n ++ m ≤ m ∨ m = 12")
    assert found == {"Nat", "Std.Foo.bar", "Foo", "bar", "++", "≤", "∨", "="}


def test_the_most_alike_come_first_and_only_those_that_share_something() -> None:
    said = {
        "gcd": "theorem gcd : Nat.gcd a b = c",
        "gcd_size": "theorem gcd_size : Nat.gcd a (List.size b) = c",
        "gcd_size_long": "theorem gcd_size_long : Nat.gcd a (List.size b) = Very.Long → With.Much → That.Differs",
    }
    more = {name: f"theorem {name} : a = {name}" for name in (t.name for t in OTHERS.candidates)}
    premises = premises_of([OTHERS, module("Lib.A", [], *said)], said | more)
    assert premises.alike("theorem t : Nat.gcd x (List.size y) = 1", ["Lib.A"], 9) == [
        "gcd_size",
        "gcd_size_long",
        "gcd",
    ]
    assert premises.alike("theorem t : Nat.gcd x (List.size y) = 1", ["Lib.A"], 1) == ["gcd_size"]
    assert premises.alike("theorem t : a = b", ["Lib.A"], 9) == [], "what most statements have tells nothing"


def test_equals_stand_in_the_librarys_order() -> None:
    said = {name: f"theorem {name} : Foo" for name in ("B.x", "A.x")}
    twins = premises_of([OTHERS, module("Lib.A", [], "A.x", "B.x", "C.y")], said)
    assert twins.alike("theorem t : Foo", ["Lib.A"], 5) == ["A.x", "B.x"]


def test_only_what_the_imports_bring_is_seen() -> None:
    statement = STATEMENTS["List.size_append"]
    assert PREMISES.visible(["Lib.B"]) == {"Lib.A", "Lib.B"}
    assert set(PREMISES.alike(statement, ["Lib.B"], 9)) >= {"List.size_append", "Set.size_append"}
    assert "Set.size_append" not in PREMISES.alike(statement, ["Lib.A"], 9)
    assert "Tree.size_append" not in PREMISES.alike(statement, ["Lib.B"], 9)


def test_namesakes_have_the_last_name_and_are_seen_and_are_not_the_theorem_itself() -> None:
    both = ["Lib.B", "Lib.D"]
    assert PREMISES.namesakes("Vec.size_append", both, 9) == ["List.size_append", "Set.size_append", "Tree.size_append"]
    assert PREMISES.namesakes("Vec.size_append", ["Lib.B"], 9) == ["List.size_append", "Set.size_append"]
    assert PREMISES.namesakes("Set.size_append", both, 9) == ["List.size_append", "Tree.size_append"]
    assert PREMISES.namesakes("Vec.size_append", both, 1) == ["List.size_append"]
    assert PREMISES.namesakes("Vec.append", both, 9) == []


def test_of_a_theorem_without_a_statement_its_name_tells() -> None:
    assert PREMISES.alike("theorem t : never = stated", ["Lib.D"], 1) == ["Tree.never_stated"]


# -- scripts ----------------------------------------------------------------------------------------------------


def goal(target: str, **variables: str) -> Goal:
    return Goal(tuple(Variable(name, kind) for name, kind in variables.items()), target)


GOALS = [
    goal("n + m = m + n", n="Nat", m="Nat"),
    goal("a ∧ b", a="Prop", h="a ∧ b"),
    goal("(t.insert k).size = t.size", t="Std.ExtTreeMap α β cmp", k="α"),
    goal("xs.size = n", xs="Vector α n", ys="Array α", p="{ x // x = 1 }"),
    goal("p ↔ q", h="p = q", b="Bool", c="Bool"),
]


@pytest.mark.parametrize("given", GOALS, ids=lambda g: g.target)
def test_the_cheap_come_first_and_no_script_twice(given: Goal) -> None:
    found = scripts(given, ["A.one", "B.two", "A.one"])
    assert found[0] == "rfl"
    assert len(found) == len(set(found))
    one, two = (found.index(f"apply {name} <;> assumption") for name in ("A.one", "B.two"))
    assert found.index("simp_all") < one < two
    assert all(found)


def test_what_a_goal_has_decides_which_scripts_it_gets() -> None:
    plain, pair, container, arrays, equivalence = (scripts(g, ["A.one"]) for g in GOALS)
    assert "induction m <;> simp_all" in plain
    assert "omega" not in plain
    assert "omega" in scripts(goal("n ≤ 3"), [])
    assert "decide" in scripts(goal("n ≤ 3"), [])
    assert "constructor <;> simp_all" in pair
    assert "cases t\napply A.one <;> assumption" in container
    assert "rcases xs with ⟨xs, rfl⟩\nrcases ys with ⟨ys⟩\nrcases p with ⟨p, hp⟩\nsimp [A.one]" in arrays
    assert any("exact h.symm" in script for script in equivalence)
    assert equivalence[-1] == "cases b <;> cases c <;> simp_all"


def test_what_cannot_be_written_is_not_taken_apart() -> None:
    hidden = Goal((Variable("n✝", "Nat", accessible=False), Variable("inst✝", "Array α", accessible=False)), "n✝ = n✝")
    assert not [script for script in scripts(hidden, ["A.one"]) if "✝" in script]


def test_without_premises_there_are_fixed_scripts_alone() -> None:
    assert not [script for script in scripts(GOALS[2], []) if "apply" in script]


# -- one task ---------------------------------------------------------------------------------------------------


async def test_the_first_script_that_the_kernel_accepts_is_taken() -> None:
    lean = FakeLean(
        {("start", "rfl"): DONE, ("start", "simp"): DONE, ("start", "grind"): DONE}, refused_tactics=frozenset({"rfl"})
    )
    found = await derived(lean, task("C.one"), PREMISES, CONFIG)
    assert (found.script, found.state, found.trouble) == ("simp", "⊢ start", "")


async def test_what_leaves_a_goal_is_no_proof() -> None:
    lean = FakeLean({("start", "simp"): "other", ("start", "simp_all"): ("a", "b")})
    found = await derived(lean, task("C.one"), PREMISES, CONFIG)
    assert (found.script, found.state) == ("", "⊢ start")
    assert found.tried == len(set(lean.applied)) == len(lean.applied) > 3


async def test_intros_come_first_where_they_do_something() -> None:
    lean = FakeLean({("∀ x, p x", "intros"): "p x", ("p x", "grind"): DONE}, start_target="∀ x, p x")
    assert (await derived(lean, task("C.one"), PREMISES, CONFIG)).script == "intros\ngrind"
    same = FakeLean({("∀ x, p x", "intros"): "∀ x, p x", ("∀ x, p x", "grind"): DONE}, start_target="∀ x, p x")
    assert (await derived(same, task("C.one"), PREMISES, CONFIG)).script == "grind"


async def test_a_goal_that_intros_closes_is_tried_as_it_is() -> None:
    lean = FakeLean({("¬ False", "intros"): DONE, ("¬ False", "simp"): DONE}, start_target="¬ False")
    assert (await derived(lean, task("C.one"), PREMISES, CONFIG)).script == "simp"


async def test_a_namesake_is_tried_before_what_is_alike() -> None:
    lean = FakeLean({})
    await derived(lean, task("Vec.size_append", ": Nat.gcd 1 1 = 1", imports=["Lib.B"]), PREMISES, CONFIG)
    applied = [tactic for _, tactic in lean.applied if tactic.endswith("<;> assumption") and tactic.startswith("apply")]
    assert applied[:3] == [f"apply {n} <;> assumption" for n in ("List.size_append", "Set.size_append", "Nat.gcd_comm")]


async def test_so_many_premises_and_no_more() -> None:
    for count in (0, 2):
        lean = FakeLean({})
        config = DeriveConfig(premises=count)
        await derived(lean, task("Vec.size_append", ": Nat.gcd 1 1 = 1"), PREMISES, config)
        assert len({t for _, t in lean.applied if t.startswith("apply") and t.endswith("<;> assumption")}) == count


async def test_a_premise_that_would_mean_the_theorem_itself_in_a_file_is_not_tried() -> None:
    """In ``theorem harvest.Deep.Nat.gcd_comm`` the name ``Nat.gcd_comm`` is the theorem that is being proved."""
    lean = FakeLean({("start", "apply Nat.gcd_comm <;> assumption"): DONE})
    assert (await derived(lean, task("Deep.Nat.gcd_comm"), PREMISES, CONFIG)).script == ""
    assert (await derived(lean, task("Deep.Int.gcd_comm"), PREMISES, CONFIG)).script != ""


async def test_a_task_that_was_not_harvested_has_no_namesakes() -> None:
    lean = FakeLean({})
    mine = TheoremRecord(name="gcd_comm", statement="theorem gcd_comm : Foo", imports=("Lib.B",), origin="mine.lean:12")
    assert library_name(mine) == ""
    await derived(lean, mine, PREMISES, CONFIG)
    assert not [tactic for _, tactic in lean.applied if "apply" in tactic]


class Moody(FakeLean):
    """Refuses statements with ``bad`` in their name, is lost over ``lost`` ones, and shows no goal of ``empty`` ones."""

    lost = True

    async def start(self, target: Target) -> tuple[StateRef, ProofState]:
        if "bad" in target.name:
            raise StatementRejected(f"Lean does not accept the statement of {target.name}: no")
        ref, state = await super().start(target)
        self.name = target.name
        return ref, ProofState(()) if "empty" in target.name else state

    async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
        if "lost" in self.name and self.lost:
            raise WorkerLost("Lean died")
        return await super().apply(ref, tactics)

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[Moody]:
        yield type(self)(self.table)


TABLE: Mapping[tuple[str, str], str] = {("start", "simp"): DONE}


@pytest.mark.parametrize(
    ("name", "said", "state"), [("bad", "not accept", ""), ("lost", "died", "⊢ start"), ("empty", "no goal", "")]
)
async def test_trouble_with_a_task_is_its_result(name: str, said: str, state: str) -> None:
    found = await derived(Moody(TABLE), task(f"C.{name}"), PREMISES, CONFIG)
    assert said in found.trouble
    assert (found.state, found.script) == (state, "")


# -- all tasks, the journal, the files --------------------------------------------------------------------------


SETTINGS: dict[str, str | int | float | bool | None] = {"lean": "4.28.0", "seed": 0}


async def done(
    folder: Path, tasks: Sequence[TheoremRecord], lean: FakeLean | None = None, *, resume: bool = False
) -> Manifest:
    journal = Journal.open(folder, SETTINGS, resume=resume)
    await derive(lean or Moody(TABLE), 2, journal, tasks, PREMISES, CONFIG)
    return journal.finish(tasks, Manifest(step="derive"))


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


TASKS = [task("C.z"), task("C.bad"), task("C.a", imports=["Lib.A"]), task("C.lost")]


async def test_proofs_and_names_are_written_in_the_files_order_and_every_task_is_accounted_for(tmp_path: Path) -> None:
    manifest = await done(tmp_path, TASKS)
    assert list(theorem_records(tmp_path / THEOREMS).values()) == [
        TheoremRecord(
            name=t.name,
            statement=t.statement,
            imports=t.imports,
            source="derived",
            split="train",
            origin=t.origin,
            proof="by\n  simp",
        )
        for t in (TASKS[0], TASKS[2])
    ]
    assert (manifest.rows_in, manifest.rows_out) == (4, 2)
    trouble = manifest.dropped["derive"]["Lean could not be asked"]
    assert trouble.count == 2
    assert trouble.examples[1] == "harvest.C.lost: Lean died"
    assert [(card.path, card.rows) for card in manifest.outputs] == [(THEOREMS, 2), (NAMES, 3)]
    assert Manifest.read(tmp_path) == manifest


async def test_names_say_what_the_library_calls_each_statement_proved_or_not(tmp_path: Path) -> None:
    mine = TheoremRecord(name="own", statement="theorem own : Foo", split="train", origin="mine.lean:12")
    manifest = await done(tmp_path, [task("C.lost"), task("C.bad"), mine])
    assert rows(tmp_path / NAMES) == [
        {
            "theorem": "harvest.C.lost",
            "source": "library-names",
            "state_before": "⊢ start",
            "tactic": "exact C.lost",
            "state_after": "no goals",
            "split": "train",
            "origin": "Lib.C:C.lost",
            "constants": ["C.lost"],
            "flags": ["names-only"],
        }
    ]
    assert manifest.noted["names of library theorems"].count == 1


async def test_a_script_of_several_lines_is_indented(tmp_path: Path) -> None:
    table = {("∀ x, p x", "intros"): "p x", ("p x", "rfl"): DONE}
    await done(tmp_path, [task("C.z")], FakeLean(table, start_target="∀ x, p x"))
    assert rows(tmp_path / THEOREMS)[0]["proof"] == "by\n  intros\n  rfl"


async def test_what_was_done_is_not_done_again_and_the_files_are_the_same(tmp_path: Path) -> None:
    many = [task(f"C.t{i}", imports=[f"Lib.{'AB'[i % 2]}"]) for i in range(9)]
    await done(tmp_path / "whole", many)
    await done(tmp_path / "torn", many[:5])
    journal = tmp_path / "torn" / "journal.jsonl"
    with journal.open("rb+") as file:
        file.truncate(journal.stat().st_size - 20)  # as a crash leaves it
    again = FakeLean(TABLE)
    await done(tmp_path / "torn", many, again, resume=True)
    assert len([t for _, t in again.applied if t == "rfl"]) == 5
    for name in (THEOREMS, NAMES):
        assert (tmp_path / "torn" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    third = FakeLean({})
    await done(tmp_path / "torn", many, third, resume=True)
    assert third.applied == []


async def test_a_statement_that_was_changed_is_tried_again(tmp_path: Path) -> None:
    await done(tmp_path, [task("C.z")])
    manifest = await done(tmp_path, [task("C.z", ": False")], FakeLean({}), resume=True)
    assert (manifest.rows_out, manifest.rows_dropped) == (0, 1)


async def test_a_resumed_run_tries_again_where_lean_could_not_be_asked(tmp_path: Path) -> None:
    await done(tmp_path, TASKS)
    again = FakeLean(TABLE)
    manifest = await done(tmp_path, TASKS, again, resume=True)
    assert manifest.rows_out == 4
    assert len([t for _, t in again.applied if t == "rfl"]) == 2


async def test_a_run_that_is_stopped_keeps_what_was_done(tmp_path: Path) -> None:
    class Slow(Moody):
        async def apply(self, ref: StateRef, tactics: Sequence[str]) -> list[Outcome]:
            if "hang" in self.name:
                await asyncio.sleep(60)
            return await super().apply(ref, tactics)

    journal = Journal.open(tmp_path, SETTINGS, resume=False)
    tasks = [*(task(f"C.t{i}") for i in range(4)), task("C.hang"), task("C.hang2")]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(derive(Slow(TABLE), 2, journal, tasks, PREMISES, CONFIG), 0.2)
    assert [row["name"] for row in rows(journal.path)] == [f"harvest.C.t{i}" for i in range(4)]
    assert not (tmp_path / THEOREMS).exists()


async def test_progress_counts_what_was_done_before(tmp_path: Path) -> None:
    await done(tmp_path, TASKS[:1])
    seen: list[tuple[int, int, int]] = []
    journal = Journal.open(tmp_path, SETTINGS, resume=True)
    await derive(
        FakeLean(TABLE),
        1,
        journal,
        TASKS,
        PREMISES,
        CONFIG,
        on_progress=lambda p: seen.append((p.done, p.total, p.before)),
    )
    assert seen == [(1, 4, 1), (2, 4, 1), (3, 4, 1), (4, 4, 1)]


def test_a_folder_is_not_overwritten_nor_resumed_with_other_settings(tmp_path: Path) -> None:
    folder = tmp_path / "derived"
    with pytest.raises(BadInput, match="holds nothing to resume"):
        Journal.open(folder, SETTINGS, resume=True)
    Journal.open(folder, SETTINGS, resume=False)
    with pytest.raises(BadInput, match="holds derived proofs already; add --resume"):
        Journal.open(folder, SETTINGS, resume=False)
    with pytest.raises(BadInput, match="begun with seed = 0, not 1; resume it with the same"):
        Journal.open(folder, {**SETTINGS, "seed": 1}, resume=True)
    (folder / "derive.json").write_text("[")
    with pytest.raises(RunError, match=r"derive\.json is damaged"):
        Journal.open(folder, SETTINGS, resume=True)
    with pytest.raises(RunError, match="cannot be made"):
        Journal.open(folder / "derive.json" / "x", SETTINGS, resume=False)


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, SETTINGS, resume=False)
    journal.add(Derived(name="a", digest="1"))
    journal.path.write_text('{"name": 3}\n' + journal.path.read_text())
    with pytest.raises(RunError, match=r"journal\.jsonl:1 is damaged, delete the line and resume"):
        Journal.open(tmp_path, SETTINGS, resume=True)


# -- which tasks, and the command -------------------------------------------------------------------------------


def written(path: Path, *records: TheoremRecord | str) -> Path:
    path.write_bytes(b"".join(f"{r}\n".encode() if isinstance(r, str) else line(r) for r in records))
    return path


def test_rows_that_are_no_tasks_are_counted(tmp_path: Path) -> None:
    manifest = Manifest(step="derive")
    path = written(tmp_path / "tasks.jsonl", task("C.a"), "{broken", task("C.b"), task("C.a", ": False"))
    assert read_tasks(path, manifest) == [task("C.a"), task("C.b")]
    assert manifest.dropped_for("read", "name was there already") == 1
    assert manifest.rows_in == manifest.rows_dropped == 2


def test_what_is_held_out_or_measures_is_never_tried() -> None:
    tasks = [task("C.a"), task("C.b", split="held_out"), task("C.c", split="valid"), task("C.d", split="")]
    marked = TheoremRecord(name="m", statement="theorem m : True", split="train", flags=("benchmark",))
    found = chosen([*tasks, marked], {"train", "valid"}, CONFIG, Manifest(step="derive"))
    assert [t.name for t in found] == ["harvest.C.a", "harvest.C.c"]


def test_a_sample_is_drawn_by_its_seed_and_the_rest_is_counted() -> None:
    tasks = [task(f"C.t{i}") for i in range(40)]
    manifest = Manifest(step="derive")
    found = chosen(tasks, {"train"}, DeriveConfig(limit=7), manifest)
    assert len(found) == 7
    assert found == [t for t in tasks if t in found]
    assert found == chosen(tasks, {"train"}, DeriveConfig(limit=7), Manifest(step="derive"))
    assert found != chosen(tasks, {"train"}, DeriveConfig(limit=7, seed=1), Manifest(step="derive"))
    assert manifest.dropped_for("limit", "not drawn") == manifest.rows_in == 33


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--splits", "train,held_out"], "what is held out is not to be trained on"),
        (["--splits", ","], "name train, valid or both"),
        (["--splits", "valid"], "has no task of the parts valid"),
    ],
)
def test_the_command_refuses_before_it_starts_lean(tmp_path: Path, arguments: list[str], said: str) -> None:
    tasks = written(tmp_path / "tasks.jsonl", task("C.a"), task("C.b", split="held_out"))
    done = CliRunner().invoke(app, ["derive", str(tasks), "--out", str(tmp_path / "out"), *arguments])
    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["none.jsonl", "tasks.txt"])
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "tasks.txt").touch()
    done = CliRunner().invoke(app, ["derive", str(tmp_path / name), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, BadInput)
    assert name in str(done.exception)
