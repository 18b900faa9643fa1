"""Parameters of the method “Brain anomaly detection (StRegA)”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class StRegAParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(25, "Passes over the healthy training slices.")
    batch_size: int = batch_param(32, "Slices per step.", ge=4, le=1024)
    learning_rate: float = rate_param(1e-3)
    latent: int = param(64, "Number of latent axes.", ge=2, le=1024)
    side: Literal[32, 64, 128] = param(64, "Slices are brought to this many pixels a side.")
    channel: int = param(0, "Which channel of the picture to look at.", ge=0, le=63, advanced=True)
    input: Literal["soft tissue", "tissue labels", "raw"] = param(
        "soft tissue", "What the network sees: tissue picture or raw brightness.", advanced=True
    )
    sign: Literal["both", "brighter", "darker"] = param(
        "both", "Which departures count: tissue brighter than expected, darker, or both."
    )
    holes: float = param(
        0.5, "Share of the hole-filling task, c in the paper.", ge=0, le=1, advanced=True
    )
    beta: float = param(0.01, "Weight of the KL term.", ge=0, le=10, advanced=True)
    smooth: float = param(0.8, "Blur of the residual.", unit="pixels", ge=0, le=10, advanced=True)
    healthy: float = param(
        0.995,
        "Share of healthy validation pixels that must lie below the pixel threshold.",
        ge=0.9,
        le=0.99999,
        advanced=True,
    )
    smallest: int = param(
        6,
        "Smallest spot that is marked, at the size the network sees; smaller ones count for noise.",
        unit="pixels",
        ge=1,
        le=10000,
        advanced=True,
    )
