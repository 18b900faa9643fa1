"""data issues, exclude, release, ignore, fix, undo: what people decide about the cases of a
dataset.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace
from app.commands.data import data_cli
from core.errors import UserError

Reason = Annotated[str, typer.Option(help="Why, in a few words; it is kept with the data.")]


def register(cli: typer.Typer) -> None:
    for name, command in (
        ("issues", issues),
        ("exclude", exclude),
        ("release", release),
        ("ignore", ignore),
        ("fix", fix),
        ("undo", undo),
        ("readings", readings),
    ):
        data_cli.command(name)(command)


def _finding(name: str, kind: str) -> Any:
    from core.data.checks import dataset_findings

    found = {
        f.kind: f for f in dataset_findings(workspace(), name) if f.severity not in ("ok", "note")
    }
    if kind not in found:
        raise UserError(f"There is no finding “{kind}” (there are: {', '.join(found) or 'none'}).")
    return found[kind]


def issues(name: str, json: AsJson = False) -> None:
    """The findings to review, the cases hidden pending review, and the decisions, with the id that
    `undo` takes.
    """
    from dataclasses import asdict

    from core.data.checks import dataset_findings
    from core.workspace import decisions, review

    ws = workspace()
    made = review.list_decisions(ws, name)
    ignored = {d.finding: d.reason for d in made if d.what == "ignore"}
    found = [
        asdict(f) | {"ignored": ignored.get(f.kind)}
        for f in dataset_findings(ws, name)
        if f.severity not in ("ok", "note")
    ]
    waiting = review.held_rows(ws, name)
    told = {
        "dataset": ws.entry(name)["name"],
        "issues": found,
        "held": [{"row": r, "why": why} for r, why in waiting.items()],
        "decisions": [asdict(d) for d in made],
    }
    lines = [
        f"[{f['severity']}] {f['kind']}: {f['words']}"
        + (f" (ignored: {f['ignored']})" if f["ignored"] else "")
        for f in found
    ] or ["No issue is open."]
    lines += (
        [f"{len(waiting):,} cases are hidden pending review: lightbox data release {name}"]
        if waiting
        else []
    )
    lines += [
        f"{d.id}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(d.when))} "
        f" {decisions.WORDS[d.what]}: {len(d.rows) or d.finding or d.value} ({d.reason})"
        for d in made
    ]
    say(told, "\n".join(lines), json)


def say_decision(name: str, decision: Any, json: bool) -> None:
    from dataclasses import asdict

    from core.workspace import decisions

    ws = workspace()
    left = ws.entry(name)["n"]
    what = (
        f"{len(decision.rows):,} rows {decisions.WORDS[decision.what]}"
        if decision.rows
        else f"“{decision.finding}” {decisions.WORDS[decision.what]}"
    )
    say(
        asdict(decision) | {"dataset": ws.entry(name)["name"], "n": left},
        f"{what}; {left:,} are in use. Take it back: lightbox data undo {name} {decision.id}",
        json,
    )


def numbers(rows: str) -> list[int]:
    """Row ids from "3,5,10-20". UserError for anything else."""
    found: list[int] = []
    for part in filter(None, (p.strip() for p in rows.split(","))):
        first, dash, last = part.partition("-")
        if (
            not first.isdigit()
            or (dash and not last.isdigit())
            or (dash and int(last) - int(first) > 10_000_000)
        ):
            raise UserError(f"“{part[:40]}” is not a row number or a range such as 10-20.")
        found += range(int(first), int(last) + 1) if dash else [int(first)]
    return found


def exclude(
    name: str,
    reason: Reason,
    rows: Annotated[str, typer.Option(help="Row numbers: 3,5,10-20.")] = "",
    finding: Annotated[
        str, typer.Option(help="The rows of this finding; `lightbox data issues` lists them.")
    ] = "",
    keep_one: Annotated[
        bool, typer.Option("--keep-one", help="Of copies, keep one of each set.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Leave cases out of everything from now on: training, maps, figures, exports, reports."""
    from core.workspace import review

    if bool(rows) == bool(finding):
        raise UserError("Say which cases: --rows or --finding.")
    ws = workspace()
    if finding:
        found = _finding(name, finding)
        chosen = found.rows
        if keep_one and found.sets:
            chosen = [r for s in found.sets for r in review.surplus_copies(ws.dataset(name), s)]
    else:
        chosen = numbers(rows)
    say_decision(name, review.exclude(ws, name, np.asarray(chosen), reason, finding), json)


def release(
    name: str,
    rows: Annotated[
        str, typer.Option(help="Row numbers; all that are hidden pending review by default.")
    ] = "",
    reason: Reason = "looked at",
    json: AsJson = False,
) -> None:
    """Let cases be used that are hidden pending review."""
    from core.workspace import review

    chosen = np.asarray(numbers(rows)) if rows else None
    say_decision(name, review.release(workspace(), name, chosen, reason), json)


def ignore(name: str, finding: str, reason: Reason, json: AsJson = False) -> None:
    """Set a finding aside; it is listed as ignored, with the reason."""
    from core.workspace import review

    _finding(name, finding)
    say_decision(name, review.ignore(workspace(), name, finding, reason), json)


def fix(name: str, finding: str, json: AsJson = False) -> None:
    """Let the tool fix what it can: every patient wholly into one part."""
    from dataclasses import asdict

    from core.workspace import review

    if not _finding(name, finding).fix:
        raise UserError(
            f"“{finding}” cannot be fixed by itself; exclude cases or ignore it with a reason."
        )
    ws = workspace()
    made = review.fix_split(ws, name, finding)
    told = {"dataset": ws.entry(name)["name"], "decisions": [asdict(d) for d in made]}
    say(told, "\n".join(f"{d.id}: {len(d.rows):,} rows moved to {d.value}" for d in made), json)


def undo(name: str, decision: str, json: AsJson = False) -> None:
    """Take a decision back, by its id."""
    from core.workspace import decisions, review

    ws = workspace()
    taken = review.undo(ws, name, decision)
    say(
        {"dataset": ws.entry(name)["name"], "undone": taken.id, "n": ws.entry(name)["n"]},
        f"Taken back: {decisions.WORDS[taken.what]} ({taken.reason}).",
        json,
    )


def readings(
    name: str,
    csv: Annotated[Path | None, typer.Option(help="Write all of them to this file.")] = None,
    json: AsJson = False,
) -> None:
    """What readers answered in the reading room, before and after they saw the model's answer."""
    from core.export import safe_csv
    from core.io.files import write_bytes
    from core.workspace.readings import list_readings, readings_table

    ws = workspace()
    frame = readings_table(ws, name)
    if csv is not None:
        write_bytes(csv, safe_csv(frame).encode())
    counted = [r for r in list_readings(ws, name) if r.verdict]
    told = {
        "dataset": ws.entry(name)["name"],
        "readings": frame.astype(object).where(frame.notna(), None).to_dict("records"),
    }
    lines = [
        f"{when}  {r.reader}: row {r.row} {r.answer}"
        + (f", before the model ({r.model})" if r.first and r.model else "")
        + (f", {r.verdict}" if r.verdict else "")
        + (", taken back" if r.undone is not None else "")
        for r, when in zip(list_readings(ws, name, undone=True), frame["answered"])
    ]
    lines.append(f"{len(frame):,} readings, {len(counted):,} with a verdict on the model.")
    say(told, "\n".join(lines), json)
