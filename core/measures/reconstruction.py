"""How well pictures are reconstructed: squared error relative to always giving the mean training
picture, and structural similarity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Images, Metric
from core.evaluate import held_out
from core.measure import Measure
from core.stats.bootstrap import interval, mean_interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset

MOST = 2_000  # pictures; above it a seeded sample, and the figure says so


class Reconstruction(Measure):
    id = "reconstruction"
    title = "Reconstruction"
    takes = (Images,)
    help = (
        "Error of the reconstruction as a share of the error of always giving the average picture"
        " (lower is better), and similarity of structure (1 is perfect)."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        (images,) = artifacts
        assert isinstance(images, Images)
        if images.role != "reconstruction" or images.image.shape[1:] != data.shape:
            return "these pictures are no reconstructions of the input"
        return None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        import torch
        from kornia.metrics import ssim

        (images,) = artifacts
        assert isinstance(images, Images)
        part, at = held_out(data, images.rows)
        note = f"{MOST:,} of {len(at):,} cases drawn" if len(at) > MOST else ""
        if len(at) > MOST:
            at = np.sort(rng.choice(at, MOST, replace=False))
        groups = data.of(images.rows[at]).groups
        mean = data.reference.inputs().mean(0)
        x, back = data.of(images.rows[at]).inputs(), np.asarray(images.image[at])
        error = np.square(x - back).reshape(len(at), -1).mean(1)
        base = np.square(x - mean).reshape(len(at), -1).mean(1)

        def share(i: np.ndarray) -> float:
            return float(error[i].mean() / max(base[i].mean(), 1e-12))

        name = "reconstruction error (share of the mean picture's)"
        own = Metric(
            name,
            share(np.arange(len(at))),
            split=part,
            n=len(at),
            higher_is_better=False,
            note=note,
        )
        found = [own.within(interval(share, len(at), groups, (0, np.inf)))]
        if data.modality == "image" and min(data.shape[1:]) >= 11:
            similarity = (
                ssim(torch.from_numpy(back), torch.from_numpy(x), window_size=11)
                .flatten(1)
                .mean(1)
                .numpy()
            )
            one = Metric(
                "structural similarity", float(similarity.mean()), split=part, n=len(at), note=note
            )
            found.append(one.within(mean_interval(similarity, groups, (-1, 1))))
        return found
