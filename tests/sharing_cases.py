"""Work shared out over a cluster, in a process of its own, since Ray changes what signals do in the
one that connects: `python -m tests.sharing_cases ADDRESS CASE`. Prints, as JSON, how many units
were done elsewhere and which results have other bits than alone.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from core.data.samples.catalogue import make_sample
from core.errors import Cancelled
from core.io.shared_work import Work, do, helped_by
from core.jobs import sharing
from core.jobs.cluster import HOLD
from core.method import check_params
from core.registry import methods
from core.training import run as run_module
from core.training.fit import fit_and_apply
from core.training.inference import map_rows
from core.training.run import Run
from tests.contract._fits import applied, columns, data_for, shared

TOLD: dict[str, Any] = {}


def compare(alone: dict[Any, np.ndarray], together: dict[Any, np.ndarray]) -> None:
    assert alone
    assert alone.keys() == together.keys()
    TOLD["other"] = [str(k) for k in alone if alone[k].tobytes() != together[k].tobytes()]


class Waiting(sharing.Sharing):
    """Leaves the cluster time to do some of what this process would have done in a moment."""

    def __call__(self, work: Work, *more: Any) -> None:
        def here(part: range) -> Any:
            if begun and not self.shared - before:
                time.sleep(min(2.0, 20 / work.units))
            begun.append(part)
            return work.here(part)

        before, begun = self.shared, []
        super().__call__(replace(work, here=here), *more)


def both(what: Callable[[], dict[Any, np.ndarray]]) -> None:
    """Compare what `what` gives alone and shared out."""
    alone = what()
    sharer = Waiting()
    with helped_by(sharer):
        together = what()
    TOLD["shared"] = sharer.shared
    compare(alone, together)


def apply_method(id: str) -> None:
    """What a model says of data, in batches of 4 rows so that there are many."""

    def few(fn: Any, data: Any, device: Any, size: int, *more: Any) -> Any:
        return map_rows(fn, data, device, 4, *more)

    method, data = shared(id)[0], data_for(id)
    run_module.map_rows = few
    both(lambda: columns(applied(id, method, data)))
    run_module.map_rows = map_rows


def find_neighbours() -> None:
    from core.neighbours import neighbours

    rng = np.random.default_rng(0)
    z = (rng.normal(size=(40, 8)) * 4)[rng.integers(0, 40, 8000)] + rng.normal(size=(8000, 8))
    both(lambda: dict(zip(("index", "distance"), neighbours(z.astype(np.float32), 15))))


def measure_all() -> None:
    from core.evaluate import measure
    from core.registry import measures

    data, kind = make_sample("digits"), methods()["classifier"]
    data = data.take(np.arange(600))
    _, made = fit_and_apply(kind, check_params(kind, kind.tiny), data, Run(device="cpu"))
    given = {f"{i}-{a.slug}": a for i in range(4) for a in made}

    def table() -> dict[str, np.ndarray]:
        found = measure(data, given, list(measures()))
        return {"all": np.array([repr(m) for m in found])}

    both(table)


class Slow:
    """Units that take a moment each; `done` counts those done in this process."""

    def __init__(self, units: int, seconds: float) -> None:
        self.units, self.seconds, self.found, self.done = units, seconds, {}, 0

    def work(self, **more: Any) -> Work:
        def here(part: range) -> np.ndarray:
            self.done += len(part)
            return slow_part(self.seconds, part)

        def keep(part: range, made: np.ndarray) -> None:
            assert part.start not in self.found
            self.found |= dict(zip(part, made.tolist(), strict=True))

        return Work(
            units=self.units,
            here=here,
            keep=keep,
            common=lambda: self.seconds,
            send=lambda part: part,
            open=as_it_is,
            there=slow_part,
            **more,
        )


def as_it_is(given: Any) -> Any:
    return given


def slow_part(seconds: float, part: range) -> np.ndarray:
    time.sleep(seconds * len(part))
    return np.array(part) ** 2


def failing_part(seconds: float, part: range) -> np.ndarray:
    raise RuntimeError("not here")


def lose_a_node() -> None:
    """One of two nodes goes while parts are under way."""
    slow, sharer = Slow(200, 0.1), sharing.Sharing()
    threading.Thread(target=kill_a_node_once, args=(sharer,), daemon=True).start()
    with helped_by(sharer):
        do(slow.work(), lambda: None, lambda done: None)
    TOLD["shared"], TOLD["here"] = sharer.shared, slow.done
    TOLD["right"] = slow.found == {i: i * i for i in range(200)}


def kill_a_node_once(sharer: sharing.Sharing) -> None:
    """Kill a node, not the job's own, while it is at a part."""
    while sharer.shared < 4:
        time.sleep(0.01)
    import ray

    own = ray.get_runtime_context().get_node_id()
    socket = next(n["RayletSocketName"] for n in ray.nodes() if n["NodeID"] == own)
    while True:
        busy = [p for p in psutil.process_iter(["cmdline"]) if "do_part" in " ".join(_words(p))]
        for process in busy:
            above = _raylet(process)
            if above is not None and all(not w.endswith(f"={socket}") for w in above.cmdline()):
                above.kill()
                process.kill()
                TOLD["killed"] = True
                return
        time.sleep(0.02)


def _words(process: psutil.Process) -> list[str]:
    return process.info["cmdline"] or []


def _raylet(process: psutil.Process) -> psutil.Process | None:
    """The raylet of the cluster at hand above a process; others have clusters of their own here."""
    above = []
    with suppress(psutil.Error):
        above = [p for p in process.parents() if p.name() == "raylet"]
    address = sys.argv[1].rpartition(":")[2]
    return above[0] if above and any(address in word for word in above[0].cmdline()) else None


def stop_it() -> None:
    slow, sharer, asked = Slow(2000, 0.02), sharing.Sharing(), []

    def check() -> None:
        if sharer.shared > 20:
            asked.append(time.monotonic())
            raise Cancelled

    with helped_by(sharer):
        try:
            do(slow.work(), check, lambda done: None)
        except Cancelled:
            TOLD["cancelled"] = True
    import ray

    end = time.monotonic() + 20
    while ray.available_resources().get("CPU", 0) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    TOLD["seconds"] = time.monotonic() - asked[0]


def order_matters() -> None:
    """A function that draws random numbers is done here, in order."""
    data = make_sample("digits").take(np.arange(400))

    def noisy() -> dict[str, np.ndarray]:
        import torch

        torch.manual_seed(0)

        def slowly(x: Any) -> Any:
            time.sleep(0.02)
            return x.flatten(1) + torch.rand(len(x), 1)

        return {"z": map_rows(slowly, data, torch.device("cpu"), 8, lambda: None)}

    both(noisy)


def fail_there() -> None:
    """What fails elsewhere is done here."""
    slow, sharer = Slow(60, 0.02), sharing.Sharing()
    with helped_by(sharer):
        do(replace(slow.work(), there=failing_part), lambda: None, lambda done: None)
    TOLD["shared"], TOLD["right"] = sharer.shared, slow.found == {i: i * i for i in range(60)}


CASES: dict[str, Callable[[], None]] = {
    **{
        id: partial(apply_method, id)
        for id in ("pca", "gaussian_vae", "table_anomaly", "ear", "dinomaly", "strega")
    },
    "neighbours": find_neighbours,
    "measures": measure_all,
    "lost": lose_a_node,
    "cancel": stop_it,
    "order": order_matters,
    "fails": fail_there,
}


def warm_up() -> None:
    """Have processes of the cluster import what computes."""
    slow, sharer = Slow(1200, 0.1), sharing.Sharing()

    def check() -> None:
        if sharer.shared > 10:
            raise Cancelled

    with helped_by(sharer), suppress(Cancelled):
        do(slow.work(), check, lambda done: None)


def main(address: str, cases: list[str]) -> None:
    os.environ |= {sharing.CLUSTER_AT: address, HOLD: "0", "RAY_USAGE_STATS_ENABLED": "0"}
    sharing.START, sharing.PART = 0.0, 1e-6  # what is shared out here is small
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(Path(folder))
        warm_up()
        for case in cases:
            TOLD.clear()
            CASES[case]()
            print(json.dumps({"case": case} | TOLD), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
