"""A server that several people share: a real provider to sign in at, a real server, two people and
two projects. Nothing of one project reaches somebody who has no role in it.
"""

import os
import re
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from core.data.samples.catalogue import make_sample
from core.people.register import Register
from core.workspace.workspace import Workspace
from tests.browser.conftest import _free_port, chromium, go, serving, settled

provider = pytest.importorskip("oidc_provider_mock")

pytestmark = pytest.mark.browser
ANA, BO, CY, DI = (f"{name}@hospital.example" for name in ("ana", "bo", "cy", "di"))


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people") / "projects"
    made = Register(folder)
    for id, title, sample in (
        ("lung", "Lung screening", "digits"),
        ("brain", "Brain atlas", "head-phantom"),
    ):
        made.add_project(id, title)
        Workspace(folder / id).add(make_sample(sample), sample=True)
    made.set_role("lung", ANA, "owner")
    made.set_role("brain", BO, "viewer")
    return made


@pytest.fixture(scope="module")
def shared(register):
    if chromium() is None:
        pytest.skip("No Chromium here.")
    port = _free_port()
    with provider.run_server_in_thread() as server:
        secrets = register.folder.parent / "secrets.toml"
        secrets.write_text(
            "[auth]\n"
            f'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            'cookie_secret = "a secret of this test, forty letters long"\n'
            'client_id = "lightbox"\nclient_secret = "of the provider"\n'
            "server_metadata_url ="
            f' "http://localhost:{server.server_port}/.well-known/openid-configuration"\n'
        )
        secrets.chmod(0o600)
        env = {
            "LIGHTBOX_PROJECTS": str(register.folder),
            "LIGHTBOX_LOGIN": "oidc",
            "LIGHTBOX_SECRETS": str(secrets),
        }
        with serving(env, register.folder.parent / "app.log", port=port) as url:
            yield url


@pytest.fixture
def shot_of():
    """`shot_of(page, name)` keeps screenshots in both themes where LIGHTBOX_SHOTS points."""
    folder = os.environ.get("LIGHTBOX_SHOTS")

    def take(page, name):
        for number in range(2 if folder else 0):
            page.screenshot(path=f"{folder}/{name}-{number}.png")
            page.get_by_role("button", name=re.compile("(Light|Dark) theme")).click()
            page.wait_for_timeout(800)

    return take


def sign_in(browser, url, person, path="/"):
    """A page of a browser of its own, in which `person` has signed in at the provider."""
    page = browser.new_context(
        viewport={"width": 1440, "height": 900}, ignore_https_errors=True
    ).new_page()
    page.set_default_timeout(60_000)
    page.goto(url + path)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_placeholder("sub").or_(page.locator("input[name=sub]")).first.fill(person)
    page.locator("button[type=submit], input[type=submit]").first.click()
    page.wait_for_url(re.compile(re.escape(url)))
    return page


def words(page):
    """All that the page holds, what stands in its fields included."""
    return page.content() + page.evaluate(
        "[...document.querySelectorAll('input, textarea')].map(i => i.value).join(' ')"
    )


def cookies_of(page):
    return {c["name"]: c["value"] for c in page.context.cookies()}


def test_before_signing_in_nothing_is_given(shared):
    for path in ("/", "/train", "/?project=lung", "/static/index.html", "/_stcore/host-config"):
        answer = httpx.get(shared + path)
        assert answer.status_code == 401, path
        assert "Sign in" in answer.text
        assert "ung" not in answer.text
    asked = httpx.put(f"{shared}/_stcore/upload_file/a/b", content=b"x")
    assert asked.status_code == 403
    assert httpx.post(f"{shared}/lightbox/screen", json={}).status_code == 403
    forged = {"X-Lightbox-Person": ANA, "X-Forwarded-Email": ANA}
    assert httpx.get(shared + "/", headers=forged).status_code == 401
    cookies = {"_streamlit_user": '"eyJlbWFpbCI6ICJhbmEifQ.aaaa.bbbb"'}
    assert httpx.get(shared + "/", cookies=cookies).status_code == 401
    with pytest.raises(WebSocketException):
        connect(shared.replace("http", "ws") + "/_stcore/stream")


def test_people_see_their_own_project_and_nothing_of_another(shared, register, browser):
    ana = sign_in(browser, shared, ANA)
    ana.get_by_text("You are owner here.").wait_for()
    ana.get_by_text("Lung screening").first.wait_for()
    ana.goto(f"{shared}/data")
    settled(ana)
    assert "digits" in words(ana)
    told = ana.url
    bo = sign_in(browser, shared, BO)
    bo.get_by_text("You are viewer here.").wait_for()
    bo.get_by_text("Brain atlas").first.wait_for()
    assert "digits" not in words(bo)
    assert "Lung" not in words(bo)

    # a link of Ana's, which names the project, the dataset and what is open
    dataset = Workspace(register.home("lung")).entry("digits")["id"]
    for link in (told, f"{shared}/data?project=lung&dataset={dataset}"):
        bo.goto(link)
        settled(bo)
        assert "digits" not in words(bo)
        assert "Lung" not in words(bo)
    bo.get_by_text("This project is not open to you").wait_for()
    bo.get_by_role("button", name="Brain atlas").click()
    bo.get_by_text("You are viewer here.").wait_for()
    settled(bo)
    for _ in range(40):  # a busy machine may not have begun with the page yet
        if "head-phantom" in words(bo):
            break
        bo.wait_for_timeout(250)
    assert "head-phantom" in words(bo)

    # Ana's pictures, uploads and socket, by their exact addresses
    ana.goto(f"{shared}/")
    ana.get_by_text("You are owner here.").wait_for()
    settled(ana)
    ours, theirs = cookies_of(ana), cookies_of(bo)
    pictures = ana.evaluate(
        "[...document.images].map(i => i.src).filter(s => s.includes('/media/'))"
    )
    for address in pictures:
        assert httpx.get(address, cookies=ours).status_code == 200
        assert httpx.get(address, cookies=theirs).status_code == 403
    assert pictures, "the first page shows pictures of cases"


def test_who_has_no_role_is_told_so_and_sees_nothing(shared, browser):
    cy = sign_in(browser, shared, CY)
    cy.get_by_text(f"You are signed in as {CY}, and have no role").wait_for()
    assert "Lung" not in cy.content()
    cookies = cookies_of(cy)
    with pytest.raises(WebSocketException):
        connect(
            shared.replace("http", "ws") + "/_stcore/stream",
            additional_headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())},
        )
    cy.get_by_role("link", name="Sign out").click()
    with suppress(Exception):
        cy.wait_for_url(re.compile(re.escape(shared)), timeout=5000)
    assert "_streamlit_user" not in cookies_of(cy)


def test_a_role_that_is_taken_away_closes_the_open_page(shared, register, browser):
    register.set_role("lung", BO, "reviewer")
    bo = sign_in(browser, shared, BO, "/data?project=lung")
    bo.goto(f"{shared}/data?project=lung")
    bo.get_by_text("You are reviewer here.").wait_for()
    settled(bo)
    assert "digits" in words(bo)
    register.set_role("lung", BO, None)
    bo.wait_for_timeout(2500)
    bo.keyboard.press("r")
    bo.get_by_text("This project is not open to you").wait_for()


def test_the_audit_list_has_logins_and_projects_opened(shared, register):
    lines = [(line.person, line.project, line.act, line.place) for line in register.lines()]
    assert (ANA, "", "login", "127.0.0.1") in lines
    assert (ANA, "lung", "open", "127.0.0.1") in lines
    assert (BO, "brain", "open", "127.0.0.1") in lines
    assert not [one for one in lines if one[0] == CY and one[1]]


def test_an_owner_changes_roles_on_screen_and_nobody_else_sees_the_page(
    shared, register, browser, shot_of
):
    register.set_role("lung", BO, "viewer")
    ana = sign_in(browser, shared, ANA)
    ana.get_by_text("You are owner here.").wait_for()
    settled(ana)
    go(ana, "People")
    shot_of(ana, "people")
    ana.get_by_label("E-mail address").fill(DI)
    ana.get_by_role("button", name="Add", exact=False).click()
    ana.get_by_text("is viewer now").wait_for()
    assert register.members("lung")[DI] == "viewer"
    ana.get_by_role("combobox", name=f"Role of {DI}").click()
    ana.get_by_role("option", name="reviewer").click()
    ana.get_by_text("is reviewer now").wait_for()
    assert register.members("lung")[DI] == "reviewer"
    ana.get_by_role("button", name="Remove").nth(-1).click()
    ana.get_by_text("sees this project no longer").wait_for()
    if folder := os.environ.get("LIGHTBOX_SHOTS"):
        ana.screenshot(path=f"{folder}/people-remove.png")
    ana.get_by_role("button", name="Remove from the project").click()
    ana.get_by_text("has no role here any more").wait_for()
    assert DI not in register.members("lung")
    said = [line.what for line in register.lines("lung") if line.act == "people"]
    assert said[-3:] == [f"{DI} is viewer", f"{DI} is reviewer", f"{DI} has no role"]

    bo = sign_in(browser, shared, BO, "/?project=lung")
    bo.goto(f"{shared}/?project=lung")
    bo.get_by_text("You are viewer here.").wait_for()
    settled(bo)
    assert bo.get_by_test_id("stSidebarNav").get_by_role("link", name="People").count() == 0
    bo.goto(f"{shared}/people?project=lung")
    bo.get_by_text("you may not give roles").wait_for()
    assert ANA not in words(bo)
