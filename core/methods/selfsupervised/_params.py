"""Parameters of the method “Self-supervised prototypes (SwAV)”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param, width_param


class SwAVParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(30, "Passes over the training pictures.")
    batch_size: int = batch_param(64, "Pictures per step.", advanced=False)
    learning_rate: float = rate_param(3e-3, "Largest step size of AdamW.", le=1)
    prototypes: int = param(
        30,
        "Number of groups the pictures are spread over; well below batch size plus queue.",
        ge=2,
        le=3000,
    )
    temperature: float = param(0.1, "Softness of the prediction.", gt=0, le=1, advanced=True)
    epsilon: float = param(
        0.05,
        "Softness of the codes; larger for uneven data such as rare diseases.",
        gt=0.005,
        le=1,
        advanced=True,
    )
    queue: int = param(
        0,
        "Past pictures that help to spread the codes, for small batches; 0 = none.",
        ge=0,
        le=20000,
        advanced=True,
    )
    small_crops: int = param(
        2, "Small crops per picture (from 28 pixels on).", ge=0, le=8, advanced=True
    )
    frozen_steps: int = param(
        30,
        "Steps at the start in which the prototypes stand still.",
        ge=0,
        le=10000,
        advanced=True,
    )
    strength: float = param(1.0, "How strongly the views are altered.", ge=0.1, le=2, advanced=True)
    flip: bool = param(
        False, "Also mirror left and right; off, since sides matter in medicine.", advanced=True
    )
    width: int = width_param()
