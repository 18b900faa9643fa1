"""The served application: Streamlit's, with headers that keep the browser on this host and an error page without a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

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
    """Adds HEADERS to every answer: even an escaped name that slips through cannot make the browser ask another host."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", []), *HEADERS]}
            await send(message)

        await self.app(scope, receive, sent if scope["type"] == "http" else send)


def failed(error: Exception) -> bool:
    """A bug: its traceback goes into the log, one sentence with the id onto the screen."""
    from app.bugs import noted

    bug, log = noted(error)
    st.error(f"Something went wrong inside (id {bug}). Nothing you made is lost; press R to try again. The log has the details: {log.name}.")
    return True


app = st.App(Path(__file__).parent / "main.py", middleware=[Middleware(StayHome)], on_script_error=failed)
