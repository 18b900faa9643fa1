"""Scans with times beside their time points as files: no time point comes in twice."""

from __future__ import annotations

import nibabel
import numpy as np

from core.data.readers import read

AFFINE = np.diag([1.5, 1.5, 8, 1.0])


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)


def patient(folder, seed, times=6, frames=(0, 3), masked=True):
    """As in ACDC: all times in one file, two of them as files of their own with masks."""
    film = np.random.default_rng(seed).normal(100, 20, (20, 18, 4, times)).astype(np.float32)
    save(folder / f"{folder.name}_4d.nii.gz", film)
    for t in frames:
        save(folder / f"{folder.name}_frame{t + 1:02}.nii.gz", film[..., t])
        mask = np.zeros(film.shape[:3], np.uint8)
        mask[5:9, 4:7, 1:3] = 1 + (t > 0)
        if masked:
            save(folder / f"{folder.name}_frame{t + 1:02}_gt.nii.gz", mask)
    return film


def test_the_film_is_left_out_where_its_frames_with_masks_stand_beside_it(tmp_path):
    for p in (1, 2):
        patient(tmp_path / f"patient00{p}", p)
        (tmp_path / f"patient00{p}" / "Info.cfg").write_text("ED: 1\nES: 4\nGroup: DCM\n")
    data = read(tmp_path)
    assert len(data) == 4
    assert data.mask().reshape(4, -1).sum(1).tolist() == [24] * 4
    assert sorted(np.unique(data.masks)) == [0, 1, 2]
    assert "outlined" not in data.table
    left = data.card["left out"]
    assert (
        "patient001/patient001_4d.nii.gz (its time points stand beside it "
        "(patient001_frame01.nii.gz, patient001_frame04.nii.gz))" in left
    )


def test_a_time_point_under_another_name_is_left_out_and_the_film_stays(tmp_path):
    film = patient(tmp_path / "p", 0, frames=())
    save(tmp_path / "p" / "reference.nii.gz", film[..., 2])
    save(tmp_path / "p" / "other.nii.gz", film[..., 2] + 1)
    data = read(tmp_path)
    assert len(data) == 6 + 1
    assert data.card["left out"] == ["p/reference.nii.gz (a time point of p/p_4d.nii.gz)"]
