"""Parameters of the method “Novel class discovery in a table”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class TabularNCDParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(100, "Passes over all rows.")
    batch_size: int = batch_param(128, "Rows per step.")
    learning_rate: float = rate_param(3e-3, "Step size of AdamW.")
    novel: str = param(
        "",
        "Classes whose labels are hidden, separated by commas; rows without a label are novel"
        " as well. Empty: the rarest class is hidden.",
    )
    groups: int = param(0, "Number of novel groups; 0 estimates it.", ge=0, le=200)
    most: int = param(15, "Largest number of novel groups considered.", ge=2, le=100, advanced=True)
    tune: bool = param(True, "Choose the classifier's weight by hiding known classes in turn.")
    weight: float = param(
        0.2,
        "Weight of the classifier when it is not tuned, w in the paper.",
        ge=0,
        le=1,
        advanced=True,
    )
    latent: int = param(16, "Latent dimensions.", ge=2, le=512)
    dropout: float = param(
        0.1, "Share of units left out while training.", ge=0, le=0.9, advanced=True
    )
