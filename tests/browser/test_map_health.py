"""Is the map honest? A way of attribution is asked for one case, all ways are checked, and a badge
says of each whether it reflects the model.
"""

import json

import pytest

from core.artifacts import Metrics
from core.explain.attribution import attribution_methods
from core.explain.map_health import LONG, state_of
from core.workspace.workspace import Workspace
from tests.browser.conftest import settled

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def classifier(home):
    """Id of a run of the plain classifier on the digits."""
    from core.data.samples.catalogue import make_sample
    from core.jobs import queue

    ws = Workspace(home)
    ws.add(make_sample("digits"), sample=True)
    asked = queue.train(ws, "digits", "classifier", {"epochs": 3})
    return queue.wait(ws, asked.id, timeout=500).id


def test_badges_say_which_ways_reflect_the_model(page, served, home, classifier):
    ws = Workspace(home)
    page.goto(f"{served}/rationales?run={classifier}")
    settled(page)
    page.get_by_role("button", name="Show why").click()
    page.get_by_text("The explanation adds up").wait_for(timeout=120_000)
    settled(page)
    assert page.get_by_text("Not checked yet whether these maps reflect the model").is_visible()
    page.get_by_role("button", name="Check all ways").click()
    page.get_by_text("All ways, and how far they agree").wait_for(timeout=120_000)
    settled(page)
    page.get_by_text("All ways, and how far they agree").click()
    page.get_by_text("Do ways mark the same places?").wait_for()

    (job,) = [
        j for j in ws.catalogue.jobs(kind="explain", on_run=classifier) if j.spec.get("health")
    ]
    metrics = ws.artifact(job.id, "metrics-health")
    assert isinstance(metrics, Metrics)
    ways = [h for h in attribution_methods(ws.dataset("digits")) if h not in LONG]
    assert len(ways) >= 4
    assert job.spec["health"] == ways, json.dumps(job.spec)
    first = [m for m in metrics if m.group == ways[0]]
    amber = [m for m in metrics if m.name == "model randomisation" and state_of(m) == "doubt"]
    passed = [m for m in metrics if state_of(m) == "passes"]
    assert {m.group for m in metrics if m.name == "model randomisation"} == set(ways)
    # the badges above the maps, and those of all ways below them
    doubts = page.locator(".stMarkdownBadge").filter(has_text="may not reflect the model")
    unsure = [m for m in metrics if m.name in ("model randomisation", "repeatability")]
    above = [m for m in unsure if m in first]
    expected = sum(state_of(m) == "doubt" for m in [*unsure, *above])
    assert doubts.count() == expected
    assert expected >= len(amber) > 0, "some way hardly looks at the weights"
    assert passed

    # what was checked is kept: a second look asks for nothing
    page.goto(f"{served}/rationales?run={classifier}")
    settled(page)
    assert page.get_by_text("All ways, and how far they agree").is_visible()
