"""The bytes of a text table as UTF-8, and as records of values."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator

from core import limits
from core.errors import UserError

START = 1 << 16  # letters in which the separator is looked for


def decode_text(data: bytes, name: str, most: int | None = None) -> tuple[bytes, str, bool]:
    """Return the text as UTF-8 without a mark in front, the name of the encoding it had, and
    whether it was cut at `most` bytes.
    """
    cut = most is not None and len(data) >= most
    if data.isascii() and b"\0" not in data:  # as UTF-8 and Latin-1 have it
        return data, "UTF-8", cut
    kinds = (
        [("utf-16", "UTF-16")]
        if data[:2] in (b"\xff\xfe", b"\xfe\xff")
        else [("utf-8", "UTF-8"), ("latin-1", "Latin-1")]
    )
    if re.search(rb"[\x80-\x9f]", data):  # control characters in Latin-1, letters in Windows-1252
        kinds[1:1] = [("cp1252", "Windows-1252")]
    for code, words in kinds:
        try:
            if code == "utf-8":
                data = data[3:] if data[:3] == codecs.BOM_UTF8 else data
                for _ in _decoded(data, code, cut):
                    pass
                kept = data.decode(errors="ignore").encode() if cut else data
            else:
                kept = b"".join(part.encode() for part in _decoded(data, code, cut))
        except UnicodeDecodeError:
            continue
        if b"\0" in kept:
            raise UserError(f"{name} holds binary zeros; it is no text table.")
        return kept, words, cut
    raise UserError(f"{name} is no text file that can be read.")


def _decoded(data: bytes, encoding: str, cut: bool) -> Iterator[str]:
    """In parts, so that a large file never stands in memory as Python text."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for i in range(0, len(data), 1 << 24):
        yield decoder.decode(data[i : i + (1 << 24)])
    if not cut:
        yield decoder.decode(b"", True)


def open_text_stream(data: bytes) -> io.TextIOWrapper:
    """UTF-8 bytes as text, line ends as they are."""
    return io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")


def read_records(data: bytes | str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of each record that is not blank. UserError for a value that is too long."""
    csv.field_size_limit(limits.CELL)
    source = io.StringIO(data, newline="") if isinstance(data, str) else open_text_stream(data)
    reader = csv.reader(source, delimiter=separator, skipinitialspace=separator == " ")
    line = 1
    try:
        for record in reader:
            if any(map(str.strip, record)):
                yield line, record[:-1] if separator == " " and record[-1] == "" else record
            line = reader.line_num + 1
    except csv.Error as e:
        if "field limit" in str(e):
            raise UserError(
                f"{name}, line {line} holds a value of more than {limits.CELL:,} letters; at most"
                " that many are taken (a quotation mark that is never closed looks like this,"
                " too)."
            ) from None
        raise UserError(f"{name}, line {line} cannot be read as a row of a table ({e}).") from None
