"""What a run computes on: the processor or a GPU, in which precision, with seeded generators."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.training.ranks import Ranks, open_shared_fabric

if TYPE_CHECKING:
    import torch

GPUS = Path("/proc/driver/nvidia/gpus")  # one entry for each in the machine, usable or not


def gpu_here() -> bool:
    """Whether this machine has a graphics card of NVIDIA's, usable or not; looks for traces of its
    driver, since importing torch takes a second.
    """
    return (GPUS.exists() and any(GPUS.iterdir())) or shutil.which("nvidia-smi") is not None


def choose_device(device: str, note: Callable[[str], None]) -> torch.device:
    """Return the torch device that `device` ("auto", "cpu" or "cuda") means on this machine. `note`
    hears of a GPU that could not be used.

    UserError when "cuda" is asked for and there is none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "No CUDA device (graphics card) can be used here; have it computed on the"
            " processor (--device auto or cpu)."
        )
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", 0)
    # by the user; a lane's worker is shown its own card
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if device == "auto" and not hidden and gpu_here():
        note(
            "This machine has a GPU that could not be used (see its driver), so the processor"
            " computed this."
        )
    return torch.device("cpu")


def own_device(chosen: torch.device, ranks: Ranks) -> torch.device:
    """Return the device of this process of those that train together: each has a GPU of its own.
    UserError where there are fewer.
    """
    import torch

    if chosen.type != "cuda":
        return chosen
    if torch.cuda.device_count() < ranks.size:
        raise UserError(
            f"This run was to train on {ranks.size} GPUs, and {torch.cuda.device_count()} can be"
            " used here; train it with fewer processes, or on the processor (--device cpu)."
        )
    return torch.device("cuda", ranks.rank)


def open_fabric(device: torch.device, ranks: Ranks) -> Any:
    """Return a Lightning Fabric for `device`: bf16 mixed precision on a GPU that has it, else
    float32; its DDP where several processes train together. It looks through all installed packages
    for plug-ins, some milliseconds: whoever trains opens one, who only applies needs none.
    """
    import torch
    from lightning_fabric import Fabric

    gpu = device.type == "cuda"
    # older GPUs only imitate it, slowly
    fast = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    precision = "bf16-mixed" if fast else "32-true"
    if ranks.several:
        return open_shared_fabric(device, precision, ranks)
    return Fabric(accelerator=device.type, devices=1, precision=precision)  # type: ignore[arg-type]


def describe_place(fabric: Any) -> str:
    """Where and how it computes, in words."""
    where = "the GPU" if fabric.device.type == "cuda" else "the processor"
    return f"{where} ({fabric.strategy.precision.precision})"


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Torch's generators seeded inside, as they were outside; on a GPU its sums are taken in one
    order and in full float32 as well.

    Without that a GPU gives another result each time, and one a thousandth off the processor's.
    Networks in training are in bf16 all the same.
    """
    import torch

    there = torch.cuda.is_available()
    devices = list(range(torch.cuda.device_count())) if there else []
    with (
        torch.random.fork_rng(devices),
        fixed_order() if there and device != "cpu" else nullcontext(),
    ):
        torch.manual_seed(seed)
        yield


@contextmanager
def fixed_order() -> Iterator[None]:
    """Inside, torch computes on GPUs in a fixed order, where it can (elsewhere it warns), and
    rounds as on a processor.
    """
    import torch

    switches: Any = torch.utils.deterministic
    before, filled = torch.get_deterministic_debug_mode(), switches.fill_uninitialized_memory
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        torch.use_deterministic_algorithms(True, warn_only=True)
        # it costs time and guards against a mistake of ours only
        switches.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)
            switches.fill_uninitialized_memory = filled
