"""How bright pixels are on a scale that pictures share, and which channel and direction to look
at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from core.artifacts.tables import Metric
from core.errors import UserError
from core.methods.anomaly import _slices

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

AT_ONCE = 32  # pictures read at a time, at most
VALUES_AT_ONCE = 1 << 24  # of these pictures, of all channels
OF_SCAN = 48  # pictures of a scan, evenly taken, that its median and spread come from
OF_TRAIN = 256  # normal pictures that the usual median, spread and thresholds come from
CHOSEN_ON = 96  # validation pictures that channel and direction are chosen on, marked and not
PIXELS = 1 << 16  # of each of them, evenly taken, at most
NARROWEST = 1e-3  # of the data's range: the least spread brightness is measured by
BACKGROUND = -0.01  # of maps, and below all of their foreground
UNITS = {"brighter": "brighter than", "darker": "darker than", "either": "from"}


class Choice(NamedTuple):
    """A channel and a direction, and the average precision of validation masks; None: not known."""

    channel: int
    look_for: str
    precision: float | None = None

    @property
    def words(self) -> str:
        return f"channel {self.channel}, {self.look_for}"

    @property
    def unit(self) -> str:
        """Return the words for a map of this channel in this direction."""
        where = "the median" if self.look_for == "either" else "usual"
        return f"robust standard deviations {UNITS[self.look_for]} {where}, channel {self.channel}"


class Scaled(NamedTuple):
    """Pictures on the scale float32 [b,C,S,S], 0 in the background, their foreground bool [b,S,S],
    and the foreground at their own size bool [b,H,W].
    """

    z: np.ndarray
    body: np.ndarray
    whole: np.ndarray


class Intensity:
    """The scale: median and robust standard deviation (1.4826 median absolute deviations) float32
    [C] of the foreground of normal training pictures; `whose` "scan", "picture" or "training
    pictures" says which of them a picture is measured by, `background` the value up to which a
    pixel is background in all channels.
    """

    def __init__(
        self, middle: np.ndarray, spread: np.ndarray, whose: str, background: float
    ) -> None:
        self.middle, self.spread = middle, spread
        self.whose, self.background = whose, background

    def state(self) -> dict[str, Any]:
        return {
            "middle": self.middle,
            "spread": self.spread,
            "whose": self.whose,
            "background": float(self.background),
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Intensity:
        return cls(
            np.asarray(state["middle"]),
            np.asarray(state["spread"]),
            str(state["whose"]),
            float(state["background"]),
        )

    @classmethod
    def fit(cls, normal: Dataset, whose: str, background: float) -> Intensity:
        """Return the scale of the foreground of pictures `normal`."""
        channels = normal.shape[0]
        usual = (np.zeros(channels, np.float32), np.ones(channels, np.float32))
        x = normal.inputs(evenly(len(normal)))
        middle, spread = _location(x, background) or usual
        return cls(middle, spread, whose, background)

    # -- pictures on the scale ---------------------------------------------------------------------
    def scaled(self, data: Dataset, run: Run, side: int = 0) -> Iterator[Scaled]:
        """Yield pictures of `data` on the scale, `batches` of them; brought to `side` pixels a side
        where it is not 0. Raises Cancelled before each batch.
        """
        import torch

        scans = self._of_scans(data, run) if self.whose == "scan" else {}
        groups = data.groups if scans else None
        for at in batches(data, side):
            run.check()
            x = data.inputs(at)
            whole: np.ndarray = np.any(x > self.background, axis=1)
            if side:
                x = _slices.at_side(torch.from_numpy(x), side).numpy()
            scan = [None if groups is None else scans.get(groups[k]) for k in at]
            own = [self._own(picture, one) for picture, one in zip(x, scan)]
            middle, spread = (np.stack(v)[:, :, None, None] for v in zip(*own))
            body: np.ndarray = np.any(x > self.background, axis=1)
            yield Scaled(((x - middle) / spread * body[:, None]).astype(np.float32), body, whole)

    def _own(
        self, x: np.ndarray, scan: tuple[np.ndarray, np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Median and spread [C] that one picture [C,H,W] is measured by."""
        if self.whose == "picture":
            scan = _location(x[None], self.background)
        return scan or (self.middle, self.spread)

    def _of_scans(self, data: Dataset, run: Run) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
        """Median and spread of each patient or scan of `data`, of all its pictures in the dataset,
        so that they do not depend on which are asked for.
        """
        whole = data.every
        groups = whole.groups
        if groups is None or data.groups is None:
            return {}
        found = {}
        for name in {g for g in data.groups if g is not None}:
            run.check()
            own = np.flatnonzero(groups == name)
            own = own[np.argsort(whole.rows[own])]
            if len(own) and (
                scale := _location(whole.inputs(own[evenly(len(own), OF_SCAN)]), self.background)
            ):
                found[name] = scale
        return found


def batches(data: Dataset, side: int = 0) -> list[np.ndarray]:
    """Positions of the pictures of `data`, at most 32 together, fewer where they are large or of
    many channels.
    """
    channels, *size = data.shape
    values = int(channels * np.prod([side, side] if side else size))
    many = int(np.clip(VALUES_AT_ONCE // values, 1, AT_ONCE))
    return [np.arange(k, min(k + many, len(data))) for k in range(0, len(data), many)]


def evenly(n: int, many: int = OF_TRAIN) -> np.ndarray:
    """Positions of at most `many` of n, evenly taken."""
    return np.arange(0, n, max(1, -(-n // many)))


def _location(x: np.ndarray, background: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Median and robust standard deviation float32 [C] of the foreground of x [n,C,H,W]; None
    without any.
    """
    values = np.moveaxis(x, 1, 0)[:, (x > background).any(1)]
    if not values.size:
        return None
    middle = np.median(values, 1)
    spread = 1.4826 * np.median(np.abs(values - middle[:, None]), 1)
    flat = spread < NARROWEST  # more than half of the pixels alike
    spread[flat] = np.maximum(values[flat].std(1), NARROWEST)
    return middle.astype(np.float32), spread.astype(np.float32)


# -- channel and direction -------------------------------------------------------------------------
def heat_of(z: np.ndarray, body: np.ndarray, choice: Choice, smooth: float) -> np.ndarray:
    """How far pictures on the scale, z [n,C,H,W], depart in the channel and direction of `choice`,
    blurred by `smooth` pixels: float32 [n,H,W] as `on_map` gives it.
    """
    return on_map(towards(blurred(z[:, choice.channel], body, smooth), choice.look_for), body)


def on_map(heat: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Return heat [n,H,W] float32 as maps show it: `BACKGROUND` outside `body`; what lies below 0,
    which is usual, is pressed together between `BACKGROUND` and 0, so that colours begin at 0 and
    the order of pixels stays as it is.
    """
    low = -BACKGROUND * heat / (1 + np.abs(heat))
    return np.where(body, np.where(heat > 0, heat, low), BACKGROUND).astype(np.float32)


def towards(values: np.ndarray, look_for: str) -> np.ndarray:
    """`values`, turned so that what is looked for is high: brighter, darker or either."""
    return {"brighter": values, "darker": -values}.get(look_for, np.abs(values))


def blurred(heat: np.ndarray, body: np.ndarray, smooth: float) -> np.ndarray:
    """`heat` [n,H,W] blurred by `smooth` pixels within `body`: what lies outside counts nothing."""
    from scipy.ndimage import gaussian_filter

    if not smooth:
        return heat
    width = (0, smooth, smooth)
    share = gaussian_filter(body.astype(np.float32), width)
    return gaussian_filter(heat * body, width) / np.maximum(share, 1e-3)


def choose(
    data: Dataset, scale: Intensity, channel: int, look_for: str, smooth: float, run: Run
) -> tuple[Choice, list[Choice]]:
    """Return the channel and direction to look at, and what each choice gives on validation.

    What is not set (`channel` -1, `look_for` "automatic") is what gives the highest average
    precision of pixels marked in validation pictures, at most 96 of them, marked ones and others
    evenly taken; where nothing is marked there, the first channel and brighter. Test pictures are
    never looked at. UserError where there is no such channel.
    """
    if channel >= data.shape[0]:
        raise UserError(
            f"There is no channel {channel}; these pictures have {data.shape[0]}, counted from 0"
            " (-1 = automatic)."
        )
    val = data.part("val")
    marked = np.zeros(len(val), bool)
    if val.masks is not None and len(val):
        at = np.flatnonzero(val.outlined)
        marked[at] = val.mask(at).any((1, 2))
    channels = range(data.shape[0]) if channel < 0 else [channel]
    directions = ["brighter", "darker"] if look_for == "automatic" else [look_for]
    if not marked.any() or len(channels) * len(directions) == 1:
        return Choice(channels[0], directions[0]), []
    others = np.flatnonzero(val.outlined & ~marked)
    half = np.flatnonzero(marked)[evenly(int(marked.sum()), CHOSEN_ON // 2)]
    some = val.take(np.sort(np.concatenate([half, others[evenly(len(others), CHOSEN_ON // 2)]])))
    every = [Choice(c, d) for c in channels for d in directions]
    step = max(1, int(np.prod(data.shape[1:])) // max(1, PIXELS // -(-len(every) // 8)))
    heats: list[list[np.ndarray]] = [[] for _ in every]
    for z, body, _ in scale.scaled(some, run):
        for one, heat in zip(every, heats):
            whole = heat_of(z, body, one, smooth)
            heat.append(whole.reshape(len(whole), -1)[:, ::step].ravel())
    truth = some.mask().reshape(len(some), -1)[:, ::step].ravel()
    if not truth.any():
        return every[0], []
    found = [
        one._replace(precision=_precision(np.concatenate(heat), truth))
        for one, heat in zip(every, heats)
    ]
    return max(found, key=lambda one: one.precision or 0.0), found


def _precision(heat: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, heat))


def describe_choice(choice: Choice, tried: list[Choice], channel: int, look_for: str) -> str:
    """Return in one sentence which channel and direction count, and who chose them."""
    if tried:
        how = (
            "chosen on the marks of validation pictures (average precision"
            f" {choice.precision or 0:.2f}, the next {_next_best(choice, tried):.2f})"
        )
    elif channel >= 0 and look_for != "automatic":
        how = "as set"
    else:
        how = (
            "not chosen by data, since nothing is marked in validation pictures; set “channel” and"
            " “look_for” where you know better"
        )
    return f"What counts: {choice.words}; {how}."


def _next_best(choice: Choice, tried: list[Choice]) -> float:
    return max(one.precision or 0.0 for one in tried if one is not choice)


def as_metrics(tried: dict[str, float]) -> list[Metric]:
    """Return what each choice of channel and direction gave on validation masks."""
    return [
        Metric("average precision of validation masks", value, split="val", group=name)
        for name, value in tried.items()
    ]
