"""What is taken from the header of a DICOM file: numbers, known words, and, in memory only, what
patients and series are keyed by.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from core import limits
from core.data import deidentify
from core.data.geometry import axis_letters
from core.data.readers.dicom_plain import read_plain_options
from core.data.readers.dicom_values import (
    read_inner,
    read_number,
    read_numbers,
    read_text,
    read_texts,
    read_whole_number,
)
from core.data.readers.padding import read_padding_range
from core.errors import UserError

NAN = float("nan")
NO_HU = ("OD", "MGML", "Z_EFF", "ED", "EDW", "PCT")  # RescaleType of CT values of another meaning
TIMES = {0x00181063, 0x00181065}  # FrameTime and FrameTimeVector: frames follow each other in time
DETECTOR = (
    "the pixel size of {} is that at the detector (ImagerPixelSpacing): what lies before it is"
    " smaller in truth"
)


@dataclass(frozen=True, eq=False)
class Place:
    """Of one frame. `across` and `down`: directions in which columns and rows grow, DICOM's
    coordinates (left, back, head); None = not said.
    """

    position: np.ndarray | None
    across: np.ndarray | None
    down: np.ndarray | None
    mm: tuple[float, float]  # down, across; nan = not said
    thick: float
    slope: float
    intercept: float
    time: float | None  # milliseconds after the heart's trigger

    @cached_property
    def axes(self) -> tuple[str, float]:
        """Letters of the sides of the body the rows and columns run to, and degrees off them."""
        if self.across is None or self.down is None:
            return "", NAN
        return _letters(tuple(self.down), tuple(self.across))

    @cached_property
    def normal(self) -> np.ndarray:
        """Unit vector [3] across the slice; that of the scanner's long axis where none is said."""
        return (
            np.array([0.0, 0.0, 1.0])
            if self.across is None or self.down is None
            else np.cross(self.across, self.down)
        )

    @cached_property
    def facing(self) -> tuple[float, ...]:
        """The directions, rounded, to tell orientations apart."""
        return (
            ()
            if self.across is None or self.down is None
            else tuple(round(float(v), 2) + 0.0 for v in (*self.across, *self.down))
        )

    @cached_property
    def along(self) -> float:
        """Millimetres along the normal of the slices, by which they are ordered; 0 where the header
        does not say, so that the instance number decides.
        """
        return 0.0 if self.position is None else float(self.normal @ self.position)

    @property
    def known(self) -> float:
        """As `along`, to be shown: nan where the header says no position or no directions."""
        said = self.position is not None and self.across is not None and self.down is not None
        return round(self.along, 2) if said else NAN


@dataclass(frozen=True)
class File:
    """Technical facts of one file, `person` and `series` only to key them. `columns` go into the
    table as they are.
    """

    person: str
    series: str
    size: tuple[int, int]
    places: list[Place]
    colour: bool
    modality: str
    number: int
    turned: bool  # black is the largest value, and is turned
    detector: bool
    unit: str
    unit_note: str
    factor: float  # from rescaled values to the unit
    window: tuple[float, float] | None
    axes_word: str  # from PatientOrientation, where there are no directions
    apart: float  # milliseconds between the frames of this file
    phase: tuple[Any, ...]  # tells pictures of one place apart: echo, time, acquisition
    face: bool
    held: str | None
    day: date | None
    padding: tuple[float, float] | None = None  # stored values of pixels outside the picture
    scout: bool = False  # a localizer, on which slices were planned
    # how the pixels are decoded where they are stored as they are
    plain: dict[str, Any] | None = None
    columns: dict[str, Any] = field(default_factory=dict)


def facts(header: Any, where: str) -> File:
    """UserError, naming the element but no value, for sizes that cannot be and for brightness that
    nobody can know.
    """
    rows, columns, count = (
        read_whole_number(header, k, d)
        for k, d in (("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1))
    )
    if not (0 < rows <= 65535 and 0 < columns <= 65535 and 0 < count <= limits.ROWS):
        raise UserError(
            f"{where} has no usable size (Rows, Columns or NumberOfFrames is not a positive"
            " number); fix or remove it."
        )
    if rows * columns > limits.PIXELS:
        raise UserError(f"{where} has more than {limits.PIXELS // 10**6} million pixels.")
    meaning = read_text(header, "PhotometricInterpretation").upper()
    if not meaning:
        raise UserError(
            f"{where} does not say whether small values are dark or bright"
            " (PhotometricInterpretation is missing); fix or remove it."
        )
    modality = (
        deidentify.known_word(read_text(header, "Modality"), deidentify.MODALITIES) or "other"
    )
    places = _places(header, count, modality, where)
    plain_axes = places[0].across is None
    rescaled = "RescaleIntercept" in header or any(p.intercept for p in places)
    unit, note, factor = _meaning(header, modality, rescaled)
    turned = meaning == "MONOCHROME1" and unit == ""
    uid, kinds = read_text(header, "SOPClassUID"), read_texts(header, "ImageType")
    part = deidentify.known_word(read_text(header, "BodyPartExamined"), deidentify.PARTS)
    words = " ".join(
        read_text(header, k)
        for k in ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
    )
    told = {
        "sex": {"M": "M", "F": "F", "O": "O"}.get(read_text(header, "PatientSex").upper()),
        "age": _age(header),
        "body part": part and part.lower(),
        "maker": deidentify.known_manufacturer(read_text(header, "Manufacturer")),
        "laterality": deidentify.SIDES.get(
            (read_text(header, "ImageLaterality") or read_text(header, "Laterality")).upper()
        ),
    }
    no_spacing = "PixelSpacing" not in header and "ImagerPixelSpacing" in header
    return File(
        person=_person(header, where),
        series=read_text(header, "SeriesInstanceUID") or where,
        size=(rows, columns),
        places=places,
        colour=meaning not in ("MONOCHROME1", "MONOCHROME2"),
        modality=modality,
        number=read_whole_number(header, "InstanceNumber", 0),
        turned=turned,
        detector=no_spacing,
        unit=unit,
        unit_note=note,
        factor=factor,
        window=_window(header, turned, places[0], factor),
        axes_word=_lay(header) if plain_axes else "",
        apart=read_number(header, "FrameTime", 0.0),
        phase=tuple(
            read_text(header, k)
            for k in ("EchoNumbers", "TemporalPositionIdentifier", "AcquisitionNumber")
        ),
        face=modality in ("CT", "MR", "PT")
        and (part in deidentify.HEAD_PARTS or bool(deidentify.HEAD.search(words))),
        held=deidentify.why_held_back(
            modality,
            kinds,
            read_text(header, "BurnedInAnnotation"),
            uid,
            places[0].position is not None,
        ),
        day=_day(header, "StudyDate"),
        padding=read_padding_range(header),
        scout="LOCALIZER" in (k.upper() for k in kinds),
        plain=read_plain_options(header) if len(places) == 1 else None,
        columns={k: v for k, v in told.items() if v is not None},
    )


def _meaning(header: Any, modality: str, rescaled: bool) -> tuple[str, str, float]:
    """Return the unit of the rescaled values ("" = none), why there is none, and the factor to
    it.
    """
    if modality == "PT":
        return suv(header)
    if modality == "RTDOSE":
        if "DoseGridScaling" not in header:
            return "", "no Gy because DoseGridScaling is missing", 1.0
        if read_text(header, "DoseUnits").upper() != "GY":
            return "", "no Gy because the dose is a relative one", 1.0
        return "Gy", "", 1.0
    if modality == "CT" and rescaled and read_text(header, "RescaleType").upper() not in NO_HU:
        return "HU", "", 1.0
    return "", "", 1.0


def suv(header: Any) -> tuple[str, str, float]:
    """("SUV", "", factor) where values times factor are standardised uptake by body weight, else
    ("", why not, 1).

    SUVbw = activity [Bq/ml] x weight [g] / dose at the start of the scan [Bq], dose = injected dose
    x 2^(-t / half life), t from injection to the start of the series, where values are corrected
    for decay to that start (DICOM PS3.3 C.8.9.1; QIBA's vendor-neutral SUVbw pseudo-code).
    """
    units = read_text(header, "Units").upper()
    if units == "GML" and read_text(header, "SUVType").upper() in ("", "BW"):
        return "SUV", "", 1.0
    if units != "BQML":
        return "", "no SUV because the values are not in Bq/ml", 1.0
    corrected = {w.upper() for w in read_texts(header, "CorrectedImage")}
    if not {"ATTN", "DECY"} <= corrected:
        return "", "Bq/ml, no SUV because they are not corrected for attenuation and decay", 1.0
    inner = read_inner(header, "RadiopharmaceuticalInformationSequence")
    if inner is None:
        return "", "Bq/ml, no SUV because the header does not tell the injection", 1.0
    weight = read_number(header, "PatientWeight", 0.0)
    dose = read_number(inner, "RadionuclideTotalDose", 0.0)
    half = read_number(inner, "RadionuclideHalfLife", 0.0)
    lacking = [
        w
        for w, v in (
            ("the patient's weight", weight),
            ("the injected dose", dose),
            ("the half life", half),
        )
        if not v > 0
    ]
    if lacking:
        return "", f"Bq/ml, no SUV because {' and '.join(lacking)} is missing", 1.0
    to = read_text(header, "DecayCorrection").upper()
    if to == "ADMIN":
        return "SUV", "", 1000.0 * weight / dose
    if to != "START":
        return (
            "",
            "Bq/ml, no SUV because the header does not say to which time decay is corrected",
            1.0,
        )
    scan = _moment(header, "SeriesDate", "SeriesTime")
    taken = _moment(header, "AcquisitionDate", "AcquisitionTime")
    given = _moment(inner, "", "RadiopharmaceuticalStartDateTime") or (
        # times alone: on the day of the scan
        scan and _moment(inner, "", "RadiopharmaceuticalStartTime", scan.date())
    )
    if scan is None or given is None:
        return "", "Bq/ml, no SUV because the time of the injection or of the scan is missing", 1.0
    if taken is not None and scan > taken:
        return (
            "",
            "Bq/ml, no SUV because the series is dated after the scan (it was written again later)",
            1.0,
        )
    passed = (scan - given).total_seconds()
    if not 0 <= passed <= 10 * half + 86400:
        return "", "Bq/ml, no SUV because the times of injection and scan do not fit together", 1.0
    return "SUV", "", 1000.0 * weight / (dose * 2.0 ** (-passed / half))


def _places(header: Any, count: int, modality: str, where: str) -> list[Place]:
    shared = read_inner(header, "SharedFunctionalGroupsSequence")
    per = header.get("PerFrameFunctionalGroupsSequence") or []
    if shared is None and not per:
        place = _place(header, [header], modality, where)
        if modality == "RTDOSE":
            return _dose_places(header, place, count)
        pointer = set(_pointer(header))
        still = count == 1 or bool(pointer & TIMES) or read_number(header, "FrameTime", 0.0) > 0
        return [place if still else replace(place, position=None)] * count
    each = [per[k] if k < len(per) else None for k in range(count)]
    return [
        _place(header, [g for g in (own, shared) if g is not None], modality, where) for own in each
    ]


def _pointer(header: Any) -> list[int]:
    """Tags of the elements that tell the frames apart (FrameIncrementPointer)."""
    value = header.get("FrameIncrementPointer")
    if value is None:
        return []
    return [int(v) for v in (value if isinstance(value, MutableSequence) else [value])]


def _dose_places(header: Any, first: Place, count: int) -> list[Place]:
    """Of the frames of a dose, by GridFrameOffsetVector (DICOM PS3.3 C.8.8.3.2): distances from the
    first frame along the normal where it begins with 0, or the places themselves along z where it
    begins with the first frame's and rows and columns lie along x and y. No position where it says
    neither.
    """
    offsets = read_numbers(header, "GridFrameOffsetVector")
    if count == 1 or first.position is None:
        return [first] * count
    unknown = [replace(first, position=None)] * count
    if len(offsets) != count or first.across is None or first.down is None:
        return unknown
    if offsets[0] == 0:
        return [replace(first, position=first.position + v * first.normal) for v in offsets]
    flat = abs(abs(first.across[0]) - 1) < 1e-4 and abs(abs(first.down[1]) - 1) < 1e-4
    if not flat or abs(offsets[0] - first.position[2]) > 0.01:
        return unknown
    return [replace(first, position=np.array([*first.position[:2], v])) for v in offsets]


def _place(header: Any, groups: list[Any], modality: str, where: str) -> Place:
    """From functional groups (the frame's own before the shared ones) where there are such, else
    from the top level.
    """

    def found(sequence: str, keyword: str, size: int) -> np.ndarray | None:
        for source in [inner for g in groups if (inner := read_inner(g, sequence)) is not None] + [
            header
        ]:
            numbers = read_numbers(source, keyword)
            if len(numbers) == size:
                return numbers
        return None

    axes = found("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    if axes is not None and not _letters(tuple(axes[3:]), tuple(axes[:3]))[0]:
        axes = None
    spacing = found("PixelMeasuresSequence", "PixelSpacing", 2)
    if spacing is None and modality not in ("CT", "MR", "PT", "NM"):
        spacing = found("PixelMeasuresSequence", "ImagerPixelSpacing", 2)
    if spacing is None:
        spacing = found("PixelMeasuresSequence", "NominalScannedPixelSpacing", 2)
    thick = found("PixelMeasuresSequence", "SpacingBetweenSlices", 1)
    thick = thick if thick is not None else found("PixelMeasuresSequence", "SliceThickness", 1)
    slope, intercept = (
        found("PixelValueTransformationSequence", k, 1)
        for k in ("RescaleSlope", "RescaleIntercept")
    )
    if modality == "RTDOSE" and (grid := read_numbers(header, "DoseGridScaling")).size == 1:
        slope, intercept = grid, None
    scale = 1.0 if slope is None else float(slope[0])
    if scale == 0:
        raise UserError(
            f"{where} has a rescale slope of zero, which leaves one value only; fix or remove it."
        )
    time = found("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", 1)
    time = time if time is not None else found("CardiacSynchronizationSequence", "TriggerTime", 1)
    good = spacing is not None and bool((spacing > 0).all())
    return Place(
        found("PlanePositionSequence", "ImagePositionPatient", 3),
        None if axes is None else axes[:3] / np.linalg.norm(axes[:3]),
        None if axes is None else axes[3:] / np.linalg.norm(axes[3:]),
        (float(spacing[0]), float(spacing[1])) if good and spacing is not None else (NAN, NAN),
        abs(float(thick[0])) if thick is not None and thick[0] else NAN,
        scale,
        0.0 if intercept is None else float(intercept[0]),
        None if time is None else float(time[0]),
    )


def _window(header: Any, turned: bool, place: Place, factor: float) -> tuple[float, float] | None:
    """[centre, width] in the values as kept; None where the header does not say."""
    shared = read_inner(header, "SharedFunctionalGroupsSequence")
    source = (
        header
        if "WindowCenter" in header or shared is None
        else read_inner(shared, "FrameVOILUTSequence") or header
    )
    centre, width = read_numbers(source, "WindowCenter"), read_numbers(source, "WindowWidth")
    if not len(centre) or not len(width) or not width[0] > 0:
        return None
    middle, bits = float(centre[0]), read_whole_number(header, "BitsStored", 0)
    if turned:
        top = -1 if read_whole_number(header, "PixelRepresentation", 0) else (1 << bits) - 1
        middle = place.slope * top + 2 * place.intercept - middle
    return round(middle * factor, 6), round(float(width[0]) * factor, 6)


def _lay(header: Any) -> str:
    """Letters down, across from PatientOrientation, as plain radiographs have it; "" for anything
    else.
    """
    words = [w.strip().upper()[:1] for w in read_texts(header, "PatientOrientation")]
    opposite = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
    if (
        len(words) != 2
        or not set(words) <= set(opposite)
        or words[1] in (words[0], opposite[words[0]])
    ):
        return ""
    return words[1] + words[0]


def _person(header: Any, where: str) -> str:
    """Return what a patient is known by: the id, with who gave it; else name and birth date; else
    the study.
    """
    if read_text(header, "PatientID"):
        return f"id\0{read_text(header, 'PatientID')}\0{read_text(header, 'IssuerOfPatientID')}"
    if read_text(header, "PatientName"):
        return f"name\0{read_text(header, 'PatientName')}\0{read_text(header, 'PatientBirthDate')}"
    return read_text(header, "StudyInstanceUID") or read_text(header, "SeriesInstanceUID") or where


def _age(header: Any) -> int | None:
    said = deidentify.parse_age(read_text(header, "PatientAge"))
    born, seen = _day(header, "PatientBirthDate"), _day(header, "StudyDate")
    if said is not None or born is None or seen is None or seen < born:
        return said
    return min(
        deidentify.AGE_CAP,
        seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day)),
    )


def _day(header: Any, keyword: str) -> date | None:
    words = read_text(header, keyword)[:8]
    try:
        if len(words) == 8 and words.isascii() and words.isdecimal():  # many times as fast
            day = date(int(words[:4]), int(words[4:6]), int(words[6:]))
        else:
            day = datetime.strptime(words, "%Y%m%d").date()
    except ValueError:
        return None
    return day if day.year >= 1890 else None


def _moment(header: Any, day: str, time: str, on: date | None = None) -> datetime | None:
    """Return a date and a time in elements of their own, a time `on` a known day, or both in one
    element (`day` "").
    """
    words = read_text(header, time)
    known = "" if on is None else on.strftime("%Y%m%d")
    stamp = (read_text(header, day) if day else known) + words
    try:
        return (
            datetime.strptime(stamp.partition(".")[0].partition("+")[0][:14], "%Y%m%d%H%M%S")
            if words
            else None
        )
    except ValueError:
        return None


@lru_cache(4096)
def _letters(down: tuple[float, ...], across: tuple[float, ...]) -> tuple[str, float]:
    """As `axis_letters`, once for all files that lie alike."""
    return axis_letters(np.array([down, across]))
