"""Boosted trees as plain arrays, so that they are stored without pickle and read by any version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

NAMES = ("feature", "threshold", "left", "right", "value", "root")


class Trees:
    """The sum of many trees. Node i asks whether column `feature[i]` is at most `threshold[i]` and
    goes on at `left[i]` or `right[i]`; a leaf has feature -1 and gives `value[i]`. `root` [t] holds
    where each tree begins; `base` is added.
    """

    def __init__(self, base: float, **arrays: np.ndarray) -> None:
        self.base = float(base)
        self.arrays = {name: np.asarray(arrays[name]) for name in NAMES}

    def state(self) -> dict[str, Any]:
        return {"base": self.base, **self.arrays}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Trees:
        return cls(**state)

    @classmethod
    def mean(cls, fitted: list[HistGradientBoostingClassifier]) -> Trees:
        """Return the mean log-odds of fitted classifiers of two classes, without missing values or
        categories.
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
        base, n = 0.0, 0
        for one in fitted:
            base += float(np.ravel(one._baseline_prediction)[0]) / len(fitted)
            for predictors in one._predictors:
                nodes = predictors[0].nodes
                leaf = nodes["is_leaf"].astype(bool)
                parts["feature"].append(np.where(leaf, -1, nodes["feature_idx"]).astype(np.int32))
                parts["threshold"].append(nodes["num_threshold"].astype(np.float64))
                parts["left"].append((nodes["left"] + n).astype(np.int32))
                parts["right"].append((nodes["right"] + n).astype(np.int32))
                parts["value"].append((nodes["value"] / len(fitted)).astype(np.float64))
                parts["root"].append(np.array([n], np.int32))
                n += len(nodes)
        return cls(base, **{name: np.concatenate(values) for name, values in parts.items()})

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Log-odds float32 [n] of x [n,d]."""
        out = np.full(len(x), self.base)
        _walk()(np.ascontiguousarray(x, np.float64), *(self.arrays[n] for n in NAMES), out)
        return out.astype(np.float32)


def _walk() -> Any:
    from core.methods.anomaly._trees_compiled import walk

    return walk
