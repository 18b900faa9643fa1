"""Two real processes that train methods together, `python -m tests.together RANK FOLDER ID...`, and
the losses they come to, in `FOLDER/ID.json`; what one process comes to is `alone`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from core.children import ROOT, environment, python_command
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_along, fit_and_apply
from core.training.ranks import Ranks
from core.training.run import Run
from tests.contract._fits import chosen_for, data_for, earlier

SIZE = 2
LIMIT = 400.0  # seconds for all of them


def train(id: str, ranks: Ranks | None = None) -> dict[str, Any]:
    """The curve's points, in order, and how many calls of networks were shared out."""
    data, kind = data_for(id), methods()[id]
    on = earlier(id, data)
    curve: list[tuple[int, dict[str, float]]] = []
    run = Run(
        device="cpu",
        on=on,
        chosen=chosen_for(id, data),
        ranks=ranks or Ranks(),
        report_to=lambda step, total, scalars: curve.append(
            (step, {k: float(v) for k, v in scalars.items()})
        ),
    )
    params = check_params(kind, kind.tiny)
    if ranks is None or ranks.leads:
        fit_and_apply(kind, params, data, run)
        return {"curve": curve, "shared": run.ranks.shared}
    fit_along(kind, params, data, run)
    return {}


def pair(folder: Path, ids: list[str], size: int = SIZE) -> dict[str, Any]:
    """What `size` processes come to together, by id."""
    several = [
        subprocess.Popen(
            python_command("tests.together", str(rank), str(size), str(folder), *ids),
            cwd=ROOT,
            env=environment(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1"),
        )
        for rank in range(size)
    ]
    try:
        codes = [one.wait(LIMIT) for one in several]
    finally:
        for one in several:
            one.kill()
    assert codes == [0] * size
    return {id: json.loads((folder / f"{id}.json").read_text()) for id in ids}


def main(rank: int, size: int, folder: Path, ids: list[str]) -> None:
    torch.set_num_threads(1)
    for id in ids:
        ranks = Ranks(rank, size, folder / f"meeting-{id}")
        found = train(id, ranks)
        if ranks.leads:
            (folder / f"{id}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
