"""SCAN on a frozen latent space: symbols as Gaussians in it, learned beside shuffled copies that
tell what chance alone would fix.

A symbol is one value of a factor (the label, or another column; numbers become low and high at the
training median). A pattern is one symbol of each of some factors. KL(q(z|x) || q(z|y)) summed over
the cases of a pattern needs only their mean, second moment and entropy, so that learning costs the
same for any number of cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from core.data.dataset import Dataset
from core.errors import UserError
from core.nets.series import SymbolVAE, divergence

RATE, DRAWS = 0.01, 8  # step size of Adam; samples of q(z|y) a step


@dataclass(frozen=True)
class Factor:
    """A column and its symbols; `cut` is the median that parts low from high for numbers. `names`
    are what the symbols are called.
    """

    column: str
    values: tuple[str, ...]
    names: tuple[str, ...]
    cut: float | None = None

    def codes(self, data: Dataset) -> np.ndarray:
        """int64 [n]: the symbol of each row, -1 = none of them."""
        column = data.frame[self.column]
        if self.cut is not None:
            value = column.to_numpy(dtype=float, na_value=np.nan)
            return np.where(np.isnan(value), -1, value > self.cut).astype(np.int64)
        place = {v: i for i, v in enumerate(self.values)}
        return np.array([place.get(_word(v), -1) for v in column], dtype=np.int64)


def _word(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def factor(data: Dataset, column: str, least: int, label: bool) -> tuple[Factor | None, list[str]]:
    """The factor of a column from training rows, None with fewer than two symbols of `least` rows
    each; and the symbols left out, in words.
    """
    if column not in data.frame:
        raise UserError(
            f"“also” = {column}: there is no such column (there are:"
            f" {', '.join(map(str, data.frame.columns[:20]))})."
        )
    values = data.frame[column]
    if not label and pd.api.types.is_numeric_dtype(values) and values.nunique() > 6:
        cut = float(values.median())
        made = Factor(column, ("low", "high"), (f"{column} low", f"{column} high"), cut)
        return (
            made if np.bincount(made.codes(data) + 1, minlength=3)[1:].min() >= least else None
        ), []
    words, count = np.unique([_word(v) for v in values], return_counts=True)
    kept = [str(w) for w, k in zip(words, count) if w and k >= least]
    left = [f"{w} ({k})" for w, k in zip(words, count) if w and k < least]
    if len(kept) > 60:
        raise UserError(f"“{column}” has {len(kept)} values; symbols are for at most 60.")
    return (
        Factor(column, tuple(kept), tuple(kept) if label else tuple(f"{column} {w}" for w in kept))
        if len(kept) >= 2
        else None
    ), left


@dataclass
class Patterns:
    """`y` float32 [u,k] multi-hot, `member` bool [u,n], `alone` int64 [k]: the pattern that shows
    symbol k only; `sizes`: symbols of each factor.
    """

    y: np.ndarray
    member: np.ndarray
    alone: np.ndarray
    sizes: list[int]


def patterns(codes: np.ndarray, sizes: list[int], least: int) -> Patterns:
    """Every choice of factors with every combination of their symbols that at least `least` rows of
    `codes` [n,f] bear.
    """
    start = np.concatenate([[0], np.cumsum(sizes)])
    ys: list[np.ndarray] = []
    members, alone = [], np.zeros(start[-1], dtype=np.int64)
    for many in range(1, len(sizes) + 1):
        for some in combinations(range(len(sizes)), many):
            there = (codes[:, some] >= 0).all(1)
            for combo in np.unique(codes[there][:, some], axis=0):
                member = there & (codes[:, some] == combo).all(1)
                if member.sum() < least:
                    continue
                y = np.zeros(start[-1], np.float32)
                y[[start[f] + c for f, c in zip(some, combo)]] = 1
                if many == 1:
                    alone[start[some[0]] + combo[0]] = len(ys)
                ys.append(y)
                members.append(member)
    return Patterns(np.stack(ys), np.stack(members), alone, list(sizes))


def learn(
    mu: np.ndarray,
    sd: np.ndarray,
    found: Patterns,
    shuffles: int,
    seed: int,
    beta: float = 1.0,
    weight: float = 10.0,
    steps: int = 600,
    reverse: bool = False,
    check: Callable[[], None] = lambda: None,
) -> SymbolVAE:
    """The symbol network tied to posteriors mu, sd [n,d]: world 0 has the true symbols, the others
    shuffled ones. Every pattern weighs the same, however rare.

    `reverse` turns the tie round, KL(q(z|y) || q(z|x)), which SCAN does not do: it picks one corner
    of a symbol's cases instead of covering them.
    """
    rng = np.random.default_rng(seed)
    n, logvar = len(mu), 2 * np.log(np.maximum(sd, 1e-5))
    orders = [np.arange(n)] + [rng.permutation(n) for _ in range(shuffles)]
    share = found.member / found.member.sum(1, keepdims=True)
    moments = (mu, np.square(mu) + sd**2, logvar, 1 / sd**2, mu / sd**2, np.square(mu) / sd**2)
    mean, second, log, p, pm, pmm = (
        torch.from_numpy(np.stack([share @ v[o] for o in orders]).astype("f4")) for v in moments
    )
    net = SymbolVAE(len(orders), found.y.shape[1], mu.shape[1])
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    y, at = torch.from_numpy(found.y), 0
    slices = []
    for size in found.sizes:
        shown = torch.from_numpy(np.flatnonzero(found.y[:, at : at + size].any(1)))
        slices.append((shown, slice(at, at + size), y[shown, at : at + size].argmax(1)))
        at += size
    for step in range(steps):
        if step % 20 == 0:
            check()
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / steps) ** 0.5
        m, lv = net.encode(y)
        if reverse:
            tie = 0.5 * (log - lv + lv.exp() * p + m.square() * p - 2 * m * pm + pmm - 1)
        else:
            tie = 0.5 * (lv - log + (second - 2 * m * mean + m.square()) / lv.exp() - 1)
        prior = divergence(m, lv, torch.zeros(()), torch.zeros(()))
        loss = (weight * tie + beta * prior).sum(-1)
        for _ in range(DRAWS):
            logits = net.decode(m + torch.randn_like(m) * (0.5 * lv).exp())
            for shown, part, truth in slices:
                wrong = F.cross_entropy(
                    logits[:, shown, part].flatten(0, 1),
                    truth.repeat(len(orders)),
                    reduction="none",
                )
                loss = loss.index_add(1, shown, wrong.view(len(orders), -1) / DRAWS)
        optimiser.zero_grad(set_to_none=True)
        loss.mean(1).sum().backward()
        optimiser.step()
    return net.eval()


@torch.no_grad()
def symbols(net: SymbolVAE, found: Patterns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mu, sd, nats) float32 [worlds,k,d] of every symbol alone: its Gaussian, and KL(q(z_j|y) ||
    N(0,1)) of each axis.
    """
    m, lv = net.encode(torch.from_numpy(found.y[found.alone]))
    nats = divergence(m, lv, torch.zeros(()), torch.zeros(()))
    return m.numpy(), (0.5 * lv).exp().numpy(), nats.numpy()


def by_chance(nats: np.ndarray) -> np.ndarray:
    """float [k]: what the firmest axis of each symbol reaches in 95 % of the shuffled worlds;
    infinite where none was learned.
    """
    return (
        np.quantile(nats[1:].max(2), 0.95, axis=0)
        if len(nats) > 1
        else np.full(nats.shape[1], np.inf)
    )


def likeness(
    m: torch.Tensor, logvar: torch.Tensor, mu: torch.Tensor, sd: torch.Tensor
) -> torch.Tensor:
    """-KL(q(z|x) || q(z|y)) of each axis: m, logvar [b,d] against symbols mu, sd [k,d] ->
    [b,k,d].
    """
    return -divergence(m[:, None], logvar[:, None], mu[None], 2 * sd.log()[None])
