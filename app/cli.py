"""The command line. Exit 0: done. 2: bad input, one sentence on stderr. 1: a bug, with an id that
the log has.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from core import __version__
from core.children import import_from_elsewhere, safe_path
from core.errors import UserError, user_sentence

cli = typer.Typer(
    help=(
        "Lightbox: train a model on your data, look at what it learned, show it to others. Research"
        " use, not for diagnosis."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"lightbox {__version__}")
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_say_version, help="Say which version this is."
        ),
    ] = False,
) -> None:
    """What `lightbox` itself can be asked, beside its commands."""


def main() -> None:
    """Run a command; every ending is an exit code and at most one sentence."""
    import_from_elsewhere()
    with safe_path():
        _run()


def register() -> typer.Typer:
    """The command line with every command there is."""
    from app.commands import (
        axes,
        catalogue,
        concept,
        counterfactual,
        data,
        evidence,
        explain,
        explore,
        more_like,
        people,
        review,
        runs,
        screen,
        serve,
        steer,
        traverse,
    )

    parts = (
        *(serve, data, review, runs, explain, explore, traverse, axes, concept),
        *(more_like, steer, counterfactual, screen, evidence, people),
    )
    for module in (*parts, catalogue) if not cli.registered_commands else ():
        module.register(cli)
    return cli


def _run() -> None:
    register()
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
        # a bare `lightbox` or `lightbox data` asks for help
        if type(e).__name__ == "NoArgsIsHelpError":
            typer.echo(e.format_message())  # type: ignore[attr-defined]
            sys.exit(0)
        if hasattr(e, "format_message"):  # the parser's own refusals
            _fail(e.format_message().rstrip(".") + ".")
        if said := user_sentence(e):
            _fail(said)
        from app.error_log import log_error

        said = log_error(e)
        if os.environ.get("LIGHTBOX_DEBUG"):
            raise
        print(said, file=sys.stderr)
        sys.exit(1)


def _fail(sentence: str) -> None:
    print(" ".join(sentence.split()), file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
