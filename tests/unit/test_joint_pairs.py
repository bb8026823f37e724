"""Files of pairs as groups, and the negatives that are drawn for them."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import numpy as np
import pytest

from burnqed.core.errors import BadInput
from burnqed.data.contrastive import ContrastivePair
from burnqed.data.manifest import Manifest
from burnqed.joint.pairs import (
    AGAIN,
    EMPTY,
    FILLED,
    FOREIGN,
    PROVED,
    REPEATED,
    SPLITS,
    Group,
    Negative,
    NegativeSampler,
    read_groups,
)


def pair(positive="⊢ p", negative="⊢ n", tier="hard", theorem="t", other="", split="train", **more):
    other = other or theorem
    row = {
        "tier": tier,
        "why": "refuted",
        "theorem": theorem,
        "goal": f"⊢ {theorem}",
        "positive": positive,
        "depth": 2,
        "remaining": 3,
        "negative_theorem": other,
        "negative_goal": f"⊢ {other}",
        "negative": negative,
        "negative_depth": 1,
        "parent": "",
        "split": split,
        "searches": ("a", "b"),
    } | more
    return msgspec.convert(row, ContrastivePair)


def read(tmp_path, *rows):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"\n".join(r if isinstance(r, bytes) else msgspec.json.encode(r) for r in rows) + b"\n")
    manifest = Manifest(step="test")
    groups = read_groups([path], manifest)
    manifest.check()
    return groups, manifest


def group(name, *tiers, split="train", positive="⊢ p"):
    """A group whose negatives are called after their tier and number; easy ones come from theorem ``far``."""
    negatives = [
        Negative("far" if t == "easy" else name, f"⊢ {name}", f"⊢ {name} {t} {i}", i, t) for i, t in enumerate(tiers)
    ]
    return Group(name, f"⊢ {name}", f"{positive} {name}", 1, 1, split, tuple(negatives))


def test_pairs_of_one_positive_for_one_goal_are_a_group(tmp_path):
    groups, manifest = read(
        tmp_path,
        pair(negative="⊢ a"),
        pair(positive="⊢ q", negative="⊢ a", tier="medium"),
        pair(negative="⊢ b", tier="easy", other="u"),
    )
    assert [(g.positive, [(n.state, n.tier, n.theorem) for n in g.negatives]) for g in groups] == [
        ("⊢ p", [("⊢ a", "hard", "t"), ("⊢ b", "easy", "u")]),
        ("⊢ q", [("⊢ a", "medium", "t")]),
    ]
    assert manifest.rows_out == 3
    assert groups[0].negatives[1].goal == "⊢ u"
    assert (groups[0].depth, groups[0].remaining, groups[0].negatives[0].depth) == (2, 3, 1)


def test_a_text_that_is_a_positive_anywhere_is_no_negative(tmp_path):
    groups, manifest = read(tmp_path, pair(negative="⊢ q"), pair(positive="⊢ q", theorem="u"))
    assert [len(g.negatives) for g in groups] == [0, 1]
    assert manifest.dropped_for("read", PROVED) == 1


def test_a_pair_that_comes_twice_keeps_the_harder_tier_and_the_nearer_positive(tmp_path):
    groups, manifest = read(tmp_path, pair(tier="medium", remaining=5), pair(tier="hard", remaining=4))
    assert [n.tier for n in groups[0].negatives] == ["hard"]
    assert groups[0].remaining == 4
    assert manifest.dropped_for("read", AGAIN) == 1


def test_rows_that_cannot_be_used_are_counted_under_their_reason(tmp_path):
    fine = msgspec.json.encode(pair())
    lacking = {k: v for k, v in json.loads(fine).items() if k != "goal"}
    groups, manifest = read(
        tmp_path,
        fine,
        fine[:40],
        json.dumps(lacking).encode(),
        pair(negative=" "),
        pair(negative="⊢ c", split="valid"),
    )
    assert len(groups) == 1
    assert {k: c.count for k, c in manifest.dropped["read"].items()} == {
        "truncated JSON": 1,
        "missing field": 1,
        EMPTY: 1,
        SPLITS: 1,
    }


def test_tiers_come_by_their_shares():
    groups = [group("t", *["hard"] * 9, *["medium"] * 9, *["easy"] * 9)]
    sampler = NegativeSampler(groups, {"hard": 1, "medium": 2, "easy": 1}, seed=0)
    counts = Counter()
    for step in range(300):
        drawn = sampler.draw(groups[0], 6, step=step)
        assert len({n.state for n in drawn}) == 6
        tiers = Counter(n.tier for n in drawn)
        assert 1 <= tiers["hard"] <= 2
        assert tiers["medium"] == 3
        counts.update(tiers)
    assert counts["hard"] == pytest.approx(450, abs=50)
    assert not sampler.tally.counts


def test_every_negative_of_a_tier_is_drawn_equally_often():
    groups = [group("t", *["hard"] * 5)]
    sampler = NegativeSampler(groups, {"hard": 1}, seed=1)
    counts = Counter(n.state for step in range(1000) for n in sampler.draw(groups[0], 2, step=step))
    assert all(count == pytest.approx(400, abs=60) for count in counts.values())


def test_what_is_drawn_depends_on_seed_group_and_step_alone():
    groups = [group(name, *["hard"] * 6, *["easy"] * 6) for name in "abcd"]
    ratios = {"hard": 1, "easy": 1}
    sampler = NegativeSampler(groups, ratios, seed=3)
    backwards = NegativeSampler(groups[::-1], ratios, seed=3)
    many = sampler.draw_many(np.array([3, 0]), 4, step=7)
    assert [sampler.candidates[i] for i in many[1]] == backwards.draw(groups[0], 4, step=7)
    assert sampler.draw(groups[0], 4, step=7) == backwards.draw(groups[0], 4, step=7)
    assert sampler.draw(groups[0], 4, step=7) != sampler.draw(groups[0], 4, step=8)
    assert sampler.draw(groups[0], 4, step=7) != NegativeSampler(groups, ratios, seed=4).draw(groups[0], 4, step=7)


def test_other_tiers_fill_before_other_theorems():
    groups = [group("t", "hard", "medium", "easy"), group("u", *["hard"] * 8)]
    sampler = NegativeSampler(groups, {"hard": 1, "easy": 1}, seed=0)
    for step in range(20):
        drawn = sampler.draw(groups[0], 5, step=step)
        assert {n.tier for n in drawn[:3]} == {"hard", "medium", "easy"}
        assert [(n.theorem, n.tier) for n in drawn[3:]] == [("u", "easy")] * 2
        assert len({n.state for n in drawn}) == 5
    assert sampler.tally.counts[FOREIGN] == 40
    assert sampler.tally.counts[FILLED] > 0


def test_a_tier_without_a_share_fills_last_of_the_own():
    groups = [group("t", "hard", "medium", "easy", "easy")]
    sampler = NegativeSampler(groups, {"hard": 1, "easy": 1}, seed=0)
    assert all("medium" not in {n.tier for n in sampler.draw(groups[0], 3, step=step)} for step in range(20))


def test_a_tiny_set_repeats_and_says_so():
    groups = [group("t", "hard"), group("u", "hard"), group("v")]
    sampler = NegativeSampler(groups, {"hard": 1}, seed=0)
    for g in groups:
        drawn = sampler.draw(g, 7, step=0)
        assert len(drawn) == 7
        assert len({n.state for n in drawn}) == 2
    assert sampler.tally.counts[REPEATED] == 15


def test_splits_never_lend_to_each_other():
    groups = [group("t", "hard"), group("u", *["hard"] * 9, split="valid"), group("w", "hard")]
    sampler = NegativeSampler(groups, {"easy": 1}, seed=0)
    assert {n.theorem for step in range(30) for n in sampler.draw(groups[0], 4, step=step)} == {"t", "w"}


def test_all_positive_labels_are_bad_input():
    with pytest.raises(BadInput, match="all labels of the valid split are positive"):
        NegativeSampler([group("t", "hard"), group("u", split="valid")], {"hard": 1}, seed=0)


def test_no_groups_are_bad_input():
    with pytest.raises(BadInput, match="no groups"):
        NegativeSampler([], {"hard": 1}, seed=0)


@pytest.mark.parametrize("ratios", [{}, {"hard": 0}, {"hard": -1, "easy": 2}, {"soft": 1}, {"hard": float("nan")}])
def test_shares_that_make_no_sense_are_bad_input(ratios):
    with pytest.raises(BadInput, match="tier"):
        NegativeSampler([group("t", "hard")], ratios, seed=0)


def test_other_shares_over_the_same_groups():
    groups = [group("t", *["hard"] * 4, *["easy"] * 4)]
    sampler = NegativeSampler(groups, {"hard": 1}, seed=0)
    assert {n.tier for n in sampler.with_ratios({"easy": 1}).draw(groups[0], 4, step=0)} == {"easy"}
    assert {n.tier for n in sampler.draw(groups[0], 4, step=0)} == {"hard"}
