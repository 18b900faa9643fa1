"""How well an outlining network does, cut back to each of its depths, and what it costs there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core import limits
from core.artifacts import AnomalyMaps, Metric
from core.evaluate import held_out
from core.stats.metrics import mean_metric
from core.stats.overlap import mask_overlap

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run

FEW = 16  # pictures at a time when describing
# x [b,C,H,W] -> probabilities [heads,b,2,H,W]
Heads = Callable[["torch.Tensor"], "torch.Tensor"]


def outlined(data: Dataset) -> Dataset:
    """Return the rows whose outlines are the truth."""
    return data.take(np.flatnonzero(data.outlined))


def dice_of_heads(heads: Heads, data: Dataset, run: Run) -> np.ndarray:
    """Dice [n,heads] of these outlined rows; NaN where nothing is marked."""
    import torch

    found = []
    with torch.no_grad():
        for i in range(0, len(data), FEW):
            run.check()
            part = data.take(np.arange(i, min(i + FEW, len(data))))
            prob, truth = heads(torch.from_numpy(part.inputs()).to(run.where)), part.mask()
            found.append(
                np.stack([mask_overlap((h[:, 1] > 0.5).cpu().numpy(), truth)[0] for h in prob], 1)
            )
    return np.concatenate(found)


def sufficient(method: Any, data: Dataset, run: Run) -> int:
    """Return the shallowest depth, from 1, whose mean Dice on outlined validation pictures is
    within `slack` of the best; the deepest where there are none, or only that was taught.
    """
    deepest, p, val = int(method.net_.depths), method.params, data.part("val")
    val = outlined(val) if len(val) else val
    if deepest == 1 or not p.deep_supervision or not len(val):
        return deepest
    dice = dice_of_heads(method.net_.probabilities, val, run)
    means = [np.nanmean(d) if np.isfinite(d).any() else np.nan for d in dice.T]
    mean = np.nan_to_num(np.array(means))
    return int(np.flatnonzero(mean >= mean.max() - p.slack)[0]) + 1


def seconds_by_depth(net: Any, x: torch.Tensor, repeats: int = 3) -> list[float]:
    """Least seconds of `repeats` of `net(x, depth)` at each depth, for one picture x [1,C,H,W]."""
    import torch

    found = []
    with torch.no_grad():
        for depth in range(1, net.depths + 1):
            seconds = []
            for _ in range(repeats):
                began = time.perf_counter()
                float(net(x, depth)[-1].sum())
                seconds.append(time.perf_counter() - began)
            found.append(min(seconds))
    return found


def figures(method: Any, data: Dataset, run: Run) -> list[Metric]:
    """Return the depth used; Dice of held-out outlined cases, cost and time of one picture at every
    depth.
    """
    import torch

    from core.nets.unetpp import multiplications

    note = "1 is the fastest, 4 the deepest"
    found = [Metric("depth used", float(method.level_), higher_is_better=None, note=note)]
    known = outlined(data)
    if not len(known):
        return found
    part, at = held_out(known, known.rows)
    shown = known.take(at)
    dice = dice_of_heads(method.net_.probabilities, shown, run)
    marked = np.isfinite(dice).all(1)
    scored = shown.take(np.flatnonzero(marked))
    for j, one in enumerate(dice[marked].T):
        if len(one):
            found.append(
                mean_metric("Dice", one, scored, (0, 1), split=part, group=f"depth = {j + 1}")
            )
    x = torch.from_numpy(shown.inputs(np.arange(1))).to(run.where)
    count = multiplications(method.params.network, *x.shape[1:2], method.params.width, *x.shape[2:])
    for depth, (cost, seconds) in enumerate(zip(count, seconds_by_depth(method.net_, x)), 1):
        about: dict[str, Any] = {"split": part, "group": f"depth = {depth}", "n": 1}
        about["higher_is_better"] = False
        found.append(Metric("million multiplications a picture", cost / 1e6, **about))
        note = f"on {run.where}"
        found.append(Metric("milliseconds a picture", 1000 * seconds, **about, note=note))
    return found


def disagreement(rows: np.ndarray, score: np.ndarray, doubt: np.ndarray) -> AnomalyMaps:
    """How far the heads differ: `doubt` [n,H,W], the deviation of their probabilities, and its mean
    `score` [n].
    """
    unit = "spread of the four heads’ probabilities"
    return AnomalyMaps(
        rows=rows, name="disagreement", score=score, map=doubt, unit=unit, shows="doubt"
    )


def say_why_not(data: Dataset) -> str | None:
    """Why these pictures cannot be learned from: outlines of all would need too much memory, or
    nothing is marked in the training part.
    """
    if 8 * len(data) * int(np.prod(data.shape[1:])) > limits.OUTLINES:
        return (
            f"The segmentations of {len(data):,} pictures of this size would need more than"
            f" {limits.OUTLINES >> 30} GB; bring fewer or smaller ones."
        )
    train = outlined(data.part("train"))
    # ends at the first mark
    if any(
        train.mask(np.arange(i, min(i + 256, len(train)))).any() for i in range(0, len(train), 256)
    ):
        return None
    return (
        "In no training picture anything is marked, so there is nothing to learn from;"
        " check the masks, or which cases are for training."
    )
