"""Scans with a time axis beside their own time points as files (ACDC: patient001_4d beside
patient001_frame01): which of the two is left out, so that no time point comes in twice.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np

from core.data.readers import scan_masks
from core.data.readers.nifti_file import Scan, read_volumes

WHOLE = re.compile(r"[-_ ]?(4d|cine|dynamic|dyn)$", re.I)
FRAME = re.compile(r"[-_ ]?(frame|phase|time|tp|vol|volume|t|f|ed|es)[-_ ]?\d*$", re.I)


def find_duplicates(scans: list[Scan], of: dict[str, list[str]]) -> dict[str, str]:
    """Name of each scan to leave out, and why in words. `of`: scan -> its masks, by name.

    A scan with times is left out where frames on its grid stand beside it under its name
    (`FRAME`) or with masks; other scans that equal one of its time points are left out instead.
    Reads the voxels of scans that may be time points.
    """
    out: dict[str, str] = {}
    for whole in scans:
        beside = [s for s in scans if _may_be(s, whole)] if whole.times > 1 else []
        frames = [s for s in beside if _named(s, whole)]
        equal = [s for s in beside if s not in frames]
        if equal:
            there = {_digest(v) for v in read_volumes(whole)}
            equal = [s for s in equal if _digest(next(read_volumes(s))) in there]
        found = frames + equal
        if not found:
            continue
        marked = any(s.member.name in of for s in found) and whole.member.name not in of
        if marked or (frames and whole.member.name not in of):
            listed = ", ".join(s.member.parts[-1] for s in found[:3])
            out[whole.member.name] = f"its time points stand beside it ({listed})"
        else:
            out |= {s.member.name: f"a time point of {whole.member.name}" for s in found}
    return out


def _may_be(one: Scan, whole: Scan) -> bool:
    here = one.member.parts[:-1] == whole.member.parts[:-1]
    return here and one.times == 1 and scan_masks.compare_grids(whole, one) == "same"


def _named(one: Scan, whole: Scan) -> bool:
    base, stem = WHOLE.sub("", whole.member.stem), one.member.stem
    return bool(FRAME.search(stem)) and FRAME.sub("", stem) in (base, whole.member.stem)


def _digest(volume: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(volume).tobytes()).digest()
