"""Pictures that are too large, cut, turned, deep, animated, or of kinds that are not read."""

import io
import struct
import zlib

import numpy as np
import pytest

from core.data.readers import read
from core.data.readers.files import Member
from core.data.readers.image_decoding import decode
from core.errors import UserError
from tests.hostile._make import REFUSE, dicom, peak, png, zipped


def member(data, name="x.png"):
    return Member(name, lambda most: data[:most])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge(side):
    """A PNG of side x side black pixels, a few hundred kB."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8 + 1)[: 1 + (side + 7) // 8]
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 10_000])
def test_huge_pictures_are_refused_by_their_size(tmp_path, side):
    """Fault 26: PNG of 20,000^2 and 10,000^2 pixels: refused by the limit, in words, without
    decoding.
    """
    (tmp_path / "x.png").write_bytes(huge(side))
    grew, words = peak(REFUSE, tmp_path / "x.png")
    assert "at most 25 million are taken" in words
    assert grew < 50 << 20


def test_a_picture_that_claims_a_size_is_bounded_too(tmp_path):
    """Fault 26: a few bytes that claim 2^31 pixels a side end in a sentence."""
    head = struct.pack(">IIBBBBB", (1 << 31) - 1, (1 << 31) - 1, 8, 2, 0, 0, 0)
    (tmp_path / "x.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
    )
    with pytest.raises(UserError, match=r"x\.png"):
        read(tmp_path / "x.png")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_cut_pictures_are_refused(tmp_path, kind, share):
    """Fault 26: a truncated picture is refused, not filled with grey."""
    data = png(size=(60, 50), kind=kind)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(png())
    (tmp_path / "a" / f"x.{kind.lower()}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match=rf"x\.{kind.lower()}"):
        read(tmp_path / "a")


def test_modes_come_out_as_they_look():
    """Fault 26: CMYK, 16-bit, palette, alpha, 1-bit and grey-with-alpha pictures give the values
    they show.
    """
    from PIL import Image

    def saved(image, kind, **how):
        out = io.BytesIO()
        image.save(out, kind, **how)
        return member(out.getvalue())

    cmyk = decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    assert cmyk.shape == (8, 8, 3)
    assert cmyk[0, 0].tolist() == [255, 0, 0]
    jpeg = decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(jpeg[0, 0].astype(int) - [255, 0, 0]).max() < 12
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    assert np.array_equal(decode(saved(Image.fromarray(deep), "PNG")), deep)
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert decode(saved(palette, "PNG"))[0, 0].tolist() == [10, 20, 30]
    assert decode(saved(palette, "PNG", transparency=1))[0, 0].tolist() == [0, 0, 0]
    half = Image.new("RGBA", (4, 4), (200, 100, 50, 128))
    assert np.abs(decode(saved(half, "PNG"))[0, 0].astype(int) - [100, 50, 25]).max() <= 1
    assert (
        np.abs(
            decode(saved(Image.new("LA", (4, 4), (200, 128)), "PNG"))[0, 0].astype(int) - 100
        ).max()
        <= 1
    )
    assert decode(saved(Image.new("1", (4, 4), 1), "PNG"))[0, 0] == 255
    fractions = decode(saved(Image.new("F", (4, 4), 0.5), "TIFF"))
    assert fractions.dtype == np.float32
    assert (fractions == 0.5).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_rotation_a_camera_noted_is_applied(tmp_path, orientation):
    """Fault 26: EXIF orientations 1 to 8 are undone, and the size is taken after turning."""
    from PIL import Image

    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :12] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: np.rot90(upright.T, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    (tmp_path / "d").mkdir()
    for i in range(2):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "d" / f"{i}.png", exif=exif)
    data = read(tmp_path / "d")
    assert data.shape == (1, 16, 24)
    assert np.array_equal(data.raw()[0, 0], upright)


def test_the_first_frame_of_several_is_taken_and_said(tmp_path):
    """Fault 26: animated PNG and TIFF of several pages give their first frame, with a rule that
    says so.
    """
    from PIL import Image

    frames = [Image.fromarray(np.full((8, 9), v, np.uint8)) for v in (10, 200, 90)]
    (tmp_path / "d").mkdir()
    frames[0].save(tmp_path / "d" / "a.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "d" / "b.tiff", save_all=True, append_images=frames[1:])
    data = read(tmp_path / "d")
    assert data.raw().max() == 10
    assert any("2 files hold more than one frame" in r for r in data.card["rules"])


STRANGERS = {
    "drawing.svg": (
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"></svg>',
        "SVG",
    ),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(40), "HEIC"),
    "photo.avif": (b"\0\0\0\x18ftypavif\0\0\0\0" + bytes(40), "AVIF"),
    "sky.fits": (b"SIMPLE  =                    T".ljust(2880), "FITS"),
    "layers.psd": (b"8BPS\0\x01" + bytes(60), "PSD"),
    "print.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n(a) show", "EPS"),
    "binary.eps": (b"\xc5\xd0\xd3\xc6" + bytes(60), "EPS"),
    "moving.gif": (b"GIF89a" + bytes(60), "GIF"),
    "web.webp": (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(40), "WebP"),
    "slide.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000"),
    "new.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
    "grey.pgm": (b"P5\n4 4\n65535\n" + bytes(32), "PNM"),
    "high.exr": (b"v/1\x01" + bytes(60), "OpenEXR"),
    "cells.czi": (b"ZISRAWFILE" + bytes(60), "CZI"),
    "icon.ico": (b"\0\0\x01\0\x01\0" + bytes(40), "ICO"),
    "paper.doc.bin": (b"%PDF-1.7\n" + bytes(60), "PDF"),
    "data.h5": (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
    "data.mat": (b"MATLAB 5.0 MAT-file".ljust(128), "MATLAB"),
    "book.xlsx": (zipped({"xl/workbook.bin": b"\0\1"}), "binary Excel workbook"),
    "book.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60), "Office"),
    "all.tar": (b"a.png".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), "tar"),
    "all.tar.gz": (b"\x1f\x8b\x08\0" + bytes(40), "gzip"),
    "all.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "7-Zip"),
    "film.mp4": (b"\0\0\0\x18ftypisom\0\0\0\0" + bytes(40), "film"),
    "tool.exe": (b"MZ" + bytes(60), "program"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_kinds_that_are_not_read_are_named(tmp_path, name):
    """Fault 26: SVG, HEIC, FITS, PSD, EPS and others are called what they are, alone and beside
    pictures, and whatever their suffix says.
    """
    data, kind = STRANGERS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=kind):
        read(tmp_path / name)
    (tmp_path / "d").mkdir()
    for i in range(3):
        (tmp_path / "d" / f"{i}.png").write_bytes(png(i))
    (tmp_path / "d" / name).write_bytes(data)
    with pytest.raises(UserError, match=rf"{name} .*{'' if name == 'book.xlsx' else kind}"):
        read(tmp_path / "d")
    (tmp_path / "renamed.png").write_bytes(data)
    if not name.startswith("book.xlsx"):
        with pytest.raises(UserError, match=kind):
            read(tmp_path / "renamed.png")


def test_no_decoder_outside_the_list_is_tried(monkeypatch):
    """Fault 26: a GIF, whatever it is called, never reaches its decoder."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (4, 4)).save(out, "GIF")
    tried = []
    real = Image.open
    monkeypatch.setattr(
        Image,
        "open",
        lambda f, mode="r", formats=None: (tried.append(formats), real(f, mode, formats))[1],
    )
    with pytest.raises(UserError, match="cannot be read as a picture"):
        decode(member(out.getvalue()))
    assert tried == [["PNG", "JPEG", "TIFF", "BMP"]]


def test_a_dicomdir_is_refused_and_its_paths_are_not_followed(tmp_path, monkeypatch):
    """Fault 28: a DICOMDIR with ids of files outside its folder: alone it is refused, under any
    name; beside the files it is left out by name.
    """
    index = dicom(index=True)
    for name in ("DICOMDIR", "innocent.dcm"):
        (tmp_path / name).write_bytes(index)
        with pytest.raises(UserError, match=r"DICOMDIR .*not followed"):
            read(tmp_path / name)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "DICOMDIR").write_bytes(index)
    (tmp_path / "d" / "a.dcm").write_bytes(dicom())
    opened = []
    import builtins

    real = builtins.open
    monkeypatch.setattr(
        builtins, "open", lambda f, *a, **k: (opened.append(str(f)), real(f, *a, **k))[1]
    )
    data = read(tmp_path / "d")
    assert data.card["left out"] == ["DICOMDIR"]
    assert len(data) == 2
    assert not [f for f in opened if "passwd" in f]
