"""A Python script that makes a run again, on the same data and seed, and compares every figure with
what it was.
"""

from __future__ import annotations

import json
from typing import Any

from core import __version__
from core.artifacts import Metrics
from core.errors import UserError
from core.json_output import metric_json
from core.workspace.workspace import Workspace

TEMPLATE = '''#!/usr/bin/env python3
"""Makes run {run} of Lightbox {version} again and compares its figures.

Needs Lightbox and the workspace (LIGHTBOX_HOME) with the data “{data}”. On the same processor, with
the same packages, the figures are equal to the last bit; the script says where they are not.
"""

import json
import subprocess
import sys

DATA = json.loads({data_json})  # name and hash of the data
COMMANDS = json.loads({commands})  # runs to make, in order: id then, and what makes it
FIGURES = json.loads({figures})  # what was measured: name, split, group, value


def lightbox(*words):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lightbox", *words, "--json"], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    return json.loads(done.stdout)


if lightbox("data", "show", DATA["name"])["hash"] != DATA["hash"]:
    sys.exit("The data is not what it was: cases were added, excluded or changed since.")
made = {{}}  # id then -> id now
for then, words in COMMANDS:
    found = lightbox(*[made.get(w, w) for w in words])
    made[then] = found["run"]
now = {{(m["name"], m["split"], m["group"]): m["value"] for m in found["metrics"]}}
other = [f for f in FIGURES if now.get((f["name"], f["split"], f["group"])) != f["value"]]
for f in other:
    print("differs:", f, "now", now.get((f["name"], f["split"], f["group"])))
print(f"{{len(FIGURES) - len(other)}} of {{len(FIGURES)}} figures are equal; run {{found['run']}}")
sys.exit(bool(other))
'''


def write_script(ws: Workspace, run: str) -> str:
    """Return the script. UserError for a run that is not done, or that another tool made."""
    job = ws.job(run)
    if job.status != "done" or job.kind != "train":
        raise UserError(f"Run {run} cannot be made again by a script: it is no finished training.")
    entry = ws.entry(job.dataset)
    return TEMPLATE.format(
        run=job.id,
        version=__version__,
        data=_one_line(entry["name"]),
        data_json=_quoted({"name": entry["name"], "hash": ws.data_hash(entry["name"])}),
        commands=_quoted(list_commands(ws, run)),
        figures=_quoted(_figures(ws, run)),
    )


def list_commands(ws: Workspace, run: str) -> list[tuple[str, list[str]]]:
    """Return the runs to make, those that others build upon first: the id, and the words after
    `lightbox` that make it again.
    """
    job = ws.job(run)
    below = job.on_run and ws.catalogue.job(job.on_run)
    before = list_commands(ws, job.on_run) if below else []
    words = ["train", ws.entry(job.dataset)["name"], job.method, "--seed", str(job.seed)]
    words += ["--from-run", job.on_run] if job.on_run else []
    for name in ("only", "chosen"):
        if job.spec.get(name):
            words += [f"--{'rows' if name == 'chosen' else name}", job.spec[name]]
    words += ["--only-normal"] if job.spec.get("only_normal") else []
    for name, value in job.params.items():
        words += ["-p", f"{name}={value}"]
    return [*before, (job.id, words)]


def _figures(ws: Workspace, run: str) -> list[dict[str, Any]]:
    found = [m for slug in ws.slugs(run) for m in _of(ws.artifact(run, slug))]
    return [{k: m[k] for k in ("name", "split", "group", "value")} for m in found]


def _of(artifact: Any) -> list[dict[str, Any]]:
    return metric_json(artifact) if isinstance(artifact, Metrics) else []


def _quoted(value: Any) -> str:
    """Return `value` as json in a Python string."""
    return repr(json.dumps(value))


def _one_line(words: str) -> str:
    """Return words as they can stand in the script's description."""
    return " ".join(words.split()).replace("\\", "/").replace('"', "'")
