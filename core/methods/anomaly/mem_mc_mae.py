"""MemMC-MAE: redraws a picture from a quarter of its patches, several times with other ones, by
what it remembers of normal pictures, and shows where the picture differs from that.

Objective
    A masked autoencoder minimises the squared error of whole pictures redrawn from a random quarter
    of their patches. Each layer of its encoder attends to the shown patches and to learned slots,
    the memory; its decoder attends to all levels of the encoder, each through a gate. A pixel's
    unusualness is (1 - SSIM) / 2 of the picture and what was redrawn, the mean over masks that hide
    each patch equally often.

Cost
    80 ms of a processor a step of 32 pictures of 32 x 32 with patches of 4 pixels; fast preset
    about a minute on two cores for 1,000 pictures.

Differences from the paper
    No code of the method is public, and only the paper's abstract was at hand: this is no
    reproduction. How memory and gates enter follows the meshed-memory transformer; similarity at
    two scales averaged at each place, the division of patches into groups, the size of the network,
    the number of slots and all settings of training are ours. The threshold is a quantile of normal
    validation pictures.

Reference
    Tian, Pang, Liu, Wang, Chen, Liu, Singh, Verjans, Wang, Carneiro, Unsupervised anomaly detection
    in medical images with a memory-augmented multi-level cross-attentional masked autoencoder,
    arXiv 2203.11725, 2022; Cornia, Stefanini, Baraldi, Cucchiara, Meshed-memory transformer for
    image captioning, CVPR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Grid, Images, Metrics, Model
from core.artifacts.tables import Metric
from core.method import Method, Takes
from core.methods.anomaly import _residuals, _slices
from core.methods.anomaly._inpainting import pictures, spread
from core.methods.anomaly._mem_mc_mae_params import MemMCMAEParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

MANY = 256  # normal pictures that memory and gates are measured on, at most
WARM = 0.05  # share of the steps in which step sizes grow


class MemMCMAE(Method):
    id = "mem_mc_mae"
    title = "Masked autoencoder with a memory (MemMC-MAE)"
    seed_number = 19
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    masks_: Any  # int64 [R,V]: the places of the patches shown each time
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=16,
        seconds_per_value=3e-6,
    )
    gives = (Model, Embedding, AnomalyMaps, Images, Grid, Metrics)
    Params = MemMCMAEParams
    other_data = True
    tiny = {
        "epochs": 1,
        "batch_size": 8,
        "width": 16,
        "patch": 8,
        "slots": 4,
        "depth": 2,
        "decoder": 1,
        "draws": 1,
    }
    presets = {"fast": {"epochs": 12}, "standard": {"epochs": 60}, "thorough": {"epochs": 300}}
    least_steps = 400

    # -- learning ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets import mem_mc_mae

        p = self.params
        return mem_mc_mae.MemMCMAE(
            self.shape_[0], p.width, p.depth, int(p.patch), p.slots, p.decoder, p.levels == "last"
        )

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        p = self.params
        train, normal = _slices.find_healthy(data, "MemMC-MAE learns from normal pictures")
        self.shape_ = tuple(data.shape)
        self.judged_on_ = "train" if normal is train else "val"
        self.masks_ = complementary_masks(
            (int(p.side) // int(p.patch)) ** 2, int(p.groups), p.draws, run.seed
        )
        self.net_ = self.make_net()
        hidden_only = p.learned_from == "hidden patches"

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x = self.resized(batch.x)
            return {"loss": net.loss(x, net.draw(x, int(p.groups)), hidden_only)}

        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=torch.optim.AdamW(
                self.net_.parameters(), p.learning_rate, betas=(0.9, 0.95), weight_decay=0.05
            ),
            schedule=self._rate,
            clip=1.0,
        )
        self.net_.eval()
        heat = run.map(lambda x: self.heat(self.resized(x)), normal, 64)
        inside = np.ones(heat.shape, bool)
        self.pixel_threshold_ = _residuals.pixel_threshold(heat, inside, p.healthy)
        self.threshold_ = float(np.quantile(self._scores(heat), 0.95))
        self._look_inside(spread(normal, MANY), run)

    def _rate(self, step: int, total: int) -> float:
        """Return the step size: it grows over a twentieth of the steps, and falls along a cosine
        to 0.
        """
        warm = max(1, round(WARM * total))
        if step < warm:
            return self.params.learning_rate * (step + 1) / warm
        along = (step - warm) / max(1, total - warm)
        return 0.5 * self.params.learning_rate * (1 + math.cos(math.pi * along))

    def _look_inside(self, normal: Dataset, run: Run) -> None:
        """Measure on normal pictures how far the gates are open, float [layers,L], how much
        attention goes to the memory, and what its slots are worth.
        """

        def gates(x: torch.Tensor) -> torch.Tensor:
            return self.net_.gates(self.resized(x), self._at(0))

        def shares(x: torch.Tensor) -> torch.Tensor:
            return self.net_.memory_shares(self.resized(x), self._at(0)).sum(3).mean((1, 2))

        def error(x: torch.Tensor) -> torch.Tensor:
            x = self.resized(x)
            return (self.net_(x, self._at(0)) - x).square().mean((1, 2, 3))

        self.gates_ = np.asarray(run.map(gates, normal, 64)).mean(0)
        self.memory_share_ = float(np.mean(run.map(shares, normal, 64)))
        before = float(np.mean(run.map(error, normal, 64)))
        kept = self._swap_memory(run.seed)
        swapped = float(np.mean(run.map(error, normal, 64)))
        self._put_memory(kept)
        self.without_memory_ = swapped / max(before, 1e-12)

    def _swap_memory(self, seed: int) -> list[torch.Tensor]:
        """Put random vectors, of the spread that the slots have, in the memory's place; return what
        was there.
        """
        import torch

        random, kept = torch.Generator().manual_seed(seed), []
        for block in self.net_.blocks:
            for slots in (block.attention.memory_key, block.attention.memory_value):
                kept.append(slots.detach().clone())
                drawn = torch.randn(slots.shape, generator=random).to(slots)
                mean, deviation = (slots.mean(), slots.std()) if slots.numel() > 1 else (0, 1)
                slots.data.copy_(drawn * deviation + mean)
        return kept

    def _put_memory(self, kept: list[torch.Tensor]) -> None:
        found = iter(kept)
        for block in self.net_.blocks:
            for slots in (block.attention.memory_key, block.attention.memory_value):
                slots.data.copy_(next(found))

    # -- what is unusual ---------------------------------------------------------------------------
    def resized(self, x: torch.Tensor) -> torch.Tensor:
        """Return inputs [b,C,H,W] at the working size [b,C,S,S]."""
        return _slices.at_side(x, int(self.params.side))

    def _at(self, r: int) -> torch.Tensor:
        """Return the places [V] of the patches that mask `r` shows."""
        import torch

        return torch.as_tensor(self.masks_[r], device=self.net_.hidden.device)

    def redrawn(self, x: torch.Tensor, r: int) -> torch.Tensor:
        """Return x [b,C,S,S] redrawn from the patches that mask `r` shows, in [0, 1]."""
        return self.net_(x, self._at(r)).clamp(0, 1)

    def heat(self, x: torch.Tensor) -> torch.Tensor:
        """Return how unusual each place of x [b,C,S,S] is, the mean over masks: [b,S,S], in
        [0, 1].
        """
        return self._heat_and_picture(x)[0]

    def _heat_and_picture(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the heat [b,S,S] and the mean picture redrawn [b,C,S,S] of x [b,C,S,S]."""
        import torch

        from core.nets.losses.local_similarity import dissimilarity

        heat, whole = torch.zeros_like(x[:, 0]), torch.zeros_like(x)
        for r in range(len(self.masks_)):
            back = self.redrawn(x, r)
            heat, whole = heat + dissimilarity(x, back), whole + back
        return heat / len(self.masks_), whole / len(self.masks_)

    def _scores(self, heat: np.ndarray) -> np.ndarray:
        """Return the score of each map [n,S,S]: [n]."""
        if self.params.score == "mean":
            return heat.mean((1, 2))
        return _residuals.case_score(heat)

    # -- applying ----------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, heat, back, shown, memory = run.map(self._described, data, 64)
        yield Embedding(rows=data.rows, name="latent", z=z)
        yield AnomalyMaps(
            rows=data.rows,
            score=self._scores(heat).astype(np.float32),
            map=_slices.resized(heat, (data.shape[1], data.shape[2])),
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            rule="95 % of normal validation pictures lie below",
            unit="structural difference",
        )
        yield pictures(data, "redrawn", "reconstruction", back)
        yield pictures(data, "first-mask", "preprocessed", shown)
        if self.params.slots:
            yield pictures(data, "memory", "attention", memory)
        yield self._gates(data)
        yield Metrics.of(self._figures(), data.rows)

    def _described(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of inputs [b,C,H,W]: latent, heat, picture redrawn, what the first mask shows of it, and
        the memory's share of the attention at each place.
        """
        x = self.resized(x)
        heat, back = self._heat_and_picture(x)
        return self._pooled(x), heat, back, self._shown(x), self._memory(x)

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of the encoder's last tokens of x [b,C,S,S], each patch shown once:
        [b,d].
        """
        groups = range(int(self.params.groups))
        return sum(self.net_.encode(x, self._at(r))[-1].mean(1) for r in groups) / len(groups)

    def _shown(self, x: torch.Tensor) -> torch.Tensor:
        """Return x [b,C,S,S] with the patches grey that the first mask hides."""
        shown = self._spread_out(x.new_ones(1, self.masks_.shape[1], 1), [0])
        return x * shown[:, None] + 0.5 * (1 - shown[:, None])

    def _memory(self, x: torch.Tensor) -> torch.Tensor:
        """Return the memory's share of the attention of each patch of x [b,C,S,S], each shown once,
        the mean over layers: [b,S,S].
        """
        import torch

        groups = list(range(int(self.params.groups)))
        found = [self.net_.memory_shares(x, self._at(r)).sum(3).mean(2) for r in groups]
        return self._spread_out(torch.stack(found, 2), groups)

    def _spread_out(self, values: torch.Tensor, masks: list[int]) -> torch.Tensor:
        """Return `values` [b,V,r] of the patches shown by each of r `masks` at their places, 0 at
        others: [b,S,S].
        """
        import torch

        p = self.params
        side = int(p.side) // int(p.patch)
        flat = values.new_zeros(len(values), side**2)
        for k, r in enumerate(masks):
            flat[:, self._at(r)] = values[:, :, k]
        small = flat.unflatten(1, (side, side))
        return torch.nn.functional.interpolate(small[:, None], scale_factor=int(p.patch))[:, 0]

    def _gates(self, data: Dataset) -> Grid:
        layers, levels = self.gates_.shape
        seen = range(levels) if levels > 1 else [self.params.depth - 1]
        names = [
            f"encoder level {level + 1}, decoder layer {layer + 1}"
            for layer in range(layers)
            for level in seen
        ]
        return Grid(
            rows=data.rows,
            name="gates",
            value=self.gates_.reshape(-1, 1).astype(np.float32),
            x=["gate"],
            y=names,
            x_title="gate",
            y_title="level",
            unit="how far the gate is open, 0 to 1 (normal pictures)",
            low=0.0,
            high=1.0,
        )

    def _figures(self) -> list[Metric]:
        found = [
            Metric(
                "share of attention that goes to the memory",
                self.memory_share_,
                split=self.judged_on_,
            ),
            Metric(
                "error of normal pictures with a random memory / with its own",
                self.without_memory_,
                split=self.judged_on_,
            ),
        ]
        return found if self.params.slots else []

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self._pooled(self.resized(x))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores of inputs [b,C,H,W]: [b]."""
        flat = self.heat(self.resized(x)).flatten(1)
        if self.params.score == "mean":
            return flat.mean(1)
        return flat.topk(max(1, flat.shape[1] // 100), 1).values.mean(1)


def complementary_masks(places: int, groups: int, draws: int, seed: int) -> np.ndarray:
    """Return which of `places` are shown each time, int64 [draws * groups, places / groups]: they
    are divided `draws` times into `groups` of equal size, so that each is shown once a division.
    """
    rng = np.random.default_rng(seed)
    divided = [np.sort(rng.permutation(places).reshape(groups, -1), 1) for _ in range(draws)]
    return np.concatenate(divided).astype(np.int64)
