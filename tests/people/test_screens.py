"""Each page as each role sees it: what would be refused is disabled and says so, and what is
pressed all the same ends as one sentence.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

from app.access import gate, projects
from app.components import allowed, download
from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.people.register import Register
from core.people.roles import ALLOWED, ROLES, WORDS
from core.report import story
from core.workspace import notes, review
from core.workspace.workspace import Workspace
from tests.people.test_asking import PNG, state_of
from tests.people.test_gate import PAGES, page_of
from tests.store.test_review import named

ROOT = Path(__file__).parents[2]
BO = "bo@hospital.example"
REFUSED = "As viewer of this project you may not"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with a run, its map, a group, a pinned view, and cases that are held back."""
    register = Register(tmp_path_factory.mktemp("people") / "projects")
    register.add_project("lung", "Lung study")
    register.set_role("lung", "ana@hospital.example", "owner")
    ws = Workspace(register.home("lung"))
    ws.add(named(held=(4, 17)))
    ws.add(make_sample("digits"), sample=True)
    run = queue.train(ws, "digits", "pca", {"dimensions": 4}).id
    assert queue.wait(ws, run, timeout=120).status == "done"
    notes.save_group(ws, "digits", "mine", np.array([1, 2]))
    story.add_pin(ws, PNG, "a view", {})
    review.ignore(ws, "digits", "copies", "none matters")
    ws.run = run
    return register, ws


@pytest.fixture
def here(made, monkeypatch):
    register, _ = made
    monkeypatch.setenv("LIGHTBOX_PROJECTS", str(register.folder))
    # a page knows its role for a moment; here it changes from one test to the next
    monkeypatch.setattr(projects, "_roles", projects._roles.__wrapped__)
    gate.register.cache_clear()
    yield made
    gate.register.cache_clear()


def refusals(register) -> list[str]:
    return [line.what for line in register.lines() if line.act == "refused"]


def can_press(block, shut=False):
    """The buttons that a browser lets be pressed: enabled, and not folded away in what is not."""
    for node in block.children.values():
        if not hasattr(node, "children"):
            if node.type == "button" and not shut and not node.disabled:
                yield node
            continue
        popover = getattr(node.proto, "popover", None)
        yield from can_press(node, shut or (popover is not None and popover.disabled))


@pytest.mark.parametrize("page", PAGES)
def test_a_viewer_meets_no_refusal_by_what_can_be_pressed(page, here, monkeypatch):
    register, ws = here
    register.set_role("lung", BO, "viewer")
    at = page_of(monkeypatch, BO, page, dataset=ws.entry("digits")["id"], run=ws.run)
    assert not at.exception
    before, jobs = refusals(register), len(ws.catalogue.jobs())
    pressed: set[str] = set()
    for _ in range(6):  # what a press opens is pressed as well
        new = [
            b
            for b in can_press(at.main)
            if b.key and b.key not in pressed and not b.key.startswith("open")
        ]
        if not new:
            break
        pressed.add(new[0].key)
        at = new[0].click().run()
        assert not at.exception, new[0].label
    assert refusals(register)[len(before) :] == []
    assert len(ws.catalogue.jobs()) == jobs


@pytest.mark.parametrize("role", ROLES)
def test_what_is_disabled_is_what_the_role_may_not_do(role, here, monkeypatch):
    register, ws = here
    register.set_role("lung", BO, role)
    where = {"dataset": ws.entry("films")["id"]}
    at = page_of(monkeypatch, BO, "data", **where)
    assert not at.exception
    can = {b.key: not b.disabled for b in (*at.main.button, *at.sidebar.button)}
    assert can[f"remove-{ws.entry('films')['id']}"] or "data" not in ALLOWED[role]
    clear = [t for t in at.main.toggle if t.label == "Clear"]
    assert [t.disabled for t in clear] == ["data" not in ALLOWED[role]] * 2
    train = page_of(monkeypatch, BO, "train", **where)
    offered = any(b.key and b.key.startswith("train-") for b in train.main.button)
    assert offered == ("train" in ALLOWED[role])
    said = " ".join(c.value for c in train.main.caption)
    assert (WORDS["train"] in said) != offered


def test_what_is_pressed_all_the_same_ends_as_one_sentence(here, monkeypatch):
    register, ws = here
    register.set_role("lung", BO, "owner")
    where = {"dataset": ws.entry("digits")["id"], "run": ws.run}
    at = page_of(monkeypatch, BO, "present", **where)
    before = state_of(ws.home)
    register.set_role("lung", BO, "viewer")  # while the page is open
    (pin,) = story.load_pins(ws)
    at = at.button(key=f"remove-{pin.id}").click().run()
    assert not at.exception
    assert any(REFUSED in e.value for e in at.error)
    register.set_role("lung", BO, "owner")
    at = page_of(monkeypatch, BO, "home", **where)
    register.set_role("lung", BO, "viewer")
    at = at.button(key="drop-mine").click().run()
    assert not at.exception
    assert any(REFUSED in e.value for e in at.error)
    now = state_of(ws.home)
    assert {k: v for k, v in now.items() if k in before} == before


def test_who_makes_a_held_back_picture_clear_is_listed(here, monkeypatch):
    register, ws = here
    register.set_role("lung", BO, "owner")
    id = ws.entry("films")["id"]
    at = page_of(monkeypatch, BO, "data", dataset=id)
    at = at.toggle(key="clear-films-17").set_value(True).run()
    assert at.toggle(key="clear-films-17").value
    assert list(register.lines())[-1].what == f"dataset {id}: held-back row 17 shown"
    register.set_role("lung", BO, "viewer")  # while the page is open
    at = at.toggle(key="clear-films-4").set_value(True).run()
    assert not at.exception
    assert not at.toggle(key="clear-films-4").value
    assert refusals(register)[-1].endswith("held-back row 4 shown")


def test_every_file_is_taken_away_by_the_one_button():
    found = {
        str(path.relative_to(ROOT))
        for folder in ("app", "pages")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "download_button"
    }
    assert found == {str(Path(download.__file__).relative_to(ROOT))}


def test_taking_away_is_listed_and_a_viewer_has_nothing_to_take(here, monkeypatch):
    register, ws = here
    drawn = []

    class Place:
        def download_button(self, label, data, name, mime, **more):
            drawn.append((data, more))

    for role in ("viewer", "reviewer"):
        register.set_role("lung", BO, role)
        seen = ws.seen_by(page_access(register, role))
        monkeypatch.setattr("app.state.workspace", lambda seen=seen: seen)
        download.button(Place(), "All", lambda: b"secret", "a.csv", "text/csv", what="run 1: all")
    (nothing, locked), (given, free) = drawn
    assert given() == b"secret"
    assert not free["disabled"]
    free["on_click"](*free["args"])
    assert [(x.act, x.what) for x in register.lines()][-1] == ("export", "run 1: all")
    assert nothing == b""
    assert locked["disabled"]
    assert REFUSED in locked["help"]


def page_access(register, role):
    from core.people.access import Access

    return Access(BO, role, "lung", "", register)


def test_the_field_for_a_name_shows_who_is_signed_in(here, monkeypatch):
    register, ws = here
    access = page_access(register, "owner")
    monkeypatch.setattr("app.state.workspace", lambda: ws.seen_by(access))

    class Place:
        def text_input(self, label, value, **more):
            assert (value, more["disabled"]) == (BO, True)
            return "somebody else"

    assert allowed.author(Place(), "Your name", "A. Reader", max_chars=60) == BO


def test_the_guide_says_what_each_role_may_do():
    page = (ROOT / "docs" / "how-to" / "share-a-server.md").read_text()
    for act, words in WORDS.items():
        cells = " | ".join("yes" if act in ALLOWED[r] else "" for r in ROLES).replace("|  |", "| |")
        assert f"| {words} | {cells}".rstrip() in page.replace("|  |", "| |"), act


def test_who_may_draw_no_map_sees_the_one_that_is_there(here, monkeypatch):
    register, ws = here
    register.set_role("lung", BO, "viewer")
    drawn = queue.derive(ws, "map", ws.run, {"how": "pca", "dims": 2})
    assert queue.wait(ws, drawn.id, timeout=120).status == "done"
    where = {"dataset": ws.entry("digits")["id"], "run": ws.run}
    at = page_of(monkeypatch, BO, "latent", **where)
    assert at.session_state["kept-map-how"] == "pca"
    assert "trustworthiness" in " ".join(c.value for c in at.main.caption)
    at.session_state["kept-map-how"] = "umap"  # not drawn, and not to be
    at = at.run()
    assert REFUSED in " ".join(c.value for c in at.main.caption)
    at = at.button(key=f"map-drawn-{drawn.id}").click().run()
    assert at.session_state["kept-map-how"] == "pca"
