"""What a calibration is fitted to: states of real searches over a fake Lean, as the record has them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from burnqed.cli.main import app
from burnqed.core.errors import BadInput
from burnqed.core.theorem import Theorem
from burnqed.data.manifest import Manifest
from burnqed.data.scored_states import scored_states
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue

TABLE = {("start", "a"): "good", ("start", "b"): "bad", ("bad", "a"): "worse", ("good", "b"): DONE}
VALUE = ToyValue({"good": 0.5, "bad": 1.5, "worse": 2.5})


async def run(path, theorems: list[str], **search: float) -> None:
    config = SearchConfig(**search)
    folder = RunFolder.create(path, {"config": {"search": config.model_dump(mode="json")}})
    lean = FakeLean(TABLE)
    prover = Prover(
        pool=lean,
        gate=lean,
        policy=ScriptedPolicy(default=[("a", -0.5), ("b", -1.0)]),
        value=VALUE,
        config=config,
        events=FanOut(folder.trajectory, RecordingSink()),
        clock=ManualClock(),
        folder=folder,
    )
    await prover.prove_all([Theorem(name, f"theorem {name} : True") for name in theorems], lambda result: None)


def scored(*paths):
    return scored_states(paths, Manifest(step="test"))


async def test_states_with_a_proof_are_told_from_those_without(tmp_path):
    await run(tmp_path / "run", ["one", "two"])
    states = scored(tmp_path / "run")
    assert states.theorems == 2
    by_energy = dict(zip(states.energies, states.proved, strict=True))
    assert by_energy[0.5] is True
    assert by_energy[1.5] is False


async def test_terms_come_without_the_weight_that_the_run_gave_them(tmp_path):
    await run(tmp_path / "plain", ["one"])
    await run(tmp_path / "weighted", ["one"], policy_weight=2.0, value_weight=2.0)
    assert scored(tmp_path / "weighted").policy_terms == pytest.approx(scored(tmp_path / "plain").policy_terms)


async def test_a_run_whose_policy_had_no_weight_is_refused(tmp_path):
    await run(tmp_path / "run", ["one"], policy_weight=0.0)
    with pytest.raises(BadInput, match=r"was run with search\.policy_weight = 0"):
        scored(tmp_path / "run")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is not the folder of a run"):
        scored(tmp_path)


async def test_the_command_says_when_there_are_too_few_and_prints_what_it_fits(tmp_path):
    await run(tmp_path / "few", ["one"])
    outcome = CliRunner().invoke(app, ["calibrate", str(tmp_path / "few")])
    assert isinstance(outcome.exception, BadInput)
    assert "at least 20 states with a proof and 20 without" in str(outcome.exception)
    await run(tmp_path / "many", [f"t{i}" for i in range(30)])
    outcome = CliRunner().invoke(app, ["calibrate", str(tmp_path / "many"), "--json"])
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.output)
    assert (found["theorems"], found["proved"]) == (30, 30)
    assert found["calibration"]["slope"] > 0
    assert found["log_loss"] < found["base_log_loss"]
    outcome = CliRunner().invoke(app, ["calibrate", str(tmp_path / "many")])
    assert "P(proved | energy) = sigmoid(" in outcome.output


async def test_the_command_writes_diagrams_and_everything_in_them(tmp_path):
    await run(tmp_path / "fitted", [f"t{i}" for i in range(40)])
    await run(tmp_path / "other", [f"u{i}" for i in range(5)])
    folders, out = [str(tmp_path / "fitted"), "--check", str(tmp_path / "other")], tmp_path / "report"
    outcome = CliRunner().invoke(app, ["calibrate", *folders])
    assert "give --out with it" in str(outcome.exception)
    outcome = CliRunner().invoke(app, ["calibrate", *folders, "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert "calibration.html" in outcome.output.replace("\n", "")
    kept = json.loads((out / "calibration.json").read_text())
    assert kept["calibration"]["slope"] > 0
    assert kept["check"] == [str(tmp_path / "other")]
    assert kept["shown"]["theorems"] == 5
    assert set(kept["shown"]["by"]) == {"policy", "value", "both", "base rate"}
    assert "<svg" in (out / "calibration.html").read_text()


async def test_states_know_their_theorem(tmp_path):
    await run(tmp_path / "run", ["one", "two"])
    states = scored(tmp_path / "run")
    assert len(states.names) == len(states.energies)
    assert set(states.names) == {"one", "two"}


async def test_runs_of_different_values_are_refused(tmp_path):
    for name, value in (("one", "size"), ("two", "none")):
        await run(tmp_path / name, ["t"])
        about = json.loads((tmp_path / name / "run.json").read_text())
        about["config"]["value"] = {"kind": value}
        (tmp_path / name / "run.json").write_text(json.dumps(about))
    with pytest.raises(BadInput, match=r"two was run with the value none, .*one with size; calibrate one at a time"):
        scored(tmp_path / "one", tmp_path / "two")
