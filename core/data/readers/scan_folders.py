"""What the names and folders of scans say: patients, sessions, classes, sites, parts; BIDS names
and the tables beside them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pandas as pd

from core.data.readers.files import Asked, Member, cut_suffix
from core.data.splits import WORDS
from core.errors import UserError

KIND = re.compile(
    r"(images?|imgs?|scans?|niftis?|nii|volumes?|data|raw|rawdata|source(data)?|bids|anat|func|"
    r"dwi|perf|pet|fmap|mri|orig)"
    r"[-_ ]?(tr|ts|va)?|ses[-_].*",
    re.I,
)
PERSON = re.compile(r"^(sub|subj|subject|patient|pat|pt|case|id|participant|p|s)[-_ ]*\d\w*$", re.I)
GRADE = re.compile(
    r"(grade|stage|class|type|bi-?rads|kl|label|level|phase|score|group|arm|category)[-_ ]*\d*$",
    re.I,
)
SITE = re.compile(r"^(site|hospital|clinic|cent(er|re)|scanner|vendor)[-_ ]*\w+$", re.I)
SUFFIX = re.compile(
    r"[-_. ](flair|t1|t1w|t1ce|t1c|t1gd|t1post|t2|t2w|t2f|t2star|pd|pdw|dwi|adc|swi|ct|pet|"
    r"bold|\d{4})$",
    re.I,
)
SUB = re.compile(r"(?:^|[_/])(sub-[A-Za-z0-9+]+)")
SES = re.compile(r"(?:^|[_/])(ses-[A-Za-z0-9+]+)")
SPLIT = {"tr": "train", "ts": "test", "va": "val"}  # imagesTr, imagesTs
SEVERAL = 12  # scans of one patient's folder at most, where their names tell what each is
IDS = re.compile(r"patient|subject|participant|case|(^|_)id$", re.I)
TIMES = ("acq_time",)  # columns with dates of people's scans


@dataclass
class NameFacts:
    """Columns by name (a value each scan), the role each plays, and rules in words."""

    columns: dict[str, list[str]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)


def read_names(files: list[str], asked: Asked) -> NameFacts:
    """Of scans by their names (posix paths). Sub-folders mean what they mean for pictures, classes,
    unless they hold the scans of one patient each: names that count (patient07), or the same few
    names of scans in every folder.

    UserError when classes by folder were asked for and there are no folders.
    """
    out = NameFacts()
    paths = [list(PurePosixPath(f).parts[:-1]) for f in files]
    _parts(paths, out)
    subs = [SUB.search(f) for f in files]
    if files and all(subs):
        _bids(files, out)
    paths = [
        [p for p in path if not KIND.fullmatch(p) and p.lower() not in WORDS and not SUB.match(p)]
        for path in paths
    ]
    same = _shared(paths)
    paths = [path[same:] for path in paths]
    if "group" not in out.roles and (who := _people(files, paths, asked)):
        out.columns["patient"], out.roles["group"] = who, "patient"
        out.rules.append(f"scans of one folder are of one patient ({len(set(who))} folders)")
        paths = [path[:-1] for path in paths]
    if "group" not in out.roles and (cases := _cases(files)):
        out.columns["case"], out.roles["group"] = cases, "case"
        out.rules.append(
            "scans whose names differ in the kind of scan only are of one case "
            f"({len(set(cases))} cases)"
        )
    _classes(paths, asked, out)
    return out


def _parts(paths: list[list[str]], out: NameFacts) -> None:
    """Take the data's own split, where every scan lies in a folder of a part and there are
    several.
    """
    found = []
    for path in paths:
        tail = [
            SPLIT.get(p.lower()[-2:])
            for p in path
            if re.fullmatch(r"images?[-_]?(tr|ts|va)", p, re.I)
        ]
        found.append(next((w for w in [*(WORDS.get(p.lower()) for p in path), *tail] if w), None))
    if found and all(found) and len(set(found)) > 1:
        out.columns["split"], out.roles["split"] = [str(w) for w in found], "split"


def _bids(files: list[str], out: NameFacts) -> None:
    subjects = [SUB.search(f) for f in files]
    out.columns["patient"] = [found[1] if found else "" for found in subjects]
    out.roles["group"] = "patient"
    sessions = [found[1] if (found := SES.search(f)) else "" for f in files]
    if any(sessions):
        out.columns["session"] = sessions
    kinds = [cut_suffix(f).rpartition("_")[2] for f in files]
    if len(set(kinds)) > 1:
        out.columns["scan type"] = kinds
    out.rules.append(
        f"BIDS names: {len(files)} scans of {len(set(out.columns['patient']))} patients (sub-)"
    )


def _shared(paths: list[list[str]]) -> int:
    """How many folders at the beginning are those of all scans."""
    count = 0
    for level in zip(*paths):
        if len(set(level)) > 1:
            break
        count += 1
    return count


def _people(files: list[str], paths: list[list[str]], asked: Asked) -> list[str] | None:
    """Return the patient of each scan where the innermost folders are of a patient each."""
    if (
        asked.label == "folder"
        and len({tuple(p) for p in paths}) > 1
        and max(map(len, paths), default=0) < 2
    ):
        return None
    if not paths or not all(paths):
        return None
    folders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, file in zip(paths, files):
        folders[tuple(path)].append(cut_suffix(file))
    if len(folders) < 2:
        return None
    last = [path[-1] for path in folders]
    return ["/".join(path) for path in paths] if _of_people(last, list(folders.values())) else None


def _of_people(names: list[str], scans: list[list[str]]) -> bool:
    if all(PERSON.match(n) for n in names):
        return True
    if all(GRADE.match(n) for n in names):
        return False
    counted = {re.sub(r"\d+", "#", n) for n in names}
    digits = max(sum(c.isdigit() for c in n) for n in names)
    if len(counted) == 1 and "#" in next(iter(counted)) and (len(names) > 10 or digits > 1):
        return True
    if len(names) > 2 and 2 * len(names) >= sum(map(len, scans)):  # one or two scans a folder
        return True
    kinds = [
        frozenset(s.lower().replace(n.lower(), "") for s in some) for n, some in zip(names, scans)
    ]
    common, times = Counter(kinds).most_common(1)[0]
    counts = len({re.sub(r"\d+", "#", k) for k in common}) == 1
    return 1 < len(common) <= SEVERAL and not counts and times >= 0.8 * len(names)


def _cases(files: list[str]) -> list[str] | None:
    """Return the case of each scan by its name without the kind of scan at its end, where several
    share one.
    """
    stems = [str(PurePosixPath(f).with_name(cut_suffix(f))) for f in files]
    cases = [SUFFIX.sub("", s) for s in stems]
    return (
        cases
        if 1 < len(set(cases)) < len(cases) and all(c != s for c, s in zip(cases, stems))
        else None
    )


def _classes(paths: list[list[str]], asked: Asked, out: NameFacts) -> None:
    names = [path[-1] if path else "" for path in paths]
    sites = {n for n in names if n}
    if (
        len(sites) > 1
        and all(SITE.match(n) for n in sites)
        and all(names)
        and asked.label != "folder"
    ):
        out.columns["site"], out.roles["domain"] = names, "site"
        out.rules.append(f"the folders are taken as sites ({', '.join(sorted(sites)[:6])})")
    elif all(names) and (asked.label == "folder" or (asked.label == "auto" and len(sites) > 1)):
        out.columns["label"], out.roles["label"] = names, "label"
        counts = ", ".join(f"{n}: {k}" for n, k in sorted(Counter(names).items())[:8])
        out.rules.append(
            f"the folder of a scan is taken as its class ({counts}{' …' if len(sites) > 8 else ''})"
        )
    elif asked.label == "folder":
        raise UserError(
            "There are no sub-folders to take the class from; put each class into a folder of "
            "its own."
        )


def join_sheets(
    table: pd.DataFrame, sheets: list[Member]
) -> tuple[pd.DataFrame, list[Member], list[str]]:
    """Return the table with the columns of tables beside the scans that name patients
    (participants.tsv, or any with a column that names every patient once), sessions
    (*_sessions.tsv) or single scans (*_scans.tsv); the sheets that could not be joined; and rules
    in words. Columns with times of scans are left out. `table` has columns `file` and, for the
    first two, `patient`.
    """
    from core.data.readers.joined_tables import read_frame

    sessions, scans, left = [], [], []
    rules: list[str] = []
    for sheet in sheets:
        name = sheet.parts[-1].lower()
        frame = read_frame(sheet).drop(columns=list(TIMES), errors="ignore")
        if name.endswith("sessions.tsv") and "session_id" in frame:
            sessions.append(_of_sessions(frame, sheet))
            continue
        elif name.endswith("scans.tsv") and "filename" in frame:
            names = frame["filename"].astype(str).map(lambda f: PurePosixPath(f).name)
            scans.append(frame.drop(columns="filename").assign(**{" name": names}))
            continue
        else:
            joined, column = _by_patient(table, frame)
            if joined is None:
                left.append(sheet)
                continue
            table = joined
        rules.append(f"{sheet.name} joined by {column}")
    if sessions and {"patient", "session"} <= set(table):
        keys = table["patient"] + "\0" + table["session"]
        table = _joined(table, keys, pd.concat(sessions, ignore_index=True), " key")
    if scans:
        names = table["file"].map(lambda f: PurePosixPath(f).name)
        table = _joined(table, names, pd.concat(scans, ignore_index=True), " name")
    return table, left, rules


def _of_sessions(frame: pd.DataFrame, sheet: Member) -> pd.DataFrame:
    """With the column " key" of patient and session, each in BIDS' words."""
    found = SUB.search(sheet.name)
    own = (
        frame["participant_id"].astype(str)
        if "participant_id" in frame
        else pd.Series(found[1] if found else "", frame.index)
    )
    people = own.map(lambda v: v if v.startswith("sub-") else f"sub-{v}")
    each = frame["session_id"].astype(str).map(lambda v: v if v.startswith("ses-") else f"ses-{v}")
    return frame.drop(columns=["participant_id", "session_id"], errors="ignore").assign(
        **{" key": people + "\0" + each}
    )


def _by_patient(table: pd.DataFrame, frame: pd.DataFrame) -> tuple[pd.DataFrame | None, str]:
    """Join by the column that names patients once each: participant_id whatever it names, any
    other when it names all; or, in a column called after patients, by the number in their names.
    With the way in words.
    """
    if "patient" not in table:
        return None, ""
    plain = table["patient"].astype(str).map(lambda p: PurePosixPath(p).name)
    ways = [(plain, ""), (plain.str.removeprefix("sub-"), "")]
    numbers = plain.str.findall(r"\d+")
    if (
        numbers.map(len).eq(1).all()
        and numbers.map(lambda n: int(n[0])).nunique() == plain.nunique()
    ):
        ways.append(
            (numbers.map(lambda n: str(int(n[0]))), " (by the number in the patients' names)")
        )
    for column in map(str, frame.columns):
        values = frame[column].astype(str).str.strip()
        for keys, words in ways:
            known = keys.isin(values)
            enough = known.any() if column == "participant_id" else known.all()
            if words and not IDS.search(column):
                continue
            if enough and not values[values.isin(keys)].duplicated().any():
                return (
                    _joined(table, keys, frame.assign(**{column: values}), column),
                    f"“{column}”{words}",
                )
    return None, ""


def _joined(table: pd.DataFrame, keys: pd.Series, frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """`table` with the columns of `frame` whose `column` equals the key of each row; missing where
    there is none.
    """
    more = frame.drop_duplicates(column).set_index(column).reindex(keys).reset_index(drop=True)
    return pd.concat([table, more[[c for c in more.columns if c not in table]]], axis=1)
