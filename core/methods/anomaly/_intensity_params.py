"""Parameters of the methods that begin with how bright a pixel is."""

from __future__ import annotations

from typing import Literal

from core.params import BaseParams, param


class IntensityParams(BaseParams):
    """What a user sets of the scale, the channel and the direction."""

    channel: int = param(
        -1,
        "Which channel of the picture to look at, from 0; -1: the one that best finds what is"
        " marked in validation pictures, the first where nothing is marked there.",
        ge=-1,
        le=63,
    )
    look_for: Literal["automatic", "brighter", "darker", "either"] = param(
        "automatic",
        "Which pixels count as unusual: bright ones, dark ones, or both. Automatic: what best finds"
        " the marks of validation pictures, brighter where there are none.",
    )
    scale: Literal["scan", "picture", "training pictures"] = param(
        "scan",
        "Whose median and spread brightness is measured by: all pictures of the same patient or"
        " scan (the column of patients or groups), each picture by itself, or the normal training"
        " pictures, which suits values with a unit, as those of CT. Where no column says which"
        " pictures belong together, those of the training pictures.",
        advanced=True,
    )
    background: float = param(
        0.02,
        "Pixels no brighter than this in any channel are background: they count nowhere and are"
        " never marked. The range of the data is 0 to 1; 0 leaves out what is exactly black.",
        ge=0,
        le=0.5,
        advanced=True,
    )
    smooth: float = param(0.5, "Blur of the map.", unit="pixels", ge=0, le=10, advanced=True)
    healthy: float = param(
        0.995,
        "Share of normal validation pixels that must lie below the pixel threshold.",
        ge=0.9,
        le=0.99999,
        advanced=True,
    )


class SyntheticParams(IntensityParams):
    """What a user sets of the pixel classifier."""

    side: Literal[64, 128, 256] = param(128, "Pictures are brought to this many pixels a side.")
    draws: int = param(
        3, "Times that spots are drawn anew and a classifier is trained on them.", ge=1, le=50
    )
    trees: int = param(100, "Trees of each classifier.", ge=5, le=1000, advanced=True)
    pictures: int = param(
        120, "Normal pictures learned from, at most, evenly taken.", ge=8, le=5000, advanced=True
    )
    pixels: int = param(
        150_000,
        "Pixels each classifier learns from, at most.",
        ge=1000,
        le=5_000_000,
        advanced=True,
    )
    others: Literal["the same direction", "either direction", "unchanged"] = param(
        "the same direction",
        "How synthetic spots change the other channels: in the direction looked for, as lesions do"
        " in FLAIR and T2; in either; or not at all.",
    )
    brightness: float = param(
        4.0,
        "Weight of brightness beside that of the classifier, which has 1; both in standard"
        " deviations of normal pixels.",
        ge=0,
        le=100,
        advanced=True,
    )
    smooth: float = param(0.0, "Blur of the map.", unit="pixels", ge=0, le=10, advanced=True)
