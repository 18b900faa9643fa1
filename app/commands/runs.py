"""train, runs, measure, export."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from app import text
from app.commands import data
from app.commands._shared import AsJson, say, workspace, writable
from core.errors import UserError

runs_cli = typer.Typer(
    help="Runs: list, show, cancel, resume, remove.", invoke_without_command=True
)


def register(cli: typer.Typer) -> None:
    for command in (train, apply, measure, export):
        cli.command(command.__name__)(command)
    cli.add_typer(runs_cli, name="runs")


def finish(job: Any, as_json: bool) -> Any:
    """Wait for a job with a progress line; UserError with its sentence when it did not end well."""
    import sys

    from core.jobs import queue

    ws = workspace()

    def tell(now: Any) -> None:
        if not as_json and sys.stderr.isatty():
            left = f", {now.eta:.0f} s left" if now.eta else ""
            print(
                f"\r{now.phase or now.status:<30} {100 * (now.progress or 0):3.0f} %{left}    ",
                end="",
                file=sys.stderr,
            )

    try:
        done = queue.wait(ws, job.id, tell)
    except KeyboardInterrupt:
        raise UserError(
            f"Run {job.id} goes on; stop it with `lightbox runs cancel {job.id}`."
        ) from None
    if not as_json and sys.stderr.isatty():
        print(file=sys.stderr)
    if done.status == "failed" and done.bug:
        log = ws.folder(done.id) / "log.txt"
        print(f"Run {done.id} failed: {done.error.rstrip('.')} ({log}).", file=sys.stderr)
        raise typer.Exit(1)
    if done.status != "done":
        raise UserError(
            f"Run {done.id} {done.status}: {done.error}"
            if done.error
            else f"Run {done.id} was {done.status}."
        )
    return done


def train(
    dataset: str,
    method: str,
    param: Annotated[
        list[str], typer.Option("-p", help="A parameter, KEY=VALUE; `lightbox methods` lists them.")
    ] = [],  # noqa: B006 - typer's way
    on: Annotated[
        str, typer.Option("--from-run", help="The earlier run this one builds upon.")
    ] = "",
    only: Annotated[
        str, typer.Option(help="Use these cases only: COLUMN=VALUE or a saved group.")
    ] = "",
    chosen: Annotated[
        str,
        typer.Option(
            "--rows",
            help=(
                "The cases a method asks for, such as those to forget: a saved group or"
                " COLUMN=VALUE."
            ),
        ),
    ] = "",
    only_normal: Annotated[
        bool,
        typer.Option(
            "--only-normal",
            help=(
                "Learn from the cases of the normal class only (see lightbox data normal); all"
                " cases are scored."
            ),
        ),
    ] = False,
    test: Annotated[
        str,
        typer.Option(
            help="Another dataset, held out: the model is applied to it once it is trained."
        ),
    ] = "",
    seed: int = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    processes: Annotated[
        int,
        typer.Option(
            help=(
                "Processes that train it together, each on its part of every batch: one a GPU, or"
                " on the processors."
            )
        ),
    ] = 1,
    wait: Annotated[bool, typer.Option("--wait/--no-wait")] = True,
    json: AsJson = False,
    old_on: Annotated[str, typer.Option("--on", hidden=True)] = "",
    old_chosen: Annotated[str, typer.Option("--chosen", hidden=True)] = "",
) -> None:
    """Train a method on a dataset, in a process of its own."""
    from core.jobs import queue
    from core.json_output import run_json

    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"“{device}” is not a device; use auto, cpu or cuda.")
    ws = workspace()
    job = queue.train(
        ws,
        dataset,
        method,
        _params(param),
        on=on or old_on,
        seed=seed,
        device=device,
        only=only,
        chosen=chosen or old_chosen,
        only_normal=only_normal,
        test=test,
        processes=processes,
    )
    if wait:
        job = finish(job, json)
    found = run_json(ws, job)
    words = _words(found)
    if wait and (applied := queue.apply_after(ws, job)) is not None:
        tested = run_json(ws, finish(applied, json))
        found, words = found | {"test": tested}, f"{words}\n{_words(tested)}"
    say(found, words, json)


def apply(
    run: str,
    dataset: str,
    wait: Annotated[bool, typer.Option("--wait/--no-wait")] = True,
    json: AsJson = False,
) -> None:
    """Apply a trained model to another dataset: what it says of every case there, how far each lies
    from the training data, and measures where the truth is known.
    """
    from core.jobs import queue
    from core.json_output import run_json

    ws = workspace()
    job = queue.apply(ws, run, dataset)
    if wait:
        job = finish(job, json)
    found = run_json(ws, job)
    say(found, _words(found), json)


def _params(given: list[str]) -> dict[str, Any]:
    """KEY=VALUE pairs; the method's parameters turn the words into numbers."""
    params: dict[str, Any] = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError(f"“{pair}” is not KEY=VALUE.")
        params[key.strip()] = value.strip()
    return params


def _words(found: dict[str, Any]) -> str:
    what = (
        f"{found['method']} of run {found['on']} applied to"
        if found["kind"] == "apply"
        else f"{found['method']} on"
    )
    lines = [
        f"run {found['run']}: {what} {found['dataset']}, {found['status']}, {found['seconds']} s"
    ]
    lines += [found["error"]] if found["error"] else []
    lines += [f"Note: {note}" for note in found["notes"]]
    return "\n".join(
        lines
        + [f"  {a['name']}: {a['summary']}" for a in found["artifacts"]]
        + metric_lines(found["metrics"])
    )


def metric_lines(metrics: list[dict[str, Any]]) -> list[str]:
    from app.text import interval

    lines = []
    for m in metrics:
        name = m["name"] if m["group"] == "all" else f"{m['name']}, {m['group']}"
        lines.append(
            f"  {name:<32} {interval(m['value'], m['low'], m['high'], m['n'], m['kind'])}"
            f" [{m['split']}] {m['note']}".rstrip()
        )
    return lines


@runs_cli.callback()
def runs(context: typer.Context, json: AsJson = False) -> None:
    """Without a sub-command: the list of runs."""
    if context.invoked_subcommand is None:
        list_(json)
    elif json:
        raise UserError(
            f"Write --json at the end: lightbox runs {context.invoked_subcommand} ... --json."
        )


@runs_cli.command("list")
def list_(json: AsJson = False) -> None:
    """All training runs and applications of their models, newest first."""
    from core.jobs import reconciling

    ws = workspace()
    reconciling.reconcile(ws)
    names = {e["id"]: e["name"] for e in ws.catalogue.datasets()}
    listed = [
        {
            "run": j.id,
            "kind": j.kind,
            "dataset": names.get(j.dataset),
            "method": j.method,
            "status": j.status,
            "seed": j.seed,
            "progress": round(j.progress or 0, 3),
            "seconds": round(j.seconds or 0, 2),
        }
        for j in ws.runs()
    ]
    words = (
        "\n".join(
            f"{r['run']}  {r['status']:<12} {r['method']:<18}"
            f" {'applied to ' * (r['kind'] == 'apply')}{r['dataset']}"
            for r in listed
        )
        or "No runs yet: lightbox train DATASET METHOD."
    )
    say({"runs": listed}, words, json)


def _one(id: str, json: bool) -> None:
    from core.json_output import run_json

    ws = workspace()
    found = run_json(ws, ws.job(id))
    say(found, _words(found), json)


@runs_cli.command("show")
def show(id: str, json: AsJson = False) -> None:
    """One run: state, parameters, artifacts, metrics."""
    from core.jobs import reconciling

    reconciling.reconcile(workspace())
    _one(id, json)


@runs_cli.command("cancel")
def cancel(id: str, json: AsJson = False) -> None:
    """Stop a run; it says so within two seconds."""
    from core.jobs import queue

    ws = workspace()
    queue.wait(ws, queue.cancel(ws, id).id, timeout=30)
    _one(id, json)


@runs_cli.command("resume")
def resume(
    id: str,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin again from the start instead.")
    ] = False,
    old_from_scratch: Annotated[bool, typer.Option("--anew", hidden=True)] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait")] = True,
    json: AsJson = False,
) -> None:
    """Go on with an interrupted, cancelled or failed run from its last checkpoint."""
    from core.jobs import queue

    job = queue.resume(workspace(), id, from_scratch=from_scratch or old_from_scratch)
    if wait:
        job = finish(job, json)
    if job.kind == "import" and job.status == "done":
        data.tell_imported(job.dataset, json)
    else:
        _one(job.id, json)


@runs_cli.command("name")
def name_run(id: str, name: str, json: AsJson = False) -> None:
    """Call a run by a name of your own; an empty one takes it back."""
    from core.workspace import notes

    ws = workspace()
    job = notes.name_run(ws, ws.job(id).id, name)
    said = f"Run {job.id} is called “{job.label}”." if job.label else f"Run {job.id} has no name."
    say({"run": job.id, "name": job.label}, said, json)


@runs_cli.command("facts")
def facts(
    id: str,
    intended_use: Annotated[
        str | None, typer.Option(help="For whom and for what the model is meant.")
    ] = None,
    known_failures: Annotated[str | None, typer.Option(help="Where it was seen to fail.")] = None,
    when_to_stop: Annotated[
        str | None, typer.Option(help="What would make you stop using it.")
    ] = None,
    author: Annotated[str, typer.Option(help="Who states this.")] = "",
    json: AsJson = False,
) -> None:
    """What people state of a run's model, for its page and reports; an empty text takes one
    back.
    """
    from core.workspace import notes

    ws = workspace()
    run = ws.job(id).id
    given = (intended_use, known_failures, when_to_stop)
    told = {k: words for k, words in zip(notes.MODEL_FACTS, given) if words is not None}
    if told:
        notes.state_model_facts(ws, run, told, author)
    stated = notes.load_model_facts(ws, run)
    lines = [
        f"{about}: {text.plain(stated[about]['words'], 1000) if about in stated else 'not stated'}"
        for about in notes.MODEL_FACTS
    ]
    say({"run": run, "stated": stated}, "\n".join(lines), json)


@runs_cli.command("remove")
def remove(id: str, json: AsJson = False) -> None:
    """Remove a run and what was made from it."""
    from core.jobs import queue, reconciling

    ws = workspace()
    reconciling.reconcile(ws)
    job = ws.job(id)
    if job.kind == "import" and job.status != "done":
        queue.discard_import(ws, job.id)
    else:
        ws.remove_run(job.id)
    say({"run": job.id, "removed": True}, f"Removed run {job.id}.", json)


def measure(
    run: str,
    measures: Annotated[list[str] | None, typer.Argument()] = None,
    factors: Annotated[
        str,
        typer.Option(
            help="Columns of numbers that hold known factors, separated by commas: what axes are"
            " held against by disentanglement."
        ),
    ] = "",
    json: AsJson = False,
) -> None:
    """Measures of a run and the split they are of, with 95 % intervals where there are cases
    enough: those named, or all that fit.
    """
    from core.artifacts import Metrics
    from core.jobs import queue
    from core.json_output import metric_json
    from core.registry import measures as known

    unknown = [m for m in measures or [] if m not in known()]
    if unknown:
        raise UserError(f"There is no measure “{unknown[0]}” (there are: {', '.join(known())}).")
    ws = workspace()
    maps = sorted(j.id for j in ws.catalogue.jobs(on_run=ws.job(run).id, kind="map", status="done"))
    named = [name for name in (part.strip() for part in factors.split(",")) if name]
    if odd := [n for n in named if n not in ws.dataset(ws.job(run).dataset).table]:
        raise UserError(f"There is no column “{odd[0]}” that could be a factor.")
    spec = {"names": measures or [], "maps": maps} | ({"factors": named} if named else {})
    job = finish(queue.derive(ws, "measure", run, spec), json)
    table = ws.artifact(job.id, "metrics")
    assert isinstance(table, Metrics)
    found = {"run": job.on_run, "metrics": metric_json(table)}
    say(found, "\n".join(metric_lines(found["metrics"])) or "No measure fits this run.", json)


def export(
    run: str,
    to: Annotated[
        str,
        typer.Option(
            "--to", help="A new or empty folder: a path, or an address such as s3://bucket/folder."
        ),
    ],
    json: AsJson = False,
) -> None:
    """Every artifact (.npy and json), and tables as Parquet and CSV with the original file
    names.
    """
    from core.export import export_run
    from core.io.files import is_remote, send_to_remote, share_new_files

    ws = workspace()
    job = ws.job(run)
    if is_remote(to):
        with TemporaryDirectory() as place:
            names = [f.name for f in export_run(ws, job.id, Path(place))]
            send_to_remote(Path(place), to)
    else:
        path = Path(to)
        with share_new_files():
            names = [
                f.name
                for f in export_run(ws, job.id, writable(path) if not path.is_file() else path)
            ]
    say(
        {"run": job.id, "folder": to, "files": names},
        "\n".join(f"{to.rstrip('/')}/{name}" for name in names),
        json,
    )
