"""The clock of the benchmarks that compare speed with a rival in the same process."""

from __future__ import annotations

import time

import numpy as np
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def now() -> np.ndarray:
    """Seconds on the clock and of processor time, all that was asked of the device being done."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return np.array([time.perf_counter(), time.process_time()])
