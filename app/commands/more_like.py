"""more-like: more cases like a few marked ones, and what people say of the candidates."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace
from app.commands.explore import row_of
from core.errors import UserError


def register(cli: typer.Typer) -> None:
    cli.command("more-like")(more_like)


def more_like(
    run: str,
    name: Annotated[str, typer.Argument(help="What is looked for; a group of this name keeps it.")],
    start: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="The cases to begin with: a saved group, COLUMN=VALUE, or a row number or file"
            " name (repeat for several).",
        ),
    ] = None,
    it: Annotated[
        list[str] | None, typer.Option(help="A candidate that is it: row number or file name.")
    ] = None,
    not_it: Annotated[list[str] | None, typer.Option(help="A candidate that is not it.")] = None,
    unclear: Annotated[
        list[str] | None, typer.Option(help="A candidate of which nobody can tell.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last answer back.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many candidates are printed.")] = 10,
    json: AsJson = False,
) -> None:
    """More cases like a few marked ones, the likeliest first, by what the run learned; with answers
    to candidates the order follows them, and the share that was right is given with its interval.
    """
    from core.artifacts import Embedding
    from core.explain.more_like import find_candidates, measure_precision
    from core.jobs import queue
    from core.jobs.apply import load_data_as_seen
    from core.jobs.run_folder import find_artifact
    from core.workspace import notes, searches

    ws = workspace()
    job = queue.finished_run(ws, run, "searched for more cases")
    data, space = load_data_as_seen(ws, job), find_artifact(ws, job.id, Embedding)
    dataset = data.name
    answers = [
        (row_of(data, given), said)
        for said, those in zip(searches.SAID, (it, not_it, unclear))
        for given in those or []
    ]
    if start:
        searches.begin_search(ws, dataset, name, job.id, _marked(ws, data, start))
    elif name not in (known := searches.load_searches(ws, dataset)):
        there = f"there are: {', '.join(known)}" if known else "none was begun yet"
        raise UserError(f"There is no search “{name}” ({there}); --from begins one.")
    if undo:
        searches.undo_answer(ws, dataset, name)
    by = notes.load_author(ws)
    for row, said in answers:
        searches.answer(ws, dataset, name, row, said, by)
    search = searches.load_searches(ws, dataset)[name]
    found = find_candidates(
        space, search.found, search.said("not it"), search.said("unclear"), data.rows
    )
    rows = found.rows[:top]
    right, wrong = len(search.said("it")), len(search.said("not it"))
    rate = measure_precision(right, wrong)
    told = {
        "run": job.id,
        "name": name,
        "marked": search.marked,
        "found": search.found.tolist(),
        "unclear": search.said("unclear").tolist(),
        "reviewed": len(search.answers),
        "precision": {"value": rate.value, "low": rate.low, "high": rate.high, "n": rate.n},
        "candidates": [
            {"row": int(row), "name": str(called), "share": None if np.isnan(s) else float(s)}
            for row, called, s in zip(rows, data.of(rows).names(), found.share)
        ],
        "left": len(found.rows),
    }
    lines = [f"{one['name']} (row {one['row']})" for one in told["candidates"]]
    if rate.value is not None:
        lines.append(
            f"precision {rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f}), n = {rate.n} reviewed"
        )
    say(told, "\n".join(lines) or "Every case has been reviewed.", json)


def _marked(ws: Any, data: Any, given: list[str]) -> np.ndarray:
    """Row ids int64 of the cases that are named: groups and columns first, then single cases."""
    from core.workspace import notes

    groups = notes.load_groups(ws, data.name)
    parts = [
        notes.find_named_rows(ws, data.name, words)
        if words in groups or "=" in words
        else np.array([row_of(data, words)])
        for words in given
    ]
    return np.unique(np.concatenate(parts)).astype(np.int64)
