"""A Ray cluster of two nodes on this machine, reached by this machine only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

import psutil
import pytest

from core.jobs.cluster import HOLD

# A head that computes nothing, which no cluster can lose, and two nodes with a processor each. In
# a process of its own, since Ray changes what signals do in the one that starts it.
START = """
import sys
from ray.cluster_utils import Cluster
one = dict(memory=3 << 30, object_store_memory=80_000_000, include_dashboard=False,
           node_ip_address="127.0.0.1")
cluster = Cluster()
nodes = [cluster.add_node(num_cpus=cpus, **one) for cpus in (0, *[1] * int(sys.argv[1]))]
print("address", cluster.address, flush=True)
for line in sys.stdin:  # the number of a raylet, to be killed, and fetched as init does
    found = [n for n in nodes if n.all_processes["raylet"][0].process.pid == int(line)]
    nodes.remove(found[0])
    cluster.remove_node(found[0], allow_graceful=False)
"""


class Nodes:
    """The cluster, at `address`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        lines = (line.split() for line in process.stdout)
        self.address = next((words[1] for words in lines if words[:1] == ["address"]), "")
        assert self.address, "the cluster did not start"

    def kill_node_of(self, pid: int) -> None:
        """Kill the node that the process `pid` computes on; what runs there is not touched."""
        (raylet,) = (p for p in psutil.Process(pid).parents() if p.name() == "raylet")
        assert self.process.stdin
        print(raylet.pid, file=self.process.stdin, flush=True)

    def end(self) -> None:
        """End all nodes and what runs on them."""
        here = [*psutil.Process(self.process.pid).children(recursive=True), self.process]
        for process in here:
            with suppress(psutil.Error):
                process.kill()
        self.process.communicate()


@contextmanager
def two_nodes(computing: int = 2) -> Iterator[Nodes]:
    """A cluster of `computing` nodes that compute. Skips where Ray is not installed."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install lightbox[cluster]")
    short = tempfile.mkdtemp(prefix="lb", dir="/tmp")  # paths of sockets have 107 letters at most
    env = {
        "RAY_USAGE_STATS_ENABLED": "0",
        HOLD: "0",
        "RAY_worker_niceness": "0",  # of 15 nothing is left beside other tests
        "RAY_TMPDIR": short,
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(computing)],
        env=os.environ | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    nodes = None
    try:
        nodes = Nodes(process)
        yield nodes
    finally:
        if nodes is None:
            process.kill()
        else:
            nodes.end()
        shutil.rmtree(short, ignore_errors=True)
