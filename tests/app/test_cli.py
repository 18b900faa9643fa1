"""Every command: its JSON shape, nothing else on stdout, exit codes, and bad input as one sentence
on stderr.
"""

import io
import json
import os
import re
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from app.cli import main
from core.data.readers import read
from core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
RUN = {
    "run",
    "dataset",
    "method",
    "status",
    "seed",
    "params",
    "artifacts",
    "metrics",
    "seconds",
    "pid",
}
METRIC = {"name", "value", "low", "high", "split", "group", "n", "higher_is_better"}
DATASET = {"dataset", "n", "modality", "labels", "groups", "findings"}
TABLE = "patient,site,age,pressure,note,diagnosis\n" + "".join(
    f"P{i // 3},S{i % 2},{20 + i % 37},{100 + i % 11 * 3},words {i},{'ill' if i % 3 else 'well'}\n"
    for i in range(60)
)


def lightbox(*args):
    """Run a command in this process: exit code, stdout, stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    given = mock.patch.object(sys, "argv", ["lightbox", *map(str, args)])
    with redirect_stdout(out), redirect_stderr(err), given, pytest.raises(SystemExit) as end:
        main()
    words = []
    for stream in (out, err):
        stream.flush()
        words.append(stream.buffer.getvalue().decode())
    return end.value.code, *words


def strict(text):
    """JSON without NaN and Infinity, which other tools refuse."""

    def refused(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refused)


def told(*args):
    """The one JSON object that a command prints with --json."""
    code, out, err = lightbox(*args, "--json")
    assert (code, err) == (0, "")
    found = strict(out)
    assert isinstance(found, dict)
    return found


def refused(*args):
    """The one sentence of a command that got bad input."""
    code, out, err = lightbox(*args)
    assert (code, out) == (2, ""), err
    assert err.count("\n") == 1
    assert err.endswith((".\n", ").\n"))
    assert "Traceback" not in err
    return err


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with the samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("cli")))
        made = told("samples")["samples"]
        assert {"digits", "breast-cancer", "head-phantom"} <= {s["dataset"] for s in made}
        assert all(set(s) == {"dataset", "n", "modality"} for s in made)
        yield Path(os.environ["LIGHTBOX_HOME"])


@pytest.fixture(scope="module")
def run(home):
    """A small run, as train tells of it."""
    return told("train", "digits", "pca", "-p", "dimensions=8", "--seed", 3, "--device", "cpu")


@pytest.fixture
def table(tmp_path):
    (tmp_path / "visits.csv").write_text(TABLE)
    return tmp_path / "visits.csv"


def test_samples_twice_change_nothing(home):
    before = told("data", "list")["datasets"]
    told("samples")
    assert told("data", "list")["datasets"] == before


def test_check_tells_of_the_machine(home):
    found = told("check")
    assert found["workspace"] == str(home)
    assert found["datasets"] >= 3


def test_help_is_no_error(home):
    for args in ((), ("--help",), ("data",), ("runs", "--help")):
        code, out, err = lightbox(*args)
        assert (code, err) == (0, "")
        assert out.startswith("Usage: lightbox")


def test_data_add_show_check_remove(home, table):
    columns = ("--label", "diagnosis", "--group", "patient", "--domain", "site")
    added = told("data", "add", table, "--name", "visits", *columns)
    assert set(added) >= DATASET
    assert (added["dataset"], added["n"], added["modality"], added["groups"]) == (
        "visits",
        60,
        "table",
        20,
    )
    assert added["labels"] == {"ill": 40, "well": 20}
    assert all({"kind", "severity", "title", "words", "rows"} <= set(f) for f in added["findings"])
    assert told("data", "show", "visits") == told("data", "check", "visits") == added
    assert {"dataset": "visits", "n": 60, "modality": "table", "sample": False} in told(
        "data", "list"
    )["datasets"]
    assert "already" in refused("data", "add", table, "--name", "visits")
    assert told("data", "remove", "visits") == {"dataset": "visits", "removed": True}
    assert "visits" in refused("data", "show", "visits")


def test_data_add_options(home, table):
    told("data", "add", table, "--name", "unlabelled", "--label", "none")
    assert told("data", "show", "unlabelled")["labels"] == {}
    assert told("data", "add", table, "--name", "words", "--text", "note")["modality"] == "text"
    for name in ("unlabelled", "words"):
        assert told("data", "remove", name)["removed"]


def test_names_never_become_paths(home, table):
    told("data", "add", table, "--name", "../../outside")
    assert not (home.parent / "outside").exists()
    assert {p.parent for p in (home / "datasets").iterdir()} == {home / "datasets"}
    told("data", "remove", "../../outside")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere.csv"], "nowhere.csv"),
        (["{table}", "--label", "no"], "“no”"),
        (["{table}", "--group", "no"], "“no”"),
        (["{table}", "--domain", "no"], "“no”"),
        (["{table}", "--text", "no"], "“no”"),
        (["{table}", "--masks", "nowhere"], "nowhere"),
        (["{table}", "--name", "x" * 90], "80 visible"),
        (["{table}", "--name", "digits"], "already"),
        ([], "Missing argument"),
    ],
)
def test_data_add_refuses(home, table, args, said):
    before = told("data", "list")
    assert said in refused("data", "add", *[a.format(table=table) for a in args])
    assert told("data", "list") == before


def test_methods(home):
    listed = told("methods")["methods"]
    assert all(
        set(m) >= {"id", "kind", "title", "family", "seed", "takes", "gives", "params"}
        for m in listed
    )
    assert {"method", "measure"} == {m["kind"] for m in listed}
    pca = next(m for m in listed if m["id"] == "pca")
    assert pca["params"]["dimensions"]["type"] == "integer"
    fit = told("methods", "--for", "digits")
    assert "pca" in {m["id"] for m in fit["methods"]}
    assert "table" in fit["declined"]["tabular_ncd"]
    assert "no dataset" in refused("methods", "--for", "nothing")


def test_train_and_show_tell_the_same(run):
    assert set(run) >= RUN
    assert (run["dataset"], run["method"], run["status"], run["seed"]) == (
        "digits",
        "pca",
        "done",
        3,
    )
    assert run["params"] == {"dimensions": 8, "variance": 0.95, "volumes": "whole (3-D)"}
    assert {"Embedding", "Model", "Metrics"} <= {a["type"] for a in run["artifacts"]}
    assert all(Path(a["path"]).is_dir() for a in run["artifacts"])
    assert run["metrics"]
    assert all(set(m) >= METRIC for m in run["metrics"])
    assert told("runs", "show", run["run"]) == told("runs", "show", run["run"][:6]) == run


def test_runs_list(run):
    assert told("runs") == told("runs", "list")
    listed = next(r for r in told("runs")["runs"] if r["run"] == run["run"])
    assert (listed["dataset"], listed["method"], listed["status"]) == ("digits", "pca", "done")
    assert "--json at the end" in refused("runs", "--json", "show", run["run"])


def test_a_run_that_has_ended_is_not_cancelled_or_resumed(run):
    assert told("runs", "cancel", run["run"])["status"] == "done"
    assert "nothing to resume" in refused("runs", "resume", run["run"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nothing", "pca"], "no dataset"),
        (["digits", "nothing"], "no method"),
        (["digits"], "Missing argument"),
        (["digits", "pca", "-p", "dimensions=some"], "valid integer"),
        (["digits", "pca", "-p", "dimensions=0"], "greater than"),
        (["digits", "pca", "-p", "dimensions"], "KEY=VALUE"),
        (["digits", "pca", "-p", "depth=3"], "no"),
        (["digits", "pca", "--seed", "some"], "--seed"),
        (["digits", "pca", "--seed", "-1"], "seed"),
        (["digits", "pca", "--seed", "9" * 25], "seed"),
        (["digits", "pca", "--device", "tpu"], "tpu"),
        (["digits", "tabular_ncd"], "does not fit"),
        (["digits", "kmeans"], "--from-run"),
        (["digits", "kmeans", "--from-run", "nothing"], "no run"),
        (["digits", "kmeans", "--on", "nothing"], "no run"),  # the name of before, hidden
        (["digits", "kmeans", "--from-run", "../x"], "not a run id"),
        (["breast-cancer", "kmeans", "--from-run", "{run}"], "another dataset"),
    ],
)
def test_train_refuses(run, args, said):
    before = told("runs")
    assert said in refused("train", *[a.format(run=run["run"]) for a in args])
    assert told("runs") == before


def test_map(run):
    made = told("map", run["run"], "--how", "pca", "--dims", 3)
    assert set(made) == {
        "run",
        "map",
        "how",
        "n",
        "shown",
        "trustworthiness",
        "continuity",
        "knn_recall",
        "landmarks",
        "path",
        "reason",
    }
    assert (made["run"], made["how"], made["n"], made["shown"]) == (run["run"], "pca", 1797, 1797)
    assert 0.5 < made["trustworthiness"] <= 1
    assert np.load(Path(made["path"]) / "xy.npy").shape == (1797, 3)
    assert told("map", run["run"], "--how", "pca", "--dims", 3)["map"] == made["map"]
    assert "name that run" in refused("map", made["map"])
    assert "umap" in refused("map", run["run"], "--how", "atlas")
    assert "2 or 3" in refused("map", run["run"], "--dims", 4)
    assert "seed" in refused("map", run["run"], "--how", "pca", "--seed", -1)
    assert "no run" in refused("map", "nothing")
    assert "no run" in refused("map", "")


def test_explain(run):
    made = told("explain", run["run"], "--rows", "5,7,5", "--how", "gradient_x_input")
    assert (made["run"], made["how"], made["n"], made["rows"]) == (
        run["run"],
        "gradient_x_input",
        2,
        [5, 7],
    )
    assert np.load(Path(made["path"]) / "value.npy").shape == (2, 1, 8, 8)
    assert "occlusion" in refused("explain", run["run"], "--how", "feature_ablation")
    assert "cannot be asked" in refused("explain", run["run"], "--target", "the weather")
    for rows in ("1797", "-1", "1.5", ",", "some.png"):
        assert "no row" in refused("explain", run["run"], "--rows", rows)


def test_traverse(run, tmp_path):
    made = told(
        "traverse", run["run"], "--row", 4, "--axis", 2, "--steps", 3, "--to-dir", tmp_path / "axis"
    )
    assert (made["run"], made["row"], len(made["values"])) == (run["run"], 4, 3)
    assert all(Path(f).stat().st_size for f in made["frames"])
    names = {p.name for p in (tmp_path / "axis").iterdir()}
    assert names == {
        "frame_00.png",
        "frame_01.png",
        "frame_02.png",
        "strip.png",
        "traversal.gif",
        "path.json",
    }
    between = told(
        "traverse", run["run"], "--row", 4, "--to", 9, "--steps", 2, "--to-dir", tmp_path / "to"
    )
    assert between["values"] == [0.0, 1.0]
    assert (
        "7"
        in told("traverse", run["run"], "--row", 4, "--label", 7, "--to-dir", tmp_path / "label")[
            "axis"
        ]
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--row", "4", "--axis", "0"], "axes 1 to 8"),
        (["--row", "4", "--axis", "9"], "axes 1 to 8"),
        (["--row", "4", "--axis", "1", "--to", "2"], "one of"),
        (["--row", "4", "--label", "eleven"], "no class"),
        (["--row", "1797"], "no row"),
        (["--row", "4", "--to", "x"], "no row"),
        (["--row", "4", "--steps", "1"], "--steps"),
        ([], "--row"),
    ],
)
def test_traverse_refuses(run, tmp_path, args, said):
    assert said in refused("traverse", run["run"], *args, "--to-dir", tmp_path / "frames")
    assert not (tmp_path / "frames").exists()


def test_measure(run):
    found = told("measure", run["run"], "rankme", "classification")
    assert set(found) == {"run", "metrics"}
    assert found["run"] == run["run"]
    assert all(set(m) >= METRIC for m in found["metrics"])
    known = {m["name"]: m for m in found["metrics"]}
    assert 1 <= known["effective dimensions"]["value"] <= 8
    assert known["classification"]["value"] is None
    assert "no measure" in refused("measure", run["run"], "charm")
    assert "no run" in refused("measure", "nothing")


def test_export(run, tmp_path):
    made = told("export", run["run"], "--to", tmp_path / "out")
    assert (made["run"], made["folder"]) == (run["run"], str(tmp_path / "out"))
    assert sorted(made["files"]) == sorted(p.name for p in (tmp_path / "out").iterdir())
    assert {a["name"] for a in run["artifacts"]} <= set(made["files"])
    assert np.load(tmp_path / "out" / "embedding-latent" / "z.npy").shape == (1797, 8)
    assert strict((tmp_path / "out" / "run.json").read_text())["run"] == run["run"]
    for name in ("rows", "metrics", "embedding-latent"):
        csv = pd.read_csv(tmp_path / "out" / f"{name}.csv")
        parquet = pd.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert list(csv) == list(parquet)
        assert len(csv) == len(parquet) > 0
    assert "already holds files" in refused("export", run["run"], "--to", tmp_path / "out")
    assert "no run" in refused("export", "nothing", "--to", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_report(run, tmp_path):
    made = told("report", run["run"], "--to", tmp_path / "new" / "r.html")
    page = (tmp_path / "new" / "r.html").read_text()
    assert made == {
        "runs": [run["run"]],
        "report": str(tmp_path / "new" / "r.html"),
        "bytes": len(page.encode()),
    }
    assert "Research use, not for diagnosis" in page
    assert run["run"] in page
    assert ".html" in refused("report", run["run"], "--to", tmp_path / "r.txt")
    assert "no run" in refused("report", run["run"], "nothing", "--to", tmp_path / "r.html")


def test_places_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dir.html").mkdir()
    inside = tmp_path / "file" / "inside"
    assert "cannot be written" in refused("traverse", run["run"], "--row", 4, "--to-dir", inside)
    assert "cannot be written" in refused("export", run["run"], "--to", inside)
    assert "cannot be written" in refused("report", run["run"], "--to", inside / "r.html")
    assert "is a folder" in refused("report", run["run"], "--to", tmp_path / "dir.html")
    assert (tmp_path / "file").read_text() == "mine"


def test_app_serves_this_machine_on_a_free_port_only(home):
    assert "this machine only and refuses 0.0.0.0" in refused("app", "--host", "0.0.0.0")
    assert "example.org" in refused("app", "--host", "example.org")
    assert "65535" in refused("app", "--port", 70000)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "cannot be used" in refused("app", "--port", taken.getsockname()[1])


def test_strange_commands_and_settings(home, monkeypatch):
    for args in (
        ["paint"],
        ["data", "paint"],
        ["samples", "--colour"],
        ["train", "digits", "pca", "more"],
    ):
        refused(*args)
    for args in (["show"], ["cancel"], ["resume"], ["remove"]):
        assert "no run" in refused("runs", *args, "nothing")
    monkeypatch.setenv("LIGHTBOX_LIGHT_JOBS", "several")
    assert "LIGHTBOX_LIGHT_JOBS" in refused("runs")
    monkeypatch.delenv("LIGHTBOX_LIGHT_JOBS")
    monkeypatch.setenv("LIGHTBOX_HOME", os.devnull)
    assert "LIGHTBOX_HOME" in refused("runs")


BROKEN = """
from core.methods.decomposition.pca import PCA as Base

class Broken(Base):
    id, title = "broken", "Broken"

    def fit(self, data, run):
        raise RuntimeError("the wheel came off")
"""


def test_bugs_end_with_1_and_an_id_that_the_log_has(tmp_path, table):
    home, methods = tmp_path / "home", tmp_path / "methods"
    methods.mkdir()
    (methods / "broken.py").write_text(BROKEN)
    env = os.environ | {
        "LIGHTBOX_HOME": str(home),
        "LIGHTBOX_METHODS": str(methods),
        "LIGHTBOX_IDLE_SECONDS": "0",
    }

    def bug(*args):
        command = [sys.executable, "-m", "app.cli", *args]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert done.stderr.count("\n") == 1
        return done.stderr

    Workspace(home).add(read(table, name="visits"))
    said = bug("train", "visits", "broken", "--json")
    id, log = re.search(r"under (\w{8}) \((.+)\)\.$", said).groups()
    assert f"error {id}" in Path(log).read_text()
    assert "the wheel came off" in Path(log).read_text()

    (methods / "broken.py").write_text("raise RuntimeError('the other wheel came off')")
    said = bug("methods", "--json")
    id, log = re.search(r"\(id (\w{8})\); (.+) has the details", said).groups()
    assert id in Path(log).read_text()
    assert "the other wheel came off" in Path(log).read_text()


def test_a_dry_run_says_what_each_column_would_be_and_imports_nothing(home, tmp_path):
    (tmp_path / "trial.csv").write_text(TABLE)
    before = told("data", "list")
    found = told("data", "add", tmp_path / "trial.csv", "--dry-run", "--role", "age=left out")
    assert told("data", "list") == before
    assert {c["column"]: c["role"] for c in found["columns"]} == {
        "patient": "patient",
        "site": "site",
        "age": "left out",
        "pressure": "input",
        "note": "left out",
        "diagnosis": "outcome",
    }
    assert all(0 < c["confidence"] <= 1 and c["why"] and c["how sure"] for c in found["columns"])
    assert found["normal"] == {"class": "well", "why": "by its word “well”"}
    assert found["imported"] is False


@pytest.mark.parametrize("role", ["age", "age=king", "=input"])
def test_a_role_that_is_none_is_a_sentence(home, tmp_path, role):
    (tmp_path / "trial.csv").write_text(TABLE)
    assert "is not COLUMN=ROLE" in refused("data", "add", tmp_path / "trial.csv", "--role", role)


def test_the_version_is_said():
    from core import __version__

    assert lightbox("--version") == (0, f"lightbox {__version__}\n", "")


def test_the_normal_class_is_told_and_taken_back(home):
    assert told("data", "normal", "breast-cancer", "malignant")["normal"] == "malignant"
    assert told("data", "show", "breast-cancer")["card"]["normal"] == "malignant"
    assert "is not a class" in refused("data", "normal", "breast-cancer", "fine")
    decision = told("data", "issues", "breast-cancer")["decisions"][-1]
    told("data", "undo", "breast-cancer", decision["id"])
    assert told("data", "show", "breast-cancer")["card"].get("normal") != "malignant"
