"""Mutated copies of small valid files, read one after another in a child with limits. Figures of
every seed, or of one: `python -m tests.hostile._fuzz COPIES [SEED]`.

A copy may be read or refused with a UserError. Anything else is written to REPORT, a line each:
another exception, more than SECONDS of processor time, more than MEMORY resident. A child that dies
or hangs leaves the number of its copy in REPORT.at; `hunt` notes it and goes on behind it.
"""

import dataclasses
import functools
import json
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests import warm
from tests.data.make import edf
from tests.hostile import _make as make
from tests.hostile._peak import highest

CWD = make.ROOT
SECONDS = 2.0  # of processor time a copy; the machine may be busy
MEMORY = 500 << 20  # resident
HANGS = 600  # seconds of the clock that all copies of a seed may take
Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Seed:
    """A small valid file. `inner` are its parts, `outer` packs them (checksums and packing made
    anew), so that damage gets past the checksums as well.
    """

    reader: str  # the module of core.data.readers it reaches
    inner: Callable[[], Files]
    outer: Callable[[Files], Files] = lambda files: files
    share: float = 1.0  # of the copies asked for, where a reader has several seeds


def one(name: str, data: Callable[[], bytes]) -> Callable[[], Files]:
    return lambda: {name: data()}


def _png(files: Files) -> Files:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    body = b"".join(
        chunk(k.encode(), zlib.compress(v) if k == "IDAT" else v) for k, v in files.items()
    )
    return {"ok.png": make.png(5), "x.png": b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")}


def _png_parts() -> Files:
    rows = make.rng().integers(0, 255, (9, 8), dtype="uint8").tobytes()
    return {
        "IHDR": struct.pack(">IIBBBBB", 8, 9, 8, 3, 0, 0, 0),
        "PLTE": bytes(range(96)) * 8,
        "tRNS": b"\0\x80\xff",
        "tEXt": b"a\0b",
        "eXIf": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
        "IDAT": b"".join(b"\0" + rows[i * 8 : i * 8 + 8] for i in range(9)),
    }


def _beside(files: Files) -> Files:
    return files | {"ok.png": make.png(5)}


def _zip(name: str) -> Callable[[Files], Files]:
    return lambda files: {name: make.zipped(files)}


def _signals() -> np.ndarray:
    return make.rng().normal(size=(2, 16 * 30)) * 20


def _timed() -> bytes:
    return b"time (s),Fz [uV],Cz [uV]\n" + b"".join(
        b"%.2f,%d,%d\n" % (i / 100, i * 37 % 91, i * 53 % 83) for i in range(240)
    )


def _tables() -> Files:
    return {"a.csv": make.csv(), "b.csv": make.csv()}


def _pictures() -> Files:
    return {
        "a/0.png": make.png(0),
        "a/1.png": make.png(1, kind="TIFF"),
        "b/2.png": make.png(2),
        "masks/0.png": make.png(3),
        "t.csv": b"file,age\n0.png,1\n1.png,2\n2.png,3\n",
    }


SEEDS = {
    "npy": Seed("npz", one("x.npy", lambda: make.npy(make.rng().integers(0, 99, (6, 5, 4))))),
    "npz": Seed(
        "npz",
        lambda: {
            "train_images.npy": make.npy(make.rng().integers(0, 9, (5, 4, 4))),
            "train_labels.npy": make.npy(make.rng().integers(0, 2, (5, 1))),
            "train_masks.npy": make.npy(make.rng().integers(0, 2, (5, 4, 4))),
        },
        _zip("x.npz"),
    ),
    "png": Seed("images", _png_parts, _png),
    "jpeg": Seed("images", one("x.jpg", lambda: make.png(kind="JPEG", size=(16, 24, 3))), _beside),
    "tiff": Seed(
        "images", one("x.tif", lambda: make.png(kind="TIFF", compression="tiff_lzw")), _beside
    ),
    "tiff cmyk": Seed(
        "images", one("x.tif", lambda: make.png(kind="TIFF", mode="CMYK")), _beside, 0.5
    ),
    "bmp": Seed("images", one("x.bmp", lambda: make.png(kind="BMP")), _beside),
    "zip of pictures": Seed("images", _pictures, _zip("x.zip")),
    "dicom": Seed("dicom", one("x.dcm", make.dicom)),
    "outlines": Seed(
        "contours",
        lambda: {
            "IM-0001-0001.dcm": make.dicom(1),
            "IM-0001-0001-icontour-manual.txt": b"1.0 1.0\n4.0 1.0\n4.0 4.0\n1.0 4.5\n",
            "IM-0001-0002.dcm": make.dicom(1),
        },
        share=0.5,
    ),
    "nifti": Seed("nifti", one("x.nii", make.nifti)),
    "nifti packed": Seed(
        "nifti",
        one("x.nii.gz", make.nifti),
        lambda files: {k: make.gz(v) for k, v in files.items()},
        0.5,
    ),
    "nifti with mask": Seed(
        "nifti", lambda: {"c.nii": make.nifti(), "c_seg.nii": make.nifti()}, share=0.5
    ),
    "mgh": Seed("nifti", one("x.mgh", make.mgh), share=0.5),
    "analyze": Seed("nifti", lambda: dict(zip(("x.hdr", "x.img"), make.analyze())), share=0.5),
    "segmentation": Seed("dicom", lambda: {"a.dcm": make.dicom(), "b.dcm": make.seg()}, share=0.5),
    "csv": Seed("tables", one("x.csv", make.csv)),
    "several csv": Seed("tables", _tables, share=0.25),
    "timed csv": Seed("time_tables", one("x.csv", _timed)),
    "parquet": Seed("tables", one("x.parquet", make.parquet)),
    "fasta": Seed("fasta", one("x.fasta", make.fasta)),
    "fasta packed": Seed(
        "fasta",
        one("x.fasta.gz", make.fasta),
        lambda files: {k: make.gz(v) for k, v in files.items()},
        0.5,
    ),
    "wfdb": Seed("wfdb", make.wfdb),
    "edf": Seed(
        "edf",
        one("x.edf", lambda: edf(_signals(), 16, marks=[(1.0, 0.0, "eyes"), (4.0, 2.0, "burst")])),
    ),
    "bdf": Seed("edf", one("x.bdf", lambda: edf(_signals(), 16, bdf=True)), share=0.25),
}

ODD = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    (1 << 24) - 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    (1 << 63) - 1,
    (1 << 64) - 1,
]
WORDS = [
    b"99999999999999999999",
    b"-1",
    b"1e400",
    b"nan",
    b"0",
    b"\0",
    b"\n",
    b"\r\n",
    b",",
    b'"',
    b"\xff\xfe",
    b"../x",
    b"A" * 300,
    b"\xe2\x80\xae",
    b"(" * 200,
]


def mutated(data: bytes, dice: random.Random) -> bytes:
    """One to four small damages: flipped bytes, lengths, cuts, moved or doubled blocks, odd words,
    other numbers.
    """
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        n = len(out)
        if not n:
            break
        # headers are at the front
        at = dice.randrange(n) if dice.random() < 0.6 else dice.randrange(min(n, 128))
        what = dice.randrange(9)
        if what <= 1:
            for _ in range(dice.choice((1, 1, 2, 8))):
                out[dice.randrange(at, min(n, at + 16))] ^= 1 << dice.randrange(8)
        elif what == 2:
            out[at] = dice.randrange(256)
        elif what <= 4:
            size = dice.choice((1, 2, 4, 8))
            value = (dice.choice(ODD) + dice.choice((0, 0, -1, 1))) % (1 << 8 * size)
            out[at : at + size] = value.to_bytes(size, dice.choice(("little", "big")))
        elif what == 5:
            if dice.random() < 0.6:
                del out[at:]
            else:
                out += bytes(dice.randrange(1, 400))
        elif what == 6:
            size, to = dice.randrange(1, min(n, 64) + 1), dice.randrange(n)
            block = bytes(out[at : at + size])
            if dice.random() < 0.5:
                del out[at : at + size]
            out[to:to] = block * dice.choice((1, 1, 2, 50))
        elif what == 7:
            word = dice.choice(WORDS)
            out[at : at + (len(word) if dice.random() < 0.5 else 0)] = word
        else:
            digits = [i for i, c in enumerate(out[:2000]) if 48 <= c <= 57]
            if digits:
                i = dice.choice(digits)
                out[i : i + 1] = dice.choice((b"0", b"9", b"-", b"999999999", b".", b""))
    return bytes(out)


def copy(name: str, number: int) -> Files:
    """The files of copy `number` of a seed: the same each time."""
    seed, dice = SEEDS[name], random.Random(f"{name} {number}")
    files = _inner(name)
    if seed.outer is Seed.outer or dice.random() < 0.7:
        damaged = dice.choice(sorted(files))
        return seed.outer(files | {damaged: mutated(files[damaged], dice)})
    return {k: mutated(v, dice) for k, v in seed.outer(files).items()}


_kept: dict[str, Files] = {}


def _inner(name: str) -> Files:
    if name not in _kept:
        _kept[name] = SEEDS[name].inner()
    return _kept[name]


def laid(files: Files, folder: Path) -> Path:
    """Write the files into an empty folder; the path to read: the file, or the folder of
    several.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(iter(files)) if len(files) == 1 else folder


class TooLong(BaseException):
    """Raised by the clock; not an Exception, so that no reader takes it for a damaged file."""


def child(name: str, first: int, count: int, report: str) -> None:

    from core import sandbox
    from core.data.readers import read
    from core.errors import UserError

    warnings.simplefilter("ignore")

    def ring(signum, frame):
        raise TooLong

    with (
        tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place,
        open(report, "a") as out,
        open(f"{report}.at", "w") as now,
    ):
        # imports what it needs; a seed must be good
        read(laid(SEEDS[name].outer(_inner(name)), Path(place) / "x"))
        sandbox.limit(2 * MEMORY)
        signal.signal(signal.SIGPROF, ring)
        began, said = time.process_time(), 0
        for number in range(first, first + count):
            now.seek(0)
            now.write(f"{number:012}")
            now.flush()
            path = laid(copy(name, number), Path(place) / "x")
            found = ""
            try:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                data = read(path)
                if data.samples is not None:
                    data.samples[:]
            except UserError as e:
                said += 1
                if "\n" in str(e) or len(str(e)) > 1000:
                    found = f"a sentence of {len(str(e))} letters: {str(e)[:80]!r}"
            except TooLong:
                found = (
                    f"longer than {SECONDS} s:"
                    f" {''.join(traceback.format_tb(sys.exc_info()[2])[-3:])}"
                )
            except Exception as e:
                found = (
                    f"{type(e).__name__}: {str(e)[:200]} at"
                    f" {''.join(traceback.format_tb(e.__traceback__)[-2:])}"
                )
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            peak = highest()
            if not found and peak > MEMORY:
                found = f"{peak >> 20} MB resident"
            if found:
                out.write(json.dumps({"copy": number, "found": found}) + "\n")
                out.flush()
            if peak > MEMORY:
                break  # the peak stays: a fresh child goes on
        out.write(
            json.dumps({"end": number + 1, "seconds": time.process_time() - began, "refused": said})
            + "\n"
        )


@functools.cache
def server(path: str, cwd: str) -> warm.Server:
    """The process that children are forked from: starting Python anew takes longer than a thousand
    copies.
    """
    env = {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return warm.Server("tests.hostile._warm", Path(cwd), **env)


def read_copies(name: str, first: int, count: int, report: Path) -> str:
    """Read copies in a child; how it ended in words, should it have died."""
    words = Path(f"{report}.err")
    process = server(str(make.ROOT), str(CWD)).start(
        "tests.hostile._fuzz", "child", [name, first, count, str(report)], log=str(words)
    )
    try:
        code = process.wait(HANGS)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"the reader hung for {HANGS} s"
    return f"the reader died with {code}: {words.read_text(errors='replace')[-600:]}"


def hunt(name: str, count: int, first: int = 0) -> dict:
    """All copies of one seed: {"found": [{"copy", "found"}], "refused", "seconds" of processor
    time}.
    """
    found, refused, seconds, at = [], 0, 0.0, first
    count = max(1, round(count * SEEDS[name].share))
    with tempfile.TemporaryDirectory() as place:
        while at < first + count and len(found) < 40:
            report = Path(place) / f"{at}.jsonl"
            died = read_copies(name, at, first + count - at, report)
            lines = (
                [json.loads(line) for line in report.read_text().splitlines()]
                if report.exists()
                else []
            )
            found += [line for line in lines if "found" in line]
            end = next((line for line in lines if "end" in line), None)
            if end is None:
                now = Path(f"{report}.at")
                if not now.exists() or not now.read_text():
                    raise AssertionError(f"The seed {name} itself is not read: {died}")
                end = {"end": int(now.read_text()) + 1, "seconds": 0.0, "refused": 0}
                found.append({"copy": end["end"] - 1, "found": died})
            at, seconds, refused = end["end"], seconds + end["seconds"], refused + end["refused"]
    return {"found": found, "refused": refused, "seconds": seconds, "copies": at - first}


if __name__ == "__main__":  # by hand: figures of every seed
    for seed in SEEDS if len(sys.argv) < 3 else [sys.argv[2]]:
        r = hunt(seed, int(sys.argv[1]))
        print(
            f"{seed:<16} {r['copies']:>6} copies {r['refused']:>6} refused"
            f" {r['copies'] / max(r['seconds'], 1e-9):>7.0f} copies/s {len(r['found'])} found",
            flush=True,
        )
        for line in {f["found"][-300:]: f for f in r["found"]}.values():
            print("   ", line["copy"], line["found"].replace("\n", "\n        "), flush=True)
