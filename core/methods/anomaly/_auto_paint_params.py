"""Parameters of the method “Self-inpainting (AutoPaint)”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class AutoPaintParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(30, "Passes over the healthy training slices.")
    batch_size: int = batch_param(8, "Slices per step.", ge=4, le=1024)
    learning_rate: float = rate_param(2e-3)
    side: Literal[32, 64, 128, 256] = param(
        64, "Slices are brought to this many pixels a side.", unit="pixels"
    )
    learn_from: Literal["healthy slices", "healthy parts"] = param(
        "healthy slices",
        "Slices with nothing marked, or all slices without what is marked in them.",
    )
    sign: Literal["both", "brighter", "darker"] = param(
        "both", "Which departures count: brighter than expected, darker, or both."
    )
    inputs: Literal["all channels", "one channel"] = param(
        "all channels",
        "What the network learns from and fills in: all channels together, such as CT and PET or"
        " two sequences of MRI, or only the channel that counts.",
        advanced=True,
    )
    channel: int = param(
        -1,
        "The channel whose departures count, from 0; -1 = all together. The others still help to"
        " fill it in, unless one channel alone is learned from.",
        ge=-1,
        le=63,
        advanced=True,
    )
    rounds: int = param(
        3,
        "How often at most what looks unusual is filled in anew as one hole; 0 = never.",
        ge=0,
        le=10,
    )
    healthy: float = param(
        0.9,
        "Share of healthy validation slices in which nothing is to be marked.",
        ge=0.5,
        le=0.999,
    )
    smallest_ml: float = param(
        0.03,
        "Smallest lesion that is marked, where the size of the pixels is known.",
        unit="ml",
        ge=0,
        le=1000,
    )
    smallest: int = param(
        4,
        "Smallest spot of a slice that is marked, at the size the network sees.",
        unit="pixels",
        ge=1,
        le=10000,
        advanced=True,
    )
    cell: float = param(
        0.1,
        "Side of the smaller holes with which a slice is covered, as a share of its side; the"
        " larger ones are twice that.",
        ge=0.03,
        le=0.25,
        advanced=True,
    )
    width: int = param(
        16, "Channels of the first level of the network.", ge=2, le=128, advanced=True
    )
    structure: float = param(
        0.5, "Weight of edges and structure in the loss.", ge=0, le=10, advanced=True
    )
    gain: float = param(
        0.1,
        "Spread of random factors for the brightness of training slices, channel by channel.",
        ge=0,
        le=0.5,
        advanced=True,
    )
    smooth: float = param(0.8, "Blur of the residual.", unit="pixels", ge=0, le=10, advanced=True)
