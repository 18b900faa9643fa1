"""Rows of DICOM files: whose they are, what stands beside them, and the dataset they become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data import deidentify
from core.data.dataset import Dataset
from core.data.readers import (
    dicom_file,
    dicom_seg,
)
from core.data.readers.dicom_header import DETECTOR, File, Place
from core.data.readers.dicom_plain import decode_plain
from core.data.readers.files import Asked, Member
from core.data.readers.frames import fit_frame
from core.data.readers.npz_files import find_input_range
from core.data.readers.padding import Inside, fill_padding, find_padding
from core.data.readers.slice_order import Frame
from core.data.stored import LazyArray
from core.errors import UserError
from core.io.threads import MOST, read_ahead

RANGES = {
    "HU": (-1000.0, 1000.0, "Hounsfield units -1000 to 1000 become 0 to 1"),
    "SUV": (0.0, 10.0, "standardised uptake values (SUV) 0 to 10 become 0 to 1"),
}
OTHERS = (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"PK\x03\x04", b"PAR1", b"\x93NUM")
PADDED = (
    "{} a value for pixels outside the picture (PixelPaddingValue): they are background, as dark "
    "as the darkest pixel of their picture, and count for no range"
)
SMALL = 1 << 24  # pixels of a file of which several are decoded at a time


@dataclass
class Found:
    """What the headers of all files say."""

    members: list[Member]
    files: dict[int, File]  # by position in `members`
    frames: list[Frame]  # ordered
    tags: Counter[int]
    without: list[str]  # what files without a picture are ("" = not known)
    # SOP instance and frame of reference of each file, in memory only
    uids: dict[int, tuple[str, str]]
    segs: list[dicom_seg.Segmentation]
    alone: bool  # all of them are segmentation objects
    inside: Inside = field(default_factory=Inside)  # values that are no padding
    laid: list[Member] = field(default_factory=list)  # NIfTI files beside them
    painted: list[Member] = field(default_factory=list)  # pictures beside them that are masks

    def where(self, at: int) -> str:
        """Return what file `at` is called in messages; never its name."""
        return describe_place(at, len(self.members))

    @cached_property
    def padded(self) -> bool:
        """Whether some file names a value of pixels outside the picture."""
        return any(f.padding for f in self.files.values())

    @cached_property
    def threads(self) -> int:
        """How many files may be decoded at a time: one where they are large, as many would fill the
        memory.
        """
        pixels = max(f.size[0] * f.size[1] * len(f.places) for f in self.files.values())
        return MOST if pixels <= SMALL else 1

    def pictures(
        self, at: int, wanted: list[int], inside: Inside | None = None
    ) -> Iterator[np.ndarray]:
        """float32 frames `wanted` (ascending) of the file at position `at`, [H,W] or [H,W,3], in
        their unit, larger = brighter. Values that are no padding go to `inside` (to all files' by
        default).
        """
        data, called = load_bytes(self.members[at], self.where(at)), self.where(at)
        inside = self.inside if inside is None else inside
        yield from decode_frames(
            data, self.files[at], called, wanted, inside if self.padded else None
        )


def describe_left_out(aside: list[Member]) -> list[str]:
    """Files left out, without their names."""
    index = [m for m in aside if m.parts[-1].upper() == "DICOMDIR"]
    n = len(aside) - len(index)
    return ["DICOMDIR"] * len(index) + (
        [f"{n} other file{'s' * (n != 1)} (tables, texts)"] if n else []
    )


def describe_place(at: int, n: int) -> str:
    """Return what an error calls a file: names of files may be names of people, and errors are
    stored.
    """
    return f"File {at + 1} of {n} (in the order of their names)" if n > 1 else "The file"


def load_bytes(member: Member, called: str) -> bytes:
    """Return the bytes of a file. UserError, which calls it `called`, where it cannot be
    unpacked.
    """
    try:
        return member.load()
    except UserError:
        raise UserError(
            f"{called} cannot be unpacked, or is larger than {limits.FILE_BYTES >> 20} MB; fix or"
            " remove it."
        ) from None


def _decoded(found: Found, size: tuple[int, int], colour: bool, asked: Asked) -> tuple[Any, bool]:
    """Return samples float32 [n,C,*size], in memory up to a limit, else made as they are read; and
    whether all values are whole ones from 0 to 255 (False when nobody has looked).
    """
    of: dict[int, list[tuple[int, int]]] = {}
    for k, f in enumerate(found.frames):
        of.setdefault(f.at, []).append((f.index, k))
    n, shape, done = len(found.frames), (3 if colour else 1, *size), len(found.members)
    held: dict[int, dict[int, np.ndarray]] = {}

    def make(k: int) -> np.ndarray:
        f = found.frames[k]
        if f.at not in held:
            held.clear()
            held[f.at] = {
                i: fit_frame(p, size, colour)
                for (i, _), p in zip(
                    sorted(of[f.at]), found.pictures(f.at, [i for i, _ in sorted(of[f.at])])
                )
            }
        return held[f.at][f.index]

    samples = LazyArray(n, shape, np.float32, make)
    if samples.nbytes > limits.SCANS_IN_MEMORY:
        return samples, False
    out, whole = np.empty(samples.shape, np.float32), True

    def decode(at: int) -> tuple[Inside, bool]:
        wanted, inside, small = sorted(of[at]), Inside(), True
        for (_, k), picture in zip(wanted, found.pictures(at, [j for j, _ in wanted], inside)):
            small = small and bool(
                picture.min() >= 0 and picture.max() <= 255 and (picture == np.round(picture)).all()
            )
            out[k] = fit_frame(picture, size, colour)
        return inside, small

    for i, (inside, small) in enumerate(read_ahead(decode, sorted(of), found.threads)):
        whole = whole and small
        found.inside.merge(inside)
        asked.report(done + i + 1, 2 * done)
    return out, whole


def _unit(
    files: dict[int, File], samples: Any, whole: bool, inside: Inside
) -> tuple[str, tuple[float, float, str], list[str]]:
    """Return the unit all values share ("" = none), the range that becomes 0 to 1, and what is to
    be said of brightness and sizes.
    """
    # a screenshot among CT slices does not take their unit away
    seen = {at: f for at, f in files.items() if not f.held} or files
    units, rules = {f.unit for f in seen.values()}, []
    unit = units.pop() if len(units) == 1 else ""
    if units:
        several = ", ".join(sorted({f.unit or "without a unit" for f in seen.values()}))
        rules.append(
            f"values of several units stand side by side ({several}): better a dataset each"
        )
    for note, n in Counter(f.unit_note for f in files.values() if f.unit_note).items():
        kind = "dose" if "Gy" in note else "PET"
        rules.append(f"{kind}, {n} file{'s' * (n != 1)}: {note}")
    turned, flat = sum(f.turned for f in files.values()), sum(f.detector for f in files.values())
    if turned:
        rules.append(
            f"{turned} file{'s' * (turned != 1)} stored with black as the largest value"
            " (MONOCHROME1) turned so that larger is brighter"
        )
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
        return unit, find_input_range(values), rules
    return (
        unit,
        find_input_range(some.astype(np.uint8) if whole and some.max() > 15 else some),
        rules,
    )


def _of_folders(table: pd.DataFrame, roles: dict[str, str], asked: Asked) -> list[str]:
    """Return a word where folders hold several patients each, who lie in no other: they may be
    classes. Their names may be names, and are not taken unasked.
    """
    if "label" in roles or asked.label != "auto":
        return []
    folder = table["file"].map(lambda name: str(PurePosixPath(name).parent))
    people = table.groupby(folder)["patient"].nunique()
    once = table.assign(folder=folder).groupby("patient")["folder"].nunique().max() == 1
    if len(people) < 2 or people.min() < 2 or not once:
        return []
    return [
        f"the files lie in {len(people)} folders of several patients each: if these are classes,"
        " take the class from the folder (label “folder”)"
    ]


def _line(f: Frame) -> dict[str, Any]:
    """Return the columns of a row that say whose and what it is; `at` is the file, for its name."""
    line = {
        "at": f.at,
        "patient": f"patient {f.patient + 1}",
        "series": f"series {f.series + 1}",
        "scan type": f.file.modality,
    }
    return (
        line
        | f.file.columns
        | ({} if f.file.day is None else {"day": f.file.day})
        | {"held": f.file.held}
    )


def _named(table: pd.DataFrame, found: Found) -> pd.DataFrame:
    """With the files' own names, by which tables and outlines are joined; makers only where there
    are several.
    """
    table.insert(0, "file", [found.members[at].name for at in table["at"]])
    table = table.drop(columns=[c for c in ("held",) if c in table and table[c].isna().all()])
    if "maker" in table:
        table = (
            table.drop(columns="maker")
            if table["maker"].nunique() < 2
            else table.rename(columns={"maker": "scanner"})
        )
    return table


def _dataset(
    modality: Any,
    table: pd.DataFrame,
    samples: Any,
    masks: Any,
    roles: dict[str, str],
    scale: tuple[float, float, str],
    unit: str,
    rules: list[str],
    left: list[str],
    found: Found,
    asked: Asked,
    said: dict[str, Any],
) -> Dataset:
    files = [found.files[at] for at in dict.fromkeys(table["at"])]
    if "day" in table:
        moved = [
            None if pd.isna(d) else deidentify.shift_date(asked.key, found.files[a].person, d)
            for a, d in zip(table["at"], table["day"])
        ]
        table = table.drop(columns="day")
        table["study date (shifted)"] = moved
    windows = {f.window for f in files if not f.held} or {f.window for f in files}
    faces = any(f.face for f in files)
    held = int(table["held"].notna().sum()) if "held" in table else 0
    kinds = Counter(f.modality for f in files)
    token = deidentify.make_pseudonym(
        asked.key, "import", "\0".join(sorted({f.series for f in files})), 4
    )
    left += dicom_seg.describe_left_out(found.without)
    card: dict[str, Any] = {
        "source": "DICOM files",
        "name": f"{kinds.most_common(1)[0][0]} scans {token}",
        "names": _names(table, found, asked),
        "unit": unit,
        "rules": [*rules, scale[2], "names, dates and all other identifying tags were left out"],
        "left out": left,
        "cohort": {
            "files seen": len(found.members),
            "frames used" if modality == "image" else "volumes": len(table),
        },
        "deidentified": deidentify.dicom_card_entry(
            found.tags, faces, held, any(f.day for f in files), "sex" in table or "age" in table
        ),
        **said,
    }
    if found.alone:
        card["rules"].append("segmentation objects (SEG) without the scan they were drawn on")
        card["like segmentations"] = sorted(set(card["names"]["file"].values()))
    window = windows.pop() if len(windows) == 1 else None
    if window is not None:
        card["window"] = [window[0], window[1]]
    return Dataset(
        "", modality, table.drop(columns="at"), samples, masks, roles, (), scale[:2], card
    )


def _names(table: pd.DataFrame, found: Found, asked: Asked) -> dict[str, dict[str, str]]:
    """Column -> old name -> new name; a file is called after its patient and series, and numbered
    among their files in the order of the rows.
    """
    new: dict[str, dict[str, str]] = {"patient": {}, "series": {}, "file": {}}
    number: Counter[str] = Counter()
    for at, patient, series, file in zip(
        table["at"], table["patient"], table["series"], table["file"]
    ):
        f = found.files[at]
        new["patient"][patient] = "patient " + deidentify.make_pseudonym(
            asked.key, "patient", f.person, 8
        )
        new["series"][series] = "series " + deidentify.make_pseudonym(
            asked.key, "series", f"{f.person}\0{f.series}", 6
        )
        if file not in new["file"]:
            place = f"{new['patient'][patient]}/{new['series'][series]}"
            number[place] += 1
            new["file"][file] = f"{place}/{number[place]:04}"
    if "clip" in table:
        new["clip"] = {
            clip: (
                clip.replace(patient, new["patient"][patient], 1).replace(
                    series, new["series"][series], 1
                )
            )
            for clip, patient, series in zip(table["clip"], table["patient"], table["series"])
        }
    return new


def _clips(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """With a column `clip` (patient, series where there are several, slice) and its roles, where
    frames of one place differ in time; else as it is, without the times.
    """
    if table["time_ms"].isna().any():
        return table.drop(columns=["time_ms"]), {}
    position = table["position_mm"].fillna(0.0)
    place = position.groupby(table["series"]).rank(method="dense").astype(int)
    several = table.groupby("patient")["series"].nunique().max() > 1
    names = (
        table["patient"]
        + (", " + table["series"] if several else "")
        + ", slice "
        + place.astype(str).str.zfill(len(str(place.max())))
    )
    if table.duplicated(["series", "position_mm", "time_ms"]).any() or not names.duplicated().any():
        return table.drop(columns=["time_ms"]), {}
    table.insert(3, "clip", names)
    return table, {"sequence": "clip", "time": "time_ms"}


def decode_frames(
    data: bytes, file: File, called: str, wanted: list[int], inside: Inside | None = None
) -> Iterator[np.ndarray]:
    """float32 frames [H,W] or [H,W,3] of one file's bytes, rescaled, MONOCHROME1 turned so that
    larger is brighter (where values have no unit), pixels outside the picture as dark as its
    darkest; values of the others go to `inside`.
    """
    from pydicom.pixels import apply_modality_lut

    with dicom_file.reword_errors(called):
        stored, top, lut = _stored_frames(data, file, called, wanted)
    for k in wanted:
        with dicom_file.reword_errors(called):
            array: Any = next(stored)
            if array.shape[:2] != file.size:
                raise UserError(f"{called} says two sizes of its picture; fix or remove it.")
            away = find_padding(array, file.padding)
            if file.turned:  # by the stored range: alike in a whole series
                array = top - 1 - array.astype(np.int64)
            if lut is not None:
                array = apply_modality_lut(array, lut)
            place = file.places[k]
            if (place.slope, place.intercept) != (1.0, 0.0) and array.ndim == 2:
                kind = np.float32 if _holds_exactly(array, file, place) else np.float64
                array = array.astype(kind)
                array *= place.slope
                array += place.intercept
            picture = np.asarray(
                array * file.factor if file.factor != 1.0 else array, dtype=np.float32
            )
            if away is not None:
                picture = fill_padding(picture, away, file.unit)
            if inside is not None:
                inside.add(picture, away)
        if not np.isfinite([picture.min(), picture.max()]).all():
            raise UserError(
                f"{called} holds values that are not finite after its rescaling; fix or remove it."
            )
        yield picture


def _stored_frames(
    data: bytes, file: File, called: str, wanted: list[int]
) -> tuple[Iterator[np.ndarray], int, Any]:
    """Return the frames as stored; the number of values there are, where black is the largest and
    they have no sign (else 0); and the data set, where it holds a table of brightness (else None).
    """
    picture = decode_plain(data, file.plain, called)
    if picture is not None and file.plain is not None:
        signed, bits = file.plain["pixel_representation"], file.plain["bits_stored"]
        return iter([picture]), 1 << bits if file.turned and not signed else 0, None
    dataset, top = dicom_file.read_whole(data, called), 0
    if file.turned and not dataset.PixelRepresentation:
        top = 1 << int(dataset.BitsStored)
    lut = dataset if "ModalityLUTSequence" in dataset else None
    return dicom_file.frames(dataset, called, wanted), top, lut


def _holds_exactly(stored: np.ndarray, file: File, place: Place) -> bool:
    """Whether float32 holds each step from stored values to rescaled ones: whole numbers below
    2^24.
    """
    whole = place.slope.is_integer() and place.intercept.is_integer() and file.factor == 1.0
    small = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2
    return whole and small and abs(place.slope) * 2**16 + abs(place.intercept) < 2**24
