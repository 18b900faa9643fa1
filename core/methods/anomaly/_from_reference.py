"""What methods share that score cases by their distance from normal training cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import AnomalyMaps
from core.data.ground_truth import find_ground_truth
from core.errors import UserError
from core.methods.anomaly._reference import COMBINED, UNITS, Reference

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.anomaly._reference_params import ReferenceParams
    from core.training.run import Run

FEWEST_HELD = 10  # validation cases below which the reference itself sets the scale
RULE = "95 % of {whose} validation cases lie below"


def learned_cases(data: Dataset, which: str) -> tuple[Dataset, bool]:
    """Return the training and validation cases that say what is usual, by row id: with `which`
    "normal cases" those known to be normal, where masks or the class tell, else all; and whether
    all are known to be normal.
    """
    seen = data.take(np.flatnonzero(np.isin(data.splits, ["train", "val"])))
    seen = seen.take(np.argsort(seen.rows))
    if which != "normal cases":
        return seen, False
    truth = find_ground_truth(seen)
    if truth.abnormal is None:
        return seen, False
    return seen.take(np.flatnonzero(truth.judged & ~truth.abnormal)), True


def choose_score(asked: str, normal: bool) -> str:
    """Return the score that is `asked` for; of "automatic" that which suits reference cases that
    are all `normal`, or may not be.
    """
    if asked != "automatic":
        return asked
    return "nearest cases" if normal else COMBINED


def fit_reference(
    train: np.ndarray, held: np.ndarray, normal: bool, params: ReferenceParams, run: Run
) -> tuple[Reference, float | None]:
    """Return the reference of coordinates `train` [n,d] float64, scaled by those of validation
    cases `held` [m,d], and the score below which 95 % of these lie; None where there are none.
    `normal`: whether all are known to be normal.

    UserError where fewer than two training cases are left.
    """
    if len(train) < 2:
        raise UserError(
            "Fewer than two normal training cases are left to learn from; set “learn_from” to all"
            " training cases, or check which class is normal."
        )
    if len(train) > params.reference:
        some = np.sort(run.rng.choice(len(train), params.reference, replace=False))
        run.note(f"{params.reference:,} of {len(train):,} training cases are the reference.")
        train = train[some]
    score = choose_score(params.score, normal)
    found = Reference(train, score, params.neighbours, run.seed)
    found.calibrate(held if len(held) >= FEWEST_HELD else train)
    run.check()
    threshold = float(np.quantile(found.score(held), 0.95)) if len(held) else None
    run.report(0)
    return found, threshold


def scored(
    rows: np.ndarray, z: np.ndarray, found: Reference, threshold: float | None, whose: str
) -> AnomalyMaps:
    """Scores of cases `rows` [m] at coordinates `z` [m,d]."""
    unit = UNITS[found.kind]
    if found.kind == COMBINED:
        unit = f"{unit}, the largest of three scores"
    return AnomalyMaps(
        rows=rows,
        score=found.score(z).astype(np.float32),
        threshold=threshold,
        rule="" if threshold is None else RULE.format(whose=whose),
        unit=unit,
    )
