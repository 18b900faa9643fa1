"""QuickSelection: ranks columns by how strongly a sparse denoising autoencoder holds on to them.

Objective
    Mean squared error between the network's output for x + 0.2 N(0, 1) and the clean x. After every
    epoch but the last the weakest 20 % of the connections are replaced by random ones (SET).
    Strength of column i: the sum of |w| over its connections to the hidden units; the strongest K
    are selected.

Cost
    Memory and time grow with the connections, epsilon (inputs + hidden) a layer, not with inputs x
    hidden: about a tenth of a dense network's for 500 columns.

Differences from the paper
    Noise and dropout are drawn anew at every step, not once; columns are always standardised; the
    error is summed over columns, so that the step size means the same for few and many columns. 200
    hidden units and epsilon 5 (paper: 1,000 and 13; the preset “thorough”), chosen on digits beside
    noise columns.

Reference
    Atashgahi, Sokar, van der Lee, Mocanu, Mocanu, Veldhuis, Pechenizkiy, Quick and robust feature
    selection: the strength of energy-efficient sparse training for autoencoders, Machine Learning
    2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Embedding, Grid, Metrics, Model
from core.method import Method, Takes
from core.methods.selection._figures import compare_columns, draw_strengths, measure_cost
from core.methods.selection._params import QuickSelectionParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class QuickSelection(Method):
    id = "quick_selection"
    title = "Feature selection (QuickSelection)"
    seed_number = 14
    net_: Any
    takes = Takes(("table", "image"), volumes="no", min_rows=20, seconds_per_value=2e-7)
    gives = (Model, Embedding, Grid, Metrics)
    Params = QuickSelectionParams
    other_data = True
    tiny = {"epochs": 4, "batch_size": 32, "hidden": 40, "keep": 10}
    presets = {
        "fast": {"epochs": 60},
        "standard": {"epochs": 200},
        "thorough": {"epochs": 400, "hidden": 1000, "epsilon": 13.0},
    }
    least_steps = 300

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.methods.selection._columns import Renewal, column_names, fit_scale

        p, train = self.params, data.part("train")
        self.seed_, self.names_ = run.seed, column_names(data)
        self.scale_ = fit_scale(train)
        self.scale_.to(run.where)
        self.net_ = self.make_net()
        optimiser = torch.optim.SGD(
            self.net_.parameters(), p.learning_rate, momentum=0.9, weight_decay=1e-5
        )
        renewal = Renewal(self.net_, optimiser, p.epochs, p.renewed, run.seed)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x = self.flat(batch.x)
            noisy = x + p.noise * torch.randn_like(x)
            return {"loss": (net(noisy) - x).square().sum(1).mean()}

        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=optimiser,
            clip=10.0,
            drop_last=False,
            track={"record": renewal},
            between_epochs=renewal.renew,
        )
        self.history_ = renewal.history()
        self.chosen_ = np.argsort(-self.history_[-1], kind="stable")[: p.keep]

    def make_net(self) -> torch.nn.Module:
        from core.nets.sparse import SparseAutoencoder

        p = self.params
        return SparseAutoencoder(len(self.names_), p.hidden, p.epsilon, p.dropout, self.seed_)

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised columns [b,p]."""
        return self.scale_(x.flatten(1))

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        yield Embedding(
            rows=data.rows,
            name="latent",
            z=run.map(self.embed, data),
            layer="selected columns",
            axes=[self.names_[i] for i in self.chosen_],
        )
        yield draw_strengths(self.history_, self.names_, self.chosen_, data.rows)
        columns, hidden = len(self.names_), self.params.hidden
        found = measure_cost(self.net_.connections(), columns, hidden, len(data))
        found += compare_columns(run.map(self.flat, data), self.chosen_, data, run)
        yield Metrics.of(found, data.rows)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.flat(x)[:, self.chosen_.tolist()]
