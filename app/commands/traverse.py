"""traverse: decoded pictures along a path, or on a plane, through the latent space of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace, writable
from app.commands.explore import row_of
from core.errors import UserError
from core.registry import open_model


def register(cli: typer.Typer) -> None:
    cli.command("traverse")(traverse)


def traverse(
    run: str,
    row: Annotated[str, typer.Option(help="The case to start from: its number or file name.")],
    to_dir: Annotated[Path, typer.Option("--to-dir", help="Where the frames go.")],
    axis: Annotated[
        int | None, typer.Option(help="Turn this latent axis (1 is the first).")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Go to this other case.")] = None,
    label: Annotated[str | None, typer.Option(help="Go towards this class.")] = None,
    column: Annotated[
        str | None,
        typer.Option(
            help="Go from low to high of this column of numbers, or, as in sex=F..M, from the mean"
            " of one word to that of another."
        ),
    ] = None,
    through: Annotated[
        str | None, typer.Option(help="Go on through these cases, separated by commas.")
    ] = None,
    between: Annotated[
        bool,
        typer.Option("--between", help="With --through: by way of real cases between them."),
    ] = False,
    plane: Annotated[
        str | None,
        typer.Option(help="A plane by this case and two others, or by two axes: 3,7 or axes:1,2."),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=101)] = 9,
    json: AsJson = False,
) -> None:
    """Decoded pictures along a path, or on a plane, in latent space, each marked GENERATED."""
    from core.artifacts import Embedding, Model
    from core.explain import traversal
    from core.io.files import share_new_files
    from core.jobs.run_folder import find_artifact

    if sum(v is not None for v in (axis, to, label, column, through, plane)) > 1:
        raise UserError("Choose one of --axis, --to, --label, --column, --through and --plane.")
    if between and through is None:
        raise UserError("--between goes with --through.")
    ws = workspace()
    job = ws.job(run)
    data = ws.dataset(job.dataset)
    model, embedding = (
        open_model(find_artifact(ws, job.id, Model)),
        find_artifact(ws, job.id, Embedding),
    )
    if "decode" not in model.abilities:
        raise UserError("This run cannot draw new pictures, so there is nothing along a path.")
    start = row_of(data, row)
    if plane is not None:
        _save_plane(ws, job, data, model, embedding, start, plane, to_dir, json)
        return
    if column is not None:
        made = _along_column(model, data, embedding, start, column, steps)
    elif through is not None:
        from core.explain.paths import traverse_through

        rows = [start, *(row_of(data, r.strip()) for r in through.split(","))]
        made = traverse_through(model, data, embedding, rows, steps, between)
    elif to is not None:
        made = traversal.traverse_between(model, data, embedding, start, row_of(data, to), steps)
    elif label is not None:
        made = traversal.traverse_toward_label(model, data, embedding, start, label, steps)
    else:
        chosen = None if axis is None else _axis(embedding, axis)
        best = int(np.argmax(traversal.axis_effects(model, embedding)))
        made = traversal.traverse_axis(
            model, data, embedding, start, best if chosen is None else chosen, steps
        )
    with share_new_files():
        files = traversal.save_frames(made, data, writable(to_dir))
    found = {
        "run": job.id,
        "row": start,
        "axis": made.axis,
        "values": [float(v) for v in made.value],
        "frames": [str(f) for f in files],
        "path": str(to_dir),
    }
    say(found, f"{len(made.value)} steps along {made.axis}: {to_dir}", json)


def _axis(embedding: Any, axis: int) -> int:
    """A latent axis counted from 0, of one counted from 1."""
    if not 1 <= axis <= embedding.z.shape[1]:
        raise UserError(f"There is no axis {axis}; this run has axes 1 to {embedding.z.shape[1]}.")
    return axis - 1


def _along_column(model: Any, data: Any, embedding: Any, start: int, given: str, steps: int) -> Any:
    from core.explain.paths import traverse_column, traverse_means

    name, sign, words = given.rpartition("=")
    if not sign or given in data.table:
        return traverse_column(model, data, embedding, start, given, steps)
    low, dots, high = words.partition("..")
    if not dots:
        raise UserError(f"“{given}” is not of the form COLUMN=ONE..OTHER.")
    return traverse_means(model, data, embedding, name, low, high, steps)


def _save_plane(
    ws: Any,
    job: Any,
    data: Any,
    model: Any,
    embedding: Any,
    start: int,
    given: str,
    to_dir: Path,
    json: bool,
) -> None:
    from core.explain.plane import plane_of_axes, plane_of_cases
    from core.io.files import share_new_files
    from core.jobs.counterfactual import find_threshold
    from core.report.plane_figure import save_plane

    parts = [p.strip() for p in given.removeprefix("axes:").split(",")]
    if len(parts) != 2:
        raise UserError("--plane takes two other cases, as in 3,7, or two axes, as in axes:1,2.")
    if given.startswith("axes:"):
        numbers = [int(p) if p.isdigit() else 0 for p in parts]
        first, second = (_axis(embedding, n) for n in numbers)
        made = plane_of_axes(model, data, embedding, start, (first, second))
    else:
        b, c = (row_of(data, p) for p in parts)
        made = plane_of_cases(model, data, embedding, (start, b, c))
    threshold = find_threshold(ws, job.id)
    stamp = f"{data.name} {data.hash[:10]}, run {job.id}, seed {job.seed}"
    with share_new_files():
        files = save_plane(data, made, list(model.classes), threshold, writable(to_dir), stamp)
    found = {
        "run": job.id,
        "row": start,
        "plane": list(made.titles),
        "cases": [case[0] for case in made.cases],
        "files": [str(f) for f in files],
        "path": str(to_dir),
    }
    words = f"{made.frames.shape[1]} × {made.frames.shape[0]} pictures"
    say(found, f"{words} {made.titles[0]} and {made.titles[1]}: {to_dir}", json)
