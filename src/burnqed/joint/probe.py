"""What embeddings tell of provable states and of others without any head: how far apart the two kinds lie.

Shapes: ``N`` states, ``D`` length of an embedding. ``labels`` are true for provable states. A figure that cannot be had is None,
and ``notes`` says why.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burnqed.core.errors import ModelError
from burnqed.joint.depth_bins import rows_by_depth

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ids = NDArray[np.int64]

FOLDS = 5


@dataclass(frozen=True)
class ByDepth:
    """A figure for each bin of depths."""

    depth_0_1: float | None
    depth_2_3: float | None
    depth_4_plus: float | None


@dataclass(frozen=True)
class Separation:
    """Figures of some embeddings.

    ``centroid_l2``: distance of the means of the two kinds. ``centroid_spreads``: the same in units of the spread within a kind
    (root of the mean squared distance from its mean, averaged over both), so that it can be compared between models; without any
    separation it is near √(1/n₊ + 1/n₋). ``linear_probe``: balanced accuracy of a logistic regression on theorems that it was not
    fitted on, ½ by guessing; ``trivial_probe`` the same from length, number of goals and depth alone. ``majority``: share of the
    more frequent kind. ``silhouette``: mean of Rousseeuw (1987) by depth, from −1 to 1. ``effective_dimension``: participation
    ratio of the covariance. ``dual_label_rate``: share of the texts that carry both labels, by which every figure is bounded.
    """

    states: int
    positives: int
    theorems: int
    centroid_l2: float | None
    centroid_spreads: float | None
    linear_probe: float | None
    trivial_probe: float | None
    majority: float
    silhouette: ByDepth
    effective_dimension: float
    dual_label_rate: float
    notes: tuple[str, ...]


def separation_probe(
    vectors: ArrayLike,
    labels: Sequence[bool],
    theorems: Sequence[str],
    depths: Sequence[int],
    texts: Sequence[str],
    *,
    seed: int = 0,
) -> Separation:
    """Figures of embeddings [N, D] of states with these labels, theorems, depths and texts [N]; ``seed`` decides the folds.

    Needs scikit-learn for the probes and the silhouette; without it they are None. Raises ModelError for an embedding that is
    not finite.
    """
    x = np.asarray(vectors, dtype=np.float64)
    y = np.asarray(labels, dtype=bool)
    deep = np.asarray(depths, dtype=np.int64)
    assert x.ndim == 2
    assert len(x) == len(y) == len(theorems) == len(deep) == len(texts) > 0
    if bad := int(np.sum(~np.isfinite(x).all(axis=1))):
        raise ModelError(
            f"{bad} of {len(x)} embeddings hold numbers that are not finite; look at the encoder's weights"
        )
    groups = np.unique(np.asarray(theorems, dtype=str), return_inverse=True)[1]
    notes: list[str] = []
    trivial = np.array(
        [[np.log1p(len(t)), t.count("⊢"), d] for t, d in zip(texts, deep, strict=True)], dtype=np.float64
    )
    l2, spreads = _centroids(x, y, notes)
    return Separation(
        states=len(x),
        positives=int(y.sum()),
        theorems=len(np.unique(groups)),
        centroid_l2=l2,
        centroid_spreads=spreads,
        linear_probe=_probe(x, y, groups, seed, notes, "linear_probe"),
        trivial_probe=_probe(trivial, y, groups, seed, notes, "trivial_probe"),
        majority=float(max(y.mean(), 1 - y.mean())),
        silhouette=_silhouettes(x, y, deep, notes),
        effective_dimension=participation_ratio(x),
        dual_label_rate=dual_label_rate(texts, y.tolist()),
        notes=tuple(notes),
    )


def participation_ratio(vectors: ArrayLike) -> float:
    """(Σλ)² / Σλ² of the eigenvalues of the covariance of vectors [N, D]: D when all directions vary alike, 1 when one does.

    Gao et al. 2017, "A theory of multineuronal dimensionality, dynamics and measurement". 0 when nothing varies. The sums are
    trace and squared norm of the Gram matrix, so that no spectrum has to be computed.
    """
    x = np.asarray(vectors, dtype=np.float64)
    x = x - x.mean(axis=0)
    gram = x @ x.T if len(x) < x.shape[1] else x.T @ x
    total = float(np.trace(gram))
    return total**2 / float(np.sum(gram**2)) if total > 0 else 0.0


def dual_label_rate(texts: Sequence[str], labels: Sequence[bool]) -> float:
    """Share of the distinct texts that carry both labels."""
    seen: defaultdict[str, set[bool]] = defaultdict(set)
    for text, label in zip(texts, labels, strict=True):
        seen[text].add(bool(label))
    return sum(len(both) == 2 for both in seen.values()) / len(seen) if seen else 0.0


def _centroids(x: Numbers, y: Flags, notes: list[str]) -> tuple[float | None, float | None]:
    """Distance of the means, plain and in spreads."""
    if y.all() or not y.any():
        notes.append("centroid_l2: all labels are alike")
        return None, None
    kinds = (x[y], x[~y])
    means = [kind.mean(axis=0) for kind in kinds]
    distance = float(np.linalg.norm(means[0] - means[1]))
    spread = sum(
        float(np.sqrt(np.mean(np.sum((kind - mean) ** 2, axis=1)))) for kind, mean in zip(kinds, means, strict=True)
    )
    if spread == 0:
        notes.append("centroid_spreads: nothing varies within either kind")
        return distance, None
    return distance, distance / (spread / 2)


def _probe(x: Numbers, y: Flags, groups: Ids, seed: int, notes: list[str], name: str) -> float | None:
    """Balanced accuracy of predictions that were made for each theorem by a regression fitted on others."""
    folds = min(FOLDS, len(np.unique(groups[y])), len(np.unique(groups[~y])))
    if folds < 2:
        notes.append(f"{name}: each label needs two theorems at least")
        return None
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import balanced_accuracy_score
        from sklearn.model_selection import StratifiedGroupKFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        notes.append(f"{name}: scikit-learn is not installed")
        return None
    said = np.zeros_like(y)
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    for train, test in cut.split(x, y, groups):
        if y[train].all() or not y[train].any():
            notes.append(f"{name}: the labels fall so that a fold has but one of them to learn from")
            return None
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        with warnings.catch_warnings():
            # Far from the optimum or not, what counts is what it says of other theorems.
            warnings.simplefilter("ignore", ConvergenceWarning)
            said[test] = model.fit(x[train], y[train]).predict(x[test])
    return float(balanced_accuracy_score(y, said))


def _silhouettes(x: Numbers, y: Flags, depths: Ids, notes: list[str]) -> ByDepth:
    """The silhouette of the two kinds within each bin of depths."""
    try:
        from sklearn.metrics import silhouette_score
    except ImportError:
        notes.append("silhouette: scikit-learn is not installed")
        return ByDepth(None, None, None)
    found: dict[str, float | None] = {}
    for name, rows in rows_by_depth(depths).items():
        both = y[rows].any() and not y[rows].all()
        found[name] = float(silhouette_score(x[rows], y[rows])) if both and rows.sum() > 2 else None
        if found[name] is None:
            notes.append(f"silhouette.{name}: needs three states at least, and both labels")
    return ByDepth(**found)
