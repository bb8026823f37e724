"""A file with sorries on the command line: filled where it stands, checked as a whole, verified again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.test_cli import burnqed

pytestmark = pytest.mark.lean

FILE = """import Std

namespace Deep

variable (p q : Prop)

/-- Twice a number. -/
def double (n : Nat) : Nat := n + n

theorem double_eq (n : Nat) : double n = 2 * n := by
  sorry

theorem swap (h : p ∧ q) : q ∧ p := by
  have hp : p := by sorry
  constructor
  · exact h.2
  · sorry

theorem never (n : Nat) : n < n + n := by
  -- it is false for 0
  sorry

end Deep
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "Deep.lean").write_text(FILE)
    done = burnqed("prove", "Deep.lean", "--json", "--nodes", 6, "--out", "run", cwd=folder)
    assert done.code == 1, done.err
    assert (folder / "Deep.lean").read_text() == FILE, "without --write the file is left alone"
    return folder, [json.loads(line) for line in done.out.splitlines()]


def test_each_sorry_has_its_result_and_the_file_its_own(filled: tuple[Path, list[dict]]) -> None:
    folder, rows = filled
    *results, last = rows
    status = {r["name"]: r["status"] for r in results}
    assert status == {
        "Deep.double_eq": "proved",
        "Deep.swap#1": "proved",
        "Deep.swap#2": "proved",
        "Deep.never": "not_proved",
    }
    assert {r["source"] for r in results} == {"Deep.lean:11", "Deep.lean:14", "Deep.lean:17", "Deep.lean:21"}
    assert last["accepted"]
    assert last["sorries"] == 4
    assert set(last["filled"]) == {"Deep.double_eq", "Deep.swap#1", "Deep.swap#2"}
    assert last["written"] == "run/Deep.lean"
    left = {d["name"]: d["sorry"] for d in last["declarations"]}
    assert left == {"Deep.double": False, "Deep.double_eq": False, "Deep.swap": False, "Deep.never": True}
    assert len((folder / "run" / "results.jsonl").read_text().splitlines()) == 4


def test_nothing_but_the_sorries_is_changed(filled: tuple[Path, list[dict]]) -> None:
    folder, _ = filled
    text = (folder / "run" / "Deep.lean").read_text()
    assert text.count("sorry") == 1
    pieces = FILE.split("sorry")
    at = 0
    for piece in pieces[:3]:
        found = text.index(piece.strip(), at)
        at = found + len(piece.strip())
    assert text.endswith(pieces[3].lstrip() + "sorry" + pieces[4])


def test_verify_says_what_is_proved_and_what_not(filled: tuple[Path, list[dict]]) -> None:
    folder, _ = filled
    done = burnqed("verify", "run/Deep.lean", "--against", "Deep.lean", cwd=folder)
    assert done.code == 1
    assert "✗ theorem Deep.never: rests on sorry" in done.out
    assert "✓ theorem Deep.swap: no axioms" in done.out
    assert "kernel: Lean 4.28.0, embedded" in done.err
    assert "trusted: the statements of Init and Std" in done.err
    other = folder / "Other.lean"
    other.write_text((folder / "run" / "Deep.lean").read_text().replace("n < n + n", "n < n + n + 1"))
    done = burnqed("verify", other, "--against", "Deep.lean", "--json", cwd=folder)
    assert done.code == 1
    report = json.loads(done.out)
    assert not report["holds"]
    assert "was changed outside its sorries" in report["reason"]


def test_write_fills_the_file_itself_and_tells_a_person(tmp_path: Path) -> None:
    source = tmp_path / "one.lean"
    source.write_bytes(b"theorem one (a b : Nat) (h : a < b) : a \xe2\x89\xa4 b := by sorry\r\n")
    done = burnqed("prove", "one.lean", "--write", cwd=tmp_path)
    assert done.code == 0, done.err
    assert source.read_bytes().endswith(b":= by omega\r\n")
    assert done.out == "by omega\n\n" or done.out == "omega\n\n"
    assert "one.lean: 1 of 1 sorries filled, checked as a whole by a fresh Lean" in done.err
    assert burnqed("verify", "one.lean", cwd=tmp_path).code == 0
    assert "no `sorry` in it" in burnqed("prove", "one.lean", cwd=tmp_path).one_sentence()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('theorem a : (1 : Nat) = "x" := by\n  sorry\n', "bad.lean: Lean does not accept the file: line 1"),
        ("theorem a : 1 = 1 := by\n  sorry\ntheorem b : = 1 := by sorry\n", "line 3"),
        ("import Mathlib\ntheorem a : 1 = 1 := by sorry\n", "Mathlib"),
    ],
)
def test_a_file_that_lean_does_not_accept(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.lean").write_text(text)
    assert says in burnqed("prove", "bad.lean", cwd=tmp_path).one_sentence()
    assert [p.name for p in tmp_path.iterdir()] == ["bad.lean"], "no run is left behind"
