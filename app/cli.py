"""The command line. Exit 0: done. 2: bad input, one sentence on stderr. 1: a bug, with an id that the log has."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from core import __version__
from core.children import import_from_elsewhere, safe_path
from core.errors import UserError, sentence

cli = typer.Typer(
    help="Lightbox: train a model on your data, look at what it learned, show it to others. Research use, not for diagnosis.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip



def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"lightbox {__version__}")
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say which version this is.")
    ] = False,
) -> None:
    """Lightbox: train a model on your data, look at what it learned, show it to others.

    Research use, not for diagnosis.
    """


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def say(value: dict[str, Any], words: str, as_json: bool) -> None:
    """Print the JSON object, or the words for a person."""
    utf8 = "utf" in (sys.stdout.encoding or "").lower()  # elsewhere (a pipe on Windows) letters are escaped
    typer.echo(json.dumps(value, ensure_ascii=not utf8) if as_json else words)


def workspace() -> Any:
    """The workspace. UserError when it cannot be written or a LIGHTBOX_* setting is not valid."""
    from pydantic import ValidationError

    from core.io.files import keep_private
    from core.workspace.workspace import Workspace

    keep_private()
    try:
        ws = Workspace()
        ws.catalogue  # noqa: B018 - opened, and made anew if it must be
        for said in ws.told():
            print(said, file=sys.stderr)  # noqa: T201
        return ws
    except ValidationError as e:
        name, wrong = str(e.errors()[0]["loc"][0]).upper(), e.errors()[0]
        raise UserError(f"LIGHTBOX_{name} = {wrong['input']!r}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}.") from None


def writable(path: Path) -> Path:
    """`path`, once it is or can become a folder that may be written to. UserError otherwise."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if os.path.exists(p))
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"{path} cannot be written: {there} is {'protected' if there.is_dir() else 'no folder'}.")
    return path


def main() -> None:
    """Run a command; every ending is an exit code and at most one sentence."""
    import_from_elsewhere()
    with safe_path():
        _run()


def _run() -> None:
    from app.commands import data, evidence, explore, review, runs, serve

    for module in (serve, data, review, runs, explore, evidence) if not cli.registered_commands else ():
        module.register(cli)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = cli(prog_name="lightbox", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except UserError as e:
        _fail(str(e))
    except typer.Exit as e:
        sys.exit(e.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("Stopped.")
    except Exception as e:
        if type(e).__name__ == "NoArgsIsHelpError":  # a bare `lightbox` or `lightbox data` asks for help
            typer.echo(e.format_message())  # type: ignore[attr-defined]
            sys.exit(0)
        if hasattr(e, "format_message"):  # the parser's own refusals
            _fail(e.format_message().rstrip(".") + ".")
        if said := sentence(e):
            _fail(said)
        from app.error_log import noted

        said = noted(e)
        if os.environ.get("LIGHTBOX_DEBUG"):
            raise
        print(said, file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _fail(sentence: str) -> None:
    print(" ".join(sentence.split()), file=sys.stderr)  # noqa: T201
    sys.exit(2)


if __name__ == "__main__":
    main()
