"""Figures and health of a served Lightbox: who may see them, what stands in them, and that they
tell when something is wrong.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest

from app.monitoring import checks
from core.data.samples.catalogue import make_sample
from core.io import room
from core.jobs import queue
from core.jobs.starting import SUPERVISOR
from core.people.register import Register
from core.settings import Settings
from core.workspace import records
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests.browser.conftest import serving

pytestmark = pytest.mark.processes
ANA, BO, OPS = (f"{name}@hospital.example" for name in ("ana", "bo", "ops"))
TOKEN = "twenty-four-letters-or-more"
CANARY = "Musterfrau"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    made = Register(tmp_path_factory.mktemp("server") / "projects")
    for id, title in (("lung", f"{CANARY} screening"), ("brain", "Atlas")):
        made.add_project(id, title)
        made.set_role(id, ANA, "owner")
    made.set_role("lung", BO, "viewer")
    ws = Workspace(made.home("lung"))
    ws.add(replace(make_sample("digits"), name=CANARY))
    queue.wait(ws, queue.train(ws, CANARY, "pca", label=CANARY).id, timeout=120)
    return made


@pytest.fixture(scope="module")
def shared(register):
    folder = register.folder.parent
    env = {
        "LIGHTBOX_PROJECTS": str(register.folder),
        "LIGHTBOX_LOGIN": "proxy",
        "LIGHTBOX_ADMINS": f"someone@else.example, {OPS.upper()}",
        "LIGHTBOX_METRICS_TOKEN": TOKEN,
        "LIGHTBOX_EVENTS": str(folder / "events.jsonl"),
        "LIGHTBOX_STANDBY": "0",
    }
    with serving(env, folder / "app.log") as url:
        yield url


def named(person):
    return {"X-Forwarded-Email": person}


def figures(words):
    """{name and labels: value} as Prometheus' own parser reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    return {
        (s.name, *(v for _, v in sorted(s.labels.items()))): s.value
        for family in parser.text_string_to_metric_families(words)
        for s in family.samples
    }


def test_metrics_are_for_administrators_and_for_who_has_the_token(shared):
    pytest.importorskip("prometheus_client")
    address = f"{shared}/lightbox/metrics"
    for headers in ({}, named(ANA), named(BO), {"Authorization": "Bearer wrong"}):
        answer = httpx.get(address, headers=headers)
        assert (answer.status_code, "lightbox_" in answer.text) == (403, False), headers
    twice = [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {TOKEN}")]
    assert httpx.get(address, headers=twice).status_code == 403
    for headers in (BEARER, named(OPS)):
        answer = httpx.get(address, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["content-security-policy"]
    elsewhere = BEARER | {"Host": "rebound.example"}
    assert httpx.get(address, headers=elsewhere).status_code == 403
    assert httpx.get(f"{shared}/", headers=BEARER).status_code == 401, "it opens nothing else"


def test_metrics_tell_jobs_queue_seconds_sessions_disk_and_catalogue(shared, register):
    told = httpx.get(f"{shared}/lightbox/metrics", headers=BEARER).text
    found = figures(told)
    assert found["lightbox_jobs", "train", "lung", "done"] == 1
    assert found["lightbox_jobs", "train", "brain", "done"] == 0
    assert found["lightbox_queue_length", "lung"] == 0
    assert found["lightbox_compute_seconds", "train", "lung"] > 0
    assert found["lightbox_sessions",] == 0
    assert 0 < found["lightbox_disk_free_bytes",] < found["lightbox_disk_total_bytes",]
    assert 0 < found["lightbox_catalogue_seconds", "lung"] < 5
    assert found["lightbox_up", "catalogue", "lung"] == 1
    assert found["process_resident_memory_bytes",] > 1e7
    entry = Workspace(register.home("lung")).entry(CANARY)["id"]
    for name in (CANARY, "hospital", "ana", "screening", "digits", entry):
        assert name not in told


def test_health_says_little_to_everybody_and_all_to_administrators(shared):
    for headers in ({}, named(BO)):
        answer = httpx.get(f"{shared}/lightbox/health", headers=headers)
        assert (answer.status_code, answer.text) == (200, "ok")
    told = httpx.get(f"{shared}/lightbox/health", headers=BEARER).json()
    assert told["ok"]
    assert set(told["projects"]) == {"lung", "brain"}
    assert set(told["projects"]["lung"]) == {"catalogue", "disk", "supervisor"}
    assert CANARY not in json.dumps(told)


def test_the_log_has_requests_by_kind_without_addresses(shared, register):
    httpx.get(f"{shared}/data?project=lung&dataset={CANARY}", headers=named(ANA))
    httpx.put(f"{shared}/_stcore/upload_file/a/{CANARY}", headers=named(ANA), content=b"x")
    words = (register.folder.parent / "events.jsonl").read_text()
    told = [json.loads(line) for line in words.splitlines()]
    assert told[0]["event"] == "server"
    requests = [(one["route"], one["status"]) for one in told if one["event"] == "request"]
    assert ("page", 200) in requests
    assert ("upload", 403) in requests
    assert CANARY not in words
    assert "hospital" not in words


def test_what_the_server_starts_has_no_token():
    code = (
        "from app.monitoring import routes; from core.children import environment;"
        f" assert routes.TOKEN == {TOKEN!r}; assert 'LIGHTBOX_METRICS_TOKEN' not in environment()"
    )
    env = os.environ | {"LIGHTBOX_METRICS_TOKEN": TOKEN}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


@pytest.mark.parametrize("token", ["short", "twenty-four letters or more"])
def test_a_token_that_can_be_guessed_or_sent_by_nobody_is_refused(monkeypatch, token):
    monkeypatch.setenv("LIGHTBOX_METRICS_TOKEN", token)
    with pytest.raises(ValueError, match="metrics_token"):
        Settings()


# -- what is wrong is found ------------------------------------------------------------------------
@pytest.fixture
def ws(tmp_path):
    made = Workspace(tmp_path / "home")
    made.catalogue.count_jobs()
    checks.open_workspace.cache_clear()
    yield made
    checks.open_workspace.cache_clear()


def wrong(ws):
    return {part for part, one in checks.check_workspace(ws.home).items() if not one.ok}


def test_a_sound_workspace_is_well(ws):
    assert wrong(ws) == set()


def test_jobs_that_wait_while_no_supervisor_is_there_are_told(ws):
    job = Job("0123456789", "train", "d", "pca", created=time.time())
    ws.folder(job.id).mkdir()
    records.write_record(ws.home, job)
    ws.catalogue.add_job(job)
    assert wrong(ws) == set(), "it may be starting"
    ws.catalogue.set_job(job.id, created=time.time() - 2 * checks.GRACE)
    assert wrong(ws) == {"supervisor"}
    from core.io.locks import hold_lock

    with hold_lock(ws.home / SUPERVISOR):
        assert wrong(ws) == set()


def test_a_full_disk_and_a_broken_catalogue_are_told(ws, monkeypatch):
    usage = SimpleNamespace(free=10_000_000, total=2**40)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda home: usage)
    assert wrong(ws) == {"disk"}
    monkeypatch.undo()
    with sqlite3.connect(ws.home / "catalogue.db") as db:
        db.execute("DROP TABLE jobs")
    assert wrong(ws) == {"catalogue", "supervisor"}
