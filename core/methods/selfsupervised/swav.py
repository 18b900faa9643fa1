"""SwAV: learns from unlabelled pictures by asking that two altered views of one picture fall into
the same group.

Objective
    Codes q by Sinkhorn-Knopp of one view's prototype scores (eps 0.05, 3 rounds); loss:
    cross-entropy of the other views' softmax (tau 0.1) with those codes, averaged over the two
    coding views and the others.

Cost
    Two views, and small crops from 28 pixels on, of every picture per epoch; about 40 s for 1,259
    digits on two cores (30 epochs).

Differences from the paper
    A small convolutional encoder in place of ResNet-50, AdamW with a cosine schedule in place of
    LARC; no flips and no hue for medical pictures; small crops only from 28 pixels, since crops of
    smaller pictures were seen to stop the learning; the embedding is the encoder's output. The
    queue, where one is asked for, is used from the step on at which it is full, in any epoch (the
    paper's begins at a set one, epoch 15 in its recipes).

Reference
    Caron, Misra, Mairal, Goyal, Bojanowski, Joulin, Unsupervised learning of visual features by
    contrasting cluster assignments, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.artifacts import Artifact, Clusters, Embedding, Model
from core.method import DemoRun, Method, Takes
from core.methods.selfsupervised._params import SwAVParams
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class SwAV(Method):
    id = "swav"
    title = "Self-supervised prototypes (SwAV)"
    seed_number = 49
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(("image",), min_rows=32, min_size=8, seconds_per_value=2e-6)
    gives = (Model, Embedding, Clusters)
    shares_batches = True
    Params = SwAVParams
    other_data = True
    tiny = {"epochs": 2, "prototypes": 8, "batch_size": 32, "width": 4}
    presets = {
        "fast": {"epochs": 30},
        "standard": {"epochs": 100},
        "thorough": {"epochs": 300, "width": 32},
    }
    demo = (DemoRun("digits", 3, "fast"),)
    watched = True
    least_steps = 600

    def declines(self, data: Dataset) -> str | None:
        if data.shape[0] in (1, 3):
            return None
        return f"Works on pictures with one or three channels; these have {data.shape[0]}."

    def make_net(self) -> torch.nn.Module:
        from core.nets.encoders import SwAVNet

        p = self.params
        return SwAVNet(self.shape_, p.width, 2 * p.width, p.prototypes)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.augment import multi_crop
        from core.nets.losses.swapped_prediction import swapped_prediction
        from core.nets.memory_bank import MemoryBank

        p, self.shape_ = self.params, tuple(data.shape)
        self.net_ = self.make_net()
        bank = MemoryBank(p.queue, 2 * p.width).to(run.where)
        views = multi_crop(self.shape_, p.small_crops, p.strength, p.flip)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            self.net_.normalise()
            z, scores = net(views(batch.x))
            prototypes, b = self.net_.prototypes.weight, len(batch.x)
            loss, codes = swapped_prediction(
                z, scores, b, prototypes, bank, p.epsilon, p.temperature
            )
            used = (codes.mean(0) > 0.1 / p.prototypes).float().sum()
            return {"loss": loss, "prototypes in use": used}

        def hold(batch: Batch) -> None:
            if batch.step < p.frozen_steps:
                self.net_.hold_prototypes()

        run.fit(
            self.net_,
            loss,
            data.part("train"),
            p,
            optimiser=torch.optim.AdamW(self.net_.parameters(), p.learning_rate, weight_decay=1e-4),
            schedule=half_cosine(p.learning_rate),
            track={"queue": bank},
            after_step=hold,
            phase=lambda batch: bank.look(),
        )
        self.net_.normalise()

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        soft = self.params.temperature
        z, prob = run.map(lambda x: (self.embed(x), (self.net_([x])[1] / soft).softmax(1)), data)
        yield Embedding(rows=data.rows, name="latent", z=z, metric="cosine", layer="encoder")
        names = [f"prototype {j + 1}" for j in range(prob.shape[1])]
        yield Clusters.likeliest(data.rows, "prototypes", prob, names)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.encoder(x)
