"""Two sequences that attend to each other at once, as LaGoVAD fuses a film with definitions."""

from __future__ import annotations

from torch import Tensor, nn


class CoAttention(nn.Module):
    """forward(film [b,T,dim], steps bool [b,T], text [b,K,dim], given bool [b,K]) -> both after one
    layer: text attends to film and, in parallel, film to text; norms follow, dropout in training.

    What is not there (False) is attended to by nobody.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.film, self.text = _Side(dim, heads, dropout), _Side(dim, heads, dropout)

    def forward(
        self, film: Tensor, steps: Tensor, text: Tensor, given: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.film(film, text, given), self.text(text, film, steps)


class _Side(nn.Module):
    """One direction: `x` attends to `other` where that is `there`."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.wide = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.first, self.second = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, other: Tensor, there: Tensor) -> Tensor:
        seen, _ = self.attention(x, other, other, key_padding_mask=~there, need_weights=False)
        x = self.first(x + self.drop(seen))
        return self.second(x + self.drop(self.wide(x)))
