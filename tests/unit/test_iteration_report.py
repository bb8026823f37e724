"""Reports of iterations from stored files, the log of all of them, and what `burnqed iterate` says without a Lean."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from tests.unit.compare_lab import spec, write
from tests.unit.iterate_lab import RECIPE, context_of, lay_out, searched
from typer.testing import CliRunner, Result

from burnqed.cli.iterate import app
from burnqed.core.errors import BadInput, RunError
from burnqed.iterate.comparison import comparable
from burnqed.iterate.digests import key_of
from burnqed.iterate.driver import STEPS, status
from burnqed.iterate.manifest import Entry, Failure, IterationManifest, note_failure, write_manifest
from burnqed.iterate.report import write_iteration_report
from burnqed.iterate.search_step import SearchStep

LOG = "iterations/LOG.md"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An iteration that nothing was done in."""
    monkeypatch.chdir(tmp_path)
    return lay_out(tmp_path)


def finished(folder: Path, *, told: str = "as it was", steps: int = len(STEPS)) -> None:
    """A manifest that says that the first steps are done."""
    entries = {s.name: Entry(key="k", inputs={}, outputs={}, told={"what": told}) for s in STEPS[:steps]}
    write_manifest(folder / "manifest.json", IterationManifest(iteration=int(folder.name[-1]), steps=entries))


def iterate(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


async def test_a_report_is_made_of_what_is_there(folder):
    await searched(folder / "search" / "round_0", ["one", "two"])
    await searched(folder / "search" / "round_0_negated", ["one_negated"], {})
    finished(folder, steps=2, told="a | b")
    note_failure(folder, Failure(step="label", when="2026-01-01T00:00:00", error="the disk is full"))
    (folder / "times.json").write_text('{"search": "61.5", "proofs": "unknown"}')
    page = write_iteration_report(context_of(folder))
    text = (folder / "report.md").read_text()
    assert text.startswith("# iter_0\n\nA toy.\n")
    assert "| search | what: a \\| b | 61.5 s |" in text
    assert "- round_0: 2 proved" in text
    assert "- round_0_negated: 1 exhausted" in text
    assert "- 2026-01-01T00:00:00, label: the disk is full" in text
    assert f"2 of {len(STEPS)}" in page.read_text()
    assert not list(folder.parent.glob("LOG.md")), "an iteration that is not finished has no entry"


def test_a_report_needs_nothing_but_a_recipe(folder):
    write_iteration_report(context_of(folder))
    assert (folder / "report.md").read_text().startswith("# iter_0")


def test_the_readme_is_written_once_and_then_the_readers(folder):
    write_iteration_report(context_of(folder))
    assert "burnqed iterate run iterations/iter_0" in (folder / "README.md").read_text()
    (folder / "README.md").write_text("mine")
    write_iteration_report(context_of(folder))
    assert (folder / "README.md").read_text() == "mine"


def test_the_log_has_an_entry_for_each_iteration_the_newest_first(folder):
    finished(folder)
    write_iteration_report(context_of(folder))
    later = folder.with_name("iter_1")
    later.mkdir()
    (later / "recipe.toml").write_text(RECIPE)
    finished(later)
    write_iteration_report(context_of(later))
    text = Path(LOG).read_text()
    assert text.startswith("# What was learned, failures included\n")
    assert text.index("## iter_1, ") < text.index("## iter_0, ")
    assert text.count("- search: what: as it was") == 2


def test_an_entry_is_replaced_and_all_else_stays_to_the_byte(folder):
    finished(folder)
    log = Path(LOG)
    log.write_text("# Ours\n\nWe began in spring.  \n\n\n## An idea of mine\n\nkeep it\n\n\n", encoding="utf-8")
    write_iteration_report(context_of(folder))
    once = log.read_text()
    before, _, after = once.partition("<!-- iter_0 -->")
    assert before == "# Ours\n\nWe began in spring.  \n\n\n"
    assert after.endswith("<!-- /iter_0 -->\n\n## An idea of mine\n\nkeep it\n\n\n")
    log.write_text(once + "below\n")
    finished(folder, told="otherwise")
    write_iteration_report(context_of(folder))
    assert log.read_text() == once.replace("as it was", "otherwise") + "below\n"


def test_an_entry_keeps_its_date_as_long_as_nothing_else_changes(folder):
    finished(folder)
    write_iteration_report(context_of(folder))
    log = Path(LOG)
    lines = log.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("## iter_0, "))
    lines[at] = "## iter_0, 2001-02-03"
    log.write_text("\n".join(lines) + "\n")
    write_iteration_report(context_of(folder))
    assert "## iter_0, 2001-02-03" in log.read_text()
    finished(folder, told="otherwise")
    write_iteration_report(context_of(folder))
    assert "2001-02-03" not in log.read_text()


def test_a_log_with_windows_line_ends_keeps_them(folder):
    finished(folder)
    log = Path(LOG)
    log.write_bytes(b"# Ours\r\n\r\nmine\r\n")
    for told in ("as it was", "otherwise"):
        finished(folder, told=told)
        write_iteration_report(context_of(folder))
    content = log.read_bytes()
    assert content.startswith(b"# Ours\r\n\r\nmine\r\n\r\n<!-- iter_0 -->\r\n## iter_0, ")
    assert content.count(b"\n") == content.count(b"\r\n")
    assert (content.count(b"otherwise") > 0, content.count(b"as it was")) == (True, 0)


def test_an_entry_whose_end_somebody_took_out_swallows_nothing(folder):
    finished(folder)
    log = Path(LOG)
    log.write_text("# Ours\n\n<!-- /iter_0 -->\n\n<!-- iter_0 -->\n\nmy own words\n")
    for told in ("as it was", "otherwise"):
        finished(folder, told=told)
        write_iteration_report(context_of(folder))
        assert "my own words" in log.read_text()
    assert log.read_text().count("## iter_0, ") == 1


def test_a_log_that_is_no_text_is_left_alone(folder):
    finished(folder)
    Path(LOG).write_bytes(b"caf\xe9")
    with pytest.raises(RunError, match=r"LOG\.md cannot be read as UTF-8 text, so nothing was written into it"):
        write_iteration_report(context_of(folder))
    assert Path(LOG).read_bytes() == b"caf\xe9"


def test_an_evaluation_in_which_searches_are_missing_is_reported_and_not_compared(folder):
    proved = {"own": [[0, 1, 2]], "none": [[0]]}
    write(folder / "evaluation/toy/joint", spec(theorems=4), proved)
    write(folder / "evaluation/toy/decoupled", spec(theorems=4), proved, leave_out=1)
    assert comparable(context_of(folder).place) == {}
    write_iteration_report(context_of(folder))
    text = (folder / "report.md").read_text()
    assert "| toy | decoupled | own |" in text
    assert "| toy | joint | own | 75.0% of 4" in text


def test_a_comparison_of_evaluations_that_are_superseded_does_not_stay(folder):
    proved = {"own": [[0, 1, 2]], "none": [[0]]}
    write(folder / "evaluation/toy/joint", spec(theorems=4), proved)
    write(folder / "evaluation/toy/decoupled", spec(theorems=4), proved)
    write_iteration_report(context_of(folder))
    assert (folder / "comparison/toy/compare.html").exists()
    shutil.rmtree(folder / "evaluation/toy/joint")
    write_iteration_report(context_of(folder))
    assert not (folder / "comparison").exists()


def test_status_of_an_iteration_that_was_not_begun(folder):
    ran = iterate("status", folder, "--json")
    assert ran.exit_code == 0, ran.output
    (steps,) = json.loads(ran.stdout).values()
    assert {s["step"]: s["standing"] for s in steps} == {
        **{s.name: "to do" for s in STEPS},
        "head": "waiting",
    }
    assert "has no model to embed with" in next(s["why"] for s in steps if s["step"] == "head")
    assert not [p for p in folder.rglob("*") if p.name != "recipe.toml"], "nothing is written to say where it stands"


def test_status_of_a_finished_and_then_of_a_changed_iteration(folder):
    context = context_of(folder)
    (folder / "search").mkdir()
    (folder / "search" / "history.jsonl").write_text("")
    step = SearchStep()
    inputs = step.inputs(context)
    entry = Entry(key=key_of(inputs), inputs=inputs, outputs=step.outputs(context), told={"searches": 2, "proved": 1})
    write_manifest(folder / "manifest.json", IterationManifest(iteration=0, steps={"search": entry}))
    shown = iterate("status", folder).stdout
    assert "search" in shown
    assert "searches 2, proved 1" in shown
    assert "changed" not in shown
    (folder / "recipe.toml").write_text(RECIPE.replace("[rows]", "[prove.search]\nmax_nodes = 7\n[rows]"))
    assert "changed since: settings" in iterate("status", folder).stdout
    (folder / "recipe.toml").write_text(RECIPE)
    Path("theorems.jsonl").write_text(Path("theorems.jsonl").read_text() * 2)
    assert "changed since: theorems.files 0, theorems.jsonl" in iterate("status", folder).stdout
    Path("theorems.jsonl").unlink()
    shown = iterate("status", folder).stdout
    assert "waiting" in shown
    assert "theorems.files: theorems.jsonl is not there" in shown


@pytest.mark.parametrize(
    "settings",
    ["lean]\nworkers = 3", 'policy]\ndevice = "cuda:1"', "policy.endpoint]\ntimeout_s = 7.0", 'value]\ndevice = "cpu"'],
)
def test_processes_and_devices_change_nothing(folder, settings):
    before = [step.inputs(context_of(folder)) for step in STEPS if step.name != "head"]
    (folder / "recipe.toml").write_text(RECIPE.replace("[rows]", f"[prove.{settings}\n[rows]"))
    assert [step.inputs(context_of(folder)) for step in STEPS if step.name != "head"] == before


def test_a_menu_of_ones_own_is_an_input_by_what_it_says(folder):
    (folder / "recipe.toml").write_text(RECIPE.replace("[rows]", '[prove.policy]\nmenu = "menu.txt"\n[rows]'))
    Path("menu.txt").write_text("1 | always | rfl\n")
    before = SearchStep().inputs(context_of(folder))
    Path("menu.txt").write_text("1 | always | simp\n")
    after = SearchStep().inputs(context_of(folder))
    assert {name for name in before if before[name] != after[name]} == {"menu"}


def test_status_tells_what_failed(folder):
    note_failure(folder, Failure(step="train", when="then", error="[red] memory does not suffice"))
    assert "went wrong then, train: [red] memory does not suffice" in iterate("status", folder).stdout


def test_mistakes_are_told_before_anything_is_run(folder):
    ran = iterate("run", folder, folder.with_name("iter_7"))
    assert isinstance(ran.exception, BadInput)
    assert "iter_7 has no recipe.toml" in str(ran.exception)
    assert not (folder / "begun.json").exists()
    assert "is there already" in str(
        iterate("init", folder, "--theorems", "t.jsonl", "--benchmarks", "b.jsonl").exception
    )


def test_a_recipe_that_init_writes_can_be_run_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    made = iterate(
        "init", "iterations/iter_1", "--theorems", "theorems.jsonl", "--benchmarks", "held_out.jsonl", "--mode", "sft"
    )
    assert made.exit_code == 0, made.exception
    context = context_of(Path("iterations/iter_1"))
    assert (context.recipe.train.mode, context.recipe.train.start) == ("sft", "previous")
    assert {s.standing for s in status(context)} == {"waiting"}, "the iteration before is not done"


def test_who_comes_second_writes_nothing(folder):
    finished(folder, steps=1)
    with FileLock(folder / ".lock"):
        ran = iterate("run", folder)
    assert "another `burnqed iterate run` is at work" in str(ran.exception)
    assert not (folder / "report.md").exists()


def test_what_went_wrong_is_told_and_not_what_the_report_stumbles_upon(folder):
    finished(folder, steps=1)
    (folder / "recipe.toml").write_text(RECIPE.replace('"theorems.jsonl"', '"gone.jsonl"'))
    (folder / "evaluation" / "toy" / "own").mkdir(parents=True)
    (folder / "evaluation" / "toy" / "own" / "eval.json").write_text("{")
    assert "gone.jsonl is not there" in str(iterate("run", folder).exception)
