"""Parameters that both sparse autoencoders have."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class SAEParams(TrainingParams):
    """What a user sets for either."""

    epochs: int = epochs_param(100, le=10_000)
    batch_size: int = batch_param(128, le=8192)
    learning_rate: float = rate_param(1e-3)
    k: int = param(8, "Features that may be on in one case.", ge=1, le=1000)
    features: int = param(
        0, "Features to learn; 0 takes eight times the latent dimensions.", ge=0, le=65_536
    )
    revive: float = param(
        1 / 32,
        "Weight of the loss that brings features back that are never on.",
        ge=0,
        le=10,
        advanced=True,
    )
