"""What forgetting did, in figures; and what can be forgotten from which model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Metric, Model
from core.errors import UserError
from core.stats.metrics import mean_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def say_why_not(on: dict[str, Artifact]) -> str | None:
    """Why the model of this earlier run cannot forget; None when it can."""
    base = next(a for a in on.values() if isinstance(a, Model))
    if "predict" not in base.abilities or "embed" not in base.abilities:
        return (
            f"That run’s model ({base.method}) is no classifier with an embedding; choose a"
            " plain classifier."
        )
    if not all(
        any(key.startswith(f"net.{part}.") for key in base.state) for part in ("encoder", "head")
    ):
        return (
            f"That run’s model ({base.method}) has no encoder and head that could be changed"
            " apart; choose a plain classifier."
        )
    return None


def refuse(train: Dataset, gone: np.ndarray, compare: bool) -> None:
    """UserError where forgetting the rows `gone` (bool, of `train`) makes no sense."""
    if not gone.any():
        raise UserError(
            "None of the chosen cases is a training case, so the model never learned from them:"
            " there is nothing to forget."
        )
    if gone.sum() > 0.7 * len(train):
        raise UserError(
            f"{gone.sum():,} of {len(train):,} training cases are to be forgotten; train anew"
            " on the rest instead."
        )
    if compare and len(np.unique(train.labels[~gone & (train.labels >= 0)])) < 2:
        raise UserError(
            "Without these cases one class is left, so nothing can be trained anew to compare"
            " with: choose fewer cases, or switch “compare” off."
        )


def figures(method: Any, data: Dataset, probs: dict[str, np.ndarray], seed: int) -> list[Metric]:
    """Accuracy on forgotten, retained and test cases, and how many forgotten cases an attack
    takes for training cases, for each model.
    """
    place = {c: i for i, c in enumerate(method.classes)}
    y = np.array(
        [place.get(data.classes[c], -1) if c >= 0 else -1 for c in data.labels], dtype=np.int64
    )
    gone = np.isin(data.rows, method.forgotten_)
    parts = {"to forget": gone, "retained": (data.splits == "train") & ~gone}
    held = "test" if (data.splits == "test").any() else "val"
    parts[held] = data.splits == held
    found = []
    for model, prob in probs.items():
        for name, part in parts.items():
            at = np.flatnonzero(part & (y >= 0))
            if len(at) < 2:
                continue
            right = prob[at].argmax(1) == y[at]
            title = {"test": "accuracy, test cases", "val": "accuracy, validation cases"}.get(
                name, f"accuracy, cases {name}"
            )
            split, better = (
                (name, True) if name == held else ("train", None if name == "to forget" else True)
            )
            some = data.take(at)
            found.append(
                mean_metric(title, right, some, split=split, group=model, higher_is_better=better)
            )
        taken_for = attacked(prob, parts["retained"], data.splits == "val", gone, seed)
        if taken_for is not None:
            note = "membership attack; near 0.5, or near the model trained anew, is good"
            found.append(
                mean_metric(
                    "forgotten cases taken for training cases",
                    np.asarray(taken_for, bool),
                    data.take(np.flatnonzero(gone)),
                    split="train",
                    group=model,
                    higher_is_better=None,
                    note=note,
                )
            )
    found.append(
        Metric(
            "agreement with the old model on retained cases",
            method.agreement_,
            split="train",
            n=int(parts["retained"].sum()),
        )
    )
    return found


def attacked(
    prob: np.ndarray, members: np.ndarray, strangers: np.ndarray, gone: np.ndarray, seed: int
) -> np.ndarray | None:
    """Bool [forgotten]: which of them an attack takes for training cases. It learns on sorted
    probabilities of retained training cases against validation cases, equally many of each; None
    when there are fewer than ten of either.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    rng = np.random.default_rng(seed)
    yes, no = np.flatnonzero(members), np.flatnonzero(strangers)
    n = min(len(yes), len(no))
    if n < 10 or not gone.any():
        return None
    yes, no = rng.choice(yes, n, replace=False), rng.choice(no, n, replace=False)
    x = np.sort(prob, 1)
    attack = GradientBoostingClassifier(n_estimators=50, max_depth=3, random_state=seed).fit(
        np.concatenate([x[yes], x[no]]), np.r_[np.ones(n), np.zeros(n)]
    )
    return attack.predict(x[gone]) > 0.5
