"""Asks the served app of a workspace, which listens on this machine only, about its open pages and
to move them. Whoever may read the workspace may ask: the address with its token is there, readable
by its owner alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from core.errors import UserError
from core.settings import Settings, loopback

NOT_SERVED = "No app serves this workspace ({home}); start it with `lightbox app` and open a page."
PATH = "/lightbox/screen"
PATIENCE = 90.0  # seconds


def ask(do: str, session: str = "", move: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer of the app that serves the workspace to `do`: "sessions", "show" or "move".
    UserError where none serves it, or it refuses, with its own sentence.
    """
    home = Settings().home
    address = _address(home)
    where = urlsplit(address)
    if not loopback(where.hostname or ""):
        raise UserError(f"The app is served at {where.hostname}, which is not this machine.")
    token = parse_qs(where.query).get("token", [""])[0]
    body = {"do": do, "session": session, **({"move": move} if move is not None else {})}
    request = Request(
        f"http://{where.netloc}{PATH}",
        json.dumps(body).encode(),
        {
            "Content-Type": "application/json",
            **({"Cookie": f"lightbox-{where.port}={token}"} if token else {}),
        },
        method="POST",
    )
    try:
        # no proxy stands between this machine and itself
        with build_opener(ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
            return dict(json.loads(answer.read()))
    except HTTPError as e:
        raise UserError(_refusal(e)) from None
    except (URLError, OSError, ValueError):
        raise UserError(NOT_SERVED.format(home=home)) from None


def _address(home: Path) -> str:
    try:
        return str(json.loads((home / "server.json").read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(NOT_SERVED.format(home=home)) from None


def _refusal(e: HTTPError) -> str:
    said = e.read(10_000).decode(errors="replace")
    try:
        return str(json.loads(said)["error"])
    except (ValueError, KeyError, TypeError):
        pass
    if e.code == 403:
        return "The app that is served knows no such workspace; start it again with `lightbox app`."
    return f"The app answered {e.code}; it is another version of Lightbox, start it again."
