"""Grey values of pictures of every depth: order kept, one factor for all, the files' own range
stored beside."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from core.data.checks import check_dataset
from core.data.readers import read
from core.data.readers.grey import GreyRange
from core.errors import UserError

X = np.tile(np.arange(40), (32, 1))  # brighter from left to right


def folder(path, arrays, **how):
    for i, a in enumerate(arrays):
        tifffile.imwrite(path / f"{i:02}.tif", a, **how)
    return read(path)


def rising(row):
    return bool((np.diff(row.astype(int)) > 0).all())


@pytest.mark.parametrize(
    ("kind", "scale", "low", "high"),
    [
        ("<i2", lambda x: x * 50 - 1000, -1000, 959),
        (">i2", lambda x: x * 50 - 1000, -1000, 959),
        ("<i4", lambda x: x * 50 - 1000, -1000, 959),
        ("i1", lambda x: x * 6 - 120, -120, 123),
        ("<u4", lambda x: x * 10_000, 0, 390_009),
        ("<u2", lambda x: x * 100, 0, 3909),
        ("<u2", lambda x: x * 50 + 32768, 32768, 34727),
        ("<f4", lambda x: x / 40 - 0.5, -0.5, 9.475),
        ("<f8", lambda x: x * 1e-3, 0, 9.039),
        ("<f2", lambda x: x / 8.0, 0, 13.875),
    ],
)
def test_values_keep_their_order_and_range(tmp_path, kind, scale, low, high):
    data = folder(
        tmp_path, [(scale(X) + i).astype(kind) for i in range(10)], photometric="minisblack"
    )
    assert (data.shape, data.samples.dtype) == ((1, 32, 40), np.uint8)
    if np.ptp(scale(X)) * 255 > 100 * (high - low):  # forty columns fit into the levels
        assert all(rising(s[0, 0]) for s in data.samples)
    assert (
        np.diff(data.samples[:, 0, 0, 5].astype(int)) >= 0
    ).all()  # one factor: each picture is as bright as the one before or brighter
    assert (data.samples.min(), data.samples.max()) == (0, 255)
    assert data.card["grey range"] == pytest.approx([low, high], rel=1e-6)
    assert any(
        "by one factor for all" in r and f"{low:.6g} becomes 0" in r for r in data.card["rules"]
    )


@pytest.mark.parametrize("kind", ["u1", "<u2", "<u4", "<i2", "<f4"])
def test_white_is_zero_is_turned_at_every_depth(tmp_path, kind):
    data = folder(tmp_path, [(X * 3 + i).astype(kind) for i in range(4)], photometric="miniswhite")
    assert all(rising(-s[0, 0].astype(int)) for s in data.samples)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_use_the_whole_range(tmp_path, bits):
    top = (1 << bits) - 1
    for i in range(2):
        image = Image.fromarray((X % (top + 1)).astype(np.uint8))
        image = image.point(lambda v: 255 * v).convert("1") if bits == 1 else image
        image.save(tmp_path / f"{i}.png", bits=bits)
    if bits > 1:  # Pillow writes a palette or 8 bits: a grey PNG of few bits by hand
        for i in range(2):
            (tmp_path / f"{i}.png").write_bytes(png((X % (top + 1)).astype(np.uint8), bits))
    assert sorted(set(read(tmp_path).samples.ravel())) == [
        round(255 * v / top) for v in range(top + 1)
    ]


def png(values, bits):
    packed = [
        np.packbits(((line[:, None] >> np.arange(bits)[::-1]) & 1).ravel()).tobytes()
        for line in values
    ]
    out = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + line for line in packed))),
        (b"IEND", b""),
    ):
        out += (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )
    return out


def test_colour_of_sixteen_bits_has_one_factor(tmp_path):
    (tmp_path / "tiff").mkdir()
    (tmp_path / "png").mkdir()
    for i in range(4):
        colours = np.stack([X * 100, X * 50, X * 0 + i], -1).astype("<u2")
        stored, how = (colours, "contig") if i % 2 else (colours.transpose(2, 0, 1), "separate")
        tifffile.imwrite(
            tmp_path / "tiff" / f"{i}.tif", stored, photometric="rgb", planarconfig=how
        )
        (tmp_path / "png" / f"{i}.png").write_bytes(imagecodecs.png_encode(colours))
    tiffs, pngs = read(tmp_path / "tiff"), read(tmp_path / "png")
    assert np.array_equal(tiffs.samples, pngs.samples)
    assert tiffs.shape == (3, 32, 40)
    assert np.array_equal(tiffs.samples[0, 0, 0], (np.arange(40) * 100 / 3900 * 255).round())
    assert np.abs(tiffs.samples[0, 1, 0] - np.arange(40) * 50 / 3900 * 255).max() <= 0.5


def test_big_tiff_and_packed_tiff(tmp_path):
    values = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype("<u2")
    values[0, :2] = 0, 4000
    for i, how in enumerate(
        (
            {"bigtiff": True},
            {"compression": "lzw"},
            {"compression": "deflate", "predictor": True},
            {"tile": (16, 16)},
            {"byteorder": ">"},
        )
    ):
        tifffile.imwrite(tmp_path / f"{i}.tif", values, **how)
    data = read(tmp_path)
    assert all(np.array_equal(s, data.samples[0]) for s in data.samples)
    assert np.array_equal(data.samples[0, 0], (values * (255 / 4000)).round())


@pytest.mark.parametrize(
    ("channels", "planar"),
    [(2, "separate"), (2, "contig"), (4, "contig"), (4, "separate"), (7, "contig")],
)
def test_other_numbers_of_channels(tmp_path, channels, planar):
    values = np.random.default_rng(0).integers(0, 255, (3, 20, 24, channels)).astype("u1")
    stored = values if planar == "contig" else values.transpose(0, 3, 1, 2)
    data = folder(tmp_path, stored, photometric="minisblack", planarconfig=planar)
    assert np.array_equal(data.samples, values.transpose(0, 3, 1, 2))
    tifffile.imwrite(tmp_path / "z.tif", values[0, ..., 0])
    with pytest.raises(UserError, match=rf"has {channels} channels and z\.tif has 1"):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["tif", "png"])
def test_opacity_is_laid_on_black(tmp_path, kind):
    colours = np.zeros((16, 16, 4), "<u2")
    colours[..., 0], colours[:8, :, 3] = 40_000, 65535
    colours[8:, :, 3] = 32768  # half
    for i in range(2):
        if kind == "tif":
            tifffile.imwrite(
                tmp_path / f"{i}.tif", colours, photometric="rgb", extrasamples=["unassalpha"]
            )
        else:
            (tmp_path / f"{i}.png").write_bytes(imagecodecs.png_encode(colours))
    data = read(tmp_path)
    assert data.shape == (3, 16, 16)
    assert data.samples[0, 0, 0, 0] == 255
    assert abs(int(data.samples[0, 0, 12, 0]) - 128) <= 1


def test_no_value_is_black_and_said(tmp_path):
    (tmp_path / "nan").mkdir()
    (tmp_path / "gdal").mkdir()
    (tmp_path / "inf").mkdir()
    values = (X + 10.0).astype("<f4")
    values[:4] = np.nan
    data = folder(tmp_path / "nan", [values] * 2)
    assert (data.samples[:, 0, :4] == 0).all()
    assert rising(data.samples[0, 0, 5])
    assert any("2 pictures hold pixels without a value" in r for r in data.card["rules"])
    whole = np.where(np.isnan(values), -9999, X * 10 - 100).astype("<i2")
    data = folder(tmp_path / "gdal", [whole] * 2, extratags=[(42113, "s", 0, "-9999", True)])
    assert data.card["grey range"] == [-100, 290]
    with pytest.raises(UserError, match="infinite"):
        folder(tmp_path / "inf", [np.where(np.isnan(values), np.inf, values)] * 2)


@pytest.mark.parametrize(("mark", "word"), [(-32768, "black"), (32767, "white")])
def test_a_mark_for_no_value_does_not_take_the_range(tmp_path, mark, word):
    values = (X * 50 - 1000).astype("<i2")
    values[:4, :10] = mark
    data = folder(tmp_path, [values] * 4)
    assert data.card["grey range"] == [-1000, 950]
    assert any(f"the value {mark} lies far" in r and word in r for r in data.card["rules"])
    assert rising(data.samples[0, 0, 5])
    assert (data.samples[:, 0, 0, 0] == (0 if word == "black" else 255)).all()


def test_twelve_bit_jpeg(tmp_path):
    for i in range(2):
        (tmp_path / f"{i}.jpg").write_bytes(
            imagecodecs.jpeg8_encode((X * 100 + i).astype("u2"), level=99, bitspersample=12)
        )
    data = read(tmp_path)
    assert data.shape == (1, 32, 40)
    assert rising(data.samples[0, 0, 0])
    assert data.card["grey range"][1] == pytest.approx(3900, abs=10)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_is_turned_as_pillow_turns(tmp_path, orientation):
    values = np.arange(12 * 20).reshape(12, 20)
    for i in range(2):
        tifffile.imwrite(
            tmp_path / f"{i}.tif",
            (values * 100).astype("<u2"),
            extratags=[(274, "H", 1, orientation, True)],
        )
    exif = Image.Exif()
    exif[274] = orientation
    flat = io.BytesIO()
    Image.fromarray(values.astype("u1")).save(flat, "PNG", exif=exif)
    (tmp_path / "plain").mkdir()
    for i in range(2):
        (tmp_path / "plain" / f"{i}.png").write_bytes(flat.getvalue())
    plain = read(tmp_path / "plain").samples[0, 0]
    for p in (tmp_path / "plain").iterdir():
        p.unlink()
    (tmp_path / "plain").rmdir()
    deep = read(tmp_path).samples[0, 0]
    assert deep.shape == plain.shape
    assert np.abs(deep.astype(int) - plain * (255 / 239)).max() <= 1


@pytest.mark.parametrize("kind", ["u1", "<u2"])
def test_the_pages_of_one_tiff_are_pictures(tmp_path, kind):
    values = np.stack([X + k for k in range(5)]).astype(kind)
    tifffile.imwrite(tmp_path / "stack.tif", values, photometric="minisblack")
    data = read(tmp_path / "stack.tif")
    assert data.shape == (1, 32, 40)
    assert data.table["file"].tolist() == [f"stack.tif, page {k}" for k in range(1, 6)]
    assert (np.diff(data.samples[:, 0, 0, 0].astype(int)) > 0).all()
    assert any("one file of 5 pages" in r for r in data.card["rules"])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_cut_deep_pictures_are_refused(tmp_path, share):
    values = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype("<u2")
    out = io.BytesIO()
    tifffile.imwrite(out, values)
    for name, data in (
        ("x.tif", out.getvalue()),
        ("x.png", imagecodecs.png_encode(np.stack([values] * 3, -1))),
    ):
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            read(tmp_path / name)


def test_claims_are_bounded_before_decoding(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8000, 8000), "<f4"), compression="deflate")
    with pytest.raises(UserError, match="at most 25 million"):
        read(tmp_path / "x.tif")
    tifffile.imwrite(
        tmp_path / "x.tif",
        np.zeros((4, 4, 40), "u1"),
        photometric="minisblack",
        planarconfig="contig",
    )
    with pytest.raises(UserError, match="40 channels"):
        read(tmp_path / "x.tif")


def test_the_range_of_no_values_and_of_one_value():
    nothing = GreyRange()
    nothing.add(np.full((2, 2), np.nan))
    assert nothing.ends() == (0.0, 1.0)
    one = GreyRange()
    one.add(np.full((2, 2), 700, np.int16))
    assert one.ends() == (700, 701)


def test_pictures_that_share_their_levels_are_not_called_copies(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "plain").mkdir()
    near = folder(tmp_path / "deep", [(X * 50 - 1000 + i).astype("<i2") for i in range(10)])
    same = folder(tmp_path / "plain", [X.astype("u1")] * 10)
    for data, words in ((near, "the same once brought to 256 levels"), (same, "exact copies")):
        assert words in next(f for f in check_dataset(data) if f.kind == "duplicates").words


def test_the_levels_of_a_slide_are_no_pictures_of_their_own(tmp_path):
    slide = np.random.default_rng(0).integers(0, 255, (256, 192), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "slide.tif") as file:
        for step in (1, 2, 4):
            file.write(slide[::step, ::step], subfiletype=int(step > 1))
    with pytest.raises(UserError, match="holds 1 row"):
        read(tmp_path)
    with tifffile.TiffWriter(tmp_path / "slide.tif") as file:
        for seed in range(3):
            file.write(np.roll(slide, seed, 1))
    assert len(read(tmp_path)) == 3
