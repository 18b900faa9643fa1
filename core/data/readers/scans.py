"""DICOM files and series. Only technical facts are kept of their headers; patients and series become numbers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.geometry import letters, sizes_after
from core.data.readers import contours
from core.data.readers.arrays import input_range
from core.data.readers.frames import stack
from core.data.readers.members import Asked, Member, collect
from core.data.readers.pictures import foldered
from core.errors import UserError


class NoPicture(UserError):
    """A DICOM file without pixels."""


def read(members: list[Member], asked: Asked, drawn: list[Member] | None = None) -> Dataset:
    """DICOM files as an image dataset, one row a frame, ordered by series, position along the slices' normal, and time.

    CT values are Hounsfield units. Reports, contours and other DICOM files without pixels are left out and named in
    the card. Frames of one place at several times become clips (roles `sequence` and `time`). `drawn` are outlines in
    text files: they become masks, and the column `outlined` says of which frames.
    """
    if asked.masks is not None:
        raise UserError("Masks are read for pictures and NIfTI scans, not for DICOM files; leave them out.")
    numbers: dict[str, dict[str, int]] = {"patient": {}, "series": {}}

    def numbered(kind: str, value: Any) -> int:
        """1, 2, ... in the order of the files: nobody can go back, and the same files give the same numbers."""
        return numbers[kind].setdefault(str(value), len(numbers[kind]) + 1)

    frames: list[tuple[tuple[Any, ...], np.ndarray, dict[str, Any]]] = []
    without: list[str] = []
    turned, units = 0, True
    for m in members:
        try:
            header, pixels = _dicom(m.load(), m.name)
        except NoPicture:
            without.append(m.name)
            continue
        with warnings.catch_warnings():  # pydicom's warnings quote the values
            warnings.simplefilter("ignore")
            who = next(
                (header.get(t) for t in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID") if header.get(t)), m.name
            )
            patient, series = numbered("patient", who), numbered("series", header.get("SeriesInstanceUID", m.name))
            place, number = _place(header), int(header.get("InstanceNumber") or 0)
            at, apart, pixel = _times(header)
        turned += header.get("PhotometricInterpretation") == "MONOCHROME1"
        units &= header.get("Modality") == "CT" and "RescaleIntercept" in header
        for k, frame in enumerate(pixels):
            facts = {
                "file": m.name, "patient": f"patient {patient}", "series": f"series {series}",
                "scan type": str(header.get("Modality", "unknown")), "position_mm": round(place, 2), "frame": k,
            }  # fmt: skip
            if at is not None or (apart and len(pixels) > 1):
                facts["time_ms"] = round((at or 0.0) + k * apart, 2)
            if pixel:
                facts["pixel_mm"] = pixel
            facts |= _geometry(header)
            frames.append(((series, place, facts.get("time_ms", 0.0), number, m.name, k), frame, facts))
    if not frames:
        more = f", like the {len(without) - 1} files beside it" if len(without) > 1 else ""
        raise UserError(f"{without[0]} holds no picture (a DICOM file without pixel data){more}.")
    frames.sort(key=lambda f: f[0])
    sizes = [f[1].shape[:2] for f in frames]
    samples, rule = stack([f[1] for f in frames])
    rules = [rule, "ordered by series, position along the slices' normal, instance number"]
    if units:
        low, high, scale = -1000.0, 1000.0, "Hounsfield units -1000 to 1000 become 0 to 1"
    else:
        low, high, scale = input_range(samples)
    if turned:
        rules.append(
            f"{turned} file{'s' * (turned != 1)} stored with black as the largest value (MONOCHROME1) turned so "
            "that larger is brighter"
        )
    table = pd.DataFrame([f[2] for f in frames])
    table, roles = foldered(table, {"file": "file", "group": "patient"}, asked, auto=False)
    table, film = _clips(table)
    if film:
        rules.append(f"{table['clip'].nunique()} clips: the frames of one place in the order of their times")
    if "pixel_mm" in table:
        table["pixel_mm"] *= [max(s) / max(samples.shape[2:]) for s in sizes]
    fitted = [sizes_after((f[2]["mm_down"], f[2]["mm_across"]), size, samples.shape[2:]) for f, size in zip(frames, sizes)]
    table["mm_down"], table["mm_across"] = zip(*fitted)
    masks = None
    if drawn:
        masks, table["outlined"], unused, more = contours.masks_for(list(table["file"]), sizes, samples.shape[2:], drawn)
        rules.append(more)
        without += unused
    card = {
        "rules": [*rules, scale, "names, dates and all other identifying tags were left out"], "left out": without,
        "cohort": {"files seen": len(members), "frames used": len(frames)},
    }  # fmt: skip
    return Dataset("", "image", table, samples, masks, {**roles, **film}, (), (low, high), card)


def _times(header: Any) -> tuple[float | None, float, float]:
    """Milliseconds after the heart's trigger (None where the header does not say), between the frames of one file
    (0 where it does not say), and millimetres a pixel (0 as well)."""
    at, apart, spacing = header.get("TriggerTime"), header.get("FrameTime"), header.get("PixelSpacing")
    return None if at in (None, "") else float(at), float(apart or 0), float(spacing[0]) if spacing else 0.0


def _geometry(header: Any) -> dict[str, Any]:
    """Columns of `core.data.geometry` of a file's frames as stored; nan and "" where the header does not say."""
    axes, spacing = header.get("ImageOrientationPatient"), header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    word, lean = letters(np.array([axes[3:], axes[:3]], dtype=float)) if axes and len(axes) == 6 else ("", float("nan"))
    down, across = (float(v) for v in spacing) if spacing and len(spacing) == 2 else (float("nan"), float("nan"))
    thick = header.get("SpacingBetweenSlices") or header.get("SliceThickness") or "nan"
    return {"axes": word, "mm_slice": float(thick), "mm_down": down, "mm_across": across, "oblique_deg": lean}


def _clips(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """With a column `clip` (patient, series where there are several, slice) and its roles, where frames of one place
    differ in time; else as it is, without the times."""
    if "time_ms" not in table or table["time_ms"].isna().any():
        return table.drop(columns=["time_ms"], errors="ignore"), {}
    place = table.groupby("series")["position_mm"].rank(method="dense").astype(int)
    several = table.groupby("patient")["series"].nunique().max() > 1
    names = table["patient"] + (", " + table["series"] if several else "") + ", slice " + place.astype(str).str.zfill(len(str(place.max())))
    if table.duplicated(["series", "position_mm", "time_ms"]).any() or not names.duplicated().any():
        return table.drop(columns=["time_ms"]), {}
    table.insert(3, "clip", names)
    return table, {"sequence": "clip", "time": "time_ms"}


def _place(header: Any) -> float:
    """Millimetres along the normal of the slices; 0 where the header does not say, so that the instance number
    decides."""
    position, axes = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if not position or len(position) != 3:
        return 0.0
    axes = [float(v) for v in axes] if axes and len(axes) == 6 else [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return float(np.dot(np.cross(axes[:3], axes[3:]), [float(v) for v in position]))


def _dicom(data: bytes, name: str) -> tuple[Any, np.ndarray]:
    """Header and float32 frames [f,H,W] or [f,H,W,3], rescaled, MONOCHROME1 turned so that larger is brighter."""
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(io.BytesIO(data), force=data[128:132] != b"DICM")
            if "PixelData" not in header:
                raise NoPicture(f"{name} holds no picture (a DICOM file without pixel data).")
            if int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames") or 1) > limits.PIXELS:
                raise UserError(f"{name} has more than {limits.PIXELS // 10**6} million pixels.")
            stored = header.pixel_array
            if header.get("PhotometricInterpretation") == "PALETTE COLOR":
                pixels = apply_color_lut(stored, header)[..., :3].astype(np.float32)
                pixels = np.round(pixels / np.float32(257 if pixels.max() > 255 else 1))
            else:
                if (
                    header.get("PhotometricInterpretation") == "MONOCHROME1"
                ):  # by the stored range: alike in a whole series
                    stored = (-1 if header.PixelRepresentation else (1 << int(header.BitsStored)) - 1) - stored.astype(
                        np.int64
                    )
                pixels = np.asarray(apply_modality_lut(stored, _rescaled(header)), dtype=np.float32)
    except UserError:
        raise
    except RuntimeError as e:
        why = str(e).splitlines()[0][:80].rstrip(": ")
        raise UserError(f"{name} is compressed in a way that no installed decoder reads ({why}).") from None
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(f"{name} cannot be read as DICOM ({why}); mend or remove it.") from None
    if not np.isfinite(pixels).all():
        raise UserError(f"{name} holds values that are not finite after its rescaling; mend or remove it.")
    several = int(header.get("NumberOfFrames") or 1) > 1 and pixels.ndim > 2
    return header, pixels if several else pixels[None]


def _rescaled(header: Any) -> Any:
    """The header, with the rescaling that enhanced files keep in their shared groups put where plain files have it."""
    groups = header.get("SharedFunctionalGroupsSequence")
    inner = groups[0].get("PixelValueTransformationSequence") if groups else None
    if inner and "RescaleSlope" not in header:
        header.RescaleSlope, header.RescaleIntercept = inner[0].RescaleSlope, inner[0].RescaleIntercept
    return header


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
    data = path.read_bytes()
    if path.suffix == ".dcm":
        return [f if f.ndim == 2 else f.mean(2) for f in _dicom(data, path.name)[1]]
    from core.data.readers.nifti import axial, look, volumes

    return list(axial(next(volumes(look(collect(path)[0])))))
