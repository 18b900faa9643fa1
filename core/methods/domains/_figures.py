"""How far the classes found by latent label shift are to be believed, in figures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Metric
from core.methods.domains._factorise import DRAWS
from core.stats.metrics import mean_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def figures(method: Any, data: Dataset, site_prob: np.ndarray, sites: np.ndarray) -> list[Metric]:
    """How well sites are told apart, how far their frequencies differ, and each frequency with
    its interval.
    """
    held = np.flatnonzero((data.splits != "train") & (sites >= 0))
    condition = float(np.linalg.cond(method.prior_))
    words = (
        "the sites differ too little in how often classes occur: do not believe the classes"
        if condition > 10
        else ""
    )
    learned = int((np.isin(data.splits, ["train", "val"]) & (sites >= 0)).sum())
    found = [
        Metric(
            "condition number of the frequencies",
            condition,
            split="train and val",
            n=learned,
            higher_is_better=False,
            note=words,
        )
    ]
    found.append(
        Metric(
            "factorisation error",
            method.error_,
            split="train and val",
            n=learned,
            higher_is_better=False,
        )
    )
    if len(held) >= 5:
        each = -np.log(np.maximum(site_prob[held, sites[held]], 1e-12))
        note = f"chance level {np.log(len(method.sites_)):.2f}"
        found.append(
            mean_metric(
                "site discriminator: cross-entropy",
                each,
                data.take(held),
                (0, np.inf),
                split="val and test",
                higher_is_better=None,
                note=note,
            )
        )
    for j in range(method.prior_.shape[0]):
        for s, site in enumerate(method.sites_):
            low, high = (float(v) if np.isfinite(v) else None for v in method.bound_[:, j, s])
            note = (
                "too few cases of this site for a range"
                if low is None
                else (f"range: the middle 95 % of {DRAWS} times drawing the site's patients again")
            )
            one = Metric(
                f"share of class {j + 1}",
                float(method.prior_[j, s]),
                low,
                high,
                "train and val",
                group=site,
                n=learned,
                higher_is_better=None,
            )
            found.append(replace(one, note=note, kind="range"))
    return found
