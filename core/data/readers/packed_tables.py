"""Tables that are packed: Excel workbooks and gzipped text. Each becomes the text it holds, so that
one reader reads all.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from gzip import GzipFile
from typing import Any

from core import limits
from core.data.readers.files import HEAD, Member, unpack_stream
from core.errors import UserError

GZIPPED = (".csv.gz", ".tsv.gz", ".tab.gz", ".txt.gz", ".data.gz")
WORKBOOKS = (".xlsx", ".xlsm", ".xltx", ".xltm", ".xls")
SUFFIXES = (*GZIPPED, *WORKBOOKS)
# 4.125: the words of a column, were it text, might mean 4125
THREE = re.compile(r"-?[1-9]\d{0,2}\.\d{3}")
DAMAGED = (
    "cannot be read as an Excel workbook; it may be damaged. Open it in a spreadsheet and save the"
    " table as CSV"
)


def is_packed(member: Member) -> bool:
    """Whether a file is a workbook or gzipped text, by its name and its first bytes."""
    start, lower = member.head[:4], member.name.lower()
    return (start == b"PK\x03\x04" and lower.endswith(WORKBOOKS)) or (
        start[:2] == b"\x1f\x8b" and lower.endswith(GZIPPED)
    )


def unpack_table(member: Member) -> Member:
    """Return the text of a packed table, comma-separated of a workbook's first sheet that holds a
    table; other files as they are.
    """
    if not is_packed(member):
        return member
    if member.head[:2] == b"\x1f\x8b":
        return Member(member.name, lambda most: _gunzipped(member, most))
    sheet = _Sheet(member)
    return replace(member, open=sheet.open, told=sheet.told, separator=",")


def _gunzipped(member: Member, most: int) -> bytes:
    try:
        if most <= limits.PREVIEW:
            return zlib.decompressobj(31).decompress(member.open(most), most)
        packed = member.load()
        return unpack_stream(
            GzipFile(fileobj=io.BytesIO(packed)), len(packed), member.name, most=most
        )
    except (OSError, EOFError, zlib.error):
        if most <= HEAD:
            return member.head
        raise UserError(
            f"{member.name} cannot be unpacked; it may be damaged or cut off."
        ) from None


class _Sheet:
    """The first sheet of a workbook that holds a table (else anything), as comma-separated text: a
    line a row, so that lines are told as rows.
    """

    def __init__(self, member: Member) -> None:
        self.member, self.text, self.whole = member, b"", False
        self.name, self.others, self.empty = "", [], []  # type: ignore[var-annotated]
        self.spans: dict[str, set[int]] = {}

    def told(self) -> list[str]:
        """Which sheet was taken, and which columns hold durations."""
        from openpyxl.utils import get_column_letter

        spans = [get_column_letter(j + 1) for j in sorted(self.spans.get(self.name, set()))[:8]]
        columns = f"column{'s' * (len(spans) > 1)} {', '.join(spans)}"
        lasting = (
            [f"{self.member.name}: durations in {columns} are read in seconds"] if spans else []
        )
        if not (self.others or self.empty):
            return lasting
        said = f"{self.member.name}: the sheet “{self.name}” is read"
        said += (
            "; left out:"
            f" {', '.join(f'“{s}”' for s in self.others[:6])}{' …' if len(self.others) > 6 else ''}"
            if self.others
            else ""
        )
        said += f"; empty: {', '.join(f'“{s}”' for s in self.empty[:6])}" if self.empty else ""
        return [said, *lasting]

    def open(self, most: int) -> bytes:
        if not self.whole and len(self.text) < most:
            try:
                self.text, self.whole = self._read(most)
            except UserError:
                if most <= HEAD:
                    return self.member.open(most)
                raise
        return self.text[:most]

    def _read(self, most: int) -> tuple[bytes, bool]:
        """Return the text (of as many rows as `most` bytes take) and whether that is all of it."""
        from openpyxl import load_workbook

        data = self.member.load()
        _checked(data, self.member.name)
        try:
            with warnings.catch_warnings():
                # of what openpyxl leaves out: rules of validation, drawings
                warnings.simplefilter("ignore")
                book = load_workbook(
                    io.BytesIO(data), read_only=True, data_only=True, keep_links=False
                )
                return self._text(book, most)
        except (UserError, MemoryError):
            raise
        except Exception:  # openpyxl fails in many ways on what is no whole workbook
            raise UserError(f"{self.member.name} {DAMAGED}.") from None

    def _text(self, book: Any, most: int) -> tuple[bytes, bool]:
        self.empty, notes = [], None
        for sheet in book.worksheets:
            spans: set[int] = set()
            out, done = _lines(_rows(sheet, self.member.name, spans), most)
            self.spans[sheet.title] = spans
            if not out.strip():
                self.empty.append(sheet.title)
            elif _is_table(out):
                return self._taken(book, sheet.title, out, done)
            elif notes is None:
                notes = (sheet.title, out, done)
        if notes is None:
            raise UserError(f"{self.member.name} holds no table: its sheets are empty.")
        return self._taken(book, *notes)

    def _taken(self, book: Any, name: str, out: bytes, done: bool) -> tuple[bytes, bool]:
        self.name = name
        if done:
            _saved(book[name], self.member)
        self.others = [s.title for s in book.worksheets if s.title not in (name, *self.empty)]
        return out, done


def _saved(values: Any, member: Member) -> None:
    """UserError where cells hold formulas without the results that a spreadsheet saves beside them:
    they would be read as missing.
    """
    from openpyxl import load_workbook

    data = member.load()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheets = [
            n for n in archive.namelist() if n.startswith("xl/worksheets/") and n.endswith(".xml")
        ]
        if not any(re.search(rb"<f[ >/]", archive.read(n)) for n in sheets):
            return
    book = load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
    written = book[values.title]
    written.reset_dimensions()
    values.reset_dimensions()
    lost = [
        f"{one.column_letter}{one.row}"
        for row, results in zip(written.iter_rows(), values.iter_rows(values_only=True))
        for one, result in zip(row, results)
        if result is None and one.data_type == "f"
    ]
    if lost:
        cells = f"{len(lost):,} cells hold formulas" if len(lost) > 1 else "a cell holds a formula"
        raise UserError(
            f"{member.name}, sheet “{values.title}”: {cells} without a saved result (first"
            f" {lost[0]}); open it in a spreadsheet and save it again, or save the sheet as CSV."
        )


def _is_table(text: bytes) -> bool:
    """Whether a sheet's text has two columns and three rows at least; else it may be a page of
    notes.
    """
    rows = csv.reader(io.StringIO(text[:1_000_000].decode("utf-8", "replace")))
    filled = [sum(bool(w.strip()) for w in row) for row in rows]
    return sum(n >= 2 for n in filled) >= 3


def _rows(sheet: Any, name: str, spans: set[int]) -> Iterator[list[str]]:
    """Yield the rows of a sheet as words. What a workbook says of its own size is not believed: it
    may be a million rows. `spans` gets the columns that hold durations.
    """
    sheet.reset_dimensions()
    for k, row in enumerate(sheet.iter_rows(values_only=True)):
        if k > limits.ROWS + 1000:
            raise UserError(
                f"{name} holds more than {limits.ROWS:,} rows; at most {limits.ROWS:,} are taken."
            )
        spans |= {j for j, v in enumerate(row) if isinstance(v, timedelta)}
        words = [_word(v) for v in row]
        while words and not words[-1]:
            words.pop()
        yield words


def _lines(rows: Iterator[list[str]], most: int) -> tuple[bytes, bool]:
    """Return the rows as text of equally many values each, and whether all of them are in it;
    nothing where no row has a value.
    """
    kept: list[list[str]] = []
    size, width, done = 0, 0, True
    for row in rows:
        kept.append(row)
        width = max(width, len(row))
        size += sum(map(len, row)) + len(row)
        if size > most:
            done = False
            break
    if not width:
        return b"", True
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(row + [""] * (width - len(row)) for row in kept)
    return text.getvalue().encode("utf-8", "replace"), done


def _word(value: Any) -> str:
    """Return a cell as it would stand in a text table."""
    if value is None:
        return ""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        said = repr(value)
        return said + "0" if THREE.fullmatch(said) else said
    if isinstance(value, datetime):
        return (
            value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
        )
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _word(value.total_seconds())
    return " ".join(str(value).split("\n")).replace("\r", "").replace("\0", "")


def _checked(data: bytes, name: str) -> None:
    """UserError for what is no workbook of the newer kind, or one that would unpack to too much or
    holds XML entities.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        infos = archive.infolist()
    except Exception:  # zipfile, zlib and struct each have errors of their own for damaged bytes
        raise UserError(f"{name} {DAMAGED}.") from None
    names = {i.filename for i in infos}
    if "xl/workbook.bin" in names:
        raise UserError(
            f"{name} is a binary Excel workbook (.xlsb), which Lightbox does not read; save the"
            " table as .xlsx or CSV."
        )
    if "xl/workbook.xml" not in names:
        raise UserError(
            f"{name} is no Excel workbook although its name says so; save the table as CSV."
        )
    tight = any(i.file_size > limits.RATIO * max(i.compress_size, 4096) for i in infos)
    if tight or sum(i.file_size for i in infos) > limits.FILE_BYTES:
        raise UserError(
            f"{name} unpacks to more than {limits.RATIO} times its size or"
            f" {limits.in_words(limits.FILE_BYTES, 'bytes')}; such files are refused."
        )
    for info in infos:
        if info.filename.endswith((".xml", ".rels")):
            try:
                start = archive.open(info).read(4096)
            except Exception:
                raise UserError(f"{name} {DAMAGED}.") from None
            if b"<!DOCTYPE" in start or b"<!ENTITY" in start:
                raise UserError(
                    f"{name} holds XML entities, as no spreadsheet writes them; save the table as"
                    " CSV."
                )
