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

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Model
from core.data.normal import is_normal
from core.errors import UserError
from core.method import DemoRun, Method, Takes
from core.methods.anomaly._params import StRegAParams
from core.training.loader import in_order

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
    Params = StRegAParams
    other_data = True
    tiny = {"epochs": 1, "latent": 8, "side": 32, "batch_size": 16}
    presets = {"fast": {"epochs": 25}, "standard": {"epochs": 80}, "thorough": {"epochs": 300}}
    demo = (DemoRun("head-phantom", 2, "fast"),)
    least_steps = 600
    gradients = False  # finding the tissue classes has no gradient

    def declines(self, data: Dataset) -> str | None:
        if self.params.channel >= data.shape[0]:
            return (
                f"There is no channel {self.params.channel}; these pictures have {data.shape[0]}."
            )
        return None

    # -- preprocessing -----------------------------------------------------------------------------
    def resized(self, x: np.ndarray, side: tuple[int, int]) -> np.ndarray:
        """[n,H,W] -> [n,*side] bilinear."""
        import torch

        if x.shape[1:] == side:
            return x
        return torch.nn.functional.interpolate(
            torch.from_numpy(x)[:, None], side, mode="bilinear", antialias=True
        )[:, 0].numpy()

    def prepare(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs [n,C,H,W] -> what the network sees float32 [n,S,S] and the brain bool [n,S,S]."""
        from core.nets import tissue

        side = int(self.params.side)
        small = self.resized(x[:, self.params.channel], (side, side))
        if self.params.input == "raw":
            masks = np.stack([tissue.brain_mask(i) for i in small])
            top = np.array(
                [
                    max(np.percentile(i[m], 99), 1e-6) if m.any() else 1.0
                    for i, m in zip(small, masks)
                ]
            )
            return (np.clip(small / top[:, None, None], 0, 1.2) * masks).astype(np.float32), masks
        made = [
            tissue.tissue(i, self.centres_, side / 4, self.params.input == "soft tissue")
            for i in small
        ]
        return np.stack([m[0] for m in made]), np.stack([m[1] for m in made])

    def healthy_rows(self, part: Dataset) -> np.ndarray:
        """Positions of rows to learn from: where the masks of some are the truth, those with
        nothing marked and those of the normal class; else the commonest class of the part. Rows of
        which nothing is known count for healthy only where nothing is known of any.
        """
        if part.outlined.any():
            healthy = part.outlined & ~part.mask().any((1, 2))
            return np.flatnonzero(
                healthy | (~part.outlined & is_normal(part) if part.normal else False)
            )
        known = part.labels[part.labels >= 0]
        return (
            np.flatnonzero(part.labels == np.bincount(known).argmax())
            if len(known)
            else np.arange(len(part))
        )

    def pictures(self, data: Dataset, run: Run, many: int = 256) -> Iterator[np.ndarray]:
        """Inputs of `data`, `many` at a time, the next read meanwhile; raises Cancelled between
        them.
        """
        import torch

        for i, x in enumerate(in_order(data, torch.device("cpu"), many)):
            if i:
                run.check()
            yield x.numpy()

    # -- training ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets.cevae import CEVAE

        return CEVAE(int(self.params.side), self.params.latent)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets import tissue
        from core.nets.cevae import holes
        from core.nets.losses.context_encoding import context_encoding

        p, side = self.params, int(self.params.side)
        train, val = (
            part.take(self.healthy_rows(part)) for part in (data.part("train"), data.part("val"))
        )
        if len(train) < 8:
            raise UserError(
                f"StRegA learns from healthy slices; the training part has {len(train)}, at least 8"
                " are needed."
            )
        some = self.resized(
            train.inputs(np.arange(0, len(train), max(1, len(train) // 100)))[:, p.channel],
            (side, side),
        )
        self.centres_ = tissue.learned_centres(some, side / 4)
        seen = np.concatenate([self.prepare(x)[0] for x in self.pictures(train, run)])
        self.shape_, self.net_ = tuple(data.shape), self.make_net()

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x = batch.x
            back, filled, mu, log_sd = net(x, holes(x) if p.holes > 0 else x)
            return context_encoding(x, back, filled, mu, log_sd, p.beta, p.holes)

        ready = train.with_samples(seen[:, None])
        optimiser = torch.optim.Adam(self.net_.parameters(), p.learning_rate)
        run.fit(self.net_, loss, ready, p, optimiser=optimiser, clip=5.0, drop_last=False, of=train)
        self.net_.eval()
        self._calibrate(val if len(val) >= 8 else train, run)

    def _calibrate(self, healthy: Dataset, run: Run) -> None:
        """Mean and spread of healthy residuals at each place, and the pixel threshold, from healthy
        validation slices (training ones if too few).
        """
        from scipy.ndimage import gaussian_filter

        residual, brain = (
            np.concatenate(found)
            for found in zip(*(self._residual(x, run.where) for x in self.pictures(healthy, run)))
        )
        self.mean_ = gaussian_filter(residual.mean(0), 1.5).astype(np.float32)
        spread = np.sqrt(gaussian_filter(np.square(residual - self.mean_).mean(0), 1.5))
        usual = brain.mean(0) > 0.5
        floor = 0.25 * float(np.median(spread[usual if usual.any() else ...])) + 1e-4
        self.spread_ = np.maximum(spread, floor).astype(np.float32)
        heat = self._heat(residual, brain)
        self.pixel_threshold_ = (
            float(np.quantile(heat[brain], self.params.healthy))
            if brain.any()
            else float(heat.max())
        )
        self.threshold_ = float(np.quantile(self.case_score(heat), 0.95))

    def _residual(self, x: np.ndarray, where: Any) -> tuple[np.ndarray, np.ndarray]:
        """Signed residual x - x' [n,S,S] (positive: brighter than expected) and the brain."""
        import torch

        seen, brain = self.prepare(x)
        with torch.no_grad():
            z = [
                self.net_.encode(torch.from_numpy(seen[i : i + 256])[:, None].to(where))[0]
                for i in range(0, len(seen), 256)
            ]
            back = torch.cat([self.net_.decode(part)[:, 0] for part in z]).float().cpu().numpy()
        return seen - back, brain

    def _heat(self, residual: np.ndarray, brain: np.ndarray) -> np.ndarray:
        """Unusualness [n,S,S]: standardised residual of the wanted sign, blurred; 0 outside the
        brain.
        """
        from scipy.ndimage import gaussian_filter

        signs: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "both": np.abs,
            "brighter": lambda r: np.maximum(r, 0),
            "darker": lambda r: np.maximum(-r, 0),
        }
        sign = signs[self.params.sign]
        score = (residual - self.mean_) / self.spread_
        blurred = (
            gaussian_filter(score, (0, self.params.smooth, self.params.smooth))
            if self.params.smooth
            else score
        )
        return (sign(blurred) * brain).astype(np.float32)

    @staticmethod
    def case_score(heat: np.ndarray) -> np.ndarray:
        """Mean of the top 1 % of pixels of each map: [n]."""
        flat = np.sort(heat.reshape(len(heat), -1), axis=1)
        return flat[:, -max(1, flat.shape[1] // 100) :].mean(1)

    def smallest_spot(self, size: tuple[int, int]) -> int:
        """`smallest`, which is in pixels of the working size, in pixels of a picture of `size`
        (height, width).
        """
        return max(1, round(self.params.smallest * size[0] * size[1] / int(self.params.side) ** 2))

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        import torch

        heats, zs, seen, backs = [], [], [], []
        run.check()
        for x in self.pictures(data, run):
            picture, brain = self.prepare(x)
            with torch.no_grad():
                z = self.net_.encode(torch.from_numpy(picture)[:, None].to(run.where))[0]
                back = self.net_.decode(z)[:, 0].float().cpu().numpy()
            heats.append(self._heat(picture - back, brain))
            zs.append(z.float().cpu().numpy())
            seen.append(picture)
            backs.append(np.clip(back, 0, 1) * brain)
        size = (data.shape[1], data.shape[2])
        heat = np.concatenate(heats)
        yield Embedding(rows=data.rows, name="latent", z=np.concatenate(zs))
        yield AnomalyMaps(
            rows=data.rows,
            score=self.case_score(heat).astype(np.float32),
            map=self.resized(heat, size),
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            smallest=self.smallest_spot(size),
            rule="95 % of healthy validation slices lie below",
            unit="standard deviations of healthy residuals",
        )
        yield Images(
            rows=data.rows,
            name="tissue",
            role="preprocessed",
            image=self.resized(np.concatenate(seen), size)[:, None],
        )
        yield Images(
            rows=data.rows,
            name="redrawn-tissue",
            role="translated",
            image=self.resized(np.concatenate(backs), size)[:, None],
        )

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        picture, _ = self.prepare(x.detach().cpu().numpy())
        return self.net_.encode(torch.from_numpy(picture)[:, None].to(x.device))[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The tissue picture, at the input's size, repeated over its channels."""
        import torch

        back = torch.nn.functional.interpolate(
            self.net_.decode(z).clamp(0, 1), self.shape_[1:], mode="bilinear"
        )
        return back.expand(-1, self.shape_[0], -1, -1)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.from_numpy(
            self.case_score(self._heat(*self._residual(x.detach().cpu().numpy(), x.device)))
        ).to(x.device)
