"""A toy of expert iteration: a dozen theorems, a menu of a few cheap tactics, a model of some ten thousand weights."""

from __future__ import annotations

import json
from pathlib import Path

MENU = """
8 | target ^∀ | intro x
8 | target →|^¬ | intro h
4 | always | omega
3 | always | simp_all
2 | always | decide
2 | target ∧ | constructor
1 | fact ∧ | cases {h}
1 | fact ∀ | exact absurd ({h} 7) (by decide)
"""

THEOREMS = {
    "add_zero_left": "(n : Nat) : 0 + n = n",
    "add_swap": "(a b c : Nat) : a + (b + c) = b + (a + c)",
    "twice": "(n : Nat) : n + n = 2 * n",
    "half_le": "(n : Nat) : n / 2 ≤ n",
    "and_swap": "(p q : Prop) : p ∧ q → q ∧ p",
    "and_assoc_right": "(p q r : Prop) : (p ∧ q) ∧ r → p ∧ (q ∧ r)",
    "or_same": "(p : Prop) : p ∨ p → p",
    "imp_trans": "(p q r : Prop) : (p → q) → (q → r) → p → r",
    "two_bounds": "(n : Nat) : n < n + 1 ∧ n ≤ 2 * n",
    "three_bounds": "(a b : Nat) : a ≤ a + b ∧ b ≤ a + b ∧ a + b = b + a",
    "mod_lt_five": "(n : Nat) : n % 5 < 5",
    "sub_le_self": "(a b : Nat) : a - b ≤ a",
    "int_neg": "(a b : Int) : -(a - b) = b - a",
    "int_order": "(a b : Int) : a < b → a + 1 ≤ b",
    "length_two": ": [1, 2].length = 2",
    "powers": ": 2 ^ 5 = 4 * 8",
    "all_small": ": ∀ n : Nat, n < 5",
}
"""``all_small`` is false, and the menu has what refutes it."""
VALID = ("and_swap", "sub_le_self", "two_bounds", "false_lt")
"""They are searched, and measure, and are not learned from."""
FALSE = {
    "false_sub": "(a b : Nat) : a - b + b = a ∧ a = a",
    "false_lt": "(a b : Nat) : a ≤ b ∧ b ≤ a + 1",
    "false_half": "(n : Nat) : n / 2 + n / 2 = n ∧ 0 ≤ n",
}
HELD_OUT = {
    "held_add": "(a b c d : Nat) : a + b + (c + d) = d + c + (b + a)",
    "held_and": "(p q r : Prop) : p ∧ q ∧ r → r ∧ p",
    "held_bounds": "(n : Nat) : n / 3 ≤ n ∧ n % 3 < 3",
    "held_square": "(a b : Int) : (a + b) * (a + b) = a * a + 2 * a * b + b * b",
}

RECIPE = """
about = "{about}"
[theorems]
files = ["theorems.jsonl"]
refuted = ["false.jsonl"]
[prove.search]
max_tactics = 40
max_nodes = 20
max_seconds = 120.0
candidates = 12
[prove.policy]
menu = "menu.txt"
menu_share = 0.5
[prove.policy.sampling]
samples = 2
max_new_tokens = 12
[prove.lean]
workers = 2
[search]
attempts = [{{temperature = 1.0, seed = 0}}, {{temperature = 1.2, seed = 1}}]
[matchmaker]
negation_share = 0.2
solved_share = 0.1
[rows]
benchmarks = ["held_out.jsonl"]
[train]
mode = "{mode}"
start = "{start}"
[train.joint]
steps = {steps}
save_every = 4
eval_every = 10
[train.joint.batch]
rows = 8
[train.joint.optimizer]
lr = 3e-3
[train.joint.contrastive]
groups = 4
negatives = 2
[train.joint.head]
hidden = [16, 8]
[train.joint.lora]
rank = {rank}
[train.joint.model.fresh]
hidden = 32
layers = 1
heads = 2
kv_heads = 2
intermediate = 64
vocab = 400
max_positions = 256
[train.decoupled]
hidden = [16, 8]
steps = 40
negatives = 2
groups = 8
save_every = 10
eval_every = 10
[calibrate]
theorems = 2
[evaluate]
benchmarks = [{{what = "held_out.jsonl"}}]
[evaluate.search]
max_tactics = 24
"""


def lay_out(folder: Path) -> Path:
    """Write the toy's files into a folder, to be worked on from there; returns the folder of the iterations."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, statements in (("theorems", THEOREMS), ("false", FALSE), ("held_out", HELD_OUT)):
        lines = [
            json.dumps(
                {
                    "name": n,
                    "statement": f"theorem {n} {s} := by sorry",
                    "split": "valid" if n in VALID else "train",
                    "flags": ["refuted"] if name == "false" else [],
                }
            )
            for n, s in statements.items()
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "menu.txt").write_text(MENU.strip() + "\n", encoding="utf-8")
    iterations = folder / "iterations"
    recipes = (
        {"about": "The menu's proofs teach a tiny model.", "mode": "sft", "start": "fresh", "steps": 16, "rank": 0},
        {"about": "Joint training.", "mode": "joint", "start": "previous", "steps": 12, "rank": 4},
    )
    for number, filled in enumerate(recipes):
        place = iterations / f"iter_{number}"
        place.mkdir(parents=True)
        (place / "recipe.toml").write_text(RECIPE.format(**filled), encoding="utf-8")
    return iterations
