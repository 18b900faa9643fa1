"""Scans: DICOM files and series, NIfTI volumes. Only technical facts are kept of their headers; patients become keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
import io
import secrets
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.arrays import input_range
from core.data.readers.members import Member
from core.data.readers.pictures import common_side, fit_square
from core.errors import UserError


def read_dicom(members: list[Member], label: str, text: str | None, masks: Path | None) -> Dataset:
    """DICOM files as an image dataset, one row a frame, ordered by series and position. CT values are Hounsfield units."""
    key = secrets.token_bytes(16)  # patients keep one id within this import; the key is not kept, so nobody can go back
    frames: list[tuple[tuple[Any, ...], np.ndarray, dict[str, Any]]] = []
    for m in members:
        header, pixels = _dicom(m.load(), m.name)
        patient = hmac.new(key, str(header.get("PatientID", m.name)).encode(), hashlib.sha256).hexdigest()[:8]
        series = hmac.new(key, str(header.get("SeriesInstanceUID", m.name)).encode(), hashlib.sha256).hexdigest()[:8]
        place = float(header.ImagePositionPatient[2]) if header.get("ImagePositionPatient") else float(header.get("InstanceNumber") or 0)
        for k, frame in enumerate(pixels):
            facts = {"file": m.name, "patient": f"patient {patient}", "series": f"series {series}", "scan type": str(header.get("Modality", "unknown")),
                     "position_mm": round(place, 2), "frame": k}  # fmt: skip
            frames.append(((series, place, m.name, k), frame, facts))
    frames.sort(key=lambda f: f[0])
    ct = all(f[2]["scan type"] == "CT" for f in frames)
    samples, rule = _stack([f[1] for f in frames])
    low, high, scale = (-1000.0, 1000.0, "Hounsfield units -1000 to 1000 become 0 to 1") if ct else input_range(samples)
    card = {"rules": [rule, scale, "names, dates and all other identifying tags were left out"], "cohort": {"files seen": len(members), "frames used": len(frames)}}
    roles = {"file": "file", "group": "patient"}
    return Dataset("", "image", pd.DataFrame([f[2] for f in frames]), samples, None, roles, (), (low, high), card)


def _dicom(data: bytes, name: str) -> tuple[Any, np.ndarray]:
    """Header and float32 frames [f,H,W] or [f,H,W,3], rescaled, MONOCHROME1 turned so that larger is brighter."""
    import pydicom
    from pydicom.pixels import apply_modality_lut

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(io.BytesIO(data))
            if "PixelData" not in header:
                raise UserError(f"{name} holds no picture (a DICOM file without pixel data).")
            if int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames") or 1) > limits.PIXELS:
                raise UserError(f"{name} has more than {limits.PIXELS // 10**6} million pixels.")
            stored = header.pixel_array
            pixels = np.asarray(apply_modality_lut(stored, header), dtype=np.float32)
    except UserError:
        raise
    except RuntimeError as e:
        raise UserError(f"{name} is compressed in a way that no installed decoder reads ({str(e).splitlines()[0][:80]}).") from None
    except Exception as e:
        raise UserError(f"{name} cannot be read as DICOM ({type(e).__name__}: it may be cut off or damaged); mend or remove it.") from None
    colour = int(header.get("SamplesPerPixel") or 1) == 3
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        pixels = pixels.max() + pixels.min() - pixels
    return header, pixels if pixels.ndim == (4 if colour else 3) else pixels[None]


def _stack(frames: list[np.ndarray]) -> tuple[np.ndarray, str]:
    """Frames of one size [n,C,H,W] float32 (uint8 where nothing is lost), and the rule in words."""
    size, rule = common_side([f.shape[:2] for f in frames])
    colour = any(f.ndim == 3 for f in frames)
    frames = [np.repeat(f[..., None], 3, 2) if colour and f.ndim == 2 else f for f in frames]
    out = []
    for f in frames:
        layers = f.transpose(2, 0, 1) if f.ndim == 3 else f[None]
        if layers.shape[1:] != size:
            lowest = float(layers.min())
            layers = np.stack([fit_square(layer - lowest, max(size))[: size[0], : size[1]] + lowest for layer in layers])
        out.append(layers)
    stacked = np.stack(out)
    whole = stacked.min() >= 0 and stacked.max() <= 255 and (stacked == stacked.round()).all()
    return (stacked.astype(np.uint8) if whole else stacked), rule


def read_nifti(members: list[Member], label: str, text: str | None, masks: Path | None) -> Dataset:
    """NIfTI volumes [n,1,D,H,W] turned to RAS order, one row a volume (4-D: a row a time point); affine and spacing stay in the card."""
    import nibabel

    volumes, lines, facts = [], [], []
    for m in members:
        image = _nifti(m.load(), m.name)
        turned = nibabel.as_closest_canonical(image)
        array = np.asarray(turned.dataobj, dtype=np.float32)
        array = array[..., None] if array.ndim == 3 else array
        if not np.isfinite(array).all():
            raise UserError(f"{m.name} holds NaN or infinite voxels; mend or remove it.")
        for t in range(array.shape[3]):
            volumes.append(array[..., t].transpose(2, 1, 0))  # x,y,z -> D=z, H=y, W=x
            lines.append({"file": m.name, "time": t})
        facts.append({"file": m.name, "spacing_mm": [round(float(z), 4) for z in turned.header.get_zooms()[:3]], "affine": np.round(turned.affine, 4).tolist(),
                      "stored orientation": "".join(nibabel.aff2axcodes(image.affine))})  # fmt: skip
    shapes = {v.shape for v in volumes}
    rules = ["axes turned to right-anterior-superior order"]
    if len(shapes) > 1 or max(volumes[0].shape) > 128:
        size = tuple(int(min(128, np.median([v.shape[a] for v in volumes]))) for a in range(3))
        volumes = [_fit(v, size) for v in volumes]
        rules.append(f"volumes of differing or large sizes brought to {size[2]} x {size[1]} x {size[0]} voxels by linear interpolation")
    samples = np.stack(volumes)[:, None]
    low, high, scale = input_range(samples)
    table = pd.DataFrame(lines)
    if table["time"].nunique() == 1:
        table = table.drop(columns="time")
    else:
        table["scan"] = table["file"]
    roles = {"file": "file"} | ({"group": "scan"} if "scan" in table else {})
    return Dataset("", "volume", table, samples, None, roles, (), (low, high), {"rules": [*rules, scale], "scans": facts})


def _nifti(data: bytes, name: str) -> Any:
    """The image in `data`, its header checked against the bytes before any voxel is read."""
    import gzip

    import nibabel

    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
                unpacked = f.read(min(limits.VALUES, limits.RATIO * len(data)) + 1)
            if len(unpacked) > limits.RATIO * len(data):
                raise UserError(f"{name} unpacks to more than {limits.RATIO} times its size; such files are refused.")
            data = unpacked
        kind = nibabel.Nifti2Image if data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nibabel.Nifti1Image
        image = kind.from_bytes(data)
        shape, spacing = image.shape, np.array(image.header.get_zooms()[:3])
        if len(shape) not in (3, 4) or min(shape) < 1:
            raise UserError(f"{name} has shape {shape}; a volume has three dimensions, or four with time.")
        if not np.isfinite(image.affine).all() or not (spacing > 0).all():
            raise UserError(f"{name} has no usable orientation (its affine or spacing is zero or not a number).")
        if int(np.prod(shape, dtype=object)) * image.get_data_dtype().itemsize > len(data):
            raise UserError(f"{name} says it holds more voxels than it has; it is cut off or damaged.")
        return image
    except UserError:
        raise
    except Exception as e:
        raise UserError(f"{name} cannot be read as NIfTI ({type(e).__name__}: it may be cut off or damaged); mend or remove it.") from None


def _fit(volume: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    from scipy.ndimage import zoom

    return zoom(volume, [s / v for s, v in zip(size, volume.shape)], order=1, grid_mode=True, mode="nearest")


def package_files() -> Iterator[tuple[Path, str]]:
    """The small scans inside the installed packages pydicom and nibabel: path and kind in words. Nothing is fetched."""
    import nibabel
    import pydicom

    inside = {
        Path(pydicom.__file__).parent / "data" / "test_files": {"CT_small.dcm": "CT", "MR_small.dcm": "MR", "MR_truncated.dcm": "", "rtdose.dcm": ""},
        Path(nibabel.__file__).parent / "tests" / "data": {"anatomical.nii": "MR", "functional.nii": "fMRI", "example4d.nii.gz": "MR"},
    }
    for folder, names in inside.items():
        for name, kind in names.items():
            if kind and (folder / name).exists():
                yield folder / name, kind


def read_scan(path: Path) -> list[np.ndarray]:
    """Axial float32 slices [H,W] of one scan: every slice of a volume, the frames of a DICOM file."""
    data = path.read_bytes()
    if path.suffix == ".dcm":
        return [f if f.ndim == 2 else f.mean(2) for f in _dicom(data, path.name)[1]]
    import nibabel

    array = np.asarray(nibabel.as_closest_canonical(_nifti(data, path.name)).dataobj, dtype=np.float32)
    array = array[..., 0] if array.ndim == 4 else array
    return [np.flipud(array[:, :, k].T) for k in range(array.shape[2])]
