"""Reading what people bring: one call sniffs the content, picks the reader, adds a split and fills the card. All of it comes in, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers import arrays, pictures, scans, tables
from core.data.readers.members import Member, collect
from core.data.splits import add_split
from core.errors import UserError

HINTS = {
    "label": ("label", "class", "diagnosis", "target", "y", "condition", "outcome"),
    "group": ("patient", "patient_id", "patientid", "subject", "subject_id", "group", "case_id"),
    "domain": ("domain", "site", "hospital", "scanner", "center", "centre"),
    "split": ("split", "part", "subset", "fold_name"),
}


def read(
    path: Path, *, name: str | None = None, label: str = "auto", group: str | None = None, domain: str | None = None, text: str | None = None,
    masks: Path | None = None, seed: int = 0,
) -> Dataset:  # fmt: skip
    """Read a file, zip or folder into a Dataset (not stored yet).

    label: a column, "folder" (sub-folder = class), "none", or "auto". group, domain, text: columns; found by name when None.
    Raises UserError, one sentence naming file, row or column, for anything that cannot come in whole.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no file or folder {path.name}.")
    members = collect(path)
    if not members:
        raise UserError(f"{path.name} holds no files to read.")
    try:
        draft = _reader(members, path)(members, label, text, masks)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path.name} is too large for this machine's memory; split it.") from None
    if len(draft.table) < 2:
        raise UserError(f"{path.name} holds {len(draft.table)} row{'s' * (len(draft.table) != 1)}; at least 2 are needed to learn anything.")
    if len(draft.table) > limits.ROWS:
        raise UserError(f"{path.name} holds {len(draft.table):,} rows; at most {limits.ROWS:,} are taken.")
    roles = _roles(draft.table, draft.roles, label, group, domain)
    table, roles, rule = add_split(draft.table, roles, seed)
    card = {"source": path.name, "licence": "not stated", "about": "", "synthetic": False, "split rule": rule, **draft.card}
    card["missing values"] = {str(c): int(k) for c, k in table.isna().sum().items() if k}
    return Dataset(name or path.name.split(".")[0], draft.modality, table, draft.samples, draft.masks, roles, draft.features, draft.input_range, card)


def _reader(members: list[Member], path: Path) -> Callable[..., Dataset]:
    """The reader for what most of the members are, by their first bytes; UserError naming a stranger among them."""
    kinds = Counter(kind(m) for m in members)
    for single, reader in (("npz", arrays.read), ("npy", arrays.read), ("parquet", tables.read)):
        if kinds.get(single):
            if len(members) > 1:
                raise UserError(f"{path.name} mixes a {single} file with others; bring that one file alone.")
            return reader
    for many, reader in (("dicom", scans.read_dicom), ("nifti", scans.read_nifti), ("picture", pictures.read)):
        if kinds.get(many):
            allowed = {many, "table"} if many == "picture" else {many}
            odd = [m.name for m in members if kind(m) not in allowed]
            if odd:
                raise UserError(f"{odd[0]} is not a {many} file although the others are (no {many} header in it); remove it or mend it"
                                + (f"; {len(odd)} files are like that." if len(odd) > 1 else "."))  # fmt: skip
            return reader
    if kinds.get("table"):
        if len(members) > 1:
            raise UserError(f"{path.name} holds {len(members)} text files; bring one table.")
        return tables.read
    raise UserError(f"{members[0].name} is of a kind Lightbox does not read (it reads PNG, JPEG, TIFF, BMP, DICOM, NIfTI, npz, npy, CSV and Parquet).")


def kind(member: Member) -> str:
    """What a file is, by its first bytes."""
    head = member.head
    if head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff" or head[:4] in (b"II*\0", b"MM\0*") or (head[:2] == b"BM" and len(head) > 26):
        return "picture"
    if head[128:132] == b"DICM":
        return "dicom"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:6] == b"\x93NUMPY":
        return "npy"
    if head[:4] == b"PK\x03\x04":
        return "npz" if member.name.lower().endswith(".npz") else "zip"
    if head[344:348] in (b"n+1\0", b"ni1\0") or (head[:2] == b"\x1f\x8b" and member.name.lower().endswith((".nii.gz", ".nii"))):
        return "nifti"
    lower = member.name.lower()
    if lower.endswith(pictures.SUFFIXES):
        raise UserError(f"{member.name} is no picture although its name says so; its content is something else.")
    if lower.endswith((".csv", ".tsv", ".txt")) or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "table"
    return "unknown"


def _roles(table: pd.DataFrame, roles: dict[str, str], label: str, group: str | None, domain: str | None) -> dict[str, str]:
    """Roles asked for, else found by the columns' names. UserError when a column asked for is not there."""
    roles = dict(roles)
    lower = {str(c).lower().replace(" ", "_"): str(c) for c in table.columns}
    asked = {"label": None if label in ("auto", "folder", "none") else label, "group": group, "domain": domain}
    for role, column in asked.items():
        if column is not None:
            if column not in table.columns:
                raise UserError(f"There is no column “{column}” (there are: {', '.join(map(str, table.columns[:12]))}{' …' if table.shape[1] > 12 else ''}).")
            roles[role] = column
    for role, words in HINTS.items():
        if role in roles or (role == "label" and label in ("none", "folder")):
            continue
        found = next((lower[w] for w in words if w in lower and lower[w] not in roles.values()), None)
        if found is not None and (role != "label" or table[found].nunique() <= max(50, len(table) // 10)):
            roles[role] = found
    if label == "none":
        roles.pop("label", None)
    return roles


def preview(path: Path) -> dict[str, Any]:
    """Quick look at a table before import: its columns and first lines; {} for anything else."""
    members = collect(Path(path))
    if len(members) == 1 and kind(members[0]) in ("table", "parquet"):
        frame = tables.frame_of(members[0])
        return {"columns": [str(c) for c in frame.columns], "head": frame.head(5)}
    return {}


