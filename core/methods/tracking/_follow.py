"""The network that follows an outline, the step sizes it learns with, and how a clip is followed
with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.artifacts import Metric
from core.data.clips import tracking_window
from core.methods.tracking._clips import level_greys, place_back, read_at, window_pixels

if TYPE_CHECKING:
    from core.data.clips import Clip
    from core.data.dataset import Dataset

WARM_UP = 20  # steps in which the step size grows to its largest


def make_network(params: Any, channels: int, config: str | None) -> Any:
    """TrackNet, or SAM 2.1: of its `config` where that is known, else from the folder that the
    parameters name, with its weights. UserError where the package for it is missing.
    """
    if params.network == "sam2":
        from core.nets.local_folder import require_transformers
        from core.nets.sam2 import Sam2Net

        require_transformers("SAM 2.1")

        return Sam2Net.open(params.sam2_folder) if config is None else Sam2Net.of(config)
    from core.nets.tracker import TrackNet

    return TrackNet(channels, params.width, params.recent, side=params.side)


def warm_cosine(peak: float, step: int, total: int) -> float:
    """Return the step size: up to `peak` over the first 20 steps, and along half a cosine down to a
    fiftieth.
    """
    fallen = 0.02 + 0.49 * (1 + math.cos(math.pi * step / max(1, total)))
    return peak * min(1.0, (step + 1) / WARM_UP) * fallen


def follow_clip(net: Any, data: Dataset, clip: Clip, factor: float, backwards: bool) -> np.ndarray:
    """Probabilities float32 [T,H,W] of the object in each frame of `clip`, from its first outlined
    frame alone; that frame repeats its outline, frames before it are 0 unless `backwards`.

    `net` is what `make_network` gives, in evaluation mode; `factor` the width of the window in
    widths of the outline.
    """
    images = torch.from_numpy(data.of(clip.rows).inputs())
    given = data.of(clip.rows[clip.start : clip.start + 1]).mask()[0]
    box = tracking_window(given, factor)
    device = next(net.parameters()).device
    pixels = window_pixels(torch.tensor([box]), net.side)
    frames = read_at(images, pixels.expand(len(images), -1, -1, -1))
    first = read_at(torch.from_numpy(given)[None, None].float(), pixels, padding="zeros").to(device)
    ways = [list(range(clip.start, len(images)))]
    if backwards:
        ways.append(list(range(clip.start, -1, -1)))
    out = torch.zeros(len(images), *given.shape)
    with torch.no_grad():
        for way in ways:
            if len(way) > 1:
                logits = net(level_greys(frames[None, way]).to(device), first)[0, 1:]
                out[way[1:]] = place_back(logits.float().sigmoid().cpu(), box, given.shape)
    out[clip.start] = torch.from_numpy(given).float()
    return out.numpy()


def measure_speed(seconds: float, frames: int, clips: list[Clip]) -> list[Metric]:
    """How long a frame took of those followed in `clips`, and how many clips had nothing to
    follow.
    """
    without = sum(clip.start < 0 for clip in clips)
    return [
        Metric(
            "seconds per frame",
            seconds / frames if frames else None,
            n=frames,
            higher_is_better=False,
            note="" if frames else "no clip has an outlined frame",
        ),
        Metric(
            "clips without any outlined frame",
            float(without),
            n=len(clips),
            higher_is_better=False,
            note="nothing is followed there",
        ),
    ]
