"""EAR: hides what stands out, has a network of normal pictures fill it in, and shows where the
picture differs from that.

Objective
    With M the mask of a picture x (its saliency above a threshold) and m_s(x) its mosaic of blocks
    of s pixels, the network f minimises, over whole pictures, |x' - x|² + w (1 - SSIM) + w (1 -
    MSGMS), x' = f((1 - M) x + M m_s(x)). A pixel's unusualness is 1 - MSGMS of x and x', blurred.

Cost
    One pass of a small U-Net a picture: 10 ms of a processor a step and picture of 64 x 64; fast
    preset about a minute on two cores.

Differences from the paper
    Saliency is the spectral residual of Hou and Zhang, which needs no trained network, in place of
    the attention of a transformer trained on photographs. Its threshold is set so that a chosen
    share of the normal training pictures is hidden. The network is smaller, with a mosaic of
    another size a step; the size used is the one that on normal validation pictures best tells
    pasted parts of other pictures from none. Pictures are brought to 64 pixels a side.

Reference
    Park, Kang, Kim, Lee, Kim, Yi, Visual defect obfuscation based self-supervised anomaly
    detection, Scientific Reports 2024. The loss follows Zavrtanik, Kristan, Skocaj, Reconstruction
    by inpainting for visual anomaly detection, Pattern Recognition 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Metrics, Model
from core.artifacts.tables import Metric
from core.method import Takes
from core.methods.anomaly import _pasted, _slices
from core.methods.anomaly._ear_params import EARParams
from core.methods.anomaly._inpainting import Inpainting, heat_of, pictures, spread
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

SIZES = (2, 4, 8, 16)  # of a mosaic's blocks, tried in training
MANY = 256  # pictures that thresholds and sizes are chosen on, at most


class EAR(Inpainting):
    id = "ear"
    title = "Excise and recover (EAR)"
    seed_number = 13
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=16,
        seconds_per_value=7e-7,
    )
    gives = (Model, Embedding, AnomalyMaps, Images, Metrics)
    Params = EARParams
    other_data = True
    tiny = {"epochs": 1, "side": 32, "batch_size": 8, "width": 2}
    presets = {"fast": {"epochs": 12}, "standard": {"epochs": 60}, "thorough": {"epochs": 200}}
    least_steps = 300

    # -- learning ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets.inpainting import Inpainter

        return Inpainter(self.shape_[0], self.params.width)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.losses.recovery import recovery

        p = self.params
        train, normal = _slices.find_healthy(data, "EAR learns from normal pictures")
        self.shape_ = tuple(data.shape)
        self.cut_ = self._saliency_threshold(train, run)
        self.net_ = self.make_net()

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x, size = self.resized(batch.x), cast(int, batch.phase)
            return recovery(x, net(self.excised(x, self.mask(x), size)), p.structure)

        sizes = self.sizes
        optimiser = torch.optim.Adam(self.net_.parameters(), p.learning_rate)
        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=optimiser,
            schedule=half_cosine(p.learning_rate, 0.5),
            phase=lambda batch: sizes[batch.step % len(sizes)],
        )
        self.net_.eval()
        self._choose_size(normal, run)
        self.calibrate(normal, run, p.healthy)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of a mosaic's blocks that are trained with."""
        p = self.params
        if p.hint == "zeros":
            return (0,)
        return (p.mosaic,) if p.mosaic else tuple(s for s in SIZES if s <= p.side // 4)

    def _saliency_threshold(self, train: Dataset, run: Run) -> float:
        """Return the saliency that the share `area` of the pixels of normal pictures lies above."""
        salient = run.map(lambda x: self.saliency(self.resized(x)), spread(train, MANY))
        return float(np.quantile(salient, 1 - self.params.area))

    def _choose_size(self, normal: Dataset, run: Run) -> None:
        """Set the mosaic's size to that whose heat best tells parts pasted into normal pictures
        from the rest of these, and from the pictures before; keep what each size gave.
        """
        import torch
        from sklearn.metrics import average_precision_score

        x = np.asarray(run.map(self.resized, spread(normal, MANY)))
        changed, where = _pasted.pasted(x, x, np.random.default_rng(run.seed))
        both = torch.from_numpy(np.concatenate([x, changed])).split(32)
        truth = np.concatenate([np.zeros_like(where), where]).ravel()
        self.gains_: dict[str, float] = {}
        with torch.no_grad():
            for size in self.sizes:
                run.check()
                heat = torch.cat([self.heat(some.to(run.where), size=size).cpu() for some in both])
                self.gains_[str(size)] = float(average_precision_score(truth, heat.ravel()))
        self.size_ = int(max(self.gains_, key=lambda size: self.gains_[size]))

    # -- what is hidden and filled in --------------------------------------------------------------
    def resized(self, x: torch.Tensor) -> torch.Tensor:
        return _slices.at_side(x, int(self.params.side))

    def saliency(self, x: torch.Tensor) -> torch.Tensor:
        """Return how much each place of x [b,C,S,S] stands out: [b,1,S,S]."""
        from core.nets.saliency import spectral_residual

        return spectral_residual(x)

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        """Return what of x [b,C,S,S] is hidden, 1 or 0: [b,1,S,S]."""
        from core.nets.inpainting import grid_mask

        p = self.params
        if p.mask == "saliency":
            return (self.saliency(x) > self.cut_).to(x.dtype)
        grid = grid_mask(int(p.side), int(p.side) // 16, max(2, round(p.area**-0.5)))
        return grid.to(x).expand(len(x), -1, -1, -1)

    def excised(self, x: torch.Tensor, mask: torch.Tensor, size: int) -> torch.Tensor:
        """Return what the network is given: x [b,C,S,S] with a mosaic of blocks of `size` pixels
        under the mask [b,1,S,S]; black for size 0.
        """
        import torch

        from core.nets.inpainting import excise, mosaic

        return excise(x, mask, mosaic(x, size) if size else torch.zeros_like(x))

    def recovered(
        self, x: torch.Tensor, size: int | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return x [b,C,S,S] as the network fills it in, in one pass; with another mosaic's `size`
        or `mask` [b,1,S,S] than its own where given.
        """
        mask = self.mask(x) if mask is None else mask
        return self.net_(self.excised(x, mask, self.size_ if size is None else size))

    # -- applying ----------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, score, heat, salient, given, back, hidden = run.map(self._described, data, 64)
        yield Embedding(rows=data.rows, name="latent", z=z)
        yield self.anomaly_maps(data, score, heat)
        salient = np.clip(salient / (2 * self.cut_), 0, 1)
        yield pictures(data, "saliency", "attention", salient)
        yield pictures(data, "excised", "preprocessed", given)
        yield pictures(data, "recovered", "reconstruction", back)
        yield Metrics.of(self._figures(data, hidden), data.rows)

    def _described(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of inputs [b,C,H,W]: latent, score, heat, saliency, what the network is given, what it
        makes of that, and the share hidden.
        """
        x = self.resized(x)
        mask = self.mask(x)
        given = self.excised(x, mask, self.size_)
        levels = self.net_.encode(given)
        back = self.net_.decode(levels)
        heat = heat_of(x, back)
        salient = self.saliency(x)[:, 0]
        z, hidden = levels[-1].mean((2, 3)), mask.mean((1, 2, 3))
        return z, heat.amax((1, 2)), heat, salient, given, back.clamp(0, 1), hidden

    def _figures(self, data: Dataset, hidden: np.ndarray) -> list[Metric]:
        """Return how much was hidden in each part, and what each size of the mosaic gave."""
        found = []
        for split in ("train", "val", "test"):
            some = data.splits == split
            if some.any():
                value = float(hidden[some].mean())
                found.append(
                    Metric("share hidden", value, None, None, split, "all", int(some.sum()), None)
                )
        name = "average precision of parts pasted into normal pictures"
        for size, gain in self.gains_.items():
            found.append(Metric(name, gain, split="val", group=f"mosaic = {size}"))
        return found

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        x = self.resized(x)
        return self.net_.encode(self.excised(x, self.mask(x), self.size_))[-1].mean((2, 3))
