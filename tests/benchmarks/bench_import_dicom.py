"""Importing 2,000 CT slices of 512 x 512 (made here), beside bare pydicom on the same files:
`python -m tests.benchmarks.bench_import_dicom [SLICES]`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def make(folder: Path, slices: int) -> None:
    """Four patients' chests of whole-body CT: noise of 12 HU around a body of smooth tissue, 16
    bits, uncompressed, 0.9 mm pixels, 1.5 mm apart.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = np.where((x / 0.85) ** 2 + (y / 0.6) ** 2 < 1, 40.0, -1000.0)
    noise = rng.normal(0, 12, (8, 512, 512))
    for k in range(slices):
        patient, z = divmod(k, max(1, slices // 4))
        lung = ((x - 0.35) / 0.25) ** 2 + (y / 0.4) ** 2 < np.sin(np.pi * z / max(1, slices // 4))
        image = np.clip(np.where(lung, -800.0, body) + noise[k % 8], -1024, 3000)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
            ExplicitVRLittleEndian,
            CTImageStorage,
            generate_uid(),
        )
        d = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        d.PatientName, d.PatientID, d.SeriesInstanceUID = (
            f"Made^Up{patient}",
            str(patient),
            f"1.2.3.{patient + 1}",
        )
        d.Modality, d.InstanceNumber, d.StudyDate, d.BodyPartExamined = "CT", z, "20200102", "CHEST"
        d.Rows = d.Columns = 512
        (
            d.SamplesPerPixel,
            d.PhotometricInterpretation,
            d.BitsAllocated,
            d.BitsStored,
            d.HighBit,
            d.PixelRepresentation,
        ) = (1, "MONOCHROME2", 16, 16, 15, 0)
        d.ImagePositionPatient, d.ImageOrientationPatient = (
            [-230, -230, 1.5 * z],
            [
                1,
                0,
                0,
                0,
                1,
                0,
            ],
        )
        d.PixelSpacing, d.SliceThickness, d.RescaleSlope, d.RescaleIntercept = (
            [0.9, 0.9],
            1.5,
            1,
            -1024,
        )
        d.WindowCenter, d.WindowWidth = 40, 400
        d.PixelData = (image + 1024).astype("<u2").tobytes()
        d.save_as(folder / f"{k:05}.dcm", enforce_file_format=True)


def ours(source: str, home: str, stack: str) -> dict[str, float]:
    from core.data.readers import read
    from core.workspace.workspace import Workspace

    ws = Workspace(Path(home))
    base, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    data = read(Path(source), name="bench", key=ws.key, stack=stack)  # type: ignore[arg-type]
    middle = time.perf_counter()
    samples = data.samples.nbytes
    stored = ws.add(data)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "read_s": middle - start,
        "save_s": done - middle,
        "peak_mb": peak / 1024,
        "base_mb": base / 1024,
        "samples_mb": samples / 2**20,
        "rows": len(stored),
    }


def opening(home: str) -> dict[str, float]:
    from core.workspace.workspace import Workspace

    start = time.perf_counter()
    data = Workspace(Path(home)).dataset("bench")
    data.raw(np.arange(min(60, len(data))))
    return {"open_s": time.perf_counter() - start}


def bare(source: str) -> dict[str, float]:
    import pydicom

    start, total = time.perf_counter(), 0.0
    for path in sorted(Path(source).iterdir()):
        total += float(pydicom.dcmread(path).pixel_array[0, 0])
    return {
        "read_s": time.perf_counter() - start,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def child(*args: str) -> dict[str, float]:
    return json.loads(
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bench_import_dicom", *args],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )


def main(slices: int) -> None:
    with tempfile.TemporaryDirectory() as tmp:
        source = Path(tmp) / "slices"
        source.mkdir()
        make(source, slices)
        print(
            f"{slices:,} CT slices of 512 x 512,"
            f" {sum(p.stat().st_size for p in source.iterdir()) >> 20:,} MB"
        )
        for _ in range(2):  # the first round warms the file cache for both
            rival = child("bare", str(source))
        print(
            f"bare pydicom, dcmread + pixel_array, nothing kept or stored: {rival['read_s']:.1f} s,"
            f" {slices / rival['read_s']:.0f} slices/s, peak {rival['peak_mb']:.0f} MB"
        )
        for stack in ("slices", "volumes"):
            home = str(Path(tmp) / f"home-{stack}")
            got, opened = child("ours", str(source), home, stack), child("open", home)
            total = got["read_s"] + got["save_s"]
            print(
                f"import as {stack}: {total:.1f} s ({got['read_s']:.1f} read, {got['save_s']:.1f}"
                f" stored), {slices / total:.0f} slices/s, {got['rows']:.0f} rows of"
                f" {got['samples_mb']:.0f} MB, peak {got['peak_mb']:.0f} MB ="
                f" {got['peak_mb'] - got['samples_mb']:.0f} MB over the samples"
                f" ({got['base_mb']:.0f} MB of them the program itself); opening it:"
                f" {opened['open_s']:.2f} s"
            )


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["open"], ["bare"]):
        print(json.dumps({"ours": ours, "open": opening, "bare": bare}[sys.argv[1]](*sys.argv[2:])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
