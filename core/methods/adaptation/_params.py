"""Parameters of the method “Domain adaptation of segmentation (OSUDA)”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class OSUDAParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(20, "Passes over the training pictures of the new site.")
    batch_size: int = batch_param(
        16, "Pictures per step; fewer than 8 make statistics unsteady.", le=512, advanced=False
    )
    learning_rate: float = rate_param(3e-3, "Step size of Adam on scales and shifts.")
    crop: int = param(
        0,
        "Side of the crops looked at in each step; 0 = whole pictures.",
        unit="pixels",
        ge=0,
        le=4096,
    )
    start: float = param(
        1.0,
        "Share of the old site's statistics at the first step (eta 0).",
        ge=0,
        le=1,
        advanced=True,
    )
    tau: float = param(
        20.0, "Steps after which that share has fallen to 37 %.", gt=0, le=1e6, advanced=True
    )
    entropy: float = param(
        10.0,
        "Weight of the pixels' entropy at the first step (lambda); it falls to 0.",
        ge=0,
        le=1000,
    )
    tie: float = param(
        1.0,
        "How strongly scales and shifts are held where the sites agree; 0 lets the segmentations"
        " collapse.",
        ge=0,
        le=1000,
        advanced=True,
    )
    fading: bool = param(
        True,
        "Let the weight of the entropy fall; without it the segmentations may collapse.",
        advanced=True,
    )
