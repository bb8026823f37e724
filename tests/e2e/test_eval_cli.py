"""`burnqed eval` as a process on real Lean: what it prints, leaves, goes on with and refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from burnqed.data.manifest import Manifest
from burnqed.evaluate.record import read_evaluation, read_spec
from burnqed.evaluate.sessions import read_sessions

BURNQED = (sys.executable, "-W", "error", "-m", "burnqed")
ENV = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
QUICK = ("--seconds", "60", "--workers", "1")
EASY = {"name": "easy", "statement": "theorem easy (n : Nat) : n + 0 = n := by sorry"}
PAIR = {"name": "pair", "statement": "theorem pair (p q : Prop) (hp : p) (hq : q) : p ∧ q := by sorry"}
FALSE = {"name": "false", "statement": "theorem false (n : Nat) : n * n = n + n := by sorry"}
UNKNOWN = {"name": "unknown", "statement": "theorem unknown : nobody_knows_this = 1 := by sorry"}


def burnqed(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*BURNQED, *map(str, args)], capture_output=True, text=True, timeout=240, cwd=cwd, env=ENV, check=False
    )
    for trouble in ("Traceback", "Exception ignored", "Warning"):
        assert trouble not in done.stderr, done.stderr
    return done


def refused(*args: object, cwd: Path | None = None) -> str:
    """The one sentence of a call that ends with status 2."""
    done = burnqed("eval", *args, cwd=cwd)
    assert done.returncode == 2, done
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert line.startswith("burnqed: ")
    return line


def lines(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.mark.lean
@pytest.mark.usefixtures("lean")
def test_shares_errors_and_report_of_two_arms_and_the_second_call_searches_nothing(tmp_path):
    file, out = lines(tmp_path / "small.jsonl", EASY, PAIR, UNKNOWN), tmp_path / "out"
    done = burnqed("eval", file, *QUICK, "--arms", "own,none,size", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert list(summary["arms"]) == ["own", "none"]
    assert summary["arms"]["own"]["proved"] == summary["arms"]["none"]["proved"] == [2]
    assert {f["theorem"] for f in summary["failed"]} == {"unknown"}
    assert "nobody_knows_this" in summary["failed"][0]["reason"]
    assert (out / "own" / "seed_0" / "proofs" / "easy.lean").exists()
    found = read_evaluation(out)
    results = found.results["own"][0]
    assert results["easy"].spent_s["lean"] > 0
    assert results["easy"].spent_s["gate"] > 0
    assert sum(found.results["none"][0]["pair"].spent_s.values()) <= found.results["none"][0]["pair"].seconds + 0.1
    assert found.spec.command.startswith("burnqed eval ")
    assert found.spec.lean == "4.28.0, embedded"
    assert {(s.arm, s.searches, s.workers) for s in read_sessions(out)} == {("own", 3, 1), ("none", 3, 1)}

    lines(file, EASY, PAIR)
    assert "the benchmark changed since, 1 theorems differ, such as unknown" in refused(file, *QUICK, "--out", out)
    lines(file, EASY, PAIR, UNKNOWN)
    assert "the budget was 800 nodes, 60 s, not 800 nodes, 300 s" in refused(file, "--workers", "1", "--out", out)
    before = (out / "own" / "seed_0" / "results.jsonl").read_text()
    (out / "report.html").unlink()
    again = burnqed("eval", "--report", out)
    assert again.returncode == 0
    assert "policy alone" in again.stdout
    assert "nobody_knows_this" in again.stdout
    assert (out / "report.html").exists()
    assert (out / "own" / "seed_0" / "results.jsonl").read_text() == before


@pytest.mark.lean
@pytest.mark.usefixtures("lean")
def test_ctrl_c_keeps_what_ended_and_the_same_command_goes_on(tmp_path):
    file, out = lines(tmp_path / "small.jsonl", EASY, FALSE), tmp_path / "out"
    args = [*BURNQED, "eval", str(file), "--seconds", "100", "--nodes", "4", "--workers", "1", "--out", str(out)]
    results = out / "own" / "seed_0" / "results.jsonl"
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
    limit = time.monotonic() + 120
    while not (results.exists() and results.read_text()):
        assert time.monotonic() < limit
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopped, 1 searches are to be done; the same command goes on" in err
    assert read_evaluation(out, complete=False).missing == 1
    assert "Not complete" in (out / "report.md").read_text()
    done = subprocess.run(args, capture_output=True, text=True, timeout=200, env=ENV, check=False)
    assert done.returncode == 0, done.stderr
    assert read_evaluation(out).proved("own") == {"easy": [True], "false": [False]}
    assert len(results.read_text().splitlines()) == 2


@pytest.mark.lean
@pytest.mark.usefixtures("lean")
def test_problems_for_mathlib_are_restated_first_and_are_the_same_as_the_restated_file(tmp_path):
    row = {"split": "valid", "header": "import Mathlib\nopen Nat\n"}
    file = lines(
        tmp_path / "v1.jsonl",
        row | {"name": "whole", "formal_statement": "theorem whole (n : ℕ) (h : n = 1) : n + 1 = 2 := by\n"},
        row | {"name": "real", "formal_statement": "theorem real (x : ℝ) : x + 0 = x := by\n"},
    )
    assert "restate it with --kind core" in refused(file, "--out", tmp_path / "no")
    assert not (tmp_path / "no").exists()
    out = tmp_path / "out"
    done = burnqed("eval", file, "--split", "valid", "--kind", "core", *QUICK, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arms"]["own"]["proved"] == [1]
    spec = read_spec(out)
    assert spec.benchmark.name == "v1 valid, core"
    assert "1 of 2 problems can be restated so" in spec.benchmark.notes[0]
    assert burnqed("data", "restate", file, "--kind", "core", "--out", tmp_path / "restated").returncode == 0
    assert Manifest.read(tmp_path / "restated").rows_out == 1
    gone_on = burnqed("eval", tmp_path / "restated" / "core.jsonl", *QUICK, "--out", out, "--json")
    assert gone_on.returncode == 0, gone_on.stderr


@pytest.mark.lean
@pytest.mark.usefixtures("lean")
def test_a_model_with_a_head_is_evaluated_with_its_hashes_and_its_encoders_figures(tmp_path):
    torch = pytest.importorskip("torch")
    from burnqed.core.state import Goal, ProofState
    from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
    from burnqed.joint.energy_head import save_head
    from burnqed.models.language_model import LanguageModel
    from burnqed.prompts.formats import prompt_format
    from burnqed.testing.tiny_model import make_tiny_model

    folder = tmp_path / "iterate" / "iter_0"
    model = make_tiny_model(folder / "model")
    torch.manual_seed(0)
    card = LanguageModel.load(model).card(prompt_format("markers"))
    save_head(folder / "head", GoalConditionedEnergyHead(HeadConfig(dim=card.dim, hidden=(16, 8))), card)

    def text(claim: str) -> str:
        return ProofState((Goal((), claim),)).text

    pairs = lines(
        tmp_path / "pairs.jsonl",
        *(
            {
                "tier": "hard",
                "why": "refuted",
                "theorem": f"t{i}",
                "goal": text(f"{i} = {i}"),
                "positive": text(f"{i} + 0 = {i}"),
            }
            | {
                "depth": 1,
                "remaining": 1,
                "negative_theorem": f"t{i}",
                "negative_goal": text(f"{i} = {i}"),
                "parent": "",
            }
            | {"negative": text(f"{i} = {i + 1}"), "negative_depth": 1, "split": "valid", "searches": ["a", "b"]}
            for i in range(6)
        ),
    )
    file, out = lines(tmp_path / "small.jsonl", PAIR), tmp_path / "out"
    args = ("eval", file, "--nodes", "2", *QUICK, "--preset", "A", "--iterations", folder.parent, "--pairs", pairs)
    args += ("--mix-menu", "0.9", "--samples", "2", "--set", "policy.sampling.max_new_tokens=4", "--out", out, "--json")
    done = burnqed(*args)
    assert done.returncode == 0, done.stderr
    found = read_evaluation(out)
    assert found.spec.system.prompt_format == "markers"
    assert found.spec.system.models["policy"]["model"] == card.model
    assert {"head", "menu", "value"} <= set(found.spec.system.models)
    assert found.encoder is not None
    assert found.encoder.figures["ebm.groups"] == 6
    assert json.loads(done.stdout)["encoder"] == found.encoder.figures
    assert "ebm.rank_1" in (out / "report.md").read_text()
    make_tiny_model(model, seed=5)
    assert "was made for another encoder" in refused(*args[1:])


def test_what_cannot_be_evaluated_is_one_sentence_before_lean_is_started(tmp_path):
    file = lines(tmp_path / "small.jsonl", EASY)
    twice = lines(tmp_path / "twice.jsonl", EASY, EASY)
    out = ("--out", tmp_path / "out")
    for args, says in (
        ((), "give a benchmark and --out FOLDER"),
        ((file,), "give a benchmark and --out FOLDER"),
        ((file, *out, "--arms", "own,head"), "there is no arm head"),
        ((file, *out, "--shard", "3/2"), "--shard 3/2"),
        ((file, *out, "--preset", "A"), "--preset and --iterations belong together"),
        ((file, *out, "--preset", "C", "--iterations", tmp_path), "and there is no"),
        ((file, *out, "--preset", "C", "--iterations", tmp_path, "--policy", "menu"), "leave --policy and --value out"),
        ((file, *out, "--unfold"), "--unfold belongs to --kind"),
        ((file, *out, "--pairs", file), "the policy is menu"),
        ((file, *out, "--set", "search.max_node=3"), "unknown key search.max_node"),
        (("--report", tmp_path), "holds no evaluation"),
    ):
        assert says in refused(*args), args
    assert "more than once" in refused(twice, *out)
    assert "no such file or folder" in refused("nothing.jsonl", *out)
    assert not (tmp_path / "out").exists()
