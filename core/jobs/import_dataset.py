"""An import as a job: read what was brought, store it, look it over; all of it or nothing, in a
process of its own with limits.

What is asked (paths among it) stands in the job's folder until the import has ended, never in the
catalogue: names of files and folders may be names of patients. An import whose process was killed
goes on when it is resumed: pictures that were stored already are not decoded again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import limits
from core.errors import Cancelled, UserError
from core.io import checksums
from core.workspace.catalogue import Job
from core.workspace.import_request import REQUEST, drop_request
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.jobs.reporter import Reporter

SHARES = (0.4, 0.8)  # of the progress bar: reading ends, storing ends


def import_data(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Read, store and register the dataset that the job's request asks for. UserError when anything
    does not fit; what is there by then is taken back by `run_folder.undo`.
    """
    import warnings

    import psutil

    from core import sandbox
    from core.data.checks import dataset_findings
    from core.data.readers import read

    # libraries quote what they find in files, and this process writes to a log
    warnings.simplefilter("ignore")
    sandbox.offline()
    sandbox.limit(min(limits.IMPORT_MEMORY, int(0.8 * psutil.virtual_memory().available)))
    place = ws.folder(job.id) / REQUEST
    if not place.exists():
        raise UserError("What was to be imported is no longer here; bring the files again.")
    asked = json.loads(place.read_text())
    options = asked["options"] | (
        {"masks": Path(asked["options"]["masks"])} if asked["options"].get("masks") else {}
    )

    def reporter(low: float, high: float) -> Any:
        def report(done: int, total: int) -> None:
            if tell.stop():
                raise Cancelled
            tell.step(round(1000 * (low + (high - low) * done / max(1, total))), 1000, {})

        return report

    try:
        path = Path(asked["path"])
        tell.phase("reading the files")
        data = read(
            path, name=asked["name"], **options, key=ws.key, report=reporter(0.0, SHARES[0])
        )
        if path.is_file():
            data.card["source hash"] = f"sha256 {checksums.sum_of(path)[:16]}"
        tell.phase("storing the cases")
        stored = ws.add(data, id=job.id, report=reporter(*SHARES))
        ws.catalogue.set_job(job.id, dataset=job.id)  # the dataset bears the job's id
        tell.phase("looking the cases over")
        looked = reporter(SHARES[1], 1.0)
        dataset_findings(ws, stored.name, lambda fraction: looked(round(1000 * fraction), 1000))
    except MemoryError:
        raise UserError(
            "The import needs more memory than this machine has to spare; split it."
        ) from None
    finally:
        drop_request(place.parent)  # a process that is killed does not come here, and can go on
