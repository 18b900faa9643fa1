"""Cells that a spreadsheet would run as formulas leave by no path (fault 33)."""

import csv as plain_csv
import io
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Metric, Metrics
from core.data.dataset import Dataset
from core.export import SAFE, export_run, row_table, safe_cell, safe_csv
from core.jobs import queue
from core.workspace import notes
from core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
EVIL = [
    '=HYPERLINK("http://x.example","y")',
    "+SUM(1)",
    "-2+3",
    "@A1",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
]
KEPT = ["-2.5", "+4", "-1,5", "-.5", "-1e-5", "a=b", "", "1-2", "'x"]


def table(n=40):
    names = [f"{EVIL[k % len(EVIL)]}" for k in range(n)]
    return pd.DataFrame(
        {
            "=cmd": names,
            "kind": pd.Categorical([EVIL[k % 2] for k in range(n)]),
            "x": np.linspace(-2.5, 2.5, n),
            "text": [KEPT[k % len(KEPT)] for k in range(n)],
            "row": range(n),
            "name": [f"@{k}" for k in range(n)],
            "split": np.resize(["train"] * 7 + ["val", "test", "test"], n),
        }
    )


def dangerous(content):
    """Cells of a CSV file that a spreadsheet would run."""
    rows = list(plain_csv.reader(io.StringIO(content, newline="")))
    assert len(rows) > 1
    number = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?", re.I)
    return [
        c
        for row in rows
        for c in row
        if c[:1] in "=+-@\t\r\n＝＋－＠" and c and not number.fullmatch(c)
    ]


@pytest.mark.parametrize("word", EVIL)
def test_a_formula_gets_an_apostrophe(word):
    assert safe_cell(word) == f"'{word}"


@pytest.mark.parametrize("value", [*KEPT, -2.5, None, 3])
def test_everything_else_is_left_as_it_is(value):
    assert safe_cell(value) is value


def test_cells_headings_categories_and_index_words():
    made = safe_csv(table())
    assert dangerous(made) == []
    back = pd.read_csv(io.StringIO(made), keep_default_na=False)
    assert back["x"].tolist() == pytest.approx(table()["x"].tolist())  # -2.5 is intact
    assert back["text"].tolist() == table()["text"].tolist()
    assert back.columns[0] == "'=cmd"
    both = safe_csv(pd.DataFrame([[1, 2]], columns=["=a", "'=a"]))
    assert both.splitlines()[0] == "'=a,'=a (2)"


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    made = Workspace(tmp_path_factory.mktemp("home"))
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    made.add(
        Dataset(
            "evil",
            "table",
            table(),
            x,
            roles={"label": "kind", "split": "split"},
            features=("=a", "@b", "-c"),
        )
    )
    return made


def test_a_run_taken_out_by_the_command_line(ws, tmp_path):
    run = queue.wait(ws, queue.train(ws, "evil", "pca", {"dimensions": 2}).id, timeout=500)
    assert run.status == "done", run.error
    above = queue.wait(ws, queue.train(ws, "evil", "kmeans", {}, on=run.id).id, timeout=500)
    assert above.status == "done", above.error
    notes.name_cluster(ws, above.id, 0, "=cluster()")
    notes.save_group(ws, "evil", "=group()", np.arange(5))
    frame = row_table(ws, ws.dataset("evil"), run, np.arange(9))
    assert dangerous(safe_csv(frame)) == []
    assert frame["row"].tolist() == list(range(9))
    assert {"name", "row (2)", "name (2)", "=cmd"} <= set(frame.columns)
    export_run(ws, run.id, tmp_path / "out")
    export_run(ws, above.id, tmp_path / "above")
    made = [*(tmp_path / "out").rglob("*.csv"), *(tmp_path / "above").rglob("*.csv")]
    assert {"rows.csv", "metrics.csv"} <= {p.name for p in made}
    for path in made:
        assert dangerous(path.read_text()) == [], path.name
    words = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert words["=cmd"].tolist() == table()["=cmd"].tolist()  # for machines, every word as it was


def test_metrics_with_names_of_classes():
    found = Metrics.of([Metric("=recall", 0.5, group="@site", note="-x")], np.arange(3))
    assert dangerous(safe_csv(pd.DataFrame(found.table))) == []


def test_no_other_path_leads_out():
    """CSV is written by `core.export.safe_csv` alone, and the screen's own table download is
    switched off.
    """
    for folder in ("app", "core", "pages"):
        for path in (ROOT / folder).rglob("*.py"):
            inward = path.parent.name == "readers"  # text in memory, for the reader of tables
            if path != ROOT / "core" / "export.py" and not inward:
                assert not re.search(
                    r"\bto_csv\(|csv\.writer\(|\.DictWriter\(|write_csv\(|to_excel\(",
                    path.read_text(),
                ), path
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["client"]["disableDataExport"] is True


def test_the_help_beside_each_download_says_so():
    views = [p.read_text() for p in (ROOT / "app" / "views").glob("*.py")]
    downloads = [v for v in views if re.search(r"download\.button\([^)]*csv\(", v)]
    assert len(downloads) >= 2
    assert all("SAFE" in v for v in downloads)
    assert "apostrophe" in SAFE
    assert "-2.5" in SAFE
