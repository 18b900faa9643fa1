"""UNet++: outlines what is marked, with nested skips, a head at each depth, and the depth that
suffices chosen afterwards.

Objective
    Cross-entropy + (1 - soft Dice of the marked pixels) at each of the four heads, summed with
    equal weights (deep supervision).

Cost
    About twice the multiplications of a U-Net of the same width; 80 s for 400 steps of eight 96 x
    96 crops on two cores at width 8.

Differences from the paper
    MONAI's network, batch normalisation, transposed convolutions; width 8 to 128 instead of 32 to
    512; AdamW with a cosine schedule, crops that are turned and mirrored, every third around a
    marked pixel. The head used is the shallowest whose Dice on validation is within `slack` of the
    best.

Reference
    Zhou, Siddiquee, Tajbakhsh, Liang, UNet++: redesigning skip connections to exploit multiscale
    features in image segmentation, IEEE TMI 2020.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core import limits
from core.artifacts import AnomalyMaps, Artifact, Embedding, Metric, Metrics, Model, Predictions
from core.evaluate import held_out
from core.method import Method, Takes
from core.methods.segmentation._params import UNetPlusPlusParams
from core.stats.bootstrap import mean_interval
from core.stats.overlap import overlap
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

FEW = 16  # pictures at a time when describing


class UNetPlusPlusMethod(Method):
    id = "unet_plus_plus"
    title = "Segmentation (UNet++)"
    seed_number = 71
    net_: Any  # (x [b,C,H,W], depth) -> logits [b,2,H,W] of each head
    takes = Takes(("image",), masks="needed", min_rows=8, min_size=16, seconds_per_value=2e-6)
    gives = (Model, Embedding, Predictions, AnomalyMaps, Metrics)
    Params = UNetPlusPlusParams
    other_data = True
    tiny = {"epochs": 2, "batch_size": 16, "width": 2, "crop": 32}
    presets = {
        "fast": {"epochs": 30},
        "standard": {"epochs": 120, "width": 16},
        "thorough": {"epochs": 400, "width": 32, "crop": 0},
    }
    least_steps = 400

    def declines(self, data: Dataset) -> str | None:
        if 8 * len(data) * int(np.prod(data.shape[1:])) > limits.OUTLINES:
            return (
                f"The outlines of {len(data):,} pictures of this size would need more than"
                f" {limits.OUTLINES >> 30} GB; bring fewer or smaller ones."
            )
        train = data.part("train")
        train = train.take(np.flatnonzero(train.outlined))
        # ends at the first mark
        if not any(
            train.mask(np.arange(i, min(i + 256, len(train)))).any()
            for i in range(0, len(train), 256)
        ):
            return (
                "In no training picture anything is marked, so there is nothing to learn from;"
                " check the masks, or which cases are for training."
            )
        return None

    def make_net(self) -> torch.nn.Module:
        from core.nets.unetpp import PlainUNet, UNetPlusPlus

        return (UNetPlusPlus if self.params.network == "nested" else PlainUNet)(
            self.channels_, self.params.width
        )

    # -- training ----------------------------------------------------------------------------------
    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.augment import crops
        from core.nets.losses.deep_supervision import dice_and_cross_entropy

        p, train = self.params, data.part("train")
        train = train.take(np.flatnonzero(train.outlined))
        truth = torch.from_numpy(train.mask())
        self.channels_ = data.shape[0]
        self.net_ = self.make_net()
        optimiser = torch.optim.AdamW(self.net_.parameters(), p.learning_rate, weight_decay=1e-4)
        loss_of = dice_and_cross_entropy()

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x, y = crops(batch.x, truth[torch.from_numpy(batch.at)], p.crop)
            heads = net(padded(x))
            losses = loss_of(heads if p.deep_supervision else heads[-1:], y)
            return {"loss": losses.sum(), "loss of the deepest head": losses[-1]}

        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=optimiser,
            schedule=half_cosine(p.learning_rate),
            clip=5.0,
        )
        self.net_.eval()
        self.level_ = p.level or self._enough(data, run)
        self.level_ = min(self.level_, self.net_.depths)

    def _enough(self, data: Dataset, run: Run) -> int:
        """The shallowest head whose mean Dice on outlined validation pictures is within `slack` of
        the best; the deepest where there are none.
        """
        val = data.part("val")
        val = val.take(np.flatnonzero(val.outlined)) if len(val) else val
        if not len(val) or not self.params.deep_supervision or self.net_.depths == 1:
            return int(self.net_.depths)
        dice = np.nan_to_num(
            np.array(
                [np.nanmean(d) if np.isfinite(d).any() else np.nan for d in self._dice(val, run).T]
            )
        )
        return int(np.flatnonzero(dice >= dice.max() - self.params.slack)[0]) + 1

    def _dice(self, data: Dataset, run: Run) -> np.ndarray:
        """Dice [n, heads] of these rows; NaN where nothing is marked."""
        import torch

        found = []
        with torch.no_grad():
            for i in range(0, len(data), FEW):
                run.check()
                part = data.take(np.arange(i, min(i + FEW, len(data))))
                prob, truth = self.heads(torch.from_numpy(part.inputs()).to(run.where)), part.mask()
                found.append(
                    np.stack([overlap((h[:, 1] > 0.5).cpu().numpy(), truth)[0] for h in prob], 1)
                )
        return np.concatenate(found)

    # -- artifacts ---------------------------------------------------------------------------------
    def model(self, data: Dataset, name: str = "") -> Model:
        from core.nets.unetpp import lattice

        made = super().model(data, name)
        if self.net_.depths > 1:
            made.diagram = lattice(self.level_)
        return made

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:

        def described(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            prob = self.heads(x)
            doubt = prob[:, :, 1].std(0, unbiased=False)
            return self.embed(x), prob[self.level_ - 1], doubt, doubt.flatten(1).mean(1)

        z, prob, doubt, score = run.map(described, data, size=FEW)
        yield Embedding(
            rows=data.rows, name="latent", z=z, layer="deepest row, averaged over the picture"
        )
        yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))
        if self.net_.depths > 1 and self.params.deep_supervision:
            yield AnomalyMaps(
                rows=data.rows,
                name="disagreement",
                score=score,
                map=doubt,
                unit="spread of the four heads’ probabilities",
                shows="doubt",
            )
        yield Metrics.of(self.figures(data, run), data.rows)

    def figures(self, data: Dataset, run: Run) -> list[Metric]:
        """Dice of held-out outlined cases, cost and time of one picture at every depth."""
        known = data.take(np.flatnonzero(data.outlined))
        found = [
            Metric(
                "depth used",
                float(self.level_),
                higher_is_better=None,
                note="1 is the fastest, 4 the deepest",
            )
        ]
        if not len(known):
            return found
        part, at = held_out(known, known.rows)
        shown = known.take(at)
        dice = self._dice(shown, run)
        marked = np.isfinite(dice).all(1)
        groups = shown.groups[marked] if shown.groups is not None else None
        for j, one in enumerate(dice[marked].T):
            if len(one):
                own = Metric(
                    "Dice", float(one.mean()), split=part, group=f"depth = {j + 1}", n=len(one)
                )
                found.append(own.within(mean_interval(one, groups, (0, 1))))
        for depth, (cost, seconds) in enumerate(self.costs(shown, run), 1):
            found.append(
                Metric(
                    "million multiplications a picture",
                    cost / 1e6,
                    split=part,
                    group=f"depth = {depth}",
                    n=1,
                    higher_is_better=False,
                )
            )
            found.append(
                Metric(
                    "milliseconds a picture",
                    1000 * seconds,
                    split=part,
                    group=f"depth = {depth}",
                    n=1,
                    higher_is_better=False,
                    note=f"on {run.where}",
                )
            )
        return found

    def costs(self, data: Dataset, run: Run, repeats: int = 3) -> list[tuple[float, float]]:
        """(multiplications, least seconds of `repeats`) of the network cut back to each depth, for
        one picture.
        """
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        x, found = padded(torch.from_numpy(data.inputs(np.arange(1))).to(run.where)), []
        with torch.no_grad():
            for depth in range(1, self.net_.depths + 1):
                with FlopCounterMode(display=False) as counter:
                    self.net_(x, depth)
                taken_ = []
                for _ in range(repeats):
                    began = time.perf_counter()
                    float(self.net_(x, depth)[-1].sum())
                    taken_.append(time.perf_counter() - began)
                found.append((counter.get_total_flops() / 2, min(taken_)))
        return found

    # -- abilities ---------------------------------------------------------------------------------
    class_names_ = ("background", "marked")

    def heads(self, x: torch.Tensor, depth: int = 4) -> torch.Tensor:
        """Probabilities [heads,b,2,H,W] of the network cut back to `depth`."""
        import torch

        made = self.net_(padded(x), depth)
        return torch.stack([h[..., : x.shape[2], : x.shape[3]].float().softmax(1) for h in made])

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.embed(padded(x))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.heads(x, self.level_)[-1]


def padded(x: torch.Tensor) -> torch.Tensor:
    """x [b,C,H,W] with its edge repeated below and to the right until both sides are multiples of
    16 (and at least 32).
    """
    from torch.nn import functional as F

    down, right = (max(32, -(-s // 16) * 16) - s for s in x.shape[2:])
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x
