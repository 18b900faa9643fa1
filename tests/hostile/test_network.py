"""Who may ask the server for anything, and that nothing leaves the machine."""

import http.client
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from core.errors import UserError
from tests.browser.conftest import serving
from tests.hostile._make import ROOT

pytestmark = pytest.mark.processes

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def ask(served, path, method="GET", body=None, known=True, **headers):
    """Status and headers of one request, with just these headers, and the cookie of who was let in
    unless not `known`.
    """
    host, port = served.removeprefix("http://").split(":")
    if known:
        own = f"{served.cookie['name']}={served.token}"
        headers["Cookie"] = "; ".join(filter(None, [headers.get("Cookie"), own]))
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request(
            method,
            path,
            body,
            {"Host": f"{host}:{port}"} | {k.replace("_", "-"): v for k, v in headers.items()},
        )
        answer = connection.getresponse()
        return (
            answer.status,
            {k.lower(): v for k, v in answer.getheaders()},
            answer.read() if answer.status != 101 else b"",
        )
    finally:
        connection.close()


def xsrf(served):
    """(cookie, token) as a browser of ours would have them."""
    _, headers, _ = ask(served, "/_stcore/host-config")
    _, more, _ = ask(served, "/_stcore/health")
    cookie = re.search(
        r"_streamlit_xsrf=([^;]+)", headers.get("set-cookie", "") + more.get("set-cookie", "")
    )
    return cookie[1]


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="file";'
    b' filename="a.csv"\r\n\r\na,b\r\n1,2\r\n--x--\r\n'
)


@pytest.mark.parametrize(
    "headers", [{}, {"X_Xsrftoken": "2|aaaa|bbbb|1"}, {"Cookie": "_streamlit_xsrf=2|aaaa|bbbb|1"}]
)
def test_an_upload_without_the_matching_cookie_and_token_is_forbidden(served, headers):
    """Fault 49: upload without XSRF cookie, or without the token beside it: 403."""
    status, _, _ = ask(
        served,
        "/_stcore/upload_file/session/file",
        "PUT",
        FORM,
        Content_Type="multipart/form-data; boundary=x",
        **headers,
    )
    assert status == 403


def test_an_upload_with_them_is_not_forbidden_but_needs_a_session(served):
    """Fault 49: the 403 above is for the missing token: with it, an unknown session is what is
    wrong.
    """
    token = xsrf(served)
    status, _, body = ask(
        served,
        "/_stcore/upload_file/session/file",
        "PUT",
        FORM,
        Content_Type="multipart/form-data; boundary=x",
        Cookie=f"_streamlit_xsrf={token}",
        X_Xsrftoken=token,
    )
    assert status == 400
    assert b"session" in body.lower()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 101),
        ({"Origin": "SELF"}, 101),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://192.0.2.7:8501"}, 403),
        ({"Origin": "http://127.0.0.1:8888"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://localhost:PORT"}, 403),
        ({"Host": "localhost:PORT", "Origin": "http://localhost:PORT"}, 101),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "SELF", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "websocket"}, 101),
        ({"Origin": "http://[::2]:8501"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_the_socket_opens_for_our_own_pages_only(served, more, status):
    """Fault 49: a WebSocket from a foreign Origin, or to a foreign Host, is closed."""
    more = {
        k: served if v == "SELF" else v.replace("PORT", served.rpartition(":")[2])
        for k, v in more.items()
    }
    assert ask(served, "/_stcore/stream", **UPGRADE, **more)[0] == status


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/_stcore/health",
        "/_stcore/host-config",
        "/_stcore/metrics",
        "/data",
        "/static/x.js",
        "/media/x.png",
        "/nowhere",
    ],
)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "[::2]:80",
        "",
        "127.0.0.1@evil.example",
    ],
)
def test_other_hosts_get_nothing(served, host, path):
    """Fault 49: Host evil.example (DNS rebinding) is refused on every path, pages and static files
    among them.
    """
    status, headers, body = ask(served, path, Host=host)
    assert status in (400, 403)
    assert b"<html" not in body.lower()
    assert "frame-ancestors" in headers.get("content-security-policy", "frame-ancestors")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_the_names_of_this_machine_are_answered(served, host):
    """Fault 49: with and without the port."""
    port = served.rpartition(":")[2]
    assert ask(served, "/", Host=f"{host}:{port}")[0] == 200
    assert ask(served, "/", Host=host)[0] == 200


PRIVATE = [
    "/",
    "/data",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/_stcore/message",
    "/static/x.js",
    "/media/x.png",
    "/nowhere",
    "/component/x",
]


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("cookie", [None, "wrong", "lightbox-1"])
def test_without_the_token_there_is_only_a_sentence(served, path, cookie):
    """Other users and programs of this machine reach the port; pages, files and inner paths ask for
    the cookie, and for the right one.
    """
    name = cookie if cookie == "lightbox-1" else served.cookie["name"]
    more = (
        {"Cookie": f"{name}={served.token if cookie == 'lightbox-1' else cookie}"} if cookie else {}
    )
    status, headers, body = ask(served, path, known=False, **more)
    assert status == 403
    assert b"token=" in body
    assert served.token.encode() not in body
    assert "lightbox" not in headers.get("set-cookie", "")


@pytest.mark.parametrize("more", [{}, {"Origin": "SELF"}])
def test_without_the_token_there_is_no_socket_and_no_upload(served, more):
    more = {k: str(served) for k in more}
    assert ask(served, "/_stcore/stream", known=False, **UPGRADE, **more)[0] == 403
    assert (
        ask(served, "/_stcore/upload_file/session/file", "PUT", FORM, known=False, **more)[0] == 403
    )
    assert (
        ask(
            served,
            f"/_stcore/upload_file/session/file?token={served.token}",
            "PUT",
            FORM,
            known=False,
            **more,
        )[0]
        == 403
    )


def test_the_whole_address_gives_the_cookie_and_goes_on_without_the_token(served):
    status, headers, body = ask(
        served, f"/latent?dataset=a%20b&token={served.token}&run=x%22%3E", known=False
    )
    assert status == 200
    assert (
        headers["set-cookie"]
        == f"{served.cookie['name']}={served.token}; Path=/; HttpOnly; SameSite=Strict"
    )
    assert b'content="0;url=/latent?dataset=a+b&amp;run=x%22%3E"' in body
    assert served.token.encode() not in body
    for path in ("//evil.example", "/%5Cevil.example", "/%5C/evil.example", "///evil.example"):
        onward = re.search(
            rb"url=([^\"]*)", ask(served, f"{path}?token={served.token}", known=False)[2]
        )[1]
        assert re.match(rb"/[^/\\]", onward), onward


def test_cookies_of_other_programs_of_this_machine_do_not_hide_ours(served):
    ours = f"{served.cookie['name']}={served.token}"
    for cookies in (
        f'a={{"x": [1]}}; b; c=\x01; {ours}',
        f"{served.cookie['name']}=old; {ours}",
        f"{ours}; {served.cookie['name']}=old",
    ):
        assert ask(served, "/", known=False, Cookie=cookies)[0] == 200
    assert ask(served, "/", known=False, Cookie=f"x{ours}")[0] == 403


def test_who_only_asks_whether_the_server_is_up_needs_no_token(served):
    assert ask(served, "/_stcore/health", known=False)[::2] == (200, b"ok")


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("same-origin", "no-cors", 200),
        ("none", "navigate", 200),
        ("same-site", "navigate", 200),
        ("same-site", "no-cors", 403),
        ("cross-site", "no-cors", 403),
    ],
)
def test_pages_of_other_ports_may_link_here_but_not_draw_from_here(served, site, mode, status):
    """A browser sends the cookie along with what a page of another port of this machine asks
    for.
    """
    assert ask(served, "/", Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)[0] == status


def test_a_second_start_prints_the_whole_address_and_only_its_user_can_read_it(served, guard):
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "app"],
        cwd=ROOT,
        env=os.environ | guard,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 2
    assert f"{served}/?token={served.token} (open that" in done.stderr
    assert (Path(guard["LIGHTBOX_HOME"]) / "server.json").stat().st_mode & 0o777 == 0o600


def test_the_token_stands_in_no_process_list_and_in_no_childs_environment(served):
    port = served.rpartition(":")[2]
    server = next(
        p
        for p in psutil.process_iter(["cmdline"])
        if f"--server.port={port}" in (p.info["cmdline"] or [])
    )
    assert not any(served.token in part for part in server.cmdline())


def test_it_can_be_served_without_a_token_and_says_so(tmp_path, monkeypatch):
    from app.shell import describe_network

    with serving({"LIGHTBOX_HOME": str(tmp_path / "home")}, tmp_path / "log", "--no-token") as url:
        assert ask(url, "/", known=False)[0] == 200
        assert (
            ask(url, "/_stcore/stream", known=False, Origin="http://127.0.0.1:8888", **UPGRADE)[0]
            == 403
        )
    assert "Every user and program of this machine can open it" in (tmp_path / "log").read_text()
    monkeypatch.setenv("LIGHTBOX_NO_TOKEN", "1")
    assert "Every user and program" in describe_network("127.0.0.1")


def test_every_answer_carries_the_policy(served):
    """The content policy is on pages, static files, errors and internal paths: a browser of ours
    asks no other host.
    """
    script = re.search(rb"static/js/[\w.-]+\.js", ask(served, "/")[2])[0].decode()
    for path in (
        "/",
        "/data",
        f"/{script}",
        "/_stcore/health",
        "/_stcore/host-config",
        "/static/missing.js",
    ):
        _, headers, _ = ask(served, path)
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'self'"
        assert policy["object-src"] == "'none'"
        assert policy["frame-ancestors"] == policy["form-action"] == "'self'"
        assert not re.search(r"https?:|\*", headers["content-security-policy"])
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_other_addresses_are_refused_with_the_ways_on(host):
    """Fault 50: without a login nothing but loopback is served; the sentence names the two
    ways on.
    """
    from app.commands.serve import app

    with pytest.raises(UserError) as e:
        app(8607, host)
    words = str(e.value)
    for part in ("no login", host, "two ways on", "leave --host out", "ssh -L"):
        assert part in words


def test_the_process_too_refuses_and_listens_nowhere():
    """Fault 50: as above, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "app", "--host", "0.0.0.0", "--port", "8607"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", 8607), 1):
        pass


def test_the_server_listens_on_loopback_only(served):
    """Fault 50: no listening socket of the server is open to other machines."""
    port = int(served.rpartition(":")[2])
    listening = [
        c for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port
    ]
    assert listening
    assert all(c.laddr.ip in ("127.0.0.1", "::1") for c in listening)


TRAINING = """
import sys
from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.workspace.workspace import Workspace
ws = Workspace()
if not ws.catalogue.datasets():
    ws.add(make_sample("digits"), sample=True)
job = queue.wait(ws, queue.train(ws, "digits", "pca", {}).id, timeout=500)
assert job.status == "done", job.error
job = queue.wait(ws, queue.derive(ws, "map", job.id, {"how": "pca", "dims": 2}).id, timeout=500)
assert job.status == "done", job.error
"""


@pytest.mark.timeout(1200)
def test_training_opens_no_connection(served, guard):
    """Nothing leaves this machine: server, supervisor and workers try no connection to another host
    during a training and a map; none is open.
    """
    log, pids = Path(guard["LIGHTBOX_SOCKET_LOG"]), Path(guard["LIGHTBOX_SOCKET_LOG"] + ".pids")
    done = subprocess.run(
        [sys.executable, "-c", TRAINING],
        cwd=ROOT,
        env=os.environ | guard,
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = pids.read_text()
    assert "core.jobs.worker" in seen  # the guard was in the workers
    assert "core.jobs.scheduler" in seen
    assert "streamlit run" in seen
    assert not log.exists() or log.read_text() == ""
    ours = {int(line.split()[0]) for line in seen.splitlines()}
    away = [
        c
        for c in psutil.net_connections("inet")
        if c.pid in ours and c.raddr and c.raddr.ip not in ("127.0.0.1", "::1")
    ]
    assert not away


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "Nothing leaves"),
        ("localhost", "Nothing leaves"),
        ("::1", "Nothing leaves"),
        (None, "Other machines can"),
        ("0.0.0.0", "Other machines can"),
        ("192.168.1.5", "Other machines can"),
        ("host.example", "Other machines can"),
    ],
)
def test_the_sidebar_says_what_is_so(address, said):
    """The words on the network follow from where the server listens."""
    from app.shell import describe_network

    assert said in describe_network(address)


def test_the_guard_sees_a_connection(guard, tmp_path):
    """The note-taking of the test above is tried: a process that calls out is noted."""
    env = os.environ | guard | {"LIGHTBOX_SOCKET_LOG": str(tmp_path / "log")}
    code = (
        "import socket\ns = socket.socket()\ns.settimeout(0.2)\ntry:\n    s.connect(('192.0.2.1',"
        " 9))\nexcept OSError:\n    pass"
    )
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=30)
    assert "socket.connect 192.0.2.1" in (tmp_path / "log").read_text()
