"""concept: whether a model uses a concept, against random ones."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace
from app.commands.runs import finish
from core.errors import UserError
from core.registry import open_model
from core.words import q_value


def register(cli: typer.Typer) -> None:
    cli.command("concept")(concept)


def concept(
    run: str,
    of: Annotated[
        list[str],
        typer.Argument(
            help="Each a concept: a saved group, COLUMN=VALUE, or a column of numbers (its upper"
            " third)."
        ),
    ],
    layer: Annotated[
        str, typer.Option(help="A layer of the model, by its name; the latent space by default.")
    ] = "",
    seed: int = 0,
    json: AsJson = False,
) -> None:
    """Test whether a model uses concepts: how its outputs change with each, against 200 random
    concepts of the same size.
    """
    from core.artifacts import Model
    from core.explain.concepts import why_no_concepts
    from core.jobs import queue
    from core.jobs.apply import load_data_as_seen
    from core.jobs.concepts import load_tests, make_spec, open_concept
    from core.jobs.run_folder import find_artifact

    ws = workspace()
    job = queue.finished_run(ws, run, "asked about concepts")
    data = load_data_as_seen(ws, job)
    if (why := why_no_concepts(open_model(find_artifact(ws, job.id, Model)), data)) is not None:
        raise UserError(why)
    asked = [_spec(ws, job.dataset, words) for words in of]
    for one in asked:
        open_concept(data, one)
    done = finish(queue.derive(ws, "concept", job.id, make_spec(asked, layer), seed), json)
    tests = load_tests(ws, done.id)
    found = {
        "run": job.id,
        "concept": done.id,
        "concepts": [
            {
                "concept": t.concept,
                "says": t.says,
                "layer": t.layer,
                "inside": t.inside,
                "random": t.random,
                "readable": t.readable,
                "results": t.results,
                "most": np.asarray(t.rows)[np.argsort(-np.asarray(t.amount))[:10]].tolist(),
                "least": np.asarray(t.rows)[np.argsort(np.asarray(t.amount))[:10]].tolist(),
            }
            for t in tests
        ],
    }
    say(found, "\n".join(_words(t) for t in tests), json)


def _spec(ws: Any, dataset: str, words: str) -> dict[str, Any]:
    """A saved group comes first, then a column with a value, then a column."""
    from core.jobs.concepts import column_spec, rows_spec
    from core.workspace import notes

    saved = notes.load_groups(ws, dataset)
    if words in saved:
        return rows_spec(words, saved[words])
    column, _, value = words.partition("=")
    return column_spec(column.strip(), value.strip())


def _words(test: Any) -> str:
    lines = [f"{test.concept}: {test.says}"]
    lines += [
        f"  {r['output']}: effect {r['effect']:+.3g} (random: sd {r['random_effect']:.2g}),"
        f" positive in {r['share']:.2f} of {r['n']} cases, {q_value(r['q'])}"
        for r in test.results
        if r["q"] is not None
    ]
    return "\n".join(lines)
