"""Rounds of searches over a Lean that is a table: what is on record after them, and what must end everything."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.iterate_lab import RECIPE, context_of, lay_out

from burnqed.core.errors import CanaryProved, RunError
from burnqed.core.theorem import Theorem
from burnqed.iterate.matchmaker import Attempt
from burnqed.iterate.search_step import Rounds, history, runs
from burnqed.iterate.searching import OpenLean
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.run.folder import RunFolder
from burnqed.testing.fakes import DONE, FakeLean
from burnqed.theorems.negation import negated

LEAN = EmbeddedLean(*(Path("/nowhere") for _ in range(5)), lean_version="4.28.0")
PROVES = {("start", "a"): DONE}
SMALL = Theorem("small", "theorem small (n : Nat) : n < 5")
MENU = RECIPE.replace("[rows]", '[prove.policy]\nmenu = "menu.txt"\n[matchmaker]\nnegation_share = 0.5\n[rows]')


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """iter_1, in which ``small`` and its negation are searched because ``small`` failed in iter_0."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "menu.txt").write_text("1 | always | a\n")
    before = lay_out(tmp_path, recipe=MENU)
    remembered(before)
    folder = before.with_name("iter_1")
    folder.mkdir()
    (folder / "recipe.toml").write_text(MENU)
    return folder


def remembered(folder: Path, **fields) -> None:
    """What became of a search of ``small`` in the iteration in this folder."""
    plain = {"nodes": 1, "tactics": 1, "budget_factor": 1.0, "promise": None, "iteration": 0, "ended": "exhausted"}
    known = {**plain, "negated": False, "proved": False, "error": False, **fields}
    (folder / "search").mkdir(exist_ok=True)
    line = msgspec.json.encode(Attempt(theorem="small", digest=SMALL.digest, **known))
    (folder / "search" / "history.jsonl").write_bytes(line + b"\n")


def rounds(folder: Path, *, negation: bool = True, false: tuple[Theorem, ...] = ()) -> Rounds:
    no = negated(SMALL)
    assert no is not None
    return Rounds(context_of(folder), {"small": SMALL}, {"small": no} if negation else {}, list(false))


def lean(table=None, **more) -> OpenLean:
    fake = FakeLean(PROVES if table is None else table, **more)
    return OpenLean(LEAN, fake, fake)  # type: ignore[arg-type]  # a fake is pool and gate


async def test_searches_and_their_negations_are_in_folders_of_their_own_and_in_the_history(folder):
    told = await rounds(folder).run(lean({}))
    assert [run.name for run in runs(context_of(folder).place)] == ["round_0", "round_0_negated"]
    found = [(a.negated, a.proved, a.budget_factor) for a in history(context_of(folder).place)]
    assert found == [(False, False, 1.0), (False, False, 2.0), (True, False, 1.0)]
    assert told == {"searches": 2, "theorems": 1, "errors": 0, "proved": 0, "negations proved": 0}


async def test_rounds_that_are_gone_through_again_search_nothing_and_say_the_same(folder):
    first = await rounds(folder, negation=False).run(lean())
    before = (folder / "search" / "history.jsonl").read_bytes()
    again = lean({})
    assert await rounds(folder, negation=False).run(again) == first
    assert again.pool.applied == []
    assert (folder / "search" / "history.jsonl").read_bytes() == before


async def test_a_theorem_and_its_negation_that_are_proved_in_one_round_end_everything_at_once(folder):
    with pytest.raises(CanaryProved, match="both small and its negation are on record as proved"):
        await rounds(folder).run(lean())
    with pytest.raises(CanaryProved):  # and again, since it is on record
        await rounds(folder).run(lean({}))


async def test_a_statement_that_is_known_to_be_false_and_was_proved_ends_everything(folder):
    wrong = Theorem("wrong", "theorem wrong : 1 = 2")
    with pytest.raises(CanaryProved, match="wrong is in a file of refuted statements and was proved"):
        await rounds(folder, negation=False, false=(wrong,)).run(lean())


async def test_where_nothing_is_left_to_search_there_is_a_history_without_a_line(folder):
    remembered(folder.with_name("iter_0"), negated=True, proved=True)
    told = await rounds(folder).run(lean())
    assert told["searches"] == 0
    assert (folder / "search" / "history.jsonl").read_bytes() == b""
    assert runs(context_of(folder).place) == []


async def test_searches_that_all_end_in_an_error_are_no_step_that_is_done(folder):
    with pytest.raises(RunError, match="all 1 searches of iter_1 ended in an error, the first: Lean does not accept"):
        await rounds(folder).run(lean(rejects=True))
    # What was wrong with Lean is repaired: errors are searched again.
    told = await rounds(folder, negation=False).run(lean())
    assert (told["proved"], told["errors"]) == (1, 0)
    assert RunFolder(folder / "search" / "round_0").last_results()["small"].status == "proved"
