"""The processes that train one run together, each on its own part of every batch.

All of them do the same work from the same seed, so that what is no network's call (losses, random
numbers, schedules) is the same in each, and only the calls of the network that `Run.setup` gives
are shared out (`core.training.split_calls`). The first, rank 0, is the run: it alone writes,
reports and hears the user.
"""

from __future__ import annotations

import inspect
import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# for the slowest thing one process does while the others wait: rank 0 writes a checkpoint, or looks
# at measures
PATIENCE = timedelta(minutes=10)
LOOPBACK = ("lo", "lo0")  # interfaces that only this machine reaches
NETWORK = "GLOO_SOCKET_IFNAME"


@dataclass
class Ranks:
    """Which of the `size` processes that train together this one is; `meeting` is the file through
    which they find each other, on a disk of this machine. `shared`: calls of networks that were
    shared out so far.
    """

    rank: int = 0
    size: int = 1
    meeting: Path | None = None
    joined: bool = False
    shared: int = 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.size > 1

    @property
    def leads(self) -> bool:
        """Whether this process is the run: the others write and say nothing."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Meet the others, once: over the loopback interface (gloo), or between GPUs (NCCL)."""
        import torch.distributed as dist

        if self.joined or not self.several:
            return
        if NETWORK not in os.environ:
            here = [name for _, name in socket.if_nameindex() if name in LOOPBACK]
            if here:
                os.environ[NETWORK] = here[0]
        assert self.meeting is not None
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=dist.FileStore(str(self.meeting), self.size),
            rank=self.rank,
            world_size=self.size,
            timeout=PATIENCE,
        )
        self.joined = True

    def wait(self) -> None:
        """Wait until all have come here."""
        self.agree(0.0)

    def agree(self, value: float) -> float:
        """Return what rank 0 gives for `value`: what decides over the course of a training must not
        differ by a rounding.
        """
        if not self.joined:
            return value
        import torch
        import torch.distributed as dist

        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        told = torch.tensor([value], dtype=torch.float64, device=device)
        # a sum, so that rank 0 waits for the others as well
        dist.all_reduce(told if self.leads else told.zero_())
        return float(told)

    def leave(self) -> None:
        """Part from the others once all have come here."""
        if self.joined:
            import torch.distributed as dist

            self.wait()
            dist.destroy_process_group()
            self.joined = False


def open_shared_fabric(device: torch.device, precision: str, ranks: Ranks) -> Any:
    """Return a Lightning Fabric whose DDP averages the gradients of all processes of a run."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import ClusterEnvironment
    from lightning_fabric.strategies import DDPStrategy
    from torch.nn.parallel import DistributedDataParallel

    class Here(ClusterEnvironment):
        """What Fabric asks about processes that are there already, all on this machine."""

        creates_processes_externally = True
        main_address, main_port = "127.0.0.1", 0  # not asked: the processes have met

        @staticmethod
        def detect() -> bool:
            return False

        def world_size(self) -> int:
            return ranks.size

        def global_rank(self) -> int:
            return ranks.rank

        def local_rank(self) -> int:
            return ranks.rank

        def node_rank(self) -> int:
            return 0

        def set_world_size(self, size: int) -> None:
            pass

        def set_global_rank(self, rank: int) -> None:
            pass

    ranks.join(device)
    # buffers (running statistics) are the same everywhere: see `core.training.split_calls`; the
    # switch that keeps them from being sent at every call has another name from torch 2.13 on
    known: Any = inspect.signature(DistributedDataParallel).parameters
    switch = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    switches: dict[str, Any] = {switch: False}
    fabric = Fabric(
        accelerator=device.type,
        devices=ranks.size,
        strategy=DDPStrategy(**switches),
        precision=precision,  # type: ignore[arg-type]
        plugins=[Here()],
    )
    fabric.launch()
    return fabric
