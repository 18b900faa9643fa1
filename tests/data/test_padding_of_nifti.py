"""What scans hold outside of the picture, and pixels of several sizes."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from core.data.checks import check_dataset
from core.data.readers import read

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def _save(folder, name, array, affine=AFFINE):
    folder.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), folder / f"{name}.nii.gz")


@pytest.mark.parametrize("pad", [-3024, -2000, -32768])
def test_padding_of_ct_is_as_dark_as_air(tmp_path, pad):
    rng = np.random.default_rng(0)
    for k in range(3):
        voxels = np.full((20, 24, 16), pad, np.int16)
        voxels[3:17, 4:20] = rng.integers(-1000, 1000, (14, 16, 16))
        voxels[8, 8, 8] = -1000
        _save(tmp_path, k, voxels)
    data = read(tmp_path)
    values = np.asarray(data.samples[:])
    assert (values.min(), data.input_range[0] >= -1000) == (-1000, True)
    (rule, *_) = [r for r in data.card["rules"] if "apart from all others" in r]
    assert rule.startswith(f"0.nii.gz: 4,096 voxels of {pad}")


@pytest.mark.parametrize("low", [-1400, -4096])
def test_low_values_that_are_not_apart_stay(tmp_path, low):
    rng = np.random.default_rng(0)
    for k in range(3):
        voxels = rng.integers(low, 4000, (20, 24, 16)).astype(np.int16)
        voxels[0, 0, 0] = low
        _save(tmp_path, k, voxels)
    assert np.asarray(read(tmp_path).samples[:]).min() == low


def test_labels_a_little_off_whole_numbers_stay_labels(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(3):
        _save(tmp_path / "images", k, rng.normal(100, 9, (20, 24, 16)).astype(np.float32))
        mask = np.zeros((20, 24, 16), np.float32)
        mask[3:8, 4:9, 5:9], mask[9:12, 4:9, 5:9] = 1.0000001, 1.9999
        _save(tmp_path / "labels", k, mask)
    data = read(tmp_path)
    codes, counts = np.unique(np.asarray(data.masks[:]), return_counts=True)
    assert dict(zip(codes.tolist(), counts.tolist())) == {0: 3 * 7520, 1: 3 * 100, 2: 3 * 60}


@pytest.mark.parametrize(("sizes", "said"), [((1, 2, 3), True), ((0.9, 1, 1.1), False)])
def test_pixels_of_several_sizes_are_a_finding(tmp_path, sizes, said):
    rng = np.random.default_rng(0)
    for k, mm in enumerate(sizes):
        voxels = rng.normal(100, 9, (20, 24, 16)).astype(np.float32)
        _save(tmp_path, k, voxels, np.diag([mm, mm, 3.0, 1.0]))
    found = [f for f in check_dataset(read(tmp_path)) if f.kind == "voxel sizes"]
    assert bool(found) == said
    assert not said or "1 to 3 mm wide" in found[0].words
