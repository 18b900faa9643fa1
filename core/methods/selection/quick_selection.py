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

from core.artifacts import Artifact, Embedding, Grid, Metric, Metrics, Model
from core.data.scaling import Standardise
from core.method import Method, Takes
from core.params import TrainingParams, batch_param, epochs_param, param, rate_param

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run

SHOWN = 60  # columns in the picture of strengths


class QuickSelection(Method):
    id = "quick_selection"
    title = "Feature selection (QuickSelection)"
    seed_number = 14
    net_: Any
    takes = Takes(("table", "image"), volumes="no", min_rows=20, seconds_per_value=2e-7)
    gives = (Model, Embedding, Grid, Metrics)
    other_data = True
    tiny = {"epochs": 4, "batch_size": 32, "hidden": 40, "keep": 10}
    presets = {
        "fast": {"epochs": 60},
        "standard": {"epochs": 200},
        "thorough": {"epochs": 400, "hidden": 1000, "epsilon": 13.0},
    }
    least_steps = 300

    class Params(TrainingParams):
        epochs: int = epochs_param(60, "Passes over the training rows.")
        batch_size: int = batch_param(100, "Rows per step.")
        learning_rate: float = rate_param(0.02, "Step size.", le=1)
        keep: int = param(20, "How many columns to select.", ge=1, le=10_000)
        hidden: int = param(200, "Hidden units.", ge=4, le=20_000)
        epsilon: float = param(
            5.0,
            "Connections a layer has per input and hidden unit.",
            gt=0.1,
            le=1000,
            advanced=True,
        )
        renewed: float = param(
            0.2,
            "Share of the weakest connections replaced after each epoch.",
            ge=0,
            le=0.9,
            advanced=True,
        )
        noise: float = param(
            0.2,
            "Standard deviation of the noise added to the standardised columns.",
            ge=0,
            le=5,
            advanced=True,
        )
        dropout: float = param(
            0.2, "Share of hidden units left out while training.", ge=0, le=0.9, advanced=True
        )

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        p, train = self.params, data.part("train")
        self.shape_, self.seed_ = tuple(data.shape), run.seed
        self.names_ = list(data.features) or [
            f"{'row ' + str(i // self.shape_[-1]) + ', column ' + str(i % self.shape_[-1])}"
            for i in range(int(np.prod(self.shape_)))
        ]
        self.scale_ = self._scaled(train)
        self.net_ = self.make_net()
        optimiser = torch.optim.SGD(
            self.net_.parameters(), p.learning_rate, momentum=0.9, weight_decay=1e-5
        )
        record = Record(p.epochs, len(self.names_))
        net = run.setup(self.net_, optimiser, record=record)
        self.scale_.to(run.where)
        for batch in run.batches(train, p.batch_size, p.epochs):
            if batch.turn:
                self._renew(batch.epoch - 1, optimiser, record)
            x = self.flat(batch.x)
            loss = (net(x + p.noise * torch.randn_like(x)) - x).square().sum(1).mean()
            run.step(loss, clip=10.0)
            run.report(batch.step, loss=loss)
        record.keep(p.epochs - 1, self.net_.first.strength())
        self.history_ = record.strength.cpu().numpy()
        self.chosen_ = np.argsort(-self.history_[-1], kind="stable")[
            : min(p.keep, len(self.names_))
        ]

    def _renew(self, epoch: int, optimiser: torch.optim.Optimizer, record: Record) -> None:
        """Keep the strengths of the epoch that ended, then renew both layers; the draw is fixed by
        (seed, epoch).
        """
        record.keep(epoch, self.net_.first.strength())
        for i, layer in enumerate((self.net_.first, self.net_.second)):
            layer.renew(
                self.params.renewed,
                np.random.default_rng((self.seed_, epoch, i)),
                optimiser.state[layer.value].get("momentum_buffer"),
            )

    def _scaled(self, train: Dataset) -> Standardise:
        """Statistics per value, for pictures as well: a pixel is a column here."""
        import torch

        if train.modality == "table":
            return Standardise.fit(train)
        x = train.inputs().reshape(len(train), -1)
        sd = x.std(0)
        return Standardise(
            torch.from_numpy(x.mean(0)),
            torch.from_numpy(np.where(sd < 1e-6, 1.0, sd).astype("f4")),
            (x.shape[1],),
        )

    def make_net(self) -> torch.nn.Module:
        from core.nets.sparse import SparseAutoencoder

        return SparseAutoencoder(
            len(self.names_),
            self.params.hidden,
            self.params.epsilon,
            self.params.dropout,
            self.seed_,
        )

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised columns [b,p]."""
        return self.scale_(x.flatten(1))

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        yield Embedding(
            rows=data.rows,
            name="latent",
            z=run.map(self.embed, data),
            layer="selected columns",
            axes=[self.names_[i] for i in self.chosen_],
        )
        order = np.argsort(-self.history_[-1], kind="stable")[:SHOWN]
        picked = {int(i) for i in self.chosen_}
        steps = np.unique(
            np.linspace(0, len(self.history_) - 1, min(12, len(self.history_))).astype(int)
        )
        yield Grid(
            rows=data.rows,
            name="strength",
            value=self.history_[np.ix_(steps, order)].T.astype(np.float32),
            x=[str(s + 1) for s in steps],
            y=[f"{self.names_[i]} ✓" if i in picked else self.names_[i] for i in order],
            x_title="epoch",
            y_title="column, strongest at the end on top",
            unit=(
                "how much the network relies on a column (sum of absolute weights); ✓ = one of the"
                f" {len(picked)} selected"
            ),
            low=0.0,
        )
        yield Metrics.of(self.figures(data, run), data.rows)

    def figures(self, data: Dataset, run: Run) -> list[Metric]:
        """What it costs against a dense network of the same size, and how far the selected columns
        go in telling the classes apart.
        """
        layers = (self.net_.first, self.net_.second)
        entries = sum(len(layer.value) for layer in layers)
        dense = 2 * len(self.names_) * self.params.hidden
        found = [
            Metric(
                "connections",
                float(entries),
                n=len(data),
                higher_is_better=None,
                note=f"a dense network of this size has {dense:,}",
            ),
            Metric(
                "memory of the weights, MB",
                (entries * 20) / 1e6,
                n=len(data),
                higher_is_better=False,
                note=f"value and two places each; dense: {4 * dense / 1e6:.2f} MB",
            ),
            Metric(
                "million multiplications a row, forward",
                entries / 1e6,
                n=len(data),
                higher_is_better=False,
                note=f"dense: {dense / 1e6:.2f}",
            ),
        ]
        x, train, test = self.flat_numpy(data), data.splits == "train", data.splits == "test"
        good = data.labels >= 0
        if len(np.unique(data.labels[train & good])) < 2 or (test & good).sum() < 5:
            return found
        every, few = (
            np.arange(x.shape[1]),
            run.rng.choice(x.shape[1], len(self.chosen_), replace=False),
        )
        for name, columns in (
            ("selected columns", self.chosen_),
            ("as many random columns", few),
            ("all columns", every),
        ):
            found.append(told_apart(name, x[:, columns], data, train & good, test & good, run))
        return found

    def flat_numpy(self, data: Dataset) -> np.ndarray:
        import torch

        return self.flat(torch.from_numpy(data.inputs()).to(self.scale_.mean.device)).cpu().numpy()

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.flat(x)[:, self.chosen_.tolist()]


class Record:
    """Strength of every column after each epoch, float32 [epochs,p]; part of the checkpoint."""

    def __init__(self, epochs: int, p: int) -> None:
        import torch

        self.strength = torch.zeros(epochs, p)

    def keep(self, epoch: int, strength: torch.Tensor) -> None:
        self.strength[epoch] = strength.cpu()

    def state_dict(self) -> dict[str, Any]:
        return {"strength": self.strength}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.strength = state["strength"]


def told_apart(
    name: str, x: np.ndarray, data: Dataset, train: np.ndarray, test: np.ndarray, run: Run
) -> Metric:
    """Accuracy on test of 50 extremely randomised trees on these columns, with its interval over
    patients.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    from core.stats.bootstrap import mean_interval

    right = (
        ExtraTreesClassifier(50, random_state=run.seed)
        .fit(x[train], data.labels[train])
        .predict(x[test])
        == data.labels[test]
    )
    groups = data.groups[test] if data.groups is not None else None
    one = Metric(
        f"trees on {name}: accuracy",
        float(right.mean()),
        split="test",
        n=int(test.sum()),
        note=f"{x.shape[1]} columns",
    )
    return one.within(mean_interval(np.asarray(right, bool), groups))
