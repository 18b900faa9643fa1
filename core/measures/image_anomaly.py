"""How well the anomaly score parts abnormal from normal cases: AUROC, average precision, F1 at
the best threshold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Metric
from core.data.ground_truth import find_abnormal, find_ground_truth
from core.evaluate import held_out
from core.measure import Measure
from core.stats.bootstrap import interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def f1_max(truth: np.ndarray, score: np.ndarray) -> float:
    """Largest F1 over all thresholds (an oracle: the threshold is picked on these very cases)."""
    order = np.argsort(-score, kind="stable")
    hits, said = np.cumsum(truth[order]), np.arange(1, len(truth) + 1)
    # a threshold takes all equal scores together
    last = np.r_[score[order][1:] != score[order][:-1], True]
    return float((2 * hits[last] / (said[last] + truth.sum())).max())


class ImageAnomaly(Measure):
    id = "image_anomaly"
    headline = ("case AUROC",)
    title = "Detection of abnormal cases"
    takes = (AnomalyMaps,)
    help = (
        "AUROC: how often an abnormal case scores above a normal one (0.5 is chance). AP: how clean"
        " the top of the list is (chance is the share of abnormal cases)."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        (maps,) = artifacts
        if isinstance(maps, AnomalyMaps) and maps.shows == "doubt":
            return "these scores show where the model doubts, not what is unusual"
        truth, why = find_abnormal(data)
        return why if truth is None else None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        from sklearn.metrics import average_precision_score, roc_auc_score

        (maps,) = artifacts
        assert isinstance(maps, AnomalyMaps)
        part, at = held_out(data, maps.rows)
        known = find_ground_truth(data)
        assert known.abnormal is not None
        place = np.searchsorted(data.rows, maps.rows[at])
        told = known.judged[place]
        at, place = at[told], place[told]
        truth, score = known.abnormal[place], np.asarray(maps.score)[at]
        if not len(at):
            return [
                Metric(
                    "case AUROC",
                    None,
                    split=part,
                    n=0,
                    note="of no held-out case is it known whether it is abnormal",
                )
            ]
        if truth.all() or not truth.any():
            return [
                Metric(
                    "case AUROC",
                    None,
                    split=part,
                    n=len(at),
                    note="the held-out cases are all normal or all abnormal",
                )
            ]
        groups = data.of(maps.rows[at]).groups
        found = []
        for name, value in (
            ("case AUROC", roc_auc_score),
            ("case average precision", average_precision_score),
            ("case F1 (best threshold, oracle)", f1_max),
        ):

            def one(i: np.ndarray, value=value) -> float:
                return (
                    float(value(truth[i], score[i]))
                    if truth[i].any() and not truth[i].all()
                    else float("nan")
                )

            figure = Metric(name, one(np.arange(len(at))), split=part, n=len(at))
            if "oracle" in name:
                found.append(
                    replace(
                        figure,
                        note=(
                            "no interval: its threshold is the best for these very cases, and too"
                            " good for others"
                        ),
                    )
                )
            else:
                found.append(figure.within(interval(one, len(at), groups, (0, 1), classes=truth)))
        return found
