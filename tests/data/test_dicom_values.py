"""Values of DICOM files as rarer writers lay them out, and series that hold a place twice."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.readers import read
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
