"""A language model and an energy head in the loop, without a download: both random, so they know nothing, but all parts run.

    python examples/model_in_the_loop.py

It makes a small model and a head for it, writes them where `burnqed prove` finds them, and lets them prove two theorems, the
menu's tactics beside the model's. With a trained model in MODEL the last line is the same:

    burnqed prove FILE --policy MODEL --value MODEL/head --mix-menu 0.5
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.energy_head import save_head
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import prompt_format
from burnqed.testing.tiny_model import make_tiny_model


def main() -> int:
    """Make, save, prove."""
    with tempfile.TemporaryDirectory() as scratch:
        model = make_tiny_model(Path(scratch) / "model")
        card = LanguageModel.load(model).card(prompt_format("markers"))
        head = GoalConditionedEnergyHead(HeadConfig(dim=card.dim, hidden=(64, 32)))
        save_head(model / "head", head, card, about={"trained": "not at all"})
        for statement in ("∀ p q : Prop, p ∧ q → q ∧ p", "∀ n : Nat, n * 0 = 0"):
            command = [sys.executable, "-m", "burnqed", "prove", statement, "--seconds", "60"]
            command += ["--policy", str(model), "--value", str(model / "head"), "--mix-menu", "0.5"]
            command += ["--out", str(Path(scratch) / f"run{len(statement)}")]
            if code := subprocess.run(command, check=False).returncode:
                return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
