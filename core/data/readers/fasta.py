"""FASTA files of nucleotide sequences, plain or gzipped, with tables beside them that say where
each is from.

The first word of a sequence's line is its name; tables (CSV, TSV) are joined on the column that
holds these names. Letters become upper case, U becomes T; letters that are no nucleotide code of
IUPAC are refused, naming the sequence and the place.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib

import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers import joined_tables
from core.data.readers.files import Asked, Member, unpack_stream
from core.errors import UserError

SUFFIXES = (".fasta", ".fa", ".fna", ".fas", ".ffn")
LINE_END = re.compile(r"\r\n?")
COMMENTS = re.compile(rb"\A(?:;[^\r\n]*[\r\n]+\s*)+")
LETTERS = re.compile(r"[^ACGTNRYSWKMBDHV\-.]")


def is_fasta(member: Member) -> bool:
    """Whether the content begins like FASTA: `>` and a name (inside gzip: by its name and the gzip
    mark).
    """
    lower = member.name.lower()
    if member.head[:2] == b"\x1f\x8b":
        return lower.endswith(tuple(f"{s}.gz" for s in SUFFIXES))
    start = COMMENTS.sub(b"", member.head.lstrip(b"\xef\xbb\xbf\r\n\t "))
    return start[:1] == b">" and (lower.endswith(SUFFIXES) or lower.endswith((".txt", ".seq")))


def read(members: list[Member], asked: Asked) -> Dataset:
    """Return a sequence dataset: columns file (the name), sequence, length, and those of the tables
    beside. UserError for anything that is not nucleotides, or a name that stands twice in one file
    with different letters.
    """
    files = [m for m in members if is_fasta(m)]
    sheets = [m for m in members if m not in files]
    found: dict[str, str] = {}
    own: dict[str, str] = {}
    rules = []
    for member in files:
        twice = 0
        for name, letters in read_sequences(member):
            if own.get(name) == member.name and found[name] != letters:
                raise UserError(
                    f"{member.name} holds two different sequences called “{name[:60]}”; give each"
                    " its own name."
                )
            twice += name in found
            found.setdefault(name, letters)
            own.setdefault(name, member.name)
        rules += (
            [
                f"{twice} sequences of {member.name} have names that are there already; the first"
                " of each name was taken"
            ]
            if twice
            else []
        )
    table = pd.DataFrame({"file": list(found), "sequence": list(found.values())})
    table["length"] = table["sequence"].str.len()
    table, used, left = join_sheets(table, [(s.name, joined_tables.read_frame(s)) for s in sheets])
    rules = [
        f"{len(table)} sequences, {table['length'].min():,} to {table['length'].max():,} letters",
        *used,
        *rules,
    ]
    if asked.label == "folder":
        raise UserError(
            "Sequences have no sub-folders to be labelled by; name a column of the table beside"
            " them, or none."
        )
    return Dataset(
        "",
        "sequence",
        table,
        roles={"file": "file", "text": "sequence"},
        card={"rules": rules, "left out": left},
    )


def read_sequences(member: Member) -> list[tuple[str, str]]:
    """(name, letters) of each sequence of a FASTA file, in its order."""
    data = member.load()
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
                data = unpack_stream(f, len(data), member.name)
        except (OSError, EOFError, zlib.error):
            raise UserError(
                f"{member.name} cannot be unpacked; it may be cut off or damaged."
            ) from None
    found: list[tuple[str, str]] = []
    # comments
    lines = re.sub(r"^;.*\n?", "", LINE_END.sub("\n", _decoded(data)), flags=re.MULTILINE)
    # a description may hold ">" as well (c.100A>G)
    for block in re.split(r"^>", lines, flags=re.MULTILINE)[1:]:
        head, _, body = block.partition("\n")
        name, letters = (head.split() or [""])[0], "".join(body.split()).upper().replace("U", "T")
        if not name:
            raise UserError(f"{member.name}: sequence {len(found) + 1} has no name behind its “>”.")
        if not letters:
            raise UserError(f"{member.name}: the sequence “{name[:60]}” is empty.")
        if len(letters) > limits.LETTERS:
            raise UserError(
                f"{member.name}: the sequence “{name[:60]}” has {len(letters):,} letters; at most"
                f" {limits.LETTERS:,} are taken."
            )
        if wrong := LETTERS.search(letters):
            raise UserError(
                f"{member.name}: the sequence “{name[:60]}” holds “{wrong[0]}” at letter"
                f" {wrong.start() + 1:,}; only nucleotides are read (A, C, G, T, N and the IUPAC"
                " codes)."
            )
        found.append((name, letters))
        if len(found) > limits.ROWS:
            raise UserError(f"{member.name} holds more than {limits.ROWS:,} sequences.")
    if not found:
        raise UserError(f"{member.name} holds no sequence.")
    return found


def _decoded(data: bytes) -> str:
    """Descriptions may hold any letter; what the letters of a sequence are is looked at where they
    are read.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def join_sheets(
    table: pd.DataFrame, sheets: list[tuple[str, pd.DataFrame]]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """`table` with the columns of the sheets that name its sequences, the rules in words, and the
    names of sheets that name none.
    """
    names, used, left, parts = set(table["file"]), [], [], []
    for sheet, frame in sheets:
        column = max(
            frame.columns, key=lambda c: len(names & set(frame[c].astype(str))), default=None
        )
        known = (
            frame[frame[column].astype(str).isin(names)] if column is not None else frame.iloc[:0]
        )
        if column is None or known.empty:
            left.append(sheet)
            continue
        if known[column].duplicated().any():
            raise UserError(
                f"{sheet}, column “{column}”: {known[column][known[column].duplicated()].iloc[0]}"
                " is there twice."
            )
        used.append(
            f"{sheet} joined on its column “{column}” ({len(known)} of {len(table)} sequences)"
        )
        parts.append(known.set_index(known[column].astype(str)).drop(columns=[column]))
    if not parts:
        return table, used, left
    more = pd.concat(parts)
    more = more[~more.index.duplicated()].reindex(table["file"]).reset_index(drop=True)
    more = more.loc[:, more.notna().any()].drop(columns=[c for c in more if c in table])
    return pd.concat([table, more], axis=1), used, left
