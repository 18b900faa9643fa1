"""Rows 8, 9, 18, 19, 20 and 47 in a real browser: a catalogue that is held, a double click, two
tabs, a broken line, clicks faster than the page, a link to a run that is gone.
"""

from __future__ import annotations

import re
import time

import pytest

from core.workspace import notices
from tests.browser.conftest import (
    browser,
    choose_method,
    chromium,
    page,
    serving,
    settled,
    shot,
)
from tests.survive import _make
from tests.survive.test_catalogue import held

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
TRAIN = re.compile(r"\bTrain( ·|$)")


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    return _make.workspace(tmp_path_factory.mktemp("screen") / "home")


@pytest.fixture(scope="module")
def served(ws):
    if chromium() is None:
        pytest.skip(
            "No Chromium here: install it (Debian: apt-get install chromium) to run the browser"
            " tests."
        )
    with serving({"LIGHTBOX_HOME": str(ws.home)}, ws.home / "app.log") as url:
        yield url


def test_clicks_faster_than_the_page_end_where_the_last_one_says(page, served):
    page.goto(f"{served}/train")
    settled(page)
    page.get_by_text("All methods that fit").click()
    choices = page.locator('[class*="st-key-find-"] button').filter(visible=True)
    choices.first.wait_for()  # a busy server has sent nothing yet of the page just opened
    names = choices.all_inner_texts()
    assert len(names) > 1, "clicks between methods need two of them"
    clicked = [names[i % len(names)] for i in range(10)]
    for name in clicked:
        choices.get_by_text(name, exact=True).click(no_wait_after=True)
    last = page.get_by_role("heading", name=clicked[-1], exact=True)
    last.wait_for(timeout=60_000)
    settled(page)
    assert last.count() == 1, "and it stays there"
    assert not page.errors


def test_a_double_click_is_one_run(page, served, ws):
    """Two clicks as fast as a hand makes them; what stands there afterwards is another button."""
    there = {j.id for j in ws.runs()}
    page.goto(f"{served}/train")
    settled(page)
    page.get_by_role("button", name="Principal components", exact=False).first.click()
    settled(page)
    before = page.locator('[class*="st-key-train-"]').get_attribute("class")
    page.get_by_role("button", name=TRAIN).dblclick()
    page.get_by_text("See the map").wait_for(timeout=180_000)
    settled(page)
    assert [j.status for j in ws.runs() if j.id not in there] == ["done"]
    assert page.locator('[class*="st-key-train-"]').get_attribute("class") != before


def test_a_link_to_a_run_that_is_gone_opens_what_there_is(page, served, ws):
    gone = "0123456789"
    notices.add_notice(
        ws.home, "The catalogue of this workspace was damaged and was rebuilt from the folders."
    )
    for where in ("latent", "results"):
        page.goto(f"{served}/{where}?dataset=few&run={gone}")
        settled(page)
        assert gone not in page.url
        assert page.get_by_text("was rebuilt from the folders").count() == (where == "latent"), (
            "told once"
        )
    page.goto(f"{served}/latent?dataset=nothing&run={gone}")
    settled(page)
    assert not page.errors
    for run in ws.runs():
        ws.remove_run(run.id)
    page.goto(f"{served}/latent?dataset=few&run={gone}")
    settled(page)
    assert page.get_by_role("link", name=re.compile("Train")).count()


def test_a_held_catalogue_is_a_sentence_on_screen(page, served, ws, shot):
    page.goto(f"{served}/train")
    settled(page)
    page.get_by_role("button", name="Principal components", exact=False).first.click()
    settled(page)
    with held(ws):
        page.get_by_role("button", name=TRAIN).click()
        page.get_by_text("The workspace is busy").wait_for(timeout=180_000)
        shot("busy")
    settled(page)


def long_one(page, served):
    """The form of a training that takes minutes, filled in."""
    page.goto(f"{served}/train")
    settled(page)
    choose_method(page, "Variational autoencoder")
    for name, value in (("epochs", "2000"), ("batch size", "4")):
        page.get_by_role("spinbutton", name=name).fill(value)
        page.get_by_role("spinbutton", name=name).press("Tab")
        settled(page)


def test_two_tabs_one_run_and_a_line_that_breaks(page, served, ws, shot):
    """Rows 18 and 19: the same ask from two tabs is one run; a broken line and a frozen tab (a
    laptop that sleeps) change nothing, and the page catches up.
    """
    before, lines = {j.id for j in ws.runs()}, []

    def through(line):
        line.connect_to_server()
        lines.append(line)

    page.route_web_socket(re.compile("_stcore/stream"), through)
    other = page.context.browser.new_page(viewport={"width": 1440, "height": 900})
    other.context.add_cookies([served.cookie])
    for tab in (page, other):
        long_one(tab, served)
    for tab in (page, other):
        tab.get_by_role("button", name=TRAIN).click(no_wait_after=True)
    for tab in (page, other):
        tab.get_by_role("button", name="Cancel").wait_for(timeout=180_000)
    (run,) = {j.id for j in ws.runs()} - before
    other.close()
    page.get_by_text(re.compile(r"Learning: \d+ %")).first.wait_for(timeout=180_000)
    known = len(lines)
    lines[-1].close()
    page.wait_for_timeout(2000)
    frozen = page.context.new_cdp_session(page)
    frozen.send("Page.setWebLifecycleState", {"state": "frozen"})
    time.sleep(5)
    frozen.send("Page.setWebLifecycleState", {"state": "active"})
    page.wait_for_timeout(1000)
    assert len(lines) > known, "the page has called again"
    assert ws.job(run).status == "running"
    shot("after-sleep")
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_text(re.compile("cancelled", re.I)).first.wait_for(
        timeout=180_000, state="attached"
    )
    assert ws.job(run).status == "cancelled"
    assert not page.errors
