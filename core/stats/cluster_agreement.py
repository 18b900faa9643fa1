"""Comparing two labellings of the same rows."""

from __future__ import annotations

import numpy as np


def contingency(cluster: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return counts [clusters, classes] of two label arrays."""
    a, b = np.unique(cluster, return_inverse=True)[1], np.unique(truth, return_inverse=True)[1]
    table = np.zeros((a.max() + 1, b.max() + 1), int)
    np.add.at(table, (a, b), 1)
    return table


def accuracy(cluster: np.ndarray, truth: np.ndarray) -> float:
    """Share of cases right under the best one-to-one matching of groups and classes; unmatched
    groups count as wrong.
    """
    from scipy.optimize import linear_sum_assignment

    table = contingency(cluster, truth)
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / table.sum())


def purity(cluster: np.ndarray, truth: np.ndarray) -> float:
    """Share of cases that have their group's commonest class; rises with the number of groups, so
    never read alone.
    """
    table = contingency(cluster, truth)
    return float(table.max(1).sum() / table.sum())
