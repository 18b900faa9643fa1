"""map, report."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace, writable
from app.commands.runs import finish
from core.errors import UserError
from core.maps.projections import AUTOMATIC, OFFERED, check_projection


def register(cli: typer.Typer) -> None:
    cli.command("map")(map_)
    cli.command("report")(report)


def row_of(data: Any, given: str) -> int:
    """A row id from its number or its file name. UserError when there is no such row."""
    if given.isdigit() and int(given) in set(data.rows.tolist()):
        return int(given)
    found = np.flatnonzero(data.names() == given)
    if len(found) != 1:
        raise UserError(
            f"“{data.name}” has no row “{given}” (rows are numbered 0 to {len(data.table) - 1};"
            " excluded ones are not offered)."
        )
    return int(data.rows[found[0]])


def map_(
    run: str,
    how: Annotated[
        str, typer.Option(help=f"{OFFERED}; {AUTOMATIC}: the most faithful of them.")
    ] = AUTOMATIC,
    dims: Annotated[int, typer.Option(help="2 or 3.")] = 2,
    seed: int = 0,
    slices: Annotated[
        bool,
        typer.Option(
            "--slices", help="Of a run that took volumes slice by slice: every slice a point."
        ),
    ] = False,
    add: Annotated[
        str,
        typer.Option(
            "--add",
            help="Place the cases of this other dataset on the map, by the run's model; with --to.",
        ),
    ] = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="The CSV file to write their places to.")
    ] = None,
    json: AsJson = False,
) -> None:
    """A 2-D or 3-D map of what a run learned, with how faithful it is. Cases of other data can be
    given places on it; it stays as it is.
    """
    from core.artifacts import Map
    from core.export import safe_csv
    from core.io.files import share_new_files, write_bytes
    from core.jobs import queue
    from core.maps.make import of_slices

    check_projection(how, dims)
    if bool(add) != (to is not None):
        raise UserError(
            "--add names the dataset whose cases are placed and --to the CSV file for their places;"
            " give both."
        )
    ws = workspace()
    spec = {"how": how, "dims": dims, **(of_slices(ws, ws.job(run)) if slices else {})}
    job = finish(queue.derive(ws, "map", run, spec, seed), json)
    made = ws.artifact(job.id, "map")
    assert isinstance(made, Map)
    scores = {k: made.scores.get(k) for k in ("trustworthiness", "continuity", "knn_recall")}
    found = {
        "run": job.on_run,
        "map": job.id,
        "how": made.how,
        "reason": made.reason or "",
        "n": made.total or len(made.rows),
        "shown": len(made.rows),
        **scores,
        "path": str(ws.artifact_folder(job.id, "map")),
        "landmarks": made.landmarks or 0,
    }
    if to is None:
        say(found, made.summary(), json)
        return
    places = _places(ws, job, made, add)
    with share_new_files():
        write_bytes(to, safe_csv(places).encode())
    say(
        found | {"added": len(places), "places": str(to)},
        f"{len(places):,} cases of “{add}” placed on the map: {to}",
        json,
    )


def _places(ws: Any, job: Any, made: Any, other: str) -> Any:
    """One line a case of the dataset `other`: its name, its place on the map and how far its
    neighbours there are true ones (trust, 0 to 1).
    """
    import pandas as pd

    from core.artifacts import Embedding, Model
    from core.jobs.run_folder import find_artifact
    from core.maps import out_of_sample
    from core.maps.make import add

    data, embedding = ws.dataset(other), find_artifact(ws, job.on_run, Embedding)
    z = out_of_sample.embedded(
        find_artifact(ws, job.on_run, Model), embedding, ws.dataset(job.dataset), data
    )
    more = add(made, embedding, Embedding(rows=data.rows, z=z, metric=embedding.metric), job.seed)
    new = slice(len(made.rows), None)
    return pd.DataFrame(
        {
            "row": data.rows,
            "name": data.names(),
            **dict(zip("xyz", np.asarray(more.xy)[new].T)),
            "trust": np.asarray(more.trust)[new],
        }
    )


def report(
    runs: list[str],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The HTML file to write: a path, or an address such as s3://bucket/page.html.",
        ),
    ],
    json: AsJson = False,
) -> None:
    """One self-contained HTML page about one or more runs, to show to others."""
    from core.io.files import is_remote, make_folder, send_to_remote, share_new_files, write_bytes
    from core.report.html import report_html

    ws = workspace()
    ids = [ws.job(r).id for r in runs]
    path = Path(to)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{to} must end in .html.")
    if path.is_dir():
        raise UserError(f"{to} is a folder; name a file.")
    page = report_html(ws, ids).encode()
    if is_remote(to):
        with TemporaryDirectory() as place:
            write_bytes(Path(place) / path.name, page)
            send_to_remote(Path(place) / path.name, to)
    else:
        with share_new_files():
            make_folder(writable(path.parent))
            write_bytes(path, page)
    say({"runs": ids, "report": to, "bytes": len(page)}, f"Written: {to}", json)
