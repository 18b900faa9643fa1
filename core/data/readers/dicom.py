"""DICOM files and series, as slices or as volumes. Only technical facts pass the gate (`core.data.deidentify`); patients, series and files get new names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data import deidentify
from core.data.dataset import Dataset, Lazy
from core.data.geometry import sizes_after
from core.data.readers import (
    contours,
    dicom_file,
    dicom_masks,
    dicom_seg,
    nifti_file,
    slice_order,
    volume_resizing,
)
from core.data.readers.dicom_file import NoPicture
from core.data.readers.dicom_header import DETECTOR, File, facts
from core.data.readers.files import Asked, Member, collect
from core.data.readers.frames import fitted, in_bytes, padded
from core.data.readers.image_decoding import common_side
from core.data.readers.images import foldered
from core.data.readers.nifti import columns
from core.data.readers.npz import input_range
from core.data.readers.padding import Inside, filled, outside
from core.data.readers.slice_order import Frame
from core.errors import UserError

RANGES = {"HU": (-1000.0, 1000.0, "Hounsfield units -1000 to 1000 become 0 to 1"), "SUV": (0.0, 10.0, "standardised uptake values (SUV) 0 to 10 become 0 to 1")}
OTHERS = (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"PK\x03\x04", b"PAR1", b"\x93NUM")
PADDED = (
    "{} a value for pixels outside the picture (PixelPaddingValue): they are background, as dark "
    "as the darkest pixel of their picture, and count for no range"
)
AUTO = 3  # series that are whole stacks from which they become volumes unasked


@dataclass
class Found:
    """What the headers of all files say."""

    members: list[Member]
    files: dict[int, File]  # by position in `members`
    frames: list[Frame]  # ordered
    tags: Counter[int]
    without: list[str]  # what files without a picture are ("" = not known)
    uids: dict[int, tuple[str, str]]  # SOP instance and frame of reference of each file, in memory only
    segs: list[dicom_seg.Segmentation]
    alone: bool  # all of them are segmentation objects
    inside: Inside = field(default_factory=Inside)  # values that are no padding
    laid: list[Member] = field(default_factory=list)  # NIfTI files beside them

    def where(self, at: int) -> str:
        return where(at, len(self.members))

    def pictures(self, at: int, wanted: list[int]) -> Iterator[np.ndarray]:
        """float32 frames `wanted` (ascending) of the file at position `at`, [H,W] or [H,W,3], in their unit, larger = brighter."""
        data, called = loaded(self.members[at], self.where(at)), self.where(at)
        padded = any(f.padding for f in self.files.values())
        yield from pictures(data, self.files[at], called, wanted, self.inside if padded else None)


def read(members: list[Member], asked: Asked, drawn: list[Member] | None = None, laid: list[Member] | None = None) -> Dataset:
    """DICOM files as an image dataset, one row a frame, ordered by series, position along the slices' normal, and time; or, where at least three series are
    even stacks of slices (or `asked.stack` says so), as a volume dataset, one row a series.

    CT values are Hounsfield units, PET values standardised uptake where the header allows. Files without pixels are left out and counted. Frames of one place
    at several times become clips (roles `sequence` and `time`). `drawn` are outlines in text files: they become masks, and the column `outlined` says of
    which frames. `laid` are NIfTI files beside them, whose segmentations become masks too (see `dicom_masks`). Headers are read first and dropped, then each file is decoded, fitted and let go. The card's "names" are the new names, for the caller to
    put in once tables beside the scans were joined by the old ones.
    """
    found = _looked(members, asked)
    found.laid = [*(laid or []), *_given(asked)]
    if drawn and found.laid:
        raise UserError("There are outlines in text files and segmentations in NIfTI files; bring one of the two.")
    groups = [[found.frames[k] for k in g] for g in slice_order.stacks(found.frames)]
    whole = [g for g in groups if slice_order.is_volume(g)]
    if asked.stack == "volumes" and len(whole) < 2:
        are = f"{len(whole)} of {len(groups)} series are whole, evenly spaced stacks of slices"
        raise UserError(f"{are}; at least 2 are needed for volumes: import them as slices.")
    if asked.stack == "volumes" or (asked.stack == "auto" and not drawn and len(whole) == len(groups) >= AUTO):
        return _volumes(found, whole, len(groups) - len(whole), asked)
    return _slices(found, asked, drawn)


def is_dicom(member: Member) -> bool:
    """By its mark; by its first element, where it has no mark, as old files have none; by its name only when its bytes are of no other kind."""
    head = member.head
    if head[128:132] == b"DICM" or _bare(head):
        return True
    return member.name.lower().endswith((".dcm", ".dicom", ".ima")) and head[:4] not in OTHERS


def _bare(head: bytes) -> bool:
    """A data set from its first byte on: an element of group 2 or 8 with a low number, and then a type in letters or a short length; or so in big-endian."""
    if len(head) < 8:
        return False
    little = head[0] in (2, 8) and head[1] == 0 and head[2] < 0x20 and head[3] == 0
    big = head[0] == 0 and head[1] == 8 and head[2] == 0 and head[3] < 0x20
    kind = head[4:6].isalpha() and head[4:6].isupper()
    return (little and (kind or (0 < head[4] <= 64 and head[5:8] == b"\0\0\0"))) or (big and kind)


def counted(aside: list[Member]) -> list[str]:
    """Files left out, without their names."""
    index = [m for m in aside if m.parts[-1].upper() == "DICOMDIR"]
    n = len(aside) - len(index)
    return ["DICOMDIR"] * len(index) + ([f"{n} other file{'s' * (n != 1)} (tables, texts)"] if n else [])


def where(at: int, n: int) -> str:
    """What an error calls a file: names of files may be names of people, and errors are stored."""
    return f"File {at + 1} of {n} (in the order of their names)" if n > 1 else "The file"


def loaded(member: Member, called: str) -> bytes:
    try:
        return member.load()
    except UserError:
        raise UserError(f"{called} cannot be unpacked, or is larger than {limits.FILE_BYTES >> 20} MB; mend or remove it.") from None


def _looked(members: list[Member], asked: Asked, alone: bool = False) -> Found:
    """`alone`: there are segmentation objects only, which are the pictures then."""
    files: dict[int, File] = {}
    tags: Counter[int] = Counter()
    numbers: dict[str, dict[str, int]] = {"patient": {}, "series": {}}
    turns: dict[tuple[int, tuple[float, ...]], int] = {}
    frames, without, segs, uids = [], [], [], {}
    for at, m in enumerate(members):
        called = where(at, len(members))
        try:
            header, layout = dicom_file.header(m, called)
        except NoPicture as e:
            without.append((at, dicom_seg.kind_of(e.uid)))
            continue
        with dicom_file.sentences(called):
            file = files[at] = facts(header, called)
            if len(file.places) > 1:
                dicom_file.enough(m, len(file.places), file.size, called)
            uids[at] = dicom_seg.uids(header)
            drawn = dicom_seg.is_segmentation(header) and not alone
            if drawn:
                segs.append(dicom_seg.segmentation(at, header, files.pop(at)))
        tags.update(set(layout.tags))
        if drawn:
            continue
        patient, series = (numbers[k].setdefault(v, len(numbers[k])) for k, v in (("patient", file.person), ("series", f"{file.person}\0{file.series}")))
        for k, place in enumerate(file.places):
            turn = turns.setdefault((series, place.facing), len(turns))
            frames.append(Frame(at, k, patient, series, file, turn))
        if len(frames) > limits.ROWS:
            raise UserError(f"The files hold more than {limits.ROWS:,} frames; bring fewer at a time.")
        asked.report(at + 1, 2 * len(members))
    slices = [f for f in frames if not f.file.scout]
    if len(slices) > 1:
        scouts = {f.at for f in frames if f.file.scout}
        without += [(at, "localizer (a view on which slices were planned)") for at in sorted(scouts)]
        frames = slices
    if not frames and segs:
        return _looked(members, asked, alone=True)
    if not frames:
        kind = f": a {without[0][1]}" if without[0][1] else ""
        more = f", like the {len(without) - 1} files beside it" if len(without) > 1 else ""
        raise UserError(f"{where(without[0][0], len(members))} holds no picture (a DICOM file without pixel data{kind}){more}.")
    return Found(members, files, slice_order.ordered(frames), tags, [k for _, k in without], uids, segs, alone)


def _slices(found: Found, asked: Asked, drawn: list[Member] | None) -> Dataset:
    frames, files = found.frames, found.files
    notes, odd, steps = slice_order.looked_over(frames)
    sizes = [f.file.size for f in frames]
    size, rule = common_side(sizes)
    colour = any(f.colour for f in files.values())
    samples, whole = _decoded(found, size, colour, asked)
    unit, scale, rules = _unit(files, samples, whole, found.inside)
    if whole and (packed := in_bytes(samples, whole)) is not samples:
        samples, scale = packed, scale if unit else input_range(packed)
    lines = []
    for f, step, note in zip(frames, steps, notes):
        word, lean = f.place.axes
        mm = sizes_after(f.place.mm, f.file.size, size)
        line = _line(f) | {"position_mm": f.place.known, "frame": f.index} | columns(word or f.file.axes_word, (step, *mm), lean)
        lines.append(line | {"time_ms": None if f.time is None else round(f.time, 2), "pixel_mm": round(mm[0], 4), "stack": note})
    table = pd.DataFrame(lines)
    table["time_ms"] = table["time_ms"].astype(float)
    table = table.drop(columns=[c for c in ("stack", "held", "pixel_mm") if c in table and table[c].isna().all()])
    if "stack" in table:
        table["stack"] = table["stack"].fillna("in order")
    table, roles = foldered(_named(table, found), {"file": "file", "group": "patient"}, asked, auto=False)
    table, film = _clips(table)
    if film:
        rules.append(f"{table['clip'].nunique()} clips: the frames of one place in the order of their times")
    rules += _of_folders(table, roles, asked)
    masks, left, said = None, [], {}
    if found.segs or found.laid:
        marks = _marks(found, asked)
        rules, left, said = [*rules, *marks.rules], marks.left, marks.card
        masks, table = marks.fitted(size, table)
    if drawn:
        masks, table["outlined"], unused, more = contours.masks_for(list(table["file"]), sizes, size, drawn)
        rules.append(more)
        left += [f"{len(unused)} outline{'s' * (len(unused) != 1)}"] if unused else []
    rules = [padded(rule), "ordered by series, position along the slices' normal, instance number", *odd, *rules]
    return _dataset("image", table, samples, masks, {**roles, **film}, scale, unit, rules, left, found, asked, said)


def _decoded(found: Found, size: tuple[int, int], colour: bool, asked: Asked) -> tuple[Any, bool]:
    """Samples float32 [n,C,*size], in memory up to a limit, else made as they are read; and whether all values are whole ones from 0 to 255 (False when
    nobody has looked)."""
    of: dict[int, list[tuple[int, int]]] = {}
    for k, f in enumerate(found.frames):
        of.setdefault(f.at, []).append((f.index, k))
    n, shape, done = len(found.frames), (3 if colour else 1, *size), len(found.members)
    held: dict[int, dict[int, np.ndarray]] = {}

    def make(k: int) -> np.ndarray:
        f = found.frames[k]
        if f.at not in held:
            held.clear()
            held[f.at] = {i: fitted(p, size, colour) for (i, _), p in zip(sorted(of[f.at]), found.pictures(f.at, [i for i, _ in sorted(of[f.at])]))}
        return held[f.at][f.index]

    samples = Lazy(n, shape, np.float32, make)
    if samples.nbytes > limits.SCANS_IN_MEMORY:
        return samples, False
    out, whole = np.empty(samples.shape, np.float32), True
    for i, (at, wanted) in enumerate(sorted(of.items())):
        wanted = sorted(wanted)
        for (_, k), picture in zip(wanted, found.pictures(at, [j for j, _ in wanted])):
            whole = whole and bool(picture.min() >= 0 and picture.max() <= 255 and (picture == np.round(picture)).all())
            out[k] = fitted(picture, size, colour)
        asked.report(done + i + 1, 2 * done)
    return out, whole


def _unit(
    files: dict[int, File], samples: Any, whole: bool, inside: Inside
) -> tuple[str, tuple[float, float, str], list[str]]:
    """The unit all values share ("" = none), the range that becomes 0 to 1, and what is to be said of brightness and sizes."""
    seen = {at: f for at, f in files.items() if not f.held} or files  # a screenshot among CT slices does not take their unit away
    units, rules = {f.unit for f in seen.values()}, []
    unit = units.pop() if len(units) == 1 else ""
    if units:
        several = ", ".join(sorted({f.unit or "without a unit" for f in seen.values()}))
        rules.append(f"values of several units stand side by side ({several}): better a dataset each")
    for note, n in Counter(f.unit_note for f in files.values() if f.unit_note).items():
        kind = "dose" if "Gy" in note else "PET"
        rules.append(f"{kind}, {n} file{'s' * (n != 1)}: {note}")
    turned, flat = sum(f.turned for f in files.values()), sum(f.detector for f in files.values())
    if turned:
        rules.append(f"{turned} file{'s' * (turned != 1)} stored with black as the largest value (MONOCHROME1) turned so that larger is brighter")
    if flat:
        rules.append(DETECTOR.format(f"{flat} file{'s' * (flat != 1)}"))
    padded = sum(f.padding is not None for f in files.values())
    if padded:
        rules.append(PADDED.format(f"{padded} file{'s name' if padded != 1 else ' names'}"))
    if unit in RANGES:
        return unit, RANGES[unit], rules
    some = samples if isinstance(samples, np.ndarray) else samples[:: max(1, len(samples) // 200)]
    if unit == "Gy":
        low, high = min(0.0, float(some.min())), float(some.max())
        words = f"doses of {low:.4g} to {high:.4g} Gy become 0 to 1"
        return unit, (low, high if high > low else low + 1.0, words), rules
    values = inside.taken()
    if values is not None and not whole:
        return unit, input_range(values), rules
    return unit, input_range(some.astype(np.uint8) if whole and some.max() > 15 else some), rules


def _volumes(found: Found, whole: list[list[Frame]], left: int, asked: Asked) -> Dataset:
    """One row a series, each stack turned to feet-head, back-front, left-right and fitted into the one size."""
    turned = [(g, t) for g in whole if (t := slice_order.solid(g, float(np.median(np.diff([f.place.along for f in g]))))) is not None]
    size, rule = volume_resizing.common_size([t.shape for _, t in turned])
    samples, lines, done = volume_resizing.room(len(turned), size), [], 0
    for row, (group, turn) in enumerate(turned):
        back = [0, 0, 0]
        for to, source in enumerate(turn.order):
            back[source] = size[to]
        slab = np.empty((len(group), back[1], back[2]), np.float32)  # each slice fitted as it comes: linear fitting goes axis by axis
        at: dict[int, list[tuple[int, int]]] = {}
        for k, f in enumerate(group):
            at.setdefault(f.at, []).append((f.index, k))
        for file, wanted in at.items():
            wanted = sorted(wanted)
            for (_, k), picture in zip(wanted, found.pictures(file, [i for i, _ in wanted])):
                slab[k] = volume_resizing.fit(picture[None], (1, back[1], back[2]))[0]
            done += 1
            asked.report(len(found.members) + done, 2 * len(found.members))
        volume = volume_resizing.fit(slab, (back[0], back[1], back[2])).transpose(turn.order)
        samples[row, 0] = volume[tuple(slice(None, None, -1 if flip else 1) for flip in turn.flipped)]
        line = _line(group[0]) | {"slices": len(group)} | columns("HAR", volume_resizing.sizes_after(turn.mm, turn.shape, size), turn.oblique)
        reasons = [f.file.held for f in group if f.file.held]
        lines.append(line | ({"held": reasons[0]} if reasons else {}))
    masks, marks = None, _marks(found, asked)
    table = pd.DataFrame(lines)
    if marks.known:
        at_of = {id(f): k for k, f in enumerate(found.frames)}
        masks = np.stack([marks.volume([at_of[id(f)] for f in g], turn, size) for g, turn in turned])
        known = [at_of[id(g[0])] in marks.known for g, _ in turned]
        table = table if all(known) else table.assign(outlined=known)
    used = {f.at: f.file for g in whole for f in g}
    unit, scale, more = _unit(used, samples, False, found.inside)
    rules = [f"{len(turned)} series as volumes, turned so that slices go from feet to head, rows from back to front, columns from left to right", *more]
    rules += [*marks.rules, *([rule] if rule else [])]
    table, roles = foldered(_named(table, found), {"file": "file", "group": "patient"}, asked, auto=False)
    rules += _of_folders(table, roles, asked)
    out = [f"{left} series that {'are' if left != 1 else 'is'} no even stack of slices"] if left else []
    return _dataset("volume", table, samples, masks, roles, scale, unit, rules, [*out, *marks.left], found, asked, marks.card)


def _of_folders(table: pd.DataFrame, roles: dict[str, str], asked: Asked) -> list[str]:
    """A word where folders hold several patients each, who lie in no other: they may be classes. Their names may be names, and are not taken unasked."""
    if "label" in roles or asked.label != "auto":
        return []
    folder = table["file"].map(lambda name: str(PurePosixPath(name).parent))
    people = table.groupby(folder)["patient"].nunique()
    once = table.assign(folder=folder).groupby("patient")["folder"].nunique().max() == 1
    if len(people) < 2 or people.min() < 2 or not once:
        return []
    return [f"the files lie in {len(people)} folders of several patients each: if these are classes, take the class from the folder (label “folder”)"]


def _given(asked: Asked) -> list[Member]:
    """The masks given apart: NIfTI files. UserError for others."""
    if asked.masks is None:
        return []
    given = nifti_file.paired(collect(asked.masks))
    if not all(nifti_file.is_nifti(m) for m in given):
        raise UserError("Masks of DICOM files are read from NIfTI files, or from segmentation objects (SEG) beside the slices; leave others out.")
    return given


def _marks(found: Found, asked: Asked) -> dicom_seg.Marks:
    """Of the segmentation objects; where they mark nothing, of the NIfTI segmentations. UserError where masks given apart fit no slices."""
    marks = dicom_seg.marks(found.frames, found.uids, found.segs, found.members, found.where)
    if not found.laid:
        return marks
    if marks.known:
        marks.left.append(f"{len(found.laid)} NIfTI file{'s' * (len(found.laid) != 1)} beside segmentation objects (SEG), which count")
        return marks
    laid = dicom_masks.marks(found.frames, found.laid, lambda at: found.members[at].name)
    if asked.masks is not None and not laid.known:
        raise UserError(f"The masks fit none of the DICOM slices: {'; '.join(laid.left)}.")
    laid.left[:0] = marks.left
    return laid


def _line(f: Frame) -> dict[str, Any]:
    """The columns of a row that say whose and what it is; `at` is the file, for its name."""
    line = {"at": f.at, "patient": f"patient {f.patient + 1}", "series": f"series {f.series + 1}", "scan type": f.file.modality}
    return line | f.file.columns | ({} if f.file.day is None else {"day": f.file.day}) | {"held": f.file.held}


def _named(table: pd.DataFrame, found: Found) -> pd.DataFrame:
    """With the files' own names, by which tables and outlines are joined; makers only where there are several."""
    table.insert(0, "file", [found.members[at].name for at in table["at"]])
    table = table.drop(columns=[c for c in ("held",) if c in table and table[c].isna().all()])
    if "maker" in table:
        table = table.drop(columns="maker") if table["maker"].nunique() < 2 else table.rename(columns={"maker": "scanner"})
    return table


def _dataset(
    modality: Any, table: pd.DataFrame, samples: Any, masks: Any, roles: dict[str, str], scale: tuple[float, float, str], unit: str, rules: list[str],
    left: list[str], found: Found, asked: Asked, said: dict[str, Any],
) -> Dataset:  # fmt: skip
    files = [found.files[at] for at in dict.fromkeys(table["at"])]
    if "day" in table:
        moved = [None if pd.isna(d) else deidentify.shifted(asked.key, found.files[a].person, d) for a, d in zip(table["at"], table["day"])]
        table = table.drop(columns="day")
        table["study date (shifted)"] = moved
    windows = {f.window for f in files if not f.held} or {f.window for f in files}
    faces, held = any(f.face for f in files), int(table["held"].notna().sum()) if "held" in table else 0
    kinds = Counter(f.modality for f in files)
    token = deidentify.keyed(asked.key, "import", "\0".join(sorted({f.series for f in files})), 4)
    left += dicom_seg.counted(found.without)
    card: dict[str, Any] = {
        "source": "DICOM files", "name": f"{kinds.most_common(1)[0][0]} scans {token}", "names": _names(table, found, asked), "unit": unit,
        "rules": [*rules, scale[2], "names, dates and all other identifying tags were left out"], "left out": left,
        "cohort": {"files seen": len(found.members), "frames used" if modality == "image" else "volumes": len(table)},
        "deidentified": deidentify.of_files(found.tags, faces, held, any(f.day for f in files), "sex" in table or "age" in table),
        **said,
    }  # fmt: skip
    if found.alone:
        card["rules"].append("segmentation objects (SEG) without the scan they were drawn on")
        card["like segmentations"] = sorted(set(card["names"]["file"].values()))
    window = windows.pop() if len(windows) == 1 else None
    if window is not None:
        card["window"] = [window[0], window[1]]
    return Dataset("", modality, table.drop(columns="at"), samples, masks, roles, (), scale[:2], card)


def _names(table: pd.DataFrame, found: Found, asked: Asked) -> dict[str, dict[str, str]]:
    """Column -> old name -> new name; a file is called after its patient and series, and numbered among their files in the order of the rows."""
    new: dict[str, dict[str, str]] = {"patient": {}, "series": {}, "file": {}}
    number: Counter[str] = Counter()
    for at, patient, series, file in zip(table["at"], table["patient"], table["series"], table["file"]):
        f = found.files[at]
        new["patient"][patient] = "patient " + deidentify.keyed(asked.key, "patient", f.person, 8)
        new["series"][series] = "series " + deidentify.keyed(asked.key, "series", f"{f.person}\0{f.series}", 6)
        if file not in new["file"]:
            place = f"{new['patient'][patient]}/{new['series'][series]}"
            number[place] += 1
            new["file"][file] = f"{place}/{number[place]:04}"
    if "clip" in table:
        new["clip"] = {
            clip: clip.replace(patient, new["patient"][patient], 1).replace(series, new["series"][series], 1)
            for clip, patient, series in zip(table["clip"], table["patient"], table["series"])
        }
    return new


def _clips(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """With a column `clip` (patient, series where there are several, slice) and its roles, where frames of one place
    differ in time; else as it is, without the times."""
    if table["time_ms"].isna().any():
        return table.drop(columns=["time_ms"]), {}
    position = table["position_mm"].fillna(0.0)
    place = position.groupby(table["series"]).rank(method="dense").astype(int)
    several = table.groupby("patient")["series"].nunique().max() > 1
    names = table["patient"] + (", " + table["series"] if several else "") + ", slice " + place.astype(str).str.zfill(len(str(place.max())))
    if table.duplicated(["series", "position_mm", "time_ms"]).any() or not names.duplicated().any():
        return table.drop(columns=["time_ms"]), {}
    table.insert(3, "clip", names)
    return table, {"sequence": "clip", "time": "time_ms"}


def pictures(
    data: bytes, file: File, called: str, wanted: list[int], inside: Inside | None = None
) -> Iterator[np.ndarray]:
    """float32 frames [H,W] or [H,W,3] of one file's bytes, rescaled, MONOCHROME1 turned so that
    larger is brighter (where values have no unit), pixels outside the picture as dark as its
    darkest; values of the others go to `inside`."""
    from pydicom.pixels import apply_modality_lut

    with dicom_file.sentences(called):
        dataset = dicom_file.whole(data, called)
        top = 0
        if file.turned and not dataset.PixelRepresentation:
            top = 1 << int(dataset.BitsStored)
        stored = dicom_file.frames(dataset, called, wanted)
    for k in wanted:
        with dicom_file.sentences(called):
            array = next(stored)
            if array.shape[:2] != file.size:
                raise UserError(f"{called} says two sizes of its picture; mend or remove it.")
            away = outside(array, file.padding)
            if file.turned:  # by the stored range: alike in a whole series
                array = top - 1 - array.astype(np.int64)
            if "ModalityLUTSequence" in dataset:
                array = apply_modality_lut(array, dataset)
            place = file.places[k]
            if (place.slope, place.intercept) != (1.0, 0.0) and array.ndim == 2:
                array = array.astype(np.float64) * place.slope + place.intercept
            picture = np.asarray(array * file.factor if file.factor != 1.0 else array, dtype=np.float32)
            if away is not None:
                picture = filled(picture, away, file.unit)
            if inside is not None:
                inside.add(picture, away)
        if not np.isfinite(picture).all():
            raise UserError(f"{called} holds values that are not finite after its rescaling; mend or remove it.")
        yield picture


def package_files() -> Iterator[tuple[Path, str]]:
    """The small scans inside the installed packages pydicom and nibabel: path and kind in words. Nothing is fetched."""
    import nibabel
    import pydicom

    inside = {
        Path(pydicom.__file__).parent / "data" / "test_files": {"CT_small.dcm": "CT", "MR_small.dcm": "MR"},
        Path(nibabel.__file__).parent / "tests" / "data": {
            "anatomical.nii": "MR", "functional.nii": "fMRI", "example4d.nii.gz": "MR",
        },
    }  # fmt: skip
    for folder, names in inside.items():
        for name, kind in names.items():
            if (folder / name).exists():
                yield folder / name, kind


def read_scan(path: Path) -> list[np.ndarray]:
    """Axial float32 slices [H,W] of one scan: every slice of a volume, the frames of a DICOM file."""
    member = collect(path)[0]
    if path.suffix == ".dcm":
        header, _ = dicom_file.header(member, path.name)
        with dicom_file.sentences(path.name):
            file = facts(header, path.name)
        return [f if f.ndim == 2 else f.mean(2) for f in pictures(member.load(), file, path.name, list(range(len(file.places))))]
    from core.data.readers.nifti import axial
    from core.data.readers.nifti_file import look, volumes

    return list(axial(next(volumes(look(member)))))
