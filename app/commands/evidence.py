"""benchmark: measure again what a card says, from the data to the figure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands import sweep
from app.commands._shared import AsJson, say, workspace
from core import evidence
from core.children import ROOT, environment, python_command
from core.errors import UserError


def register(cli: typer.Typer) -> None:
    cli.command("benchmark")(benchmark)


def benchmark(
    method: Annotated[
        list[str],
        typer.Argument(
            help="Methods or measures; several are measured as jobs.", metavar="METHOD..."
        ),
    ],
    on: Annotated[
        str,
        typer.Option(
            help="Train the methods on this dataset of yours, with each setting and seed, as jobs."
        ),
    ] = "",
    param: Annotated[
        list[str],
        typer.Option(
            "-p",
            help=(
                "With --on: a parameter, KEY=VALUE or METHOD.KEY=VALUE; several values of one KEY"
                " are tried in turn."
            ),
        ),
    ] = [],  # noqa: B006 - typer's way
    seeds: Annotated[str, typer.Option(help="With --on: seeds, as 0,1,2 or 0-4.")] = "0-2",
    device: Annotated[str, typer.Option(help="With --on: auto, cpu or cuda.")] = "auto",
    measure: Annotated[
        list[str],
        typer.Option(
            help="With --on: a measure to show, NAME or “NAME [SPLIT]”; else some that all have."
        ),
    ] = [],  # noqa: B006
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Stop those of the same command that wait or run.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait")] = True,
    stored: Annotated[
        bool, typer.Option("--stored", help="Print the stored result; measure nothing.")
    ] = False,
    store: Annotated[
        bool,
        typer.Option(
            "--store", help="Keep the result as the card's; in a checkout of the project only."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Measure a card's evidence again, from the data to the figure. The result goes into the
    workspace; the card's stays as it is, unless you --store. With --on, train methods × settings ×
    seeds on your own dataset. Several are jobs: one table fills as they end, and the same command
    goes on after an interruption.
    """
    if on:
        if stored or store:
            raise UserError("--stored and --store are about a card's evidence; leave out --on.")
        sweep.run(on, method, param, seeds, device, measure, cancel, wait, json)
        return
    if param or measure:
        raise UserError(
            "-p and --measure are about a dataset of yours: say which with --on DATASET."
        )
    if len(method) == 1 and not cancel:
        _again(method[0], stored, store, json)
        return
    if stored:
        raise UserError("--stored prints the result of one method; name one.")
    _check_store(store)
    folder = evidence.FOLDER if store else workspace().home / "evidence"
    sweep.measure_cards(method, folder, cancel, wait, json)


def _check_store(store: bool) -> None:
    if store and not evidence.is_checkout():
        raise UserError(
            "An installed Lightbox keeps its cards' figures as they came; leave --store out, and"
            " the result goes into the workspace."
        )


def _again(method: str, stored: bool, store: bool, json: bool) -> None:
    """Measure the evidence of a card again, or print what is stored."""
    from core.jobs.evidence_jobs import find_benchmarks
    from core.registry import measures, methods

    if (
        method not in methods()
        and method not in measures()
        and method not in find_benchmarks()
        and evidence.load_evidence(method) is None
    ):
        raise UserError(f"There is no method or measure “{method}”; `lightbox methods` lists them.")
    _check_store(store)
    folder = evidence.FOLDER if store or stored else workspace().home / "evidence"
    if not stored:
        _measure(method, folder, json)
    found = evidence.load_evidence(method, folder)
    if found is None:
        raise UserError(f"Nobody has measured “{method}” yet; `lightbox benchmark {method}` does.")
    say(found, _words(found), json)


def _measure(method: str, folder: Path, json: bool) -> None:
    """Run the benchmark of a method, whose result goes into `folder`. UserError when there is none,
    or it ends badly.
    """
    from core.evidence import TARGET
    from core.jobs.evidence_jobs import find_benchmarks, why_not_measured

    if said := why_not_measured(method):
        raise UserError(said)
    name = find_benchmarks()[method]
    command = python_command(
        f"tests.benchmarks.bench_{name}",
        *([method] if name != method else []),
        options=("-W", "ignore"),
    )
    env = environment(**{TARGET: str(folder.absolute())})
    if subprocess.call(command, cwd=ROOT, env=env, stdout=sys.stderr if json else None):
        raise UserError(
            f"The benchmark of “{method}” did not end well; what it wrote above says why. The"
            " stored result is as it was."
        )


def _words(found: dict[str, Any]) -> str:
    from app.text import interval
    from core.evidence import made_of

    made = found["made"]
    lines = [f"{found['method']}, measured {made['date']} on {made['hardware']}"]
    for t in found["tables"]:
        own = made_of(found, t)
        when = "" if own == made else f"; measured {own['date']} on {own['hardware']}"
        lines += [f"{t['title']} ({t['measure']}; {t['data']}, {t['split']}, n = {t['n']}{when})"]
        lines += [
            f"  {r['name']:<48} {interval(r['value'], r['low'], r['high'], 0, r.get('kind', ''))}"
            for r in t["rows"]
        ] + [f"  {t['verdict']}"]
    return "\n".join(lines)
