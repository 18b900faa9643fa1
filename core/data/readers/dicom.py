"""DICOM files and series, as slices or as volumes. Only technical facts pass the gate
(`core.data.deidentify`); patients, series and files get new names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core import limits
from core.data import deidentify
from core.data.dataset import Dataset
from core.data.geometry import spacing_after_fit
from core.data.readers import (
    contours,
    dicom_file,
    dicom_masks,
    dicom_pictures,
    dicom_seg,
    nifti_file,
    slice_order,
    volume_resizing,
)
from core.data.readers.dicom_file import NoPicture
from core.data.readers.dicom_header import File, facts
from core.data.readers.dicom_rows import (
    OTHERS,
    Found,
    _clips,
    _dataset,
    _decoded,
    _line,
    _named,
    _of_folders,
    _unit,
    decode_frames,
    describe_place,
)
from core.data.readers.files import Asked, Member, collect
from core.data.readers.frames import convert_to_bytes, describe_padding
from core.data.readers.image_decoding import SUFFIXES, choose_common_size
from core.data.readers.images import add_folder_classes
from core.data.readers.nifti import describe_geometry
from core.data.readers.npz_files import find_input_range
from core.data.readers.padding import Inside
from core.data.readers.slice_order import Frame
from core.errors import UserError
from core.io.threads import read_ahead

AUTO = 3  # series that are whole stacks from which they become volumes unasked


# once for all files: each time anew it costs a tenth of reading one
@deidentify.silence_dicom_libraries()
def read(
    members: list[Member],
    asked: Asked,
    drawn: list[Member] | None = None,
    laid: list[Member] | None = None,
) -> Dataset:
    """DICOM files as an image dataset, one row a frame, ordered by series, position along the
    slices' normal, and time; or, where at least three series are even stacks of slices (or
    `asked.stack` says so), as a volume dataset, one row a series.

    CT values are Hounsfield units, PET values standardised uptake where the header allows. Files
    without pixels are left out and counted. Frames of one place at several times become clips
    (roles `sequence` and `time`). `drawn` are outlines in text files: they become masks, and the
    column `outlined` says of which frames. `laid` are NIfTI files beside them, whose segmentations
    become masks too (see `dicom_masks`), or pictures (see `dicom_pictures`). Headers are read first
    and dropped, then each file is decoded, fitted and let go. The card's "names" are the new names,
    for the caller to put in once tables beside the scans were joined by the old ones.
    """
    found = read_headers(members, asked)
    beside = [*(laid or []), *_find_given_masks(asked)]
    found.laid = [m for m in beside if nifti_file.is_nifti(m)]
    found.painted = [m for m in beside if not nifti_file.is_nifti(m)]
    if found.laid and found.painted:
        raise UserError(
            "There are masks in pictures and in NIfTI files beside the DICOM files; bring one of"
            " the two."
        )
    if drawn and beside:
        raise UserError(
            "There are contours in text files and masks in NIfTI files or pictures; bring one of"
            " the two."
        )
    groups = [[found.frames[k] for k in g] for g in slice_order.group_stacks(found.frames)]
    whole = [g for g in groups if slice_order.is_volume(g)]
    if asked.stack == "volumes" and len(whole) < 2:
        are = f"{len(whole)} of {len(groups)} series are whole, evenly spaced stacks of slices"
        raise UserError(f"{are}; at least 2 are needed for volumes: import them as slices.")
    if asked.stack == "volumes" or (
        asked.stack == "auto" and not drawn and len(whole) == len(groups) >= AUTO
    ):
        return _volumes(found, whole, len(groups) - len(whole), asked)
    return _slices(found, asked, drawn)


def is_dicom(member: Member) -> bool:
    """By its mark; by its first element, where it has no mark, as old files have none; by its name
    only when its bytes are of no other kind.
    """
    head = member.head
    if head[128:132] == b"DICM" or _bare(head):
        return True
    return member.name.lower().endswith((".dcm", ".dicom", ".ima")) and head[:4] not in OTHERS


def _bare(head: bytes) -> bool:
    """Return a data set from its first byte on: an element of group 2 or 8 with a low number, and
    then a type in letters or a short length; or so in big-endian.
    """
    if len(head) < 8:
        return False
    little = head[0] in (2, 8) and head[1] == 0 and head[2] < 0x20 and head[3] == 0
    big = head[0] == 0 and head[1] == 8 and head[2] == 0 and head[3] < 0x20
    kind = head[4:6].isalpha() and head[4:6].isupper()
    return (little and (kind or (0 < head[4] <= 64 and head[5:8] == b"\0\0\0"))) or (big and kind)


def read_headers(
    members: list[Member],
    asked: Asked,
    alone: bool = False,
    looked: Sequence[int] | None = None,
) -> Found:
    """Return what the headers of the files say. `alone`: there are segmentation objects only, which
    are the pictures then. `looked`: positions of the only files to look at (all by default).
    """
    files: dict[int, File] = {}
    tags: Counter[int] = Counter()
    numbers: dict[str, dict[str, int]] = {"patient": {}, "series": {}}
    turns: dict[tuple[int, tuple[float, ...]], int] = {}
    frames, without, segs, uids = [], [], [], {}
    for at in range(len(members)) if looked is None else looked:
        m = members[at]
        called = describe_place(at, len(members))
        try:
            header, layout = dicom_file.read_header(m, called)
        except NoPicture as e:
            without.append((at, dicom_seg.describe_class(e.uid)))
            continue
        with dicom_file.reword_errors(called):
            file = files[at] = facts(header, called)
            if len(file.places) > 1:
                dicom_file.enough(m, len(file.places), file.size, called)
            uids[at] = dicom_seg.read_uids(header)
            drawn = dicom_seg.is_segmentation(header) and not alone
            if drawn:
                segs.append(dicom_seg.read_segmentation(at, header, files.pop(at)))
        tags.update(set(layout.tags))
        if drawn:
            continue
        patient, series = (
            numbers[k].setdefault(v, len(numbers[k]))
            for k, v in (("patient", file.person), ("series", f"{file.person}\0{file.series}"))
        )
        for k, place in enumerate(file.places):
            turn = turns.setdefault((series, place.facing), len(turns))
            frames.append(Frame(at, k, patient, series, file, turn))
        if len(frames) > limits.ROWS:
            raise UserError(
                f"The files hold more than {limits.ROWS:,} frames; bring fewer at a time."
            )
        asked.report(at + 1, 2 * len(members))
    slices = [f for f in frames if not f.file.scout]
    if len(slices) > 1:
        scouts = {f.at for f in frames if f.file.scout}
        without += [
            (at, "localizer (a view on which slices were planned)") for at in sorted(scouts)
        ]
        frames = slices
    if not frames and segs:
        return read_headers(members, asked, True, looked)
    if not frames:
        kind = f": a {without[0][1]}" if without[0][1] else ""
        more = f", like the {len(without) - 1} files beside it" if len(without) > 1 else ""
        raise UserError(
            f"{describe_place(without[0][0], len(members))} holds no picture (a DICOM file without"
            f" pixel data{kind}){more}."
        )
    return Found(
        members,
        files,
        slice_order.sort_frames(frames),
        tags,
        [k for _, k in without],
        uids,
        segs,
        alone,
    )


def _slices(found: Found, asked: Asked, drawn: list[Member] | None) -> Dataset:
    frames, files = found.frames, found.files
    notes, odd, steps = slice_order.check_order(frames)
    sizes = [f.file.size for f in frames]
    size, rule = choose_common_size(sizes)
    colour = any(f.colour for f in files.values())
    samples, whole = _decoded(found, size, colour, asked)
    unit, scale, rules = _unit(files, samples, whole, found.inside)
    if whole and (packed := convert_to_bytes(samples, whole)) is not samples:
        samples, scale = packed, scale if unit else find_input_range(packed)
    lines = []
    for f, step, note in zip(frames, steps, notes):
        word, lean = f.place.axes
        mm = spacing_after_fit(f.place.mm, f.file.size, size)
        line = (
            _line(f)
            | {"position_mm": f.place.known, "frame": f.index}
            | describe_geometry(word or f.file.axes_word, (step, *mm), lean)
        )
        lines.append(
            line
            | {
                "time_ms": None if f.time is None else round(f.time, 2),
                "pixel_mm": round(mm[0], 4),
                "stack": note,
            }
        )
    table = pd.DataFrame(lines)
    table["time_ms"] = table["time_ms"].astype(float)
    table = table.drop(
        columns=[c for c in ("stack", "held", "pixel_mm") if c in table and table[c].isna().all()]
    )
    if "stack" in table:
        table["stack"] = table["stack"].fillna("in order")
    table, roles = add_folder_classes(
        _named(table, found), {"file": "file", "group": "patient"}, asked, auto=False
    )
    table, film = _clips(table)
    if film:
        rules.append(
            f"{table['clip'].nunique()} clips: the frames of one place in the order of their times"
        )
    rules += _of_folders(table, roles, asked)
    masks, left, said = None, [], {}
    if found.segs or found.laid or found.painted:
        marks = _read_masks(found, asked)
        rules, left, said = [*rules, *marks.rules], marks.left, marks.card
        masks, table = marks.fitted(size, table)
    if drawn:
        masks, table["outlined"], unused, more = contours.draw_masks(
            list(table["file"]), sizes, size, drawn
        )
        rules.append(more)
        left += [f"{len(unused)} outline{'s' * (len(unused) != 1)}"] if unused else []
    known = [bool(np.isfinite(f.place.known)) for f in frames]
    where_placed = "position along the slices' normal, " if any(known) else ""
    if not all(known):
        rules.append(
            f"{len(known) - sum(known)} of {len(known)} slices do not say where they lie"
            " (ImagePositionPatient)"
        )
    rules = [
        describe_padding(rule),
        f"ordered by series, {where_placed}instance number",
        *odd,
        *rules,
    ]
    return _dataset(
        "image",
        table,
        samples,
        masks,
        {**roles, **film},
        scale,
        unit,
        rules,
        left,
        found,
        asked,
        said,
    )


def _volumes(found: Found, whole: list[list[Frame]], left: int, asked: Asked) -> Dataset:
    """One row a series, each stack turned to feet-head, back-front, left-right and fitted into the
    one size.
    """
    turned = [
        (g, t)
        for g in whole
        if (t := slice_order.find_turn(g, float(np.median(np.diff([f.place.along for f in g])))))
        is not None
    ]
    size, rule = volume_resizing.choose_common_size([t.shape for _, t in turned])
    samples, lines, done = volume_resizing.make_room(len(turned), size), [], 0
    for row, (group, turn) in enumerate(turned):
        back = [0, 0, 0]
        for to, source in enumerate(turn.order):
            back[source] = size[to]
        # each slice fitted as it comes: linear fitting goes axis by axis
        slab = np.empty((len(group), back[1], back[2]), np.float32)
        at: dict[int, list[tuple[int, int]]] = {}
        for k, f in enumerate(group):
            at.setdefault(f.at, []).append((f.index, k))

        def decode(
            file: int, at: dict[int, list[tuple[int, int]]] = at, slab: np.ndarray = slab
        ) -> Inside:
            wanted, inside = sorted(at[file]), Inside()
            pictures = found.pictures(file, [i for i, _ in wanted], inside)
            for (_, k), picture in zip(wanted, pictures):
                slab[k] = volume_resizing.fit_volume(picture[None], (1, *slab.shape[1:]))[0]
            return inside

        for inside in read_ahead(decode, at, found.threads):
            done += 1
            found.inside.merge(inside)
            asked.report(len(found.members) + done, 2 * len(found.members))
        volume = volume_resizing.fit_volume(slab, (back[0], back[1], back[2])).transpose(turn.order)
        samples[row, 0] = volume[
            tuple(slice(None, None, -1 if flip else 1) for flip in turn.flipped)
        ]
        line = (
            _line(group[0])
            | {"slices": len(group)}
            | describe_geometry(
                "HAR", volume_resizing.compute_sizes_after(turn.mm, turn.shape, size), turn.oblique
            )
        )
        reasons = [f.file.held for f in group if f.file.held]
        lines.append(line | ({"held": reasons[0]} if reasons else {}))
    masks, marks = None, _read_masks(found, asked)
    table = pd.DataFrame(lines)
    if marks.known:
        at_of = {id(f): k for k, f in enumerate(found.frames)}
        masks = np.stack(
            [marks.volume([at_of[id(f)] for f in g], turn, size) for g, turn in turned]
        )
        known = [any(at_of[id(f)] in marks.known for f in g) for g, _ in turned]
        table = table if all(known) else table.assign(outlined=known)
    used = {f.at: f.file for g in whole for f in g}
    unit, scale, more = _unit(used, samples, False, found.inside)
    rules = [
        (
            f"{len(turned)} series as volumes, turned so that slices go from feet to head, rows"
            " from back to front, columns from left to right"
        ),
        *more,
    ]
    rules += [*marks.rules, *([rule] if rule else [])]
    table, roles = add_folder_classes(
        _named(table, found), {"file": "file", "group": "patient"}, asked, auto=False
    )
    rules += _of_folders(table, roles, asked)
    out = (
        [f"{left} series that {'are' if left != 1 else 'is'} no even stack of slices"]
        if left
        else []
    )
    return _dataset(
        "volume",
        table,
        samples,
        masks,
        roles,
        scale,
        unit,
        rules,
        [*out, *marks.left],
        found,
        asked,
        marks.card,
    )


def _find_given_masks(asked: Asked) -> list[Member]:
    """Return the masks given apart: NIfTI files or pictures. UserError for others."""
    if asked.masks is None:
        return []
    given = nifti_file.join_pairs(collect(asked.masks))
    if not all(nifti_file.is_nifti(m) or m.name.lower().endswith(SUFFIXES) for m in given):
        raise UserError(
            "Masks of DICOM files are read from NIfTI files, from pictures of the slices' names, or"
            " from segmentation objects (SEG) beside the slices; leave others out."
        )
    return given


def _read_masks(found: Found, asked: Asked) -> dicom_seg.Marks:
    """Of the segmentation objects; where they mark nothing, of the NIfTI segmentations or
    pictures. UserError where masks given apart fit no slices.
    """
    marks = dicom_seg.draw_masks(found.frames, found.uids, found.segs, found.members, found.where)
    others = [*found.laid, *found.painted]
    if not others:
        return marks
    kind = "NIfTI file" if found.laid else "picture"
    if marks.known:
        marks.left.append(
            f"{len(others)} {kind}{'s' * (len(others) != 1)} beside segmentation"
            " objects (SEG), which count"
        )
        return marks
    if found.laid:
        laid = dicom_masks.marks(found.frames, found.laid, lambda at: found.members[at].name)
    else:
        laid = dicom_pictures.draw_masks(found.frames, found.painted, lambda at: found.members[at])
    if asked.masks is not None and not laid.known:
        raise UserError(f"The masks fit none of the DICOM slices: {'; '.join(laid.left)}.")
    laid.left[:0] = marks.left
    return laid


def package_files() -> Iterator[tuple[Path, str]]:
    """Yield the small scans inside the installed packages pydicom and nibabel: path and kind in
    words. Nothing is fetched.
    """
    import nibabel
    import pydicom

    inside = {
        Path(pydicom.__file__).parent / "data" / "test_files": {
            "CT_small.dcm": "CT",
            "MR_small.dcm": "MR",
        },
        Path(nibabel.__file__).parent / "tests" / "data": {
            "anatomical.nii": "MR",
            "functional.nii": "fMRI",
            "example4d.nii.gz": "MR",
        },
    }
    for folder, names in inside.items():
        for name, kind in names.items():
            if (folder / name).exists():
                yield folder / name, kind


def read_scan(path: Path) -> list[np.ndarray]:
    """Axial float32 slices [H,W] of one scan: every slice of a volume, the frames of a DICOM
    file.
    """
    member = collect(path)[0]
    if path.suffix == ".dcm":
        header, _ = dicom_file.read_header(member, path.name)
        with dicom_file.reword_errors(path.name):
            file = facts(header, path.name)
        return [
            f if f.ndim == 2 else f.mean(2)
            for f in decode_frames(member.load(), file, path.name, list(range(len(file.places))))
        ]
    from core.data.readers.nifti import cut_axial_slices
    from core.data.readers.nifti_file import read_scan_header, read_volumes

    return list(cut_axial_slices(next(read_volumes(read_scan_header(member)))))
