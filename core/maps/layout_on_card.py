"""The layout of a map by torch, for graphics cards: UMAP of all rows as `core.maps.layout` lays it
out.

Each row moves by itself here too: what its neighbours pull it by is added up row by row
(`segment_reduce`), so that no sum depends on which thread comes first, and the same seed gives the
same map on the same card. Which rows push is drawn otherwise: row i is pushed by the run of rows
that begins `shift` after it, in a shuffled order, where `shift` is drawn for each epoch. So they
lie next to each other in memory and no positions are read.

Cost of an epoch, n rows in two dimensions with about 22 neighbours each in the graph: some 20
passes over 32 pairs a row and 15 over the neighbours, 8 KB a row read or written; 1,000,000 rows
8 GB, a few milliseconds of a card with 3 TB/s, and 60 calls. Nothing is read back before the end.
Worked out, not measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from core import nearest_on_card
from core.maps.layout import MOMENTUM, NEAR, PUSHED, PUSHED_SMALL, RATE, SMALL, A, B

BYTES = 1_000  # that a row of an epoch takes of memory, about, besides 50 for each of its pulls


def draw_umap(
    z: np.ndarray,
    start: np.ndarray,
    seed: int,
    device: str,
    room: int,
    report: Callable[[float], None] = lambda fraction: None,
) -> np.ndarray:
    """Places float32 [n,dims] of all rows `z` [n,d] float32, in which distances are Euclidean,
    after descending from `start` [n,dims]. `room` = bytes that a block of rows may take; besides
    blocks the graph of neighbours takes about 2 KB a row.
    """
    x = torch.from_numpy(np.ascontiguousarray(z, np.float32)).to(device)
    index, distance = nearest_on_card.neighbours(x, min(NEAR, len(x) - 1), room)
    report(0.3)
    del x
    # the order in which rows stand, and so push, is a random one
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(z))).to(device)
    pulls = Pulls.between(index, distance, order)
    del index, distance
    epochs = 500 if len(z) <= SMALL else 200
    begin = torch.from_numpy(start.astype(np.float32)).to(device)[order]
    places = _descend(begin, pulls, epochs, seed, room, report)
    out = torch.empty_like(places)
    out[order] = places
    return out.cpu().numpy()


def membership(distance: torch.Tensor) -> torch.Tensor:
    """UMAP's weights float32 [n,k] in (0, 1] of the neighbours at `distance` [n,k], near first: see
    `core.maps.layout.weights`.
    """
    k = distance.shape[1]
    target = float(np.log2(k + 1.0))
    near = distance.masked_fill(distance <= 0, torch.inf).amin(1, keepdim=True)
    gap = (distance - near.masked_fill(near.isinf(), 0)).clamp(min=0)
    low, scale = torch.zeros_like(near), torch.ones_like(near)
    high = torch.full_like(near, torch.inf)
    for _ in range(64):
        total = torch.exp(-gap / scale).sum(1, keepdim=True)
        settled, above = (total - target).abs() < 1e-5, total > target
        high, low = torch.where(above, scale, high), torch.where(above, low, scale)
        middle = torch.where(high.isinf(), 2 * scale, (low + high) / 2)
        scale = torch.where(settled, scale, middle)
    scale = torch.maximum(scale, 1e-3 * distance.mean(1, keepdim=True))
    return torch.where(gap > 0, torch.exp(-gap / scale), 1.0)


@dataclass
class Pulls:
    """The neighbours' graph by rows: `head` and `tail` int32 [e], sorted by head, `weight` float32
    [e], and how many each row has, int64 [n].
    """

    head: torch.Tensor
    tail: torch.Tensor
    weight: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def between(cls, index: torch.Tensor, distance: torch.Tensor, order: torch.Tensor) -> Pulls:
        """Return the graph of neighbours at `distance` [n,k], made symmetric: what is a neighbour
        in one direction or both, by weights a + b - ab. Rows are numbered as they stand in `order`
        [n].
        """
        n, k = index.shape
        one = membership(distance).flatten()
        back = torch.empty_like(order)
        back[order] = torch.arange(n, device=order.device)
        head = back.repeat_interleave(k, output_size=n * k)
        tail = back.index_select(0, index.flatten())
        key, place = torch.cat([head * n + tail, tail * n + head]).sort()
        weight = one[torch.where(place < n * k, place, place - n * k)]
        del place, one
        # each pair stands there once, or twice, one beside the other
        again = torch.zeros(len(key), dtype=torch.bool, device=key.device)
        again[1:] = key[1:] == key[:-1]
        other = torch.zeros_like(weight)
        other[:-1] = torch.where(again[1:], weight[1:], 0.0)
        weight, key = (weight + other - weight * other)[~again], key[~again]
        head = key // n
        counts = torch.bincount(head, minlength=n)
        return cls(head.int(), (key % n).int(), weight, counts)

    def blocks(self, room: int) -> list[tuple[slice, slice]]:
        """Slices of the rows, and of their neighbours, that take `room` bytes at a time."""
        n = len(self.counts)
        step = int(max(1, room // (BYTES + 50 * len(self.tail) // n)))
        edges = [*range(0, n, step), n]
        ends = torch.cat([self.counts.new_zeros(1), self.counts.cumsum(0)])
        there = ends[torch.tensor(edges, device=ends.device)].tolist()
        return [
            (slice(edges[i], edges[i + 1]), slice(there[i], there[i + 1]))
            for i in range(len(edges) - 1)
        ]


def _descend(
    start: torch.Tensor,
    pulls: Pulls,
    epochs: int,
    seed: int,
    room: int,
    report: Callable[[float], None],
) -> torch.Tensor:
    """Places of rows `start` [n,dims], which stand in a random order, after `epochs`."""
    n = len(start)
    pushed = PUSHED_SMALL if n <= SMALL else PUSHED
    shifts = np.random.default_rng(seed).integers(n, size=epochs)
    total = _sum_rows(pulls.weight[:, None], pulls.counts)
    blocks = pulls.blocks(room)
    at, last, after = start.contiguous(), start.clone(), torch.empty_like(start)
    run = torch.arange(n + pushed, device=start.device)
    for epoch in range(epochs):
        alpha = 1 - epoch / epochs
        pushing = at[(run + int(shifts[epoch])) % n]
        for rows, ends in blocks:
            x = at[rows]
            head, tail = pulls.head[ends], pulls.tail[ends]
            pull = _pull(at.index_select(0, head), at.index_select(0, tail), pulls.weight[ends])
            pull = _sum_rows(pull, pulls.counts[rows])
            push = _push(x, pushing[rows.start : rows.stop + pushed - 1].unfold(0, pushed, 1))
            moved = _move(x, pull, push, total[rows], alpha, pushed)
            after[rows] = moved + MOMENTUM * (moved - last[rows])
            last[rows] = moved
        at, after = after, at
        if epoch % 10 == 0:
            report(0.3 + 0.7 * epoch / epochs)
    return last


def _pull(x: torch.Tensor, near: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return what neighbours `near` [...,dims] pull `x` by: their places times their pull, and the
    pull itself, [...,dims + 1].
    """
    away = x - near
    d = away.mul_(away).sum(-1).add_(1e-6)
    f = d**B
    c = f.mul(weight).div_(d.mul_(f.mul_(A).add_(1)))
    return torch.cat([near * c[..., None], c[..., None]], -1)


def _push(x: torch.Tensor, pushing: torch.Tensor) -> torch.Tensor:
    """Return the push float32 [n,dims] on rows `x` [n,dims] by `pushing` [n or 1,dims,pushed]."""
    gaps = [x[:, c, None] - pushing[:, c] for c in range(x.shape[1])]
    d = gaps[0] * gaps[0]
    for gap in gaps[1:]:
        d.addcmul_(gap, gap)
    d.add_(1e-12)
    g = (d**B).mul_(A).add_(1).mul_(d + 1e-3).reciprocal_().mul_(2 * B)
    # no push is longer than 4, as in umap-learn
    g = torch.minimum(g, d.rsqrt_().mul_(4))
    return torch.stack([gap.mul_(g).sum(1) for gap in gaps], 1)


def _move(
    x: torch.Tensor,
    pull: torch.Tensor,
    push: torch.Tensor,
    total: torch.Tensor,
    alpha: float,
    pushed: int,
) -> torch.Tensor:
    """Return where rows `x` [n,dims] go; the pull is solved for implicitly."""
    strength = alpha * 4 * A * B
    ahead = x + strength * pull[:, :-1] + (alpha * RATE / pushed) * total * push
    return ahead / (1 + strength * pull[:, -1:])


def _sum_rows(values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the sums [n,c] of runs of `counts` [n] rows of `values` [e,c], each in its order."""
    return torch.segment_reduce(values, "sum", lengths=counts, axis=0, unsafe=True)
