"""The clinician's report and the story as single HTML files: no server, no network, every picture
inside, every user string escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__, evidence, limits
from core.artifacts import (
    AnomalyMaps,
    Attributions,
    Clusters,
    ConceptTest,
    Embedding,
    Map,
    Metric,
    Metrics,
    Model,
    Steering,
)
from core.artifacts.tables import KINDS
from core.cards import load_card
from core.columns import list_columns
from core.data.dataset import Dataset
from core.data.ground_truth import find_ground_truth
from core.errors import NEEDS_TRAIN, UserError, has_train
from core.explain import traversal
from core.jobs.run_folder import find_artifact
from core.registry import describe_abilities, headlines, measures, method_class, open_model
from core.report import checklist, figures, flow, script, story
from core.report.concept_figure import concept_figure
from core.report.steering_figure import steering_figure
from core.report.threshold import describe_threshold
from core.words import describe_groups
from core.workspace import notes, review
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = lambda v: (
        "not defined" if v is None else f"{v:.2f}" if abs(v) < 1000 else f"{v:,.0f}"
    )
    return made


def data_url(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def story_html(ws: Workspace) -> str:
    """Return the story as slides. UserError when nothing is pinned or the file would pass 25 MB."""
    pins = story.load_pins(ws)
    if not pins:
        raise UserError("Nothing is pinned yet; press “Pin this view” under a picture.")
    slides = [
        {
            "caption": p.caption,
            "notes": p.notes,
            "stamp": p.stamp,
            "warning": story.OUTDATED if story.is_outdated(ws, p) else "",
            "picture": data_url(story.picture_path(ws, p.id).read_bytes()),
        }
        for p in pins
    ]
    return _check_pins(
        _templates()
        .get_template("story.html.j2")
        .render(slides=slides, version=__version__, made=f"{datetime.now():%Y-%m-%d %H:%M}")
    )


def report_html(ws: Workspace, run_ids: list[str]) -> str:
    """Return the report of one or more finished runs. UserError for a run that is not done."""
    jobs = [ws.job(id) for id in run_ids]
    for job in jobs:
        if job.status != "done":
            raise UserError(f"Run {job.id} is {job.status}; only finished runs can be reported.")
    reports = [_describe_run(ws, job) for job in jobs]
    beside = (
        _compare_metrics(reports)
        if len(reports) > 1 and len({r["data"] for r in reports}) == 1
        else None
    )
    helps = {m.title: m.help for m in measures().values()}
    page = (
        _templates()
        .get_template("report.html.j2")
        .render(
            reports=reports,
            beside=beside,
            helps=helps,
            version=__version__,
            made=f"{datetime.now():%Y-%m-%d %H:%M}",
        )
    )
    return _check_pins(page)


def _check_pins(page: str) -> str:
    if len(page.encode()) > limits.REPORT_BYTES:
        raise UserError(
            f"The file would be {len(page.encode()) >> 20} MB, more than"
            f" {limits.REPORT_BYTES >> 20}; pin or report less."
        )
    return page


def _describe_run(ws: Workspace, job: Job) -> dict[str, Any]:
    """Return what the template shows of one run."""
    data, given = (
        ws.dataset(job.dataset),
        {slug: a for slug, a in ws.artifacts(job.id).items() if a.place is None},
    )
    if not len(data):
        raise UserError(
            f"Every case of “{data.name}” is excluded or hidden pending review; there is"
            " nothing to report."
        )
    kind, about = method_class(job.method), load_card(job.method)
    metrics = [m for a in given.values() if isinstance(a, Metrics) for m in a]
    first = next(iter(given.values()))
    model = next((a for a in given.values() if isinstance(a, Model)), None)
    scores = next(
        (a for a in given.values() if isinstance(a, AnomalyMaps) and a.shows != "doubt"), None
    )
    gone = review.count_removed_since(ws, job.id)
    gone_words = [review.describe_removed_since(gone)] if gone else []
    parts = {
        s: int((data.splits == s).sum())
        for s in ("train", "val", "test")
        if (data.splits == s).any()
    }
    found: dict[str, Any] = {
        "id": job.id,
        "title": kind.title if kind else job.method,
        "method": job.method,
        "data": data.name,
        "n": len(data),
        "card": data.card,
        "modality": data.modality,
        "classes": (
            {c: int((data.labels == i).sum()) for i, c in enumerate(data.classes)}
            if len(data.classes) <= 30
            else {}
        ),
        "parts": parts,
        "patients": describe_groups(data.groups),
        "sites": (
            None
            if data.domains is None
            else sorted({str(d) for d in data.domains if d is not None})
        ),
        "about": about.sections if about else {},
        "reference": about.reference if about else "",
        "summary": [*_summary(data, given, metrics), *_describe_left_out(model), *gone_words],
        "metrics": [_row(m) for m in metrics],
        "stated": notes.load_model_facts(ws, job.id),
        "can": describe_abilities(model) if model else [],
        "figures": list(_figures(ws, job, data, given)),
        "evidence": evidence.load_evidence(job.method),
        "made_by": first.made_by,
        "params": job.params,
        "commands": _commands(ws, job),
        "threshold": describe_threshold(ws, job.id, data, scores),
    }
    sheet = checklist.fill_sheet(found)
    filled, of = checklist.count_filled(sheet)
    return found | {"sheet": sheet, "filled": filled, "of": of, "sheet_source": checklist.SOURCE}


def _summary(data: Dataset, given: dict[str, Any], metrics: list[Metric]) -> list[str]:
    said = [f"A model looked at {len(data):,} cases of “{data.name}”."] + (
        ["The data is made up: no patient was scanned."] if data.card.get("synthetic") else []
    )
    for a in given.values():
        if isinstance(a, AnomalyMaps) and a.threshold is not None:
            over = f"{int((a.score > a.threshold).sum()):,} of {len(a.rows):,} cases"
            said.append(f"Flagged by choice, not as a finding: {over} ({a.rule}).")
        if isinstance(a, Clusters):
            found = len(np.unique(a.label[a.label >= 0]))
            said.append(f"It found {found} cluster{'s' * (found != 1)}.")
    shown = headlines()
    for m in metrics:
        if m.name in shown and m.split in ("test", "all") and m.value is not None:
            spread = (
                m.note or "no interval"
                if m.low is None or m.high is None
                else f"{KINDS[m.kind]} {m.low:.2f} to {m.high:.2f}"
            )
            said.append(
                f"{m.name[0].upper()}{m.name[1:]}: {m.value:.2f} ({spread}, {m.n:,} {m.split}"
                " cases)."
            )
    said.append(
        "How it does on other patients, sites or scanners is not known unless it says so below."
    )
    return said


def _describe_left_out(model: Model | None) -> list[str]:
    """Return what the report lacks where models cannot be asked, in a sentence."""
    if model is None or "decode" not in model.abilities or has_train():
        return []
    return [f"The pictures along one latent axis are left out. {NEEDS_TRAIN}"]


def _row(m: Metric) -> dict[str, Any]:
    better = {True: "higher is better", False: "lower is better", None: ""}[m.higher_is_better]
    return vars(m) | {"better": better, "spread": "" if m.kind == "interval" else KINDS[m.kind]}


def _figures(
    ws: Workspace, job: Job, data: Dataset, given: dict[str, Any]
) -> Iterator[dict[str, str]]:
    """Pictures with title, caption and alternative text, in the order of a reading."""
    counted = flow.count_flow(ws, data.name)
    yield _shown("How the cases came about", flow.flow_figure(counted), flow.describe_flow(counted))
    from core.maps.make import make_map
    from core.maps.projections import LINEAR

    kinds = ["map", "explain", "concept", "steer"]
    derived = ws.catalogue.jobs(on_run=job.id, kind=kinds, status="done")
    embedding = next((a for a in given.values() if isinstance(a, Embedding)), None)
    maps = [
        a
        for j in derived
        if j.kind == "map"
        for a in ws.artifacts(j.id).values()
        if isinstance(a, Map) and a.xy.shape[1] == 2 and a.place is None
    ]
    if embedding is not None and len(embedding.rows) >= 5:
        cache = ws.home / "cache" / "neighbours"
        made = maps[-1] if maps else make_map(embedding, LINEAR, cache=cache)
        every = list_columns(ws, data, job)
        column = next(iter(every.values()), None)
        if column is not None:
            yield _shown(
                "The map",
                figures.map_figure(made, data, column),
                "Every point is a case, near those the model finds similar, coloured by"
                f" {column.name}.",
            )
    for a in given.values():
        if isinstance(a, Clusters) and embedding is not None:
            names = {
                int(j): notes.load_cluster_names(ws, job.id).get(int(j), a.name_of(int(j)))
                for j in np.unique(a.label)
            }
            yield _shown(
                "The clusters",
                figures.clusters_figure(data, embedding, a, names),
                "The largest clusters; each line shows the cases nearest to its middle.",
            )
        if isinstance(a, AnomalyMaps) and a.shows != "doubt":
            yield from _unusual(ws, job, data, a)
        if isinstance(a, Metrics) and (png := figures.metrics_figure(a)) is not None:
            yield _shown(
                "The figures",
                png,
                "Measured values; a bar is the 95 % interval unless the axis says otherwise, a"
                " value without one has a reason in the table.",
            )
    for j in derived:
        for a in ws.artifacts(j.id).values() if j.kind == "explain" else ():
            if isinstance(a, Attributions):
                yield _shown(
                    "What it looked at",
                    figures.attribution_figure(data, a, a.rows[:8]),
                    f"What moved “{a.target}”, by {a.how.replace('_', ' ')}.",
                )
        yield from _tested(ws, j)
    yield from _path(ws, job, data, embedding)


def _tested(ws: Workspace, job: Job) -> Iterator[dict[str, str]]:
    """Yield concepts that were tested on a run, and features that were steered."""
    for a in ws.artifacts(job.id).values() if job.kind in ("concept", "steer") else ():
        if isinstance(a, ConceptTest):
            words = f"“{a.concept}”: {a.says} What an output changes with is no proof of a cause."
            yield _shown("Whether it uses a concept", concept_figure(a), words)
        elif isinstance(a, Steering):
            words = f"{a.title}: {a.says} No steered case is a real one."
            yield _shown("What a feature changes", steering_figure(a), words)


def _unusual(ws: Workspace, job: Job, data: Dataset, a: AnomalyMaps) -> Iterator[dict[str, str]]:
    rows = data.part("test").rows if (data.splits == "test").any() else data.rows
    rows = rows[np.isin(rows, a.rows)]
    if not len(rows):
        return
    set_ = notes.load_threshold(ws, job.id)
    threshold = set_["value"] if set_ else a.threshold
    score = np.asarray(a.score)[a.at(rows)]
    top = rows[np.argsort(-score, kind="stable")[:12]]
    truth = find_ground_truth(data)
    place = np.searchsorted(data.rows, rows)
    known = (
        None if truth.abnormal is None else np.where(truth.judged, truth.abnormal, np.nan)[place]
    )
    yield _shown(
        "The most unusual cases",
        figures.anomaly_figure(data, a, top),
        "Held-out cases, the most unusual first. Unusual does not mean ill.",
    )
    yield _shown(
        "How unusual the cases are",
        figures.histogram_figure(a, rows, known, threshold),
        "Scores of the held-out cases and the threshold.",
    )


def _path(
    ws: Workspace, job: Job, data: Dataset, embedding: Embedding | None
) -> Iterator[dict[str, str]]:
    if embedding is None:
        return
    try:
        model = open_model(find_artifact(ws, job.id, Model))
    except UserError:
        return
    if "decode" not in model.abilities:
        return
    best = int(np.argmax(traversal.axis_effects(model, embedding)))
    rows = data.part("test").rows if (data.splits == "test").any() else data.rows
    made = traversal.traverse_axis(model, data, embedding, int(rows[0]), best, 7)
    yield _shown(
        "Along one latent axis",
        figures.traversal_figure(data, made),
        f"Row {rows[0]} with {made.axis} turned from low to high. Made by the model: these are no"
        " patients.",
    )


def _shown(title: str, png: bytes, caption: str) -> dict[str, str]:
    return {"title": title, "caption": caption, "picture": data_url(png)}


def _compare_metrics(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Metrics of several runs in one table: rows by (name, split, group)."""
    keys = list(
        dict.fromkeys((m["name"], m["split"], m["group"]) for r in reports for m in r["metrics"])
    )
    cells = {
        k: [
            next((m for m in r["metrics"] if (m["name"], m["split"], m["group"]) == k), None)
            for r in reports
        ]
        for k in keys
    }
    return {"titles": [f"{r['title']} ({r['id']})" for r in reports], "rows": cells}


def _commands(ws: Workspace, job: Job) -> list[str]:
    """Return the command lines that make this run again."""
    import shlex

    return [f"lightbox {shlex.join(words)}" for _, words in script.list_commands(ws, job.id)]
