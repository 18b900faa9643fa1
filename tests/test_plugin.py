"""A method in a folder of its own gets form, run, views and command line without another file being
touched.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOY = '''
"""Scores a case by how far its mean brightness lies from the training cases'."""
import numpy as np
from core.artifacts import AnomalyMaps, Embedding
from core.method import Method, BaseParams, Takes, param


class Brightness(Method):
    id = "odd_brightness"
    title = "Odd brightness"
    takes = Takes(("image",), trains=False, deterministic=True)
    gives = (AnomalyMaps, Embedding)
    tiny = {}

    class Params(BaseParams):
        power: float = param(1.0, "How strongly far cases count.", ge=0.5, le=4.0)

    def fit(self, data, run):
        self.mean_ = float(data.part("train").inputs().mean())

    def apply(self, data, run):
        x = data.inputs()
        bright = x.mean((1, 2, 3))
        z = np.stack([bright, x.std((1, 2, 3))], 1).astype("f4")
        yield Embedding(rows=data.rows, name="latent", z=z)
        score = np.abs(bright - self.mean_) ** self.params.power
        yield AnomalyMaps(rows=data.rows, score=score.astype("f4"))
'''
PAGE = """
import sys
from pathlib import Path
from streamlit.testing.v1 import AppTest

root = Path(sys.argv[1])
at = AppTest.from_file(str(root / "app" / "main.py"), default_timeout=300).run()
at = at.switch_page("../pages/train.py").run()
assert not at.exception
next(b for b in at.button if b.label == "Odd brightness").click()
at = at.run()
assert not at.exception
found = {n.label: (n.min, n.max) for n in at.number_input}
assert found.get("power") == (0.5, 4.0), found
at.session_state["run"] = sys.argv[2]
for page in ("anomalies", "latent", "runs"):
    at = at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception, page
print("drawn")
"""


@pytest.fixture(scope="module")
def lightbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "methods").mkdir()
    (folder / "methods" / "odd_brightness.py").write_text(textwrap.dedent(TOY))
    env = os.environ | {
        "LIGHTBOX_METHODS": str(folder / "methods"),
        "LIGHTBOX_HOME": str(folder / "home"),
        "PYTHONPATH": str(ROOT),
    }

    def call(*args, module="app.cli"):
        done = subprocess.run(
            [sys.executable, *(("-m", module) if module else ()), *args],
            env=env,
            capture_output=True,
            text=True,
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return call


def test_a_toy_method_is_listed_trained_measured_and_drawn(lightbox, tmp_path):
    listed = {m["id"]: m for m in json.loads(lightbox("methods", "--json"))["methods"]}
    assert listed["odd_brightness"]["params"]["power"]["max"] == 4.0
    lightbox("samples")
    run = json.loads(lightbox("train", "digits", "odd_brightness", "-p", "power=2", "--json"))
    assert run["status"] == "done"
    assert {a["type"].lower() for a in run["artifacts"]} >= {"embedding", "anomalymaps"}
    assert run["metrics"], "the measures that fit ran by themselves"
    (tmp_path / "page.py").write_text(PAGE)
    assert "drawn" in lightbox(str(tmp_path / "page.py"), str(ROOT), run["run"], module=None)


def test_plug_ins_of_the_version_before_find_what_they_import():
    from core import artifacts, measure, method, run

    assert {run.Run.__module__, run.Batch.__module__} == {"core.training.run", "core.training.loop"}
    assert all((artifacts.Embedding, measure.Measure, method.Method))
