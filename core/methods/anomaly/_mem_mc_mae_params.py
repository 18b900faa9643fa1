"""Parameters of the method “Memory-augmented masked autoencoder (MemMC-MAE)”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class MemMCMAEParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(120, "Passes over the normal training pictures.")
    batch_size: int = batch_param(32, "Pictures per step.", ge=4, le=1024)
    learning_rate: float = rate_param(1e-3)
    side: Literal[32, 64, 128, 256] = param(
        32, "Pictures are brought to this many pixels a side.", unit="pixels"
    )
    patch: Literal[2, 4, 8] = param(4, "Side of a patch.", unit="pixels")
    groups: Literal[2, 4, 8] = param(
        4,
        "Patches are divided into so many groups, of which one is shown at a time and the others"
        " are hidden: with 4, three quarters are.",
    )
    draws: int = param(
        2,
        "How many times patches are divided anew; a picture is redrawn once for each group of each"
        " division.",
        ge=1,
        le=32,
        advanced=True,
    )
    slots: int = param(
        32,
        "Places of the memory in each layer of the encoder; 0 = none.",
        ge=0,
        le=512,
    )
    levels: Literal["all", "last"] = param(
        "all", "Which layers of the encoder the decoder looks at."
    )
    score: Literal["highest hundredth", "mean"] = param(
        "mean",
        "What the score of a picture is of its map: the mean, for what changes much of a picture,"
        " or the mean of the highest hundredth, for what is small.",
    )
    learned_from: Literal["all patches", "hidden patches"] = param(
        "all patches", "Patches whose error is learned from.", advanced=True
    )
    width: int = param(64, "Width of the tokens.", ge=16, le=512, multiple_of=16, advanced=True)
    depth: int = param(4, "Layers of the encoder.", ge=1, le=24, advanced=True)
    decoder: int = param(2, "Layers of the decoder.", ge=1, le=12, advanced=True)
    healthy: float = param(
        0.995,
        "Share of normal validation pixels that must lie below the pixel threshold.",
        ge=0.9,
        le=0.99999,
        advanced=True,
    )
