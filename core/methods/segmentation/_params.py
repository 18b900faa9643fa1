"""Parameters of the method “Segmentation (UNet++)”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class UNetPlusPlusParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(30, "Passes over the training pictures with masks.", le=20000)
    batch_size: int = batch_param(8, "Crops per step.", ge=2, le=512, advanced=False)
    learning_rate: float = rate_param(3e-3, "Largest step size of AdamW.", le=1)
    width: int = param(
        8, "Channels of the first row; each row below has twice as many.", ge=2, le=128
    )
    crop: int = param(
        96, "Side of the crops learned from; 0 = whole pictures.", unit="pixels", ge=0, le=4096
    )
    level: int = param(
        0,
        "Depth of the head used, 1 (fast) to 4; 0 = the shallowest that suffices on validation.",
        ge=0,
        le=4,
    )
    deep_supervision: bool = param(
        True, "Teach every head; without it only the deepest can be used.", advanced=True
    )
    slack: float = param(
        0.005,
        "How much Dice on validation may be given up for a shallower head.",
        ge=0,
        le=0.5,
        advanced=True,
    )
    network: Literal["nested", "plain"] = param(
        "nested",
        "“plain” is an ordinary U-Net of as many parameters, for comparison.",
        advanced=True,
    )
