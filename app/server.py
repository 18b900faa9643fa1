"""The served application: Streamlit's, for whoever has the address that `lightbox app` printed,
with headers that keep the browser on this host and an error page without a traceback.

The address ends in a token made at each start. Whoever brings it gets a cookie, and the page
without the token in its address; everything else asks for the cookie (pages, files, uploads, the
socket), but for the word that the server is up.

Where several people share the server (`LIGHTBOX_PROJECTS`), nobody has a token: they sign in, and
`app.access.gate` says for each request what the person may have.
"""

from __future__ import annotations

import hmac
import html
import os
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import streamlit as st
from starlette.middleware import Middleware

from app.access import gate, identity, sessions
from app.monitoring import routes as monitoring
from app.outside import orders
from core.errors import UserError
from core.io.events import log_event
from core.io.files import keep_new_files_private
from core.jobs.starting import release_supervisor
from core.settings import OWN_NAMES, Settings, read_settings

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' ws: wss: data: blob:",
        "worker-src 'self' blob:",
        "media-src 'self' data: blob:",
        "frame-src 'self' blob:",
        "frame-ancestors 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
HEALTH = "/_stcore/health"  # says "ok" and nothing else
OTHER_HOST = "Lightbox answers to 127.0.0.1 and localhost only, and to its own pages."
NO_TOKEN = (
    "This page opens by the whole address that Lightbox printed when it was started; it ends in"
    " token=... and is another after each start. `lightbox app`, given again in a terminal of the"
    " same user, prints it as well."
)
NOT_YOURS = "This is not open to you, or you have not signed in."
SHARED = bool(Settings().projects)  # several people share this server, and sign in
# Read once and taken away, so that no process this one starts has it. Whoever runs this file past
# `lightbox app` has no token, and nobody gets in.
OPEN_TO_ALL = os.environ.get("LIGHTBOX_NO_TOKEN") == "1"
TOKEN = os.environ.pop("LIGHTBOX_TOKEN", "") or secrets.token_urlsafe(24)


class StayHome:
    """Adds HEADERS to every answer: even an escaped name that slips through cannot make the browser
    ask another host.

    Refuses requests addressed to another host (DNS rebinding: a web page elsewhere whose name was
    made to point to this machine), those that come from a page of another host or another port of
    this one, whatever they ask for, and those without the token. Trap: Streamlit's own check of
    origins would let in pages of this machine's other addresses, and to learn those it asks a
    service in the internet; and its check of hosts covers its socket and uploads only.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = time.perf_counter()

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", []), *HEADERS]}
                _log_request(scope, message["status"], began)
            await send(message)

        if scope["type"] not in ("http", "websocket"):  # the life of the server itself
            log_event("server", state="started", pid=os.getpid())
            try:
                await self.app(scope, receive, send)
            finally:
                log_event("server", state="stopped", pid=os.getpid())
                _release_supervisors()
        elif not check_host(scope):
            await refuse(scope, receive, sent, OTHER_HOST)
        elif scope["path"] in monitoring.PATHS:
            await self._serve_administrator(scope, receive, sent)
        elif SHARED and scope["path"] != HEALTH:
            await self._serve_person(scope, receive, sent, send)
        elif brings_token(scope):
            await hand_cookie(scope, sent)
        elif not is_admitted(scope):
            await refuse(scope, receive, sent, NO_TOKEN)
        else:
            scope = identity.label_scope(scope, None, "")
            await self.app(scope, receive, sent if scope["type"] == "http" else send)

    async def _serve_administrator(self, scope: Any, receive: Any, sent: Any) -> None:
        """The server's figures and health, as `app.monitoring.routes` says."""
        if scope["type"] != "http":
            await refuse(scope, receive, sent, NOT_YOURS)
            return
        settings = read_settings()
        if SHARED:
            person = identity.find_person(scope, settings)
            sees = person is not None and monitoring.is_administrator(person.name)
        else:
            sees = is_admitted(scope)
        if sees or monitoring.brings_token(scope):
            scope = monitoring.let_see(scope)
        await self.app(identity.label_scope(scope, None, ""), receive, sent)

    async def _serve_person(self, scope: Any, receive: Any, sent: Any, send: Any) -> None:
        """What is asked for, to the person who signed in; else the page that says how to."""
        settings = read_settings()
        person = identity.find_person(scope, settings)
        place = identity.client_address(scope, settings)
        try:
            answer = gate.judge(scope, person, settings)
            if answer == "yes" and person is not None:
                gate.list_login(person, place, settings)
        except UserError as e:  # the register cannot be reached: nobody is let in
            await refuse(scope, receive, sent, str(e), 503)
            return
        if answer == "yes":
            sessions.watch_files()
            scope = identity.label_scope(scope, person, place)
            await self.app(scope, receive, sent if scope["type"] == "http" else send)
        elif scope["type"] == "http" and scope["method"] == "GET" and answer != "no":
            page = (
                gate.sign_in_page(settings)
                if person is None
                else gate.no_project_page(person, settings)
            )
            plain = [(b"cache-control", b"no-store")]
            await _answer(sent, 401 if person is None else 403, "text/html", page.encode(), plain)
        else:
            await refuse(scope, receive, sent, NOT_YOURS)


ROUTES = {  # the first part of an address, or the first two -> what the log calls it
    "media": "media",
    "static": "static",
    "lightbox": "lightbox",
    "_stcore/upload_file": "upload",
    "_stcore/stream": "stream",
    "_stcore/health": "health",
    "auth": "login",
    "oauth2callback": "login",
}


def _log_request(scope: Any, status: int, began: float) -> None:
    parts = scope["path"].strip("/").split("/")
    route = ROUTES.get("/".join(parts[:2])) or ROUTES.get(parts[0], "page")
    took = 1000 * (time.perf_counter() - began)
    log_event("request", route=route, status=status, milliseconds=took)


def _release_supervisors() -> None:
    people = gate.register()
    homes = [people.folder / p.id for p in people.projects()] if people else []
    for home in (Settings().home, *homes):
        release_supervisor(home)


def check_host(scope: Any) -> bool:
    """Whether Host is a name this server answers to (`server.allowedHosts`, by default those of
    this machine for itself), and who asks is one of its own pages or the address bar: Origin, where
    there is one, is the Host with its port, and the browser does not say that another site's page
    asks.
    """
    allowed = {
        str(h).strip("[]").lower() for h in st.get_option("server.allowedHosts") or OWN_NAMES
    }
    told = {
        k: v.decode("latin-1").lower()
        for k, v in scope["headers"]
        if k in (b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode")
    }
    host, origin = told.get(b"host", ""), told.get(b"origin")
    if _without_port(host) not in allowed:
        return False
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return False
    # a link to us is followed; what another page draws or runs is not given
    embedded = told.get(b"sec-fetch-mode") != "navigate"
    return not (embedded and told.get(b"sec-fetch-site") in ("cross-site", "same-site"))


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def brings_token(scope: Any) -> bool:
    """Whether the address asked for holds the right token."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    given = [v for k, v in parse_qsl(scope["query_string"].decode("latin-1")) if k == "token"]
    return any(_right(v) for v in given)


def is_admitted(scope: Any) -> bool:
    """Whether who asks has the cookie, or needs none."""
    if OPEN_TO_ALL or scope["path"] == HEALTH:
        return True
    cookies = identity.read_cookies(scope["headers"])
    return any(name == cookie_name() and _right(value) for name, value in cookies)


def _right(token: str) -> bool:
    return hmac.compare_digest(token.encode(), TOKEN.encode())


def cookie_name() -> str:
    """One name a port: a browser keeps one set of cookies for all ports of a host."""
    return f"lightbox-{st.get_option('server.port')}"


async def hand_cookie(scope: Any, send: Any) -> None:
    """The cookie, and a page that goes on to the same address without the token. Trap: a
    redirection keeps who asked first, and a browser that came by a link of another site would not
    send a strict cookie along it.
    """
    rest = urlencode(
        [(k, v) for k, v in parse_qsl(scope["query_string"].decode("latin-1")) if k != "token"]
    )
    onward = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
    words = (
        '<!doctype html><meta http-equiv="refresh"'
        f' content="0;url={html.escape(onward, quote=True)}"><title>Lightbox</title>'.encode()
    )
    cookie = f"{cookie_name()}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    await _answer(
        send,
        200,
        "text/html",
        words,
        [(b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")],
    )


async def refuse(scope: Any, receive: Any, send: Any, words: str, status: int = 403) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await _answer(send, status, "text/plain", words.encode(), [(b"cache-control", b"no-store")])


async def _answer(
    send: Any, status: int, kind: str, body: bytes, more: list[tuple[bytes, bytes]]
) -> None:
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def failed(error: Exception) -> bool:
    """A sentence onto the screen. Of a bug: with an id under which the log has its traceback."""
    from app.error_log import log_error
    from app.text import label
    from core.errors import user_sentence

    if said := user_sentence(error):
        st.error(label(said, 600))
        return True
    st.error(
        label(
            f"{log_error(error, on_screen=True)} Nothing you made is lost; press R to try again.",
            600,
        )
    )
    return True


keep_new_files_private()
app = st.App(
    Path(__file__).parent / "main.py",
    routes=[orders.route(), *monitoring.routes()],
    middleware=[Middleware(StayHome)],
    on_script_error=failed,
)
