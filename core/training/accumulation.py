"""What to do when memory does not suffice for a batch: compute it in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.training.run import Run


def split_batches(run: Run) -> bool:
    """Have `run` go on from its last checkpoint, or from the start where there is none, with each
    batch in twice as many parts, whose gradients are gathered.

    False when that is no way out: no batch was being learned from, or its parts are of two or
    three rows already.
    """
    size, standing = run.loop.size, run.loop.checkpoints
    if size < 4 * run.accumulation_steps:
        return False
    run.accumulation_steps *= 2
    parts = run.accumulation_steps
    run.note(
        f"Memory did not suffice for {-(-2 * size // parts)} cases at a time, so each batch of"
        f" {size} was computed in {parts} parts and their gradients gathered; statistics of a"
        " batch are those of a part."
    )
    run.resume = standing is not None and run.loop.number >= 0 and bool(standing.found())
    run.begin()
    return True
