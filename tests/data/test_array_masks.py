"""Arrays (npy) as masks of NIfTI scans: voxel by voxel, in the order of axes their shape says."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from PIL import Image

from core.data.checks import check_dataset
from core.data.readers import count_kinds, preview, read
from core.data.readers.files import collect
from core.errors import UserError

SHAPE = (20, 24, 16)


def _scans(folder, shape=SHAPE, codes="RAS", n=3):
    """Scans whose bright block is the truth, bool [X,Y,Z] as stored."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    found = []
    for k in range(n):
        voxels = rng.normal(100, 5, SHAPE if len(codes) == 3 else shape)
        voxels[3 + k : 9 + k, 2:6, 10:14] += 300
        affine = np.diag([2.0, 2.0, 3.0, 1.0])
        image = nibabel.Nifti1Image(voxels.astype(np.float32), affine)
        turn = nibabel.orientations.axcodes2ornt(tuple(codes))
        image = image.as_reoriented(
            nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), turn)
        )
        nibabel.save(image, folder / f"c{k}.nii.gz")
        found.append(np.asarray(image.dataobj) > 250)
    return found


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR"])
@pytest.mark.parametrize("simple_itk", [False, True])
@pytest.mark.parametrize("name", ["masks/c{}.npy", "images/c{}_mask.npy"])
def test_an_array_marks_what_is_bright_in_its_scan(tmp_path, codes, simple_itk, name):
    for k, marked in enumerate(_scans(tmp_path / "images", codes=codes)):
        path = tmp_path / name.format(k)
        path.parent.mkdir(exist_ok=True)
        np.save(path, (marked.T if simple_itk else marked).astype(np.uint8))
    data = read(tmp_path)
    assert (len(data), data.modality, data.shape) == (3, "volume", (1, 16, 24, 20))
    bright = np.asarray(data.samples[:])[:, 0] > 250
    assert (np.asarray(data.masks[:]) > 0).tolist() == bright.tolist()
    word = "SimpleITK" if simple_itk else "nibabel"
    assert any("voxel by voxel" in rule and word in rule for rule in data.card["rules"])
    assert count_kinds(collect(tmp_path)) == {"nifti": 3}
    assert preview(tmp_path)["kind"] == "nifti"


def test_arrays_given_apart(tmp_path):
    scans = _scans(tmp_path / "images")
    (tmp_path / "drawn").mkdir()
    for k, marked in enumerate(scans):
        np.save(tmp_path / "drawn" / f"c{k}.npy", marked)
    data = read(tmp_path / "images", masks=tmp_path / "drawn")
    bright = np.asarray(data.samples[:])[:, 0] > 250
    assert (np.asarray(data.masks[:]) > 0).tolist() == bright.tolist()


@pytest.mark.parametrize(
    ("shape", "words"), [((24, 20, 16), "has 24 x 20 x 16 values"), ((20, 24), "has 20 x 24")]
)
def test_an_array_of_another_shape_is_refused(tmp_path, shape, words):
    _scans(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks" / "c1.npy", np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match=words):
        read(tmp_path)


def _cubes(folder, order, n=3):
    """Scans of equal sides, and arrays that mark what is bright in them, axes in that order."""
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    truth = []
    for k in range(n):
        voxels = rng.normal(0, 1, (16, 20, 16)).astype(np.float32)
        voxels[3 : 8 + k, 4:9, 10:14] += 6
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1])), folder / f"c{k}.nii.gz")
        truth.append(voxels > 3)
        np.save(folder / "masks" / f"c{k}.npy", truth[-1].transpose(order))
    return truth


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_arrays_as_long_one_way_as_the_other_are_turned_by_their_scans_and_it_is_said(
    tmp_path, order
):
    truth = _cubes(tmp_path, order)
    data = read(tmp_path)
    for mask, marked in zip(data.masks[:], truth):
        np.testing.assert_array_equal(mask, marked.transpose(2, 1, 0))
    (found,) = [f for f in check_dataset(data) if f.kind == "mask axes"]
    assert found.severity == "look"
    assert "3 masks" in found.words
    assert ("SimpleITK" if order[0] else "nibabel") in found.words


def test_one_array_of_equal_sides_has_the_order_of_the_others(tmp_path):
    _cubes(tmp_path, (2, 1, 0), n=1)
    voxels = np.zeros((16, 20, 12), np.float32)
    voxels[2:5, 3:9, 4:8] = 5
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1])), tmp_path / "d.nii.gz")
    np.save(tmp_path / "masks" / "d.npy", (voxels > 1).transpose(2, 1, 0))
    data = read(tmp_path)
    assert not [f for f in check_dataset(data) if f.kind == "mask axes"]
    at = data.table["file"].tolist().index("c0.nii.gz")
    marked = np.asarray(data.masks[at]) > 0
    assert data.raw()[at, 0][marked].mean() > 3


def test_arrays_that_are_no_masks_are_a_kind_of_their_own(tmp_path):
    _scans(tmp_path / "images")
    np.save(tmp_path / "features.npy", np.zeros((30, 5)))
    with pytest.raises(UserError, match="mixes"):
        read(tmp_path)
    assert count_kinds(collect(tmp_path)) == {"nifti": 3, "npy": 1}


def _picture(path):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.arange(480, dtype=np.uint16).reshape(24, 20).astype(np.uint8)).save(path)


def test_pictures_beside_nifti_are_left_out_and_named(tmp_path):
    _scans(tmp_path / "images")
    _picture(tmp_path / "masks" / "c0.png")
    for k in range(4):  # more of them than of scans, but named after one
        _picture(tmp_path / "views" / f"c1_view{k}.png")
    data = read(tmp_path)
    assert (data.modality, len(data)) == ("volume", 3)
    left = data.card["left out"]
    assert (
        "masks/c0.png (a picture does not say how it lies in a scan; masks of scans are" in left[0]
    )
    assert left[1:] == [f"views/c1_view{k}.png (a picture beside scans)" for k in range(4)]
    seen = preview(tmp_path)
    assert (seen["kind"], seen["usual"], seen["files"]) == ("nifti", "nifti", 3)


def test_a_scan_among_more_pictures_is_left_out_and_named(tmp_path):
    _scans(tmp_path)
    for k in range(5):
        _picture(tmp_path / f"photo{k}.png")
    data = read(tmp_path)
    assert (data.modality, len(data)) == ("image", 5)
    assert data.card["left out"] == [f"c{k}.nii.gz (a scan among pictures)" for k in range(3)]
    assert read(tmp_path, take="nifti").modality == "volume"
