"""Sweeps: methods × settings × seeds as jobs, on this machine and on a Ray cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.commands.sweep import card_words, read_seeds, table_words
from core import evidence
from core.artifacts import Embedding
from core.children import ROOT, environment, python_command
from core.errors import UserError
from core.jobs import queue, sweep
from core.jobs.evidence_jobs import Measuring
from core.jobs.run_folder import find_artifact
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests.test_engines import data, nodes, until, ws  # noqa: F401 - fixtures

pytestmark = pytest.mark.processes

SETTINGS = [
    ("fragile", "epochs", "2"),
    ("fragile", "epochs", "6"),
    ("fragile", "pause", "0.05"),
    ("pca", "dimensions", "4"),
]


@pytest.fixture
def planned(ws: Workspace) -> sweep.Sweep:  # noqa: F811
    return sweep.plan(ws, "digits", ["fragile", "pca"], SETTINGS, [0, 1], "cpu")


def jobs_of(ws: Workspace, planned: sweep.Sweep) -> list[Job]:  # noqa: F811
    return [job for job in sweep.find_jobs(ws, planned).values() if job is not None]


def test_cancelled_and_asked_for_again_it_trains_what_is_missing_and_no_more(
    ws: Workspace,  # noqa: F811
    planned: sweep.Sweep,
) -> None:
    assert [(c.method, c.words, c.seed) for c in planned.cells] == [
        ("fragile", "epochs=2, pause=0.05", 0),
        ("fragile", "epochs=2, pause=0.05", 1),
        ("fragile", "epochs=6, pause=0.05", 0),
        ("fragile", "epochs=6, pause=0.05", 1),
        ("pca", "dimensions=4", 0),  # another seed gives the same
    ]
    assert jobs_of(ws, planned) == []
    sweep.start(ws, planned)
    until(lambda: any(job.status == "done" for job in jobs_of(ws, planned)), "the first to end")
    assert sweep.cancel(ws, planned) >= 3
    until(lambda: all(job.ended for job in jobs_of(ws, planned)), "all to end")
    stopped = jobs_of(ws, planned)
    done = {job.id: job.finished for job in stopped if job.status == "done"}
    assert {job.status for job in stopped} == {"done", "cancelled"}
    table = sweep.Table(ws, planned)
    assert [line.done for line in table.lines()] != [2, 2, 1]
    words = table_words(table.lines(), [])
    assert "cancelled" in words.splitlines()[2]

    again = sweep.plan(ws, "digits", ["fragile", "pca"], SETTINGS, [0, 1], "cpu")
    assert again == planned, "whoever asks for the same finds the same"
    sweep.start(ws, again)
    for job in jobs_of(ws, again):
        assert queue.wait(ws, job.id, timeout=200).status == "done"
    ended = jobs_of(ws, again)
    assert {job.id for job in ended} == {job.id for job in stopped}
    assert {job.id: job.finished for job in ended if job.id in done} == done, "not trained again"
    assert [f"{line.done}/{len(line.jobs)}" for line in table.lines()] == ["2/2", "2/2", "1/1"]

    for cell, job in zip(again.cells, ended, strict=True):
        kind = methods()[cell.method]
        params = check_params(kind, dict(cell.setting))
        _, made = fit_and_apply(kind, params, ws.dataset("digits"), Run(cell.seed, "cpu"))
        alone = next(a.z for a in made if isinstance(a, Embedding))
        np.testing.assert_allclose(
            find_artifact(ws, job.id, Embedding).z, alone, atol=1e-5, err_msg=str(cell)
        )
    first = table.lines()[0]
    assert first.values
    for (name, split), value in first.values.items():
        own = [
            next(
                m.value for m in ws.artifact(j.id, "metrics") if (m.name, m.split) == (name, split)
            )
            for j in first.jobs
            if j is not None
        ]
        assert (value.mean, value.low, value.high, value.n) == (
            pytest.approx(np.mean(own)),
            min(own),
            max(own),
            2,
        )
    told = sweep.as_json(table)["lines"][2]
    assert (told["method"], [run["status"] for run in told["runs"]]) == ("pca", ["done"])


@pytest.mark.parametrize(
    ("names", "settings", "words"),
    [
        (["fragile", "nothing"], [], "There is no method “nothing”"),
        (["fragile"], [("", "epochs", "no")], "epochs"),
        (["fragile"], [("pca", "dimensions", "3")], "not among the methods"),
        (["classifier"], [], "does not fit"),
        (["variational_sae"], [], "builds on an earlier run"),
        (["fragile"], [("", "epochs", str(n)) for n in range(1, 600)], "1,198 trainings"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_begins(
    ws: Workspace,  # noqa: F811
    names: list[str],
    settings: Any,
    words: str,
) -> None:
    before = len(ws.catalogue.jobs())
    with pytest.raises(UserError, match=words):
        sweep.plan(ws, "digits", names, settings, [0, 1])
    assert len(ws.catalogue.jobs()) == before


def test_seeds_are_read_or_refused() -> None:
    assert read_seeds("0-2") == [0, 1, 2]
    assert read_seeds("3, 5-6") == [3, 5, 6]
    for strange in ("", "a", "1-", "-1", "5-3"):
        with pytest.raises(UserError, match="seed"):
            read_seeds(strange)


def test_the_table_shows_test_cases_last_and_says_what_they_are_not_for() -> None:
    values = {
        ("accuracy", "test"): sweep.Value(0.9, 0.8, 1.0, 2),
        ("accuracy", "val"): sweep.Value(0.7, 0.7, 0.7, 1),
    }
    lines = [sweep.Line("one", "", (), values), sweep.Line("two", "n=1", (), {})]
    words = table_words(lines, []).splitlines()
    assert words[0].split("  ")[-1] == "accuracy [test]"
    assert "0.700" in words[1]
    assert "0.900 (0.800–1.000)" in words[1]
    assert words[2].split() == ["two", "n=1", "0/0", "-", "-"]
    assert "Choose no setting by the test cases" in words[-1]
    assert "Choose" not in table_words(lines, ["accuracy [val]"])


def test_cards_are_measured_by_jobs_as_they_are_by_hand(
    ws: Workspace,  # noqa: F811
    tmp_path: Path,
) -> None:
    asked = Measuring(("pca", "brightness"), tmp_path / "jobs")
    asked.start(ws)
    assert asked.cancel(ws) == 2
    for job in asked.jobs(ws).values():
        assert job is not None
        assert queue.wait(ws, job.id, timeout=100).status == "cancelled"
    assert evidence.load_evidence("pca", asked.folder) is None

    one = Measuring(("pca",), asked.folder)
    one.start(ws)
    (job,) = one.jobs(ws).values()
    assert job is not None
    done = queue.wait(ws, job.id, timeout=300)
    assert (done.status, done.error) == ("done", "")
    by_job = evidence.load_evidence("pca", asked.folder)
    env = environment(**{evidence.TARGET: str(tmp_path / "hand")})
    command = python_command("tests.benchmarks.bench_pca", options=("-W", "ignore"))
    subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    by_hand = evidence.load_evidence("pca", tmp_path / "hand")
    assert by_job is not None
    assert by_hand is not None
    assert by_job["tables"] == by_hand["tables"]
    assert not ws.damaged()

    asked.start(ws)  # what was done is not measured again while the other is missing
    now = asked.jobs(ws)
    assert asked.cancel(ws) == 1
    assert now["pca"] is not None
    assert (now["pca"].id, now["pca"].status) == (job.id, "done")
    assert now["brightness"] is not None
    assert queue.wait(ws, now["brightness"].id, timeout=100).status == "cancelled"
    words = card_words(asked.lines(ws)).splitlines()
    assert words[0].startswith("pca")
    assert by_job["tables"][0]["verdict"] in words[0]
    assert "cancelled" in words[1]
    with pytest.raises(UserError, match="no benchmark of “nothing”"):
        Measuring(("nothing", "pca"), asked.folder).start(ws)
