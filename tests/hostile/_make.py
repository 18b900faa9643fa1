"""Small files made by code: valid ones of every kind, and what a stranger might send instead."""

import functools
import gzip
import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def rng():
    return np.random.default_rng(0)


def png(seed=0, size=(12, 10), kind="PNG", mode=None, **how):
    from PIL import Image

    out = io.BytesIO()
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8))
    (image if mode is None else image.convert(mode)).save(out, kind, **how)
    return out.getvalue()


def zipped(files, how=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as z:
        for name, data in files.items():
            z.writestr(name, data)
    return out.getvalue()


def npy(array, **how):
    out = io.BytesIO()
    np.save(out, array, **how)
    return out.getvalue()


def npy_header(shape, descr="|u1", order=False):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": descr, "fortran_order": order, "shape": shape}
    )
    return out.getvalue()


def npz(**arrays):
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


@functools.cache
def dicom(frames=2, side=6, sop="1.2.840.10008.5.1.4.1.1.2", index=False):
    """A small CT file of several frames; with `index`, a DICOMDIR that points outside its
    folder.
    """
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10" if index else sop
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["a"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    if index:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = ["..", "..", "etc", "passwd"]
        made.DirectoryRecordSequence = [record]
    else:
        made.SOPClassUID, made.Modality, made.PatientID, made.SeriesInstanceUID = (
            sop,
            "CT",
            "p",
            "1.2.3",
        )
        made.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        made.Rows = made.Columns = side
        made.NumberOfFrames, made.SamplesPerPixel, made.PhotometricInterpretation = (
            frames,
            1,
            "MONOCHROME2",
        )
        made.BitsAllocated = made.BitsStored = 16
        made.HighBit, made.PixelRepresentation, made.RescaleSlope, made.RescaleIntercept = (
            15,
            0,
            1,
            -1024,
        )
        made.PixelSpacing, made.ImagePositionPatient, made.ImageOrientationPatient = (
            [1, 1],
            [0, 0, 0],
            [1, 0, 0, 0, 1, 0],
        )
        made.PixelData = rng().integers(0, 2000, (frames, side, side), dtype=np.uint16).tobytes()
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def nifti(shape=(6, 5, 4)):
    import nibabel

    return nibabel.Nifti1Image(rng().integers(0, 99, shape).astype(np.int16), np.eye(4)).to_bytes()


def mgh(shape=(6, 5, 4)):
    import nibabel

    return nibabel.MGHImage(rng().integers(0, 99, shape).astype(np.int16), np.eye(4)).to_bytes()


def analyze(shape=(6, 5, 4)):
    """The .hdr and .img of an Analyze 7.5 pair."""
    import nibabel

    image = nibabel.AnalyzeImage(rng().integers(0, 99, shape).astype(np.int16), None)
    image.update_header()
    image.header.set_data_offset(0)
    return image.header.binaryblock, image.get_fdata().astype("<i2").tobytes(order="F")


def seg():
    """A segmentation object of two frames, on the plane of the two frames of `dicom`."""
    from pydicom import dcmread
    from pydicom.dataset import Dataset

    made = dcmread(io.BytesIO(dicom(sop="1.2.840.10008.5.1.4.1.1.66.4")))
    made.Modality, made.SeriesInstanceUID, made.SegmentationType = "SEG", "7.7", "BINARY"
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = 0
    made.PixelData = (
        np.packbits(rng().integers(0, 2, 72, dtype=np.uint8), bitorder="little").tobytes() + b"\0"
    )
    groups = []
    for number in (1, 2):
        source, derived, segment, group = Dataset(), Dataset(), Dataset(), Dataset()
        source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber = (
            str(made.SOPInstanceUID),
            number,
        )
        derived.SourceImageSequence, segment.ReferencedSegmentNumber = [source], number
        group.DerivationImageSequence, group.SegmentIdentificationSequence = [derived], [segment]
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = groups
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def csv():
    return (
        "name;age;site;diagnosis\n"
        + "".join(
            f"case {i};{20 + i},5;{'ab'[i % 2]};{'ill' if i % 3 else 'well'}\n" for i in range(8)
        )
    ).encode()


def parquet():
    import pandas as pd

    out = io.BytesIO()
    pd.DataFrame({"a": range(6), "b": np.arange(6) / 3, "c": list("xyzxyz")}).to_parquet(
        out, index=False
    )
    return out.getvalue()


def fasta():
    return "".join(
        f">s{i} made\n{''.join(rng().choice(list('ACGT'), 60))}\n" for i in range(3)
    ).encode()


def wfdb(beats=12):
    """The three files of a record of two leads in format 212, with marks: {name: bytes}."""
    rate, n = 100, 100 * (beats + 1)
    wave = (200 * np.sin(np.arange(n) / 9)).astype(int)
    a, b = wave & 0xFFF, (wave // 2) & 0xFFF
    dat = np.stack([a & 255, (a >> 8) | ((b >> 8) << 4), b & 255], 1).astype(np.uint8).tobytes()
    head = (
        f"r 2 {rate} {n}\nr.dat 212 200 12 0 {wave[0]} 0 0 I\nr.dat 212 200 12 0 {wave[0] // 2} 0 0"
        " II\n".encode()
    )
    words = b"".join(struct.pack("<H", (1 << 10) | 80) for _ in range(beats)) + b"\0\0"
    return {"r.hea": head, "r.dat": dat, "r.atr": words}


def gz(data):
    return gzip.compress(data, mtime=0)


def peak(code, *args, most=None):
    """Peak memory (bytes) that `code` adds in a fresh interpreter, past what the imports need, and
    what it prints. `code` may use `read` and UserError.
    """
    start = (
        "import sys\nimport core.data.readers\nfrom core.data.readers import read\nfrom core.errors"
        " import UserError\nimport numpy, PIL.Image, pandas\nfrom pathlib import Path\nfrom"
        " tests.hostile._peak import highest\nbefore = highest()\n"
    )
    end = "\nprint('GREW', highest() - before)\n"
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", start + code + end, *map(str, args)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, _, grew = done.stdout.rpartition("GREW")
    return int(grew), said


REFUSE = """
try:
    read(Path(sys.argv[1]))
    print("accepted")
except UserError as e:
    print(e)
"""
