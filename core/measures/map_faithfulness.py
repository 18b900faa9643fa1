"""How far a map may be believed: trustworthiness, continuity and neighbour recall, computed when
the map was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Map, Metric
from core.measure import Measure

if TYPE_CHECKING:
    from core.data.dataset import Dataset


class MapFaithfulness(Measure):
    id = "map_faithfulness"
    title = "Faithfulness of the map"
    takes = (Map,)
    help = (
        "Trustworthiness: few false neighbours on the map. Continuity: few true neighbours torn"
        " apart. Recall: share of the 15 nearest kept. 1 is perfect."
    )

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (made,) = artifacts
        assert isinstance(made, Map)
        note = "no interval: it describes this map, which other patients would change"
        return [
            Metric(
                f"{made.how} {name.replace('_', ' ')}",
                made.scores[name],
                n=len(made.rows),
                note=note,
            )
            for name in ("trustworthiness", "continuity", "knn_recall")
        ]
