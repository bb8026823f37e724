"""Measurements as numbers under dotted names, and the rules that speak of them."""

from __future__ import annotations

import numpy as np

from burnqed.joint.monitoring import (
    RedLines,
    baselines,
    default_rules,
    ebm_metrics,
    flatten,
    seed_rules,
    separation_probe,
)

LOOP = {"loss", "gradient_norm", "temperature"}
"""What the training loop measures itself."""


def measured() -> dict[str, float]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    probe = separation_probe(
        x,
        labels=[i % 2 == 0 for i in range(60)],
        theorems=[f"t{i // 6}" for i in range(60)],
        depths=[i % 7 for i in range(60)],
        texts=[f"⊢ p {i}" for i in range(60)],
    )
    ebm = ebm_metrics(rng.normal(size=(20, 4)), depths=np.arange(20) % 7)
    plain = baselines([["⊢ p", "⊢ q", "⊢ r", "⊢ s"]] * 20, depths=np.tile(np.arange(20)[:, None] % 7, 4))
    return flatten(probe=probe, ebm=ebm, baseline=plain, loss=1.5, note="no number", nothing=None)


def test_nested_figures_have_dotted_names():
    found = measured()
    assert {"ebm.rank_1", "ebm.depth_4_plus.rank_1", "baseline.length.rank_1", "baseline.depth.depth_2_3.gap"} <= set(
        found
    )
    assert found["loss"] == 1.5
    assert not {"note", "nothing"} & set(found)


def test_every_rule_speaks_of_something_that_is_measured():
    assert {rule.metric for rule in (*default_rules(), *seed_rules())} <= set(measured()) | LOOP


def test_a_run_without_groups_is_held_to_its_other_measurements():
    assert flatten(ebm=ebm_metrics(np.zeros((0, 4)), depths=[])) == {}
    assert RedLines(default_rules()).check(5000, {"temperature": 1.0}) == []
