"""What Lightbox does on a node of a Ray cluster: the process that holds a job's place there.

Ray gives the place (processors, GPUs, memory); the job itself is the same process as on one
machine, `python -m core.jobs.worker`, a child of the place and never alive longer than it. This
module imports nothing that a node does not have at once.
"""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

CLUSTER_AT = "LIGHTBOX_CLUSTER_AT"  # the address of the cluster, told to the jobs on it
UNUSED = 120.0  # seconds after which a place that nobody has begun with goes
ENDING = "ending.json"  # in a job's folder: how the process of its last attempt ended, if badly


class Place:
    """An actor of Ray's, one an attempt at a job. It goes as soon as its job's process has ended,
    so that what it held is free at once. Trap: it ends the process it is in.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._leave_unused, daemon=True).start()

    def _leave_unused(self) -> None:
        time.sleep(UNUSED)
        if self._child is None:  # whoever asked for this place is gone
            os._exit(0)

    def begin(
        self, home: str, job: str, born: str, version: str, threads: int, env: dict[str, str]
    ) -> str:
        """Start the process of the job, once; a sentence where this node cannot do it, "" where it
        has begun.
        """
        if self._child is not None:
            return ""
        from core.jobs.engines import REPEATABLE_SUMS, spawn

        folder = Path(home) / "runs" / job
        if refusal := why_not_here(folder, version):
            return refusal
        env = env | {CLUSTER_AT: _cluster_address()}
        if os.environ.get("CUDA_VISIBLE_DEVICES"):
            env = env | {"CUBLAS_WORKSPACE_CONFIG": REPEATABLE_SUMS}
        child = spawn("core.jobs.worker", [home, job, born], folder / "log.txt", threads, env)
        threading.Thread(target=self._watch, args=(child, folder, born), daemon=True).start()
        self._child = child
        return ""

    def here(self) -> bool:
        """Whether the job's process is there: an answer at all says that the node is."""
        return self._child is not None and self._child.poll() is None

    def _watch(self, child: subprocess.Popen[bytes], folder: Path, born: str) -> None:
        from core.io.files import write_json

        code = child.wait()
        if code:
            with suppress(OSError):  # the folder may be gone by now
                write_json(folder / ENDING, {"born": born, "code": code})
        os._exit(0)


def why_not_here(folder: Path, version: str) -> str:
    """Return a sentence where this node cannot do the job of `folder`, asked for by Lightbox
    `version`; "" where it can.
    """
    from core import __version__

    if __version__ != version:
        return (
            f"The node {platform.node()} of the cluster has Lightbox {__version__}, this"
            f" machine {version}; install the same on all."
        )
    if not folder.is_dir():
        return (
            f"The node {platform.node()} of the cluster does not see the workspace folder"
            f" {folder.parents[1]}; it has to be a shared folder that has this path on every node."
        )
    return ""


def _cluster_address() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)
