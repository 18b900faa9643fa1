"""What masks, and scans that look like masks, tell."""

from __future__ import annotations

from typing import Literal

import numpy as np

from core.data.checks.finding import Finding
from core.data.dataset import Dataset
from core.limits import FINDING_ROWS as SHOWN
from core.words import some_of

# share of a picture that is marked, on average over those with a mark, from which masks may be
# inverted
MOST = 0.5


def mask_findings(data: Dataset) -> list[Finding]:
    """Masks that mark most of what there is, and scans that look like segmentations. From the card,
    no sample is read.
    """
    found = []
    share = data.card.get("masks", {}).get("marked", 0.0)
    if data.masks is not None and share > MOST:
        words = f"The masks mark {share:.0%} of a picture on average: if that is the background, "
        words += "they are inverted; bring them turned around."
        found.append(
            Finding("masks inverted", "look", "Masks that mark most of the picture", words)
        )
    found += [*_find_images_like_masks(data), *_find_guessed_axes(data)]
    names = set(data.card.get("like segmentations", []))
    file = data.column("file")
    rows = (
        data.rows[np.isin(file.astype(str), list(names))]
        if names and file is not None
        else data.rows[:0]
    )
    if len(rows):
        files = sorted({str(f) for f in data.of(rows).column("file")})  # type: ignore[union-attr]
        listed = ", ".join(files[:5]) + (" …" if len(files) > 5 else "")
        hold = "files hold" if len(files) > 1 else "file holds"
        words = f"{len(files):,} {hold} a few whole numbers only ({listed}): "
        words += "a segmentation without its scan?"
        words += " Take it out, or put it beside its scan under the scan's name and “_seg”."
        found.append(
            Finding(
                "like segmentations",
                "look",
                "Looks like a segmentation",
                words,
                rows[:SHOWN].tolist(),
                len(rows),
            )
        )
    return found


def _find_guessed_axes(data: Dataset) -> list[Finding]:
    """Masks in arrays whose shape does not say in which order their axes stand."""
    told = data.card.get("mask axes")
    if not told or data.masks is None:
        return []
    best, other = told["contrast"]
    many = len(told["files"])
    named = some_of(told["files"], 3)
    which = f"{many:,} masks are" if many > 1 else "One mask is"
    words = (
        f"{which} as long along the first axis as along the last ({named}), so that the order of"
        f" the axes could not be told; taken as {told['order']}. What is marked then lies"
        f" {best:.2g} standard deviations of the scan from the rest, the other way round"
        f" {other:.2g}. Look whether they lie right, or save them as NIfTI."
    )
    return [Finding("mask axes", "look", "Order of the masks' axes guessed", words)]


def _find_images_like_masks(data: Dataset) -> list[Finding]:
    """Pictures of a few values only, as masks have."""
    names, file = set(data.card.get("like masks", [])), data.column("file")
    if not names or file is None:
        return []
    rows = data.rows[np.isin(file.astype(str), list(names))]
    if not len(rows):
        return []
    files = sorted(map(str, data.of(rows).column("file")))  # type: ignore[arg-type]
    listed = ", ".join(files[:5]) + (" …" if len(files) > 5 else "")
    picture = "pictures hold" if len(files) > 1 else "picture holds"
    words = (
        f"{len(files):,} {picture} areas of a few values only ({listed}): masks that came in as "
    )
    words += (
        "pictures? Put each into a folder “masks” under the name of its picture, or take it out."
    )
    severity: Literal["note", "look"] = "note" if len(rows) == len(data) else "look"
    return [
        Finding(
            "like masks", severity, "Looks like a mask", words, rows[:SHOWN].tolist(), len(rows)
        )
    ]
