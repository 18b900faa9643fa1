"""What a shared server gives to whom, request by request; the whole way is in
tests/browser/test_people.py, with a real provider and a real server.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from itsdangerous import URLSafeTimedSerializer
from streamlit.testing.v1 import AppTest

from app.access import gate, identity, sessions
from app.commands import serve
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.people.register import Register
from core.settings import Settings
from core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
PAGES = sorted(p.stem for p in (ROOT / "pages").glob("*.py"))
ANA, BO = "ana@hospital.example", "bo@hospital.example"
NAMED = {"digits": "nodules-2026"}
SECRET, ORIGIN = "a secret of forty letters for this test..", "https://box.example"


def scope(path="/", client="127.0.0.1", kind="http", **headers):
    given = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return {"type": kind, "path": path, "client": (client, 1), "headers": given, "method": "GET"}


@pytest.fixture
def proxy(monkeypatch):
    monkeypatch.setenv("LIGHTBOX_LOGIN", "proxy")
    monkeypatch.setenv("LIGHTBOX_PROXIES", "10.0.0.2, 127.0.0.1")
    return Settings()


def test_the_proxys_header_is_believed_from_the_proxy_alone(proxy):
    def found(client, **headers):
        return identity.find_person(scope(client=client, **headers), proxy)

    assert found("10.0.0.2", x_forwarded_email="Ana@Hospital.example").name == ANA
    assert found("10.0.0.9", x_forwarded_email=ANA) is None
    assert found("10.0.0.2") is None
    assert found("10.0.0.2", x_forwarded_email="nobody") is None
    assert found("10.0.0.2", x_lightbox_person=ANA) is None
    twice = scope(client="10.0.0.2", x_forwarded_email=BO)
    twice["headers"].append((b"x-forwarded-email", ANA.encode()))
    assert identity.find_person(twice, proxy) is None


def test_our_own_headers_cannot_be_sent(proxy):
    sent = scope(x_lightbox_person=ANA, x_lightbox_place="1.2.3.4", host="box.example")
    assert identity.label_scope(sent, None, "")["headers"] == [(b"host", b"box.example")]
    told = dict(identity.label_scope(sent, identity.Person(BO), "10.0.0.7")["headers"])
    assert (told[identity.HEADER], told[identity.PLACE]) == (BO.encode(), b"10.0.0.7")


def test_the_address_is_what_the_proxy_saw(proxy):
    far = scope(client="10.0.0.2", x_forwarded_for="6.6.6.6, 192.0.2.8")
    assert identity.client_address(far, proxy) == "192.0.2.8"
    assert identity.client_address(scope(client="8.8.8.8", x_forwarded_for="1.1.1.1"), proxy) == (
        "8.8.8.8"
    )


@pytest.fixture
def oidc(monkeypatch):
    import streamlit.auth_util
    import streamlit.web.server.server_util

    monkeypatch.setenv("LIGHTBOX_LOGIN", "oidc")
    monkeypatch.setattr(streamlit.web.server.server_util, "get_cookie_secret", lambda: SECRET)
    monkeypatch.setattr(streamlit.auth_util, "get_origin_from_redirect_uri", lambda: ORIGIN)
    return Settings()


def cookie(secret=SECRET, name="_streamlit_user", **told):
    told = {"email": ANA, "iat": time.time() - 60, "origin": ORIGIN} | told
    return f"{name}={URLSafeTimedSerializer(secret, salt=name).dumps(json.dumps(told))}"


def test_a_cookie_says_who_signed_in_and_when(oidc):
    found = identity.find_person(scope(cookie=f"a=1; ;=; {cookie()}; b"), oidc)
    assert found.name == ANA
    assert found.since == pytest.approx(time.time() - 60, abs=5)


@pytest.mark.parametrize(
    "given",
    [
        {"secret": "another secret"},
        {"name": "_streamlit_user_tokens"},
        {"iat": time.time() - 13 * 3600},
        {"iat": time.time() + 3600},
        {"iat": "soon"},
        {"iat": None},
        {"origin": "https://other.example"},
        {"email_verified": False},
        {"email": "ana"},
        {"email": None},
    ],
)
def test_other_cookies_are_nobodys(oidc, given):
    sent = cookie(**given)
    if given.get("name"):  # signed for another purpose
        sent = sent.replace("_streamlit_user_tokens=", "_streamlit_user=")
    assert identity.find_person(scope(cookie=sent), oidc) is None


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    made = Register(tmp_path_factory.mktemp("people") / "projects")
    for id, title, sample in (("lung", "Lung study", "digits"), ("brain", "Atlas", "tiny-scans")):
        made.add_project(id, title)
        data = make_sample(sample)
        # a name of its own: evidence on the page Train names the data it was measured on
        Workspace(made.folder / id).add(replace(data, name=NAMED.get(sample, data.name)))
    made.set_role("lung", ANA, "owner")
    made.set_role("brain", BO, "owner")
    return made


@pytest.fixture
def register(projects, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_PROJECTS", str(projects.folder))
    gate.register.cache_clear()
    yield projects
    gate.register.cache_clear()


def test_files_uploads_and_the_socket_are_their_owners(register, proxy, monkeypatch):
    monkeypatch.setattr(sessions, "_owners", {"session-ana": ANA, "session-bo": BO})
    monkeypatch.setattr(sessions, "_files", {"f1": {"session-ana"}})
    ana, bo = identity.Person(ANA), identity.Person(BO)

    def judge(who, path, **more):
        return gate.judge(scope(path, **more), who, proxy)

    for path in ("/media/f1.png", "/_stcore/upload_file/session-ana/x"):
        assert (judge(ana, path), judge(bo, path), judge(None, path)) == ("yes", "no", "sign in")
    assert judge(ana, "/media/unknown.png") == "no"
    asked = {"kind": "websocket", "sec_websocket_protocol": "streamlit, xsrf, session-ana"}
    stream = "/_stcore/stream"
    assert (judge(ana, stream, **asked), judge(bo, stream, **asked)) == ("yes", "no")
    assert judge(bo, stream, kind="websocket") == "yes"
    for path in ("/lightbox/screen", "/_stcore/metrics", "/_stcore/script-health-check"):
        assert judge(ana, path) == "no"
    assert judge(identity.Person("cy@x.example"), "/") == "no project"
    assert judge(None, "/auth/login") == "sign in"  # no such way where a proxy names people


def page_of(monkeypatch, person, page, **address):
    monkeypatch.setattr(identity, "person_of_page", lambda: (person, "10.0.0.7"))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
    for name, value in address.items():
        at.query_params[name] = value
    at.run()
    return at if page == "home" else at.switch_page(f"../pages/{page}.py").run()


def told(at):
    """All that a page sent to the browser."""
    nodes = [node for block in (at.main, at.sidebar) for node in block]
    return "".join(str(getattr(node, "proto", "")) for node in nodes)


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_anything_of_another_project(register, monkeypatch, page):
    """Every page there is, a new one by itself: opened by a link of a project that is not theirs,
    and by one that names its data within their own.
    """
    entry = Workspace(register.folder / "lung").entry(NAMED["digits"])
    given = {"dataset": entry["id"]}
    at = page_of(monkeypatch, BO, page, project="lung", **given)
    assert "project is not open to you" in told(at)
    assert NAMED["digits"] not in told(at)
    assert "Lung" not in told(at)
    at = page_of(monkeypatch, BO, page, project="brain", **given)
    assert not at.exception
    assert "project is not open to you" not in told(at)
    assert NAMED["digits"] not in told(at)
    assert "Lung" not in told(at)
    ours = page_of(monkeypatch, ANA, page, project="lung", **given)
    assert not ours.exception
    assert NAMED["digits"] in told(ours)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PROJECTS": "x"}, "needs both"),
        ({"LOGIN": "proxy"}, "needs both"),
        ({"PROJECTS": "x", "LOGIN": "oidc"}, "needs LIGHTBOX_SECRETS"),
        ({"PROJECTS": "x", "LOGIN": "oidc", "SECRETS": "nowhere.toml"}, "needs LIGHTBOX_SECRETS"),
    ],
)
def test_a_server_half_set_up_is_not_started(monkeypatch, given, said):
    for name, value in given.items():
        monkeypatch.setenv(f"LIGHTBOX_{name}", value)
    with pytest.raises(UserError, match=said):
        serve.check_sharing()


@pytest.mark.parametrize(
    ("words", "mode", "said"),
    [
        ("[auth", 0o600, "cannot be read as TOML"),
        ("[auth]\nclient_id = 'a'", 0o600, "has no redirect_uri, cookie_secret, client_secret"),
        ("cookie_secret = 'short'", 0o600, "is short"),
        ("cookie_secret = 'forty letters or more, for this very test'", 0o644, "chmod 600"),
    ],
)
def test_secrets_that_cannot_work_are_told(monkeypatch, tmp_path, words, mode, said):
    rest = "".join(
        f"{name} = 'x'\n"
        for name in ("redirect_uri", "client_id", "client_secret", "server_metadata_url")
    )
    path = tmp_path / "secrets.toml"
    path.write_text(words if "auth" in words else f"[auth]\n{words}\n{rest}")
    path.chmod(mode)
    for name, value in {"PROJECTS": tmp_path, "LOGIN": "oidc", "SECRETS": path}.items():
        monkeypatch.setenv(f"LIGHTBOX_{name}", str(value))
    with pytest.raises(UserError, match=said):
        serve.check_sharing()
