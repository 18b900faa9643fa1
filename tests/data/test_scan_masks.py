"""Segmentations of NIfTI scans: whose they are, on which grid, with which labels; never a scan of
their own."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from core.data.checks import Facts, check_dataset
from core.data.readers import read, scan_masks
from core.errors import UserError

SIZE = (10, 12, 8)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
MARK = np.zeros(SIZE, np.uint8)
MARK[6:9, 2:4, 5:7] = 1
MARKED = int(MARK.sum())


def scan(k=0):
    noise = np.random.default_rng(k).normal(100, 10, SIZE)
    return (noise + 200 * MARK).astype(np.float32)


def saved(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def alight(data):
    """Means of the raw values where marked: 300 when masks lie where they were drawn, 100
    elsewhere."""
    return [float(x[0][m].mean()) for x, m in zip(data.raw(), data.mask())]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("imagesTr/c{:03}.nii.gz", "labelsTr/c{:03}.nii.gz"),
        ("imagesTr/c{:03}_0000.nii.gz", "labelsTr/c{:03}.nii.gz"),
        ("images/c{}.nii", "masks/c{}.nii"),
        ("c{}.nii.gz", "c{}_seg.nii.gz"),
        ("c{}.nii.gz", "c{}-label.nii.gz"),
        ("c{}.nii.gz", "c{}.mask.nii.gz"),
        ("c{}.nii.gz", "c{}_gt.nii.gz"),
        ("c{}.nii.gz", "segmentations/c{}_seg.nii.gz"),
        ("ct/volume-{}.nii", "seg/segmentation-{}.nii"),
        ("patient{:03}/ct.nii.gz", "patient{:03}/lesion_mask.nii.gz"),
        ("patient{:03}/ct.nii.gz", "patient{:03}/liver_mask.nii.gz"),
        ("patient{:03}/ct.nii.gz", "patient{:03}/masks/tumour.nii.gz"),
        (
            "sub-{:02}/anat/sub-{:02}_T1w.nii.gz",
            "derivatives/manual/sub-{:02}/anat/sub-{:02}_desc-lesion_mask.nii.gz",
        ),
    ],
)
def test_a_segmentation_is_the_mask_of_its_scan(tmp_path, image, mask):
    for k in range(4):
        saved(tmp_path / image.format(k, k), scan(k))
        saved(tmp_path / mask.format(k, k), MARK)
    data = read(tmp_path)
    assert (len(data), data.modality) == (4, "volume")
    assert data.mask().reshape(4, -1).sum(1).tolist() == [MARKED] * 4
    assert min(alight(data)) > 290
    assert "left out" not in data.card


def test_a_mask_on_another_grid_of_the_same_space_is_brought_over_by_the_nearest_label(tmp_path):
    large = np.kron(MARK, np.ones((2, 2, 2), np.uint8)) * 3
    finer = np.diag([1.0, 1.0, 1.5, 1.0])
    # the same space: the first voxel's corner stays where it was
    finer[:3, 3] = [-0.5, -0.5, -0.75]
    turned = nibabel.Nifti1Image(large, finer).as_reoriented(
        nibabel.orientations.axcodes2ornt("PSL")
    )
    part = nibabel.Nifti1Image(MARK, AFFINE).slicer[5:, 1:6, 4:]
    for k, image in enumerate([turned, part]):
        saved(tmp_path / f"c{k}.nii.gz", scan(k))
        nibabel.save(image, tmp_path / f"c{k}_seg.nii.gz")
    data = read(tmp_path)
    assert np.array_equal(data.mask(), np.stack([MARK.transpose(2, 1, 0)] * 2))
    assert any("nearest label" in r for r in data.card["rules"])


def test_a_mask_whose_affine_says_nothing_is_taken_voxel_by_voxel(tmp_path):
    for k in range(2):
        saved(tmp_path / f"c{k}.nii.gz", scan(k)[::-1], np.diag([-2.0, 2.0, 3.0, 1.0]))
        saved(tmp_path / f"c{k}_seg.nii.gz", MARK[::-1], np.eye(4))
    data = read(tmp_path)
    assert min(alight(data)) > 290
    assert any("voxel by voxel" in r for r in data.card["rules"])


def test_several_labels_stay_and_soft_and_255_become_1(tmp_path):
    rim = np.where(MARK > 0, 2, 0).astype(np.int16)
    rim[6] *= 2
    for k in range(2):
        saved(tmp_path / f"c{k}.nii.gz", scan(k))
        saved(tmp_path / f"c{k}_seg.nii.gz", rim)
    data = read(tmp_path)
    assert set(np.unique(data.masks)) == {0, 2, 4}
    assert data.card["masks"]["labels"] == {"2": "2", "4": "4"}
    for values in (MARK * np.uint8(255), (MARK * 0.9 + 0.05).astype(np.float32)):
        for k in range(2):
            saved(tmp_path / f"c{k}_seg.nii.gz", values)
        data = read(tmp_path)
        assert np.array_equal(data.masks[0], MARK.transpose(2, 1, 0))


def test_several_masks_of_one_scan_are_labels_by_name_and_brain_masks_are_left_out(tmp_path):
    other = np.roll(MARK, -5, 0)
    for k in range(3):
        saved(tmp_path / f"s{k:03}" / "ct.nii.gz", scan(k))
        saved(tmp_path / f"s{k:03}" / "segmentations" / "liver.nii.gz", MARK)
        saved(tmp_path / f"s{k:03}" / "segmentations" / "aorta.nii.gz", other)
    data = read(tmp_path)
    assert len(data) == 3
    assert np.array_equal(data.masks[0], (2 * MARK + other).transpose(2, 1, 0))
    assert data.card["masks"]["labels"] == {"1": "aorta", "2": "liver"}
    for k in range(3):
        saved(tmp_path / "ms" / f"p{k:02}" / "flair.nii.gz", scan(k))
        saved(tmp_path / "ms" / f"p{k:02}" / "brain_mask.nii.gz", np.ones(SIZE, np.uint8))
        saved(tmp_path / "ms" / f"p{k:02}" / "lesion_mask.nii.gz", MARK)
    data = read(tmp_path / "ms")
    assert data.mask().reshape(3, -1).sum(1).tolist() == [MARKED] * 3
    assert len(data.card["left out"]) == 3


def test_segmentations_without_their_scan_are_left_out_by_name(tmp_path):
    for k in range(3):
        saved(tmp_path / f"c{k}.nii.gz", scan(k))
        saved(tmp_path / f"c{k + 1}_seg.nii.gz", MARK)
    data = read(tmp_path)
    assert len(data) == 3
    assert data.card["left out"] == ["c3_seg.nii.gz (a segmentation without its scan)"]
    # of c0 the truth is not known
    assert list(data.table["file"][data.outlined]) == ["c1.nii.gz", "c2.nii.gz"]


def test_a_mask_of_a_case_that_is_not_there_goes_to_no_other_case(tmp_path):
    for k in range(3):
        saved(tmp_path / "images" / f"p{k:02}" / "ct.nii.gz", scan(k))
        saved(tmp_path / "masks" / f"p{k + 1:02}" / "ct.nii.gz", MARK)
    data = read(tmp_path)
    assert [bool(m.any()) for m in data.mask()] == [False, True, True]
    assert data.outlined.tolist() == [False, True, True]
    assert data.card["left out"] == ["masks/p03/ct.nii.gz (a segmentation without its scan)"]


def test_the_longest_name_that_a_mask_continues_is_its_scan(tmp_path):
    for name in ("c1", "c1_2", "c1_3"):
        saved(tmp_path / f"{name}.nii.gz", scan(1))
    saved(tmp_path / "c1_2_tumour_seg.nii.gz", MARK)
    data = read(tmp_path)
    assert list(data.table["file"][data.outlined]) == ["c1_2.nii.gz"]


def test_left_over_files_of_few_whole_values_are_a_finding(tmp_path):
    for k in range(3):
        saved(tmp_path / f"c{k}.nii.gz", scan(k))
    saved(tmp_path / "x9.nii.gz", MARK * np.uint8(2))
    data = read(tmp_path)
    found = [f for f in check_dataset(data, Facts()) if f.kind == "like segmentations"]
    assert [data.table["file"][r] for f in found for r in f.rows] == ["x9.nii.gz"]
    assert "x9.nii.gz" in found[0].words


def test_a_mask_folder_given_apart_follows_the_same_rules(tmp_path):
    for k in range(3):
        saved(tmp_path / "scans" / f"c{k}_0000.nii.gz", scan(k))
        saved(tmp_path / "truth" / f"c{k}.nii.gz", MARK * np.uint8(255))
    data = read(tmp_path / "scans", masks=tmp_path / "truth")
    assert data.mask().reshape(3, -1).sum(1).tolist() == [MARKED] * 3
    assert data.masks.max() == 1
    saved(tmp_path / "truth" / "d7.nii.gz", MARK)
    with pytest.raises(UserError, match=r"d7\.nii\.gz has no scan"):
        read(tmp_path / "scans", masks=tmp_path / "truth")


@pytest.mark.parametrize("factor", [1.2, 40.0])
def test_channels_of_nnunet_are_channels_of_one_scan(tmp_path, factor):
    for k in range(3):
        saved(tmp_path / "imagesTr" / f"c{k}_0000.nii.gz", scan(k))
        saved(tmp_path / "imagesTr" / f"c{k}_0001.nii.gz", scan(k) * np.float32(factor))
        saved(tmp_path / "labelsTr" / f"c{k}.nii.gz", MARK)
    data = read(tmp_path)
    assert (len(data), data.shape) == (3, (2, 8, 12, 10))
    assert data.mask().reshape(3, -1).sum(1).tolist() == [MARKED] * 3
    first, second = data.raw()[0]
    assert first[data.mask()[0]].mean() > 2 * first.mean()
    seen = data.inputs()[0]
    # ranges that differ much become alike
    assert np.allclose(seen[0], seen[1], atol=0.4 if factor < 2 else 0.01)
    assert np.allclose(second, first * factor if factor < 2 else first, rtol=1e-3, atol=1e-3)
    (tmp_path / "imagesTr" / "c1_0001.nii.gz").unlink()
    data = read(tmp_path)  # not all cases have both: rows of one case stay together
    assert (len(data), len(set(data.groups))) == (5, 3)
    assert data.mask().reshape(5, -1).sum(1).tolist() == [MARKED] * 5


def test_a_mask_that_lies_elsewhere_is_named_as_left_out(tmp_path):
    """By its affine half a metre away: it would mark nothing, as in a healthy scan."""
    away = AFFINE.copy()
    away[0, 3] = 500
    for k in range(4):
        saved(tmp_path / f"c{k}.nii.gz", scan(k))
        saved(tmp_path / f"c{k}_seg.nii.gz", MARK, away if k == 1 else AFFINE)
    data = read(tmp_path)
    assert len(data) == 4
    assert [int(m.sum()) for m in data.masks[:]] == [MARKED, 0, MARKED, MARKED]
    assert data.table["outlined"].tolist() == [True, False, True, True]
    assert any("c1_seg" in str(s) and "wholly outside" in str(s) for s in data.card["left out"])
    only = tmp_path / "c1_seg.nii.gz"
    with pytest.raises(UserError, match="wholly outside"):
        read(tmp_path / "c1.nii.gz", masks=only)


@pytest.mark.parametrize("kind", ["one-hot", "no background", "soft"])
@pytest.mark.parametrize("affine", [AFFINE, np.diag([-2.0, -2.0, 3.0, 1.0])])
def test_a_mask_with_a_volume_for_each_label_becomes_labels(tmp_path, kind, affine):
    other = np.roll(MARK, -4, 0)
    layers = [1 - MARK - other, MARK, other] if kind != "no background" else [MARK, other]
    stack = np.stack(layers, -1).astype(np.float32)
    if kind == "soft":
        stack = 0.9 * stack + 0.1 / 3
    for k in range(3):
        saved(tmp_path / f"p{k}.nii.gz", scan(k), affine)
        saved(tmp_path / f"p{k}_seg.nii.gz", stack, affine)
    data = read(tmp_path)
    assert len(data) == 3
    values, counts = np.unique(data.masks[0], return_counts=True)
    assert values.tolist() == [0, 1, 2]
    assert counts[1:].tolist() == [MARKED, MARKED]
    for x, mask in zip(data.raw(), data.masks):
        assert x[0][mask == 1].mean() == pytest.approx(300, abs=8)
    assert any("a volume for each label" in r for r in data.card["rules"])


def test_a_mask_with_negative_values_is_no_scan(tmp_path):
    for k in range(3):
        saved(tmp_path / f"p{k}.nii.gz", scan(k))
        mask = MARK.astype(np.int16)
        mask[0] = -1  # what nobody judged
        saved(tmp_path / f"p{k}_seg.nii.gz", mask)
    data = read(tmp_path)
    assert data.mask().reshape(3, -1).sum(1).tolist() == [MARKED] * 3
    assert any("values below 0 are background" in r for r in data.card["rules"])


def test_dots_belong_to_the_names_of_scans_and_masks():
    scan = "1.3.6.1.4.1.14519/1.3.6.1.77.nii.gz"
    liver, tumour = (f"masks/1.3.6.1.77.{what}.nii.gz" for what in ("liver", "tumour"))
    assert scan_masks.name_parts({scan: [liver, tumour]}) == {liver: "liver", tumour: "tumour"}
