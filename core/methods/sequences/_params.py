"""Parameters of the method “Network of mistaken genomes (GMNA)”."""

from __future__ import annotations

from typing import Literal

from core.params import BaseParams, epochs_param, param, rate_param


class GMNAParams(BaseParams):
    """What a user sets."""

    by: str = param(
        "",
        "The column whose values are the groups, such as region or division; empty takes the"
        " label.",
        column=True,
    )
    within: str = param(
        "",
        "A coarser column, such as region when the groups are divisions: are errors made within"
        " it more than by chance?",
        column=True,
    )
    model: Literal["naive bayes", "network"] = param(
        "naive bayes", "k-mer counts with naive Bayes, or a small convolutional network."
    )
    k: int = param(8, "Length of the k-mers.", ge=2, le=9)
    least: int = param(5, "Groups with fewer training genomes are left out.", ge=2, le=10_000)
    smoothing: float = param(
        0.01, "What is added to each k-mer's count.", gt=0, le=10, advanced=True
    )
    rewired: int = param(
        200, "Rewired networks the found one is compared with.", ge=20, le=10_000, advanced=True
    )
    dimensions: int = param(
        16, "Dimensions of the latent map's coordinates.", ge=2, le=128, advanced=True
    )
    epochs: int = epochs_param(
        15, "Passes over the training genomes (network only).", le=1000, advanced=True
    )
    learning_rate: float = rate_param(2e-3, "Step size (network only).", le=1)
