"""Turns of projects on one cluster: each has a supervisor of its own, and Ray keeps no order among
what waits for room there. So of each lane (trainings, trainings on GPUs, all else) only the project
whose turn it is hands over its next job; once that has its place the project goes to the end of the
line. A long queue holds another project's job by one job at most.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from core import __version__

NAMESPACE = "lightbox"
NAME = f"turns-{__version__}"
GONE = 10.0  # seconds without a question after which a project has left the line
ANSWER = 2.0  # seconds that an answer may take
GPU = "train on a GPU"  # the lane that a processor is of no use to


class Turns:
    """The lines, an actor of Ray's that everybody on the cluster asks. It holds nothing that is not
    told again within a second, so that a lost one is replaced.
    """

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, float]] = {}  # by lane: project -> when it asked last

    def ask(self, project: str, wants: list[str], placed: list[str]) -> list[str]:
        """Return the lanes in which it is the turn of `project`, of those it `wants`: in which a
        job of it waits, here or for its place. `placed`: in which a job got its place since.
        """
        now = time.monotonic()
        for lane, line in self._lines.items():
            if lane in placed or lane not in wants:
                line.pop(project, None)
        self._leave(now)
        for lane in wants:
            self._lines.setdefault(lane, {})[project] = now
        return [lane for lane in wants if next(iter(self._lines[lane])) == project]

    def waiting(self) -> list[str]:
        """Return the lanes in which a job of anybody's waits."""
        self._leave(time.monotonic())
        return [lane for lane, line in self._lines.items() if line]

    def _leave(self, now: float) -> None:
        for line in self._lines.values():
            for project in [p for p, asked in line.items() if now - asked > GONE]:
                del line[project]


def ask_turns(ray: Any, project: str, wants: list[str], placed: list[str]) -> list[str] | None:
    """Return what `Turns.ask` says; None where nobody answers now, so that all wait."""
    with suppress(Exception):  # a lost node, which Ray tells of in many ways: asked again soon
        turns = (
            ray.remote(Turns)
            .options(
                name=NAME,
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                num_cpus=0,
                max_restarts=-1,
            )
            .remote()
        )
        return list(ray.get(turns.ask.remote(project, wants, placed), timeout=ANSWER))
    return None


def somebody_waits(ray: Any) -> bool:
    """Whether a job of any project waits for what a job that shares its work out would take."""
    with suppress(Exception):  # nobody has asked for a turn yet, or the one who counts is lost
        turns = ray.get_actor(NAME, namespace=NAMESPACE)
        lanes = set(ray.get(turns.waiting.remote(), timeout=ANSWER))
        if ray.available_resources().get("GPU", 0) < 1:
            lanes.discard(GPU)
        return bool(lanes)
    return False
