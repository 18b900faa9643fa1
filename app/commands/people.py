"""people: the projects of a server that several people share, who has which role in them, and the
list of what was done.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands._shared import AsJson, say, writable
from core.errors import UserError

if TYPE_CHECKING:
    from core.people.register import Register

HERE = "command line"  # who did it, where nobody signs in
people_cli = typer.Typer(
    help=(
        "Projects that several people share on one server, who may do what in them, and the list"
        " of what was done."
    ),
    no_args_is_help=False,
    invoke_without_command=True,
)
InProject = Annotated[str, typer.Option("--project", help="Id of the project.")]


def register(cli: typer.Typer) -> None:
    cli.add_typer(people_cli, name="people")
    people_cli.callback()(people)
    for name, command in (
        ("add-project", add_project),
        ("add", add),
        ("remove", remove),
        ("audit", audit),
    ):
        people_cli.command(name)(command)


def _register() -> Register:
    from core.people.register import open_register

    found = open_register()
    if found is None:
        raise UserError(
            "There are no projects here: set LIGHTBOX_PROJECTS to the folder that shall hold them."
        )
    return found


def people(context: typer.Context, json: AsJson = False) -> None:
    """All projects, their folders, and who has which role; with a command: change that."""
    if context.invoked_subcommand is not None:
        return
    register = _register()
    found = [
        asdict(p) | {"folder": str(register.home(p.id)), "members": register.members(p.id)}
        for p in register.projects()
    ]
    lines = []
    for p in found:
        lines.append(f"{p['id']}  {p['title']}  (LIGHTBOX_HOME={p['folder']})")
        lines += [f"    {role:<8}  {person}" for person, role in p["members"].items()]
        lines += ["    nobody yet: lightbox people add EMAIL owner --project " + p["id"]] * (
            not p["members"]
        )
    none = "No project yet: lightbox people add-project ID --title TITLE"
    say({"projects": found}, "\n".join(lines) or none, json)


def add_project(
    id: str,
    title: Annotated[str, typer.Option(help="What people read; the id if left out.")] = "",
    json: AsJson = False,
) -> None:
    """Make a project: a workspace of its own, in which nobody has a role yet."""
    register = _register()
    made = register.add_project(id, title)
    register.note(HERE, "", made.id, "people", "project added")
    folder = str(register.home(made.id))
    say(asdict(made) | {"folder": folder}, f"{made.id} is in {folder}.", json)


def add(email: str, role: str, project: InProject, json: AsJson = False) -> None:
    """Give somebody a role (owner, reviewer, viewer) in a project, in place of the one before."""
    from core.people.register import check_person
    from core.people.roles import check_role

    register = _register()
    register.set_role(project, email, check_role(role))
    person = check_person(email)
    register.note(HERE, "", project, "people", f"{person} is {role}")
    told = {"project": project, "person": person, "role": role}
    say(told, f"{person} is {role} of {project}.", json)


def remove(email: str, project: InProject, json: AsJson = False) -> None:
    """Take somebody's role in a project away. What they decided stays."""
    from core.people.register import check_person

    register = _register()
    person = check_person(email)
    if person not in register.members(project):
        raise UserError(f"{person} has no role in “{project}”; `lightbox people` lists who has.")
    register.set_role(project, person, None)
    register.note(HERE, "", project, "people", f"{person} has no role")
    told = {"project": project, "person": person, "role": None}
    say(told, f"{person} has no role in {project} any more.", json)


def audit(
    project: Annotated[
        str | None, typer.Option("--project", help="Of this project only, by its id.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write it to this file instead.")] = None,
    json: AsJson = False,
) -> None:
    """What was done by whom, when and from where, the oldest first; times in UTC."""
    import time

    import pandas as pd

    from core.export import safe_csv
    from core.io.files import write_bytes
    from core.people.register import Line

    register = _register()
    if project is not None:
        register.project(project)
    if csv is not None:
        writable(csv.parent)
        names = [f.name for f in fields(Line)]
        frame = pd.DataFrame([asdict(line) for line in register.lines(project)], columns=names)
        frame["at"] = pd.to_datetime(frame["at"], unit="s", utc=True).dt.strftime("%FT%TZ")
        write_bytes(csv, safe_csv(frame).encode())
        register.note(HERE, "", project or "", "export", "the audit list")
        say({"csv": str(csv)}, f"Written to {csv}.", json)
        return
    lines = list(register.lines(project))
    words = [
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(line.at))}  {line.person}  {line.place}"
        f"  {line.project}  {line.act}  {line.what}"
        for line in lines
    ]
    say({"lines": [asdict(line) for line in lines]}, "\n".join(words) or "Nothing is listed.", json)
