"""Figures of embeddings: against independent computations, and against what would flatter them."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from burnqed.core.errors import ModelError
from burnqed.joint.monitoring import flatten
from burnqed.joint.probe import Separation, dual_label_rate, participation_ratio, separation_probe


def states(theorems: int = 40, each: int = 10, *, seed: int = 0):
    """Labels, theorems, depths and texts of states, half of each theorem provable."""
    rng = np.random.default_rng(seed)
    count = theorems * each
    return {
        "labels": [i % 2 == 0 for i in range(count)],
        "theorems": [f"t{i // each}" for i in range(count)],
        "depths": rng.integers(0, 7, count).tolist(),
        "texts": [f"h{i} : {'x' * int(rng.integers(1, 9))}\n⊢ p" for i in range(count)],
    }


def probe(vectors: np.ndarray, **changed) -> Separation:
    return separation_probe(vectors.astype(np.float32), **{**states(), **changed})


def test_centroids_against_plain_sums():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 7)) + np.outer(np.arange(400) % 2, [3, 0, 0, 4, 0, 0, 0])
    found = probe(x)
    positive, negative = x[::2], x[1::2]
    distance = math.sqrt(sum((positive[:, d].mean() - negative[:, d].mean()) ** 2 for d in range(7)))
    spread = [math.sqrt(sum(kind[:, d].var() for d in range(7))) for kind in (positive, negative)]
    assert found.centroid_l2 == pytest.approx(distance, rel=1e-5)
    assert found.centroid_l2 == pytest.approx(5, abs=0.5)
    assert found.centroid_spreads == pytest.approx(distance / np.mean(spread), rel=1e-5)


def test_the_distance_in_spreads_does_not_know_the_scale():
    x = np.random.default_rng(1).normal(size=(400, 7))
    x[::2, 0] += 2
    one, other = probe(x), probe(100 * x)
    assert one.centroid_l2 is not None
    assert other.centroid_l2 == pytest.approx(100 * one.centroid_l2, rel=1e-5)
    assert other.centroid_spreads == pytest.approx(one.centroid_spreads, rel=1e-5)


def test_random_embeddings_are_at_chance():
    found = probe(np.random.default_rng(0).normal(size=(400, 16)))
    assert found.linear_probe == pytest.approx(0.5, abs=0.08)
    assert found.trivial_probe == pytest.approx(0.5, abs=0.08)
    assert found.centroid_spreads == pytest.approx(math.sqrt(1 / 200 + 1 / 200), rel=0.5)
    for value in vars(found.silhouette).values():
        assert value == pytest.approx(0.0, abs=0.05)


def test_what_separates_in_every_theorem_is_found():
    x = np.random.default_rng(0).normal(size=(400, 16))
    x[::2, 3] += 8
    found = probe(x)
    assert found.linear_probe == pytest.approx(1.0, abs=0.01)
    assert all(value > 0.3 for value in vars(found.silhouette).values())


def test_what_only_tells_theorems_apart_is_no_separation():
    """Every theorem has one label and a place of its own: a split by rows has seen each theorem, and says 1."""
    rng = np.random.default_rng(0)
    theorems, each = 60, 8
    owner = np.repeat(np.arange(theorems), each)
    labels = rng.permutation(np.arange(theorems) % 2 == 0)[owner]
    x = rng.normal(size=(theorems, 128))[owner] + 0.01 * rng.normal(size=(theorems * each, 128))
    by_rows = cross_val_score(LogisticRegression(), x, labels, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    found = separation_probe(
        x,
        labels=labels.tolist(),
        theorems=[f"t{i}" for i in owner],
        depths=[0] * len(x),
        texts=["⊢ p"] * len(x),
    )
    assert by_rows.mean() == 1.0
    assert found.linear_probe is not None
    assert found.linear_probe < 0.7


def test_labels_that_the_length_gives_away_are_shown_as_such():
    about = states()
    texts = ["x" * (5 if label else 50) for label in about["labels"]]
    found = probe(np.random.default_rng(0).normal(size=(400, 4)), texts=texts)
    assert found.trivial_probe == 1.0
    assert found.linear_probe == pytest.approx(0.5, abs=0.1)


def test_a_majority_does_not_pass_for_accuracy():
    labels = [i % 10 == 0 for i in range(400)]
    found = probe(np.random.default_rng(0).normal(size=(400, 4)), labels=labels)
    assert found.majority == 0.9
    assert found.linear_probe == pytest.approx(0.5, abs=0.12)


def test_a_rare_kind_that_can_be_told_is_found():
    """A regression that weighs all states alike would call nearly all of them the frequent kind."""
    rare = np.arange(400) % 10 == 0
    x = np.random.default_rng(0).normal(size=(400, 4))
    x[rare, 0] += 1.5
    found = probe(x, labels=rare.tolist())
    assert found.linear_probe is not None
    assert found.linear_probe > 0.7


def test_directions_of_all_sizes_are_looked_at():
    x = np.random.default_rng(0).normal(size=(400, 4))
    x[::2, 0] += 8
    x[:, 0] *= 1e-5
    assert probe(x).linear_probe == pytest.approx(1.0, abs=0.01)


def test_the_probe_is_the_same_for_the_same_seed():
    x = np.random.default_rng(0).normal(size=(400, 8))
    assert probe(x) == probe(x)


def test_too_few_theorems_or_labels_are_said_and_not_guessed():
    about = states()
    x = np.random.default_rng(0).normal(size=(400, 4))
    lone = probe(x, theorems=["t0"] * 400)
    assert lone.linear_probe is None
    assert "linear_probe: each label needs two theorems at least" in lone.notes
    one_kind = probe(x, labels=[True] * 400)
    assert (one_kind.centroid_l2, one_kind.linear_probe, one_kind.silhouette.depth_0_1) == (None, None, None)
    assert "centroid_l2: all labels are alike" in one_kind.notes
    in_one_theorem = probe(x, labels=[i < 5 for i in range(400)])
    assert in_one_theorem.linear_probe is None, "all that is provable is of one theorem"
    shallow = probe(x, depths=[0] * 400)
    assert shallow.silhouette.depth_0_1 is not None
    assert shallow.silhouette.depth_4_plus is None
    assert any(note.startswith("silhouette.depth_4_plus") for note in shallow.notes)
    pair_at_the_root = probe(x, depths=[0, 0] + [2, 3, 4, 5] * 99 + [4, 4])
    assert pair_at_the_root.silhouette.depth_0_1 is None
    assert pair_at_the_root.silhouette.depth_2_3 is not None
    assert not probe(x, depths=about["depths"]).notes


def test_embeddings_that_are_all_alike():
    found = probe(np.ones((400, 4)))
    assert (found.centroid_l2, found.centroid_spreads, found.effective_dimension) == (0.0, None, 0.0)
    assert found.linear_probe == 0.5


def test_without_scikit_learn_the_rest_is_still_measured(monkeypatch):
    for module in [name for name in sys.modules if name.startswith("sklearn")]:
        monkeypatch.setitem(sys.modules, module, None)
    found = probe(np.random.default_rng(0).normal(size=(400, 4)))
    assert found.linear_probe is None
    assert found.silhouette.depth_0_1 is None
    assert found.centroid_l2 is not None
    assert sum("scikit-learn is not installed" in note for note in found.notes) == 3


def test_embeddings_that_are_not_finite_are_refused():
    x = np.zeros((400, 4))
    x[3, 1], x[7, 0], x[7, 1] = math.nan, math.inf, math.nan
    with pytest.raises(ModelError, match="2 of 400 embeddings hold numbers that are not finite"):
        probe(x)


@pytest.mark.parametrize("shape", [(200, 12), (12, 200)])
def test_effective_dimension_is_the_participation_ratio_of_the_spectrum(shape):
    x = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 9, shape[1]) + 100
    spectrum = np.linalg.eigvalsh(np.cov(x, rowvar=False))
    assert participation_ratio(x) == pytest.approx(spectrum.sum() ** 2 / (spectrum**2).sum(), rel=1e-6)


def test_effective_dimension_counts_directions():
    basis = np.random.default_rng(0).normal(size=(3, 50))
    balanced = np.concatenate([np.eye(3), -np.eye(3)])
    orthogonal = np.linalg.qr(basis.T)[0].T
    assert participation_ratio(balanced @ orthogonal) == pytest.approx(3)
    assert participation_ratio(np.outer(np.arange(9), basis[0])) == pytest.approx(1)


def test_dual_labels_are_counted_by_text():
    assert dual_label_rate(["a", "a", "b", "b", "c"], [True, False, True, True, False]) == pytest.approx(1 / 3)
    assert dual_label_rate([], []) == 0.0


def test_flattened_names_are_those_that_the_rules_use():
    found = flatten(probe=probe(np.random.default_rng(0).normal(size=(400, 4)), depths=[0] * 400))
    assert {"probe.centroid_l2", "probe.linear_probe", "probe.silhouette.depth_0_1", "probe.dual_label_rate"} <= set(
        found
    )
    assert "probe.silhouette.depth_4_plus" not in found, "what could not be measured is not there"
    assert all(type(value) is float for value in found.values())
