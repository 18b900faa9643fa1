"""Compact context-encoding VAE: strided convolutions, PReLU, no normalisation, a latent of one
pixel; trained also to fill holes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CEVAE(nn.Module):
    """forward(x [b,1,S,S], holed) -> (reconstruction, filled, mu [b,d], log_sd [b,d]); S divisible
    by 2^len(maps).
    """

    def __init__(self, side: int, latent: int, maps: tuple[int, ...] = (8, 32, 64)) -> None:
        super().__init__()
        rest = side // 2 ** len(maps)
        down: list[nn.Module] = []
        c = 1
        for m in maps:
            down += [nn.Conv2d(c, m, 3, 2, 1, bias=False), nn.PReLU()]
            c = m
        self.down = nn.Sequential(*down)
        self.head = nn.Conv2d(c, 2 * latent, rest, bias=False)
        up: list[nn.Module] = [nn.ConvTranspose2d(latent, c, rest, bias=False), nn.PReLU()]
        for m in (*maps[-2::-1], maps[0]):
            up += [nn.ConvTranspose2d(c, m, 4, 2, 1, bias=False), nn.PReLU()]
            c = m
        self.up = nn.Sequential(*up, nn.Conv2d(c, 1, 3, 1, 1))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, log_sd = self.head(self.down(x)).flatten(1).chunk(2, dim=1)
        return mu, log_sd.clamp(-6, 4)

    def decode(self, z: Tensor) -> Tensor:
        return self.up(z[:, :, None, None])

    def forward(self, x: Tensor, holed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mu, log_sd = self.encode(x)
        z = mu + torch.randn_like(mu) * log_sd.exp() if self.training else mu
        return self.decode(z), self.decode(self.encode(holed)[0]), mu, log_sd


def holes(x: Tensor, largest: float = 0.5) -> Tensor:
    """Up to two squares of a constant grey between the batch's least and largest value put into
    every picture of [b,1,S,S].

    Side up to `largest` of the picture. Unlike the released code all squares are kept, not only the
    last, and a black one counts.
    """
    side = x.shape[-1]
    drawn = [[[0, 0, 0, 0]] * 2 for _ in range(len(x))]
    shade = [[0.0] * 2 for _ in range(len(x))]
    for i in range(len(x)):
        for j in range(int(torch.randint(1, 3, (1,)))):
            size = int(torch.randint(2, max(3, int(largest * side)), (1,)))
            top, left = (int(torch.randint(0, side - size + 1, (1,))) for _ in range(2))
            drawn[i][j], shade[i][j] = [top, top + size, left, left + size], float(torch.rand(1))
    boxes = torch.tensor(drawn, device=x.device)
    greys = torch.tensor(shade, device=x.device)
    place = torch.arange(side, device=x.device)
    low, high = x.min(), x.max()
    out = x
    for box, grey in zip(boxes.unbind(1), greys.unbind(1)):
        above, below, before, behind = box[:, :, None].unbind(1)
        inside = ((place >= above) & (place < below))[:, :, None] & (
            (place >= before) & (place < behind)
        )[:, None]
        out = torch.where(inside[:, None], (low + (high - low) * grey)[:, None, None, None], out)
    return out
