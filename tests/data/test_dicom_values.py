"""Values of DICOM files as rarer writers lay them out, and series that hold a place twice."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from core.data.readers import read
from core.data.readers.dicom_file import read_header
from core.data.readers.dicom_header import facts
from core.data.readers.dicom_rows import decode_frames
from core.data.readers.files import Member
from tests.data._dicom import made


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_values_in_the_upper_bits_are_taken_from_there(tmp_path, turned, signed):
    """HighBit 15 with 12 bits stored: the lowest four bits are no part of the value."""
    values = np.random.default_rng(0).integers(-2048 * signed, 4096 - 2048 * signed, (16, 16))
    for k in range(2):
        d = made(np.zeros((16, 16), np.uint16), InstanceNumber=k + 1, Modality="CR")
        d.PhotometricInterpretation = "MONOCHROME1" if turned else "MONOCHROME2"
        d.BitsStored, d.HighBit, d.PixelRepresentation = 12, 15, int(signed)
        d.PixelData = ((values << 4) | 5).astype("<i2" if signed else "<u2").tobytes()
        del d.RescaleSlope, d.RescaleIntercept
        d.save_as(tmp_path / f"{k}.dcm", enforce_file_format=True)
    right = ((-1 if signed else 4095) - values) if turned else values
    np.testing.assert_array_equal(read(tmp_path).raw()[0, 0], right)


def test_two_phases_in_one_series_are_said(tmp_path):
    for phase in (1, 2):
        for k in range(4):
            d = made(np.full((8, 8), 100 * phase, np.uint16), InstanceNumber=k, Modality="MR")
            d.ImagePositionPatient, d.AcquisitionNumber = [0, 0, 2 * k], phase
            d.save_as(tmp_path / f"{phase}{k}.dcm", enforce_file_format=True)
    data = read(tmp_path)
    assert len(data) == 8
    assert any("4 slices lie at the place of another" in r for r in data.card["rules"])


def test_folders_of_several_patients_are_named_as_what_may_be_classes(tmp_path):
    noise = np.random.default_rng(0)
    for kind in ("benign", "malignant"):
        (tmp_path / kind).mkdir()
        for k in range(3):
            pixels = noise.integers(0, 900, (8, 8)).astype(np.uint16)
            d = made(pixels, PatientID=f"{kind}{k}", SeriesInstanceUID=f"1.{len(kind)}.{k}")
            d.save_as(tmp_path / kind / f"{k}.dcm", enforce_file_format=True)
    data = read(tmp_path)
    assert "label" not in data.roles
    assert any("2 folders of several patients each" in r for r in data.card["rules"])
    assert "benign" not in str(data.card)
    assert read(tmp_path, label="folder").classes == ["benign", "malignant"]


def test_localizers_beside_slices_are_left_out_by_kind(tmp_path):
    noise = np.random.default_rng(0)
    for p in range(3):
        for k in range(5):
            pixels = noise.integers(0, 900, (8, 8)).astype(np.uint16)
            d = made(pixels, PatientID=f"P{p}", SeriesInstanceUID=f"1.{p}.1", InstanceNumber=k + 1)
            if k == 4:
                d.ImageType, d.SeriesInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], f"1.{p}.2"
                d.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
            else:
                d.ImagePositionPatient = [0, 0, 2.0 * k]
            d.save_as(tmp_path / f"{p}{k}.dcm", enforce_file_format=True)
    data = read(tmp_path)
    assert (data.modality, len(data)) == ("volume", 3)
    assert data.card["left out"] == ["3 localizers (a view on which slices were planned)"]
    for path in tmp_path.iterdir():
        if path.stem[1] != "4":
            path.unlink()
    assert len(read(tmp_path)) == 3  # where there is nothing else they are the pictures


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("stored", "signed"), [(16, 0), (12, 0), (12, 1)])
@pytest.mark.parametrize("slope", [1, 2, 0.7])
def test_plain_pixels_are_as_those_read_with_the_whole_header(kind, stored, signed, slope):
    values = np.random.default_rng(stored).integers(0, 1 << (stored - signed), (9, 7))
    d = made(values.astype(np.uint16), Modality="MR", PhotometricInterpretation=kind)
    d.BitsStored, d.HighBit, d.PixelRepresentation = stored, stored - 1, signed
    d.RescaleSlope, d.RescaleIntercept = slope, -24
    out = io.BytesIO()
    d.save_as(out, enforce_file_format=True)
    data = out.getvalue()
    file = facts(read_header(Member("a", lambda most: data[:most]), "a")[0], "a")
    assert file.plain is not None
    plain, whole = (
        next(decode_frames(data, f, "a", [0])) for f in (file, replace(file, plain=None))
    )
    assert plain.dtype == whole.dtype == np.float32
    np.testing.assert_array_equal(plain, whole)
