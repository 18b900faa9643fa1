"""Boosted trees as plain arrays, so that they are stored without pickle and a run opens with any
version of scikit-learn.

scikit-learn has no public way to the trees of its histogram boosting (`tree_` and `export_text` are
those of its other trees, which take ten times as long and know no bins), so two private attributes
are read, once, right after the fit. What was read is compared at once with the odds that
scikit-learn gives, so that a version that keeps trees differently is refused with a sentence and
never gives other heat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

TOLERANCE = 1e-3  # of log-odds; sums of float32 and float64 differ by a hundredth of that
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
    def mean(cls, fitted: list[HistGradientBoostingClassifier], x: np.ndarray) -> Trees:
        """Return the mean log-odds of fitted classifiers of two classes, without missing values or
        categories. UserError where, for x [n,d], they are not those that scikit-learn gives.
        """
        try:
            trees = cls._read(fitted)
            wrong = trees(x) - np.mean([one.decision_function(x) for one in fitted], 0)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as e:
            raise UserError(_other_version()) from e
        if not np.abs(wrong).max(initial=0) < TOLERANCE:
            raise UserError(_other_version())
        return trees

    @classmethod
    def _read(cls, fitted: list[HistGradientBoostingClassifier]) -> Trees:
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


def _other_version() -> str:
    from sklearn import __version__

    return (
        f"scikit-learn {__version__} keeps boosted trees in another form than this version of"
        " Lightbox reads; install scikit-learn 1.9."
    )


def _walk() -> Any:
    from core.methods.anomaly._trees_compiled import walk

    return walk
