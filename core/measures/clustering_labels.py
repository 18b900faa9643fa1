"""Agreement of found groups with labels: Hungarian-matched accuracy, purity, NMI, AMI, ARI.
Matching is fitted on the counted cases and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Clusters, Metric
from core.evaluate import held_out
from core.measure import Measure
from core.stats.bootstrap import interval
from core.stats.cluster_agreement import accuracy, purity

if TYPE_CHECKING:
    from core.data.dataset import Dataset


class ClusteringLabels(Measure):
    id = "clustering_labels"
    title = "Agreement of clusters with labels"
    takes = (Clusters,)
    labels = True
    help = (
        "Accuracy: clusters matched one-to-one to classes. ARI and AMI are 0 for random ones and 1"
        " for perfect ones; NMI and purity rise with the number of clusters."
    )

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (clusters,) = artifacts
        assert isinstance(clusters, Clusters)
        part, at = held_out(data, clusters.rows)
        whole = data.of(clusters.rows[at])
        label, truth = np.asarray(clusters.label)[at], whole.labels
        groups = whole.groups
        wanted = truth >= 0
        found = self._table(
            label[wanted],
            truth[wanted],
            part,
            "all",
            groups[wanted] if groups is not None else None,
        )
        if any(clusters.known) and not all(clusters.known):
            novel_names = {
                c
                for c in data.classes
                if c not in {n for n, k in zip(clusters.names, clusters.known) if k}
            }
            novel = np.isin(truth, [data.classes.index(c) for c in novel_names]) & wanted
            for name, side in (("novel classes", novel), ("known classes", wanted & ~novel)):
                if side.sum() >= 5:
                    found += self._table(
                        label[side],
                        truth[side],
                        part,
                        name,
                        groups[side] if groups is not None else None,
                    )
        return found

    @staticmethod
    def _table(
        label: np.ndarray, truth: np.ndarray, part: str, group: str, patients: np.ndarray | None
    ) -> list[Metric]:
        from sklearn.metrics import (
            adjusted_mutual_info_score,
            adjusted_rand_score,
            normalized_mutual_info_score,
        )

        if len(truth) < 5:
            return []
        # a case in no group stands alone, and so counts as wrong
        lone = np.where(label < 0, label.max(initial=0) + 1 + np.arange(len(label)), label)
        scores = {
            "group accuracy": lambda i: accuracy(lone[i], truth[i]),
            "purity": lambda i: purity(lone[i], truth[i]),
            "NMI": lambda i: normalized_mutual_info_score(truth[i], lone[i]),
            "AMI": lambda i: adjusted_mutual_info_score(truth[i], lone[i]),
            "ARI": lambda i: adjusted_rand_score(truth[i], lone[i]),
        }
        found = []
        for name, score in scores.items():
            one = Metric(
                name, float(score(np.arange(len(truth)))), split=part, group=group, n=len(truth)
            )
            if name != "AMI":  # its chance term is slow
                scale = (-1, 1) if name == "ARI" else (0, 1)
                one = one.within(
                    interval(score, len(truth), patients, scale, flatters=name == "NMI")
                )
            found.append(one)
        return found
