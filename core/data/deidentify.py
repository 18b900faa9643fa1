"""What of a scan's header is kept, and under which names: a gate that lets technical facts through
and drops the rest.

Follows the basic profile of DICOM PS3.15 Annex E with two of its options (modified dates, patient
characteristics), from the other side: nothing is removed by a list, only what is on the list is
kept, and words only when they are known ones. It helps; it is no certified de-identification.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import threading
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from typing import Any

import pandas as pd

PROFILE = [
    ["113100", "Basic Application Confidentiality Profile"],
    ["113107", "Retain Longitudinal Temporal Information With Modified Dates Option"],
    ["113108", "Retain Patient Characteristics Option"],
]
KEPT = (
    "SpecificCharacterSet",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "PixelPaddingValue",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "WindowCenter",
    "WindowWidth",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientOrientation",
    "PatientPosition",
    "Laterality",
    "ImageLaterality",
    "BodyPartExamined",
    "TriggerTime",
    "FrameTime",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "InstanceNumber",
    "AcquisitionNumber",
    "Units",
    "DecayCorrection",
    "BurnedInAnnotation",
    "PatientSex",
    "PatientAge",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit",
    "RescaleType",
    "DoseUnits",
    "DoseGridScaling",
    "GridFrameOffsetVector",
)
_MODALITIES = (
    "CR CT DX ES GM IO IVOCT IVUS MG MR NM OCT OP OPT OT PT PX RF RG RTDOSE RTIMAGE SEG SM TG US"
    " XA XC"
)
MODALITIES = frozenset(_MODALITIES.split())
MAKERS = (
    "Agfa",
    "Barco",
    "Canon",
    "Carestream",
    "Esaote",
    "Fujifilm",
    "GE",
    "Hitachi",
    "Hologic",
    "Kodak",
    "Konica",
    "Mindray",
    "Neusoft",
    "Philips",
    "Samsung",
    "Shimadzu",
    "Siemens",
    "Toshiba",
    "United Imaging",
)
_PARTS = (
    "ABDOMEN ANKLE AORTA ARM BLADDER BONE BRAIN BREAST CALF CAROTID CERVIX CHEST CLAVICLE COLON"
    " CSPINE EAR ELBOW EXTREMITY EYE FACE FEMUR FINGER FOOT FOREARM HAND HEAD HEADNECK HEART HIP"
    " HUMERUS IAC JAW KIDNEY KNEE LEG LIVER LSPINE LUNG MANDIBLE MAXILLA NECK ORBIT PANCREAS PELVIS"
    " PROSTATE RIB SELLA SHOULDER SINUS SKULL SPINE SPLEEN SSPINE STERNUM TESTIS THIGH THORAX"
    " THYMUS THYROID TIBIA TMJ TOE TRACHEA TSPINE UTERUS WHOLEBODY WRIST ZYGOMA"
)
PARTS = frozenset(_PARTS.split())
_HEAD_PARTS = (
    "BRAIN EAR EYE FACE HEAD HEADNECK IAC JAW MANDIBLE MAXILLA ORBIT SELLA SINUS SKULL TMJ"
    " WHOLEBODY ZYGOMA"
)
HEAD_PARTS = frozenset(_HEAD_PARTS.split())
HEAD = re.compile(
    r"(^|[^a-z])(head|brain|skull|face|mprage|flair|t1w?|sch(ae|ä)del|kopf|cerebr\w*|cran\w*|neuro\w*)([^a-z]|$)",
    re.I,
)
SIDES = {"L": "left", "R": "right", "B": "both"}
AGE_CAP, DAYS = 90, 5 * 365
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"  # classes of secondary captures begin so
LETTERS = "0123456789bcdfghjklmnpqrstvwxyz"  # no vowels: an id never spells a word


def make_pseudonym(key: bytes, kind: str, value: str, length: int) -> str:
    """Return a short name for `value` that only who holds `key` can make again: HMAC-SHA256,
    written in `length` signs of 31.
    """
    number = int.from_bytes(
        hmac.new(
            key, f"{kind}\0{value}".encode("utf-8", "surrogateescape"), hashlib.sha256
        ).digest(),
        "big",
    )
    out = ""
    for _ in range(length):
        number, digit = divmod(number, len(LETTERS))
        out += LETTERS[digit]
    return out


def shift_date(key: bytes, patient: str, day: date) -> str:
    """ISO date `day` moved back by the whole days, 1 to `DAYS`, that belong to this patient:
    intervals within one patient stay true.
    """
    digest = hmac.new(
        key, f"date\0{patient}".encode("utf-8", "surrogateescape"), hashlib.sha256
    ).digest()
    return (day - timedelta(days=1 + int.from_bytes(digest[:8], "big") % DAYS)).isoformat()


def why_held_back(
    modality: str, image_type: Iterable[str], burned: str, uid: str, placed: bool
) -> str | None:
    """Why a picture stays back until a person has looked at it, in words; None = it need not.
    `placed`: it says where it lies in the body.
    """
    kinds = {w.strip().upper() for w in image_type}
    if burned.strip().upper() == "YES":
        return "its header says that text is burned into the picture"
    if modality == "US":
        return "ultrasound: names are often burned into the picture"
    if any("SCREEN" in k or "SAVE" in k for k in kinds):
        return "a saved screen: names are often burned into the picture"
    if modality in ("OT", "XC", "ES") or uid.startswith(SECONDARY):
        return "a secondary capture or photograph: names are often burned into the picture"
    if "SECONDARY" in kinds and not placed:
        return "a derived picture without a place in the body: it may be a report or a saved screen"
    return None


def known_manufacturer(word: str) -> str | None:
    """Return a known manufacturer of scanners in `word`, by our own spelling; None for any other
    text.
    """
    lower = f" {re.sub('[^a-z]+', ' ', word.lower())} "
    return next((m for m in MAKERS if f" {m.lower()} " in lower), None)


def known_word(value: str, words: frozenset[str]) -> str | None:
    """Return the word itself when it is one of `words`: free text never passes."""
    word = re.sub(r"[^A-Z]", "", value.upper())
    return word if word in words else None


def parse_age(value: str) -> int | None:
    """Whole years from DICOM's "045Y", capped at 90; None for anything else."""
    found = re.fullmatch(r"\s*(\d{1,3})([YMWD])\s*", value)
    return (
        None
        if found is None
        else min(AGE_CAP, int(int(found[1]) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[found[2]]))
    )


def count_removed(tags: Counter[int]) -> dict[str, int]:
    """Return the number of files by keyword of what was dropped; private elements, overlays, curves
    and unknown ones as groups. `tags`: files by tag.
    """
    from pydicom.datadict import keyword_for_tag

    out: Counter[str] = Counter()
    for tag, files in tags.items():
        word = keyword_for_tag(tag)
        if tag >> 16 <= 2 or tag & 0xFFFF == 0 or word in KEPT:
            continue
        together = _group_of(tag) or ("" if word else "unknown tags")
        if together:
            out[together] = max(out[together], files)
        else:
            out[word] += files
    return dict(out.most_common())


def _group_of(tag: int) -> str:
    """Return what tags of one kind are counted as together; "" for those counted one by one."""
    group = tag >> 16
    if group % 2:
        return "private tags"
    return {0x60: "overlays", 0x50: "curves"}.get(group >> 8, "")


def dicom_card_entry(
    tags: Counter[int], faces: bool, held_back: int, dated: bool, described: bool
) -> dict[str, Any]:
    """Return the entry `deidentified` of the card for DICOM files. `described`: sex or age stand in
    the table.
    """
    true = {"113107": dated, "113108": described}
    return {
        "profile": [p for p in PROFILE if true.get(p[0], True)],
        "removed": count_removed(tags),
        "kept": list(KEPT),
        "dates": (
            f"study dates moved back by 1 to {DAYS:,} days, each patient by an amount of their own,"
            " so intervals stay true; all other dates dropped"
            if dated
            else "all dates dropped"
        ),
        "ids": (
            "patients, series and files have new names made with this workspace's secret key; the"
            " same patient gets the same name in every import here; which name was whose is not"
            " stored"
        ),
        "faces": faces,
        "held": held_back,
    }


def nifti_card_entry(texts: list[tuple[str, ...]], names: list[str]) -> dict[str, Any]:
    """Return the entry `deidentified` of the card for NIfTI files whose headers hold these free
    texts, by their names counted and not kept.
    """
    return {
        "profile": [],
        "removed": dict(Counter(t for one in texts for t in one).most_common()),
        "kept": ["voxels", "affine", "voxel size"],
        "dates": "NIfTI headers hold none",
        "ids": (
            "names of files are kept as they are: rename files that are named after people before"
            " you bring them"
        ),
        "faces": any(HEAD.search(n) for n in names),
        "held": 0,
    }


def rename_values(table: pd.DataFrame, names: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Return the table with the values of some columns replaced by their new names; columns that
    went meanwhile are passed over.
    """
    return table.assign(**{c: table[c].map(new) for c, new in names.items() if c in table})


@contextmanager
def silence_dicom_libraries() -> Iterator[None]:
    """No warning and no log line of the DICOM libraries inside: they quote values of tags. It may
    be used on several threads at a time: what it changes is the whole program's, so the first to
    come changes it and the last to go changes it back.
    """
    with _quiet:
        if not _users:
            _undo.enter_context(_silence())
        _users.append(None)
    try:
        yield
    finally:
        with _quiet:
            _users.pop()
            if not _users:
                _undo.close()


_quiet, _undo = threading.Lock(), ExitStack()
_users: list[None] = []  # one for each that is inside


@contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable  # not by name: decoders log under names of their own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # each call forgets what all loggers know of their levels
        if before < logging.CRITICAL:
            logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            if before < logging.CRITICAL:
                logging.disable(before)
