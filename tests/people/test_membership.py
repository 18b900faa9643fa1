"""Roles changed on screen: by owners alone, on the audit list, and never so that nobody is left who
could change them.
"""

import pytest

from app.access import gate, projects
from core.errors import UserError
from core.people.access import Access
from core.people.register import Register
from core.people.roles import ROLES, NotAllowed
from core.workspace import membership
from core.workspace.workspace import Workspace
from tests.people.test_gate import page_of, told

ANA, BO, CY = (f"{name}@hospital.example" for name in ("ana", "bo", "cy"))


@pytest.fixture
def register(tmp_path, monkeypatch):
    made = Register(tmp_path / "projects")
    made.add_project("lung", "Lung study")
    made.set_role("lung", ANA, "owner")
    made.set_role("lung", BO, "viewer")
    monkeypatch.setenv("LIGHTBOX_PROJECTS", str(made.folder))
    gate.register.cache_clear()
    projects._roles.clear()
    yield made
    gate.register.cache_clear()


@pytest.fixture
def ws(register):
    whole = Workspace(register.home("lung"))
    return whole.seen_by(Access(ANA, "owner", "lung", "10.0.0.7", register))


def listed(register):
    return [(line.person, line.act, line.what) for line in register.lines()]


def test_an_owner_adds_changes_and_removes(ws, register):
    membership.set_role(ws, f" {CY.upper()} ", "viewer")
    membership.set_role(ws, CY, "owner")
    membership.set_role(ws, BO, None)
    assert membership.list_people(ws) == {ANA: "owner", CY: "owner"}
    assert listed(register) == [
        (ANA, "people", f"{CY} is viewer"),
        (ANA, "people", f"{CY} is owner"),
        (ANA, "people", f"{BO} has no role"),
    ]
    changes = membership.list_changes(ws, most=2)
    assert [line.what for line in changes] == [f"{BO} has no role", f"{CY} is owner"]


@pytest.mark.parametrize("role", [None, "viewer", "reviewer"])
def test_the_only_owner_stays_and_the_list_says_that_nothing_changed(ws, register, role):
    with pytest.raises(UserError, match="only owner"):
        membership.set_role(ws, ANA, role)
    assert register.members("lung") == {ANA: "owner", BO: "viewer"}
    assert listed(register)[-1] == (ANA, "refused", f"people {ANA}: as before")


@pytest.mark.parametrize(
    ("who", "role", "said"),
    [
        ("nobody", "viewer", "no e-mail address"),
        ("a@b\n<img>", "viewer", "no e-mail address"),
        (CY, "king", "no role “king”"),
        (CY, None, "has no role in this project"),
    ],
)
def test_what_cannot_be_is_one_sentence(ws, register, who, role, said):
    with pytest.raises(UserError, match=said):
        membership.set_role(ws, who, role)
    assert register.members("lung") == {ANA: "owner", BO: "viewer"}


@pytest.mark.parametrize("role", [r for r in ROLES if r != "owner"])
def test_others_neither_see_nor_change_it(ws, register, role):
    register.set_role("lung", BO, role)
    other = ws.seen_by(Access(BO, role, "lung", "10.0.0.7", register))
    for call in (
        lambda: membership.list_people(other),
        lambda: membership.list_changes(other),
        lambda: membership.set_role(other, BO, "owner"),
        lambda: membership.set_role(other, ANA, None),
    ):
        with pytest.raises(NotAllowed):
            call()
    assert register.members("lung") == {ANA: "owner", BO: role}
    assert {act for _, act, _ in listed(register)} == {"refused"}


def test_where_one_person_uses_it_there_is_nobody_to_manage(tmp_path):
    with pytest.raises(UserError, match="for one person"):
        membership.list_people(Workspace(tmp_path))
    with pytest.raises(UserError, match="for one person"):
        membership.set_role(Workspace(tmp_path), ANA, "viewer")


# -- the page --------------------------------------------------------------------------------------


def test_the_page_changes_roles_for_an_owner(register, monkeypatch):
    at = page_of(monkeypatch, ANA, "people")
    assert not at.exception
    assert BO in told(at)
    boxes = {b.label: b for b in at.main.selectbox if b.label.startswith("Role of")}
    assert boxes[f"Role of {ANA}"].disabled, "the only owner"
    at = boxes[f"Role of {BO}"].select("reviewer").run()
    assert not at.exception
    assert register.members("lung")[BO] == "reviewer"
    at.main.text_input(key="people-who").set_value(CY)
    at.main.selectbox(key="people-role").select("owner")
    at = next(b for b in at.main.button if b.label == "Add").click().run()
    assert register.members("lung") == {ANA: "owner", BO: "reviewer", CY: "owner"}
    assert any("is owner now" in s.value for s in at.success)
    boxes = {b.label: b for b in at.main.selectbox if b.label.startswith("Role of")}
    assert not boxes[f"Role of {ANA}"].disabled
    register.set_role("lung", CY, None)  # elsewhere, while the page is open
    at = boxes[f"Role of {ANA}"].select("viewer").run()
    assert any("only owner" in e.value for e in at.error)
    boxes = {b.label: b for b in at.main.selectbox if b.label.startswith("Role of")}
    assert boxes[f"Role of {ANA}"].value == "owner"
    at = [b for b in at.main.button if b.label == "Remove from the project"][-1].click().run()
    assert register.members("lung") == {ANA: "owner"}
    assert any("has no role here any more" in s.value for s in at.success)


def test_an_owner_who_gives_up_the_role_loses_the_page(register, monkeypatch):
    register.set_role("lung", CY, "owner")
    at = page_of(monkeypatch, ANA, "people")
    box = next(b for b in at.main.selectbox if b.label == f"Role of {ANA}")
    at = box.select("viewer").run()
    assert not at.exception
    assert BO not in told(at)
    assert "As viewer of this project you may not give roles" in told(at).replace("\\", "")


@pytest.mark.parametrize("role", [r for r in ROLES if r != "owner"])
def test_the_page_shows_nobody_to_others(register, monkeypatch, role):
    register.set_role("lung", BO, role)
    at = page_of(monkeypatch, BO, "people")
    assert not at.exception
    assert ANA not in told(at)
    assert not [b for b in at.main.selectbox if b.label.startswith("Role of")]
    assert not at.main.text_input
