"""Where pages are, and what runs are called on all of them."""

from __future__ import annotations

from pathlib import Path

from app import text
from core.registry import method_class
from core.workspace.catalogue import Job

PAGES = Path(__file__).parent.parent / "pages"


def page(name: str) -> str:
    """Absolute path of a page, for `st.page_link` and `st.switch_page`."""
    return str(PAGES / f"{name}.py")


def url_paths() -> list[str]:
    """Path of each page in the browser's address: "/" is Home."""
    names = sorted(p.stem for p in PAGES.glob("*.py"))
    return ["/", *(f"/{name}" for name in names if name != "home")]


def run_title(job: Job, id_first: bool = False) -> str:
    """What to call a run on screen: its method, when, and its label if it has one, at most 60
    characters with the id at the end, or at the beginning, for a box that may be narrower.

    Trap: a selectbox takes options that read alike for the same one, so the part that tells two
    runs apart must never be cut off.
    """
    from datetime import datetime

    kind = method_class(job.method)
    when = datetime.fromtimestamp(job.created).strftime("%d %b %H:%M")
    only = (
        f" · {text.plain(str(job.spec['only']).rpartition('=')[2], 12)}"
        if job.spec.get("only")
        else ""
    )
    only += " · normal only" if job.spec.get("only_normal") else ""
    only += f" · seed {job.seed}" if job.seed else ""
    only += f" · applied from {job.on_run[:4]}" if job.kind == "apply" else ""
    name = text.plain(job.label or (kind.title if kind else job.method), max(8, 36 - len(only)))
    told = f"{name}{only} · {when}"
    return f"{job.id[:4]} · {told}" if id_first else f"{told} · {job.id[:4]}"
