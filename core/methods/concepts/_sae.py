"""What the sparse autoencoders share: they learn on the latent coordinates of an earlier run, name
their features, and walk back to pictures where the earlier model decodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Embedding, Metric, Metrics, Model, Rationales
from core.io.tensors import nested, taken
from core.method import Takes
from core.methods._on_model import OnModel
from core.params import TrainingParams, batch_param, epochs_param, param, rate_param

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

TAKES = Takes(
    ("image", "volume", "table", "text", "series", "sequence"),
    on=("Embedding",),
    min_rows=30,
    seconds_per_value=1e-7,
)
REASONS = 5  # features named per case


class SAEParams(TrainingParams):
    """Parameters of both."""

    epochs: int = epochs_param(100, le=10_000)
    batch_size: int = batch_param(128, le=8192)
    learning_rate: float = rate_param(1e-3)
    k: int = param(8, "Features that may be on in one case.", ge=1, le=1000)
    features: int = param(
        0, "Features to learn; 0 takes eight times the latent dimensions.", ge=0, le=65_536
    )
    revive: float = param(
        1 / 32,
        "Weight of the loss that brings features back that are never on.",
        ge=0,
        le=10,
        advanced=True,
    )


class SAE(OnModel):
    """Base: a subclass makes the coder and adds what its rule adds to the loss."""

    takes = TAKES
    gives = (Model, Embedding, Rationales, Metrics)
    net_: Any
    least_steps = 1500
    tiny = {"epochs": 5, "k": 3, "features": 16, "batch_size": 32}
    Params = SAEParams

    def make_net(self) -> torch.nn.Module:
        raise NotImplementedError

    def extra(self, codes: torch.Tensor, kl: torch.Tensor, share: float) -> torch.Tensor:
        """What the rule adds to the loss; `share` is how far training has come, 0..1."""
        raise NotImplementedError

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in state.items() if not k.startswith("under.")}
        return {"base": None} | kept | nested("base", taken("under", state))

    # -- training ----------------------------------------------------------------------------------
    def coordinates(self, data: Dataset, on: dict[str, Artifact]) -> tuple[np.ndarray, np.ndarray]:
        """(row ids, float32 coordinates) of the rows of `data` that the earlier run holds; unit
        length where its metric is cosine.
        """
        embedding = next(a for a in on.values() if isinstance(a, Embedding))
        at = embedding.at(data.rows)
        z = np.asarray(embedding.z, dtype=np.float32)[at]
        if embedding.metric == "cosine":
            z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        return np.asarray(embedding.rows)[at], z

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        p, train = self.params, data.part("train")
        embedding = run.base(Embedding)
        self.cosine_ = embedding.metric == "cosine"
        rows, z = self.coordinates(train, run.on)
        self.mean_, self.scale_ = (
            z.mean(0),
            float(max(np.sqrt(np.square(z - z.mean(0)).sum(1).mean() / z.shape[1]), 1e-8)),
        )
        self.d_ = z.shape[1]
        self.size_ = p.features or 8 * self.d_
        self.net_ = self.make_net()
        steps = p.epochs * max(1, len(rows) // min(p.batch_size, len(rows)))

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            self.net_.unit()
            back, codes, u, kl = net(batch.x)
            self.net_.count(codes.detach())
            error = (back - batch.x).square().mean()
            extra = self.extra(codes, kl, batch.step / max(1, steps)) / self.d_
            revived = p.revive * self.net_.revived(batch.x, back, u, 2 * len(rows))
            on = (codes != 0).float().sum(1).mean()
            return {"loss": error + extra + revived, "error": error, "features on per case": on}

        own = train.of(rows)
        run.fit(
            self.net_,
            loss,
            own.with_samples(self.scaled(z)),
            p,
            optimiser=torch.optim.Adam(self.net_.parameters(), p.learning_rate),
            schedule=lambda step, total: p.learning_rate * _warmed_up(step / max(1, total)),
            clip=1.0,
            of=own,
        )
        self.net_.unit()
        self.net_.eval()
        self._sign(z, run)
        codes = self.encode_numpy(z)
        self.on_ = (codes != 0).mean(0)
        self.axes_ = names(codes, train.of(rows), self.on_)
        base = next((a for a in run.on.values() if isinstance(a, Model)), None)
        usable = (
            base is not None
            and {"embed", "decode"} <= set(base.abilities)
            and embedding.name in ("latent", "")
        )
        self.base_ = base if usable else None

    def _sign(self, z: np.ndarray, run: Run) -> None:
        """Turn features round whose codes are mostly negative: the sign is arbitrary, so the more
        frequent pole is called +.
        """
        import torch

        if self.net_.rule != "abs top-k":
            return
        codes = self.encode_numpy(z)
        turn = torch.from_numpy(
            np.where((codes > 0).sum(0) < (codes < 0).sum(0), -1.0, 1.0).astype("f4")
        ).to(self.net_.decoder.device)
        with torch.no_grad():
            self.net_.encoder.weight.mul_(turn[:, None])
            self.net_.encoder.bias.mul_(turn)
            self.net_.decoder.mul_(turn[:, None])

    def scaled(self, z: np.ndarray) -> np.ndarray:
        return ((z - self.mean_) / self.scale_).astype(np.float32)

    def encode_numpy(self, z: np.ndarray) -> np.ndarray:
        """Codes float32 [n,m] of coordinates."""
        import torch

        with torch.no_grad():
            parts = [
                self.net_.codes(
                    torch.from_numpy(self.scaled(z[i : i + 4096])).to(self.net_.decoder.device)
                )
                .cpu()
                .numpy()
                for i in range(0, len(z), 4096)
            ]
        return np.concatenate(parts) if parts else np.zeros((0, self.size_), np.float32)

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        rows, z = self.coordinates(data, run.on)
        run.check()
        codes = self.encode_numpy(z)
        yield Embedding(
            rows=rows,
            name="codes",
            z=codes,
            layer="sparse codes",
            geometry="sparse",
            axes=list(self.axes_),
        )
        strongest = np.argsort(-np.abs(codes), axis=1, kind="stable")[:, :REASONS]
        items = [
            [{"text": self.axes_[j], "weight": float(codes[i, j])} for j in at if codes[i, j] != 0]
            for i, at in enumerate(strongest)
        ]
        yield Rationales(rows=rows, items=items, kind="concepts")
        yield Metrics.of(self.figures(data.of(rows), z, codes, run), rows)

    def figures(self, data: Dataset, z: np.ndarray, codes: np.ndarray, run: Run) -> list[Metric]:
        """Variance explained on test, features on per case, and how many are never on."""
        import torch

        from core.stats.bootstrap import interval

        part = "test" if (data.splits == "test").sum() >= 5 else "train"
        at = np.flatnonzero(data.splits == part)
        x = self.scaled(z)
        with torch.no_grad():
            back = (
                self.net_.decode(torch.from_numpy(codes).to(self.net_.decoder.device)).cpu().numpy()
            )
        wrong, whole = np.square(x - back).sum(1), np.square(x - x[at].mean(0)).sum(1)
        left = lambda i: float(wrong[at][i].sum() / max(whole[at][i].sum(), 1e-12))  # noqa: E731
        groups = data.groups[at] if data.groups is not None else None
        dead = float((self.on_ == 0).mean())
        return [
            Metric(
                "variance of the latent space explained",
                1 - left(np.arange(len(at))),
                split=part,
                n=len(at),
            ).within(interval(left, len(at), groups, (0, np.inf)).turned(1.0)),
            Metric(
                "features on per case",
                float((codes[at] != 0).sum(1).mean()),
                split=part,
                n=len(at),
                higher_is_better=None,
            ),
            Metric(
                "features that are never on",
                dead,
                split="train",
                n=self.size_,
                higher_is_better=False,
                note=f"{round(dead * self.size_)} of {self.size_}",
            ),
            Metric(
                "features used from both sides",
                float(both_sides(codes).mean()),
                split="all",
                n=self.size_,
                higher_is_better=None,
                note="at least a tenth of the cases on each side",
            ),
        ]

    # -- abilities ---------------------------------------------------------------------------------
    def able(self, ability: str) -> bool:
        return self.base_ is not None if ability in ("embed", "decode") else True

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Codes [b,m] of inputs, through the earlier model."""
        import torch

        z = self.opened("base_").embed(x)
        if self.cosine_:
            z = torch.nn.functional.normalize(z, dim=1)
        return self.net_.codes((z - torch.as_tensor(self.mean_, device=z.device)) / self.scale_)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Inputs from codes [b,m], through the earlier model's decoder."""
        import torch

        z = self.net_.decode(codes) * self.scale_ + torch.as_tensor(self.mean_, device=codes.device)
        return self.opened("base_").decode(z)

    def model(self, data: Dataset, name: str = "") -> Model:
        made = super().model(data, name)
        if self.base_ is not None:
            made.input_shape = list(self.base_.input_shape)
        return made


def _warmed_up(share: float) -> float:
    """The part of the largest step size after this share of the steps: up over a fiftieth, falling
    to a tenth over the last fifth.
    """
    return min(1.0, (share + 1e-3) * 50) * (1.0 if share < 0.8 else 1.0 - 4.5 * (share - 0.8))


def both_sides(codes: np.ndarray) -> np.ndarray:
    """`bool [m]`: features whose codes are positive and negative, each in at least a tenth of the
    cases where they are on.
    """
    plus, minus = (codes > 0).sum(0), (codes < 0).sum(0)
    return (np.minimum(plus, minus) >= 0.1 * np.maximum(plus + minus, 1)) & (plus + minus >= 10)


def names(codes: np.ndarray, data: Dataset, on: np.ndarray) -> list[str]:
    """A name for each feature: its number, and the class its poles lean to where a class is twice
    as frequent among the 20 strongest cases as overall.
    """
    found, known = [], np.flatnonzero(data.labels >= 0)
    share = (
        np.bincount(data.labels[known], minlength=len(data.classes)) / max(len(known), 1)
        if len(data.classes)
        else np.zeros(0)
    )
    for j in range(codes.shape[1]):
        words = []
        for sign, mark in ((1, "+"), (-1, "−")):
            strength = sign * codes[known, j] if len(known) else np.zeros(0)
            top = (
                known[np.argsort(-strength, kind="stable")[:20]][
                    np.sort(-strength, kind="stable")[:20] < 0
                ]
                if len(known)
                else known
            )
            if len(top) >= 5 and len(data.classes) > 1:
                own = np.bincount(data.labels[top], minlength=len(data.classes)) / len(top)
                best = int(own.argmax())
                if own[best] >= min(0.9, 2 * share[best]) and own[best] > 0.5:
                    words.append(f"{mark} {data.classes[best]}")
        found.append(
            f"feature {j + 1}"
            + (f" ({', '.join(words)})" if words else "")
            + (" (never on)" if on[j] == 0 else "")
        )
    return found
