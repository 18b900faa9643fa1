"""The other processes of a run that several train together: started, watched and ended by the run's
own, which is rank 0 (`core.training.ranks`).

None of them outlives it: each ends with the process that started it. Where one of them ends badly
the run fails, in a sentence, within seconds: what waits for it (gloo) is told so by the broken
connection, and what is not (a GPU) is ended.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

from core.errors import Cancelled, UserError
from core.jobs.attempts import OUTSIDE, describe_exit, last_line
from core.jobs.engines import list_gpus, spawn
from core.jobs.threads import THREADS
from core.method import Method
from core.settings import Settings
from core.training.compatibility import why_not_shared
from core.training.ranks import Ranks
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.jobs.reporter import Reporter

LOOK = 0.1  # seconds between two looks at the others
HEARD = 2.0  # seconds in which the work may find out by itself that another is gone
TOLD = 1.0  # seconds in which an ended process is seen to have ended


class RankLostError(UserError):
    """One of the processes that train a run ended; `outside`: it was killed, so that another
    attempt may go well.
    """

    def __init__(self, words: str, outside: bool) -> None:
        super().__init__(words)
        self.outside = outside


@contextmanager
def train_together(ws: Workspace, job: Job, tell: Reporter) -> Iterator[Ranks]:
    """Inside, the other processes of a run train along; gives the place of this one among them.

    Raises RankLostError in place of an error that comes of another's end. The threads of this
    process are divided among all inside.
    """
    if (size := job.processes) == 1:
        yield Ranks()
        return
    import torch

    others = Others(ws, job, size, tell)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(max(1, threads // size))
        others.start(max(1, threads // size))
        yield Ranks(0, size, others.meeting)
    except (UserError, Cancelled):
        raise
    except Exception as e:
        if (lost := others.find_lost(TOLD)) is not None:
            raise lost from e
        raise
    finally:
        others.end()
        torch.set_num_threads(threads)


def why_not_together(kind: type[Method], processes: int, device: str) -> str | None:
    """Return why so many processes cannot train a method together, in words, or None."""
    if processes == 1:
        return None
    if processes < 1:
        return f"A run needs at least one process, not {processes}."
    if said := why_not_shared(kind):
        return said
    if Settings().engine != "local":  # its nodes have what this machine has not
        return None
    cards = [] if device == "cpu" else list_gpus()
    most, what = (len(cards), "GPU") if cards else (os.cpu_count() or 1, "processor")
    if processes <= most:
        return None
    plural = "s" if most != 1 else ""
    return f"{processes} processes need as many {what}s; this machine has {most} {what}{plural}."


class Others:
    """The processes of ranks 1 and up; what each writes is in `process-<number>.txt` of the run's
    folder, counted from 1 as people do.
    """

    def __init__(self, ws: Workspace, job: Job, size: int, tell: Reporter) -> None:
        self.ws, self.job, self.size, self.tell = ws, job, size, tell
        # on a disk of this machine, whatever the workspace is on
        self.folder = Path(tempfile.mkdtemp(prefix="lightbox-"))
        self.meeting = self.folder / "meeting"
        self.children: dict[int, Popen[bytes]] = {}
        self._over = threading.Event()

    def start(self, threads: int) -> None:
        """Start them, each with so many threads of arithmetic, and watch them."""
        for rank in range(1, self.size):
            log = self.log(rank)
            log.unlink(missing_ok=True)
            args = [str(self.ws.home), self.job.id, str(rank), str(self.size), str(self.meeting)]
            env = dict.fromkeys(THREADS, str(threads))
            self.children[rank] = spawn("core.jobs.together_worker", args, log, env=env)
        threading.Thread(target=self._watch, daemon=True).start()

    def log(self, rank: int) -> Path:
        """Where the process of this rank writes."""
        return self.ws.folder(self.job.id) / f"process-{rank + 1}.txt"

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            if (lost := self.find_lost()) is not None:
                if not self._over.wait(HEARD):
                    self.tell.fail(str(lost))
                return

    def find_lost(self, within: float = 0.0) -> RankLostError | None:
        """Return the one that ended badly first, waiting for so many seconds; None where all
        live or ended well.
        """
        end = time.monotonic() + within
        while True:
            for rank, child in self.children.items():
                if code := child.poll():
                    return self._describe(rank, code)
            if time.monotonic() >= end:
                return None
            time.sleep(LOOK)

    def _describe(self, rank: int, code: int) -> RankLostError:
        how = describe_exit(code)
        said = last_line(self.log(rank))
        return RankLostError(
            f"Process {rank + 1} of the {self.size} that trained this run together ended ({how}),"
            " and so did the run; resume it to go on from its last checkpoint."
            + (f" The last line of its log: {said}" if said else ""),
            outside=how in OUTSIDE,
        )

    def end(self) -> None:
        """End those that are still there."""
        self._over.set()
        for child in self.children.values():
            child.kill()
            child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
