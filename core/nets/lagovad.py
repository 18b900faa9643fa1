"""The network of LaGoVAD: a film and definitions in words, each step's abnormality under these.

Reference: Liu, Wu, Wu, Wang, Yang, Language-guided open-world video anomaly detection under weak
supervision, 2025.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.co_attention import CoAttention
from core.nets.hashed_words import text_vectors
from core.nets.rotary import RotaryLayer

KERNEL = 9  # steps that a head looks at
PROMPTS = 2  # learned vectors before a class name, and as many after it


class Judged(NamedTuple):
    """What the network says of films of T steps under K definitions, the first the normal one.

    `logit` [b,T], abnormal above 0; `likeness` [b,T,K], cosine over the temperature; `temporal`
    [b,T,dim], the film before any word reached it.
    """

    logit: Tensor
    likeness: Tensor
    temporal: Tensor


class WordEncoder(nn.Module):
    """Texts as vectors: hashed word vectors, which are fixed, and one learned layer over them.

    forward(*bank(texts, named)) -> [n,dim]. `named` texts are class names: learned vectors stand
    before and after their words.
    """

    def __init__(self, dim: int, heads: int = 4) -> None:
        super().__init__()
        self.dim = dim
        # 0 = nothing there, 1 = a word, then the learned vectors before and after it
        self.prompts = nn.Parameter(0.1 * torch.randn(2 * PROMPTS, dim))
        self.layer = RotaryLayer(dim, heads, 0, 0.0)
        self.out = nn.Linear(dim, dim)

    def bank(self, texts: list[str], named: list[bool]) -> tuple[Tensor, ...]:
        """Return what of texts does not change in training: word vectors [n,L,dim], and what
        stands at each place int64 [n,L].
        """
        device = self.out.weight.device
        words, there = text_vectors(texts, self.dim)
        n, longest = there.shape
        vectors = torch.zeros(n, longest + 2 * PROMPTS, self.dim)
        vectors[:, PROMPTS : PROMPTS + longest] = torch.from_numpy(words) * self.dim**0.5
        slot = torch.zeros(vectors.shape[:2], dtype=torch.long)
        slot[:, PROMPTS : PROMPTS + longest] = torch.from_numpy(there).long()
        for i in [i for i, name in enumerate(named) if name]:
            end = PROMPTS + int(there[i].sum())
            slot[i, :PROMPTS] = torch.arange(PROMPTS) + 2
            slot[i, end : end + PROMPTS] = torch.arange(PROMPTS) + 2 + PROMPTS
        return vectors.to(device), slot.to(device)

    def forward(self, vectors: Tensor, slot: Tensor) -> Tensor:
        table = torch.cat([self.prompts.new_zeros(2, self.dim), self.prompts * self.dim**0.5])
        there = slot > 0
        x = self.layer(vectors + table[slot], there)
        weight = there[..., None].to(x.dtype)
        return self.out((x * weight).sum(1) / weight.sum(1))


class Lagovad(nn.Module):
    """forward(z [b,T,dim], there bool [b,T], sets of int64 [b,K], bank) -> for each set (Judged,
    its texts [b,K,dim]). A set holds numbers of the bank's texts, the first the normal one, -1 =
    none.

    `eye` is the frozen encoder of pictures -> [b,dim], `words` the encoder of texts. `layers` of
    the temporal encoder look `window` // 2 steps to either side each.
    """

    def __init__(
        self,
        eye: Any,
        words: Any,
        dim: int,
        *,
        layers: int = 1,
        fusions: int = 1,
        window: int = 25,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.eye, self.words = eye, words
        self.before = nn.ModuleList(RotaryLayer(dim, 4, window, dropout) for _ in range(layers))
        self.fuse = nn.ModuleList(CoAttention(dim, 8, dropout) for _ in range(fusions))
        self.role = nn.Parameter(0.1 * torch.randn(2, dim))  # of the normal text, and of the others
        self.plain, self.fused = nn.Conv1d(dim, 1, KERNEL), nn.Conv1d(dim, 1, KERNEL)
        self.alpha = nn.Parameter(torch.tensor(0.25))
        self.temperature = nn.Parameter(torch.tensor(0.2))

    def temporal(self, z: Tensor, there: Tensor) -> Tensor:
        """Return the film's features with what the temporal encoder adds to them."""
        x = z
        for layer in self.before:
            x = layer(x, there)
        return z + x

    def judge(self, film: Tensor, there: Tensor, text: Tensor, given: Tensor) -> Judged:
        """Judge films [b,T,dim] (of `temporal`) by definitions [b,K,dim], `given` bool [b,K]."""
        seen = film
        role = torch.cat([self.role[:1], self.role[1:].expand(text.shape[1] - 1, -1)])
        text = text + role
        for layer in self.fuse:
            seen, text = layer(seen, there, text, given)
        weight = torch.sigmoid(10 * self.alpha)
        logit = weight * replicate(self.plain, film, there)
        logit = logit + (1 - weight) * replicate(self.fused, seen, there)
        likeness = F.normalize(seen, dim=-1) @ F.normalize(text, dim=-1).transpose(1, 2)
        likeness = likeness / self.temperature.clamp_min(0.02)
        return Judged(logit, likeness.masked_fill(~given[:, None], -1e4), film)

    def forward(
        self, z: Tensor, there: Tensor, sets: list[Tensor], bank: tuple[Tensor, ...]
    ) -> list[tuple[Judged, Tensor]]:
        at = torch.stack(sets).clamp_min(0)
        if at.numel() < len(bank[0]):  # only those asked for, be it twice
            texts = self.words(*(part[at.flatten()] for part in bank)).unflatten(0, at.shape)
        else:
            texts = self.words(*bank)[at]
        film = self.temporal(z, there)
        return [
            (self.judge(film, there, said, chosen >= 0), said) for said, chosen in zip(texts, sets)
        ]


def replicate(conv: nn.Conv1d, x: Tensor, there: Tensor) -> Tensor:
    """`conv` along the steps of x [b,T,dim] -> [b,T], with the first and the last step that is
    there repeated beyond the ends, so that padding changes nothing.
    """
    b, steps, dim = x.shape
    reach = conv.kernel_size[0] // 2
    at = torch.arange(-reach, steps + reach, device=x.device)
    last = there.sum(1, keepdim=True) - 1
    at = torch.minimum(at.clamp_min(0)[None], last.clamp_min(0))
    padded = x.gather(1, at[..., None].expand(b, len(at[0]), dim))
    return conv(padded.transpose(1, 2))[:, 0]
