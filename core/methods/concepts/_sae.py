"""What the sparse autoencoders share: they learn on the latent coordinates of an earlier run, name
their features, and walk back to pictures where the earlier model decodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Embedding, Metrics, Model, Rationales
from core.io.tensors import add_prefix, take_prefix
from core.method import Takes
from core.methods._on_model import OnModel
from core.methods.concepts._features import measure_features, name_features
from core.methods.concepts._params import SAEParams

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

REASONS = 5  # features named per case


class SAE(OnModel):
    """Base: a subclass makes the coder and adds what its rule adds to the loss."""

    takes = Takes(
        ("image", "volume", "table", "text", "series", "sequence"),
        on=("Embedding",),
        min_rows=30,
        seconds_per_value=1e-7,
    )
    gives = (Model, Embedding, Rationales, Metrics)
    shares_batches = True
    net_: Any
    least_steps = 1500
    tiny = {"epochs": 5, "k": 3, "features": 16, "batch_size": 32}
    Params = SAEParams

    def make_net(self) -> torch.nn.Module:
        raise NotImplementedError

    def extra(self, codes: torch.Tensor, kl: torch.Tensor, share: float) -> torch.Tensor:
        """Return what the rule adds to the loss; `share` is how far training has come, 0..1."""
        raise NotImplementedError

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        rest = {k: v for k, v in state.items() if not k.startswith("under.")}
        return {"base": None} | rest | add_prefix("base", take_prefix("under", state))

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
        self.mean_, self.d_ = z.mean(0), z.shape[1]
        spread = np.sqrt(np.square(z - self.mean_).sum(1).mean() / self.d_)
        self.scale_ = float(max(spread, 1e-8))
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
        self.axes_ = name_features(codes, own)
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
        import torch

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
        with torch.no_grad():
            back = self.net_.decode(torch.from_numpy(codes).to(self.net_.decoder.device))
        found = measure_features(self.scaled(z), back.cpu().numpy(), codes, self.on_, data.of(rows))
        yield Metrics.of(found, rows)

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
        """Return inputs from codes [b,m], through the earlier model's decoder."""
        import torch

        z = self.net_.decode(codes) * self.scale_ + torch.as_tensor(self.mean_, device=codes.device)
        return self.opened("base_").decode(z)

    def model(self, data: Dataset, name: str = "") -> Model:
        artifact = super().model(data, name)
        if self.base_ is not None:
            artifact.input_shape = list(self.base_.input_shape)
        return artifact


def _warmed_up(share: float) -> float:
    """Return the part of the largest step size after this share of the steps: up over a fiftieth,
    falling to a tenth over the last fifth.
    """
    return min(1.0, (share + 1e-3) * 50) * (1.0 if share < 0.8 else 1.0 - 4.5 * (share - 0.8))
