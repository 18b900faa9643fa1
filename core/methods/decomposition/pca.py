"""Principal component analysis: the straight lines along which the cases differ most.

Objective
    Maximise the variance of the projection: z = (x - mean) V, V the top right singular vectors of the centred training inputs; decode is z V' + mean.
    Tables are standardised first (missing values become the training mean), images are not.

Cost
    One SVD, O(n p min(n, p)) time and O(n p) memory for n training rows of p values; randomised (O(n p d)) above 500 values.

Differences from the paper
    None; scikit-learn's PCA computes it.

Reference
    Pearson, On lines and planes of closest fit, 1901; Halko, Martinsson, Tropp, Finding structure with randomness, SIAM Review 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Model
from core.data.scaling import Standardise
from core.method import BaseParams, Method, Takes, param

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.run import Run


class PCA(Method):
    id = "pca"
    title = "Principal components"
    takes = Takes(("image", "volume", "table", "series"), min_rows=3, trains=False, deterministic=True, seconds_per_value=5e-8)
    gives = (Model, Embedding, Images, AnomalyMaps)
    other_data = True
    tiny = {"dimensions": 4}
    presets = {"quick look": {"dimensions": 8}, "good": {"dimensions": 16}, "thorough": {"dimensions": 64}}

    class Params(BaseParams):
        dimensions: int = param(16, "How many directions to keep. Fewer than asked are kept when the data has fewer.", ge=1, le=1024)
        volumes: Literal["slice by slice", "whole (3-D)"] = param("whole (3-D)", "How volumes are taken. Slice by slice there is something to learn from few of them.", only="volume")

    def fit(self, data: Dataset, run: Run) -> None:
        import torch
        from sklearn.decomposition import PCA as Decomposition

        train = data.part("train")
        self.scale = Standardise.fit(train)
        flat = self.scale(torch.from_numpy(train.inputs())).flatten(1).numpy()
        keep = min(self.params.dimensions, *flat.shape)
        fitted = Decomposition(keep, random_state=run.seed).fit(flat)
        self.mean = torch.from_numpy(fitted.mean_.astype("f4"))
        self.components = torch.from_numpy(fitted.components_.astype("f4"))
        self.spread = torch.from_numpy(np.sqrt(fitted.explained_variance_).astype("f4"))
        run.report(0, explained=float(fitted.explained_variance_ratio_.sum()))

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        self.to(run.where)
        z, back, score = run.map(lambda x: (z := self.embed(x), self.decode(z), self.score(x)), data)
        yield self.model(data)
        yield Embedding(rows=data.rows, name="latent", z=z, axes=[f"component {j + 1}" for j in range(z.shape[1])])
        if data.modality != "table":
            yield Images(rows=data.rows, name="reconstruction", image=back)
        maps = np.abs(data.inputs() - back).mean(1) if data.modality in ("image", "volume") else None
        threshold = np.quantile(score[np.isin(data.splits, ["val"])], 0.95) if (data.splits == "val").any() else None
        yield AnomalyMaps(rows=data.rows, score=score, map=maps, threshold=threshold, rule="95 % of validation cases lie below", unit="residual")

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return (self.scale(x).flatten(1) - self.mean) @ self.components.T

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.scale.back((z @ self.components + self.mean).unflatten(1, self.scale.shape))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Mean squared residual of the standardised input, per row."""
        flat = self.scale(x).flatten(1) - self.mean
        return (flat - (flat @ self.components.T) @ self.components).square().mean(1)

    def axis_effects(self) -> Any:
        return self.spread.cpu().numpy()

    def to(self, device: Any) -> None:
        self.mean, self.components = self.mean.to(device), self.components.to(device)
        self.scale.to(device)

    def state(self) -> dict[str, Any]:
        return {"mean": self.mean, "components": self.components, "spread": self.spread, **self.scale.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.mean, self.components, self.spread = state["mean"], state["components"], state["spread"]
        self.scale = Standardise.restore(state)
