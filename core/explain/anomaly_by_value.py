"""How well an anomaly score parts abnormal from normal cases within each value of a column, such as
a class, a site or a kind of picture, and of how many normal cases of each the run could learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.artifacts import Metric
from core.stats.bootstrap import interval, mean_interval

PARTS = ("test", "val", "")  # where to count, the first that has normal and abnormal cases


@dataclass(frozen=True)
class ScoredCases:
    """What is known of n cases, all aligned: `score` float [n] (NaN: none), `abnormal` and `judged`
    bool [n] (whether that is known), `split` str [n], `groups` object [n], patients, or None.
    """

    score: np.ndarray
    abnormal: np.ndarray
    judged: np.ndarray
    split: np.ndarray
    groups: np.ndarray | None = None

    def part(self) -> tuple[str, np.ndarray]:
        """Return on which part to count, "" for all, and the positions of its scored cases of known
        truth; empty where no part has both kinds.
        """
        for name in PARTS:
            use = self.judged & np.isfinite(self.score)
            use &= (self.split == name) if name else True
            at = np.flatnonzero(use)
            if len(at) and self.abnormal[at].any() and not self.abnormal[at].all():
                return name, at
        return "", np.zeros(0, np.int64)


@dataclass(frozen=True)
class ValueFigures:
    """One value of a column: how many normal training cases have it, how many normal and abnormal
    cases of the part counted on, the case AUROC with its interval (None in `value` where it has no
    abnormal case), and the share of its normal cases above the threshold.
    """

    value: str
    trained: int
    normal: int
    abnormal: int
    auroc: Metric
    alarms: Metric


def compare_values(cases: ScoredCases, values: np.ndarray, at: float) -> list[ValueFigures]:
    """Return the figures of each of `values` object [n] (None: missing, left out), in their order;
    `at` is the threshold. A value whose cases are all abnormal, as a kind of lesion, is counted
    against all normal cases, which its note says. [] where no part of the cases has
    both kinds.
    """
    name, counted = cases.part()
    if not len(counted):
        return []
    trains = (cases.split == "train") & cases.judged & ~cases.abnormal
    every = counted[~cases.abnormal[counted]]
    found = []
    for value in sorted({v for v in values if v is not None}, key=str):
        here = values == value
        own = counted[here[counted]]
        ill, fine = own[cases.abnormal[own]], own[~cases.abnormal[own]]
        note = "" if len(fine) else "against all normal cases"
        auroc = _auroc(cases, ill, fine if len(fine) else every, str(value), name, note)
        alarms = Metric("false alarms", None, split=name, group=str(value), n=len(fine))
        if len(fine):
            flagged = cases.score[fine] > at
            groups = None if cases.groups is None else cases.groups[fine]
            alarms = Metric(
                "false alarms", float(flagged.mean()), split=name, group=str(value), n=len(fine)
            ).within(mean_interval(flagged, groups))
        many = int((trains & here).sum())
        found.append(ValueFigures(str(value), many, len(fine), len(ill), auroc, alarms))
    return found


def _auroc(
    cases: ScoredCases, ill: np.ndarray, fine: np.ndarray, value: str, part: str, note: str
) -> Metric:
    from sklearn.metrics import roc_auc_score

    at = np.sort(np.concatenate([ill, fine]))
    figure = Metric("case AUROC", None, split=part, group=value, n=len(at), note=note)
    if not len(ill):
        return Metric("case AUROC", None, split=part, group=value, n=len(at), note="none abnormal")
    truth, score = cases.abnormal[at], cases.score[at]

    def one(i: np.ndarray) -> float:
        both = truth[i].any() and not truth[i].all()
        return float(roc_auc_score(truth[i], score[i])) if both else float("nan")

    groups = None if cases.groups is None else cases.groups[at]
    figure = Metric(
        "case AUROC", one(np.arange(len(at))), split=part, group=value, n=len(at), note=note
    )
    return figure.within(interval(one, len(at), groups, (0, 1), classes=truth))
