"""A small convolutional encoder for pictures from 8 to 256 pixels, the stem of the self-supervised
methods and of the plain classifier.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F


class ConvEncoder(nn.Module):
    """[b,C,H,W] -> [b,4*width]: conv-BN-ReLU, halved until at most 4 pixels remain, averaged. Any
    size of crop may be given.
    """

    def __init__(self, shape: tuple[int, ...], width: int = 16) -> None:
        super().__init__()
        channels, side = shape[0], min(shape[1:])
        self.out = 4 * width
        layers: list[nn.Module] = self._unit(channels, width, 1)
        c, halvings = width, 0
        while side > 4 or halvings < 2:
            following = min(4 * width, 2 * c)
            layers += self._unit(c, following, 2)
            c, side, halvings = following, -(-side // 2), halvings + 1
            if halvings == 2 and side <= 4:
                break
        layers += self._unit(c, self.out, 1)
        self.body = nn.Sequential(*layers)

    @staticmethod
    def _unit(a: int, b: int, stride: int) -> list[nn.Module]:
        # in place: fresh memory for maps of this size costs a tenth of a step on a processor
        return [nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mean((2, 3))


class ClassifierNet(nn.Module):
    """`head(encoder(x))`: [b,*shape] -> [b,k] logits; the encoder is convolutional for pictures,
    two hidden layers for tables, out [b,4*width].
    """

    def __init__(self, shape: tuple[int, ...], width: int, classes: int) -> None:
        super().__init__()
        out = 4 * width
        self.encoder: nn.Module = (
            ConvEncoder(shape, width)
            if len(shape) == 3
            else nn.Sequential(
                nn.Linear(shape[0], out),
                nn.BatchNorm1d(out),
                nn.ReLU(),
                nn.Linear(out, out),
                nn.ReLU(),
            )
        )
        self.head = nn.Linear(out, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))


# values of a case; smaller ones are read by a plain network, which keeps where a stroke is
SMALL = 1024


def dropout_classifier(
    shape: tuple[int, ...], width: int, classes: int, dropout: float
) -> ClassifierNet:
    """Return a ClassifierNet with dropout before its head; of cases of at most `SMALL` values the
    encoder is two hidden layers with dropout between them.
    """
    net, values, out = ClassifierNet(shape, width, classes), math.prod(shape), 4 * width
    if values <= SMALL:
        net.encoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(values, out),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(out, out),
            nn.ReLU(),
        )
    net.head = nn.Sequential(nn.Dropout(dropout), net.head)  # type: ignore[assignment]
    return net


class SwAVNet(nn.Module):
    """Encoder, projection head and prototypes. forward(views) -> (z [v*b,p] unit length, scores
    [v*b,K]); views: list of [b,C,h,w].
    """

    def __init__(
        self, shape: tuple[int, ...], width: int, projection: int, prototypes: int
    ) -> None:
        super().__init__()
        self.encoder = ConvEncoder(shape, width)
        hidden = self.encoder.out
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, projection),
        )
        self.prototypes = nn.Linear(projection, prototypes, bias=False)

    def forward(self, views: list[Tensor]) -> tuple[Tensor, Tensor]:
        import torch

        z = F.normalize(self.head(torch.cat([self.encoder(v) for v in views])), dim=1)
        return z, self.prototypes(z)

    def normalise(self) -> None:
        """Bring prototypes to unit length, as before every step; `hold_prototypes` undoes a
        step.
        """
        import torch

        with torch.no_grad():
            self._before = F.normalize(self.prototypes.weight, dim=1)
            self.prototypes.weight.copy_(self._before)

    def hold_prototypes(self) -> None:
        """Give the prototypes what they were when last normalised."""
        import torch

        with torch.no_grad():
            self.prototypes.weight.copy_(self._before)
