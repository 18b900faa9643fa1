"""Unusual cases by the latent coordinates of an earlier run: how far they lie from normal training
cases.

Objective
    None is minimised; the score is one of `_reference`, as for tables (`table_anomaly`), of the
    coordinates the earlier run gave, in its own metric (unit length for cosine). Axes are not
    rescaled for distances to neighbours.

Cost
    As `table_anomaly`, with as many columns as latent axes.

Differences from the paper
    As `table_anomaly`. New cases are embedded by the model of the earlier run, where it kept one.

Reference
    Bergman, Cohen, Hoshen, Deep nearest neighbor anomaly detection, 2020; Lee, Lee, Lee, Shin, A
    simple unified framework for detecting out-of-distribution samples and adversarial attacks,
    NeurIPS 2018; Liu, Ting, Zhou, ICDM 2008.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Model
from core.errors import UserError
from core.method import Takes
from core.methods._on_embedding import as_measured, coordinates
from core.methods._on_model import OnModel
from core.methods.anomaly._from_reference import fit_reference, learned_cases, scored
from core.methods.anomaly._reference import Reference
from core.methods.anomaly._reference_params import ReferenceParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


class EmbeddingAnomaly(OnModel):
    id = "embedding_anomaly"
    title = "Unusual cases of an earlier run's latent space"
    takes = Takes(
        ("image", "volume", "table", "text", "sequence", "series"),
        labels="optional",
        masks="optional",
        on=("Embedding",),
        min_rows=10,
        trains=False,
        seconds_per_value=1e-8,
    )
    tiny_on = "pca"
    gives = (Model, Embedding, AnomalyMaps)
    Params = ReferenceParams
    parts = {"reference": Reference}
    other_data = True
    gradients = False
    presets = {"fast": {}, "standard": {}, "thorough": {"reference": 100_000}}

    def fit(self, data: Dataset, run: Run) -> None:
        embedding = run.base(Embedding)
        self.metric_ = embedding.metric
        model = next((a for a in run.on.values() if isinstance(a, Model)), None)
        if model and "embed" in model.abilities and list(model.input_shape) == list(data.shape):
            self.base_ = model
        learned, normal = learned_cases(data, self.params.learn_from)
        train, held = (coordinates(embedding, learned.part(p).rows)[1] for p in ("train", "val"))
        self.whose_ = "normal" if normal else "the"
        self.reference_, self.threshold_ = fit_reference(train, held, normal, self.params, run)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        rows, z = self._located(data, run)
        kept = z.astype(np.float32)
        yield Embedding(rows=rows, name="latent", z=kept, metric=self.metric_)
        yield scored(rows, z, self.reference_, self.threshold_, self.whose_)

    def _located(self, data: Dataset, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Row ids and coordinates of the cases: those of the earlier run, else by its model."""
        if any(isinstance(a, Embedding) for a in run.on.values()):
            return coordinates(run.base(Embedding), data.rows)
        if not self.able("embed"):
            raise UserError(
                "The earlier run kept no model that places new cases in its latent space, so only"
                " its own cases can be scored."
            )
        return data.rows, run.map(self.embed, data)

    def able(self, ability: str) -> bool:
        return hasattr(self, "base_")

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        z = self.opened("base_").embed(x)
        return z / z.norm(dim=1, keepdim=True).clamp(min=1e-12) if self.metric_ == "cosine" else z

    def score(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        z = as_measured(self.embed(x).detach().cpu().numpy(), self.metric_)
        return torch.from_numpy(self.reference_.score(z).astype(np.float32)).to(x.device)
