"""Reading what people bring: one call sniffs the content, picks the reader, adds a split and fills
the card.

All of it comes in, or nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from core import limits
from core.data import deidentify
from core.data.dataset import TECHNICAL, Dataset
from core.data.normal import normal_entries
from core.data.readers import (
    array_masks,
    contours,
    deep,
    dicom,
    dicom_masks,
    dicom_pictures,
    dicom_rows,
    edf,
    fasta,
    image_decoding,
    images,
    label_files,
    nifti,
    nifti_file,
    npz,
    packed_tables,
    scan_folders,
    scan_masks,
    tables,
    time_tables,
    unsupported,
    wfdb,
)
from core.data.readers.asked_roles import find_roles, one_asked
from core.data.readers.files import Asked, Member, collect
from core.data.role_guess import dataset_roles, stored
from core.data.splits import add_split
from core.errors import UserError

READERS = {
    "dicom": dicom.read,
    "nifti": nifti.read,
    "npz": npz.read,
    "npy": npz.read,
    "parquet": tables.read,
    "edf": edf.read,
    "fasta": fasta.read,
    "picture": images.read,
    "table": tables.read,
}
WORDS = {
    "npz": "an npz file",
    "npy": "an npy file",
    "parquet": "Parquet tables",
    "dicom": "DICOM files",
    "nifti": "NIfTI files",
    "edf": "EDF recordings",
    "fasta": "FASTA files",
    "picture": "pictures",
    "table": "tables",
}
SIDE = (
    ".txt",
    ".md",
    ".json",
    ".xml",
    ".yaml",
    ".yml",
    ".html",
    ".rst",
    ".log",
    ".pdf",
    ".bval",
    ".bvec",
    ".cfg",
    ".ini",
)
SIDE_NAMES = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|citation|changelog|changes|dicomdir)\b", re.I
)


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
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no file or folder {path.name}.")
    members = [packed_tables.plain(m) for m in nifti_file.paired(collect(path))]
    if not members:
        raise UserError(f"{path.name} holds no files to read.")
    if masks is not None and not Path(masks).exists():
        raise UserError(f"There is no file or folder {Path(masks).name} to take masks from.")
    more: dict[str, Any] = {k: v for k, v in (("key", key), ("report", report)) if v is not None}
    members, others = _of_kind(members, take, path.name)
    members, joined = label_files.joined(members)
    label, group, domain, told = one_asked(label, group, domain, roles or {})
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
    reader, used, aside = _chosen(members, called, asked, series)
    aside += others
    if masks is not None and reader is tables.read:
        raise UserError("Masks are for pictures and scans; a table has none.")
    if text not in (None, "none") and reader is not tables.read:
        raise UserError(
            f"A text column can be chosen for tables only; {called} holds something else."
        )
    try:
        draft = reader(used, asked)
    except MemoryError:
        raise UserError(f"{called} is too large for this machine's memory; split it.") from None
    if len(draft.table) < 2:
        raise UserError(
            f"{called} holds {len(draft.table)} row{'s' * (len(draft.table) != 1)}; at least 2 are"
            " needed to learn anything."
        )
    if len(draft.table) > limits.ROWS:
        raise UserError(
            f"{called} holds {len(draft.table):,} rows; at most {limits.ROWS:,} are taken."
        )
    if draft.samples is not None and draft.samples.nbytes > limits.VALUES:
        raise UserError(
            f"{called} makes {draft.samples.nbytes >> 20:,} MB of samples; at most"
            f" {limits.VALUES >> 20:,} MB are taken."
        )
    guesses, found = None, draft.roles
    if "roles" not in draft.card:
        guesses = find_roles(draft.table, draft.roles, asked)
        found = {**draft.roles, **dataset_roles(guesses)}
    table, found, rule = add_split(draft.table, found, seed)
    card = {
        "source": source or path.name,
        "licence": "not stated",
        "about": "",
        "synthetic": False,
        "split rule": rule,
        **({} if guesses is None else {"roles": stored(guesses)}),
        **draft.card,
    }
    if joined:
        card["rules"] = [*joined, *card.get("rules", [])]
    table = deidentify.renamed(table, card.pop("names", {}))
    aside += card.pop("left out", [])
    if aside:
        card["left out"] = aside[:100] + (
            [f"and {len(aside) - 100} more"] if len(aside) > 100 else []
        )
    card["missing values"] = {
        str(c): int(k) for c, k in table.isna().sum().items() if k and c not in TECHNICAL
    }
    name = name or card.get("name") or path.name.split(".")[0]
    card.pop("name", None)
    data = Dataset(
        name,
        draft.modality,
        table,
        draft.samples,
        draft.masks,
        found,
        draft.features,
        draft.input_range,
        card,
    )
    card |= normal_entries(data, normal)
    return data


def _chosen(
    members: list[Member], called: str, asked: Asked, series: str
) -> tuple[Callable[[list[Member], Asked], Dataset], list[Member], list[str]]:
    """The reader for what the members are, by their first bytes; the members it takes; the names of
    those left aside.

    Readme, licence and other side files (.txt, .md, .json, .xml ...) are left aside; UserError
    names other strangers.
    """
    # its signal and mark files have no mark of their own
    if any(wfdb.is_header(m) for m in members):
        return wfdb.read, members, []
    secret = any(dicom.is_dicom(m) for m in members)
    kinds = _kinds(members)
    there = Counter(kinds.values())
    main = next((k for k in READERS if there[k]), None)
    if main is None:
        first = dicom_rows.where(0, len(members)) if secret else members[0].name
        _name(members[0], first)
        raise UserError(
            f"{first} is of a kind Lightbox does not read (it reads PNG, JPEG, TIFF, BMP, DICOM,"
            " NIfTI, npz, npy, EDF, BDF, WFDB, FASTA, CSV, Excel's .xlsx and Parquet)."
        )
    drawn = contours.among(members) if main == "dicom" else []
    aside = [m for m in members if kinds[m.name] != main and _side(m) and m not in drawn]
    if main == "table":
        aside += [m for m in members if kinds[m.name] == main and SIDE_NAMES.match(m.parts[-1])]
        plain = [
            m
            for m in members
            if kinds[m.name] == main and m not in aside and m.name.lower().endswith(".txt")
        ]
        aside += plain if len(plain) + len(aside) < len(members) else []
    sheets = [
        m
        for m in members
        if kinds[m.name] == "table"
        and m not in [*aside, *drawn]
        and main in ("dicom", "nifti", "edf")
    ]
    beside = _masks_beside(main, members, kinds)
    laid = beside if main == "dicom" else []
    used = [m for m in members if m not in [*aside, *sheets, *drawn, *laid]]
    if not used:
        used, aside = aside, []
    both = {main, "table"} if main in ("picture", "fasta") else {main}
    masks = {m.name for m in used} & {m.name for m in beside}
    odd = [m for m in used if kinds[m.name] not in both and m.name not in masks]
    one = (
        ""
        if not odd
        else dicom_rows.where(members.index(odd[0]), len(members))
        if secret
        else odd[0].name
    )
    if odd and kinds[odd[0].name] in READERS:
        raise UserError(
            f"{called} mixes {WORDS[main]} with {WORDS[kinds[odd[0].name]]} ({one}); bring one kind"
            " at a time, or say which kind to take."
        )
    if odd:
        _name(odd[0], one)
        more = f" ({len(odd)} files are like that)" if len(odd) > 1 else ""
        raise UserError(
            f"{one} is of no kind Lightbox reads, unlike the {WORDS[main]} beside it; "
            f"remove it or fix it{more}."
        )
    if main == "table" and len(used) > 1:
        used, bare = tables.without_bare(used)
        aside += bare
    if main in ("npz", "npy") and len(used) > 1:
        raise UserError(f"{called} holds {len(used)} {main} files; bring one of them.")
    reader = partial(dicom.read, drawn=drawn, laid=laid) if drawn or laid else READERS[main]
    if series == "yes" and main not in ("table", "edf"):
        raise UserError(f"{called} holds {WORDS[main]}, which are no table to read as series.")
    if main == "table" and (
        series == "yes" or (series == "auto" and time_tables.found_in(used, asked))
    ):
        reader = time_tables.read
    return (
        (partial(_with_sheets, reader, sheets) if sheets else reader),
        used,
        dicom_rows.counted(aside) if secret else [m.name for m in aside],
    )


def _masks_beside(main: str, members: list[Member], kinds: dict[str, str]) -> list[Member]:
    """Files of other kinds beside scans that may hold their masks: NIfTI files, and pictures of the
    slices' names, beside DICOM; arrays called masks, of the scans' names, beside NIfTI."""
    of = {k: [m for m in members if kinds[m.name] == k] for k in ("nifti", "picture", "npy", main)}
    if main == "dicom":
        try:
            drawn = bool(of["picture"]) and dicom_pictures.are_masks(of["picture"], of[main])
        except UserError:  # a damaged picture is none of them
            drawn = False
        return [*of["nifti"], *(of["picture"] if drawn else [])]
    if main == "nifti" and of["npy"] and array_masks.are_masks(of["npy"], of["nifti"]):
        return of["npy"]
    return []


def kinds_of(members: list[Member]) -> Counter[str]:
    """How many files there are of each kind that cannot come in together: tables go beside
    anything, and side files are no kind.
    """
    found = _there(members)
    if found["dicom"] and found["nifti"]:
        laid = [m for m in members if nifti_file.is_nifti(m)]
        if all(map(dicom_masks.is_segmentation, laid)):
            del found["nifti"]  # masks of the slices
    if len(found) > 1 and (found["dicom"] or found["nifti"]):
        kinds = _kinds(members)
        for member in _masks_beside("dicom" if found["dicom"] else "nifti", members, kinds):
            if kinds[member.name] != "nifti":
                found[kinds[member.name]] -= 1
    return +found


def _there(members: list[Member]) -> Counter[str]:
    """How many files there are of each kind but tables and side files."""
    if any(wfdb.is_header(m) for m in members):
        return Counter()
    kinds = _kinds(members)
    return Counter(
        k for m in members if (k := kinds[m.name]) in READERS and k != "table" and not _side(m)
    )


def _of_kind(members: list[Member], take: str, called: str) -> tuple[list[Member], list[str]]:
    """The members without those of other kinds than `take`, and what was left out. UserError when
    there are none of it.
    """
    if take == "auto":
        return members, []
    there = _there(members)
    if take not in there:
        raise UserError(
            f"{called} holds no files of the kind “{take}” (there are:"
            f" {', '.join(there) or 'none to choose among'})."
        )
    kinds = _kinds(members)
    alone = ("table",) if take in ("npz", "npy") else ()  # nothing goes beside them
    masks = set(_masks_beside(take, members, kinds))
    left = {
        m.name: kinds[m.name]
        for m in members
        if not _side(m)
        and kinds[m.name] != take
        and kinds[m.name] in (*there, *alone)
        and m not in masks
    }
    return [m for m in members if m.name not in left], [
        f"{n} {k} file{'s' * (n != 1)}" for k, n in Counter(left.values()).items()
    ]


def _name(member: Member, one: str) -> None:
    """UserError that says what the file called `one` is and what to do about it, where that is
    known.
    """
    if found := unsupported.called(member):
        raise UserError(
            f"{one} is {found[0]}, which Lightbox does not read; {found[1]}, or leave it out."
        )


def _with_sheets(
    reader: Callable[[list[Member], Asked], Dataset],
    sheets: list[Member],
    members: list[Member],
    asked: Asked,
) -> Dataset:
    """What the reader reads, with the columns of tables beside the scans; a table that does not
    name every scan is left out.
    """
    draft = reader(members, asked)
    secret = "names" in draft.card
    table = draft.table
    left: list[Member] = []
    rules: list[str] = []
    if not secret and "file" in table:
        table, sheets, rules = scan_folders.beside(table, sheets)
    for i, sheet in enumerate(sheets):
        try:
            joined = tables.beside(table, sheet)
        except UserError:
            if secret:
                raise UserError(
                    f"Table {i + 1} of {len(sheets)} beside the scans is damaged or names a scan"
                    " twice; fix or remove it."
                ) from None
            raise
        left += [sheet] if joined is None else []
        table = table if joined is None else joined
    aside = dicom_rows.counted(left) if secret else [s.name for s in left]
    more = {"rules": [*draft.card.get("rules", []), *rules]} if rules else {}
    return replace(
        draft,
        table=table,
        card={**draft.card, **more, "left out": [*draft.card.get("left out", []), *aside]},
    )


def _kinds(members: list[Member]) -> dict[str, str]:
    """The kind of each file by its name; UserError, without names among DICOM files, for one that
    is not what it says.
    """
    secret = any(dicom.is_dicom(m) for m in members)
    return {m.name: _kind(m, i, len(members)) if secret else kind(m) for i, m in enumerate(members)}


def _kind(member: Member, at: int, n: int) -> str:
    """As `kind`, without the file's name in the sentence."""
    try:
        return kind(member)
    except UserError:
        raise UserError(
            f"{dicom_rows.where(at, n)} is not what its name says; fix or remove it."
        ) from None


def _side(member: Member) -> bool:
    return (
        bool(SIDE_NAMES.match(member.parts[-1]))
        or unsupported.is_index(member)
        or member.name.lower().endswith(SIDE)
    )


def kind(member: Member) -> str:
    """What a file is, by its first bytes."""
    head, lower = member.head, member.name.lower()
    if unsupported.is_index(member):
        return "index"
    if dicom.is_dicom(member):  # before TIFF: a DICOM file may begin with a TIFF header
        return "dicom"
    if edf.is_edf(member):
        return "edf"
    bitmap = (
        head[:2] == b"BM"
        and len(head) > 26
        and head[6:10] == b"\0\0\0\0"
        and head[15:18] == b"\0\0\0"
    )
    if (
        head[:8] == b"\x89PNG\r\n\x1a\n"
        or head[:3] == b"\xff\xd8\xff"
        or head[:4] in deep.TIFF
        or bitmap
    ):
        return "picture"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:6] == b"\x93NUMPY":
        return "npy"
    if packed_tables.is_packed(member):
        return "table"
    if head[:4] == b"PK\x03\x04":
        return "npz" if lower.endswith(".npz") else "zip"
    if fasta.is_fasta(member):
        return "fasta"
    if nifti_file.is_nifti(member):
        return "nifti"
    if lower.endswith((".npz", ".npy", ".parquet", ".zip")):
        _name(member, member.name)
        raise UserError(
            f"{member.name} is no whole {lower.rpartition('.')[2]} file; it may be cut off or"
            " something else."
        )
    if lower.endswith(image_decoding.SUFFIXES):
        found = unsupported.called(member)
        if found:
            raise UserError(
                f"{member.name} is no picture of the kind its name says, it is {found[0]};"
                f" {found[1]}, or leave it out."
            )
        raise UserError(
            f"{member.name} is no picture although its name says so; its content is something else."
        )
    if (
        lower.endswith(packed_tables.SUFFIXES)
        and b"\0" not in head
        and unsupported.called(member) is None
    ):
        return "table"  # unpacked already; or text that is called .xls
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or (
        lower.endswith(tables.SUFFIXES) and (b"\0" not in head or lower.endswith((".csv", ".tsv")))
    ):
        return "table"
    return "unknown"


def preview(
    path: Path, take: str = "auto", called: str = "", said: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Quick look before import: "kind" of the files, "kinds" (with their numbers) when there are
    several of which one is to be chosen by `take`, and for tables, and sequences with tables beside
    them, more. `said`: label, group, domain and roles, as for `read`.

    files: how many files are read; outlines: how many files of outlines lie beside DICOM. columns,
    head (5 lines), "series" when the tables are recordings, and for tables types (column:
    "numbers", "words (5 different)", "dates", "text" …), looked (rows these are by), whole (whether
    that is all) and rules. Tables: from the first 1 MB of the first file, however large it is.
    guesses: for tables, the guessed role of each column (`core.data.role_guess.Guess`) with
    "words", how sure that is; classes: for columns of few values, and for pictures in folders
    ("folder"), the words there are; sizes: of pictures in folders, how many lie in each.
    """
    called = called or Path(path).name
    said = said or {}
    members = [packed_tables.plain(m) for m in nifti_file.paired(collect(Path(path), called))]
    several = kinds_of(members)
    found: dict[str, Any] = {"kinds": dict(several.most_common())} if len(several) > 1 else {}
    if found and take == "auto":
        return found
    members, _ = _of_kind(members, take, called)
    members, _ = label_files.joined(members)
    label, group, domain, told = one_asked(
        said.get("label", "auto"), said.get("group"), said.get("domain"), said.get("roles", {})
    )
    asked = Asked(label, group, domain, said.get("text"), roles=told)
    reader, used, _ = (
        _chosen(members, called, asked, said.get("series", "auto")) if members else (None, [], [])
    )
    found |= {"kind": kind(used[0]), "files": len(used)} if used else {}
    if reader in (tables.read, time_tables.read):
        return (
            found
            | tables.glance(used, asked)
            | ({"series": True} if reader is time_tables.read else {})
        )
    if reader is fasta.read:
        table = fasta.read(used, Asked()).table
        return found | {
            "columns": [str(c) for c in table.columns if c not in ("file", "sequence")],
            "head": table.drop(columns=["sequence"]).head(5),
        }
    if reader is images.read:
        return found | images.glance(used, asked)
    if found.get("kind") == "npz":
        return found | npz.glance(used[0], asked)
    if isinstance(reader, partial) and reader.func is _with_sheets:
        seen = tables.glance(reader.args[1][:1], asked, inputs=False)
        found |= {k: seen[k] for k in ("columns", "guesses", "classes")}
    drawn = contours.among(members) if found.get("kind") == "dicom" else []
    if drawn:
        found["outlines"] = len(drawn)
    if found.get("kind") == "dicom" and asked.label == "folder":
        names = pd.DataFrame({"file": [m.name for m in used]})
        of_files = images.foldered(names, {"file": "file"}, asked, auto=False)[0]
        found["classes"] = found.get("classes", {}) | {"folder": sorted(set(of_files["label"]))}
    if found.get("kind") == "nifti":
        scan_names = [m.name for m in used if not scan_masks.is_named(m)]
        by_name = scan_folders.told(scan_names, asked) if scan_names else scan_folders.Told()
        of_folders = by_name.columns.get(by_name.roles.get("label", ""), [])
        if of_folders:
            found["classes"] = found.get("classes", {}) | {"folder": sorted(set(of_folders))}
        return found
    return found
