"""How well outlines cover what was marked: Dice and intersection over union of each held-out case,
objects by size, and false alarms.

Dice and IoU are means over the cases in which something is marked; a case without any mark has no
Dice, and counts among the false alarms if anything was outlined there. Objects are the connected
parts (8 neighbours) of the mark; what was outlined belongs to the nearest of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Metric, Predictions
from core.data.clips import is_film
from core.evaluate import held_out
from core.measure import Measure
from core.stats.bootstrap import mean_interval, units
from core.stats.overlap import mask_overlap, object_overlap

if TYPE_CHECKING:
    from core.data.dataset import Dataset


class Segmentation(Measure):
    id = "segmentation"
    headline = ("Dice",)
    title = "Segmentation"
    takes = (Predictions,)
    masks = True
    help = (
        "Dice and IoU: how much of segmentation and truth overlap (1 = the same), mean over cases"
        " with something marked; small objects by themselves."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        (said,) = artifacts
        assert isinstance(said, Predictions)
        if said.prob is None or said.prob.ndim < 4:
            return "these predictions are no segmentations"
        if said.name == "tracked" and is_film(data):
            return (
                "a film that was followed is scored without the frame that was given, by the"
                " measure of tracking"
            )
        if said.prob.shape[2:] != data.masks.shape[1:]:
            return "the segmentations do not have the masks' size"
        return None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (said,) = artifacts
        assert isinstance(said, Predictions)
        known = data.of(said.rows[data.of(said.rows).outlined])
        if not len(known):
            return [Metric("Dice", None, note="no case has a reference segmentation")]
        part, at = held_out(known, known.rows)
        known = known.take(at)
        groups = known.groups
        dice, iou, empty, sizes, each, owner = [], [], [], [], [], []
        for i in range(0, len(known), 64):  # the masks of many cases at once would not fit
            chunk = slice(i, min(i + 64, len(known)))
            made = said.marked(known.rows[chunk])
            truth = known.mask(np.arange(chunk.start, chunk.stop))
            d, o = mask_overlap(made, truth)
            dice.append(d)
            iou.append(o)
            empty.append(np.where(np.isnan(d), made.any(tuple(range(1, made.ndim))), np.nan))
            for k in range(len(made)):
                area, one = object_overlap(made[k], truth[k])
                sizes.append(area)
                each.append(one)
                owner.append(np.full(len(area), i + k))
        found = []
        for name, values, better in (
            ("Dice", dice, True),
            ("IoU", iou, True),
            ("unmarked cases with an outline", empty, False),
        ):
            v = np.concatenate(values)
            there = np.isfinite(v)
            if there.any():
                own = v[there] if better else v[there] > 0
                share = Metric(
                    name, float(own.mean()), split=part, n=int(there.sum()), higher_is_better=better
                )
                found.append(
                    share.within(
                        mean_interval(own, groups[there] if groups is not None else None, (0, 1))
                    )
                )
        area, one, home = np.concatenate(sizes), np.concatenate(each), np.concatenate(owner)
        # objects of one patient, or of one picture, stand together
        kin = units(len(known), groups).astype(object)
        if len(area) >= 15:
            edges = np.quantile(area, [1 / 3, 2 / 3])
            third = np.searchsorted(edges, area, side="left")
            for j, name in enumerate(("small", "middle", "large")):
                own = third == j
                if own.sum() >= 5:
                    note = f"the {name} third: {area[own].min():,} to {area[own].max():,} pixels"
                    score = Metric(
                        f"Dice of {name} objects",
                        float(one[own].mean()),
                        split=part,
                        n=int(own.sum()),
                        note=note,
                    )
                    found.append(score.within(mean_interval(one[own], kin[home[own]], (0, 1))))
        return found
