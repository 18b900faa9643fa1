"""Pictures of the slices' names as masks of DICOM files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.data.readers import count_kinds, preview, read
from core.data.readers.files import collect
from core.errors import UserError
from tests.data._dicom import made

SIZE = (24, 32)


def _slices(folder, n=8, suffix=".dcm"):
    """n slices, each with a block of its own; gives where it lies, bool [n,*SIZE]."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    rng = np.random.default_rng(0)
    truth = np.stack([(y >= 3 + k) & (y < 8 + k) & (x >= 20) & (x < 26) for k in range(n)])
    for k in range(n):
        d = made((rng.integers(900, 1100, SIZE) + 500 * truth[k]).astype(np.uint16))
        d.InstanceNumber, d.ImagePositionPatient = k + 1, [0, 0, 2.0 * k]
        d.save_as(folder / f"1.2.7.{k + 10}{suffix}", enforce_file_format=True)
    return truth


def _mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8)).save(path)


@pytest.mark.parametrize("suffix", [".dcm", ""])
@pytest.mark.parametrize("name", ["masks/{}.png", "images/{}_mask.png", "labels/{}.tif"])
def test_pictures_of_their_names_are_masks_of_the_slices(tmp_path, suffix, name):
    truth = _slices(tmp_path / "images", suffix=suffix)
    for k, mask in enumerate(truth):
        _mask(tmp_path / name.format(f"1.2.7.{k + 10}"), mask * 255)
    data = read(tmp_path)
    assert (len(data), data.modality) == (8, "image")
    assert (np.asarray(data.masks[:]) > 0).tolist() == truth.tolist()
    assert "outlined" not in data.table
    assert any("8 pictures as masks of the DICOM files" in rule for rule in data.card["rules"])
    assert not data.card.get("left out")
    assert count_kinds(collect(tmp_path)) == {"dicom": 8}
    assert preview(tmp_path)["kind"] == "dicom"


def test_of_slices_without_a_picture_the_truth_is_unknown(tmp_path):
    truth = _slices(tmp_path / "images")
    for k in (1, 4):
        _mask(tmp_path / "masks" / f"1.2.7.{k + 10}.png", truth[k] * 2)
    data = read(tmp_path)
    assert np.flatnonzero(data.table["outlined"]).tolist() == [1, 4]
    assert (np.asarray(data.masks[4]) > 0).tolist() == truth[4].tolist()


def test_masks_given_apart_and_of_twice_the_size(tmp_path):
    truth = _slices(tmp_path / "scans")
    for k, mask in enumerate(truth):
        _mask(tmp_path / "drawn" / f"1.2.7.{k + 10}.png", mask.repeat(2, 0).repeat(2, 1) * 255)
    data = read(tmp_path / "scans", masks=tmp_path / "drawn")
    assert (np.asarray(data.masks[:]) > 0).tolist() == truth.tolist()
    assert any("another size" in rule for rule in data.card["rules"])


def test_masks_of_another_proportion_are_left_out_without_their_names(tmp_path):
    truth = _slices(tmp_path / "images")
    for k, mask in enumerate(truth):
        _mask(tmp_path / "masks" / f"1.2.7.{k + 10}.png", mask.T if k == 3 else mask)
    data = read(tmp_path)
    left = data.card["left out"]
    assert left == ["1 picture (of another proportion than the DICOM slice of its name)"]
    assert not np.asarray(data.masks[3]).any()
    assert data.table["outlined"].tolist() == [k != 3 for k in range(8)]


def test_photographs_beside_dicom_are_a_kind_of_their_own(tmp_path):
    _slices(tmp_path / "images")
    rng = np.random.default_rng(1)
    for k in range(8):
        _mask(tmp_path / "photos" / f"1.2.7.{k + 10}.png", rng.integers(0, 255, SIZE))
    with pytest.raises(UserError, match="mixes DICOM files with pictures") as error:
        read(tmp_path)
    assert "1.2.7" not in str(error.value)
    assert count_kinds(collect(tmp_path)) == {"dicom": 8, "picture": 8}
    data = read(tmp_path, take="dicom")
    assert (len(data), data.masks, data.card["left out"]) == (8, None, ["8 picture files"])


def test_masks_of_volumes_come_slice_by_slice(tmp_path):
    truth = {}
    for person in "abc":
        folder = tmp_path / person / "images"
        truth[person] = _slices(folder)
        for k, path in enumerate(sorted(folder.iterdir())):
            d = __import__("pydicom").dcmread(path)
            d.PatientID, d.SeriesInstanceUID = person, f"1.2.{ord(person)}"
            d.save_as(path, enforce_file_format=True)
            if k > 1:
                _mask(tmp_path / person / "masks" / f"{path.stem}.png", truth[person][k] * 255)
    data = read(tmp_path)
    assert (data.modality, len(data), "outlined" in data.table) == ("volume", 3, False)
    whole = truth["a"].copy()
    whole[:2] = False
    assert int((np.asarray(data.masks[0]) > 0).sum()) == int(whole.sum())
