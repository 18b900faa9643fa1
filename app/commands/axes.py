"""axes: what the axes of a run's latent space follow, and what people call them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from app.commands._shared import AsJson, say, workspace
from core.errors import UserError
from core.words import q_value


def register(cli: typer.Typer) -> None:
    cli.command("axes")(axes)


def axes(
    run: str,
    name: Annotated[
        str, typer.Option(help="Name an axis: AXIS=NAME, as 3=ventricles; 3= takes it back.")
    ] = "",
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back the last change of a name.")
    ] = False,
    json: AsJson = False,
) -> None:
    """The column or picture measure that each latent axis follows most, on held-out cases; an axis
    that follows none beyond chance is not listed.
    """
    from core.artifacts import Embedding
    from core.explain.axis_names import kept_names
    from core.jobs import queue
    from core.jobs.apply import load_data_as_seen
    from core.jobs.run_folder import find_artifact
    from core.workspace import notes

    ws = workspace()
    job = queue.finished_run(ws, run, "asked about its axes")
    embedding = find_artifact(ws, job.id, Embedding)
    if name:
        axis, equals, words = name.partition("=")
        many = embedding.z.shape[1]
        if not equals or not axis.strip().isdigit() or not 1 <= int(axis) <= many:
            raise UserError(f"--name takes AXIS=NAME with an axis from 1 to {many}, not “{name}”.")
        notes.name_axis(ws, job.id, int(axis) - 1, words)
    if undo and not notes.undo_axis_name(ws, job.id):
        raise UserError("No axis of this run was named, so there is nothing to undo.")
    given = notes.load_axis_names(ws, job.id)
    known = [a for a in kept_names(embedding, load_data_as_seen(ws, job)) if a is not None]
    found = {
        "run": job.id,
        "axes": [asdict(a) | {"axis": a.axis + 1} for a in known],
        "names": {str(j + 1): words for j, words in given.items()},
    }
    lines = [f"dimension {a.axis + 1}: {a.words}, {q_value(a.q)}" for a in known]
    lines += [f"dimension {j + 1} is called “{words}”" for j, words in sorted(given.items())]
    say(found, "\n".join(lines) or "No axis follows a known column beyond chance.", json)
