"""samples, demo, app, check, methods."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands._shared import AsJson, say, settings, workspace
from core import limits
from core.children import ROOT, environment, python_command
from core.errors import UserError
from core.settings import OWN_NAMES, Settings, loopback

if TYPE_CHECKING:
    from core.method import Method

NONE = {  # what `check` says of what is not there
    "torch": "none, training needs: pip install lightbox[train]",
    "gpu": "none, training runs on the processor",
}

Port = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]
PlainMap = Annotated[
    bool,
    typer.Option(
        "--plain-map", help="Go on without the map's browser component, with simpler maps."
    ),
]


def register(cli: typer.Typer) -> None:
    for command in (samples, demo, app, check, methods):
        cli.command(command.__name__)(command)


def samples(json: AsJson = False) -> None:
    """Put the built-in samples into the workspace (those that are not there yet) and list them."""
    from core.data.samples.catalogue import SAMPLES, make_sample

    ws = workspace()
    there = {e["name"] for e in ws.catalogue.datasets()}
    for name in SAMPLES:
        if name not in there:
            ws.add(make_sample(name), sample=True)
    listed = [
        {"dataset": e["name"], "n": e["n"], "modality": e["modality"]}
        for e in ws.catalogue.datasets()
        if e["sample"]
    ]
    say(
        {"samples": listed},
        "\n".join(f"{s['dataset']:<16} {s['n']:>6} {s['modality']}" for s in listed),
        json,
    )


def demo(
    serve: Annotated[
        bool,
        typer.Option(
            help="Serve the app when the first runs are done; the others go on beside it."
        ),
    ] = True,
    port: Port = 8501,
    wait: Annotated[bool, typer.Option(help="Wait for every demo run.")] = False,
    plain_map: PlainMap = False,
) -> None:
    """Prepare the samples, train the demo runs, and serve the app on something worth looking at."""
    from core.jobs import queue
    from core.maps.projections import AUTOMATIC
    from core.registry import demo_runs
    from core.training.presets import cases, preset

    if serve:
        _need_map(plain_map)
        _free("127.0.0.1", port)
    samples()
    ws = workspace()
    made: list[str] = []
    for kind, run in demo_runs():
        given = preset(kind, run.preset, cases(kind, ws.dataset(run.sample))) if run.preset else {}
        given |= run.params
        entry = ws.entry(run.sample)["id"]
        same = [
            j
            for j in ws.runs(run.sample)
            if j.method == kind.id
            and j.dataset == entry
            and j.status in ("done", "queued", "running")
        ]
        if same:
            made.append(same[0].id)
            continue
        base = _demo_base(kind, run.sample, made)
        if base:
            queue.wait(ws, base)
        made.append(queue.train(ws, run.sample, kind.id, given, on=base).id)
        typer.echo(f"training {kind.id} on {run.sample} (run {made[-1]})")
        if len(made) == 1:
            queue.wait(ws, made[0])
            queue.wait(ws, queue.derive(ws, "map", made[0], {"how": AUTOMATIC, "dims": 2}).id)
    for id in made if wait else ():
        job = queue.wait(ws, id)
        typer.echo(f"{job.method} on {ws.entry(job.dataset)['name']}: {job.status} {job.error}")
    if serve:
        app(port=port, plain_map=plain_map)


def _demo_base(kind: type[Method], sample: str, made: list[str]) -> str:
    """Of the demo runs `made` so far, in order: the first of `sample` that gives what `kind` builds
    on; "" where it builds on none.
    """
    from core.registry import demo_runs

    for (earlier, run), id in zip(demo_runs(), made, strict=False):
        gives = {artifact.__name__ for artifact in earlier.gives}
        if kind.takes.on and run.sample == sample and gives >= set(kind.takes.on):
            return id
    return ""


def app(
    port: Port = 8501,
    host: str = "127.0.0.1",
    token: Annotated[
        bool,
        typer.Option(
            "--token/--no-token",
            help=(
                "Open the page only by the address printed here, which no other user or program"
                " knows."
            ),
        ),
    ] = True,
    plain_map: PlainMap = False,
) -> None:
    """Serve the app. It listens on this machine only, where there is no login (`LIGHTBOX_LOGIN`):
    other addresses are refused.
    """
    import streamlit  # noqa: F401 - fails here, in words, rather than in the new process

    shared = check_sharing()
    if not shared and not loopback(host):
        raise UserError(
            f"Lightbox has no login, so it serves this machine only and refuses {host}. There are"
            " two ways on: leave --host out and use it on this machine, or reach it from another"
            f" one through a login of the system: `ssh -L {port}:127.0.0.1:{port} THIS-MACHINE`"
            f" there, then open http://127.0.0.1:{port} there."
        )
    _need_map(plain_map)
    settings = Settings()
    if settings.projects:  # its log, and the holds of its servers; projects have workspaces
        os.environ["LIGHTBOX_HOME"] = str(settings.projects / "_server")
    ws = workspace()
    made = secrets.token_urlsafe(24) if token and not shared else ""
    address = f"http://{_as_in_address(host)}:{port}" + (f"/?token={made}" if made else "")
    # each server of shared projects has a port, and reads anew what another one has changed
    hold = f"server-{port}" if shared else "server"
    held = _alone(ws, address, lambda: _free(host, port), hold)
    hosts = [*OWN_NAMES, *(h.strip() for h in settings.hosts.split(",") if h.strip())]
    entry = Path(__file__).parents[1] / "server.py"
    flags = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": limits.UPLOAD_BYTES >> 20,
        "client.showErrorDetails": "type",
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": "false",
        # it would name the address without the token
        "server.disconnectedSessionTTL": 600,
        "logger.hideWelcomeMessage": "true",
        **({"secrets.files": str(settings.secrets.absolute())} if settings.secrets else {}),
    }
    args = python_command(
        "streamlit",
        "run",
        str(entry),
        *(f"--{k}={v}" for k, v in flags.items()),
        *(f"--server.allowedHosts={h}" for h in hosts),
    )
    env = environment(LIGHTBOX_TOKEN=made, LIGHTBOX_NO_TOKEN="" if token or shared else "1")
    typer.echo(
        f"Lightbox: {address}"
        + ("\nPeople sign in." if shared else "")
        + (
            ""
            if token or shared
            else "\nEvery user and program of this machine can open it (--no-token)."
        )
    )
    sys.stdout.flush()
    os.chdir(ROOT)
    if os.name == "nt":
        import subprocess

        sys.exit(subprocess.call(args, env=env))
    # the server becomes this process and holds it to its end
    os.set_inheritable(held.fileno(), True)
    os.execve(sys.executable, args, env)


def check_sharing() -> bool:
    """Whether several people share the server, with a login. UserError for one without the other,
    or for a login that cannot work.
    """
    settings = Settings()
    if bool(settings.projects) != bool(settings.login):
        raise UserError(
            "A server for several people needs both LIGHTBOX_PROJECTS, the folder of its projects,"
            " and LIGHTBOX_LOGIN, how they sign in; one is set and the other is not."
        )
    if settings.login == "oidc":
        if find_spec("authlib") is None:
            raise UserError("To sign in needs the extra for it: pip install lightbox[login].")
        _check_secrets(settings.secrets)
    return bool(settings.projects)


def _check_secrets(path: Path | None) -> None:
    """UserError where the provider to sign in at is not described in full."""
    import tomllib

    wanted = "redirect_uri, cookie_secret, client_id, client_secret and server_metadata_url"
    if path is None or not path.is_file():
        raise UserError(
            "LIGHTBOX_LOGIN=oidc needs LIGHTBOX_SECRETS: a file with [auth] and in it"
            f" {wanted} of the provider."
        )
    try:
        told = tomllib.loads(path.read_text()).get("auth", {})
    except (OSError, ValueError) as e:
        raise UserError(f"{path} cannot be read as TOML: {e}.") from None
    missing = [name for name in wanted.replace(" and", ",").split(", ") if not told.get(name)]
    if missing:
        raise UserError(f"{path}, section [auth], has no {', '.join(missing)}.")
    if len(str(told["cookie_secret"])) < 32:
        raise UserError(
            f"cookie_secret in {path} is short; take 32 random letters or more, as of"
            " `python -c 'import secrets; print(secrets.token_urlsafe())'`."
        )
    if os.name != "nt" and path.stat().st_mode & 0o077:
        raise UserError(f"Other accounts can read {path}, which holds secrets: chmod 600 it.")


def _need_map(plain_map: bool) -> None:
    """UserError where the map's browser component was not built, unless a plain map is wished."""
    from app.components import latent_map

    if not latent_map.available() and not plain_map:
        raise UserError(
            "The map's browser component is missing from this installation. Install a Lightbox that"
            " has it (in a checkout: `make component`), or start with --plain-map: maps are then"
            " drawn by Plotly, up to fewer points and without thumbnails."
        )


def _alone(
    ws: Any, address: str, check: Callable[[], None] = lambda: None, name: str = "server"
) -> Any:
    """The hold called `name` of the one server on a workspace, after `check`. UserError naming the
    other where there is one: a browser would have two tokens, and `lightbox screen` two screens.
    """
    import json

    from core.io.files import write_json
    from core.io.locks import hold_lock

    held, facts = hold_lock(ws.home / f"{name}.lock"), ws.home / f"{name}.json"
    if held is None:
        try:
            other = json.loads(facts.read_text())
        except (OSError, ValueError):  # it is just starting
            other = {"pid": "unknown", "address": "another address"}
        raise UserError(
            f"This workspace is served already, by process {other['pid']} at {other['address']}"
            " (open that, stop it first, or set LIGHTBOX_HOME to another folder)."
        )
    check()
    mask = os.umask(0o077)  # the address holds the token
    try:
        write_json(facts, {"pid": os.getpid(), "address": address})
    except OSError as e:
        # on a full disk it serves nevertheless: there data can be removed
        if e.errno != errno.ENOSPC:
            raise
    finally:
        os.umask(mask)
    return held


def _free(host: str, port: int) -> None:
    """UserError when something else listens on the port, or it may not be taken."""
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as e:
            raise UserError(
                f"Port {port} cannot be used ({e.strerror}); choose another with --port."
            ) from None


def check(
    files: Annotated[
        bool,
        typer.Option(
            "--files",
            help="Read every stored file of runs and data, and compare it with what was written.",
        ),
    ] = False,
    list_files: Annotated[
        bool,
        typer.Option(
            help="With --files: keep a list of files for data that has none, as it is now."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Look at this machine: packages, processor, memory, disk, workspace, browser component. Exit 2
    when stored files are damaged.
    """
    import platform
    import shutil

    import psutil

    from app.components import latent_map
    from core.jobs import cluster

    if list_files and not files:
        raise UserError("--list-files needs --files beside it.")
    ws = workspace(opened=False)
    unreachable, where = _open(ws)
    engine = settings().engine
    torch_version, gpu = _torch_and_gpu()
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch_version,
        "cores": os.cpu_count(),
        "gpu": gpu,
        "memory_gib": round(psutil.virtual_memory().available / 2**30, 1),
        "disk_gib": round(shutil.disk_usage(ws.home).free / 2**30, 1),
        "workspace": str(ws.home),
        "engine": "local" if engine == "local" else cluster.describe_cluster(engine),
        "catalogue": where,
        "latent_map": latent_map.available(),
        "datasets": None if unreachable else len(ws.catalogue.datasets()),
        "runs": None if unreachable else len(ws.runs()),
    }
    files = files and not unreachable
    list_files = list_files and not unreachable
    for name in ws.unlisted() if list_files else ():
        ws.list_files(name)
    not_compared = ws.unlisted() if files else []
    damaged = ws.damaged(not_compared) if files else []
    found |= {"damaged": damaged, "not_compared": not_compared} if files else {}
    words = "\n".join(
        f"{k.replace('_gib', ' (GiB free)'):<22} {v if v is not None else NONE.get(k, 'not known')}"
        for k, v in found.items()
    )
    say(found, "\n".join(filter(None, (words, _not_compared(not_compared)))), json)
    if unreachable:
        raise unreachable
    if damaged:
        raise UserError(
            f"{len(damaged)} stored file{'s differ' if len(damaged) > 1 else ' differs'} from what"
            f" was written, the first: {damaged[0]}; bring {'them' if len(damaged) > 1 else 'it'}"
            " back from a copy, or remove the run or data and make it again."
        )


def _open(ws: Any) -> tuple[UserError | None, str]:
    """What keeps the catalogue from being opened, None for nothing; and which database it is."""
    from core.workspace.databases import Postgres, parse

    try:
        where = ws.catalogue.describe()
    except UserError as e:
        url = settings().catalogue
        try:
            database = parse(url) if url else None
        except UserError:
            return e, "not known"
        there = f"PostgreSQL at {database.place}" if isinstance(database, Postgres) else "SQLite"
        return e, f"{there}: not reachable"
    for said in ws.startup_messages():
        print(said, file=sys.stderr)
    return None, where


def _torch_and_gpu() -> tuple[str | None, str | None]:
    """The version of torch and the name of the GPU; None for what is not there."""
    try:
        import torch
    except ModuleNotFoundError:
        return None, None
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return torch.__version__, gpu


def _not_compared(names: list[str]) -> str:
    """The sentence about datasets that nothing can be compared with; "" when there are none."""
    if not names:
        return ""
    some = ", ".join(f"“{name}”" for name in names[:10]) + (" …" if len(names) > 10 else "")
    many = f"{len(names)} datasets were" if len(names) > 1 else "One dataset was"
    return (
        f"{many} not compared, being from before lists of files were kept: {some}. "
        "`lightbox check --files --list-files` keeps a list from now on."
    )


def methods(
    for_: Annotated[
        str | None,
        typer.Option("--for", help="Only methods that fit this dataset; why the others do not."),
    ] = None,
    json: AsJson = False,
) -> None:
    """All methods and measures, with their parameters and bounds."""
    from core import registry
    from core.json_output import measure_json, method_json

    listed = [method_json(m) for m in registry.methods().values()] + [
        measure_json(m) for m in registry.measures().values()
    ]
    declined = {}
    if for_:
        from core.training.compatibility import why_not

        data = workspace().dataset(for_)
        declined = {
            id: said for id, kind in registry.methods().items() if (said := why_not(kind, data))
        }
        listed = [m for m in listed if m["kind"] == "method" and m["id"] not in declined]
    words = [f"{m['id']:<24} {m['kind']:<8} {m['family']:<16} {m['title']}" for m in listed] + [
        f"{k:<24} does not fit: {v}" for k, v in declined.items()
    ]
    say({"methods": listed, **({"declined": declined} if for_ else {})}, "\n".join(words), json)


def _as_in_address(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
