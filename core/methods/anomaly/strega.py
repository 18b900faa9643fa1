"""StRegA: learns how healthy brain slices are built, and shows where a slice departs from that.

Objective
    On tissue pictures x (three classes after removing uneven brightness): (1 - c) (|x' - x| + beta
    KL) + c |x'_holed - x|, both terms means over elements; x'_holed is redrawn from a copy with
    squares covered. A pixel's unusualness is the residual in standard deviations of healthy ones.

Cost
    About 1 ms a slice for the tissue picture and 0.1 s a step of 32 slices of 64x64; fast preset
    about half a minute for 864 slices on two cores.

Differences from the paper
    FSL's FAST is replaced by bias division and ordered class centres per slice; the tissue picture
    may be soft (default). Residuals are divided by the mean and spread of validation residuals at
    that place and smoothed: our choice, chosen on lesions pasted into validation slices. Otsu's
    threshold, which always finds something, is replaced by a quantile of healthy validation pixels;
    area opening is in pixels of the working size.

Reference
    Chatterjee, Sciarra, Duennwald, ..., Nuernberger, Speck, StRegA: unsupervised anomaly detection
    in brain MRIs using a compact context-encoding variational autoencoder, Computers in Biology and
    Medicine 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Model
from core.method import DemoRun, Method, Takes
from core.methods.anomaly import _residuals, _slices
from core.methods.anomaly._params import StRegAParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class StRegA(Method):
    id = "strega"
    title = "Brain anomaly detection (StRegA)"
    seed_number = 20
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=16,
        seconds_per_value=7e-7,
    )
    gives = (Model, Embedding, AnomalyMaps, Images)
    shares_batches = True
    Params = StRegAParams
    latent_param = "latent"
    other_data = True
    tiny = {"epochs": 1, "latent": 8, "side": 32, "batch_size": 8}
    presets = {"fast": {"epochs": 25}, "standard": {"epochs": 80}, "thorough": {"epochs": 300}}
    demo = (DemoRun("head-phantom", 2, "fast"),)
    least_steps = 600
    gradients = False  # finding the tissue classes has no gradient

    def declines(self, data: Dataset) -> str | None:
        if self.params.channel < data.shape[0]:
            return None
        return f"There is no channel {self.params.channel}; these pictures have {data.shape[0]}."

    def make_net(self) -> torch.nn.Module:
        from core.nets.cevae import CEVAE

        return CEVAE(int(self.params.side), self.params.latent)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.cevae import holes
        from core.nets.losses.context_encoding import context_encoding
        from core.nets.tissue import learned_centres

        p, side = self.params, int(self.params.side)
        train, normal = _slices.find_healthy(data, "StRegA learns from healthy slices")
        self.centres_ = learned_centres(
            _slices.resized(_slices.some_of(train, p.channel), (side, side)), side / 4
        )
        seen = np.concatenate([self.prepare(x)[0] for x in _slices.in_batches(train, run)])
        self.shape_, self.net_ = tuple(data.shape), self.make_net()

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x = batch.x
            back, filled, mu, log_sd = net(x, holes(x) if p.holes > 0 else x)
            return context_encoding(x, back, filled, mu, log_sd, p.beta, p.holes)

        ready = train.with_samples(seen[:, None])
        optimiser = torch.optim.Adam(self.net_.parameters(), p.learning_rate)
        run.fit(self.net_, loss, ready, p, optimiser=optimiser, clip=5.0, drop_last=False, of=train)
        self.net_.eval()
        self._calibrate(normal, run)

    def _calibrate(self, healthy: Dataset, run: Run) -> None:
        """Learn what is usual, and the thresholds, from healthy slices."""
        found = (self.redrawn(x, run.where) for x in _slices.in_batches(healthy, run))
        residual, brain = map(np.concatenate, zip(*((x - back, at) for x, at, _, back in found)))
        self.mean_, self.spread_ = _residuals.healthy_statistics(residual, brain)
        heat = self._heat(residual, brain)
        self.pixel_threshold_ = _residuals.pixel_threshold(heat, brain, self.params.healthy)
        self.threshold_ = float(np.quantile(_residuals.case_score(heat), 0.95))

    def prepare(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs [n,C,H,W] -> what the network sees float32 [n,S,S] and the brain bool
        [n,S,S].
        """
        small = _slices.resized(x[:, self.params.channel], (int(self.params.side),) * 2)
        return _slices.tissue_pictures(small, self.centres_, self.params.input)

    def redrawn(self, x: np.ndarray, where: Any) -> tuple[np.ndarray, ...]:
        """Of inputs [n,C,H,W] what the network sees and the brain [n,S,S], the latent [n,d] and
        what is redrawn [n,S,S].
        """
        import torch

        seen, brain = self.prepare(x)
        with torch.no_grad():
            z = self.net_.encode(torch.from_numpy(seen)[:, None].to(where))[0]
            back = self.net_.decode(z)[:, 0].float().cpu().numpy()
        return seen, brain, z.float().cpu().numpy(), back

    def _heat(self, residual: np.ndarray, brain: np.ndarray) -> np.ndarray:
        p = self.params
        return _residuals.unusualness(residual, brain, self.mean_, self.spread_, p.sign, p.smooth)

    def smallest_spot(self, size: tuple[int, int]) -> int:
        """`smallest`, in pixels of the working size, in pixels of a picture of `size`."""
        return _slices.spot_size(self.params.smallest, int(self.params.side), size)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        where = run.where
        seen, brain, z, back = _slices.described(lambda x: self.redrawn(x, where), data, run)
        brain = brain > 0
        size, heat = (data.shape[1], data.shape[2]), self._heat(seen - back, brain)
        yield Embedding(rows=data.rows, name="latent", z=z)
        yield AnomalyMaps(
            rows=data.rows,
            score=_residuals.case_score(heat).astype(np.float32),
            map=_slices.resized(heat, size),
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            smallest=self.smallest_spot(size),
            rule="95 % of healthy validation slices lie below",
            unit="standard deviations of healthy residuals",
        )
        tissue = _slices.resized(seen, size)[:, None]
        yield Images(rows=data.rows, name="tissue", role="preprocessed", image=tissue)
        tissue = _slices.resized(np.clip(back, 0, 1) * brain, size)[:, None]
        yield Images(rows=data.rows, name="redrawn-tissue", role="translated", image=tissue)

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        picture, _ = self.prepare(x.detach().cpu().numpy())
        return self.net_.encode(torch.from_numpy(picture)[:, None].to(x.device))[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Return the tissue picture, at the input's size, repeated over its channels."""
        from torch.nn.functional import interpolate

        back = interpolate(self.net_.decode(z).clamp(0, 1), self.shape_[1:], mode="bilinear")
        return back.expand(-1, self.shape_[0], -1, -1)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        seen, brain, _, back = self.redrawn(x.detach().cpu().numpy(), x.device)
        found = _residuals.case_score(self._heat(seen - back, brain))
        return torch.from_numpy(found).to(x.device)
