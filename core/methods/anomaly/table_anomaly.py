"""Unusual rows of a table: how far a case lies from the normal training cases in its columns.

Objective
    None is minimised. Columns are standardised with the reference cases (missing values become
    their mean). The score is one of `_reference`: by default the mean distance to the 5 nearest
    reference cases where these are known to be normal, else the largest of three (that, Mahalanobis
    distance with shrinkage, isolation forest), each in standard deviations of validation cases,
    distances on a log scale.

Cost
    O(n log n) for few columns and O(n m) for many, of n reference and m scored cases: about 2 s for
    10,000 rows of 30 columns on two cores.

Differences from the paper
    Nearest cases, Mahalanobis, isolation forest and the local outlier factor are scikit-learn's,
    but for this: a case that is one of the reference cases is scored without itself among its
    neighbours. ECOD counts each scored case as if added to the reference alone, where PyOD adds all
    that are scored together, so that a score depended on the other cases asked for. Which three are
    combined, that the largest counts, and what is the default is ours, chosen with the figures of
    ADBench's tables in view: on other tables expect less than these say.

Reference
    Aggarwal, Sathe, Theoretical foundations and algorithms for outlier ensembles, SIGKDD
    Explorations 2015; Han, Hu, Huang, Jiang, Zhao, ADBench, NeurIPS 2022; Ramaswamy, Rastogi, Shim,
    SIGMOD 2000; Ledoit, Wolf, Journal of Multivariate Analysis 2004; Liu, Ting, Zhou, ICDM 2008.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Model
from core.data.scaling import Standardise
from core.method import Method, Takes
from core.methods.anomaly._from_reference import fit_reference, learned_cases, scored
from core.methods.anomaly._reference import Reference
from core.methods.anomaly._reference_params import ReferenceParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


class TableAnomaly(Method):
    id = "table_anomaly"
    title = "Unusual rows of a table"
    takes = Takes(
        ("table",),
        labels="optional",
        min_rows=10,
        trains=False,
        seconds_per_value=3e-6,
    )
    gives = (Model, Embedding, AnomalyMaps)
    Params = ReferenceParams
    parts = {"scale": Standardise, "reference": Reference}
    other_data = True
    gradients = False
    presets = {"fast": {}, "standard": {}, "thorough": {"reference": 100_000}}
    suggested_for = {"unusual": 1}

    def fit(self, data: Dataset, run: Run) -> None:
        learned, normal = learned_cases(data, self.params.learn_from)
        train, held = learned.part("train"), learned.part("val")
        self.scale_ = Standardise.fit(train if len(train) else data.part("train"))
        self.whose_ = "normal" if normal else "the"
        self.reference_, self.threshold_ = fit_reference(
            self._columns(train, run), self._columns(held, run), normal, self.params, run
        )

    def _columns(self, data: Dataset, run: Run) -> np.ndarray:
        """Standardised columns float32 [n,d]."""
        return run.map(self.embed, data) if len(data) else np.zeros((0, *data.shape), np.float32)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z = self._columns(data, run)
        yield Embedding(rows=data.rows, name="columns", z=z, axes=list(data.features))
        yield scored(data.rows, z, self.reference_, self.threshold_, self.whose_)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale_(x)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        found = self.reference_.score(self.embed(x).detach().cpu().numpy())
        return torch.from_numpy(found.astype(np.float32)).to(x.device)
