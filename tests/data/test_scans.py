"""NIfTI and DICOM: orientation, rescaling, order, masks, side files, and what is damaged, on made
files and the packages' own.
"""

import gzip
import shutil

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from core.data.checks import check_dataset
from core.data.readers import read
from core.data.readers.dicom import package_files
from core.errors import UserError
from core.evidence import shared_data

RNG = np.random.default_rng(0)


def dicom(
    path, pixels, z=0.0, number=1, series="1.2.3", patient="Jane", slope=1, intercept=0, **tags
):
    """A small uncompressed DICOM file of unsigned 16-bit values."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID, d.SeriesInstanceUID = (
        CTImageStorage,
        meta.MediaStorageSOPInstanceUID,
        series,
    )
    d.PatientID, d.PatientName, d.Modality, d.InstanceNumber = patient, patient, "CT", number
    d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = (
        *pixels.shape[-2:],
        1,
        "MONOCHROME2",
    )
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
    d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    d.RescaleSlope, d.RescaleIntercept = slope, intercept
    d.PixelData = pixels.astype("<u2").tobytes()
    for tag, value in tags.items():
        setattr(d, tag, value)
    d.save_as(path, enforce_file_format=True)


def nifti(path, array, affine=None):
    nibabel.Nifti1Image(array, np.diag([2.0, 2, 3, 1]) if affine is None else affine).to_filename(
        path
    )


def package(name):
    return next(p for p, _ in package_files() if p.name == name)


def test_ct_series_is_hounsfield_units_and_sorted_by_position(tmp_path):
    pixels = RNG.integers(0, 4000, (4, 6, 5))
    # neither names nor instance numbers follow the position
    for name, k in (("a", 2), ("b", 0), ("c", 3), ("d", 1)):
        dicom(
            tmp_path / f"{name}.dcm", pixels[k], z=5.0 * k, number=9 - k, slope=2, intercept=-1024
        )
    data = read(tmp_path)
    assert [f.rpartition("/")[2] for f in data.table["file"]] == ["0001", "0002", "0003", "0004"]
    assert list(data.table["position_mm"]) == [0, 5, 10, 15]
    assert np.array_equal(data.samples[:, 0], pixels * 2.0 - 1024)
    assert data.input_range == (-1000, 1000)
    assert any("Hounsfield" in r for r in data.card["rules"])


def test_sagittal_series_is_sorted_along_its_own_normal_and_a_cine_by_number(tmp_path):
    for k, name in enumerate("cab"):
        side = {
            "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
            "ImagePositionPatient": [-4.0 * k, 0, 7],
        }
        dicom(tmp_path / f"{name}.dcm", np.full((4, 4), k) + np.eye(4), **side)
    data = read(tmp_path)
    assert data.samples[:, 0, 0, 1].tolist() == [0, 1, 2]
    assert data.table["position_mm"].diff().dropna().eq(4).all()
    for k in range(12):
        dicom(tmp_path / f"t{k}.dcm", np.full((4, 4), k) + np.eye(4), number=k + 1, series="1.2.4")
    data = read(tmp_path)
    assert data.samples[3:, 0, 0, 1].tolist() == list(range(12))


def test_monochrome1_is_turned_alike_in_a_whole_series(tmp_path):
    film = {"PhotometricInterpretation": "MONOCHROME1", "Modality": "CR"}
    dicom(tmp_path / "a.dcm", np.array([[0, 10], [20, 30]]), **film)
    dicom(tmp_path / "b.dcm", np.array([[5, 10], [20, 4095]]), z=1, **film)
    data = read(tmp_path)
    assert np.array_equal(
        data.samples[:, 0], 4095 - np.array([[[0, 10], [20, 30]], [[5, 10], [20, 4095]]])
    )
    assert any("2 files" in r and "MONOCHROME1" in r for r in data.card["rules"])


def test_names_are_left_out_and_the_same_files_give_the_same_data(tmp_path):
    for k in range(12):
        pixels = RNG.integers(0, 99, (4, 4))
        dicom(
            tmp_path / f"{k:02}.dcm",
            pixels,
            number=k,
            patient=f"Doe{k // 3}",
            series=f"1.2.{k // 3 + 1}",
        )
    data, again, elsewhere = (read(tmp_path, key=k) for k in (b"one", b"one", b"two"))
    assert "Doe" not in data.table.to_csv() + str(data.card)
    assert not set(data.table["patient"]) & set(elsewhere.table["patient"])
    # new names do not change who is tested on
    assert data.table["split"].tolist() == elsewhere.table["split"].tolist()
    assert data.table["patient"].nunique() == 4
    assert data.content_hash() == again.content_hash()
    assert data.table.groupby("patient")["split"].nunique().max() == 1


def test_large_pictures_of_one_size_keep_every_row_when_shrunk(tmp_path):
    tall = np.repeat(np.linspace(0, 1000, 400)[:, None], 512, 1)
    for k, p in enumerate((tall, tall + 1)):
        dicom(tmp_path / f"{k}.dcm", p, z=k)
    data = read(tmp_path)
    assert data.shape == (1, 200, 256)
    assert data.samples[0, 0, 0, 128] == pytest.approx(0, abs=4)
    assert data.samples[0, 0, -1, 128] == pytest.approx(1000, abs=4)


def test_side_files_and_reports_are_left_out_by_name(tmp_path):
    for k in range(2):
        dicom(tmp_path / f"{k}.dcm", RNG.integers(0, 99, (4, 4)), z=k)
    shutil.copy(package("CT_small.dcm").parent / "test-SR.dcm", tmp_path / "report.dcm")
    (tmp_path / "README.txt").write_text("how they came about")
    (tmp_path / "notes.json").write_text("{}")
    data = read(tmp_path)
    assert len(data) == 2
    # counted: their names may be those of people
    assert data.card["left out"] == ["2 other files (tables, texts)", "1 report (SR)"]
    assert any(f.kind == "left out" and "2 other files" in f.words for f in check_dataset(data))
    (tmp_path / "x.bin").write_bytes(b"\0\1\2")
    with pytest.raises(UserError, match=r"File 6 of 6 .* is of no kind"):
        read(tmp_path)


def test_a_table_beside_the_scans_is_joined_when_it_names_them(tmp_path):
    for k in range(2):
        dicom(tmp_path / f"{k}.dcm", RNG.integers(0, 99, (4, 4)), z=k)
    (tmp_path / "t.csv").write_text("scan,diagnosis\n1,ill\n0,well\n")
    data = read(tmp_path)
    assert data.classes[data.labels[0]] == "well"
    (tmp_path / "t.csv").write_text("scan,diagnosis\n1,ill\n7,well\n")
    data = read(tmp_path)
    assert "diagnosis" not in data.table
    assert data.card["left out"] == ["1 other file (tables, texts)"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MR_truncated.dcm", "cut off or damaged"),
        ("rtplan.dcm", "no picture"),
        ("CT_small.dcm", "1 row"),
        ("MR_small.dcm", "1 row"),
    ],
)
def test_packages_own_dicom_files_end_in_a_sentence(name, said):
    with pytest.raises(UserError, match=said) as e:
        read(package("CT_small.dcm").parent / name)
    assert name not in str(e.value)
    assert "\n" not in str(e.value)


def test_packages_own_dicom_files_agree_with_pydicom(tmp_path):
    folder = package("CT_small.dcm").parent
    for name in ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"):
        shutil.copy(folder / name, tmp_path)
    data = read(tmp_path)
    expected = pydicom.dcmread(folder / "MR_small.dcm").pixel_array
    assert all(np.array_equal(s[0], expected) for s in data.samples)
    two = read(folder / "SC_rgb_rle_2frame.dcm")
    assert two.samples.dtype == np.uint8
    frames = pydicom.dcmread(folder / "SC_rgb_rle_2frame.dcm").pixel_array
    assert np.array_equal(two.samples, frames.transpose(0, 3, 1, 2))


def test_nifti_axes_are_turned_by_the_affine(tmp_path):
    array = RNG.integers(1, 900, (4, 5, 6)).astype(np.int16)
    for name, affine in (("ras", np.diag([1.0, 1, 1, 1])), ("lps", np.diag([-1.0, -1, 1, 1]))):
        nifti(tmp_path / f"{name}.nii.gz", array, affine)
    data = read(tmp_path)
    assert data.shape == (1, 6, 5, 4)
    lps, ras = data.samples[:, 0]  # D=z, H=y, W=x
    assert np.array_equal(ras, array.transpose(2, 1, 0))
    assert np.array_equal(lps, array[::-1, ::-1].transpose(2, 1, 0))
    assert [s["stored orientation"] for s in data.card["scans"]] == ["LPS", "RAS"]


def test_one_volume_is_read_as_its_slices_with_its_mask(tmp_path):
    array = RNG.integers(1, 900, (4, 5, 8)).astype(np.float32)
    array[..., 7] = 3  # an empty slice
    mask = np.zeros((4, 5, 8), np.uint8)
    mask[3, 4, 2] = 1  # the patient's right, anterior
    nifti(tmp_path / "ct.nii.gz", array)
    nifti(tmp_path / "ct_output.nii.gz", mask)
    data = read(tmp_path)
    assert (data.modality, data.shape, len(data)) == ("image", (1, 5, 4), 7)
    assert set(data.groups) == {"ct"}
    # anterior on top, the patient's right on the left
    assert np.argwhere(data.masks).tolist() == [[2, 0, 0]]
    assert data.samples[2, 0, 0, 0] == array[3, 4, 2]
    rules = " ".join(data.card["rules"])
    assert "axial slice" in rules
    assert "1 slices of one value" in rules
    assert "ct_output.nii.gz is the mask of ct.nii.gz" in rules
    apart = read(tmp_path / "ct.nii.gz", masks=tmp_path / "ct_output.nii.gz")
    assert np.array_equal(apart.masks, data.masks)


def test_masks_go_to_the_volumes_of_their_name(tmp_path):
    for k in range(3):
        nifti(tmp_path / f"p{k}.nii.gz", RNG.normal(size=(4, 4, 4)).astype(np.float32))
        nifti(tmp_path / f"p{k}_seg.nii.gz", np.full((4, 4, 4), k % 2, np.uint8))
    # no mask, although whole numbers
    nifti(tmp_path / "p10.nii.gz", RNG.integers(0, 200, (4, 4, 4)).astype(np.uint8))
    data = read(tmp_path)
    marked = dict(zip(data.table["file"], data.mask().reshape(len(data), -1).all(1)))
    assert marked == {
        "p0.nii.gz": False,
        "p1.nii.gz": True,
        "p10.nii.gz": False,
        "p2.nii.gz": False,
    }


def test_tightly_packed_masks_are_read_but_not_padding_beyond_the_header(tmp_path):
    array = np.zeros((160, 160, 160), np.uint8)
    array[3, 4, 5] = array[3, 4, 9] = 1
    nifti(tmp_path / "flat.nii.gz", array)
    assert array.nbytes / (tmp_path / "flat.nii.gz").stat().st_size > 200
    assert list(read(tmp_path / "flat.nii.gz").table["slice"]) == [5, 9]
    raw = gzip.decompress((tmp_path / "flat.nii.gz").read_bytes())
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(raw + b"\0" * 30_000_000))
    with pytest.raises(UserError, match="200 times"):
        read(tmp_path / "bomb.nii.gz")


@pytest.mark.parametrize("keep", [30, 200, 0.5, 0.95])
def test_cut_off_nifti_ends_in_a_sentence(tmp_path, keep):
    nifti(tmp_path / "a.nii.gz", RNG.normal(size=(9, 9, 9)))
    data = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(UserError, match=r"cut\.nii\.gz .*cut off"):
        read(tmp_path / "cut.nii.gz")


def test_infinite_voxels_and_flat_volumes_are_named(tmp_path):
    array = RNG.normal(size=(4, 4, 4)).astype(np.float32)
    array[1, 2, 3] = np.inf
    nifti(tmp_path / "inf.nii", array)
    with pytest.raises(UserError, match=r"inf\.nii holds infinite.*1, 2, 3"):
        read(tmp_path / "inf.nii")
    nifti(tmp_path / "flat.nii", np.ones((4, 4, 4), np.float32))
    with pytest.raises(UserError, match="one value only"):
        read(tmp_path / "flat.nii")


def test_packages_own_nifti_files(tmp_path):
    slices, series = read(package("anatomical.nii")), read(package("functional.nii"))
    assert (len(slices), slices.shape) == (25, (1, 41, 33))
    assert (len(series), series.modality, series.shape) == (20, "volume", (1, 3, 21, 17))
    turned = nibabel.as_closest_canonical(nibabel.load(package("anatomical.nii"))).get_fdata()
    assert np.allclose(slices.samples[7, 0], turned[::-1, ::-1, 7].T)
    with pytest.raises(UserError, match="pair of files"):
        read(package("anatomical.nii").parent / "nifti1.hdr")


@pytest.mark.skipif(shared_data() is None, reason="the real open data is not here")
@pytest.mark.parametrize(
    ("path", "n", "shape", "masks"),
    [
        ("nifti_dicom_samples/dicom", 20, None, False),
        ("nnunet_example_ct", 30, (1, 101, 122), True),
        ("ms_lesion_mri/patient07", 2, (1, 128, 128, 128), True),
        ("sunnybrook_cine_mri", 146, (1, 256, 256), True),
    ],
)
def test_real_scans(path, n, shape, masks):
    data = read(shared_data() / path)
    assert len(data) == n
    assert shape in (None, data.shape)
    assert (data.masks is not None) == masks
    assert not masks or data.mask().any()
