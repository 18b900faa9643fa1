"""The one factor by which the values of a whole dataset of deep pictures become 0 to 255."""

from __future__ import annotations

import numpy as np

FAR = 7  # times the range of all others at which a value alone counts as "no value here"


class GreyRange:
    """Collects the values of deep pictures one by one; then says which value is black and which is
    white.
    """

    def __init__(self) -> None:
        self.lowest: list[float] = []  # the two least different values of all, ascending
        self.highest: list[float] = []  # the two largest, ascending
        self.pictures = self.missing = 0

    def add(self, image: np.ndarray) -> None:
        """`image`: [H,W] or [H,W,C] of any number type; NaN counts as no value."""
        values = image.ravel()
        self.pictures += 1
        if values.dtype.kind == "f":
            there = np.isfinite(values)
            self.missing += not there.all()
            values = values[there]
        if not values.size:
            return
        low, high = values.min(), values.max()
        ends = {float(low), float(high)}
        inner = values[(values > low) & (values < high)]
        if inner.size:
            ends |= {float(inner.min()), float(inner.max())}
        self.lowest = sorted(ends | set(self.lowest))[:2]
        self.highest = sorted(ends | set(self.highest))[-2:]

    def marks(self) -> list[float]:
        """Return the least and the largest value, where all others lie so close together beside it
        that it would leave them no range: the mark of pixels without a value, as -32768 beside a
        scan.
        """
        if len(self.lowest) < 2 or self.highest[0] <= self.lowest[1]:
            return []
        (low, second), (last, high) = self.lowest, self.highest
        return [
            end
            for end, gap in ((low, second - low), (high, high - last))
            if gap > FAR * (last - second)
        ]

    def ends(self) -> tuple[float, float]:
        """Return the values that become 0 and 255; marks lie outside.

        0 stays black where the values begin in the lower half; else (signed values, values with an
        offset) the least value is black.
        """
        if not self.lowest:
            return 0.0, 1.0
        marks = self.marks()
        low = self.lowest[self.lowest[0] in marks]
        high = self.highest[-1 - (self.highest[-1] in marks)]
        if 0 <= low < 0.5 * high:
            low = 0.0
        return low, high if high > low else low + 1.0

    def rule(self) -> list[str]:
        """Return what is done with the values, in words."""
        low, high = self.ends()
        n = self.pictures
        words = (
            f"{n} picture{'s' * (n != 1)} with values other than 0 to 255 brought to that range "
            "by one factor for all: "
        )
        rules = [
            f"{words}{low:.6g} becomes 0 and the largest ({high:.6g}) becomes 255 "
            f"({(high - low) / 255:.3g} a level)"
        ]
        for mark in self.marks():
            drawn = "black" if mark < low else "white"
            rules.append(
                f"the value {mark:.6g} lies far from all others and counts for no range; it "
                f"becomes {drawn}"
            )
        if self.missing:
            rules.append(
                f"{self.missing} picture{'s hold' if self.missing != 1 else ' holds'} pixels "
                "without a value; they become black"
            )
        return rules

    def in_bytes(self, image: np.ndarray) -> np.ndarray:
        """`image` of any number type as uint8 of the same shape: the least value 0, the largest
        255, linear between; NaN 0.
        """
        low, high = self.ends()
        share = (image.astype(np.float64) - low) / (high - low)
        return (np.nan_to_num(share, nan=0.0).clip(0, 1) * 255).round().astype(np.uint8)
