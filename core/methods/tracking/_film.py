"""Whether data holds films whose frames can be followed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from core import limits
from core.data.clips import clip_names, is_film

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def why_not_followed(data: Dataset) -> str | None:
    """Why no object can be followed through this data, in one sentence for the user; None when it
    can.
    """
    if not is_film(data):
        return (
            "Needs a film: a column that says which clip a frame is of, and one that orders its"
            " frames; this data has none."
        )
    if data.shape[0] not in (1, 3):
        return f"Works on pictures with one or three channels; these have {data.shape[0]}."
    if 8 * len(data) * int(np.prod(data.shape[1:])) > limits.OUTLINES:
        return (
            f"The masks of {len(data):,} frames of this size would need more than"
            f" {limits.OUTLINES >> 30} GB; bring fewer frames or smaller ones."
        )
    return _why_not_ordered(data)


def _why_not_ordered(data: Dataset) -> str | None:
    """Why the frames of a film have no order, or its clips no side of the split."""
    times, names = data.column("time"), data.column("sequence")
    assert times is not None
    assert names is not None
    if any(not _is_number(t) for t in times if t is not None):
        return "The column that orders the frames must hold numbers."
    lacking = sum(t is None or name is None for t, name in zip(times, names))
    if lacking:
        return (
            f"{lacking:,} frames lack the name of their clip or their time; fill them in or"
            " leave these frames out."
        )
    clips = clip_names(data)
    torn = len(set(zip(clips, data.splits))) - len(set(clips))
    if torn:
        return (
            f"The frames of {torn:,} clips lie on two sides of the split, so that tests would"
            " be of films seen in training; name the patient (or clip) column as the group."
        )
    return None


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
