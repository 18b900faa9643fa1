"""Figures of a run on series: recognised symbols beside rivals, and where the redrawn signal is
worst.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Metric
from core.stats.bootstrap import interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.imaging.signals import Look
    from core.methods.series.beta_vae_scan import BetaVAEScan
    from core.training.run import Run

WINDOWS = 8  # of the hand-made features, and of the stretches looked at


def windows(x: np.ndarray) -> np.ndarray:
    """Means of eight equal stretches of every channel: x [n,C,T] -> [n,8C]. The hand-made rival, as
    a potential's window mean is for EEG.
    """
    return np.concatenate([part.mean(2) for part in np.array_split(x, WINDOWS, axis=2)], 1)


def logistic(features: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weight [f,k], bias [k]) of a logistic regression in which every class of y (codes; -1 = left
    out) weighs the same; features are standardised within.
    """
    from sklearn.linear_model import LogisticRegression

    known = y >= 0
    mean, sd = features[known].mean(0), np.maximum(features[known].std(0), 1e-9)
    made = LogisticRegression(class_weight="balanced", max_iter=2000).fit(
        (features[known] - mean) / sd, y[known]
    )
    weight, bias = (
        (made.coef_, made.intercept_)
        if len(made.classes_) > 2
        else (
            np.stack([-made.coef_[0], made.coef_[0]]),
            np.stack([-made.intercept_[0], made.intercept_[0]]),
        )
    )
    return (weight / sd).T, bias - (weight / sd) @ mean


def balanced(said: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the classes of `truth` of the share of their cases that are said right."""
    return float(np.mean([(said[truth == c] == c).mean() for c in np.unique(truth)]))


def recognised(
    data: Dataset, truth: np.ndarray, answers: dict[str, np.ndarray], names: list[str], run: Run
) -> list[Metric]:
    """Balanced accuracy of each answer on test cases that bear a symbol, intervals by group where
    there are groups; then the share found of each symbol.
    """
    at = np.flatnonzero((data.splits == "test") & (truth >= 0))
    if len(at) < 5 or len(np.unique(truth[at])) < 2:
        return [
            Metric(
                "balanced accuracy",
                None,
                split="test",
                n=len(at),
                note="fewer than 5 test cases, or one symbol only among them",
            )
        ]
    groups = data.groups[at] if data.groups is not None else None
    found = []
    for name, said in answers.items():
        score = lambda i, said=said[at]: balanced(said[i], truth[at][i])  # noqa: E731
        one = Metric(
            f"balanced accuracy: {name}",
            score(np.arange(len(at))),
            split="test",
            n=len(at),
            note=f"chance {1 / len(names):.2f}",
        )
        found.append(one.within(interval(score, len(at), groups, (0, 1), classes=truth[at])))
    said = next(iter(answers.values()))[at]
    for j, name in enumerate(names):
        part = truth[at] == j
        if part.any():
            found.append(
                Metric(
                    "share found",
                    float((said[part] == j).mean()),
                    split="test",
                    group=name,
                    n=int(part.sum()),
                    note="of the cases that bear it",
                )
            )
    return found


def worst_stretch(x: np.ndarray, back: np.ndarray, look: Look, part: str) -> Metric:
    """Where small waves are lost: of eight stretches a channel, the one whose squared error is the
    largest share of the variance between cases there.

    `x`, `back` [n,channels,length] are the signals and how they are redrawn, of the cases of `part`
    ("test", or "train" where there are none).
    """
    from core.imaging import signals

    error, spread = np.square(back - x), np.square(x - x.mean(0))
    edges = np.linspace(0, x.shape[2], WINDOWS + 1).astype(int)
    share = np.stack(
        [
            error[..., a:b].mean((0, 2)) / np.maximum(spread[..., a:b].mean((0, 2)), 1e-12)
            for a, b in pairwise(edges)
        ],
        1,
    )
    c, k = np.unravel_index(int(share.argmax()), share.shape)
    where = look.channels[c] if c < len(look.channels) else f"channel {c + 1}"
    note = (
        f"{where}, {signals.words(look, x.shape[2], int(edges[k]), int(edges[k + 1]) - 1)}; above"
        " 1: that stretch is better left as the mean"
    )
    return Metric(
        "worst stretch: error of the redrawn signal",
        float(share[c, k]),
        split=part,
        n=len(x),
        higher_is_better=False,
        note=note,
    )


def reasons(
    method: BetaVAEScan, z: np.ndarray, prob: np.ndarray | None, like: np.ndarray | None
) -> list[list[dict[str, Any]]]:
    """Per case: which symbol its pattern is like, and the axes that speak most for or against that
    symbol (without symbols: its most unusual axes).

    z : coordinates [n,d]
    prob, like : probability [n,k] of each symbol, likeness [n,k,d] to it by axis; None without
        symbols
    """
    level = np.array(["very low", "low", "middling", "high", "very high"])
    words = level[(z[None] > method.places_[:, None]).sum(0)]
    shown = np.flatnonzero(method.used_)
    if prob is None or like is None:
        odd = z / np.maximum(np.abs(method.places_).max(0), 1e-6)
        order = np.argsort(-np.abs(odd[:, shown]), axis=1, kind="stable")[:, :4]
        return [
            [
                {"text": f"{method.axes_[j]} {words[i, j]}", "weight": float(odd[i, j])}
                for j in shown[order[i]]
            ]
            for i in range(len(z))
        ]
    found = []
    for i in range(len(z)):
        best, other = np.argsort(-prob[i], kind="stable")[:2]
        gain = like[i, best] - like[i, other]
        named = f"pattern like “{method.class_names_[best]}”"
        items = [{"text": named, "weight": float(gain.sum())}]
        for j in shown[np.argsort(-np.abs(gain[shown]), kind="stable")][:4]:
            items.append({"text": f"{method.axes_[j]} {words[i, j]}", "weight": float(gain[j])})
        found.append(items)
    return found


def firm_symbols(method: BetaVAEScan, n: int) -> list[Metric]:
    """The axes each symbol fixes firmer than chance does, and the symbols that were left out; `n`
    cases were described.
    """
    found = []
    for i, name in enumerate(method.symbols_):
        firm = np.flatnonzero(method.nats_[i] > method.chance_[i])
        order = firm[np.argsort(-method.nats_[i, firm])]
        said = "; ".join(f"{method.axes_[j]} {method.centre_[i, j]:+.1f}" for j in order)
        found.append(
            Metric(
                "axes fixed firmer than by chance",
                float(len(firm)),
                group=name,
                split="train",
                n=int(method.bearers_[i]),
                higher_is_better=None,
                note=said or "none",
            )
        )
    if method.left_out_:
        found.append(
            Metric(
                "symbols left out",
                float(len(method.left_out_)),
                n=n,
                higher_is_better=None,
                note="too few training cases: " + ", ".join(method.left_out_[:8]),
            )
        )
    return found
