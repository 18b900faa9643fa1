"""SeaS: makes more pictures of what is abnormal, with masks, out of a few examples and normal
pictures.

Objective
    A denoising network e(x_t, t, prompt), whose places attend to learned tokens, minimises the
    squared error of the noise, of abnormal pictures under the prompt of one normal token and the
    four of their kind, and of normal ones under the normal token alone; and for abnormal ones
    w (mean (A - M)² + mean over M of N²) at two sizes, A and N the attention of the kind's tokens
    and of the normal one, scaled to [0, 1] over the batch, M the mask. A second network learns the
    mask from the first one's features by a focal loss, of normal pictures an empty one. A picture
    is made from a normal one with noise, by e_normal + g (e_asked - e_normal).

Cost
    0.12 s of a processor a step of 8 + 8 pictures of 32 x 32; fast preset about 90 s on two cores,
    whatever the number of pictures; 0.15 s a generated picture.

Differences from the paper
    The paper fine-tunes Stable Diffusion 1.4, with its text encoder and in the space of its
    autoencoder, at 512 pixels; here a network of a third of a million weights learns from nothing,
    in pixels, at 32 a side, and a table of tokens stands in for the text encoder. Masks come of
    features at three sizes with two blocks of attention. The normal picture that generation begins
    from gets noise to 0.8 of the levels, in the paper beyond the last, since so small a network
    makes no picture from noise alone that holds up beside real ones. What the mask network finds in
    real pictures is our addition.

Reference
    Dai, Zeng, Liu, Li, Xue, Zhou, SeaS: few-shot industrial anomaly image generation with
    separation and sharing fine-tuning, arXiv 2410.14987, 2024, and the authors' public code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Metrics, Model, Pairs
from core.errors import UserError
from core.method import Method, Takes
from core.methods.anomaly import _residuals, _slices
from core.methods.anomaly._inpainting import pictures, spread
from core.methods.augmentation import _pairs
from core.methods.augmentation._examples import drawn_pairs, find_examples, small_pictures
from core.methods.augmentation._params import SeaSParams
from core.stages import Control, Stage
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.methods.augmentation._drawing import Drawn
    from core.training.run import Batch, Run

CLEAR = 60  # noise levels, from the lowest, at which masks are learned
LOOK = 20  # noise level at which real pictures are looked at
SECOND = 0.35  # of the steps of the first network that the second makes
MANY = 256  # pictures that thresholds and distances are taken from, at most
TOGETHER = 64  # pictures made at a time
READ = 16 << 20  # pixels of masks that are read to tell whether data fits


class SeaS(Method):
    id = "seas"
    title = "Generate abnormal pictures with masks (SeaS)"
    seed_number = 12
    # networks; Any, since torch types a module's parts as Tensor | Module
    net_: Any
    head_: Any
    noise_: Any  # [1,C,S,S], added to every real picture that is looked at
    takes = Takes(
        ("image",),
        labels="optional",
        masks="needed",
        volumes="no",
        min_rows=9,
        min_size=16,
        seconds_per_value=8e-6,
    )
    gives = (Model, Embedding, AnomalyMaps, Images, Pairs, Metrics)
    Params = SeaSParams
    tiny = {
        "epochs": 2,
        "side": 16,
        "batch_size": 4,
        "width": 4,
        "draws": 12,
        "steps": 3,
        "pairs": 1,
    }
    presets = {
        "fast": {"epochs": 40},
        "standard": {"epochs": 200},
        "thorough": {"epochs": 200, "side": 64, "width": 24},
    }

    # -- learning ----------------------------------------------------------------------------------
    def declines(self, data: Dataset) -> str | None:
        train = data.part("train")
        # larger ones would take too long to read each time methods are offered: `fit` tells then
        if data.masks is None or not 0 < len(train) * math.prod(data.shape[1:]) <= READ:
            return None
        try:
            find_examples(train, "none")
        except UserError as e:
            return str(e)
        return None

    def passes(self, n: int) -> float:
        return float(self.params.epochs * 2 * self.params.draws)

    def values(self, shape: tuple[int, ...]) -> float:
        return float(shape[0] * int(self.params.side) ** 2) if shape else 1.0

    def make_net(self) -> torch.nn.Module:
        from core.nets.diffusion import TokenUNet

        return TokenUNet(self.shape_[0], self.params.width, len(self.kinds_))

    def make_head(self) -> torch.nn.Module:
        from core.nets.diffusion import MaskHead

        return MaskHead(self.shape_[0], self.params.width)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        p = self.params
        found = find_examples(data.part("train"), p.kind)
        self.kinds_, self.shape_, self.seed_ = found.kinds, tuple(data.shape), run.seed
        self.noise_ = torch.randn(1, self.shape_[0], int(p.side), int(p.side)).to(run.where)
        rows, pairs = drawn_pairs(found, int(p.side), p.draws)
        drawn = rows.with_samples(pairs)
        self.examples_, self.normals_ = found.abnormal.rows, found.normal.rows
        codes = dict(zip(found.abnormal.rows.tolist(), found.kind.tolist()))
        kind = torch.tensor([codes[r] for r in rows.rows.tolist()], device=run.where)
        asked = torch.nn.functional.one_hot(kind, len(self.kinds_)).float()
        self._learn_to_draw(drawn, rows, asked, run)
        self._learn_masks(drawn, rows, asked, run)
        self._calibrate(data, found.normal, run)

    def _learn_to_draw(self, drawn: Dataset, of: Dataset, asked: Any, run: Run) -> None:
        """Train the denoising network; `asked` [n,k] the kinds of the rows of `drawn`."""
        import torch

        from core.methods.augmentation import _drawing as drawing
        from core.nets import diffusion
        from core.nets.losses.separation import separation

        p = self.params
        self.net_ = self.make_net()
        kept = diffusion.shares_kept().to(run.where)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x, mask, mix = self._turned(batch.x, asked[batch.placed])
            t = torch.randint(0, diffusion.STEPS, (len(x),), device=x.device)
            noise = torch.randn_like(x)
            prompt = drawing.prompt_of(torch.cat([mix, torch.zeros_like(mix)]))
            seen = net(diffusion.add_noise(x, noise, kept[t]), t, prompt)
            error, half = (seen.noise - noise).square(), len(x) // 2
            out = {"abnormal": error[:half].mean(), "normal": error[half:].mean()}
            maps = {side: m[:half] for side, m in seen.maps.items()}
            apart = [separation(a, n, mask) for a, n in drawing.kind_maps(maps, mix).values()]
            out["attention"] = torch.stack(apart).sum()
            out["loss"] = out["abnormal"] + out["normal"] + p.alignment * out["attention"]
            return out

        optimiser = torch.optim.AdamW(self.net_.parameters(), p.learning_rate, weight_decay=0.01)
        schedule = half_cosine(p.learning_rate, 0.5)
        run.fit(self.net_, loss, drawn, p, of=of, optimiser=optimiser, schedule=schedule, clip=1.0)
        self.net_.eval().requires_grad_(False)

    def _learn_masks(self, drawn: Dataset, of: Dataset, asked: Any, run: Run) -> None:
        """Train the network of masks on the features of the first, which stays as it is."""
        import torch

        from core.methods.augmentation import _drawing as drawing
        from core.nets import diffusion
        from core.nets.losses.separation import focal

        p = self.params
        self.head_, net = self.make_head(), self.net_.to(run.where)
        kept = diffusion.shares_kept().to(run.where)

        def loss(head: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x, mask, mix = self._turned(batch.x, asked[batch.placed])
            t = torch.randint(0, CLEAR, (len(x),), device=x.device)
            noisy = diffusion.add_noise(x, torch.randn_like(x), kept[t])
            with torch.no_grad():
                # a normal picture under the same prompt, so that no prompt gives a mask away
                seen = net(noisy, t, drawing.prompt_of(torch.cat([mix, mix])))
            clean = diffusion.remove_noise(noisy, seen.noise, kept[t])
            coarse, fine = head(seen.features, clean)
            truth = torch.cat([mask, torch.zeros_like(mask)])[:, None]
            small = torch.nn.functional.adaptive_max_pool2d(truth, coarse.shape[-1])
            return {"loss": focal(fine, truth) + focal(coarse, small)}

        params = p.model_copy(update={"epochs": max(1, round(SECOND * p.epochs))})
        optimiser = torch.optim.AdamW(self.head_.parameters(), p.learning_rate, weight_decay=0.01)
        schedule = half_cosine(p.learning_rate)
        run.fit(
            self.head_, loss, drawn, params, of=of, optimiser=optimiser, schedule=schedule, clip=1.0
        )
        self.head_.eval()

    def _turned(self, x: torch.Tensor, mix: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return of pairs [b,2C+1,S,S] the abnormal and then the normal pictures [2b,C,S,S] in
        [-1, 1], turned, the masks [b,S,S] of the former, and `mix` as it is.
        """
        import torch

        from core.methods.augmentation import _drawing as drawing

        channels, turns = self.shape_[0], self.params.turns
        ill = drawing.turned(x[:, : channels + 1], turns)
        well = drawing.turned(x[:, channels + 1 :], turns)
        return 2 * torch.cat([ill[:, :channels], well]) - 1, ill[:, channels], mix

    def _calibrate(self, data: Dataset, normal: Dataset, run: Run) -> None:
        """Set the thresholds from normal validation pictures, training ones where these are few."""
        val = data.part("val")
        well = _slices.healthy(val) if len(val) else val
        some = spread(well if len(well) >= _slices.LEAST else normal, MANY)
        heat = run.map(lambda x: self.heat(self.resized(x)), some, TOGETHER)
        inside = np.ones(heat.shape, bool)
        self.pixel_threshold_ = _residuals.pixel_threshold(heat, inside, 0.995)
        self.threshold_ = float(np.quantile(_residuals.case_score(heat), 0.95))

    # -- real pictures -----------------------------------------------------------------------------
    def resized(self, x: torch.Tensor) -> torch.Tensor:
        """Return inputs [b,C,H,W] at the working size [b,C,S,S]."""
        return _slices.at_side(x, int(self.params.side))

    def looked_at(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return of real pictures x [b,C,S,S] in [0, 1] the probability of each pixel being
        abnormal [b,S,S], and the attention of the tokens of abnormal kinds [b,S/2,S/2]: of all
        kinds the highest, each asked for by itself.
        """
        import torch

        from core.methods.augmentation import _drawing as drawing
        from core.nets import diffusion

        kept = diffusion.shares_kept().to(x.device)
        t = torch.full((len(x),), LOOK, device=x.device)
        noisy = diffusion.add_noise(2 * x - 1, self.noise_.to(x).expand_as(x), kept[t])
        probs, maps = [], []
        for kind in range(len(self.kinds_)):
            mix = torch.zeros(len(x), len(self.kinds_), device=x.device)
            mix[:, kind] = 1
            seen = self.net_(noisy, t, drawing.prompt_of(mix))
            clean = diffusion.remove_noise(noisy, seen.noise, kept[t])
            probs.append(self.head_(seen.features, clean)[1][:, 0].sigmoid())
            joined = {0: drawing.joined(seen.maps)}
            maps.append(drawing.kind_maps(joined, mix)[0][0])
        return torch.stack(probs).amax(0), torch.stack(maps).amax(0)

    def heat(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probability [b,S,S] of each pixel of x [b,C,S,S] being abnormal."""
        return self.looked_at(x)[0]

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        from core.nets.diffusion import normal_prompt

        x = self.resized(x)
        prompt = normal_prompt(len(self.kinds_)).to(x).repeat(len(x), 1)
        t = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return self.net_.encode(2 * x - 1, t, prompt)[0][-1].mean((2, 3))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        flat = self.heat(self.resized(x)).flatten(1)
        return flat.topk(max(1, flat.shape[1] // 100), 1).values.mean(1)

    # -- applying ----------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        def described(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self.embed(x), *self.looked_at(self.resized(x))

        z, heat, attention = run.map(described, data, TOGETHER)
        yield Embedding(rows=data.rows, name="latent", z=z)
        yield AnomalyMaps(
            rows=data.rows,
            score=_residuals.case_score(heat).astype(np.float32),
            map=_slices.resized(heat, (data.shape[1], data.shape[2])),
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            rule="95 % of normal validation pictures lie below",
            unit="probability",
        )
        yield pictures(data, "attention", "attention", attention)
        made = self._pairs(data, run)
        if made is not None:
            yield made
            yield Metrics.of(_pairs.figures_of(made), data.rows)

    def _pairs(self, data: Dataset, run: Run) -> Pairs | None:
        """Return `pairs` pictures of each kind, as many normal ones, and as many of each two kinds
        that follow one another, of each from the same normal pictures and noise; None where the
        pictures learned from are not all among the data.
        """
        import torch

        learned = np.concatenate([self.examples_, self.normals_])
        if not np.isin(learned, data.rows).all():
            return None
        p, k = self.params, len(self.kinds_)
        mixes = [np.eye(k)[i] for i in range(k)]
        mixes += [(mixes[i] + mixes[i + 1]) / 2 for i in range(k - 1)]
        mix = np.repeat([*mixes, np.zeros(k)], p.pairs, 0).astype(np.float32)
        starts = np.resize(spread(data.of(self.normals_), p.pairs).rows, p.pairs)
        normal = data.of(np.tile(starts, len(mixes) + 1))
        noise = self._noise(p.pairs, self.seed_)
        parts = []
        for at in np.array_split(np.arange(len(mix)), -(-len(mix) // TOGETHER)):
            x = torch.from_numpy(small_pictures(normal.take(at), int(p.side)))
            one = noise[at % p.pairs].to(run.where)
            parts.append(self.drawn(x.to(run.where), torch.from_numpy(mix[at]), one, run))
        return self._as_pairs(data, mix, *(torch.cat(v).cpu().numpy() for v in zip(*parts)))

    def _noise(self, many: int, seed: int) -> torch.Tensor:
        """Return noise [many,C,S,S] that `seed` alone decides."""
        import torch

        side = int(self.params.side)
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(many, self.shape_[0], side, side, generator=generator)

    def drawn(
        self,
        x: torch.Tensor,
        mix: torch.Tensor,
        noise: torch.Tensor,
        run: Run | None = None,
        start: float | None = None,
        guidance: float | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Return image [b,C,S,S], probability of its pixels [b,S,S] and attention to every token
        [b,tokens,S/2,S/2] of pictures made from normal ones x [b,C,S,S] with `noise` [b,C,S,S]
        under `mix` [b,k].
        """
        import torch

        from core.methods.augmentation import _drawing as drawing

        p = self.params
        with torch.no_grad():
            found: Drawn = drawing.draw(
                self.net_,
                self.head_,
                x,
                mix.to(x),
                noise,
                p.start if start is None else start,
                p.guidance if guidance is None else guidance,
                p.steps,
                (lambda: None) if run is None else run.check,
            )
            normal = mix.to(x).sum(1) == 0  # masked as a real picture would be
            prob = torch.where(normal[:, None, None], self.heat(found.image), found.prob)
        return found.image, prob, found.attention

    def _as_pairs(
        self, data: Dataset, mix: np.ndarray, image: np.ndarray, prob: np.ndarray, seen: np.ndarray
    ) -> Pairs:
        """Return what was made, without tokens that stand for nothing, beside what it is like."""
        from core.nets.diffusion import EACH, FILLERS

        side = int(self.params.side)
        well = spread(data.of(self.normals_), MANY)
        ill = small_pictures(data.of(self.examples_), side)
        likeness = _pairs.compare(image, ill, small_pictures(well, side), self.params.turns)
        rows = np.concatenate([self.examples_, well.rows])
        tokens = ["normal", *(f"{kind} {i + 1}" for kind in self.kinds_ for i in range(EACH))]
        return Pairs(
            rows=data.rows,
            image=image,
            prob=prob,
            mix=mix,
            kinds=list(self.kinds_),
            attention=seen[:, FILLERS:].astype(np.float16),
            tokens=tokens,
            nearest=rows[likeness.nearest],
            closest=self.examples_[likeness.closest],
            distance=likeness.distance,
            threshold=self.params.threshold,
        )

    # -- prompts -----------------------------------------------------------------------------------
    def prompts(self) -> list[Control]:
        """Return the settings of `generate`, beside how much of each kind is asked for."""
        p = self.params
        shares = sorted({p.start, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0})
        powers = sorted({p.guidance, 1.0, 2.0, 3.0, 5.0, 8.0})
        return [
            Control(
                "start",
                "How much is redrawn",
                "Up to which share of the noise levels the normal picture gets noise: the more, the"
                " less of it stays.",
                p.start,
                tuple((v, f"{100 * v:.0f} %") for v in shares),
            ),
            Control(
                "guidance",
                "Guidance",
                "How much more abnormal than learned; 1 = as learned.",
                p.guidance,
                tuple((v, f"{v:g}") for v in powers),
            ),
        ]

    def generate(
        self, x: torch.Tensor, mix: dict[str, float], seed: int, start: float, guidance: float
    ) -> list[Stage]:
        """Return how a picture is made from a normal one, an input [1,C,H,W], of so much of each
        kind (0 to 1; none = a normal picture): what it begins from, the picture, its mask, and
        where the tokens look.
        """
        import torch

        weights = torch.tensor([[mix.get(kind, 0.0) for kind in self.kinds_]])
        x = self.resized(x)
        found = self.drawn(x, weights, self._noise(1, seed).to(x), start=start, guidance=guidance)
        image, prob, seen = (v[0].cpu().numpy() for v in found)
        threshold = self.params.threshold
        asked = {k for k, kind in enumerate(self.kinds_) if mix.get(kind, 0.0) > 0}
        return [
            Stage("The normal picture it begins from", "a case", "input", x[0].cpu().numpy()),
            *_pairs.stages_of(image, prob, seen, self.kinds_, asked, threshold),
        ]
