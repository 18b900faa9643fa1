"""Pictures per second of an import: `python -m tests.benchmarks.bench_import_pictures [N]`.

N (10,000) generated PNGs of 224 x 224 in a zip, from zip to stored dataset, in a process of its own
whose peak memory is printed; against the named rival, Pillow alone decoding the same files of the
same zip one after another. Asked for: 150 pictures a second, 1 GB, 0.5 s to open.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

PART = """
import resource, sys, time
from pathlib import Path
from core.data.readers import read
began = time.perf_counter()
stored = read(Path(sys.argv[1])).save(Path(sys.argv[2]))
seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, peak / 1024, len(stored))
"""
OPEN = """
import sys, time
from pathlib import Path
from core.data.dataset import Dataset
import zarr
began = time.perf_counter()
data = Dataset.load(Path(sys.argv[1]))
data.raw(__import__("numpy").arange(3))
print(time.perf_counter() - began)
"""


def child(code: str, *args: Path) -> list[float]:
    """Numbers that a fresh Python process prints."""
    made = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=True
    )
    return [float(v) for v in made.stdout.split()]


def main() -> None:
    from PIL import Image

    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "pictures.zip"
        with zipfile.ZipFile(path, "w") as z:
            for i in range(n):  # smooth shapes with grain, as pictures have: half grey, half colour
                shape = np.kron(
                    rng.integers(40, 200, (7, 7, 3 if i % 2 else 1)), np.ones((32, 32, 1))
                ) + rng.integers(0, 24, (224, 224, 1))
                out = io.BytesIO()
                Image.fromarray((shape if i % 2 else shape[..., 0]).astype(np.uint8)).save(
                    out, "PNG", compress_level=1
                )
                z.writestr(f"{'a' if i % 3 else 'b'}/{i:05d}.png", out.getvalue())
        began = time.perf_counter()
        with zipfile.ZipFile(path) as z:
            for name in z.namelist():
                np.asarray(Image.open(io.BytesIO(z.read(name))))
        bare = time.perf_counter() - began
        seconds, peak, rows = child(PART, path, Path(place) / "stored")
        (opening,) = child(OPEN, Path(place) / "stored")
        print(
            f"{rows:,.0f} PNGs of 224 x 224: {seconds:.1f} s, {rows / seconds:.0f} a second, peak"
            f" memory {peak:.0f} MB, opened in {opening:.2f} s"
        )
        print(f"Pillow alone: {bare:.1f} s; ratio {seconds / bare:.2f}")
        print(f"(this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB)")


if __name__ == "__main__":
    main()
