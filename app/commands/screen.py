"""screen."""

from __future__ import annotations

import csv
import json as json_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.commands._shared import say
from core.errors import UserError

HEADS = ("row", "id", "name", "file")  # of the column of a CSV that names the cases


def register(cli: typer.Typer) -> None:
    cli.command("screen")(screen)


def _text(help: str, name: str) -> Any:
    return typer.Option(name, help=help)


def screen(
    page: Annotated[str, _text("The page to open; `map` is the latent map.", "--page")] = "",
    dataset: Annotated[str, _text("The dataset to open.", "--dataset")] = "",
    run: Annotated[str, _text("The run to open.", "--run")] = "",
    colour: Annotated[str, _text("The column to colour by.", "--colour")] = "",
    projection: Annotated[
        str, _text("How maps are drawn: auto, umap, tsne, pca or pacmap.", "--projection")
    ] = "",
    dims: Annotated[int | None, typer.Option(help="2 or 3.")] = None,
    select: Annotated[
        str,
        _text("Select by a rule, as `age > 60 and sex = F`.", "--select"),
    ] = "",
    select_ids: Annotated[
        Path | None,
        typer.Option(
            "--select-ids",
            help=(
                "Select the cases of this file: row numbers or file names, one a line, or a CSV"
                f" with a column {', '.join(HEADS)}."
            ),
        ),
    ] = None,
    cluster: Annotated[str, _text("Select a cluster, by its name.", "--cluster")] = "",
    group: Annotated[str, _text("Select a saved group.", "--group")] = "",
    mode: Annotated[
        Literal["set", "add", "remove", "intersect"],
        typer.Option(help="What selecting does to the present selection."),
    ] = "set",
    clear: Annotated[bool, typer.Option("--clear", help="Select nothing.")] = False,
    look: Annotated[str, _text("Look at a case: its number or file name.", "--look")] = "",
    undo: Annotated[
        bool, typer.Option("--undo", help="Show what was shown before the newest such move.")
    ] = False,
    show: Annotated[
        bool,
        typer.Option("--show", help="Print what the screen shows as JSON; alone, move nothing."),
    ] = False,
    sessions: Annotated[
        bool, typer.Option("--sessions", help="List the pages that are open in browsers.")
    ] = False,
    session: Annotated[
        str,
        typer.Option(
            "--session", help="Which open page; by default the one that a person used last."
        ),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Move a page of the app that is open in a browser, or print what it shows. The page says what
    moved it, and takes it back.
    """
    from app.outside import client

    if sessions:
        found = client.ask("sessions")
        lines = [
            f"{s['session']}  {s['page']:<12} {s['dataset'] or '-':<24} {s['selected']:,} selected"
            for s in found["sessions"]
        ]
        say(found, "\n".join(lines) or "No page of the app is open in a browser.", json)
        return
    move: dict[str, Any] = {
        name: value
        for name, value in {
            "page": page,
            "dataset": dataset,
            "run": run,
            "colour": colour,
            "projection": projection,
            "dims": dims,
            "select": select,
            "cluster": cluster,
            "group": group,
            "clear": clear,
            "look": look,
            "undo": undo,
            "ids": _read_ids(select_ids) if select_ids is not None else None,
        }.items()
        if value not in ("", None, False)
    }
    if not move and not show:
        raise UserError("Say what the screen should show (--page, --run, --select ...), or --show.")
    found = (
        client.ask("move", session, move | {"mode": mode}) if move else client.ask("show", session)
    )
    if show:
        typer.echo(json_module.dumps(found, indent=None if json else 2))
        return
    n = found["selection"]["n"]
    words = f"{found['page']}, {found['dataset'] or 'no data'}"
    say(found, f"{words}: {found['moved'] or 'undone'}; {n:,} selected", json)


def _read_ids(path: Path) -> list[str]:
    """Cases named in a file: one a line, or the column of a CSV that names them."""
    try:
        words = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path} cannot be read as text; it lists cases, one a line.") from None
    lines = [line for line in words.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path} names no case.")
    heads = next(csv.reader([lines[0]]))
    at = next((heads.index(h) for h in HEADS if h in heads), None)
    if at is None:
        return [line.strip() for line in lines]
    cells = [cells[at] for cells in csv.reader(lines[1:]) if len(cells) > at]
    if not cells:
        raise UserError(f"{path} names no case.")
    return cells
