"""Filling a file over fakes: which holes, which way to write a proof, what happens when proofs do not go together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.test_run import SETTINGS, prover

from burnqed.core.errors import BadInput
from burnqed.core.files import Declaration, FileVerdict, Hole, Place
from burnqed.run.fill import fill, holes
from burnqed.run.folder import RunFolder
from burnqed.run.hole import HoleJudge
from burnqed.run.result import TheoremResult
from burnqed.search.graph import ProofStep
from burnqed.testing.fakes import DONE, FakeLean
from burnqed.theorems.read import BadEntry, in_style_of, read_file_text

TEXT = "theorem foo : p := by\n  sorry\ntheorem foo2 : q := by\n  sorry\n"
LEAN = {("start", "a"): DONE}


@dataclass
class JealousLean(FakeLean):
    """Accepts each proof alone, but no file with more than ``most`` of them."""

    most: int = 1
    asked: list[str] = field(default_factory=list)

    async def try_file(self, original: str, filled: str) -> FileVerdict:
        self.asked.append(filled)
        return FileVerdict(original.count("sorry") - filled.count("sorry") <= self.most, "too much for one file")


async def places_of(text: str) -> list[Place]:
    return await FakeLean({}).places(text)


async def filled_by(lean: FakeLean, tmp_path: Path, text: str = TEXT):
    folder = RunFolder.create(tmp_path / "run", SETTINGS)
    entries = holes(text, await lean.places(text), source="f.lean")
    seen: list[TheoremResult] = []
    return await fill(prover(folder, lean), text, entries, seen.append), seen


async def test_holes_are_named_by_their_declarations() -> None:
    places = [
        Place(0, 24, 29, "tactic", "foo"),
        Place(1, 55, 60, "tactic", "foo", "it hangs together with another"),
        Place(2, 56, 60, "term", "bar"),
    ]
    first, second, third = holes(TEXT, places, source="f.lean")
    assert isinstance(first, Hole)
    assert (first.name, first.source) == ("foo#1", "f.lean:2")
    assert isinstance(second, BadEntry)
    assert second.reason == "f.lean:4: this sorry cannot be proved on its own: it hangs together with another"
    assert third.name == "bar"
    assert first.digest != Hole("foo#1", TEXT + " ", places[0]).digest
    with pytest.raises(BadInput, match="nothing to prove"):
        holes("theorem a : p := rfl", [], source="f.lean")


async def test_every_sorry_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    lean = FakeLean(LEAN)
    result, seen = await filled_by(lean, tmp_path)
    assert result.text == TEXT.replace("sorry", "a")
    assert result.kept == ("foo#1", "foo#2")
    assert [r.status for r in seen] == ["proved", "proved"]
    assert lean.tried_files[-1] == result.text, "the gate is asked about the whole"


async def test_what_is_not_proved_stays_as_it_is(tmp_path: Path) -> None:
    result, seen = await filled_by(FakeLean({}), tmp_path)
    assert result.text == TEXT
    assert (result.kept, [r.status for r in seen]) == ((), ["not_proved", "not_proved"])


async def test_proofs_that_do_not_go_together_are_taken_in_order(tmp_path: Path) -> None:
    result, seen = await filled_by(JealousLean(LEAN), tmp_path)
    assert result.text == TEXT.replace("sorry", "a", 1)
    assert (result.kept, result.dropped) == (("foo#1",), ("foo#2",))
    assert result.verdict.accepted
    assert [r.status for r in seen] == ["proved", "proved"]


async def test_a_proof_that_does_not_compile_as_a_file_is_written_another_way() -> None:
    text = "  constructor <;> sorry\n"
    (place,) = await places_of(text)
    steps = (ProofStep("intro h", 1, 1), ProofStep("exact h", 1, 0))
    lean = FakeLean({}, refused_texts=("intro h\n",))
    judge = HoleJudge(Hole("foo", text, place), lean, lean)
    assert (await judge(steps)).accepted
    assert judge.accepted_source == " (intro h; exact h)"
    lean = FakeLean({}, refused_texts=("intro h",))
    verdict = await HoleJudge(Hole("foo", text, place), lean, lean)(steps)
    assert verdict.reason == "the proof works step by step but not in the file: error at intro h"


def test_a_file_keeps_its_line_ends_and_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.lean"
    path.write_bytes("\ufefftheorem a : p := by\r\n  sorry\r\n".encode())
    text = read_file_text(str(path))
    assert text == "theorem a : p := by\n  sorry\n"
    assert in_style_of(path, text.replace("sorry", "rfl")) == "\ufefftheorem a : p := by\r\n  rfl\r\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("theorem a : p := rfl -- sorry\n", "no `sorry` in it"),
        ('def s := "sorry"', "no `sorry` in it"),
    ],
)
def test_a_file_with_nothing_to_prove(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.lean"
    path.write_text(content)
    with pytest.raises(BadInput, match=message):
        read_file_text(str(path))


def test_the_axioms_of_a_declaration() -> None:
    assert Declaration("a", "theorem", True, ("propext", "sorryAx", "Foo.bar")).forbidden_axioms == ("Foo.bar",)
