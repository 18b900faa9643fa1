"""Pictures: PNG, JPEG, TIFF, BMP, in folders (sub-folder = class), with masks of the same name in a
`masks` folder, or a table beside them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers import deep, grey, tables
from core.data.readers.files import Asked, Member, collect
from core.data.readers.image_decoding import (
    CAP,
    PLAIN,
    choose_common_size,
    decode,
    may_be_turned,
    open_picture,
    resize,
)
from core.data.splits import WORDS
from core.data.stored import LazyArray
from core.errors import UserError

# folders of a patient each, by their names: patient7, TCGA_CS_4941; but not grade_001
COUNTED = re.compile(
    r"(sub|subj|subject|patient|pat|pt|case|participant|person)[-_ ]*\d\w*"
    r"|(?!(grade|stage|class|type|label|level|phase|score|group|arm|category|sample)[-_ ])"
    r"[a-z][a-z0-9]*([-_ ][a-z0-9]+)*[-_ ]\d{3,}",
    re.I,
)
LOOKED = 40  # pictures of a large set that are read to see whether some look like masks


def read(members: list[Member], asked: Asked) -> Dataset:
    """Return an image dataset from pictures, read twice: for their sizes, then one by one into the
    common size.
    """
    from core.data.readers import picture_masks

    sheets = [m for m in members if m.name.lower().endswith(tables.SHEETS)]
    files = [m for m in members if m not in sheets]
    files, inside, left = picture_masks.split_off_masks(files)
    if asked.masks is not None:
        inside = collect(asked.masks)
    if not files:
        raise UserError("There are masks but no pictures beside them.")
    files, paged = split_pages(files)
    looked, values = _look_at_all(files, asked)
    shapes = [look.size for look in looked]
    side, rule = choose_common_size(shapes)
    channels = _channels(files, looked)
    rules = [rule, *_rules(files, looked, paged, values, channels)]

    def sample(i: int) -> np.ndarray:
        image = decode(files[i])
        if picture_masks.looks_like_mask(image, files[i]):
            alike.add(files[i].name)
        image = resize(image if image.dtype == np.uint8 else values.in_bytes(image), side)
        if channels == 1:
            return (image if image.ndim == 2 else image[..., 0])[None]
        return np.repeat(image[None], channels, 0) if image.ndim == 2 else image.transpose(2, 0, 1)

    alike: set[str] = set()  # names of pictures that look like masks
    samples: Any = LazyArray(len(files), (channels, *side), np.uint8, sample, at_once=True)
    if samples.nbytes <= limits.IN_MEMORY:
        samples = samples[:]
        asked.report(2 * len(files), 2 * len(files))
    else:  # read when they are stored
        samples[:: max(1, len(files) // LOOKED)]
    table, roles, people = read_folders(files, asked)
    if sheets:
        table = _with_sheet(table, sheets)
    masks, table, more, said = picture_masks.join_masks(
        files, inside, shapes, side, table, roles.get("label"), [look.turn for look in looked]
    )
    card: dict[str, Any] = {"rules": [*rules, *people, *more], "left out": left, **said}
    if values.pictures:
        card["grey range"] = list(values.ends())  # stored 0 and 255 in the values of the files
    if alike:
        card["like masks"] = sorted(alike)[:1000]
    card["cohort"] = {"files seen": len(members), "pictures used": len(files), "masks": len(inside)}
    return Dataset("", "image", table, samples, masks, roles, (), (0.0, 255.0), card)


def _look_at_all(files: list[Member], asked: Asked) -> tuple[list[Look], grey.GreyRange]:
    """Return a look at each picture, and the range of the deep ones' values."""
    looked: list[Look] = []
    coloured, values = False, grey.GreyRange()
    for i, m in enumerate(files):
        looked.append(_look(m, coloured, values))
        coloured = coloured or looked[-1].channels == 3
        asked.report(i + 1, len(files) * (1 if _large(looked, len(files)) else 2))
    return looked, values


def _rules(
    files: list[Member], looked: list[Look], paged: bool, values: grey.GreyRange, channels: int
) -> list[str]:
    """Return what was decided about pages, frames, values and channels, in words."""
    rules = []
    several = 0 if paged else sum(look.several for look in looked)
    if paged:
        rules.append(f"one file of {len(files)} pages: each page is a picture")
    if several:
        rules.append(
            f"{several} file{'s hold' if several > 1 else ' holds'} more than one frame; only the"
            " first is used"
        )
    if values.pictures:
        rules += values.rule()
    rules += _doubts(looked)
    if channels == 3:
        rules.append("kept in colour, three channels")
    elif channels > 1:
        rules.append(f"{channels} channels, kept in their order")
    return rules


def _with_sheet(table: pd.DataFrame, sheets: list[Member]) -> pd.DataFrame:
    """Return the table with the columns of the first sheet that names every picture. UserError
    where none does.
    """
    for sheet in sheets:
        joined = tables.join_sheet(table, sheet)
        if joined is not None:
            return joined
    raise UserError(
        f"{sheets[0].name} has no column that names every picture; one column must hold the file"
        " names."
    )


def preview_images(members: list[Member], asked: Asked) -> dict[str, Any]:
    """Before import, by names only: `classes` the folders make ("folder"), and the columns of a
    table beside the pictures.
    """
    from core.data.readers import picture_masks

    sheets = [m for m in members if m.name.lower().endswith(tables.SHEETS)]
    files = picture_masks.split_off_masks([m for m in members if m not in sheets])[0]
    table, roles, _ = read_folders(files, asked)
    found: dict[str, Any] = {"files": len(files)}
    if "label" in roles:
        sizes = Counter(table["label"])
        found |= {"classes": {"folder": sorted(sizes)}, "sizes": dict(sizes)}
    if sheets:
        seen = tables.preview_tables(sheets[:1], asked, inputs=False)
        found |= {
            "columns": seen["columns"],
            "guesses": seen["guesses"],
            "classes": found.get("classes", {}) | seen["classes"],
        }
    return found


@dataclass(frozen=True)
class Look:
    """A picture before it is read in earnest: (height, width) as it will be decoded, whether more
    frames follow, how many channels it has (1 for pictures without a colour).
    """

    size: tuple[int, int]
    several: bool
    channels: int
    turn: int = 1  # EXIF's word for how it was turned
    clear: bool = False  # whether parts of it are transparent
    deep: bool = False  # whether its values are other than 0 to 255


def _look(member: Member, coloured: bool, values: grey.GreyRange) -> Look:
    """Cost: the header; a decoding for deep pictures, whose values go to `values`, and for those in
    colour modes until one of the set is known to be `coloured`.
    """

    def seen(image: Any) -> tuple[tuple[int, int], bool, bool, int, bool]:
        # asking a PNG for its EXIF decodes it
        plain = image.format == "PNG" and not may_be_turned(image.fp.getvalue())
        turn = 1 if plain else int(image.getexif().get(0x0112, 1) or 1)
        # those that lay the picture on its side
        size = image.size if 4 < turn < 9 else image.size[::-1]
        usual = image.mode in ("L", "1") or (coloured and not image.mode.startswith(("I", "F")))
        clear = image.mode in ("RGBA", "LA", "PA") and image.getchannel("A").getextrema()[0] < 255
        return size, getattr(image, "n_frames", 1) > 1, usual, turn, clear

    def deeply(picture: deep.Deep) -> tuple[tuple[int, int], bool, bool, int, bool]:
        return picture.size, picture.frames > 1, False, 1, False

    size, several, usual, turn, clear = open_picture(member, seen, deeply)
    if usual:
        return Look(size, several, 1, turn, clear)
    image = decode(member)
    deeper = image.dtype != np.uint8
    if deeper:
        values.add(image)
    if image.ndim == 2:
        return Look(size, several, 1, turn, clear, deeper)
    same = image.shape[2] == 3 and not (image[..., :2] != image[..., 1:]).any()
    return Look(size, several, 1 if same else image.shape[2], turn, clear, deeper)


def _doubts(looked: list[Look]) -> list[str]:
    """Return what is to be said of transparency and of depths side by side."""
    clear, deeper = sum(look.clear for look in looked), sum(look.deep for look in looked)
    rules = []
    if clear:
        one = "picture is" if clear == 1 else "pictures are"
        rules.append(
            f"{clear} {one} transparent in parts (alpha): laid on black, what is transparent is"
            " lost"
        )
    if 0 < deeper < len(looked):
        rules.append(
            f"{len(looked) - deeper} pictures of 8 bits stand beside {deeper} deeper ones, which"
            " are brought to 256 levels by a factor of their own: their brightness is not"
            " comparable"
        )
    return rules


def _channels(files: list[Member], looked: list[Look]) -> int:
    """Return the number all samples get: grey pictures go beside colour ones, other numbers must
    agree.
    """
    odd = next((i for i, look in enumerate(looked) if look.channels not in (1, 3)), None)
    if odd is None:
        return max(look.channels for look in looked)
    channels = looked[odd].channels
    other = next((i for i, look in enumerate(looked) if look.channels != channels), None)
    if other is not None:
        raise UserError(
            f"{files[odd].name} has {channels} channels and {files[other].name} has "
            f"{looked[other].channels}; bring pictures with the same channels."
        )
    return channels


def split_pages(files: list[Member]) -> tuple[list[Member], bool]:
    """Return the pages of a TIFF that came alone as pictures of their own, and whether that is so;
    else the files as they are, as with pages of several sizes (the levels of a slide).
    """
    if len(files) != 1 or files[0].head[:4] not in deep.TIFF:
        return files, False
    one, data = files[0], files[0].load()
    count = open_picture(
        one, lambda plain: getattr(plain, "n_frames", 1), lambda picture: picture.frames
    )
    if count < 2 or not deep.has_one_size(data):
        return files, False
    if count > limits.MEMBERS:
        raise UserError(f"{one.name} holds {count:,} pages; at most {limits.MEMBERS:,} are taken.")
    names = [f"{one.name}, page {k + 1:0{len(str(count))}}" for k in range(count)]
    return [Member(name, lambda most: data[:most], k) for k, name in enumerate(names)], True


def _large(looked: list[Look], n: int) -> bool:
    """Whether all samples together will be too many to stand in memory."""
    return n * min(CAP, max(looked[0].size)) ** 2 > limits.IN_MEMORY


def read_folders(
    files: list[Member], asked: Asked
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Return the table of pictures with what their folders say (see `add_folder_classes`), its
    roles, and rules in words. Folders called after patients who are counted (patient07,
    TCGA_CS_4941) are no classes, unless they are asked for and lie in no other: pictures in one are
    of one patient.
    """
    table, roles = pd.DataFrame({"file": [m.name for m in files]}), {"file": "file"}
    folders = [[p for p in m.parts[:-1] if p.lower() not in (*PLAIN, *WORDS)] for m in files]
    people = {f[-1] for f in folders if f}
    asked_for = asked.label == "folder" and max(map(len, folders), default=0) < 2
    if len(people) < 2 or not all(folders) or asked_for or not all(map(COUNTED.fullmatch, people)):
        return (*add_folder_classes(table, roles, asked, auto=True), [])
    table["patient"] = ["/".join(f) for f in folders]
    n = table["patient"].nunique()
    rules = [f"pictures of one folder are of one patient ({n} folders)"]
    table, roles = add_folder_classes(table, roles | {"group": "patient"}, asked, True, people)
    return table, roles, rules


def add_folder_classes(
    table: pd.DataFrame,
    roles: dict[str, str],
    asked: Asked,
    auto: bool,
    people: set[str] | frozenset[str] = frozenset(),
) -> tuple[pd.DataFrame, dict[str, str]]:
    """With the class from the innermost sub-folder of "file" (with `auto`, also where nobody
    asked), the split from folders so called.
    """
    roles = dict(roles)
    folders = [[p for p in f.split("/")[:-1] if p.lower() not in PLAIN] for f in table["file"]]
    splits = [next((WORDS[p.lower()] for p in f if p.lower() in WORDS), None) for f in folders]
    if all(splits):
        table, roles["split"] = table.assign(split=pd.Series(splits)), "split"
    names = [
        next((p for p in reversed(f) if p.lower() not in WORDS and p not in people), None)
        for f in folders
    ]
    if all(names) and (
        asked.label == "folder" or (auto and asked.label == "auto" and len(set(names)) > 1)
    ):
        table, roles["label"] = table.assign(label=pd.Series(names)), "label"
    elif asked.label == "folder":
        raise UserError(
            "There are no sub-folders to take the class from; put each class into a folder of its"
            " own."
        )
    return table, roles
