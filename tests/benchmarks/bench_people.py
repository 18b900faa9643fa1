"""What a server asks at each request and page, as people, projects, jobs and files grow.

`python -m tests.benchmarks.bench_people`. Processor milliseconds of one call, the median of nine,
with the slope in logarithms (1 = in proportion), on SQLite in a temporary folder. A tenth of the
people have a role in each of ten projects, the others in one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import insert

from core.io.room import used_bytes
from core.people import register as people_of
from core.people.register import Register
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests.benchmarks.bench_growth import slope

PEOPLE, JOBS, FILES = (100, 1_000, 10_000), (100, 1_000, 3_000), (1_000, 10_000, 50_000)
LINES = 10  # of the audit list, a person


def _milliseconds(act: Callable[[], Any]) -> float:
    found = []
    act()
    for _ in range(9):
        began = time.process_time()
        act()
        found.append(1000 * (time.process_time() - began))
    return median(found)


def _register(folder: Path, many: int) -> Register:
    made = Register(folder)
    projects = [f"p{i}" for i in range(max(10, many // 10))]
    members = {
        (projects[(i + k) % len(projects)], f"person{i}@hospital.example")
        for i in range(many)
        for k in range(10 if i % 10 == 0 else 1)
    }
    with made.engine.begin() as db:
        rows = [{"id": p, "title": p, "created": float(n)} for n, p in enumerate(projects)]
        db.execute(insert(people_of._projects), rows)
        given = [{"project": p, "person": who, "role": "owner"} for p, who in sorted(members)]
        db.execute(insert(people_of._members), given)
        lines = [
            {"at": float(n), "person": "a", "place": "", "project": "p3", "act": "data", "what": ""}
            for n in range(LINES * many)
        ]
        db.execute(insert(people_of._audit), lines)
    return made


def _asked_of_people(folder: Path, many: int) -> dict[str, float]:
    register, who = _register(folder, many), "person20@hospital.example"
    return {
        "projects of a person (each request)": _milliseconds(lambda: register.projects(who)),
        "role of a person (each change)": _milliseconds(lambda: register.role("p3", who)),
        "people of a project (page People)": _milliseconds(lambda: register.members("p3")),
        "last changes of roles (page People)": _milliseconds(
            lambda: register.last_lines("p3", "people", 20)
        ),
        "a line into the audit list": _milliseconds(
            lambda: register.note(who, "", "p3", "data", "x")
        ),
    }


def _asked_of_jobs(folder: Path, many: int) -> dict[str, float]:
    ws = Workspace(folder)
    for i in range(many):
        ws.catalogue.add_job(Job(f"{i:010d}", "train", "d", "pca", status="done", seconds=1.0))
    return {
        "all runs of a project (page Runs, bar)": _milliseconds(ws.runs),
        "jobs counted (figures, health)": _milliseconds(ws.catalogue.count_jobs),
        "what waits (supervisor, five times a second)": _milliseconds(
            lambda: ws.catalogue.jobs(status="queued")
        ),
    }


def _asked_of_files(folder: Path, many: int) -> dict[str, float]:
    for k in range(max(1, many // 1000)):
        (folder / str(k)).mkdir(parents=True)
        for i in range(min(many, 1000)):
            (folder / str(k) / str(i)).touch()
    return {
        "bytes of a project (quota, once a minute)": _milliseconds(lambda: used_bytes(folder, 0))
    }


def main() -> None:
    for what, sizes, ask in (
        ("people", PEOPLE, _asked_of_people),
        ("jobs", JOBS, _asked_of_jobs),
        ("files", FILES, _asked_of_files),
    ):
        found = {}
        for many in sizes:
            with tempfile.TemporaryDirectory() as place:
                found[many] = ask(Path(place) / "place", many)
        for name in found[sizes[0]]:
            times = [found[many][name] for many in sizes]
            every, steepest = slope(list(sizes), times, 0.2)
            told = ", ".join(f"{t:.2f}" for t in times)
            counted = ", ".join(f"{n:,}" for n in sizes)
            print(f"{name}: {told} ms at {counted} {what}; slope {every:.2f} ({steepest:.2f})")


if __name__ == "__main__":
    main()
