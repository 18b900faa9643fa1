"""What masks of pictures and arrays mark: by index, at half of their range, by label, in colours;
whose they are; findings."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from core.data.checks import Facts, check_dataset
from core.data.readers import read
from core.data.readers.masks import encode_masks
from core.errors import UserError

Y, X = np.mgrid[:48, :48]
DISCS = [(Y - 20 - i) ** 2 + (X - 25 + i) ** 2 < 100 for i in range(4)]
# a core within a rim
TWO = [
    d.astype(np.uint8) + ((Y - 20 - i) ** 2 + (X - 25 + i) ** 2 < 25) for i, d in enumerate(DISCS)
]
MARKED = sum(int(d.sum()) for d in DISCS)


def packed(values, kind="PNG", palette=None, **how):
    image = Image.fromarray(values)
    if palette is not None:
        image = Image.fromarray(values, mode="L").convert("P")
        image.putdata(values.ravel().tolist())
        image.putpalette(palette)
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def brought(path, masks, names=("masks/{}.png",), picture="images/{}.png"):
    """A folder of pictures with noise of their own, and these masks (bytes) beside them."""
    noise = np.random.default_rng(0)
    for i, mask in enumerate(masks):
        files = {picture.format(i): packed(noise.integers(0, 255, Y.shape, dtype=np.uint8))}
        files |= {name.format(i): mask for name in names}
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return read(path)


def rules(data):
    return " ".join(data.card["rules"])


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg_masks_are_cut_at_half_of_their_range(tmp_path, quality):
    data = brought(
        tmp_path,
        [packed(d * np.uint8(255), "JPEG", quality=quality) for d in DISCS],
        ["masks/{}.jpg"],
    )
    assert np.array_equal(data.mask(), np.stack(DISCS))
    assert "values from 127.5 are marked" in rules(data)
    assert data.masks.max() == 1


def test_jpeg_masks_saved_again_as_png_and_smoothed_ones_are_cut_alike(tmp_path):
    again = [
        np.asarray(Image.open(io.BytesIO(packed(d * np.uint8(255), "JPEG", quality=75))))
        for d in DISCS
    ]
    data = brought(tmp_path / "a", [packed(a) for a in again])
    assert np.array_equal(data.mask(), np.stack(DISCS))
    blurred = [ndimage.gaussian_filter(d * 255.0, 1.5).astype(np.uint8) for d in DISCS]
    data = brought(tmp_path / "b", [packed(b) for b in blurred])
    assert np.array_equal(data.mask(), np.stack(blurred) >= 127.5)
    assert "smoothed" in rules(data)
    small = [
        np.asarray(Image.fromarray(d * np.uint8(255)).resize((24, 24), Image.Resampling.BOX))
        for d in DISCS
    ]
    data = brought(tmp_path / "c", [packed(s) for s in small])
    assert data.mask().sum() == pytest.approx(MARKED, rel=0.08)


@pytest.mark.parametrize(
    ("top", "codes"), [(1, {0, 1, 2}), (85, {0, 85, 170}), (127, {0, 127, 254})]
)
def test_several_labels_stay_labels(tmp_path, top, codes):
    data = brought(tmp_path, [packed((t * top).astype(np.uint8)) for t in TWO])
    assert set(np.unique(data.masks)) == codes
    assert data.mask().sum() == MARKED
    assert "2 labels" in rules(data)
    assert data.card["masks"]["labels"] == {str(c): str(c) for c in sorted(codes) if c}


def test_soft_edges_between_several_labels_take_the_nearest_label(tmp_path):
    large = [np.kron(t, np.full((3, 3), 127, np.uint8)) for t in TWO]
    data = brought(tmp_path, [packed(t, "JPEG", quality=80) for t in large], ["masks/{}.jpg"])
    assert set(np.unique(data.masks)) == {0, 127, 254}
    assert (data.masks == np.stack(TWO) * 127).mean() > 0.99


def test_objects_with_numbers_keep_them_up_to_255_and_large_numbers_are_counted_anew(tmp_path):
    spots = [ndimage.label((Y % 8 < 5) & (X % 8 < 5))[0].astype(np.uint16) for _ in range(3)]
    data = brought(tmp_path / "a", [packed(s) for s in spots])
    assert np.array_equal(data.masks, np.stack(spots))
    data = brought(tmp_path / "b", [packed(t.astype(np.uint16) * 1000) for t in TWO])
    assert np.array_equal(data.masks, np.stack(TWO))
    assert data.card["masks"]["labels"] == {"1": "1000", "2": "2000"}
    many = [
        np.where(s > 0, s.astype(np.int32) + 200 * k, 0).astype(np.uint16)
        for k, s in enumerate(spots * 4)
    ]
    data = brought(tmp_path / "c", [packed(m) for m in many])
    assert np.array_equal(data.masks, np.stack(many) > 0)
    assert "one an object?" in rules(data)


def test_palettes_count_by_index_and_their_border_index_is_not_marked(tmp_path):
    voc = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 756 + [224, 224, 192]
    values = [
        np.where(ndimage.binary_dilation(d) & ~d, 255, t).astype(np.uint8)
        for d, t in zip(DISCS, TWO)
    ]
    data = brought(tmp_path / "voc", [packed(v, palette=voc[:768]) for v in values])
    assert np.array_equal(data.masks, np.stack(TWO))
    assert "index 255" in rules(data)
    # dark colours: places in the palette count, not how bright they are
    dark = [9, 9, 9, 0, 0, 1, 1, 0, 0]
    data = brought(tmp_path / "dark", [packed(t, palette=dark) for t in TWO])
    assert np.array_equal(data.masks, np.stack(TWO))
    turned = [255, 255, 255, 0, 0, 0]  # a grey palette is but a way to save greys
    data = brought(
        tmp_path / "turned", [packed((~d).astype(np.uint8), palette=turned) for d in DISCS]
    )
    assert np.array_equal(data.mask(), np.stack(DISCS))


def test_colours_become_labels_and_grey_in_three_channels_stays_grey(tmp_path):
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    data = brought(tmp_path / "a", [packed(colours[t]) for t in TWO])
    # in the order of their numbers
    assert np.array_equal(data.masks, np.stack([np.array([0, 2, 1], np.uint8)[t] for t in TWO]))
    assert "1 = #0000ff, 2 = #ff0000" in rules(data)
    data = brought(
        tmp_path / "b", [packed(np.repeat((d * np.uint8(255))[..., None], 3, 2)) for d in DISCS]
    )
    assert np.array_equal(data.masks, np.stack(DISCS))
    # drawn by its alpha alone
    clear = [np.stack([*[np.zeros_like(d, np.uint8)] * 3, d * np.uint8(255)], -1) for d in DISCS]
    data = brought(tmp_path / "c", [packed(c) for c in clear])
    assert np.array_equal(data.mask(), np.stack(DISCS))


def test_a_single_mark_is_1_whatever_its_value_and_soft_arrays_are_cut_at_a_half(tmp_path):
    for top in (1, 7, 255):
        assert set(np.unique(encode_masks(np.stack(DISCS) * np.uint8(top))[0])) == {0, 1}
    soft = np.stack([ndimage.gaussian_filter(d.astype(float), 2) for d in DISCS])
    images = np.random.default_rng(0).integers(0, 255, (4, 48, 48), dtype=np.uint8)
    np.savez(tmp_path / "soft.npz", images=images, masks=soft)
    data = read(tmp_path / "soft.npz")
    assert np.array_equal(data.mask(), soft >= 0.5)
    assert any("0.5" in r for r in data.card["rules"])
    np.savez(tmp_path / "labels.npz", images=images, masks=np.stack(TWO)[:, None])
    assert np.array_equal(read(tmp_path / "labels.npz").masks, np.stack(TWO))
    np.savez(tmp_path / "lacking.npz", images=images, masks=np.where(np.stack(DISCS), 1.0, np.nan))
    assert np.array_equal(read(tmp_path / "lacking.npz").mask(), np.stack(DISCS))


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("images/{}.png", "masks/{}.png"),
        ("images/{}.png", "labels/{}.png"),
        ("images/{}.png", "gt/{}.png"),
        ("images/{}.png", "SegmentationClass/{}.png"),
        ("images/{}.png", "annotations/{}.png"),
        ("train/{}.png", "train_masks/{}_mask.png"),
        ("ISIC_Data/ISIC_{}.png", "ISIC_GroundTruth/ISIC_{}_segmentation.png"),
        ("images/img_{}.png", "masks/mask_{}.png"),
        ("case{}.png", "case{}_mask.png"),
        ("sick/{}.png", "sick/{}_mask.png"),
        ("x{0}/images/x{0}.png", "x{0}/masks/abc.png"),
    ],
)
def test_masks_are_found_by_folder_or_beside_their_picture(tmp_path, picture, mask):
    masks = [packed(d * np.uint8(255)) for d in DISCS]
    data = brought(tmp_path, masks, [mask], picture)
    assert len(data) == 4
    assert np.array_equal(data.mask(), np.stack(DISCS))


def test_one_mark_written_as_1_here_and_as_255_there_is_one_mark(tmp_path):
    data = brought(tmp_path, [packed(d * np.uint8(top)) for d, top in zip(DISCS, (1, 255, 1, 255))])
    assert np.array_equal(data.masks, np.stack(DISCS))


def test_several_masks_of_one_picture_are_put_together(tmp_path):
    parts = packed(DISCS[0] * np.uint8(255))
    data = brought(tmp_path, [parts, parts], ["c{}_mask.png"], "c{}.png")
    (tmp_path / "c0_mask_1.png").write_bytes(packed(DISCS[3] * np.uint8(255)))
    data = read(tmp_path)
    assert len(data) == 2
    assert np.array_equal(data.mask(), np.stack([DISCS[0] | DISCS[3], DISCS[0]]))


def test_a_mask_whose_picture_is_not_there_goes_to_no_other(tmp_path):
    masks = [packed(d * np.uint8(255)) for d in DISCS]
    brought(tmp_path, masks, ["masks/ill/{}.png"], "ill/{}.png")
    brought(tmp_path, masks, ["well/{}.png"], "well/{}.png")
    (tmp_path / "ill" / "2.png").unlink()
    with pytest.raises(UserError, match=r"masks/ill/2\.png has no picture"):
        read(tmp_path)


def test_classes_with_the_word_mask_in_their_name_are_no_masks(tmp_path):
    noise = np.random.default_rng(0)
    for kind in ("with_mask", "without_mask"):
        for i in range(5):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / f"{i}.png").write_bytes(
                packed(noise.integers(0, 255, Y.shape, dtype=np.uint8))
            )
    data = read(tmp_path)
    assert (len(data), data.classes, data.masks) == (10, ["with_mask", "without_mask"], None)


def test_where_nobody_drew_the_truth_is_not_known_unless_a_whole_class_has_no_mask(tmp_path):
    noise = np.random.default_rng(0)
    for kind in ("good", "broken"):
        for i in range(5):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / f"{kind}{i}.png").write_bytes(
                packed(noise.integers(0, 255, Y.shape, dtype=np.uint8))
            )
    (tmp_path / "masks").mkdir()
    for i in range(4):
        (tmp_path / "masks" / f"broken{i}.png").write_bytes(packed(DISCS[i] * np.uint8(255)))
    data = read(tmp_path)
    assert list(data.table["file"][~data.outlined]) == ["broken/broken4.png"]
    (tmp_path / "masks" / "broken4.png").write_bytes(packed(DISCS[0] * np.uint8(255)))
    assert read(tmp_path).outlined.all()


def test_masks_that_are_pictures_are_refused(tmp_path):
    noise = np.random.default_rng(0)
    with pytest.raises(UserError, match="may be pictures"):
        brought(
            tmp_path,
            [packed(noise.integers(0, 255, (48, 48, 3), dtype=np.uint8)) for _ in range(3)],
        )


def test_masks_that_mark_most_of_a_picture_are_a_finding(tmp_path):
    def found(data):
        return [f.words for f in check_dataset(data, Facts()) if f.kind == "masks inverted"]

    assert not found(brought(tmp_path / "a", [packed(d * np.uint8(255)) for d in DISCS]))
    assert (
        "inverted" in found(brought(tmp_path / "b", [packed(~d * np.uint8(255)) for d in DISCS]))[0]
    )


def test_masks_of_two_sides_in_folders_called_after_them_are_one_mask(tmp_path):
    noise = np.random.default_rng(0)
    for i in range(4):
        files = {"CXR_png": noise.integers(0, 255, Y.shape, dtype=np.uint8)}
        files["ManualMask/leftMask"] = np.uint8(255) * np.less(X, 10 + i)
        files["ManualMask/rightMask"] = np.uint8(255) * (X > 40)
        for folder, values in files.items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / f"M_{i}.png").write_bytes(packed(values))
    data = read(tmp_path)
    assert len(data) == 4
    assert "label" not in data.roles
    assert [int(m.sum()) for m in data.masks[:]] == [48 * (10 + i + 7) for i in range(4)]
    assert "what any of them marks is marked" in rules(data)


def test_a_mask_of_another_size_is_scaled_and_said(tmp_path):
    twice = [packed(np.kron(d, np.ones((2, 2))).astype(np.uint8) * np.uint8(255)) for d in DISCS]
    data = brought(tmp_path, twice)
    assert int(data.masks[:].sum()) == MARKED
    assert "4 masks are of another size" in rules(data)


def test_a_mask_of_another_proportion_is_refused(tmp_path):
    narrow = [packed(d[:, :36] * np.uint8(255)) for d in DISCS]
    with pytest.raises(UserError, match=r"masks/0.png has 36 by 48 pixels .* another proportion"):
        brought(tmp_path, narrow)


def test_a_mask_that_fades_out_slowly_is_cut_at_half(tmp_path):
    """Its slopes hold every value; none of them is a label."""
    hill = 255 * np.exp(-((Y - 24) ** 2 + (X - 24) ** 2) / 150)
    data = brought(tmp_path, [packed(hill.astype(np.uint8))] * 4)
    assert [int(m.sum()) for m in data.masks[:]] == [int((hill.astype(int) >= 127.5).sum())] * 4
    assert "values from 127.5 are marked" in rules(data)


def test_in_a_grey_palette_from_white_to_black_the_commoner_value_is_background(tmp_path):
    white_first = [255, 255, 255, 0, 0, 0]
    data = brought(tmp_path, [packed(d.astype(np.uint8), palette=white_first) for d in DISCS])
    assert data.mask().sum() == MARKED
    assert "4 masks are stored with 0 for white" in rules(data)
    assert "a guess, white, the commoner one" in rules(data)


def test_a_grey_palette_from_black_to_white_is_read_as_its_greys(tmp_path):
    black_first = [0, 0, 0, 255, 255, 255]
    data = brought(tmp_path, [packed(d.astype(np.uint8), palette=black_first) for d in DISCS])
    assert data.mask().sum() == MARKED
    assert "0 for white" not in rules(data)


def like_masks(data):
    return [f for f in check_dataset(data, Facts()) if f.kind == "like masks"]


@pytest.mark.parametrize(
    "drawn",
    [
        lambda d, i: packed(d * np.uint8(255)),
        lambda d, i: packed(d * np.uint8(255), "JPEG", quality=90),
        lambda d, i: packed(ndimage.label(d ^ (X > 25))[0].astype(np.uint16) * 300),
        lambda d, i: packed(
            np.stack([d * np.uint8(200), (X > 30) * np.uint8(99), d * np.uint8(0)], -1)
        ),
    ],
)
def test_left_over_pictures_that_look_like_masks_are_a_finding(tmp_path, drawn):
    noise = np.random.default_rng(0)
    for i, d in enumerate(DISCS):
        blurred = ndimage.gaussian_filter(noise.normal(120, 60, Y.shape), 2)
        made = packed(np.clip(blurred, 0, 255).astype(np.uint8))
        (tmp_path / f"scan{i}.png").write_bytes(made)
        (tmp_path / f"drawing{i}.png").write_bytes(drawn(d, i))
    data = read(tmp_path)
    (finding,) = like_masks(data)
    assert finding.severity == "look"
    assert finding.total == 4
    names = data.of(np.array(finding.rows)).column("file")
    assert sorted(names) == [f"drawing{i}.png" for i in range(4)]


def test_dark_and_black_and_white_pictures_are_no_masks_left_over(tmp_path):
    noise = np.random.default_rng(0)
    for i in range(4):
        dark = np.where(DISCS[i], noise.poisson(30, Y.shape), 0).astype(np.uint8)
        (tmp_path / f"dark{i}.png").write_bytes(packed(dark))
        xray = np.clip(ndimage.gaussian_filter(noise.normal(120, 90, Y.shape), 3), 0, 255)
        (tmp_path / f"xray{i}.jpg").write_bytes(packed(xray.astype(np.uint8), "JPEG"))
    assert not like_masks(read(tmp_path))


@pytest.mark.parametrize("rare", [True, False])
def test_masks_stored_with_0_for_white_have_the_commoner_value_as_background(tmp_path, rare):
    """As ImageJ saves inverted masks, and tifffile those of bool; or truly white on black."""
    for i, d in enumerate(DISCS):
        stored = d if rare else ~d
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 255, Y.shape, dtype=np.uint8)
        (tmp_path / f"images/{i}.png").write_bytes(packed(noise))
        mask = stored if i % 2 else stored * np.uint8(255)
        tifffile.imwrite(tmp_path / f"masks/{i}.tif", mask, photometric="miniswhite")
    data = read(tmp_path)
    np.testing.assert_array_equal(data.mask(), np.stack(DISCS))
    assert "4 masks are stored with 0 for white" in rules(data)


def test_a_mask_for_each_lesion_goes_to_the_picture_its_name_begins_with(tmp_path):
    both = DISCS[0] | np.roll(DISCS[0], 20, 1)
    parts = [packed(p * np.uint8(255)) for p in (DISCS[0], np.roll(DISCS[0], 20, 1))]
    for i in range(12):
        files = {
            f"images/case{i}.png": packed(
                np.random.default_rng(i).integers(0, 255, Y.shape, dtype=np.uint8)
            )
        }
        files |= {f"masks/case{i}_{k}.png": part for k, part in enumerate(parts)}
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    data = read(tmp_path)
    np.testing.assert_array_equal(data.mask(), np.stack([both] * 12))
    assert "12 pictures have more than one mask" in rules(data)


def test_a_mask_named_as_other_pictures_are_goes_to_none_by_its_beginning(tmp_path):
    for name in ("images/case1.png", "images/case1_1.png", "masks/case1_2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(packed(DISCS[len(name) % 4] * np.uint8(255)))
    with pytest.raises(UserError, match=r"case1_2.png has no picture of the same name"):
        read(tmp_path)


@pytest.mark.parametrize("square", [False, True])
def test_masks_of_pictures_that_exif_turns(tmp_path, square):
    """One that lies on its side beside an upright picture is turned alike; in a square one it
    cannot be told, and is said."""
    width = 48 if square else 40
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i, d in enumerate(DISCS):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned a quarter to the right
        noise = np.random.default_rng(i).integers(0, 255, (48, width), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"images/{i}.jpg", exif=exif)
        (tmp_path / f"masks/{i}.png").write_bytes(packed(d[:, :width] * np.uint8(255)))
    data = read(tmp_path)
    drawn = np.stack([d[:, :width] for d in DISCS])
    right = drawn if square else np.rot90(drawn, -1, axes=(1, 2))
    np.testing.assert_array_equal(data.mask(), right)
    assert ("(a guess)" in rules(data)) == square
    assert ("turned alike" in rules(data)) == (not square)


def test_transparency_and_depths_side_by_side_are_said(tmp_path):
    noise = np.random.default_rng(0).integers(50, 250, Y.shape, dtype=np.uint8)
    clear = np.dstack([noise] * 3 + [DISCS[0] * np.uint8(255)])
    for k in range(2):
        (tmp_path / f"clear{k}.png").write_bytes(packed(clear))
        (tmp_path / f"deep{k}.png").write_bytes(packed(noise.astype(np.uint16) * 200))
    data = read(tmp_path)
    assert (data.raw()[0, 0][~DISCS[0]] == 0).all()
    assert "2 pictures are transparent in parts (alpha): laid on black" in rules(data)
    assert "2 pictures of 8 bits stand beside 2 deeper ones" in rules(data)


def test_255_beside_small_numbers_is_what_nobody_judged(tmp_path):
    borders = [ndimage.binary_dilation(d) & ~d for d in DISCS]
    values = [np.where(b, 255, t).astype(np.uint8) for b, t in zip(borders, TWO)]
    data = brought(tmp_path / "a", [packed(v) for v in values])
    np.testing.assert_array_equal(data.masks, np.stack(TWO))
    assert "border pixels (value 255, a guess) are not marked" in rules(data)
    # most of what is marked: a label
    values = [np.where(X > 30, 255, d).astype(np.uint8) for d in DISCS]
    data = brought(tmp_path / "b", [packed(v) for v in values])
    assert data.mask().sum() == sum(int((d | (X > 30)).sum()) for d in DISCS)


def test_each_mask_is_decoded_once_to_be_looked_at_and_once_to_be_kept(tmp_path, monkeypatch):
    from core.data.readers import mask_values

    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for k in range(6):
        picture = rng.integers(0, 255, (20, 20)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{k}.tif")
        mask = np.zeros((20, 20), np.uint8)
        mask[3:9, 4 : 10 + k] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{k}.tif")
    read_mask, times = mask_values.read_mask, Counter()

    def counted(member):
        times[member.name] += 1
        return read_mask(member)

    monkeypatch.setattr(mask_values, "read_mask", counted)
    data = read(tmp_path)
    assert np.asarray(data.masks[:]).sum() == sum(6 * (6 + k) for k in range(6))
    assert set(times.values()) == {2}
