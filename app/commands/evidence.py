"""benchmark: measure again what a card says, from the data to the figure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands._shared import AsJson, say, workspace
from core.children import ROOT, environment, python_command
from core.errors import UserError


def register(cli: typer.Typer) -> None:
    cli.command("benchmark")(benchmark)


def benches() -> dict[str, str]:
    """Method or measure id -> name of the benchmark that measures it: its own file, or one that
    lists it in IDS.
    """
    found: dict[str, str] = {}
    for path in sorted((ROOT / "tests" / "benchmarks").glob("bench_*.py")):
        own = path.stem.removeprefix("bench_")
        several = re.search(r"^IDS = \(([^)]*)\)", path.read_text(), re.MULTILINE)
        found |= {id: own for id in (re.findall(r'"(\w+)"', several[1]) if several else [own])}
    return found


def benchmark(
    method: str,
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
    workspace; the card's stays as it is, unless you --store.
    """
    from core import evidence
    from core.registry import measures, methods

    if (
        method not in methods()
        and method not in measures()
        and method not in benches()
        and evidence.load_evidence(method) is None
    ):
        raise UserError(f"There is no method or measure “{method}”; `lightbox methods` lists them.")
    if store and not evidence.is_checkout():
        raise UserError(
            "An installed Lightbox keeps its cards' figures as they came; leave --store out, and"
            " the result goes into the workspace."
        )
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

    name = benches().get(method)
    if name is None:
        raise UserError(
            f"There is no benchmark of “{method}” here; benchmarks are in the project's source, in"
            " tests/benchmarks."
        )
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
