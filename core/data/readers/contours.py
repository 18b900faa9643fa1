"""Outlines drawn by hand on scans: text files of `x y` lines, whose number is the number of the
scan's file, as masks of those scans.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePosixPath

import numpy as np

from core.data.readers.files import Member
from core.data.readers.image_decoding import resize
from core.errors import UserError

_CALLED = re.compile(r"contour|outline|polygon", re.IGNORECASE)
_OUTER = re.compile(r"(^|[-_/])(o-?contour|outer|epi)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")


def find_outline_files(members: list[Member]) -> list[Member]:
    """Return the outlines among the files: text files, called contour, outline or polygon or lying
    in a folder so called, that begin with numbers.
    """
    return [
        m
        for m in members
        if m.name.lower().endswith(".txt") and _CALLED.search(m.name) and _begins_with_numbers(m)
    ]


def _begins_with_numbers(member: Member) -> bool:
    lines = member.head.decode("ascii", "replace").splitlines()
    try:
        return bool(lines) and len([float(v) for v in re.split(r"[\s,;]+", lines[0].strip())]) >= 2
    except ValueError:
        return False


def read_polygon(member: Member, called: str) -> np.ndarray:
    """float64 [k,2] of x and y in pixels, the middle of the first pixel at 0. UserError naming the
    file as `called`, and line, for anything else.
    """
    points = []
    for number, line in enumerate(member.load().decode("ascii", "replace").splitlines(), 1):
        words = [w for w in re.split(r"[\s,;]+", line.strip()) if w]
        if not words:
            continue
        try:
            x, y = (float(w) for w in words[:2])
        except ValueError:
            x = y = float("nan")
        if not np.isfinite([x, y]).all():
            raise UserError(
                f"{called}, line {number}, is no pair of numbers x y; fix the outline or remove it."
            )
        points.append((x, y))
    if len(points) < 3:
        raise UserError(f"{called} holds {len(points)} points; an outline has at least 3.")
    return np.array(points)


def fill_polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`bool [H,W]`: pixels whose middle lies inside the closed polygon [k,2] of x, y (even-odd
    rule). O(k) per pixel of its bounding box.
    """
    mask = np.zeros(size, bool)
    low = np.clip(np.ceil(points.min(0)).astype(int), 0, [size[1] - 1, size[0] - 1])
    high = np.clip(np.floor(points.max(0)).astype(int), 0, [size[1] - 1, size[0] - 1])
    y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1].astype(float)
    inside = np.zeros(y.shape, bool)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, 0)):
        crosses = (y1 > y) != (y2 > y)
        if crosses.any():
            inside ^= crosses & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    mask[low[1] : high[1] + 1, low[0] : high[0] + 1] = inside
    return mask


def draw_masks(
    scans: list[str],
    sizes: list[tuple[int, int]],
    size: tuple[int, int],
    drawn: list[Member],
    which: str = "inner",
) -> tuple[np.ndarray, np.ndarray, list[str], str]:
    """Masks uint8 [n,*size] of the scans named `scans`, whose own sizes were `sizes`; `outlined`
    bool [n], False where nobody drew.

    Where there are inner and outer outlines (i-contours, o-contours), `which` is taken. Also the
    names of the files left out, and the rule in words. An outline belongs to the scan with its
    number as file name, that shares most folders with it when several have that number. UserError
    when that leaves more than one.
    """
    kinds = {m.name: "outer" if _OUTER.search(m.name) else "inner" for m in drawn}
    wanted = which if which in kinds.values() else "outer"
    used = [m for m in drawn if kinds[m.name] == wanted]
    left = [m.name for m in drawn if kinds[m.name] != wanted]
    numbered: dict[int, list[int]] = defaultdict(list)
    for i, name in enumerate(scans):
        found = _NUMBER.findall(PurePosixPath(name).stem)
        if found:
            numbered[int(found[-1])].append(i)
    masks, outlined = np.zeros((len(scans), *size), np.uint8), np.zeros(len(scans), bool)
    for i, m in enumerate(used):
        # names may be those of people, and errors are stored
        called = f"Outline {i + 1} of {len(used)} (in the order of their names)"
        at = _scan_of(m, numbered, scans, called)
        if at is None:
            left.append(m.name)
            continue
        mask = fill_polygon(read_polygon(m, called), sizes[at]).astype(np.uint8)
        masks[at] |= mask if sizes[at] == size else resize(mask * 255, size, nearest=True) > 127
        outlined[at] = True
    rule = (
        f"{int(outlined.sum())} of {len(scans)} frames are outlined by hand ({wanted} outline); the"
        " others have no truth (column “outlined”)"
    )
    return masks, outlined, left, rule


def _scan_of(
    member: Member, numbered: dict[int, list[int]], scans: list[str], called: str
) -> int | None:
    numbers = _NUMBER.findall(member.stem)
    found = numbered.get(int(numbers[-1]), []) if numbers else []
    if len(found) > 1:
        shared = [
            len(set(PurePosixPath(scans[i]).parts[:-1]) & set(member.parts[:-1])) for i in found
        ]
        found = [i for i, k in zip(found, shared) if k == max(shared)]
        if len(found) > 1:
            raise UserError(
                f"{called} could belong to {len(found)} scans of that number; keep the contours in"
                " folders named as the scans' folders."
            )
    return found[0] if found else None
