"""What the two variational autoencoders share: the training in two phases, the abilities and the
artifacts. Only their latent differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.artifacts import Artifact, Embedding, Images, Predictions
from core.data.labels import why_no_classes
from core.data.scaling import Standardise
from core.errors import UserError
from core.method import Method, Takes
from core.methods._anomaly_maps import make_anomaly_maps
from core.params import EarlyStoppingParams, batch_param, epochs_param, param, rate_param
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

TAKES = Takes(
    ("image", "volume", "table"),
    labels="optional",
    min_rows=16,
    min_size=8,
    seconds_per_value=1.6e-6,
)
WHOLE = 64  # points a side of a volume taken whole
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"epochs": 15},
    "standard": {"epochs": 60},
    "thorough": {"epochs": 200, "width": 24},
}


class VAEParams(EarlyStoppingParams):
    """Parameters of both."""

    epochs: int = epochs_param(30, le=2000)
    batch_size: int = batch_param(64, ge=4, le=1024, advanced=False)
    learning_rate: float = rate_param(2e-3)
    latent: int = param(16, "Latent dimension: how many axes the model may use.", ge=2, le=256)
    width: int = param(
        12,
        "Channels of the first layer; later ones have up to four times as many.",
        ge=2,
        le=128,
        advanced=True,
    )
    volumes: Literal["slice by slice", "whole (3-D)"] = param(
        "slice by slice",
        "How volumes are taken. Whole: 3-D convolutions, for volumes of at most 64 points a side;"
        " there are far fewer cases to learn from, so it wants many volumes and more epochs.",
        only="volume",
    )
    classifier: bool = param(
        True,
        "Where there are labels, train a classifier on the latent together with the autoencoder for"
        " the last third of the epochs.",
    )
    classifier_weight: float = param(
        1.0, "Weight of the classifier's loss.", ge=0, le=100, advanced=True
    )


class VAE(Method):
    """Base of the two; a subclass gives the network, the KL term and how a latent is read off."""

    Params = VAEParams
    volumes_param = "volumes"
    latent_param = "latent"
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = TAKES
    other_data = True
    watched = True

    def make_net(self) -> torch.nn.Module:
        raise NotImplementedError

    def loss_of(self, out: Any) -> torch.Tensor:
        """Return the KL term [b]."""
        raise NotImplementedError

    # -- training ----------------------------------------------------------------------------------
    def fit(self, data: Dataset, run: Run) -> None:
        import torch
        from torch.nn import functional as F

        p, train = self.params, data.part("train")
        if data.modality == "volume" and max(data.shape[1:]) > WHOLE:
            raise UserError(
                f"Whole volumes are taken up to {WHOLE} points a side; these are"
                f" {' x '.join(map(str, data.shape[1:]))}. Take them slice by slice."
            )
        self.shape_, self.scale_ = tuple(data.shape), Standardise.fit(train).to(run.where)
        known = len(np.unique(train.labels[train.labels >= 0]))
        self.class_names_ = (
            data.classes if p.classifier and known >= 2 and why_no_classes(data) is None else []
        )
        self.net_ = self.make_net()
        val = data.part("val")
        joint_from = p.epochs - max(1, p.epochs // 3) if self.class_names_ else p.epochs

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x = self.scale_(batch.x)
            out = net(x)
            reconstruction = self.reconstruction(out[0], x)
            kl = self.loss_of(out).mean()
            loss = reconstruction + p.beta * kl
            scalars = {"reconstruction": reconstruction, "kl": kl}
            if out[3] is not None:
                # a GPU is not waited for, as it would be to look whether there are any
                labelled = (batch.y >= 0).sum().clamp(min=1)
                wrong = (
                    F.cross_entropy(out[3], batch.y, ignore_index=-1, reduction="sum") / labelled
                )
                loss = loss + (p.classifier_weight * wrong if batch.phase else 0.0 * wrong)
                scalars |= {"classifier": wrong} if batch.phase else {}
            return {"loss": loss, **scalars}

        run.fit(
            self.net_,
            loss,
            train,
            p,
            optimiser=torch.optim.Adam(self.net_.parameters(), p.learning_rate),
            # so the joint phase has half the rate on average, as the paper's has
            schedule=half_cosine(p.learning_rate, after=2 / 3),
            clip=5.0,
            phase=lambda batch: batch.epoch >= joint_from,
            validation=(lambda: self._loss_on(val, run)) if len(val) else None,
            validate_after=joint_from if self.class_names_ else 0,
        )

    def _loss_on(self, data: Dataset, run: Run) -> float:
        """Return the mean loss of these cases; with labels that of the joint phase."""
        import torch
        from torch.nn import functional as F

        from core.nets.losses.elbo import squared_error

        def losses(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x = self.scale_(x)
            out = self.net_(x)
            error = squared_error(out[0], x) * self._weight(x)
            each = error + self.params.beta * self.loss_of(out)
            return (each,) if out[3] is None else (each, out[3])

        found = run.map(losses, data)
        if not self.class_names_:
            return float(found.mean())
        each, logits = found
        known = data.labels >= 0
        wrong = (
            F.cross_entropy(torch.from_numpy(logits[known]), torch.from_numpy(data.labels[known]))
            if known.any()
            else 0.0
        )
        return float(each.mean() + self.params.classifier_weight * wrong)

    @staticmethod
    def _weight(x: torch.Tensor) -> float:
        """Half the inverse noise variance: 0.01 for pictures, 1 for standardised tables."""
        return 0.5 / (0.01 if x.ndim > 2 else 1.0)

    def reconstruction(self, back: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Squared error summed over a case, halved and divided by the noise variance 0.01 of
        pictures (1 for standardised tables); mean over cases.
        """
        from core.nets.losses.elbo import squared_error

        return squared_error(back, x).mean() * self._weight(x)

    # -- artifacts ---------------------------------------------------------------------------------
    def embedding(self, data: Dataset, z: np.ndarray, spread: np.ndarray) -> Embedding:
        raise NotImplementedError

    def latent(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean latent and its second quantity (sd or concentration) of inputs in the dataset's
        scale.
        """
        raise NotImplementedError

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:

        def described(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            z, spread = self.latent(x)
            back = self.net_.decoder(z)
            score = (back - self.scale_(x)).square().flatten(1).mean(1)
            back = self.scale_.back(back)
            heat = ((back - x).abs().mean(1),) if x.ndim > 2 else ()
            return (
                z,
                spread,
                back,
                score,
                *heat,
                *((self.net_.classifier(z).softmax(1),) if self.class_names_ else ()),
            )

        z, spread, back, score, *more = run.map(described, data)
        yield self.embedding(data, z, spread)
        if data.modality in ("image", "volume"):
            yield Images(rows=data.rows, name="reconstruction", image=back)
        maps = more.pop(0) if data.modality in ("image", "volume") else None
        yield make_anomaly_maps(data, score, maps, "reconstruction error")
        if self.class_names_:
            yield Predictions(rows=data.rows, prob=more.pop(), classes=list(self.class_names_))

    # -- abilities ---------------------------------------------------------------------------------
    def able(self, ability: str) -> bool:
        return ability != "predict" or bool(self.class_names_)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.latent(x)[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.scale_.back(self.net_.decoder(z))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.classifier(self.embed(x)).softmax(1)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Mean squared reconstruction error of the (standardised) input, per row."""
        return (self.net_.decoder(self.embed(x)) - self.scale_(x)).square().flatten(1).mean(1)
