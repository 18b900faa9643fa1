"""SCAN on a frozen latent space: symbols as Gaussians in it, learned beside shuffled copies that
tell what chance alone would fix.

A symbol is one value of a factor (see `_factors`). A pattern is one symbol of each of some factors.
KL(q(z|x) || q(z|y)) summed over the cases of a pattern needs only their mean, second moment and
entropy, so that learning costs the same for any number of cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from core.methods.series._factors import Factor
from core.nets.series import SymbolVAE, divergence

RATE, DRAWS = 0.01, 8  # step size of Adam; samples of q(z|y) a step


@dataclass
class Patterns:
    """`y` float32 [u,k] multi-hot, `member` bool [u,n], `alone` int64 [k]: the pattern that shows
    symbol k only; `sizes`: symbols of each factor.
    """

    y: np.ndarray
    member: np.ndarray
    alone: np.ndarray
    sizes: list[int]


def list_patterns(codes: np.ndarray, sizes: list[int], least: int) -> Patterns:
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


def learn_symbols(
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
    """Return the symbol network tied to posteriors mu, sd [n,d]: world 0 has the true symbols, the
    others shuffled ones. Every pattern weighs the same, however rare.

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
        noise = torch.stack([torch.randn_like(m) for _ in range(DRAWS)])
        logits = net.decode(m + noise * (0.5 * lv).exp())
        for shown, part, truth in slices:
            wrong = F.cross_entropy(
                logits[:, :, shown, part].flatten(0, 2),
                truth.repeat(DRAWS * len(orders)),
                reduction="none",
            )
            loss = loss.index_add(1, shown, wrong.view(DRAWS, len(orders), -1).mean(0))
        optimiser.zero_grad(set_to_none=True)
        loss.mean(1).sum().backward()
        optimiser.step()
    return net.eval()


@dataclass(frozen=True)
class Taught:
    """What was learned of k symbols: each as a Gaussian `centre`, `spread` float32 [k,d] with
    `nats` [k,d], the KL of each axis to the prior; `chance` [k], what shuffled copies fix; the
    number of its `bearers` int64 [k]; and the network of the true world.
    """

    net: SymbolVAE
    centre: np.ndarray
    spread: np.ndarray
    nats: np.ndarray
    chance: np.ndarray
    bearers: np.ndarray


def teach(
    mu: np.ndarray,
    sd: np.ndarray,
    codes: np.ndarray,
    factors: list[Factor],
    params: Any,
    seed: int,
    check: Callable[[], None],
) -> Taught:
    """Return the symbols of `factors` on posteriors mu, sd [n,d] of cases with symbols int64 codes
    [n,factors]; `params` says `least`, `shuffles`, `tie` and `symbol_steps`.
    """
    found = list_patterns(codes, [len(f.names) for f in factors], params.least)
    worlds = learn_symbols(
        mu,
        sd,
        found,
        params.shuffles,
        seed,
        weight=params.tie,
        steps=params.symbol_steps,
        check=check,
    )
    centre, spread, nats = read_symbols(worlds, found)
    net = SymbolVAE(1, found.y.shape[1], mu.shape[1])
    net.load_state_dict({name: value[:1] for name, value in worlds.state_dict().items()})
    bearers = found.member[found.alone].sum(1)
    return Taught(net, centre[0], spread[0], nats[0], by_chance(nats), bearers)


@torch.no_grad()
def read_symbols(net: SymbolVAE, found: Patterns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mu, sd, nats) float32 [worlds,k,d] of every symbol alone: its Gaussian, and KL(q(z_j|y) ||
    N(0,1)) of each axis.
    """
    m, lv = net.encode(torch.from_numpy(found.y[found.alone]))
    nats = divergence(m, lv, torch.zeros(()), torch.zeros(()))
    return m.numpy(), (0.5 * lv).exp().numpy(), nats.numpy()


def by_chance(nats: np.ndarray) -> np.ndarray:
    """`float [k]`: what the firmest axis of each symbol reaches in 95 % of the shuffled worlds;
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


@torch.no_grad()
def imagine_symbols(net: SymbolVAE, at: list[int], known: int) -> tuple[np.ndarray, np.ndarray]:
    """(mu, sd) [d] of q(z|y) for the symbols `at`, of `known` symbols, together."""
    shown = torch.eye(known)[at].sum(0, keepdim=True)
    found = net.encode(shown.to(next(net.parameters()).device))
    mu, logvar = (v[0, 0].cpu().numpy() for v in found)
    return mu, np.exp(0.5 * logvar)
