"""Where is it unusual? Pixel AUROC, average precision, AUPRO(0.3) and Dice, at the masks'
resolution.

Pooled: all pixels of all held-out cases, healthy cases included, in one curve. AUPRO: MVTec's
definition, mean coverage of all components (8-neighbours) against the share of defect-free pixels,
integrated to 0.3 and divided by 0.3. Values are exact; for intervals patients are left out in turn
with scores put into 512 bins of equal count, since sorting all pixels 100 times would take minutes.
Dice is the mean over cases in which something is marked: an empty map agrees perfectly with a case
without a mark, so that over all cases drawing nothing scores their share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Metric
from core.evaluate import held_out
from core.measure import Measure
from core.stats.bootstrap import interval, mean_interval
from core.stats.overlap import mask_overlap

if TYPE_CHECKING:
    from core.data.dataset import Dataset

BINS = 512
MOST = 600  # cases up to which AUPRO gets an interval


def aupro(maps: np.ndarray, masks: np.ndarray, limit: float = 0.3) -> float:
    """AUPRO of maps [n,*spatial] and bool masks; NaN without any marked pixel. One global sort, O(p
    log p).
    """
    from scipy.ndimage import generate_binary_structure, label

    weight = np.zeros(maps.shape)
    regions = 0
    for i in np.flatnonzero(masks.reshape(len(masks), -1).any(1)):
        parts, k = label(masks[i], generate_binary_structure(masks.ndim - 1, masks.ndim - 1))
        size = np.bincount(parts.ravel())
        weight[i] = np.where(parts > 0, 1.0 / size[parts], 0.0)
        regions += k
    if not regions:
        return float("nan")
    order = np.argsort(-maps, axis=None, kind="stable")
    score, free = maps.ravel()[order], ~masks.ravel()[order]
    last = np.r_[score[1:] != score[:-1], True]
    fpr = np.r_[0.0, (np.cumsum(free) / free.sum())[last]]
    pro = np.r_[0.0, (np.cumsum(weight.ravel()[order]) / regions)[last]]
    end = np.interp(limit, fpr, pro)
    keep = fpr < limit
    return float(np.trapezoid(np.r_[pro[keep], end], np.r_[fpr[keep], limit]) / limit)


def case_dice(counts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Dice of every case at every bin edge: [n, bins]. Empty truth and empty prediction = 1
    (StRegA's rule).
    """
    marked, free = (np.cumsum(c[:, ::-1], axis=1) for c in counts)
    truth = counts[0].sum(1, keepdims=True)
    size = marked + free + truth
    return np.where(size > 0, 2 * marked / np.maximum(size, 1), 1.0)


def pooled(counts: tuple[np.ndarray, np.ndarray]) -> tuple[float, float, float]:
    """(AUROC, AP, best Dice) of binned scores: counts of marked and free pixels, lowest bin
    first.
    """
    marked, free = counts[0][::-1].astype(float), counts[1][::-1].astype(float)
    hits, wrong = np.cumsum(marked), np.cumsum(free)
    if not hits[-1] or not wrong[-1]:
        return (float("nan"),) * 3
    tpr, fpr = np.r_[0, hits / hits[-1]], np.r_[0, wrong / wrong[-1]]
    precision = hits / np.maximum(hits + wrong, 1)
    return (
        float(np.trapezoid(tpr, fpr)),
        float((np.diff(tpr) * precision).sum()),
        float((2 * hits / (hits + wrong + hits[-1])).max()),
    )


class PixelAnomaly(Measure):
    id = "pixel_anomaly"
    headline = ("pixel average precision",)
    title = "Localisation of anomalies"
    takes = (AnomalyMaps,)
    masks = True
    help = (
        "AP and Dice: how exactly the heat covers what was marked. Pixel AUROC flatters small"
        " lesions. Oracle = the threshold was picked on these very cases."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        (maps,) = artifacts
        assert isinstance(maps, AnomalyMaps)
        if maps.shows == "doubt":
            return "these maps show where the model doubts, not what is unusual"
        if maps.map is None or maps.map.shape[1:] != data.masks.shape[1:]:
            return "the heatmaps do not have the masks' size"
        return None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (artifact,) = artifacts
        assert isinstance(artifact, AnomalyMaps)
        assert artifact.map is not None
        part, at = held_out(data, artifact.rows)
        at = at[data.of(artifact.rows[at]).outlined]
        heat, truth = np.asarray(artifact.map[at]), data.of(artifact.rows[at]).mask()
        n = len(at)
        if not truth.any():
            return [
                Metric(
                    "pixel average precision",
                    None,
                    split=part,
                    n=n,
                    note="no held-out pixel is marked",
                )
            ]
        groups = data.of(artifact.rows[at]).groups
        counts = _binned(heat, truth)
        found = []
        for name, value, again in _pooled(heat, truth, counts):
            one = Metric(name, value, split=part, n=n)
            if again is None:
                found.append(
                    replace(one, note=f"no interval above {MOST} cases: it takes too long")
                )
            else:
                found.append(
                    one.within(
                        interval(
                            again, n, groups, (0, 1), blocks=20 if name.startswith("AUPRO") else 100
                        )
                    )
                )
        return found + self._of_cases(artifact, heat, truth, counts, groups, part)

    @staticmethod
    def _of_cases(
        artifact: AnomalyMaps,
        heat: np.ndarray,
        truth: np.ndarray,
        counts: tuple[np.ndarray, np.ndarray],
        groups: np.ndarray | None,
        part: str,
    ) -> list[Metric]:
        """Dice of the cases with something marked; apart from them, how many of the others get a
        mark; and the old mean, beside what drawing nothing scores.
        """
        marked = truth.reshape(len(truth), -1).any(1)
        ill = groups[marked] if groups is not None else None
        dice = case_dice((counts[0][marked], counts[1][marked]))
        best = float(dice.mean(0).max())
        found = [
            Metric("Dice, mean of marked cases (oracle)", best, split=part, n=int(marked.sum()))
        ]
        found[0] = found[0].within(
            interval(lambda i: float(dice[i].mean(0).max()), len(dice), ill, (0, 1))
        )
        if artifact.pixel_threshold is None:
            return found
        said = artifact.marked(heat)
        each, _ = mask_overlap(said, truth)
        rule = "(threshold from validation)"
        one = Metric(
            f"Dice, mean of marked cases {rule}",
            float(each[marked].mean()),
            split=part,
            n=int(marked.sum()),
        )
        found.append(one.within(mean_interval(each[marked], ill, (0, 1))))
        if not marked.all():
            wrong = np.asarray(said.reshape(len(said), -1).any(1))[~marked]
            name = f"unmarked cases with something drawn {rule}"
            false = Metric(
                name, float(wrong.mean()), split=part, n=len(wrong), higher_is_better=False
            )
            found.append(
                false.within(mean_interval(wrong, groups[~marked] if groups is not None else None))
            )
            empty = float((~marked).mean())
            whole = np.where(marked, each, ~said.reshape(len(said), -1).any(1))
            name = f"Dice, mean of all cases, nothing drawn on an unmarked one counting 1 {rule}"
            every = Metric(
                name,
                float(whole.mean()),
                split=part,
                n=len(whole),
                note=f"drawing nothing anywhere scores {empty:.2f}",
            )
            found.append(every.within(mean_interval(whole.astype(float), groups, (0, 1))))
        return found


def _pooled(
    heat: np.ndarray, truth: np.ndarray, counts: tuple[np.ndarray, np.ndarray]
) -> list[tuple[str, float, Callable[[np.ndarray], float] | None]]:
    """(name, exact value, the same from binned scores for some cases) of the figures over the
    pixels of all cases; None where that takes too long.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    def one(j: int, i: np.ndarray) -> float:
        return pooled((counts[0][i].sum(0), counts[1][i].sum(0)))[j]

    flat, score = truth.ravel(), heat.ravel()
    whole = np.arange(len(heat))
    return [
        ("pixel AUROC", float(roc_auc_score(flat, score)), partial(one, 0)),
        ("pixel average precision", float(average_precision_score(flat, score)), partial(one, 1)),
        (
            "AUPRO (0.3)",
            aupro(heat, truth),
            partial(_aupro_fast, heat, truth) if len(heat) <= MOST else None,
        ),
        ("Dice, pooled (oracle)", one(2, whole), partial(one, 2)),
    ]


def _aupro_fast(heat: np.ndarray, truth: np.ndarray, i: np.ndarray) -> float:
    return aupro(heat[i], truth[i])


def _binned(heat: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return counts [n, BINS] of marked and of free pixels by score, bins of about equal count,
    finer at the top where thresholds matter.
    """
    share = np.unique(
        np.r_[np.linspace(0, 0.9, BINS // 4), 1 - np.geomspace(0.1, 1e-5, 3 * BINS // 4)]
    )
    edges = np.unique(np.quantile(heat, share))
    place = np.searchsorted(edges, heat, side="right")
    width = len(edges) + 1
    flat = (np.arange(len(heat)).reshape(-1, *[1] * (heat.ndim - 1)) * width + place).ravel()
    both = [
        np.bincount(flat[side], minlength=len(heat) * width).reshape(len(heat), width)
        for side in (truth.ravel(), ~truth.ravel())
    ]
    return both[0], both[1]
