"""DICOM: the right side of the body, millimetres, units, gaps, multi-frame files, packed pixels,
stacks as volumes. All files are made here.
"""

from __future__ import annotations

import zipfile

import numpy as np
import pydicom
import pytest

from core import limits
from core.data.geometry import axis_letters, case_geometry
from core.data.readers import read
from core.errors import UserError
from tests.data._dicom import DIRECTIONS, item, some, stack, write


@pytest.mark.parametrize(
    ("directions", "axes", "edges"),
    [
        ("axial", "PL", {"left": "R", "right": "L", "top": "A", "bottom": "P"}),
        ("coronal", "FL", {"left": "R", "right": "L", "top": "H", "bottom": "F"}),
        ("sagittal", "FP", {"left": "A", "right": "P", "top": "H", "bottom": "F"}),
    ],
)
def test_slices_know_the_sides_of_the_body_and_their_millimetres(tmp_path, directions, axes, edges):
    stack(tmp_path, some(), directions, PixelSpacing=[0.5, 0.8])
    data = read(tmp_path)
    seen = case_geometry(data, 1)
    assert (seen.axes, seen.mm, seen.unit) == (axes, (0.5, 0.8), "HU")
    assert seen.edges == edges
    assert data.table["mm_slice"].tolist() == [3, 3, 3]
    assert data.table["oblique_deg"].tolist() == [0, 0, 0]


def test_a_slice_that_leans_says_by_how_much():
    a = np.radians(20)
    word, lean = axis_letters(np.array([[0, np.cos(a), np.sin(a)], [1, 0, 0]]))
    assert (word, lean) == ("PL", 20.0)
    assert axis_letters(np.array([[0, 0, 0], [1, 0, 0]]))[0] == ""
    assert axis_letters(np.array([[1, 0, 0], [1, 0, 0]]))[0] == ""


def test_millimetres_follow_when_pictures_are_shrunk_and_padded(tmp_path):
    big = np.zeros((512, 256), int)
    big[100:400, 60:200] = 1000
    write(tmp_path / "a.dcm", big, PixelSpacing=[0.5, 0.5])
    write(
        tmp_path / "b.dcm",
        np.ones((40, 60), int) * 7,
        PixelSpacing=[2, 3],
        ImagePositionPatient=[0, 0, 9],
    )
    data = read(tmp_path)
    side = data.shape[1]
    inside = data.samples[0, 0] > 500
    down, across = case_geometry(data, 0).mm
    assert inside.any(1).sum() * down == pytest.approx(150, abs=2 * down)  # 300 pixels of 0.5 mm
    assert inside.any(0).sum() * across == pytest.approx(70, abs=2 * across)
    assert case_geometry(data, 1).mm == pytest.approx(
        (2 * 40 / round(40 * side / 60), 3 * 60 / side), abs=1e-3
    )


def test_what_the_header_does_not_say_is_not_guessed(tmp_path):
    for k in range(2):
        write(
            tmp_path / f"{k}.dcm",
            some(1)[0],
            ImageOrientationPatient=None,
            ImagePositionPatient=None,
            PixelSpacing=None,
            InstanceNumber=k,
        )
    seen = case_geometry(read(tmp_path), 0)
    assert (seen.axes, seen.mm, seen.edges) == ("", None, {})


def test_a_place_that_is_not_said_is_unknown_and_no_zero(tmp_path):
    for k in range(3):
        write(tmp_path / f"{k}.dcm", some(1)[0], ImagePositionPatient=None, InstanceNumber=3 - k)
    data = read(tmp_path)
    assert data.table["position_mm"].isna().all()
    (tmp_path / "frames").mkdir()
    path = tmp_path / "frames" / "nm.dcm"
    write(path, some(4), NumberOfFrames=4, Modality="NM", FrameIncrementPointer=0x00540080)
    assert read(tmp_path / "frames").table["position_mm"].isna().all()  # one place for four slices


INSIDE = (np.mgrid[:20, :24][1] - 12) ** 2 + (np.mgrid[:20, :24][0] - 10) ** 2 < 80
RAMP = np.mgrid[:20, :24][1] * 10


@pytest.mark.parametrize(
    ("stored", "mark", "tags"),
    [
        ("<i2", 32767, {}),
        ("<i2", -32768, {}),
        ("<i2", -2000, {"written": 63536}),
        ("<u2", 65535, {"Modality": "DX"}),
        ("<u2", 0, {"PhotometricInterpretation": "MONOCHROME1"}),
        ("<u2", 4090, {"PixelPaddingRangeLimit": 4095}),
    ],
)
def test_padding_is_background_and_counts_for_no_range(tmp_path, stored, mark, tags):
    tags = {"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None, **tags}
    written = tags.pop("written", mark)
    for k in range(4):
        pixels = np.where(INSIDE, RAMP + 100 + k, mark).astype(stored)
        if "PixelPaddingRangeLimit" in tags:
            pixels[0, :4] = 4091, 4092, 4093, 4095
        path = write(tmp_path / f"{k}.dcm", pixels, **tags, ImagePositionPatient=[0, 0, 2 * k])
        d = pydicom.dcmread(path)
        kind = "SS" if pixels.dtype.kind == "i" and written == mark else "US"
        d.PixelRepresentation = int(pixels.dtype.kind == "i")
        d.PixelData = pixels.tobytes()
        d.add_new(0x00280120, kind, written)
        d.save_as(path)
    data = read(tmp_path)
    first = data.samples[0, 0]
    inside = RAMP[INSIDE] + 100
    turned = tags.get("PhotometricInterpretation") == "MONOCHROME1"
    expected = 65535 - inside if turned else inside
    assert np.array_equal(first[INSIDE], expected)
    assert (first[~INSIDE] == expected.min()).all()
    low, high = data.input_range
    assert expected.min() - 4 <= low < high <= expected.max() + 4
    assert any("PixelPaddingValue" in r for r in data.card["rules"])


def test_padding_of_ct_is_as_dark_as_its_air_and_a_picture_of_nothing_else_too(tmp_path):
    for k, where in enumerate((INSIDE, INSIDE, np.zeros_like(INSIDE))):
        pixels = np.where(where, RAMP + 24, -2000).astype("<i2")
        path = write(
            tmp_path / f"{k}.dcm", pixels, RescaleIntercept=-1024, ImagePositionPatient=[0, 0, k]
        )
        d = pydicom.dcmread(path)
        d.add_new(0x00280120, "SS", -2000)
        d.save_as(path)
    data = read(tmp_path)
    assert data.card["unit"] == "HU"
    assert data.samples[0].min() == (RAMP[INSIDE] + 24).min() - 1024
    assert (data.samples[2] == -1000).all()


def dose(path, gray, scale, **tags):
    plain = {"RescaleSlope": None, "RescaleIntercept": None, "SliceThickness": 2}
    d = pydicom.dcmread(write(path, np.zeros(gray.shape[1:], int), **plain))
    d.Modality, d.DoseUnits, d.DoseGridScaling, d.NumberOfFrames = "RTDOSE", "GY", scale, len(gray)
    d.BitsAllocated, d.BitsStored, d.HighBit = 32, 32, 31
    d.PixelData = np.round(gray / scale).astype("<u4").tobytes()
    d.ImagePositionPatient, d.PixelSpacing, d.FrameIncrementPointer = (
        [0, 0, 10],
        [2.5, 2.5],
        0x3004000C,
    )
    d.GridFrameOffsetVector = [3.0 * k for k in range(len(gray))]
    for keyword, value in tags.items():
        setattr(d, keyword, value)
    d.save_as(path)


def test_doses_are_in_gray_whatever_their_scaling_and_lie_where_their_frames_lie(tmp_path):
    gray = np.stack([(RAMP + k) / 10.0 for k in range(5)])
    dose(tmp_path / "1.dcm", gray, 1e-3, SeriesInstanceUID="1.1")
    dose(
        tmp_path / "2.dcm",
        gray,
        2e-5,
        SeriesInstanceUID="1.2",
        GridFrameOffsetVector=[10, 13, 16, 19, 22],
    )
    dose(
        tmp_path / "3.dcm",
        gray,
        1e-3,
        SeriesInstanceUID="1.3",
        GridFrameOffsetVector=[7, 10, 13, 16, 19],
    )
    data = read(tmp_path)
    assert data.card["unit"] == "Gy"
    assert data.samples[:, 0] == pytest.approx(np.concatenate([gray] * 3), abs=1e-3)
    assert data.input_range == pytest.approx((0, gray.max()), abs=1e-3)
    assert data.table["position_mm"].tolist()[:10] == [10, 13, 16, 19, 22] * 2  # relative, absolute
    assert data.table["position_mm"][10:].isna().all()  # neither
    assert data.table["mm_slice"].tolist()[:10] == [3.0] * 10
    (tmp_path / "relative").mkdir()
    dose(tmp_path / "relative" / "1.dcm", gray, 1e-3, DoseUnits="RELATIVE")
    data = read(tmp_path / "relative")
    assert data.card["unit"] == ""
    assert any("relative" in r for r in data.card["rules"])


def test_ct_values_of_another_meaning_are_no_hounsfield_units(tmp_path):
    for k in range(2):
        write(
            tmp_path / f"{k}.dcm", some(1)[0], RescaleType="Z_EFF", ImagePositionPatient=[0, 0, k]
        )
    assert read(tmp_path).card["unit"] == ""


def test_radiographs_have_letters_from_their_words_and_the_size_at_the_detector_said(tmp_path):
    plain = {
        "ImageOrientationPatient": None,
        "ImagePositionPatient": None,
        "PixelSpacing": None,
        "RescaleIntercept": None,
        "RescaleSlope": None,
    }
    for k in range(2):
        write(
            tmp_path / f"{k}.dcm",
            some(1)[0],
            **plain,
            Modality="DX",
            PatientOrientation=["L", "F"],
            ImagerPixelSpacing=[0.2, 0.2],
            ImageLaterality="R",
            InstanceNumber=k,
        )
    data = read(tmp_path)
    assert case_geometry(data, 0).axes == "FL"
    assert case_geometry(data, 0).mm == (0.2, 0.2)
    assert data.table["laterality"].tolist() == ["right", "right"]
    assert any("at the detector" in r for r in data.card["rules"])


def test_missing_double_and_uneven_slices_are_said(tmp_path):
    volume = some(10)
    stack(tmp_path, volume, "axial")
    files = sorted(
        tmp_path.iterdir(), key=lambda p: float(pydicom.dcmread(p).ImagePositionPatient[2])
    )
    files[4].unlink()
    files[5].unlink()
    write(tmp_path / "again.dcm", volume[8], ImagePositionPatient=[0, 0, 10 + 24])
    data = read(tmp_path)
    said = data.table["stack"]
    assert said[said != "in order"].tolist() == [
        "2 slices missing before this one",
        "same place as the slice before",
    ]
    assert data.table["position_mm"][said != "in order"].tolist() == [28, 34]
    rules = " ".join(data.card["rules"])
    assert "missing at 1 place" in rules
    assert "1 slice lies at the same place" in rules


def test_two_spacings_in_one_series_are_no_gap(tmp_path):
    stack(tmp_path, some(6), "axial", step=5.0)
    for k in range(6):
        write(
            tmp_path / f"thin{k}.dcm", some(1)[0], ImagePositionPatient=[0, 0, 35 + 2.5 * (k + 1)]
        )
    data = read(tmp_path)
    assert any("spacing between slices changes" in r for r in data.card["rules"])
    assert not any("missing" in r for r in data.card["rules"])


def test_signed_values_and_fractional_slopes(tmp_path):
    stored = np.array([[-2000, -1], [0, 31000]])
    for k in range(2):
        write(
            tmp_path / f"{k}.dcm",
            stored,
            RescaleSlope=0.5,
            RescaleIntercept=-10.25,
            ImagePositionPatient=[0, 0, k],
        )
    assert np.allclose(read(tmp_path).samples[0, 0], stored * 0.5 - 10.25)


def test_the_window_of_the_files_is_kept_when_all_agree(tmp_path):
    stack(tmp_path, some(3), "axial", WindowCenter=[40, 300], WindowWidth=[400, 1500])
    assert read(tmp_path).card["window"] == [40, 400]
    write(
        tmp_path / "other.dcm",
        some(1)[0],
        WindowCenter=50,
        WindowWidth=100,
        ImagePositionPatient=[0, 0, 99],
    )
    assert "window" not in read(tmp_path).card


def test_colours_of_ybr_files_are_red_green_blue(tmp_path):
    ybr = np.tile(np.array([76, 85, 255], np.uint8), (4, 4, 1))  # pure red
    tags = {
        "PhotometricInterpretation": "YBR_FULL",
        "Modality": "XC",
        "RescaleSlope": None,
        "RescaleIntercept": None,
    }
    for k in range(2):
        write(tmp_path / f"{k}.dcm", ybr, **tags, InstanceNumber=k)
    data = read(tmp_path)
    assert data.samples.shape == (2, 3, 4, 4)
    assert np.abs(data.samples[0, :, 0, 0].astype(int) - [255, 0, 0]).max() <= 2


def multiframe(volume, **tags):
    groups = []
    for k in range(len(volume)):
        place = item(PlanePositionSequence=item(ImagePositionPatient=[0, 0, 50 - 4.0 * k]))[0]
        place.PixelValueTransformationSequence = item(RescaleSlope=k + 1, RescaleIntercept=-k)
        groups.append(place)
    shared = item(
        PlaneOrientationSequence=item(ImageOrientationPatient=DIRECTIONS["axial"]),
        PixelMeasuresSequence=item(PixelSpacing=[0.7, 0.9], SliceThickness=4),
    )
    plain = dict.fromkeys(
        (
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
            "RescaleSlope",
            "RescaleIntercept",
        )
    )
    return {
        "NumberOfFrames": len(volume),
        "SharedFunctionalGroupsSequence": shared,
        "PerFrameFunctionalGroupsSequence": groups,
        **plain,
        **tags,
    }


def test_frames_of_an_enhanced_file_have_places_and_rescaling_of_their_own(tmp_path):
    volume = some(5)
    write(tmp_path / "e.dcm", volume, **multiframe(volume))
    data = read(tmp_path)
    # by position: the last frame lies lowest
    assert data.table["frame"].tolist() == [4, 3, 2, 1, 0]
    assert data.table["position_mm"].tolist() == [34, 38, 42, 46, 50]
    assert all(np.allclose(data.samples[4 - k, 0], volume[k] * (k + 1) - k) for k in range(5))
    assert case_geometry(data, 0).axes == "PL"
    assert case_geometry(data, 0).mm == (0.7, 0.9)
    assert data.card["unit"] == "HU"


PET = {
    "Modality": "PT",
    "Units": "BQML",
    "CorrectedImage": ["ATTN", "DECY"],
    "DecayCorrection": "START",
    "PatientWeight": 70,
    "SeriesDate": "20200101",
    "SeriesTime": "100000",
    "AcquisitionDate": "20200101",
    "AcquisitionTime": "100500",
    "RescaleIntercept": 0,
    "RescaleSlope": 2,
    "RadiopharmaceuticalInformationSequence": item(
        RadionuclideTotalDose=3.7e8,
        RadionuclideHalfLife=6586.2,
        RadiopharmaceuticalStartTime="090000",
    ),
}


def test_pet_becomes_suv_by_the_formula(tmp_path):
    volume = some(3)
    stack(tmp_path, volume, "axial", **PET)
    data = read(tmp_path)
    dose = 3.7e8 * 2 ** (-3600 / 6586.2)
    assert np.allclose(data.samples[:, 0], volume * 2 * 70_000 / dose, rtol=1e-6)
    assert (data.card["unit"], data.input_range) == ("SUV", (0, 10))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"PatientWeight": None}, "weight is missing"),
        ({"Units": "CNTS"}, "not in Bq/ml"),
        ({"CorrectedImage": ["ATTN"]}, "not corrected"),
        ({"SeriesTime": "120000"}, "dated after the scan"),
        ({"RadiopharmaceuticalInformationSequence": None}, "does not tell the injection"),
    ],
)
def test_pet_without_the_facts_stays_as_it_is_and_says_why(tmp_path, changed, why):
    volume = some(3)
    stack(tmp_path, volume, "axial", **{k: v for k, v in (PET | changed).items() if v is not None})
    data = read(tmp_path)
    assert np.array_equal(data.samples[:, 0], volume * 2)
    assert data.card["unit"] == ""
    assert any("no SUV because" in r and why in r for r in data.card["rules"])


@pytest.mark.parametrize("directions", list(DIRECTIONS))
def test_stacks_become_volumes_with_a_known_voxel_on_its_side(tmp_path, directions):
    """A bright voxel in the left back of the head, from a stack in each direction."""
    body = np.full((6, 8, 10), 100)  # feet to head, back to front, left to right
    body[5, 0, 0] = 3000
    turned = {
        "axial": body[:, ::-1, ::-1],
        "coronal": body[::-1, :, ::-1].transpose(1, 0, 2)[::-1],
        "sagittal": body[::-1, ::-1].transpose(2, 0, 1),
    }[directions]
    for k in range(3):
        stack(
            tmp_path,
            turned,
            directions,
            series=f"1.2.{k + 1}",
            prefix=f"s{k}-",
            PixelSpacing=[2, 2],
        )
    data = read(tmp_path)
    assert (data.modality, data.shape, len(data)) == ("volume", (1, 6, 8, 10), 3)
    assert np.argwhere(data.samples[0, 0] == 3000).tolist() == [[5, 0, 0]]
    seen = case_geometry(data, 0)
    assert seen.axes == "HAR"
    assert sorted(seen.mm) == [2, 2, 3]
    assert seen.mm[{"axial": 0, "coronal": 1, "sagittal": 2}[directions]] == 3


def test_slices_or_volumes_can_be_chosen(tmp_path):
    for k in range(3):
        stack(tmp_path, some(4), "axial", series=f"1.2.{k + 1}", prefix=f"s{k}-")
    assert (read(tmp_path).modality, read(tmp_path, stack="slices").modality) == ("volume", "image")
    for p in tmp_path.glob("s2*"):
        p.unlink()
    assert (read(tmp_path).modality, read(tmp_path, stack="volumes").modality) == (
        "image",
        "volume",
    )
    for p in tmp_path.glob("s1*"):
        p.unlink()
    with pytest.raises(UserError, match="1 of 1 series"):
        read(tmp_path, stack="volumes")


def test_a_zip_of_several_series_reports_progress_and_can_be_stopped(tmp_path):
    stack(tmp_path, some(4), "axial")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as z:
        for p in sorted(tmp_path.glob("*.dcm")):
            z.write(p, f"deep/er/{p.name}")
    heard = []
    data = read(tmp_path / "z.zip", report=lambda done, total: heard.append((done, total)))
    assert len(data) == 4
    assert heard == [(k, 8) for k in range(1, 9)]


def test_scans_beyond_memory_are_decoded_as_they_are_written(tmp_path, monkeypatch):
    volume = some(5)
    write(tmp_path / "e.dcm", volume, **multiframe(volume))
    stack(tmp_path, some(4), "axial", series="1.9")
    here = read(tmp_path)
    monkeypatch.setattr(limits, "SCANS_IN_MEMORY", 1)
    lazy = read(tmp_path)
    assert not isinstance(lazy.samples, np.ndarray)
    assert np.array_equal(lazy.samples[:], here.samples)
    stored = lazy.save(tmp_path / "store")
    assert np.array_equal(stored.raw(), here.samples)
