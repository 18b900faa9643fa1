"""Readers on files made here: what is true comes in, what is broken ends in one sentence."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.data.readers import preview, read
from core.errors import UserError


def png(seed=0, size=(20, 24)):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)).save(
        out, "PNG"
    )
    return out.getvalue()


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as z:
        for name, data in files.items():
            z.writestr(name, data)
    return path


def test_zip_of_folders_gives_classes_and_masks(tmp_path):
    files = {
        f"{c}/{i}.png": png(i)
        for c in ("ill", "well")
        for i in range(10 if c == "ill" else 0, 10 if c == "ill" else 20)
    }
    files = (
        {f"ill/{i}.png": png(i) for i in range(10)}
        | {f"well/{i}.png": png(i) for i in range(10, 20)}
        | {"masks/3.png": png(3)}
    )
    data = read(zipped(tmp_path / "a.zip", files))
    assert data.modality == "image"
    assert data.shape == (1, 20, 24)
    assert data.classes == ["ill", "well"]
    assert data.mask().reshape(20, -1).any(1).sum() == 1


def test_groups_never_stand_on_two_sides(tmp_path):
    lines = ["patient,age,diagnosis"] + [
        f"P{i // 4},{i % 37},{'a' if i % 3 else 'b'}" for i in range(80)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    data = read(tmp_path / "t.csv", group="patient", label="diagnosis")
    sides = {}
    for g, s in zip(data.groups, data.splits):
        sides.setdefault(g, set()).add(s)
    assert all(len(s) == 1 for s in sides.values())
    assert set(data.splits) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.png", b"this is text, not a picture", "no picture"),
        ("x.csv", b"a,b\n1,2\n3\n", "line 3"),
        ("x.csv", b"a,b\n1,2\n", "at least 2"),
        ("x.csv", b"", "empty"),
        ("x.csv", b"a,b\n1,inf\n2,3\n", "not a finite number"),
        ("x.dcm", b"\0" * 128 + b"DICM\x02\x00", "DICOM"),
        ("x.png", png()[:200], "cut off"),
    ],
)
def test_bad_files_end_in_a_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read(tmp_path / name)


def test_object_arrays_and_unsafe_zips_are_refused(tmp_path):
    np.savez(tmp_path / "o.npz", x=np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(UserError, match="Python objects"):
        read(tmp_path / "o.npz")
    with pytest.raises(UserError, match="outside"):
        read(zipped(tmp_path / "z.zip", {"../evil.png": png()}))
    with pytest.raises(UserError, match="no files"):
        read(zipped(tmp_path / "e.zip", {}))


def test_ct_values_are_hounsfield_units(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from core.data.readers.dicom import package_files, read_scan

    path = next(p for p, _ in package_files() if p.name == "CT_small.dcm")
    header = pydicom.dcmread(path)
    pixels = read_scan(path)
    expected = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    assert np.allclose(pixels[0], expected)


def test_of_files_of_several_kinds_the_one_named_comes_in_and_the_others_are_named(tmp_path):
    for i in range(4):
        Image.fromarray(np.full((8, 8), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    np.savez(tmp_path / "same.npz", x=np.zeros((5, 8, 8), np.uint8))
    (tmp_path / "about.csv").write_text(
        "file,age\n" + "".join(f"{i}.png,{50 + i}\n" for i in range(4))
    )
    assert preview(tmp_path)["kinds"] == {"picture": 4, "npz": 1}
    with pytest.raises(UserError, match="or say which kind to take"):
        read(tmp_path)
    pictures = read(tmp_path, take="picture")
    assert (pictures.modality, len(pictures)) == ("image", 4)
    assert "1 npz file" in pictures.card["left out"]
    arrays = read(tmp_path, take="npz")
    assert len(arrays) == 5
    assert {"4 picture files", "1 table file"} <= set(arrays.card["left out"])
    with pytest.raises(UserError, match=r"no files of the kind “edf” \(there are: picture, npz\)"):
        read(tmp_path, take="edf")


@pytest.mark.parametrize(
    ("folders", "role"),
    [
        (["patient01", "patient02", "patient03"], "group"),
        (["TCGA_CS_4941", "TCGA_DU_5851", "TCGA_DU_6399"], "group"),
        (["LIDC-IDRI-0001", "LIDC-IDRI-0002"], "group"),
        (["grade_001", "grade_002", "grade_003"], "label"),
        (["0", "1", "2"], "label"),
        (["covid19", "normal"], "label"),
        (["n02123045", "n02123159"], "label"),
        (["stage 1", "stage 2"], "label"),
    ],
)
def test_folders_of_pictures_are_classes_unless_they_count_patients(tmp_path, folders, role):
    noise = np.random.default_rng(0)
    for folder in folders:
        (tmp_path / folder).mkdir()
        for k in range(6):
            picture = noise.integers(0, 255, (16, 16), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / folder / f"{k}.png")
    data = read(tmp_path)
    assert ("label" in data.roles, "group" in data.roles) == (role == "label", role == "group")
    assert sorted(set(data.frame[data.roles[role]])) == folders
    if role == "group":
        assert data.frame.groupby("patient")["split"].nunique().max() == 1
        assert len(read(tmp_path, label="folder").classes) == len(folders)


def test_folders_of_patients_within_classes_are_both(tmp_path):
    noise = np.random.default_rng(0)
    for k in range(24):
        folder = tmp_path / ("ill", "well")[k % 2] / f"patient{k // 3:02}"
        folder.mkdir(parents=True, exist_ok=True)
        picture = noise.integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{k}.png")
    data = read(tmp_path)
    assert data.classes == ["ill", "well"]
    assert data.frame["patient"].nunique() == 16
