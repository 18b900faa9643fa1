"""Parameters of the methods that score cases by their distance from reference cases."""

from __future__ import annotations

from typing import Literal

from core.params import BaseParams, param


class ReferenceParams(BaseParams):
    """What a user sets."""

    score: Literal[
        "automatic",
        "largest of three",
        "nearest cases",
        "Mahalanobis",
        "isolation forest",
        "local outlier factor",
        "ECOD",
    ] = param(
        "automatic",
        "What counts as unusual: far from the nearest cases; far from the mean along usual"
        " directions (Mahalanobis); soon set apart by random cuts (isolation forest); sparser than"
        " the neighbours (local outlier factor); extreme single values (ECOD). Largest of three"
        " takes the first three, each on the scale of held-back cases. Automatic: nearest cases"
        " where it is known which training cases are normal, else largest of three, since abnormal"
        " cases among the training cases are near one another.",
    )
    neighbours: int = param(
        5, "How many nearest cases count, where neighbours do.", ge=1, le=1000, advanced=True
    )
    learn_from: Literal["normal cases", "all training cases"] = param(
        "normal cases",
        "Training cases that say what is usual: the normal ones, where it is known which are (class"
        " or masks), else all. All training cases, abnormal ones among them, is how unsupervised"
        " detectors are compared in the literature.",
    )
    reference: int = param(
        20000,
        "Training cases that are kept as reference, drawn evenly where there are more.",
        ge=10,
        le=1_000_000,
        advanced=True,
    )
