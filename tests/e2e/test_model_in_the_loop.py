"""A language model and an energy head in a real search on real Lean, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import prompt_format
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.trajectory.reader import read_nodes

ROOT = Path(__file__).parents[2]


def burnqed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "burnqed", *arguments], capture_output=True, text=True, check=False, timeout=250
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = make_tiny_model(tmp_path_factory.mktemp("loop") / "model")
    torch.manual_seed(0)
    card = LanguageModel.load(folder).card(prompt_format("markers"))
    save_head(folder / "head", GoalConditionedEnergyHead(HeadConfig(dim=card.dim, hidden=(16, 8))), card)
    return folder


@pytest.mark.lean
@pytest.mark.parametrize("strategy", ["best-first", "puct", "and-or"])
def test_a_proof_with_model_head_and_menu_is_on_record_with_both_terms(lean, model, tmp_path, strategy):
    out = tmp_path / "run"
    statement = "theorem t (p q r : Prop) (hp : p) (hq : q) (hr : r) : (p ∧ q) ∧ r"
    done = burnqed(
        *("prove", statement, "--policy", str(model), "--value", str(model / "head"), "--mix-menu", "0.5"),
        *("--samples", "4", "--strategy", strategy, "--seconds", "120", "--out", str(out), "--json"),
        *("--set", "policy.sampling.max_new_tokens=6", "--set", "policy.sampling.keep_unended=true"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "proved"
    config = json.loads((out / "run.json").read_text())
    assert config["config"]["search"]["strategy"] == strategy
    assert config["models"]["policy"]["prompt_format"] == "markers"
    scored = [row for row in read_nodes(out / "trajectory").to_pylist() if row["energy"] is not None]
    assert scored
    assert all(row["policy_term"] is not None and row["value_term"] is not None for row in scored)


def test_a_head_of_another_encoder_is_one_sentence_and_exit_status_two(model, tmp_path):
    other = make_tiny_model(tmp_path / "other", seed=5)
    done = burnqed(
        "prove", "1 = 1", "--policy", str(other), "--value", str(model / "head"), "--out", str(tmp_path / "r")
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].startswith("burnqed: the energy head in ")
    assert "was made for another encoder: model is" in done.stderr
    assert not (tmp_path / "r" / "run.json").exists(), "nothing was begun"


def test_settings_are_printed_and_a_wrong_one_is_named(tmp_path):
    printed = burnqed("config", "--set", "search.strategy=puct")
    assert printed.returncode == 0
    (tmp_path / "run.toml").write_text(printed.stdout.replace("max_depth", "max_dept"))
    wrong = burnqed("prove", "1 = 1", "--config", str(tmp_path / "run.toml"))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(
        f"burnqed: {tmp_path}/run.toml: unknown key search.max_dept; did you mean search.max_depth?"
    )


@pytest.mark.lean
def test_the_example_runs(lean):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "model_in_the_loop.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("theorem statement : ") == 2
