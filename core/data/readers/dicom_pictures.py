"""Pictures (PNG, TIFF, BMP, JPEG) as masks of the DICOM slices whose names they bear: their rows
and columns are those of the slice as it is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core.data.readers import mask_values, picture_masks
from core.data.readers.dicom_seg import Marks
from core.data.readers.files import Member
from core.data.readers.image_decoding import resize
from core.data.readers.masks import NAMED
from core.data.readers.slice_order import Frame
from core.errors import UserError

ENDS = (".dcm", ".dicom", ".ima")  # what stands behind a point in other names is part of them
SAMPLED = 3  # pictures whose values are looked at before they are taken for masks


def are_masks(pictures: list[Member], files: list[Member]) -> bool:
    """Whether pictures beside DICOM files are masks: each has the name of one of the files (but for
    words like mask), and few values.
    """
    places = picture_masks.Places([_named(m) for m in files])
    some = pictures[:: max(1, len(pictures) // SAMPLED)]
    return all(places.owner(m)[0] is not None for m in pictures) and all(
        picture_masks.is_mask_like(m) for m in some
    )


def _named(file: Member) -> Member:
    """Return the file with a suffix, so that numbers behind the last point stay part of its
    name.
    """
    return file if file.name.lower().endswith(ENDS) else replace(file, name=f"{file.name}.dcm")


def draw_masks(frames: list[Frame], drawn: list[Member], file: Callable[[int], Member]) -> Marks:
    """Return the masks that pictures draw on the frames of files of their names. `file`: by
    position.

    What belongs to no file, or to one of several frames, or lies in another proportion is left out
    and counted: names of files may be names of people. Of frames without one the truth is unknown.
    """
    out = Marks(sizes=[f.file.size for f in frames])
    of: dict[int, list[int]] = {}
    for k, f in enumerate(frames):
        of.setdefault(f.at, []).append(k)
    places = picture_masks.Places([_named(file(at)) for at in of])
    order = list(of)
    try:
        values = mask_values.find_coding(drawn)
    except UserError:  # its sentence names the file
        raise UserError(
            "A picture beside the DICOM files is damaged, or holds no areas of one value as masks"
            " do; fix or remove it."
        ) from None
    lost: dict[str, int] = {}
    resized = used = 0
    for mask in drawn:
        which = places.owner(mask)[0]
        at = [] if which is None else of[order[which]]
        why = _no_place(at, frames, values.shapes[mask.name])
        if why:
            lost[why] = lost.get(why, 0) + 1
            continue
        size = frames[at[0]].file.size
        resized += values.shapes[mask.name] != size
        codes = np.ascontiguousarray(values.codes(mask))
        out.lay(at[0], codes if codes.shape == size else resize(codes, size, nearest=True))
        out.known.add(at[0])
        used += 1
    out.left += [f"{n} picture{'s' * (n != 1)} ({why})" for why, n in lost.items()]
    if used:
        labels = values.coding.labels
        out.labels = labels if len(labels) <= NAMED else {}
        out.rules.append(
            f"{used} picture{'s' * (used != 1)} as masks of the DICOM files of the same names:"
            f" {len(out.masks)} of {len(frames)} frames are marked; {values.coding.rule}"
        )
        out.rules += values.rules
    if resized:
        out.rules.append(
            f"{resized} of them are of another size than their slice: brought to it by the nearest"
            " label"
        )
    return out


def _no_place(at: list[int], frames: list[Frame], shape: tuple[int, int]) -> str:
    """Why a mask of that shape does not come onto frames `at` of its file; "" where it does."""
    if not at:
        return "of the name of no DICOM file, or of several"
    if len(at) > 1:
        return "of the name of a DICOM file of several frames"
    try:
        picture_masks.differs_in_size(shape, frames[at[0]].file.size, "", "")
    except UserError:
        return "of another proportion than the DICOM slice of its name"
    return ""
