"""Rows 8, 9 and 22: the catalogue is held by another process, damaged, missing, older or newer."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine

from core.artifacts import Embedding
from core.errors import UserError
from core.io import files
from core.jobs import queue, reconciling
from core.jobs.run_folder import save_artifacts
from core.workspace import catalogue, notes, records, upgrade
from core.workspace.catalogue import Catalogue, Job
from core.workspace.workspace import Workspace
from tests.survive import _make

RELEASES = sorted((Path(__file__).parent / "fixtures").glob("*.sql"))
HOLD = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(ws):
    """The catalogue's write lock in the hands of another process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(ws.home / "catalogue.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            other.stdin.close()
            other.wait(20)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A workspace with data, a group and a finished run, to be copied."""
    ws = _make.workspace(tmp_path_factory.mktemp("catalogue") / "home")
    notes.save_group(ws, "few", "mine", np.arange(3))
    with pytest.MonkeyPatch.context() as patch:
        assert _make.do(ws, _make.ask(ws, patch).id).status == "done"
        failed = _make.ask(ws, patch, seed=1)
        ws.catalogue.set_job(failed.id, status="running")
        records.end_job(ws.catalogue, ws.home, failed, status="failed", error="It could not.")
        _make.ask(ws, patch, seed=2)
    ws.catalogue.engine.dispose()
    return ws.home


@pytest.fixture
def ws(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "home")
    return Workspace(tmp_path / "home")


def seen(ws):
    """What the catalogue says, but for counts of time."""
    jobs = [
        (
            j.id,
            j.kind,
            j.dataset,
            j.method,
            j.spec,
            j.key,
            j.seed,
            j.status,
            j.error,
            j.label,
            j.created,
        )
        for j in ws.catalogue.jobs()
    ]
    return ws.catalogue.datasets(), jobs


# -- row 8 -----------------------------------------------------------------------------------------
def test_a_held_catalogue_is_read_and_says_that_it_is_busy(ws, monkeypatch):
    job = ws.runs()[-1]
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    assert ws.catalogue.patience >= 10
    ws.catalogue.patience = 0.5
    with held(ws):
        assert len(ws.runs()) == 3, "reading needs no lock"
        for act in (
            lambda: queue.cancel(ws, job.id),
            lambda: queue.train(ws, "few", "pca"),
            lambda: ws.add(_make.small(4, "more")),
        ):
            with pytest.raises(UserError, match="busy"):
                act()
        Workspace(ws.home).catalogue.jobs()
    assert len(ws.runs()) == 3
    assert len(list((ws.home / "runs").iterdir())) == 3, "what was not taken left no folder"
    assert len(list((ws.home / "datasets").iterdir())) == 1
    assert queue.train(ws, "few", "pca").status == "queued"


def test_a_run_that_ends_while_the_catalogue_is_held_is_not_lost(ws):
    """Longer than others wait: its worker goes on trying, and its folder tells the end
    meanwhile.
    """
    job = ws.runs()[0]
    assert ws.catalogue.set_job(job.id, only_if="queued", status="running")
    code = (
        "import sys; from core.jobs import worker; from core.workspace.catalogue import Catalogue;"
        " Catalogue.patience = 0.5; worker.main(sys.argv[1], sys.argv[2])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(ws.home), job.id], cwd=Path(__file__).parents[2]
    ) as process:
        end = time.monotonic() + 60
        while ws.job(job.id).pid is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        with held(ws):
            while (told := records.read_record(ws.folder(job.id))) is None or not told.ended:
                assert time.monotonic() < end + 60
                time.sleep(0.05)
            time.sleep(2)
            assert process.poll() is None
            assert ws.job(job.id).status == "running"
        assert process.wait(60) == 0
    assert ws.job(job.id).status == "done"
    _make.whole(ws)


def test_the_record_in_the_folder_is_the_truth_about_a_process_that_is_gone(ws):
    job = ws.runs()[0]
    ws.catalogue.set_job(job.id, status="running", pid=2**22 + 5, born="before")
    save_artifacts(ws.folder(job.id), [Embedding.example()])
    now = ws.job(job.id)
    records.write_record(
        ws.home,
        Job(
            **vars(now)
            | {
                "status": "done",
                "finished": 5.0,
                "note": "Said at the end.",
                "progress": 1.0,
            }
        ),
    )
    reconciling.reconcile(ws)
    found = ws.job(job.id)
    assert (found.status, found.finished, found.note) == ("done", 5.0, "Said at the end.")


# -- row 9 -----------------------------------------------------------------------------------------
def overwrite(path):
    """Noise over a page in the middle."""
    data = bytearray(path.read_bytes())
    data[8192 : 8192 + 4096] = np.random.default_rng(0).bytes(4096)
    path.write_bytes(bytes(data))


DAMAGES = {
    "noise": overwrite,
    "no database": lambda p: p.write_bytes(b"nothing of the kind" * 500),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:10000]),
    "gone": lambda p: p.unlink(),
    "empty": lambda p: p.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_catalogue_is_made_anew_from_the_folders(ws, damage):
    before = seen(ws)
    ws.catalogue.engine.dispose()
    DAMAGES[damage](ws.home / "catalogue.db")
    for part in ws.home.glob("catalogue.db-*"):
        part.unlink()
    again = Workspace(ws.home)
    assert seen(again) == before
    assert list(notes.load_groups(again, "few")) == ["mine"]
    _make.whole(again)
    told = again.startup_messages()
    assert len(told) == 1
    assert "rebuilt" in told[0]
    assert "1 dataset, 3 runs" in told[0]
    assert Workspace(ws.home).startup_messages() == [], "once"
    aside = list((ws.home / "damaged").glob("*/catalogue.db"))
    assert len(aside) == (damage not in ("gone", "empty")), "what was there is kept"


def test_a_new_workspace_has_nothing_to_tell(tmp_path):
    ws = Workspace(tmp_path)
    assert ws.catalogue.jobs() == []
    assert ws.startup_messages() == []


def test_a_damage_while_it_is_open_is_a_sentence(ws):
    ws.catalogue.jobs()
    (ws.home / "catalogue.db").write_bytes(b"nothing of the kind" * 500)
    ws.catalogue.engine.dispose()
    with pytest.raises(UserError, match="damaged; start Lightbox again"):
        ws.catalogue.jobs()


def test_half_written_folders_do_not_count(ws):
    before = seen(ws)
    (ws.home / "datasets" / "tmp-abc").mkdir()
    (ws.home / "datasets" / "tmp-abc" / "dataset.json").write_text("{}")
    (ws.home / "datasets" / "cccccccccccc").mkdir()
    (ws.home / "datasets" / "cccccccccccc" / "dataset.json").write_text('{"name": "cut')
    (ws.home / "runs" / "dddddddddd").mkdir()
    (ws.home / "runs" / "dddddddddd" / "job.json").write_text('{"id": "another"}')
    ws.catalogue.engine.dispose()
    (ws.home / "catalogue.db").unlink()
    assert seen(Workspace(ws.home)) == before


# -- row 22 ----------------------------------------------------------------------------------------
def old(home, release):
    """A workspace as that release left it: its catalogue as text, the folders rebuilt."""
    home.mkdir()
    with closing(sqlite3.connect(home / "catalogue.db")) as c:
        c.executescript(release.read_text())
        c.execute("PRAGMA journal_mode=WAL")
    data = _make.small()
    (home / "datasets").mkdir()
    stored = data.save(home / "datasets" / "aaaaaaaaaaaa")
    assert stored.name == "few"
    save_artifacts(files.make_folder(home / "runs" / "bbbbbbbb01"), [Embedding.example(n=40)])
    return home


@pytest.mark.parametrize("release", RELEASES, ids=lambda p: p.stem)
def test_a_workspace_of_every_release_opens(release, tmp_path):
    home = old(tmp_path / "home", release)
    ws = Workspace(home)
    assert [(j.id, j.status, j.seed) for j in ws.catalogue.jobs()] == [
        ("bbbbbbbb01", "done", 0),
        ("bbbbbbbb02", "failed", 3),
        ("bbbbbbbb03", "interrupted", 0),
    ]
    assert [j.place for j in ws.catalogue.jobs()] == [1, 2, 3]
    assert ws.job("bbbbbbbb01").note == ""
    assert len(ws.dataset("few")) == 40
    assert isinstance(ws.artifact("bbbbbbbb01", "embedding-" + Embedding.example().name), Embedding)
    backup = next((home / "backups").glob("*.db"))
    with closing(sqlite3.connect(backup)) as c:
        assert c.execute("SELECT count(*) FROM jobs").fetchone() == (3,)
        assert "note" not in {row[1] for row in c.execute("PRAGMA table_info(jobs)")}
    assert not list((home / "backups").glob("*.trial*"))
    assert records.read_record(ws.folder("bbbbbbbb01")).status == "done", (
        "from now on the folders can tell"
    )
    assert Workspace(home).catalogue.jobs() == ws.catalogue.jobs()
    assert len(list((home / "backups").glob("*.db"))) == 1, "once"


def test_the_note_that_came_before_versions_is_no_hindrance(tmp_path):
    home = old(tmp_path / "home", RELEASES[0])
    with closing(sqlite3.connect(home / "catalogue.db")) as c:
        c.execute("ALTER TABLE jobs ADD COLUMN note VARCHAR DEFAULT ''")
        c.execute("UPDATE jobs SET note = 'kept' WHERE id = 'bbbbbbbb01'")
        c.commit()
    assert Workspace(home).job("bbbbbbbb01").note == "kept"


def test_migrations_make_what_the_program_expects(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    Workspace(tmp_path / "new").catalogue.engine.dispose()
    Workspace(old(tmp_path / "old", RELEASES[0])).catalogue.engine.dispose()
    for name in ("new", "old"):
        engine = create_engine(f"sqlite:///{tmp_path / name / 'catalogue.db'}")
        with engine.connect() as c:
            assert compare_metadata(MigrationContext.configure(c), catalogue._meta) == []


def test_a_migration_that_cannot_be_done_changes_nothing(tmp_path, monkeypatch):
    """The copy is tried first: a table that is in the way makes it fail there."""
    home = old(tmp_path / "home", RELEASES[0])
    with closing(sqlite3.connect(home / "catalogue.db")) as c:
        c.execute("CREATE TABLE ix_jobs_token (x)")
        c.commit()
        before = list(c.iterdump())
    with pytest.raises(UserError, match=r"older Lightbox .*nothing was changed"):
        Workspace(home).catalogue  # noqa: B018
    with closing(sqlite3.connect(home / "catalogue.db")) as c:
        assert list(c.iterdump()) == before


KILLED = """
import os, sys
from pathlib import Path
from core.workspace import upgrade as upkeep
from core.workspace.workspace import Workspace
real, calls = upkeep.migrate, []

def cut(engine, unversioned=False):
    calls.append(1)
    if len(calls) == 2:
        with engine.begin() as c:
            c.exec_driver_sql("ALTER TABLE jobs ADD COLUMN token VARCHAR")
            os._exit(9)
    real(engine, unversioned)

upkeep.migrate = cut
Workspace(Path(sys.argv[1])).catalogue
"""


def test_killed_in_the_middle_of_a_migration_it_is_begun_again(tmp_path):
    home = old(tmp_path / "home", RELEASES[0])
    assert (
        subprocess.run(
            [sys.executable, "-c", KILLED, str(home)],
            check=False,
            timeout=60,
            cwd=Path(__file__).parents[2],
        ).returncode
        == 9
    )
    ws = Workspace(home)
    assert len(ws.catalogue.jobs()) == 3
    assert records.read_record(ws.folder("bbbbbbbb01")).status == "done"
    assert not list((home / "backups").glob("*.trial*"))


def test_a_newer_workspace_is_refused(ws):
    ws.catalogue.engine.dispose()
    with closing(sqlite3.connect(ws.home / "catalogue.db")) as c:
        c.execute("UPDATE alembic_version SET version_num = '9999'")
        c.commit()
        before = list(c.iterdump())
    with pytest.raises(UserError, match=r"newer Lightbox .*9999"):
        Workspace(ws.home).catalogue  # noqa: B018
    with closing(sqlite3.connect(ws.home / "catalogue.db")) as c:
        assert list(c.iterdump()) == before


def test_a_worker_of_the_version_before_goes_on(tmp_path):
    """Row 21: what a process started before the update writes is still understood: migrations only
    add.
    """
    home = old(tmp_path / "home", RELEASES[0])
    worker = sqlite3.connect(home / "catalogue.db")
    worker.execute("UPDATE jobs SET status = 'running', progress = 0.5 WHERE id = 'bbbbbbbb03'")
    worker.commit()
    ws = Workspace(home)
    assert ws.job("bbbbbbbb03").status == "running"
    worker.execute(
        "UPDATE jobs SET status = 'done', progress = 1.0, phase = '', error = '', bug = '',"
        " finished = 9.0, seconds = 3.0, eta = NULL WHERE id = 'bbbbbbbb03'"
    )
    worker.execute(
        "INSERT INTO jobs (id, kind, dataset, status, spec, created) VALUES ('bbbbbbbb04', 'train',"
        " 'aaaaaaaaaaaa', 'queued', '{}', 5.0)"
    )
    worker.commit()
    worker.close()
    assert ws.job("bbbbbbbb03").finished == 9.0
    assert ws.job("bbbbbbbb04").token is None


# -- another database ------------------------------------------------------------------------------
def test_the_catalogue_may_be_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_CATALOGUE", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    ws = _make.workspace(tmp_path / "home")
    assert not (ws.home / "catalogue.db").exists()
    assert _make.do(ws, _make.ask(ws, monkeypatch).id).status == "done"
    assert [e["name"] for e in Workspace(ws.home).catalogue.datasets()] == ["few"]
    monkeypatch.setenv("LIGHTBOX_CATALOGUE", "nonsense://x")
    with pytest.raises(UserError, match="LIGHTBOX_CATALOGUE"):
        Workspace(ws.home).catalogue  # noqa: B018


def test_a_run_done_again_under_its_id_replaces_its_folder(ws):
    """Whoever does a job twice leaves what the second time gave, whole."""
    run = next(j for j in ws.runs() if j.status == "done").id
    first = json.loads((ws.folder(run) / "artifacts" / "manifest.json").read_text())
    files.write_bytes(ws.folder(run) / "artifacts" / "stray", b"x")
    ws.catalogue.set_job(run, status="queued")
    assert _make.do(ws, run).status == "done"
    assert not (ws.folder(run) / "artifacts" / "stray").exists()
    second = json.loads((ws.folder(run) / "artifacts" / "manifest.json").read_text())
    same = [name for name in first if name.endswith(".npy")]
    assert same
    assert [first[n] for n in same] == [second[n] for n in same], (
        "the same seed on the same machine gives the same bytes"
    )
    _make.whole(ws)


def test_looking_a_catalogue_over_is_cheap(tmp_path):
    """All pages of 2,000 jobs are read when it is opened: the figure in `upkeep` is of this."""
    made = Catalogue(tmp_path / "x.db")
    upgrade.migrate(made.engine)
    with made.engine.begin() as c:
        c.execute(
            catalogue._jobs.insert(),
            [
                vars(
                    Job(
                        id=f"{i:010d}",
                        kind="train",
                        dataset="x",
                        spec={"params": {"a": i}},
                        place=i,
                    )
                )
                for i in range(2000)
            ],
        )
    assert len(made.jobs()) == 2000
    assert upgrade._inspect(tmp_path / "x.db") == upgrade.VERSIONS[-1]
