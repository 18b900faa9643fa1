"""Sparse coders: an encoder, a rule that keeps few codes, and a decoder of unit directions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Rule = Literal["abs top-k", "top-k", "relu", "variational"]


def keep_largest(u: Tensor, k: int) -> Tensor:
    """H_k: the k entries of each row largest in absolute value, with their sign, the others 0: the
    projection on k-sparse vectors.
    """
    at = u.abs().topk(min(k, u.shape[1]), dim=1).indices
    return torch.zeros_like(u).scatter(1, at, u.gather(1, at))


class SparseCoder(nn.Module):
    """x [b,d] -> codes [b,m] -> x' [b,d]. Rows of `decoder` [m,d] have unit length; `since` counts
    the cases since each feature was last on.

    Rules: "abs top-k" k signed codes; "top-k" k non-negative ones; "relu" as many as there are;
    "variational" codes drawn around their mean while training (spread 1 or learned), the mean
    afterwards, k kept.
    """

    since: Tensor

    def __init__(self, d: int, m: int, k: int, rule: Rule, spread: str = "one") -> None:
        super().__init__()
        self.k, self.rule, self.spread = k, rule, spread
        start = torch.randn(m, d)
        self.decoder = nn.Parameter(start / start.norm(dim=1, keepdim=True))
        self.encoder = nn.Linear(d, m)
        with torch.no_grad():  # tied start
            self.encoder.weight.copy_(self.decoder)
            self.encoder.bias.zero_()
        self.middle = nn.Parameter(torch.zeros(d))
        self.log_variance = (
            nn.Linear(d, m) if rule == "variational" and spread == "learned" else None
        )
        if self.log_variance is not None:
            nn.init.zeros_(self.log_variance.weight)
            nn.init.constant_(self.log_variance.bias, -2.0)
        self.register_buffer("since", torch.zeros(m))
        self.decoder.register_hook(self._across)

    def _across(self, grad: Tensor) -> Tensor:
        """Return the gradient without its part along each direction: lengths are fixed."""
        along = (grad * self.decoder).sum(1, keepdim=True)
        return grad - along * self.decoder.detach()

    def unit(self) -> None:
        with torch.no_grad():
            self.decoder.div_(self.decoder.norm(dim=1, keepdim=True).clamp_min(1e-8))

    def before(self, x: Tensor) -> Tensor:
        """Codes before the rule [b,m]; for the variational rule their means."""
        u = self.encoder(x - self.middle)
        return u if self.rule == "abs top-k" else u.relu()

    def keep(self, u: Tensor) -> Tensor:
        return u if self.rule == "relu" else keep_largest(u, self.k)

    def codes(self, x: Tensor) -> Tensor:
        """Codes [b,m] as they are after training."""
        return self.keep(self.before(x))

    def decode(self, codes: Tensor) -> Tensor:
        return codes @ self.decoder + self.middle

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(x', codes, codes before the rule, KL [b] or zeros)."""
        u = self.before(x)
        kl = torch.zeros(len(x), device=x.device)
        if self.rule != "variational":
            codes = self.keep(u)
        else:
            logvar = (
                self.log_variance(x - self.middle).clamp(-6, 2)
                if self.log_variance is not None
                else torch.zeros_like(u)
            )
            kl = 0.5 * (u.square() + logvar.exp() - 1 - logvar).sum(1)
            drawn = (
                u + (0.5 * logvar).exp() * torch.randn_like(u)
                if self.training and self.spread != "none"
                else u
            )
            codes = self.keep(drawn)
        return self.decode(codes), codes, u, kl

    def count(self, codes: Tensor) -> None:
        """Note which features were on in this batch; signed codes count as on when they are
        not 0.
        """
        self.since += len(codes)
        self.since[(codes != 0).any(0)] = 0

    def revived(self, x: Tensor, back: Tensor, u: Tensor, after: int) -> Tensor:
        """Return the auxiliary loss: what the k strongest of the features off for `after` cases
        explain of the rest, over the rest's variance; 0 when none is dead.
        """
        dead = self.since > after
        if not bool(dead.any()):
            return back.sum() * 0
        rest = (x - back).detach()
        some = keep_largest(u * dead, min(max(self.k, x.shape[1] // 2), int(dead.sum())))
        return (rest - some @ self.decoder).square().mean() / rest.square().mean().clamp_min(1e-8)
