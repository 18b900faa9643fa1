"""Requests that move the screen from outside: when they are refused before any page hears of it."""

import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.outside import client, orders
from app.outside.moves import Move
from core.errors import UserError


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """`asked(body)`: (status, answer) of the route, where no page is open."""
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    monkeypatch.setattr(orders, "_active", lambda: {})
    server = TestClient(Starlette(routes=[orders.route()]))

    def ask(body):
        answer = server.post(orders.PATH, content=body)
        return answer.status_code, answer.json()

    return ask


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"nonsense", "no JSON"),
        (b"[1]", "no object"),
        (b"[" * 100_000, "no JSON"),
        (b'{"do": "show", "session": 7}', "no object"),
        (b'{"do": "stop"}', "one of sessions, show and move"),
        (b'{"do": "show"}', "No page of the app is open"),
    ],
)
def test_a_bad_request_is_answered_by_a_sentence(asked, body, said):
    status, answer = asked(body)
    assert status == 400
    assert said in answer["error"]


def test_it_can_be_switched_off(asked, monkeypatch):
    assert asked(b'{"do": "sessions"}') == (200, {"sessions": []})
    monkeypatch.setenv("LIGHTBOX_SCREEN", "0")
    status, answer = asked(b'{"do": "sessions"}')
    assert status == 400
    assert answer["error"] == orders.OFF


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "is an object"),
        ({}, "Nothing was asked"),
        ({"mode": "add"}, "Nothing was asked"),
        ({"page": 3}, "another kind of value"),
        ({"dims": True}, "another kind of value"),
        ({"clear": "yes"}, "another kind of value"),
        ({"clear": True, "cluster": "2"}, "Choose one of"),
        ({"mode": "xor", "clear": True}, "There is no mode"),
        ({"__class__": "x"}, "A move has no"),
    ],
)
def test_what_is_no_move_is_refused(given, said):
    with pytest.raises(UserError, match=said):
        Move.read(given)


def test_without_a_served_app_it_is_said_how_to_start_one(monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    with pytest.raises(UserError, match="No app serves this workspace"):
        client.ask("show")
    (tmp_path / "server.json").write_text(json.dumps({"address": "http://127.0.0.1:9/?token=x"}))
    with pytest.raises(UserError, match="No app serves this workspace"):
        client.ask("show")
    (tmp_path / "server.json").write_text(json.dumps({"address": "http://example.org/?token=x"}))
    with pytest.raises(UserError, match="not this machine"):
        client.ask("show")
