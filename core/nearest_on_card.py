"""The nearest rows of a large table by torch, for graphics cards: matrix products of blocks of
rows, of which each row keeps its nearest.

As in `core.nearest_cells`, rows are parted into cells by k-means and those of a cell are compared
with the cells around it; how many is read off the ranks of the cells in which the true neighbours
of a sample lie. Where they lie anywhere, as in uniform data of many dimensions, all rows are
compared with all.

Cost: of each pair that is looked at, a distance is written and read once (8 bytes), which takes
longer than to compute it; of groups of 32 only the lowest go on. 1,000,000 x 64 exactly are 8 TB
and 1.3e14 operations; with 1 row in 30 looked at, 0.3 TB. A cell costs some 30 calls and no waiting
for the card. Worked out, not measured on a card. `room` is how many bytes a block of rows may take
at a time; besides blocks three copies of the rows and the result are held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

ROWS = 1_024  # in a cell, about; fewer of less than a million rows: their square root
TURNS = 6  # of k-means
LEARNED = 40  # rows a cell that k-means learns from
SAMPLED = 300  # rows whose true neighbours are found
RECALL = 0.985  # share of them that must lie in the cells looked at
EXACT = 5_000  # rows up to which all are compared with all
WORTH = 0.3  # share of all pairs above which looking into cells saves nothing
GROUP = 32  # distances of which the lowest is looked at first
SPARE = 8  # rows kept beyond those wanted, until distances are measured without rounding


def neighbours(x: torch.Tensor, k: int, room: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k nearest other rows of each row of `x` [n,d] float32: positions int32 [n,k] and
    Euclidean distances float32 [n,k], near first, on its device. k < n. At least 97 of 100 of a
    sample's are the true ones; all of them up to 5,000 rows, and where cells do not help.
    """
    n = len(x)
    x = x - x.mean(0)
    everything = _Rows.of(x)
    if n > EXACT:
        cells = _Cells.part(x, room)
        around = cells.look_around(everything, k, room)
        if around is not None:
            return cells.search(around, k, room)
    at, square = [], []
    every = torch.arange(n, device=x.device)
    for own in every.split(_rows_at_a_time(n, x.shape[1], k, room)):
        found = everything.nearest(x[own], own, k)
        at.append(found[0].int())
        square.append(found[1])
    return torch.cat(at), torch.cat(square).sqrt()


def _rows_at_a_time(m: int, d: int, k: int, room: int) -> int:
    """How many rows may be compared with `m` at a time within `room` bytes."""
    kept = (k + 1 + SPARE) * (4 * GROUP + 8 * d + 64)
    return int(max(1, room // (10 * m + 4 * GROUP + kept)))


@dataclass
class _Rows:
    """Rows [m,d] to be looked among, and their squared lengths [m]; behind them rows of infinite
    length that fill the last group up.
    """

    x: torch.Tensor
    square: torch.Tensor

    @classmethod
    def of(cls, x: torch.Tensor) -> _Rows:
        fills, square = -len(x) % GROUP, (x * x).sum(1)
        if not fills:
            return cls(x, square)
        return cls(
            torch.cat([x, x.new_zeros(fills, x.shape[1])]),
            torch.cat([square, square.new_full((fills,), torch.inf)]),
        )

    def nearest(
        self, queries: torch.Tensor, own: torch.Tensor, k: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions int64 [q,k] and squared distances float32 [q,k] of the nearest to `queries`
        [q,d], near first, other than the positions `own` int64 [q].
        """
        wanted = min(k + 1 + SPARE, len(self.x))
        # the squared distances, less what is the same for all of a row
        far = torch.addmm(self.square, queries, self.x.T, alpha=-2)
        far, at = _lowest(far, wanted)
        gap = self.x[at] - queries[:, None]
        square = (gap * gap).sum(2).masked_fill_(far.isinf(), torch.inf)
        square.masked_fill_(at == own[:, None], torch.inf)
        square, order = square.sort(dim=1, stable=True)
        return at.gather(1, order)[:, :k], square[:, :k]


def _lowest(far: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k lowest of each row of `far` [q,m], in any order, and where they stand, int64.
    They are in the k groups of which the lowest members are lowest.
    """
    q, m = far.shape
    if m % GROUP or m < 4 * k * GROUP:
        return far.topk(k, largest=False, sorted=False)
    groups = far.view(q, m // GROUP, GROUP)
    best = groups.amin(2).topk(k, largest=False, sorted=False).indices
    some = groups.gather(1, best[:, :, None].expand(-1, -1, GROUP)).view(q, k * GROUP)
    low, at = some.topk(k, largest=False, sorted=False)
    return low, best.gather(1, at // GROUP) * GROUP + at % GROUP


@dataclass
class _Cells:
    """Rows `x` [n,d] in the order of their cells: `order` int64 [n] where each stood, `bounds`
    int64 [c+1] of the cells, and their `middle` [c,d].
    """

    x: torch.Tensor
    order: torch.Tensor
    bounds: np.ndarray
    middle: torch.Tensor

    def __post_init__(self) -> None:
        self.sizes = np.diff(self.bounds)

    @classmethod
    def part(cls, x: torch.Tensor, room: int) -> _Cells:
        """Part rows by k-means; no cell is empty."""
        n = len(x)
        middle = _k_means(x, round(n / min(ROWS, n**0.5)), room)
        of = _assign(x, middle, room)
        held = torch.bincount(of, minlength=len(middle))
        order = of.argsort(stable=True)
        sizes = held[held > 0].cpu().numpy()
        return cls(x[order], order, np.concatenate([[0], np.cumsum(sizes)]), middle[held > 0])

    def look_around(self, everything: _Rows, k: int, room: int) -> list[np.ndarray] | None:
        """Return for each cell those to look at, near first and itself among them: as many as hold
        enough of the true neighbours of a sample of rows, and more than k rows. None where that is
        so much that all rows are looked at with less work. `everything`: the rows in their own
        order.
        """
        n, cells, device = len(self.x), len(self.middle), self.x.device
        held = torch.from_numpy(self.sizes).to(device)
        of = torch.empty(n, dtype=torch.int64, device=device)
        of[self.order] = torch.repeat_interleave(held, output_size=n)
        some = torch.linspace(0, n - 1, SAMPLED, device=device, dtype=torch.float64).long()
        true = torch.cat(
            [
                everything.nearest(everything.x[part], part, k)[0]
                for part in some.split(_rows_at_a_time(n, self.x.shape[1], k, room))
            ]
        )
        near = _from_middles(self.middle[of[some]], self.middle).argsort(dim=1, stable=True)
        rank = torch.empty_like(near).scatter_(
            1, near, torch.arange(cells, device=device).expand(len(some), cells)
        )
        deep = rank.gather(1, of[true]).flatten().sort().values
        looked = int(deep[int(RECALL * (len(deep) - 1))]) + 1
        around: list[np.ndarray] = []
        for block in self.middle.split(max(1, room // (32 * cells))):
            by = _from_middles(block, self.middle).argsort(dim=1, stable=True)
            least = (held[by].cumsum(1) <= k).sum(1) + 1
            counts = least.clamp(min=looked, max=cells).cpu().numpy()
            by_here = by[:, : int(counts.max())].cpu().numpy()
            around += [row[:count] for row, count in zip(by_here, counts, strict=True)]
        pairs = sum(float(self.sizes[c]) * self.sizes[by].sum() for c, by in enumerate(around))
        return around if pairs < WORTH * float(n) ** 2 else None

    def search(
        self, around: list[np.ndarray], k: int, room: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the k nearest other rows of each, of those in the cells `around` its own:
        positions int32 and distances float32 [n,k], by where the rows stood before.
        """
        n, d, device = len(self.x), self.x.shape[1], self.x.device
        index = torch.empty((n, k), dtype=torch.int32, device=device)
        distance = torch.empty((n, k), dtype=torch.float32, device=device)
        for c, cells in enumerate(around):
            theirs = _span(self.bounds[cells], self.bounds[cells + 1], device)
            rows = _Rows.of(self.x[theirs] - self.middle[c])
            first, end = int(self.bounds[c]), int(self.bounds[c + 1])
            # where the own rows stand among theirs
            before = int(self.sizes[cells[: int(np.flatnonzero(cells == c)[0])]].sum())
            step = _rows_at_a_time(len(theirs), d, k, room)
            for i in range(first, end, step):
                j = min(i + step, end)
                own = torch.arange(i - first + before, j - first + before, device=device)
                at, square = rows.nearest(self.x[i:j] - self.middle[c], own, k)
                stood = self.order[i:j]
                index[stood] = self.order[theirs[at]].int()
                distance[stood] = square.sqrt()
        return index, distance


def _span(starts: np.ndarray, ends: np.ndarray, device: Any) -> torch.Tensor:
    """int64 positions from each start to its end, one after the other."""
    lengths = ends - starts
    total = int(lengths.sum())
    shift = starts - (np.cumsum(lengths) - lengths)
    # one copy to the card, which does not wait for it
    both = torch.from_numpy(np.stack([shift, lengths])).to(device, non_blocking=True)
    at = torch.arange(total, device=device)
    return at + torch.repeat_interleave(both[0], both[1], output_size=total)


def _k_means(x: torch.Tensor, cells: int, room: int) -> torch.Tensor:
    """Middles float32 [cells,d] of cells of rows `x` [n,d], learned from an even sample."""
    n = len(x)
    at = np.unique(np.linspace(0, n - 1, LEARNED * cells).astype(int))
    some = x[torch.from_numpy(at).to(x.device)]
    first = np.random.default_rng(0).choice(len(some), min(cells, len(some)), replace=False)
    middle = some[torch.from_numpy(first).to(x.device)]
    for _ in range(TURNS):
        of = _assign(some, middle, room)
        held = torch.bincount(of, minlength=len(middle))
        # sums in a settled order, unlike those of index_add on a card
        sums = torch.segment_reduce(
            some[of.argsort(stable=True)], "sum", lengths=held, axis=0, unsafe=True
        )
        middle = torch.where(held[:, None] > 0, sums / held.clamp(min=1)[:, None], middle)
    return middle


def _assign(x: torch.Tensor, middle: torch.Tensor, room: int) -> torch.Tensor:
    """Return the nearest of `middle` [c,d] to each row, int64 [n]."""
    blocks = x.split(max(1, room // (8 * len(middle))))
    return torch.cat([_from_middles(block, middle).argmin(1) for block in blocks])


def _from_middles(x: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """Squared distances [n,c] from rows to cells, less what is the same for all cells."""
    return torch.addmm((middle * middle).sum(1), x, middle.T, alpha=-2)
