"""Going on after a stop: what a training loop saves of its place, and how it is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.io.tensors import add_prefix, take_prefix
from core.training.checkpoints import FROM_SCRATCH, flat, unflat
from core.training.device import describe_place
from core.training.generators import generator_states, set_generator_states
from core.training.optimisers import suit_device

if TYPE_CHECKING:
    from core.training.loop import Loop


def save(loop: Loop, done: int) -> None:
    """Save the place in the batches, everything tracked and all generators, `done` steps into this
    loop.

    UserError instead when the loss or a weight is no finite number: what was saved last stays the
    last good one.
    """
    run, data = loop.run, loop.losses.data
    assert loop.checkpoints is not None
    assert data is not None
    loop.losses.check()
    loop.losses.check_weights(loop.net, done, loop.positions)
    state: dict[str, Any] = {
        "done": done,
        "data": data.hash,
        "plan": loop.plan,
        "parts": run.accumulation_steps,
        "where": describe_place(run.fabric),
    }
    drawn = generator_states(run)
    state |= {"rng": drawn["torch"]} | add_prefix("numpy", flat(drawn["numpy"]))
    if drawn["gpu"] is not None:
        state["rng_cuda"] = drawn["gpu"]
    for name, thing in _things(loop).items():
        state |= add_prefix(name, flat(thing.state_dict()))
    loop.checkpoints.save(loop.number, state)


def restore(loop: Loop) -> int:
    """Put back the newest whole checkpoint of this loop; gives its steps. 0 when the run is new,
    the loop was not reached, or the cases are others.
    """
    run, data = loop.run, loop.losses.data
    if loop.checkpoints is None:
        return 0
    if not run.resume:
        if loop.number == 0 and loop.writes:
            loop.checkpoints.clear()
        return 0
    state, damaged = loop.checkpoints.load(loop.number, tidy=loop.writes)
    if state is None:
        return 0
    assert data is not None
    # cases were excluded since: what it has learned from them must not go on
    if state["data"] != data.hash:
        run.note(
            "The cases in use had changed since it was stopped, so it began again from the start."
        )
        run.ranks.wait()  # until all have read it
        if loop.writes:
            loop.checkpoints.clear()
        return 0
    rows, size, epochs = state["plan"]
    if [rows, min(rows, size), epochs] != loop.plan:
        raise UserError(
            "This run cannot go on: it was begun with other batches than it would have now;"
            f" {FROM_SCRATCH}."
        )
    _put_back(loop, state)
    run.accumulation_steps = max(run.accumulation_steps, int(state.get("parts", 1)))
    run.note("It was stopped and resumed from its last checkpoint.")
    if damaged:
        run.note(
            "The newest checkpoint was damaged on the disk, so it went on from the one before."
        )
    if state["where"] != (here := describe_place(run.fabric)):
        run.note(
            f"It began on {state['where']} and went on on {here}: figures may differ a little from"
            " those of a run in one go."
        )
    return int(state["done"])


def _things(loop: Loop) -> dict[str, Any]:
    # the gradient scaler, where the precision has one
    return {**loop.tracked, "precision": loop.run.fabric.strategy.precision}


def _put_back(loop: Loop, state: dict[str, Any]) -> None:
    run = loop.run
    try:
        for key, thing in _things(loop).items():
            thing.load_state_dict(unflat(take_prefix(key, state), thing.state_dict()))
        if "optimiser" in loop.tracked:
            suit_device(loop.tracked["optimiser"])
    except (KeyError, IndexError, ValueError, RuntimeError) as e:
        raise UserError(
            "This run cannot go on: what it had saved is of another version of the method;"
            f" {FROM_SCRATCH}."
        ) from e
    numpy = unflat(take_prefix("numpy", state), run.rng.bit_generator.state)
    drawn = {"numpy": numpy, "torch": state["rng"], "gpu": state.get("rng_cuda")}
    set_generator_states(run, drawn)
