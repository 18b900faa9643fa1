"""Parameters of the method “Dinomaly”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class DinomalyParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(
        60,
        "Passes over the normal training pictures, those of the encoder's own learning included.",
    )
    batch_size: int = batch_param(16, "Pictures per step.", ge=4, le=1024)
    learning_rate: float = rate_param(2e-3)
    side: Literal[32, 64, 128, 224, 392] = param(
        64,
        "Pictures are brought to this many pixels a side; 392 suits a DINOv2 encoder.",
        unit="pixels",
    )
    encoder: Literal["small", "dinov2"] = param(
        "small",
        "What describes the pictures: a small transformer that first learns from the training"
        " pictures, or DINOv2 from a folder.",
    )
    encoder_folder: str = param(
        "",
        "Folder of this machine that holds DINOv2 (config.json, model.safetensors).",
        advanced=True,
    )
    dropout: float = param(
        0.2,
        "Share of the values left out before, within and after the bottleneck while learning.",
        ge=0,
        le=0.9,
    )
    pretraining: float = param(
        0.4,
        "Share of the steps in which the small encoder learns by itself, by redrawing hidden"
        " patches.",
        ge=0,
        le=0.9,
        advanced=True,
    )
    patch: Literal[2, 4, 8, 16] = param(
        8, "Side of a patch of the small encoder.", unit="pixels", advanced=True
    )
    width: int = param(
        64, "Width of the small encoder's tokens.", ge=16, le=512, multiple_of=16, advanced=True
    )
    healthy: float = param(
        0.995,
        "Share of normal validation pixels that must lie below the pixel threshold.",
        ge=0.9,
        le=0.99999,
        advanced=True,
    )
