"""Which decoder unpacks which transfer syntax of DICOM, and imagecodecs made one of pydicom's.

One decoder each, whatever else is installed beside it, so that the same file gives the same pixels
everywhere: 8-bit JPEG by Pillow, 12-bit and lossless JPEG and JPEG-LS by imagecodecs (which holds
libjpeg-turbo and CharLS), JPEG 2000 by pylibjpeg-openjpeg, RLE by pydicom itself. All under
permissive licences.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.pixels import get_decoder

from core.data.readers.deep import read_jpeg_frame

JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
OURS = (*JPEG, *LOSSLESS, *JPEG_LS)
SIZED = (*OURS, *JPEG_2000)  # whose streams say how large they are
END = b"\xff\xd9"  # of a JPEG or JPEG-LS stream
LABEL = "imagecodecs"
_one = threading.Lock()
PACKAGES = {"pylibjpeg": "pylibjpeg and pylibjpeg-openjpeg"}  # of a decoder of another name


def is_available(syntax: str) -> bool:
    """Pydicom asks this before it takes the decoder."""
    return syntax in OURS and find_spec("imagecodecs") is not None


def register_decoders() -> None:
    """Make imagecodecs known to pydicom where it is installed; again costs nothing. Files are
    decoded on several threads, of which one is to do it.
    """
    with _one:
        for syntax in OURS:
            decoder = get_decoder(syntax)
            if LABEL not in decoder.available_plugins and is_available(syntax):
                decoder.add_plugin(LABEL, (__name__, "decode_frame"))


def choose_decoder(syntax: uid.UID, frame: bytes) -> str:
    """Pydicom's name of the decoder for packed frames like `frame`; "" = pydicom's own choice."""
    if syntax in JPEG_2000:
        return "pylibjpeg"
    if syntax in JPEG:
        found = read_jpeg_frame(frame)
        return LABEL if found is not None and found[1] != 8 else "pillow"
    return LABEL if syntax in OURS else ""


def decode_frame(packed: bytes, runner: Any) -> bytearray:
    """One frame's bytes unpacked; tells pydicom's `runner` how wide its values are and whether
    colours lie in planes.
    """
    import imagecodecs

    unpack: Any = imagecodecs.jpeg8_decode
    if runner.transfer_syntax in JPEG_LS:
        unpack = imagecodecs.jpegls_decode
        if not packed.rstrip(b"\0").endswith(END):
            # CharLS 2.4 takes half a minute to find out, however small the picture
            raise ValueError("the stream has no end")
    array = np.ascontiguousarray(unpack(packed))
    if array.ndim == 3:
        planes = array.shape[-1] != runner.samples_per_pixel
        runner.set_option("planar_configuration", int(planes))
    runner.set_option("bits_allocated", 8 * array.dtype.itemsize)
    return bytearray(array.tobytes())
