"""Takes what is asked from outside to one open page (a browser session), and back what became of
it.

A request is answered by the server's own loop: it leaves a move for the session and has its script
run once, as after a change of a file; the script finds out what the move means (`moves`), shows it,
and answers. Nothing polls: an open page that nobody moves sends and is sent nothing. What each
screen shows is noted when its script runs, so `show` draws nothing anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from app import state, text
from app.outside import moves
from app.outside.moves import Move
from app.state import Screen
from core.errors import UserError, user_sentence
from core.settings import Settings

PATH = "/lightbox/screen"
MOST = 64 << 20  # bytes of a request
PATIENCE = 60.0  # seconds a move may wait until the script of its page comes to it
OFF = "Moving the screen from outside is switched off here (LIGHTBOX_SCREEN=0)."
NOTHING = "Nothing was moved from outside that could be undone."
BUSY = "The screen did not come to it within a minute, since it is busy; nothing was moved."


@dataclass
class _Open:
    """One browser session: what it shows, and what waits for it."""

    session: str  # Streamlit's own id, never told
    shown: Screen | None = None
    seen: float = 0.0  # when a person last did something there, seconds since the epoch
    moved: str = ""  # what last moved it from outside, and can be undone
    waiting: list[tuple[Move, Future[dict[str, Any]]]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """What the session is called outside: its own id would let another take its place."""
        return hashlib.sha256(self.session.encode()).hexdigest()[:8]


_open: dict[str, _Open] = {}
_lock = threading.Lock()


# -- in the script of a page -----------------------------------------------------------------------
def obey(page: str) -> None:
    """Carry out what waits for this session, whose script is at the start of a run of `page`, and
    note what it then shows. Every move is answered: with what is shown, or with why it cannot be.
    """
    one = _own()
    asked = bool(one.waiting)
    while one.waiting:
        move, answer = one.waiting[0]
        if not answer.running() and not answer.set_running_or_notify_cancel():
            one.waiting.pop(0)
            continue
        try:
            page = _carry_out(move, page)
            one.moved = _last_move()
            one.shown = state.screen(page)
            answer.set_result(describe(one))
        except Exception as e:
            said = user_sentence(e)
            answer.set_exception(UserError(said) if said else e)
            if not said:
                from app.error_log import log_error

                log_error(e)
        one.waiting.pop(0)
    if not asked:
        one.seen = time.time()
    note(page)


def _carry_out(move: Move, page: str) -> str:
    """The page that is shown afterwards."""
    now = state.screen(page)
    if move.undo:
        if not state.moves():
            raise UserError(NOTHING)
        before = state.moves()[-1][1]
        state.undo_move()
        return before.page
    new, said = moves.resolve(move, now)
    state.show_screen(new)
    state.set_moves([*state.moves(), (f"{said} ({time.strftime('%H:%M')})", now)])
    return new.page


def note(page: str) -> None:
    """Note what this session shows now, for `show`."""
    one = _own()
    one.shown = state.screen(page)
    one.moved = _last_move()


def _last_move() -> str:
    return state.moves()[-1][0] if state.moves() else ""


def _own() -> _Open:
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    assert context is not None
    with _lock:
        return _open.setdefault(context.session_id, _Open(context.session_id))


# -- in the server's loop --------------------------------------------------------------------------
def _active() -> dict[str, Any]:
    """Streamlit's open sessions by their id; those that were closed are forgotten."""
    from streamlit.runtime import get_instance

    found = {s.session.id: s.session for s in get_instance()._session_mgr.list_active_sessions()}
    with _lock:
        for gone in _open.keys() - found.keys():
            del _open[gone]
    return found


def _listed() -> list[_Open]:
    """The open pages, that which a person used last first."""
    active = _active()
    with _lock:
        there = [one for id, one in _open.items() if id in active and one.shown is not None]
    return sorted(there, key=lambda one: -one.seen)


def _pick(asked: str) -> _Open:
    listed = _listed()
    if not listed:
        raise UserError("No page of the app is open in a browser.")
    if not asked:
        return listed[0]
    found = [one for one in listed if one.id.startswith(asked)]
    if len(found) != 1:
        ids = ", ".join(one.id for one in listed)
        raise UserError(f"There is no one session “{text.plain(asked)}” (open are: {ids}).")
    return found[0]


def describe(one: _Open) -> dict[str, Any]:
    """What a session shows, as it is told outside. Rows are ids of the dataset."""
    from core.workspace.workspace import Workspace

    shown = one.shown
    assert shown is not None
    rows = shown.selection.rows
    names: list[str] = []
    case = None
    if shown.dataset and (len(rows) or shown.selection.primary is not None):
        data = Workspace(Settings().home).dataset(shown.dataset)
        names = [str(n) for n in data.of(rows).names()] if len(rows) else []
        if (primary := shown.selection.primary) is not None:
            case = {"row": primary, "name": str(data.of([primary]).names()[0])}  # type: ignore[arg-type]
    return {
        "session": one.id,
        "page": shown.page,
        "dataset": shown.dataset,
        "run": shown.run,
        "colour": shown.colour or None,
        "projection": shown.projection,
        "dimensions": shown.dimensions,
        "selection": {
            "n": len(rows),
            "source": shown.selection.source,
            "rows": rows.tolist(),
            "names": names,
        },
        "case": case,
        "moved": one.moved or None,
        "seconds_since_used": round(max(0.0, time.time() - one.seen), 1) if one.seen else None,
    }


def _brief(one: _Open) -> dict[str, Any]:
    told = describe(replace(one, shown=replace(one.shown, selection=state.Selection())))  # type: ignore[type-var]
    assert one.shown is not None
    return {k: told[k] for k in ("session", "page", "dataset", "run", "seconds_since_used")} | {
        "selected": len(one.shown.selection)
    }


async def _move(one: _Open, move: Move) -> dict[str, Any]:
    assert one.shown is not None
    if move.undo:
        if not one.moved:
            raise UserError(NOTHING)
    else:  # what cannot be is refused before the page is run for it
        await asyncio.to_thread(moves.resolve, move, one.shown)
    session = _active().get(one.session)
    if session is None:
        raise UserError("That page was just closed.")
    answer: Future[dict[str, Any]] = Future()
    one.waiting.append((move, answer))
    session.request_rerun(session._client_state)
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(answer)), PATIENCE)
    except TimeoutError:
        if answer.cancel():
            raise UserError(BUSY) from None
        return await asyncio.wrap_future(answer)


async def answer_request(request: Any) -> Any:
    """The answer to one request from outside, whose right to ask was checked before. Its body is
    {"do": "sessions" | "show" | "move", "session": "", "move": {...}}; an answer is what is shown,
    or {"error": one sentence} with status 400.
    """
    from starlette.responses import JSONResponse

    try:
        return JSONResponse(await _answered(await _body(request)))
    except Exception as e:
        said = user_sentence(e)
        if said is None:
            from app.error_log import log_error

            said = log_error(e)
        return JSONResponse({"error": said}, status_code=400)


async def _body(request: Any) -> dict[str, Any]:
    if not Settings().screen:
        raise UserError(OFF)
    held = bytearray()
    async for part in request.stream():
        held += part
        if len(held) > MOST:
            raise UserError(f"The request is larger than {MOST >> 20} MiB.")
    try:
        given = json.loads(held.decode())
    except (ValueError, RecursionError):
        raise UserError("The request is no JSON.") from None
    if not isinstance(given, dict) or not isinstance(given.get("session", ""), str):
        raise UserError("The request is no object with what to do.")
    return given


async def _answered(given: dict[str, Any]) -> dict[str, Any]:
    do, asked = given.get("do"), given.get("session", "")
    if do == "sessions":
        return {"sessions": [_brief(one) for one in _listed()]}
    if do == "show":
        return await asyncio.to_thread(describe, _pick(asked))
    if do == "move":
        return await _move(_pick(asked), Move.read(given.get("move")))
    raise UserError("What to do is one of sessions, show and move.")


def route() -> Any:
    """What the served app answers requests from outside with."""
    from starlette.routing import Route

    return Route(PATH, answer_request, methods=["POST"])
