"""What the values of truth masks mean: labels, one mark, soft edges; decided over all masks of a
set, and said as a rule.

A mask is stored as uint8 codes: 0 is background, every other code is marked (`Dataset.mask()`);
where a set has one mark it is 1 whatever its value was (255, say), where it has several they keep
their numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.sampling import evenly_spaced

# share of a value's pixels whose neighbours have it too, from which it is a label rather than part
# of a soft edge
SOLID = 0.3
# share of pixels between a lower and a higher neighbour, from which values are shades (measured:
# labels 0.0, shades 0.3 and more)
RAMP = 0.2
WHOLE = 1e-3  # off a whole number by which a label may be, once scaled or resampled
SHARE = 0.01  # of what is not background, which a label among shades has at least
APART = 0.1  # of the range, by which labels among shades differ at least
SHARP = 0.25  # of the pixels of a value and those around it, which a label among shades has
SMALL = 31  # largest value of masks that number their labels 1, 2, 3 ...: none of them is a shade
NAMED = 40  # labels listed in the card; more are objects with numbers
CODES = 255  # labels that can be told apart in what is stored
VOID = 255  # palette index of borders and of what nobody judged, as in Pascal VOC


@dataclass(frozen=True)
class Coding:
    """How the values of a set's masks become codes, and the rule in words.

    `half`: values from there on are marked, nothing else counts. Else `levels` (ascending, the
    lowest is background) become `codes`; values that are none of them take the code of the nearest
    one. None of both: anything above 0 is marked.
    """

    rule: str
    half: float | None = None
    levels: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()
    void: int | None = None

    def apply(self, values: np.ndarray) -> np.ndarray:
        """uint8 codes of the shape of `values` (any numbers or bool; NaN and values below 0 are
        background).
        """
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        if self.half is not None:
            return (values >= self.half).astype(np.uint8)
        if not self.levels:
            return (values > 0).astype(np.uint8)
        levels = np.asarray(self.levels, dtype=np.float64)
        cuts = (levels[1:] + levels[:-1]) / 2
        return np.asarray(self.codes, dtype=np.uint8)[
            np.searchsorted(cuts, values, side="left")
        ] * self._kept(values)

    def _kept(self, values: np.ndarray) -> np.ndarray | np.uint8:
        if self.void is None:
            return np.uint8(1)
        return (np.abs(values.astype(np.float64) - self.void) > WHOLE).astype(np.uint8)

    @property
    def labels(self) -> dict[str, str]:
        """Code -> the value it had in the files, where there are several labels; else {}."""
        pairs = {str(c): str(v) for c, v in zip(self.codes, self.levels) if c}
        return pairs if len(pairs) > 1 else {}


@dataclass
class Tally:
    """The values of all masks of a set, told one mask after the other by `add`."""

    count: Counter[int] = field(default_factory=Counter)
    # pixels with the same value to the right and below
    solid: Counter[int] = field(default_factory=Counter)
    # pixels with nearly the same value to the right and below
    flat: Counter[int] = field(default_factory=Counter)
    # pixels between a lower and a higher neighbour, as at soft edges
    ramp: Counter[int] = field(default_factory=Counter)
    soft: int = 0  # masks that hold numbers that are not whole
    top: float = 0.0
    lossy: bool = False
    palette: bool = False
    several: bool = False  # some mask holds more than one value above 0
    below: bool = False  # some mask holds values below 0

    def add(self, values: np.ndarray, lossy: bool = False, palette: bool = False) -> None:
        """`values` [..., H, W], numbers or bool. `lossy`: saved as JPEG. `palette`: places in a
        palette of colours.
        """
        self.lossy, self.palette = self.lossy or lossy, self.palette or palette
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
            self.top = max(self.top, float(values.max(initial=0)))
            if (np.abs(values - np.round(values)) > WHOLE).any():
                self.soft += 1
                return
            values = np.round(values)
        self.below = self.below or bool(values.min(initial=0) < 0)
        values = np.clip(values, 0, np.iinfo(np.int32).max).astype(np.int32)
        self.top = max(self.top, float(values.max(initial=0)))
        mine: Counter[int] = Counter()
        _count(mine, values)
        self.count.update(mine)
        self.several = self.several or len(mine.keys() - {0}) > 1
        inner, right, below = values[..., :-1, :-1], values[..., :-1, 1:], values[..., 1:, :-1]
        _count(self.solid, inner[(inner == right) & (inner == below)])
        step = int(values.max(initial=0)) // 32
        _count(self.flat, inner[(np.abs(inner - right) <= step) & (np.abs(inner - below) <= step)])
        _count(self.ramp, values[_between(values, -1) | _between(values, -2)])

    def coding(self) -> Coding:
        """Return the coding of the whole set. A set without any marked pixel has one mark that
        never occurs.
        """
        found = self._coding()
        rule = found.rule + ("; values below 0 are background" if self.below else "")
        return replace(found, rule=rule)

    def _coding(self) -> Coding:
        if self.soft:
            return _halved(
                self.top, "half of their range" if self.top > 1 else "probabilities or soft edges"
            )
        there, void = sorted(v for v in self.count if v > 0), None
        guess = ""
        if VOID in there and len(there) > 1 and (self.palette or self._judged_nowhere(there)):
            void = VOID
            there.remove(VOID)
            guess = "" if self.palette else ", a guess"
        levels = self._firm(there) if self._shaded(there) else there
        if len(there) > 1 and len(levels) <= 1:
            between = sum(n for v, n in self.count.items() if 0.05 * self.top < v < 0.95 * self.top)
            why = "saved with loss (JPEG)" if self.lossy else "smoothed"
            return _halved(
                self.top, f"half of their range: they are {why}, {between:,} pixels lie between"
            )
        snapped = (
            "; values between them, at soft edges, take the nearest label"
            if len(there) > len(levels)
            else ""
        )
        word = "index" if self.palette else "value"
        border = (
            f"; border pixels ({word} {VOID}{guess}) are not marked" if void is not None else ""
        )
        if len(levels) <= 1:
            value = levels[0] if levels else 1
            return Coding(
                f"the value {value} is marked{border}", levels=(0, value), codes=(0, 1), void=void
            )
        if levels == [1, 255] and not self.several:
            words = "the values 1 and 255, one of them in each mask, are marked"
            return Coding(words, levels=(0, 1, 255), codes=(0, 1, 1))
        if len(levels) > CODES:
            return Coding(
                f"{len(levels):,} different numbers (one an object?): "
                "every number above 0 is marked alike"
            )
        own = levels[-1] <= CODES
        codes = tuple(levels) if own else tuple(range(1, len(levels) + 1))
        words = f"{len(levels)} labels ({_listed(levels)}) are kept" + (
            "" if own else f", numbered 1 to {len(levels)}"
        )
        return Coding(words + snapped + border, levels=(0, *levels), codes=(0, *codes), void=void)

    def _judged_nowhere(self, there: list[int]) -> bool:
        """Whether 255 beside small numbers, in the same masks and of less area than they, is what
        many sets write for pixels that nobody judged.
        """
        rest = [v for v in there if v != VOID]
        small = rest[-1] <= SMALL and self.several and not self.lossy
        return small and self.count[VOID] < sum(self.count[v] for v in rest)

    def _shaded(self, there: list[int]) -> bool:
        """Whether values stand between the marks and the background that are no labels: soft edges,
        or loss.
        """
        if self.lossy or len(there) <= 1 or there[-1] <= SMALL:
            return self.lossy and len(there) > 1
        between = there[:-1]
        count = sum(self.count[v] for v in between)
        ramp, solid = sum(self.ramp[v] for v in between), sum(self.solid[v] for v in between)
        shaded = ramp >= RAMP * count and solid < SOLID * count
        if shaded:
            return True
        # several labels with soft edges: most of what lies between is labels
        firm = self._firm(there)
        shades = [v for v in between if v not in firm]
        count, ramp = sum(self.count[v] for v in shades), sum(self.ramp[v] for v in shades)
        return len(firm) > 1 and len(shades) > len(firm) and ramp >= RAMP * count

    def _firm(self, there: list[int]) -> list[int]:
        """Values that fill areas, a tenth of the range apart: the labels among shades."""
        around = {v: [w for w in (0, *there) if abs(w - v) <= APART / 2 * self.top] for v in there}
        flat = {v: sum(self.flat[w] for w in near) for v, near in around.items()}
        found = [0]
        for v in sorted(there, key=lambda v: (-flat[v], -self.flat[v])):
            if all(abs(v - f) > APART * self.top for f in found):
                found.append(v)
        marked = sum(self.count[v] for v in there)
        most = {
            v: max(SOLID * sum(self.count[w] for w in around[v]), SHARE * marked) for v in found[1:]
        }
        # one value stands out where an area was drawn; slopes hold those around it as often
        near = {v: sum(self.count[w] for w in around[v]) for v in found[1:]}
        sharp = {v for v in found[1:] if self.lossy or self.count[v] >= SHARP * near[v]}
        return sorted(v for v in found[1:] if flat[v] >= most[v] and v in sharp)


def _between(values: np.ndarray, axis: int) -> np.ndarray:
    """`bool` like `values`: strictly between its two neighbours along `axis`."""
    out = np.zeros(values.shape, bool)
    if values.shape[axis] < 3:
        return out
    lines = np.moveaxis(values, axis, -1)
    step = np.sign(np.diff(lines, axis=-1))
    np.moveaxis(out, axis, -1)[..., 1:-1] = (step[..., :-1] * step[..., 1:]) > 0
    return out


def _count(into: Counter[int], values: np.ndarray) -> None:
    if values.size and int(values.max()) < 1 << 16:
        counts = np.bincount(values.ravel())
        there = np.flatnonzero(counts)
        into.update(dict(zip(there.tolist(), counts[there].tolist())))
    else:
        into.update({int(v): int(n) for v, n in zip(*np.unique(values, return_counts=True))})


def _halved(top: float, why: str) -> Coding:
    half = 0.5 if top <= 1 else top / 2
    return Coding(f"values from {half:g} are marked ({why})", half)


def _listed(values: Iterable[int], most: int = 8) -> str:
    values = list(values)
    return ", ".join(map(str, values[:most])) + (" …" if len(values) > most else "")


def encode_masks(values: np.ndarray) -> tuple[np.ndarray, Coding]:
    """uint8 codes of an array of masks [n, ..., H, W] (numbers or bool), and how they came
    about.
    """
    tally = Tally()
    for one in values:
        tally.add(one)
    coding = tally.coding()
    return np.stack([coding.apply(one) for one in values]), coding


def describe_masks(masks: Any, coding: Coding, most: int = 400) -> dict[str, Any]:
    """Return the card's entry `masks`: labels (code: value in the files) and the share of all
    pixels that is marked where any is.

    `masks`: uint8 [n, ...] in memory or made as they are read; of more than `most`, evenly spread
    ones are looked at.
    """
    some = evenly_spaced(len(masks), most) if len(masks) else np.zeros(0, int)
    shares = [float((np.asarray(masks[int(i)]) > 0).mean()) for i in some]
    shares = [s for s in shares if s > 0]
    labels = coding.labels if len(coding.labels) <= NAMED else {}
    return {
        "masks": {"labels": labels, "marked": round(float(np.mean(shares)), 4) if shares else 0.0}
    }
