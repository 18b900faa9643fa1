"""Parameters of the method “Make a model forget cases (label-agnostic)”."""

from __future__ import annotations

from core.params import EpochParams, batch_param, epochs_param, param


class ForgettingParams(EpochParams):
    """What a user sets."""

    epochs: int = epochs_param(10, "Passes over the retained training cases.", le=500)
    batch_size: int = batch_param(64, "Retained cases per step; as many to forget are drawn.")
    temperature: float = param(
        5.0,
        "Softness of the alignment: 5 for single cases, 20 for a whole class.",
        gt=0,
        le=100,
    )
    compare: bool = param(
        True,
        "Also train from scratch without the forgotten cases, the yardstick of forgetting.",
    )
    allowed: float = param(
        0.05,
        "How far agreement with the old model on retained cases may fall before it stops.",
        ge=0,
        le=1,
        advanced=True,
    )
    unlearning_rate: float = param(
        1e-4, "Step size of Adam for making embeddings foreign.", gt=0, le=0.1, advanced=True
    )
    alignment_rate: float = param(
        2e-4, "Step size of Adam for the alignment.", gt=0, le=0.1, advanced=True
    )
    model_epochs: int = param(
        30, "Passes of the two autoencoders of embeddings.", ge=1, le=1000, advanced=True
    )
