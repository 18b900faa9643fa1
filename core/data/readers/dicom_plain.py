"""Pixels of DICOM files that are stored as they are, one frame of grey values: decoded without
reading the header a second time, which takes longer than decoding them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.readers.dicom_file import EXPLICIT, IMPLICIT, prepare_bytes
from core.data.readers.dicom_values import read_text

LUT = 0x00283000  # ModalityLUTSequence: stored values are places in a table
WHOLE = {
    "rows": "Rows",
    "columns": "Columns",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "pixel_representation": "PixelRepresentation",
    "samples_per_pixel": "SamplesPerPixel",
}


def read_plain_options(header: Any) -> dict[str, Any] | None:
    """Return what pydicom's decoder has to know of such pixels; None for others, and where the
    header leaves a doubt.
    """
    syntax = str(header.file_meta.TransferSyntaxUID)
    said = {name: read_text(header, keyword) for name, keyword in WHOLE.items()}
    grey = read_text(header, "PhotometricInterpretation")
    if syntax not in (IMPLICIT, EXPLICIT) or grey not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    if not all(word.isascii() and word.isdecimal() for word in said.values()):
        return None
    told = {name: int(word) for name, word in said.items()}
    if told["samples_per_pixel"] != 1:
        return None
    if told["bits_allocated"] not in (8, 16) or told["pixel_representation"] not in (0, 1):
        return None
    if not 0 < told["bits_stored"] <= told["bits_allocated"]:
        return None
    if read_text(header, "HighBit") != str(told["bits_stored"] - 1):
        return None
    if read_text(header, "NumberOfFrames") not in ("", "1"):
        return None
    more = {"number_of_frames": 1, "photometric_interpretation": grey}
    return {"transfer_syntax_uid": syntax, **told, **more}


def decode_plain(data: bytes, options: dict[str, Any] | None, where: str) -> np.ndarray | None:
    """Return the frame [H,W] as stored, not to be written to; None where it takes more than
    `options` say (those of `read_plain_options`).
    """
    if options is None:
        return None
    data, layout = prepare_bytes(data, where)
    at, syntax = layout.pixels, options["transfer_syntax_uid"]
    if at is None or layout.syntax != syntax or LUT in layout.tags:
        return None
    if data[at : at + 4] != b"\xe0\x7f\x10\x00":
        return None
    if syntax == EXPLICIT:
        kind, skip = data[at + 4 : at + 6], 12
        if kind not in (b"OB", b"OW"):
            return None
    else:
        kind, skip = b"OW", 8
    size = int.from_bytes(data[at + skip - 4 : at + skip], "little")
    asked = options["rows"] * options["columns"] * options["bits_allocated"] // 8
    pixels = memoryview(data)[at + skip : layout.end]
    if size != len(pixels) or size != asked + asked % 2:
        return None
    return _decode(pixels, kind.decode(), options)


def _decode(pixels: memoryview, kind: str, options: dict[str, Any]) -> np.ndarray:
    from pydicom.pixels import get_decoder

    decoder = get_decoder(options["transfer_syntax_uid"])
    told = {name: v for name, v in options.items() if name != "transfer_syntax_uid"}
    told |= {"pixel_keyword": "PixelData", "pixel_vr": kind, "view_only": True}
    return next(array for array, _ in decoder.iter_array(pixels, **told))
