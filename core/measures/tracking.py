"""How well an outline is followed through films: overlap and distances after the given frame,
beside copying the outline and moving it along.

The scores are those of the TrackRAD2025 challenge (see core/data/clips.py), of held-out clips, each
with a 95 % interval over patients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Metric, Predictions
from core.data.clips import BASELINES, all_frames, clips_of, compare_trackers, is_film
from core.evaluate import held_out
from core.measure import Measure
from core.stats.bootstrap import mean_interval
from core.stats.tracking import HIGHER

if TYPE_CHECKING:
    from core.data.dataset import Dataset

MOST = 60  # clips named one by one


class Tracking(Measure):
    id = "tracking"
    title = "Tracking"
    takes = (Predictions,)
    masks = True
    help = (
        "Dice (higher is better) and distances (lower) of the frames after the given one; it must"
        " beat copying the first outline and moving it by phase correlation."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        (said,) = artifacts
        assert isinstance(said, Predictions)
        if not is_film(data):
            return "these rows are no films"
        if said.prob is None or said.prob.ndim != 4 or said.prob.shape[2:] != data.masks.shape[1:]:
            return "these predictions are no segmentations of the masks' size"
        return None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (said,) = artifacts
        assert isinstance(said, Predictions)
        part, at = held_out(data, said.rows)
        wanted, every = set(said.rows[at].tolist()), all_frames(data)
        clips = [
            c
            for c in clips_of(every)
            if c.scored.any() and wanted >= set(c.rows[c.scored].tolist())
        ]
        if not clips:
            return [
                Metric(
                    "Dice after the given frame",
                    None,
                    split=part,
                    note="no held-out clip has a second outlined frame",
                )
            ]
        scores, unit = compare_trackers(every, clips, {c.name: said.marked(c.rows) for c in clips})
        patients = every.groups
        owner = patients[[c.rows[0] for c in clips]] if patients is not None else None
        found = []
        for name, better in HIGHER.items():
            title = (
                f"{name} ({unit})"
                if "distance" in name or "error" in name
                else f"{name} after the given frame"
            )
            for who in ("tracked", *BASELINES):
                values = np.array([s[who][name] for s in scores])
                called = title if who == "tracked" else f"{title}, rival: {who}"
                one = Metric(
                    called, float(values.mean()), split=part, n=len(clips), higher_is_better=better
                )
                found.append(
                    one.within(
                        mean_interval(values, owner, (0, 1) if name == "Dice" else (0, np.inf))
                    )
                )
        for clip, score in list(zip(clips, scores))[:MOST]:
            frames = int(clip.scored.sum())
            for name, title in (
                ("Dice", "Dice after the given frame"),
                ("centroid error", f"centroid error ({unit})"),
            ):
                found.append(
                    Metric(
                        title,
                        score["tracked"][name],
                        split=part,
                        group=clip.name,
                        n=frames,
                        higher_is_better=HIGHER[name],
                        note="one clip",
                    )
                )
        return found
