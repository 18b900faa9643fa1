"""The measurements of SUFO on features [n,d]: similarity of representations, what is left without
the first components, and outliers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

STIMULI = 200  # fixed texts of train and of validation each, which are measured while it learns


def rsa(a: np.ndarray, b: np.ndarray) -> float:
    """Representational similarity: Spearman's rank correlation of the pairwise Euclidean distances
    of the same rows in a and b [n,d].
    """
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    return float(spearmanr(pdist(a), pdist(b)).statistic)


def cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear centred kernel alignment of the same rows in a and b, in [0, 1]."""
    a, b = a - a.mean(0), b - b.mean(0)
    cross = np.square(a.T @ b).sum()
    return float(cross / max(np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b), 1e-12))


def macro_f1(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean F1 over the classes `labels`; 0 for one that is never said."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", labels=labels, zero_division=0))


def probe(train: np.ndarray, y: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Macro-F1 on `test` of a linear reader fitted on `train` (features standardised)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    reader = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=300, class_weight="balanced")
    ).fit(train, y)
    return macro_f1(truth, reader.predict(test), np.unique(y))


def principal_components(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean [d], directions [r,d], share of variance [r]) of the principal components of z
    [n,d].
    """
    mean = z.mean(0)
    _, s, v = np.linalg.svd(z - mean, full_matrices=False)
    return mean, v, np.square(s) / max(np.square(s).sum(), 1e-12)


def remove_components(z: np.ndarray, mean: np.ndarray, v: np.ndarray, k: int) -> np.ndarray:
    """`z` with its first k components taken away."""
    return z - (z - mean) @ v[:k].T @ v[:k]


def separation(flat: np.ndarray, y: np.ndarray) -> float:
    """Between over total variance of the classes y of points [n,2]: 0 = mixed, 1 = apart."""
    whole = np.square(flat - flat.mean(0)).sum()
    within = sum(np.square(flat[y == c] - flat[y == c].mean(0)).sum() for c in np.unique(y))
    return float(1 - within / max(whole, 1e-12))


class Outliers:
    """How much nearer a row lies to another class than to its own, on the first five components:
    Mahalanobis distance to the own class's middle minus that to the nearest other's, with one
    covariance for all classes (shrunk). Rows without a class: distance to the nearest. Higher =
    odder.
    """

    def __init__(
        self, mean: np.ndarray, v: np.ndarray, middle: np.ndarray, inverse: np.ndarray
    ) -> None:
        self.mean, self.v, self.middle, self.inverse = mean, v, middle, inverse

    @classmethod
    def fit(cls, z: np.ndarray, y: np.ndarray, classes: int) -> Outliers:
        mean, v, _ = principal_components(z)
        flat = (z - mean) @ v[:5].T
        middle = np.stack(
            [
                np.median(flat[y == c], 0) if (y == c).any() else np.full(flat.shape[1], 1e6)
                for c in range(classes)
            ]
        )
        rest = flat - middle[y]
        cov = np.cov(rest.T) if len(rest) > 2 else np.eye(flat.shape[1])
        return cls(
            mean,
            v[:5],
            middle,
            np.linalg.pinv(
                0.9 * cov
                + 0.1 * np.trace(cov) / len(cov) * np.eye(len(cov))
                + 1e-9 * np.eye(len(cov))
            ),
        )

    def state(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Outliers:
        return cls(**{k: np.asarray(v) for k, v in state.items()})

    def score(self, z: np.ndarray, y: np.ndarray) -> np.ndarray:
        away = ((z - self.mean) @ self.v.T)[:, None] - self.middle[None]
        far = np.sqrt(np.maximum(np.einsum("ncd,de,nce->nc", away, self.inverse, away), 0))
        known = y >= 0
        own = np.where(known, far[np.arange(len(z)), np.maximum(y, 0)], 0.0)
        rest = far.copy()
        rest[np.flatnonzero(known), y[known]] = np.inf
        return np.where(known, own - rest.min(1), far.min(1)).astype(np.float32)


def join_tokens(
    text: str, offsets: list[tuple[int, int]], value: np.ndarray
) -> list[tuple[int, int, float]]:
    """(start, end, summed weight) of the words of a text from those of its tokens; tokens that
    touch belong to one word.
    """
    found: list[tuple[int, int, float]] = []
    for (start, end), v in zip(offsets, value):
        if end <= start:
            continue
        if (
            found
            and found[-1][1] == start
            and text[start - 1 : start].isalnum()
            and text[start : start + 1].isalnum()
        ):
            found[-1] = (found[-1][0], end, found[-1][2] + float(v))
        else:
            found.append((start, end, float(v)))
    return found
