"""Segmentations in NIfTI or MGH files as masks of DICOM slices that lie in the same space.

NIfTI counts millimetres to the right and front, DICOM to the left and back; both share the
patient's frame where a converter (dcm2niix, 3D Slicer, ITK-SNAP) wrote the file.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.data.readers import blocks, scan_masks
from core.data.readers.blocks import Block
from core.data.readers.dicom_seg import Marks
from core.data.readers.files import Member
from core.data.readers.nifti_file import TO_LPS, Scan, read_scan_header, read_volumes
from core.data.readers.slice_order import Frame
from core.errors import UserError

NO_PLACE = "it does not say where it lies"


@dataclass
class _Laid:
    """A segmentation, the series it is of, and whether it lies on their grid."""

    scan: Scan
    series: list[int]
    exact: bool


def marks(frames: list[Frame], laid: list[Member], names: Callable[[int], str]) -> Marks:
    """Return the masks that the segmentations among `laid` draw on frames, by the nearest label in
    space.

    `names`: the path of a file, by its position. A segmentation is of the series it meets in space
    whose folders and names it shares most, among them of those on its very grid, if those are of
    one patient. What fits no series, and scans, are left out and counted: names of files may be
    names of people.
    """
    out = Marks(sizes=[f.file.size for f in frames])
    found: list[_Laid] = []
    lost: dict[str, int] = defaultdict(int)
    series: dict[int, list[int]] = defaultdict(list)
    for k, f in enumerate(frames):
        series[f.series].append(k)
    for member in laid:
        try:
            scan = read_scan_header(member)
            kind = _kind(scan, member)
        except UserError:
            scan, kind = None, "NIfTI file (it cannot be read)"
        if kind or scan is None:
            lost[kind] += 1
            continue
        of, exact, why = _owners(scan, frames, series, names)
        if of:
            found.append(_Laid(scan, of, exact))
        else:
            lost[f"NIfTI segmentation ({why})"] += 1
    if found:
        _draw(found, frames, series, out)
    out.left += [
        f"{n} {words if n == 1 else words.replace(' (', 's (', 1)}" for words, n in lost.items()
    ]
    return out


def is_segmentation(member: Member) -> bool:
    """Whether a NIfTI file beside DICOM files holds labels. Reads its voxels."""
    try:
        return not _kind(read_scan_header(member), member)
    except UserError:
        return False


def _kind(scan: Scan, member: Member) -> str:
    """Return what it is that is left out, in words; "" for a segmentation."""
    most = scan_masks.MOST if scan_masks.is_named(member) else scan_masks.FEW
    if scan.times == 1 and 0 < scan.kinds <= most:
        return ""
    return "NIfTI scan (beside DICOM files; bring it apart, or choose the kind NIfTI)"


def _block(scan: Scan, codes: np.ndarray) -> Block:
    """Labels [D,H,W] on the grid of a scan as a block in DICOM's coordinates."""
    to_lps = np.eye(4)
    to_lps[:3, :3] = TO_LPS
    swapped = np.eye(4)[[2, 1, 0, 3]]  # positions d, h, w -> x, y, z
    return Block(codes, to_lps @ scan.affine @ swapped)


def _owners(
    scan: Scan, frames: list[Frame], series: dict[int, list[int]], names: Callable[[int], str]
) -> tuple[list[int], bool, str]:
    """Return the series a segmentation is of, whether it lies on their grid, and, where it is of
    none, why.
    """
    if not scan.axes:
        return [], False, NO_PLACE
    block = _block(scan, np.zeros(scan.shape, np.uint8))
    reach = {s: _reach(block, [frames[k] for k in at]) for s, at in series.items()}
    near = {s: exact for s, exact in reach.items() if exact is not None}
    if scan.plain and not any(near.values()):
        return [], False, NO_PLACE
    if not near:
        return [], False, "it lies outside of all series"
    shared = {s: _shared(scan.member, {names(frames[k].at) for k in series[s]}) for s in near}
    most = max(shared.values())
    of = [s for s in near if shared[s] == most]
    of = [s for s in of if near[s]] or of
    people = {frames[series[s][0]].patient for s in of}
    if len(people) > 1:
        return [], False, "of several patients at once? Put it into its patient's folder"
    return of, all(near[s] for s in of), ""


def _reach(block: Block, mine: list[Frame]) -> bool | None:
    """Whether slices lie in planes of the block, pixel on voxel; None where none meets its box."""
    meet = [f for f in mine if blocks.has_place(f.place) and block.meets(f.place, f.file.size)]
    if not meet:
        return None
    return all(block.grid(f.place, f.file.size) for f in meet)


def _shared(mask: Member, files: set[str]) -> int:
    """How well a mask's folders and name fit those of the files of a series: 2 for each word that
    is one of theirs, 1 for each that stands within one.
    """
    words = {*scan_masks.find_case_folders(mask), scan_masks.make_name_key(mask)} - {""}
    theirs: set[str] = set()
    for file in files:
        one = Member(file, lambda most: b"")
        theirs |= {*scan_masks.find_case_folders(one), one.stem.lower()}
    return sum(2 if w in theirs else any(_within(w, t) for t in theirs) for w in words)


def _within(word: str, other: str) -> bool:
    return bool(re.search(rf"(^|[^a-z0-9]){re.escape(word)}([^a-z0-9]|$)", other))


def _draw(
    found: list[_Laid], frames: list[Frame], series: dict[int, list[int]], out: Marks
) -> None:
    """Every segmentation onto the slices of its series, as codes."""
    coding = scan_masks.find_coding([one.scan for one in found])
    of: dict[int, list[_Laid]] = defaultdict(list)
    for one in found:
        for s in one.series:
            of[s].append(one)
    several = max(map(len, of.values())) > 1
    for s, laid in of.items():
        for number, one in enumerate(laid, 1):
            codes = coding.apply(next(read_volumes(one.scan)))
            if several:
                codes = np.where(codes > 0, np.uint8(min(number, 255)), np.uint8(0))
            block = _block(one.scan, codes)
            for k in series[s]:
                if blocks.has_place(frames[k].place):
                    out.lay(k, block.on(frames[k].place, frames[k].file.size))
        out.known |= set(series[s])
    said = coding.rule
    if several:
        out.labels = {str(c): f"mask {c}" for c in range(1, max(map(len, of.values())) + 1)}
        said = "several masks of a series are labels of their own, in the order of their names"
    elif coding.labels:
        out.labels = coding.labels
    n = len(found)
    out.rules.append(
        f"{n} NIfTI segmentation{'s' * (n != 1)} as masks of DICOM slices: {len(out.masks)} of"
        f" {len(frames)} frames are marked; {said}"
    )
    if not all(one.exact for one in found):
        out.rules.append(
            "segmentations on another grid than their slices: each pixel takes the nearest label"
        )
