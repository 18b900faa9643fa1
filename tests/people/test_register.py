"""Projects, roles and the audit list: what each role may do, and that no line is ever lost."""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from core.errors import UserError
from core.people.access import OPEN, Access
from core.people.register import Register, open_register
from core.people.roles import ACTS, ALLOWED, NotAllowed
from core.settings import Settings
from core.workspace.workspace import Workspace

ANA, BO = "ana@hospital.example", "bo@hospital.example"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """Where the register is: a file of its own, or a schema of its own on a server."""
    if request.param == "sqlite":
        return ""
    server, schema = request.getfixturevalue("server"), f"people_{uuid.uuid4().hex[:8]}"
    server.sql(f"CREATE SCHEMA {schema}")
    return f"{server.url()}&options=-csearch_path%3D{schema}"


@pytest.fixture
def register(tmp_path, url):
    made = Register(tmp_path / "projects", url)
    made.add_project("lung", "Lung screening")
    made.add_project("brain")
    made.set_role("lung", ANA, "owner")
    return made


def test_one_person_needs_no_register_and_may_do_everything(monkeypatch, tmp_path):
    monkeypatch.delenv("LIGHTBOX_PROJECTS", raising=False)
    assert open_register() is None
    assert all(OPEN.allows(act) for act in ACTS)
    ws = Workspace(tmp_path)
    ws.permit("people", "anything")


def test_each_role_may_do_what_it_says_and_no_more(register):
    for role, acts in ALLOWED.items():
        register.set_role("lung", BO, role)
        access = Access(BO, role, "lung", "10.0.0.7", register)
        for act in ACTS:
            if act in acts:
                access.permit(act)
            else:
                with pytest.raises(NotAllowed, match=f"As {role} of this project"):
                    access.permit(act)
    assert not {"train", "data", "people"} & ALLOWED["reviewer"]
    assert ALLOWED["viewer"] == {"look"}


def test_a_role_holds_in_its_own_project_only_and_ends_at_once(register):
    register.set_role("lung", BO, "reviewer")
    there = Access(BO, "reviewer", "brain", "", register)
    assert not there.allows("look")
    here = Access(BO, "reviewer", "lung", "", register)
    assert here.allows("annotate")
    register.set_role("lung", BO, "viewer")
    assert here.allows("look")
    assert not here.allows("annotate")
    register.set_role("lung", BO, None)
    with pytest.raises(NotAllowed):
        here.permit("look")
    assert [p.id for p in register.projects(BO)] == []
    assert [p.id for p in register.projects(ANA.upper())] == ["lung"]


def test_a_project_keeps_an_owner(register):
    for role in ("viewer", None):
        with pytest.raises(UserError, match=r"only owner.*make somebody else owner"):
            register.set_role("lung", ANA, role)
    register.set_role("lung", BO, "owner")
    register.set_role("lung", ANA, "viewer")
    assert register.members("lung") == {ANA: "viewer", BO: "owner"}


@pytest.mark.parametrize("id", ["", "Lung", "../x", "a/b", "-a", "a-", "a" * 41, "people.db"])
def test_ids_that_cannot_be_folders_are_refused(register, id):
    with pytest.raises(UserError, match="cannot be a project's id"):
        register.add_project(id)


def test_bad_names_are_told_in_one_sentence(register):
    with pytest.raises(UserError, match="already"):
        register.add_project("lung")
    with pytest.raises(UserError, match="no e-mail address"):
        register.set_role("lung", "ana", "viewer")
    with pytest.raises(UserError, match="no role “admin”"):
        register.set_role("lung", BO, "admin")
    with pytest.raises(UserError, match="no project “liver”"):
        register.set_role("liver", BO, "viewer")


def test_no_line_of_the_audit_list_can_be_changed_or_taken_away(register):
    Access(ANA, "owner", "lung", "10.0.0.7", register).permit("data", "import 1a2b")
    for words in ("UPDATE audit SET person = 'x'", "DELETE FROM audit"):
        with pytest.raises(DatabaseError, match="append-only"), register.engine.begin() as db:
            db.execute(text(words))
    (line,) = register.lines("lung")
    assert (line.person, line.place, line.act, line.what) == (
        ANA,
        "10.0.0.7",
        "data",
        "import 1a2b",
    )


def test_looking_is_not_listed_and_a_refusal_is(register):
    register.set_role("lung", BO, "viewer")
    access = Access(BO, "viewer", "lung", "", register)
    access.permit("look")
    with pytest.raises(NotAllowed):
        access.permit("train", "run 77")
    assert [(line.act, line.what) for line in register.lines()] == [("refused", "train run 77")]


def test_ten_writers_at_once_lose_no_line(register, tmp_path, url):
    def write(k):
        own = Register(tmp_path / "projects", url)
        for i in range(20):
            own.note(f"p{k}@x.example", "", "lung", "login", str(i))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(write, range(10)))
    lines = list(register.lines("lung"))
    assert len({(line.person, line.what) for line in lines}) == 200
    assert [line.number for line in lines] == sorted(line.number for line in lines)


def test_a_register_that_is_away_is_a_sentence_and_comes_back(tmp_path, request):
    server = request.getfixturevalue("server")
    server.sql("CREATE SCHEMA people_away")
    register = Register(tmp_path, f"{server.url()}&options=-csearch_path%3Dpeople_away")
    register.add_project("lung")
    server.stop("fast")
    try:
        with pytest.raises(UserError, match="cannot be reached just now"):
            register.projects()
    finally:
        server.start()
    assert [p.id for p in register.projects()] == ["lung"]


def test_the_folder_of_projects_is_closed_to_others(register):
    assert os.stat(register.folder).st_mode & 0o077 == 0
    assert os.stat(register.home("lung")).st_mode & 0o077 == 0


def test_settings_name_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTBOX_PROJECTS", str(tmp_path))
    assert Settings().projects == tmp_path
    assert open_register().folder == tmp_path.resolve()


def test_a_workspace_seen_by_a_person_asks_the_register(register):
    ws = Workspace(register.home("lung"))
    register.set_role("lung", BO, "viewer")
    seen = ws.seen_by(Access(BO, "viewer", "lung", "", register))
    assert seen.catalogue is ws.catalogue
    with pytest.raises(NotAllowed, match="may not train or apply models"):
        seen.permit("train")
    ws.permit("train")
