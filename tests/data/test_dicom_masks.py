"""Segmentations in NIfTI files beside DICOM slices: masks in the same space, whichever way their
axes run; and SEG objects drawn in planes of another direction."""

from __future__ import annotations

import nibabel
import numpy as np
import pydicom
import pytest

from core.data.readers import preview, read
from core.errors import UserError
from tests.data._dicom import made
from tests.data.test_segments import seg

SIZE = (16, 20)  # rows, columns
# what is marked, in DICOM's millimetres (left, back, head): a block off every centre
LOW, HIGH = np.array([-4.0, 3.0, 12.0]), np.array([3.0, 9.0, 19.0])
MM, STEP = [1.5, 1.0], 2.5  # down and across, between slices
CORNER = np.array([-9.0, -7.0, 5.0])


def slices(folder, patient="P1", uid="1.2.3", n=8, corner=CORNER):
    """Axial slices; gives where they are marked, bool [n,*SIZE] from the feet upwards."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, truth = np.random.default_rng(0), []
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for k in range(n):
        at = [corner[0] + x * MM[1], corner[1] + y * MM[0], np.full(x.shape, corner[2] + k * STEP)]
        truth.append(np.all([(a >= lo) & (a <= hi) for a, lo, hi in zip(at, LOW, HIGH)], axis=0))
        d = made(rng.integers(900, 1100, SIZE).astype(np.uint16), RescaleIntercept=-1000)
        d.PatientID, d.SeriesInstanceUID, d.InstanceNumber = patient, uid, k + 1
        d.ImagePositionPatient, d.PixelSpacing = [corner[0], corner[1], corner[2] + k * STEP], MM
        d.FrameOfReferenceUID = f"9.{uid}"
        d.save_as(folder / f"{uid}.{(k * 5) % 8}.dcm", enforce_file_format=True)
    return np.stack(truth)


def nifti(
    path, codes="RAS", step=(1.0, 1.5, 2.5), low=(-10.0, 7.0 - 16 * 1.5, 5.0), value=1, plain=False
):
    """A segmentation of the block: a grid of `step` mm from `low` on (right, front, head), its axes
    turned to `codes`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = tuple(round(v) for v in (20 / step[0], 24 / step[1], 20 / step[2]))
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = low
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) * step + low
    lps = at * [-1, -1, 1]
    marked = ((lps >= LOW) & (lps <= HIGH)).all(-1).astype(np.uint8) * value
    image = nibabel.Nifti1Image(marked, affine)
    turn = nibabel.orientations.axcodes2ornt(tuple(codes))
    image = image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), turn)
    )
    if plain:
        image = nibabel.Nifti1Image(np.asarray(image.dataobj), np.eye(4))
    nibabel.save(image, path)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PSR"])
@pytest.mark.parametrize("place", ["seg.nii.gz", "labels/case.nii.gz", "s_seg.nii"])
def test_a_nifti_segmentation_is_the_mask_of_the_slices_beside_it(tmp_path, codes, place):
    truth = slices(tmp_path / "dicom")
    nifti(tmp_path / place, codes)
    assert preview(tmp_path).get("kinds") is None  # nothing to choose
    data = read(tmp_path)
    assert (len(data), data.modality) == (8, "image")
    assert truth.any((1, 2)).sum() == 3
    np.testing.assert_array_equal(data.mask(), truth)
    assert data.outlined.all()
    rules = " ".join(data.card["rules"])
    assert "1 NIfTI segmentation as masks of DICOM slices: 3 of 8 frames are marked" in rules
    assert "on another grid" not in rules
    assert "seg" not in str(data.card.get("left out", ""))


def test_on_another_grid_each_pixel_takes_the_nearest_label(tmp_path):
    truth = slices(tmp_path / "dicom")
    nifti(tmp_path / "seg.nii.gz", step=(0.5, 0.5, 0.5), low=(-10.0, -17.0, 4.0))
    data = read(tmp_path)
    np.testing.assert_array_equal(data.mask(), truth)
    assert any("on another grid" in r for r in data.card["rules"])


def test_each_patients_segmentation_goes_to_its_own_slices(tmp_path):
    """Both lie at the same place of the scanner: the folders tell whose a segmentation is."""
    for p in ("P1", "P2"):
        truth = slices(tmp_path / p / "dicom", p, f"1.{p[1]}")
        nifti(tmp_path / p / "seg.nii.gz", value=int(p[1]))
    slices(tmp_path / "P3" / "dicom", "P3", "1.3")
    data = read(tmp_path, stack="slices")
    masks = np.asarray(data.masks)
    people = data.table["patient"].drop_duplicates().tolist()
    values = {
        p: set(np.unique(masks[(data.table["patient"] == p).to_numpy()])) - {0} for p in people
    }
    assert sorted(map(sorted, values.values())) == [[], [1], [2]]
    assert truth.sum() * 2 == data.mask().sum()
    known = data.table.groupby("patient")["outlined"].all()
    assert sorted(known) == [False, True, True]


def test_of_whom_it_is_cannot_be_guessed(tmp_path):
    for p in ("P1", "P2"):
        slices(tmp_path / p, p, f"1.{p[1]}")
    nifti(tmp_path / "seg.nii.gz")
    data = read(tmp_path)
    assert data.masks is None
    (left,) = data.card["left out"]
    assert left.startswith("1 NIfTI segmentation (of several patients at once?")


def test_scans_and_segmentations_without_a_place_are_left_out_in_words(tmp_path):
    slices(tmp_path / "dicom")
    nifti(tmp_path / "a_seg.nii.gz", plain=True)
    scan = np.random.default_rng(0).normal(size=(20, 16, 8)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(scan, np.diag([1, 1.5, 2.5, 1])), tmp_path / "DOE_JANE.nii.gz")
    assert preview(tmp_path)["kinds"] == {"dicom": 8, "nifti": 2}  # a scan: to be chosen
    data = read(tmp_path)
    assert (len(data), data.masks) == (8, None)
    left = data.card["left out"]
    assert "1 NIfTI segmentation (it does not say where it lies)" in left
    assert "1 NIfTI scan (beside DICOM files; bring it apart, or choose the kind NIfTI)" in left
    assert "DOE" not in str(data.card)
    assert len(read(tmp_path, take="dicom")) == 8
    assert len(read(tmp_path, take="nifti")) > 0


def test_several_segmentations_of_a_series_are_labels_of_their_own(tmp_path):
    truth = slices(tmp_path / "dicom")
    nifti(tmp_path / "segs" / "liver.nii.gz")
    nifti(tmp_path / "segs" / "spleen.nii.gz", low=(-10.0, 7.0 - 16 * 1.5, -95.0))  # elsewhere
    nifti(tmp_path / "segs" / "tumour.nii.gz", step=(2.0, 1.5, 2.5))
    data = read(tmp_path)
    assert data.mask().sum() >= truth.sum()
    assert data.card["masks"]["labels"] == {"1": "mask 1", "2": "mask 2"}
    assert data.card["left out"] == ["1 NIfTI segmentation (it lies outside of all series)"]


def test_masks_given_apart(tmp_path):
    truth = slices(tmp_path / "dicom")
    nifti(tmp_path / "apart" / "x.nii.gz")
    data = read(tmp_path / "dicom", masks=tmp_path / "apart")
    np.testing.assert_array_equal(data.mask(), truth)
    nifti(tmp_path / "apart" / "x.nii.gz", plain=True)
    with pytest.raises(
        UserError, match=r"fit none of the DICOM slices.*does not say where it lies"
    ):
        read(tmp_path / "dicom", masks=tmp_path / "apart")


def test_volumes_get_their_masks_too(tmp_path):
    for p in ("P1", "P2", "P3"):
        truth = slices(tmp_path / p / "scan", p, f"1.{p[1]}")
        nifti(tmp_path / p / "label.nii.gz", "LPS")
    data = read(tmp_path)
    assert data.modality == "volume"
    # volumes run from feet to head, back to front, left to right
    for mask in data.mask():
        np.testing.assert_array_equal(mask, truth[:, ::-1, ::-1])


def test_a_seg_drawn_in_another_direction_marks_the_slices_it_crosses(tmp_path):
    truth = slices(tmp_path)
    down = np.arange(25, 4, -1.0)  # sagittal planes 1 mm apart: heights, and 30 mm to the back
    places = np.arange(-4.0, 3.5)
    back = np.arange(-8.0, 20.0)
    plane = ((down >= LOW[2]) & (down <= HIGH[2]))[:, None] & ((back >= LOW[1]) & (back <= HIGH[1]))
    frames = np.stack([plane] * len(places))
    seg(tmp_path / "seg.dcm", frames, z=[0] * len(places), directions="sagittal")
    d = pydicom.dcmread(tmp_path / "seg.dcm")
    for x, group in zip(places, d.PerFrameFunctionalGroupsSequence):
        group.PlanePositionSequence[0].ImagePositionPatient = [x, back[0], down[0]]
    d.save_as(tmp_path / "seg.dcm")
    data = read(tmp_path)
    np.testing.assert_array_equal(data.mask(), truth)
    assert any("planes of another direction" in r for r in data.card["rules"])
