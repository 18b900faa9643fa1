"""Networks that outline: UNet++ that can be cut back to any of its depths, and a plain U-Net of as
many parameters (both from MONAI).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from core.nets.monai_parts import BasicUNet, BasicUNetPlusPlus

DEPTH = 4


class Outliner(torch.nn.Module):
    """What both networks share: pictures of any size; `depths` is the number of heads."""

    depths: int

    def logits(self, x: Tensor, depth: int) -> list[Tensor]:
        """[b,2,H,W] of each head up to `depth`, of pictures whose sides are multiples of 16."""
        raise NotImplementedError

    def forward(self, x: Tensor, depth: int = DEPTH) -> list[Tensor]:
        """Logits [b,2,H,W] of each head up to `depth`, of pictures x [b,C,H,W]."""
        return [h[..., : x.shape[2], : x.shape[3]] for h in self.logits(padded(x), depth)]

    def probabilities(self, x: Tensor, depth: int = DEPTH) -> Tensor:
        """[heads,b,2,H,W] of pictures x [b,C,H,W], cut back to `depth`."""
        return torch.stack([h.float().softmax(1) for h in self(x, depth)])


class UNetPlusPlus(Outliner, BasicUNetPlusPlus):
    """x [b,C,H,W], sides multiples of 16 -> logits [b,2,H,W] of the heads X^{0,1} .. X^{0,depth},
    each from the nodes i + j <= its depth alone.
    """

    depths = DEPTH

    def __init__(self, channels: int, width: int) -> None:
        w = width
        super().__init__(
            spatial_dims=2,
            in_channels=channels,
            out_channels=2,
            features=(w, 2 * w, 4 * w, 8 * w, 16 * w, w),
            norm="batch",
        )

    def encode(self, x: Tensor, depth: int = DEPTH) -> list[Tensor]:
        """X^{0,0} .. X^{depth,0}: nothing deeper is computed."""
        nodes = [self.conv_0_0(x)]
        for i in range(1, depth + 1):
            nodes.append(getattr(self, f"conv_{i}_0")(nodes[-1]))
        return nodes

    def logits(self, x: Tensor, depth: int) -> list[Tensor]:
        rows = [[node] for node in self.encode(x, depth)]
        for j in range(1, depth + 1):
            for i in range(depth - j + 1):
                rows[i].append(
                    getattr(self, f"upcat_{i}_{j}")(rows[i + 1][j - 1], torch.cat(rows[i], 1))
                )
        return [getattr(self, f"final_conv_0_{j}")(rows[0][j]) for j in range(1, depth + 1)]

    def embed(self, x: Tensor) -> Tensor:
        """Return the deepest row, averaged over the picture: [b,16*width] of x [b,C,H,W]."""
        return self.encode(padded(x))[-1].mean((2, 3))


def lattice(used: int) -> dict[str, Any]:
    """Return the diagram of a UNet++ (see `Model.diagram`): node X^{i,j} stands in row i and column
    j and is needed from depth max(1, i + j) on.
    """
    at = [(i, j) for j in range(DEPTH + 1) for i in range(DEPTH - j + 1)]
    place = {node: k for k, node in enumerate(at)}
    edges = [[place[i - 1, 0], place[i, 0], i] for i in range(1, DEPTH + 1)]
    for i, j in at:
        edges += [
            [place[before], place[i, j], i + j]
            for before in ([(i, k) for k in range(j)] + [(i + 1, j - 1)] if j else [])
        ]
    return {
        "nodes": [[f"{i},{j}", i + 2 * j, -i, max(1, i + j)] for i, j in at],
        "edges": edges,
        "stage": "depth",
        "used": used,
        "about": (
            "Left to right: the picture goes down the rows, ever coarser, and comes back up; each"
            " node sees all nodes of its row before it and the one below. The heads sit on the top"
            " row; cut back to a depth, all nodes beyond it are neither computed nor stored."
        ),
    }


class PlainUNet(Outliner, BasicUNet):
    """The yardstick: one head, plain skips, the width whose number of parameters is nearest to that
    of a UNet++ of `width`.
    """

    depths = 1

    def __init__(self, channels: int, width: int) -> None:
        with torch.device("meta"):
            wanted = size(UNetPlusPlus(channels, width))
            own = min(
                range(width, 2 * width + 1),
                key=lambda w: abs(
                    size(BasicUNet(2, channels, 2, features(w), norm="batch")) - wanted
                ),
            )
        super().__init__(2, channels, 2, features(own), norm="batch")

    def logits(self, x: Tensor, depth: int) -> list[Tensor]:
        return [BasicUNet.forward(self, x)]

    def embed(self, x: Tensor) -> Tensor:
        """Return the deepest row, averaged over the picture: [b,d] of x [b,C,H,W]."""
        x = self.conv_0(padded(x))
        for down in (self.down_1, self.down_2, self.down_3, self.down_4):
            x = down(x)
        return x.mean((2, 3))


def outliner(kind: str, channels: int, width: int) -> Outliner:
    """Return the network for pictures of so many channels: "nested" (UNet++) or "plain"."""
    return (UNetPlusPlus if kind == "nested" else PlainUNet)(channels, width)


@cache
def multiplications(kind: str, channels: int, width: int, height: int, across: int) -> list[float]:
    """How many multiplications one picture of this size takes at each depth of the network that
    `outliner` gives; counted without computing anything.
    """
    found = []
    with torch.device("meta"), torch.no_grad():
        net, x = outliner(kind, channels, width).eval(), torch.zeros(1, channels, height, across)
        for depth in range(1, net.depths + 1):
            with FlopCounterMode(display=False) as counter:
                net(x, depth)
            found.append(counter.get_total_flops() / 2)
    return found


def features(w: int) -> tuple[int, ...]:
    """Channels of each depth, and of the one behind them, by the width of the first."""
    return w, 2 * w, 4 * w, 8 * w, 16 * w, w


def size(net: torch.nn.Module) -> int:
    """How many parameters it has."""
    return sum(q.numel() for q in net.parameters())


def padded(x: Tensor) -> Tensor:
    """`x [b,C,H,W]` with its edge repeated below and to the right until both sides are multiples of
    16 (and at least 32).
    """
    down, right = (max(32, -(-s // 16) * 16) - s for s in x.shape[2:])
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x
