"""NIfTI: known voxels on their sides, millimetres, unknown orientation, and headers that cannot be
(fault 31).
"""

from __future__ import annotations

import gzip
import struct

import nibabel
import numpy as np
import pytest

from core.data.geometry import case_geometry
from core.data.readers import read
from core.errors import UserError
from tests.hostile._make import REFUSE, peak

SIZE = (4, 5, 6)


def body(kind=np.int16):
    """[left to right, back to front, feet to head]; a bright voxel at the patient's right, front,
    top; a second one at the left, back, bottom.
    """
    array = np.full(SIZE, 100, kind)
    array[3, 4, 5], array[0, 0, 0] = 120, 110
    return array


def saved(path, array, affine, code=1, **fields):
    image = nibabel.Nifti1Image(array, affine if code else None)
    if code:
        image.header.set_sform(affine, code)
        image.header.set_qform(None, 0)
    for name, value in fields.items():
        image.header[name] = value
    image.to_filename(path)
    return path


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PIR", "ASL", "SRP"])
def test_volumes_are_turned_to_one_order_whatever_way_they_are_stored(tmp_path, codes):
    """The same body stored in several orders: always the same voxels, the right voxel at the right
    end.
    """
    for k in range(2):
        image = nibabel.Nifti1Image(body(), np.diag([2.0, 3.0, 4.0, 1.0]))
        turn = nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
        )
        image = image.as_reoriented(turn)
        saved(tmp_path / f"{k}.nii.gz", np.asarray(image.dataobj), image.affine)
    data = read(tmp_path)
    assert data.shape == (1, 6, 5, 4)
    assert np.array_equal(data.samples[0, 0], body().transpose(2, 1, 0))
    assert np.argwhere(data.samples[0, 0] == 120).tolist() == [[5, 4, 3]]
    seen = case_geometry(data, 0)
    assert (seen.axes, seen.mm, seen.oblique) == ("HAR", (4, 3, 2), 0)
    assert {s["stored orientation"] for s in data.card["scans"]} == {codes}


def test_slices_of_one_volume_hang_as_radiologists_hang_them(tmp_path):
    array = np.random.default_rng(0).integers(1, 99, SIZE).astype(np.int16)
    array[3, 4, 5] = 500  # right, front, top
    data = read(saved(tmp_path / "a.nii", array, np.diag([2.0, 3.0, 4.0, 1.0])))
    # the last slice, its upper left corner
    assert np.argwhere(data.samples == 500).tolist() == [[5, 0, 0, 0]]
    seen = case_geometry(data, 5)
    assert seen.edges == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert seen.mm == (3, 2)
    assert data.table["mm_slice"].tolist() == [4] * 6


def test_an_oblique_scan_says_by_how_much(tmp_path):
    a = np.radians(15)
    affine = np.eye(4)
    affine[:3, :3] = (
        np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) * 2
    )
    for k in range(2):
        saved(tmp_path / f"{k}.nii", body(), affine)
    seen = case_geometry(read(tmp_path), 0)
    assert (seen.axes, seen.mm, seen.oblique) == ("HAR", (2, 2, 2), 15.0)


def test_an_orientation_nobody_wrote_down_stays_unknown_and_the_voxels_as_stored(tmp_path):
    for k in range(2):
        saved(
            tmp_path / f"{k}.nii",
            body(),
            np.diag([-2.0, 2, 2, 1]),
            code=0,
            pixdim=[1, 2, 3, 4, 1, 1, 1, 1],
        )
    data = read(tmp_path)
    assert np.array_equal(data.samples[0, 0], body().transpose(2, 1, 0))
    seen = case_geometry(data, 0)
    assert (seen.axes, seen.mm, seen.edges) == ("", (4, 3, 2), {})
    assert any("orientation is unknown" in r for r in data.card["rules"])
    # a single volume, as slices (two are not of one value)
    assert case_geometry(read(tmp_path / "0.nii"), 0).axes == ""


def test_millimetres_follow_when_large_volumes_are_shrunk(tmp_path):
    for k in range(2):
        saved(
            tmp_path / f"{k}.nii.gz",
            np.zeros((256, 100, 20), np.uint8) + np.arange(20, dtype=np.uint8),
            np.diag([0.5, 1, 3, 1]),
        )
    data = read(tmp_path)
    assert data.shape == (1, 20, 100, 128)
    assert case_geometry(data, 0).mm == (3, 1, 1)


def test_time_points_are_rows_of_one_group(tmp_path):
    array = np.stack([body() + t for t in range(3)], -1)
    data = read(saved(tmp_path / "fmri.nii", array, np.eye(4)))
    assert (len(data), data.modality, data.table["time"].tolist()) == (3, "volume", [0, 1, 2])
    assert data.samples[:, 0, 0, 0, 1].tolist() == [100, 101, 102]
    assert data.roles["group"] == "scan"


@pytest.mark.parametrize(
    ("slope", "factor", "added"), [(0, 1, 0), (np.nan, 1, 0), (np.inf, 1, 0), (2.5, 2.5, 7)]
)
def test_scaling_is_applied_and_none_is_none(tmp_path, slope, factor, added):
    for k in range(2):
        path = saved(tmp_path / f"{k}.nii", body(), np.eye(4))
        raw = bytearray(path.read_bytes())
        struct.pack_into("<ff", raw, 112, slope, added)  # the second only counts with the first
        path.write_bytes(raw)
    assert np.allclose(read(tmp_path).samples[0, 0], body().transpose(2, 1, 0) * factor + added)


@pytest.mark.parametrize("kind", [np.int64, np.uint16, np.float64, ">i2"])
def test_number_types(tmp_path, kind):
    for k in range(2):
        nibabel.Nifti1Image(body(np.dtype(kind)), np.eye(4), dtype=np.dtype(kind)).to_filename(
            tmp_path / f"{k}.nii"
        )
    assert np.array_equal(read(tmp_path).samples[0, 0], body().transpose(2, 1, 0))


def test_packed_files_without_gz_in_their_name_and_plain_ones_with_it(tmp_path):
    plain = saved(tmp_path / "a.nii", body(), np.eye(4)).read_bytes()
    (tmp_path / "a.nii").write_bytes(gzip.compress(plain))
    (tmp_path / "b.nii.gz").write_bytes(plain)
    assert len(read(tmp_path)) == 2


def patched(path, form, at, *values):
    raw = bytearray(saved(path, body(), np.eye(4)).read_bytes())
    struct.pack_into(form, raw, at, *values)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("form", "at", "values", "words"),
    [
        ("<5h", 40, (4, 32767, 32767, 32767, 32767), "says it holds more voxels"),
        ("<5h", 40, (3, -4, 5, 6, 1), "x.nii"),
        ("<6h", 40, (5, 2, 2, 2, 3, 5), "three dimensions"),
        ("<4f", 280, (float("nan"), 0, 0, 0), "no usable orientation"),
        ("<4f", 280, (0, 0, 0, 0), "no usable orientation"),
        ("<4f", 280, (float("inf"), 0, 0, 0), "no usable orientation"),
        ("<h", 70, (128,), "only plain numbers|x.nii"),
        ("<h", 70, (1792,), "only plain numbers|more voxels"),
        ("<f", 108, (1e30,), "x.nii"),
        ("<f", 108, (-50,), "x.nii"),
        ("<ff", 112, (1e38, 1e38), "infinite|x.nii"),
    ],
)
def test_headers_that_cannot_be_end_in_a_sentence_in_little_memory(
    tmp_path, form, at, values, words
):
    path = patched(tmp_path / "x.nii", form, at, *values)
    with pytest.raises(UserError, match=words) as e:
        read(path)
    assert "\n" not in str(e.value)


def test_the_claim_of_a_quintillion_voxels_takes_no_memory(tmp_path):
    path = patched(tmp_path / "x.nii", "<5h", 40, 4, 32767, 32767, 32767, 32767)
    path.write_bytes(gzip.compress(path.read_bytes()))
    path = path.rename(tmp_path / "x.nii.gz")
    grew, words = peak(REFUSE, path)
    assert "says it holds more voxels" in words
    assert grew < 100 << 20


def test_zero_spacing_without_an_affine(tmp_path):
    path = saved(tmp_path / "x.nii", body(), np.eye(4), code=0)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<3f", raw, 80, 0, 1, 1)
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"no usable orientation|x\.nii"):
        read(path)


def test_pairs_of_header_and_picture_are_read_as_one(tmp_path):
    for k in range(2):
        nibabel.Nifti1Pair(body(), np.diag([-2.0, 3, 4, 1])).to_filename(tmp_path / f"p{k}.img")
    data = read(tmp_path)
    assert list(data.table["file"]) == ["p0.img", "p1.img"]
    assert np.array_equal(data.samples[0, 0], body()[::-1].transpose(2, 1, 0))
    with pytest.raises(UserError, match="pair of files"):
        read(tmp_path / "p0.hdr")
    (tmp_path / "p1.hdr").unlink()
    with pytest.raises(UserError, match=r"p1\.img is .*\.hdr"):
        read(tmp_path)


@pytest.mark.parametrize(
    "kind", [nibabel.AnalyzeImage, nibabel.Spm99AnalyzeImage, nibabel.Spm2AnalyzeImage]
)
def test_analyze_pairs_are_read_and_their_place_is_unknown(tmp_path, kind):
    for k in range(2):
        kind(body(), None).to_filename(tmp_path / f"a{k}.img")
        (tmp_path / f"a{k}.mat").unlink(missing_ok=True)
    data = read(tmp_path)
    assert np.allclose(data.samples[0, 0], body().transpose(2, 1, 0), atol=0.01)
    assert case_geometry(data, 0).axes == ""
    assert any("orientation is unknown" in r for r in data.card["rules"])


@pytest.mark.parametrize("name", ["{}.mgz", "{}.mgh"])
def test_scans_of_freesurfer(tmp_path, name):
    # LIA, as FreeSurfer conforms
    turned = np.array([[-1.0, 0, 0, 9], [0, 0, 2, -7], [0, -3, 0, 5], [0, 0, 0, 1]])
    # right to left, head to feet, back to front
    array = np.ascontiguousarray(body()[::-1].transpose(0, 2, 1)[:, ::-1])
    for k in range(2):
        nibabel.MGHImage(array, turned).to_filename(tmp_path / name.format(k))
    data = read(tmp_path)
    assert np.array_equal(data.samples[0, 0], body().transpose(2, 1, 0))
    seen = case_geometry(data, 0)
    assert (seen.axes, seen.mm) == ("HAR", (3, 2, 1))
    assert read(tmp_path / name.format(0)).modality == "image"
    for bad in (b"\0\0\0\1" + b"\7" * 300, b"words"):
        (tmp_path / name.format(0)).write_bytes(gzip.compress(bad) if name.endswith("z") else bad)
        with pytest.raises(UserError, match=r"0\.mg[hz] "):
            read(tmp_path)


def test_headers_without_their_mark_and_other_formats_are_named(tmp_path):
    path = patched(tmp_path / "x.nii", "<4s", 344, b"\0\0\0\0")
    with pytest.raises(UserError, match=r"Analyze header, or a NIfTI file whose mark is damaged"):
        read(path)
    path.unlink()
    for name, start, words in (
        ("a.nrrd", b"NRRD0004\ntype: short\n", "NRRD.*NIfTI"),
        ("a.mhd", b"ObjectType = Image\nNDims = 3\n", "MetaImage.*NIfTI"),
        ("a.mnc", b"CDF\x01\0\0\0\0", "MINC.*mnc2nii"),
        ("a.img", b"\1\2\3\0" * 200, "without its header.*hdr"),
    ):
        (tmp_path / name).write_bytes(start)
        with pytest.raises(UserError, match=words):
            read(tmp_path / name)
        (tmp_path / name).unlink()


def test_voxels_that_are_no_number_are_background(tmp_path):
    array = np.random.default_rng(0).normal(100, 9, SIZE).astype(np.float32)
    low = array[1:].min()
    array[0] = np.nan
    data = read(saved(tmp_path / "fov.nii", array, np.eye(4)))
    assert (data.samples[:, 0, :, -1] == low).all()  # the patient's left is at the right
    assert any("30 voxels without a number (NaN) are background" in r for r in data.card["rules"])
    around = np.where(np.isnan(array), np.nan, array - 100)
    # a map around 0
    assert (read(saved(tmp_path / "map.nii", around, np.eye(4))).samples[:, 0, :, -1] == 0).all()
    hounsfield = np.where(np.isnan(array), np.nan, array * 20 - 3000).astype(np.float32)
    assert read(saved(tmp_path / "ct.nii", hounsfield, np.eye(4))).samples[
        0, 0, 0, -1
    ] == np.nanmin(hounsfield)
    with pytest.raises(UserError, match="no number"):
        read(saved(tmp_path / "none.nii", np.full(SIZE, np.nan, np.float32), np.eye(4)))


@pytest.mark.parametrize("third", [(), (1,)])
def test_two_dimensions_and_one_slice_are_pictures_with_masks(tmp_path, third):
    shown = []
    for k in range(4):
        picture = np.random.default_rng(k).integers(100, 300, (5, 7)).astype(np.int16)
        inside = np.zeros((5, 7), np.uint8)
        inside[1, 2 + k] = 1
        shown.append((picture, inside))
        for name, array in ((f"case{k}", picture), (f"case{k}_gt", inside)):
            nibabel.save(
                nibabel.Nifti1Image(array.T.reshape(7, 5, *third), np.diag([-0.3, -0.3, 1, 1])),
                tmp_path / f"{name}.nii.gz",
            )
    data = read(tmp_path)
    assert (data.modality, data.shape, len(data)) == ("image", (1, 5, 7), 4)
    assert all(
        np.array_equal(data.samples[k, 0], p) and np.array_equal(data.masks[k], m)
        for k, (p, m) in enumerate(shown)
    )
    assert case_geometry(data, 0).mm == (0.3, 0.3)
    assert case_geometry(data, 0).axes == "PL"


@pytest.mark.parametrize(("thin", "axes"), [(0, "FP"), (1, "FL")])
def test_single_sagittal_and_coronal_slices_hang_with_the_head_on_top(tmp_path, thin, axes):
    shape = [8, 9, 10]
    shape[thin] = 1
    array = np.zeros(shape, np.int16)
    array[-1, -1, -1] = 5  # at the patient's right, front, top
    for k in range(2):
        saved(tmp_path / f"{k}.nii", array, np.diag([2.0, 3, 4, 1]))
    data = read(tmp_path)
    assert data.modality == "image"
    assert np.argwhere(data.samples[0, 0] == 5).tolist() == [[0, 0]]
    assert case_geometry(data, 0).axes == axes
    assert case_geometry(data, 0).mm == ((4, 3) if thin == 0 else (4, 2))


def test_free_text_of_headers_is_counted_and_dropped(tmp_path):
    for k in range(2):
        image = nibabel.Nifti1Image(body(), np.eye(4))
        image.header["descrip"], image.header["db_name"], image.header["aux_file"] = (
            b"CANARY Doe",
            b"CANARY",
            b"CANARY.txt",
        )
        image.header.extensions.append(
            nibabel.nifti1.Nifti1Extension("comment", b"CANARY extension")
        )
        image.to_filename(tmp_path / f"brain{k}.nii")
    data = read(tmp_path)
    assert data.card["deidentified"]["removed"] == {
        "descrip": 2,
        "aux_file": 2,
        "db_name": 2,
        "header extension": 2,
    }
    assert data.card["deidentified"]["faces"] is True
    assert "CANARY" not in str(data.card) + data.table.to_csv()
    data.save(tmp_path / "store")
    assert not any(
        b"CANARY" in p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file()
    )


def test_two_places_in_one_header_are_said(tmp_path):
    values = np.random.default_rng(0).normal(100, 9, (6, 7, 5)).astype(np.float32)
    for k in range(3):
        image = nibabel.Nifti1Image(values + k, np.diag([2, 2, 3, 1.0]))
        image.set_sform(np.diag([2, 2, 3, 1.0]), 1)
        image.set_qform(np.diag([-2, 2, 3, 1.0]), 1)
        nibabel.save(image, tmp_path / f"s{k}.nii")
    data = read(tmp_path)
    np.testing.assert_allclose(data.raw()[0, 0], values.transpose(2, 1, 0))
    assert any("3 scans say two places" in r for r in data.card["rules"])


def test_a_negative_voxel_size_is_a_size(tmp_path, caplog):
    values = np.random.default_rng(0).normal(100, 9, (6, 7, 5)).astype(np.float32)
    for k in range(3):
        path = tmp_path / f"s{k}.nii"
        nibabel.save(nibabel.Nifti1Image(values + k, np.diag([2, 2, 3, 1.0])), path)
        data = bytearray(path.read_bytes())
        struct.pack_into("<f", data, 80, -2.0)
        path.write_bytes(bytes(data))
    found = read(tmp_path)
    np.testing.assert_allclose(found.raw()[0, 0], values.transpose(2, 1, 0))
    assert found.card["scans"][0]["spacing_mm"] == [2, 2, 3]
    assert not caplog.records  # the library's own words reach nobody
