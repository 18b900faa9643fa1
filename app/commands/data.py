"""data add, list, show, check, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.commands._shared import AsJson, say, workspace
from core.data.role_words import ROLES
from core.errors import UserError
from core.limits import VERIFIED
from core.workspace.catalogue import Job

data_cli = typer.Typer(help="Your datasets: add, list, show, check, remove.", no_args_is_help=True)


def register(cli: typer.Typer) -> None:
    cli.add_typer(data_cli, name="data")


def _words(found: dict[str, Any]) -> str:
    lines = [f"{found['dataset']}: {found['n']} rows, {found['modality']}"]
    lines += [f"  {c}: {k}" for c, k in found["labels"].items()]
    lines += [f"  groups: {found['groups']}"] if found["groups"] else []
    return "\n".join(
        lines + [f"  [{f['severity']}] {f['title']}: {f['words']}" for f in found["findings"]]
    )


def _described(name: str) -> dict[str, Any]:
    from core.data.checks import dataset_findings
    from core.json_output import dataset_json

    ws = workspace()
    return dataset_json(ws.dataset(name), dataset_findings(ws, name))


@data_cli.command("add")
def add(
    path: Path,
    name: Annotated[
        str | None, typer.Option(help="What to call it; the file's name by default.")
    ] = None,
    label: Annotated[
        str, typer.Option(help="The label column, or folder (sub-folder = class), or none.")
    ] = "auto",
    group: Annotated[
        str | None,
        typer.Option(
            help="The column that names the patient (or other group that must stay together)."
        ),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="The column that names the hospital or scanner.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The column that holds text.")] = None,
    stack: Annotated[
        Literal["auto", "slices", "volumes"],
        typer.Option(
            help="What series of DICOM slices become; auto: volumes from three even stacks on."
        ),
    ] = "auto",
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks with the images' names.")
    ] = None,
    as_: Annotated[
        Literal["auto", "table", "series"],
        typer.Option(
            "--as",
            help=(
                "What a text table is: a table (each line a case) or series (a recording, cut into"
                " windows); auto looks."
            ),
        ),
    ] = "auto",
    take: Annotated[
        str,
        typer.Option(
            "--format",
            help=(
                "Where files of several kinds lie together, the one to take: nifti, dicom, picture,"
                " npz, npy, edf, fasta, parquet."
            ),
        ),
    ] = "auto",
    role: Annotated[
        list[str],
        typer.Option(
            help=f"What a column is, COLUMN=ROLE: {', '.join(ROLES)}. May be given several times."
        ),
    ] = [],  # noqa: B006 - typer's way
    normal: Annotated[
        str,
        typer.Option(
            help="The label of the cases that are normal, or none; guessed by its word otherwise."
        ),
    ] = "",
    remove: Annotated[
        list[str],
        typer.Option(help="A column that is not to come in. May be given several times."),
    ] = [],  # noqa: B006 - typer's way
    replace: Annotated[
        list[str],
        typer.Option(
            help=(
                "A column whose values get new names, the same in every import here. May be given"
                " several times."
            )
        ),
    ] = [],  # noqa: B006 - typer's way
    keep: Annotated[
        list[str],
        typer.Option(
            help=(
                "A column that comes in as it is although the list that is accepted says otherwise."
                " May be given several times."
            )
        ),
    ] = [],  # noqa: B006 - typer's way
    accept: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=(
                "Accept the list that --dry-run prints, of what is removed, replaced and kept: it"
                " is carried out, and kept with this name and the time."
            ),
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help=(
                "Import nothing; print what a first look finds: what each column would be taken"
                " for, how sure that is and why, and the list of what is removed, replaced and"
                " kept."
            ),
        ),
    ] = False,
    json: AsJson = False,
    old_take: Annotated[str, typer.Option("--take", hidden=True)] = "",
) -> None:
    """Import a file, zip or folder: all of it, or nothing and the reason. Ctrl-C stops it and
    leaves nothing.
    """
    from core.jobs import queue

    take = old_take or take
    series = {"auto": "auto", "table": "no", "series": "yes"}[as_]
    said = {
        "label": label,
        "group": group,
        "domain": domain,
        "text": text,
        "series": series,
        "roles": _roles(role),
    }
    fates = dict.fromkeys(keep, "keep") | dict.fromkeys(remove, "remove")
    fates |= dict.fromkeys(replace, "replace")
    if dry_run:
        found = _looked(path, take, said, normal, fates)
        say(found, _looked_words(found), json)
        return
    ws = workspace()
    accepted = _accepted(path, take, said, accept, fates) if accept.strip() else None
    options = said | {
        **{f: [c for c, chosen in fates.items() if chosen == f] for f in ("remove", "replace")},
        "accepted": accepted,
        "masks": masks and masks.absolute(),
        "stack": stack,
        "take": take,
        "normal": normal,
    }
    job = queue.import_data(ws, path, name, options)
    try:
        job = queue.wait(ws, job.id, _progress if sys.stderr.isatty() else None)
    except KeyboardInterrupt:
        queue.cancel(ws, job.id)
        raise
    if job.bug:
        raise RuntimeError(f"import {job.id}: {job.error}")
    if job.status != "done":
        on = f" {_way_on(job)}" if job.status == "interrupted" else ""
        raise UserError((job.error or f"The import was {job.status}; nothing came in.") + on)
    tell_imported(job.dataset, json)


def tell_imported(name: str, json: bool) -> None:
    """Say what came in."""
    found = _described(name)
    say(found, _words(found), json)


def _way_on(job: Job) -> str:
    """How to go on with an import that was broken off."""
    return (
        f"`lightbox runs resume {job.id}` goes on with it, `lightbox runs remove {job.id}` takes it"
        " away."
    )


def _roles(given: list[str]) -> dict[str, str]:
    """COLUMN=ROLE pairs; a column's name may hold the sign itself, a role never does."""
    roles: dict[str, str] = {}
    for pair in given:
        column, equals, role = pair.rpartition("=")
        role = " ".join(role.replace("_", " ").replace("-", " ").lower().split())
        if not equals or not column or role not in ROLES:
            raise UserError(f"“{pair}” is not COLUMN=ROLE (roles are: {', '.join(ROLES)}).")
        roles[column] = role
    return roles


def _look(path: Path, take: str, said: dict[str, Any]) -> dict[str, Any]:
    """The first look at `path`; UserError where there is nothing, or it cannot be looked at."""
    from core import sandbox
    from core.jobs.import_preview import LOOK

    if not path.exists():
        raise UserError(f"There is no file or folder {path.name}.")
    called = path.name
    seen: dict[str, Any] = sandbox.run(
        LOOK, path.absolute(), take, called, said, what="The first look"
    )
    return seen


def _accepted(
    path: Path, take: str, said: dict[str, Any], name: str, fates: dict[str, str]
) -> dict[str, Any]:
    """What the card keeps of the list that is accepted; `fates` is completed by what it proposes.
    UserError where files of several kinds lie there and none is chosen.
    """
    from datetime import UTC, datetime

    from core.jobs.import_preview import describe_cost, list_entries

    seen = _look(path, take, said)
    if "kind" not in seen:
        raise UserError("There is no list to accept yet: say which files to take with --format.")
    for c in seen.get("columns of people", []):
        fates.setdefault(c["column"], c["fate"])
    return {
        "by": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "list": list_entries(seen, fates),
        "looked": describe_cost(seen["cost"]),
    }


def _looked(
    path: Path, take: str, said: dict[str, Any], normal: str, fates: dict[str, str]
) -> dict[str, Any]:
    """The first look at `path` as plain values: nothing is imported."""
    from core.data.normal import guess_normal
    from core.jobs.import_preview import describe_cost, list_entries

    seen = _look(path, take, said)
    people = seen.pop("columns of people", [])
    entries = list_entries(
        {**seen, "columns of people": people},
        {c["column"]: c["fate"] for c in people} | fates,
    )
    seen["identifying"] = entries if "kind" in seen else []
    seen["cost"]["words"] = describe_cost(seen["cost"])
    seen["pictures"] = [
        {"title": p["title"], "words": p["words"]} for p in seen.get("pictures", [])
    ]
    head = seen.pop("head", None)
    types = seen.pop("types", {})
    guesses = seen.pop("guesses", [])
    names = seen.pop("columns", [])
    found = {
        "source": path.name,
        "imported": False,
        "columns": [{"column": c} for c in names],
        **seen,
    }
    if guesses:
        found["columns"] = [
            {
                "column": g["column"],
                "role": g["role"],
                "confidence": g["sure"],
                "how sure": g["words"],
                "why": g["why"],
                "asked": g["asked"],
                "type": types.get(g["column"]),
            }
            for g in guesses
        ]
    if head is not None:
        found["head"] = [
            {str(c): None if v is None or v != v else str(v) for c, v in line.items()}
            for line in head.to_dict("records")
        ]
    outcome = next((g["column"] for g in guesses if g["role"] == "outcome"), "folder")
    classes = seen.get("classes", {}).get(outcome, [])
    if normal not in ("", "none", *classes) and classes:
        raise UserError(
            f"“{normal}” is not a class of “{outcome}” (there are: {', '.join(classes)})."
        )
    guessed = guess_normal(classes, outcome)
    if normal:
        guessed = (normal, "you said so")
    found["normal"] = {"class": guessed[0], "why": guessed[1]} if guessed else None
    return found


def _looked_words(found: dict[str, Any]) -> str:
    from core.data.identifying import describe_entries

    lines = [f"{found['source']}: {found.get('kind', 'files')}; nothing is imported."]
    if several := found.get("kinds"):
        lines.append(
            "Files of several kinds: "
            + ", ".join(f"{n} {k}" for k, n in several.items())
            + (
                f"; {found['usual']} is taken, or what --format says."
                if "usual" in found
                else "; say which to take with --format."
            )
        )
    if "looked" in found:
        lines.append(
            f"By the first {found['looked']:,} rows"
            + (", which are all." if found["whole"] else "; the import decides on the whole.")
        )
    lines += [
        f"  {c['column']:<28} {c['role']:<9} {c['how sure']:<22} {c['why']}"
        for c in found["columns"]
        if "role" in c
    ]
    if folders := found.get("classes", {}).get("folder"):
        lines.append(f"  classes by folder: {', '.join(folders)}")
    if found.get("normal"):
        lines.append(f"  normal class: {found['normal']['class']} ({found['normal']['why']})")
    lines += [f"  rule: {rule}" for rule in found.get("rules", [])]
    lines += [f"  to be seen: {p['title']} {p['words']}" for p in found["pictures"]]
    lines += [f"  note: {note}" for note in found.get("notes", [])]
    if found["identifying"]:
        lines.append("What could say who somebody is (--accept NAME accepts it, --json has all):")
        of = describe_entries(found["identifying"])
        lines += [f"  {happens}: {words}" for happens, words in of.items()]
    lines.append(found["cost"]["words"])
    return "\n".join(lines)


def _progress(job: Job) -> None:
    """One line that is written over: percentage, what goes on, time left."""
    left = f", {job.eta:.0f} s left" if job.eta else ""
    typer.echo(
        f"\r{job.phase or 'waiting'}: {100 * (job.progress or 0):3.0f} %{left}".ljust(60)
        + ("\n" if job.ended else ""),
        nl=False,
        err=True,
    )


@data_cli.command("list")
def list_(json: AsJson = False) -> None:
    """The datasets of the workspace."""
    from core.jobs import queue, reconciling

    ws = workspace()
    reconciling.reconcile(ws)
    listed = [
        {"dataset": e["name"], "n": e["n"], "modality": e["modality"], "sample": bool(e["sample"])}
        for e in ws.catalogue.datasets()
    ]
    waiting = queue.unfinished_imports(ws)
    lines = [f"{d['dataset']:<24} {d['n']:>7} {d['modality']}" for d in listed] or [
        "No data yet: lightbox samples, or lightbox data add PATH."
    ]
    lines += [
        f"import {j.id}{f' ({j.label})' if j.label else ''}:"
        f" {f'broken off. {_way_on(j)}' if j.status == 'interrupted' else j.status}"
        for j in waiting
    ]
    imports = [{"import": j.id, "name": j.label or None, "status": j.status} for j in waiting]
    say({"datasets": listed, **({"imports": imports} if imports else {})}, "\n".join(lines), json)


@data_cli.command("show")
def show(name: str, json: AsJson = False) -> None:
    """One dataset: its card and what the check finds."""
    workspace().compare(name, VERIFIED)
    found = _described(name)
    say(found, _words(found), json)


@data_cli.command("check")
def check(name: str, json: AsJson = False) -> None:
    """Look a dataset over before use: stored files, balance, duplicates, leaks, blanks, missing
    values.
    """
    workspace().compare(name)
    found = _described(name)
    say(found, _words(found), json)


@data_cli.command("normal")
def normal(
    name: str,
    value: Annotated[str, typer.Argument(help="The class; none = no class is normal.")],
    json: AsJson = False,
) -> None:
    """Say which class is the normal one: training on normal cases, the threshold and its figures
    follow it.
    """
    from core.workspace import review

    ws = workspace()
    classes = ws.dataset(name).classes
    decision = review.name_normal(
        ws, name, "" if value == "none" and value not in classes else value
    )
    words = (
        f"“{decision.value}” is the normal class."
        if decision.value
        else "No class is the normal one."
    )
    say(
        {"dataset": ws.entry(name)["name"], "normal": decision.value, "decision": decision.id},
        words,
        json,
    )


@data_cli.command("remove")
def remove(name: str, json: AsJson = False) -> None:
    """Remove a dataset and all its runs."""
    from core.jobs import reconciling

    ws = workspace()
    reconciling.reconcile(ws)
    name = ws.entry(name)["name"]
    ws.remove_dataset(name)
    say({"dataset": name, "removed": True}, f"Removed {name}.", json)
