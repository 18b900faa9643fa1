"""Who sends a request: the person that signed in at the provider, as the cookie that Streamlit
signed says, or the one whom a trusted proxy names in a header.

Found out once, by the server, for pages, files, uploads and the socket alike. The script of a page
reads it from a header of ours, which the server sets and nobody else can.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import UserError
from core.people.register import check_person
from core.settings import Settings

HEADER = b"x-lightbox-person"
PLACE = b"x-lightbox-place"
AHEAD = 120.0  # seconds that the provider's clock may be ahead of ours


@dataclass(frozen=True)
class Person:
    """`name` is an e-mail address in small letters; `since` when they signed in, seconds since the
    epoch (0 where a proxy answers for it).
    """

    name: str
    since: float = 0.0


def find_person(scope: Any, settings: Settings) -> Person | None:
    """Return who sends a request (`scope` of ASGI), None where nobody has signed in, or too long
    ago.
    """
    if settings.login == "proxy":
        return _named_by_proxy(scope, settings)
    if settings.login == "oidc":
        return _signed_in(scope, settings)
    return None


def client_address(scope: Any, settings: Settings) -> str:
    """Return the network address of who asks: behind a trusted proxy the one it was asked from."""
    own = str((scope.get("client") or ("", 0))[0])
    if not is_proxy(own, settings):
        return own
    told = [v for k, v in scope["headers"] if k == b"x-forwarded-for"]
    # the last entry is the proxy's own; those before it anybody can write
    return told[-1].decode("latin-1").split(",")[-1].strip()[:60] if told else own


def is_proxy(address: str, settings: Settings) -> bool:
    """Whether `address` is that of a proxy whose headers are believed."""
    return address in {p.strip() for p in settings.proxies.split(",") if p.strip()}


def label_scope(scope: Any, person: Person | None, place: str) -> Any:
    """Return `scope` with who asks, and from where, in headers of ours; what a browser sent under
    their names is gone.
    """
    kept = [(k, v) for k, v in scope["headers"] if k not in (HEADER, PLACE)]
    if person is not None:
        kept += [(HEADER, person.name.encode()), (PLACE, place.encode("latin-1", "replace"))]
    return scope | {"headers": kept}


def person_of_page() -> tuple[str, str]:
    """Return (person, place) of the session whose script runs; ("", "") where nobody signs in."""
    import streamlit as st

    told = st.context.headers
    return told.get(HEADER.decode()) or "", told.get(PLACE.decode()) or ""


def _named_by_proxy(scope: Any, settings: Settings) -> Person | None:
    if not is_proxy(str((scope.get("client") or ("", 0))[0]), settings):
        return None
    wanted = settings.proxy_header.lower().encode()
    given = [v.decode("latin-1") for k, v in scope["headers"] if k == wanted]
    return _person(given[0]) if len(given) == 1 else None


def _signed_in(scope: Any, settings: Settings) -> Person | None:
    # Trap: these are internal to Streamlit (1.67); the tests of signing in would show a change.
    from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
    from streamlit.web.server.server_util import get_cookie_secret
    from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

    secret, sent = get_cookie_secret(), dict(read_cookies(scope["headers"]))

    def read(name: str) -> bytes | None:
        return decode_signed_value(secret, name, sent[name]) if name in sent else None

    said = get_cookie_with_chunks(read, USER_COOKIE_NAME) if secret else None
    if said is None:
        return None
    try:
        told = json.loads(said)
        since = float(told["iat"])
    except (ValueError, KeyError, TypeError):
        return None
    age = time.time() - since
    # what another installation with the same secret signed is not for this one
    ours = told.get("origin") == get_origin_from_redirect_uri()
    if not ours or told.get("email_verified") is False or not -AHEAD < age < _longest(settings):
        return None
    found = _person(str(told.get("email", "")))
    return Person(found.name, since) if found else None


def _longest(settings: Settings) -> float:
    return 3600.0 * settings.login_hours


def _person(given: str) -> Person | None:
    try:
        return Person(check_person(given))
    except UserError:
        return None


def read_cookies(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    """Give the cookies of a request, (name, value). Trap: Python's own reader of a whole header
    ends at the first that is not as it should be, and other programs of this machine may have set
    such a one; so each is read by itself.
    """
    told = "; ".join(v.decode("latin-1") for k, v in headers if k == b"cookie")
    for part in told.split(";"):
        name, _, value = part.strip().partition("=")
        yield name, value[1:-1] if value[:1] == value[-1:] == '"' else value
