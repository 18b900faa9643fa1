"""What fuzzing has found, each as the smallest file that shows it: fixed, and kept so."""

import gzip
import struct
import zipfile

import pytest

from core.data.readers import read
from core.data.readers.files import collect, unpack_stream
from core.errors import UserError
from tests.hostile._make import fasta, npy, png, rng, wfdb, zipped


def test_an_npz_whose_list_points_before_its_start(tmp_path):
    """Fault 57: the zip's end says that the list of files begins later than it does: the offsets
    become negative (ValueError in zipfile).
    """
    data = bytearray(zipped({"x.npy": npy(rng().normal(size=(6, 3)))}))
    at = data.rfind(b"PK\x05\x06")
    struct.pack_into("<I", data, at + 16, struct.unpack_from("<I", data, at + 16)[0] + 1000)
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"x\.npz is not a whole npz"):
        read(tmp_path / "x.npz")


def test_a_packed_fasta_that_points_too_far_back(tmp_path):
    """Fault 57: packed data that refers to bytes before its start (zlib.error, which is neither
    OSError nor EOFError).
    """
    data = bytearray(gzip.compress(fasta(), mtime=0))
    data[10:14] = b"\x4b\x04\xff\xff"
    (tmp_path / "x.fasta.gz").write_bytes(data)
    with pytest.raises(UserError, match="cannot be unpacked"):
        read(tmp_path / "x.fasta.gz")


def test_a_name_missing_in_the_table_beside_pictures(tmp_path):
    """Fault 57: an empty cell in the column of file names (TypeError: a missing value is no
    text).
    """
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    (tmp_path / "t.csv").write_text("file,age\n0.png,1\n1.png,2\n,3\n")
    data = read(tmp_path)
    assert data.table["age"].tolist() == [1, 2]


def test_a_zip_with_a_nameless_file(tmp_path):
    """Fault 57: an empty name in a zip (IndexError in zipfile)."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        z.writestr("a.png", png())
        z.writestr(zipfile.ZipInfo("\0"), png(1))
    with pytest.raises(UserError, match="outside the zip"):
        read(tmp_path / "x.zip")


@pytest.mark.parametrize("rate", ["19999999990", "0.0001"])
def test_a_heart_record_at_an_impossible_rate(tmp_path, rate):
    """Fault 57: a sampling rate of 20 GHz (ValueError in the resampler), or of one sample in hours
    (memory).
    """
    for name, data in wfdb().items():
        (tmp_path / name).write_bytes(data.replace(b"r 2 100 ", f"r 2 {rate} ".encode()))
    with pytest.raises(UserError, match="samples a second; 10 to 100,000 are read"):
        read(tmp_path)


def test_reading_asks_for_no_more_memory_than_there_is_to_read(tmp_path):
    """Found beside: Python makes room for as many bytes as are asked for, and 2 GB were, for every
    file.
    """
    asked = []

    class Stream:
        def __init__(self, data):
            self.data = data

        def read(self, size):
            asked.append(size)
            piece, self.data = self.data[:size], self.data[size:]
            return piece

    assert unpack_stream(Stream(b"x" * 5000), 5000, "x") == b"x" * 5000
    assert max(asked) <= 4 << 20
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n")
    import tracemalloc

    tracemalloc.start()
    assert collect(tmp_path / "a.csv")[0].load() == b"a,b\n1,2\n"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
