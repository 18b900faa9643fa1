"""Parameters of the method “Feature selection (QuickSelection)”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class QuickSelectionParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(60, "Passes over the training rows.")
    batch_size: int = batch_param(100, "Rows per step.")
    learning_rate: float = rate_param(0.02, "Step size.", le=1)
    keep: int = param(20, "How many columns to select.", ge=1, le=10_000)
    hidden: int = param(200, "Hidden units.", ge=4, le=20_000)
    epsilon: float = param(
        5.0,
        "Connections a layer has per input and hidden unit.",
        gt=0.1,
        le=1000,
        advanced=True,
    )
    renewed: float = param(
        0.2,
        "Share of the weakest connections replaced after each epoch.",
        ge=0,
        le=0.9,
        advanced=True,
    )
    noise: float = param(
        0.2,
        "Standard deviation of the noise added to the standardised columns.",
        ge=0,
        le=5,
        advanced=True,
    )
    dropout: float = param(
        0.2, "Share of hidden units left out while training.", ge=0, le=0.9, advanced=True
    )
