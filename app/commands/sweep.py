"""What `lightbox benchmark` has done as jobs, with one table: trainings of several methods,
settings and seeds on a dataset (`--on`), or the evidence of several cards.
"""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any

from app.commands._shared import say, workspace
from core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.jobs.sweep import Line, Value
    from core.workspace.catalogue import Job

SHOWN = 3  # measures of the table where none is asked for
LOOK = 0.5  # seconds between two looks
CHECKED = 10.0  # seconds between two looks whether there is somebody who starts the jobs
UP = "\x1b[{}F\x1b[J"  # so many lines up, and clear what is below


def run(
    dataset: str,
    methods: list[str],
    params: list[str],
    seeds: str,
    device: str,
    measures: list[str],
    cancel: bool,
    wait: bool,
    json: bool,
) -> None:
    """Start the sweep, or go on with it, and show its table until all have ended."""
    from core.jobs import sweep

    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"“{device}” is not a device; use auto, cpu or cuda.")
    ws = workspace()
    settings = [_setting(given) for given in params]
    planned = sweep.plan(ws, dataset, methods, settings, read_seeds(seeds), device)
    table = sweep.Table(ws, planned)
    if cancel:
        stopped = sweep.cancel(ws, planned)
        say({"stopped": stopped}, f"Stopped {stopped} of {len(planned.cells)} trainings.", json)
        return

    def jobs() -> list[Job]:
        return [job for job in sweep.find_jobs(ws, planned).values() if job is not None]

    sweep.start(ws, planned)
    if wait:
        follow(ws, jobs, lambda: table_words(table.lines(), measures), json)
    say(sweep.as_json(table), table_words(table.lines(), measures), json)
    require_well_ended(jobs())


def measure_cards(ids: list[str], folder: Path, cancel: bool, wait: bool, json: bool) -> None:
    """Measure the evidence of several cards as jobs, or go on with that, and show their table until
    all have ended.
    """
    from core.jobs.evidence_jobs import Measuring

    ws = workspace()
    asked = Measuring(tuple(dict.fromkeys(ids)), folder.absolute())
    if cancel:
        stopped = asked.cancel(ws)
        say({"stopped": stopped}, f"Stopped {stopped} of {len(asked.ids)} benchmarks.", json)
        return

    def jobs() -> list[Job]:
        return [job for job in asked.jobs(ws).values() if job is not None]

    asked.start(ws)
    if wait:
        follow(ws, jobs, lambda: card_words(asked.lines(ws)), json)
    lines = asked.lines(ws)
    say({"benchmarks": lines}, card_words(lines), json)
    require_well_ended(jobs())


def card_words(lines: list[dict[str, Any]]) -> str:
    """Return a line for each card: what became of it, seconds, and its first verdict."""
    wide = max(len(line["id"]) for line in lines)
    return "\n".join(
        f"{line['id']:<{wide}}  {line['status']:<11}  {line['seconds']:8.1f} s"
        f"  {line['verdict'] or line['error'] or ''}".rstrip()
        for line in lines
    )


def require_well_ended(jobs: list[Job]) -> None:
    """UserError where some did not end well."""
    bad = [job for job in jobs if job.ended and job.status != "done"]
    if bad:
        first = f": {bad[0].error}" if bad[0].error else "."
        raise UserError(
            f"{len(bad)} of {len(jobs)} did not end well; the first, run {bad[0].id}"
            f" ({bad[0].method}), was {bad[0].status}{first}"
        )


def follow(ws: Any, find: Callable[[], list[Job]], tell: Callable[[], str], json: bool) -> None:
    """Wait until all jobs have ended: on a terminal their table is drawn anew, elsewhere a line
    tells each that ends. UserError, which says that they go on, where that is broken off.
    """
    try:
        _follow(ws, find, tell, json)
    except KeyboardInterrupt:
        raise UserError(
            "They go on; the same command shows them again, and with --cancel it stops them."
        ) from None


def _follow(ws: Any, find: Callable[[], list[Job]], tell: Callable[[], str], json: bool) -> None:
    from core.jobs import queue

    live, drawn, told, checked = sys.stderr.isatty() and not json, 0, set[str](), time.monotonic()
    while True:
        jobs = find()
        ended = {job.id for job in jobs if job.ended}
        if live:
            words = tell()
            print(UP.format(drawn) * bool(drawn) + words, file=sys.stderr)
            drawn = words.count("\n") + 1
        elif not json:
            for job in jobs:
                if job.id in ended - told:
                    name = ", ".join(filter(None, (job.method, job.label)))
                    print(f"{name}: {job.status} (run {job.id})", file=sys.stderr)
        told |= ended
        if len(ended) == len(jobs):
            if live:
                print(UP.format(drawn), end="", file=sys.stderr)
            return
        if time.monotonic() - checked > CHECKED:
            checked = time.monotonic()
            queue.ensure_supervisor(ws)
        time.sleep(LOOK)


def read_seeds(given: str) -> list[int]:
    """Return the seeds that “0,1,5” or “0-4” names. UserError for other words."""
    seeds: list[int] = []
    for part in given.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if found is None:
            raise UserError(f"“{given}” is no list of seeds; write 0,1,2 or 0-4.")
        first = int(found[1])
        seeds += range(first, int(found[2] or first) + 1)
    if not seeds:
        raise UserError(f"“{given}” names no seed; write 0,1,2 or 0-4.")
    return seeds


def _setting(given: str) -> tuple[str, str, str]:
    """Return (method or "", parameter, value) of [METHOD.]KEY=VALUE."""
    key, equals, value = given.partition("=")
    method, dot, name = key.strip().rpartition(".")
    if not equals or not name or (dot and not method):
        raise UserError(f"“{given}” is not KEY=VALUE or METHOD.KEY=VALUE.")
    return method, name, value.strip()


def table_words(lines: list[Line], measures: list[str]) -> str:
    """Return the table: a line for each method and setting, of each measure the mean over its
    seeds, with the least and the largest.
    """
    keys = _shown(lines, measures)
    head = ["method", "setting", "done", *(f"{name} [{split}]" for name, split in keys)]
    body = [
        [
            line.method,
            line.setting or "as it comes",
            _state(line),
            *(_figure(line.values.get(key)) for key in keys),
        ]
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *body)
    ]
    if keys:
        rows.append("Mean, and range over the seeds that are done (no 95 % interval).")
    if len(lines) > 1 and any(split == "test" for _, split in keys):
        rows.append("Choose no setting by the test cases: they then tell no longer how good it is.")
    return "\n".join(rows)


def _shown(lines: list[Line], wanted: list[str]) -> list[tuple[str, str]]:
    """Return the measures that are shown, (name, split): those wanted, else the first that most
    lines have, those of test cases last, since no setting is to be chosen by them.
    """
    every = list(dict.fromkeys(key for line in lines for key in line.values))
    if wanted:
        return [k for k in every if k[0] in wanted or f"{k[0]} [{k[1]}]" in wanted]
    having = {key: sum(key in line.values for line in lines) for key in every}
    return sorted(every, key=lambda key: (key[1] == "test", -having[key]))[:SHOWN]


def _state(line: Line) -> str:
    """“2/3”, and what became of the others that will not come."""
    bad = [job.status for job in line.jobs if job is not None and job.ended]
    words = [f"{bad.count(s)} {s}" for s in ("failed", "cancelled", "interrupted") if s in bad]
    return ", ".join([f"{line.done}/{len(line.jobs)}", *words])


def _figure(value: Value | None) -> str:
    if value is None:
        return "-"
    return f"{value.mean:.3f}" + (f" ({value.low:.3f}–{value.high:.3f})" if value.n > 1 else "")
