"""What a look at the catalogue costs on a PostgreSQL server, against SQLite in the folder.

`python -m tests.benchmarks.bench_catalogue`. Two workspaces with the same jobs, one on a server of
the benchmark's own on this machine, are looked at in turn, so that what else the machine does is
shared; a median and the middle half of the looks are told, and the ratio of the medians with a 95 %
interval (bootstrap over the looks). A server on another machine adds its way there and back to
each call: once to what is read, four times to what adds a job.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests.postgres import Server

ROOT = Path(__file__).parents[2]


def fill(ws: Workspace, many: int) -> None:
    """A dataset and `many` runs on it, whose folders are empty."""
    from tests.survive import _make

    ws.add(_make.small())
    dataset = ws.entry("few")["id"]
    for i in range(many):
        ws.catalogue.add_job(
            Job(
                id=f"{i:010d}",
                kind="train",
                dataset=dataset,
                method="pca",
                status="done",
                spec={"params": {"dimensions": 8}},
            )
        )


def looks(home: Path, url: str) -> dict[str, Callable[[], Any]]:
    """What is measured: each opens or asks as it would in a process of that setting."""
    from streamlit.testing.v1 import AppTest

    def set_home() -> None:
        os.environ |= {"LIGHTBOX_HOME": str(home), "LIGHTBOX_CATALOGUE": url}

    set_home()
    ws = Workspace(home)
    ws.catalogue.jobs()  # opened under its own setting
    count = iter(range(10**9))

    def add() -> None:
        id = f"z{next(count):09d}"
        ws.catalogue.add_job(Job(id=id, kind="map", dataset="d"))
        ws.catalogue.remove_job(id)

    def command() -> None:
        from typer.testing import CliRunner

        from app.cli import register

        set_home()
        assert CliRunner().invoke(register(), ["runs", "list"]).exit_code == 0

    page = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=120)

    def switch(path: str) -> None:
        set_home()
        page.switch_page(str(ROOT / "pages" / path))
        page.run()
        assert not page.exception

    switch("home.py")
    last = f"{0:010d}"
    return {
        "one job": lambda: ws.catalogue.job(last),
        "what is running": lambda: ws.catalogue.jobs(status="running"),
        "a heartbeat": lambda: ws.catalogue.set_job(last, heartbeat=time.time()),
        "add a job and remove it": add,
        "all runs": ws.runs,
        "lightbox runs list": command,
        "page switch: Runs": lambda: switch("runs.py"),
        "page switch: Data": lambda: switch("data.py"),
    }


def measure(many: int, rounds: int) -> list[dict[str, Any]]:
    """A line for each look: seconds of `rounds` times 10 calls in each database, in turn."""
    server, folder = Server(), Path(tempfile.mkdtemp(prefix="lightbox-bench-"))
    try:
        asked = {}
        for name, url in (("sqlite", ""), ("postgresql", server.url())):
            os.environ["LIGHTBOX_CATALOGUE"] = url
            fill(Workspace(folder / name), many)
            asked[name] = looks(folder / name, url)
        lines = []
        for look in asked["sqlite"]:
            slow = look.startswith(("page", "lightbox"))
            took: dict[str, list[float]] = {"sqlite": [], "postgresql": []}
            for turn in range(rounds * (1 if slow else 10) + 1):
                for name, calls in asked.items():
                    began = time.perf_counter()
                    calls[look]()
                    if turn:  # the first warms up
                        took[name].append(time.perf_counter() - began)
            lines.append(summary(look, took))
        return lines
    finally:
        server.end()
        shutil.rmtree(folder)


def summary(look: str, took: dict[str, list[float]]) -> dict[str, Any]:
    lite, post = (np.array(took[name]) * 1000 for name in ("sqlite", "postgresql"))
    rng = np.random.default_rng(0)
    again = [
        np.median(rng.choice(post, len(post))) / np.median(rng.choice(lite, len(lite)))
        for _ in range(1000)
    ]
    low, high = np.percentile(again, [2.5, 97.5])
    return {
        "look": look,
        "n": len(lite),
        "sqlite_ms": [round(float(v), 2) for v in np.percentile(lite, [50, 25, 75])],
        "postgresql_ms": [round(float(v), 2) for v in np.percentile(post, [50, 25, 75])],
        "ratio": [round(float(v), 2) for v in (np.median(post) / np.median(lite), low, high)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    lines = measure(args.jobs, args.rounds)
    if args.json:
        print(json.dumps(lines))
        return
    print(f"{args.jobs} runs; milliseconds: median (middle half)")
    for one in lines:
        lite, post = one["sqlite_ms"], one["postgresql_ms"]
        print(
            f"{one['look']:<26} SQLite {lite[0]:8.2f} ({lite[1]} to {lite[2]})  PostgreSQL"
            f" {post[0]:8.2f} ({post[1]} to {post[2]})  ratio {one['ratio'][0]}"
            f" ({one['ratio'][1]} to {one['ratio'][2]}), n = {one['n']}"
        )


if __name__ == "__main__":
    main()
