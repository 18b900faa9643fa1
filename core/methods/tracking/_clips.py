"""The window around an outlined object, and training clips made by moving outlined frames about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.data.clips import Clip, tracking_window

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def window_pixels(boxes: Tensor, side: int) -> Tensor:
    """Pixel coordinates (x, y) [b,side,side,2] of the cells of windows `boxes` [b,3]."""
    u = (torch.arange(side, device=boxes.device) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(u, u, indexing="ij")
    unit = torch.stack([x, y], -1)
    return boxes[:, None, None, [1, 0]] + boxes[:, None, None, 2:] * unit


def read_at(
    images: Tensor, pixels: Tensor, mode: str = "bilinear", padding: str = "border"
) -> Tensor:
    """`images` [b,C,H,W] read at `pixels` (x, y) [b,h,w,2]."""
    size = torch.tensor([images.shape[3], images.shape[2]], device=images.device)
    return F.grid_sample(
        images, (2 * pixels + 1) / size - 1, mode=mode, padding_mode=padding, align_corners=False
    )


def place_back(prob: Tensor, box: tuple[float, float, float], size: tuple[int, int]) -> Tensor:
    """Window values [n,S,S] back in the frame, [n,H,W]; 0 outside the window."""
    y, x = torch.meshgrid(
        torch.arange(size[0], dtype=torch.float32),
        torch.arange(size[1], dtype=torch.float32),
        indexing="ij",
    )
    side = prob.shape[-1]
    cells = torch.stack([(x - box[1]) / box[2], (y - box[0]) / box[2]], -1).to(prob.device)
    pixels = ((cells + 1) * side - 1) / 2
    return read_at(prob[:, None], pixels[None].expand(len(prob), -1, -1, -1), padding="zeros")[
        :, 0
    ] * (cells.abs() <= 1).all(-1)


def level_greys(frames: Tensor) -> Tensor:
    """Windows [b,T,C,S,S] with the grey values of their first frame brought to mean 0 and deviation
    1: one scale a clip, so nothing flickers.
    """
    first = frames[:, :1]
    mean, sd = first.mean((2, 3, 4), keepdim=True), first.std((2, 3, 4), keepdim=True)
    return (frames - mean) / (sd + 1e-3)


def draw_motion(b: int, steps: int, side: int, middle: Tensor, strength: Tensor) -> Tensor:
    """Displacements [b,T,S,S,2] in window units: breathing-like shift and beat around `middle`
    [b,2], plus a smooth field; strength [b] scales them.

    Half the clips move only near the object, so that what moves differs from the background.
    """
    device = middle.device
    turn = torch.rand(b, 1, 3, device=device) * 6.283
    pace = 0.4 + 1.6 * torch.rand(b, 1, 3, device=device)
    wave = torch.sin(turn + pace * torch.arange(steps, device=device)[None, :, None])  # [b,T,3]
    drift = (
        0.1
        * torch.randn(b, 1, 2, device=device)
        * torch.arange(steps, device=device)[None, :, None]
    )
    u = (torch.arange(side, device=device) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(u, u, indexing="ij")
    away = torch.stack([x, y], -1) - middle[:, None, None]  # [b,S,S,2]
    near = torch.exp(-away.square().sum(-1, keepdim=True) / (2 * 0.55**2))
    near = torch.where(torch.rand(b, 1, 1, 1, device=device) < 0.5, near, torch.ones_like(near))
    shift = (torch.randn(b, 1, 2, device=device) * 0.16 * wave[..., :1] + drift)[:, :, None, None]
    beat = (torch.rand(b, 1, 1, device=device) * 0.4 * wave[..., 1:2])[:, :, None, None] * away[
        :, None
    ]
    field = (
        F.interpolate(torch.randn(b, 2, 4, 4, device=device), (side, side), mode="bicubic").permute(
            0, 2, 3, 1
        )[:, None]
        * 0.05
    )
    return strength[:, None, None, None, None] * (
        (shift + beat) * near[:, None] + field * wave[..., 2:, None, None]
    )


class ClipMaker:
    """Makes training clips from the outlined frames of `clips`: either the true next outlined
    frames, or one frame moved about.
    """

    def __init__(
        self,
        data: Dataset,
        clips: list[Clip],
        steps: int,
        side: int,
        factor: float,
        device: torch.device,
    ) -> None:
        self.steps, self.side, self.factor, self.device = steps, side, factor, device
        self.home = {int(r): (c, i) for c in clips for i, r in enumerate(c.rows)}
        rows = np.concatenate([c.rows for c in clips])
        self.place = {int(r): i for i, r in enumerate(rows)}
        whole = data.of(rows)
        self.images = torch.from_numpy(whole.inputs())
        self.masks = torch.from_numpy(whole.mask())

    def path(self, row: int) -> tuple[list[int], list[bool]]:
        """Rows of a training clip that begins at `row`, and which of them have the truth: a true
        passage to another outlined frame, there and back where it is short; or the one frame again
        and again.
        """
        clip, i = self.home[row]
        others = [j for j in np.flatnonzero(clip.outlined) if j != i]
        # near ones first: leaving out many frames makes leaps no film has
        others = [j for j in others if abs(j - i) <= 2 * self.steps] or others
        if not others or torch.rand(()) < 0.5:
            return [row] * self.steps, [True] * self.steps
        j = others[int(torch.randint(len(others), ()))]
        way = np.arange(i, j + 1) if j > i else np.arange(i, j - 1, -1)
        if len(way) >= self.steps:
            way = way[np.linspace(0, len(way) - 1, self.steps).round().astype(int)]
        else:
            way = np.resize(np.concatenate([way, way[-2:0:-1]]), self.steps)
        return [int(clip.rows[k]) for k in way], [bool(clip.outlined[k]) for k in way]

    def make(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Frames [b,T,C,S,S], masks [b,T,S,S] in [0,1], known [b,T] for clips that begin at these
        rows.
        """
        paths = [self.path(int(r)) for r in rows]
        at = torch.tensor([[self.place[r] for r in p] for p, _ in paths])
        known = torch.tensor([k for _, k in paths], device=self.device)
        b, steps = at.shape
        truth = self.masks[at].float()
        still = (at == at[:, :1]).all(1)
        boxes = torch.empty(b, 3)
        for k in range(b):
            # some other thing in the frame is the object: what to follow is told by the outline
            # alone
            if still[k] and torch.rand(()) < 0.4:
                truth[k] = self.thing(truth.shape[2:])
            boxes[k] = torch.tensor(tracking_window(truth[k, 0].numpy() > 0, self.factor))
        boxes[:, :2] += 0.15 * boxes[:, 2:] * torch.randn(b, 2)
        boxes[:, 2] *= torch.empty(b).uniform_(0.8, 1.25)
        images = self.images[at].to(self.device)
        truth = truth.to(self.device)
        boxes = boxes.to(self.device)
        spin = torch.rand(b, device=self.device) * 6.283
        turn = torch.stack(
            [torch.stack([spin.cos(), -spin.sin()], -1), torch.stack([spin.sin(), spin.cos()], -1)],
            -2,
        )
        strength = torch.where(still.to(self.device), 1.0, 0.25)
        motion = draw_motion(b, steps, self.side, torch.zeros(b, 2, device=self.device), strength)
        unit = (
            window_pixels(torch.tensor([[0.0, 0.0, 1.0]], device=self.device), self.side) + motion
        )
        pixels = boxes[:, None, None, None, [1, 0]] + boxes[:, None, None, None, 2:] * (
            unit @ turn.transpose(1, 2)[:, None, None]
        )
        flat = pixels.flatten(0, 1)
        frames = read_at(images.flatten(0, 1), flat).unflatten(0, (b, steps))
        masks = read_at(truth.flatten(0, 1)[:, None], flat, padding="zeros")[:, 0].unflatten(
            0, (b, steps)
        )
        gain = torch.exp(
            0.2 * torch.randn(b, 1, 1, 1, 1, device=self.device)
            + 0.08 * torch.randn(b, steps, 1, 1, 1, device=self.device)
        )
        frames = level_greys(
            frames.clamp(0, 1) ** torch.exp(0.25 * torch.randn(b, 1, 1, 1, 1, device=self.device))
            * gain
        )
        return (
            frames + 0.1 * torch.rand(b, 1, 1, 1, 1, device=self.device) * torch.randn_like(frames),
            masks,
            known,
        )

    def thing(self, size: torch.Size) -> Tensor:
        """Return a disc or oval somewhere in the frame, bool [H,W]."""
        h, w = size[0], size[1]
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        cy, cx = (0.2 + 0.6 * torch.rand(2)) * torch.tensor([h, w])
        ry, rx = ((0.05 + 0.1 * torch.rand(2)) * min(h, w)).clamp(min=1.5)
        return (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1).float()
