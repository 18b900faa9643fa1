"""How far new cases lie from the data a model learned from."""

from __future__ import annotations

import numpy as np

from core.artifacts import Embedding, Metric, Scope
from core.data.dataset import Dataset
from core.neighbours import Finder, prepared
from core.stats.proportions import share
from core.training.other_data import only_class

NEAREST = 5  # training cases whose mean distance counts
FEWEST = 20  # held-out cases from which the usual distance can be told
USUAL = 0.95  # share of held-out cases that lie within the usual distance


def measure_scope(own: Dataset, learned: Embedding, new: Embedding) -> Scope | None:
    """Return the distance of each new case to the training cases, in the model's latent space.

    The mean distance to the `NEAREST` training cases, divided by the distance within which
    95 in 100 cases held out of the training lie (training cases, each without itself, where
    fewer than `FEWEST` were held out). None where fewer than `FEWEST` training cases are there.

    own : the data the model learned from, with its parts
    learned, new : coordinates [n,d] of its cases and of the new ones, by the same model
    """
    train = learned.at(own.part("train").rows)
    held = np.isin(own.splits, ["val", "test"])
    if single := only_class(own):  # cases of other classes are not what it learned from
        held &= own.labels == own.classes.index(single)
    others = learned.at(own.rows[held])
    if len(train) < FEWEST:
        return None
    base = prepared(np.asarray(learned.z)[train], learned.metric)
    find = Finder(base)
    k = min(NEAREST, len(base) - 1)
    held_out = len(others) >= FEWEST
    if held_out:
        usual = _distance(find, prepared(np.asarray(learned.z)[others], learned.metric), k)
    else:
        usual = _distance(find, base, k, itself=True)
    far = _distance(find, prepared(np.asarray(new.z), learned.metric), k)
    edge = max(float(np.quantile(usual, USUAL)), 1e-12)
    whose = "held out of the training" if held_out else "of the training, each without itself"
    return Scope(
        rows=new.rows,
        name="distance",
        distance=(far / edge).astype(np.float32),
        outside=float(max(usual.max() / edge, 1.0)),
        known=len(usual),
        rule=f"1 = the distance within which 95 of 100 of {len(usual):,} cases {whose} lie",
    )


def count_inside(scope: Scope, groups: np.ndarray | None = None) -> Metric:
    """Return the share of new cases within the usual distance, with its interval over patients."""
    rate = share(scope.levels == 0, groups)
    return Metric(
        "cases within the training data",
        rate.value,
        rate.low,
        rate.high,
        "test",
        n=rate.n,
        note="0.95 is to be expected of cases like those the model learned from",
    )


def _distance(find: Finder, z: np.ndarray, k: int, itself: bool = False) -> np.ndarray:
    """Mean distance [n] of rows to their k nearest training rows, not counting themselves."""
    square = find(z, k + itself)[1][:, int(itself) :]
    return np.sqrt(np.maximum(square, 0)).mean(1)
