"""Parameters of the method “Generate abnormal pictures with masks (SeaS)”."""

from __future__ import annotations

from typing import Literal

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class SeaSParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(200, "Times the pairs of an epoch are gone through.")
    batch_size: int = batch_param(
        8, "Abnormal pictures per step, beside as many normal ones.", ge=2, le=256
    )
    learning_rate: float = rate_param(1e-3, "Step size of AdamW.")
    side: Literal[16, 32, 64, 128] = param(
        32, "Pictures are brought to this many pixels a side, and made at it.", unit="pixels"
    )
    kind: str = param(
        "",
        "Column that says which kind of abnormality a picture shows; empty = its class, “none” ="
        " one kind.",
        column=True,
    )
    turns: Literal["all", "mirror", "none"] = param(
        "all",
        "How pictures may be turned while learning: all ways, left and right exchanged only"
        " (heads), or not.",
    )
    pairs: int = param(24, "Pictures to generate of each kind.", ge=1, le=1000)
    start: float = param(
        0.8,
        "Share of the noise levels at which a normal picture enters: the lower, the more of it"
        " stays.",
        gt=0,
        le=1,
    )
    guidance: float = param(
        2.0,
        "How much more abnormal than learned the pictures are to be; 1 = as learned.",
        ge=0,
        le=20,
    )
    alignment: float = param(
        1.0,
        "Weight of the losses that draw the attention of a kind's tokens onto its mask; 0 = off.",
        ge=0,
        le=100,
        advanced=True,
    )
    threshold: float = param(
        0.2,
        "Probability above which a pixel of a generated picture is masked.",
        gt=0,
        lt=1,
        advanced=True,
    )
    steps: int = param(20, "Steps from noise to picture.", ge=2, le=200, advanced=True)
    draws: int = param(
        128,
        "Pairs of an abnormal and a normal picture in an epoch; no more normal ones are learned"
        " from.",
        ge=4,
        le=100000,
        advanced=True,
    )
    width: int = param(
        16,
        "Channels of the first level of the network.",
        ge=4,
        le=256,
        multiple_of=2,
        advanced=True,
    )
