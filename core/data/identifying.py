"""What of an upload could say who somebody is, and what the import does about it: the list that is
shown, and accepted, before anything comes in.

An entry is {"what", "where", "happens", "found", "why"}: `where` is "header", "column", "name" (of
files and folders) or "pixels"; `happens` one of `HAPPENS`; `found` in how much of what was looked
at. Entries quote names of columns and tags, never a value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from core.data import deidentify
from core.data.role_words import tokens
from core.errors import UserError

HAPPENS = ("removed", "replaced", "kept", "not removed")
FATES = ("keep", "remove", "replace")  # what can be done with a column
LISTED = 400  # entries kept on the card
_PEOPLE = (
    "patient subject participant person people full first last family given middle maiden child"
    " mother father parent spouse relative doctor physician surgeon nurse operator referring"
    " contact emergency guardian client member employee user der des"
)
_OWN_NAMES = (
    "surname lastname firstname forename fullname givenname familyname middlename patientname"
    " vorname nachname familienname geburtsname prenom prénom apellido apellidos cognome achternaam"
    " initials initialen"
)
_CONTACTS = (
    "email mail phone telephone mobile cellphone fax address street telefon handy adresse anschrift"
    " strasse straße telefono teléfono direccion dirección indirizzo ip"
)
_NUMBERS = (
    "mrn ssn nhs passport iban licence license insurance versicherungsnummer ausweis personnummer"
    " cpr dni nif bsn accession"
)
_PLACES = "zip zipcode postcode postal plz cap latitude longitude gps"
PERSON_WORDS = frozenset(_PEOPLE.split())
NAME_WORDS = frozenset(("name", "names", "nom", "nombre", "nome", "naam", "namn"))
NAMES = frozenset(_OWN_NAMES.split())
CONTACTS = frozenset(_CONTACTS.split())
PLACES = frozenset(_PLACES.split())
NUMBERS = frozenset(_NUMBERS.split())
BORN = frozenset(("dob", "birthdate", "birthday", "geburtsdatum", "geburtstag", "birthdates"))
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}", re.I)
# tags whose values live on under new names
REPLACED = {
    "PatientID": "by a new id, the same in every import of this workspace",
    "SeriesInstanceUID": "by a new name of the series",
    "StudyDate": "by a date moved back by days of the patient's own",
}
FREE = "free text"
_TELLING = (
    "PatientName Birth Institution Physician Operator Address Phone Accession Patient Station Study"
    " Date Time UID"
)
FIRST = tuple(_TELLING.split())  # parts of keywords, those that tell most of a person first


def find_identifying(name: str, values: Sequence[Any] = ()) -> str | None:
    """Return what a column seems to hold that points at a person, by its name or its first values,
    in words; None where nothing speaks for it.
    """
    words = set(tokens(name))
    if words & NAMES or (words & NAME_WORDS and words <= NAME_WORDS | PERSON_WORDS):
        return "names of people"
    if words & BORN or {"birth", "date"} <= words or {"birth", "day"} <= words:
        return "dates of birth"
    if words & CONTACTS:
        return "addresses or numbers to reach people"
    if words & NUMBERS or {"social", "security"} <= words or {"medical", "record"} <= words:
        return "numbers that authorities or hospitals give to people"
    if words & PLACES:
        return "where people live"
    there = [str(v) for v in values if isinstance(v, str)]
    if there and sum(bool(MAIL.search(v)) for v in there) * 2 > len(there):
        return "e-mail addresses, by its values"
    return None


def propose_fate(role: str, why: str | None) -> str:
    """Return what is proposed for a column of this role: keep, remove or replace (a guess)."""
    if why is None or role in ("outcome", "split", "site"):
        return "keep"
    return "replace" if role == "patient" else "remove"


def list_columns(
    columns: Sequence[str],
    guesses: Sequence[Mapping[str, Any]],
    head: pd.DataFrame | None,
    types: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return {"column", "role", "why", "fate"} of each of the columns that may point at a person:
    `fate` is what is proposed. Patients, dates and free text are among them, and proposed to be
    kept. guesses, head, types: as of `core.data.readers.preview`; columns without a guess are only
    kept beside.
    """
    roles = {str(g["column"]): str(g["role"]) for g in guesses}
    found = []
    for column in map(str, columns):
        seen = [] if head is None or column not in head else head[column].dropna().tolist()
        why, role = find_identifying(column, seen), roles.get(column, "left out")
        said = why
        if said is None and role == "patient":
            said = "ids of patients"
        if said is None and (role == "time" or types.get(column) == "dates"):
            said = "dates"
        if said is None and types.get(column) == "text":
            said = "free text, in which names may stand: it is not searched"
        if said is not None:
            fate = propose_fate(role, why)
            found.append({"column": column, "role": role, "why": said, "fate": fate})
    return found


def column_entries(
    columns: Sequence[Mapping[str, Any]], fates: Mapping[str, str], all_columns: int
) -> list[dict[str, str]]:
    """Return the entries of a table's columns once `fates` (column -> fate) are decided; those that
    point at nobody, `all_columns` less these, are one entry.
    """
    happens = {"keep": "kept", "remove": "removed", "replace": "replaced"}
    named = {str(c["column"]): str(c["why"]) for c in columns}
    named |= {c: "you said so" for c, f in fates.items() if c not in named and f != "keep"}
    entries = [
        _entry(f"column “{c}”", "column", happens[fates.get(c, "keep")], "", why)
        for c, why in named.items()
    ]
    rest = all_columns - len(named)
    if rest > 0:
        one, how = ("column", "as it is") if rest == 1 else ("columns", "as they are")
        entries.append(_entry(f"{rest:,} further {one}", "column", "kept", "", how))
    return entries


def dicom_entries(
    tags: Counter[int], looked: int, faces: int, held: int, by_folder: bool
) -> list[dict[str, str]]:
    """Return the entries of DICOM files, `looked` of which had these `tags` (files by tag); `faces`
    of them show heads, `held` may have text burnt in.
    """
    removed = deidentify.count_removed(tags)
    entries = [
        _entry(word, "header", "replaced", f"{removed[word]:,} of {looked:,} files", how)
        for word, how in REPLACED.items()
        if word in removed
    ]
    told = sorted((w for w in removed if w not in REPLACED), key=lambda w: (_rank(w), w))
    entries += [
        _entry(word, "header", "removed", f"{removed[word]:,} of {looked:,} files") for word in told
    ]
    entries += [
        _entry("every other identifying tag", "header", "removed", "", "only a list of technical"
               " facts is let through, so that unknown tags go too"),
        _entry("sex, age in years (90 for everyone older), body part, maker", "header", "kept", "",
               "known words only"),
        _entry("technical facts (sizes, spacing, orientation, window)", "header", "kept", ""),
        _entry("names of files and folders", "name", "replaced", "",
               "names of folders are kept as classes" if by_folder else "by patient and series"),
    ]  # fmt: skip
    share = f"{held:,} of {looked:,} files" if held else ""
    entries.append(
        _entry("text burnt into the picture", "pixels", "not removed", share,
               "pictures that may carry it come in hidden until somebody has looked at them")
    )  # fmt: skip
    share = f"{faces:,} of {looked:,} files" if faces else ""
    entries.append(_entry("faces in scans of the head", "pixels", "not removed", share, FACE))
    return entries


FACE = "a face can be drawn again from the slices"


def _rank(word: str) -> int:
    """Return the place of a keyword among those that go: what names people stands first."""
    return next((k for k, part in enumerate(FIRST) if part in word), len(FIRST))


def nifti_entries(texts: Sequence[Sequence[str]], names: Sequence[str]) -> list[dict[str, str]]:
    """Return the entries of NIfTI files whose headers hold these free texts (by field)."""
    n = len(texts)
    counts = Counter(t for one in texts for t in one)
    entries = [
        _entry(word, "header", "removed", f"{k:,} of {n:,} files", FREE)
        for word, k in counts.most_common()
    ]
    heads = sum(bool(deidentify.HEAD.search(name)) for name in names)
    return [
        *entries,
        _entry("free text of headers", "header", "removed", ""),
        _entry("names of files and folders", "name", "kept", "", RENAME),
        _entry("faces in scans of the head", "pixels", "not removed",
               f"{heads:,} of {n:,} files, by their names" if heads else "", FACE),
    ]  # fmt: skip


RENAME = "rename files that are called after people before you bring them"


def picture_entries(exif: int, places: int, looked: int, by_folder: bool) -> list[dict[str, str]]:
    """Return the entries of pictures: of `looked` ones `exif` carry a camera's notes, `places` say
    where they were taken.
    """
    found = f"{exif:,} of {looked:,} pictures looked at" if exif else ""
    why = f"{places:,} say where they were taken" if places else ""
    folders = "names of folders become classes; " if by_folder else ""
    return [
        _entry("notes of the camera or program (EXIF, XMP)", "header", "removed", found, why),
        _entry("names of files and folders", "name", "kept", "", folders + RENAME),
        _entry("text burnt into the picture", "pixels", "not removed", "", "look for names in it"),
        _entry("faces in photographs", "pixels", "not removed", ""),
    ]


SIGNALS = (
    ("name, number and birth date of the patient", "header", "removed", ""),
    ("recording number, technician, start date and time", "header", "removed", ""),
    ("marks in free text", "header", "replaced", "by the word “note”"),
    ("names of files and folders", "name", "kept", RENAME),
)
RECORDS = (
    ("comments (age, sex, diagnoses, medicines)", "header", "removed", ""),
    ("start date and time", "header", "removed", ""),
    ("names of records", "name", "kept", RENAME),
)
ARRAYS = (
    ("names of the arrays that are read", "name", "kept", ""),
    ("text burnt into the picture", "pixels", "not removed", "look for names in it"),
)
SEQUENCES = (("names of sequences and files", "name", "kept", RENAME),)
UNKNOWN = (
    ("names of files and folders", "name", "kept", RENAME),
    ("all else that could name a person", "header", "not removed", "it could not be looked at"),
)


def fixed_entries(kind: str) -> list[dict[str, str]]:
    """Return the entries that are the same for all files of a kind ("edf", "wfdb", "npz", "npy",
    "fasta", "numbers": arrays without pictures; others: what holds where nothing could be looked
    at).
    """
    of = {
        "edf": SIGNALS,
        "wfdb": RECORDS,
        "npz": ARRAYS,
        "npy": ARRAYS,
        "numbers": ARRAYS[:1],
        "fasta": SEQUENCES,
    }
    return [
        _entry(what, where, happens, "", why) for what, where, happens, why in of.get(kind, UNKNOWN)
    ]


def _entry(what: str, where: str, happens: str, found: str, why: str = "") -> dict[str, str]:
    return {"what": what, "where": where, "happens": happens, "found": found, "why": why}


def count_entries(entries: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Return how many entries there are of each thing that happens, in the order of `HAPPENS`."""
    counts = Counter(e["happens"] for e in entries)
    return {h: counts[h] for h in HAPPENS if counts[h]}


def words_of_keyword(keyword: str) -> str:
    """Return a keyword in words, "PatientBirthDate" as "patient birth date"; abbreviations and what
    is in words already stay as they are.
    """
    if " " in keyword or "_" in keyword:
        return keyword
    apart = re.findall(r"[A-Z]+(?=[A-Z][a-z]|\b|\d)|[A-Z]?[a-z]+|[A-Z]+|\d+", keyword)
    return " ".join(w if w.isupper() and len(w) > 1 else w.lower() for w in apart)


def describe_entries(entries: Sequence[Mapping[str, str]], most: int = 6) -> dict[str, str]:
    """Return the list in words: what happens -> a sentence without its end, of at most so many
    entries and how many more there are.
    """
    out = {}
    for happens in count_entries(entries):
        of = [e for e in entries if e["happens"] == happens]
        few = of[:most] if happens == "removed" else of
        said = [_in_words(e, brief=len(of) > most) for e in few]
        more = f" and {len(of) - len(few):,} more" if len(of) > len(few) else ""
        out[happens] = "; ".join(said) + more if not more else ", ".join(said) + more
    return out


def _in_words(entry: Mapping[str, str], brief: bool) -> str:
    what = words_of_keyword(entry["what"])
    if brief and entry["happens"] == "removed":
        return what
    beside = [entry["found"]] if entry["found"] and entry["where"] == "pixels" else []
    beside += [entry["why"]] if entry["why"] else []
    if entry["happens"] == "replaced" and entry["why"].startswith("by "):
        return f"{what} {entry['why']}"
    return f"{what} ({'; '.join(beside)})" if beside else what


# -- what the import does with columns -------------------------------------------------------------
def check_fates(
    remove: Collection[str], replace: Collection[str], roles: Mapping[str, str]
) -> None:
    """UserError where a column is to be both removed and replaced, or removed although a person
    gave it a role that is needed (`roles`: column -> role as asked).
    """
    both = sorted(set(remove) & set(replace))
    if both:
        raise UserError(f"“{both[0]}” is to be removed and replaced; say one of the two.")
    for column in remove:
        if roles.get(column) in ("outcome", "patient", "site", "split", "input"):
            raise UserError(
                f"“{column}” cannot be removed and be the {roles[column]}; replace its values, or"
                " give it another role."
            )


def deidentify_columns(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    features: Sequence[str],
    remove: Sequence[str],
    replace: Sequence[str],
    key: bytes,
) -> pd.DataFrame:
    """Return the table without the columns `remove`, and with new names for the values of the
    columns `replace`, made with the workspace's `key`: one value gets one name, in every import.

    UserError for a column that is not there, that is needed as what `roles` (role -> column) says
    it is, or whose values are inputs (`features`) and so stand in the samples.
    """
    needed = {column: role for role, column in roles.items()}
    words = {"label": "outcome", "group": "patient", "domain": "site"}
    inputs = {f.split("=")[0] for f in features} | set(features)
    for column in (*remove, *replace):
        if column not in table:
            raise UserError(f"There is no column “{column}” to remove or replace.")
        if column in inputs:
            raise UserError(
                f"“{column}” is learned from; give it the role “left out” before its values are"
                " removed or replaced."
            )
    for column in remove:
        if column in needed:
            role = words.get(needed[column], needed[column])
            raise UserError(f"“{column}” is the {role} and cannot be removed; replace its values.")
    for column in replace:
        if needed.get(column) not in (None, "group", "domain"):
            role = words.get(needed[column], needed[column])
            raise UserError(f"“{column}” is the {role}; its values cannot be replaced.")
    new = {c: _renamed(table[c], needed.get(c) == "group", key) for c in replace}
    return table.assign(**new).drop(columns=list(remove))


def _renamed(values: pd.Series, patients: bool, key: bytes) -> pd.Series:
    """Give new names; a patient gets the one that DICOM files with that PatientID get."""

    def name(value: Any) -> str | None:
        if pd.isna(value):
            return None
        plain = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if patients:
            return "patient " + deidentify.make_pseudonym(key, "patient", f"id\0{plain}\0", 8)
        return deidentify.make_pseudonym(key, f"column {values.name}", plain, 8)

    return values.map({v: name(v) for v in values.unique()}).astype(object)


def describe_fates(remove: Sequence[str], replace: Sequence[str]) -> list[str]:
    """Say what was done with columns, as rules of the card."""
    said = []
    for words, columns in (("not brought in", remove), ("given new names", replace)):
        if columns:
            named = ", ".join(f"“{c}”" for c in columns[:20])
            more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
            whose = "columns" if words.startswith("not") else "values of the columns"
            said.append(f"{whose} {words} as asked: {named}{more}")
    return said


def forget_columns(card: dict[str, Any], removed: Collection[str]) -> None:
    """Take what the card says of columns that are gone out of it."""
    gone = set(removed)
    if "roles" in card:
        card["roles"] = [r for r in card["roles"] if r.get("column") not in gone]
    if "types" in card:
        card["types"] = {c: t for c, t in card["types"].items() if c not in gone}
    if "notes" in card:
        card["notes"] = [n for n in card["notes"] if n.get("column") not in gone]


def make_acceptance(
    by: str, at: str, entries: Sequence[Mapping[str, str]], looked: str
) -> dict[str, Any]:
    """Return what the card keeps of an accepted list: who (may be ""), when (ISO, UTC), the entries
    and what they were made from (`looked`, in words).
    """
    return {
        "by": " ".join(by.split())[:60],
        "at": at,
        "looked": looked[:200],
        "entries": len(entries),
        "list": [{k: str(e.get(k, ""))[:200] for k in ENTRY} for e in entries[:LISTED]],
    }


JOINING = _entry("the column that joins the table to the scans", "column", "removed", "")
ENTRY = ("what", "where", "happens", "found", "why")
