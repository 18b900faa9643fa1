"""Reading what people bring: one call sniffs the content, picks the reader, adds a split and fills
the card.

All of it comes in, or nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from core import limits
from core.data import deidentify, identifying
from core.data.dataset import TECHNICAL, Dataset
from core.data.normal import make_normal_entries
from core.data.readers import (
    contours,
    dicom,
    fasta,
    images,
    label_files,
    nifti_file,
    npz,
    packed_tables,
    scan_folders,
    scan_masks,
    tables,
    time_tables,
)
from core.data.readers.asked_roles import find_roles, merge_asked_roles
from core.data.readers.choice import (
    choose_reader,
    count_kinds,
    find_usual_kind,
    keep_kind,
    read_with_sheets,
)
from core.data.readers.files import Asked, Member, collect, cut_suffix
from core.data.readers.kinds import identify_kind
from core.data.role_guess import dataset_roles, guesses_to_card
from core.data.splits import add_split
from core.errors import UserError
from core.io.memory import keep_freed_memory


def read(
    path: Path,
    *,
    name: str | None = None,
    label: str = "auto",
    group: str | None = None,
    domain: str | None = None,
    text: str | None = None,
    masks: Path | None = None,
    seed: int = 0,
    key: bytes | None = None,
    source: str | None = None,
    series: str = "auto",
    stack: Literal["auto", "slices", "volumes"] = "auto",
    report: Callable[[int, int], None] | None = None,
    take: str = "auto",
    roles: dict[str, str] | None = None,
    looked: dict[str, str] | None = None,
    normal: str = "",
    remove: Sequence[str] = (),
    replace: Sequence[str] = (),
    accepted: dict[str, Any] | None = None,
) -> Dataset:
    """Read a file, zip or folder into a Dataset (not stored yet).

    label: a column, "folder" (sub-folder = class), "none", or "auto". group, domain, text: columns,
    found when None; text "none" keeps a table a table. masks: a file or folder of masks with the
    names of the pictures or scans. key: of the workspace, for new patient ids. series: whether text
    tables are recordings: "auto" looks, "yes" or "no" says so. stack: what series of DICOM slices
    become (auto: volumes from three even stacks on). take: where files of several kinds lie
    together, the kind (a key of READERS) to take; the others are left out and named. source: what
    the card calls the place it came from (the path's name by default). report: hears how many files
    of how many are read. roles: columns and the role (see `core.data.roles`) a person gave each;
    looked: those the first lines showed, so that the card says where the whole differs. normal: the
    label of the cases that are normal (guessed when ""). Names of DICOM files and of what lies
    around them appear nowhere, errors among it: they may be names of people. Raises UserError, one
    sentence naming file, row or column, for anything that cannot come in whole.
    """
    keep_freed_memory()
    path = Path(path)
    members = _collected(path, masks)
    more: dict[str, Any] = {k: v for k, v in (("key", key), ("report", report)) if v is not None}
    members, others = keep_kind(members, take, path.name)
    members, joined = label_files.join_label_files(members)
    label, group, domain, told = merge_asked_roles(label, group, domain, roles or {})
    identifying.check_fates(remove, replace, told)
    asked = Asked(
        label,
        group,
        domain,
        text,
        masks if masks is None else Path(masks),
        stack,
        roles=told,
        looked=looked or {},
        **more,
    )
    called = "What you brought" if any(dicom.is_dicom(m) for m in members) else path.name
    reader, used, aside = choose_reader(members, called, asked, series)
    _check_asked(asked, reader is tables.read, called)
    if reader is tables.read:  # what goes is not learned from
        asked = dataclasses.replace(asked, roles=dict.fromkeys(remove, "left out") | told)
    try:
        draft = reader(used, asked)
    except MemoryError:
        raise UserError(f"{called} is too large for this machine's memory; split it.") from None
    _check_size(draft, called)
    found, guessed = draft.roles, {}
    if "roles" not in draft.card:
        guesses = find_roles(draft.table, draft.roles, asked)
        found = {**draft.roles, **dataset_roles(guesses)}
        guessed = {"roles": guesses_to_card(guesses)}
    table, found, rule = add_split(draft.table, found, seed)
    card: dict[str, Any] = {
        "source": source or path.name,
        "licence": "not stated",
        "about": "",
        "synthetic": False,
        "split rule": rule,
        **guessed,
        **draft.card,
    }
    table = deidentify.rename_values(table, card.pop("names", {}))
    if remove or replace:
        beside = () if reader is tables.read else set(map(str, table.columns))
        gone, new = ([c for c in names if not beside or c in beside] for names in (remove, replace))
        table = identifying.deidentify_columns(table, found, draft.features, gone, new, asked.key)
        identifying.forget_columns(card, remove)
        card["columns"] = {"removed": list(remove), "replaced": list(replace)}
        card["rules"] = [*card.get("rules", []), *identifying.describe_fates(remove, replace)]
    if accepted:
        card["accepted"] = identifying.make_acceptance(
            accepted.get("by", ""),
            accepted.get("at", ""),
            accepted.get("list", []),
            accepted.get("looked", ""),
        )
    if joined:
        card["rules"] = [*joined, *card.get("rules", [])]
    left_out = [*aside, *others, *card.pop("left out", [])]
    if left_out:
        card["left out"] = _shortened(left_out)
    card["missing values"] = _missing_values(table)
    own_name = card.pop("name", None)
    data = Dataset(
        name or own_name or (path.name if path.is_dir() else cut_suffix(path.name)),
        draft.modality,
        table,
        draft.samples,
        draft.masks,
        found,
        draft.features,
        draft.input_range,
        card,
    )
    card |= make_normal_entries(data, normal)
    return data


def _collected(path: Path, masks: Path | None) -> list[Member]:
    """Return the files at `path`. UserError where there are none, or nothing at `masks`."""
    if not path.exists():
        raise UserError(f"There is no file or folder {path.name}.")
    members = [packed_tables.unpack_table(m) for m in nifti_file.join_pairs(collect(path))]
    if not members:
        raise UserError(f"{path.name} holds no files to read.")
    if masks is not None and not Path(masks).exists():
        raise UserError(f"There is no file or folder {Path(masks).name} to take masks from.")
    return members


def _check_asked(asked: Asked, is_table: bool, called: str) -> None:
    """UserError where masks are given for a table, or a text column for anything else."""
    if asked.masks is not None and is_table:
        raise UserError("Masks are for pictures and scans; a table has none.")
    if asked.text not in (None, "none") and not is_table:
        raise UserError(
            f"A text column can be chosen for tables only; {called} holds something else."
        )


def _check_size(draft: Dataset, called: str) -> None:
    """UserError for fewer rows than can be learned from, and for more than are taken."""
    rows = len(draft.table)
    if rows < 2:
        raise UserError(
            f"{called} holds {rows} row{'s' * (rows != 1)}; at least 2 are needed to learn"
            " anything."
        )
    if rows > limits.ROWS:
        raise UserError(f"{called} holds {rows:,} rows; at most {limits.ROWS:,} are taken.")
    if draft.samples is not None and draft.samples.nbytes > limits.VALUES:
        raise UserError(
            f"{called} makes {draft.samples.nbytes >> 20:,} MB of samples; at most"
            f" {limits.VALUES >> 20:,} MB are taken."
        )


def _shortened(names: list[str], most: int = 100) -> list[str]:
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return [*names[:most], *more]


def _missing_values(table: pd.DataFrame) -> dict[str, int]:
    """How many values are missing in each column that misses any."""
    counts = table.isna().sum()
    return {str(c): int(k) for c, k in counts.items() if k and c not in TECHNICAL}


@dataclass(frozen=True)
class Chosen:
    """What a look before the import is about: `used` are the files that `reader` takes of all
    `members` at the path (None and [] where a person has to choose first), `found` what is known so
    far of their kinds (see `preview`), `called` what they are called in messages.
    """

    called: str
    asked: Asked
    found: dict[str, Any]
    members: list[Member]
    reader: Any = None
    used: list[Member] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Of the files that are read; "" where none was chosen."""
        return str(self.found.get("kind", ""))


def choose_members(
    path: Path,
    take: str = "auto",
    called: str = "",
    said: dict[str, Any] | None = None,
    watch: Callable[[Member], Member] = lambda member: member,
) -> Chosen:
    """Return which files at `path` an import would read, and how; arguments as of `preview`.
    `watch`: is given each file before it is opened for what it holds. UserError as of `read`.
    """
    called = called or Path(path).name
    said = said or {}
    members = [
        watch(packed_tables.unpack_table(m))
        for m in nifti_file.join_pairs(collect(Path(path), called))
    ]
    several = count_kinds(members)
    found: dict[str, Any] = {"kinds": dict(several.most_common())} if len(several) > 1 else {}
    usual = find_usual_kind(members) if found and take == "auto" else ""
    label, group, domain, told = merge_asked_roles(
        said.get("label", "auto"), said.get("group"), said.get("domain"), said.get("roles", {})
    )
    asked = Asked(label, group, domain, said.get("text"), roles=told)
    if usual:
        found["usual"] = usual
    elif found and take == "auto":
        return Chosen(called, asked, found, members)
    members, _ = keep_kind(members, take, called)
    members, _ = label_files.join_label_files(members)
    if not members:
        return Chosen(called, asked, found, members)
    reader, used, _ = choose_reader(members, called, asked, said.get("series", "auto"))
    if used:
        found |= {"kind": identify_kind(used[0]), "files": len(used)}
    return Chosen(called, asked, found, members, reader, used)


def preview(
    path: Path, take: str = "auto", called: str = "", said: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Quick look before import: "kind" of the files, "kinds" (with their numbers) when there are
    several of which one is to be chosen by `take`, the "usual" one of them where one is read
    without being chosen, and for tables, and sequences with tables beside them, more. `said`:
    label, group, domain and roles, as for `read`.

    files: how many files are read; outlines: how many files of outlines lie beside DICOM. columns,
    head (10 lines), "series" when the tables are recordings, and for tables types (column:
    "numbers", "words (5 different)", "dates", "text" …), looked (rows these are by), whole (whether
    that is all) and rules. Tables: from the first 1 MB of the first file, however large it is.
    guesses: for tables, the guessed role of each column (`core.data.role_guess.Guess`) with
    "words", how sure that is; classes: for columns of few values, and for pictures in folders
    ("folder"), the words there are; sizes: of pictures in folders, how many lie in each.
    """
    return describe_members(choose_members(path, take, called, said))


def describe_members(chosen: Chosen) -> dict[str, Any]:
    """Return what `preview` gives of files that were chosen."""
    found, reader, used, asked = dict(chosen.found), chosen.reader, chosen.used, chosen.asked
    if reader is None:
        return found
    if reader in (tables.read, time_tables.read):
        return (
            found
            | tables.preview_tables(used, asked)
            | ({"series": True} if reader is time_tables.read else {})
        )
    if reader is fasta.read:
        table = fasta.read(used, Asked()).table
        return found | {
            "columns": [str(c) for c in table.columns if c not in ("file", "sequence")],
            "head": table.drop(columns=["sequence"]).head(tables.HEAD_ROWS),
        }
    if reader is images.read:
        return found | images.preview_images(used, asked)
    if found.get("kind") == "npz":
        return found | npz.preview_arrays(used[0], asked)
    if isinstance(reader, partial) and reader.func is read_with_sheets:
        seen = tables.preview_tables(reader.args[1][:1], asked, inputs=False)
        found |= {k: seen[k] for k in ("columns", "guesses", "classes")}
    drawn = contours.find_outline_files(chosen.members) if found.get("kind") == "dicom" else []
    if drawn:
        found["outlines"] = len(drawn)
    if found.get("kind") == "dicom" and asked.label == "folder":
        names = pd.DataFrame({"file": [m.name for m in used]})
        of_files = images.add_folder_classes(names, {"file": "file"}, asked, auto=False)[0]
        found["classes"] = found.get("classes", {}) | {"folder": sorted(set(of_files["label"]))}
    if found.get("kind") == "nifti":
        scan_names = [m.name for m in used if not scan_masks.is_named(m)]
        by_name = (
            scan_folders.read_names(scan_names, asked) if scan_names else scan_folders.NameFacts()
        )
        of_folders = by_name.columns.get(by_name.roles.get("label", ""), [])
        if of_folders:
            found["classes"] = found.get("classes", {}) | {"folder": sorted(set(of_folders))}
        return found
    return found
