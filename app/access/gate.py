"""What the server gives to whom, where several people share it: one answer for every request."""

from __future__ import annotations

import html
import time
from functools import cache
from typing import Any, Literal

from app.access import sessions
from app.access.identity import Person
from core.people.register import Register, open_register
from core.settings import Settings

FREE = ("/auth/login", "/auth/logout", "/oauth2callback")  # of signing in itself
SCREEN = "/lightbox/screen"
Answer = Literal["yes", "sign in", "no project", "no"]


@cache
def register() -> Register | None:
    """Return the register of this server, None where one person uses it."""
    return open_register()


def judge(scope: Any, person: Person | None, settings: Settings) -> Answer:
    """Whether `person` (None: nobody signed in) may have what `scope` of ASGI asks for."""
    path = str(scope["path"])
    if settings.login == "oidc" and path in FREE:
        return "yes"
    people = register()
    if person is None or people is None:
        return "sign in"
    if not people.projects(person.name):
        return "no project"
    return "yes" if _is_theirs(scope, path, person) else "no"


def _is_theirs(scope: Any, path: str, person: Person) -> bool:
    parts = path.strip("/").split("/")
    if path == SCREEN or parts[-1] in ("metrics", "script-health-check"):
        return False
    if parts[0] == "media":
        return sessions.may_read_file(parts[-1], person.name)
    if parts[:2] == ["_stcore", "upload_file"]:
        return len(parts) > 2 and sessions.is_owner(parts[2], person.name)
    if scope["type"] == "websocket":
        return sessions.may_take_up(_asked_session(scope), person.name)
    return True


def _asked_session(scope: Any) -> str:
    """The session that a lost connection asks to take up again: the third of its subprotocols."""
    told = b",".join(v for k, v in scope["headers"] if k == b"sec-websocket-protocol")
    named = [part.strip() for part in told.decode("latin-1").split(",")]
    return named[2] if len(named) > 2 else ""


_listed: set[tuple[str, float]] = set()


def list_login(person: Person, place: str, settings: Settings) -> None:
    """Add a line to the audit list the first time this server hears of a login."""
    people = register()
    # of a proxy's logins nothing says when they were: one line for each such time
    hours = 3600.0 * settings.login_hours
    mark = (person.name, person.since or time.time() // hours)
    if people is not None and mark not in _listed:
        _listed.add(mark)
        people.note(person.name, place, "", "login", settings.login)


def sign_in_page(settings: Settings) -> str:
    """Return the page for who has not signed in, HTML."""
    if settings.login == "oidc":
        from streamlit.auth_util import encode_provider_token

        way = f"/auth/login?provider={encode_provider_token('default')}"
        return _page(
            "Sign in to Lightbox",
            "This Lightbox is shared by several people. Sign in with the account of your"
            " institution.",
            ("Sign in", way),
        )
    return _page(
        "Not signed in",
        "Nobody is named by the proxy before this server; open Lightbox by the address that your"
        " institution gave you.",
    )


def no_project_page(person: Person, settings: Settings) -> str:
    """Return the page for who has signed in and has no role in any project, HTML."""
    out = ("Sign out", "/auth/logout") if settings.login == "oidc" else None
    return _page(
        "No project yet",
        f"You are signed in as {person.name}, and have no role in any project here. Ask the owner"
        " of a project to add this address.",
        out,
    )


def _page(title: str, words: str, way: tuple[str, str] | None = None) -> str:
    link = ""
    if way:
        words_of, to = html.escape(way[0]), html.escape(way[1], quote=True)
        link = f'<p><a href="{to}">{words_of}</a></p>'
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<main><h1>{html.escape(title)}</h1><p>{html.escape(words)}</p>{link}"
        "<p><small>Research use, not for diagnosis.</small></p></main></html>"
    )


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText;color-scheme:light"
    " dark;display:grid;min-height:90vh;place-items:center;margin:0}main{max-width:28rem;padding:2"
    "rem}h1{font-size:1.5rem;margin:0}a{display:inline-block;padding:.5rem 1.25rem;border-radius:"
    ".5rem;border:1px solid;color:inherit;text-decoration:none;font-weight:600}a:focus-visible{"
    "outline:3px solid Highlight;outline-offset:2px}"
)
