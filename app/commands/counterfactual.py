"""counterfactual: the smallest change of a case that flips what a model says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace, writable
from app.commands.explore import row_of
from app.commands.runs import finish
from core.errors import UserError
from core.registry import open_model

if TYPE_CHECKING:
    from core.artifacts import Counterfactual


def register(cli: typer.Typer) -> None:
    cli.command("counterfactual")(counterfactual)


def counterfactual(
    run: str,
    case: Annotated[str, typer.Argument(help="The case: its row number or file name.")],
    to: Annotated[
        str,
        typer.Option(help="What the model should say: a class, or score (below the threshold)."),
    ],
    lock: Annotated[
        str, typer.Option(help="Columns of a table that must not change, separated by commas.")
    ] = "",
    to_dir: Annotated[
        Path | None, typer.Option("--to-dir", help="Where pictures and figures go.")
    ] = None,
    json: AsJson = False,
) -> None:
    """The smallest change found of one case that flips what the model says of it."""
    from core.artifacts import Counterfactual, Model
    from core.explain.counterfactual import list_open, list_wanted, why_no_counterfactual
    from core.io.files import share_new_files
    from core.jobs import queue
    from core.jobs.apply import load_data_as_seen
    from core.jobs.counterfactual import find_threshold, make_spec
    from core.jobs.run_folder import find_artifact

    ws = workspace()
    job = queue.finished_run(ws, run, "asked for a counterfactual")
    data = load_data_as_seen(ws, job)
    row = row_of(data, case)
    model = open_model(find_artifact(ws, job.id, Model))
    threshold = find_threshold(ws, job.id)
    if (why := why_no_counterfactual(model, data, threshold)) is not None:
        raise UserError(why)
    offered = [key for key, _ in list_wanted(model, threshold)]
    target = next((k for k in (f"class {to}", to) if k in offered), None)
    if target is None:
        names = ", ".join(k.removeprefix("class ") for k in offered)
        raise UserError(f"This model cannot be asked for “{to}” (it can for: {names}).")
    if target not in dict(list_open(model, data, row, threshold)):
        raise UserError(f"The model says of that case already what it should: {to}.")
    locked = [name for name in (part.strip() for part in lock.split(",")) if name]
    folder = None if to_dir is None else writable(to_dir)
    spec = make_spec(ws, job.id, row, target, locked)
    done = finish(queue.derive(ws, "counterfactual", job.id, spec), json)
    made = ws.artifact(done.id, "counterfactual")
    assert isinstance(made, Counterfactual)
    found = {"run": job.id, "counterfactual": done.id} | describe(made)
    if folder is not None:
        with share_new_files():
            found["files"] = [str(f) for f in save(made, data, found, folder)]
    fields = "".join(f"\n  {f['field']}: {f['before']} → {f['after']}" for f in made.fields)
    say(found, made.said + fields, json)


def describe(made: Counterfactual) -> dict[str, Any]:
    """What a counterfactual says, as plain values."""
    return {
        "row": int(made.rows[0]),
        "target": made.target,
        "found": made.found,
        "said": made.said,
        "way": made.way,
        "generated": made.generated,
        "answer": made.answer,
        "model_says": made.others,
        "size_latent": made.moved,
        "size_input": made.changed_mean,
        "share_changed": made.changed_share,
        "distance_percentile": made.distance,
        "nearest_real_row": made.near if made.near >= 0 else None,
        "fields": made.fields,
    }


def save(made: Counterfactual, data: Any, found: dict[str, Any], folder: Path) -> list[Path]:
    """Write the pictures, what a model made marked GENERATED, and counterfactual.json."""
    from core.imaging import changes, render
    from core.io.files import make_folder, write_bytes, write_json

    make_folder(folder)
    files = []
    if render.is_drawable(data):
        for name, picture in changes.draw_change(made, data).items():
            files.append(folder / f"{name}.png")
            write_bytes(files[-1], render.encode_png(picture))
    values = {k: np.asarray(getattr(made, k)) for k in ("before", "after")}
    write_json(
        folder / "counterfactual.json", found | (values if values["before"].ndim == 1 else {})
    )
    return [*files, folder / "counterfactual.json"]
