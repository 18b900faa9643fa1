"""Who does a job: a process of its own on this machine (`Local`), or one on a node of a cluster
(`core.jobs.cluster`).

A process is known by its number and by `born`: when it started, told by what no clock change moves.
The wall clock alone makes the living look dead (Linux counts a process's start from the boot, whose
time of day jumps with the clock), and a number alone makes a stranger look like the worker.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psutil

from core.children import environment, python_command
from core.io import files
from core.jobs import standby
from core.jobs.threads import Load, bound_environment
from core.workspace.catalogue import Job

if TYPE_CHECKING:
    from core.workspace.workspace import Workspace

# the lane of trainings that use no graphics card; the others are called by the card's number
CPU = "cpu"
REPEATABLE_SUMS = ":4096:8"  # what cuBLAS needs to add up in one order
LOOK = 2.0  # seconds between two looks at the worker that waits
AGAIN = 60.0  # seconds until another waits after one that died, or lacked memory


class Engine(Protocol):
    """Starts a job, tells whether it is still at it, stops it. The job itself reports to the
    catalogue and to its folder.
    """

    def start(self, ws: Workspace, job: Job, lane: str) -> dict[str, Any]:
        """Start the job; gives the values of the catalogue (`pid`, `born`, ...) by which `alive`
        and `stop` know it.
        """

    def alive(self, job: Job) -> bool:
        """Whether the job's process is there."""

    def ending(self, job: Job) -> int | None:
        """How a job's process ended, a negative number: by that signal; None where this process
        cannot know.
        """

    def stop(self, job: Job, hard: bool) -> None:
        """End a job's process: asked to first, killed when `hard`."""


class Local:
    """One process a job, in a session of its own: it outlives whoever started it."""

    def __init__(self) -> None:
        self._load = Load()
        self._standby: standby.Standby | None = None
        self._next_look = 0.0
        self._children: dict[str, subprocess.Popen[bytes]] = {}  # by when they were born
        self._endings: dict[str, int] = {}

    def lanes(self) -> list[str]:
        """Return the GPUs of this machine and the processor, each doing one job at a time."""
        return [*list_gpus(), CPU]

    def start(self, ws: Workspace, job: Job, lane: str) -> dict[str, Any]:
        """Start the job's process, or have the one that waits do it; the values its record gets
        (pid, born).
        """
        env = (
            {"CUDA_VISIBLE_DEVICES": lane, "CUBLAS_WORKSPACE_CONFIG": REPEATABLE_SUMS}
            if lane not in ("", CPU)
            else {}
        )
        log, threads = ws.folder(job.id) / "log.txt", self._load.free_threads()
        child = self._give_standby(job, log, threads, env) or spawn(
            "core.jobs.worker", [str(ws.home), job.id], log, threads, env
        )
        self._next_look = time.monotonic() + LOOK  # its imports go first
        begun = process_identity(child.pid)
        self._children[begun] = child
        return {"pid": child.pid, "born": begun}

    def _give_standby(
        self, job: Job, log: Path, threads: int, env: dict[str, str]
    ) -> subprocess.Popen[bytes] | None:
        """Have the process that waits do the job, and give it; None where none is there. Imports
        get a new process: the fewer libraries one has that reads strangers' files, the better.
        """
        waiting = self._standby
        if waiting is None or job.kind == "import":
            return None
        self._standby = None
        if waiting.fits() and waiting.give(job.id, log, threads, env):
            return waiting.process
        waiting.end()
        return None

    def keep_ready(self, ws: Workspace) -> None:
        """Have a worker wait for the next job, where memory allows; end it where that has become
        short. To be called again and again.
        """
        self._load.look()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK
        if self._standby is None:
            if standby.has_memory(standby.TO_START):
                log = files.make_folder(ws.home / standby.LOG.parent) / standby.LOG.name
                process = spawn(standby.MODULE, [str(ws.home)], log, told=True)
                self._standby = standby.Standby(process)
        elif self._standby.died() or not standby.has_memory(standby.TO_STAY):
            self.release()
            self._next_look = time.monotonic() + AGAIN

    def release(self) -> None:
        """End the worker that waits."""
        if self._standby is not None:
            self._standby.end()
            self._standby = None

    def alive(self, job: Job) -> bool:
        """Whether the job's process is there, and no other that got its number since."""
        self._fetch()
        if job.pid is None:
            return False
        if job.born:
            return process_identity(job.pid) == job.born
        try:  # started by a Lightbox that knew the wall clock only
            return (
                abs(psutil.Process(job.pid).create_time() - (job.pid_start or 0)) < 2
                and psutil.Process(job.pid).status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False

    def _fetch(self) -> None:
        """Take note of children that have ended, so that a dead worker is no zombie."""
        ended = {
            key: code for key, child in self._children.items() if (code := child.poll()) is not None
        }
        self._endings |= ended
        self._children = {key: child for key, child in self._children.items() if key not in ended}

    def ending(self, job: Job) -> int | None:
        """How the process ended, a negative number: by that signal; None where that is unknown."""
        self._fetch()
        return self._endings.get(job.born)

    def stop(self, job: Job, hard: bool) -> None:
        """End the process and all it started; killed when `hard`."""
        if self.alive(job):
            with suppress(psutil.Error):
                process = psutil.Process(job.pid)
                process.kill() if hard else process.terminate()


LOCAL = Local()


def process_identity(pid: int) -> str:
    """Return what tells the process `pid` from every other that has or had this number; "" when
    there is none (a zombie counts as none).
    """
    try:
        # the name before may hold anything
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if stat[0] in "ZX" else f"{_boot_id()}:{stat[19]}"
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.1f}"
    except psutil.Error:
        return ""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def list_gpus() -> list[str]:
    """Numbers of the graphics cards that jobs may use; asked of the driver, since importing torch
    would cost a second and 200 MB.
    """
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return (
            [c.strip() for c in allowed.split(",") if c.strip() and c.strip() != "-1"]
            if _load_driver()
            else []
        )
    return [str(i) for i in range(len(_load_driver()))]


def _load_driver() -> list[str]:
    try:
        told = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line for line in told.splitlines() if line.startswith("GPU ")]


def spawn(
    module: str,
    args: list[str],
    log: Path,
    threads: int | None = None,
    env: dict[str, str] | None = None,
    told: bool = False,
) -> subprocess.Popen[bytes]:
    """Start our `module` with `args` in a session of its own, in the folder of `log`, to which its
    output is appended: it outlives whoever started it. `threads` bounds those of its arithmetic,
    where the environment does not; `env` is added to the environment. What it reads is nothing, or
    what it is `told` through a pipe.
    """
    every = environment(PYTHONUNBUFFERED="1", **(env or {}))
    if threads is not None:
        every = bound_environment(threads) | every
    files.before("append", log)
    with open(log, "ab") as out:
        return subprocess.Popen(
            python_command(module, *args),
            cwd=log.parent,
            stdin=subprocess.PIPE if told else subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=every,
        )
