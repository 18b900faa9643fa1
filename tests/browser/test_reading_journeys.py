"""Two journeys with a clinician: suspicious labels are read by keyboard, changed, taken back and
learned from again; and a threshold is agreed upon, with figures as counted by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import text
from core.data.checks import dataset_findings
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.workspace import notes, readings, review
from core.workspace.workspace import Workspace
from tests.browser.conftest import go, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PLANTED, READ = 12, 8


@pytest.fixture(scope="module")
def doubted(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, np.ndarray, str]:
    """Run of a classifier on 500 digits 0, 1 and 2 of which twelve bear the label of another; which
    those are, and the name of the data, looked over for suspicious labels.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    at = np.flatnonzero(digits.target < 3)[:500]
    labels = digits.target[at].copy()
    wrong = np.random.default_rng(0).choice(len(at), PLANTED, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 3
    folder = tmp_path_factory.mktemp("doubted")
    words = np.array(["nought", "one", "two"])
    np.savez(folder / "read.npz", images=digits.images[at].astype("u1") * 15, labels=words[labels])
    ws = Workspace(home)
    ws.add(read(folder / "read.npz", name="to-read"))
    dataset_findings(ws, "to-read")
    run = queue.wait(ws, queue.train(ws, "to-read", "classifier", {"epochs": 4}).id, timeout=500)
    assert run.status == "done", run.error
    return run.id, wrong, "to-read"


def test_suspicious_labels_are_read_by_key_changed_undone_and_learned_from_again(
    page: Any, served: str, home: Path, doubted: tuple[str, np.ndarray, str], shot: Any
) -> None:
    run, wrong, name = doubted
    ws, data = Workspace(home), Workspace(home).dataset(name)
    truth = np.where(np.isin(data.rows, wrong), (data.labels - 1) % 3, data.labels)
    page.goto(f"{served}/reading?dataset={name}&run={run}")
    settled(page)
    page.get_by_role("textbox", name="Reader").fill("Dr A")
    page.get_by_role("textbox", name="Reader").press("Enter")
    settled(page)
    for label, option in (
        ("Cases", f"all cases ({len(data):,})"),
        ("Order", "suspicious labels first"),
    ):
        page.get_by_role(
            "combobox", name=re.compile(f"{label}$|, {label}|{label}\\.?")
        ).first.click()
        page.get_by_role("option", name=option, exact=True).click()
        settled(page)
    shot("40-suspicious")
    shown = page.locator("strong").filter(has_text=re.compile(r"^row \d+$"))
    for _ in range(READ):  # a digit answers, the arrow takes the next
        before = len(readings.list_readings(ws, name))
        row = int(shown.inner_text().removeprefix("row "))
        page.keyboard.press(str(int(truth[row]) + 1))
        settled(page)
        made = readings.list_readings(ws, name)
        assert len(made) == before + 1
        assert made[-1].row == row
        page.keyboard.press("ArrowRight")
        settled(page)
    read_rows = {r.row for r in readings.list_readings(ws, name)}
    found = read_rows & set(wrong.tolist())
    assert len(found) >= READ // 2, "suspicious labels first shows planted ones first"
    page.get_by_text(re.compile(r"Readings of this data")).click()
    settled(page)
    shot("41-read")
    buttons = page.get_by_role("button", name=re.compile("^Relabel"))
    while buttons.count():
        buttons.first.click()
        settled(page)
    now = ws.dataset(name)
    place = {int(r): i for i, r in enumerate(now.rows)}
    assert all(now.labels[place[r]] == truth[r] for r in found)
    decided = review.list_decisions(ws, name)
    assert sum(len(d.rows) for d in decided) == len(found)
    page.get_by_role("button", name="Undo", exact=True).last.click()
    settled(page)
    assert len(review.list_decisions(ws, name)) == len(decided) - 1
    buttons.first.click()
    settled(page)
    assert sum(len(d.rows) for d in review.list_decisions(ws, name)) == len(found)
    page.get_by_role("button", name=re.compile("Train again with these labels")).click()
    page.wait_for_function("document.title.startsWith('Runs')")
    again = max(ws.runs(), key=lambda j: j.created)
    assert again.id != run
    assert queue.wait(ws, again.id, timeout=500).status == "done"
    assert (again.method, again.params, again.seed) == ("classifier", ws.job(run).params, 0)
    go(page, "Compare")
    shot("42-compared")
    assert page.errors == []


def wilson(k: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share k / n (Wilson 1927)."""
    z, p = 1.959964, k / n
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def test_a_threshold_is_agreed_upon_and_its_figures_are_those_counted_by_hand(
    page: Any, served: str, home: Path, shot: Any
) -> None:
    ws = Workspace(home)
    ws.add(make_sample("breast-cancer"), sample=True)
    data = ws.dataset("breast-cancer")
    asked = queue.train(ws, data.name, "table_anomaly", {}, only_normal=True)
    run = queue.wait(ws, asked.id, timeout=500)
    assert run.status == "done", run.error
    page.goto(f"{served}/anomalies?dataset={data.name}&run={run.id}")
    settled(page)
    page.get_by_role("button", name=re.compile("^Sensitivity")).click()
    settled(page)
    page.get_by_role("textbox", name="Your name").fill("Dr B")
    page.get_by_role("textbox", name="Why this threshold").fill(
        "agreed with the clinic: misses cost more"
    )
    page.get_by_role("textbox", name="Why this threshold").press("Tab")
    settled(page)
    page.get_by_role("button", name="Keep this threshold").click()
    settled(page)
    shot("43-threshold")
    kept = notes.load_threshold(ws, run.id)
    assert kept is not None
    assert (kept["author"], kept["on"]) == ("Dr B", "val")
    assert kept["reason"] == "agreed with the clinic: misses cost more"

    maps = ws.artifact(run.id, "anomalymaps")
    for part, shown_as in (("val", "picked"), ("test", "test")):
        own = data.part(part)
        ill = own.labels != data.classes.index(data.normal)
        alarm = np.asarray(maps.score)[maps.at(own.rows)] > kept["value"]
        figures = page.locator(f".st-key-controls-operating-{shown_as}").inner_text()
        shown = dict(
            re.findall(r"(Sensitivity|Specificity|PPV|NPV)\s+(?:help\s+)?([\d.]+)", figures)
        )
        sensitivity, specificity = alarm[ill].mean(), (~alarm[~ill]).mean()
        at = float(kept["prevalence"])
        right, false = sensitivity * at, (1 - specificity) * (1 - at)
        missed, quiet = (1 - sensitivity) * at, specificity * (1 - at)
        for name, value in (
            ("Sensitivity", sensitivity),
            ("Specificity", specificity),
            ("PPV", right / (right + false)),
            ("NPV", quiet / (quiet + missed)),
        ):
            assert float(shown[name]) == pytest.approx(value, abs=0.006), (part, name)
        for hit in (alarm[ill], ~alarm[~ill]):
            low, high = wilson(int(hit.sum()), len(hit))
            assert f"({text.number(low)}–{text.number(high)}), n = {len(hit):,}" in figures
    assert page.errors == []
