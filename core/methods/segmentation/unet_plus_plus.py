"""UNet++: outlines what is marked by a nested network, at the depth that is found to suffice.

Objective
    Cross-entropy + (1 - soft Dice of the marked pixels) at each of the four heads, summed with
    equal weights (deep supervision).

Cost
    About twice the multiplications of a U-Net of the same width; 80 s for 400 steps of eight 96 x
    96 crops on two cores at width 8.

Differences from the paper
    MONAI's network, batch normalisation, transposed convolutions; width 8 to 128, not 32 to 512;
    AdamW with a cosine schedule, crops turned and mirrored, every third around a marked pixel. The
    head used is the shallowest whose Dice on validation is within `slack` of the best.

Reference
    Zhou, Siddiquee, Tajbakhsh, Liang, UNet++: redesigning skip connections to exploit multiscale
    features in image segmentation, IEEE TMI 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.artifacts import AnomalyMaps, Artifact, Embedding, Metrics, Model, Predictions
from core.method import Method, Takes
from core.methods.segmentation import _depths
from core.methods.segmentation._params import UNetPlusPlusParams
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class UNetPlusPlusMethod(Method):
    id = "unet_plus_plus"
    title = "Segmentation (UNet++)"
    seed_number = 71
    net_: Any  # (x [b,C,H,W], depth) -> logits [b,2,H,W] of each head
    takes = Takes(("image",), masks="needed", min_rows=8, min_size=16, seconds_per_value=2e-6)
    gives = (Model, Embedding, Predictions, AnomalyMaps, Metrics)
    shares_batches = True
    Params = UNetPlusPlusParams
    crop_param = "crop"
    other_data = True
    tiny = {"epochs": 2, "batch_size": 16, "width": 2, "crop": 32}
    presets = {
        "fast": {"epochs": 30},
        "standard": {"epochs": 120, "width": 16},
        "thorough": {"epochs": 400, "width": 32, "crop": 0},
    }
    least_steps = 400
    class_names_ = ["background", "marked"]

    def declines(self, data: Dataset) -> str | None:
        return _depths.say_why_not(data)

    def make_net(self) -> torch.nn.Module:
        from core.nets.unetpp import outliner

        return outliner(self.params.network, self.channels_, self.params.width)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.augment import crops
        from core.nets.losses.deep_supervision import dice_and_cross_entropy

        p, train = self.params, _depths.outlined(data.part("train"))
        truth = torch.from_numpy(train.mask())
        self.channels_ = data.shape[0]
        self.net_ = self.make_net()

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x, y = crops(batch.x, truth[torch.from_numpy(batch.at)], p.crop)
            heads = net(x)
            losses = dice_and_cross_entropy(heads if p.deep_supervision else heads[-1:], y)
            return {"loss": losses.sum(), "loss of the deepest head": losses[-1]}

        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=torch.optim.AdamW(self.net_.parameters(), p.learning_rate, weight_decay=1e-4),
            schedule=half_cosine(p.learning_rate),
            clip=5.0,
        )
        self.net_.eval()
        self.level_ = min(p.level or _depths.sufficient(self, data, run), self.net_.depths)

    def model(self, data: Dataset, name: str = "") -> Model:
        from core.nets.unetpp import lattice

        artifact = super().model(data, name)
        if self.net_.depths > 1:
            artifact.diagram = lattice(self.level_)
        return artifact

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        def described(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            prob = self.net_.probabilities(x)
            doubt = prob[:, :, 1].std(0, unbiased=False)
            return self.embed(x), prob[self.level_ - 1], doubt, doubt.flatten(1).mean(1)

        z, prob, doubt, score = run.map(described, data, size=_depths.FEW)
        layer = "deepest row, averaged over the picture"
        yield Embedding(rows=data.rows, name="latent", z=z, layer=layer)
        yield Predictions(rows=data.rows, prob=prob, classes=list(self.class_names_))
        if self.net_.depths > 1 and self.params.deep_supervision:
            yield _depths.disagreement(data.rows, score, doubt)
        yield Metrics.of(_depths.figures(self, data, run), data.rows)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.embed(x)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.probabilities(x, self.level_)[-1]
