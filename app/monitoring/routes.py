"""The two addresses of those who run a server: its figures and its health, for administrators.

Who may see them: whoever sends LIGHTBOX_METRICS_TOKEN, on a shared server the people in
LIGHTBOX_ADMINS once they have signed in, elsewhere whoever has the page's own token. Everybody else
is told by the second address whether the server is well, and nothing more, so that a proxy can ask.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from typing import Any

from app.monitoring import checks
from core.settings import Settings, read_settings

METRICS, HEALTH = "/lightbox/metrics", "/lightbox/health"
PATHS = (METRICS, HEALTH)
MARK = "lightbox.administrator"  # in the scope of ASGI, which no browser can write
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
# Read once and taken away, so that no process this one starts has it
TOKEN = Settings().metrics_token
os.environ.pop("LIGHTBOX_METRICS_TOKEN", None)


def brings_token(scope: Any) -> bool:
    """Whether a request brings the token of the settings."""
    given = [v.decode("latin-1") for k, v in scope["headers"] if k == b"authorization"]
    if not TOKEN or len(given) != 1:
        return False
    kind, _, token = given[0].partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), TOKEN.encode())


def is_administrator(person: str) -> bool:
    """Whether the settings name this person (an e-mail address in small letters)."""
    named = {one.strip().lower() for one in read_settings().admins.split(",")}
    return bool(person) and person in named


def let_see(scope: Any) -> Any:
    """Return the scope of a request whose sender may see everything here."""
    return scope | {MARK: True}


async def answer_metrics(request: Any) -> Any:
    """The figures; 403 for others, 501 without the extra."""
    from starlette.responses import PlainTextResponse

    from app.monitoring.metrics import WITHOUT, write_metrics
    from core.errors import UserError

    if not request.scope.get(MARK):
        return PlainTextResponse("This is for those who run the server.", status_code=403)
    try:
        return PlainTextResponse(await asyncio.to_thread(write_metrics), media_type=PLAIN)
    except UserError as e:
        return PlainTextResponse(str(e), status_code=501 if str(e) == WITHOUT else 503)


async def answer_health(request: Any) -> Any:
    """200 where all is well, 503 where not; what is wrong for administrators only."""
    from starlette.responses import JSONResponse, PlainTextResponse

    found = await asyncio.to_thread(checks.check_server)
    status = 200 if found["ok"] else 503
    plain = {"cache-control": "no-store"}
    if request.scope.get(MARK):
        return JSONResponse(found, status_code=status, headers=plain)
    words = "ok" if found["ok"] else "not well"
    return PlainTextResponse(words, status_code=status, headers=plain)


def routes() -> list[Any]:
    """What the served app answers these addresses with."""
    from starlette.routing import Route

    return [
        Route(METRICS, answer_metrics, methods=["GET"]),
        Route(HEALTH, answer_health, methods=["GET"]),
    ]
