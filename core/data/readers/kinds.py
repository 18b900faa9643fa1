"""What kind of data a file holds, by its first bytes and its name."""

from __future__ import annotations

import re
from collections.abc import Callable

from core.data.readers import (
    deep,
    dicom,
    dicom_rows,
    edf,
    fasta,
    image_decoding,
    nifti_file,
    packed_tables,
    tables,
    unsupported,
)
from core.data.readers.files import Member
from core.errors import UserError

SIDE = (
    ".txt",
    ".md",
    ".json",
    ".xml",
    ".yaml",
    ".yml",
    ".html",
    ".rst",
    ".log",
    ".pdf",
    ".bval",
    ".bvec",
    ".cfg",
    ".ini",
)
SIDE_NAMES = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|citation|changelog|changes|dicomdir)\b", re.I
)


def refuse_known(member: Member, one: str) -> None:
    """UserError that says what the file called `one` is and what to do about it, where that is
    known.
    """
    found = unsupported.identify_unsupported(member)
    if found:
        raise UserError(
            f"{one} is {found[0]}, which Lightbox does not read; {found[1]}, or leave it out."
        )


def kinds_by_name(members: list[Member]) -> dict[str, str]:
    """Return the kind of each file by its name; UserError, without names among DICOM files, for one
    that is not what it says.
    """
    secret = any(dicom.is_dicom(m) for m in members)
    return {
        m.name: _kind(m, i, len(members)) if secret else identify_kind(m)
        for i, m in enumerate(members)
    }


def _kind(member: Member, at: int, n: int) -> str:
    """As `identify_kind`, without the file's name in the sentence."""
    try:
        return identify_kind(member)
    except UserError:
        raise UserError(
            f"{dicom_rows.describe_place(at, n)} is not what its name says; fix or remove it."
        ) from None


def is_side(member: Member) -> bool:
    """Whether a file only goes beside data: a readme, a licence, a log."""
    return (
        bool(SIDE_NAMES.match(member.parts[-1]))
        or unsupported.is_index(member)
        or member.name.lower().endswith(SIDE)
    )


def identify_kind(member: Member) -> str:
    """Return what a file is, by its first bytes: a key of the readers, "zip", "index", or
    "unknown". UserError for a file that is not what its name says.
    """
    for found, fits in BY_CONTENT:
        if fits(member):
            return found
    _refuse_false_name(member)
    return "table" if _may_be_text_table(member) else "unknown"


def _is_picture(member: Member) -> bool:
    head = member.head
    signed = head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff"
    return signed or head[:4] in deep.TIFF or _is_bitmap(head)


def _is_bitmap(head: bytes) -> bool:
    """Whether the bytes begin a BMP file; two letters alone would take text for one."""
    reserved = head[6:10] == b"\0\0\0\0" and head[15:18] == b"\0\0\0"
    return head[:2] == b"BM" and len(head) > 26 and reserved


def _is_zip(member: Member) -> bool:
    return member.head[:4] == b"PK\x03\x04"


# in this order: a DICOM file may begin with a TIFF header, a workbook is a zip
BY_CONTENT: tuple[tuple[str, Callable[[Member], bool]], ...] = (
    ("index", unsupported.is_index),
    ("dicom", dicom.is_dicom),
    ("edf", edf.is_edf),
    ("picture", _is_picture),
    ("parquet", lambda member: member.head[:4] == b"PAR1"),
    ("npy", lambda member: member.head[:6] == b"\x93NUMPY"),
    ("table", packed_tables.is_packed),
    ("npz", lambda member: _is_zip(member) and member.name.lower().endswith(".npz")),
    ("zip", _is_zip),
    ("fasta", fasta.is_fasta),
    ("nifti", nifti_file.is_nifti),
)


def _refuse_false_name(member: Member) -> None:
    """UserError for a file whose name says a format its bytes are not of."""
    lower = member.name.lower()
    if lower.endswith((".npz", ".npy", ".parquet", ".zip")):
        refuse_known(member, member.name)
        raise UserError(
            f"{member.name} is no whole {lower.rpartition('.')[2]} file; it may be cut off or"
            " something else."
        )
    if lower.endswith(image_decoding.SUFFIXES):
        found = unsupported.identify_unsupported(member)
        if found:
            raise UserError(
                f"{member.name} is no picture of the kind its name says, it is {found[0]};"
                f" {found[1]}, or leave it out."
            )
        raise UserError(
            f"{member.name} is no picture although its name says so; its content is something else."
        )


def _may_be_text_table(member: Member) -> bool:
    head, lower = member.head, member.name.lower()
    is_text = b"\0" not in head
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    if (
        is_text
        and lower.endswith(packed_tables.SUFFIXES)
        and unsupported.identify_unsupported(member) is None
    ):
        return True  # unpacked already; or text that is called .xls
    return lower.endswith((".csv", ".tsv")) or (is_text and lower.endswith(tables.SUFFIXES))
