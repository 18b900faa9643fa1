"""A shared server under load: ten people in browsers, and a hundred open pages, beside a training.

`python -m tests.benchmarks.bench_load [--servers 2] [--rows 10000] [--home FOLDER]`. Bounded: about
six minutes. Ten sessions of one Chromium each look at pages, select and upload, with pauses; then a
hundred clients over the websocket of a page (`bench_clients` says how) look at two pages each.
Told are p50 and p95 of a switch, a selection and an upload, the memory of the servers, and whether
every run that was asked for meanwhile is done. `--servers 2`: two processes on the same projects,
the sessions shared out by turns, as a sticky proxy does.

Chromium and the clients take the processors of the same machine: what is told is an upper bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.benchmarks.bench_app import ROWS, find_prepared, prepared
from tests.benchmarks.bench_clients import Client
from tests.browser.conftest import FLAGS, _free_port, chromium, serving

PERSON = "load@hospital.example"
SESSIONS, CLIENTS = 10, 100
PAGES = ("Data", "Train", "Runs", "Results", "Clusters", "Anomalies", "Library")
ROUNDS = 2  # of four switches and a selection, for each session, then an upload
LONGEST = 150.0  # seconds after which a part of it ends
RUNS = 10  # small trainings asked for meanwhile
Times = dict[str, list[float]]


async def _timed(found: Times, what: str, act: Callable[[], Awaitable[Any]]) -> None:
    began = time.perf_counter()
    await act()
    found.setdefault(what, []).append(time.perf_counter() - began)


async def _idle(page: Any) -> None:
    await page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


async def _session(page: Any, url: str, query: str, number: int, table: Path, found: Times) -> None:
    """One person at the screen; what each thing took goes into `found`, seconds."""
    order = np.random.default_rng(number)

    async def opened() -> None:
        await page.goto(f"{url}/?{query}")
        await page.get_by_text("You are owner here.").wait_for()
        await _idle(page)

    async def switch(name: str) -> None:
        link = page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True)
        await link.click()
        await page.wait_for_function("n => document.title.startsWith(n)", arg=name)
        await _idle(page)

    async def select(group: str) -> None:
        await page.locator(f'[class*="st-key-group-{group}"] button').click()
        await page.get_by_text(f"Selection: {'500' if group == 'some' else '50'} of").wait_for()
        await _idle(page)

    async def upload() -> None:
        await page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(str(table))
        await page.get_by_text("are in the workspace").first.wait_for()

    await _timed(found, "first page", opened)
    for round_ in range(ROUNDS):
        for name in order.permutation(PAGES)[:4]:
            await _timed(found, "switch", lambda name=str(name): switch(name))
            await asyncio.sleep(float(order.uniform(1, 3)))
        await page.get_by_role("button", name="Selection:").click()
        await _timed(found, "selection", lambda at=round_: select(("some", "few")[at % 2]))
        await page.keyboard.press("Escape")
    await switch("Data")
    await page.get_by_role("tab", name="Add data").click()
    await page.get_by_test_id("stFileUploaderDropzoneInput").wait_for(state="attached")
    await _idle(page)
    await _timed(found, "upload", upload)


async def _browsers(urls: list[str], query: str, table: Path, many: int) -> tuple[Times, list[str]]:
    """All sessions at once: their seconds, and what went wrong in which."""
    found: Times = {}
    from playwright.async_api import async_playwright

    async with async_playwright() as p:
        started = await p.chromium.launch(executable_path=chromium(), args=FLAGS)

        async def one(number: int) -> None:
            context = await started.new_context(
                viewport={"width": 1440, "height": 900},
                extra_http_headers={"X-Forwarded-Email": PERSON},
            )
            page = await context.new_page()
            page.set_default_timeout(60_000)
            await asyncio.sleep(0.5 * number)
            url = urls[number % len(urls)]
            did = _session(page, url, query, number, table, found)
            await asyncio.wait_for(did, LONGEST)

        ended = await asyncio.gather(*map(one, range(many)), return_exceptions=True)
        await started.close()
    return found, _failures("session", ended)


async def _clients(urls: list[str], query: str, many: int) -> tuple[Times, list[str]]:
    """All clients at once: each opens a page, waits, and looks at two more."""
    from websockets.asyncio.client import connect

    found: Times = {}

    async def one(number: int) -> None:
        order = np.random.default_rng(number)
        await asyncio.sleep(0.3 * number)
        url = urls[number % len(urls)]
        async with connect(
            url.replace("http", "ws") + "/_stcore/stream",
            additional_headers={"X-Forwarded-Email": PERSON, "Origin": url},
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            open_timeout=60,
        ) as socket:
            client = Client(socket, query)
            await _timed(found, "first page", client.ask)
            for name in order.permutation([p.lower() for p in PAGES])[:2]:
                await asyncio.sleep(float(order.uniform(10, 30)))
                await _timed(found, "switch", lambda name=str(name): client.switch(name))
            await asyncio.sleep(max(0.0, 50 - 0.3 * number))  # all are open at one time

    waits = (asyncio.wait_for(one(number), LONGEST) for number in range(many))
    ended = await asyncio.gather(*waits, return_exceptions=True)
    return found, _failures("client", ended)


def _failures(who: str, ended: list[Any]) -> list[str]:
    """Why some did not get to the end: the first line of each error."""
    return [
        f"{who} {i}: {type(e).__name__} {str(e).splitlines()[:3]}"
        for i, e in enumerate(ended)
        if isinstance(e, BaseException)
    ]


def _tell(who: str, found: Times, wrong: list[str]) -> None:
    for what, times in found.items():
        low, high = np.percentile(times, [50, 95])
        print(f"{who}, {what}: p50 {low:.2f} s, p95 {high:.2f} s, n = {len(times)}", flush=True)
    print(
        f"{who}: {len(wrong)} did not get to the end{': ' if wrong else ''}{', '.join(wrong[:5])}"
    )


def _prepare(home: Path, rows: int) -> tuple[Any, str, Path]:
    """The project `ws` with data, a run and two groups; gives it, the query of a page, a table."""
    from core.people.register import Register
    from core.workspace import notes
    from core.workspace.workspace import Workspace

    run = find_prepared(home) or prepared(home, rows)
    ws = Workspace(home / "ws")
    people = Register(home)
    if not people.projects():
        people.add_project("ws", "Load")
    people.set_role("ws", PERSON, "owner")
    if not notes.load_groups(ws, "many"):
        notes.save_group(ws, "many", "some", np.arange(500))
        notes.save_group(ws, "many", "few", np.arange(50))
    table = home / "measured.csv"
    table.write_text("id,a,b\n" + "".join(f"{i},{i % 7},{i * 0.37:.6f}\n" for i in range(10_000)))
    return ws, f"project=ws&dataset={ws.job(run).dataset}&run={run}", table


def main() -> None:
    from core.jobs import queue

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--servers", type=int, default=1)
    asked.add_argument("--rows", type=int, default=ROWS)
    asked.add_argument("--home", type=Path, help="a folder prepared before, or to prepare")
    asked.add_argument("--sessions", type=int, default=SESSIONS)
    asked.add_argument("--clients", type=int, default=CLIENTS)
    told = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        home = told.home or Path(folder)
        ws, query, table = _prepare(home, told.rows)
        env = {"LIGHTBOX_PROJECTS": str(home), "LIGHTBOX_LOGIN": "proxy"}
        ports = [_free_port() for _ in range(told.servers)]
        urls = [
            str(servers.enter_context(serving(env, home / f"{port}.log", port=port)))
            for port in ports
        ]
        facts = [home / "_server" / f"server-{port}.json" for port in ports]
        processes = [psutil.Process(json.loads(f.read_text())["pid"]) for f in facts]
        training = queue.train(ws, "many", "gaussian_vae", {"epochs": 1000})
        words = f"{told.rows:,} rows, {os.cpu_count()} cores, {told.servers} server(s)"
        print(f"{words}, load before {os.getloadavg()[0]:.1f}", flush=True)
        _tell_memory("at first", processes)
        runs = [queue.train(ws, "many", "pca", {"dimensions": 2 + k}).id for k in range(RUNS)]
        many = f"{told.sessions} sessions"
        _tell(many, *asyncio.run(_browsers(urls, query, table, told.sessions)))
        _tell_memory(f"after {many}", processes)
        many = f"{told.clients} clients"
        _tell(many, *asyncio.run(_clients(urls, query, told.clients)))
        _tell_memory(f"after {many}", processes)
        print(f"load after {os.getloadavg()[0]:.1f}", flush=True)
        went_on = ws.job(training.id).status
        queue.cancel(ws, training.id)
        queue.wait(ws, training.id, timeout=60)
        ended = [queue.wait(ws, id, timeout=300).status for id in runs]
        print(f"training beside it: {went_on}; {ended.count('done')} of {RUNS} runs done")


def _tell_memory(when: str, processes: list[psutil.Process]) -> None:
    sizes = [p.memory_info().rss / 2**20 for p in processes]
    print(f"memory {when}: {' + '.join(f'{s:.0f}' for s in sizes)} MiB", flush=True)


if __name__ == "__main__":
    main()
