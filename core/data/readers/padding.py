"""Pixels of DICOM files that lie outside the picture: PixelPaddingValue, or a range of such values.

They are background, as dark as the darkest pixel of their picture, and count for no range (what
the elements mean: DICOM PS3.3 C.7.5.1.1.2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.readers.dicom_values import read_value

AIR = -1000.0  # what a CT picture without any pixel inside becomes
SAMPLED = 4096  # values of a picture that its range is taken from
PAIRS = (  # the value, and the other end where it is a range
    ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
)
TAGS = tuple(name for pair in PAIRS for name in pair)


def read_padding_range(header: Any) -> tuple[float, float] | None:
    """(least, largest) stored value of pixels outside the picture; None where none is named.

    Whole numbers are brought to the sign of the pixels: -2000 is often written as 63536.
    """
    for name, limit in PAIRS:
        ends = [v for v in (_value(header, name), _value(header, limit)) if v is not None]
        if _value(header, name) is None:
            continue
        if name == "PixelPaddingValue":
            span = 2.0 ** (_value(header, "BitsAllocated") or 16)
            signed = bool(_value(header, "PixelRepresentation"))
            ends = [v - span if signed and v >= span / 2 else v for v in ends]
            ends = [v + span if not signed and v < 0 else v for v in ends]
        return min(ends), max(ends)
    return None


def _value(header: Any, name: str) -> float | None:
    try:
        value = float(read_value(header, name))
    except Exception:  # missing, or a value that cannot be what its element holds
        return None
    return value if np.isfinite(value) else None


def find_padding(stored: np.ndarray, ends: tuple[float, float] | None) -> np.ndarray | None:
    """`bool` of the shape of `stored` [H,W]: pixels outside the picture; None where none are."""
    if ends is None or stored.ndim != 2:
        return None
    kind = np.float32 if stored.dtype == np.float32 else np.float64
    found = (stored >= kind(ends[0])) & (stored <= kind(ends[1]))
    return found if found.any() else None


def fill_padding(picture: np.ndarray, away: np.ndarray, unit: str) -> np.ndarray:
    """`picture` [H,W] with the pixels of bool `away` as dark as its darkest pixel elsewhere."""
    inside = picture[~away & np.isfinite(picture)]
    nothing = AIR if unit == "HU" else 0.0
    return np.where(away, inside.min() if inside.size else nothing, picture).astype(picture.dtype)


class Inside:
    """Values of pixels inside the pictures, of which the range of padded scans is taken."""

    def __init__(self) -> None:
        self.some: list[np.ndarray] | None = []  # None: enough was seen

    def add(self, picture: np.ndarray, away: np.ndarray | None) -> None:
        """`picture` [H,W] or [H,W,3], and which of its pixels lie outside."""
        if self.some is None:
            return
        values = picture.ravel() if away is None else picture[~away]
        self.some.append(values[:: max(1, values.size // SAMPLED)].astype(np.float32))

    def merge(self, other: Inside) -> None:
        """Add what another has seen."""
        if self.some is not None:
            self.some += other.some or []

    def taken(self) -> np.ndarray | None:
        """float32 [1,n] of what was seen, None for nothing; no more is collected after it."""
        some, self.some = self.some or [], None
        values = np.concatenate(some) if some else np.zeros(0, np.float32)
        return values[None] if values.size else None
