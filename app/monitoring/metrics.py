"""Figures of a server in the format of Prometheus: by project, kind and state, never by names of
people, patients, files or datasets. What each means stands in docs/how-to/run-a-server.md.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.monitoring import checks
from core.errors import UserError
from core.io.room import look_at_room
from core.settings import Settings
from core.workspace.catalogue import STATES

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

LEVELS = {"ok": 0, "low": 1, "full": 2}
WITHOUT = "Figures for Prometheus need the extra for them: pip install lightbox[metrics]."


def write_metrics() -> bytes:
    """Return all figures in Prometheus' text format 0.0.4. UserError without the extra `metrics`,
    or where the register of people does not answer.
    """
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
    except ModuleNotFoundError:
        raise UserError(WITHOUT) from None
    homes = checks.homes()  # first: its refusal is the answer
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Server(homes))
    return generate_latest(registry)


class _Server:
    """What Prometheus' library asks for figures."""

    def __init__(self, homes: dict[str, Path]) -> None:
        self.homes = homes

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        made = _families()
        made["lightbox_sessions"].add_metric([], count_sessions())
        disk = shutil.disk_usage(Settings().projects or Settings().home)
        made["lightbox_disk_free_bytes"].add_metric([], disk.free)
        made["lightbox_disk_total_bytes"].add_metric([], disk.total)
        for project, home in self.homes.items():
            _add_project(made, project, home)
        yield from made.values()


def _families() -> dict[str, GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    told = {
        "lightbox_sessions": ("Pages that are open in browsers, of this server process.", []),
        "lightbox_disk_free_bytes": ("Free bytes of the disk.", []),
        "lightbox_disk_total_bytes": ("Bytes of the disk.", []),
        "lightbox_room_level": ("0: there is room, 1: it is low, 2: full.", ["project"]),
        "lightbox_used_bytes": (
            "Bytes that a project takes up, where there is a quota.",
            ["project"],
        ),
        "lightbox_quota_bytes": ("Bytes that it may take up.", ["project"]),
        "lightbox_jobs": ("Jobs in the catalogue.", ["project", "kind", "state"]),
        "lightbox_queue_length": ("Jobs that wait.", ["project"]),
        "lightbox_compute_seconds": ("Seconds that its jobs have computed.", ["project", "kind"]),
        "lightbox_catalogue_seconds": ("Seconds of one question to the catalogue.", ["project"]),
        "lightbox_up": ("1 where a part of a project is well.", ["project", "part"]),
    }
    return {name: GaugeMetricFamily(name, words, labels=of) for name, (words, of) in told.items()}


def _add_project(made: dict[str, GaugeMetricFamily], project: str, home: Path) -> None:
    """Add a project's figures; of a catalogue that does not answer there is only that."""
    for part, found in checks.check_workspace(home).items():
        made["lightbox_up"].add_metric([project, part], int(found.ok))
    try:
        room = look_at_room(home)
        began = time.perf_counter()
        counted = checks.open_workspace(str(home)).catalogue.count_jobs()
        asked = time.perf_counter() - began
    except (OSError, UserError):
        return
    made["lightbox_room_level"].add_metric([project], LEVELS[room.level])
    if room.quota and room.used is not None:
        made["lightbox_used_bytes"].add_metric([project], room.used)
        made["lightbox_quota_bytes"].add_metric([project], room.quota)
    made["lightbox_catalogue_seconds"].add_metric([project], asked)
    waiting, seconds = 0, dict.fromkeys({kind for kind, *_ in counted} | {"train"}, 0.0)
    many_of = {(kind, state): many for kind, state, many, _ in counted}
    for kind in seconds:
        for state in STATES:
            made["lightbox_jobs"].add_metric([project, kind, state], many_of.get((kind, state), 0))
    for kind, state, many, took in counted:
        waiting += many if state == "queued" else 0
        seconds[kind] += took
    made["lightbox_queue_length"].add_metric([project], waiting)
    for kind, took in seconds.items():
        made["lightbox_compute_seconds"].add_metric([project, kind], took)


def count_sessions() -> int:
    """Return how many pages are open in browsers; 0 where no server runs in this process."""
    from streamlit import runtime

    if not runtime.exists():
        return 0
    # Trap: internal to Streamlit (1.67), see app.outside.orders
    return len(runtime.get_instance()._session_mgr.list_active_sessions())
