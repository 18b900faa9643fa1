"""Ten people at once: seconds of a page switch, alone and beside nine others.

`python -m tests.benchmarks.bench_clients`. Each client speaks the browser's protocol over its own
websocket, so that no browser takes the processors from the server: it asks for a page and waits
until the page's script has finished. A training may run beside them (`--training`).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.bench_app import prepared
from tests.browser.conftest import serving

CLIENTS = 10
PAGES = ("data", "train", "runs", "results", "latent", "anomalies", "traversal", "library")
ROUNDS = 3


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


async def _client(url: Any, query: str, seed: int) -> dict[str, list[float]]:
    from websockets.asyncio.client import connect

    cookie = url.cookie
    headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Origin": str(url)}
    address = str(url).replace("http", "ws") + "/_stcore/stream"
    found: dict[str, list[float]] = {page: [] for page in PAGES}
    async with connect(
        address, additional_headers=headers, subprotocols=["streamlit"], max_size=None
    ) as socket:
        client = Client(socket, query)
        await client.ask()
        order = np.random.default_rng(seed)
        for _ in range(ROUNDS):
            for page in order.permutation(PAGES):
                found[page].append(await client.switch(str(page)))
                await asyncio.sleep(float(order.uniform(0.5, 2)))  # somebody looks at it
    return found


async def _clients(url: Any, query: str, many: int) -> dict[str, list[float]]:
    each = await asyncio.gather(*(_client(url, query, seed) for seed in range(many)))
    return {page: [t for found in each for t in found[page]] for page in PAGES}


def tell(many: int, found: dict[str, list[float]]) -> None:
    every = [t for times in found.values() for t in times]
    low, high = np.percentile(every, [50, 95])
    worst = max(found, key=lambda page: float(np.percentile(found[page], 95)))
    print(  # noqa: T201
        f"{many} at once: p50 {low:.2f} s, p95 {high:.2f} s of {len(every)} switches; "
        f"worst {worst}, p95 {np.percentile(found[worst], 95):.2f} s"
    )


def main() -> None:
    from core.jobs import queue
    from core.store.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run = prepared(home)
        ws = Workspace(home / "ws")
        job = ws.job(run)
        if "--training" in sys.argv:
            params = {"epochs": 1000}
            training = queue.train(ws, "many", "gaussian_vae", params)
        with serving({"LIGHTBOX_HOME": str(home / "ws")}, home / "app.log") as url:
            query = f"dataset={job.dataset}&run={run}"
            tell(1, asyncio.run(_clients(url, query, 1)))
            tell(CLIENTS, asyncio.run(_clients(url, query, CLIENTS)))
        if "--training" in sys.argv:
            queue.cancel(ws, training.id)
            queue.wait(ws, training.id, timeout=60)


if __name__ == "__main__":
    main()
