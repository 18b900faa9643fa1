"""The catalogue on a PostgreSQL server: whose it is, what is said of a server that cannot be used,
and what holds when connections break or the server goes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time

import pytest

from core.errors import UserError
from core.io.database_address import NEEDS_POSTGRES
from core.workspace import catalogue as catalogue_module
from core.workspace import server_catalogue, versions
from core.workspace.catalogue import Catalogue, Job
from core.workspace.databases import parse
from core.workspace.server_catalogue import LOCATION, NEXT
from core.workspace.workspace import Workspace
from tests.app.test_cli import lightbox
from tests.postgres import PASSWORD
from tests.store._lossy import Lossy
from tests.store.test_catalogue import ROOT, add, check_written, start_writers


@pytest.fixture
def use(monkeypatch):
    """Name another database to what is opened next."""
    return lambda url: monkeypatch.setenv("LIGHTBOX_CATALOGUE", url)


@pytest.fixture
def home(server, use, tmp_path, monkeypatch):
    use(server.url())
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def ws(home):
    made = Workspace(home)
    made.catalogue  # noqa: B018
    return made


def schema(home):
    return json.loads((home / LOCATION).read_text())["schema"]


def cut(server, home):
    """End the connections of a workspace; how many there were."""
    return len(
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
            " 'lightbox' AND pid IN (SELECT pid FROM pg_stat_activity WHERE pid <>"
            " pg_backend_pid())"
        )
    )


# -- what cannot be used ---------------------------------------------------------------------------
BAD = {
    "no address": ("foo", "no address; it is to be postgresql://USER@HOST/DATABASE"),
    "bad port": ("postgresql://a:S3cret@127.0.0.1:port/x", "no address"),
    "another kind": ("mysql://a:S3cret@h/x", "another kind of database"),
    "no host": ("postgresql://a:S3cret@nohost.invalid/x", "no host of the name"),
    "bad option": ("postgresql://a:S3cret@127.0.0.1/x?nonsense=1", "option that PostgreSQL"),
    "wrong password": ("{port_url_wrong}", "does not accept the password of “lightbox”"),
    "no user": ("{no_user}", "no user “stranger”"),
    "no database": ("{no_database}", "no database “none” on the server"),
    "no server": ("postgresql://a:S3cret@127.0.0.1:1/x", "does not answer"),
    "no right": ("{no_right}", "GRANT CREATE"),
    "few letters": ("{latin}", "encoding UTF8"),
}


@pytest.fixture(scope="module")
def bad_urls(server):
    server.sql("CREATE ROLE guest LOGIN")
    server.sql("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0", "postgres")
    return {
        "port_url_wrong": server.port_url("S3cret"),
        "no_user": server.url().replace("lightbox@", "stranger:S3cret@"),
        "no_database": server.url("none").replace("lightbox@", "lightbox:S3cret@"),
        "no_right": server.url().replace("lightbox@", "guest:S3cret@"),
        "latin": server.url("latin").replace("lightbox@", "lightbox:S3cret@"),
    }


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_used_is_one_sentence_without_the_password(
    kind, home, use, bad_urls, monkeypatch
):
    url, words = BAD[kind]
    use(url.format(**bad_urls))
    monkeypatch.setattr(Catalogue, "patience", 0.5)
    code, out, err = lightbox("runs", "list")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert words in err
    code, out, checked = lightbox("check")
    assert (code, checked) == (2, err)
    assert "catalogue              PostgreSQL at" in out or "not known" in out
    assert "S3cret" not in err + out
    assert not (home / LOCATION).exists(), "a workspace is not bound to what cannot be used"
    for path in home.rglob("*"):
        assert path.is_dir() or b"S3cret" not in path.read_bytes()


def test_without_the_extra_it_says_what_to_install(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert lightbox("runs", "list") == (2, "", NEEDS_POSTGRES + "\n")


def test_check_says_which_database_of_which_version(ws, server):
    version = server.sql("SHOW server_version")[0].split()[0]
    code, out, _ = lightbox("check", "--json")
    assert code == 0
    assert json.loads(out)["catalogue"] == (
        f"PostgreSQL {version} at {server.folder}:{server.port}/first, schema {schema(ws.home)}:"
        " reachable"
    )


def test_the_password_is_nowhere_in_an_address_that_is_shown(server):
    database = parse(server.port_url())
    assert PASSWORD not in f"{database} {database!r} {database.place} {Catalogue(database).engine}"


# -- whose it is -----------------------------------------------------------------------------------
def test_without_the_setting_no_second_catalogue_is_begun(ws, server, monkeypatch):
    add(ws.catalogue, "aaaaaaaa")
    monkeypatch.delenv("LIGHTBOX_CATALOGUE")
    with pytest.raises(UserError, match=r"is on a PostgreSQL server .*first.* LIGHTBOX_CATALOGUE"):
        Workspace(ws.home).catalogue  # noqa: B018
    assert not (ws.home / "catalogue.db").exists()


def test_a_catalogue_in_the_folder_is_not_left_behind(home, use, server, monkeypatch):
    monkeypatch.delenv("LIGHTBOX_CATALOGUE")
    add(Workspace(home).catalogue, "aaaaaaaa")
    use(server.url())
    with pytest.raises(UserError, match="lightbox catalogue move postgresql"):
        Workspace(home).catalogue  # noqa: B018


def test_a_copy_of_the_folder_is_refused_and_a_moved_one_goes_on(ws, tmp_path):
    add(ws.catalogue, "aaaaaaaa")
    odd = tmp_path / "it's 100%s :x \\ ü"
    shutil.copytree(ws.home, odd)
    with pytest.raises(UserError, match=f"is a copy of {ws.home}"):
        Workspace(odd).catalogue  # noqa: B018
    ws.home.rename(tmp_path / "aside")
    assert Workspace(odd).catalogue.job("aaaaaaaa")
    assert server_catalogue.look(Workspace(odd).catalogue)[1] == str(odd)
    with pytest.raises(UserError, match="is a copy of"):
        Workspace(tmp_path / "aside").catalogue  # noqa: B018
    (tmp_path / "aside" / LOCATION).unlink()
    assert Workspace(tmp_path / "aside").catalogue.jobs() == []


def test_another_server_without_it_does_not_begin_one(ws, server, use):
    use(server.url("second"))
    with pytest.raises(UserError, match="there is none of it at"):
        Workspace(ws.home).catalogue  # noqa: B018
    (ws.home / LOCATION).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Workspace(ws.home).catalogue  # noqa: B018


def test_several_that_open_a_new_workspace_at_once_make_one_schema(home, server):
    before = server.sql("SELECT count(*) FROM pg_namespace")
    code = (
        "import os, sys; from pathlib import Path; from core.workspace.workspace import Workspace\n"
        "import alembic.command, alembic.autogenerate, psycopg\n"
        "children = [os.fork() for _ in range(3)]\n"
        "Workspace(Path(sys.argv[1])).catalogue.jobs()\n"
        "sys.exit(any(os.waitpid(c, 0)[1] for c in children if c) if all(children) else 0)"
    )
    subprocess.run([sys.executable, "-c", code, str(home)], check=True, cwd=ROOT, timeout=60)
    after = server.sql("SELECT count(*) FROM pg_namespace")
    assert int(after[0]) == int(before[0]) + 1
    assert not (home / NEXT).exists()


# -- versions --------------------------------------------------------------------------------------
def test_migrations_make_what_the_program_expects(ws):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ws.catalogue.engine.connect() as c:
        assert compare_metadata(MigrationContext.configure(c), catalogue_module._meta) == []


def test_an_older_catalogue_is_brought_up_and_a_newer_one_refused(ws, server):
    name = schema(ws.home)
    add(ws.catalogue, "aaaaaaaa", seed=2**32 - 1)
    for column in ("note", "token", "version", "born", "lane", "place"):
        server.sql(f"ALTER TABLE {name}.jobs DROP COLUMN {column}")
    server.sql(f"UPDATE {name}.alembic_version SET version_num = '0001'")
    (job,) = Workspace(ws.home).catalogue.jobs()
    assert (job.id, job.seed, job.place, job.note) == ("aaaaaaaa", 2**32 - 1, 1, "")
    assert server_catalogue.look(ws.catalogue)[0] == versions.VERSIONS[-1]
    server.sql(f"UPDATE {name}.alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match=r"newer Lightbox .*9999"):
        Workspace(ws.home).catalogue  # noqa: B018


def test_a_migration_that_cannot_be_done_changes_nothing(ws, server):
    name = schema(ws.home)
    server.sql(f"UPDATE {name}.alembic_version SET version_num = '0001'")  # the index is in the way
    server.sql(f"ALTER TABLE {name}.jobs DROP COLUMN note")
    with pytest.raises(Exception, match="already exists"):
        Workspace(ws.home).catalogue  # noqa: B018
    assert server.sql(f"SELECT version_num FROM {name}.alembic_version") == ["0001"]
    columns = f"SELECT column_name FROM information_schema.columns WHERE table_schema = '{name}'"
    assert "note" not in server.sql(columns)


# -- connections that break ------------------------------------------------------------------------
def test_a_connection_that_was_ended_is_made_anew(ws, server):
    add(ws.catalogue, "aaaaaaaa")
    assert cut(server, ws.home) >= 1
    assert ws.catalogue.set_job("aaaaaaaa", only_if="queued", status="running")
    cut(server, ws.home)
    assert len(ws.catalogue.jobs()) == 1
    cut(server, ws.home)
    add(ws.catalogue, "bbbbbbbb")
    assert [j.place for j in ws.catalogue.jobs()] == [1, 2]


@pytest.fixture
def lossy(server, ws, use):
    """A catalogue behind a way that loses an answer."""
    made = []

    def open_behind(word):
        made.append(Lossy(server.port, word))
        use(server.port_url().replace(f":{server.port}/", f":{made[-1].port}/"))
        behind = Workspace(ws.home).catalogue
        behind.jobs()
        return behind, made[-1]

    yield open_behind
    for way in made:
        way.close()


@pytest.mark.parametrize("word", [b"INSERT INTO jobs", b"COMMIT\0"])
def test_a_job_whose_adding_was_not_acknowledged_is_there_once(ws, lossy, word):
    behind, way = lossy(word)
    way.cut = True
    assert behind.add_job(Job(id="aaaaaaaa", kind="train", dataset="d", token="t"))
    assert way.lost == 1
    assert [j.id for j in ws.catalogue.jobs()] == ["aaaaaaaa"]
    assert not behind.add_job(Job(id="bbbbbbbb", kind="train", dataset="d", token="t"))


def test_a_dataset_whose_adding_was_not_acknowledged_is_there_once(ws, lossy):
    behind, way = lossy(b"INSERT INTO datasets")
    entry = {"id": "d", "name": "n", "hash": "", "modality": "image", "n": 1, "sample": 0}
    way.cut = True
    behind.add_dataset(**entry)
    assert way.lost == 1
    assert len(ws.catalogue.datasets()) == 1
    with pytest.raises(UserError, match="already a dataset"):
        behind.add_dataset(**entry | {"id": "e"})


def test_who_took_a_job_is_told_so_although_the_answer_was_lost(ws, lossy):
    """Else nobody would do it."""
    add(ws.catalogue, "aaaaaaaa")
    behind, way = lossy(b"UPDATE jobs")
    way.cut = True
    assert behind.set_job("aaaaaaaa", only_if="queued", status="running", started=time.time())
    assert way.lost == 1
    way.cut = True
    assert not behind.set_job("aaaaaaaa", only_if="queued", status="running", started=time.time())


def test_another_who_took_it_meanwhile_is_not_taken_for_oneself(ws, lossy):
    add(ws.catalogue, "aaaaaaaa")
    behind, way = lossy(b"UPDATE jobs")
    assert ws.catalogue.set_job("aaaaaaaa", only_if="queued", status="running", started=1.0)
    way.cut = True
    assert not behind.set_job("aaaaaaaa", only_if="queued", status="running", started=2.0)
    assert way.lost == 1


def test_ten_writers_lose_their_connections_again_and_again(ws, server):
    many = 8
    for i in range(many):
        add(ws.catalogue, f"open{i:04d}")
    writers = start_writers(ws.home, many)
    done = threading.Event()
    cuts = []

    def go_on_cutting():
        while not done.wait(0.05):
            cuts.append(cut(server, ws.home))

    cutter = threading.Thread(target=go_on_cutting)
    cutter.start()
    try:
        out, err = writers.communicate(timeout=120)
    finally:
        done.set()
        cutter.join()
    assert (writers.returncode, err) == (0, "")
    assert sum(cuts) > 10
    check_written(ws.catalogue, many, out.count("took"))


def test_a_server_that_crashes_and_comes_back_while_ten_write(ws, server):
    many = 8
    for i in range(many):
        add(ws.catalogue, f"open{i:04d}")
    writers = start_writers(ws.home, many)
    end = time.monotonic() + 60
    while len(ws.catalogue.jobs()) < 4 * many:
        assert time.monotonic() < end
        time.sleep(0.01)
    server.stop("immediate")
    server.start()
    out, err = writers.communicate(timeout=120)
    assert (writers.returncode, err) == (0, "")
    check_written(ws.catalogue, many, out.count("took"))


def test_a_server_that_stays_away_is_a_sentence_and_work_goes_on_when_it_is_back(ws, server):
    add(ws.catalogue, "aaaaaaaa")
    ws.catalogue.patience = 1.0
    server.stop()
    try:
        began = time.monotonic()
        with pytest.raises(UserError, match=r"does not answer\. Nothing is lost"):
            ws.catalogue.set_job("aaaaaaaa", status="running")
        assert time.monotonic() - began < 3.0
        code, out, err = lightbox("check")
        assert (code, err.count("\n")) == (2, 1)
        assert "first: not reachable" in out
    finally:
        server.start()
    assert ws.catalogue.job("aaaaaaaa").status == "queued"
    assert ws.catalogue.set_job("aaaaaaaa", status="running")


def test_a_lock_in_other_hands_is_busy_and_reading_goes_on(ws, server):
    add(ws.catalogue, "aaaaaaaa")
    ws.catalogue.patience = 0.5
    with ws.catalogue.engine.execution_options(isolation_level="READ COMMITTED").begin() as c:
        c.exec_driver_sql("UPDATE jobs SET note = 'held'")
        with pytest.raises(UserError, match="busy"):
            ws.catalogue.set_job("aaaaaaaa", status="running")
        assert ws.catalogue.jobs()[0].note == ""
    assert ws.catalogue.set_job("aaaaaaaa", status="running")


def test_many_threads_of_a_process_use_few_connections(ws, server):
    from concurrent.futures import ThreadPoolExecutor

    others = [Workspace(ws.home).catalogue for _ in range(20)]
    with ThreadPoolExecutor(20) as many:
        assert not any(many.map(lambda c: [c.jobs() for _ in range(20)][-1], others))
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lightbox' AND pid <>"
        " pg_backend_pid()"
    )
    ours = f"{count} AND query NOT LIKE '%pg_stat%'"
    assert int(server.sql(ours)[0]) <= 5 + 1, "five at most, one of which stays"


# -- lost and brought back -------------------------------------------------------------------------
def test_a_dump_brings_all_back(ws, server):
    add(ws.catalogue, "aaaaaaaa", spec={"params": {"ü": [1, None]}}, seed=2**32 - 1)
    add(ws.catalogue, "bbbbbbbb", token="t", note="a\nb")
    ws.catalogue.add_dataset(id="d", name="n “x”", hash="", modality="image", n=1, sample=0)
    before = ws.catalogue.copy()
    file, name = server.folder / "catalogue.dump", schema(ws.home)
    server.client("pg_dump", "--format=custom", f"--schema={name}", f"--file={file}")
    server.sql(f"DROP SCHEMA {name} CASCADE")
    with pytest.raises(UserError, match="no longer in the database “first”"):
        ws.catalogue.jobs()
    server.client("pg_restore", file)
    assert ws.catalogue.copy() == Workspace(ws.home).catalogue.copy() == before
    assert Workspace(ws.home).startup_messages() == []
    other = Catalogue(ws.catalogue.database)
    assert not other.add_job(Job(id="cccccccc", kind="train", dataset="d", token="t"))


def test_the_dump_brings_it_to_another_server(ws, server, use):
    add(ws.catalogue, "aaaaaaaa")
    file = server.folder / "other.dump"
    server.client("pg_dump", "--format=custom", f"--schema={schema(ws.home)}", f"--file={file}")
    server.client("pg_restore", file, database="second")
    use(server.url("second"))
    assert Workspace(ws.home).catalogue.job("aaaaaaaa")
    assert json.loads((ws.home / LOCATION).read_text())["place"].endswith("/second")
