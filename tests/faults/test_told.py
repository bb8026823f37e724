"""What a person and a script are told of axioms, and of a Lean that proves too much."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.test_canary import CREDULOUS

from burnqed.cli.screen import ProveScreen
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem
from burnqed.observe.fan_out import FanOut
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import DONE, FakeLean, ManualClock, ScriptedPolicy, ToyValue


class Classical(FakeLean):
    """A Lean whose gate finds axioms."""

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        return Verdict(True, axioms=("propext", "Classical.choice"))


async def test_axioms_are_on_record_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lean = Classical({("start", "a"): DONE})
    folder = RunFolder.create(tmp_path, {})
    screen = ProveScreen(1, enabled=False)
    prover = Prover(
        pool=lean,
        gate=lean,
        policy=ScriptedPolicy(default=[("a", -0.1)]),
        value=ToyValue(),
        config=SearchConfig(),
        events=FanOut(folder.trajectory),
        clock=ManualClock(),
        folder=folder,
    )
    (result,) = await prover.prove_all([Theorem("t", "theorem t : True")], screen.show)
    assert result.axioms == ["propext", "Classical.choice"]
    assert json.loads(result.line())["axioms"] == result.axioms, "what --json prints"
    assert json.loads((tmp_path / "results.jsonl").read_text())["axioms"] == result.axioms
    assert "axioms propext, Classical.choice" in capsys.readouterr().err


MAIN = """
import sys
from pathlib import Path
import burnqed.cli.prove as prove
import burnqed.assemble.lean_side as lean_side
from burnqed.cli.main import main
from burnqed.lean.process import Launch, LeanProcess

*options, folder, script = sys.argv[1:]

def spawner(*args, **kwargs):
    launch = Launch((sys.executable, "-S", "-E", "-c", Path(script).read_text(), "all"), {}, "/")
    return lambda: LeanProcess.start(launch, ready_timeout_s=20)

lean_side.spawner, prove.ensure_lean = spawner, lambda *args, **kwargs: None
sys.argv = ["burnqed", "prove", "1 = 2", "--out", folder, *options]
main()
"""


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_lean_that_proves_everything_ends_the_command(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "lean.py").write_text(CREDULOUS)
    command = [sys.executable, "-W", "error", "-c", MAIN, *options, str(tmp_path / "run"), str(tmp_path / "lean.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("burnqed: Lean accepted a proof of (1 + 1 : Nat) = 3 ('rfl'), which is false: ")
    assert not (tmp_path / "run" / "results.jsonl").exists()
    assert list((tmp_path / "run" / "proofs").iterdir()) == []
