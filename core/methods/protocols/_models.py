"""Fitted contestants as arrays: how rows are read by them, and what they show on test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Metric
from core.methods.protocols._names import SOURCE
from core.methods.protocols._shifts import sites_of
from core.stats.metrics import mean_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset

# by "site/role", the role being chosen or plain; "/pooled" is of all sites
Models = dict[str, dict[str, np.ndarray]]


def read_rows(model: dict[str, np.ndarray], x: np.ndarray, classes: int) -> np.ndarray:
    """float64 [n,classes]: class probabilities of raw rows by a model given as arrays."""
    from scipy.special import softmax

    z = np.nan_to_num((x - model["mean"]) / model["sd"]) @ model["turn"] + model["move"]
    if model["curve"][0]:
        z = np.sqrt(2 / len(model["phase"])) * np.cos(z @ model["omega"] + model["phase"])
    prob = np.zeros((len(x), classes))
    prob[:, model["codes"][model["known"]]] = softmax(z @ model["weight"] + model["bias"], axis=1)
    return prob


def fit_pooled(x: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return a straight reader of all sites' learning rows: what rows of a site that is not known
    are read by.
    """
    from core.methods.protocols._contestants import Reader

    mean, sd = np.nan_to_num(np.nanmean(x, 0)), np.nan_to_num(np.nanstd(x, 0))
    sd[sd < 1e-12] = 1.0
    reader = Reader(seed=seed).fit(np.nan_to_num((x - mean) / sd), labels)
    codes, d = reader.classes_.astype(np.int64), x.shape[1]
    return {
        "turn": np.eye(d),
        "move": np.zeros(d),
        "omega": reader.omega_,
        "phase": reader.phase_,
        "weight": reader.weight_,
        "bias": reader.bias_,
        "curve": np.zeros(1),
        "known": np.arange(len(codes)),
        "codes": codes,
        "mean": mean,
        "sd": sd,
    }


def read_by_site(models: Models, data: Dataset, role: str, classes: int) -> np.ndarray:
    """float32 [n, classes]: each row read by the model made for its site (`role` chosen or plain),
    rows of other sites by the one of all sites.
    """
    x, prob = data.inputs().astype(np.float64), np.zeros((len(data), classes))
    site = np.array([f"{d}/{role}" for d in sites_of(data)], dtype=object)
    for name in dict.fromkeys(site):
        at = np.flatnonzero(site == name)
        prob[at] = read_rows(models.get(name, models["/pooled"]), x[at], classes)
    return prob.astype(np.float32)


def measure_on_test(models: Models, data: Dataset, prob: np.ndarray) -> list[Metric]:
    """Accuracy on the test rows, which no part of the contest has seen, of the chosen contestants
    (their `prob` [n, classes]) and of the plain model; nothing for fewer than five.
    """
    known = np.array([f"{site}/plain" in models for site in sites_of(data)])
    at = np.flatnonzero((data.splits == "test") & (data.labels >= 0) & known)
    if len(at) < 5:
        return []
    part = data.take(at)
    own = prob[at].argmax(1) == part.labels
    plain = read_by_site(models, part, "plain", prob.shape[1]).argmax(1) == part.labels
    values = {
        "accuracy of the chosen contestants": own,
        f"accuracy of {SOURCE}": plain,
        "gain of the chosen contestants": own.astype(float) - plain,
    }
    return [mean_metric(name, value, part, (-1, 1), split="test") for name, value in values.items()]
