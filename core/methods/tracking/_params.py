"""Parameters of the method “Tracking through a film”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class CineTrackerParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(
        60,
        "Passes over the training frames with masks; 0 with “sam2” = use it as it is.",
        ge=0,
        le=20000,
    )
    batch_size: int = batch_param(8, "Training clips per step.", ge=1, le=256, advanced=False)
    learning_rate: float = rate_param(
        2e-3, "Largest step size of AdamW; about 1e-4 suits “sam2”.", le=1
    )
    steps: int = param(4, "Frames of a training clip, the given one included.", ge=2, le=16)
    recent: int = param(
        3, "How many of the last frames are remembered, besides the outlined one.", ge=0, le=8
    )
    window: float = param(
        3.0,
        "Width of the window looked at, in widths of the given outline; more for larger motion.",
        ge=1.5,
        le=10,
    )
    backwards: bool = param(
        False,
        "Also follow backwards into the frames before the outlined one; not possible while the"
        " film is being taken.",
    )
    width: int = param(
        32,
        "Channels of the small network, a multiple of 8.",
        ge=8,
        le=256,
        multiple_of=8,
        advanced=True,
    )
    side: int = param(
        64,
        "Side of the window as the small network sees it, a multiple of 8; more shows finer"
        " edges and takes longer.",
        unit="pixels",
        ge=32,
        le=256,
        multiple_of=8,
        advanced=True,
    )
    network: Literal["small", "sam2"] = param(
        "small", "The network: a small one of our own, or SAM 2.1 from a folder.", advanced=True
    )
    sam2_folder: str = param(
        "",
        "Folder of this machine that holds SAM 2.1 for video (config.json, model.safetensors).",
        advanced=True,
    )
