"""A PostgreSQL server of the tests' own, in a temporary folder, on a socket in it and on a port of
this machine.

The server refuses to run as root: there it runs as Debian's user `postgres`. Where no server is
installed, what needs one is skipped, in words.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

PASSWORD = "only-for-tests-4711"  # of the user `lightbox`, asked for on the port
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "autovacuum": "off",
    "jit": "off",
    "lc_messages": "C",
    "log_min_messages": "fatal",
}


def find_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, of the newest server installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((p.parent for p in places), key=lambda p: float(p.parent.name), default=None)


class Server:
    """Databases `first` and `second`, without a password on the socket."""

    def __init__(self) -> None:
        programs = find_programs()
        if programs is None:
            pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
        self.programs = programs
        self.as_other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.folder = Path(tempfile.mkdtemp(prefix="lightbox-pg-"))
        if self.as_other:
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = self.folder / "password"
        words.write_text(PASSWORD)
        words.chmod(0o644)
        self.do(
            *("initdb", "-D", self.folder / "data", "-U", "lightbox", "--pwfile", words),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
            *("--auth-local=trust", "--auth-host=scram-sha-256"),
        )
        self.start()
        for name in ("first", "second"):
            self.sql(f"CREATE DATABASE {name}", "postgres")

    def do(self, program: str, *args: object) -> str:
        """What one of the server's programs prints; as its own user."""
        done = subprocess.run(
            [*self.as_other, str(self.programs / program), *map(str, args)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self) -> None:
        settings = SETTINGS | {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = self.folder / "log"
        self.do("pg_ctl", "start", "-w", "-D", self.folder / "data", "-l", log, "-o", options)

    def stop(self, how: str = "fast") -> None:
        """`how`: "fast" ends connections in order, "immediate" as a crash would."""
        self.do("pg_ctl", "stop", "-w", "-m", how, "-D", self.folder / "data")

    def client(self, program: str, *args: object, database: str = "first") -> str:
        """What a program that connects, such as `pg_dump`, prints."""
        where = ("-h", self.folder, "-p", self.port, "-U", "lightbox", "-d", database)
        return self.do(program, *where, *args)

    def sql(self, statement: str, database: str = "first") -> list[str]:
        """The lines of what a statement gives."""
        return self.client("psql", "-qAtX", "-c", statement, database=database).splitlines()

    def url(self, database: str = "first") -> str:
        """The address by the socket, where no password is asked for."""
        return f"postgresql://lightbox@/{database}?host={self.folder}&port={self.port}"

    def port_url(self, password: str = PASSWORD, user: str = "lightbox", to: str = "first") -> str:
        """The address by the port, with a password."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{to}"

    def end(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)
