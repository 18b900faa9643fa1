"""Whether a map is computed on a graphics card: the one place that decides, and what is done when
the card cannot do it.

The processors compute where there is no card, where trainings hold all of them, and where they can
lay out all rows: then a map is the same on every machine, and done before a card is ready. torch,
whose import takes a second, is imported only once all else speaks for a card.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from core.errors import UserError, is_out_of_memory
from core.settings import Settings
from core.training.device import choose_device, gpu_here

# rows up to which the processors lay out all together; above it a seeded sample of them, the
# landmarks, among which the others find their places
WHOLE = 200_000
# bytes that blocks of rows may take, one after another where memory does not suffice. Not a share
# of what is free: sums round by the sizes of blocks, and the same seed is to give the same map
ROOMS = (2 << 30, 256 << 20, 32 << 20)

T = TypeVar("T")


@dataclass
class Card:
    """A graphics card that may be used: torch's name for it, who hears what went wrong there, and
    whether something was computed there.
    """

    device: str
    note: Callable[[str], None] = lambda words: None
    used: bool = False


def choose_card(
    rows: int,
    find_free: Callable[[], list[int]],
    note: Callable[[str], None] = lambda words: None,
) -> Card | None:
    """Return the card on which a map of so many rows is to be computed, None where the processors
    are: as LIGHTBOX_MAPS_DEVICE says, and by itself for many rows on a card that is free.

    `find_free` gives torch's numbers of the cards that no training holds; it is asked only where
    that matters. `note` hears why a card is not used where one is demanded or expected. UserError
    where a card is demanded and none can be used.
    """
    wanted = Settings().maps_device
    if wanted == "cpu" or (wanted == "auto" and (rows <= WHOLE or not gpu_here())):
        return None
    try:
        found = choose_device(wanted, note)
    except UserError as e:
        raise UserError(
            "LIGHTBOX_MAPS_DEVICE demands a graphics card for maps, and none can be used here; set"
            " it to auto or cpu."
        ) from e
    if found.type != "cuda":
        return None
    free = find_free()
    if not free:
        note("Trainings hold the graphics cards, so the processors drew this map.")
        return None
    return Card(f"cuda:{free[0]}", note)


def compute(card: Card | None, there: Callable[[str, int], T], here: Callable[[], T]) -> T:
    """Return `there(device, room)` from the card, `room` = bytes that blocks of rows may take, or
    `here()` from the processors where there is no card. Where its memory does not suffice, it is
    tried with smaller blocks, then the processors do it, as where the card fails otherwise (the
    error goes to the job's log); `card.note` hears of that.
    """
    if card is None:
        return here()
    for room in ROOMS:
        try:
            made = there(card.device, room)
            card.used = True
            return made
        except RuntimeError as e:
            if not is_out_of_memory(e):
                traceback.print_exc()
                card.note(
                    "The graphics card failed, so the processors drew this map; the job's log says"
                    " how."
                )
                return here()
        # not within `except`, where what was computed so far is still held
        _free_memory(card.device)
    card.note("The graphics card's memory did not suffice, so the processors drew this map.")
    return here()


def _free_memory(device: str) -> None:
    """Give back to the card what torch keeps for later."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
