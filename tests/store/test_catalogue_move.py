"""A workspace with runs moves its catalogue to a server and back, trains there, and tells nobody
its password.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from core.errors import UserError
from core.export import export_run
from core.io.locks import hold_lock
from core.jobs import move_catalogue, queue
from core.report.html import report_html
from core.workspace import server_catalogue
from core.workspace.catalogue import Catalogue
from core.workspace.server_catalogue import LOCATION, NEXT
from core.workspace.workspace import Workspace
from tests.app.test_cli import lightbox, refused, told
from tests.postgres import PASSWORD
from tests.survive import _make


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A workspace of SQLite with data and a finished run."""
    ws = _make.workspace(tmp_path_factory.mktemp("moved") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LIGHTBOX_CATALOGUE", raising=False)
        assert _make.do(ws, _make.ask(ws, patch).id).status == "done"
        ws.catalogue.set_job(_make.ask(ws, patch, seed=2**32 - 1).id, status="cancelled")
    ws.catalogue.engine.dispose()
    return ws.home


@pytest.fixture
def home(kept, server, tmp_path, monkeypatch):
    shutil.copytree(kept, tmp_path / "home")
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIGHTBOX_CATALOGUE", server.url())
    return tmp_path / "home"


def here(home, monkeypatch):
    """The workspace of a shell that names no server."""
    with monkeypatch.context() as patch:
        patch.delenv("LIGHTBOX_CATALOGUE")
        ws = Workspace(home)
        ws.catalogue  # noqa: B018
        return ws


def test_there_and_back_nothing_is_lost(home, monkeypatch):
    before = here(home, monkeypatch).catalogue.copy()
    moved = told("catalogue", "move", "postgresql")
    assert (moved["datasets"], moved["jobs"]) == (1, 2)
    assert Path(moved["kept"]).parent == home / "backups"
    assert Catalogue(Path(moved["kept"])).copy() == before
    assert not list(home.glob("catalogue.db*"))
    ws = Workspace(home)
    assert ws.catalogue.copy() == before
    assert ws.startup_messages() == []
    _make.whole(ws)
    run = next(j.id for j in ws.runs() if j.status == "done")
    ws.catalogue.set_job(run, note="written on the server")
    assert "on a server already" in refused("catalogue", "move", "postgresql")
    code, out, err = lightbox("catalogue", "move", "sqlite")
    assert (code, err) == (0, "")
    assert "1 dataset, 2 jobs. What was there before is kept (schema lightbox_" in out
    assert "Unset LIGHTBOX_CATALOGUE." in out
    assert not (home / LOCATION).exists()
    back = here(home, monkeypatch)
    assert back.job(run).note == "written on the server"
    assert back.catalogue.copy() == ws.catalogue.copy()
    assert "in its folder already" in refused("catalogue", "move", "sqlite")
    told("catalogue", "move", "postgresql")
    assert Workspace(home).job(run).note == "written on the server"


def test_what_is_in_use_is_not_moved(home, monkeypatch):
    for name, words in (("server.lock", "The app serves"), ("supervisor.lock", "looked after")):
        monkeypatch.setattr(move_catalogue, "LEAVES", 0.1)
        with hold_lock(home / name):
            assert words in refused("catalogue", "move", "postgresql")
    ws = here(home, monkeypatch)
    with monkeypatch.context() as patch:
        patch.delenv("LIGHTBOX_CATALOGUE")
        _make.ask(ws, patch, seed=5)
    assert "1 job is queued or running" in refused("catalogue", "move", "postgresql")
    monkeypatch.delenv("LIGHTBOX_CATALOGUE")
    assert "Name the server first" in refused("catalogue", "move", "postgresql")


def fail(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["fill", "check", "location"])
def test_broken_off_anywhere_it_is_where_it_was_and_can_be_moved_again(
    home, server, monkeypatch, where
):
    before = here(home, monkeypatch).catalogue.copy()
    real = server_catalogue.write_json
    with monkeypatch.context() as patch:
        if where == "fill":
            patch.setattr(server_catalogue, "fill", fail)
        elif where == "check":
            patch.setattr(Catalogue, "copy", lambda self, real=Catalogue.copy: _short(self, real))
        else:
            patch.setattr(
                server_catalogue,
                "write_json",
                lambda path, value: fail() if path.name == LOCATION else real(path, value),
            )
        with pytest.raises((KeyboardInterrupt, UserError)):
            move_catalogue.move_to_server(home, server.url())
    assert not (home / LOCATION).exists()
    assert here(home, monkeypatch).catalogue.copy() == before
    begun = json.loads((home / NEXT).read_text())["schema"]
    assert told("catalogue", "move", "postgresql")["jobs"] == 2
    assert Workspace(home).catalogue.copy() == before
    assert json.loads((home / LOCATION).read_text())["schema"] == begun, "none is left over"
    assert not (home / NEXT).exists()


def _short(catalogue, real):
    datasets, jobs = real(catalogue)
    return (datasets, jobs[:-1]) if "lightbox_" in str(catalogue.database) else (datasets, jobs)


def test_the_folder_alone_brings_all_back(home, server, monkeypatch):
    told("catalogue", "move", "postgresql")
    ws = Workspace(home)
    before = [(j.id, j.status, j.seed, j.key, j.spec) for j in ws.catalogue.jobs()]
    name = json.loads((home / LOCATION).read_text())["schema"]
    server.sql(f"DROP SCHEMA {name} CASCADE")
    again = Workspace(home)
    found = [(j.id, j.status, j.seed, j.key, j.spec) for j in again.catalogue.jobs()]
    assert [f[0] for f in found] == [b[0] for b in before]
    assert found[0] == before[0]
    assert again.catalogue.datasets() == ws.catalogue.datasets()
    assert "was missing and was rebuilt" in again.startup_messages()[0]
    _make.whole(again)


def test_dumped_dropped_and_restored_every_run_is_there(home, server):
    told("catalogue", "move", "postgresql")
    ws = Workspace(home)
    before, name = ws.catalogue.copy(), json.loads((home / LOCATION).read_text())["schema"]
    file = server.folder / f"{name}.dump"
    server.client("pg_dump", "--format=custom", f"--schema={name}", f"--file={file}")
    server.sql(f"DROP SCHEMA {name} CASCADE")
    aside = home.with_name("backup")
    shutil.copytree(home, aside)
    shutil.rmtree(home)
    shutil.move(aside, home)
    server.client("pg_restore", file)
    again = Workspace(home)
    assert again.catalogue.copy() == before
    assert again.startup_messages() == []
    _make.whole(again)
    assert again.artifacts(next(j.id for j in again.runs() if j.status == "done"))


# -- work ------------------------------------------------------------------------------------------
def test_a_run_is_trained_by_supervisor_and_worker_and_the_password_is_nowhere(
    server, tmp_path, monkeypatch
):
    """Connections are broken meanwhile, and the server is restarted once."""
    monkeypatch.setenv("LIGHTBOX_CATALOGUE", server.port_url())
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    ws = _make.workspace(tmp_path / "home")
    commands, over = set(), threading.Event()

    def watch():
        while not over.wait(0.5):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    commands.add(" ".join(child.cmdline()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        job = queue.train(ws, "few", "gaussian_vae", {"epochs": 30})
        end = time.monotonic() + 120
        while ws.job(job.id).status == "queued" or not ws.job(job.id).heartbeat:
            assert time.monotonic() < end
            time.sleep(0.05)
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename ="
            " 'lightbox' AND pid <> pg_backend_pid() AND application_name = 'lightbox'"
        )
        server.stop("immediate")
        server.start()
        job = queue.wait(ws, job.id, timeout=300)
        drawn = queue.derive(ws, "map", job.id, {"how": "pca", "dims": 2})
        drawn = queue.wait(ws, drawn.id, timeout=300)
    finally:
        over.set()
        watcher.join()
    assert (job.status, drawn.status) == ("done", "done"), job.error
    _make.whole(ws)
    used = int(
        server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lightbox'")[0]
    )
    assert used <= 8, f"{used} connections of three processes"
    export_run(ws, job.id, tmp_path / "out")
    (tmp_path / "page.html").write_text(report_html(ws, [job.id]))
    (tmp_path / "check.json").write_text(json.dumps(told("check")))
    assert not [c for c in commands if PASSWORD in c or "postgresql://" in c]
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) > 20
    assert not [p for p in files if PASSWORD.encode() in p.read_bytes()]


def test_who_reads_files_of_strangers_is_not_told_the_password(monkeypatch):
    from core import sandbox

    monkeypatch.setenv("LIGHTBOX_CATALOGUE", f"postgresql://a:{PASSWORD}@h/d")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("OTHER", "told")
    seen = {}

    def popen(*args, env, **more):
        seen.update(env)
        raise OSError

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(OSError):  # noqa: PT011
        sandbox.run("core.limits:nothing")
    assert seen["OTHER"] == "told"
    assert PASSWORD not in " ".join(seen.values())
    assert os.environ["PGPASSWORD"] == PASSWORD


def draw():
    """A page as the app draws it, whose errors come to `app.server.failed`."""
    import runpy
    from pathlib import Path

    import app
    from app import server

    try:
        runpy.run_path(str(Path(app.__file__).parent / "main.py"))
    except Exception as e:
        server.failed(e)


def test_pages_say_that_the_server_is_away_without_a_traceback(home, server, monkeypatch):
    from streamlit.testing.v1 import AppTest

    told("catalogue", "move", "postgresql")
    monkeypatch.setattr(Catalogue, "patience", 1.0)
    page = AppTest.from_function(draw, default_timeout=60)
    page.run()
    assert not page.exception
    assert not page.error
    server.stop()
    try:
        page.run()
        (said,) = [e.value for e in page.error]
        assert not page.exception
        assert "does not answer" in said
        assert "Nothing is lost" in said
    finally:
        server.start()
    page.run()
    assert not page.exception
    assert not page.error
