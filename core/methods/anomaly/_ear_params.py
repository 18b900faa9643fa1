"""Parameters of the method “Excise and recover (EAR)”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class EARParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(30, "Passes over the normal training pictures.")
    batch_size: int = batch_param(32, "Pictures per step.", ge=4, le=1024)
    learning_rate: float = rate_param(1e-3)
    side: Literal[32, 64, 128, 256] = param(
        64, "Pictures are brought to this many pixels a side.", unit="pixels"
    )
    mask: Literal["saliency", "grid"] = param(
        "saliency",
        "What is hidden: the places that stand out, or cells of a grid that is the same for all"
        " pictures.",
    )
    saliency: Literal["spectral residual", "attention", "dinov2"] = param(
        "spectral residual",
        "What says which places stand out: the spectrum of the picture, which needs no training;"
        " what a small transformer attends to that first learns from the training pictures; or what"
        " DINOv2 from a folder attends to.",
    )
    encoder_folder: str = param(
        "",
        "Folder of this machine that holds DINOv2 (config.json, model.safetensors).",
        advanced=True,
    )
    area: float = param(
        0.25,
        "Share of the normal training pictures that is hidden; of a grid at most a quarter.",
        ge=0.02,
        le=0.75,
    )
    mosaic: Literal[0, 1, 2, 4, 8, 16] = param(
        0,
        "Side of the blocks shown in place of what is hidden; 1 hides nothing, 0 = chosen on"
        " validation pictures.",
        unit="pixels",
    )
    hint: Literal["mosaic", "zeros"] = param(
        "mosaic", "What is shown in place of what is hidden.", advanced=True
    )
    width: int = param(8, "Channels of the first level of the network.", ge=2, le=64, advanced=True)
    structure: float = param(
        0.01,
        "Weight of structural and of edge similarity in the loss, beside the squared error.",
        ge=0,
        le=10,
        advanced=True,
    )
    healthy: float = param(
        0.995,
        "Share of normal validation pixels that must lie below the pixel threshold.",
        ge=0.9,
        le=0.99999,
        advanced=True,
    )
