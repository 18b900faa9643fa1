"""One job in one process: `python -m core.jobs.worker HOME JOB`. It writes its own state; nobody
has to listen.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import uuid
from pathlib import Path

from core.errors import Cancelled, UserError, is_out_of_memory, private_traceback, user_sentence
from core.io.files import keep_new_files_private, write_bytes
from core.jobs import attempt_guard, attempts, queue, tasks
from core.jobs.engines import process_identity
from core.jobs.priority import lower_priority
from core.jobs.reporter import Reporter
from core.jobs.run_folder import remove_leftovers, undo
from core.jobs.sharing import sharing_out
from core.training.checkpoints import Checkpoints
from core.workspace import records
from core.workspace.catalogue import PATIENT
from core.workspace.workspace import Workspace


def do_job(ws: Workspace, id: str, alone: bool = False, born: str = "") -> None:
    """Do the job `id`, which is running, to its end, and write down how it ended; nothing where it
    no longer is (it was cancelled meanwhile).

    `alone`: this process is the job's own, see `Reporter`. `born`: the mark of the attempt on a
    cluster; on this machine it is the process.
    """
    if not ws.catalogue.set_job(
        id, only_if="running", pid=os.getpid(), born=born or process_identity(os.getpid())
    ):
        return
    job, folder = ws.job(id), ws.folder(id)
    reporter = Reporter(ws, job, alone)
    remove_leftovers(ws, job)
    status, error, bug = "failed", "", ""
    try:
        records.write_record(ws.home, job)
        if not job.resume:
            write_bytes(folder / "scalars.jsonl", b"")
        with sharing_out():
            tasks.TASKS[job.kind](ws, job, reporter)
        if reporter.stop():
            raise Cancelled
        status = "done"
    except Cancelled:
        status = "cancelled"
    except Exception as e:
        attempts.add(folder, attempts.attempt_of_error(e, reporter.doing, reporter.reached))
        error = user_sentence(e) or ""
        if not isinstance(e, UserError):
            bug = uuid.uuid4().hex[:8]
            print(f"error {bug}")
            print(private_traceback(e, words=job.kind != "import"))
            if is_out_of_memory(e):
                error = (
                    "Memory, the machine's or the GPU's, did not suffice; close other programs, or"
                    " try fewer rows or smaller images."
                )
            error, bug = (
                (error, "")
                if error
                else (f"Something went wrong inside; the run's log has it under {bug}.", bug)
            )
    while not reporter.last_word():
        time.sleep(1)  # it is being ended
    if status != "done":
        undo(ws, job)
    reporter.close()
    values = {
        "status": status,
        "error": error,
        "bug": bug,
        "finished": time.time(),
        "seconds": reporter.seconds,
        "eta": None,
    }
    if (
        records.end_job(
            ws.catalogue,
            ws.home,
            job,
            **values,
            **({"progress": 1.0, "phase": ""} if status == "done" else {}),
        )
        and status == "done"
    ):
        Checkpoints(folder).clear()
        try:
            queue.apply_after(ws, job)
        except UserError as e:
            reporter.note(f"Not tested on the data held out for it: {e}")


def main(home: str, id: str, born: str = "") -> None:
    """Do one job in a process of its own. `born`: the mark of an attempt on a cluster, which ends
    with the process that started it and has the run's folder to itself.
    """
    keep_new_files_private()
    if born:
        attempt_guard.end_with_parent()
    lower_priority()
    ws = Workspace(Path(home))
    ws.catalogue.patience = PATIENT
    held = attempt_guard.take_folder(ws, id, born) if born else None
    if not born or held is not None:
        if born:
            print(f"{time.strftime('%H:%M:%S')} on the node {platform.node()}")
        do_job(ws, id, alone=True, born=born)
    sys.stdout.flush()
    os._exit(0)  # threads of libraries do not hold the process


if __name__ == "__main__":
    main(*sys.argv[1:])
