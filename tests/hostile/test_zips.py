"""Zips that point elsewhere, lie about themselves, or are made to exhaust."""

import io
import struct
import time
import zipfile
import zlib

import pytest

from core import limits
from core.data.readers import read
from core.data.readers.files import collect
from core.errors import UserError
from tests.hostile._make import png, zipped

REAL = {"a/0.png": png(0), "a/1.png": png(1), "b/2.png": png(2), "b/3.png": png(3)}


def built(entries, before=b""):
    """A zip by hand: entries (name bytes, data, central fields to lie about); `before` stands in
    front.
    """
    out, central = bytearray(before), bytearray()
    for name, data, lies in entries:
        packed = zlib.compress(data)[2:-4]
        facts = {
            "flags": 0,
            "method": 8,
            "crc": zlib.crc32(data),
            "packed": len(packed),
            "size": len(data),
            "attr": 0,
            "offset": len(out),
        } | lies
        fixed = struct.pack(
            "<HHHHIII",
            facts["flags"],
            facts["method"],
            0,
            33,
            facts["crc"],
            facts["packed"],
            facts["size"],
        )
        if "offset" not in lies:
            out += (
                b"PK\x03\x04"
                + struct.pack("<H", 20)
                + fixed
                + struct.pack("<HH", len(name), 0)
                + name
                + packed
            )
        central += (
            b"PK\x01\x02"
            + struct.pack("<HH", 0x0314, 20)
            + fixed
            + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, facts["attr"], facts["offset"])
            + name
        )
    end = b"PK\x05\x06" + struct.pack(
        "<HHHHIIH",
        0,
        0,
        min(len(entries), 65535),
        min(len(entries), 65535),
        len(central),
        len(out),
        0,
    )
    return bytes(out + central + end)


def renamed(name):
    return built([(k.encode(), v, {}) for k, v in REAL.items()] + [(name, png(9), {})])


def overlapping():
    """Ten files that are all the same bytes of the archive."""
    first = (b"0.png", png(0), {})
    return built([first] + [(b"%d.png" % i, png(0), {"offset": 0}) for i in range(1, 10)])


CASES = {
    "parent": (lambda: renamed(b"../x.png"), "outside the zip"),
    "deep parent": (lambda: renamed(b"a/../../x.png"), "outside the zip"),
    "absolute": (lambda: renamed(b"/x.png"), "outside the zip"),
    "network": (lambda: renamed(b"//host/share/x.png"), "outside the zip"),
    "drive": (lambda: renamed(b"C:\\x.png"), "outside the zip"),
    "drive with slash": (lambda: renamed(b"C:/x.png"), "outside the zip"),
    "backslashes": (lambda: renamed(b"..\\x.png"), "outside the zip"),
    "no name": (lambda: renamed(b"."), "outside the zip"),
    "empty name": (lambda: renamed(b""), "outside the zip"),
    "zero byte": (lambda: renamed(b"x.png\0.exe"), "no disk could hold"),
    "long name": (lambda: renamed(b"x" * 4000 + b".png"), "no disk could hold"),
    "link": (
        lambda: built(
            [(b"a.png", png(), {}), (b"b.png", b"/etc/passwd", {"attr": 0o120777 << 16})]
        ),
        "a link or device",
    ),
    "pipe": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", b"", {"attr": 0o010777 << 16})]),
        "a link or device",
    ),
    "twice": (
        lambda: built([(b"a.png", png(0), {}), (b"a.png", png(1), {})]),
        "two files named a.png",
    ),
    "nested": (lambda: zipped(REAL | {"inner.zip": zipped(REAL)}), "inner.zip is a zip within"),
    "only nested": (lambda: zipped({"inner.zip": zipped(REAL)}), "inner.zip is a zip within"),
    "encrypted": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", png(1), {"flags": 1})]),
        "encrypted",
    ),
    "size too small": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", png(1), {"size": 50})]),
        "b.png inside x.zip cannot be unpacked",
    ),
    "size too large": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", png(1), {"size": 1 << 31})]),
        "200 times|larger than",
    ),
    "packed too small": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", png(1), {"packed": 40})]),
        "b.png inside x.zip cannot be unpacked|b.png",
    ),
    "packed too large": (
        lambda: built([(b"a.png", png(), {"packed": 1 << 30}), (b"b.png", png(1), {})]),
        "share the same bytes",
    ),
    "wrong sum": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", png(1), {"crc": 5})]),
        "b.png inside x.zip cannot be unpacked",
    ),
    "unknown packing": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", png(1), {"method": 99})]),
        "b.png inside x.zip cannot be unpacked",
    ),
    "overlap": (overlapping, "share the same bytes"),
    "bomb": (
        lambda: built([(b"a.png", png(), {}), (b"b.png", png(1) + bytes(40 << 20), {})]),
        "b.png unpacks to more than 200 times",
    ),
    "not utf-8": (
        lambda: built([(b"\xff\xfe.png", png(), {"flags": 0x800}), (b"b.png", png(1), {})]),
        "not a whole zip",
    ),
    "cut": (lambda: zipped(REAL)[:-30], "not a whole zip"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_zip_ends_in_a_sentence_and_writes_nothing(tmp_path, name):
    """Fault 25: names that leave the folder, links, lies in headers, nested, encrypted and
    overlapping zips: one sentence, and no file anywhere.
    """
    made, said = CASES[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.zip").write_bytes(made())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=said) as e:
        read(tmp_path / "in" / "x.zip")
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 400
    assert sorted(tmp_path.rglob("*")) == before


def test_the_zip_that_the_cases_are_made_from_is_good(tmp_path):
    """Fault 25: the hand-made zip without a lie comes in whole."""
    (tmp_path / "x.zip").write_bytes(built([(k.encode(), v, {}) for k, v in REAL.items()]))
    assert len(read(tmp_path / "x.zip")) == 4


@pytest.mark.timeout(120)
def test_a_hundred_thousand_and_millions_of_members_are_counted_before_they_are_listed(tmp_path):
    """Fault 25: 1e5 files, and a list of files too long to hold, are refused."""
    entry = (b"a.png", b"", {})
    (tmp_path / "x.zip").write_bytes(built([(b"%d.png" % i, b"", {}) for i in range(100_000)]))
    with pytest.raises(UserError, match=r"100,000 files|more than 20,000 files"):
        read(tmp_path / "x.zip")
    whole = built([entry])
    central = whole[whole.index(b"PK\x01\x02") : whole.index(b"PK\x05\x06")]
    end = b"PK\x05\x06" + struct.pack(
        "<HHHHIIH", 0, 0, 65535, 65535, len(central) * 300_000, whole.index(b"PK\x01\x02"), 0
    )
    (tmp_path / "y.zip").write_bytes(whole[: whole.index(b"PK\x01\x02")] + central * 300_000 + end)
    opened = []
    real = zipfile.ZipFile
    try:
        zipfile.ZipFile = lambda *a, **k: opened.append(a) or real(*a, **k)
        with pytest.raises(UserError, match="more than 20,000 files"):
            read(tmp_path / "y.zip")
    finally:
        zipfile.ZipFile = real
    assert not opened


def test_a_zip_is_listed_once_however_many_files_it_holds(tmp_path, monkeypatch):
    """Fault 25: reading each of many files does not read the list of all of them again."""
    (tmp_path / "x.zip").write_bytes(
        zipped({f"{i:04}.bin": b"x" * 40 for i in range(2000)}, zipfile.ZIP_STORED)
    )
    listed = []
    real = zipfile.ZipFile.__init__
    monkeypatch.setattr(
        zipfile.ZipFile,
        "__init__",
        lambda self, *a, **k: (listed.append(1), real(self, *a, **k))[1],
    )
    members = collect(tmp_path / "x.zip")
    assert all(m.load() == b"x" * 40 for m in members)
    assert len(members) == 2000
    assert len(listed) == 1


def test_what_files_of_a_zip_unpack_to_together_is_bounded(tmp_path, monkeypatch):
    """Fault 25: many members that are each small enough are refused by their sum."""
    (tmp_path / "x.zip").write_bytes(
        zipped({f"{i}.csv": b"a,b\n" + b"1,2\n" * 20_000 for i in range(5)})
    )
    monkeypatch.setattr(limits, "UNPACKED", 300_000)
    with pytest.raises(UserError, match="unpacks to more than"):
        read(tmp_path / "x.zip")


def test_a_zip_may_stand_behind_other_bytes(tmp_path):
    """Fault 25: a program with a zip behind it is no zip here: the first bytes count."""
    (tmp_path / "x.zip").write_bytes(b"MZ" + bytes(100) + zipped(REAL))
    with pytest.raises(UserError, match="Windows program"):
        read(tmp_path / "x.zip")


def figure(n=20_000):
    """Seconds to list and read n small files of one zip: run by hand (`python -m
    tests.hostile.test_zips`).
    """
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "x.zip"
        path.write_bytes(zipped({f"{i % 10}/{i:06}.png": png(i % 7) for i in range(n)}))
        began = time.perf_counter()
        members = collect(path)
        listed = time.perf_counter() - began
        size = sum(len(m.head) and len(io.BytesIO(m.load()).getvalue()) for m in members)
        return {
            "files": len(members),
            "listed_s": round(listed, 2),
            "all_read_s": round(time.perf_counter() - began, 2),
            "bytes": size,
        }


if __name__ == "__main__":
    print(figure())
