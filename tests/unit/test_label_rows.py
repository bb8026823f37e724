"""Files of labels: made by the command from the records of real searches over a fake Lean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from burnqed.cli.main import app
from burnqed.core.calibration import Calibration
from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput
from burnqed.core.theorem import Theorem
from burnqed.data.label_rows import ELSEWHERE
from burnqed.data.manifest import Manifest
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, RecordingSink, ScriptedPolicy, ToyValue

TABLE = {("start", "a"): "good", ("start", "b"): "bad", ("bad", "a"): "worse", ("good", "b"): DONE}
ENERGIES = {"start": 1.0, "good": 0.5, "bad": 1.5, "worse": 2.5}
BENCHMARK = {"name": "amc_1", "statement": "theorem amc_1 (x : Nat) : x ^ 9 = 512"}


async def run(path: Path, names: list[str], table: dict, **search: float) -> Path:
    config = SearchConfig(**search)
    folder = RunFolder.create(path, {"config": {"search": config.model_dump(mode="json")}})
    lean = FakeLean(table)
    prover = Prover(
        pool=lean,
        gate=lean,
        policy=ScriptedPolicy(default=[("a", -0.5), ("b", -1.0)]),
        value=ToyValue(ENERGIES),
        config=config,
        events=FanOut(folder.trajectory, RecordingSink()),
        clock=ManualClock(),
        folder=folder,
    )
    await prover.prove_all([Theorem(name, f"theorem {name} : True") for name in names], lambda result: None)
    return path


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    path = tmp_path / "bench.jsonl"
    path.write_text(json.dumps(BENCHMARK) + "\n")
    return path


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"calibration": {"intercept": 0.0, "slope": 1.0}}))
    return path


def labels(out: Path, *arguments: object) -> list[dict]:
    done = CliRunner().invoke(app, ["data", "labels", *map(str, arguments), "--out", str(out)])
    if done.exception is not None:
        raise done.exception
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in out.read_text().splitlines()]


async def test_a_line_for_every_open_state_and_an_account_beside_them(tmp_path, benchmarks):
    path = await run(tmp_path / "run", ["t"], TABLE)
    rows = labels(tmp_path / "l.jsonl", path, "--benchmarks", benchmarks)
    by_state = {row["state"]: row for row in rows}
    assert by_state["⊢ start"] == {
        "theorem": "t",
        "search": "run",
        "goal": "⊢ start",
        "state": "⊢ start",
        "label": "proved",
        "depth": 0,
        "remaining": 2,
        "visits": 4,
        "target": 1.0,
        "energy": 1.0,
        "split": by_state["⊢ good"]["split"],
    }
    bad = by_state["⊢ bad"]
    assert (bad["label"], bad["remaining"], bad["visits"], bad["target"], bad["energy"]) == (
        "unknown",
        None,
        0,
        None,
        1.5,
    )
    kept = Manifest.read(tmp_path / "l.manifest.json")
    assert (kept.rows_in, kept.rows_out) == (1, len(rows))
    assert kept.noted["state proved"].count == 2
    assert kept.settings["kept out"] == "1 of bench"


async def test_unknown_states_have_targets_once_it_is_said_what_energies_mean(tmp_path, benchmarks, calibration):
    path = await run(tmp_path / "run", ["t"], {**TABLE, ("good", "b"): "else"}, max_nodes=2)
    without = labels(tmp_path / "a.jsonl", path, "--benchmarks", benchmarks, "--min-visits", 0)
    assert {row["target"] for row in without} == {None}
    scale = ("--calibration", calibration, "--benchmarks", benchmarks)
    found = {row["state"]: row for row in labels(tmp_path / "b.jsonl", path, *scale, "--min-visits", 2)}
    assert {row["label"] for row in found.values()} == {"unknown"}
    assert all((row["target"] is None) == (row["visits"] < 2) for row in found.values())
    assert 0.0 < found["⊢ start"]["target"] < 1.0
    assert Manifest.read(tmp_path / "b.manifest.json").noted["unknown state with a target"].count >= 2


async def test_states_of_a_false_theorem_are_worth_nothing(tmp_path, benchmarks):
    path = await run(tmp_path / "run", ["t"], {("start", "a"): "bad"}, max_nodes=1)
    (tmp_path / "refuted.jsonl").write_text('{"name": "t", "statement": "s", "flags": ["refuted"]}\n')
    rows = labels(tmp_path / "l.jsonl", path, "--benchmarks", benchmarks, "--refuted", tmp_path / "refuted.jsonl")
    assert {(row["label"], row["target"]) for row in rows} == {("refuted", 0.0)}
    assert len(rows) == 2


async def test_what_is_proved_elsewhere_gets_no_row_that_says_anything_else(tmp_path, benchmarks):
    good = await run(tmp_path / "good", ["t"], TABLE)
    vain = await run(tmp_path / "vain", ["u"], {("start", "a"): "good"})
    rows = labels(tmp_path / "l.jsonl", good, vain, "--benchmarks", benchmarks)
    assert {row["label"] for row in rows if row["state"] == "⊢ good"} == {"proved"}
    assert Manifest.read(tmp_path / "l.manifest.json").dropped_for("rows", ELSEWHERE) == 2
    traced = tmp_path / "traced.jsonl"
    traced.write_text(
        json.dumps({"theorem": "x", "source": "s", "state_before": "⊢ good", "tactic": "b", "state_after": ""})
    )
    rows = labels(tmp_path / "m.jsonl", vain, "--benchmarks", benchmarks, "--proved", traced)
    assert [row["state"] for row in rows] == ["⊢ start"]


async def test_a_benchmark_is_kept_out(tmp_path, benchmarks):
    path = await run(tmp_path / "run", ["amc_1", "t"], TABLE)
    rows = labels(tmp_path / "l.jsonl", path, "--benchmarks", benchmarks)
    assert {row["theorem"] for row in rows} == {"t"}
    assert Manifest.read(tmp_path / "l.manifest.json").dropped_for("decontaminate", "name") == 1


async def test_the_file_is_the_same_each_time(tmp_path, benchmarks, calibration):
    path = await run(tmp_path / "run", ["t", "u"], TABLE)
    for name in ("a", "b"):
        labels(tmp_path / f"{name}.jsonl", path, "--benchmarks", benchmarks, "--calibration", calibration)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


async def test_what_cannot_be_used_is_one_sentence(tmp_path, benchmarks, calibration):
    path = await run(tmp_path / "run", ["t"], TABLE)
    (tmp_path / "other.json").write_text("{}")
    common = (path, "--benchmarks", benchmarks)
    with pytest.raises(BadInput, match="holds no calibration"):
        labels(tmp_path / "l.jsonl", *common, "--calibration", tmp_path / "other.json")
    with pytest.raises(BadInput, match="not both"):
        labels(tmp_path / "l.jsonl", *common, "--calibration", calibration, "--head", tmp_path)
    with pytest.raises(BadInput, match=r"ends in \.jsonl"):
        labels(tmp_path / "labels", *common)
    with pytest.raises(BadInput, match="not the folder of a run"):
        labels(tmp_path / "l.jsonl", tmp_path, "--benchmarks", benchmarks)
    assert not (tmp_path / "l.jsonl").exists()


async def test_the_calibration_of_a_head_says_what_energies_mean(tmp_path, benchmarks):
    path = await run(tmp_path / "run", ["t"], {("start", "a"): "bad"}, max_nodes=1)
    head, card = GoalConditionedEnergyHead(HeadConfig(dim=4, hidden=(4,))), EncoderCard("m", "t", "markers", 4, 512)
    save_head(tmp_path / "head", head, card)
    common = (path, "--benchmarks", benchmarks, "--head", tmp_path / "head", "--min-visits", 1)
    with pytest.raises(BadInput, match="has no calibration yet; `burnqed calibrate RUN --head"):
        labels(tmp_path / "l.jsonl", *common)
    save_head(tmp_path / "head", head, card, calibration=Calibration(1.0, 1.0))
    targets = {row["state"]: row["target"] for row in labels(tmp_path / "l.jsonl", *common)}
    assert targets == {"⊢ start": pytest.approx(0.5), "⊢ bad": None}
