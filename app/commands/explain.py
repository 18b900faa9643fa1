"""explain: attributions of some rows, and whether such maps can be trusted."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from app.commands._shared import AsJson, say, workspace
from app.commands.explore import row_of
from app.commands.runs import finish
from core.errors import UserError
from core.registry import open_model


def register(cli: typer.Typer) -> None:
    cli.command("explain")(explain)


def explain(
    run: str,
    how: Annotated[
        str,
        typer.Option(
            help="integrated_gradients, occlusion, gradient_x_input, smooth_grad, grad_cam,"
            " deep_lift, shapley or feature_ablation; with --health several, separated by commas."
        ),
    ] = "",
    rows: Annotated[
        str,
        typer.Option(
            help="Row numbers or file names, separated by commas; 20 test rows by default, 16 with"
            " --health."
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            help="What to explain: predicted (the class that the model names, where it names one),"
            " “class NAME”, score, “axis K”, “cluster K”, “neighbour ROW” (how like that case), or"
            " “place ROW” (what puts that case where it lies on the newest map)."
        ),
    ] = "",
    baseline: Annotated[
        str,
        typer.Option(
            help="What cases are compared with: mean, zero, blur, normal (the most similar normal"
            " case) or other (the most similar case of another class)."
        ),
    ] = "mean",
    health: Annotated[
        bool,
        typer.Option(
            "--health",
            help="Check the ways of explaining instead: model randomisation, repeatability,"
            " agreement, completeness, and localisation where there are masks.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """What in the input moved the result, for some rows; or, with --health, whether such maps
    reflect the model.
    """
    from core.artifacts import Model
    from core.explain.attribution import attribution_methods, list_targets
    from core.explain.baselines import check_baseline
    from core.explain.map_health import LONG, default_rows
    from core.jobs.explaining import clustering_of, explain_spec, find_clusters, newest_map
    from core.jobs.run_folder import find_artifact

    ws = workspace()
    job = ws.job(run)
    data = ws.dataset(job.dataset)
    fit = attribution_methods(data)
    usual = "feature_ablation" if data.modality == "table" else "integrated_gradients"
    asked = [h.strip() for h in how.split(",")] if how else [usual]
    if health and not how:
        asked = [h for h in fit if h not in LONG]
    if len(asked) > 1 and not health:
        raise UserError("Name one way, or add --health to check several.")
    for one in asked:
        if one not in fit:
            raise UserError(
                f"“{one}” is not a way to explain {data.modality} data (there are:"
                f" {', '.join(fit)})."
            )
    check_baseline(data, baseline)
    clusters = clustering_of(ws, job.id)
    offered = dict(
        list_targets(
            open_model(find_artifact(ws, job.id, Model)), find_clusters(ws, job.id, clusters)
        )
    )
    wanted, title = _target(data, offered, target)
    drawn = newest_map(ws, job.id)
    chosen: Any
    if wanted.startswith("place "):
        if rows or not drawn:
            raise UserError(
                "“place ROW” explains that case alone; leave --rows out."
                if drawn
                else f"Run {job.id} has no map with two axes; draw one: lightbox map {job.id}."
            )
        chosen = [int(wanted.removeprefix("place "))]
    elif rows:
        chosen = list(dict.fromkeys(row_of(data, r.strip()) for r in rows.split(",")))
    elif health:
        chosen = default_rows(data)
    else:
        test = data.part("test").rows if (data.splits == "test").any() else data.rows
        chosen = test[:20]
    spec = explain_spec(wanted, chosen, baseline, clusters, drawn)
    if health:
        _say_health(ws, job, spec, asked, title, json)
    else:
        _say_maps(ws, job, spec, asked[0], title, json)


def _target(data: Any, offered: dict[str, str], target: str) -> tuple[str, str]:
    """The key of a target that the model can be asked about, and its title."""
    wanted = target or next(iter(offered), "")
    if wanted.startswith("neighbour ") and "neighbour" in offered:
        row = row_of(data, wanted.removeprefix("neighbour ").strip())
        return f"neighbour {row}", f"how like row {row} it is"
    if wanted.startswith("place ") and "neighbour" in offered:
        row = row_of(data, wanted.removeprefix("place ").strip())
        return f"place {row}", f"where row {row} lies on the map"
    if wanted not in offered or wanted == "neighbour":
        known = ", ".join("neighbour ROW" if k == "neighbour" else k for k in offered)
        raise UserError(
            f"This model cannot be asked about “{wanted}” (it can about: {known or 'nothing'})."
        )
    return wanted, offered[wanted]


def _say_maps(ws: Any, job: Any, spec: dict[str, Any], how: str, title: str, json: bool) -> None:
    from core.artifacts import Attributions
    from core.jobs import queue

    done = finish(queue.derive(ws, "explain", job.id, {"how": how, **spec}), json)
    slug = next(s for s in ws.slugs(done.id) if s.startswith("attributions"))
    made = ws.artifact(done.id, slug)
    assert isinstance(made, Attributions)
    found = {
        "run": job.id,
        "explain": done.id,
        "how": how,
        "target": spec["target"],
        "baseline": made.baseline or "",
        "n": len(made.rows),
        "rows": made.rows.tolist(),
        "against": None if made.against is None else made.against.tolist(),
        "residual": None if made.residual is None else float(np.abs(made.residual).max()),
        "path": str(ws.artifact_folder(done.id, slug)),
    }
    say(found, f"{len(made.rows)} cases explained by {how} for {title}: {found['path']}", json)


def _say_health(
    ws: Any, job: Any, spec: dict[str, Any], hows: list[str], title: str, json: bool
) -> None:
    from core.artifacts import Grid, Metrics
    from core.explain.map_health import CHECKS, describe, state_of
    from core.jobs import queue

    done = finish(queue.derive(ws, "explain", job.id, {"health": hows, **spec}), json)
    metrics = ws.artifact(done.id, "metrics-health")
    grid = ws.artifact(done.id, "grid-agreement-of-ways")
    assert isinstance(metrics, Metrics)
    assert isinstance(grid, Grid)
    checks = [
        {
            "how": m.group,
            "check": m.name,
            "value": m.value,
            "low": m.low,
            "high": m.high,
            "n": m.n,
            "cut_off": CHECKS[m.name].cut,
            "state": state_of(m),
            "says": describe(m),
        }
        for m in metrics
    ]
    value = np.asarray(grid.value)
    found = {
        "run": job.id,
        "explain": done.id,
        "target": spec["target"],
        "baseline": spec.get("baseline", "mean"),
        "rows": np.asarray(metrics.rows).tolist(),
        "checks": checks,
        "agreement": {
            "ways": grid.x,
            "value": [[None if v != v else float(v) for v in line] for line in value],
        },
    }
    lines = [f"Checks of maps for {title}, over {len(metrics.rows)} cases; cut-offs are ours."]
    for c in checks:
        number = "not known" if c["value"] is None else f"{c['value']:.2f}"
        lines.append(f"  {c['how']:<22} {c['check']:<24} {number:>9}  {c['state']}: {c['says']}")
    say(found, "\n".join(lines), json)
