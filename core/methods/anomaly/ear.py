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
    the attention of a transformer trained on photographs; that, from a folder, can be chosen, or a
    small transformer that learns from the training pictures. The threshold of saliency is set so
    that a chosen share of the normal training pictures is hidden. The network is smaller, with a
    mosaic of another size a step; the size used is the one that on normal validation pictures best
    tells pasted parts of other pictures from none. Pictures are brought to 64 pixels a side.

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
from core.stages import Control, Stage
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

SIZES = (2, 4, 8, 16)  # of a mosaic's blocks, tried in training
VIT_WIDTH, VIT_DEPTH, VIT_RATE = 64, 4, 1e-3  # of the small transformer
SHARES = np.arange(5, 80, 5) / 100  # that the screen offers to hide of normal pictures
MANY = 256  # pictures that thresholds and sizes are chosen on, at most


class EAR(Inpainting):
    id = "ear"
    title = "Excise and recover (EAR)"
    seed_number = 13
    # networks; Any, since torch types a module's parts as Tensor | Module
    net_: Any
    vit_: Any
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=16,
        seconds_per_value=7e-7,
    )
    gives = (Model, Embedding, AnomalyMaps, Images, Metrics)
    shares_batches = True
    Params = EARParams
    other_data = True
    tiny = {"epochs": 1, "side": 32, "batch_size": 8, "width": 2}
    presets = {"fast": {"epochs": 12}, "standard": {"epochs": 60}, "thorough": {"epochs": 200}}
    least_steps = 300

    # -- learning ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets.inpainting import Inpainter

        return Inpainter(self.shape_[0], self.params.width)

    def make_vit(self) -> torch.nn.Module:
        """Return the transformer whose attention is the saliency: patches of a 16th of the side, or
        DINOv2.
        """
        from core.nets.dino import Dino
        from core.nets.local_folder import require_transformers
        from core.nets.vit import TinyViT

        p = self.params
        if p.saliency == "attention":
            return TinyViT(self.shape_[0], VIT_WIDTH, VIT_DEPTH, patch=int(p.side) // 16)
        require_transformers("DINOv2")
        return Dino.of(self.config_) if self.config_ else Dino.open(p.encoder_folder)

    @property
    def attends(self) -> bool:
        """Whether the saliency is a transformer's attention."""
        return bool(self.params.mask == "saliency" and self.params.saliency != "spectral residual")

    def passes(self, n: int) -> float:
        learns = self.attends and self.params.saliency == "attention"
        return super().passes(n) * (2 if learns else 1)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.losses.recovery import recovery

        p = self.params
        train, normal = _slices.find_healthy(data, "EAR learns from normal pictures")
        self.shape_, self.config_ = tuple(data.shape), ""
        if self.attends:
            self._make_saliency(train, run)
        salient = run.map(lambda x: self.saliency(self.resized(x)), spread(train, MANY))
        self.cuts_ = [float(v) for v in np.quantile(salient, 1 - SHARES)]
        self.cut_ = float(np.quantile(salient, 1 - p.area))
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

    def _make_saliency(self, train: Dataset, run: Run) -> None:
        """Open or train the transformer whose attention is the saliency, and freeze it."""
        import torch

        from core.nets.saliency import HiddenPatches

        self.vit_ = self.make_vit()
        if self.params.saliency == "dinov2":
            self.config_ = self.vit_.config
        else:

            def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
                return {"loss": net(self.resized(batch.x))}

            optimiser = torch.optim.AdamW(self.vit_.parameters(), VIT_RATE)
            run.fit(
                HiddenPatches(self.vit_),
                loss,
                train,
                self.params,
                optimiser=optimiser,
                schedule=half_cosine(VIT_RATE),
            )
        self.vit_.to(run.where).eval().requires_grad_(False)

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
        from core.nets.saliency import attention_received, class_attention, spectral_residual

        if not self.attends:
            return spectral_residual(x)
        attend = attention_received if self.params.saliency == "attention" else class_attention
        return attend(self.vit_, x)

    def mask(self, x: torch.Tensor, area: float | None = None) -> torch.Tensor:
        """Return what of x [b,C,S,S] is hidden, 1 or 0: [b,1,S,S]; what of normal training pictures
        would be the share `area`, where another than that of training is given.
        """
        return self._mask_of(self.saliency(x), area)

    def _mask_of(self, salient: torch.Tensor, area: float | None = None) -> torch.Tensor:
        """Return the mask [b,1,S,S] of a saliency [b,1,S,S]; the grid, where that is the mask."""
        from core.nets.inpainting import grid_mask

        p = self.params
        if p.mask == "saliency":
            cut = self.cut_ if area is None else float(np.interp(area, SHARES, self.cuts_))
            return (salient > cut).to(salient.dtype)
        grid = grid_mask(int(p.side), int(p.side) // 16, max(2, round(p.area**-0.5)))
        return grid.to(salient).expand(len(salient), -1, -1, -1)

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
        kind = self.params.saliency.replace(" ", "-")  # so that a run says which was used
        yield pictures(data, f"saliency-{kind}", "attention", salient)
        yield pictures(data, "excised", "preprocessed", given)
        yield pictures(data, "recovered", "reconstruction", back)
        yield Metrics.of(self._figures(data, hidden), data.rows)

    def _described(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of inputs [b,C,H,W]: latent, score, heat, saliency, what the network is given, what it
        makes of that, and the share hidden.
        """
        x = self.resized(x)
        salient = self.saliency(x)
        mask = self._mask_of(salient)
        given = self.excised(x, mask, self.size_)
        levels = self.net_.encode(given)
        back = self.net_.decode(levels)
        heat = heat_of(x, back)
        z, hidden = levels[-1].mean((2, 3)), mask.mean((1, 2, 3))
        return z, heat.amax((1, 2)), heat, salient[:, 0], given, back.clamp(0, 1), hidden

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

    # -- step by step ------------------------------------------------------------------------------
    def controls(self) -> list[Control]:
        p, found = self.params, list[Control]()
        if p.mask == "saliency" and hasattr(self, "cuts_"):  # runs of before have none
            shares = sorted({p.area, *(float(share) for share in SHARES)})
            choices = tuple((share, f"{100 * share:.3g} %") for share in shares)
            words = (
                "How much of a normal picture is hidden, on average; a picture with more that"
                " stands out is hidden more. It moves the limit of saliency for all pictures."
            )
            found.append(Control("area", "Share hidden", words, p.area, choices))
        sizes = [(0.0, "black"), (1.0, "as it is")]
        sizes += [(float(s), f"{s} pixels") for s in SIZES if s <= p.side // 4]
        words = "What is shown in place of what is hidden: blocks of this side, at their mean."
        return [*found, Control("mosaic", "Blocks", words, float(self.size_), tuple(sizes))]

    def stages(
        self, x: torch.Tensor, area: float | None = None, mosaic: float | None = None
    ) -> list[Stage]:
        """Return what becomes of one input [1,C,H,W]: what stands out, what is hidden, what the
        network is given and makes of it, and where the picture differs from that.
        """
        x = self.resized(x)
        salient = self.saliency(x)
        mask = self._mask_of(salient, None if area == self.params.area else area)
        size = self.size_ if mosaic is None else int(mosaic)
        given = self.excised(x, mask, size)
        back = self.net_(given)
        heat = heat_of(x, back)
        shows = {0: "hidden places black", 1: "all of it"}.get(size, f"blocks of {size} pixels")
        share = f"{float(mask.mean()):.0%} of the picture"
        stands_out = (salient[0, 0] / (2 * self.cut_)).clamp(0, 1)
        return [
            Stage("What stands out", self.params.saliency, "grey", stands_out.cpu().numpy()),
            Stage("What is hidden", share, "places", mask[0, 0].cpu().numpy()),
            Stage("What the network gets", shows, "input", _shown(given)),
            Stage("What it makes of that", "all places redrawn", "generated", _shown(back)),
            Stage(
                "Where the edges differ",
                f"highest {float(heat.max()):.3g}",
                "heat",
                heat[0].cpu().numpy(),
            ),
        ]

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        x = self.resized(x)
        return self.net_.encode(self.excised(x, self.mask(x), self.size_))[-1].mean((2, 3))


def _shown(x: torch.Tensor) -> np.ndarray:
    """Return a batch of one picture as [C,S,S] in [0, 1]."""
    return np.asarray(x[0].clamp(0, 1).cpu())
