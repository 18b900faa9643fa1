"""Plain classifier: a small network that tells labelled classes apart, for others to build on.

Objective
    Cross-entropy of a linear layer on an encoder, classes weighted by inverse frequency if wished.

Cost
    O(n) an epoch; about 20 s for 2,428 pictures of 28 pixels on two cores (15 epochs).

Differences from the paper
    No paper: a convolutional encoder with batch normalisation for pictures, two hidden layers for
    tables; AdamW, cosine schedule.

Reference
    Loshchilov, Hutter, Decoupled weight decay regularization, ICLR 2019 (the optimiser).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.artifacts import Artifact, Embedding, Model, Predictions
from core.data.labels import labelled_parts
from core.data.scaling import Standardise
from core.method import Method, Takes
from core.params import (
    EarlyStoppingParams,
    batch_param,
    epochs_param,
    param,
    rate_param,
    width_param,
)
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class Classifier(Method):
    id = "classifier"
    title = "Plain classifier"
    net_: Any  # ClassifierNet: `.encoder` [b,*input] -> [b,d], `.head` [b,d] -> [b,k] logits
    takes = Takes(
        ("image", "table"), labels="needed", min_rows=20, min_size=8, seconds_per_value=5e-7
    )
    gives = (Model, Embedding, Predictions)
    shares_batches = True
    other_data = True
    tiny = {"epochs": 3, "batch_size": 32, "width": 4}
    presets = {
        "fast": {"epochs": 15},
        "standard": {"epochs": 40},
        "thorough": {"epochs": 150, "width": 32},
    }
    suggested_for = {"classes": 1}
    watched = True
    least_steps = 300

    class Params(EarlyStoppingParams):
        epochs: int = epochs_param(15)
        batch_size: int = batch_param(64, advanced=False)
        learning_rate: float = rate_param(3e-3, "Largest step size of AdamW.", le=1)
        weight_decay: float = param(
            1e-3, "How strongly weights shrink; more for small data.", ge=0, le=1, advanced=True
        )
        balanced: bool = param(True, "Let rare classes count as much as frequent ones.")
        width: int = width_param()

    def make_net(self) -> torch.nn.Module:
        from core.nets.encoders import ClassifierNet

        return ClassifierNet(self.shape_, self.params.width, len(self.class_names_))

    def fit(self, data: Dataset, run: Run) -> None:
        import torch
        from torch.nn import functional as F

        from core.nets.losses.class_weights import class_weights

        p, (train, val, names) = self.params, labelled_parts(data)
        self.shape_, self.class_names_ = tuple(data.shape), names
        self.scale_ = Standardise.fit(train).to(run.where)
        self.net_ = self.make_net()
        weight = class_weights(train.labels, len(names)).to(run.where) if p.balanced else None

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            logits = net(self.scale_(batch.x))
            right = (logits.argmax(1) == batch.y).float().mean()
            return {"loss": F.cross_entropy(logits, batch.y, weight), "training accuracy": right}

        def validation() -> float:
            logits = torch.from_numpy(run.map(lambda x: self.net_(self.scale_(x)), val))
            y = torch.from_numpy(val.labels)
            return float(F.cross_entropy(logits.to(run.where), y.to(run.where), weight))

        weights = self.net_.parameters()
        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=torch.optim.AdamW(weights, p.learning_rate, weight_decay=p.weight_decay),
            schedule=half_cosine(p.learning_rate),
            clip=5.0,
            validation=validation if len(val) else None,
        )

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, prob = run.map(lambda x: (z := self.embed(x), self.net_.head(z).softmax(1)), data)
        yield Embedding(rows=data.rows, name="latent", z=z, layer="encoder")
        yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.encoder(self.scale_(x))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_(self.scale_(x)).softmax(1)
