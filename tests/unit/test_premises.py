"""Premise selection: what is looked up and what may be seen, the file that holds it, and the library that comes along."""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from burnqed.cli.data import app
from burnqed.core.errors import BadInput, RunError
from burnqed.core.theorem import DEFAULT_IMPORTS
from burnqed.premises.file import library, read_premises, write_premises
from burnqed.premises.index import Known, Premises, symbols
from burnqed.prompts.premises import MOST, pointed, premise_line, resolved

IMPORTS = {"Lib.A": (), "Lib.B": ("Lib.A",), "Lib.C": ("Lib.B",), "Lib.Far": ("Lib.A", "Core.Left")}
STATED = {
    "Lib.A": {"Tree.size_nil": "Tree.size Tree.nil = 0", "Flag.set": "Flag.Set ∅"},
    "Lib.B": {"Tree.size_insert": "Tree.size (Tree.insert t a) ≤ Tree.size t + 1"},
    "Lib.C": {"Set.size_insert": "Set.size (Set.insert s a) ≤ Set.size s + 1", "Set.mem": "a ∈ Set.insert s a"},
    "Lib.Far": {f"Other{i}.word": f"Other{i}.word p" for i in range(20)},  # else any symbol would be a frequent one
}
GOAL = "t : Tree Nat\n⊢ Tree.size (Tree.insert t 857) ≤ Tree.size t + 857"


def premises(
    stated: Mapping[str, Mapping[str, str]] = STATED, imports: Mapping[str, Sequence[str]] = IMPORTS
) -> Premises:
    known = [Known(name, module, symbols(text)) for module, said in stated.items() for name, text in said.items()]
    return Premises(known, imports)


# -- what is looked up --------------------------------------------------------------------------------------


def test_the_most_alike_come_first() -> None:
    found = premises().alike(GOAL, (), 9)
    assert found[0] == "Tree.size_insert"
    assert {"Tree.size_nil", "Set.size_insert"} < set(found)
    assert not {"Flag.set", "Other3.word"} & set(found), "nothing in common"
    assert premises().alike(GOAL, (), 2) == found[:2]
    assert premises().alike(GOAL, (), 0) == []


def test_of_numerals_0_1_and_2_are_looked_up_alone() -> None:
    assert symbols("857 = 10 + 2 * 1 - 0 + x3") == {"=", "+", "*", "-", "2", "1", "0", "x3"}
    with_numbers = premises({"Lib.A": {"big": "P.of 857", "one": "P.of 1"}, "Lib.Far": STATED["Lib.Far"]})
    assert with_numbers.alike("⊢ 857 < n", (), 9) == []
    assert with_numbers.alike("⊢ 1 < n", (), 9) == ["one"]


@pytest.mark.parametrize(
    ("imports", "seen"),
    [
        (["Lib.A"], {"Tree.size_nil"}),
        (["Lib.B"], {"Tree.size_nil", "Tree.size_insert"}),
        (["Lib.C"], {"Tree.size_nil", "Tree.size_insert", "Set.size_insert", "Set.mem"}),
        (["Core.Left"], set()),
    ],
)
def test_only_what_the_imports_bring_is_seen(imports: list[str], seen: set[str]) -> None:
    assert set(premises().alike(GOAL, imports, 9)) == seen
    assert {premises().module_of(name) for name in seen} <= premises().visible(imports)


@pytest.mark.parametrize("imports", [(), ("Lib.A", "Mathlib"), ("Mathlib",)])
def test_where_nobody_knows_what_is_imported_all_is_seen(imports: tuple[str, ...]) -> None:
    assert set(premises().alike(GOAL, imports, 9)) == set(premises().alike(GOAL, ("Lib.C", "Lib.Far"), 9))
    assert premises().visible(imports) >= {*IMPORTS, "Core.Left"}


def test_imports_are_followed_round_a_circle() -> None:
    assert premises(imports={"Lib.A": ("Lib.B",), "Lib.B": ("Lib.A",)}).visible(["Lib.A"]) == {"Lib.A", "Lib.B"}


def test_namesakes_are_seen_through_imports_and_are_not_the_theorem_itself() -> None:
    known = premises()
    assert known.namesakes("Map.size_insert", (), 9) == ["Tree.size_insert", "Set.size_insert"]
    assert known.namesakes("Map.size_insert", ["Lib.B"], 9) == ["Tree.size_insert"]
    assert known.namesakes("Set.size_insert", (), 9) == ["Tree.size_insert"]
    assert known.namesakes("Map.size_insert", (), 1) == ["Tree.size_insert"]
    assert known.namesakes("Map.erase", (), 9) == []


def test_an_answer_is_the_askers_own_and_imports_belong_to_the_question() -> None:
    known = premises()
    first = known.alike(GOAL, ("Lib.C",), 9)
    narrow = known.alike(GOAL, ("Lib.B",), 9)
    again = list(first)
    first.clear()
    assert known.alike(GOAL, ("Lib.C",), 9) == again != narrow


def test_the_module_of_a_name() -> None:
    assert premises().module_of("Set.mem") == "Lib.C"
    assert premises().module_of("Set.unheard_of") == ""


# -- before a prompt ------------------------------------------------------------------------------------------

NAMES = ["Nat.add_comm", "Nat.add", "Nat.add_comm'", "mt"]


def test_each_name_before_a_prompt_has_a_mark() -> None:
    assert premise_line(["Nat.le", "Nat.lt"]) == "#premises §a Nat.le §b Nat.lt\n"
    assert premise_line([]) == ""
    assert premise_line([f"N{i}" for i in range(MOST)]).endswith(" §z N25\n")


@pytest.mark.parametrize(
    ("tactic", "written"),
    [
        ("rw [Nat.add_comm, ← Nat.add_comm' n]", "rw [§a, ← §c n]"),
        ("exact @Nat.add_comm\n· simp only [Nat.add, h]", "exact @§a\n· simp only [§b, h]"),
        ("exact fun h => mt h (mt h)", "exact fun h => §d h (§d h)"),
        ("exact Nat.add_comm.symm", "exact Nat.add_comm.symm"),
        (
            "apply Std.Nat.add_comm_of; rw [Nat.add_comm₂, mt_of, fmt]",
            "apply Std.Nat.add_comm_of; rw [Nat.add_comm₂, mt_of, fmt]",
        ),
        ("omega", "omega"),
        ("", ""),
    ],
)
def test_an_answer_points_to_whole_names_and_is_read_back(tactic: str, written: str) -> None:
    assert pointed(tactic, NAMES) == written
    assert resolved(written, NAMES) == tactic
    assert pointed(tactic, []) == tactic


def test_a_mark_that_stands_for_nothing_is_no_answer() -> None:
    assert resolved("rw [§b]", NAMES[:2]) == "rw [Nat.add]"
    assert resolved("rw [§a, §c]", NAMES[:2]) is None
    assert resolved("rw [§a]", []) is None
    assert resolved("-- a § alone", []) == "-- a § alone"


# -- the file -----------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    before, path = premises(), tmp_path / "library.json.xz"
    write_premises(path, before, lean="4.1.0")
    after = read_premises(path)
    assert after.theorems == before.theorems
    assert after.imports == before.imports | {"Core.Left": ()}
    for imports in ((), ("Lib.B",), ("Core.Left",), ("Mathlib",)):
        assert after.alike(GOAL, imports, 9) == before.alike(GOAL, imports, 9)
        assert after.visible(imports) == before.visible(imports)


def test_the_same_premises_are_the_same_bytes(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    write_premises(one, premises(), lean="4.1.0")
    write_premises(two, premises(imports=dict(reversed(IMPORTS.items()))), lean="4.1.0")
    write_premises(three, read_premises(one), lean="4.1.0")
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()


PLAIN = {"lean": "4", "modules": ["A"], "imports": [[]], "symbols": ["="], "theorems": [["t", 0, [0]]]}


def packed(**changed: object) -> bytes:
    return lzma.compress(msgspec.json.encode(PLAIN | changed))


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"no archive",
        packed()[:-9],
        lzma.compress(b"no JSON"),
        lzma.compress(b"[]"),
        packed(theorems=[["t", 1, [0]]]),
        packed(theorems=[["t", 0, [7]]]),
        packed(imports=[[3]]),
        packed(imports=[]),
        packed(theorems=[["t", "A", [0]]]),
    ],
)
def test_a_file_that_is_damaged_or_not_there_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "library.json.xz"
    path.write_bytes(packed())
    assert [known.name for known in read_premises(path).theorems] == ["t"]
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"library\.json\.xz holds no premises that can be read"):
        read_premises(path)


def test_a_disk_that_does_not_take_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none/library\.json\.xz cannot be written"):
        write_premises(tmp_path / "none" / "library.json.xz", premises(), lean="4.1.0")


# -- the library that comes along -----------------------------------------------------------------------------


def test_a_goal_about_the_size_of_a_set_finds_what_the_library_says_of_it() -> None:
    goal = "α : Type u\ninst✝¹ : BEq α\nm : Std.HashSet α\na : α\n⊢ (m.insert a).size ≤ m.size + 1"
    found = library().alike(goal, DEFAULT_IMPORTS, 8)
    assert "Std.HashSet.size_insert_le" in found
    assert sum(name.startswith("Std.HashSet.") and "size" in name for name in found) >= 3
    full = library().alike("m : Std.HashSet Nat\n⊢ Std.HashSet.size m = 0", DEFAULT_IMPORTS, 8)
    assert sum("size" in name for name in full) >= 4


def test_a_theorem_of_a_module_that_is_not_imported_is_never_proposed() -> None:
    goal = "m : Std.HashSet Nat\n⊢ Std.HashSet.size (m.insert 3) ≤ m.size + 1"
    found = library().alike(goal, ("Init",), 500)
    assert len(found) == 500
    assert {library().module_of(name).split(".")[0] for name in found} == {"Init"}


def test_no_module_is_seen_from_what_it_imports() -> None:
    known = library()
    themselves = [m for m, imports in known.imports.items() if imports and m in known.visible(imports)]
    assert themselves == []
    assert [m for m, imports in known.imports.items() if not imports] == ["Init.Prelude"]


def test_the_default_imports_bring_all_of_it() -> None:
    known = library()
    assert len(known.theorems) > 40_000
    assert {theorem.module for theorem in known.theorems} <= known.visible(DEFAULT_IMPORTS)


# -- the command ----------------------------------------------------------------------------------------------


def test_the_command_refuses_before_it_starts_lean(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    row = {"name": "harvest.A.t", "statement": "theorem harvest.A.t : 1 = 1", "source": "harvest"}

    def refused(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["premises", str(tasks), *arguments])
        assert isinstance(done.exception, BadInput)
        return str(done.exception)

    assert "tasks.jsonl" in refused()
    tasks.write_bytes(msgspec.json.encode(row) + b"\n")  # of no origin, so no theorem of the library
    assert "has no theorem of the library" in refused("--out", str(tmp_path / "out.xz"))
    tasks.write_bytes(msgspec.json.encode(row | {"origin": "Lib:A.t"}) + b"\n")
    assert "the folder cannot be made" in refused("--out", str(tasks / "out.xz"))
