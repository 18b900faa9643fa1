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

import numpy as np

from core.artifacts import Artifact, Clusters, Embedding, Model
from core.method import DemoRun, Method, Takes
from core.params import TrainingParams, batch_param, epochs_param, param, rate_param

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


class SwAV(Method):
    id = "swav"
    title = "Self-supervised prototypes (SwAV)"
    seed_number = 49
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(("image",), min_rows=32, min_size=8, seconds_per_value=2e-6)
    gives = (Model, Embedding, Clusters)
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

    class Params(TrainingParams):
        epochs: int = epochs_param(30, "Passes over the training pictures.")
        batch_size: int = batch_param(64, "Pictures per step.", advanced=False)
        learning_rate: float = rate_param(3e-3, "Largest step size of AdamW.", le=1)
        prototypes: int = param(
            30,
            "Number of groups the pictures are spread over; well below batch size plus queue.",
            ge=2,
            le=3000,
        )
        temperature: float = param(0.1, "Softness of the prediction.", gt=0, le=1, advanced=True)
        epsilon: float = param(
            0.05,
            "Softness of the codes; larger for uneven data such as rare diseases.",
            gt=0.005,
            le=1,
            advanced=True,
        )
        queue: int = param(
            0,
            "Past pictures that help to spread the codes, for small batches; 0 = none.",
            ge=0,
            le=20000,
            advanced=True,
        )
        small_crops: int = param(
            2, "Small crops per picture (from 28 pixels on).", ge=0, le=8, advanced=True
        )
        frozen_steps: int = param(
            30,
            "Steps at the start in which the prototypes stand still.",
            ge=0,
            le=10000,
            advanced=True,
        )
        strength: float = param(
            1.0, "How strongly the views are altered.", ge=0.1, le=2, advanced=True
        )
        flip: bool = param(
            False, "Also mirror left and right; off, since sides matter in medicine.", advanced=True
        )
        width: int = param(
            16,
            "Channels of the first layer; the embedding has four times as many dimensions.",
            ge=2,
            le=256,
            advanced=True,
        )

    def declines(self, data: Dataset) -> str | None:
        return (
            None
            if data.shape[0] in (1, 3)
            else f"Works on pictures with one or three channels; these have {data.shape[0]}."
        )

    def make_net(self) -> torch.nn.Module:
        from core.nets.encoders import SwAVNet

        return SwAVNet(
            self.shape_, self.params.width, 2 * self.params.width, self.params.prototypes
        )

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.augment import views

        p, train = self.params, data.part("train")
        self.shape_ = tuple(data.shape)
        self.net_ = self.make_net()
        optimiser = torch.optim.AdamW(self.net_.parameters(), p.learning_rate, weight_decay=1e-4)
        queue = Queue(p.queue, 2 * p.width)
        net = run.setup(self.net_, optimiser, queue=queue)
        queue.to(run.where)
        large = views(self.shape_, p.strength, p.flip)
        side = min(self.shape_[1:])
        small = (
            views(self.shape_, p.strength, p.flip, crop=max(14, side // 2), scale=(0.1, 0.35))
            if side >= 28 and p.small_crops
            else None
        )
        for batch in run.batches(train, p.batch_size, p.epochs, drop_last=True):
            run.cosine(p.learning_rate)
            self.net_.normalise()
            seen = [large(batch.x), large(batch.x)] + (
                [small(batch.x) for _ in range(p.small_crops)] if small else []
            )
            z, scores = net(seen)
            loss, codes = swapped(
                z,
                scores,
                len(batch.x),
                self.net_.prototypes.weight,
                queue,
                p.epsilon,
                p.temperature,
            )
            if batch.step < p.frozen_steps:
                loss = loss + 0 * self.net_.prototypes.weight.sum()
                before = self.net_.prototypes.weight.detach().clone()
            run.step(loss)
            if batch.step < p.frozen_steps:
                with torch.no_grad():
                    self.net_.prototypes.weight.copy_(before)
            share = codes.mean(0)
            run.report(
                batch.step,
                loss=loss,
                **{"prototypes in use": (share > 0.1 / p.prototypes).float().sum()},
            )
        self.net_.normalise()

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, prob = run.map(
            lambda x: (self.embed(x), (self.net_([x])[1] / self.params.temperature).softmax(1)),
            data,
        )
        yield Embedding(rows=data.rows, name="latent", z=z, metric="cosine", layer="encoder")
        names = [f"prototype {j + 1}" for j in range(prob.shape[1])]
        yield Clusters(
            rows=data.rows,
            name="prototypes",
            label=prob.argmax(1).astype(np.int64),
            prob=prob,
            names=names,
        )

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.encoder(x)


class Queue:
    """The last `size` projected pictures of each of the two coding views; used only once it is
    full, since zeros would poison the codes.
    """

    def __init__(self, size: int, width: int) -> None:
        import torch

        self.kept = torch.zeros(2, size, width)
        self.filled = torch.zeros(2, dtype=torch.long)  # pictures that each view has seen

    def to(self, device: Any) -> None:
        self.kept, self.filled = self.kept.to(device), self.filled.to(device)

    def push(self, view: int, z: torch.Tensor) -> None:
        size = self.kept.shape[1]
        if size:
            import torch

            self.kept[view] = torch.cat([z.detach(), self.kept[view]])[:size]
            self.filled[view] += len(z)

    def ready(self, view: int) -> bool:
        """Whether the queue of this view is full."""
        return bool(self.kept.shape[1]) and int(self.filled[view]) >= self.kept.shape[1]

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.kept, "filled": self.filled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # one count for both in checkpoints of before
        self.kept, self.filled = state["kept"], state["filled"].expand(2).clone()


def swapped(
    z: torch.Tensor,
    scores: torch.Tensor,
    b: int,
    prototypes: torch.Tensor,
    queue: Queue,
    epsilon: float,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The swapped-prediction loss over views stacked as [v*b, ...], and the codes [b,K] of the
    first view.
    """
    import torch

    from core.nets.sinkhorn import sinkhorn

    many = len(scores) // b
    log = (scores.float() / temperature).log_softmax(1).view(many, b, -1)
    losses, codes = [], []
    for i in range(2):
        with torch.no_grad():
            own = scores[i * b : (i + 1) * b].detach()
            every = torch.cat([queue.kept[i] @ prototypes.T, own]) if queue.ready(i) else own
            q = sinkhorn(every, epsilon)[-b:]
            queue.push(i, z[i * b : (i + 1) * b].float())
        codes.append(q)
        losses += [-(q * log[v]).sum(1).mean() for v in range(many) if v != i]
    return torch.stack(losses).mean(), codes[0]
