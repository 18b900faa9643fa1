"""Shape of groups in latent space, without labels: silhouette, Davies-Bouldin, Calinski-Harabasz.
Never computed on a map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Clusters, Embedding, Metric
from core.evaluate import held_out
from core.measure import Measure
from core.neighbours import prepared
from core.stats.bootstrap import interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset

MOST = 4_000  # rows; above it a sample with a fixed seed, since silhouettes cost O(n^2)


def silhouette_of(z: np.ndarray, label: np.ndarray) -> Callable[[np.ndarray], float]:
    """Positions -> mean silhouette of those of the points `z` [n,d] in groups `label` [n], as if
    the others were not there; NaN for one group.

    Distances are found once, O(n^2); what is left out is taken off their sums, so that leaving out
    each patient in turn costs as much again.
    """
    from sklearn.metrics import pairwise_distances

    group = np.unique(label, return_inverse=True)[1]
    distance = pairwise_distances(z).astype(np.float32)
    member = np.eye(group.max() + 1, dtype=np.float32)[group]
    total, every = distance @ member, np.arange(len(z))

    def value(i: np.ndarray) -> float:
        out = np.setdiff1d(every, i, assume_unique=True)
        away = (total[i] - distance[np.ix_(i, out)] @ member[out]).astype(np.float64)
        count, own, at = member[i].sum(0).astype(np.float64), group[i], np.arange(len(i))
        if (count > 0).sum() < 2:
            return float("nan")
        inside = away[at, own] / np.maximum(count[own] - 1, 1)
        away[:, count == 0] = np.inf
        away[at, own] = np.inf
        nearest = (away / np.maximum(count, 1)).min(1)
        each = (nearest - inside) / np.maximum(np.maximum(inside, nearest), 1e-12)
        return float(np.where(count[own] > 1, each, 0.0).mean())

    return value


class ClusteringInternal(Measure):
    id = "clustering_internal"
    title = "Shape of the clusters"
    takes = (Embedding, Clusters)
    help = (
        "Silhouette near 1: compact, well-separated clusters; near 0: overlapping. All three favour"
        " round clusters and cannot be compared across different embeddings."
    )

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

        embedding, clusters = artifacts
        assert isinstance(embedding, Embedding)
        assert isinstance(clusters, Clusters)
        part, at = held_out(data, clusters.rows)
        covered = at[(clusters.label[at] >= 0) & np.isin(clusters.rows[at], embedding.rows)]
        note = f"{MOST:,} of {len(covered):,} cases drawn" if len(covered) > MOST else ""
        if len(covered) > MOST:
            covered = np.sort(rng.choice(covered, MOST, replace=False))
        label, z = (
            clusters.label[covered],
            prepared(
                np.asarray(embedding.z)[embedding.at(clusters.rows[covered])], embedding.metric
            ),
        )
        k = len(np.unique(label))
        share = Metric(
            "cases in a group",
            float((clusters.label[at] >= 0).mean()),
            None,
            None,
            part,
            n=len(at),
            higher_is_better=None,
        )
        if not 2 <= k < len(label):
            return [
                share,
                Metric(
                    "silhouette",
                    None,
                    split=part,
                    n=len(label),
                    note=f"{k} group{'s' * (k != 1)} among {len(label)} cases",
                ),
            ]
        value = silhouette_of(z, label)
        patients = data.of(clusters.rows[covered]).groups
        compact = Metric(
            "silhouette", value(np.arange(len(label))), split=part, n=len(label), note=note
        )
        parted = float(davies_bouldin_score(z, label))
        return [
            share,
            compact.within(interval(value, len(label), patients, (-1, 1), flatters=True)),
            Metric(
                "Davies-Bouldin",
                parted,
                split=part,
                n=len(label),
                higher_is_better=False,
                note=note,
            ),
            Metric(
                "Calinski-Harabasz",
                float(calinski_harabasz_score(z, label)),
                split=part,
                n=len(label),
                note=note,
            ),
        ]
