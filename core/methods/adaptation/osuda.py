"""OSUDA: moves an outlining model to another site or scanner from unlabelled pictures alone,
without the data it learned from.

Objective
    Batch normalisation mixes statistics, eta_k · source + (1 - eta_k) · batch with eta_k = eta_0 ·
    exp(-k / tau). Trained are scales and shifts only: L = sum (1 + alpha)(|scale - source's| +
    |shift - source's|) + lambda · entropy of the pixels' probabilities, lambda falling linearly
    from 10 to 0.

Cost
    One forward and backward pass per picture (or square of it, `crop`) and epoch, no more memory
    than training; about 20 s for 80 pictures of 96 x 96 pixels on two cores.

Differences from the paper
    No official code was found; tau is in steps and set by us. At the end the mixed statistics are
    fixed, so that what is kept is an ordinary model. The entropy is small beside the tie of scales
    and shifts, so most of what happens is the change of statistics.

Reference
    Liu, Xing, Yang, El Fakhri, Woo, Adapting off-the-shelf source segmenter for target medical
    image segmentation, MICCAI 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.artifacts import (
    AnomalyMaps,
    Artifact,
    Embedding,
    Grid,
    Metrics,
    Model,
    Predictions,
)
from core.io.tensors import add_prefix, take_prefix
from core.method import Takes
from core.methods._on_model import ChangedModel
from core.methods.adaptation._figures import figures, say_why_not, shift_grid
from core.methods.adaptation._params import OSUDAParams
from core.registry import open_model

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


class OSUDA(ChangedModel):
    id = "osuda"
    title = "Domain adaptation of segmentation (OSUDA)"
    seed_number = 27
    takes = Takes(
        ("image",),
        on=("Model",),
        on_same_data=False,
        min_rows=8,
        min_size=16,
        seconds_per_value=8e-7,
    )
    gives = (Model, Embedding, Predictions, AnomalyMaps, Grid, Metrics)
    Params = OSUDAParams
    crop_param = "crop"
    tiny_on = "unet_plus_plus"
    tiny = {"epochs": 4, "batch_size": 16, "learning_rate": 0.05, "tau": 2.0, "tie": 0.0}
    presets = {
        "fast": {"epochs": 20, "crop": 160},
        "standard": {"epochs": 60},
        "thorough": {"epochs": 100},
    }
    least_steps = 100

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        return say_why_not(on)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.augment import same_crop
        from core.nets.losses.entropy import pixel_entropy
        from core.nets.norms import mixed, plain, tied

        p, train = self.params, data.part("train")
        self.base_ = run.base(Model)
        inner = open_model(self.base_, str(run.where))
        (net,) = inner.nets()
        for q in net.parameters():
            q.requires_grad_(False)
        norms = mixed(net)
        moved = [q for n in norms for q in (n.weight, n.bias)]
        for q in moved:
            q.requires_grad_(True)
        optimiser = torch.optim.Adam(moved, p.learning_rate)
        run.setup(net, optimiser)
        net.eval()
        size = min(len(train), p.batch_size)
        steps = p.epochs * max(1, len(train) // size)
        last = p.start * math.exp(-(steps - 1) / p.tau)
        for batch in run.batches(train, size, p.epochs, drop_last=True):
            share = p.start * math.exp(-batch.step / p.tau)
            weight = p.entropy * (1 - batch.step / steps if p.fading else 1.0)
            for n in norms:
                n.share = share
            prob = inner.predict(same_crop(batch.x, p.crop))
            unsure = pixel_entropy(prob).mean()
            held = tied(norms)
            run.step(p.tie * held + weight * unsure, clip=5.0)
            run.report(
                batch.step,
                loss=held.detach() + unsure.detach(),
                entropy=unsure,
                held=held,
                **{"share of the old statistics": share},
            )
        # at a share of 1 nothing would be looked at
        self._statistics(inner, norms, train, min(last, 1 - 1e-9), run)
        self.shifts_ = [n.shift.cpu().numpy() for n in norms if int(n.looks)]
        fixed = [
            (
                last * n.source_mean + (1 - last) * n.target_mean,
                last * n.source_var + (1 - last) * n.target_var,
            )
            for n in norms
        ]
        replaced = open_model(self.base_, str(run.where))
        (other,) = replaced.nets()
        swapped = mixed(other)
        self._statistics(replaced, swapped, train, 0.0, run)
        plain(other, iter([(n.target_mean, n.target_var) for n in swapped]))
        plain(net, iter(fixed))
        self.inner_ = replace(self.base_, state=inner.state())
        self.replaced_ = replace(self.base_, state=replaced.state())

    def _statistics(
        self, method: Any, norms: list[Any], train: Dataset, share: float, run: Run
    ) -> None:
        """Mean over batches of the statistics each layer meets when all mix with `share`; batches
        in a fixed order.
        """
        for n in norms:
            n.share, n.pace = share, 0.0
            n.looks.zero_()
        run.map(lambda x: method.predict(x).mean((1, 2, 3)), train, size=self.params.batch_size)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        from core.nets.losses.entropy import pixel_entropy

        before = self.opened("base_")

        def described(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            prob = self.predict(x)
            unsure = pixel_entropy(prob)
            return prob, unsure, unsure.flatten(1).mean(1), before.predict(x)

        prob, unsure, score, old = run.map(described, data, size=16)
        if "embed" in self.base_.abilities:
            yield Embedding(
                rows=data.rows,
                name="latent",
                z=run.map(self.embed, data, size=16),
                layer="the model’s own, after moving",
            )
        moved = Predictions(rows=data.rows, prob=prob, classes=self.classes)
        yield moved
        untouched = Predictions(rows=data.rows, name="before", prob=old, classes=self.classes)
        yield untouched
        yield AnomalyMaps(
            rows=data.rows,
            name="unsure",
            score=score,
            map=unsure,
            unit="entropy of the pixels’ probabilities",
            shows="doubt",
        )
        yield shift_grid(data.rows, self.shifts_)
        replaced = Predictions(
            rows=data.rows,
            prob=run.map(self.opened("replaced_").predict, data, size=16),
            classes=self.classes,
        )
        by_model = {"untouched": untouched, "statistics replaced only": replaced, "moved": moved}
        yield Metrics.of(figures(data, by_model), data.rows)

    def able(self, ability: str) -> bool:
        return ability != "embed" or "embed" in self.base_.abilities

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Return the old model stood under `old`, and what the three were made with under `base`
        alone.
        """
        rest = {
            k: v for k, v in state.items() if k.partition(".")[0] in ("base", "inner", "replaced")
        }
        shifts = take_prefix("shift", state)
        return (
            rest
            | add_prefix("base", take_prefix("old", state))
            | {"inner": state["base"], "replaced": state["base"]}
            | {"shifts": [shifts[str(i)] for i in range(len(shifts))]}
        )
