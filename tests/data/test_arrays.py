"""npz and npy: MedMNIST's parts, masks, what is refused, and how tightly arrays may be packed."""

import io
import zipfile

import numpy as np
import pytest

from core import limits
from core.data.readers import preview, read
from core.errors import UserError
from core.evidence import shared_data

RNG = np.random.default_rng(0)


def saved(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def medmnist(*shape, n=(20, 6, 8)):
    parts = dict(zip(("train", "val", "test"), n))
    arrays = {
        f"{p}_images": RNG.integers(0, 255, (k, *shape), dtype=np.uint8) for p, k in parts.items()
    }
    return arrays | {f"{p}_labels": (np.arange(k) % 3)[:, None] for p, k in parts.items()}


@pytest.mark.parametrize(
    ("shape", "kept", "modality"),
    [
        ((28, 28), (1, 28, 28), "image"),
        ((28, 28, 3), (3, 28, 28), "image"),
        ((28, 28, 28), (1, 28, 28, 28), "volume"),
    ],
)
def test_medmnist_keeps_its_parts(tmp_path, shape, kept, modality):
    arrays = medmnist(*shape)
    data = read(saved(tmp_path / "m.npz", **arrays))
    assert (data.modality, data.shape, data.classes) == (modality, kept, ["0", "1", "2"])
    assert [(data.splits == s).sum() for s in ("train", "val", "test")] == [20, 6, 8]
    assert data.card["split rule"] == "the data's own split"
    first = data.raw(np.array([20]))[0]  # the first validation picture
    assert np.array_equal(
        first[0],
        arrays["val_images"][0][..., 0] if shape == (28, 28, 3) else arrays["val_images"][0],
    )


def test_several_labels_a_row_come_in_without_labels_only(tmp_path):
    arrays = medmnist(8, 8) | {
        f"{p}_labels": np.zeros((k, 14)) for p, k in (("train", 20), ("val", 6), ("test", 8))
    }
    path = saved(tmp_path / "m.npz", **arrays)
    with pytest.raises(UserError, match="several values a row"):
        read(path)
    assert read(path, label="none").classes == []


def test_npy_and_npz_shapes(tmp_path):
    np.save(tmp_path / "t.npy", RNG.normal(size=(30, 4)))
    np.save(tmp_path / "i.npy", RNG.integers(0, 2, (30, 9, 8)).astype(bool))
    assert (read(tmp_path / "t.npy").modality, read(tmp_path / "t.npy").shape) == ("table", (4,))
    data = read(tmp_path / "i.npy")
    assert (data.modality, data.shape, data.input_range) == ("image", (1, 9, 8), (0, 1))
    path = saved(
        tmp_path / "a.npz",
        images=RNG.random((30, 2, 9, 8)),
        masks=np.ones((30, 9, 8)),
        patient=np.arange(30) // 5,
        y=np.array([b"ill", b"well"] * 15),
        extra=np.ones((30, 3)),
    )
    data = read(path)
    assert (data.shape, data.classes, data.roles["group"]) == (
        (2, 9, 8),
        ["ill", "well"],
        "patient",
    )
    assert data.mask().all()
    assert data.card["left out"] == ["extra (array)"]


@pytest.mark.parametrize(
    ("name", "shape", "kept", "modality"),
    [
        ("x", (64, 64, 2), (2, 64, 64), "image"),
        ("x", (28, 28, 4), (4, 28, 28), "image"),
        ("arr", (2, 64, 64), (2, 64, 64), "image"),
        ("images", (4, 20, 30), (4, 20, 30), "image"),
        ("imgs", (20, 30, 1), (1, 20, 30), "image"),
        ("samples", (24, 20, 22), (1, 24, 20, 22), "volume"),
        ("volumes", (12, 10, 11, 2), (2, 12, 10, 11), "volume"),
        ("v", (2, 12, 10, 11), (2, 12, 10, 11), "volume"),
        ("x", (3, 5, 5), (3, 5, 5), "image"),
        ("x", (4, 4, 3), (3, 4, 4), "image"),
        ("images_nchw", (13, 20, 20), (13, 20, 20), "image"),
        ("images_nhwc", (20, 20, 13), (13, 20, 20), "image"),
    ],
)
def test_channels_are_found_at_either_end(tmp_path, name, shape, kept, modality):
    values = RNG.random((6, *shape)).astype("f4")
    data = read(saved(tmp_path / "a.npz", **{name: values, "y": np.arange(6) % 2}))
    assert (data.modality, data.shape, data.classes) == (modality, kept, ["0", "1"])
    first = kept[0] == shape[0] or len(shape) < len(kept)
    expected = values if first else np.moveaxis(values, -1, 1)
    assert np.array_equal(data.samples, expected.reshape(6, *kept))
    if kept[0] > 1:
        axis = "first" if first else "last"
        assert any(f"{axis} axis the {kept[0]} channels" in r for r in data.card["rules"])


def test_axes_that_cannot_be_told_apart_are_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"which axis of samples of 4 x 4 x 4 .*images_nchw"):
        read(saved(tmp_path / "a.npz", x=RNG.random((6, 4, 4, 4))))


def test_a_full_fourth_channel_is_opacity(tmp_path):
    colours = RNG.integers(0, 255, (6, 12, 10, 4), dtype=np.uint8)
    assert read(saved(tmp_path / "a.npz", x=colours)).shape == (4, 12, 10)
    colours[..., 3] = 255
    data = read(saved(tmp_path / "a.npz", x=colours))
    assert np.array_equal(data.samples, colours[..., :3].transpose(0, 3, 1, 2))
    assert any("opaque" in r for r in data.card["rules"])


def test_missing_values_stay_in_tables_and_are_refused_in_pictures(tmp_path):
    x = RNG.normal(size=(30, 4))
    x[7, 2] = np.nan
    assert np.isnan(read(saved(tmp_path / "t.npz", X=x, y=np.arange(30) % 2)).inputs()[7, 2])
    x[7, 2] = np.inf
    with pytest.raises(UserError, match="row 7, column x3"):
        read(saved(tmp_path / "t.npz", X=x))
    pictures = 1 + RNG.random((30, 4, 4))
    pictures[11, 0, :2] = np.nan
    data = read(saved(tmp_path / "p.npz", x=pictures))
    assert data.samples[11, 0, 0, 0] == pytest.approx(np.nanmin(pictures))
    assert any(
        "2 values without a number (NaN) in 1 samples are background" in r
        for r in data.card["rules"]
    )
    pictures[4] = np.nan
    with pytest.raises(UserError, match=r"sample 4 holds no number .* fix or remove it"):
        read(saved(tmp_path / "p.npz", x=pictures))


NAMES = [
    "x_train y_train x_test y_test",
    "X_train y_train X_test y_test",
    "train_x train_y test_x test_y",
    "trainX trainY testX testY",
    "train_data train_labels test_data test_labels",
    "images_train labels_train images_val labels_val",
]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("shape", [(6,), (9, 8)])
def test_arrays_by_part_are_one_dataset_with_its_own_split(tmp_path, names, shape):
    x, z = RNG.random((30, *shape)), RNG.random((12, *shape))
    arrays = dict(zip(names.split(), (x, np.arange(30) % 3, z, np.arange(12) % 3)))
    data = read(saved(tmp_path / "a.npz", **arrays))
    other = "val" if "val" in names else "test"
    assert (len(data), data.classes, data.card["split rule"]) == (
        42,
        ["0", "1", "2"],
        "the data's own split",
    )
    assert (data.splits == "train").tolist() == [True] * 30 + [False] * 12
    assert set(data.splits[30:]) == {other}
    assert np.allclose(np.asarray(data.samples).reshape(42, -1)[30:], z.reshape(12, -1), atol=1e-6)
    seen = preview(tmp_path / "a.npz")
    assert seen["classes"]["label"] == ["0", "1", "2"]
    assert [g["role"] for g in seen["guesses"]] == ["split", "outcome"]


def test_labels_of_one_part_only(tmp_path):
    x, z = RNG.random((30, 9, 8)), RNG.random((12, 9, 8))
    data = read(saved(tmp_path / "a.npz", x_train=x, y_train=np.arange(30) % 2, x_test=z))
    assert data.classes == ["0", "1"]
    assert (data.labels < 0).tolist() == [False] * 30 + [True] * 12


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.array([{"a": 1}, None], dtype=object)}, "Python objects"),
        ({"x": np.zeros((4, 4), complex)}, "complex128"),
        ({"x": np.array([["a", "b"], ["c", "d"]])}, "words"),
        ({"x": np.zeros((0, 4))}, r"shape \(0, 4\)"),
        ({"x": np.ones((1, 4))}, "1 row|one value only"),
        ({"x": np.ones((9, 4))}, "nothing to learn"),
        (
            {"x": np.arange(40.0).reshape(10, 4), "y": np.zeros(9)},
            "“y” has 9 entries for 10 samples",
        ),
        ({"x": np.zeros((9, 8, 7)), "mask": np.zeros((9, 7, 8))}, r"masks have shape \(7, 8\)"),
        (
            {"train_images": np.zeros((9, 8, 7)), "train_masks": np.zeros((0, 8, 7))},
            "0 masks for 9 pictures",
        ),
        ({"a": np.zeros(3)}, "no array of samples"),
        (
            {"train_images": np.zeros((4, 8, 8)), "val_images": np.zeros((4, 9, 9))},
            "differ in shape",
        ),
        (
            {"train_images": np.zeros((4, 8, 8)), "train_labels": np.zeros(3)},
            "“train_labels” has 3 entries for 4",
        ),
    ],
)
def test_what_is_refused_is_named(tmp_path, arrays, said):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(UserError, match=said) as e:
        read(tmp_path / "bad.npz")
    assert "bad.npz" in str(e.value)


@pytest.mark.parametrize("cut", [10, 300, 0.7])
def test_cut_off_files_end_in_a_sentence(tmp_path, cut):
    for path, suffix in (
        (saved(tmp_path / "a.npz", x=RNG.random((30, 9))), "npz"),
        (tmp_path / "a.npy", "npy"),
    ):
        np.save(tmp_path / "a.npy", RNG.random((30, 9)))
        data = path.read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(data[: int(cut * len(data)) if cut < 1 else cut])
        with pytest.raises(UserError, match=rf"cut\.{suffix}"):
            read(tmp_path / f"cut.{suffix}")


def member(array, pad=0, shape=None):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "|u1", "fortran_order": False, "shape": shape or array.shape}
    )
    return out.getvalue() + array.tobytes() + b"\0" * pad


def packed(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members.items():
            z.writestr(f"{name}.npy", data)
    return path


def test_masks_pack_tighter_than_the_ratio_when_the_header_accounts_for_every_byte(
    tmp_path, monkeypatch
):
    masks = np.zeros((60, 200, 200), np.uint8)
    masks[3, 4, 5] = 1
    pictures = member(RNG.integers(0, 255, masks.shape, dtype=np.uint8))
    path = packed(tmp_path / "ok.npz", images=pictures, masks=member(masks))
    small = zipfile.ZipFile(path).getinfo("masks.npy")
    assert small.file_size > limits.RATIO * max(small.compress_size, 4096)
    assert np.argwhere(read(path).masks).tolist() == [[3, 4, 5]]
    padded = packed(tmp_path / "padded.npz", images=pictures, masks=member(masks, pad=9_000_000))
    with pytest.raises(UserError, match="“masks” unpacks to more than 200 times"):
        read(padded)
    claimed = packed(
        tmp_path / "claimed.npz", images=pictures, masks=member(masks, shape=(60, 200, 300))
    )
    with pytest.raises(UserError, match="200 times"):
        read(claimed)
    monkeypatch.setattr(limits, "VALUES", 4_000_000)
    with pytest.raises(UserError, match="more than 3 MB"):
        read(path)


@pytest.mark.skipif(shared_data() is None, reason="the real open data is not here")
def test_real_arrays():
    data = read(shared_data() / "ms_lesion_mri" / "derived_axial_slices_128.npz", group="patient")
    assert (len(data), data.shape) == (94, (2, 128, 128))
    assert data.mask().reshape(94, -1).any(1).sum() == 72
    assert data.table.groupby("patient")["split"].nunique().max() == 1
    data = read(shared_data() / "pneumoniamnist_balanced" / "pneumoniamnist_balanced.npz")
    assert np.bincount(data.part("train").labels).tolist() == [1214, 1214]
