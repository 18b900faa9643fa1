"""What holds of a catalogue in either database: what is written is read back as it was, each thing
once, in the order it was asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import UserError
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
# ten processes, let go at one moment; each says which of the free jobs it took
WRITERS = """
import os, sys
from pathlib import Path
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

def write(who, many):
    c = Workspace(Path(sys.argv[1])).catalogue
    os.read(gate, 1)
    for i in range(many):
        job = Job(id=f"{who}{i:07d}", kind="train", dataset="d", token=f"{who}-{i}")
        assert c.add_job(job)
        assert c.set_job(job.id, only_if="queued", phase=who)
        if c.set_job(f"open{i:04d}", only_if="queued", status="running", note=who):
            os.write(1, b"took\\n")

gate, go = os.pipe()
children = []
for who in sys.argv[3]:
    children.append(os.fork())
    if not children[-1]:
        try:
            os.close(go)
            write(who, int(sys.argv[2]))
        except BaseException as e:
            os.write(2, f"{type(e).__name__}: {e}".encode())
            os._exit(1)
        os._exit(0)
os.close(go)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def start_writers(home, many, who="abcdefghij"):
    return subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(home), str(many), who],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_written(catalogue, many, took, who="abcdefghij"):
    """Every job is there once, with a place of its own, and was taken by one."""
    assert took == many
    jobs = catalogue.jobs()
    assert len(jobs) == (len(who) + 1) * many
    assert sorted(j.place for j in jobs) == list(range(1, len(jobs) + 1))
    for one in who:
        mine = [j for j in jobs if j.id.startswith(one)]
        assert [j.id for j in mine] == [f"{one}{i:07d}" for i in range(many)], "in their order"
        assert {j.phase for j in mine} == {one}
    assert all(j.status == "running" and j.note for j in jobs if j.id.startswith("open"))


@pytest.fixture
def catalogue(database, tmp_path):
    return Workspace(tmp_path / "home").catalogue


def add(catalogue, id, **values):
    assert catalogue.add_job(Job(**{"id": id, "kind": "train", "dataset": "d"} | values))


def test_a_job_comes_back_as_it_was(catalogue):
    given = Job(
        id="abcdefgh",
        kind="train",
        dataset="d",
        spec={"params": {"a": [1, 2.5, None, True], "ü": "\0 “x”\n"}, "deep": {"b": {}}},
        seed=2**32 - 1,
        progress=0.1,
        eta=1e300,
        error="it's “so”; DROP TABLE jobs; --\n\t %s :name {x} \U0001f600",
        pid=2**22,
        created=1795985025.6011143,
        heartbeat=1795985025.6011145,
        token="t",
        place=7,
    )
    assert catalogue.add_job(given)
    assert catalogue.job("abcdefgh") == given
    assert catalogue.set_job("abcdefgh", status="done", note="a\0b", spec={"x": 1}, pid=None)
    now = catalogue.job("abcdefgh")
    assert (now.status, now.note.replace("\ufffd", "\0"), now.spec, now.pid) == (
        "done",
        "a\0b",
        {"x": 1},
        None,
    )
    assert now.seed == 2**32 - 1


def test_a_dataset_comes_back_as_it_was_and_a_name_is_given_once(catalogue):
    given = {
        "id": "d1",
        "name": "Größe “a” %s",
        "hash": "h",
        "modality": "image",
        "n": 3,
        "sample": 1,
        "created": 5.25,
    }
    catalogue.add_dataset(**given)
    assert catalogue.datasets() == [given]
    with pytest.raises(UserError, match="already a dataset called “Größe"):
        catalogue.add_dataset(**given | {"id": "d2"})
    catalogue.add_dataset(**given | {"id": "d3", "name": "größe “a” %s", "created": 4.0})
    assert [d["id"] for d in catalogue.datasets()] == ["d3", "d1"], "oldest first"
    catalogue.set_dataset("d1", n=2)
    assert catalogue.datasets()[1]["n"] == 2
    catalogue.remove_dataset("d1")
    assert [d["id"] for d in catalogue.datasets()] == ["d3"]


def test_jobs_are_found_and_kept_in_their_order(catalogue):
    add(catalogue, "a", created=9.0, key="k")
    add(catalogue, "b", created=1.0, status="done")
    add(catalogue, "c", kind="map", on_run="b")
    with catalogue.engine.begin() as c:  # by a Lightbox that knew no places
        c.exec_driver_sql("INSERT INTO jobs (id, kind, spec, created) VALUES ('z', 'x', '{}', 2)")
    assert [j.id for j in catalogue.jobs()] == ["z", "a", "b", "c"]
    assert [j.place for j in catalogue.jobs()] == [None, 1, 2, 3]
    assert [j.id for j in catalogue.jobs(status=["queued", "done"], kind="train")] == ["a", "b"]
    assert catalogue.jobs(status=[]) == []
    assert catalogue.jobs(on_run="b", kind=("map", "explain"))[0].id == "c"
    catalogue.remove_job("a")
    assert catalogue.job("a") is None


def test_a_token_is_given_once_and_a_state_is_changed_by_one(catalogue):
    add(catalogue, "a", token="t")
    assert not catalogue.add_job(Job(id="b", kind="train", dataset="d", token="t"))
    assert catalogue.job("b") is None
    assert not catalogue.set_job("a", only_if="running", status="done")
    with ThreadPoolExecutor(8) as many:
        took = list(
            many.map(
                lambda who: catalogue.set_job(
                    "a", only_if=("queued", "x"), status="running", note=str(who)
                ),
                range(8),
            )
        )
    assert sum(took) == 1
    assert catalogue.job("a").note == str(took.index(True))
    assert not catalogue.set_job("gone", status="done")


def test_two_workspaces_do_not_mix(catalogue, tmp_path):
    other = Workspace(tmp_path / "other").catalogue
    add(catalogue, "a")
    add(other, "b")
    other.add_dataset(id="d", name="n", hash="", modality="", n=1, sample=0)
    catalogue.add_dataset(id="d", name="n", hash="", modality="", n=2, sample=0)
    assert [j.id for j in catalogue.jobs()] == ["a"]
    assert [j.id for j in other.jobs()] == ["b"]
    assert (catalogue.datasets()[0]["n"], other.datasets()[0]["n"]) == (2, 1)
    assert [j.place for j in other.jobs()] == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_ten_processes_write_at_once(catalogue, tmp_path):
    many = 8
    for i in range(many):
        add(catalogue, f"open{i:04d}")
    writers = start_writers(tmp_path / "home", many)
    out, err = writers.communicate(timeout=120)
    assert (writers.returncode, err) == (0, "")
    check_written(catalogue, many, out.count("took"))


def test_a_change_is_seen_within_a_second_by_another_process_and_thread(catalogue, tmp_path):
    seen = []
    other = Workspace(tmp_path / "home").catalogue

    def watch():
        end = time.monotonic() + 10
        while time.monotonic() < end and not seen:
            if other.jobs(status="running"):
                seen.append(time.monotonic())
            time.sleep(0.01)

    add(catalogue, "a")
    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.05)
    wrote = time.monotonic()
    catalogue.set_job("a", status="running")
    watcher.join()
    assert seen[0] - wrote < 1.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_connections_of_its_own(catalogue, tmp_path):
    add(catalogue, "a")
    child = os.fork()
    if not child:
        try:
            ws = Workspace(tmp_path / "home")
            ok = all(ws.catalogue.set_job("a", progress=float(i)) for i in range(50))
        except BaseException:
            ok = False
        os._exit(0 if ok else 1)
    for _ in range(50):
        assert len(catalogue.jobs()) == 1
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert catalogue.job("a").progress == 49.0
