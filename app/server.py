"""The served application: Streamlit's, with headers that keep the browser on this host and an error page without a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from core.settings import OWN_NAMES

POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:", "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:", "font-src 'self' data:", "connect-src 'self' ws: wss: data: blob:", "worker-src 'self' blob:",
    "media-src 'self' data: blob:", "frame-src 'self' blob:", "frame-ancestors 'self'", "object-src 'none'", "base-uri 'self'",
    "form-action 'self'",
))  # fmt: skip
HEADERS = [
    (b"content-security-policy", POLICY.encode()), (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]  # fmt: skip


class StayHome:
    """Adds HEADERS to every answer: even an escaped name that slips through cannot make the browser ask another host.

    Refuses requests addressed to another host (DNS rebinding: a web page elsewhere whose name was made to point to this machine), and those that come from
    a page of another host, whatever they ask for. Trap: Streamlit's own check of origins would let in pages of this machine's other addresses, and to
    learn those it asks a service in the internet; and its check of hosts covers its socket and uploads only.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", []), *HEADERS]}
            await send(message)

        if scope["type"] not in ("http", "websocket"):  # the life of the server itself
            await self.app(scope, receive, send)
        elif not addressed(scope):
            await refuse(scope, receive, sent)
        else:
            await self.app(scope, receive, sent if scope["type"] == "http" else send)


def addressed(scope: Any) -> bool:
    """Whether Host, and Origin where there is one, are names this server answers to: `server.allowedHosts`, by default those of this machine for itself."""
    allowed = {str(h).strip("[]").lower() for h in st.get_option("server.allowedHosts") or OWN_NAMES}
    told = [(k, v.decode("latin-1").lower()) for k, v in scope["headers"] if k in (b"host", b"origin")]
    named = [v.partition("://")[2] if k == b"origin" else v for k, v in told]
    return b"host" in dict(told) and all(_without_port(v) in allowed for v in named)


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    words = b"Lightbox answers to 127.0.0.1 and localhost only."
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(words)).encode())]})
    await send({"type": "http.response.body", "body": words})


def failed(error: Exception) -> bool:
    """A sentence onto the screen. Of a bug: with an id under which the log has its traceback."""
    from app.bugs import noted
    from app.text import label
    from core.errors import sentence

    if said := sentence(error):
        st.error(label(said, 600))
        return True
    bug, log = noted(error)
    st.error(f"Something went wrong inside (id {bug}). Nothing you made is lost; press R to try again. The log has the details: {log.name}.")
    return True


app = st.App(Path(__file__).parent / "main.py", middleware=[Middleware(StayHome)], on_script_error=failed)
