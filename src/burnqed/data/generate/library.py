"""Laws in the manner of the library's own, with numbers put for some of their variables."""

from __future__ import annotations

import random

from burnqed.data.generate.arithmetic import arithmetic
from burnqed.data.generate.draft import Draft, Script, names

FAMILY = "library"
_LAWS: tuple[tuple[str, str, str, str], ...] = (
    # domains, hypotheses (divided by ;), goal, a term or a tactic that proves it where one is known
    ("Nat", "K ≤ x", "x - K + K = x", "exact Nat.sub_add_cancel {h1}"),
    ("Nat", "", "x + K - K = x", "exact Nat.add_sub_cancel"),
    ("Nat", "", "x - K - L = x - (K + L)", "exact Nat.sub_sub x K L"),
    ("Nat", "y ≤ x", "x - y = 0 ↔ x = y", ""),
    ("Nat", "x < y", "x + 1 ≤ y", "exact {h1}"),
    ("Nat", "x ≤ y", "K * x ≤ K * y", "exact Nat.mul_le_mul_left K {h1}"),
    ("Nat", "x < y", "K * x < K * y", "exact Nat.mul_lt_mul_of_pos_left {h1} (by decide)"),
    ("Nat", "x ≤ y", "x ^ K ≤ y ^ K", "exact Nat.pow_le_pow_left {h1} K"),
    ("Nat", "x ≤ y", "B ^ x ≤ B ^ y", "exact Nat.pow_le_pow_right (by decide) {h1}"),
    ("Nat", "", "x ^ K * x ^ L = x ^ (K + L)", "rw [← Nat.pow_add]"),
    ("Nat", "", "(x ^ K) ^ L = x ^ (K * L)", "rw [← Nat.pow_mul]"),
    ("Nat", "", "(x * y) ^ K = x ^ K * y ^ K", "exact Nat.mul_pow x y K"),
    ("Nat", "", "K * x / K = x", "exact Nat.mul_div_cancel_left x (by decide)"),
    ("Nat", "", "(x + K * y) / K = x / K + y", "exact Nat.add_mul_div_left x y (by decide)"),
    ("Nat", "", "(x + K * y) % K = x % K", "exact Nat.add_mul_mod_self_left x K y"),
    ("Nat", "", "x / K / L = x / (K * L)", "exact Nat.div_div_eq_div_mul x K L"),
    ("Nat", "", "K * (x / K) + x % K = x", "exact Nat.div_add_mod x K"),
    ("Nat", "", "x % K < K", "exact Nat.mod_lt x (by decide)"),
    ("Nat", "", "x / K ≤ x", "exact Nat.div_le_self x K"),
    ("Nat", "x < K", "x % K = x", "exact Nat.mod_eq_of_lt {h1}"),
    ("Nat", "x < K", "x / K = 0", "exact Nat.div_eq_of_lt {h1}"),
    ("Nat", "K ∣ x", "x % K = 0", "exact Nat.mod_eq_zero_of_dvd {h1}"),
    ("Nat", "K ∣ x", "K * (x / K) = x", "exact Nat.mul_div_cancel' {h1}"),
    ("Nat", "x ∣ y; 0 < y", "x ≤ y", "exact Nat.le_of_dvd {h2} {h1}"),
    ("Nat", "x ∣ y; y ∣ z", "x ∣ z", "exact Nat.dvd_trans {h1} {h2}"),
    ("Nat", "x ∣ y; y ∣ x", "x = y", "exact Nat.dvd_antisymm {h1} {h2}"),
    ("Nat", "x * y = 0", "x = 0 ∨ y = 0", "exact Nat.mul_eq_zero.mp {h1}"),
    ("Nat", "K * x = K * y", "x = y", "exact Nat.eq_of_mul_eq_mul_left (by decide) {h1}"),
    ("Nat", "x * x = y * y", "x = y", "exact Nat.mul_self_inj.mp {h1}"),
    ("Nat", "x < B", "B ^ x < B ^ B", "exact Nat.pow_lt_pow_right (by decide) {h1}"),
    ("Nat", "x + K ≤ y", "x ≤ y - K", "exact Nat.le_sub_of_add_le {h1}"),
    ("Nat", "", "min x (x + K) = x", "exact Nat.min_eq_left (Nat.le_add_right x K)"),
    ("Nat", "", "x < 2 ^ x", "exact Nat.lt_two_pow_self"),
    ("Nat Int", "x = y + K", "x - y = K", ""),
    ("Nat Int", "", "(x + K) * (y + L) = x * y + L * x + K * y + K * L", ""),
    ("Int", "", "x - y - K = x - (y + K)", "exact Int.sub_sub x y K"),
    ("Int", "", "-(x - y) = y - x", "exact Int.neg_sub x y"),
    ("Int", "", "-x * -y = x * y", "exact Int.neg_mul_neg x y"),
    ("Int", "", "K * (x - y) = K * x - K * y", "exact Int.mul_sub K x y"),
    ("Int", "x < y", "-y < -x", "exact Int.neg_lt_neg {h1}"),
    ("Int", "x ≤ y", "x - K ≤ y - K", "exact Int.sub_le_sub_right {h1} K"),
    ("Int", "0 ≤ x; 0 ≤ y", "0 ≤ K * x * y", "exact Int.mul_nonneg (Int.mul_nonneg (by decide) {h1}) {h2}"),
    ("Int", "x * y = 0", "x = 0 ∨ y = 0", "exact Int.mul_eq_zero.mp {h1}"),
    ("Int", "", "K * (x / K) + x % K = x", "exact Int.mul_ediv_add_emod x K"),
    ("Int", "", "0 ≤ x % K", "exact Int.emod_nonneg x (by decide)"),
    ("Int", "", "x % K < K", "exact Int.emod_lt_of_pos x (by decide)"),
    ("Int", "", "(x + K * y) % K = x % K", "exact Int.add_mul_emod_self_left x K y"),
    ("Int", "K ∣ x; K ∣ y", "K ∣ x - y", "exact Int.dvd_sub {h1} {h2}"),
    ("Int", "K ∣ x", "K ∣ -x", "exact Int.dvd_neg.mpr {h1}"),
    ("Int", "", "x ^ K * x ^ L = x ^ (K + L)", "rw [← Int.pow_add]"),
    ("Rat", "", "x * K / K = x", "exact Rat.mul_div_cancel (by decide)"),
    ("Rat", "", "K * (x - y) = K * x - K * y", "exact Rat.mul_sub K x y"),
    ("Rat", "x < y", "K * x < K * y", ""),
    ("Rat", "x ≤ y", "x / K ≤ y / K", ""),
    ("Rat", "", "(x + y) / K = x / K + y / K", "exact Rat.add_div x y K"),
    ("Rat", "x < y", "x < (x + y) / 2", ""),
    ("Rat", "x < y", "(x + y) / 2 < y", ""),
    ("Rat", "x = y / K", "K * x = y", ""),
    ("Rat", "0 < x", "0 < x / K", ""),
    ("Rat", "0 ≤ x; 0 ≤ y", "0 ≤ x * y", "exact Rat.mul_nonneg {h1} {h2}"),
    ("Rat", "x * y = 0", "x = 0 ∨ y = 0", "exact Rat.mul_eq_zero.mp {h1}"),
)


def draft(rng: random.Random, false: bool) -> Draft:
    """A law of the table, its K, L and B (B ≥ 2) made numbers, its variables renamed, now and then one of them shifted."""
    domains, hypotheses, goal, proof = rng.choice(_LAWS)
    domain = rng.choice(domains.split())
    facts = [h.strip() for h in hypotheses.split(";") if h.strip()]
    small = "^" in goal
    numbers = {
        "K": rng.randint(2, 4 if small else 12),
        "L": rng.randint(1, 3 if small else 12),
        "B": rng.randint(2, 6),
    }
    renamed = dict(zip(("x", "y", "z"), names(rng, 3), strict=True))
    shift = rng.randint(1, 9) if rng.random() < 0.25 and not small else 0
    table = {**{k: str(v) for k, v in numbers.items()}, **renamed}
    if shift:
        table["x"] = f"({renamed['x']} + {shift})"
    used = [new for old, new in renamed.items() if any(old in _tokens(t) for t in (*facts, goal))]
    plain = {**table, "x": renamed["x"]}
    scripts: list[Script] = []
    if proof:
        scripts.append((_put(proof, table if "exact" in proof else plain),))
    return arithmetic(
        rng,
        family=FAMILY,
        template=f"{hypotheses} ⊢ {goal}" if hypotheses else goal,
        domain=domain,
        variables=[(used, domain)],
        hypotheses=[_put(f, table) for f in facts],
        goal=_put(goal, table),
        false=false,
        parameters={k: v for k, v in numbers.items() if k in goal or k in hypotheses},
        scripts=scripts,
    )


def _tokens(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text).split()


def _put(text: str, table: dict[str, str]) -> str:
    """The text with whole words replaced; ``{h1}`` and names with dots are no such words."""
    out, word = "", ""
    for c in [*text, ""]:
        if c and (c.isalnum() or c in "._'{}"):
            word += c
            continue
        out += table.get(word, word) + c
        word = ""
    return out
