"""Ten people at once: seconds of a page switch, alone and beside nine others.

`python -m tests.benchmarks.bench_clients`. Each client speaks the browser's protocol over its own
websocket, so that no browser takes the processors from the server: it asks for a page and waits
until the page's script has finished. A training may run beside them (`--training`).

`--beside`: one person alone, beside a training, and beside a training, a map and an import (all
that runs at once on a machine without a graphics card), each the same pages in the same order, with
the ratio to the person alone, before and after.

`--cpu`: seconds of processor time the server spends on a switch to each page, which other work on
the machine hardly changes. `--sessions 30`: the server's memory before and after so many people
came, looked at every page and went, once five had come and gone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.benchmarks.bench_app import ROWS, find_prepared, prepared
from tests.browser.conftest import serving

CLIENTS = 10
PAGES = ("data", "train", "runs", "results", "latent", "anomalies", "traversal", "library")
EVERY_PAGE = (
    *("", "data", "train", "runs", "results", "latent", "clusters", "anomalies"),
    *("rationales", "traversal", "compare", "present", "library"),
)
ROUNDS = 3
WARM_UP = 5  # sessions that come and go before memory is first looked at


class Client:
    """One session: `switch(page)` gives the seconds until the page's script has finished."""

    def __init__(self, socket: Any, query: str) -> None:
        self.socket, self.query, self.pages = socket, query, {}

    async def ask(self, page: str = "") -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_script_hash = page
        await self.socket.send(message.SerializeToString())
        while True:
            got = ForwardMsg()
            got.ParseFromString(await self.socket.recv())
            if got.WhichOneof("type") == "navigation":
                self.pages = {p.url_pathname: p.page_script_hash for p in got.navigation.app_pages}
            if got.WhichOneof("type") == "script_finished" and got.script_finished != 2:
                return

    async def switch(self, page: str) -> float:
        began = time.perf_counter()
        await self.ask(self.pages[page])
        return time.perf_counter() - began


@asynccontextmanager
async def _connected(url: Any, query: str) -> AsyncIterator[Client]:
    """A session that has its first page."""
    from websockets.asyncio.client import connect

    cookie = url.cookie
    headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Origin": str(url)}
    address = str(url).replace("http", "ws") + "/_stcore/stream"
    async with connect(
        address, additional_headers=headers, subprotocols=["streamlit"], max_size=None
    ) as socket:
        client = Client(socket, query)
        await client.ask()
        yield client


async def _client(url: Any, query: str, seed: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {page: [] for page in PAGES}
    async with _connected(url, query) as client:
        order = np.random.default_rng(seed)
        for _ in range(ROUNDS):
            for page in order.permutation(PAGES):
                found[page].append(await client.switch(str(page)))
                await asyncio.sleep(float(order.uniform(0.5, 2)))  # somebody looks at it
    return found


async def measure_cpu(url: Any, query: str, server: psutil.Process) -> dict[str, float]:
    """Seconds of processor time of the server for a switch to each page, the median of seven.

    The page before was another one, and an earlier session has seen each."""
    found: dict[str, list[float]] = {page: [] for page in EVERY_PAGE}
    async with _connected(url, query) as client:
        for page in EVERY_PAGE:
            await client.switch(page)
    async with _connected(url, query) as client:
        for _ in range(7):
            for page in EVERY_PAGE:
                began = _cpu(server)
                await client.switch(page)
                found[page].append(_cpu(server) - began)
    return {page: float(np.median(times)) for page, times in found.items()}


def _cpu(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


async def measure_memory(url: Any, query: str, server: psutil.Process, many: int) -> list[int]:
    """Bytes of memory of the server after a warm-up, and after each of `many` more sessions."""
    sizes = []
    for number in range(WARM_UP + many):
        async with _connected(url, query) as client:
            for page in EVERY_PAGE:
                await client.switch(page)
        if number >= WARM_UP - 1:
            await asyncio.sleep(1)
            sizes.append(server.memory_info().rss)
    return sizes


async def _clients(url: Any, query: str, many: int) -> dict[str, list[float]]:
    each = await asyncio.gather(*(_client(url, query, seed) for seed in range(many)))
    return {page: [t for found in each for t in found[page]] for page in PAGES}


def tell(many: int, found: dict[str, list[float]]) -> None:
    every = [t for times in found.values() for t in times]
    low, high = np.percentile(every, [50, 95])
    worst = max(found, key=lambda page: float(np.percentile(found[page], 95)))
    print(
        f"{many} at once: p50 {low:.2f} s, p95 {high:.2f} s of {len(every)} switches; "
        f"worst {worst}, p95 {np.percentile(found[worst], 95):.2f} s"
    )


def wait_running(ws: Any, ids: list[str]) -> None:
    """Until these jobs are at work, their imports done."""
    until = time.monotonic() + 300
    while any(not (ws.job(id).progress or ws.job(id).ended) for id in ids):
        assert time.monotonic() < until, [ws.job(id) for id in ids]
        time.sleep(0.5)


def more_jobs(ws: Any, home: Path, run: str) -> list[str]:
    """Ask for maps and imports that keep the two lanes beside a training busy for minutes; gives
    the ids of the first of each.
    """
    import pyarrow as pa
    import pyarrow.csv

    from core.jobs import queue
    from tests.benchmarks.bench_import_tables import large

    spec = {"how": "tsne", "dims": 2}
    maps = [queue.derive(ws, "map", run, spec, seed) for seed in range(1, 30)]
    table, imports = large(200_000), []
    for number in range(8):
        file = home / f"large-{number}.csv"
        batch = pa.array(np.full(table.num_rows, number))  # or it would be the very same data
        pa.csv.write_csv(table.append_column("batch", batch), file)
        imports.append(queue.import_data(ws, file, name=f"large {number}"))
    return [maps[0].id, imports[0].id]


def measure_beside(
    ws: Any, home: Path, url: Any, query: str, run: str, server: psutil.Process
) -> None:
    """Print the seconds of page switches alone and beside jobs, and their ratios; the server's
    processor time tells whether it worked more or waited longer.
    """
    from core.jobs import queue

    used: list[float] = []

    def switches() -> list[float]:
        began = _cpu(server)
        found = asyncio.run(_clients(url, query, 1))
        times = [t for times in found.values() for t in times]
        used.append((_cpu(server) - began) / len(times))
        return times

    found = {"alone": switches()}
    training = queue.train(ws, "many", "gaussian_vae", {"epochs": 1000})
    try:
        wait_running(ws, [training.id])
        found["beside a training"] = switches()
        wait_running(ws, more_jobs(ws, home, run))
        found["beside a training, a map and an import"] = switches()
        still = sorted(job.kind for job in ws.catalogue.jobs(status="running"))
        print(f"at work to the end: {', '.join(still)}")
    finally:
        left = ws.catalogue.jobs(status="queued") + ws.catalogue.jobs(status="running")
        for job in left:
            queue.cancel(ws, job.id)
        for job in left:
            queue.wait(ws, job.id, timeout=120)
    found["alone again"] = switches()
    usual = np.minimum(*(np.percentile(found[name], [50, 95]) for name in ("alone", "alone again")))
    for (name, times), processor in zip(found.items(), used, strict=True):
        low, high = np.percentile(times, [50, 95])
        print(
            f"{name}: p50 {low:.2f} s, p95 {high:.2f} s of {len(times)} switches; ratio to alone"
            f" {low / usual[0]:.2f} and {high / usual[1]:.2f}; processor {processor:.2f} s each",
            flush=True,
        )


def tell_cpu(found: dict[str, float]) -> None:
    words = ", ".join(f"{page or 'home'} {seconds:.3f}" for page, seconds in found.items())
    print(f"processor seconds a switch: {words}; all {sum(found.values()):.3f}")


def tell_memory(sizes: list[int]) -> None:
    first, last = (size / 2**20 for size in (sizes[0], sizes[-1]))
    print(
        f"memory before {len(sizes) - 1} sessions {first:.0f} MiB, after {last:.0f} MiB "
        f"({last / first - 1:+.1%}), most between {max(sizes) / 2**20:.0f} MiB"
    )


def main() -> None:
    from core.jobs import queue
    from core.workspace.workspace import Workspace

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--training", action="store_true")
    asked.add_argument("--beside", action="store_true")
    asked.add_argument("--cpu", action="store_true")
    asked.add_argument("--sessions", type=int, default=0)
    asked.add_argument("--rows", type=int, default=ROWS)
    asked.add_argument("--home", type=Path, help="a folder prepared before, or to prepare")
    told = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = told.home or Path(folder)
        ws = Workspace(home / "ws")
        run = find_prepared(home) or prepared(home, told.rows)
        job = ws.job(run)
        if told.training:
            params = {"epochs": 1000}
            training = queue.train(ws, "many", "gaussian_vae", params)
        with serving({"LIGHTBOX_HOME": str(home / "ws")}, home / "app.log") as url:
            query = f"dataset={job.dataset}&run={run}"
            server = psutil.Process(json.loads((ws.home / "server.json").read_text())["pid"])
            if told.cpu:
                tell_cpu(asyncio.run(measure_cpu(url, query, server)))
            if told.sessions:
                sizes = asyncio.run(measure_memory(url, query, server, told.sessions))
                tell_memory(sizes)
            if told.beside:
                measure_beside(ws, home, url, query, run, server)
            if not (told.cpu or told.sessions or told.beside):
                tell(1, asyncio.run(_clients(url, query, 1)))
                tell(CLIENTS, asyncio.run(_clients(url, query, CLIENTS)))
        if told.training:
            queue.cancel(ws, training.id)
            queue.wait(ws, training.id, timeout=60)


if __name__ == "__main__":
    main()
