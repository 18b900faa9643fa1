"""RankMe: how many latent dimensions are really used (Garrido et al., ICML 2023). exp of the
entropy of the normalised singular values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Embedding, Metric
from core.measure import Measure

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def spectrum(z: np.ndarray) -> np.ndarray:
    """Singular values of z [n,d] in float64, not centred, largest first."""
    return np.linalg.svd(np.asarray(z, dtype=np.float64), compute_uv=False)


def rankme(z: np.ndarray, eps: float = 1e-7) -> float:
    """Effective rank in [1, min(n,d)]; 1 where z is all zero."""
    s = spectrum(z)
    if s.sum() == 0:
        return 1.0
    p = s / s.sum() + eps
    return float(np.exp(-(p * np.log(p)).sum()))


class RankMe(Measure):
    id = "rankme"
    title = "Effective dimensions (RankMe)"
    seed_number = 41
    takes = (Embedding,)
    help = (
        "How many of the latent dimensions are in use. Few means collapse; many alone prove"
        " nothing, since pure noise scores highest. Compare runs of one method only."
    )

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (embedding,) = artifacts
        assert isinstance(embedding, Embedding)
        z = np.asarray(embedding.z)
        some = z if len(z) <= 25_600 else z[rng.choice(len(z), 25_600, replace=False)]
        # copies of rows would lower the rank: sub-samples, and no interval
        value, part = rankme(some), max(2, int(0.8 * len(some)))
        seen = [
            value,
            *(rankme(some[rng.choice(len(some), part, replace=False)]) for _ in range(20)),
        ]
        note = f"of {z.shape[1]}; range over 20 sub-samples of 80 %"
        return [
            Metric(
                "effective dimensions",
                value,
                min(seen),
                max(seen),
                n=len(some),
                note=note,
                kind="range",
            )
        ]
