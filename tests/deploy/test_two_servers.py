"""Two server processes on the same projects behind docs/deploy/nginx.conf: browsers are spread over
both, each stays with its own, and what is changed elsewhere both show. Without that pages break.
"""

import json
import ssl
from collections import Counter
from contextlib import ExitStack

import httpx
import pytest

from core.data.samples.catalogue import make_sample
from core.people.register import Register
from core.workspace import review
from core.workspace.workspace import Workspace
from tests.browser.conftest import _free_port, browser, serving, settled
from tests.deploy.test_nginx import certified, configure, running
from tests.people.test_gate import ANA

pytestmark = pytest.mark.browser
__all__ = ["browser"]  # a fixture
SECOND = "# server 127.0.0.1:8502;"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two servers with a log of events each, whose proxy names everybody Ana; gives how to run
    nginx before them, and the logs.
    """
    folder = tmp_path_factory.mktemp("two")
    nginx = certified(folder)
    people = Register(folder / "projects")
    people.add_project("lung", "Lung screening")
    people.set_role("lung", ANA, "owner")
    Workspace(people.home("lung")).add(make_sample("digits"), sample=True)
    ports = [_free_port(), _free_port()]
    logs = [folder / f"events-{port}.jsonl" for port in ports]
    with ExitStack() as all_of_them:
        for port, log in zip(ports, logs, strict=True):
            env = {
                "LIGHTBOX_PROJECTS": str(people.folder),
                "LIGHTBOX_LOGIN": "proxy",
                "LIGHTBOX_HOSTS": "localhost",
                "LIGHTBOX_EVENTS": str(log),
                "LIGHTBOX_STANDBY": "0",
            }
            all_of_them.enter_context(serving(env, folder / f"{port}.log", port=port))

        def behind(**more):
            return running(
                nginx,
                folder,
                configure(
                    folder,
                    {
                        "127.0.0.1:8501": f"127.0.0.1:{ports[0]}",
                        SECOND: f"server 127.0.0.1:{ports[1]};",
                        'X-Forwarded-Email ""': f'X-Forwarded-Email "{ANA}"',
                        **more,
                    },
                ),
            )

        yield behind, logs, people, folder


def requests(log, route):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [one["status"] for one in lines if one["event"] == "request" and one["route"] == route]


def test_browsers_are_spread_and_each_stays_with_its_server(two):
    behind, logs, _, folder = two
    trusted = ssl.create_default_context(cafile=folder / "tls.pem")
    before = [len(requests(log, "page")) for log in logs]
    with behind() as (safe, _):
        moved = Counter()
        for _ in range(20):
            with httpx.Client(verify=trusted) as client:
                first = client.get(safe + "/")
                assert first.status_code == 200
                (cookie,) = [h for h in first.headers.get_list("set-cookie") if "route" in h]
                assert "Secure" in cookie
                assert "HttpOnly" in cookie
                assert first.headers["strict-transport-security"]
                then = [len(requests(log, "page")) for log in logs]
                for _ in range(3):
                    again = client.get(safe + "/data")
                    assert not [h for h in again.headers.get_list("set-cookie") if "route" in h]
                now = [len(requests(log, "page")) for log in logs]
                grown = [b - a for a, b in zip(then, now, strict=True)]
                assert sorted(grown) == [0, 3], "it stays with one"
                moved[grown.index(3)] += 1
        assert min(moved[0], moved[1]) >= 3, moved
        spread = [len(requests(log, "page")) - b for log, b in zip(logs, before, strict=True)]
        assert sum(spread) == 80


def test_pages_uploads_and_decisions_work_on_both(two, browser, tmp_path):
    behind, logs, people, _ = two
    table = tmp_path / "measured.csv"
    table.write_text("id,a,b\n" + "".join(f"{i},{i % 7},{i * 0.37:.6f}\n" for i in range(1000)))
    open_pages = []
    with behind() as (safe, _):
        while len(open_pages) < 12:  # until a page is open on each
            context = browser.new_context(
                viewport={"width": 1440, "height": 900}, ignore_https_errors=True
            )
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.goto(f"{safe}/data")
            page.get_by_text("You are owner here.").wait_for()
            settled(page)
            open_pages.append(page)
            if all(requests(log, "page")[-1:] for log in logs) and len(open_pages) >= 2:
                told = [len(requests(log, "static")) for log in logs]
                if all(told):
                    break
        first, last = open_pages[0], open_pages[-1]
        last.get_by_role("tab", name="Add data").click()
        settled(last)
        last.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(str(table))
        last.get_by_text("are in the workspace").first.wait_for()
        ws = Workspace(people.home("lung"))
        review.exclude(ws, "digits", [0, 1, 2], "decided elsewhere")
        for page in (first, last):  # by a process that is neither of them
            page.goto(f"{safe}/")
            settled(page)
            page.get_by_text("of 1,794").first.wait_for()
        for page in open_pages:
            page.context.close()


@pytest.mark.parametrize("stays", [True, False])
def test_uploads_are_refused_where_browsers_do_not_stay(two, browser, tmp_path, stays):
    """What the cookie is for: an address of an upload is known to the server of its page alone."""
    behind, *_ = two
    turns = {} if stays else {"hash $lightbox_route consistent;": ""}
    context = browser.new_context(viewport={"width": 1440, "height": 900}, ignore_https_errors=True)
    page, answers = context.new_page(), []
    page.set_default_timeout(60_000)
    page.on("response", lambda r: answers.append(r.status) if "/upload_file/" in r.url else None)
    with behind(**turns) as (safe, _):
        page.goto(safe + "/data")
        page.get_by_text("You are owner here.").wait_for()
        settled(page)
        page.get_by_role("tab", name="Add data").click()
        settled(page)
        for number in range(6):
            table = tmp_path / f"table{number}.csv"
            table.write_text("id,a\n1,2\n")
            field = page.get_by_test_id("stFileUploaderDropzoneInput")
            if not number or field.count():  # not while what came is looked at
                field.first.set_input_files(str(table))
            page.wait_for_timeout(1500)
        context.close()
    assert answers
    assert (403 in answers) != stays, answers
