"""Projects take turns on one cluster: by the line alone, and with two workspaces on a real one."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.samples.catalogue import make_sample
from core.jobs import queue, turns
from core.jobs.turns import Turns
from core.registry import methods
from core.workspace.workspace import Workspace
from tests.clusters import two_nodes


def test_projects_take_turns_and_a_long_queue_holds_another_by_one_job():
    line = Turns()
    assert line.ask("long", ["train"], []) == ["train"]
    assert line.ask("short", ["train"], []) == [], "one job of the other waits for its place"
    assert line.ask("long", ["train"], []) == ["train"], "it still waits"
    assert line.ask("long", ["train"], ["train"]) == [], "it has its place, and more waits"
    assert line.ask("short", ["train"], []) == ["train"]
    assert line.ask("short", [], ["train"]) == []
    assert line.ask("long", ["train"], []) == ["train"]


def test_lanes_do_not_hold_one_another():
    line = Turns()
    assert line.ask("a", [turns.GPU], []) == [turns.GPU]
    assert line.ask("b", [turns.GPU, "train", "all else"], []) == ["train", "all else"]
    assert set(line.waiting()) == {turns.GPU, "train", "all else"}
    line.ask("a", [], [turns.GPU])
    line.ask("b", [], [])
    assert line.waiting() == []


def test_a_project_that_asks_no_more_leaves_the_line(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])
    line = Turns()
    line.ask("lost", ["train"], [])
    assert line.ask("other", ["train"], []) == []
    now[0] = turns.GONE / 2
    assert line.ask("other", ["train"], []) == []
    now[0] = turns.GONE + 1
    assert line.ask("other", ["train"], []) == ["train"]


@pytest.mark.processes
def test_on_a_cluster_one_job_does_not_wait_for_a_long_queue_of_another_project(
    tmp_path, monkeypatch
):
    """Five trainings of one project, then one of another, on two processors: two run, one has the
    turn, and then it is the other's, whatever memory its data needs.
    """
    with two_nodes() as nodes:
        monkeypatch.setenv("LIGHTBOX_METHODS", str(Path(__file__).parent / "survive" / "methods"))
        monkeypatch.setenv("LIGHTBOX_JOB_CPUS", "1")
        monkeypatch.setenv("LIGHTBOX_ENGINE", nodes.address)
        monkeypatch.setenv("LIGHTBOX_IDLE_SECONDS", "30")
        methods.cache_clear()
        try:
            long, short = project(tmp_path / "long", 64), project(tmp_path / "short", 96)
            many = [train(long, seed) for seed in range(5)]
            wait_until_running(long, many)
            one = train(short, 0)
            assert queue.wait(short, one, timeout=240).status == "done"
            ahead = [id for id in many if long.job(id).status == "done"]
            print(f"{len(ahead)} of {len(many)} were done before")
            assert len(ahead) <= 3
            begins = [long.job(id).started for id in many]
            handed = [at for at in begins if at is not None]
            assert begins[: len(handed)] == sorted(handed), "in order within a project"
            for id in many:
                queue.cancel(long, id)
            for id in many:
                queue.wait(long, id, timeout=120)
        finally:
            methods.cache_clear()


def project(home: Path, rows: int) -> Workspace:
    ws, digits = Workspace(home), make_sample("digits")
    few = np.flatnonzero(digits.splits == "train")[:rows]
    ws.add(
        replace(
            digits,
            samples=np.asarray(digits.samples[few]),
            table=digits.table.iloc[few].reset_index(drop=True),
            roles={k: v for k, v in digits.roles.items() if k != "label"},
        )
    )
    return ws


def train(ws: Workspace, seed: int) -> str:
    params = {"epochs": 30, "more": 10, "batch_size": 16, "pause": 0.02}
    return queue.train(ws, "digits", "fragile", params, seed=seed).id


def wait_until_running(ws: Workspace, ids: list[str]) -> None:
    end = time.monotonic() + 120
    while sum((ws.job(id).progress or 0) > 0 for id in ids) < 2:
        assert time.monotonic() < end, [ws.job(id).phase for id in ids]
        time.sleep(0.1)
