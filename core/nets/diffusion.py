"""A small denoising diffusion network that is told by learned tokens what a picture shows, and that
tells where it looked for each of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS = 200  # noise levels
FILLERS = 3  # tokens of every prompt that stand for nothing
EACH = 4  # tokens of a kind of defect
DIM = 32  # numbers a token
REACH = 10.0  # tokens move so many times as fast as weights: Adam's steps heed no scale


def shares_kept() -> Tensor:
    """Return the share of a picture's variance that is left at each noise level, [STEPS] in (0, 1),
    falling: the cosine schedule of Nichol and Dhariwal, 2021.
    """
    at = (torch.arange(STEPS, dtype=torch.float64) + 1) / (STEPS + 1)
    kept = torch.cos((at + 0.008) / 1.008 * math.pi / 2).square()
    return (kept / math.cos(0.008 / 1.008 * math.pi / 2) ** 2).float()


def count_tokens(kinds: int) -> int:
    """Rows of the table: fillers, one token for what is normal, EACH for every kind of defect."""
    return FILLERS + 1 + EACH * kinds


def normal_prompt(kinds: int) -> Tensor:
    """Weights [tokens] of the prompt of a normal picture: fillers and the normal token."""
    weights = torch.zeros(count_tokens(kinds))
    weights[: FILLERS + 1] = 1
    return weights


def tokens_of(kind: int) -> slice:
    """Where the tokens of a kind of defect, from 0, stand in the table."""
    start = FILLERS + 1 + EACH * kind
    return slice(start, start + EACH)


def defect_prompt(kinds: int, kind: int) -> Tensor:
    """Weights [tokens] of the prompt of a picture with a defect of `kind`."""
    weights = normal_prompt(kinds)
    weights[tokens_of(kind)] = 1
    return weights


def waves_of(t: Tensor, dim: int) -> Tensor:
    """Return sines and cosines [b,dim] of noise levels t [b]."""
    speeds = torch.exp(-math.log(1e3) * torch.arange(dim // 2, device=t.device) / (dim // 2))
    along = t[:, None].float() * speeds
    return torch.cat([along.sin(), along.cos()], 1)


class Residual(nn.Module):
    """Two convolutions of [b,c,h,w], the noise level [b,e] added between them, beside a short
    cut.
    """

    def __init__(self, c: int, out: int, e: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (
            nn.GroupNorm(math.gcd(8, c), c),
            nn.GroupNorm(math.gcd(8, out), out),
        )
        self.first, self.second = nn.Conv2d(c, out, 3, 1, 1), nn.Conv2d(out, out, 3, 1, 1)
        self.level = nn.Linear(e, out)
        self.cut = nn.Conv2d(c, out, 1) if c != out else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        h = self.first(F.silu(self.norm1(x))) + self.level(level)[:, :, None, None]
        return self.cut(x) + self.second(F.silu(self.norm2(h)))


class Cross(nn.Module):
    """Attention of places [b,c,h,w] to tokens; gives also how much each place attends to each of
    the tokens, [b,tokens,h,w], mean over heads, which sum to 1 at every place.
    """

    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(math.gcd(8, c), c)
        self.query, self.out = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.key, self.value = nn.Linear(DIM, c), nn.Linear(DIM, c)

    def forward(self, x: Tensor, tokens: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        b, c, h, w = x.shape
        q = self.query(self.norm(x)).reshape(b, self.heads, c // self.heads, h * w)
        k = self.key(tokens).reshape(-1, self.heads, c // self.heads)
        v = self.value(tokens).reshape(-1, self.heads, c // self.heads)
        logits = torch.einsum("bhdp,nhd->bhpn", q, k) * (c // self.heads) ** -0.5
        # a token of weight 0 is not in the prompt, one of 2 counts as if it stood there twice
        seen = (logits + weights.clamp_min(1e-9).log()[:, None, None]).softmax(3)
        gathered = torch.einsum("bhpn,nhd->bhdp", seen, v).reshape(b, c, h, w)
        return x + self.out(gathered), seen.mean(1).transpose(1, 2).reshape(b, -1, h, w)


@dataclass
class Seen:
    """What a pass gives: the `noise` [b,C,S,S] it takes to be in the picture, `maps` by side (S/2,
    S/4) of attention [b,tokens,side,side], and `features` of the decoder at S/4, S/2 and S.
    """

    noise: Tensor
    maps: dict[int, Tensor]
    features: list[Tensor]


class TokenUNet(nn.Module):
    """forward(noisy pictures [b,C,S,S] around [-1, 1], noise levels [b] int64, weights of tokens
    [b,tokens]) -> `Seen`. S is a multiple of 4; `width`, even, channels at S, twice and four times
    as many at S/2 and S/4, where places attend to the tokens.
    """

    def __init__(self, channels: int, width: int, kinds: int) -> None:
        super().__init__()
        w, e = width, 4 * width
        self.kinds, self.width = kinds, width
        self.table = nn.Parameter(torch.randn(count_tokens(kinds), DIM) / REACH)
        self.level = nn.Sequential(nn.Linear(32, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU())
        self.start = nn.Conv2d(channels, w, 3, 1, 1)
        self.down0, self.narrow0 = Residual(w, w, e), nn.Conv2d(w, 2 * w, 3, 2, 1)
        self.down1, self.cross1 = Residual(2 * w, 2 * w, e), Cross(2 * w, 4)
        self.narrow1 = nn.Conv2d(2 * w, 4 * w, 3, 2, 1)
        self.middle0, self.cross2 = Residual(4 * w, 4 * w, e), Cross(4 * w, 4)
        self.middle1, self.cross3 = Residual(4 * w, 4 * w, e), Cross(4 * w, 4)
        self.up1, self.cross4 = Residual(6 * w, 2 * w, e), Cross(2 * w, 4)
        self.up0, self.last = Residual(3 * w, w, e), Residual(w, w, e)
        self.norm, self.out = nn.GroupNorm(math.gcd(8, w), w), nn.Conv2d(w, channels, 3, 1, 1)
        nn.init.zeros_(self.out.weight)

    def tokens(self) -> Tensor:
        """Return the learned table [tokens,DIM]."""
        return self.table * REACH

    def encode(self, x: Tensor, t: Tensor, weights: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return levels at S, S/2 and S/4 (the last through the middle), and attention there."""
        level, tokens = self.level(waves_of(t, 32)), self.tokens()
        whole = self.down0(self.start(x), level)
        half, map1 = self.cross1(self.down1(self.narrow0(whole), level), tokens, weights)
        quarter, map2 = self.cross2(self.middle0(self.narrow1(half), level), tokens, weights)
        quarter, map3 = self.cross3(self.middle1(quarter, level), tokens, weights)
        return [whole, half, quarter], [map1, (map2 + map3) / 2]

    def forward(self, x: Tensor, t: Tensor, weights: Tensor) -> Seen:
        (whole, half, quarter), (map1, map2) = self.encode(x, t, weights)
        level, tokens = self.level(waves_of(t, 32)), self.tokens()
        wide = F.interpolate(quarter, scale_factor=2.0, mode="nearest")
        up, map4 = self.cross4(self.up1(torch.cat([wide, half], 1), level), tokens, weights)
        wide = F.interpolate(up, scale_factor=2.0, mode="nearest")
        fine = self.last(self.up0(torch.cat([wide, whole], 1), level), level)
        maps = {half.shape[-1]: (map1 + map4) / 2, quarter.shape[-1]: map2}
        return Seen(self.out(F.silu(self.norm(fine))), maps, [quarter, up, fine])


class MaskHead(nn.Module):
    """forward(features of `TokenUNet` at S/4, S/2, S, the picture it sees behind the noise
    [b,C,S,S]) -> logits of a defect, coarse [b,1,S/2,S/2] and fine [b,1,S,S].

    Coarse features are joined at S/2 and looked over by two blocks of self-attention; the coarse
    answer gates the fine features, as in the refinement of SeaS.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        from core.nets.vit import Attention, Block

        w = self.dim = 2 * width
        self.deep, self.mid = nn.Conv2d(4 * width, w, 1), nn.Conv2d(2 * width, w, 1)
        self.blocks = nn.ModuleList(Block(w, Attention(w, 4)) for _ in range(2))
        self.coarse = nn.Conv2d(w, 1, 1)
        self.fine = nn.Conv2d(width + channels, w, 3, 1, 1)
        self.wide = nn.Conv2d(w, w, 1)
        self.join = nn.Conv2d(w, w, 3, 1, 1)
        self.out = nn.Conv2d(w, 1, 1)

    def forward(self, features: list[Tensor], clean: Tensor) -> tuple[Tensor, Tensor]:
        from core.nets.vit import waves

        deep, mid, fine = features
        x = self.mid(mid) + F.interpolate(self.deep(deep), scale_factor=2.0, mode="nearest")
        b, d, side, _ = x.shape
        tokens, place = x.flatten(2).transpose(1, 2), waves(side, d, x.device).to(x.dtype)
        for block in self.blocks:
            tokens = block(tokens, place)
        x = tokens.transpose(1, 2).reshape(b, d, side, side)
        coarse = self.coarse(x)
        gate = F.interpolate(coarse, scale_factor=2.0, mode="bilinear").sigmoid()
        own = F.silu(self.fine(torch.cat([fine, clean], 1)))
        wide = F.interpolate(self.wide(x), scale_factor=2.0, mode="nearest")
        return coarse, self.out(F.silu(self.join(own * gate + own + wide)))


def add_noise(x: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Return x [b,C,S,S] with noise, of which the share `kept` [b] of the variance is left."""
    kept = kept[:, None, None, None]
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def remove_noise(x: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Return the picture behind noisy x [b,C,S,S], within [-1, 1]; `kept` [b] as in `add_noise`."""
    kept = kept[:, None, None, None]
    return ((x - (1 - kept).sqrt() * noise) / kept.sqrt()).clamp(-1, 1)


def noise_levels(start: int, steps: int) -> list[int]:
    """Return at most `steps` noise levels from `start` down to 0, evenly apart."""
    many = min(steps, start + 1)
    return [round(start * (1 - i / max(1, many - 1))) for i in range(many)]


def step_down(x: Tensor, noise: Tensor, kept: float, after: float) -> tuple[Tensor, Tensor]:
    """Return x [b,C,S,S] one step of DDIM less noisy (Song and others, 2021, eta 0), and the
    picture behind it; `kept` and `after`: shares before and after the step.
    """
    given = x.new_full((len(x),), kept)
    clean = remove_noise(x, noise, given)
    # the noise that goes with the picture as it was clipped
    left = (x - kept**0.5 * clean) / max(1e-6, (1 - kept) ** 0.5)
    return after**0.5 * clean + (1 - after) ** 0.5 * left, clean
