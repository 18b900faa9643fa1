"""Principal component analysis: the straight lines along which the cases differ most.

Objective
    Maximise the variance of the projection: z = (x - mean) V, V the top right singular vectors of
    the centred training inputs; decode is z V' + mean. Tables are standardised first (missing
    values become the training mean), images are not.

Cost
    One SVD, O(n p min(n, p)) time and O(n p) memory for n training rows of p values; randomised
    (O(n p d)) above 500 values.

Differences from the paper
    None in the directions; scikit-learn's PCA computes them. How many are kept is ours: of a table
    as many as explain `variance` of the training cases' variance. Where that takes all of them
    nothing is left over to score a case by, so no score is given.

Reference
    Pearson, On lines and planes of closest fit, 1901; Halko, Martinsson, Tropp, Finding structure
    with randomness, SIAM Review 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Model
from core.data.scaling import Standardise
from core.method import DemoRun, Method, Takes
from core.methods._anomaly_maps import make_anomaly_maps
from core.methods.decomposition._directions import explain_no_score, find_directions, left_over
from core.methods.decomposition._params import PCAParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


class PCA(Method):
    id = "pca"
    title = "Principal components"
    takes = Takes(
        ("image", "volume", "table", "series"),
        min_rows=3,
        trains=False,
        deterministic=True,
        seconds_per_value=5e-8,
    )
    gives = (Model, Embedding, Images, AnomalyMaps)
    Params = PCAParams
    volumes_param = "volumes"
    other_data = True
    tiny = {"dimensions": 4}
    presets = {
        "fast": {"dimensions": 8},
        "standard": {"dimensions": 16},
        "thorough": {"dimensions": 64},
    }
    suggested_for = {"map": 1, "unusual": 3}
    demo = (DemoRun("digits", 1, params={"dimensions": 16}),)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        train, table = data.part("train"), data.modality == "table"
        self.scale_ = Standardise.fit(train)
        flat = self.scale_(torch.from_numpy(train.inputs())).flatten(1).numpy()
        share = self.params.variance if table else 1.0
        flat = flat.astype(np.float64) if table else flat
        found = find_directions(flat, self.params.dimensions, share, run.seed)
        self.varying_, self.mean_ = found.varying, found.mean
        self.components_, self.spread_ = found.components, found.spread
        run.report(0, explained=found.explained)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, back, score = run.map(
            lambda x: (z := self.embed(x), self.decode(z), self.score(x)), data
        )
        axes = [f"component {j + 1}" for j in range(z.shape[1])]
        yield Embedding(rows=data.rows, name="latent", z=z, axes=axes)
        if data.modality != "table":
            yield Images(rows=data.rows, name="reconstruction", image=back)
        if self.redraws_all:
            run.note(explain_no_score(len(self.components_), self.varying_))
            return
        maps = None
        if data.modality in ("image", "volume"):
            maps = np.abs(data.inputs() - back).mean(1)
            maps[score == 0] = 0
        yield make_anomaly_maps(data, score, maps, "residual")

    @property
    def latent_axes(self) -> int:
        return len(self.components_)

    @property
    def redraws_all(self) -> bool:
        """Whether the kept directions redraw every case, so that nothing is left over."""
        return len(self.components_) >= self.varying_

    def able(self, ability: str) -> bool:
        return ability != "score" or not self.redraws_all

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return (self.scale_(x).flatten(1) - self.mean_) @ self.components_.T

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.scale_.back((z @ self.components_ + self.mean_).unflatten(1, self.scale_.shape))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Mean squared residual of the standardised input, per row; 0 where it is rounding."""
        return left_over(self.scale_(x).flatten(1), self.mean_, self.components_)

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        return {"varying": int(state["components"].shape[1])} | state

    def axis_effects(self) -> Any:
        return self.spread_.cpu().numpy()
