"""What the values of masks are, and how they become codes."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.data.readers.deep import Deep
from core.data.readers.files import Member
from core.data.readers.image_decoding import open_picture
from core.data.readers.masks import SHARE, SOLID, Coding, Tally
from core.errors import UserError

MANY = 64  # colours of a mask that was drawn in colours
NUMBERS = 4096  # numbers of a mask that numbers its objects


@dataclass(frozen=True)
class MaskFile:
    """A mask as it is in its file: numbers [H,W], or uint8 [H,W,3] where it is drawn in colours.
    `palette`: the numbers are places in one. Where 0 is stored for white (a palette of greys from
    white to black, TIFF's WhiteIsZero as ImageJ's inverted masks have) `white` is the share of
    white and `shown` the values as they are shown, not as stored.
    """

    values: np.ndarray
    lossy: bool
    palette: bool
    white: float | None = None
    shown: np.ndarray | None = None

    def as_shown(self) -> MaskFile:
        """Return the mask by what is shown where 0 is stored for white; itself otherwise."""
        return self if self.shown is None else MaskFile(self.shown, self.lossy, False)


def read_mask(member: Member) -> MaskFile:
    """Return a palette in colours gives places in it, one in grey its greys, unless these run from
    white, the first, to black: then its places. Of pictures with alpha, what is drawn on black, or
    the alpha where nothing is drawn but that.
    """
    from PIL import ImageOps

    def use(opened: Any) -> MaskFile:
        lossy, image = opened.format == "JPEG", ImageOps.exif_transpose(opened)
        if image.mode == "P":
            return _of_palette(image, lossy)
        if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
            values = np.asarray(image.convert("L") if image.mode == "1" else image)
            # stored 0 is shown as white
            if opened.format == "TIFF" and opened.tag_v2.get(262) == 0:
                stored = values.dtype.type(255) - values if values.dtype == np.uint8 else values
                return MaskFile(stored, lossy, False, float((stored == 0).mean()), values)
            return MaskFile(values, lossy, False)
        return MaskFile(_of_colours(image, lossy), lossy, False)

    def deeply(picture: Deep) -> MaskFile:
        values = picture.decode()
        return MaskFile(values if values.ndim == 2 else values.max(2), False, False)

    found: MaskFile = open_picture(member, use, deeply)
    return found


def _of_palette(image: Any, lossy: bool) -> MaskFile:
    places = np.asarray(image)
    colours = np.zeros((256, 3), np.uint8)
    given = np.asarray(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    colours[: len(given)] = given
    used = np.unique(places)
    if (colours[used] == colours[used][:, :1]).all():
        greys = colours[used][:, 0].astype(int)
        shown = colours[places][..., 0]
        if used[0] == 0 and len(used) > 1 and (np.diff(greys) < 0).all():
            return MaskFile(places, lossy, True, float((places == 0).mean()), shown)
        return MaskFile(shown, lossy, False)
    if 0 in used and colours[0].any() and not colours[used].any(1).all():
        # black is another place than the first: sorted again by a program
        return MaskFile(colours[places], lossy, False)
    return MaskFile(places, lossy, True)


def _of_colours(image: Any, lossy: bool) -> np.ndarray:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layers = np.asarray(image.convert("RGBA"))
        drawn = np.round(layers[..., :3] * (layers[..., 3:] / 255)).astype(np.uint8)
        if not np.ptp(drawn) and np.ptp(layers[..., 3]):
            return layers[..., 3]
    else:
        drawn = np.asarray(image.convert("RGB"))
    grey = int(np.ptp(drawn.astype(np.int16), axis=2).max()) <= (24 if lossy else 0)
    return np.asarray(drawn.max(2) if grey else drawn)


@dataclass
class _Colours:
    """The colours of masks that are drawn in them, and which become which label."""

    count: Counter[int] = field(default_factory=Counter)
    solid: Counter[int] = field(default_factory=Counter)

    def add(self, values: np.ndarray) -> None:
        packed = pack_colours(values)
        same = (packed[:-1, :-1] == packed[:-1, 1:]) & (packed[:-1, :-1] == packed[1:, :-1])
        for into, some in ((self.count, packed), (self.solid, packed[:-1, :-1][same])):
            into.update({int(v): int(n) for v, n in zip(*np.unique(some, return_counts=True))})

    def firm(self) -> list[int]:
        """Colours that fill areas, background first: black where there is black, else the
        commonest.
        """
        total = sum(self.count.values())
        found = [
            v
            for v, n in self.count.items()
            if self.solid[v] >= SOLID * n and n >= SHARE * SHARE * total
        ]
        background = 0 if 0 in found else max(found, key=lambda v: self.count[v], default=0)
        return [background, *sorted(v for v in found if v != background)]


def pack_colours(values: np.ndarray) -> np.ndarray:
    """int32 [H,W] of colours uint8 [H,W,3]; of numbers [H,W], their grey."""
    if values.ndim == 2:
        values = np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, 2)
    wide = values.astype(np.int32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def _nearest(values: np.ndarray, colours: list[int]) -> np.ndarray:
    """uint8 [H,W]: which of the colours (packed) each pixel is nearest to."""
    there, at = np.unique(pack_colours(values), return_inverse=True)

    def parts(packed: Any) -> np.ndarray:
        packed = np.asarray(packed)
        return np.stack([packed >> 16, (packed >> 8) & 255, packed & 255], -1).astype(np.float64)

    distance = ((parts(there)[:, None] - parts(colours)[None]) ** 2).sum(2)
    return distance.argmin(1).astype(np.uint8)[at].reshape(values.shape[:2])


@dataclass
class _Seen:
    """What the values of masks are, in one of the two ways to read them."""

    tally: Tally = field(default_factory=Tally)
    colours: _Colours = field(default_factory=_Colours)
    coloured: bool = False

    def add(self, found: MaskFile) -> None:
        self.colours.add(found.values)
        self.coloured = self.coloured or found.values.ndim == 3
        if found.values.ndim == 2:
            self.tally.add(found.values, found.lossy, found.palette)


@dataclass(frozen=True)
class Coded:
    """How the masks of a set become codes. `shapes`: rows and columns of each by its name;
    `turned`: how many store 0 for white, which is background (`by_place`) or not; `firm`: the
    colours that are labels, background first, where masks are drawn in colours.
    """

    coding: Coding
    shapes: dict[str, tuple[int, int]]
    turned: int
    by_place: bool
    firm: list[int]

    def codes(self, mask: Member) -> np.ndarray:
        """uint8 [H,W] of one of the masks, as it lies in its file."""
        found = read_mask(mask)
        found = found if self.by_place else found.as_shown()
        return _nearest(found.values, self.firm) if self.firm else self.coding.apply(found.values)

    @property
    def rules(self) -> list[str]:
        """What was guessed, in words."""
        if not self.turned:
            return []
        which = "white" if self.by_place else "black"
        return [
            f"{self.turned} masks are stored with 0 for white (a grey palette from white to black,"
            f" or WhiteIsZero): which is background is a guess, {which}, the commoner one"
        ]


def find_coding(masks: list[Member]) -> Coded:
    """How masks become codes, by the values of them all. Cost: each is decoded once. UserError for
    pictures in colours that hold no areas of one value.
    """
    stored, shown = _Seen(), _Seen()
    shapes: dict[str, tuple[int, int]] = {}
    white: list[float] = []
    for mask in masks:
        found = read_mask(mask)
        shapes[mask.name] = (found.values.shape[0], found.values.shape[1])
        if found.white is not None:
            if not white:
                shown = deepcopy(stored)  # up to here both ways are one
            white.append(found.white)
        stored.add(found)
        if white:
            shown.add(found.as_shown())
    by_place = not white or float(np.mean(white)) >= 0.5
    seen = stored if by_place else shown
    firm = seen.colours.firm() if seen.coloured else []
    if seen.coloured and not 1 < len(firm) <= MANY:
        raise UserError(
            f"{masks[0].name} and the masks beside it hold no areas of one value, as masks do; "
            "they may be pictures."
        )
    coding = _of_firm(firm) if seen.coloured else seen.tally.coding()
    return Coded(coding, shapes, len(white), by_place, firm)


def _of_firm(firm: list[int]) -> Coding:
    names = ", ".join(f"{i} = #{v:06x}" for i, v in enumerate(firm[:9]))
    rule = f"colours become labels ({names}{' …' if len(firm) > 9 else ''}; 0 is background)"
    every = tuple(range(len(firm)))
    return Coding(rule, levels=every, codes=every)
