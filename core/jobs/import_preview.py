"""The look at an upload before it is imported: what it holds, a few pictures of it, what of it
could say who somebody is, and what the look cost.

Meant for `core.sandbox.run(LOOK, ...)`: uploads are hostile, and the look is kept within the bounds
of a first look, as the import within its own. It stores nothing; a few files are opened, of the
others the first bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from core.data import identifying
from core.data.readers import Chosen, choose_members, describe_members, wfdb
from core.data.readers.choice import read_with_sheets
from core.errors import UserError
from core.jobs import preview_pictures as drawn
from core.jobs.preview_meter import Meter
from core.words import size

LOOK = "core.jobs.import_preview:look"
NAMES = 200  # names of files that are listed
NAMED = ("picture", "nifti", "edf", "wfdb", "fasta")  # kinds whose names come in as they are


def look(
    path: Path, take: str = "auto", called: str = "", said: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what `core.data.readers.preview` gives, with its arguments, and more.

    pictures: {"title", "words", "image" (uint8 [h,w,3]), "alt"} of a few cases, by class or scan;
    notes: sentences about the look, a file that cannot be read among them; names: of the first 200
    files that keep theirs, which may be names of people (none of DICOM); identifying: the
    entries of `core.data.identifying`, columns excepted; columns of people: those
    (`identifying.list_columns`), with what is proposed; cost: see `Meter.told`.

    UserError as of `core.data.readers.read`, for what the first bytes and names of all files show.
    """
    meter = Meter()
    chosen = choose_members(path, take, called, said, meter.watch)
    found = describe_members(chosen)
    if chosen.reader is not None:
        found |= _pictures(chosen, meter)
        found["columns of people"] = identifying.list_columns(
            found.get("columns", []),
            found.get("guesses", []),
            found.get("head"),
            found.get("types", {}),
        )
    return found | {"cost": meter.told(len(chosen.members))}


def _pictures(chosen: Chosen, meter: Meter) -> dict[str, Any]:
    """Return "pictures", "notes" and "identifying" of the files that are read."""
    reader = chosen.reader
    if isinstance(reader, partial) and reader.func is read_with_sheets:
        reader = reader.args[0]
    kind = "wfdb" if reader is wfdb.read else chosen.kind
    draw = drawn.DRAWN.get(kind)
    entries = [] if kind in drawn.TABLES else identifying.fixed_entries(kind)
    pictures: list[drawn.Picture] = []
    notes: list[str] = []
    if draw is not None:
        try:
            pictures, notes, own = draw(chosen, meter)
            entries = own or entries
        except UserError as e:  # one of the files looked at
            notes = [f"{str(e).rstrip('.')}. {drawn.STOPS}"]
            entries = drawn.WITHOUT.get(kind, entries)
        except MemoryError:
            notes = ["The first files are too large for a look; the import may have room for them."]
            entries = drawn.WITHOUT.get(kind, entries)
        except Exception as e:  # whoever cannot see pictures can still import
            notes = [f"No picture could be drawn ({type(e).__name__}), by a fault of Lightbox."]
            entries = drawn.WITHOUT.get(kind, entries)
    kept = [m.name for m in chosen.used[:NAMES]] if kind in NAMED else []
    return {"pictures": pictures, "notes": notes, "names": kept, "identifying": entries}


def describe_cost(cost: dict[str, Any]) -> str:
    """Say what a look cost."""
    others = cost["of"] - cost["files"]
    rest = f" (of the other{'s' * (others > 1)} only the first bytes)" if others > 0 else ""
    return (
        f"Looked at {cost['files']:,} of {cost['of']:,} file{'s' * (cost['of'] != 1)}{rest}:"
        f" {size(cost['bytes'])} in {cost['seconds']:.1f} s. Nothing of this look is stored."
    )


def list_entries(
    found: dict[str, Any], fates: dict[str, str] | None = None
) -> list[dict[str, str]]:
    """Return the whole list of a look: its own entries, and those of its columns by `fates` (column
    -> fate; what is proposed by default).
    """
    columns: Sequence[dict[str, Any]] = found.get("columns of people", [])
    if fates is None:
        fates = {c["column"]: c["fate"] for c in columns}
    entries = list(found.get("identifying", identifying.fixed_entries("")))
    names = found.get("columns", [])
    if names:
        entries += identifying.column_entries(columns, fates, len(names))
        if found.get("kind") == "dicom":
            entries.append(identifying.JOINING)
    return entries
