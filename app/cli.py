"""The command line. Exit 0: done. 2: bad input, one sentence on stderr. 1: a bug, with an id that the log has."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import click
import typer

from core.errors import UserError

cli = typer.Typer(
    help="Lightbox: train a model on your data, look at what it learned, show it to others. Research use, not for diagnosis.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def say(value: dict[str, Any], words: str, as_json: bool) -> None:
    """Print the JSON object, or the words for a person."""
    typer.echo(json.dumps(value, ensure_ascii=False) if as_json else words)


def workspace() -> Any:
    from core.store.workspace import Workspace

    return Workspace()


def main() -> None:
    """Run a command; every ending is an exit code and at most one sentence."""
    from app.commands import data, look, runs, serve

    for module in (serve, data, runs, look):
        module.register(cli)
    try:
        code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except UserError as e:
        _fail(str(e))
    except (click.exceptions.Exit, typer.Exit) as e:
        sys.exit(e.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("Stopped.")
    except Exception as e:
        if type(e).__name__ == "NoArgsIsHelpError" or hasattr(e, "format_message"):  # the parser's own refusals
            _fail(e.format_message())
        from app.bugs import noted

        bug, log = noted(e)
        if os.environ.get("LIGHTBOX_DEBUG"):
            raise
        print(f"Something went wrong inside (id {bug}); {log} has the details.", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _fail(sentence: str) -> None:
    print(" ".join(sentence.split()), file=sys.stderr)  # noqa: T201
    sys.exit(2)


if __name__ == "__main__":
    main()
