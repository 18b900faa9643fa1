"""What every command uses: its two ways of printing, the workspace, and where it may write."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import UserError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def say(value: dict[str, Any], words: str, as_json: bool) -> None:
    """Print the JSON object, or the words for a person."""
    # elsewhere (a pipe on Windows) letters are escaped
    utf8 = "utf" in (sys.stdout.encoding or "").lower()
    typer.echo(json.dumps(value, ensure_ascii=not utf8) if as_json else words)


def workspace(opened: bool = True) -> Any:
    """The workspace, its catalogue `opened`. UserError when it cannot be written or a LIGHTBOX_*
    setting is not valid.
    """
    from core.io.files import keep_new_files_private
    from core.workspace.workspace import Workspace

    keep_new_files_private()
    ws = Workspace(settings().home)
    if opened:
        ws.catalogue  # noqa: B018 - opened, and rebuilt if it must be
        for said in ws.startup_messages():
            print(said, file=sys.stderr)
    return ws


def settings() -> Any:
    """The settings. UserError when one is not valid."""
    from pydantic import ValidationError

    from core.settings import Settings

    try:
        return Settings()
    except ValidationError as e:
        name, wrong = str(e.errors()[0]["loc"][0]).upper(), e.errors()[0]
        raise UserError(
            f"LIGHTBOX_{name} = {wrong['input']!r}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}."
        ) from None


def writable(path: Path) -> Path:
    """`path`, once it is or can become a folder that may be written to. UserError otherwise."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if os.path.exists(p))
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(
            f"{path} cannot be written: {there} is"
            f" {'protected' if there.is_dir() else 'no folder'}."
        )
    return path
