"""Masks of pictures: which files are masks, whose they are, and what their values say."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.readers import deep
from core.data.readers.files import Member
from core.data.readers.image_decoding import PLAIN, resize
from core.data.readers.mask_values import MANY, NUMBERS, find_coding, pack_colours, read_mask
from core.data.readers.masks import describe_masks
from core.data.splits import WORDS
from core.data.stored import LazyArray
from core.errors import UserError

_WORD = (
    r"masks?|segs?|segmentations?|segmentationclass|labels?|ground[-_ ]?truths?|gts?|"
    r"annotations?|annots?|lesions?|rois?"
)
_PART = r"train(ing)?|val(id(ation)?)?|test(ing)?|tr|ts"
# folders of masks
SURE = re.compile(rf"(masks?|segmentations?|ground[-_ ]?truths?)([-_ ]?({_PART}))?", re.I)
# when every file in them has the name of a picture
MAYBE = re.compile(rf"(.*[-_ ])?({_WORD})([-_ ]?({_PART}|\d+))?", re.I)
_END = re.compile(rf"([-_. ]+)({_WORD})([-_. ]*\d+)?$", re.I)
# Pascal VOC's second folder: which object, where the first says of which class
OBJECTS = re.compile(r"segmentationobject", re.I)
_START = re.compile(rf"^({_WORD})[-_. ]+", re.I)
_IMAGE = re.compile(r"^(images?|imgs?|im)[-_. ]+|[-_. ]+(images?|imgs?|im|0000)$", re.I)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
AREAS = 0.8  # of a mask is areas of one value
FEW = 40  # values of something that may be a mask


def is_folder_of_masks(part: str) -> bool:
    """Whether files in a folder of that name are masks, or may be."""
    return bool(SURE.fullmatch(part)) or _maybe(part)


def _maybe(part: str) -> bool:
    """`leftMask` and LungMasks are read as left_mask and lung_masks."""
    return bool(MAYBE.fullmatch(part) or MAYBE.fullmatch(_HUMP.sub("_", part)))


def strip_mask_words(stem: str) -> str:
    """Return a file's name without the words that say it is a mask or a picture, in small
    letters.
    """
    for pattern in (_END, _START, _IMAGE):
        stem = pattern.sub("", stem) or stem
    return stem.lower()


def split_off_masks(files: list[Member]) -> tuple[list[Member], list[Member], list[str]]:
    """Pictures, the masks among the files, and the names of masks left out.

    Masks lie in a folder called so (`SURE`), in one called labels, seg, gt, x_masks ... whose files
    all have the name of a picture elsewhere and few values, or beside a picture under its name and
    a word (case1.png, case1_mask.png).
    """
    objects = [m for m in files if any(OBJECTS.fullmatch(p) for p in m.parts[:-1])]
    files = [m for m in files if m not in set(objects)]
    sure = [m for m in files if any(SURE.fullmatch(p) for p in m.parts[:-1])]
    rest = [m for m in files if m not in set(sure)]
    maybe = [m for m in rest if any(map(_maybe, m.parts[:-1])) and not _in_plain(m)]
    others = set(maybe)
    names = {strip_mask_words(m.stem) for m in rest if m not in others}
    if (
        maybe
        and all(strip_mask_words(m.stem) in names for m in maybe)
        and all(is_mask_like(m) for m in maybe[:: max(1, len(maybe) // 3)])
    ):
        sure, rest = sure + maybe, [m for m in rest if m not in others]
    there = {(m.parts[:-1], m.stem.lower()) for m in rest}
    beside = [
        m
        for m in rest
        if _END.search(m.stem) and (m.parts[:-1], _END.sub("", m.stem).lower()) in there
    ]
    beside = [m for m in beside if is_mask_like(m)]
    gone = set(beside)
    left = [f"{len(objects)} masks that number objects ({objects[0].parts[-2]})"] if objects else []
    return [m for m in rest if m not in gone], sure + beside, left


def _in_plain(member: Member) -> bool:
    return any(p.lower() in PLAIN for p in member.parts[:-1])


def is_mask_like(member: Member) -> bool:
    """Whether a file looks like a mask: few values, or most of it at the two ends of its range."""
    found = read_mask(member)
    if found.values.ndim == 3:
        return len(np.unique(pack_colours(found.values))) <= (
            MANY if not found.lossy else found.values.size
        )
    values = found.values
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    near = (values <= low + 0.1 * (high - low)) | (values >= high - 0.1 * (high - low))
    return len(np.unique(values)) <= FEW or float(near.mean()) > 0.8 or values.dtype.itemsize > 1


def looks_like_mask(image: np.ndarray, member: Member) -> bool:
    """Whether a picture [H,W] or [H,W,C] of a file looks like a mask: up to four values; or areas
    of one value each, with the commonest as their background; or, of those saved with loss, black
    and white with little between.
    """
    if member.page or (image.ndim == 3 and image.shape[2] != 3):
        return False
    step = max(1, max(image.shape[:2]) // 512)  # large areas stay areas
    values = image[::step, ::step]
    lossy, coloured = member.head[:3] == b"\xff\xd8\xff", values.ndim == 3
    # most pictures end here: looking at all of their values takes longer than decoding them
    if not (lossy and not coloured) and _changes_early(values):
        return False
    values = pack_colours(values) if coloured else values
    if min(values.shape) < 16 or (values.dtype.kind == "f" and (values != np.round(values)).any()):
        return False
    if lossy and not coloured:
        low, high = float(values.min()), float(values.max())
        ends = [float((abs(values - v) <= 0.1 * (high - low)).mean()) for v in (low, high)]
        return high - low > 64 and min(ends) > 0.01 and sum(ends) > 0.98
    inner, solid = values[:-1, :-1], _is_solid(values)
    areas = float(solid.mean()) >= AREAS
    if not areas and len(np.unique(values[:4])) > 4:
        return False
    there, counts = np.unique(values, return_counts=True)
    if not 1 < len(there) <= NUMBERS:
        return False
    drawn = inner != there[counts.argmax()]
    filled = drawn.any() and float(solid[drawn].mean()) >= 0.5
    return len(there) <= 4 or bool(filled and areas)


def _is_solid(values: np.ndarray) -> np.ndarray:
    """`bool [H-1,W-1]`: where values [H,W] go on to the right and below."""
    inner = values[:-1, :-1]
    return (inner == values[:-1, 1:]) & (inner == values[1:, :-1])


def _changes_early(values: np.ndarray) -> bool:
    """Whether the upper third of a picture [H,W] or [H,W,3] changes so often that the whole has no
    areas of one value, and its first rows have more than four values.
    """
    upper = values[: values.shape[0] // 3 + 1]
    upper = pack_colours(upper) if upper.ndim == 3 else upper
    changes = int(np.count_nonzero(~_is_solid(upper)))
    few = len(np.unique(upper[:4])) <= 4
    return not few and changes > 1.01 * (1 - AREAS) * values.shape[0] * values.shape[1]


def join_masks(
    files: list[Member],
    masks: list[Member],
    shapes: list[tuple[int, int]],
    size: tuple[int, int],
    table: pd.DataFrame,
    label: str | None,
    turns: list[int],
) -> tuple[Any, pd.DataFrame, list[str], dict[str, Any]]:
    """Masks uint8 [n,*size] of the pictures `files` (rows and columns: `shapes`; how EXIF turns
    them: `turns`), the table (with a column `outlined` where the truth of some is not known), rules
    in words, and the card's entry `masks`.

    A picture whose class has no mask at all has nothing to mark. UserError for a mask that belongs
    to no picture or to several, or whose sides are in another proportion than its picture's.
    """
    if not masks:
        return None, table, [], {}
    taken = _owners(files, masks)
    whose = {mask.name: i for i, some in taken.items() for mask in some}
    other = 0  # masks of another size than their picture
    lain: dict[str, int] = {}  # masks drawn on their picture before it was turned, and how it is
    values = find_coding(masks)
    for mask in masks:
        owner, shape = whose[mask.name], values.shapes[mask.name]
        if _lain(shape, shapes[owner], turns[owner]):
            lain[mask.name] = turns[owner]
        else:
            other += differs_in_size(shape, shapes[owner], mask.name, files[owner].name)

    def codes(mask: Member) -> np.ndarray:
        drawn = deep.turn_upright(values.codes(mask), lain.get(mask.name, 1))
        return resize(np.ascontiguousarray(drawn), size, nearest=True)

    def made(i: int) -> np.ndarray:
        out = np.zeros(size, np.uint8)
        for mask in taken.get(i, []):
            np.maximum(out, codes(mask), out=out)
        return out

    lazy = LazyArray(len(files), size, np.uint8, made, at_once=True)
    out = lazy[:] if lazy.nbytes <= limits.IN_MEMORY else lazy
    rules = [f"{len(taken)} of {len(files)} pictures have a mask; {values.coding.rule}"]
    several = sum(len(m) > 1 for m in taken.values())
    if other:
        rules.append(
            f"{other} masks are of another size than their picture: brought to it by the "
            "nearest label"
        )
    if lain:
        rules.append(
            f"{len(lain)} masks lie as their pictures did before EXIF turned them: turned alike"
        )
    guessed = sum(turns[i] > 1 and (turns[i] <= 4 or len(set(shapes[i])) == 1) for i in taken)
    if guessed:
        rules.append(
            f"{guessed} pictures with masks are turned by what EXIF says, their masks are taken to"
            " be drawn on the turned pictures (a guess)"
        )
    rules += values.rules
    if several:
        rules.append(
            f"{several} pictures have more than one mask: what any of them marks is marked"
        )
    if len(taken) < len(files):
        table, rule = _outlined(table, label, taken)
        rules.append(rule)
    return out, table, rules, describe_masks(out, values.coding)


def _lain(mask: tuple[int, ...], picture: tuple[int, int], turn: int) -> bool:
    """Whether a mask lies on its side beside a picture that EXIF turned upright."""
    ratio = picture[1] / picture[0]
    return turn > 4 and abs(ratio - 1) > 0.02 and abs(mask[0] / mask[1] / ratio - 1) < 0.02


def differs_in_size(mask: tuple[int, int], picture: tuple[int, int], one: str, other: str) -> bool:
    """Whether a mask (rows, columns) is of another size than its picture. UserError, which calls
    them `one` and `other`, where their sides are in another proportion, by more than rounding: it
    would lie beside what it marks.
    """
    ratio = picture[1] / mask[1]
    if abs(mask[0] * ratio - picture[0]) > max(2.0, 1.5 * ratio, 0.02 * picture[0]):
        raise UserError(
            f"The mask {one} has {mask[1]} by {mask[0]} pixels and its picture {other} "
            f"{picture[1]} by {picture[0]}, another proportion: where it lies cannot be told. "
            "Crop or scale both alike, or leave the mask out."
        )
    return mask != picture


def _outlined(
    table: pd.DataFrame, label: str | None, taken: dict[int, list[Member]]
) -> tuple[pd.DataFrame, str]:
    has = np.zeros(len(table), bool)
    has[list(taken)] = True
    if label is None:
        return (
            table.assign(outlined=has),
            "of pictures without a mask the truth is not known (column “outlined”)",
        )
    classes = table[label].astype(str)
    free = sorted(set(classes) - set(classes[has]))
    known = has | classes.isin(free).to_numpy()
    words = (
        f"in pictures of the class {', '.join(free[:5])}, none of which has a mask, "
        "nothing is marked"
        if free
        else ""
    )
    if known.all():
        return table, words
    unknown = "of the other pictures without a mask the truth is not known (column “outlined”)"
    return table.assign(outlined=known), "; ".join(w for w in (words, unknown) if w)


def _owners(files: list[Member], masks: list[Member]) -> dict[int, list[Member]]:
    """Picture -> its masks, see `Places.owner`. UserError for a mask of none or of several."""
    places = Places(files)
    taken: dict[int, list[Member]] = defaultdict(list)
    for mask in masks:
        one, several = places.owner(mask)
        if one is None:
            folders = (
                "several pictures of the same name; put the masks into the pictures' sub-folders"
            )
            raise UserError(
                f"The mask {mask.name} has {folders if several else 'no picture of the same name'}."
            )
        taken[one].append(mask)
    return dict(taken)


STEMS = (lambda m: m.stem.lower(), lambda m: strip_mask_words(m.stem))


class Places:
    """Pictures by their folders and names."""

    def __init__(self, files: list[Member]) -> None:
        self.files = files
        self.places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self.below: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i, m in enumerate(files):
            for key in {k for stem in STEMS for k in _keys(m, stem(m))}:
                self.places[key].append(i)
            for k in range(len(m.parts)):
                self.below[m.parts[:k]].append(i)
        self.there = {_inner(m) for m in files} - {()}

    def owner(self, mask: Member) -> tuple[int | None, bool]:
        """Return the picture a mask is of, and, where there is none, whether several would do: one
        of its name in the same sub-folders, else the only picture of that name, else the only
        picture in the folder that holds the folder of masks, else the picture whose name a mask's
        begins with (case1_0, case1_1: a mask for each lesion).
        """
        keys = [key for stem in STEMS for key in _keys(mask, stem(mask))]
        # where its pictures would lie is known: pictures elsewhere are others
        if _inner(mask) in self.there:
            keys = [key for key in keys if len(key) > 1]
        fits = [self.places[key] for key in keys if key in self.places]
        one = next((f[0] for f in fits if len(f) == 1), None)
        if fits or one is not None:
            return one, True
        alone = self.below.get(mask.parts[:-2], []) if len(mask.parts) > 2 else []
        return alone[0] if len(alone) == 1 else _begun(mask, self.files), False


def _begun(mask: Member, files: list[Member]) -> int | None:
    """Return the picture whose name, before a sign that is no letter or number, begins the mask's:
    the longest such name, if one picture has it. None where pictures are named as the mask is: its
    own is not there.
    """
    name = mask.stem.lower()
    shapes = {re.sub(r"\d+", "#", m.stem.lower()) for m in files}
    if {re.sub(r"\d+", "#", s) for s in (name, strip_mask_words(mask.stem))} & shapes:
        return None
    fits = [
        (len(stem), i)
        for i, m in enumerate(files)
        for stem in (m.stem.lower(), strip_mask_words(m.stem))
        if name.startswith(stem) and not name[len(stem) : len(stem) + 1].isalnum()
    ]
    longest = {i for n, i in fits if n == max(fits)[0]}
    here = {i for i in longest if _inner(files[i]) == _inner(mask)} or longest
    return here.pop() if len(here) == 1 else None


def _inner(member: Member) -> tuple[str, ...]:
    """Its folders without those that only say what kind of file lies in them, in small letters."""
    parts = member.parts[:-1]
    return tuple(p.lower() for p in parts if not is_folder_of_masks(p) and p.lower() not in PLAIN)


def _keys(member: Member, stem: str) -> list[tuple[str, ...]]:
    inner = _inner(member)
    return [(*inner, stem), (*(p for p in inner if p not in WORDS), stem), (stem,)]
