"""What a method found for the slices of volumes, put together to what is said of the volumes.

Pictures of slices become volumes again without a copy. Small things a slice (its coordinates,
score, probabilities, group) are kept as an artifact of their own, named `slices`, with `rows` the
volumes and `place` the slices; beside it stands one entry a volume, and `folded` says how it was
made. Slices of one value only count in neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from core.artifacts import (
    AnomalyMaps,
    Artifact,
    Attributions,
    Clusters,
    Embedding,
    Images,
    Lesions,
    Metrics,
    Model,
    Predictions,
)
from core.data.dataset import Dataset

TOP = 0.1  # share of a volume's slices whose mean score is the volume's score
MEAN = "mean of its slices"
HIGHEST = "mean of the tenth of its slices that score highest"
STACKED = "stack of its slices"


class Fold:
    """Puts the artifacts of all slices of `data` (a view of volumes) together; `filled [n,D]` bool:
    slices that count.
    """

    def __init__(self, data: Dataset, filled: np.ndarray) -> None:
        self.data, self.filled = data, filled
        self.depth = filled.shape[1]
        self.flat = np.flatnonzero(filled.ravel())

    def __call__(self, artifacts: list[Artifact]) -> list[Artifact]:
        """Volume artifacts, each followed by that of its slices where one is kept. Empties the list
        as it goes, so that nothing is held twice.
        """
        kinds: dict[type[Artifact], Callable[[Any], list[Artifact]]] = {
            Embedding: self._embedding,
            AnomalyMaps: self._anomaly,
            Predictions: self._predictions,
            Clusters: self._clusters,
            Images: self._images,
            Attributions: self._attributions,
            Lesions: self._lesions,
        }
        out: list[Artifact] = []
        while artifacts:
            one = artifacts.pop(0)
            every = len(one.rows) == self.filled.size
            fold = kinds.get(type(one), self._other) if every else self._other
            out += fold(one)
        return out

    # -- pieces ------------------------------------------------------------------------------------
    def volumes(self, value: np.ndarray) -> np.ndarray:
        """[n*D,*rest] as [n,D,*rest], a view."""
        return np.asarray(value).reshape(len(self.data), self.depth, *value.shape[1:])

    def stacked(self, value: np.ndarray) -> np.ndarray:
        """Pictures [n*D,C,H,W] as [n,C,D,H,W], a view."""
        return np.moveaxis(self.volumes(value), 1, 2)

    def mean(self, value: np.ndarray) -> np.ndarray:
        """Mean [n,*rest] over the slices that count of [n*D,*rest]."""
        weight = self.filled / self.filled.sum(1, keepdims=True)
        return np.einsum("nd,nd...->n...", weight, self.volumes(value)).astype(np.float32)

    def of_slices(self, one: Any, **more: Any) -> Any:
        """Return the artifact of the slices that count."""
        fields = {
            key: np.asarray(getattr(one, key))[self.flat]
            for key in one.per_row
            if getattr(one, key) is not None and key not in more
        }
        name = f"{one.name}-slices" if one.name else "slices"
        return replace(
            one,
            name=name,
            rows=one.rows[self.flat] // self.depth,
            place=one.rows[self.flat] % self.depth,
            **fields | more,
        )

    # -- types -------------------------------------------------------------------------------------
    def _embedding(self, one: Embedding) -> list[Artifact]:
        whole = replace(one, rows=self.data.rows, z=self.mean(one.z), std=None, folded=MEAN)
        return [whole, self.of_slices(one)]

    def _anomaly(self, one: AnomalyMaps) -> list[Artifact]:
        score = top(self.volumes(one.score), self.filled)
        threshold, rule = self._threshold(score) if one.threshold is not None else (None, "")
        heat = None if one.map is None else self.volumes(one.map)
        whole = replace(
            one,
            rows=self.data.rows,
            score=score,
            map=heat,
            threshold=threshold,
            rule=rule,
            folded=HIGHEST,
        )
        return [whole, self.of_slices(one, map=None)]

    def _threshold(self, score: np.ndarray) -> tuple[float | None, str]:
        """95 % point of validation volumes, of those without a mark where there are masks (known to
        be so); None without such volumes.
        """
        at = np.flatnonzero(self.data.splits == "val")
        if self.data.masks is not None and len(at):
            at = at[self.data.outlined[at]]
            at = at[[not self.data.mask(np.array([i])).any() for i in at]]
        return (
            (float(np.quantile(score[at], 0.95)), "95 % of validation volumes lie below")
            if len(at)
            else (None, "")
        )

    def _predictions(self, one: Predictions) -> list[Artifact]:
        if one.prob is not None and one.prob.ndim > 2:
            return [
                replace(
                    one,
                    rows=self.data.rows,
                    prob=np.moveaxis(self.volumes(one.prob), 1, 2),
                    folded=STACKED,
                )
            ]
        # a promise about slices says nothing of volumes
        if one.sets is not None or one.low is not None:
            return [self.of_slices(one)]
        prob, mean = (None if v is None else self.mean(v) for v in (one.prob, one.mean))
        return [
            replace(one, rows=self.data.rows, prob=prob, mean=mean, folded=MEAN),
            self.of_slices(one),
        ]

    def _clusters(self, one: Clusters) -> list[Artifact]:
        label = self.volumes(one.label)
        share = np.stack(
            [((label == j) & self.filled).sum(1) for j in range(-1, one.k)], 1
        ) / self.filled.sum(1, keepdims=True)
        words = "group of most of its slices"
        whole = replace(
            one,
            rows=self.data.rows,
            label=share.argmax(1) - 1,
            prob=share[:, 1:].astype(np.float32),
            curve={},
            folded=words,
        )
        return [whole, self.of_slices(one)]

    def _images(self, one: Images) -> list[Artifact]:
        return [replace(one, rows=self.data.rows, image=self.stacked(one.image), folded=STACKED)]

    def _lesions(self, one: Lesions) -> list[Artifact]:
        table: list[list[dict[str, Any]]] = [[] for _ in self.data.rows]
        for i, lines in enumerate(one.table):
            volume, place = divmod(i, self.depth)
            table[volume] += [line | {"place": [place, *line["place"]]} for line in lines]
        mask = self.volumes(one.mask)
        return [replace(one, rows=self.data.rows, mask=mask, table=table, folded=STACKED)]

    def _attributions(self, one: Attributions) -> list[Artifact]:
        small = {
            key: self.volumes(v).sum(1)
            for key in ("residual", "output")
            if (v := getattr(one, key)) is not None
        }
        return [
            replace(
                one, rows=self.data.rows, value=self.stacked(one.value), folded=STACKED, **small
            )
        ]

    def _other(self, one: Artifact) -> list[Artifact]:
        """Of the whole (models, tables, grids): the volumes it speaks about. Of some slices: left
        at the slices.
        """
        if any(getattr(one, key) is not None for key in one.per_row) or any(
            f.name == "items" for f in fields(one)
        ):
            return [
                replace(
                    one,
                    name=f"{one.name}-slices" if one.name else "slices",
                    rows=one.rows // self.depth,
                    place=one.rows % self.depth,
                )
            ]
        if isinstance(one, Metrics):
            one.table = [
                m | {"note": "; ".join(filter(None, (m.get("note"), "measured on slices")))}
                for m in one.table
            ]
        if isinstance(one, Model):
            one.rows = np.unique(one.rows // self.depth)
            return [one]
        return [
            replace(
                one,
                rows=(
                    np.unique(one.rows // self.depth)
                    if len(one.rows) != self.filled.size
                    else self.data.rows
                ),
            )
        ]


def top(score: np.ndarray, filled: np.ndarray, share: float = TOP) -> np.ndarray:
    """float32 [n]: mean of the highest `share` (at least one) of the slices that count, of scores
    [n,D].
    """
    ranked = -np.sort(-np.where(filled, score, -np.inf), axis=1)
    many = np.maximum(1, np.round(share * filled.sum(1))).astype(int)
    keep = np.arange(score.shape[1])[None] < many[:, None]
    return (np.where(keep, ranked, 0).sum(1) / many).astype(np.float32)
