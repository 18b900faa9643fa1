"""Parameters of the method “Latent label shift between sites”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param, width_param


class LatentLabelShiftParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(100)
    batch_size: int = batch_param(32)
    learning_rate: float = rate_param(
        1e-3, "Step size of Adam at the start; it falls by 3 % an epoch."
    )
    k: int = param(2, "How many classes to look for; at most the number of sites.", ge=2, le=50)
    cells: int = param(
        30, "Cells the cases are put into before the factorisation; at least k.", ge=2, le=1000
    )
    dropout: float = param(
        0.5, "Share of units left out while training.", ge=0, le=0.9, advanced=True
    )
    width: int = width_param()
    restarts: int = param(
        10,
        "Starts of the factorisation; the one with the least error is kept.",
        ge=1,
        le=200,
        advanced=True,
    )
