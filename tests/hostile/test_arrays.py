"""Arrays that claim too much, unpack to too much, or hold what cannot be learned from."""

import numpy as np
import pytest

from core import limits
from core.data.readers import read
from core.errors import UserError
from tests.hostile._make import REFUSE, npy, npy_header, npz, peak, rng, zipped

MB = 1 << 20


def bomb(honest):
    """1 GB of zeros in about 1 MB; honest: the array's header accounts for every byte."""
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z, z.open("x.npy", "w") as f:
        f.write(npy_header((1 << 20, 1024) if honest else (4, 4)))
        for _ in range(1024):
            f.write(bytes(MB))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "made", "said"),
    [
        ("honest.npz", lambda: bomb(True), "200 times"),
        ("padded.npz", lambda: bomb(False), "200 times"),
        ("claim.npy", lambda: npy_header((7 << 40,)) + b"\0" * 64, "says it holds"),
        (
            "claim.npz",
            lambda: zipped({"x.npy": npy_header((7 << 20, 1 << 20)) + b"\0" * 64}),
            "says it holds",
        ),
        (
            "overflow.npy",
            lambda: npy_header((1 << 62, 1 << 62), "<f8") + b"\0" * 64,
            "says it holds",
        ),
        (
            "negative.npy",
            lambda: npy_header((-1, 4), "<f8") + b"\0" * 64,
            "not a whole numpy array",
        ),
        (
            "deep.npy",
            lambda: b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"(" * 9000,
            "not a whole numpy array",
        ),
    ],
)
def test_bombs_and_claims_are_refused_before_anything_is_allocated(tmp_path, name, made, said):
    """Fault 24: an npz of 1000:1 and headers that claim 7 TiB and more are refused, and the process
    stays below 200 MB more than it had.
    """
    (tmp_path / name).write_bytes(made())
    grew, words = peak(REFUSE, tmp_path / name)
    assert said in words
    assert name in words
    assert grew < 200 * MB


def test_what_is_read_gives_the_same_peak_a_reader_needs(tmp_path):
    """Fault 24: the measurement sees an array that is truly read."""
    np.save(
        tmp_path / "a.npy",
        rng().integers(0, 255, (300, 1 << 20), dtype=np.uint8).reshape(300, 1024, 1024),
    )
    grew, words = peak(REFUSE, tmp_path / "a.npy")
    assert "accepted" in words
    assert grew > 250 * MB


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f2", ">f2", ">f4", ">f8", ">i4", ">u2", "|b1"])
def test_unusual_number_formats_come_in_with_their_values(tmp_path, kind, order):
    """Fault 24: float16, big-endian and column-major arrays are converted."""
    values = rng().integers(0, 2 if kind == "|b1" else 200, (20, 6, 7)).astype(kind, order=order)
    (tmp_path / "a.npy").write_bytes(npy(values))
    data = read(tmp_path / "a.npy")
    assert np.array_equal(data.raw()[:, 0], values.astype(np.float64))
    assert data.raw().dtype.isnative
    (tmp_path / "t.npz").write_bytes(npz(x=values.reshape(20, -1)[:, :5], y=np.arange(20) % 2))
    assert np.array_equal(
        read(tmp_path / "t.npz").inputs(), values.reshape(20, -1)[:, :5].astype(np.float32)
    )


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((9, 4), complex), "complex128"),
        (np.zeros(9, [("a", "f4"), ("b", "i2")]), "only plain numbers"),
        (np.zeros((9, 4), "M8[s]"), "datetime"),
        (np.zeros((9, 4), "U3"), "words"),
        (np.zeros((9, 2, 2, 2, 2, 2)), "neither pictures"),
        (np.float64(3), "shape|rows|no array"),
    ],
)
def test_what_is_no_number_is_named(tmp_path, array, said):
    """Fault 24: complex, structured and other arrays end in a sentence."""
    (tmp_path / "a.npy").write_bytes(npy(array))
    with pytest.raises(UserError, match=said):
        read(tmp_path / "a.npy")


def test_infinite_half_precision_is_seen(tmp_path):
    """Fault 24: infinity in float16 pictures is refused as in others (the largest value allowed is
    itself infinite in float16).
    """
    values = np.ones((9, 8, 7), np.float16)
    values[3, 2, 1] = np.inf
    (tmp_path / "a.npy").write_bytes(npy(values))
    with pytest.raises(UserError, match="sample 3 holds infinite"):
        read(tmp_path / "a.npy")


def test_objects_are_named(tmp_path):
    """Fault 24: object arrays end in a sentence."""
    (tmp_path / "a.npy").write_bytes(npy(np.array([{}, []], dtype=object), allow_pickle=True))
    with pytest.raises(UserError, match="Python objects"):
        read(tmp_path / "a.npy")


def test_tight_packing_of_masks_has_an_end(tmp_path, monkeypatch):
    """Fault 24: zeros whose header is honest are read up to a limit, and refused above it."""
    (tmp_path / "a.npz").write_bytes(
        npz(
            x=rng().integers(0, 255, (4, 1024, 1024), dtype=np.uint8),
            masks=np.zeros((4, 1024, 1024), np.uint8),
        )
    )
    assert read(tmp_path / "a.npz").masks.shape == (4, 1024, 1024)
    monkeypatch.setattr(limits, "TIGHT", MB)
    with pytest.raises(UserError, match="“masks” unpacks to more"):
        read(tmp_path / "a.npz")
