"""The register of a server that several people share: its projects, who has which role in them, and
the audit list. One database beside the projects' workspaces, or where LIGHTBOX_PEOPLE says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import (
    DDL,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from core.errors import UserError
from core.io.database_address import parse_address, require_postgres
from core.io.files import close_to_others, make_folder
from core.people.roles import Role, check_role
from core.settings import Settings

ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
PERSON = re.compile(r"[^\s@<>\"']{1,64}@[^\s@<>\"']{1,190}", re.ASCII)
_meta = MetaData()
_projects = Table(
    "projects",
    _meta,
    Column("id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("created", Float, nullable=False),
)
_members = Table(
    "members",
    _meta,
    Column("project", String, primary_key=True),
    Column("person", String, primary_key=True),
    Column("role", String, nullable=False),
)
_audit = Table(
    "audit",
    _meta,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("person", String, nullable=False),
    Column("place", String, nullable=False),
    Column("project", String, nullable=False, index=True),
    Column("act", String, nullable=False),
    Column("what", String, nullable=False),
)
# Not even this program can change or take away a line: the database refuses.
_REFUSED = "the audit list is append-only"
_TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{what.lower()} BEFORE {what} ON audit"
        f" BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        for what in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN RAISE EXCEPTION '{_REFUSED}'; END$$",
        "CREATE TRIGGER audit_only_append BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    ],
}
for _dialect, _statements in _TRIGGERS.items():
    for _statement in _statements:
        event.listen(_audit, "after_create", DDL(_statement).execute_if(dialect=_dialect))


@dataclass(frozen=True)
class Project:
    """`id` names its folder; `title` is what people read; `created` in seconds since the epoch."""

    id: str
    title: str
    created: float


@dataclass(frozen=True)
class Line:
    """One line of the audit list: when (`at`, seconds since the epoch), who (an e-mail address, or
    "command line"), from where (an address), in which project ("" = none), what kind of act (see
    `core.people.roles`, or "login", "refused"), and on what, by ids.
    """

    number: int
    at: float
    person: str
    place: str
    project: str
    act: str
    what: str


class Register:
    """Projects, roles and the audit list of the server whose projects are in `folder`."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder.expanduser().resolve()
        try:
            if not self.folder.is_dir():
                make_folder(self.folder)
            close_to_others(self.folder)
        except OSError as e:
            raise UserError(
                f"The folder of projects {self.folder} cannot be written ({e.strerror}); set"
                " LIGHTBOX_PROJECTS to another."
            ) from None
        where = url or f"sqlite:///{self.folder / 'people.db'}"
        address = parse_address(where, "LIGHTBOX_PEOPLE", "postgresql://USER@HOST/DATABASE")
        if address.get_backend_name() == "postgresql":
            require_postgres()
        self.engine = create_engine(address, pool_pre_ping=True, hide_parameters=True)
        if self.engine.dialect.name == "sqlite":

            @event.listens_for(self.engine, "connect")
            def _patient(connection: object, _: object) -> None:
                connection.execute("PRAGMA journal_mode=WAL").close()  # type: ignore[attr-defined]

        try:
            _meta.create_all(self.engine)
        except DatabaseError as e:
            # two servers that start at once make the same tables
            if "already exists" not in str(e):
                raise UserError(
                    "The register of people cannot be opened; see that LIGHTBOX_PEOPLE, or the"
                    " folder of LIGHTBOX_PROJECTS, can be reached and written."
                ) from None

    @contextmanager
    def _open(self, way: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
        """Give a connection. UserError where the database does not answer or is held by another."""
        try:
            with way() as db:
                yield db
        except IntegrityError:
            raise
        except DatabaseError as e:
            if not isinstance(e, OperationalError) and not e.connection_invalidated:
                raise
            raise UserError(
                "The register of people cannot be reached just now; try again in a moment."
            ) from None

    def home(self, project: str) -> Path:
        """Return the workspace folder of a project. UserError where there is none."""
        return self.folder / self.project(project).id

    def project(self, id: str) -> Project:
        """Return a project by its id. UserError where there is none."""
        for one in self.projects():
            if one.id == id:
                return one
        raise UserError(f"There is no project “{id}”; `lightbox people` lists them.")

    def projects(self, person: str | None = None) -> list[Project]:
        """Return all projects, or those in which `person` has a role, the oldest first."""
        asked = select(_projects).order_by(_projects.c.created, _projects.c.id)
        if person is not None:
            asked = asked.join(_members, _members.c.project == _projects.c.id).where(
                _members.c.person == person.lower()
            )
        with self._open(self.engine.connect) as db:
            return [Project(**row) for row in db.execute(asked).mappings()]

    def add_project(self, id: str, title: str = "") -> Project:
        """Make a project. UserError for an id that is taken or cannot name a folder."""
        if not ID.fullmatch(id):
            raise UserError(
                f"“{id}” cannot be a project's id: use up to 40 small letters, digits and hyphens."
            )
        made = Project(id, " ".join(title.split())[:80] or id, time.time())
        try:
            with self._open(self.engine.begin) as db:
                db.execute(insert(_projects).values(asdict(made)))
        except IntegrityError:
            raise UserError(f"There is a project “{id}” already; choose another id.") from None
        close_to_others(make_folder(self.folder / id))
        return made

    def roles(self, person: str) -> dict[str, Role]:
        """Return what `person` is in each of their projects, by the project's id."""
        asked = select(_members).where(_members.c.person == person.lower())
        with self._open(self.engine.connect) as db:
            rows = db.execute(asked).mappings()
            return {row["project"]: check_role(row["role"]) for row in rows}

    def role(self, project: str, person: str) -> Role | None:
        """Return what `person` is in a project, None where nothing."""
        return self.roles(person).get(project)

    def members(self, project: str) -> dict[str, Role]:
        """Return the role of each person of a project, by address."""
        asked = select(_members).where(_members.c.project == self.project(project).id)
        with self._open(self.engine.connect) as db:
            rows = db.execute(asked.order_by(_members.c.person)).mappings()
            return {row["person"]: check_role(row["role"]) for row in rows}

    def set_role(self, project: str, person: str, role: Role | None) -> None:
        """Give `person` a role, or take it away (None). UserError for an address that is none, or
        where the project would be left without an owner.
        """
        person = check_person(person)
        mine = (_members.c.project == project) & (_members.c.person == person)
        with self._open(self.engine.begin) as db:
            others = _members.c.project == self.project(project).id
            rows = list(db.execute(select(_members).where(others)).mappings())
            owners = {row["person"] for row in rows if row["role"] == "owner"}
            if owners == {person} and role != "owner":
                raise UserError(
                    f"{person} is the only owner of “{project}”; make somebody else owner first."
                )
            if role is None:
                db.execute(delete(_members).where(mine))
            elif any(row["person"] == person for row in rows):
                db.execute(update(_members).where(mine).values(role=check_role(role)))
            else:
                db.execute(
                    insert(_members).values(project=project, person=person, role=check_role(role))
                )

    def note(self, person: str, place: str, project: str, act: str, what: str = "") -> None:
        """Add a line to the audit list; `what` names things by ids, never patients."""
        with self._open(self.engine.begin) as db:
            db.execute(
                insert(_audit).values(
                    at=time.time(),
                    person=person,
                    place=place,
                    project=project,
                    act=act,
                    what=" ".join(what.split())[:300],
                )
            )

    def lines(self, project: str | None = None, after: int = 0) -> Iterator[Line]:
        """Give the lines of the audit list, of one project or of all, the oldest first, from the
        number `after` on.
        """
        asked = select(_audit).where(_audit.c.number > after).order_by(_audit.c.number)
        if project is not None:
            asked = asked.where(_audit.c.project == project)
        with self._open(self.engine.connect) as db:
            for row in db.execute(asked.execution_options(yield_per=1000)).mappings():
                yield Line(**row)

    def last_lines(self, project: str, act: str, most: int) -> list[Line]:
        """Return the last lines about one kind of act in a project, the newest first."""
        asked = select(_audit).where(_audit.c.project == project, _audit.c.act == act)
        with self._open(self.engine.connect) as db:
            rows = db.execute(asked.order_by(_audit.c.number.desc()).limit(most)).mappings()
            return [Line(**row) for row in rows]


def check_person(given: str) -> str:
    """Return an e-mail address in small letters. UserError for what is none."""
    person = given.strip().lower()
    if not PERSON.fullmatch(person) or not person.isascii():
        raise UserError(f"“{given}” is no e-mail address, as people sign in with.")
    return person


def open_register() -> Register | None:
    """Return the register of this server, None where it is for one person."""
    settings = Settings()
    return Register(settings.projects, settings.people) if settings.projects else None
