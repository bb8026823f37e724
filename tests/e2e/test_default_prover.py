"""Who proves when nobody says so, from the command line: the prover, the menu without torch, and what is on record."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from burnqed.assemble.prover_folder import read_prover
from burnqed.assemble.provers import DEFAULT, SHIPPED, VARIABLE
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import prompt_format
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.trajectory.reader import read_edges

README = Path(__file__).parents[2] / "README.md"
STATEMENT = "theorem t (p q r : Prop) (hp : p) (hq : q) (hr : r) : (p ∧ q) ∧ r"
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from burnqed.cli.main import main; main()"


def burnqed(*arguments: object, prover: Path | str, torch_is_there: bool = True) -> subprocess.CompletedProcess[str]:
    program = ("-m", "burnqed") if torch_is_there else ("-c", WITHOUT_TORCH)
    return subprocess.run(
        [sys.executable, "-W", "error", *program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        env=os.environ | {VARIABLE: str(prover), "COLUMNS": "200"},
    )


@pytest.fixture(scope="module")
def prover(tmp_path_factory) -> Path:
    """A random one, packed by the command."""
    made = tmp_path_factory.mktemp("prover")
    make_tiny_model(made / "model")
    torch.manual_seed(0)
    card = LanguageModel.load(made / "model").card(prompt_format("markers"))
    save_head(made / "head", GoalConditionedEnergyHead(HeadConfig(dim=card.dim, hidden=(16, 8))), card)
    done = burnqed(
        *("models", "pack", made / "model", "--head", made / "head", "--out", made / "tiny", "--name", "tiny"),
        *("--about", "A test.", "--set", "policy.menu_share=0.5", "--set", "policy.sampling.samples=4"),
        *("--set", "policy.sampling.max_new_tokens=6", "--set", "policy.sampling.keep_unended=true"),
        prover="menu",
    )
    assert done.returncode == 0, done.stderr
    return made / "tiny"


@pytest.mark.lean
def test_the_default_prover_proves_is_on_record_and_another_one_does_not_resume_it(lean, prover, tmp_path):
    out = tmp_path / "run"
    command = ("prove", STATEMENT, "--seconds", "120", "--out", out, "--json")
    done = burnqed(*command, prover=prover)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "proved"
    run = json.loads((out / "run.json").read_text())
    assert run["prover"] == {"name": "tiny", "digest": read_prover(prover).digest}
    assert run["config"]["policy"]["model"] == str(prover / "model")
    assert run["config"]["value"]["head"] == str(prover / "head")
    assert set(run["models"]) == {"policy", "value"}
    # The run is over, so this asks only whether it is the same one.
    for other, says in (("menu", "was started with prover = tiny ("), (prover, "")):
        again = burnqed(*command, "--resume", prover=other)
        assert (again.returncode, says in again.stderr) == (2 if says else 0, True), again.stderr
    run["prover"]["digest"] = "of other weights"
    (out / "run.json").write_text(json.dumps(run))
    changed = burnqed(*command, "--resume", prover=prover)
    assert changed.returncode == 2
    assert "was started with prover = tiny (of other weights), not tiny (" in changed.stderr


@pytest.mark.lean
def test_without_torch_the_menu_proves_and_one_line_says_how_to_get_the_model(lean, prover, tmp_path):
    out = tmp_path / "run"
    done = burnqed("prove", "1 = 1", "--out", out, "--json", prover=prover, torch_is_there=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "proved"
    (line,) = done.stderr.splitlines()
    assert line.startswith("burnqed: the menu proves: the model tiny needs torch; ")
    assert "pip install 'burnqed[models]'" in line
    run = json.loads((out / "run.json").read_text())
    assert run["config"]["policy"]["kind"] == "menu"
    assert "prover" not in run


def test_without_torch_a_prover_that_was_asked_for_is_refused_and_the_list_is_whole(prover, tmp_path):
    asked = burnqed("config", "--set", f"policy.model={prover / 'model'}", prover=prover, torch_is_there=False)
    assert (asked.returncode, asked.stderr) == (0, "")
    listed = burnqed("models", "list", "--json", prover=prover, torch_is_there=False)
    assert [json.loads(line)["name"] for line in listed.stdout.splitlines() if json.loads(line)["default"]] == ["tiny"]


def test_config_prints_what_the_default_prover_says(prover):
    printed = burnqed("config", prover=prover)
    assert printed.returncode == 0, printed.stderr
    assert "menu_share = 0.5" in printed.stdout
    assert f'head = "{prover / "head"}"' in printed.stdout
    assert 'kind = "menu"' in burnqed("config", prover="menu").stdout


def test_a_default_that_has_gone_is_one_sentence(tmp_path):
    done = burnqed("prove", "1 = 1", "--out", tmp_path / "run", prover=tmp_path / "gone")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        f"burnqed: the environment variable {VARIABLE}: there is no prover in {tmp_path}/gone"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.lean
def test_an_evaluation_uses_the_default_prover_too(lean, prover, tmp_path):
    (tmp_path / "one.jsonl").write_text(json.dumps({"name": "one", "statement": STATEMENT}) + "\n")
    done = burnqed(
        *("eval", tmp_path / "one.jsonl", "--seconds", "120", "--workers", 1, "--out", tmp_path / "e", "--json"),
        prover=prover,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arms"]["own"]["proved"] == [1]
    (run,) = (tmp_path / "e").rglob("run.json")
    assert json.loads(run.read_text())["config"]["policy"]["model"] == str(prover / "model")


@pytest.mark.lean
@pytest.mark.skipif(not (SHIPPED / DEFAULT).is_file(), reason="no prover is shipped as the default")
def test_whoever_has_chosen_nothing_proves_with_what_comes_along(lean, tmp_path):
    """The README's theorem, as a new user has it: no choice of his own, nothing said in the environment."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    odd_sum = re.search(r'burnqed prove "(theorem odd_sum .*)"', README.read_text(encoding="utf-8"))
    assert odd_sum is not None
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "burnqed", "prove", odd_sum[1], "--out", str(tmp_path / "run"), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        env=environment | {"BURNQED_CONFIG_HOME": str(tmp_path / "no_choice")},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "proved"
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    name = (SHIPPED / DEFAULT).read_text(encoding="utf-8").strip()
    assert run["prover"] == {"name": name, "digest": read_prover(SHIPPED / name).digest}
    assert run["config"]["value"]["kind"] == "head"
    assert read_edges(tmp_path / "run" / "trajectory").num_rows > 0
