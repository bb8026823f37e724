"""Two iterations and their comparison from the command line: real Lean, a tiny model, and the same numbers whatever happens."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.e2e.iteration_lab import lay_out

from burnqed.evaluate.record import read_evaluation
from burnqed.iterate.driver import STEPS
from burnqed.iterate.matchmaker import Attempt

pytestmark = [pytest.mark.lean, pytest.mark.timeout(1200)]  # the toy runs twice, once with eighteen kills
ITERATIONS = ("iter_0", "iter_1")
LIMIT_S = 360
"""The toy is to take less than six minutes on two cores."""


@dataclass(frozen=True)
class Loop:
    """A finished toy: where it is, what was printed, how long it took."""

    folder: Path
    seconds: float
    output: str

    def manifest(self, iteration: str) -> bytes:
        return (self.folder / "iterations" / iteration / "manifest.json").read_bytes()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "burnqed", *arguments]


def burnqed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT_S, env=environment()
    )


def environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200"}


@pytest.fixture(scope="module")
def loop(lean, tmp_path_factory) -> Loop:
    folder = tmp_path_factory.mktemp("loop")
    lay_out(folder)
    began_s = time.monotonic()
    done = burnqed(folder, "iterate", "run", *(f"iterations/{i}" for i in ITERATIONS))
    assert done.returncode == 0, done.stderr
    compared = burnqed(folder, "compare", "--iterations", "iterations", "--benchmark", "held_out", "--out", "abc")
    assert compared.returncode == 0, compared.stderr
    return Loop(folder, time.monotonic() - began_s, compared.stdout)


def test_every_step_of_both_iterations_is_done_in_less_than_six_minutes(loop):
    for iteration in ITERATIONS:
        manifest = json.loads(loop.manifest(iteration))
        assert list(manifest["steps"]) == [step.name for step in STEPS]
    assert json.loads(loop.manifest("iter_0"))["steps"]["search"]["told"]["proved"] >= 10
    assert loop.seconds < LIMIT_S


def test_a_false_theorem_is_refuted_by_its_negation_and_searched_no_more(loop):
    history = [
        msgspec.json.decode(line, type=Attempt)
        for i in ITERATIONS
        for line in (loop.folder / "iterations" / i / "search" / "history.jsonl").read_text().splitlines()
    ]
    about = [(a.iteration, a.negated, a.proved) for a in history if a.theorem == "all_small"]
    # Two rounds: it fails, then it fails with a larger budget, and its negation is proved. The second iteration lets it be.
    assert about == [(0, False, False), (0, False, False), (0, True, True)]
    labels = (loop.folder / "iterations/iter_0/labels/states.jsonl").read_text().splitlines()
    roots = [row for row in map(json.loads, labels) if row["theorem"] == "all_small" and row["depth"] == 0]
    assert {row["label"] for row in roots} == {"refuted"}


def test_the_second_iteration_learns_from_the_searches_of_both_and_searches_with_the_first_ones_models(loop):
    runs = {
        r.split("/")[0].removeprefix("run ")
        for r in json.loads(loop.manifest("iter_1"))["steps"]["label"]["inputs"]
        if r.startswith("run ")
    }
    assert runs == set(ITERATIONS)
    run = json.loads((loop.folder / "iterations/iter_1/search/round_0/run.json").read_text())
    assert Path(run["config"]["policy"]["model"]).parts[-2:] == ("iter_0", "model")
    assert Path(run["config"]["value"]["head"]).parts[-2:] == ("iter_0", "head")


def test_theorems_of_the_split_valid_are_searched_and_not_learned_from(loop):
    rows = loop.folder / "iterations/iter_0/rows"
    learned, held = (
        {json.loads(line)["theorem"] for line in (rows / f"sft_{s}.jsonl").read_text().splitlines()}
        for s in ("train", "valid")
    )
    assert "sub_le_self" in held
    assert not learned & {"and_swap", "sub_le_self", "two_bounds"}


def test_a_b_and_c_are_compared_on_the_same_theorems_and_told_in_words(loop):
    found = json.loads((loop.folder / "abc/compare.json").read_text())
    assert list(found["systems"]) == ["A", "B", "C"]
    questions = [v["question"] for v in found["verdicts"]]
    assert any("A → B" in q for q in questions)
    assert any("B → C" in q for q in questions)
    assert any("A → C" in q for q in questions)
    assert "cannot be told apart" in loop.output
    page = (loop.folder / "abc/compare.html").read_text()
    assert "<script" not in page
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", page)
    evaluation = read_evaluation(loop.folder / "iterations/iter_1/evaluation/held_out/joint")
    assert any(any(seeds) for seeds in evaluation.proved("own").values())
    assert evaluation.encoder is not None
    assert evaluation.encoder.pairs.endswith("iter_0/labels/pairs_valid.jsonl")


def test_the_report_and_the_log_tell_of_each_step(loop):
    report = (loop.folder / "iterations/iter_1/report.md").read_text()
    assert all(f"| {step.name} |" in report for step in STEPS)
    assert "Joint training." in report
    log = (loop.folder / "iterations/LOG.md").read_text()
    assert log.index("## iter_1") < log.index("## iter_0")
    assert "burnqed iterate run" in (loop.folder / "iterations/iter_0/README.md").read_text()


def test_a_run_that_is_killed_at_each_step_comes_to_the_same_manifest_and_numbers(loop, tmp_path):
    iterations = lay_out(tmp_path)
    for iteration in ITERATIONS:
        place = iterations / iteration
        for step in STEPS:
            kill_in(step.name, place)
        done = burnqed(tmp_path, "iterate", "run", f"iterations/{iteration}")
        assert done.returncode == 0, done.stderr
        assert (place / "manifest.json").read_bytes() == loop.manifest(iteration)
        assert not list(place.glob("superseded"))
    numbers = []
    for folder in (loop.folder, tmp_path):
        told = burnqed(folder, "compare", "--iterations", "iterations", "--benchmark", "held_out", "--json")
        found = json.loads(told.stdout)
        numbers.append((found["verdicts"], found["shares"], [without_seconds(p) for p in found["pairs"]]))
    assert numbers[0] == numbers[1]


def kill_in(step: str, place: Path) -> None:
    """Start the iteration and send SIGKILL to it and all that it started, soon after the step has begun."""
    began = place / "begun.json"
    process = subprocess.Popen(
        command("iterate", "run", f"iterations/{place.name}"),
        cwd=place.parents[1],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
    )
    try:
        until = time.monotonic() + LIMIT_S
        while not (began.exists() and f'"{step}"' in began.read_text()) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        # Long steps are caught at work; the short ones take some hundredths of a second.
        time.sleep({"search": 3.0, "proofs": 1.5, "train": 1.5, "calibrate": 2.0, "evaluate": 3.0}.get(step, 0.0))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def without_seconds(pair: dict) -> dict:
    """A pair without what depends on the machine."""
    return {name: value for name, value in pair.items() if name not in ("costs", "cost")}


def test_a_change_of_the_recipe_redoes_what_depends_on_it_and_nothing_else(loop, tmp_path):
    recipe = loop.folder / "iterations/iter_0/recipe.toml"
    text = recipe.read_text()
    before = loop.manifest("iter_0")
    try:
        recipe.write_text(text.replace("max_tactics = 24", "max_tactics = 16"))
        standing = json.loads(burnqed(loop.folder, "iterate", "status", "iterations/iter_0", "--json").stdout)
        found = {s["step"]: s["standing"] for s in standing["iterations/iter_0"]}
        assert found == {s.name: "changed" if s.name == "evaluate" else "done" for s in STEPS}
        changed = next(s["changed"] for s in standing["iterations/iter_0"] if s["step"] == "evaluate")
        assert changed == ["settings"]
    finally:
        recipe.write_text(text)
    assert loop.manifest("iter_0") == before
