"""Where the catalogue of a workspace is, and what the two databases differ in: how they are
connected to, and what each of them means by an error.

SQLite: a file. PostgreSQL: a schema of its own for each workspace, in a database that several may
share. All statements are SQLAlchemy's and the same for both.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree

from core.errors import FAULTS, Full, UserError
from core.io.database_address import parse_address, require_postgres
from core.io.files import has_room

FORMS = "postgresql://USER@HOST/DATABASE or sqlite:///PATH"
DAMAGED = (
    "The catalogue of the workspace is damaged; start Lightbox again and it is rebuilt from the"
    " folders. Runs and data are not touched."
)
REFUSED = {  # what SQLite says: what the user is told
    "disk i/o error": FAULTS[errno.EIO],
    "readonly database": FAULTS[errno.EACCES],
    "unable to open": (
        "The catalogue of the workspace cannot be opened; see that its folder is there and may be"
        " written."
    ),
    "malformed": DAMAGED,
    "not a database": DAMAGED,
}
# Of a process: those it keeps open, and those it may open beside them while many ask at once.
KEPT, MORE = 1, 4
CONNECT = 3  # seconds a server has to answer
SILENT = 10  # seconds of no answer after which a connection counts as lost


class Busy(UserError):
    """Another process holds the catalogue."""

    def __init__(self) -> None:
        super().__init__(
            "The workspace is busy: another program holds its catalogue. Nothing is lost; try again"
            " in a moment."
        )


class Unreachable(UserError):
    """The server of the catalogue does not answer, or lets nobody in."""


@dataclass(frozen=True)
class Trouble:
    """What an error of a database means. `told` is raised where waiting does not help; `passes`: it
    may, for it can be over in a moment; `lost`: the connection broke, so that what was written may
    have been taken or not.
    """

    told: UserError
    passes: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Lite:
    """A file of SQLite at `path`, or at the SQLAlchemy address `url`.

    `full`: no byte is free, so that SQLite cannot open the file as usual (it needs 32 kB beside
    it). It can still be read, as long as no process writes to it.
    """

    path: Path | None = None
    url: str = ""
    full: bool = False

    def engine(self) -> Engine:
        """Return a new engine on the file."""
        if self.path is None:
            url = self.url
        elif self.full:
            url = f"sqlite:///file:{quote(str(self.path))}?mode=ro&immutable=1&uri=true"
        else:
            url = f"sqlite:///{self.path}"
        made = create_engine(url, connect_args={"timeout": 1, "check_same_thread": False})
        if not self.full:

            @event.listens_for(made, "connect")
            def _pragmas(connection: Any, _: Any) -> None:
                for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
                    connection.execute(f"PRAGMA {pragma}").close()

        return made

    def take_turn(self, connection: Connection) -> None:
        """One writes at a time here anyway."""

    def trouble(self, error: DBAPIError | NoneFree) -> Trouble | None:
        """Return what `error` means; None for a bug."""
        said = str(getattr(error, "orig", error)).lower()
        if self._no_room(said):
            return Trouble(Full())
        if "locked" in said or "busy" in said or isinstance(error, NoneFree):
            return Trouble(Busy(), passes=True)
        return next((Trouble(UserError(told)) for w, told in REFUSED.items() if w in said), None)

    def _no_room(self, said: str) -> bool:
        """Whether what SQLite says is of a full disk. Trap: of that it also speaks as of an I/O
        error.
        """
        if "disk i/o error" in said and self.path is not None:
            return not has_room(self.path.parent)
        return "disk is full" in said or ("readonly" in said and self.full)


@dataclass(frozen=True)
class Postgres:
    """The schema `schema` of a database of a PostgreSQL server. `url` may hold a password: it is
    never shown, `place` is.
    """

    url: URL = field(repr=False)
    schema: str

    @property
    def place(self) -> str:
        """Host, port and database, without who connects and how."""
        host = self.url.host or self.url.query.get("host") or os.environ.get("PGHOST", "localhost")
        port = self.url.port or self.url.query.get("port") or os.environ.get("PGPORT", "5432")
        return f"{host}:{port}/{self.database}"

    @property
    def database(self) -> str:
        """The database on the server."""
        return self.url.database or os.environ.get("PGDATABASE", "") or self.user

    @property
    def user(self) -> str:
        """Who connects."""
        return self.url.username or os.environ.get("PGUSER", "") or "your system user"

    def engine(self) -> Engine:
        """Return this process's engine on the schema; all catalogues of it share its few
        connections.
        """
        with _LOCK:
            if self not in _ENGINES:
                _ENGINES[self] = self._new_engine()
            return _ENGINES[self]

    def _new_engine(self) -> Engine:
        require_postgres()
        given = self.url.query.get("options", "")
        options = f"{given} -csearch_path={self.schema} -clock_timeout=1s"
        return create_engine(
            self.url,
            # a statement is a transaction, in one message to and fro
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT,
            max_overflow=MORE,
            pool_timeout=CONNECT,
            hide_parameters=True,
            connect_args={
                "connect_timeout": CONNECT,
                "keepalives_idle": SILENT // 2,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": SILENT * 1000,
                "application_name": "lightbox",
                "options": options.strip(),
            },
        )

    def take_turn(self, connection: Connection) -> None:
        """Wait until no other transaction of this workspace is between here and its end. Trap: two
        that read the last place in the queue at once would take the same.
        """
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self.key})

    @property
    def key(self) -> int:
        """The number under which this workspace holds locks on the server, 63 bits."""
        return int.from_bytes(hashlib.sha256(self.schema.encode()).digest()[:8]) >> 1

    def trouble(self, error: DBAPIError | NoneFree) -> Trouble | None:
        """Return what `error` means; None for a bug."""
        if isinstance(error, NoneFree):
            return Trouble(Busy(), passes=True)
        code = getattr(error.orig, "sqlstate", None) or ""
        if code in _REFUSALS:
            return Trouble(UserError(_REFUSALS[code].format(self)))
        if code in ("55P03", "40P01", "40001"):  # a lock, a deadlock, two at once
            return Trouble(Busy(), passes=True)
        if code == "25006":
            return Trouble(
                Unreachable(
                    f"The database server at {self.place} takes no changes just now (it is a copy"
                    " that only reads); wait until it is the one that writes, or give the other's"
                    " address in LIGHTBOX_CATALOGUE."
                ),
                passes=True,
            )
        if error.connection_invalidated or code[:2] in ("08", "57", "53"):
            return Trouble(self._gone(), passes=True, lost=True)
        return self._not_let_in(str(error.orig)) if type(error.orig).__name__ in _NO_CODE else None

    def _gone(self) -> Unreachable:
        return Unreachable(
            f"The database server of the catalogue ({self.place}) does not answer. Nothing is lost;"
            " see that it runs and can be reached, then try again."
        )

    def _not_let_in(self, said: str) -> Trouble:
        """Return what a failed connection means. Trap: libpq gives no code, only words."""
        lower = said.lower()
        for words, told in _WORDS.items():
            if any(w in lower for w in words.split("|")):
                return Trouble(Unreachable(told.format(self)))
        return Trouble(self._gone(), passes=True, lost=True)


Database = Lite | Postgres

_ENGINES: dict[Postgres, Engine] = {}
_LOCK = threading.Lock()
_NO_CODE = ("OperationalError", "ConnectionTimeout", "ProgrammingError", "InterfaceError")
_GRANT = (
    "“{0.user}” may not do this in the database “{0.database}”; have its owner run: GRANT CREATE,"
    " CONNECT ON DATABASE {0.database} TO that user."
)
_LOST = (
    "The catalogue is no longer in the database “{0.database}” (schema {0.schema}); start Lightbox"
    " again and it is rebuilt from the folders, or bring it back with pg_restore. Runs and data are"
    " not touched."
)
_REFUSALS = {  # codes of PostgreSQL: what the user is told
    "42501": _GRANT,
    "42P01": _LOST,
    "3F000": _LOST,
    "53100": (
        "The disk of the database server ({0.place}) is full; free some space there and try again."
    ),
    "22P05": "The database “{0.database}” cannot hold all letters; make one with encoding UTF8.",
}
_WORDS = {  # in what is said of a connection that did not come about: what the user is told
    "password authentication failed|no password supplied|authentication failed": (
        "The database server at {0.place} does not accept the password of “{0.user}”; put it into"
        " ~/.pgpass or into LIGHTBOX_CATALOGUE."
    ),
    "no pg_hba.conf entry": (
        "The database server at {0.place} does not let “{0.user}” in from this machine; its owner"
        " says who may come in its pg_hba.conf."
    ),
    "permission denied": _GRANT,
    'role "': "There is no user “{0.user}” on the database server at {0.place}.",
    'database "': (
        "There is no database “{0.database}” on the server at {0.place}; make it with createdb, or"
        " name another in LIGHTBOX_CATALOGUE."
    ),
    "translate host name|name or service not known|failed to resolve|nodename nor servname": (
        "There is no host of the name in LIGHTBOX_CATALOGUE ({0.place})."
    ),
    "invalid connection option|invalid port|invalid integer|invalid sslmode|invalid value": (
        "LIGHTBOX_CATALOGUE has an option that PostgreSQL does not know; it is to be " + FORMS + "."
    ),
}


def parse(url: str, schema: str = "") -> Database:
    """Return the database at `url`, in PostgreSQL its schema `schema`. UserError where it is no
    address of either; it is not quoted, since it may hold a password.
    """
    found = parse_address(url, "LIGHTBOX_CATALOGUE", FORMS)
    if found.get_backend_name() == "postgresql":
        return Postgres(found, schema)
    if found.get_backend_name() == "sqlite":
        return Lite(url=url)
    raise UserError(f"LIGHTBOX_CATALOGUE names another kind of database; it is to be {FORMS}.")


def _forget() -> None:
    """In a forked child: connections are the parent's, and a child needs its own."""
    global _LOCK
    _LOCK = threading.Lock()
    for engine in _ENGINES.values():
        engine.dispose(close=False)
    _ENGINES.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
