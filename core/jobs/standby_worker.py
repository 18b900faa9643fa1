"""A worker that waits: a process that has imported what jobs need before one comes. It does the one
job it is given and ends, so that nothing of a job can reach the next.

`python -m core.jobs.standby_worker HOME` reads its job from standard input, a line of JSON; it ends
when whoever started it ends or closes that pipe first.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from core import registry
from core.errors import UserError
from core.io.files import keep_new_files_private
from core.jobs import worker
from core.jobs.priority import lower_priority
from core.jobs.threads import limit_threads

# what most jobs import late, in their first steps
LIBRARIES = (
    "pandas",
    "pyarrow.parquet",
    "zarr",
    "scipy.sparse.linalg",
    "scipy.spatial",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.neighbors",
    "torch",
    "torch._dynamo",  # an optimiser's first step imports it
    "torch.utils.data",
    "lightning_fabric",
    "safetensors.torch",
    "kornia.metrics",
    "numba",
    "faiss",
)
OURS = ("core.evaluate", "core.maps.make", "core.explain.attribution")


def main(home: str) -> None:
    """Import, wait for a job, do it."""
    keep_new_files_private()
    lower_priority()
    prepare()
    line = sys.stdin.readline()
    if not line:
        return
    request = json.loads(line)
    take_place(Path(request["log"]), request["env"])
    limit_threads(request["threads"])
    worker.main(home, request["job"])


def prepare() -> None:
    """Import what jobs need, but nothing of the user's: the methods they add are read when their
    job comes.
    """
    for name in (*LIBRARIES, *OURS):
        with suppress(ImportError):  # an installation without what training needs
            importlib.import_module(name)
    registry.own_modules()
    registry.measures()
    _load_compiled()


def _load_compiled() -> None:
    """Draw a map of a few points, which loads what numba has compiled before."""
    import numpy as np

    from core.artifacts import Embedding
    from core.maps.make import make_map

    points = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    with suppress(UserError, ImportError):
        make_map(Embedding(rows=np.arange(64), name="", z=points), "umap", 2, 0)


def take_place(log: Path, env: dict[str, str]) -> None:
    """Stand where a worker of this job's own would have been started: in its folder, with its log
    and its environment.
    """
    os.chdir(log.parent)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    for source, number in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, number)
    os.close(nothing)
    os.close(out)
    os.environ.update(env)


if __name__ == "__main__":
    main(sys.argv[1])
