"""Series drawn as traces: one lane a channel, time to the right, the same scale for every case of a
dataset, with units where the picture is wide enough.

Up to six channels have a lane each with its own ticks; more (EEG) stand closely under their names,
those of one unit at one gain, with a scale bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from core.sampling import evenly_spaced

if TYPE_CHECKING:
    from core.data.dataset import Dataset

Array = np.ndarray
GROUND, GRID, FAINT, WORDS = (17, 17, 17), (58, 58, 58), (130, 130, 130), (190, 190, 190)
COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
)
UP, DOWN = np.array([230, 159, 0]), np.array([86, 180, 233])
# channels with ticks of their own; small pictures draw no more of them, a note says so where there
# are more
LANES = 6
MOST, CLOSE = 32, 15  # channels drawn at all; pixels that a lane of many has at least
LOOKED = 8_000_000  # values looked at to find the scale
WIDE = 200  # pixels from which axes are written


@dataclass(frozen=True)
class SignalStyle:
    """How the series of one dataset are drawn: `low` and `high` [C] end each lane; `rate` in Hz (0
    = unknown), `start` in s, `units` of the channels' values.
    """

    low: Array
    high: Array
    rate: float = 0.0
    start: float = 0.0
    units: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def name(self, c: int) -> str:
        """Return what channel `c` is called."""
        return _clean(self.channels[c])[:16] if c < len(self.channels) else f"channel {c + 1}"

    def unit(self, c: int) -> str:
        """Return the unit of channel `c`, short; "" where it is not known."""
        return _clean(self.units[c])[:8] if c < len(self.units) else ""


def _clean(word: str) -> str:
    return "".join(k for k in word if k.isprintable())


_looks: dict[str, SignalStyle] = {}  # by the hash of the dataset: what was stored never changes


def signal_style(data: Dataset | Array) -> SignalStyle:
    """Lanes that hold 99 % of all cases (at most 400, evenly taken), with rate, start, units and
    names from the card; or lanes of one series [C,T].
    """
    if isinstance(data, np.ndarray):
        return _lane_limits(data[None], ())
    if data.hash and data.hash in _looks:
        return _looks[data.hash]
    every = data.every
    many = max(16, min(400, LOOKED // max(1, int(np.prod(every.shape)))))
    card = data.card
    units = tuple(map(str, card.get("units") or [card.get("unit") or ""] * every.shape[0]))
    some = _lane_limits(
        every.inputs(evenly_spaced(len(every), many)),
        units,
    )
    found = SignalStyle(
        some.low,
        some.high,
        float(card.get("rate_hz") or 0),
        float(card.get("start_s") or 0),
        units,
        tuple(map(str, card.get("channels") or ())),
    )
    if data.hash:
        if len(_looks) > 64:
            _looks.clear()
        _looks[data.hash] = found
    return found


def _lane_limits(x: Array, units: tuple[str, ...]) -> SignalStyle:
    low = np.quantile(x.min(2), 0.01, axis=0)
    high = np.quantile(x.max(2), 0.99, axis=0)
    room = 0.06 * np.maximum(high - low, 1e-9)
    low -= room
    high += room
    # one gain for all channels of a unit; one channel far louder than the others is cut off rather
    # than flattening them
    if len(low) > LANES:
        for u in set(units) or {""}:
            same = np.array([k == u for k in units]) if units else np.ones(len(low), bool)
            span = np.quantile((high - low)[same], 0.8)
            middle = (low + high) / 2
            low = np.where(same, middle - span / 2, low)
            high = np.where(same, middle + span / 2, high)
    return SignalStyle(low, high)


def sample_times(at: SignalStyle, many: int) -> tuple[Array, str]:
    """Time of each of `many` samples and its unit: seconds where the rate is known, else the
    sample's number.
    """
    return (
        (at.start + np.arange(many) / at.rate, "s")
        if at.rate > 0
        else (np.arange(many, dtype=float), "samples")
    )


def describe_stretch(at: SignalStyle, many: int, first: int, last: int) -> str:
    """Return the stretch of samples `first` to `last` in words: "-20 to 40 ms"."""
    t, unit = sample_times(at, many)
    scale, unit = (1000, "ms") if unit == "s" else (1, unit)
    return f"{scale * t[first]:.0f} to {scale * t[last]:.0f} {unit}"


def find_largest_change(before: Array, after: Array) -> tuple[int, int, int]:
    """(channel, first, last): the stretch around the largest difference of two series [C,T] in
    which it stays above half of that.
    """
    size = np.abs(np.asarray(after) - np.asarray(before))
    channel, at = np.unravel_index(int(size.argmax()), size.shape)
    over = size[channel] >= 0.5 * size[channel, at]
    first = last = int(at)
    while first > 0 and over[first - 1]:
        first -= 1
    while last < len(over) - 1 and over[last + 1]:
        last += 1
    return int(channel), first, last


def draw_signal(
    x: Array,
    at: SignalStyle,
    width: int = 96,
    height: int = 0,
    before: Array | None = None,
    tint: Array | None = None,
    axes: bool | None = None,
) -> Array:
    """Return a series [C,T] as uint8 [height,width,3] (height 0: three quarters of the width).

    `before` [C,T] is drawn in grey behind it, with the stretch that differs most shaded. `tint` [T]
    in -1..1 colours the ground: orange above zero, blue below. `axes`: whether names, ticks and
    time are written (by default from 200 pixels).
    """
    from PIL import Image, ImageDraw

    many = x.shape[1]
    if axes is None:
        axes = width >= WIDE
    height = height or _picture_height(len(x), width, axes)
    most = max(LANES, min(MOST, height // CLOSE)) if axes else LANES
    lanes = min(len(x), most)
    fine = 2  # drawn at twice the size: lines without steps
    w, h = fine * width, fine * height
    size = fine * max(9, width // 27 if lanes <= LANES else min(width // 30, 11))
    left, right, foot = _margins(w, lanes, size) if axes else (0, w, 0)
    across = left + (np.arange(many) + 0.5) / many * (right - left)
    canvas = np.full((h, w, 3), GROUND, np.uint8)
    if tint is not None:
        share = np.interp(np.arange(left, right), across, np.clip(tint, -1, 1))
        canvas[: h - foot, left:right] = _tint_ground(share)
    if before is not None and np.abs(x - before).max() > 1e-6:
        _, first, last = find_largest_change(before, x)
        canvas[: h - foot, round(across[first]) : round(across[last]) + fine] = (58, 48, 24)
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    if axes:
        _draw_time_axis(draw, at, across, h - foot, size, w)
    each = (h - foot) / lanes
    # for the channel's name, so that it hides nothing of the trace
    strip = 1.3 * size if axes and lanes <= LANES else 0.0
    for c in range(lanes):
        low, high = float(at.low[c]), float(at.high[c])
        place = partial(_place_in_lane, low=low, high=high, foot=each * (c + 1), room=each - strip)
        if low < 0 < high:
            draw.line(
                [(left, float(place(0.0))), (right, float(place(0.0)))], fill=GRID, width=fine // 2
            )
        if before is not None:
            draw.line(_line_points(across, place(before[c])), fill=FAINT, width=fine, joint="curve")
        # dense waves stay apart only in fine lines
        thick = max(fine, round(fine * width / 200)) if many < w and lanes <= LANES else fine
        draw.line(
            _line_points(across, place(x[c])),
            fill=COLOURS[c % len(COLOURS)],
            width=thick,
            joint="curve",
        )
        if axes and lanes <= LANES:
            _draw_lane_axis(draw, at, c, place, left, size, (each * c + strip, each * (c + 1)))
    if axes and lanes > LANES:
        for c in range(lanes):
            where = (left - size // 2, each * (c + 0.5))
            _draw_words(draw, where, at.name(c), COLOURS[c % len(COLOURS)], size, "rm")
        _draw_scale_bars(draw, at, lanes, each, right, size)
    if axes and len(x) > lanes:
        _draw_words(
            draw,
            (w - size // 2, h - foot + size // 5),
            f"{lanes} of {len(x)} channels",
            WORDS,
            size,
            "ra",
        )
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _tint_ground(share: Array) -> Array:
    """Return the ground uint8 [1,W,3] under shares [W] from -1 (blue) to 1 (orange)."""
    towards = np.where(share[None, :, None] > 0, UP, DOWN) - GROUND
    return (GROUND + np.abs(share)[None, :, None] * 0.75 * towards).astype(np.uint8)


def _place_in_lane(values: Any, low: float, high: float, foot: float, room: float) -> Array:
    """Where values stand in a lane of `room` pixels above `foot`: `low` at its foot, `high` at its
    top.
    """
    share = (np.asarray(values) - low) / max(high - low, 1e-12)
    return foot - room * np.clip(share, 0, 1)


def _picture_height(channels: int, width: int, axes: bool) -> int:
    """Pixels of a picture of so many channels: three quarters of its width, more for many that are
    to be told apart.
    """
    usual = round(0.75 * width)
    if not axes or channels <= LANES:
        return usual
    return max(usual, min(min(channels, MOST) * CLOSE, 2 * width))


def _margins(w: int, lanes: int, size: int) -> tuple[int, int, int]:
    """Where the traces begin and end across a picture of `w` pixels, and the height of its foot,
    so that words of `size` have room around them.
    """
    foot = round(1.5 * size)
    if lanes <= LANES:
        return round(3.2 * size), w, foot
    return round(6.5 * size), w - 6 * size, foot


def _line_points(across: Array, y: Array) -> list[tuple[float, float]]:
    """Return the points of a line. More than two samples a pixel: only the highest and lowest of
    each pixel, in their order, so that nothing is lost of a spike.
    """
    width = int(across[-1] - across[0]) + 1
    if len(y) > 4 * width:
        edges = np.linspace(0, len(y), width + 1).astype(int)[:-1]
        ends = [
            (int(a + k), int(a + j))
            for a, b in zip(edges, [*edges[1:], len(y)])
            for k, j in [sorted((int(y[a:b].argmin()), int(y[a:b].argmax())))]
        ]
        keep = np.unique(np.array(ends).ravel())
        across, y = across[keep], y[keep]
    return list(zip(across.tolist(), y.tolist()))


def _round_step(span: float, most: int) -> float:
    """Return a round step (1, 2 or 5 times a power of ten) of which at most `most` fit into
    `span`.
    """
    base = 10.0 ** np.floor(np.log10(max(span, 1e-12) / most))
    return next(
        (float(base * k) for k in (1, 2, 5, 10) if span / (base * k) <= most), float(10 * base)
    )


@lru_cache(maxsize=16)
def _load_font(size: int) -> Any:
    """Return a font that has µ, which the built-in one of the drawing library lacks."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size
    )


def _draw_words(
    draw: Any, place: tuple[float, float], words: str, colour: Any, size: int, anchor: str = "la"
) -> None:
    draw.text(place, words, fill=colour, font=_load_font(size), anchor=anchor)


def _draw_time_axis(
    draw: Any, at: SignalStyle, across: Array, floor: int, size: int, right: int
) -> None:
    t, unit = sample_times(at, len(across))
    if unit == "s":
        span = t[-1] - t[0]
        scale, unit = next(
            (1 / k, u)
            for least, k, u in (
                (10_800, 3600, "h"),
                (300, 60, "min"),
                (0.05, 1, "s"),
                (0, 1e-3, "ms"),
            )
            if span >= least
        )
        t = t * scale
    step = _round_step(float(t[-1] - t[0]), 5)
    ticks = np.arange(np.ceil(t[0] / step - 1e-6), np.floor(t[-1] / step + 1e-6) + 1) * step
    for k, tick in enumerate(ticks):
        x = float(np.interp(tick, t, across))
        draw.line([(x, 0), (x, floor)], fill=GRID, width=1)
        said = _format_tick(tick) + (f" {unit}" if k == len(ticks) - 1 else "")
        wide = _load_font(size).getlength(said)
        _draw_words(
            draw,
            (
                min(
                    max(x - _load_font(size).getlength(_format_tick(tick)) / 2, 0),
                    right - wide - size // 4,
                ),
                floor + size // 5,
            ),
            said,
            WORDS,
            size,
        )


def _format_tick(value: float) -> str:
    return f"{round(float(value), 9) + 0.0:.6g}"


def _draw_lane_axis(
    draw: Any, at: SignalStyle, c: int, place: Any, left: int, size: int, lane: tuple[float, float]
) -> None:
    """Round values within the lane (beside its name there is room for theirs), and the channel's
    name with its unit in the lane's corner.
    """
    low, high = float(at.low[c]), float(at.high[c])
    shown: list[float] = []
    for most in (3, 4, 6):
        step = _round_step(high - low, most)
        ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        shown = [t for t in ticks.tolist() if lane[0] <= float(place(t)) <= lane[1]]
        if len(shown) > 1 or step / (high - low) * (lane[1] - lane[0]) < 2.2 * size:
            break
    for tick in shown:
        _draw_words(
            draw, (left - size // 3, float(place(tick))), _format_tick(tick), WORDS, size, "rm"
        )
    said = at.name(c) + (f", {at.unit(c)}" if at.unit(c) else "")
    _draw_words(
        draw, (left + size // 2, lane[0] - 1.15 * size), said, COLOURS[c % len(COLOURS)], size
    )


def _draw_scale_bars(
    draw: Any, at: SignalStyle, lanes: int, each: float, left: int, size: int
) -> None:
    """Right of the first lane of each unit, how high a round amount is in its lanes."""
    free = 0.0
    for u in list(dict.fromkeys(at.unit(c) for c in range(lanes))):
        c = next(c for c in range(lanes) if at.unit(c) == u)
        span = float(at.high[c] - at.low[c])
        amount = _round_step(span, 1) / (1 if _round_step(span, 1) <= span else 2)
        tall, middle = amount / span * each, each * (c + 0.5)
        if middle - tall / 2 >= free:
            draw.line(
                [(left + size // 2, middle - tall / 2), (left + size // 2, middle + tall / 2)],
                fill=WORDS,
                width=3,
            )
            _draw_words(
                draw,
                (left + size, middle),
                f"{_format_tick(amount)} {u}".strip(),
                WORDS,
                size,
                "lm",
            )
            free = middle + max(tall, size) / 2
