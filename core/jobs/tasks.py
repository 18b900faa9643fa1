"""What the kinds of job do. Each leaves finished artifacts in the job's folder, all at once, or
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Embedding, Metrics, Model
from core.data.normal import keep_normal_only
from core.errors import Cancelled, UserError
from core.jobs.apply import apply_model, load_data_as_seen
from core.jobs.concepts import try_concepts
from core.jobs.counterfactual import change_case
from core.jobs.engines import list_gpus
from core.jobs.explaining import open_question
from core.jobs.import_dataset import import_data
from core.jobs.run_folder import find_artifact, load_named_rows, save_artifacts
from core.jobs.steering import steer_feature
from core.jobs.together import train_together
from core.maps.projections import AUTOMATIC, NONLINEAR
from core.method import Method, check_params
from core.registry import method_class, open_model
from core.settings import Settings
from core.training.fit import describe_origin, fit_along, fit_and_apply
from core.training.ranks import Ranks
from core.training.run import Run
from core.workspace.catalogue import EVIDENCE, Job
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.jobs.reporter import Reporter


def train(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Fit, apply, measure what is cheap to measure."""
    from core.evaluate import measure

    kind, data, learned, circumstances = _open_training(ws, job)
    params = check_params(kind, job.params)
    with train_together(ws, job, tell) as ranks:
        run = Run(
            **circumstances,
            ranks=ranks,
            report_to=tell.step,
            stop=tell.stop,
            note_to=tell.note,
            notes=job.note.splitlines(),
            spent=job.seconds,
        )
        if ranks.several:
            run.note(f"Trained by {ranks.size} processes, each on its part of every batch.")
        _, artifacts = fit_and_apply(kind, params, learned, run, job.id, tell.phase)
    _measure_axes(artifacts, data, run, tell)
    tell.phase("measuring")
    given = {a.slug: a for a in artifacts}
    # what the method measured itself stands first in the one table
    own = [m for a in artifacts if isinstance(a, Metrics) for m in a]
    below = _find_embeddings(ws, job)
    metrics = Metrics.of(
        [*own, *measure(data, given, None, job.seed, below, report=tell.part)],
        data.rows,
        made_by=artifacts[0].made_by,
    )
    save_artifacts(
        ws.folder(job.id), [*(a for a in artifacts if not isinstance(a, Metrics)), metrics]
    )


def train_along(ws: Workspace, job: Job, ranks: Ranks) -> None:
    """Train as one of several processes of a run that is not the run's own."""
    kind, _, learned, circumstances = _open_training(ws, job)
    run = Run(**circumstances, ranks=ranks)
    fit_along(kind, check_params(kind, job.params), learned, run)


def _open_training(
    ws: Workspace, job: Job
) -> tuple[type[Method], Dataset, Dataset, dict[str, Any]]:
    """Return a training's method, its data, the part of it that is learned from, and what every
    process of the run is given.
    """
    kind = method_class(job.method)
    if kind is None:
        raise UserError(f"The method “{job.method}” is not installed here.")
    data, folder = ws.dataset(job.dataset), ws.folder(job.id)
    named = {name: load_named_rows(folder, name) for name in ("only", "chosen") if name in job.spec}
    # some may have been excluded while the job waited
    named = {name: rows[np.isin(rows, data.rows)] for name, rows in named.items()}
    if "only" in named:
        data = data.of(named["only"])
    learned = keep_normal_only(data, job.spec["only_normal"]) if "only_normal" in job.spec else data
    circumstances = {
        "seed": job.seed,
        "device": job.device,
        "folder": folder,
        "on": ws.artifacts(job.on_run) if job.on_run else {},
        "resume": bool(job.resume),
        "chosen": named.get("chosen"),
        "cache": ws.home / "cache" / job.method,
        "checkpoint_every": Settings().checkpoint_seconds,
    }
    return kind, data, learned, circumstances


def _measure_axes(artifacts: list[Artifact], data: Dataset, run: Run, tell: Reporter) -> None:
    """Where the model decodes, keep with the latent space what each of its axes changes and what
    it follows, so that nobody waits for that who opens the traversal.
    """
    from core.explain.axis_names import name_axes
    from core.explain.traversal import measure_axis_effects

    kept = next((a for a in artifacts if isinstance(a, Model)), None)
    space = next((a for a in artifacts if isinstance(a, Embedding)), None)
    if kept is None or space is None or not {"embed", "decode"} <= set(kept.abilities):
        return
    tell.phase("measuring what each latent axis changes")
    space.effect = measure_axis_effects(
        open_model(kept), space, report=lambda share: run.check()
    ).astype(np.float32)
    if space.geometry != "sparse":  # its features have names of their own
        space.follows = [None if one is None else asdict(one) for one in name_axes(space, data)]


def make_map(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Make a 2-D or 3-D map of the run's embedding; with "onto", an earlier map of it and the cases
    that map lacks.
    """
    from core.maps import make as maps
    from core.maps import out_of_sample
    from core.maps.card import choose_card

    began = time.monotonic()
    tell.phase("drawing the map")
    embedding = find_artifact(ws, job.on_run, Embedding, job.spec.get("artifact"))
    how, dims, run = job.spec["how"], job.spec["dims"], ws.job(job.on_run)
    card = None
    if run.kind == "apply":
        learned = find_artifact(ws, run.on_run, Embedding)
        made = out_of_sample.place_cases(
            ws, ws.job(run.on_run), learned, embedding, how, dims, job.seed, tell.share
        )
    elif "onto" in job.spec:
        old = ws.artifact(job.spec["onto"], "map")
        assert isinstance(old, maps.Map)
        made = out_of_sample.with_missing(
            ws, run, old, embedding, _open_model(ws, job.on_run), job.seed
        )
    else:
        limit = job.spec.get("limit")
        if how in (AUTOMATIC, NONLINEAR):
            rows = min(len(embedding.rows), limit or len(embedding.rows))
            card = choose_card(rows, lambda: find_free_cards(ws), tell.note)
        made = maps.make_map(
            embedding,
            how,
            dims,
            job.seed,
            limit=limit,
            cache=ws.home / "cache" / "neighbours",
            report=tell.share,
            card=card,
        )
    made.made_by = describe_origin(
        job.on_run,
        f"map-{how}",
        job.spec,
        ws.dataset(job.dataset),
        Run(job.seed, "cuda" if card is not None and card.used else "cpu"),
        time.monotonic() - began,
    )
    save_artifacts(ws.folder(job.id), [made])


def find_free_cards(ws: Workspace) -> list[int]:
    """Return torch's numbers of the graphics cards that no training of `ws` holds."""
    trainings = ws.catalogue.jobs(kind="train", status="running")
    held = {name for t in trainings for name in t.lane.split(",")}
    return [i for i, name in enumerate(list_gpus()) if name not in held]


def explain(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Attributions of many rows; with "health" (names of ways) the checks of such maps."""
    from core.explain.map_health import check_maps
    from core.jobs.attributing import attribute_shared

    began = time.monotonic()
    health = job.spec.get("health")
    tell.phase("checking the maps" if health else "looking for what moved the result")
    run = Run(job.seed, job.device)
    opened, data, rows, ask = asked = open_question(ws, job, str(run.where))
    target, report = job.spec["target"], tell.share
    made: list[Artifact]
    if health:
        found = check_maps(opened, data, rows, target, health, ask, report, tell.stop)
        made = list(found)
    else:
        how = job.spec["how"]
        made = [attribute_shared(ws, job.id, asked, how, target, report, tell.stop)]
    if tell.stop():
        raise Cancelled
    name = "map-health" if health else job.spec["how"]
    origin = describe_origin(job.on_run, name, job.spec, data, run, time.monotonic() - began)
    for one in made:
        one.made_by = origin
    save_artifacts(ws.folder(job.id), made)


def measure_run(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Compute the measures asked for by name, or all that fit, on a run and the maps made from
    it.
    """
    from core.evaluate import measure

    began = time.monotonic()
    tell.phase("measuring")
    data = load_data_as_seen(ws, ws.job(job.on_run))
    if "factors" in job.spec:  # those of the dataset's own card give way
        data = replace(data, card=data.card | {"factors": job.spec["factors"]})
    given = ws.artifacts(job.on_run)
    for made in ws.catalogue.jobs(on_run=job.on_run, kind="map", status="done"):
        seed = f", seed {made.seed}" if made.seed else ""
        given |= {
            f"{slug}-{getattr(a, 'how', made.spec['how'])}{made.spec['dims']}{seed}": a
            for slug, a in ws.artifacts(made.id).items()
        }
    metrics = measure(
        data,
        given,
        job.spec.get("names") or None,
        job.seed,
        _find_embeddings(ws, ws.job(job.on_run)),
        tell.part,
    )
    metrics.made_by = describe_origin(
        job.on_run, "measure", job.spec, data, Run(job.seed, "cpu"), time.monotonic() - began
    )
    save_artifacts(ws.folder(job.id), [metrics])


def _find_embeddings(ws: Workspace, job: Job) -> dict[str, Any]:
    """Return the embeddings of the nearest run below `job` that has some, by slug; none where that
    run is of another dataset.
    """
    while job.on_run and ws.job(job.on_run).dataset == job.dataset:
        job = ws.job(job.on_run)
        found = {slug: a for slug, a in ws.artifacts(job.id).items() if isinstance(a, Embedding)}
        if found:
            return found
    return {}


def _open_model(ws: Workspace, run: str) -> Model | None:
    try:
        return find_artifact(ws, run, Model)
    except UserError:
        return None


def _measure_card(ws: Workspace, job: Job, tell: Reporter) -> None:
    from core.jobs.evidence_jobs import run_benchmark  # that module asks for jobs

    run_benchmark(ws, job, tell)


TASKS: dict[str, Callable[[Workspace, Job, Any], None]] = {
    "train": train,
    "map": make_map,
    "explain": explain,
    "counterfactual": change_case,
    "concept": try_concepts,
    "steer": steer_feature,
    "measure": measure_run,
    "import": import_data,
    "apply": apply_model,
    EVIDENCE: _measure_card,
}
