"""Series drawn as traces: one lane a channel, time to the right, the same scale for every case of a dataset, with units where the picture is wide enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.data.dataset import Dataset

Array = np.ndarray
GROUND, GRID, FAINT, WORDS = (17, 17, 17), (58, 58, 58), (130, 130, 130), (190, 190, 190)
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0))
UP, DOWN = np.array([230, 159, 0]), np.array([86, 180, 233])
LANES = 6  # channels drawn; a note says so where there are more
WIDE = 200  # pixels from which axes are written


@dataclass(frozen=True)
class Look:
    """How the series of one dataset are drawn: `low` and `high` [C] end each lane; `rate` in Hz (0 = unknown), `start` in s, `unit` of the values."""

    low: Array
    high: Array
    rate: float = 0.0
    start: float = 0.0
    unit: str = ""
    channels: tuple[str, ...] = ()


def look(data: Dataset | Array) -> Look:
    """Lanes that hold 99 % of all cases (at most 400, evenly taken), with rate, start, unit and names from the card; or lanes of one series [C,T]."""
    if isinstance(data, np.ndarray):
        return _lanes(data[None])
    every = data.every
    some = _lanes(every.inputs(np.unique(np.linspace(0, len(every) - 1, min(400, len(every))).astype(int))))
    card = data.card
    return Look(
        some.low,
        some.high,
        float(card.get("rate_hz") or 0),
        float(card.get("start_s") or 0),
        str(card.get("unit") or ""),
        tuple(map(str, card.get("channels") or ())),
    )


def _lanes(x: Array) -> Look:
    low, high = np.quantile(x.min(2), 0.01, axis=0), np.quantile(x.max(2), 0.99, axis=0)
    room = 0.06 * np.maximum(high - low, 1e-9)
    return Look(low - room, high + room)


def times(at: Look, many: int) -> tuple[Array, str]:
    """Time of each of `many` samples and its unit: seconds where the rate is known, else the sample's number."""
    return (at.start + np.arange(many) / at.rate, "s") if at.rate > 0 else (np.arange(many, dtype=float), "samples")


def words(at: Look, many: int, first: int, last: int) -> str:
    """The stretch of samples `first` to `last` in words: "-20 to 40 ms"."""
    t, unit = times(at, many)
    scale, unit = (1000, "ms") if unit == "s" else (1, unit)
    return f"{scale * t[first]:.0f} to {scale * t[last]:.0f} {unit}"


def changed(before: Array, after: Array) -> tuple[int, int, int]:
    """(channel, first, last): the stretch around the largest difference of two series [C,T] in which it stays above half of that."""
    size = np.abs(np.asarray(after) - np.asarray(before))
    channel, at = np.unravel_index(int(size.argmax()), size.shape)
    over = size[channel] >= 0.5 * size[channel, at]
    first = last = int(at)
    while first > 0 and over[first - 1]:
        first -= 1
    while last < len(over) - 1 and over[last + 1]:
        last += 1
    return int(channel), first, last


def drawn(x: Array, at: Look, width: int = 96, height: int = 0, before: Array | None = None, tint: Array | None = None) -> Array:
    """A series [C,T] as uint8 [height,width,3] (height 0: three quarters of the width).

    `before` [C,T] is drawn in grey behind it, with the stretch that differs most shaded. `tint` [T] in -1..1 colours the ground: orange above zero, blue below.
    """
    from PIL import Image, ImageDraw

    height = height or round(0.75 * width)
    fine = 2  # drawn at twice the size: lines without steps
    w, h, axes = fine * width, fine * height, width >= WIDE
    size = fine * max(9, width // 30)
    left, foot = (round(3.2 * size), round(1.5 * size)) if axes else (0, 0)
    many, lanes = x.shape[1], min(len(x), LANES)
    across = left + (np.arange(many) + 0.5) / many * (w - left)
    canvas = np.full((h, w, 3), GROUND, np.uint8)
    if tint is not None:
        share = np.interp(np.arange(left, w), across, np.clip(tint, -1, 1))[None, :, None]
        canvas[: h - foot, left:] = (GROUND + np.abs(share) * 0.75 * (np.where(share > 0, UP, DOWN) - GROUND)).astype(np.uint8)
    if before is not None and np.abs(x - before).max() > 1e-6:
        _, first, last = changed(before, x)
        canvas[: h - foot, round(across[first]) : round(across[last]) + fine] = (58, 48, 24)
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    if axes:
        _time_axis(draw, at, across, h - foot, size)
    each = (h - foot) / lanes
    for c in range(lanes):
        low, high = float(at.low[c]), float(at.high[c])
        place = lambda v, c=c, low=low, high=high: each * (c + 1) - each * np.clip((np.asarray(v) - low) / max(high - low, 1e-12), 0, 1)  # noqa: E731
        if low < 0 < high:
            draw.line([(left, float(place(0.0))), (w, float(place(0.0)))], fill=GRID, width=fine // 2)
        if axes:
            _lane_axis(draw, at, c, place, left, size)
        if before is not None:
            draw.line(list(zip(across.tolist(), place(before[c]).tolist())), fill=FAINT, width=fine, joint="curve")
        draw.line(list(zip(across.tolist(), place(x[c]).tolist())), fill=COLOURS[c % len(COLOURS)], width=max(fine, round(fine * width / 200)), joint="curve")
    if axes and len(x) > lanes:
        draw.text((left + size, size // 3), f"{lanes} of {len(x)} channels", fill=WORDS, font_size=size)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _step(span: float, most: int) -> float:
    """A round step (1, 2 or 5 times a power of ten) of which at most `most` fit into `span`."""
    base = 10.0 ** np.floor(np.log10(max(span, 1e-12) / most))
    return next((float(base * k) for k in (1, 2, 5, 10) if span / (base * k) <= most), float(10 * base))


def _time_axis(draw: Any, at: Look, across: Array, floor: int, size: int) -> None:
    t, unit = times(at, len(across))
    step = _step(float(t[-1] - t[0]), 5)
    for tick in np.arange(np.ceil(t[0] / step), np.floor(t[-1] / step) + 1) * step:
        x = float(np.interp(tick, t, across))
        draw.line([(x, 0), (x, floor)], fill=GRID, width=1)
        draw.text((min(x, across[-1] - size), floor + size // 5), f"{tick + 0.0:.3g}", fill=WORDS, font_size=size, anchor="ma")
    draw.text((size // 2, floor + size // 5), unit, fill=WORDS, font_size=size)


def _lane_axis(draw: Any, at: Look, c: int, place: Any, left: int, size: int) -> None:
    """The value's unit at a round height, zero, and the channel's name in the lane's corner."""
    low, high = float(at.low[c]), float(at.high[c])
    step = _step(high - low, 3)
    for tick in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step:
        draw.text((left - size // 3, float(place(tick))), f"{tick + 0.0:.3g}", fill=WORDS, font_size=size, anchor="rm")
    name = at.channels[c] if c < len(at.channels) else f"channel {c + 1}"
    said = "".join(k for k in name if k.isprintable())[:16] + (f", {at.unit[:8]}" if at.unit else "")
    draw.text((left + size // 2, float(place(high)) + size // 4), said, fill=COLOURS[c % len(COLOURS)], font_size=size)
