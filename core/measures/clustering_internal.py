"""Shape of groups in latent space, without labels: silhouette, Davies-Bouldin, Calinski-Harabasz. Never computed on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Clusters, Embedding, Metric
from core.measure import Measure
from core.measuring import held_out
from core.neighbours import prepared
from core.stats.bootstrap import mean_interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset

MOST = 4_000  # rows; above it a sample with a fixed seed, since silhouettes cost O(n^2)


class ClusteringInternal(Measure):
    id = "clustering_internal"
    title = "Shape of the groups"
    takes = (Embedding, Clusters)
    help = "Silhouette near 1: compact, well-parted groups; near 0: overlapping. All three favour round groups and cannot be compared across different embeddings."

    def compute(self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator) -> list[Metric]:
        from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_samples

        embedding, clusters = artifacts
        assert isinstance(embedding, Embedding)
        assert isinstance(clusters, Clusters)
        part, at = held_out(data, clusters.rows)
        covered = at[(clusters.label[at] >= 0) & np.isin(clusters.rows[at], embedding.rows)]
        note = f"{MOST:,} of {len(covered):,} cases drawn" if len(covered) > MOST else ""
        if len(covered) > MOST:
            covered = np.sort(rng.choice(covered, MOST, replace=False))
        label, z = clusters.label[covered], prepared(np.asarray(embedding.z)[embedding.at(clusters.rows[covered])], embedding.metric)
        k = len(np.unique(label))
        share = Metric("cases in a group", float((clusters.label[at] >= 0).mean()), None, None, part, n=len(at), higher_is_better=None)
        if not 2 <= k < len(label):
            return [share, Metric("silhouette", None, split=part, n=len(label), note=f"{k} group{'s' * (k != 1)} among {len(label)} cases")]
        each = silhouette_samples(z, label)
        patients = data.of(clusters.rows[covered]).groups
        compact = Metric("silhouette", float(each.mean()), split=part, n=len(label), note=note)
        parted = float(davies_bouldin_score(z, label))
        return [
            share,
            compact.within(mean_interval(each, patients, (-1, 1))),
            Metric("Davies-Bouldin", parted, split=part, n=len(label), higher_is_better=False, note=note),
            Metric("Calinski-Harabasz", float(calinski_harabasz_score(z, label)), split=part, n=len(label), note=note),
        ]
