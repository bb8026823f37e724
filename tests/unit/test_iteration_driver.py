"""The driver of an iteration with small steps: what is done, skipped, redone, moved away, and what a kill leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock
from tests.unit.iterate_lab import RECIPE, Heard, context_of, lay_out

from burnqed.core.errors import BadInput, RunError
from burnqed.iterate.context import AtWork, Context, Stopped
from burnqed.iterate.digests import of_file, of_model, of_text
from burnqed.iterate.driver import run_iteration, status
from burnqed.iterate.place import Place
from burnqed.iterate.step import Told


@dataclass
class Writes:
    """A step that copies the text of one file into another, line by line; ``during`` is called after each line."""

    name: str
    source: str
    calls: list[str]
    during: Callable[[Context], None] = lambda context: None

    def folders(self, place: Place) -> Sequence[Path]:
        return (place.folder / self.name,)

    def inputs(self, context: Context) -> dict[str, str]:
        path = context.place.folder / self.source
        if not path.exists():
            raise BadInput(f"{path} is missing")
        return {"source": of_file(path), "about": of_text(context.recipe.about)}

    def run(self, context: Context) -> Told:
        self.calls.append(self.name)
        folder = context.place.folder
        (folder / self.name).mkdir(exist_ok=True)
        made = folder / self.name / "out"
        have = made.read_text().splitlines() if made.exists() else []
        lines = (folder / self.source).read_text().splitlines()
        for line in lines[len(have) :]:
            have.append(line)
            made.write_text("\n".join(have))
            self.during(context)
        return {"lines": len(lines)}

    def outputs(self, context: Context) -> dict[str, str]:
        return {"out": of_file(context.place.folder / self.name / "out")}


@dataclass
class Toy:
    """Three steps one after the other, in a folder with a recipe; ``calls`` are those that ran."""

    folder: Path
    calls: list[str]
    steps: list[Writes]
    heard: Heard = field(default_factory=Heard)

    def context(self, **parts) -> Context:
        return context_of(self.folder, listener=self.heard.listener, **parts)

    def run(self, **parts) -> list[str]:
        """The steps that ran."""
        self.calls.clear()
        until = parts.pop("until", "")
        run_iteration(self.context(**parts), steps=self.steps, until=until)
        return list(self.calls)

    def standing(self) -> dict[str, str]:
        return {s.step: s.standing for s in status(self.context(), steps=self.steps)}

    def manifest(self) -> bytes:
        return (self.folder / "manifest.json").read_bytes()

    def superseded(self) -> dict[str, str]:
        """What was moved away, by its place without the keys."""
        found = {}
        for path in sorted((self.folder / "superseded").rglob("out")):
            step, name, _ = path.relative_to(self.folder / "superseded").parts
            found[f"{step.rpartition('-')[0]}/{name}"] = path.read_text()
        return found


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Toy:
    monkeypatch.chdir(tmp_path)
    folder = lay_out(tmp_path)
    (folder / "given").write_text("1\n2\n3")
    calls: list[str] = []
    names = ("one", "two", "three")
    sources = ("given", "one/out", "two/out")
    return Toy(folder, calls, [Writes(n, s, calls) for n, s in zip(names, sources, strict=True)])


def test_steps_are_done_in_order_and_then_skipped(toy):
    assert toy.standing() == {"one": "to do", "two": "waiting", "three": "waiting"}
    heard: list[tuple[str, bool]] = []
    run_iteration(toy.context(), steps=toy.steps, on_step=lambda *told: heard.append(told))
    assert toy.calls == ["one", "two", "three"]
    before = toy.manifest()
    assert toy.run() == []
    assert toy.manifest() == before
    assert heard == [("one", False), ("two", False), ("three", False)]
    assert toy.standing() == {"one": "done", "two": "done", "three": "done"}
    assert json.loads(before)["steps"]["one"]["told"] == {"lines": 3}


def test_it_ends_after_the_step_that_was_asked_for_and_goes_on_from_there(toy):
    assert toy.run(until="one") == ["one"]
    assert toy.standing() == {"one": "done", "two": "to do", "three": "waiting"}
    assert toy.run() == ["two", "three"]
    with pytest.raises(BadInput, match="there is no step four; the steps are one, two, three"):
        toy.run(until="four")


def test_a_change_redoes_what_depends_on_it_and_nothing_else(toy):
    toy.run()
    (toy.folder / "given").write_text("1\n2")
    assert toy.standing() == {"one": "changed", "two": "done", "three": "done"}
    assert toy.run() == ["one", "two", "three"]
    assert toy.superseded() == {"one/one": "1\n2\n3", "two/two": "1\n2\n3", "three/three": "1\n2\n3"}
    assert any("one: its inputs have changed, so it is done anew" in said for said in toy.heard)


def test_what_comes_out_the_same_redoes_nothing_after_it(toy):
    toy.run()
    (toy.folder / "given").write_text("1\n2\n3\n")  # the last line break makes no difference to what step one writes
    assert toy.run() == ["one"]


def test_what_was_superseded_twice_is_kept_twice(toy):
    toy.run()
    for text in ("a", "1\n2\n3", "a"):
        (toy.folder / "given").write_text(text)
        toy.run(until="one")
    kept = [p.read_text() for p in sorted((toy.folder / "superseded").glob("one-*/*/out"))]
    assert sorted(kept) == ["1\n2\n3", "1\n2\n3", "a"]


def test_an_output_that_was_changed_is_made_again(toy):
    toy.run()
    (toy.folder / "two" / "out").unlink()
    before = toy.manifest()
    assert toy.standing()["two"] == "changed"
    assert [s.changed for s in status(toy.context(), steps=toy.steps)][1] == ("out",)
    assert toy.run() == ["two"]
    assert toy.manifest() == before


class Killed(BaseException):
    """The process dies here."""


def dies_after(lines: int) -> Callable[[Context], None]:
    left = [lines]

    def during(context: Context) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed

    return during


def test_a_step_that_was_killed_goes_on_with_what_it_had(toy):
    toy.steps[1].during = dies_after(2)
    with pytest.raises(Killed):
        toy.run()
    assert toy.standing() == {"one": "done", "two": "begun", "three": "to do"}
    (toy.folder / "two" / "out").write_text("first\nsecond")  # what the killed one wrote
    toy.steps[1].during = lambda context: None
    assert toy.run() == ["two", "three"]
    assert (toy.folder / "two" / "out").read_text() == "first\nsecond\n3"
    assert not (toy.folder / "superseded").exists()


def test_a_step_that_was_killed_begins_anew_when_its_inputs_have_changed_since(toy):
    toy.steps[0].during = dies_after(2)
    with pytest.raises(Killed):
        toy.run()
    recipe = toy.folder / "recipe.toml"
    recipe.write_text(RECIPE.replace("A toy.", "Another toy."))
    toy.steps[0].during = lambda context: None
    assert toy.standing()["one"] == "to do"
    toy.run()
    assert (toy.folder / "one" / "out").read_text() == "1\n2\n3"
    assert toy.superseded() == {"one/one": "1\n2"}


@pytest.mark.parametrize("lost", ["begun.json", "manifest.json"])
def test_what_is_of_other_inputs_is_moved_away_though_a_note_is_lost(toy, lost):
    toy.run()
    (toy.folder / lost).unlink()
    (toy.folder / "given").write_text("new")
    toy.run(until="one")
    assert (toy.folder / "one" / "out").read_text() == "new"
    assert toy.superseded() == {"one/one": "1\n2\n3"}


def test_what_nothing_is_known_of_is_moved_away(toy):
    (toy.folder / "one").mkdir()
    (toy.folder / "one" / "out").write_text("whose?")
    toy.run()
    assert (toy.folder / "one" / "out").read_text() == "1\n2\n3"
    assert toy.superseded() == {"one/one": "whose?"}


def test_a_failure_is_on_record_and_the_next_run_goes_on(toy):
    def fails(context: Context) -> None:
        raise RunError("the disk is full")

    def breaks(context: Context) -> None:
        raise ValueError("seven")

    for during, error in ((fails, RunError), (breaks, ValueError)):
        toy.steps[1].during = during
        with pytest.raises(error):
            toy.run()
    failures = [json.loads(line) for line in (toy.folder / "failures.jsonl").read_text().splitlines()]
    assert [(f["step"], f["error"]) for f in failures] == [
        ("two", "the disk is full"),
        ("two", "ValueError: seven"),
    ]
    assert float(json.loads((toy.folder / "times.json").read_text())["two"]) >= 0
    toy.steps[1].during = lambda context: None
    assert toy.run() == ["two", "three"]


def test_an_end_that_is_asked_for_is_no_failure(toy):
    toy.steps[0].during = lambda context: context.check_stop()
    with pytest.raises(Stopped, match="iter_0 was stopped; the same command goes on with it"):
        toy.run(stop=lambda: "one" in toy.calls)
    assert not (toy.folder / "failures.jsonl").exists()
    assert toy.standing()["one"] == "begun"
    with pytest.raises(Stopped):
        toy.run(stop=lambda: True)
    assert toy.calls == [], "nothing is begun after somebody asked for an end"


def test_two_do_not_work_on_one_iteration(toy):
    with FileLock(toy.folder / ".lock"), pytest.raises(AtWork, match="another `burnqed iterate run` is at work in"):
        toy.run()
    assert toy.run() == ["one", "two", "three"]


def test_an_error_inside_a_step_is_not_taken_for_a_lock(toy):
    def refused(context: Context) -> None:
        raise PermissionError(13, "Permission denied", "some/file")

    toy.steps[0].during = refused
    with pytest.raises(PermissionError, match="some/file"):
        toy.run()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda m: b"{", "is damaged"),
        (lambda m: m.replace(b'"version": 1', b'"version": 9'), "is of version 9, and this burnqed writes 1"),
        (lambda m: m.replace(b'"iteration": 0', b'"iteration": 4'), "is that of iteration 4, not of 0"),
    ],
)
def test_a_damaged_manifest_is_told_and_nothing_is_run(toy, damage, said):
    toy.run()
    path = toy.folder / "manifest.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=said):
        toy.run()
    assert toy.calls == []
    with pytest.raises(RunError, match=said):
        toy.standing()


def test_a_manifest_that_was_edited_is_not_believed(toy):
    toy.run()
    before = toy.manifest()
    edited = json.loads(before)
    edited["steps"]["two"]["outputs"]["out"] = "something else"
    (toy.folder / "manifest.json").write_text(json.dumps(edited))
    assert toy.standing()["two"] == "changed"
    assert toy.run() == ["two"]
    assert toy.manifest() == before


def test_seconds_add_up_over_goes_and_begin_again_with_other_inputs(toy):
    toy.run()
    times = toy.folder / "times.json"
    times.write_text(json.dumps({"one": "100.0", "two": "7.0", "three": "no number"}))
    (toy.folder / "two" / "out").unlink()
    (toy.folder / "given").write_text("1\n2\n3\n")
    toy.run()
    found = json.loads(times.read_text())
    assert float(found["one"]) < 50, "what was superseded does not count"
    assert float(found["two"]) >= 7


def test_no_files_are_needed_to_say_where_it_stands(toy):
    toy.run()
    Path("theorems.jsonl").unlink()
    assert set(toy.standing().values()) == {"done"}
    with pytest.raises(BadInput, match=r"theorems\.files: theorems\.jsonl is not there"):
        toy.run()


def test_what_the_iteration_before_lacks_keeps_the_next_one_waiting(toy):
    toy.run(until="two")
    later = Toy(toy.folder.with_name("iter_1"), toy.calls, toy.steps)
    later.folder.mkdir()
    (later.folder / "given").write_text("4")
    (later.folder / "recipe.toml").write_text(RECIPE)
    with pytest.raises(BadInput, match=r"iter_0 is not finished \(three\); run"):
        later.run()
    assert set(later.standing().values()) == {"waiting"}
    toy.run()
    assert later.run() == ["one", "two", "three"]


def test_a_model_of_the_iteration_before_that_is_gone_or_another_one_is_told(toy):
    toy.run()
    model = toy.folder / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    manifest = json.loads(toy.manifest())
    manifest["steps"]["export"] = {"key": "k", "inputs": {}, "outputs": {"model": of_model(model)}}
    (toy.folder / "manifest.json").write_text(json.dumps(manifest))
    later = Toy(toy.folder.with_name("iter_1"), toy.calls, toy.steps)
    later.folder.mkdir()
    (later.folder / "given").write_text("4")
    (later.folder / "recipe.toml").write_text(RECIPE)
    (model / "config.json").unlink()
    model.rmdir()
    with pytest.raises(BadInput, match=r"iter_0/model is gone; run `burnqed iterate run .*iter_0`"):
        later.run()
    model.mkdir()
    (model / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(BadInput, match=r"iter_0/model is not what iter_0 finished with; run `burnqed iterate run"):
        later.run()
    (model / "config.json").write_text("{}")
    assert later.run() == ["one", "two", "three"]
