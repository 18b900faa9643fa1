"""All benchmarks, one after another: `python -m tests.benchmarks [NAME...]`, e.g. `pca loop`. The
methods' ones rewrite assets/evidence.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

names = sys.argv[1:] or sorted(
    p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py")
)
failed = []
for name in names:
    print(f"== {name}", flush=True)
    if subprocess.call([sys.executable, "-W", "ignore", "-m", f"tests.benchmarks.bench_{name}"]):
        failed.append(name)
sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
