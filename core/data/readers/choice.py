"""Which reader takes what was brought, and what is left aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from core.data.dataset import Dataset
from core.data.readers import (
    array_masks,
    contours,
    dicom,
    dicom_masks,
    dicom_pictures,
    dicom_rows,
    edf,
    fasta,
    images,
    joined_tables,
    nifti,
    nifti_file,
    npz,
    scan_folders,
    scan_masks,
    tables,
    time_tables,
    wfdb,
)
from core.data.readers.files import Asked, Member
from core.data.readers.kinds import SIDE_NAMES, is_side, kinds_by_name, refuse_known
from core.errors import UserError

Reader = Callable[[list[Member], Asked], Dataset]
READERS: dict[str, Reader] = {
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


def choose_reader(
    members: list[Member], called: str, asked: Asked, series: str
) -> tuple[Reader, list[Member], list[str]]:
    """Return the reader for what the members are, by their first bytes; the members it takes; the
    names of those left aside.

    Readme, licence and other side files (.txt, .md, .json, .xml ...) are left aside; UserError
    names other strangers.
    """
    # its signal and mark files have no mark of their own
    if any(wfdb.is_header(m) for m in members):
        return wfdb.read, members, []
    secret = any(dicom.is_dicom(m) for m in members)
    kinds = kinds_by_name(members)
    main = _main_kind(members, kinds, secret)
    drawn = contours.find_outline_files(members) if main == "dicom" else []
    masks = _find_masks(main, members, kinds)
    laid = masks if main == "dicom" else []
    aside = _set_aside(members, kinds, main, drawn)
    sheets: list[Member] = []
    if main in ("dicom", "nifti", "edf"):
        sheets = [m for m in members if kinds[m.name] == "table" and m not in [*aside, *drawn]]
    used = [m for m in members if m not in [*aside, *sheets, *drawn, *laid]]
    if not used:
        used, aside = aside, []
    _refuse_others([m for m in used if m not in masks], members, kinds, main, called)
    if main == "table" and len(used) > 1:
        used, bare = joined_tables.drop_headerless(used)
        aside += bare
    if main in ("npz", "npy") and len(used) > 1:
        raise UserError(f"{called} holds {len(used)} {main} files; bring one of them.")
    if series == "yes" and main not in ("table", "edf"):
        raise UserError(f"{called} holds {WORDS[main]}, which are no table to read as series.")
    reader = READERS[main]
    if drawn or laid:
        reader = partial(dicom.read, drawn=drawn, laid=laid)
    elif main == "table" and _are_series(used, asked, series):
        reader = time_tables.read
    if sheets:
        reader = partial(read_with_sheets, reader, sheets)
    return reader, used, dicom_rows.describe_left_out(aside) if secret else [m.name for m in aside]


def _main_kind(members: list[Member], kinds: dict[str, str], secret: bool) -> str:
    """Return the kind of the files that are read; others go beside them. UserError where none is
    read.
    """
    there = Counter(kinds.values())
    main = next((k for k in READERS if there[k]), None)
    if main is not None:
        return main
    first = dicom_rows.describe_place(0, len(members)) if secret else members[0].name
    refuse_known(members[0], first)
    raise UserError(
        f"{first} is of a kind Lightbox does not read (it reads PNG, JPEG, TIFF, BMP, DICOM,"
        " NIfTI, npz, npy, EDF, BDF, WFDB, FASTA, CSV, Excel's .xlsx and Parquet)."
    )


def _set_aside(
    members: list[Member], kinds: dict[str, str], main: str, drawn: list[Member]
) -> list[Member]:
    """Side files among the members; among tables, those that are named like one as well."""
    aside = [m for m in members if kinds[m.name] != main and is_side(m) and m not in drawn]
    if main != "table":
        return aside
    sheets = [m for m in members if kinds[m.name] == main]
    aside += [m for m in sheets if SIDE_NAMES.match(m.parts[-1])]
    plain = [m for m in sheets if m not in aside and m.name.lower().endswith(".txt")]
    if len(plain) + len(aside) < len(members):
        aside += plain
    return aside


def _refuse_others(
    used: list[Member], members: list[Member], kinds: dict[str, str], main: str, called: str
) -> None:
    """UserError where a file to be read is neither of the `main` kind nor a table beside it."""
    both = {main, "table"} if main in ("picture", "fasta") else {main}
    odd = [m for m in used if kinds[m.name] not in both]
    if not odd:
        return
    one = odd[0].name
    if any(dicom.is_dicom(m) for m in members):
        one = dicom_rows.describe_place(members.index(odd[0]), len(members))
    if kinds[odd[0].name] in READERS:
        raise UserError(
            f"{called} mixes {WORDS[main]} with {WORDS[kinds[odd[0].name]]} ({one}); bring one kind"
            " at a time, or say which kind to take."
        )
    refuse_known(odd[0], one)
    more = f" ({len(odd)} files are like that)" if len(odd) > 1 else ""
    raise UserError(
        f"{one} is of no kind Lightbox reads, unlike the {WORDS[main]} beside it; "
        f"remove it or fix it{more}."
    )


def _are_series(used: list[Member], asked: Asked, series: str) -> bool:
    """Whether the tables are recordings: as the person said, or as they look."""
    return series == "yes" or (series == "auto" and time_tables.are_recordings(used, asked))


def _find_masks(main: str, members: list[Member], kinds: dict[str, str]) -> list[Member]:
    """Files of other kinds beside scans that may hold their masks: NIfTI files, and pictures of the
    slices' names, beside DICOM; arrays called masks, of the scans' names, beside NIfTI.
    """
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


def count_kinds(members: list[Member]) -> Counter[str]:
    """How many files there are of each kind that cannot come in together: tables go beside
    anything, and side files are no kind.
    """
    found = _there(members)
    if found["dicom"] and found["nifti"]:
        laid = [m for m in members if nifti_file.is_nifti(m)]
        if all(map(dicom_masks.is_segmentation, laid)):
            del found["nifti"]  # masks of the slices
    if len(found) > 1 and (found["dicom"] or found["nifti"]):
        kinds = kinds_by_name(members)
        for member in _find_masks("dicom" if found["dicom"] else "nifti", members, kinds):
            if kinds[member.name] != "nifti":
                found[kinds[member.name]] -= 1
    return +found


def _there(members: list[Member]) -> Counter[str]:
    """How many files there are of each kind but tables and side files."""
    if any(wfdb.is_header(m) for m in members):
        return Counter()
    kinds = kinds_by_name(members)
    return Counter(
        k for m in members if (k := kinds[m.name]) in READERS and k != "table" and not is_side(m)
    )


def find_usual_kind(members: list[Member]) -> str:
    """Return the kind that is read where nobody chose, of scans (NIfTI) with pictures beside them:
    that with more files, and the scans where pictures are named after them. "" for other mixtures,
    which are asked about, and where nothing has to be left out.
    """
    several = count_kinds(members)
    if set(several) != {"nifti", "picture"}:
        return ""
    if several["nifti"] >= several["picture"]:
        return "nifti"
    kinds = kinds_by_name(members)
    index = scan_masks.Index([m for m in members if kinds[m.name] == "nifti"])
    pictures = [m for m in members if kinds[m.name] == "picture"]
    own = sum(not scan_masks.find_owners(m, index, alone=True) for m in pictures)
    return "picture" if own > several["nifti"] else "nifti"


def _why_left(member: Member, found: str) -> str:
    """Return a file of the kind `found` that lies beside files of the usual kind, with the reason
    why it is left out.
    """
    if found == "nifti":
        return f"{member.name} (a scan among pictures)"
    if scan_masks.is_named(member):
        return (
            f"{member.name} (a picture does not say how it lies in a scan; masks of scans are NIfTI"
            " files)"
        )
    return f"{member.name} (a picture beside scans)"


def keep_kind(members: list[Member], take: str, called: str) -> tuple[list[Member], list[str]]:
    """Return the members without those of other kinds than `take`, and what was left out. "auto":
    of the usual kind, where there is one. UserError when there are none of it.
    """
    usual = find_usual_kind(members) if take == "auto" else ""
    if usual:
        kinds = kinds_by_name(members)
        left_out = {
            m.name: _why_left(m, kinds[m.name])
            for m in members
            if kinds[m.name] in ("nifti", "picture") and kinds[m.name] != usual
        }
        return [m for m in members if m.name not in left_out], list(left_out.values())
    if take == "auto":
        return members, []
    there = _there(members)
    if take not in there:
        raise UserError(
            f"{called} holds no files of the kind “{take}” (there are:"
            f" {', '.join(there) or 'none to choose among'})."
        )
    kinds = kinds_by_name(members)
    alone = ("table",) if take in ("npz", "npy") else ()  # nothing goes beside them
    masks = set(_find_masks(take, members, kinds))
    left = {
        m.name: kinds[m.name]
        for m in members
        if not is_side(m)
        and kinds[m.name] != take
        and kinds[m.name] in (*there, *alone)
        and m not in masks
    }
    return [m for m in members if m.name not in left], [
        f"{n} {k} file{'s' * (n != 1)}" for k, n in Counter(left.values()).items()
    ]


def read_with_sheets(
    reader: Callable[[list[Member], Asked], Dataset],
    sheets: list[Member],
    members: list[Member],
    asked: Asked,
) -> Dataset:
    """Return what the reader reads, with the columns of tables beside the scans; a table that does
    not name every scan is left out.
    """
    draft = reader(members, asked)
    secret = "names" in draft.card
    table = draft.table
    left: list[Member] = []
    rules: list[str] = []
    if not secret and "file" in table:
        table, sheets, rules = scan_folders.join_sheets(table, sheets)
    for i, sheet in enumerate(sheets):
        try:
            joined = tables.join_sheet(table, sheet)
        except UserError:
            if secret:
                raise UserError(
                    f"Table {i + 1} of {len(sheets)} beside the scans is damaged or names a scan"
                    " twice; fix or remove it."
                ) from None
            raise
        left += [sheet] if joined is None else []
        table = table if joined is None else joined
    aside = dicom_rows.describe_left_out(left) if secret else [s.name for s in left]
    more = {"rules": [*draft.card.get("rules", []), *rules]} if rules else {}
    return replace(
        draft,
        table=table,
        card={**draft.card, **more, "left out": [*draft.card.get("left out", []), *aside]},
    )
