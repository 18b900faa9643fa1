"""What a job tells while it works: its curve, what is going on, how far it is; and the wish to
stop.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress

from core.errors import Cancelled, UserError
from core.io.files import append_line, write_bytes
from core.jobs.attempt_guard import LOST, MARK
from core.jobs.run_folder import remove_leftovers
from core.workspace import records
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

BEAT = 0.5  # seconds
LAST_BEAT = 5.0  # seconds for which the end of a job waits for a beat that is under way
HEED = 1.0  # seconds in which a job may end by itself once it hears that it is cancelled


class Reporter:
    """Progress of one job: curve points go to `scalars.jsonl`; a thread brings what is going on,
    percentage and time left to the catalogue and hears from there whether the job is cancelled, so
    that the work itself never waits for the catalogue.

    `alone`: the process is this job's own. It is ended when the work does not heed the wish to
    stop, in whatever call it may be: all that a job writes is there as a whole or not at all. Not
    so an import, which has more to take back (the files brought, a dataset that is known already).
    """

    def __init__(self, ws: Workspace, job: Job, alone: bool = False) -> None:
        self.ws, self.job, self.alone = ws, job, alone and job.kind != "import"
        self._fenced = alone and job.born.startswith(MARK)
        self.cancelled = threading.Event()
        self.began, self.before = time.monotonic(), job.seconds
        self._told = 0.0  # when the catalogue was told last
        self._start = (0, time.monotonic())  # the step and time from which the rest is estimated
        self._last = 0  # the step reported last
        # quantities that come together -> when they were written last
        self._wrote: dict[tuple[str, ...], float] = {}
        self._phase, self._progress = "", 0.0
        self._eta: float | None = None
        self._end = threading.Lock()
        self._curve = ws.folder(job.id) / "scalars.jsonl"
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def _beat(self) -> None:
        heard = None
        while not self._over.is_set():
            # a catalogue that cannot be reached now may be at the next beat
            with suppress(UserError):
                now = {"seconds": self.seconds, "progress": self._progress, "eta": self._eta} | (
                    {"phase": self._phase} if self._phase else {}
                )
                self.ws.catalogue.set_job(
                    self.job.id, only_if="running", heartbeat=time.time(), **now
                )
                job = self.ws.catalogue.job(self.job.id)
                if job is not None and job.born != self.job.born and self._fenced:
                    os._exit(LOST)  # another attempt has the run: not one more word
                if job is None or job.cancel:
                    self.cancelled.set()
                    heard = heard or time.monotonic()
            if (
                self.alone
                and heard is not None
                and time.monotonic() - heard > HEED
                and self.last_word()
            ):
                self._quit()
            self._over.wait(BEAT if heard is None else HEED / 4)

    def _quit(self) -> None:
        """End the process in the middle of what it does."""
        print(
            f"{time.strftime('%H:%M:%S')} stopped within: {self._phase or 'starting'}", flush=True
        )
        self._end_as("cancelled")

    def _end_as(self, status: str, error: str = "") -> None:
        remove_leftovers(self.ws, self.job)
        with suppress(UserError):
            records.end_job(
                self.ws.catalogue,
                self.ws.home,
                self.job,
                status=status,
                error=error,
                finished=time.time(),
                seconds=self.seconds,
                eta=None,
            )
        remove_leftovers(self.ws, self.job)  # the work went on meanwhile
        os._exit(0)

    def fail(self, error: str) -> None:
        """End the process, whatever it is at, with this as the job's failure: its work cannot go
        on, and does not hear so. Nothing where the process is not this job's own.
        """
        if not self.alone or not self.last_word():
            return
        print(f"{time.strftime('%H:%M:%S')} ended: {error}", flush=True)
        self._end_as("failed", error)

    def last_word(self) -> bool:
        """Return True for the one who may say how the job ended, the work or the wish to stop;
        False for whoever comes second.
        """
        return self._end.acquire(blocking=False)

    def close(self) -> None:
        """Stop the heartbeat; no word comes after this but where the catalogue does not answer."""
        self._over.set()
        self._beats.join(timeout=LAST_BEAT)

    @property
    def seconds(self) -> float:
        """Seconds of work, those of earlier attempts counted."""
        return self.before + time.monotonic() - self.began

    @property
    def doing(self) -> str:
        """What is going on now."""
        return self._phase

    @property
    def reached(self) -> int:
        """The last step that was finished."""
        return self._last

    def stop(self) -> bool:
        """Whether the user has asked the job to stop."""
        return self.cancelled.is_set()

    def phase(self, words: str) -> None:
        """Say what is going on now; checked for cancelling here as well."""
        if self.stop():
            raise Cancelled
        self._phase = words
        print(f"{time.strftime('%H:%M:%S')} {words}")

    def note(self, words: str) -> None:
        """Keep a sentence that is to be read beside the result."""
        print(f"{time.strftime('%H:%M:%S')} {words}")
        before = self.ws.job(self.job.id).note.splitlines()
        self.ws.catalogue.set_job(self.job.id, note="\n".join([*before, words]))

    def _cut(self, step: int) -> None:
        """Drop the points of an interrupted attempt from `step` on: they are learned, and written,
        again.
        """
        kept = [p for p in records.read_curves(self.ws.folder(self.job.id)) if p["step"] < step]
        write_bytes(self._curve, "".join(json.dumps(p) + "\n" for p in kept).encode())

    def share(self, done: float) -> None:
        """Report how far the work is, 0 to 1; checked for cancelling here as well."""
        if self.stop():
            raise Cancelled
        self.step(max(1, round(done * 1000)), 1000, {})

    def part(self, done: float) -> None:
        """Report how far what goes on now is, 0 to 1, where it follows the steps of a training:
        their curve stays. Checked for cancelling here as well.
        """
        if self.stop():
            raise Cancelled
        self._progress, self._eta = min(1.0, max(0.0, done)), None

    def step(self, step: int, total: int, scalars: dict[str, float]) -> None:
        """Report a finished step of `total`; scalars may be 0-d tensors. Each set of quantities is
        written at most ten times a second, and the last one always.
        """
        now, last = time.monotonic(), step >= total
        # to a checkpoint, since memory did not suffice
        back, self._last = step < self._last <= total, step
        if self._start[0] == 0 or back:
            self._start = (step, now)
            if self.job.resume or back:
                self._cut(step)
        if scalars and (now - self._wrote.get(tuple(scalars), 0.0) > 0.1 or last):
            self._wrote[tuple(scalars)] = now
            values = {k: float(v) for k, v in scalars.items()}
            append_line(
                self._curve,
                json.dumps(
                    {"step": step, "total": total, "seconds": round(self.seconds, 2), **values}
                )
                + "\n",
            )
        if now - self._told > 0.5 or last:
            self._told = now
            done = step - self._start[0]
            self._progress = min(1.0, step / max(1, total))
            self._eta = (now - self._start[1]) / done * (total - step) if done else None
