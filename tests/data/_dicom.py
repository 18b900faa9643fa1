"""DICOM files made by code: one slice with known pixels, and whole stacks in known directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

DIRECTIONS = {  # rows and columns of a picture, in DICOM's coordinates (left, back, head)
    "axial": [1, 0, 0, 0, 1, 0],
    "coronal": [1, 0, 0, 0, 0, -1],
    "sagittal": [0, 1, 0, 0, 0, -1],
}


def made(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> FileDataset:
    """A CT slice of unsigned 16-bit `pixels` [H,W] (or uint8 [H,W,3]) at the origin; `tags` by
    keyword, None removes one.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = (
        CTImageStorage,
        generate_uid(),
        syntax,
    )
    d = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID, d.SeriesInstanceUID, d.StudyInstanceUID = (
        CTImageStorage,
        meta.MediaStorageSOPInstanceUID,
        "1.2.3",
        "1.2",
    )
    d.PatientID, d.Modality, d.InstanceNumber = "P1", "CT", 1
    d.Rows, d.Columns = (
        pixels.shape[:2] if pixels.ndim < 3 or pixels.shape[-1] == 3 else pixels.shape[-2:]
    )
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    d.SamplesPerPixel, d.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        d.PlanarConfiguration = 0
    d.BitsAllocated = d.BitsStored = 8 * pixels.dtype.itemsize if colour else 16
    d.HighBit, d.PixelRepresentation = (
        d.BitsStored - 1,
        int(pixels.dtype.kind == "i" and pixels.min() < 0),
    )
    d.ImagePositionPatient, d.ImageOrientationPatient, d.PixelSpacing = (
        [0, 0, 0],
        DIRECTIONS["axial"],
        [1, 1],
    )
    d.RescaleSlope, d.RescaleIntercept = 1, 0
    d.PixelData = (
        pixels.tobytes()
        if colour
        else pixels.astype("<i2" if d.PixelRepresentation else "<u2").tobytes()
    )
    for keyword, value in tags.items():
        if value is None:
            delattr(d, keyword)
        else:
            setattr(d, keyword, value)
    return d


def write(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    made(pixels, **tags).save_as(path, enforce_file_format=True)
    return path


def stack(
    folder: Path,
    volume: np.ndarray,
    directions: str,
    series: str = "1.2.3",
    step: float = 3.0,
    prefix: str = "",
    **tags: Any,
) -> None:
    """Files of the slices of `volume` [k,H,W], `step` mm apart along the normal, in an order of
    names that is not theirs.
    """
    row, down = np.split(np.array(DIRECTIONS[directions], float), 2)
    normal = np.cross(row, down)
    for k, pixels in enumerate(volume):
        place = (10 * normal + step * k * normal).tolist()
        write(
            folder / f"{prefix}{(k * 7) % 101:03}.dcm",
            pixels,
            **(
                {
                    "ImageOrientationPatient": DIRECTIONS[directions],
                    "ImagePositionPatient": place,
                    "SeriesInstanceUID": series,
                    "InstanceNumber": 99 - k,
                }
                | tags
            ),
        )


def item(**tags: Any) -> Sequence:
    inner = Dataset()
    for keyword, value in tags.items():
        setattr(inner, keyword, value)
    return Sequence([inner])


RNG = np.random.default_rng(3)


def some(n=3, size=(6, 8), high=2000):
    return RNG.integers(1, high, (n, *size))
