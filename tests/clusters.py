"""A Ray cluster of two nodes on this machine, reached by this machine only."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from core.jobs.cluster import HOLD

NODE = {
    "memory": 3 << 30,
    "object_store_memory": 80_000_000,
    "include_dashboard": False,
    "node_ip_address": "127.0.0.1",
}


class Nodes:
    """Two nodes with a processor each, and a head that computes nothing, which no cluster can
    lose.
    """

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        cluster.add_node(num_cpus=0, **NODE)
        self.workers = [cluster.add_node(num_cpus=1, **NODE) for _ in range(2)]
        self.address: str = cluster.address

    def kill_node_of(self, pid: int) -> None:
        """Kill the node that the process `pid` computes on; what runs there is not touched."""
        above = {p.pid for p in psutil.Process(pid).parents()}
        (node,) = (n for n in self.workers if raylet(n) in above)
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers.remove(node)


def raylet(node: Any) -> int:
    """The number of the process that is a node."""
    return int(node.all_processes["raylet"][0].process.pid)


@contextmanager
def two_nodes() -> Iterator[Nodes]:
    """Skips where Ray is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv(HOLD, "0")
        patch.setenv("RAY_worker_niceness", "0")  # of 15 nothing is left beside other tests
        short = tempfile.mkdtemp(prefix="lb", dir="/tmp")  # paths of sockets have 107 letters
        patch.setenv("RAY_TMPDIR", short)
        pytest.importorskip("ray", reason="Ray is not installed: pip install lightbox[cluster]")
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        try:
            yield Nodes(cluster)
        finally:
            for node in cluster.list_all_nodes:
                node.kill_all_processes(check_alive=False, allow_graceful=False)
            shutil.rmtree(short, ignore_errors=True)
