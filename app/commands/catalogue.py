"""catalogue move."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from app.commands._shared import AsJson, say, settings


class Where(enum.StrEnum):
    postgresql = "postgresql"
    sqlite = "sqlite"


group = typer.Typer(help="Where the catalogue of the workspace is kept.", no_args_is_help=True)


def register(cli: typer.Typer) -> None:
    group.command("move")(move)
    cli.add_typer(group, name="catalogue")


def move(
    to: Annotated[
        Where,
        typer.Argument(
            help="postgresql: the server that LIGHTBOX_CATALOGUE names; sqlite: the folder."
        ),
    ],
    json: AsJson = False,
) -> None:
    """Move the catalogue from SQLite in the workspace to a PostgreSQL server, or back: whole, or
    not at all. The app must be stopped, and no job at work.
    """
    from dataclasses import asdict

    from core.io.files import keep_new_files_private
    from core.jobs import move_catalogue
    from core.workspace.workspace import Workspace

    keep_new_files_private()
    given = settings()
    home = Workspace(given.home).home
    if to is Where.postgresql:
        moved = move_catalogue.move_to_server(home, given.catalogue)
        then = "Keep LIGHTBOX_CATALOGUE set wherever Lightbox is started for this workspace."
    else:
        moved = move_catalogue.move_to_folder(home, given.catalogue)
        then = "Unset LIGHTBOX_CATALOGUE."
    words = (
        f"Moved to {moved.to}: {moved.datasets} dataset{'s' * (moved.datasets != 1)},"
        f" {moved.jobs} job{'s' * (moved.jobs != 1)}. What was there before is kept ({moved.kept})."
        f" {then}"
    )
    say(asdict(moved), words, json)
