"""Stored results of the benchmarks: what the cards' figures come from."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import re
from datetime import date
from pathlib import Path
from typing import Any

from core import __version__
from core.artifacts.tables import KINDS
from core.io.files import make_folder, write_json
from core.settings import Settings

# Words in names of rows that are no rivals: they know the answers, have no limit to keep, or are
# the method itself.
NO_RIVALS = ("bound)", "target's labels", "all columns", "three seeds", "the default takes")
FOLDER = Path(__file__).parent.parent / "assets" / "evidence"
TARGET = "LIGHTBOX_EVIDENCE"
SOURCES = ("core.methods.", "core.measures.", "core.nets.", "core.stats.")
SAYS_WHERE = "shares_batches = True"  # of a class: what is learned is the same with and without


def shared_data() -> Path | None:
    """Return the folder of real open data (LIGHTBOX_SHARED, or `shared/data` beside the project);
    None where it is absent.
    """
    path = Path(os.environ.get("LIGHTBOX_SHARED", Path(__file__).parents[2] / "shared"))
    path = path / "data" if (path / "data").is_dir() else path
    return path if (path / "INDEX.md").exists() else None


def describe_hardware() -> str:
    """Return the processor this ran on, in words: "2 CPU cores (x86_64)" or the GPU's name."""
    import torch

    return (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{os.cpu_count()} CPU cores ({platform.machine()})"
    )


def is_checkout() -> bool:
    """Whether this is the project's source, whose own evidence may be replaced, and no installed
    package.
    """
    return (FOLDER.parents[1] / ".git").exists()


def evidence_folder() -> Path:
    """Where benchmarks put what they measured: LIGHTBOX_EVIDENCE, else in a checkout its own
    evidence, else the workspace.
    """
    if given := os.environ.get(TARGET):
        return Path(given)
    return FOLDER if is_checkout() else Settings().home.expanduser() / "evidence"


def code_of(id: str) -> str:
    """Return a hash (16 hex digits) of the code that figures of a method or measure come from: its
    file, and what that imports from SOURCES, all without comments, docstrings and layout. "" where
    there is no such file, as for a plug-in.
    """
    code = "\n".join(words for _, words in sorted(_sources(id).items()))
    return hashlib.sha256(code.encode()).hexdigest()[:16] if code else ""


def _sources(id: str) -> dict[Path, str]:
    """Return the files of a method or measure, its own and what they import, each with its code."""
    core = FOLDER.parents[1] / "core"
    own = [*core.glob(f"methods/*/{id}.py"), *core.glob(f"measures/{id}.py")]
    seen: dict[Path, str] = {}
    while own:
        path = own.pop()
        if path in seen:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own += _imported(tree, core.parent)
        seen[path] = _without_words(tree)
    return seen


def _imported(tree: ast.Module, root: Path) -> list[Path]:
    """Files of SOURCES that a module names in its imports."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    paths = [root / f"{name.replace('.', '/')}.py" for name in names if name.startswith(SOURCES)]
    return [path for path in paths if path.exists()]


def _without_words(tree: ast.Module) -> str:
    """Return the code of a module as Python writes it, without docstrings and `SAYS_WHERE`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.ClassDef):
            node.body = [one for one in node.body if ast.unparse(one) != SAYS_WHERE] or [ast.Pass()]
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def is_stale(found: dict[str, Any]) -> bool | None:
    """Whether the code has changed since one of the stored tables was measured; None where one was
    stored before the code was, and none is known to be of other code.
    """
    made = [made_of(found, table) for table in found["tables"]] or [found["made"]]
    codes = {one.get("code") or "" for one in made}
    if codes - {"", code_of(found["method"])}:
        return True
    return None if "" in codes else False


def made_of(found: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """Return when, on what and by which code (`date`, `hardware`, `version`, `code`, "" or missing
    where unknown) a table of stored evidence was measured: its own where it was measured before the
    others.
    """
    made: dict[str, Any] = table.get("made", found["made"])
    return made


def store_evidence(id: str, tables: list[dict[str, Any]]) -> None:
    """Write the benchmark's tables as evidence about method `id`, with date, hardware and a hash of
    the code, to `evidence_folder()`; a table that was measured before says so by a `made` of its
    own (`made_of`). ValueError where a row has bounds but no `kind` (of `KINDS`) that says of what.
    """
    for table in tables:
        for row in table["rows"]:
            if row["low"] is not None and row.get("kind", "") not in set(KINDS) - {""}:
                raise ValueError(f"{id}, “{table['title']}”: what are the bounds of {row['name']}?")
    folder = make_folder(evidence_folder())
    made = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "version": __version__,
        "code": code_of(id),
    }
    tables = [{k: v for k, v in table.items() if k != "made" or v != made} for table in tables]
    write_json(folder / f"{id}.json", {"method": id, "made": made, "tables": tables})


def load_evidence(id: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """Return the stored evidence of method `id` in a folder (the cards' by default), or None when
    nobody has measured it.
    """
    path = folder / f"{id}.json"
    return json.loads(path.read_text()) if path.exists() else None


def find_best_rival(table: dict[str, Any]) -> dict[str, Any]:
    """Return the row of `table` that does best, the first row, which is the method, and bounds that
    no one could reach left aside.
    """
    pick = max if table["higher_is_better"] else min
    return pick(list_rivals(table), key=lambda row: row["value"])


def count_wins(id: str) -> tuple[int, int]:
    """Return in how many of a method's stored tables its own row is ahead of every rival, and how
    many tables with rivals there are; (0, 0) where nobody has measured it.
    """
    by = wins_by_data(id).values()
    return sum(ahead for ahead, _ in by), sum(tables for _, tables in by)


def wins_by_data(id: str, measures: tuple[str, ...] = ("",)) -> dict[str, tuple[int, int]]:
    """Return `count_wins` for each data a method was measured on, called as the tables call it up
    to the first comma or bracket; `measures`: only tables whose measure has one of these words.
    """
    found: dict[str, tuple[int, int]] = {}
    for table in (load_evidence(id) or {"tables": []})["tables"]:
        own = table["rows"][0]["value"]
        if own is None or not list_rivals(table):
            continue
        if not any(words in table.get("measure", "") for words in measures):
            continue
        best = find_best_rival(table)["value"]
        wins = own > best if table["higher_is_better"] else own < best
        name = re.split(r",| \(", table.get("data", ""))[0]
        ahead, tables = found.get(name, (0, 0))
        found[name] = ahead + wins, tables + 1
    return found


def list_rivals(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of `table` that the method, its first row, is measured against: all but those
    named by NO_RIVALS.
    """
    return [
        row for row in table["rows"][1:] if not any(words in row["name"] for words in NO_RIVALS)
    ]


def intervals_overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether what lies about the values of two rows of a table overlaps; no where one has nothing
    about it.
    """
    if None in (one["low"], other["low"]):
        return False
    return one["low"] <= other["high"] and other["low"] <= one["high"]


def find_table(id: str, title: str, measure: str) -> dict[str, Any]:
    """Return the evidence table of method `id` whose title begins with `title` and whose measure
    begins with `measure`. KeyError when there is none.
    """
    for table in (load_evidence(id) or {"tables": []})["tables"]:
        if table["title"].startswith(title) and table["measure"].startswith(measure):
            return table
    raise KeyError(f"{id}: no table “{title}” of {measure}")


def performance_row(id: str, title: str, measure: str, words: str) -> str:
    """Return a line of the table in docs/performance.md: what was measured in `words`, and the
    method's figure against that of its best rival.
    """
    table = find_table(id, title, measure)
    own, rival = table["rows"][0], find_best_rival(table)
    close = " (they overlap)" if intervals_overlap(own, rival) else ""
    many = len(list_rivals(table))
    of = f"the best of {many}" if many > 1 else "its one rival"
    return (
        f"| `{id}`, {words}, against {of}, {rival['name']} | {own['value']:.3f} against"
        f" {rival['value']:.3f}{close} |"
    )
