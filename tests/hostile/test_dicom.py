"""DICOM files that are damaged, odd or made to hurt (faults 27 and 28): the right picture, or one
sentence in little time and memory.
"""

from __future__ import annotations

import io
import struct
import time
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)

from core import limits
from core.data.deidentify import silence_dicom_libraries
from core.data.readers import read
from core.data.readers.dicom_file import packed_size, prepare_bytes
from core.errors import UserError
from tests.data._dicom import item, made, write
from tests.hostile._make import REFUSE, peak

PIXELS = np.arange(48).reshape(6, 8) * 10
EXPLICIT = "1.2.840.10008.1.2.1"


def raw(**tags):
    out = io.BytesIO()
    made(PIXELS, **tags).save_as(out, enforce_file_format=True)
    return out.getvalue()


def head(syntax=EXPLICIT):
    """Preamble, mark, and the transfer syntax."""
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value


def bare(data):
    """The data set of a file, without preamble and file meta information."""
    size = struct.unpack_from("<I", data, 140)[0]
    return data[144 + size :]


def twice(folder, data, name="x.dcm"):
    """Read the bytes beside a good file."""
    write(folder / "good.dcm", PIXELS, ImagePositionPatient=[0, 0, -5])
    (folder / name).write_bytes(data)
    return read(folder)


def refused(folder, data, words, name="x.dcm"):
    start = time.perf_counter()
    with pytest.raises(UserError, match=words) as e:
        twice(folder, data, name)
    assert "\n" not in str(e.value)
    assert name not in str(e.value)
    return time.perf_counter() - start


@pytest.mark.parametrize("name", ["x.dcm", "IM0001"])
def test_a_file_without_preamble_is_read(tmp_path, name):
    assert np.array_equal(twice(tmp_path, bare(raw()), name).samples[1, 0], PIXELS)


def test_an_executable_or_picture_preamble_is_not_looked_at(tmp_path):
    for start in (b"MZ\x90\0", b"II*\0\x08\0\0\0"):
        assert np.array_equal(twice(tmp_path, start + raw()[len(start) :]).samples[1, 0], PIXELS)


def test_zeros_behind_the_end_are_not_walked_through(tmp_path):
    data = raw()
    assert np.array_equal(twice(tmp_path, data + b"\0" * 50_000_000).samples[1, 0], PIXELS)
    report = made(PIXELS)
    del report.PixelData
    out = io.BytesIO()
    report.save_as(out, enforce_file_format=True)
    assert len(prepare_bytes(out.getvalue() + b"\0" * 1_000_000, "x")[1].tags) < 40


@pytest.mark.parametrize(
    "change", ["Rows", "Columns", "NumberOfFrames", "BitsAllocated", "SamplesPerPixel"]
)
@pytest.mark.parametrize("value", [0, 65535])
def test_sizes_that_cannot_be_end_in_a_sentence(tmp_path, change, value):
    refused(
        tmp_path,
        raw(**{change: value}),
        r"File 2 of 2 .*(usable size|million pixels|cut off or damaged)",
    )


def test_negative_rows_end_in_a_sentence(tmp_path):
    data = raw()
    at = data.index(struct.pack("<HH2s", 0x28, 0x10, b"US"))
    refused(
        tmp_path,
        data[: at + 4] + b"SS" + data[at + 6 : at + 8] + struct.pack("<h", -6) + data[at + 10 :],
        "no usable size",
    )


def test_missing_pixels_and_missing_brightness_are_told_apart(tmp_path):
    refused(tmp_path, raw(PhotometricInterpretation=None), "PhotometricInterpretation is missing")
    write(tmp_path / "more.dcm", PIXELS, ImagePositionPatient=[0, 0, 5])
    data = twice(tmp_path, raw(PixelData=None))
    assert len(data) == 2
    assert data.card["left out"] == ["1 DICOM file without a picture"]


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.98])
def test_cut_off_files_end_in_a_sentence(tmp_path, keep):
    data = raw()
    (
        refused(
            tmp_path,
            data[: int(keep * len(data))],
            "cut off or damaged|no picture|no usable size|does not say",
        )
        if keep > 0.9
        else None
    )
    if keep < 0.9:
        with pytest.raises(UserError):
            read(write_bytes(tmp_path, data[: int(keep * len(data))]))


def write_bytes(folder, data):
    (folder / "alone.dcm").write_bytes(data)
    return folder / "alone.dcm"


def test_a_wrong_length_of_an_element_ends_in_a_sentence(tmp_path):
    data = raw()
    at = data.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OW")) + 8
    refused(tmp_path, data[:at] + struct.pack("<I", 40) + data[at + 4 :], "cut off or damaged")
    # all that is there suffices
    assert np.array_equal(
        twice(tmp_path, data[:at] + struct.pack("<I", 2**31) + data[at + 4 :]).samples[1, 0], PIXELS
    )


def test_a_million_elements_are_refused_before_they_are_read(tmp_path):
    element = struct.pack("<HH2sH", 0x9, 0x1001, b"LO", 2) + b"ab"
    assert (
        refused(
            tmp_path,
            head() + element * 1_000_000 + bare(raw()),
            f"more than {limits.ELEMENTS:,} header elements",
        )
        < 5
    )


def test_sequences_a_thousand_deep_are_refused(tmp_path):
    deep = (
        struct.pack("<HH2sHI", 0x8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ) * 1000
    assert (
        refused(tmp_path, head() + deep + bare(raw()), f"nested more than {limits.DEPTH} deep") < 2
    )
    inner = b""
    for _ in range(1000):  # with lengths: skipped as one element, whatever is inside
        inner = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        inner = struct.pack("<HH2sHI", 0x8, 0x1140, b"SQ", 0, len(inner)) + inner
    assert np.array_equal(twice(tmp_path, head() + inner + bare(raw())).samples[1, 0], PIXELS)


def test_a_deflated_bomb_is_refused_before_it_is_unpacked(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    element = struct.pack("<HH2sHI", 0x9, 0x1001, b"OB", 0, 1 << 28)
    body = (
        packer.compress(element)
        + b"".join(packer.compress(bytes(1 << 20)) for _ in range(256))
        + packer.flush()
    )
    (tmp_path / "x.dcm").write_bytes(head(str(DeflatedExplicitVRLittleEndian)) + body)
    grew, words = peak(REFUSE, tmp_path / "x.dcm")
    assert "200 times" in words
    assert grew < 300 << 20


def test_an_honest_deflated_file_is_read(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(bare(raw())) + packer.flush()
    assert np.array_equal(
        twice(tmp_path, head(str(DeflatedExplicitVRLittleEndian)) + body).samples[1, 0], PIXELS
    )


def test_private_creators_of_junk_do_not_matter(tmp_path):
    junk = (
        struct.pack("<HH2sH", 0x9, 0x10, b"LO", 6)
        + b"\xff\xfe\0\x80ab"
        + struct.pack("<HH2sHI", 0x9, 0x1001, b"UN", 0, 10)
        + bytes(range(10))
    )
    data = raw()
    at = data.index(struct.pack("<HH", 0x10, 0x20))
    read_in = twice(tmp_path, data[:at] + junk + data[at:])
    assert np.array_equal(read_in.samples[1, 0], PIXELS)
    assert read_in.card["deidentified"]["removed"]["private tags"] == 1


@pytest.mark.parametrize("keep", [0.4, 0.9, 0.995])
def test_cut_and_sizeless_packed_pictures_are_refused_at_once(tmp_path, keep):
    """A JPEG-LS stream without its end keeps CharLS busy for half a minute; one without a size is
    not decoded."""
    pixels = np.add.outer(np.arange(40) * 40, np.arange(48) * 50).astype("<u2")
    whole = imagecodecs.jpegls_encode(pixels)
    for frame, words in (
        (whole[: int(keep * len(whole))], "JPEG-LS.*cannot be decoded"),
        (whole.replace(b"\xff\xf7", b"\xff\xf9"), "does not say its size"),
    ):
        d = made(pixels)
        d.file_meta.TransferSyntaxUID, d.PixelData = JPEGLSLossless, encapsulate([frame])
        d["PixelData"].VR = "OB"
        out = io.BytesIO()
        d.save_as(out)
        assert refused(tmp_path, out.getvalue(), words) < 5


def test_a_packed_picture_of_another_size_than_its_header_is_not_decoded(tmp_path):
    d = made(np.zeros((64, 64), np.uint16))
    d.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    d.Rows = 32
    out = io.BytesIO()
    d.save_as(out)
    refused(
        tmp_path, out.getvalue(), "says it has 64 x 32 pixels, but its packed picture has 64 x 64"
    )
    bomb = b"\xff\xd8\xff\xc0\0\x0b\x08" + struct.pack(">HH", 65000, 65000) + b"\1\1\x11\0\xff\xd9"
    assert packed_size(bomb) == (65000, 65000)
    d = made(PIXELS)
    d.file_meta.TransferSyntaxUID, d.PixelData = JPEGBaseline8Bit, encapsulate([bomb])
    d.BitsAllocated = d.BitsStored = 8
    d["PixelData"].VR = "OB"
    out = io.BytesIO()
    d.save_as(out)
    refused(tmp_path, out.getvalue(), "packed picture has 65000 x 65000")


@pytest.mark.parametrize(("slope", "words"), [("0", "slope of zero"), ("1e308", "not finite")])
def test_rescaling_to_nothing_is_refused(tmp_path, slope, words):
    refused(tmp_path, raw(RescaleSlope=slope), words)


def test_numbers_that_are_none_count_as_not_said(tmp_path):
    d = (
        raw(WindowCenter="12345678", TriggerTime="87654321")
        .replace(b"12345678", b"CANARYCA")
        .replace(b"87654321", b"NARYCANA")
    )
    data = twice(tmp_path, d)
    assert "window" not in data.card
    assert "CANARY" not in str(data.card) + data.table.to_csv()


def test_a_dicomdir_with_paths_outside_is_left_out(tmp_path):
    d = pydicom.dataset.FileDataset(
        None, {}, file_meta=pydicom.dataset.FileMetaDataset(), preamble=b"\0" * 128
    )
    d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.840.10008.1.3.10",
        "1.2.9",
    )
    d.file_meta.TransferSyntaxUID = EXPLICIT
    with silence_dicom_libraries():
        d.DirectoryRecordSequence = item(
            ReferencedFileID=["..", "..", "ETC", "PASSWD"],
            DirectoryRecordType="IMAGE",
            PatientName="CANARY^X",
        )
    out = io.BytesIO()
    d.save_as(out, enforce_file_format=True)
    write(tmp_path / "a.dcm", PIXELS, ImagePositionPatient=[0, 0, 5])
    data = twice(tmp_path, out.getvalue(), "DICOMDIR")
    assert len(data) == 2
    assert "PASSWD" not in str(data.card)
    with pytest.raises(UserError) as e:
        read(write_bytes(tmp_path, out.getvalue()))
    assert "CANARY" not in str(e.value)
    assert "PASSWD" not in str(e.value)


def test_two_hundred_damaged_copies_end_in_a_sentence_or_a_picture(tmp_path):
    data, rng = raw(), np.random.default_rng(5)
    slowest = 0.0
    for k in range(200):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 1 + k % 12):
            broken[at] = rng.integers(256)
        broken = broken[: rng.integers(60, len(data))] if k % 4 == 0 else broken
        path, start = write_bytes(tmp_path, bytes(broken)), time.perf_counter()
        try:
            read(path)
        except UserError as e:
            assert "\n" not in str(e)  # noqa: PT017
        slowest = max(slowest, time.perf_counter() - start)
    assert slowest < 2
