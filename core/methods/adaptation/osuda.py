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

import numpy as np

from core.artifacts import (
    AnomalyMaps,
    Artifact,
    Embedding,
    Grid,
    Metric,
    Metrics,
    Model,
    Predictions,
)
from core.evaluate import held_out
from core.io.tensors import nested, taken
from core.method import Takes
from core.methods._on_model import OnModel
from core.methods.adaptation._params import OSUDAParams
from core.registry import open_model
from core.stats.bootstrap import mean_interval
from core.stats.overlap import overlap

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


class OSUDA(OnModel):
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
    tiny_on = "unet_plus_plus"
    tiny = {"epochs": 4, "batch_size": 16, "learning_rate": 0.05, "tau": 2.0, "tie": 0.0}
    presets = {
        "fast": {"epochs": 20, "crop": 160},
        "standard": {"epochs": 60},
        "thorough": {"epochs": 100},
    }
    least_steps = 100

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        base = next(a for a in on.values() if isinstance(a, Model))
        said = [
            a.prob.ndim for a in on.values() if isinstance(a, Predictions) and a.prob is not None
        ]
        if "predict" not in base.abilities or not said or len(base.input_shape) != 3:
            return (
                f"That run’s model ({base.method}) produces no segmentation; choose a run of a"
                " method that does."
            )
        if not {4, 5} & set(said):  # of pictures, or of volumes outlined slice by slice
            return (
                f"That run’s model ({base.method}) judges whole pictures and produces no"
                " segmentation; choose a run of a method that does."
            )
        if not any(key.endswith("running_mean") for key in base.state):
            return (
                f"That run’s model ({base.method}) has no batch normalisation, and its statistics"
                " are what this method moves."
            )
        return None

    # -- adapting ----------------------------------------------------------------------------------
    def fit(self, data: Dataset, run: Run) -> None:
        import torch

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
            prob = inner.predict(cropped(batch.x, p.crop))
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

    # -- artifacts ---------------------------------------------------------------------------------
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
        said = Predictions(rows=data.rows, prob=prob, classes=self.classes)
        yield said
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
        widest = max(len(s) for s in self.shifts_)
        value = np.full((len(self.shifts_), widest), np.nan, np.float32)
        for i, s in enumerate(self.shifts_):
            value[i, : len(s)] = np.sort(s)[::-1]
        yield Grid(
            rows=data.rows,
            name="shift",
            value=value,
            x=[str(j + 1) for j in range(widest)],
            y=[f"layer {i + 1}" for i in range(len(self.shifts_))],
            x_title="channels, the most shifted first",
            y_title="layer",
            unit="shift between the sites, in standard deviations",
        )
        replaced = Predictions(
            rows=data.rows,
            prob=run.map(self.opened("replaced_").predict, data, size=16),
            classes=self.classes,
        )
        yield Metrics.of(
            self.figures(
                data,
                {"untouched": untouched, "statistics replaced only": replaced, "moved": said},
                run,
            ),
            data.rows,
        )

    def figures(self, data: Dataset, said: dict[str, Predictions], run: Run) -> list[Metric]:
        """Dice on held-out outlined pictures of the new site, and how much of a picture is
        outlined, for each model.
        """
        known = (
            data.take(np.flatnonzero(data.outlined))
            if data.masks is not None
            else data.take(np.arange(0))
        )
        found = [
            Metric(
                "share of the picture outlined",
                float(
                    np.mean(np.concatenate([s.marked(r).mean((1, 2)) for r in chunks(data.rows)]))
                ),
                group=name,
                n=len(data),
                higher_is_better=None,
            )
            for name, s in said.items()
        ]
        if not len(known):
            return found
        part, at = held_out(known, known.rows)
        shown = known.take(at)
        for name, s in said.items():
            dice = np.concatenate(
                [overlap(s.marked(r), shown.of(r).mask())[0] for r in chunks(shown.rows)]
            )
            there = np.isfinite(dice)
            if there.any():
                groups = shown.groups[there] if shown.groups is not None else None
                one = Metric(
                    "Dice", float(dice[there].mean()), split=part, group=name, n=int(there.sum())
                )
                found.append(one.within(mean_interval(dice[there], groups, (0, 1))))
        return found

    # -- abilities ---------------------------------------------------------------------------------
    @property
    def classes(self) -> list[str]:
        return list(self.base_.classes) if hasattr(self, "base_") else []

    def able(self, ability: str) -> bool:
        return ability != "embed" or "embed" in self.base_.abilities

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.opened("inner_").embed(x)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.opened("inner_").predict(x)

    def nets(self) -> list[Any]:
        return self.opened("inner_").nets()

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        """The old model stood under `old`, and what the three were made with under `base` alone."""
        kept = {
            k: v for k, v in state.items() if k.partition(".")[0] in ("base", "inner", "replaced")
        }
        shifts = taken("shift", state)
        return (
            kept
            | nested("base", taken("old", state))
            | {"inner": state["base"], "replaced": state["base"]}
            | {"shifts": [shifts[str(i)] for i in range(len(shifts))]}
        )


def cropped(x: torch.Tensor, side: int) -> torch.Tensor:
    """The same random square of every picture x [b,C,H,W], at most `side` pixels; 0 = all of it. It
    draws from torch's global generator.
    """
    import torch

    if not side:
        return x
    top, left = (int(torch.randint(max(s - side, 0) + 1, ())) for s in x.shape[2:])
    return x[:, :, top : top + side, left : left + side]


def chunks(rows: np.ndarray, size: int = 64) -> list[np.ndarray]:
    """`rows` in pieces, since the masks of many cases at once would not fit."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]
