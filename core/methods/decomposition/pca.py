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
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Model
from core.data.scaling import Standardise
from core.errors import UserError
from core.method import DemoRun, Method, Takes
from core.params import BaseParams, param

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run

# of a case's own size: a residual below it is no more than float32's rounding
ROUNDING = 32 * float(np.finfo(np.float32).eps)
# variance, relative to the first direction's, below which a direction is rounding
NO_DIRECTION = {"f4": 1e-6, "f8": 1e-11}


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
    other_data = True
    tiny = {"dimensions": 4}
    presets = {
        "fast": {"dimensions": 8},
        "standard": {"dimensions": 16},
        "thorough": {"dimensions": 64},
    }
    suggested_for = {"map": 1, "unusual": 2}
    demo = (DemoRun("digits", 1, params={"dimensions": 16}),)

    class Params(BaseParams):
        dimensions: int = param(
            16,
            "How many directions to keep. Fewer than asked are kept when the data has fewer.",
            ge=1,
            le=1024,
        )
        variance: float = param(
            0.95,
            "No more directions are kept than explain this share of the training cases' variance,"
            " so that something is left over to score a case by. Where the columns have nothing in"
            " common all are kept, and there is no score. 1 keeps as many as asked.",
            ge=0.1,
            le=1,
            only="table",
        )
        volumes: Literal["slice by slice", "whole (3-D)"] = param(
            "whole (3-D)",
            "How volumes are taken. Slice by slice there is something to learn from few of them.",
            only="volume",
        )

    def fit(self, data: Dataset, run: Run) -> None:
        import torch
        from sklearn.decomposition import PCA as Decomposition

        train = data.part("train")
        self.scale_ = Standardise.fit(train)
        flat = self.scale_(torch.from_numpy(train.inputs())).flatten(1).numpy()
        flat = flat.astype(np.float64) if data.modality == "table" else flat
        self.varying_ = int((np.ptp(flat, axis=0) > 0).sum())
        if not self.varying_:
            raise UserError(
                "All training cases are the same, so there is no direction in which they differ."
            )
        fitted = Decomposition(min(self.params.dimensions, *flat.shape), random_state=run.seed).fit(
            flat
        )
        keep = self._kept(fitted, flat.dtype.str[1:], data.modality == "table")
        self.mean_ = torch.from_numpy(fitted.mean_.astype("f4"))
        self.components_ = torch.from_numpy(fitted.components_[:keep].astype("f4"))
        self.spread_ = torch.from_numpy(np.sqrt(fitted.explained_variance_[:keep]).astype("f4"))
        run.report(0, explained=float(fitted.explained_variance_ratio_[:keep].sum()))

    def _kept(self, fitted: Any, precision: str, table: bool) -> int:
        """How many of the directions of `fitted` (scikit-learn's PCA, largest first) are kept, at
        least one.
        """
        variance = fitted.explained_variance_
        real = int((variance > NO_DIRECTION[precision] * variance[0]).sum())
        if not table or self.params.variance >= 1:
            return max(1, real)
        enough = (
            int(np.searchsorted(np.cumsum(fitted.explained_variance_ratio_), self.params.variance))
            + 1
        )
        return max(1, min(enough, real))

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, back, score = run.map(
            lambda x: (z := self.embed(x), self.decode(z), self.score(x)), data
        )
        yield Embedding(
            rows=data.rows,
            name="latent",
            z=z,
            axes=[f"component {j + 1}" for j in range(z.shape[1])],
        )
        if data.modality != "table":
            yield Images(rows=data.rows, name="reconstruction", image=back)
        if self.redraws_all:
            run.note(self._no_score())
            return
        maps = (
            np.abs(data.inputs() - back).mean(1) if data.modality in ("image", "volume") else None
        )
        if maps is not None:
            maps[score == 0] = 0
        val = score[data.splits == "val"]
        threshold = float(np.quantile(val, 0.95)) if len(val) else None
        rule = (
            "every validation case scores 0"
            if len(val) and not val.any()
            else "95 % of validation cases lie below"
        )
        yield AnomalyMaps(
            rows=data.rows, score=score, map=maps, threshold=threshold, rule=rule, unit="residual"
        )

    @property
    def redraws_all(self) -> bool:
        """Whether the kept directions can redraw every case, so that what is left over says
        nothing.
        """
        return len(self.components_) >= self.varying_

    def _no_score(self) -> str:
        kept, of = len(self.components_), self.varying_
        values = "one value that varies" if of == 1 else f"{of} values that vary"
        directions = "direction" if kept == 1 else "directions"
        return (
            f"No anomaly score: {kept} {directions} of {values} redraw every case, so nothing"
            " is left over to score it by"
            + ("." if of == 1 else "; keep fewer directions for one.")
        )

    def able(self, ability: str) -> bool:
        return ability != "score" or not self.redraws_all

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return (self.scale_(x).flatten(1) - self.mean_) @ self.components_.T

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.scale_.back((z @ self.components_ + self.mean_).unflatten(1, self.scale_.shape))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Mean squared residual of the standardised input, per row; 0 where it is no more than
        rounding.
        """
        scaled = self.scale_(x).flatten(1)
        flat = scaled - self.mean_
        left = (flat - (flat @ self.components_.T) @ self.components_).square().mean(1)
        size = scaled.square().mean(1) + self.mean_.square().mean()
        return left * (left > ROUNDING**2 * size)

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        return {"varying": int(state["components"].shape[1])} | state

    def axis_effects(self) -> Any:
        return self.spread_.cpu().numpy()
