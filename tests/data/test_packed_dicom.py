"""DICOM whose frames are packed: JPEG, JPEG 2000, JPEG-LS, RLE, and what cannot be unpacked."""

from __future__ import annotations

import time

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import (
    MPEG2MPML,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from core.data.readers import codecs, read
from core.data.readers.dicom import package_files
from core.errors import UserError
from core.io.threads import in_threads
from tests.data._dicom import some, write


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_packed_frames_give_the_stored_values(tmp_path, syntax):
    pixels = some(2, (64, 96), 4000).astype(np.uint16)
    for k in range(2):
        path = write(tmp_path / f"{k}.dcm", pixels[k], ImagePositionPatient=[0, 0, k])
        d = pydicom.dcmread(path)
        d.compress(syntax, encoding_plugin="pylibjpeg" if syntax == JPEG2000Lossless else "pydicom")
        d.save_as(path)
    assert np.array_equal(read(tmp_path).samples[:, 0], pixels)


def test_the_packages_own_jpeg_files_agree_with_pydicom(tmp_path):
    folder = next(p for p, _ in package_files() if p.name == "MR_small.dcm").parent
    plain = pydicom.dcmread(folder / "MR_small.dcm").pixel_array
    for name in (
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_implicit.dcm",
        "MR_small_padded.dcm",
    ):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    data = read(tmp_path)
    assert len(data) == 4
    assert all(np.array_equal(s[0], plain) for s in data.samples)


def packed(path, pixels, syntax, frame, **tags):
    d = pydicom.dcmread(write(path, pixels, **tags))
    d.file_meta.TransferSyntaxUID = syntax
    d.PixelData = pydicom.encaps.encapsulate([frame])
    d["PixelData"].VR = "OB"
    d.save_as(path)


LOSSLESS = {"lossless": True, "level": 100}


@pytest.mark.parametrize(
    ("syntax", "how"),
    [
        (JPEGExtended12Bit, {"level": 99, "bitspersample": 12}),
        (JPEGLosslessSV1, LOSSLESS | {"predictor": 1}),
        (JPEGLossless, LOSSLESS | {"predictor": 4}),
        (JPEGLSLossless, {}),
    ],
)
def test_twelve_bit_lossless_and_ls_frames_give_the_stored_values(tmp_path, syntax, how):
    pixels = np.add.outer(np.arange(32) * 40, np.arange(48) * 50).astype("<u2")
    encode = imagecodecs.jpegls_encode if syntax == JPEGLSLossless else imagecodecs.jpeg8_encode
    for k in range(2):
        tags = {"BitsStored": 12, "HighBit": 11, "ImagePositionPatient": [0, 0, k]}
        packed(tmp_path / f"{k}.dcm", pixels, syntax, encode(pixels, **how), **tags)
    data = read(tmp_path)
    most = 12 if syntax == JPEGExtended12Bit else 0
    assert np.abs(data.samples[:, 0] - pixels).max() <= most


@pytest.mark.parametrize(
    "name",
    [
        "JPGExtended.dcm",
        "JPEG-lossy.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "JPEGLSNearLossless_16.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_app14_dcmd.dcm",
    ],
)
def test_real_packed_files_are_unpacked(tmp_path, name):
    folder = next(p for p, _ in package_files() if p.name == "MR_small.dcm").parent
    for k in range(2):
        (tmp_path / f"{k}.dcm").write_bytes((folder / name).read_bytes())
    assert len(np.unique(read(tmp_path).samples[0])) > 3


def test_colours_packed_without_loss_are_those_of_the_plain_file(tmp_path):
    folder = next(p for p, _ in package_files() if p.name == "MR_small.dcm").parent
    plain = pydicom.dcmread(folder / "SC_rgb_rle.dcm").pixel_array
    for k in range(2):
        (tmp_path / f"{k}.dcm").write_bytes((folder / "SC_rgb_jpeg_gdcm.dcm").read_bytes())
    assert np.array_equal(read(tmp_path).samples[0], plain.transpose(2, 0, 1))


def test_a_missing_decoder_is_named_with_what_to_install(tmp_path, monkeypatch):
    folder = next(p for p, _ in package_files() if p.name == "MR_small.dcm").parent
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    monkeypatch.setattr(codecs, "is_available", lambda syntax: False)
    with pytest.raises(UserError, match=r"JPEG-LS Lossless.*install.*imagecodecs"):
        read(folder / "MR_small_jpeg_ls_lossless.dcm")


def test_films_packed_as_mpeg_are_declined_by_name(tmp_path):
    path = write(tmp_path / "a.dcm", some(1)[0])
    d = pydicom.dcmread(path)
    d.file_meta.TransferSyntaxUID = MPEG2MPML
    d.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xb3" + b"\0" * 60])
    d["PixelData"].VR = "OB"
    d.save_as(path)
    with pytest.raises(UserError, match="MPEG2"):
        read(path)


def test_a_decoder_is_made_known_once_however_many_threads_ask_for_it(monkeypatch):
    class Decoder:
        def __init__(self):
            self.available_plugins = []

        def add_plugin(self, label, where):
            time.sleep(0.01)  # while another thread looks
            if label in self.available_plugins:
                raise ValueError(f"'Decoder' already has a plugin named '{label}'")
            self.available_plugins.append(label)

    made = {syntax: Decoder() for syntax in codecs.OURS}
    monkeypatch.setattr(codecs, "get_decoder", made.__getitem__)
    in_threads(lambda _: codecs.register_decoders(), range(8), most=4)
    assert all(d.available_plugins == [codecs.LABEL] for d in made.values())
