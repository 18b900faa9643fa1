"""PBN, projection-based novel class discovery: an MLP autoencoder with a linear classifier of the
known classes on its unit-length latent.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PBN(nn.Module):
    """forward(x [b,d]) -> (latent [b,z] unit length, reconstruction [b,d], logits [b,k]); k may be
    0.
    """

    def __init__(self, inputs: int, latent: int, classes: int, dropout: float) -> None:
        super().__init__()
        a, b = max(latent, round(0.75 * inputs)), max(latent, round(0.5 * inputs))

        def unit(i: int, o: int) -> list[nn.Module]:
            return [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU(), nn.Dropout(dropout)]

        self.encoder = nn.Sequential(*unit(inputs, a), *unit(a, b), nn.Linear(b, latent))
        self.decoder = nn.Sequential(*unit(latent, b), *unit(b, a), nn.Linear(a, inputs))
        self.classifier = nn.Linear(latent, classes) if classes else None

    def embed(self, x: Tensor) -> Tensor:
        return F.normalize(self.encoder(x), dim=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        z = self.embed(x)
        return z, self.decoder(z), self.classifier(z) if self.classifier is not None else None


def discovery_loss(
    out: tuple[Tensor, Tensor, Tensor | None], x: Tensor, y: Tensor, weight: float
) -> dict[str, Tensor]:
    """`loss` = weight CE(known rows) + (1 - weight) |x - x'|^2, and its parts, all 0-d.

    `out` is what `PBN.forward(x)` gave for x [b,d]; `y` int64 [b], -1 = no known class. The squared
    error is summed over columns and averaged over all rows. Source: Troisemaine and others, 2024.
    """
    _, back, logits = out
    reconstruction = (back - x).square().sum(1).mean()
    loss, parts, known = (1 - weight) * reconstruction, {"reconstruction": reconstruction}, y >= 0
    if logits is not None:
        wrong = F.cross_entropy(logits[known], y[known]) if known.any() else logits.sum() * 0
        loss, parts = loss + weight * wrong, parts | {"classifier": wrong}
    return {"loss": loss} | parts
