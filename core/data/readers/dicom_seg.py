"""Segmentation objects (DICOM SEG) as masks of the slices they were drawn on, and what DICOM files
without a picture are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from core.data.readers import blocks, dicom_file, volume_resizing
from core.data.readers.dicom_header import File, Place
from core.data.readers.dicom_values import read_text
from core.data.readers.files import Member
from core.data.readers.image_decoding import resize
from core.data.readers.slice_order import Frame, Solid

# segmentation, label map segmentation
SEG = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
KINDS = {  # beginnings of SOP classes without a picture, the longest that fits counts
    "1.2.840.10008.5.1.4.1.1.481.3": "structure set (RTSTRUCT)",
    "1.2.840.10008.5.1.4.1.1.481.5": "treatment plan (RTPLAN)",
    "1.2.840.10008.5.1.4.1.1.481.8": "treatment plan (RTPLAN)",
    "1.2.840.10008.5.1.4.1.1.481": "treatment record",
    "1.2.840.10008.5.1.4.1.1.88.59": "key object selection (KO)",
    "1.2.840.10008.5.1.4.1.1.88": "report (SR)",
    "1.2.840.10008.5.1.4.1.1.11": "presentation state (PR)",
    "1.2.840.10008.5.1.4.1.1.66.1": "registration (REG)",
    "1.2.840.10008.5.1.4.1.1.66.3": "registration (REG)",
    "1.2.840.10008.5.1.4.1.1.66.2": "fiducials (FID)",
    "1.2.840.10008.5.1.4.1.1.66.5": "surface segmentation",
    "1.2.840.10008.5.1.4.1.1.9": "waveform",
    "1.2.840.10008.5.1.4.1.1.104": "document",
}
SAME_WAY = 0.999  # cosine between normals of planes that lie the same way
EXACT = 0.05  # of a pixel, by which two grids may differ and still be one


@dataclass(frozen=True, eq=False)
class SegmentFrame:
    """One frame of a segmentation: of which `segment`, which files it was drawn on (`on`: SOP
    instance and, where it is said, the number of its frame), and where it lies.
    """

    index: int
    segment: int
    on: tuple[tuple[str, int | None], ...]
    place: Place


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One SEG file: `at` is its position among those brought. `map`: its values are segments;
    `full`: the value that stands for 1 where values are shares (0: they are marks). `space`: its
    frame of reference.
    """

    at: int
    file: File
    segment_frames: list[SegmentFrame]
    map: bool
    full: float
    space: str


@dataclass
class Marks:
    """uint8 codes [H,W] by position in `frames`; positions of frames whose truth is known; what is
    to be said, and what was left out, in words.
    """

    masks: dict[int, np.ndarray] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    rules: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def lay(self, k: int, mark: np.ndarray) -> None:
        """Lay codes uint8 [H,W] on frame `k`, over what was marked there before."""
        if mark.any():
            before = self.masks.get(k)
            self.masks[k] = mark if before is None else np.where(mark > 0, mark, before)

    def fitted(
        self, size: tuple[int, int], table: pd.DataFrame
    ) -> tuple[np.ndarray | None, pd.DataFrame]:
        """Masks uint8 [n,*size] of all frames (None where nothing was placed), and the table with a
        column `outlined` where the truth of some frames is not known.
        """
        if not self.known:
            return None, table
        out = np.zeros((len(table), *size), np.uint8)
        for k, mask in self.masks.items():
            out[k] = resize(mask, size, nearest=True)
        known = np.isin(np.arange(len(table)), list(self.known))
        return out, table if known.all() else table.assign(outlined=known)

    def volume(self, at: list[int], turn: Solid, size: tuple[int, ...]) -> np.ndarray:
        """uint8 [*size]: the masks of the frames of one stack, turned and fitted as its picture
        is.
        """
        stack = np.stack([self.masks.get(k, np.zeros(self.sizes[k], np.uint8)) for k in at])
        turned = stack.transpose(turn.order)[
            tuple(slice(None, None, -1 if f else 1) for f in turn.flipped)
        ]
        return volume_resizing.fit_volume(turned, size, 0)

    @property
    def card(self) -> dict[str, Any]:
        """The card's entry `masks`: see `masks.describe_masks`."""
        shares = [float((m > 0).mean()) for m in self.masks.values()]
        entry = {
            "labels": self.labels,
            "marked": round(float(np.mean(shares)), 4) if shares else 0.0,
        }
        return {"masks": entry} if self.known else {}


def is_segmentation(header: Any) -> bool:
    """Whether a DICOM file is a segmentation object."""
    return read_text(header, "SOPClassUID") in SEG


def read_uids(header: Any) -> tuple[str, str]:
    """SOP instance and frame of reference; "" where they are not said."""
    return read_text(header, "SOPInstanceUID"), read_text(header, "FrameOfReferenceUID")


def describe_class(uid: str) -> str:
    """Return what a DICOM file of that SOP class is, in words; "" when it is not known."""
    fits = [k for k in KINDS if uid == k or uid.startswith(k + ".")]
    return KINDS[max(fits, key=len)] if fits else ""


def describe_left_out(kinds: list[str]) -> list[str]:
    """Files without a picture, by kind, in words."""
    out = []
    for kind, n in Counter(kinds).most_common():
        many = "s" * (n != 1)
        out.append(
            f"{n} {kind.replace(' (', f'{many} (', 1) if '(' in kind else kind + many}"
            if kind
            else f"{n} DICOM file{many} without a picture"
        )
    return out


def read_segmentation(at: int, header: Any, file: File) -> Segmentation:
    """Return what the header of a SEG file says; call it within `dicom.sentences`."""
    shared = _first(header.get("SharedFunctionalGroupsSequence"))
    each = header.get("PerFrameFunctionalGroupsSequence") or []
    drawn = []
    for k, place in enumerate(file.places):
        own = each[k] if k < len(each) else None
        groups = [g for g in (own, shared) if g is not None]
        said = next(
            (
                s
                for g in groups
                if (s := _first(g.get("SegmentIdentificationSequence"))) is not None
            ),
            None,
        )
        number = int(said.get("ReferencedSegmentNumber", 1) or 1) if said is not None else 1
        drawn.append(SegmentFrame(k, number, _sources(groups), place))
    full = (
        float(header.get("MaximumFractionalValue", 255) or 255)
        if read_text(header, "SegmentationType") == "FRACTIONAL"
        else 0.0
    )
    is_map = (
        read_text(header, "SOPClassUID") == SEG[1]
        or read_text(header, "SegmentationType") == "LABELMAP"
    )
    return Segmentation(at, file, drawn, is_map, full, read_text(header, "FrameOfReferenceUID"))


def _first(sequence: Any) -> Any:
    return sequence[0] if sequence is not None and len(sequence) else None


def _sources(groups: list[Any]) -> tuple[tuple[str, int | None], ...]:
    out: list[tuple[str, int | None]] = []
    for group in groups:
        for derivation in group.get("DerivationImageSequence") or []:
            for source in derivation.get("SourceImageSequence") or []:
                uid = str(source.get("ReferencedSOPInstanceUID", ""))
                frames = source.get("ReferencedFrameNumber")
                if uid and frames is None:
                    out.append((uid, None))
                elif uid:
                    out += [(uid, int(n)) for n in np.atleast_1d(frames)]
        if out:
            break
    return tuple(out)


def draw_masks(
    frames: list[Frame],
    uids: dict[int, tuple[str, str]],
    found: list[Segmentation],
    members: list[Member],
    where: Any,
) -> Marks:
    """Return the masks that segmentation objects draw on frames. `uids`: SOP instance and frame of
    reference of each file by its position, `where`: what errors call a file.

    A frame of a SEG belongs to the slice that it names, else to the slices nearest to its plane in
    the same space and direction; other grids within the plane are brought over by the nearest
    pixel. A SEG drawn in planes that no slice lies in (sagittal on axial slices) is put together to
    a block, of which each slice of its space takes the nearest label. Segments are codes by their
    number; those of a second SEG of a series are numbered on.
    """
    out = Marks(sizes=[f.file.size for f in frames])
    slices = _Slices.of(frames)
    by_uid: dict[str, list[int]] = defaultdict(list)
    for k, f in enumerate(frames):
        by_uid[uids[f.at][0]].append(k)
    used: dict[int, int] = defaultdict(int)  # series -> codes in use
    placed = other = shares = turned = 0
    for seg in found:
        rows = {d.index: _rows(d, seg, frames, uids, by_uid, slices) for d in seg.segment_frames}
        if not any(rows.values()):
            crossed = _crossed(seg, frames, uids, used, members, where)
            turned += bool(crossed)
            _lay(crossed, frames, out, used)
            continue
        placed += 1
        shares += seg.full > 0
        series = {frames[k].series for ks in rows.values() for k in ks}
        base = max(used[s] for s in series)
        top = 0
        called = where(seg.at)
        with dicom_file.reword_errors(called):
            dataset = dicom_file.read_whole(members[seg.at].load(), called)
            wanted = [d for d in seg.segment_frames if rows[d.index]]
            for d, values in zip(
                wanted, dicom_file.frames(dataset, called, [d.index for d in wanted])
            ):
                codes = _codes(values, d, seg, base)
                top = max(top, int(codes.max()))
                for k in rows[d.index]:
                    mark, exact = _onto(codes, d.place, frames[k])
                    other += not exact
                    out.lay(k, mark)
        for s in series:
            used[s] = max(used[s], top)
        out.known |= {k for k, f in enumerate(frames) if f.series in series}
    placed += turned
    if placed:
        n = len({int(v) for m in out.masks.values() for v in np.unique(m)} - {0})
        out.labels = (
            {str(c): f"segment {c}" for c in range(1, max(used.values()) + 1)} if n > 1 else {}
        )
        out.rules.append(
            f"{placed} segmentation object{'s' * (placed != 1)} (SEG) as masks: "
            f"{len(out.masks)} of {len(frames)} frames are "
            f"marked, {n} segment{'s' * (n != 1)}"
        )
        if other:
            out.rules.append(
                "segmentations on another grid were brought onto their slices by the nearest pixel"
            )
        if turned:
            out.rules.append(
                f"{turned} segmentation{'s' * (turned != 1)} drawn in planes of another direction: "
                "each pixel of a slice takes the nearest label in space"
            )
        if shares:
            out.rules.append("segmentations that give shares are marked from a half on")
    lost = len(found) - placed
    if lost:
        one = "segmentation object (SEG) that does not say on which of these slices it lies"
        many = "segmentation objects (SEG) that do not say on which of these slices they lie"
        out.left.append(f"{lost} {one if lost == 1 else many}")
    return out


def _crossed(
    seg: Segmentation,
    frames: list[Frame],
    uids: dict[int, tuple[str, str]],
    used: dict[int, int],
    members: list[Member],
    where: Any,
) -> dict[int, np.ndarray]:
    """uint8 codes by position in `frames`: those of the SEG's space that its box meets; {} where
    its planes make no block.
    """
    there = [
        k
        for k, f in enumerate(frames)
        if blocks.has_place(f.place) and _one_space(f, uids[f.at][1], seg)
    ]
    if (
        not there
        or not seg.segment_frames
        or len({d.place.facing for d in seg.segment_frames}) != 1
    ):
        return {}
    base, called = max(used[frames[k].series] for k in there), where(seg.at)
    with dicom_file.reword_errors(called):
        dataset = dicom_file.read_whole(members[seg.at].load(), called)
        values = dicom_file.frames(dataset, called, [d.index for d in seg.segment_frames])
        planes = [_codes(v, d, seg, base) for d, v in zip(seg.segment_frames, values)]
    block = blocks.make_block(planes, [d.place for d in seg.segment_frames])
    if block is None:
        return {}
    series = {frames[k].series for k in there if block.meets(frames[k].place, frames[k].file.size)}
    return {
        k: block.on(frames[k].place, frames[k].file.size)
        for k in there
        if frames[k].series in series
    }


def _lay(codes: dict[int, np.ndarray], frames: list[Frame], out: Marks, used: Any) -> None:
    """Write the codes of frames into the marks, over what was marked before."""
    for k, mark in codes.items():
        used[frames[k].series] = max(used[frames[k].series], int(mark.max()))
        out.lay(k, mark)
    series = {frames[k].series for k in codes}
    out.known |= {k for k, f in enumerate(frames) if f.series in series}


@dataclass(frozen=True, eq=False)
class _Slices:
    """Where frames lie, as arrays: positions and normals [n,3] (nan: unknown), millimetres to the
    next one of their series.
    """

    position: np.ndarray
    normal: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, frames: list[Frame]) -> _Slices:
        lacking = np.full(3, np.nan)
        placed = [f.place.position is not None and f.place.across is not None for f in frames]
        position = np.array(
            [f.place.position if p else lacking for f, p in zip(frames, placed)], dtype=float
        )
        normal = np.array(
            [f.place.normal if p else lacking for f, p in zip(frames, placed)], dtype=float
        )
        step = np.zeros(len(frames))
        series = np.array([f.series for f in frames])
        for s in np.unique(series):
            at = np.flatnonzero(series == s)
            step[at] = _step([frames[k].place.along for k in at])
        return cls(position, normal, step)


def _step(along: list[float]) -> float:
    """Return the usual distance between neighbouring planes; 0 for one."""
    between = np.diff(np.unique(np.round(along, 2)))
    return float(np.median(between)) if len(between) else 0.0


def _rows(
    d: SegmentFrame,
    seg: Segmentation,
    frames: list[Frame],
    uids: dict[int, tuple[str, str]],
    by_uid: dict[str, list[int]],
    slices: _Slices,
) -> list[int]:
    """Positions of the frames a drawn frame belongs to."""
    named = [
        k
        for uid, number in d.on
        for k in by_uid.get(uid, [])
        if number is None or frames[k].index == number - 1
    ]
    lies = d.place.position is not None and d.place.across is not None
    if named:
        return [
            k
            for k in named
            if frames[k].file.size == seg.file.size or (lies and frames[k].place.across is not None)
        ]
    if not lies:
        return []
    planes = np.array([p.place.along for p in seg.segment_frames if p.segment == d.segment])
    along = slices.position @ d.place.normal
    apart = np.abs(along - d.place.along)
    # empty planes may be left out, so that the next one tells nothing of how thick they are
    thick = d.place.thick if np.isfinite(d.place.thick) else 0.0
    reach = np.maximum(slices.step, thick) / 2 + 0.01
    nearest = np.abs(along[:, None] - planes[None]).min(1) if len(planes) else apart
    same_way = np.abs(slices.normal @ d.place.normal) >= SAME_WAY
    near = np.flatnonzero(same_way & (apart <= reach) & (apart <= nearest + 1e-6))
    return [int(k) for k in near if _one_space(frames[k], uids[frames[k].at][1], seg)]


def _one_space(frame: Frame, space: str, seg: Segmentation) -> bool:
    """Whether positions of both mean the same: one frame of reference, or, where that is not said,
    one patient.
    """
    return space == seg.space if space and seg.space else frame.file.person == seg.file.person


def _codes(values: np.ndarray, d: SegmentFrame, seg: Segmentation, base: int) -> np.ndarray:
    """uint8 [H,W]: 0 or the code of the segment."""
    if seg.map:
        return np.where(values > 0, np.clip(values.astype(np.int64) + base, 0, 255), 0).astype(
            np.uint8
        )
    marked = values >= seg.full / 2 if seg.full else values > 0
    return (marked * np.uint8(min(255, d.segment + base))).astype(np.uint8)


def _onto(codes: np.ndarray, place: Place, frame: Frame) -> tuple[np.ndarray, bool]:
    """Return the codes on the grid of a frame, by the nearest pixel, and whether it is the same
    grid.
    """
    from scipy.ndimage import affine_transform

    to = frame.place
    if place.position is None or place.across is None or place.down is None:
        return codes, True
    if to.position is None or to.across is None or to.down is None:
        return codes, True
    # millimetres -> rows, columns of the segmentation
    own = np.stack([place.down, place.across]) / np.array(place.mm)[:, None]
    # rows, columns of the frame -> millimetres
    step = np.stack([to.down * to.mm[0], to.across * to.mm[1]], 1)
    matrix, offset = own @ step, own @ (to.position - place.position)
    size = frame.file.size
    ends = np.array([[0, 0], [size[0] - 1, size[1] - 1]])
    if codes.shape == size and np.abs(ends @ matrix.T + offset - ends).max() <= EXACT:
        return codes, True
    return affine_transform(codes, matrix, offset, size, order=0, mode="grid-constant"), False
