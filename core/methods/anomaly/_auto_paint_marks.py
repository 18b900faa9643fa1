"""From heat to lesions: what is marked in slices, joined to lesions of a scan, and their table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.imaging.stacks import find_stack

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def opened(marks: np.ndarray, smallest: int) -> np.ndarray:
    """Return marks bool [n,S,S] with holes filled, without spots (8 neighbours) of fewer than
    `smallest` pixels.
    """
    from scipy.ndimage import binary_fill_holes, label

    out = np.zeros(marks.shape, bool)
    for i in np.flatnonzero(marks.any((1, 2))):
        spots, _ = label(binary_fill_holes(marks[i]), np.ones((3, 3)))
        large = np.bincount(spots.ravel()) >= smallest
        large[0] = False
        out[i] = large[spots]
    return out


def empty_threshold(heat: np.ndarray, smallest: int, share: float) -> float:
    """Return the lowest of 60 thresholds at which `share` of healthy heat maps [n,S,S] have nothing
    marked.
    """
    top = float(heat.max())
    low = float(np.quantile(heat, 0.9))
    for level in np.linspace(low, top, 60):
        marked = opened(heat > level, smallest).any((1, 2))
        if 1 - marked.mean() >= share:
            return float(level)
    return top


def runs_of_slices(data: Dataset) -> list[np.ndarray]:
    """Positions of the rows of `data` as runs of neighbouring slices, each in order; a picture of
    which nothing says what lies beside it is a run by itself.
    """
    place = next((c for c in ("slice", "position_mm") if c in data.frame), "")
    position = {int(r): i for i, r in enumerate(data.rows)}
    left, found = set(position), []
    for row in data.rows.tolist():
        if row not in left:
            continue
        stack = find_stack(data, row)[0]
        left -= set(stack.tolist())
        at = np.array([position[int(r)] for r in stack])
        if len(at) < 2 or not place:
            found.append(at)
            continue
        gap = np.diff(data.frame[place].to_numpy(float)[at])
        found += np.split(at, np.flatnonzero(gap > 1.5 * np.median(gap)) + 1)
    return found


def lesions_of(
    marks: np.ndarray, runs: list[np.ndarray], pixel: np.ndarray, smallest_ml: float
) -> np.ndarray:
    """Return numbers of the lesions in marks bool [n,H,W], int32 [n,H,W], 0 = none, from 1 within
    each run: spots that touch (26 neighbours) within it are one. Left out are those that are seen
    in one slice of a run of three or more, and those smaller than `smallest_ml`; `pixel [n]` is
    the volume of a pixel in ml, NaN where it is not known.
    """
    from scipy.ndimage import find_objects, label

    out = np.zeros(marks.shape, np.int32)
    for at in runs:
        spots, _ = label(marks[at], np.ones((3, 3, 3)))
        many = 0
        for number, box in enumerate(find_objects(spots), 1):
            here = spots[box] == number
            seen = here.any((1, 2)).sum()
            volume = float((here.sum((1, 2)) * pixel[at][box[0]]).sum())
            if (len(at) >= 3 and seen < 2) or volume < smallest_ml:
                continue
            many += 1
            for k, part in zip(at[box[0]], here):
                out[k][box[1:]][part] = many
    return out


def pixel_ml(data: Dataset) -> np.ndarray:
    """Volume of a pixel of each row in ml float64 [n], NaN where it is not known."""
    names, frame = ("mm_slice", "mm_down", "mm_across"), data.frame
    if any(name not in frame for name in names):
        return np.full(len(data), np.nan)
    sizes = frame[list(names)].to_numpy(float)
    return np.where((sizes > 0).all(1), sizes.prod(1), np.nan) / 1000


def lesion_table(
    lesions: np.ndarray,
    runs: list[np.ndarray],
    heat: np.ndarray,
    residual: np.ndarray,
    data: Dataset,
) -> list[list[dict[str, Any]]]:
    """Return for each row the lesions of `lesions` [n,H,W] whose heat is highest in it: volume in
    ml (None where not known), slices and pixels, largest and mean `heat` [n,H,W], of the signed
    `residual` [n,H,W] the largest and the mean, and the pixel where the heat is highest.
    """
    from scipy.ndimage import find_objects

    volume = pixel_ml(data)
    lines: list[list[dict[str, Any]]] = [[] for _ in lesions]
    for at in runs:
        for number, box in enumerate(find_objects(lesions[at]), 1):
            assert box is not None
            within = (at[box[0]], *box[1:])
            here = lesions[within] == number
            line = _measured(here, heat[within], residual[within], volume[within[0]])
            peak = line.pop("peak")
            place = [int(p + b.start) for p, b in zip(peak[1:], box[1:])]
            lines[within[0][peak[0]]].append({"number": number, "place": place} | line)
    return lines


def _measured(
    here: np.ndarray, heat: np.ndarray, residual: np.ndarray, volume: np.ndarray
) -> dict[str, Any]:
    """Return the figures of one lesion in its box: `here` bool, heat and residual [k,h,w], volume
    of a pixel [k].
    """
    pixels, values = here.sum((1, 2)), residual[here]
    ml = float((pixels * volume).sum())
    return {
        "peak": np.unravel_index(np.where(here, heat, -np.inf).argmax(), here.shape),
        "slices": int((pixels > 0).sum()),
        "pixels": int(pixels.sum()),
        "ml": ml if np.isfinite(ml) else None,
        "largest": float(heat[here].max()),
        "mean": float(heat[here].mean()),
        "residual": float(values[np.abs(values).argmax()]),
        "mean residual": float(values.mean()),
    }
