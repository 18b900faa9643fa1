"""data add, list, show, check, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli import AsJson, say, workspace
from core.errors import UserError
from core.limits import VERIFIED
from core.store.catalogue import Job

data_cli = typer.Typer(help="Your datasets: add, list, show, check, remove.", no_args_is_help=True)


def register(cli: typer.Typer) -> None:
    cli.add_typer(data_cli, name="data")


def _words(found: dict[str, Any]) -> str:
    lines = [f"{found['dataset']}: {found['n']} rows, {found['modality']}"]
    lines += [f"  {c}: {k}" for c, k in found["labels"].items()]
    lines += [f"  groups: {found['groups']}"] if found["groups"] else []
    return "\n".join(lines + [f"  [{f['severity']}] {f['title']}: {f['words']}" for f in found["findings"]])


def _described(name: str) -> dict[str, Any]:
    from core.data.checks import findings
    from core.describe import dataset_json

    ws = workspace()
    return dataset_json(ws.dataset(name), findings(ws, name))


@data_cli.command("add")
def add(
    path: Path,
    name: Annotated[str | None, typer.Option(help="What to call it; the file's name by default.")] = None,
    label: Annotated[str, typer.Option(help="The label column, or folder (sub-folder = class), or none.")] = "auto",
    group: Annotated[str | None, typer.Option(help="The column that names the patient (or other group that must stay together).")] = None,
    domain: Annotated[str | None, typer.Option(help="The column that names the hospital or scanner.")] = None,
    text: Annotated[str | None, typer.Option(help="The column that holds text.")] = None,
    stack: Annotated[Literal["auto", "slices", "volumes"], typer.Option(help="What series of DICOM slices become; auto: volumes from three even stacks on.")] = "auto",
    masks: Annotated[Path | None, typer.Option(help="Folder of masks with the images' names.")] = None,
    as_: Annotated[Literal["auto", "table", "series"], typer.Option("--as", help="What a text table is: a table (each line a case) or series (a recording, cut into windows); auto looks.")] = "auto",
    take: Annotated[str, typer.Option(help="Where files of several kinds lie together, the one to take: nifti, dicom, picture, npz, npy, edf, fasta, parquet.")] = "auto",
    json: AsJson = False,
) -> None:
    """Import a file, zip or folder: all of it, or nothing and the reason. Ctrl-C stops it and leaves nothing."""
    from core.jobs import queue

    ws = workspace()
    job = queue.bring(ws, path, name, {"label": label, "group": group, "domain": domain, "text": text, "masks": masks and masks.absolute(),
                                    "stack": stack, "take": take, "series": {"auto": "auto", "table": "no", "series": "yes"}[as_]})
    try:
        job = queue.wait(ws, job.id, _progress if sys.stderr.isatty() else None)
    except KeyboardInterrupt:
        queue.cancel(ws, job.id)
        raise
    if job.bug:
        raise RuntimeError(f"import {job.id}: {job.error}")
    if job.status != "done":
        raise UserError(job.error or f"The import was {job.status}; nothing came in.")
    found = _described(job.dataset)
    say(found, _words(found), json)


def _progress(job: Job) -> None:
    """One line that is written over: percentage, what goes on, time left."""
    left = f", {job.eta:.0f} s left" if job.eta else ""
    typer.echo(f"\r{job.phase or 'waiting'}: {100 * (job.progress or 0):3.0f} %{left}".ljust(60) + ("\n" if job.ended else ""), nl=False, err=True)


@data_cli.command("list")
def list_(json: AsJson = False) -> None:
    """The datasets of the workspace."""
    listed = [{"dataset": e["name"], "n": e["n"], "modality": e["modality"], "sample": bool(e["sample"])} for e in workspace().catalogue.datasets()]
    words = "\n".join(f"{d['dataset']:<24} {d['n']:>7} {d['modality']}" for d in listed) or "No data yet: lightbox samples, or lightbox data add PATH."
    say({"datasets": listed}, words, json)


@data_cli.command("show")
def show(name: str, json: AsJson = False) -> None:
    """One dataset: its card and what the check finds."""
    workspace().compare(name, VERIFIED)
    found = _described(name)
    say(found, _words(found), json)


@data_cli.command("check")
def check(name: str, json: AsJson = False) -> None:
    """Look a dataset over before use: stored files, balance, duplicates, leaks, blanks, missing values."""
    workspace().compare(name)
    found = _described(name)
    say(found, _words(found), json)


@data_cli.command("remove")
def remove(name: str, json: AsJson = False) -> None:
    """Remove a dataset and all its runs."""
    from core.jobs import queue

    ws = workspace()
    queue.reconcile(ws)
    name = ws.entry(name)["name"]
    ws.remove_dataset(name)
    say({"dataset": name, "removed": True}, f"Removed {name}.", json)
