"""One of the processes that train a run together, not the run's own: `python -m
core.jobs.together_worker HOME JOB RANK SIZE MEETING`. It writes nothing but its log, and ends with
the process that started it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from core.errors import UserError, private_traceback
from core.io.files import keep_new_files_private
from core.jobs import attempt_guard, tasks
from core.jobs.priority import lower_priority
from core.training.ranks import Ranks
from core.workspace.catalogue import PATIENT
from core.workspace.workspace import Workspace


def main(home: str, id: str, rank: str, size: str, meeting: str) -> None:
    """Train along, to the end of the training."""
    keep_new_files_private()
    attempt_guard.end_with_parent()
    lower_priority()
    ws = Workspace(Path(home))
    ws.catalogue.patience = PATIENT
    code = 0
    try:
        tasks.train_along(ws, ws.job(id), Ranks(int(rank), int(size), Path(meeting)))
    except Exception as e:
        print(e if isinstance(e, UserError) else private_traceback(e))
        code = 1
    sys.stdout.flush()
    os._exit(code)  # threads of libraries do not hold the process


if __name__ == "__main__":
    main(*sys.argv[1:])
