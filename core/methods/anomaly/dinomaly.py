"""Dinomaly: a frozen transformer describes a picture, a decoder that has seen normal pictures only
makes the description anew, and where it fails the picture is unusual.

Objective
    With e the tokens of a frozen vision transformer and d those of the decoder, which is given the
    mean of e after a bottleneck with dropout: the mean over two halves of the layers of 1 -
    cos(e, d), a picture's map as one vector; nine tenths of the places, those already alike, pass
    on a tenth of their gradient. A pixel's unusualness is the mean of both halves' 1 - cos there.

Cost
    4 ms of a processor a step and picture of 64 x 64 with the small encoder; fast preset about a
    minute on two cores for 1,000 pictures.

Differences from the paper
    The paper's encoder is DINOv2, trained on photographs; it can be opened from a folder. Without
    it a small transformer first learns from the normal training pictures, by redrawing hidden
    patches, and is then frozen: our choice, as are its size, four layers instead of eight, tokens
    levelled before they are compared, since those of a small transformer have most in common, and
    fewer steps. The threshold is a quantile of normal validation pictures.

Reference
    Guo, Lu, Zhang, Chen, Li, Liao, Dinomaly: the less is more philosophy in multi-class
    unsupervised anomaly detection, CVPR 2025.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Model
from core.method import Method, Takes
from core.methods.anomaly import _residuals, _slices
from core.methods.anomaly._dinomaly_params import DinomalyParams
from core.methods.anomaly._inpainting import pictures

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

PRETRAINING = -1  # the phase of a step in which the encoder learns; else tenths of easy places
ENCODER_RATE = 1e-3  # step size of the encoder's own learning, at its highest
RAMP = 0.1  # share of the decoder's steps in which the share of easy places grows
EASY = 0.9  # share of the places of a batch that count less, in the end


class Dinomaly(Method):
    id = "dinomaly"
    title = "Dinomaly"
    seed_number = 32
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=16,
        seconds_per_value=2e-6,
    )
    gives = (Model, Embedding, AnomalyMaps, Images)
    Params = DinomalyParams
    other_data = True
    tiny = {"epochs": 1, "side": 32, "batch_size": 8, "width": 16, "patch": 8}
    presets = {"fast": {"epochs": 16}, "standard": {"epochs": 60}, "thorough": {"epochs": 200}}
    least_steps = 500

    # -- learning ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets import dinomaly
        from core.nets.dino import Dino
        from core.nets.local_folder import require_transformers
        from core.nets.vit import TinyViT

        p = self.params
        if p.encoder == "small":
            encoder: Any = TinyViT(self.shape_[0], p.width, patch=int(p.patch))
            return dinomaly.Dinomaly(encoder, p.dropout)
        require_transformers("DINOv2")
        if self.config_ is None:
            encoder = Dino.open(p.encoder_folder)
        else:
            encoder = Dino.of(self.config_)
        return dinomaly.Dinomaly(encoder, p.dropout)

    def fit(self, data: Dataset, run: Run) -> None:
        from core.nets.losses.loose import loose
        from core.nets.stable_adamw import StableAdamW

        p = self.params
        train, normal = _slices.find_healthy(data, "Dinomaly learns from normal pictures")
        self.shape_, self.config_ = tuple(data.shape), None
        self.net_ = self.make_net()
        self.config_ = getattr(self.net_.encoder, "config", None)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x = self.resized(batch.x)
            if batch.phase == PRETRAINING:
                return {"loss": net(x, pretraining=True)}
            return {"loss": loose(net(x), cast(int, batch.phase) / 10)}

        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=StableAdamW(
                [w for w in self.net_.parameters() if w.requires_grad], p.learning_rate
            ),
            schedule=self._rate,
            clip=0.1,
            phase=lambda batch: self._phase(batch.step, run.loop.total),
        )
        self.net_.eval()
        self._calibrate(normal, run)

    def _stages(self, step: int, total: int) -> tuple[int, int, int]:
        """Return how many steps the encoder learns in, how far the decoder is, and its steps."""
        first = round(self.params.pretraining * total) if self.params.encoder == "small" else 0
        return first, step - first, max(1, total - first)

    def _phase(self, step: int, total: int) -> int:
        _, at, many = self._stages(step, total)
        return PRETRAINING if at < 0 else round(10 * EASY * min(1.0, at / (RAMP * many)))

    def _rate(self, step: int, total: int) -> float:
        """Return the step size: the encoder's falls along a cosine to 0, the decoder's grows over
        at most a hundred steps and falls to a tenth.
        """
        first, at, many = self._stages(step, total)
        if at < 0:
            return 0.5 * ENCODER_RATE * (1 + math.cos(math.pi * step / first))
        warm = min(100, many // 10)
        if at < warm:
            return self.params.learning_rate * (at + 1) / warm
        fallen = 0.5 * (1 + math.cos(math.pi * (at - warm) / max(1, many - warm)))
        return self.params.learning_rate * (0.1 + 0.9 * fallen)

    def _calibrate(self, normal: Dataset, run: Run) -> None:
        """Set the thresholds from normal pictures."""
        heat = run.map(lambda x: self.heat(self.resized(x)), normal, 64)
        inside = np.ones(heat.shape, bool)
        self.pixel_threshold_ = _residuals.pixel_threshold(heat, inside, self.params.healthy)
        self.threshold_ = float(np.quantile(_residuals.case_score(heat), 0.95))

    # -- what is unusual ---------------------------------------------------------------------------
    def resized(self, x: torch.Tensor) -> torch.Tensor:
        """Return inputs [b,C,H,W] at the working size [b,C,S,S]."""
        return _slices.at_side(x, int(self.params.side))

    def heats(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how unusual each place of x [b,C,S,S] is, [b,S,S], and by the shallow and the deep
        half of the layers alone, [b,2,S,S]; cosine distances in [0, 2].
        """
        from core.nets.dinomaly import blur, distance_maps

        maps = distance_maps(self.net_(x), x.shape[-1])
        return blur(maps.mean(1)), maps

    def heat(self, x: torch.Tensor) -> torch.Tensor:
        """Return how unusual each place of x [b,C,S,S] is: [b,S,S], in [0, 2]."""
        return self.heats(x)[0]

    # -- applying ----------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, heat, maps = run.map(self._described, data, 64)
        yield Embedding(rows=data.rows, name="latent", z=z)
        yield AnomalyMaps(
            rows=data.rows,
            score=_residuals.case_score(heat).astype(np.float32),
            map=_slices.resized(heat, (data.shape[1], data.shape[2])),
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            rule="95 % of normal validation pictures lie below",
            unit="cosine distance",
        )
        shown = np.clip(maps / (2 * self.pixel_threshold_), 0, 1)
        yield pictures(data, "shallow-layers", "attention", shown[:, 0])
        yield pictures(data, "deep-layers", "attention", shown[:, 1])

    def _described(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.resized(x)
        return self._pooled(x), *self.heats(x)

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of the deepest tokens that are compared, of x [b,C,S,S]: [b,d]."""
        return self.net_.see(x)[-1][:, self.net_.encoder.extra :].mean(1)

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self._pooled(self.resized(x))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of the highest 1 % of the heat of inputs [b,C,H,W]: [b]."""
        flat = self.heat(self.resized(x)).flatten(1)
        return flat.topk(max(1, flat.shape[1] // 100), 1).values.mean(1)
